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
#include "zoo-health.h"

#include <limits.h>
#include <string.h>

#include "util.h"

void
zoo_health_init(struct zoo_health *h, long long int now)
{
    memset(h, 0, sizeof *h);
    h->failure_free = now;
}

enum zoo_health_state
zoo_health_state(const struct zoo_health *h)
{
    return (h->forced == ZOO_FORCED_UP ? ZOO_HEALTH_UP
            : h->forced == ZOO_FORCED_DOWN ? ZOO_HEALTH_DOWN
            : h->state);
}

static void
push_result(struct zoo_health *h, bool success)
{
    h->results = h->results << 1 | success;
    h->n_results = MIN(h->n_results + 1, 32);
}

static bool
has_recovered(const struct zoo_health *h, const struct zoo_params *params)
{
    unsigned int n = MIN(params->recover_window, h->n_results);
    uint32_t window = n >= 32 ? h->results : h->results & ((1u << n) - 1);

    return count_1bits(window) >= params->recover_successes;
}

/* Returns how long a candidate must have been up before its buckets return. */
static long long int
hold_down(const struct zoo_health *h, const struct zoo_params *params)
{
    return params->hold_down << h->relapses;
}

bool
zoo_health_success(struct zoo_health *h, const struct zoo_params *params,
                   long long int now)
{
    push_result(h, true);
    h->fails = 0;
    if (h->state == ZOO_HEALTH_UP
        || (h->state == ZOO_HEALTH_DOWN && !h->collective
            && !has_recovered(h, params))) {
        return false;
    }
    h->state = ZOO_HEALTH_UP;
    h->up_since = now;
    return true;
}

bool
zoo_health_failure(struct zoo_health *h, const struct zoo_params *params,
                   long long int sent, long long int now)
{
    push_result(h, false);
    if (!h->fails) {
        h->first_fail = sent;
    }
    h->fails = MIN(h->fails + 1, UINT8_MAX);
    h->failure_free = now;
    if (h->state == ZOO_HEALTH_DOWN || h->fails < params->fail_threshold) {
        return false;
    }

    if (h->was_down && !h->collective) {
        /* A candidate that stayed up ten times as long as it was held down
         * has redeemed itself. */
        if (now - h->up_since > 10 * hold_down(h, params)) {
            h->relapses = 0;
        } else if (h->relapses < ZOO_MAX_RELAPSES) {
            h->relapses++;
        }
    }
    h->was_down = true;
    h->state = ZOO_HEALTH_DOWN;
    h->collective = false;
    h->n_results = 0;
    return true;
}

void
zoo_health_set_collective(struct zoo_health *h, bool collective)
{
    h->collective = collective;
}

long long int
zoo_health_return_time(const struct zoo_health *h,
                       const struct zoo_params *params)
{
    if (zoo_health_state(h) != ZOO_HEALTH_UP) {
        return LLONG_MAX;
    } else if (h->forced || h->collective) {
        return 0;
    }
    return MAX(h->up_since, h->failure_free) + hold_down(h, params);
}
