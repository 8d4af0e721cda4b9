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

/* A stateful middlebox learns about its peers, instead of probing them
 * =====================================================================
 *
 * Whoever has sessions through a middlebox probes it while they last.  So the
 * middlebox, which may have far more peers than any of them has, does not
 * probe those that it hears.  It has their candidates, and what it sends back
 * to a session goes out from the outer source port that the session comes
 * with:
 *
 *     - The datapath notes that port (see zoo-learn.h); the bucket of what is
 *       sent back follows it.
 *
 *     - The middlebox sends its reports from every port that the round came
 *       with (ZOO_PROBE_F_REFLECTED).  The peer takes a candidate to have
 *       arrived only if the report has come from that port, so that it judges
 *       both directions together.
 *
 *     - The peer says in its requests which candidates it has found to be good
 *       (ZOO_PROBE_CAP_VERDICTS).  Buckets of those that are bad move, as if
 *       probes of the middlebox itself had said so: a session of which only
 *       the middlebox sends is not left behind.
 *
 * Of several middleboxes with one address, each has requests on some of the
 * peer's candidates, and counts those as good only.
 *
 * A peer that is not heard any more, or never says what it has found, is
 * probed as any other.
 *
 * Pure: times (monotonic, ns) are arguments.  Callers serialize access. */

#include <stdbool.h>
#include <stdint.h>

#include "zoo-peer.h"

/* The sessions of one peer, as far as their packets have come lately. */
struct zoo_sessions {
    /* For each bucket the candidate that its sessions have come on, and how
     * many times zoo_peer_follow() has been called since packets came from
     * there, up to ZOO_SESSIONS_NEVER, which also means that none has come. */
    uint8_t candidate[ZOO_N_BUCKETS];
    uint8_t age[ZOO_N_BUCKETS];
};

#define ZOO_SESSIONS_NEVER UINT8_MAX

/* So many times, a bucket keeps to its port though other sessions in it come
 * with other ports, and a port counts as one that sessions use. */
#define ZOO_SESSIONS_KEEP 20

/* No session has been seen. */
void zoo_sessions_init(struct zoo_sessions *);

/* Returns true if bucket 'b' of 'peer' uses the port that its sessions have
 * come from lately. */
bool zoo_sessions_decide(const struct zoo_sessions *, const struct zoo_peer *,
                         unsigned int b);

/* A request of the peer has come from outer source port 'sport'; it is surely
 * not an old one.  If it has verdicts, the peer is learned about from now
 * on. */
void zoo_peer_hear(struct zoo_peer *, const struct zoo_params *,
                   const struct zoo_probe *request, uint16_t sport,
                   long long int now);

/* Packets of sessions have come, as zoo_learn_take() says, since the last
 * call: what is sent back follows them if the peer is learned about.  To be
 * called about ten times a second. */
void zoo_peer_follow(struct zoo_peer *, struct zoo_sessions *,
                     const uint16_t seen[ZOO_N_BUCKETS]);

#endif /* zoo-peer-learn.h */
