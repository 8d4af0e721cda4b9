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

#include <stdlib.h>

#include "util.h"

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
