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
#include "zoo-peer.h"

#include <limits.h>
#include <string.h>

#include "bitmap.h"
#include "util.h"

#define MSEC (1000 * 1000LL)
#define SEC (1000 * MSEC)

/* Bounds of the timeout of a round. */
#define MIN_TIMEOUT (20 * MSEC)
#define FIRST_TIMEOUT (400 * MSEC)
#define MAX_TIMEOUT SEC
#define TIMEOUT_MARGIN (10 * MSEC)

/* What 'rttvar_us' holds. */
#define MAX_RTTVAR_US ((1 << 24) - 1)

/* How long a responder may wait for stragglers. */
#define HOLD (2 * MSEC)

/* Rounds in a row that this program may run late without drawing a
 * conclusion. */
#define MAX_FORGIVEN 2

/* A peer of which nothing answers tries a new session after so many rounds. */
#define SESSION_ROUNDS_EXHAUSTED 32

/* Rounds of one session. */
#define MAX_ROUND (UINT32_MAX / 2)

/* Silence this much longer than the timeout is failure of every candidate in
 * the round. */
#define SILENCE (300 * MSEC)

/* A peer that has been asked for this long without an answer is legacy. */
#define LEGACY_AFTER SEC
#define LEGACY_MAX_BACKOFF (60 * SEC)
#define LEGACY_CANDIDATES 4
#define EXHAUSTED_MAX_BACKOFF SEC

/* A bucket counts as used for one to two of these. */
#define USE_PERIOD SEC

/* Reports of rewritten ports in a row that are believed. */
#define REWRITTEN_REPORTS 3

static uint32_t
bit(unsigned int i)
{
    return UINT32_C(1) << i;
}

static uint32_t
all_candidates(const struct zoo_peer *peer)
{
    return peer->table.n == 32 ? UINT32_MAX : bit(peer->table.n) - 1;
}

#define FOR_EACH_CANDIDATE(I, SET)                              \
    for (uint32_t set__ = (SET), I = 0;                         \
         set__ && (I = raw_ctz(set__), true);                   \
         set__ = zero_rightmost_1bit(set__))

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
    peer->last_urgent = LLONG_MIN / 2;
    peer->last_used = now;
    peer->map_changed = true;
}

static uint32_t
candidates_in_state(const struct zoo_peer *peer, enum zoo_health_state state)
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
    return candidates_in_state(peer, ZOO_HEALTH_UP);
}

static void
used_lately(const struct zoo_peer *peer, bool used[ZOO_N_BUCKETS])
{
    for (size_t b = 0; b < ZOO_N_BUCKETS; b++) {
        used[b] = (bitmap_is_set(peer->used[0], b)
                   || bitmap_is_set(peer->used[1], b));
    }
}

uint32_t
zoo_peer_in_use(const struct zoo_peer *peer)
{
    bool used[ZOO_N_BUCKETS];

    used_lately(peer, used);
    return zoo_path_table_owners(&peer->table, used);
}

long long int
zoo_peer_timeout(const struct zoo_peer *peer,
                 const struct zoo_params *params OVS_UNUSED)
{
    if (!peer->srtt) {
        return FIRST_TIMEOUT;
    }
    return MAX(MIN_TIMEOUT,
               MIN(MAX_TIMEOUT,
                   peer->srtt + MAX(TIMEOUT_MARGIN, 4 * peer->rttvar)));
}

/* Returns how long the answer to a probe of candidate 'i' may take.  A report
 * tells of the fastest candidates first, and the paths of others may be
 * longer. */
static long long int
candidate_timeout(const struct zoo_peer *peer, const struct zoo_params *params,
                  unsigned int i)
{
    const struct zoo_candidate *c = &peer->candidates[i];
    long long int us = c->rtt_us + 4LL * c->rttvar_us;

    if (!us) {
        return MAX(zoo_peer_timeout(peer, params), FIRST_TIMEOUT);
    }
    return MAX(zoo_peer_timeout(peer, params),
               MIN(MAX_TIMEOUT, us * 1000 + HOLD + TIMEOUT_MARGIN / 2));
}

static long long int
silence_timeout(const struct zoo_peer *peer, const struct zoo_params *params)
{
    long long int timeout = zoo_peer_timeout(peer, params);

    return MAX(4 * timeout, timeout + SILENCE);
}

static void
set_state(struct zoo_peer *peer, enum zoo_peer_state state)
{
    bool upstream = (state == ZOO_PEER_LEGACY || state == ZOO_PEER_EXHAUSTED
                     || state == ZOO_PEER_UNSUPPORTED);

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

/* Buckets. */

static void
get_rank(const struct zoo_peer *peer, struct zoo_path_rank rank[])
{
    for (unsigned int i = 0; i < peer->table.n; i++) {
        rank[i].group = peer->candidates[i].group;
        rank[i].failure_free = peer->candidates[i].health.failure_free;
    }
}

/* Returns the candidates that may take buckets of one that failed a probe sent
 * at 'loss': only those that are known to work since. */
static uint32_t
eligible_since(const struct zoo_peer *peer, long long int loss)
{
    uint32_t set = 0;

    FOR_EACH_CANDIDATE (i, zoo_peer_healthy(peer)) {
        const struct zoo_candidate *c = &peer->candidates[i];

        if (c->health.forced == ZOO_FORCED_UP
            || (!c->health.fails && c->validated > loss)) {
            set |= bit(i);
        }
    }
    return set;
}

/* Moves the buckets of candidates that are down as far as there is a place for
 * them. */
static void
evacuate(struct zoo_peer *peer, long long int now)
{
    uint32_t displaced = (zoo_path_table_owners(&peer->table, NULL)
                          & candidates_in_state(peer, ZOO_HEALTH_DOWN));
    struct zoo_path_rank rank[ZOO_MAX_CANDIDATES];
    uint32_t in_use;

    if (!displaced) {
        return;
    }
    get_rank(peer, rank);
    in_use = zoo_peer_in_use(peer);
    FOR_EACH_CANDIDATE (i, displaced) {
        const struct zoo_health *h = &peer->candidates[i].health;
        uint32_t eligible = eligible_since(peer, h->first_fail);

        peer->split |= eligible && !h->forced && !h->collective;
        if (zoo_path_table_evacuate(&peer->table, i, eligible, rank)) {
            peer->map_changed = true;
            peer->moved_from |= bit(i);
            if (in_use & bit(i)) {
                peer->failovers++;
                peer->last_failover = now;
                peer->outage = now - h->first_fail;
            }
        }
    }
}

static void
return_home(struct zoo_peer *peer, const struct zoo_params *params,
            long long int now)
{
    struct zoo_path_rank rank[ZOO_MAX_CANDIDATES];
    bool used[ZOO_N_BUCKETS];

    get_rank(peer, rank);
    used_lately(peer, used);
    FOR_EACH_CANDIDATE (i, zoo_peer_healthy(peer)) {
        const struct zoo_health *h = &peer->candidates[i].health;

        if ((!h->fails || h->forced)
            && now >= zoo_health_return_time(h, params)
            && zoo_path_table_return_home(&peer->table, i, rank, used)) {
            peer->map_changed = true;
            peer->returned |= bit(i);
        }
    }
}

/* While the peer answered nothing at all, nothing was learned about single
 * candidates. */
static void
forget_failures(struct zoo_peer *peer)
{
    for (unsigned int i = 0; i < peer->table.n; i++) {
        struct zoo_health *h = &peer->candidates[i].health;

        if (h->state == ZOO_HEALTH_DOWN) {
            h->state = ZOO_HEALTH_UNKNOWN;
            h->was_down = h->collective = false;
            h->fails = 0;
        }
    }
}

/* Does what follows from changes of candidates' health. */
static void
settle(struct zoo_peer *peer, const struct zoo_params *params,
       long long int now)
{
    if (candidates_in_state(peer, ZOO_HEALTH_DOWN) == all_candidates(peer)) {
        for (unsigned int i = 0; i < peer->table.n; i++) {
            zoo_health_set_collective(&peer->candidates[i].health);
        }
        if (peer->state == ZOO_PEER_ACTIVE) {
            set_state(peer, (peer->answered ? ZOO_PEER_EXHAUSTED
                             : ZOO_PEER_LEGACY));
            peer->next_full = now;
            peer->all_failed |= peer->answered;
        }
        return;
    }
    if (peer->state == ZOO_PEER_EXHAUSTED || peer->state == ZOO_PEER_LEGACY) {
        if (!zoo_peer_healthy(peer)) {
            return;
        }
        if (peer->state == ZOO_PEER_LEGACY) {
            forget_failures(peer);
        }
        set_state(peer, ZOO_PEER_ACTIVE);
        peer->next_fast = peer->next_full = now;
    }
    return_home(peer, params, now);
    evacuate(peer, now);
}

/* Rounds. */

static void
request_urgent(struct zoo_peer *peer, const struct zoo_params *params,
               long long int now)
{
    /* Each round that meets silence doubles the distance to the next.  A round
     * must still be among the open ones when its silence becomes failure. */
    long long int gap = MAX((zoo_peer_timeout(peer, params)
                             << MIN(peer->n_silent, 3)) / 2,
                            silence_timeout(peer, params)
                            / (ZOO_PEER_MAX_ROUNDS / 2 - 2));

    peer->next_urgent = MIN(peer->next_urgent,
                            MAX(now, peer->last_urgent + gap));
}

static void
candidate_arrived(struct zoo_peer *peer, const struct zoo_params *params,
                  struct zoo_open_round *r, unsigned int i, long long int now)
{
    struct zoo_candidate *c = &peer->candidates[i];
    bool was_down = c->health.state == ZOO_HEALTH_DOWN;

    r->open &= ~bit(i);
    c->validated = MAX(c->validated, r->sent);
    if (zoo_health_success(&c->health, params, now) && was_down) {
        peer->came_up |= bit(i);
    }
}

static void
candidate_failed(struct zoo_peer *peer, const struct zoo_params *params,
                 struct zoo_open_round *r, unsigned int i, long long int now)
{
    struct zoo_candidate *c = &peer->candidates[i];
    bool was_down = c->health.state == ZOO_HEALTH_DOWN;

    r->open &= ~bit(i);
    r->failed |= bit(i);
    c->lost++;
    if (c->validated > r->sent && params->fail_threshold > 1) {
        /* A later one has arrived, so this failure is not one of several in a
         * row, and the path is good again. */
        c->health.failure_free = now;
        return;
    }
    if (zoo_health_failure(&c->health, params, r->sent, now)) {
        peer->went_down |= bit(i);
        if (!peer->answered) {
            zoo_health_set_collective(&c->health);
        }
    }
    if (!was_down && zoo_path_table_owners(&peer->table, NULL) & bit(i)) {
        /* Either a second probe is needed to confirm the loss, or an answer of
         * the others since, to have a place for the buckets. */
        request_urgent(peer, params, now);
    }
}

/* Returns those of the open candidates of 'r' that are not down: their fate
 * matters. */
static uint32_t
open_and_not_down(const struct zoo_peer *peer, const struct zoo_open_round *r)
{
    uint32_t set = 0;

    FOR_EACH_CANDIDATE (i, r->open) {
        if (peer->candidates[i].health.state != ZOO_HEALTH_DOWN) {
            set |= bit(i);
        }
    }
    return set;
}

/* The time of 'r' is over: fails what is known to be absent, and deals with
 * silence. */
static void
expire_round(struct zoo_peer *peer, const struct zoo_params *params,
             struct zoo_open_round *r, long long int now)
{
    long long int deadline = r->sent + zoo_peer_timeout(peer, params);

    FOR_EACH_CANDIDATE (i, r->open & r->absent) {
        if (now >= r->sent + candidate_timeout(peer, params, i)) {
            candidate_failed(peer, params, r, i, now);
        }
    }
    if (!(r->open & ~r->absent)) {
        return;
    }

    if (!r->urged) {
        long long int late = (zoo_peer_tick(params)
                              + zoo_peer_timeout(peer, params) / 2);

        r->urged = true;
        if (now - deadline > late && !r->answered
            && peer->n_forgiven < MAX_FORGIVEN) {
            /* It is this program that ran late, which says nothing about the
             * path: ask again. */
            peer->n_forgiven++;
            r->open = 0;
            request_urgent(peer, params, now);
        } else if (!r->answered) {
            peer->n_silent++;
        }
    } else if (now >= r->sent + silence_timeout(peer, params)) {
        FOR_EACH_CANDIDATE (i, r->open) {
            candidate_failed(peer, params, r, i, now);
        }
    }
    if (open_and_not_down(peer, r)) {
        peer->overdue = true;
        request_urgent(peer, params, now);
    }
}

/* Calls for each of the open rounds in ascending order: a candidate's results
 * must be counted in the order of its probes. */
#define FOR_EACH_ROUND(R, PEER)                                             \
    for (uint32_t id__ = (PEER)->round > ZOO_PEER_MAX_ROUNDS                \
                         ? (PEER)->round - ZOO_PEER_MAX_ROUNDS + 1 : 1;     \
         id__ <= (PEER)->round; id__++)                                     \
        for (struct zoo_open_round *R                                       \
                 = &(PEER)->rounds[id__ % ZOO_PEER_MAX_ROUNDS];             \
             R && R->id == id__; R = NULL)

#define FOR_EACH_OPEN_ROUND(R, PEER)            \
    FOR_EACH_ROUND (R, PEER)                    \
        if (R->open)

static void
expire_rounds(struct zoo_peer *peer, const struct zoo_params *params,
              long long int now)
{
    long long int timeout = zoo_peer_timeout(peer, params);

    peer->overdue = false;
    FOR_EACH_OPEN_ROUND (r, peer) {
        if (now >= r->sent + timeout) {
            expire_round(peer, params, r, now);
        }
    }
    if (!peer->answered && peer->state == ZOO_PEER_ACTIVE
        && peer->n_silent >= 3 && now - peer->active_since >= LEGACY_AFTER
        && !zoo_peer_healthy(peer)) {
        set_state(peer, ZOO_PEER_LEGACY);
    }
}

/* Schedule. */

/* Begins probing after a time without tenant traffic. */
static void
wake_up(struct zoo_peer *peer, long long int now)
{
    set_state(peer, (peer->n_rewritten >= REWRITTEN_REPORTS
                     ? ZOO_PEER_UNSUPPORTED
                     : !peer->upstream ? ZOO_PEER_ACTIVE
                     : peer->answered ? ZOO_PEER_EXHAUSTED
                     : ZOO_PEER_LEGACY));
    peer->active_since = now;
    peer->n_silent = peer->n_forgiven = 0;
    for (unsigned int i = 0; i < peer->table.n; i++) {
        /* What failed before says nothing about a probe that fails now. */
        peer->candidates[i].health.fails = 0;
    }
    peer->next_full = peer->next_fast = now;
    peer->next_urgent = LLONG_MAX;
}

static void
close_rounds(struct zoo_peer *peer)
{
    FOR_EACH_OPEN_ROUND (r, peer) {
        r->open = 0;
    }
}

static void
fall_asleep(struct zoo_peer *peer)
{
    close_rounds(peer);
    memset(peer->used, 0, sizeof peer->used);
    set_state(peer, ZOO_PEER_IDLE);
    peer->next_full = peer->next_fast = peer->next_urgent = LLONG_MAX;
}

void
zoo_peer_use(struct zoo_peer *peer, const bool used[ZOO_N_BUCKETS],
             const struct zoo_params *params, long long int now)
{
    long long int periods = (now - peer->used_rotated) / USE_PERIOD;
    bool any = false;

    if (!used && peer->state == ZOO_PEER_IDLE) {
        return;
    }
    if (periods > 0) {
        if (periods == 1) {
            memcpy(peer->used[1], peer->used[0], sizeof peer->used[1]);
        } else {
            memset(peer->used[1], 0, sizeof peer->used[1]);
        }
        memset(peer->used[0], 0, sizeof peer->used[0]);
        peer->used_rotated = now;
    }
    for (size_t b = 0; used && b < ZOO_N_BUCKETS; b++) {
        if (used[b]) {
            bitmap_set1(peer->used[0], b);
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
        fall_asleep(peer);
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
    if (exhausted) {
        peer->next_full = now + MIN(params->probe_interval
                                    << MIN(peer->backoff / 8, 10),
                                    EXHAUSTED_MAX_BACKOFF);
        set = all_candidates(peer);
    } else {
        peer->next_full = now + MIN(SEC << MIN(peer->backoff, 10),
                                    LEGACY_MAX_BACKOFF);
        for (unsigned int k = 0; k < MIN(LEGACY_CANDIDATES, peer->table.n);
             k++) {
            set |= bit((peer->backoff * LEGACY_CANDIDATES + k)
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
    /* So many rounds under way that they cannot be told apart would be too
     * many. */
    long long int fast = MAX(params->probe_interval,
                             zoo_peer_timeout(peer, params) / 8);

    if (budget == ZOO_BUDGET_SCARCE && now >= peer->next_full) {
        peer->next_full = now + fast;
    }
    peer->urgent = now >= peer->next_urgent;
    if (peer->urgent || now >= peer->next_full) {
        if (peer->urgent) {
            peer->last_urgent = now;
            peer->next_urgent = LLONG_MAX;
        }
        peer->next_fast = now + fast;
        peer->next_full = now + MAX(params->full_interval, fast);
        return all_candidates(peer);
    } else if (now >= peer->next_fast && !peer->n_silent) {
        peer->next_fast = now + fast;
        return peer->overdue ? 0 : zoo_peer_in_use(peer);
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
    expire_rounds(peer, params, now);
    settle(peer, params, now);
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
    memset(peer->memory, 0, sizeof peer->memory);
    memset(peer->rounds, 0, sizeof peer->rounds);
}

bool
zoo_peer_hint(struct zoo_peer *peer, const struct zoo_params *params,
              long long int now)
{
    long long int soon = MAX(now, peer->last_hint + params->probe_interval);

    if ((peer->state != ZOO_PEER_EXHAUSTED && peer->state != ZOO_PEER_LEGACY)
        || peer->next_full <= soon) {
        return false;
    }
    peer->next_full = peer->last_hint = soon;
    return true;
}

void
zoo_peer_reconfigured(struct zoo_peer *peer, const struct zoo_params *params,
                      long long int now)
{
    if (peer->state == ZOO_PEER_ACTIVE) {
        peer->next_fast = MIN(peer->next_fast, now + params->probe_interval);
        peer->next_full = MIN(peer->next_full, now + params->full_interval);
    }
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
zoo_peer_link_down(struct zoo_peer *peer)
{
    close_rounds(peer);
    peer->n_silent = peer->n_forgiven = 0;
}

long long int
zoo_peer_next(const struct zoo_peer *peer, const struct zoo_params *params)
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
    FOR_EACH_OPEN_ROUND (r, CONST_CAST(struct zoo_peer *, peer)) {
        FOR_EACH_CANDIDATE (i, r->open & r->absent) {
            next = MIN(next, r->sent + candidate_timeout(peer, params, i));
        }
        if (r->open & ~r->absent) {
            next = MIN(next, r->sent + (r->urged
                                        ? silence_timeout(peer, params)
                                        : zoo_peer_timeout(peer, params)));
        }
    }
    return next;
}

/* Reports. */

static uint8_t
backend_group(struct zoo_peer *peer, struct eth_addr backend)
{
    if (eth_addr_is_zero(backend)) {
        return 0;
    }
    for (unsigned int g = 0; g < ZOO_PEER_MAX_GROUPS; g++) {
        if (eth_addr_is_zero(peer->backends[g])) {
            peer->backends[g] = backend;
        }
        if (eth_addr_equals(peer->backends[g], backend)) {
            return g + 1;
        }
    }
    return 0;
}

static void
sample_rtt(struct zoo_peer *peer, long long int rtt)
{
    if (!peer->srtt) {
        peer->srtt = MAX(rtt, 1);
        peer->rttvar = rtt / 2;
    } else {
        peer->rttvar += (llabs(peer->srtt - rtt) - peer->rttvar) / 4;
        peer->srtt = MAX(peer->srtt + (rtt - peer->srtt) / 8, 1);
    }
}

static void
sample_candidate_rtt(struct zoo_candidate *c, uint32_t us)
{
    if (!c->rtt_us) {
        c->rtt_us = us;
        c->rttvar_us = MIN(us / 2, MAX_RTTVAR_US);
    } else {
        uint32_t error = MAX(c->rtt_us, us) - MIN(c->rtt_us, us);

        c->rttvar_us = MIN((c->rttvar_us * 3ULL + error) / 4, MAX_RTTVAR_US);
        c->rtt_us = MAX(1, (c->rtt_us * 7ULL + us) / 8);
    }
}

/* Returns true if 'e' says that round 'id' arrived. */
static bool
entry_has_round(const struct zoo_probe_entry *e, uint32_t id)
{
    return (e->last == id
            || (e->last > id && e->last - id <= 16
                && e->history & (1u << (e->last - id - 1))));
}

/* Learns from what 'report' says about candidate 'i'.  'continuous' is false
 * if the responder may have forgotten what arrived earlier. */
static void
learn_entry(struct zoo_peer *peer, const struct zoo_params *params,
            const struct zoo_probe *report, const struct zoo_probe_entry *e,
            unsigned int i, uint8_t group, bool continuous, long long int now)
{
    struct zoo_candidate *c = &peer->candidates[i];
    /* One of several instances behind one address knows only of what reached
     * itself. */
    bool knows = (!(report->flags & ZOO_PROBE_F_CHALLENGE)
                  && (!c->group || c->group == group));
    long long int timeout = candidate_timeout(peer, params, i);

    FOR_EACH_ROUND (r, peer) {
        if (!((r->open | r->failed) & bit(i)) || r->id > report->round) {
            continue;
        } else if (entry_has_round(e, r->id)) {
            if (r->failed & bit(i)) {
                /* It was only slow. */
                r->failed &= ~bit(i);
                c->lost--;
            }
            if (r->id == e->last) {
                long long int rtt = now - r->sent - e->age_us * 1000LL;

                sample_candidate_rtt(c, MAX(1, MIN(rtt / 1000, INT32_MAX)));
                c->group = group;
            }
            candidate_arrived(peer, params, r, i, now);
        } else if (!knows || !(r->open & bit(i))) {
            continue;
        } else if (!continuous && r->id != report->round) {
            /* Nobody will ever know. */
            r->open &= ~bit(i);
        } else {
            if (now >= r->sent + timeout) {
                candidate_failed(peer, params, r, i, now);
            } else {
                r->absent |= bit(i);
            }
        }
    }
}

/* Notes whether the peer sees other outer source ports than were sent. */
static void
learn_rewriting(struct zoo_peer *peer, const struct zoo_probe *report)
{
    bool arrived = false;

    for (unsigned int k = 0; k < report->n_entries; k++) {
        arrived |= report->entries[k].last == report->round;
    }
    if (!(report->flags & ZOO_PROBE_F_REWRITTEN) || arrived) {
        peer->n_rewritten = 0;
        if (peer->state == ZOO_PEER_UNSUPPORTED) {
            set_state(peer, ZOO_PEER_ACTIVE);
            peer->next_full = 0;
        }
    } else if (++peer->n_rewritten >= REWRITTEN_REPORTS) {
        set_state(peer, ZOO_PEER_UNSUPPORTED);
    }
}

enum zoo_probe_error
zoo_peer_report(struct zoo_peer *peer, const struct zoo_params *params,
                const struct zoo_probe *report, long long int now)
{
    struct zoo_open_round *r
        = &peer->rounds[report->round % ZOO_PEER_MAX_ROUNDS];
    bool first = r->id == report->round && !r->answered;
    bool continuous;
    uint8_t group;

    if (report->session != peer->session || report->round > peer->round
        || peer->state == ZOO_PEER_IDLE) {
        return ZOO_PROBE_UNEXPECTED;
    }
    if (peer->round - report->round >= ZOO_PEER_MAX_ROUNDS) {
        return ZOO_PROBE_REPLAYED;
    }
    for (unsigned int k = 0; k < report->n_entries; k++) {
        if (report->entries[k].last > peer->round) {
            return ZOO_PROBE_UNEXPECTED;
        }
    }

    peer->answered = true;
    peer->n_silent = peer->n_forgiven = 0;
    if (report->round == peer->round) {
        peer->peer_key = report->newest_key;
        peer->peer_caps = report->caps;
    }
    if (first) {
        r->answered = true;
        sample_rtt(peer, now - r->sent);
        learn_rewriting(peer, report);
    }
    if (report->flags & ZOO_PROBE_F_CHALLENGE) {
        peer->challenge = report->challenge;
        request_urgent(peer, params, now);
    }

    group = backend_group(peer, report->backend_id);
    continuous = report->challenge == peer->memory[group];
    peer->memory[group] = report->challenge;
    for (unsigned int k = 0; k < report->n_entries; k++) {
        const struct zoo_probe_entry *e = &report->entries[k];
        int i = zoo_path_table_find(&peer->table, e->sport);

        if (i >= 0) {
            learn_entry(peer, params, report, e, i, group, continuous, now);
        }
    }
    settle(peer, params, now);
    return ZOO_PROBE_OK;
}

void
zoo_peer_request(const struct zoo_peer *peer, uint32_t set,
                 struct zoo_probe *probe)
{
    memset(probe, 0, sizeof *probe);
    probe->type = ZOO_PROBE_REQUEST;
    probe->flags = peer->urgent ? ZOO_PROBE_F_URGENT : 0;
    probe->round = peer->round;
    probe->session = peer->session;
    probe->challenge = peer->challenge;
    FOR_EACH_CANDIDATE (i, set) {
        probe->entries[probe->n_entries++].sport = peer->table.sport[i];
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
        h->first_fail = now - 2 * params->full_interval;
    }
    settle(peer, params, now);
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

unsigned int
zoo_peer_report_ports(const struct zoo_peer *peer, uint32_t salt,
                      uint16_t sports[], unsigned int n)
{
    uint32_t set = zoo_peer_healthy(peer);
    unsigned int n_set, skip, n_sports = 0;

    if (!set) {
        set = all_candidates(peer);
    }
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
