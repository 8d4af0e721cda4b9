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

/* What follows from how busy processors are: the budget by itself, and peers
 * whose intervals are stretched, in the simulator of sim.h. */

#include <config.h>
#include "unit.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "ofproto-zoo/zoo-budget.h"
#include "ofproto-zoo/zoo-mode.h"
#include "openvswitch/dynamic-string.h"
#include "random.h"
#include "sim.h"
#include "util.h"

#define N_PATHS 4

static const struct zoo_budget_limits defaults = { .cpus = 80, .own = 50 };
static struct zoo_budget_state budget;
static struct zoo_budget_reading reading;
static struct sim sim;

static void
setup(void)
{
    memset(&reading, 0, sizeof reading);
    reading.when = 1000 * SEC;
    reading.have_cpus = true;
    reading.busy = 12345 * SEC;
    reading.all = 54321 * SEC;
    zoo_budget_init(&budget);
    zoo_budget_run(&budget, &defaults, &reading);
}

/* Four processors are 'cpus' percent busy for a second, and the prober takes
 * so much of one. */
static bool
run_one(const struct zoo_budget_limits *limits, unsigned int cpus,
        unsigned int probing, unsigned int receiving)
{
    reading.when += SEC;
    reading.busy += 4 * SEC / 100 * cpus;
    reading.all += 4 * SEC;
    reading.probing += SEC / 100 * probing;
    reading.receiving += SEC / 100 * receiving;
    return zoo_budget_run(&budget, limits, &reading);
}

/* Each second above the limit doubles intervals, and each two seconds clearly
 * below halve them, or each ten that are not above. */
START_TEST(stretches_and_comes_back)
{
    for (int i = 0; i < 10; i++) {
        ck_assert(!run_one(&defaults, 80, 50, 50));
    }
    ck_assert_uint_eq(zoo_budget_stretch(&budget), 0);
    for (unsigned int i = 1; i <= 8; i++) {
        ck_assert_int_eq(run_one(&defaults, 100, 1, 1), i <= 4);
        ck_assert_uint_eq(zoo_budget_stretch(&budget), MIN(i, 4));
        ck_assert_uint_eq(budget.cpus.percent, 100);
    }
    for (int i = 1; i <= 20; i++) {
        ck_assert_int_eq(run_one(&defaults, 75 + i % 6, 1, 1), i % 10 == 0);
    }
    ck_assert_uint_eq(zoo_budget_stretch(&budget), 2);
    /* One second is not enough. */
    for (int i = 0; i < 9; i++) {
        ck_assert(!run_one(&defaults, i % 2 ? 76 : 20, 1, 1));
    }
    for (unsigned int i = 1; i <= 2; i++) {
        ck_assert(run_one(&defaults, 81, 1, 1));
        ck_assert_uint_eq(zoo_budget_stretch(&budget), 2 + i);
    }
    for (unsigned int i = 1; i <= 10; i++) {
        ck_assert_int_eq(run_one(&defaults, 72, 1, 1), i % 2 == 0 && i <= 8);
        ck_assert_uint_eq(zoo_budget_stretch(&budget), 4 - MIN(i / 2, 4));
    }
    ck_assert_uint_eq(budget.n_raised, 6);
    ck_assert_uint_eq(zoo_budget_throttle(&budget), 0);
}
END_TEST

/* Probing and receiving do not pay for each other. */
START_TEST(own_share)
{
    run_one(&defaults, 10, 60, 1);
    run_one(&defaults, 10, 60, 1);
    ck_assert_uint_eq(zoo_budget_stretch(&budget), 2);
    ck_assert_uint_eq(zoo_budget_throttle(&budget), 0);
    /* Half as often takes half as much: that is no reason to go back. */
    for (int i = 0; i < 10; i++) {
        run_one(&defaults, 10, 30, 1);
    }
    ck_assert_uint_eq(zoo_budget_stretch(&budget), 2);
    for (int i = 0; i < 4; i++) {
        run_one(&defaults, 10, 10, 1);
    }
    ck_assert_uint_eq(zoo_budget_stretch(&budget), 0);

    run_one(&defaults, 10, 1, 90);
    ck_assert_uint_eq(zoo_budget_stretch(&budget), 0);
    ck_assert_uint_eq(zoo_budget_throttle(&budget), 1);
}
END_TEST

/* 100 is no limit, and what is not known is none. */
START_TEST(no_limit)
{
    const struct zoo_budget_limits none = { .cpus = 100, .own = 100 };

    for (int i = 0; i < 5; i++) {
        ck_assert(!run_one(&none, 100, 100, 100));
    }
    run_one(&defaults, 100, 1, 1);
    ck_assert_uint_eq(zoo_budget_stretch(&budget), 1);
    ck_assert(run_one(&none, 100, 1, 1));
    ck_assert_uint_eq(zoo_budget_stretch(&budget), 0);

    run_one(&defaults, 100, 1, 1);
    reading.have_cpus = false;
    ck_assert(run_one(&defaults, 100, 1, 1));
    ck_assert_uint_eq(zoo_budget_stretch(&budget), 0);
}
END_TEST

/* Readings that come too often, or run backward when a processor goes. */
START_TEST(odd_readings)
{
    for (int i = 0; i < 20; i++) {
        reading.when += SEC / 20 - 1;
        reading.busy += SEC;
        reading.all += SEC;
        ck_assert(!zoo_budget_run(&budget, &defaults, &reading));
    }
    reading.when += SEC;
    reading.busy -= 5000 * SEC;
    reading.all -= 5000 * SEC;
    ck_assert(!zoo_budget_run(&budget, &defaults, &reading));
    ck_assert_uint_eq(budget.cpus.percent, 0);
    run_one(&defaults, 100, 0, 0);
    ck_assert_uint_eq(budget.cpus.percent, 100);
    ck_assert_uint_eq(zoo_budget_stretch(&budget), 1);
}
END_TEST

/* Peers. */

static void
start_sim(uint32_t seed)
{
    unit_seed(seed);
    sim_init(&sim, N_PATHS, &sim_defaults);
    sim_use(&sim, 0, 4);
    sim_use(&sim, 1, 4);
    sim_run(&sim, 3 * SEC);
}

static void
set_stretch(unsigned int stretch)
{
    for (int i = 0; i < 2; i++) {
        bool shorter = stretch < sim.side[i].params.stretch;

        sim.side[i].params.stretch = stretch;
        if (shorter) {
            zoo_peer_reconfigured(&sim.side[i].peer, &sim.side[i].params,
                                  sim.now);
        }
    }
}

static unsigned int
request_rate(long long int duration)
{
    uint64_t before = sim.side[0].n_requests;

    sim_run(&sim, duration);
    return (sim.side[0].n_requests - before) * SEC / duration;
}

static bool
path_0_is_down(struct sim *s)
{
    return sim_count(s, 0, 0, ZOO_HEALTH_DOWN) == 32 / N_PATHS;
}

/* 4 candidates each 100 ms and 28 each other second, as all answer, are 54
 * requests a second. */
START_TEST(intervals)
{
    const unsigned int expected[] = { 54, 27, 14, 7, 3 };
    unsigned int rate;

    start_sim(1);
    for (unsigned int level = 0; level <= 4; level++) {
        set_stretch(level);
        sim_run(&sim, 20 * SEC);
        rate = request_rate(320 * SEC);
        printf("intervals x%u: %u requests/s\n", 1u << level, rate);
        unit_assert(rate <= expected[level] && rate >= expected[level] * 0.8,
                    "x%u: %u/s", 1u << level, rate);
    }
    set_stretch(0);
    rate = request_rate(2 * SEC);
    unit_assert(rate >= 48, "back: %u/s", rate);
    sim_check_undisturbed(&sim, 0, 1);
    sim_destroy(&sim);
}
END_TEST

/* When intervals become shorter again for many peers at once, their rounds do
 * not come at once: they would be more than receivers have room for. */
START_TEST(comes_back_spread)
{
    enum { N_PEERS = 64, N_PARTS = 4 };
    unsigned int n_fast[N_PARTS] = { 0 }, n_full[N_PARTS] = { 0 };

    for (uint32_t seed = 0; seed < N_PEERS; seed++) {
        const struct zoo_peer *peer = &sim.side[0].peer;
        const struct zoo_params *params = &sim.side[0].params;

        start_sim(seed);
        sim_run(&sim, 5 * SEC);
        set_stretch(4);
        sim_run(&sim, 40 * SEC);
        set_stretch(0);
        n_fast[MIN((peer->next_fast - sim.now) * N_PARTS
                   / params->probe_interval, N_PARTS - 1)]++;
        n_full[MIN((peer->next_full - sim.now) * N_PARTS
                   / (2 * params->full_interval), N_PARTS - 1)]++;
        sim_destroy(&sim);
    }
    for (int i = 0; i < N_PARTS; i++) {
        printf("part %d of an interval: %u of %d peers, %u with all\n", i + 1,
               n_fast[i], N_PEERS, n_full[i]);
        ck_assert_uint_ge(n_fast[i], N_PEERS / N_PARTS / 4);
        ck_assert_uint_le(n_fast[i], N_PEERS / 2);
        ck_assert_uint_ge(n_full[i], N_PEERS / N_PARTS / 4);
        ck_assert_uint_le(n_full[i], N_PEERS / 2);
    }
}
END_TEST

/* A failure is found however long intervals are, only later. */
START_TEST(still_detects)
{
    for (unsigned int level = 0; level <= 4; level++) {
        long long int took, longest = 0;

        for (uint32_t seed = 0; seed < 20; seed++) {
            start_sim(seed);
            set_stretch(level);
            sim_run(&sim, 40 * SEC + random_range(SEC));
            sim_set_loss_both(&sim, 0, 1);
            took = sim_run_until(&sim, path_0_is_down, 60 * SEC);
            unit_assert(took < LLONG_MAX, "seed %u, x%u", seed, 1u << level);
            longest = MAX(longest, took);
            sim_destroy(&sim);
        }
        printf("intervals x%u: found within %lld ms\n", 1u << level,
               longest / MSEC);
        /* The first loss, and its confirmation. */
        unit_assert(longest <= 2 * ((100 * MSEC << level) + 400 * MSEC),
                    "x%u: %lld ms", 1u << level, longest / MSEC);
    }
}
END_TEST

/* 20 s without half of the processor: it comes late and for short times, as
 * does everything.  No candidate is marked bad, whether intervals are stretched
 * yet or not. */
START_TEST(pressure)
{
    for (uint32_t seed = 0; seed < 50; seed++) {
        start_sim(seed);
        for (int t = 0; t < 20; t++) {
            set_stretch(MIN(t, 4));
            for (long long int end = sim.now + SEC; sim.now < end; ) {
                for (int i = 0; i < 2; i++) {
                    sim_stall(&sim, i, random_range(40 * MSEC));
                }
                sim_run(&sim, 40 * MSEC);
            }
        }
        for (int t = 4; t >= 0; t--) {
            set_stretch(t);
            sim_run(&sim, 2 * SEC);
        }
        sim_check_undisturbed(&sim, 0, seed);
        sim_check_undisturbed(&sim, 1, seed);
        sim_destroy(&sim);
    }
}
END_TEST

/* Returns the number of rounds of side 0 in 'seconds', while the other side
 * asks each ms if 'asked', and does not end its CTL. */
static unsigned int
count_rounds(unsigned int seconds, bool asked)
{
    struct sim_side *s = &sim.side[0];
    uint64_t before = s->n_rounds;

    for (unsigned int ms = 0; ms < seconds * 1000; ms++) {
        if (asked) {
            zoo_peer_hint(&s->peer, &s->params, sim.now);
        }
        s->peer.slowed_ms = sim.now / MSEC;
        sim_run(&sim, MSEC);
    }
    return s->n_rounds - before;
}

/* Who never answers, though it asks all the time, is asked as seldom as the
 * limits have it; who comes back is asked at once. */
START_TEST(exhausted)
{
    struct sim_side *s = &sim.side[0];

    start_sim(1);
    sim_set_loss_both(&sim, SIM_ALL_PATHS, 1);
    sim_run(&sim, 30 * SEC);
    ck_assert_int_eq(s->peer.state, ZOO_PEER_EXHAUSTED);
    for (unsigned int t = 0; t <= 2; t++) {
        unsigned int n, limit = 20 >> t;

        set_stretch(t);
        n = count_rounds(20, false);
        unit_assert(n + 2 >= limit && n <= limit + 2, "x%u: %u rounds",
                    1u << t, n);
        n = count_rounds(20, true);
        unit_assert(n <= 2 * limit + 2, "x%u: %u rounds when asked", 1u << t,
                    n);
        set_stretch(0);
        s->peer.slowed = t;
        n = count_rounds(20, true);
        unit_assert(n <= 2 * limit + 2, "CTL x%u: %u rounds when asked",
                    1u << t, n);
        s->peer.slowed = 0;
    }
    sim_run(&sim, 10 * SEC);
    sim_set_loss_both(&sim, SIM_ALL_PATHS, 0);
    for (unsigned int k = 0; k < 32; k++) {
        zoo_peer_hint(&s->peer, &s->params, sim.now);
    }
    sim_run(&sim, 20 * MSEC);
    ck_assert_int_eq(s->peer.state, ZOO_PEER_ACTIVE);
    sim_destroy(&sim);
}
END_TEST

/* Who has never answered is asked more seldom, too, and as soon as ever when
 * that is over. */
START_TEST(legacy)
{
    struct sim_side *s = &sim.side[0];
    unsigned int n;

    start_sim(1);
    sim_restart_peer(&sim, 0);
    sim.side[1].patched = false;
    sim_use(&sim, 1, 0);
    sim_run(&sim, 200 * SEC);
    ck_assert_int_eq(s->peer.state, ZOO_PEER_LEGACY);
    n = count_rounds(1200, false);
    unit_assert(n >= 20 && n <= 21, "%u rounds", n);
    set_stretch(1);
    n = count_rounds(1200, false);
    unit_assert(n >= 10 && n <= 11, "x2: %u rounds", n);
    set_stretch(4);
    n = count_rounds(1200, false);
    unit_assert(n >= 5 && n <= 6, "x16: %u rounds", n);
    set_stretch(0);
    n = count_rounds(60, false);
    ck_assert_uint_ge(n, 1);

    n = count_rounds(20, true);
    unit_assert(n >= 38 && n <= 42, "%u rounds when asked", n);
    set_stretch(2);
    n = count_rounds(20, true);
    unit_assert(n <= 12, "x4: %u rounds when asked", n);

    /* So is who rewrites ports. */
    s->peer.state = ZOO_PEER_UNSUPPORTED;
    n = count_rounds(1200, true);
    unit_assert(n >= 5 && n <= 6, "unsupported: %u rounds", n);
    sim_destroy(&sim);
}
END_TEST

/* What operators are told. */

static void
check_mode(const struct zoo_peer *peer, const struct zoo_params *params,
           const char *expected)
{
    struct ds s = DS_EMPTY_INITIALIZER;

    zoo_mode_format(peer, params, 0, &s);
    ck_assert_str_eq(ds_cstr(&s), expected);
    ds_destroy(&s);
}

#define CALM ", all half as often as configured while all answer"

START_TEST(mode)
{
    struct sim_side *s = &sim.side[0];

    start_sim(1);
    sim_restart_peer(&sim, 0);
    sim_run(&sim, 2 * SEC);
    check_mode(&s->peer, &s->params,
               "in use: 4 candidates each 100 ms, all each 1000 ms");
    sim_use(&sim, 0, 1);
    sim_run(&sim, 3 * SEC);
    check_mode(&s->peer, &s->params,
               "in use: 1 candidate each 100 ms, all each 2000 ms" CALM);
    set_stretch(1);
    check_mode(&s->peer, &s->params,
               "in use: 1 candidate each 200 ms, all each 4000 ms, "
               "slowed by CPU limit x2" CALM);
    s->peer.slowed = 2;
    check_mode(&s->peer, &s->params,
               "in use: 1 candidate each 400 ms, all each 8000 ms, "
               "slowed by peer (CTL) x4, slowed by CPU limit x2" CALM);
    set_stretch(0);
    s->peer.slowed = 0;
    sim_use(&sim, 0, 0);
    sim_run(&sim, 62 * SEC);
    check_mode(&s->peer, &s->params, "idle: no tenant traffic, not probed");

    sim_use(&sim, 0, 1);
    sim_run(&sim, SEC);
    sim_set_loss_both(&sim, SIM_ALL_PATHS, 1);
    sim_run(&sim, 60 * SEC);
    check_mode(&s->peer, &s->params,
               "backing off (exhausted): all each 1000 ms, or when it asks, "
               "each 500 ms at most");
    set_stretch(1);
    check_mode(&s->peer, &s->params,
               "backing off (exhausted): all each 2000 ms, or when it asks, "
               "each 1000 ms at most, slowed by CPU limit x2");
    set_stretch(0);
    sim_restart_peer(&sim, 0);
    sim_run(&sim, 3 * SEC);
    check_mode(&s->peer, &s->params,
               "backing off (never answered): 4 candidates each 4000 ms, "
               "or when it asks, each 500 ms at most");
    set_stretch(2);
    check_mode(&s->peer, &s->params,
               "backing off (never answered): 4 candidates each 16000 ms, "
               "or when it asks, each 2000 ms at most, "
               "slowed by CPU limit x4");
    s->peer.state = ZOO_PEER_UNSUPPORTED;
    s->peer.slowed = 1;
    check_mode(&s->peer, &s->params,
               "backing off (ports are rewritten): 4 candidates each "
               "16000 ms, slowed by peer (CTL) x2, slowed by CPU limit x4");
    sim_destroy(&sim);
}
END_TEST

static void
check_upstream(const struct zoo_peer *peer, const char *expected)
{
    struct ds s = DS_EMPTY_INITIALIZER;

    ck_assert(peer->upstream);
    zoo_mode_format_upstream(peer, &s);
    ck_assert_str_eq(ds_cstr(&s), expected);
    ds_destroy(&s);
}

/* Why a peer has Open vSwitch's own ports: that it is idle now is none. */
START_TEST(upstream)
{
    struct zoo_peer *peer = &sim.side[0].peer;

    start_sim(1);
    sim_set_loss_both(&sim, SIM_ALL_PATHS, 1);
    sim_run(&sim, 5 * SEC);
    check_upstream(peer, "is exhausted: no candidate works");
    sim_use(&sim, 0, 0);
    sim_run(&sim, 100 * SEC);
    check_upstream(peer, "is idle and was exhausted: no candidate worked");

    sim_restart_peer(&sim, 0);
    sim_use(&sim, 0, 1);
    sim_run(&sim, 5 * SEC);
    check_upstream(peer, "is legacy: it has never answered");
    sim_use(&sim, 0, 0);
    sim_run(&sim, 100 * SEC);
    check_upstream(peer, "is idle and was legacy: it has never answered");
    peer->n_rewritten = 3;
    check_upstream(peer, "is idle and was unsupported: ports are rewritten");
    peer->state = ZOO_PEER_UNSUPPORTED;
    check_upstream(peer, "is unsupported: ports are rewritten");
    sim_destroy(&sim);
}
END_TEST

/* Why a bucket is away from home. */
START_TEST(away)
{
    struct zoo_peer *peer = &sim.side[0].peer;

    start_sim(1);
    sim_set_loss_both(&sim, 1, 1);
    sim_run(&sim, 5 * SEC);
    ck_assert_uint_ne(peer->table.owner[1], 1);
    ck_assert_str_eq(zoo_mode_why_away(peer, 1, 2), "is down");
    sim_set_loss_both(&sim, 1, 0);
    sim_run(&sim, 5 * SEC);
    ck_assert_uint_ne(peer->table.owner[1], 1);
    ck_assert_str_eq(zoo_mode_why_away(peer, 1, 2),
                     "is up but has to stay up for the hold-down time first");
    sim_run(&sim, 20 * SEC);
    ck_assert_uint_eq(peer->table.owner[1], 1);

    ck_assert(zoo_peer_exchange(peer, 9, 65000, sim.now));
    ck_assert_uint_ne(peer->table.owner[9], 9);
    ck_assert_str_eq(zoo_mode_why_away(peer, 9, 2),
                     "is not known to work yet");
    sim_force(&sim, 0, 9, ZOO_FORCED_DOWN);
    ck_assert_str_eq(zoo_mode_why_away(peer, 9, 2),
                     "an operator has set down");
    peer->candidates[8].group = 1;
    ck_assert_str_eq(zoo_mode_why_away(peer, 8, 2),
                     "is up but reaches another middlebox: it returns when "
                     "it has been idle");
    peer->candidates[8].group = 0;
    sim_destroy(&sim);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("budget");
    TCase *tc;

    tc = unit_case(s, "levels", 60);
    tcase_add_checked_fixture(tc, setup, NULL);
    tcase_add_test(tc, stretches_and_comes_back);
    tcase_add_test(tc, own_share);
    tcase_add_test(tc, no_limit);
    tcase_add_test(tc, odd_readings);

    tc = unit_case(s, "peers", 300);
    tcase_add_test(tc, intervals);
    tcase_add_test(tc, comes_back_spread);
    tcase_add_test(tc, still_detects);
    tcase_add_test(tc, pressure);
    tcase_add_test(tc, exhausted);
    tcase_add_test(tc, legacy);
    tcase_add_test(tc, mode);
    tcase_add_test(tc, upstream);
    tcase_add_test(tc, away);
    return unit_run(s);
}
