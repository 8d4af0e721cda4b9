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


/* Peers: failover, in the simulator of sim.h. */

#include <config.h>
#include "unit.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"
#include "sim.h"
#include "util.h"

static struct sim sim;

static void
setup_with(unsigned int n_paths, const struct zoo_params *params,
           uint32_t seed)
{
    unit_seed(seed);
    sim_init(&sim, n_paths, params);
}

/* Sets up a network of four paths in which 'n_buckets' of each side have been
 * in use for long enough, at a random moment. */
static void
setup_traffic(const struct zoo_params *params, unsigned int n_buckets,
              uint32_t seed)
{
    setup_with(4, params, seed);
    sim_use(&sim, 0, n_buckets);
    sim_use(&sim, 1, n_buckets);
    sim_run(&sim, 3 * SEC + random_range(SEC));
    ck_assert_uint_eq(sim_count(&sim, 0, SIM_ALL_PATHS, ZOO_HEALTH_UP), 32);
    ck_assert_uint_eq(sim_count(&sim, 1, SIM_ALL_PATHS, ZOO_HEALTH_UP), 32);
    ck_assert_uint_eq(sim_moves(&sim, 0, NULL), 0);
}

static int
compare_times(const void *a_, const void *b_)
{
    const long long int *a = a_, *b = b_;

    return *a < *b ? -1 : *a > *b;
}

/* Silences path 0 at 'n' random moments.  Checks that 95 % of the outages of
 * the buckets that it carried are at most 'p95' and all at most 'max'. */
static void
check_outages(const struct zoo_params *params, unsigned int n_buckets, int n,
              long long int delay, long long int p95, long long int max,
              const char *what)
{
    long long int *outages = xmalloc(n * sizeof *outages);

    for (int i = 0; i < n; i++) {
        setup_traffic(params, n_buckets, i);
        if (delay) {
            sim_set_delay(&sim, delay, 0);
            sim_run(&sim, 20 * SEC);
        }
        sim_set_loss_both(&sim, 0, 1);
        sim_run(&sim, 3 * SEC);
        outages[i] = MAX(sim_longest_silence(&sim, 0),
                         sim_longest_silence(&sim, 1));
        for (int side = 0; side < 2; side++) {
            unsigned int moves, most;

            /* Every bucket in use moved once, and none that had no need. */
            moves = sim_moves(&sim, side, &most);
            unit_assert(most == 1 && moves == 32, "seed %d: %u moves", i,
                        moves);
            unit_assert(sim_count(&sim, side, 0, ZOO_HEALTH_DOWN) == 8
                        && sim_count(&sim, side, SIM_ALL_PATHS,
                                     ZOO_HEALTH_UP) == 24, "seed %d", i);
        }
        sim_destroy(&sim);
    }
    qsort(outages, n, sizeof *outages, compare_times);
    printf("%s: outage median %lld ms, p95 %lld ms, max %lld ms\n", what,
           outages[n / 2] / MSEC, outages[n * 95 / 100] / MSEC,
           outages[n - 1] / MSEC);
    ck_assert_int_le(outages[n * 95 / 100], p95);
    ck_assert_int_le(outages[n - 1], max);
    free(outages);
}

START_TEST(outage_with_one_flow)
{
    check_outages(&sim_defaults, 1, 60, 0, 150 * MSEC, 200 * MSEC,
                  "one flow");
}
END_TEST

START_TEST(outage_with_all_candidates_in_use)
{
    check_outages(&sim_defaults, ZOO_N_BUCKETS, 60, 0, 150 * MSEC,
                  200 * MSEC, "all candidates in use");
}
END_TEST

START_TEST(outage_with_fast_probes)
{
    struct zoo_params params = sim_defaults;

    params.probe_interval = 20 * MSEC;
    check_outages(&params, 4, 60, 0, 80 * MSEC, 100 * MSEC,
                  "probe_interval=20");
    params.probe_interval = 10 * MSEC;
    check_outages(&params, 4, 60, 0, 80 * MSEC, 100 * MSEC,
                  "probe_interval=10");
}
END_TEST

/* A path so long that many rounds are under way at a time. */
START_TEST(outage_with_a_long_round_trip)
{
    struct zoo_params params = sim_defaults;

    check_outages(&params, 4, 20, 100 * MSEC, 700 * MSEC, 800 * MSEC,
                  "round trip 200 ms");
    params.probe_interval = 20 * MSEC;
    check_outages(&params, 4, 20, 100 * MSEC, 500 * MSEC, 600 * MSEC,
                  "round trip 200 ms, probe_interval=20");
}
END_TEST

/* Only path 0 from side 0 to side 1 is silent: side 1 loses reports on it, but
 * no probe, so its buckets stay where they are. */
START_TEST(one_direction)
{
    for (uint32_t seed = 0; seed < 40; seed++) {
        setup_traffic(&sim_defaults, seed % 2 ? ZOO_N_BUCKETS : 1, seed);
        unsigned int n_publications = sim.side[1].n_publications;
        sim_set_loss(&sim, 0, 0, 1);
        sim_run(&sim, 20 * SEC);

        unit_assert(sim_longest_silence(&sim, 0) <= 200 * MSEC, "seed %u",
                    seed);
        unit_assert(sim_count(&sim, 0, 0, ZOO_HEALTH_DOWN) == 8
                    && sim_count(&sim, 0, SIM_ALL_PATHS,
                                 ZOO_HEALTH_UP) == 24
                    && sim_moves(&sim, 0, NULL) == 32, "seed %u", seed);
        unit_assert(sim_count(&sim, 1, SIM_ALL_PATHS, ZOO_HEALTH_UP) == 32
                    && !sim_moves(&sim, 1, NULL)
                    && sim.side[1].n_publications == n_publications,
                    "seed %u", seed);
        for (int c = 0; c < 32; c++) {
            unit_assert(!sim.side[1].peer.candidates[c].lost, "seed %u",
                        seed);
        }

        /* And back. */
        sim_set_loss(&sim, 0, 0, 0);
        sim_run(&sim, 20 * SEC);
        unit_assert(sim_count(&sim, 0, 0, ZOO_HEALTH_UP) == 8
                    && sim_moves(&sim, 0, NULL) == 64, "seed %u", seed);
        sim_destroy(&sim);
    }
}
END_TEST

/* Reports are lost and no probe is: nothing moves, whatever part of them is
 * lost. */
START_TEST(lost_reports_are_no_lost_paths)
{
    for (int percent = 1; percent <= 40; percent += 13) {
        setup_traffic(&sim_defaults, 16, percent);
        sim_set_loss(&sim, 1, SIM_ALL_PATHS, percent / 100.);
        sim.side[1].active = false;
        sim_run(&sim, 60 * SEC);
        ck_assert_uint_eq(sim_moves(&sim, 0, NULL), 0);
        for (int c = 0; c < 32; c++) {
            unit_assert(!sim.side[0].peer.candidates[c].lost, "%d %%: "
                        "candidate %d", percent, c);
        }
        sim_destroy(&sim);
    }
}
END_TEST

/* A path that goes up and down all the time is left once and for all. */
START_TEST(flapping)
{
    unsigned int most_of_all = 0;

    for (uint32_t seed = 0; seed < 60; seed++) {
        unsigned int most;

        setup_traffic(&sim_defaults, seed % 2 ? ZOO_N_BUCKETS : 4, seed);
        for (int i = 0; i < 20 * 1000 / 600; i++) {
            sim_set_loss_both(&sim, 0, 1);
            sim_run(&sim, 300 * MSEC);
            sim_set_loss_both(&sim, 0, 0);
            sim_run(&sim, 300 * MSEC);
        }
        for (int side = 0; side < 2; side++) {
            sim_moves(&sim, side, &most);
            unit_assert(most <= 2, "seed %u: %u moves", seed, most);
            most_of_all = MAX(most, most_of_all);
        }

        /* It is forgiven when it has become steady. */
        sim_use(&sim, 0, 1);
        sim_use(&sim, 1, 1);
        sim_run(&sim, 400 * SEC);
        unit_assert(!memcmp(sim.side[0].owner, sim.side[1].owner,
                            ZOO_N_BUCKETS), "seed %u", seed);
        sim_destroy(&sim);
    }
    printf("flapping: a bucket moved %u times at most\n", most_of_all);
}
END_TEST

/* Faster or slower, too. */
START_TEST(flapping_at_any_rate)
{
    for (uint32_t seed = 0; seed < 60; seed++) {
        unsigned int most;
        long long int period;

        setup_traffic(&sim_defaults, ZOO_N_BUCKETS, seed);
        period = unit_range(5, 2000) * MSEC;
        for (long long int t = 0; t < 20 * SEC; t += period) {
            sim_set_loss_both(&sim, 0, 1);
            sim_run(&sim, period / 2);
            sim_set_loss_both(&sim, 0, 0);
            sim_run(&sim, period / 2);
        }
        for (int side = 0; side < 2; side++) {
            sim_moves(&sim, side, &most);
            unit_assert(most <= 3, "seed %u: %u moves, period %lld ms", seed,
                        most, period / MSEC);
        }
        sim_destroy(&sim);
    }
}
END_TEST

/* Random loss: a candidate is marked down when two probes in a row are lost,
 * so with probability 'loss' squared for each probe sent. */
static void
check_random_loss(double loss, long long int duration)
{
    unsigned int n_down = 0;
    double sent = 0;

    setup_traffic(&sim_defaults, ZOO_N_BUCKETS, 1);
    sim_set_loss_both(&sim, SIM_ALL_PATHS, loss);
    sim_run(&sim, duration);
    for (int side = 0; side < 2; side++) {
        for (int c = 0; c < 32; c++) {
            n_down += sim.side[side].n_down[c];
            sent += sim.side[side].peer.candidates[c].sent;
        }
    }
    double expected = sent * loss * loss;
    printf("%g %% loss: %.0f probes, %u down marks, %.1f expected, %u moves\n",
           loss * 100, sent, n_down, expected, sim_moves(&sim, 0, NULL)
           + sim_moves(&sim, 1, NULL));
    ck_assert_double_le(n_down, 3 * expected + 3);
    ck_assert_double_ge(n_down, expected / 3 - 3);
    sim_destroy(&sim);
}

START_TEST(random_loss)
{
    check_random_loss(.001, 600 * SEC);
    check_random_loss(.01, 600 * SEC);
    check_random_loss(.05, 60 * SEC);
}
END_TEST

/* Paths fail one after the other until one is left. */
START_TEST(one_path_after_the_other)
{
    for (uint32_t seed = 0; seed < 30; seed++) {
        setup_traffic(&sim_defaults, ZOO_N_BUCKETS, seed);
        for (int path = 0; path < 3; path++) {
            sim_set_loss_both(&sim, path, 1);
            sim_run(&sim, 100 * MSEC + random_range(2 * SEC));
        }
        sim_run(&sim, SEC);
        for (int side = 0; side < 2; side++) {
            unsigned int min = UINT_MAX, max = 0;

            unit_assert(sim_count(&sim, side, 3, ZOO_HEALTH_UP) == 8
                        && sim_count(&sim, side, SIM_ALL_PATHS,
                                     ZOO_HEALTH_DOWN) == 24, "seed %u", seed);
            for (int c = 3; c < 32; c += 4) {
                unsigned int n = 0;

                for (int b = 0; b < ZOO_N_BUCKETS; b++) {
                    n += sim.side[side].owner[b] == c;
                }
                min = MIN(min, n);
                max = MAX(max, n);
            }
            unit_assert(min == 16 && max == 16, "seed %u: %u to %u buckets",
                        seed, min, max);
        }
        unit_assert(sim_longest_silence(&sim, 0) <= 450 * MSEC, "seed %u: "
                    "%lld ms", seed, sim_longest_silence(&sim, 0) / MSEC);
        sim_destroy(&sim);
    }
}
END_TEST

/* Three of four paths at the same moment. */
START_TEST(several_paths_at_once)
{
    for (uint32_t seed = 0; seed < 40; seed++) {
        setup_traffic(&sim_defaults, seed % 2 ? ZOO_N_BUCKETS : 1, seed);
        for (int path = 0; path < 3; path++) {
            sim_set_loss_both(&sim, path, 1);
        }
        sim_run(&sim, 3 * SEC);
        unit_assert(sim_longest_silence(&sim, 0) <= 450 * MSEC, "seed %u: "
                    "%lld ms", seed, sim_longest_silence(&sim, 0) / MSEC);
        unit_assert(sim_count(&sim, 0, 3, ZOO_HEALTH_UP) == 8
                    && sim_count(&sim, 0, SIM_ALL_PATHS,
                                 ZOO_HEALTH_DOWN) == 24, "seed %u", seed);
        sim_destroy(&sim);
    }
}
END_TEST

/* Paths of different length, two of which fail at the same moment: what
 * becomes of the probes on the longer one is known later. */
START_TEST(long_and_short_paths)
{
    for (uint32_t seed = 0; seed < 40; seed++) {
        unsigned int most;

        setup_with(4, &sim_defaults, seed);
        for (int path = 0; path < 4; path++) {
            long long int delay = unit_range(0, 40) * MSEC;

            sim.path[0][path].delay = sim.path[1][path].delay = delay;
        }
        sim_use(&sim, 0, seed % 2 ? ZOO_N_BUCKETS : 1);
        sim_run(&sim, 30 * SEC + random_range(SEC));
        sim_check_undisturbed(&sim, 0, seed);
        unit_assert(!sim_lost(&sim, 0), "seed %u", seed);

        sim_set_loss_both(&sim, 0, 1);
        sim_set_loss_both(&sim, 1, 1);
        sim_run(&sim, 5 * SEC);
        unit_assert(sim_longest_silence(&sim, 0) <= 600 * MSEC, "seed %u: "
                    "%lld ms", seed, sim_longest_silence(&sim, 0) / MSEC);
        unit_assert(sim_moves(&sim, 0, &most) == 64 && most == 1,
                    "seed %u: %u moves", seed, sim_moves(&sim, 0, NULL));
        sim_destroy(&sim);
    }
}
END_TEST

/* What comes back stays where it was sent for the hold-down time. */
START_TEST(return_after_the_hold_down)
{
    setup_traffic(&sim_defaults, ZOO_N_BUCKETS, 1);
    sim_set_loss_both(&sim, 0, 1);
    sim_run(&sim, 5 * SEC);
    ck_assert_uint_eq(sim_moves(&sim, 0, NULL), 32);
    sim_set_loss_both(&sim, 0, 0);

    /* Three successes of a probe that is sent once a second. */
    sim_run(&sim, 9900 * MSEC);
    ck_assert_uint_eq(sim_count(&sim, 0, 0, ZOO_HEALTH_UP), 8);
    ck_assert_uint_eq(sim_moves(&sim, 0, NULL), 32);
    sim_run(&sim, 4 * SEC);
    ck_assert_uint_eq(sim_moves(&sim, 0, NULL), 64);
    sim_destroy(&sim);
}
END_TEST

/* BackendID groups: side 1 is two instances behind one address, and the path
 * decides which one.  What fails in one stays in it. */
START_TEST(backend_groups)
{
    for (uint32_t seed = 0; seed < 20; seed++) {
        setup_with(4, &sim_defaults, seed);
        sim.side[1].n_instances = 2;
        sim_use(&sim, 0, ZOO_N_BUCKETS);
        sim_run(&sim, 3 * SEC + random_range(SEC));
        unit_assert(sim_count(&sim, 0, SIM_ALL_PATHS, ZOO_HEALTH_UP) == 32,
                    "seed %u", seed);
        unit_assert(!sim_moves(&sim, 0, NULL), "seed %u", seed);

        sim_set_loss_both(&sim, 0, 1);
        sim_run(&sim, 5 * SEC);
        unit_assert(sim_moves(&sim, 0, NULL) == 32, "seed %u: %u moves",
                    seed, sim_moves(&sim, 0, NULL));
        for (int b = 0; b < ZOO_N_BUCKETS; b++) {
            unit_assert(sim.side[0].owner[b] % 2 == b % 2, "seed %u", seed);
        }

        /* When none is left in the group, any will do. */
        sim_set_loss_both(&sim, 2, 1);
        sim_run(&sim, 5 * SEC);
        for (int b = 0; b < ZOO_N_BUCKETS; b++) {
            unit_assert(sim.side[0].owner[b] % 2 == 1, "seed %u", seed);
        }

        /* Nobody who is busy comes back. */
        sim_set_loss_both(&sim, SIM_ALL_PATHS, 0);
        unsigned int moves = sim_moves(&sim, 0, NULL);
        sim_run(&sim, 50 * SEC);
        unit_assert(sim_count(&sim, 0, SIM_ALL_PATHS, ZOO_HEALTH_UP) == 32
                    && sim_moves(&sim, 0, NULL) == moves, "seed %u", seed);
        sim_use(&sim, 0, 64);
        sim_run(&sim, 55 * SEC);
        unit_assert(sim_moves(&sim, 0, NULL) == moves, "seed %u", seed);
        sim_run(&sim, 10 * SEC);
        unit_assert(sim_moves(&sim, 0, NULL) == moves + 32, "seed %u", seed);
        sim_destroy(&sim);
    }
}
END_TEST

/* Checks that the buckets in use of side 0 are at candidates that lead to the
 * same instance as their homes. */
static void
check_groups(unsigned int n_used, uint32_t seed)
{
    unsigned int n = sim.side[1].n_instances;

    for (unsigned int b = 0; b < n_used; b++) {
        unsigned int owner = sim.side[0].owner[b];

        unit_assert(owner % n == b % 32 % n,
                    "seed %u: bucket %u of %u is at candidate %u of another "
                    "one of %u instances", seed, b, n_used, owner, n);
    }
}

static bool
side0_path0_is_evacuated(struct sim *s)
{
    for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
        if (s->side[0].in_use[b] && s->side[0].owner[b] % 4 == 0) {
            return false;
        }
    }
    return true;
}

/* A failover does not leave its group only because the candidates of others
 * happened to answer first. */
START_TEST(groups_are_kept_at_any_threshold)
{
    for (uint32_t seed = 0; seed < 120; seed++) {
        struct zoo_params params = sim_defaults;
        unsigned int n_used = seed % 4 ? 4 << seed % 4 : ZOO_N_BUCKETS;

        params.fail_threshold = 1 + seed % 3;
        setup_with(4, &params, seed);
        sim.side[1].n_instances = 2 + seed / 3 % 2;
        sim_use(&sim, 0, n_used);
        sim_run(&sim, 7 * SEC + random_range(SEC));

        sim_set_loss_both(&sim, 0, 1);
        unit_assert(sim_run_until(&sim, side0_path0_is_evacuated, SEC)
                    < 300 * MSEC, "seed %u", seed);
        check_groups(n_used, seed);
        sim_run(&sim, 5 * SEC);
        check_groups(n_used, seed);
        sim_destroy(&sim);
    }
}
END_TEST

/* A group whose candidates say nothing at all is not waited for for long. */
START_TEST(an_instance_dies)
{
    for (uint32_t seed = 0; seed < 20; seed++) {
        struct zoo_params params = sim_defaults;

        params.fail_threshold = 1 + seed % 3;
        setup_with(4, &params, seed);
        sim.side[1].n_instances = 4;
        sim_use(&sim, 0, ZOO_N_BUCKETS);
        sim_run(&sim, 3 * SEC + random_range(SEC));

        /* It is all that path 0 leads to. */
        sim_set_loss(&sim, 0, 0, 1);
        unit_assert(sim_run_until(&sim, side0_path0_is_evacuated, 5 * SEC)
                    < 1500 * MSEC, "seed %u", seed);
        sim_destroy(&sim);
    }
}
END_TEST

/* Sessions that began at another instance than their bucket's home stay there,
 * too, when its paths fail one by one. */
START_TEST(groups_of_sessions_are_kept)
{
    for (uint32_t seed = 0; seed < 20; seed++) {
        setup_with(4, &sim_defaults, seed);
        sim.side[1].n_instances = 2;
        sim_use(&sim, 0, ZOO_N_BUCKETS);
        sim_run(&sim, 3 * SEC + random_range(SEC));
        for (int k = 0; k < 2; k++) {
            sim_set_loss_both(&sim, 0, !k);
            sim_set_loss_both(&sim, 2, !k);
            sim_run(&sim, 50 * SEC);
        }
        sim_set_loss_both(&sim, 1, 1);
        sim_run(&sim, 5 * SEC);
        for (int b = 0; b < ZOO_N_BUCKETS; b++) {
            unit_assert(sim.side[0].owner[b] % 4 == 3,
                        "seed %u: bucket %d is at candidate %u", seed, b,
                        sim.side[0].owner[b]);
        }
        sim_destroy(&sim);
    }
}
END_TEST

/* All paths fail, and when they are back, one instance answers ahead of the
 * other: sessions stay where they were all the while. */
START_TEST(groups_survive_exhaustion)
{
    for (uint32_t seed = 0; seed < 20; seed++) {
        struct zoo_params params = sim_defaults;

        /* Perhaps each instance has but one candidate. */
        params.candidates = seed % 2 ? 4 : 32;
        setup_with(4, &params, seed);
        sim.side[1].n_instances = seed % 2 ? 4 : 2;
        sim.path[0][1].delay += 3 * MSEC;
        sim.path[0][3].delay += 3 * MSEC;
        sim_use(&sim, 0, ZOO_N_BUCKETS);
        sim_run(&sim, 3 * SEC + random_range(SEC));
        sim_set_loss_both(&sim, SIM_ALL_PATHS, 1);
        sim_run(&sim, 5 * SEC + random_range(SEC));
        ck_assert_int_eq(sim.side[0].peer.state, ZOO_PEER_EXHAUSTED);
        ck_assert_uint_ne(sim.side[0].map[0], 0);
        sim_set_loss_both(&sim, SIM_ALL_PATHS, 0);
        sim_run(&sim, 20 * SEC);
        unit_assert(!sim_moves(&sim, 0, NULL), "seed %u: %u moves", seed,
                    sim_moves(&sim, 0, NULL));
        sim_destroy(&sim);
    }
}
END_TEST

/* Instances are replaced by others, again and again. */
START_TEST(many_instances_one_after_the_other)
{
    struct zoo_peer *peer = &sim.side[0].peer;

    setup_with(4, &sim_defaults, 1);
    sim.side[1].n_instances = 3;
    sim_use(&sim, 0, 8);
    for (unsigned int k = 0; k < 25; k++) {
        sim.side[1].first_backend = 10 * k;
        /* The first ones say that they are no gateways. */
        sim.side[1].caps = k ? ZOO_PROBE_CAP_GATEWAY : 0;
        sim_restart_responder(&sim, 1);
        sim_run(&sim, 5 * SEC);
        ck_assert_uint_eq(peer->peer_caps & ZOO_PROBE_CAP_GATEWAY,
                          sim.side[1].caps);
        for (unsigned int i = 0; i < 32; i++) {
            const struct zoo_candidate *c = &peer->candidates[i];

            unit_assert(c->group, "time %u, candidate %u has no group", k, i);
            ck_assert_uint_eq(zoo_peer_group(peer, c->group)->backend.ea[5],
                              1 + 10 * k + i % 3);
        }
    }
    ck_assert_uint_eq(sim_down(&sim, 0), 0);
    sim_destroy(&sim);
}
END_TEST

/* Sessions of several middleboxes, of which one comes and goes, so that the
 * underlay deals candidates anew: where the sessions are that tenants of side 0
 * have in buckets, and for how long they come to another instance. */
struct sessions {
    uint8_t at[ZOO_N_BUCKETS];          /* Instance, NOWHERE if there is none,
                                         * or it is dead. */
    long long int astray[ZOO_N_BUCKETS]; /* Since when, 0 if not now. */
    long long int longest;
};

#define NOWHERE UINT8_MAX

/* In each bucket in use that has none, sessions begin. */
static void
begin_sessions(struct sessions *s)
{
    for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
        if (sim.side[0].in_use[b] && s->at[b] == NOWHERE) {
            s->at[b] = sim_instance(&sim, 0, sim.side[0].owner[b]);
            s->astray[b] = 0;
        }
    }
}

static void
init_sessions(struct sessions *s)
{
    memset(s->at, NOWHERE, sizeof s->at);
    memset(s->astray, 0, sizeof s->astray);
    s->longest = 0;
    begin_sessions(s);
}

/* Lets 'duration' pass, in steps of one ms. */
static void
run_sessions(struct sessions *s, long long int duration)
{
    for (long long int end = sim.now + duration; sim.now < end; ) {
        sim_run(&sim, MSEC);
        for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
            if (s->at[b] == NOWHERE
                || s->at[b] == sim_instance(&sim, 0, sim.side[0].owner[b])) {
                s->astray[b] = 0;
            } else if (!s->astray[b]) {
                s->astray[b] = sim.now;
            } else {
                s->longest = MAX(s->longest, sim.now - s->astray[b]);
            }
        }
    }
}

static unsigned int
count_astray(const struct sessions *s)
{
    unsigned int n = 0;

    for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
        n += s->astray[b] != 0;
    }
    return n;
}

/* Sessions at 'instance' are lost. */
static void
lose_sessions(struct sessions *s, unsigned int instance)
{
    for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
        if (s->at[b] == instance) {
            s->at[b] = NOWHERE;
            s->astray[b] = 0;
        }
    }
}

static unsigned int
buckets_at(unsigned int instance)
{
    unsigned int n = 0;

    for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
        n += sim_instance(&sim, 0, sim.side[0].owner[b]) == instance;
    }
    return n;
}

static unsigned int
candidates_of(unsigned int instance)
{
    unsigned int n = 0;

    for (unsigned int i = 0; i < ZOO_MAX_CANDIDATES; i++) {
        n += sim_instance(&sim, 0, i) == instance;
    }
    return n;
}

static unsigned int
sessions_of(const struct sessions *s, unsigned int instance)
{
    unsigned int n = 0;

    for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
        n += s->at[b] == instance;
    }
    return n;
}

/* The underlay comes to send what each candidate carries to the other instance,
 * which is a change, and no failure of anything: sessions follow their
 * instance, and go home when the change is undone. */
START_TEST(change_of_group)
{
    for (uint32_t seed = 0; seed < 20; seed++) {
        struct zoo_peer *peer = &sim.side[0].peer;
        unsigned int n_used = seed % 2 ? 8 : ZOO_N_BUCKETS;
        uint8_t before[ZOO_MAX_CANDIDATES];
        struct sessions s;

        setup_with(4, &sim_defaults, seed);
        sim.side[1].n_instances = 2;
        sim_use(&sim, 0, n_used);
        sim_run(&sim, 3 * SEC + random_range(SEC));
        init_sessions(&s);
        for (int i = 0; i < 32; i++) {
            before[i] = peer->candidates[i].group;
        }
        for (unsigned int shift = 1; shift <= 2; shift++) {
            sim.side[1].shift = shift;
            run_sessions(&s, 5 * SEC);
            for (int i = 0; i < 32; i++) {
                uint8_t group = peer->candidates[i].group;

                unit_assert(group && (group == before[i]) == (shift == 2),
                            "seed %u: candidate %d", seed, i);
            }
            unit_assert(!sim_lost(&sim, 0) && !sim_down(&sim, 0), "seed %u: "
                        "%u lost, %u down", seed, sim_lost(&sim, 0),
                        sim_down(&sim, 0));
            unit_assert(!count_astray(&s) && s.longest <= 110 * MSEC,
                        "seed %u: %u astray, longest %lld ms", seed,
                        count_astray(&s), s.longest / MSEC);
            ck_assert_int_eq(peer->state, ZOO_PEER_ACTIVE);
        }
        ck_assert_uint_ge(sim_moves(&sim, 0, NULL), 2 * n_used);
        ck_assert_uint_le(sim_moves(&sim, 0, NULL), 3 * n_used);
        run_sessions(&s, 10 * SEC);
        sim_check_all_good(&sim, 0, seed);
        sim_destroy(&sim);
    }
}
END_TEST

static unsigned int
count_away(const struct zoo_peer *peer)
{
    unsigned int n = 0;

    for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
        n += peer->table.owner[b] != zoo_peer_home(peer, b);
    }
    return n;
}

/* The P4 gateway's path tables take from the buckets which candidates fail, and
 * know of no sessions: a bucket leaves home for a failure only, and comes back
 * under traffic. */
START_TEST(shared_candidates)
{
    for (uint32_t seed = 0; seed < 20; seed++) {
        struct zoo_params params = sim_defaults;
        struct zoo_peer *peer = &sim.side[0].peer;
        unsigned int victim = seed % 3, n;

        params.shared_candidates = true;
        setup_with(1, &params, seed);
        sim.side[1].n_instances = 3;
        sim_route(&sim, 1, 7, seed);
        sim_use(&sim, 0, ZOO_N_BUCKETS);
        sim_run(&sim, 4 * SEC);
        sim_route(&sim, 1, 7 & ~(1u << victim), seed);
        for (int i = 0; i < 50; i++) {
            sim_run(&sim, 100 * MSEC);
            unit_assert(!count_away(peer), "seed %u: %u are away", seed,
                        count_away(peer));
        }
        sim_route(&sim, 1, 7, seed);
        sim_run(&sim, 5 * SEC);
        unit_assert(!count_away(peer), "seed %u: %u are away", seed,
                    count_away(peer));

        n = candidates_of(victim) * ZOO_N_BUCKETS / 32;
        sim.side[1].dead = UINT32_C(1) << victim;
        sim_run(&sim, 5 * SEC);
        unit_assert(count_away(peer) == n, "seed %u: %u of %u are away", seed,
                    count_away(peer), n);
        sim.side[1].dead = 0;
        sim_run(&sim, 40 * SEC);
        unit_assert(!count_away(peer), "seed %u: %u are away", seed,
                    count_away(peer));
        sim_destroy(&sim);
    }
}
END_TEST

/* One of three instances dies.  Perhaps nothing is heard of it for a while,
 * then the underlay deals its candidates, and others, to the others; later it
 * is back.  No session of another one is at a wrong one for longer than it
 * takes to find out; what is left shares new sessions. */
START_TEST(candidates_are_dealt_anew)
{
    for (uint32_t seed = 0; seed < 60; seed++) {
        unsigned int victim = seed % 3, silent = seed / 3 % 3;
        struct zoo_peer *peer = &sim.side[0].peer;
        struct sessions s;

        setup_with(1, &sim_defaults, seed);
        sim.side[1].n_instances = 3;
        sim_route(&sim, 1, 7, seed);
        sim_use(&sim, 0, ZOO_N_BUCKETS);
        sim_run(&sim, 3 * SEC + random_range(SEC));
        init_sessions(&s);
        if (silent) {
            sim.side[1].dead = UINT32_C(1) << victim;
            run_sessions(&s, silent * 2 * SEC);
            unit_assert(!count_astray(&s) || silent, "seed %u", seed);
        }
        lose_sessions(&s, victim);
        s.longest = 0;
        sim_route(&sim, 1, 7 & ~(1u << victim), seed);
        run_sessions(&s, 400 * MSEC);
        unit_assert(s.longest <= 110 * MSEC && !count_astray(&s),
                    "seed %u: %u astray, longest %lld ms", seed,
                    count_astray(&s), s.longest / MSEC);
        run_sessions(&s, 5 * SEC);
        unit_assert(s.longest <= 110 * MSEC && !count_astray(&s),
                    "seed %u: %u astray, longest %lld ms", seed,
                    count_astray(&s), s.longest / MSEC);

        /* What is left has the share of the candidates that lead there, unless
         * it is all its own. */
        unit_assert(!buckets_at(victim), "seed %u", seed);
        for (unsigned int i = 0; !silent && i < 3; i++) {
            unsigned int n = buckets_at(i);

            unit_assert(n <= MAX(1.2 * candidates_of(i) * ZOO_N_BUCKETS / 32,
                                 sessions_of(&s, i)),
                        "seed %u: instance %u has %u buckets, %u of sessions, "
                        "%u candidates", seed, i, n, sessions_of(&s, i),
                        candidates_of(i));
        }

        /* New sessions begin where the dead one's were.  It comes back: it
         * gets nothing that another one knows. */
        begin_sessions(&s);
        run_sessions(&s, 3 * SEC);
        sim_route(&sim, 1, 7, seed);
        sim.side[1].dead = 0;
        s.longest = 0;
        run_sessions(&s, 30 * SEC);
        unit_assert(s.longest <= 110 * MSEC && !count_astray(&s),
                    "seed %u: %u astray, longest %lld ms", seed,
                    count_astray(&s), s.longest / MSEC);
        ck_assert_int_eq(peer->state, ZOO_PEER_ACTIVE);

        /* Until it is idle. */
        sim_use(&sim, 0, 1);
        run_sessions(&s, 65 * SEC);
        for (unsigned int b = 1; b < ZOO_N_BUCKETS; b++) {
            unit_assert(b % 32 == 0 || sim.side[0].owner[b] == b % 32,
                        "seed %u: bucket %u is with %u", seed, b,
                        sim.side[0].owner[b]);
        }
        sim_destroy(&sim);
    }
}
END_TEST

/* While routing settles, everything leads to one instance for a moment: the
 * sessions of the others are not given up. */
START_TEST(sessions_survive_while_routing_settles)
{
    for (uint32_t seed = 0; seed < 20; seed++) {
        struct sessions s;

        setup_with(1, &sim_defaults, seed);
        sim.side[1].n_instances = 3;
        sim_route(&sim, 1, 7, seed);
        sim_use(&sim, 0, seed % 2 ? 16 : ZOO_N_BUCKETS);
        sim_run(&sim, 3 * SEC + random_range(SEC));
        init_sessions(&s);
        sim_route(&sim, 1, 1u << seed % 3, seed);
        run_sessions(&s, 500 * MSEC);
        unit_assert(count_astray(&s), "seed %u", seed);
        sim_route(&sim, 1, 7, seed + 1);
        s.longest = 0;
        memset(s.astray, 0, sizeof s.astray);
        run_sessions(&s, 5 * SEC);
        unit_assert(!count_astray(&s) && s.longest <= 110 * MSEC, "seed %u: "
                    "%u astray, longest %lld ms", seed, count_astray(&s),
                    s.longest / MSEC);
        sim_destroy(&sim);
    }
}
END_TEST

/* A session that says something once in a few seconds is not probed for each
 * 100 ms; a peer that wakes up does not believe what it knew when it fell
 * asleep. */
START_TEST(rare_sessions_and_sleeping_peers)
{
    for (uint32_t seed = 0; seed < 20; seed++) {
        struct sessions s;

        setup_with(1, &sim_defaults, seed);
        sim.side[1].n_instances = 3;
        sim_route(&sim, 1, 7, seed);
        sim_use(&sim, 0, ZOO_N_BUCKETS);
        sim_run(&sim, 9 * SEC + random_range(SEC));
        init_sessions(&s);
        sim_use(&sim, 0, seed % 2);
        run_sessions(&s, 5 * SEC);
        sim_route(&sim, 1, 3, seed);
        lose_sessions(&s, 2);
        run_sessions(&s, 5 * SEC);
        unit_assert(s.longest <= 2100 * MSEC && !count_astray(&s), "seed %u: "
                    "%u astray, longest %lld ms", seed, count_astray(&s),
                    s.longest / MSEC);

        sim_use(&sim, 0, 0);
        sim_run(&sim, 65 * SEC);
        ck_assert_int_eq(sim.side[0].peer.state, ZOO_PEER_IDLE);
        sim_route(&sim, 1, 7, seed + 100);
        sim_run(&sim, SEC);
        sim_use(&sim, 0, ZOO_N_BUCKETS);
        init_sessions(&s);
        run_sessions(&s, 10 * SEC);
        unit_assert(!s.longest, "seed %u: longest %lld ms", seed,
                    s.longest / MSEC);
        sim_destroy(&sim);
    }
}
END_TEST

/* A report to one of several middleboxes with one address goes out from a port
 * that leads there, if possible one that works. */
START_TEST(reports_to_a_backend)
{
    static const struct eth_addr backends[] = {
        ETH_ADDR_C(02,00,00,00,00,01), ETH_ADDR_C(02,00,00,00,00,02),
    };
    const struct eth_addr stranger = ETH_ADDR_C(02,00,00,00,00,03);
    const struct zoo_peer *peer = &sim.side[0].peer;
    uint16_t sports[ZOO_MAX_CANDIDATES];
    uint32_t all = UINT32_MAX;

    setup_with(4, &sim_defaults, 1);
    sim.side[1].n_instances = 2;
    sim_use(&sim, 0, ZOO_N_BUCKETS);
    sim_run(&sim, 3 * SEC);
    ck_assert_uint_eq(zoo_peer_leads_to(peer, backends[0])
                      | zoo_peer_leads_to(peer, backends[1]), all);
    ck_assert_uint_eq(zoo_peer_leads_to(peer, eth_addr_zero), 0);

    for (int path = 0; path <= 2; path += 2) {
        uint32_t there = zoo_peer_leads_to(peer, backends[0]);
        uint32_t want = there & zoo_peer_healthy(peer);

        /* The paths of the first backend fail one after the other. */
        for (uint32_t salt = 0; salt < 40; salt++) {
            unsigned int n = zoo_peer_report_ports(peer, backends[0], salt,
                                                   sports, 3);

            ck_assert_uint_eq(n, 3);
            for (unsigned int i = 0; i < n; i++) {
                int c = zoo_path_table_find(&peer->table, sports[i]);

                unit_assert((want ? want : there) & (UINT32_C(1) << c),
                            "salt %u: candidate %d", salt, c);
            }
        }
        sim_set_loss_both(&sim, path, 1);
        sim_run(&sim, 5 * SEC);
    }
    ck_assert_uint_eq(zoo_peer_leads_to(peer, backends[0])
                      & zoo_peer_healthy(peer), 0);
    ck_assert_uint_eq(zoo_peer_report_ports(peer, backends[0], 7, sports, 1),
                      1);
    ck_assert(zoo_peer_leads_to(peer, backends[0])
              & (UINT32_C(1) << zoo_path_table_find(&peer->table,
                                                    sports[0])));

    /* To one that nobody knows of, any port that works. */
    ck_assert_uint_eq(zoo_peer_report_ports(peer, stranger, 7, sports, 1), 1);
    ck_assert(zoo_peer_healthy(peer)
              & (UINT32_C(1) << zoo_path_table_find(&peer->table,
                                                    sports[0])));
    sim_destroy(&sim);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("peer");
    TCase *tc;

    tc = unit_case(s, "outage", 300);
    tcase_add_test(tc, outage_with_one_flow);
    tcase_add_test(tc, outage_with_all_candidates_in_use);
    tcase_add_test(tc, outage_with_fast_probes);
    tcase_add_test(tc, outage_with_a_long_round_trip);
    tcase_add_test(tc, one_path_after_the_other);
    tcase_add_test(tc, several_paths_at_once);
    tcase_add_test(tc, long_and_short_paths);

    tc = unit_case(s, "no more than needed", 300);
    tcase_add_test(tc, one_direction);
    tcase_add_test(tc, lost_reports_are_no_lost_paths);
    tcase_add_test(tc, flapping);
    tcase_add_test(tc, flapping_at_any_rate);
    tcase_add_test(tc, random_loss);

    tc = unit_case(s, "return", 300);
    tcase_add_test(tc, return_after_the_hold_down);
    tcase_add_test(tc, backend_groups);
    tcase_add_test(tc, groups_are_kept_at_any_threshold);
    tcase_add_test(tc, an_instance_dies);
    tcase_add_test(tc, groups_of_sessions_are_kept);
    tcase_add_test(tc, groups_survive_exhaustion);
    tcase_add_test(tc, many_instances_one_after_the_other);
    tcase_add_test(tc, change_of_group);
    tcase_add_test(tc, shared_candidates);
    tcase_add_test(tc, candidates_are_dealt_anew);
    tcase_add_test(tc, sessions_survive_while_routing_settles);
    tcase_add_test(tc, rare_sessions_and_sleeping_peers);

    tc = unit_case(s, "middleboxes", 60);
    tcase_add_test(tc, reports_to_a_backend);
    return unit_run(s);
}
