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

/* Echo server, UDP and TCP, IPv4 and IPv6. */

#define _GNU_SOURCE
#include "traffic.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ECHO_BATCH 64
#define ECHO_BUFFER 65536

struct echo_conn {
    int fd;
    size_t ofs, len;            /* What is to be sent in 'buffer'. */
    char buffer[ECHO_BUFFER];
};

static int
echo_bind(int type, int port)
{
    struct sockaddr_in6 any = { .sin6_family = AF_INET6,
                                .sin6_port = htons(port) };
    int fd = new_socket(AF_INET6, type);
    int zero = 0;

    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    if (bind(fd, (struct sockaddr *) &any, sizeof any)) {
        fatal("port %d", port);
    }
    if (type == SOCK_STREAM && listen(fd, 1024)) {
        fatal("listen");
    }
    return fd;
}

static void
echo_udp(int fd)
{
    static char buffers[ECHO_BATCH][MAX_MESSAGE];
    struct sockaddr_in6 addresses[ECHO_BATCH];
    struct mmsghdr msgs[ECHO_BATCH];
    struct iovec iovs[ECHO_BATCH];

    memset(msgs, 0, sizeof msgs);
    for (int i = 0; i < ECHO_BATCH; i++) {
        iovs[i] = (struct iovec) { buffers[i], sizeof buffers[i] };
        msgs[i].msg_hdr.msg_iov = &iovs[i];
        msgs[i].msg_hdr.msg_iovlen = 1;
        msgs[i].msg_hdr.msg_name = &addresses[i];
        msgs[i].msg_hdr.msg_namelen = sizeof addresses[i];
    }

    int n = recvmmsg(fd, msgs, ECHO_BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < n; i++) {
        iovs[i].iov_len = msgs[i].msg_len;
    }
    for (int i = 0; i < n; ) {
        int sent = sendmmsg(fd, &msgs[i], n - i, 0);

        i += sent > 0 ? sent : 1;
    }
}

static void
echo_accept(int epfd, int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    int one = 1;

    if (fd >= 0) {
        struct echo_conn *conn = xcalloc(1, sizeof *conn);

        conn->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        poll_fd(epfd, fd, EPOLLIN, (uintptr_t) conn);
    }
}

static void
echo_tcp(int epfd, struct echo_conn *conn)
{
    if (!conn->len) {
        ssize_t n = read(conn->fd, conn->buffer, sizeof conn->buffer);

        if (n <= 0) {
            if (!n || errno != EAGAIN) {
                close(conn->fd);
                free(conn);
            }
            return;
        }
        conn->ofs = 0;
        conn->len = n;
    }

    ssize_t n = send(conn->fd, conn->buffer + conn->ofs, conn->len,
                     MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) {
        close(conn->fd);
        free(conn);
        return;
    }
    if (n > 0) {
        conn->ofs += n;
        conn->len -= n;
    }
    poll_fd(epfd, conn->fd, conn->len ? EPOLLOUT : EPOLLIN,
             (uintptr_t) conn);
}

int
traffic_echo(const struct traffic_options *o)
{
    enum { UDP = 0, LISTENER = 1 };
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    int udp = echo_bind(SOCK_DGRAM, o->port);
    int listener = echo_bind(SOCK_STREAM, o->port);
    int64_t end = now() + o->seconds * NSEC_PER_SEC;

    poll_fd(epfd, udp, EPOLLIN, UDP);
    poll_fd(epfd, listener, EPOLLIN, LISTENER);
    puts("ready");
    fflush(stdout);
    for (int64_t t = now(); t < end; t = now()) {
        struct epoll_event events[64];
        int n = epoll_wait(epfd, events, 64, (end - t) / NSEC_PER_MSEC + 1);

        for (int i = 0; i < n; i++) {
            if (events[i].data.u64 == UDP) {
                echo_udp(udp);
            } else if (events[i].data.u64 == LISTENER) {
                echo_accept(epfd, listener);
            } else {
                echo_tcp(epfd,
                         (struct echo_conn *) (uintptr_t) events[i].data.u64);
            }
        }
    }
    return 0;
}
