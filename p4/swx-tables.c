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
#include "p4/swx-tables.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_malloc.h>
#include <rte_swx_ctl.h>
#include <rte_swx_table.h>

#include "hash.h"
#include "openvswitch/hmap.h"
#include "openvswitch/list.h"
#include "util.h"

/* One field of a key or one argument of an action, in bytes from the beginning
 * of all of them.  SWX knows whole bytes alone. */
struct field {
    unsigned int offset;
    unsigned int size;
    bool network;               /* Byte order. */
};

struct action {
    char name[RTE_SWX_CTL_NAME_SIZE];
    struct field *args;
    size_t n_args;
    size_t size;                /* Bytes of all. */
};

struct entry {
    struct hmap_node hmap_node; /* In "entries" of struct swx_table. */
    struct ovs_list change_node; /* In "changes", if it has changed. */
    bool deleted;               /* From the next commit on. */
    struct rte_swx_table_entry swx; /* Its buffers are in 'bytes'. */
    uint8_t bytes[];            /* Key, mask, action data. */
};

struct swx_table {
    const struct swx_tables *parent;
    char name[RTE_SWX_CTL_NAME_SIZE];
    unsigned int id;            /* Index of it in a table state. */
    struct rte_swx_table_ops ops;
    struct rte_swx_table_params params;
    char args[RTE_SWX_CTL_NAME_SIZE];
    struct field *keys;
    size_t n_keys;

    struct hmap entries;        /* Contains "struct entry"s. */
    size_t n_deleted;           /* Of these. */
    struct ovs_list changes;    /* Contains "struct entry"s. */
    size_t bytes;               /* Of one copy. */
};

struct swx_tables {
    struct rte_swx_pipeline *pipeline;
    int numa_node;
    struct swx_table *tables;
    size_t n_tables;
    struct action *actions;
    size_t n_actions;

    /* What the pipeline uses, and what it will use after the next commit: of
     * exact tables another copy, of wildcard tables the same.  The first one
     * that the pipeline had is its own. */
    struct rte_swx_table_state *current;
    struct rte_swx_table_state *next;
    struct rte_swx_table_state *pipelines;
};

/* Exact tables take changes of entries, wildcard tables do not. */
static bool
is_incremental(const struct swx_table *table)
{
    return table->ops.add != NULL;
}

static bool
read_actions(struct swx_tables *tables)
{
    for (size_t i = 0; i < tables->n_actions; i++) {
        struct action *action = &tables->actions[i];
        struct rte_swx_ctl_action_info info;

        if (rte_swx_ctl_action_info_get(tables->pipeline, i, &info)) {
            return false;
        }
        ovs_strlcpy(action->name, info.name, sizeof action->name);
        action->n_args = info.n_args;
        action->args = xcalloc(info.n_args, sizeof *action->args);
        for (size_t j = 0; j < info.n_args; j++) {
            struct rte_swx_ctl_action_arg_info arg;

            if (rte_swx_ctl_action_arg_info_get(tables->pipeline, i, j,
                                                &arg)) {
                return false;
            }
            action->args[j].offset = action->size;
            action->args[j].size = arg.n_bits / 8;
            action->args[j].network = arg.is_network_byte_order;
            action->size += arg.n_bits / 8;
        }
    }
    return true;
}

/* Reads the fields of the key of 'table', which need not be side by side: what
 * is between them, 'key_mask0' hides. */
static bool
read_keys(struct swx_tables *tables, struct swx_table *table,
          const struct rte_swx_ctl_table_info *info)
{
    unsigned int first = UINT_MAX, end = 0;
    bool exact = true;

    table->n_keys = info->n_match_fields;
    table->keys = xcalloc(table->n_keys, sizeof *table->keys);
    for (size_t i = 0; i < table->n_keys; i++) {
        struct rte_swx_ctl_table_match_field_info field;

        if (rte_swx_ctl_table_match_field_info_get(tables->pipeline,
                                                   table->id, i, &field)) {
            return false;
        }
        table->keys[i].offset = field.offset / 8;
        table->keys[i].size = field.n_bits / 8;
        table->keys[i].network = field.is_header;
        first = MIN(first, table->keys[i].offset);
        end = MAX(end, table->keys[i].offset + table->keys[i].size);
        exact = exact && field.match_type == RTE_SWX_TABLE_MATCH_EXACT;
    }
    if (!table->n_keys) {
        return false;
    }

    table->params.match_type = (exact ? RTE_SWX_TABLE_MATCH_EXACT
                                : RTE_SWX_TABLE_MATCH_WILDCARD);
    table->params.key_offset = first;
    table->params.key_size = end - first;
    table->params.key_mask0 = xzalloc(end - first);
    for (size_t i = 0; i < table->n_keys; i++) {
        table->keys[i].offset -= first;
        memset(table->params.key_mask0 + table->keys[i].offset, 0xff,
               table->keys[i].size);
    }
    return true;
}

static bool
read_table(struct swx_tables *tables, struct swx_table *table)
{
    struct rte_swx_ctl_table_info info;
    int is_stub;

    if (rte_swx_ctl_table_info_get(tables->pipeline, table->id, &info)
        || rte_swx_ctl_table_ops_get(tables->pipeline, table->id, &table->ops,
                                     &is_stub)
        || is_stub || !read_keys(tables, table, &info)) {
        return false;
    }
    ovs_strlcpy(table->name, info.name, sizeof table->name);
    ovs_strlcpy(table->args, info.args, sizeof table->args);
    for (size_t i = 0; i < info.n_actions; i++) {
        struct rte_swx_ctl_table_action_info action;

        if (rte_swx_ctl_table_action_info_get(tables->pipeline, table->id, i,
                                              &action)) {
            return false;
        }
        table->params.action_data_size = MAX(
            table->params.action_data_size,
            tables->actions[action.action_id].size);
    }
    table->params.hash_func = info.hash_func;
    table->params.n_keys_max = info.size;
    if (is_incremental(table)) {
        table->bytes = table->ops.footprint_get(&table->params, NULL,
                                                table->args);
    }
    return true;
}

/* Returns what is allocated of DPDK's memory. */
static size_t
allocated(void)
{
    size_t sum = 0;

    for (int i = 0; i < RTE_MAX_NUMA_NODES; i++) {
        struct rte_malloc_socket_stats stats;

        if (!rte_malloc_get_socket_stats(i, &stats)) {
            sum += stats.heap_allocsz_bytes;
        }
    }
    return sum;
}

/* Returns a new copy of 'table' with its entries, or NULL for lack of
 * memory. */
static void *
build(const struct swx_tables *tables, struct swx_table *table)
{
    struct rte_swx_table_entry_list list;
    size_t before = allocated();
    struct entry *entry;

    TAILQ_INIT(&list);
    HMAP_FOR_EACH (entry, hmap_node, &table->entries) {
        if (!entry->deleted) {
            TAILQ_INSERT_TAIL(&list, &entry->swx, node);
        }
    }

    void *object = table->ops.create(&table->params, &list, table->args,
                                     tables->numa_node);
    size_t after = allocated();

    /* Of wildcard tables there is no other way to know. */
    if (object && !is_incremental(table)) {
        table->bytes = after > before ? after - before : 0;
    }
    return object;
}

static bool
create_next(struct swx_tables *tables)
{
    if (rte_swx_pipeline_table_state_get(tables->pipeline,
                                         &tables->pipelines)) {
        return false;
    }
    tables->current = tables->pipelines;
    tables->next = xmemdup(tables->pipelines,
                           tables->n_tables * sizeof *tables->next);
    for (size_t i = 0; i < tables->n_tables; i++) {
        if (is_incremental(&tables->tables[i])) {
            tables->next[i].obj = NULL;
        }
    }
    for (size_t i = 0; i < tables->n_tables; i++) {
        if (is_incremental(&tables->tables[i])) {
            tables->next[i].obj = build(tables, &tables->tables[i]);
            if (!tables->next[i].obj) {
                return false;
            }
        }
    }
    return true;
}

struct swx_tables *
swx_tables_create(struct rte_swx_pipeline *pipeline)
{
    struct swx_tables *tables = xzalloc(sizeof *tables);
    struct rte_swx_ctl_pipeline_info info;
    bool ok;

    tables->pipeline = pipeline;
    ok = (!rte_swx_ctl_pipeline_info_get(pipeline, &info)
          && !info.n_selectors && !info.n_learners
          && !rte_swx_ctl_pipeline_numa_node_get(pipeline,
                                                 &tables->numa_node));
    if (ok) {
        tables->n_actions = info.n_actions;
        tables->actions = xcalloc(info.n_actions, sizeof *tables->actions);
        tables->n_tables = info.n_tables;
        tables->tables = xcalloc(info.n_tables, sizeof *tables->tables);
        for (size_t i = 0; i < tables->n_tables; i++) {
            tables->tables[i].parent = tables;
            tables->tables[i].id = i;
            hmap_init(&tables->tables[i].entries);
            ovs_list_init(&tables->tables[i].changes);
        }
        ok = read_actions(tables);
    }
    for (size_t i = 0; ok && i < tables->n_tables; i++) {
        ok = read_table(tables, &tables->tables[i]);
    }
    if (!ok || !create_next(tables)) {
        swx_tables_destroy(tables);
        return NULL;
    }
    return tables;
}

void
swx_tables_destroy(struct swx_tables *tables)
{
    if (!tables) {
        return;
    }

    /* The pipeline frees its own state, with what is in it. */
    struct rte_swx_table_state *ours = (tables->next == tables->pipelines
                                        ? tables->current : tables->next);

    if (tables->pipelines) {
        rte_swx_pipeline_table_state_set(tables->pipeline, tables->pipelines);
    }
    for (size_t i = 0; i < tables->n_tables; i++) {
        struct swx_table *table = &tables->tables[i];
        struct entry *entry;

        HMAP_FOR_EACH_POP (entry, hmap_node, &table->entries) {
            free(entry);
        }
        hmap_destroy(&table->entries);
        /* Exact tables' other copy, and what a failed commit has left. */
        if (ours && ours[i].obj && ours[i].obj != tables->pipelines[i].obj) {
            table->ops.free(ours[i].obj);
        }
        free(table->keys);
        free(table->params.key_mask0);
    }
    for (size_t i = 0; i < tables->n_actions; i++) {
        free(tables->actions[i].args);
    }
    free(ours);
    free(tables->tables);
    free(tables->actions);
    free(tables);
}

struct swx_table *
swx_tables_find(struct swx_tables *tables, const char *name, size_t n_keys)
{
    for (size_t i = 0; i < tables->n_tables; i++) {
        if (!strcmp(tables->tables[i].name, name)
            && tables->tables[i].n_keys == n_keys) {
            return &tables->tables[i];
        }
    }
    return NULL;
}

int
swx_tables_find_action(const struct swx_tables *tables, const char *name,
                       size_t n_args)
{
    for (size_t i = 0; i < tables->n_actions; i++) {
        if (!strcmp(tables->actions[i].name, name)
            && tables->actions[i].n_args == n_args) {
            return i;
        }
    }
    return -1;
}

/* Stores 'value' where 'field' is in 'bytes'. */
static void
put(uint8_t *bytes, const struct field *field, uint64_t value)
{
    for (size_t i = 0; i < field->size; i++) {
        size_t shift = field->network ? field->size - 1 - i : i;

        /* SWX's host byte order is little-endian. */
        bytes[field->offset + i] = value >> (8 * shift);
    }
}

/* Writes 'table''s key, then the mask, to 'bytes'. */
static void
put_key(const struct swx_table *table, const uint64_t key[],
        const uint64_t mask[], uint8_t *bytes)
{
    size_t size = table->params.key_size;

    memset(bytes, 0, 2 * size);
    for (size_t i = 0; i < table->n_keys; i++) {
        uint64_t m = mask ? mask[i] : UINT64_MAX;

        put(bytes, &table->keys[i], key[i] & m);
        put(bytes + size, &table->keys[i], m);
    }
}

static uint32_t
hash_key(const struct swx_table *table, const uint8_t *bytes,
         uint32_t priority)
{
    return hash_bytes(bytes, 2 * table->params.key_size, priority);
}

static struct entry *
find_entry(const struct swx_table *table, const uint8_t *bytes,
           uint32_t priority)
{
    struct entry *entry;

    HMAP_FOR_EACH_WITH_HASH (entry, hmap_node,
                             hash_key(table, bytes, priority),
                             &table->entries) {
        if (entry->swx.key_priority == priority
            && !memcmp(entry->bytes, bytes, 2 * table->params.key_size)) {
            return entry;
        }
    }
    return NULL;
}

static void
change(struct swx_table *table, struct entry *entry, bool deleted)
{
    table->n_deleted += deleted - entry->deleted;
    entry->deleted = deleted;
    if (ovs_list_is_empty(&entry->change_node)) {
        ovs_list_push_back(&table->changes, &entry->change_node);
    }
}

/* SWX has 8 bits for the offset of a field. */
#define MAX_KEY 256

bool
swx_table_set(struct swx_table *table, const uint64_t key[],
              const uint64_t mask[], uint32_t priority, int action,
              const uint64_t args[])
{
    const struct action *a = &table->parent->actions[action];
    size_t key_size = table->params.key_size;
    uint8_t bytes[2 * MAX_KEY];
    struct entry *entry;

    put_key(table, key, mask, bytes);
    entry = find_entry(table, bytes, priority);
    if (!entry || entry->deleted) {
        if (hmap_count(&table->entries) - table->n_deleted
            >= table->params.n_keys_max) {
            return false;
        }
    }
    if (!entry) {
        entry = xzalloc(sizeof *entry + 2 * key_size
                        + table->params.action_data_size);
        memcpy(entry->bytes, bytes, 2 * key_size);
        entry->swx.key = entry->bytes;
        entry->swx.key_mask = entry->bytes + key_size;
        entry->swx.key_priority = priority;
        entry->swx.action_data = entry->bytes + 2 * key_size;
        ovs_list_init(&entry->change_node);
        hmap_insert(&table->entries, &entry->hmap_node,
                    hash_key(table, bytes, priority));
    }
    entry->swx.action_id = action;
    for (size_t i = 0; i < a->n_args; i++) {
        put(entry->swx.action_data, &a->args[i], args[i]);
    }
    change(table, entry, false);
    return true;
}

void
swx_table_delete(struct swx_table *table, const uint64_t key[],
                 const uint64_t mask[], uint32_t priority)
{
    uint8_t bytes[2 * MAX_KEY];
    struct entry *entry;

    put_key(table, key, mask, bytes);
    entry = find_entry(table, bytes, priority);
    if (entry) {
        change(table, entry, true);
    }
}

/* Makes the changes of 'table' in '*object', a copy of an exact table that no
 * packet sees: deletions first, so that there is room. */
static int
apply(const struct swx_tables *tables, struct swx_table *table, void **object)
{
    struct entry *entry;
    bool ok = true;

    LIST_FOR_EACH (entry, change_node, &table->changes) {
        if (entry->deleted) {
            table->ops.del(*object, &entry->swx);
        }
    }
    LIST_FOR_EACH (entry, change_node, &table->changes) {
        if (!entry->deleted) {
            ok = ok && !table->ops.add(*object, &entry->swx);
        }
    }
    if (!ok) {
        /* There is room, but deletions have left the buckets in pieces. */
        void *fresh = build(tables, table);

        if (!fresh) {
            return ENOMEM;
        }
        table->ops.free(*object);
        *object = fresh;
    }
    return 0;
}

static void
forget_changes(struct swx_table *table)
{
    struct entry *entry;

    LIST_FOR_EACH_POP (entry, change_node, &table->changes) {
        ovs_list_init(&entry->change_node);
        if (entry->deleted) {
            hmap_remove(&table->entries, &entry->hmap_node);
            free(entry);
        }
    }
    table->n_deleted = 0;
}

/* Gives tables->next what has changed.  When it fails, what it has done does
 * no harm: it is done again the next time, and changes nothing then. */
static int
prepare(struct swx_tables *tables)
{
    for (size_t i = 0; i < tables->n_tables; i++) {
        struct swx_table *table = &tables->tables[i];
        int error = 0;

        if (ovs_list_is_empty(&table->changes)) {
            continue;
        } else if (is_incremental(table)) {
            error = apply(tables, table, &tables->next[i].obj);
        } else {
            void *fresh = build(tables, table);

            if (fresh) {
                /* One that a failed commit has left. */
                if (tables->next[i].obj != tables->current[i].obj) {
                    table->ops.free(tables->next[i].obj);
                }
                tables->next[i].obj = fresh;
            } else {
                error = ENOMEM;
            }
        }
        if (error) {
            return error;
        }
    }
    return 0;
}

int
swx_tables_commit(struct swx_tables *tables,
                  void (*swap)(struct rte_swx_pipeline *,
                               struct rte_swx_table_state *))
{
    struct rte_swx_table_state *old = tables->current;
    int error = prepare(tables);

    if (error) {
        return error;
    }
    swap(tables->pipeline, tables->next);
    tables->current = tables->next;
    tables->next = old;

    for (size_t i = 0; i < tables->n_tables; i++) {
        struct swx_table *table = &tables->tables[i];

        if (ovs_list_is_empty(&table->changes)) {
            continue;
        } else if (is_incremental(table)) {
            if (apply(tables, table, &old[i].obj)) {
                /* The changes are made, but wait for another try in the copy:
                 * they are all that the copies differ in. */
                continue;
            }
        } else {
            table->ops.free(old[i].obj);
            old[i].obj = tables->current[i].obj;
        }
        forget_changes(table);
    }
    return 0;
}

void
swx_table_get_info(const struct swx_table *table, struct swx_table_info *info)
{
    info->n = hmap_count(&table->entries) - table->n_deleted;
    info->max = table->params.n_keys_max;
    info->bytes = table->bytes * (is_incremental(table) ? 2 : 1);
}
