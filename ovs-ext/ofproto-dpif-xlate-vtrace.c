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
 * VTrace in flow translation: which packets have a color. */

#include "ofproto-zoo/zooroute.h"
#include "ovs-ext/vtrace-reasons.h"
#include "ovs-ext/zoo-fate.h"
#include "ovs-ext/zoo-flow.h"
#include "ovs-ext/zoo-gbp.h"
#include "ovs-ext/zoo-ofproto.h"
#include "ovs-ext/zoo-vtrace.h"

#include "ovs-ext/ofproto-dpif-xlate-inject.c"
#include "ovs-ext/ofproto-dpif-xlate-record.c"

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
 * This comes ahead of everything: no record but that of its end has a color of
 * another domain, which may be that of another task here, and no flow of the
 * pipeline sees it.  The lookup is with a flag that packets never have, so that the color it
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

/* Has the datapath flow match whether the packet of 'ctx', which came out of a
 * tunnel, is traced, and returns true, unless that is known already: the flows
 * of the userspace datapath match it by themselves, see zoo_gbp_match_color(),
 * and that a packet is not traced need not be said twice.  Hardware would not
 * see the bit that they match. */
static bool
zoo_xlate_match_traced(struct xlate_ctx *ctx)
{
    bool traced = (ctx->xin->upcall_flow->tunnel.gbp_id
                   & htons(ZOO_COLOR_TRACED)) != 0;

    if (traced || zoo_ofproto_unsupported(&ctx->xbridge->ofproto->up, NULL)) {
        ctx->wc->masks.tunnel.gbp_id |= htons(ZOO_COLOR_TRACED);
        return true;
    }
    return false;
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
        if (zoo_xlate_match_traced(ctx)) {
            mask->gbp_flags |= ZOO_GBP_F_INJECTED;
        }
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
 * Packets with different colors must not share a datapath flow. */
static void
zoo_xlate_input(struct xlate_ctx *ctx, const struct xport *in_port)
{
    struct flow_tnl *tnl = &ctx->xin->flow.tunnel;
    struct flow_tnl *mask = &ctx->wc->masks.tunnel;
    bool enabled = zoo_vtrace_is_enabled();
    struct in6_addr local, remote;
    bool geneve, injected;
    uint16_t color, arriving;

    /* The datapath's own.  What is frozen is the same with and without it. */
    tnl->flags &= ~ZOO_TNL_F_COLORED;
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
    zoo_xlate_match_traced(ctx);
    local = flow_tnl_dst(tnl);
    remote = flow_tnl_src(tnl);
    if (tnl->gbp_id & htons(ZOO_COLOR_TRACED) && enabled
        && zoo_xlate_consents(in_port, &local, &remote, true)) {
        mask->gbp_id = OVS_BE16_MAX;
        if (tnl->gbp_id & htons(ZOO_COLOR_MASK)) {
            arriving = ntohs(tnl->gbp_id);
            color = zoo_xlate_arrive(ctx, arriving);
            zoo_flow_set_color(tnl, color);
            mask->gbp_flags |= ZOO_GBP_F_INJECTED;
            if (injected) {
                zoo_inject_continue(ctx);
            }
            if (color) {
                xlate_report(ctx, OFT_DETAIL, "vtrace: color %d",
                             color & ZOO_COLOR_MASK);
                zoo_record_in(ctx, color, in_port, 0);
            } else if (zoo_has_records(ctx)) {
                ctx->fate.border_color = arriving;
                zoo_record_border(ctx);
            }
            return;
        }
    }
    if (geneve) {
        /* Geneve has no policies, so this is nobody's. */
        tnl->gbp_id = 0;
    }
}

/* Translation of the packet of 'ctx' is about to be frozen, with the policy or
 * color that it came with.  So packets with another one must not share the
 * datapath flow, though nothing has looked at it yet. */
static void
zoo_xlate_freeze(struct xlate_ctx *ctx)
{
    const struct flow_tnl *tnl = &ctx->xin->upcall_flow->tunnel;

    if (flow_tnl_dst_is_set(tnl)
        && (zoo_gbp_is_taken(tnl->tp_dst)
            || (zoo_gbp_accepts_colors() && zoo_xlate_match_traced(ctx)))) {
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

/* Translation is over. */
static void
zoo_xlate_end(struct xlate_ctx *ctx)
{
    if (!ctx->xin->odp_actions) {
        return;
    }
    if (OVS_UNLIKELY(ctx->error == XLATE_INVALID_TUNNEL_METADATA)) {
        /* It failed before the packet had its color. */
        zoo_xlate_input(ctx, get_ofp_port(ctx->xbridge,
                                          ctx->base_flow.in_port.ofp_port));
    }
    if (OVS_UNLIKELY(ctx->fate.color)) {
        zoo_record_drop(ctx);
    }
    if (OVS_UNLIKELY(ctx->fate.injected)) {
        zoo_inject_end(ctx);
    }
    if (OVS_UNLIKELY(ctx->fate.border_color) && ctx->error) {
        /* The error took the record away. */
        zoo_record_border(ctx);
    }
}
