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
#include "p4/swx-match.h"

#include <errno.h>
#include <stdlib.h>

#include <rte_malloc.h>
#include <rte_swx_pipeline.h>

#include "entropy.h"
#include "ovs-thread.h"
#include "util.h"

static void *
allocate(size_t n, size_t size, int numa_node)
{
    return rte_zmalloc_socket("swx_match", MAX(n, 1) * size,
                              RTE_CACHE_LINE_SIZE, numa_node);
}

/* Returns the words of a key of 'params', 0 if it is too long. */
static unsigned int
count_words(const struct rte_swx_table_params *params)
{
    unsigned int n_words = DIV_ROUND_UP(params->key_size, 8);

    return n_words <= SWX_KEY_WORDS ? n_words : 0;
}

uint64_t swx_secrets[SWX_KEY_WORDS + 1];

static void
make_secrets(void)
{
    static struct ovsthread_once once = OVSTHREAD_ONCE_INITIALIZER;

    if (ovsthread_once_start(&once)) {
        get_entropy_or_die(swx_secrets, sizeof swx_secrets);
        ovsthread_once_done(&once);
    }
}

static void
load_mask(uint64_t mask[SWX_KEY_WORDS],
          const struct rte_swx_table_params *params)
{
    memset(mask, 0, SWX_KEY_WORDS * sizeof *mask);
    if (params->key_mask0) {
        memcpy(mask, params->key_mask0, params->key_size);
    } else {
        memset(mask, 0xff, params->key_size);
    }
}

/* Exact tables. */

struct exact_sizes {
    uint32_t n_main;            /* Buckets, a power of two... */
    uint32_t n_buckets;         /* ...and with those for more. */
    uint32_t stride;
};

/* Buckets are half full on average.  Those with more than a bucket's slots
 * need a second one: there is one for each 8 entries, and one more for each 8
 * that are not full. */
static struct exact_sizes
get_sizes(const struct rte_swx_table_params *params)
{
    struct exact_sizes sizes;
    size_t size = (8 * count_words(params) + sizeof(struct swx_entry)
                   + params->action_data_size);

    sizes.n_main = MAX(1, ROUND_UP_POW2(params->n_keys_max / (SWX_SLOTS / 2)));
    sizes.n_buckets = sizes.n_main + params->n_keys_max / 4 + 1;
    /* One that is longer than a cache line begins with one. */
    sizes.stride = (size > RTE_CACHE_LINE_SIZE / 2
                    ? ROUND_UP(size, RTE_CACHE_LINE_SIZE) : ROUND_UP(size, 8));
    return sizes;
}

static uint64_t
exact_footprint(struct rte_swx_table_params *params,
                struct rte_swx_table_entry_list *entries OVS_UNUSED,
                const char *args OVS_UNUSED)
{
    struct exact_sizes sizes = get_sizes(params);

    return (sizeof(struct swx_exact)
            + (uint64_t) sizes.n_buckets * sizeof(struct swx_bucket)
            + (params->n_keys_max + UINT64_C(1)) * sizes.stride);
}

static void
exact_free(void *table)
{
    struct swx_exact *t = table;

    if (t) {
        rte_free(t->buckets);
        rte_free(t->entries);
        rte_free(t);
    }
}

static uint64_t *
entry_key(const struct swx_exact *t, uint32_t number)
{
    return ALIGNED_CAST(uint64_t *, t->entries + (size_t) number * t->stride);
}

static struct swx_entry *
entry_header(const struct swx_exact *t, uint32_t number)
{
    return (struct swx_entry *) (entry_key(t, number) + t->n_words);
}

/* Finds the slot of 'key', or, without it, NULL and an empty slot in '*empty',
 * if there is one. */
static uint32_t *
find_slot(const struct swx_exact *t, const uint64_t key[], uint32_t hash,
          struct swx_bucket **last, struct swx_bucket **empty)
{
    struct swx_bucket *b = &t->buckets[hash & t->bucket_mask];

    *empty = NULL;
    for (;;) {
        for (int i = 0; i < SWX_SLOTS; i++) {
            if (!b->entries[i]) {
                *empty = *empty ? *empty : b;
            } else if (b->signatures[i] == (uint16_t) (hash >> 16)
                       && swx_key_equal(entry_key(t, b->entries[i]), key,
                                        t->n_words)) {
                return &b->entries[i];
            }
        }
        *last = b;
        if (!b->next) {
            return NULL;
        }
        b = &t->buckets[b->next];
    }
}

const uint8_t *
swx_exact_find(const struct swx_exact *t, const uint64_t key[], uint32_t hash)
{
    struct swx_bucket *last, *empty;
    const uint32_t *slot = find_slot(t, key, hash, &last, &empty);

    return slot ? t->entries + (size_t) *slot * t->stride : NULL;
}

static int
exact_add(void *table, struct rte_swx_table_entry *entry)
{
    struct swx_exact *t = table;
    struct swx_bucket *last, *empty;
    uint64_t key[SWX_KEY_WORDS];
    uint32_t hash, number, *slot;
    struct swx_entry *e;

    swx_load_key(key, entry->key, t->key_size, t->mask);
    hash = swx_hash(key, t->n_words);
    slot = find_slot(t, key, hash, &last, &empty);
    if (slot) {
        number = *slot;
    } else {
        if (!empty && t->next_bucket >= t->n_buckets) {
            return -ENOSPC;
        }
        if (t->free_entry) {
            number = t->free_entry;
            t->free_entry = entry_header(t, number)->next_free;
        } else if (t->next_entry <= t->n_entries) {
            number = t->next_entry++;
        } else {
            return -ENOSPC;
        }
        if (!empty) {
            last->next = t->next_bucket++;
            empty = &t->buckets[last->next];
        }
        memcpy(entry_key(t, number), key, t->n_words * sizeof *key);
        for (int i = 0; i < SWX_SLOTS; i++) {
            if (!empty->entries[i]) {
                empty->entries[i] = number;
                empty->signatures[i] = hash >> 16;
                break;
            }
        }
    }
    e = entry_header(t, number);
    e->action = entry->action_id;
    if (t->data_size && entry->action_data) {
        memcpy(e + 1, entry->action_data, t->data_size);
    }
    return 0;
}

static int
exact_del(void *table, struct rte_swx_table_entry *entry)
{
    struct swx_exact *t = table;
    struct swx_bucket *last, *empty;
    uint64_t key[SWX_KEY_WORDS];
    uint32_t *slot;

    swx_load_key(key, entry->key, t->key_size, t->mask);
    slot = find_slot(t, key, swx_hash(key, t->n_words), &last, &empty);
    if (slot) {
        entry_header(t, *slot)->next_free = t->free_entry;
        t->free_entry = *slot;
        *slot = 0;
    }
    return 0;
}

static void *
exact_create(struct rte_swx_table_params *params,
             struct rte_swx_table_entry_list *entries,
             const char *args OVS_UNUSED, int numa_node)
{
    struct exact_sizes sizes = get_sizes(params);
    struct rte_swx_table_entry *entry;
    struct swx_exact *t;

    make_secrets();
    if (!count_words(params)) {
        return NULL;
    }
    t = allocate(1, sizeof *t, numa_node);
    if (!t) {
        return NULL;
    }
    t->buckets = allocate(sizes.n_buckets, sizeof *t->buckets, numa_node);
    t->entries = allocate(params->n_keys_max + 1, sizes.stride, numa_node);
    t->bucket_mask = sizes.n_main - 1;
    t->n_buckets = sizes.n_buckets;
    t->next_bucket = sizes.n_main;
    t->stride = sizes.stride;
    t->n_words = count_words(params);
    t->key_offset = params->key_offset;
    t->key_size = params->key_size;
    t->data_size = params->action_data_size;
    t->n_entries = params->n_keys_max;
    t->next_entry = 1;
    load_mask(t->mask, params);
    if (!t->buckets || !t->entries) {
        exact_free(t);
        return NULL;
    }
    if (entries) {
        TAILQ_FOREACH (entry, entries, node) {
            if (exact_add(t, entry)) {
                exact_free(t);
                return NULL;
            }
        }
    }
    return t;
}

static int
exact_lookup(void *table, void *mailbox OVS_UNUSED, uint8_t **key_,
             uint64_t *action_id, uint8_t **action_data, size_t *entry_id,
             int *hit)
{
    const struct swx_exact *t = table;
    uint64_t key[SWX_KEY_WORDS];
    const uint8_t *found;

    swx_load_key(key, *key_ + t->key_offset, t->key_size, t->mask);
    found = swx_exact_find(t, key, swx_hash(key, t->n_words));
    *hit = found != NULL;
    if (found) {
        struct swx_entry *e = ALIGNED_CAST(
            struct swx_entry *, CONST_CAST(uint8_t *, found) + 8 * t->n_words);

        *action_id = e->action;
        *action_data = (uint8_t *) (e + 1);
        *entry_id = (found - t->entries) / t->stride;
    }
    return 1;
}

/* Wildcard tables. */

struct wild_entry {
    uint64_t key[SWX_KEY_WORDS]; /* Masked. */
    uint64_t mask[SWX_KEY_WORDS];
    uint32_t priority;
    uint32_t action;
    uint32_t data;              /* Offset in 'data' of the table. */
};

/* Entries of a group that have the same mask, by their best priority. */
struct wild_tuple {
    uint64_t mask[SWX_KEY_WORDS];
    uint32_t priority;
    uint32_t slots;             /* Index of the first one... */
    uint32_t slot_mask;         /* ...of a power of two. */
};

/* Entries that agree in those bits that all entries look at. */
struct wild_group {
    uint64_t key[SWX_KEY_WORDS];
    uint32_t tuples;            /* Index of the first one. */
    uint32_t n_tuples;
};

struct swx_wild {
    unsigned int n_words;
    unsigned int key_offset;
    unsigned int key_size;
    uint64_t mask0[SWX_KEY_WORDS];
    uint64_t common[SWX_KEY_WORDS];
    struct wild_entry *entries;
    struct wild_tuple *tuples;
    struct wild_group *groups;
    uint32_t *group_slots;      /* Numbers of groups from 1 on, or 0. */
    uint32_t group_mask;
    uint32_t *slots;            /* Numbers of entries from 1 on, or 0. */
    uint8_t *data;
};

static void
mask_key(uint64_t masked[], const uint64_t key[], const uint64_t mask[],
         unsigned int n_words)
{
    for (unsigned int i = 0; i < n_words; i++) {
        masked[i] = key[i] & mask[i];
    }
}

/* Returns the best entry of 'tuple' for 'key', or NULL. */
static const struct wild_entry *
find_in_tuple(const struct swx_wild *t, const struct wild_tuple *tuple,
              const uint64_t key[])
{
    uint64_t masked[SWX_KEY_WORDS];
    uint32_t i = 0, number;

    mask_key(masked, key, tuple->mask, t->n_words);
    if (tuple->slot_mask) {
        i = swx_hash(masked, t->n_words) & tuple->slot_mask;
    }
    /* With more than one entry half of the slots are empty. */
    while ((number = t->slots[tuple->slots + i]) != 0) {
        const struct wild_entry *entry = &t->entries[number - 1];

        if (swx_key_equal(entry->key, masked, t->n_words)) {
            return entry;
        }
        if (!tuple->slot_mask) {
            break;
        }
        i = (i + 1) & tuple->slot_mask;
    }
    return NULL;
}

static const struct wild_group *
find_group(const struct swx_wild *t, const uint64_t key[])
{
    uint64_t masked[SWX_KEY_WORDS];
    uint32_t i, number;

    mask_key(masked, key, t->common, t->n_words);
    i = swx_hash(masked, t->n_words) & t->group_mask;
    while ((number = t->group_slots[i]) != 0) {
        const struct wild_group *group = &t->groups[number - 1];

        if (swx_key_equal(group->key, masked, t->n_words)) {
            return group;
        }
        i = (i + 1) & t->group_mask;
    }
    return NULL;
}

bool
swx_wild_find(const struct swx_wild *t, const uint64_t key[],
              uint64_t *action, uint8_t **data)
{
    const struct wild_group *group = find_group(t, key);
    const struct wild_entry *best = NULL;

    for (uint32_t i = 0; group && i < group->n_tuples; i++) {
        const struct wild_tuple *tuple = &t->tuples[group->tuples + i];
        const struct wild_entry *entry;

        if (best && tuple->priority >= best->priority) {
            break;
        }
        entry = find_in_tuple(t, tuple, key);
        if (entry && (!best || entry->priority < best->priority)) {
            best = entry;
        }
    }
    if (best) {
        *action = best->action;
        *data = t->data + best->data;
    }
    return best != NULL;
}

static int
wild_lookup(void *table, void *mailbox OVS_UNUSED, uint8_t **key_,
            uint64_t *action_id, uint8_t **action_data, size_t *entry_id,
            int *hit)
{
    const struct swx_wild *t = table;
    uint64_t key[SWX_KEY_WORDS];

    swx_load_key(key, *key_ + t->key_offset, t->key_size, t->mask0);
    *hit = swx_wild_find(t, key, action_id, action_data);
    if (*hit) {
        *entry_id = 0;
    }
    return 1;
}

static void
wild_free(void *table)
{
    struct swx_wild *t = table;

    if (t) {
        rte_free(t->entries);
        rte_free(t->tuples);
        rte_free(t->groups);
        rte_free(t->group_slots);
        rte_free(t->slots);
        rte_free(t->data);
        rte_free(t);
    }
}

static int
compare_words(const uint64_t a[], const uint64_t b[], unsigned int n_words)
{
    for (unsigned int i = 0; i < n_words; i++) {
        if (a[i] != b[i]) {
            return a[i] < b[i] ? -1 : 1;
        }
    }
    return 0;
}

static int
compare_groups(const struct swx_wild *t, const struct wild_entry *a,
               const struct wild_entry *b)
{
    uint64_t a_key[SWX_KEY_WORDS], b_key[SWX_KEY_WORDS];

    mask_key(a_key, a->key, t->common, t->n_words);
    mask_key(b_key, b->key, t->common, t->n_words);
    return compare_words(a_key, b_key, t->n_words);
}

/* Orders by group, mask and priority. */
static int
compare_entries(const void *a_, const void *b_, void *t_)
{
    const struct wild_entry *a = a_, *b = b_;
    const struct swx_wild *t = t_;
    int order = compare_groups(t, a, b);

    if (!order) {
        order = compare_words(a->mask, b->mask, t->n_words);
    }
    if (!order && a->priority != b->priority) {
        order = a->priority < b->priority ? -1 : 1;
    }
    return order;
}

static int
compare_tuples(const void *a_, const void *b_)
{
    const struct wild_tuple *a = a_, *b = b_;

    return (a->priority != b->priority
            ? (a->priority < b->priority ? -1 : 1) : 0);
}

/* Copies 'list' to 't'. */
static void
copy_entries(struct swx_wild *t, struct rte_swx_table_entry_list *list,
             const struct rte_swx_table_params *params)
{
    struct rte_swx_table_entry *entry;
    uint32_t n = 0;

    memset(t->common, 0xff, sizeof t->common);
    TAILQ_FOREACH (entry, list, node) {
        struct wild_entry *e = &t->entries[n];

        if (entry->key_mask) {
            swx_load_key(e->mask, entry->key_mask, t->key_size, t->mask0);
        } else {
            memcpy(e->mask, t->mask0, sizeof e->mask);
        }
        swx_load_key(e->key, entry->key, t->key_size, e->mask);
        e->priority = entry->key_priority;
        e->action = entry->action_id;
        e->data = n * params->action_data_size;
        if (params->action_data_size && entry->action_data) {
            memcpy(t->data + e->data, entry->action_data,
                   params->action_data_size);
        }
        mask_key(t->common, t->common, e->mask, t->n_words);
        n++;
    }
}

/* Slots for 'n' entries, of which a single one needs no hashing. */
static uint32_t
slots_for(uint32_t n)
{
    return n > 1 ? ROUND_UP_POW2(2 * n) : 1;
}

/* Puts entries 'first' to 'end', which have the same mask, into 'tuple'. */
static void
fill_tuple(struct swx_wild *t, struct wild_tuple *tuple, uint32_t slots,
           uint32_t first, uint32_t end)
{
    memcpy(tuple->mask, t->entries[first].mask, sizeof tuple->mask);
    tuple->priority = t->entries[first].priority;
    tuple->slots = slots;
    tuple->slot_mask = slots_for(end - first) - 1;

    /* In the order of priority, so that the best of equal ones is found. */
    for (uint32_t i = first; i < end; i++) {
        uint32_t j = 0;

        if (tuple->slot_mask) {
            j = swx_hash(t->entries[i].key, t->n_words) & tuple->slot_mask;
        }
        while (t->slots[slots + j]) {
            j = (j + 1) & tuple->slot_mask;
        }
        t->slots[slots + j] = i + 1;
    }
}

static void
insert_group(struct swx_wild *t, uint32_t group, const struct wild_entry *e)
{
    struct wild_group *g = &t->groups[group];
    uint32_t i;

    mask_key(g->key, e->key, t->common, t->n_words);
    i = swx_hash(g->key, t->n_words) & t->group_mask;
    while (t->group_slots[i]) {
        i = (i + 1) & t->group_mask;
    }
    t->group_slots[i] = group + 1;
}

/* Makes groups and tuples of the 'n' entries of 't', which are sorted. */
static void
fill(struct swx_wild *t, uint32_t n)
{
    uint32_t n_groups = 0, n_tuples = 0, n_slots = 0, n_equal;
    struct wild_group *group = NULL;

    for (uint32_t i = 0; i < n; i += n_equal) {
        const struct wild_entry *e = &t->entries[i];
        uint64_t first[SWX_KEY_WORDS];
        bool new_group = !i || compare_groups(t, e - 1, e);

        if (new_group) {
            group = &t->groups[n_groups];
            group->tuples = n_tuples;
            insert_group(t, n_groups++, e);
        }
        memcpy(first, e->mask, sizeof first);
        for (n_equal = 1; i + n_equal < n; n_equal++) {
            if (compare_groups(t, e, e + n_equal)
                || compare_words(first, e[n_equal].mask, t->n_words)) {
                break;
            }
        }
        fill_tuple(t, &t->tuples[n_tuples++], n_slots, i, i + n_equal);
        group->n_tuples++;
        n_slots += slots_for(n_equal);
    }
    for (uint32_t i = 0; i < n_groups; i++) {
        qsort(&t->tuples[t->groups[i].tuples], t->groups[i].n_tuples,
              sizeof *t->tuples, compare_tuples);
    }
}

static void *
wild_create(struct rte_swx_table_params *params,
            struct rte_swx_table_entry_list *entries,
            const char *args OVS_UNUSED, int numa_node)
{
    struct rte_swx_table_entry *entry;
    struct swx_wild *t;
    uint32_t n = 0;

    make_secrets();
    if (!count_words(params)) {
        return NULL;
    }
    t = allocate(1, sizeof *t, numa_node);
    if (!t) {
        return NULL;
    }
    if (entries) {
        TAILQ_FOREACH (entry, entries, node) {
            n++;
        }
    }
    t->n_words = count_words(params);
    t->key_offset = params->key_offset;
    t->key_size = params->key_size;
    load_mask(t->mask0, params);
    t->group_mask = ROUND_UP_POW2(2 * n + 1) - 1;
    t->entries = allocate(n, sizeof *t->entries, numa_node);
    t->tuples = allocate(n, sizeof *t->tuples, numa_node);
    t->groups = allocate(n, sizeof *t->groups, numa_node);
    t->group_slots = allocate(t->group_mask + 1, sizeof *t->group_slots,
                              numa_node);
    /* At most four for each entry, see slots_for(). */
    t->slots = allocate(4 * n, sizeof *t->slots, numa_node);
    t->data = allocate(n, MAX(params->action_data_size, 1), numa_node);
    if (!t->entries || !t->tuples || !t->groups || !t->group_slots
        || !t->slots || !t->data) {
        wild_free(t);
        return NULL;
    }
    if (n) {
        copy_entries(t, entries, params);
        qsort_r(t->entries, n, sizeof *t->entries, compare_entries, t);
        fill(t, n);
    }
    return t;
}

/* Both. */

/* SWX calls this when it builds a pipeline without looking whether there is
 * such a function. */
static uint64_t
mailbox_size(void)
{
    return 0;
}

const struct rte_swx_table_ops swx_exact_ops = {
    .footprint_get = exact_footprint,
    .mailbox_size_get = mailbox_size,
    .create = exact_create,
    .add = exact_add,
    .del = exact_del,
    .lkp = exact_lookup,
    .free = exact_free,
};

const struct rte_swx_table_ops swx_wildcard_ops = {
    .mailbox_size_get = mailbox_size,
    .create = wild_create,
    .lkp = wild_lookup,
    .free = wild_free,
};

int
swx_match_register(struct rte_swx_pipeline *pipeline)
{
    /* It copies them. */
    struct rte_swx_table_ops exact = swx_exact_ops, wild = swx_wildcard_ops;
    int status = rte_swx_pipeline_table_type_register(
        pipeline, SWX_EXACT, RTE_SWX_TABLE_MATCH_EXACT, &exact);

    return (status ? status
            : rte_swx_pipeline_table_type_register(
                pipeline, SWX_WILDCARD, RTE_SWX_TABLE_MATCH_WILDCARD,
                &wild));
}
