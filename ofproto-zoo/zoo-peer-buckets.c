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

/* Which candidate has which bucket: failover and return. */

#include <config.h>
#include "zoo-peer-private.h"

#include <string.h>

#include "util.h"
#include "zoo-peer-learn.h"

/* Candidates that lose probes within this time lose them together.  If that
 * is nearly all of them, it is forgiven, once in so many hold-down times, and
 * their buckets return when there was no failure for MASS_LOSS_CALM. */
#define MASS_LOSS_TIME SEC
#define MASS_LOSS_CALM (600 * MSEC)
#define MASS_LOSS_HOLD_DOWNS 10

void
zoo_peer_get_rank(const struct zoo_peer *peer, struct zoo_path_rank rank[])
{
    for (unsigned int i = 0; i < peer->table.n; i++) {
        rank[i].group = peer->candidates[i].group;
        rank[i].failure_free = peer->candidates[i].health.failure_free;
    }
}

/* Returns the candidates that may take buckets of one that failed a probe sent
 * at 'loss': only those that are known to work since, and to lead where they
 * did. */
static uint32_t
eligible_since(const struct zoo_peer *peer, long long int loss)
{
    uint32_t set = 0;

    FOR_EACH_CANDIDATE (i, zoo_peer_healthy(peer)) {
        const struct zoo_candidate *c = &peer->candidates[i];

        if (c->health.forced == ZOO_FORCED_UP
            || (!c->health.fails && c->validated > loss
                && zoo_peer_leads_still(peer, i))) {
            set |= bit(i);
        }
    }
    return set;
}

/* Returns the candidates that are likely to be 'eligible' soon, though nothing
 * has arrived from them yet since the loss for which 'h' is down.  Nobody may
 * ever tell what has become of them, so they are not waited for for long. */
static uint32_t
hopeful_since(const struct zoo_peer *peer, const struct zoo_params *params,
              const struct zoo_health *h, uint32_t eligible,
              long long int now)
{
    uint32_t set = 0;

    if (now - h->first_fail < 2 * zoo_peer_silence_timeout(peer, params)) {
        set |= zoo_peer_healthy(peer);
    }
    if (now - peer->restored < zoo_peer_timeout(peer, params)) {
        /* One of several middleboxes has answered first. */
        FOR_EACH_CANDIDATE (i, zoo_peer_in_state(peer, ZOO_HEALTH_DOWN)) {
            set |= peer->candidates[i].health.collective ? bit(i) : 0;
        }
    }
    return set & ~eligible;
}

/* Moves the buckets of candidates that are down as far as there is a place for
 * them. */
static void
evacuate(struct zoo_peer *peer, const struct zoo_params *params,
         long long int now)
{
    uint32_t displaced = (zoo_path_table_owners(&peer->table, NULL)
                          & zoo_peer_in_state(peer, ZOO_HEALTH_DOWN));
    struct zoo_path_rank rank[ZOO_MAX_CANDIDATES];
    uint8_t keep[ZOO_N_BUCKETS], before[ZOO_N_BUCKETS];
    uint32_t in_use;

    if (!displaced) {
        return;
    }
    zoo_peer_get_rank(peer, rank);
    zoo_peer_keep_groups(peer, params, rank, keep);
    in_use = zoo_peer_in_use(peer);
    memcpy(before, peer->table.owner, sizeof before);
    FOR_EACH_CANDIDATE (i, displaced) {
        const struct zoo_health *h = &peer->candidates[i].health;
        uint32_t eligible = eligible_since(peer, h->first_fail);
        uint32_t hopeful = hopeful_since(peer, params, h, eligible, now);

        peer->split |= eligible && !h->forced && !h->collective;
        if (zoo_path_table_evacuate(&peer->table, i, eligible, hopeful,
                                    rank, keep)) {
            peer->map_changed = true;
            peer->moved_from |= bit(i);
            if (in_use & bit(i) & ~zoo_peer_in_use(peer)) {
                peer->failovers++;
                peer->last_failover = now;
                peer->outage = now - h->first_fail;
            }
        }
    }
    zoo_peer_lose_sessions(peer, before, now);
}

/* Returns true if candidate 'i', which was forgiven a mass loss, seems to have
 * left it behind: until then its buckets would only come and go. */
static bool
is_calm(const struct zoo_peer *peer, unsigned int i, long long int now)
{
    const struct zoo_health *h = &peer->candidates[i].health;

    return (h->state == ZOO_HEALTH_UP
            && now - h->failure_free >= MASS_LOSS_CALM);
}

static bool
all_at_home(const struct zoo_peer *peer)
{
    const struct zoo_path_table *table = &peer->table;

    if (zoo_peer_is_learning(peer)) {
        return !memcmp(table->owner, peer->learner->home, sizeof table->owner);
    }
    for (unsigned int b = 0; b < table->n; b++) {
        if (table->owner[b] != b) {
            return false;
        }
    }
    /* The others repeat these. */
    return !memcmp(table->owner + table->n, table->owner,
                   ZOO_N_BUCKETS - table->n);
}

void
zoo_peer_return_idle(struct zoo_peer *peer, const struct zoo_params *params,
                     long long int now)
{
    struct zoo_path_rank rank[ZOO_MAX_CANDIDATES];
    uint8_t keep[ZOO_N_BUCKETS];

    if (all_at_home(peer)) {
        return;
    }
    zoo_peer_get_rank(peer, rank);
    zoo_peer_keep_groups(peer, params, rank, keep);
    FOR_EACH_CANDIDATE (i, zoo_peer_healthy(peer)) {
        const struct zoo_health *h = &peer->candidates[i].health;
        bool over = !(peer->forgiven & bit(i)) || is_calm(peer, i, now);

        if (((!h->fails && over && zoo_peer_leads_still(peer, i))
             || h->forced)
            && now >= zoo_health_return_time(h, params)
            && zoo_peer_return_home(peer, i, rank, keep)) {
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

/* Returns true if nearly all candidates that worked have lost a probe lately,
 * which no failure of paths explains: at most one in eight was spared.
 *
 * Those that lost one count, not those that are down: of 32 candidates that
 * each lose 9 probes in 10, two rounds leave 6 up, but spare none. */
static bool
nearly_all_lost(const struct zoo_peer *peer, long long int now)
{
    unsigned int n_lost = 0, n_spared = 0;

    for (unsigned int i = 0; i < peer->table.n; i++) {
        const struct zoo_health *h = &peer->candidates[i].health;

        if (h->first_fail > now - MASS_LOSS_TIME) {
            n_lost++;
        } else {
            n_spared += h->state != ZOO_HEALTH_DOWN;
        }
    }
    return n_lost >= 7 * n_spared;
}

/* Ends the forgiveness of what is not well by now. */
static void
end_mass_loss(struct zoo_peer *peer, long long int now)
{
    FOR_EACH_CANDIDATE (i, peer->forgiven) {
        if (!is_calm(peer, i, now)) {
            zoo_health_set_collective(&peer->candidates[i].health, false);
        }
    }
    peer->forgiven = 0;
}

/* A receiver that gets no CPU loses probes of all candidates alike.  Those
 * that went down because of it are forgiven: they come up at their first
 * success, which is looked for often, and their buckets need not wait for the
 * hold-down time.
 *
 * Seldom, so that what goes on for longer, or comes again and again, does not
 * move buckets back and forth. */
static void
forgive_mass_loss(struct zoo_peer *peer, const struct zoo_params *params,
                  long long int now)
{
    uint32_t down = 0;

    for (unsigned int i = 0; i < peer->table.n; i++) {
        const struct zoo_health *h = &peer->candidates[i].health;

        if (h->state == ZOO_HEALTH_DOWN
            && h->first_fail > now - MASS_LOSS_TIME) {
            down |= bit(i);
        }
    }
    /* Before its first answer a peer may just not be there yet. */
    if (down && peer->answered && params->hold_down
        && nearly_all_lost(peer, now)
        && (now - peer->mass_loss
            >= MASS_LOSS_HOLD_DOWNS * params->hold_down)) {
        end_mass_loss(peer, now);
        peer->mass_loss = now;
    }
    if (now - peer->mass_loss < MASS_LOSS_TIME) {
        FOR_EACH_CANDIDATE (i, down) {
            zoo_health_set_collective(&peer->candidates[i].health, true);
        }
        peer->forgiven |= down;
    } else if (now - peer->mass_loss >= 2 * MASS_LOSS_TIME) {
        end_mass_loss(peer, now);
    }
}

void
zoo_peer_settle(struct zoo_peer *peer, const struct zoo_params *params,
                long long int now)
{
    if (zoo_peer_in_state(peer, ZOO_HEALTH_DOWN) == all_candidates(peer)) {
        for (unsigned int i = 0; i < peer->table.n; i++) {
            zoo_health_set_collective(&peer->candidates[i].health, true);
        }
        peer->forgiven = 0;
        if (peer->state == ZOO_PEER_ACTIVE) {
            zoo_peer_set_state(peer, (peer->answered ? ZOO_PEER_EXHAUSTED
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
        } else {
            peer->restored = now;
        }
        zoo_peer_set_state(peer, ZOO_PEER_ACTIVE);
        peer->next_fast = peer->next_full = now;
    }
    forgive_mass_loss(peer, params, now);
    zoo_peer_note_sessions(peer, params);
    zoo_peer_return_idle(peer, params, now);
    evacuate(peer, params, now);
    zoo_peer_reunite(peer, params, now);
}
