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


#ifndef SIM_H
#define SIM_H 1

/* Two VTEPs that probe each other, in virtual time
 * ================================================
 *
 * Sides 0 and 1 each have a zoo_peer for the other one and a zoo_responder,
 * which run as the ZooRoute thread runs them: encoded probes go over a network
 * of paths, each of which may lose or delay packets in one direction.
 *
 * The path of a packet is its sender's candidate modulo the number of paths:
 * with 4 paths, candidates 0, 4, 8... of both sides take path 0.
 *
 * While it runs, the simulator checks what must hold for every change of a
 * map: a bucket moves only away from a candidate that is down and to one on
 * which a probe has arrived that was sent after the loss, or away from one that
 * has come to lead to another instance and to one on which a probe has arrived
 * as lately, or else home.  It
 * knows what has arrived; it does not ask the peer.  It also checks that no
 * side sends more than 40 rounds within 100 ms. */

#include <stdbool.h>
#include <stdint.h>

#include "heap.h"
#include "ofproto-zoo/zoo-peer.h"
#include "ofproto-zoo/zoo-peer-learn.h"
#include "ofproto-zoo/zoo-responder.h"

#define SIM_MAX_PATHS 8
#define SIM_MAX_INSTANCES 4
#define SIM_ALL_PATHS (-1)

/* One direction of a path. */
struct sim_path {
    long long int delay, jitter;    /* Delay is delay + 0...jitter, ns. */
    double loss;                    /* Probability, 1 is silence. */
};

struct sim_packet {
    struct heap_node heap_node;     /* In flight, by time of arrival. */
    struct ovs_list list_node;      /* In the inbox. */
    long long int arrival, sent;
    int from;                       /* Side. */
    int candidate;                  /* The sender's, -1 if unknown. */
    uint16_t sport;                 /* As received. */
    size_t len;
    uint8_t body[ZOO_PROBE_MAX_LEN];
};

struct sim_side {
    struct zoo_params params;
    struct zoo_peer peer;
    bool active;                    /* Runs 'peer'. */
    bool patched;                   /* Answers probes. */
    uint16_t caps;                  /* In its probes. */
    bool can_send;
    bool link_down;                 /* It is because of this that it cannot. */
    bool in_use[ZOO_N_BUCKETS];     /* By tenants. */
    long long int stalled_until;    /* The thread does not run. */
    unsigned int n_instances;       /* Behind this side's address. */
    uint32_t dead;                  /* Of these: they hear nothing. */
    unsigned int shift;             /* Which one gets what, */
    bool routed;                    /* or else what 'route' says, */
    uint8_t route[ZOO_MAX_CANDIDATES]; /* by the sender's candidate. */
    uint8_t first_backend;          /* The first one's BackendID ends so. */
    struct zoo_responder *responder[SIM_MAX_INSTANCES];
    struct zoo_rx_limit *limit;     /* None if NULL. */
    struct ovs_list inbox;
    long long int next_use;
    uint32_t report_salt;

    long long int burst_slot;       /* 100 ms. */
    unsigned int burst;             /* Rounds in it. */

    /* What the simulator has seen. */
    uint64_t n_rounds, n_requests, n_reports;   /* Sent. */
    uint64_t n_heard;                           /* By zoo_peer_hear(). */
    uint64_t errors[ZOO_PROBE_N_ERRORS];        /* Received. */
    unsigned int n_down[ZOO_MAX_CANDIDATES];    /* Times. */
    unsigned int n_up[ZOO_MAX_CANDIDATES];
    unsigned int moves[ZOO_N_BUCKETS];
    unsigned int n_publications;
    uint8_t owner[ZOO_N_BUCKETS];
    uint16_t sport[ZOO_MAX_CANDIDATES];
    uint16_t map[ZOO_N_BUCKETS];                /* As published. */
    long long int last_arrived[ZOO_MAX_CANDIDATES]; /* When sent. */
    uint8_t leads_to[ZOO_MAX_CANDIDATES];       /* Instances, and when they */
    long long int changed[ZOO_MAX_CANDIDATES];  /* changed. */

    /* Silence of tenant traffic, by bucket: since when, LLONG_MAX if not now,
     * and the longest one since the last sim_forget_silence(). */
    long long int silent_since[ZOO_N_BUCKETS];
    long long int longest[ZOO_N_BUCKETS];
};

struct sim {
    long long int now;
    unsigned int n_paths;
    struct sim_path path[2][SIM_MAX_PATHS];     /* By sending side. */
    /* Returns the port that a receiver sees, NULL for the sender's. */
    uint16_t (*rewrite)(int from, uint16_t sport);
    /* Sees each packet that is sent and may change it. */
    void (*tap)(struct sim *, struct sim_packet *);
    bool drop_reports;
    struct heap in_flight;
    struct sim_side side[2];
};

/* The defaults of the ZooRoute table. */
extern const struct zoo_params sim_defaults;

/* Returns what the 'i'-th of those who probe one VTEP is known by. */
struct zoo_sender_key sim_sender(uint32_t i);

/* Both sides probe, once tenants use something.  Round trips take 500 us. */
void sim_init(struct sim *, unsigned int n_paths, const struct zoo_params *);
void sim_destroy(struct sim *);

/* The same for four paths and the defaults, with random numbers from 'seed' on:
 * tenants of both sides use the first 'n_used' buckets, for 3 s already. */
void sim_start(struct sim *, uint32_t seed, unsigned int n_used);

/* Lets 'duration' ns pass. */
void sim_run(struct sim *, long long int duration);

/* Runs until 'condition(sim)' holds, for 'limit' at most.  Returns how long it
 * took, or LLONG_MAX. */
long long int sim_run_until(struct sim *, bool (*condition)(struct sim *),
                            long long int limit);

/* Tenants of 'side' use buckets 0...n-1 and no other. */
void sim_use(struct sim *, int side, unsigned int n);

/* Returns the bucket that what is sent back to a session falls into that is in
 * bucket 'b' on its way there. */
static inline unsigned int
sim_way_back(unsigned int b)
{
    return (b * 37 + 5) % ZOO_N_BUCKETS;
}

/* Sets the loss of 'path', or all paths, from 'from' to the other side. */
void sim_set_loss(struct sim *, int from, int path, double loss);

/* Does so in both directions. */
void sim_set_loss_both(struct sim *, int path, double loss);

/* Sets the delay of everything. */
void sim_set_delay(struct sim *, long long int delay, long long int jitter);

/* The side's thread does not get the processor for 'duration' ns. */
void sim_stall(struct sim *, int side, long long int duration);

/* The side's prober, or responder, loses all that it knows. */
void sim_restart_peer(struct sim *, int side);
void sim_restart_responder(struct sim *, int side);

/* Sends 'packet' once more, unchanged. */
void sim_replay(struct sim *, const struct sim_packet *);

/* As "zooroute/set-candidate" does. */
void sim_force(struct sim *, int side, unsigned int candidate,
               enum zoo_health_forced);

/* Has candidates of the other side lead to the instances of 'side' of which
 * there is a bit in 'instances', as the hash-threshold method deals them: each
 * candidate's hash depends on it and 'seed' alone. */
void sim_route(struct sim *, int side, unsigned int instances, uint32_t seed);

/* Returns the instance of the other side that 'candidate' of 'side' leads
 * to. */
unsigned int sim_instance(const struct sim *, int side,
                          unsigned int candidate);

void sim_forget_silence(struct sim *);

/* Returns the longest silence of a bucket in use, ns. */
long long int sim_longest_silence(struct sim *, int side);

/* Returns how many candidates of 'side' on 'path' are in 'state'. */
unsigned int sim_count(const struct sim *, int side, int path,
                       enum zoo_health_state state);

/* Returns how many probes of 'side' were lost, or how often its candidates
 * went down, as it believes. */
unsigned int sim_lost(const struct sim *, int side);
unsigned int sim_down(const struct sim *, int side);

/* Checks that every candidate of 'side' is up and every bucket at home; and
 * also that it has never been otherwise. */
void sim_check_all_good(const struct sim *, int side, uint32_t seed);
void sim_check_undisturbed(const struct sim *, int side, uint32_t seed);

/* Returns the number of moves of all buckets of 'side' together, and of the
 * bucket that moved most. */
unsigned int sim_moves(const struct sim *, int side, unsigned int *max);

#endif /* sim.h */
