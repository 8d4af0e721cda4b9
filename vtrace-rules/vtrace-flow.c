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
#include "vtrace-rules/vtrace-flow.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "openvswitch/dynamic-string.h"
#include "openvswitch/match.h"
#include "openvswitch/ofp-actions.h"
#include "openvswitch/ofp-errors.h"
#include "openvswitch/ofp-port.h"
#include "ovs-ext/zoo-flow.h"
#include "packets.h"
#include "util.h"

/* Appends the action to 'ofpacts'. */
static char *
put_action(const struct vtrace_flow *flow, struct ofpbuf *ofpacts)
{
    enum ofputil_protocol usable_protocols;
    struct ofpact_parse_params pp = {
        .ofpacts = ofpacts,
        .usable_protocols = &usable_protocols,
    };
    char *s = (flow->kind == VTRACE_FLOW_BORDER
               ? xstrdup("vtrace(off)")
               : xasprintf("vtrace(color=%"PRIu16",exp=%d)",
                           flow->color, flow->exp));
    char *error = ofpacts_parse_actions(s, &pp);

    free(s);
    return error;
}

static bool
is_any(const struct in6_addr *addr)
{
    return ipv6_addr_equals(addr, &in6addr_any);
}

static char *
check_color(const char *name, uint16_t color)
{
    if (color < 1 || color > VTRACE_STORE_MAX_COLOR) {
        return xasprintf("%s: %"PRIu16" is out of range 1..%d",
                         name, color, VTRACE_STORE_MAX_COLOR);
    }
    return NULL;
}

static char *
check_match(const struct vtrace_match *m)
{
    if (is_any(&m->src) && is_any(&m->dst)) {
        return xstrdup("source and destination are both unknown, give one "
                       "address at least");
    }
    if (!is_any(&m->src) && !is_any(&m->dst)
        && IN6_IS_ADDR_V4MAPPED(&m->src) != IN6_IS_ADDR_V4MAPPED(&m->dst)) {
        return xstrdup("source and destination are of different IP versions, "
                       "give both of one");
    }
    if ((m->sport || m->dport) && m->proto != IPPROTO_TCP
        && m->proto != IPPROTO_UDP && m->proto != IPPROTO_SCTP) {
        return xasprintf("port %"PRIu16": IP protocol %"PRIu8" has no ports, "
                         "leave it away or use tcp, udp or sctp",
                         m->sport ? m->sport : m->dport, m->proto);
    }
    if (m->vlan > 4094) {
        return xasprintf("vlan: %"PRIu16" is out of range 1..4094", m->vlan);
    }
    return NULL;
}

static char *
check(const struct vtrace_flow *flow)
{
    bool border = flow->kind == VTRACE_FLOW_BORDER;
    int min_timeout = border ? 0 : 1;
    char *error = border ? NULL : check_color("color", flow->color);

    if (!error && flow->kind == VTRACE_FLOW_MAP) {
        error = check_color("the other domain's color", flow->theirs);
    }
    if (error) {
        return error;
    }
    if (flow->exp < 0 || flow->exp > VTRACE_STORE_MAX_EXP) {
        return xasprintf("exp: %d is out of range 0..%d",
                         flow->exp, VTRACE_STORE_MAX_EXP);
    }
    if (flow->hard_timeout < min_timeout
        || flow->hard_timeout > VTRACE_FLOW_MAX_TIMEOUT) {
        return xasprintf("hard_timeout: %d s is out of range %d..%d",
                         flow->hard_timeout, min_timeout,
                         VTRACE_FLOW_MAX_TIMEOUT);
    }
    if (flow->cookie == UINT64_MAX) {
        return xasprintf("cookie: %#"PRIx64" is reserved by OpenFlow, use "
                         "another", flow->cookie);
    }
    if (flow->kind == VTRACE_FLOW_ENTRY) {
        return check_match(&flow->match);
    }
    return (flow->in_port == OFPP_NONE
            ? xstrdup("a border is a port, give one") : NULL);
}

static void
init_entry_match(const struct vtrace_match *m, struct match *match)
{
    bool v4 = IN6_IS_ADDR_V4MAPPED(is_any(&m->src) ? &m->dst : &m->src);

    match_set_tun_gbp_id(match, htons(0));
    if (m->vlan) {
        match_set_dl_vlan(match, htons(m->vlan), 0);
    }
    match_set_dl_type(match, htons(v4 ? ETH_TYPE_IP : ETH_TYPE_IPV6));
    if (v4) {
        if (!is_any(&m->src)) {
            match_set_nw_src(match, in6_addr_get_mapped_ipv4(&m->src));
        }
        if (!is_any(&m->dst)) {
            match_set_nw_dst(match, in6_addr_get_mapped_ipv4(&m->dst));
        }
    } else {
        if (!is_any(&m->src)) {
            match_set_ipv6_src(match, &m->src);
        }
        if (!is_any(&m->dst)) {
            match_set_ipv6_dst(match, &m->dst);
        }
    }
    if (m->proto) {
        bool icmp = m->proto == IPPROTO_ICMP || m->proto == IPPROTO_ICMPV6;

        match_set_nw_proto(match, !icmp ? m->proto
                           : v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
    }
    if (m->sport || m->dport || (m->proto && !v4)) {
        /* Ports, and the protocol of IPv6, are in the first fragment only, if
         * the switch looks for them there at all.  Where connection tracking
         * puts fragments together, the color of a part of them is lost. */
        match_set_nw_frag(match, 0);
    }
    if (m->sport) {
        match_set_tp_src(match, htons(m->sport));
    }
    if (m->dport) {
        match_set_tp_dst(match, htons(m->dport));
    }
}

static void
init_match(const struct vtrace_flow *flow, struct match *match)
{
    match_init_catchall(match);
    match_set_default_packet_type(match);
    if (flow->in_port != OFPP_NONE) {
        match_set_in_port(match, flow->in_port);
    }
    switch (flow->kind) {
    case VTRACE_FLOW_ENTRY:
        init_entry_match(&flow->match, match);
        return;

    case VTRACE_FLOW_MAP:
        match_set_tun_gbp_id(match, htons(ZOO_COLOR_TRACED
                                          | (flow->exp
                                             << ZOO_COLOR_EXP_SHIFT)
                                          | flow->theirs));
        match_set_tun_gbp_flags(match, ZOO_GBP_F_ARRIVING);
        return;

    case VTRACE_FLOW_BORDER:
        match_set_tun_gbp_id_masked(match, htons(ZOO_COLOR_TRACED),
                                    htons(ZOO_COLOR_TRACED));
        match_set_tun_gbp_flags(match, ZOO_GBP_F_ARRIVING);
        return;
    }
    OVS_NOT_REACHED();
}

char *
vtrace_flow_mod_init(const struct vtrace_flow *flow,
                     struct ofputil_flow_mod *fm)
{
    char *error = check(flow);
    if (error) {
        return error;
    }

    struct ofpbuf ofpacts;
    ofpbuf_init(&ofpacts, 32);
    error = put_action(flow, &ofpacts);
    if (error) {
        ofpbuf_uninit(&ofpacts);
        return error;
    }

    struct match match;
    init_match(flow, &match);
    *fm = (struct ofputil_flow_mod) {
        .priority = vtrace_flow_priority(flow),
        .new_cookie = htonll(flow->cookie),
        .command = OFPFC_ADD,
        .hard_timeout = flow->hard_timeout,
        .buffer_id = UINT32_MAX,
        .out_port = OFPP_ANY,
        .out_group = OFPG_ANY,
        .flags = OFPUTIL_FF_CHECK_OVERLAP | OFPUTIL_FF_SEND_FLOW_REM,
        .ofpacts_len = ofpacts.size,
        .ofpacts = ofpbuf_steal_data(&ofpacts),
    };
    minimatch_init(&fm->match, &match);
    return NULL;
}

/* Returns true if OpenFlow has another meaning for the name 's'. */
static bool
is_reserved_port(const char *s)
{
    ofp_port_t port;

    return (s[strspn(s, "0123456789")]
            && ofputil_port_from_string(s, NULL, &port));
}

char *
vtrace_flow_check_port_name(const char *name)
{
    if (strlen(name) >= OFP_MAX_PORT_NAME_LEN) {
        return xasprintf("port %s: OpenFlow has %d bytes for a port's name, "
                         "rename the port or give its OpenFlow port number",
                         name, OFP_MAX_PORT_NAME_LEN - 1);
    }
    /* ovs-ofctl looks for a flow's actions wherever this word is. */
    if (name[strcspn(name, ",()[]{}\"'\\#")] || strstr(name, "action")
        || is_reserved_port(name)) {
        return xasprintf("port %s: ovs-ofctl does not take this name in a "
                         "flow, give the OpenFlow port number", name);
    }
    return NULL;
}

bool
vtrace_flow_is(const struct vtrace_flow *flow, const struct match *match)
{
    const struct flow_tnl *tnl = &match->flow.tunnel;

    if (flow->kind == VTRACE_FLOW_ENTRY) {
        return !tnl->gbp_id;
    }
    return (tnl->gbp_id
            && match->flow.in_port.ofp_port == flow->in_port
            && ((ntohs(tnl->gbp_id) & ZOO_COLOR_MASK)
                == (flow->kind == VTRACE_FLOW_MAP ? flow->theirs : 0)));
}

void
vtrace_flow_mod_init_delete(uint64_t cookie, uint64_t mask,
                            struct ofputil_flow_mod *fm)
{
    *fm = (struct ofputil_flow_mod) {
        .cookie = htonll(cookie),
        .cookie_mask = htonll(mask),
        .new_cookie = OVS_BE64_MAX,
        .table_id = OFPTT_ALL,
        .command = OFPFC_DELETE,
        .buffer_id = UINT32_MAX,
        .out_port = OFPP_ANY,
        .out_group = OFPG_ANY,
    };
    minimatch_init_catchall(&fm->match);
}

void
vtrace_flow_mod_uninit(struct ofputil_flow_mod *fm)
{
    minimatch_destroy(&fm->match);
    free(fm->ofpacts);
}

void
vtrace_flow_mod_format(const struct ofputil_flow_mod *fm,
                       const struct ofputil_port_map *port_map, struct ds *s)
{
    struct ofpact_format_params fp = { .port_map = port_map, .s = s };
    struct match match;

    minimatch_expand(&fm->match, &match);
    ds_put_format(s, "table=0,cookie=%#"PRIx64",", ntohll(fm->new_cookie));
    if (fm->hard_timeout) {
        ds_put_format(s, "hard_timeout=%"PRIu16",", fm->hard_timeout);
    }
    ds_put_cstr(s, "check_overlap,send_flow_rem,");
    match_format(&match, port_map, s, fm->priority);
    ds_put_cstr(s, " actions=");
    ofpacts_format(fm->ofpacts, fm->ofpacts_len, &fp);
}
