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

/* What became of one packet. */

#include <config.h>
#include "vtrace/analyze-private.h"

#include <stdlib.h>
#include <string.h>

#include "packets.h"
#include "util.h"

/* Places within a switch if times are equal. */
static int
role_rank(const struct observation *o)
{
    return (vtrace_is_entry(o) ? 0
            : o->point->key.role == VTRACE_ROLE_IN ? 1
            : o->point->key.role == VTRACE_ROLE_CHECKPOINT ? 2
            : 3);
}

static bool
comes_before(const struct observation *a, const struct observation *b)
{
    const struct point_key *ak = &a->point->key;
    const struct point_key *bk = &b->point->key;

    return (ak->node != bk->node ? ak->node < bk->node
            : a->time != b->time ? a->time < b->time
            : role_rank(a) < role_rank(b));
}

static void
sort_packet(struct packet *p)
{
    for (int i = 1; i < p->n; i++) {
        struct observation *o = p->sorted[i];
        int j;

        for (j = i; j > 0 && comes_before(o, p->sorted[j - 1]); j--) {
            p->sorted[j] = p->sorted[j - 1];
        }
        p->sorted[j] = o;
    }
}

static void
find_visits(struct packet *p)
{
    p->n_visits = 0;
    for (int i = 0; i < p->n; i++) {
        const struct observation *o = p->sorted[i];

        if (!i || o->point->key.node != p->sorted[i - 1]->point->key.node
            || vtrace_is_reception(o->point)) {
            p->visits[p->n_visits++] = (struct visit) { .first = i };
        }
        p->visits[p->n_visits - 1].n++;
    }
}

bool
vtrace_is_tunnel(const struct point_key *out, const struct point_key *in)
{
    return (vtrace_is_input(in)
            && out->node != in->node
            && out->tun_id == in->tun_id
            && ipv6_addr_equals(&out->tun_dst, &in->tun_dst)
            && (!ipv6_addr_is_set(&out->tun_src)
                || ipv6_addr_equals(&out->tun_src, &in->tun_src)));
}

/* Returns true if 'in' can be where 'out', an output to a tunnel, arrived. */
static bool
is_other_end(const struct observation *out, const struct observation *in)
{
    return (vtrace_is_tunnel(&out->point->key, &in->point->key)
            && (!out->sport || !in->sport || out->sport == in->sport));
}

/* Returns where 'out' arrived, or NULL. */
static struct visit *
find_other_end(struct packet *p, const struct observation *out)
{
    for (int i = 0; i < p->n_visits; i++) {
        struct visit *v = &p->visits[i];

        if (!v->reached && is_other_end(out, p->sorted[v->first])) {
            return v;
        }
    }
    return NULL;
}

/* Paths. */

static void
put_visit(struct packet *p, struct visit *v)
{
    for (int i = 0; i < v->n; i++) {
        p->path[p->n_path++] = p->sorted[v->first + i];
    }
}

/* Returns true if 'p' was in the switch to which 'out' sends, although nobody
 * saw how it came there. */
static bool
was_received(const struct flow_state *flow, const struct packet *p,
             const struct observation *out)
{
    const struct vtrace_exporter *to = vtrace_edge_target(flow, out->point);

    for (int i = 0; to && i < p->n_visits; i++) {
        if (!p->visits[i].reached
            && p->sorted[p->visits[i].first]->point->fn->node == to) {
            return true;
        }
    }
    return false;
}

/* Returns true if who knows what became of 'p' after 'o' would have told by
 * now. */
static bool
was_heard(const struct flow_state *flow, const struct packet *p,
          const struct observation *o)
{
    const struct vtrace_exporter *who
        = (o->point->edge ? vtrace_edge_target(flow, o->point)
           : o->point->fn->node);

    return who && vtrace_flow_was_heard(flow, who, p->entry);
}

/* Follows the packet from the entry on, tunnel by tunnel. */
static void
find_path(struct vtrace_analyzer *az, struct flow_state *flow,
          struct packet *p)
{
    p->n_path = 0;
    for (int i = 0; i < p->n_visits; i++) {
        if (vtrace_is_entry(p->sorted[p->visits[i].first])) {
            p->visits[i].reached = true;
            put_visit(p, &p->visits[i]);
            break;
        }
    }

    /* 'path' grows while it is walked. */
    for (int i = 0; i < p->n_path; i++) {
        struct observation *out = p->path[i];
        struct edge *edge = out->point->edge;

        if (!edge) {
            continue;
        }
        struct visit *v = find_other_end(p, out);
        if (v) {
            struct observation *in = p->sorted[v->first];

            v->reached = true;
            edge->to = in->point->fn->node;
            vtrace_edge_received(flow, edge, out);
            vtrace_edge_delayed(az, edge, in->time - out->time);
            vtrace_edge_update_offset(az, out->point);
            put_visit(p, v);
        } else if (was_received(flow, p, out)) {
            edge->blind++;
            vtrace_edge_received(flow, edge, out);
        } else if (out->flags & OBS_TOO_LONG) {
            /* It was not sent. */
        } else if (was_heard(flow, p, out)) {
            vtrace_edge_lost(flow, edge, out);
        }
    }

    /* The rest: records are missing in between. */
    for (int i = 0; i < p->n_visits; i++) {
        if (!p->visits[i].reached) {
            put_visit(p, &p->visits[i]);
        }
    }
}

/* Fate. */

static bool
is_left(const struct point *point)
{
    const struct vtrace_reason_info *info
        = vtrace_reason_info(point->key.reason);

    return (point->key.port_class == VTRACE_PORT_EXTERNAL
            || (info && info->verdict == VTRACE_VERDICT_LEFT));
}

static bool
is_delivery(const struct observation *o)
{
    const struct point_key *key = &o->point->key;

    if (key->role == VTRACE_ROLE_DROP) {
        return key->reason == VTRACE_REASON_INJECT_DONE;
    }
    return (key->role == VTRACE_ROLE_OUT
            && !o->point->edge
            && key->port_class != VTRACE_PORT_PATCH
            && !(o->flags & (OBS_DOWN | OBS_TOO_LONG)));
}

/* Returns what the packet ended with: the last drop, or else the last
 * record. */
static struct observation *
find_end(struct packet *p)
{
    for (int i = p->n_path - 1; i >= 0; i--) {
        if (p->path[i]->point->key.role == VTRACE_ROLE_DROP) {
            return p->path[i];
        }
    }
    return p->path[p->n_path - 1];
}

static void
count_exit(struct flow_state *flow, const struct packet *p)
{
    if (p->entry > flow->last_handed) {
        flow->handed_since = 0;
    }
    flow->last_exit = MAX(flow->last_exit, p->entry);
}

static void
count_handed(struct flow_state *flow, const struct packet *p)
{
    flow->handed++;
    flow->handed_since += p->entry > flow->last_exit;
    flow->last_handed = MAX(flow->last_handed, p->entry);
}

/* A controller may send a packet on that it gets, without a color.  It does so
 * if the flow gets through otherwise, most of it and to the end: what came last
 * went to it for CONTROLLER_TIME at most, or is a small part. */
bool
vtrace_flow_is_lost_to_controller(const struct flow_state *flow)
{
    return (flow->handed > flow->delivered + flow->left
            || (flow->handed_since >= MIN_DELIVERED
                && (flow->handed_since * 10 >= flow->seen
                    || flow->last_handed > flow->last_exit + CONTROLLER_TIME)));
}

/* Counts the end of a packet that reached no exit. */
static void
count_end(struct flow_state *flow, struct packet *p)
{
    struct observation *end = find_end(p);
    struct point *point = end->point;

    if (point->key.role == VTRACE_ROLE_DROP) {
        point->dropped++;
        point->invalid += (end->flags & OBS_INVALID) != 0;
        if (point->key.reason == VTRACE_REASON_TO_CONTROLLER) {
            count_handed(flow, p);
        }
    } else if (end->flags & OBS_DOWN) {
        point->down++;
    } else if (end->flags & OBS_TOO_LONG) {
        point->too_long++;
    } else if (!was_heard(flow, p, end)) {
        point->unheard++;
        flow->unjudged++;
        flow->seen--;
        flow->injected -= p->injected;
    } else if (point->key.role == VTRACE_ROLE_CHECKPOINT
               && !(point->key.flags & VTRACE_F_PASSED)
               && point->key.reason) {
        point->dropped++;
    } else {
        point->vanished++;
    }
}

/* Counts what became of 'p'. */
static void
count_fate(struct flow_state *flow, struct packet *p)
{
    struct point *delivered = NULL;
    struct point *left = NULL;

    for (int i = 0; i < p->n_path; i++) {
        if (is_delivery(p->path[i])) {
            if (is_left(p->path[i]->point)) {
                left = p->path[i]->point;
            } else {
                delivered = p->path[i]->point;
            }
        }
    }
    flow->injected += p->injected;
    flow->injected_exits += p->injected && (delivered || left);
    if (delivered || left) {
        count_exit(flow, p);
    }
    if (delivered) {
        delivered->delivered++;
        flow->delivered++;
    } else if (left) {
        left->left++;
        flow->left++;
    } else {
        count_end(flow, p);
    }
}

/* Counts where 'p' was. */
static void
count_points(struct flow_state *flow, struct packet *p)
{
    for (int i = 0; i < p->n_path; i++) {
        struct point *point = p->path[i]->point;

        point->packets++;
        point->place += i;
        if (point->fn->last_packet != flow->seen) {
            point->fn->last_packet = flow->seen;
            point->fn->packets++;
        }
        if (i && point->key.role == VTRACE_ROLE_CHECKPOINT
            && point->key.flags & VTRACE_F_PASSED
            && p->path[i - 1]->point->fn == point->fn) {
            p->path[i - 1]->point->passed_next = point->key.reason;
        }
    }
}

void
vtrace_packet_judge(struct vtrace_analyzer *az, struct flow_state *flow,
                    struct packet *p)
{
    if (p->entry >= flow->analysis->stopped) {
        return;
    }
    flow->seen++;
    sort_packet(p);
    find_visits(p);
    find_path(az, flow, p);
    count_points(flow, p);
    count_fate(flow, p);
}
