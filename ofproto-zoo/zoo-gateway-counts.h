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

#ifndef ZOO_GATEWAY_COUNTS_H
#define ZOO_GATEWAY_COUNTS_H 1

/* What the gateway counts: one list for the P4 program and for C.
 *
 * Each is an index into the counter "counts".  Each pass of a packet adds one
 * to one of the first three groups (what became of it), and a packet that was
 * forwarded adds one to one of the last group too.  The reason in the shim of
 * a packet that the CPU port gets is one of these numbers.
 *
 * What leaves has numbers below ZOO_GATEWAY_FIRST_PUNT, what is dropped from
 * ZOO_GATEWAY_FIRST_DROP on, what goes to the CPU port those between. */

#define ZOO_GATEWAY_COUNTS                                                  \
    /* What left. */                                                        \
    ZOO_GATEWAY_COUNT(0, FORWARDED, "forwarded",                            \
                      "sent to the next VTEP")                              \
    ZOO_GATEWAY_COUNT(1, SENT, "sent_for_cpu",                              \
                      "sent as the CPU port asked")                         \
    ZOO_GATEWAY_COUNT(2, WRITTEN, "updates_written",                        \
                      "one update of a negotiation packet, written")        \
    /* What the CPU port got. */                                            \
    ZOO_GATEWAY_COUNT(8, LOCAL, "local",                                    \
                      "not VXLAN, such as ARP, or in fragments")             \
    ZOO_GATEWAY_COUNT(9, PROBE, "probe",                                    \
                      "a probe of ZooRoute")                                \
    ZOO_GATEWAY_COUNT(10, TTL_EXPIRED, "ttl_expired",                       \
                      "inner TTL or hop limit of 1 or 0")                   \
    ZOO_GATEWAY_COUNT(11, TOO_BIG, "too_big",                               \
                      "longer than the MTU on the way to the next VTEP")    \
    ZOO_GATEWAY_COUNT(12, ACKNOWLEDGED, "negotiations_acknowledged",        \
                      "negotiation packet that reached its EndFlag")        \
    /* What was dropped. */                                                 \
    ZOO_GATEWAY_COUNT(16, TRUNCATED, "truncated",                           \
                      "shorter than its headers say")                       \
    ZOO_GATEWAY_COUNT(17, BAD_LENGTH, "bad_length",                         \
                      "lengths of the headers contradict each other")       \
    ZOO_GATEWAY_COUNT(18, BAD_CHECKSUM, "bad_checksum",                     \
                      "outer IPv4 header checksum is wrong")                \
    ZOO_GATEWAY_COUNT(19, NOT_OURS, "not_ours",                             \
                      "outer destination is no address of this gateway")    \
    ZOO_GATEWAY_COUNT(20, BAD_FLAGS, "bad_flags",                           \
                      "VXLAN flags other than a valid VNI")                 \
    ZOO_GATEWAY_COUNT(21, NOT_IP, "not_ip",                                 \
                      "inner frame that is not unicast IPv4 or IPv6")       \
    ZOO_GATEWAY_COUNT(22, NO_ROUTE, "no_route",                             \
                      "VNI and inner destination that no entry has")        \
    ZOO_GATEWAY_COUNT(23, NO_VTEP, "no_vtep",                               \
                      "next VTEP that no entry has")                        \
    ZOO_GATEWAY_COUNT(24, NO_PORT, "no_port",                               \
                      "the CPU port asked for a port that no entry has")    \
    ZOO_GATEWAY_COUNT(25, FOREIGN, "foreign",                               \
                      "negotiation packet from another than the CPU port")  \
    ZOO_GATEWAY_COUNT(26, UNAUTHENTICATED, "unauthenticated",               \
                      "negotiation packet without the right token")         \
    ZOO_GATEWAY_COUNT(27, MALFORMED, "malformed",                           \
                      "negotiation packet with a field that it must not "   \
                      "have, or without EndFlag")                           \
    ZOO_GATEWAY_COUNT(28, OUT_OF_RANGE, "out_of_range",                     \
                      "update of a destination that the table has not")     \
    ZOO_GATEWAY_COUNT(29, ENDLESS, "endless",                               \
                      "negotiation packet with too many updates")           \
    /* How the outer source port was chosen. */                             \
    ZOO_GATEWAY_COUNT(40, BITMAP_KEPT, "bitmap_kept",                       \
                      "the flow's own candidate is healthy")                \
    ZOO_GATEWAY_COUNT(41, BITMAP_MOVED, "bitmap_moved",                     \
                      "the next healthy candidate instead")                 \
    ZOO_GATEWAY_COUNT(42, BITMAP_ALL_BAD, "bitmap_all_bad",                 \
                      "no candidate is healthy, so the flow's own")         \
    ZOO_GATEWAY_COUNT(43, INDEX_KEPT, "index_kept",                         \
                      "empty entry, so the flow's own candidate")           \
    ZOO_GATEWAY_COUNT(44, INDEX_MOVED, "index_moved",                       \
                      "the recorded candidate instead")                     \
    ZOO_GATEWAY_COUNT(45, PLAIN, "plain",                                   \
                      "destination without a path table")

#define ZOO_GATEWAY_FIRST_PUNT 8
#define ZOO_GATEWAY_FIRST_DROP 16
#define ZOO_GATEWAY_N_COUNTS 64

#endif /* zoo-gateway-counts.h */
