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

/* The gateway for TNA, the Tofino Native Architecture, for Tofino 1.
 *
 * The ingress takes packets, finds where they go and which outer source port
 * they get; the egress writes their outer headers.  docs/p4.md says what
 * differs from gateway-pna.p4, and why. */

#include <core.p4>
#include <tna.p4>

#include "../ofproto-zoo/zoo-gateway-limits.h"

/* A cell of "paths" has 64 bits, so this many fill 25 blocks of SRAM: fewer
 * than the ZOO_GATEWAY_N_DESTINATIONS of the software gateway. */
#define DESTINATIONS_SHIFT 11
#define DESTINATIONS_UNITS 25
#define DESTINATIONS (DESTINATIONS_UNITS << DESTINATIONS_SHIFT)

/* A condition can compare at most 12 bits with a constant that is no power of
 * 2. */
#undef ZOO_GATEWAY_MAX_UPDATES
#define ZOO_GATEWAY_MAX_UPDATES 128

/* The CPU's port, that of a Tofino with two pipes, and the recirculation ports
 * of all pipes, which have the number of the pipe above these 7 bits. */
#ifndef ZOO_GATEWAY_TNA_CPU_PORT
#define ZOO_GATEWAY_TNA_CPU_PORT 192
#endif
#define ZOO_GATEWAY_TNA_RECIRCULATION 68

/* For the packets of the CPU port only, which have a shim. */
#define FORWARD_TO(PORT) hdr.shim.port = (PORT)

#include "gateway-headers.p4"
#include "gateway-path.p4"
#include "gateway-controls.p4"

/* From the ingress to the egress, in front of every packet. */
header bridge_t {
    bit<32> vtep;               /* Key of "outer_headers". */
    bit<16> port;               /* Where the packet came from. */
    bit<8> reserved;
    bit<8> count;               /* COUNT_*: what becomes of it. */
}

const bit<16> BRIDGE_BYTES = 8;
const bit<16> ETHERNET_BYTES = 14;
const bit<16> IPV4_BYTES = 20;
const bit<16> IPV6_BYTES = 40;
const bit<16> FCS_BYTES = 4;

struct ingress_headers_t {
    bridge_t bridge;
    headers_t gateway;
}

struct ingress_metadata_t {
    metadata_t gateway;
    bit<32> received;           /* COUNT_*: what TofinoReceive finds. */
    PortId_t port;              /* Where it goes. */
    bit<16> plain;              /* Hash, for want of a path table. */
    bool bad_checksum;
    bool bad_length;
    bit<16> surplus;            /* Bytes of IP beyond UDP, outside. */
    bit<16> room;               /* Bytes of UDP beyond the inner packet. */
    bit<16> inner;              /* Length of the inner packet, as it says. */
    bit<16> limit;              /* Longest UDP datagram. */
    bit<16> excess;             /* Bytes of UDP beyond the MTU. */
}

struct egress_headers_t {
    bridge_t bridge;
    shim_t shim;
    ethernet_t ethernet;
    ipv4_t ipv4;
    ipv6_t ipv6;
    udp_t udp;
}

struct egress_metadata_t {
    bit<8> tos;
    bit<8> was_ipv4;
    bit<16> length;             /* Of the packet. */
    bit<16> udp;                /* Longest UDP datagram that is in it. */
    bit<16> lacking;            /* Bytes of UDP that are not. */
    bit<6> count;               /* COUNT_*, if it is to be dropped. */
}

/* The shared states, but for those that verify the outer checksum. */
parser GatewayParser(packet_in packet, inout headers_t hdr,
                     inout bool bad_checksum)
{
    Checksum() checksum;

    state start {
        packet.extract(hdr.ethernet);
        transition select(hdr.ethernet.type) {
            ETHERTYPE_IPV4: verify_ipv4;
            ETHERTYPE_IPV6: parse_ipv6;
            ZOO_GATEWAY_NEGOTIATION_TYPE: parse_negotiation;
            default: accept;
        }
    }

    state verify_ipv4 {
        packet.extract(hdr.ipv4);
        checksum.add(hdr.ipv4);
        bad_checksum = checksum.verify();
        transition select(hdr.ipv4.version_ihl) {
            0x45: parse_ipv4_plain;
            default: accept;
        }
    }

#include "gateway-parser.p4"
}

/* Without these the compiler tries too many ways to cut long fields. */
@pa_container_size("ingress", "hdr.gateway.ipv6.src_hi", 32)
@pa_container_size("ingress", "hdr.gateway.ipv6.src_lo", 32)
@pa_container_size("ingress", "hdr.gateway.ipv6.dst_hi", 32)
@pa_container_size("ingress", "hdr.gateway.ipv6.dst_lo", 32)
@pa_container_size("ingress", "hdr.gateway.inner_ipv6.src_hi", 32)
@pa_container_size("ingress", "hdr.gateway.inner_ipv6.src_lo", 32)
@pa_container_size("ingress", "hdr.gateway.inner_ipv6.dst_hi", 32)
@pa_container_size("ingress", "hdr.gateway.inner_ipv6.dst_lo", 32)
@pa_container_size("ingress", "hdr.gateway.keys.dst_hi", 32)
@pa_container_size("ingress", "hdr.gateway.keys.dst_lo", 32)
@pa_container_size("egress", "hdr.ipv6.src_hi", 32)
@pa_container_size("egress", "hdr.ipv6.src_lo", 32)
@pa_container_size("egress", "hdr.ipv6.dst_hi", 32)
@pa_container_size("egress", "hdr.ipv6.dst_lo", 32)
@pa_container_size("ingress", "hdr.gateway.ipv4.src", 32)
@pa_container_size("ingress", "hdr.gateway.ipv4.dst", 32)
@pa_container_size("ingress", "hdr.gateway.inner_ipv4.src", 32)
@pa_container_size("ingress", "hdr.gateway.inner_ipv4.dst", 32)
@pa_container_size("ingress", "hdr.gateway.vxlan.vni", 32)
@pa_container_size("ingress", "hdr.gateway.keys.vni", 32)
@pa_container_size("ingress", "hdr.bridge.vtep", 32)
@pa_container_size("ingress", "meta.gateway.vtep", 32)
@pa_container_size("ingress", "meta.gateway.bitmap", 32)
@pa_container_size("ingress", "meta.gateway.hash", 32)
@pa_container_size("ingress", "meta.gateway.own", 32)
@pa_container_size("ingress", "meta.gateway.candidate", 32)
@pa_container_size("ingress", "meta.gateway.destination", 32)
@pa_container_size("ingress", "meta.gateway.path_table", 32)
@pa_container_size("egress", "hdr.bridge.vtep", 32)
@pa_container_size("egress", "hdr.ipv4.src", 32)
@pa_container_size("egress", "hdr.ipv4.dst", 32)
parser IngressParser(packet_in packet, out ingress_headers_t hdr,
                     out ingress_metadata_t meta,
                     out ingress_intrinsic_metadata_t ig)
{
    GatewayParser() gateway;

    state start {
        meta.bad_checksum = false;
        packet.extract(ig);
        packet.advance(PORT_METADATA_SIZE);
        transition select(ig.ingress_port) {
            ZOO_GATEWAY_TNA_CPU_PORT: parse_shim;
            default: parse_packet;
        }
    }

    state parse_shim {
        packet.extract(hdr.gateway.shim);
        transition accept;
    }

    state parse_packet {
        gateway.apply(packet, hdr.gateway, meta.bad_checksum);
        transition accept;
    }
}

/* Do the lengths of the headers agree?  The parser has seen to it that all of
 * them are in the packet; the egress looks whether the rest is. */
control Lengths(in headers_t hdr, inout ingress_metadata_t meta)
{
    action good() {
    }

    action bad() {
        meta.bad_length = true;
    }

    /* UDP, VXLAN and Ethernet, 30 bytes, and IPv6, 40 bytes, are around what
     * the inner packet calls its length. */
    table lengths {
        key = {
            hdr.ipv4.isValid(): exact;
            meta.surplus: exact;
            hdr.inner_ipv4.isValid(): exact;
            hdr.inner_ipv6.isValid(): exact;
            hdr.inner_ports.isValid(): exact;
            meta.room: range;
            meta.inner: range;
        }
        actions = { good; bad; }
        const default_action = bad();
        const entries = {
            (true, 20, false, false, false, 30 .. 0xffff, _): good();
            (true, 20, true, false, false, 30 .. 0xffff, 20 .. 0xffff): good();
            (true, 20, true, false, true, 30 .. 0xffff, 24 .. 0xffff): good();
            (true, 20, false, true, false, 70 .. 0xffff, _): good();
            (true, 20, false, true, true, 70 .. 0xffff, 4 .. 0xffff): good();
            (false, 0, false, false, false, 30 .. 0xffff, _): good();
            (false, 0, true, false, false, 30 .. 0xffff, 20 .. 0xffff): good();
            (false, 0, true, false, true, 30 .. 0xffff, 24 .. 0xffff): good();
            (false, 0, false, true, false, 70 .. 0xffff, _): good();
            (false, 0, false, true, true, 70 .. 0xffff, 4 .. 0xffff): good();
        }
        size = 16;
    }

    apply {
        if (hdr.ipv4.isValid()) {
            meta.surplus = hdr.ipv4.length - hdr.udp.length;
        } else {
            meta.surplus = hdr.ipv6.length - hdr.udp.length;
        }
        if (hdr.inner_ipv4.isValid()) {
            meta.inner = hdr.inner_ipv4.length;
            meta.room = hdr.udp.length |-| hdr.inner_ipv4.length;
        } else if (hdr.inner_ipv6.isValid()) {
            meta.inner = hdr.inner_ipv6.length;
            meta.room = hdr.udp.length |-| hdr.inner_ipv6.length;
        } else {
            meta.inner = 0;
            meta.room = hdr.udp.length;
        }
        lengths.apply();
    }
}

#define VXLAN_PROBE_BIT 30
#if ZOO_GATEWAY_VXLAN_F_PROBE != 1 << VXLAN_PROBE_BIT
#error "VXLAN_PROBE_BIT is not that of ZOO_GATEWAY_VXLAN_F_PROBE"
#endif

/* Receive, with the addresses where they are: copies would take a stage, and
 * room for fields.  An entry has one family and does not care for the other.
 */
control TofinoReceive(in headers_t hdr, inout ingress_metadata_t meta)
{
    action accept_as(bit<48> mac) {
        meta.gateway.mac = mac;
    }

    action refuse() {
        meta.received = COUNT_NOT_OURS;
    }

    table addresses {
        key = {
            hdr.ipv4.isValid(): exact;
            hdr.ipv4.dst: ternary;
            hdr.ipv6.dst_hi: ternary;
            hdr.ipv6.dst_lo: ternary;
        }
        actions = { accept_as; refuse; }
        const default_action = refuse();
        size = ZOO_GATEWAY_N_LOCAL;
    }

    apply {
        if (addresses.apply().hit) {
            if (hdr.vxlan.flags[VXLAN_PROBE_BIT:VXLAN_PROBE_BIT] == 1) {
                meta.received = COUNT_PROBE;
            } else if (hdr.inner_ethernet.dst[40:40] == 1) {
                meta.received = COUNT_NOT_IP;
            } else if (hdr.vxlan.flags != ZOO_GATEWAY_VXLAN_F_VNI) {
                meta.received = COUNT_BAD_FLAGS;
            }
        }
    }
}

/* InnerFlow, with a condition that Tofino can have. */
control TofinoInnerFlow(inout headers_t hdr, inout metadata_t meta)
{
    apply {
        hdr.keys.setValid();
        hdr.keys.vni = hdr.vxlan.vni >> 8;
        hdr.keys.src_port = 0;
        hdr.keys.dst_port = 0;
        if (hdr.inner_ports.isValid()) {
            hdr.keys.src_port = hdr.inner_ports.src;
            hdr.keys.dst_port = hdr.inner_ports.dst;
        }
        if (hdr.inner_ipv4.isValid()) {
            hdr.keys.dst_hi = 0;
            hdr.keys.dst_lo = 32w0xffff ++ hdr.inner_ipv4.dst;
            if (hdr.inner_ipv4.ttl[7:1] == 0) {
                meta.count = COUNT_TTL_EXPIRED;
            } else {
                hdr.inner_ipv4.ttl = hdr.inner_ipv4.ttl - 1;
                /* That is, at least 0xfeff. */
                if (hdr.inner_ipv4.checksum[15:8] == 0xff
                    || hdr.inner_ipv4.checksum == 0xfeff) {
                    hdr.inner_ipv4.checksum
                        = hdr.inner_ipv4.checksum + 0x0101;
                } else {
                    hdr.inner_ipv4.checksum
                        = hdr.inner_ipv4.checksum + 0x0100;
                }
            }
        } else if (hdr.inner_ipv6.isValid()) {
            hdr.keys.dst_hi = hdr.inner_ipv6.dst_hi;
            hdr.keys.dst_lo = hdr.inner_ipv6.dst_lo;
            if (hdr.inner_ipv6.ttl[7:1] == 0) {
                meta.count = COUNT_TTL_EXPIRED;
            } else {
                hdr.inner_ipv6.ttl = hdr.inner_ipv6.ttl - 1;
            }
        } else {
            meta.count = COUNT_NOT_IP;
        }
    }
}

/* The way to the next VTEP; what its headers are is the egress's. */
control Way(inout headers_t hdr, inout ingress_metadata_t meta)
{
    /* 'room' is the longest UDP datagram that the MTU leaves room for.  What
     * is subtracted cannot be a parameter. */
    action send(PortId_t port, bit<16> room, bit<8> path_table,
                bit<16> destination) {
        meta.port = port;
        meta.limit = room;
        meta.gateway.path_table = (bit<32>) path_table;
        meta.gateway.destination = (bit<32>) destination;
    }

    action unknown() {
        meta.gateway.count = COUNT_NO_VTEP;
    }

    table vteps {
        key = { meta.gateway.vtep: exact; }
        actions = { send; unknown; }
        const default_action = unknown();
        size = ZOO_GATEWAY_N_VTEPS;
    }

    apply {
        vteps.apply();
        meta.excess = hdr.udp.length |-| meta.limit;
    }
}

/* Both path tables: one register, since a packet has one access to a register
 * and the choice of it takes one table. */
struct path_t {
    bit<32> bitmap;
    bit<32> index;
}

control Paths(inout metadata_t meta)
{
    Register<path_t, bit<16>>(DESTINATIONS) paths;

    RegisterAction<path_t, bit<16>, bit<32>>(paths) read_bitmap = {
        void apply(inout path_t cell, out bit<32> value) {
            value = cell.bitmap;
        }
    };

    RegisterAction<path_t, bit<16>, bit<32>>(paths) read_index = {
        void apply(inout path_t cell, out bit<32> value) {
            value = cell.index;
        }
    };

    RegisterAction<path_t, bit<16>, bit<32>>(paths) write_bitmap = {
        void apply(inout path_t cell) {
            cell.bitmap = meta.bitmap;
        }
    };

    RegisterAction<path_t, bit<16>, bit<32>>(paths) write_index = {
        void apply(inout path_t cell) {
            cell.index = meta.bitmap;
        }
    };

    action get_bitmap() {
        meta.bitmap = read_bitmap.execute(meta.destination[15:0]);
    }

    action get_index() {
        meta.bitmap = read_index.execute(meta.destination[15:0]);
    }

    action set_bitmap() {
        write_bitmap.execute(meta.destination[15:0]);
    }

    action set_index() {
        write_index.execute(meta.destination[15:0]);
    }

    table access {
        key = {
            meta.path_table: ternary;   /* Takes fewer blocks than exact. */
            meta.write: ternary;
        }
        actions = { get_bitmap; get_index; set_bitmap; set_index; NoAction; }
        const default_action = NoAction();
        const entries = {
            (ZOO_GATEWAY_BITMAP, 0): get_bitmap();
            (ZOO_GATEWAY_INDEX, 0): get_index();
            (ZOO_GATEWAY_BITMAP, 1): set_bitmap();
            (ZOO_GATEWAY_INDEX, 1): set_index();
        }
        size = 4;
    }

    apply {
        access.apply();
    }
}

#if ZOO_GATEWAY_M != 8 || ZOO_GATEWAY_N_CANDIDATES != 32
#error "TofinoIndexing is for groups of 8 of 32 candidates"
#endif

/* HierarchicalIndexing, as one lookup: an entry for each group, whose two bits
 * of 'own' it matches, and each candidate that can be recorded there. */
#define RECORDED(GROUP, ENTRY)                                              \
    (GROUP << 3 &&& 0x18, ENTRY << 5 * GROUP &&& 0x1f << 5 * GROUP):        \
        pick(ENTRY ^ GROUP << 3);
#define RECORDED_4(GROUP, ENTRY)                                            \
    RECORDED(GROUP, (ENTRY)) RECORDED(GROUP, (ENTRY + 1))                   \
    RECORDED(GROUP, (ENTRY + 2)) RECORDED(GROUP, (ENTRY + 3))
#define RECORDED_ALL(GROUP)                                                 \
    RECORDED_4(GROUP, 8) RECORDED_4(GROUP, 12) RECORDED_4(GROUP, 16)        \
    RECORDED_4(GROUP, 20) RECORDED_4(GROUP, 24) RECORDED_4(GROUP, 28)

control TofinoIndexing(inout metadata_t meta)
{
    action pick(bit<32> candidate) {
        meta.candidate = candidate;
    }

    action keep() {
        meta.candidate = meta.own;
        meta.choice = COUNT_INDEX_KEPT;
    }

    table recorded {
        key = {
            meta.own: ternary;
            meta.bitmap: ternary;
        }
        actions = { pick; keep; }
        const default_action = keep();
        const entries = {
            RECORDED_ALL(0)
            RECORDED_ALL(1)
            RECORDED_ALL(2)
            RECORDED_ALL(3)
        }
        size = 96;
    }

    apply {
        meta.choice = COUNT_INDEX_MOVED;
        recorded.apply();
    }
}

/* The bytes of a key from the lowest to the highest, as the software gateway
 * and zoo_gateway_hash() hash them. */
#define BYTES_16(F) F[7:0], F[15:8]
#define BYTES_32(F) BYTES_16(F), F[23:16], F[31:24]
#define BYTES_64(F) BYTES_32(F), F[39:32], F[47:40], F[55:48], F[63:56]

/* What an IPv4-mapped address has above the 4 bytes of IPv4, but for zeros. */
#define MAPPED 32w0xffff0000

control Ingress(inout ingress_headers_t headers,
                inout ingress_metadata_t meta,
                in ingress_intrinsic_metadata_t ig,
                in ingress_intrinsic_metadata_from_parser_t parsed,
                inout ingress_intrinsic_metadata_for_deparser_t deparser,
                inout ingress_intrinsic_metadata_for_tm_t tm)
{
    Register<bit<32>, bit<1>>(1) token;
    Counter<bit<64>, bit<6>>(ZOO_GATEWAY_N_COUNTS,
                             CounterType_t.PACKETS) counts;
    Counter<bit<64>, bit<6>>(ZOO_GATEWAY_N_COUNTS,
                             CounterType_t.PACKETS) choices;

    /* CRC-32C without the standard's inversions. */
    CRCPolynomial<bit<32>>(32w0x1edc6f41, true, false, false, 32w0, 32w0)
        crc32c;
    Hash<bit<32>>(HashAlgorithm_t.CUSTOM, crc32c) ipv4_hash;
    Hash<bit<16>>(HashAlgorithm_t.CUSTOM, crc32c) ipv4_plain;
    Hash<bit<32>>(HashAlgorithm_t.CUSTOM, crc32c) ipv6_hash;
    Hash<bit<16>>(HashAlgorithm_t.CUSTOM, crc32c) ipv6_plain;

    Negotiation() negotiation;
    SendForCpu() send_for_cpu;
    Lengths() lengths;
    TofinoReceive() receive;
    TofinoInnerFlow() inner_flow;
    Route() route;
    Way() way;
    Paths() paths;
    BitmapMatching() bitmap_matching;
    TofinoIndexing() indexing;

    bit<32> refused;

    /* Without a token nobody has the right one. */
    RegisterAction<bit<32>, bit<1>, bit<32>>(token) compare = {
        void apply(inout bit<32> value, out bit<32> result) {
            if (value != 0 && value == headers.gateway.negotiation.token) {
                result = 0;
            } else {
                result = 1;
            }
        }
    };

    action from_port(bit<16> port) {
        headers.gateway.udp.src = port;
    }

    table candidate_ports {
        key = { meta.gateway.candidate[4:0]: exact @name("candidate"); }
        actions = { from_port; }
        const default_action = from_port(0);
        size = ZOO_GATEWAY_N_CANDIDATES;
    }

    apply {
        meta.gateway.count = COUNT_FORWARDED;
        meta.gateway.choice = COUNT_PLAIN;
        meta.gateway.write = 0;
        meta.gateway.path_table = ZOO_GATEWAY_PLAIN;
        meta.received = COUNT_FORWARDED;
        meta.bad_length = false;
        meta.excess = 0;
        meta.gateway.from_cpu = 0;
        if (ig.ingress_port[6:0] == ZOO_GATEWAY_TNA_RECIRCULATION) {
            meta.gateway.from_cpu = 1;
        }

        if (parsed.parser_err != 0) {
            meta.gateway.count = COUNT_TRUNCATED;
        } else if (headers.gateway.shim.isValid()) {
            send_for_cpu.apply(headers.gateway, meta.gateway);
            meta.port = (PortId_t) headers.gateway.shim.port;
        } else if (headers.gateway.negotiation.isValid()) {
            refused = compare.execute(0);
            negotiation.apply(headers.gateway, meta.gateway, refused);
            if (meta.gateway.write == 1
                && (meta.gateway.destination[15:DESTINATIONS_SHIFT]
                    >= DESTINATIONS_UNITS)) {
                meta.gateway.count = COUNT_OUT_OF_RANGE;
                meta.gateway.write = 0;
            }
        } else if (!headers.gateway.vxlan.isValid()) {
            meta.gateway.count = COUNT_LOCAL;
        } else {
            lengths.apply(headers.gateway, meta);
            receive.apply(headers.gateway, meta);
            if (meta.received == COUNT_FORWARDED) {
                inner_flow.apply(headers.gateway, meta.gateway);
                if (headers.gateway.inner_ipv4.isValid()) {
                    meta.plain = ipv4_plain.get({
                        64w0, BYTES_32(headers.gateway.inner_ipv4.src),
                        MAPPED,
                        64w0, BYTES_32(headers.gateway.inner_ipv4.dst),
                        MAPPED,
                        BYTES_16(headers.gateway.keys.src_port),
                        BYTES_16(headers.gateway.keys.dst_port),
                        headers.gateway.inner_ipv4.protocol, 24w0 });
                } else {
                    meta.plain = ipv6_plain.get({
                        BYTES_64(headers.gateway.inner_ipv6.src_hi),
                        BYTES_64(headers.gateway.inner_ipv6.src_lo),
                        BYTES_64(headers.gateway.inner_ipv6.dst_hi),
                        BYTES_64(headers.gateway.inner_ipv6.dst_lo),
                        BYTES_16(headers.gateway.keys.src_port),
                        BYTES_16(headers.gateway.keys.dst_port),
                        headers.gateway.inner_ipv6.protocol, 24w0 });
                }
                if (meta.gateway.count == COUNT_FORWARDED) {
                    route.apply(headers.gateway, meta.gateway);
                }
                if (meta.gateway.count == COUNT_FORWARDED) {
                    way.apply(headers.gateway, meta);
                }
                if (headers.gateway.inner_ipv4.isValid()) {
                    meta.gateway.hash = ipv4_hash.get({
                        64w0, BYTES_32(headers.gateway.inner_ipv4.src),
                        MAPPED,
                        64w0, BYTES_32(headers.gateway.inner_ipv4.dst),
                        MAPPED,
                        BYTES_16(headers.gateway.keys.src_port),
                        BYTES_16(headers.gateway.keys.dst_port),
                        headers.gateway.inner_ipv4.protocol, 24w0 });
                } else {
                    meta.gateway.hash = ipv6_hash.get({
                        BYTES_64(headers.gateway.inner_ipv6.src_hi),
                        BYTES_64(headers.gateway.inner_ipv6.src_lo),
                        BYTES_64(headers.gateway.inner_ipv6.dst_hi),
                        BYTES_64(headers.gateway.inner_ipv6.dst_lo),
                        BYTES_16(headers.gateway.keys.src_port),
                        BYTES_16(headers.gateway.keys.dst_port),
                        headers.gateway.inner_ipv6.protocol, 24w0 });
                }
                meta.gateway.own = meta.gateway.hash & 0x1f;
            }
        }

        paths.apply(meta.gateway);
        if (meta.excess != 0) {
            meta.gateway.choice = COUNT_PLAIN;
        } else if (meta.gateway.count == COUNT_FORWARDED) {
            if (meta.gateway.path_table == ZOO_GATEWAY_PLAIN) {
                headers.gateway.udp.src = meta.plain | 0xc000;
            } else {
                if (meta.gateway.path_table == ZOO_GATEWAY_BITMAP) {
                    bitmap_matching.apply(meta.gateway);
                } else {
                    indexing.apply(meta.gateway);
                }
                candidate_ports.apply();
            }
        }

        if (meta.bad_length) {
            meta.gateway.count = COUNT_BAD_LENGTH;
        } else if (meta.bad_checksum) {
            meta.gateway.count = COUNT_BAD_CHECKSUM;
        } else if (meta.received != COUNT_FORWARDED) {
            meta.gateway.count = meta.received;
        } else if (meta.gateway.count == COUNT_FORWARDED) {
            if (meta.excess != 0) {
                meta.gateway.count = COUNT_TOO_BIG;
            }
        }

        counts.count(meta.gateway.count[5:0]);
        if (meta.gateway.count == COUNT_FORWARDED) {
            choices.count(meta.gateway.choice[5:0]);
        }

        if (meta.gateway.count >= ZOO_GATEWAY_FIRST_DROP) {
            deparser.drop_ctl = 1;
        } else if (meta.gateway.count >= ZOO_GATEWAY_FIRST_PUNT) {
            tm.ucast_egress_port = ZOO_GATEWAY_TNA_CPU_PORT;
        } else if (meta.gateway.count == COUNT_WRITTEN) {
            tm.ucast_egress_port = ig.ingress_port;
        } else {
            tm.ucast_egress_port = meta.port;
        }

        /* The egress needs to know how long the packet is. */
        tm.disable_ucast_cutthru = 1;
        headers.bridge.setValid();
        headers.bridge.vtep = meta.gateway.vtep;
        headers.bridge.port = (bit<16>) ig.ingress_port;
        headers.bridge.reserved = 0;
        headers.bridge.count = (bit<8>) meta.gateway.count;
    }
}

control IngressDeparser(packet_out packet, inout ingress_headers_t hdr,
                        in ingress_metadata_t meta,
                        in ingress_intrinsic_metadata_for_deparser_t deparser)
{
    apply {
        packet.emit(hdr.bridge);
        packet.emit(hdr.gateway.ethernet);
        packet.emit(hdr.gateway.negotiation);
        packet.emit(hdr.gateway.update);
        packet.emit(hdr.gateway.ipv4);
        packet.emit(hdr.gateway.ipv6);
        packet.emit(hdr.gateway.udp);
        packet.emit(hdr.gateway.vxlan);
        packet.emit(hdr.gateway.inner_ethernet);
        packet.emit(hdr.gateway.inner_ipv4);
        packet.emit(hdr.gateway.inner_ipv6);
        packet.emit(hdr.gateway.inner_ports);
    }
}

/* The outer headers are parsed again where they are to be replaced. */
parser EgressParser(packet_in packet, out egress_headers_t hdr,
                    out egress_metadata_t meta,
                    out egress_intrinsic_metadata_t eg)
{
    state start {
        packet.extract(eg);
        packet.extract(hdr.bridge);
        transition select(hdr.bridge.count) {
            (bit<8>) COUNT_FORWARDED: parse_ethernet;
            (bit<8>) COUNT_TOO_BIG: parse_ethernet;
            default: accept;
        }
    }

    state parse_ethernet {
        packet.extract(hdr.ethernet);
        transition select(hdr.ethernet.type) {
            ETHERTYPE_IPV4: parse_ipv4;
            default: parse_ipv6;
        }
    }

    state parse_ipv4 {
        packet.extract(hdr.ipv4);
        transition parse_udp;
    }

    state parse_ipv6 {
        packet.extract(hdr.ipv6);
        transition parse_udp;
    }

    state parse_udp {
        packet.extract(hdr.udp);
        transition accept;
    }
}

control Egress(inout egress_headers_t hdr, inout egress_metadata_t meta,
               in egress_intrinsic_metadata_t eg,
               in egress_intrinsic_metadata_from_parser_t parsed,
               inout egress_intrinsic_metadata_for_deparser_t deparser,
               inout egress_intrinsic_metadata_for_output_port_t out_port)
{
    Counter<bit<64>, bit<6>>(ZOO_GATEWAY_N_COUNTS,
                             CounterType_t.PACKETS) counts;

    /* VTEPs that packets went to since the control plane cleared them. */
    Register<bit<1>, bit<16>>(ZOO_GATEWAY_N_VTEPS) used;
    RegisterAction<bit<1>, bit<16>, bit<1>>(used) mark_used = {
        void apply(inout bit<1> value) {
            value = 1;
        }
    };

    action send_ipv4(bit<48> src_mac, bit<48> dst_mac, bit<32> src,
                     bit<32> dst) {
        hdr.ethernet.dst = dst_mac;
        hdr.ethernet.src = src_mac;
        hdr.ethernet.type = ETHERTYPE_IPV4;
        hdr.ipv6.setInvalid();
        hdr.ipv4.setValid();
        hdr.ipv4.src = src;
        hdr.ipv4.dst = dst;
    }

    action send_ipv6(bit<48> src_mac, bit<48> dst_mac, bit<64> src_hi,
                     bit<64> src_lo, bit<64> dst_hi, bit<64> dst_lo) {
        hdr.ethernet.dst = dst_mac;
        hdr.ethernet.src = src_mac;
        hdr.ethernet.type = ETHERTYPE_IPV6;
        hdr.ipv4.setInvalid();
        hdr.ipv6.setValid();
        hdr.ipv6.src_hi = src_hi;
        hdr.ipv6.src_lo = src_lo;
        hdr.ipv6.dst_hi = dst_hi;
        hdr.ipv6.dst_lo = dst_lo;
    }

    /* The ingress has the VTEP, but the egress not yet. */
    action unknown() {
        meta.count = (bit<6>) COUNT_NO_VTEP;
    }

    table outer_headers {
        key = { hdr.bridge.vtep: exact; }
        actions = { send_ipv4; send_ipv6; unknown; }
        const default_action = unknown();
        size = ZOO_GATEWAY_N_VTEPS;
    }

    apply {
        meta.count = 0;
        meta.lacking = 0;
        meta.length = eg.pkt_length - (BRIDGE_BYTES + FCS_BYTES);
        if (hdr.udp.isValid()) {
            if (hdr.ipv4.isValid()) {
                meta.was_ipv4 = 1;
                meta.tos = hdr.ipv4.tos;
                meta.udp = eg.pkt_length
                           - (BRIDGE_BYTES + ETHERNET_BYTES + IPV4_BYTES
                              + FCS_BYTES);
            } else {
                meta.was_ipv4 = 0;
                meta.tos = hdr.ipv6.version_class_label[27:20];
                meta.udp = eg.pkt_length
                           - (BRIDGE_BYTES + ETHERNET_BYTES + IPV6_BYTES
                              + FCS_BYTES);
            }
            meta.lacking = hdr.udp.length |-| meta.udp;
            outer_headers.apply();
            mark_used.execute(hdr.bridge.vtep[15:0]);

            hdr.udp.checksum = 0;
            if (hdr.ipv4.isValid()) {
                hdr.ipv4.version_ihl = 0x45;
                hdr.ipv4.tos = meta.tos;
                hdr.ipv4.length = hdr.udp.length + IPV4_BYTES;
                hdr.ipv4.id = 0;
                hdr.ipv4.fragment = 0x4000;
                hdr.ipv4.ttl = 64;
                hdr.ipv4.protocol = PROTOCOL_UDP;
                if (meta.was_ipv4 == 0) {
                    meta.length = meta.length - (IPV6_BYTES - IPV4_BYTES);
                }
            } else {
                hdr.ipv6.version_class_label = 4w6 ++ meta.tos ++ 20w0;
                hdr.ipv6.length = hdr.udp.length;
                hdr.ipv6.protocol = PROTOCOL_UDP;
                hdr.ipv6.ttl = 64;
                if (meta.was_ipv4 == 1) {
                    meta.length = meta.length + (IPV6_BYTES - IPV4_BYTES);
                }
            }
        }
        if (meta.lacking != 0) {
            meta.count = (bit<6>) COUNT_TRUNCATED;
        }
        if (meta.count != 0) {
            counts.count(meta.count);
            deparser.drop_ctl = 1;
        }

        /* What the CPU port gets. */
        if (hdr.bridge.count >= ZOO_GATEWAY_FIRST_PUNT) {
            hdr.shim.setValid();
            hdr.shim.length = (bit<32>) meta.length;
            hdr.shim.port = (bit<32>) hdr.bridge.port;
            hdr.shim.reason = (bit<32>) hdr.bridge.count;
        }
    }
}

control EgressDeparser(packet_out packet, inout egress_headers_t hdr,
                       in egress_metadata_t meta,
                       in egress_intrinsic_metadata_for_deparser_t deparser)
{
    Checksum() checksum;

    apply {
        if (hdr.ipv4.isValid()) {
            hdr.ipv4.checksum = checksum.update({
                hdr.ipv4.version_ihl, hdr.ipv4.tos, hdr.ipv4.length,
                hdr.ipv4.id, hdr.ipv4.fragment, hdr.ipv4.ttl,
                hdr.ipv4.protocol, hdr.ipv4.src, hdr.ipv4.dst });
        }
        packet.emit(hdr.shim);
        packet.emit(hdr.ethernet);
        packet.emit(hdr.ipv4);
        packet.emit(hdr.ipv6);
        packet.emit(hdr.udp);
    }
}

Pipeline(IngressParser(), Ingress(), IngressDeparser(), EgressParser(),
         Egress(), EgressDeparser()) pipe;

Switch(pipe) main;
