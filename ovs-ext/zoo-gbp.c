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

#include "ovs-ext/zoo-gbp.h"

#include "cmap.h"
#include "coverage.h"
#include "dp-packet.h"
#include "hash.h"
#include "netdev.h"
#include "odp-netlink.h"
#include "openvswitch/match.h"
#include "openvswitch/packets.h"
#include "openvswitch/vlog.h"
#include "ovs-atomic.h"
#include "ovs-ext/zoo-datapath.h"
#include "ovs-ext/zoo-flow.h"
#include "ovs-rcu.h"
#include "ovs-thread.h"
#include "packets.h"
#include "unaligned.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(zoo_gbp);

/* Packets made for tasks that came where VTrace has never been on. */
COVERAGE_DEFINE(vtrace_inject_refused);

static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(60, 5);

/* A UDP port with tunnels that have the extension. */
struct gbp_port {
    struct cmap_node node;      /* In 'gbp_ports'. */
    ovs_be16 port;
    unsigned int n_tunnels;     /* Guarded by 'gbp_mutex'. */
};

static struct ovs_mutex gbp_mutex = OVS_MUTEX_INITIALIZER;

/* Contains "struct gbp_port"s.  Written with 'gbp_mutex' held. */
static struct cmap gbp_ports = CMAP_INITIALIZER;

atomic_bool zoo_gbp_accepting = false;

static uint32_t
port_hash(ovs_be16 port)
{
    return hash_int((OVS_FORCE uint32_t) port, 0);
}

static struct gbp_port *
find_port(ovs_be16 port)
{
    struct gbp_port *p;

    CMAP_FOR_EACH_WITH_HASH (p, node, port_hash(port), &gbp_ports) {
        if (p->port == port) {
            return p;
        }
    }
    return NULL;
}

static bool
has_gbp(const struct netdev_tunnel_config *cfg)
{
    return cfg && cfg->exts & (1 << OVS_VXLAN_EXT_GBP);
}

ovs_be32
zoo_gbp_build(const struct netdev_tunnel_config *cfg,
              const struct flow_tnl *tnl)
{
    uint32_t policy = 0;

    if (has_gbp(cfg)) {
        policy = ((tnl->gbp_flags << 16 & (ZOO_VXLAN_GBP_DONT_LEARN
                                           | ZOO_VXLAN_GBP_APPLIED))
                  | ntohs(tnl->gbp_id));
    } else if (zoo_flow_color(tnl)) {
        policy = ntohs(tnl->gbp_id);
    }
    if (zoo_flow_is_injected(tnl) && zoo_flow_color(tnl)) {
        policy |= ZOO_VXLAN_GBP_INJECTED;
    }
    return htonl(VXLAN_FLAGS | policy | (policy ? ZOO_VXLAN_F_GBP : 0));
}

void
zoo_gbp_remove_color(struct ovs_action_push_tnl *data)
{
    struct vxlanhdr *vxh = zoo_push_vxlan(data);
    uint32_t flags = ntohl(get_16aligned_be32(&vxh->vx_flags));

    if (!(flags & ZOO_VXLAN_F_GBP)) {
        return;                 /* These bits are another extension's. */
    }
    flags &= ~(ZOO_VXLAN_GBP_ID | ZOO_VXLAN_GBP_INJECTED);
    if (!(flags & (ZOO_VXLAN_GBP_DONT_LEARN | ZOO_VXLAN_GBP_APPLIED))) {
        flags &= ~ZOO_VXLAN_F_GBP;
    }
    put_16aligned_be32(&vxh->vx_flags, htonl(flags));
}

bool
zoo_gbp_is_taken(ovs_be16 tp_dst)
{
    return find_port(tp_dst) != NULL;
}

void
zoo_gbp_match_color(struct match *match)
{
    struct flow_tnl *tnl = &match->flow.tunnel;
    struct flow_tnl *mask = &match->wc.masks.tunnel;

    if (mask->flags && tnl->tp_dst) {
        mask->flags |= ZOO_TNL_F_COLORED;
        if (tnl->gbp_id & htons(ZOO_COLOR_TRACED)
            && zoo_gbp_accepts_colors()) {
            tnl->flags |= ZOO_TNL_F_COLORED;
        }
    }
}

bool
zoo_gbp_is_injected(const struct ovs_action_push_tnl *data_)
{
    struct ovs_action_push_tnl *data = CONST_CAST(struct ovs_action_push_tnl *,
                                                  data_);
    const struct vxlanhdr *vxh = zoo_push_vxlan(data);
    struct zoo_geneve_color c;

    if (vxh) {
        const uint32_t mark = (ZOO_VXLAN_F_GBP | ZOO_COLOR_TRACED
                               | ZOO_VXLAN_GBP_INJECTED);

        return (ntohl(get_16aligned_be32(&vxh->vx_flags)) & mark) == mark;
    } else if (zoo_push_last_option(data, ZOO_GENEVE_COLOR_TYPE, &c.opt,
                                    sizeof c)) {
        return (c.flags & htons(ZOO_GENEVE_COLOR_F_INJECTED)) != 0;
    }
    return false;
}

/* Returns true if the first word of a VXLAN header, 'flags', may hold a color
 * and such headers are accepted. */
static bool
takes_color(uint32_t flags)
{
    return (zoo_gbp_accepts_colors() && flags & ZOO_VXLAN_F_GBP
            && flags & ZOO_COLOR_TRACED);
}

/* Removes the first 'ofs' bytes of 'packet', which was in a tunnel. */
static void
remove_headers(struct dp_packet *packet, size_t ofs)
{
#ifdef DP_PACKET_OL_SHIFT_COUNT
    /* Open vSwitch 4.0 keeps the offloads of both packets. */
    packet->offloads >>= DP_PACKET_OL_SHIFT_COUNT;
#endif
    dp_packet_reset_packet(packet, ofs);
}

struct dp_packet *
zoo_gbp_pop(struct dp_packet *packet)
{
    const struct udp_header *udp = dp_packet_l4(packet);
    const struct vxlanhdr *vxh = (const struct vxlanhdr *) (udp + 1);
    uint32_t flags = ntohl(get_16aligned_be32(&vxh->vx_flags));
    uint32_t vni = ntohl(get_16aligned_be32(&vxh->vx_vni));
    struct flow_tnl *tnl = &packet->md.tunnel;

    if (!zoo_gbp_takes(htonl(flags)) || vni & 0xff
        || !(takes_color(flags) || find_port(tnl->tp_dst))) {
        VLOG_WARN_RL(&rl, "invalid vxlan flags=%#x vni=%#x", flags, vni);
        dp_packet_delete(packet);
        return NULL;
    }

    tnl->tun_id = htonll(vni >> 8);
    tnl->flags |= FLOW_TNL_F_KEY;
    if (flags & ZOO_VXLAN_F_GBP) {
        tnl->gbp_id = htons(flags & ZOO_VXLAN_GBP_ID);
        tnl->flags |= takes_color(flags) ? ZOO_TNL_F_COLORED : 0;
        tnl->gbp_flags = (flags & (ZOO_VXLAN_GBP_DONT_LEARN
                                   | ZOO_VXLAN_GBP_APPLIED)) >> 16;
        if (flags & ZOO_VXLAN_GBP_INJECTED && takes_color(flags)) {
            tnl->gbp_flags |= ZOO_GBP_F_INJECTED;
        }
    }
    packet->packet_type = htonl(PT_ETH);
    remove_headers(packet, ((const uint8_t *) (vxh + 1)
                            - (const uint8_t *) dp_packet_data(packet)));
    return packet;
}

/* Geneve. */

bool
zoo_gbp_push_geneve(struct ovs_action_push_tnl *data, uint16_t color,
                    bool injected)
{
    struct zoo_geneve_color *c;
    struct geneve_opt *opt
        = zoo_push_add_option(data, ZOO_GENEVE_COLOR_TYPE,
                              sizeof(struct zoo_geneve_color) - sizeof *opt);

    if (!opt) {
        return false;
    }
    c = CONTAINER_OF(opt, struct zoo_geneve_color, opt);
    c->color = htons(color);
    c->flags = htons(injected ? ZOO_GENEVE_COLOR_F_INJECTED : 0);
    return true;
}

/* Makes the color among the options in 'tnl', if colors are accepted and there
 * is one, its policy ID, with ZOO_GBP_F_INJECTED in its flags if the packet
 * was made for a task.
 *
 * Returns false if it was made for a task and colors are not accepted: no
 * machine is to have it, whether or not this switch knows of the task.  (In
 * VXLAN such a packet is invalid then.) */
static bool
pop_geneve_color(struct flow_tnl *tnl)
{
    size_t end = tnl->metadata.present.len / 4;
    struct geneve_opt *opts = tnl->metadata.opts.gnv;
    struct zoo_geneve_color c;
    size_t i = 0;

    if (end < sizeof c / 4
        || opts[end - sizeof c / 4].opt_class != htons(ZOO_GENEVE_OPT_CLASS)
        || opts[end - sizeof c / 4].type != ZOO_GENEVE_COLOR_TYPE) {
        return true;
    }

    /* Those four bytes may be the data of another option. */
    while (i < end - sizeof c / 4) {
        i += 1 + opts[i].length;
    }
    if (i != end - sizeof c / 4
        || opts[i].length != (sizeof c - sizeof c.opt) / 4) {
        return true;
    }
    memcpy(&c, &opts[i], sizeof c);
    if (!zoo_gbp_accepts_colors()) {
        return !(c.color & htons(ZOO_COLOR_TRACED)
                 && c.flags & htons(ZOO_GENEVE_COLOR_F_INJECTED));
    }
    if (c.color & htons(ZOO_COLOR_TRACED)) {
        tnl->gbp_id = c.color;
        tnl->flags |= ZOO_TNL_F_COLORED;
        if (c.flags & htons(ZOO_GENEVE_COLOR_F_INJECTED)) {
            tnl->gbp_flags |= ZOO_GBP_F_INJECTED;
        }
    }
    memset(&opts[i], 0, sizeof c);
    tnl->metadata.present.len -= sizeof c;
    return true;
}

bool
zoo_pop_geneve_options(struct dp_packet *packet, const struct genevehdr *gnh,
                       unsigned int opts_len)
{
    if (zoo_pop_takes_geneve(gnh, opts_len)) {
        zoo_pop_geneve(packet);
        return false;
    }
    if (!pop_geneve_color(&packet->md.tunnel)) {
        COVERAGE_INC(vtrace_inject_refused);
        dp_packet_delete(packet);
        return false;
    }
    return true;
}

static void
add_tunnel(ovs_be16 port)
{
    struct gbp_port *p = find_port(port);

    if (!p) {
        p = xzalloc(sizeof *p);
        p->port = port;
        cmap_insert(&gbp_ports, &p->node, port_hash(port));
    }
    p->n_tunnels++;
}

static void
remove_tunnel(ovs_be16 port)
{
    struct gbp_port *p = find_port(port);

    if (p && !--p->n_tunnels) {
        cmap_remove(&gbp_ports, &p->node, port_hash(port));
        ovsrcu_postpone(free, p);
    }
}

void
zoo_gbp_accept_colors(void)
{
    atomic_store_relaxed(&zoo_gbp_accepting, true);
}

void
zoo_gbp_configure(const struct netdev_tunnel_config *old,
                  const struct netdev_tunnel_config *new)
{
    ovs_mutex_lock(&gbp_mutex);
    if (has_gbp(new)) {
        add_tunnel(new->dst_port);
    }
    if (has_gbp(old)) {
        remove_tunnel(old->dst_port);
    }
    ovs_mutex_unlock(&gbp_mutex);
}
