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
#include "ovs-ext/zoo-learn.h"

#include "cmap.h"
#include "dp-packet.h"
#include "flow.h"
#include "hash.h"
#include "ovs-rcu.h"
#include "packets.h"
#include "util.h"

struct key {
    struct in6_addr remote, local;
    ovs_be16 dst_port;
};

struct zoo_learn {
    struct cmap_node cmap_node; /* In 'learners'. */
    struct key key;

    /* Datapath threads write without care for each other. */
    ATOMIC(uint16_t) kept[ZOO_N_BUCKETS];
    ATOMIC(uint16_t) seen[ZOO_N_BUCKETS];   /* 0 if none. */
};

static struct cmap learners = CMAP_INITIALIZER;
atomic_bool zoo_learn_enabled;

static uint32_t
hash_key(const struct key *key)
{
    return hash_bytes(&key->remote, sizeof key->remote,
                      hash_bytes(&key->local, sizeof key->local,
                                 (OVS_FORCE uint16_t) key->dst_port));
}

static struct zoo_learn *
find(const struct key *key)
{
    struct zoo_learn *l;

    CMAP_FOR_EACH_WITH_HASH (l, cmap_node, hash_key(key), &learners) {
        if (ipv6_addr_equals(&l->key.remote, &key->remote)
            && ipv6_addr_equals(&l->key.local, &key->local)
            && l->key.dst_port == key->dst_port) {
            return l;
        }
    }
    return NULL;
}

struct zoo_learn *
zoo_learn_create(const struct in6_addr *remote, const struct in6_addr *local,
                 ovs_be16 dst_port)
{
    struct zoo_learn *l = xzalloc(sizeof *l);

    l->key.remote = *remote;
    l->key.local = *local;
    l->key.dst_port = dst_port;
    for (size_t b = 0; b < ZOO_N_BUCKETS; b++) {
        atomic_init(&l->kept[b], 0);
        atomic_init(&l->seen[b], 0);
    }
    cmap_insert(&learners, &l->cmap_node, hash_key(&l->key));
    atomic_store_relaxed(&zoo_learn_enabled, true);
    return l;
}

void
zoo_learn_destroy(struct zoo_learn *l)
{
    if (l) {
        cmap_remove(&learners, &l->cmap_node, hash_key(&l->key));
        atomic_store_relaxed(&zoo_learn_enabled, !cmap_is_empty(&learners));
        ovsrcu_postpone(free, l);
    }
}

void
zoo_learn_take(struct zoo_learn *l, const uint16_t kept[ZOO_N_BUCKETS],
               uint16_t seen[ZOO_N_BUCKETS])
{
    for (size_t b = 0; b < ZOO_N_BUCKETS; b++) {
        atomic_read_relaxed(&l->seen[b], &seen[b]);
        if (seen[b]) {
            atomic_store_relaxed(&l->seen[b], 0);
        }
        atomic_store_relaxed(&l->kept[b], kept[b]);
    }
}

/* Returns the length of the header of 'nw_proto', 0 if that has no ports. */
static size_t
l4_header_len(uint8_t nw_proto)
{
    return (nw_proto == IPPROTO_TCP ? TCP_HEADER_LEN
            : nw_proto == IPPROTO_UDP ? UDP_HEADER_LEN
            : nw_proto == IPPROTO_SCTP ? SCTP_HEADER_LEN
            : 0);
}

/* Sets in 'flow' what flow_hash_5tuple() reads, from 'frame', if it is a plain
 * one, as nearly all are, without the time that flow_extract() takes for the
 * rest.  Returns false if it is not: where one is too short for its headers,
 * or for what they say, flow_extract() decides what that means. */
static bool
extract_plain(const struct dp_packet *frame, struct flow *flow)
{
    const uint8_t *data = dp_packet_data(frame);
    size_t size = dp_packet_size(frame);
    size_t ofs = ETH_HEADER_LEN;
    size_t end, l4_len;

    if (size < ETH_HEADER_LEN) {
        return false;
    }
    memcpy(&flow->dl_type, data + ETH_HEADER_LEN - sizeof flow->dl_type,
           sizeof flow->dl_type);
    if (flow->dl_type == htons(ETH_TYPE_IP)) {
        const struct ip_header *ip = (const void *) (data + ofs);

        if (size < ofs + IP_HEADER_LEN || ip->ip_ihl_ver != IP_IHL_VER(5, 4)
            || IP_IS_FRAGMENT(ip->ip_frag_off)) {
            return false;
        }
        flow->nw_proto = ip->ip_proto;
        flow->nw_src = get_16aligned_be32(&ip->ip_src);
        flow->nw_dst = get_16aligned_be32(&ip->ip_dst);
        end = ofs + ntohs(ip->ip_tot_len);
        ofs += IP_HEADER_LEN;
    } else if (flow->dl_type == htons(ETH_TYPE_IPV6)) {
        const struct ovs_16aligned_ip6_hdr *ip = (const void *) (data + ofs);

        if (size < ofs + IPV6_HEADER_LEN) {
            return false;
        }
        flow->nw_proto = ip->ip6_ctlun.ip6_un1.ip6_un1_nxt;
        memcpy(&flow->ipv6_src, &ip->ip6_src, sizeof flow->ipv6_src);
        memcpy(&flow->ipv6_dst, &ip->ip6_dst, sizeof flow->ipv6_dst);
        ofs += IPV6_HEADER_LEN;
        end = ofs + ntohs(ip->ip6_ctlun.ip6_un1.ip6_un1_plen);
    } else {
        return false;
    }
    l4_len = l4_header_len(flow->nw_proto);
    if (!l4_len || end < ofs + l4_len || end > size
        || size - end > UINT8_MAX) {
        return false;
    }
    if (flow->nw_proto == IPPROTO_TCP) {
        const struct tcp_header *tcp = (const void *) (data + ofs);
        size_t tcp_len = TCP_OFFSET(tcp->tcp_ctl) * 4;

        if (tcp_len < TCP_HEADER_LEN || ofs + tcp_len > end) {
            return false;
        }
    }
    memcpy(&flow->tp_src, data + ofs, sizeof flow->tp_src);
    memcpy(&flow->tp_dst, data + ofs + sizeof flow->tp_src,
           sizeof flow->tp_dst);
    return true;
}

/* Exchanges source and destination of 'flow'.  Returns false if it is not of a
 * protocol with ports. */
static bool
reverse(struct flow *flow)
{
    ovs_be16 port = flow->tp_src;

    if (!l4_header_len(flow->nw_proto)) {
        return false;
    }
    if (flow->dl_type == htons(ETH_TYPE_IP)) {
        ovs_be32 ip = flow->nw_src;

        flow->nw_src = flow->nw_dst;
        flow->nw_dst = ip;
    } else if (flow->dl_type == htons(ETH_TYPE_IPV6)) {
        struct in6_addr ip = flow->ipv6_src;

        flow->ipv6_src = flow->ipv6_dst;
        flow->ipv6_dst = ip;
    } else {
        return false;
    }
    flow->tp_src = flow->tp_dst;
    flow->tp_dst = port;
    return true;
}

/* Notes that 'frame' came with outer source port 'sport'. */
static void
learn_frame(struct zoo_learn *l, const struct dp_packet *frame, uint16_t sport)
{
    struct flow flow;
    uint16_t seen, kept;
    unsigned int b;

    if (!extract_plain(frame, &flow)) {
        struct dp_packet copy;

        dp_packet_use_const(&copy, dp_packet_data(frame),
                            dp_packet_size(frame));
        flow_extract(&copy, &flow);
    }
    if (!reverse(&flow)) {
        return;
    }
    b = zoo_bucket(flow_hash_5tuple(&flow, 0));
    atomic_read_relaxed(&l->seen[b], &seen);
    atomic_read_relaxed(&l->kept[b], &kept);
    if (seen != sport && (!seen || sport == kept)) {
        atomic_store_relaxed(&l->seen[b], sport);
    }
}

static void
learn_packet(const struct dp_packet *packet)
{
    const struct flow_tnl *tnl = &packet->md.tunnel;
    struct zoo_learn *l;
    struct key key = {
        .remote = flow_tnl_src(tnl),
        .local = flow_tnl_dst(tnl),
        .dst_port = tnl->tp_dst,
    };

    l = find(&key);
    if (l) {
        learn_frame(l, packet, ntohs(tnl->tp_src));
    }
}

void
zoo_learn_batch(struct dp_packet_batch *batch)
{
    struct dp_packet *packet;

    DP_PACKET_BATCH_FOR_EACH (i, packet, batch) {
        if (packet->packet_type == htonl(PT_ETH)) {
            learn_packet(packet);
        }
    }
}
