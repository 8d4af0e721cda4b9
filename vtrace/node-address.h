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

#ifndef VTRACE_NODE_ADDRESS_H
#define VTRACE_NODE_ADDRESS_H 1

/* Which node a connection comes from, where no certificate says it. */

#include <stddef.h>

struct vtrace_store_node;

/* Returns the number of the 'n' 'nodes' whose OpenFlow target is at IP address
 * 'ip', however the two are written, and stores the first of them into '*found',
 * NULL if there is none.  Host names are not looked up. */
size_t vtrace_nodes_at(const struct vtrace_store_node *nodes, size_t n,
                       const char *ip, const struct vtrace_store_node **found);

#endif /* vtrace/node-address.h */
