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

/* Record files: what is replayed gives the same analysis, and no file does
 * harm. */

#include <config.h>
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "openvswitch/json.h"
#include "random.h"
#include "packets.h"
#include "util.h"
#include "ovs-ext/vtrace-record.h"
#include "vtrace-sim.h"
#include "vtrace/record-file.h"
#include "vtrace/vtrace-json.h"

/* Bytes ahead of the first event of a file, and an event as it is in one. */
#define HEADER_LEN 24
struct event {
    uint16_t type;
    uint8_t direction, exp;
    uint16_t color;
    uint8_t has_name, has_domain;
    uint32_t node, len;
    int64_t task;
    uint64_t number;
};

static char name[] = "/tmp/zoo-test-records.XXXXXX";

static void
setup(void)
{
    int fd;

    strcpy(name + strlen(name) - 6, "XXXXXX");
    fd = mkstemp(name);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void
teardown(void)
{
    unlink(name);
}

/* Writes the records of a fault and returns what the analysis says. */
static struct json *
record(enum sim_scenario scenario, enum sim_fault fault)
{
    struct sim_options options = {
        .scenario = scenario, .fault = fault, .both = true, .flows = true,
        .n_packets = 300, .record_file = name,
    };
    struct vtrace_analysis *an;
    struct vtrace_analyzer *az = sim_run(&options, &an);
    struct json *json = vtrace_analysis_to_json(an, false);

    vtrace_analyzer_destroy(az);
    return json;
}

static void
check_same(const struct json *a, const struct json *b, const char *member)
{
    char *s = json_to_string(shash_find_data(json_object(a), member),
                             JSSF_SORT);
    char *t = json_to_string(shash_find_data(json_object(b), member),
                             JSSF_SORT);

    ck_assert_str_eq(s, t);
    free(s);
    free(t);
}

START_TEST(same_again)
{
    struct json *before = record(_i / SIM_N_FAULTS, _i % SIM_N_FAULTS);
    struct json *tasks;
    const struct json *after;
    char *error = vtrace_record_file_replay(name, &tasks);

    ck_assert_msg(!error, "%s", error);
    ck_assert_uint_eq(json_array_size(tasks), 1);
    after = json_array_at(tasks, 0);
    ck_assert_int_eq(vtrace_json_integer(after, "id", 0), 1);
    check_same(before, after, "verdict");
    check_same(before, after, "hops");
    check_same(before, after, "edges");
    check_same(before, after, "evidence");
    json_destroy(before);
    json_destroy(tasks);
}
END_TEST

/* What the switch counted for the rule, and how much of that is sampled, is in
 * the file. */
START_TEST(rule_count)
{
    const struct vtrace_analyzer_config config = VTRACE_ANALYZER_CONFIG_INIT;
    struct vtrace_analyzer *az = vtrace_analyzer_create(&config);
    struct vtrace_watermark w = { .time = 20 * SEC };
    struct vtrace_record_file *rf;
    struct vtrace_exporter *node;
    struct vtrace_analysis *an;
    struct json *before, *tasks;
    char *error = vtrace_record_file_create(name, 1 << 20, az, &rf);

    ck_assert_msg(!error, "%s", error);
    node = vtrace_analyzer_exporter(az, "h1", "");
    vtrace_analyzer_connected(az, node);
    an = vtrace_analysis_create(az, 1);
    ck_assert(vtrace_analysis_listen(an, "", 1, VTRACE_FORWARD, "h1"));
    vtrace_analysis_set_rule_count(an, VTRACE_FORWARD, 6400, 2);
    vtrace_analyzer_watermark(az, node, &w, 20 * SEC);
    vtrace_analysis_stop(an, 10 * SEC);
    before = vtrace_analysis_to_json(an, false);
    ck_assert_ptr_nonnull(strstr(vtrace_json_string(
        shash_find_data(json_object(before), "verdict"), "sampling", ""),
        "took none of 6400"));
    vtrace_analysis_destroy(an);
    vtrace_record_file_close(rf);
    vtrace_analyzer_destroy(az);

    error = vtrace_record_file_replay(name, &tasks);
    ck_assert_msg(!error, "%s", error);
    check_same(before, json_array_at(tasks, 0), "verdict");
    json_destroy(before);
    json_destroy(tasks);
}
END_TEST

static char *
read_file(size_t *size)
{
    FILE *file = fopen(name, "r");
    char *s = xmalloc(1 << 24);

    *size = fread(s, 1, 1 << 24, file);
    fclose(file);
    return s;
}

static void
write_file(const char *s, size_t size)
{
    FILE *file = fopen(name, "w");

    ck_assert_uint_eq(fwrite(s, 1, size, file), size);
    fclose(file);
}

static void
check_error(const char *expected)
{
    struct json *tasks;
    char *error = vtrace_record_file_replay(name, &tasks);

    ck_assert_msg(error && strstr(error, expected), "%s", error);
    ck_assert_ptr_null(tasks);
    free(error);
}

/* Makes the file 's' one of 'version', 0 for files from before there was such
 * a number. */
static void
set_version(char *s, uint16_t version)
{
    uint16_t n_events = VTRACE_N_EVENTS - (version < 3);

    memcpy(s + HEADER_LEN - 4, &n_events, sizeof n_events);
    memcpy(s + HEADER_LEN - 2, &version, sizeof version);
}

START_TEST(other_files)
{
    size_t size;
    char *s;

    write_file("", 0);
    check_error("not a record file");
    write_file("VTraceRF", 8);
    check_error("not a record file");
    json_destroy(record(SIM_VPC, SIM_NONE));
    s = read_file(&size);
    s[8] ^= 1;
    write_file(s, size);
    check_error("another byte order");
    s[8] ^= 1;
    s[12]++;                    /* Size of a record. */
    write_file(s, size);
    check_error("a record file of version 3 with events of another form");
    s[12]--;
    set_version(s, 4);
    write_file(s, size);
    check_error("a record file of version 4, and this vtrace reads none after "
                "3: use the vtrace that belongs to");
    check_error(name);
    free(s);
    unlink(name);
    check_error("No such file");
}
END_TEST

/* Writes a file's beginning, and 'n' times the event of 'type' with name
 * 'node', which is printed with the number if it has a %, of 'domain'. */
static void
write_events(const char *header, int n, uint16_t type, const char *node,
             const char *domain)
{
    FILE *file = fopen(name, "w");

    ck_assert_uint_eq(fwrite(header, HEADER_LEN, 1, file), 1);
    for (int i = 0; i < n; i++) {
        char *s = xasprintf(node, i), *t = xasprintf(domain, i);
        struct event e = {
            .type = type, .has_name = *s != '\0', .has_domain = true,
            .len = (*s ? strlen(s) + 1 : 0) + strlen(t) + 1, .task = i,
        };

        if (type == VTRACE_EVENT_TASK) {
            e.has_domain = e.len = 0;
        }
        fwrite(&e, sizeof e, 1, file);
        if (e.len) {
            fwrite(s, e.has_name ? strlen(s) + 1 : 0, 1, file);
            fwrite(t, strlen(t) + 1, 1, file);
        }
        free(s);
        free(t);
    }
    fclose(file);
}

static void
check_events(const char *header, int n, uint16_t type, const char *node,
             const char *domain, bool ok)
{
    struct json *tasks;
    char *error;

    write_events(header, n, type, node, domain);
    error = vtrace_record_file_replay(name, &tasks);
    ck_assert_msg(!error == ok, "%d events of type %d: %s", n, type, error);
    free(error);
    json_destroy(tasks);
}

/* Names are of a terminal's characters, and neither they nor the domains or
 * tasks are too many. */
START_TEST(names)
{
    char longest[VTRACE_STORE_MAX_NAME + 2];
    size_t size;
    char *s;

    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    json_destroy(record(SIM_VPC, SIM_NONE));
    s = read_file(&size);
    check_events(s, 1, VTRACE_EVENT_NODE, "h1", "east", true);
    check_events(s, 1, VTRACE_EVENT_NODE, "h1", "", true);
    check_events(s, 1, VTRACE_EVENT_NODE, "", "", false);
    check_events(s, 1, VTRACE_EVENT_NODE, "h\0331", "", false);
    check_events(s, 1, VTRACE_EVENT_NODE, "h1", "e\nast", false);
    check_events(s, 1, VTRACE_EVENT_NODE, "h1", longest, false);
    check_events(s, 1, VTRACE_EVENT_NODE, longest, "", false);
    longest[VTRACE_STORE_MAX_NAME] = '\0';
    check_events(s, 1, VTRACE_EVENT_NODE, longest, longest, true);

    check_events(s, VTRACE_RECORD_FILE_DOMAINS, VTRACE_EVENT_NODE, "h1",
                 "d%d", true);
    check_events(s, VTRACE_RECORD_FILE_DOMAINS + 1, VTRACE_EVENT_NODE, "h1",
                 "d%d", false);
    check_events(s, VTRACE_RECORD_FILE_NODES, VTRACE_EVENT_NODE, "h%d", "",
                 true);
    check_events(s, VTRACE_RECORD_FILE_NODES + 1, VTRACE_EVENT_NODE, "h%d",
                 "", false);
    check_events(s, VTRACE_RECORD_FILE_TASKS, VTRACE_EVENT_TASK, "", "",
                 true);
    check_events(s, VTRACE_RECORD_FILE_TASKS + 1, VTRACE_EVENT_TASK, "", "",
                 false);
    free(s);
}
END_TEST

/* Writes the file 's' of 'size' bytes again as one of 'version' whose records
 * are of sampled packets, of which one in 16 is like others, and at whose end
 * the switch has counted 'number' packets, with 'exp'. */
static void
write_sampled(const char *s, size_t size, uint16_t version, uint64_t number,
              int exp)
{
    const struct event count = {
        .type = VTRACE_EVENT_RULE_COUNT, .exp = exp, .task = 1,
        .number = number,
    };
    FILE *file = fopen(name, "w");
    char head[HEADER_LEN];

    memcpy(head, s, sizeof head);
    set_version(head, version);
    fwrite(head, sizeof head, 1, file);
    for (size_t ofs = sizeof head; ofs < size; ) {
        struct vtrace_record r;
        struct event e;
        size_t names_len;

        memcpy(&e, s + ofs, sizeof e);
        ofs += sizeof e;
        fwrite(&e, sizeof e, 1, file);
        names_len = e.len;
        if (e.type == VTRACE_EVENT_RECORD) {
            names_len -= sizeof r;
            memcpy(&r, s + ofs + names_len, sizeof r);
            r.exp = 2;
            r.digest = r.digest % 16 ? r.digest : 42;
        }
        fwrite(s + ofs, 1, names_len, file);
        fwrite(&r, 1, e.len - names_len, file);
        ofs += e.len;
    }
    fwrite(&count, sizeof count, 1, file);
    fclose(file);
}

/* What a file of version 1 says of the rule's count means what it meant: how
 * many packets should have left records, sampled as the records say. */
START_TEST(version_1)
{
    static const struct {
        uint16_t version;
        uint64_t number;
        int exp;
        bool contradiction;
    } cases[] = {
        { 0, 1000, 0, false },
        { 1, 1000, 0, false },
        { 0, 16000, 2, false }, /* Of a version in between. */
        { 2, 16000, 2, false },
        { 2, 1000, 0, true },   /* All left records: so many are missing. */
        { 2, 300, 0, false },
    };
    size_t size;
    char *s;

    json_destroy(record(SIM_VPC, SIM_NONE));
    s = read_file(&size);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct json *tasks;
        const char *reason;
        char *error;

        write_sampled(s, size, cases[i].version, cases[i].number,
                      cases[i].exp);
        error = vtrace_record_file_replay(name, &tasks);
        ck_assert_msg(!error, "%s", error);
        reason = vtrace_json_string(
            vtrace_json_member(json_array_at(tasks, 0), "verdict",
                               JSON_OBJECT), "reason", "");
        ck_assert_msg(!strcmp(reason, "contradiction")
                      == cases[i].contradiction, "case %"PRIuSIZE": %s", i,
                      reason);
        json_destroy(tasks);
    }
    free(s);
}
END_TEST

/* Writes the file 's' of 'size' bytes again as one of 'version', from switches
 * that said of what is invalid to connection tracking that it was denied. */
static void
write_denied(const char *s, size_t size, uint16_t version)
{
    char *t = xmemdup(s, size);

    set_version(t, version);
    for (size_t ofs = HEADER_LEN; ofs < size; ) {
        struct vtrace_record r;
        struct event e;

        memcpy(&e, t + ofs, sizeof e);
        ofs += sizeof e + e.len;
        if (e.type == VTRACE_EVENT_RECORD) {
            memcpy(&r, t + ofs - sizeof r, sizeof r);
            if (r.reason == VTRACE_REASON_CT_INVALID) {
                r.reason = VTRACE_REASON_ACL_DENY;
                r.ct_state |= CS_TRACKED | CS_INVALID;
                memcpy(t + ofs - sizeof r, &r, sizeof r);
            }
        }
    }
    write_file(t, size);
    free(t);
}

/* Who says that something was denied that is invalid to connection tracking. */
START_TEST(version_1_denied)
{
    static const struct {
        uint16_t version;
        const char *reason;
        bool note;
    } cases[] = {
        { 0, "ct-invalid", false },
        { 1, "ct-invalid", false },
        { 2, "acl-deny", true },
    };
    size_t size;
    char *s;

    json_destroy(record(SIM_VPC, SIM_CT_INVALID));
    s = read_file(&size);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct json *verdict;
        struct json *tasks;
        char *error;

        write_denied(s, size, cases[i].version);
        error = vtrace_record_file_replay(name, &tasks);
        ck_assert_msg(!error, "%s", error);
        verdict = vtrace_json_member(json_array_at(tasks, 0), "verdict",
                                     JSON_OBJECT);
        ck_assert_str_eq(vtrace_json_string(verdict, "reason", ""),
                         cases[i].reason);
        ck_assert(!vtrace_json_string(verdict, "conntrack", NULL)
                  == !cases[i].note);
        json_destroy(tasks);
    }
    free(s);
}
END_TEST

/* Makes the byte at 'ofs' of the first record in a file 'byte', and returns
 * what a replay says. */
static char *
change_record(size_t ofs, char byte, struct json **tasks)
{
    size_t size;
    char *s, *p, *error;

    json_destroy(record(SIM_VPC, SIM_NONE));
    s = read_file(&size);
    p = memmem(s, size, "br-int", sizeof "br-int");
    ck_assert_ptr_nonnull(p);
    (p - offsetof(struct vtrace_record, bridge))[ofs] = byte;
    write_file(s, size);
    free(s);
    error = vtrace_record_file_replay(name, tasks);
    ck_assert(!error != !*tasks);
    return error;
}

/* What a record has is checked as if a switch had sent it. */
START_TEST(records)
{
    struct json *tasks;
    char *error, *s;

    error = change_record(offsetof(struct vtrace_record, bridge) + 1, '\033',
                          &tasks);
    ck_assert_msg(!error, "%s", error);
    s = json_to_string(tasks, 0);
    ck_assert_ptr_nonnull(strstr(s, "\"b?-int\""));
    ck_assert_ptr_null(strstr(s, "u001b"));
    free(s);
    json_destroy(tasks);

    error = change_record(offsetof(struct vtrace_record, role), 7, &tasks);
    ck_assert_msg(error && strstr(error, "out of range"), "%s", error);
    free(error);
}
END_TEST

/* One that is cut off is good up to there. */
START_TEST(cut_off)
{
    size_t size;
    char *s;

    json_destroy(record(SIM_PEERING, SIM_ACL));
    s = read_file(&size);
    for (int i = 0; i < 20; i++) {
        struct json *tasks;
        char *error;

        write_file(s, 4000 + random_range(size - 4000));
        error = vtrace_record_file_replay(name, &tasks);
        ck_assert_msg(!error, "%s", error);
        ck_assert_uint_eq(json_array_size(tasks), 1);
        ck_assert_str_eq(vtrace_json_string(json_array_at(tasks, 0), "state",
                                            ""), "running");
        json_destroy(tasks);
    }
    free(s);
}
END_TEST

/* Any bytes: an error, or some result. */
START_TEST(damaged)
{
    size_t size, n_errors = 0;
    char *s, *copy;

    json_destroy(record(SIM_PEERING, SIM_SPINE_LOSSY));
    s = read_file(&size);
    copy = xmalloc(size);
    for (int i = 0; i < 100; i++) {
        struct json *tasks;
        char *error;

        memcpy(copy, s, size);
        for (int j = 0; j < 1 << (i % 8); j++) {
            copy[32 + random_range(size - 32)] = random_uint32();
        }
        write_file(copy, size);
        error = vtrace_record_file_replay(name, &tasks);
        ck_assert(!error != !tasks);
        n_errors += error != NULL;
        free(error);
        json_destroy(tasks);
    }
    ck_assert_uint_gt(n_errors, 10);
    free(copy);
    free(s);
}
END_TEST

START_TEST(too_large)
{
    const struct vtrace_analyzer_config config = VTRACE_ANALYZER_CONFIG_INIT;
    struct vtrace_analyzer *az = vtrace_analyzer_create(&config);
    struct vtrace_record_file *rf;
    size_t size;
    char *error = vtrace_record_file_create(name, 1000, az, &rf);

    ck_assert_msg(!error, "%s", error);
    for (int i = 0; i < 1000; i++) {
        vtrace_analyzer_run(az, i);
    }
    vtrace_record_file_close(rf);
    vtrace_analyzer_destroy(az);
    free(read_file(&size));
    ck_assert_uint_gt(size, 900);
    ck_assert_uint_le(size, 1000);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("vtrace-record-file");
    TCase *tc = unit_case(suite, "record files", 120);

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, same_again, 0, SIM_N_SCENARIOS * SIM_N_FAULTS);
    tcase_add_test(tc, rule_count);
    tcase_add_test(tc, other_files);
    tcase_add_test(tc, version_1);
    tcase_add_test(tc, version_1_denied);
    tcase_add_test(tc, names);
    tcase_add_test(tc, records);
    tcase_add_test(tc, cut_off);
    tcase_add_test(tc, damaged);
    tcase_add_test(tc, too_large);
    return unit_run(suite);
}
