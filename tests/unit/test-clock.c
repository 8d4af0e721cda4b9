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

/* How far clocks are apart, by what probes tell. */

#include <config.h>
#include "unit.h"

#include "ofproto-zoo/zoo-clock.h"
#include "packets.h"
#include "sim.h"
#include "util.h"

static struct zoo_clocks *c;
static struct in6_addr here, there;
static long long int now;

static void
setup(void)
{
    c = zoo_clocks_create();
    here = in6_addr_mapped_ipv4(htonl(0x0a000101));
    there = in6_addr_mapped_ipv4(htonl(0x0a000201));
    now = 1000 * SEC;
}

static void
teardown(void)
{
    zoo_clocks_destroy(c);
}

static void
request(uint32_t machine, int64_t ahead)
{
    zoo_clocks_request(c, &here, &there, machine, ahead, now);
}

static struct zoo_clock
get(void)
{
    return zoo_clocks_get(c, &here, &there, now);
}

/* Only what is wanted is measured, for as long. */
START_TEST(wanted)
{
    request(1, 5);
    zoo_clocks_report(c, &here, &there, 7, now);
    ck_assert(!get().has_ahead && !get().has_rtt);

    zoo_clocks_want(c, &here, &there, now);
    ck_assert(!get().has_ahead && !get().has_rtt);
    request(1, -5);
    ck_assert(get().has_ahead && !get().has_rtt);
    zoo_clocks_report(c, &here, &there, 0, now);
    ck_assert(!get().has_rtt);
    zoo_clocks_report(c, &here, &there, 7, now);
    ck_assert_int_eq(get().ahead, -5);
    ck_assert_int_eq(get().rtt, 7);
    struct zoo_clock other = zoo_clocks_get(c, &there, &here, now);
    ck_assert(!other.has_ahead && !other.has_rtt);

    now += ZOO_CLOCK_IDLE + 1;
    zoo_clocks_want(c, &there, &here, now);
    ck_assert_uint_eq(zoo_clocks_count(c), 1);
}
END_TEST

/* The smallest one of the last seconds counts, however large it is. */
START_TEST(smallest)
{
    zoo_clocks_want(c, &here, &there, now);
    for (int i = 0; i < 100; i++) {
        request(1, 1000 + i);
        zoo_clocks_report(c, &here, &there, 2000 + i, now);
        now += 100 * 1000 * 1000;

        /* What is not older than the window is there, and nothing that is
         * older than two of them. */
        int window = ZOO_CLOCK_WINDOW / (100 * 1000 * 1000);
        ck_assert_int_le(get().ahead, 1000 + MAX(0, i - window + 1));
        ck_assert_int_ge(get().ahead, 1000 + MAX(0, i - 2 * window));
        ck_assert_int_eq(get().rtt, get().ahead + 1000);
    }

    /* Silence. */
    now += ZOO_CLOCK_WINDOW / 2;
    ck_assert(get().has_ahead);
    now += 2 * ZOO_CLOCK_WINDOW;
    ck_assert(!get().has_ahead && !get().has_rtt);
    request(1, 1000000);
    ck_assert_int_eq(get().ahead, 1000000);
    ck_assert(!get().has_rtt);
}
END_TEST

/* Nobody knows whose clock it is, if several have the address. */
START_TEST(several_senders)
{
    zoo_clocks_want(c, &here, &there, now);
    for (int i = 0; i < 100; i++) {
        request(i % 2, i % 2 ? 1000000 : 5);
        now += 100 * 1000 * 1000;
        ck_assert(!i || !get().has_ahead);
    }

    /* One is gone. */
    for (int i = 0; !get().has_ahead; i++) {
        ck_assert_int_lt(i, 50);
        request(1, 1000000);
        now += 100 * 1000 * 1000;
    }
    ck_assert_int_eq(get().ahead, 1000000);
}
END_TEST

START_TEST(too_many)
{
    for (unsigned int i = 0; i < 2 * ZOO_CLOCK_MAX; i++) {
        struct in6_addr remote = in6_addr_mapped_ipv4(htonl(i));

        zoo_clocks_want(c, &here, &remote, now);
    }
    ck_assert_uint_eq(zoo_clocks_count(c), ZOO_CLOCK_MAX);
    zoo_clocks_want(c, &here, &there, now);
    request(1, 5);
    ck_assert(!get().has_ahead);

    now += ZOO_CLOCK_IDLE + 1;
    zoo_clocks_want(c, &here, &there, now);
    ck_assert_uint_eq(zoo_clocks_count(c), 1);
    request(1, 5);
    ck_assert(get().has_ahead);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("clock");
    TCase *tc = unit_case(s, "clock", 20);

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, wanted);
    tcase_add_test(tc, smallest);
    tcase_add_test(tc, several_senders);
    tcase_add_test(tc, too_many);
    return unit_run(s);
}
