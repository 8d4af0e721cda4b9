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


/* Choice of candidates: how evenly hashes spread them, each hash worked out of
 * whole headers in the plain way. */

#include <config.h>
#include "unit.h"

#include <string.h>

#include "jhash.h"
#include "ofproto-zoo/zoo-path-table.h"
#include "ofproto-zoo/zoo-port-hash.h"
#include "random.h"
#include "util.h"

enum { PORT_MIN = 32768, PORT_MAX = 60999, N_PORTS = 32 };

/* Outer addresses and ports in network byte order, as hashes take them. */
struct headers {
    size_t addr_len;            /* Of both addresses. */
    uint8_t data[36];
};

static void
random_headers(struct headers *headers, bool ipv6)
{
    headers->addr_len = ipv6 ? 32 : 8;
    random_bytes(headers->data, sizeof headers->data);
}

static void
set_sport(struct headers *headers, uint16_t sport)
{
    headers->data[headers->addr_len] = sport >> 8;
    headers->data[headers->addr_len + 1] = sport & 0xff;
}

/* Hashes. */

static uint32_t
reflected_crc(const struct headers *headers, uint32_t poly, uint32_t value)
{
    for (size_t i = 0; i < headers->addr_len + 4; i++) {
        for (int bit = 0; bit < 8; bit++) {
            uint32_t in = headers->data[i] >> bit & 1;

            value = value >> 1 ^ ((value & 1) ^ in ? poly : 0);
        }
    }
    return value;
}

static uint32_t
crc16_arc(const struct headers *headers)
{
    return reflected_crc(headers, 0xa001, 0);
}

static uint32_t
crc16_v41(const struct headers *headers)
{
    return reflected_crc(headers, 0x8408, 0xffff);
}

static uint32_t
crc32_ethernet(const struct headers *headers)
{
    return ~reflected_crc(headers, 0xedb88320, UINT32_MAX);
}

static uint32_t
crc32_castagnoli(const struct headers *headers)
{
    return ~reflected_crc(headers, 0x82f63b78, UINT32_MAX);
}

static uint32_t
toeplitz(const struct headers *headers, const uint8_t key[40])
{
    uint32_t value = 0;

    for (size_t i = 0; i < 8 * (headers->addr_len + 4); i++) {
        if (headers->data[i / 8] & 0x80 >> i % 8) {
            for (size_t j = i; j < i + 32; j++) {
                value ^= (uint32_t) (key[j / 8] >> (7 - j % 8) & 1)
                         << (31 - (j - i));
            }
        }
    }
    return value;
}

static uint32_t
toeplitz_usual(const struct headers *headers)
{
    static const uint8_t key[40] = {
        0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
        0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
        0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
        0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
    };

    return toeplitz(headers, key);
}

static uint32_t
toeplitz_symmetric(const struct headers *headers)
{
    uint8_t key[40];

    for (size_t i = 0; i < sizeof key; i++) {
        key[i] = i % 2 ? 0x5a : 0x6d;
    }
    return toeplitz(headers, key);
}

static uint32_t
xor_fold(const struct headers *headers)
{
    uint32_t value = 0;

    for (size_t i = 0; i < headers->addr_len + 4; i++) {
        value ^= headers->data[i];
    }
    return value;
}

static uint32_t
xor_fold_4(const struct headers *headers)
{
    uint32_t value = xor_fold(headers);

    return value ^ value >> 4;
}

static uint32_t
linux_bond(const struct headers *headers)
{
    return xor_fold(headers) >> 1;
}

static uint32_t
port_alone(const struct headers *headers)
{
    return (headers->data[headers->addr_len] << 8
            | headers->data[headers->addr_len + 1]);
}

static uint32_t
jenkins(const struct headers *headers)
{
    return jhash_bytes(headers->data, headers->addr_len + 4, 0);
}

static const struct hash {
    const char *name;
    uint32_t (*function)(const struct headers *);
    int low, high;              /* Indexes of their classes, or -1. */
    unsigned int width;
    int low_ipv6;               /* Where it is another one with IPv6. */
} hashes[] = {
    { "port", port_alone, 1, -1, 16, 1 },
    { "XOR", xor_fold, 2, -1, 8, 2 },
    { "XOR to 4 bits", xor_fold_4, 3, -1, 4, 3 },
    { "Linux bond", linux_bond, 4, -1, 7, 4 },
    { "CRC-16/ARC", crc16_arc, 5, 6, 16, 5 },
    { "CRC-16 of V.41", crc16_v41, 7, 8, 16, 7 },
    { "CRC-32", crc32_ethernet, 9, 10, 32, 9 },
    { "CRC-32C", crc32_castagnoli, 11, 12, 32, 11 },
    { "Toeplitz", toeplitz_usual, 13, -1, 32, 14 },
    { "symmetric Toeplitz", toeplitz_symmetric, 15, -1, 32, 15 },
};

/* Classes. */

/* The low 'k' bits of two classes are equal if and only if those of the hashes
 * are, and where it says so the same for the high ones. */
static void
check_hash(const struct hash *hash, bool ipv6, uint32_t seed)
{
    uint8_t classes[2][ZOO_PORT_N_HASHES];
    struct zoo_port_hash ph;
    struct headers headers;
    uint32_t value[2];

    zoo_port_hash_init(&ph, PORT_MIN, PORT_MAX);
    random_headers(&headers, ipv6);
    for (int i = 0; i < 2; i++) {
        uint16_t sport = unit_range(PORT_MIN, PORT_MAX);

        set_sport(&headers, sport);
        value[i] = hash->function(&headers);
        zoo_port_hash(&ph, sport, classes[i]);
    }

    uint32_t differ = value[0] ^ value[1];
    int low = ipv6 ? hash->low_ipv6 : hash->low;
    for (int k = 1; k <= 3; k++) {
        unsigned int mask = (1 << k) - 1;

        unit_assert(!(differ & mask)
                    == !((classes[0][low] ^ classes[1][low]) & mask),
                    "seed %u: %s, low %d bits", seed, hash->name, k);
        if (hash->high >= 0) {
            unit_assert(!(differ >> (hash->width - k))
                        == !((classes[0][hash->high]
                              ^ classes[1][hash->high]) & mask),
                        "seed %u: %s, high %d bits", seed, hash->name, k);
        }
    }
}

START_TEST(classes_are_those_of_the_hashes)
{
    for (uint32_t seed = 0; seed < 2000; seed++) {
        unit_seed(seed);
        for (size_t i = 0; i < ARRAY_SIZE(hashes); i++) {
            check_hash(&hashes[i], seed % 2, seed);
        }
    }
}
END_TEST

/* Shares. */

/* Shares of one hash of the sets of candidates of many peers. */
struct shares {
    double sum, max;            /* Of largest shares. */
    int n;
};

static void
add_share(struct shares *shares, const unsigned int counts[], int n)
{
    double largest = 0;

    for (int i = 0; i < n; i++) {
        largest = MAX(largest, (double) counts[i] / N_PORTS);
    }
    shares->sum += largest;
    shares->max = MAX(shares->max, largest);
    shares->n++;
}

/* Adds the largest share of 'n_ways', a power of two, by 'hash': of its high
 * bits if 'width', otherwise of its low bits. */
static void
add_peer(struct shares *shares, struct headers *headers,
         const struct zoo_path_table *table,
         uint32_t (*hash)(const struct headers *), unsigned int width,
         int n_ways)
{
    unsigned int counts[16] = { 0 };

    for (int i = 0; i < N_PORTS; i++) {
        set_sport(headers, table->sport[i]);
        uint32_t value = hash(headers);
        counts[width ? (uint64_t) value * n_ways >> width
               : value % n_ways]++;
    }
    add_share(shares, counts, n_ways);
}

static void
check_shares(uint32_t (*hash)(const struct headers *), const char *name,
             unsigned int width, int n_ways, double mean, double max)
{
    struct shares shares = { 0, 0, 0 };

    for (uint32_t peer = 0; peer < 300; peer++) {
        struct zoo_path_table table;
        struct headers headers;

        unit_seed(peer);
        zoo_path_table_init(&table, N_PORTS, PORT_MIN, PORT_MAX, &peer,
                            sizeof peer, 1);
        random_headers(&headers, peer % 2);
        add_peer(&shares, &headers, &table, hash, width, n_ways);
    }
    unit_assert(shares.sum / shares.n <= mean && shares.max <= max,
                "%s, %d ways: the largest share is %.3f in the mean (at most "
                "%.3f wanted) and %.3f at the worst (%.3f)", name, n_ways,
                shares.sum / shares.n, mean, shares.max, max);
}

/* Ports that are drawn at random give 0.34 in the mean with four ways and 0.22
 * with eight; at the worst of 300 sets, more than 0.5 and 0.37. */
START_TEST(common_hashes_spread_well)
{
    for (size_t i = 0; i < ARRAY_SIZE(hashes); i++) {
        const struct hash *hash = &hashes[i];

        check_shares(hash->function, hash->name, 0, 4, 0.31, 0.41);
        check_shares(hash->function, hash->name, 0, 8, 0.19, 0.26);
        if (hash->high >= 0) {
            check_shares(hash->function, hash->name, hash->width, 4, 0.31,
                         0.41);
            check_shares(hash->function, hash->name, hash->width, 8, 0.19,
                         0.26);
        }
    }
}
END_TEST

/* A hash that nothing is known of spreads as it does ports at random. */
START_TEST(other_hashes_spread_as_by_chance)
{
    check_shares(jenkins, "jhash", 0, 4, 0.36, 0.63);
    check_shares(jenkins, "jhash", 0, 8, 0.235, 0.44);
}
END_TEST

/* The ports of each peer are all over the range, whatever the range is. */
START_TEST(candidates_cover_their_range)
{
    for (uint32_t seed = 0; seed < 500; seed++) {
        unsigned int parts[4] = { 0 };
        struct zoo_path_table table;
        unsigned int range;
        uint16_t min;

        unit_seed(seed);
        range = unit_range(1024, 32768);
        min = unit_range(32768, 65536 - range);
        zoo_path_table_init(&table, N_PORTS, min, min + range - 1, &seed,
                            sizeof seed, 1);
        for (int i = 0; i < N_PORTS; i++) {
            parts[(table.sport[i] - min) * 4 / range]++;
        }
        for (int i = 0; i < 4; i++) {
            unit_assert(parts[i] >= 4 && parts[i] <= 13,
                        "seed %u: %u ports in quarter %d", seed, parts[i], i);
        }
    }
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("spread");
    TCase *tc;

    tc = unit_case(s, "classes", 60);
    tcase_add_test(tc, classes_are_those_of_the_hashes);

    tc = unit_case(s, "shares", 120);
    tcase_add_test(tc, common_hashes_spread_well);
    tcase_add_test(tc, other_hashes_spread_as_by_chance);
    tcase_add_test(tc, candidates_cover_their_range);

    return unit_run(s);
}
