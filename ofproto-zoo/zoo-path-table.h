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

#ifndef ZOO_PATH_TABLE_H
#define ZOO_PATH_TABLE_H 1

/* Path table of one peer: which outer UDP source port each bucket uses
 * ====================================================================
 *
 * A peer has N candidate outer source ports.  Packets fall into
 * ZOO_N_BUCKETS buckets by their flow hash; each bucket belongs to one
 * candidate.  The home of bucket b is candidate b mod N.  When a candidate
 * fails, only its own buckets move; when it has been good for long enough,
 * the buckets whose home it is go back.
 *
 * This module is pure: no clock, no randomness, no locks, no allocation.
 * Callers serialize access to one table.  Sets of candidates are bitmaps, bit
 * i for candidate i. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "ovs-ext/zoo-datapath.h"

#define ZOO_MAX_CANDIDATES 32

/* What a candidate must be known by when buckets are dealt. */
struct zoo_path_rank {
    uint8_t group;              /* BackendID group, 0 if it has none. */
    long long int failure_free; /* Since when without a failure, ns. */
};

struct zoo_path_table {
    uint8_t n;                          /* Candidates, 1...32. */
    uint8_t owner[ZOO_N_BUCKETS];       /* Candidate of each bucket. */
    uint16_t sport[ZOO_MAX_CANDIDATES]; /* Host byte order, distinct. */
};

/* Fills 'table' with 'n' distinct ports out of 'port_min'...'port_max' and
 * every bucket at its home.  The ports depend on nothing but 'key' (bytes that
 * identify the peer) and 'seed', so that a restart keeps them and different
 * peers get different ones; with a larger 'n' the first ones stay.  They are
 * as if drawn at random, but so that the hashes of zoo-port-hash.h spread them
 * better than by chance.  The range must hold at least 'n' ports. */
void zoo_path_table_init(struct zoo_path_table *, unsigned int n,
                         uint16_t port_min, uint16_t port_max,
                         const void *key, size_t key_len, uint32_t seed);

/* Returns the candidate that bucket 'b' belongs to when nothing is wrong. */
static inline unsigned int
zoo_path_table_home(const struct zoo_path_table *table, unsigned int b)
{
    return b % table->n;
}

/* Returns the candidate with outer source port 'sport', or -1. */
int zoo_path_table_find(const struct zoo_path_table *, uint16_t sport);

/* Returns the set of candidates that own at least one bucket of 'buckets'
 * (NULL means every bucket). */
uint32_t zoo_path_table_owners(const struct zoo_path_table *,
                               const bool buckets[ZOO_N_BUCKETS]);

/* Moves every bucket of candidate 'from' to candidates out of 'eligible',
 * evenly: to those in the bucket's group if there are any, otherwise to all,
 * each bucket to the one with the fewest buckets, and among equals to the one
 * that has been free of failures for longest.  A bucket's group is what 'keep'
 * says (NULL means that of its home).  Buckets for which there is none of their
 * group in 'eligible', but one in 'hopeful', perhaps 'from', stay where they
 * are.  Returns the number of buckets moved, which is 0 if 'eligible' is
 * empty. */
unsigned int zoo_path_table_evacuate(struct zoo_path_table *,
                                     unsigned int from, uint32_t eligible,
                                     uint32_t hopeful,
                                     const struct zoo_path_rank rank[],
                                     const uint8_t keep[ZOO_N_BUCKETS]);

/* Moves bucket 'b' to the candidate out of nonempty 'set' that
 * zoo_path_table_evacuate() would choose.  If 'only_better', then only from a
 * candidate that has at least two buckets more.  Returns true if it has
 * moved. */
bool zoo_path_table_move(struct zoo_path_table *, unsigned int b,
                         uint32_t set, bool only_better,
                         const struct zoo_path_rank rank[]);

/* Moves the buckets whose home is 'home' back to it, except those that 'keep'
 * says to be in another group (NULL means that none is).  Returns the number of
 * buckets moved. */
unsigned int zoo_path_table_return_home(struct zoo_path_table *,
                                        unsigned int home,
                                        const struct zoo_path_rank rank[],
                                        const uint8_t keep[ZOO_N_BUCKETS]);

/* Stores into 'ports' what the datapath needs: the outer source port of each
 * bucket, or 0 (Open vSwitch's own choice) everywhere if 'upstream'. */
void zoo_path_table_ports(const struct zoo_path_table *, bool upstream,
                          uint16_t ports[ZOO_N_BUCKETS]);

#endif /* zoo-path-table.h */
