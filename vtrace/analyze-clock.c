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

/* How far clocks of nodes are apart, where somebody measured it. */

#include <config.h>
#include "vtrace/analyze-private.h"

#include "hash.h"
#include "util.h"

void
vtrace_analyzer_clock_offset(struct vtrace_analyzer *az,
                             struct vtrace_exporter *a,
                             struct vtrace_exporter *b,
                             int64_t offset)
{
    uint32_t hash = hash_2words(a->index, b->index);
    struct clock_offset *co;

    VTRACE_TAP(az, .type = VTRACE_EVENT_OFFSET, .node = a->index,
               .task = b->index, .number = offset);
    HMAP_FOR_EACH_WITH_HASH (co, node, hash, &az->offsets) {
        if (co->a == a && co->b == b) {
            co->offset = offset;
            return;
        }
    }
    co = xmalloc(sizeof *co);
    *co = (struct clock_offset) { .a = a, .b = b, .offset = offset };
    hmap_insert(&az->offsets, &co->node, hash);
}

/* Sets '*offset' to how far the clock of 'b' is ahead of that of 'a', if
 * somebody measured it. */
bool
vtrace_clock_offset(const struct vtrace_analyzer *az,
                    const struct vtrace_exporter *a,
                    const struct vtrace_exporter *b,
                    int64_t *offset)
{
    struct clock_offset *co;

    HMAP_FOR_EACH_WITH_HASH (co, node, hash_2words(a->index, b->index),
                             &az->offsets) {
        if (co->a == a && co->b == b) {
            *offset = co->offset;
            return true;
        }
    }
    HMAP_FOR_EACH_WITH_HASH (co, node, hash_2words(b->index, a->index),
                             &az->offsets) {
        if (co->a == b && co->b == a) {
            *offset = -co->offset;
            return true;
        }
    }
    return false;
}
