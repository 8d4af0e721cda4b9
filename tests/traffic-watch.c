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

/* Watcher of the underlay: records which outer source port the tunnelled flows
 * to and from an echo server have over time, and counts ZooRoute's probes. */

#define _GNU_SOURCE
#include "traffic.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define SNAPLEN 256
#define BATCH 64
#define MAX_CHANGES 4096        /* Per flow and direction. */

#define VXLAN_PORT 4789
#define GENEVE_PORT 6081
#define ETH_TYPE_PROBE 0x88b5

/* Probes with no more than this many ns between them are one burst. */
#define BURST (200 * NSEC_PER_MSEC)
#define MAX_BURSTS 4096

enum direction { TO, FROM, N_DIRECTIONS };

struct change {
    int64_t at;
    uint16_t port;              /* Outer source port from then on. */
};

/* One tenant flow in one direction. */
struct watched {
    uint64_t n_packets;
    int64_t last;               /* When its latest packet was seen. */
    size_t n_changes, n_allocated;
    struct change *changes;
};

struct watcher {
    int echo_port;
    struct watched *flows[N_DIRECTIONS][65536]; /* By the tenant's port. */
    uint64_t n_probes, probe_bytes;
    uint32_t probes_from[65536];                /* By outer source port. */
    int64_t last_probe;
    size_t n_bursts;
    int64_t bursts[MAX_BURSTS];                 /* When each began. */
    uint64_t n_unparsed;
};

/* A frame's bytes that are not parsed yet. */
struct cursor {
    const uint8_t *data;
    size_t len;
};

/* Returns the next 'n' bytes and moves past them, or NULL. */
static const uint8_t *
pull(struct cursor *c, size_t n)
{
    const uint8_t *data = c->data;

    if (c->len < n) {
        return NULL;
    }
    c->data += n;
    c->len -= n;
    return data;
}

static uint16_t
get16(const uint8_t *p)
{
    return p[0] << 8 | p[1];
}

/* Moves past an Ethernet header and an IP header.  Returns the IP protocol, 0
 * for other frames. */
static int
pull_eth_ip(struct cursor *c, uint16_t *eth_type)
{
    const uint8_t *eth = pull(c, 14);
    const uint8_t *ip;

    *eth_type = eth ? get16(eth + 12) : 0;
    if (*eth_type == ETH_P_IP && c->len) {
        ip = pull(c, (c->data[0] & 15) * 4);
        return ip ? ip[9] : 0;
    } else if (*eth_type == ETH_P_IPV6) {
        ip = pull(c, 40);
        return ip ? ip[6] : 0;
    }
    return 0;
}

/* Moves past the tunnel header after an outer UDP header to 'port'. */
static bool
pull_tunnel(struct cursor *c, uint16_t port)
{
    const uint8_t *tnl = pull(c, 8);

    return tnl && (port == VXLAN_PORT
                   || (port == GENEVE_PORT && pull(c, (tnl[0] & 63) * 4)));
}

static void
watcher_record(struct watched **flow_, uint16_t outer_port, int64_t t)
{
    struct watched *flow = *flow_;

    if (!flow) {
        flow = *flow_ = xcalloc(1, sizeof *flow);
    }
    flow->n_packets++;
    flow->last = t;
    if (flow->n_changes
        && flow->changes[flow->n_changes - 1].port == outer_port) {
        return;
    }
    if (flow->n_changes == flow->n_allocated
        && flow->n_allocated < MAX_CHANGES) {
        size_t n = flow->n_allocated ? flow->n_allocated * 2 : 4;

        flow->changes = realloc(flow->changes, n * sizeof *flow->changes);
        if (!flow->changes) {
            fatal("out of memory");
        }
        flow->n_allocated = n;
    }
    if (flow->n_changes < flow->n_allocated) {
        flow->changes[flow->n_changes++] = (struct change) { t, outer_port };
    }
}

static void
watcher_probe(struct watcher *w, uint16_t outer_port, size_t len, int64_t t)
{
    w->n_probes++;
    w->probe_bytes += len;
    w->probes_from[outer_port]++;
    if (t - w->last_probe > BURST && w->n_bursts < MAX_BURSTS) {
        w->bursts[w->n_bursts++] = t;
    }
    w->last_probe = t;
}

static void
watcher_frame(struct watcher *w, const uint8_t *data, size_t captured,
              size_t len, int64_t t)
{
    struct cursor c = { data, captured };
    const uint8_t *udp, *ports;
    uint16_t eth_type, outer_port, tnl_port;
    int proto;

    if (pull_eth_ip(&c, &eth_type) != IPPROTO_UDP || !(udp = pull(&c, 8))) {
        return;
    }
    outer_port = get16(udp);
    tnl_port = get16(udp + 2);
    if (tnl_port != VXLAN_PORT && tnl_port != GENEVE_PORT) {
        return;
    }
    if (!pull_tunnel(&c, tnl_port)) {
        w->n_unparsed++;
        return;
    }
    proto = pull_eth_ip(&c, &eth_type);
    if (eth_type == ETH_TYPE_PROBE) {
        watcher_probe(w, outer_port, len, t);
    } else if ((proto == IPPROTO_UDP || proto == IPPROTO_TCP)
               && (ports = pull(&c, 4))) {
        if (get16(ports + 2) == w->echo_port) {
            watcher_record(&w->flows[TO][get16(ports)], outer_port, t);
        } else if (get16(ports) == w->echo_port) {
            watcher_record(&w->flows[FROM][get16(ports + 2)], outer_port, t);
        }
    }
}

static int
open_device(const char *device)
{
    struct sockaddr_ll sll = { .sll_family = AF_PACKET,
                               .sll_protocol = htons(ETH_P_ALL) };
    int size = 8 * 1024 * 1024;
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    sll.sll_ifindex = if_nametoindex(device);
    if (fd < 0 || !sll.sll_ifindex) {
        fatal("%s", device);
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    if (bind(fd, (struct sockaddr *) &sll, sizeof sll)) {
        fatal("%s", device);
    }
    return fd;
}

static void
watcher_receive(struct watcher *w, int fd)
{
    static uint8_t buffers[BATCH][SNAPLEN];
    struct mmsghdr msgs[BATCH];
    struct iovec iovs[BATCH];
    int n;

    memset(msgs, 0, sizeof msgs);
    for (int i = 0; i < BATCH; i++) {
        iovs[i] = (struct iovec) { buffers[i], SNAPLEN };
        msgs[i].msg_hdr.msg_iov = &iovs[i];
        msgs[i].msg_hdr.msg_iovlen = 1;
    }
    n = recvmmsg(fd, msgs, BATCH, MSG_DONTWAIT | MSG_TRUNC, NULL);
    for (int i = 0; i < n; i++) {
        size_t len = msgs[i].msg_len;

        watcher_frame(w, buffers[i], len < SNAPLEN ? len : SNAPLEN, len,
                      now());
    }
}

static void
print_flow(int port, const struct watched *flow)
{
    printf("{\"port\":%d,\"packets\":%"PRIu64",\"last_ns\":%"PRId64
           ",\"outer\":[", port, flow->n_packets, flow->last);
    for (size_t i = 0; i < flow->n_changes; i++) {
        printf("%s[%"PRId64",%d]", i ? "," : "", flow->changes[i].at,
               flow->changes[i].port);
    }
    printf("]}");
}

static void
watcher_report(const struct watcher *w, int fd)
{
    static const char *const names[N_DIRECTIONS] = { "to", "from" };
    struct tpacket_stats stats = { 0, 0 };
    socklen_t len = sizeof stats;
    const char *separator = "";

    getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len);
    printf("{\"overruns\":%u,\"unparsed\":%"PRIu64",\n"
           "\"probes\":{\"packets\":%"PRIu64",\"bytes\":%"PRIu64
           ",\"by_port\":{", stats.tp_drops, w->n_unparsed, w->n_probes,
           w->probe_bytes);
    for (int port = 0; port < 65536; port++) {
        if (w->probes_from[port]) {
            printf("%s\"%d\":%"PRIu32, separator, port, w->probes_from[port]);
            separator = ",";
        }
    }
    printf("},\"bursts_ns\":[");
    for (size_t i = 0; i < w->n_bursts; i++) {
        printf("%s%"PRId64, i ? "," : "", w->bursts[i]);
    }
    printf("]}");
    for (int d = 0; d < N_DIRECTIONS; d++) {
        printf(",\n\"%s\":[", names[d]);
        separator = "";
        for (int port = 0; port < 65536; port++) {
            if (w->flows[d][port]) {
                printf("%s\n", separator);
                print_flow(port, w->flows[d][port]);
                separator = ",";
            }
        }
        printf("]");
    }
    printf("}\n");
}

int
traffic_watch(const struct traffic_options *o)
{
    enum { DEVICE, COMMANDS };
    struct watcher *w = xcalloc(1, sizeof *w);
    int64_t end = now() + o->seconds * NSEC_PER_SEC;
    int epfd = epoll_create1(EPOLL_CLOEXEC);
    bool stop = false;
    int fd;

    if (!o->device) {
        errno = 0;
        fatal("watch needs --device");
    }
    w->echo_port = o->port;
    fd = open_device(o->device);
    poll_fd(epfd, fd, EPOLLIN, DEVICE);
    poll_fd(epfd, STDIN_FILENO, EPOLLIN, COMMANDS);
    puts("ready");
    fflush(stdout);
    for (int64_t t = now(); t < end && !stop; t = now()) {
        struct epoll_event events[2];
        int n = epoll_wait(epfd, events, 2, (end - t) / NSEC_PER_MSEC + 1);

        for (int i = 0; i < n; i++) {
            if (events[i].data.u64 == DEVICE) {
                watcher_receive(w, fd);
            } else {
                stop = true;
            }
        }
    }
    watcher_receive(w, fd);
    watcher_report(w, fd);
    return 0;
}
