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

/* The task store: the handshake, colors, tenants. */

#include <config.h>
#include "unit.h"

#include <netinet/in.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "packets.h"
#include "random.h"
#include "timeval.h"
#include "util.h"
#include "vtrace-store-fixture.h"
#include "vtrace/node-address.h"
#include "vtrace/store.h"

/* Nodes. */

#define NODE(TARGET) { .target = CONST_CAST(char *, TARGET) }

START_TEST(node_by_address)
{
    const struct vtrace_store_node nodes[] = {
        NODE("tcp:10.0.0.1:6653"),
        NODE("tcp:10.0.0.2:6653"),
        NODE("ssl:10.0.0.2"),
        NODE("tcp:[fd00:0:0::1]:6653"),
        NODE("unix:/br0.mgmt"),
        NODE("tcp:10.0.0.11:6653"),
    };
    const struct vtrace_store_node *found;

    ck_assert_uint_eq(vtrace_nodes_at(nodes, 6, "10.0.0.1", &found), 1);
    ck_assert_ptr_eq(found, &nodes[0]);
    ck_assert_uint_eq(vtrace_nodes_at(nodes, 6, "10.0.0.2", &found), 2);
    ck_assert_uint_eq(vtrace_nodes_at(nodes, 6, "fd00::1", &found), 1);
    ck_assert_ptr_eq(found, &nodes[3]);
    ck_assert_uint_eq(vtrace_nodes_at(nodes, 6, "::ffff:10.0.0.1", &found),
                      1);
    ck_assert_uint_eq(vtrace_nodes_at(nodes, 6, "10.0.0.3", &found), 0);
    ck_assert_ptr_null(found);
    ck_assert_uint_eq(vtrace_nodes_at(nodes, 6, "", &found), 0);
    ck_assert_uint_eq(vtrace_nodes_at(nodes, 0, "10.0.0.1", &found), 0);
}
END_TEST

/* Handshake. */

START_TEST(handshake)
{
    int64_t id = store_create("red", "h1", 80);
    struct vtrace_task *task;

    store_check_state(id, VTRACE_NEW, VTRACE_RULE_WANTED);
    OK(vtrace_store_ready(store, id, NOW + 10));
    store_check_state(id, VTRACE_READY, VTRACE_RULE_WANTED);
    OK(vtrace_store_deploy(store, id, VTRACE_FORWARD, NOW + 15000, NOW + 20));
    store_check_state(id, VTRACE_DEPLOYED, VTRACE_RULE_SENT);
    OK(vtrace_store_installed(store, id, VTRACE_FORWARD, NOW + 30));
    store_check_state(id, VTRACE_RUNNING, VTRACE_RULE_INSTALLED);
    OK(vtrace_store_end(store, id, VTRACE_DONE, NULL, "{\"a\":1}",
                        NOW + 10030));
    store_check_state(id, VTRACE_DONE, VTRACE_RULE_REMOVING);
    ck_assert_int_eq(store_count(NULL, VTRACE_UNENDED), 0);
    ck_assert_int_eq(store_count(NULL, VTRACE_UNSETTLED), 1);
    OK(vtrace_store_rule_gone(store, id, VTRACE_FORWARD, NOW + 10040));
    store_check_state(id, VTRACE_DONE, VTRACE_RULE_GONE);
    ck_assert_int_eq(store_count(NULL, VTRACE_UNSETTLED), 0);

    store_reopen();
    task = store_get(id);
    ck_assert_int_eq(task->created, NOW);
    ck_assert_int_eq(task->ready, NOW + 10);
    ck_assert_int_eq(task->deployed, NOW + 20);
    ck_assert_int_eq(task->running, NOW + 30);
    ck_assert_int_eq(task->ends, NOW + 10030);
    ck_assert_int_eq(task->ended, NOW + 10030);
    ck_assert_str_eq(task->result, "{\"a\":1}");
    ck_assert_ptr_null(task->reason);
    ck_assert_str_eq(task->request.tenant, "red");
    ck_assert_str_eq(task->request.entry.port, "vm1");
    ck_assert_int_eq(task->request.match.dport, 80);
    ck_assert_int_eq(task->request.duration, 10000);
    ck_assert_int_eq(task->request.exp, 1);
    ck_assert_int_eq(task->rules[0].color, 101);
    ck_assert_int_eq(task->rules[0].expires, NOW + 15000);
    vtrace_task_destroy(task);
}
END_TEST

/* What a running task has seen is saved, in the place of what was before, and
 * gone when it ends. */
START_TEST(saves)
{
    int64_t id = store_create("red", "h1", 80), at;
    struct vtrace_store_saved saved[] = {
        { id, CONST_CAST(char *, "{\"a\":1}") }, { 99, saved[0].result }
    };
    char *result;

    /* Only of tasks that run. */
    OK(vtrace_store_save(store, saved, 2, NOW));
    store_run_to(id, VTRACE_RUNNING);
    OK(vtrace_store_get_saved(store, id, &result, &at));
    ck_assert_ptr_null(result);

    OK(vtrace_store_save(store, saved, 2, NOW + 1000));
    saved[0].result = CONST_CAST(char *, "{\"a\":2}");
    OK(vtrace_store_save(store, saved, 1, NOW + 2000));
    OK(vtrace_store_check(store));
    store_reopen();
    OK(vtrace_store_get_saved(store, id, &result, &at));
    ck_assert_str_eq(result, "{\"a\":2}");
    ck_assert_int_eq(at, NOW + 2000);
    free(result);
    OK(vtrace_store_get_saved(store, 99, &result, &at));
    ck_assert_ptr_null(result);

    OK(vtrace_store_end(store, id, VTRACE_FAILED, "why", "{}", NOW + 3000));
    OK(vtrace_store_get_saved(store, id, &result, &at));
    ck_assert_ptr_null(result);
    OK(vtrace_store_save(store, saved, 1, NOW + 4000));
    OK(vtrace_store_get_saved(store, id, &result, &at));
    ck_assert_ptr_null(result);
}
END_TEST

/* Returns the size of the store's file whose name ends with 'suffix'. */
static int64_t
file_size(const char *suffix)
{
    char *name = xasprintf("%s%s", store_file, suffix);
    struct stat s;

    ck_assert_int_eq(stat(name, &s), 0);
    free(name);
    return s.st_size;
}

static char *
some_text(size_t len)
{
    char *text = xmalloc(len + 1);

    for (size_t i = 0; i < len; i++) {
        text[i] = 'a' + random_range(26);
    }
    text[len] = '\0';
    return text;
}

/* What saving costs, and that it takes no room but that of what is saved, how
 * long ever a task runs. */
START_TEST(saved_often)
{
    enum { N = 100, ROUNDS = 300, LEN = 8000 };
    struct vtrace_quota many = { .max_tasks = N, .max_kept = N };
    struct vtrace_store_saved saved[N];
    int64_t early = 0, early_log = 0;
    long long int took = 0;

    for (int i = 0; i < N; i++) {
        struct vtrace_request request = store_request("red", "h1", i + 1);

        OK(vtrace_store_create(store, &request, &many, NOW, i,
                               &saved[i].id));
        store_run_to(saved[i].id, VTRACE_RUNNING);
    }
    for (int round = 0; round < ROUNDS; round++) {
        long long int begin;

        for (int i = 0; i < N; i++) {
            saved[i].result = some_text(LEN / 2 + random_range(LEN));
        }
        begin = time_usec();
        OK(vtrace_store_save(store, saved, N, NOW + round * 1000));
        took += time_usec() - begin;
        for (int i = 0; i < N; i++) {
            free(saved[i].result);
        }
        if (round == ROUNDS / 10) {
            early = file_size("");
            early_log = file_size("-wal");
        }
    }
    printf("saving %d running tasks of %d bytes: %.1f ms; after %d times the "
           "store has %.1f MB, after %d %.1f MB, and its log %.1f MB\n", N,
           LEN, took / 1e3 / ROUNDS, ROUNDS / 10, early / 1e6, ROUNDS,
           file_size("") / 1e6, file_size("-wal") / 1e6);
    ck_assert_int_le(file_size(""), early + early / 5);
    ck_assert_int_le(file_size("-wal"), early_log + early_log / 5);
    ck_assert_int_le(file_size(""), 3 * N * LEN);
}
END_TEST

/* From each state, each step either is the next one, or one already taken, or
 * is refused and changes nothing. */
START_TEST(only_these_steps)
{
    for (enum vtrace_state from = VTRACE_NEW; from <= VTRACE_EXPIRED; from++) {
        for (enum vtrace_state to = VTRACE_READY; to <= VTRACE_EXPIRED; to++) {
            int64_t id = store_create("red", "h1", 80);
            struct vtrace_task *before, *after;
            bool allowed = to == from || to == from + 1
                           || (to > VTRACE_DONE && from < VTRACE_DONE)
                           || (to >= VTRACE_DONE && from >= VTRACE_DONE);
            char *error;

            if (from >= VTRACE_DONE) {
                store_run_to(id, VTRACE_RUNNING);
                OK(vtrace_store_end(store, id, from, "first", NULL, NOW));
                allowed = to >= VTRACE_DONE;
            } else {
                store_run_to(id, from);
            }
            before = store_get(id);
            error = to == VTRACE_READY
                    ? vtrace_store_ready(store, id, NOW + 50)
                    : to == VTRACE_DEPLOYED
                    ? vtrace_store_deploy(store, id, VTRACE_FORWARD,
                                          NOW + 15000, NOW + 50)
                    : to == VTRACE_RUNNING
                    ? vtrace_store_installed(store, id, VTRACE_FORWARD,
                                             NOW + 50)
                    : vtrace_store_end(store, id, to, "second", NULL,
                                       NOW + 50);
            after = store_get(id);
            unit_assert(!error == allowed, "%s to %s: %s",
                        vtrace_state_to_string(from),
                        vtrace_state_to_string(to), error);
            if (!allowed || from >= VTRACE_DONE) {
                ck_assert_int_eq(before->state, after->state);
                ck_assert_int_eq(before->ended, after->ended);
                ck_assert_pstr_eq(before->reason, after->reason);
                ck_assert_int_eq(before->rules[0].state,
                                 after->rules[0].state);
            } else {
                ck_assert_int_eq(after->state, to);
            }
            free(error);
            OK(vtrace_store_check(store));
            vtrace_task_destroy(before);
            vtrace_task_destroy(after);

            OK(vtrace_store_end(store, id, VTRACE_FAILED, "", NULL, NOW));
            OK(vtrace_store_rule_gone(store, id, VTRACE_FORWARD, NOW));
        }
    }
}
END_TEST

/* What another program writes cannot break the handshake either. */
START_TEST(database_refuses)
{
    static const char *const statements[] = {
        "UPDATE tasks SET state = 'running'",
        "UPDATE tasks SET state = 'done'",
        "UPDATE tasks SET state = 'deployed'",
        "UPDATE tasks SET state = 'bad'",
        "UPDATE rules SET state = 1",
        "UPDATE rules SET state = 2",
        ("INSERT INTO tasks (id, tenant, domain, state, duration, exp, both, "
         "inject, created) VALUES (9, 'red', '', 'running', 1, 1, 1, 1, 1)"),
    };
    int64_t id = store_create("red", "h1", 80);
    sqlite3 *db;

    ck_assert_int_eq(sqlite3_open(store_file, &db), SQLITE_OK);
    for (size_t i = 0; i < ARRAY_SIZE(statements); i++) {
        ck_assert_msg(sqlite3_exec(db, statements[i], NULL, NULL, NULL)
                      == SQLITE_CONSTRAINT, "%s", statements[i]);
    }
    sqlite3_close(db);
    store_check_state(id, VTRACE_NEW, VTRACE_RULE_WANTED);
}
END_TEST

/* After a restart, say, that did not know how far the first attempt got. */
START_TEST(repeated_steps)
{
    int64_t id = store_create("red", "h1", 80);
    struct vtrace_task *task;

    for (int i = 0; i < 2; i++) {
        OK(vtrace_store_ready(store, id, NOW + 10 + i));
        store_reopen();
    }
    for (int i = 0; i < 2; i++) {
        OK(vtrace_store_deploy(store, id, VTRACE_FORWARD, NOW + 15000 + i,
                               NOW + 20 + i));
        store_reopen();
    }
    for (int i = 0; i < 2; i++) {
        OK(vtrace_store_installed(store, id, VTRACE_FORWARD, NOW + 30 + i));
        store_reopen();
    }
    task = store_get(id);
    ck_assert_int_eq(task->ready, NOW + 10);
    ck_assert_int_eq(task->deployed, NOW + 20);
    ck_assert_int_eq(task->running, NOW + 30);
    ck_assert_int_eq(task->ends, NOW + 30 + 10000);
    /* The rule that was sent again lives longer. */
    ck_assert_int_eq(task->rules[0].expires, NOW + 15001);
    vtrace_task_destroy(task);
}
END_TEST

START_TEST(expiry)
{
    int64_t new = store_create("red", "h1", 80);
    int64_t deployed = store_create("red", "h1", 81);
    int64_t running = store_create("red", "h1", 82);

    store_run_to(deployed, VTRACE_DEPLOYED);
    store_run_to(running, VTRACE_RUNNING);
    OK(vtrace_store_run(store, NOW + VTRACE_STORE_START_MS));
    store_check_state(new, VTRACE_NEW, VTRACE_RULE_WANTED);
    OK(vtrace_store_run(store, NOW + VTRACE_STORE_START_MS + 1));
    store_check_state(new, VTRACE_EXPIRED, VTRACE_RULE_GONE);
    /* Sent at NOW + 20 to be gone at NOW + 15000, which has passed too. */
    store_check_state(deployed, VTRACE_EXPIRED, VTRACE_RULE_GONE);
    store_check_state(running, VTRACE_RUNNING, VTRACE_RULE_INSTALLED);

    /* The clock is set back. */
    new = store_create("red", "h1", 80);
    OK(vtrace_store_run(store, NOW - VTRACE_STORE_START_MS));
    store_check_state(new, VTRACE_NEW, VTRACE_RULE_WANTED);
    OK(vtrace_store_run(store, NOW - VTRACE_STORE_START_MS - 1));
    store_check_state(new, VTRACE_EXPIRED, VTRACE_RULE_GONE);
}
END_TEST

/* Both directions. */

START_TEST(reverse)
{
    struct vtrace_request back = store_request("red", "h2", 0);
    int64_t id = store_create("red", "h1", 80);
    struct vtrace_task *task;

    store_check_error(vtrace_store_add_reverse(store, id, &back.entry,
                                               &back.match, NOW, 100),
                      "not running");
    store_run_to(id, VTRACE_RUNNING);
    OK(vtrace_store_add_reverse(store, id, &back.entry, &back.match, NOW,
                                100));
    /* Again: nothing happens. */
    OK(vtrace_store_add_reverse(store, id, &back.entry, &back.match, NOW,
                                100));
    task = store_get(id);
    ck_assert_int_eq(task->n_rules, 2);
    ck_assert_int_ne(task->rules[0].color, task->rules[1].color);
    ck_assert_uint_eq(task->rules[1].cookie, task->rules[0].cookie + 1);
    ck_assert_str_eq(task->rules[1].entry.node, "h2");
    vtrace_task_destroy(task);

    store_check_error(vtrace_store_installed(store, id, VTRACE_REVERSE, NOW),
                "not in the state");
    OK(vtrace_store_deploy(store, id, VTRACE_REVERSE, NOW + 15000, NOW));
    OK(vtrace_store_installed(store, id, VTRACE_REVERSE, NOW));
    OK(vtrace_store_check(store));
    OK(vtrace_store_end(store, id, VTRACE_DONE, NULL, NULL, NOW));
    OK(vtrace_store_rule_gone(store, id, VTRACE_FORWARD, NOW));
    ck_assert_int_eq(store_count(NULL, VTRACE_UNSETTLED), 1);
    OK(vtrace_store_rule_gone(store, id, VTRACE_REVERSE, NOW));
    ck_assert_int_eq(store_count(NULL, VTRACE_UNSETTLED), 0);
}
END_TEST

START_TEST(cookies)
{
    enum vtrace_direction direction;
    int64_t id = store_create("red", "h1", 80);
    struct vtrace_task *task = store_get(id);
    uint64_t mask, value = vtrace_store_cookies(store, &mask);

    ck_assert_uint_eq(task->rules[0].cookie & mask, value);
    ck_assert_int_eq(vtrace_store_cookie_task(task->rules[0].cookie,
                                              &direction), id);
    ck_assert_int_eq(direction, VTRACE_FORWARD);
    ck_assert_int_eq(vtrace_store_cookie_task(task->rules[0].cookie | 1,
                                              &direction), id);
    ck_assert_int_eq(direction, VTRACE_REVERSE);
    vtrace_task_destroy(task);

    /* A store keeps its cookies. */
    vtrace_store_close(store);
    OK(vtrace_store_open(store_file, 0x4321, &store));
    ck_assert_uint_eq(vtrace_store_cookies(store, &mask), value);
}
END_TEST

/* Colors. */

START_TEST(colors_rest)
{
    int64_t a = store_create("red", "h1", 80);
    int64_t b = store_create("red", "h1", 81);
    int64_t c = store_create("blue", "x1", 80);
    struct vtrace_task *task;

    task = store_get(a);
    ck_assert_int_eq(task->rules[0].color, 101);
    vtrace_task_destroy(task);
    task = store_get(b);
    ck_assert_int_eq(task->rules[0].color, 102);
    vtrace_task_destroy(task);
    /* Another domain has colors of its own. */
    task = store_get(c);
    ck_assert_int_eq(task->rules[0].color, 101);
    ck_assert_str_eq(task->domain, "other");
    vtrace_task_destroy(task);

    store_run_to(a, VTRACE_DONE);
    OK(vtrace_store_rule_gone(store, a, VTRACE_FORWARD, NOW + 10050));
    for (int i = 0; i < 3; i++) {
        struct vtrace_request request = store_request("red", "h1", 80);
        int64_t times[] = { NOW + 10051,
                            NOW + 10050 + VTRACE_STORE_REST_MS - 1,
                            NOW + 10050 + VTRACE_STORE_REST_MS };
        int64_t id;

        OK(vtrace_store_create(store, &request, &store_quota, times[i], 100,
                               &id));
        task = store_get(id);
        ck_assert_int_eq(task->rules[0].color, i < 2 ? 103 : 101);
        vtrace_task_destroy(task);
        if (i < 2) {
            /* Never deployed, but may have been looked for: it rests too. */
            OK(vtrace_store_end(store, id, VTRACE_FAILED, "", NULL,
                                NOW - VTRACE_STORE_REST_MS));
        }
    }
}
END_TEST

/* A rule that could not be removed keeps its color until its hard_timeout. */
START_TEST(colors_of_lost_rules)
{
    int64_t id = store_create("red", "h1", 80);

    store_run_to(id, VTRACE_DONE);
    OK(vtrace_store_run(store, NOW + 14999));
    store_check_state(id, VTRACE_DONE, VTRACE_RULE_REMOVING);
    store_check_error(store_try_create("blue", "h1", 80, NOW + 14999),
                      "traced already");
    OK(vtrace_store_run(store, NOW + 20000));
    store_check_state(id, VTRACE_DONE, VTRACE_RULE_GONE);
    OK(store_try_create("blue", "h1", 80, NOW + 20000));
}
END_TEST

START_TEST(colors_used_up)
{
    struct vtrace_quota many = { .max_tasks = 5000, .max_kept = 0 };
    bool seen[VTRACE_STORE_MAX_COLOR + 1] = { false };
    int64_t id;

    for (int i = 1; i <= VTRACE_STORE_MAX_COLOR; i++) {
        struct vtrace_request request = store_request("red", "h1", i);
        struct vtrace_task *task;

        OK(vtrace_store_create(store, &request, &many, NOW, i * 2654435761u,
                               &id));
        task = store_get(id);
        ck_assert(!seen[task->rules[0].color]);
        seen[task->rules[0].color] = true;
        vtrace_task_destroy(task);
    }
    struct vtrace_request request = store_request("red", "h1", 5000);
    store_check_error(vtrace_store_create(store, &request, &many, NOW, 0, &id),
                "no color is free");
    ck_assert_int_eq(store_count("red", VTRACE_ALL), VTRACE_STORE_MAX_COLOR);
}
END_TEST

/* Tenants. */

START_TEST(isolation)
{
    int64_t id = store_create("red", "h1", 80);
    struct vtrace_task *task;
    char *error, *none;

    OK(vtrace_store_get(store, "red", id, &task));
    vtrace_task_destroy(task);
    error = vtrace_store_get(store, "blue", id, &task);
    ck_assert_ptr_null(task);
    none = vtrace_store_get(store, "blue", id + 1, &task);
    ck_assert_str_eq(error, "1: no such task");
    ck_assert_str_eq(none, "2: no such task");
    free(error);
    free(none);

    store_create("blue", "h2", 80);
    ck_assert_int_eq(store_count("red", VTRACE_ALL), 1);
    ck_assert_int_eq(store_count("green", VTRACE_ALL), 0);
    ck_assert_int_eq(store_count(NULL, VTRACE_ALL), 2);
}
END_TEST

START_TEST(overlap)
{
    struct vtrace_request request;
    int64_t id;
    char *error;

    store_create("red", "h1", 80);
    error = store_try_create("blue", "h1", 80, NOW);
    ck_assert_ptr_nonnull(error);
    ck_assert_ptr_null(strstr(error, "red"));
    store_check_error(error, "h1/br-int/vm1: these packets, or some of them, "
                      "are traced already");
    store_check_error(store_try_create("blue", "h1", 0, NOW),
                      "traced already");
    OK(store_try_create("blue", "h1", 81, NOW));
    OK(store_try_create("blue", "h2", 80, NOW));

    request = store_request("green", "h1", 0);
    request.match.proto = 0;
    store_check_error(vtrace_store_create(store, &request, &store_quota,
                                          NOW, 1, &id), "traced already");
    request.match.proto = IPPROTO_UDP;
    OK(vtrace_store_create(store, &request, &store_quota, NOW, 1, &id));
    request = store_request("green", "h1", 80);
    request.match.vlan = 5;
    store_check_error(vtrace_store_create(store, &request, &store_quota,
                                          NOW, 1, &id), "traced already");
    request.match.src = request.match.dst;
    OK(vtrace_store_create(store, &request, &store_quota, NOW, 1, &id));
    request.match.vlan = 6;
    OK(vtrace_store_create(store, &request, &store_quota, NOW, 1, &id));
}
END_TEST

/* Either number of ICMP stands for that of the addresses. */
START_TEST(overlap_icmp)
{
    for (int v6 = 0; v6 < 2; v6++) {
        struct vtrace_request request = store_request("red", "h1", 0);
        struct vtrace_task *task;
        int64_t id;

        request.match.src = request.match.dst;
        request.match.dst = in6addr_any;
        request.match.proto = v6 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
        if (v6) {
            request.match.src.s6_addr[0] = 0xfd;
        }
        OK(vtrace_store_create(store, &request, &store_quota, NOW, 1, &id));
        task = store_get(id);
        ck_assert_int_eq(task->request.match.proto,
                         v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
        vtrace_task_destroy(task);
        request.match.proto = v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
        store_check_error(vtrace_store_create(store, &request, &store_quota,
                                              NOW, 1, &id), "traced already");
    }
}
END_TEST

START_TEST(quotas)
{
    int64_t id = 0;

    for (int i = 0; i < 3; i++) {
        id = store_create("red", "h1", 80 + i);
    }
    store_check_error(store_try_create("red", "h1", 90, NOW),
                      "no more than 3");
    OK(store_try_create("blue", "h1", 90, NOW));
    store_run_to(id, VTRACE_DONE);
    /* Its rule is still there. */
    store_check_error(store_try_create("red", "h1", 91, NOW),
                      "no more than 3");
    OK(vtrace_store_rule_gone(store, id, VTRACE_FORWARD, NOW));
    for (int i = 0; i < 10; i++) {
        id = store_create("red", "h1", 100 + i);
        OK(vtrace_store_end(store, id, VTRACE_FAILED, "x", NULL, NOW));
    }
    /* Two run, four are kept, and one more until the next is created. */
    ck_assert_int_eq(store_count("red", VTRACE_ALL), 2 + 4 + 1);
    ck_assert_int_eq(store_count("blue", VTRACE_ALL), 1);
    vtrace_task_destroy(store_get(id));
}
END_TEST

START_TEST(bad_requests)
{
    struct vtrace_request request;
    int64_t id;

#define REFUSED(CHANGE, ERROR)                                          \
    request = store_request("red", "h1", 80);                            \
    CHANGE;                                                             \
    store_check_error(vtrace_store_create(store, &request,              \
                                          &store_quota, NOW, 1, &id),   \
                      ERROR)
    REFUSED(request.tenant[0] = '\0', "tenant: the name is empty");
    REFUSED(strcpy(request.tenant, "a b"), "tenant: only letters");
    REFUSED(strcpy(request.entry.node, "h9"), "node h9: no such node");
    REFUSED(strcpy(request.entry.port, "a;b"), "port: only letters");
    REFUSED(request.duration = 999, "duration: 0.999 is out of range");
    REFUSED(request.duration = INT64_MAX, "out of range 1..65000");
    REFUSED(request.exp = 8, "exp: 8 is out of range 0..7");
    REFUSED(request.inject = -1, "inject: -1");
    REFUSED(request.match.vlan = 4095, "vlan: 4095");
    REFUSED(request.match.proto = IPPROTO_ICMP, "ports are of tcp");
    REFUSED(request.match.dst = in6addr_loopback, "one is IPv4");
    ck_assert_int_eq(store_count(NULL, VTRACE_ALL), 0);
}
END_TEST

START_TEST(nodes)
{
    struct vtrace_store_node *list;
    int64_t id;
    size_t n;

    OK(vtrace_store_nodes(store, NULL, &list, &n));
    ck_assert_int_eq(n, 3);
    ck_assert_str_eq(list[0].name, "h1");
    ck_assert_str_eq(list[1].target, "tcp:192.0.2.2:6653");
    ck_assert_str_eq(list[2].domain, "other");
    vtrace_store_nodes_destroy(list, n);

    id = store_create("red", "h1", 80);
    store_check_error(vtrace_store_remove_node(store, "h1"), "1 tasks use it");
    ck_assert(vtrace_store_node_is_used(store, "h1"));
    ck_assert(!vtrace_store_node_is_used(store, "h2"));
    OK(vtrace_store_add_node(store, "h1", "unix:/run/%b.mgmt", "", true));
    store_check_error(vtrace_store_add_node(store, "h1", "unix:/run/%b.mgmt",
                                            "other", true), "1 tasks use it");
    store_check_error(vtrace_store_add_node(store, "h1", "tcp:192.0.2.9:6653",
                                            "", true), "1 tasks use it");
    OK(vtrace_store_end(store, id, VTRACE_FAILED, "", NULL, NOW));
    OK(vtrace_store_remove_node(store, "h1"));
    store_check_error(vtrace_store_remove_node(store, "h1"), "no such node");
    store_check_error(vtrace_store_add_node(store, "h/1", "tcp:a", "", false),
                "only letters");
    store_check_error(vtrace_store_add_node(store, "h1", "tcp: a", "", false),
                "not an OpenFlow target");
    store_check_error(vtrace_store_add_node(store, "h1", "br-int", "", false),
                "not an OpenFlow target");
    OK(vtrace_store_add_node(store, "h2", "ssl:192.0.2.2:6653", "", true));
    OK(vtrace_store_nodes(store, "h2", &list, &n));
    ck_assert_int_eq(n, 1);
    ck_assert_str_eq(list[0].target, "ssl:192.0.2.2:6653");
    ck_assert(list[0].from_file);
    vtrace_store_nodes_destroy(list, n);
}
END_TEST

/* Files. */

/* Adds the border at port "tun" of br-tun of 'node'. */
static char *
add_border(const char *node, const char *domain)
{
    struct vtrace_entry at = { .bridge = "br-tun", .port = "tun" };

    ovs_strlcpy(at.node, node, sizeof at.node);
    return vtrace_store_add_border(store, &at, domain, false);
}

/* h1 and h2 are in one domain, x1 in another. */
static void
add_borders(void)
{
    OK(add_border("h2", "other"));
    OK(add_border("x1", ""));
}

static uint16_t
color_in(int64_t id, enum vtrace_direction direction, const char *domain)
{
    struct vtrace_color *colors;
    uint16_t color = 0;
    size_t n;

    OK(vtrace_store_colors(store, id, direction, &colors, &n));
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(colors[i].domain, domain)) {
            color = colors[i].color;
        }
    }
    free(colors);
    return color;
}

static void
check_map(const struct vtrace_map *map, const char *node, uint16_t theirs,
          uint16_t color)
{
    ck_assert_str_eq(map->at.node, node);
    ck_assert_str_eq(map->at.bridge, "br-tun");
    ck_assert_str_eq(map->at.port, "tun");
    ck_assert_uint_eq(map->theirs, theirs);
    ck_assert_uint_eq(map->color, color);
}

START_TEST(borders)
{
    struct vtrace_entry gone = { "h1", "br-tun", "tun" };
    struct vtrace_store_border *list;
    size_t n;

    store_check_error(add_border("nobody", "other"), "no such node");
    store_check_error(add_border("h2", ""), "itself");
    store_check_error(add_border("h2", "a b"), "letters");
    add_borders();
    OK(add_border("h2", "third"));
    OK(add_border("h2", "other"));
    store_check_error(vtrace_store_remove_border(store, &gone),
                      "h1/br-tun/tun: no such border");
    store_check_error(vtrace_store_remove_node(store, "h2"), "1 borders");

    OK(vtrace_store_borders(store, &list, &n));
    ck_assert_uint_eq(n, 2);
    ck_assert_str_eq(list[0].at.node, "h2");
    ck_assert_str_eq(list[0].domain, "other");
    OK(vtrace_store_remove_border(store, &list[0].at));
    vtrace_store_borders_destroy(list, n);
    OK(vtrace_store_remove_node(store, "h2"));
}
END_TEST

START_TEST(databases)
{
    static const char *const wrong[] = { "tcp: a", "foo", "tcp:a,", ",tcp:a",
                                         "tcp:a,foo", "unix" };
    struct vtrace_store_node *list;
    size_t n;

    OK(vtrace_store_set_database(store, "h1", "tcp:192.0.2.1:6640"));
    OK(vtrace_store_set_database(store, "h1", "unix:/x,ssl:192.0.2.1"));
    OK(vtrace_store_set_database(store, "h1", "tcp:192.0.2.1:6640"));
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        store_check_error(vtrace_store_set_database(store, "h1", wrong[i]),
                          "is not where a database may be");
    }
    store_check_error(vtrace_store_set_database(store, "h9", "tcp:a"),
                      "no such node");
    OK(vtrace_store_nodes(store, "h1", &list, &n));
    ck_assert_str_eq(list[0].database, "tcp:192.0.2.1:6640");
    vtrace_store_nodes_destroy(list, n);
    OK(vtrace_store_nodes(store, "h2", &list, &n));
    ck_assert_str_eq(list[0].database, "");
    vtrace_store_nodes_destroy(list, n);
}
END_TEST

START_TEST(maps)
{
    struct vtrace_request back = store_request("red", "x1", 0);
    struct vtrace_task *task;
    int64_t id = store_create("red", "h1", 80);

    task = store_get(id);
    ck_assert_uint_eq(task->rules[0].n_maps, 0);
    vtrace_task_destroy(task);

    /* Both ways, for each direction. */
    add_borders();
    id = store_create("red", "h1", 81);
    store_run_to(id, VTRACE_RUNNING);
    OK(vtrace_store_add_reverse(store, id, &back.entry, &back.match, NOW, 7));
    OK(vtrace_store_deploy(store, id, VTRACE_REVERSE, NOW + 15000, NOW));
    store_reopen();
    task = store_get(id);
    ck_assert_uint_eq(task->n_rules, 2);
    for (int i = 0; i < VTRACE_N_DIRECTIONS; i++) {
        const struct vtrace_rule *rule = &task->rules[i];
        uint16_t here = color_in(id, i, ""), there = color_in(id, i, "other");

        ck_assert_uint_ne(here, 0);
        ck_assert_uint_ne(there, 0);
        ck_assert_uint_eq(rule->color, i ? there : here);
        ck_assert_uint_eq(rule->n_maps, 2);
        check_map(&rule->maps[0], "h2", there, here);
        check_map(&rule->maps[1], "x1", here, there);
    }
    vtrace_task_destroy(task);
    store_check_error(vtrace_store_remove_node(store, "x1"), "use it");

    /* All its colors rest. */
    OK(vtrace_store_end(store, id, VTRACE_DONE, NULL, "{}", NOW + 10));
    OK(vtrace_store_rule_gone(store, id, VTRACE_FORWARD, NOW + 10));
    ck_assert_uint_eq(color_in(id, VTRACE_FORWARD, "other"), 0);
    ck_assert_uint_ne(color_in(id, VTRACE_REVERSE, "other"), 0);
    OK(vtrace_store_rule_gone(store, id, VTRACE_REVERSE, NOW + 10));
    ck_assert_uint_eq(color_in(id, VTRACE_REVERSE, "other"), 0);
}
END_TEST

/* Through two borders, and not against their direction. */
START_TEST(maps_on_the_way)
{
    struct vtrace_task *task;
    int64_t id;

    OK(vtrace_store_add_node(store, "y1", "tcp:192.0.2.4:6653", "far", false));
    OK(add_border("y1", "other"));
    OK(add_border("x1", ""));
    id = store_create("red", "h1", 80);
    task = store_get(id);
    ck_assert_uint_eq(task->rules[0].n_maps, 2);
    check_map(&task->rules[0].maps[0], "x1", color_in(id, 0, ""),
              color_in(id, 0, "other"));
    check_map(&task->rules[0].maps[1], "y1", color_in(id, 0, "other"),
              color_in(id, 0, "far"));
    vtrace_task_destroy(task);

    id = store_create("red", "y1", 80);
    task = store_get(id);
    ck_assert_uint_eq(task->rules[0].n_maps, 0);
    vtrace_task_destroy(task);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("vtrace-store");
    TCase *tc;

    tc = unit_case(suite, "handshake", 60);
    tcase_add_checked_fixture(tc, store_setup, store_teardown);
    tcase_add_test(tc, node_by_address);
    tcase_add_test(tc, handshake);
    tcase_add_test(tc, saves);
    tcase_add_test(tc, saved_often);
    tcase_add_test(tc, only_these_steps);
    tcase_add_test(tc, database_refuses);
    tcase_add_test(tc, repeated_steps);
    tcase_add_test(tc, expiry);
    tcase_add_test(tc, reverse);
    tcase_add_test(tc, cookies);

    tc = unit_case(suite, "colors", 300);
    tcase_add_checked_fixture(tc, store_setup, store_teardown);
    tcase_add_test(tc, colors_rest);
    tcase_add_test(tc, colors_of_lost_rules);
    tcase_add_test(tc, colors_used_up);
    tcase_add_test(tc, borders);
    tcase_add_test(tc, databases);
    tcase_add_test(tc, maps);
    tcase_add_test(tc, maps_on_the_way);

    tc = unit_case(suite, "tenants", 60);
    tcase_add_checked_fixture(tc, store_setup, store_teardown);
    tcase_add_test(tc, isolation);
    tcase_add_test(tc, overlap);
    tcase_add_test(tc, overlap_icmp);
    tcase_add_test(tc, quotas);
    tcase_add_test(tc, bad_requests);
    tcase_add_test(tc, nodes);

    return unit_run(suite);
}
