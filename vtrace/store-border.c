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
#include "vtrace/store-sql.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "openvswitch/shash.h"
#include "openvswitch/util.h"
#include "sset.h"
#include "util.h"

/* Domains are shared by nodes, so there are few: a task that gets more colors
 * than this has a configuration of another kind. */
#define MAX_DOMAINS 64

void
vtrace_store_borders_destroy(struct vtrace_store_border *borders, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(borders[i].domain);
    }
    free(borders);
}

static void
copy_entry(struct vtrace_entry *entry, sqlite3_stmt *stmt, int column)
{
    ovs_strlcpy(entry->node, vtrace_sql_text(stmt, column),
                sizeof entry->node);
    ovs_strlcpy(entry->bridge, vtrace_sql_text(stmt, column + 1),
                sizeof entry->bridge);
    ovs_strlcpy(entry->port, vtrace_sql_text(stmt, column + 2),
                sizeof entry->port);
}

/* Refuses a border of a node that does not exist, or that leads to its own
 * domain. */
static char *
check_border(struct vtrace_store *store, const struct vtrace_entry *at,
             const char *domain)
{
    char *own = NULL;
    char *error = vtrace_store_node_domain(store, at->node, &own);

    if (!error && !strcmp(own, domain)) {
        error = xasprintf("border %s/%s/%s: node %s is in domain \"%s\" "
                          "itself: a border leads to another one",
                          at->node, at->bridge, at->port, at->node, domain);
    }
    free(own);
    return error;
}

char *
vtrace_store_add_border(struct vtrace_store *store,
                        const struct vtrace_entry *at, const char *domain,
                        bool from_file)
{
    char *error = vtrace_store_check_entry(at);

    if (!error) {
        error = vtrace_store_check_domain(domain);
    }
    if (!error) {
        error = vtrace_sql_begin(store, "border");
    }
    if (error) {
        return error;
    }
    error = check_border(store, at, domain);
    if (!error) {
        error = vtrace_sql_exec(
            store, NULL, "INSERT INTO borders VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (node, bridge, port) DO UPDATE "
            "SET domain = excluded.domain, from_file = excluded.from_file",
            "ssssi", at->node, at->bridge, at->port, domain,
            (int64_t) from_file);
    }
    return vtrace_sql_end(store, "border", error);
}

char *
vtrace_store_remove_border(struct vtrace_store *store,
                           const struct vtrace_entry *at)
{
    char *error = vtrace_sql_begin(store, "border");
    int n;

    if (error) {
        return error;
    }
    error = vtrace_sql_exec(store, &n, "DELETE FROM borders WHERE node = ? "
                            "AND bridge = ? AND port = ?", "sss", at->node,
                            at->bridge, at->port);
    if (!error && !n) {
        error = xasprintf("border %s/%s/%s: no such border", at->node,
                          at->bridge, at->port);
    }
    return vtrace_sql_end(store, "border", error);
}

char *
vtrace_store_borders(struct vtrace_store *store,
                     struct vtrace_store_border **bordersp, size_t *n)
{
    size_t allocated = 0;
    sqlite3_stmt *stmt;
    char *error = NULL;
    int rc;

    *bordersp = NULL;
    *n = 0;
    stmt = vtrace_sql_query(store, "SELECT node, bridge, port, domain, "
                            "from_file FROM borders "
                            "ORDER BY node, bridge, port", "");
    while (vtrace_sql_next(stmt, &rc)) {
        struct vtrace_store_border *b;

        if (*n >= allocated) {
            *bordersp = x2nrealloc(*bordersp, &allocated, sizeof **bordersp);
        }
        b = &(*bordersp)[(*n)++];
        copy_entry(&b->at, stmt, 0);
        b->domain = xstrdup(vtrace_sql_text(stmt, 3));
        b->from_file = sqlite3_column_int(stmt, 4);
    }
    error = vtrace_sql_done(store, stmt, rc);
    if (error) {
        vtrace_store_borders_destroy(*bordersp, *n);
        *bordersp = NULL;
        *n = 0;
    }
    return error;
}

char *
vtrace_store_bridges(struct vtrace_store *store, const char *node,
                     struct sset *bridges, size_t *n_more)
{
    sqlite3_stmt *stmt;
    int rc;

    *n_more = 0;
    stmt = vtrace_sql_query(store, "SELECT bridge FROM ("
                            "SELECT ? AS task, bridge FROM border_bridges "
                            "WHERE node = ? UNION ALL "
                            "SELECT task, bridge FROM maps "
                            "WHERE node = ? UNION ALL "
                            "SELECT task, bridge FROM rules WHERE node = ?) "
                            "GROUP BY bridge ORDER BY MAX(task) DESC, bridge",
                            "isss", INT64_MAX, node, node, node);
    while (vtrace_sql_next(stmt, &rc)) {
        if (sset_count(bridges) < VTRACE_STORE_MAX_BRIDGES) {
            sset_add(bridges, vtrace_sql_text(stmt, 0));
        } else {
            ++*n_more;
        }
    }
    return vtrace_sql_done(store, stmt, rc);
}

/* Colors and maps of tasks. */

char *
vtrace_store_colors(struct vtrace_store *store, int64_t id,
                    enum vtrace_direction direction,
                    struct vtrace_color **colorsp, size_t *n)
{
    size_t allocated = 0;
    sqlite3_stmt *stmt;
    char *error = NULL;
    int rc;

    *colorsp = NULL;
    *n = 0;
    stmt = vtrace_sql_query(store, "SELECT domain, color FROM colors "
                            "WHERE task = ? AND direction = ?", "ii", id,
                            (int64_t) direction);
    while (vtrace_sql_next(stmt, &rc)) {
        struct vtrace_color *c;

        if (*n >= allocated) {
            *colorsp = x2nrealloc(*colorsp, &allocated, sizeof **colorsp);
        }
        c = &(*colorsp)[(*n)++];
        ovs_strlcpy(c->domain, vtrace_sql_text(stmt, 0), sizeof c->domain);
        c->color = sqlite3_column_int(stmt, 1);
    }
    error = vtrace_sql_done(store, stmt, rc);
    if (error) {
        free(*colorsp);
        *colorsp = NULL;
        *n = 0;
    }
    return error;
}

char *
vtrace_store_load_maps(struct vtrace_store *store, int64_t id,
                       struct vtrace_rule *rule)
{
    size_t allocated = 0;
    sqlite3_stmt *stmt;
    int rc;

    if (!store->has_maps) {
        return NULL;
    }
    stmt = vtrace_sql_query(store, "SELECT node, bridge, port, theirs, color "
                            "FROM maps WHERE task = ? AND direction = ? "
                            "ORDER BY number", "ii", id,
                            (int64_t) rule->direction);
    while (vtrace_sql_next(stmt, &rc)) {
        struct vtrace_map *map;

        if (rule->n_maps >= allocated) {
            rule->maps = x2nrealloc(rule->maps, &allocated,
                                    sizeof *rule->maps);
        }
        map = &rule->maps[rule->n_maps++];
        copy_entry(&map->at, stmt, 0);
        map->theirs = sqlite3_column_int(stmt, 3);
        map->color = sqlite3_column_int(stmt, 4);
    }
    return vtrace_sql_done(store, stmt, rc);
}

/* A border with what adding maps needs to know of it. */
struct side {
    const struct vtrace_store_border *border;
    char *own;                  /* Domain of its node. */
};

/* Takes a color in the domain of each border's node that packets can get to
 * from those in 'colors', a map of domains to colors. */
static char *
take_colors(struct vtrace_store *store, int64_t id,
            enum vtrace_direction direction, const struct side *sides,
            size_t n, int64_t now, uint32_t random, struct shash *colors)
{
    bool again = true;

    while (again) {
        again = false;
        for (size_t i = 0; i < n; i++) {
            int64_t color;
            char *error;

            if (!shash_find(colors, sides[i].border->domain)
                || shash_find(colors, sides[i].own)) {
                continue;
            } else if (shash_count(colors) >= MAX_DOMAINS) {
                return xasprintf("borders lead to more than %d domains: "
                                 "remove some", MAX_DOMAINS);
            }
            error = vtrace_store_take_color(store, sides[i].own, id, direction,
                                            now, random, &color);
            if (error) {
                return error;
            }
            shash_add(colors, sides[i].own, (void *) (uintptr_t) color);
            again = true;
        }
    }
    return NULL;
}

static char *
insert_maps(struct vtrace_store *store, int64_t id,
            enum vtrace_direction direction, const struct side *sides,
            size_t n, const struct shash *colors)
{
    char *error = NULL;

    for (size_t i = 0; i < n && !error; i++) {
        const struct vtrace_entry *at = &sides[i].border->at;
        uintptr_t theirs = (uintptr_t) shash_find_data(
            colors, sides[i].border->domain);
        uintptr_t color = (uintptr_t) shash_find_data(colors, sides[i].own);

        /* The node may have moved into the other domain. */
        if (theirs && color && strcmp(sides[i].border->domain, sides[i].own)) {
            error = vtrace_sql_exec(
                store, NULL, "INSERT INTO maps VALUES "
                "(?, ?, ?, ?, ?, ?, ?, ?)", "iiisssii", id,
                (int64_t) direction, (int64_t) i, at->node, at->bridge,
                at->port, (int64_t) theirs, (int64_t) color);
            store->has_maps = true;
        }
    }
    return error;
}

static char *
add_maps__(struct vtrace_store *store, int64_t id,
           enum vtrace_direction direction, const char *domain,
           const struct side *sides, size_t n, int64_t now, uint32_t random)
{
    struct shash colors = SHASH_INITIALIZER(&colors);
    int64_t color;
    char *error;

    error = vtrace_sql_int(store, 0, &color, "SELECT color FROM colors "
                           "WHERE domain = ? AND task = ? AND direction = ?",
                           "sii", domain, id, (int64_t) direction);
    if (!error) {
        shash_add(&colors, domain, (void *) (uintptr_t) color);
        error = take_colors(store, id, direction, sides, n, now, random,
                            &colors);
    }
    if (!error) {
        error = insert_maps(store, id, direction, sides, n, &colors);
    }
    shash_destroy(&colors);
    return error;
}

char *
vtrace_store_add_maps(struct vtrace_store *store, int64_t id,
                      enum vtrace_direction direction, const char *domain,
                      int64_t now, uint32_t random)
{
    struct vtrace_store_border *borders;
    struct side *sides;
    char *error;
    size_t n;

    error = vtrace_store_borders(store, &borders, &n);
    if (error || !n) {
        return error;
    }
    sides = xcalloc(n, sizeof *sides);
    for (size_t i = 0; i < n && !error; i++) {
        sides[i].border = &borders[i];
        error = vtrace_store_node_domain(store, borders[i].at.node,
                                         &sides[i].own);
    }
    if (!error) {
        error = add_maps__(store, id, direction, domain, sides, n, now,
                           random);
    }
    for (size_t i = 0; i < n; i++) {
        free(sides[i].own);
    }
    free(sides);
    vtrace_store_borders_destroy(borders, n);
    return error;
}
