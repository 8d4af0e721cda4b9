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

#include "p4/gateway-state.h"

#include <netinet/icmp6.h>

#include "csum.h"
#include "dp-packet.h"
#include "flow.h"
#include "hash.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/vlog.h"
#include "p4/gateway-pipeline.h"
#include "seq.h"
#include "timeval.h"
#include "openvswitch/token-bucket.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(gateway_neighbors);

/* Open vSwitch 4.0 can also ask one neighbor alone. */
#if __has_include("dpif-offload.h")
#define compose_nd_ns(PACKET, ETH_SRC, SRC, DST) \
    compose_nd_ns(PACKET, true, ETH_SRC, eth_addr_zero, SRC, DST)
#endif

static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(10, 50);

/* Between two requests, while there is no answer, and until an answer is to be
 * confirmed, ms. */
#define RETRY_INTERVAL 1000
#define REFRESH_INTERVAL 30000

/* Until a request for which there was no room is tried again, ms. */
#define ROOM_INTERVAL 10

/* Answers per second. */
#define MAX_REPLIES 1000

/* A next hop. */
struct neighbor {
    struct hmap_node node;      /* In 'neighbors'. */
    unsigned int port;
    struct in6_addr ip;
    struct in6_addr local;      /* Whom it is to answer. */
    struct eth_addr mac;
    bool known;                 /* 'mac' is. */
    bool wanted;                /* Looked up since the last mark. */
    long long int confirmed;    /* When it last answered, time_msec(). */
    long long int next_request;
};

static struct hmap neighbors OVS_GUARDED_BY(gateway_mutex)
    = HMAP_INITIALIZER(&neighbors);

/* Changes when an address is learned. */
static struct seq *
neighbors_seq(void)
{
    static struct ovsthread_once once = OVSTHREAD_ONCE_INITIALIZER;
    static struct seq *seq;

    if (ovsthread_once_start(&once)) {
        seq = seq_create();
        ovsthread_once_done(&once);
    }
    return seq;
}

uint64_t
gateway_neighbors_seq(void)
{
    return seq_read(neighbors_seq());
}

void
gateway_neighbors_wait_seq(uint64_t seq)
{
    seq_wait(neighbors_seq(), seq);
}

static uint32_t
neighbor_hash(unsigned int port, const struct in6_addr *ip)
{
    return hash_bytes(ip, sizeof *ip, port);
}

static struct neighbor *
neighbor_find(unsigned int port, const struct in6_addr *ip)
    OVS_REQUIRES(gateway_mutex)
{
    struct neighbor *n;

    HMAP_FOR_EACH_WITH_HASH (n, node, neighbor_hash(port, ip), &neighbors) {
        if (n->port == port && ipv6_addr_equals(&n->ip, ip)) {
            return n;
        }
    }
    return NULL;
}

bool
gateway_neighbor_lookup(unsigned int port, const struct in6_addr *ip,
                        const struct in6_addr *local, struct eth_addr *mac)
{
    struct neighbor *n = neighbor_find(port, ip);

    if (!n) {
        n = xzalloc(sizeof *n);
        n->port = port;
        n->ip = *ip;
        n->next_request = LLONG_MIN;
        hmap_insert(&neighbors, &n->node, neighbor_hash(port, ip));
    }
    n->local = *local;
    n->wanted = true;
    *mac = n->mac;
    return n->known;
}

void
gateway_neighbors_mark(void)
{
    struct neighbor *n;

    HMAP_FOR_EACH (n, node, &neighbors) {
        n->wanted = false;
    }
}

void
gateway_neighbors_sweep(void)
{
    struct neighbor *n, *next;

    HMAP_FOR_EACH_SAFE (n, next, node, &neighbors) {
        if (!n->wanted) {
            hmap_remove(&neighbors, &n->node);
            free(n);
        }
    }
}

/* Sends 'packet', which this gateway has made on its own.  Returns false if
 * there was no room. */
static bool
send_packet(unsigned int port, struct dp_packet *packet)
{
    bool sent = gateway_send(port, dp_packet_data(packet),
                             dp_packet_size(packet));

    dp_packet_uninit(packet);
    return sent;
}

/* Returns true if a request may be answered: MAX_REPLIES a second, whoever
 * asks. */
static bool
may_reply(void)
{
    static struct token_bucket bucket = TOKEN_BUCKET_INIT(MAX_REPLIES,
                                                          1000 * MAX_REPLIES);

    return token_bucket_withdraw(&bucket, 1000);
}

/* Sends 'packet', the answer to a request. */
static void
send_reply(unsigned int port, struct dp_packet *packet)
{
    if (may_reply()) {
        gateway_reply(port, dp_packet_data(packet), dp_packet_size(packet));
    }
    dp_packet_uninit(packet);
}

/* Asks for the address of 'n'.  Returns false if there was no room. */
static bool
send_request(const struct neighbor *n, const struct gateway_interface *iface)
{
    uint64_t stub[64];
    struct dp_packet packet;

    dp_packet_use_stub(&packet, stub, sizeof stub);
    if (gateway_is_ipv4(&n->ip)) {
        compose_arp(&packet, ARP_OP_REQUEST, iface->mac, eth_addr_zero, true,
                    in6_addr_get_mapped_ipv4(&n->local),
                    in6_addr_get_mapped_ipv4(&n->ip));
    } else {
        compose_nd_ns(&packet, iface->mac, &n->local, &n->ip);
    }
    return send_packet(n->port, &packet);
}

/* Composes into 'packet' what tells all neighbors of 'iface' that 'ip' is
 * there. */
static void
compose_announcement(struct dp_packet *packet,
                     const struct gateway_interface *iface,
                     const struct in6_addr *ip)
{
    if (gateway_is_ipv4(ip)) {
        ovs_be32 ip4 = in6_addr_get_mapped_ipv4(ip);

        compose_arp(packet, ARP_OP_REQUEST, iface->mac, eth_addr_zero, true,
                    ip4, ip4);
    } else {
        static const struct eth_addr group = ETH_ADDR_C(33,33,00,00,00,01);
        static const struct in6_addr all_nodes = {
            .s6_addr = { 0xff, 0x02, [15] = 1 },
        };

        /* Not asked for (RFC 4861, section 7.2.6). */
        compose_nd_na(packet, iface->mac, group, ip, &all_nodes,
                      htonl(ND_RSO_ROUTER | ND_RSO_OVERRIDE));
    }
}

void
gateway_neighbors_announce(const struct gateway_interface *iface)
{
    for (size_t i = 0; i < iface->n_addresses; i++) {
        uint64_t stub[64];
        struct dp_packet packet;

        dp_packet_use_stub(&packet, stub, sizeof stub);
        compose_announcement(&packet, iface, &iface->addresses[i].address);
        send_packet(iface->port, &packet);
    }
}

void
gateway_neighbors_run(void)
{
    long long int now = time_msec();
    struct neighbor *n;

    ovs_mutex_lock(&gateway_mutex);
    HMAP_FOR_EACH (n, node, &neighbors) {
        const struct gateway_interface *iface;

        if (now < n->next_request) {
            continue;
        }
        n->next_request = now + RETRY_INTERVAL;
        iface = gateway_interface_on(n->port);
        if (iface && !send_request(n, iface)) {
            n->next_request = now + ROOM_INTERVAL;
        }
    }
    ovs_mutex_unlock(&gateway_mutex);
}

void
gateway_neighbors_wait(void)
{
    long long int next = LLONG_MAX;
    struct neighbor *n;

    ovs_mutex_lock(&gateway_mutex);
    HMAP_FOR_EACH (n, node, &neighbors) {
        next = MIN(next, n->next_request);
    }
    ovs_mutex_unlock(&gateway_mutex);
    if (next != LLONG_MAX) {
        poll_timer_wait_until(next);
    }
}

/* Neighbor 'ip' on 'port' says that its address is 'mac'. */
static void
learn(unsigned int port, const struct in6_addr *ip, struct eth_addr mac)
    OVS_REQUIRES(gateway_mutex)
{
    struct neighbor *n = neighbor_find(port, ip);
    long long int now = time_msec();

    if (!n || eth_addr_is_multicast(mac) || eth_addr_is_zero(mac)) {
        return;
    }
    n->confirmed = now;
    n->next_request = now + REFRESH_INTERVAL;
    if (!n->known || !eth_addr_equals(n->mac, mac)) {
        char s[INET6_ADDRSTRLEN];

        VLOG_INFO_RL(&rl, "neighbor %s on port %u is at "ETH_ADDR_FMT,
                     ipv6_string_mapped(s, ip) ? s : "?", port,
                     ETH_ADDR_ARGS(mac));
        n->mac = mac;
        n->known = true;
        seq_change(neighbors_seq());
    }
}

static void
receive_arp(const struct gateway_interface *iface, const struct flow *flow)
    OVS_REQUIRES(gateway_mutex)
{
    struct in6_addr sender, target;

    in6_addr_set_mapped_ipv4(&sender, flow->nw_src);
    in6_addr_set_mapped_ipv4(&target, flow->nw_dst);
    learn(iface->port, &sender, flow->arp_sha);
    if (flow->nw_proto == ARP_OP_REQUEST
        && !ipv6_addr_equals(&sender, &target)
        && gateway_interface_has(iface, &target)) {
        uint64_t stub[64];
        struct dp_packet packet;

        dp_packet_use_stub(&packet, stub, sizeof stub);
        compose_arp(&packet, ARP_OP_REPLY, iface->mac, flow->arp_sha, false,
                    flow->nw_dst, flow->nw_src);
        send_reply(iface->port, &packet);
    }
}

static void
receive_nd(const struct gateway_interface *iface, const struct flow *flow)
    OVS_REQUIRES(gateway_mutex)
{
    /* RFC 4861, section 7.1: what a router has forwarded is not from here. */
    if (flow->nw_ttl != 255) {
        return;
    }
    if (ntohs(flow->tp_src) == ND_NEIGHBOR_ADVERT) {
        learn(iface->port, &flow->nd_target, flow->arp_tha);
    } else if (gateway_interface_has(iface, &flow->nd_target)) {
        uint64_t stub[64];
        struct dp_packet packet;

        dp_packet_use_stub(&packet, stub, sizeof stub);
        if (!ipv6_addr_is_set(&flow->ipv6_src)) {
            /* Somebody asks whether the address is free (RFC 4862, section
             * 5.4.3). */
            compose_announcement(&packet, iface, &flow->nd_target);
            send_reply(iface->port, &packet);
            return;
        }
        learn(iface->port, &flow->ipv6_src, flow->arp_sha);
        compose_nd_na(&packet, iface->mac, flow->dl_src, &flow->nd_target,
                      &flow->ipv6_src,
                      htonl(ND_RSO_ROUTER | ND_RSO_SOLICITED
                            | ND_RSO_OVERRIDE));
        send_reply(iface->port, &packet);
    }
}

/* Turns the echo request 'packet' for 'iface' into its reply and sends it (RFC
 * 792, RFC 4443). */
static void
answer_echo(const struct gateway_interface *iface, struct dp_packet *packet,
            const struct flow *flow)
{
    struct eth_header *eth = dp_packet_eth(packet);
    struct icmp_header *icmp = dp_packet_l4(packet);

    if (!icmp || dp_packet_l4_size(packet) < sizeof *icmp
        || !may_reply()) {
        return;
    }
    eth->eth_dst = flow->dl_src;
    eth->eth_src = iface->mac;
    if (flow->dl_type == htons(ETH_TYPE_IP)) {
        packet_set_ipv4(packet, flow->nw_dst, flow->nw_src, flow->nw_tos, 64);
        packet_set_icmp(packet, ICMP4_ECHO_REPLY, 0);
    } else {
        packet_set_ipv6(packet, &flow->ipv6_dst, &flow->ipv6_src,
                        flow->nw_tos, flow->ipv6_label, 64);
        packet_set_icmp(packet, ICMP6_ECHO_REPLY, 0);
    }
    gateway_reply(iface->port, dp_packet_data(packet),
                  dp_packet_size(packet));
}

static bool
is_echo(const struct flow *flow)
{
    return ((flow->dl_type == htons(ETH_TYPE_IP)
             && flow->nw_proto == IPPROTO_ICMP
             && flow->tp_src == htons(ICMP4_ECHO_REQUEST))
            || (flow->dl_type == htons(ETH_TYPE_IPV6)
                && flow->nw_proto == IPPROTO_ICMPV6
                && flow->tp_src == htons(ICMP6_ECHO_REQUEST)));
}

void
gateway_neighbors_receive(const struct gateway_punt *punt)
{
    const struct gateway_interface *iface;
    struct dp_packet packet;
    struct flow flow;

    dp_packet_use_const(&packet, punt->data, punt->len);
    flow_extract(&packet, &flow);

    /* Not what other VLANs say, nor what is to be answered to many. */
    if (flow.vlans[0].tci || eth_addr_is_multicast(flow.dl_src)
        || eth_addr_is_zero(flow.dl_src)) {
        return;
    }
    ovs_mutex_lock(&gateway_mutex);
    iface = gateway_interface_on(punt->port);
    if (!iface || eth_addr_equals(flow.dl_src, iface->mac)) {
        /* It has just been closed, or hears itself. */
    } else if (flow.dl_type == htons(ETH_TYPE_ARP)) {
        receive_arp(iface, &flow);
    } else if (is_nd(&flow, NULL)) {
        receive_nd(iface, &flow);
    } else if (is_echo(&flow) && !flow.nw_frag) {
        struct in6_addr dst = flow.ipv6_dst;

        if (flow.dl_type == htons(ETH_TYPE_IP)) {
            in6_addr_set_mapped_ipv4(&dst, flow.nw_dst);
        }
        if (gateway_interface_has(iface, &dst)) {
            answer_echo(iface, &packet, &flow);
        }
    }
    ovs_mutex_unlock(&gateway_mutex);
}

void
gateway_neighbors_format(struct ds *s)
{
    long long int now = time_msec();
    struct neighbor *n;

    HMAP_FOR_EACH (n, node, &neighbors) {
        const struct gateway_interface *iface = gateway_interface_on(n->port);

        ds_put_cstr(s, "neighbor ");
        ipv6_format_mapped(&n->ip, s);
        ds_put_format(s, " on %s: ", iface ? iface->name : "none");
        if (n->known) {
            ds_put_format(s, ETH_ADDR_FMT", heard %lld s ago\n",
                          ETH_ADDR_ARGS(n->mac), (now - n->confirmed) / 1000);
        } else {
            ds_put_cstr(s, "does not answer\n");
        }
    }
}
