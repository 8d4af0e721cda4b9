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
#include "frames.h"

#include <string.h>

#include "csum.h"
#include "dp-packet.h"
#include "flow.h"
#include "odp-netlink.h"
#include "packets.h"
#include "unaligned.h"
#include "util.h"

static size_t
put_ip(uint8_t *p, bool ipv6, uint8_t host)
{
    if (ipv6) {
        struct ovs_16aligned_ip6_hdr *ip6 = (void *) p;

        put_16aligned_be32(&ip6->ip6_ctlun.ip6_un1.ip6_un1_flow,
                           htonl(6 << 28));
        ip6->ip6_ctlun.ip6_un1.ip6_un1_nxt = IPPROTO_UDP;
        ip6->ip6_ctlun.ip6_un1.ip6_un1_hlim = 64;
        ip6->ip6_src.be16[0] = ip6->ip6_dst.be16[0] = htons(0xfd00);
        ip6->ip6_src.be16[7] = htons(1);
        ip6->ip6_dst.be16[7] = htons(host);
        return sizeof *ip6;
    } else {
        struct ip_header *ip = (void *) p;

        ip->ip_ihl_ver = IP_IHL_VER(5, 4);
        ip->ip_ttl = 64;
        ip->ip_proto = IPPROTO_UDP;
        put_16aligned_be32(&ip->ip_src, htonl(0x0a000101));
        put_16aligned_be32(&ip->ip_dst, htonl(0x0a000200 + host));
        return sizeof *ip;
    }
}

void
frames_header(struct ovs_action_push_tnl *data, enum zoo_encap encap,
              bool ipv6, uint8_t host)
{
    struct eth_header *eth = (void *) data->header;
    struct udp_header *udp;
    uint8_t *p;

    memset(data, 0, sizeof *data);
    eth->eth_dst = (struct eth_addr) ETH_ADDR_C(aa,55,aa,55,00,02);
    eth->eth_src = (struct eth_addr) ETH_ADDR_C(aa,55,aa,55,00,01);
    eth->eth_type = htons(ipv6 ? ETH_TYPE_IPV6 : ETH_TYPE_IP);
    p = (uint8_t *) (eth + 1);
    p += put_ip(p, ipv6, host);
    udp = (void *) p;
    udp->udp_dst = htons(encap == ZOO_ENCAP_VXLAN ? 4789 : 6081);
    p = (uint8_t *) (udp + 1);
    if (encap == ZOO_ENCAP_VXLAN) {
        struct vxlanhdr *vxh = (void *) p;

        put_16aligned_be32(&vxh->vx_flags, htonl(VXLAN_FLAGS));
        put_16aligned_be32(&vxh->vx_vni, htonl(123 << 8));
        p += sizeof *vxh;
        data->tnl_type = OVS_VPORT_TYPE_VXLAN;
    } else {
        struct genevehdr *gnh = (void *) p;

        gnh->proto_type = htons(ETH_TYPE_TEB);
        put_16aligned_be32(&gnh->vni, htonl(123 << 8));
        p += sizeof *gnh;
        data->tnl_type = OVS_VPORT_TYPE_GENEVE;
    }
    data->header_len = p - (uint8_t *) data->header;
}

struct dp_packet *
frames_tenant(uint16_t tp_src)
{
    struct dp_packet *packet = dp_packet_new_with_headroom(256, 128);
    struct eth_header *eth = dp_packet_put_zeros(packet, sizeof *eth);
    struct ip_header *ip = dp_packet_put_zeros(packet, sizeof *ip);
    struct udp_header *udp = dp_packet_put_zeros(packet, sizeof *udp);
    const size_t payload = 64;

    dp_packet_put_zeros(packet, payload);
    eth->eth_type = htons(ETH_TYPE_IP);
    ip->ip_ihl_ver = IP_IHL_VER(5, 4);
    ip->ip_tot_len = htons(sizeof *ip + sizeof *udp + payload);
    ip->ip_ttl = 64;
    ip->ip_proto = IPPROTO_UDP;
    put_16aligned_be32(&ip->ip_src, htonl(0xc0a80001));
    put_16aligned_be32(&ip->ip_dst, htonl(0xc0a80002));
    ip->ip_csum = csum(ip, sizeof *ip);
    udp->udp_src = htons(tp_src);
    udp->udp_dst = htons(7);
    udp->udp_len = htons(sizeof *udp + payload);
    return packet;
}

struct udp_header *
frames_push(struct dp_packet *packet, const struct ovs_action_push_tnl *data)
{
    const struct eth_header *eth = (const void *) data->header;
    size_t ip_len = (eth->eth_type == htons(ETH_TYPE_IP) ? IP_HEADER_LEN
                     : IPV6_HEADER_LEN);
    uint8_t *p = dp_packet_push_uninit(packet, data->header_len);

    memcpy(p, data->header, data->header_len);
    return (void *) (p + sizeof *eth + ip_len);
}

struct dp_packet *
frames_probe(const struct ovs_action_push_tnl *data, uint16_t sport,
             const void *body, size_t len)
{
    struct dp_packet *packet = dp_packet_new_with_headroom(64 + len, 128);
    struct eth_header *eth = dp_packet_put_zeros(packet, sizeof *eth);

    eth->eth_dst = (struct eth_addr) ZOO_PROBE_ETH_DST;
    eth->eth_type = htons(ZOO_PROBE_ETH_TYPE);
    dp_packet_put(packet, body, len);

    struct udp_header *udp = frames_push(packet, data);
    udp->udp_src = htons(sport);
    udp->udp_len = htons((uint8_t *) dp_packet_tail(packet)
                         - (uint8_t *) udp);
    frames_parse(packet);
    return packet;
}

void
frames_parse(struct dp_packet *packet)
{
    const struct eth_header *eth = dp_packet_data(packet);

    pkt_metadata_init(&packet->md, 0);
    if (eth->eth_type == htons(ETH_TYPE_IP)) {
        struct ip_header *ip = (void *) (eth + 1);

        ip->ip_tot_len = htons(dp_packet_size(packet) - sizeof *eth);
        ip->ip_csum = 0;
        ip->ip_csum = csum(ip, sizeof *ip);
    } else {
        struct ovs_16aligned_ip6_hdr *ip6 = (void *) (eth + 1);

        ip6->ip6_ctlun.ip6_un1.ip6_un1_plen
            = htons(dp_packet_size(packet) - sizeof *eth - sizeof *ip6);
    }

    struct flow flow;
    flow_extract(packet, &flow);
}
