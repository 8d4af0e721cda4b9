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
#include "zoo-gateway-path.h"

#include "crc32c.h"
#include "util.h"

BUILD_ASSERT_DECL(ZOO_GATEWAY_N_CANDIDATES == 32);
BUILD_ASSERT_DECL(ZOO_GATEWAY_N_CANDIDATES == 1 << ZOO_GATEWAY_ENTRY_BITS);
BUILD_ASSERT_DECL(ZOO_GATEWAY_N_CANDIDATES % ZOO_GATEWAY_M == 0);
BUILD_ASSERT_DECL(ZOO_GATEWAY_N_FIRST
                  == ZOO_GATEWAY_N_CANDIDATES * ZOO_GATEWAY_N_CANDIDATES);

#define FLOW_BYTES 40

static uint8_t *
put_le(uint8_t *p, uint64_t value, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        *p++ = value >> (8 * i);
    }
    return p;
}

static uint32_t
standard_crc(const uint8_t bytes[FLOW_BYTES])
{
    /* The first byte in memory is the lowest one of the CRC, whatever the
     * processor's byte order. */
    ovs_be32 crc = crc32c(bytes, FLOW_BYTES);
    const uint8_t *p = (const uint8_t *) &crc;

    return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t) p[3] << 24;
}

static uint64_t
get_be64(const uint8_t *p)
{
    uint64_t x = 0;

    for (int i = 0; i < 8; i++) {
        x = x << 8 | p[i];
    }
    return x;
}

void
zoo_gateway_flow_set(struct zoo_gateway_flow *flow, const uint8_t src[16],
                     const uint8_t dst[16])
{
    for (int i = 0; i < 2; i++) {
        flow->src[i] = get_be64(&src[8 * i]);
        flow->dst[i] = get_be64(&dst[8 * i]);
    }
}

uint32_t
zoo_gateway_hash(const struct zoo_gateway_flow *flow)
{
    static const uint8_t zeros[FLOW_BYTES];
    uint8_t bytes[FLOW_BYTES];
    uint8_t *p = bytes;

    p = put_le(p, flow->src[0], 8);
    p = put_le(p, flow->src[1], 8);
    p = put_le(p, flow->dst[0], 8);
    p = put_le(p, flow->dst[1], 8);
    p = put_le(p, flow->src_port, 2);
    p = put_le(p, flow->dst_port, 2);
    p = put_le(p, flow->protocol, 4);
    ovs_assert(p == bytes + FLOW_BYTES);

    /* A CRC is linear, so this takes out what the standard's first and last
     * inversion do to a message of this length. */
    return standard_crc(bytes) ^ standard_crc(zeros);
}

/* Bitmaps. */

struct zoo_gateway_first
zoo_gateway_first(unsigned int i)
{
    struct zoo_gateway_first first;

    ovs_assert(i < ZOO_GATEWAY_N_FIRST);
    first.own = i / ZOO_GATEWAY_N_CANDIDATES;
    first.priority = i % ZOO_GATEWAY_N_CANDIDATES;
    first.candidate = (first.own + first.priority) % ZOO_GATEWAY_N_CANDIDATES;
    first.mask = UINT32_C(1) << first.candidate;
    return first;
}

unsigned int
zoo_gateway_bitmap_pick(uint32_t bitmap, unsigned int own)
{
    uint32_t from_own = bitmap >> own | (own ? bitmap << (32 - own) : 0);

    return (bitmap
            ? (own + raw_ctz(from_own)) % ZOO_GATEWAY_N_CANDIDATES
            : own);
}

/* Indices.
 *
 * An entry has the recorded candidate XOR the first one of the entry's own
 * group, so that an empty entry is 0. */

static unsigned int
entry_base(unsigned int entry)
{
    return entry * ZOO_GATEWAY_M;
}

static uint32_t
entry_value(uint32_t cell, unsigned int entry)
{
    return (cell >> (entry * ZOO_GATEWAY_ENTRY_BITS)
            & (ZOO_GATEWAY_N_CANDIDATES - 1));
}

/* Returns the candidate that 'entry' records, or -1 if it is empty. */
static int
entry_recorded(uint32_t cell, unsigned int entry)
{
    uint32_t value = entry_value(cell, entry);

    return value < ZOO_GATEWAY_M ? -1 : (int) (value ^ entry_base(entry));
}

unsigned int
zoo_gateway_index_pick(uint32_t cell, unsigned int own)
{
    int recorded = entry_recorded(cell, own / ZOO_GATEWAY_M);

    return recorded < 0 ? own : recorded;
}

/* Returns the first candidate of 'eligible', which must not be empty, that is
 * not before 'start', cyclically. */
static unsigned int
next_candidate(uint32_t eligible, unsigned int start)
{
    return zoo_gateway_bitmap_pick(eligible, start % ZOO_GATEWAY_N_CANDIDATES);
}

/* Returns those of 'eligible' that lead to the machine which most candidates of
 * the entry's own group 'own' lead to, of those that any of 'eligible' does; or
 * all of them if that is not known. */
static uint32_t
of_same_machine(uint32_t eligible, uint32_t own, uint32_t healthy,
                const uint8_t *groups)
{
    unsigned int best = 0;
    uint32_t result = eligible;

    for (unsigned int i = 0; groups && i < ZOO_GATEWAY_N_CANDIDATES; i++) {
        uint32_t same = 0;
        unsigned int n;

        if (!(own >> i & 1) || !groups[i]) {
            continue;
        }
        for (unsigned int j = 0; j < ZOO_GATEWAY_N_CANDIDATES; j++) {
            same |= groups[j] == groups[i] ? UINT32_C(1) << j : 0;
        }
        n = (2 * count_1bits(same & own)
             + ((same & own & ~healthy) != 0));
        if (n > best && same & eligible) {
            best = n;
            result = same & eligible;
        }
    }
    return result;
}

uint32_t
zoo_gateway_index_update(uint32_t cell, uint32_t healthy,
                         const uint8_t *groups, unsigned int salt)
{
    const uint32_t group_mask = (UINT32_C(1) << ZOO_GATEWAY_M) - 1;
    int recorded[ZOO_GATEWAY_INDEX_ENTRIES];
    uint32_t taken = 0;

    /* What stays is known first, lest a new choice takes it. */
    for (unsigned int e = 0; e < ZOO_GATEWAY_INDEX_ENTRIES; e++) {
        uint32_t group = group_mask << entry_base(e);

        recorded[e] = entry_recorded(cell, e);
        if ((healthy & group) == group
            || (recorded[e] >= 0 && !(healthy >> recorded[e] & 1))) {
            recorded[e] = -1;
        }
        if (recorded[e] >= 0) {
            taken |= UINT32_C(1) << recorded[e];
        }
    }

    uint32_t result = 0;
    for (unsigned int e = 0; e < ZOO_GATEWAY_INDEX_ENTRIES; e++) {
        uint32_t group = group_mask << entry_base(e);
        uint32_t others = healthy & ~group;

        if ((healthy & group) != group && recorded[e] < 0 && others) {
            others = of_same_machine(others, group, healthy, groups);
            recorded[e] = next_candidate(others & ~taken
                                         ? others & ~taken : others,
                                         salt + entry_base(e));
            taken |= UINT32_C(1) << recorded[e];
        }
        if (recorded[e] >= 0) {
            result |= ((uint32_t) recorded[e] ^ entry_base(e))
                      << (e * ZOO_GATEWAY_ENTRY_BITS);
        }
    }
    return result;
}

/* Arrays. */

void
zoo_gateway_array_init(struct zoo_gateway_array *array,
                       unsigned int cell_bits, size_t n)
{
    ovs_assert(cell_bits >= 1 && cell_bits <= 32);
    array->cell_bits = cell_bits;
    array->n = n;
    array->bytes = xzalloc(zoo_gateway_array_bytes(array));
}

void
zoo_gateway_array_destroy(struct zoo_gateway_array *array)
{
    free(array->bytes);
    array->bytes = NULL;
    array->n = 0;
}

size_t
zoo_gateway_array_bytes(const struct zoo_gateway_array *array)
{
    return DIV_ROUND_UP(array->n * array->cell_bits, 8);
}

/* Cell i is the bits from i * cell_bits on, bit 0 being the lowest one of byte
 * 0.  Cells are seldom read and written, so bit by bit is fast enough. */

uint32_t
zoo_gateway_array_get(const struct zoo_gateway_array *array, size_t i)
{
    size_t first = i * array->cell_bits;
    uint32_t value = 0;

    ovs_assert(i < array->n);
    for (unsigned int b = 0; b < array->cell_bits; b++) {
        size_t bit = first + b;

        value |= (uint32_t) (array->bytes[bit / 8] >> bit % 8 & 1) << b;
    }
    return value;
}

bool
zoo_gateway_array_set(struct zoo_gateway_array *array, size_t i,
                      uint32_t value)
{
    size_t first = i * array->cell_bits;

    if (i >= array->n
        || (array->cell_bits < 32 && value >> array->cell_bits)) {
        return false;
    }
    for (unsigned int b = 0; b < array->cell_bits; b++) {
        size_t bit = first + b;

        array->bytes[bit / 8] &= ~(1u << bit % 8);
        array->bytes[bit / 8] |= (value >> b & 1) << bit % 8;
    }
    return true;
}
