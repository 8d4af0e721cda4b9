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

/* The deployer, and tasks with it, against a switch that does not behave. */

#include <config.h>
#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "byte-order.h"
#include "openflow/openflow.h"
#include "openvswitch/json.h"
#include "openvswitch/poll-loop.h"
#include "socket-util.h"
#include "timeval.h"
#include "util.h"
#include "vtrace-store-fixture.h"
#include "vtrace/analyze.h"
#include "vtrace/deployer.h"
#include "vtrace/task-json.h"
#include "vtrace/tasks.h"
#include "vtrace/vtrace-json.h"

/* Message types, of any version of OpenFlow. */
#define HELLO 0
#define ECHO_REQUEST 2

/* Bytes of an echo request, and how many of them fit no socket. */
#define ECHO_LEN 60000
#define N_ECHOES 1000

static struct vtrace_deployer *deployer;

static void
setup(void)
{
    uint64_t cookies, mask;

    store_setup();
    cookies = vtrace_store_cookies(store, &mask);
    deployer = vtrace_deployer_create(cookies, mask);
}

static void
teardown(void)
{
    vtrace_deployer_destroy(deployer);
    deployer = NULL;
    store_teardown();
}

/* Waits a little for what 'deployer' waits for, or 'fd' if it is not -1. */
static void
block(int fd)
{
    vtrace_deployer_wait(deployer);
    if (fd >= 0) {
        poll_fd_wait(fd, POLLIN);
    }
    poll_timer_wait(10);
    poll_block();
}

static void
send_all(int fd, const void *data, size_t len)
{
    const char *p = data;

    while (len) {
        ssize_t n = write(fd, p, len);

        if (n > 0) {
            p += n;
            len -= n;
        } else {
            ck_assert_int_eq(errno, EAGAIN);
        }
        vtrace_deployer_run(deployer);
    }
}

/* The number of a connection that the deployer has opened to 'path'. */
static int
accept_deployer(int listener)
{
    for (int i = 0; i < 1000; i++) {
        int fd;

        vtrace_deployer_run(deployer);
        fd = accept(listener, NULL, NULL);
        if (fd >= 0) {
            ck_assert_int_eq(set_nonblocking(fd), 0);
            return fd;
        }
        block(listener);
    }
    ck_abort_msg("nobody connects");
}

/* A switch asks for echoes for ever and reads none. */
START_TEST(echoes)
{
    const struct ofp_header hello = {
        OFP13_VERSION, HELLO, CONSTANT_HTONS(sizeof hello), 0,
    };
    const struct ofp_header echo = {
        OFP13_VERSION, ECHO_REQUEST, CONSTANT_HTONS(ECHO_LEN), 0,
    };
    char *path = xasprintf("%s.sock", store_file);
    char *target = xasprintf("unix:%s", path);
    int listener = make_unix_socket(SOCK_STREAM, true, path, NULL);
    char *request = xzalloc(ECHO_LEN);
    bool closed = false;
    int fd;

    ck_assert_int_ge(listener, 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    vtrace_deployer_sweep(deployer, target, "br0");
    fd = accept_deployer(listener);
    send_all(fd, &hello, sizeof hello);
    memcpy(request, &echo, sizeof echo);
    for (int i = 0; i < N_ECHOES && !closed; i++) {
        size_t sent = 0;

        while (sent < ECHO_LEN && !closed) {
            ssize_t n = send(fd, request + sent, ECHO_LEN - sent,
                             MSG_NOSIGNAL);

            if (n > 0) {
                sent += n;
            } else {
                closed = errno != EAGAIN;
            }
            vtrace_deployer_run(deployer);
        }
    }
    ck_assert_msg(closed, "%d echo requests of %d bytes are queued", N_ECHOES,
                  ECHO_LEN);
    close(fd);
    close(listener);
    unlink(path);
    free(request);
    free(target);
    free(path);
}
END_TEST

/* A rule whose timeout is over is of no interest, though its switch, which is
 * away, never said that it is gone. */
START_TEST(expired_rules)
{
    const struct vtrace_analyzer_config config = VTRACE_ANALYZER_CONFIG_INIT;
    struct vtrace_analyzer *analyzer = vtrace_analyzer_create(&config);
    struct vtrace_tasks *tasks = vtrace_tasks_create(store, deployer,
                                                     analyzer);
    char *target = xasprintf("unix:%s.%%b", store_file);
    int64_t now = time_wall_msec();
    long long int end = time_msec() + 10000;
    struct vtrace_request request;
    struct vtrace_task *task;
    uint64_t cookie;
    int64_t id;

    OK(vtrace_store_add_node(store, "h3", target, "", false));
    request = store_request("red", "h3", 80);
    OK(vtrace_store_create(store, &request, &store_quota, now, 1, &id));
    OK(vtrace_store_ready(store, id, now));
    OK(vtrace_store_deploy(store, id, VTRACE_FORWARD, now + 500, now));
    OK(vtrace_store_end(store, id, VTRACE_FAILED, "", NULL, now));
    task = store_get(id);
    cookie = task->rules[VTRACE_FORWARD].cookie;
    vtrace_task_destroy(task);

    vtrace_tasks_run(tasks);
    ck_assert_int_eq(vtrace_deployer_status(deployer, cookie, NULL),
                     VTRACE_OP_REMOVING);
    while (store_count(NULL, VTRACE_UNSETTLED) && time_msec() < end) {
        vtrace_deployer_run(deployer);
        vtrace_tasks_wait(tasks);
        block(-1);
        vtrace_tasks_run(tasks);
    }
    store_check_state(id, VTRACE_FAILED, VTRACE_RULE_GONE);
    ck_assert_int_eq(vtrace_deployer_status(deployer, cookie, NULL),
                     VTRACE_OP_NONE);
    vtrace_tasks_destroy(tasks);
    vtrace_analyzer_destroy(analyzer);
    free(target);
}
END_TEST

/* A list of tasks does without the rest of a result. */
START_TEST(brief_results)
{
    const struct vtrace_analyzer_config config = VTRACE_ANALYZER_CONFIG_INIT;
    struct vtrace_analyzer *analyzer = vtrace_analyzer_create(&config);
    struct vtrace_analysis *analysis = vtrace_analysis_create(analyzer, 1);
    int64_t id = store_create("red", "h1", 80);
    struct vtrace_task *task = store_get(id);

    task->request.both = true;
    task->result = vtrace_task_result(analysis, "for a reason");
    for (int brief = 0; brief < 2; brief++) {
        struct json *json = vtrace_task_to_json(task, true, brief, NULL, NULL);
        const struct json *verdict = vtrace_json_member(json, "verdict",
                                                        JSON_OBJECT);

        ck_assert_str_eq(vtrace_json_string(verdict, "kind", ""),
                         "inconclusive");
        ck_assert_str_eq(vtrace_json_string(json, "reverse", ""),
                         "for a reason");
        ck_assert_int_eq(vtrace_json_member(json, "hops", JSON_ARRAY) != NULL,
                         !brief);
        json_destroy(json);
        /* It is not even read. */
        strcpy(strchr(task->result, '\n') + 1, "?");
    }
    vtrace_task_destroy(task);
    vtrace_analysis_destroy(analysis);
    vtrace_analyzer_destroy(analyzer);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("vtrace-deployer");
    TCase *tc = unit_case(suite, "deployer", 60);

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, echoes);
    tcase_add_test(tc, expired_rules);
    tcase_add_test(tc, brief_results);
    return unit_run(suite);
}
