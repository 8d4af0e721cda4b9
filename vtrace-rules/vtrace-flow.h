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

#ifndef VTRACE_FLOW_H
#define VTRACE_FLOW_H 1

/* The OpenFlow rules of a task
 * ============================
 *
 * One rule at the entry colors the packets of a task:
 *
 *     priority=65535,tun_gbp_id=0,MATCH actions=vtrace(color=C,exp=E)
 *
 * It is in table 0, where every packet comes first, whatever the bridge's own
 * pipeline looks like, and the action goes on in table 0 as if the rule were
 * not there.  A packet that has a color already does not match.  The rule goes
 * away by itself after its hard timeout.
 *
 * At a port that leads to another domain, two more kinds say what becomes of
 * the colors of that domain.  One, for each task that may come that way, maps
 * its color there to its color here; one for all takes the others away:
 *
 *     priority=65535,tun_gbp_id=0x8000|E<<12|THEIRS,tun_gbp_flags=2,in_port=P
 *         actions=vtrace(color=C,exp=E)
 *     priority=65534,tun_gbp_id=0x8000/0x8000,tun_gbp_flags=2,in_port=P
 *         actions=vtrace(off)
 *
 * No packet has those flags: the switch looks such rules up when it takes a
 * packet with a color out of a tunnel, before it does anything else, so that a
 * color is mapped once and nothing is recorded under one of the other domain's
 * (see ovs-ext/ofproto-dpif-xlate-vtrace.c).
 *
 * vtraced sends what vtrace_flow_mod_init() makes, vtrace-rules prints it. */

#include <stdbool.h>
#include <stdint.h>

#include "compiler.h"
#include "openvswitch/ofp-flow.h"
#include "openvswitch/ofpbuf.h"
#include "vtrace/store.h"

struct ds;
struct match;

/* Hard timeouts are 16 bits, in seconds. */
#define VTRACE_FLOW_MAX_TIMEOUT 65535

/* The rule of an entry goes away by itself so long after it should have been
 * removed, in seconds; a map later, as the entry may have to wait for others. */
#define VTRACE_FLOW_MARGIN 5
#define VTRACE_FLOW_MAP_MARGIN \
    (VTRACE_FLOW_MARGIN + VTRACE_STORE_START_MS / 1000)

#define VTRACE_FLOW_PRIORITY 65535
#define VTRACE_FLOW_BORDER_PRIORITY 65534

enum vtrace_flow_kind {
    VTRACE_FLOW_ENTRY,          /* Colors the packets of 'match'. */
    VTRACE_FLOW_MAP,            /* Makes 'theirs' 'color'. */
    VTRACE_FLOW_BORDER,         /* Takes all other colors away. */
};

struct vtrace_flow {
    enum vtrace_flow_kind kind;
    struct vtrace_match match;  /* ENTRY. */
    ofp_port_t in_port;         /* OFPP_NONE: any; ENTRY only. */
    uint16_t theirs;            /* MAP: 1...VTRACE_STORE_MAX_COLOR, of the
                                 * domain that 'in_port' leads to. */
    uint16_t color;             /* 1...VTRACE_STORE_MAX_COLOR; not BORDER. */
    int exp;                    /* 0...VTRACE_STORE_MAX_EXP; not BORDER. */
    uint64_t cookie;            /* Not UINT64_MAX. */
    int hard_timeout;           /* s, 1...VTRACE_FLOW_MAX_TIMEOUT; BORDER also
                                 * 0, for none. */
};

static inline int
vtrace_flow_priority(const struct vtrace_flow *flow)
{
    return (flow->kind == VTRACE_FLOW_BORDER
            ? VTRACE_FLOW_BORDER_PRIORITY : VTRACE_FLOW_PRIORITY);
}

/* Makes '*fm' the flow modification that installs 'flow'.  It refuses to
 * overlap with another rule of that priority, and the switch tells when the
 * rule goes.  The caller must pass '*fm' to vtrace_flow_mod_uninit().
 *
 * Returns NULL if successful.  Otherwise returns an error message that names
 * the member, its value and the remedy, which the caller must free, and '*fm'
 * needs no uninit. */
char *vtrace_flow_mod_init(const struct vtrace_flow *flow,
                           struct ofputil_flow_mod *fm)
    OVS_WARN_UNUSED_RESULT;

/* Returns NULL if a port can be named 'name' in a flow, or else an error
 * message that the caller must free. */
char *vtrace_flow_check_port_name(const char *name) OVS_WARN_UNUSED_RESULT;

/* Returns true if 'match' may be that of 'flow' among the rules with its
 * cookie. */
bool vtrace_flow_is(const struct vtrace_flow *flow, const struct match *match);

/* Makes '*fm' the flow modification that deletes the rules whose cookie is
 * 'cookie' in the bits of 'mask'. */
void vtrace_flow_mod_init_delete(uint64_t cookie, uint64_t mask,
                                 struct ofputil_flow_mod *fm);

void vtrace_flow_mod_uninit(struct ofputil_flow_mod *fm);

/* Appends '*fm', from vtrace_flow_mod_init(), to 's' as "ovs-ofctl add-flow"
 * takes it, with port names from 'port_map' if that is not NULL. */
void vtrace_flow_mod_format(const struct ofputil_flow_mod *fm,
                            const struct ofputil_port_map *port_map,
                            struct ds *s);

#endif /* vtrace-flow.h */
