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

#ifndef GATEWAY_NAMES_H
#define GATEWAY_NAMES_H 1

/* What p4c-dpdk calls the program's tables, actions and registers in
 * gateway.spec. */

#define GATEWAY_PORTS "send_for_cpu_ports"
#define GATEWAY_TRANSMIT "send_for_cpu_transmit_0"
#define GATEWAY_ADDRESSES "receive_addresses"
#define GATEWAY_ACCEPT_AS "receive_accept_as_0"
#define GATEWAY_VMS "route_vms"
#define GATEWAY_VMS_DELIVER "route_deliver_0"
#define GATEWAY_ROUTES "route_routes"
#define GATEWAY_ROUTES_DELIVER "route_deliver_1"
#define GATEWAY_VTEPS "next_vtep_vteps"
#define GATEWAY_SEND_IPV4 "next_vtep_send_ipv4_0"
#define GATEWAY_SEND_IPV6 "next_vtep_send_ipv6_0"
#define GATEWAY_FIRST_HEALTHY "bitmap_matching_first_healthy"
#define GATEWAY_PICK "bitmap_matching_pick_0"

#define GATEWAY_BITMAPS "bitmaps_0"
#define GATEWAY_INDICES "indices_0"
#define GATEWAY_CANDIDATE_PORTS "candidate_ports_0"
#define GATEWAY_USED "used_0"
#define GATEWAY_TOKEN "token_0"
#define GATEWAY_COUNTS "counts_0"

#endif /* gateway-names.h */
