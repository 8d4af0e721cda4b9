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
#include "zooroute-private.h"

#include <limits.h>

#include "entropy.h"
#include "flow.h"
#include "hash.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/hmap.h"
#include "openvswitch/token-bucket.h"
#include "ovs-ext/zoo-quarantine.h"
#include "ovs-ext/zoo-vtrace.h"
#include "ovs-rcu.h"
#include "timeval.h"
#include "util.h"
#include "uuid.h"
#include "zoo-alive.h"

/* All peers: how they come, by whom they are found, and how they go. */

/* Peers with a pkt_mark, by what else their keys have. */
static struct hmap zooroute_marked OVS_GUARDED_BY(zooroute_mutex)
    = HMAP_INITIALIZER(&zooroute_marked);

/* There is no room for another learned peer.  For those that find none, which
 * must not wait for the mutex each time that their flows are translated. */
static atomic_bool no_room = false;

/* Destinations that found no room lately, by hash, so that each counts once;
 * how many there were, and when the last one came, in ms. */
#define N_REFUSED 4096
static ATOMIC(uint32_t) refused[N_REFUSED];
static ATOMIC(uint64_t) n_refused;
static ATOMIC(long long int) last_refused = LLONG_MIN / 2;

void
zooroute_format_key(const struct zooroute_key *key, struct ds *s)
{
    ipv6_format_mapped(&key->local, s);
    ds_put_cstr(s, "->");
    ipv6_format_mapped(&key->remote, s);
    ds_put_format(s, ":%"PRIu16, ntohs(key->dst_port));
    if (key->pkt_mark) {
        ds_put_format(s, ",mark=%#"PRIx32, key->pkt_mark);
    }
}

char *
zooroute_key_to_string(const struct zooroute_key *key)
{
    struct ds s = DS_EMPTY_INITIALIZER;

    zooroute_format_key(key, &s);
    return ds_steal_cstr(&s);
}

uint32_t
zooroute_key_hash(const struct zooroute_key *key)
{
    return hash_bytes(key, sizeof *key, 0);
}

struct zooroute_peer *
zooroute_find(const struct zooroute_key *key)
{
    struct zooroute_peer *peer;

    CMAP_FOR_EACH_WITH_HASH (peer, cmap_node, zooroute_key_hash(key),
                             &zooroute_peers) {
        if (!memcmp(&peer->key, key, sizeof *key)) {
            return peer;
        }
    }
    return NULL;
}

struct zooroute_peer **
zooroute_list_peers(size_t *n)
{
    struct zooroute_peer **peers;
    struct zooroute_peer *peer;

    *n = 0;
    ovs_mutex_lock(&zooroute_mutex);
    peers = xcalloc(cmap_count(&zooroute_peers) + 1, sizeof *peers);
    CMAP_FOR_EACH (peer, cmap_node, &zooroute_peers) {
        peers[(*n)++] = peer;
    }
    ovs_mutex_unlock(&zooroute_mutex);
    return peers;
}

static uint32_t
hash_without_mark(const struct zooroute_key *key)
{
    struct zooroute_key unmarked = *key;

    unmarked.pkt_mark = 0;
    return zooroute_key_hash(&unmarked);
}

/* Returns what the sessions of peers with 'pkt_mark' have in common. */
static uint16_t
mark_to_instance(uint32_t pkt_mark)
{
    return pkt_mark ? hash_int(pkt_mark, 0) : 0;
}

struct zooroute_peer *
zooroute_find_by_sender(const struct zoo_sender_key *sender)
{
    struct zooroute_key key = {
        .local = sender->local,
        .remote = sender->remote,
        .dst_port = sender->dst_port,
    };
    struct zooroute_peer *unmarked = zooroute_find(&key);
    struct zooroute_peer *peer, *last = NULL;

    HMAP_FOR_EACH_WITH_HASH (peer, marked_node, hash_without_mark(&key),
                             &zooroute_marked) {
        if (memcmp(&peer->key, &key, offsetof(struct zooroute_key,
                                              pkt_mark))) {
            continue;
        } else if (sender->instance
                   && mark_to_instance(peer->key.pkt_mark)
                      == sender->instance) {
            return peer;
        } else if (!last || peer->peer.last_used > last->peer.last_used) {
            last = peer;
        }
    }
    return unmarked ? unmarked : last;
}

bool
zooroute_is_sender(const struct zooroute_peer *peer,
                   const struct zoo_sender_key *sender)
{
    return mark_to_instance(peer->key.pkt_mark) == sender->instance;
}

void
zooroute_schedule(struct zooroute_peer *peer, long long int now)
{
    zoo_schedule_update(&zooroute_peer_schedule, &peer->schedule_node,
                        zooroute_segment_params(peer->segment), now);
}

/* What asks the machines of peers, created when that is first necessary, and
 * how often it may: 2000 times a second. */
static struct zoo_alive *zooroute_alive OVS_GUARDED_BY(zooroute_mutex);
static struct token_bucket alive_limit OVS_GUARDED_BY(zooroute_mutex)
    = TOKEN_BUCKET_INIT(2, 400);

/* Asks the machine of 'peer', which takes colors, if that is due at 'now'. */
static void
ask_alive(struct zooroute_peer *peer, long long int now)
    OVS_REQUIRES(zooroute_mutex)
{
    /* A mark may have it routed otherwise. */
    if (!peer->key.pkt_mark && zoo_vtrace_is_enabled()
        && zoo_peer_asks_alive(&peer->peer, ZOO_PROBE_CAP_GBP, now)
        && token_bucket_withdraw(&alive_limit, 1)) {
        if (!zooroute_alive) {
            zooroute_alive = zoo_alive_create();
        }
        zoo_alive_ask(zooroute_alive, &peer->key.local, &peer->key.remote);
        zoo_peer_alive_asked(&peer->peer, now);
    }
}

void
zooroute_update_consent(struct zooroute_peer *peer, long long int now)
{
    bool takes = zoo_peer_consents(&peer->peer, ZOO_PROBE_CAP_GBP, now);
    bool took;

    atomic_read_relaxed(&peer->takes_colors, &took);
    if (takes != took) {
        atomic_store_relaxed(&peer->takes_colors, takes);
        if (takes) {
            zoo_consents_changed(zooroute_consents);
        } else {
            zoo_consents_ended(zooroute_consents);
        }
    }
    if (takes) {
        ask_alive(peer, now);
    }
}

/* A machine that has answered. */
struct heard {
    struct hmap_node node;
    struct in6_addr remote;
};

/* More answers wait for the next time. */
#define MAX_HEARD 256

static bool
is_heard(const struct hmap *heard, const struct in6_addr *remote)
{
    const struct heard *h;

    HMAP_FOR_EACH_WITH_HASH (h, node, hash_bytes(remote, sizeof *remote, 0),
                             heard) {
        if (ipv6_addr_equals(&h->remote, remote)) {
            return true;
        }
    }
    return false;
}

void
zooroute_hear_alive(long long int now)
{
    struct hmap heard = HMAP_INITIALIZER(&heard);
    struct heard answers[MAX_HEARD];
    struct zooroute_peer *peer;
    size_t n = 0;

    while (zooroute_alive && n < MAX_HEARD
           && zoo_alive_take(zooroute_alive, &answers[n].remote)) {
        const struct in6_addr *remote = &answers[n].remote;

        hmap_insert(&heard, &answers[n].node,
                    hash_bytes(remote, sizeof *remote, 0));
        n++;
    }
    if (n) {
        CMAP_FOR_EACH (peer, cmap_node, &zooroute_peers) {
            if (peer->key.pkt_mark || !is_heard(&heard, &peer->key.remote)) {
                continue;
            }
            zoo_peer_alive(&peer->peer, now);
            zooroute_update_consent(peer, now);
            if (zoo_peer_hint(&peer->peer,
                              zooroute_segment_params(peer->segment), now)) {
                zooroute_schedule(peer, now);
            }
        }
    }
    hmap_destroy(&heard);
}

void
zooroute_publish(struct zooroute_peer *peer)
{
    if (peer->peer.map_changed) {
        uint16_t ports[ZOO_N_BUCKETS];

        zoo_path_table_ports(&peer->peer.table, peer->peer.upstream, ports);
        zoo_slot_publish(peer->slot, ports);
        peer->peer.map_changed = false;
    }
}

bool
zooroute_new_session(const struct zooroute_key *key, uint64_t *session)
{
    if (get_entropy(session, sizeof *session)) {
        return false;
    }
    *session &= ~(uint64_t) UINT16_MAX;
    *session |= mark_to_instance(key->pkt_mark);
    return true;
}

/* Learned peers. */

void
zooroute_update_room(void)
{
    atomic_store_relaxed(&no_room,
                         zooroute_n_learned >= zooroute_config.max_peers);
}

bool
zooroute_has_room(void)
{
    bool full;

    atomic_read_relaxed(&no_room, &full);
    return !full;
}

void
zooroute_note_refused(uint32_t hash)
{
    ATOMIC(uint32_t) *entry = &refused[hash % N_REFUSED];
    long long int last, now = time_msec();
    uint64_t n;
    uint32_t old;

    atomic_read_relaxed(entry, &old);
    if (old != hash) {
        atomic_store_relaxed(entry, hash);
        atomic_add_relaxed(&n_refused, 1, &n);
    }
    atomic_read_relaxed(&last_refused, &last);
    if (now - last >= 1000) {
        atomic_store_relaxed(&last_refused, now);
    }
}

/* A peer with hash 'hash' has found room: it counts again if it finds none
 * later. */
static void
forget_refused(uint32_t hash)
{
    uint32_t old;

    atomic_read_relaxed(&refused[hash % N_REFUSED], &old);
    if (old == hash) {
        atomic_store_relaxed(&refused[hash % N_REFUSED], 0);
    }
}

void
zooroute_made_room(void)
{
    atomic_store_relaxed(&last_refused, LLONG_MIN / 2);
}

uint64_t
zooroute_n_refused(long long int *last)
{
    uint64_t n;

    atomic_read_relaxed(&n_refused, &n);
    atomic_read_relaxed(&last_refused, last);
    return n;
}

/* Tunnel ports.  Those that differ in nothing but their key share a peer. */

uint64_t
zooroute_port_bit(const struct zoo_tunnel_port *port)
{
    return UINT64_C(1) << hash_int(ofp_to_u16(port->ofp_port),
                                   uuid_hash(&port->ofproto)) % 64;
}

static void
use_port(struct zooroute_peer *peer, unsigned int i)
    OVS_REQUIRES(zooroute_mutex)
{
    peer->port_index = i;
    peer->dst.port = peer->ports[i].port;
    peer->dst.tun_id = peer->ports[i].tun_id;
}

static void
set_known_ports(struct zooroute_peer *peer) OVS_REQUIRES(zooroute_mutex)
{
    uint64_t known = peer->n_ports < ZOOROUTE_MAX_PORTS ? 0 : UINT64_MAX;

    for (unsigned int i = 0; i < peer->n_ports; i++) {
        known |= zooroute_port_bit(&peer->ports[i].port);
    }
    atomic_store_relaxed(&peer->known_ports, known);
}

void
zooroute_add_port(struct zooroute_peer *peer,
                  const struct zooroute_output *out)
{
    bool lost_port;

    atomic_read_relaxed(&peer->lost_port, &lost_port);
    if (lost_port) {
        peer->n_ports = 0;
    }
    for (unsigned int i = 0; i < peer->n_ports; i++) {
        if (uuid_equals(&peer->ports[i].port.ofproto, &out->port.ofproto)
            && peer->ports[i].port.ofp_port == out->port.ofp_port) {
            return;
        }
    }
    if (peer->n_ports < ZOOROUTE_MAX_PORTS) {
        peer->ports[peer->n_ports++] = (struct zooroute_port) {
            .port = out->port,
            .tun_id = (zooroute_config.probe_vni >= 0 && out->key_flow
                       ? htonll(zooroute_config.probe_vni) : out->tun_id),
        };
    }
    if (peer->n_ports == 1) {
        use_port(peer, 0);
    }
    set_known_ports(peer);
    atomic_store_relaxed(&peer->lost_port, false);
}

void
zooroute_lose_port(struct zooroute_peer *peer)
{
    bool lost_port;

    atomic_read_relaxed(&peer->lost_port, &lost_port);
    if (lost_port) {
        return;
    } else if (peer->n_ports > 1) {
        peer->ports[peer->port_index] = peer->ports[--peer->n_ports];
        use_port(peer, peer->port_index % peer->n_ports);
        set_known_ports(peer);
    } else {
        /* If there is another one, translation of its flows will tell. */
        atomic_store_relaxed(&peer->lost_port, true);
        zoo_quarantine_revalidate();
    }
}

void
zooroute_rotate_port(struct zooroute_peer *peer)
{
    if (peer->n_ports > 1) {
        use_port(peer, (peer->port_index + 1) % peer->n_ports);
        if (++peer->n_rotations < peer->n_ports) {
            /* It may have been the port, and not the path. */
            zoo_peer_forget_rounds(&peer->peer);
        }
    }
}

struct zooroute_peer *
zooroute_create(const struct zooroute_output *out)
{
    struct zooroute_peer *peer;
    uint64_t session;
    uint16_t slot;

    if (out->learned && zooroute_n_learned >= zooroute_config.max_peers) {
        zooroute_note_refused(zooroute_key_hash(&out->key));
        return NULL;
    }
    slot = (zoo_slot_count() < ZOO_SLOT_MAX
            && zooroute_new_session(&out->key, &session)
            ? zoo_slot_alloc(zoo_push_salt(&out->key.remote)) : 0);
    if (!slot) {
        zooroute_stats.no_slot++;
        return NULL;
    }

    peer = xzalloc(sizeof *peer);
    peer->key = out->key;
    peer->slot = slot;
    peer->learned = out->learned;
    peer->encap = out->encap;
    peer->dst.local = out->key.local;
    peer->dst.remote = out->key.remote;
    peer->dst.pkt_mark = out->key.pkt_mark;
    atomic_init(&peer->lost_port, false);
    atomic_init(&peer->known_ports, 0);
    zooroute_add_port(peer, out);
    atomic_init(&peer->takes_colors, false);
    zooroute_init_segment(peer);
    zoo_peer_init(&peer->peer, zooroute_segment_params(peer->segment),
                  &peer->key, zooroute_peer_key_len(),
                  zooroute_config.seed, session, zoo_now());
    zooroute_publish(peer);

    if (peer->learned) {
        zooroute_n_learned++;
        zooroute_update_room();
        forget_refused(zooroute_key_hash(&peer->key));
    }
    zoo_schedule_add(&zooroute_peer_schedule, &peer->schedule_node,
                     &peer->peer, LLONG_MAX);
    hmap_insert(&zooroute_sessions, &peer->session_node,
                hash_uint64(peer->peer.session));
    zoo_rx_expect(peer->peer.session);
    if (peer->key.pkt_mark) {
        hmap_insert(&zooroute_marked, &peer->marked_node,
                    hash_without_mark(&peer->key));
    }
    cmap_insert(&zooroute_peers, &peer->cmap_node, zooroute_key_hash(&peer->key));
    zooroute_status_changed();
    return peer;
}

/* A slot whose last datapath flow is gone. */
static void
free_slot(void *slot_)
{
    uint16_t *slot = slot_;

    ovs_mutex_lock(&zooroute_mutex);
    zoo_slot_free(*slot);
    ovs_mutex_unlock(&zooroute_mutex);
    free(slot);
}

void
zooroute_retire(struct zooroute_peer *peer)
{
    cmap_remove(&zooroute_peers, &peer->cmap_node, zooroute_key_hash(&peer->key));
    zoo_schedule_remove(&zooroute_peer_schedule, &peer->schedule_node);
    hmap_remove(&zooroute_sessions, &peer->session_node);
    zoo_rx_expect_no_more(peer->peer.session);
    if (peer->key.pkt_mark) {
        hmap_remove(&zooroute_marked, &peer->marked_node);
    }
    zooroute_n_learned -= peer->learned;
    zooroute_update_room();
    zooroute_stop_learning(peer);
    zoo_peer_uninit(&peer->peer);
    peer->retired = true;
    zoo_quarantine_add(free_slot, xmemdup(&peer->slot, sizeof peer->slot));
    ovsrcu_postpone(free, peer);
    zooroute_status_changed();
}
