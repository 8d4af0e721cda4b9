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

#ifndef GATEWAY_USE_H
#define GATEWAY_USE_H 1

/* By which candidates packets leave, so that only those are probed often that
 * carry some.
 *
 * The P4 program marks the destinations that packets go to, not the candidates
 * that they take, and a register for these would have to come out of a stage of
 * Tofino that is not left.  But a packet on its way out says both: its outer
 * destination and its source port.  What is noted of these is a bit for each
 * candidate in a cell of a table, which a hash of the destination chooses.
 * Destinations that share a cell seem to use each other's candidates too.  Of
 * full bursts only some are looked at, so that under load a flow of few packets
 * may not be seen each second.
 *
 * The thread "gateway" writes, at the end of each burst, and the main thread
 * reads what was written in one period while another one is written. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ofproto-zoo/zoo-gateway-limits.h"

struct in6_addr;
struct rte_mbuf;

/* In the thread "gateway": notes that the 'n' packets in 'mbufs', at most
 * GATEWAY_BURST, are about to leave.  What is no tenant's packet in a tunnel
 * does not count.  Of full bursts, only one in four is noted. */
void gateway_use_note(struct rte_mbuf *const mbufs[], unsigned int n);

/* Main thread: packets that leave with 'ports' take these candidates. */
void gateway_use_set_ports(const uint16_t ports[ZOO_GATEWAY_N_CANDIDATES]);

#endif /* gateway-use.h */
