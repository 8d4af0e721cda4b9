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
#include "zoo-path-count.h"

#include <stdlib.h>
#include <string.h>

#include "openvswitch/dynamic-string.h"
#include "util.h"
#include "zoo-peer.h"

#define MSEC (1000 * 1000LL)
#define SEC (1000 * MSEC)

/* Candidates of one path are found to have failed within as many full
 * intervals of each other, or this long. */
#define TOGETHER_INTERVALS 2
#define TOGETHER_TIME SEC

/* Differences of round trips count if they are this large, and so many times
 * what they vary.  Requests of a round are sent one after the other, which
 * takes some 100 us on a slow machine. */
#define MIN_GAP_US 500
#define MIN_GAP_VARIATIONS 4

/* A round of all, or nearly: so many of the candidates that work, and at least
 * so many. */
#define ROUND_SHARE(N) ((N) * 3 / 4)
#define MIN_IN_ROUND 2

static uint32_t
bit(unsigned int i)
{
    return UINT32_C(1) << i;
}

/* A candidate and what it is sorted by. */
struct item {
    unsigned int i;
    long long int key;
};

static int
compare_items(const void *a_, const void *b_)
{
    const struct item *a = a_, *b = b_;

    return a->key < b->key ? -1 : a->key > b->key;
}

/* Failures. */

/* Returns true if the last failures of 'c' put it down, by itself: not just
 * one probe, and not when nearly all others went down. */
static bool
failed_alone(const struct zoo_candidate *c)
{
    const struct zoo_health *h = &c->health;

    return (!h->collective
            && (h->state == ZOO_HEALTH_DOWN
                || (h->state == ZOO_HEALTH_UP && h->was_down
                    && h->up_since > h->first_fail)));
}

unsigned int
zoo_paths_by_failures(const struct zoo_peer *peer,
                      const struct zoo_params *params,
                      uint32_t groups[ZOO_MAX_CANDIDATES + 1])
{
    long long int together = MAX(TOGETHER_TIME,
                                 (TOGETHER_INTERVALS * params->full_interval)
                                 << zoo_peer_doublings(peer, params));
    struct item items[ZOO_MAX_CANDIDATES];
    unsigned int n_items = 0, n = 0;

    for (unsigned int i = 0; i < peer->table.n; i++) {
        const struct zoo_candidate *c = &peer->candidates[i];

        if (failed_alone(c)) {
            items[n_items++] = (struct item) {
                .i = i, .key = c->health.first_fail
            };
        }
    }
    if (!n_items) {
        return 0;
    }
    qsort(items, n_items, sizeof *items, compare_items);
    groups[0] = 0;
    for (unsigned int i = 0; i < peer->table.n; i++) {
        const struct zoo_candidate *c = &peer->candidates[i];

        /* It has been up all the time since. */
        if (c->health.state == ZOO_HEALTH_UP && !failed_alone(c)
            && c->health.up_since < items[0].key) {
            groups[0] |= bit(i);
        }
    }
    for (unsigned int k = 0; k < n_items; k++) {
        if (!k || items[k].key - items[k - 1].key > together) {
            groups[++n] = 0;
        }
        groups[n] |= bit(items[k].i);
    }
    return n + !!groups[0] >= 2 ? n + !!groups[0] : 0;
}

/* BackendIDs. */

unsigned int
zoo_paths_by_backends(const struct zoo_peer *peer,
                      uint32_t groups[ZOO_MAX_CANDIDATES + 1])
{
    uint32_t of[ZOO_PEER_MAX_GROUPS + 1] = { 0 };
    unsigned int n = 0;

    for (unsigned int i = 0; i < peer->table.n; i++) {
        of[peer->candidates[i].group] |= bit(i);
    }
    for (unsigned int g = 1; g <= ZOO_PEER_MAX_GROUPS; g++) {
        if (of[g]) {
            groups[n++] = of[g];
        }
    }
    return n >= 2 ? n : 0;
}

/* Round trips. */

static int
compare_ints(const void *a_, const void *b_)
{
    const int32_t *a = a_, *b = b_;

    return *a < *b ? -1 : *a > *b;
}

/* Returns the median of the 'n' 'values', which it sorts. */
static int32_t
median(int32_t values[], unsigned int n)
{
    qsort(values, n, sizeof *values, compare_ints);
    return values[n / 2];
}

/* Stores into 'now_us' the round trips of candidates, other than those of
 * 'known', that have been answered since the last call, and returns these. */
static uint32_t
take_answers(struct zoo_path_samples *samples, const struct zoo_peer *peer,
             uint32_t known)
{
    uint32_t answered = 0;

    for (unsigned int i = 0; i < peer->table.n; i++) {
        const struct zoo_candidate *c = &peer->candidates[i];
        int64_t old = samples->rtt_us[i];

        if (old && samples->validated[i] != c->validated
            && !(known & bit(i))) {
            /* An eighth of what has come is in the smoothed one. */
            int64_t us = 8 * (int64_t) c->rtt_us - 7 * old;

            samples->now_us[i] = MAX(INT32_MIN / 4, MIN(us, INT32_MAX / 4));
            answered |= bit(i);
        }
        samples->rtt_us[i] = c->rtt_us;
        samples->validated[i] = c->validated;
    }
    return answered;
}

/* The round under way has been answered. */
static void
end_round(struct zoo_path_samples *samples)
{
    int32_t sorted[ZOO_MAX_CANDIDATES], middle;
    unsigned int n = 0;

    for (unsigned int i = 0; i < ZOO_MAX_CANDIDATES; i++) {
        if (samples->answered & bit(i)) {
            sorted[n++] = samples->now_us[i];
        }
    }
    middle = median(sorted, n);
    for (unsigned int i = 0; i < ZOO_MAX_CANDIDATES; i++) {
        if (samples->answered & bit(i)) {
            samples->later_us[i][samples->n_rounds]
                = samples->now_us[i] - middle;
        }
    }
    samples->all = (samples->n_rounds++ ? samples->all & samples->answered
                    : samples->answered);
}

void
zoo_path_samples_take(struct zoo_path_samples *samples,
                      const struct zoo_peer *peer)
{
    unsigned int n_up = count_1bits(zoo_peer_healthy(peer));
    uint32_t before = samples->answered;

    samples->answered |= take_answers(samples, peer, before);
    if (!before) {
        /* The rest of the answers may come later. */
        if (count_1bits(samples->answered) < MAX(MIN_IN_ROUND, n_up / 2)) {
            samples->answered = 0;
        }
        return;
    }
    if (count_1bits(samples->answered) >= ROUND_SHARE(n_up)
        && samples->n_rounds < ZOO_PATH_ROUNDS) {
        end_round(samples);
    }
    samples->answered = 0;
}

/* Returns true if candidates from 'items[at]' on are later than those before
 * by clearly more than the 'variation' of each. */
static bool
is_gap(const struct item items[], unsigned int at, long long int variation)
{
    long long int gap = items[at].key - items[at - 1].key;

    return gap > MAX(MIN_GAP_US, MIN_GAP_VARIATIONS * variation);
}

/* Stores the candidates of 'samples' into 'items', in order of how late they
 * are, and returns their number, 0 if there is not enough to tell.
 * '*variation' gets how much the median candidate's lateness varies. */
static unsigned int
sort_by_lateness(const struct zoo_path_samples *samples,
                 struct item items[ZOO_MAX_CANDIDATES],
                 long long int *variation)
{
    int32_t variations[ZOO_MAX_CANDIDATES];
    unsigned int n = 0;

    *variation = 0;
    if (samples->n_rounds < ZOO_PATH_ROUNDS) {
        return 0;
    }
    for (unsigned int i = 0; i < ZOO_MAX_CANDIDATES; i++) {
        int32_t later[ZOO_PATH_ROUNDS];

        if (!(samples->all & bit(i))) {
            continue;
        }
        memcpy(later, samples->later_us[i], sizeof later);
        items[n] = (struct item) {
            .i = i, .key = median(later, ZOO_PATH_ROUNDS)
        };
        for (unsigned int k = 0; k < ZOO_PATH_ROUNDS; k++) {
            later[k] = llabs(later[k] - items[n].key);
        }
        variations[n] = median(later, ZOO_PATH_ROUNDS);
        n++;
    }
    if (n) {
        qsort(items, n, sizeof *items, compare_items);
        *variation = median(variations, n);
    }
    return n;
}

unsigned int
zoo_paths_by_round_trips(const struct zoo_path_samples *samples,
                         uint32_t groups[ZOO_MAX_CANDIDATES + 1])
{
    struct item items[ZOO_MAX_CANDIDATES];
    long long int variation;
    unsigned int n_items = sort_by_lateness(samples, items, &variation);
    unsigned int n = 0;

    for (unsigned int k = 0; k < n_items; k++) {
        if (!k || is_gap(items, k, variation)) {
            groups[n++] = 0;
        }
        groups[n - 1] |= bit(items[k].i);
    }
    return n >= 2 ? n : 0;
}

/* For operators. */

/* Appends how many members each of the 'n' 'groups' has. */
static void
format_sizes(const uint32_t groups[], unsigned int n, struct ds *s)
{
    for (unsigned int g = 0; g < n; g++) {
        ds_put_format(s, "%s%d", g ? ", " : "", count_1bits(groups[g]));
    }
}

static void
format_failures(const struct zoo_peer *peer, const uint32_t groups[],
                unsigned int n, struct ds *s)
{
    unsigned int n_failed = n - !!groups[0], failed = 0;

    for (unsigned int g = 1; g <= n_failed; g++) {
        failed += count_1bits(groups[g]);
    }
    ds_put_cstr(s, "by failures (candidates that failed together: ");
    format_sizes(&groups[1], n_failed, s);
    ds_put_format(s, ", that worked meanwhile: %d", count_1bits(groups[0]));
    /* A path that fails takes with it as many candidates as it has. */
    ds_put_format(s, "; about %u paths if each has as many)",
                  MAX(n, (peer->table.n * n_failed + failed / 2) / failed));
}

static void
format_unknown(const struct zoo_path_samples *samples, struct ds *s)
{
    struct item items[ZOO_MAX_CANDIDATES];
    long long int variation;
    unsigned int n;

    ds_put_cstr(s, "unknown: no candidate has failed while others worked, "
                "and ");
    if (!samples) {
        ds_put_cstr(s, "round trips have not been compared\n");
        return;
    }
    n = sort_by_lateness(samples, items, &variation);
    if (!n) {
        ds_put_format(s, "only %u rounds of all candidates have been answered "
                      "meanwhile, too few to compare round trips\n",
                      samples->n_rounds);
    } else {
        ds_put_format(s, "round trips do not tell them apart (they differ by "
                      "%lld us and vary by %lld us)\n",
                      items[n - 1].key - items[0].key, variation);
    }
}

void
zoo_paths_format(const struct zoo_peer *peer, const struct zoo_params *params,
                 const struct zoo_path_samples *samples, struct ds *s)
{
    uint32_t failures[ZOO_MAX_CANDIDATES + 1];
    uint32_t backends[ZOO_MAX_CANDIDATES + 1];
    uint32_t trips[ZOO_MAX_CANDIDATES + 1];
    unsigned int n_failures = zoo_paths_by_failures(peer, params, failures);
    unsigned int n_backends = zoo_paths_by_backends(peer, backends);
    unsigned int n_trips = (samples
                            ? zoo_paths_by_round_trips(samples, trips) : 0);
    unsigned int n = MAX(n_failures, MAX(n_backends, n_trips));

    ds_put_cstr(s, "distinct paths: ");
    if (peer->state == ZOO_PEER_UNSUPPORTED) {
        ds_put_cstr(s, "none that candidates choose\n");
        return;
    } else if (!peer->answered) {
        ds_put_cstr(s, "unknown: no probe has been answered\n");
        return;
    } else if (!n) {
        format_unknown(samples, s);
        return;
    }
    ds_put_format(s, "at least %u, ", n);
    if (n == n_failures) {
        format_failures(peer, failures, n, s);
    } else if (n == n_trips) {
        ds_put_cstr(s, "by round trips (candidates that differ by more than "
                    "these vary: ");
        format_sizes(trips, n, s);
        ds_put_char(s, ')');
    } else {
        ds_put_cstr(s, "by BackendIDs (candidates that reach one each: ");
        format_sizes(backends, n, s);
        ds_put_char(s, ')');
    }
    ds_put_char(s, '\n');
}
