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

#include "openvswitch/dynamic-string.h"
#include "unit.h"
#include "util.h"

#define SESSIONS 8
#define PATHS 4

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
    return s->side[1].peer.learning;
}

START_TEST(learns_without_probing)
{
    struct ds mode = DS_EMPTY_INITIALIZER;

    sim_run(&sim, 10 * SEC);
    ck_assert(is_learning(&sim));
    check_ports();
    ck_assert_uint_eq(sim.side[1].n_requests, 0);
    ck_assert_uint_gt(sim.side[1].n_reports, 0);
    ck_assert_int_eq(sim.side[1].peer.state, ZOO_PEER_ACTIVE);
    ck_assert_uint_eq(count_1bits(zoo_peer_healthy(&sim.side[1].peer)), 32);
    ck_assert_uint_eq(count_1bits(sim.side[1].peer.learned), SESSIONS);
    zoo_peer_format_mode(&sim.side[1].peer, &sim.side[1].params, &mode);
    ck_assert_str_eq(ds_cstr(&mode),
                     "learned: the peer probes this middlebox, its sessions "
                     "come on 8 candidates, not probed");
    ds_destroy(&mode);

    /* No more copies of a report than requests. */
    ck_assert_uint_le(sim.side[1].n_reports, sim.side[0].n_requests);
}
END_TEST

/* Returns the path that session 'b' goes back on. */
static int
path_back(unsigned int b)
{
    const struct sim_side *s = &sim.side[1];

    return s->owner[sim_way_back(b)] % PATHS;
}

/* A loss on the way back, which the middlebox does not look for, is found by
 * the peer, whose sessions move, and the middlebox follows. */
START_TEST(way_back_is_lost)
{
    int path;

    sim_run(&sim, 10 * SEC);
    path = path_back(0);
    sim_forget_silence(&sim);
    sim_set_loss(&sim, 1, path, 1);
    sim_run(&sim, 2 * SEC);
    for (unsigned int b = 0; b < SESSIONS; b++) {
        unit_assert(path_back(b) != path, "session %u is left behind", b);
    }
    ck_assert_int_lt(sim_longest_silence(&sim, 1), 600 * MSEC);
    ck_assert_uint_eq(sim.side[1].n_requests, 0);
    check_ports();
    ck_assert_uint_eq(sim_count(&sim, 0, path, ZOO_HEALTH_DOWN), 32 / PATHS);
    ck_assert_uint_eq(sim_count(&sim, 1, path, ZOO_HEALTH_DOWN), 32 / PATHS);

    /* It comes back, and so do they. */
    sim_set_loss(&sim, 1, path, 0);
    sim_run(&sim, 30 * SEC);
    ck_assert_uint_eq(count_1bits(zoo_peer_healthy(&sim.side[0].peer)), 32);
    ck_assert_uint_eq(count_1bits(zoo_peer_healthy(&sim.side[1].peer)), 32);
    check_ports();
}
END_TEST

START_TEST(way_there_is_lost)
{
    int path;

    sim_run(&sim, 10 * SEC);
    path = path_back(0);
    sim_set_loss(&sim, 0, path, 1);
    sim_run(&sim, 2 * SEC);
    check_ports();
    ck_assert_uint_eq(sim_count(&sim, 1, path, ZOO_HEALTH_DOWN), 32 / PATHS);
    ck_assert_uint_eq(sim.side[1].n_requests, 0);
    for (unsigned int b = 0; b < SESSIONS; b++) {
        ck_assert_int_ne(path_back(b), path);
    }
}
END_TEST

/* Sessions of which only the middlebox sends are not left on a bad port. */
START_TEST(silent_sessions)
{
    int path;

    sim_run(&sim, 10 * SEC);
    path = path_back(0);
    /* Other sessions keep the peer probing. */
    memset(sim.side[0].in_use, 0, sizeof sim.side[0].in_use);
    sim.side[0].in_use[100] = true;
    sim_set_loss(&sim, 1, path, 1);
    sim_run(&sim, 3 * SEC);
    for (unsigned int b = 0; b < SESSIONS; b++) {
        unit_assert(path_back(b) != path, "session %u is left behind", b);
    }
    ck_assert_uint_eq(sim.side[1].n_requests, 0);
}
END_TEST

/* All is lost on the way back: the peer is exhausted, and so it is here. */
START_TEST(all_lost)
{
    sim_run(&sim, 10 * SEC);
    for (int p = 0; p < PATHS; p++) {
        sim_set_loss(&sim, 1, p, 1);
    }
    sim_run(&sim, 5 * SEC);
    ck_assert_int_eq(sim.side[0].peer.state, ZOO_PEER_EXHAUSTED);
    ck_assert_int_eq(sim.side[1].peer.state, ZOO_PEER_EXHAUSTED);
    ck_assert_uint_eq(sim.side[1].map[0], 0);
    ck_assert_uint_eq(sim.side[1].n_requests, 0);
    for (int p = 0; p < PATHS; p++) {
        sim_set_loss(&sim, 1, p, 0);
    }
    sim_run(&sim, 10 * SEC);
    ck_assert_int_eq(sim.side[1].peer.state, ZOO_PEER_ACTIVE);
    check_ports();
    ck_assert_uint_eq(sim.side[1].n_requests, 0);
}
END_TEST

/* A peer that does not probe (any more), or does not say what it finds, is
 * probed. */
START_TEST(unheard)
{
    sim_run(&sim, 10 * SEC);
    ck_assert(is_learning(&sim));
    sim_use(&sim, 0, 0);
    sim.side[0].params.peer_idle = SEC;
    sim_run(&sim, 19 * SEC);
    ck_assert(is_learning(&sim));
    ck_assert_uint_eq(sim.side[1].n_requests, 0);
    sim_run(&sim, 5 * SEC);
    ck_assert(!is_learning(&sim));
    ck_assert_uint_gt(sim.side[1].n_requests, 100);
    ck_assert_int_eq(sim.side[1].peer.state, ZOO_PEER_ACTIVE);
    ck_assert_uint_eq(count_1bits(zoo_peer_healthy(&sim.side[1].peer)), 32);

    /* And learned about as soon as it is heard again. */
    sim_use(&sim, 0, SESSIONS);
    sim_run(&sim, 2 * SEC);
    ck_assert(is_learning(&sim));
    check_ports();
}
END_TEST

static void
without_verdicts(struct sim *s OVS_UNUSED, struct sim_packet *p)
{
    /* Capabilities and flags, as an older version has them. */
    if (p->from == 0) {
        p->body[5] &= ~ZOO_PROBE_F_ALL;
        p->body[7] &= ~ZOO_PROBE_CAP_VERDICTS;
    }
}

START_TEST(old_peer)
{
    sim.tap = without_verdicts;
    sim_run(&sim, 10 * SEC);
    ck_assert(!is_learning(&sim));
    ck_assert_uint_gt(sim.side[1].n_requests, 100);
    sim_check_all_good(&sim, 0, 1);
    sim_check_all_good(&sim, 1, 1);
}
END_TEST

/* Two sessions in one bucket that come with different ports do not move it to
 * and fro; it follows one of them, and the other one when that has ended. */
START_TEST(shared_bucket)
{
    struct zoo_peer *peer = &sim.side[1].peer;
    struct zoo_sessions *sessions = &sim.side[1].sessions;
    uint16_t seen[ZOO_N_BUCKETS] = { 0 };
    unsigned int b = 90;

    sim_run(&sim, 10 * SEC);
    for (int i = 0; i < 40; i++) {
        seen[b] = peer->table.sport[i % 2];
        zoo_peer_follow(peer, sessions, seen);
        ck_assert_uint_eq(peer->table.owner[b], 0);
        ck_assert(zoo_sessions_decide(sessions, peer, b));
    }
    seen[b] = peer->table.sport[1];
    for (int i = 0; i < ZOO_SESSIONS_KEEP - 1; i++) {
        zoo_peer_follow(peer, sessions, seen);
        ck_assert_uint_eq(peer->table.owner[b], 0);
    }
    for (int i = 0; i < 3; i++) {
        zoo_peer_follow(peer, sessions, seen);
    }
    ck_assert_uint_eq(peer->table.owner[b], 1);

    /* What is no candidate is not followed, nor is one that is bad. */
    seen[b] = 50;
    for (int i = 0; i < 2 * ZOO_SESSIONS_KEEP; i++) {
        zoo_peer_follow(peer, sessions, seen);
    }
    ck_assert_uint_eq(peer->table.owner[b], 1);
    ck_assert(!zoo_sessions_decide(sessions, peer, b));
    sim_force(&sim, 1, 2, ZOO_FORCED_DOWN);
    seen[b] = peer->table.sport[2];
    zoo_peer_follow(peer, sessions, seen);
    ck_assert_uint_eq(peer->table.owner[b], 1);
}
END_TEST

/* The middlebox is told to learn no more. */
START_TEST(turned_off)
{
    sim_run(&sim, 10 * SEC);
    sim.side[1].params.learn = false;
    zoo_peer_reconfigured(&sim.side[1].peer, &sim.side[1].params, sim.now);
    sim_run(&sim, SEC);
    ck_assert(!is_learning(&sim));
    ck_assert_uint_gt(sim.side[1].n_requests, 32);
    sim_run(&sim, 30 * SEC);
    ck_assert_uint_eq(sim_down(&sim, 0), 0);
    ck_assert_uint_eq(sim_down(&sim, 1), 0);
}
END_TEST

/* The peer gets other candidates: so does the middlebox. */
START_TEST(other_candidates)
{
    sim_run(&sim, 10 * SEC);
    sim.side[0].params.candidates = 16;
    sim.side[0].params.port_min = 61000;
    sim.side[0].params.port_max = 62000;
    sim_restart_peer(&sim, 0);
    sim_run(&sim, 10 * SEC);
    ck_assert(is_learning(&sim));
    ck_assert_uint_eq(sim.side[1].peer.table.n, 16);
    check_ports();
    ck_assert_uint_eq(sim.side[1].n_requests, 0);
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
    tcase_add_test(tc, way_back_is_lost);
    tcase_add_test(tc, way_there_is_lost);
    tcase_add_test(tc, silent_sessions);
    tcase_add_test(tc, all_lost);
    tcase_add_test(tc, unheard);
    tcase_add_test(tc, old_peer);
    tcase_add_test(tc, shared_bucket);
    tcase_add_test(tc, turned_off);
    tcase_add_test(tc, other_candidates);
    return unit_run(s);
}
