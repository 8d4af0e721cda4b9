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
#include "p4/gateway-use.h"

#include <netinet/in.h>
#include <string.h>

#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include "ovs-atomic.h"
#include "p4/gateway-headers.h"
#include "p4/gateway-pipeline.h"
#include "p4/gateway-private.h"
#include "packets.h"
#include "util.h"

/* Two for each destination that there can be: with 50,000 in use, one in three
 * shares a cell. */
#define CELL_BITS 17
#define N_CELLS (1u << CELL_BITS)

/* Full bursts, of which a device gets many only if there is much to do, are noted
 * once in so many. */
#define SAMPLE 4

/* Candidates by cell, of this period and of the one before. */
static ATOMIC(uint32_t) cells[2][N_CELLS];

/* Which of these the thread "gateway" writes. */
static atomic_uint current = 0;

/* One more than the first candidate with a port, 0 for none. */
static ATOMIC(uint8_t) candidate_of[UINT16_MAX + 1];

/* Main thread: the ports, and for the first candidate with a port all that have
 * it. */
static uint16_t ports[ZOO_GATEWAY_N_CANDIDATES];
static uint32_t alike[ZOO_GATEWAY_N_CANDIDATES];

/* Returns the cell of a destination, whose address as it is in packets is these
 * two halves, or 0 and the whole of it for IPv4. */
static inline uint32_t
cell_of(uint64_t hi, uint64_t lo)
{
    uint64_t x = lo ^ (hi * UINT64_C(0x9e3779b97f4a7c15));

    return (x * UINT64_C(0xc2b2ae3d27d4eb4f)) >> (64 - CELL_BITS);
}

static inline uint32_t
read32(const uint8_t *p)
{
    uint32_t x;

    memcpy(&x, p, sizeof x);
    return x;
}

static inline uint64_t
read64(const uint8_t *p)
{
    uint64_t x;

    memcpy(&x, p, sizeof x);
    return x;
}

static inline uint16_t
read_be16(const uint8_t *p)
{
    return p[0] << 8 | p[1];
}

/* The thread "gateway". */

/* Stores the cell of what 'm' goes to into '*cell' and returns its candidate's
 * bit, or returns 0 if it has none to count. */
static inline uint32_t
parse(const struct rte_mbuf *m, uint32_t *cell)
{
    const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
    const uint8_t *udp;
    uint8_t candidate;

    if (m->data_len < ETH_HEADER_LEN + IPV6_HEADER_LEN + 16) {
        return 0;
    }
    if (p[12] == 0x08 && !p[13] && p[14] == 0x45 && p[23] == IPPROTO_UDP) {
        udp = p + ETH_HEADER_LEN + IP_HEADER_LEN;
        *cell = cell_of(0, read32(p + 30));
    } else if (p[12] == 0x86 && p[13] == 0xdd && p[20] == IPPROTO_UDP) {
        udp = p + ETH_HEADER_LEN + IPV6_HEADER_LEN;
        *cell = cell_of(read64(p + 38), read64(p + 46));
    } else {
        return 0;
    }
    if (read_be16(udp + 2) != GATEWAY_VXLAN_PORT
        || read32(udp + 8) != htonl(ZOO_GATEWAY_VXLAN_F_VNI)) {
        return 0;
    }
    atomic_read_relaxed(&candidate_of[read_be16(udp)], &candidate);
    return candidate ? UINT32_C(1) << (candidate - 1) : 0;
}

/* Returns true for one full burst out of SAMPLE, chosen at random lest the
 * traffic keep step. */
static bool
is_sampled(void)
{
    static uint32_t x = 1;

    x = x * 1664525 + 1013904223;
    return x < UINT32_MAX / SAMPLE;
}

void
gateway_use_note(struct rte_mbuf *const mbufs[], unsigned int n)
{
    uint32_t cell[GATEWAY_BURST], bits[GATEWAY_BURST];
    ATOMIC(uint32_t) *base;
    unsigned int which;

    if (n >= GATEWAY_BURST && !is_sampled()) {
        return;
    }
    atomic_read_relaxed(&current, &which);
    base = cells[which];
    for (unsigned int i = 0; i < n; i++) {
        bits[i] = parse(mbufs[i], &cell[i]);
        if (bits[i]) {
            rte_prefetch0(&base[cell[i]]);
        }
    }
    for (unsigned int i = 0; i < n; i++) {
        uint32_t old;

        if (!bits[i]) {
            continue;
        }
        atomic_read_relaxed(&base[cell[i]], &old);
        if (!(old & bits[i])) {
            atomic_store_relaxed(&base[cell[i]], old | bits[i]);
        }
    }
}

/* Main thread. */

void
gateway_use_set_ports(const uint16_t new_ports[ZOO_GATEWAY_N_CANDIDATES])
{
    for (unsigned int i = 0; i < ZOO_GATEWAY_N_CANDIDATES; i++) {
        atomic_store_relaxed(&candidate_of[ports[i]], 0);
    }
    memcpy(ports, new_ports, sizeof ports);
    memset(alike, 0, sizeof alike);
    for (int i = ZOO_GATEWAY_N_CANDIDATES - 1; i >= 0; i--) {
        atomic_store_relaxed(&candidate_of[ports[i]], i + 1);
    }
    for (unsigned int i = 0; i < ZOO_GATEWAY_N_CANDIDATES; i++) {
        uint8_t first;

        atomic_read_relaxed(&candidate_of[ports[i]], &first);
        alike[first - 1] |= UINT32_C(1) << i;
    }
}

void
gateway_use_turn(void)
{
    unsigned int which;

    atomic_read_relaxed(&current, &which);
    which = !which;
    for (size_t i = 0; i < N_CELLS; i++) {
        uint32_t bits;

        atomic_read_relaxed(&cells[which][i], &bits);
        if (bits) {
            atomic_store_relaxed(&cells[which][i], 0);
        }
    }
    atomic_store(&current, which);
}

uint32_t
gateway_use_get(const struct in6_addr *remote)
{
    const uint8_t *p = remote->s6_addr;
    uint32_t cell = (IN6_IS_ADDR_V4MAPPED(remote)
                     ? cell_of(0, read32(p + 12))
                     : cell_of(read64(p), read64(p + 8)));
    uint32_t bits, candidates = 0;
    unsigned int which;

    atomic_read_relaxed(&current, &which);
    atomic_read_relaxed(&cells[!which][cell], &bits);
    for (unsigned int i = 0; i < ZOO_GATEWAY_N_CANDIDATES; i++) {
        if (bits >> i & 1) {
            candidates |= alike[i];
        }
    }
    return candidates;
}
