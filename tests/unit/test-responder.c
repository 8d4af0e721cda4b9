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


/* What a receiver of probes remembers, and what it reports. */

#include <config.h>
#include "unit.h"

#include <limits.h>
#include <string.h>

#include "ofproto-zoo/zoo-peer.h"
#include "ofproto-zoo/zoo-responder.h"
#include "packets.h"
#include "random.h"
#include "sim.h"
#include "util.h"

#define HOLD ZOO_RESPONDER_HOLD

static struct zoo_responder *r;
static long long int now;
static struct zoo_sender_tunnel *tunnel;    /* From the last request. */
static bool newest;                         /* The same. */
static struct zoo_rx_grant grant;           /* Of the next one. */

static void
setup(void)
{
    r = zoo_responder_create();
    memset(&grant, 0, sizeof grant);
    now = 1000 * SEC;
    unit_seed(0);
}

static void
teardown(void)
{
    zoo_responder_destroy(r);
}

/* Returns the request of 'round' on 'n' ports from 40000 on. */
static struct zoo_probe
request(uint64_t session, uint32_t round, unsigned int n)
{
    struct zoo_probe probe;

    memset(&probe, 0, sizeof probe);
    probe.type = ZOO_PROBE_REQUEST;
    probe.session = session;
    probe.round = round;
    probe.n_entries = n;
    for (unsigned int i = 0; i < n; i++) {
        probe.entries[i].sport = 40000 + i;
    }
    return probe;
}

static enum zoo_probe_error
receive_from(uint32_t from, const struct zoo_probe *probe, uint16_t sport)
{
    struct zoo_sender_key key = sim_sender(from);

    return zoo_responder_receive(r, &key, sport, probe, now, now,
                                 random_uint64(), grant, &tunnel, &newest);
}

static enum zoo_probe_error
receive(const struct zoo_probe *probe, uint16_t sport)
{
    return receive_from(1, probe, sport);
}

/* Receives all of 'probe', which must be answered at once. */
static struct zoo_report
exchange(const struct zoo_probe *probe)
{
    struct zoo_report report;

    for (unsigned int i = 0; i < probe->n_entries; i++) {
        ck_assert_int_eq(receive(probe, probe->entries[i].sport),
                         ZOO_PROBE_OK);
    }
    ck_assert(zoo_responder_next_report(r, now, &report));
    ck_assert_uint_eq(report.probe.session, probe->session);
    ck_assert_uint_eq(report.probe.round, probe->round);
    return report;
}

static void
check_no_report(long long int until)
{
    struct zoo_report report;

    ck_assert(!zoo_responder_next_report(r, until, &report));
}

/* Reports. */

START_TEST(complete_round)
{
    struct zoo_probe probe = request(7, 3, 4);
    struct zoo_sender_key key = sim_sender(1);
    struct zoo_report report;

    probe.newest_key = 99;
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(receive(&probe, 40000 + i), ZOO_PROBE_OK);
        now += 1000 * (i + 1);
        if (i < 3) {
            check_no_report(now);
        }
    }
    ck_assert_int_le(zoo_responder_next_due(r), now);
    ck_assert(zoo_responder_next_report(r, now, &report));
    ck_assert_mem_eq(&report.key, &key, sizeof key);
    ck_assert_uint_eq(report.max_copies, 4);
    ck_assert_uint_eq(report.peer_newest_key, 99);
    ck_assert_int_eq(report.probe.type, ZOO_PROBE_REPORT);
    ck_assert_uint_eq(report.probe.flags, 0);
    ck_assert_uint_eq(report.probe.session, 7);
    ck_assert_uint_eq(report.probe.round, 3);
    ck_assert_uint_ne(report.probe.challenge, 0);
    ck_assert_uint_eq(report.probe.n_entries, 4);
    for (int i = 0; i < 4; i++) {
        static const uint32_t ages[] = { 10, 9, 7, 4 };
        const struct zoo_probe_entry *e = &report.probe.entries[i];

        ck_assert_uint_eq(e->sport, 40000 + i);
        ck_assert_uint_eq(e->last, 3);
        ck_assert_uint_eq(e->history, 0);
        ck_assert_uint_eq(e->age_us, ages[i]);
    }

    /* It is sent once. */
    check_no_report(LLONG_MAX);
    ck_assert_int_eq(zoo_responder_next_due(r), LLONG_MAX);
}
END_TEST

START_TEST(stragglers_are_awaited)
{
    struct zoo_probe probe = request(7, 1, 3);
    struct zoo_report report;

    receive(&probe, 40000);
    long long int begin = now;
    now += HOLD / 2;
    receive(&probe, 40002);
    ck_assert_int_eq(zoo_responder_next_due(r), begin + HOLD);
    check_no_report(begin + HOLD - 1);
    ck_assert(zoo_responder_next_report(r, begin + HOLD, &report));
    ck_assert_uint_eq(report.max_copies, 2);
    ck_assert_uint_eq(report.probe.n_entries, 3);
    ck_assert_uint_eq(report.probe.entries[0].last, 1);
    ck_assert_uint_eq(report.probe.entries[0].age_us, HOLD / 1000);
    ck_assert_uint_eq(report.probe.entries[1].sport, 40001);
    ck_assert_uint_eq(report.probe.entries[1].last, 0);
    ck_assert_uint_eq(report.probe.entries[1].age_us, 0);
    ck_assert_uint_eq(report.probe.entries[2].last, 1);

    /* One that comes still later gets a report of its own. */
    now = begin + 2 * HOLD;
    ck_assert_int_eq(receive(&probe, 40001), ZOO_PROBE_OK);
    ck_assert(zoo_responder_next_report(r, now + HOLD, &report));
    ck_assert_uint_eq(report.max_copies, 1);
    ck_assert_uint_eq(report.probe.entries[1].last, 1);
}
END_TEST

/* A straggler of an older round is in the next report, and causes none. */
START_TEST(old_stragglers_cause_no_report)
{
    struct zoo_probe first = request(7, 1, 2), second = request(7, 2, 2);
    struct zoo_report report;

    receive(&first, 40000);
    ck_assert(zoo_responder_next_report(r, now + HOLD, &report));
    exchange(&second);
    ck_assert_int_eq(receive(&first, 40001), ZOO_PROBE_OK);
    check_no_report(LLONG_MAX);

    first = request(7, 3, 2);
    report = exchange(&first);
    ck_assert_uint_eq(report.probe.entries[0].history, 3);
    ck_assert_uint_eq(report.probe.entries[1].history, 3);
}
END_TEST

/* Reports go out in the order in which they are due. */
START_TEST(order_of_reports)
{
    long long int due = LLONG_MIN;
    struct zoo_report report;
    unsigned int n = 0;

    for (uint32_t i = 0; i < 100; i++) {
        struct zoo_probe probe = request(i + 1, 1, i % 3 + 1);

        receive_from(i, &probe, 40000);
        now += random_range(100 * 1000);
    }
    while (zoo_responder_next_due(r) != LLONG_MAX) {
        long long int next = zoo_responder_next_due(r);

        ck_assert_int_ge(next, due);
        ck_assert(zoo_responder_next_report(r, next, &report));
        due = next;
        n++;
    }
    ck_assert_uint_eq(n, 100);
}
END_TEST

/* What is complete goes ahead of what is not.  Reports are sent at ticks: those
 * that are due must not seem to be due later because more come in. */
START_TEST(due_stays_due)
{
    struct zoo_probe one = request(1, 1, 1), two = request(2, 1, 2);
    long long int begin = now;
    struct zoo_report report;

    receive_from(2, &two, 40000);
    ck_assert_int_eq(zoo_responder_next_due(r), begin + HOLD);
    now += HOLD / 4;
    receive_from(1, &one, 40000);
    ck_assert_int_eq(zoo_responder_next_due(r), begin + HOLD / 4);
    for (uint32_t i = 2; i <= 10; i++) {
        struct zoo_probe other = request(i + 1, 1, 1);

        now += HOLD;
        one.round = i;
        receive_from(1, &one, 40000);
        receive_from(i + 1, &other, 40000);
        ck_assert_int_eq(zoo_responder_next_due(r), begin + HOLD / 4);
    }
    ck_assert(zoo_responder_next_report(r, now, &report));
    ck_assert_uint_eq(report.probe.session, 1);
    ck_assert_uint_eq(report.probe.round, 10);
    ck_assert(zoo_responder_next_report(r, now, &report));
    ck_assert_uint_eq(report.probe.session, 2);
    for (uint32_t i = 2; i <= 10; i++) {
        ck_assert(zoo_responder_next_report(r, now, &report));
        ck_assert_uint_eq(report.probe.session, i + 1);
    }
    ck_assert(!zoo_responder_next_report(r, now, &report));
}
END_TEST

START_TEST(urgency_is_repeated)
{
    struct zoo_probe probe = request(7, 1, 2);
    struct zoo_report report;

    probe.flags = ZOO_PROBE_F_URGENT | ZOO_PROBE_F_CHALLENGE;
    report = exchange(&probe);
    ck_assert_uint_eq(report.probe.flags, ZOO_PROBE_F_URGENT);
    probe = request(7, 2, 2);
    report = exchange(&probe);
    ck_assert_uint_eq(report.probe.flags, 0);
}
END_TEST

START_TEST(rewritten_ports_show)
{
    struct zoo_probe probe = request(7, 1, 2);
    struct zoo_report report;

    ck_assert_int_eq(receive(&probe, 40000), ZOO_PROBE_OK);
    ck_assert_int_eq(receive(&probe, 50000), ZOO_PROBE_OK);
    ck_assert(zoo_responder_next_report(r, now, &report));
    ck_assert_uint_eq(report.probe.flags, ZOO_PROBE_F_REWRITTEN);
    ck_assert_uint_eq(report.probe.n_entries, 2);
    ck_assert_uint_eq(report.probe.entries[0].last, 1);
    ck_assert_uint_eq(report.probe.entries[1].sport, 40001);
    ck_assert_uint_eq(report.probe.entries[1].last, 0);

    /* There cannot be more of them than were sent, nor late ones. */
    ck_assert_int_eq(receive(&probe, 50000), ZOO_PROBE_OK);
    ck_assert_int_eq(receive(&probe, 50001), ZOO_PROBE_REPLAYED);
    probe = request(7, 2, 1);
    ck_assert_int_eq(receive(&probe, 50000), ZOO_PROBE_OK);
    ck_assert_int_eq(receive(&probe, 50000), ZOO_PROBE_REPLAYED);
    probe = request(7, 1, 3);
    ck_assert_int_eq(receive(&probe, 50000), ZOO_PROBE_REPLAYED);

    /* They do not take the place of ports that are listed. */
    probe = request(7, 3, 32);
    for (int i = 0; i < 32; i++) {
        ck_assert_int_eq(receive(&probe, 50000 + i), ZOO_PROBE_OK);
    }
    ck_assert(zoo_responder_next_report(r, now, &report));
    ck_assert_uint_eq(report.probe.entries[0].last, 1);
}
END_TEST

/* Against a model: random loss and order on a few ports, with gaps in the
 * numbers of rounds.  The model knows every round that has arrived. */
START_TEST(history_of_random_rounds)
{
    enum { N = 5, MAX_ROUND = 400 };

    for (uint32_t seed = 0; seed < 300; seed++) {
        bool arrived[N][MAX_ROUND + 1];
        uint32_t newest_round = 0;
        struct zoo_report report;

        unit_seed(seed);
        memset(arrived, 0, sizeof arrived);
        for (uint32_t round = 1 + random_range(5); round <= MAX_ROUND;
             round += unit_chance(.9) ? 1 : 1 + random_range(40)) {
            struct zoo_probe probe = request(seed + 1, round, N);

            for (unsigned int i = 0; i < N; i++) {
                if (unit_chance(.8)) {
                    unit_assert(!receive(&probe, 40000 + i), "seed %u", seed);
                    arrived[i][round] = true;
                    newest_round = round;
                }
                if (unit_chance(.3) && newest_round) {
                    /* Something older, perhaps for the second time. */
                    uint32_t age = random_range(30);
                    uint32_t old = newest_round - MIN(newest_round - 1, age);
                    struct zoo_probe again = request(seed + 1, old, N);
                    uint32_t last = 0;

                    for (uint32_t k = 1; k <= MAX_ROUND; k++) {
                        last = arrived[i][k] ? k : last;
                    }
                    bool good = (old + 16 >= newest_round && old + 16 >= last
                                 && !arrived[i][old]);
                    unit_assert(receive(&again, 40000 + i)
                                == (good ? ZOO_PROBE_OK : ZOO_PROBE_REPLAYED),
                                "seed %u: round %u after %u", seed, old,
                                newest_round);
                    arrived[i][old] |= good;
                }
            }
            now += 100 * MSEC;
            while (zoo_responder_next_report(r, now, &report)) {
                for (unsigned int i = 0; i < N; i++) {
                    const struct zoo_probe_entry *e = &report.probe.entries[i];
                    uint16_t history = 0;
                    uint32_t last = 0;

                    for (uint32_t k = 1; k <= newest_round; k++) {
                        last = arrived[i][k] ? k : last;
                    }
                    for (uint32_t k = 0; k < 16 && k + 1 < last; k++) {
                        history |= arrived[i][last - 1 - k] << k;
                    }
                    unit_assert(e->last == last && e->history == history,
                                "seed %u, round %u, port %u: %u %#x, not "
                                "%u %#x", seed, round, i, e->last, e->history,
                                last, history);
                }
            }
        }
        struct zoo_sender_key key = sim_sender(1);
        zoo_responder_forget(r, &key);
    }
}
END_TEST

/* An answer is never more than what asked for it: neither longer, nor more
 * often, whoever asks and in whatever order. */
START_TEST(no_amplification)
{
    for (uint32_t seed = 0; seed < 3000; seed++) {
        unsigned int n_requests = 0, n_copies = 0;
        size_t max_size = 0;
        struct zoo_report report;

        unit_seed(seed);
        for (int i = random_range(60); i > 0; i--) {
            struct zoo_probe probe = request(unit_range(1, 3),
                                             unit_range(1, 3),
                                             unit_range(1, 32));

            probe.entries[0].sport += random_range(2);
            if (unit_chance(.2)) {
                for (unsigned int j = 0; j < probe.n_entries; j++) {
                    probe.entries[j].sport = 40001;
                }
            }
            if (unit_chance(.5)) {
                probe = request(random_range(2) + 1, 1, 1);
            }
            grant.refused = unit_chance(.3);
            grant.ctl = grant.refused;
            if (!receive(&probe, unit_range(40000, 40035))) {
                n_requests++;
                max_size = MAX(max_size, zoo_probe_size(probe.n_entries));
            }
            now += unit_chance(.2) ? HOLD : 0;
            while (unit_chance(.3)
                   && zoo_responder_next_report(r, now, &report)) {
                n_copies += report.max_copies;
                unit_assert(n_copies <= n_requests, "seed %u", seed);
                unit_assert(count_1bits(report.arrived) <= report.max_copies,
                            "seed %u", seed);
                unit_assert(zoo_probe_size(report.probe.n_entries) <= max_size
                            && report.probe.n_entries, "seed %u", seed);
            }
        }
        now += ZOO_RESPONDER_REFUSED_HOLD;
        while (zoo_responder_next_report(r, now, &report)) {
            n_copies += report.max_copies;
            unit_assert(n_copies <= n_requests, "seed %u", seed);
            unit_assert(zoo_probe_size(report.probe.n_entries) <= max_size,
                        "seed %u: %u entries", seed, report.probe.n_entries);
        }
        struct zoo_sender_key key = sim_sender(1);
        zoo_responder_forget(r, &key);
    }
}
END_TEST

/* Sessions. */

START_TEST(new_session_must_repeat_a_challenge)
{
    struct zoo_probe old = request(7, 1, 2), new = request(8, 1, 2);
    struct zoo_report report;
    uint64_t challenge;

    exchange(&old);
    report = exchange(&new);
    challenge = report.probe.challenge;
    ck_assert_uint_eq(report.probe.flags, ZOO_PROBE_F_CHALLENGE);
    ck_assert_uint_eq(report.probe.n_entries, 2);
    ck_assert_uint_eq(report.probe.entries[0].last, 1);
    ck_assert_uint_eq(report.probe.entries[0].history, 0);

    /* So far the old session goes on as if nothing had happened. */
    old = request(7, 2, 2);
    report = exchange(&old);
    ck_assert_uint_eq(report.probe.flags, 0);
    ck_assert_uint_eq(report.probe.entries[1].history, 1);

    /* A guess is no use. */
    new = request(8, 2, 2);
    new.challenge = challenge ^ 1;
    report = exchange(&new);
    ck_assert_uint_eq(report.probe.flags, ZOO_PROBE_F_CHALLENGE);

    new = request(8, 3, 2);
    new.challenge = challenge;
    report = exchange(&new);
    ck_assert_uint_eq(report.probe.flags, 0);
    ck_assert_uint_eq(report.probe.entries[0].last, 3);
    ck_assert_uint_eq(report.probe.entries[0].history, 0);
    ck_assert_uint_ne(report.probe.challenge, challenge);

    /* The old session cannot come back, even with the new challenge. */
    old = request(7, 3, 2);
    ck_assert_int_eq(receive(&old, 40000), ZOO_PROBE_STALE_SESSION);
    old.challenge = report.probe.challenge;
    ck_assert_int_eq(receive(&old, 40000), ZOO_PROBE_STALE_SESSION);
    ck_assert_ptr_null(tunnel);
    check_no_report(LLONG_MAX);
}
END_TEST

/* A recording of all that a former session has sent, its answers to challenges
 * included, changes nothing however often it is replayed. */
START_TEST(recorded_session_changes_nothing)
{
    struct zoo_probe recorded[20], probe;
    struct zoo_report report;
    uint64_t challenge = 0;
    int n = 0;

    for (uint64_t session = 1; session <= 10; session++) {
        for (uint32_t round = 1; round <= 2; round++) {
            probe = request(session, round, 1);
            probe.challenge = challenge;
            recorded[n++] = probe;
            challenge = exchange(&probe).probe.challenge;
        }
    }
    for (int repeat = 0; repeat < 3; repeat++) {
        for (int i = 0; i < n - 2; i++) {
            enum zoo_probe_error error = receive(&recorded[i], 40000);

            if (error) {
                ck_assert_int_eq(error, ZOO_PROBE_STALE_SESSION);
            } else {
                /* So old that it is not known as dead. */
                ck_assert(zoo_responder_next_report(r, now, &report));
                ck_assert_uint_eq(report.probe.flags, ZOO_PROBE_F_CHALLENGE);
            }
        }
        probe = request(10, 10 + repeat, 1);
        report = exchange(&probe);
        ck_assert_uint_eq(report.probe.flags, 0);
        ck_assert_uint_eq(report.probe.entries[0].last, 10 + repeat);
    }
}
END_TEST

/* A report that is owed to the current session is not put off by others. */
START_TEST(unproven_session_does_not_displace_a_report)
{
    struct zoo_probe good = request(7, 1, 2), other = request(8, 1, 2);
    struct zoo_report report;

    receive(&good, 40000);
    ck_assert_int_eq(receive(&other, 40000), ZOO_PROBE_STALE_SESSION);
    ck_assert(zoo_responder_next_report(r, now + HOLD, &report));
    ck_assert_uint_eq(report.probe.session, 7);

    /* The other way round it is displaced. */
    ck_assert_int_eq(receive(&other, 40000), ZOO_PROBE_OK);
    good.round = 2;
    ck_assert_int_eq(receive(&good, 40000), ZOO_PROBE_OK);
    ck_assert(zoo_responder_next_report(r, now + HOLD, &report));
    ck_assert_uint_eq(report.probe.session, 7);
    ck_assert_uint_eq(report.max_copies, 1);
    check_no_report(LLONG_MAX);
}
END_TEST

START_TEST(rounds_are_not_replayed)
{
    struct zoo_probe probe = request(7, 100, 2);

    exchange(&probe);
    ck_assert_int_eq(receive(&probe, 40000), ZOO_PROBE_REPLAYED);
    ck_assert_ptr_null(tunnel);
    probe = request(7, 84, 2);
    ck_assert_int_eq(receive(&probe, 40000), ZOO_PROBE_OK);
    ck_assert_int_eq(receive(&probe, 40000), ZOO_PROBE_REPLAYED);
    probe = request(7, 83, 2);
    ck_assert_int_eq(receive(&probe, 40000), ZOO_PROBE_REPLAYED);
    ck_assert_int_eq(receive(&probe, 41000), ZOO_PROBE_REPLAYED);
    check_no_report(LLONG_MAX);
}
END_TEST

/* Rounds so high that adding to them overflows. */
START_TEST(highest_rounds)
{
    struct zoo_probe probe = request(7, UINT32_MAX - 20, 1);
    struct zoo_report report;

    exchange(&probe);
    probe.round = UINT32_MAX;
    report = exchange(&probe);
    ck_assert_uint_eq(report.probe.entries[0].last, UINT32_MAX);
    ck_assert_uint_eq(report.probe.entries[0].history, 0);
    probe.round = UINT32_MAX - 1;
    ck_assert_int_eq(receive(&probe, 40000), ZOO_PROBE_OK);
    ck_assert_int_eq(receive(&probe, 40000), ZOO_PROBE_REPLAYED);
}
END_TEST

/* A refused round is reported later, whatever refused ones follow, and the
 * report knows of all; one that is not refused is reported at once. */
START_TEST(refused)
{
    struct zoo_report report;
    struct zoo_probe probe;

    probe = request(100, 1, 2);
    ck_assert_int_eq(receive(&probe, 40000), ZOO_PROBE_OK);
    ck_assert_int_eq(receive(&probe, 40001), ZOO_PROBE_OK);
    ck_assert(zoo_responder_next_report(r, now, &report));
    ck_assert_uint_eq(report.probe.ctl, 0);

    grant = (struct zoo_rx_grant) { .refused = true, .ctl = 2 };
    for (unsigned int round = 2; round <= 11; round++) {
        probe = request(100, round, 2);
        ck_assert_int_eq(receive(&probe, 40000), ZOO_PROBE_OK);
        ck_assert_int_eq(receive(&probe, 40001), ZOO_PROBE_OK);
        ck_assert(!zoo_responder_next_report(r, now, &report));
        now += ZOO_RESPONDER_REFUSED_HOLD / 10;
    }
    ck_assert_int_eq(zoo_responder_next_due(r), now);
    ck_assert(zoo_responder_next_report(r, now, &report));
    ck_assert_uint_eq(report.probe.ctl, 2);
    ck_assert_uint_eq(report.probe.round, 11);
    ck_assert_uint_eq(report.probe.n_entries, 2);
    for (unsigned int i = 0; i < 2; i++) {
        ck_assert_uint_eq(report.probe.entries[i].last, 11);
        ck_assert_uint_eq(report.probe.entries[i].history, 0x3ff);
    }
    ck_assert_int_eq(zoo_responder_next_due(r), LLONG_MAX);

    /* A report that waits because of a refusal does not hold up a later one. */
    probe = request(100, 12, 2);
    ck_assert_int_eq(receive(&probe, 40000), ZOO_PROBE_OK);
    grant = (struct zoo_rx_grant) { .refused = false,
                                    .ctl = ZOO_PROBE_CTL_UNSEEN | 1 };
    probe = request(100, 13, 2);
    ck_assert_int_eq(receive(&probe, 40000), ZOO_PROBE_OK);
    ck_assert_int_eq(zoo_responder_next_due(r), now + HOLD);
    ck_assert_int_eq(receive(&probe, 40001), ZOO_PROBE_OK);
    ck_assert(zoo_responder_next_report(r, now, &report));
    ck_assert_uint_eq(report.probe.ctl, ZOO_PROBE_CTL_UNSEEN | 1);
    ck_assert_int_eq(zoo_responder_next_due(r), LLONG_MAX);

}
END_TEST

/* Who is not known yet and is refused is asked for less all the same, and then
 * forgotten. */
START_TEST(refused_at_first_contact)
{
    struct zoo_probe probe = request(200, 5, 4);
    struct zoo_sender_key key = sim_sender(2);
    struct zoo_report report;
    uint64_t challenge;

    grant = (struct zoo_rx_grant) { .refused = true, .ctl = 1 };
    probe.newest_key = 99;
    ck_assert_int_eq(receive_from(2, &probe, 40001), ZOO_PROBE_OK);
    ck_assert_ptr_nonnull(tunnel);
    ck_assert(!newest);
    tunnel->tun_id = htonll(77);
    grant.ctl = 3 | ZOO_PROBE_CTL_BUSY;
    ck_assert_int_eq(receive_from(2, &probe, 40003), ZOO_PROBE_OK);
    ck_assert_uint_eq(zoo_responder_count(r), 0);
    ck_assert_int_eq(zoo_responder_next_due(r),
                     now + ZOO_RESPONDER_REFUSED_HOLD);
    check_no_report(now + ZOO_RESPONDER_REFUSED_HOLD - 1);
    now += ZOO_RESPONDER_REFUSED_HOLD;
    ck_assert(zoo_responder_next_report(r, now, &report));
    ck_assert_mem_eq(&report.key, &key, sizeof key);
    ck_assert(report.tunnel.tun_id == htonll(77));
    ck_assert_uint_eq(report.max_copies, 2);
    ck_assert_uint_eq(report.peer_newest_key, 99);
    ck_assert_uint_eq(report.peer_caps, 0);
    ck_assert_int_eq(report.probe.type, ZOO_PROBE_REPORT);
    ck_assert_uint_eq(report.probe.flags, 0);
    ck_assert_uint_eq(report.probe.ctl, 3 | ZOO_PROBE_CTL_BUSY);
    ck_assert_uint_eq(report.probe.session, 200);
    ck_assert_uint_eq(report.probe.round, 5);
    /* Of what has not come nothing is said. */
    ck_assert_uint_eq(report.probe.n_entries, 2);
    for (int i = 0; i < 2; i++) {
        const struct zoo_probe_entry *e = &report.probe.entries[i];

        ck_assert_uint_eq(e->sport, 40001 + 2 * i);
        ck_assert_uint_eq(e->last, 5);
        ck_assert_uint_eq(e->age_us, ZOO_RESPONDER_REFUSED_HOLD / 1000);
    }
    challenge = report.probe.challenge;
    check_no_report(LLONG_MAX);
    ck_assert_int_eq(zoo_responder_next_due(r), LLONG_MAX);

    /* It has taken no session for granted. */
    grant.refused = false;
    grant.ctl = 0;
    probe = request(201, 1, 1);
    ck_assert_int_eq(receive_from(2, &probe, 40000), ZOO_PROBE_OK);
    ck_assert(newest);
    ck_assert(zoo_responder_next_report(r, now, &report));
    ck_assert_uint_eq(report.probe.flags, 0);
    ck_assert_uint_ne(report.probe.challenge, challenge);
    ck_assert_uint_eq(zoo_responder_count(r), 1);
}
END_TEST

/* A round at first contact of which some requests are refused and then others
 * are not: one report says that all of them have arrived. */
START_TEST(split_at_first_contact)
{
    struct zoo_probe probe = request(200, 5, 4);
    struct zoo_report report;

    grant = (struct zoo_rx_grant) { .refused = true, .ctl = 2 };
    ck_assert_int_eq(receive_from(2, &probe, 40001), ZOO_PROBE_OK);
    tunnel->tun_id = htonll(77);
    ck_assert_int_eq(receive_from(3, &probe, 40000), ZOO_PROBE_OK);
    ck_assert_int_eq(receive_from(2, &probe, 40003), ZOO_PROBE_OK);
    ck_assert_int_eq(receive_from(4, &probe, 40000), ZOO_PROBE_OK);

    now += MSEC / 2;
    grant = (struct zoo_rx_grant) { .refused = false };
    /* A copy of one that was refused is none of the round's other requests. */
    ck_assert_int_eq(receive_from(2, &probe, 40001), ZOO_PROBE_REPLAYED);
    ck_assert_uint_eq(zoo_responder_count(r), 1);
    check_no_report(now + HOLD);
    ck_assert_int_eq(receive_from(2, &probe, 40000), ZOO_PROBE_OK);
    ck_assert(tunnel->tun_id == htonll(77));
    ck_assert(newest);
    check_no_report(now);
    ck_assert_int_eq(receive_from(2, &probe, 40002), ZOO_PROBE_OK);
    ck_assert(zoo_responder_next_report(r, now, &report));
    ck_assert_uint_eq(report.max_copies, 4);
    ck_assert_uint_eq(report.arrived, 0xf);
    ck_assert_uint_eq(report.probe.ctl, 2);
    ck_assert_uint_eq(report.probe.n_entries, 4);
    for (int i = 0; i < 4; i++) {
        const struct zoo_probe_entry *e = &report.probe.entries[i];

        ck_assert_uint_eq(e->sport, 40000 + i);
        ck_assert_uint_eq(e->last, 5);
        ck_assert_uint_eq(e->age_us, i % 2 ? 500 : 0);
    }

    /* The others' reports are still owed, and no other. */
    check_no_report(now);
    now += ZOO_RESPONDER_REFUSED_HOLD;
    for (uint32_t i = 3; i <= 4; i++) {
        struct zoo_sender_key key = sim_sender(i);

        ck_assert(zoo_responder_next_report(r, now, &report));
        ck_assert_mem_eq(&report.key, &key, sizeof key);
        ck_assert_uint_eq(report.probe.n_entries, 1);
    }
    check_no_report(LLONG_MAX);
}
END_TEST

/* A round at first contact of which some requests have found no room at all: no
 * report says that they have not arrived. */
START_TEST(no_room_at_first_contact)
{
    struct zoo_probe probe = request(200, 5, 4);
    struct zoo_report report;
    uint64_t challenge;

    grant = (struct zoo_rx_grant) { .refused = true, .ctl = 1 };
    for (uint32_t i = 0; i < ZOO_RESPONDER_MAX_STRANGERS; i++) {
        ck_assert_int_eq(receive_from(i + 100, &probe, 40000), ZOO_PROBE_OK);
    }
    ck_assert_int_eq(receive_from(2, &probe, 40000), ZOO_PROBE_REFUSED);
    grant = (struct zoo_rx_grant) { .refused = false };
    ck_assert_int_eq(receive_from(2, &probe, 40002), ZOO_PROBE_OK);
    ck_assert_int_eq(receive_from(2, &probe, 40001), ZOO_PROBE_OK);
    now += HOLD;
    ck_assert(zoo_responder_next_report(r, now, &report));
    ck_assert_uint_eq(report.probe.n_entries, 2);
    ck_assert_uint_eq(report.arrived, 3);
    for (int i = 0; i < 2; i++) {
        ck_assert_uint_eq(report.probe.entries[i].sport, 40002 - i);
        ck_assert_uint_eq(report.probe.entries[i].last, 5);
    }
    challenge = report.probe.challenge;

    /* What comes later is answered as always, but for a sign that the round
     * before that is not known as a whole. */
    for (uint32_t round = 6; round < 30; round++) {
        probe.round = round;
        for (int i = 0; i < 3; i++) {
            ck_assert_int_eq(receive_from(2, &probe, 40000 + i),
                             ZOO_PROBE_OK);
        }
        now += HOLD;
        ck_assert(zoo_responder_next_report(r, now, &report));
        ck_assert_uint_eq(report.probe.n_entries, 4);
        ck_assert_uint_eq(report.probe.entries[3].last, 0);
        ck_assert_int_eq(report.probe.challenge != challenge, round <= 22);
        challenge = report.probe.challenge;
    }
}
END_TEST

/* The same where ports are rewritten: a report must list something. */
START_TEST(no_room_and_rewritten)
{
    struct zoo_probe probe = request(200, 5, 4);
    struct zoo_report report;

    grant = (struct zoo_rx_grant) { .ctl = ZOO_PROBE_CTL_UNSEEN };
    ck_assert_int_eq(receive_from(2, &probe, 50000), ZOO_PROBE_OK);
    now += HOLD;
    ck_assert(zoo_responder_next_report(r, now, &report));
    ck_assert_uint_eq(report.probe.n_entries, 4);
    ck_assert_uint_eq(report.probe.flags & ZOO_PROBE_F_REWRITTEN,
                      ZOO_PROBE_F_REWRITTEN);
}
END_TEST

/* Prober and responder at first contact, in the midst of a flood: whatever is
 * refused, and for whatever reason, has not been lost.  (Not all of it, as long
 * silence is a failure.) */
START_TEST(refused_is_never_lost)
{
    struct zoo_rx_grant granted = { .refused = false };
    struct zoo_rx_grant refused_ = { .refused = true, .ctl = 1 };
    struct zoo_probe flood = request(9, 1, 1);
    uint32_t n_reports = 0;

    for (uint32_t seed = 0; seed < 300; seed++) {
        unsigned int refusals = random_range(100);
        unsigned int n_silent = random_range(3);
        struct zoo_peer peer;
        uint32_t from = 200000 + seed;

        zoo_responder_destroy(r);
        r = zoo_responder_create();
        zoo_peer_init(&peer, &sim_defaults, &seed, sizeof seed, 1,
                      random_uint64(), now);
        for (int step = 0; step < 1000; step++) {
            struct zoo_report report;
            bool used[ZOO_N_BUCKETS] = { true };
            uint32_t set;

            now += MSEC;
            grant = refused_;
            for (unsigned int i = random_range(3); i; i--) {
                receive_from(random_range(100000), &flood, 40000);
            }
            if (step < 100) {
                continue;
            }
            zoo_peer_use(&peer, used, &sim_defaults, now);
            set = zoo_peer_run(&peer, &sim_defaults, now);
            if (set) {
                struct zoo_probe probe;

                zoo_peer_request(&peer, set, &probe);
                zoo_peer_sent(&peer, true, now);
                for (unsigned int i = 0; i < probe.n_entries; i++) {
                    bool needed = (peer.round > n_silent
                                   && i == probe.n_entries - 1);

                    grant = (!needed && random_range(100) < refusals
                             ? refused_ : granted);
                    receive_from(from, &probe, probe.entries[i].sport);
                    now += 1000;
                }
            }
            while (zoo_responder_next_report(r, now, &report)) {
                if (report.probe.session == peer.session) {
                    zoo_peer_report(&peer, &sim_defaults, &report.probe,
                                    peer.table.sport[0], now);
                    n_reports++;
                }
            }
            for (unsigned int i = 0; i < peer.table.n; i++) {
                ck_assert_msg(!peer.candidates[i].lost, "seed %u, step %d: "
                              "candidate %u has lost %u", seed, step, i,
                              peer.candidates[i].lost);
            }
        }
        ck_assert_int_eq(peer.state, ZOO_PEER_ACTIVE);
        zoo_peer_uninit(&peer);
    }
    ck_assert_uint_gt(n_reports, 300 * 3);
}
END_TEST

/* However many such there are, nothing grows, nobody's place is taken, and who
 * is known is answered. */
START_TEST(flood_of_strangers)
{
    struct zoo_probe known = request(7, 1, 1);
    struct zoo_report report;
    unsigned int n_answers = 0, n_known = 0;

    ck_assert_int_eq(receive(&known, 40000), ZOO_PROBE_OK);
    ck_assert(zoo_responder_next_report(r, now, &report));
    for (uint32_t i = 0; i < 100000; i++) {
        struct zoo_probe probe = request(i + 100, 1, 1);
        enum zoo_probe_error error;

        grant = (struct zoo_rx_grant) { .refused = true, .ctl = 1 };
        error = receive_from(i + 100, &probe, 40000);
        ck_assert(!error || error == ZOO_PROBE_REFUSED);
        if (i % 1000 == 0) {
            grant = (struct zoo_rx_grant) { .refused = false };
            known.round++;
            ck_assert_int_eq(receive(&known, 40000), ZOO_PROBE_OK);
        }
        now += 10 * 1000;
        while (zoo_responder_next_report(r, now, &report)) {
            ck_assert_uint_eq(report.max_copies, 1);
            ck_assert_uint_eq(report.probe.n_entries, 1);
            n_known += report.probe.session == 7;
            n_answers++;
        }
    }
    ck_assert_uint_eq(zoo_responder_count(r), 1);
    ck_assert_uint_eq(n_known, 100);
    n_answers -= n_known;
    ck_assert_uint_le(n_answers, ZOO_RESPONDER_MAX_STRANGERS * 10);
    ck_assert_uint_ge(n_answers, ZOO_RESPONDER_MAX_STRANGERS * 9);
}
END_TEST

/* Middleboxes with one address are senders of their own: one's session neither
 * displaces nor challenges another's, and each gets its own reports. */
START_TEST(middleboxes_with_one_address)
{
    for (uint8_t b = 1; b <= 3; b++) {
        struct zoo_probe probe = request(100 + b, 1, 2);
        struct zoo_sender_key key = sim_sender(1);
        struct zoo_report report;

        key.backend = (struct eth_addr) ETH_ADDR_C(02,00,00,00,00,00);
        key.backend.ea[5] = b;
        for (unsigned int i = 0; i < 2; i++) {
            ck_assert_int_eq(zoo_responder_receive(r, &key, 40000 + i, &probe,
                                                   now, now, random_uint64(),
                                                   grant, &tunnel, &newest),
                             ZOO_PROBE_OK);
        }
        ck_assert(zoo_responder_next_report(r, now, &report));
        ck_assert_uint_eq(report.probe.session, 100 + b);
        ck_assert_uint_eq(report.probe.flags, 0);
        ck_assert_uint_eq(report.probe.entries[1].last, 1);
        ck_assert(eth_addr_equals(report.key.backend, key.backend));
    }
    ck_assert_uint_eq(zoo_responder_count(r), 3);
}
END_TEST

/* What a session says that is not the adopted one, or has said before, does not
 * count, although it may be answered. */
START_TEST(only_the_newest_counts)
{
    struct zoo_probe old = request(7, 1, 2), current = request(8, 1, 2);
    struct zoo_report report;

    ck_assert_int_eq(receive(&current, 40000), ZOO_PROBE_OK);
    ck_assert(newest);
    ck_assert_int_eq(receive(&current, 40001), ZOO_PROBE_OK);
    ck_assert(newest);
    ck_assert(zoo_responder_next_report(r, now, &report));

    /* Recorded before the sender was restarted: challenged only. */
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(receive(&old, 40000), ZOO_PROBE_OK);
        ck_assert(!newest);
        now += HOLD;
        ck_assert(zoo_responder_next_report(r, now, &report));
        ck_assert_uint_eq(report.probe.flags, ZOO_PROBE_F_CHALLENGE);
    }

    /* A straggler, and what is rejected. */
    current = request(8, 3, 1);
    ck_assert_int_eq(receive(&current, 40000), ZOO_PROBE_OK);
    ck_assert(newest);
    current = request(8, 2, 1);
    ck_assert_int_eq(receive(&current, 40000), ZOO_PROBE_OK);
    ck_assert(!newest);
    current = request(8, 3, 1);
    ck_assert_int_eq(receive(&current, 40000), ZOO_PROBE_REPLAYED);
    ck_assert(!newest);
}
END_TEST

/* Bounds. */

START_TEST(senders_are_bounded)
{
    struct zoo_probe probe = request(7, 1, 1);
    struct zoo_sender_key key;

    for (uint32_t i = 0; i < ZOO_RESPONDER_MAX_SENDERS; i++) {
        unit_assert(!receive_from(i, &probe, 40000), "sender %u", i);
    }
    ck_assert_uint_eq(zoo_responder_count(r), ZOO_RESPONDER_MAX_SENDERS);
    probe.round = 2;
    ck_assert_int_eq(receive_from(0, &probe, 40000), ZOO_PROBE_OK);

    /* One more displaces the one that has been silent for longest. */
    ck_assert_int_eq(receive_from(99999, &probe, 40000), ZOO_PROBE_OK);
    ck_assert_uint_eq(zoo_responder_count(r), ZOO_RESPONDER_MAX_SENDERS);
    key = sim_sender(1);
    ck_assert(!zoo_responder_knows(r, &key, 0, LLONG_MIN));
    key = sim_sender(0);
    ck_assert(zoo_responder_knows(r, &key, 0, LLONG_MIN));
    zoo_responder_forget(r, &key);
    ck_assert_uint_eq(zoo_responder_count(r), ZOO_RESPONDER_MAX_SENDERS - 1);
}
END_TEST

START_TEST(silent_senders_expire)
{
    struct zoo_probe probe = request(7, 1, 1), other = request(8, 1, 1);
    long long int begin = now;

    receive_from(1, &probe, 40000);
    receive_from(2, &probe, 40000);
    receive_from(3, &probe, 40000);

    now = begin + 200 * SEC;
    probe.round = 2;
    receive_from(1, &probe, 40000);
    /* Replays and sessions that have proved nothing keep nobody. */
    probe.round = 1;
    ck_assert_int_eq(receive_from(2, &probe, 40000), ZOO_PROBE_REPLAYED);
    for (struct zoo_report report;
         zoo_responder_next_report(r, now, &report); ) {
        continue;
    }
    ck_assert_int_eq(receive_from(3, &other, 40000), ZOO_PROBE_OK);

    zoo_responder_expire(r, begin + 300 * SEC - 1);
    ck_assert_uint_eq(zoo_responder_count(r), 3);
    zoo_responder_expire(r, begin + 300 * SEC);
    ck_assert_uint_eq(zoo_responder_count(r), 1);
    check_no_report(begin + 201 * SEC - HOLD - SEC - SEC);
    zoo_responder_expire(r, begin + 500 * SEC);
    ck_assert_uint_eq(zoo_responder_count(r), 0);
    /* Reports owed have gone with them. */
    ck_assert_int_eq(zoo_responder_next_due(r), LLONG_MAX);
    check_no_report(LLONG_MAX);
}
END_TEST

/* A sender that changes its ports does not fill anything: the port that has
 * been silent for longest is forgotten. */
START_TEST(ports_of_a_sender_are_bounded)
{
    struct zoo_report report;

    for (uint32_t round = 1; round <= 40; round++) {
        struct zoo_probe probe = request(7, round, 1);

        probe.entries[0].sport = 50000 + round;
        exchange(&probe);
        now += SEC;
    }
    struct zoo_probe probe = request(7, 41, 2);
    probe.entries[0].sport = 50008;     /* Forgotten. */
    probe.entries[1].sport = 50009;     /* Just not. */
    receive(&probe, 50009);
    ck_assert(zoo_responder_next_report(r, now + HOLD, &report));
    ck_assert_uint_eq(report.probe.entries[0].last, 0);
    ck_assert_uint_eq(report.probe.entries[1].last, 41);
}
END_TEST

/* The caller's data. */
START_TEST(tunnel_of_a_sender)
{
    struct zoo_probe probe = request(7, 1, 1);
    struct zoo_sender_key key = sim_sender(1);
    struct zoo_report report;

    ck_assert(!zoo_responder_knows(r, &key, 0, LLONG_MIN));
    receive(&probe, 40000);
    ck_assert_int_eq(tunnel->checked, 0);
    tunnel->checked = now;
    tunnel->port.ofp_port = 17;
    ck_assert(zoo_responder_knows(r, &key, 0, now));
    ck_assert(!zoo_responder_knows(r, &key, 0, now + 1));
    ck_assert(zoo_responder_next_report(r, now, &report));
    ck_assert_uint_eq(report.tunnel.port.ofp_port, 17);

    probe.round = 2;
    receive(&probe, 40000);
    ck_assert_int_eq(tunnel->checked, now);
    zoo_responder_forget(r, &key);
    ck_assert(!zoo_responder_knows(r, &key, 0, LLONG_MIN));
    ck_assert_int_eq(zoo_responder_next_due(r), LLONG_MAX);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("responder");
    TCase *tc;

    tc = unit_case(s, "reports", 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, complete_round);
    tcase_add_test(tc, stragglers_are_awaited);
    tcase_add_test(tc, old_stragglers_cause_no_report);
    tcase_add_test(tc, order_of_reports);
    tcase_add_test(tc, due_stays_due);
    tcase_add_test(tc, urgency_is_repeated);
    tcase_add_test(tc, rewritten_ports_show);
    tcase_add_test(tc, history_of_random_rounds);
    tcase_add_test(tc, no_amplification);

    tc = unit_case(s, "sessions", 60);
    tcase_add_test(tc, refused);
    tcase_add_test(tc, refused_at_first_contact);
    tcase_add_test(tc, split_at_first_contact);
    tcase_add_test(tc, no_room_at_first_contact);
    tcase_add_test(tc, no_room_and_rewritten);
    tcase_add_test(tc, refused_is_never_lost);
    tcase_add_test(tc, flood_of_strangers);
    tcase_add_test(tc, middleboxes_with_one_address);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, new_session_must_repeat_a_challenge);
    tcase_add_test(tc, recorded_session_changes_nothing);
    tcase_add_test(tc, unproven_session_does_not_displace_a_report);
    tcase_add_test(tc, rounds_are_not_replayed);
    tcase_add_test(tc, highest_rounds);
    tcase_add_test(tc, only_the_newest_counts);

    tc = unit_case(s, "bounds", 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, senders_are_bounded);
    tcase_add_test(tc, silent_senders_expire);
    tcase_add_test(tc, ports_of_a_sender_are_bounded);
    tcase_add_test(tc, tunnel_of_a_sender);

    return unit_run(s);
}
