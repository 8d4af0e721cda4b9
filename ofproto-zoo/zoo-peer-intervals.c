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

/* How often a peer is probed, and how long its answers may take. */

#include <config.h>
#include "zoo-peer-private.h"

#include "hash.h"
#include "util.h"
#include "zoo-peer-learn.h"
#include "zoo-responder.h"

/* Bounds of the timeout of a round. */
#define MIN_TIMEOUT (20 * MSEC)
#define FIRST_TIMEOUT (400 * MSEC)
#define MAX_TIMEOUT SEC
#define TIMEOUT_MARGIN (10 * MSEC)

/* Silence this much longer than the timeout is failure of every candidate in
 * the round. */
#define SILENCE (300 * MSEC)

/* How long a responder may wait for stragglers. */
#define HOLD (2 * MSEC)

/* In so many rounds, at most, peers come to their own phase.  A step is no less
 * than the time between two that zoo-schedule.c lets them have. */
#define PHASE_STEPS 5

/* A peer that has not asked for longer intervals for this long is asked more
 * often again. */
#define RELAX_TIME_MS 1000

/* How seldom, and how little, peers without a choice of paths are asked. */
#define LEGACY_MAX_BACKOFF (60 * SEC)
#define LEGACY_MAX_INTERVAL (240 * SEC)
#define EXHAUSTED_MAX_BACKOFF SEC
#define EXHAUSTED_MAX_INTERVAL (4 * SEC)

/* Timeouts. */

/* Returns how much more patience is due because the other side answers later
 * what it refuses, or because this side gets less of the processor. */
static long long int
extra_timeout(const struct zoo_peer *peer, const struct zoo_params *params)
{
    return ((peer->slowed ? ZOO_RESPONDER_REFUSED_HOLD * 3 / 2 : 0)
            + (params->stretch ? MIN_TIMEOUT << params->stretch : 0));
}

long long int
zoo_peer_timeout(const struct zoo_peer *peer, const struct zoo_params *params)
{
    if (!peer->srtt) {
        return FIRST_TIMEOUT;
    }
    return MAX(MIN_TIMEOUT,
               MIN(MAX_TIMEOUT,
                   peer->srtt + MAX(TIMEOUT_MARGIN, 4 * peer->rttvar)
                   + extra_timeout(peer, params)));
}

long long int
zoo_peer_candidate_timeout(const struct zoo_peer *peer,
                           const struct zoo_params *params, unsigned int i)
{
    const struct zoo_candidate *c = &peer->candidates[i];
    long long int us = c->rtt_us + 4LL * c->rttvar_us;

    if (!us) {
        return MAX(zoo_peer_timeout(peer, params), FIRST_TIMEOUT);
    }
    return MAX(zoo_peer_timeout(peer, params),
               MIN(MAX_TIMEOUT, us * 1000 + HOLD + TIMEOUT_MARGIN / 2));
}

long long int
zoo_peer_silence_timeout(const struct zoo_peer *peer,
                         const struct zoo_params *params)
{
    long long int timeout = zoo_peer_timeout(peer, params);

    return MAX(4 * timeout, timeout + SILENCE);
}

/* Intervals. */

/* Returns the time between rounds that would be too short: with so many under
 * way, they could not be told apart. */
static long long int
shortest_interval(const struct zoo_peer *peer, const struct zoo_params *params)
{
    return zoo_peer_timeout(peer, params) / 8;
}

long long int
zoo_peer_fast_interval(const struct zoo_peer *peer,
                       const struct zoo_params *params)
{
    return MAX(stretched(peer, params, params->probe_interval),
               shortest_interval(peer, params));
}

long long int
zoo_peer_full_interval(const struct zoo_peer *peer,
                       const struct zoo_params *params)
{
    /* What is not in use, and has answered for long, is worth fewer probes than
     * what is: they would be most of all. */
    long long int full = (zoo_peer_is_calm(peer, params)
                          ? 2 * params->full_interval
                          : params->full_interval);

    return MAX(stretched(peer, params, full),
               zoo_peer_fast_interval(peer, params));
}

/* Returns a part of 'interval' that differs between peers. */
static long long int
own_phase(const struct zoo_peer *peer, long long int interval)
{
    /* Sessions are random. */
    return interval / 1024 * (hash_uint64(peer->session) % 1024 + 1);
}

long long int
zoo_peer_next_phase(const struct zoo_peer *peer,
                    const struct zoo_params *params, long long int interval,
                    long long int now)
{
    /* Sessions are random. */
    long long int phase = (long long int) hash_uint64(peer->session) << 8;
    long long int past = (now - phase) % interval;

    past += past < 0 ? interval : 0;
    if (interval == shortest_interval(peer, params)) {
        /* It is never the same, and must not be shorter. */
        return now + interval;
    }
    return now + interval - MIN(past, interval / PHASE_STEPS);
}

long long int
zoo_peer_backoff_interval(const struct zoo_peer *peer,
                          const struct zoo_params *params)
{
    long long int interval, max;

    if (peer->state == ZOO_PEER_EXHAUSTED) {
        interval = MIN(params->probe_interval << MIN(peer->backoff / 8, 10),
                       EXHAUSTED_MAX_BACKOFF);
        max = MAX(interval, EXHAUSTED_MAX_INTERVAL);
    } else {
        interval = MIN(SEC << MIN(peer->backoff, 10), LEGACY_MAX_BACKOFF);
        max = LEGACY_MAX_INTERVAL;
    }
    return MIN(stretched(peer, params, interval), max);
}

long long int
zoo_peer_hint_interval(const struct zoo_peer *peer,
                       const struct zoo_params *params)
{
    /* A legacy peer that asks is none any more, but may need several rounds
     * until it answers, for instance because of its keys. */
    long long int max = stretched(peer, params, EXHAUSTED_MAX_BACKOFF);

    return MAX(stretched(peer, params, params->probe_interval),
               MIN(zoo_peer_backoff_interval(peer, params), max) / 2);
}

void
zoo_peer_reconfigured(struct zoo_peer *peer, const struct zoo_params *params,
                      long long int now)
{
    long long int fast = zoo_peer_fast_interval(peer, params);
    long long int full = zoo_peer_full_interval(peer, params);

    if (!params->learn) {
        zoo_peer_stop_learning(peer);
    }
    if (peer->state == ZOO_PEER_ACTIVE) {
        if (peer->next_fast > now + fast) {
            peer->next_fast = now + own_phase(peer, fast);
        }
        if (peer->next_full > now + full) {
            peer->next_full = now + own_phase(peer, full);
        }
    } else if (peer->state == ZOO_PEER_EXHAUSTED) {
        peer->next_full = MIN(peer->next_full,
                              now + MIN(full, EXHAUSTED_MAX_INTERVAL));
    } else if (peer->state != ZOO_PEER_IDLE) {
        long long int backoff = zoo_peer_backoff_interval(peer, params);

        if (peer->next_full > now + backoff) {
            peer->next_full = now + own_phase(peer, backoff);
        }
    }
}

bool
zoo_peer_relax(struct zoo_peer *peer, const struct zoo_params *params,
               long long int now)
{
    uint32_t now_ms = now / MSEC;

    if (!peer->slowed || now_ms - peer->slowed_ms < RELAX_TIME_MS) {
        return false;
    }
    peer->slowed--;
    peer->slowed_ms = now_ms;
    zoo_peer_reconfigured(peer, params, now);
    return true;
}
