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

/* Who takes the colors of VTrace: as requests and as reports say. */

#include <config.h>
#include "unit.h"

#include <string.h>

#include "ofproto-zoo/zoo-alive.h"
#include "ofproto-zoo/zoo-consent.h"
#include "packets.h"
#include "sim.h"
#include "util.h"

/* By requests. */

static struct zoo_consents *c;
static long long int now;

static void
setup(void)
{
    c = zoo_consents_create();
    now = 1000 * SEC;
}

static void
teardown(void)
{
    zoo_consents_destroy(c);
}

static void
note(const struct zoo_sender_key *key, bool takes)
{
    zoo_consents_note(c, key, takes, now);
}

static bool
has(const struct zoo_sender_key *key)
{
    return zoo_consents_has(c, &key->local, &key->remote, key->dst_port);
}

START_TEST(given_and_withdrawn)
{
    struct zoo_sender_key one = sim_sender(1), two = sim_sender(2);

    ck_assert(!has(&one));
    note(&one, true);
    ck_assert(has(&one));
    ck_assert(!has(&two));
    struct zoo_sender_key other = one;
    other.dst_port = htons(4790);
    ck_assert(!has(&other));
    other = one;
    other.local = two.remote;
    ck_assert(!has(&other));

    note(&one, false);
    ck_assert(!has(&one));
    note(&one, false);
    note(&two, false);
    ck_assert(!has(&two));
}
END_TEST

/* Flows are translated again once a second at most, and only if something has
 * changed. */
START_TEST(changes_are_rare)
{
    struct zoo_sender_key key = sim_sender(1);
    unsigned int n = 0;

    ck_assert(!zoo_consents_take_change(c, now));
    for (int i = 0; i < 1000; i++) {
        now += 10 * MSEC;
        note(&key, i % 2);
        n += zoo_consents_take_change(c, now);
    }
    ck_assert_uint_le(n, 11);
    ck_assert_uint_ge(n, 9);

    /* The last change is not missed. */
    now += SEC;
    zoo_consents_take_change(c, now);
    now += SEC;
    ck_assert(!zoo_consents_take_change(c, now));
    note(&key, true);
    ck_assert(!zoo_consents_take_change(c, now));
    zoo_consents_changed(c);
    ck_assert(zoo_consents_take_change(c, now));
    ck_assert(!zoo_consents_take_change(c, now + 2 * SEC));

    /* An end does not wait, unless there has just been a change. */
    zoo_consents_changed(c);
    now += 2 * SEC;
    ck_assert(zoo_consents_take_change(c, now));
    zoo_consents_changed(c);
    now += SEC / 2;
    ck_assert(!zoo_consents_take_change(c, now));
    zoo_consents_ended(c);
    ck_assert(zoo_consents_take_change(c, now));
    zoo_consents_ended(c);
    ck_assert(!zoo_consents_take_change(c, now + SEC / 4));
    ck_assert(zoo_consents_take_change(c, now + SEC / 2));
    now += SEC;
    zoo_consents_changed(c);
    ck_assert(!zoo_consents_take_change(c, now));
}
END_TEST

/* Of several senders with one address, the one that consents is enough, and
 * it alone can change that. */
START_TEST(several_with_one_address)
{
    struct zoo_sender_key a = sim_sender(1), b = sim_sender(1);

    b.backend = (struct eth_addr) ETH_ADDR_C(02,00,00,00,00,01);
    note(&b, false);
    note(&a, true);
    ck_assert(zoo_consents_take_change(c, now));
    for (int i = 0; i < 10; i++) {
        now += SEC;
        note(&b, false);
        note(&a, true);
        ck_assert(has(&a));
        ck_assert(!zoo_consents_take_change(c, now));
    }
    note(&a, false);
    ck_assert(!has(&b));
}
END_TEST

START_TEST(silent_ones_are_remembered)
{
    struct zoo_sender_key one = sim_sender(1), two = sim_sender(2);
    long long int begin = now;

    ck_assert_int_gt(ZOO_CONSENT_TIME, ZOO_PEER_CONSENT_TIME);
    note(&one, true);
    note(&two, true);
    now += SEC;
    note(&one, true);
    zoo_consents_expire(c, begin + ZOO_CONSENT_TIME - 1);
    ck_assert(has(&one) && has(&two));
    zoo_consents_expire(c, begin + ZOO_CONSENT_TIME);
    ck_assert(has(&one) && !has(&two));
    zoo_consents_expire(c, now + ZOO_CONSENT_TIME);
    ck_assert(!has(&one));
}
END_TEST

START_TEST(bounded)
{
    struct zoo_sender_key key;

    for (uint32_t i = 0; i < ZOO_CONSENT_MAX; i++) {
        key = sim_sender(i);
        note(&key, true);
    }
    key = sim_sender(0);
    note(&key, true);
    key = sim_sender(ZOO_CONSENT_MAX);
    note(&key, true);
    ck_assert(has(&key));
    key = sim_sender(0);
    ck_assert(has(&key));
    key = sim_sender(1);
    ck_assert(!has(&key));
    key = sim_sender(2);
    ck_assert(has(&key));
}
END_TEST

/* By reports. */

static struct sim sim;

/* Whether the machine of side 1 answers while there is a path to it and
 * back, and how often it was asked. */
static bool machine_answers;
static bool can_ask;
static unsigned int n_asked;

static void
ask_machine(void)
{
    struct zoo_peer *peer = &sim.side[0].peer;

    if (can_ask
        && zoo_peer_asks_alive(peer, ZOO_PROBE_CAP_GBP, sim.now)) {
        zoo_peer_alive_asked(peer, sim.now);
        n_asked++;
        if (machine_answers && sim.path[0][0].loss < 1
            && sim.path[1][0].loss < 1) {
            zoo_peer_alive(peer, sim.now);
        }
    }
}

static bool
consents(void)
{
    return zoo_peer_consents(&sim.side[0].peer, ZOO_PROBE_CAP_GBP, sim.now);
}

/* Runs for 'duration' and returns after how long consent has changed,
 * LLONG_MAX if not. */
static long long int
run(long long int duration)
{
    long long int begin = sim.now, change = LLONG_MAX;
    bool before = consents();

    while (sim.now - begin < duration) {
        sim_run(&sim, 10 * MSEC);
        ask_machine();
        if (consents() != before && change == LLONG_MAX) {
            change = sim.now - begin;
        }
    }
    return change;
}

static void
setup_sim(uint32_t seed)
{
    unit_seed(seed);
    machine_answers = false;
    can_ask = true;
    n_asked = 0;
    sim_init(&sim, 4, &sim_defaults);
    sim.side[1].caps = ZOO_PROBE_CAP_GBP;
    sim_use(&sim, 0, 8);
}

START_TEST(a_report_gives_and_withdraws)
{
    setup_sim(0);
    ck_assert_int_le(run(SEC), 200 * MSEC);
    sim.side[1].caps = 0;
    ck_assert_int_le(run(SEC), 200 * MSEC);
    sim.side[1].caps = ZOO_PROBE_CAP_GBP;
    ck_assert_int_le(run(SEC), 200 * MSEC);
    sim_destroy(&sim);
}
END_TEST

/* One that is not asked says nothing, and has not changed its mind. */
START_TEST(idle_ones_keep_it)
{
    setup_sim(0);
    run(SEC);
    ck_assert(consents());
    sim_use(&sim, 0, 0);
    ck_assert_int_eq(run(1800 * SEC), LLONG_MAX);
    ck_assert_int_eq(sim.side[0].peer.state, ZOO_PEER_IDLE);
    sim_use(&sim, 0, 8);
    ck_assert_int_eq(run(10 * SEC), LLONG_MAX);

    /* Nor when nothing can be sent. */
    sim.side[0].can_send = false;
    sim.side[0].link_down = true;
    ck_assert_int_eq(run(30 * SEC), LLONG_MAX);
    sim.side[0].can_send = true;
    sim.side[0].link_down = false;
    ck_assert_int_eq(run(10 * SEC), LLONG_MAX);

    /* But not for ever: the other end forgets, too. */
    sim_use(&sim, 0, 0);
    long long int took = run(ZOO_PEER_CONSENT_TIME + 60 * SEC);
    ck_assert_int_ge(took, ZOO_PEER_CONSENT_TIME - SEC);
    ck_assert(!consents());
    sim_destroy(&sim);
}
END_TEST

/* One that is restarted without VTrace or ZooRoute drops what has a color. */
START_TEST(not_without_an_answer)
{
    for (uint32_t seed = 0; seed < 10; seed++) {
        setup_sim(seed);
        run(2 * SEC);
        sim.side[1].patched = false;
        long long int took = run(20 * SEC);
        unit_assert(took >= 2900 * MSEC && took <= 4500 * MSEC,
                    "seed %u: %lld ms", seed, took / MSEC);
        unit_assert(!consents(), "seed %u", seed);

        /* It falls idle, and is asked again: that it is silent does not give
         * back what it has lost, its next answer does. */
        sim_use(&sim, 0, 0);
        unit_assert(run(100 * SEC) == LLONG_MAX, "seed %u", seed);
        sim_use(&sim, 0, 8);
        unit_assert(run(5 * SEC) == LLONG_MAX, "seed %u", seed);
        sim.side[1].patched = true;
        unit_assert(run(5 * SEC) <= 3 * SEC, "seed %u", seed);
        sim_destroy(&sim);
    }
}
END_TEST

/* Sets up a peer whose machine is known to answer. */
static void
setup_machine(uint32_t seed)
{
    setup_sim(seed);
    machine_answers = true;
    run(2 * SEC);
    ck_assert(consents());
}

/* An underlay that swallows everything does not change what the peer is. */
START_TEST(silent_underlay)
{
    for (uint32_t seed = 0; seed < 5; seed++) {
        setup_machine(seed);
        sim_set_loss_both(&sim, SIM_ALL_PATHS, 1);
        unit_assert(run(1800 * SEC) == LLONG_MAX, "seed %u", seed);
        ck_assert_int_eq(sim.side[0].peer.state, ZOO_PEER_EXHAUSTED);

        /* When it is mended, the machine may answer before the peer is probed
         * again: until then, the peer may be another one. */
        sim_set_loss_both(&sim, SIM_ALL_PATHS, 0);
        run(2 * SEC);
        unit_assert(consents(), "seed %u", seed);
        unit_assert(run(20 * SEC) == LLONG_MAX, "seed %u", seed);

        /* So it may be for an hour. */
        sim_set_loss_both(&sim, SIM_ALL_PATHS, 1);
        long long int took = run(ZOO_PEER_CONSENT_TIME + 60 * SEC);
        unit_assert(took >= ZOO_PEER_CONSENT_TIME - SEC
                    && took <= ZOO_PEER_CONSENT_TIME + SEC, "seed %u: %lld s",
                    seed, took / SEC);
        sim_destroy(&sim);
    }
}
END_TEST

/* If it was replaced meanwhile that shows as soon as its machine can be
 * reached, and at once otherwise. */
START_TEST(another_one_on_the_machine)
{
    for (uint32_t seed = 0; seed < 10; seed++) {
        setup_machine(seed);
        sim_set_loss_both(&sim, SIM_ALL_PATHS, 1);
        run((1 + seed * 10) * SEC);
        sim.side[1].patched = false;
        unit_assert(run(5 * SEC) == LLONG_MAX, "seed %u", seed);
        sim_set_loss_both(&sim, SIM_ALL_PATHS, 0);
        unit_assert(run(SEC) <= 110 * MSEC, "seed %u", seed);
        sim.side[1].patched = true;
        unit_assert(run(5 * SEC) <= 3 * SEC, "seed %u", seed);

        sim.side[1].patched = false;
        long long int took = run(20 * SEC);
        unit_assert(took >= 850 * MSEC && took <= 1500 * MSEC, "seed %u: %lld ms",
                    seed, took / MSEC);
        /* It is not asked for nothing. */
        n_asked = 0;
        run(20 * SEC);
        unit_assert(!n_asked, "seed %u", seed);
        sim_destroy(&sim);
    }
}
END_TEST

/* Nobody knows whether it is another one. */
START_TEST(machine_that_never_answers)
{
    setup_sim(0);
    run(2 * SEC);
    sim_set_loss_both(&sim, SIM_ALL_PATHS, 1);
    long long int took = run(20 * SEC);
    ck_assert_int_ge(took, 2900 * MSEC);
    ck_assert_int_le(took, 4500 * MSEC);
    sim_destroy(&sim);
}
END_TEST

/* Nor where it cannot be asked, among too many for instance. */
START_TEST(machine_that_is_not_asked)
{
    setup_machine(0);
    can_ask = false;
    sim_set_loss_both(&sim, SIM_ALL_PATHS, 1);
    long long int took = run(20 * SEC);
    ck_assert_int_ge(took, 2900 * MSEC);
    ck_assert_int_le(took, 4500 * MSEC);

    sim_set_loss_both(&sim, SIM_ALL_PATHS, 0);
    can_ask = true;
    run(5 * SEC);
    ck_assert(consents());
    sim_set_loss_both(&sim, SIM_ALL_PATHS, 1);
    ck_assert_int_eq(run(20 * SEC), LLONG_MAX);
    can_ask = false;
    ck_assert_int_le(run(20 * SEC), 2100 * MSEC);
    sim_destroy(&sim);
}
END_TEST

/* While some paths work nothing changes, and the machine is rarely asked. */
START_TEST(some_paths_work)
{
    setup_machine(0);
    sim_set_loss_both(&sim, 1, 1);
    n_asked = 0;
    ck_assert_int_eq(run(100 * SEC), LLONG_MAX);
    ck_assert_uint_le(n_asked, 30);
    sim_destroy(&sim);
}
END_TEST

/* Nothing arrives there, but its own requests do here: it is what it was, for
 * as long as they say so, whether its machine answers or not. */
START_TEST(requests_confirm)
{
    struct zoo_peer *peer = &sim.side[0].peer;

    for (int answers = 0; answers < 2; answers++) {
        setup_sim(0);
        machine_answers = answers;
        run(2 * SEC);
        sim.side[1].patched = false;
        for (int i = 0; i < 600; i++) {
            zoo_peer_confirm(peer, ZOO_PROBE_CAP_GBP, sim.now);
            ck_assert_int_eq(run(100 * MSEC), LLONG_MAX);
            ck_assert(consents());
        }
        long long int took = run(20 * SEC);
        ck_assert_int_le(took, answers ? 1500 * MSEC : 4500 * MSEC);

        /* A request gives back nothing. */
        zoo_peer_confirm(peer, ZOO_PROBE_CAP_GBP, sim.now);
        ck_assert_int_eq(run(SEC), LLONG_MAX);
        sim.side[1].patched = true;
        run(5 * SEC);
        ck_assert(consents());
        zoo_peer_confirm(peer, 0, sim.now);
        ck_assert(!consents());
        sim_destroy(&sim);
    }
}
END_TEST

/* A real machine: this one. */
START_TEST(questions)
{
    struct zoo_alive *alive = zoo_alive_create();
    struct in6_addr local, answer, other;
    int n = 0;

    ck_assert(!zoo_alive_take(alive, &answer));
    in6_addr_set_mapped_ipv4(&local, htonl(0x7f000001));
    in6_addr_set_mapped_ipv4(&other, htonl(0x7f000002));
    for (int i = 0; i < 50 && !n; i++) {
        /* A service may have one of the ports, which does not answer. */
        zoo_alive_ask(alive, &local, &other);
        for (int j = 0; j < 10 && !n; j++) {
            xnanosleep(MSEC);
            n += zoo_alive_take(alive, &answer);
        }
    }
    ck_assert_int_eq(n, 1);
    ck_assert(ipv6_addr_equals(&answer, &other));
    zoo_alive_destroy(alive);
}
END_TEST

/* A candidate that an operator has set up keeps the peer from being exhausted,
 * but answers nothing. */
START_TEST(forced_candidates_do_not_answer)
{
    setup_sim(0);
    run(2 * SEC);
    sim_force(&sim, 0, 0, ZOO_FORCED_UP);
    sim.side[1].patched = false;
    ck_assert_int_le(run(20 * SEC), 6 * SEC);
    ck_assert_int_eq(sim.side[0].peer.state, ZOO_PEER_ACTIVE);
    ck_assert(!consents());
    sim_destroy(&sim);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("consent");
    TCase *tc;

    tc = unit_case(s, "requests", 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, given_and_withdrawn);
    tcase_add_test(tc, changes_are_rare);
    tcase_add_test(tc, several_with_one_address);
    tcase_add_test(tc, silent_ones_are_remembered);
    tcase_add_test(tc, bounded);

    tc = unit_case(s, "reports", 120);
    tcase_add_test(tc, a_report_gives_and_withdraws);
    tcase_add_test(tc, idle_ones_keep_it);
    tcase_add_test(tc, not_without_an_answer);
    tcase_add_test(tc, silent_underlay);
    tcase_add_test(tc, another_one_on_the_machine);
    tcase_add_test(tc, machine_that_never_answers);
    tcase_add_test(tc, machine_that_is_not_asked);
    tcase_add_test(tc, some_paths_work);
    tcase_add_test(tc, requests_confirm);
    tcase_add_test(tc, questions);
    tcase_add_test(tc, forced_candidates_do_not_answer);
    return unit_run(s);
}
