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

#include "ovs-ext/vtrace-exporter.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "latch.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/json.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/vlog.h"
#include "ovs-ext/vtrace-clock.h"
#include "ovs-ext/vtrace-message.h"
#include "ovs-ext/vtrace-ring.h"
#include "ovs-thread.h"
#include "packets.h"
#include "random.h"
#include "seq.h"
#include "socket-util.h"
#include "stream.h"
#include "timeval.h"
#include "unixctl.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(vtrace_exporter);

static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(5, 10);

/* How often rings are emptied: at the highest rates a ring fills in some
 * hundredths of a second. */
#define ROUND_BUSY_MS 4
#define ROUND_IDLE_MS 20

/* Time between what is told of clocks. */
#define CLOCKS_MS 1000

/* Time for a connection to come about, and between attempts. */
#define CONNECT_TIMEOUT_MS 5000
#define BACKOFF_MIN_MS 500
#define BACKOFF_MAX_MS 8000

#define N_COLORS (VTRACE_COLOR_MAX + 1)

/* Counts of a color. */
struct color_stats {
    uint64_t written;           /* In all sessions. */
    uint64_t slow;              /* Lost: the collector did not keep up. */
    uint64_t disconnected;      /* Lost: there was no collector, or it was gone
                                 * before they were sent. */
    struct vtrace_ring_lost ring;   /* Lost before. */

    uint64_t session_written;   /* 'written' and all of the others when the */
    uint64_t session_lost;      /* session began. */

    uint64_t last_sum;          /* Of all when it was used last. */
    long long int last_used;    /* In ms, LLONG_MIN for never. */
};

/* The collector, for the main thread alone. */
static char *target;                /* NULL if the exporter is off. */
static pthread_t thread;
static struct stream *connecting;
static long long int connect_deadline;
static long long int next_attempt;
static long long int connected_at;
static unsigned int backoff;

/* Between the main thread and the exporter. */
static struct latch exit_latch, wake_latch;
static struct seq *state_seq;       /* Changes with 'state'. */
static struct ovs_mutex mutex = OVS_MUTEX_INITIALIZER;

enum state {
    DISCONNECTED,               /* The main thread is to connect. */
    HANDED_OVER,                /* 'handed_over' is for the exporter. */
    CONNECTED
};

static enum state state OVS_GUARDED_BY(mutex);
static struct stream *handed_over OVS_GUARDED_BY(mutex);
static char *last_error OVS_GUARDED_BY(mutex);
static long long int since_wall OVS_GUARDED_BY(mutex);
static struct in6_addr endpoints[VTRACE_EXPORTER_MAX_ENDPOINTS]
    OVS_GUARDED_BY(mutex);
static size_t n_endpoints OVS_GUARDED_BY(mutex);
static bool endpoints_changed OVS_GUARDED_BY(mutex);

/* Held by the exporter for a round, and to look at the counts. */
static struct ovs_mutex stats_mutex = OVS_MUTEX_INITIALIZER;
static struct color_stats colors[N_COLORS] OVS_GUARDED_BY(stats_mutex);
static uint64_t n_messages OVS_GUARDED_BY(stats_mutex);
static uint32_t session_id OVS_GUARDED_BY(stats_mutex);
static size_t n_rings OVS_GUARDED_BY(stats_mutex);

/* The exporter's. */
static struct stream *stream;
static uint8_t *queue;              /* VTRACE_EXPORTER_QUEUE bytes. */
static size_t queue_head, queue_tail;   /* What is to be sent. */
static size_t queue_message;            /* Where the message begins that has
                                         * 'queue_head' in it. */
static struct vtrace_message message;   /* The one that is being filled. */
static uint32_t sequence;
static long long int next_watermark;
static long long int next_clocks;
static long long int last_progress;     /* When the collector last read. */
static bool round_busy;

static void set_error(const char *, ...) OVS_PRINTF_FORMAT(1, 2);

/* Records why there is no connection. */
static void
set_error(const char *format, ...)
{
    va_list args;
    char *s;

    va_start(args, format);
    s = xvasprintf(format, args);
    va_end(args);

    VLOG_WARN_RL(&rl, "collector: %s", s);
    ovs_mutex_lock(&mutex);
    free(last_error);
    last_error = s;
    ovs_mutex_unlock(&mutex);
}

/* Queue. */

/* Puts 'message' into the queue if there is room. */
static bool
flush_message(void)
    OVS_REQUIRES(stats_mutex)
{
    if (vtrace_message_is_empty(&message)) {
        return true;
    }
    if (queue_message && queue_tail + message.n > VTRACE_EXPORTER_QUEUE) {
        memmove(queue, queue + queue_message, queue_tail - queue_message);
        queue_tail -= queue_message;
        queue_head -= queue_message;
        queue_message = 0;
    }
    if (queue_tail + message.n > VTRACE_EXPORTER_QUEUE) {
        return false;
    }
    if (queue_head == queue_tail) {
        last_progress = time_msec();
    }
    vtrace_message_finish(&message, time_wall(), &sequence);
    memcpy(queue + queue_tail, message.data, message.n);
    queue_tail += message.n;
    n_messages++;
    vtrace_message_init(&message);
    return true;
}

static void
lose_record(void *aux OVS_UNUSED, uint16_t color)
    OVS_REQUIRES(stats_mutex)
{
    colors[color].written--;
    colors[color].disconnected++;
}

/* Counts as lost the records that wait to be sent.  What the collector has of
 * a message that is not complete it discards. */
static void
lose_queue(void)
    OVS_EXCLUDED(stats_mutex)
{
    ovs_mutex_lock(&stats_mutex);
    if (!vtrace_message_is_empty(&message)) {
        vtrace_message_finish(&message, time_wall(), &sequence);
        vtrace_message_for_each_record(message.data, lose_record, NULL);
        vtrace_message_init(&message);
    }
    while (queue_message < queue_tail) {
        vtrace_message_for_each_record(queue + queue_message, lose_record,
                                       NULL);
        queue_message += vtrace_message_len(queue + queue_message);
    }
    queue_head = queue_tail = queue_message = 0;
    ovs_mutex_unlock(&stats_mutex);
}

static void
disconnect(void)
    OVS_EXCLUDED(stats_mutex)
{
    stream_close(stream);
    stream = NULL;
    lose_queue();

    ovs_mutex_lock(&mutex);
    state = DISCONNECTED;
    ovs_mutex_unlock(&mutex);
    seq_change(state_seq);
}

/* Returns false if the connection is lost. */
static bool
send_queue(void)
{
    while (queue_head < queue_tail) {
        int n = stream_send(stream, queue + queue_head,
                            queue_tail - queue_head);
        if (n == -EAGAIN) {
            break;
        } else if (n <= 0) {
            set_error("%s", n ? ovs_strerror(-n) : "connection closed");
            return false;
        }
        queue_head += n;
        while (queue_message < queue_head
               && (queue_message + vtrace_message_len(queue + queue_message)
                   <= queue_head)) {
            queue_message += vtrace_message_len(queue + queue_message);
        }
        last_progress = time_msec();
    }
    if (queue_head == queue_tail) {
        queue_head = queue_tail = queue_message = 0;
    } else if (time_msec() - last_progress > VTRACE_EXPORTER_STALL_MS) {
        set_error("has not read for %d s", VTRACE_EXPORTER_STALL_MS / 1000);
        return false;
    }
    return true;
}

/* Returns false if the collector is gone or not a collector. */
static bool
receive(void)
{
    uint8_t byte;
    int n = stream_recv(stream, &byte, sizeof byte);

    if (n == -EAGAIN) {
        return true;
    } else if (n > 0) {
        set_error("sent us data, which collectors of IPFIX do not: look "
                  "whether something else listens there");
    } else {
        set_error("%s", n ? ovs_strerror(-n) : "closed the connection");
    }
    return false;
}

/* Records. */

static uint64_t
lost(const struct color_stats *c)
{
    return c->slow + c->disconnected + c->ring.full + c->ring.rate;
}

static bool
export_record(const struct vtrace_record *r)
    OVS_REQUIRES(stats_mutex)
{
    return (vtrace_message_put_record(&message, r)
            || (flush_message() && vtrace_message_put_record(&message, r)));
}

static void
take_records(void *aux OVS_UNUSED, const struct vtrace_record *records,
             size_t n)
    OVS_REQUIRES(stats_mutex)
{
    for (size_t i = 0; i < n; i++) {
        const struct vtrace_record *r = &records[i];
        struct color_stats *c = &colors[r->color];

        if (!stream) {
            c->disconnected++;
        } else if (export_record(r)) {
            c->written++;
            vtrace_clocks_note(r);
        } else {
            c->slow++;
        }
    }
    round_busy = true;
}

/* Brings the counts up to date that others than this thread make. */
static void
update_counts(void)
    OVS_REQUIRES(stats_mutex)
{
    long long int now = time_msec();

    for (unsigned int i = VTRACE_COLOR_MIN; i <= VTRACE_COLOR_MAX; i++) {
        if (vtrace_rings_seen(i)) {
            struct color_stats *c = &colors[i];

            vtrace_rings_get_lost(i, &c->ring);

            uint64_t sum = c->written + lost(c);
            if (sum != c->last_sum) {
                c->last_sum = sum;
                c->last_used = now;
            }
        }
    }
    n_rings = vtrace_rings_count();
}

static bool
color_in_use(const struct color_stats *c)
{
    return c->last_sum
           && time_msec() - c->last_used < VTRACE_EXPORTER_COLOR_IDLE_MS;
}

static bool
export_watermark(uint16_t color, uint64_t when)
    OVS_REQUIRES(stats_mutex)
{
    const struct color_stats *c = &colors[color];
    struct vtrace_watermark w = {
        .time = when,
        .written = c->written - c->session_written,
        .lost = lost(c) - c->session_lost,
        .session = session_id,
        .color = color,
    };

    return (vtrace_message_put_watermark(&message, &w)
            || (flush_message()
                && vtrace_message_put_watermark(&message, &w)));
}

/* Color 0 comes last: what it says is true for all colors. */
static void
export_watermarks(uint64_t when)
    OVS_REQUIRES(stats_mutex)
{
    for (unsigned int i = VTRACE_COLOR_MIN; i <= VTRACE_COLOR_MAX; i++) {
        if (vtrace_rings_seen(i) && color_in_use(&colors[i])
            && !export_watermark(i, when)) {
            return;
        }
    }
    export_watermark(0, when);
}

static void
export_endpoints(void)
    OVS_REQUIRES(stats_mutex)
{
    struct in6_addr addresses[VTRACE_EXPORTER_MAX_ENDPOINTS];
    size_t n;

    ovs_mutex_lock(&mutex);
    n = endpoints_changed ? n_endpoints : 0;
    memcpy(addresses, endpoints, n * sizeof *addresses);
    endpoints_changed = false;
    ovs_mutex_unlock(&mutex);

    for (size_t i = 0; i < n; i++) {
        struct vtrace_endpoint e = {
            .time = time_wall_msec() * 1000000ULL,
            .address = addresses[i],
        };

        if (!vtrace_message_put_endpoint(&message, &e)
            && !(flush_message()
                 && vtrace_message_put_endpoint(&message, &e))) {
            ovs_mutex_lock(&mutex);
            endpoints_changed = true;
            ovs_mutex_unlock(&mutex);
            return;
        }
    }
}

static bool
export_clock(const struct vtrace_clock *c)
    OVS_REQUIRES(stats_mutex)
{
    return (vtrace_message_put_clock(&message, c)
            || (flush_message() && vtrace_message_put_clock(&message, c)));
}

/* The thread. */

/* Takes over the stream from the main thread, if there is one. */
static void
take_stream(void)
{
    ovs_mutex_lock(&mutex);
    if (state == HANDED_OVER) {
        stream = handed_over;
        handed_over = NULL;
        state = CONNECTED;
        endpoints_changed = true;
    }
    ovs_mutex_unlock(&mutex);
}

/* Begins a session on 'stream'. */
static void
begin_session(void)
    OVS_REQUIRES(stats_mutex)
{
    queue_head = queue_tail = queue_message = 0;
    sequence = 0;
    last_progress = next_watermark = next_clocks = time_msec();
    do {
        session_id = random_uint32();
    } while (!session_id);

    update_counts();
    for (size_t i = 0; i < N_COLORS; i++) {
        colors[i].session_written = colors[i].written;
        colors[i].session_lost = lost(&colors[i]);
    }
    vtrace_message_init(&message);
    vtrace_message_put_templates(&message);
}

static void
run_round(void)
{
    bool new_stream = !stream;

    take_stream();
    new_stream = new_stream && stream;

    ovs_mutex_lock(&stats_mutex);
    if (new_stream) {
        begin_session();
    }

    round_busy = false;
    uint64_t watermark = vtrace_rings_drain(take_records, NULL);
    if (time_msec() >= next_watermark) {
        next_watermark = MAX(next_watermark + VTRACE_EXPORTER_WATERMARK_MS,
                             time_msec());
        update_counts();
        if (stream) {
            export_watermarks(watermark);
        }
    }
    if (stream) {
        if (time_msec() >= next_clocks) {
            next_clocks = time_msec() + CLOCKS_MS;
            vtrace_clocks_tell(export_clock);
        }
        export_endpoints();
        flush_message();
    }
    ovs_mutex_unlock(&stats_mutex);

    if (stream) {
        stream_run(stream);
        if (!send_queue() || !receive()) {
            disconnect();
        }
    }
}

static void *
exporter_main(void *aux OVS_UNUSED)
{
    while (!latch_is_set(&exit_latch)) {
        latch_poll(&wake_latch);
        run_round();

        if (stream) {
            stream_run_wait(stream);
            stream_recv_wait(stream);
            if (queue_head < queue_tail) {
                stream_send_wait(stream);
            }
        }
        poll_timer_wait(round_busy ? ROUND_BUSY_MS : ROUND_IDLE_MS);
        poll_timer_wait_until(next_watermark);
        latch_wait(&wake_latch);
        latch_wait(&exit_latch);
        poll_block();
    }
    run_round();
    if (stream) {
        disconnect();
    }
    vtrace_clocks_clear();
    return NULL;
}

/* The main thread. */

char *
vtrace_exporter_check(const char *collector)
{
    struct sockaddr_storage ss;

    if (!strncmp(collector, "unix:", 5)) {
        return (collector[5] ? NULL
                : xasprintf("\"%s\" names no file, set it to unix:PATH",
                            collector));
    }
    if (!strncmp(collector, "tcp:", 4) || !strncmp(collector, "ssl:", 4)) {
        /* It logs what it does not like, too. */
        if (!inet_parse_active(collector + 4, -1, &ss, false, NULL)) {
            return xasprintf("\"%s\" is not an IP address and a port, set it "
                             "to %.4sIP:PORT, with brackets around an IPv6 "
                             "address", collector, collector);
        }
#ifndef HAVE_OPENSSL
        if (collector[0] == 's') {
            return xasprintf("\"%s\" needs TLS, which this ovs-vswitchd was "
                             "built without, set it to tcp:IP:PORT or "
                             "unix:PATH", collector);
        }
#endif
        return NULL;
    }
    return xasprintf("\"%s\" is not a collector, set it to tcp:IP:PORT, "
                     "ssl:IP:PORT or unix:PATH, or remove it", collector);
}

/* Postpones the next attempt to connect, after 'error'. */
static void
attempt_failed(int error)
{
    set_error("%s: %s", target, ovs_strerror(error));
    backoff = MIN(MAX(backoff * 2, BACKOFF_MIN_MS), BACKOFF_MAX_MS);
    next_attempt = time_msec() + backoff;
}

static void
hand_over(void)
{
    VLOG_INFO_RL(&rl, "%s: connected", target);
    connected_at = time_msec();
    ovs_mutex_lock(&mutex);
    handed_over = connecting;
    state = HANDED_OVER;
    since_wall = time_wall_msec();
    free(last_error);
    last_error = NULL;
    ovs_mutex_unlock(&mutex);
    connecting = NULL;
    latch_set(&wake_latch);
}

static enum state
get_state(void)
{
    enum state s;

    ovs_mutex_lock(&mutex);
    s = state;
    ovs_mutex_unlock(&mutex);
    return s;
}

void
vtrace_exporter_run(void)
{
    int error;

    if (!target || get_state() != DISCONNECTED) {
        return;
    }

    if (connected_at) {
        /* A connection has ended.  Others may have the collector's address
         * for a while if it did not live long. */
        if (time_msec() - connected_at >= BACKOFF_MAX_MS) {
            backoff = 0;
        }
        backoff = MIN(MAX(backoff * 2, BACKOFF_MIN_MS), BACKOFF_MAX_MS);
        next_attempt = time_msec() + backoff;
        connected_at = 0;
    }

    if (!connecting) {
        if (time_msec() < next_attempt) {
            return;
        }
        error = stream_open(target, &connecting, DSCP_DEFAULT);
        if (error) {
            attempt_failed(error);
            return;
        }
        connect_deadline = time_msec() + CONNECT_TIMEOUT_MS;
    }

    stream_run(connecting);
    error = stream_connect(connecting);
    if (!error) {
        hand_over();
        return;
    }
    if (error == EAGAIN) {
        if (time_msec() < connect_deadline) {
            return;
        }
        error = ETIMEDOUT;
    }
    stream_close(connecting);
    connecting = NULL;
    attempt_failed(error);
}

void
vtrace_exporter_wait(void)
{
    if (!target) {
        return;
    }
    seq_wait(state_seq, seq_read(state_seq));
    if (get_state() != DISCONNECTED) {
        return;
    }
    if (connecting) {
        stream_run_wait(connecting);
        stream_connect_wait(connecting);
        poll_timer_wait_until(connect_deadline);
    } else if (connected_at) {
        poll_immediate_wake();
    } else {
        poll_timer_wait_until(next_attempt);
    }
}

static void
start(const char *collector)
{
    if (!queue) {
        latch_init(&exit_latch);
        latch_init(&wake_latch);
        state_seq = seq_create();
        queue = xmalloc(VTRACE_EXPORTER_QUEUE);
    }
    target = xstrdup(collector);
    next_attempt = LLONG_MIN;
    connected_at = 0;
    backoff = 0;
    next_watermark = time_msec();
    VLOG_INFO("%s: sending records", target);
    thread = ovs_thread_create("vtrace_exporter", exporter_main, NULL);
}

static void
stop(void)
{
    latch_set(&exit_latch);
    xpthread_join(thread, NULL);
    latch_poll(&exit_latch);
    latch_poll(&wake_latch);

    stream_close(connecting);
    connecting = NULL;
    ovs_mutex_lock(&mutex);
    stream_close(handed_over);
    handed_over = NULL;
    state = DISCONNECTED;
    free(last_error);
    last_error = NULL;
    ovs_mutex_unlock(&mutex);

    VLOG_INFO("%s: not sending records any more", target);
    free(target);
    target = NULL;
}

bool
vtrace_exporter_is_configured(void)
{
    return target != NULL;
}

void
vtrace_exporter_set_endpoints(const struct in6_addr *addresses, size_t n)
{
    n = MIN(n, VTRACE_EXPORTER_MAX_ENDPOINTS);
    ovs_mutex_lock(&mutex);
    if (n != n_endpoints
        || memcmp(addresses, endpoints, n * sizeof *addresses)) {
        memcpy(endpoints, addresses, n * sizeof *addresses);
        n_endpoints = n;
        endpoints_changed = true;
    }
    ovs_mutex_unlock(&mutex);
}

/* What 'ovs-appctl vtrace/exporter' shows. */

static struct json *
color_to_json(unsigned int color, const struct color_stats *c)
{
    struct json *object = json_object_create();
    struct json *by_reason = json_object_create();

    json_object_put(object, "color", json_integer_create(color));
    json_object_put(object, "in_use", json_boolean_create(color_in_use(c)));
    json_object_put(object, "written", json_integer_create(c->written));
    json_object_put(by_reason, "rate", json_integer_create(c->ring.rate));
    json_object_put(by_reason, "ring_full",
                    json_integer_create(c->ring.full));
    json_object_put(by_reason, "collector_slow",
                    json_integer_create(c->slow));
    json_object_put(by_reason, "not_connected",
                    json_integer_create(c->disconnected));
    json_object_put(object, "lost", by_reason);
    return object;
}

struct json *
vtrace_exporter_to_json(void)
{
    struct json *object = json_object_create();
    struct json *array = json_array_create_empty();

    if (target) {
        json_object_put_string(object, "collector", target);
    }
    ovs_mutex_lock(&mutex);
    json_object_put(object, "connected",
                    json_boolean_create(state == CONNECTED));
    if (state == CONNECTED) {
        json_object_put(object, "since_ms", json_integer_create(since_wall));
    }
    if (last_error) {
        json_object_put_string(object, "error", last_error);
    }
    ovs_mutex_unlock(&mutex);

    ovs_mutex_lock(&stats_mutex);
    json_object_put(object, "session", json_integer_create(session_id));
    json_object_put(object, "messages", json_integer_create(n_messages));
    json_object_put(object, "threads", json_integer_create(n_rings));
    for (unsigned int i = VTRACE_COLOR_MIN; i <= VTRACE_COLOR_MAX; i++) {
        if (colors[i].last_sum) {
            json_array_add(array, color_to_json(i, &colors[i]));
        }
    }
    ovs_mutex_unlock(&stats_mutex);
    json_object_put(object, "colors", array);
    return object;
}

static void
format(struct ds *s)
{
    ds_put_format(s, "collector: %s\n", target ? target : "none");
    ovs_mutex_lock(&mutex);
    if (state == CONNECTED) {
        ds_put_strftime_msec(s, "connected since: %Y-%m-%d %H:%M:%S.###Z\n",
                             since_wall, true);
    } else if (target) {
        ds_put_format(s, "not connected%s%s\n", last_error ? ": " : "",
                      last_error ? last_error : "");
    }
    ovs_mutex_unlock(&mutex);

    ovs_mutex_lock(&stats_mutex);
    ds_put_format(s, "messages: %"PRIu64"\nthreads: %"PRIuSIZE"\n",
                  n_messages, n_rings);
    for (unsigned int i = VTRACE_COLOR_MIN; i <= VTRACE_COLOR_MAX; i++) {
        const struct color_stats *c = &colors[i];

        if (c->last_sum) {
            ds_put_format(s, "color %u: written %"PRIu64", lost %"PRIu64
                          " (rate %"PRIu64", ring full %"PRIu64
                          ", collector slow %"PRIu64
                          ", not connected %"PRIu64")\n",
                          i, c->written, lost(c), c->ring.rate, c->ring.full,
                          c->slow, c->disconnected);
        }
    }
    ovs_mutex_unlock(&stats_mutex);
}

static void
vtrace_exporter_unixctl_show(struct unixctl_conn *conn, int argc,
                             const char *argv[], void *aux OVS_UNUSED)
{
    if (argc > 1 && strcmp(argv[1], "--json")) {
        unixctl_command_reply_error(conn, "usage: vtrace/exporter [--json]");
    } else if (argc > 1) {
        struct json *json = vtrace_exporter_to_json();
        char *s = json_to_string(json, JSSF_SORT);

        unixctl_command_reply(conn, s);
        free(s);
        json_destroy(json);
    } else {
        struct ds s = DS_EMPTY_INITIALIZER;

        format(&s);
        unixctl_command_reply(conn, ds_cstr(&s));
        ds_destroy(&s);
    }
}

void
vtrace_exporter_configure(const char *collector,
                          const struct zoo_record_config *config)
{
    static struct zoo_record_config current;
    static struct ovsthread_once once = OVSTHREAD_ONCE_INITIALIZER;

    if (ovsthread_once_start(&once)) {
        unixctl_command_register("vtrace/exporter", "[--json]", 0, 1,
                                 vtrace_exporter_unixctl_show, NULL);
        ovsthread_once_done(&once);
    }

    bool same = nullable_string_is_equal(collector, target);
    if (target && !same) {
        zoo_record_configure(NULL);
        stop();
    }
    if (collector && (!same || memcmp(config, &current, sizeof current))) {
        current = *config;
        zoo_record_configure(&current);
    }
    if (collector && !same) {
        start(collector);
    }
}

void
vtrace_exporter_exit(void)
{
    vtrace_exporter_configure(NULL, NULL);
}
