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

/* Many peers within one rate of requests, in virtual time: the loop of the
 * ZooRoute thread, and peers whose answers take a millisecond. */

#include <config.h>
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "ofproto-zoo/zoo-schedule.h"
#include "random.h"
#include "sim.h"
#include "util.h"

#define TICK (10 * MSEC)
#define USE_INTERVAL (100 * MSEC)
#define BATCH 64
#define N_DEAD 8                /* Candidates of a path that dies. */
#define AT_ONCE 96              /* Requests that a receiver's queue holds. */

struct member {
    struct zoo_schedule_node node;
    struct zoo_peer peer;
    struct zoo_probe request;   /* Under way if 'due'. */
    long long int due;
    bool path_fails, silent;
    unsigned int n_rounds;
    long long int last, longest_gap, failed_over;
    uint32_t arrived[ZOO_MAX_CANDIDATES];
    uint16_t history[ZOO_MAX_CANDIDATES];
};

static struct zoo_schedule schedule;
static struct member *members;
static unsigned int n_members;
static unsigned int rate;
static long long int now;
static uint64_t n_visits, n_requests;
static unsigned int rounds, requests;           /* In this tick. */
static unsigned int most_rounds, most_requests; /* In one tick. */

static void
start(unsigned int n, unsigned int rate_, unsigned int n_used)
{
    bool used[ZOO_N_BUCKETS] = { false };

    memset(used, true, n_used);
    unit_seed(0);
    now = 1000 * SEC;
    rate = rate_;
    n_members = n;
    n_visits = n_requests = 0;
    members = xcalloc(n, sizeof *members);
    zoo_schedule_init(&schedule);
    zoo_schedule_refill(&schedule, rate, now);
    for (unsigned int i = 0; i < n; i++) {
        struct member *m = &members[i];

        zoo_peer_init(&m->peer, &sim_defaults, &i, sizeof i, 1,
                      random_uint64(),
                      now);
        m->last = now;
        zoo_schedule_add(&schedule, &m->node, &m->peer, LLONG_MAX);
        zoo_peer_use(&m->peer, used, &sim_defaults, now);
        zoo_schedule_update(&schedule, &m->node, &sim_defaults, now);
    }
}

static void
stop(void)
{
    for (unsigned int i = 0; i < n_members; i++) {
        zoo_schedule_remove(&schedule, &members[i].node);
    }
    ck_assert(heap_is_empty(&schedule.heap));
    ck_assert(ovs_list_is_empty(&schedule.urgent));
    ck_assert(ovs_list_is_empty(&schedule.others));
    heap_destroy(&schedule.heap);
    free(members);
}

/* Answers the request of 'm' that is under way. */
static void
answer(struct member *m)
{
    struct zoo_probe report = m->request;

    report.type = ZOO_PROBE_REPORT;
    report.flags = 0;
    report.challenge = 77;
    for (unsigned int k = 0; k < report.n_entries; k++) {
        struct zoo_probe_entry *e = &report.entries[k];
        int c = zoo_path_table_find(&m->peer.table, e->sport);

        if (!m->path_fails || c >= N_DEAD) {
            uint32_t n = report.round - m->arrived[c];

            m->history[c] = (!m->arrived[c] || n > 16 ? 0
                             : (m->history[c] * 2u | 1) << (n - 1));
            m->arrived[c] = report.round;
        }
        e->last = m->arrived[c];
        e->history = m->history[c];
    }
    ck_assert_int_eq(zoo_peer_report(&m->peer, &sim_defaults, &report, 0,
                                     m->due),
                     ZOO_PROBE_OK);
    m->due = 0;
    zoo_schedule_update(&schedule, &m->node, &sim_defaults, now);
}

static void
note_events(struct member *m)
{
    if (m->peer.failovers && !m->failed_over) {
        m->failed_over = now;
    }
}

static void
run_peers(void)
{
    uint64_t requests_before = n_requests;
    struct zoo_schedule_node *node;
    enum zoo_budget budget;
    unsigned int n, n_rounds = 0;

    while ((node = zoo_schedule_visit(&schedule, now))) {
        n_visits++;
        zoo_peer_run_within(node->peer, &sim_defaults, ZOO_BUDGET_NONE, now);
        zoo_schedule_update(&schedule, node, &sim_defaults, now);
    }
    do {
        struct member *sent[BATCH];

        zoo_schedule_refill(&schedule, rate, now);
        for (n = 0; (n < BATCH
                     && (node = zoo_schedule_take(&schedule, &budget))); ) {
            struct member *m = CONTAINER_OF(node, struct member, node);
            uint32_t set = zoo_peer_run_within(&m->peer, &sim_defaults, budget,
                                               now);

            if (set) {
                sent[n++] = m;
                zoo_peer_request(&m->peer, set, &m->request);
                n_requests += m->request.n_entries;
            }
            zoo_schedule_sent(&schedule, node, &sim_defaults,
                              set ? m->request.n_entries : 0, now);
        }
        for (unsigned int i = 0; i < n; i++) {
            struct member *m = sent[i];

            m->longest_gap = MAX(m->longest_gap, now - m->last);
            m->last = now;
            m->n_rounds++;
            m->due = now + MSEC;
            zoo_peer_sent(&m->peer, true, now);
            zoo_schedule_update(&schedule, &m->node, &sim_defaults, now);
        }
        n_rounds += n;
    } while (n == BATCH);
    ck_assert_uint_le(n_requests - requests_before, MAX(AT_ONCE, rate / 500));
    rounds += n_rounds;
    requests += n_requests - requests_before;
    most_rounds = MAX(most_rounds, rounds);
    most_requests = MAX(most_requests, requests);
}

/* What is not the schedule's: members' traffic, in the buckets 'used', and
 * answers. */
static void
tick(const bool used[ZOO_N_BUCKETS])
{
    rounds = requests = 0;
    for (unsigned int i = 0; i < n_members; i++) {
        struct member *m = &members[i];

        if (now % USE_INTERVAL == 0) {
            zoo_peer_use(&m->peer, used, &sim_defaults, now);
        }
        if (m->due && now >= m->due && !m->silent) {
            answer(m);
        }
        note_events(m);
    }
}

/* Lets 'duration' pass, with 'n_used' buckets of every member in use. */
static void
run(long long int duration, unsigned int n_used)
{
    bool used[ZOO_N_BUCKETS] = { false };

    memset(used, true, n_used);
    for (long long int end = now + duration; now < end; now += MSEC) {
        if (now % TICK == 0) {
            tick(used);
        }
        if (zoo_schedule_next(&schedule, TICK) <= now) {
            run_peers();
        }
    }
}

/* Seven times as many peers as the rate is enough for: they get equal
 * shares, and where a path dies it is noticed by all. */
START_TEST(equal_shares)
{
    unsigned int min = UINT_MAX, max = 0;
    long long int longest_gap = 0, latest = 0;

    start(400, 20000, ZOO_N_BUCKETS);
    run(30 * SEC, ZOO_N_BUCKETS);
    for (unsigned int i = 0; i < n_members; i++) {
        struct member *m = &members[i];

        min = MIN(min, m->n_rounds);
        max = MAX(max, m->n_rounds);
        longest_gap = MAX(longest_gap, m->longest_gap);
        unit_assert(!m->peer.failovers, "peer %u", i);
        m->path_fails = i % 10 == 5;
    }
    printf("400 peers, room for 57: %u to %u rounds of each in 30 s, "
           "%.2f s apart at most\n", min, max, longest_gap / (double) SEC);
    ck_assert_uint_ge(min, max * 9 / 10);
    ck_assert_int_le(longest_gap, 900 * MSEC);
    ck_assert_uint_gt(schedule.n_delayed, 10000);
    ck_assert_uint_le(n_requests, 30 * 20000 + 300);

    long long int begin = now;
    run(10 * SEC, ZOO_N_BUCKETS);
    for (unsigned int i = 0; i < n_members; i++) {
        const struct member *m = &members[i];

        unit_assert(!m->failed_over == !m->path_fails, "peer %u", i);
        latest = MAX(latest, m->failed_over - begin);
    }
    printf("a path of 40 dies: the last moves after %.2f s\n",
           latest / (double) SEC);
    ck_assert_int_le(latest, 2 * SEC);
    stop();
}
END_TEST

/* Whoever waits is not looked at again and again. */
START_TEST(waiting_takes_no_time)
{
    start(4000, 20000, ZOO_N_BUCKETS);
    run(10 * SEC, ZOO_N_BUCKETS);
    printf("4000 peers, room for 57: %.0f visits/s\n", n_visits / 10.);
    ck_assert_uint_le(n_visits, 10 * 4000 * 2);
    stop();
}
END_TEST

/* A loss is confirmed at once, although others wait: it takes the turn that
 * shows it, after half the time between two on average, and little more. */
START_TEST(losses_go_first)
{
    long long int sum = 0, gap = 0;
    unsigned int n = 20;

    start(200, 20000, ZOO_N_BUCKETS);
    run(10 * SEC, ZOO_N_BUCKETS);
    for (unsigned int i = 0; i < n_members; i++) {
        members[i].longest_gap = 0;
    }
    for (unsigned int i = 0; i < n; i++) {
        struct member *m = &members[7 * i];
        long long int begin = now;

        m->path_fails = true;
        run(2 * SEC + 17 * MSEC, ZOO_N_BUCKETS);
        unit_assert(m->failed_over, "peer %u", 7 * i);
        sum += m->failed_over - begin;
        gap = MAX(gap, members[6].longest_gap);
    }
    printf("200 peers, room for 57: one moves %.2f s after the loss on "
           "average, rounds are up to %.2f s apart\n", sum / n / (double) SEC,
           gap / (double) SEC);
    ck_assert_int_le(sum / n, gap);
    stop();
}
END_TEST

/* Many that fall silent at once leave others their turns. */
START_TEST(silence_does_not_starve_others)
{
    long long int gap = 0;

    start(800, 20000, ZOO_N_BUCKETS);
    run(10 * SEC, ZOO_N_BUCKETS);
    for (unsigned int i = 0; i < n_members; i++) {
        members[i].silent = i % 16;
        members[i].longest_gap = 0;
    }
    run(10 * SEC, ZOO_N_BUCKETS);
    for (unsigned int i = 0; i < n_members; i += 16) {
        gap = MAX(gap, members[i].longest_gap);
        unit_assert(!members[i].peer.failovers, "peer %u", i);
    }
    printf("750 of 800 peers fall silent: rounds of others are up to %.2f s "
           "apart\n", gap / (double) SEC);
    ck_assert_int_le(gap, 3 * SEC);
    stop();
}
END_TEST

/* Where the rate is enough nobody waits. */
START_TEST(enough)
{
    start(50, 20000, ZOO_N_BUCKETS);
    run(5 * SEC, ZOO_N_BUCKETS);
    uint64_t delayed = schedule.n_delayed;
    run(20 * SEC, ZOO_N_BUCKETS);
    for (unsigned int i = 0; i < n_members; i++) {
        unit_assert(members[i].n_rounds >= 225, "peer %u: %u rounds", i,
                    members[i].n_rounds);
    }
    printf("50 peers, room for 57: %"PRIu64" of %"PRIu64" rounds waited\n",
           schedule.n_delayed - delayed, n_requests / 32);
    stop();

    /* Not even at one request a second is anybody forgotten. */
    start(3, 1, 1);
    run(600 * SEC, 1);
    for (unsigned int i = 0; i < n_members; i++) {
        unit_assert(members[i].n_rounds >= 3, "peer %u: %u rounds", i,
                    members[i].n_rounds);
    }
    stop();
}
END_TEST

/* Runs for 'duration' and says how many rounds come in one tick. */
static unsigned int
most_in_a_tick(long long int duration, unsigned int n_used, const char *when)
{
    most_rounds = most_requests = 0;
    run(duration, n_used);
    printf("100 peers, %u candidates in use, %s: at most %u rounds, %u "
           "requests in 10 ms\n", n_used, when, most_rounds, most_requests);
    return most_rounds;
}

/* Peers that wake up together, or lose probes together, do not probe together
 * for long. */
START_TEST(rounds_are_spread)
{
    for (unsigned int n_used = 4; n_used <= 32; n_used *= 8) {
        unsigned int max = n_used == 4 ? 40 : 35;

        start(100, 100000, n_used);
        most_in_a_tick(200 * MSEC, n_used, "at first");
        run(2 * SEC, n_used);
        ck_assert_uint_le(most_in_a_tick(SEC, n_used, "after 2 s"), 3 * max / 2);
        run(20 * SEC, n_used);
        ck_assert_uint_le(most_in_a_tick(5 * SEC, n_used, "after 23 s"), max);

        for (unsigned int i = 0; i < n_members; i++) {
            members[i].path_fails = true;
        }
        most_in_a_tick(2 * SEC, n_used, "while a path of all dies");
        for (unsigned int i = 0; i < n_members; i++) {
            members[i].path_fails = false;
        }
        run(20 * SEC, n_used);
        ck_assert_uint_le(most_in_a_tick(5 * SEC, n_used, "20 s later"), max);
        stop();
    }
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("schedule");
    TCase *tc;

    tc = unit_case(s, "schedule", 120);
    tcase_add_test(tc, equal_shares);
    tcase_add_test(tc, waiting_takes_no_time);
    tcase_add_test(tc, losses_go_first);
    tcase_add_test(tc, silence_does_not_starve_others);
    tcase_add_test(tc, enough);
    tcase_add_test(tc, rounds_are_spread);
    return unit_run(s);
}
