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

/* Sender of paced flows to an echo server.  Everything is recorded while it
 * runs and worked out at the end. */

#include "traffic.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define MAX_MARKS 256
#define RECEIVE_BUFFER 65536

/* Packets go out on a grid of this many ns, which bounds the wake-ups. */
#define TICK NSEC_PER_MSEC

/* A flow's longest gap before a mark is looked for in this many ns. */
#define BEFORE (5 * NSEC_PER_SEC)

/* A flow is dead at the end of a mark's time if no echo came in this many ns
 * before the end. */
#define DEAD NSEC_PER_SEC

struct sample {
    int64_t sent, received;     /* 0 if not. */
};

struct flow {
    int fd;
    int port;
    uint32_t n_sent, n_received, n_duplicates;
    struct sample *samples;     /* By sequence number. */

    /* TCP: bytes that the socket did not take yet, bytes of echoes. */
    uint64_t n_pending, n_echoed;
};

struct mark {
    char name[64];
    int64_t at;
};

struct sender {
    const struct traffic_options *o;
    struct flow *flows;
    uint32_t max_sent;          /* Per flow. */
    int64_t start, end, max_late;
    struct mark marks[MAX_MARKS];
    int n_marks;
    char input[256];            /* Of stdin, up to a newline. */
    size_t n_input;
    bool stop;
};

struct message {
    uint32_t flow, seq;
};

static void
flow_open(struct flow *flow, const struct traffic_options *o,
          const struct addrinfo *to, int port)
{
    struct sockaddr_storage local = { .ss_family = to->ai_family };
    struct linger reset = { .l_onoff = 1 };

    flow->port = port;
    flow->fd = new_socket(to->ai_family, to->ai_socktype);

    /* The next run connects from the same port. */
    setsockopt(flow->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (to->ai_family == AF_INET6) {
        ((struct sockaddr_in6 *) &local)->sin6_port = htons(port);
    } else {
        ((struct sockaddr_in *) &local)->sin_port = htons(port);
    }
    if (bind(flow->fd, (struct sockaddr *) &local, to->ai_addrlen)) {
        fatal("source port %d", port);
    }
    if (connect(flow->fd, to->ai_addr, to->ai_addrlen)
        && errno != EINPROGRESS) {
        fatal("connect to %s", o->to);
    }
}

/* Waits until all TCP connections are up. */
static void
flows_wait_connected(struct sender *s)
{
    int64_t deadline = now() + 10 * NSEC_PER_SEC;
    int epfd = epoll_create1(EPOLL_CLOEXEC);

    for (int i = 0; i < s->o->n_flows; i++) {
        poll_fd(epfd, s->flows[i].fd, EPOLLOUT | EPOLLONESHOT, i);
    }
    for (int n_up = 0; n_up < s->o->n_flows; ) {
        struct epoll_event event;
        socklen_t len = sizeof errno;

        errno = 0;
        if (now() > deadline) {
            fatal("%d of %d connections to %s after 10 s", n_up,
                  s->o->n_flows, s->o->to);
        }
        if (epoll_wait(epfd, &event, 1, 100) == 1) {
            int error = 0;

            getsockopt(s->flows[event.data.u64].fd, SOL_SOCKET, SO_ERROR,
                       &error, &len);
            if (error) {
                errno = error;
                fatal("connect to %s", s->o->to);
            }
            n_up++;
        }
    }
    close(epfd);
}

static void
sender_open(struct sender *s)
{
    const struct traffic_options *o = s->o;
    struct addrinfo hints = { .ai_flags = AI_NUMERICHOST,
                              .ai_socktype = o->tcp ? SOCK_STREAM
                                                    : SOCK_DGRAM };
    struct addrinfo *to;
    char port[16];

    snprintf(port, sizeof port, "%d", o->port);
    if (getaddrinfo(o->to, port, &hints, &to)) {
        fatal("%s: not an IP address", o->to);
    }
    s->flows = xcalloc(o->n_flows, sizeof *s->flows);
    s->max_sent = o->rate * o->seconds;
    for (int i = 0; i < o->n_flows; i++) {
        s->flows[i].samples = xcalloc(s->max_sent + 1,
                                      sizeof *s->flows[i].samples);
        flow_open(&s->flows[i], o, to, o->first_port + i);
    }
    freeaddrinfo(to);
    if (o->tcp) {
        flows_wait_connected(s);
    }
}

/* Time at which packet 'n' of all flows' is due: flows take turns evenly. */
static int64_t
due(const struct sender *s, uint64_t n)
{
    return s->start + n * NSEC_PER_SEC / ((int64_t) s->o->rate
                                          * s->o->n_flows);
}

static void
flow_push_tcp(struct flow *flow)
{
    static const char zeros[RECEIVE_BUFFER];

    while (flow->n_pending) {
        size_t chunk = flow->n_pending < sizeof zeros ? flow->n_pending
                                                      : sizeof zeros;
        ssize_t n = send(flow->fd, zeros, chunk, MSG_NOSIGNAL);

        if (n <= 0) {
            break;
        }
        flow->n_pending -= n;
    }
}

static void
flow_send(struct sender *s, int i)
{
    struct flow *flow = &s->flows[i];
    struct sample *sample = &flow->samples[flow->n_sent];

    sample->sent = now();
    if (s->o->tcp) {
        flow->n_pending += s->o->size;
        flow_push_tcp(flow);
    } else {
        union {
            struct message m;
            char bytes[MAX_MESSAGE];
        } u;

        memset(&u, 0, s->o->size);
        u.m.flow = i;
        u.m.seq = flow->n_sent;
        /* A failure is a lost packet, as any other. */
        (void) !send(flow->fd, u.bytes, s->o->size, 0);
    }
    flow->n_sent++;
}

static void
flow_received(struct flow *flow, uint32_t seq, int64_t t)
{
    if (seq >= flow->n_sent || flow->samples[seq].received) {
        flow->n_duplicates++;
    } else {
        flow->samples[seq].received = t;
        flow->n_received++;
    }
}

static void
flow_receive(struct sender *s, int i)
{
    struct flow *flow = &s->flows[i];
    char buffer[RECEIVE_BUFFER];
    ssize_t n;

    while ((n = recv(flow->fd, buffer, sizeof buffer, 0)) > 0) {
        int64_t t = now();

        if (s->o->tcp) {
            flow->n_echoed += n;
            while (flow->n_received < flow->n_echoed / s->o->size) {
                flow_received(flow, flow->n_received, t);
            }
        } else if (n >= (ssize_t) sizeof(struct message)) {
            struct message m;

            memcpy(&m, buffer, sizeof m);
            if (m.flow == (uint32_t) i) {
                flow_received(flow, m.seq, t);
            }
        }
    }
    if (!n && s->o->tcp) {
        fatal("port %d: connection closed by the echo server", flow->port);
    }
}

/* Obeys "mark NAME [NS]" and "stop". */
static void
sender_command(struct sender *s, char *line)
{
    struct mark *mark = &s->marks[s->n_marks];
    int64_t at;
    int n = sscanf(line, "mark %63s %"SCNd64, mark->name, &at);

    if (n >= 1 && s->n_marks < MAX_MARKS) {
        mark->at = n == 2 ? at : now();
        s->n_marks++;
    } else if (!strcmp(line, "stop")) {
        s->stop = true;
    } else {
        errno = 0;
        fatal("%s: not a command, expected mark NAME [NS] or stop", line);
    }
}

/* Returns false at the end of the input. */
static bool
sender_read_commands(struct sender *s)
{
    ssize_t n = read(STDIN_FILENO, s->input + s->n_input,
                     sizeof s->input - 1 - s->n_input);
    char *newline;

    if (n <= 0) {
        return n < 0 && errno == EAGAIN;
    }
    s->n_input += n;
    s->input[s->n_input] = '\0';
    while ((newline = strchr(s->input, '\n'))) {
        *newline = '\0';
        sender_command(s, s->input);
        s->n_input -= newline + 1 - s->input;
        memmove(s->input, newline + 1, s->n_input + 1);
    }
    return true;
}

static bool
sender_drained(const struct sender *s)
{
    for (int i = 0; i < s->o->n_flows; i++) {
        if (s->flows[i].n_received < s->flows[i].n_sent) {
            return false;
        }
    }
    return true;
}

static void
set_timer(int tfd, int64_t at)
{
    int64_t tick = (at + TICK - 1) / TICK * TICK;
    struct itimerspec its = {
        .it_value = { tick / NSEC_PER_SEC, tick % NSEC_PER_SEC } };

    timerfd_settime(tfd, TFD_TIMER_ABSTIME, &its, NULL);
}

/* Sends what is due, returns when the next packet is. */
static int64_t
sender_send_due(struct sender *s, uint64_t *n)
{
    int64_t t = now();

    while (due(s, *n) <= t) {
        if (t - due(s, *n) > s->max_late) {
            s->max_late = t - due(s, *n);
        }
        flow_send(s, *n % s->o->n_flows);
        ++*n;
    }
    return due(s, *n);
}

static void
sender_run(struct sender *s)
{
    enum { TIMER = MAX_FLOWS, COMMANDS };
    const struct traffic_options *o = s->o;
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    int tfd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    uint64_t n_total = (uint64_t) s->max_sent * o->n_flows;
    uint64_t n = 0;
    int64_t drain_until = INT64_MAX;

    for (int i = 0; i < o->n_flows; i++) {
        poll_fd(epfd, s->flows[i].fd, EPOLLIN, i);
    }
    poll_fd(epfd, tfd, EPOLLIN, TIMER);
    fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(epfd, EPOLL_CTL_ADD, STDIN_FILENO,
                  &(struct epoll_event) { .events = EPOLLIN,
                                          .data.u64 = COMMANDS })
        && errno != EPERM) {
        fatal("stdin");
    }
    s->start = now() + 10 * NSEC_PER_MSEC;
    set_timer(tfd, s->start);
    printf("start %"PRId64"\n", s->start);
    fflush(stdout);

    while (now() < drain_until) {
        struct epoll_event events[128];
        int n_events = epoll_wait(epfd, events, 128, 100);

        for (int i = 0; i < n_events; i++) {
            uint64_t what = events[i].data.u64;

            if (what < MAX_FLOWS) {
                flow_receive(s, what);
            } else if (what == COMMANDS && !sender_read_commands(s)) {
                epoll_ctl(epfd, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
            }
        }
        if (n < n_total && !s->stop) {
            set_timer(tfd, sender_send_due(s, &n));
        } else if (!s->end) {
            s->end = now();
            drain_until = s->end + o->late_ms * NSEC_PER_MSEC;
            set_timer(tfd, drain_until);
        }
        for (int i = 0; o->tcp && i < o->n_flows; i++) {
            flow_push_tcp(&s->flows[i]);
        }
        if (s->end && sender_drained(s)) {
            break;
        }
    }
    close(tfd);
    close(epfd);
}

/* Report of the sender. */

struct mark_result {
    int64_t before;             /* Longest gap of echoes before it. */
    int64_t silence;            /* Longest silence after it. */
    int64_t first;              /* From it to the first echo, -1 for none. */
    int n_sent, n_lost;
    bool dead;
};

static bool
is_lost(const struct sender *s, const struct sample *sample)
{
    return !sample->received
           || sample->received - sample->sent > s->o->late_ms * NSEC_PER_MSEC;
}

static int
compare_times(const void *a_, const void *b_)
{
    const int64_t *a = a_;
    const int64_t *b = b_;

    return *a < *b ? -1 : *a > *b;
}

/* Returns the times at which echoes of 'flow' came, in order, and their number
 * in '*n'. */
static int64_t *
flow_arrivals(const struct flow *flow, size_t *n)
{
    int64_t *times = xcalloc(flow->n_received + 1, sizeof *times);

    *n = 0;
    for (uint32_t i = 0; i < flow->n_sent; i++) {
        if (flow->samples[i].received) {
            times[(*n)++] = flow->samples[i].received;
        }
    }
    qsort(times, *n, sizeof *times, compare_times);
    return times;
}

/* Longest of the times without an echo between 'from' and 'to', counting from
 * the last echo before 'from' if 'straddle'. */
static int64_t
longest_gap(const int64_t *times, size_t n, int64_t from, int64_t to,
            bool straddle)
{
    int64_t previous = straddle ? from : 0;
    int64_t longest = 0;

    for (size_t i = 0; i < n && times[i] < to; i++) {
        if (times[i] < from) {
            previous = straddle ? times[i] : 0;
            continue;
        }
        if (previous && times[i] - previous > longest) {
            longest = times[i] - previous;
        }
        previous = times[i];
    }
    return straddle && to - previous > longest ? to - previous : longest;
}

static struct mark_result
flow_at_mark(const struct sender *s, const struct flow *flow,
             const int64_t *times, size_t n, int64_t at, int64_t end)
{
    struct mark_result r = { .first = -1, .dead = true };

    for (size_t i = 0; i < n && times[i] < end && r.first < 0; i++) {
        r.first = times[i] >= at ? times[i] - at : -1;
    }
    r.before = longest_gap(times, n, at - BEFORE, at, false);
    r.silence = longest_gap(times, n, at, end, true);
    for (uint32_t i = 0; i < flow->n_sent; i++) {
        const struct sample *sample = &flow->samples[i];

        if (sample->sent >= at && sample->sent < end) {
            r.n_sent++;
            r.n_lost += is_lost(s, sample);
        }
        if (sample->received >= end - DEAD && sample->received < end) {
            r.dead = false;
        }
    }
    return r;
}

static void
print_marks(const struct sender *s)
{
    printf("\"marks\":[");
    for (int m = 0; m < s->n_marks; m++) {
        int64_t at = s->marks[m].at;
        int64_t end = m + 1 < s->n_marks ? s->marks[m + 1].at : s->end;

        printf("%s\n{\"name\":\"%s\",\"at_ns\":%"PRId64",\"end_ns\":%"PRId64
               ",\"flows\":[", m ? "," : "", s->marks[m].name, at, end);
        for (int i = 0; i < s->o->n_flows; i++) {
            size_t n;
            int64_t *times = flow_arrivals(&s->flows[i], &n);
            struct mark_result r = flow_at_mark(s, &s->flows[i], times, n,
                                                at, end);

            printf("%s{\"before_ms\":%.3f,\"silence_ms\":%.3f,"
                   "\"first_ms\":%.3f,\"sent\":%d,\"lost\":%d,\"dead\":%s}",
                   i ? "," : "", r.before / 1e6, r.silence / 1e6,
                   r.first >= 0 ? r.first / 1e6 : -1, r.n_sent, r.n_lost,
                   r.dead ? "true" : "false");
            free(times);
        }
        printf("]}");
    }
    printf("],\n");
}

static void
print_bins(const struct sender *s)
{
    int64_t width = s->o->bin_ms * NSEC_PER_MSEC;
    int n_bins = (s->end - s->start) / width + 1;
    int *sent = xcalloc(n_bins, sizeof *sent);
    int *lost = xcalloc(n_bins, sizeof *lost);

    for (int i = 0; i < s->o->n_flows; i++) {
        const struct flow *flow = &s->flows[i];

        for (uint32_t j = 0; j < flow->n_sent; j++) {
            int bin = (flow->samples[j].sent - s->start) / width;

            if (bin >= 0 && bin < n_bins) {
                sent[bin]++;
                lost[bin] += is_lost(s, &flow->samples[j]);
            }
        }
    }
    printf("\"bins\":{\"ms\":%d,\"sent\":[", s->o->bin_ms);
    for (int i = 0; i < n_bins; i++) {
        printf("%s%d", i ? "," : "", sent[i]);
    }
    printf("],\"lost\":[");
    for (int i = 0; i < n_bins; i++) {
        printf("%s%d", i ? "," : "", lost[i]);
    }
    printf("]},\n");
    free(sent);
    free(lost);
}

static void
print_flow(const struct sender *s, const struct flow *flow)
{
    int64_t *rtts = xcalloc(flow->n_received + 1, sizeof *rtts);
    size_t n = 0;
    int n_lost = 0;

    for (uint32_t i = 0; i < flow->n_sent; i++) {
        n_lost += is_lost(s, &flow->samples[i]);
        if (flow->samples[i].received) {
            rtts[n++] = flow->samples[i].received - flow->samples[i].sent;
        }
    }
    qsort(rtts, n, sizeof *rtts, compare_times);
    printf("{\"port\":%d,\"sent\":%"PRIu32",\"received\":%"PRIu32
           ",\"lost\":%d,\"duplicates\":%"PRIu32",\"rtt_us\":{\"p50\":%"PRId64
           ",\"max\":%"PRId64"}}", flow->port, flow->n_sent, flow->n_received,
           n_lost, flow->n_duplicates, n ? rtts[n / 2] / 1000 : 0,
           n ? rtts[n - 1] / 1000 : 0);
    free(rtts);
}

static void
sender_report(const struct sender *s)
{
    struct rusage ru;

    getrusage(RUSAGE_SELF, &ru);
    printf("{\"proto\":\"%s\",\"rate\":%d,\"start_ns\":%"PRId64
           ",\"end_ns\":%"PRId64",\"cpu_ms\":%ld,\"late_ms\":%.3f,\n",
           s->o->tcp ? "tcp" : "udp", s->o->rate, s->start, s->end,
           (ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000
           + (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1000,
           s->max_late / 1e6);
    print_bins(s);
    print_marks(s);
    printf("\"flows\":[");
    for (int i = 0; i < s->o->n_flows; i++) {
        printf("%s\n", i ? "," : "");
        print_flow(s, &s->flows[i]);
    }
    printf("]}\n");
}

int
traffic_send(const struct traffic_options *o)
{
    struct sender s = { .o = o };

    errno = 0;
    if (!o->to) {
        fatal("send needs --to");
    }
    sender_open(&s);
    sender_run(&s);
    sender_report(&s);
    return 0;
}
