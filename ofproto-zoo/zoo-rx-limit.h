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

#ifndef ZOO_RX_LIMIT_H
#define ZOO_RX_LIMIT_H 1

/* How many requests are processed, of each source and of all
 * ==========================================================
 *
 * A source is an outer source address, whatever else its probes say.  Each has
 * a token bucket, and one is common to all.  A request that finds no token is
 * *refused*: that it has arrived is recorded, so that nobody takes it for lost,
 * but its report waits, covers what comes meanwhile, and asks with CTL (see
 * zoo-probe.h) for longer intervals.
 *
 * To authenticate a request and to record it costs time too, so ahead of that
 * there are wider buckets.  What finds no token there is *dropped*, and for
 * some time reports to its source say that an absence is no loss.
 *
 * A source's *fair share* is what there is for all, divided by the number of
 * sources that have sent authentic requests within the last one or two
 * seconds, and no more than one source may send.  While the bucket of all is
 * half empty, only sources that send more than that are refused, and the same
 * with the wider one and dropping.  So who sends no more than its fair share is
 * neither refused nor dropped, whatever others that are authentic send.
 *
 * Tokens for requests that are not authenticated are taken from the wider
 * buckets alone: who forges a source can make that source's requests be
 * dropped, as any flood can, but cannot have it asked to slow down.
 *
 * More requests than the wider bucket of all has tokens for are also more than
 * lower layers may hold, where anyone's get lost: reports say so to all.
 *
 * Pure: times (monotonic, ns) are arguments.  Memory is constant.  Callers
 * serialize. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

/* How long reports say that an absence is no loss, after a drop, ns. */
#define ZOO_RX_UNSEEN_TIME (2 * 1000 * 1000 * 1000LL)

/* What becomes of a request that is authentic. */
struct zoo_rx_grant {
    bool refused;
    uint8_t ctl;                /* For its report, ZOO_PROBE_CTL_*. */
};

struct zoo_rx_limit;

/* How many sources are told apart at a time, if their addresses' hashes are
 * spread evenly.  Those that have sent authentic requests within the last one
 * or two seconds are not forgotten for others.  Of several times a thousand
 * that do, a few may share the buckets of one. */
#define ZOO_RX_LIMIT_N_SOURCES 16384

/* 'basis' is random: who does not know it cannot choose addresses that share a
 * bucket with another one. */
struct zoo_rx_limit *zoo_rx_limit_create(uint32_t basis);
void zoo_rx_limit_destroy(struct zoo_rx_limit *);

/* Limits requests to 'total' per second, and those of one source to
 * 'per_source', from now on.  Neither is 0. */
void zoo_rx_limit_configure(struct zoo_rx_limit *, unsigned int total,
                            unsigned int per_source);

/* Counters of requests that are lost before they come here. */
#define ZOO_RX_LIMIT_N_COUNTERS 1024

/* A request from 'source' is about to be authenticated at 'now'.  'n_lost' is
 * what 'counter', always the same one of ZOO_RX_LIMIT_N_COUNTERS, says now,
 * which grows when requests of that source, and perhaps of others, are lost.
 * Returns false if it must be dropped. */
bool zoo_rx_limit_admit(struct zoo_rx_limit *, const struct in6_addr *source,
                        unsigned int counter, unsigned int n_lost,
                        long long int now);

/* A request from 'source' has been authenticated at 'now'.  Returns what
 * becomes of it. */
struct zoo_rx_grant zoo_rx_limit_take(struct zoo_rx_limit *,
                                      const struct in6_addr *source,
                                      long long int now);

/* Returns true if at 'now', or not long ago, more requests than are looked at
 * have come: then lower layers may lose some, and reports, too. */
bool zoo_rx_limit_is_busy(const struct zoo_rx_limit *, long long int now);

/* Divides the limit of what is authenticated by 2**'n', because it takes more
 * of the processor than it may. */
void zoo_rx_limit_throttle(struct zoo_rx_limit *, unsigned int n);

#endif /* zoo-rx-limit.h */
