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

/* Which of the observations with one digest are one packet. */

#include <config.h>
#include "vtrace/analyze-private.h"

#include <stdlib.h>

#include "util.h"

/* ns by which packets that repeat may overtake the first one of them. */
#define BIAS_SLACK (500 * 1000)

/* Adds 'o' to 'p', if it is the first from its point. */
static void
packet_add(struct packet *p, struct observation *o)
{
    for (int i = 0; i < p->n; i++) {
        if (p->sorted[i]->point == o->point) {
            return;
        }
    }
    if (p->n < MAX_PACKET) {
        p->sorted[p->n++] = o;
    }
}

static int
compare_matches(const void *a_, const void *b_)
{
    const struct match *a = a_;
    const struct match *b = b_;
    bool a_entry = vtrace_is_entry(a->o);
    bool b_entry = vtrace_is_entry(b->o);

    return (a_entry != b_entry ? (a_entry ? -1 : 1)
            : a_entry || a->o->point == b->o->point
            ? (a->o->time < b->o->time ? -1 : a->o->time > b->o->time)
            : a->o->point < b->o->point ? -1 : 1);
}

/* The observations of one point in a group, by time. */
struct run {
    struct match *m;
    size_t n;
    struct point *point;
    bool done;
};

/* Gives each observation in 'run' the packet of one in 'base', which was taken
 * before it on the way: the last one before it that is free, or else the first
 * one after it, within 'max_delay'.  'bias' ns are the least that lies between
 * them. */
static void
match_run(struct run *run, const struct run *base, int64_t bias,
          uint64_t max_delay, uint32_t *free_list)
{
    size_t n_free = 0, next = 0;

    run->done = true;
    for (size_t i = 0; i < run->n; i++) {
        uint64_t time = run->m[i].o->time - bias;

        while (next < base->n && base->m[next].o->time <= time) {
            free_list[n_free++] = next++;
        }
        if (n_free
            && base->m[free_list[n_free - 1]].o->time + max_delay >= time) {
            run->m[i].entry = base->m[free_list[--n_free]].entry;
        } else if (next < base->n
                   && base->m[next].o->time <= time + max_delay) {
            run->m[i].entry = base->m[next++].entry;
        } else {
            run->m[i].entry = NO_ENTRY;
        }
    }
}

static int
compare_times(const void *a_, const void *b_)
{
    const struct match *a = a_;
    const struct match *b = b_;

    return a->o->time < b->o->time ? -1 : a->o->time > b->o->time;
}

static int
compare_sports(const void *a_, const void *b_)
{
    const struct match *a = a_;
    const struct match *b = b_;

    return (a->o->sport != b->o->sport ? a->o->sport - b->o->sport
            : compare_times(a, b));
}

/* Sets '*part' to the observations of 'run', which is sorted by them, with the
 * same outer source port as 'run->m[i]'. */
static void
get_sport_part(const struct run *run, size_t i, struct run *part)
{
    size_t n = 1;

    while (i + n < run->n && run->m[i + n].o->sport == run->m[i].o->sport) {
        n++;
    }
    *part = (struct run) { .m = &run->m[i], .n = n, .point = run->point };
}

/* Sets '*in_part' and '*out_part' to what has the next outer source port that
 * both 'in' and 'out', sorted by it, have from '*i' and '*j' on, or returns
 * false. */
static bool
next_sport(const struct run *in, const struct run *out, size_t *i, size_t *j,
           struct run *in_part, struct run *out_part)
{
    while (*i < in->n && *j < out->n) {
        uint16_t a = in->m[*i].o->sport, b = out->m[*j].o->sport;

        if (a == b) {
            get_sport_part(in, *i, in_part);
            get_sport_part(out, *j, out_part);
            *i += in_part->n;
            *j += out_part->n;
            return true;
        }
        *i += a < b;
        *j += b < a;
    }
    return false;
}

/* Sets how much later, by the clocks, 'in' is than 'out', from the first
 * packet at both of each outer source port: less if none was lost before.
 * More than 'max_delay' is not believed.
 *
 * Where a border begins to take colors away, packets come in at another point
 * from then on, of which the first packet is not that of 'out'.  But how far
 * the clocks are apart is known by then. */
static void
set_bias(const struct run *in, const struct run *out, uint64_t max_delay)
{
    struct run in_part, out_part;
    struct edge *edge = out->point->edge;
    struct point *point = in->point;
    int64_t least = edge->n_delays ? edge->min_delay : INT64_MAX;
    bool any = false;
    size_t i = 0, j = 0;

    if (point->has_bias) {
        return;
    }
    while (next_sport(in, out, &i, &j, &in_part, &out_part)) {
        int64_t bias = in_part.m[0].o->time - out_part.m[0].o->time;

        any = true;
        if (llabs(bias) < (int64_t) max_delay) {
            least = MIN(least, bias);
        }
    }
    if (any) {
        point->has_bias = true;
        if (least < INT64_MAX) {
            point->bias = least - BIAS_SLACK;
        } else {
            edge->unsynchronized = true;
        }
    }
}

/* Gives each observation in 'in' the packet of one in 'out', which sent into
 * the tunnel that 'in' received from, with the same outer source port. */
static void
match_tunnel(struct run *in, struct run *out, uint64_t max_delay,
             uint32_t *free_list)
{
    struct run in_part, out_part;
    size_t i = 0, j = 0;

    in->done = true;
    for (size_t k = 0; k < in->n; k++) {
        in->m[k].entry = NO_ENTRY;
    }
    qsort(in->m, in->n, sizeof *in->m, compare_sports);
    qsort(out->m, out->n, sizeof *out->m, compare_sports);
    set_bias(in, out, max_delay);
    while (next_sport(in, out, &i, &j, &in_part, &out_part)) {
        match_run(&in_part, &out_part, in->point->bias, max_delay, free_list);
    }
    qsort(in->m, in->n, sizeof *in->m, compare_times);
    qsort(out->m, out->n, sizeof *out->m, compare_times);
}

/* Matches everything that follows 'base' in its switch, and in those to which
 * that one sent. */
static void
match_from(struct run *base, struct run *runs, size_t n_runs,
           uint64_t max_delay, uint32_t *free_list)
{
    for (size_t i = 0; i < n_runs; i++) {
        struct run *run = &runs[i];

        if (run->done || run->point->fn != base->point->fn
            || vtrace_is_reception(run->point)) {
            continue;
        }
        match_run(run, base, 0, max_delay, free_list);
        for (size_t j = 0; run->point->edge && j < n_runs; j++) {
            struct run *in = &runs[j];

            if (!in->done
                && vtrace_is_tunnel(&run->point->key, &in->point->key)) {
                match_tunnel(in, run, max_delay, free_list);
                match_from(in, runs, n_runs, max_delay, free_list);
            }
        }
    }
}

static int
compare_entries(const void *a_, const void *b_)
{
    const struct match *a = a_;
    const struct match *b = b_;

    return (a->entry != b->entry ? (a->entry < b->entry ? -1 : 1)
            : a->o->time < b->o->time ? -1 : a->o->time > b->o->time);
}

/* Sets which packet each of the 'n' observations at 'm', of which 'n_entries'
 * are entries, belongs to, and sorts them by it. */
static void
match_group(struct match *m, size_t n, size_t n_entries, uint64_t max_delay)
{
    uint32_t *free_list = xmalloc(n * sizeof *free_list);
    struct run *runs = xmalloc(n * sizeof *runs);
    struct run entries = { .m = m, .n = n_entries, .done = true };
    size_t n_runs = 0;

    qsort(m, n, sizeof *m, compare_matches);
    entries.point = m[0].o->point;
    for (size_t i = 0; i < n_entries; i++) {
        m[i].entry = i;
    }
    for (size_t i = n_entries; i < n; i++) {
        if (i == n_entries || m[i].o->point != m[i - 1].o->point) {
            runs[n_runs++] = (struct run) {
                .m = &m[i], .point = m[i].o->point
            };
        }
        runs[n_runs - 1].n++;
    }

    match_from(&entries, runs, n_runs, max_delay, free_list);
    for (size_t i = 0; i < n_runs; i++) {
        if (!runs[i].done) {
            match_run(&runs[i], &entries, 0, max_delay, free_list);
        }
    }
    free(runs);
    free(free_list);
    qsort(m, n, sizeof *m, compare_entries);
}

static void
keep(struct group *group, struct observation *o)
{
    o->next = group->observations;
    group->observations = o;
    group->n++;
    if (vtrace_is_entry(o)) {
        group->first = MIN(group->first, o->time);
    }
}

/* Judges the packet that is the 'n' observations at 'm', or keeps them if it
 * is too young. */
static void
judge_match(struct vtrace_analyzer *az, struct flow_state *flow,
            struct group *group, const struct match *m, size_t n,
            uint64_t until)
{
    struct packet p;
    bool orphans = m[0].entry == NO_ENTRY;

    p.n = 0;
    p.entry = 0;
    p.injected = false;
    for (size_t i = 0; i < n; i++) {
        if (vtrace_is_entry(m[i].o)) {
            p.entry = m[i].o->time;
            p.injected = m[i].o->flags & OBS_INJECTED;
        }
    }
    if (!orphans && p.entry > until) {
        for (size_t i = 0; i < n; i++) {
            keep(group, m[i].o);
        }
        return;
    }

    if (!orphans) {
        for (size_t i = 0; i < n; i++) {
            packet_add(&p, m[i].o);
        }
        vtrace_packet_judge(az, flow, &p);
    }
    for (size_t i = 0; i < n; i++) {
        struct observation *o = m[i].o;

        if (orphans && o->time > until) {
            keep(group, o);
            continue;
        }
        if (o->flags & OBS_SUPER) {
            flow->super++;
        }
        if (orphans) {
            flow->orphans++;
            o->point->orphans++;
            o->point->orphan_payload += o->payload;
        }
        vtrace_observation_free(az, flow, o);
    }
}

void
vtrace_group_judge(struct vtrace_analyzer *az, struct flow_state *flow,
                   struct group *group, uint64_t until)
{
    struct match *m = az->matches;
    size_t n = 0, n_entries = 0;
    struct observation *o;

    for (o = group->observations; o; o = o->next) {
        m[n++] = (struct match) { .o = o };
        if (vtrace_is_entry(o)) {
            n_entries++;
        }
    }
    group->observations = NULL;
    group->n = 0;
    group->first = UINT64_MAX;

    if (n_entries > 1) {
        uint64_t seen = flow->seen;

        match_group(m, n, n_entries, az->config.max_delay);
        for (size_t i = 0; i < n; ) {
            size_t j = i + 1;

            while (j < n && m[j].entry == m[i].entry) {
                j++;
            }
            judge_match(az, flow, group, &m[i], j - i, until);
            i = j;
        }
        flow->repeats += flow->seen - seen;
    } else {
        if (!n_entries) {
            for (size_t i = 0; i < n; i++) {
                m[i].entry = NO_ENTRY;
            }
        }
        judge_match(az, flow, group, m, n, until);
    }

    if (group->n && group->first == UINT64_MAX) {
        for (o = group->observations; o; o = o->next) {
            group->first = MIN(group->first, o->time);
        }
    }
}
