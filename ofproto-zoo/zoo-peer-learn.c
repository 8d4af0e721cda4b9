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

/* A peer that has not been heard for so long is probed.  Its intervals may
 * have become 16 times as long as the default of a second. */
#define LEARN_TIME (20 * SEC)

void
zoo_sessions_init(struct zoo_sessions *sessions)
{
    memset(sessions->candidate, 0, sizeof sessions->candidate);
    memset(sessions->age, ZOO_SESSIONS_NEVER, sizeof sessions->age);
}

bool
zoo_sessions_decide(const struct zoo_sessions *sessions,
                    const struct zoo_peer *peer, unsigned int b)
{
    return (peer->learning && sessions->age[b] <= ZOO_SESSIONS_KEEP
            && sessions->candidate[b] == peer->table.owner[b]);
}

/* Has the candidates of 'peer' be those of its own round 'request', which are
 * all that it has. */
static void
adopt_candidates(struct zoo_peer *peer, const struct zoo_probe *request,
                 long long int now)
{
    struct zoo_path_table *table = &peer->table;
    bool same = table->n == request->n_entries;

    for (unsigned int i = 0; same && i < table->n; i++) {
        same = table->sport[i] == request->entries[i].sport;
    }
    if (same) {
        return;
    }

    zoo_peer_forget_rounds(peer);
    memset(table, 0, sizeof *table);
    table->n = request->n_entries;
    for (unsigned int i = 0; i < table->n; i++) {
        table->sport[i] = request->entries[i].sport;
        memset(&peer->candidates[i], 0, sizeof peer->candidates[i]);
        zoo_health_init(&peer->candidates[i].health, now);
    }
    for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
        table->owner[b] = zoo_path_table_home(table, b);
    }
    peer->forgiven = peer->probed = peer->learned = 0;
    peer->map_changed = true;
}

/* The peer says 'verdict' of candidate 'i'. */
static void
take_verdict(struct zoo_peer *peer, const struct zoo_params *params,
             unsigned int i, uint16_t verdict, long long int now)
{
    struct zoo_candidate *c = &peer->candidates[i];
    struct zoo_health *h = &c->health;
    enum zoo_health_state before = h->state;

    h->fails = 0;
    if (verdict == ZOO_PROBE_VERDICT_BAD) {
        h->state = ZOO_HEALTH_DOWN;
        if (before != ZOO_HEALTH_DOWN) {
            /* Whatever has come in the last full round will do. */
            h->first_fail = now - 2 * params->full_interval;
            h->failure_free = now;
            peer->went_down |= bit(i);
        }
    } else if (verdict == ZOO_PROBE_VERDICT_GOOD
               && c->validated && now - c->validated <= LEARN_TIME) {
        h->state = ZOO_HEALTH_UP;
        if (before != ZOO_HEALTH_UP) {
            h->up_since = now;
            peer->came_up |= before == ZOO_HEALTH_DOWN ? bit(i) : 0;
        }
    } else {
        h->state = ZOO_HEALTH_UNKNOWN;
    }
}

static void
begin_to_learn(struct zoo_peer *peer)
{
    zoo_peer_forget_rounds(peer);
    peer->learning = peer->answered = true;
    peer->n_silent = peer->n_forgiven = 0;
    peer->overdue = false;
    peer->forgiven = 0;
    peer->next_fast = peer->next_urgent = LLONG_MAX;
}

void
zoo_peer_hear(struct zoo_peer *peer, const struct zoo_params *params,
              const struct zoo_probe *request, uint16_t sport,
              long long int now)
{
    int here;

    if (!(request->caps & ZOO_PROBE_CAP_VERDICTS)
        || peer->state == ZOO_PEER_UNSUPPORTED) {
        return;
    }
    if (request->flags & ZOO_PROBE_F_ALL) {
        adopt_candidates(peer, request, now);
    } else if (!peer->learning) {
        return;
    }
    here = zoo_path_table_find(&peer->table, sport);
    if (here < 0) {
        return;                 /* Rewritten, or not of these candidates. */
    }
    if (!peer->learning) {
        begin_to_learn(peer);
    }
    peer->next_full = now + LEARN_TIME;
    peer->candidates[here].validated = now;
    for (unsigned int k = 0; k < request->n_entries; k++) {
        const struct zoo_probe_entry *e = &request->entries[k];
        int i = zoo_path_table_find(&peer->table, e->sport);

        if (i >= 0) {
            take_verdict(peer, params, i, e->history, now);
        }
    }
    if (peer->state != ZOO_PEER_IDLE) {
        zoo_peer_settle(peer, params, now);
    }
}

void
zoo_peer_stop_learning(struct zoo_peer *peer, long long int now)
{
    peer->learning = false;
    peer->learned = 0;
    peer->active_since = now;
    peer->next_fast = peer->next_full = now;
    peer->next_urgent = LLONG_MAX;
}

void
zoo_peer_follow(struct zoo_peer *peer, struct zoo_sessions *sessions,
                const uint16_t seen[ZOO_N_BUCKETS])
{
    struct zoo_path_table *table = &peer->table;

    peer->learned = 0;
    if (!peer->learning) {
        zoo_sessions_init(sessions);
        return;
    }
    for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
        int i = seen[b] ? zoo_path_table_find(table, seen[b]) : -1;

        if (sessions->age[b] < ZOO_SESSIONS_NEVER) {
            sessions->age[b]++;
        }
        if (i >= 0
            && (i == table->owner[b]
                || (!zoo_sessions_decide(sessions, peer, b)
                    && (zoo_health_state(&peer->candidates[i].health)
                        != ZOO_HEALTH_DOWN)))) {
            peer->map_changed |= i != table->owner[b];
            table->owner[b] = sessions->candidate[b] = i;
            sessions->age[b] = 0;
        }
        if (zoo_sessions_decide(sessions, peer, b)) {
            peer->learned |= bit(table->owner[b]);
        }
    }
}
