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


/* Peers: states and schedule, in the simulator of sim.h. */

#include <config.h>
#include "unit.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "random.h"
#include "sim.h"
#include "util.h"

static struct sim sim;

/* Sets up a network of four paths and lets all buckets of both sides be used
 * for long enough. */
static void
setup_traffic(uint32_t seed)
{
    sim_start(&sim, seed, ZOO_N_BUCKETS);
    sim_run(&sim, random_range(SEC));
}

static bool
side0_is_active(struct sim *s)
{
    return s->side[0].peer.state == ZOO_PEER_ACTIVE;
}

static bool
side0_has_all_up(struct sim *s)
{
    return sim_count(s, 0, SIM_ALL_PATHS, ZOO_HEALTH_UP) == 32;
}

static bool
side0_is_exhausted(struct sim *s)
{
    return s->side[0].peer.state == ZOO_PEER_EXHAUSTED;
}

static bool
side0_is_legacy(struct sim *s)
{
    return s->side[0].peer.state == ZOO_PEER_LEGACY;
}

/* Candidates. */

/* Of another number of candidates those are known that have the same ports, not
 * those that have the same places. */
START_TEST(another_number_of_candidates)
{
    struct zoo_peer *peer = &sim.side[0].peer;
    struct zoo_params fewer = sim_defaults;
    struct zoo_candidate known;
    uint16_t sport;
    int side = 0;

    unit_seed(1);
    sim_init(&sim, 4, &sim_defaults);
    sim_use(&sim, 0, 1);
    sim_run(&sim, 3 * SEC);
    sport = peer->table.sport[5];
    ck_assert(zoo_peer_exchange(peer, 5, 65000, sim.now));
    sim_run(&sim, 20 * SEC);
    ck_assert_uint_eq(sim_count(&sim, 0, SIM_ALL_PATHS, ZOO_HEALTH_UP), 32);
    known = peer->candidates[6];

    fewer.candidates = 8;
    zoo_peer_set_candidates(peer, &fewer, &side, sizeof side, 1, sim.now);
    ck_assert_uint_eq(peer->table.n, 8);
    ck_assert_uint_eq(peer->table.sport[5], sport);
    ck_assert_int_eq(peer->candidates[5].health.state, ZOO_HEALTH_UNKNOWN);
    ck_assert_uint_eq(peer->candidates[5].sent, 0);
    ck_assert_uint_gt(known.sent, 0);
    ck_assert_uint_eq(peer->candidates[6].sent, known.sent);
    ck_assert_int_eq(peer->candidates[6].health.state, ZOO_HEALTH_UP);

    zoo_peer_set_candidates(peer, &sim_defaults, &side, sizeof side, 1,
                            sim.now);
    ck_assert_int_eq(peer->candidates[7].health.state, ZOO_HEALTH_UP);
    ck_assert_int_eq(peer->candidates[8].health.state, ZOO_HEALTH_UNKNOWN);
    sim_destroy(&sim);
}
END_TEST

/* There is none to take the buckets of the last candidate that works. */
START_TEST(the_last_one_is_not_exchanged)
{
    struct zoo_peer *peer = &sim.side[0].peer;

    setup_traffic(1);
    for (unsigned int i = 1; i < 32; i++) {
        sim_force(&sim, 0, i, ZOO_FORCED_DOWN);
    }
    ck_assert(!zoo_peer_exchange(peer, 0, 65000, sim.now));
    ck_assert_uint_ne(peer->table.sport[0], 65000);
    sim_destroy(&sim);
}
END_TEST

/* The thread sends without the mutex: a candidate is exchanged after
 * zoo_peer_run() has asked for a round, and before zoo_peer_sent().  It was
 * the old port that the round was sent from, so its report says nothing of the
 * new one. */
START_TEST(exchanged_while_a_round_is_sent)
{
    struct zoo_peer *peer = &sim.side[0].peer;
    struct zoo_params params = sim_defaults;
    struct zoo_probe report;
    uint32_t set;

    unit_seed(1);
    params.fail_threshold = 1;
    sim_init(&sim, 4, &params);
    sim_use(&sim, 0, 1);
    sim_run(&sim, 3 * SEC);
    peer->next_full = sim.now;
    set = zoo_peer_run(peer, &params, sim.now);
    ck_assert_uint_eq(set, UINT32_MAX);
    zoo_peer_request(peer, set, &report);

    ck_assert(zoo_peer_exchange(peer, 5, 65000, sim.now));
    zoo_peer_sent(peer, true, sim.now);
    ck_assert_uint_eq(peer->candidates[5].sent, 0);
    ck_assert_uint_ne(peer->candidates[6].sent, 0);

    /* As a peer may answer that lists all that it is asked about. */
    report.type = ZOO_PROBE_REPORT;
    report.flags = 0;
    for (unsigned int k = 0; k < report.n_entries; k++) {
        report.entries[k].last = report.round;
    }
    report.entries[5].sport = 65000;
    report.entries[5].last = 0;
    ck_assert_int_eq(zoo_peer_report(peer, &params, &report, 40000,
                                     sim.now + 500 * MSEC), ZOO_PROBE_OK);
    zoo_peer_run(peer, &params, sim.now + SEC);
    ck_assert_int_eq(peer->candidates[5].health.state, ZOO_HEALTH_UNKNOWN);
    ck_assert_uint_eq(peer->candidates[5].lost, 0);
    ck_assert_int_eq(peer->candidates[6].health.state, ZOO_HEALTH_UP);
    sim_destroy(&sim);
}
END_TEST

/* Schedule. */

START_TEST(probes_follow_use)
{
    struct sim_side *s = &sim.side[0];

    unit_seed(1);
    sim_init(&sim, 4, &sim_defaults);
    sim_run(&sim, 100 * SEC);
    ck_assert_int_eq(s->peer.state, ZOO_PEER_IDLE);
    ck_assert_uint_eq(s->n_requests, 0);
    ck_assert_int_eq(zoo_peer_next(&s->peer, &s->params), LLONG_MAX);
    /* The home map applies nevertheless. */
    for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
        ck_assert_uint_eq(s->map[b], s->peer.table.sport[b % 32]);
    }

    /* Everything is known soon after the first packet. */
    sim_use(&sim, 0, 1);
    ck_assert_int_le(sim_run_until(&sim, side0_has_all_up, SEC), 110 * MSEC);
    ck_assert_uint_eq(s->n_requests, 32);

    /* One candidate in use every 100 ms, all of them every second. */
    uint64_t before = s->n_requests;
    sim_run(&sim, (ZOO_PEER_CALM_ROUNDS - 1) * SEC);
    double rate = ((s->n_requests - before)
                   / (ZOO_PEER_CALM_ROUNDS - 1.));
    ck_assert_double_ge(rate, 32 + 8);
    ck_assert_double_le(rate, 32 + 10);

    /* All of them every other second when all have answered for a while. */
    before = s->n_requests;
    sim_run(&sim, 100 * SEC);
    rate = (s->n_requests - before) / 100.;
    ck_assert_double_ge(rate, 16 + 8.5);
    ck_assert_double_le(rate, 16 + 10);

    /* Candidates of 16 buckets. */
    sim_use(&sim, 0, 16);
    sim_run(&sim, SEC);
    before = s->n_requests;
    sim_run(&sim, 100 * SEC);
    rate = (s->n_requests - before) / 100.;
    ck_assert_double_ge(rate, 16 + 8.5 * 16);
    ck_assert_double_le(rate, 16 + 10 * 16);

    /* A minute after the last packet it ends. */
    sim_use(&sim, 0, 0);
    sim_run(&sim, 59 * SEC);
    ck_assert_int_eq(s->peer.state, ZOO_PEER_ACTIVE);
    sim_run(&sim, 2 * SEC);
    ck_assert_int_eq(s->peer.state, ZOO_PEER_IDLE);
    before = s->n_requests;
    unsigned int n_publications = s->n_publications;
    sim_run(&sim, 1000 * SEC);
    ck_assert_uint_eq(s->n_requests, before);
    ck_assert_uint_eq(s->n_publications, n_publications);

    /* And begins again with the next one. */
    sim_use(&sim, 0, 1);
    sim_run(&sim, 110 * MSEC);
    ck_assert_int_eq(s->peer.state, ZOO_PEER_ACTIVE);
    ck_assert_uint_eq(s->n_requests, before + 32);
    sim_run(&sim, 10 * SEC);
    sim_check_undisturbed(&sim, 0, 0);
    ck_assert_uint_eq(sim_lost(&sim, 0), 0);
    sim_destroy(&sim);
}
END_TEST

static bool
side0_path3_is_down(struct sim *s)
{
    return sim_count(s, 0, 3, ZOO_HEALTH_DOWN) == 8;
}

/* Requests of side 0 in 20 s. */
static double
request_rate(void)
{
    uint64_t before = sim.side[0].n_requests;

    sim_run(&sim, 20 * SEC);
    return (sim.side[0].n_requests - before) / 20.;
}

/* Calm ends with the first loss, also of a candidate that is not in use, and
 * what is in use is found to fail as soon as ever. */
START_TEST(calm_ends_with_a_loss)
{
    for (uint32_t seed = 0; seed < 20; seed++) {
        setup_traffic(seed);
        sim_use(&sim, 0, 1);
        sim_use(&sim, 1, 1);
        sim_run(&sim, 10 * SEC + random_range(2 * SEC));
        ck_assert_double_le(request_rate(), 16 + 12);

        sim_set_loss_both(&sim, 3, 1);
        long long int took = sim_run_until(&sim, side0_path3_is_down,
                                           10 * SEC);
        unit_assert(took <= 2 * SEC + 200 * MSEC, "seed %u: %lld ms", seed,
                    took / MSEC);
        ck_assert_double_ge(request_rate(), 32 + 8);

        sim_set_loss_both(&sim, 3, 0);
        sim_run(&sim, (ZOO_PEER_CALM_ROUNDS + 4) * SEC);
        ck_assert_double_le(request_rate(), 16 + 12);
        sim_forget_silence(&sim);
        sim_set_loss_both(&sim, 0, 1);
        sim_run(&sim, SEC);
        unit_assert(sim_longest_silence(&sim, 0) <= 200 * MSEC,
                    "seed %u: %lld ms", seed,
                    sim_longest_silence(&sim, 0) / MSEC);
        sim_destroy(&sim);
    }
}
END_TEST

/* A failure that happened while nobody looked. */
START_TEST(wakes_up_to_a_failure)
{
    setup_traffic(1);
    sim_use(&sim, 0, 0);
    sim_use(&sim, 1, 0);
    sim_run(&sim, 100 * SEC);
    sim_set_loss_both(&sim, 0, 1);
    sim_forget_silence(&sim);
    sim_use(&sim, 0, ZOO_N_BUCKETS);
    sim_run(&sim, SEC);
    ck_assert_uint_eq(sim_count(&sim, 0, 0, ZOO_HEALTH_DOWN), 8);
    ck_assert_int_le(sim_longest_silence(&sim, 0), 250 * MSEC);
    sim_destroy(&sim);
}
END_TEST

/* Round trips that do not vary cause no urgent rounds, however long they
 * are. */
START_TEST(steady_state_costs_what_it_must)
{
    static const long long int delays[] = {
        0, 250 * 1000, 5 * MSEC, 50 * MSEC, 100 * MSEC, 300 * MSEC
    };

    for (size_t i = 0; i < ARRAY_SIZE(delays); i++) {
        unit_seed(i);
        sim_init(&sim, 4, &sim_defaults);
        sim_set_delay(&sim, delays[i], 0);
        /* A candidate that is down delays the report of each full round. */
        sim_set_loss(&sim, 0, 3, 1);
        sim_use(&sim, 0, 1);
        sim_use(&sim, 1, 1);
        sim_run(&sim, 30 * SEC);
        uint64_t before = sim.side[0].n_requests;
        sim_run(&sim, 100 * SEC);
        double rate = (sim.side[0].n_requests - before) / 100.;
        unit_assert(rate < 32 + 10.1, "delay %lld us: %.1f requests/s",
                    delays[i] / 1000, rate);
        unit_assert(sim_count(&sim, 0, 3, ZOO_HEALTH_DOWN) == 8
                    && sim_count(&sim, 0, SIM_ALL_PATHS, ZOO_HEALTH_UP) == 24,
                    "delay %lld us", delays[i] / 1000);
        sim_destroy(&sim);
    }
}
END_TEST

/* Legacy. */

START_TEST(legacy_backs_off_to_a_minute)
{
    struct sim_side *s = &sim.side[0];
    long long int now, gap = 0;
    uint64_t rounds, requests;
    uint32_t probed = 0;

    unit_seed(1);
    sim_init(&sim, 4, &sim_defaults);
    sim.side[1].patched = false;
    sim_use(&sim, 0, ZOO_N_BUCKETS);
    ck_assert_int_le(sim_run_until(&sim, side0_is_legacy, 10 * SEC),
                     1500 * MSEC);
    for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
        ck_assert_uint_eq(s->map[b], 0);
    }
    ck_assert_uint_eq(s->n_publications, 1);
    ck_assert_uint_le(s->n_requests, 32 * 8);

    now = sim.now;
    rounds = s->n_rounds;
    requests = s->n_requests;
    while (sim.now - now < 3600 * SEC) {
        long long int begin = sim.now;
        uint64_t n = s->n_rounds;

        while (s->n_rounds == n && sim.now - begin < 100 * SEC) {
            sim_run(&sim, MSEC);
        }
        probed |= s->peer.probed;
        ck_assert_uint_eq(count_1bits(s->peer.probed), 4);
        ck_assert_int_ge(sim.now - begin, gap);
        ck_assert_int_le(sim.now - begin, 60 * SEC + 2 * MSEC);
        gap = (sim.now - begin) - 2 * MSEC;
    }
    ck_assert_int_ge(gap, 59 * SEC);
    ck_assert_uint_eq(probed, UINT32_MAX);
    ck_assert_uint_le(s->n_rounds - rounds, 60 + 7);
    ck_assert_uint_eq(s->n_requests - requests, (s->n_rounds - rounds) * 4);

    /* Nothing but the first change of the map was published. */
    ck_assert_uint_eq(s->n_publications, 1);
    sim_destroy(&sim);
}
END_TEST

/* A peer that is upgraded while it is legacy is active with its first
 * answer. */
START_TEST(legacy_ends_with_the_first_answer)
{
    for (uint32_t seed = 0; seed < 50; seed++) {
        unit_seed(seed);
        sim_init(&sim, 4, &sim_defaults);
        sim.side[1].patched = false;
        sim_use(&sim, 0, ZOO_N_BUCKETS);
        sim_run(&sim, SEC + random_uint64() % (1000 * SEC));
        sim.side[1].patched = true;
        long long int took = sim_run_until(&sim, side0_is_active, 100 * SEC);
        unit_assert(took <= 61 * SEC, "seed %u: %lld ms", seed, took / MSEC);
        took = sim_run_until(&sim, side0_has_all_up, 100 * SEC);
        unit_assert(took <= 200 * MSEC, "seed %u: %lld ms", seed,
                    took / MSEC);
        sim_run(&sim, SEC);
        sim_check_all_good(&sim, 0, seed);
        unit_assert(!sim_moves(&sim, 0, NULL), "seed %u", seed);
        sim_destroy(&sim);
    }
}
END_TEST

/* A peer that has once answered never becomes legacy. */
START_TEST(not_legacy_once_it_has_answered)
{
    setup_traffic(1);
    sim.side[1].patched = false;
    ck_assert_int_le(sim_run_until(&sim, side0_is_exhausted, 10 * SEC), SEC);
    sim_use(&sim, 0, 0);
    sim_run(&sim, 100 * SEC);
    ck_assert_int_eq(sim.side[0].peer.state, ZOO_PEER_IDLE);
    sim_use(&sim, 0, 1);
    sim_run(&sim, 10 * SEC);
    ck_assert_int_eq(sim.side[0].peer.state, ZOO_PEER_EXHAUSTED);
    sim_destroy(&sim);
}
END_TEST

/* Exhausted. */

START_TEST(exhausted_and_restored)
{
    long long int worst = 0, slowest = 0;

    for (uint32_t seed = 0; seed < 40; seed++) {
        setup_traffic(seed);
        sim_set_loss_both(&sim, SIM_ALL_PATHS, 1);
        long long int took = sim_run_until(&sim, side0_is_exhausted,
                                           10 * SEC);
        slowest = MAX(slowest, took);
        for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
            unit_assert(!sim.side[0].map[b], "seed %u", seed);
        }
        sim_run(&sim, 20 * SEC + random_range(SEC));

        /* One round a second now. */
        uint64_t before = sim.side[0].n_requests;
        sim_run(&sim, 100 * SEC);
        double rate = (sim.side[0].n_requests - before) / 100.;
        unit_assert(rate >= 31 && rate <= 33, "seed %u: %.1f requests/s",
                    seed, rate);

        /* The paths come back; or one, for one seed in two. */
        sim_set_loss_both(&sim, seed % 2 ? 1 : SIM_ALL_PATHS, 0);
        took = sim_run_until(&sim, side0_is_active, 10 * SEC);
        worst = MAX(worst, took);
        unit_assert(took <= 1100 * MSEC, "seed %u: %lld ms", seed,
                    took / MSEC);
        sim_run(&sim, 100 * MSEC);
        for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
            unit_assert(sim.side[0].owner[b] % 4 == 1 || seed % 2 == 0,
                        "seed %u: bucket %u is with %u", seed, b,
                        sim.side[0].owner[b]);
        }
        if (seed % 2 == 0) {
            sim_check_all_good(&sim, 0, seed);
        }
        sim_set_loss_both(&sim, SIM_ALL_PATHS, 0);
        sim_run(&sim, 30 * SEC);
        sim_check_all_good(&sim, 0, seed);
        sim_check_all_good(&sim, 1, seed);
        sim_destroy(&sim);
    }
    printf("all paths silent: exhausted after %lld ms at most, restored "
           "%lld ms after the return at most\n", slowest / MSEC,
           worst / MSEC);
    ck_assert_int_le(slowest, SEC);
}
END_TEST

/* Operators. */

START_TEST(forced_candidates)
{
    struct sim_side *s = &sim.side[0];

    setup_traffic(1);
    sim_force(&sim, 0, 5, ZOO_FORCED_DOWN);
    ck_assert_uint_eq(sim_moves(&sim, 0, NULL), 4);
    for (int b = 5; b < ZOO_N_BUCKETS; b += 32) {
        ck_assert_uint_ne(s->owner[b], 5);
    }
    sim_run(&sim, 100 * SEC);
    ck_assert_uint_eq(sim_moves(&sim, 0, NULL), 4);
    ck_assert_uint_eq(sim_lost(&sim, 0), 0);
    sim_force(&sim, 0, 5, ZOO_FORCED_NO);
    sim_check_all_good(&sim, 0, 1);

    /* Up though probes fail: the operator wants it so. */
    sim_set_loss_both(&sim, 0, 1);
    sim_run(&sim, SEC);
    ck_assert_uint_ne(s->owner[8], 8);
    sim_force(&sim, 0, 8, ZOO_FORCED_UP);
    sim_run(&sim, 10 * SEC);
    ck_assert_uint_eq(s->owner[8], 8);
    sim_force(&sim, 0, 8, ZOO_FORCED_NO);
    sim_run(&sim, SEC);
    ck_assert_uint_ne(s->owner[8], 8);
    sim_destroy(&sim);
}
END_TEST

START_TEST(all_forced_down)
{
    struct sim_side *s = &sim.side[0];

    setup_traffic(1);
    for (int c = 0; c < 32; c++) {
        sim_force(&sim, 0, c, ZOO_FORCED_DOWN);
    }
    ck_assert_int_eq(s->peer.state, ZOO_PEER_EXHAUSTED);
    sim_run(&sim, 5 * SEC);
    ck_assert_int_eq(s->peer.state, ZOO_PEER_EXHAUSTED);
    ck_assert_uint_eq(s->map[0], 0);
    sim_force(&sim, 0, 7, ZOO_FORCED_UP);
    ck_assert_int_eq(s->peer.state, ZOO_PEER_ACTIVE);
    for (int b = 0; b < ZOO_N_BUCKETS; b++) {
        ck_assert_uint_eq(s->owner[b], 7);
    }
    for (int c = 0; c < 32; c++) {
        sim_force(&sim, 0, c, ZOO_FORCED_NO);
    }
    sim_run(&sim, 15 * SEC);
    sim_check_all_good(&sim, 0, 1);
    sim_destroy(&sim);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("peer states");
    TCase *tc;

    tc = unit_case(s, "candidates", 60);
    tcase_add_test(tc, another_number_of_candidates);
    tcase_add_test(tc, the_last_one_is_not_exchanged);
    tcase_add_test(tc, exchanged_while_a_round_is_sent);

    tc = unit_case(s, "schedule", 300);
    tcase_add_test(tc, probes_follow_use);
    tcase_add_test(tc, calm_ends_with_a_loss);
    tcase_add_test(tc, wakes_up_to_a_failure);
    tcase_add_test(tc, steady_state_costs_what_it_must);

    tc = unit_case(s, "legacy and exhausted", 300);
    tcase_add_test(tc, legacy_backs_off_to_a_minute);
    tcase_add_test(tc, legacy_ends_with_the_first_answer);
    tcase_add_test(tc, not_legacy_once_it_has_answered);
    tcase_add_test(tc, exhausted_and_restored);

    tc = unit_case(s, "operators", 300);
    tcase_add_test(tc, forced_candidates);
    tcase_add_test(tc, all_forced_down);
    return unit_run(s);
}
