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

#include "packets.h"
#include "util.h"

/* A loss of less than 1 in this many, for which there is no evidence but a
 * missing record, is none. */
#define NEGLIGIBLE 1000

/* A cause of loss: packets that ended at 'point'. */
struct cause {
    const struct point *point;
    enum vtrace_reason reason;
    uint64_t lost;
    uint16_t sport;
};

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

    return n >= min && vtrace_exceeds(n, get_excuse(flow, point).most);
}

/* Returns true if packets are lost at random on the edge of 'point' and on the
 * way back, enough in both directions together. */
static bool
is_lossy_both_ways(const struct flow_state *flow, const struct point *point)
{
    const struct point *back = (point->edge
                                ? vtrace_edge_opposite(flow, point) : NULL);

    return (back && vtrace_edge_is_lossy(point->edge)
            && vtrace_edge_is_lossy(back->edge)
            && is_more_than(flow, point, MIN_EVIDENCE)
            && is_more_than(vtrace_other_flow(flow), back, MIN_EVIDENCE)
            && (count_vanished(point) + count_vanished(back)
                >= MIN_AMBIGUOUS));
}

static bool
is_significant(const struct flow_state *flow, const struct point *point)
{
    return (is_more_than(flow, point,
                         is_ambiguous(flow) ? MIN_AMBIGUOUS : MIN_EVIDENCE)
            || is_lossy_both_ways(flow, point));
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
    if (point->edge && vtrace_edge_is_failover(point->edge, false)
        && is_more_than(flow, point, MIN_EVIDENCE)) {
        s->failover = point;
    } else if (!is_significant(flow, point)) {
        struct excuse e = get_excuse(flow, point);

        if (vtrace_exceeds(n, e.expected)) {
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
                 vtrace_edge_reason(point->edge,
                                    get_excuse(flow, point).most), n);
        if (s->worst.point == point) {
            s->worst.sport = vtrace_edge_losing_sport(point->edge);
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

/* Returns true if nobody knows what became of packets that ended at 'point',
 * though there is a record that they did. */
static bool
has_unknown_fate(const struct flow_state *flow, const struct point *point)
{
    return (is_doubtful_drop(point)
            || (point->key.role == VTRACE_ROLE_DROP
                && point->key.reason == VTRACE_REASON_TO_CONTROLLER
                && !vtrace_flow_is_lost_to_controller(flow)));
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
        } else if (!has_unknown_fate(flow, point)) {
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
    v->port_class = point->key.port_class;
    /* What colored the packets at the entry decided nothing. */
    bool decided = point->key.role != VTRACE_ROLE_IN;
    v->has_table = decided && point->key.flags & VTRACE_F_TABLE;
    v->has_cookie = decided && point->key.flags & VTRACE_F_COOKIE;
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
    v->ct_invalid = (v->reason == VTRACE_REASON_ACL_DENY
                     && (s->worst.point->invalid * 2
                         > s->worst.point->dropped));
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

/* Returns how many packets of 'flow' should have left records, as the switch
 * counted. */
static uint64_t
count_expected(const struct flow_state *flow)
{
    return flow->rule_count >> (2 * flow->exp);
}

bool
vtrace_flow_is_unsampled(const struct flow_state *flow)
{
    const struct flow_node *fn
        = flow->entry ? vtrace_flow_node(flow, flow->entry) : NULL;

    return (flow->exp && flow->rule_count && !flow->seen && !flow->unjudged
            && hmap_is_empty(&flow->groups) && (!fn || !vtrace_missing(fn)));
}

/* Returns true if the switch counted more packets for the rule of 'flow' than
 * there are records of, by half and 50 packets and, of what was sampled, by more
 * than chance can be.  As a task begins and ends, packets of a second or two may
 * be counted and not recorded.  Packets that are equal are sampled all or
 * none. */
static bool
is_contradiction(const struct flow_state *flow)
{
    const struct flow_node *fn
        = flow->entry ? vtrace_flow_node(flow, flow->entry) : NULL;
    uint64_t expected = count_expected(flow);
    uint64_t known = flow->seen + flow->unjudged;

    if (!fn || !vtrace_analysis_is_complete(flow->analysis)
        || (flow->exp && is_ambiguous(flow))) {
        return false;
    }
    known += vtrace_missing(fn);
    return (expected > known + known / 2 + 50
            && (!flow->exp || vtrace_exceeds(expected, known)));
}

/* Returns true if packets of 'flow' have entered, or may have, of which no
 * record came, and nobody says how many, and why in '*v'. */
static bool
judge_entry(const struct flow_state *flow, struct vtrace_verdict *v)
{
    if ((flow->seen || flow->rule_count) && vtrace_flow_entry_gap(flow)) {
        set_reason(v, VTRACE_REASON_NODE_SILENT);
    } else if (is_contradiction(flow)) {
        set_reason(v, VTRACE_REASON_CONTRADICTION);
    } else {
        return false;
    }
    v->node = flow->entry->name;
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
            return judge_entry(flow, v);
        }
        set_reason(v, (s->records_lost ? VTRACE_REASON_RECORDS_LOST
                       : is_ambiguous(flow) ? VTRACE_REASON_AMBIGUOUS
                       : VTRACE_REASON_TOO_FEW));
        set_place(flow, s->doubtful_point, v);
        v->lost = s->doubtful;
        return true;
    }
    return judge_entry(flow, v);
}

/* The verdict if there is no packet of 'flow'.  Of few packets, or such as are
 * alike, sampling may have taken none. */
static void
judge_nothing(const struct flow_state *flow, struct vtrace_verdict *v)
{
    const struct vtrace_exporter *entry = flow->entry;

    if (judge_limits(flow, v)) {
        v->node = entry ? entry->name : NULL;
        return;
    }

    set_reason(v, (!entry || !vtrace_flow_complete(flow, entry)
                   || (flow->rule_count && vtrace_flow_entry_gap(flow))
                   ? VTRACE_REASON_NODE_SILENT
                   : !flow->rule_count ? VTRACE_REASON_NO_PACKETS
                   : (count_expected(flow) < MIN_DELIVERED
                      || !hmap_is_empty(&flow->groups)
                      || vtrace_flow_is_unsampled(flow))
                   ? VTRACE_REASON_TOO_FEW
                   : VTRACE_REASON_CONTRADICTION));
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
        && vtrace_edge_is_failover(s->doubtful_point->edge, true)) {
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
               && (!vtrace_flow_complete(reverse, reverse->entry)
                   || (reverse->rule_count && !reverse->abandoned))) {
        /* That no answer was seen does not say that there was none. */
        v->direction = VTRACE_REVERSE;
        v->seen = reverse->seen;
        judge_nothing(reverse, v);
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

/* Returns how many packets left at 'point' to which somebody may answer. */
static uint64_t
own_exits(const struct point *point)
{
    return (point && point->key.reason != VTRACE_REASON_INJECT_DONE
            ? exits(point) : 0);
}

static bool
is_same_port(const struct point *a, const struct point *b)
{
    return (a->fn->node == b->fn->node && !strcmp(a->bridge, b->bridge)
            && !strcmp(a->port, b->port));
}

/* Returns the point where most packets of 'flow' leave, of those at the port of
 * 'port', or at 'node', if that is not NULL.  Returns NULL if none leaves. */
static const struct point *
busiest_exit(const struct flow_state *flow, const struct vtrace_exporter *node,
             const struct point *port)
{
    const struct point *best = NULL;
    const struct point *point;

    HMAP_FOR_EACH (point, node, &flow->points) {
        if (own_exits(point) > own_exits(best)
            && (!node || point->fn->node == node)
            && (!port || is_same_port(point, port))) {
            best = point;
        }
    }
    return best;
}

const struct point *
vtrace_watched_exit(const struct vtrace_analysis *an, uint64_t *here,
                    uint64_t *all)
{
    const struct flow_state *forward = &an->flows[VTRACE_FORWARD];
    const struct flow_state *reverse = &an->flows[VTRACE_REVERSE];
    const struct point *entry = NULL;
    const struct point *watched, *point;

    *here = *all = 0;
    if (!reverse->started || reverse->abandoned || !reverse->entry) {
        return NULL;
    }
    HMAP_FOR_EACH (point, node, &reverse->points) {
        if (vtrace_is_entry_point(point)) {
            entry = point;
        }
    }
    watched = busiest_exit(forward, reverse->entry, entry);
    HMAP_FOR_EACH (point, node, &forward->points) {
        *all += own_exits(point);
        if (watched && is_same_port(point, watched)) {
            *here += own_exits(point);
        }
    }
    return watched;
}

bool
vtrace_analysis_exit(const struct vtrace_analysis *an,
                     enum vtrace_direction direction, struct vtrace_exit *exit)
{
    const struct point *best = busiest_exit(&an->flows[direction], NULL, NULL);

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

/* Names in records are cut. */
static bool
is_record_name(const char *cut, const char *name)
{
    return !strncmp(cut, name, VTRACE_NAME_LEN - 1);
}

bool
vtrace_analysis_crosses(const struct vtrace_analysis *an,
                        enum vtrace_direction direction,
                        const struct vtrace_entry *at)
{
    const struct flow_state *flow = &an->flows[direction];
    const struct point *point;

    HMAP_FOR_EACH (point, node, &flow->points) {
        const struct vtrace_exporter *from = point->fn->node;
        const struct vtrace_exporter *to
            = point->edge ? vtrace_edge_target(flow, point) : NULL;

        if ((to && to->domain != from->domain && !strcmp(to->name, at->node))
            || (point->key.role == VTRACE_ROLE_IN
                && !strcmp(from->name, at->node)
                && is_record_name(point->bridge, at->bridge)
                && is_record_name(point->port, at->port))) {
            return true;
        }
    }
    return false;
}
