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
#include "vtrace-points.h"

#include "ovs-ext/vtrace-digest.h"
#include "ovs-ext/vtrace-ring.h"
#include "ovs-ext/zoo-record.h"
#include "util.h"

void
points_configure(bool on)
{
    static const struct zoo_record_config config = {
        .key = VTRACE_DIGEST_KEY_INIT,
        .rate = ZOO_RECORD_RATE_MAX,
    };

    zoo_record_configure(on ? &config : NULL);
}

static void
count(void *total_, const struct vtrace_record *r OVS_UNUSED, size_t n)
{
    uint64_t *total = total_;

    *total += n;
}

uint64_t
points_drain(void)
{
    uint64_t total = 0;

    vtrace_rings_drain(count, &total);
    return total;
}
