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
#include "vtrace/inject.h"

#include <netinet/icmp6.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "csum.h"
#include "dp-packet.h"
#include "openvswitch/list.h"
#include "openvswitch/match.h"
#include "openvswitch/ofp-actions.h"
#include "openvswitch/ofp-packet.h"
#include "openvswitch/ofpbuf.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/rconn.h"
#include "openvswitch/token-bucket.h"
#include "openvswitch/vlog.h"
#include "packets.h"
#include "timeval.h"
#include "unaligned.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(vtrace_inject);

/* Dynamic ports. */
#define MIN_EPHEMERAL 49152

/* ms.  Packets that are due within this time go out together. */
#define TICK_MS 5

/* Messages that may wait in a connection. */
#define MAX_QUEUED 100

#define TTL 64
#define TCP_WINDOW 65535

/* A token bucket's rate is in tokens per ms, so a packet is that many. */
#define TOKENS 1000

/* What is due of a time that vtraced was held up is still sent, for so many
 * ms. */
#define BURST_MS (4 * TICK_MS)

/* With room for all bursts, and a packet more of each, lest the last ones find
 * none. */
static struct token_bucket total
    = TOKEN_BUCKET_INIT(VTRACE_INJECT_MAX_TOTAL,
                        VTRACE_INJECT_MAX_TOTAL * BURST_MS * 2);

/* Injectors that switches have not refused. */
static struct ovs_list injectors = OVS_LIST_INITIALIZER(&injectors);

struct vtrace_injector {
    struct ovs_list node;       /* In 'injectors', unless 'error'. */
    struct vtrace_inject inject;
    struct token_bucket bucket;
    uint32_t n;                 /* Packets made. */
    uint32_t tcp_seq;
    uint16_t sport;
    uint16_t icmp_id;
    uint16_t ip_id;             /* Of the first packet. */

    struct rconn_packet_counter *queued;
    ovs_be32 xid;               /* Of all messages; 0 before the first one. */
    uint64_t sent;
    char *error;                /* The switch's, or NULL. */
};

static bool
is_any(const struct in6_addr *addr)
{
    return ipv6_addr_equals(addr, &in6addr_any);
}

static bool
is_icmp(uint8_t proto)
{
    return proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;
}

char *
vtrace_inject_check(const struct vtrace_request *request)
{
    const struct vtrace_match *m = &request->match;
    bool src_mac = !eth_addr_is_zero(request->src_mac);
    bool dst_mac = !eth_addr_is_zero(request->dst_mac);

    if (is_any(&m->src) || is_any(&m->dst)) {
        return xasprintf("inject: packets need both addresses, give --%s",
                         is_any(&m->src) ? "src" : "dst");
    } else if (IN6_IS_ADDR_V4MAPPED(&m->src)
               != IN6_IS_ADDR_V4MAPPED(&m->dst)) {
        return xstrdup("inject: --src and --dst are of different IP versions, "
                       "give both of one");
    } else if (m->proto != IPPROTO_TCP && m->proto != IPPROTO_UDP
               && m->proto != (IN6_IS_ADDR_V4MAPPED(&m->src)
                               ? IPPROTO_ICMP : IPPROTO_ICMPV6)) {
        return xasprintf("inject: no packets of IP protocol %"PRIu8" are made, "
                         "use --proto tcp, udp or icmp", m->proto);
    } else if (!is_icmp(m->proto) && !m->dport) {
        return xstrdup("inject: packets need a destination port, give "
                       "--dst IP:PORT");
    } else if (src_mac != dst_mac) {
        return xasprintf("inject: packets need both Ethernet addresses or "
                         "none, give --%s-mac", src_mac ? "dst" : "src");
    } else if (eth_addr_is_multicast(request->src_mac)) {
        return xasprintf("inject: --src-mac "ETH_ADDR_FMT" is not a machine's, "
                         "give that of one",
                         ETH_ADDR_ARGS(request->src_mac));
    }
    return NULL;
}

/* Sharing. */

/* Returns how many packets per second there are if each injector makes what
 * is wanted, but 'max' at most. */
static uint64_t
sum_of_rates(int max)
{
    const struct vtrace_injector *in;
    uint64_t sum = 0;

    LIST_FOR_EACH (in, node, &injectors) {
        sum += MIN(in->inject.pps, max);
    }
    return sum;
}

/* Gives each injector what is wanted or, if that is more than all may have,
 * at most the same as any other. */
static void
share_out(void)
{
    static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(6, 6);
    uint64_t wanted = sum_of_rates(INT_MAX);
    int share = 1, most = VTRACE_INJECT_MAX_TOTAL;
    struct vtrace_injector *in;

    while (share < most) {
        int middle = (share + most + 1) / 2;

        if (sum_of_rates(middle) <= VTRACE_INJECT_MAX_TOTAL) {
            share = middle;
        } else {
            most = middle - 1;
        }
    }
    LIST_FOR_EACH (in, node, &injectors) {
        int rate = MIN(in->inject.pps, share);

        token_bucket_set(&in->bucket, rate, TOKENS + rate * BURST_MS);
    }
    if (wanted > VTRACE_INJECT_MAX_TOTAL) {
        VLOG_WARN_RL(&rl, "tasks want %"PRIu64" injected packets per second, "
                     "all together may have %d: none gets more than %d",
                     wanted, VTRACE_INJECT_MAX_TOTAL, share);
    }
}

/* Leaves the share of 'in' to the others. */
static void
leave(struct vtrace_injector *in)
{
    if (!in->error) {
        ovs_list_remove(&in->node);
        share_out();
    }
}

struct vtrace_injector *
vtrace_injector_create(const struct vtrace_inject *inject, uint32_t random)
{
    struct vtrace_injector *in = xzalloc(sizeof *in);

    in->inject = *inject;
    token_bucket_init(&in->bucket, 0, 0);
    ovs_list_push_back(&injectors, &in->node);
    share_out();
    in->sport = (inject->match.sport ? inject->match.sport
                 : MIN_EPHEMERAL + random % (UINT16_MAX - MIN_EPHEMERAL + 1));
    in->icmp_id = in->ip_id = random >> 16;

    /* Always the same: it can fit a connection that is open only by a rare
     * accident, not for being one of many. */
    in->tcp_seq = random;
    in->queued = rconn_packet_counter_create();
    return in;
}

void
vtrace_injector_destroy(struct vtrace_injector *in)
{
    if (in) {
        leave(in);
        rconn_packet_counter_destroy(in->queued);
        free(in->error);
        free(in);
    }
}

/* Packets. */

static void
put_payload(const struct vtrace_injector *in, struct dp_packet *packet)
{
    char *payload = dp_packet_put_zeros(packet, VTRACE_INJECT_PAYLOAD);

    /* 23 bytes and 8: within the 32 that the digest takes. */
    snprintf(payload, VTRACE_INJECT_PAYLOAD, VTRACE_INJECT_TEXT"%08"PRIx32,
             in->n);
}

static void
put_udp(const struct vtrace_injector *in, struct dp_packet *packet)
{
    struct udp_header *udp = dp_packet_put_zeros(packet, sizeof *udp);

    udp->udp_src = htons(in->sport);
    udp->udp_dst = htons(in->inject.match.dport);
    udp->udp_len = htons(sizeof *udp + VTRACE_INJECT_PAYLOAD);
}

/* A SYN with the timestamps option (RFC 7323, section 3). */
static void
put_tcp(const struct vtrace_injector *in, struct dp_packet *packet)
{
    static const uint8_t start[] = { 1, 1, 8, 10 };
    struct tcp_header *tcp;
    uint8_t *option;

    tcp = dp_packet_put_zeros(packet, sizeof *tcp + 12);
    tcp->tcp_src = htons(in->sport);
    tcp->tcp_dst = htons(in->inject.match.dport);
    put_16aligned_be32(&tcp->tcp_seq, htonl(in->tcp_seq));
    tcp->tcp_ctl = TCP_CTL(TCP_SYN, (sizeof *tcp + 12) / 4);
    tcp->tcp_winsz = htons(TCP_WINDOW);
    option = (uint8_t *) (tcp + 1);
    memcpy(option, start, sizeof start);
    put_unaligned_be32(ALIGNED_CAST(ovs_be32 *, option + sizeof start),
                       htonl(in->n));
}

static void
put_icmp(const struct vtrace_injector *in, struct dp_packet *packet)
{
    struct icmp_header *icmp = dp_packet_put_zeros(packet, sizeof *icmp);

    /* ICMPv6 has the same form. */
    icmp->icmp_type = (in->inject.match.proto == IPPROTO_ICMP
                       ? ICMP4_ECHO_REQUEST : ICMP6_ECHO_REQUEST);
    icmp->icmp_fields.echo.id = htons(in->icmp_id);
    icmp->icmp_fields.echo.seq = htons(in->n);
}

static void
put_l4(const struct vtrace_injector *in, struct dp_packet *packet)
{
    switch (in->inject.match.proto) {
    case IPPROTO_UDP:
        put_udp(in, packet);
        break;
    case IPPROTO_TCP:
        put_tcp(in, packet);
        break;
    default:
        put_icmp(in, packet);
        break;
    }
    put_payload(in, packet);
}

/* Sets the checksum of the 'len' bytes at 'l4', given that of the pseudo-header
 * (0 if there is none). */
static void
set_checksum(uint8_t proto, void *l4, size_t len, uint32_t pseudo)
{
    ovs_be16 csum = csum_finish(csum_continue(pseudo, l4, len));

    if (proto == IPPROTO_TCP) {
        ((struct tcp_header *) l4)->tcp_csum = csum;
    } else if (proto == IPPROTO_UDP) {
        ((struct udp_header *) l4)->udp_csum = csum ? csum : htons(0xffff);
    } else {
        ((struct icmp_header *) l4)->icmp_csum = csum;
    }
}

static void
put_ipv4(const struct vtrace_injector *in, struct dp_packet *packet)
{
    const struct vtrace_match *m = &in->inject.match;
    size_t l3 = dp_packet_size(packet);
    struct ip_header *ip = dp_packet_put_zeros(packet, sizeof *ip);
    size_t l4_len;

    put_l4(in, packet);
    ip = dp_packet_at_assert(packet, l3, sizeof *ip);
    l4_len = dp_packet_size(packet) - l3 - sizeof *ip;
    ip->ip_ihl_ver = IP_IHL_VER(5, 4);
    ip->ip_tot_len = htons(sizeof *ip + l4_len);
    ip->ip_id = htons(in->ip_id + in->n);
    ip->ip_ttl = TTL;
    ip->ip_proto = m->proto;
    put_16aligned_be32(&ip->ip_src, in6_addr_get_mapped_ipv4(&m->src));
    put_16aligned_be32(&ip->ip_dst, in6_addr_get_mapped_ipv4(&m->dst));
    ip->ip_csum = csum(ip, sizeof *ip);
    set_checksum(m->proto, ip + 1, l4_len,
                 m->proto == IPPROTO_ICMP ? 0 : packet_csum_pseudoheader(ip));
}

static void
put_ipv6(const struct vtrace_injector *in, struct dp_packet *packet)
{
    const struct vtrace_match *m = &in->inject.match;
    size_t l3 = dp_packet_size(packet);
    struct ovs_16aligned_ip6_hdr *ip6 = dp_packet_put_zeros(packet,
                                                            sizeof *ip6);
    size_t l4_len;

    put_l4(in, packet);
    ip6 = dp_packet_at_assert(packet, l3, sizeof *ip6);
    l4_len = dp_packet_size(packet) - l3 - sizeof *ip6;
    put_16aligned_be32(&ip6->ip6_flow, htonl(UINT32_C(6) << 28));
    ip6->ip6_plen = htons(l4_len);
    ip6->ip6_nxt = m->proto;
    ip6->ip6_hlim = TTL;
    memcpy(&ip6->ip6_src, &m->src, sizeof ip6->ip6_src);
    memcpy(&ip6->ip6_dst, &m->dst, sizeof ip6->ip6_dst);
    set_checksum(m->proto, ip6 + 1, l4_len, packet_csum_pseudoheader6(ip6));
}

void
vtrace_injector_compose(struct vtrace_injector *in, struct dp_packet *packet)
{
    const struct vtrace_match *m = &in->inject.match;
    bool v4 = IN6_IS_ADDR_V4MAPPED(&m->src);
    struct eth_header *eth = dp_packet_put_zeros(packet, sizeof *eth);

    eth->eth_dst = in->inject.dst_mac;
    eth->eth_src = in->inject.src_mac;
    eth->eth_type = htons(v4 ? ETH_TYPE_IP : ETH_TYPE_IPV6);
    if (m->vlan) {
        struct vlan_header *vlan = dp_packet_put_zeros(packet, sizeof *vlan);

        eth = dp_packet_data(packet);
        vlan->vlan_next_type = eth->eth_type;
        vlan->vlan_tci = htons(m->vlan);
        eth->eth_type = htons(ETH_TYPE_VLAN_8021Q);
    }
    if (v4) {
        put_ipv4(in, packet);
    } else {
        put_ipv6(in, packet);
    }
    in->n++;
}

/* Makes the next packet.  Returns the message that has it go in by
 * 'in_port'. */
static struct ofpbuf *
next_message(struct vtrace_injector *in, ofp_port_t in_port,
             enum ofputil_protocol protocol)
{
    uint64_t ofpacts_stub[64 / 8], packet_stub[256 / 8];
    struct ofpbuf ofpacts = OFPBUF_STUB_INITIALIZER(ofpacts_stub);
    struct ofputil_packet_out po;
    struct ofpact_vtrace *vt;
    struct dp_packet packet;
    struct ofpbuf *msg;

    dp_packet_use_stub(&packet, packet_stub, sizeof packet_stub);
    vtrace_injector_compose(in, &packet);

    vt = ofpact_put_VTRACE(&ofpacts);
    vt->color = in->inject.color;
    vt->exp = in->inject.exp;
    vt->inject = true;

    memset(&po, 0, sizeof po);
    po.packet = dp_packet_data(&packet);
    po.packet_len = dp_packet_size(&packet);
    po.buffer_id = UINT32_MAX;
    match_init_catchall(&po.flow_metadata);
    match_set_in_port(&po.flow_metadata, in_port);
    po.ofpacts = ofpacts.data;
    po.ofpacts_len = ofpacts.size;
    msg = ofputil_encode_packet_out(&po, protocol);

    /* With one number for all of them, an answer needs no list. */
    struct ofp_header *oh = msg->data;
    if (in->xid) {
        oh->xid = in->xid;
    } else {
        in->xid = oh->xid;
    }

    dp_packet_uninit(&packet);
    ofpbuf_uninit(&ofpacts);
    return msg;
}

/* Sending. */

static bool
is_due(struct vtrace_injector *in)
{
    if (!token_bucket_withdraw(&in->bucket, TOKENS)) {
        return false;
    }
    if (!token_bucket_withdraw(&total, TOKENS)) {
        in->bucket.tokens += TOKENS;    /* Its packet waits. */
        return false;
    }
    return true;
}

void
vtrace_injector_run(struct vtrace_injector *in, struct rconn *rconn,
                    ofp_port_t in_port, enum ofputil_protocol protocol)
{
    while (!in->error && is_due(in)) {
        in->sent += !rconn_send_with_limit(rconn,
                                           next_message(in, in_port, protocol),
                                           in->queued, MAX_QUEUED);
    }
}

void
vtrace_injector_wait(struct vtrace_injector *in)
{
    long long int missing = TOKENS - (long long int) in->bucket.tokens;
    long long int ms = missing > 0 ? missing / in->bucket.rate + 1 : 0;

    if (!in->error) {
        /* Lest a thousand packets be a thousand wakeups. */
        poll_timer_wait_until(MAX(in->bucket.last_fill + ms,
                                  time_msec() + TICK_MS));
    }
}

bool
vtrace_injector_refused(struct vtrace_injector *in, ovs_be32 xid,
                        const char *bridge, enum ofperr error)
{
    if (!in->xid || xid != in->xid) {
        return false;
    }
    if (!in->error) {
        bool old = (error == OFPERR_NXBRC_MUST_BE_ZERO
                    || error == OFPERR_OFPBAC_BAD_VENDOR_TYPE);

        leave(in);
        in->error = xasprintf("bridge %s: the switch refused an injected "
                              "packet: %s%s", bridge, ofperr_to_string(error),
                              old ? "; it is too old for that" : "");
    }
    return true;
}

uint64_t
vtrace_injector_sent(const struct vtrace_injector *in, const char **why)
{
    *why = in->error;
    return in->sent;
}
