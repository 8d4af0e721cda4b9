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

/* What the packets of a task together say.  README.md has the rules. */

#include <config.h>
#include "vtrace/analyze-private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

/* Standard deviations that 99 % of a normal distribution stay below. */
#define SIGMAS 2.33

/* A loss of less than 1 in this many, for which there is no evidence but a
 * missing record, is none. */
#define NEGLIGIBLE 1000

/* Outer source ports of an edge of which packets that leave one probably go to
 * another one. */
#define MANY_SPORTS 4

/* A cause of loss: packets that ended at 'point'. */
struct cause {
    const struct point *point;
    enum vtrace_reason reason;
    uint64_t lost;
    uint16_t sport;
};

const char *
vtrace_edge_to(const struct flow_state *flow, const struct point *point)
{
    const struct vtrace_exporter *to = vtrace_edge_target(flow, point);

    return to ? to->name : point->address;
}

/* Returns the node whose records say what became of packets at 'point', or
 * NULL if it never sent one. */
static const struct flow_node *
witness(const struct flow_state *flow, const struct point *point)
{
    const struct vtrace_exporter *to;

    if (!point->edge) {
        return point->fn;
    }
    to = vtrace_edge_target(flow, point);
    return to ? vtrace_flow_node(flow, to) : NULL;
}

/* Packets that look lost and need not be, because records are missing. */
struct excuse {
    double most;                /* If others miss those of the same packets. */
    double expected;            /* If they miss them independently. */
};

/* Returns the share of the packets seen at 'fn' that nobody saw later. */
static double
share_of_ends(const struct flow_state *flow, const struct flow_node *fn)
{
    const struct point *point;
    uint64_t n = 0;

    HMAP_FOR_EACH (point, node, &flow->points) {
        if (point->fn == fn) {
            n += (point->delivered + point->left + point->dropped
                  + point->down + point->too_long + point->vanished
                  + point->unheard);
        }
    }
    return fn->packets ? MIN((double) n / fn->packets, 1.0) : 1.0;
}

/* Returns how many packets that 'point' sent to 'fn' are to be expected to have
 * left no record there, although they arrived.
 *
 * Of all that arrived a share of the records of their reception is missing that
 * is the same as that of all records.  The switch has other records of some of
 * these, which is known of those that could be followed up to there; the rest
 * left none.  So it shows whether messages have all records of a packet, or
 * some. */
static double
count_hidden(const struct flow_node *fn, const struct point *point)
{
    const struct edge *edge = point->edge;
    double missing = (double) fn->missing / (fn->missing + fn->total);
    double blind = edge->received ? (double) edge->blind / edge->received : 0;
    double arrived = point->packets - MIN(point->packets, point->vanished);

    return (missing < 1
            ? MAX(0, (missing - blind) * arrived / (1 - missing))
            : HUGE_VAL);
}

static struct excuse
get_excuse(const struct flow_state *flow, const struct point *point)
{
    const struct flow_node *fn = witness(flow, point);
    struct excuse e = { 0, 0 };

    if (fn && vtrace_missing(fn)) {
        /* All records of a packet must be missing to make it look lost; one,
         * if it was seen there before. */
        double per_packet = (!point->edge || !fn->packets ? 1
                             : (double) fn->total / fn->packets);

        e.most = vtrace_missing(fn) / MAX(per_packet, 1.0);
        e.expected = e.most * share_of_ends(flow, fn);
        if (point->edge) {
            e.expected = MIN(e.expected, count_hidden(fn, point));
        } else {
            /* What came next is missing as often as any record. */
            e.expected = MIN(e.expected,
                             (double) point->packets * vtrace_missing(fn)
                             / (fn->missing + fn->total));
        }
    }
    return e;
}

/* Returns true if 'n' is more than 'expected' with 99 % confidence. */
static bool
exceeds(double n, double expected)
{
    return n - expected > SIGMAS * sqrt(expected);
}

static bool
is_ambiguous(const struct flow_state *flow)
{
    return flow->repeats * 100 > flow->seen;
}

/* Returns true if packets that ended at 'point' were dropped there only if no
 * record is missing: that of a checkpoint does not say what came of them. */
static bool
is_doubtful_drop(const struct point *point)
{
    return (point->key.role == VTRACE_ROLE_CHECKPOINT
            && vtrace_missing(point->fn));
}

/* Returns how many packets ended at 'point' without a record that says why. */
static uint64_t
count_vanished(const struct point *point)
{
    return point->vanished + (is_doubtful_drop(point) ? point->dropped : 0);
}

static bool
is_more_than(const struct flow_state *flow, const struct point *point,
             uint64_t min)
{
    uint64_t n = count_vanished(point);

    return n >= min && exceeds(n, get_excuse(flow, point).most);
}

static bool
is_significant(const struct flow_state *flow, const struct point *point)
{
    return is_more_than(flow, point,
                        is_ambiguous(flow) ? MIN_AMBIGUOUS : MIN_EVIDENCE);
}

/* Edges. */

/* Returns the outer source port of at least nine in ten lost packets, or 0. */
static uint16_t
losing_sport(const struct edge *edge)
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

/* The packets that were lost were lost in a row, and the flow then moved to
 * another outer source port and lost no more. */
static bool
is_failover(const struct edge *edge)
{
    uint64_t lost = edge->sent - edge->received;
    bool in_a_row = lost == 1;
    uint64_t explained = 0;

    if (!lost || edge->n_sports < 2 || edge->since_lost < MIN_DELIVERED) {
        return false;
    }

    /* Where many ports are in use, packets move to one of those. */
    if (edge->n_sports < MANY_SPORTS
        && !has_newer_sport(edge, edge->first_lost)) {
        return false;
    }

    /* Of several flows that moved one may have lost a single packet. */
    for (unsigned int i = 0; i < edge->n_sports; i++) {
        uint32_t n = lost_before_move(edge, &edge->sports[i]);

        explained += n;
        in_a_row |= n >= 2;
    }
    if (!in_a_row || explained * 10 < lost * 9) {
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
            && (lost == longer || !exceeds(lost - longer, explained)));
}

static enum vtrace_reason
edge_reason(const struct edge *edge, double explained)
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

/* Returns the edge of the other direction from 'to' to 'from', or NULL. */
static const struct edge *
opposite_edge(const struct flow_state *flow,
              const struct vtrace_exporter *from,
              const struct vtrace_exporter *to)
{
    const struct flow_state *other
        = &flow->analysis->flows[flow->direction == VTRACE_FORWARD
                                 ? VTRACE_REVERSE : VTRACE_FORWARD];
    const struct edge *best = NULL;
    const struct point *point;

    HMAP_FOR_EACH (point, node, &other->points) {
        if (point->edge && point->edge->n_delays
            && point->fn->node == to && point->edge->to == from
            && (!best || point->edge->n_delays > best->n_delays)) {
            best = point->edge;
        }
    }
    return best;
}

const char *
vtrace_edge_delay(const struct flow_state *flow, const struct point *point,
                  double quantile, int64_t *delay)
{
    const struct edge *edge = point->edge;
    const struct vtrace_exporter *from = point->fn->node;
    const char *how = "probes";
    int64_t offset;

    if (!edge->n_delays) {
        return NULL;
    }
    if (!vtrace_clock_offset(flow->analysis->analyzer, from, edge->to,
                             &offset)) {
        const struct edge *back = opposite_edge(flow, from, edge->to);

        if (!back) {
            return NULL;
        }
        offset = (edge->min_delay - back->min_delay) / 2;
        how = "both-directions";
    }

    size_t n = MIN(edge->n_delays, MAX_SAMPLES);
    int64_t sorted[MAX_SAMPLES];
    memcpy(sorted, edge->samples, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, compare_int64);
    *delay = sorted[MIN((size_t) (quantile * n), n - 1)] - offset;
    return how;
}

/* Segmentation. */

enum segmentation {
    NOT_SEGMENTED,              /* A loss is a loss. */
    SEGMENTED_ALL,              /* What looks lost arrived in other pieces. */
    SEGMENTED_UNKNOWN,
};

/* Packets that were cut or joined on the way have other digests than before.
 * Compares the bytes of TCP that seem not to have arrived at the end of the
 * edge with those that arrived there in packets that nobody sent. */
static enum segmentation
get_segmentation(const struct flow_state *flow, const struct point *point)
{
    uint64_t orphans = 0, payload = 0;
    const struct point *in;

    if (!flow->super || !point->edge) {
        return NOT_SEGMENTED;
    }
    HMAP_FOR_EACH (in, node, &flow->points) {
        if (in->orphans && vtrace_is_tunnel(&point->key, &in->key)) {
            orphans += in->orphans;
            payload += in->orphan_payload;
        }
    }
    return (!orphans ? NOT_SEGMENTED
            : (point->protocol == IPPROTO_TCP
               && payload * 1000 >= point->edge->lost_payload * 999)
            ? SEGMENTED_ALL
            : SEGMENTED_UNKNOWN);
}

/* Causes. */

static void
consider(struct cause *best, const struct point *point,
         enum vtrace_reason reason, uint64_t lost)
{
    if (lost > best->lost) {
        *best = (struct cause) {
            .point = point, .reason = reason, .lost = lost
        };
    }
}

/* What a direction has beside its worst cause. */
struct summary {
    struct cause worst;         /* 'point' is NULL if there is none. */
    const struct point *failover;
    const struct point *exit;   /* Where most packets leave. */
    const struct point *silent; /* Sends to a node that says nothing. */
    const struct point *unable; /* Where injected packets ended that show
                                 * nothing. */
    uint64_t doubtful;          /* Vanished, not significant, and not to be
                                 * explained by lost records. */
    bool records_lost;          /* There are some that these explain. */
    const struct point *doubtful_point;
    const struct point *segmented;      /* Loss or segmentation? */
    const struct point *unsynchronized; /* Loss or clocks? */
    uint64_t delivered;         /* In other pieces than they were sent. */
};

static void
summarize_vanished(const struct flow_state *flow, const struct point *point,
                   struct summary *s)
{
    uint64_t n = count_vanished(point);

    switch (get_segmentation(flow, point)) {
    case SEGMENTED_ALL:
        s->delivered += n;
        return;
    case SEGMENTED_UNKNOWN:
        s->segmented = point;
        return;
    case NOT_SEGMENTED:
        break;
    }
    if (point->edge && point->edge->unsynchronized && is_ambiguous(flow)) {
        s->unsynchronized = point;
        return;
    }

    /* Ports that are not used any more are evidence of their own. */
    if (point->edge && is_failover(point->edge)
        && is_more_than(flow, point, MIN_EVIDENCE)) {
        s->failover = point;
    } else if (!is_significant(flow, point)) {
        struct excuse e = get_excuse(flow, point);

        if (exceeds(n, e.expected)) {
            s->doubtful += n - e.expected;
            s->doubtful_point = point;
        }
        if (e.most > 0) {
            s->records_lost = true;
        }
    } else if (!point->edge) {
        consider(&s->worst, point,
                 (is_doubtful_drop(point) ? point->key.reason
                  : point->passed_next ? point->passed_next
                  : VTRACE_REASON_LOST_IN_SWITCH), n);
    } else {
        consider(&s->worst, point,
                 edge_reason(point->edge,
                             get_excuse(flow, point).most), n);
        if (s->worst.point == point) {
            s->worst.sport = losing_sport(point->edge);
        }
    }
}

/* Returns how many packets left at 'point', segments included. */
static uint64_t
exits(const struct point *point)
{
    if (!point) {
        return 0;
    }
    return (point->delivered + point->left
            + (point->key.role == VTRACE_ROLE_OUT && !point->edge
               && point->key.port_class != VTRACE_PORT_PATCH
               ? point->orphans : 0));
}

/* Returns true if packets that ended at 'point' did so for what they are. */
static bool
shows_nothing(const struct point *point)
{
    return (point->dropped
            && (point->key.reason == VTRACE_REASON_INJECT_UNKNOWN_MAC
                || point->key.reason == VTRACE_REASON_INJECT_STATE));
}

static void
summarize(const struct flow_state *flow, struct summary *s)
{
    const struct point *point;

    memset(s, 0, sizeof *s);
    HMAP_FOR_EACH (point, node, &flow->points) {
        if (shows_nothing(point)) {
            if (!s->unable || point->dropped > s->unable->dropped) {
                s->unable = point;
            }
        } else if (!is_doubtful_drop(point)) {
            consider(&s->worst, point, point->key.reason, point->dropped);
        }
        consider(&s->worst, point, VTRACE_REASON_PORT_DOWN, point->down);
        consider(&s->worst, point, VTRACE_REASON_MTU_EXCEEDED,
                 point->too_long);
        if (count_vanished(point)) {
            summarize_vanished(flow, point, s);
        }
        if (point->unheard
            && (!s->silent || point->unheard > s->silent->unheard)) {
            s->silent = point;
        }
        if (exits(point) > exits(s->exit)) {
            s->exit = point;
        }
    }
}

/* Verdicts. */

static void
set_place(const struct flow_state *flow, const struct point *point,
          struct vtrace_verdict *v)
{
    v->node = point->fn->node->name;
    v->bridge = point->bridge;
    v->port = point->port;
    v->has_table = point->key.flags & VTRACE_F_TABLE;
    v->has_cookie = point->key.flags & VTRACE_F_COOKIE;
    v->table = point->key.table;
    v->cookie = point->key.cookie;
    if (point->edge) {
        v->edge[0] = point->fn->node->name;
        v->edge[1] = vtrace_edge_to(flow, point);
    }
}

static void
set_reason(struct vtrace_verdict *v, enum vtrace_reason reason)
{
    const struct vtrace_reason_info *info = vtrace_reason_info(reason);

    /* A drop for a reason that is not in the list is a drop. */
    v->reason = reason;
    v->kind = info ? info->verdict : VTRACE_VERDICT_DROP;
}

/* The verdict of a loss in 'flow', if there is one. */
static bool
judge_cause(const struct flow_state *flow, const struct summary *s,
            struct vtrace_verdict *v)
{
    if (!s->worst.point) {
        return false;
    }

    set_reason(v, s->worst.reason);
    if (v->kind == VTRACE_VERDICT_NONE || v->kind == VTRACE_VERDICT_LEFT) {
        v->kind = VTRACE_VERDICT_DROP;
    }
    v->lost = s->worst.lost;
    v->sport = s->worst.sport;
    set_place(flow, s->worst.point, v);
    if (v->kind == VTRACE_VERDICT_DROP) {
        v->edge[0] = v->edge[1] = NULL;
    }
    return true;
}

/* Returns true if more than 1 % of the records of 'flow' were beyond limits,
 * and how in '*v'. */
static bool
judge_limits(const struct flow_state *flow, struct vtrace_verdict *v)
{
    uint64_t records = 0;

    for (size_t i = 0; i < flow->n_nodes; i++) {
        records += flow->nodes[i] ? flow->nodes[i]->total : 0;
    }
    if (flow->overflow * 100 <= records) {
        return false;
    }
    set_reason(v, (flow->crowded * 2 > flow->overflow
                   ? VTRACE_REASON_AMBIGUOUS : VTRACE_REASON_RECORDS_LOST));
    return true;
}

/* Returns true if 'flow' does not say enough, and why in '*v'. */
static bool
judge_doubt(const struct flow_state *flow, const struct summary *s,
            struct vtrace_verdict *v)
{
    if (s->silent
        && (s->silent->unheard + flow->seen) < s->silent->unheard * 100) {
        set_reason(v, VTRACE_REASON_NODE_SILENT);
        set_place(flow, s->silent, v);
        return true;
    }
    if (s->segmented) {
        set_reason(v, VTRACE_REASON_SEGMENTATION);
        set_place(flow, s->segmented, v);
        return true;
    }
    if (s->unsynchronized) {
        set_reason(v, VTRACE_REASON_AMBIGUOUS);
        set_place(flow, s->unsynchronized, v);
        v->lost = count_vanished(s->unsynchronized);
        return true;
    }
    if (judge_limits(flow, v)) {
        return true;
    }
    if (s->doubtful && s->doubtful * NEGLIGIBLE > flow->seen) {
        if (s->records_lost && s->doubtful * 50 <= flow->seen) {
            return false;
        }
        set_reason(v, (s->records_lost ? VTRACE_REASON_RECORDS_LOST
                       : is_ambiguous(flow) ? VTRACE_REASON_AMBIGUOUS
                       : VTRACE_REASON_TOO_FEW));
        set_place(flow, s->doubtful_point, v);
        v->lost = s->doubtful;
        return true;
    }
    return false;
}

/* The verdict if there is no packet of 'flow'. */
static void
judge_nothing(const struct flow_state *flow, struct vtrace_verdict *v)
{
    const struct vtrace_exporter *entry = flow->entry;

    if (judge_limits(flow, v)) {
        v->node = entry ? entry->name : NULL;
        return;
    }

    /* Of a few packets, sampling may have taken none. */
    set_reason(v, (!entry || !vtrace_flow_complete(flow, entry)
                   ? VTRACE_REASON_NODE_SILENT
                   : flow->rule_count >= MIN_DELIVERED
                   ? VTRACE_REASON_CONTRADICTION
                   : flow->rule_count ? VTRACE_REASON_TOO_FEW
                   : VTRACE_REASON_NO_PACKETS));
    if (entry) {
        v->node = entry->name;
    }
}

/* Returns true if 'flow' has hardly any packet but such as were injected and
 * show nothing. */
static bool
judge_unable(const struct flow_state *flow, const struct summary *s,
             struct vtrace_verdict *v)
{
    if (!s->unable || flow->delivered + flow->left >= MIN_DELIVERED) {
        return false;
    }
    set_reason(v, s->unable->key.reason);
    set_place(flow, s->unable, v);
    return true;
}

/* Returns true if somebody may have answered to packets of 'flow': not if they
 * were all, or nearly all, injected, as nobody got those. */
static bool
expects_replies(const struct flow_state *flow)
{
    return (!flow->injected_exits
            || (flow->delivered + flow->left - flow->injected_exits
                >= MIN_EVIDENCE));
}

/* The verdict if no packet of 'flow', forward, was lost, and none came back
 * if 'expected' is true. */
static void
judge_exit(const struct flow_state *flow, const struct summary *s,
           bool expected, struct vtrace_verdict *v)
{
    bool left = flow->left > flow->delivered;
    uint64_t n = flow->delivered + flow->left + s->delivered;

    if (s->exit) {
        set_place(flow, s->exit, v);
    }
    if (n < (left || expected ? MIN_EVIDENCE : MIN_DELIVERED)) {
        set_reason(v, VTRACE_REASON_TOO_FEW);
    } else if (left) {
        const struct vtrace_reason_info *info
            = vtrace_reason_info(s->exit->key.reason);

        set_reason(v, (info && info->verdict == VTRACE_VERDICT_LEFT
                       ? s->exit->key.reason : VTRACE_REASON_EXTERNAL));
    } else if (expected) {
        set_reason(v, VTRACE_REASON_SILENT_RECEIVER);
    } else {
        set_reason(v, VTRACE_REASON_NONE);
    }
}

static void
set_failover(const struct flow_state *flow, const struct point *point,
             struct vtrace_verdict *v)
{
    set_reason(v, VTRACE_REASON_FAILOVER);
    v->direction = flow->direction;
    v->lost = point->vanished;
    v->seen = flow->seen;
    set_place(flow, point, v);
    v->sport = point->edge->last_sport;
}

/* Where one direction has a failover, the few packets that the other lost in
 * the same way are no riddle. */
static void
explain_doubt(struct summary *s)
{
    if (s->doubtful_point && s->doubtful_point->edge
        && is_failover(s->doubtful_point->edge)) {
        s->doubtful = 0;
    }
}

/* The verdict of the reverse direction, given that the forward one lost
 * nothing.  Returns false if it has nothing to say. */
static bool
judge_reverse(const struct flow_state *flow, const struct summary *s,
              struct vtrace_verdict *v)
{
    v->direction = VTRACE_REVERSE;
    v->seen = flow->seen;
    return judge_cause(flow, s, v) || judge_doubt(flow, s, v);
}

void
vtrace_analysis_verdict(const struct vtrace_analysis *an,
                        struct vtrace_verdict *v)
{
    const struct flow_state *forward = &an->flows[VTRACE_FORWARD];
    const struct flow_state *reverse = &an->flows[VTRACE_REVERSE];
    struct summary f, r;

    memset(v, 0, sizeof *v);
    v->seen = forward->seen;
    summarize(forward, &f);
    summarize(reverse, &r);
    if (f.failover || r.failover) {
        explain_doubt(&f);
        explain_doubt(&r);
    }
    if (!forward->seen && !f.silent) {
        judge_nothing(forward, v);
        return;
    }
    if (judge_cause(forward, &f, v) || judge_doubt(forward, &f, v)
        || judge_unable(forward, &f, v)) {
        return;
    }

    if (reverse->started && (reverse->seen || reverse->unjudged)) {
        struct vtrace_verdict rv = *v;

        if (judge_reverse(reverse, &r, &rv)) {
            *v = rv;
            return;
        }
        set_reason(v, VTRACE_REASON_NONE);
        set_place(forward, f.exit ? f.exit : r.exit, v);
    } else if (reverse->started && reverse->entry
               && !vtrace_flow_complete(reverse, reverse->entry)) {
        set_reason(v, VTRACE_REASON_NODE_SILENT);
        v->direction = VTRACE_REVERSE;
        v->node = reverse->entry->name;
        return;
    } else {
        judge_exit(forward, &f,
                   reverse->started && !reverse->abandoned
                   && expects_replies(forward), v);
    }

    if (v->kind == VTRACE_VERDICT_NONE) {
        if (f.failover) {
            set_failover(forward, f.failover, v);
        } else if (r.failover) {
            set_failover(reverse, r.failover, v);
        }
    }
}

bool
vtrace_analysis_exit(const struct vtrace_analysis *an,
                     enum vtrace_direction direction, struct vtrace_exit *exit)
{
    const struct flow_state *flow = &an->flows[direction];
    const struct point *best = NULL;
    const struct point *point;

    HMAP_FOR_EACH (point, node, &flow->points) {
        if (exits(point) > exits(best)
            && point->key.reason != VTRACE_REASON_INJECT_DONE) {
            best = point;
        }
    }
    if (!best) {
        return false;
    }

    bool has_ports = (best->protocol == IPPROTO_TCP
                      || best->protocol == IPPROTO_UDP
                      || best->protocol == IPPROTO_SCTP);
    *exit = (struct vtrace_exit) {
        .node = best->fn->node->name,
        .bridge = best->bridge,
        .port = best->port,
        .port_class = best->key.port_class,
        .match = {
            .proto = best->protocol,
            .src = best->src,
            .dst = best->dst,
            .sport = has_ports ? best->src_port : 0,
            .dport = has_ports ? best->dst_port : 0,
            .vlan = best->vlan,
        },
        .packets = exits(best),
    };
    return true;
}
