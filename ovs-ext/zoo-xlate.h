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

#ifndef ZOO_XLATE_H
#define ZOO_XLATE_H 1

/* What ZooRoute asks of flow translation: finding the tunnel port of a probe
 * that was received, and sending probes as the tunnel's own packets.
 *
 * Only one thread, which is not quiescent (see ovs-rcu.h), may call these, and
 * zoo_xlate_send() only with no lock held that flow translation or ZooRoute
 * takes. */

#include <stdbool.h>
#include <stdint.h>

#include "openvswitch/uuid.h"
#include "openvswitch/types.h"

struct dp_packet;
struct in6_addr;
struct zoo_rx;

/* A tunnel port by names that stay meaningful when the port is gone. */
struct zoo_tunnel_port {
    struct uuid ofproto;
    ofp_port_t ofp_port;
};

/* Where a probe goes.  Ports with fixed addresses or key take theirs. */
struct zoo_tunnel_dst {
    struct zoo_tunnel_port port;
    struct in6_addr local, remote;      /* IPv4-mapped for IPv4. */
    ovs_be64 tun_id;
    uint32_t pkt_mark;
};

/* Stores into '*port' the tunnel port that 'rx' belongs to, or where none has
 * its key, another one to its sender: to know the path no key is needed.
 * Returns false if no port here points to its sender. */
bool zoo_xlate_find_tunnel(const struct zoo_rx *rx,
                           struct zoo_tunnel_port *port);

/* Returns true if all tunnel ports here take a color that comes from 'dst' to
 * UDP port 'dst_port': none has options:exts=gbp, unless it has
 * other_config:vtrace=true too. */
bool zoo_xlate_takes_colors(const struct zoo_tunnel_dst *dst,
                            ovs_be16 dst_port);

/* Sends 'packet', an Ethernet frame, as a probe to 'dst', once from each of
 * the 'n' outer source ports 'sports', in one execution of the datapath.
 * Returns 0, or a positive errno value if nothing was sent because of
 * something on this machine: ENODEV (no such port, or it leads elsewhere, or
 * from another address), EHOSTUNREACH (no route or
 * neighbor yet), ENETDOWN (the link is down). */
int zoo_xlate_send(const struct zoo_tunnel_dst *dst, struct dp_packet *packet,
                   const uint16_t sports[], unsigned int n);

#endif /* zoo-xlate.h */
