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

#ifndef TRAFFIC_H
#define TRAFFIC_H 1

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define NSEC_PER_MSEC INT64_C(1000000)
#define NSEC_PER_SEC INT64_C(1000000000)

#define MAX_FLOWS 4096
#define MAX_MESSAGE 1400

/* What the command line says.  Each subcommand uses the part that it needs. */
struct traffic_options {
    const char *to;             /* IP address of the echo server. */
    const char *device;         /* What to watch. */
    int port;                   /* Of the echo server, UDP and TCP. */
    bool tcp;
    int n_flows;                /* 1..MAX_FLOWS. */
    int rate;                   /* Packets/s of each flow, 1..10000. */
    double seconds;             /* Everything ends after this time. */
    int first_port;             /* Source port of flow 0. */
    int size;                   /* Bytes of a message, 8..MAX_MESSAGE. */
    int bin_ms;                 /* Width of a bin of the time series. */
    int late_ms;                /* An echo after this time is a loss. */
};

/* Subcommands.  They return an exit status. */
int traffic_echo(const struct traffic_options *);
int traffic_send(const struct traffic_options *);
int traffic_watch(const struct traffic_options *);

/* Prints a message, and errno unless it is 0, and exits. */
void fatal(const char *, ...)
    __attribute__((format(printf, 1, 2), noreturn));

/* CLOCK_MONOTONIC in ns. */
int64_t now(void);

/* A zeroed array; does not return where memory is lacking. */
void *xcalloc(size_t n, size_t size);

/* Waits for 'events' of 'fd' in the epoll instance 'epfd', known by 'data';
 * replaces what it waited for before. */
void poll_fd(int epfd, int fd, uint32_t events, uint64_t data);

/* Returns a nonblocking socket, TCP without Nagle's delay. */
int new_socket(int family, int type);

#endif /* traffic.h */
