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

#ifndef ZOO_ALIVE_H
#define ZOO_ALIVE_H 1

/* Is the machine of a peer there that answers no probes?
 * ======================================================
 *
 * A datagram to a closed UDP port of it, which its operating system answers
 * with "port unreachable" whatever switch it runs: so a switch that does not
 * know ZooRoute can be told from an underlay that swallows everything.  Each
 * question has another destination port, to take another path, of those that
 * traceroute uses.  No privilege is needed.
 *
 * Not thread-safe. */

#include <stdbool.h>
#include <netinet/in.h>

struct zoo_alive;

/* Never NULL.  Where there are no sockets for it, there are no answers. */
struct zoo_alive *zoo_alive_create(void);
void zoo_alive_destroy(struct zoo_alive *);

/* Asks the machine with address 'remote', from 'local', which both may be IPv4,
 * mapped into IPv6. */
void zoo_alive_ask(struct zoo_alive *, const struct in6_addr *local,
                   const struct in6_addr *remote);

/* Returns true, and sets '*remote' to the address of a machine that has
 * answered, if there is one. */
bool zoo_alive_take(struct zoo_alive *, struct in6_addr *remote);

#endif /* zoo-alive.h */
