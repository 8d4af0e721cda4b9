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

/* How many paths there are, as far as probes' own results show. */

#include <config.h>
#include "unit.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "openvswitch/dynamic-string.h"
#include "ofproto-zoo/zoo-path-count.h"
#include "random.h"
#include "sim.h"
#include "util.h"

#define MSEC (1000 * 1000LL)
#define SEC (1000 * MSEC)

static struct sim sim;

/* Returns the set of candidates that take one of 'n' paths. */
static uint32_t
on_path(unsigned int path, unsigned int n)
{
    uint32_t set = 0;

    for (unsigned int i = path; i < 32; i += n) {
        set |= UINT32_C(1) << i;
    }
    return set;
}

static unsigned int
by_failures(uint32_t groups[])
{
    return zoo_paths_by_failures(&sim.side[0].peer, &sim.side[0].params,
                                 groups);
}

/* Checks what is said, but for figures that vary. */
static void
check_said(const struct zoo_path_samples *samples, const char *begin)
{
    struct ds s = DS_EMPTY_INITIALIZER;

    zoo_paths_format(&sim.side[0].peer, &sim.side[0].params, samples, &s);
    unit_assert(!strncmp(ds_cstr(&s), begin, strlen(begin))
                && s.string[s.length - 1] == '\n', "%s", ds_cstr(&s));
    ds_destroy(&s);
}

/* Paths that fail, one after the other, are told apart, now and later; what
 * fails together, or by chance once, is not. */
START_TEST(paths_by_failures)
{
    uint32_t groups[33];

    sim_start(&sim, 4, 4);
    ck_assert_uint_eq(by_failures(groups), 0);
    check_said(NULL, "distinct paths: unknown: no candidate has failed while "
               "others worked, and round trips have not been compared");

    sim_set_loss_both(&sim, 1, 1);
    sim_run(&sim, 5 * SEC);
    ck_assert_uint_eq(by_failures(groups), 2);
    ck_assert_uint_eq(groups[0], ~on_path(1, 4));
    ck_assert_uint_eq(groups[1], on_path(1, 4));
    sim_set_loss_both(&sim, 1, 0);
    sim_run(&sim, 60 * SEC);
    ck_assert_uint_eq(by_failures(groups), 2);
    check_said(NULL, "distinct paths: at least 2, by failures (candidates "
               "that failed together: 8, that worked meanwhile: 24; about 4 "
               "paths if each has as many)");

    sim_set_loss_both(&sim, 2, 1);
    sim_run(&sim, 10 * SEC);
    ck_assert_uint_eq(by_failures(groups), 3);
    ck_assert_uint_eq(groups[0], on_path(0, 4) | on_path(3, 4));
    ck_assert_uint_eq(groups[1], on_path(1, 4));
    ck_assert_uint_eq(groups[2], on_path(2, 4));
    sim_set_loss_both(&sim, 2, 0);

    /* A probe is lost here and there. */
    sim_run(&sim, 20 * SEC);
    sim_set_loss_both(&sim, SIM_ALL_PATHS, 0.02);
    sim_run(&sim, 2 * SEC);
    sim_set_loss_both(&sim, SIM_ALL_PATHS, 0);
    ck_assert_uint_le(by_failures(groups), 3);
    for (unsigned int path = 0; path < 4; path++) {
        ck_assert_uint_ne(groups[0], on_path(path, 4));
    }
    sim_destroy(&sim);
}
END_TEST

START_TEST(all_fail)
{
    uint32_t groups[33];

    sim_start(&sim, 4, 4);
    sim_set_loss_both(&sim, SIM_ALL_PATHS, 1);
    sim_run(&sim, 10 * SEC);
    ck_assert_uint_eq(by_failures(groups), 0);
    sim_set_loss_both(&sim, SIM_ALL_PATHS, 0);
    sim_run(&sim, 30 * SEC);
    ck_assert_uint_eq(by_failures(groups), 0);

    /* Those that failed with all have worked since. */
    sim_set_loss_both(&sim, 1, 1);
    sim_run(&sim, 5 * SEC);
    ck_assert_uint_eq(by_failures(groups), 2);
    ck_assert_uint_eq(groups[0], ~on_path(1, 4));
    ck_assert_uint_eq(groups[1], on_path(1, 4));
    sim_destroy(&sim);
}
END_TEST

/* Has the simulated peer be looked at as an operator's command does. */
static void
compare(struct zoo_path_samples *samples, long long int duration)
{
    memset(samples, 0, sizeof *samples);
    for (long long int t = 0; t < duration; t += 50 * MSEC) {
        zoo_path_samples_take(samples, &sim.side[0].peer);
        sim_run(&sim, 50 * MSEC);
    }
}

/* Paths that take longer on the way there are told apart, whatever the way
 * back and however much both vary, as long as that is clearly less. */
START_TEST(paths_by_round_trips)
{
    struct zoo_path_samples samples;
    unsigned int n_told = 0;
    uint32_t groups[33];

    for (uint32_t seed = 0; seed < 40; seed++) {
        sim_start(&sim, 4, 4);
        unit_seed(seed);
        sim_set_delay(&sim, MSEC, seed % 2 ? 200 * 1000 : 0);
        compare(&samples, 12 * SEC);
        unit_assert(!zoo_paths_by_round_trips(&samples, groups), "seed %u",
                    seed);
        check_said(&samples, "distinct paths: unknown: no candidate has "
                   "failed while others worked, and round trips do not tell them "
                   "apart (they differ by ");

        sim.path[0][3].delay += 3 * MSEC;
        sim.path[1][3].delay += 7 * MSEC;
        sim_run(&sim, 3 * SEC);
        compare(&samples, 12 * SEC);
        if (zoo_paths_by_round_trips(&samples, groups) == 2) {
            unit_assert(groups[0] == (uint32_t) ~on_path(3, 4)
                        && groups[1] == on_path(3, 4), "seed %u: %#"PRIx32,
                        seed, groups[1]);
            check_said(&samples, "distinct paths: at least 2, by round trips "
                       "(candidates that differ by more than these vary: 24, "
                       "8)");
            n_told++;
        }
        sim_destroy(&sim);
    }
    printf("a path 3 ms longer told apart in %u of 40\n", n_told);
    ck_assert_uint_ge(n_told, 36);
}
END_TEST

/* Too little is not enough. */
START_TEST(too_few_rounds)
{
    struct zoo_path_samples samples;
    uint32_t groups[33];

    sim_start(&sim, 4, 4);
    sim.path[0][3].delay += 3 * MSEC;
    sim_run(&sim, 3 * SEC);
    compare(&samples, 5 * SEC);
    ck_assert_uint_eq(zoo_paths_by_round_trips(&samples, groups), 0);
    check_said(&samples, "distinct paths: unknown: no candidate has failed "
               "while others worked, and only ");
    sim_destroy(&sim);
}
END_TEST

START_TEST(paths_by_backends)
{
    struct zoo_peer *peer = &sim.side[0].peer;
    uint32_t groups[33];

    sim_start(&sim, 4, 4);
    ck_assert_uint_eq(zoo_paths_by_backends(peer, groups), 0);
    for (unsigned int i = 0; i < 32; i++) {
        peer->candidates[i].group = 1 + i % 3;
    }
    ck_assert_uint_eq(zoo_paths_by_backends(peer, groups), 3);
    check_said(NULL, "distinct paths: at least 3, by BackendIDs (candidates "
               "that reach one each: 11, 11, 10)");
    sim_destroy(&sim);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("path count");
    TCase *tc = unit_case(suite, "path count", 120);

    tcase_add_test(tc, paths_by_failures);
    tcase_add_test(tc, all_fail);
    tcase_add_test(tc, paths_by_round_trips);
    tcase_add_test(tc, too_few_rounds);
    tcase_add_test(tc, paths_by_backends);
    return unit_run(suite);
}
