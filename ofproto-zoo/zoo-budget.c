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
#include "zoo-budget.h"

#include <limits.h>
#include <string.h>

#include "util.h"

/* How far below a limit is clearly below: a tenth of it, and for probing and
 * receiving more, since to do it twice as often takes twice as much. */
#define MARGIN_CPUS(LIMIT) ((LIMIT) - (LIMIT) / 10)
#define MARGIN_OWN(LIMIT) ((LIMIT) * 2 / 5)

/* Periods clearly below a limit before more is done again, or, where it is not
 * this program that takes most of it, not above it. */
#define N_BELOW 2
#define N_NOT_ABOVE 10

void
zoo_budget_init(struct zoo_budget_state *b)
{
    memset(b, 0, sizeof *b);
}

/* Returns what 'part' is of 'all', in percent.  Neither counter ever runs
 * backward, but a processor that has gone takes its part of both away. */
static unsigned int
percent(uint64_t part, uint64_t last_part, uint64_t all, uint64_t last_all)
{
    if (all <= last_all || part <= last_part) {
        return 0;
    }
    return MIN(100, ((part - last_part) * 100.0) / (all - last_all) + 0.5);
}

static bool
level_run(struct zoo_budget_state *b, struct zoo_budget_level *l,
          unsigned int now, unsigned int limit, unsigned int below,
          unsigned int max_not_above)
{
    unsigned int level = l->level;

    l->percent = now;
    if (limit >= 100) {
        l->level = l->n_below = l->n_not_above = 0;
    } else if (now > limit) {
        l->n_below = l->n_not_above = 0;
        if (l->level < ZOO_BUDGET_MAX_LEVEL) {
            l->level++;
            b->n_raised++;
        }
    } else {
        l->n_below = now > below ? 0 : l->n_below + 1;
        l->n_not_above++;
        if (l->level && (l->n_below >= N_BELOW
                         || l->n_not_above >= max_not_above)) {
            l->n_below = l->n_not_above = 0;
            l->level--;
        }
    }
    return l->level != level;
}

bool
zoo_budget_run(struct zoo_budget_state *b,
               const struct zoo_budget_limits *limits,
               const struct zoo_budget_reading *r)
{
    const struct zoo_budget_reading *last = &b->last;
    bool changed = false;

    if (!b->started) {
        b->started = true;
        b->last = *r;
        return false;
    } else if (r->when - last->when < ZOO_BUDGET_PERIOD) {
        return false;
    }

    if (r->have_cpus && last->have_cpus) {
        changed |= level_run(b, &b->cpus,
                             percent(r->busy, last->busy, r->all, last->all),
                             limits->cpus, MARGIN_CPUS(limits->cpus),
                             N_NOT_ABOVE);
    } else {
        changed |= b->cpus.level > 0;
        b->cpus = (struct zoo_budget_level) { .level = 0 };
    }
    changed |= level_run(b, &b->probing,
                         percent(r->probing, last->probing, r->when,
                                 last->when),
                         limits->own, MARGIN_OWN(limits->own), UINT_MAX);
    changed |= level_run(b, &b->receiving,
                         percent(r->receiving, last->receiving, r->when,
                                 last->when),
                         limits->own, MARGIN_OWN(limits->own), UINT_MAX);
    b->last = *r;
    return changed;
}
