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

BUILD_ASSERT_DECL(ZOO_MAX_CANDIDATES <= 32);
BUILD_ASSERT_DECL(ZOO_N_BUCKETS >= ZOO_MAX_CANDIDATES);

/* jhash, not hash.h: its result must not depend on the CPU that the program
 * was compiled for, or an upgrade would move every flow. */
static uint32_t
port_hash(const void *key, size_t key_len, uint32_t seed, unsigned int try)
{
    return jhash_words(&(uint32_t) { try }, 1,
                       jhash_bytes(key, key_len, seed));
}

void
zoo_path_table_init(struct zoo_path_table *table, unsigned int n,
                    uint16_t port_min, uint16_t port_max,
                    const void *key, size_t key_len, uint32_t seed)
{
    unsigned int range = port_max - port_min + 1;
    unsigned int try = 0;

    ovs_assert(n >= 1 && n <= ZOO_MAX_CANDIDATES && range >= n
               && port_min <= port_max);

    memset(table, 0, sizeof *table);
    while (table->n < n) {
        uint32_t hash = port_hash(key, key_len, seed, try++);
        uint16_t sport = port_min + ((uint64_t) hash * range >> 32);

        /* A port that is taken yields the next free one, which ends even if
         * the range has no more than 'n' ports. */
        while (zoo_path_table_find(table, sport) >= 0) {
            sport = sport == port_max ? port_min : sport + 1;
        }
        table->sport[table->n++] = sport;
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
                        uint32_t eligible, const struct zoo_path_rank rank[])
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
            unsigned int home = zoo_path_table_home(table, b);
            uint32_t same = same_group(table, eligible, rank[home].group,
                                       rank);
            unsigned int to = choose(table, same ? same : eligible,
                                     n_buckets, rank);

            table->owner[b] = to;
            n_buckets[to]++;
            moved++;
        }
    }
    return moved;
}

unsigned int
zoo_path_table_return_home(struct zoo_path_table *table, unsigned int home,
                           const struct zoo_path_rank rank[],
                           const bool busy[ZOO_N_BUCKETS])
{
    unsigned int moved = 0;

    for (unsigned int b = home; b < ZOO_N_BUCKETS; b += table->n) {
        unsigned int owner = table->owner[b];

        if (owner != home
            && !(busy && busy[b] && rank[owner].group != rank[home].group)) {
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
