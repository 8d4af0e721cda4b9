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

/* The gateway for PNA, the Portable NIC Architecture, as p4c-dpdk compiles it
 * for DPDK's SWX pipeline. */

#include <core.p4>
#include <pna.p4>

#define FORWARD_TO(PORT) send_to_port((PortId_t) (PORT))

#include "gateway-headers.p4"
#include "gateway-path.p4"
#include "gateway-controls.p4"

struct pre_headers_t {
}

struct pre_metadata_t {
}

control GatewayPre(in pre_headers_t hdr, inout pre_metadata_t meta,
                   in pna_pre_input_metadata_t istd,
                   inout pna_pre_output_metadata_t ostd)
{
    apply {
    }
}

parser GatewayMainParser(packet_in packet, out headers_t hdr,
                         inout metadata_t meta,
                         in pna_main_parser_input_metadata_t istd)
{
    state start {
        packet.extract(hdr.shim);
        transition parse_ethernet;
    }

#include "gateway-parser.p4"
}

/* SWX parses beyond the end of a packet.  So before anything is done with the
 * headers of a tunnel packet, make sure that they are in it, one by one from
 * the outside, and that the outer checksum is right, which a parser of another
 * architecture does.
 *
 * Padding may follow the outer packet (short frames have it) and the inner
 * one. */
control Lengths(inout headers_t hdr, inout metadata_t meta)
{
    InternetChecksum() checksum;
    bit<32> outer;              /* IP packet. */
    bit<32> payload;            /* UDP datagram, as IP has it. */
    bit<32> udp;                /* As UDP has it. */
    bit<32> inner;              /* IP packet, with what is around it. */
    bit<32> least;              /* Around it, and its headers. */
    bit<16> sum;

    apply {
        udp = (bit<32>) hdr.udp.length;
        sum = 0xffff;
        if (hdr.ipv4.isValid()) {
            outer = (bit<32>) hdr.ipv4.length;
            payload = outer - 20;
            checksum.clear();
            checksum.add(hdr.ipv4);
            sum = checksum.get();
        } else {
            payload = (bit<32>) hdr.ipv6.length;
            outer = payload + 40;
        }
        outer = outer + 14;

        /* UDP, VXLAN and Ethernet are around the inner packet. */
        inner = 30;
        least = 30;
        if (hdr.inner_ipv4.isValid()) {
            inner = (bit<32>) hdr.inner_ipv4.length;
            inner = inner + 30;
            least = 50;
        } else if (hdr.inner_ipv6.isValid()) {
            inner = (bit<32>) hdr.inner_ipv6.length;
            inner = inner + 70;
            least = 70;
        }
        if (hdr.inner_ports.isValid()) {
            least = least + 4;
        }

        if (outer > hdr.shim.length) {
            meta.count = COUNT_TRUNCATED;
        } else if (payload != udp || inner > udp || least > inner) {
            meta.count = COUNT_BAD_LENGTH;
        } else if (sum != 0 && sum != 0xffff) {
            meta.count = COUNT_BAD_CHECKSUM;
        }
    }
}

control GatewayMain(inout headers_t hdr, inout metadata_t meta,
                    in pna_main_input_metadata_t istd,
                    inout pna_main_output_metadata_t ostd)
{
    Register<bit<32>, bit<32>>(ZOO_GATEWAY_N_DESTINATIONS) bitmaps;
    Register<bit<32>, bit<32>>(ZOO_GATEWAY_N_DESTINATIONS) indices;
    Register<bit<16>, bit<32>>(ZOO_GATEWAY_N_CANDIDATES) candidate_ports;
    Register<bit<32>, bit<32>>(ZOO_GATEWAY_N_DESTINATIONS) used;
    Register<bit<32>, bit<32>>(1) token;
    Counter<bit<64>, bit<32>>(ZOO_GATEWAY_N_COUNTS,
                              PNA_CounterType_t.PACKETS) counts;
    Hash<bit<32>>(PNA_HashAlgorithm_t.CRC32) flow_hash;
    InternetChecksum() checksum;

    Negotiation() negotiation;
    SendForCpu() send_for_cpu;
    Lengths() lengths;
    Receive() receive;
    InnerFlow() inner_flow;
    Route() route;
    NextVtep() next_vtep;
    BitmapMatching() bitmap_matching;
    HierarchicalIndexing() hierarchical_indexing;

    bit<32> refused;
    bit<16> sport;

    apply {
        /* SWX's metadata keep what an earlier packet left. */
        meta.count = COUNT_FORWARDED;
        meta.choice = COUNT_PLAIN;
        meta.write = 0;
        meta.from_cpu = 0;
        if (istd.input_port == (PortId_t) ZOO_GATEWAY_CPU_PORT) {
            meta.from_cpu = 1;
        }

        if (hdr.negotiation.isValid()) {
            /* Without a token nobody has the right one. */
            refused = token.read(0);
            if (refused == 0) {
                refused = 1;
            } else {
                refused = refused ^ hdr.negotiation.token;
            }
            /* Its headers and one update. */
            if (hdr.shim.length < 38) {
                meta.count = COUNT_MALFORMED;
            } else {
                negotiation.apply(hdr, meta, refused);
            }
            if (!hdr.update.isValid()) {
                hdr.shim.length = hdr.shim.length - 12;
            }
            if (meta.write == 1) {
                if (meta.path_table == ZOO_GATEWAY_BITMAP) {
                    bitmaps.write(meta.destination, meta.bitmap);
                } else {
                    indices.write(meta.destination, meta.bitmap);
                }
            }
        } else if (meta.from_cpu == 1) {
            send_for_cpu.apply(hdr, meta);
        } else if (!hdr.vxlan.isValid()) {
            meta.count = COUNT_LOCAL;
        } else {
            lengths.apply(hdr, meta);
            if (meta.count == COUNT_FORWARDED) {
                receive.apply(hdr, meta);
            }
            if (meta.count == COUNT_FORWARDED) {
                inner_flow.apply(hdr, meta);
            }
            if (meta.count == COUNT_FORWARDED) {
                route.apply(hdr, meta);
            }
            if (meta.count == COUNT_FORWARDED) {
                /* The frame grows or shrinks with its outer header. */
                if (hdr.ipv6.isValid()) {
                    hdr.shim.length = hdr.shim.length - 20;
                }
                next_vtep.apply(hdr, meta);
                if (hdr.ipv6.isValid()) {
                    hdr.shim.length = hdr.shim.length + 20;
                }
            }
            if (meta.count == COUNT_FORWARDED) {
                meta.hash = flow_hash.get_hash({
                    hdr.keys.src_hi, hdr.keys.src_lo,
                    hdr.keys.dst_hi, hdr.keys.dst_lo,
                    hdr.keys.src_port, hdr.keys.dst_port,
                    hdr.keys.protocol });
                meta.own = meta.hash & 0x1f;
                if (meta.path_table == ZOO_GATEWAY_BITMAP) {
                    meta.bitmap = bitmaps.read(meta.destination);
                    bitmap_matching.apply(meta);
                    sport = candidate_ports.read(meta.candidate);
                } else if (meta.path_table == ZOO_GATEWAY_INDEX) {
                    meta.bitmap = indices.read(meta.destination);
                    hierarchical_indexing.apply(meta);
                    sport = candidate_ports.read(meta.candidate);
                } else {
                    /* RFC 7348, section 5: out of 49152 to 65535. */
                    meta.hash = (meta.hash >> 16) | 0xc000;
                    sport = (bit<16>) meta.hash;
                }
                hdr.udp.src = sport;
                if (hdr.ipv4.isValid()) {
                    checksum.clear();
                    checksum.add(hdr.ipv4);
                    hdr.ipv4.checksum = checksum.get();
                }
                counts.count(meta.choice);
                used.write(meta.destination, 1);
            }
        }

        counts.count(meta.count);
        if (meta.count >= ZOO_GATEWAY_FIRST_DROP) {
            drop_packet();
        } else if (meta.count >= ZOO_GATEWAY_FIRST_PUNT) {
            hdr.shim.reason = meta.count;
            if (meta.count == COUNT_TTL_EXPIRED) {
                hdr.shim.reason = hdr.shim.reason | (hdr.keys.vni << 8);
            } else if (meta.count == COUNT_TOO_BIG) {
                hdr.shim.reason = hdr.shim.reason | (hdr.keys.vni << 8);
            }
            send_to_port((PortId_t) ZOO_GATEWAY_CPU_PORT);
        } else if (meta.count == COUNT_WRITTEN) {
            recirculate();
        } else {
            hdr.shim.setInvalid();
        }
    }
}

control GatewayDeparser(packet_out packet, in headers_t hdr,
                        in metadata_t meta,
                        in pna_main_output_metadata_t ostd)
{
    apply {
        packet.emit(hdr.shim);
        packet.emit(hdr.ethernet);
        packet.emit(hdr.negotiation);
        packet.emit(hdr.update);
        packet.emit(hdr.ipv4);
        packet.emit(hdr.ipv6);
        packet.emit(hdr.udp);
        packet.emit(hdr.vxlan);
        packet.emit(hdr.inner_ethernet);
        packet.emit(hdr.inner_ipv4);
        packet.emit(hdr.inner_ipv6);
        packet.emit(hdr.inner_ports);
    }
}

PNA_NIC(GatewayMainParser(), GatewayPre(), GatewayMain(),
        GatewayDeparser()) main;
