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


/* Path table: properties that hold for every table, on many random ones. */

#include <config.h>
#include "unit.h"

#include <limits.h>
#include <string.h>

#include "ofproto-zoo/zoo-path-table.h"
#include "random.h"
#include "util.h"

#define N_SEEDS 2000

static const char some_key[] = "10.0.1.1->10.0.2.1:4789";

struct random_table {
    struct zoo_path_table table;
    struct zoo_path_rank rank[ZOO_MAX_CANDIDATES];
};

static uint32_t
bit(unsigned int i)
{
    return UINT32_C(1) << i;
}

static void
count_buckets(const struct zoo_path_table *table, unsigned int counts[])
{
    memset(counts, 0, ZOO_MAX_CANDIDATES * sizeof *counts);
    for (int b = 0; b < ZOO_N_BUCKETS; b++) {
        unit_assert(table->owner[b] < table->n, "bucket %d", b);
        counts[table->owner[b]]++;
    }
}

static void
init_table(struct zoo_path_table *table, unsigned int n)
{
    zoo_path_table_init(table, n, 32768, 60999, some_key, sizeof some_key, 0);
}

/* Makes a table with up to 'n_groups' groups in which some candidates have
 * already lost their buckets. */
static void
random_table(struct random_table *rt, unsigned int n_groups)
{
    unsigned int n = unit_range(2, ZOO_MAX_CANDIDATES);
    uint32_t all = n == 32 ? UINT32_MAX : bit(n) - 1;

    zoo_path_table_init(&rt->table, n, 32768, 60999, some_key,
                        sizeof some_key, random_uint32());
    for (unsigned int i = 0; i < n; i++) {
        rt->rank[i].group = random_range(n_groups);
        rt->rank[i].failure_free = unit_range(0, 5) * SEC;
    }
    for (unsigned int i = random_range(4); i > 0; i--) {
        zoo_path_table_evacuate(&rt->table, random_range(n),
                                random_uint32() & all, 0, rt->rank, NULL);
    }
}

/* Candidates. */

START_TEST(candidates_are_distinct_and_in_range)
{
    for (uint32_t seed = 0; seed < N_SEEDS; seed++) {
        struct zoo_path_table t;
        unsigned int n, range;
        uint16_t min, max;
        uint64_t key;

        unit_seed(seed);
        key = random_uint64();
        n = unit_range(1, ZOO_MAX_CANDIDATES);
        /* One in four ranges is as narrow as it may be, one in four ends
         * where 16 bits do. */
        range = unit_chance(.25) ? n : unit_range(n, 32768);
        min = unit_chance(.25) ? 65536 - range : unit_range(32768,
                                                           65536 - range);
        max = min + range - 1;

        zoo_path_table_init(&t, n, min, max, &key, sizeof key, seed);
        unit_assert(t.n == n, "seed %u: %d of %u", seed, t.n, n);
        for (unsigned int i = 0; i < n; i++) {
            unit_assert(t.sport[i] >= min && t.sport[i] <= max,
                        "seed %u: %d not in %d..%d", seed, t.sport[i], min,
                        max);
            unit_assert(zoo_path_table_find(&t, t.sport[i]) == i,
                        "seed %u: %d twice", seed, t.sport[i]);
        }
        for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
            unit_assert(t.owner[b] == b % n, "seed %u", seed);
        }
        ck_assert_int_eq(zoo_path_table_find(&t, 0), -1);
        ck_assert_int_eq(zoo_path_table_find(&t, min - 1), -1);
    }
}
END_TEST

START_TEST(candidates_depend_on_key_and_seed_alone)
{
    unsigned int n_same = 0;

    for (uint32_t seed = 0; seed < N_SEEDS; seed++) {
        uint8_t key[40], other_key[40];
        struct zoo_path_table a, b, other;

        unit_seed(seed);
        random_bytes(key, sizeof key);
        memcpy(other_key, key, sizeof key);
        other_key[random_range(sizeof key)] ^= bit(random_range(8));

        memset(&a, 0xaa, sizeof a);
        memset(&b, 0x55, sizeof b);
        zoo_path_table_init(&a, 32, 32768, 60999, key, sizeof key, seed);
        zoo_path_table_init(&b, 32, 32768, 60999, key, sizeof key, seed);
        ck_assert_mem_eq(&a, &b, sizeof a);

        /* Fewer candidates are the first ones of more. */
        zoo_path_table_init(&b, 7, 32768, 60999, key, sizeof key, seed);
        ck_assert_mem_eq(a.sport, b.sport, 7 * sizeof *a.sport);

        /* Another key or seed gives others. */
        zoo_path_table_init(&other, 32, 32768, 60999, other_key,
                            sizeof other_key, seed);
        for (int i = 0; i < 32; i++) {
            n_same += zoo_path_table_find(&other, a.sport[i]) >= 0;
        }
        zoo_path_table_init(&other, 32, 32768, 60999, key, sizeof key,
                            seed + 1);
        for (int i = 0; i < 32; i++) {
            n_same += zoo_path_table_find(&other, a.sport[i]) >= 0;
        }
    }

    /* By chance 32 of 28232 ports are the same for each port. */
    double expected = N_SEEDS * 2 * 32 * 32 / 28232.;
    ck_assert_double_gt(n_same, expected / 1.3);
    ck_assert_double_lt(n_same, expected * 1.3);
}
END_TEST

/* An upgrade, or another CPU, must not move flows. */
START_TEST(candidates_never_change)
{
    static const uint16_t expected[] = {
        55791, 39992, 32934, 53809, 52292, 45476, 50430, 51091,
    };
    struct zoo_path_table t;

    zoo_path_table_init(&t, ARRAY_SIZE(expected), 32768, 60999, some_key,
                        sizeof some_key, 12345);
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
        ck_assert_uint_eq(t.sport[i], expected[i]);
    }
}
END_TEST

/* Many peers together use the whole range evenly. */
START_TEST(candidates_of_many_peers_spread)
{
    enum { N_PEERS = 2000, N_PARTS = 16 };
    unsigned int counts[N_PARTS] = { 0 };

    for (uint32_t peer = 0; peer < N_PEERS; peer++) {
        struct zoo_path_table t;

        zoo_path_table_init(&t, 32, 32768, 65535, &peer, sizeof peer, 1);
        for (int i = 0; i < 32; i++) {
            counts[(t.sport[i] - 32768) * N_PARTS / 32768]++;
        }
    }
    for (int i = 0; i < N_PARTS; i++) {
        double share = counts[i] / (N_PEERS * 32. / N_PARTS);

        ck_assert_double_gt(share, .93);
        ck_assert_double_lt(share, 1.07);
    }
}
END_TEST

/* Evacuation. */

/* Checks that 'after' is a right answer to "evacuate 'from' to 'eligible', but
 * wait for 'hopeful'" in 'rt'. */
static void
check_evacuation(const struct random_table *rt,
                 const struct zoo_path_table *after, unsigned int from,
                 uint32_t eligible, uint32_t hopeful,
                 const uint8_t keep[ZOO_N_BUCKETS], unsigned int n_moved,
                 uint32_t seed)
{
    const struct zoo_path_table *before = &rt->table;
    unsigned int moved = 0;

    eligible &= ~bit(from);
    for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
        unsigned int to = after->owner[b];
        uint8_t group = keep ? keep[b] : rt->rank[b % before->n].group;
        bool same = false, waits = false;

        for (unsigned int i = 0; i < before->n; i++) {
            same |= eligible & bit(i) && rt->rank[i].group == group;
            waits |= hopeful & bit(i) && rt->rank[i].group == group;
        }
        if (before->owner[b] != from || !eligible || (waits && !same)) {
            unit_assert(to == before->owner[b],
                        "seed %u: bucket %u moved though its candidate is "
                        "good, or it should wait", seed, b);
            continue;
        }
        moved++;
        unit_assert(eligible & bit(to), "seed %u: bucket %u moved to %u",
                    seed, b, to);
        unit_assert(!same || rt->rank[to].group == group,
                    "seed %u: bucket %u left its group", seed, b);
    }
    unit_assert(moved == n_moved, "seed %u", seed);
    unit_assert(!memcmp(before->sport, after->sport, sizeof before->sport),
                "seed %u", seed);
}

START_TEST(only_the_buckets_of_the_failed_candidate_move)
{
    for (uint32_t seed = 0; seed < N_SEEDS; seed++) {
        struct zoo_path_table after;
        struct random_table rt;
        unsigned int from, n;
        uint32_t eligible, hopeful = 0;
        uint8_t groups[ZOO_N_BUCKETS], *keep = NULL;

        unit_seed(seed);
        random_table(&rt, 4);
        after = rt.table;
        from = random_range(after.n);
        eligible = random_uint32() & (unit_chance(.5) ? random_uint32()
                                      : UINT32_MAX);
        if (after.n < 32) {
            eligible &= bit(after.n) - 1;
        }
        if (unit_chance(.1)) {
            eligible &= bit(from);
        }
        if (unit_chance(.5)) {
            hopeful = random_uint32() & random_uint32();
        }
        if (unit_chance(.7)) {
            for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
                groups[b] = random_range(5);
            }
            keep = groups;
        }
        n = zoo_path_table_evacuate(&after, from, eligible, hopeful, rt.rank,
                                    keep);
        check_evacuation(&rt, &after, from, eligible, hopeful, keep, n, seed);
    }
}
END_TEST

/* Checks that no candidate got a bucket that another one of 'set' should have
 * got. */
static void
check_balance(const struct zoo_path_table *before,
              const struct zoo_path_table *after, uint32_t set, uint32_t seed)
{
    unsigned int old[ZOO_MAX_CANDIDATES], new[ZOO_MAX_CANDIDATES];
    unsigned int min = UINT_MAX;

    count_buckets(before, old);
    count_buckets(after, new);
    for (unsigned int i = 0; i < after->n; i++) {
        if (set & bit(i)) {
            min = MIN(min, new[i]);
        }
    }
    for (unsigned int i = 0; i < after->n; i++) {
        unit_assert(!(set & bit(i)) || new[i] == old[i]
                    || new[i] <= min + 1,
                    "seed %u: candidate %u got its bucket number %u while "
                    "another one has %u", seed, i, new[i], min);
    }
}

START_TEST(evacuation_is_balanced)
{
    for (uint32_t seed = 0; seed < N_SEEDS; seed++) {
        struct zoo_path_table after;
        struct random_table rt;
        unsigned int from;
        uint32_t eligible;

        unit_seed(seed);
        random_table(&rt, 1);
        after = rt.table;
        from = random_range(after.n);
        eligible = random_uint32() & ~bit(from);
        if (after.n < 32) {
            eligible &= bit(after.n) - 1;
        }
        if (zoo_path_table_evacuate(&after, from, eligible, 0, rt.rank,
                                    NULL)) {
            check_balance(&rt.table, &after, eligible, seed);
        }
    }
}
END_TEST

/* One of four spines: 8 candidates of 32 fail one after the other, while the
 * other 24 are known to work. */
START_TEST(a_spine_is_dealt_evenly)
{
    for (uint32_t seed = 0; seed < 200; seed++) {
        struct zoo_path_rank rank[ZOO_MAX_CANDIDATES];
        unsigned int counts[ZOO_MAX_CANDIDATES];
        struct zoo_path_table t;
        uint32_t failed = 0;

        unit_seed(seed);
        init_table(&t, 32);
        for (int i = 0; i < 32; i++) {
            rank[i].group = 0;
            rank[i].failure_free = random_range(1000);
        }
        while (count_1bits(failed) < 8) {
            failed |= bit(random_range(32));
        }
        for (int i = 0; i < 32; i++) {
            if (failed & bit(i)) {
                unsigned int n = zoo_path_table_evacuate(&t, i, ~failed, 0,
                                                         rank, NULL);

                unit_assert(n == 4, "seed %u", seed);
            }
        }
        count_buckets(&t, counts);
        for (int i = 0; i < 32; i++) {
            /* 128 / 24 is 5.33. */
            unit_assert(failed & bit(i) ? !counts[i]
                        : counts[i] == 5 || counts[i] == 6,
                        "seed %u: candidate %d has %u", seed, i, counts[i]);
        }
    }
}
END_TEST

START_TEST(longest_failure_free_comes_first)
{
    for (uint32_t seed = 0; seed < 200; seed++) {
        struct zoo_path_rank rank[ZOO_MAX_CANDIDATES];
        unsigned int counts[ZOO_MAX_CANDIDATES];
        struct zoo_path_table t;
        unsigned int from;

        unit_seed(seed);
        init_table(&t, 32);
        for (int i = 0; i < 32; i++) {
            /* A permutation of 0...31. */
            rank[i].group = 0;
            rank[i].failure_free = (i * 7 + seed) % 32;
        }
        from = random_range(32);
        ck_assert_uint_eq(zoo_path_table_evacuate(&t, from, UINT32_MAX, 0,
                                                  rank, NULL), 4);

        /* All had equally many buckets, so the four that have been good for
         * longest have one more now. */
        count_buckets(&t, counts);
        long long int limit = 4 + (rank[from].failure_free < 4);
        for (int i = 0; i < 32; i++) {
            unit_assert(counts[i] == (i == from ? 0
                                      : rank[i].failure_free < limit ? 5 : 4),
                        "seed %u: candidate %d has %u", seed, i, counts[i]);
        }
    }
}
END_TEST

START_TEST(nowhere_to_go)
{
    struct zoo_path_rank rank[ZOO_MAX_CANDIDATES] = { { 0, 0 } };
    struct zoo_path_table t, before;

    init_table(&t, 8);
    before = t;
    ck_assert_uint_eq(zoo_path_table_evacuate(&t, 3, 0, 0, rank, NULL), 0);
    ck_assert_uint_eq(zoo_path_table_evacuate(&t, 3, bit(3), 0, rank, NULL),
                      0);
    ck_assert_mem_eq(&t, &before, sizeof t);
}
END_TEST

/* Return. */

START_TEST(returning_undoes_evacuation)
{
    for (uint32_t seed = 0; seed < N_SEEDS; seed++) {
        struct zoo_path_table home;
        struct random_table rt;

        unit_seed(seed);
        random_table(&rt, 4);
        home = rt.table;
        for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
            home.owner[b] = zoo_path_table_home(&home, b);
        }
        for (unsigned int i = 0; i < home.n; i++) {
            struct zoo_path_table before = rt.table;
            unsigned int n = zoo_path_table_return_home(&rt.table, i, rt.rank,
                                                        NULL);

            for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
                if (b % home.n == i) {
                    unit_assert(rt.table.owner[b] == i, "seed %u", seed);
                    n -= before.owner[b] != i;
                } else {
                    unit_assert(rt.table.owner[b] == before.owner[b],
                                "seed %u", seed);
                }
            }
            unit_assert(!n, "seed %u", seed);
        }
        ck_assert_mem_eq(&rt.table, &home, sizeof home);
    }
}
END_TEST

START_TEST(buckets_return_to_their_groups_only)
{
    for (uint32_t seed = 0; seed < N_SEEDS; seed++) {
        uint8_t keep[ZOO_N_BUCKETS];
        struct zoo_path_table before;
        struct random_table rt;

        unit_seed(seed);
        random_table(&rt, 3);
        for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
            keep[b] = random_range(3);
        }
        before = rt.table;
        unsigned int i = random_range(before.n);
        zoo_path_table_return_home(&rt.table, i, rt.rank, keep);

        for (unsigned int b = i; b < ZOO_N_BUCKETS; b += before.n) {
            unsigned int owner = before.owner[b];
            bool stays = keep[b] != rt.rank[i].group;

            unit_assert(rt.table.owner[b] == (stays ? owner : i),
                        "seed %u: bucket %u is with %u", seed, b,
                        rt.table.owner[b]);
        }
    }
}
END_TEST

/* One bucket. */

START_TEST(a_bucket_moves_to_the_least_loaded)
{
    for (uint32_t seed = 0; seed < N_SEEDS; seed++) {
        unsigned int before[ZOO_MAX_CANDIDATES];
        unsigned int min = UINT_MAX, b, from, to;
        bool only_better, moved;
        struct random_table rt;
        uint32_t set;

        unit_seed(seed);
        random_table(&rt, 3);
        count_buckets(&rt.table, before);
        b = random_range(ZOO_N_BUCKETS);
        from = rt.table.owner[b];
        set = random_uint32() | bit(random_range(rt.table.n));
        set &= rt.table.n < 32 ? bit(rt.table.n) - 1 : UINT32_MAX;
        only_better = unit_chance(.5);
        moved = zoo_path_table_move(&rt.table, b, set, only_better, rt.rank);
        to = rt.table.owner[b];
        ck_assert(moved == (from != to));
        for (unsigned int i = 0; i < rt.table.n; i++) {
            min = set & bit(i) ? MIN(min, before[i]) : min;
        }
        if (moved) {
            unit_assert(set & bit(to) && before[to] == min
                        && !(only_better && before[from] < min + 2),
                        "seed %u: from %u to %u", seed, from, to);
        } else {
            unit_assert((set & bit(from) && before[from] == min)
                        || (only_better && before[from] < min + 2),
                        "seed %u: stays at %u", seed, from);
        }
    }
}
END_TEST

/* What others see of a table. */

START_TEST(owners_of_some_buckets)
{
    struct zoo_path_rank rank[ZOO_MAX_CANDIDATES] = { { 0, 0 } };
    bool buckets[ZOO_N_BUCKETS] = { false };
    struct zoo_path_table t;

    init_table(&t, 32);
    ck_assert_uint_eq(zoo_path_table_owners(&t, NULL), UINT32_MAX);
    ck_assert_uint_eq(zoo_path_table_owners(&t, buckets), 0);
    buckets[5] = buckets[37] = buckets[126] = true;
    ck_assert_uint_eq(zoo_path_table_owners(&t, buckets), bit(5) | bit(30));

    zoo_path_table_evacuate(&t, 30, bit(2), 0, rank, NULL);
    ck_assert_uint_eq(zoo_path_table_owners(&t, buckets), bit(5) | bit(2));
    ck_assert_uint_eq(zoo_path_table_owners(&t, NULL), ~bit(30));
}
END_TEST

START_TEST(ports_for_the_datapath)
{
    struct zoo_path_rank rank[ZOO_MAX_CANDIDATES] = { { 0, 0 } };
    uint16_t ports[ZOO_N_BUCKETS];
    struct zoo_path_table t;

    init_table(&t, 5);
    zoo_path_table_evacuate(&t, 1, bit(4), 0, rank, NULL);
    zoo_path_table_ports(&t, false, ports);
    for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
        ck_assert_uint_eq(ports[b], t.sport[b % 5 == 1 ? 4 : b % 5]);
    }
    zoo_path_table_ports(&t, true, ports);
    for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
        ck_assert_uint_eq(ports[b], 0);
    }
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("path table");
    TCase *tc;

    tc = unit_case(s, "candidates", 60);
    tcase_add_test(tc, candidates_are_distinct_and_in_range);
    tcase_add_test(tc, candidates_depend_on_key_and_seed_alone);
    tcase_add_test(tc, candidates_never_change);
    tcase_add_test(tc, candidates_of_many_peers_spread);

    tc = unit_case(s, "evacuation", 60);
    tcase_add_test(tc, only_the_buckets_of_the_failed_candidate_move);
    tcase_add_test(tc, evacuation_is_balanced);
    tcase_add_test(tc, a_spine_is_dealt_evenly);
    tcase_add_test(tc, longest_failure_free_comes_first);
    tcase_add_test(tc, nowhere_to_go);

    tc = unit_case(s, "return", 60);
    tcase_add_test(tc, returning_undoes_evacuation);
    tcase_add_test(tc, buckets_return_to_their_groups_only);
    tcase_add_test(tc, a_bucket_moves_to_the_least_loaded);

    tc = unit_case(s, "view", 60);
    tcase_add_test(tc, owners_of_some_buckets);
    tcase_add_test(tc, ports_for_the_datapath);

    return unit_run(s);
}
