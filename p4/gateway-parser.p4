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

/* States of the parser, the same for all architectures, from the outer
 * Ethernet header to the inner ports: to be included in a parser, which goes
 * on to parse_ethernet from its start.  It refuses nothing: what it does not
 * know stays payload, and the controls see by the headers that are missing. */

    state parse_ethernet {
        packet.extract(hdr.ethernet);
        transition select(hdr.ethernet.type) {
            ETHERTYPE_IPV4: parse_ipv4;
            ETHERTYPE_IPV6: parse_ipv6;
            ZOO_GATEWAY_NEGOTIATION_TYPE: parse_negotiation;
            default: accept;
        }
    }

    state parse_negotiation {
        packet.extract(hdr.negotiation);
        packet.extract(hdr.update);
        transition accept;
    }

    state parse_ipv4 {
        packet.extract(hdr.ipv4);
        transition select(hdr.ipv4.version_ihl) {
            0x45: parse_ipv4_plain;
            default: accept;
        }
    }

    state parse_ipv4_plain {
        /* Any offset, or more fragments. */
        transition select(hdr.ipv4.fragment) {
            0 &&& 0x3fff: parse_ipv4_whole;
            default: accept;
        }
    }

    state parse_ipv4_whole {
        transition select(hdr.ipv4.protocol) {
            PROTOCOL_UDP: parse_udp;
            default: accept;
        }
    }

    state parse_ipv6 {
        packet.extract(hdr.ipv6);
        transition select(hdr.ipv6.protocol) {
            PROTOCOL_UDP: parse_udp;
            default: accept;
        }
    }

    state parse_udp {
        packet.extract(hdr.udp);
        transition select(hdr.udp.dst) {
            VXLAN_PORT: parse_vxlan;
            default: accept;
        }
    }

    state parse_vxlan {
        packet.extract(hdr.vxlan);
        packet.extract(hdr.inner_ethernet);
        transition select(hdr.inner_ethernet.type) {
            ETHERTYPE_IPV4: parse_inner_ipv4;
            ETHERTYPE_IPV6: parse_inner_ipv6;
            default: accept;
        }
    }

    state parse_inner_ipv4 {
        packet.extract(hdr.inner_ipv4);
        /* With options there is no telling here where the ports are. */
        transition select(hdr.inner_ipv4.version_ihl) {
            0x45: parse_inner_ipv4_plain;
            default: accept;
        }
    }

    state parse_inner_ipv4_plain {
        /* Later fragments have no ports, so that the first must not either,
         * or they would part. */
        transition select(hdr.inner_ipv4.fragment) {
            0 &&& 0x3fff: parse_inner_ipv4_whole;
            default: accept;
        }
    }

    state parse_inner_ipv4_whole {
        transition select(hdr.inner_ipv4.protocol) {
            PROTOCOL_TCP: parse_inner_ports;
            PROTOCOL_UDP: parse_inner_ports;
            default: accept;
        }
    }

    state parse_inner_ipv6 {
        packet.extract(hdr.inner_ipv6);
        transition select(hdr.inner_ipv6.protocol) {
            PROTOCOL_TCP: parse_inner_ports;
            PROTOCOL_UDP: parse_inner_ports;
            default: accept;
        }
    }

    state parse_inner_ports {
        packet.extract(hdr.inner_ports);
        transition accept;
    }