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

/* The task store: its file, earlier versions of it, and what it remembers of
 * bridges. */

#include <config.h>
#include "unit.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "packets.h"
#include "sset.h"
#include "util.h"
#include "vtrace-store-fixture.h"
#include "vtrace/store.h"

static struct vtrace_entry
border_at(const char *node)
{
    struct vtrace_entry at = { .bridge = "br-x", .port = "tun0" };

    ovs_strlcpy(at.node, node, sizeof at.node);
    return at;
}

static void
add_border(const char *node, const char *domain)
{
    struct vtrace_entry at = border_at(node);

    OK(vtrace_store_add_border(store, &at, domain, false));
}

static void
exec_sql(const char *sql)
{
    sqlite3 *db;

    vtrace_store_close(store);
    store = NULL;
    ck_assert_int_eq(sqlite3_open(store_file, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* Returns the version of the schema, before exec_sql(). */
static int
get_version(void)
{
    sqlite3_stmt *stmt;
    sqlite3 *db;
    int version;

    ck_assert_int_eq(sqlite3_open(store_file, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &stmt,
                                        NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(stmt), SQLITE_ROW);
    version = sqlite3_column_int(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return version;
}

START_TEST(files)
{
    int version = get_version();
    struct vtrace_store *other;

    store_check_error(vtrace_store_open("/nonexistent/store", 0, &other),
                "No such file");
    ck_assert_ptr_null(other);

    exec_sql("PRAGMA user_version = 99");
    store_check_error(vtrace_store_open(store_file, 0, &other),
                      "newer vtraced");
    char *sql = xasprintf("PRAGMA user_version = %d; "
                          "PRAGMA application_id = 7", version);
    exec_sql(sql);
    free(sql);
    store_check_error(vtrace_store_open(store_file, 0, &other),
                      "another program");
    exec_sql("PRAGMA application_id = 1448374883");
    store_reopen();
}
END_TEST

/* Makes a store what the first version made of it. */
static void
downgrade(void)
{
    exec_sql("ALTER TABLE tasks DROP COLUMN src_mac; "
             "ALTER TABLE tasks DROP COLUMN dst_mac; "
             "DROP TABLE border_bridges; DROP TABLE saved; "
             "DROP TABLE borders; DROP TABLE maps; "
             "ALTER TABLE nodes DROP COLUMN database; "
             "PRAGMA user_version = 1");
}

/* A store of the first version, with a task, is brought up to date. */
START_TEST(first_version)
{
    int64_t id = store_create("red", "h1", 80);
    struct vtrace_request request = store_request("red", "h1", 81);
    struct vtrace_task *task;

    downgrade();
    store_reopen();
    task = store_get(id);
    ck_assert_int_eq(task->request.match.dport, 80);
    ck_assert(eth_addr_is_zero(task->request.src_mac));
    ck_assert(eth_addr_is_zero(task->request.dst_mac));
    vtrace_task_destroy(task);

    request.inject = 7;
    eth_addr_from_uint64(0x525400000001, &request.src_mac);
    eth_addr_from_uint64(0xfedcba987654, &request.dst_mac);
    OK(vtrace_store_create(store, &request, &store_quota, NOW, 100, &id));
    task = store_get(id);
    ck_assert_int_eq(task->request.inject, 7);
    ck_assert_uint_eq(eth_addr_to_uint64(task->request.src_mac),
                      0x525400000001);
    ck_assert_uint_eq(eth_addr_to_uint64(task->request.dst_mac),
                      0xfedcba987654);
    vtrace_task_destroy(task);
}
END_TEST

/* A store of the first version, with a task that runs. */
START_TEST(old_file)
{
    struct vtrace_task *task;
    int64_t id = store_create("red", "h1", 80);

    store_run_to(id, VTRACE_RUNNING);
    downgrade();
    store_reopen();
    add_border("h2", "other");
    task = store_get(id);
    ck_assert_int_eq(task->state, VTRACE_RUNNING);
    vtrace_task_destroy(task);
}
END_TEST

/* A store of the version before running tasks were saved, with one. */
START_TEST(unsaved_file)
{
    int64_t at, id = store_create("red", "h1", 80);
    struct vtrace_store_saved saved = { id, CONST_CAST(char *, "{}") };
    struct vtrace_task *task;
    char *result;

    store_run_to(id, VTRACE_RUNNING);
    exec_sql("DROP TABLE saved; PRAGMA user_version = 4");
    store_reopen();
    OK(vtrace_store_check(store));
    OK(vtrace_store_get_saved(store, id, &result, &at));
    ck_assert_ptr_null(result);
    OK(vtrace_store_save(store, &saved, 1, NOW));
    OK(vtrace_store_get_saved(store, id, &result, &at));
    ck_assert_str_eq(result, "{}");
    free(result);
    task = store_get(id);
    ck_assert_int_eq(task->state, VTRACE_RUNNING);
    ck_assert_int_eq(task->request.match.dport, 80);
    vtrace_task_destroy(task);
}
END_TEST

START_TEST(foreign_file)
{
    struct vtrace_store *other;
    char *name = xasprintf("%s.other", store_file);
    char page[4096] = "something else";
    FILE *f = fopen(name, "w");

    ck_assert_int_eq(fwrite(page, sizeof page, 1, f), 1);
    fclose(f);
    store_check_error(vtrace_store_open(name, 0, &other), "not a database");
    unlink(name);

    /* One of SQLite's, but not ours, stays as it is. */
    sqlite3 *db;
    ck_assert_int_eq(sqlite3_open(name, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db, "CREATE TABLE t (i)", NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
    store_check_error(vtrace_store_open(name, 0, &other), "another program");
    f = fopen(name, "r");
    ck_assert_int_eq(fread(page, 20, 1, f), 1);
    ck_assert_int_eq(page[18], 1);      /* Not WAL. */
    fclose(f);
    free(name);
}
END_TEST

static void
check_bridges(const char *node, const char *bridge, size_t n)
{
    struct sset bridges = SSET_INITIALIZER(&bridges);
    size_t n_more;

    OK(vtrace_store_bridges(store, node, &bridges, &n_more));
    ck_assert_uint_eq(sset_count(&bridges) + n_more, n);
    ck_assert_uint_eq(sset_count(&bridges),
                      MIN(n, VTRACE_STORE_MAX_BRIDGES));
    ck_assert(sset_contains(&bridges, bridge));
    sset_destroy(&bridges);
}

/* Where rules may be left: bridges of tasks and of borders, also of those that
 * are removed, and that were there before the store knew of such. */
START_TEST(bridges)
{
    struct vtrace_entry at = border_at("h2");
    int64_t id = store_create("red", "h1", 80);

    store_run_to(id, VTRACE_DONE);
    check_bridges("h1", "br-int", 1);
    add_border("h2", "other");
    exec_sql("DROP TRIGGER borders_add; DROP TABLE border_bridges; "
             "DROP TABLE saved; "
             "PRAGMA user_version = 3");
    store_reopen();
    check_bridges("h2", "br-x", 1);
    OK(vtrace_store_remove_border(store, &at));
    store_reopen();
    check_bridges("h2", "br-x", 1);
    add_border("h2", "other");
    add_border("h2", "third");
    store_create("red", "h2", 80);
    check_bridges("h2", "br-x", 2);
    check_bridges("h2", "br-int", 2);

    /* No more than can be connected to; a bridge of borders and of a task's
     * rule counts once. */
    for (int i = 0; i < VTRACE_STORE_MAX_BRIDGES - 2; i++) {
        snprintf(at.bridge, sizeof at.bridge, "br%d", i);
        OK(vtrace_store_add_border(store, &at, "other", false));
    }
    check_bridges("h2", "br-int", VTRACE_STORE_MAX_BRIDGES);
    strcpy(at.bridge, "br-int");
    OK(vtrace_store_add_border(store, &at, "other", false));
    check_bridges("h2", "br-int", VTRACE_STORE_MAX_BRIDGES);
    for (int i = 1000; i < 1044; i++) {
        snprintf(at.bridge, sizeof at.bridge, "br%d", i);
        OK(vtrace_store_add_border(store, &at, "other", false));
    }
    check_bridges("h2", "br0", VTRACE_STORE_MAX_BRIDGES + 44);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("vtrace-store-files");
    TCase *tc = unit_case(suite, "files", 60);

    tcase_add_checked_fixture(tc, store_setup, store_teardown);
    tcase_add_test(tc, files);
    tcase_add_test(tc, first_version);
    tcase_add_test(tc, old_file);
    tcase_add_test(tc, unsaved_file);
    tcase_add_test(tc, foreign_file);
    tcase_add_test(tc, bridges);
    return unit_run(suite);
}
