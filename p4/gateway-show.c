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

#include "p4/gateway-show.h"

#include <inttypes.h>

#include "flow.h"
#include "ofproto-zoo/zoo-gateway-path.h"
#include "ofproto-zoo/zooroute.h"
#include "openvswitch/dynamic-string.h"
#include "p4/gateway-counts.h"
#include "p4/gateway-pipeline.h"
#include "p4/gateway-routes.h"
#include "p4/gateway-state.h"
#include "timeval.h"
#include "unixctl.h"
#include "util.h"

static void
format_tunnel(const struct gateway_tunnel *t, struct ds *s)
{
    static const char *const tables[] = {
        [ZOO_GATEWAY_PLAIN] = "plain",
        [ZOO_GATEWAY_BITMAP] = "bitmap",
        [ZOO_GATEWAY_INDEX] = "index",
    };

    ds_put_cstr(s, "tunnel ");
    ipv6_format_mapped(&t->remote, s);
    ds_put_format(s, ": %s, %s %"PRIu32, t->is_gateway ? "gateway" : "host",
                  tables[t->path_table], t->id);
    if (t->path_table != ZOO_GATEWAY_PLAIN) {
        ds_put_format(s, " = 0x%0*"PRIx32,
                      t->path_table == ZOO_GATEWAY_BITMAP ? 8 : 5, t->cell);
    }
    if (t->path_table != ZOO_GATEWAY_PLAIN
        && t->vtep.path_table == ZOO_GATEWAY_PLAIN) {
        ds_put_format(s, " (not in use: %s)",
                      t->legacy ? "legacy, has never answered a probe"
                      : t->no_slot ? "too many tunnels are in use"
                      : t->installed ? "ZooRoute is off"
                      : "no way to the tunnel");
    }
    if (t->n_backends > 1) {
        ds_put_format(s, ", %u BackendIDs", t->n_backends);
    }
    if (t->last_used) {
        ds_put_format(s, ", last packet %lld s ago",
                      (time_msec() - t->last_used) / 1000);
    }
    if (t->installed) {
        const struct gateway_interface *iface
            = gateway_interface_on(t->vtep.port);

        ds_put_cstr(s, ", from ");
        ipv6_format_mapped(&t->vtep.local, s);
        ds_put_format(s, " on %s via ", iface ? iface->name : "none");
        ipv6_format_mapped(&t->next_hop, s);
    }
    if (t->error) {
        ds_put_format(s, ", error: %s", t->error);
    }
    ds_put_char(s, '\n');
}

static void
format_state(struct ds *s)
{
    const struct gateway_interface *iface;
    const struct gateway_tunnel *t;

    ovs_mutex_lock(&gateway_mutex);
    HMAP_FOR_EACH (iface, node, &gateway_interfaces) {
        ds_put_format(s, "port %u %s: %s, "ETH_ADDR_FMT", MTU %u,",
                      iface->port, iface->name, iface->device,
                      ETH_ADDR_ARGS(iface->mac), iface->mtu);
        for (size_t i = 0; i < iface->n_addresses; i++) {
            const struct gateway_prefix *p = &iface->addresses[i];

            ds_put_char(s, ' ');
            ipv6_format_mapped(&p->address, s);
            ds_put_format(s, "/%u", p->plen
                          - (gateway_is_ipv4(&p->address) ? 96 : 0));
        }
        ds_put_char(s, '\n');
    }
    ds_put_format(s, "router: "ETH_ADDR_FMT,
                  ETH_ADDR_ARGS(gateway_router_mac));
    for (size_t i = 0; i < 2; i++) {
        if (ipv6_addr_is_set(&gateway_router_ips[i])) {
            ds_put_char(s, ' ');
            ipv6_format_mapped(&gateway_router_ips[i], s);
        }
    }
    ds_put_char(s, '\n');
    gateway_neighbors_format(s);
    HMAP_FOR_EACH (t, node, &gateway_tunnels) {
        format_tunnel(t, s);
    }
    ovs_mutex_unlock(&gateway_mutex);
    ds_put_format(s, "routes: %"PRIuSIZE"\n", gateway_routes_count());
}

static void
gateway_show(struct unixctl_conn *conn, int argc OVS_UNUSED,
             const char *argv[] OVS_UNUSED, void *aux OVS_UNUSED)
{
    struct gateway_update_stats updates;
    struct ds s = DS_EMPTY_INITIALIZER;

    format_state(&s);
    gateway_tables_format(&s);
    gateway_path_get_stats(&updates);
    ds_put_format(&s, "updates of path tables: %"PRIu64" written by %"PRIu64
                  " packets, %"PRIu64" packets sent again, %"PRIu64
                  " waiting\n", updates.updates, updates.packets,
                  updates.retransmissions, updates.pending);
    unixctl_command_reply(conn, ds_cstr(&s));
    ds_destroy(&s);
}

static void
gateway_counts(struct unixctl_conn *conn, int argc OVS_UNUSED,
               const char *argv[] OVS_UNUSED, void *aux OVS_UNUSED)
{
    uint64_t values[ZOO_GATEWAY_N_COUNTS];
    struct ds s = DS_EMPTY_INITIALIZER;

    gateway_get_counts(values);
    for (size_t i = 0; i < ZOO_GATEWAY_N_COUNTS; i++) {
        const struct gateway_count_info *info = &gateway_count_info[i];

        if (info->name) {
            ds_put_format(&s, "%-26s %12"PRIu64"  %s\n", info->name,
                          values[i], info->description);
        }
    }
    unixctl_command_reply(conn, ds_cstr(&s));
    ds_destroy(&s);
}

/* Stores into '*gf' what the pipeline hashes of 'flow'. */
static void
hashed_flow(const struct flow *flow, struct zoo_gateway_flow *gf)
{
    struct in6_addr src = flow->ipv6_src, dst = flow->ipv6_dst;

    if (flow->dl_type == htons(ETH_TYPE_IP)) {
        in6_addr_set_mapped_ipv4(&src, flow->nw_src);
        in6_addr_set_mapped_ipv4(&dst, flow->nw_dst);
    }
    memset(gf, 0, sizeof *gf);
    zoo_gateway_flow_set(gf, src.s6_addr, dst.s6_addr);
    gf->protocol = flow->nw_proto;
    if ((flow->nw_proto == IPPROTO_TCP || flow->nw_proto == IPPROTO_UDP)
        && !flow->nw_frag) {
        gf->src_port = ntohs(flow->tp_src);
        gf->dst_port = ntohs(flow->tp_dst);
    }
}

/* Says so if flows of candidate 'own' are known to get to another machine now
 * than by that candidate. */
static void
explain_machine(const struct gateway_tunnel *t, unsigned int own, struct ds *s)
    OVS_REQUIRES(gateway_mutex)
{
    unsigned int picked = gateway_tunnel_pick(t, own);

    if (t->groups[own] && t->groups[picked]
        && t->groups[own] != t->groups[picked]) {
        ds_put_cstr(s, "; it leads to another machine than its own");
    }
}

/* Says which outer source port a packet with 'flow' takes to the peer with
 * 'key', and why. */
static void
explain(const struct zooroute_key *key, const struct flow *flow,
        struct ds *s)
{
    const struct gateway_tunnel *t;
    struct zoo_gateway_flow gf;
    uint32_t hash;

    hashed_flow(flow, &gf);
    hash = zoo_gateway_hash(&gf);
    ovs_mutex_lock(&gateway_mutex);
    t = gateway_tunnel_find(&key->remote);
    if (!t || !t->installed) {
        ds_put_cstr(s, "no tunnel leads there now\n");
    } else {
        unsigned int own = zoo_gateway_own(hash);
        bool healthy = t->healthy & (UINT32_C(1) << own);

        ds_put_format(s, "candidate %u: outer source port %"PRIu16", ", own,
                      gateway_tunnel_sport(t, hash));
        if (t->vtep.path_table == ZOO_GATEWAY_PLAIN) {
            ds_put_cstr(s, "a hash, since the tunnel has no path table now");
        } else if (t->vtep.path_table == ZOO_GATEWAY_BITMAP) {
            ds_put_cstr(s, healthy ? "its own, which is healthy"
                        : t->cell ? "of the next healthy candidate, since its "
                                    "own is not"
                        : "its own, since no candidate is healthy");
        } else if (zoo_gateway_index_pick(t->cell, own) != own) {
            ds_put_cstr(s, "recorded for its 8 candidates, of which one is "
                        "not healthy");
        } else {
            ds_put_cstr(s, healthy ? "its own, with nothing recorded"
                        : "its own, since no other 8 have a healthy one");
        }
        explain_machine(t, own, s);
        ds_put_char(s, '\n');
    }
    ovs_mutex_unlock(&gateway_mutex);
}

void
gateway_show_init(void)
{
    zooroute_set_select(explain);

    unixctl_command_register("gateway/show", "", 0, 0, gateway_show, NULL);
    unixctl_command_register("gateway/counts", "", 0, 0, gateway_counts,
                             NULL);
}
