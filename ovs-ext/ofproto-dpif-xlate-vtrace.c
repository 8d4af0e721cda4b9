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


/* Included by ofproto-dpif-xlate-zoo.c, and so by
 * ofproto/ofproto-dpif-xlate.c, whose context and port tables it needs.
 *
 * VTrace in flow translation: which packets have a color, and datapath actions
 * that take their records. */

#include "ofproto-zoo/zooroute.h"
#include "ovs-ext/vtrace-reasons.h"
#include "ovs-ext/zoo-fate.h"
#include "ovs-ext/zoo-flow.h"
#include "ovs-ext/zoo-gbp.h"
#include "ovs-ext/zoo-ofproto.h"
#include "ovs-ext/zoo-record.h"
#include "ovs-ext/zoo-vtrace.h"
#include "smap.h"

#include "ovs-ext/ofproto-dpif-xlate-inject.c"

/* Records. */

static enum vtrace_link
zoo_link(const struct netdev *netdev)
{
    enum netdev_flags flags;

    if (netdev_get_flags(netdev, &flags)) {
        return VTRACE_LINK_UNKNOWN;
    }
    return (flags & NETDEV_UP && netdev_get_carrier(netdev)
            ? VTRACE_LINK_UP : VTRACE_LINK_DOWN);
}

static bool
zoo_is_veth(const struct netdev *netdev)
{
    struct smap status = SMAP_INITIALIZER(&status);
    const char *driver;
    bool veth;

    netdev_get_status(netdev, &status);
    driver = smap_get(&status, "driver_name");
    veth = driver && !strcmp(driver, "veth");
    smap_destroy(&status);
    return veth;
}

static enum vtrace_port_class
zoo_port_class(const struct xport *xport)
{
    const char *type = netdev_get_type(xport->netdev);
    enum vtrace_port_class class;

    if (xport->is_tunnel) {
        return VTRACE_PORT_TUNNEL;
    } else if (xport->peer) {
        return VTRACE_PORT_PATCH;
    }
    class = zoo_vtrace_port_class(netdev_get_name(xport->netdev));
    if (class != VTRACE_PORT_UNKNOWN) {
        return class;
    }
    return (!strcmp(type, "internal") || !strcmp(type, "tap")
            || !strncmp(type, "dpdkvhostuser", 13)
            || (!strcmp(type, "system") && zoo_is_veth(xport->netdev))
            ? VTRACE_PORT_ACCESS : VTRACE_PORT_EXTERNAL);
}

/* Bytes of datapath actions from which on no more records are taken.  Actions
 * of more than 64 kB cannot be nested, and records must not make them longer
 * than that where they would not be without. */
#define ZOO_MAX_RECORD_ACTIONS 16384

/* Returns true if packets of 'ctx' leave records. */
static bool
zoo_has_records(const struct xlate_ctx *ctx)
{
    return (zoo_vtrace_is_enabled()
            && ctx->odp_actions->size < ZOO_MAX_RECORD_ACTIONS
            && !zoo_ofproto_unsupported(&ctx->xbridge->ofproto->up, NULL));
}

static void
zoo_point_init(struct zoo_record_point *point, const struct xlate_ctx *ctx,
               enum vtrace_role role, uint16_t color,
               enum vtrace_reason reason)
{
    zoo_record_point_init(point, role, color, reason);
    point->flags = ctx->fate.injected ? VTRACE_F_INJECTED : 0;
    ovs_strzcpy(point->bridge, ctx->xbridge->name, sizeof point->bridge);
}

static void
zoo_point_set_port(struct zoo_record_point *point, const struct xport *xport)
{
    if (xport) {
        const char *name = netdev_get_name(xport->netdev);

        ovs_strzcpy(point->port, name, sizeof point->port);
        point->ofp_port = ofp_to_u16(xport->ofp_port);
        point->port_class = zoo_port_class(xport);
        point->link = (xport->peer ? VTRACE_LINK_UP
                       : zoo_link(xport->netdev));
    }
}

static void
zoo_point_set_mtu(struct zoo_record_point *point, const struct netdev *netdev,
                  int overhead)
{
    int mtu;

    if (!netdev_get_mtu(netdev, &mtu)) {
        point->mtu = MAX(0, MIN(mtu - overhead, UINT16_MAX));
    }
}

/* Names the rule of 'decision' in 'point', if a rule of the user's decided. */
static void
zoo_point_set_rule(struct zoo_record_point *point,
                   const struct zoo_decision *decision)
{
    const struct rule_dpif *rule = decision->rule;

    if (!decision->bridge) {
        return;
    }
    ovs_strzcpy(point->bridge, decision->bridge, sizeof point->bridge);
    point->table = decision->table;
    point->flags |= VTRACE_F_TABLE;
    if (rule->up.table_id != TBL_INTERNAL) {
        point->cookie = ntohll(rule->up.flow_cookie);
        point->flags |= VTRACE_F_COOKIE;
    }
}

/* Reports in a trace that a record is taken at 'point'. */
static void
zoo_report_record(const struct xlate_ctx *ctx,
                  const struct zoo_record_point *point)
{
    static const char *const roles[] = {
        [VTRACE_ROLE_IN] = "in",
        [VTRACE_ROLE_OUT] = "out",
        [VTRACE_ROLE_DROP] = "drop",
        [VTRACE_ROLE_CHECKPOINT] = "checkpoint",
    };
    char reason[VTRACE_REASON_NAME_LEN];

    xlate_report(ctx, OFT_DETAIL, "vtrace: record of color %d: %s, %s/%s%s%s",
                 point->color, roles[point->role], point->bridge, point->port,
                 point->reason ? ", " : "",
                 (point->reason ? vtrace_reason_name(point->reason, reason)
                  : ""));
}

static void
zoo_put_record(struct xlate_ctx *ctx, const struct zoo_record_point *point)
{
    zoo_record_put(ctx->odp_actions, point);
    zoo_report_record(ctx, point);
}

/* Has a record taken at 'point' ahead of those of 'actions' that are at
 * 'offset' and behind. */
static void
zoo_insert_record(struct ofpbuf *actions, size_t offset,
                  const struct zoo_record_point *point)
{
    size_t len = actions->size - offset;
    void *rest = len ? xmemdup(ofpbuf_at_assert(actions, offset, len), len)
                     : NULL;

    actions->size = offset;
    zoo_record_put(actions, point);
    if (len) {
        ofpbuf_put(actions, rest, len);
        free(rest);
    }
}

/* Takes a record of the packet, whose color is 'color', where it comes into
 * the bridge of 'ctx' by 'in_port'. */
static void
zoo_record_in(struct xlate_ctx *ctx, uint16_t color,
              const struct xport *in_port, uint32_t flags)
{
    struct zoo_fate *fate = &ctx->fate;

    fate->color = color;
    fate->in_port = in_port;
    if (!zoo_has_records(ctx)) {
        return;
    }
    zoo_point_init(&fate->in, ctx, VTRACE_ROLE_IN, color, VTRACE_REASON_NONE);
    zoo_point_set_port(&fate->in, in_port);
    fate->in.flags |= flags;
    fate->in.tunnel = in_port && in_port->is_tunnel;
    if (flags & VTRACE_F_ENTRY) {
        zoo_point_set_rule(&fate->in, &fate->last);
    }
    zoo_put_record(ctx, &fate->in);
}

/* The packet of 'ctx' is about to be output to 'xport', which is neither a
 * tunnel nor a patch port. */
static void
zoo_xlate_output(struct xlate_ctx *ctx, const struct xport *xport)
{
    uint16_t color = zoo_flow_color(&ctx->xin->flow.tunnel);
    enum vtrace_reason reason = VTRACE_REASON_NONE;
    struct zoo_record_point point;

    if (OVS_LIKELY(!ctx->fate.color) || ctx->fate.underlay
        || !zoo_has_records(ctx)
        || (xport->xbundle
            && xbundle_mirror_out(ctx->xbridge, xport->xbundle))) {
        return;
    } else if (!color) {
        color = ctx->fate.color;
        reason = VTRACE_REASON_FOREIGN_GBP;
    }
    if (ctx->fate.injected) {
        reason = VTRACE_REASON_INJECT_DONE;
    }

    zoo_point_init(&point, ctx, VTRACE_ROLE_OUT, color, reason);
    zoo_point_set_port(&point, xport);
    zoo_point_set_mtu(&point, xport->netdev, 0);
    zoo_put_record(ctx, &point);
}

/* The datapath actions from 'offset' on send the packet of 'ctx' on its way,
 * after 'push' has put the header of tunnel port 'xport' in front of it.
 *
 * The record is taken ahead of these actions, and says what is known only
 * after them: whether the device has a link, and which packets fit. */
static void
zoo_xlate_pushed(struct xlate_ctx *ctx, const struct xport *xport,
                 const struct ovs_action_push_tnl *push, size_t offset)
{
    struct ofpbuf *actions = ctx->odp_actions;
    const struct xport *device;
    struct zoo_record_point point;
    size_t len = actions->size - offset;

    if (OVS_LIKELY(!ctx->fate.pushed_color) || !len) {
        return;
    }

    zoo_point_init(&point, ctx, VTRACE_ROLE_OUT, ctx->fate.pushed_color,
                   ctx->fate.pushed_reason);
    zoo_point_set_port(&point, xport);
    point.pushed = push->header_len;
    device = zoo_find_output(ctx->xcfg, ctx->xbridge->ofproto->backer,
                             ofpbuf_at_assert(actions, offset, len), len);
    if (device) {
        point.link = zoo_link(device->netdev);
        zoo_point_set_mtu(&point, device->netdev, push->header_len);
    }
    ctx->fate.pushed_color = 0;

    zoo_insert_record(actions, offset, &point);
    zoo_report_record(ctx, &point);
}

/* A meter is right ahead, or, if 'passed' is true, just behind the packet. */
static void
zoo_xlate_meter(struct xlate_ctx *ctx, bool passed)
{
    struct zoo_record_point point;

    if (OVS_LIKELY(!ctx->fate.color) || ctx->fate.underlay
        || !zoo_has_records(ctx)) {
        return;
    }
    zoo_point_init(&point, ctx, VTRACE_ROLE_CHECKPOINT, ctx->fate.color,
                   VTRACE_REASON_METER);
    zoo_point_set_port(&point, ctx->fate.in_port);
    zoo_point_set_rule(&point, &ctx->fate.last);
    point.flags |= passed ? VTRACE_F_PASSED : 0;
    zoo_put_record(ctx, &point);
}

/* The packet's end. */

/* What datapath actions do with a packet. */
struct zoo_outcome {
    bool goes_on;               /* Output, which left a record, or dropped
                                 * with one, or it comes back. */
    bool controller;            /* An OpenFlow controller gets it. */
};

/* Returns true if 'attr' of a datapath action of type 'action' has actions. */
static bool
zoo_has_actions(int action, int attr)
{
    return (action == OVS_ACTION_ATTR_SAMPLE
            ? attr == OVS_SAMPLE_ATTR_ACTIONS
            : (attr == OVS_CHECK_PKT_LEN_ATTR_ACTIONS_IF_GREATER
               || attr == OVS_CHECK_PKT_LEN_ATTR_ACTIONS_IF_LESS_EQUAL));
}

static void
zoo_get_outcome(const struct nlattr *actions, size_t len,
                struct zoo_outcome *outcome)
{
    const struct nlattr *a, *b, *userdata;
    const struct zoo_record_point *point;
    uint8_t role;
    size_t left, nested_left;

    NL_ATTR_FOR_EACH (a, left, actions, len) {
        switch (nl_attr_type(a)) {
        case OVS_ACTION_ATTR_RECIRC:
        case OVS_ACTION_ATTR_TUNNEL_POP:
            outcome->goes_on = true;
            break;

        case OVS_ACTION_ATTR_USERSPACE:
            point = zoo_record_point(a);
            userdata = nl_attr_find_nested(a, OVS_USERSPACE_ATTR_USERDATA);
            if (point) {
                role = *((const uint8_t *) point
                         + offsetof(struct zoo_record_point, role));
                outcome->goes_on |= (role == VTRACE_ROLE_OUT
                                     || role == VTRACE_ROLE_DROP);
            } else if (userdata && (nl_attr_get_size(userdata)
                                    == sizeof(struct user_action_cookie))) {
                const struct user_action_cookie *cookie
                    = nl_attr_get(userdata);

                outcome->controller
                    |= cookie->type == USER_ACTION_COOKIE_CONTROLLER;
            }
            break;

        case OVS_ACTION_ATTR_SAMPLE:
        case OVS_ACTION_ATTR_CHECK_PKT_LEN:
            NL_NESTED_FOR_EACH (b, nested_left, a) {
                if (zoo_has_actions(nl_attr_type(a), nl_attr_type(b))) {
                    zoo_get_outcome(nl_attr_get(b), nl_attr_get_size(b),
                                    outcome);
                }
            }
            break;

        case OVS_ACTION_ATTR_CLONE:
            zoo_get_outcome(nl_attr_get(a), nl_attr_get_size(a), outcome);
            break;
        }
    }
}

static void
zoo_get_outcome_from(const struct ofpbuf *actions, size_t offset,
                     struct zoo_outcome *outcome)
{
    memset(outcome, 0, sizeof *outcome);
    zoo_get_outcome(ofpbuf_at_assert(actions, offset, 0),
                    actions->size - offset, outcome);
}

static enum vtrace_reason
zoo_error_reason(enum xlate_error error)
{
    switch ((int) error) {
    case XLATE_BRIDGE_NOT_FOUND: return VTRACE_REASON_BRIDGE_NOT_FOUND;
    case XLATE_RECURSION_TOO_DEEP: return VTRACE_REASON_RECURSION_TOO_DEEP;
    case XLATE_TOO_MANY_RESUBMITS: return VTRACE_REASON_TOO_MANY_RESUBMITS;
    case XLATE_STACK_TOO_DEEP: return VTRACE_REASON_STACK_TOO_DEEP;
    case XLATE_NO_RECIRCULATION_CONTEXT:
        return VTRACE_REASON_NO_RECIRC_CONTEXT;
    case XLATE_RECIRCULATION_CONFLICT: return VTRACE_REASON_RECIRC_CONFLICT;
    case XLATE_TOO_MANY_MPLS_LABELS:
        return VTRACE_REASON_TOO_MANY_MPLS_LABELS;
    case XLATE_INVALID_TUNNEL_METADATA:
        return VTRACE_REASON_INVALID_TUN_METADATA;
    case XLATE_UNSUPPORTED_PACKET_TYPE:
        return VTRACE_REASON_UNSUPPORTED_PACKET;
    case XLATE_CONGESTION_DROP: return VTRACE_REASON_CONGESTION;
    case XLATE_FORWARDING_DISABLED: return VTRACE_REASON_FORWARDING_DISABLED;
    default: return VTRACE_REASON_NONE;
    }
}

/* Returns true if 'rule' could not send a packet anywhere. */
static bool
zoo_rule_denies(const struct rule_dpif *rule)
{
    const struct rule_actions *actions = rule_get_actions(&rule->up);
    const struct ofpact *a;

    OFPACT_FOR_EACH (a, actions->ofpacts, actions->ofpacts_len) {
        switch ((int) a->type) {
        case OFPACT_OUTPUT:
        case OFPACT_OUTPUT_REG:
        case OFPACT_OUTPUT_TRUNC:
        case OFPACT_ENQUEUE:
        case OFPACT_GROUP:
        case OFPACT_BUNDLE:
        case OFPACT_RESUBMIT:
        case OFPACT_GOTO_TABLE:
        case OFPACT_WRITE_ACTIONS:
        case OFPACT_CLONE:
        case OFPACT_CHECK_PKT_LARGER:
            return false;
        }
    }
    return true;
}

/* Stores in 'point' why nothing becomes of the packet of 'ctx', and what
 * decided. */
static void
zoo_point_set_cause(struct zoo_record_point *point, struct xlate_ctx *ctx,
                    bool controller)
{
    const struct zoo_fate *fate = &ctx->fate;
    const struct zoo_decision *decision = &fate->last;
    const struct ofproto_dpif *ofproto
        = (decision->rule
           ? CONTAINER_OF(decision->rule->up.ofproto, struct ofproto_dpif, up)
           : NULL);

    if (ctx->error) {
        point->reason = zoo_error_reason(ctx->error);
    } else if (fate->reason) {
        point->reason = fate->reason;
        decision = &fate->refused;
    } else if (fate->in_port && !may_receive(fate->in_port, ctx)) {
        point->reason = VTRACE_REASON_NO_FORWARD;
    } else if (fate->in_port && (!xport_stp_forward_state(fate->in_port)
                                 || !xport_rstp_forward_state(fate->in_port))) {
        point->reason = VTRACE_REASON_STP_BLOCKED;
    } else if (controller) {
        point->reason = VTRACE_REASON_TO_CONTROLLER;
    } else if (ofproto && (decision->rule == ofproto->miss_rule
                           || decision->rule == ofproto->no_packet_in_rule)) {
        point->reason = VTRACE_REASON_NO_MATCH;
    } else if (ofproto && decision->rule == ofproto->drop_frags_rule) {
        point->reason = VTRACE_REASON_FRAG_DROP;
    } else if (ofproto && zoo_rule_denies(decision->rule)) {
        point->reason = VTRACE_REASON_ACL_DENY;
    }
    if (!point->reason) {
        point->reason = VTRACE_REASON_NOTHING_LEFT;
    }
    zoo_point_set_rule(point, decision);
}

/* Returns where in 'actions' a record of a drop goes: ahead of the action that
 * drops the packet. */
static size_t
zoo_drop_offset(const struct ofpbuf *actions, size_t start)
{
    const struct nlattr *a;
    size_t left;

    NL_ATTR_FOR_EACH (a, left, ofpbuf_at_assert(actions, start, 0),
                      actions->size - start) {
        if (nl_attr_type(a) == OVS_ACTION_ATTR_DROP) {
            return (const char *) a - (const char *) actions->data;
        }
    }
    return actions->size;
}

/* Translation has left the bridge of 'ctx': takes a record of a drop if it did
 * nothing with the packet. */
static void
zoo_record_drop(struct xlate_ctx *ctx)
{
    struct ofpbuf *actions = ctx->odp_actions;
    struct zoo_fate *fate = &ctx->fate;
    struct zoo_record_point point;
    struct zoo_outcome outcome;
    size_t offset;

    if (!fate->color || !zoo_has_records(ctx)) {
        return;
    }
    zoo_get_outcome_from(actions, fate->start, &outcome);
    if (fate->injected) {
        bool controller = outcome.controller;

        zoo_inject_consume_from(ctx, fate->start);
        zoo_get_outcome_from(actions, fate->start, &outcome);
        outcome.controller = controller;
    }
    if (outcome.goes_on) {
        return;
    }

    zoo_point_init(&point, ctx, VTRACE_ROLE_DROP, fate->color,
                   VTRACE_REASON_NONE);
    zoo_point_set_port(&point, fate->in_port);
    point.tunnel = fate->in_port && fate->in_port->is_tunnel;
    zoo_point_set_cause(&point, ctx, outcome.controller);

    offset = zoo_drop_offset(actions, fate->start);
    zoo_insert_record(actions, offset, &point);
    if (!offset && fate->in.magic) {
        /* An error took the first record away. */
        zoo_insert_record(actions, 0, &fate->in);
    }
    zoo_report_record(ctx, &point);
}

/* Translation is over. */
static void
zoo_xlate_end(struct xlate_ctx *ctx)
{
    if (!ctx->xin->odp_actions) {
        return;
    }
    if (OVS_UNLIKELY(ctx->fate.color)) {
        zoo_record_drop(ctx);
    }
    if (OVS_UNLIKELY(ctx->fate.injected)) {
        zoo_inject_end(ctx);
    }
}

/* The packet of 'ctx' enters another bridge by 'in_port': either through a
 * patch port, or, with the header of tunnel port 'out_port' in front, the
 * bridge that has the route.  Returns what zoo_xlate_leave() needs. */
static struct zoo_fate
zoo_xlate_enter(struct xlate_ctx *ctx, const struct xport *out_port,
                const struct xport *in_port)
{
    const struct zoo_fate outer = ctx->fate;
    uint16_t color = zoo_flow_color(&ctx->xin->flow.tunnel);

    if (OVS_LIKELY(!outer.color) && !color) {
        ctx->fate.start = ctx->odp_actions->size;
    } else if (out_port->is_tunnel) {
        ctx->fate.underlay = true;
    } else if (!outer.underlay) {
        xlate_commit_actions(ctx);
        ctx->fate = (struct zoo_fate) { .port = outer.port,
                                        .injected = outer.injected,
                                        .start = ctx->odp_actions->size };
        if (color) {
            zoo_record_in(ctx, color, in_port, 0);
        }
    }
    return outer;
}

/* The packet of 'ctx' has been through the bridge that it entered when
 * zoo_xlate_enter() returned 'outer'. */
static void
zoo_xlate_leave(struct xlate_ctx *ctx, const struct zoo_fate *outer)
{
    if (ctx->fate.underlay) {
        /* What the underlay refused is why the tunnel's packet goes nowhere,
         * so keep it. */
        ctx->fate.underlay = outer->underlay;
    } else {
        if (OVS_UNLIKELY(ctx->fate.color)) {
            zoo_record_drop(ctx);
        }
        ctx->fate = *outer;
    }
}

/* Colors. */

/* Returns true if the other end of tunnel port 'xport', with outer addresses
 * 'local' and 'remote', takes colors, or sends them if 'input'. */
static bool
zoo_xlate_consents(const struct xport *xport, const struct in6_addr *local,
                   const struct in6_addr *remote, bool input)
{
    const struct netdev_tunnel_config *cfg
        = netdev_get_tunnel_config(xport->netdev);
    struct zooroute_key key;

    if (zoo_vtrace_consents(netdev_get_name(xport->netdev))) {
        return true;
    } else if (!cfg || cfg->exts & (1 << OVS_VXLAN_EXT_GBP)) {
        /* Where policies are in use, only the administrator can tell. */
        return false;
    }
    memset(&key, 0, sizeof key);
    key.local = *local;
    key.remote = *remote;
    key.dst_port = cfg->dst_port;
    key.pkt_mark = cfg->set_egress_pkt_mark ? cfg->egress_pkt_mark : 0;
    return (input ? zooroute_sends_colors(&key)
            : zooroute_takes_colors(&key));
}

/* Returns the flow in table 0 of the bridge of 'ctx' that says what becomes of
 * the color in its packet, which has just come out of a tunnel, or NULL. */
static struct rule_dpif *
zoo_find_arrival(struct xlate_ctx *ctx)
{
    struct flow_tnl *tnl = &ctx->xin->flow.tunnel;
    struct flow_tnl *mask = &ctx->wc->masks.tunnel;
    uint8_t gbp_flags = tnl->gbp_flags;
    uint8_t gbp_flags_mask = mask->gbp_flags;
    const struct rule_actions *actions;
    struct rule_dpif *rule;
    uint8_t table_id = 0;

    tnl->gbp_flags = ZOO_GBP_F_ARRIVING;
    rule = zoo_lookup_from_table(ctx->xbridge->ofproto,
                                 ctx->xin->tables_version, &ctx->xin->flow,
                                 ctx->wc, NULL, &table_id,
                                 ctx->xin->flow.in_port.ofp_port, false,
                                 false, NULL);
    tnl->gbp_flags = gbp_flags;
    mask->gbp_flags = gbp_flags_mask;   /* It did not look at the packet's. */

    actions = rule_get_actions(&rule->up);
    return (actions->ofpacts_len && actions->ofpacts->type == OFPACT_VTRACE
            ? rule : NULL);
}

/* Returns what 'color', which the packet of 'ctx' has just brought out of a
 * tunnel, is here: 'color' itself, unless a flow says that it is another
 * domain's, and maps it to one of this domain or takes it away (0).
 *
 * This comes ahead of everything: no record has a color of another domain,
 * which may be that of another task here, and no flow of the pipeline sees
 * it.  The lookup is with a flag that packets never have, so that the color it
 * becomes is not looked up again, and is not taken for a color of the other
 * domain with the same number. */
static uint16_t
zoo_xlate_arrive(struct xlate_ctx *ctx, uint16_t color)
{
    struct rule_dpif *rule = zoo_find_arrival(ctx);
    const struct ofpact_vtrace *vt;

    if (!rule) {
        return color;
    }
    if (ctx->xin->resubmit_stats) {
        rule_dpif_credit_stats(rule, ctx->xin->resubmit_stats, false);
    }
    if (ctx->xin->xcache) {
        struct xc_entry *entry = xlate_cache_add_entry(ctx->xin->xcache,
                                                       XC_RULE);

        entry->rule = rule;
        ofproto_rule_ref(&rule->up);
    }

    vt = ofpact_get_VTRACE(rule_get_actions(&rule->up)->ofpacts);
    if (!vt->color) {
        xlate_report(ctx, OFT_DETAIL, "vtrace: color %d is another domain's "
                     "and ends here", color & ZOO_COLOR_MASK);
        return 0;
    }
    xlate_report(ctx, OFT_DETAIL, "vtrace: color %d is another domain's and "
                 "becomes %d", color & ZOO_COLOR_MASK, vt->color);
    return ZOO_COLOR_TRACED | vt->exp << ZOO_COLOR_EXP_SHIFT | vt->color;
}

/* Returns true if the packet of 'ctx', which came out of tunnel port 'in_port',
 * says of itself that it was made for a task.
 *
 * Then it is consumed, whether or not its sender is one to take colors from: the
 * two ends may disagree for a while, and no machine is to have it.  It is in no
 * policy, so where policies are not in use, nobody's packet is taken for it; and
 * no flow sees it. */
static bool
zoo_xlate_input_injected(struct xlate_ctx *ctx, const struct xport *in_port)
{
    const struct netdev_tunnel_config *cfg
        = netdev_get_tunnel_config(in_port->netdev);
    struct flow_tnl *tnl = &ctx->xin->flow.tunnel;
    struct flow_tnl *mask = &ctx->wc->masks.tunnel;
    bool injected = (tnl->gbp_flags & ZOO_GBP_F_INJECTED
                     && tnl->gbp_id & htons(ZOO_COLOR_TRACED)
                     && tnl->gbp_id & htons(ZOO_COLOR_MASK));

    if (zoo_gbp_accepts_colors()
        && !(cfg && cfg->exts & (1 << OVS_VXLAN_EXT_GBP))) {
        mask->gbp_id |= htons(ZOO_COLOR_TRACED);
        mask->gbp_flags |= ZOO_GBP_F_INJECTED;
        if (tnl->gbp_flags & ZOO_GBP_F_INJECTED) {
            mask->gbp_id = OVS_BE16_MAX;
        }
        if (injected) {
            zoo_inject_continue(ctx);
        }
    }
    tnl->gbp_flags &= ~ZOO_GBP_F_INJECTED;
    return injected;
}

/* Has the packet of 'ctx', which came in by 'in_port', or NULL, its color, if
 * it came from the other end of a tunnel that takes colors.
 *
 * Packets with and without a color must not share a datapath flow: so bit 15
 * is matched, and all of the color. */
static void
zoo_xlate_input(struct xlate_ctx *ctx, const struct xport *in_port)
{
    struct flow_tnl *tnl = &ctx->xin->flow.tunnel;
    struct flow_tnl *mask = &ctx->wc->masks.tunnel;
    bool enabled = zoo_vtrace_is_enabled();
    struct in6_addr local, remote;
    bool geneve, injected;
    uint16_t color;

    ctx->fate.port = in_port;
    if (ctx->xin->frozen_state) {
        ctx->fate.color = zoo_flow_color(tnl);
        if (OVS_UNLIKELY(zoo_flow_is_injected(tnl))) {
            zoo_inject_continue(ctx);
        }
        if (OVS_UNLIKELY(ctx->fate.color)) {
            ctx->fate.in_port = get_ofp_port(ctx->xbridge,
                                             ctx->xin->flow.in_port.ofp_port);
        }
        return;
    } else if (!in_port || !in_port->is_tunnel) {
        if (in_port) {
            zoo_inject_note(ctx, in_port);
        }
        return;
    } else if (!tnl->gbp_id && !zoo_gbp_accepts_colors()) {
        return;
    }

    injected = zoo_xlate_input_injected(ctx, in_port);

    geneve = tnl->gbp_id && !strcmp(netdev_get_type(in_port->netdev), "geneve");
    if (!enabled && !geneve) {
        return;
    }
    mask->gbp_id |= htons(ZOO_COLOR_TRACED);
    local = flow_tnl_dst(tnl);
    remote = flow_tnl_src(tnl);
    if (tnl->gbp_id & htons(ZOO_COLOR_TRACED) && enabled
        && zoo_xlate_consents(in_port, &local, &remote, true)) {
        mask->gbp_id = OVS_BE16_MAX;
        if (tnl->gbp_id & htons(ZOO_COLOR_MASK)) {
            color = zoo_xlate_arrive(ctx, ntohs(tnl->gbp_id));
            zoo_flow_set_color(tnl, color);
            mask->gbp_flags |= ZOO_GBP_F_INJECTED;
            if (injected) {
                zoo_inject_continue(ctx);
            }
            if (color) {
                xlate_report(ctx, OFT_DETAIL, "vtrace: color %d",
                             color & ZOO_COLOR_MASK);
                zoo_record_in(ctx, color, in_port, 0);
            }
            return;
        }
    }
    if (geneve) {
        /* Geneve has no policies, so this is nobody's. */
        tnl->gbp_id = 0;
    }
}

/* Translation of the packet of 'ctx' is about to be frozen, with the group
 * policy that it came with.  So packets with another one must not share the
 * datapath flow, though nothing has looked at it yet. */
static void
zoo_xlate_freeze(struct xlate_ctx *ctx)
{
    const struct flow_tnl *tnl = &ctx->xin->upcall_flow->tunnel;

    if (flow_tnl_dst_is_set(tnl) && zoo_gbp_is_taken(tnl->tp_dst)) {
        ctx->wc->masks.tunnel.gbp_id = OVS_BE16_MAX;
        ctx->wc->masks.tunnel.gbp_flags = UINT8_MAX;
    }
}

/* Executes the action 'vt'. */
static void
zoo_xlate_vtrace(struct xlate_ctx *ctx, const struct ofpact_vtrace *vt,
                 bool is_last_action, xlate_actions_handler *xlator)
{
    struct flow *flow = &ctx->xin->flow;

    /* The flow matches this; a packet-out's actions have no match. */
    ctx->wc->masks.tunnel.gbp_id = OVS_BE16_MAX;
    if (!vt->color) {
        return;                 /* What this is for has come before. */
    } else if (flow->tunnel.gbp_id) {
        xlate_report(ctx, OFT_WARN, "vtrace: the packet has group policy %d, "
                     "which is not overwritten", ntohs(flow->tunnel.gbp_id));
        return;
    }

    if (vt->inject && !zoo_inject_begin(ctx)) {
        return;
    }
    zoo_flow_set_color(&flow->tunnel,
                       (ZOO_COLOR_TRACED | vt->exp << ZOO_COLOR_EXP_SHIFT
                        | vt->color));

    if (!ctx->fate.underlay) {
        xlate_commit_actions(ctx);
        zoo_record_in(ctx, zoo_flow_color(&flow->tunnel),
                      get_ofp_port(ctx->xbridge, flow->in_port.ofp_port),
                      VTRACE_F_ENTRY);
    }

    if (vt->inject && !zoo_inject_address(ctx)) {
        return;
    }

    /* The pipeline has to find all the resubmits that it has without the
     * action, hence this lookup is not counted. */
    ctx->depth--;
    ctx->resubmits--;
    xlate_table_action(ctx, flow->in_port.ofp_port, 0, true, true, false,
                       is_last_action, xlator);
    ctx->depth++;
}

/* The packet of 'ctx' that is about to be put into a tunnel has 'color', which
 * stays behind for 'reason' unless that is VTRACE_REASON_NONE. */
static void
zoo_set_pushed(struct xlate_ctx *ctx, uint16_t color,
               enum vtrace_reason reason)
{
    if (!ctx->fate.underlay && zoo_has_records(ctx)) {
        ctx->fate.pushed_color = color;
        ctx->fate.pushed_reason = reason;
    }
}

/* Returns true if packets of 'ctx' may become longer by a color than the header
 * 'data' makes them: the longest ones that their port takes must still fit the
 * device that they leave by.  Of those from a tunnel nobody knows, nor of those
 * with a header that the pipeline has put before theirs. */
static bool
zoo_geneve_color_fits(const struct xlate_ctx *ctx,
                      const struct ovs_action_push_tnl *data)
{
    const struct xport *in = ctx->fate.port;
    const struct xport *out = zoo_get_xport(ctx->xcfg,
                                            ctx->xbridge->ofproto->backer,
                                            data->out_port);
    const struct flow *flow = &ctx->xin->flow;
    int tags = flow_count_vlan_headers(flow) * VLAN_HEADER_LEN;
    int in_mtu, out_mtu;

    return (in && !in->is_tunnel && out
            && !eth_type_mpls(flow->dl_type)
            && flow->dl_type != htons(ETH_TYPE_NSH)
            && !netdev_get_mtu(in->netdev, &in_mtu)
            && !netdev_get_mtu(out->netdev, &out_mtu)
            && (in_mtu + tags + data->header_len
                + sizeof(struct zoo_geneve_color) <= out_mtu));
}

/* Decides what goes along of the group policy of the packet of 'ctx' in
 * 'data', the header that tunnel port 'xport' is about to push, with 'local' as
 * outer source address. */
static void
zoo_xlate_policy(struct xlate_ctx *ctx, const struct xport *xport,
                 const struct in6_addr *local,
                 struct ovs_action_push_tnl *data)
{
    const struct netdev_tunnel_config *cfg
        = netdev_get_tunnel_config(xport->netdev);
    struct in6_addr remote = flow_tnl_dst(&ctx->xin->flow.tunnel);
    uint16_t color = zoo_flow_color(&ctx->xin->flow.tunnel);

    /* Packets of one datapath flow may differ in it otherwise. */
    if (cfg && cfg->exts & (1 << OVS_VXLAN_EXT_GBP)
        && flow_tnl_dst_is_set(&ctx->xin->upcall_flow->tunnel)) {
        ctx->wc->masks.tunnel.gbp_id = OVS_BE16_MAX;
        ctx->wc->masks.tunnel.gbp_flags = UINT8_MAX;
    }

    if (!color && !ctx->fate.color) {
        return;
    } else if (!color) {
        zoo_set_pushed(ctx, ctx->fate.color, VTRACE_REASON_FOREIGN_GBP);
    } else if (!zoo_xlate_consents(xport, local, &remote, false)) {
        zoo_set_pushed(ctx, color, VTRACE_REASON_NO_CONSENT);
        if (zoo_push_vxlan(data)) {
            zoo_gbp_remove_color(data);
        }
        xlate_report(ctx, OFT_DETAIL, "vtrace: color %d stays behind, the "
                     "other end of %s has not consented",
                     color & ZOO_COLOR_MASK, netdev_get_name(xport->netdev));
    } else if (zoo_push_vxlan(data)
               ? !(cfg->exts & (1 << OVS_VXLAN_EXT_GPE))
               : (zoo_geneve_color_fits(ctx, data)
                  && zoo_gbp_push_geneve(data, color,
                                         ctx->fate.injected))) {
        zoo_set_pushed(ctx, color, VTRACE_REASON_NONE);
        xlate_report(ctx, OFT_DETAIL, "vtrace: color %d goes along",
                     color & ZOO_COLOR_MASK);
    } else {
        zoo_set_pushed(ctx, color, VTRACE_REASON_NO_CARRIER);
        xlate_report(ctx, OFT_DETAIL, "vtrace: color %d stays behind, "
                     "%s has no room for it", color & ZOO_COLOR_MASK,
                     netdev_get_name(xport->netdev));
    }
}
