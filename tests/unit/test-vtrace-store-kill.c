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

/* The task store: a kill at every point where it can be left. */

#include <config.h>
#include "unit.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util.h"
#include "vtrace-store-fixture.h"
#include "vtrace/fault.h"
#include "vtrace/store.h"

/* Returns true if what task 1 has seen is saved. */
static bool
is_saved(void)
{
    char *result;
    int64_t at;

    OK(vtrace_store_get_saved(store, 1, &result, &at));
    if (result) {
        ck_assert_str_eq(result, "{\"s\":1}");
        ck_assert_int_eq(at, NOW + 5000);
    }
    free(result);
    return result != NULL;
}

/* Takes task 1 from whatever state it is in through all steps to its end, as
 * vtraced would after each start. */
static void
proceed(void)
{
    for (int i = 0; i < 20; i++) {
        struct vtrace_request back = store_request("red", "h2", 0);
        struct vtrace_task *task;
        enum vtrace_state state;
        size_t n_rules;
        int back_state;

        if (!store_count(NULL, VTRACE_ALL)) {
            store_create("red", "h1", 80);
        }
        task = store_get(1);
        state = task->state;
        n_rules = task->n_rules;
        back_state = n_rules > 1 ? (int) task->rules[1].state : -1;
        vtrace_task_destroy(task);
        switch (state) {
        case VTRACE_NEW:
            OK(vtrace_store_ready(store, 1, NOW));
            break;
        case VTRACE_READY:
            OK(vtrace_store_deploy(store, 1, VTRACE_FORWARD, NOW + 15000,
                                   NOW));
            break;
        case VTRACE_DEPLOYED:
            OK(vtrace_store_installed(store, 1, VTRACE_FORWARD, NOW));
            break;
        case VTRACE_RUNNING:
            if (n_rules < 2) {
                OK(vtrace_store_add_reverse(store, 1, &back.entry,
                                            &back.match, NOW, 7));
            } else if (back_state == VTRACE_RULE_WANTED) {
                OK(vtrace_store_deploy(store, 1, VTRACE_REVERSE, NOW + 15000,
                                       NOW));
            } else if (back_state == VTRACE_RULE_SENT) {
                OK(vtrace_store_installed(store, 1, VTRACE_REVERSE, NOW));
            } else if (!is_saved()) {
                struct vtrace_store_saved saved = {
                    1, CONST_CAST(char *, "{\"s\":1}")
                };

                OK(vtrace_store_save(store, &saved, 1, NOW + 5000));
            } else {
                OK(vtrace_store_end(store, 1, VTRACE_DONE, NULL, "{\"r\":1}",
                                    NOW + 10000));
            }
            break;
        case VTRACE_DONE:
            OK(vtrace_store_rule_gone(store, 1, VTRACE_FORWARD, NOW + 10001));
            OK(vtrace_store_rule_gone(store, 1, VTRACE_REVERSE, NOW + 10001));
            return;
        case VTRACE_FAILED:
        case VTRACE_EXPIRED:
            ck_abort_msg("not to fail");
        }
    }
    ck_abort_msg("does not get to an end");
}

/* Runs proceed() in a process that dies at fault point 'spec', then here.
 * Returns false if the point was not passed. */
static bool
kill_and_proceed(const char *spec)
{
    struct vtrace_task *task;
    int status;
    pid_t pid;

    vtrace_store_close(store);
    store = NULL;
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (!pid) {
        vtrace_fault_set(spec);
        store_reopen();
        proceed();
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && !WEXITSTATUS(status)) {
        store_reopen();
        return false;
    }
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
                  "%s: status %#x", spec, status);

    store_reopen();
    OK(vtrace_store_check(store));
    proceed();
    OK(vtrace_store_check(store));
    ck_assert_int_eq(store_count(NULL, VTRACE_ALL), 1);
    ck_assert_int_eq(store_count(NULL, VTRACE_UNSETTLED), 0);
    task = store_get(1);
    ck_assert_str_eq(task->result, "{\"r\":1}");
    ck_assert_int_eq(task->n_rules, 2);
    vtrace_task_destroy(task);
    return true;
}

static const char *const steps[] = { "open", "new", "ready", "deployed",
                                     "running", "reverse", "save", "done",
                                     "gone" };
static const char *const places[] = { "begin", "write", "commit" };

START_TEST(killed)
{
    char *spec = xasprintf("%s:%s", steps[_i / ARRAY_SIZE(places)],
                           places[_i % ARRAY_SIZE(places)]);

    ck_assert_msg(kill_and_proceed(spec), "%s: never passed", spec);
    free(spec);
}
END_TEST

/* The second time, too: the reverse rule's steps. */
START_TEST(killed_later)
{
    static const char *const again[] = { "deployed", "running", "gone" };
    char *spec = xasprintf("%s:%s,1", again[_i / ARRAY_SIZE(places)],
                           places[_i % ARRAY_SIZE(places)]);

    ck_assert_msg(kill_and_proceed(spec), "%s: never passed", spec);
    free(spec);
}
END_TEST

/* Before the database exists, while its schema is written. */
START_TEST(killed_at_first_start)
{
    char *spec = xasprintf("open:%s", places[_i]);

    vtrace_store_close(store);
    store = NULL;
    unlink(store_file);
    pid_t pid = fork();
    if (!pid) {
        vtrace_fault_set(spec);
        store_reopen();
        _exit(0);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status));
    store_reopen();
    OK(vtrace_store_check(store));
    free(spec);
}
END_TEST

/* What is no step of proceed(): other ends of task 1, and what operators
 * change. */
static const char *const changes[] = { "failed", "expired", "run", "border",
                                       "node" };

static void
change(const char *what)
{
    static const struct vtrace_entry at = { "h1", "br-int", "vx0" };

    if (!strcmp(what, "failed")) {
        OK(vtrace_store_end(store, 1, VTRACE_FAILED, "no port", NULL, NOW));
    } else if (!strcmp(what, "expired")) {
        OK(vtrace_store_end(store, 1, VTRACE_EXPIRED, "no answer", NULL,
                            NOW));
    } else if (!strcmp(what, "run")) {
        OK(vtrace_store_run(store, NOW + VTRACE_STORE_START_MS + 1));
    } else if (!strcmp(what, "border")) {
        OK(vtrace_store_add_border(store, &at, "other", false));
    } else {
        OK(vtrace_store_add_node(store, "h9", "tcp:192.0.2.9:6653", "",
                                 false));
    }
}

static bool
is_changed(const char *what)
{
    size_t n;

    if (!strcmp(what, "border")) {
        struct vtrace_store_border *borders;

        OK(vtrace_store_borders(store, &borders, &n));
        vtrace_store_borders_destroy(borders, n);
        return n == 1;
    } else if (!strcmp(what, "node")) {
        struct vtrace_store_node *nodes;

        OK(vtrace_store_nodes(store, "h9", &nodes, &n));
        vtrace_store_nodes_destroy(nodes, n);
        return n == 1;
    } else {
        struct vtrace_task *task = store_get(1);
        enum vtrace_state state = task->state;

        vtrace_task_destroy(task);
        return state == (!strcmp(what, "failed") ? VTRACE_FAILED
                         : VTRACE_EXPIRED);
    }
}

/* A change is there whole or not at all, and can be made then. */
START_TEST(killed_changing)
{
    const char *what = changes[_i / ARRAY_SIZE(places)];
    const char *place = places[_i % ARRAY_SIZE(places)];
    char *spec = xasprintf("%s:%s", what, place);
    int status;
    pid_t pid;

    store_create("red", "h1", 80);
    vtrace_store_close(store);
    store = NULL;
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (!pid) {
        vtrace_fault_set(spec);
        store_reopen();
        change(what);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
                  "%s: status %#x", spec, status);
    store_reopen();
    OK(vtrace_store_check(store));
    ck_assert_msg(is_changed(what) == !strcmp(place, "commit"), "%s", spec);
    if (!is_changed(what)) {
        change(what);
        ck_assert_msg(is_changed(what), "%s", spec);
    }
    free(spec);
}
END_TEST

/* At moments that no fault point chooses. */
START_TEST(killed_any_time)
{
    vtrace_store_close(store);
    store = NULL;
    for (int i = 0; i < 30; i++) {
        int status;
        pid_t pid = fork();

        if (!pid) {
            struct vtrace_quota few = { .max_tasks = 3, .max_kept = 5 };

            store_reopen();
            for (int64_t t = 0; t < 100000; t++) {
                struct vtrace_request request
                    = store_request("red", "h1", t % 60000 + 1);
                int64_t now = NOW + t * VTRACE_STORE_REST_MS, id, *ids;
                size_t n;

                OK(vtrace_store_list(store, NULL, VTRACE_UNSETTLED, &ids,
                                     &n));
                for (size_t j = 0; j < n; j++) {
                    OK(vtrace_store_end(store, ids[j], VTRACE_FAILED, "",
                                        NULL, now));
                    OK(vtrace_store_rule_gone(store, ids[j], VTRACE_FORWARD,
                                              now));
                }
                free(ids);
                OK(vtrace_store_create(store, &request, &few, now, t, &id));
                OK(vtrace_store_ready(store, id, now));
                OK(vtrace_store_deploy(store, id, VTRACE_FORWARD, now + 1000,
                                       now));
                OK(vtrace_store_installed(store, id, VTRACE_FORWARD, now));
                struct vtrace_store_saved saved = {
                    id, CONST_CAST(char *, "{\"s\":1}")
                };
                OK(vtrace_store_save(store, &saved, 1, now));
            }
            _exit(0);
        }
        /* Not a wait for anything: the moment is what is being tried. */
        usleep(2000 + i * 1700);
        kill(pid, SIGKILL);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_msg(WIFSIGNALED(status), "status %#x", status);
        store_reopen();
        OK(vtrace_store_check(store));
        vtrace_store_close(store);
        store = NULL;
    }
    store_reopen();
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("vtrace-store-kill");
    TCase *tc;

    tc = unit_case(suite, "kills", 120);
    tcase_add_checked_fixture(tc, store_setup, store_teardown);
    tcase_add_loop_test(tc, killed, 0,
                        ARRAY_SIZE(steps) * ARRAY_SIZE(places));
    tcase_add_loop_test(tc, killed_later, 0, 3 * ARRAY_SIZE(places));
    tcase_add_loop_test(tc, killed_changing, 0,
                        ARRAY_SIZE(changes) * ARRAY_SIZE(places));
    tcase_add_loop_test(tc, killed_at_first_start, 0, ARRAY_SIZE(places));
    tcase_add_test(tc, killed_any_time);

    return unit_run(suite);
}
