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

/* Everything that is not the choice of a port: which packets the gateway
 * takes, where they go, and what becomes of their headers.
 *
 * The architecture's file defines, before it includes this one,
 *
 *     FORWARD_TO(PORT): sends the packet to PORT, a parameter of an action,
 *     unless it is dropped or sent elsewhere afterwards. */

/* Takes one update off a negotiation packet.  The token has been compared by
 * the architecture: 'refused' is 0 if it is the right one. */
control Negotiation(inout headers_t hdr, inout metadata_t meta,
                    in bit<32> refused)
{
    bit<8> fits;

    apply {
        /* One condition at a time: p4c-dpdk 1.2.4.16 forgets some of those
         * that && and || combine. */
        fits = 0;
        if (hdr.update.path_table == ZOO_GATEWAY_BITMAP) {
            fits = 1;
        } else if (hdr.update.path_table == ZOO_GATEWAY_INDEX) {
            if (hdr.update.value < 0x100000) {
                fits = 1;
            }
        }

        if (meta.from_cpu == 0) {
            meta.count = COUNT_FOREIGN;
        } else if (refused != 0) {
            meta.count = COUNT_UNAUTHENTICATED;
        } else if (hdr.negotiation.version != ZOO_GATEWAY_NEGOTIATION_VERSION
                   || hdr.negotiation.type
                      != ZOO_GATEWAY_NEGOTIATION_UPDATE
                   || hdr.update.reserved != 0) {
            meta.count = COUNT_MALFORMED;
        } else if (hdr.update.marker == ZOO_GATEWAY_MARKER_END) {
            meta.count = COUNT_ACKNOWLEDGED;
            hdr.update.setInvalid();
            hdr.negotiation.type = ZOO_GATEWAY_NEGOTIATION_ACK;
            hdr.negotiation.token = 0;
        } else if (hdr.update.marker != ZOO_GATEWAY_MARKER_PKT) {
            meta.count = COUNT_MALFORMED;
        } else if (hdr.negotiation.written >= ZOO_GATEWAY_MAX_UPDATES) {
            meta.count = COUNT_ENDLESS;
        } else if (hdr.update.destination >= ZOO_GATEWAY_N_DESTINATIONS) {
            meta.count = COUNT_OUT_OF_RANGE;
        } else if (fits == 0) {
            meta.count = COUNT_MALFORMED;
        } else {
            meta.count = COUNT_WRITTEN;
            meta.write = 1;
            meta.path_table = (bit<32>) hdr.update.path_table;
            meta.destination = hdr.update.destination;
            meta.bitmap = hdr.update.value;
            hdr.update.setInvalid();
            hdr.negotiation.written = hdr.negotiation.written + 1;
        }
    }
}

/* A packet of the CPU port goes where its shim says. */
control SendForCpu(inout headers_t hdr, inout metadata_t meta)
{
    action transmit(bit<32> port) {
        FORWARD_TO(port);
        meta.count = COUNT_SENT;
    }

    action refuse() {
        meta.count = COUNT_NO_PORT;
    }

    table ports {
        key = { hdr.shim.port: exact; }
        actions = { transmit; refuse; }
        const default_action = refuse();
        size = ZOO_GATEWAY_N_PORTS;
    }

    apply {
        ports.apply();
    }
}

/* Is it a tunnel packet for this gateway? */
control Receive(inout headers_t hdr, inout metadata_t meta)
{
    action accept_as(bit<48> mac) {
        meta.mac = mac;
    }

    action refuse() {
        meta.count = COUNT_NOT_OURS;
    }

    table addresses {
        key = {
            hdr.keys.outer_hi: exact;
            hdr.keys.outer_lo: exact;
        }
        actions = { accept_as; refuse; }
        const default_action = refuse();
        size = ZOO_GATEWAY_N_LOCAL;
    }

    apply {
        hdr.keys.setValid();
        if (hdr.ipv4.isValid()) {
            hdr.keys.outer_hi = 0;
            hdr.keys.outer_lo = (bit<64>) hdr.ipv4.dst;
            meta.tos = hdr.ipv4.tos;
        } else {
            hdr.keys.outer_hi = hdr.ipv6.dst_hi;
            hdr.keys.outer_lo = hdr.ipv6.dst_lo;
            meta.tos = (bit<8>) (hdr.ipv6.version_class_label >> 20);
        }
        addresses.apply();
        if (meta.count == COUNT_FORWARDED) {
            if ((hdr.vxlan.flags & ZOO_GATEWAY_VXLAN_F_PROBE) != 0) {
                meta.count = COUNT_PROBE;
            } else if (hdr.vxlan.flags != ZOO_GATEWAY_VXLAN_F_VNI) {
                meta.count = COUNT_BAD_FLAGS;
            }
        }
    }
}

/* The inner flow, and its TTL. */
control InnerFlow(inout headers_t hdr, inout metadata_t meta)
{
    bit<48> group;

    apply {
        hdr.keys.src_port = 0;
        hdr.keys.dst_port = 0;
        if (hdr.inner_ports.isValid()) {
            hdr.keys.src_port = hdr.inner_ports.src;
            hdr.keys.dst_port = hdr.inner_ports.dst;
        }
        if (hdr.inner_ipv4.isValid()) {
            hdr.keys.src_hi = 0;
            hdr.keys.dst_hi = 0;
            hdr.keys.src_lo = (bit<64>) hdr.inner_ipv4.src;
            hdr.keys.dst_lo = (bit<64>) hdr.inner_ipv4.dst;
            hdr.keys.src_lo = hdr.keys.src_lo | 0xffff00000000;
            hdr.keys.dst_lo = hdr.keys.dst_lo | 0xffff00000000;
            hdr.keys.protocol = (bit<32>) hdr.inner_ipv4.protocol;
            if (hdr.inner_ipv4.ttl <= 1) {
                meta.count = COUNT_TTL_EXPIRED;
            } else {
                /* RFC 1624: the sum grows by what the header lost, with the
                 * end-around carry of one's complement. */
                hdr.inner_ipv4.ttl = hdr.inner_ipv4.ttl - 1;
                if (hdr.inner_ipv4.checksum >= 0xfeff) {
                    hdr.inner_ipv4.checksum
                        = hdr.inner_ipv4.checksum + 0x0101;
                } else {
                    hdr.inner_ipv4.checksum
                        = hdr.inner_ipv4.checksum + 0x0100;
                }
            }
        } else if (hdr.inner_ipv6.isValid()) {
            hdr.keys.src_hi = hdr.inner_ipv6.src_hi;
            hdr.keys.src_lo = hdr.inner_ipv6.src_lo;
            hdr.keys.dst_hi = hdr.inner_ipv6.dst_hi;
            hdr.keys.dst_lo = hdr.inner_ipv6.dst_lo;
            hdr.keys.protocol = (bit<32>) hdr.inner_ipv6.protocol;
            if (hdr.inner_ipv6.ttl <= 1) {
                meta.count = COUNT_TTL_EXPIRED;
            } else {
                hdr.inner_ipv6.ttl = hdr.inner_ipv6.ttl - 1;
            }
        } else {
            meta.count = COUNT_NOT_IP;
        }
        /* A router forwards no frame to a multicast or broadcast address (RFC
         * 1812, section 5.3.4). */
        group = hdr.inner_ethernet.dst & 0x010000000000;
        if (group != 0) {
            meta.count = COUNT_NOT_IP;
        }
        hdr.keys.vni = hdr.vxlan.vni >> 8;
    }
}

/* VNI and inner destination to the next VTEP. */
control Route(inout headers_t hdr, inout metadata_t meta)
{
    /* 'vni' is in the upper 24 of its 32 bits, as in the header. */
    action deliver(bit<32> vtep, bit<32> vni, bit<48> mac) {
        meta.vtep = vtep;
        hdr.vxlan.vni = vni;
        hdr.inner_ethernet.dst = mac;
        hdr.inner_ethernet.src = meta.mac;
    }

    action unknown() {
        meta.count = COUNT_NO_ROUTE;
    }

    action try_routes() {
    }

    /* What is behind the VTEPs of this region, address by address. */
    table vms {
        key = {
            hdr.keys.dst_hi: exact;
            hdr.keys.dst_lo: exact;
            hdr.keys.vni: exact;
        }
        actions = { deliver; try_routes; }
        const default_action = try_routes();
        size = ZOO_GATEWAY_N_VMS;
    }

    /* Prefixes, which other regions' gateways are in front of. */
    table routes {
        key = {
            hdr.keys.dst_hi: ternary;
            hdr.keys.dst_lo: ternary;
            hdr.keys.vni: ternary;
        }
        actions = { deliver; unknown; }
        const default_action = unknown();
        size = ZOO_GATEWAY_N_ROUTES;
    }

    apply {
        if (!vms.apply().hit) {
            routes.apply();
        }
    }
}

/* The outer headers on the way to the next VTEP. */
control NextVtep(inout headers_t hdr, inout metadata_t meta)
{
    action send_ipv4(bit<32> port, bit<48> src_mac, bit<48> dst_mac,
                     bit<32> src, bit<32> dst, bit<32> mtu,
                     bit<32> path_table, bit<32> destination) {
        FORWARD_TO(port);
        hdr.ethernet.dst = dst_mac;
        hdr.ethernet.src = src_mac;
        hdr.ethernet.type = ETHERTYPE_IPV4;
        hdr.ipv6.setInvalid();
        hdr.ipv4.setValid();
        hdr.ipv4.src = src;
        hdr.ipv4.dst = dst;
        meta.mtu = mtu;
        meta.path_table = path_table;
        meta.destination = destination;
    }

    action send_ipv6(bit<32> port, bit<48> src_mac, bit<48> dst_mac,
                     bit<64> src_hi, bit<64> src_lo,
                     bit<64> dst_hi, bit<64> dst_lo, bit<32> mtu,
                     bit<32> path_table, bit<32> destination) {
        FORWARD_TO(port);
        hdr.ethernet.dst = dst_mac;
        hdr.ethernet.src = src_mac;
        hdr.ethernet.type = ETHERTYPE_IPV6;
        hdr.ipv4.setInvalid();
        hdr.ipv6.setValid();
        hdr.ipv6.src_hi = src_hi;
        hdr.ipv6.src_lo = src_lo;
        hdr.ipv6.dst_hi = dst_hi;
        hdr.ipv6.dst_lo = dst_lo;
        meta.mtu = mtu;
        meta.path_table = path_table;
        meta.destination = destination;
    }

    action unknown() {
        meta.count = COUNT_NO_VTEP;
    }

    bit<32> length;             /* Outer IP packet. */

    table vteps {
        key = { meta.vtep: exact; }
        actions = { send_ipv4; send_ipv6; unknown; }
        const default_action = unknown();
        size = ZOO_GATEWAY_N_VTEPS;
    }

    apply {
        vteps.apply();

        /* The traffic class goes on from one tunnel to the next, so that a
         * mark of congestion (RFC 3168) is not lost.  No checksum in UDP: RFC
         * 7348, section 5, and RFC 6935 for IPv6. */
        hdr.udp.checksum = 0;
        if (hdr.ipv4.isValid()) {
            hdr.ipv4.version_ihl = 0x45;
            hdr.ipv4.tos = meta.tos;
            hdr.ipv4.length = hdr.udp.length + 20;
            hdr.ipv4.id = 0;
            hdr.ipv4.fragment = 0x4000;
            hdr.ipv4.ttl = 64;
            hdr.ipv4.protocol = PROTOCOL_UDP;
            hdr.ipv4.checksum = 0;
            length = (bit<32>) hdr.ipv4.length;
        } else {
            hdr.ipv6.version_class_label
                = ((bit<32>) meta.tos << 20) | 0x60000000;
            hdr.ipv6.length = hdr.udp.length;
            hdr.ipv6.protocol = PROTOCOL_UDP;
            hdr.ipv6.ttl = 64;
            length = (bit<32>) hdr.ipv6.length + 40;
        }
        if (meta.count == COUNT_FORWARDED) {
            if (meta.mtu < length) {
                meta.count = COUNT_TOO_BIG;
            }
        }
    }
}
