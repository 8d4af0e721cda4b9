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

#include <stdarg.h>
#include <stdlib.h>

#include "openvswitch/dynamic-string.h"
#include "openvswitch/util.h"
#include "util.h"
#include "vtrace/fault.h"

/* A process that has the database open, an operator's sqlite3 for instance,
 * may delay us so long before a step fails. */
#define BUSY_MS 5000

/* What begins a store: an "application_id" that tells it from other databases,
 * and the steps that lead from each version of the schema to the next.  A step
 * that was released is never changed. */
#define APPLICATION_ID 0x56547263

static const char *const schema_steps[] = {
    /* 0 to 1. */
    "CREATE TABLE store (\n"
    "  only INTEGER PRIMARY KEY CHECK (only = 0),\n"
    "  cookies INTEGER NOT NULL);\n"

    "CREATE TABLE nodes (\n"
    "  name TEXT PRIMARY KEY NOT NULL,\n"
    "  target TEXT NOT NULL,\n"
    "  domain TEXT NOT NULL,\n"
    "  from_file INTEGER NOT NULL) WITHOUT ROWID;\n"

    "CREATE TABLE steps (\n"
    "  old TEXT NOT NULL, new TEXT NOT NULL,\n"
    "  PRIMARY KEY (old, new)) WITHOUT ROWID;\n"
    "INSERT INTO steps VALUES\n"
    "  ('new', 'ready'), ('ready', 'deployed'), ('deployed', 'running'),\n"
    "  ('running', 'done'),\n"
    "  ('new', 'failed'), ('ready', 'failed'), ('deployed', 'failed'),\n"
    "  ('running', 'failed'),\n"
    "  ('new', 'expired'), ('ready', 'expired'), ('deployed', 'expired'),\n"
    "  ('running', 'expired');\n"

    "CREATE TABLE tasks (\n"
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,\n"
    "  tenant TEXT NOT NULL,\n"
    "  domain TEXT NOT NULL,\n"
    "  state TEXT NOT NULL,\n"
    "  duration INTEGER NOT NULL, exp INTEGER NOT NULL,\n"
    "  both INTEGER NOT NULL, inject INTEGER NOT NULL,\n"
    "  created INTEGER NOT NULL,\n"
    "  ready INTEGER, deployed INTEGER, running INTEGER, ended INTEGER,\n"
    "  ends INTEGER,\n"
    "  reason TEXT, result TEXT);\n"
    "CREATE INDEX tasks_tenant ON tasks (tenant);\n"
    "CREATE INDEX tasks_unended ON tasks (state)\n"
    "  WHERE state IN ('new', 'ready', 'deployed', 'running');\n"
    "CREATE TRIGGER tasks_begin BEFORE INSERT ON tasks\n"
    "  WHEN NEW.state <> 'new'\n"
    "  BEGIN SELECT RAISE(ABORT, 'a task begins as new'); END;\n"
    "CREATE TRIGGER tasks_step BEFORE UPDATE OF state ON tasks\n"
    "  WHEN NOT EXISTS (SELECT 1 FROM steps\n"
    "                   WHERE old = OLD.state AND new = NEW.state)\n"
    "  BEGIN SELECT RAISE(ABORT, 'not a step of the handshake'); END;\n"

    "CREATE TABLE rules (\n"
    "  task INTEGER NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,\n"
    "  direction INTEGER NOT NULL,\n"
    "  state INTEGER NOT NULL,\n"
    "  node TEXT NOT NULL, bridge TEXT NOT NULL, port TEXT NOT NULL,\n"
    "  proto INTEGER NOT NULL, src TEXT NOT NULL, dst TEXT NOT NULL,\n"
    "  sport INTEGER NOT NULL, dport INTEGER NOT NULL,\n"
    "  vlan INTEGER NOT NULL,\n"
    "  color INTEGER NOT NULL,\n"
    "  expires INTEGER,\n"
    "  PRIMARY KEY (task, direction)) WITHOUT ROWID;\n"
    "CREATE INDEX rules_entry ON rules (node, bridge, port)\n"
    "  WHERE state < 4;\n"
    "CREATE TRIGGER rules_sent BEFORE UPDATE OF state ON rules\n"
    "  WHEN NEW.state IN (1, 2)\n"
    "       AND (SELECT state FROM tasks WHERE id = NEW.task)\n"
    "           NOT IN ('deployed', 'running')\n"
    "  BEGIN SELECT RAISE(ABORT, 'not a step of the handshake'); END;\n"
    "CREATE TRIGGER rules_back BEFORE UPDATE OF state ON rules\n"
    "  WHEN NEW.state < OLD.state\n"
    "  BEGIN SELECT RAISE(ABORT, 'not a step of the handshake'); END;\n"

    "CREATE TABLE colors (\n"
    "  domain TEXT NOT NULL,\n"
    "  color INTEGER NOT NULL CHECK (color BETWEEN 1 AND 4095),\n"
    "  task INTEGER, direction INTEGER,\n"
    "  free_at INTEGER,\n"
    "  PRIMARY KEY (domain, color),\n"
    "  CHECK ((task IS NULL) = (free_at IS NOT NULL))) WITHOUT ROWID;\n",

    /* 1 to 2: Ethernet addresses of injected packets, as numbers. */
    "ALTER TABLE tasks ADD COLUMN src_mac INTEGER NOT NULL DEFAULT 0;\n"
    "ALTER TABLE tasks ADD COLUMN dst_mac INTEGER NOT NULL DEFAULT 0;\n",

    /* 2 to 3. */
    "ALTER TABLE nodes ADD COLUMN database TEXT NOT NULL DEFAULT '';\n"

    "CREATE TABLE borders (\n"
    "  node TEXT NOT NULL, bridge TEXT NOT NULL, port TEXT NOT NULL,\n"
    "  domain TEXT NOT NULL,\n"
    "  from_file INTEGER NOT NULL,\n"
    "  PRIMARY KEY (node, bridge, port)) WITHOUT ROWID;\n"

    "CREATE TABLE maps (\n"
    "  task INTEGER NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,\n"
    "  direction INTEGER NOT NULL,\n"
    "  number INTEGER NOT NULL,\n"
    "  node TEXT NOT NULL, bridge TEXT NOT NULL, port TEXT NOT NULL,\n"
    "  theirs INTEGER NOT NULL, color INTEGER NOT NULL,\n"
    "  PRIMARY KEY (task, direction, number)) WITHOUT ROWID;\n",

    /* 3 to 4: bridges with borders, also when these are removed, since their
     * rules may be left where a switch was away. */
    "CREATE TABLE border_bridges (\n"
    "  node TEXT NOT NULL, bridge TEXT NOT NULL,\n"
    "  PRIMARY KEY (node, bridge)) WITHOUT ROWID;\n"
    "INSERT INTO border_bridges SELECT DISTINCT node, bridge FROM borders;\n"
    "CREATE TRIGGER borders_add AFTER INSERT ON borders\n"
    "BEGIN\n"
    "  INSERT OR IGNORE INTO border_bridges VALUES (NEW.node, NEW.bridge);\n"
    "END;\n",

    /* 4 to 5: what running tasks have seen so far. */
    "CREATE TABLE saved (\n"
    "  task INTEGER PRIMARY KEY NOT NULL\n"
    "    REFERENCES tasks (id) ON DELETE CASCADE,\n"
    "  at INTEGER NOT NULL,\n"
    "  result TEXT NOT NULL);\n",
};

static char *
store_error(struct vtrace_store *store, const char *what)
{
    return xasprintf("%s: %s", store->file, what);
}

char *
vtrace_sql_error(struct vtrace_store *store)
{
    return store_error(store, sqlite3_errmsg(store->db));
}

static sqlite3_stmt *
query_valist(struct vtrace_store *store, const char *sql, const char *format,
             va_list *args)
{
    sqlite3_stmt *stmt;

    if (sqlite3_prepare_v2(store->db, sql, -1, &stmt, NULL) != SQLITE_OK) {
        return NULL;
    }
    for (int i = 1; *format; i++, format++) {
        if (*format == 'i') {
            sqlite3_bind_int64(stmt, i, va_arg(*args, int64_t));
        } else {
            ovs_assert(*format == 's');
            sqlite3_bind_text(stmt, i, va_arg(*args, const char *), -1,
                              SQLITE_TRANSIENT);
        }
    }
    return stmt;
}

sqlite3_stmt *
vtrace_sql_query(struct vtrace_store *store, const char *sql,
                 const char *format, ...)
{
    sqlite3_stmt *stmt;
    va_list args;

    va_start(args, format);
    stmt = query_valist(store, sql, format, &args);
    va_end(args);
    return stmt;
}

char *
vtrace_sql_done(struct vtrace_store *store, sqlite3_stmt *stmt, int rc)
{
    char *error = rc == SQLITE_DONE ? NULL : vtrace_sql_error(store);

    sqlite3_finalize(stmt);
    return error;
}

char *
vtrace_sql_exec(struct vtrace_store *store, int *changes, const char *sql,
                const char *format, ...)
{
    sqlite3_stmt *stmt;
    char *error = NULL;
    va_list args;

    va_start(args, format);
    stmt = query_valist(store, sql, format, &args);
    va_end(args);
    if (!stmt || sqlite3_step(stmt) != SQLITE_DONE) {
        error = vtrace_sql_error(store);
    } else if (changes) {
        *changes = sqlite3_changes(store->db);
    }
    sqlite3_finalize(stmt);
    return error;
}

char *
vtrace_sql_int(struct vtrace_store *store, int64_t missing, int64_t *value,
               const char *sql, const char *format, ...)
{
    sqlite3_stmt *stmt;
    char *error = NULL;
    va_list args;

    va_start(args, format);
    stmt = query_valist(store, sql, format, &args);
    va_end(args);
    *value = missing;
    switch (stmt ? sqlite3_step(stmt) : SQLITE_ERROR) {
    case SQLITE_ROW:
        *value = sqlite3_column_int64(stmt, 0);
        break;
    case SQLITE_DONE:
        break;
    default:
        error = vtrace_sql_error(store);
    }
    sqlite3_finalize(stmt);
    return error;
}

const char *
vtrace_sql_text(sqlite3_stmt *stmt, int column)
{
    const unsigned char *text = sqlite3_column_text(stmt, column);

    return text ? (const char *) text : "";
}

static void
fault(const char *step, const char *where)
{
    char point[64];

    snprintf(point, sizeof point, "%s:%s", step, where);
    vtrace_fault(point);
}

char *
vtrace_sql_begin(struct vtrace_store *store, const char *step)
{
    fault(step, "begin");
    return vtrace_sql_exec(store, NULL, "BEGIN IMMEDIATE", "");
}

char *
vtrace_sql_end(struct vtrace_store *store, const char *step, char *error)
{
    if (!error) {
        fault(step, "write");
        error = vtrace_sql_exec(store, NULL, "COMMIT", "");
        if (!error) {
            fault(step, "commit");
            return NULL;
        }
    }
    /* SQLite may have rolled back already. */
    if (!sqlite3_get_autocommit(store->db)) {
        free(vtrace_sql_exec(store, NULL, "ROLLBACK", ""));
    }
    return error;
}

/* Opening. */

static char *
upgrade(struct vtrace_store *store, int64_t version)
{
    struct ds sql = DS_EMPTY_INITIALIZER;
    char *error = NULL;

    for (size_t i = version; i < ARRAY_SIZE(schema_steps); i++) {
        ds_put_cstr(&sql, schema_steps[i]);
    }
    ds_put_format(&sql, "PRAGMA application_id = %d;"
                  "PRAGMA user_version = %"PRIuSIZE";",
                  APPLICATION_ID, ARRAY_SIZE(schema_steps));
    if (sqlite3_exec(store->db, ds_cstr(&sql), NULL, NULL, NULL)
        != SQLITE_OK) {
        error = vtrace_sql_error(store);
    }
    ds_destroy(&sql);
    return error;
}

/* Refuses a database that is not ours, before anything is written to it, and
 * sets '*version' to that of its schema, 0 if it is empty. */
static char *
check_owner(struct vtrace_store *store, int64_t *version)
{
    int64_t application, tables;
    char *error;

    error = vtrace_sql_int(store, 0, &application, "PRAGMA application_id",
                           "");
    if (!error) {
        error = vtrace_sql_int(store, 0, version, "PRAGMA user_version", "");
    }
    if (!error) {
        error = vtrace_sql_int(store, 0, &tables,
                               "SELECT count(*) FROM sqlite_master", "");
    }
    if (error) {
        return error;
    }

    if (application != APPLICATION_ID && (application || *version || tables)) {
        return store_error(store, "a database of another program: name "
                           "another file for the task store");
    } else if (*version < 0 || *version > ARRAY_SIZE(schema_steps)) {
        return xasprintf("%s: schema version %"PRId64" is of a newer vtraced, "
                         "this one knows %"PRIuSIZE": use the newer one, or "
                         "another file", store->file, *version,
                         ARRAY_SIZE(schema_steps));
    }
    return NULL;
}

char *
vtrace_store_open_schema(struct vtrace_store *store, uint32_t random)
{
    int64_t version, cookies, maps;
    char *error;

    sqlite3_busy_timeout(store->db, BUSY_MS);
    /* What is committed survives a power failure too: there are few steps,
     * and a user was told of most of them. */
    error = vtrace_sql_exec(store, NULL, "PRAGMA synchronous = FULL", "");
    if (!error) {
        error = check_owner(store, &version);
    }
    if (!error) {
        error = vtrace_sql_exec(store, NULL, "PRAGMA foreign_keys = ON", "");
    }
    if (!error && sqlite3_exec(store->db, "PRAGMA journal_mode = WAL",
                               NULL, NULL, NULL) != SQLITE_OK) {
        error = vtrace_sql_error(store);
    }
    if (!error) {
        error = vtrace_sql_begin(store, "open");
    }
    if (error) {
        return error;
    }

    /* Somebody else may have been faster. */
    error = check_owner(store, &version);
    if (!error && version < ARRAY_SIZE(schema_steps)) {
        error = upgrade(store, version);
    }
    if (!error) {
        error = vtrace_sql_exec(store, NULL,
                                "INSERT INTO store SELECT 0, ? WHERE NOT "
                                "EXISTS (SELECT 1 FROM store)", "i",
                                (int64_t) (random & UINT16_MAX));
    }
    if (!error) {
        error = vtrace_sql_int(store, 0, &cookies,
                               "SELECT cookies FROM store", "");
    }
    if (!error) {
        error = vtrace_sql_int(store, 0, &maps,
                               "SELECT EXISTS (SELECT 1 FROM maps)", "");
    }
    error = vtrace_sql_end(store, "open", error);
    if (!error) {
        /* "VT", the store, and the task and direction below. */
        store->cookies = UINT64_C(0x5654) << 48
                         | (uint64_t) (cookies & UINT16_MAX) << 32;
        store->has_maps = maps;
    }
    return error;
}
