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

#ifndef VTRACE_PORTS_H
#define VTRACE_PORTS_H 1

/* Whose a port is, by the external_ids of its Interface: from the Open_vSwitch
 * databases of the nodes for which the store has one.
 *
 * Each database is watched for as long as its node has it.  What is known from
 * a connection that is lost is not used.  All of it belongs to one thread. */

#include <stdbool.h>
#include "compiler.h"

struct smap;
struct vtrace_entry;
struct vtrace_ports;
struct vtrace_store;

/* The store must outlive the ports. */
struct vtrace_ports *vtrace_ports_create(struct vtrace_store *);
void vtrace_ports_destroy(struct vtrace_ports *);

/* Takes the nodes from the store again. */
void vtrace_ports_refresh(struct vtrace_ports *);

void vtrace_ports_run(struct vtrace_ports *);
void vtrace_ports_wait(struct vtrace_ports *);

/* Sets '*has' to whether the Interface of 'entry' has all of 'ids'; it has not
 * if the node has no database.  Returns NULL if successful, otherwise, if the
 * database does not answer, an error message that the caller must free. */
char *vtrace_ports_have_ids(const struct vtrace_ports *,
                            const struct vtrace_entry *entry,
                            const struct smap *ids, bool *has)
    OVS_WARN_UNUSED_RESULT;

#endif /* vtrace/ports.h */
