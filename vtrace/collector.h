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

#ifndef VTRACE_COLLECTOR_H
#define VTRACE_COLLECTOR_H 1

/* The collector takes IPFIX (RFC 7011) from switches, over streams, and gives
 * the records in it to the analyzer.  What the records hold is in
 * ovs-ext/vtrace-record.h.
 *
 * Which node speaks is never taken from what is said.  It is the node that the
 * listener is for, if it is for one; else that of the peer's certificate; else
 * the node whose OpenFlow target is at the peer's IP address.  The connection
 * of anybody else is closed.
 *
 * Everything that arrives is hostile: a message is at most 65,535 bytes, a
 * connection that sends anything but IPFIX, or more templates than a switch
 * has, is closed, and there are limits to the number of connections. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "compiler.h"

struct ds;
struct vtrace_analyzer;
struct vtrace_collector;

#define VTRACE_COLLECTOR_MAX_CONNECTIONS 1024

/* Of one node: the oldest are closed. */
#define VTRACE_COLLECTOR_MAX_NODE_CONNECTIONS 4

/* Finds the node named 'name', or, if that is NULL, with OpenFlow at IP
 * address 'ip', or, if that is NULL, too, the only node.  Returns false if there
 * is none, or there are several, else sets '*node' and '*domain', for the caller
 * to free. */
typedef bool vtrace_find_node_func(void *aux, const char *name,
                                   const char *ip, char **node,
                                   char **domain);

/* Returns true if accept()'s errno value 'error' is for want of something, so
 * that the connection still waits and trying at once is of no use. */
bool vtrace_is_shortage(int error);

struct vtrace_collector *vtrace_collector_create(struct vtrace_analyzer *,
                                                 vtrace_find_node_func *,
                                                 void *aux);
void vtrace_collector_destroy(struct vtrace_collector *);

/* Listens on 'spec', "[NODE=]METHOD", METHOD being ptcp:PORT[:IP],
 * pssl:PORT[:IP] or punix:PATH. */
char *vtrace_collector_listen(struct vtrace_collector *, const char *spec)
    OVS_WARN_UNUSED_RESULT;

void vtrace_collector_run(struct vtrace_collector *);
void vtrace_collector_wait(struct vtrace_collector *);

/* Returns true if node 'name' is connected. */
bool vtrace_collector_has_node(const struct vtrace_collector *,
                               const char *name);

/* Appends a line for each listener and connection. */
void vtrace_collector_format(const struct vtrace_collector *, struct ds *);

#endif /* vtrace/collector.h */
