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

#ifndef ZOO_GATEWAY_LIMITS_H
#define ZOO_GATEWAY_LIMITS_H 1

/* Sizes and formats that the P4 program and C share. */

/* Candidate outer source ports of a destination (the document's N_p), and how
 * many of them share an entry of the hierarchical index (its M). */
#define ZOO_GATEWAY_N_CANDIDATES 32
#define ZOO_GATEWAY_M 8

/* Destinations, each with one cell in the bitmaps or in the indices.  A power
 * of two, as SWX rounds up to one and would alias what lies between. */
#define ZOO_GATEWAY_N_DESTINATIONS 65536

/* Entries of the tables. */
#define ZOO_GATEWAY_N_LOCAL 64          /* Addresses of the gateway. */
#define ZOO_GATEWAY_N_VMS 65536         /* VNI and inner address. */
#define ZOO_GATEWAY_N_ROUTES 1024       /* VNI and inner prefix. */
#define ZOO_GATEWAY_N_VTEPS 65536
#define ZOO_GATEWAY_N_FIRST 1024        /* 32 groups of 32 priorities. */
#define ZOO_GATEWAY_N_PORTS 64

/* The port that the control plane is behind. */
#define ZOO_GATEWAY_CPU_PORT 0

/* What chooses the outer source port on the way to a VTEP. */
#define ZOO_GATEWAY_PLAIN 0             /* The flow's hash alone. */
#define ZOO_GATEWAY_BITMAP 1
#define ZOO_GATEWAY_INDEX 2

/* Negotiation packets: IEEE's second EtherType for local experiments (the
 * first marks the probes inside of tunnels). */
#define ZOO_GATEWAY_NEGOTIATION_TYPE 0x88b6
#define ZOO_GATEWAY_NEGOTIATION_VERSION 1
#define ZOO_GATEWAY_NEGOTIATION_UPDATE 1
#define ZOO_GATEWAY_NEGOTIATION_ACK 2

/* Markers: one update, or the end of them. */
#define ZOO_GATEWAY_MARKER_PKT 0x50
#define ZOO_GATEWAY_MARKER_END 0xe0

/* Updates in one negotiation packet: these and the EndFlag fill an Ethernet
 * frame of 1500 bytes. */
#define ZOO_GATEWAY_MAX_UPDATES 123

/* VXLAN flags: RFC 7348's only flag, and ofproto-zoo's mark of a probe. */
#define ZOO_GATEWAY_VXLAN_F_VNI 0x08000000
#define ZOO_GATEWAY_VXLAN_F_PROBE 0x40000000

#endif /* zoo-gateway-limits.h */
