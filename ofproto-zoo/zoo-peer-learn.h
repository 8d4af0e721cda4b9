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

#ifndef ZOO_PEER_LEARN_H
#define ZOO_PEER_LEARN_H 1

/* A stateful middlebox learns about its peers, and probes only what it does
 * not learn about
 * =========================================================================
 *
 * Whoever has sessions through a middlebox probes it while they last.  What
 * the middlebox sends back to a session goes out from the outer source port
 * that the session comes with:
 *
 *     - Its candidates are those that the peer lists in its own rounds.
 *
 *     - The datapath notes the ports (see zoo-learn.h); the home of a bucket
 *       is the candidate that its sessions have come on.
 *
 *     - The middlebox sends its reports from every port that the round came
 *       with (ZOO_PROBE_F_REFLECTED), and the peer repeats in its next
 *       requests when the report was sent that has come on each
 *       (zoo_probe_echo()).  So the middlebox knows that what it sends from
 *       that port arrives, as if a probe of its own had been answered, and
 *       does without one.
 *
 * That only ever proves that a candidate works.  Where such a proof lacks, or
 * is older than two intervals and a bit, for whatever reason - the peer
 * sleeps, it learns itself, is of an older version, or a path does not work -
 * the candidate is probed as any other, and nothing but the fate of these
 * probes makes it fail.  The peer judges its candidates by what reports say,
 * and not by how they have come.
 *
 * The times that are repeated are this side's own, to which it has added a
 * random number when it started, in authenticated probes: what somebody has
 * recorded earlier teaches nothing.  Of several middleboxes with one address,
 * each knows its own times only.
 *
 * One that learns does not repeat times itself, so that two of them probe each
 * other and do not take over each other's candidates.
 *
 * Pure: times (monotonic, ns) are arguments.  Callers serialize access. */

#include <stdbool.h>
#include <stdint.h>

#include "zoo-peer.h"

struct zoo_learn;

/* Of a peer that is learned about, or that learns about this side. */
struct zoo_learner {
    bool learning;              /* The candidates are the peer's own. */
    uint8_t home[ZOO_N_BUCKETS]; /* Candidates. */
    uint8_t age[ZOO_N_BUCKETS]; /* How many times zoo_peer_follow() has been
                                 * called since packets came on that, or
                                 * more than ZOO_SESSIONS_KEEP. */
    uint32_t learned;           /* Candidates that the peer's sessions use. */
    /* When the newest report from each candidate was sent that is known to
     * have arrived, 0 if none. */
    long long int arrived[ZOO_MAX_CANDIDATES];
    uint32_t spared;            /* Not probed when it was last time to. */
    uint32_t own;               /* Probed since one interval before
                                 * 'next_own'. */
    long long int next_own;     /* When these are due again. */
    struct zoo_learn *datapath; /* The caller's. */

    /* To be repeated for a peer that learns: transmit time of the newest
     * report from each candidate, 0 if none, and of the newest of all. */
    uint64_t echo[ZOO_MAX_CANDIDATES];
    uint64_t newest;
};

/* So many times, a bucket keeps to its port though other sessions in it come
 * with other ports, and a port counts as one that sessions use. */
#define ZOO_SESSIONS_KEEP 20

static inline bool
zoo_peer_is_learning(const struct zoo_peer *peer)
{
    return peer->learner && peer->learner->learning;
}

/* Returns the candidate that bucket 'b' belongs to when nothing is wrong. */
unsigned int zoo_peer_home(const struct zoo_peer *, unsigned int b);

/* Stores into 'ports' the ports of these. */
void zoo_peer_session_ports(const struct zoo_peer *,
                            uint16_t ports[ZOO_N_BUCKETS]);

/* Returns true if bucket 'b' of 'peer' uses the port that its sessions have
 * come from lately. */
bool zoo_peer_session_decides(const struct zoo_peer *, unsigned int b);

/* An authenticated request of the peer has come from outer source port 'sport'
 * at 'now', the newest of its session.  'clock' is what is added to the
 * transmit times of reports.  Returns true if the peer is learned about, and
 * the request is surely not an old one. */
bool zoo_peer_hear(struct zoo_peer *, const struct zoo_params *,
                   const struct zoo_probe *request, uint16_t sport,
                   uint64_t clock, long long int now);

/* Packets of sessions have come, as zoo_learn_take() says, since the last
 * call: what is sent back follows them if the peer is learned about.  To be
 * called about ten times a second. */
void zoo_peer_follow(struct zoo_peer *, const struct zoo_params *,
                     const uint16_t seen[ZOO_N_BUCKETS], long long int now);

#endif /* zoo-peer-learn.h */
