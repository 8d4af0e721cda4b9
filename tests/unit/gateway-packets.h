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

#ifndef GATEWAY_PACKETS_H
#define GATEWAY_PACKETS_H 1

/* Tunnel packets of the gateway's tests, encoded without its code. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ofproto-zoo/zoo-gateway-path.h"

#define GW_ADDRESS 0x0a000001   /* 10.0.0.1, the gateway. */
#define GW_ADDRESS6_HI 0xfd00000000000000
#define GW_ADDRESS6_LO 1
#define GW_MAC 0x020000000001   /* Its MAC inside of tunnels. */

#define GW_MAX_FRAME 2048         /* Bytes. */

/* A frame as it is on the wire, with what a test wants to know of it. */
struct gw_frame {
    unsigned int port;          /* Where it comes from, or went. */
    bool dropped;               /* Out only; 'len' is 0 then. */
    unsigned int reason;        /* Out of the CPU port; into it: where to. */
    unsigned int vni;           /* Out of the CPU port. */
    size_t len;
    uint8_t data[GW_MAX_FRAME];
};

/* What a tunnel packet consists of, host byte order.  IPv4 addresses are the
 * low 32 bits of [1]. */
struct gw_packet {
    bool outer6;
    uint64_t eth_src, eth_dst;
    uint64_t outer_src[2], outer_dst[2];
    uint8_t tos, outer_ttl;
    uint16_t id, fragment;
    uint16_t sport, dport;
    uint32_t flags, vni;

    bool inner6;
    uint64_t inner_eth_src, inner_eth_dst;
    struct zoo_gateway_flow flow;
    uint16_t inner_fragment;
    uint8_t inner_ttl;
    size_t payload;             /* Bytes after the inner IP header. */
};

/* Initializes '*packet': UDP from a host to the gateway, IPv4 or IPv6. */
void gw_packet_init(struct gw_packet *packet, bool outer6, bool inner6);

/* Encodes 'packet', with right lengths and checksums. */
void gw_packet_encode(const struct gw_packet *packet, struct gw_frame *frame);

/* Returns the flow of 'packet' as the gateway hashes it. */
struct zoo_gateway_flow gw_packet_flow(const struct gw_packet *packet);

/* Stores 'value' in the 'n' bytes at 'p', most significant first, and returns
 * what follows them; and reads it. */
uint8_t *gw_put(uint8_t *p, uint64_t value, size_t n);
uint64_t gw_get(const uint8_t *p, size_t n);

#endif /* gateway-packets.h */
