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
#include "zoo-peer-learn.h"

#include <limits.h>
#include <string.h>

#include "util.h"
#include "zoo-peer-private.h"

/* A request that knows of no report sent later than this may be an old one. */
#define LIVE_TIME (5 * SEC)

/* Many calls of zoo_peer_follow(), or none at all. */
#define NEVER UINT8_MAX

static struct zoo_learner *
get_learner(struct zoo_peer *peer)
{
    if (!peer->learner) {
        peer->learner = xzalloc(sizeof *peer->learner);
    }
    return peer->learner;
}

unsigned int
zoo_peer_home(const struct zoo_peer *peer, unsigned int b)
{
    return (zoo_peer_is_learning(peer) ? peer->learner->home[b]
            : zoo_path_table_home(&peer->table, b));
}

bool
zoo_peer_session_decides(const struct zoo_peer *peer, unsigned int b)
{
    return (zoo_peer_is_learning(peer)
            && peer->learner->age[b] <= ZOO_SESSIONS_KEEP
            && peer->learner->home[b] == peer->table.owner[b]);
}

void
zoo_peer_stop_learning(struct zoo_peer *peer)
{
    if (zoo_peer_is_learning(peer)) {
        peer->learner->learning = false;
        peer->learner->learned = peer->learner->spared = 0;
        memset(peer->learner->arrived, 0, sizeof peer->learner->arrived);
    }
}

void
zoo_peer_forget_echoes(struct zoo_peer *peer)
{
    if (peer->learner) {
        memset(peer->learner->echo, 0, sizeof peer->learner->echo);
    }
}

/* Candidates. */

/* Returns true if 'request' has the candidates of 'peer', in their order. */
static bool
same_candidates(const struct zoo_peer *peer, const struct zoo_probe *request)
{
    if (peer->table.n != request->n_entries) {
        return false;
    }
    for (unsigned int i = 0; i < peer->table.n; i++) {
        if (peer->table.sport[i] != request->entries[i].sport) {
            return false;
        }
    }
    return true;
}

/* Has the candidates of 'peer' be those of its own round 'request', which are
 * all that it has.  Those that 'peer' has already keep what is known of them,
 * and their buckets. */
static void
adopt_candidates(struct zoo_peer *peer, const struct zoo_probe *request,
                 long long int now)
{
    struct zoo_candidate candidates[ZOO_MAX_CANDIDATES];
    long long int arrived[ZOO_MAX_CANDIDATES];
    struct zoo_learner *l = peer->learner;
    struct zoo_path_table *table = &peer->table;
    struct zoo_path_table old = *table;
    uint32_t forgiven = 0;

    memset(table, 0, sizeof *table);
    for (unsigned int k = 0; k < request->n_entries; k++) {
        uint16_t sport = request->entries[k].sport;
        unsigned int i = table->n;
        int was = zoo_path_table_find(&old, sport);

        if (zoo_path_table_find(table, sport) >= 0) {
            continue;
        }
        table->sport[table->n++] = sport;
        if (was >= 0) {
            candidates[i] = peer->candidates[was];
            arrived[i] = l->arrived[was];
            forgiven |= peer->forgiven & bit(was) ? bit(i) : 0;
        } else {
            memset(&candidates[i], 0, sizeof candidates[i]);
            zoo_health_init(&candidates[i].health, now);
            arrived[i] = 0;
        }
    }
    for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
        int owner = zoo_path_table_find(table, old.sport[old.owner[b]]);
        int home = (l->learning
                    ? zoo_path_table_find(table, old.sport[l->home[b]]) : -1);

        if (home < 0) {
            l->age[b] = NEVER;
            home = zoo_path_table_home(table, b);
        }
        l->home[b] = home;
        table->owner[b] = owner >= 0 ? owner : home;
    }
    memcpy(peer->candidates, candidates, table->n * sizeof *candidates);
    memcpy(l->arrived, arrived, table->n * sizeof *arrived);
    zoo_peer_forget_echoes(peer);
    /* They have bits by index. */
    memset(peer->rounds, 0, sizeof peer->rounds);
    peer->overdue = false;
    peer->forgiven = forgiven;
    peer->probed = l->learned = l->spared = l->own = 0;
    peer->went_down = peer->came_up = peer->moved_from = peer->returned = 0;
    peer->next_full = MIN(peer->next_full, now);
    peer->map_changed = true;
}

/* The candidates are those of 'request' from now on. */
static void
learn_candidates(struct zoo_peer *peer, const struct zoo_probe *request,
                 long long int now)
{
    struct zoo_learner *l = peer->learner;

    if (!l->learning || !same_candidates(peer, request)) {
        adopt_candidates(peer, request, now);
        l->learning = true;
    }
}

/* Health. */

/* What was sent from candidate 'i' at 'sent' has arrived: as good as a probe
 * that has been answered. */
static void
learn_arrival(struct zoo_peer *peer, const struct zoo_params *params,
              unsigned int i, long long int sent, long long int now)
{
    struct zoo_candidate *c = &peer->candidates[i];

    if (sent <= peer->learner->arrived[i]) {
        return;
    }
    peer->learner->arrived[i] = sent;
    c->validated = MAX(c->validated, sent);
    /* Not if a probe was lost later. */
    if (!c->health.fails || sent > c->health.first_fail) {
        zoo_peer_succeeded(peer, params, i, now);
    }
}

bool
zoo_peer_hear(struct zoo_peer *peer, const struct zoo_params *params,
              const struct zoo_probe *request, uint16_t sport,
              uint64_t clock, long long int now)
{
    uint64_t echo = 0, age;
    int i;

    if (!(request->caps & ZOO_PROBE_CAP_ECHO) || !params->learn
        || peer->state == ZOO_PEER_IDLE
        || peer->state == ZOO_PEER_UNSUPPORTED) {
        return false;
    }
    for (unsigned int k = 0; k < request->n_entries; k++) {
        if (request->entries[k].sport == sport) {
            echo = zoo_probe_echo(&request->entries[k]);
        }
    }
    /* Of what is not this side's own time, nearly all is long ago, or to
     * come. */
    age = now - (echo - clock);
    if (!echo || age > LIVE_TIME) {
        return false;
    }

    get_learner(peer);
    if (request->flags & ZOO_PROBE_F_ALL) {
        learn_candidates(peer, request, now);
    }
    i = zoo_path_table_find(&peer->table, sport);
    if (i >= 0 && zoo_peer_is_learning(peer)) {
        learn_arrival(peer, params, i, now - age, now);
        zoo_peer_settle(peer, params, now);
    }
    return zoo_peer_is_learning(peer);
}

/* Returns the candidates that need no probe to be known to work at 'now', when
 * probes go out each 'interval'.  Stores into '*until' when that is over for
 * the first of those in 'which'.
 *
 * What is sent when a request has come is known to have arrived when the next
 * one comes, and something newer one interval later.  One probe at least has
 * to tell how long the next ones may take. */
static uint32_t
known_to_work(const struct zoo_peer *peer, long long int interval,
              uint32_t which, long long int now, long long int *until)
{
    long long int limit = interval * 9 / 4 + peer->srtt;
    uint32_t set = 0;

    *until = LLONG_MAX;
    for (unsigned int i = 0; i < peer->table.n; i++) {
        const struct zoo_candidate *c = &peer->candidates[i];
        long long int end = peer->learner->arrived[i] + limit;

        if (c->health.state == ZOO_HEALTH_UP && !c->health.fails
            && c->rtt_us && now < end) {
            set |= bit(i);
            *until = which & bit(i) ? MIN(*until, end) : *until;
        }
    }
    return set;
}

uint32_t
zoo_peer_due(struct zoo_peer *peer, const struct zoo_params *params,
             uint32_t set, long long int now)
{
    struct zoo_learner *l = peer->learner;
    long long int fast, until, unused;
    uint32_t in_use;

    if (!zoo_peer_is_learning(peer)) {
        return set;
    }
    in_use = zoo_peer_in_use(peer);
    fast = zoo_peer_fast_interval(peer, params);
    l->spared = (known_to_work(peer, fast, in_use, now, &until)
                 | (known_to_work(peer, zoo_peer_full_interval(peer, params),
                                  0, now, &unused) & ~in_use));
    set &= ~l->spared;
    if (now >= l->next_own || set & ~in_use) {
        l->own = set;
        l->next_own = now + fast;
    } else {
        /* Early, for those that are not known to work any more. */
        set &= ~l->own;
        l->own |= set;
    }
    peer->next_fast = MIN(l->next_own, until);
    return set;
}

/* Sessions. */

/* Returns true if candidate 'i' may get the buckets of its sessions now: it
 * has not been down, or its hold-down time is over. */
static bool
may_take(const struct zoo_peer *peer, const struct zoo_params *params,
         unsigned int i, long long int now)
{
    const struct zoo_health *h = &peer->candidates[i].health;

    return (zoo_health_state(h) == ZOO_HEALTH_UP && !h->fails
            && (!h->was_down || now >= zoo_health_return_time(h, params)));
}

void
zoo_peer_session_ports(const struct zoo_peer *peer,
                       uint16_t ports[ZOO_N_BUCKETS])
{
    for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
        ports[b] = peer->table.sport[zoo_peer_home(peer, b)];
    }
}

void
zoo_peer_follow(struct zoo_peer *peer, const struct zoo_params *params,
                const uint16_t seen[ZOO_N_BUCKETS], long long int now)
{
    struct zoo_learner *l = peer->learner;

    if (!zoo_peer_is_learning(peer)) {
        return;
    }
    l->learned = 0;
    for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
        int i = seen[b] ? zoo_path_table_find(&peer->table, seen[b]) : -1;

        if (l->age[b] < NEVER) {
            l->age[b]++;
        }
        if (i >= 0 && (i == l->home[b] || l->age[b] > ZOO_SESSIONS_KEEP)
            && may_take(peer, params, i, now)) {
            l->home[b] = i;
            l->age[b] = 0;
            if (peer->table.owner[b] != i) {
                peer->table.owner[b] = i;
                peer->map_changed = true;
            }
        }
        if (zoo_peer_session_decides(peer, b)) {
            l->learned |= bit(l->home[b]);
        }
    }
}

unsigned int
zoo_peer_return_home(struct zoo_peer *peer, unsigned int i,
                     const struct zoo_path_rank rank[],
                     const uint8_t keep[ZOO_N_BUCKETS])
{
    uint8_t *owner = peer->table.owner;
    unsigned int moved = 0;

    if (!zoo_peer_is_learning(peer)) {
        return zoo_path_table_return_home(&peer->table, i, rank, keep);
    }
    for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
        if (peer->learner->home[b] == i && owner[b] != i
            && keep[b] == rank[i].group) {
            owner[b] = i;
            moved++;
        }
    }
    return moved;
}

/* What to tell a middlebox that learns. */

bool
zoo_peer_take_echo(struct zoo_peer *peer, const struct zoo_probe *report,
                   uint16_t sport)
{
    struct zoo_learner *l = get_learner(peer);
    int i = zoo_path_table_find(&peer->table, sport);
    bool again = l->newest == report->tx_time;

    /* One that has been rewritten on its way proves nothing about its port. */
    if (i >= 0) {
        l->echo[i] = report->tx_time;
    }
    l->newest = report->tx_time;
    return again;
}
