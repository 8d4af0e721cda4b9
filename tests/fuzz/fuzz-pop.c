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


/* Fuzzes what a VTEP does with a packet that comes on a VXLAN or Geneve port,
 * up to the body of a probe, and with a tenant's, up to what is learned from it.
 * UDP port 4790 has tunnels with group policy.
 *
 * The first byte says which tunnel it is, and whether probes are intercepted;
 * the rest is the packet as it comes from the device. */

#include <config.h>

#include <stdint.h>
#include <string.h>

#include "dp-packet.h"
#include "flow.h"
#include "netdev.h"
#include "netdev-native-tnl.h"
#include "odp-netlink.h"
#include "openvswitch/vlog.h"
#include "ovs-ext/zoo-datapath.h"
#include "ovs-ext/zoo-flow.h"
#include "ovs-ext/zoo-gbp.h"
#include "ovs-ext/zoo-learn.h"
#include "ofproto-zoo/zoo-probe.h"
#include "util.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#define GBP_PORT 4790

/* Reports with this session are expected, and no others. */
#define SESSION 7

/* The port that a tenant's packet seems to have come with. */
#define SPORT 40000

#define GENEVE 0x01
#define DISABLED 0x02

/* Returns true if 'packet' is one that the datapath would pop.
 *
 * Leaves out what says IPv4 in its EtherType and something else in its IP
 * header: Open vSwitch itself then reads an IPv6 header, which is within the
 * buffers of its devices, but not within ours. */
static bool
is_tunnel_packet(struct dp_packet *packet)
{
    const struct ip_header *ip;
    struct flow flow;

    pkt_metadata_init(&packet->md, 0);
    flow_extract(packet, &flow);
    ip = dp_packet_l3(packet);
    return (flow.nw_proto == IPPROTO_UDP && dp_packet_l4(packet)
            && !(flow.nw_frag & FLOW_NW_FRAG_LATER)
            && (IP_VER(ip->ip_ihl_ver) == 4)
               == (flow.dl_type == htons(ETH_TYPE_IP)));
}

static void
check_queue(unsigned int n)
{
    static struct zoo_rx rx;

    while (zoo_rx_recv(&rx)) {
        struct zoo_probe probe;
        size_t len;

        ovs_assert(n--);
        ovs_assert(rx.len <= sizeof rx.body);
        if (!zoo_probe_decode(rx.body, rx.len, &probe, &len)) {
            ovs_assert(len <= rx.len);
            ovs_assert(probe.type == ZOO_PROBE_REQUEST
                       || probe.session == SESSION);
        }
    }
    ovs_assert(!n);
}

/* Returns the bucket that answers to packets of 'flow' fall into, -1 if it has
 * no ports or is of another protocol than IP. */
static int
bucket_back(const struct flow *flow)
{
    struct flow back = *flow;

    if ((flow->nw_proto != IPPROTO_TCP && flow->nw_proto != IPPROTO_UDP
         && flow->nw_proto != IPPROTO_SCTP)
        || (flow->dl_type != htons(ETH_TYPE_IP)
            && flow->dl_type != htons(ETH_TYPE_IPV6))) {
        return -1;
    }
    back.nw_src = flow->nw_dst;
    back.nw_dst = flow->nw_src;
    back.ipv6_src = flow->ipv6_dst;
    back.ipv6_dst = flow->ipv6_src;
    back.tp_src = flow->tp_dst;
    back.tp_dst = flow->tp_src;
    return zoo_bucket(flow_hash_5tuple(&back, 0));
}

/* Has 'frame', of 'flow', learned from as if it had come out of a tunnel, and
 * compares what for.  The frame is in memory of its own length. */
static void
check_learn(const struct dp_packet *frame, const struct flow *flow)
{
    static struct zoo_learn *learner;
    static struct in6_addr here, there;
    static uint16_t kept[ZOO_N_BUCKETS];
    uint16_t seen[ZOO_N_BUCKETS];
    struct dp_packet_batch batch;
    struct dp_packet *copy;
    int bucket = bucket_back(flow);

    if (!learner) {
        in6_addr_set_mapped_ipv4(&here, htonl(0x0a000101));
        in6_addr_set_mapped_ipv4(&there, htonl(0x0a000201));
        learner = zoo_learn_create(&there, &here, htons(4789));
    }
    copy = dp_packet_clone_data(dp_packet_data(frame), dp_packet_size(frame));
    copy->packet_type = frame->packet_type;
    pkt_metadata_init(&copy->md, 0);
    pkt_metadata_init_tnl(&copy->md);
    copy->md.tunnel.ip_src = in6_addr_get_mapped_ipv4(&there);
    copy->md.tunnel.ip_dst = in6_addr_get_mapped_ipv4(&here);
    copy->md.tunnel.tp_src = htons(SPORT);
    copy->md.tunnel.tp_dst = htons(4789);
    dp_packet_batch_init_packet(&batch, copy);
    zoo_learn(&batch);
    dp_packet_delete(copy);

    zoo_learn_take(learner, kept, seen);
    for (int b = 0; b < ZOO_N_BUCKETS; b++) {
        ovs_assert(seen[b] == (b == bucket
                               && frame->packet_type == htonl(PT_ETH)
                               ? SPORT : 0));
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned int unexpected = zoo_rx_unexpected();
    static bool initialized;
    struct dp_packet *packet;
    bool popped;

    if (!initialized) {
        const struct netdev_tunnel_config cfg = {
            .dst_port = htons(GBP_PORT),
            .exts = 1 << OVS_VXLAN_EXT_GBP,
        };

        vlog_set_levels(NULL, VLF_ANY_DESTINATION, VLL_OFF);
        zoo_gbp_configure(NULL, &cfg);
        zoo_gbp_accept_colors();
        zoo_rx_expect(SESSION);
        initialized = true;
    }
    if (!size) {
        return 0;
    }
    zoo_pop_enable(!(data[0] & DISABLED));
    packet = dp_packet_clone_data_with_headroom(data + 1, size - 1, 2);
    popped = is_tunnel_packet(packet);
    if (popped) {
        packet = (data[0] & GENEVE ? netdev_geneve_pop_header(packet)
                  : netdev_vxlan_pop_header(packet));
    }

    unsigned int n = zoo_pop_taken();
    ovs_assert(n <= 1 && !(n && (packet || data[0] & DISABLED)));
    check_queue(n - (zoo_rx_unexpected() - unexpected));
    if (packet) {
        /* It goes on as a tenant's. */
        const struct flow_tnl *tnl = &packet->md.tunnel;
        struct flow flow;

        /* On other ports, what may be a color.  The mark of injected packets
         * is there only with one. */
        ovs_assert(!popped || tnl->tp_dst == htons(GBP_PORT)
                   || tnl->gbp_id & htons(ZOO_COLOR_TRACED)
                   || (!tnl->gbp_id && !tnl->gbp_flags));
        ovs_assert(!popped
                   || !(tnl->gbp_flags & ~(0x48 | ZOO_GBP_F_INJECTED)));
        ovs_assert(!popped || !(tnl->gbp_flags & ZOO_GBP_F_INJECTED)
                   || tnl->gbp_id & htons(ZOO_COLOR_TRACED));
        flow_extract(packet, &flow);
        check_learn(packet, &flow);
        dp_packet_delete(packet);
    }
    return 0;
}
