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

/* Several middleboxes with one address, of which each knows its own sessions
 * only: sessions stay where they are known, however the underlay sends what
 * candidates carry. */

#include <config.h>
#include "zoo-peer-private.h"

#include <limits.h>
#include <string.h>

#include "bitmap.h"
#include "util.h"
#include "zoo-peer-learn.h"

/* Sessions of a group that no candidate leads to any more are remembered for
 * two intervals of rounds of all, and this long at least: routing may take a
 * moment to settle, and lead everything to one machine meanwhile. */
#define MIN_GONE_TIME SEC

/* Returns the group of a BackendID that has none yet: one that is free, or
 * else one that no candidate leads to any more, or 0. */
static uint8_t
new_group(struct zoo_peer *peer, struct eth_addr backend)
{
    unsigned long in_use[BITMAP_N_LONGS(ZOO_PEER_MAX_GROUPS + 1)] = { 0 };
    unsigned int g;

    for (unsigned int i = 0; i < peer->table.n; i++) {
        bitmap_set1(in_use, peer->candidates[i].group);
    }
    if (!peer->groups) {
        peer->groups = xzalloc(sizeof *peer->groups);
    }
    for (g = 1; g <= ZOO_PEER_MAX_GROUPS; g++) {
        if (eth_addr_is_zero(zoo_peer_group(peer, g)->backend)) {
            break;
        }
    }
    if (g > ZOO_PEER_MAX_GROUPS) {
        g = bitmap_scan(in_use, false, 1, ZOO_PEER_MAX_GROUPS + 1);
    }
    if (g > ZOO_PEER_MAX_GROUPS) {
        return 0;
    }
    *zoo_peer_group(peer, g) = (struct zoo_group) { .backend = backend };
    for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
        if (peer->groups->session[b] == g) {
            peer->groups->session[b] = 0;
        }
    }
    return g;
}

uint8_t
zoo_peer_backend_group(struct zoo_peer *peer, struct eth_addr backend)
{
    if (eth_addr_is_zero(backend)) {
        return 0;
    }
    for (unsigned int g = 1; peer->groups && g <= ZOO_PEER_MAX_GROUPS; g++) {
        if (eth_addr_equals(zoo_peer_group(peer, g)->backend, backend)) {
            return g;
        }
    }
    return new_group(peer, backend);
}

bool
zoo_peer_led_to(struct zoo_peer *peer, unsigned int i, uint8_t group,
                long long int sent)
{
    struct zoo_candidate *c = &peer->candidates[i];
    struct zoo_groups *groups = peer->groups;
    bool changed = c->group && group && c->group != group;

    c->group = group;
    if (groups) {
        groups->gone_since[group] = 0;
        groups->dealt[group] = false;
        if (changed) {
            groups->changed = MAX(groups->changed, sent);
        }
    }
    return changed;
}

bool
zoo_peer_leads_still(const struct zoo_peer *peer, unsigned int i)
{
    return (!peer->groups
            || peer->candidates[i].validated >= peer->groups->changed);
}

/* Sessions. */

/* Marks in 'busy' the buckets that may have sessions in them, which would break
 * at another middlebox, however seldom they have something to say. */
static void
with_sessions(const struct zoo_peer *peer, const struct zoo_params *params,
              bool busy[ZOO_N_BUCKETS])
{
    long long int idle = MIN(params->peer_idle / ZOO_PEER_USE_PERIOD,
                             UINT8_MAX - 1);

    zoo_peer_used_within(peer, MAX(ZOO_PEER_IN_USE, idle), busy);
}

void
zoo_peer_begin_sessions(struct zoo_peer *peer, unsigned int b,
                        long long int now)
{
    struct zoo_groups *groups = peer->groups;

    if (groups && !groups->session[b]) {
        groups->asked[b] = now;
    }
}

void
zoo_peer_note_sessions(struct zoo_peer *peer, const struct zoo_params *params)
{
    struct zoo_groups *groups = peer->groups;
    bool busy[ZOO_N_BUCKETS];

    if (!groups) {
        return;
    }
    with_sessions(peer, params, busy);
    for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
        const struct zoo_candidate *c
            = &peer->candidates[peer->table.owner[b]];

        if (!busy[b]) {
            groups->session[b] = 0;
        } else if (!groups->session[b] && c->validated >= groups->asked[b]
                   && zoo_health_state(&c->health) == ZOO_HEALTH_UP) {
            groups->session[b] = c->group;
        }
    }
}

void
zoo_peer_forget_sessions(struct zoo_peer *peer)
{
    if (peer->groups) {
        memset(peer->groups->session, 0, sizeof peer->groups->session);
    }
}

void
zoo_peer_lose_sessions(struct zoo_peer *peer,
                       const uint8_t before[ZOO_N_BUCKETS], long long int now)
{
    const uint8_t *owner = peer->table.owner;
    struct zoo_groups *groups = peer->groups;

    for (unsigned int b = 0; groups && b < ZOO_N_BUCKETS; b++) {
        if (owner[b] != before[b]
            && groups->session[b] != peer->candidates[owner[b]].group) {
            groups->session[b] = 0;
            groups->asked[b] = now;
        }
    }
}

void
zoo_peer_keep_groups(const struct zoo_peer *peer,
                     const struct zoo_params *params,
                     const struct zoo_path_rank rank[],
                     uint8_t keep[ZOO_N_BUCKETS])
{
    bool busy[ZOO_N_BUCKETS];

    with_sessions(peer, params, busy);
    for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
        uint8_t session = peer->groups ? peer->groups->session[b] : 0;

        keep[b] = (!busy[b] || params->shared_candidates
                   ? rank[zoo_peer_home(peer, b)].group
                   : session ? session : rank[peer->table.owner[b]].group);
    }
}

/* Returns true if bucket 'b' has sessions, and its candidate is thought to
 * work, but leads to another group. */
static bool
is_astray(const struct zoo_peer *peer, unsigned int b)
{
    const struct zoo_candidate *c = &peer->candidates[peer->table.owner[b]];
    uint8_t session = peer->groups->session[b];

    return (session && session != c->group
            && zoo_health_state(&c->health) != ZOO_HEALTH_DOWN);
}

/* Stores into 'leads' which candidates lead to each group, and work, and into
 * '*some' all of these.  Returns the candidates of which that is unknown. */
static uint32_t
find_leads(const struct zoo_peer *peer,
           uint32_t leads[ZOO_PEER_MAX_GROUPS + 1], uint32_t *some)
{
    uint32_t unknown = 0;

    memset(leads, 0, (ZOO_PEER_MAX_GROUPS + 1) * sizeof *leads);
    *some = 0;
    for (unsigned int i = 0; i < peer->table.n; i++) {
        const struct zoo_candidate *c = &peer->candidates[i];
        enum zoo_health_state state = zoo_health_state(&c->health);

        if (state == ZOO_HEALTH_DOWN) {
            continue;
        } else if (!zoo_peer_leads_still(peer, i)) {
            unknown |= bit(i);
        } else if (state == ZOO_HEALTH_UP && !c->health.fails) {
            leads[c->group] |= bit(i);
            *some |= bit(i);
        }
    }
    return unknown;
}

/* Moves bucket 'b' to one of 'set', if possible its home, or else as
 * zoo_path_table_move() does. */
static void
move(struct zoo_peer *peer, unsigned int b, uint32_t set, bool only_better,
     const struct zoo_path_rank rank[])
{
    unsigned int from = peer->table.owner[b];
    unsigned int home = zoo_peer_home(peer, b);

    if (set & bit(home) && !only_better) {
        set = bit(home);
    }
    if (zoo_path_table_move(&peer->table, b, set, only_better, rank)) {
        peer->groups->left |= bit(from);
        peer->map_changed = true;
    }
}

void
zoo_peer_reunite(struct zoo_peer *peer, const struct zoo_params *params,
                 long long int now)
{
    long long int gone = MAX(2 * zoo_peer_full_interval(peer, params),
                             MIN_GONE_TIME);
    struct zoo_path_rank rank[ZOO_MAX_CANDIDATES];
    uint32_t leads[ZOO_PEER_MAX_GROUPS + 1];
    uint8_t astray[ZOO_N_BUCKETS];
    unsigned int n = 0, n_gone = 0;
    struct zoo_groups *groups = peer->groups;
    uint32_t unknown, some;

    if (!groups || zoo_peer_is_learning(peer) || params->shared_candidates) {
        return;
    }
    for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
        if (is_astray(peer, b)) {
            astray[n++] = b;
        }
    }
    if (!n) {
        return;
    }

    zoo_peer_get_rank(peer, rank);
    unknown = find_leads(peer, leads, &some);
    for (unsigned int k = 0; k < n; k++) {
        unsigned int b = astray[k];
        uint32_t there = leads[groups->session[b]];

        if (there) {
            move(peer, b, there, false, rank);
        } else {
            astray[n_gone++] = b;
        }
    }

    /* Those whose group is gone go anywhere, evenly, once that is known to be
     * so. */
    for (unsigned int k = 0; k < n_gone; k++) {
        unsigned int b = astray[k];
        uint8_t group = groups->session[b];

        if (!unknown && some && !groups->dealt[group]) {
            move(peer, b, some, true, rank);
        }
        if (!groups->gone_since[group]) {
            groups->gone_since[group] = now;
        }
        if (now - groups->gone_since[group] >= gone) {
            groups->session[b] = 0;
            groups->asked[b] = now;
        }
    }
    for (unsigned int k = 0; !unknown && some && k < n_gone; k++) {
        groups->dealt[groups->session[astray[k]]] = true;
    }
}
