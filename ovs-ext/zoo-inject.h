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

#ifndef ZOO_INJECT_H
#define ZOO_INJECT_H 1

/* Injected packets in the switch
 * ==============================
 *
 * A packet that is made for a task (the action vtrace(...,inject)) passes the
 * pipelines as a tenant's packet would, and is consumed where it would leave
 * them.  Translation makes its datapath actions as for any packet, and
 * zoo_inject_consume() then takes out of them whatever would let somebody have
 * the packet.  It does not look for what is forbidden, it leaves what is
 * allowed: a copy of the packet goes on only with the mark on it, as
 * recirculation, whose frozen state has the mark, or in a tunnel whose header
 * has it.
 *
 * Who makes the packet knows its 5-tuple, and not the Ethernet addresses that
 * the tenant's machine would use: those that it has used are remembered.  Any
 * thread may call any of these functions. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <netinet/in.h>

#include "openvswitch/types.h"
#include "ovs-ext/vtrace-record.h"

struct ofpbuf;

/* Makes the datapath actions in 'actions' from 'offset' on consume the packet.
 * 'recirculates' tells whether what comes back with a recirculation ID still
 * has the mark.
 *
 * If 'tcp' is true, nothing is committed to connection tracking: a connection
 * that was opened by a packet that nobody answers would stand in the way of
 * the tenant's.  Where the packet would take its addresses from that, which
 * hence are not known, it goes no further, and the function returns true. */
bool zoo_inject_consume(struct ofpbuf *actions, size_t offset, bool tcp,
                        bool (*recirculates)(uint32_t recirc_id));

/* What a packet is remembered by. */
struct zoo_inject_key {
    struct in6_addr src, dst;   /* IPv4-mapped for IPv4. */
    char bridge[VTRACE_NAME_LEN];
    char port[VTRACE_NAME_LEN];
};

BUILD_ASSERT_DECL(sizeof(struct zoo_inject_key) == 32 + 2 * VTRACE_NAME_LEN);

/* What is remembered. */
struct zoo_inject_l2 {
    struct eth_addr src, dst;
    ovs_be16 tpid, tci;         /* Of the outermost VLAN tag, 0 if none. */
};

/* So much is remembered in all, and of one port, of which the most recent. */
#define ZOO_INJECT_MAX 4096
#define ZOO_INJECT_PORT_MAX 512

/* Remembers 'l2' of 'key', a packet that was received. */
void zoo_inject_learn(const struct zoo_inject_key *key,
                      const struct zoo_inject_l2 *l2);

/* Stores into '*l2' what was last learned for 'key' in the VLAN of 'tci', the
 * packet's tag.  If that is 0, the VLAN is part of what is asked for: if 'key'
 * has been seen in several, nobody knows which one is meant.  Returns false if
 * there is no answer. */
bool zoo_inject_lookup(const struct zoo_inject_key *key, ovs_be16 tci,
                       struct zoo_inject_l2 *l2);

/* Forgets everything. */
void zoo_inject_flush(void);

#endif /* zoo-inject.h */
