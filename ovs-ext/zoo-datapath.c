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
#include "ovs-ext/zoo-datapath.h"

#include <errno.h>

#include "cmap.h"
#include "coverage.h"
#include "csum.h"
#include "dp-packet.h"
#include "flow.h"
#include "hash.h"
#include "mpsc-queue.h"
#include "netdev-native-tnl.h"
#include "ofproto-zoo/zoo-probe.h"
#include "openvswitch/geneve.h"
#include "odp-netlink.h"
#include "openvswitch/vlog.h"
#include "ovs-atomic.h"
#include "ovs-rcu.h"
#include "openvswitch/poll-loop.h"
#include "packets.h"
#include "random.h"
#include "seq.h"
#include "timeval.h"
#include "unaligned.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(zoo_datapath);

/* Keeps a function that is seldom called from adding to the registers that its
 * caller must save each time. */
#ifdef __GNUC__
#define NO_INLINE __attribute__((__noinline__))
#else
#define NO_INLINE
#endif

COVERAGE_DEFINE(zooroute_push_stale_slot);
COVERAGE_DEFINE(zooroute_rx);
COVERAGE_DEFINE(zooroute_rx_request_queue_full);
COVERAGE_DEFINE(zooroute_rx_unexpected);
COVERAGE_DEFINE(zooroute_rx_report_queue_full);

/* Push. */

/* What the datapath reads of a slot.  Written only by zoo_slot_publish(). */
struct zoo_map {
    ovs_be16 port[ZOO_N_BUCKETS];
};

struct zoo_slot {
    OVSRCU_TYPE(struct zoo_map *) map;
    uint32_t salt;

    /* Set by datapath threads, only where it is not set yet, so that they
     * share the cache lines in the steady state; cleared by the reader. */
    atomic_bool used[ZOO_N_BUCKETS];
    atomic_bool any_used;       /* Set after 'used', cleared before it. */
};

static OVSRCU_TYPE(struct zoo_slot *) slots[ZOO_SLOT_MAX + 1];
static unsigned int n_slots;        /* Slots in use. */
static uint16_t last_slot;          /* Where to look for the next one. */
static void (*observer)(uint16_t slot); /* NULL or zoo_slot_observe()'s. */

uint32_t
zoo_push_salt(const struct in6_addr *remote)
{
    ovs_be32 tail;

    /* All of an IPv4 address, and of an IPv6 address the part that tells one
     * host from the next. */
    memcpy(&tail, &remote->s6_addr[12], sizeof tail);
    return ntohl(tail);
}

/* Returns the IP header in 'header', which begins with an Ethernet header
 * without VLAN, as tunnel headers do, and stores its size in '*ip_len' if it
 * is followed by UDP, otherwise returns NULL. */
static const uint8_t *
find_udp(const void *header, size_t len, struct in6_addr *dst)
{
    const struct eth_header *eth = header;
    const uint8_t *l3 = (const uint8_t *) (eth + 1);

    if (eth->eth_type == htons(ETH_TYPE_IP)) {
        const struct ip_header *ip = (const void *) l3;

        if (len < ETH_HEADER_LEN + IP_HEADER_LEN + UDP_HEADER_LEN
            || ip->ip_proto != IPPROTO_UDP) {
            return NULL;
        }
        in6_addr_set_mapped_ipv4(dst, get_16aligned_be32(&ip->ip_dst));
        return l3 + IP_HEADER_LEN;
    } else if (eth->eth_type == htons(ETH_TYPE_IPV6)) {
        const struct ovs_16aligned_ip6_hdr *ip6 = (const void *) l3;

        if (len < ETH_HEADER_LEN + IPV6_HEADER_LEN + UDP_HEADER_LEN
            || ip6->ip6_ctlun.ip6_un1.ip6_un1_nxt != IPPROTO_UDP) {
            return NULL;
        }
        memcpy(dst, &ip6->ip6_dst, sizeof *dst);
        return l3 + IPV6_HEADER_LEN;
    }
    return NULL;
}

static struct udp_header *
push_find_udp(const struct ovs_action_push_tnl *data)
{
    struct in6_addr dst;

    if (data->tnl_type != OVS_VPORT_TYPE_VXLAN
        && data->tnl_type != OVS_VPORT_TYPE_GENEVE) {
        return NULL;
    }
    return CONST_CAST(struct udp_header *,
                      ALIGNED_CAST(const struct udp_header *,
                                   find_udp(data->header, data->header_len,
                                            &dst)));
}

struct vxlanhdr *
zoo_push_vxlan(struct ovs_action_push_tnl *data)
{
    struct udp_header *udp = (data->tnl_type == OVS_VPORT_TYPE_VXLAN
                              ? push_find_udp(data) : NULL);

    return udp ? (struct vxlanhdr *) (udp + 1) : NULL;
}

struct geneve_opt *
zoo_push_add_option(struct ovs_action_push_tnl *data, uint8_t type,
                    size_t body)
{
    struct udp_header *udp = (data->tnl_type == OVS_VPORT_TYPE_GENEVE
                              ? push_find_udp(data) : NULL);
    struct geneve_opt *opt;
    struct genevehdr *gnh;
    size_t len = sizeof *opt + body;

    if (!udp) {
        return NULL;
    }
    gnh = (struct genevehdr *) (udp + 1);
    if (data->header_len + len > sizeof data->header
        || gnh->opt_len + len / 4 > 63) {
        return NULL;
    }
    opt = ALIGNED_CAST(struct geneve_opt *,
                       (uint8_t *) data->header + data->header_len);
    memset(opt, 0, len);
    opt->opt_class = htons(ZOO_GENEVE_OPT_CLASS);
    opt->type = type;
    opt->length = body / 4;
    gnh->opt_len += len / 4;
    gnh->critical |= type >> 7;
    data->header_len += len;
    return opt;
}

bool
zoo_push_last_option(struct ovs_action_push_tnl *data, uint8_t type,
                     struct geneve_opt *opt, size_t size)
{
    struct udp_header *udp = (data->tnl_type == OVS_VPORT_TYPE_GENEVE
                              ? push_find_udp(data) : NULL);
    const uint8_t *last = (const uint8_t *) data->header + data->header_len
                          - size;

    if (!udp || data->header_len > sizeof data->header
        || last < (const uint8_t *) (udp + 1) + sizeof(struct genevehdr)) {
        return false;
    }
    memcpy(opt, last, size);
    return (opt->opt_class == htons(ZOO_GENEVE_OPT_CLASS)
            && opt->type == type
            && sizeof *opt + opt->length * 4 == size);
}

bool
zoo_push_set_choice(struct ovs_action_push_tnl *data, uint16_t choice)
{
    struct udp_header *udp = push_find_udp(data);

    if (udp) {
        udp->udp_src = htons(choice);
    }
    return udp != NULL;
}

uint16_t
zoo_push_get_choice(const struct ovs_action_push_tnl *data)
{
    const struct udp_header *udp = push_find_udp(data);

    return udp ? ntohs(udp->udp_src) : 0;
}

bool
zoo_push_set_probe(struct ovs_action_push_tnl *data)
{
    struct udp_header *udp = push_find_udp(data);

    if (!udp) {
        return false;
    } else if (data->tnl_type == OVS_VPORT_TYPE_VXLAN) {
        struct vxlanhdr *vxh = (struct vxlanhdr *) (udp + 1);

        put_16aligned_be32(&vxh->vx_flags,
                           get_16aligned_be32(&vxh->vx_flags)
                           | htonl(ZOO_VXLAN_F_PROBE));
    } else {
        return zoo_push_add_option(data, ZOO_GENEVE_OPT_TYPE, 0) != NULL;
    }
    return true;
}

/* Returns the hash that a bond below the tunnel sees, which hence follows the
 * outer source port 'port', as the underlay does. */
static inline uint32_t
port_hash(ovs_be16 port, uint32_t salt)
{
    uint32_t hash = ((OVS_FORCE uint16_t) port ^ salt) * UINT32_C(0x9e3779b1);

    return hash ^ hash >> 16;
}

/* Returns the frame inside the VXLAN or Geneve header that follows 'udp'.
 * Where Geneve has its protocol type, VXLAN has zeros, or a policy ID and
 * then also a flag that as a version of Geneve is unknown. */
static const void *
inner_frame(const struct udp_header *udp)
{
    const struct genevehdr *gnh = (const struct genevehdr *) (udp + 1);

    return ((const uint8_t *) gnh
            + (!gnh->ver && gnh->proto_type == htons(ETH_TYPE_TEB)
               ? sizeof *gnh + 4 * gnh->opt_len
               : sizeof(struct vxlanhdr)));
}

/* Open vSwitch's own choice. */
static struct udp_header * NO_INLINE
push_upstream(struct dp_packet *packet, struct udp_header *udp)
{
    udp->udp_src = netdev_tnl_get_src_port(packet);
    return udp;
}

static struct udp_header * NO_INLINE
push_stale(struct dp_packet *packet, struct udp_header *udp)
{
    COVERAGE_INC(zooroute_push_stale_slot);
    return push_upstream(packet, udp);
}

static struct udp_header * NO_INLINE
push_literal(struct dp_packet *packet, struct udp_header *udp)
{
    struct in6_addr dst;
    uint32_t salt = (find_udp(dp_packet_data(packet), dp_packet_size(packet),
                              &dst)
                     ? zoo_push_salt(&dst) : 0);

    dp_packet_set_rss_hash(packet, port_hash(udp->udp_src, salt));
    return udp;
}

/* Gives 'packet' its flow hash, which is that of the frame inside, and goes
 * on. */
static struct udp_header * NO_INLINE
push_unhashed(struct dp_packet *packet, struct udp_header *udp)
{
    const uint8_t *frame = inner_frame(udp);
    struct dp_packet inner;
    struct flow flow;

    dp_packet_use_const(&inner, frame,
                        (const uint8_t *) dp_packet_tail(packet) - frame);
    flow_extract(&inner, &flow);
    dp_packet_set_rss_hash(packet, flow_hash_5tuple(&flow, 0));
    return zoo_push_udp_src(packet, udp);
}

/* Every tenant packet comes here: what is rare is left to functions that are
 * called last. */
struct udp_header *
zoo_push_udp_src(struct dp_packet *packet, struct udp_header *udp)
{
    unsigned int choice = ntohs(udp->udp_src);
    struct zoo_slot *slot;
    struct zoo_map *map;
    unsigned int b;
    ovs_be16 port;
    bool used;

    if (OVS_UNLIKELY(choice >= ZOO_SPORT_MIN)) {
        return push_literal(packet, udp);
    }
    if (OVS_UNLIKELY(!dp_packet_rss_valid(packet))) {
        return push_unhashed(packet, udp);
    }
    slot = ovsrcu_get(struct zoo_slot *, &slots[choice]);
    if (OVS_UNLIKELY(!slot)) {
        return push_stale(packet, udp);
    }

    b = zoo_bucket(dp_packet_get_rss_hash(packet));
    atomic_read_relaxed(&slot->used[b], &used);
    if (OVS_UNLIKELY(!used)) {
        atomic_store_relaxed(&slot->used[b], true);
        /* Pairs with the one in zoo_slot_take_used(): either that one finds
         * the bucket, or this one finds that it must say so. */
        atomic_thread_fence(memory_order_seq_cst);
        atomic_read_relaxed(&slot->any_used, &used);
        if (!used) {
            atomic_store_relaxed(&slot->any_used, true);
        }
    }

    map = ovsrcu_get(struct zoo_map *, &slot->map);
    port = map->port[b];
    if (OVS_UNLIKELY(!port)) {
        return push_upstream(packet, udp);
    }
    udp->udp_src = port;
    dp_packet_set_rss_hash(packet, port_hash(port, slot->salt));
    return udp;
}

uint16_t
zoo_slot_alloc(uint32_t salt)
{
    if (n_slots >= ZOO_SLOT_MAX) {
        return 0;
    }

    uint16_t id = last_slot;
    do {
        id = id >= ZOO_SLOT_MAX ? 1 : id + 1;
    } while (ovsrcu_get_protected(struct zoo_slot *, &slots[id]));
    last_slot = id;
    n_slots++;

    struct zoo_slot *slot = xzalloc(sizeof *slot);
    slot->salt = salt;
    for (size_t b = 0; b < ZOO_N_BUCKETS; b++) {
        atomic_init(&slot->used[b], false);
    }
    atomic_init(&slot->any_used, false);
    ovsrcu_init(&slot->map, xzalloc(sizeof(struct zoo_map)));
    ovsrcu_set(&slots[id], slot);
    return id;
}

void
zoo_slot_publish(uint16_t id, const uint16_t ports[ZOO_N_BUCKETS])
{
    struct zoo_slot *slot = ovsrcu_get_protected(struct zoo_slot *,
                                                 &slots[id]);
    struct zoo_map *old = ovsrcu_get_protected(struct zoo_map *, &slot->map);
    struct zoo_map *map = xmalloc(sizeof *map);

    for (size_t b = 0; b < ZOO_N_BUCKETS; b++) {
        map->port[b] = htons(ports[b]);
    }
    ovsrcu_set(&slot->map, map);
    ovsrcu_postpone(free, old);
    if (observer) {
        observer(id);
    }
}

void
zoo_slot_observe(void (*cb)(uint16_t slot))
{
    observer = cb;
}

void
zoo_slot_read(uint16_t id, uint16_t ports[ZOO_N_BUCKETS])
{
    const struct zoo_slot *slot = ovsrcu_get(struct zoo_slot *, &slots[id]);
    const struct zoo_map *map = (slot ? ovsrcu_get(struct zoo_map *,
                                                   &slot->map) : NULL);

    for (size_t b = 0; b < ZOO_N_BUCKETS; b++) {
        ports[b] = map ? ntohs(map->port[b]) : 0;
    }
}

void
zoo_slot_mark_used(uint16_t id, const bool used[ZOO_N_BUCKETS])
{
    struct zoo_slot *slot = ovsrcu_get(struct zoo_slot *, &slots[id]);

    if (slot) {
        for (size_t b = 0; b < ZOO_N_BUCKETS; b++) {
            if (used[b]) {
                atomic_store_relaxed(&slot->used[b], true);
            }
        }
        atomic_store(&slot->any_used, true);
    }
}

void
zoo_slot_free(uint16_t id)
{
    struct zoo_slot *slot = ovsrcu_get_protected(struct zoo_slot *,
                                                 &slots[id]);

    ovsrcu_set(&slots[id], NULL);
    n_slots--;
    ovsrcu_postpone(free, ovsrcu_get_protected(struct zoo_map *, &slot->map));
    ovsrcu_postpone(free, slot);
}

unsigned int
zoo_slot_count(void)
{
    return n_slots;
}

bool
zoo_slot_is_used(uint16_t id)
{
    struct zoo_slot *slot = ovsrcu_get(struct zoo_slot *, &slots[id]);
    bool any = false;

    if (slot) {
        atomic_read_relaxed(&slot->any_used, &any);
    }
    return any;
}

bool
zoo_slot_take_used(uint16_t id, bool used[ZOO_N_BUCKETS])
{
    struct zoo_slot *slot = ovsrcu_get(struct zoo_slot *, &slots[id]);

    if (!zoo_slot_is_used(id)) {
        return false;
    }

    atomic_store_relaxed(&slot->any_used, false);
    atomic_thread_fence(memory_order_seq_cst);
    for (size_t b = 0; b < ZOO_N_BUCKETS; b++) {
        atomic_read_relaxed(&slot->used[b], &used[b]);
        if (used[b]) {
            atomic_store_relaxed(&slot->used[b], false);
        }
    }
    return true;
}

/* Pop. */

struct rx_node {
    struct mpsc_queue_node node;
    struct rx_source *source;   /* Of a request, otherwise NULL. */
    struct zoo_rx rx;
};

struct rx_queue {
    struct mpsc_queue queue;    /* Of struct rx_node. */
    atomic_count n;             /* In 'queue', or about to be. */
    atomic_count dropped;
    unsigned int max;           /* Bound of 'n'. */
};

#define RX_QUEUE_INITIALIZER(QUEUE, MAX) {                  \
    .queue = MPSC_QUEUE_INITIALIZER(&(QUEUE)->queue),       \
    .n = ATOMIC_COUNT_INIT(0),                              \
    .dropped = ATOMIC_COUNT_INIT(0),                        \
    .max = MAX,                                             \
}

static struct rx_queue rx_queues[ZOO_RX_N_QUEUES] = {
    [ZOO_RX_REQUESTS] = RX_QUEUE_INITIALIZER(&rx_queues[ZOO_RX_REQUESTS],
                                             ZOO_RX_MAX_REQUESTS),
    [ZOO_RX_REPORTS] = RX_QUEUE_INITIALIZER(&rx_queues[ZOO_RX_REPORTS],
                                            ZOO_RX_MAX_REPORTS),
};
static atomic_bool rx_waiting;

/* Requests in their queue, and those that found no room, by the hash of their
 * source. */
#define RX_N_SOURCES ZOO_RX_N_LOST_COUNTERS

struct rx_source {
    atomic_count n, n_lost;
};

static struct rx_source rx_sources[RX_N_SOURCES];
static uint32_t rx_basis;       /* Of the hash.  Set before the first probe. */

/* A session whose reports are expected. */
struct rx_session {
    struct cmap_node cmap_node; /* In 'rx_sessions'. */
    uint64_t session;
};

static struct cmap rx_sessions = CMAP_INITIALIZER;
static atomic_count rx_unexpected = ATOMIC_COUNT_INIT(0);
atomic_bool zoo_pop_enabled;

DEFINE_STATIC_PER_THREAD_DATA(unsigned int, pop_taken, 0);

static struct seq *
rx_seq(void)
{
    static struct ovsthread_once once = OVSTHREAD_ONCE_INITIALIZER;
    static struct seq *seq;

    if (ovsthread_once_start(&once)) {
        seq = seq_create();
        ovsthread_once_done(&once);
    }
    return seq;
}

long long int
zoo_now(void)
{
    struct timespec ts;

    time_timespec(&ts);
    return ts.tv_sec * 1000LL * 1000 * 1000 + ts.tv_nsec;
}

unsigned int
zoo_pop_taken(void)
{
    unsigned int *taken = pop_taken_get();
    unsigned int n = *taken;

    *taken = 0;
    return n;
}

void
zoo_pop_enable(bool enable)
{
    if (enable && !rx_basis) {
        rx_basis = random_uint32() | 1;
    }
    atomic_store_relaxed(&zoo_pop_enabled, enable);
}

static struct rx_session *
rx_find_session(uint64_t session)
{
    struct rx_session *s;

    CMAP_FOR_EACH_WITH_HASH (s, cmap_node, hash_uint64(session),
                             &rx_sessions) {
        if (s->session == session) {
            return s;
        }
    }
    return NULL;
}

void
zoo_rx_expect(uint64_t session)
{
    struct rx_session *s = xmalloc(sizeof *s);

    s->session = session;
    cmap_insert(&rx_sessions, &s->cmap_node, hash_uint64(session));
}

void
zoo_rx_expect_no_more(uint64_t session)
{
    struct rx_session *s = rx_find_session(session);

    if (s) {
        cmap_remove(&rx_sessions, &s->cmap_node, hash_uint64(session));
        ovsrcu_postpone(free, s);
    }
}

unsigned int
zoo_rx_unexpected(void)
{
    return atomic_count_get(&rx_unexpected);
}

/* Makes room in 'q' for a request of 'source', or for a report if it is NULL.
 * Returns false if there is none.
 *
 * One source gets no more than what is left for others.  So however many send
 * too much, a part of the queue stays free, and who has little in it finds
 * room. */
static bool
rx_make_room(struct rx_queue *q, struct rx_source *source)
{
    unsigned int n = atomic_count_inc(&q->n);

    if (OVS_LIKELY(n < q->max)
        && (!source || atomic_count_inc(&source->n) < q->max - n)) {
        return true;
    }
    if (source) {
        if (n < q->max) {
            atomic_count_dec(&source->n);
        }
        atomic_count_inc(&source->n_lost);
    }
    atomic_count_dec(&q->n);
    atomic_count_inc(&q->dropped);
    return false;
}

/* Returns the queue for a probe from 'src' with the 'len' bytes at 'body', with
 * room made for it, or NULL if it must be dropped.  '*sourcep' gets the source
 * that a request counts for, otherwise NULL. */
static struct rx_queue *
rx_reserve(const struct in6_addr *src, const uint8_t *body, size_t len,
           struct rx_source **sourcep)
{
    uint64_t report = zoo_probe_peek_report(body, len);
    struct rx_queue *q = &rx_queues[report ? ZOO_RX_REPORTS
                                    : ZOO_RX_REQUESTS];

    *sourcep = NULL;
    if (!report) {
        *sourcep = &rx_sources[hash_bytes(src, sizeof *src, rx_basis)
                               % RX_N_SOURCES];
    } else if (!rx_find_session(report)) {
        atomic_count_inc(&rx_unexpected);
        COVERAGE_INC(zooroute_rx_unexpected);
        return NULL;
    }
    if (OVS_LIKELY(rx_make_room(q, *sourcep))) {
        return q;
    }
    if (report) {
        COVERAGE_INC(zooroute_rx_report_queue_full);
    } else {
        COVERAGE_INC(zooroute_rx_request_queue_full);
    }
    return NULL;
}

/* Queues the probe whose inner Ethernet header is 'inner', in 'packet'.
 * Returns false if there is none. */
static bool
pop_probe(const struct dp_packet *packet, enum zoo_encap encap,
          ovs_be32 vni, const struct eth_header *inner)
{
    const struct flow_tnl *tnl = &packet->md.tunnel;
    const uint8_t *body = (const uint8_t *) (inner + 1);
    const uint8_t *end = dp_packet_tail(packet);
    struct in6_addr src = flow_tnl_src(tnl);
    struct rx_source *source;
    struct rx_queue *q;
    bool waiting;

    if (end < body
        || !eth_addr_equals(inner->eth_dst,
                            (struct eth_addr) ZOO_PROBE_ETH_DST)
        || inner->eth_type != htons(ZOO_PROBE_ETH_TYPE)) {
        return false;
    }

    ++*pop_taken_get();
    q = rx_reserve(&src, body, end - body, &source);
    if (!q) {
        return true;
    }

    struct rx_node *n = xmalloc(sizeof *n);
    struct zoo_rx *rx = &n->rx;
    n->source = source;
    rx->encap = encap;
    rx->src = src;
    rx->dst = flow_tnl_dst(tnl);
    rx->eth_dst = ((const struct eth_header *) dp_packet_data(packet))->eth_dst;
    rx->tp_src = tnl->tp_src;
    rx->tp_dst = tnl->tp_dst;
    rx->tun_id = htonll(ntohl(vni) >> 8);
    rx->when = zoo_now();
    rx->len = MIN(end - body, ZOO_PROBE_MAX_LEN);
    memcpy(rx->body, body, rx->len);
    mpsc_queue_insert(&q->queue, &n->node);
    COVERAGE_INC(zooroute_rx);

    atomic_thread_fence(memory_order_seq_cst); /* Pairs with zoo_rx_wait(). */
    atomic_read(&rx_waiting, &waiting);
    if (waiting) {
        atomic_store(&rx_waiting, false);
        seq_change(rx_seq());
    }
    return true;
}

/* Ends the pop of 'packet', which is a probe, and if not 'ok' an ill-marked
 * one. */
static struct dp_packet *
pop_end(struct dp_packet *packet, bool ok)
{
    if (!ok) {
        static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(5, 5);

        VLOG_WARN_RL(&rl, "dropped a packet that is marked as a probe outside "
                     "and is none inside");
    }
    dp_packet_delete(packet);
    return NULL;
}

struct dp_packet *
zoo_pop_vxlan(struct dp_packet *packet)
{
    const struct udp_header *udp = dp_packet_l4(packet);
    const struct vxlanhdr *vxh = (const struct vxlanhdr *) (udp + 1);
    ovs_be32 vni = get_16aligned_be32(&vxh->vx_vni);

    return pop_end(packet,
                   !(vni & htonl(0xff))
                   && pop_probe(packet, ZOO_ENCAP_VXLAN, vni,
                                inner_frame(udp)));
}

struct dp_packet *
zoo_pop_geneve(struct dp_packet *packet)
{
    const struct udp_header *udp = dp_packet_l4(packet);
    const struct genevehdr *gnh = (const struct genevehdr *) (udp + 1);

    return pop_end(packet,
                   pop_probe(packet, ZOO_ENCAP_GENEVE,
                             get_16aligned_be32(&gnh->vni),
                             inner_frame(udp)));
}

static bool
rx_pop(struct rx_queue *q, struct zoo_rx *rx)
{
    struct mpsc_queue_node *node;
    struct rx_node *n;

    if (!atomic_count_get(&q->n)) {
        return false;
    }
    mpsc_queue_acquire(&q->queue);
    node = mpsc_queue_pop(&q->queue);
    mpsc_queue_release(&q->queue);
    if (!node) {
        return false;
    }

    n = CONTAINER_OF(node, struct rx_node, node);
    *rx = n->rx;
    rx->n_lost = rx->lost_counter = 0;
    if (n->source) {
        rx->n_lost = atomic_count_get(&n->source->n_lost);
        rx->lost_counter = n->source - rx_sources;
        atomic_count_dec(&n->source->n);
    }
    free(n);
    atomic_count_dec(&q->n);
    return true;
}

bool
zoo_rx_recv(struct zoo_rx *rx)
{
    static enum zoo_rx_queue turn;

    turn = (turn + 1) % ZOO_RX_N_QUEUES;
    for (int i = 0; i < ZOO_RX_N_QUEUES; i++) {
        if (rx_pop(&rx_queues[(turn + i) % ZOO_RX_N_QUEUES], rx)) {
            return true;
        }
    }
    return false;
}

void
zoo_rx_wait(void)
{
    uint64_t seq = seq_read(rx_seq());

    /* A probe that arrives from here on sees that somebody waits. */
    atomic_store(&rx_waiting, true);
    atomic_thread_fence(memory_order_seq_cst);
    for (int i = 0; i < ZOO_RX_N_QUEUES; i++) {
        if (atomic_count_get(&rx_queues[i].n)) {
            poll_immediate_wake();
            return;
        }
    }
    seq_wait(rx_seq(), seq);
}

unsigned int
zoo_rx_dropped(enum zoo_rx_queue queue)
{
    return atomic_count_get(&rx_queues[queue].dropped);
}
