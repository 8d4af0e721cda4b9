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


#ifndef FRAMES_H
#define FRAMES_H 1

/* Packets of tunnels, as tests of the datapath need them. */

#include <stdbool.h>
#include <stdint.h>

#include "openvswitch/types.h"
#include "ovs-ext/zoo-datapath.h"

struct dp_packet;
struct ovs_action_push_tnl;

/* Fills 'data' with a prebuilt header, as flow translation builds them, of the
 * tunnel to 10.0.2.'host', or fd00::'host' with 'ipv6'. */
void frames_header(struct ovs_action_push_tnl *data, enum zoo_encap,
                   bool ipv6, uint8_t host);

/* Returns a new packet: UDP from 192.168.0.1 to 192.168.0.2, with source port
 * 'tp_src', in an Ethernet frame of a tenant. */
struct dp_packet *frames_tenant(uint16_t tp_src);

/* Prepends the header of 'data' to 'packet'.  Returns the outer UDP header. */
struct udp_header *frames_push(struct dp_packet *packet,
                               const struct ovs_action_push_tnl *data);

/* Returns a new packet with the 'len' bytes 'body' as probe, in a tunnel whose
 * header is 'data', with outer source port 'sport', as it is received. */
struct dp_packet *frames_probe(const struct ovs_action_push_tnl *data,
                               uint16_t sport, const void *body, size_t len);

/* Sets the packet's pointers to its headers, as the datapath has them when it
 * pops a tunnel header. */
void frames_parse(struct dp_packet *packet);

#endif /* frames.h */
