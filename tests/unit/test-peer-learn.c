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

/* A stateful middlebox that learns about its peers: side 0 has sessions
 * through side 1. */

#include <config.h>
#include "sim.h"

#include <string.h>

#include "ofproto-zoo/zoo-mode.h"
#include "openvswitch/dynamic-string.h"
#include "random.h"
#include "unit.h"
#include "util.h"

#define SESSIONS 8
#define PATHS 4
#define URGENT_COPIES 3

static struct sim sim;

/* The buckets of what the middlebox sends back. */
static void
use_way_back(bool use)
{
    struct sim_side *s = &sim.side[1];

    memset(s->in_use, 0, sizeof s->in_use);
    for (unsigned int b = 0; use && b < SESSIONS; b++) {
        s->in_use[sim_way_back(b)] = true;
    }
}

static void
setup(void)
{
    struct zoo_params params = sim_defaults;

    unit_seed(7);
    sim_init(&sim, PATHS, &params);
    sim.side[1].params.learn = true;
    sim_use(&sim, 0, SESSIONS);
    use_way_back(true);
}

static void
teardown(void)
{
    sim_destroy(&sim);
}

/* Every session goes back from the port that it comes with. */
static void
check_ports(void)
{
    for (unsigned int b = 0; b < SESSIONS; b++) {
        unit_assert(sim.side[0].map[b] == sim.side[1].map[sim_way_back(b)],
                    "session %u comes with %u and goes back from %u", b,
                    sim.side[0].map[b], sim.side[1].map[sim_way_back(b)]);
    }
}

static bool
is_learning(struct sim *s)
{
    return zoo_peer_is_learning(&s->side[1].peer);
}

/* Lets 'duration' pass.  Returns how many probes the middlebox sends
 * meanwhile. */
static uint64_t
probes_in(long long int duration)
{
    uint64_t before = sim.side[1].n_requests;

    sim_run(&sim, duration);
    return sim.side[1].n_requests - before;
}

/* Until the middlebox has learned all that there is to learn. */
static void
learn(void)
{
    sim_run(&sim, 10 * SEC);
    ck_assert(is_learning(&sim));
    check_ports();
}

START_TEST(learns_without_probing)
{
    struct ds mode = DS_EMPTY_INITIALIZER;
    uint64_t n_requests, n_reports;

    learn();
    n_requests = sim.side[0].n_requests;
    n_reports = sim.side[1].n_reports;
    ck_assert_uint_eq(probes_in(60 * SEC), 0);
    check_ports();
    ck_assert_int_eq(sim.side[1].peer.state, ZOO_PEER_ACTIVE);
    ck_assert_uint_eq(count_1bits(zoo_peer_healthy(&sim.side[1].peer)), 32);
    ck_assert_uint_eq(count_1bits(sim.side[1].peer.learner->learned),
                      SESSIONS);
    zoo_mode_format(&sim.side[1].peer, &sim.side[1].params, 0, &mode);
    ck_assert_str_eq(ds_cstr(&mode),
                     "in use: 8 candidates each 100 ms, all each 2000 ms, "
                     "8 of them and 32 in all learned about instead, "
                     "all half as often as configured while all answer");
    ds_destroy(&mode);
    sim_check_all_good(&sim, 0, 1);

    /* No more copies of a report than requests. */
    ck_assert_uint_le(sim.side[1].n_reports - n_reports,
                      sim.side[0].n_requests - n_requests + 32);
}
END_TEST

/* Nobody sends anything to the peer: its probes are answered as others'. */
START_TEST(reflects_only_what_is_needed)
{
    use_way_back(false);
    sim_run(&sim, 10 * SEC);
    ck_assert(!is_learning(&sim));
    ck_assert_uint_le(sim.side[1].n_reports,
                      sim.side[0].n_rounds + 10 * URGENT_COPIES);
    sim_check_all_good(&sim, 0, 1);
}
END_TEST

/* Returns the path that session 'b' goes back on. */
static int
path_back(unsigned int b)
{
    const struct sim_side *s = &sim.side[1];

    return s->owner[sim_way_back(b)] % PATHS;
}

static void
check_left(int path)
{
    for (unsigned int b = 0; b < SESSIONS; b++) {
        unit_assert(path_back(b) != path, "session %u is left behind", b);
    }
}

/* A loss on the way back is found by probes of the middlebox's own, as soon as
 * nothing is learned any more, and does not touch the way there. */
START_TEST(way_back_is_lost)
{
    for (uint32_t seed = 0; seed < 20; seed++) {
        long long int longest;
        int path;

        sim_destroy(&sim);
        setup();
        unit_seed(seed);
        learn();
        sim_run(&sim, random_range(200) * MSEC);
        path = path_back(0);
        sim_forget_silence(&sim);
        sim_set_loss(&sim, 1, path, 1);
        sim_run(&sim, 3 * SEC);
        check_left(path);
        longest = sim_longest_silence(&sim, 1);
        unit_assert(longest <= 300 * MSEC, "seed %u: silent for %lld ms",
                    seed, longest / MSEC);
        ck_assert_uint_eq(sim_count(&sim, 1, path, ZOO_HEALTH_DOWN),
                          32 / PATHS);
        sim_check_undisturbed(&sim, 0, seed);

        /* It comes back, and so do they, after the hold-down time. */
        sim_set_loss(&sim, 1, path, 0);
        sim_run(&sim, 5 * SEC);
        check_left(path);
        sim_run(&sim, 25 * SEC);
        ck_assert_uint_eq(count_1bits(zoo_peer_healthy(&sim.side[1].peer)),
                          32);
        check_ports();
        ck_assert_uint_eq(probes_in(10 * SEC), 0);
    }
}
END_TEST

START_TEST(way_there_is_lost)
{
    int path;

    learn();
    path = path_back(0);
    sim_forget_silence(&sim);
    sim_set_loss(&sim, 0, path, 1);
    sim_run(&sim, 4 * SEC);
    check_ports();
    ck_assert_int_lt(sim_longest_silence(&sim, 0), 300 * MSEC);
    ck_assert_uint_eq(sim_count(&sim, 0, path, ZOO_HEALTH_DOWN), 32 / PATHS);
    /* The way back works, as its own probes say. */
    ck_assert_uint_eq(count_1bits(zoo_peer_healthy(&sim.side[1].peer)), 32);
    ck_assert_uint_eq(sim_down(&sim, 1), 0);
}
END_TEST

/* Sessions of which only the middlebox sends are not left on a bad port. */
START_TEST(silent_sessions)
{
    int path;

    learn();
    path = path_back(0);
    /* Other sessions keep the peer probing. */
    memset(sim.side[0].in_use, 0, sizeof sim.side[0].in_use);
    sim.side[0].in_use[100] = true;
    sim_run(&sim, 3 * SEC);
    ck_assert_uint_gt(probes_in(SEC), 5 * (SESSIONS - 1));
    sim_forget_silence(&sim);
    sim_set_loss(&sim, 1, path, 1);
    sim_run(&sim, 3 * SEC);
    check_left(path);
    ck_assert_int_lt(sim_longest_silence(&sim, 1), 300 * MSEC);
}
END_TEST

/* All is lost on the way back: both notice. */
START_TEST(all_lost)
{
    learn();
    for (int p = 0; p < PATHS; p++) {
        sim_set_loss(&sim, 1, p, 1);
    }
    sim_run(&sim, 5 * SEC);
    ck_assert_int_eq(sim.side[0].peer.state, ZOO_PEER_EXHAUSTED);
    ck_assert_int_eq(sim.side[1].peer.state, ZOO_PEER_EXHAUSTED);
    ck_assert_uint_eq(sim.side[1].map[0], 0);
    for (int p = 0; p < PATHS; p++) {
        sim_set_loss(&sim, 1, p, 0);
    }
    sim_run(&sim, 15 * SEC);
    ck_assert_int_eq(sim.side[1].peer.state, ZOO_PEER_ACTIVE);
    check_ports();
    ck_assert_uint_eq(probes_in(10 * SEC), 0);
}
END_TEST

/* Either side is held up, or both: nothing fails because of that. */
START_TEST(held_up)
{
    learn();
    for (int i = 0; i < 60; i++) {
        sim_stall(&sim, i % 2, (50 + 13 * (i % 17)) * MSEC);
        sim_run(&sim, (300 + 37 * (i % 11)) * MSEC);
    }
    for (int i = 0; i < 10; i++) {
        sim_stall(&sim, 0, 150 * MSEC);
        sim_stall(&sim, 1, 160 * MSEC);
        sim_run(&sim, SEC);
    }
    sim_check_undisturbed(&sim, 0, 0);
    ck_assert_uint_eq(sim_down(&sim, 1), 0);
    check_ports();
}
END_TEST

/* The peer has fallen asleep while the middlebox sends: it probes at once what
 * it uses, and finds a loss as fast as others do. */
START_TEST(asleep)
{
    int path;

    learn();
    sim_use(&sim, 0, 0);
    sim.side[0].params.peer_idle = SEC;
    sim_run(&sim, 2 * SEC);
    ck_assert_int_eq(sim.side[0].peer.state, ZOO_PEER_IDLE);
    ck_assert_uint_gt(probes_in(SEC), 9 * SESSIONS);
    path = path_back(0);
    sim_forget_silence(&sim);
    sim_set_loss(&sim, 1, path, 1);
    sim_run(&sim, SEC);
    check_left(path);
    ck_assert_int_lt(sim_longest_silence(&sim, 1), 300 * MSEC);
    sim_set_loss(&sim, 1, path, 0);

    /* It wakes up, and is learned about. */
    sim_use(&sim, 0, SESSIONS);
    sim_run(&sim, 30 * SEC);
    check_ports();
    ck_assert_uint_eq(probes_in(10 * SEC), 0);
}
END_TEST

/* The loss is there when the middlebox's peer wakes up. */
START_TEST(wakes_up)
{
    use_way_back(false);
    sim_run(&sim, 5 * SEC);
    sim_set_loss(&sim, 1, 1, 1);
    use_way_back(true);
    sim_forget_silence(&sim);
    sim_run(&sim, 5 * SEC);
    check_left(1);
    ck_assert_int_lt(sim_longest_silence(&sim, 1), 800 * MSEC);
}
END_TEST

/* Two that learn probe each other, and keep their own candidates. */
START_TEST(two_learners)
{
    uint16_t sport[2];

    sim.side[0].params.learn = true;
    for (int i = 0; i < 2; i++) {
        sport[i] = sim.side[i].peer.table.sport[0];
    }
    sim_run(&sim, 10 * SEC);
    for (int i = 0; i < 2; i++) {
        ck_assert(!zoo_peer_is_learning(&sim.side[i].peer));
        ck_assert_uint_eq(sim.side[i].peer.table.sport[0], sport[i]);
        ck_assert_uint_gt(sim.side[i].n_requests, 9 * 10 * SESSIONS);
        sim_check_undisturbed(&sim, i, 0);
    }
    sim_set_loss_both(&sim, 0, 1);
    sim_forget_silence(&sim);
    sim_run(&sim, 2 * SEC);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_lt(sim_longest_silence(&sim, i), 300 * MSEC);
    }
}
END_TEST

/* Of an older peer nothing is learned. */
static void
without_echo(struct sim *s OVS_UNUSED, struct sim_packet *p)
{
    if (p->from == 0) {
        p->body[7] &= ~ZOO_PROBE_CAP_ECHO;
    }
}

START_TEST(old_peer)
{
    sim.tap = without_echo;
    sim_run(&sim, 10 * SEC);
    ck_assert(!is_learning(&sim));
    ck_assert_uint_gt(sim.side[1].n_requests, 100);
    sim_check_all_good(&sim, 0, 1);
    sim_check_all_good(&sim, 1, 1);
}
END_TEST

/* What has been recorded earlier, from a session that the responder has
 * forgotten, teaches nothing: it repeats no time of now. */
static struct sim_packet recorded;

static void
record(struct sim *s OVS_UNUSED, struct sim_packet *p)
{
    if (p->from == 0 && p->body[1] == ZOO_PROBE_REQUEST
        && p->body[9] == 32) {
        recorded = *p;
    }
}

START_TEST(recorded_requests)
{
    uint64_t n_heard;

    sim.tap = record;
    learn();
    sim.tap = NULL;
    ck_assert_uint_ne(recorded.len, 0);
    sim.side[0].active = false;
    sim_use(&sim, 0, 0);
    sim.side[0].patched = false;
    zoo_peer_use(&sim.side[0].peer, NULL, &sim.side[0].params,
                 sim.now + 3600 * SEC);
    sim_run(&sim, 10 * SEC);
    sim_restart_responder(&sim, 1);
    n_heard = sim.side[1].n_heard;
    sim_replay(&sim, &recorded);
    sim_run(&sim, SEC);
    ck_assert_uint_eq(sim.side[1].n_heard, n_heard);
    ck_assert_uint_eq(sim.side[1].errors[ZOO_PROBE_REPLAYED], 0);
    ck_assert_uint_eq(sim.side[1].errors[ZOO_PROBE_STALE_SESSION], 0);
}
END_TEST

/* Two sessions in one bucket that come with different ports do not move it to
 * and fro; it follows one of them, and the other one when that has ended. */
START_TEST(shared_bucket)
{
    struct zoo_peer *peer = &sim.side[1].peer;
    const struct zoo_params *params = &sim.side[1].params;
    uint16_t seen[ZOO_N_BUCKETS] = { 0 };
    unsigned int b = 90;

    learn();
    for (int i = 0; i < 40; i++) {
        seen[b] = peer->table.sport[i % 2];
        zoo_peer_follow(peer, params, seen, sim.now);
    }
    ck_assert_uint_lt(peer->table.owner[b], 2);
    seen[b] = peer->table.sport[0];
    for (int i = 0; i < ZOO_SESSIONS_KEEP + 2; i++) {
        zoo_peer_follow(peer, params, seen, sim.now);
    }
    ck_assert(zoo_peer_session_decides(peer, b));
    for (int i = 0; i < 40; i++) {
        seen[b] = peer->table.sport[i % 2];
        zoo_peer_follow(peer, params, seen, sim.now);
        ck_assert_uint_eq(peer->table.owner[b], 0);
        ck_assert(zoo_peer_session_decides(peer, b));
    }
    seen[b] = peer->table.sport[1];
    for (int i = 0; i < ZOO_SESSIONS_KEEP - 2; i++) {
        zoo_peer_follow(peer, params, seen, sim.now);
        ck_assert_uint_eq(peer->table.owner[b], 0);
    }
    for (int i = 0; i < 4; i++) {
        zoo_peer_follow(peer, params, seen, sim.now);
    }
    ck_assert_uint_eq(peer->table.owner[b], 1);
    ck_assert_uint_eq(zoo_peer_home(peer, b), 1);

    /* What is no candidate is not followed, nor is one that is bad. */
    seen[b] = 50;
    for (int i = 0; i < 2 * ZOO_SESSIONS_KEEP; i++) {
        zoo_peer_follow(peer, params, seen, sim.now);
    }
    ck_assert_uint_eq(peer->table.owner[b], 1);
    ck_assert(!zoo_peer_session_decides(peer, b));
    sim_force(&sim, 1, 2, ZOO_FORCED_DOWN);
    seen[b] = peer->table.sport[2];
    zoo_peer_follow(peer, params, seen, sim.now);
    ck_assert_uint_eq(peer->table.owner[b], 1);
}
END_TEST

/* The middlebox is told to learn no more. */
START_TEST(turned_off)
{
    learn();
    sim.side[1].params.learn = false;
    zoo_peer_reconfigured(&sim.side[1].peer, &sim.side[1].params, sim.now);
    ck_assert_uint_gt(probes_in(SEC), 32);
    ck_assert(!is_learning(&sim));
    sim_run(&sim, 30 * SEC);
    ck_assert_uint_eq(sim_down(&sim, 0), 0);
    ck_assert_uint_eq(sim_down(&sim, 1), 0);
}
END_TEST

/* The peer gets other candidates: so does the middlebox. */
START_TEST(other_candidates)
{
    learn();
    sim.side[0].params.candidates = 16;
    sim.side[0].params.port_min = 61000;
    sim.side[0].params.port_max = 62000;
    sim_restart_peer(&sim, 0);
    sim_run(&sim, 20 * SEC);
    ck_assert(is_learning(&sim));
    ck_assert_uint_eq(sim.side[1].peer.table.n, 16);
    check_ports();
    ck_assert_uint_eq(probes_in(10 * SEC), 0);
}
END_TEST

/* The peer exchanges one candidate: nothing is forgotten of the others. */
START_TEST(one_other_candidate)
{
    struct zoo_peer *peer = &sim.side[1].peer;
    uint32_t unused;
    uint16_t sport;
    int path;

    learn();
    path = path_back(0);
    sim_set_loss(&sim, 1, path, 1);
    sim_run(&sim, 5 * SEC);
    ck_assert_uint_eq(sim_count(&sim, 1, path, ZOO_HEALTH_DOWN), 32 / PATHS);
    unused = zoo_peer_exchangeable(&sim.side[0].peer);
    ck_assert_uint_ne(unused, 0);
    sport = 65000;
    sim_forget_silence(&sim);
    zoo_peer_exchange(&sim.side[0].peer, raw_ctz(unused), sport, sim.now);
    for (int ms = 0; ms < 3000; ms++) {
        unsigned int n_down = 0;

        sim_run(&sim, MSEC);
        for (unsigned int i = 0; i < peer->table.n; i++) {
            n_down += peer->candidates[i].health.state == ZOO_HEALTH_DOWN;
            ck_assert(peer->candidates[i].health.state != ZOO_HEALTH_UNKNOWN
                      || peer->table.sport[i] == sport);
        }
        ck_assert_uint_ge(n_down, 32 / PATHS - 1);
        check_left(path);
    }
    ck_assert_int_ge(zoo_path_table_find(&peer->table, sport), 0);
    ck_assert_int_eq(sim_longest_silence(&sim, 1), 0);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("learning middlebox");
    TCase *tc;

    tc = unit_case(s, "learning middlebox", 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, learns_without_probing);
    tcase_add_test(tc, reflects_only_what_is_needed);
    tcase_add_test(tc, way_back_is_lost);
    tcase_add_test(tc, way_there_is_lost);
    tcase_add_test(tc, silent_sessions);
    tcase_add_test(tc, all_lost);
    tcase_add_test(tc, held_up);
    tcase_add_test(tc, asleep);
    tcase_add_test(tc, wakes_up);
    tcase_add_test(tc, two_learners);
    tcase_add_test(tc, old_peer);
    tcase_add_test(tc, recorded_requests);
    tcase_add_test(tc, shared_bucket);
    tcase_add_test(tc, turned_off);
    tcase_add_test(tc, other_candidates);
    tcase_add_test(tc, one_other_candidate);
    return unit_run(s);
}
