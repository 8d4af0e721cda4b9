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

#ifndef SWX_MATCH_H
#define SWX_MATCH_H 1

/* Exact and wildcard tables for SWX, beside DPDK's own.
 *
 * An exact table's lookup reads one cache line of a bucket and the entry,
 * which a program that has been compiled (swx-compiled.h) can prefetch.
 *
 * DPDK's wildcard tables classify one packet at a time with librte_acl, and
 * building one takes 100 ms.  These group the entries by those bits of the key
 * that all entries look at, and within a group by masks, in the order of the
 * best priority: it ends when no mask that is left can have a better one. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <rte_common.h>
#include <rte_hash_crc.h>
#include <rte_prefetch.h>
#include <rte_swx_table.h>

#include "ovs-ext/vtrace-sample.h"

struct rte_swx_pipeline;

/* Their names for rte_swx_pipeline_table_config(). */
#define SWX_EXACT "zoo_exact"
#define SWX_WILDCARD "zoo_wildcard"

/* Makes them known to 'pipeline', before its tables are configured.  Returns 0
 * or a negative errno value. */
int swx_match_register(struct rte_swx_pipeline *pipeline);

/* The same for those who need no pipeline. */
extern const struct rte_swx_table_ops swx_exact_ops;
extern const struct rte_swx_table_ops swx_wildcard_ops;

/* Longest key, in words of 8 bytes. */
#define SWX_KEY_WORDS 8

/* Slots of a bucket, which is one cache line. */
#define SWX_SLOTS 8

struct swx_bucket {
    uint16_t signatures[SWX_SLOTS];
    uint32_t entries[SWX_SLOTS]; /* Numbers from 1 on, 0 if it is empty. */
    uint32_t next;              /* Bucket with more, 0 if there is none. */
} __rte_cache_aligned;

/* Key words, then this, then the action's data. */
struct swx_entry {
    uint32_t action;
    uint32_t next_free;         /* Of an entry without use. */
};

struct swx_exact {
    struct swx_bucket *buckets;
    uint8_t *entries;
    uint32_t bucket_mask;
    uint32_t stride;            /* Of entries. */
    uint64_t mask[SWX_KEY_WORDS];
    unsigned int n_words;
    unsigned int key_offset;
    unsigned int key_size;
    unsigned int data_size;
    uint32_t n_buckets;         /* With those for more... */
    uint32_t next_bucket;       /* ...of which this is the next one. */
    uint32_t n_entries;
    uint32_t next_entry;        /* Not used so far. */
    uint32_t free_entry;        /* First of a list, or 0. */
};

/* Copies the key of 'size' bytes at 'p', as far as 'mask' says, to 'key'. */
static inline void
swx_load_key(uint64_t key[], const uint8_t *p, size_t size,
             const uint64_t mask[])
{
    key[(size - 1) / 8] = 0;
    memcpy(key, p, size);
    for (size_t i = 0; i < (size + 7) / 8; i++) {
        key[i] &= mask[i];
    }
}

/* CRC-32C of a word. */
static inline uint32_t
swx_crc(uint64_t word, uint32_t crc)
{
#ifdef __SSE4_2__
    return __builtin_ia32_crc32di(crc, word);
#else
    return rte_hash_crc_8byte(word, crc);
#endif
}

/* Random numbers of this process, from when its first table is made: tenants
 * choose addresses, and none may choose what shares a bucket. */
extern uint64_t swx_secrets[SWX_KEY_WORDS + 1];

/* Returns the hash of a table's key. */
static inline uint32_t
swx_hash(const uint64_t key[], unsigned int n_words)
{
    uint64_t hash = swx_secrets[SWX_KEY_WORDS];

    for (unsigned int i = 0; i < n_words; i++) {
        hash = vtrace_multiply_fold(key[i] ^ swx_secrets[i], hash);
    }
    return hash ^ hash >> 32;
}

static inline const struct swx_bucket *
swx_exact_bucket(const struct swx_exact *t, uint32_t hash)
{
    return &t->buckets[hash & t->bucket_mask];
}

/* Returns the first entry of 'bucket' that may be the one with 'hash', or
 * NULL. */
static inline const uint8_t *
swx_exact_guess(const struct swx_exact *t, const struct swx_bucket *bucket,
                uint32_t hash)
{
    uint16_t signature = hash >> 16;

    for (int i = 0; i < SWX_SLOTS; i++) {
        if (bucket->signatures[i] == signature && bucket->entries[i]) {
            return t->entries + (size_t) bucket->entries[i] * t->stride;
        }
    }
    return NULL;
}

static inline bool
swx_key_equal(const uint64_t a[], const uint64_t b[], unsigned int n_words)
{
    uint64_t difference = 0;

    for (unsigned int i = 0; i < n_words; i++) {
        difference |= a[i] ^ b[i];
    }
    return !difference;
}

/* Does 'entry' have 'key'? */
static inline bool
swx_entry_has_key(const uint8_t *entry, const uint64_t key[],
                  unsigned int n_words)
{
    return !memcmp(entry, key, n_words * sizeof *key);
}

/* Returns the entry with 'key', whose hash is 'hash', or NULL. */
const uint8_t *swx_exact_find(const struct swx_exact *, const uint64_t key[],
                              uint32_t hash);

/* Finds the entry of the highest priority for 'key': stores what it
 * says in '*action' and '*data'.  Returns false if there is
 * none. */
struct swx_wild;
bool swx_wild_find(const struct swx_wild *, const uint64_t key[],
                   uint64_t *action, uint8_t **data);

#endif /* swx-match.h */
