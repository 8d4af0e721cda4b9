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

/* ns after which an outer source port that was not used may be forgotten. */
#define SPORT_IDLE (5 * 1000 * 1000 * 1000ULL)

/* How often it is looked up how far clocks are apart, ns. */
#define OFFSET_INTERVAL (500 * 1000 * 1000ULL)

/* Outer source ports. */

static bool
is_silent_sport(const struct sport_stats *ss)
{
    return (!ss->received
            || (ss->run >= MIN_EVIDENCE && ss->run * 10ULL >= ss->lost * 9));
}

/* Returns when the outer source port was first used that is the last one of
 * those of which packets arrived. */
static uint64_t
newest_sport(const struct edge *edge)
{
    uint64_t newest = edge->forgotten.newest;

    for (unsigned int i = 0; i < N_SPORTS; i++) {
        const struct sport_stats *ss = vtrace_edge_sport(edge, i);

        if (ss && ss->received) {
            newest = MAX(newest, ss->first_sent);
        }
    }
    return newest;
}

/* Adds to '*sum' how many packets of 'ss' may have been lost before the others
 * were sent from another port: the last ones, or those of one outage, if
 * packets first used another port, the 'newest', after it.
 *
 * A port from which nothing ever arrived is no flow that moved: a connection
 * that cannot be opened tries others. */
static void
add_moved(const struct sport_stats *ss, uint64_t newest, struct sport_sum *sum)
{
    uint32_t n = (!ss->received ? 0
                  : ss->run ? ss->run
                  : (ss->n_healed == 1 && ss->healed >= MIN_EVIDENCE
                     && newest > ss->healed_begin) ? ss->healed
                  : 0);

    sum->moved += n;
    sum->n_moved += n > 0;
    sum->in_a_row |= n >= 2;
}

/* Adds what is known of 'ss', a port of 'edge', to that of forgotten ones. */
static void
forget_sport(struct edge *edge, const struct sport_stats *ss)
{
    struct sport_sum *sum = &edge->forgotten;

    if (is_silent_sport(ss)) {
        sum->silent += ss->lost;
    }
    if (ss->lost) {
        add_moved(ss, newest_sport(edge), sum);
    }
    if (ss->received) {
        sum->newest = MAX(sum->newest, ss->first_sent);
    }
}

/* Returns where to put another port of 'edge' in 'set', at 'time', or NULL.
 * If there are more in use than there is room for, those that have a place
 * keep it: what becomes of a port's packets shows only in several of them. */
static struct sport_stats *
add_sport(struct edge *edge, struct sport_set *set, uint64_t time)
{
    struct sport_stats *oldest = &set->sports[0];

    if (set->n < SPORT_WAYS) {
        return &set->sports[set->n++];
    }
    for (unsigned int i = 1; i < SPORT_WAYS; i++) {
        if (set->sports[i].last_sent < oldest->last_sent) {
            oldest = &set->sports[i];
        }
    }
    if (time < oldest->last_sent + SPORT_IDLE) {
        return NULL;
    }
    forget_sport(edge, oldest);
    return oldest;
}

/* Returns the outer source port of 'out' on 'edge', NULL if there is no place
 * for it. */
static struct sport_stats *
get_sport(struct flow_state *flow, struct edge *edge,
          const struct observation *out)
{
    uint16_t hash = out->sport * 40503U;
    struct sport_set **setp = &edge->sports[hash / (65536 / N_SPORT_SETS)];
    struct sport_set *set = *setp;

    if (!set) {
        if (flow->n_sport_sets >= MAX_SPORT_SETS) {
            return NULL;
        }
        flow->n_sport_sets++;
        set = *setp = xzalloc(sizeof *set);
    }
    for (unsigned int i = 0; i < set->n; i++) {
        if (set->sports[i].sport == out->sport) {
            return &set->sports[i];
        }
    }

    struct sport_stats *ss = add_sport(edge, set, out->time);
    if (ss) {
        memset(ss, 0, sizeof *ss);
        ss->sport = out->sport;
        edge->n_sports++;
    }
    return ss;
}

static void
sport_sent(struct sport_stats *ss, uint64_t time)
{
    ss->first_sent = ss->sent++ ? MIN(ss->first_sent, time) : time;
    ss->last_sent = MAX(ss->last_sent, time);
}

static void
sport_lost(struct sport_stats *ss, uint64_t time)
{
    sport_sent(ss, time);
    ss->lost++;
    /* Packets that repeat come digest by digest, not by time. */
    if (time > ss->last_received) {
        ss->run_begin = ss->run++ ? MIN(ss->run_begin, time) : time;
    }
}

static void
sport_received(struct sport_stats *ss, uint64_t time)
{
    sport_sent(ss, time);
    ss->received++;
    ss->last_received = MAX(ss->last_received, time);
    if (ss->run && time > ss->run_begin) {
        ss->healed += ss->run;
        ss->n_healed++;
        ss->healed_begin = ss->run_begin;
        ss->run = 0;
    }
}

/* Edges. */

void
vtrace_edge_destroy(struct edge *edge)
{
    if (edge) {
        for (size_t i = 0; i < N_SPORT_SETS; i++) {
            free(edge->sports[i]);
        }
        free(edge->samples);
        free(edge);
    }
}

void
vtrace_edge_lost(struct flow_state *flow, struct edge *edge,
                 const struct observation *out)
{
    struct sport_stats *ss = get_sport(flow, edge, out);

    if (ss) {
        sport_lost(ss, out->time);
    } else {
        edge->n_homeless++;
    }
    edge->sent++;
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
vtrace_edge_received(struct flow_state *flow, struct edge *edge,
                     const struct observation *out)
{
    struct sport_stats *ss = get_sport(flow, edge, out);

    if (ss) {
        sport_received(ss, out->time);
    }
    edge->sent++;
    edge->received++;
    edge->since_lost += out->time > edge->last_lost;
    edge->last_received = MAX(edge->last_received, out->time);
    edge->last_sport = out->sport;
    edge->max_received_len = MAX(edge->max_received_len, out->len);
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

    for (unsigned int i = 0; i < N_SPORTS; i++) {
        const struct sport_stats *ss = vtrace_edge_sport(edge, i);

        if (ss && ss->lost * 10 >= lost * 9) {
            return ss->sport;
        }
    }
    return 0;
}

/* Returns how many packets of ports that have a place were lost. */
static uint64_t
count_known_lost(const struct edge *edge)
{
    return edge->sent - edge->received - edge->n_homeless;
}

/* Nothing more arrives of the outer source ports that lost packets. */
static bool
is_silent(const struct edge *edge)
{
    uint64_t lost = count_known_lost(edge);
    uint64_t silent = edge->forgotten.silent;

    for (unsigned int i = 0; i < N_SPORTS; i++) {
        const struct sport_stats *ss = vtrace_edge_sport(edge, i);

        if (ss && is_silent_sport(ss)) {
            silent += ss->lost;
        }
    }
    return lost ? silent * 10 >= lost * 9 : !edge->received;
}

bool
vtrace_edge_is_failover(const struct edge *edge, bool known)
{
    uint64_t lost = edge->sent - edge->received;
    uint64_t known_lost = count_known_lost(edge);
    struct sport_sum sum = edge->forgotten;
    uint64_t newest;

    if (!known_lost || edge->n_sports < 2
        || edge->since_lost < MIN_DELIVERED) {
        return false;
    }

    /* Where many ports are in use, packets move to one of those. */
    newest = newest_sport(edge);
    if (edge->n_sports < MANY_SPORTS && newest <= edge->first_lost) {
        return false;
    }

    for (unsigned int i = 0; i < N_SPORTS; i++) {
        const struct sport_stats *ss = vtrace_edge_sport(edge, i);

        if (ss) {
            add_moved(ss, newest, &sum);
        }
    }

    /* Of several flows that moved one may have lost a single packet.  Where
     * flows have few packets, each of several may have lost its last one. */
    sum.in_a_row |= (known || lost == 1
                     || (newest > edge->first_lost
                         && sum.n_moved >= MIN_EVIDENCE));

    /* Packets of flows that stay may be lost meanwhile, as those that move
     * fill the queues of theirs. */
    if (!sum.in_a_row || sum.moved * 5 < known_lost * 4) {
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

void
vtrace_edge_update_offset(const struct vtrace_analyzer *az,
                          const struct point *point)
{
    struct edge *edge = point->edge;

    if (az->now >= edge->offset_next) {
        edge->offset_next = az->now + OFFSET_INTERVAL;
        vtrace_clock_offset(az, point, &edge->offset);
    }
}

/* Sets '*offset' to by how much the clock at the other end of the edge at
 * 'point' is ahead.  Returns how that is known, NULL if it is not: from probes,
 * or if packets of both directions took less time together, from those. */
static const char *
clock_offset(const struct flow_state *flow, const struct point *point,
             int64_t *offset)
{
    const struct edge *edge = point->edge;
    const struct point *back = vtrace_edge_opposite(flow, point);
    struct offset probes = edge->offset;

    vtrace_clock_offset(flow->analysis->analyzer, point, &probes);
    if (back && (!probes.known || probes.error > (edge->min_delay
                                                  + back->edge->min_delay)
                                                 / 2)) {
        *offset = (edge->min_delay - back->edge->min_delay) / 2;
        return "both-directions";
    }
    *offset = probes.ns;
    return probes.known ? "probes" : NULL;
}

const char *
vtrace_edge_delay(const struct flow_state *flow, const struct point *point,
                  double quantile, int64_t *delay)
{
    const struct edge *edge = point->edge;
    const char *how;
    int64_t offset;

    how = edge->n_delays ? clock_offset(flow, point, &offset) : NULL;
    if (!how) {
        return NULL;
    }

    size_t n = MIN(edge->n_delays, MAX_SAMPLES);
    int64_t sorted[MAX_SAMPLES];
    memcpy(sorted, edge->samples, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, compare_int64);
    *delay = sorted[MIN((size_t) (quantile * n), n - 1)] - offset;
    return how;
}
