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

#ifndef ZOO_GBP_H
#define ZOO_GBP_H 1

/* VXLAN group policy (GBP) in the userspace datapath.
 *
 * The extension puts a group policy ID and two flags into reserved bits of the
 * VXLAN header (draft-smith-vxlan-group-policy-05, section 2.1):
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *     |G|R|R|R|I|R|R|R|R|D|R|R|A|R|R|R|        Group Policy ID        |
 *     +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 *
 * Open vSwitch has OpenFlow fields, datapath keys and a tunnel option
 * (options:exts=gbp) for it, and here is what the userspace datapath lacks:
 * writing the header and reading it, with the Linux kernel's rules.
 *
 * As in the kernel, whether a port takes the extension depends on the UDP port
 * that a packet arrives at, since the VXLAN header says which tunnel it is:
 * tunnels with and without the extension cannot share a UDP port, which
 * options:dst_port is refused for.
 *
 * The color of a traced packet travels as a policy, too.  Once VTrace has been
 * on, colors are accepted on every UDP port, and they go out by every VXLAN
 * tunnel whose other end accepts them.
 *
 * Geneve has no policy.  There the color is an option, the last one, that is
 * not critical: who does not know it ignores it (RFC 8926, section 3.5).  It is
 * taken out again where the packet leaves the tunnel, and from there on is a
 * policy ID, too. */

#include <stdbool.h>

#include "openvswitch/geneve.h"
#include "openvswitch/types.h"
#include "ovs-atomic.h"
#include "ovs-ext/zoo-datapath.h"
#include "ovs-ext/zoo-flow.h"
#include "packets.h"
#include "unaligned.h"

struct dp_packet;
struct flow_tnl;
struct match;
struct netdev_tunnel_config;
struct ovs_action_push_tnl;

/* Bits of the first word of the VXLAN header. */
#define ZOO_VXLAN_F_GBP 0x80000000          /* G: the word has a policy. */
#define ZOO_VXLAN_GBP_DONT_LEARN 0x00400000 /* D. */
#define ZOO_VXLAN_GBP_APPLIED 0x00080000    /* A: policy was applied. */
#define ZOO_VXLAN_GBP_ID 0x0000ffff

/* A packet with a color that was made for its task: the last one of the
 * reserved bits, that of what is 'gbp_flags' in a flow.  Only our switches
 * write it, and only together with a color. */
#define ZOO_VXLAN_GBP_INJECTED 0x00010000
#define ZOO_GBP_F_INJECTED (ZOO_VXLAN_GBP_INJECTED >> 16)

/* All that the extension uses; without G the lower 24 are still reserved, and
 * ignored. */
#define ZOO_VXLAN_GBP_USED_BITS (ZOO_VXLAN_F_GBP | 0x00ffffff)

/* Returns the first word of the VXLAN header for a packet with tunnel metadata
 * 'tnl' that leaves by a tunnel with configuration 'cfg': without the extension
 * (unless there is a color) and without a policy just the flag that marks a
 * VNI.  Any thread. */
ovs_be32 zoo_gbp_build(const struct netdev_tunnel_config *cfg,
                       const struct flow_tnl *tnl);

/* Takes the color out of 'data', a prebuilt VXLAN header that has one. */
void zoo_gbp_remove_color(struct ovs_action_push_tnl *data);

/* Returns true if 'data', a prebuilt header of any kind, tells the receiver
 * that the packet was made for a task. */
bool zoo_gbp_is_injected(const struct ovs_action_push_tnl *data);

/* Returns true if a packet whose VXLAN header begins with 'flags' must be given
 * to zoo_gbp_pop(): it differs from one without extension, and in nothing but
 * what group policy uses. */
static inline bool
zoo_gbp_takes(ovs_be32 flags)
{
    return ((flags & htonl(~ZOO_VXLAN_GBP_USED_BITS)) == htonl(VXLAN_FLAGS)
            && flags != htonl(VXLAN_FLAGS));
}

/* Takes 'packet' out of its VXLAN tunnel, with the policy that it has, if a
 * tunnel on its UDP port has options:exts=gbp, or if VTrace has been on and the
 * policy may be a color.  Outer addresses and UDP ports must be in its metadata
 * already.  Returns 'packet', or NULL if it was dropped.  Any thread that is
 * not quiescent (see ovs-rcu.h). */
struct dp_packet *zoo_gbp_pop(struct dp_packet *packet);

/* Returns true if tunnels at UDP port 'tp_dst' have options:exts=gbp, so that
 * packets that come out of them may have policies.  Any thread that is not
 * quiescent (see ovs-rcu.h). */
bool zoo_gbp_is_taken(ovs_be16 tp_dst);

/* Has 'match', of a flow of the userspace datapath, tell packets that came out
 * of a tunnel with a color from those that did not, by ZOO_TNL_F_COLORED.  If
 * the packets are out of a UDP tunnel, the flags are matched anyway, so that
 * this costs nothing, as matching the policy would.
 *
 * Like FLOW_TNL_F_UDPIF, the flag has no attribute: it is made of the policy
 * ID where a flow comes from above the datapath.  Any thread. */
void zoo_gbp_match_color(struct match *match);

/* True once zoo_gbp_accept_colors() has been called. */
extern atomic_bool zoo_gbp_accepting;

/* Returns true once zoo_gbp_accept_colors() has been called.  Any thread. */
static inline bool
zoo_gbp_accepts_colors(void)
{
    bool accept;

    atomic_read_relaxed(&zoo_gbp_accepting, &accept);
    return accept;
}

/* Does the part of zoo_gbp_pop() that is the policy's, for a packet whose
 * header 'vxh' has a color and nothing else that is unusual: stores it in
 * '*tnl' and returns true.  Otherwise changes nothing.
 *
 * This is the way of all traced packets of tenants. */
static inline bool
zoo_gbp_read_color(const struct vxlanhdr *vxh, struct flow_tnl *tnl)
{
    ovs_be32 flags = get_16aligned_be32(&vxh->vx_flags);

    if ((flags & htonl(~ZOO_VXLAN_GBP_ID | ZOO_COLOR_TRACED))
        == htonl(ZOO_VXLAN_F_GBP | VXLAN_FLAGS | ZOO_COLOR_TRACED)
        && !(get_16aligned_be32(&vxh->vx_vni) & htonl(0xff))
        && zoo_gbp_accepts_colors()) {
        tnl->gbp_id = htons(ntohl(flags) & ZOO_VXLAN_GBP_ID);
        tnl->flags |= ZOO_TNL_F_COLORED;
        return true;
    }
    return false;
}

/* The option with a color, of class ZOO_GENEVE_OPT_CLASS. */
#define ZOO_GENEVE_COLOR_TYPE 0x02
struct zoo_geneve_color {
    struct geneve_opt opt;
    ovs_be16 color;
    ovs_be16 flags;             /* ZOO_GENEVE_COLOR_F_*. */
};
#define ZOO_GENEVE_COLOR_F_INJECTED 0x0001  /* As ZOO_VXLAN_GBP_INJECTED. */

BUILD_ASSERT_DECL(sizeof(struct zoo_geneve_color) == 8);

/* Appends 'color', and whether the packet is 'injected', to 'data', a prebuilt
 * Geneve header.  Returns false, with '*data' unchanged, if it is something
 * else or has no room.  Any thread. */
bool zoo_gbp_push_geneve(struct ovs_action_push_tnl *data, uint16_t color,
                         bool injected);

/* Does what the options of 'packet', with header 'gnh' and 'opts_len' bytes of
 * options that its metadata has already, ask for: takes it if it is a probe, or
 * was made for a task where colors are not accepted, and returns false; otherwise
 * takes the color out of its options, and returns
 * true.  Not inline, so that packets without options do not pay for it. */
bool zoo_pop_geneve_options(struct dp_packet *packet,
                            const struct genevehdr *gnh,
                            unsigned int opts_len);

/* Has the datapath accept colors on every UDP port from now on.  That cannot be
 * taken back, since the other ends need time to learn of it.  Any thread. */
void zoo_gbp_accept_colors(void);

/* A VXLAN tunnel's configuration changes from 'old' to 'new', where NULL stands
 * for no tunnel.  Any thread. */
void zoo_gbp_configure(const struct netdev_tunnel_config *old,
                       const struct netdev_tunnel_config *new);

#endif /* zoo-gbp.h */
