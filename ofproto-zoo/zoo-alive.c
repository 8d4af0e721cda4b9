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
#include "zoo-alive.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "packets.h"
#include "socket-util.h"
#include "util.h"

/* After packets.h, whose words some of their macros are. */
#ifdef __linux__
#include <linux/errqueue.h>
#include <linux/filter.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#endif

/* Destination ports. */
#define FIRST_PORT 33434
#define N_PORTS 64

struct zoo_alive {
    int fds[2];                 /* IPv4 and IPv6, -1 if there is none. */
    unsigned int n_asked;
};

#ifdef __linux__
/* Returns an error number, or 0. */
static int
set_options(int fd, bool ipv6)
{
    /* Nobody reads what is no error: it must not fill the buffer, of which
     * errors take a part. */
    struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog filter = { .len = 1, .filter = &nothing };
    int yes = 1;

    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter)
        || (ipv6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY,
                               &yes, sizeof yes))
        || (ipv6 ? setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR,
                              &yes, sizeof yes)
            : setsockopt(fd, IPPROTO_IP, IP_RECVERR, &yes, sizeof yes))) {
        return errno;
    }
    return 0;
}

static int
open_socket(bool ipv6)
{
    int family = ipv6 ? AF_INET6 : AF_INET;
    int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd >= 0 && set_options(fd, ipv6)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* Sets the source address of 'msg', whose 'msg_control' has room for it. */
static void
set_source(struct msghdr *msg, const struct in6_addr *local)
{
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg);

    if (IN6_IS_ADDR_V4MAPPED(local)) {
        struct in_pktinfo info = {
            .ipi_spec_dst.s_addr = in6_addr_get_mapped_ipv4(local),
        };

        cmsg->cmsg_level = IPPROTO_IP;
        cmsg->cmsg_type = IP_PKTINFO;
        cmsg->cmsg_len = CMSG_LEN(sizeof info);
        memcpy(CMSG_DATA(cmsg), &info, sizeof info);
    } else {
        struct in6_pktinfo info = { .ipi6_addr = *local };

        cmsg->cmsg_level = IPPROTO_IPV6;
        cmsg->cmsg_type = IPV6_PKTINFO;
        cmsg->cmsg_len = CMSG_LEN(sizeof info);
        memcpy(CMSG_DATA(cmsg), &info, sizeof info);
    }
    msg->msg_controllen = CMSG_SPACE(cmsg->cmsg_len - CMSG_LEN(0));
}

static socklen_t
to_sockaddr(const struct in6_addr *addr, uint16_t port,
            struct sockaddr_storage *ss)
{
    memset(ss, 0, sizeof *ss);
    if (IN6_IS_ADDR_V4MAPPED(addr)) {
        struct sockaddr_in *sin = ALIGNED_CAST(struct sockaddr_in *, ss);

        sin->sin_family = AF_INET;
        sin->sin_addr.s_addr = in6_addr_get_mapped_ipv4(addr);
        sin->sin_port = htons(port);
        return sizeof *sin;
    } else {
        struct sockaddr_in6 *sin6 = ALIGNED_CAST(struct sockaddr_in6 *, ss);

        sin6->sin6_family = AF_INET6;
        sin6->sin6_addr = *addr;
        sin6->sin6_port = htons(port);
        return sizeof *sin6;
    }
}

void
zoo_alive_ask(struct zoo_alive *alive, const struct in6_addr *local,
              const struct in6_addr *remote)
{
    static const char body[] = "ovs-zoo asks whether this machine is there";
    uint16_t port = FIRST_PORT + alive->n_asked++ % N_PORTS;
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(struct in6_pktinfo))];
    } control;
    struct iovec iov = { CONST_CAST(char *, body), sizeof body - 1 };
    struct sockaddr_storage ss;
    struct msghdr msg = {
        .msg_name = &ss,
        .msg_namelen = to_sockaddr(remote, port, &ss),
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof control,
    };
    int fd = alive->fds[!IN6_IS_ADDR_V4MAPPED(remote)];

    memset(&control, 0, sizeof control);
    set_source(&msg, local);
    /* The first try may just say what an earlier question has got. */
    for (int i = 0; fd >= 0 && i < 2; i++) {
        if (sendmsg(fd, &msg, MSG_DONTWAIT) >= 0) {
            break;
        }
    }
}

/* Returns true if 'msg' is an error that says that the machine 'remote' itself
 * has no such port. */
static bool
is_answer(struct msghdr *msg, const struct in6_addr *remote)
{
    struct cmsghdr *cmsg;

    for (cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
        struct {
            struct sock_extended_err ee;
            struct sockaddr_storage offender;
        } err;
        struct sockaddr_in sin;
        struct sockaddr_in6 sin6;

        memset(&err, 0, sizeof err);
        memcpy(&err, CMSG_DATA(cmsg),
               MIN(sizeof err, cmsg->cmsg_len - CMSG_LEN(0)));
        memcpy(&sin, (char *) &err + sizeof err.ee, sizeof sin);
        memcpy(&sin6, (char *) &err + sizeof err.ee, sizeof sin6);
        if (cmsg->cmsg_level == IPPROTO_IP && cmsg->cmsg_type == IP_RECVERR
            && err.ee.ee_origin == SO_EE_ORIGIN_ICMP
            && err.ee.ee_type == ICMP_DEST_UNREACH
            && err.ee.ee_code == ICMP_PORT_UNREACH) {
            return (sin.sin_addr.s_addr
                    == in6_addr_get_mapped_ipv4(remote));
        } else if (cmsg->cmsg_level == IPPROTO_IPV6
                   && cmsg->cmsg_type == IPV6_RECVERR
                   && err.ee.ee_origin == SO_EE_ORIGIN_ICMP6
                   && err.ee.ee_type == ICMP6_DST_UNREACH
                   && err.ee.ee_code == ICMP6_DST_UNREACH_NOPORT) {
            return ipv6_addr_equals(&sin6.sin6_addr, remote);
        }
    }
    return false;
}

/* Takes one message from the error queue of 'fd'.  Returns false if there is
 * none, else sets '*answer' to whether it is one, of '*remote'. */
static bool
take_error(int fd, struct in6_addr *remote, bool *answer)
{
    union {
        struct cmsghdr align;
        char room[512];
    } control;
    struct sockaddr_storage ss;
    char quote[64];
    struct iovec iov = { quote, sizeof quote };
    struct msghdr msg = {
        .msg_name = &ss,
        .msg_namelen = sizeof ss,
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof control,
    };

    if (fd < 0 || recvmsg(fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
        return false;
    }
    if (ss.ss_family == AF_INET) {
        in6_addr_set_mapped_ipv4(
            remote, ALIGNED_CAST(struct sockaddr_in *, &ss)->sin_addr.s_addr);
    } else {
        *remote = ALIGNED_CAST(struct sockaddr_in6 *, &ss)->sin6_addr;
    }
    *answer = is_answer(&msg, remote);
    return true;
}
#else
static int
open_socket(bool ipv6 OVS_UNUSED)
{
    return -1;
}

void
zoo_alive_ask(struct zoo_alive *alive OVS_UNUSED,
              const struct in6_addr *local OVS_UNUSED,
              const struct in6_addr *remote OVS_UNUSED)
{
}

static bool
take_error(int fd OVS_UNUSED, struct in6_addr *remote OVS_UNUSED,
           bool *answer OVS_UNUSED)
{
    return false;
}
#endif

struct zoo_alive *
zoo_alive_create(void)
{
    struct zoo_alive *alive = xzalloc(sizeof *alive);

    for (int i = 0; i < 2; i++) {
        alive->fds[i] = open_socket(i);
    }
    return alive;
}

void
zoo_alive_destroy(struct zoo_alive *alive)
{
    if (alive) {
        for (int i = 0; i < 2; i++) {
            if (alive->fds[i] >= 0) {
                close(alive->fds[i]);
            }
        }
        free(alive);
    }
}

bool
zoo_alive_take(struct zoo_alive *alive, struct in6_addr *remote)
{
    for (int i = 0; i < 2; i++) {
        bool answer;

        while (take_error(alive->fds[i], remote, &answer)) {
            if (answer) {
                return true;
            }
        }
    }
    return false;
}
