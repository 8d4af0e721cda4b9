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

#include "p4/gateway-fragment.h"

#include <string.h>

#include "coverage.h"
#include "csum.h"
#include "dp-packet.h"
#include "flow.h"
#include "ofproto-zoo/zoo-gateway-path.h"
#include "openvswitch/token-bucket.h"
#include "p4/gateway-headers.h"
#include "p4/gateway-pipeline.h"
#include "p4/gateway-state.h"
#include "packets.h"
#include "timeval.h"
#include "util.h"

COVERAGE_DEFINE(gateway_fragmented);
COVERAGE_DEFINE(gateway_not_fragmented);
COVERAGE_DEFINE(gateway_fragment_rate_limited);

/* Packets per second that are taken apart, for all tenants: what brings probes
 * has to have time for them. */
#define MAX_RATE 10000

/* The least MTU of IPv4 (RFC 791, section 3.2). */
#define MIN_MTU 68

/* Returns true if 'ip', with 'size' bytes from there on, may be fragmented: it
 * allows that, is whole, and has no options, which would have to be sorted. */
static bool
may_fragment(const struct ip_header *ip, size_t size)
{
    size_t len = ntohs(ip->ip_tot_len);

    return (IP_IHL(ip->ip_ihl_ver) * 4 == IP_HEADER_LEN
            && len > IP_HEADER_LEN && len <= size
            && !csum(ip, IP_HEADER_LEN));
}

/* Puts the fragment of 'len' bytes of the payload of 'ip', from byte 'ofs' on,
 * into 'packet', which must be empty, behind the Ethernet header 'eth'. */
static void
put_fragment(struct dp_packet *packet, const struct eth_header *eth,
             const struct ip_header *ip, size_t ofs, size_t len)
{
    size_t all = ntohs(ip->ip_tot_len) - IP_HEADER_LEN;
    uint16_t field = ntohs(ip->ip_frag_off);
    struct ip_header *fragment;

    dp_packet_put(packet, eth, sizeof *eth);
    fragment = dp_packet_put(packet, ip, IP_HEADER_LEN);
    fragment->ip_tot_len = htons(IP_HEADER_LEN + len);
    field += ofs / 8;
    if (ofs + len < all) {
        field |= IP_MORE_FRAGMENTS;
    }
    fragment->ip_frag_off = htons(field);
    fragment->ip_csum = 0;
    fragment->ip_csum = csum(fragment, IP_HEADER_LEN);
    dp_packet_put(packet, (const uint8_t *) ip + IP_HEADER_LEN + ofs, len);
}

/* Sends the inner packet 'ip' in fragments through 'tunnel', in 'vni', from UDP
 * port 'sport', with traffic class 'tos'.  Returns false if not all could be sent. */
static bool
send_fragments(const struct gateway_tunnel *tunnel, uint32_t vni, uint8_t tos,
               uint16_t sport, const struct eth_header *eth,
               const struct ip_header *ip)
    OVS_REQUIRES(gateway_mutex)
{
    size_t all = ntohs(ip->ip_tot_len) - IP_HEADER_LEN;
    unsigned int mtu = gateway_inner_mtu(&tunnel->vtep);
    uint64_t stub[512];
    struct dp_packet packet;
    size_t step, ofs;
    bool sent = true;

    if (mtu < MIN_MTU) {
        return false;
    }
    step = (mtu - IP_HEADER_LEN) & ~7u;
    if ((ntohs(ip->ip_frag_off) & IP_FRAG_OFF_MASK) + all / 8
        > IP_FRAG_OFF_MASK) {
        return false;
    }
    dp_packet_use_stub(&packet, stub, sizeof stub);
    for (ofs = 0; ofs < all && sent; ofs += step) {
        dp_packet_clear(&packet);
        dp_packet_reserve(&packet, 128);
        put_fragment(&packet, eth, ip, ofs, MIN(step, all - ofs));
        gateway_push_outer(&packet, &tunnel->vtep, vni, tos, sport, false);
        sent = gateway_reply(tunnel->vtep.port, dp_packet_data(&packet),
                             dp_packet_size(&packet));
    }
    dp_packet_uninit(&packet);
    return sent;
}

bool
gateway_fragment(const struct gateway_punt *punt)
{
    static struct token_bucket bucket = TOKEN_BUCKET_INIT(MAX_RATE,
                                                          100 * MAX_RATE);
    struct zoo_gateway_flow hashed = { .protocol = 0 };
    const struct gateway_tunnel *t;
    struct in6_addr dst, src;
    struct dp_packet inner;
    const struct ip_header *ip;
    struct flow flow;
    uint32_t vni;
    uint8_t tos;
    bool sent;

    if (!gateway_pop_outer(punt, &dst, &tos, &vni, &inner)) {
        return false;
    }
    flow_extract(&inner, &flow);
    ip = dp_packet_l3(&inner);
    if (flow.dl_type != htons(ETH_TYPE_IP)
        || !ip || dp_packet_l3_size(&inner) < IP_HEADER_LEN
        || ip->ip_frag_off & htons(IP_DONT_FRAGMENT)) {
        return false;
    }
    if (!token_bucket_withdraw(&bucket, 1000)) {
        COVERAGE_INC(gateway_fragment_rate_limited);
        return true;
    }

    /* The ports of the first fragment do not count either, see
     * p4/gateway-parser.p4. */
    in6_addr_set_mapped_ipv4(&src, flow.nw_src);
    ovs_mutex_lock(&gateway_mutex);
    t = gateway_tunnel_find(&dst);
    in6_addr_set_mapped_ipv4(&dst, flow.nw_dst);
    zoo_gateway_flow_set(&hashed, src.s6_addr, dst.s6_addr);
    hashed.protocol = flow.nw_proto;
    sent = (t && t->installed && may_fragment(ip, dp_packet_l3_size(&inner))
            && send_fragments(t, vni, tos,
                              gateway_tunnel_sport(
                                  t, zoo_gateway_hash(&hashed)),
                              dp_packet_data(&inner), ip));
    if (sent) {
        gateway_path_mark_used(t->id);
    }
    ovs_mutex_unlock(&gateway_mutex);
    if (sent) {
        COVERAGE_INC(gateway_fragmented);
    } else {
        COVERAGE_INC(gateway_not_fragmented);
    }
    return true;
}
