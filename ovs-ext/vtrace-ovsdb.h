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

#ifndef VTRACE_OVSDB_H
#define VTRACE_OVSDB_H 1

/* VTrace's configuration in the database, that of the exporter.  For the main
 * thread. */

#include <stdbool.h>

struct ovsdb_idl;
struct ovsrec_open_vswitch;

/* Applies what 'cfg' says.  What is wrong with it goes to the log, and what was
 * in effect stays. */
void vtrace_ovsdb_reconfigure(const struct ovsrec_open_vswitch *cfg);

void vtrace_ovsdb_run(struct ovsdb_idl *);
void vtrace_ovsdb_wait(void);
void vtrace_ovsdb_exit(void);

#endif /* vtrace-ovsdb.h */
