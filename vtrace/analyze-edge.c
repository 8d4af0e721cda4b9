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

/* What became of packets between two switches. */

#include <config.h>
#include "vtrace/analyze-private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

/* Standard deviations that 99 % of a normal distribution stay below. */
#define SIGMAS 2.33

/* Outer source ports of an edge of which packets that leave one probably go to
 * another one. */
#define MANY_SPORTS 4

static struct sport_stats *
get_sport(struct edge *edge, uint16_t sport)
{
    for (unsigned int i = 0; i < edge->n_sports; i++) {
        if (edge->sports[i].sport == sport) {
            return &edge->sports[i];
        }
    }
    if (edge->n_sports >= MAX_SPORTS) {
        return &edge->sports[MAX_SPORTS - 1];
    }

    /* The last one is for all that have no place. */
    struct sport_stats *ss = &edge->sports[edge->n_sports++];
    ss->sport = edge->n_sports < MAX_SPORTS ? sport : 0;
    return ss;
}

static void
sport_sent(struct sport_stats *ss, uint64_t time)
{
    ss->first_sent = ss->sent++ ? MIN(ss->first_sent, time) : time;
}

void
vtrace_edge_lost(struct edge *edge, const struct observation *out)
{
    struct sport_stats *ss = get_sport(edge, out->sport);

    sport_sent(ss, out->time);
    edge->sent++;
    ss->lost++;
    /* Packets that repeat come digest by digest, not by time. */
    if (out->time > ss->last_received) {
        ss->run_begin = ss->run++ ? MIN(ss->run_begin, out->time) : out->time;
    }
    if (edge->sent - edge->received == 1) {
        edge->first_lost = edge->last_lost = out->time;
    }
    edge->first_lost = MIN(edge->first_lost, out->time);
    if (out->time >= edge->last_lost) {
        edge->last_lost = out->time;
        edge->since_lost = 0;
    }
    edge->lost_payload += out->payload;
    edge->lost_by_len[MIN(out->len / EDGE_LEN, EDGE_N_LENS - 1)]++;
}

void
vtrace_edge_received(struct edge *edge, const struct observation *out)
{
    struct sport_stats *ss = get_sport(edge, out->sport);

    edge->sent++;
    edge->received++;
    edge->since_lost += out->time > edge->last_lost;
    edge->last_received = MAX(edge->last_received, out->time);
    edge->last_sport = out->sport;
    edge->max_received_len = MAX(edge->max_received_len, out->len);
    sport_sent(ss, out->time);
    ss->received++;
    ss->last_received = MAX(ss->last_received, out->time);
    if (ss->run && out->time > ss->run_begin) {
        ss->healed += ss->run;
        ss->n_healed++;
        ss->healed_begin = ss->run_begin;
        ss->run = 0;
    }
}

void
vtrace_edge_delayed(struct vtrace_analyzer *az, struct edge *edge,
                    int64_t delay)
{
    uint64_t i = edge->n_delays++;

    if (!i) {
        edge->samples = xmalloc(MAX_SAMPLES * sizeof *edge->samples);
        edge->min_delay = delay;
    } else {
        int64_t d = delay - edge->last_delay;

        edge->jitter += ((d < 0 ? -d : d) - edge->jitter) / 16;
    }
    edge->min_delay = MIN(edge->min_delay, delay);
    edge->last_delay = delay;

    if (i >= MAX_SAMPLES) {
        /* Each delay so far stays with the same probability. */
        az->random ^= az->random << 13;
        az->random ^= az->random >> 17;
        az->random ^= az->random << 5;
        i = az->random % (i + 1);
    }
    if (i < MAX_SAMPLES) {
        edge->samples[i] = delay;
    }
}

const char *
vtrace_edge_to(const struct flow_state *flow, const struct point *point)
{
    const struct vtrace_exporter *to = vtrace_edge_target(flow, point);

    return to ? to->name : point->address;
}

bool
vtrace_exceeds(double n, double expected)
{
    return n - expected > SIGMAS * sqrt(expected);
}

uint16_t
vtrace_edge_losing_sport(const struct edge *edge)
{
    uint64_t lost = edge->sent - edge->received;

    for (unsigned int i = 0; i < edge->n_sports; i++) {
        if (edge->sports[i].lost * 10 >= lost * 9) {
            return edge->sports[i].sport;
        }
    }
    return 0;
}

/* Nothing more arrives of the outer source ports that lost packets. */
static bool
is_silent(const struct edge *edge)
{
    uint64_t lost = edge->sent - edge->received;
    uint64_t silent = 0;

    for (unsigned int i = 0; i < edge->n_sports; i++) {
        const struct sport_stats *ss = &edge->sports[i];

        if (!ss->received
            || (ss->run >= MIN_EVIDENCE && ss->run * 10ULL >= ss->lost * 9)) {
            silent += ss->lost;
        }
    }
    return silent * 10 >= lost * 9;
}

/* Returns true if an outer source port was first used after 'time', and
 * packets of it arrived. */
static bool
has_newer_sport(const struct edge *edge, uint64_t time)
{
    for (unsigned int i = 0; i < edge->n_sports; i++) {
        if (edge->sports[i].received && edge->sports[i].first_sent > time) {
            return true;
        }
    }
    return false;
}

/* Returns how many packets of 'ss' may have been lost before the others were
 * sent from another port: the last ones, or those of one outage, if packets
 * first used another port after it.
 *
 * A port from which nothing ever arrived is no flow that moved: a connection
 * that cannot be opened tries others. */
static uint32_t
lost_before_move(const struct edge *edge, const struct sport_stats *ss)
{
    return (!ss->received ? 0
            : ss->run ? ss->run
            : (ss->n_healed == 1 && ss->healed >= MIN_EVIDENCE
               && has_newer_sport(edge, ss->healed_begin)) ? ss->healed
            : 0);
}

bool
vtrace_edge_is_failover(const struct edge *edge, bool known)
{
    uint64_t lost = edge->sent - edge->received;
    bool newer = has_newer_sport(edge, edge->first_lost);
    bool in_a_row = known || lost == 1;
    unsigned int n_moved = 0;
    uint64_t explained = 0;

    if (!lost || edge->n_sports < 2 || edge->since_lost < MIN_DELIVERED) {
        return false;
    }

    /* Where many ports are in use, packets move to one of those. */
    if (edge->n_sports < MANY_SPORTS && !newer) {
        return false;
    }

    /* Of several flows that moved one may have lost a single packet. */
    for (unsigned int i = 0; i < edge->n_sports; i++) {
        uint32_t n = lost_before_move(edge, &edge->sports[i]);

        explained += n;
        in_a_row |= n >= 2;
        n_moved += n > 0;
    }

    /* Where flows have few packets, each of several may have lost its last
     * one. */
    in_a_row |= newer && n_moved >= MIN_EVIDENCE;

    /* Packets of flows that stay may be lost meanwhile, as those that move
     * fill the queues of theirs. */
    if (!in_a_row || explained * 5 < lost * 4) {
        return false;
    }

    /* One outage, and the time since is longer. */
    return (edge->last_received > edge->last_lost
            && (edge->last_received - edge->last_lost
                > edge->last_lost - edge->first_lost));
}

/* What was lost was longer than anything that was received, but for what lost
 * records explain. */
static bool
is_mtu(const struct edge *edge, double explained)
{
    uint64_t lost = edge->sent - edge->received;
    uint64_t longer = 0;

    for (uint32_t i = edge->max_received_len / EDGE_LEN + 1;
         i < EDGE_N_LENS; i++) {
        longer += edge->lost_by_len[i];
    }
    return (edge->received >= MIN_EVIDENCE && longer >= MIN_EVIDENCE
            && (lost == longer || !vtrace_exceeds(lost - longer, explained)));
}

enum vtrace_reason
vtrace_edge_reason(const struct edge *edge, double explained)
{
    return (is_mtu(edge, explained) ? VTRACE_REASON_UNDERLAY_MTU
            : is_silent(edge) ? VTRACE_REASON_UNDERLAY_SILENT
            : VTRACE_REASON_UNDERLAY_LOSSY);
}

static int
compare_int64(const void *a_, const void *b_)
{
    int64_t a = *(const int64_t *) a_;
    int64_t b = *(const int64_t *) b_;

    return a < b ? -1 : a > b;
}

const struct point *
vtrace_edge_opposite(const struct flow_state *flow, const struct point *point)
{
    const struct flow_state *other = vtrace_other_flow(flow);
    const struct vtrace_exporter *from = point->fn->node;
    const struct vtrace_exporter *to = point->edge->to;
    const struct point *best = NULL, *p;

    HMAP_FOR_EACH (p, node, &other->points) {
        if (p->edge && p->edge->n_delays
            && p->fn->node == to && p->edge->to == from
            && (!best || p->edge->n_delays > best->edge->n_delays)) {
            best = p;
        }
    }
    return best;
}

bool
vtrace_edge_is_lossy(const struct edge *edge)
{
    return (!edge->unsynchronized && !vtrace_edge_is_failover(edge, true)
            && vtrace_edge_reason(edge, 0) == VTRACE_REASON_UNDERLAY_LOSSY);
}

const char *
vtrace_edge_delay(const struct flow_state *flow, const struct point *point,
                  double quantile, int64_t *delay)
{
    const struct edge *edge = point->edge;
    const struct point *back;
    int64_t offset;

    if (!edge->n_delays) {
        return NULL;
    }
    back = vtrace_edge_opposite(flow, point);
    if (!back) {
        return NULL;
    }
    offset = (edge->min_delay - back->edge->min_delay) / 2;

    size_t n = MIN(edge->n_delays, MAX_SAMPLES);
    int64_t sorted[MAX_SAMPLES];
    memcpy(sorted, edge->samples, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, compare_int64);
    *delay = sorted[MIN((size_t) (quantile * n), n - 1)] - offset;
    return "both-directions";
}
