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

#ifndef ZOO_HEALTH_H
#define ZOO_HEALTH_H 1

/* Health of one candidate
 * =======================
 *
 * A candidate goes down after 'fail_threshold' consecutive failed probes, and
 * comes up again after 'recover_successes' successes among the last
 * 'recover_window' results.  It may take its buckets back when it has been up
 * without a single failure for a hold-down time that doubles with each
 * relapse.  What all candidates, or nearly all, suffer together counts less
 * (see zoo_health_set_collective()).
 *
 * Pure.  Times are monotonic, in ns. */

#include <stdbool.h>
#include <stdint.h>

/* Doublings of the hold-down at most. */
#define ZOO_MAX_RELAPSES 5

/* What the row in table ZooRoute says.  Times in ns. */
struct zoo_params {
    unsigned int candidates;
    uint16_t port_min, port_max;
    long long int probe_interval;
    long long int full_interval;
    unsigned int fail_threshold;
    unsigned int recover_successes, recover_window;
    long long int hold_down;
    long long int peer_idle;
    unsigned int stretch;       /* Doublings of intervals, because of
                                 * cpu_limit. */
    bool learn;                 /* Middlebox: see zoo-peer-learn.h. */
    bool shared_candidates;     /* All peers have the same, and the P4 gateway's
                                 * path tables choose: buckets tell them which
                                 * candidates fail, not who has sessions. */
    bool flooded;               /* More comes than this side takes: reports may
                                 * be lost among it. */
};

enum zoo_health_state {
    ZOO_HEALTH_UNKNOWN,         /* Neither answered nor failed yet. */
    ZOO_HEALTH_UP,
    ZOO_HEALTH_DOWN,
};

enum zoo_health_forced {
    ZOO_FORCED_NO,
    ZOO_FORCED_UP,
    ZOO_FORCED_DOWN,
};

struct zoo_health {
    uint8_t state : 2;          /* enum zoo_health_state, from probes. */
    uint8_t forced : 2;         /* enum zoo_health_forced. */
    bool was_down : 1;          /* Has been DOWN before. */
    bool collective : 1;        /* Went down as the other candidates did. */
    uint8_t fails;              /* Consecutive failures. */
    uint8_t relapses;           /* Doublings of the hold-down. */
    uint8_t n_results;          /* Valid bits in 'results'. */
    uint32_t results;           /* Bit 0 is the newest, 1 is a success. */
    long long int first_fail;   /* When the first probe of the current (or
                                 * last) run of failures was sent. */
    long long int up_since;     /* Since when UP. */
    long long int failure_free; /* Since when without a failure. */
};

void zoo_health_init(struct zoo_health *, long long int now);

/* Returns the state that counts: an operator's word before probes'. */
enum zoo_health_state zoo_health_state(const struct zoo_health *);

/* A probe succeeded.  Returns true if the candidate came up. */
bool zoo_health_success(struct zoo_health *, const struct zoo_params *,
                        long long int now);

/* A probe that was sent at 'sent' failed.  Returns true if the candidate went
 * down. */
bool zoo_health_failure(struct zoo_health *, const struct zoo_params *,
                        long long int sent, long long int now);

/* If 'collective', every candidate is down, or nearly every one has gone down
 * at once, so this one is not specially at fault: its first success brings it
 * up and its buckets need not wait. */
void zoo_health_set_collective(struct zoo_health *, bool collective);

/* Returns when the candidate may take its buckets back, LLONG_MAX if it is
 * not up. */
long long int zoo_health_return_time(const struct zoo_health *,
                                     const struct zoo_params *);

#endif /* zoo-health.h */
