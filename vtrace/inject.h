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

#ifndef VTRACE_INJECT_H
#define VTRACE_INJECT_H 1

/* Packets for a flow that is silent: "vtrace start --inject PPS".
 *
 * An injector makes packets of a task's own 5-tuple, one after the other, and
 * wraps them into OpenFlow packet-outs whose only action is
 * vtrace(color=C,exp=E,inject): the switch sends them through its pipelines as
 * if they had come in by the entry port, and they are consumed before any
 * machine gets them.
 *
 * UDP datagrams, TCP segments that open a connection (SYN), or ICMP echo
 * requests.  What the task leaves open of the 5-tuple is chosen once: a source
 * port, from the dynamic ones (RFC 6335, section 6).  IPv4 identification, TCP
 * timestamp, ICMP sequence number and payload count, so that no two packets
 * have the same digest. */

#include <stdbool.h>
#include <stdint.h>

#include "compiler.h"
#include "openvswitch/ofp-errors.h"
#include "openvswitch/ofp-protocol.h"
#include "openvswitch/types.h"
#include "vtrace/store.h"

struct dp_packet;
struct rconn;
struct vtrace_injector;

/* Packets per second of all tasks together.  If they want more, those that
 * want most get less, all of them the same; what is beyond is not made. */
#define VTRACE_INJECT_MAX_TOTAL 5000

/* Bytes of payload.  It begins with VTRACE_INJECT_TEXT and the packet's number,
 * which are in the part that goes into the digest. */
#define VTRACE_INJECT_PAYLOAD 64
#define VTRACE_INJECT_TEXT "vtrace injected packet "

/* What all packets of a task have in common. */
struct vtrace_inject {
    struct vtrace_match match;
    struct eth_addr src_mac;    /* Both zero: those that the switch has last */
    struct eth_addr dst_mac;    /* seen with these IP addresses. */
    uint16_t color;
    int exp;
    int pps;
};

/* Returns NULL if packets can be made for 'request', otherwise an error message
 * that says what it lacks, which the caller must free. */
char *vtrace_inject_check(const struct vtrace_request *request)
    OVS_WARN_UNUSED_RESULT;

/* Returns an injector for 'inject', which is copied and must be one of a
 * request that vtrace_inject_check() likes.  'random' chooses what the task
 * leaves open. */
struct vtrace_injector *vtrace_injector_create(
    const struct vtrace_inject *inject, uint32_t random);
void vtrace_injector_destroy(struct vtrace_injector *);

/* Makes the next packet and stores it into '*packet', an empty packet. */
void vtrace_injector_compose(struct vtrace_injector *,
                             struct dp_packet *packet);

/* Sends the packets that are due, over 'rconn', to go in by 'in_port'.  What
 * finds too many in the connection's queue is not made. */
void vtrace_injector_run(struct vtrace_injector *, struct rconn *rconn,
                         ofp_port_t in_port, enum ofputil_protocol protocol);
void vtrace_injector_wait(struct vtrace_injector *);

/* Takes 'error', with which the switch answered to the message 'xid', for
 * 'bridge': if that was one of the injector's, no more are sent.  Returns false
 * if it was not. */
bool vtrace_injector_refused(struct vtrace_injector *, ovs_be32 xid,
                             const char *bridge, enum ofperr error);

/* Returns how many packets were sent.  Sets '*why' to why the switch takes
 * none, valid as long as the injector, or to NULL. */
uint64_t vtrace_injector_sent(const struct vtrace_injector *,
                              const char **why);

#endif /* vtrace/inject.h */
