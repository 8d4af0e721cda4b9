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

/* Path tables of the gateway: who moves when a candidate fails, and who does
 * not; the ternary table's entries against a plain search; memory. */

#include <config.h>
#include "unit.h"

#include <string.h>

#include "ofproto-zoo/zoo-gateway-path.h"
#include "random.h"
#include "util.h"

#define N ZOO_GATEWAY_N_CANDIDATES
#define M ZOO_GATEWAY_M
#define N_CASES 20000
#define N_VTEPS 50000

static uint32_t
bit(unsigned int i)
{
    return UINT32_C(1) << i;
}

/* Sparse, dense and other bitmaps. */
static uint32_t
random_bitmap(void)
{
    switch (random_range(4)) {
    case 0: return random_uint32() & random_uint32() & random_uint32();
    case 1: return random_uint32() | random_uint32() | random_uint32();
    case 2: return bit(random_range(N));
    default: return random_uint32();
    }
}

/* The definition, without any cleverness. */
static unsigned int
slow_bitmap_pick(uint32_t bitmap, unsigned int own)
{
    for (unsigned int i = 0; i < N; i++) {
        if (bitmap & bit((own + i) % N)) {
            return (own + i) % N;
        }
    }
    return own;
}

/* What a ternary table with all entries makes of it. */
static unsigned int
ternary_pick(uint32_t bitmap, unsigned int own)
{
    unsigned int best = UINT_MAX;
    unsigned int candidate = own;

    for (unsigned int i = 0; i < ZOO_GATEWAY_N_FIRST; i++) {
        struct zoo_gateway_first first = zoo_gateway_first(i);

        if (first.own == own && (bitmap & first.mask) == first.mask
            && first.priority < best) {
            best = first.priority;
            candidate = first.candidate;
        }
    }
    return candidate;
}

START_TEST(bitmap_picks_the_first_healthy)
{
    unit_seed(_i);
    for (int i = 0; i < N_CASES / 10; i++) {
        uint32_t bitmap = random_bitmap();
        unsigned int own = random_range(N);
        unsigned int expected = slow_bitmap_pick(bitmap, own);

        ck_assert_uint_eq(zoo_gateway_bitmap_pick(bitmap, own), expected);
        ck_assert_uint_eq(ternary_pick(bitmap, own), expected);
    }
}
END_TEST

START_TEST(bitmap_corners)
{
    for (unsigned int own = 0; own < N; own++) {
        ck_assert_uint_eq(zoo_gateway_bitmap_pick(0, own), own);
        ck_assert_uint_eq(zoo_gateway_bitmap_pick(UINT32_MAX, own), own);
        for (unsigned int i = 0; i < N; i++) {
            ck_assert_uint_eq(zoo_gateway_bitmap_pick(bit(i), own), i);
            ck_assert_uint_eq(zoo_gateway_bitmap_pick(~bit(i), own),
                              own == i ? (i + 1) % N : own);
        }
    }
}
END_TEST

START_TEST(entries_are_circular_shifts)
{
    uint32_t of_group[N] = { 0 };

    for (unsigned int i = 0; i < ZOO_GATEWAY_N_FIRST; i++) {
        struct zoo_gateway_first first = zoo_gateway_first(i);
        struct zoo_gateway_first zero = zoo_gateway_first(first.priority);

        ck_assert_uint_lt(first.own, N);
        ck_assert_uint_lt(first.priority, N);
        ck_assert_uint_eq(first.mask, bit(first.candidate));
        ck_assert_uint_eq(first.candidate, (zero.candidate + first.own) % N);
        of_group[first.own] |= first.mask;
    }
    for (unsigned int own = 0; own < N; own++) {
        ck_assert_uint_eq(of_group[own], UINT32_MAX);
    }
}
END_TEST

/* One candidate fails and comes back. */
START_TEST(bitmap_moves_only_flows_of_the_failed)
{
    unit_seed(_i);
    for (int i = 0; i < N_CASES; i++) {
        uint32_t bitmap = random_bitmap();
        unsigned int failed = random_range(N);
        unsigned int own = random_range(N);
        uint32_t before = bitmap | bit(failed);
        uint32_t after = bitmap & ~bit(failed);
        unsigned int was = zoo_gateway_bitmap_pick(before, own);
        unsigned int is = zoo_gateway_bitmap_pick(after, own);

        if (was != failed) {
            ck_assert_uint_eq(is, was);
        } else if (after) {
            ck_assert(after & bit(is));
        } else {
            ck_assert_uint_eq(is, own);
        }
        if (after & bit(own)) {
            ck_assert_uint_eq(is, own);
        }
    }
}
END_TEST

/* Returns whether all candidates of 'own''s group are in 'healthy'. */
static bool
group_is_healthy(uint32_t healthy, unsigned int own)
{
    uint32_t group = (bit(M) - 1) << own / M * M;

    return (healthy & group) == group;
}

/* Candidates fail and recover at random: at every step each flow is where it
 * is to be, and nobody moves without need. */
START_TEST(index_moves_only_groups_of_the_failed)
{
    unit_seed(_i);

    unsigned int salt = random_uint32();
    uint32_t healthy = UINT32_MAX;
    uint32_t cell = 0;
    for (int i = 0; i < N_CASES / 10; i++) {
        unsigned int changed = random_range(N);
        uint32_t now = (unit_chance(.1) ? random_bitmap()
                        : healthy ^ bit(changed));
        uint32_t next = zoo_gateway_index_update(cell, now, NULL, salt);

        ck_assert_uint_eq(next >> ZOO_GATEWAY_CELL_BITS, 0);
        ck_assert_uint_eq(zoo_gateway_index_update(next, now, NULL, salt), next);
        for (unsigned int own = 0; own < N; own++) {
            uint32_t group = (bit(M) - 1) << own / M * M;
            unsigned int was = zoo_gateway_index_pick(cell, own);
            unsigned int is = zoo_gateway_index_pick(next, own);

            if (group_is_healthy(now, own) || !(now & ~group)) {
                ck_assert_uint_eq(is, own);
            } else {
                ck_assert(now & bit(is));
                ck_assert_uint_ne(is / M, own / M);
                if (was != own && (now & bit(was))) {
                    ck_assert_uint_eq(is, was);
                }
            }
            if (now == (healthy ^ bit(changed)) && changed / M != own / M
                && was != changed && ((healthy & ~group) != 0)
                && ((now & ~group) != 0)) {
                ck_assert_uint_eq(is, was);
            }
        }
        cell = next;
        healthy = now;
    }
    ck_assert_uint_eq(zoo_gateway_index_update(cell, UINT32_MAX, NULL, salt), 0);
}
END_TEST

START_TEST(index_takes_different_candidates)
{
    /* One candidate of each group is bad: four entries, four candidates, and
     * over many destinations all healthy ones. */
    uint32_t healthy = ~(bit(3) | bit(11) | bit(19) | bit(27));
    uint32_t ever = 0;

    for (unsigned int salt = 0; salt < N; salt++) {
        uint32_t cell = zoo_gateway_index_update(0, healthy, NULL, salt);
        uint32_t used = 0;

        for (unsigned int own = 0; own < N; own += M) {
            used |= bit(zoo_gateway_index_pick(cell, own));
        }
        ck_assert_int_eq(count_1bits(used), N / M);
        ever |= used;
    }
    ck_assert_uint_eq(ever, healthy);

    /* Where two are left, both are taken. */
    uint32_t cell = zoo_gateway_index_update(0, bit(30) | bit(31), NULL, 0);
    ck_assert_uint_ne(zoo_gateway_index_pick(cell, 0),
                      zoo_gateway_index_pick(cell, M));
}
END_TEST

/* Where candidates lead to several machines, flows stay with theirs as far as
 * entries of 8 candidates can tell them apart. */
START_TEST(index_keeps_to_machines)
{
    uint8_t groups[N];

    unit_seed(_i);

    /* Each entry's own 8 lead to one machine, which others lead to, too. */
    for (unsigned int i = 0; i < N; i++) {
        groups[i] = 1 + i / M % 2;
    }
    for (int k = 0; k < N_CASES / 10; k++) {
        uint32_t healthy = random_bitmap();
        unsigned int salt = random_uint32();
        uint32_t cell = zoo_gateway_index_update(0, healthy, groups, salt);

        for (unsigned int own = 0; own < N; own++) {
            uint32_t group = (bit(M) - 1) << own / M * M;
            uint32_t sister = (bit(M) - 1) << (own / M + 2) % 4 * M;
            unsigned int is = zoo_gateway_index_pick(cell, own);

            if (!group_is_healthy(healthy, own) && healthy & sister) {
                ck_assert(healthy & sister & bit(is));
            } else if (group_is_healthy(healthy, own) || !(healthy & ~group)) {
                ck_assert_uint_eq(is, own);
            } else {
                ck_assert(healthy & ~group & bit(is));
            }
        }
    }

    /* Five of an entry's own 8 lead to machine 1: its flows go there, whichever
     * has failed; with four and four, where those of the failed one were. */
    for (unsigned int n = 4; n <= 5; n++) {
        for (unsigned int failed = 0; failed < M; failed++) {
            for (unsigned int i = 0; i < N; i++) {
                groups[i] = (i < M ? i < n : i % 2) ? 1 : 2;
            }

            uint32_t cell = zoo_gateway_index_update(0, ~bit(failed), groups,
                                                     random_uint32());
            unsigned int is = zoo_gateway_index_pick(cell, failed);

            ck_assert_uint_ge(is, M);
            ck_assert_uint_eq(groups[is], n == 5 ? 1 : groups[failed]);
        }
    }

    /* What is recorded stays while it is healthy, even so; and what is not
     * known prefers nothing. */
    uint32_t cell = zoo_gateway_index_update(0, ~bit(0), NULL, 8);
    ck_assert_uint_eq(zoo_gateway_index_pick(cell, 1), 8);
    groups[8] = 2;
    ck_assert_uint_eq(zoo_gateway_index_update(cell, ~bit(0), groups, 9), cell);
    memset(groups, 0, sizeof groups);
    ck_assert_uint_eq(zoo_gateway_index_update(0, ~bit(0), groups, 8), cell);
}
END_TEST

/* Any 20 bits, also those that nobody writes, lead to a candidate, and an
 * entry with one of the own group is empty. */
START_TEST(index_of_any_cell)
{
    for (uint32_t cell = _i; cell < bit(ZOO_GATEWAY_CELL_BITS); cell += N) {
        for (unsigned int own = 0; own < N; own += M) {
            unsigned int entry = cell >> own / M * 5 & 31;
            unsigned int is = zoo_gateway_index_pick(cell, own + M - 1);

            if (entry < M) {
                ck_assert_uint_eq(is, own + M - 1);
            } else {
                ck_assert_uint_eq(is, entry ^ own);
                ck_assert_uint_lt(is, N);
                ck_assert_uint_ne(is / M, own / M);
            }
        }
    }
}
END_TEST

START_TEST(array_holds_its_cells)
{
    static const unsigned int widths[] = { N, ZOO_GATEWAY_CELL_BITS, 1, 7 };
    unsigned int width = widths[_i];
    uint32_t max = width == 32 ? UINT32_MAX : bit(width) - 1;
    struct zoo_gateway_array array;
    uint32_t shadow[1001] = { 0 };

    unit_seed(_i);
    zoo_gateway_array_init(&array, width, ARRAY_SIZE(shadow));
    for (int i = 0; i < N_CASES; i++) {
        size_t n = random_range(ARRAY_SIZE(shadow) + 2);
        uint32_t value = random_uint32() & (max << 1 | 1);
        bool fits = n < ARRAY_SIZE(shadow) && value <= max;

        ck_assert_int_eq(zoo_gateway_array_set(&array, n, value), fits);
        if (fits) {
            shadow[n] = value;
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(shadow); i++) {
        ck_assert_uint_eq(zoo_gateway_array_get(&array, i), shadow[i]);
    }
    zoo_gateway_array_destroy(&array);
}
END_TEST

START_TEST(memory_per_destination)
{
    struct zoo_gateway_array bitmaps, indices;

    zoo_gateway_array_init(&bitmaps, N, N_VTEPS);
    zoo_gateway_array_init(&indices, ZOO_GATEWAY_CELL_BITS, N_VTEPS);

    double b = zoo_gateway_array_bytes(&bitmaps) * 8. / N_VTEPS;
    double i = zoo_gateway_array_bytes(&indices) * 8. / N_VTEPS;

    printf("%d destinations: bitmaps %"PRIuSIZE" bytes, %g bits each, 1/%g; "
           "indices %"PRIuSIZE" bytes, %g bits each, 1/%g\n", N_VTEPS,
           zoo_gateway_array_bytes(&bitmaps), b,
           ZOO_GATEWAY_UNCOMPRESSED_BITS / b,
           zoo_gateway_array_bytes(&indices), i,
           ZOO_GATEWAY_UNCOMPRESSED_BITS / i);
    ck_assert_int_eq(ZOO_GATEWAY_UNCOMPRESSED_BITS, 512);
    ck_assert_double_eq(b, 32);
    ck_assert_double_eq(i, 20);
    zoo_gateway_array_destroy(&bitmaps);
    zoo_gateway_array_destroy(&indices);
}
END_TEST

/* CRC-32C from its definition: the polynomial 0x1EDC6F41, lowest bit first,
 * from 0 on, not inverted. */
START_TEST(hash_is_crc32c)
{
    unit_seed(_i);
    for (int i = 0; i < 100; i++) {
        struct zoo_gateway_flow flow = {
            .src = { random_uint64(), random_uint64() },
            .dst = { random_uint64(), random_uint64() },
            .src_port = random_uint32(),
            .dst_port = random_uint32(),
            .protocol = random_range(256),
        };
        const uint64_t words[] = {
            flow.src[0], flow.src[1], flow.dst[0], flow.dst[1],
            flow.src_port | (uint64_t) flow.dst_port << 16
            | (uint64_t) flow.protocol << 32,
        };
        uint32_t crc = 0;

        for (size_t b = 0; b < 40 * 8; b++) {
            bool in = words[b / 64] >> b % 64 & 1;

            crc = crc >> 1 ^ ((crc & 1) != in ? 0x82f63b78 : 0);
        }
        ck_assert_uint_eq(zoo_gateway_hash(&flow), crc);
    }
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("gateway-path");
    TCase *tc = unit_case(s, "bitmap", 60);

    tcase_add_loop_test(tc, bitmap_picks_the_first_healthy, 0, 10);
    tcase_add_test(tc, bitmap_corners);
    tcase_add_test(tc, entries_are_circular_shifts);
    tcase_add_loop_test(tc, bitmap_moves_only_flows_of_the_failed, 0, 10);

    tc = unit_case(s, "index", 60);
    tcase_add_loop_test(tc, index_moves_only_groups_of_the_failed, 0, 20);
    tcase_add_test(tc, index_takes_different_candidates);
    tcase_add_loop_test(tc, index_keeps_to_machines, 0, 4);
    tcase_add_loop_test(tc, index_of_any_cell, 0, N);

    tc = unit_case(s, "array", 60);
    tcase_add_loop_test(tc, array_holds_its_cells, 0, 4);
    tcase_add_test(tc, memory_per_destination);

    tc = unit_case(s, "hash", 60);
    tcase_add_loop_test(tc, hash_is_crc32c, 0, 5);
    return unit_run(s);
}
