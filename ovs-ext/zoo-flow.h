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

#ifndef ZOO_FLOW_H
#define ZOO_FLOW_H 1

/* How the "zooroute" action travels from where it is executed to the tunnel
 * output that obeys it, and the color of a traced packet with it.
 *
 * The state lives in 'flow->tunnel' and not in the translation context,
 * because the frozen state of a recirculation keeps all of 'flow->tunnel' (so
 * that ct() does not lose it), and because everything that saves and restores
 * the flow around a group bucket, a clone or a nested bridge then saves and
 * restores the state with it.
 *
 * It takes bits of 'flow->tunnel.flags' that Open vSwitch does not use, and
 * bytes that pad the structure for the port: no OpenFlow field, no datapath
 * attribute and no printed flow shows them, and nothing but these functions
 * sets them.  A packet received from a tunnel, a port or a controller therefore
 * starts with ZOO_FLOW_DEFAULT.
 *
 * 'flow->tunnel.tp_src' would be a natural place for the port, but it holds the
 * received outer source port of a packet that came from a tunnel, and Open
 * vSwitch from 3.5 on clears it before tunnel output. */

#include <stdbool.h>
#include <string.h>

#include "openvswitch/flow.h"
#include "packets.h"
#include "util.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What decides the outer UDP source port of a packet's tunnel outputs.  The
 * values are also those on the wire of the OpenFlow action. */
enum zoo_flow_mode {
    ZOO_FLOW_DEFAULT = 0,       /* Configuration: all tunnels or marked. */
    ZOO_FLOW_ON = 1,            /* The peer's path table. */
    ZOO_FLOW_OFF = 2,           /* Open vSwitch's own choice. */
    ZOO_FLOW_SPORT = 3,         /* A literal port. */
};

/* Literal ports, and candidates, are in ZOO_SPORT_MIN...ZOO_SPORT_MAX. */
#define ZOO_SPORT_MIN 32768
#define ZOO_SPORT_MAX 65535

/* Bits of 'flags' in struct flow_tnl. */
#define ZOO_TNL_F_MODE_SHIFT 12
#define ZOO_TNL_F_MODE_MASK (3 << ZOO_TNL_F_MODE_SHIFT)
#define ZOO_TNL_F_PROBE (1 << 14)   /* Only with ZOO_FLOW_SPORT. */
#define ZOO_TNL_F_MASK (ZOO_TNL_F_MODE_MASK | ZOO_TNL_F_PROBE)

/* Also among 'flags': the packet was made for a task and is nobody's.  It goes
 * with the packet wherever the color goes, and where a pipeline overwrites
 * that, it stays. */
#define ZOO_TNL_F_INJECTED (1 << 15)

/* Also among 'flags', and the only bit that a received packet has: it came out
 * of its tunnel with a color.  The userspace datapath tells its flows apart by
 * it, see zoo_gbp_match_color(), and translation does not look at it. */
#define ZOO_TNL_F_COLORED (1 << 11)

BUILD_ASSERT_DECL(!((ZOO_TNL_F_MASK | ZOO_TNL_F_INJECTED | ZOO_TNL_F_COLORED)
                    & (FLOW_TNL_F_MASK | FLOW_TNL_F_UDPIF)));
BUILD_ASSERT_DECL(!(ZOO_TNL_F_MASK & (ZOO_TNL_F_INJECTED
                                      | ZOO_TNL_F_COLORED)));
BUILD_ASSERT_DECL(ZOO_TNL_F_INJECTED <= UINT16_MAX);
BUILD_ASSERT_DECL(MEMBER_SIZEOF(struct flow_tnl, pad1) == 4);

/* A color, as in the group policy ID of a traced packet. */
#define ZOO_COLOR_TRACED 0x8000
#define ZOO_COLOR_EXP_SHIFT 12
#define ZOO_COLOR_EXP_MASK (7 << ZOO_COLOR_EXP_SHIFT)
#define ZOO_COLOR_MASK 0x0fff

/* Flags of a group policy that no packet has, whoever sent it: flows
 * that match these flags say what becomes of a color that comes out of a
 * tunnel, see zoo_xlate_arrive(), and no other lookup finds them. */
#define ZOO_GBP_F_ARRIVING 0x02

/* Returns true if 'sport' may be given as a literal outer source port. */
static inline bool
zoo_sport_is_valid(long long int sport)
{
    return sport >= ZOO_SPORT_MIN && sport <= ZOO_SPORT_MAX;
}

/* Makes 'mode' decide for the tunnel outputs that follow in 'flow'.  'sport'
 * is a port in host byte order, used only with ZOO_FLOW_SPORT. */
static inline void
zoo_flow_set(struct flow *flow, enum zoo_flow_mode mode, uint16_t sport)
{
    struct flow_tnl *tnl = &flow->tunnel;

    if (mode != ZOO_FLOW_SPORT) {
        sport = 0;
    }
    tnl->pad1[0] = sport >> 8;
    tnl->pad1[1] = sport;
    tnl->flags &= ~ZOO_TNL_F_MASK;
    tnl->flags |= mode << ZOO_TNL_F_MODE_SHIFT;
}

/* Returns the mode in 'tnl'.  Stores the literal port, in host byte order, in
 * '*sport' if the mode is ZOO_FLOW_SPORT, otherwise 0. */
static inline enum zoo_flow_mode
zoo_flow_get(const struct flow_tnl *tnl, uint16_t *sport)
{
    *sport = (tnl->pad1[0] << 8) | tnl->pad1[1];
    return (tnl->flags & ZOO_TNL_F_MODE_MASK) >> ZOO_TNL_F_MODE_SHIFT;
}

/* Colors 'tnl' with 'color', which has ZOO_COLOR_TRACED set.
 *
 * OpenFlow sees it as the group policy ID.  A copy in the padding tells the
 * color from a policy of somebody else with the same bit: pipelines that write
 * the field end the trace, and what they write is theirs. */
static inline void
zoo_flow_set_color(struct flow_tnl *tnl, uint16_t color)
{
    tnl->gbp_id = htons(color);
    tnl->pad1[2] = color >> 8;
    tnl->pad1[3] = color;
}

/* Returns the color of 'tnl', 0 if it has none. */
static inline uint16_t
zoo_flow_color(const struct flow_tnl *tnl)
{
    uint16_t color = (tnl->pad1[2] << 8) | tnl->pad1[3];

    return color == ntohs(tnl->gbp_id) ? color : 0;
}

/* Returns true if 'tnl' is of a packet that was made for a task. */
static inline bool
zoo_flow_is_injected(const struct flow_tnl *tnl)
{
    return (tnl->flags & ZOO_TNL_F_INJECTED) != 0;
}

/* Clears 'tnl', for a packet that enters another bridge.  The state of the
 * action, and the color, stay if 'keep' is true, as they should in a patch
 * port. */
static inline void
zoo_flow_clear_tunnel(struct flow_tnl *tnl, bool keep)
{
    uint16_t color = zoo_flow_color(tnl);
    uint16_t flags = tnl->flags & (ZOO_TNL_F_MASK | ZOO_TNL_F_INJECTED);
    uint8_t pad1[2] = { tnl->pad1[0], tnl->pad1[1] };

    memset(tnl, 0, sizeof *tnl);
    if (keep) {
        tnl->flags = flags;
        memcpy(tnl->pad1, pad1, sizeof pad1);
        zoo_flow_set_color(tnl, color);
    }
}

#ifdef __cplusplus
}
#endif

#endif /* zoo-flow.h */
