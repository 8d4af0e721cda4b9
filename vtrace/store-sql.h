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

#ifndef VTRACE_STORE_SQL_H
#define VTRACE_STORE_SQL_H 1

/* The few ways in which the store talks to SQLite.  Private to the store. */

#include <sqlite3.h>
#include "vtrace/store.h"

struct vtrace_store {
    sqlite3 *db;
    char *file;
    uint64_t cookies;           /* High half of our rules' cookies. */
    bool has_maps;              /* There may be rows in "maps". */
};

/* Values for the '?' of a statement follow 'format', with one letter for each:
 * "i" int64_t, "s" const char * (or NULL). */

/* Returns a statement ready to be stepped, for sqlite3_finalize(), or NULL. */
sqlite3_stmt *vtrace_sql_query(struct vtrace_store *, const char *sql,
                               const char *format, ...);

/* Steps to the next row of 'stmt', which may be NULL.  Returns true if there is
 * one, else vtrace_sql_done() is to follow. */
static inline bool
vtrace_sql_next(sqlite3_stmt *stmt, int *rc)
{
    *rc = stmt ? sqlite3_step(stmt) : SQLITE_ERROR;
    return *rc == SQLITE_ROW;
}

/* Finalizes 'stmt'.  Returns NULL if all rows were read, else an error
 * message. */
char *vtrace_sql_done(struct vtrace_store *, sqlite3_stmt *stmt, int rc);

/* Executes 'sql', which returns no rows, and sets '*changes', if not NULL, to
 * the number of rows that it changed.  Returns an error message or NULL. */
char *vtrace_sql_exec(struct vtrace_store *, int *changes, const char *sql,
                      const char *format, ...);

/* Returns in '*value' the integer that 'sql' yields, or 'missing' if it yields
 * no row. */
char *vtrace_sql_int(struct vtrace_store *, int64_t missing, int64_t *value,
                     const char *sql, const char *format, ...);

/* Returns a message about the last error of the database. */
char *vtrace_sql_error(struct vtrace_store *);

/* A transaction that writes, for the step 'step'.  Fault points are
 * "STEP:begin", "STEP:write" (written, not committed) and "STEP:commit".
 * vtrace_sql_end() commits if 'error' is NULL, otherwise takes all back and
 * returns 'error'. */
char *vtrace_sql_begin(struct vtrace_store *, const char *step);
char *vtrace_sql_end(struct vtrace_store *, const char *step, char *error);

/* Text in a column, owned by the statement, never NULL. */
const char *vtrace_sql_text(sqlite3_stmt *, int column);

/* Parts that the files of the store share. */
char *vtrace_store_check_entry(const struct vtrace_entry *);
char *vtrace_store_check_domain(const char *);
char *vtrace_store_node_domain(struct vtrace_store *, const char *name,
                               char **domain);

/* Gives 'direction' of task 'id' a color that nobody has in 'domain', in a
 * transaction that is under way.  The first one to be tried follows from
 * 'random'. */
char *vtrace_store_take_color(struct vtrace_store *, const char *domain,
                              int64_t id, enum vtrace_direction,
                              int64_t now, uint32_t random, int64_t *colorp);

/* Gives 'direction' of task 'id', which enters in 'domain', a color in each
 * domain that borders lead to from there, and what maps them to each other, in
 * a transaction that is under way. */
char *vtrace_store_add_maps(struct vtrace_store *, int64_t id,
                            enum vtrace_direction, const char *domain,
                            int64_t now, uint32_t random);

/* Adds its maps to a rule of task 'id'. */
char *vtrace_store_load_maps(struct vtrace_store *, int64_t id,
                             struct vtrace_rule *);
char *vtrace_store_open_schema(struct vtrace_store *, uint32_t random);
uint64_t vtrace_store_cookie(const struct vtrace_store *, int64_t id,
                             enum vtrace_direction);
bool vtrace_state_from_string(const char *, enum vtrace_state *);

#endif /* vtrace/store-sql.h */
