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
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bitmap.h"
#include "jhash.h"
#include "openvswitch/util.h"
#include "packets.h"
#include "util.h"
#include "vtrace/store-sql.h"

/* Tasks are numbered up to this, and the upper half of what fits a cookie is
 * for borders. */
#define MAX_ID ((1u << 30) - 1)

char *
vtrace_store_open(const char *file, uint32_t random,
                  struct vtrace_store **storep)
{
    struct vtrace_store *store = xzalloc(sizeof *store);
    char *error;
    int fd;

    *storep = NULL;
    store->file = xstrdup(file);
    /* Tenants' addresses are in it. */
    fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        error = xasprintf("%s: %s", file, ovs_strerror(errno));
    } else {
        close(fd);
        if (sqlite3_open_v2(file, &store->db, SQLITE_OPEN_READWRITE,
                            NULL) != SQLITE_OK) {
            error = store->db ? vtrace_sql_error(store)
                              : xasprintf("%s: out of memory", file);
        } else {
            error = vtrace_store_open_schema(store, random);
        }
    }
    if (error) {
        vtrace_store_close(store);
    } else {
        *storep = store;
    }
    return error;
}

void
vtrace_store_close(struct vtrace_store *store)
{
    if (store) {
        sqlite3_close(store->db);
        free(store->file);
        free(store);
    }
}

uint64_t
vtrace_store_cookies(const struct vtrace_store *store, uint64_t *mask)
{
    *mask = UINT64_MAX << 32;
    return store->cookies;
}

uint64_t
vtrace_store_cookie(const struct vtrace_store *store, int64_t id,
                    enum vtrace_direction direction)
{
    return store->cookies | (uint64_t) id << 1 | direction;
}

int64_t
vtrace_store_cookie_task(uint64_t cookie, enum vtrace_direction *direction)
{
    *direction = cookie & 1 ? VTRACE_REVERSE : VTRACE_FORWARD;
    return (uint32_t) cookie >> 1;
}

uint64_t
vtrace_store_border_cookie(const struct vtrace_store *store,
                           const struct vtrace_entry *at, const char *target)
{
    /* Not hash.h's: it must be the same after an upgrade. */
    uint32_t hash = jhash_bytes(target, strlen(target), 0);

    hash = jhash_bytes(at->node, strlen(at->node), hash);
    hash = jhash_bytes(at->bridge, strlen(at->bridge), hash);
    hash = jhash_bytes(at->port, strlen(at->port), hash);
    return store->cookies | hash | (MAX_ID + 1) << 1;
}

bool
vtrace_store_cookie_is_border(uint64_t cookie)
{
    return (uint32_t) cookie >> 1 > MAX_ID;
}

/* Checks of what a user gives. */

/* Names are printed in tables and in commands for a shell. */
char *
vtrace_store_check_name(const char *what, const char *name)
{
    if (!*name) {
        return xasprintf("%s: the name is empty", what);
    }
    for (const char *p = name; *p; p++) {
        if (!isalnum((unsigned char) *p) && !strchr("_.-@:", *p)) {
            return xasprintf("%s: only letters, digits and _.-@: can be in a "
                             "name", what);
        }
    }
    return NULL;
}

static char *
check_match(const struct vtrace_match *match)
{
    bool any_src = ipv6_addr_equals(&match->src, &in6addr_any);
    bool any_dst = ipv6_addr_equals(&match->dst, &in6addr_any);

    if (any_src && any_dst) {
        return xstrdup("src and dst: at least one must be given");
    } else if (!any_src && !any_dst
               && IN6_IS_ADDR_V4MAPPED(&match->src)
                  != IN6_IS_ADDR_V4MAPPED(&match->dst)) {
        return xstrdup("src and dst: one is IPv4, the other IPv6");
    } else if ((match->sport || match->dport)
               && match->proto != IPPROTO_TCP && match->proto != IPPROTO_UDP
               && match->proto != IPPROTO_SCTP) {
        return xstrdup("proto: ports are of tcp, udp and sctp only");
    } else if (match->vlan > 4094) {
        return xasprintf("vlan: %"PRIu16" is out of range 1..4094",
                         match->vlan);
    }
    return NULL;
}

char *
vtrace_store_check_entry(const struct vtrace_entry *entry)
{
    char *error = vtrace_store_check_name("node", entry->node);

    if (!error) {
        error = vtrace_store_check_name("bridge", entry->bridge);
    }
    return error ? error : vtrace_store_check_name("port", entry->port);
}

static char *
check_request(const struct vtrace_request *request)
{
    char *error = vtrace_store_check_name("tenant", request->tenant);

    if (!error) {
        error = vtrace_store_check_entry(&request->entry);
    }
    if (!error) {
        error = check_match(&request->match);
    }
    if (error) {
        return error;
    } else if (request->duration < 1000
               || request->duration > VTRACE_STORE_MAX_DURATION) {
        return xasprintf("duration: %g is out of range 1..%d",
                         request->duration / 1e3,
                         VTRACE_STORE_MAX_DURATION / 1000);
    } else if (request->exp < 0 || request->exp > VTRACE_STORE_MAX_EXP) {
        return xasprintf("exp: %d is out of range 0..%d", request->exp,
                         VTRACE_STORE_MAX_EXP);
    } else if (request->inject < 0) {
        return xasprintf("inject: %d is negative", request->inject);
    }
    return NULL;
}

/* ICMP's number depends on the IP version, and users may not care: what is one
 * OpenFlow match must be one match here. */
static struct vtrace_match
normalize(const struct vtrace_match *match)
{
    struct vtrace_match m = *match;
    bool any_src = ipv6_addr_equals(&m.src, &in6addr_any);

    if (m.proto == IPPROTO_ICMP || m.proto == IPPROTO_ICMPV6) {
        m.proto = IN6_IS_ADDR_V4MAPPED(any_src ? &m.dst : &m.src)
                  ? IPPROTO_ICMP : IPPROTO_ICMPV6;
    }
    return m;
}

/* Rules and colors. */

static char *
check_overlap(struct vtrace_store *store, const struct vtrace_entry *entry,
              const struct vtrace_match *match, const char *src,
              const char *dst)
{
    int64_t overlaps;
    char *error;

    error = vtrace_sql_int(
        store, 0, &overlaps,
        "SELECT 1 FROM rules WHERE state < 4 AND node = ? AND bridge = ? "
        "AND port = ? "
        "AND (src = ?4 OR src = '::' OR ?4 = '::') "
        "AND (dst = ?5 OR dst = '::' OR ?5 = '::') "
        "AND (proto = ?6 OR proto = 0 OR ?6 = 0) "
        "AND (sport = ?7 OR sport = 0 OR ?7 = 0) "
        "AND (dport = ?8 OR dport = 0 OR ?8 = 0) "
        "AND (vlan = ?9 OR vlan = 0 OR ?9 = 0) LIMIT 1", "sssssiiii",
        entry->node, entry->bridge, entry->port, src, dst,
        (int64_t) match->proto, (int64_t) match->sport,
        (int64_t) match->dport, (int64_t) match->vlan);
    if (!error && overlaps) {
        error = xasprintf("%s/%s/%s: these packets, or some of them, are "
                          "traced already: wait until that ends, or ask for "
                          "others", entry->node, entry->bridge, entry->port);
    }
    return error;
}

/* Finds a color that nobody has in 'domain'. */
static char *
find_color(struct vtrace_store *store, const char *domain, int64_t now,
           uint32_t random, int64_t *colorp)
{
    unsigned long int taken[BITMAP_N_LONGS(VTRACE_STORE_MAX_COLOR + 1)];
    sqlite3_stmt *stmt;
    char *error;
    int rc;

    /* No color rests longer because the clock was set back. */
    error = vtrace_sql_exec(store, NULL, "DELETE FROM colors "
                            "WHERE free_at <= ?1 OR free_at > ?1 + ?2", "ii",
                            now, (int64_t) VTRACE_STORE_REST_MS);
    if (error) {
        return error;
    }

    memset(taken, 0, sizeof taken);
    stmt = vtrace_sql_query(store, "SELECT color FROM colors WHERE domain = ?",
                            "s", domain);
    while (vtrace_sql_next(stmt, &rc)) {
        bitmap_set1(taken, sqlite3_column_int(stmt, 0)
                           & VTRACE_STORE_MAX_COLOR);
    }
    if (rc != SQLITE_DONE) {
        error = vtrace_sql_error(store);
    }
    sqlite3_finalize(stmt);
    if (error) {
        return error;
    }

    for (size_t i = 0; i < VTRACE_STORE_MAX_COLOR; i++) {
        size_t color = 1 + (random + i) % VTRACE_STORE_MAX_COLOR;

        if (!bitmap_is_set(taken, color)) {
            *colorp = color;
            return NULL;
        }
    }
    return xasprintf("no color is free: try again in %d seconds",
                     VTRACE_STORE_REST_MS / 1000);
}

char *
vtrace_store_take_color(struct vtrace_store *store, const char *domain,
                        int64_t id, enum vtrace_direction direction,
                        int64_t now, uint32_t random, int64_t *colorp)
{
    char *error = find_color(store, domain, now, random, colorp);

    if (!error) {
        error = vtrace_sql_exec(
            store, NULL, "INSERT INTO colors VALUES (?, ?, ?, ?, NULL)",
            "siii", domain, *colorp, id, (int64_t) direction);
    }
    return error;
}

static char *
add_rule(struct vtrace_store *store, int64_t id,
         enum vtrace_direction direction, const char *domain,
         const struct vtrace_entry *entry, const struct vtrace_match *match_,
         int64_t now, uint32_t random)
{
    const struct vtrace_match normal = normalize(match_), *match = &normal;
    char src[INET6_ADDRSTRLEN], dst[INET6_ADDRSTRLEN];
    int64_t color = 0;
    char *error;

    inet_ntop(AF_INET6, &match->src, src, sizeof src);
    inet_ntop(AF_INET6, &match->dst, dst, sizeof dst);
    error = check_overlap(store, entry, match, src, dst);
    if (!error) {
        error = vtrace_store_take_color(store, domain, id, direction, now,
                                        random, &color);
    }
    if (!error) {
        error = vtrace_sql_exec(
            store, NULL, "INSERT INTO rules VALUES "
            "(?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)", "iisssissiiii",
            id, (int64_t) direction, entry->node, entry->bridge, entry->port,
            (int64_t) match->proto, src, dst, (int64_t) match->sport,
            (int64_t) match->dport, (int64_t) match->vlan, color);
    }
    if (!error) {
        error = vtrace_store_add_maps(store, id, direction, domain, now,
                                      random);
    }
    return error;
}

/* Marks rules as gone that 'where' selects, a condition on "rules.", and lets
 * their colors rest from "at", an expression, on. */
static char *
rules_gone(struct vtrace_store *store, const char *at, const char *where,
           const char *format, int64_t a, int64_t b)
{
    char *error, *sql;

    sql = xasprintf("UPDATE colors SET task = NULL, direction = NULL, "
                    "free_at = (SELECT %s FROM rules "
                    "WHERE rules.task = colors.task "
                    "AND rules.direction = colors.direction) + %d "
                    "WHERE (task, direction) IN "
                    "(SELECT task, direction FROM rules WHERE %s)",
                    at, VTRACE_STORE_REST_MS, where);
    error = vtrace_sql_exec(store, NULL, sql, format, a, b);
    free(sql);
    if (!error) {
        sql = xasprintf("UPDATE rules SET state = 4 WHERE %s", where);
        error = vtrace_sql_exec(store, NULL, sql, format, a, b);
        free(sql);
    }
    return error;
}

/* Steps. */

static char *
check_quota(struct vtrace_store *store, const char *tenant,
            const struct vtrace_quota *quota)
{
    int64_t n;
    char *error;

    /* A task whose rule may still be there counts too. */
    error = vtrace_sql_int(store, 0, &n,
                           "SELECT count(DISTINCT tasks.id) "
                           "FROM tasks JOIN rules ON rules.task = tasks.id "
                           "WHERE tenant = ? AND rules.state < 4", "s",
                           tenant);
    if (!error && n >= quota->max_tasks) {
        error = xasprintf("tenant %s: %"PRId64" tasks are running, and no "
                          "more than %d may: stop one, or wait", tenant, n,
                          quota->max_tasks);
    }
    return error;
}

static char *
forget_old_tasks(struct vtrace_store *store, const char *tenant, int max_kept)
{
    return vtrace_sql_exec(
        store, NULL, "DELETE FROM tasks WHERE id IN ("
        "SELECT id FROM tasks WHERE tenant = ? "
        "AND state IN ('done', 'failed', 'expired') "
        "AND NOT EXISTS (SELECT 1 FROM rules "
        "                WHERE task = id AND rules.state < 4) "
        "ORDER BY id DESC LIMIT -1 OFFSET ?)", "si", tenant,
        (int64_t) max_kept);
}

char *
vtrace_store_node_domain(struct vtrace_store *store, const char *name,
                         char **domain)
{
    struct vtrace_store_node *nodes;
    char *error;
    size_t n;

    *domain = NULL;
    error = vtrace_store_nodes(store, name, &nodes, &n);
    if (error) {
        return error;
    }
    if (n) {
        *domain = xstrdup(nodes[0].domain);
    } else {
        error = xasprintf("node %s: no such node; \"vtrace nodes\" lists them",
                          name);
    }
    vtrace_store_nodes_destroy(nodes, n);
    return error;
}

static char *
create__(struct vtrace_store *store, const struct vtrace_request *request,
         const struct vtrace_quota *quota, int64_t now, uint32_t random,
         int64_t *id)
{
    char *domain = NULL;
    char *error;

    error = check_quota(store, request->tenant, quota);
    if (!error) {
        error = vtrace_store_node_domain(store, request->entry.node,
                                         &domain);
    }
    if (!error) {
        error = forget_old_tasks(store, request->tenant, quota->max_kept);
    }
    if (!error) {
        error = vtrace_sql_exec(
            store, NULL, "INSERT INTO tasks (tenant, domain, state, duration, "
            "exp, both, inject, created, src_mac, dst_mac) "
            "VALUES (?, ?, 'new', ?, ?, ?, ?, ?, ?, ?)",
            "ssiiiiiii", request->tenant, domain, request->duration,
            (int64_t) request->exp, (int64_t) request->both,
            (int64_t) request->inject, now,
            (int64_t) eth_addr_to_uint64(request->src_mac),
            (int64_t) eth_addr_to_uint64(request->dst_mac));
    }
    if (!error) {
        *id = sqlite3_last_insert_rowid(store->db);
        if (*id > MAX_ID) {
            error = xstrdup("no task number is left: begin a new store");
        }
    }
    if (!error) {
        error = add_rule(store, *id, VTRACE_FORWARD, domain, &request->entry,
                         &request->match, now, random);
    }
    free(domain);
    return error;
}

char *
vtrace_store_create(struct vtrace_store *store,
                    const struct vtrace_request *request,
                    const struct vtrace_quota *quota, int64_t now,
                    uint32_t random, int64_t *id)
{
    char *error = check_request(request);

    if (!error) {
        error = vtrace_sql_begin(store, "new");
    }
    if (!error) {
        error = create__(store, request, quota, now, random, id);
        error = vtrace_sql_end(store, "new", error);
    }
    return error;
}

/* Reads the state of task 'id'. */
static char *
get_state(struct vtrace_store *store, int64_t id, enum vtrace_state *state)
{
    sqlite3_stmt *stmt;
    char *error = NULL;

    stmt = vtrace_sql_query(store, "SELECT state FROM tasks WHERE id = ?", "i",
                            id);
    switch (stmt ? sqlite3_step(stmt) : SQLITE_ERROR) {
    case SQLITE_ROW:
        if (!vtrace_state_from_string(vtrace_sql_text(stmt, 0), state)) {
            error = xasprintf("task %"PRId64": %s is not a state", id,
                              vtrace_sql_text(stmt, 0));
        }
        break;
    case SQLITE_DONE:
        error = xasprintf("%"PRId64": no such task", id);
        break;
    default:
        error = vtrace_sql_error(store);
    }
    sqlite3_finalize(stmt);
    return error;
}

/* Takes task 'id' to 'state' in a transaction that is under way, and notes
 * when.  Sets '*taken' to false if the task is there already. */
static char *
take_step(struct vtrace_store *store, int64_t id, enum vtrace_state state,
          int64_t now, bool *taken)
{
    const char *name = vtrace_state_to_string(state);
    enum vtrace_state old;
    char *error, *sql;

    *taken = false;
    error = get_state(store, id, &old);
    if (error || old == state) {
        return error;
    } else if (vtrace_state_is_end(old)
               || (!vtrace_state_is_end(state) && old + 1 != state)
               || (state == VTRACE_DONE && old != VTRACE_RUNNING)) {
        return xasprintf("task %"PRId64": %s, cannot become %s", id,
                         vtrace_state_to_string(old), name);
    }
    sql = xasprintf("UPDATE tasks SET state = ?, %s = ? WHERE id = ?",
                    vtrace_state_is_end(state) ? "ended" : name);
    error = vtrace_sql_exec(store, NULL, sql, "sii", name, now, id);
    free(sql);
    *taken = !error;
    return error;
}

char *
vtrace_store_ready(struct vtrace_store *store, int64_t id, int64_t now)
{
    char *error = vtrace_sql_begin(store, "ready");
    bool taken;

    if (!error) {
        error = take_step(store, id, VTRACE_READY, now, &taken);
        error = vtrace_sql_end(store, "ready", error);
    }
    return error;
}

/* Moves a rule on to 'state' if it is in an earlier one. */
static char *
advance_rule(struct vtrace_store *store, int64_t id,
             enum vtrace_direction direction, enum vtrace_rule_state from,
             enum vtrace_rule_state state, int64_t expires)
{
    char *error;
    int n;

    error = vtrace_sql_exec(store, &n,
                            "UPDATE rules SET state = ?3, "
                            "expires = max(ifnull(expires, 0), ?4) "
                            "WHERE task = ?1 AND direction = ?2 "
                            "AND state IN (?5, ?3)", "iiiii", id,
                            (int64_t) direction, (int64_t) state, expires,
                            (int64_t) from);
    if (!error && n != 1) {
        error = xasprintf("task %"PRId64": its rule is not in the state for "
                          "this step", id);
    }
    return error;
}

char *
vtrace_store_deploy(struct vtrace_store *store, int64_t id,
                    enum vtrace_direction direction, int64_t expires,
                    int64_t now)
{
    char *error = vtrace_sql_begin(store, "deployed");
    bool taken;

    if (!error) {
        if (direction == VTRACE_FORWARD) {
            error = take_step(store, id, VTRACE_DEPLOYED, now, &taken);
        }
        if (!error) {
            error = advance_rule(store, id, direction, VTRACE_RULE_WANTED,
                                 VTRACE_RULE_SENT, expires);
        }
        error = vtrace_sql_end(store, "deployed", error);
    }
    return error;
}

char *
vtrace_store_installed(struct vtrace_store *store, int64_t id,
                       enum vtrace_direction direction, int64_t now)
{
    char *error = vtrace_sql_begin(store, "running");
    bool taken = false;

    if (!error) {
        if (direction == VTRACE_FORWARD) {
            error = take_step(store, id, VTRACE_RUNNING, now, &taken);
        }
        if (!error) {
            error = advance_rule(store, id, direction, VTRACE_RULE_SENT,
                                 VTRACE_RULE_INSTALLED, 0);
        }
        if (!error && taken) {
            error = vtrace_sql_exec(store, NULL, "UPDATE tasks "
                                    "SET ends = running + duration "
                                    "WHERE id = ?", "i", id);
        }
        error = vtrace_sql_end(store, "running", error);
    }
    return error;
}

static char *
add_reverse__(struct vtrace_store *store, int64_t id,
              const struct vtrace_entry *entry,
              const struct vtrace_match *match, int64_t now, uint32_t random)
{
    enum vtrace_state state;
    char *domain = NULL;
    int64_t n;
    char *error;

    error = get_state(store, id, &state);
    if (!error && state != VTRACE_RUNNING) {
        error = xasprintf("task %"PRId64": not running", id);
    }
    if (!error) {
        error = vtrace_sql_int(store, 0, &n, "SELECT count(*) FROM rules "
                               "WHERE task = ? AND direction = 1", "i", id);
    }
    if (error || n) {
        return error;
    }
    error = vtrace_store_node_domain(store, entry->node, &domain);
    if (!error) {
        error = add_rule(store, id, VTRACE_REVERSE, domain, entry, match, now,
                         random);
    }
    free(domain);
    return error;
}

char *
vtrace_store_add_reverse(struct vtrace_store *store, int64_t id,
                         const struct vtrace_entry *entry,
                         const struct vtrace_match *match, int64_t now,
                         uint32_t random)
{
    char *error = vtrace_store_check_entry(entry);

    if (!error) {
        error = check_match(match);
    }
    if (!error) {
        error = vtrace_sql_begin(store, "reverse");
    }
    if (!error) {
        error = add_reverse__(store, id, entry, match, now, random);
        error = vtrace_sql_end(store, "reverse", error);
    }
    return error;
}

/* Ends a task in a transaction that is under way. */
static char *
end__(struct vtrace_store *store, int64_t id, enum vtrace_state state,
      const char *reason, const char *result, int64_t now)
{
    enum vtrace_state old;
    char *error;
    bool taken;

    error = get_state(store, id, &old);
    if (error || vtrace_state_is_end(old)) {
        return error;
    }
    error = take_step(store, id, state, now, &taken);
    if (!error) {
        error = vtrace_sql_exec(store, NULL, "UPDATE tasks SET reason = ?, "
                                "result = ? WHERE id = ?", "ssi", reason,
                                result, id);
    }
    if (!error) {
        error = vtrace_sql_exec(store, NULL, "DELETE FROM saved "
                                "WHERE task = ?", "i", id);
    }
    if (!error) {
        /* No switch has seen these. */
        error = rules_gone(store, "?2", "rules.task = ?1 "
                           "AND rules.state = 0", "ii", id, now);
    }
    if (!error) {
        error = vtrace_sql_exec(store, NULL, "UPDATE rules SET state = 3 "
                                "WHERE task = ? AND state IN (1, 2)", "i", id);
    }
    return error;
}

char *
vtrace_store_end(struct vtrace_store *store, int64_t id,
                 enum vtrace_state state, const char *reason,
                 const char *result, int64_t now)
{
    const char *step = vtrace_state_to_string(state);
    char *error;

    ovs_assert(vtrace_state_is_end(state));
    error = vtrace_sql_begin(store, step);
    if (!error) {
        error = end__(store, id, state, reason, result, now);
        error = vtrace_sql_end(store, step, error);
    }
    return error;
}

/* What is saved has little value: it is not worth to wait for the disk, as for
 * steps.  The next step has it written, too. */
static char *
set_synchronous(struct vtrace_store *store, const char *level)
{
    char *sql = xasprintf("PRAGMA synchronous = %s", level);
    char *error = vtrace_sql_exec(store, NULL, sql, "");

    free(sql);
    return error;
}

static char *
save__(struct vtrace_store *store, const struct vtrace_store_saved *saved,
       size_t n, int64_t now)
{
    char *error = vtrace_sql_begin(store, "save");

    if (error) {
        return error;
    }
    for (size_t i = 0; i < n && !error; i++) {
        error = vtrace_sql_exec(
            store, NULL, "INSERT INTO saved SELECT id, ?2, ?3 FROM tasks "
            "WHERE id = ?1 AND state = 'running' ON CONFLICT (task) "
            "DO UPDATE SET at = excluded.at, result = excluded.result", "iis",
            saved[i].id, now, saved[i].result);
    }
    return vtrace_sql_end(store, "save", error);
}

char *
vtrace_store_save(struct vtrace_store *store,
                  const struct vtrace_store_saved *saved, size_t n,
                  int64_t now)
{
    char *error = set_synchronous(store, "NORMAL");
    char *full;

    if (!error) {
        error = save__(store, saved, n, now);
    }
    full = set_synchronous(store, "FULL");
    if (error) {
        free(full);
        return error;
    }
    return full;
}

char *
vtrace_store_rule_gone(struct vtrace_store *store, int64_t id,
                       enum vtrace_direction direction, int64_t now)
{
    const char *where = direction == VTRACE_FORWARD
        ? "rules.task = ?1 AND rules.direction = 0 AND rules.state = 3"
        : "rules.task = ?1 AND rules.direction = 1 AND rules.state = 3";
    char *error = vtrace_sql_begin(store, "gone");

    if (!error) {
        error = rules_gone(store, "?2", where, "ii", id, now);
        error = vtrace_sql_end(store, "gone", error);
    }
    return error;
}

/* A task that was created in the future tells that the clock was set back, and
 * must not wait until then. */
static char *
expire_tasks(struct vtrace_store *store, int64_t now)
{
    char *error;
    int64_t id;

    do {
        error = vtrace_sql_int(
            store, 0, &id, "SELECT id FROM tasks "
            "WHERE state IN ('new', 'ready', 'deployed') "
            "AND created NOT BETWEEN ?1 - ?2 AND ?1 + ?2 LIMIT 1", "ii", now,
            (int64_t) VTRACE_STORE_START_MS);
        if (!error && id) {
            error = end__(store, id, VTRACE_EXPIRED,
                          "not running in time: its node or its collector did "
                          "not answer", NULL, now);
        }
    } while (!error && id);
    return error;
}

char *
vtrace_store_run(struct vtrace_store *store, int64_t now)
{
    int64_t due;
    char *error;

    /* Most of the time there is nothing to write. */
    error = vtrace_sql_int(
        store, 0, &due, "SELECT EXISTS (SELECT 1 FROM tasks WHERE state IN "
        "('new', 'ready', 'deployed') "
        "AND created NOT BETWEEN ?1 - ?2 AND ?1 + ?2) "
        "OR EXISTS (SELECT 1 FROM rules WHERE state = 3 AND expires <= ?1)",
        "ii", now, (int64_t) VTRACE_STORE_START_MS);
    if (error || !due) {
        return error;
    }
    error = vtrace_sql_begin(store, "run");
    if (!error) {
        error = expire_tasks(store, now);
        if (!error) {
            error = rules_gone(store, "min(expires, ?1)", "rules.state = 3 "
                               "AND rules.expires <= ?1", "i", now, 0);
        }
        error = vtrace_sql_end(store, "run", error);
    }
    return error;
}
