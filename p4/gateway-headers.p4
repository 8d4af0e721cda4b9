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

/* Headers and metadata of the gateway.
 *
 * Every field is a whole number of bytes and at most 64 bits, as SWX wants it:
 * IPv6 addresses are in halves, sub-byte fields share one. */

#include "../ofproto-zoo/zoo-gateway-counts.h"
#include "../ofproto-zoo/zoo-gateway-limits.h"

#define ZOO_GATEWAY_COUNT(NUMBER, ENUM, NAME, DESCRIPTION) \
    const bit<32> COUNT_##ENUM = NUMBER;
ZOO_GATEWAY_COUNTS
#undef ZOO_GATEWAY_COUNT

const bit<16> ETHERTYPE_IPV4 = 0x0800;
const bit<16> ETHERTYPE_IPV6 = 0x86dd;
const bit<8> PROTOCOL_TCP = 6;
const bit<8> PROTOCOL_UDP = 17;
const bit<16> VXLAN_PORT = 4789;

/* In front of every packet that enters the software gateway, of every packet
 * that recirculates there, and of those that the CPU port gets or sends.
 *
 * 'length' is the number of bytes that follow: SWX does not let a program ask
 * for a packet's length, and parses beyond its end. */
header shim_t {
    bit<32> length;
    bit<32> port;               /* Where it came from or is to go. */
    bit<32> reason;             /* Why the CPU port gets it: COUNT_*, and above
                                 * the 8 bits of it the VNI that it came with
                                 * if a router has something to say of it. */
}

header ethernet_t {
    bit<48> dst;
    bit<48> src;
    bit<16> type;
}

header ipv4_t {
    bit<8> version_ihl;
    bit<8> tos;
    bit<16> length;
    bit<16> id;
    bit<16> fragment;           /* Flags and offset. */
    bit<8> ttl;
    bit<8> protocol;
    bit<16> checksum;
    bit<32> src;
    bit<32> dst;
}

header ipv6_t {
    bit<32> version_class_label;
    bit<16> length;             /* Without this header. */
    bit<8> protocol;
    bit<8> ttl;
    bit<64> src_hi;
    bit<64> src_lo;
    bit<64> dst_hi;
    bit<64> dst_lo;
}

header udp_t {
    bit<16> src;
    bit<16> dst;
    bit<16> length;
    bit<16> checksum;
}

header vxlan_t {
    bit<32> flags;
    bit<32> vni;                /* And 8 reserved bits at the right. */
}

/* The first bytes of TCP and of UDP. */
header ports_t {
    bit<16> src;
    bit<16> dst;
}

/* Packet-triggered update.
 *
 * The CPU port sends ethernet_t, negotiation_t and any number of update_t, the
 * last with the marker of the end (the document's EndFlag).  Each pass takes
 * the first update off, writes what it says, and recirculates the rest, so the
 * packet shrinks with every pass.  The last pass returns the packet, now an
 * acknowledgement, with the number of updates written. */
header negotiation_t {
    bit<8> version;
    bit<8> type;
    bit<16> written;
    bit<32> sequence;           /* Whatever the sender likes. */
    bit<32> token;
}

header update_t {
    bit<8> marker;
    bit<8> path_table;
    bit<16> reserved;           /* 0. */
    bit<32> destination;
    bit<32> value;
}

/* Never on the wire: keys of tables, and what is hashed (the fields of the
 * inner flow), IPv4 addresses of it as IPv4-mapped ones (RFC 4291, section
 * 2.5.5.2).  It is a header since SWX wants the keys of a table side by side
 * and has little room for metadata. */
header keys_t {
    bit<64> src_hi;
    bit<64> src_lo;
    bit<16> src_port;           /* 0 unless TCP or UDP, and in fragments. */
    bit<16> dst_port;
    bit<32> protocol;
    bit<64> dst_hi;
    bit<64> dst_lo;
    bit<32> vni;
    bit<64> outer_hi;           /* Outer destination. */
    bit<64> outer_lo;
}

struct headers_t {
    shim_t shim;
    ethernet_t ethernet;
    negotiation_t negotiation;
    update_t update;
    ipv4_t ipv4;
    ipv6_t ipv6;
    udp_t udp;
    vxlan_t vxlan;
    ethernet_t inner_ethernet;
    ipv4_t inner_ipv4;
    ipv6_t inner_ipv6;
    ports_t inner_ports;
    keys_t keys;
}

/* SWX addresses 256 bytes of metadata, with what p4c-dpdk adds for itself. */
struct metadata_t {
    bit<8> from_cpu;            /* 1 if it came from the CPU port. */
    bit<8> write;               /* 1 if a path table is to be written. */
    bit<48> mac;                /* Inner source address of what leaves. */
    bit<8> tos;                 /* Outer traffic class, as it came. */
    bit<32> hash;
    bit<32> vtep;               /* Key of "vteps". */
    bit<32> mtu;
    bit<32> path_table;         /* ZOO_GATEWAY_PLAIN, _BITMAP or _INDEX. */
    bit<32> destination;        /* Cell in the path table. */
    bit<32> own;                /* The flow's own candidate. */
    bit<32> candidate;          /* The one chosen. */
    bit<32> bitmap;
    bit<32> recorded;           /* The index's entry. */
    bit<32> count;              /* COUNT_*: what becomes of the packet. */
    bit<32> choice;             /* COUNT_*: how the port was chosen. */
}
