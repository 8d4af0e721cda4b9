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

#include <config.h>
#include "zoo-schedule.h"

#include <limits.h>

#include "util.h"

#define MSEC (1000 * 1000LL)
#define SEC (1000 * MSEC)

/* What a round may take, and what must be left for one that is urgent when
 * another one is sent. */
#define ROUND (ZOO_MAX_CANDIDATES * SEC)
#define RESERVE ROUND

/* What the queue of a receiver's socket holds at Linux's default size is some
 * 160 probes, and to wake up its reader takes a while.  So not more than BURST
 * go out at once, and then no more than one each PACE ns.  Where more than that
 * are configured, twice that rate, and as many at once as are for 2 ms. */
#define BURST (3 * ZOO_MAX_CANDIDATES)
#define PACE (20 * 1000)

/* More is credit enough at any rate, and does not overflow at the highest. */
#define MAX_ELAPSED (1000 * SEC)

void
zoo_schedule_init(struct zoo_schedule *s)
{
    memset(s, 0, sizeof *s);
    heap_init(&s->heap);
    ovs_list_init(&s->urgent);
    ovs_list_init(&s->others);
}

void
zoo_schedule_add(struct zoo_schedule *s, struct zoo_schedule_node *node,
                 struct zoo_peer *peer, long long int when)
{
    node->peer = peer;
    node->waits = false;
    heap_insert(&s->heap, &node->heap_node, UINT64_MAX - when);
}

static void
stop_waiting(struct zoo_schedule_node *node)
{
    if (node->waits) {
        ovs_list_remove(&node->list_node);
        node->waits = false;
    }
}

void
zoo_schedule_remove(struct zoo_schedule *s, struct zoo_schedule_node *node)
{
    stop_waiting(node);
    heap_remove(&s->heap, &node->heap_node);
}

/* A hundredth of a second's worth, or one round, and what is kept.  So the full
 * rounds of many peers do not come all at once. */
static long long int
max_credit(const struct zoo_schedule *s)
{
    return MAX(s->rate / 100 * SEC, ROUND) + RESERVE;
}

void
zoo_schedule_refill(struct zoo_schedule *s, unsigned int rate,
                    long long int now)
{
    long long int elapsed = MAX(0, MIN(now - s->refilled, MAX_ELAPSED));

    s->rate = rate;
    s->credit = MIN(s->credit + elapsed * rate, max_credit(s));
    s->refilled = now;
}

struct zoo_schedule_node *
zoo_schedule_visit(const struct zoo_schedule *s, long long int now)
{
    struct heap_node *node = (heap_is_empty(&s->heap) ? NULL
                              : heap_max(&s->heap));

    return (node && node->priority >= UINT64_MAX - now
            ? CONTAINER_OF(node, struct zoo_schedule_node, heap_node)
            : NULL);
}

void
zoo_schedule_set(struct zoo_schedule *s, struct zoo_schedule_node *node,
                 long long int when)
{
    heap_change(&s->heap, &node->heap_node, UINT64_MAX - when);
}

static void
wait_for_turn(struct zoo_schedule *s, struct zoo_schedule_node *node,
              bool urgent)
{
    if (node->waits && node->urgent == urgent) {
        return;
    } else if (!node->waits) {
        node->since = s->n_dry;
    }
    stop_waiting(node);
    ovs_list_push_back(urgent ? &s->urgent : &s->others, &node->list_node);
    node->waits = true;
    node->urgent = urgent;
}

/* Returns when 'peer' is to send its next round: what is not urgent waits for
 * every other tick, since to wake up the receiver takes longer than to receive
 * one more probe. */
static long long int
next_round(const struct zoo_peer *peer, const struct zoo_params *params)
{
    long long int round = zoo_peer_next_round(peer);
    long long int grid = 2 * zoo_peer_tick(params);

    return (round >= LLONG_MAX - grid ? round
            : MAX(round, MIN(DIV_ROUND_UP(round, grid) * grid,
                             peer->next_urgent)));
}

void
zoo_schedule_update(struct zoo_schedule *s, struct zoo_schedule_node *node,
                    const struct zoo_params *params, long long int now)
{
    long long int next = zoo_peer_next_verdict(node->peer, params);
    long long int round = next_round(node->peer, params);

    if (round <= now) {
        wait_for_turn(s, node, zoo_peer_is_urgent(node->peer, now));
    } else {
        stop_waiting(node);
        next = MIN(next, round);
    }
    zoo_schedule_set(s, node, MAX(next, now + MSEC));
}

/* Returns the time that one probe takes of the pace, ns. */
static long long int
get_pace(const struct zoo_schedule *s)
{
    return MIN(PACE, SEC / 2 / MAX(s->rate, 1));
}

/* Returns when a round may go out as far as the pace is concerned. */
static long long int
next_paced(const struct zoo_schedule *s)
{
    return (s->paced
            - (MAX(BURST, s->rate / 500) - ZOO_MAX_CANDIDATES) * get_pace(s));
}

static bool
has_credit(const struct zoo_schedule *s, bool urgent)
{
    return s->credit >= ROUND + (urgent ? 0 : RESERVE);
}

/* Returns the list whose first peer goes next. */
static const struct ovs_list *
next_list(const struct zoo_schedule *s)
{
    bool urgent = !ovs_list_is_empty(&s->urgent);
    bool others = !ovs_list_is_empty(&s->others) && has_credit(s, false);

    return (urgent && !(others && s->last_urgent) ? &s->urgent
            : &s->others);
}

struct zoo_schedule_node *
zoo_schedule_take(struct zoo_schedule *s, enum zoo_budget *budget)
{
    const struct ovs_list *list = next_list(s);
    struct zoo_schedule_node *node;

    if (ovs_list_is_empty(list)) {
        return NULL;
    } else if (!has_credit(s, list == &s->urgent)) {
        s->n_dry++;
        return NULL;
    } else if (s->refilled < next_paced(s)) {
        return NULL;
    }
    node = CONTAINER_OF(ovs_list_front(list), struct zoo_schedule_node,
                        list_node);
    stop_waiting(node);
    s->last_urgent = node->urgent;
    s->n_delayed += node->since != s->n_dry;
    *budget = (s->credit < max_credit(s) / 2 ? ZOO_BUDGET_SCARCE
               : ZOO_BUDGET_AMPLE);
    return node;
}

void
zoo_schedule_sent(struct zoo_schedule *s, struct zoo_schedule_node *node,
                  const struct zoo_params *params, unsigned int n,
                  long long int now)
{
    s->credit -= n * SEC;
    s->paced = MAX(s->paced, now) + n * get_pace(s);
    /* At least a moment later: what it sends is not sent yet. */
    zoo_schedule_set(s, node, MAX(now + MSEC,
                                  zoo_peer_next(node->peer, params)));
}

/* Returns when those who wait have credit, which is looked at each 'tick', and
 * may go out. */
static long long int
next_turn(const struct zoo_schedule *s, long long int tick)
{
    bool urgent = !ovs_list_is_empty(&s->urgent);
    long long int need = ROUND + (urgent ? 0 : RESERVE);

    if (!urgent && ovs_list_is_empty(&s->others)) {
        return LLONG_MAX;
    } else if (s->credit >= need) {
        return MAX(s->refilled, next_paced(s));
    }
    return zoo_schedule_tick(s->refilled + DIV_ROUND_UP(need - s->credit,
                                                        MAX(s->rate, 1)),
                             tick);
}

long long int
zoo_schedule_next(const struct zoo_schedule *s, long long int tick)
{
    long long int visit = (heap_is_empty(&s->heap) ? LLONG_MAX
                           : UINT64_MAX - heap_max(&s->heap)->priority);

    return MIN(zoo_schedule_tick(visit, tick), next_turn(s, tick));
}
