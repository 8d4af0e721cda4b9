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
#include "zoo-peer-private.h"

#include <limits.h>
#include <string.h>

#include "util.h"
#include "zoo-peer-learn.h"

/* A peer of which nothing answers tries a new session after so many rounds. */
#define SESSION_ROUNDS_EXHAUSTED 32

/* Rounds of one session. */
#define MAX_ROUND (UINT32_MAX / 2)

const char *
zoo_peer_state_to_string(enum zoo_peer_state state)
{
    switch (state) {
    case ZOO_PEER_ACTIVE: return "active";
    case ZOO_PEER_IDLE: return "idle";
    case ZOO_PEER_LEGACY: return "legacy";
    case ZOO_PEER_EXHAUSTED: return "exhausted";
    case ZOO_PEER_UNSUPPORTED: return "unsupported";
    default: OVS_NOT_REACHED();
    }
}

void
zoo_peer_init(struct zoo_peer *peer, const struct zoo_params *params,
              const void *key, size_t key_len, uint32_t seed,
              uint64_t session, long long int now)
{
    memset(peer, 0, sizeof *peer);
    zoo_path_table_init(&peer->table, params->candidates, params->port_min,
                        params->port_max, key, key_len, seed);
    for (unsigned int i = 0; i < params->candidates; i++) {
        zoo_health_init(&peer->candidates[i].health, now);
    }
    zoo_peer_begin_session(peer, session);
    peer->state = ZOO_PEER_IDLE;
    peer->used_rotated = now;
    peer->next_fast = peer->next_full = peer->next_urgent = LLONG_MAX;
    peer->last_urgent = peer->link_down = peer->mass_loss = LLONG_MIN / 2;
    peer->restored = LLONG_MIN / 2;
    memset(peer->unused, UINT8_MAX, sizeof peer->unused);
    peer->last_used = now;
    peer->map_changed = true;
}

void
zoo_peer_uninit(struct zoo_peer *peer)
{
    free(peer->learner);
    free(peer->groups);
    peer->learner = NULL;
    peer->groups = NULL;
}

void
zoo_peer_copy(struct zoo_peer *copy, const struct zoo_peer *peer)
{
    *copy = *peer;
    if (peer->learner) {
        copy->learner = xmemdup(peer->learner, sizeof *peer->learner);
    }
    if (peer->groups) {
        copy->groups = xmemdup(peer->groups, sizeof *peer->groups);
    }
}

void
zoo_peer_set_candidates(struct zoo_peer *peer,
                        const struct zoo_params *params, const void *key,
                        size_t key_len, uint32_t seed, long long int now)
{
    struct zoo_candidate candidates[ZOO_MAX_CANDIDATES];
    struct zoo_path_table old = peer->table;

    memcpy(candidates, peer->candidates, sizeof candidates);
    zoo_peer_stop_learning(peer);
    zoo_peer_forget_echoes(peer);
    zoo_peer_forget_rounds(peer);
    zoo_path_table_init(&peer->table, params->candidates, params->port_min,
                        params->port_max, key, key_len, seed);
    for (unsigned int i = 0; i < params->candidates; i++) {
        /* Ports may have been exchanged, or learned. */
        int was = zoo_path_table_find(&old, peer->table.sport[i]);

        if (was >= 0) {
            peer->candidates[i] = candidates[was];
        } else {
            memset(&peer->candidates[i], 0, sizeof peer->candidates[i]);
            zoo_health_init(&peer->candidates[i].health, now);
        }
    }
    peer->probed = peer->forgiven = 0;
    peer->map_changed = true;
    if (peer->state != ZOO_PEER_IDLE) {
        peer->next_full = MIN(peer->next_full, now);
        zoo_peer_settle(peer, params, now);
    }
}

uint32_t
zoo_peer_in_state(const struct zoo_peer *peer, enum zoo_health_state state)
{
    uint32_t set = 0;

    for (unsigned int i = 0; i < peer->table.n; i++) {
        if (zoo_health_state(&peer->candidates[i].health) == state) {
            set |= bit(i);
        }
    }
    return set;
}

uint32_t
zoo_peer_healthy(const struct zoo_peer *peer)
{
    return zoo_peer_in_state(peer, ZOO_HEALTH_UP);
}

void
zoo_peer_used_within(const struct zoo_peer *peer, long long int periods,
                     bool used[ZOO_N_BUCKETS])
{
    for (size_t b = 0; b < ZOO_N_BUCKETS; b++) {
        used[b] = peer->unused[b] <= periods;
    }
}

uint32_t
zoo_peer_in_use(const struct zoo_peer *peer)
{
    bool used[ZOO_N_BUCKETS];

    zoo_peer_used_within(peer, ZOO_PEER_IN_USE, used);
    return zoo_path_table_owners(&peer->table, used);
}

/* Returns true if candidates are known to lead to several middleboxes. */
static bool
leads_to_several(const struct zoo_peer *peer)
{
    uint8_t group = 0;

    for (unsigned int i = 0; i < peer->table.n; i++) {
        uint8_t g = peer->candidates[i].group;

        if (g && group && g != group) {
            return true;
        }
        group = group ? group : g;
    }
    return false;
}

void
zoo_peer_set_state(struct zoo_peer *peer, enum zoo_peer_state state)
{
    /* Upstream's port might lead to another one of several middleboxes, which
     * would break what could go on when paths are back. */
    bool upstream = (state == ZOO_PEER_LEGACY || state == ZOO_PEER_UNSUPPORTED
                     || (state == ZOO_PEER_EXHAUSTED
                         && !leads_to_several(peer)));

    if (peer->state != state) {
        peer->state = state;
        peer->backoff = peer->session_backoff = 0;
    }
    /* An idle peer keeps the map that it had. */
    if (state != ZOO_PEER_IDLE && peer->upstream != upstream) {
        peer->upstream = upstream;
        peer->map_changed = true;
    }
}

/* Schedule. */

/* Begins probing after a time without tenant traffic. */
static void
wake_up(struct zoo_peer *peer, long long int now)
{
    zoo_peer_set_state(peer, zoo_peer_awake_state(peer));
    peer->active_since = now;
    peer->n_silent = peer->n_forgiven = peer->n_clean = 0;
    for (unsigned int i = 0; i < peer->table.n; i++) {
        /* What failed before says nothing about a probe that fails now. */
        peer->candidates[i].health.fails = 0;
    }
    peer->next_full = peer->next_fast = now;
    peer->next_urgent = LLONG_MAX;
}

void
zoo_peer_forget_rounds(struct zoo_peer *peer)
{
    FOR_EACH_OPEN_ROUND (r, peer) {
        r->open = 0;
    }
}

static void
fall_asleep(struct zoo_peer *peer, const struct zoo_params *params,
            long long int now)
{
    zoo_peer_forget_rounds(peer);
    memset(peer->unused, UINT8_MAX, sizeof peer->unused);
    zoo_peer_forget_sessions(peer);
    /* Now rather than under the first sessions that wake it up. */
    zoo_peer_return_idle(peer, params, now);
    zoo_peer_stop_learning(peer);
    zoo_peer_set_state(peer, ZOO_PEER_IDLE);
    peer->next_full = peer->next_fast = peer->next_urgent = LLONG_MAX;
}

void
zoo_peer_use(struct zoo_peer *peer, const bool used[ZOO_N_BUCKETS],
             const struct zoo_params *params, long long int now)
{
    long long int periods = (now - peer->used_rotated) / ZOO_PEER_USE_PERIOD;
    bool any = false;

    if (!used && peer->state == ZOO_PEER_IDLE) {
        return;
    }
    if (periods > 0) {
        for (size_t b = 0; b < ZOO_N_BUCKETS; b++) {
            peer->unused[b] = MIN(peer->unused[b] + periods, UINT8_MAX);
        }
        peer->used_rotated += periods * ZOO_PEER_USE_PERIOD;
    }
    if (used && peer->state == ZOO_PEER_IDLE) {
        /* What is used now has been idle until now. */
        zoo_peer_return_idle(peer, params, now);
    }
    for (size_t b = 0; used && b < ZOO_N_BUCKETS; b++) {
        if (used[b]) {
            if (peer->unused[b] > ZOO_PEER_IN_USE) {
                zoo_peer_begin_sessions(peer, b, now);
            }
            peer->unused[b] = 0;
            any = true;
        }
    }

    if (any) {
        peer->last_used = now;
        if (peer->state == ZOO_PEER_IDLE) {
            wake_up(peer, now);
        }
    } else if (peer->state != ZOO_PEER_IDLE
               && now - peer->last_used > params->peer_idle) {
        fall_asleep(peer, params, now);
    }
}

/* Returns the set to probe in the background of a peer that has no choice of
 * paths, which is asked ever more seldom. */
static uint32_t
run_backoff(struct zoo_peer *peer, const struct zoo_params *params,
            long long int now)
{
    bool exhausted = peer->state == ZOO_PEER_EXHAUSTED;
    uint32_t set = 0;

    if (now < peer->next_full) {
        return 0;
    }
    peer->urgent = true;
    peer->next_full = now + zoo_peer_backoff_interval(peer, params);
    if (exhausted) {
        peer->next_full
            = zoo_peer_next_phase(peer, params,
                                  zoo_peer_backoff_interval(peer, params),
                                  now);
        set = all_candidates(peer);
    } else {
        for (unsigned int k = 0; k < MIN(ZOO_PEER_LEGACY_CANDIDATES, peer->table.n);
             k++) {
            set |= bit((peer->backoff * ZOO_PEER_LEGACY_CANDIDATES + k)
                       % peer->table.n);
        }
    }
    peer->backoff++;
    return set;
}

static uint32_t
run_active(struct zoo_peer *peer, const struct zoo_params *params,
           enum zoo_budget budget, long long int now)
{
    long long int fast = zoo_peer_fast_interval(peer, params);

    /* A report that is only late, for which others are asked at once, is no
     * loss. */
    if (zoo_peer_healthy(peer) != all_candidates(peer)) {
        peer->n_clean = 0;
    }
    if (budget == ZOO_BUDGET_SCARCE && now >= peer->next_full) {
        peer->next_full = now + fast;
    }
    peer->urgent = now >= peer->next_urgent;
    if (peer->urgent || now >= peer->next_full) {
        if (peer->urgent) {
            peer->last_urgent = now;
            peer->next_urgent = LLONG_MAX;
        } else if (peer->n_clean < ZOO_PEER_CALM_ROUNDS) {
            peer->n_clean++;
        }
        peer->next_fast = zoo_peer_next_phase(peer, params, fast, now);
        peer->next_full
            = zoo_peer_next_phase(peer, params,
                                  zoo_peer_full_interval(peer, params), now);
        return (peer->urgent ? all_candidates(peer)
                : zoo_peer_due(peer, params, all_candidates(peer), now));
    } else if (now >= peer->next_fast && !peer->n_silent) {
        peer->next_fast = zoo_peer_next_phase(peer, params, fast, now);
        return (peer->overdue ? 0
                : peer->forgiven && budget == ZOO_BUDGET_AMPLE
                ? all_candidates(peer)
                : zoo_peer_due(peer, params, zoo_peer_in_use(peer), now));
    }
    return 0;
}

uint32_t
zoo_peer_run_within(struct zoo_peer *peer, const struct zoo_params *params,
                    enum zoo_budget budget, long long int now)
{
    uint32_t set;

    if (peer->state == ZOO_PEER_IDLE) {
        return 0;
    }
    zoo_peer_expire_rounds(peer, params, now);
    zoo_peer_settle(peer, params, now);
    set = (budget == ZOO_BUDGET_NONE ? 0
           : peer->state == ZOO_PEER_ACTIVE
           ? run_active(peer, params, budget, now)
           : run_backoff(peer, params, now));
    if (set) {
        peer->round++;
        peer->probed = set;
    }
    return set;
}

uint32_t
zoo_peer_run(struct zoo_peer *peer, const struct zoo_params *params,
             long long int now)
{
    return zoo_peer_run_within(peer, params, ZOO_BUDGET_AMPLE, now);
}

bool
zoo_peer_needs_session(const struct zoo_peer *peer)
{
    return (peer->round >= MAX_ROUND
            || (peer->state == ZOO_PEER_EXHAUSTED
                && peer->backoff >= (peer->session_backoff
                                     + SESSION_ROUNDS_EXHAUSTED)));
}

void
zoo_peer_begin_session(struct zoo_peer *peer, uint64_t session)
{
    peer->session = session ? session : 1;
    peer->session_backoff = peer->backoff;
    peer->round = 0;
    peer->challenge = 0;
    for (unsigned int g = 0; g <= (peer->groups ? ZOO_PEER_MAX_GROUPS : 0);
         g++) {
        zoo_peer_group(peer, g)->memory = 0;
    }
    memset(peer->rounds, 0, sizeof peer->rounds);
}

bool
zoo_peer_hint(struct zoo_peer *peer, const struct zoo_params *params,
              long long int now)
{
    long long int soon;

    if (!zoo_peer_takes_hints(peer)) {
        return false;
    }
    /* All requests of a round hint, and so do those of the next ones though
     * nothing arrives there. */
    soon = MAX(now, peer->last_hint + zoo_peer_hint_interval(peer, params));
    if (peer->next_full <= soon) {
        return false;
    }
    peer->next_full = peer->last_hint = soon;
    return true;
}

void
zoo_peer_sent(struct zoo_peer *peer, bool ok, long long int now)
{
    struct zoo_open_round *r;

    r = &peer->rounds[peer->round % ZOO_PEER_MAX_ROUNDS];
    *r = (struct zoo_open_round) {
        .id = peer->round,
        .open = ok ? peer->probed : 0,
        .sent = now,
    };
    FOR_EACH_CANDIDATE (i, r->open) {
        peer->candidates[i].sent++;
    }

    /* Each try may ask the network for a neighbor: not too often. */
    peer->n_unsent = ok ? 0 : peer->n_unsent + 1;
    if (!ok) {
        long long int wait = MIN(20 * MSEC << MIN(peer->n_unsent, 6), SEC);

        peer->next_fast = MAX(peer->next_fast, now + wait);
        peer->next_full = MAX(peer->next_full, now + wait);
        peer->next_urgent = LLONG_MAX;
    }
}

void
zoo_peer_link_down(struct zoo_peer *peer, long long int now)
{
    zoo_peer_forget_rounds(peer);
    peer->link_down = now;
    peer->n_silent = peer->n_forgiven = 0;
}

bool
zoo_peer_is_urgent(const struct zoo_peer *peer, long long int now)
{
    return peer->state == ZOO_PEER_ACTIVE && now >= peer->next_urgent;
}

long long int
zoo_peer_next_round(const struct zoo_peer *peer)
{
    long long int next = peer->next_full;

    if (peer->state == ZOO_PEER_IDLE) {
        return LLONG_MAX;
    } else if (peer->state == ZOO_PEER_ACTIVE) {
        next = MIN(next, peer->next_urgent);
        if (!peer->n_silent) {
            next = MIN(next, peer->next_fast);
        }
    }
    return next;
}

long long int
zoo_peer_next_verdict(const struct zoo_peer *peer,
                      const struct zoo_params *params)
{
    long long int next = LLONG_MAX;

    if (peer->state == ZOO_PEER_IDLE) {
        return LLONG_MAX;
    }
    FOR_EACH_OPEN_ROUND (r, CONST_CAST(struct zoo_peer *, peer)) {
        FOR_EACH_CANDIDATE (i, r->open & r->absent) {
            next = MIN(next, (r->sent
                              + zoo_peer_candidate_timeout(peer, params, i)));
        }
        if (r->open & ~r->absent) {
            next = MIN(next,
                       r->sent + (r->urged
                                  ? zoo_peer_silence_timeout(peer, params)
                                  : zoo_peer_timeout(peer, params)));
        }
    }
    return next;
}

long long int
zoo_peer_next(const struct zoo_peer *peer, const struct zoo_params *params)
{
    return MIN(zoo_peer_next_round(peer),
               zoo_peer_next_verdict(peer, params));
}

void
zoo_peer_request(const struct zoo_peer *peer, uint32_t set,
                 struct zoo_probe *probe)
{
    memset(probe, 0, sizeof *probe);
    probe->type = ZOO_PROBE_REQUEST;
    probe->flags = ((peer->urgent ? ZOO_PROBE_F_URGENT : 0)
                    | (set == all_candidates(peer) ? ZOO_PROBE_F_ALL : 0));
    probe->round = peer->round;
    probe->session = peer->session;
    probe->challenge = peer->challenge;
    FOR_EACH_CANDIDATE (i, set) {
        struct zoo_probe_entry *e = &probe->entries[probe->n_entries++];

        e->sport = peer->table.sport[i];
        if (peer->learner) {
            zoo_probe_set_echo(e, peer->learner->echo[i]);
        }
    }
}

void
zoo_peer_force(struct zoo_peer *peer, const struct zoo_params *params,
               unsigned int i, enum zoo_health_forced forced,
               long long int now)
{
    struct zoo_health *h = &peer->candidates[i].health;

    h->forced = forced;
    if (forced == ZOO_FORCED_DOWN) {
        /* There is no loss: whatever answered in the last full round will
         * do. */
        h->first_fail = now - 2 * zoo_peer_full_interval(peer, params);
    }
    zoo_peer_settle(peer, params, now);
}

bool
zoo_peer_is_forced(const struct zoo_peer *peer)
{
    for (unsigned int i = 0; i < peer->table.n; i++) {
        if (peer->candidates[i].health.forced) {
            return true;
        }
    }
    return false;
}

uint32_t
zoo_peer_leads_to(const struct zoo_peer *peer, struct eth_addr backend)
{
    uint32_t set = 0;

    for (unsigned int i = 0; i < peer->table.n; i++) {
        uint8_t group = peer->candidates[i].group;

        if (group && eth_addr_equals(zoo_peer_group(peer, group)->backend,
                                     backend)) {
            set |= bit(i);
        }
    }
    return set;
}

unsigned int
zoo_peer_report_ports(const struct zoo_peer *peer, struct eth_addr backend,
                      uint32_t salt, uint16_t sports[], unsigned int n)
{
    uint32_t healthy = zoo_peer_healthy(peer);
    uint32_t there = zoo_peer_leads_to(peer, backend);
    uint32_t set = (there & healthy ? there & healthy
                    : there ? there
                    : healthy ? healthy
                    : all_candidates(peer));
    unsigned int n_set, skip, n_sports = 0;

    n_set = count_1bits(set);
    n = MIN(n, n_set);
    skip = salt % n_set;
    for (unsigned int k = 0; n_sports < n; k = (k + 1) % peer->table.n) {
        if (set & bit(k)) {
            if (skip) {
                skip--;
            } else {
                sports[n_sports++] = peer->table.sport[k];
            }
        }
    }
    return n_sports;
}
