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

#include "p4/gateway-paths.h"

#include "hash.h"
#include "openvswitch/vlog.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(gateway_tunnels);

struct hmap gateway_tunnels OVS_GUARDED_BY(gateway_mutex)
    = HMAP_INITIALIZER(&gateway_tunnels);

static struct gateway_tunnel *by_id[ZOO_GATEWAY_N_VTEPS]
    OVS_GUARDED_BY(gateway_mutex);
static uint32_t last_id OVS_GUARDED_BY(gateway_mutex);
static uint32_t max_ids OVS_GUARDED_BY(gateway_mutex);

static uint32_t
hash_address(const struct in6_addr *address)
{
    return hash_bytes(address, sizeof *address, 0);
}

struct gateway_tunnel *
gateway_tunnel_find(const struct in6_addr *remote)
{
    struct gateway_tunnel *t;

    HMAP_FOR_EACH_WITH_HASH (t, node, hash_address(remote),
                             &gateway_tunnels) {
        if (ipv6_addr_equals(&t->remote, remote)) {
            return t;
        }
    }
    return NULL;
}

struct gateway_tunnel *
gateway_tunnel_with_id(uint32_t id)
{
    return id < ZOO_GATEWAY_N_VTEPS ? by_id[id] : NULL;
}

uint32_t
gateway_tunnel_max_ids(void)
{
    return max_ids;
}

struct gateway_tunnel *
gateway_tunnel_add(const struct in6_addr *remote)
{
    struct gateway_tunnel *t;

    if (hmap_count(&gateway_tunnels) >= ZOO_GATEWAY_N_VTEPS) {
        return NULL;
    }
    do {
        last_id = (last_id + 1) % ZOO_GATEWAY_N_VTEPS;
    } while (by_id[last_id]);

    t = xzalloc(sizeof *t);
    t->remote = *remote;
    t->id = last_id;
    max_ids = MAX(max_ids, last_id + 1);
    by_id[t->id] = t;
    hmap_insert(&gateway_tunnels, &t->node, hash_address(remote));
    return t;
}

void
gateway_tunnel_remove(struct gateway_tunnel *tunnel)
{
    if (tunnel->installed) {
        gateway_vtep_delete(tunnel->id);
    }
    gateway_paths_remove(tunnel);
    by_id[tunnel->id] = NULL;
    hmap_remove(&gateway_tunnels, &tunnel->node);
    free(tunnel->error);
    free(tunnel);
}

/* The way to a VTEP. */

/* Returns the interface to reach 'tunnel' through, and stores its address
 * there into '*local', or returns NULL and sets the tunnel's error.  One that the
 * remote address is on the link of is best, then one with a next hop, then the
 * first by name. */
static const struct gateway_interface *
find_interface(struct gateway_tunnel *tunnel, struct in6_addr *local)
    OVS_REQUIRES(gateway_mutex)
{
    const struct gateway_interface *iface, *found = NULL;
    bool ipv4 = gateway_is_ipv4(&tunnel->remote);
    int best = 0;

    if (ipv6_addr_is_set(&tunnel->wanted_local)) {
        *local = tunnel->wanted_local;
        found = gateway_interface_with(local);
        if (!found) {
            tunnel->error = xstrdup("local_ip is no address of an open port");
        }
        return found;
    }

    HMAP_FOR_EACH (iface, node, &gateway_interfaces) {
        bool has_next_hop = ipv6_addr_is_set(&iface->next_hops[!ipv4]);

        for (size_t i = 0; i < iface->n_addresses; i++) {
            const struct gateway_prefix *p = &iface->addresses[i];
            int rank = (gateway_prefix_has(p, &tunnel->remote) ? 3
                        : has_next_hop ? 2 : 1);

            if (gateway_is_ipv4(&p->address) == ipv4
                && (rank > best
                    || (rank == best && strcmp(iface->name,
                                               found->name) < 0))) {
                found = iface;
                best = rank;
                *local = p->address;
            }
        }
    }
    if (!found) {
        tunnel->error = xasprintf("no open port has an %s address, add one to "
                                  "ZooGateway_Port's addresses",
                                  ipv4 ? "IPv4" : "IPv6");
    }
    return found;
}

/* Stores the next hop to 'tunnel' through 'iface' into '*next_hop' and returns
 * true, or returns false and sets the tunnel's error. */
static bool
find_next_hop(struct gateway_tunnel *tunnel,
              const struct gateway_interface *iface,
              struct in6_addr *next_hop)
{
    bool ipv4 = gateway_is_ipv4(&tunnel->remote);

    for (size_t i = 0; i < iface->n_addresses; i++) {
        if (gateway_prefix_has(&iface->addresses[i], &tunnel->remote)) {
            *next_hop = tunnel->remote;
            return true;
        }
    }
    *next_hop = iface->next_hops[!ipv4];
    if (ipv6_addr_is_set(next_hop)) {
        return true;
    }
    tunnel->error = xasprintf("remote_ip is in no prefix of port %s, which "
                              "has no %s next hop, add one to its next_hops",
                              iface->name, ipv4 ? "IPv4" : "IPv6");
    return false;
}

static bool
same_vtep(const struct gateway_vtep *a, const struct gateway_vtep *b)
{
    return (a->port == b->port
            && eth_addr_equals(a->src_mac, b->src_mac)
            && eth_addr_equals(a->dst_mac, b->dst_mac)
            && ipv6_addr_equals(&a->local, &b->local)
            && a->mtu == b->mtu
            && a->path_table == b->path_table);
}

bool
gateway_tunnel_resolve(struct gateway_tunnel *tunnel)
{
    const struct gateway_interface *iface;
    struct gateway_vtep vtep = {
        .remote = tunnel->remote,
        .path_table = gateway_paths_get(tunnel),
        .destination = tunnel->id,
    };
    bool reachable = false;

    free(tunnel->error);
    tunnel->error = NULL;
    if (gateway_interface_with(&tunnel->remote)) {
        tunnel->error = xstrdup("remote_ip is an address of this gateway");
    } else if ((iface = find_interface(tunnel, &vtep.local))
               && find_next_hop(tunnel, iface, &tunnel->next_hop)) {
        vtep.port = iface->port;
        vtep.src_mac = iface->mac;
        vtep.mtu = iface->mtu;
        reachable = true;
        if (!gateway_neighbor_lookup(iface->port, &tunnel->next_hop,
                                     &vtep.local, &vtep.dst_mac)) {
            tunnel->error = xstrdup("the next hop does not answer yet");
            reachable = false;
        }
    }

    if (!reachable) {
        if (tunnel->installed) {
            gateway_vtep_delete(tunnel->id);
            tunnel->installed = false;
            return true;
        }
        return false;
    }
    if (tunnel->installed && same_vtep(&vtep, &tunnel->vtep)) {
        return false;
    }
    tunnel->vtep = vtep;
    tunnel->installed = gateway_vtep_add(tunnel->id, &vtep);
    if (!tunnel->installed) {
        tunnel->error = xstrdup("the pipeline has no room");
    }
    return true;
}
