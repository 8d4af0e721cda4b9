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
#include "vtrace/store.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "openvswitch/util.h"
#include "openvswitch/vconn.h"
#include "packets.h"
#include "stream.h"
#include "util.h"
#include "vtrace/store-sql.h"

static const char *const state_names[] = {
    [VTRACE_NEW] = "new",
    [VTRACE_READY] = "ready",
    [VTRACE_DEPLOYED] = "deployed",
    [VTRACE_RUNNING] = "running",
    [VTRACE_DONE] = "done",
    [VTRACE_FAILED] = "failed",
    [VTRACE_EXPIRED] = "expired",
};

const char *
vtrace_state_to_string(enum vtrace_state state)
{
    return state_names[state];
}

bool
vtrace_state_from_string(const char *s, enum vtrace_state *state)
{
    for (size_t i = 0; i < ARRAY_SIZE(state_names); i++) {
        if (!strcmp(s, state_names[i])) {
            *state = i;
            return true;
        }
    }
    return false;
}

void
vtrace_task_destroy(struct vtrace_task *task)
{
    if (task) {
        for (size_t i = 0; i < task->n_rules; i++) {
            free(task->rules[i].maps);
        }
        free(task->domain);
        free(task->reason);
        free(task->result);
        free(task);
    }
}

static char *
text_dup(sqlite3_stmt *stmt, int column)
{
    return sqlite3_column_type(stmt, column) == SQLITE_NULL
           ? NULL
           : xstrdup(vtrace_sql_text(stmt, column));
}

static void
copy_name(char *name, sqlite3_stmt *stmt, int column)
{
    ovs_strlcpy(name, vtrace_sql_text(stmt, column),
                VTRACE_STORE_MAX_NAME + 1);
}

static void
load_rule(struct vtrace_store *store, sqlite3_stmt *stmt,
          struct vtrace_task *task)
{
    struct vtrace_rule *rule = &task->rules[task->n_rules];

    rule->direction = sqlite3_column_int(stmt, 0);
    rule->state = sqlite3_column_int(stmt, 1);
    copy_name(rule->entry.node, stmt, 2);
    copy_name(rule->entry.bridge, stmt, 3);
    copy_name(rule->entry.port, stmt, 4);
    rule->match.proto = sqlite3_column_int(stmt, 5);
    inet_pton(AF_INET6, vtrace_sql_text(stmt, 6), &rule->match.src);
    inet_pton(AF_INET6, vtrace_sql_text(stmt, 7), &rule->match.dst);
    rule->match.sport = sqlite3_column_int(stmt, 8);
    rule->match.dport = sqlite3_column_int(stmt, 9);
    rule->match.vlan = sqlite3_column_int(stmt, 10);
    rule->color = sqlite3_column_int(stmt, 11);
    rule->expires = sqlite3_column_int64(stmt, 12);
    rule->cookie = vtrace_store_cookie(store, task->id, rule->direction);
    task->n_rules++;
}

static char *
load_rules(struct vtrace_store *store, struct vtrace_task *task)
{
    sqlite3_stmt *stmt;
    char *error = NULL;
    int rc;

    stmt = vtrace_sql_query(store, "SELECT direction, state, node, bridge, "
                            "port, proto, src, dst, sport, dport, vlan, "
                            "color, ifnull(expires, 0) FROM rules "
                            "WHERE task = ? ORDER BY direction", "i",
                            task->id);
    while (vtrace_sql_next(stmt, &rc)
           && task->n_rules < VTRACE_N_DIRECTIONS) {
        load_rule(store, stmt, task);
    }
    if (rc != SQLITE_DONE) {
        error = vtrace_sql_error(store);
    } else if (!task->n_rules || task->rules[0].direction) {
        error = xasprintf("task %"PRId64": it has no rule", task->id);
    }
    sqlite3_finalize(stmt);
    for (size_t i = 0; i < task->n_rules && !error; i++) {
        error = vtrace_store_load_maps(store, task->id, &task->rules[i]);
    }
    if (!error) {
        task->request.entry = task->rules[0].entry;
        task->request.match = task->rules[0].match;
    }
    return error;
}

static char *
load_task(struct vtrace_store *store, int64_t id, sqlite3_stmt *stmt,
          struct vtrace_task *task)
{
    task->id = id;
    copy_name(task->request.tenant, stmt, 0);
    task->domain = text_dup(stmt, 1);
    if (!vtrace_state_from_string(vtrace_sql_text(stmt, 2), &task->state)) {
        return xasprintf("task %"PRId64": %s is not a state", id,
                         vtrace_sql_text(stmt, 2));
    }
    task->request.duration = sqlite3_column_int64(stmt, 3);
    task->request.exp = sqlite3_column_int(stmt, 4);
    task->request.both = sqlite3_column_int(stmt, 5);
    task->request.inject = sqlite3_column_int(stmt, 6);
    task->created = sqlite3_column_int64(stmt, 7);
    task->ready = sqlite3_column_int64(stmt, 8);
    task->deployed = sqlite3_column_int64(stmt, 9);
    task->running = sqlite3_column_int64(stmt, 10);
    task->ended = sqlite3_column_int64(stmt, 11);
    task->ends = sqlite3_column_int64(stmt, 12);
    task->reason = text_dup(stmt, 13);
    task->result = text_dup(stmt, 14);
    eth_addr_from_uint64(sqlite3_column_int64(stmt, 15),
                         &task->request.src_mac);
    eth_addr_from_uint64(sqlite3_column_int64(stmt, 16),
                         &task->request.dst_mac);
    return load_rules(store, task);
}

char *
vtrace_store_get(struct vtrace_store *store, const char *tenant, int64_t id,
                 struct vtrace_task **taskp)
{
    struct vtrace_task *task = xzalloc(sizeof *task);
    sqlite3_stmt *stmt;
    char *error;

    stmt = vtrace_sql_query(store, "SELECT tenant, domain, state, duration, "
                            "exp, both, inject, created, ready, deployed, "
                            "running, ended, ends, reason, result, src_mac, "
                            "dst_mac FROM tasks "
                            "WHERE id = ?1 AND (?2 IS NULL OR tenant = ?2)",
                            "is", id, tenant);
    switch (stmt ? sqlite3_step(stmt) : SQLITE_ERROR) {
    case SQLITE_ROW:
        error = load_task(store, id, stmt, task);
        break;
    case SQLITE_DONE:
        error = xasprintf("%"PRId64": no such task", id);
        break;
    default:
        error = vtrace_sql_error(store);
    }
    sqlite3_finalize(stmt);
    if (error) {
        vtrace_task_destroy(task);
        task = NULL;
    }
    *taskp = task;
    return error;
}

char *
vtrace_store_get_saved(struct vtrace_store *store, int64_t id, char **result,
                       int64_t *at)
{
    sqlite3_stmt *stmt;
    int rc;

    *result = NULL;
    *at = 0;
    stmt = vtrace_sql_query(store, "SELECT result, at FROM saved "
                            "WHERE task = ?", "i", id);
    while (vtrace_sql_next(stmt, &rc)) {
        *result = text_dup(stmt, 0);
        *at = sqlite3_column_int64(stmt, 1);
    }
    return vtrace_sql_done(store, stmt, rc);
}

char *
vtrace_store_list(struct vtrace_store *store, const char *tenant,
                  enum vtrace_which which, int64_t **ids, size_t *n)
{
    static const char *const where[] = {
        [VTRACE_ALL] = "1",
        [VTRACE_UNENDED] = "state IN ('new', 'ready', 'deployed', 'running')",
        [VTRACE_UNSETTLED] = "id IN (SELECT task FROM rules "
                             "       WHERE rules.state < 4) "
                             "OR state IN ('new', 'ready', 'deployed', "
                             "             'running')",
    };
    size_t allocated = 0;
    sqlite3_stmt *stmt;
    char *error = NULL, *sql;
    int rc;

    *ids = NULL;
    *n = 0;
    sql = xasprintf("SELECT id FROM tasks WHERE (%s) "
                    "AND (?1 IS NULL OR tenant = ?1) ORDER BY id",
                    where[which]);
    stmt = vtrace_sql_query(store, sql, "s", tenant);
    free(sql);
    while (vtrace_sql_next(stmt, &rc)) {
        if (*n >= allocated) {
            *ids = x2nrealloc(*ids, &allocated, sizeof **ids);
        }
        (*ids)[(*n)++] = sqlite3_column_int64(stmt, 0);
    }
    error = vtrace_sql_done(store, stmt, rc);
    if (error) {
        free(*ids);
        *ids = NULL;
        *n = 0;
    }
    return error;
}

/* Nodes. */

void
vtrace_store_nodes_destroy(struct vtrace_store_node *nodes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(nodes[i].name);
        free(nodes[i].target);
        free(nodes[i].domain);
        free(nodes[i].database);
    }
    free(nodes);
}

static char *
check_node_name(const char *what, const char *name)
{
    size_t len = strlen(name);

    if (!len || len > VTRACE_STORE_MAX_NAME) {
        return xasprintf("%s: a name has 1 to %d characters", what,
                         VTRACE_STORE_MAX_NAME);
    }
    for (size_t i = 0; i < len; i++) {
        if (!isalnum((unsigned char) name[i]) && !strchr("_.-", name[i])) {
            return xasprintf("%s %s: only letters, digits and _.- can be in "
                             "a name", what, name);
        }
    }
    return NULL;
}

/* Counts the tasks that have, or may have, rules at node 'name'. */
static char *
count_users(struct vtrace_store *store, const char *name, int64_t *n)
{
    return vtrace_sql_int(store, 0, n, "SELECT count(DISTINCT rules.task) "
                          "FROM rules LEFT JOIN maps "
                          "ON maps.task = rules.task "
                          "AND maps.direction = rules.direction "
                          "WHERE (rules.node = ?1 OR maps.node = ?1) "
                          "AND state < 4", "s", name);
}

bool
vtrace_store_node_is_used(struct vtrace_store *store, const char *name)
{
    int64_t n;
    char *error = count_users(store, name, &n);

    free(error);
    return !error && n;
}

/* A rule is removed from where it was installed, and its color is taken in the
 * domain that the node was in. */
static char *
check_change(struct vtrace_store *store, const char *name, const char *target,
             const char *domain)
{
    int64_t changed, used;
    char *error;

    error = vtrace_sql_int(store, 0, &changed, "SELECT count(*) FROM nodes "
                           "WHERE name = ? AND (target <> ? OR domain <> ?)",
                           "sss", name, target, domain);
    if (!error && changed) {
        error = count_users(store, name, &used);
        if (!error && used) {
            error = xasprintf("node %s: %"PRId64" tasks use it: its target "
                              "and domain can change when their rules are "
                              "gone", name, used);
        }
    }
    return error;
}

char *
vtrace_store_check_domain(const char *domain)
{
    return *domain ? check_node_name("domain", domain) : NULL;
}

char *
vtrace_store_add_node(struct vtrace_store *store, const char *name,
                      const char *target, const char *domain, bool from_file)
{
    char *error = check_node_name("node", name);
    size_t len = strlen(target);

    if (!error) {
        error = vtrace_store_check_domain(domain);
    }
    /* ovs-ofctl takes the names of local bridges too. */
    if (!error && (!len || len > 255 || strcspn(target, " \t\r\n") != len
                   || vconn_verify_name(target))) {
        error = xasprintf("node %s: %s is not an OpenFlow target, such as "
                          "tcp:IP:PORT, ssl:IP:PORT or unix:PATH", name,
                          target);
    }
    if (!error) {
        error = vtrace_sql_begin(store, "node");
    }
    if (!error) {
        error = check_change(store, name, target, domain);
        if (!error) {
            error = vtrace_sql_exec(
                store, NULL, "INSERT INTO nodes VALUES (?, ?, ?, ?, '') "
                "ON CONFLICT (name) DO UPDATE SET target = excluded.target, "
                "domain = excluded.domain, from_file = excluded.from_file, "
                "database = ''",
                "sssi", name, target, domain, (int64_t) from_file);
        }
        error = vtrace_sql_end(store, "node", error);
    }
    return error;
}

char *
vtrace_store_check_database(const char *name, const char *target)
{
    size_t end = strlen(target);
    bool ok = end <= 255 && (!end || target[end - 1] != ',');

    ok &= !target[strcspn(target, " \t\r\n")];
    for (const char *p = target; ok && *p; ) {
        size_t len = strcspn(p, ",");
        char *method = xmemdup0(p, len);

        ok = !stream_verify_name(method);
        free(method);
        p += len + (p[len] == ',');
    }
    return (ok ? NULL
            : xasprintf("node %s: %s is not where a database may be, "
                        "unix:PATH, tcp:IP:PORT or ssl:IP:PORT", name,
                        target));
}

char *
vtrace_store_set_database(struct vtrace_store *store, const char *name,
                          const char *target)
{
    char *error = vtrace_store_check_database(name, target);
    int n;

    if (error) {
        return error;
    }
    error = vtrace_sql_begin(store, "node");
    if (error) {
        return error;
    }
    error = vtrace_sql_exec(store, &n, "UPDATE nodes SET database = ? "
                            "WHERE name = ?", "ss", target, name);
    if (!error && !n) {
        error = xasprintf("node %s: no such node", name);
    }
    return vtrace_sql_end(store, "node", error);
}

static char *
remove_node__(struct vtrace_store *store, const char *name)
{
    int64_t used;
    char *error;
    int n;

    error = count_users(store, name, &used);
    if (!error && used) {
        error = xasprintf("node %s: %"PRId64" tasks use it: stop them first",
                          name, used);
    }
    if (!error) {
        error = vtrace_sql_int(store, 0, &used, "SELECT count(*) FROM borders "
                               "WHERE node = ?", "s", name);
    }
    if (!error && used) {
        error = xasprintf("node %s: it has %"PRId64" borders: remove them "
                          "first", name, used);
    }
    if (!error) {
        error = vtrace_sql_exec(store, &n, "DELETE FROM nodes WHERE name = ?",
                                "s", name);
        if (!error && !n) {
            error = xasprintf("node %s: no such node", name);
        }
    }
    return error;
}

char *
vtrace_store_remove_node(struct vtrace_store *store, const char *name)
{
    char *error = vtrace_sql_begin(store, "node");

    if (!error) {
        error = remove_node__(store, name);
        error = vtrace_sql_end(store, "node", error);
    }
    return error;
}

char *
vtrace_store_nodes(struct vtrace_store *store, const char *name,
                   struct vtrace_store_node **nodesp, size_t *n)
{
    size_t allocated = 0;
    sqlite3_stmt *stmt;
    char *error = NULL;
    int rc;

    *nodesp = NULL;
    *n = 0;
    stmt = vtrace_sql_query(store, "SELECT name, target, domain, from_file, "
                            "database FROM nodes WHERE ?1 IS NULL OR name = ?1 "
                            "ORDER BY name", "s", name);
    while (vtrace_sql_next(stmt, &rc)) {
        if (*n >= allocated) {
            *nodesp = x2nrealloc(*nodesp, &allocated, sizeof **nodesp);
        }
        (*nodesp)[(*n)++] = (struct vtrace_store_node) {
            .name = xstrdup(vtrace_sql_text(stmt, 0)),
            .target = xstrdup(vtrace_sql_text(stmt, 1)),
            .domain = xstrdup(vtrace_sql_text(stmt, 2)),
            .from_file = sqlite3_column_int(stmt, 3),
            .database = xstrdup(vtrace_sql_text(stmt, 4)),
        };
    }
    error = vtrace_sql_done(store, stmt, rc);
    if (error) {
        vtrace_store_nodes_destroy(*nodesp, *n);
        *nodesp = NULL;
        *n = 0;
    }
    return error;
}

/* Checks. */

char *
vtrace_store_check(struct vtrace_store *store)
{
    /* Each query finds what must not be. */
    static const struct {
        const char *what;
        const char *sql;
    } checks[] = {
        { "a task without a rule",
          "SELECT id FROM tasks WHERE NOT EXISTS "
          "(SELECT 1 FROM rules WHERE task = id AND direction = 0)" },
        { "a rule that does not fit its task's state",
          "SELECT id FROM tasks JOIN rules ON task = id "
          "AND direction = 0 WHERE NOT CASE tasks.state "
          "WHEN 'new' THEN rules.state = 0 WHEN 'ready' THEN rules.state = 0 "
          "WHEN 'deployed' THEN rules.state = 1 "
          "WHEN 'running' THEN rules.state = 2 "
          "ELSE rules.state IN (3, 4) END" },
        { "a reverse rule of a task that does not run",
          "SELECT id FROM tasks JOIN rules ON task = id AND direction = 1 "
          "WHERE (tasks.state = 'running') <> (rules.state < 3)" },
        { "a rule that may be in a switch for ever",
          "SELECT task FROM rules WHERE state BETWEEN 1 AND 3 "
          "AND ifnull(expires, 0) <= 0" },
        { "a rule without its color",
          "SELECT rules.task FROM rules JOIN nodes ON name = node "
          "LEFT JOIN colors ON colors.domain = nodes.domain "
          "AND colors.color = rules.color "
          "WHERE rules.state < 4 AND (colors.task IS NOT rules.task "
          "OR colors.direction IS NOT rules.direction)" },
        { "a color without its rule",
          "SELECT ifnull(task, 0) FROM colors WHERE task IS NOT NULL "
          "AND NOT EXISTS (SELECT 1 FROM rules "
          "WHERE rules.task = colors.task "
          "AND rules.direction = colors.direction AND state < 4)" },
        { "a map of a color that its task does not have",
          "SELECT maps.task FROM maps "
          "JOIN rules ON rules.task = maps.task "
          "AND rules.direction = maps.direction AND rules.state < 4 "
          "WHERE 2 > (SELECT count(DISTINCT domain) FROM colors "
          "WHERE colors.task = maps.task "
          "AND colors.direction = maps.direction "
          "AND color IN (theirs, maps.color))" },
        { "something saved though it does not run",
          "SELECT task FROM saved WHERE NOT EXISTS "
          "(SELECT 1 FROM tasks WHERE id = task AND state = 'running')" },
        { "a task that lacks the time of a step",
          "SELECT id FROM tasks WHERE CASE state "
          "WHEN 'new' THEN ready WHEN 'ready' THEN deployed "
          "WHEN 'deployed' THEN running ELSE NULL END IS NOT NULL "
          "OR (state = 'running' AND (running IS NULL OR ends IS NULL)) "
          "OR (state IN ('done', 'failed', 'expired')) "
          "   <> (ended IS NOT NULL)" },
    };
    char *error = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(checks) && !error; i++) {
        int64_t id;

        error = vtrace_sql_int(store, -1, &id, checks[i].sql, "");
        if (!error && id >= 0) {
            error = xasprintf("%s: task %"PRId64": %s", store->file, id,
                              checks[i].what);
        }
    }
    return error;
}
