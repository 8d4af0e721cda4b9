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

#ifndef ZOO_PEER_PRIVATE_H
#define ZOO_PEER_PRIVATE_H 1

/* What zoo-peer.c (states, schedule), zoo-peer-buckets.c (failover and return),
 * zoo-peer-rounds.c (what reports, and their absence, teach),
 * zoo-peer-intervals.c (how often, and how long), zoo-peer-groups.c (several
 * middleboxes with one address), zoo-peer-exchange.c (other ports),
 * zoo-peer-learn.c (sessions) and zoo-mode.c (what is said of all this)
 * share. */

#include "util.h"
#include "zoo-peer.h"

#define MSEC (1000 * 1000LL)
#define SEC (1000 * MSEC)

/* How long ago tenants used a bucket is counted in these.  It counts as in use,
 * so that its candidate is probed often, for as many, and up to one more. */
#define ZOO_PEER_USE_PERIOD SEC
#define ZOO_PEER_IN_USE 1

/* Reports of rewritten ports in a row that are believed. */
#define REWRITTEN_REPORTS 3

static inline uint32_t
bit(unsigned int i)
{
    return UINT32_C(1) << i;
}

static inline uint32_t
all_candidates(const struct zoo_peer *peer)
{
    return peer->table.n == 32 ? UINT32_MAX : bit(peer->table.n) - 1;
}

#define FOR_EACH_CANDIDATE(I, SET)                              \
    for (uint32_t set__ = (SET), I = 0;                         \
         set__ && (I = raw_ctz(set__), true);                   \
         set__ = zero_rightmost_1bit(set__))

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

/* Returns 'interval' as it is doubled now. */
static inline long long int
stretched(const struct zoo_peer *peer, const struct zoo_params *params,
          long long int interval)
{
    return interval << zoo_peer_doublings(peer, params);
}

/* Returns the state that the peer, which is idle, was in before. */
static inline enum zoo_peer_state
zoo_peer_awake_state(const struct zoo_peer *peer)
{
    return (peer->n_rewritten >= REWRITTEN_REPORTS ? ZOO_PEER_UNSUPPORTED
            : !peer->upstream ? ZOO_PEER_ACTIVE
            : peer->answered ? ZOO_PEER_EXHAUSTED
            : ZOO_PEER_LEGACY);
}

/* Returns true if it is worth while to probe the peer because it asks. */
static inline bool
zoo_peer_takes_hints(const struct zoo_peer *peer)
{
    return (peer->state == ZOO_PEER_EXHAUSTED
            || peer->state == ZOO_PEER_LEGACY);
}

/* Candidates that a peer is asked on that has never answered. */
#define ZOO_PEER_LEGACY_CANDIDATES 4

/* Return the time from one round to the next on candidates in use, on all, and
 * where there is no choice of paths, ns. */
long long int zoo_peer_fast_interval(const struct zoo_peer *,
                                     const struct zoo_params *);
long long int zoo_peer_full_interval(const struct zoo_peer *,
                                     const struct zoo_params *);
long long int zoo_peer_backoff_interval(const struct zoo_peer *,
                                        const struct zoo_params *);

/* Returns the time, ns, that is to pass between two rounds that a peer without
 * a choice of paths gets because it asks. */
long long int zoo_peer_hint_interval(const struct zoo_peer *,
                                     const struct zoo_params *);

/* Returns when the next round of the peer is due that has one at 'now':
 * 'interval' later, or as much as a fifth of that earlier, until its rounds
 * come at times that differ between peers.
 *
 * Many peers may wake up, or lose something, at once, but their rounds must not
 * come together for ever after: receivers would lose some. */
long long int zoo_peer_next_phase(const struct zoo_peer *,
                                  const struct zoo_params *,
                                  long long int interval, long long int now);

/* Returns how long the answer to a probe of candidate 'i' may take.  A report
 * tells of the fastest candidates first, and the paths of others may be
 * longer, ns. */
long long int zoo_peer_candidate_timeout(const struct zoo_peer *,
                                         const struct zoo_params *,
                                         unsigned int i);

/* Returns how long the silence about a round lasts that is failure, ns. */
long long int zoo_peer_silence_timeout(const struct zoo_peer *,
                                       const struct zoo_params *);

/* Returns the candidates that are in 'state'. */
uint32_t zoo_peer_in_state(const struct zoo_peer *, enum zoo_health_state);

/* Marks in 'used' the buckets that tenants have used in the last 'periods'. */
void zoo_peer_used_within(const struct zoo_peer *, long long int periods,
                          bool used[ZOO_N_BUCKETS]);

/* Stores into 'rank' what says of each candidate which is preferred to
 * another. */
void zoo_peer_get_rank(const struct zoo_peer *, struct zoo_path_rank rank[]);

/* Makes the peer's state 'state', with the map that belongs to it. */
void zoo_peer_set_state(struct zoo_peer *, enum zoo_peer_state state);

/* Does what follows from changes of candidates' health. */
void zoo_peer_settle(struct zoo_peer *, const struct zoo_params *,
                     long long int now);

/* The candidates of the peer are not those of its own rounds any more, and its
 * sessions are forgotten. */
void zoo_peer_stop_learning(struct zoo_peer *);

/* The candidates are others: forgets which reports have come on them. */
void zoo_peer_forget_echoes(struct zoo_peer *);

/* Returns those of 'set', which are all candidates or those in use, that have
 * to be probed at 'now': all that nothing is learned about.  Has 'next_fast'
 * be early enough for the others. */
uint32_t zoo_peer_due(struct zoo_peer *, const struct zoo_params *,
                      uint32_t set, long long int now);

/* Takes from 'report', which is reflected and has come from outer source port
 * 'sport', what to tell the peer.  Returns true if another copy of it has come
 * before. */
bool zoo_peer_take_echo(struct zoo_peer *, const struct zoo_probe *report,
                        uint16_t sport);

/* Moves buckets home where that is due, those of other middleboxes only if they
 * are idle. */
void zoo_peer_return_idle(struct zoo_peer *, const struct zoo_params *,
                          long long int now);

/* Moves buckets whose home is candidate 'i' to it, as
 * zoo_path_table_return_home() does. */
unsigned int zoo_peer_return_home(struct zoo_peer *, unsigned int i,
                                  const struct zoo_path_rank rank[],
                                  const uint8_t keep[ZOO_N_BUCKETS]);

/* Groups. */

/* Returns the group of a BackendID, a new one if it has none yet, or 0. */
uint8_t zoo_peer_backend_group(struct zoo_peer *, struct eth_addr backend);

/* A probe of candidate 'i' that was sent at 'sent', the newest of those known
 * to have arrived, has arrived at 'group'.  Returns true if the candidate led
 * to another one before. */
bool zoo_peer_led_to(struct zoo_peer *, unsigned int i, uint8_t group,
                     long long int sent);

/* Tenants use bucket 'b', which they have not used for a while. */
void zoo_peer_begin_sessions(struct zoo_peer *, unsigned int b,
                             long long int now);

/* Notes which group knows the sessions in each bucket, as far as that is
 * known. */
void zoo_peer_note_sessions(struct zoo_peer *, const struct zoo_params *);

/* There are no sessions any more. */
void zoo_peer_forget_sessions(struct zoo_peer *);

/* Stores into 'keep' the group that each bucket is to stay in: the one that
 * knows its sessions, or its home's if it has none. */
void zoo_peer_keep_groups(const struct zoo_peer *, const struct zoo_params *,
                          const struct zoo_path_rank rank[],
                          uint8_t keep[ZOO_N_BUCKETS]);

/* Returns true if candidate 'i' leads where it is thought to lead, as far as
 * reports have told. */
bool zoo_peer_leads_still(const struct zoo_peer *, unsigned int i);

/* Candidates 'before' had the buckets until they failed: sessions in those that
 * have left their group are lost, so that other ones count from now on. */
void zoo_peer_lose_sessions(struct zoo_peer *,
                            const uint8_t before[ZOO_N_BUCKETS],
                            long long int now);

/* Moves buckets whose candidates have come to lead to another group to some
 * that lead to their own. */
void zoo_peer_reunite(struct zoo_peer *, const struct zoo_params *,
                      long long int now);

/* What was sent from candidate 'i' has arrived, as is known at 'now'. */
void zoo_peer_succeeded(struct zoo_peer *, const struct zoo_params *,
                        unsigned int i, long long int now);

/* Draws the conclusions from rounds whose time is over at 'now'. */
void zoo_peer_expire_rounds(struct zoo_peer *, const struct zoo_params *,
                            long long int now);

#endif /* zoo-peer-private.h */
