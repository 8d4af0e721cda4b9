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

#include "ovs-ext/zoo-record.h"

#include "coverage.h"
#include "dp-packet.h"
#include "flow.h"
#include "netlink.h"
#include "odp-netlink.h"
#include "odp-util.h"
#include "openvswitch/ofpbuf.h"
#include "openvswitch/token-bucket.h"
#include "ovs-ext/vtrace-reasons.h"
#include "ovs-ext/vtrace-ring.h"
#include "ovs-ext/zoo-flow.h"
#include "ovs-rcu.h"
#include "packets.h"
#include "unaligned.h"
#include "util.h"

COVERAGE_DEFINE(vtrace_record);
COVERAGE_DEFINE(vtrace_record_lost);

/* VLAN tags that are looked behind. */
#define MAX_VLANS 4

/* Bytes that a TCP header has at most. */
#define MAX_TCP_HEADER_LEN 60

static struct zoo_record_current disabled = { .enabled = false };
zoo_record_current_ptr zoo_record_current = OVSRCU_INITIALIZER(&disabled);

void
zoo_record_configure(const struct zoo_record_config *config)
{
    struct zoo_record_current *old
        = ovsrcu_get_protected(struct zoo_record_current *,
                               &zoo_record_current);
    struct zoo_record_current *new = &disabled;

    vtrace_rings_init();
    if (config) {
        new = xmalloc(sizeof *new);
        new->enabled = true;
        new->config = *config;
        vtrace_sample_key_init(&new->sample_key, &config->key);
        new->rate = vtrace_rate(config->rate);
    }
    ovsrcu_set(&zoo_record_current, new);
    if (old != &disabled) {
        ovsrcu_postpone(free, old);
    }
}

/* The action. */

/* An upcall's cookie has its type where a point has ZOO_RECORD_MAGIC, and
 * another length, by which all that reads cookies refuses points. */
BUILD_ASSERT_DECL(offsetof(struct zoo_record_point, magic)
                  == offsetof(struct user_action_cookie, type));
BUILD_ASSERT_DECL(sizeof(struct zoo_record_point)
                  != sizeof(struct user_action_cookie));
BUILD_ASSERT_DECL(sizeof(struct zoo_record_point) >= 8);

void
zoo_record_point_init(struct zoo_record_point *point, enum vtrace_role role,
                      uint16_t color, enum vtrace_reason reason)
{
    memset(point, 0, sizeof *point);
    point->magic = ZOO_RECORD_MAGIC;
    point->color = color & ZOO_COLOR_MASK;
    point->exp = (color & ZOO_COLOR_EXP_MASK) >> ZOO_COLOR_EXP_SHIFT;
    point->role = role;
    point->reason = reason;
}

void
zoo_record_put(struct ofpbuf *actions, const struct zoo_record_point *point)
{
    odp_put_userspace_action(0, point, sizeof *point, ODPP_NONE, false,
                             actions, NULL);
}

/* The action as zoo_record_put() makes it. */
struct record_action {
    struct nlattr action;
    struct nlattr pid;
    uint32_t pid_value;
    struct nlattr userdata;
    uint8_t point[sizeof(struct zoo_record_point)];     /* Unaligned. */
};

BUILD_ASSERT_DECL(sizeof(struct record_action)
                  == 16 + sizeof(struct zoo_record_point));

static bool
is_attr(const struct nlattr *a, uint16_t type, size_t len)
{
    return a->nla_len == len && a->nla_type == type;
}

/* Returns the point, which can be unaligned and have any members, in 'a', or
 * NULL if there is none. */
static inline const void *
find_point(const struct nlattr *a)
{
    const struct record_action *r = ALIGNED_CAST(const struct record_action *,
                                                 a);
    const struct nlattr *userdata;

    if (OVS_LIKELY(is_attr(a, OVS_ACTION_ATTR_USERSPACE, sizeof *r)
                   && is_attr(&r->pid, OVS_USERSPACE_ATTR_PID,
                              NLA_HDRLEN + sizeof r->pid_value)
                   && is_attr(&r->userdata, OVS_USERSPACE_ATTR_USERDATA,
                              NLA_HDRLEN + sizeof r->point))) {
        return r->point;
    }
    if (nl_attr_type(a) != OVS_ACTION_ATTR_USERSPACE) {
        return NULL;
    }
    userdata = nl_attr_find_nested(a, OVS_USERSPACE_ATTR_USERDATA);
    return (userdata && nl_attr_get_size(userdata) == sizeof r->point
            ? nl_attr_get(userdata) : NULL);
}

/* Copies the point in 'a' to '*point'.  Returns false if there is none. */
static inline bool
get_point(const struct nlattr *a, struct zoo_record_point *point)
{
    const void *p = find_point(a);

    if (!p) {
        return false;
    }
    memcpy(point, p, sizeof *point);
    return (point->magic == ZOO_RECORD_MAGIC
            && point->color >= VTRACE_COLOR_MIN
            && point->color <= VTRACE_COLOR_MAX
            && point->exp <= VTRACE_EXP_MAX);
}

const struct zoo_record_point *
zoo_record_point(const struct nlattr *a)
{
    struct zoo_record_point point;

    return get_point(a, &point) ? find_point(a) : NULL;
}

/* The packet.
 *
 * What is parsed here has been parsed by the datapath before, but offsets in a
 * packet are those of the outermost headers, in some versions, after a push,
 * and can be anything where metadata has been initialized only. */

/* A part of a packet. */
struct bytes {
    const uint8_t *data;
    size_t n;
};

/* A packet, or the beginning of one. */
struct view {
    struct bytes bytes;
    ovs_be32 packet_type;
    const uint8_t *l3;          /* Where flow_extract() found it, or NULL. */
};

static void
skip(struct bytes *b, size_t n)
{
    b->data += n;
    b->n -= n;
}

static uint16_t
get_be16(const uint8_t *p)
{
    return p[0] << 8 | p[1];
}

/* Moves '*b' from an Ethernet header to what follows it, and its VLAN tags.
 * Returns the Ethernet type of that, 0 if it is not there, and stores the VID
 * of the outermost tag, if there is one, in '*vlan'. */
static uint16_t
skip_ethernet(struct bytes *b, uint16_t *vlan)
{
    static const uint8_t snap[] = { 0xaa, 0xaa, 0x03, 0, 0, 0 };
    uint16_t type;

    if (b->n < ETH_HEADER_LEN) {
        return 0;
    }
    type = get_be16(b->data + 2 * ETH_ADDR_LEN);
    skip(b, ETH_HEADER_LEN);

    for (int i = 0; i < MAX_VLANS && eth_type_vlan(htons(type)); i++) {
        if (b->n < VLAN_HEADER_LEN) {
            return 0;
        }
        if (!i) {
            *vlan = get_be16(b->data) & VLAN_VID_MASK;
        }
        type = get_be16(b->data + 2);
        skip(b, VLAN_HEADER_LEN);
    }
    if (type < ETH_TYPE_MIN && b->n > sizeof snap + 2
        && !memcmp(b->data, snap, sizeof snap)) {
        type = get_be16(b->data + sizeof snap);
        skip(b, sizeof snap + 2);
    }
    return type;
}

/* Returns the Ethernet type of what is behind the tunnel header 'b', 0 for an
 * Ethernet frame.  VXLAN's header has flags where Geneve's has its version and
 * length of options, and is without the extensions zero where that has its
 * type. */
static uint16_t
tunnelled_type(const struct bytes *b)
{
    uint16_t type = get_be16(b->data + 2);

    if (b->data[0] >> 6) {
        return 0;                       /* VXLAN with a group policy. */
    }
    if ((b->data[0] & 0x0c) == 0x0c && type <= 0xff) {
        /* The generic protocol extension names it by a number. */
        return type == 1 ? ETH_TYPE_IP : type == 2 ? ETH_TYPE_IPV6 : 0;
    }
    return type == ETH_TYPE_IP || type == ETH_TYPE_IPV6 ? type : 0;
}

/* Reads the outer addresses from 'b', a pushed tunnel header, into '*r'.
 * Returns the Ethernet type of what is behind it, 0 for an Ethernet frame. */
static uint16_t
read_pushed(struct bytes b, struct vtrace_record *r)
{
    uint16_t vlan, type;
    uint8_t protocol;

    type = skip_ethernet(&b, &vlan);
    if (type == ETH_TYPE_IP && b.n >= IP_HEADER_LEN) {
        const struct ip_header *ip = (const void *) b.data;
        size_t len = IP_IHL(ip->ip_ihl_ver) * 4;

        if (len < IP_HEADER_LEN || len > b.n) {
            return 0;
        }
        in6_addr_set_mapped_ipv4(&r->tun_src, get_16aligned_be32(&ip->ip_src));
        in6_addr_set_mapped_ipv4(&r->tun_dst, get_16aligned_be32(&ip->ip_dst));
        protocol = ip->ip_proto;
        skip(&b, len);
    } else if (type == ETH_TYPE_IPV6 && b.n >= IPV6_HEADER_LEN) {
        const struct ovs_16aligned_ip6_hdr *ip6 = (const void *) b.data;

        memcpy(&r->tun_src, &ip6->ip6_src, sizeof r->tun_src);
        memcpy(&r->tun_dst, &ip6->ip6_dst, sizeof r->tun_dst);
        protocol = ip6->ip6_nxt;
        skip(&b, IPV6_HEADER_LEN);
    } else {
        return 0;
    }

    if (protocol == IPPROTO_UDP && b.n >= UDP_HEADER_LEN + 8) {
        r->tun_sport = get_be16(b.data);
        skip(&b, UDP_HEADER_LEN);
        r->tun_id = b.data[4] << 16 | b.data[5] << 8 | b.data[6];
        return tunnelled_type(&b);
    } else if (protocol == IPPROTO_GRE && b.n >= 4) {
        type = get_be16(b.data + 2);
        return type == ETH_TYPE_IP || type == ETH_TYPE_IPV6 ? type : 0;
    }
    return 0;
}

/* Sets '*ip' to the IP packet at 'point' in '*view', and the members of '*r'
 * that come from a tunnel header in front of it.  Returns false if there is
 * none. */
static bool
find_ip(const struct zoo_record_point *point, const struct view *view,
        struct vtrace_record *r, struct bytes *ip)
{
    uint16_t type = 0;

    *ip = view->bytes;

    if (point->pushed) {
        if (point->pushed > ip->n || point->pushed % 2) {
            return false;
        }
        type = read_pushed((struct bytes) { ip->data, point->pushed }, r);
        skip(ip, point->pushed);
    } else if (view->packet_type != htonl(PT_ETH)) {
        type = ntohs(pt_ns_type_be(view->packet_type));
    }

    if (!type) {
        type = skip_ethernet(ip, &r->vlan);
        if (OVS_UNLIKELY(eth_type_mpls(htons(type)))) {
            const uint8_t *l3 = view->l3;

            if (point->pushed || !l3 || l3 < ip->data
                || l3 > ip->data + ip->n) {
                return false;
            }
            skip(ip, l3 - ip->data);
            return true;
        }
    }
    /* If the header has another version, others may read it differently. */
    return (ip->n
            && ((type == ETH_TYPE_IP && ip->data[0] >> 4 == 4)
                || (type == ETH_TYPE_IPV6 && ip->data[0] >> 4 == 6)));
}

static bool
is_tso(const struct dp_packet *packet)
{
#ifdef DP_PACKET_OL_SHIFT_COUNT         /* Since 4.0. */
    return dp_packet_get_tso_segsz(packet);
#else
    return dp_packet_hwol_is_tso(packet);
#endif
}

/* What a record has of a packet's metadata. */
struct metadata {
    bool has_tunnel;            /* The next four are set. */
    ovs_be16 tun_sport;
    ovs_be64 tun_id;
    struct in6_addr tun_src;
    struct in6_addr tun_dst;
    uint16_t ct_state;
    uint16_t ct_zone;
    bool super;
};

static inline void
get_metadata(const struct zoo_record_point *point,
             const struct dp_packet *packet, struct metadata *m)
{
    const struct pkt_metadata *md = &packet->md;
    const struct flow_tnl *tnl = &md->tunnel;

    m->has_tunnel = (point->tunnel && !point->pushed
                     && flow_tnl_dst_is_set(tnl));
    if (m->has_tunnel) {
        m->tun_src = flow_tnl_src(tnl);
        m->tun_dst = flow_tnl_dst(tnl);
        m->tun_id = tnl->tun_id;
        m->tun_sport = tnl->tp_src;
    }
    m->ct_state = md->ct_state;
    m->ct_zone = md->ct_zone;
    m->super = is_tso(packet);
}

static void
set_metadata(const struct metadata *m, struct vtrace_record *r)
{
    r->ct_state = m->ct_state;
    if (m->ct_state) {
        r->ct_zone = m->ct_zone;
    }
    if (m->has_tunnel) {
        r->tun_src = m->tun_src;
        r->tun_dst = m->tun_dst;
        r->tun_id = ntohll(m->tun_id);
        r->tun_sport = ntohs(m->tun_sport);
    }
    if (m->super) {
        r->flags |= VTRACE_F_SUPER;
    }
}

static void
set_point(const struct zoo_record_point *point, struct vtrace_record *r)
{
    r->cookie = point->cookie;
    r->ofp_port = point->ofp_port;
    r->color = point->color;
    r->reason = point->reason;
    r->role = point->role;
    r->link = point->link;
    r->port_class = point->port_class;
    r->exp = point->exp;
    r->table = point->table;
    r->forwarding_status = vtrace_reason_forwarding_status(point->reason);
    r->mtu = point->mtu;
    memcpy(r->bridge, point->bridge, sizeof r->bridge);
    memcpy(r->port, point->port, sizeof r->port);
}

/* Makes '*r' the record at 'point' of the packet '*view' with metadata '*m',
 * but for its time.  Returns false if none is to be taken: the packet is not
 * IP, or, by 'sample_key' unless that is NULL, not sampled. */
static bool
make_record(const struct zoo_record_point *point, const struct view *view,
            const struct metadata *m, const struct vtrace_digest_key *key,
            const struct vtrace_sample_key *sample_key,
            struct vtrace_record *r)
{
    struct bytes ip;

    memset(r, 0, sizeof *r);
    r->flags = point->flags & ~ZOO_RECORD_F_SAMPLED;
    if (!find_ip(point, view, r, &ip)
        || !(sample_key
             ? vtrace_record_set_sampled(r, ip.data, ip.n, key, sample_key,
                                         point->exp)
             : vtrace_record_set_packet(r, ip.data, ip.n, key))) {
        return false;
    }
    set_point(point, r);
    set_metadata(m, r);
    return true;
}

/* What taking the records of a batch needs. */
struct taker {
    const struct zoo_record_current *current;
    const struct zoo_record_point *point;
    bool is_sampled;                    /* Every packet. */
    struct vtrace_ring *ring;           /* NULL until the first record. */
    uint64_t now;
    unsigned int n, n_lost;
    struct token_bucket *bucket, *all;  /* Or NULL. */
};

/* Returns room for a record, or NULL if it is lost. */
static inline struct vtrace_entry *
reserve(struct taker *t)
{
    struct vtrace_entry *entry = NULL;

    if (!t->ring) {
        t->ring = vtrace_ring_begin(&t->now);
    }
    if (OVS_LIKELY(!t->bucket)
        || (token_bucket_withdraw(t->bucket, 1)
            && token_bucket_withdraw(t->all, 1))) {
        entry = vtrace_ring_reserve(t->ring, t->point->color,
                                    &t->current->rate);
    } else {
        vtrace_ring_refuse(t->ring, t->point->color);
    }
    t->n++;
    if (OVS_UNLIKELY(!entry)) {
        t->n_lost++;
    }
    return entry;
}

/* Captures.
 *
 * Of most packets the datapath's thread only keeps the beginning, and the
 * reader of the ring makes the record. */

/* Bytes that are kept at most.  Enough for the headers of VXLAN or Geneve over
 * IPv6, with a color, and IPv6 and TCP in them. */
#define CAPTURE_LEN 224

struct capture {
    uint64_t time;
    struct vtrace_digest_key key;
    struct zoo_record_point point;
    struct metadata metadata;
    size_t n;                           /* Bytes at 'data'. */
    uint64_t data[CAPTURE_LEN / 8];
};

BUILD_ASSERT_DECL(sizeof(struct capture) <= VTRACE_RAW_LEN);

static bool
make_captured(const void *raw, struct vtrace_record *r)
{
    const struct capture *c = raw;
    const struct view view = {
        .bytes = { (const uint8_t *) c->data, c->n },
        .packet_type = htonl(PT_ETH),
    };

    if (!make_record(&c->point, &view, &c->metadata, &c->key, NULL, r)) {
        return false;
    }
    r->time = c->time;
    return true;
}

/* Returns how many bytes of 'packet' make_captured() needs: all, or if there
 * are too many, those that a record of a TCP or UDP packet can depend on.
 * Returns 0 if that is not known, or if there might be no record. */
static inline size_t
capture_len(const struct zoo_record_point *point,
            const struct dp_packet *packet)
{
    const uint8_t *data = dp_packet_data(packet);
    size_t size = dp_packet_size(packet);
    size_t ofs = point->pushed + ETH_HEADER_LEN;
    const uint8_t *ip = data + ofs;
    size_t header_len;
    uint8_t protocol;
    bool has_len;

    if (size < ofs + IP_HEADER_LEN || point->pushed % 2
        || (!point->pushed && !dp_packet_is_eth(packet))) {
        return 0;
    }
    if (ip[-2] == ETH_TYPE_IP >> 8 && ip[-1] == (ETH_TYPE_IP & 0xff)
        && ip[0] == 0x45) {
        header_len = IP_HEADER_LEN;
        has_len = ip[2] || ip[3];
        protocol = ip[9];
    } else if (ip[-2] == ETH_TYPE_IPV6 >> 8
               && ip[-1] == (ETH_TYPE_IPV6 & 0xff)
               && ip[0] >> 4 == 6 && size >= ofs + IPV6_HEADER_LEN) {
        header_len = IPV6_HEADER_LEN;
        has_len = ip[4] || ip[5];
        protocol = ip[6];
    } else {
        return 0;
    }
    if (OVS_LIKELY(size <= CAPTURE_LEN)) {
        return size;
    }
    return (ofs + header_len + MAX_TCP_HEADER_LEN + VTRACE_DIGEST_PAYLOAD
            <= CAPTURE_LEN
            && (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP) && has_len
            ? CAPTURE_LEN : 0);
}

static inline void
take_capture(struct taker *t, const struct dp_packet *packet, size_t n)
{
    struct vtrace_entry *entry = reserve(t);

    if (OVS_LIKELY(entry)) {
        struct capture *c = (struct capture *) entry->raw;

        entry->make = make_captured;
        c->time = t->now;
        c->key = t->current->config.key;
        c->point = *t->point;
        get_metadata(t->point, packet, &c->metadata);
        c->n = n;
        memcpy(c->data, dp_packet_data(packet), n);
    }
}

static void __attribute__((__noinline__))
take_record(struct taker *t, const struct dp_packet *packet)
{
    const struct view view = {
        .bytes = { dp_packet_data(packet), dp_packet_size(packet) },
        .packet_type = packet->packet_type,
        .l3 = dp_packet_l3(packet),
    };
    struct vtrace_entry *entry;
    struct vtrace_record r;
    struct metadata m;

    get_metadata(t->point, packet, &m);
    if (!make_record(t->point, &view, &m, &t->current->config.key,
                     t->is_sampled ? NULL : &t->current->sample_key, &r)) {
        return;
    }
    entry = reserve(t);
    if (entry) {
        r.time = t->now;
        entry->make = NULL;
        entry->record = r;
    }
}

/* Few packets that are not sampled come here, see zoo-sampling.h. */
static inline void
take(struct taker *t, const struct dp_packet *packet)
{
    size_t n = t->is_sampled ? capture_len(t->point, packet) : 0;

    if (OVS_LIKELY(n)) {
        take_capture(t, packet, n);
    } else {
        take_record(t, packet);
    }
}

/* Takes records of the packets in 'batch' at 'point', for a token of 'bucket'
 * and one of 'all' each, unless these are NULL. */
static inline void
take_batch(const struct zoo_record_point *point,
           const struct dp_packet_batch *batch, struct token_bucket *bucket,
           struct token_bucket *all)
{
    struct taker t = {
        .current = zoo_record_get_current(),
        .point = point,
        .is_sampled = !point->exp || point->flags & ZOO_RECORD_F_SAMPLED,
        .bucket = bucket,
        .all = all,
    };

    if (!t.current->enabled) {
        return;
    }
    for (size_t i = 0; i < dp_packet_batch_size(batch); i++) {
        take(&t, batch->packets[i]);
    }
    if (t.ring) {
        vtrace_ring_end(t.ring);
        COVERAGE_ADD(vtrace_record, t.n - t.n_lost);
        if (OVS_UNLIKELY(t.n_lost)) {
            COVERAGE_ADD(vtrace_record_lost, t.n_lost);
        }
    }
}

bool
zoo_record_execute(const struct nlattr *a, struct dp_packet_batch *batch,
                   bool steal)
{
    struct zoo_record_point point;

    if (!get_point(a, &point)) {
        return false;
    }
    take_batch(&point, batch, NULL, NULL);
    if (OVS_UNLIKELY(steal)) {
        dp_packet_delete_batch(batch, true);
    }
    return true;
}

void
zoo_record_take(const struct zoo_record_point *point,
                const struct dp_packet *packet)
{
    zoo_record_take_limited(point, packet, NULL, NULL);
}

void
zoo_record_take_limited(const struct zoo_record_point *point,
                        const struct dp_packet *packet,
                        struct token_bucket *bucket,
                        struct token_bucket *all)
{
    struct dp_packet_batch batch;

    dp_packet_batch_init_packet(&batch,
                                CONST_CAST(struct dp_packet *, packet));
    take_batch(point, &batch, bucket, all);
}
