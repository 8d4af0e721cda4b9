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

#ifndef GATEWAY_HEADERS_H
#define GATEWAY_HEADERS_H 1

/* Tunnel packets that the gateway makes itself (probes, ICMP errors,
 * fragments), and those that they answer. */

#include <stdbool.h>
#include <stdint.h>

struct dp_packet;
struct gateway_punt;
struct gateway_vtep;
struct in6_addr;

#define GATEWAY_VXLAN_PORT 4789

/* Puts the headers of a tunnel packet to 'vtep' from UDP port 'sport' in front
 * of 'packet', an Ethernet frame, in 'vni' (24 bits), with type of service or
 * traffic class 'tos', and with the mark of a probe if 'probe' (see ovs-ext/zoo-datapath.h).  UDP goes without checksum (RFC
 * 7348, RFC 6935). */
void gateway_push_outer(struct dp_packet *packet, const struct gateway_vtep *,
                        uint32_t vni, uint8_t tos, uint16_t sport, bool probe);

/* Returns the longest inner IP packet on the way to 'vtep', in bytes. */
unsigned int gateway_inner_mtu(const struct gateway_vtep *);

/* Takes the outer headers off 'punt', a tunnel packet: stores their destination
 * address, traffic class and VNI into '*dst', '*tos' and '*vni', and makes '*inner' the inner frame,
 * whose data stay where they are.  Returns false if 'punt' is shorter than
 * that. */
bool gateway_pop_outer(const struct gateway_punt *punt, struct in6_addr *dst,
                       uint8_t *tos, uint32_t *vni, struct dp_packet *inner);

#endif /* gateway-headers.h */
