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

/* Tenant traffic for the system tests: an echo server, a sender of many paced
 * flows that records when each packet went out and its echo came back, and a
 * watcher of the underlay that records which outer source port each flow had.
 *
 * Every time is CLOCK_MONOTONIC in ns, so that the times of several of these
 * processes and of the program that runs them compare.  Each runs for a
 * bounded time, and no longer than the process that started it.  Results go
 * to stdout as JSON, after a line "ready" or "start NS".
 *
 * It uses nothing of Open vSwitch: it also runs beside an unpatched one. */

#include "traffic.h"

#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

void
fatal(const char *format, ...)
{
    int error = errno;
    va_list args;

    fputs("traffic: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, error ? ": %s\n" : "\n", strerror(error));
    exit(EXIT_FAILURE);
}

int64_t
now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

void *
xcalloc(size_t n, size_t size)
{
    void *p = calloc(n, size);

    if (!p) {
        fatal("out of memory");
    }
    return p;
}

void
poll_fd(int epfd, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event event = { .events = events, .data.u64 = data };

    if (epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event)
        && (errno != EEXIST
            || epoll_ctl(epfd, EPOLL_CTL_MOD, fd, &event))) {
        fatal("epoll_ctl");
    }
}

int
new_socket(int family, int type)
{
    int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;

    if (fd < 0) {
        fatal("socket");
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (type == SOCK_STREAM) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    return fd;
}

static const char usage[] =
"usage: traffic COMMAND [OPTION]...\n"
"  echo    echo UDP and TCP\n"
"          --port=N --seconds=S\n"
"  send    send paced flows to an echo server; obeys \"mark NAME [NS]\" and\n"
"          \"stop\" on stdin\n"
"          --to=ADDRESS --port=N --tcp --flows=N --rate=PPS --seconds=S\n"
"          --first-port=N --size=BYTES --bin=MS --late=MS\n"
"  watch   record the outer source ports of tunnelled flows to and from an\n"
"          echo server; ends with \"stop\" on stdin\n"
"          --device=NAME --port=N --seconds=S\n";

static double
number(const char *name, const char *text, double min, double max)
{
    char *end;
    double value = strtod(text, &end);

    if (*end || !*text || value < min || value > max) {
        errno = 0;
        fatal("%s: %s is out of range %g..%g", name, text, min, max);
    }
    return value;
}

static void
parse_options(int argc, char *argv[], struct traffic_options *o)
{
    enum { TO, DEVICE, PORT, TCP, FLOWS, RATE, SECONDS, FIRST_PORT, SIZE, BIN,
           LATE };
    static const struct option options[] = {
        { "to", required_argument, NULL, TO },
        { "device", required_argument, NULL, DEVICE },
        { "port", required_argument, NULL, PORT },
        { "tcp", no_argument, NULL, TCP },
        { "flows", required_argument, NULL, FLOWS },
        { "rate", required_argument, NULL, RATE },
        { "seconds", required_argument, NULL, SECONDS },
        { "first-port", required_argument, NULL, FIRST_PORT },
        { "size", required_argument, NULL, SIZE },
        { "bin", required_argument, NULL, BIN },
        { "late", required_argument, NULL, LATE },
        { NULL, 0, NULL, 0 },
    };
    int index = 0;
    int c;

    while ((c = getopt_long(argc, argv, "", options, &index)) != -1) {
        const char *name = options[index].name;

        switch (c) {
        case TO: o->to = optarg; break;
        case DEVICE: o->device = optarg; break;
        case PORT: o->port = number(name, optarg, 1, 65535); break;
        case TCP: o->tcp = true; break;
        case FLOWS: o->n_flows = number(name, optarg, 1, MAX_FLOWS); break;
        case RATE: o->rate = number(name, optarg, 1, 10000); break;
        case SECONDS: o->seconds = number(name, optarg, 0.1, 3600); break;
        case FIRST_PORT:
            o->first_port = number(name, optarg, 1, 65535 - MAX_FLOWS);
            break;
        case SIZE: o->size = number(name, optarg, 8, MAX_MESSAGE); break;
        case BIN: o->bin_ms = number(name, optarg, 1, 60000); break;
        case LATE: o->late_ms = number(name, optarg, 1, 60000); break;
        default: fputs(usage, stderr); exit(EXIT_FAILURE);
        }
    }
    if (optind < argc) {
        errno = 0;
        fatal("%s: unexpected argument", argv[optind]);
    }
}

/* What measures must not wait for what is measured. */
static void
raise_priority(void)
{
    struct sched_param param = { .sched_priority = 1 };

    if (sched_setscheduler(0, SCHED_RR, &param)) {
        setpriority(PRIO_PROCESS, 0, -15);
    }
}

int
main(int argc, char *argv[])
{
    static const struct {
        const char *name;
        int (*run)(const struct traffic_options *);
    } commands[] = {
        { "echo", traffic_echo },
        { "send", traffic_send },
        { "watch", traffic_watch },
    };
    struct traffic_options o = {
        .port = 7, .n_flows = 64, .rate = 50, .seconds = 10,
        .first_port = 20000, .size = 64, .bin_ms = 50, .late_ms = 500,
    };

    for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof *commands;
         i++) {
        if (!strcmp(argv[1], commands[i].name)) {
            parse_options(argc - 1, argv + 1, &o);
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            raise_priority();
            return commands[i].run(&o);
        }
    }
    fputs(usage, stderr);
    return EXIT_FAILURE;
}
