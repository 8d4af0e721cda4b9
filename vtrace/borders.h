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

#ifndef VTRACE_BORDERS_H
#define VTRACE_BORDERS_H 1

/* Keeps the rule at each border that takes away colors which no task maps
 * (VTRACE_FLOW_BORDER): colors of the other domain must not be taken for those
 * of this one with the same number.
 *
 * The rules are there as long as the borders are configured, tasks or not, and
 * stay when vtraced is stopped.  They are put back if somebody removes them,
 * and tried again if the bridge or the port does not exist yet. */

#include "compiler.h"

struct vtrace_borders;
struct vtrace_deployer;
struct vtrace_store;
struct vtrace_entry;

/* The store and the deployer must outlive the borders. */
struct vtrace_borders *vtrace_borders_create(struct vtrace_store *,
                                             struct vtrace_deployer *);
void vtrace_borders_destroy(struct vtrace_borders *);

/* Takes the borders, and the nodes, from the store again. */
void vtrace_borders_refresh(struct vtrace_borders *);

void vtrace_borders_run(struct vtrace_borders *);
void vtrace_borders_wait(struct vtrace_borders *);

/* Returns "installed", or why the rule at 'at' is not, for the caller to
 * free. */
char *vtrace_borders_status(const struct vtrace_borders *,
                            const struct vtrace_entry *at);

#endif /* vtrace/borders.h */
