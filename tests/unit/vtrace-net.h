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

#ifndef VTRACE_NET_H
#define VTRACE_NET_H 1

/* Records of a network of two nodes that does not exist. */

#include <stdbool.h>
#include <stdint.h>

#include "vtrace/analyze.h"

#define START (1800000000 * SEC)
#define WATERMARKS (200 * MSEC)
#define COLOR 1
#define PER_PACKET 4            /* Records: "in" and "out" at both nodes. */

/* Two nodes, "h1" and "h2", of which one sends packets to the other one. */
struct net {
    struct vtrace_analyzer *az;
    struct vtrace_analysis *an;
    struct vtrace_exporter *nodes[2];
    struct vtrace_record templates[PER_PACKET];
    int64_t next_watermark;

    /* Of each node. */
    uint64_t written[2], lost[2];
    uint32_t session[2];
    int64_t ahead[2];           /* Of its clock. */
    bool silent[2];             /* Nothing comes from it. */
    int64_t late[2];            /* By so much its watermarks are. */
};

void net_init(struct net *);

/* The same, and listens to the reverse direction with the color after COLOR,
 * which enters at h2. */
void net_init_both_ways(struct net *);
void net_destroy(struct net *);

/* Makes the nodes known, which say nothing yet, to an analyzer for
 * 'max_observations', or as many as usual if that is 0. */
void net_init_nodes(struct net *, uint32_t max_observations);

/* Returns a new analysis of the forward direction, which enters at h1. */
struct vtrace_analysis *net_analysis(struct vtrace_analyzer *, int64_t id,
                                     uint16_t color);

/* 'node' says that it has 192.0.2.ADDRESS, and so on from 256 on. */
void net_endpoint(struct net *, int node, uint32_t address);

/* Watermarks of 'node' at 'time', which come at 'now'. */
void net_watermark(struct net *, int node, int64_t time, int64_t now);

/* Record 'i' of a packet that entered at 'time' comes. */
void net_record(struct net *, int i, int64_t time, uint64_t digest,
                uint16_t sport);

/* A packet at 'time', which arrives or not. */
void net_packet(struct net *, int64_t time, uint64_t digest, uint16_t sport,
                bool arrives);
uint64_t net_digest(uint64_t i);

/* Lets the time be 'time', which grows from call to call. */
void net_tick(struct net *, int64_t time);
void net_stop(struct net *, int64_t time);

/* Returns the verdict as "KIND REASON", with what it is about in '*v'. */
const char *net_verdict(const struct vtrace_analysis *,
                        struct vtrace_verdict *v);

/* Stops the net at 'time', compares the verdict with 'expected' and destroys
 * it. */
void net_finish(struct net *, int64_t time, const char *expected,
                struct vtrace_verdict *v);

/* Returns a member of the forward direction's evidence. */
int64_t net_evidence(const struct net *, const char *name);

#endif /* vtrace-net.h */
