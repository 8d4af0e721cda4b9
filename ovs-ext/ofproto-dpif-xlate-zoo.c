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

/* Included by ofproto/ofproto-dpif-xlate.c ahead of native_tunnel_output(),
 * whose context and port tables it needs. */

#include "dpif.h"
#include "netlink.h"
#include "odp-util.h"
#include "ofproto/ofproto-dpif-upcall.h"
#include "ofproto-zoo/zooroute.h"
#include "ovs-ext/zoo-datapath.h"
#include "ovs-ext/zoo-flow.h"
#include "ovs-ext/zoo-ofproto.h"
#include "ovs-ext/zoo-xlate.h"
#include "seq.h"
#include "tnl-neigh-cache.h"
#include "tnl-ports.h"

/* Open vSwitch 4.0 can also insert an entry when it finds none. */
#if __has_include("dpif-offload.h")
#define zoo_neigh_lookup(BRIDGE, IP, MAC) \
    tnl_neigh_lookup(BRIDGE, IP, MAC, false)
#else
#define zoo_neigh_lookup tnl_neigh_lookup
#endif

/* From 3.5 on a lookup can also tell which conjunctive flows it took part in.
 * That version brought the header. */
#if __has_include("cooperative-multitasking.h")
#define zoo_lookup_from_table(...) \
    rule_dpif_lookup_from_table(__VA_ARGS__, NULL)
#else
#define zoo_lookup_from_table rule_dpif_lookup_from_table
#endif

static const struct xport *
zoo_get_xport(const struct xlate_cfg *xcfg, struct dpif_backer *backer,
              odp_port_t odp_port)
{
    const struct ofport_dpif *ofport = odp_port_to_ofport(backer, odp_port);

    return (ofport ? xport_lookup(CONST_CAST(struct xlate_cfg *, xcfg), ofport)
            : NULL);
}

/* Returns the port of 'backer' that the 'len' bytes of datapath actions at
 * 'actions' output to first, or NULL. */
static const struct xport *
zoo_find_output(const struct xlate_cfg *xcfg, struct dpif_backer *backer,
                const struct nlattr *actions, size_t len)
{
    const struct nlattr *a;
    size_t left;

    NL_ATTR_FOR_EACH_UNSAFE (a, left, actions, len) {
        if (nl_attr_type(a) == OVS_ACTION_ATTR_OUTPUT) {
            return zoo_get_xport(xcfg, backer, nl_attr_get_odp_port(a));
        }
    }
    return NULL;
}

#include "ovs-ext/ofproto-dpif-xlate-vtrace.c"

/* Reports in a trace what zoo_xlate_tunnel_push() has decided. */
static void
zoo_xlate_report(struct xlate_ctx *ctx, const struct zooroute_output *out)
{
    if (OVS_UNLIKELY(ctx->xin->trace)) {
        struct ds s = DS_EMPTY_INITIALIZER;

        zooroute_format_output(out, flow_hash_5tuple(&ctx->base_flow, 0), &s);
        xlate_report(ctx, OFT_DETAIL, "%s", ds_cstr(&s));
        ds_destroy(&s);
    }
}

/* Lets ZooRoute choose the outer UDP source port of 'data', the header that
 * tunnel port 'xport' is about to push onto packets of 'ctx', with 'local' as
 * outer source address. */
static void
zoo_xlate_tunnel_push(struct xlate_ctx *ctx, const struct xport *xport,
                      const struct in6_addr *local,
                      struct ovs_action_push_tnl *data)
{
    const struct flow *flow = &ctx->xin->flow;
    const struct netdev_tunnel_config *cfg;
    struct zooroute_output out;
    uint16_t choice;

    zoo_xlate_policy(ctx, xport, local, data);
    memset(&out, 0, sizeof out);
    out.mode = zoo_flow_get(&flow->tunnel, &choice);
    if (out.mode == ZOO_FLOW_SPORT) {
        if (flow->tunnel.flags & ZOO_TNL_F_PROBE
            && !zoo_push_set_probe(data)) {
            return;
        }
        out.choice = choice;
    } else if (out.mode != ZOO_FLOW_OFF && zooroute_is_enabled()
               && !zoo_ofproto_unsupported(&ctx->xbridge->ofproto->up, NULL)
               && (data->tnl_type == OVS_VPORT_TYPE_VXLAN
                   || data->tnl_type == OVS_VPORT_TYPE_GENEVE)) {
        cfg = netdev_get_tunnel_config(xport->netdev);
        out.key.local = *local;
        out.key.remote = flow_tnl_dst(&flow->tunnel);
        out.key.dst_port = flow->tunnel.tp_dst;
        out.key.pkt_mark = flow->pkt_mark;
        out.port.ofproto = ctx->xbridge->ofproto->uuid;
        out.port.ofp_port = xport->ofp_port;
        out.tun_id = flow->tunnel.tun_id;
        out.encap = (data->tnl_type == OVS_VPORT_TYPE_VXLAN
                     ? ZOO_ENCAP_VXLAN : ZOO_ENCAP_GENEVE);
        out.iface = netdev_get_name(xport->netdev);
        out.key_flow = cfg && cfg->out_key_flow;
        out.learned = (cfg && (cfg->ip_dst_flow || cfg->ip_src_flow
                               || (flow->pkt_mark
                                   && !cfg->set_egress_pkt_mark)));
        out.dry_run = ctx->xin->trace != NULL;
        zooroute_choose(&out);
    } else {
        return;
    }

    if (out.choice) {
        zoo_push_set_choice(data, out.choice);
    }
    zoo_xlate_report(ctx, &out);
}

/* A tunnel port, by what it has in common with others to the same remote end,
 * whatever their keys. */
struct zoo_remote {
    struct hmap_node node;          /* In 'zoo_remotes', by 'remote'. */
    struct in6_addr remote, local;  /* Zero for any. */
    ovs_be16 dst_port;
    enum zoo_encap encap;
    struct zoo_tunnel_port port;
    bool policies;                  /* Takes no colors, see
                                     * zoo_xlate_takes_colors(). */
};

static struct hmap zoo_remotes = HMAP_INITIALIZER(&zoo_remotes);

/* Looking at all ports takes so long that it is done once a second at most, but
 * for changes of configuration. */
static const struct xlate_cfg *zoo_remotes_xcfg;
static long long int zoo_remotes_until;     /* ms. */

static void
zoo_add_remote(const struct xbridge *xbridge, const struct xport *xport)
{
    const struct netdev_tunnel_config *cfg
        = netdev_get_tunnel_config(xport->netdev);
    const char *type = netdev_get_type(xport->netdev);
    bool vxlan = !strcmp(type, "vxlan");
    struct zoo_remote *r;

    if (!cfg || (!vxlan && strcmp(type, "geneve"))) {
        return;
    }
    r = xzalloc(sizeof *r);
    r->remote = cfg->ip_dst_flow ? in6addr_any : cfg->ipv6_dst;
    r->local = cfg->ip_src_flow ? in6addr_any : cfg->ipv6_src;
    r->dst_port = cfg->dst_port;
    r->encap = vxlan ? ZOO_ENCAP_VXLAN : ZOO_ENCAP_GENEVE;
    r->port.ofproto = xbridge->ofproto->uuid;
    r->port.ofp_port = xport->ofp_port;
    r->policies = (cfg->exts & (1 << OVS_VXLAN_EXT_GBP)
                   && !zoo_vtrace_consents(netdev_get_name(xport->netdev)));
    hmap_insert(&zoo_remotes, &r->node,
                hash_bytes(&r->remote, sizeof r->remote, 0));
}

static void
zoo_update_remotes(const struct xlate_cfg *xcfg)
{
    const struct xbridge *xbridge;
    struct zoo_remote *r;

    if (xcfg == zoo_remotes_xcfg && time_msec() < zoo_remotes_until) {
        return;
    }
    HMAP_FOR_EACH_POP (r, node, &zoo_remotes) {
        free(r);
    }
    HMAP_FOR_EACH (xbridge, hmap_node, &xcfg->xbridges) {
        const struct xport *xport;

        HMAP_FOR_EACH (xport, ofp_node, &xbridge->xports) {
            if (xport->is_tunnel) {
                zoo_add_remote(xbridge, xport);
            }
        }
    }
    zoo_remotes_xcfg = xcfg;
    zoo_remotes_until = time_msec() + 1000;
}

static bool
zoo_remote_matches(const struct zoo_remote *r, const struct in6_addr *remote,
                   const struct in6_addr *local, ovs_be16 dst_port)
{
    return (ipv6_addr_equals(&r->remote, remote)
            && (ipv6_addr_equals(&r->local, local)
                || !ipv6_addr_is_set(&r->local))
            && r->dst_port == dst_port);
}

#define ZOO_REMOTE_FOR_EACH(R, REMOTE)                                      \
    HMAP_FOR_EACH_WITH_HASH (R, node, hash_bytes(REMOTE, sizeof *(REMOTE),  \
                                                 0), &zoo_remotes)

/* Stores into '*port' a tunnel port that has 'remote', or zero for any, as its
 * remote end, and could have received 'rx' with another key.  Returns false if
 * there is none. */
static bool
zoo_find_other_key(const struct zoo_rx *rx, const struct in6_addr *remote,
                   struct zoo_tunnel_port *port)
{
    const struct zoo_remote *r;

    ZOO_REMOTE_FOR_EACH (r, remote) {
        if (zoo_remote_matches(r, remote, &rx->dst, rx->tp_dst)
            && r->encap == rx->encap) {
            *port = r->port;
            return true;
        }
    }
    return false;
}

bool
zoo_xlate_takes_colors(const struct zoo_tunnel_dst *dst, ovs_be16 dst_port)
{
    const struct in6_addr *remotes[] = { &dst->remote, &in6addr_any };
    struct xlate_cfg *xcfg = ovsrcu_get(struct xlate_cfg *, &xcfgp);

    if (!xcfg) {
        return false;
    }
    zoo_update_remotes(xcfg);
    for (size_t i = 0; i < ARRAY_SIZE(remotes); i++) {
        const struct zoo_remote *r;

        ZOO_REMOTE_FOR_EACH (r, remotes[i]) {
            if (zoo_remote_matches(r, remotes[i], &dst->local, dst_port)
                && r->policies) {
                return false;
            }
        }
    }
    return true;
}

/* Stores into '*port' the tunnel port that has the addresses and the key of
 * 'rx'.  Returns false if there is none. */
static bool
zoo_find_same_key(const struct xlate_cfg *xcfg, const struct zoo_rx *rx,
                  struct zoo_tunnel_port *port)
{
    ovs_be32 dst = in6_addr_get_mapped_ipv4(&rx->dst);
    const struct ofport_dpif *ofport;
    const struct xport *xport;
    struct flow outer, inner;

    memset(&outer, 0, sizeof outer);
    outer.dl_dst = rx->eth_dst;
    outer.nw_proto = IPPROTO_UDP;
    outer.tp_dst = rx->tp_dst;
    if (dst) {
        outer.dl_type = htons(ETH_TYPE_IP);
        outer.nw_dst = dst;
    } else {
        outer.dl_type = htons(ETH_TYPE_IPV6);
        outer.ipv6_dst = rx->dst;
    }

    memset(&inner, 0, sizeof inner);
    inner.in_port.odp_port = tnl_port_map_lookup(&outer, NULL);
    if (inner.in_port.odp_port == ODPP_NONE) {
        return false;
    }
    if (dst) {
        inner.tunnel.ip_src = in6_addr_get_mapped_ipv4(&rx->src);
        inner.tunnel.ip_dst = dst;
    } else {
        inner.tunnel.ipv6_src = rx->src;
        inner.tunnel.ipv6_dst = rx->dst;
    }
    inner.tunnel.tun_id = rx->tun_id;
    inner.tunnel.flags = FLOW_TNL_F_KEY;

    ofport = tnl_port_receive(&inner);
    xport = (ofport ? xport_lookup(CONST_CAST(struct xlate_cfg *, xcfg), ofport)
             : NULL);
    if (!xport) {
        return false;
    }
    port->ofproto = xport->xbridge->ofproto->uuid;
    port->ofp_port = xport->ofp_port;
    return true;
}

bool
zoo_xlate_find_tunnel(const struct zoo_rx *rx, struct zoo_tunnel_port *port)
{
    struct xlate_cfg *xcfg = ovsrcu_get(struct xlate_cfg *, &xcfgp);

    if (!xcfg) {
        return false;
    } else if (zoo_find_same_key(xcfg, rx, port)) {
        return true;
    }
    zoo_update_remotes(xcfg);
    return (zoo_find_other_key(rx, &rx->src, port)
            || zoo_find_other_key(rx, &in6addr_any, port));
}

/* Returns the tunnel_push action in the 'len' bytes of datapath actions at
 * 'actions', or NULL. */
static struct ovs_action_push_tnl *
zoo_find_push(const struct nlattr *actions, size_t len)
{
    const struct nlattr *a;
    size_t left;

    NL_ATTR_FOR_EACH_UNSAFE (a, left, actions, len) {
        if (nl_attr_type(a) == OVS_ACTION_ATTR_TUNNEL_PUSH) {
            return CONST_CAST(struct ovs_action_push_tnl *, nl_attr_get(a));
        }
    }
    return NULL;
}

/* Returns true if 'push' pushes the outer addresses of 'dst'.  A port whose
 * configuration has changed may lead elsewhere by now. */
static bool
zoo_push_leads_to(const struct ovs_action_push_tnl *push,
                  const struct zoo_tunnel_dst *dst)
{
    const struct eth_header *eth = (const struct eth_header *) push->header;
    struct in6_addr local, remote;

    if (eth->eth_type == htons(ETH_TYPE_IP)) {
        const struct ip_header *ip = (const struct ip_header *) (eth + 1);

        in6_addr_set_mapped_ipv4(&local, get_16aligned_be32(&ip->ip_src));
        in6_addr_set_mapped_ipv4(&remote, get_16aligned_be32(&ip->ip_dst));
    } else {
        const struct ovs_16aligned_ip6_hdr *ip6
            = (const struct ovs_16aligned_ip6_hdr *) (eth + 1);

        memcpy(&local, &ip6->ip6_src, sizeof local);
        memcpy(&remote, &ip6->ip6_dst, sizeof remote);
    }
    return (ipv6_addr_equals(&local, &dst->local)
            && ipv6_addr_equals(&remote, &dst->remote));
}

/* What was last learned of a device's link. */
struct zoo_carrier {
    const struct netdev *netdev;
    uint64_t change_seq;
    long long int until;        /* When it must be asked for again, ms. */
    bool up;
};

#define ZOO_CARRIER_LIFETIME 5          /* ms */

/* Returns true if 'netdev' has carrier, or had it a moment ago: the kernel
 * takes as long to tell as to send a probe. */
static bool
zoo_has_carrier(const struct netdev *netdev)
{
    static struct zoo_carrier last;
    uint64_t change_seq = netdev_get_change_seq(netdev);

    if (netdev != last.netdev || change_seq != last.change_seq
        || time_msec() >= last.until) {
        last.netdev = netdev;
        last.change_seq = change_seq;
        last.up = netdev_get_carrier(netdev);
        last.until = time_msec() + ZOO_CARRIER_LIFETIME;
    }
    return last.up;
}

/* Returns true if 'actions' output to a port of 'backer' whose link is
 * down. */
static bool
zoo_link_is_down(const struct xlate_cfg *xcfg, struct dpif_backer *backer,
                 const struct nlattr *actions, size_t actions_len)
{
    const struct xport *xport = zoo_find_output(xcfg, backer, actions,
                                                actions_len);

    return xport && !zoo_has_carrier(xport->netdev);
}

/* A translation for which the next hop's Ethernet address lacks asks for it.
 * Open vSwitch learns it when it translates the answer, which it does only if
 * there is no datapath flow for answers.  So probes must not ask so often that
 * they keep such a flow alive: tenants would wait for ever. */

#define ZOO_N_UNREACHABLE 64
#define ZOO_ASK_AGAIN 500       /* ms, for once. */

/* A destination whose next hop was not known. */
struct zoo_unreachable {
    struct in6_addr remote;
    long long int until;        /* When it may be asked for again, ms. */
};

static struct zoo_unreachable *
zoo_find_unreachable(const struct in6_addr *remote)
{
    static struct zoo_unreachable unreachables[ZOO_N_UNREACHABLE];
    uint32_t hash = hash_bytes(remote, sizeof *remote, 0);

    return &unreachables[hash % ZOO_N_UNREACHABLE];
}

/* Returns true if the Ethernet address of the next hop to 'dst' is known. */
static bool
zoo_next_hop_is_known(const struct xlate_cfg *xcfg,
                      const struct zoo_tunnel_dst *dst)
{
    const struct xlate_ctx ctx = {
        .xcfg = CONST_CAST(struct xlate_cfg *, xcfg) };
    struct in6_addr hop, local = dst->local;
    struct eth_addr mac;
    struct xport *out;
    struct flow flow;

    memset(&flow, 0, sizeof flow);
    flow.pkt_mark = dst->pkt_mark;
    flow.tunnel.ip_dst = in6_addr_get_mapped_ipv4(&dst->remote);
    if (!flow.tunnel.ip_dst) {
        flow.tunnel.ipv6_dst = dst->remote;
    }
    return !tnl_route_lookup_flow(&ctx, &flow, &hop, &local, &out)
           && !zoo_neigh_lookup(out->xbridge->name, &hop, &mac);
}

/* Returns true if a probe to 'dst' would ask for the next hop too often. */
static bool
zoo_must_not_ask(const struct xlate_cfg *xcfg,
                 const struct zoo_tunnel_dst *dst)
{
    const struct zoo_unreachable *u = zoo_find_unreachable(&dst->remote);

    return (time_msec() < u->until
            && ipv6_addr_equals(&u->remote, &dst->remote)
            && !zoo_next_hop_is_known(xcfg, dst));
}

/* A probe to 'remote' has asked for its next hop. */
static void
zoo_has_asked(const struct in6_addr *remote)
{
    struct zoo_unreachable *u = zoo_find_unreachable(remote);
    long long int flow_lifetime = ofproto_max_idle + 1000;
    long long int now = time_msec();
    bool again = (u->until && now < u->until + flow_lifetime
                  && ipv6_addr_equals(&u->remote, remote));

    u->remote = *remote;
    u->until = now + (again ? flow_lifetime : ZOO_ASK_AGAIN);
}

/* Datapath actions that send one probe to a destination.
 *
 * They are as good as the actions of a datapath flow, and kept like these:
 * until the revalidators have been through all flows, which they do at once
 * when configuration, flow tables, routes or neighbors change, and now and
 * then in any case. */
struct zoo_route {
    struct hmap_node node;      /* In 'zoo_routes'. */
    struct zoo_tunnel_dst dst;
    bool needs_help;            /* As in struct dpif_execute. */
    size_t actions_len;
    uint64_t actions[];
};

static struct hmap zoo_routes = HMAP_INITIALIZER(&zoo_routes);

/* What 'zoo_routes' depend on. */
static const struct xlate_cfg *zoo_routes_xcfg;
static uint64_t zoo_routes_seq;

/* Forgets all routes if they might be too old. */
static void
zoo_check_routes(const struct xlate_cfg *xcfg,
                 const struct dpif_backer *backer)
{
    uint64_t seq = seq_read(udpif_dump_seq(backer->udpif));
    struct zoo_route *route;

    if (xcfg == zoo_routes_xcfg && seq == zoo_routes_seq) {
        return;
    }
    HMAP_FOR_EACH_POP (route, node, &zoo_routes) {
        free(route);
    }
    zoo_routes_xcfg = xcfg;
    zoo_routes_seq = seq;
}

static uint32_t
zoo_hash_dst(const struct zoo_tunnel_dst *dst)
{
    uint32_t hash = hash_bytes(&dst->remote, sizeof dst->remote,
                               dst->pkt_mark);

    hash = hash_bytes(&dst->local, sizeof dst->local, hash);
    return hash_int(ofp_to_u16(dst->port.ofp_port), hash);
}

static struct zoo_route *
zoo_find_route(const struct zoo_tunnel_dst *dst, uint32_t hash)
{
    struct zoo_route *route;

    HMAP_FOR_EACH_WITH_HASH (route, node, hash, &zoo_routes) {
        if (uuid_equals(&route->dst.port.ofproto, &dst->port.ofproto)
            && route->dst.port.ofp_port == dst->port.ofp_port
            && ipv6_addr_equals(&route->dst.local, &dst->local)
            && ipv6_addr_equals(&route->dst.remote, &dst->remote)
            && route->dst.tun_id == dst->tun_id
            && route->dst.pkt_mark == dst->pkt_mark) {
            return route;
        }
    }
    return NULL;
}

/* Translates output of 'packet' to 'dst' into datapath actions, with the outer
 * source port 'sport'.  Returns as zoo_xlate_send(). */
static int
zoo_xlate_probe(const struct xbridge *xbridge,
                const struct zoo_tunnel_dst *dst, uint16_t sport,
                const struct dp_packet *packet, struct flow *flow,
                struct ofpbuf *odp_actions, bool *needs_help)
{
    ovs_be32 local = in6_addr_get_mapped_ipv4(&dst->local);
    ovs_be32 remote = in6_addr_get_mapped_ipv4(&dst->remote);
    uint64_t ofpacts_stub[512 / 8];
    struct ofpbuf ofpacts = OFPBUF_STUB_INITIALIZER(ofpacts_stub);
    struct ovs_action_push_tnl *push;
    struct xlate_out xout;
    struct xlate_in xin;
    int error;

    /* The addresses are set by actions: a flow that has them from the start
     * looks as if it came out of this very tunnel. */
    if (remote) {
        ofpact_put_set_field(&ofpacts, mf_from_id(MFF_TUN_SRC), &local, NULL);
        ofpact_put_set_field(&ofpacts, mf_from_id(MFF_TUN_DST), &remote, NULL);
    } else {
        ofpact_put_set_field(&ofpacts, mf_from_id(MFF_TUN_IPV6_SRC),
                             &dst->local, NULL);
        ofpact_put_set_field(&ofpacts, mf_from_id(MFF_TUN_IPV6_DST),
                             &dst->remote, NULL);
    }
    ofpact_put_set_field(&ofpacts, mf_from_id(MFF_TUN_ID), &dst->tun_id, NULL);
    ofpact_put_OUTPUT(&ofpacts)->port = dst->port.ofp_port;

    zoo_flow_set(flow, ZOO_FLOW_SPORT, sport);
    flow->tunnel.flags |= ZOO_TNL_F_PROBE;
    xlate_in_init(&xin, xbridge->ofproto, OVS_VERSION_MAX, flow, OFPP_NONE,
                  NULL, 0, packet, NULL, odp_actions);
    xin.ofpacts = ofpacts.data;
    xin.ofpacts_len = ofpacts.size;
    if (xlate_actions(&xin, &xout) != XLATE_OK) {
        error = EINVAL;
    } else if (!(push = zoo_find_push(odp_actions->data,
                                      odp_actions->size))) {
        error = EHOSTUNREACH;
    } else if (zoo_push_get_choice(push) != sport
               || !zoo_push_leads_to(push, dst)) {
        /* Not a tunnel any more that can carry a marked probe there. */
        error = ENODEV;
    } else {
        error = 0;
    }
    *needs_help = (xout.slow & SLOW_ACTION) != 0;
    zoo_flow_set(flow, ZOO_FLOW_DEFAULT, 0);
    xlate_out_uninit(&xout);
    ofpbuf_uninit(&ofpacts);
    return error;
}

/* Stores into '*routep' how to send 'packet', with the headers in 'flow', to
 * 'dst'.  Returns as zoo_xlate_send(). */
static int
zoo_get_route(const struct xlate_cfg *xcfg, const struct xbridge *xbridge,
              const struct zoo_tunnel_dst *dst, uint16_t sport,
              const struct dp_packet *packet, struct flow *flow,
              struct zoo_route **routep)
{
    uint32_t hash = zoo_hash_dst(dst);
    uint64_t actions_stub[1024 / 8];
    struct ofpbuf actions = OFPBUF_STUB_INITIALIZER(actions_stub);
    struct zoo_route *route;
    bool needs_help;
    int error;

    zoo_check_routes(xcfg, xbridge->ofproto->backer);
    *routep = zoo_find_route(dst, hash);
    if (*routep) {
        return 0;
    } else if (zoo_must_not_ask(xcfg, dst)) {
        return EHOSTUNREACH;
    }

    error = zoo_xlate_probe(xbridge, dst, sport, packet, flow, &actions,
                            &needs_help);
    if (error == EHOSTUNREACH) {
        zoo_has_asked(&dst->remote);
    } else if (!error) {
        route = xmalloc(sizeof *route + actions.size);
        route->dst = *dst;
        route->needs_help = needs_help;
        route->actions_len = actions.size;
        memcpy(route->actions, actions.data, actions.size);
        hmap_insert(&zoo_routes, &route->node, hash);
        *routep = route;
    }
    ofpbuf_uninit(&actions);
    return error;
}

/* Appends to 'out' what the actions of 'route' do, once for each of the 'n'
 * ports 'sports'. */
static void
zoo_put_round(const struct zoo_route *route, const uint16_t sports[],
              unsigned int n, struct ofpbuf *out)
{
    for (unsigned int i = 0; i < n; i++) {
        size_t clone = nl_msg_start_nested(out, OVS_ACTION_ATTR_CLONE);
        struct nlattr *copy = ofpbuf_put(out, route->actions,
                                         route->actions_len);

        zoo_push_set_choice(zoo_find_push(copy, route->actions_len),
                            sports[i]);
        nl_msg_end_nested(out, clone);
    }
}

int
zoo_xlate_send(const struct zoo_tunnel_dst *dst, struct dp_packet *packet,
               const uint16_t sports[], unsigned int n)
{
    struct xlate_cfg *xcfg = ovsrcu_get(struct xlate_cfg *, &xcfgp);
    const struct xbridge *xbridge
        = xcfg ? xbridge_lookup_by_uuid(xcfg, &dst->port.ofproto) : NULL;
    const struct xport *xport
        = xbridge ? get_ofp_port(xbridge, dst->port.ofp_port) : NULL;
    uint64_t stub[2048 / 8];
    struct ofpbuf actions = OFPBUF_STUB_INITIALIZER(stub);
    struct zoo_route *route;
    struct flow flow;
    int error;

    if (!xport || !xport->is_tunnel) {
        return ENODEV;
    }

    flow_extract(packet, &flow);
    flow.in_port.ofp_port = OFPP_NONE;
    flow.pkt_mark = dst->pkt_mark;
    error = zoo_get_route(xcfg, xbridge, dst, sports[0], packet, &flow,
                          &route);
    if (error) {
        return error;
    } else if (zoo_link_is_down(xcfg, xbridge->ofproto->backer,
                                (const struct nlattr *) route->actions,
                                route->actions_len)) {
        return ENETDOWN;
    }

    zoo_put_round(route, sports, n, &actions);
    pkt_metadata_from_flow(&packet->md, &flow);
    packet->md.in_port.odp_port = ODPP_NONE;

    struct dpif_execute execute = {
        .actions = actions.data,
        .actions_len = actions.size,
        .packet = packet,
        .flow = &flow,
        .needs_help = route->needs_help,
    };

    error = dpif_execute(xbridge->ofproto->backer->dpif, &execute);
    ofpbuf_uninit(&actions);
    return error;
}
