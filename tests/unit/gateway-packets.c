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
#include "gateway-packets.h"

#include <string.h>

#include "csum.h"
#include "openvswitch/types.h"
#include "util.h"

uint8_t *
gw_put(uint8_t *p, uint64_t value, size_t n)
{
    for (size_t i = n; i-- > 0; ) {
        *p++ = value >> (8 * i);
    }
    return p;
}

uint64_t
gw_get(const uint8_t *p, size_t n)
{
    uint64_t value = 0;

    for (size_t i = 0; i < n; i++) {
        value = value << 8 | p[i];
    }
    return value;
}

void
gw_packet_init(struct gw_packet *packet, bool outer6, bool inner6)
{
    *packet = (struct gw_packet) {
        .outer6 = outer6,
        .eth_src = 0x020000000099,
        .eth_dst = 0x020000000002,
        .outer_ttl = 61,
        .fragment = 0x4000,
        .sport = 50000,
        .dport = 4789,
        .flags = ZOO_GATEWAY_VXLAN_F_VNI,
        .vni = 100,
        .inner6 = inner6,
        .inner_eth_src = 0x020000000077,
        .inner_eth_dst = GW_MAC,
        .flow = { .src_port = 1234, .dst_port = 80, .protocol = 17 },
        .inner_ttl = 64,
        .payload = 64,
    };
    if (outer6) {
        packet->outer_src[0] = GW_ADDRESS6_HI;
        packet->outer_src[1] = 99;
        packet->outer_dst[0] = GW_ADDRESS6_HI;
        packet->outer_dst[1] = GW_ADDRESS6_LO;
    } else {
        packet->outer_src[1] = GW_ADDRESS + 98;
        packet->outer_dst[1] = GW_ADDRESS;
    }
    if (inner6) {
        packet->flow.src[0] = packet->flow.dst[0] = 0xfd01000000000000;
    }
    packet->flow.src[1] = 0xc0a80001;
    packet->flow.dst[1] = 0xc0a80002;
}

static uint8_t *
put_ipv4(uint8_t *p, uint8_t tos, size_t len, uint16_t id, uint16_t fragment,
         uint8_t ttl, uint8_t protocol, uint32_t src, uint32_t dst)
{
    uint8_t *start = p;
    ovs_be16 checksum;

    p = gw_put(p, 0x45, 1);
    p = gw_put(p, tos, 1);
    p = gw_put(p, len + 20, 2);
    p = gw_put(p, id, 2);
    p = gw_put(p, fragment, 2);
    p = gw_put(p, ttl, 1);
    p = gw_put(p, protocol, 1);
    p = gw_put(p, 0, 2);
    p = gw_put(p, src, 4);
    p = gw_put(p, dst, 4);
    checksum = csum(start, 20);
    memcpy(start + 10, &checksum, sizeof checksum);
    return p;
}

static uint8_t *
put_ipv6(uint8_t *p, uint8_t tos, size_t len, uint8_t ttl, uint8_t protocol,
         const uint64_t src[2], const uint64_t dst[2])
{
    p = gw_put(p, 0x60000000 | tos << 20, 4);
    p = gw_put(p, len, 2);
    p = gw_put(p, protocol, 1);
    p = gw_put(p, ttl, 1);
    p = gw_put(p, src[0], 8);
    p = gw_put(p, src[1], 8);
    p = gw_put(p, dst[0], 8);
    return gw_put(p, dst[1], 8);
}

static uint8_t *
put_ethernet(uint8_t *p, uint64_t dst, uint64_t src, bool ipv6)
{
    p = gw_put(p, dst, 6);
    p = gw_put(p, src, 6);
    return gw_put(p, ipv6 ? 0x86dd : 0x0800, 2);
}

void
gw_packet_encode(const struct gw_packet *pk, struct gw_frame *frame)
{
    size_t udp_len = 8 + 8 + 14 + (pk->inner6 ? 40 : 20) + pk->payload;
    uint8_t *p = frame->data;

    ovs_assert(pk->payload >= 4 && pk->payload <= 1500);
    p = put_ethernet(p, pk->eth_dst, pk->eth_src, pk->outer6);
    p = (pk->outer6
         ? put_ipv6(p, pk->tos, udp_len, pk->outer_ttl, 17, pk->outer_src,
                    pk->outer_dst)
         : put_ipv4(p, pk->tos, udp_len, pk->id, pk->fragment, pk->outer_ttl,
                    17, pk->outer_src[1], pk->outer_dst[1]));
    p = gw_put(p, pk->sport, 2);
    p = gw_put(p, pk->dport, 2);
    p = gw_put(p, udp_len, 2);
    p = gw_put(p, 0, 2);
    p = gw_put(p, pk->flags, 4);
    p = gw_put(p, (uint64_t) pk->vni << 8, 4);
    p = put_ethernet(p, pk->inner_eth_dst, pk->inner_eth_src, pk->inner6);
    p = (pk->inner6
         ? put_ipv6(p, 0, pk->payload, pk->inner_ttl, pk->flow.protocol,
                    pk->flow.src, pk->flow.dst)
         : put_ipv4(p, 0, pk->payload, 7, pk->inner_fragment, pk->inner_ttl,
                    pk->flow.protocol, pk->flow.src[1], pk->flow.dst[1]));
    p = gw_put(p, pk->flow.src_port, 2);
    p = gw_put(p, pk->flow.dst_port, 2);
    for (size_t i = 4; i < pk->payload; i++) {
        *p++ = i;
    }
    frame->len = p - frame->data;
}

struct zoo_gateway_flow
gw_packet_flow(const struct gw_packet *pk)
{
    struct zoo_gateway_flow flow = pk->flow;

    if (!pk->inner6) {
        flow.src[0] = flow.dst[0] = 0;
        flow.src[1] |= 0xffff00000000;
        flow.dst[1] |= 0xffff00000000;
    }
    if ((flow.protocol != 6 && flow.protocol != 17)
        || (!pk->inner6 && pk->inner_fragment & 0x3fff)) {
        flow.src_port = flow.dst_port = 0;
    }
    return flow;
}
