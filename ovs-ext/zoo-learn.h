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

#ifndef ZOO_LEARN_H
#define ZOO_LEARN_H 1

/* Which outer source ports sessions come with
 * ============================================
 *
 * A stateful middlebox sends back what belongs to a session from the outer
 * source port that the session comes with.  Here the datapath notes that port,
 * by the bucket (see zoo-datapath.h) that the session's packets back to the
 * peer fall into: their flow hash is that of the packets received with source
 * and destination exchanged.  So memory does not depend on the number of
 * sessions.
 *
 * A packet costs nothing else while nobody learns.  While somebody does, its
 * peer and its bucket are looked for, of every packet alike, so that sessions
 * with few packets are noticed as soon as those with many.  Nothing is written
 * that is known already.
 *
 * Thread-safety: zoo_learn_batch() may be called by any thread that is not
 * quiescent (see ovs-rcu.h), the others by one thread at a time. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "openvswitch/compiler.h"
#include "openvswitch/types.h"
#include "ovs-atomic.h"
#include "ovs-ext/zoo-datapath.h"

struct dp_packet_batch;
struct zoo_learn;

/* Has packets that come out of tunnels from 'remote' to 'local' and UDP port
 * 'dst_port' learned from, until zoo_learn_destroy(). */
struct zoo_learn *zoo_learn_create(const struct in6_addr *remote,
                                   const struct in6_addr *local,
                                   ovs_be16 dst_port);
void zoo_learn_destroy(struct zoo_learn *);

/* Stores into 'seen' the outer source port (host byte order) that packets of
 * each bucket have come with since the last call, 0 if there was none.  Of
 * several it is 'kept[b]', the one that the bucket uses now, if that is among
 * them, otherwise the first.  'kept' also counts for what comes from now
 * on. */
void zoo_learn_take(struct zoo_learn *, const uint16_t kept[ZOO_N_BUCKETS],
                    uint16_t seen[ZOO_N_BUCKETS]);

/* Learns from the packets in 'batch', which have just come out of a tunnel,
 * with what it says of them in their metadata. */
void zoo_learn_batch(struct dp_packet_batch *batch);

/* The same for a caller that must not become slower while nobody learns. */
extern atomic_bool zoo_learn_enabled;

static inline void
zoo_learn(struct dp_packet_batch *batch)
{
    bool enabled;

    atomic_read_relaxed(&zoo_learn_enabled, &enabled);
    if (OVS_UNLIKELY(enabled)) {
        zoo_learn_batch(batch);
    }
}

#endif /* zoo-learn.h */
