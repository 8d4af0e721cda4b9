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

#ifndef ZOO_PROBE_H
#define ZOO_PROBE_H 1

/* Probes on the wire
 * ==================
 *
 * A probe is an Ethernet frame inside the tunnel (see zoo-datapath.h for how
 * it is marked) whose payload is, in network byte order:
 *
 *      0                   1                   2                   3
 *      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *     +---------------+---------------+-------------------------------+
 *     |    Version    |     Type      |            Length             |
 *     +---------------+---------------+-------------------------------+
 *     |             Flags             |         Capabilities          |
 *     +---------------+---------------+-------------------------------+
 *     |      CTL      |   N entries   |            Key ID             |
 *     +---------------+---------------+-------------------------------+
 *     |                             Round                             |
 *     +---------------------------------------------------------------+
 *     |                            Session                            |
 *     |                                                               |
 *     +---------------------------------------------------------------+
 *     |                           Challenge                           |
 *     |                                                               |
 *     +---------------------------------------------------------------+
 *     |                       Transmit time, ns                       |
 *     |                                                               |
 *     +---------------------------------------------------------------+
 *     |                           BackendID                           |
 *     |                               +-------------------------------+
 *     |                               |         Newest key ID         |
 *     +-------------------------------+-------------------------------+
 *     |                  N entries of 12 bytes each                   |
 *     +---------------------------------------------------------------+
 *     |      HMAC-SHA-256 of all the above, first 16 bytes            |
 *     +---------------------------------------------------------------+
 *
 * A *request* goes out once per entry, identical but for the outer UDP source
 * port, which is the entry's.  All requests of one transmission are a *round*.
 * A *report* answers a round: it has the round's entries, filled in with what
 * the receiver last saw on each port, so it is never longer than a request.
 *
 * Times are read from the sender's monotonic clock, as in STAMP (RFC 8762),
 * and mean something to the sender alone.
 *
 * This module is pure: it neither reads clocks nor keeps state. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "byte-order.h"
#include "openvswitch/types.h"
#include "zoo-path-table.h"

#define ZOO_PROBE_VERSION 1

enum zoo_probe_type {
    ZOO_PROBE_REQUEST = 1,
    ZOO_PROBE_REPORT = 2,
};

/* Request: the sender suspects loss and wants the report on several ports. */
#define ZOO_PROBE_F_URGENT 0x0001
/* Report: the session is not known here; repeat the challenge to open it. */
#define ZOO_PROBE_F_CHALLENGE 0x0002
/* Report: a request came from an outer port that it does not list, so
 * something on the way rewrites ports. */
#define ZOO_PROBE_F_REWRITTEN 0x0004
/* Request: its entries are all candidates that the sender has. */
#define ZOO_PROBE_F_ALL 0x0008
/* Report: it is sent on every port that requests of its round have come from.
 * Requests tell on which of them it has arrived: see ZOO_PROBE_CAP_ECHO. */
#define ZOO_PROBE_F_REFLECTED 0x0010

/* The sender accepts VXLAN with the color of a traced packet as group policy
 * ID, and may send it, on all its tunnels to the receiver. */
#define ZOO_PROBE_CAP_GBP 0x0001
/* 0x0002 is reserved: older versions use it, and would misunderstand
 * ZOO_PROBE_F_REFLECTED. */
/* The sender is a gateway, otherwise a host (see zoo-segment.h). */
#define ZOO_PROBE_CAP_GATEWAY 0x0004
/* Entries of the sender's requests have zoo_probe_echo(). */
#define ZOO_PROBE_CAP_ECHO 0x0008

/* CTL of a report, backpressure of one who gets more requests than it takes.
 * A sender that does not know CTL ignores it.
 *
 * How many times the sender is asked to double its intervals.  It comes back by
 * itself when it is not asked any more. */
#define ZOO_PROBE_CTL_DOUBLINGS 0x07
/* The receiver gets so many requests of all together that some may be lost
 * before it sees them: that one has not arrived is a weak sign of loss. */
#define ZOO_PROBE_CTL_BUSY 0x40
/* Requests of this very sender were dropped unseen: that one has not arrived, as
 * far as the report tells, is no sign of loss. */
#define ZOO_PROBE_CTL_UNSEEN 0x80

#define ZOO_PROBE_HMAC_LEN 16

/* One candidate in a round. */
struct zoo_probe_entry {
    uint16_t sport;             /* Outer UDP source port of the request. */

    /* In a report bit i: round 'last' - 1 - i arrived too. */
    uint16_t history;

    /* In a report; in a request both together are zoo_probe_echo(), which
     * older receivers ignore. */
    uint32_t last;              /* Newest round that arrived, 0 if none. */
    uint32_t age_us;            /* From that arrival to this report, us. */
};

/* In a request, the transmit time, as it was in it, of the newest report with
 * ZOO_PROBE_F_REFLECTED that has come from the port of 'entry', 0 if none. */
static inline uint64_t
zoo_probe_echo(const struct zoo_probe_entry *entry)
{
    return (uint64_t) entry->last << 32 | entry->age_us;
}

static inline void
zoo_probe_set_echo(struct zoo_probe_entry *entry, uint64_t echo)
{
    entry->last = echo >> 32;
    entry->age_us = echo;
}

struct zoo_probe {
    enum zoo_probe_type type;
    uint16_t flags;             /* ZOO_PROBE_F_*. */
    uint16_t caps;              /* ZOO_PROBE_CAP_*. */
    uint8_t ctl;                /* ZOO_PROBE_CTL_*, 0 in a request. */
    uint16_t key_id;            /* 0 if there is no HMAC. */
    uint16_t newest_key;        /* Newest key that the sender has, or 0. */
    uint32_t round;             /* 1 and up; a report repeats the request's. */
    uint64_t session;           /* Likewise. */
    uint64_t challenge;         /* A request repeats the responder's. */
    uint64_t tx_time;           /* ns. */
    struct eth_addr backend_id; /* The sender's, zero if it has none. */
    unsigned int n_entries;     /* 1...ZOO_MAX_CANDIDATES. */
    struct zoo_probe_entry entries[ZOO_MAX_CANDIDATES];
};

/* Why a received probe is not used: one list for the enum, the counters'
 * names in "zooroute/show" and ZooRoute:statistics, and the manual. */
#define ZOO_PROBE_ERRORS                                                    \
    ZOO_PROBE_ERROR(TRUNCATED, "truncated",                                 \
                    "shorter than its header or its length field says")     \
    ZOO_PROBE_ERROR(OVERSIZE, "oversize",                                   \
                    "more entries than a peer can have candidates")         \
    ZOO_PROBE_ERROR(BAD_VERSION, "unknown_version",                             \
                    "version that this program does not know")              \
    ZOO_PROBE_ERROR(MALFORMED, "malformed",                                 \
                    "a field has a value that it must not have")            \
    ZOO_PROBE_ERROR(NO_KEY, "unauthenticated",                              \
                    "no HMAC though a key is configured here")              \
    ZOO_PROBE_ERROR(UNKNOWN_KEY, "unknown_key",                             \
                    "key ID that is not in the key file")                   \
    ZOO_PROBE_ERROR(BAD_HMAC, "bad_hmac",                                   \
                    "HMAC that does not match")                             \
    ZOO_PROBE_ERROR(NO_TUNNEL, "no_tunnel",                                 \
                    "no tunnel port here points to the sender")             \
    ZOO_PROBE_ERROR(STALE_SESSION, "stale_session",                         \
                    "session that is not, or no longer, the current one")   \
    ZOO_PROBE_ERROR(REPLAYED, "replayed",                                   \
                    "round that already arrived on this port, or long ago") \
    ZOO_PROBE_ERROR(UNEXPECTED, "unexpected",                               \
                    "report that nobody here asked for")                    \
    ZOO_PROBE_ERROR(REFUSED, "refused",                                     \
                    "request of a new sender beyond rx_rate")               \
    ZOO_PROBE_ERROR(FLOOD, "flood",                                         \
                    "request far beyond rx_rate, not even authenticated")

enum zoo_probe_error {
    ZOO_PROBE_OK,
#define ZOO_PROBE_ERROR(ENUM, NAME, DESCRIPTION) ZOO_PROBE_##ENUM,
    ZOO_PROBE_ERRORS
#undef ZOO_PROBE_ERROR
    ZOO_PROBE_N_ERRORS
};

/* Returns the counter's name of 'error', e.g. "bad_hmac". */
const char *zoo_probe_error_to_string(enum zoo_probe_error);

/* Returns the encoded size in bytes of a probe with 'n' entries. */
size_t zoo_probe_size(unsigned int n);

/* Encodes 'probe' into 'buf', which has room for ZOO_PROBE_MAX_LEN bytes, with
 * zeros for the HMAC, and returns the size in bytes. */
size_t zoo_probe_encode(const struct zoo_probe *probe, uint8_t *buf);

/* Where a probe has its session. */
#define ZOO_PROBE_SESSION_OFS 16

/* Returns the session of the 'len' bytes at 'buf', which may be anything, if
 * they say of themselves to be a report, otherwise 0, which no session is.  It
 * is a cheap look ahead of decoding. */
static inline uint64_t
zoo_probe_peek_report(const uint8_t *buf, size_t len)
{
    ovs_be64 session;

    if (len < ZOO_PROBE_SESSION_OFS + sizeof session
        || buf[0] != ZOO_PROBE_VERSION || buf[1] != ZOO_PROBE_REPORT) {
        return 0;
    }
    memcpy(&session, buf + ZOO_PROBE_SESSION_OFS, sizeof session);
    return ntohll(session);
}

/* Decodes the 'len' bytes at 'buf', which may be anything, into '*probe'.
 * Trailing bytes (Ethernet padding) are ignored; '*lenp' gets the probe's own
 * length.  Does not verify the HMAC. */
enum zoo_probe_error zoo_probe_decode(const uint8_t *buf, size_t len,
                                      struct zoo_probe *probe, size_t *lenp);

#endif /* zoo-probe.h */
