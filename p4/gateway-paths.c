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

/* Which path table each tunnel has, and what is in it, as ZooRoute finds out.
 *
 * ZooRoute probes those that packets go to: the pipeline marks them in its
 * register "used".  A tunnel that none have gone to has all candidates, so that
 * nothing moves when probing begins, unless its segment has fewer of them than
 * others. */

#include <config.h>

#include "p4/gateway-paths.h"

#include "ofproto-zoo/zoo-gateway-path.h"
#include "ofproto-zoo/zooroute.h"
#include "openvswitch/list.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/vlog.h"
#include "ovs-ext/zoo-datapath.h"
#include "ovs-ext/zoo-quarantine.h"
#include "ovs-rcu.h"
#include "p4/gateway-headers.h"
#include "p4/gateway-state.h"
#include "seq.h"
#include "timeval.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(gateway_paths);

/* Between two looks at what has become of ZooRoute's peers, and at which
 * tunnels are in use, ms. */
#define INTERVAL 1000
#define USE_INTERVAL 100

/* A tunnel without packets for so long gets no peer any more if it has none;
 * and one without for so long gives its slot to others that find none, ms. */
#define UNUSED_TIME 5000
#define SPARE_TIME 60000

static struct gateway_tunnel *by_slot[ZOO_SLOT_MAX + 1]
    OVS_GUARDED_BY(gateway_mutex);

/* What the pipeline takes candidates for, 0 for none. */
static uint16_t candidate_ports[ZOO_GATEWAY_N_CANDIDATES]
    OVS_GUARDED_BY(gateway_mutex);

/* The main thread alone uses these. */
static long long int next_run = LLONG_MIN;
static long long int next_use = LLONG_MIN;
static bool full;               /* A tunnel has found no slot. */

/* gateway_tunnels_changed() changes it, from 'seen_change' on that
 * gateway_tunnels_run() has heard of. */
static struct seq *change_seq;
static uint64_t seen_change;

/* Slots that ZooRoute has given up, until no tunnel has them. */

struct release {
    struct ovs_list node;       /* In 'releases'. */
    uint64_t change;            /* Of 'change_seq': tunnels are to hear it. */
    void (*cb)(void *aux);
    void *aux;
};

static struct ovs_mutex release_mutex = OVS_MUTEX_INITIALIZER;
static struct ovs_list releases OVS_GUARDED_BY(release_mutex)
    = OVS_LIST_INITIALIZER(&releases);

void
zoo_quarantine_add(void (*cb)(void *aux), void *aux)
{
    struct release *r = xmalloc(sizeof *r);

    r->cb = cb;
    r->aux = aux;
    ovs_mutex_lock(&release_mutex);
    seq_change(change_seq);
    r->change = seq_read(change_seq);
    ovs_list_push_back(&releases, &r->node);
    ovs_mutex_unlock(&release_mutex);
}

void
zoo_quarantine_revalidate(void)
{
    gateway_tunnels_changed();
}

static void
release(struct release *r)
{
    r->cb(r->aux);
    free(r);
}

void
zoo_quarantine_run(void)
{
    struct release *r;

    ovs_mutex_lock(&release_mutex);
    LIST_FOR_EACH_SAFE (r, node, &releases) {
        if (r->change > seen_change) {
            break;
        }
        ovs_list_remove(&r->node);
        ovsrcu_postpone(release, r);
    }
    ovs_mutex_unlock(&release_mutex);
}

void
zoo_quarantine_wait(void)
{
    /* gateway_tunnels_wait() does. */
}

/* Cells. */

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

/* Brings the path table of 'tunnel' up to date.  A candidate counts as healthy
 * while ZooRoute has its own flows on it: that excludes those that have been
 * good for too short a time, too. */
static void
update_cell(struct gateway_tunnel *tunnel) OVS_REQUIRES(gateway_mutex)
{
    uint16_t ports[ZOO_N_BUCKETS];
    uint32_t healthy = 0;

    BUILD_ASSERT(ZOO_N_BUCKETS % ZOO_GATEWAY_N_CANDIDATES == 0);
    if (tunnel->slot) {
        zoo_slot_read(tunnel->slot, ports);
        for (unsigned int i = 0; i < ZOO_GATEWAY_N_CANDIDATES; i++) {
            if (ports[i] && ports[i] == candidate_ports[i]) {
                healthy |= UINT32_C(1) << i;
            }
        }
    } else if (gateway_paths_get(tunnel) != ZOO_GATEWAY_PLAIN) {
        healthy = UINT32_MAX;
    }
    tunnel->healthy = healthy;
    if (tunnel->path_table == ZOO_GATEWAY_BITMAP) {
        set_cell(tunnel, healthy);
    } else if (tunnel->path_table == ZOO_GATEWAY_INDEX) {
        set_cell(tunnel, zoo_gateway_index_update(tunnel->cell, healthy,
                                                  tunnel->groups,
                                                  tunnel->id));
    }
}

unsigned int
gateway_tunnel_pick(const struct gateway_tunnel *tunnel, unsigned int own)
{
    return (tunnel->vtep.path_table == ZOO_GATEWAY_BITMAP
            ? zoo_gateway_bitmap_pick(tunnel->cell, own)
            : tunnel->vtep.path_table == ZOO_GATEWAY_INDEX
            ? zoo_gateway_index_pick(tunnel->cell, own)
            : own);
}

uint16_t
gateway_tunnel_sport(const struct gateway_tunnel *tunnel, uint32_t hash)
{
    return (candidate_ports[0]
            && tunnel->vtep.path_table != ZOO_GATEWAY_PLAIN
            ? candidate_ports[gateway_tunnel_pick(tunnel,
                                                  zoo_gateway_own(hash))]
            : zoo_gateway_plain_port(hash));
}

int
gateway_paths_get(const struct gateway_tunnel *tunnel)
{
    return (candidate_ports[0] && !tunnel->legacy && !tunnel->no_slot
            ? tunnel->path_table : ZOO_GATEWAY_PLAIN);
}

/* Takes over ZooRoute's candidates. */
static void
update_candidate_ports(void) OVS_EXCLUDED(gateway_mutex)
{
    uint16_t ports[ZOO_GATEWAY_N_CANDIDATES] = { 0 };
    unsigned int n = zooroute_get_shared_candidates(ports);

    for (unsigned int i = n; n && i < ZOO_GATEWAY_N_CANDIDATES; i++) {
        ports[i] = ports[i % n];
    }
    ovs_mutex_lock(&gateway_mutex);
    if (memcmp(ports, candidate_ports, sizeof ports)) {
        memcpy(candidate_ports, ports, sizeof ports);
        if (n) {
            gateway_set_candidate_ports(ports);
        }
    }
    ovs_mutex_unlock(&gateway_mutex);
}

/* Slots. */

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
gateway_paths_remove(struct gateway_tunnel *tunnel)
{
    set_slot(tunnel, 0, &in6addr_any);
    set_cell(tunnel, 0);
}

/* ZooRoute has published the map of 'slot'. */
static void
slot_published(uint16_t slot)
{
    struct gateway_tunnel *t;

    ovs_mutex_lock(&gateway_mutex);
    t = by_slot[slot];
    if (t) {
        update_cell(t);
        if (!t->healthy != t->legacy) {
            gateway_tunnels_changed();
        }
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

static bool
is_used(const struct gateway_tunnel *tunnel, long long int time)
{
    return (tunnel->last_used
            && time_msec() - tunnel->last_used <= time);
}

/* What a tunnel wants of ZooRoute. */
enum want { NOTHING, ITS_SLOT, A_SLOT };

/* Returns what 't' wants, and fills in '*out' for it.  Only tunnels with
 * packets ask for a slot that they do not have, so that no other peer is
 * probed. */
static enum want
ask_for(struct gateway_tunnel *t, struct zooroute_output *out)
    OVS_REQUIRES(gateway_mutex)
{
    if (!t->installed || t->path_table == ZOO_GATEWAY_PLAIN
        || (full && t->slot && !is_used(t, SPARE_TIME))) {
        return NOTHING;
    }
    fill_output(t, out);
    if (t->slot && t->slot_vni != t->probe_vni) {
        set_slot(t, 0, &in6addr_any);
    }
    return is_used(t, UNUSED_TIME) ? A_SLOT : ITS_SLOT;
}

/* Gives 'tunnel' the path table that is best for it, unless it is configured.
 * Returns true if the pipeline's tables have changed. */
static bool
choose_path_table(struct gateway_tunnel *tunnel) OVS_REQUIRES(gateway_mutex)
{
    int best = gateway_best_path_table(tunnel->is_gateway,
                                       tunnel->n_backends > 1);
    bool changed;

    if (!tunnel->any_path_table || tunnel->path_table == best) {
        return false;
    }
    /* The cell in the other array comes first, and the one in this array goes
     * last; a packet that sees an empty one keeps its own candidate. */
    struct gateway_update old = {
        .path_table = tunnel->path_table,
        .destination = tunnel->id,
    };
    tunnel->path_table = best;
    tunnel->cell = 0;
    update_cell(tunnel);
    changed = gateway_tunnel_resolve(tunnel);
    gateway_path_update(&old);
    return changed;
}

/* The peer of 'tunnel' has said whether it is a gateway, which counts unless it
 * is configured. */
static void
set_role(struct gateway_tunnel *tunnel, bool gateway)
    OVS_REQUIRES(gateway_mutex)
{
    tunnel->says_gateway = gateway;
    if (tunnel->role == ZOOROUTE_ROLE_AS_SAID) {
        tunnel->is_gateway = gateway;
    }
}

/* The 'n' candidates of 'tunnel' lead to 'groups'. */
static void
set_groups(struct gateway_tunnel *tunnel,
           const uint8_t groups[ZOO_GATEWAY_N_CANDIDATES], unsigned int n)
    OVS_REQUIRES(gateway_mutex)
{
    unsigned int before = tunnel->n_backends;

    tunnel->n_candidates = n;
    if (!n || !memcmp(groups, tunnel->groups, sizeof tunnel->groups)) {
        return;
    }
    memcpy(tunnel->groups, groups, sizeof tunnel->groups);
    tunnel->n_backends = 0;
    for (unsigned int i = 0; i < n; i++) {
        bool new = groups[i] != 0;

        for (unsigned int j = 0; j < i; j++) {
            new = new && groups[j] != groups[i];
        }
        tunnel->n_backends += new;
    }
    if (tunnel->n_backends > 1 && before <= 1) {
        char s[INET6_ADDRSTRLEN + 1];

        ipv6_string_mapped(s, &tunnel->remote);
        VLOG_WARN("tunnel %s: its probes are answered with %u BackendIDs: "
                  "flows of a candidate that fails may get to another machine "
                  "than before, though others lead to the same one, since path "
                  "tables do not tell machines apart", s, tunnel->n_backends);
    }
}

/* Asks ZooRoute for what the tunnel with 'id' wants, if there is one.  Returns
 * true if the pipeline's tables have changed. */
static bool
update_slot(uint32_t id, bool *refused) OVS_EXCLUDED(gateway_mutex)
{
    struct zooroute_output out;
    bool legacy = false, changed;
    struct gateway_tunnel *t;
    enum want want;

    ovs_mutex_lock(&gateway_mutex);
    t = gateway_tunnel_with_id(id);
    want = t ? ask_for(t, &out) : NOTHING;
    ovs_mutex_unlock(&gateway_mutex);
    if (!t) {
        return false;
    }
    forget_peers();

    /* Only this thread adds and removes tunnels. */
    if (want == NOTHING) {
        out.choice = 0;
    } else {
        out.dry_run = want == ITS_SLOT;
        zooroute_choose(&out);
        legacy = out.choice && zooroute_is_legacy(&out.key);
    }
    ovs_mutex_lock(&gateway_mutex);
    if (out.choice != t->slot) {
        set_slot(t, out.choice, &t->vtep.local);
        t->slot_vni = t->probe_vni;
    }
    t->legacy = legacy;
    t->no_slot = (want == A_SLOT && !out.choice && zooroute_is_enabled());
    *refused |= t->no_slot;
    changed = (t->installed && t->vtep.path_table != gateway_paths_get(t)
               && gateway_tunnel_resolve(t));
    update_cell(t);
    enum zooroute_role role = t->role;
    ovs_mutex_unlock(&gateway_mutex);
    if (out.choice) {
        bool gateway = zooroute_set_role(&out.key, role);
        uint8_t groups[ZOO_GATEWAY_N_CANDIDATES] = { 0 };
        unsigned int n_candidates = zooroute_get_groups(&out.key, groups);

        ovs_mutex_lock(&gateway_mutex);
        set_role(t, gateway);
        set_groups(t, groups, n_candidates);
        changed |= choose_path_table(t);
        ovs_mutex_unlock(&gateway_mutex);
    }
    return changed;
}

/* Which tunnels are in use, and which of their candidates. */

/* Tells ZooRoute which buckets of 'tunnel', which has a slot and which packets
 * have gone to, are in use: those of candidates whose flows take, by the path
 * table, a candidate that packets have left by.  Where nothing is known of these,
 * all are. */
static void
mark_used(struct gateway_tunnel *tunnel) OVS_REQUIRES(gateway_mutex)
{
    bool plain = tunnel->vtep.path_table == ZOO_GATEWAY_PLAIN;
    uint32_t candidates = (plain ? UINT32_MAX
                           : gateway_use_get(&tunnel->remote));
    unsigned int n = (tunnel->n_candidates ? tunnel->n_candidates
                      : ZOO_GATEWAY_N_CANDIDATES);
    bool used[ZOO_N_BUCKETS];

    if (!candidates && !tunnel->unseen) {
        /* The pipeline marks the tunnel before the packet leaves. */
        tunnel->unseen = true;
        gateway_path_mark_used(tunnel->id);
        return;
    }
    tunnel->unseen = false;
    for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
        /* Bucket b < n is the one that tells whether candidate b is healthy.
         * Flows whose own candidate the tunnel does not have take others. */
        used[b] = (plain || !candidates
                   || (b < n
                       && candidates >> gateway_tunnel_pick(tunnel, b) & 1));
    }
    zoo_slot_mark_used(tunnel->slot, used);
}

/* Notes which tunnels packets have gone to since the last time, and tells
 * ZooRoute.  Appends the IDs of those that have no slot to 'ids', and returns
 * their number. */
static size_t
note_use(uint32_t ids[]) OVS_EXCLUDED(gateway_mutex)
{
    long long int now = time_msec();
    size_t n = 0;

    gateway_use_turn();
    ovs_mutex_lock(&gateway_mutex);
    /* Not tunnel by tunnel, as most are not in use. */
    for (uint32_t id = 0; id < gateway_tunnel_max_ids(); id++) {
        struct gateway_tunnel *t = (gateway_path_take_used(id)
                                    ? gateway_tunnel_with_id(id) : NULL);

        if (t) {
            t->last_used = now;
            if (t->slot) {
                mark_used(t);
            } else if (!t->no_slot && zooroute_is_enabled()
                       && t->path_table != ZOO_GATEWAY_PLAIN) {
                ids[n++] = t->id;
            }
        }
    }
    ovs_mutex_unlock(&gateway_mutex);
    return n;
}

/* Stores the IDs of all tunnels into 'ids' and returns their number. */
static size_t
list_all(uint32_t ids[]) OVS_EXCLUDED(gateway_mutex)
{
    struct gateway_tunnel *t;
    size_t n = 0;

    ovs_mutex_lock(&gateway_mutex);
    HMAP_FOR_EACH (t, node, &gateway_tunnels) {
        ids[n++] = t->id;
    }
    ovs_mutex_unlock(&gateway_mutex);
    return n;
}

/* The loop. */

void
gateway_tunnels_init(void)
{
    change_seq = seq_create();
    zoo_slot_observe(slot_published);
}

void
gateway_tunnels_changed(void)
{
    seq_change(change_seq);
}

bool
gateway_tunnels_run(void)
{
    uint64_t change = seq_read(change_seq);
    long long int now = time_msec();
    bool changed = false, refused = false;
    bool all = now >= next_run || change != seen_change;
    uint32_t *ids;
    size_t n;

    if (!all && now < next_use) {
        return false;
    }
    ovs_mutex_lock(&gateway_mutex);
    n = hmap_count(&gateway_tunnels);
    ovs_mutex_unlock(&gateway_mutex);
    ids = xcalloc(n + 1, sizeof *ids);
    next_use = now + USE_INTERVAL;
    n = note_use(ids);
    if (all) {
        next_run = now + INTERVAL;
        forget_peers();
        update_candidate_ports();
        n = list_all(ids);
    }
    for (size_t i = 0; i < n; i++) {
        changed |= update_slot(ids[i], &refused);
    }
    free(ids);
    forget_peers();
    if (all) {
        full = refused;
        seen_change = change;
    }
    return changed;
}

void
gateway_tunnels_wait(void)
{
    poll_timer_wait_until(MIN(next_run, next_use));
    seq_wait(change_seq, seen_change);
}
