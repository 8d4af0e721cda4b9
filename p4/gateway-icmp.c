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

#include "p4/gateway-icmp.h"

#include <netinet/icmp6.h>

#include "coverage.h"
#include "csum.h"
#include "dp-packet.h"
#include "flow.h"
#include "openvswitch/token-bucket.h"
#include "ofproto-zoo/zoo-gateway-path.h"
#include "ovs-ext/zoo-datapath.h"
#include "p4/gateway-headers.h"
#include "p4/gateway-pipeline.h"
#include "p4/gateway-routes.h"
#include "p4/gateway-state.h"
#include "timeval.h"
#include "util.h"

COVERAGE_DEFINE(gateway_icmp_sent);
COVERAGE_DEFINE(gateway_icmp_not_sent);
COVERAGE_DEFINE(gateway_icmp_rate_limited);

/* Errors per second, for all tenants (RFC 1812, section 4.3.2.8). */
#define MAX_RATE 1000

/* The longest error, with its IP header: RFC 1812, section 4.3.2.3, and RFC
 * 4443, section 2.4. */
#define MAX_IPV4 576
#define MAX_IPV6 1280

/* What is to be said. */
struct error {
    uint8_t type4, code4, type6, code6;
    unsigned int mtu;           /* Of the inner packet, 0 for none. */
};

/* Returns true if nothing may be said of the inner packet 'flow' (RFC 1812,
 * section 4.3.2.7, and RFC 4443, section 2.4 (e)). */
static bool
must_be_silent(const struct flow *flow)
{
    uint8_t type = ntohs(flow->tp_src);

    if (flow->nw_frag & FLOW_NW_FRAG_LATER
        || eth_addr_is_multicast(flow->dl_dst)) {
        return true;
    }
    if (flow->dl_type == htons(ETH_TYPE_IP)) {
        return (flow->nw_proto == IPPROTO_ICMP && type != ICMP4_ECHO_REQUEST
                && type != ICMP4_ECHO_REPLY)
               || ip_is_multicast(flow->nw_dst)
               || ip_is_multicast(flow->nw_src)
               || !flow->nw_src || flow->nw_src == htonl(UINT32_MAX);
    }
    return ((flow->nw_proto == IPPROTO_ICMPV6 && type < 128)
            || ipv6_addr_is_multicast(&flow->ipv6_dst)
            || ipv6_addr_is_multicast(&flow->ipv6_src)
            || !ipv6_addr_is_set(&flow->ipv6_src));
}

/* Appends to 'packet' an IPv4 packet to 'dst' about the inner packet at 'inner',
 * of 'len' bytes. */
static void
put_ipv4(struct dp_packet *packet, const struct error *error, ovs_be32 src,
         ovs_be32 dst, const void *inner, size_t len)
{
    struct icmp_header *icmp;
    struct ip_header *ip;

    len = MIN(len, MAX_IPV4 - IP_HEADER_LEN - ICMP_HEADER_LEN);
    ip = dp_packet_put_zeros(packet, sizeof *ip);
    ip->ip_ihl_ver = IP_IHL_VER(5, 4);
    ip->ip_tos = 0xc0;          /* Internetwork control. */
    ip->ip_tot_len = htons(IP_HEADER_LEN + ICMP_HEADER_LEN + len);
    ip->ip_ttl = 64;
    ip->ip_proto = IPPROTO_ICMP;
    put_16aligned_be32(&ip->ip_src, src);
    put_16aligned_be32(&ip->ip_dst, dst);
    ip->ip_csum = csum(ip, sizeof *ip);

    icmp = dp_packet_put_zeros(packet, ICMP_HEADER_LEN);
    icmp->icmp_type = error->type4;
    icmp->icmp_code = error->code4;
    icmp->icmp_fields.frag.mtu = htons(MIN(error->mtu, UINT16_MAX));
    dp_packet_put(packet, inner, len);
    icmp = dp_packet_at_assert(packet, ETH_HEADER_LEN + IP_HEADER_LEN,
                               ICMP_HEADER_LEN);
    icmp->icmp_csum = csum(icmp, ICMP_HEADER_LEN + len);
}

/* The same for IPv6. */
static void
put_ipv6(struct dp_packet *packet, const struct error *error,
         const struct in6_addr *src, const struct in6_addr *dst,
         const void *inner, size_t len)
{
    struct ovs_16aligned_ip6_hdr *ip6;
    struct icmp6_data_header *icmp6;
    uint32_t sum;

    len = MIN(len, MAX_IPV6 - IPV6_HEADER_LEN - sizeof *icmp6);
    ip6 = dp_packet_put_zeros(packet, sizeof *ip6);
    put_16aligned_be32(&ip6->ip6_ctlun.ip6_un1.ip6_un1_flow,
                       htonl(6u << 28));
    ip6->ip6_ctlun.ip6_un1.ip6_un1_plen = htons(sizeof *icmp6 + len);
    ip6->ip6_ctlun.ip6_un1.ip6_un1_nxt = IPPROTO_ICMPV6;
    ip6->ip6_ctlun.ip6_un1.ip6_un1_hlim = 64;
    memcpy(&ip6->ip6_src, src, sizeof ip6->ip6_src);
    memcpy(&ip6->ip6_dst, dst, sizeof ip6->ip6_dst);
    sum = packet_csum_pseudoheader6(ip6);

    icmp6 = dp_packet_put_zeros(packet, sizeof *icmp6);
    icmp6->icmp6_base.icmp6_type = error->type6;
    icmp6->icmp6_base.icmp6_code = error->code6;
    put_16aligned_be32(icmp6->icmp6_data.be32, htonl(error->mtu));
    dp_packet_put(packet, inner, len);
    icmp6 = dp_packet_at_assert(packet, ETH_HEADER_LEN + IPV6_HEADER_LEN,
                                sizeof *icmp6);
    icmp6->icmp6_base.icmp6_cksum
        = csum_finish(csum_continue(sum, icmp6, sizeof *icmp6 + len));
}

/* Sends 'packet', an Ethernet frame of 'vni' to 'dst', as the pipeline would.
 * Returns false if there is no way. */
static bool
route(struct dp_packet *packet, uint32_t vni, const struct in6_addr *src,
      const struct in6_addr *dst, uint8_t protocol)
    OVS_REQUIRES(gateway_mutex)
{
    struct zoo_gateway_flow flow = { .protocol = protocol };
    const struct gateway_tunnel *t;
    struct gateway_next next;
    struct eth_header *eth;

    if (!gateway_routes_lookup(vni, dst, &next)) {
        return false;
    }
    t = gateway_tunnel_with_id(next.vtep);
    if (!t || !t->installed) {
        return false;
    }
    zoo_gateway_flow_set(&flow, src->s6_addr, dst->s6_addr);
    eth = dp_packet_data(packet);
    eth->eth_dst = next.mac;
    eth->eth_src = gateway_router_mac;
    gateway_push_outer(packet, &t->vtep, next.vni, 0,
                       gateway_tunnel_sport(t, zoo_gateway_hash(&flow)),
                       false);
    return gateway_send(t->vtep.port, dp_packet_data(packet),
                        dp_packet_size(packet));
}

/* Tells the sender of the inner packet 'inner', whose headers are 'flow' and
 * which came in 'vni', of 'error'. */
static bool
send_error(struct dp_packet *inner, const struct flow *flow, uint32_t vni,
           const struct error *error) OVS_REQUIRES(gateway_mutex)
{
    bool ipv4 = flow->dl_type == htons(ETH_TYPE_IP);
    struct in6_addr src = gateway_router_ips[!ipv4];
    size_t len = dp_packet_l3_size(inner);
    uint64_t stub[256];
    struct dp_packet packet;
    struct in6_addr dst;
    struct eth_header *eth;
    bool sent;

    if (!ipv6_addr_is_set(&src) || must_be_silent(flow)) {
        return false;
    }
    dp_packet_use_stub(&packet, stub, sizeof stub);
    dp_packet_reserve(&packet, 128);
    eth = dp_packet_put_zeros(&packet, sizeof *eth);
    eth->eth_type = flow->dl_type;
    if (ipv4) {
        in6_addr_set_mapped_ipv4(&dst, flow->nw_src);
        put_ipv4(&packet, error, in6_addr_get_mapped_ipv4(&src),
                 flow->nw_src, dp_packet_l3(inner), len);
    } else {
        dst = flow->ipv6_src;
        put_ipv6(&packet, error, &src, &dst, dp_packet_l3(inner), len);
    }
    sent = route(&packet, vni, &src, &dst,
                 ipv4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
    dp_packet_uninit(&packet);
    return sent;
}

/* Tells of 'error' the sender of what is in the tunnel packet 'punt'. */
static void
answer(const struct gateway_punt *punt, const struct error *error)
{
    static struct token_bucket bucket = TOKEN_BUCKET_INIT(MAX_RATE,
                                                          100 * MAX_RATE);
    struct dp_packet inner;
    struct in6_addr dst;
    struct flow flow;
    uint32_t vni;
    uint8_t tos;
    bool sent;

    if (!gateway_pop_outer(punt, &dst, &tos, &vni, &inner)) {
        return;
    }
    if (!token_bucket_withdraw(&bucket, 1000)) {
        COVERAGE_INC(gateway_icmp_rate_limited);
        return;
    }
    flow_extract(&inner, &flow);
    if (flow.dl_type != htons(ETH_TYPE_IP)
        && flow.dl_type != htons(ETH_TYPE_IPV6)) {
        return;
    }
    ovs_mutex_lock(&gateway_mutex);
    sent = send_error(&inner, &flow, punt->vni, error);
    ovs_mutex_unlock(&gateway_mutex);
    if (sent) {
        COVERAGE_INC(gateway_icmp_sent);
    } else {
        COVERAGE_INC(gateway_icmp_not_sent);
    }
}

void
gateway_icmp_ttl_expired(const struct gateway_punt *punt)
{
    static const struct error error = {
        .type4 = ICMP4_TIME_EXCEEDED,
        .type6 = ICMP6_TIME_EXCEEDED,
    };

    answer(punt, &error);
}

/* Returns how long an inner IP packet may be on the way that 'punt' was to take,
 * 0 if that is no longer known. */
static unsigned int
mtu_of_way(const struct gateway_punt *punt)
{
    const struct gateway_tunnel *t;
    struct dp_packet inner;
    struct in6_addr dst;
    unsigned int mtu = 0;
    uint32_t vni;
    uint8_t tos;

    if (!gateway_pop_outer(punt, &dst, &tos, &vni, &inner)) {
        return 0;
    }
    ovs_mutex_lock(&gateway_mutex);
    t = gateway_tunnel_find(&dst);
    if (t && t->installed) {
        mtu = gateway_inner_mtu(&t->vtep);
    }
    ovs_mutex_unlock(&gateway_mutex);
    return mtu;
}

void
gateway_icmp_too_big(const struct gateway_punt *punt)
{
    struct error error = {
        .type4 = ICMP4_DST_UNREACH,
        .code4 = 4,
        .type6 = ICMP6_PACKET_TOO_BIG,
        .mtu = mtu_of_way(punt),
    };

    if (error.mtu) {
        answer(punt, &error);
    }
}
