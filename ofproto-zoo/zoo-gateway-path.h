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

#ifndef ZOO_GATEWAY_PATH_H
#define ZOO_GATEWAY_PATH_H 1

/* Path tables of the P4 gateway
 * =============================
 *
 * The same in C as p4/gateway-path.p4 is in P4: it fills the gateway's tables,
 * tells which port a flow takes, and is what the pipeline's tests compare
 * with.
 *
 * A destination has ZOO_GATEWAY_N_CANDIDATES candidate outer source ports.
 * The hash of a flow gives it one of its own, which it leaves only if the path
 * table of the destination says so, and to which it comes back.  There are two
 * kinds of path tables, of fewer bits than a port number per candidate would
 * take:
 *
 *     - Bitmap: bit i is candidate i's health.  A flow whose own candidate is
 *       bad takes the next healthy one, cyclically.  So only flows of the
 *       failed candidate move.
 *
 *     - Index: ZOO_GATEWAY_M candidates share an entry, which is empty (every
 *       flow keeps its own) or has the one candidate that all their flows
 *       take, which is never one of these ZOO_GATEWAY_M.  So only flows of
 *       the group that the failed candidate is in move.
 *
 * If there is nowhere to go, a flow keeps its own candidate.
 *
 * This module is pure, but for the memory of the arrays: no clock, no
 * randomness, no locks.  Callers serialize access to one array. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ofproto-zoo/zoo-gateway-limits.h"

/* Entries of a destination's index, their size, and that of all of them. */
#define ZOO_GATEWAY_INDEX_ENTRIES (ZOO_GATEWAY_N_CANDIDATES / ZOO_GATEWAY_M)
#define ZOO_GATEWAY_ENTRY_BITS 5
#define ZOO_GATEWAY_CELL_BITS \
    (ZOO_GATEWAY_INDEX_ENTRIES * ZOO_GATEWAY_ENTRY_BITS)

/* What a list of candidates' port numbers takes, in bits. */
#define ZOO_GATEWAY_UNCOMPRESSED_BITS (ZOO_GATEWAY_N_CANDIDATES * 16)

/* The inner flow, host byte order, IPv4 addresses as IPv4-mapped ones (RFC
 * 4291, section 2.5.5.2): high and low half.  Ports are 0 unless TCP or UDP,
 * and in fragments. */
struct zoo_gateway_flow {
    uint64_t src[2];
    uint64_t dst[2];
    uint16_t src_port;
    uint16_t dst_port;
    uint32_t protocol;
};

/* Sets the addresses of 'flow', which are 16 bytes each as a packet has them,
 * IPv4 ones as IPv4-mapped. */
void zoo_gateway_flow_set(struct zoo_gateway_flow *flow,
                          const uint8_t src[16], const uint8_t dst[16]);

/* Returns the hash of 'flow' that the pipeline computes: CRC-32C (RFC 3720,
 * appendix B.4) of the little-endian fields in their order, from 0 on and not
 * inverted, which is what SWX calls "crc32". */
uint32_t zoo_gateway_hash(const struct zoo_gateway_flow *flow);

/* Returns the candidate of a flow with hash 'hash'. */
static inline unsigned int
zoo_gateway_own(uint32_t hash)
{
    return hash % ZOO_GATEWAY_N_CANDIDATES;
}

/* Returns the outer source port of a flow with hash 'hash' to a destination
 * without path table (RFC 7348, section 5). */
static inline uint16_t
zoo_gateway_plain_port(uint32_t hash)
{
    return hash >> 16 | 0xc000;
}

/* Bitmaps. */

/* One entry of the ternary table that all bitmaps share: it matches a flow
 * whose own candidate is 'own' and a bitmap with bit 'candidate' set, and lets
 * the flow take 'candidate'.  0 is the highest priority. */
struct zoo_gateway_first {
    unsigned int own;
    unsigned int priority;
    unsigned int candidate;
    uint32_t mask;              /* Bit 'candidate'. */
};

/* Returns entry 'i' of ZOO_GATEWAY_N_FIRST. */
struct zoo_gateway_first zoo_gateway_first(unsigned int i);

/* Returns the candidate that a flow takes whose own is 'own'. */
unsigned int zoo_gateway_bitmap_pick(uint32_t bitmap, unsigned int own);

/* Indices. */

/* Returns the candidate that a flow takes whose own is 'own', by 'cell', the
 * ZOO_GATEWAY_CELL_BITS bits of a destination.  Every value of a cell is
 * valid. */
unsigned int zoo_gateway_index_pick(uint32_t cell, unsigned int own);

/* Returns the cell for a destination whose healthy candidates are 'healthy'
 * and whose cell has been 'cell' (0 at first): an entry is empty if all of its
 * group are healthy, or none of another group is; otherwise it keeps the
 * candidate that it has while that is healthy, and else gets the one that is
 * next after 'salt' (so that not all destinations take the same) and that no
 * other entry has, if possible.
 *
 * If 'groups' is not NULL it says for each candidate which of several machines
 * with the destination's address it leads to, 0 if that is not known: an entry
 * gets a candidate that leads to the same machine as most of its own group do
 * (as the failed ones, if there is a tie), while one of these is healthy.  The
 * flows of its own group that were with another machine change it all the
 * same. */
uint32_t zoo_gateway_index_update(uint32_t cell, uint32_t healthy,
                                  const uint8_t *groups, unsigned int salt);

/* Arrays of cells, as many bits each as the table really needs. */
struct zoo_gateway_array {
    uint8_t *bytes;
    unsigned int cell_bits;     /* 1...32. */
    size_t n;                   /* Cells. */
};

/* Initializes 'array' with 'n' cells of zeros.  Bitmaps have
 * ZOO_GATEWAY_N_CANDIDATES bits, indices ZOO_GATEWAY_CELL_BITS. */
void zoo_gateway_array_init(struct zoo_gateway_array *,
                            unsigned int cell_bits, size_t n);
void zoo_gateway_array_destroy(struct zoo_gateway_array *);

/* Returns the memory that the cells take, in bytes. */
size_t zoo_gateway_array_bytes(const struct zoo_gateway_array *);

/* Returns cell 'i', which must be less than 'n'. */
uint32_t zoo_gateway_array_get(const struct zoo_gateway_array *, size_t i);

/* Sets cell 'i' to 'value' and returns true, or returns false, without a
 * change, if there is no such cell or 'value' does not fit into it. */
bool zoo_gateway_array_set(struct zoo_gateway_array *, size_t i,
                           uint32_t value);

#endif /* zoo-gateway-path.h */
