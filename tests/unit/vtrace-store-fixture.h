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

#ifndef STORE_FIXTURE_H
#define STORE_FIXTURE_H 1

/* What the tests of VTrace's task store share: a store in a directory of its
 * own, with nodes h1 and h2, and x1 in another domain. */

#include <check.h>
#include "vtrace/store.h"

/* Some time, in ms. */
#define NOW INT64_C(1800000000000)

extern struct vtrace_store *store;
extern const char *store_file;
extern const struct vtrace_quota store_quota;

/* Checks that CALL, which returns an error message or NULL, is successful. */
#define OK(CALL) store_check_ok(#CALL, CALL)
void store_check_ok(const char *call, char *error);

/* Checks that 'error' contains 'expected', and frees it. */
void store_check_error(char *error, const char *expected);

/* Before and after each test. */
void store_setup(void);
void store_teardown(void);

void store_reopen(void);

/* A request for TCP from 10.0.0.1 to 10.0.0.2, destination port 'dport', of 10
 * seconds. */
struct vtrace_request store_request(const char *tenant, const char *node,
                                    uint16_t dport);

/* Creates such a task and returns its number, or the error. */
int64_t store_create(const char *tenant, const char *node, uint16_t dport);
char *store_try_create(const char *tenant, const char *node, uint16_t dport,
                       int64_t now);

/* Returns task 'id'. */
struct vtrace_task *store_get(int64_t id);

/* Checks the state of task 'id' and of its forward rule. */
void store_check_state(int64_t id, enum vtrace_state,
                       enum vtrace_rule_state);

/* Returns the number of a tenant's tasks. */
size_t store_count(const char *tenant, enum vtrace_which);

/* Takes a new task to 'state', at NOW + 10, + 20, + 30 and + 10030. */
void store_run_to(int64_t id, enum vtrace_state state);

#endif /* vtrace-store-fixture.h */
