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

#ifndef SWX_TABLES_H
#define SWX_TABLES_H 1

/* Tables of a running SWX pipeline.
 *
 * DPDK has rte_swx_ctl_pipeline_commit() for this, which waits 100 us before
 * it changes or frees what the thread that runs the pipeline may still be
 * reading.  A thread that has lost its processor for longer then reads freed
 * memory.  It also looks for each entry in a list of all.  This does the same
 * with DPDK's functions one level below, and has the caller say when the old
 * tables are out of use.
 *
 * There are two copies of each exact table, and a wildcard table is built anew
 * for each change, all while packets go through the other one.  So packets
 * need to wait only for the moment of the swap.
 *
 * Not thread-safe. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rte_swx_pipeline;
struct rte_swx_table_state;
struct swx_table;
struct swx_tables;

/* Returns the tables of 'pipeline', which has been built and has none but
 * exact and wildcard ones, without entries, or NULL for lack of memory. */
struct swx_tables *swx_tables_create(struct rte_swx_pipeline *pipeline);

/* Frees 'tables', when nothing runs the pipeline, and before it is freed
 * itself. */
void swx_tables_destroy(struct swx_tables *tables);

/* Returns the table 'name', or NULL if there is none with 'n_keys' fields of a
 * key. */
struct swx_table *swx_tables_find(struct swx_tables *tables, const char *name,
                                  size_t n_keys);

/* Returns the number of action 'name' with 'n_args' arguments, or -1. */
int swx_tables_find_action(const struct swx_tables *tables, const char *name,
                           size_t n_args);

/* Adds an entry to 'table', or replaces the one with the same key, mask and
 * priority, from the next swx_tables_commit() on.  The values are in the order
 * of the program's fields, in host byte order.  'mask' is NULL for exact
 * tables, which have no use for 'priority' (0 is the highest) either.  Returns
 * false if the table is full. */
bool swx_table_set(struct swx_table *table, const uint64_t key[],
                   const uint64_t mask[], uint32_t priority, int action,
                   const uint64_t args[]);

/* Deletes an entry, from the next swx_tables_commit() on; does nothing if
 * there is none. */
void swx_table_delete(struct swx_table *table, const uint64_t key[],
                      const uint64_t mask[], uint32_t priority);

/* Makes all changes effective.  'swap' is called with what is to be given to
 * rte_swx_pipeline_table_state_set(), must do so, and may return only when no
 * packet is in the pipeline that entered it before.
 *
 * Returns 0 if successful; otherwise a positive errno value, and everything is
 * as it was, with the changes still waiting. */
int swx_tables_commit(struct swx_tables *tables,
                      void (*swap)(struct rte_swx_pipeline *,
                                   struct rte_swx_table_state *));

/* What a table has. */
struct swx_table_info {
    size_t n;                   /* Entries. */
    size_t max;                 /* Room for so many. */
    size_t bytes;               /* Of DPDK's memory, all copies. */
};
void swx_table_get_info(const struct swx_table *, struct swx_table_info *);

#endif /* swx-tables.h */
