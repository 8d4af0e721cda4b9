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

#ifndef VTRACE_REASONS_H
#define VTRACE_REASONS_H 1

/* Why a packet vanished
 * =====================
 *
 * One list from which everything about reasons comes: the numbers in records,
 * the names in reports and 'vtrace show --json', the kind of verdict that a
 * reason leads to, the manual's table and the suggestion to the operator.
 *
 * The number is on the wire and in files: a number is never given to another
 * reason, which 6, 22, 50, 54, 55, 61, 75, 76, 90...96 and 99...103 would be.
 * A new reason goes where its number belongs; an analyzer that does not know a
 * number reports it as "reason-N".
 *
 * There is no reason that nothing gives: build-aux/vtrace-reasons and
 * tests/zoo-vtrace-reasons.at see to it. */

#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* VERDICT(ENUM, NAME, DESCRIPTION), from the most to the least telling. */
#define VTRACE_VERDICTS(VERDICT)                                              \
    VERDICT(DROP, "drop", "a switch discarded packets")                       \
    VERDICT(UNDERLAY_LOSS, "underlay-loss",                                   \
            "packets vanished between two switches")                          \
    VERDICT(LEFT, "left",                                                     \
            "packets left the traced domain, and what follows is not seen")   \
    VERDICT(NO_REPLY, "no-reply",                                             \
            "every packet was delivered, and nothing came back")              \
    VERDICT(NO_TRAFFIC, "no-traffic", "no packet matched the task's rule")    \
    VERDICT(INCONCLUSIVE, "inconclusive",                                     \
            "the records do not suffice for an answer")                       \
    VERDICT(NONE, "none", "every packet was delivered")

enum vtrace_verdict_kind {
#define VTRACE_VERDICT(ENUM, NAME, DESCRIPTION) VTRACE_VERDICT_##ENUM,
    VTRACE_VERDICTS(VTRACE_VERDICT)
#undef VTRACE_VERDICT
    VTRACE_N_VERDICTS
};

/* REASON(NUMBER, ENUM, NAME, VERDICT, STATUS, DESCRIPTION, SUGGESTION)
 *
 * VERDICT is what the reason leads to if it explains the loss.  STATUS is the
 * IPFIX forwardingStatus (RFC 7270, section 4.12) of records with it: 64
 * forwarded, 128 dropped, 129 ACL deny, 131 unroutable, 132 adjacency, 133
 * fragmentation, 137 bad TTL, 138 policer, 142 bad output interface, 192
 * consumed; 0 unknown, for reasons that no record has.
 *
 * 1...49: the pipeline decided.  50...69: translation failed.  70...89:
 * tunnels.  90...119: the datapath and its devices.  120...129: not a loss in
 * this domain, or of a packet that a tenant sent.  150...: only the analyzer,
 * from the lack of records. */
#define VTRACE_REASONS(REASON)                                                \
    REASON(0, NONE, "none", NONE, 64,                                         \
           "nothing happened to the packet",                                  \
           "")                                                                \
    REASON(1, ACL_DENY, "acl-deny", DROP, 129,                                \
           "a rule matched that has no output",                               \
           "change the security rule with this cookie, or what it is made "   \
           "from")                                                            \
    REASON(2, NO_MATCH, "no-match", DROP, 131,                                \
           "no rule of the table matched",                                    \
           "install the missing flow, or a table-miss flow, in this table")   \
    REASON(3, TO_CONTROLLER, "to-controller", DROP, 192,                      \
           "the packet went to an OpenFlow controller and did not come back", \
           "look why the controller does not answer packet-ins")              \
    REASON(4, CT_INVALID, "ct-invalid", DROP, 129,                            \
           "connection tracking calls the packet invalid and a rule drops "   \
           "such packets",                                                    \
           "look for asymmetric paths, a flushed or full connection table "   \
           "(ovs-appctl dpctl/dump-conntrack) and out of window segments")    \
    REASON(5, METER, "meter", DROP, 138,                                      \
           "a meter's rate was exceeded",                                     \
           "raise the meter's rate or the tenant's bandwidth "                \
           "(ovs-ofctl dump-meters)")                                         \
    REASON(7, GROUP_NO_BUCKET, "group-no-bucket", DROP, 131,                  \
           "the group does not exist or has no live bucket",                  \
           "look at the group's buckets and the ports that they watch "       \
           "(ovs-ofctl dump-groups)")                                         \
    REASON(8, TTL_EXCEEDED, "ttl-exceeded", DROP, 137,                        \
           "the time to live ran out",                                        \
           "look for a routing loop")                                         \
    REASON(9, RESERVED_MAC, "reserved-mac", DROP, 128,                        \
           "the destination MAC is reserved for link-local protocols",        \
           "set other_config:forward-bpdu on the bridge if such frames are "  \
           "meant to pass")                                                   \
    REASON(10, VLAN_MISMATCH, "vlan-mismatch", DROP, 128,                     \
           "the port does not carry the packet's VLAN",                       \
           "correct tag, trunks or vlan_mode of the port")                    \
    REASON(11, INPUT_PORT, "input-port", DROP, 142,                           \
           "the packet would have gone back to the port it came from",        \
           "look for a MAC address learned or configured at the wrong port, " \
           "or use the output in_port")                                       \
    REASON(12, MIRROR_PORT, "mirror-port", DROP, 142,                         \
           "the port is reserved for mirroring",                              \
           "remove the port from the mirror's output_port, or use another")   \
    REASON(13, BOND_REFUSED, "bond-refused", DROP, 128,                       \
           "the bond does not admit the packet at this member",               \
           "look at the bond (ovs-appctl bond/show)")                         \
    REASON(14, MCAST_NO_PORT, "mcast-no-port", DROP, 142,                     \
           "no port wants the multicast group",                               \
           "look at the group's members (ovs-appctl mdb/show)")               \
    REASON(15, NO_BUNDLE, "no-bundle", DROP, 142,                             \
           "the input port belongs to no port of the database",               \
           "add the port with ovs-vsctl, or do not use NORMAL for it")        \
    REASON(16, STP_BLOCKED, "stp-blocked", DROP, 142,                         \
           "spanning tree does not forward at the port it was to leave by",   \
           "look at the spanning tree (ovs-appctl stp/show, rstp/show)")      \
    REASON(17, NO_FORWARD, "no-forward", DROP, 142,                           \
           "the port's OpenFlow configuration forbids it",                    \
           "clear no-receive or no-forward (ovs-ofctl mod-port)")             \
    REASON(18, PROTECTED_PORT, "protected-port", DROP, 129,                   \
           "both ports are protected",                                        \
           "clear protected in one of the ports' rows")                       \
    REASON(19, OUTPUT_NO_PORT, "output-no-port", DROP, 142,                   \
           "the flow sends to a port that does not exist",                    \
           "add the port, or correct the flow with this cookie")              \
    REASON(20, PACKET_TYPE, "packet-type", DROP, 128,                         \
           "the port does not take packets of this type",                     \
           "encapsulate or decapsulate before the output")                    \
    REASON(21, FRAG_DROP, "frag-drop", DROP, 133,                             \
           "the bridge drops IP fragments",                                   \
           "ovs-ofctl set-frags BRIDGE normal, or lower the sender's MTU")    \
    REASON(23, NOTHING_LEFT, "nothing-left", DROP, 128,                       \
           "the pipeline ended and no output was possible",                   \
           "ovs-appctl ofproto/trace shows what each action did")             \
    REASON(51, RECURSION_TOO_DEEP, "recursion-too-deep", DROP, 128,           \
           "resubmits or patch ports nest too deep",                          \
           "look for a loop of flows or bridges")                             \
    REASON(52, TOO_MANY_RESUBMITS, "too-many-resubmits", DROP, 128,           \
           "the pipeline took too many resubmits",                            \
           "look for a loop of flows or bridges")                             \
    REASON(53, STACK_TOO_DEEP, "stack-too-deep", DROP, 128,                   \
           "flows pushed too much",                                           \
           "look for a push without a pop")                                   \
    REASON(56, TOO_MANY_MPLS_LABELS, "too-many-mpls-labels", DROP, 128,       \
           "the packet has more MPLS labels than can be handled",             \
           "use fewer labels")                                                \
    REASON(57, INVALID_TUN_METADATA, "invalid-tunnel-metadata", DROP, 128,    \
           "the tunnel's options could not be understood",                    \
           "look at the tunnel's other end and the bridge's tlv-map")         \
    REASON(58, UNSUPPORTED_PACKET, "unsupported-packet-type", DROP, 128,      \
           "the packet's type is not supported",                              \
           "look at packet_type of the tunnel port")                          \
    REASON(59, CONGESTION, "congestion", DROP, 128,                           \
           "the tunnel's ECN marks do not fit the packet (RFC 6040)",         \
           "relieve the underlay, or use ECN at both tunnel ends")            \
    REASON(60, FORWARDING_DISABLED, "forwarding-disabled", DROP, 128,         \
           "spanning tree does not forward at the port it came in by",        \
           "look at the spanning tree (ovs-appctl stp/show, rstp/show)")      \
    REASON(70, TUNNEL_NO_ROUTE, "tunnel-no-route", DROP, 131,                 \
           "the switch has no route to the tunnel's remote address",          \
           "add a route (ovs-appctl ovs/route/show), or correct remote_ip")   \
    REASON(71, TUNNEL_NO_NEIGHBOR, "tunnel-no-neighbor", DROP, 132,           \
           "the tunnel's next hop has no known MAC address",                  \
           "look why the next hop does not answer ARP or ND "                 \
           "(ovs-appctl tnl/neigh/show)")                                     \
    REASON(72, TUNNEL_NO_SOURCE_MAC, "tunnel-no-source-mac", DROP, 132,       \
           "the underlay's device has no Ethernet address",                   \
           "route the tunnel through an Ethernet device")                     \
    REASON(73, TUNNEL_HEADER, "tunnel-header", DROP, 128,                     \
           "the tunnel's header could not be built",                          \
           "look at the tunnel port's options")                               \
    REASON(74, TUNNEL_REFUSED, "tunnel-refused", DROP, 142,                   \
           "the tunnel port has no remote address or key for the packet, or " \
           "it is the packet's own",                                          \
           "set tun_dst and tun_id in the flow, or remote_ip in the port")    \
    REASON(77, TUNNEL_NO_PORT, "tunnel-no-port", DROP, 131,                   \
           "no tunnel port takes the packet's addresses and key",             \
           "make VNI and addresses the same at both ends of the tunnel")      \
    REASON(97, MTU_EXCEEDED, "mtu-exceeded", DROP, 133,                       \
           "the packet is longer than the device's MTU",                      \
           "raise the MTU of the device, or lower the tenants' by the "       \
           "tunnel's overhead (50 bytes for VXLAN over IPv4, 70 over IPv6)")  \
    REASON(98, PORT_DOWN, "port-down", DROP, 142,                             \
           "the port's link is down",                                         \
           "start the machine behind the port, or set its link up")           \
    REASON(120, INJECT_DONE, "inject-done", NONE, 192,                        \
           "an injected packet reached its destination and was consumed",     \
           "")                                                                \
    REASON(121, NO_CONSENT, "no-consent", LEFT, 64,                           \
           "the tunnel's other end has not consented to be traced",           \
           "set other_config:vtrace=true on the tunnel's Interface if the "   \
           "other end is a switch of this domain")                            \
    REASON(122, FOREIGN_GBP, "foreign-gbp", LEFT, 64,                         \
           "the packet carries somebody else's group policy",                 \
           "trace at a hop where the packet has no group policy id")          \
    REASON(123, BORDER, "border", LEFT, 64,                                   \
           "the color was removed at the border of the domain",               \
           "continue with a task in the next domain")                         \
    REASON(124, NO_CARRIER, "no-carrier", LEFT, 64,                           \
           "the tunnel's encapsulation cannot carry a color",                 \
           "use VXLAN, or Geneve with 8 bytes more MTU in the underlay than " \
           "its longest packets take")                                        \
    REASON(125, EXTERNAL, "external", LEFT, 64,                               \
           "the packet was handed to a network outside the domain",           \
           "the switches did their part: look at the external network or the "\
           "destination")                                                     \
    REASON(126, INJECT_UNKNOWN_MAC, "inject-unknown-mac", INCONCLUSIVE, 192,  \
           "the switch does not know the Ethernet addresses of these IP "     \
           "addresses at the entry, so it cannot inject packets",             \
           "give --src-mac and --dst-mac, or have the machine send one "      \
           "packet first")                                                    \
    REASON(127, INJECT_STATE, "inject-state", INCONCLUSIVE, 192,              \
           "an injected TCP packet cannot show what this connection "         \
           "tracking rule does: it opens no connection, and fits none that "  \
           "is open",                                                         \
           "inject with --proto udp, or without a source port, or trace "     \
           "while the machine itself sends")                                  \
    REASON(150, UNDERLAY_SILENT, "underlay-silent", UNDERLAY_LOSS, 0,         \
           "nothing that was sent with this outer source port arrived",       \
           "look for a silent link or switch on this path of the underlay: "  \
           "other outer source ports may take another; ZooRoute avoids it")   \
    REASON(151, UNDERLAY_LOSSY, "underlay-lossy", UNDERLAY_LOSS, 0,           \
           "a part of what was sent did not arrive",                          \
           "look for errors and full queues on this path of the underlay")    \
    REASON(152, UNDERLAY_MTU, "underlay-mtu", UNDERLAY_LOSS, 0,               \
           "long packets do not arrive, and short ones do",                   \
           "raise the MTU of the underlay's links, or lower the tenants'")    \
    REASON(153, LOST_IN_SWITCH, "lost-in-switch", DROP, 0,                    \
           "the switch received the packet and no record says what became "   \
           "of it",                                                           \
           "look at ovs-appctl coverage/show, datapath_drop_* and "           \
           "netdev_*_drops, on the node")                                     \
    REASON(154, NO_PACKETS, "no-packets", NO_TRAFFIC, 0,                      \
           "no packet matched the rule at the entry",                         \
           "check addresses, ports and entry of the task")                    \
    REASON(155, SILENT_RECEIVER, "silent-receiver", NO_REPLY, 0,              \
           "packets were delivered and no answer entered the network",        \
           "look at the receiving machine: its firewall, its service")        \
    REASON(156, TOO_FEW, "too-few-packets", INCONCLUSIVE, 0,                  \
           "too few packets for 99 % confidence",                             \
           "trace for longer, with a smaller --exp, or have packets made "    \
           "with --inject")                                                   \
    REASON(157, RECORDS_LOST, "records-lost", INCONCLUSIVE, 0,                \
           "so many records were lost that the packets' loss cannot be told " \
           "from it",                                                         \
           "trace with a larger --exp, or look at the collector's load")      \
    REASON(158, AMBIGUOUS, "ambiguous-packets", INCONCLUSIVE, 0,              \
           "many packets cannot be told from each other",                     \
           "trace TCP, or UDP with payloads that differ")                     \
    REASON(159, SEGMENTATION, "segmentation", INCONCLUSIVE, 0,                \
           "packets were cut or joined on the way and cannot be compared",    \
           "turn segmentation offload off for the time of the task")          \
    REASON(160, NODE_SILENT, "node-silent", INCONCLUSIVE, 0,                  \
           "the next node sends no records and no watermarks",                \
           "look whether the node runs, and at its vtrace-collector")         \
    REASON(161, CONTRADICTION, "contradiction", INCONCLUSIVE, 0,              \
           "the rule's packet count and the records do not fit",              \
           "look at the entry node's vtrace-collector")                       \
    REASON(162, FAILOVER, "failover", NONE, 0,                                \
           "packets were lost until ZooRoute moved the flow to another outer "\
           "source port",                                                     \
           "look for the failed path of the underlay "                        \
           "(ovs-appctl zooroute/show)")                                      \
    REASON(163, INTERRUPTED, "interrupted", INCONCLUSIVE, 0,                  \
           "vtraced ended before the task's time was over",                   \
           "start the task again")

enum vtrace_reason {
#define VTRACE_REASON(NUMBER, ENUM, NAME, VERDICT, STATUS, DESC, SUGGESTION)  \
    VTRACE_REASON_##ENUM = NUMBER,
    VTRACE_REASONS(VTRACE_REASON)
#undef VTRACE_REASON
};

/* Everything about one reason. */
struct vtrace_reason_info {
    uint16_t reason;            /* enum vtrace_reason. */
    uint8_t verdict;            /* enum vtrace_verdict_kind. */
    uint8_t forwarding_status;  /* IPFIX forwardingStatus. */
    const char *name;
    const char *description;
    const char *suggestion;
};

/* Returns what is known about 'reason', which may be any number from a record,
 * or NULL.  Thread-safe; the result is constant. */
static inline const struct vtrace_reason_info *
vtrace_reason_info(unsigned int reason)
{
    static const struct vtrace_reason_info infos[] = {
#define VTRACE_REASON(NUMBER, ENUM, NAME, VERDICT, STATUS, DESC, SUGGESTION)  \
        { NUMBER, VTRACE_VERDICT_##VERDICT, STATUS, NAME, DESC, SUGGESTION },
        VTRACE_REASONS(VTRACE_REASON)
#undef VTRACE_REASON
    };

    for (unsigned int i = 0; i < sizeof infos / sizeof infos[0]; i++) {
        if (infos[i].reason == reason) {
            return &infos[i];
        }
    }
    return NULL;
}

/* Returns the IPFIX forwardingStatus for a record with 'reason'.  Constant
 * time, for the datapath. */
static inline uint8_t
vtrace_reason_forwarding_status(enum vtrace_reason reason)
{
    switch ((int) reason) {
#define VTRACE_REASON(NUMBER, ENUM, NAME, VERDICT, STATUS, DESC, SUGGESTION)  \
    case NUMBER: return STATUS;
    VTRACE_REASONS(VTRACE_REASON)
#undef VTRACE_REASON
    default: return 0;
    }
}

#define VTRACE_REASON_NAME_LEN 32   /* Of any name, with its null byte. */

/* Writes the name of 'reason' into 'buf' and returns 'buf': "reason-N" for a
 * number that is not in the list. */
static inline const char *
vtrace_reason_name(unsigned int reason, char buf[VTRACE_REASON_NAME_LEN])
{
    const struct vtrace_reason_info *info = vtrace_reason_info(reason);

    if (info) {
        snprintf(buf, VTRACE_REASON_NAME_LEN, "%s", info->name);
    } else {
        snprintf(buf, VTRACE_REASON_NAME_LEN, "reason-%u", reason);
    }
    return buf;
}

/* Returns the name of 'kind', as in "kind" of 'vtrace show --json'. */
static inline const char *
vtrace_verdict_name(enum vtrace_verdict_kind kind)
{
    switch (kind) {
#define VTRACE_VERDICT(ENUM, NAME, DESCRIPTION) \
    case VTRACE_VERDICT_##ENUM: return NAME;
    VTRACE_VERDICTS(VTRACE_VERDICT)
#undef VTRACE_VERDICT
    case VTRACE_N_VERDICTS:
        break;
    }
    return "unknown";
}

#ifdef __cplusplus
}
#endif

#endif /* vtrace-reasons.h */
