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

zoo_record_current_ptr zoo_record_current;

void
zoo_record_configure(const struct zoo_record_config *config)
{
    struct zoo_record_current *old
        = ovsrcu_get_protected(struct zoo_record_current *,
                               &zoo_record_current);
    struct zoo_record_current *new = NULL;

    vtrace_rings_init();
    if (config) {
        new = xmalloc(sizeof *new);
        new->config = *config;
        vtrace_sample_key_init(&new->sample_key, &config->key);
    }
    ovsrcu_set(&zoo_record_current, new);
    if (old) {
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

/* Copies the point in 'a' to '*point'.  Returns false if there is none. */
static bool
get_point(const struct nlattr *a, struct zoo_record_point *point)
{
    const struct nlattr *userdata;

    if (nl_attr_type(a) != OVS_ACTION_ATTR_USERSPACE) {
        return false;
    }
    userdata = nl_attr_find_nested(a, OVS_USERSPACE_ATTR_USERDATA);
    if (!userdata || nl_attr_get_size(userdata) != sizeof *point) {
        return false;
    }
    memcpy(point, nl_attr_get(userdata), sizeof *point);
    return (point->magic == ZOO_RECORD_MAGIC
            && point->color >= VTRACE_COLOR_MIN
            && point->color <= VTRACE_COLOR_MAX
            && point->exp <= VTRACE_EXP_MAX);
}

const struct zoo_record_point *
zoo_record_point(const struct nlattr *a)
{
    struct zoo_record_point point;

    return (get_point(a, &point)
            ? nl_attr_get(nl_attr_find_nested(a, OVS_USERSPACE_ATTR_USERDATA))
            : NULL);
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

/* Sets '*ip' to the IP packet at 'point' in 'packet', and the members of '*r'
 * that come from a tunnel header in front of it.  Returns false if there is
 * none. */
static bool
find_ip(const struct zoo_record_point *point, const struct dp_packet *packet,
        struct vtrace_record *r, struct bytes *ip)
{
    uint16_t type = 0;

    ip->data = dp_packet_data(packet);
    ip->n = dp_packet_size(packet);

    if (point->pushed) {
        if (point->pushed > ip->n || point->pushed % 2) {
            return false;
        }
        type = read_pushed((struct bytes) { ip->data, point->pushed }, r);
        skip(ip, point->pushed);
    } else if (!dp_packet_is_eth(packet)) {
        type = ntohs(pt_ns_type_be(packet->packet_type));
    }

    if (!type) {
        type = skip_ethernet(ip, &r->vlan);
        if (OVS_UNLIKELY(eth_type_mpls(htons(type)))) {
            const uint8_t *l3 = dp_packet_l3(packet);

            if (point->pushed || !l3 || l3 < ip->data
                || l3 > ip->data + ip->n) {
                return false;
            }
            skip(ip, l3 - ip->data);
            return true;
        }
    }
    return type == ETH_TYPE_IP || type == ETH_TYPE_IPV6;
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

static void
set_metadata(const struct zoo_record_point *point,
             const struct dp_packet *packet, struct vtrace_record *r)
{
    const struct pkt_metadata *md = &packet->md;
    const struct flow_tnl *tnl = &md->tunnel;

    r->ct_state = md->ct_state;
    if (md->ct_state) {
        r->ct_zone = md->ct_zone;
    }
    if (point->tunnel && !point->pushed && flow_tnl_dst_is_set(tnl)) {
        r->tun_src = flow_tnl_src(tnl);
        r->tun_dst = flow_tnl_dst(tnl);
        r->tun_id = ntohll(tnl->tun_id);
        r->tun_sport = ntohs(tnl->tp_src);
    }
    if (is_tso(packet)) {
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

/* What taking the records of a batch needs. */
struct taker {
    const struct zoo_record_current *current;
    const struct zoo_record_point *point;
    struct vtrace_ring *ring;           /* NULL until the first record. */
    uint64_t now;
    unsigned int n, n_lost;
};

/* Few packets that are not sampled come here, see zoo-sampling.h. */
static void
take(struct taker *t, const struct dp_packet *packet)
{
    const struct zoo_record_point *point = t->point;
    struct vtrace_record r;
    struct bytes ip;

    memset(&r, 0, sizeof r);
    r.flags = point->flags;
    if (!find_ip(point, packet, &r, &ip)
        || !vtrace_record_set_sampled(&r, ip.data, ip.n,
                                      &t->current->config.key,
                                      &t->current->sample_key, point->exp)) {
        return;
    }

    if (!t->ring) {
        t->ring = vtrace_ring_begin(&t->now);
    }
    r.time = t->now;
    set_point(point, &r);
    set_metadata(point, packet, &r);
    if (vtrace_ring_put(t->ring, &r, t->current->config.rate)) {
        t->n++;
    } else {
        t->n_lost++;
    }
}

static bool
taker_init(struct taker *t, const struct zoo_record_point *point)
{
    memset(t, 0, sizeof *t);
    t->current = ovsrcu_get(struct zoo_record_current *, &zoo_record_current);
    t->point = point;
    return t->current != NULL;
}

static void
taker_finish(struct taker *t)
{
    if (t->ring) {
        vtrace_ring_end(t->ring);
        COVERAGE_ADD(vtrace_record, t->n);
        COVERAGE_ADD(vtrace_record_lost, t->n_lost);
    }
}

bool
zoo_record_execute(const struct nlattr *a, struct dp_packet_batch *batch,
                   bool steal)
{
    struct zoo_record_point point;
    struct taker t;

    if (!get_point(a, &point)) {
        return false;
    }
    if (taker_init(&t, &point)) {
        struct dp_packet *packet;

        DP_PACKET_BATCH_FOR_EACH (i, packet, batch) {
            take(&t, packet);
        }
        taker_finish(&t);
    }
    dp_packet_delete_batch(batch, steal);
    return true;
}

void
zoo_record_take(const struct zoo_record_point *point,
                const struct dp_packet *packet)
{
    struct taker t;

    if (taker_init(&t, point)) {
        take(&t, packet);
        taker_finish(&t);
    }
}
