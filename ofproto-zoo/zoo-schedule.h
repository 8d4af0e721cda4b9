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

#ifndef ZOO_SCHEDULE_H
#define ZOO_SCHEDULE_H 1

/* Whose turn it is: many peers within one rate of requests
 * ========================================================
 *
 * A peer is visited when it has something to judge or to send.  What it has to
 * send waits for credit, which grows at the configured rate: first come, first
 * served, so that none is forgotten however many there are.  Peers that suspect
 * a loss go ahead of others, but only every other turn while others wait too,
 * and a round's worth of credit is kept for them.  Who waits is still visited
 * when the time of a round is over, and not more often.
 *
 * Rounds that are not urgent come at every other tick only.  What goes out in a
 * tick goes at a pace at which the queues of receivers do not overflow.
 *
 * Pure: times (monotonic, ns) are arguments.  Callers serialize access. */

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "heap.h"
#include "openvswitch/list.h"
#include "util.h"
#include "zoo-peer.h"

struct zoo_schedule_node {
    struct heap_node heap_node;     /* By time of the next visit. */
    struct ovs_list list_node;      /* In 'urgent' or 'others' if it waits. */
    struct zoo_peer *peer;
    bool waits;
    bool urgent;
    unsigned int since;             /* 'n_dry' when it began to wait. */
};

struct zoo_schedule {
    struct heap heap;
    struct ovs_list urgent, others; /* Waiting, in order of arrival. */
    unsigned int rate;              /* Requests per second. */
    long long int credit;           /* Billionths of a request. */
    long long int refilled;         /* When 'credit' was computed, ns. */
    long long int paced;            /* When all that was sent has had the time
                                     * that the pace gives it, ns. */
    bool last_urgent;               /* So was the last turn. */
    unsigned int n_dry;             /* How often credit has run out. */
    uint64_t n_delayed;             /* Turns that had to wait for credit. */
};

void zoo_schedule_init(struct zoo_schedule *);

/* Adds 'node', of 'peer', which is visited at 'when'. */
void zoo_schedule_add(struct zoo_schedule *, struct zoo_schedule_node *node,
                      struct zoo_peer *peer, long long int when);
void zoo_schedule_remove(struct zoo_schedule *, struct zoo_schedule_node *);

/* The credit is what it has become at 'now' with 'rate' requests per
 * second. */
void zoo_schedule_refill(struct zoo_schedule *, unsigned int rate,
                         long long int now);

/* Returns a peer to be visited at 'now', or NULL.  The caller judges its rounds
 * with zoo_peer_run_within() and ZOO_BUDGET_NONE, and then calls
 * zoo_schedule_update(). */
struct zoo_schedule_node *zoo_schedule_visit(const struct zoo_schedule *,
                                             long long int now);

/* The peer of the node has changed: visits it when that is due, and has it wait
 * for its turn if it has something to send. */
void zoo_schedule_update(struct zoo_schedule *, struct zoo_schedule_node *,
                         const struct zoo_params *, long long int now);

/* Visits the peer of the node at 'when', whatever it says itself. */
void zoo_schedule_set(struct zoo_schedule *, struct zoo_schedule_node *,
                      long long int when);

/* Returns the peer whose turn it is to send, which does not wait any more, and
 * stores into '*budget' how much, or returns NULL if none waits or credit lacks.
 * The caller calls zoo_peer_run_within(), and then zoo_schedule_sent(). */
struct zoo_schedule_node *zoo_schedule_take(struct zoo_schedule *,
                                            enum zoo_budget *budget);

/* The peer of the node is about to send 'n' requests, perhaps 0. */
void zoo_schedule_sent(struct zoo_schedule *, struct zoo_schedule_node *,
                       const struct zoo_params *, unsigned int n,
                       long long int now);

/* Returns the first multiple of 'tick' that is not before 'due', or 'due' if
 * that is never. */
static inline long long int
zoo_schedule_tick(long long int due, long long int tick)
{
    return due < LLONG_MAX - tick ? DIV_ROUND_UP(due, tick) * tick : due;
}

/* Returns when there is something to do, LLONG_MAX if never.  What is due
 * between two multiples of 'tick' ns can be done at the second. */
long long int zoo_schedule_next(const struct zoo_schedule *,
                                long long int tick);

#endif /* zoo-schedule.h */
