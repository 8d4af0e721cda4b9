/*
 * Copyright (c) 2026 The ovs-zoo authors.
 *
 * Licensed under the Apache License, Version 2.0 (the "License");
 * you may not use this file except in compliance with the License.
 * You may obtain a copy of the License at:
 *
 *     http://www.apache.org/licenses/LICENSE-2.0
 *
 * Unless required by applicable law or agreed to in writing, software
 * distributed under the License is distributed on an "AS IS" BASIS,
 * WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
 * See the License for the specific language governing permissions and
 * limitations under the License.
 */

/* The tenants file: who may trace what. */

#include <config.h>
#include "unit.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util.h"
#include "vtrace/tenants.h"

static const char example[] =
    "{\"operators\": [\"alice\"],"
    " \"tenants\": {"
    "  \"red\": {\"users\": [\"bob\", \"eve\"],"
    "            \"ports\": [\"h1/br-int/red-*\", \"h2/*/vm1\"],"
    "            \"max_tasks\": 3, \"max_kept\": 4, \"max_duration\": 60,"
    "            \"max_inject\": 5},"
    "  \"blue\": {\"users\": [\"eve\"],"
    "             \"certificates\": [\"bob\", \"carol\"]}},"
    " \"operator_certificates\": [\"ops\"]}";

/* Loads a file that holds 's'. */
static char *
load(const char *s, struct vtrace_tenants **tenants)
{
    char name[] = "/tmp/zoo-test-tenants.XXXXXX";
    int fd = mkstemp(name);
    char *error;

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, s, strlen(s)), strlen(s));
    close(fd);
    error = vtrace_tenants_load(name, tenants);
    unlink(name);
    return error;
}

static struct vtrace_tenants *
load_example(void)
{
    struct vtrace_tenants *tenants;
    char *error = load(example, &tenants);

    ck_assert_msg(!error, "%s", error);
    return tenants;
}

static void
check_choice(const struct vtrace_tenants *tenants, const char *user,
             const char *wanted, const char *expected, const char *error)
{
    const char *tenant;
    char *s = vtrace_tenants_choose(tenants, user, wanted, &tenant);

    ck_assert_pstr_eq(s, error);
    ck_assert_pstr_eq(tenant, expected);
    free(s);
}

START_TEST(certificates)
{
    static const char *const bad[] = { NULL, "", "a b", "a\n", "\xc3\xa4" };
    struct vtrace_tenants *tenants = load_example();
    char *user = vtrace_tenants_certificate("bob");
    char *s;

    /* Not the Unix user of that name. */
    ck_assert_str_eq(user, "certificate bob");
    check_choice(tenants, user, NULL, "blue", NULL);
    check_choice(tenants, user, "red", NULL,
                 "certificate bob does not belong to tenant red");
    ck_assert(vtrace_tenants_knows(tenants, user));
    free(user);

    user = vtrace_tenants_certificate("ops");
    ck_assert(vtrace_tenants_is_operator(tenants, user));
    ck_assert(!vtrace_tenants_is_operator(tenants, "ops"));
    free(user);

    ck_assert(!vtrace_tenants_knows(tenants, "carol"));
    ck_assert(vtrace_tenants_knows(tenants, "eve"));
    user = vtrace_tenants_certificate("root");
    ck_assert(!vtrace_tenants_knows(tenants, user));
    check_choice(tenants, user, NULL, NULL, "certificate root belongs to no "
                 "tenant: an operator can add it to the tenants file");
    free(user);
    vtrace_tenants_destroy(tenants);

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        ck_assert_ptr_null(vtrace_tenants_certificate(bad[i]));
    }
    s = xzalloc(VTRACE_STORE_MAX_NAME + 2);
    memset(s, 'a', VTRACE_STORE_MAX_NAME + 1);
    ck_assert_ptr_null(vtrace_tenants_certificate(s));
    free(s);
}
END_TEST

START_TEST(choice)
{
    struct vtrace_tenants *tenants = load_example();

    check_choice(tenants, "bob", NULL, "red", NULL);
    check_choice(tenants, "bob", "red", "red", NULL);
    check_choice(tenants, "bob", "blue", NULL,
                 "user bob does not belong to tenant blue");
    check_choice(tenants, "bob", "green", NULL,
                 "user bob does not belong to tenant green");
    check_choice(tenants, "eve", NULL, NULL, "user eve belongs to 2 tenants: "
                 "choose one with --tenant");
    check_choice(tenants, "eve", "blue", "blue", NULL);
    check_choice(tenants, "mallory", NULL, NULL, "user mallory belongs to no "
                 "tenant: an operator can add it to the tenants file");
    check_choice(tenants, "alice", NULL, NULL, NULL);
    check_choice(tenants, "alice", "red", "red", NULL);
    check_choice(tenants, "root", "blue", "blue", NULL);
    ck_assert(vtrace_tenants_is_operator(tenants, "root"));
    ck_assert(!vtrace_tenants_is_operator(tenants, "bob"));
    vtrace_tenants_destroy(tenants);
}
END_TEST

static void
check_request(const struct vtrace_tenants *tenants, const char *tenant,
              const char *node, const char *bridge, const char *port,
              int64_t duration, int inject, const char *expected)
{
    struct vtrace_request request = { .duration = duration,
                                      .inject = inject };
    struct vtrace_quota quota;
    char *error;

    ovs_strlcpy(request.tenant, tenant, sizeof request.tenant);
    ovs_strlcpy(request.entry.node, node, sizeof request.entry.node);
    ovs_strlcpy(request.entry.bridge, bridge, sizeof request.entry.bridge);
    ovs_strlcpy(request.entry.port, port, sizeof request.entry.port);
    error = vtrace_tenants_check(tenants, NULL, &request, &quota);
    if (!expected) {
        ck_assert_msg(!error, "%s", error);
        ck_assert_int_eq(quota.max_tasks, 3);
        ck_assert_int_eq(quota.max_kept, 4);
    } else {
        ck_assert_msg(error && strstr(error, expected), "%s", error);
    }
    free(error);
}

START_TEST(requests)
{
    struct vtrace_tenants *t = load_example();

    check_request(t, "red", "h1", "br-int", "red-1", 60000, 5, NULL);
    check_request(t, "red", "h2", "br9", "vm1", 1000, 0, NULL);
    check_request(t, "red", "h1", "br-int", "blue-1", 1000, 0,
                  "h1/br-int/blue-1: not a port of tenant red");
    check_request(t, "red", "h2", "br9", "vm10", 1000, 0, "not a port");
    check_request(t, "red", "h3", "br-int", "red-1", 1000, 0, "not a port");
    check_request(t, "red", "h1", "br-int", "red-1", 60001, 0, "for 60 s");
    check_request(t, "red", "h1", "br-int", "red-1", 1000, 6, "5 packets");
    check_request(t, "blue", "h1", "br-int", "red-1", 1000, 0, "not a port");
    check_request(t, "green", "h1", "br-int", "red-1", 1000, 0,
                  "tenant green: not in");
    vtrace_tenants_destroy(t);
}
END_TEST

START_TEST(bad_files)
{
    static const struct {
        const char *file;
        const char *error;
    } bad[] = {
        { "", "" },
        { "{", "" },
        { "[]", "" },
        { "{\"tenant\": {}}", "tenant" },
        { "{\"operators\": [1]}", "operators" },
        { "{\"operators\": [[\"a\"]]}", "list of strings" },
        { "{\"operators\": [\"certificate a\"]}", "list of strings" },
        { "{\"tenants\": {\"red\": {\"external_ids\": {}}}}",
          "those of every port" },
        { "{\"tenants\": {\"red\": {\"external_ids\": {\"a\": 1}}}}",
          "a string" },
        { "{\"operator_certificates\": [\"a b\"]}", "common names" },
        { "{\"tenants\": {\"red\": {\"certificates\": [1]}}}",
          "common names" },
        { "{\"tenants\": {\"red\": []}}", "red" },
        { "{\"tenants\": {\"red\": {\"user\": []}}}", "user" },
        { "{\"tenants\": {\"red\": {\"users\": [1]}}}", "users" },
        { "{\"tenants\": {\"red\": {\"max_tasks\": -1}}}",
          "max_tasks: -1 is out of range 0..4095" },
        { "{\"tenants\": {\"red\": {\"max_tasks\": 1.5}}}", "max_tasks" },
        { "{\"tenants\": {\"red\": {\"max_duration\": 99999}}}",
          "max_duration: 99999 is out of range 0..65000" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct vtrace_tenants *tenants;
        char *error = load(bad[i].file, &tenants);

        ck_assert_msg(error && strstr(error, bad[i].error), "%s: %s",
                      bad[i].file, error);
        ck_assert_ptr_null(tenants);
        free(error);
    }
}
END_TEST

/* Then there are only operators, who may use any name. */
START_TEST(no_file)
{
    struct vtrace_request request = { .tenant = "any", .duration = 1000 };
    struct vtrace_tenants *tenants;
    struct vtrace_quota quota;

    ck_assert_ptr_null(vtrace_tenants_load(NULL, &tenants));
    ck_assert_ptr_null(vtrace_tenants_check(tenants, NULL, &request,
                                            &quota));
    check_choice(tenants, "root", "any", "any", NULL);
    check_choice(tenants, "bob", "any", NULL,
                 "user bob does not belong to tenant any");
    vtrace_tenants_destroy(tenants);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("vtrace-tenants");
    TCase *tc = unit_case(suite, "tenants", 30);

    tcase_add_test(tc, choice);
    tcase_add_test(tc, certificates);
    tcase_add_test(tc, requests);
    tcase_add_test(tc, bad_files);
    tcase_add_test(tc, no_file);
    return unit_run(suite);
}
