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

#ifndef ZOO_TRACE_H
#define ZOO_TRACE_H 1

/* Which paths outer source ports reach, and what the underlay hashes
 * =================================================================
 *
 * Probes whose time to live ends on the way make routers say who they are
 * (ICMP time exceeded, RFC 792 and RFC 4443).  First all ports are traced, hop
 * by hop; the hops that answered a port are its path.  Then, with one port,
 * some probes to each hop differ in one thing alone, or in nothing: where
 * their hops differ, the underlay hashes that, or deals packets out whatever
 * they hold.
 *
 * A probe looks like a packet of the tunnel: the same outer addresses and
 * ports, then a VXLAN or Geneve header marked so that whoever it reaches in
 * spite of its time to live discards it (see zoo-datapath.h), then IPv4 and
 * UDP in Ethernet, for devices that hash these.  It ends with a token, 64
 * random bits of this trace, and a number.  An answer counts only if it quotes
 * all of that: nobody who is not on the way can forge one.
 *
 * Pure: times (monotonic, ns) and randomness are arguments.  Callers serialize
 * access. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ovs-ext/zoo-datapath.h"

struct ds;

#define ZOO_TRACE_MAX_PORTS 64

/* A trace goes no farther.  A probe's number has 4 bits for it. */
#define ZOO_TRACE_MAX_HOPS 15
#define ZOO_TRACE_MAX_ROUTERS 255

/* Most bytes after the outer UDP header. */
#define ZOO_TRACE_MAX_LEN 96

/* Probes that differ in one thing: if that chose between two paths at random,
 * all would take the same one once in 2048 times. */
#define ZOO_TRACE_VARIANTS 12

/* Probes per second. */
#define ZOO_TRACE_RATE 100

/* What alone differs between probes. */
enum zoo_trace_field {
    ZOO_TRACE_SPORT,            /* Outer UDP source port. */
    ZOO_TRACE_NOTHING,
    ZOO_TRACE_DPORT,            /* Outer UDP destination port. */
    ZOO_TRACE_LABEL,            /* Flow label of IPv6. */
    ZOO_TRACE_INNER,            /* Addresses and ports inside. */
    ZOO_TRACE_AGAIN,            /* As ZOO_TRACE_SPORT, a second time. */
    ZOO_TRACE_N_FIELDS
};

/* One probe. */
struct zoo_trace_probe {
    unsigned int port;          /* Index of the source port. */
    uint16_t sport, dport;
    uint32_t label;             /* Of IPv6. */
    uint8_t ttl;
    size_t len;
    uint8_t body[ZOO_TRACE_MAX_LEN];    /* What follows the UDP header. */
};

struct zoo_trace {
    uint64_t token;
    enum zoo_encap encap;
    bool ipv6;
    uint32_t vni;
    uint16_t dport;
    bool sports_only;           /* Only ZOO_TRACE_SPORT, and, at hops that
                                 * tell paths apart, ZOO_TRACE_AGAIN. */
    unsigned int n_sports;
    uint16_t sports[ZOO_TRACE_MAX_PORTS];

    /* Where it is. */
    enum zoo_trace_field field; /* ZOO_TRACE_N_FIELDS at the end. */
    unsigned int ttl, attempt, index;
    unsigned int n_asked;       /* One more than the last index sent in this
                                 * attempt. */
    unsigned int n_hops;        /* The farthest that answered. */
    bool reached;               /* The peer itself has answered, as the hop
                                 * after these. */
    long long int when;         /* Of the next step. */
    unsigned int n_sent, n_answers;

    /* Routers, and who answered: one more than their index, 0 for nobody. */
    struct in6_addr routers[ZOO_TRACE_MAX_ROUTERS];
    unsigned int n_routers;
    uint8_t answers[ZOO_TRACE_N_FIELDS][ZOO_TRACE_MAX_HOPS]
                   [ZOO_TRACE_MAX_PORTS];
};

/* Prepares to trace the 'n' ports 'sports', 1...ZOO_TRACE_MAX_PORTS, to
 * 'dport' at 'now'.  'token' is a random number. */
void zoo_trace_init(struct zoo_trace *, uint64_t token, enum zoo_encap,
                    bool ipv6, uint32_t vni, const uint16_t sports[],
                    unsigned int n, uint16_t dport, bool sports_only,
                    long long int now);

/* Fills in '*probe', which is to be sent at once, and returns true, or returns
 * false if nothing is to be sent at 'now'. */
bool zoo_trace_next(struct zoo_trace *, long long int now,
                    struct zoo_trace_probe *probe);

/* Returns when zoo_trace_next() must be called again, LLONG_MAX if it is over.
 */
long long int zoo_trace_when(const struct zoo_trace *);

/* Returns true if all is known that will ever be. */
static inline bool
zoo_trace_is_done(const struct zoo_trace *trace)
{
    return trace->field == ZOO_TRACE_N_FIELDS;
}

/* 'router' has sent an ICMP error that quotes the 'len' bytes at 'quote',
 * which may be anything, after the outer UDP header.  If 'unreachable', the
 * packet had arrived, but found no port; otherwise its time was over.  Returns
 * true if it answers a probe. */
bool zoo_trace_answer(struct zoo_trace *, const struct in6_addr *router,
                      bool unreachable, const uint8_t *quote, size_t len);

/* Returns how many different routers answered probes that differ in 'field'
 * alone, at the hop where most did, 0 if none answered. */
unsigned int zoo_trace_spread(const struct zoo_trace *, enum zoo_trace_field);

/* Stores into 'paths' for each port the number of its path, from 0 on, or -1
 * if not all routers that tell paths apart have answered, or not the same ones
 * to the second trace of the port, if there is one.  Returns the number of
 * paths. */
unsigned int zoo_trace_paths(const struct zoo_trace *,
                             int paths[ZOO_TRACE_MAX_PORTS]);

/* Appends to 's', in lines, what the trace has found of the ports. */
void zoo_trace_format_verdict(const struct zoo_trace *, struct ds *s);
void zoo_trace_format_paths(const struct zoo_trace *, struct ds *s);

/* One candidate is to be exchanged for another port. */
struct zoo_trace_exchange {
    unsigned int candidate;     /* Index of the port to give up, */
    unsigned int port;          /* and of the one to take. */
};

/* Chooses, of the first 'n_candidates' ports, those in 'movable' whose paths
 * many of them share, to be exchanged for others of the ports whose paths
 * fewer have: none where the underlay does not keep to one path for a port.
 * Returns how many are stored into 'exchanges', which has room for
 * 'n_candidates'. */
unsigned int zoo_trace_diversify(const struct zoo_trace *,
                                 unsigned int n_candidates, uint32_t movable,
                                 struct zoo_trace_exchange exchanges[]);

#endif /* zoo-trace.h */
