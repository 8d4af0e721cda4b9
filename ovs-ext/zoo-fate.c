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

#include <config.h>

#include "ovs-ext/zoo-fate.h"

#include <string.h>

#include "ovs-ext/vtrace-reasons.h"
#include "util.h"

/* How reports of flow translation begin that say why a packet is not output.
 * tests/zoo-vtrace-record.at looks for each of them in the source. */
static const struct {
    const char *start;
    enum vtrace_reason reason;
} reports[] = {
    { "Nonexistent output port", VTRACE_REASON_OUTPUT_NO_PORT },
    { "OFPPC_NO_FWD set", VTRACE_REASON_NO_FORWARD },
    { "Flow is between protected ports", VTRACE_REASON_PROTECTED_PORT },
    { "STP not in forwarding state", VTRACE_REASON_STP_BLOCKED },
    { "RSTP not in forwarding state", VTRACE_REASON_STP_BLOCKED },
    { "Trying to send non-Ethernet packet", VTRACE_REASON_PACKET_TYPE },
    { "native tunnel routing failed", VTRACE_REASON_TUNNEL_NO_ROUTE },
    { "tunnel output device lacks", VTRACE_REASON_TUNNEL_NO_SOURCE_MAC },
    { "neighbor cache miss", VTRACE_REASON_TUNNEL_NO_NEIGHBOR },
    { "native tunnel header build failed", VTRACE_REASON_TUNNEL_HEADER },
    { "Tunneling decided against output", VTRACE_REASON_TUNNEL_REFUSED },
    { "Not tunneling to our own address", VTRACE_REASON_TUNNEL_REFUSED },
    { "no input bundle", VTRACE_REASON_NO_BUNDLE },
    { "received packet on unknown port", VTRACE_REASON_NO_BUNDLE },
    { "disallowed VLAN VID", VTRACE_REASON_VLAN_MISMATCH },
    { "dropping VLAN", VTRACE_REASON_VLAN_MISMATCH },
    { "packet has reserved destination MAC", VTRACE_REASON_RESERVED_MAC },
    { "bonding refused admissibility", VTRACE_REASON_BOND_REFUSED },
    { "SLB bond thinks", VTRACE_REASON_BOND_REFUSED },
    { "input port is mirror output port", VTRACE_REASON_MIRROR_PORT },
    { "learned port is a mirror port", VTRACE_REASON_MIRROR_PORT },
    { "dropping packet received on port", VTRACE_REASON_MIRROR_PORT },
    { "learned port is input port", VTRACE_REASON_INPUT_PORT },
    { "skipping output to input port", VTRACE_REASON_INPUT_PORT },
    { "learned port is unknown", VTRACE_REASON_OUTPUT_NO_PORT },
    { "mcast group port is unknown", VTRACE_REASON_MCAST_NO_PORT },
    { "output to nonexistent group", VTRACE_REASON_GROUP_NO_BUCKET },
    { "no live bucket", VTRACE_REASON_GROUP_NO_BUCKET },
    { "IPv%d decrement TTL exception", VTRACE_REASON_TTL_EXCEEDED },
    { "MPLS decrement TTL exception", VTRACE_REASON_TTL_EXCEEDED },
};

enum vtrace_reason
zoo_fate_reason(const char *format)
{
    for (size_t i = 0; i < ARRAY_SIZE(reports); i++) {
        if (!strncmp(format, reports[i].start, strlen(reports[i].start))) {
            return reports[i].reason;
        }
    }
    return VTRACE_REASON_NONE;
}

void
zoo_fate_note__(struct zoo_fate *fate, const char *format)
{
    if (!fate->reason) {
        fate->reason = zoo_fate_reason(format);
        fate->refused = fate->last;
    }
}
