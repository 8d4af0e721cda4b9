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


/* Peers: what is not a failure, in the simulator of sim.h. */

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
side0_is_unsupported(struct sim *s)
{
    return s->side[0].peer.state == ZOO_PEER_UNSUPPORTED;
}

/* Not failures. */

START_TEST(what_cannot_be_sent_is_not_lost)
{
    setup_traffic(1);
    sim.side[0].can_send = false;
    uint64_t sent = sim.side[0].n_requests;
    sim_run(&sim, 100 * SEC);
    ck_assert_uint_eq(sim_lost(&sim, 0), 0);
    ck_assert_uint_eq(sim.side[0].n_requests, sent);
    sim_check_undisturbed(&sim, 0, 1);

    sim.side[0].can_send = true;
    sim_run(&sim, 10 * SEC);
    ck_assert_uint_eq(sim_lost(&sim, 0), 0);
    sim_check_undisturbed(&sim, 0, 1);
    sim_destroy(&sim);
}
END_TEST

/* Rounds that were sent just before the local link went down, or before it was
 * known to be, are lost through no fault of a path. */
START_TEST(a_link_that_goes_down_blames_nobody)
{
    for (uint32_t seed = 0; seed < 40; seed++) {
        setup_traffic(seed);
        for (int i = 0; i < 10; i++) {
            sim_set_loss_both(&sim, SIM_ALL_PATHS, 1);
            sim_run(&sim, random_range(10 * MSEC));
            sim.side[0].can_send = false;
            sim.side[0].link_down = true;
            sim_run(&sim, unit_range(100, 3000) * MSEC);
            sim_set_loss_both(&sim, SIM_ALL_PATHS, 0);
            sim.side[0].can_send = true;
            sim_run(&sim, 5 * SEC + random_range(SEC));
        }
        sim_check_undisturbed(&sim, 0, seed);
        unit_assert(!sim_lost(&sim, 0), "seed %u: %u lost", seed,
                    sim_lost(&sim, 0));

        /* Failures are noticed as ever. */
        sim_forget_silence(&sim);
        sim_set_loss_both(&sim, 2, 1);
        sim_run(&sim, SEC);
        unit_assert(sim_longest_silence(&sim, 0) <= 200 * MSEC, "seed %u",
                    seed);
        sim_destroy(&sim);
    }
}
END_TEST

START_TEST(a_late_prober_blames_nobody)
{
    for (uint32_t seed = 0; seed < 40; seed++) {
        setup_traffic(seed);
        for (int i = 0; i < 10; i++) {
            sim_stall(&sim, 0, unit_range(1, 3000) * MSEC);
            sim_run(&sim, 5 * SEC + random_range(SEC));
        }
        sim_check_undisturbed(&sim, 0, seed);
        unit_assert(!sim_lost(&sim, 0), "seed %u: %u lost", seed, sim_lost(&sim, 0));
        sim_destroy(&sim);
    }
}
END_TEST

/* Nor does one blame others for a responder that stumbles. */
START_TEST(a_late_responder_is_awaited)
{
    for (uint32_t seed = 0; seed < 40; seed++) {
        setup_traffic(seed);
        for (int i = 0; i < 10; i++) {
            sim_stall(&sim, 1, unit_range(1, 300) * MSEC);
            sim_run(&sim, 5 * SEC + random_range(SEC));
        }
        sim_check_undisturbed(&sim, 0, seed);
        unit_assert(!sim_lost(&sim, 0), "seed %u: %u lost", seed, sim_lost(&sim, 0));
        sim_destroy(&sim);
    }
}
END_TEST

START_TEST(jitter_and_reordering)
{
    for (uint32_t seed = 0; seed < 15; seed++) {
        unit_seed(seed);
        sim_init(&sim, 4, &sim_defaults);
        sim_set_delay(&sim, unit_range(0, 20) * MSEC,
                      unit_range(1, 15) * MSEC);
        sim_use(&sim, 0, ZOO_N_BUCKETS);
        sim_use(&sim, 1, ZOO_N_BUCKETS);
        sim_run(&sim, 100 * SEC);
        sim_check_undisturbed(&sim, 0, seed);
        sim_check_undisturbed(&sim, 1, seed);
        unit_assert(!sim_lost(&sim, 0), "seed %u: %u lost", seed, sim_lost(&sim, 0));
        sim_destroy(&sim);
    }
}
END_TEST

/* All paths become much longer at once, as with a new route. */
START_TEST(longer_round_trip)
{
    for (uint32_t seed = 0; seed < 20; seed++) {
        setup_traffic(seed);
        long long int delay = unit_range(50, 450) * MSEC;
        sim_set_delay(&sim, delay, MSEC);
        sim_run(&sim, 30 * SEC);
        sim_check_all_good(&sim, 0, seed);
        if (delay < 150 * MSEC) {
            sim_check_undisturbed(&sim, 0, seed);
        }
        unsigned int lost = sim_lost(&sim, 0);
        sim_run(&sim, 100 * SEC);
        unit_assert(sim_lost(&sim, 0) == lost, "seed %u: %u lost", seed,
                    sim_lost(&sim, 0) - lost);
        sim_destroy(&sim);
    }
}
END_TEST

/* Restarts. */

START_TEST(peer_restarts)
{
    for (uint32_t seed = 0; seed < 20; seed++) {
        uint16_t sport[ZOO_MAX_CANDIDATES];

        setup_traffic(seed);
        memcpy(sport, sim.side[0].peer.table.sport, sizeof sport);
        for (int i = 0; i < 6; i++) {
            sim_restart_peer(&sim, 0);
            ck_assert_mem_eq(sport, sim.side[0].peer.table.sport,
                             sizeof sport);
            long long int took = sim_run_until(&sim, side0_has_all_up,
                                               10 * SEC);
            unit_assert(took <= 150 * MSEC, "seed %u: %lld ms", seed,
                        took / MSEC);
            /* The new session has been adopted by its third round. */
            sim_run(&sim, 500 * MSEC);
            uint64_t before = sim.side[0].n_requests;
            sim_run(&sim, 10 * SEC);
            /* A few rounds come early, until they have their own times. */
            unit_assert(sim.side[0].n_requests - before <= 3600,
                        "seed %u: %"PRIu64" requests", seed,
                        sim.side[0].n_requests - before);
            sim_check_undisturbed(&sim, 0, seed);
            sim_check_undisturbed(&sim, 1, seed);
        }
        unit_assert(!sim_lost(&sim, 0) && !sim_lost(&sim, 1), "seed %u", seed);

        /* Failures are noticed as ever. */
        sim_forget_silence(&sim);
        sim_set_loss_both(&sim, 2, 1);
        sim_run(&sim, SEC);
        unit_assert(sim_longest_silence(&sim, 0) <= 200 * MSEC, "seed %u",
                    seed);
        sim_destroy(&sim);
    }
}
END_TEST

START_TEST(responder_restarts)
{
    for (uint32_t seed = 0; seed < 20; seed++) {
        setup_traffic(seed);
        for (int i = 0; i < 10; i++) {
            sim_restart_responder(&sim, 1);
            sim_run(&sim, 5 * SEC + random_range(SEC));
            sim_check_undisturbed(&sim, 0, seed);
        }
        unit_assert(!sim_lost(&sim, 0), "seed %u: %u lost", seed, sim_lost(&sim, 0));

        /* Even while reports are late and rounds are under way. */
        sim_set_delay(&sim, 40 * MSEC, 10 * MSEC);
        sim_run(&sim, 10 * SEC);
        for (int i = 0; i < 10; i++) {
            sim_restart_responder(&sim, 1);
            sim_run(&sim, 5 * SEC + random_range(SEC));
            sim_check_undisturbed(&sim, 0, seed);
        }
        sim_destroy(&sim);
    }
}
END_TEST

/* Two machines behind one address, both of which have to adopt the new
 * session. */
START_TEST(peer_of_two_instances_restarts)
{
    for (uint32_t seed = 0; seed < 15; seed++) {
        unit_seed(seed);
        sim_init(&sim, 4, &sim_defaults);
        sim.side[1].n_instances = 2;
        sim_use(&sim, 0, ZOO_N_BUCKETS);
        sim_run(&sim, 3 * SEC);
        for (int i = 0; i < 3; i++) {
            sim_restart_peer(&sim, 0);
            sim_run(&sim, SEC);
            uint64_t before = sim.side[0].n_requests;
            sim_run(&sim, 10 * SEC);
            /* A few rounds come early, until they have their own times. */
            unit_assert(sim.side[0].n_requests - before <= 3600,
                        "seed %u: %"PRIu64" requests", seed,
                        sim.side[0].n_requests - before);
            sim_check_undisturbed(&sim, 0, seed);
        }
        sim_forget_silence(&sim);
        sim_set_loss_both(&sim, 2, 1);
        sim_run(&sim, SEC);
        unit_assert(sim_longest_silence(&sim, 0) <= 200 * MSEC, "seed %u: "
                    "%lld ms", seed, sim_longest_silence(&sim, 0) / MSEC);

        /* One of the machines dies. */
        sim_forget_silence(&sim);
        sim_set_loss_both(&sim, 0, 1);
        uint64_t before = sim.side[0].n_requests;
        sim_run(&sim, 10 * SEC);
        unit_assert(sim_longest_silence(&sim, 0) <= 1000 * MSEC, "seed %u: "
                    "%lld ms", seed, sim_longest_silence(&sim, 0) / MSEC);
        unit_assert(sim.side[0].n_requests - before <= 5000,
                    "seed %u: %"PRIu64" requests", seed,
                    sim.side[0].n_requests - before);
        sim_destroy(&sim);
    }
}
END_TEST

/* Rewritten ports. */

/* To ports that no candidate has: by chance, one might seem to work. */
static uint16_t
rewrite_all(int from OVS_UNUSED, uint16_t sport OVS_UNUSED)
{
    return unit_range(1024, sim_defaults.port_min - 1);
}

START_TEST(rewritten_ports_are_unsupported)
{
    for (uint32_t seed = 0; seed < 15; seed++) {
        unit_seed(seed);
        sim_init(&sim, 4, &sim_defaults);
        sim.rewrite = rewrite_all;
        sim_use(&sim, 0, ZOO_N_BUCKETS);
        sim_use(&sim, 1, ZOO_N_BUCKETS);
        long long int took = sim_run_until(&sim, side0_is_unsupported,
                                           10 * SEC);
        unit_assert(took <= SEC, "seed %u: %lld ms", seed, took / MSEC);
        sim_run(&sim, 1000 * SEC);
        unit_assert(side0_is_unsupported(&sim), "seed %u", seed);
        for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
            unit_assert(!sim.side[0].map[b], "seed %u", seed);
        }
        uint64_t before = sim.side[0].n_requests;
        sim_run(&sim, 600 * SEC);
        unit_assert(sim.side[0].n_requests - before <= 4 * 11, "seed %u",
                    seed);

        /* The translator goes away. */
        sim.rewrite = NULL;
        took = sim_run_until(&sim, side0_is_active, 100 * SEC);
        unit_assert(took <= 61 * SEC, "seed %u: %lld ms", seed, took / MSEC);
        sim_run(&sim, 30 * SEC);
        sim_check_all_good(&sim, 0, seed);
        sim_destroy(&sim);
    }
}
END_TEST

static struct sim_packet last_report;

static void
keep_report(struct sim *s OVS_UNUSED, struct sim_packet *p)
{
    if (p->from == 1 && p->body[1] == ZOO_PROBE_REPORT) {
        last_report = *p;
    }
}

/* Several copies of one report are one report. */
START_TEST(one_rewritten_round_is_not_believed)
{
    setup_traffic(1);
    sim.side[1].active = false;
    sim_run(&sim, 10 * SEC);
    uint64_t n_rounds = sim.side[0].n_rounds;
    uint64_t n_reports = sim.side[1].n_reports;
    sim.rewrite = rewrite_all;
    while (sim.side[0].n_rounds == n_rounds) {
        sim_run(&sim, 100 * 1000);
    }
    sim.rewrite = NULL;
    sim.tap = keep_report;
    while (sim.side[1].n_reports == n_reports) {
        sim_run(&sim, 100 * 1000);
    }
    sim.tap = NULL;
    ck_assert(last_report.body[5] & ZOO_PROBE_F_REWRITTEN);
    for (int i = 0; i < 10; i++) {
        sim_replay(&sim, &last_report);
    }
    sim_run(&sim, MSEC);
    ck_assert_uint_eq(sim.side[0].peer.n_rewritten, 1);
    sim_run(&sim, SEC);
    sim_check_undisturbed(&sim, 0, 1);
    ck_assert_uint_eq(sim.side[0].peer.n_rewritten, 0);
    sim_destroy(&sim);
}
END_TEST

/* Wire. */

/* What is sent again later changes nothing, neither requests nor reports. */
START_TEST(replayed_packets)
{
    static struct sim_packet recorded[500];

    setup_traffic(1);
    sim.tap = keep_report;
    for (int i = 0; i < 500; i++) {
        sim_run(&sim, 7 * MSEC);
        recorded[i] = last_report;
    }
    sim.tap = NULL;
    for (int i = 0; i < 20000; i++) {
        sim_replay(&sim, &recorded[random_range(500)]);
        sim_run(&sim, MSEC);
    }
    sim_check_undisturbed(&sim, 0, 1);
    ck_assert_uint_eq(sim_lost(&sim, 0), 0);
    ck_assert_uint_gt(sim.side[0].errors[ZOO_PROBE_REPLAYED], 15000);

    /* Nor does it hide a failure. */
    sim_forget_silence(&sim);
    sim_set_loss_both(&sim, 0, 1);
    for (int i = 0; i < 1000; i++) {
        sim_replay(&sim, &recorded[random_range(500)]);
        sim_run(&sim, MSEC);
    }
    ck_assert_int_le(sim_longest_silence(&sim, 0), 200 * MSEC);
    sim_destroy(&sim);
}
END_TEST

START_TEST(reports_for_nobody)
{
    struct sim_side *s = &sim.side[0];
    struct zoo_probe report;

    setup_traffic(1);
    memset(&report, 0, sizeof report);
    report.type = ZOO_PROBE_REPORT;
    report.session = s->peer.session;
    report.round = s->peer.round;
    report.n_entries = 1;
    report.entries[0].sport = s->peer.table.sport[0];

    report.session ^= 1;
    ck_assert_int_eq(zoo_peer_report(&s->peer, &s->params, &report, 0, sim.now),
                     ZOO_PROBE_UNEXPECTED);
    report.session ^= 1;
    report.round++;
    ck_assert_int_eq(zoo_peer_report(&s->peer, &s->params, &report, 0, sim.now),
                     ZOO_PROBE_UNEXPECTED);
    report.round--;
    report.entries[0].last = report.round + 1;
    ck_assert_int_eq(zoo_peer_report(&s->peer, &s->params, &report, 0, sim.now),
                     ZOO_PROBE_UNEXPECTED);
    report.entries[0].last = report.round;
    ck_assert_int_eq(zoo_peer_report(&s->peer, &s->params, &report, 0, sim.now),
                     ZOO_PROBE_OK);

    /* An idle peer asks for nothing. */
    sim_use(&sim, 0, 0);
    sim_run(&sim, 100 * SEC);
    ck_assert_int_eq(s->peer.state, ZOO_PEER_IDLE);
    ck_assert_uint_eq(zoo_peer_in_use(&s->peer), 0);
    report.round = s->peer.round;
    ck_assert_int_eq(zoo_peer_report(&s->peer, &s->params, &report, 0, sim.now),
                     ZOO_PROBE_UNEXPECTED);
    sim_destroy(&sim);
}
END_TEST

/* The number of rounds has an end: a new session begins before it. */
START_TEST(rounds_run_out)
{
    struct sim_side *s = &sim.side[0];

    setup_traffic(1);
    ck_assert(!zoo_peer_needs_session(&s->peer));
    s->peer.round = UINT32_MAX / 2;
    while (!zoo_peer_needs_session(&s->peer)) {
        ck_assert_uint_lt(s->peer.round, UINT32_MAX - 1000);
        s->peer.round += 1000;
    }
    s->peer.round -= 20;
    uint64_t session = s->peer.session;
    sim_run(&sim, 10 * SEC);
    ck_assert_uint_ne(s->peer.session, session);
    ck_assert_uint_lt(s->peer.round, 200);
    sim_check_undisturbed(&sim, 0, 1);
    ck_assert_uint_eq(sim_lost(&sim, 0), 0);

    /* It is like any other. */
    sim_set_loss_both(&sim, 0, 1);
    sim_run(&sim, SEC);
    ck_assert_int_le(sim_longest_silence(&sim, 0), 200 * MSEC);
    sim_destroy(&sim);
}
END_TEST

/* Everything at once. */

static void
disturb(void)
{
    int side = random_range(2);

    switch (random_range(12)) {
    case 0:
    case 1:
        sim_set_loss(&sim, side, random_range(4), unit_chance(.5));
        break;
    case 2:
        sim_set_loss_both(&sim, random_range(4), unit_chance(.5));
        break;
    case 3:
        sim_set_loss_both(&sim, SIM_ALL_PATHS,
                          unit_chance(.8) ? 0 : unit_range(1, 100) / 100.);
        break;
    case 4:
        sim_set_delay(&sim, random_range(100) * MSEC / 10,
                      random_range(50) * MSEC / 10);
        break;
    case 5:
        sim_stall(&sim, side, random_range(1000) * MSEC);
        break;
    case 6:
        sim_restart_peer(&sim, side);
        break;
    case 7:
        sim_restart_responder(&sim, side);
        break;
    case 8:
        sim_use(&sim, side, random_range(unit_chance(.2) ? ZOO_N_BUCKETS + 1
                                         : 8));
        break;
    case 9:
        sim.side[side].can_send = !sim.side[side].can_send;
        break;
    case 10:
        sim_force(&sim, side, random_range(sim.side[side].peer.table.n),
                  random_range(3));
        break;
    case 11:
        sim.rewrite = unit_chance(.2) ? rewrite_all : NULL;
        break;
    }
}

START_TEST(chaos)
{
    for (uint32_t seed = 0; seed < 40; seed++) {
        struct zoo_params params = sim_defaults;

        unit_seed(seed);
        params.candidates = unit_chance(.5) ? 32 : unit_range(2, 32);
        params.probe_interval = unit_range(1, 10) * 20 * MSEC;
        params.fail_threshold = unit_chance(.5) ? 2 : unit_range(1, 10);
        params.peer_idle = unit_range(1, 60) * SEC;
        sim_init(&sim, 4, &params);
        sim.side[1].n_instances = unit_chance(.7) ? 1 : unit_range(2, 4);
        for (int i = 0; i < 100; i++) {
            disturb();
            sim_run(&sim, random_range(unit_chance(.2) ? 5000 : 300) * MSEC);
        }

        /* When all is well again everything is as in the beginning, after the
         * longest hold-down. */
        sim_set_loss_both(&sim, SIM_ALL_PATHS, 0);
        sim_set_delay(&sim, MSEC, 0);
        sim.rewrite = NULL;
        for (int side = 0; side < 2; side++) {
            sim.side[side].can_send = true;
            for (unsigned int c = 0; c < params.candidates; c++) {
                sim_force(&sim, side, c, ZOO_FORCED_NO);
            }
            sim_use(&sim, side, 0);
        }
        sim_run(&sim, 10 * SEC);
        for (long long int end = sim.now + 600 * SEC; sim.now < end; ) {
            /* A flow of few packets, for the buckets that do not move while
             * they are busy. */
            sim_use(&sim, 0, 1);
            sim_use(&sim, 1, 1);
            sim_run(&sim, SEC);
            sim_use(&sim, 0, 0);
            sim_use(&sim, 1, 0);
            sim_run(&sim, params.peer_idle + 2 * SEC);
        }
        sim_use(&sim, 0, 1);
        sim_use(&sim, 1, 1);
        sim_run(&sim, SEC);
        sim_check_all_good(&sim, 0, seed);
        sim_check_all_good(&sim, 1, seed);
        sim_destroy(&sim);
    }
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("peer faults");
    TCase *tc;

    tc = unit_case(s, "no failures", 300);
    tcase_add_test(tc, what_cannot_be_sent_is_not_lost);
    tcase_add_test(tc, a_link_that_goes_down_blames_nobody);
    tcase_add_test(tc, a_late_prober_blames_nobody);
    tcase_add_test(tc, a_late_responder_is_awaited);
    tcase_add_test(tc, jitter_and_reordering);
    tcase_add_test(tc, longer_round_trip);

    tc = unit_case(s, "restarts", 300);
    tcase_add_test(tc, peer_restarts);
    tcase_add_test(tc, responder_restarts);
    tcase_add_test(tc, peer_of_two_instances_restarts);

    tc = unit_case(s, "rewriting", 300);
    tcase_add_test(tc, rewritten_ports_are_unsupported);
    tcase_add_test(tc, one_rewritten_round_is_not_believed);

    tc = unit_case(s, "wire", 300);
    tcase_add_test(tc, replayed_packets);
    tcase_add_test(tc, reports_for_nobody);
    tcase_add_test(tc, rounds_run_out);

    tc = unit_case(s, "chaos", 300);
    tcase_add_test(tc, chaos);
    return unit_run(s);
}
