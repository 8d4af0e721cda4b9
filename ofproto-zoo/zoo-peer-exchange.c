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

/* Exchange of candidates for others that reach better paths. */

#include <config.h>
#include "zoo-peer-private.h"

#include <string.h>

#include "util.h"
#include "zoo-peer-learn.h"

uint32_t
zoo_peer_exchangeable(const struct zoo_peer *peer)
{
    uint32_t set = 0;

    /* Learned candidates are the peer's own. */
    if (peer->state != ZOO_PEER_ACTIVE || !peer->answered
        || zoo_peer_is_learning(peer)) {
        return 0;
    }
    for (unsigned int i = 0; i < peer->table.n; i++) {
        const struct zoo_candidate *c = &peer->candidates[i];

        if (c->group || c->health.state == ZOO_HEALTH_UNKNOWN) {
            return 0;
        } else if (c->health.state == ZOO_HEALTH_UP && !c->health.fails
                   && !c->health.forced) {
            set |= bit(i);
        }
    }
    return set & ~zoo_peer_in_use(peer);
}

bool
zoo_peer_exchange(struct zoo_peer *peer, unsigned int i, uint16_t sport,
                  long long int now)
{
    struct zoo_candidate *c = &peer->candidates[i];
    struct zoo_path_rank rank[ZOO_MAX_CANDIDATES];
    uint32_t eligible = zoo_peer_healthy(peer) & ~bit(i);

    FOR_EACH_CANDIDATE (k, eligible) {
        if (peer->candidates[k].health.fails) {
            eligible &= ~bit(k);
        }
    }
    zoo_peer_get_rank(peer, rank);
    if (!zoo_path_table_evacuate(&peer->table, i, eligible, 0, rank, NULL)
        && zoo_path_table_owners(&peer->table, NULL) & bit(i)) {
        return false;
    }
    peer->table.sport[i] = sport;
    peer->map_changed = true;

    memset(c, 0, sizeof *c);
    zoo_health_init(&c->health, now);
    FOR_EACH_ROUND (r, peer) {
        r->open &= ~bit(i);
        r->failed &= ~bit(i);
        r->absent &= ~bit(i);
        r->excused &= ~bit(i);
    }
    peer->forgiven &= ~bit(i);
    /* A round may be on its way that is not open yet, from the old port. */
    peer->probed &= ~bit(i);
    if (peer->learner) {
        peer->learner->echo[i] = 0;
    }
    peer->next_full = MIN(peer->next_full, now);
    return true;
}
