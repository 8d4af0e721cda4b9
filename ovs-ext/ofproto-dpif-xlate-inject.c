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
 * Injected packets in flow translation: see zoo-inject.h. */

#include "ofproto/ofproto-dpif-rid.h"
#include "ovs-ext/zoo-inject.h"

/* Makes '*key' that of packets with the headers in 'flow' that come in by
 * 'in_port'.  Returns false if it is no IP packet. */
static bool
zoo_inject_key_init(struct zoo_inject_key *key, const struct xport *in_port,
                    const struct flow *flow)
{
    memset(key, 0, sizeof *key);
    if (flow->dl_type == htons(ETH_TYPE_IP)) {
        in6_addr_set_mapped_ipv4(&key->src, flow->nw_src);
        in6_addr_set_mapped_ipv4(&key->dst, flow->nw_dst);
    } else if (flow->dl_type == htons(ETH_TYPE_IPV6)) {
        key->src = flow->ipv6_src;
        key->dst = flow->ipv6_dst;
    } else {
        return false;
    }
    ovs_strzcpy(key->bridge, in_port->xbridge->name, sizeof key->bridge);
    ovs_strzcpy(key->port, netdev_get_name(in_port->netdev), sizeof key->port);
    return true;
}

/* Remembers the Ethernet addresses of the packet of 'ctx', if there is one,
 * that 'in_port' received. */
static void
zoo_inject_note(const struct xlate_ctx *ctx, const struct xport *in_port)
{
    const struct flow *flow = &ctx->xin->flow;
    struct zoo_inject_key key;

    if (!ctx->xin->packet || !ctx->xin->allow_side_effects
        || ctx->xin->ofpacts || flow->packet_type != htonl(PT_ETH)
        || in_port->is_tunnel || in_port->peer
        || !zoo_vtrace_is_enabled()) {
        return;
    }
    if (zoo_inject_key_init(&key, in_port, flow)) {
        const struct zoo_inject_l2 l2 = {
            .src = flow->dl_src, .dst = flow->dl_dst,
            .tpid = flow->vlans[0].tpid, .tci = flow->vlans[0].tci,
        };

        zoo_inject_learn(&key, &l2);
    }
}

/* The packet of 'ctx' has come in as an injected one. */
static void
zoo_inject_continue(struct xlate_ctx *ctx)
{
    struct flow *flow = &ctx->xin->flow;

    flow->tunnel.flags |= ZOO_TNL_F_INJECTED;
    ctx->fate.injected = true;

    /* TCP's datapath flows do not commit connections. */
    if (is_ip_any(flow)) {
        WC_MASK_FIELD(ctx->wc, nw_proto);
    }
}

/* Marks the packet of 'ctx' as injected.  Returns false if it must not go on
 * because this is not a packet-out. */
static bool
zoo_inject_begin(struct xlate_ctx *ctx)
{
    if (!ctx->xin->ofpacts) {
        xlate_report(ctx, OFT_WARN, "vtrace: inject is for packet-outs only");
        return false;
    }
    zoo_inject_continue(ctx);
    return true;
}

/* Gives the injected packet of 'ctx' the Ethernet addresses of the tenant's
 * packets, unless it has some.  Returns false if they are not known. */
static bool
zoo_inject_address(struct xlate_ctx *ctx)
{
    struct flow *flow = &ctx->xin->flow;
    const struct xport *in_port = get_ofp_port(ctx->xbridge,
                                               flow->in_port.ofp_port);
    struct zoo_inject_key key;
    struct zoo_inject_l2 l2;

    if (!eth_addr_is_zero(flow->dl_dst)) {
        return true;
    } else if (!in_port || !zoo_inject_key_init(&key, in_port, flow)
               || !zoo_inject_lookup(&key, flow->vlans[0].tci, &l2)) {
        ctx->fate.reason = VTRACE_REASON_INJECT_UNKNOWN_MAC;
        xlate_report(ctx, OFT_WARN, "vtrace: no Ethernet addresses are known "
                     "for these IP addresses at this port, or those of "
                     "several VLANs");
        return false;
    }
    /* Only what is in the mask is written into the packet. */
    flow->dl_src = l2.src;
    flow->dl_dst = l2.dst;
    WC_MASK_FIELD(ctx->wc, dl_src);
    WC_MASK_FIELD(ctx->wc, dl_dst);
    if (l2.tci && !flow->vlans[0].tci) {
        flow->vlans[0].tpid = l2.tpid;
        flow->vlans[0].tci = l2.tci;
    }
    xlate_report(ctx, OFT_DETAIL, "vtrace: from "ETH_ADDR_FMT" to "
                 ETH_ADDR_FMT, ETH_ADDR_ARGS(l2.src), ETH_ADDR_ARGS(l2.dst));
    return true;
}

/* Returns true if packets with 'recirc_id' are still known to be injected. */
static bool
zoo_inject_recirculates(uint32_t recirc_id)
{
    const struct recirc_id_node *node = recirc_id_node_find(recirc_id);

    return node && zoo_flow_is_injected(&node->state.metadata.tunnel);
}

/* Makes the datapath actions of 'ctx' from 'offset' on consume the packet, if
 * it is injected. */
static void
zoo_inject_consume_from(struct xlate_ctx *ctx, size_t offset)
{
    const struct flow *flow = ctx->xin->upcall_flow;
    /* Behind an MPLS label there may be anything. */
    bool tcp = !is_ip_any(flow) || flow->nw_proto == IPPROTO_TCP;

    if (zoo_inject_consume(ctx->odp_actions, offset, tcp,
                           zoo_inject_recirculates)
        && !ctx->fate.reason) {
        ctx->fate.reason = VTRACE_REASON_INJECT_STATE;
        ctx->fate.refused = ctx->fate.last;
    }
}

/* Translation of the injected packet of 'ctx' is over: makes all of its
 * datapath actions consume it, those of bridges without records, too. */
static void
zoo_inject_end(struct xlate_ctx *ctx)
{
    zoo_inject_consume_from(ctx, 0);
    if (ctx->xin->in_packet_out) {
        /* Nothing would be executed after an error, and so no record be
         * taken. */
        ctx->error = XLATE_OK;
    }
}
