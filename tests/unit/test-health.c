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


/* Health of one candidate: down, up, hold-down, relapses, forced states. */

#include <config.h>
#include "unit.h"

#include <limits.h>
#include <string.h>

#include "ofproto-zoo/zoo-health.h"
#include "util.h"

/* The defaults. */
static const struct zoo_params params = {
    .fail_threshold = 2,
    .recover_successes = 3,
    .recover_window = 5,
    .hold_down = 10 * SEC,
};

/* One result a second. */
struct candidate {
    struct zoo_health h;
    struct zoo_params params;
    long long int now;
};

static void
setup(struct candidate *c)
{
    memset(c, 0xaa, sizeof *c);
    c->params = params;
    c->now = 1000 * SEC;
    zoo_health_init(&c->h, c->now);
}

/* Feeds 'c' with 'results': '+' is a success, '-' a failure.  Returns what
 * happened at the last one: 'U' for up, 'D' for down, '.' for nothing. */
static char
feed(struct candidate *c, const char *results)
{
    char event = '.';

    for (; *results; results++) {
        c->now += SEC;
        if (*results == '+') {
            event = zoo_health_success(&c->h, &c->params, c->now) ? 'U' : '.';
        } else {
            /* A probe fails a while after it was sent. */
            event = (zoo_health_failure(&c->h, &c->params, c->now - 100 * MSEC,
                                        c->now) ? 'D' : '.');
        }
    }
    return event;
}

static long long int
hold_down_left(const struct candidate *c)
{
    return zoo_health_return_time(&c->h, &c->params) - c->h.up_since;
}

/* Takes 'c', which is up, down and up again. */
static void
relapse(struct candidate *c)
{
    ck_assert_int_eq(feed(c, "--"), 'D');
    ck_assert_int_eq(feed(c, "+++"), 'U');
}

START_TEST(unknown_at_first)
{
    struct candidate c;

    setup(&c);
    ck_assert_int_eq(zoo_health_state(&c.h), ZOO_HEALTH_UNKNOWN);
    ck_assert_int_eq(zoo_health_return_time(&c.h, &c.params), LLONG_MAX);
    ck_assert_int_eq(c.h.failure_free, 1000 * SEC);

    ck_assert_int_eq(feed(&c, "+"), 'U');
    ck_assert_int_eq(zoo_health_state(&c.h), ZOO_HEALTH_UP);
    ck_assert_int_eq(c.h.up_since, c.now);

    setup(&c);
    ck_assert_int_eq(feed(&c, "-"), '.');
    ck_assert_int_eq(feed(&c, "-"), 'D');

    setup(&c);
    ck_assert_int_eq(feed(&c, "-"), '.');
    ck_assert_int_eq(feed(&c, "+"), 'U');
}
END_TEST

START_TEST(down_after_consecutive_failures)
{
    for (unsigned int threshold = 1; threshold <= 10; threshold++) {
        struct candidate c;

        setup(&c);
        c.params.fail_threshold = threshold;
        feed(&c, "+");
        for (int repeat = 0; repeat < 3; repeat++) {
            for (unsigned int i = 1; i < threshold; i++) {
                ck_assert_int_eq(feed(&c, "-"), '.');
                ck_assert_uint_eq(c.h.fails, i);
            }
            ck_assert_int_eq(zoo_health_state(&c.h), ZOO_HEALTH_UP);
            /* One success between them, and it all begins again. */
            ck_assert_int_eq(feed(&c, "+"), '.');
            ck_assert_uint_eq(c.h.fails, 0);
        }
        for (unsigned int i = 1; i < threshold; i++) {
            ck_assert_int_eq(feed(&c, "-"), '.');
        }
        ck_assert_int_eq(feed(&c, "-"), 'D');
        ck_assert_int_eq(zoo_health_state(&c.h), ZOO_HEALTH_DOWN);
        ck_assert_int_eq(zoo_health_return_time(&c.h, &c.params), LLONG_MAX);

        /* It goes down once. */
        ck_assert_int_eq(feed(&c, "-"), '.');
        ck_assert_int_eq(feed(&c, "-"), '.');
    }
}
END_TEST

/* 'first_fail' is when the first lost probe was sent: buckets may move only to
 * what is known to work since. */
START_TEST(loss_begins_with_the_first_lost_probe)
{
    struct candidate c;

    setup(&c);
    feed(&c, "+-");
    ck_assert_int_eq(c.h.first_fail, c.now - 100 * MSEC);
    feed(&c, "+--");
    ck_assert_int_eq(c.h.first_fail, c.now - SEC - 100 * MSEC);
    feed(&c, "--");
    ck_assert_int_eq(c.h.first_fail, c.now - 3 * SEC - 100 * MSEC);
    ck_assert_int_eq(c.h.failure_free, c.now);
    feed(&c, "+++");
    ck_assert_int_eq(c.h.failure_free, c.now - 3 * SEC);
}
END_TEST

START_TEST(up_after_three_of_five)
{
    /* What brings a candidate that is down up, at its last result. */
    static const char *const up[] = {
        "+++", "+-++", "++-+", "+--++", "++--+", "+-+-+", "-----+++",
        "+---++-+", "--+--++",
    };
    static const char *const down[] = {
        "", "+", "++", "-", "+-+", "++-", "++--", "++---+", "+--+--+--+--",
        "+-+--+--+", "++---++",
    };
    struct candidate c;

    for (size_t i = 0; i < ARRAY_SIZE(up); i++) {
        /* Results from before it went down do not count. */
        setup(&c);
        feed(&c, "++++++++--");
        for (const char *p = up[i]; *p; p++) {
            char event = feed(&c, (char[]) { *p, '\0' });

            ck_assert_msg(event == (p[1] ? '.' : 'U'), "%s: %c after %d",
                          up[i], event, (int) (p - up[i]));
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(down); i++) {
        setup(&c);
        feed(&c, "++++++++--");
        feed(&c, down[i]);
        ck_assert_msg(zoo_health_state(&c.h) == ZOO_HEALTH_DOWN, "\"%s\"",
                      down[i]);
    }
}
END_TEST

START_TEST(other_windows)
{
    struct candidate c;

    setup(&c);
    c.params.recover_successes = c.params.recover_window = 1;
    feed(&c, "+--");
    ck_assert_int_eq(feed(&c, "+"), 'U');

    setup(&c);
    c.params.recover_successes = c.params.recover_window = 32;
    feed(&c, "+--");
    for (int i = 0; i < 31; i++) {
        ck_assert_int_eq(feed(&c, "+"), '.');
    }
    ck_assert_int_eq(feed(&c, "-"), '.');
    for (int i = 0; i < 31; i++) {
        ck_assert_int_eq(feed(&c, "+"), '.');
    }
    ck_assert_int_eq(feed(&c, "+"), 'U');

    /* More failures in a row than a byte counts are still one loss. */
    feed(&c, "-");
    long long int loss = c.h.first_fail;
    for (int i = 0; i < 1000; i++) {
        feed(&c, "-");
        ck_assert_uint_gt(c.h.fails, 0);
    }
    ck_assert_int_eq(c.h.first_fail, loss);
    ck_assert_int_eq(feed(&c, "+"), '.');
    ck_assert_int_eq(zoo_health_state(&c.h), ZOO_HEALTH_DOWN);
}
END_TEST

START_TEST(hold_down_doubles_and_is_bounded)
{
    struct candidate c;

    setup(&c);
    feed(&c, "+");
    relapse(&c);
    for (int i = 0; i <= ZOO_MAX_RELAPSES + 3; i++) {
        ck_assert_int_eq(hold_down_left(&c),
                         10 * SEC << MIN(i, ZOO_MAX_RELAPSES));
        relapse(&c);
    }
    ck_assert_int_eq(hold_down_left(&c), 320 * SEC);

    c.params.hold_down = 0;
    ck_assert_int_eq(hold_down_left(&c), 0);
}
END_TEST

/* A path that flaps may fail every third probe and stay up. */
START_TEST(hold_down_begins_again_with_each_failure)
{
    struct candidate c;

    setup(&c);
    feed(&c, "+");
    relapse(&c);
    feed(&c, "+++-");
    ck_assert_int_eq(zoo_health_state(&c.h), ZOO_HEALTH_UP);
    ck_assert_int_eq(zoo_health_return_time(&c.h, &c.params),
                     c.now + 10 * SEC);
    feed(&c, "+++++");
    ck_assert_int_eq(zoo_health_return_time(&c.h, &c.params),
                     c.now + 5 * SEC);
}
END_TEST

/* Stays up for 'seconds', then goes down and up. */
static void
redeem(struct candidate *c, int seconds)
{
    /* The second failure is what counts. */
    c->now = c->h.up_since + (seconds - 2) * SEC;
    relapse(c);
}

START_TEST(good_conduct_redeems)
{
    struct candidate c;

    setup(&c);
    feed(&c, "+");
    relapse(&c);
    relapse(&c);
    relapse(&c);
    ck_assert_int_eq(hold_down_left(&c), 40 * SEC);

    /* Ten times the hold-down that it had. */
    redeem(&c, 400);
    ck_assert_int_eq(hold_down_left(&c), 80 * SEC);
    redeem(&c, 801);
    ck_assert_int_eq(hold_down_left(&c), 10 * SEC);
}
END_TEST

/* When every candidate is down none of them is specially at fault. */
START_TEST(collective_failure_is_forgiven_at_once)
{
    struct candidate c;

    setup(&c);
    feed(&c, "+");
    relapse(&c);
    relapse(&c);
    ck_assert_int_eq(hold_down_left(&c), 20 * SEC);

    feed(&c, "--");
    zoo_health_set_collective(&c.h, true);
    ck_assert_int_eq(zoo_health_return_time(&c.h, &c.params), LLONG_MAX);
    ck_assert_int_eq(feed(&c, "----"), '.');
    ck_assert_int_eq(feed(&c, "+"), 'U');
    ck_assert_int_le(zoo_health_return_time(&c.h, &c.params), c.now);

    /* The next failure is its own again, but the first one since. */
    ck_assert_int_eq(feed(&c, "--"), 'D');
    ck_assert_int_eq(feed(&c, "+"), '.');
    ck_assert_int_eq(feed(&c, "++"), 'U');
    ck_assert_int_eq(hold_down_left(&c), 40 * SEC);
    relapse(&c);
    ck_assert_int_eq(hold_down_left(&c), 80 * SEC);
}
END_TEST

START_TEST(an_operators_word_counts)
{
    struct candidate c;

    setup(&c);
    feed(&c, "+");
    c.h.forced = ZOO_FORCED_DOWN;
    ck_assert_int_eq(zoo_health_state(&c.h), ZOO_HEALTH_DOWN);
    ck_assert_int_eq(zoo_health_return_time(&c.h, &c.params), LLONG_MAX);
    feed(&c, "+++");
    ck_assert_int_eq(zoo_health_state(&c.h), ZOO_HEALTH_DOWN);

    /* What probes say goes on underneath. */
    feed(&c, "--");
    c.h.forced = ZOO_FORCED_UP;
    ck_assert_int_eq(zoo_health_state(&c.h), ZOO_HEALTH_UP);
    ck_assert_int_le(zoo_health_return_time(&c.h, &c.params), c.now);
    c.h.forced = ZOO_FORCED_NO;
    ck_assert_int_eq(zoo_health_state(&c.h), ZOO_HEALTH_DOWN);
    ck_assert_int_eq(feed(&c, "+++"), 'U');
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("health");
    TCase *tc;

    tc = unit_case(s, "states", 60);
    tcase_add_test(tc, unknown_at_first);
    tcase_add_test(tc, down_after_consecutive_failures);
    tcase_add_test(tc, loss_begins_with_the_first_lost_probe);
    tcase_add_test(tc, up_after_three_of_five);
    tcase_add_test(tc, other_windows);

    tc = unit_case(s, "hold-down", 60);
    tcase_add_test(tc, hold_down_doubles_and_is_bounded);
    tcase_add_test(tc, hold_down_begins_again_with_each_failure);
    tcase_add_test(tc, good_conduct_redeems);
    tcase_add_test(tc, collective_failure_is_forgiven_at_once);

    tc = unit_case(s, "forced", 60);
    tcase_add_test(tc, an_operators_word_counts);

    return unit_run(s);
}
