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

#ifndef SWX_COMPILED_H
#define SWX_COMPILED_H 1

/* A .spec program as C, which build-aux/spec-to-c has made of it.
 *
 * DPDK 22.11 can turn a .spec file into C too, but what it makes needs headers
 * that are in no package, and goes from one packet to the next at each lookup
 * as its interpreter does.  This runs beside a pipeline of SWX, with the tables
 * of that one, and registers of its own.
 *
 * It takes packets by the burst.  A lookup in a large table starts with a
 * prefetch, meanwhile the other packets of the burst go on. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_common.h>
#include <rte_hash_crc.h>
#include <rte_swx_ctl.h>
#include <rte_swx_pipeline.h>
#include <rte_swx_port.h>

#include "p4/swx-match.h"

/* Most packets of a burst. */
#define SWX_BURST 32

/* 'out' of a packet that the program has dropped. */
#define SWX_DROPPED UINT32_MAX

/* A packet on its way through the program. */
struct swx_job {
    struct rte_swx_pkt pkt;
    uint32_t in;                /* Port where it came from... */
    uint32_t out;               /* ...and where it goes. */
};

/* What a program uses. */
struct swx_env {
    const struct rte_swx_table_state *tables;
    uint64_t *const *registers;
};

struct swx_compiled_register {
    const char *name;
    uint32_t size;              /* A power of two. */
};

/* A compiled program. */
struct swx_compiled {
    const char *sha1;           /* Of the .spec file, in hexadecimal. */
    const struct swx_compiled_register *registers;
    size_t n_registers;
    const char *const *tables;  /* Names by number. */
    size_t n_tables;
    const char *const *actions; /* Likewise. */
    size_t n_actions;
    size_t state_size;          /* Bytes for a burst of packets... */
    void (*init)(void *states); /* ...which are 0 before this. */
    void (*run)(const struct swx_env *, void *states, struct swx_job *,
                size_t n);
};

/* p4/gateway.spec. */
extern const struct swx_compiled swx_compiled_gateway;

/* What runs a compiled program.  One thread at a time may run it. */
struct swx_runner;

/* Returns what runs 'program' in the place of 'pipeline', which swx_spec_load()
 * has loaded from file 'spec' and which has been built.  The registers are 0.
 *
 * Returns NULL, and in '*why' a message that the caller must free, if 'program'
 * is not what 'spec' says. */
struct swx_runner *swx_runner_create(struct rte_swx_pipeline *pipeline,
                                     const struct swx_compiled *program,
                                     const char *spec, char **why);
void swx_runner_destroy(struct swx_runner *);

/* Runs 'n' packets, at most SWX_BURST, to their end: all that is needed of
 * 'jobs' is 'pkt' and 'in', and 'out' says what is to be done then. */
void swx_runner_run(struct swx_runner *, struct swx_job *jobs, size_t n);

/* Returns cell 'index' of register 'name', NULL if there is no such. */
uint64_t *swx_runner_register(const struct swx_runner *, const char *name,
                              uint32_t index);

/* What programs consist of.  Numbers in headers are in network byte order, and
 * everything may be at any address. */

#define SWX_ACCESS(BITS)                                                \
    static inline uint64_t                                              \
    swx_get##BITS(const uint8_t *p)                                     \
    {                                                                   \
        uint##BITS##_t value;                                           \
                                                                        \
        memcpy(&value, p, sizeof value);                                \
        return value;                                                   \
    }                                                                   \
                                                                        \
    static inline void                                                  \
    swx_set##BITS(uint8_t *p, uint64_t value_)                          \
    {                                                                   \
        uint##BITS##_t value = value_;                                  \
                                                                        \
        memcpy(p, &value, sizeof value);                                \
    }

#define SWX_ACCESS_BE(BITS)                                             \
    static inline uint64_t                                              \
    swx_get_be##BITS(const uint8_t *p)                                  \
    {                                                                   \
        return rte_be_to_cpu_##BITS(swx_get##BITS(p));                  \
    }                                                                   \
                                                                        \
    static inline void                                                  \
    swx_set_be##BITS(uint8_t *p, uint64_t value)                        \
    {                                                                   \
        swx_set##BITS(p, rte_cpu_to_be_##BITS((uint##BITS##_t) value)); \
    }

SWX_ACCESS(8)
SWX_ACCESS(16)
SWX_ACCESS(32)
SWX_ACCESS(64)
SWX_ACCESS_BE(16)
SWX_ACCESS_BE(32)
SWX_ACCESS_BE(64)

static inline uint64_t
swx_get_be8(const uint8_t *p)
{
    return *p;
}

static inline void
swx_set_be8(uint8_t *p, uint64_t value)
{
    *p = value;
}

static inline uint64_t
swx_get48(const uint8_t *p)
{
    return swx_get32(p) | swx_get16(p + 4) << 32;
}

static inline void
swx_set48(uint8_t *p, uint64_t value)
{
    swx_set32(p, value);
    swx_set16(p + 4, value >> 32);
}

static inline uint64_t
swx_get_be48(const uint8_t *p)
{
    return swx_get_be32(p) << 16 | swx_get_be16(p + 4);
}

static inline void
swx_set_be48(uint8_t *p, uint64_t value)
{
    swx_set_be32(p, value >> 16);
    swx_set_be16(p + 4, value);
}

/* Adds 'total', a sum of words of 32 bits as they are in memory, to the
 * Internet checksum at 'sum' (RFC 1071).  What would be 0 is 0xffff. */
static inline void
swx_checksum_add(uint8_t *sum, uint64_t total)
{
    total += ~swx_get16(sum) & 0xffff;
    total = (total & UINT32_MAX) + (total >> 32);
    for (int i = 0; i < 3; i++) {
        total = (total & 0xffff) + (total >> 16);
    }
    total = ~total & 0xffff;
    swx_set16(sum, total ? total : 0xffff);
}

#endif /* swx-compiled.h */
