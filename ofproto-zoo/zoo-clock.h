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

#ifndef ZOO_CLOCK_H
#define ZOO_CLOCK_H 1

/* How far the clocks of two VTEPs are apart
 * =========================================
 *
 * A request carries its sender's time, and so says at its arrival by how much
 * the receiver's clock is ahead of the sender's, plus how long it took.  The
 * sender knows how long both ways take.  Neither knows both, but who is told
 * both can subtract, as NTP does (RFC 5905, section 8): half of the round trip
 * is taken for one way.  The smallest of some seconds has waited least on its
 * way.
 *
 * Only pairs of addresses that somebody has asked for lately are measured.
 * Times are arguments, monotonic, ns.  Callers serialize. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Pairs at a time. */
#define ZOO_CLOCK_MAX 256

/* For how long at least, and twice that at most, a measurement counts, ns. */
#define ZOO_CLOCK_WINDOW (2000LL * 1000 * 1000)

/* After which time without zoo_clocks_want() a pair is forgotten, ns. */
#define ZOO_CLOCK_IDLE (10 * 1000LL * 1000 * 1000)

struct zoo_clocks;

/* What is known of a pair, ns. */
struct zoo_clock {
    bool has_ahead, has_rtt;
    int64_t ahead;              /* Arrival here less transmission there, each
                                 * by its own clock. */
    int64_t rtt;                /* From here to there and back, less the time
                                 * spent there. */
};

struct zoo_clocks *zoo_clocks_create(void);
void zoo_clocks_destroy(struct zoo_clocks *);

/* Returns the number of pairs. */
size_t zoo_clocks_count(const struct zoo_clocks *);

/* Has the pair measured from 'now' on, or goes on with it.  Does nothing if
 * there are too many. */
void zoo_clocks_want(struct zoo_clocks *, const struct in6_addr *local,
                     const struct in6_addr *remote, long long int now);

/* A request of 'machine', one of those that have the address 'remote', has come
 * with 'ahead'.  While several send, nobody can tell whose clock is meant, and
 * nothing is known. */
void zoo_clocks_request(struct zoo_clocks *, const struct in6_addr *local,
                        const struct in6_addr *remote, uint32_t machine,
                        int64_t ahead, long long int now);

/* A report has come that makes a round trip of 'rtt'. */
void zoo_clocks_report(struct zoo_clocks *, const struct in6_addr *local,
                       const struct in6_addr *remote, int64_t rtt,
                       long long int now);

/* Returns what is known of the pair. */
struct zoo_clock zoo_clocks_get(const struct zoo_clocks *,
                                const struct in6_addr *local,
                                const struct in6_addr *remote,
                                long long int now);

#endif /* zoo-clock.h */
