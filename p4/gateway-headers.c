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

#include "p4/gateway-headers.h"

#include "csum.h"
#include "dp-packet.h"
#include "flow.h"
#include "ovs-ext/zoo-datapath.h"
#include "p4/gateway-pipeline.h"
#include "p4/gateway-state.h"
#include "packets.h"

/* Around the inner frame. */
#define MAX_OUTER_LEN (ETH_HEADER_LEN + IPV6_HEADER_LEN + UDP_HEADER_LEN \
                       + sizeof(struct vxlanhdr))

void
gateway_push_outer(struct dp_packet *packet, const struct gateway_vtep *vtep,
                   uint32_t vni, uint8_t tos, uint16_t sport, bool probe)
{
    struct vxlanhdr *vxh;
    struct udp_header *udp;
    struct eth_header *eth;

    dp_packet_prealloc_headroom(packet, MAX_OUTER_LEN);
    vxh = dp_packet_push_zeros(packet, sizeof *vxh);

    put_16aligned_be32(&vxh->vx_flags,
                       htonl(VXLAN_FLAGS | (probe ? ZOO_VXLAN_F_PROBE : 0)));
    put_16aligned_be32(&vxh->vx_vni, htonl(vni << 8));
    udp = dp_packet_push_zeros(packet, sizeof *udp);
    udp->udp_src = htons(sport);
    udp->udp_dst = htons(GATEWAY_VXLAN_PORT);
    udp->udp_len = htons(dp_packet_size(packet));
    if (gateway_is_ipv4(&vtep->remote)) {
        struct ip_header *ip;
        size_t len = dp_packet_size(packet);

        ip = dp_packet_push_zeros(packet, sizeof *ip);
        ip->ip_ihl_ver = IP_IHL_VER(5, 4);
        ip->ip_tos = tos;
        ip->ip_tot_len = htons(len + sizeof *ip);
        ip->ip_frag_off = htons(IP_DONT_FRAGMENT);
        ip->ip_ttl = 64;
        ip->ip_proto = IPPROTO_UDP;
        put_16aligned_be32(&ip->ip_src,
                           in6_addr_get_mapped_ipv4(&vtep->local));
        put_16aligned_be32(&ip->ip_dst,
                           in6_addr_get_mapped_ipv4(&vtep->remote));
        ip->ip_csum = csum(ip, sizeof *ip);
    } else {
        struct ovs_16aligned_ip6_hdr *ip6;
        size_t len = dp_packet_size(packet);

        ip6 = dp_packet_push_zeros(packet, sizeof *ip6);
        put_16aligned_be32(&ip6->ip6_ctlun.ip6_un1.ip6_un1_flow,
                           htonl(6u << 28 | (uint32_t) tos << 20));
        ip6->ip6_ctlun.ip6_un1.ip6_un1_plen = htons(len);
        ip6->ip6_ctlun.ip6_un1.ip6_un1_nxt = IPPROTO_UDP;
        ip6->ip6_ctlun.ip6_un1.ip6_un1_hlim = 64;
        memcpy(&ip6->ip6_src, &vtep->local, sizeof ip6->ip6_src);
        memcpy(&ip6->ip6_dst, &vtep->remote, sizeof ip6->ip6_dst);
    }
    eth = dp_packet_push_zeros(packet, sizeof *eth);
    eth->eth_dst = vtep->dst_mac;
    eth->eth_src = vtep->src_mac;
    eth->eth_type = htons(gateway_is_ipv4(&vtep->remote) ? ETH_TYPE_IP
                          : ETH_TYPE_IPV6);
}

unsigned int
gateway_inner_mtu(const struct gateway_vtep *vtep)
{
    unsigned int outer = MAX_OUTER_LEN - IPV6_HEADER_LEN
                         + (gateway_is_ipv4(&vtep->remote) ? IP_HEADER_LEN
                            : IPV6_HEADER_LEN);

    return vtep->mtu > outer ? vtep->mtu - outer : 0;
}

bool
gateway_pop_outer(const struct gateway_punt *punt, struct in6_addr *dst,
                  uint8_t *tos, uint32_t *vni, struct dp_packet *inner)
{
    const struct vxlanhdr *vxh;
    struct dp_packet outer;
    struct flow flow;
    size_t ofs;

    dp_packet_use_const(&outer, punt->data, punt->len);
    flow_extract(&outer, &flow);
    ofs = outer.l4_ofs + UDP_HEADER_LEN + sizeof *vxh;
    if (flow.nw_proto != IPPROTO_UDP || outer.l4_ofs == UINT16_MAX
        || ofs + ETH_HEADER_LEN > punt->len) {
        return false;
    }
    *tos = flow.nw_tos;
    *dst = flow.ipv6_dst;
    if (flow.dl_type == htons(ETH_TYPE_IP)) {
        in6_addr_set_mapped_ipv4(dst, flow.nw_dst);
    }
    vxh = ALIGNED_CAST(const struct vxlanhdr *,
                       punt->data + ofs - sizeof *vxh);
    *vni = ntohl(get_16aligned_be32(&vxh->vx_vni)) >> 8;
    dp_packet_use_const(inner, punt->data + ofs, punt->len - ofs);
    return true;
}
