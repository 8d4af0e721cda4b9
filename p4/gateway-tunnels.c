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

#include "p4/gateway-state.h"

#include "hash.h"
#include "ofproto-zoo/zoo-gateway-path.h"
#include "ofproto-zoo/zooroute.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/vlog.h"
#include "ovs-ext/zoo-datapath.h"
#include "p4/gateway-headers.h"
#include "seq.h"
#include "timeval.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(gateway_tunnels);

/* Between two looks at what has become of ZooRoute's peers, ms. */
#define INTERVAL 1000

struct hmap gateway_tunnels OVS_GUARDED_BY(gateway_mutex)
    = HMAP_INITIALIZER(&gateway_tunnels);

/* By ID, and by slot. */
static struct gateway_tunnel *by_id[ZOO_GATEWAY_N_VTEPS]
    OVS_GUARDED_BY(gateway_mutex);
static struct gateway_tunnel *by_slot[ZOO_SLOT_MAX + 1]
    OVS_GUARDED_BY(gateway_mutex);
static uint32_t last_id OVS_GUARDED_BY(gateway_mutex);

/* What the pipeline takes candidates for, 0 for none. */
static uint16_t candidate_ports[ZOO_GATEWAY_N_CANDIDATES]
    OVS_GUARDED_BY(gateway_mutex);

static long long int next_run = LLONG_MIN;

/* gateway_tunnels_changed() changes it, from 'seen_change' on that
 * gateway_tunnels_run() has heard of. */
static struct seq *change_seq;
static uint64_t seen_change;

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
    by_id[t->id] = t;
    hmap_insert(&gateway_tunnels, &t->node, hash_address(remote));
    return t;
}

/* Has the pipeline's cell for 'tunnel' be 'cell'. */
static void
set_cell(struct gateway_tunnel *tunnel, uint32_t cell)
    OVS_REQUIRES(gateway_mutex)
{
    struct gateway_update update = {
        .path_table = tunnel->path_table,
        .destination = tunnel->id,
        .value = cell,
    };

    if (cell != tunnel->cell) {
        tunnel->cell = cell;
        gateway_path_update(&update);
    }
}

static void
fill_key(struct zooroute_key *key, const struct in6_addr *local,
         const struct in6_addr *remote)
{
    memset(key, 0, sizeof *key);
    key->local = *local;
    key->remote = *remote;
    key->dst_port = htons(GATEWAY_VXLAN_PORT);
}

/* Peers that no tunnel leads to any more.  Only the main thread uses them. */
static struct zooroute_key *gone;
static size_t n_gone, allocated_gone;

/* Has 'tunnel' follow 'slot', of a peer with address 'local' here, from now on,
 * or none if it is 0. */
static void
set_slot(struct gateway_tunnel *tunnel, uint16_t slot,
         const struct in6_addr *local) OVS_REQUIRES(gateway_mutex)
{
    if (by_slot[tunnel->slot] == tunnel) {
        by_slot[tunnel->slot] = NULL;
    }
    if (tunnel->slot
        && (!slot || !ipv6_addr_equals(local, &tunnel->peer_local))) {
        if (n_gone >= allocated_gone) {
            gone = x2nrealloc(gone, &allocated_gone, sizeof *gone);
        }
        fill_key(&gone[n_gone++], &tunnel->peer_local, &tunnel->remote);
    }
    tunnel->slot = slot;
    tunnel->peer_local = *local;
    if (slot) {
        by_slot[slot] = tunnel;
    }
}

/* Has ZooRoute forget the peers in 'gone'. */
static void
forget_peers(void) OVS_EXCLUDED(gateway_mutex)
{
    for (size_t i = 0; i < n_gone; i++) {
        zooroute_forget(&gone[i]);
    }
    n_gone = 0;
}

void
gateway_tunnel_remove(struct gateway_tunnel *tunnel)
{
    if (tunnel->installed) {
        gateway_vtep_delete(tunnel->id);
    }
    set_slot(tunnel, 0, &in6addr_any);
    set_cell(tunnel, 0);
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
        .path_table = tunnel->slot ? tunnel->path_table : ZOO_GATEWAY_PLAIN,
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

/* Path tables. */

/* Brings the path table of 'tunnel' up to date.  A candidate counts as healthy
 * while ZooRoute has its own flows on it: that excludes those that have been
 * good for too short a time, too. */
static void
update_cell(struct gateway_tunnel *tunnel) OVS_REQUIRES(gateway_mutex)
{
    uint16_t ports[ZOO_N_BUCKETS];
    uint32_t healthy = 0;

    BUILD_ASSERT(ZOO_N_BUCKETS % ZOO_GATEWAY_N_CANDIDATES == 0);
    zoo_slot_read(tunnel->slot, ports);
    for (unsigned int i = 0; i < ZOO_GATEWAY_N_CANDIDATES; i++) {
        if (ports[i] && ports[i] == candidate_ports[i]) {
            healthy |= UINT32_C(1) << i;
        }
    }
    tunnel->healthy = healthy;
    if (tunnel->path_table == ZOO_GATEWAY_BITMAP) {
        set_cell(tunnel, healthy);
    } else if (tunnel->path_table == ZOO_GATEWAY_INDEX) {
        set_cell(tunnel, zoo_gateway_index_update(tunnel->cell, healthy,
                                                  tunnel->id));
    }
}

uint16_t
gateway_tunnel_sport(const struct gateway_tunnel *tunnel, uint32_t hash)
{
    unsigned int own = zoo_gateway_own(hash);

    return (tunnel->vtep.path_table == ZOO_GATEWAY_BITMAP
            ? candidate_ports[zoo_gateway_bitmap_pick(tunnel->cell, own)]
            : tunnel->vtep.path_table == ZOO_GATEWAY_INDEX
            ? candidate_ports[zoo_gateway_index_pick(tunnel->cell, own)]
            : zoo_gateway_plain_port(hash));
}

/* ZooRoute has published the map of 'slot'. */
static void
slot_published(uint16_t slot)
{
    ovs_mutex_lock(&gateway_mutex);
    if (by_slot[slot]) {
        update_cell(by_slot[slot]);
    }
    ovs_mutex_unlock(&gateway_mutex);
}

void
gateway_tunnels_init(void)
{
    change_seq = seq_create();
    zoo_slot_observe(slot_published);
}

/* Takes over ZooRoute's candidates. */
static void
update_candidate_ports(void) OVS_EXCLUDED(gateway_mutex)
{
    uint16_t ports[ZOO_GATEWAY_N_CANDIDATES];
    unsigned int n = zooroute_get_shared_candidates(ports);

    if (!n) {
        return;
    }
    for (unsigned int i = n; i < ZOO_GATEWAY_N_CANDIDATES; i++) {
        ports[i] = ports[i % n];
    }
    ovs_mutex_lock(&gateway_mutex);
    if (memcmp(ports, candidate_ports, sizeof ports)) {
        memcpy(candidate_ports, ports, sizeof ports);
        gateway_set_candidate_ports(ports);
    }
    ovs_mutex_unlock(&gateway_mutex);
}

/* Fills in '*out' for 'tunnel'. */
static void
fill_output(const struct gateway_tunnel *tunnel, struct zooroute_output *out)
{
    memset(out, 0, sizeof *out);
    fill_key(&out->key, &tunnel->vtep.local, &tunnel->remote);
    out->port.ofp_port = (OVS_FORCE ofp_port_t) tunnel->id;
    out->tun_id = htonll(tunnel->probe_vni);
    out->encap = ZOO_ENCAP_VXLAN;
    out->mode = ZOO_FLOW_ON;
    out->key_flow = true;       /* Any VNI: probe-vni may say which. */
    out->iface = "gateway";
}

/* The peer of 'tunnel', whose 'role' is not configured, has said whether it is a
 * gateway.  Returns true if the pipeline's tables have changed. */
static bool
set_role(struct gateway_tunnel *tunnel, bool gateway)
    OVS_REQUIRES(gateway_mutex)
{
    bool changed;

    tunnel->says_gateway = gateway;
    if (tunnel->role != ZOOROUTE_ROLE_AS_SAID
        || gateway == tunnel->is_gateway) {
        return false;
    }
    tunnel->is_gateway = gateway;
    if (!tunnel->any_path_table) {
        return false;
    }
    /* The cell in the other array comes first, and the one in this array goes
     * last, so that no packet sees an empty one. */
    struct gateway_update old = {
        .path_table = tunnel->path_table,
        .destination = tunnel->id,
    };
    tunnel->path_table = gateway ? ZOO_GATEWAY_BITMAP : ZOO_GATEWAY_INDEX;
    tunnel->cell = 0;
    update_cell(tunnel);
    changed = gateway_tunnel_resolve(tunnel);
    gateway_path_update(&old);
    return changed;
}

/* Asks ZooRoute for the slot of the tunnel with 'id', if there is one.  Returns
 * true if the pipeline's tables have changed.  Sets '*full' if there is no slot
 * to be had; a tunnel without one asks for none then. */
static bool
update_slot(uint32_t id, bool *full) OVS_EXCLUDED(gateway_mutex)
{
    struct zooroute_output out;
    struct gateway_tunnel *t;
    bool changed = false;
    bool wanted;

    ovs_mutex_lock(&gateway_mutex);
    t = by_id[id];
    wanted = (t && t->installed && t->path_table != ZOO_GATEWAY_PLAIN
              && (t->slot || !*full));
    if (wanted) {
        fill_output(t, &out);
        if (t->slot && t->slot_vni != t->probe_vni) {
            set_slot(t, 0, &in6addr_any);
        }
    }
    ovs_mutex_unlock(&gateway_mutex);
    if (!t) {
        return false;
    }
    forget_peers();

    /* Only this thread adds and removes tunnels. */
    if (wanted) {
        zooroute_choose(&out);
        if (out.choice) {
            zoo_slot_mark_used(out.choice);
        } else {
            *full = zooroute_is_enabled();
        }
    } else {
        out.choice = 0;
    }
    ovs_mutex_lock(&gateway_mutex);
    if (out.choice != t->slot) {
        set_slot(t, out.choice, &t->vtep.local);
        t->slot_vni = t->probe_vni;

        /* Without ZooRoute outer source ports are hashes. */
        changed = gateway_tunnel_resolve(t);
    }
    update_cell(t);
    enum zooroute_role role = t->role;
    ovs_mutex_unlock(&gateway_mutex);
    if (out.choice) {
        bool gateway = zooroute_set_role(&out.key, role);

        ovs_mutex_lock(&gateway_mutex);
        changed |= set_role(t, gateway);
        ovs_mutex_unlock(&gateway_mutex);
    }
    return changed;
}

void
gateway_tunnels_changed(void)
{
    seq_change(change_seq);
}

/* Returns the IDs of all '*n' tunnels, as an array that the caller must
 * free. */
static uint32_t *
list_ids(size_t *n) OVS_EXCLUDED(gateway_mutex)
{
    struct gateway_tunnel *t;
    uint32_t *ids;

    *n = 0;
    ovs_mutex_lock(&gateway_mutex);
    ids = xcalloc(hmap_count(&gateway_tunnels) + 1, sizeof *ids);
    HMAP_FOR_EACH (t, node, &gateway_tunnels) {
        ids[(*n)++] = t->id;
    }
    ovs_mutex_unlock(&gateway_mutex);
    return ids;
}

bool
gateway_tunnels_run(void)
{
    bool changed = false, full = false;
    uint32_t *ids;
    size_t n;

    if (time_msec() < next_run && seq_read(change_seq) == seen_change) {
        return false;
    }
    seen_change = seq_read(change_seq);
    next_run = time_msec() + INTERVAL;
    forget_peers();
    update_candidate_ports();
    ids = list_ids(&n);
    for (size_t i = 0; i < n; i++) {
        changed |= update_slot(ids[i], &full);
    }
    free(ids);
    forget_peers();
    return changed;
}

void
gateway_tunnels_wait(void)
{
    poll_timer_wait_until(next_run);
    seq_wait(change_seq, seen_change);
}
