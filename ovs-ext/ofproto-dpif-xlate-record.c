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


/* Included by ofproto-dpif-xlate-vtrace.c, and so by
 * ofproto/ofproto-dpif-xlate.c, whose context and port tables it needs.
 *
 * Records of colored packets in flow translation: datapath actions that take
 * them, and what each says of its point of the switch. */

#include "ovs-ext/vtrace-reasons.h"
#include "ovs-ext/zoo-fate.h"
#include "ovs-ext/zoo-flow.h"
#include "ovs-ext/zoo-ofproto.h"
#include "ovs-ext/zoo-record.h"
#include "ovs-ext/zoo-vtrace.h"
#include "smap.h"

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

/* Takes a record of the packet ahead of everything: it came out of a tunnel
 * with a color that ends here.  Who sent it has to know that, or it looks lost
 * on the way. */
static void
zoo_record_border(struct xlate_ctx *ctx)
{
    struct zoo_record_point point;

    zoo_point_init(&point, ctx, VTRACE_ROLE_OUT, ctx->fate.border_color,
                   VTRACE_REASON_BORDER);
    zoo_point_set_port(&point, ctx->fate.port);
    point.link = VTRACE_LINK_UNKNOWN;   /* It does not leave by the port. */
    point.tunnel = true;
    zoo_insert_record(ctx->odp_actions, 0, &point);
    if (!ctx->error) {
        zoo_report_record(ctx, &point);
    }
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
    struct zoo_record_point point;
    const void *unaligned;
    size_t left, nested_left;

    NL_ATTR_FOR_EACH (a, left, actions, len) {
        switch (nl_attr_type(a)) {
        case OVS_ACTION_ATTR_RECIRC:
        case OVS_ACTION_ATTR_TUNNEL_POP:
            outcome->goes_on = true;
            break;

        case OVS_ACTION_ATTR_USERSPACE:
            unaligned = zoo_record_point(a);
            userdata = nl_attr_find_nested(a, OVS_USERSPACE_ATTR_USERDATA);
            if (unaligned) {
                /* At a border the packet only lost the color it had before. */
                memcpy(&point, unaligned, sizeof point);
                outcome->goes_on |= ((point.role == VTRACE_ROLE_OUT
                                      && point.reason != VTRACE_REASON_BORDER)
                                     || point.role == VTRACE_ROLE_DROP);
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

/* Returns the reason for a drop that 'error' is.  Other errors come before a
 * packet has its color. */
static enum vtrace_reason
zoo_error_reason(enum xlate_error error)
{
    switch ((int) error) {
    case XLATE_RECURSION_TOO_DEEP: return VTRACE_REASON_RECURSION_TOO_DEEP;
    case XLATE_TOO_MANY_RESUBMITS: return VTRACE_REASON_TOO_MANY_RESUBMITS;
    case XLATE_STACK_TOO_DEEP: return VTRACE_REASON_STACK_TOO_DEEP;
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

/* Returns true if 'error' is one of the packet as it came in, or of the port
 * that it came in by, so that no rule decided. */
static bool
zoo_error_is_of_input(enum xlate_error error)
{
    return (error == XLATE_INVALID_TUNNEL_METADATA
            || error == XLATE_CONGESTION_DROP
            || error == XLATE_FORWARDING_DISABLED);
}

/* The error of 'ctx' ends a bucket of a group and not translation. */
static void
zoo_xlate_bucket_error(struct xlate_ctx *ctx)
{
    struct zoo_fate *fate = &ctx->fate;

    if (OVS_UNLIKELY(fate->color) && !fate->reason) {
        fate->reason = zoo_error_reason(ctx->error);
        fate->refused = fate->last;
    }
}

/* Returns why the bridge of 'ctx' takes no packets from 'port', whatever its
 * rules are, or VTRACE_REASON_NONE if it does. */
static enum vtrace_reason
zoo_input_reason(struct xlate_ctx *ctx, const struct xport *port)
{
    if (!xport_stp_forward_state(port) || !xport_rstp_forward_state(port)) {
        return VTRACE_REASON_FORWARDING_DISABLED;
    } else if (!may_receive(port, ctx)) {
        return VTRACE_REASON_NO_FORWARD;
    } else if (!port->peer && port->xbundle
               && xbundle_mirror_out(ctx->xbridge, port->xbundle)) {
        return VTRACE_REASON_MIRROR_PORT;
    }
    return VTRACE_REASON_NONE;
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

/* Returns true if 'rule' matches only packets that connection tracking calls
 * invalid. */
static bool
zoo_rule_matches_invalid(const struct rule_dpif *rule)
{
    struct match match;

    minimatch_expand(&rule->up.cr.match, &match);
    return match.flow.ct_state & match.wc.masks.ct_state & CS_INVALID;
}

/* Returns true if 'rule' leaves to multicast snooping which ports the packet of
 * 'ctx' goes to. */
static bool
zoo_rule_snoops(const struct xlate_ctx *ctx, const struct rule_dpif *rule)
{
    const struct rule_actions *actions = rule_get_actions(&rule->up);
    const struct flow *flow = &ctx->xin->flow;
    const struct ofpact *a;

    if (rule->up.ofproto != &ctx->xbridge->ofproto->up
        || !mcast_snooping_enabled(ctx->xbridge->ms)
        || !eth_addr_is_multicast(flow->dl_dst)
        || eth_addr_is_broadcast(flow->dl_dst) || !is_ip_any(flow)) {
        return false;
    }
    OFPACT_FOR_EACH (a, actions->ofpacts, actions->ofpacts_len) {
        if (a->type == OFPACT_OUTPUT
            && ofpact_get_OUTPUT(a)->port == OFPP_NORMAL) {
            return true;
        }
    }
    return false;
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

    point->reason = (ctx->error ? zoo_error_reason(ctx->error)
                     : fate->in_port ? zoo_input_reason(ctx, fate->in_port)
                     : VTRACE_REASON_NONE);
    if (point->reason) {
        if (!ctx->error || zoo_error_is_of_input(ctx->error)) {
            return;
        }
    } else if (fate->reason) {
        point->reason = fate->reason;
        decision = &fate->refused;
    } else if (controller) {
        point->reason = VTRACE_REASON_TO_CONTROLLER;
    } else if (ofproto && (decision->rule == ofproto->miss_rule
                           || decision->rule == ofproto->no_packet_in_rule)) {
        point->reason = VTRACE_REASON_NO_MATCH;
    } else if (ofproto && decision->rule == ofproto->drop_frags_rule) {
        point->reason = VTRACE_REASON_FRAG_DROP;
    } else if (ofproto && zoo_rule_denies(decision->rule)) {
        point->reason = (zoo_rule_matches_invalid(decision->rule)
                         ? VTRACE_REASON_CT_INVALID : VTRACE_REASON_ACL_DENY);
    } else if (ofproto && zoo_rule_snoops(ctx, decision->rule)) {
        point->reason = VTRACE_REASON_MCAST_NO_PORT;
    } else {
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
