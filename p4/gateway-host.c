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

/* What ZooRoute asks of whoever has it: in ovs-vswitchd flow translation and the
 * datapath, here the gateway's tunnels and the CPU port of its pipeline. */

#include <config.h>

#include <errno.h>

#include "dp-packet.h"
#include "flow.h"
#include "odp-util.h"
#include "ovs-ext/zoo-datapath.h"
#include "ovs-ext/zoo-vtrace.h"
#include "ovs-ext/zoo-xlate.h"
#include "p4/gateway-headers.h"
#include "p4/gateway-host.h"
#include "p4/gateway-state.h"
#include "util.h"

/* Colors: the gateway's data plane knows RFC 7348's flags only. */

bool
zoo_vtrace_is_enabled(void)
{
    return false;
}

bool
zoo_xlate_takes_colors(const struct zoo_tunnel_dst *dst OVS_UNUSED,
                       ovs_be16 dst_port OVS_UNUSED)
{
    return false;
}

/* Receiving. */

bool
zoo_xlate_find_tunnel(const struct zoo_rx *rx, struct zoo_tunnel_port *port)
{
    const struct gateway_tunnel *t;
    bool found;

    ovs_mutex_lock(&gateway_mutex);
    t = gateway_tunnel_find(&rx->src);
    found = t && t->installed && rx->encap == ZOO_ENCAP_VXLAN;
    if (found) {
        memset(port, 0, sizeof *port);
        port->ofp_port = (OVS_FORCE ofp_port_t) t->id;
    }
    ovs_mutex_unlock(&gateway_mutex);
    return found;
}

void
gateway_host_receive(const struct gateway_punt *punt)
{
    struct dp_packet *packet = dp_packet_clone_data(punt->data, punt->len);
    struct flow_tnl *tnl = &packet->md.tunnel;
    const struct udp_header *udp;
    struct flow flow;

    pkt_metadata_init(&packet->md, ODPP_NONE);
    flow_extract(packet, &flow);
    udp = dp_packet_l4(packet);
    if (!udp || flow.nw_proto != IPPROTO_UDP
        || dp_packet_l4_size(packet) < (UDP_HEADER_LEN
                                        + sizeof(struct vxlanhdr)
                                        + ETH_HEADER_LEN)) {
        dp_packet_delete(packet);
        return;
    }
    pkt_metadata_init_tnl(&packet->md);
    if (flow.dl_type == htons(ETH_TYPE_IP)) {
        tnl->ip_src = flow.nw_src;
        tnl->ip_dst = flow.nw_dst;
    } else {
        tnl->ipv6_src = flow.ipv6_src;
        tnl->ipv6_dst = flow.ipv6_dst;
    }
    tnl->tp_src = flow.tp_src;
    tnl->tp_dst = flow.tp_dst;
    if (zoo_pop_is_enabled()) {
        zoo_pop_vxlan(packet);
    } else {
        dp_packet_delete(packet);
    }
}

/* Sending. */

int
zoo_xlate_send(const struct zoo_tunnel_dst *dst, struct dp_packet *packet,
               const uint16_t sports[], unsigned int n)
{
    struct gateway_port_info info;
    const struct gateway_tunnel *t;
    struct gateway_vtep vtep;
    unsigned int n_sent = 0;
    size_t udp_ofs;
    bool known;

    ovs_mutex_lock(&gateway_mutex);
    t = gateway_tunnel_with_id((OVS_FORCE uint32_t) dst->port.ofp_port);
    known = (t && ipv6_addr_equals(&t->remote, &dst->remote)
             && gateway_interface_with(&dst->local));
    if (known && t->installed) {
        /* A report comes from the address that was asked, which need not be
         * the one that tunnel packets come from. */
        vtep = t->vtep;
        vtep.local = dst->local;
    }
    bool installed = known && t->installed;
    ovs_mutex_unlock(&gateway_mutex);
    if (!known) {
        return ENODEV;
    } else if (!installed) {
        return EHOSTUNREACH;
    } else if (!gateway_port_get_info(vtep.port, &info)) {
        return ENODEV;
    } else if (!info.link_up) {
        return ENETDOWN;
    }

    gateway_push_outer(packet, &vtep, ntohll(dst->tun_id), 0, 0, true);
    udp_ofs = ETH_HEADER_LEN + (gateway_is_ipv4(&vtep.remote)
                                ? IP_HEADER_LEN : IPV6_HEADER_LEN);
    for (unsigned int i = 0; i < n; i++) {
        struct udp_header *udp = dp_packet_at_assert(packet, udp_ofs,
                                                     sizeof *udp);

        udp->udp_src = htons(sports[i]);
        n_sent += gateway_send(vtep.port, dp_packet_data(packet),
                               dp_packet_size(packet));
    }
    return n_sent == n ? 0 : ENOBUFS;
}
