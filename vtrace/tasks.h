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

#ifndef VTRACE_TASKS_H
#define VTRACE_TASKS_H 1

/* Takes tasks through their states: does what the state of each in the store
 * asks for, with the analyzer and the deployer, and writes down that it is
 * done.  What it keeps in memory is only what a restart may lose: the analysis
 * of tasks that have not ended, of which what a running task has seen is saved
 * each second. */

#include <stdbool.h>
#include <stdint.h>
#include "compiler.h"

struct ds;
struct json;
struct vtrace_analyzer;
struct vtrace_deployer;
struct vtrace_store;
struct vtrace_tasks;

/* The store, deployer and analyzer must outlive the tasks. */
struct vtrace_tasks *vtrace_tasks_create(struct vtrace_store *,
                                         struct vtrace_deployer *,
                                         struct vtrace_analyzer *);
/* Saves what running tasks have seen, which end as interrupted when somebody
 * opens the store again. */
void vtrace_tasks_destroy(struct vtrace_tasks *);

void vtrace_tasks_run(struct vtrace_tasks *);
void vtrace_tasks_wait(struct vtrace_tasks *);

/* Has the deployer connect to the bridges of node 'name', or of all nodes if it
 * is NULL, as far as they are known: those that a task or border of today or
 * before leads to, if the node's target depends on the bridge.  What an earlier
 * vtraced left there is deleted. */
void vtrace_tasks_sweep(struct vtrace_tasks *, const char *name);

/* Says that something changed that tasks may be waiting for. */
void vtrace_tasks_kick(struct vtrace_tasks *);

/* Appends to 's' what saving running tasks costs. */
void vtrace_tasks_format(const struct vtrace_tasks *, struct ds *s);

/* Stops task 'id' of 'tenant' (NULL: of any): ends it now, with a verdict if
 * it was running.  Returns NULL or an error message that the caller must
 * free. */
char *vtrace_tasks_stop(struct vtrace_tasks *, const char *tenant, int64_t id)
    OVS_WARN_UNUSED_RESULT;

/* Sets '*json' to what "vtrace show --json" prints for task 'id', or, if
 * 'brief' is true, to an element of the list of "vtrace list". */
char *vtrace_tasks_show(struct vtrace_tasks *, const char *tenant, int64_t id,
                        bool brief, struct json **json)
    OVS_WARN_UNUSED_RESULT;

#endif /* vtrace/tasks.h */
