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

/* How far, and since when, nodes have been heard.
 *
 * A node sends what it has through one connection after another, its sessions,
 * and counts anew in each of them.  What it had between two sessions, and what
 * was on its way when the first one broke, is lost, and nobody says how much
 * that was: a gap. */

#include <config.h>
#include "vtrace/analyze-private.h"

#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "util.h"

/* What a node last said of a color in this session. */
struct color_count {
    struct hmap_node node;      /* In exporter's 'counts', by 'color'. */
    uint16_t color;
    uint64_t sum;               /* Records written and lost. */
    uint64_t before;            /* Those before somebody listened. */
};

void
vtrace_heard_init(struct vtrace_exporter *node)
{
    hmap_init(&node->counts);
}

static void
forget_counts(struct vtrace_exporter *node)
{
    struct color_count *count;

    HMAP_FOR_EACH_POP (count, node, &node->counts) {
        free(count);
    }
}

void
vtrace_heard_uninit(struct vtrace_exporter *node)
{
    forget_counts(node);
    hmap_destroy(&node->counts);
}

static struct color_count *
find_count(const struct vtrace_exporter *node, uint16_t color)
{
    struct color_count *count;

    HMAP_FOR_EACH_WITH_HASH (count, node, hash_int(color, 0),
                             &node->counts) {
        if (count->color == color) {
            return count;
        }
    }
    return NULL;
}

/* Keeps 'sum', which 'node' says, and returns how much of it was counted since
 * somebody listens for 'color', of which 'received' records came. */
static uint64_t
update_count(struct vtrace_exporter *node, uint16_t color, uint64_t sum,
             uint64_t received)
{
    struct color_count *count = find_count(node, color);

    if (!count) {
        count = xmalloc(sizeof *count);
        count->color = color;
        /* If this is not all of the session, who knows what was before? */
        count->before = (node->announced ? 0
                         : sum - MIN(sum, received));
        hmap_insert(&node->counts, &count->node, hash_int(color, 0));
    }
    count->sum = sum;
    return sum - MIN(sum, count->before);
}

void
vtrace_heard_listen(struct vtrace_analyzer *az,
                    const struct vtrace_domain *domain, uint16_t color)
{
    for (unsigned int i = 0; i < az->n_nodes; i++) {
        struct vtrace_exporter *node = az->by_index[i];
        struct color_count *count
            = node->domain == domain ? find_count(node, color) : NULL;

        if (count) {
            count->before = count->sum;
        }
    }
}

void
vtrace_heard_record(struct flow_node *fn, uint64_t time)
{
    fn->received++;
    fn->total++;
    if (time <= fn->watermark && fn->missing) {
        fn->missing--;          /* It was late, not lost. */
    }
}

/* Sessions. */

static void
add_gap(struct vtrace_exporter *node, uint64_t from, uint64_t to)
{
    if (node->n_gaps >= MAX_GAPS) {
        struct gap *gaps = node->gaps;

        gaps[1].from = MIN(gaps[0].from, gaps[1].from);
        gaps[1].to = MAX(gaps[0].to, gaps[1].to);
        memmove(gaps, gaps + 1, (MAX_GAPS - 1) * sizeof *gaps);
        node->n_gaps--;
    }
    node->gaps[node->n_gaps++] = (struct gap) { .from = from, .to = to };
}

/* What 'node' counts from now on it counts anew. */
static void
end_session(struct vtrace_analyzer *az, struct vtrace_exporter *node)
{
    struct vtrace_analysis *an;

    if (node->has_session) {
        node->last_session = node->session;
        node->has_last_session = true;
        node->has_session = false;
    }
    node->announced = false;
    forget_counts(node);
    LIST_FOR_EACH (an, node, &az->analyses) {
        for (int i = 0; i < VTRACE_N_DIRECTIONS; i++) {
            struct flow_node *fn = vtrace_flow_node(&an->flows[i], node);

            if (fn) {
                fn->missing_before = fn->missing;
                fn->received = 0;
            }
        }
    }
}

void
vtrace_analyzer_connected(struct vtrace_analyzer *az,
                          struct vtrace_exporter *node)
{
    VTRACE_TAP(az, .type = VTRACE_EVENT_CONNECTED, .node = node->index);
    end_session(az, node);
    vtrace_node_clocks_clear(node);
    node->announced = true;
}

bool
vtrace_flow_entry_gap(const struct flow_state *flow)
{
    const struct vtrace_analysis *an = flow->analysis;
    const struct vtrace_analyzer *az = an->analyzer;
    const struct vtrace_exporter *entry = flow->entry;

    return (flow->entry_gap
            || (entry && entry->connected && az->now > entry->heard
                && az->now - entry->heard > az->config.stall_timeout
                && vtrace_flow_complete(flow, entry) < an->stopped));
}

/* Notes a gap that ends now for the flows whose entry is 'node'.  What entered
 * before its first record only the rule's count tells: a node may well connect
 * after the task has begun. */
static void
note_gap(struct vtrace_analyzer *az, const struct vtrace_exporter *node)
{
    struct vtrace_analysis *an;

    LIST_FOR_EACH (an, node, &az->analyses) {
        for (int i = 0; i < VTRACE_N_DIRECTIONS; i++) {
            struct flow_state *flow = &an->flows[i];
            const struct flow_node *fn = vtrace_flow_node(flow, node);

            if (flow->entry == node && fn && fn->total > fn->received
                && vtrace_flow_complete(flow, node) < an->stopped) {
                flow->entry_gap = true;
            }
        }
    }
}

static void
begin_era(struct vtrace_exporter *node)
{
    node->era++;
    node->watermark = 0;
}

/* 'w' is the first watermark of a session. */
static void
begin_session(struct vtrace_analyzer *az, struct vtrace_exporter *node,
              const struct vtrace_watermark *w)
{
    note_gap(az, node);
    /* If the clock was set back, too, who knows how long the gap is? */
    add_gap(node, node->last_complete < w->time ? node->last_complete : 0,
            w->time);
    begin_era(node);
    node->session = w->session;
    node->has_session = true;
}

static void
color_watermark(struct vtrace_exporter *node,
                const struct vtrace_watermark *w)
{
    struct flow_state *flow = node->domain->flows[w->color];
    struct flow_node *fn = flow ? vtrace_flow_node_get(flow, node) : NULL;
    uint64_t sent = update_count(node, w->color, w->written + w->lost,
                                 fn ? fn->received : 0);

    if (fn) {
        fn->watermark = w->time;
        fn->era = node->era;
        fn->missing = fn->missing_before + (sent > fn->received
                                            ? sent - fn->received : 0);
    }
}

void
vtrace_analyzer_watermark(struct vtrace_analyzer *az,
                          struct vtrace_exporter *node,
                          const struct vtrace_watermark *w, uint64_t now)
{
    VTRACE_TAP(az, .type = VTRACE_EVENT_WATERMARK, .node = node->index,
               .number = now, .data = w);
    if (w->time > MAX_TIME || w->color > VTRACE_COLOR_MAX
        || (node->has_last_session && w->session == node->last_session)) {
        return;                 /* Garbage, or a connection long gone. */
    }
    if (node->has_session && w->session != node->session) {
        end_session(az, node);
    }
    if (!node->has_session) {
        begin_session(az, node, w);
    } else if (w->time < node->last_watermark) {
        begin_era(node);
    }
    node->last_watermark = w->time;
    az->now = now;
    if (!node->connected) {
        node->connected = true;
        node->heard = now;
    }
    if (w->color) {
        color_watermark(node, w);
    } else {
        /* One that says the same again and again is not waited for. */
        if (w->time > node->watermark) {
            node->heard = now;
        }
        node->watermark = node->last_complete = w->time;
    }
}

/* What flows have heard. */

uint64_t
vtrace_flow_complete(const struct flow_state *flow,
                     const struct vtrace_exporter *node)
{
    const struct flow_node *fn = vtrace_flow_node(flow, node);

    return (fn && fn->era == node->era
            ? MAX(node->watermark, fn->watermark) : node->watermark);
}

bool
vtrace_flow_was_heard(const struct flow_state *flow,
                      const struct vtrace_exporter *node, uint64_t entry)
{
    uint64_t max_delay = flow->analysis->analyzer->config.max_delay;

    if (vtrace_flow_complete(flow, node) < entry + max_delay) {
        return false;
    }

    /* The node's clock may be behind that of the entry. */
    for (size_t i = 0; i < node->n_gaps; i++) {
        if (node->gaps[i].from < entry + max_delay
            && node->gaps[i].to + max_delay >= entry) {
            return false;
        }
    }
    return true;
}

/* Returns how far 'flow' has heard everything from 'node', UINT64_MAX if
 * 'node' is not to be waited for: it is silent, or farther behind the entry
 * than one that is silent could be. */
static uint64_t
node_floor(const struct flow_state *flow, struct vtrace_exporter *node,
           uint64_t now)
{
    uint64_t stall_timeout = flow->analysis->analyzer->config.stall_timeout;
    uint64_t complete = vtrace_flow_complete(flow, node);
    uint64_t entry = (flow->entry ? vtrace_flow_complete(flow, flow->entry)
                      : 0);

    if (!node->connected) {
        node->connected = true;         /* Its first watermark is to come. */
        node->heard = now;
    }
    return (now - node->heard > stall_timeout
            || (node->last_complete && complete + stall_timeout < entry)
            ? UINT64_MAX : complete);
}

uint64_t
vtrace_flow_floor(const struct flow_state *flow, uint64_t now)
{
    const struct vtrace_analyzer *az = flow->analysis->analyzer;
    uint64_t floor = flow->entry ? node_floor(flow, flow->entry, now)
                                 : UINT64_MAX;

    for (size_t i = 0; i < flow->n_nodes; i++) {
        const struct flow_node *fn = flow->nodes[i];

        /* That a node names the color means nothing. */
        if (fn && (fn->total || fn->missing)) {
            floor = MIN(floor, node_floor(flow, az->by_index[i], now));
        }
    }

    struct point *point;
    HMAP_FOR_EACH (point, node, &flow->points) {
        if (point->edge) {
            struct vtrace_exporter *to = vtrace_edge_target(flow, point);

            if (to) {
                floor = MIN(floor, node_floor(flow, to, now));
            }
        }
    }
    return floor;
}
