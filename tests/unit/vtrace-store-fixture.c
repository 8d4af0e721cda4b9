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

#include <config.h>
#include "vtrace-store-fixture.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util.h"
#include "vtrace/fault.h"

struct vtrace_store *store;

static char dir[] = "/tmp/zoo-test-store.XXXXXX";
static char file[sizeof dir + 16];
const char *store_file = file;

const struct vtrace_quota store_quota = { .max_tasks = 3, .max_kept = 4 };

void
store_check_ok(const char *call, char *error)
{
    if (error) {
        ck_abort_msg("%s: %s", call, error);
    }
}

void
store_check_error(char *error, const char *expected)
{
    ck_assert_msg(error != NULL, "successful, not: %s", expected);
    ck_assert_msg(strstr(error, expected) != NULL, "\"%s\" lacks \"%s\"",
                  error, expected);
    free(error);
}

void
store_reopen(void)
{
    vtrace_store_close(store);
    OK(vtrace_store_open(file, 0x1234, &store));
}

void
store_setup(void)
{
    vtrace_fault_set(NULL);
    strcpy(dir + strlen(dir) - 6, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(file, sizeof file, "%s/store", dir);
    store = NULL;
    store_reopen();
    OK(vtrace_store_add_node(store, "h1", "unix:/run/%b.mgmt", "", false));
    OK(vtrace_store_add_node(store, "h2", "tcp:192.0.2.2:6653", "", false));
    OK(vtrace_store_add_node(store, "x1", "tcp:192.0.2.3:6653", "other",
                             false));
}

void
store_teardown(void)
{
    DIR *d;

    OK(vtrace_store_check(store));
    vtrace_store_close(store);
    d = opendir(dir);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (e->d_name[0] != '.') {
            char *name = xasprintf("%s/%s", dir, e->d_name);

            unlink(name);
            free(name);
        }
    }
    closedir(d);
    ck_assert_int_eq(rmdir(dir), 0);
}

struct vtrace_request
store_request(const char *tenant, const char *node, uint16_t dport)
{
    struct vtrace_request request = {
        .entry = { .bridge = "br-int", .port = "vm1" },
        .match = { .proto = IPPROTO_TCP, .dport = dport },
        .duration = 10000,
        .exp = 1,
    };

    ovs_strlcpy(request.tenant, tenant, sizeof request.tenant);
    ovs_strlcpy(request.entry.node, node, sizeof request.entry.node);
    inet_pton(AF_INET6, "::ffff:10.0.0.1", &request.match.src);
    inet_pton(AF_INET6, "::ffff:10.0.0.2", &request.match.dst);
    return request;
}

int64_t
store_create(const char *tenant, const char *node, uint16_t dport)
{
    struct vtrace_request request = store_request(tenant, node, dport);
    int64_t id;

    OK(vtrace_store_create(store, &request, &store_quota, NOW, 100, &id));
    return id;
}

char *
store_try_create(const char *tenant, const char *node, uint16_t dport,
                 int64_t now)
{
    struct vtrace_request request = store_request(tenant, node, dport);
    int64_t id;

    return vtrace_store_create(store, &request, &store_quota, now, 100, &id);
}

struct vtrace_task *
store_get(int64_t id)
{
    struct vtrace_task *task;

    OK(vtrace_store_get(store, NULL, id, &task));
    return task;
}

void
store_check_state(int64_t id, enum vtrace_state state,
            enum vtrace_rule_state rule_state)
{
    struct vtrace_task *task = store_get(id);

    ck_assert_str_eq(vtrace_state_to_string(task->state),
                     vtrace_state_to_string(state));
    ck_assert_int_eq(task->rules[0].state, rule_state);
    vtrace_task_destroy(task);
    OK(vtrace_store_check(store));
}

size_t
store_count(const char *tenant, enum vtrace_which which)
{
    int64_t *ids;
    size_t n;

    OK(vtrace_store_list(store, tenant, which, &ids, &n));
    free(ids);
    return n;
}

void
store_run_to(int64_t id, enum vtrace_state state)
{
    if (state >= VTRACE_READY) {
        OK(vtrace_store_ready(store, id, NOW + 10));
    }
    if (state >= VTRACE_DEPLOYED) {
        OK(vtrace_store_deploy(store, id, VTRACE_FORWARD, NOW + 15000,
                               NOW + 20));
    }
    if (state >= VTRACE_RUNNING) {
        OK(vtrace_store_installed(store, id, VTRACE_FORWARD, NOW + 30));
    }
    if (state >= VTRACE_DONE) {
        OK(vtrace_store_end(store, id, state, NULL, "{}", NOW + 10030));
    }
}
