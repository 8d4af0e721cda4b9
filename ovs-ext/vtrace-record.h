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

#ifndef VTRACE_RECORD_H
#define VTRACE_RECORD_H 1

/* VTrace records
 * ==============
 *
 * A colored packet leaves a record at each point of a switch that it passes.
 * The datapath thread writes it, or what it is made of, into a ring, a thread
 * of ovs-vswitchd exports it as an IPFIX data record (RFC 7011), which makes it
 * a PSAMP packet report (RFC 5476), vtraced collects it and feeds it into the
 * analyzer.  All of them use the structures below, whose members are in host
 * byte order.
 *
 * Three kinds of records exist:
 *
 *   - struct vtrace_record: one packet at one point.
 *
 *   - struct vtrace_watermark: how far the records of one color are complete.
 *
 *   - struct vtrace_endpoint: an address at which the node ends tunnels, so
 *     that the receiver of packets that vanish on their way has a name.
 *
 * The name of the node is in none of them: it belongs to the connection, whose
 * certificate is what the collector believes.
 *
 * The macros VTRACE_*_FIELDS list the members of each structure in order, with
 * the information element that carries each.  As no structure has padding, an
 * IPFIX template made from the list describes the structure in memory, too. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "compiler.h"
#include "openvswitch/util.h"
#include "util.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Enterprise number of the elements that IANA does not have.  The same number
 * as the OpenFlow experimenter; unassigned by IANA, used within a domain. */
#define VTRACE_IPFIX_PEN 0x00025a4f

/* A color belongs to one running task in a domain.  0 is not a color. */
#define VTRACE_COLOR_MIN 1
#define VTRACE_COLOR_MAX 4095

/* Sampling exponent: one packet in 4^exp. */
#define VTRACE_EXP_MAX 7

/* Bytes of a bridge's or port's name, with the null byte, as OpenFlow cuts
 * them. */
#define VTRACE_NAME_LEN 16

/* Where in the switch the record was taken. */
enum vtrace_role {
    VTRACE_ROLE_IN = 1,         /* Received, or colored here: the entry. */
    VTRACE_ROLE_OUT = 2,        /* Handed to the device.  To a tunnel: after
                                 * the push.  'reason' is of kind "left" if the
                                 * color ends here, else "none". */
    VTRACE_ROLE_DROP = 3,       /* This copy ends here, because of 'reason'. */
    VTRACE_ROLE_CHECKPOINT = 4, /* Inside.  'reason' is what stands right ahead
                                 * and might drop the packet unseen (a meter),
                                 * or, with VTRACE_F_PASSED, what it has just
                                 * passed. */
};

/* State of the port's link when the record was taken. */
enum vtrace_link {
    VTRACE_LINK_UNKNOWN = 0,
    VTRACE_LINK_UP = 1,
    VTRACE_LINK_DOWN = 2,       /* Administratively down, or no carrier. */
};

/* What is at the other side of the port: decides whether a packet sent there
 * was delivered or left the domain.
 *
 * Interface other_config:vtrace-port ("access" or "external") decides.
 * Without it a tunnel port is TUNNEL, a patch port PATCH, a port whose
 * external_ids have "iface-id" or "attached-mac", an internal, tap or
 * vhost-user port and a veth are ACCESS, anything else is EXTERNAL. */
enum vtrace_port_class {
    VTRACE_PORT_UNKNOWN = 0,
    VTRACE_PORT_ACCESS = 1,     /* A tenant's machine. */
    VTRACE_PORT_EXTERNAL = 2,   /* A network that is not this domain's. */
    VTRACE_PORT_TUNNEL = 3,     /* Another switch. */
    VTRACE_PORT_PATCH = 4,      /* Another bridge of this switch. */
};

/* Bits of 'flags'. */
enum {
    VTRACE_F_SUPER = 1 << 0,    /* To be segmented (TSO, USO), or the result of
                                 * receive offload. */
    VTRACE_F_INJECTED = 1 << 1, /* Made by the switch, not by the tenant. */
    VTRACE_F_ENTRY = 1 << 2,    /* IN record where the action colored it. */
    VTRACE_F_TABLE = 1 << 3,    /* 'table' is valid. */
    VTRACE_F_COOKIE = 1 << 4,   /* 'cookie' is valid: a rule decided. */
    VTRACE_F_PASSED = 1 << 5,   /* See VTRACE_ROLE_CHECKPOINT. */
    VTRACE_F_FRAGMENT = 1 << 6, /* IP fragment, the first one included. */
    VTRACE_F_NO_PORTS = 1 << 7, /* 'src_port' and 'dst_port' are not known:
                                 * neither TCP, UDP, SCTP nor ICMP, or not the
                                 * first fragment. */
};

/* How a member is carried. */
enum vtrace_field_type {
    VTRACE_T_UINT,              /* Unsigned, big endian, as long as here. */
    VTRACE_T_TIME,              /* dateTimeNanoseconds, see
                                 * vtrace_time_to_ntp(). */
    VTRACE_T_IPV6,              /* 16 bytes.  IPv4 as ::ffff:a.b.c.d. */
    VTRACE_T_STRING,            /* VTRACE_NAME_LEN bytes, padded with zeros. */
};

/* FIELD(MEMBER, TYPE, PEN, ELEMENT, NAME): the member of the structure, one of
 * enum vtrace_field_type without its prefix, the enterprise (0: IANA), number
 * and name of the information element. */
#define VTRACE_RECORD_FIELDS(FIELD)                                           \
    FIELD(time, TIME, 0, 325, observationTimeNanoseconds)                     \
    FIELD(digest, UINT, 0, 326, digestHashValue)                              \
    FIELD(cookie, UINT, VTRACE_IPFIX_PEN, 1, vtraceCookie)                    \
    FIELD(tun_id, UINT, 0, 351, layer2SegmentId)                              \
    FIELD(src, IPV6, 0, 27, sourceIPv6Address)                                \
    FIELD(dst, IPV6, 0, 28, destinationIPv6Address)                           \
    FIELD(tun_src, IPV6, VTRACE_IPFIX_PEN, 2, vtraceTunnelSource)             \
    FIELD(tun_dst, IPV6, VTRACE_IPFIX_PEN, 3, vtraceTunnelDestination)        \
    FIELD(ip_id, UINT, 0, 54, fragmentIdentification)                         \
    FIELD(ip_len, UINT, VTRACE_IPFIX_PEN, 4, vtraceIpLength)                  \
    FIELD(payload_len, UINT, VTRACE_IPFIX_PEN, 5, vtracePayloadLength)        \
    FIELD(tcp_seq, UINT, 0, 184, tcpSequenceNumber)                           \
    FIELD(ofp_port, UINT, VTRACE_IPFIX_PEN, 6, vtraceOpenFlowPort)            \
    FIELD(flags, UINT, VTRACE_IPFIX_PEN, 7, vtraceFlags)                      \
    FIELD(color, UINT, VTRACE_IPFIX_PEN, 8, vtraceColor)                      \
    FIELD(reason, UINT, VTRACE_IPFIX_PEN, 9, vtraceReason)                    \
    FIELD(src_port, UINT, 0, 7, sourceTransportPort)                          \
    FIELD(dst_port, UINT, 0, 11, destinationTransportPort)                    \
    FIELD(frag_offset, UINT, VTRACE_IPFIX_PEN, 10, vtraceFragmentOffset)      \
    FIELD(tcp_flags, UINT, 0, 6, tcpControlBits)                              \
    FIELD(tun_sport, UINT, VTRACE_IPFIX_PEN, 11, vtraceOuterSourcePort)       \
    FIELD(vlan, UINT, 0, 243, dot1qVlanId)                                    \
    FIELD(ct_state, UINT, VTRACE_IPFIX_PEN, 12, vtraceCtState)                \
    FIELD(ct_zone, UINT, VTRACE_IPFIX_PEN, 13, vtraceCtZone)                  \
    FIELD(role, UINT, VTRACE_IPFIX_PEN, 14, vtraceRole)                       \
    FIELD(link, UINT, VTRACE_IPFIX_PEN, 15, vtraceLinkState)                  \
    FIELD(port_class, UINT, VTRACE_IPFIX_PEN, 16, vtracePortClass)            \
    FIELD(exp, UINT, VTRACE_IPFIX_PEN, 17, vtraceExponent)                    \
    FIELD(table, UINT, VTRACE_IPFIX_PEN, 18, vtraceTable)                     \
    FIELD(ip_version, UINT, 0, 60, ipVersion)                                 \
    FIELD(protocol, UINT, 0, 4, protocolIdentifier)                           \
    FIELD(ttl, UINT, 0, 192, ipTTL)                                           \
    FIELD(forwarding_status, UINT, 0, 89, forwardingStatus)                   \
    FIELD(reserved, UINT, VTRACE_IPFIX_PEN, 19, vtraceReserved)               \
    FIELD(mtu, UINT, VTRACE_IPFIX_PEN, 20, vtraceMtu)                         \
    FIELD(bridge, STRING, VTRACE_IPFIX_PEN, 21, vtraceBridge)                 \
    FIELD(port, STRING, 0, 82, interfaceName)

/* One packet at one point.  A member that does not apply is 0.
 *
 * vtrace_record_set_packet() in ovs-ext/vtrace-digest.h sets what comes from
 * the packet itself: 'digest' and the members marked with "P". */
struct vtrace_record {
    uint64_t time;              /* ns since 1970, CLOCK_REALTIME, from the
                                 * datapath. */
    uint64_t digest;            /* P. Same at every point: vtrace-digest.h. */
    uint64_t cookie;            /* Of the deciding rule: VTRACE_F_COOKIE. */
    uint64_t tun_id;            /* VNI or key of the tunnel. */
    struct in6_addr src, dst;   /* P. As seen at this point. */
    struct in6_addr tun_src;    /* Outer addresses: in records at tunnel */
    struct in6_addr tun_dst;    /* ports, both directions.  Else zero. */
    uint32_t ip_id;             /* P. IPv4, or of the IPv6 fragment header. */
    uint32_t ip_len;            /* P. Bytes, the IP header included. */
    uint32_t payload_len;       /* P. Bytes behind the transport header. */
    uint32_t tcp_seq;           /* P. */
    uint32_t ofp_port;          /* OpenFlow port number in 'bridge'. */
    uint32_t flags;             /* VTRACE_F_*.  P sets _FRAGMENT, _NO_PORTS. */
    uint16_t color;             /* VTRACE_COLOR_MIN...VTRACE_COLOR_MAX. */
    uint16_t reason;            /* enum vtrace_reason. */
    uint16_t src_port;          /* P. ICMP: type, as in OpenFlow. */
    uint16_t dst_port;          /* P. ICMP: code. */
    uint16_t frag_offset;       /* P. Bytes. */
    uint16_t tcp_flags;         /* P. TCP_* of lib/packets.h. */
    uint16_t tun_sport;         /* Outer UDP source port. */
    uint16_t vlan;              /* VID of the outermost tag, 0 if none. */
    uint16_t ct_state;          /* CS_* of lib/packets.h, 0 untracked. */
    uint16_t ct_zone;
    uint8_t role;               /* enum vtrace_role. */
    uint8_t link;               /* enum vtrace_link, of 'port'. */
    uint8_t port_class;         /* enum vtrace_port_class, of 'port'. */
    uint8_t exp;                /* 0...VTRACE_EXP_MAX. */
    uint8_t table;              /* Where it was decided: VTRACE_F_TABLE. */
    uint8_t ip_version;         /* P. 4 or 6. */
    uint8_t protocol;           /* P. Of the transport header. */
    uint8_t ttl;                /* P. Or hop limit. */
    uint8_t forwarding_status;  /* vtrace_reason_forwarding_status(). */
    uint8_t reserved;           /* 0. */
    uint16_t mtu;               /* OUT: of the device, less the header that was
                                 * pushed for a tunnel.  0 if unknown. */
    char bridge[VTRACE_NAME_LEN];
    char port[VTRACE_NAME_LEN]; /* IN: where it came from, OUT: where it goes;
                                 * DROP, CHECKPOINT: where it came from, or
                                 * would have gone if known. */
};

#define VTRACE_WATERMARK_FIELDS(FIELD)                                        \
    FIELD(time, TIME, 0, 325, observationTimeNanoseconds)                     \
    FIELD(written, UINT, VTRACE_IPFIX_PEN, 30, vtraceRecordsWritten)          \
    FIELD(lost, UINT, VTRACE_IPFIX_PEN, 31, vtraceRecordsLost)                \
    FIELD(session, UINT, VTRACE_IPFIX_PEN, 32, vtraceSession)                 \
    FIELD(color, UINT, VTRACE_IPFIX_PEN, 8, vtraceColor)                      \
    FIELD(reserved16, UINT, VTRACE_IPFIX_PEN, 33, vtraceReserved16)

/* All records of 'color' with a time of at most 'time' have been exported
 * before this, by all threads, or are counted in 'lost'.  Sent every 200 ms
 * for each color in use, and with color 0, where only 'time' and 'session'
 * count, while the node is connected: a node through which no packet of a
 * color ever came knows no color, and must be heard to be believed silent. */
struct vtrace_watermark {
    uint64_t time;              /* ns since 1970, same clock as records. */
    uint64_t written;           /* Records exported in this session. */
    uint64_t lost;              /* Records lost in it: ring full, a token bucket
                                 * empty, of the color or of what no tunnel
                                 * port takes, collector slow or gone. */
    uint32_t session;           /* Random at each start of the exporter and at
                                 * each connection; the counts start at 0. */
    uint16_t color;
    uint16_t reserved16;        /* 0. */
};

#define VTRACE_ENDPOINT_FIELDS(FIELD)                                         \
    FIELD(time, TIME, 0, 325, observationTimeNanoseconds)                     \
    FIELD(address, IPV6, VTRACE_IPFIX_PEN, 40, vtraceEndpoint)

/* The node ends tunnels at 'address'.  Sent for each local address of a tunnel
 * port, or of the underlay where tunnel ports leave it open, when the
 * collector connects and when it changes. */
struct vtrace_endpoint {
    uint64_t time;              /* ns since 1970. */
    struct in6_addr address;
};

#define VTRACE_CLOCK_FIELDS(FIELD)                                            \
    FIELD(time, TIME, 0, 325, observationTimeNanoseconds)                     \
    FIELD(local, IPV6, VTRACE_IPFIX_PEN, 41, vtraceClockLocal)                \
    FIELD(remote, IPV6, VTRACE_IPFIX_PEN, 42, vtraceClockRemote)              \
    FIELD(probe_clock, UINT, VTRACE_IPFIX_PEN, 43, vtraceClockOfProbes)       \
    FIELD(ahead, UINT, VTRACE_IPFIX_PEN, 44, vtraceClockAhead)                \
    FIELD(rtt, UINT, VTRACE_IPFIX_PEN, 45, vtraceClockRoundTrip)

/* What ZooRoute's probes tell of the clock of the node at the other end of a
 * tunnel, of both ends of which there are traced packets.  Sent every second,
 * if they tell anything.  What "out" records of A and "in" records of B are
 * apart, though they are of the same moment, is B's 'ahead' less A's
 * 'probe_clock' less half of A's 'rtt' (see zoo-clock.h). */
struct vtrace_clock {
    uint64_t time;              /* ns since 1970. */
    struct in6_addr local;      /* This end of the tunnel, */
    struct in6_addr remote;     /* the other one. */
    uint64_t probe_clock;       /* ns of 'time' that the clock of the node's
                                 * own probes does not show. */
    uint64_t ahead;             /* Signed, 0 if unknown: by how many ns the
                                 * time of records here, when a probe comes, is
                                 * more than what the probe was sent with. */
    uint64_t rtt;               /* Of a probe from here, ns, 0 if unknown. */
};

/* No padding, and the lists have every member in its place. */
#define VTRACE_SUM_RECORD(MEMBER, TYPE, PEN, ELEMENT, NAME)     \
    + MEMBER_SIZEOF(struct vtrace_record, MEMBER)
#define VTRACE_SUM_WATERMARK(MEMBER, TYPE, PEN, ELEMENT, NAME)  \
    + MEMBER_SIZEOF(struct vtrace_watermark, MEMBER)
#define VTRACE_SUM_ENDPOINT(MEMBER, TYPE, PEN, ELEMENT, NAME)   \
    + MEMBER_SIZEOF(struct vtrace_endpoint, MEMBER)
#define VTRACE_SUM_CLOCK(MEMBER, TYPE, PEN, ELEMENT, NAME)      \
    + MEMBER_SIZEOF(struct vtrace_clock, MEMBER)
BUILD_ASSERT_DECL(sizeof(struct vtrace_record)
                  == 0 VTRACE_RECORD_FIELDS(VTRACE_SUM_RECORD));
BUILD_ASSERT_DECL(sizeof(struct vtrace_watermark)
                  == 0 VTRACE_WATERMARK_FIELDS(VTRACE_SUM_WATERMARK));
BUILD_ASSERT_DECL(sizeof(struct vtrace_endpoint)
                  == 0 VTRACE_ENDPOINT_FIELDS(VTRACE_SUM_ENDPOINT));
BUILD_ASSERT_DECL(sizeof(struct vtrace_clock)
                  == 0 VTRACE_CLOCK_FIELDS(VTRACE_SUM_CLOCK));
#undef VTRACE_SUM_RECORD
#undef VTRACE_SUM_WATERMARK
#undef VTRACE_SUM_ENDPOINT
#undef VTRACE_SUM_CLOCK
BUILD_ASSERT_DECL(sizeof(struct vtrace_record) == 184);
BUILD_ASSERT_DECL(sizeof(struct vtrace_watermark) == 32);
BUILD_ASSERT_DECL(sizeof(struct vtrace_endpoint) == 24);
BUILD_ASSERT_DECL(sizeof(struct vtrace_clock) == 64);

/* Seconds from 1900, where dateTimeNanoseconds starts, to 1970 (RFC 7011,
 * section 6.1.9). */
#define VTRACE_NTP_OFFSET 2208988800ULL

/* Returns 'ns' since 1970 as dateTimeNanoseconds, in host byte order.  Rounded
 * up, so that vtrace_time_from_ntp() gives back the same. */
static inline uint64_t
vtrace_time_to_ntp(uint64_t ns)
{
    uint64_t fraction = ((ns % 1000000000) << 32) + 999999999;

    return ((ns / 1000000000 + VTRACE_NTP_OFFSET) << 32)
            | (fraction / 1000000000);
}

/* Returns the time in ns since 1970 for 'ntp', a dateTimeNanoseconds in host
 * byte order of 1970...2036. */
static inline uint64_t
vtrace_time_from_ntp(uint64_t ntp)
{
    uint64_t seconds = (ntp >> 32) - VTRACE_NTP_OFFSET;

    return ((uint32_t) seconds * 1000000000ULL
            + (((ntp & UINT32_MAX) * 1000000000) >> 32));
}

#ifdef __cplusplus
}
#endif

#endif /* vtrace-record.h */
