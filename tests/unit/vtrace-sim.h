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

#ifndef VTRACE_SIM_H
#define VTRACE_SIM_H 1

/* Record streams of networks that do not exist: the scenarios and faults of
 * vtrace/README.md, as the switches on the way would export them. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vtrace/analyze.h"

enum sim_scenario {
    SIM_VPC,                    /* h1, h2 */
    SIM_INTERNET,               /* h1, gw1 with NAT, external */
    SIM_ONPREM,                 /* h1, gw1, external */
    SIM_PEERING,                /* h1, gw1, gw2, h2; two domains */
    SIM_N_SCENARIOS
};

enum sim_fault {
    SIM_ACL,
    SIM_NO_ROUTE,
    SIM_METER,                  /* Every second packet. */
    SIM_METER_ALL,
    SIM_CT_INVALID,
    SIM_MTU_SENDER,             /* Packets are long and short by turns. */
    SIM_MTU_UNDERLAY,
    SIM_SPINE_SILENT,
    SIM_FAILOVER,               /* The same, and ZooRoute. */
    SIM_SPINE_LOSSY,            /* 5 %. */
    SIM_WRONG_VNI,
    SIM_NO_NEIGHBOR,
    SIM_PORT_DOWN,
    SIM_NO_FLOW,
    SIM_SILENT_RECEIVER,
    SIM_NONE,
    SIM_N_FAULTS
};

struct sim_options {
    enum sim_scenario scenario;
    enum sim_fault fault;
    bool both;                  /* Trace answers, too. */
    bool identical;             /* All packets of a direction are equal. */
    unsigned int lossy[VTRACE_N_DIRECTIONS];    /* SIM_SPINE_LOSSY: instead of
                                 * one in 20 packets of the forward direction,
                                 * one in this many of each. */
    bool flows;                 /* Four of them, each with an outer source port
                                 * of its own; a silent spine has two. */
    bool patches;               /* Each switch has another bridge. */
    bool metered;               /* All packets pass a meter where the fault
                                 * is. */
    bool shuffle;               /* Records in random order. */
    bool no_entry;              /* No packet matches the rule. */
    bool silent_node;           /* The node before the fault, at which packets
                                 * arrive, exports nothing. */
    bool segments;              /* The entry's packets are TCP's, and cut into
                                 * two between the first two nodes. */
    unsigned int n_packets;
    unsigned int n_injected;    /* The first of them were injected. */
    bool tcp;                   /* Packets are TCP's. */
    enum vtrace_reason stuck;   /* If not 0, injected ones get no further than
                                 * the entry, for this reason. */
    int64_t clock_ahead;        /* ns, of every second node. */
    double drop_messages;       /* Share of messages that do not arrive. */
    unsigned int message_len;   /* Records in each, 0 for ten. */
    unsigned int relay_delay;   /* us that each edge adds. */
    unsigned int probe_rtt;     /* us that probes take between neighbors and
                                 * back, 0 for no probes. */
    bool old_probes;            /* There are none any more when the packets
                                 * are sent. */
    const char *record_file;    /* Where the analyzer's is written, or NULL. */
};

/* Feeds the records of 'options' into a new analysis of a new analyzer and
 * stops it.  The caller must destroy the analyzer. */
struct vtrace_analyzer *sim_run(const struct sim_options *options,
                                struct vtrace_analysis **analysis);

const char *sim_scenario_name(enum sim_scenario);

#endif /* vtrace-sim.h */
