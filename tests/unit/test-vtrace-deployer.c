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
#include "openvswitch/dynamic-string.h"
#include "openvswitch/json.h"
#include "openvswitch/list.h"
#include "openvswitch/ofp-msgs.h"
#include "openvswitch/ofp-port.h"
#include "openvswitch/ofpbuf.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/vlog.h"
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
#define FLOW_MOD 14

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

/* A switch that listens at 'target', until fake_close(). */
struct fake {
    char *path, *target;
    int listener, fd;
};

static void
fake_listen(struct fake *fake)
{
    fake->path = xasprintf("%s.sock", store_file);
    fake->target = xasprintf("unix:%s", fake->path);
    fake->listener = make_unix_socket(SOCK_STREAM, true, fake->path, NULL);
    ck_assert_int_ge(fake->listener, 0);
    ck_assert_int_eq(listen(fake->listener, 1), 0);
}

static void
fake_accept(struct fake *fake)
{
    const struct ofp_header hello = {
        OFP13_VERSION, HELLO, CONSTANT_HTONS(sizeof hello), 0,
    };

    fake->fd = accept_deployer(fake->listener);
    send_all(fake->fd, &hello, sizeof hello);
}

static void
fake_close(struct fake *fake)
{
    close(fake->fd);
    close(fake->listener);
    unlink(fake->path);
    free(fake->path);
    free(fake->target);
}

/* Answers 'oh' as a switch with port "vm1" and no rules does. */
static void
fake_answer(struct fake *fake, const struct ofp_header *oh)
{
    struct ofputil_phy_port port = { .port_no = 1, .name = "vm1" };
    struct ovs_list replies = OVS_LIST_INITIALIZER(&replies);
    struct ofpbuf *msg;
    enum ofptype type;

    if (ofptype_decode(&type, oh)) {
        return;
    } else if (type == OFPTYPE_BARRIER_REQUEST) {
        msg = ofpraw_alloc_reply(OFPRAW_OFPT11_BARRIER_REPLY, oh, 0);
    } else if (type == OFPTYPE_FLOW_STATS_REQUEST) {
        msg = ofpraw_alloc_stats_reply(oh, 0);
    } else if (type == OFPTYPE_PORT_DESC_STATS_REQUEST) {
        ofpmp_init(&replies, oh);
        ofputil_append_port_desc_stats_reply(&port, &replies);
        msg = ofpbuf_from_list(ovs_list_pop_front(&replies));
    } else {
        return;
    }
    ofpmsg_update_length(msg);
    send_all(fake->fd, msg->data, msg->size);
    ofpbuf_delete(msg);
}

/* Answers until a rule comes and returns its timeout. */
static int
fake_get_rule(struct fake *fake)
{
    union {
        uint64_t align;
        char data[65536];
    } in;
    size_t len = 0;

    for (int i = 0; i < 1000; i++) {
        const struct ofp_header *oh = (const void *) in.data;
        ssize_t n = read(fake->fd, in.data + len, sizeof in.data - len);

        len += MAX(n, 0);
        while (len >= sizeof *oh && len >= ntohs(oh->length)) {
            size_t done = ntohs(oh->length);

            if (oh->type == FLOW_MOD) {
                const struct ofp11_flow_mod *fm = (const void *) (oh + 1);

                return ntohs(fm->hard_timeout);
            }
            fake_answer(fake, oh);
            len -= done;
            memmove(in.data, in.data + done, len);
        }
        vtrace_deployer_run(deployer);
        block(fake->fd);
    }
    ck_abort_msg("no rule comes");
}

/* A rule that is sent late has what is left of its time. */
START_TEST(late_rules)
{
    struct vtrace_request request = store_request("red", "h1", 80);
    struct vtrace_flow flow = {
        .match = request.match,
        .color = 1,
        .hard_timeout = 60,
    };
    long long int now = time_msec();
    struct fake fake;
    uint64_t mask;
    int timeout;

    flow.cookie = vtrace_store_cookies(store, &mask) | 2;
    fake_listen(&fake);
    vtrace_deployer_install(deployer, fake.target, "br0", "vm1", &flow, 0,
                            now + 30000);
    fake_accept(&fake);
    timeout = fake_get_rule(&fake);
    ck_assert_int_le(timeout, 30);
    ck_assert_int_ge(timeout, 1);

    flow.cookie += 2;
    vtrace_deployer_install(deployer, fake.target, "br0", "vm1", &flow, 0,
                            now + 300000);
    ck_assert_int_eq(fake_get_rule(&fake), 60);
    fake_close(&fake);
}
END_TEST

/* A switch asks for echoes for ever and reads none. */
START_TEST(echoes)
{
    const struct ofp_header echo = {
        OFP13_VERSION, ECHO_REQUEST, CONSTANT_HTONS(ECHO_LEN), 0,
    };
    char *request = xzalloc(ECHO_LEN);
    bool closed = false;
    struct fake fake;

    fake_listen(&fake);
    vtrace_deployer_sweep(deployer, fake.target, "br0");
    fake_accept(&fake);
    memcpy(request, &echo, sizeof echo);
    for (int i = 0; i < N_ECHOES && !closed; i++) {
        size_t sent = 0;

        while (sent < ECHO_LEN && !closed) {
            ssize_t n = send(fake.fd, request + sent, ECHO_LEN - sent,
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
    fake_close(&fake);
    free(request);
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
    ck_assert_int_eq(vtrace_deployer_status(deployer, cookie, 0, NULL),
                     VTRACE_OP_REMOVING);
    while (store_count(NULL, VTRACE_UNSETTLED) && time_msec() < end) {
        vtrace_deployer_run(deployer);
        vtrace_tasks_wait(tasks);
        block(-1);
        vtrace_tasks_run(tasks);
    }
    store_check_state(id, VTRACE_FAILED, VTRACE_RULE_GONE);
    ck_assert_int_eq(vtrace_deployer_status(deployer, cookie, 0, NULL),
                     VTRACE_OP_NONE);
    vtrace_tasks_destroy(tasks);
    vtrace_analyzer_destroy(analyzer);
    free(target);
}
END_TEST

/* Waits until the deployer asks for the rules that are there, and nothing else
 * does it: no rule of its own is to be watched. */
static void
fake_get_sweep(struct fake *fake)
{
    char in[4096];
    size_t len = 0;

    for (int i = 0; i < 1000; i++) {
        const struct ofp_header *oh = (const void *) in;
        ssize_t n = read(fake->fd, in + len, sizeof in - len);

        len += MAX(n, 0);
        while (len >= sizeof *oh && len >= ntohs(oh->length)) {
            size_t done = ntohs(oh->length);
            enum ofptype type;

            if (!ofptype_decode(&type, oh)
                && type == OFPTYPE_FLOW_STATS_REQUEST) {
                fake_answer(fake, oh);
                return;
            }
            fake_answer(fake, oh);
            len -= done;
            memmove(in, in + done, len);
        }
        vtrace_deployer_run(deployer);
        block(fake->fd);
    }
    ck_abort_msg("nobody asks");
}

/* A bridge may have been away while this deployer gave a rule up. */
START_TEST(swept_again)
{
    struct fake fake;

    fake_listen(&fake);
    vtrace_deployer_sweep(deployer, fake.target, "br0");
    for (int i = 0; i < 3; i++) {
        fake_accept(&fake);
        fake_get_sweep(&fake);
        if (i < 2) {
            close(fake.fd);
        }
    }
    fake_close(&fake);
}
END_TEST

/* Bridges whose connection depends on their name are swept where there were
 * rules: of tasks, or of borders that are removed. */
START_TEST(known_bridges)
{
    const struct vtrace_analyzer_config config = VTRACE_ANALYZER_CONFIG_INIT;
    struct vtrace_analyzer *analyzer = vtrace_analyzer_create(&config);
    struct vtrace_tasks *tasks = vtrace_tasks_create(store, deployer,
                                                     analyzer);
    struct vtrace_entry at = { "h3", "br-border", "tun0" };
    char *target = xasprintf("unix:%s.%%b", store_file);
    struct ds s = DS_EMPTY_INITIALIZER;

    OK(vtrace_store_add_node(store, "h3", target, "", false));
    OK(vtrace_store_add_border(store, &at, "other", false));
    OK(vtrace_store_remove_border(store, &at));
    ck_assert_int_gt(store_create("red", "h3", 80), 0);
    vtrace_tasks_sweep(tasks, NULL);
    vtrace_deployer_format(deployer, &s);
    ck_assert_ptr_nonnull(strstr(ds_cstr(&s), "br-border at unix:"));
    ck_assert_ptr_nonnull(strstr(ds_cstr(&s), "br-int at unix:"));
    ck_assert_ptr_null(strstr(ds_cstr(&s), "%b"));
    ds_destroy(&s);
    vtrace_tasks_destroy(tasks);
    vtrace_analyzer_destroy(analyzer);
    free(target);
}
END_TEST

/* Returns what is logged while 'tasks' is swept. */
static char *
log_of_sweep(struct vtrace_tasks *tasks)
{
    enum { MAX_LOG = 1 << 20 };     /* There is a line for each bridge. */
    char *name = xasprintf("%s.log", store_file), *s = xzalloc(MAX_LOG);
    FILE *file;

    ck_assert_int_eq(vlog_set_log_file(name), 0);
    vtrace_tasks_sweep(tasks, NULL);
    vlog_set_log_file(NULL);
    file = fopen(name, "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_lt(fread(s, 1, MAX_LOG - 1, file), MAX_LOG - 1);
    fclose(file);
    unlink(name);
    free(name);
    return s;
}

/* If there are too many bridges to look for what is left in, that is said, and
 * how to delete it. */
START_TEST(too_many_bridges)
{
    const struct vtrace_analyzer_config config = VTRACE_ANALYZER_CONFIG_INIT;
    struct vtrace_analyzer *analyzer = vtrace_analyzer_create(&config);
    struct vtrace_tasks *tasks = vtrace_tasks_create(store, deployer,
                                                     analyzer);
    struct vtrace_entry at = { "h3", "", "tun0" };
    char *target = xasprintf("unix:%s.%%b", store_file);
    char *log, *remedy;
    uint64_t cookies, mask;

    OK(vtrace_store_add_node(store, "h3", target, "", false));
    for (int i = 0; i < VTRACE_STORE_MAX_BRIDGES; i++) {
        snprintf(at.bridge, sizeof at.bridge, "br%d", i);
        OK(vtrace_store_add_border(store, &at, "other", false));
    }
    log = log_of_sweep(tasks);
    ck_assert_msg(!strstr(log, "node h3"), "%s", log);
    free(log);

    strcpy(at.bridge, "br-last");
    OK(vtrace_store_add_border(store, &at, "other", false));
    cookies = vtrace_store_cookies(store, &mask);
    remedy = xasprintf("del-flows BRIDGE cookie=%#"PRIx64"/%#"PRIx64"\"",
                       cookies, mask);
    log = log_of_sweep(tasks);
    ck_assert_msg(strstr(log, "node h3: rules that nobody wants any more are "
                         "looked for in 256 bridges, not in 1 more"),
                  "%s", log);
    ck_assert_ptr_nonnull(strstr(log, remedy));
    free(log);
    free(remedy);
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
    tcase_add_test(tc, late_rules);
    tcase_add_test(tc, echoes);
    tcase_add_test(tc, expired_rules);
    tcase_add_test(tc, swept_again);
    tcase_add_test(tc, known_bridges);
    tcase_add_test(tc, too_many_bridges);
    tcase_add_test(tc, brief_results);
    return unit_run(suite);
}
