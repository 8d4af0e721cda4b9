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
#include "zoo-path-table.h"

#include <limits.h>

#include "jhash.h"
#include "openvswitch/util.h"
#include "util.h"
#include "zoo-port-hash.h"

BUILD_ASSERT_DECL(ZOO_MAX_CANDIDATES <= 32);
BUILD_ASSERT_DECL(ZOO_N_BUCKETS >= ZOO_MAX_CANDIDATES);

/* Ports that each candidate is chosen from. */
#define N_DRAWS 16

/* What decides which ports a peer gets.
 *
 * 'likeness' is by how much, by each hash, a port of each class is like those
 * that the table has already. */
struct choice {
    struct zoo_port_hash hash;
    unsigned int likeness[ZOO_PORT_N_HASHES][ZOO_PORT_N_CLASSES];
};

static unsigned int
likeness(const struct choice *choice, uint16_t sport)
{
    uint8_t classes[ZOO_PORT_N_HASHES];
    unsigned int sum = 0;

    zoo_port_hash(&choice->hash, sport, classes);
    for (unsigned int i = 0; i < ZOO_PORT_N_HASHES; i++) {
        sum += choice->likeness[i][classes[i]];
    }
    return sum;
}

/* Adds 'sport' to what further ports are compared with.  Each further bit in
 * which two classes are alike, and by chance half as many would be, counts
 * twice as much: 1, 3, 7, 15. */
static void
add_port(struct choice *choice, struct zoo_path_table *table, uint16_t sport)
{
    uint8_t classes[ZOO_PORT_N_HASHES];

    table->sport[table->n++] = sport;
    zoo_port_hash(&choice->hash, sport, classes);
    for (unsigned int i = 0; i < ZOO_PORT_N_HASHES; i++) {
        for (unsigned int c = 0; c < ZOO_PORT_N_CLASSES; c++) {
            unsigned int differ = c ^ classes[i];

            choice->likeness[i][c] += (differ ? rightmost_1bit(differ)
                                       : ZOO_PORT_N_CLASSES) - 1;
        }
    }
}

void
zoo_path_table_init(struct zoo_path_table *table, unsigned int n,
                    uint16_t port_min, uint16_t port_max,
                    const void *key, size_t key_len, uint32_t seed)
{
    unsigned int range = port_max - port_min + 1;
    struct choice choice = { .likeness = { { 0 } } };
    uint32_t draw = 0;

    ovs_assert(n >= 1 && n <= ZOO_MAX_CANDIDATES && range >= n
               && port_min <= port_max);

    /* jhash, not hash.h: its result must not depend on the CPU that the
     * program was compiled for, or an upgrade would move every flow. */
    seed = jhash_bytes(key, key_len, seed);

    memset(table, 0, sizeof *table);
    zoo_port_hash_init(&choice.hash, port_min, port_max);
    while (table->n < n) {
        unsigned int best_likeness = UINT_MAX;
        uint16_t best = 0;

        for (int i = 0; i < N_DRAWS; i++) {
            uint32_t hash = jhash_words(&draw, 1, seed);
            uint16_t sport = port_min + ((uint64_t) hash * range >> 32);
            unsigned int like;

            /* A port that is taken yields the next free one, which ends even
             * if the range has no more than 'n' ports. */
            while (zoo_path_table_find(table, sport) >= 0) {
                sport = sport == port_max ? port_min : sport + 1;
            }
            like = likeness(&choice, sport);
            if (like < best_likeness) {
                best_likeness = like;
                best = sport;
            }
            draw++;
        }
        add_port(&choice, table, best);
    }
    for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
        table->owner[b] = zoo_path_table_home(table, b);
    }
}

int
zoo_path_table_find(const struct zoo_path_table *table, uint16_t sport)
{
    for (int i = 0; i < table->n; i++) {
        if (table->sport[i] == sport) {
            return i;
        }
    }
    return -1;
}

uint32_t
zoo_path_table_owners(const struct zoo_path_table *table,
                      const bool buckets[ZOO_N_BUCKETS])
{
    uint32_t owners = 0;

    for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
        if (!buckets || buckets[b]) {
            owners |= UINT32_C(1) << table->owner[b];
        }
    }
    return owners;
}

static void
count_buckets(const struct zoo_path_table *table,
              unsigned int n_buckets[ZOO_MAX_CANDIDATES])
{
    memset(n_buckets, 0, ZOO_MAX_CANDIDATES * sizeof *n_buckets);
    for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
        n_buckets[table->owner[b]]++;
    }
}

static uint32_t
same_group(const struct zoo_path_table *table, uint32_t set, uint8_t group,
           const struct zoo_path_rank rank[])
{
    uint32_t same = 0;

    for (unsigned int i = 0; i < table->n; i++) {
        if (set & (UINT32_C(1) << i) && rank[i].group == group) {
            same |= UINT32_C(1) << i;
        }
    }
    return same;
}

/* Returns the candidate out of nonempty 'set' that is to get the next
 * bucket. */
static unsigned int
choose(const struct zoo_path_table *table, uint32_t set,
       const unsigned int n_buckets[], const struct zoo_path_rank rank[])
{
    int best = -1;

    for (unsigned int i = 0; i < table->n; i++) {
        if (set & (UINT32_C(1) << i)
            && (best < 0 || n_buckets[i] < n_buckets[best]
                || (n_buckets[i] == n_buckets[best]
                    && rank[i].failure_free < rank[best].failure_free))) {
            best = i;
        }
    }
    return best;
}

unsigned int
zoo_path_table_evacuate(struct zoo_path_table *table, unsigned int from,
                        uint32_t eligible, uint32_t hopeful,
                        const struct zoo_path_rank rank[],
                        const uint8_t keep[ZOO_N_BUCKETS])
{
    unsigned int n_buckets[ZOO_MAX_CANDIDATES];
    unsigned int moved = 0;

    eligible &= ~(UINT32_C(1) << from);
    if (!eligible) {
        return 0;
    }

    count_buckets(table, n_buckets);
    for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
        if (table->owner[b] == from) {
            uint8_t group = (keep ? keep[b]
                             : rank[zoo_path_table_home(table, b)].group);
            uint32_t same = same_group(table, eligible, group, rank);
            unsigned int to;

            if (!same && same_group(table, hopeful, group, rank)) {
                continue;
            }
            to = choose(table, same ? same : eligible, n_buckets, rank);
            table->owner[b] = to;
            n_buckets[to]++;
            moved++;
        }
    }
    return moved;
}

bool
zoo_path_table_move(struct zoo_path_table *table, unsigned int b,
                    uint32_t set, bool only_better,
                    const struct zoo_path_rank rank[])
{
    unsigned int n_buckets[ZOO_MAX_CANDIDATES];
    unsigned int from = table->owner[b];
    unsigned int to;

    count_buckets(table, n_buckets);
    to = choose(table, set, n_buckets, rank);
    if (to == from || (only_better && n_buckets[from] < n_buckets[to] + 2)) {
        return false;
    }
    table->owner[b] = to;
    return true;
}

unsigned int
zoo_path_table_return_home(struct zoo_path_table *table, unsigned int home,
                           const struct zoo_path_rank rank[],
                           const uint8_t keep[ZOO_N_BUCKETS])
{
    unsigned int moved = 0;

    for (unsigned int b = home; b < ZOO_N_BUCKETS; b += table->n) {
        if (table->owner[b] != home
            && (!keep || keep[b] == rank[home].group)) {
            table->owner[b] = home;
            moved++;
        }
    }
    return moved;
}

void
zoo_path_table_ports(const struct zoo_path_table *table, bool upstream,
                     uint16_t ports[ZOO_N_BUCKETS])
{
    for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
        ports[b] = upstream ? 0 : table->sport[table->owner[b]];
    }
}
