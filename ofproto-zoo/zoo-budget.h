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

#ifndef ZOO_BUDGET_H
#define ZOO_BUDGET_H 1

/* How much of the processors probing may take
 * ===========================================
 *
 * Two budgets: the processors that the prober may run on must not be busier
 * than a limit, whoever keeps them busy, and the prober itself must not take
 * more than a limit of its own of one processor.  What it takes to probe and
 * what it takes to receive are told apart, so that neither pays for the other:
 * above a limit the one is done more seldom, and of the other less is taken.
 *
 * Once per ZOO_BUDGET_PERIOD the caller says what the counters of the system
 * are.  While the limit is exceeded, each period doubles what there is to save,
 * up to 2**ZOO_BUDGET_MAX_LEVEL; two periods in a row that are clearly below
 * halve it again, and of the processors ten that are not above.
 *
 * Pure: times and readings are arguments.  Callers serialize. */

#include <stdbool.h>
#include <stdint.h>

/* Time between readings, ns. */
#define ZOO_BUDGET_PERIOD (1000 * 1000 * 1000LL)

/* Doublings at most. */
#define ZOO_BUDGET_MAX_LEVEL 4

/* Counters, all of which only grow, and all in ns. */
struct zoo_budget_reading {
    long long int when;         /* Monotonic. */
    bool have_cpus;             /* Are the next two known? */
    uint64_t busy, all;         /* Of the processors, summed up. */
    /* Processor time of the prober: for what it sends and judges, and for what
     * it receives. */
    uint64_t probing, receiving;
};

struct zoo_budget_limits {
    unsigned int cpus;          /* Percent of the processors, 100 for no
                                 * limit. */
    unsigned int own;           /* Percent of one processor, 100 for no limit.
                                 * One for probing, one for receiving. */
};

/* What one limit has led to. */
struct zoo_budget_level {
    unsigned int level;         /* Doublings. */
    unsigned int n_below;       /* Periods in a row clearly below the limit, */
    unsigned int n_not_above;   /* and not above it. */
    unsigned int percent;       /* In the last period. */
};

struct zoo_budget_state {
    bool started;
    struct zoo_budget_reading last;
    struct zoo_budget_level cpus, probing, receiving;
    uint64_t n_raised;          /* Times that a level was raised. */
};

void zoo_budget_init(struct zoo_budget_state *);

/* Draws the conclusions from 'reading', unless the last one is less than
 * ZOO_BUDGET_PERIOD ago.  Returns true if a level has changed. */
bool zoo_budget_run(struct zoo_budget_state *,
                    const struct zoo_budget_limits *,
                    const struct zoo_budget_reading *reading);

/* Returns how many times intervals of probing must be doubled. */
static inline unsigned int
zoo_budget_stretch(const struct zoo_budget_state *b)
{
    return (b->cpus.level > b->probing.level
            ? b->cpus.level : b->probing.level);
}

/* Returns how many times the rate of what is received must be halved. */
static inline unsigned int
zoo_budget_throttle(const struct zoo_budget_state *b)
{
    return b->receiving.level;
}

#endif /* zoo-budget.h */
