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

/* Turns: many peers whose candidates are traced one by one. */

#include <config.h>
#include "unit.h"

#include <limits.h>

#include "hash.h"
#include "ofproto-zoo/zoo-turns.h"
#include "random.h"
#include "util.h"

#define MSEC (1000 * 1000LL)
#define SEC (1000 * MSEC)

#define INTERVAL (600 * SEC)
#define STEP SEC                /* From one look to the next. */
#define MAX_PEERS 1000

static struct zoo_turns turns;
static long long int now;

struct peer {
    uint32_t key;
    bool ready;
    long long int last;         /* When its last turn began, or since when it
                                 * has waited for the first. */
    unsigned int n;             /* Turns. */
};
static struct peer peers[MAX_PEERS];

static void
setup(void)
{
    zoo_turns_init(&turns, sizeof peers->key, INTERVAL);
    now = 1000 * SEC;
    for (uint32_t i = 0; i < MAX_PEERS; i++) {
        peers[i] = (struct peer) { .key = i, .ready = true, .last = now };
    }
}

static void
teardown(void)
{
    zoo_turns_clear(&turns);
    hmap_destroy(&turns.members);
}

/* A look at 'n' peers.  Returns the one whose turn begins, or NULL. */
static struct peer *
look(unsigned int n)
{
    unsigned int first = random_range(n);
    uint32_t key;

    zoo_turns_begin(&turns);
    for (unsigned int i = 0; i < n; i++) {
        /* In no order, as the peers of a table are. */
        const struct peer *p = &peers[(first + i) % n];

        zoo_turns_offer(&turns, &p->key, hash_int(p->key, 0), p->ready, now);
    }
    return zoo_turns_take(&turns, now, &key) ? &peers[key % MAX_PEERS] : NULL;
}

/* For 'duration', 'n' peers have their turns, of 'turn' ns.  Checks that none
 * waits for longer than 'max', and none has one too soon. */
static void
run(unsigned int n, long long int turn, long long int duration,
    long long int max)
{
    for (long long int end = now + duration; now < end; now += STEP) {
        struct peer *p = look(n);

        if (p) {
            unit_assert(p->ready, "%u is not ready", p->key);
            unit_assert(!p->n || now - p->last >= INTERVAL,
                        "%u again after %lld ms", p->key,
                        (now - p->last) / MSEC);
            unit_assert(now - p->last <= max, "%u of %u after %lld ms",
                        p->key, n, (now - p->last) / MSEC);
            p->last = now;
            p->n++;
            now += turn;
        }
    }
    for (unsigned int i = 0; i < n; i++) {
        unit_assert(!peers[i].ready || now - peers[i].last <= max,
                    "%u of %u waits for %lld ms", i, n,
                    (now - peers[i].last) / MSEC);
    }
}

/* Few have one each interval, many one when all others have had theirs. */
START_TEST(round_robin)
{
    static const unsigned int ns[] = { 1, 50, 100, 150, 300, MAX_PEERS };

    for (size_t k = 0; k < ARRAY_SIZE(ns); k++) {
        long long int turn = 4 * SEC;
        long long int all = ns[k] * (turn + STEP);
        long long int max = MAX(all, INTERVAL + all) + STEP;
        unsigned int least = UINT_MAX, most = 0;

        setup();
        run(ns[k], turn, 4 * MAX(all, INTERVAL), max);
        for (unsigned int i = 0; i < ns[k]; i++) {
            least = MIN(least, peers[i].n);
            most = MAX(most, peers[i].n);
        }
        unit_assert(least >= 3 && most <= least + 1, "%u peers: %u...%u",
                    ns[k], least, most);
        teardown();
    }
}
END_TEST

/* New ones get behind those who wait already, however many come. */
START_TEST(newcomers_wait)
{
    const unsigned int n = 100;

    setup();
    ck_assert_ptr_nonnull(look(n));
    for (unsigned int t = 0; t < n - 1; t++) {
        now += STEP;
        /* All others have been gone and are new. */
        for (unsigned int i = n; i < 2 * n; i++) {
            peers[i].key = i + MAX_PEERS * (t + 1);
        }
        struct peer *p = look(2 * n);
        ck_assert_ptr_nonnull(p);
        ck_assert_uint_lt(p - peers, n);
        ck_assert_uint_eq(p->n++, 0);
    }
    ck_assert_uint_eq(hmap_count(&turns.members), 2 * n);
    teardown();
}
END_TEST

/* Who is not ready keeps its place; who is gone is forgotten. */
START_TEST(not_ready)
{
    setup();
    peers[0].ready = false;
    for (unsigned int i = 0; i < 9; i++) {
        ck_assert_uint_ne(look(10)->key, 0);
        now += STEP;
    }
    ck_assert_ptr_null(look(10));
    peers[0].ready = true;
    ck_assert_uint_eq(look(20)->key, 0);
    ck_assert_uint_eq(hmap_count(&turns.members), 20);
    look(5);
    ck_assert_uint_eq(hmap_count(&turns.members), 5);
    teardown();
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("turns");
    TCase *tc = unit_case(suite, "turns", 60);

    tcase_add_test(tc, round_robin);
    tcase_add_test(tc, newcomers_wait);
    tcase_add_test(tc, not_ready);
    return unit_run(suite);
}
