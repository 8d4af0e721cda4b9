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

/* Peers: a receiver that is overloaded loses probes of nearly all candidates
 * at once, through no fault of a path.  In the simulator of sim.h. */

#include <config.h>
#include "unit.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "random.h"
#include "sim.h"
#include "util.h"

#define N_PATHS 4
#define EVEN_SHARE (ZOO_N_BUCKETS / N_PATHS)

static struct sim sim;

static void
setup_traffic(unsigned int n_buckets, uint32_t seed)
{
    unit_seed(seed);
    sim_init(&sim, N_PATHS, &sim_defaults);
    sim_use(&sim, 0, n_buckets);
    sim_use(&sim, 1, n_buckets);
    sim_run(&sim, 3 * SEC + random_range(SEC));
}

/* Side 1 loses so much of what arrives, for so long. */
static void
overload(double loss, long long int duration)
{
    sim_set_loss(&sim, 0, SIM_ALL_PATHS, loss);
    sim_run(&sim, duration);
    sim_set_loss(&sim, 0, SIM_ALL_PATHS, 0);
}

/* Returns how many buckets of side 0 the path has that has most. */
static unsigned int
largest_share(void)
{
    unsigned int n[N_PATHS] = { 0 }, max = 0;

    for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
        unsigned int *share = &n[sim.side[0].owner[b] % N_PATHS];

        ++*share;
        max = MAX(max, *share);
    }
    return max;
}

/* Returns how many buckets of side 0 are not at home. */
static unsigned int
n_away(void)
{
    unsigned int n = 0;

    for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
        n += sim.side[0].owner[b] != b % sim.side[0].peer.table.n;
    }
    return n;
}

static unsigned int silent_path;

static bool
silent_path_is_down(struct sim *s)
{
    return sim_count(s, 0, silent_path, ZOO_HEALTH_DOWN) == 8;
}

/* One path falls silent: that is noticed as ever, by candidates that are not in
 * use when the next round of all has been lost. */
static void
check_failover(uint32_t seed)
{
    long long int took;

    silent_path = random_range(N_PATHS);
    sim_forget_silence(&sim);
    sim_set_loss_both(&sim, silent_path, 1);
    /* Twice the interval, if nothing has been lost lately. */
    took = sim_run_until(&sim, silent_path_is_down,
                         2 * sim_defaults.full_interval + 300 * MSEC);
    unit_assert(took < LLONG_MAX, "seed %u: %u are down", seed,
                sim_count(&sim, 0, silent_path, ZOO_HEALTH_DOWN));
    unit_assert(sim_longest_silence(&sim, 0) <= 200 * MSEC, "seed %u: "
                "%lld ms", seed, sim_longest_silence(&sim, 0) / MSEC);
}

/* Side 1 is overloaded while side 0 uses 'n_buckets'.  Checks that a second
 * later traffic is spread as before: all of it, or but for some buckets if
 * 'max_share' is more than a path's part. */
static void
check_overload(unsigned int n_buckets, double loss, long long int duration,
               bool stall, unsigned int max_share)
{
    unsigned int worst = 0, moves = 0;

    for (uint32_t seed = 0; seed < 60; seed++) {
        unsigned int most;

        setup_traffic(n_buckets, seed);
        if (stall) {
            sim_stall(&sim, 1, duration);
        }
        overload(loss, duration);
        sim_run(&sim, SEC);
        worst = MAX(worst, largest_share());
        unit_assert(largest_share() <= max_share, "seed %u: %u buckets", seed,
                    largest_share());
        if (max_share > EVEN_SHARE) {
            sim_run(&sim, 40 * SEC);
        }
        sim_check_all_good(&sim, 0, seed);
        sim_moves(&sim, 0, &most);
        moves = MAX(moves, most);
        check_failover(seed);
        sim_destroy(&sim);
    }
    printf("%u buckets in use, %.0f %% lost for %lld ms%s: at most %u of %d "
           "on one path, %u moves of one\n", n_buckets, loss * 100,
           duration / MSEC, stall ? " without CPU" : "", worst, ZOO_N_BUCKETS,
           moves);
}

START_TEST(all_candidates_in_use)
{
    for (int stall = 0; stall < 2; stall++) {
        check_overload(ZOO_N_BUCKETS, .9, 100 * MSEC, stall, EVEN_SHARE);
        check_overload(ZOO_N_BUCKETS, .9, 200 * MSEC, stall, EVEN_SHARE);
        check_overload(ZOO_N_BUCKETS, .97, 100 * MSEC, stall, EVEN_SHARE);
        check_overload(ZOO_N_BUCKETS, .97, 200 * MSEC, stall, EVEN_SHARE);
    }
}
END_TEST

/* Where one round is all that most candidates lose, they need not be nearly
 * all of them, but then few go down. */
START_TEST(few_candidates_in_use)
{
    for (int stall = 0; stall < 2; stall++) {
        check_overload(4, .9, 100 * MSEC, stall, EVEN_SHARE * 5 / 4);
        check_overload(4, .9, 200 * MSEC, stall, EVEN_SHARE * 5 / 4);
        check_overload(1, .9, 100 * MSEC, stall, EVEN_SHARE * 5 / 4);
        check_overload(1, .9, 200 * MSEC, stall, EVEN_SHARE * 5 / 4);
    }
}
END_TEST

/* What comes again soon is not forgiven again, except when all candidates are
 * down. */
START_TEST(seldom)
{
    unsigned int n_checked = 0;

    for (uint32_t seed = 0; seed < 60; seed++) {
        setup_traffic(ZOO_N_BUCKETS, seed);
        overload(.9, 150 * MSEC);
        sim_run(&sim, SEC);
        sim_check_all_good(&sim, 0, seed);

        sim.side[0].peer.all_failed = false;
        overload(.9, 150 * MSEC);
        sim_run(&sim, 8 * SEC);
        if (!sim.side[0].peer.all_failed) {
            unit_assert(n_away() >= ZOO_N_BUCKETS / 2, "seed %u: %u buckets",
                        seed, n_away());
            n_checked++;
        }
        sim_run(&sim, 20 * SEC);
        sim_check_all_good(&sim, 0, seed);

        /* Much later, it is. */
        sim_run(&sim, 80 * SEC);
        overload(.9, 150 * MSEC);
        sim_run(&sim, SEC);
        sim_check_all_good(&sim, 0, seed);
        sim_destroy(&sim);
    }
    ck_assert_uint_ge(n_checked, 30);
}
END_TEST

/* Seven of eight paths that come and go all the time are left once and for
 * all, as one that does. */
START_TEST(nearly_all_flap)
{
    unsigned int most_of_all = 0;

    for (uint32_t seed = 0; seed < 40; seed++) {
        unsigned int most;

        unit_seed(seed);
        sim_init(&sim, 8, &sim_defaults);
        sim_use(&sim, 0, ZOO_N_BUCKETS);
        sim_use(&sim, 1, ZOO_N_BUCKETS);
        sim_run(&sim, 3 * SEC + random_range(SEC));
        for (int i = 0; i < 20 * 1000 / 600; i++) {
            for (int path = 0; path < 7; path++) {
                sim_set_loss_both(&sim, path, 1);
            }
            sim_run(&sim, 300 * MSEC);
            sim_set_loss_both(&sim, SIM_ALL_PATHS, 0);
            sim_run(&sim, 300 * MSEC);
        }
        sim_moves(&sim, 0, &most);
        unit_assert(most <= 2, "seed %u: %u moves", seed, most);
        most_of_all = MAX(most, most_of_all);
        sim_destroy(&sim);
    }
    printf("7 of 8 paths flap: a bucket moved %u times at most\n",
           most_of_all);
}
END_TEST

/* What is silent for good is left as soon as ever, however much that is, and
 * when it comes back half of the paths are not forgiven. */
START_TEST(paths_that_die)
{
    for (unsigned int n = 1; n < 8; n++) {
        long long int longest = 0, sum = 0;

        for (uint32_t seed = 0; seed < 40; seed++) {
            unit_seed(seed);
            sim_init(&sim, 8, &sim_defaults);
            sim_use(&sim, 0, seed % 2 ? ZOO_N_BUCKETS : 8);
            sim_use(&sim, 1, ZOO_N_BUCKETS);
            sim_run(&sim, 3 * SEC + random_range(SEC));
            for (unsigned int path = 0; path < n; path++) {
                sim_set_loss_both(&sim, path, 1);
            }
            sim_run(&sim, 3 * SEC);
            long long int silence = sim_longest_silence(&sim, 0);
            unit_assert(silence <= (n <= 4 ? 200 : 450) * MSEC,
                        "%u paths, seed %u: %lld ms", n, seed,
                        silence / MSEC);
            longest = MAX(longest, silence);
            sum += silence;

            unsigned int moves = sim_moves(&sim, 0, NULL);
            sim_set_loss_both(&sim, SIM_ALL_PATHS, 0);
            sim_run(&sim, 8 * SEC);
            unit_assert(n == 7 || sim_moves(&sim, 0, NULL) == moves,
                        "%u paths, seed %u", n, seed);
            sim_destroy(&sim);
        }
        printf("%u of 8 paths die: outage %lld us on average, longest "
               "%lld us\n", n, sum / 40 / 1000, longest / 1000);
    }
}
END_TEST

/* Side 1 drops every other request on a candidate that side 0 does not use,
 * and says so. */
static void
drop_every_other(struct sim *s, struct sim_packet *p)
{
    static unsigned int n[ZOO_MAX_CANDIDATES];

    if (p->from == 0 && p->candidate >= 4 && ++n[p->candidate] % 2) {
        p->body[0] = ~p->body[0];
    } else if (p->from == 1 && p->body[1] == ZOO_PROBE_REPORT) {
        p->body[8] |= ZOO_PROBE_CTL_UNSEEN;
    }
    ovs_assert(s == &sim);
}

/* Where rounds of all are seldom, a dropped request has an excuse for as long
 * as it takes to send others, but not for ever. */
START_TEST(dropped_where_rounds_are_seldom)
{
    struct zoo_params params = sim_defaults;

    params.full_interval = 5 * SEC;
    params.stretch = 2;
    for (uint32_t seed = 0; seed < 10; seed++) {
        unit_seed(seed);
        sim_init(&sim, N_PATHS, &params);
        sim_use(&sim, 0, 4);
        sim_run(&sim, random_range(100) * SEC);
        sim.tap = drop_every_other;
        sim_run(&sim, 400 * SEC);
        sim_check_undisturbed(&sim, 0, seed);
        unit_assert(!sim_lost(&sim, 0), "seed %u: %u lost", seed,
                    sim_lost(&sim, 0));

        sim_set_loss_both(&sim, 1, 1);
        sim_run(&sim, 110 * SEC);
        unit_assert(sim_count(&sim, 0, 1, ZOO_HEALTH_DOWN) == 8, "seed %u",
                    seed);
        sim_destroy(&sim);
    }
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("peer overload");
    TCase *tc;

    tc = unit_case(s, "overload", 300);
    tcase_add_test(tc, all_candidates_in_use);
    tcase_add_test(tc, few_candidates_in_use);

    tc = unit_case(s, "no more than needed", 300);
    tcase_add_test(tc, seldom);
    tcase_add_test(tc, nearly_all_flap);
    tcase_add_test(tc, paths_that_die);
    tcase_add_test(tc, dropped_where_rounds_are_seldom);
    return unit_run(s);
}
