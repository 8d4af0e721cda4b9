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

/* How many requests a destination processes, and what those do about it that
 * send too many: the buckets by themselves, and in the simulator of sim.h. */

#include <config.h>
#include "unit.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "ofproto-zoo/zoo-mode.h"
#include "ofproto-zoo/zoo-rx-limit.h"
#include "openvswitch/dynamic-string.h"
#include "packets.h"
#include "random.h"
#include "sim.h"
#include "util.h"

#define N_PATHS 4

static struct zoo_rx_limit *limit;
static struct sim sim;
static long long int now;

static struct in6_addr
source(uint32_t i)
{
    struct in6_addr address;

    in6_addr_set_mapped_ipv4(&address, htonl(0x0a000000 + i));
    return address;
}

static void
start(unsigned int total, unsigned int per_source)
{
    now = 1000 * SEC;
    limit = zoo_rx_limit_create(1);
    zoo_rx_limit_configure(limit, total, per_source);
}

struct count {
    unsigned int dropped, refused, taken;
    uint8_t ctl;                /* The last one. */
};

/* 'n' requests of source 'i', of which 'authentic' ones or forged ones. */
static void
offer(struct count *c, uint32_t i, unsigned int n, bool authentic)
{
    struct in6_addr address = source(i);

    while (n--) {
        if (!zoo_rx_limit_admit(limit, &address, 0, 0, now)) {
            c->dropped++;
        } else if (authentic) {
            struct zoo_rx_grant grant = zoo_rx_limit_take(limit, &address,
                                                          now);

            c->refused += grant.refused;
            c->taken += !grant.refused;
            c->ctl = grant.ctl;
        }
    }
}

/* Sources 1 to 'n_sources' send 'rate' requests per second each, for
 * 'duration'. */
static void
offer_for(struct count c[], unsigned int n_sources, unsigned int rate,
          long long int duration)
{
    const long long int step = 10 * MSEC;

    memset(c, 0, (n_sources + 1) * sizeof *c);
    for (long long int end = now + duration; now < end; now += step) {
        for (uint32_t i = 1; i <= n_sources; i++) {
            offer(&c[i], i, rate / 100, true);
        }
    }
}

/* One source gets its rate, and what a second is worth at once. */
START_TEST(one_source)
{
    struct count c[2];

    start(100000, 1000);
    offer_for(c, 1, 900, 10 * SEC);
    ck_assert_uint_eq(c[1].taken, 9000);
    ck_assert_uint_eq(c[1].ctl, 0);

    offer_for(c, 1, 3000, SEC);
    offer_for(c, 1, 3000, 10 * SEC);
    ck_assert_uint_ge(c[1].taken, 9900);
    ck_assert_uint_le(c[1].taken, 10100);
    ck_assert_uint_eq(c[1].taken + c[1].refused, 30000);
    ck_assert_uint_eq(c[1].ctl, 2);

    /* It is over at once. */
    now += SEC;
    offer_for(c, 1, 500, SEC);
    ck_assert_uint_eq(c[1].refused, 0);
    ck_assert_uint_eq(c[1].ctl, 0);

    /* So much more than that is not even looked at. */
    offer_for(c, 1, 20000, 10 * SEC);
    ck_assert_uint_ge(c[1].dropped, 150000);
    ck_assert_uint_ge(c[1].ctl, ZOO_PROBE_CTL_UNSEEN);
    now += ZOO_RX_UNSEEN_TIME;
    offer_for(c, 1, 500, SEC);
    ck_assert_uint_eq(c[1].ctl, 0);
    zoo_rx_limit_destroy(limit);
}
END_TEST

/* 100 sources that use all of their candidates at the defaults, and that all
 * lose probes at once, are not refused, and neither is the one whose candidates
 * are all probed at the shortest interval. */
START_TEST(defaults)
{
    const unsigned int rate = 32 * 1000 / 100;
    struct count c[101];

    start(50000, 5000);
    for (int i = 0; i < 10; i++) {
        offer_for(c, 100, rate, SEC);
        for (uint32_t s = 1; s <= 100; s++) {
            offer(&c[s], s, 3 * 32, true);
            unit_assert(!c[s].refused && !c[s].dropped && !c[s].ctl,
                        "source %u: %u refused", s, c[s].refused);
        }
    }
    now += SEC;
    offer_for(c, 1, 3200, 10 * SEC);
    ck_assert_uint_eq(c[1].taken, 32000);
    zoo_rx_limit_destroy(limit);
}
END_TEST

/* 50 sources at ten times their rate neither take what one needs that sends no
 * more than its fair share, though it always comes last, nor more of the
 * processor than they may. */
START_TEST(flood)
{
    struct count c[51], all = { .taken = 0 }, good = { .taken = 0 };
    const int seconds = 20;

    start(1000, 100);
    offer_for(c, 50, 1000, 3 * SEC);    /* Bursts. */
    for (int i = 0; i < 2 * seconds; i++) {
        now -= 10 * MSEC;               /* At the time of the last ones. */
        offer(&good, 99, 9, true);
        now += 10 * MSEC;
        offer_for(c, 50, 1000, 500 * MSEC);
        for (int s = 1; s <= 50; s++) {
            all.taken += c[s].taken;
            all.refused += c[s].refused;
        }
    }
    printf("of %d requests in %d s %u were authenticated and %u taken; of %d "
           "of one within its share %u dropped, %u refused\n",
           50 * 1000 * seconds, seconds, all.taken + all.refused, all.taken,
           18 * seconds, good.dropped, good.refused);
    ck_assert_uint_le(all.taken + all.refused, seconds * 2000);
    ck_assert_uint_le(all.taken + good.taken, seconds * 1000);
    ck_assert_uint_ge(all.taken, seconds * 900);
    ck_assert_uint_eq(good.dropped, 0);
    ck_assert_uint_eq(good.refused, 0);
    ck_assert_uint_eq(good.ctl, ZOO_PROBE_CTL_BUSY);
    now += ZOO_RX_UNSEEN_TIME;
    offer(&good, 99, 9, true);
    ck_assert_uint_eq(good.ctl, 0);
    zoo_rx_limit_destroy(limit);
}
END_TEST

/* Each of 20 sources keeps to what one may send, but together they send twice
 * as much as there is: who sends less than a 20th of that is not asked for
 * less, the others are, and no more is taken than there is. */
START_TEST(fair_shares)
{
    unsigned int taken = 0, refused = 0;
    struct count c[21];

    start(1000, 100);
    offer_for(c, 20, 100, 5 * SEC);
    for (int second = 0; second < 10; second++) {
        for (int step = 0; step < 10; step++) {
            offer_for(c, 20, 100, 90 * MSEC);
            for (uint32_t i = 1; i <= 20; i++) {
                taken += c[i].taken;
                refused += c[i].refused;
            }
            memset(c, 0, sizeof c);
            for (uint32_t i = 101; i <= 120; i++) {
                offer(&c[i - 100], i, 2, true);
                unit_assert(!c[i - 100].refused && !c[i - 100].dropped
                            && !(c[i - 100].ctl & ZOO_PROBE_CTL_DOUBLINGS),
                            "source %"PRIu32": refused", i);
                taken += c[i - 100].taken;
            }
            now += 10 * MSEC;
        }
    }
    ck_assert_uint_le(taken, 10 * 1000 + 1000);
    ck_assert_uint_ge(refused, 10 * 800 - 1000);
    zoo_rx_limit_destroy(limit);
}
END_TEST

/* Among a thousand sources some flood: none of the others, who send less than
 * their fair share, shares anything with one of these, and no more is taken
 * than there is.  That each counts once shows in that shares are as large as
 * they ought to be. */
START_TEST(many_sources)
{
    enum { N_LIGHT = 1000, N_HEAVY = 50, N = N_LIGHT + N_HEAVY };
    const unsigned int total = 10 * N;      /* A fair share is 10/s. */
    unsigned int n_heavy = 0, n_light = 0;
    static struct count c[N + 1];

    for (uint32_t basis = 0; basis < 20; basis++) {
        now = 1000 * SEC;
        limit = zoo_rx_limit_create(basis);
        zoo_rx_limit_configure(limit, total, total / 10);
        memset(c, 0, sizeof c);
        for (int step = 0; step < 5 * 100; step++) {
            for (uint32_t i = N_LIGHT + 1; i <= N; i++) {
                offer(&c[i], i, 100, true);
            }
            /* 9 per second each. */
            for (uint32_t i = 1 + step % 11; i <= N_LIGHT; i += 11) {
                offer(&c[i], i, 1, true);
            }
            now += 10 * MSEC;
        }
        for (uint32_t i = 1; i <= N_LIGHT; i++) {
            unit_assert(!c[i].refused && !c[i].dropped, "basis %"PRIu32
                        ", source %"PRIu32": %u refused, %u dropped", basis,
                        i, c[i].refused, c[i].dropped);
            n_light += c[i].taken;
        }
        for (uint32_t i = N_LIGHT + 1; i <= N; i++) {
            n_heavy += c[i].taken;
        }
        zoo_rx_limit_destroy(limit);
    }
    printf("of %u/s taken: %u of %d light sources, %u of %d that flood\n",
           total, n_light / 100, N_LIGHT, n_heavy / 100, N_HEAVY);
    /* The first seconds' bucket holds two seconds' worth. */
    ck_assert_uint_le(n_light + n_heavy, 20 * (5 + 2) * total);
}
END_TEST

/* Whoever sends from so many addresses that there is no room for all does not
 * get more than one source may have for one that keeps sending, nor has one
 * forgotten that has lost requests. */
START_TEST(more_sources_than_room)
{
    const int seconds = 20;
    struct in6_addr quiet = source(2);
    unsigned int n_unseen = 0;
    uint32_t next = 1000;

    for (int authentic = 0; authentic < 2; authentic++) {
        struct count busy = { .taken = 0 }, others = { .taken = 0 };

        now = 1000 * SEC;
        limit = zoo_rx_limit_create(authentic);
        zoo_rx_limit_configure(limit, 1000000, 100);
        for (int step = 0; step < 100 * seconds; step++) {
            offer(&busy, 1, 3, true);
            for (int i = 0; i < 1000; i++) {
                offer(&others, next++, 1, authentic);
            }
            if (!authentic && step % 400 == 0) {
                /* One is lost on the way to here, the next one arrives after
                 * many others. */
                zoo_rx_limit_admit(limit, &quiet, 1, step, now);
            } else if (!authentic && step % 400 == 150) {
                zoo_rx_limit_admit(limit, &quiet, 2, 0, now);
                n_unseen += !!(zoo_rx_limit_take(limit, &quiet, now).ctl
                               & ZOO_PROBE_CTL_UNSEEN);
            }
            now += 10 * MSEC;
        }
        printf("of 300/s beside 100000/s of as many %s sources: %u taken "
               "in %d s, %u refused\n", authentic ? "authentic" : "forged",
               busy.taken, seconds, busy.refused);
        ck_assert_uint_le(busy.taken, 100 + seconds * 100);
        zoo_rx_limit_destroy(limit);
    }
    ck_assert_uint_eq(n_unseen, seconds / 4 - 1);
}
END_TEST

/* Who forges a source does not make it slow down. */
START_TEST(forged)
{
    struct count c = { .ctl = 0 };

    start(1000, 100);
    for (int i = 0; i < 100; i++) {
        offer(&c, 1, 39, false);
        offer(&c, 1, 1, true);
        now += 100 * MSEC;
    }
    ck_assert_uint_eq(c.refused, 0);
    ck_assert_uint_eq(c.ctl & ZOO_PROBE_CTL_DOUBLINGS, 0);
    zoo_rx_limit_destroy(limit);
}
END_TEST

/* Requests lost on the way to here are known to the reports of their source
 * alone, for a time. */
START_TEST(lost_before)
{
    struct in6_addr a = source(1), b = source(2);

    start(1000, 100);
    ck_assert(zoo_rx_limit_admit(limit, &a, 1, 0, now));
    ck_assert(zoo_rx_limit_admit(limit, &b, 2, 0, now));
    ck_assert_uint_eq(zoo_rx_limit_take(limit, &a, now).ctl, 0);
    ck_assert(zoo_rx_limit_admit(limit, &a, 1, 7, now));
    ck_assert_uint_eq(zoo_rx_limit_take(limit, &a, now).ctl,
                      ZOO_PROBE_CTL_UNSEEN);
    ck_assert_uint_eq(zoo_rx_limit_take(limit, &b, now).ctl, 0);
    now += ZOO_RX_UNSEEN_TIME;
    ck_assert(zoo_rx_limit_admit(limit, &a, 1, 7, now));
    ck_assert_uint_eq(zoo_rx_limit_take(limit, &a, now).ctl, 0);
    zoo_rx_limit_destroy(limit);
}
END_TEST

/* Sources that share a place need not share a counter of what was lost: that
 * these differ is no loss. */
START_TEST(lost_by_another_counter)
{
    struct in6_addr a = source(1);

    start(1000, 100);
    ck_assert(zoo_rx_limit_admit(limit, &a, 1, 7, now));
    ck_assert_uint_eq(zoo_rx_limit_take(limit, &a, now).ctl,
                      ZOO_PROBE_CTL_UNSEEN);
    now += ZOO_RX_UNSEEN_TIME;
    for (int i = 0; i < 10; i++) {
        ck_assert(zoo_rx_limit_admit(limit, &a, i % 2, i % 2 * 7, now));
        ck_assert_uint_eq(zoo_rx_limit_take(limit, &a, now).ctl, 0);
    }
    zoo_rx_limit_destroy(limit);
}
END_TEST

START_TEST(throttled)
{
    struct count c[11];
    unsigned int n[2] = { 0, 0 };

    start(1000, 1000);
    for (int k = 0; k < 2; k++) {
        zoo_rx_limit_throttle(limit, 2 * k);
        offer_for(c, 10, 1000, 2 * SEC);
        offer_for(c, 10, 1000, 10 * SEC);
        for (int s = 1; s <= 10; s++) {
            n[k] += c[s].taken + c[s].refused;
        }
    }
    printf("authenticated in 10 s: %u, throttled %u\n", n[0], n[1]);
    ck_assert_uint_ge(n[1], n[0] / 5);
    ck_assert_uint_le(n[1], n[0] / 3);
    zoo_rx_limit_destroy(limit);
}
END_TEST

/* Two switches. */

static const struct zoo_params eager = {
    .candidates = 32,
    .port_min = 32768,
    .port_max = 60999,
    .probe_interval = 10 * MSEC,
    .full_interval = 100 * MSEC,
    .fail_threshold = 2,
    .recover_successes = 3,
    .recover_window = 5,
    .hold_down = 10 * SEC,
    .peer_idle = 60 * SEC,
};

/* Side 0 sends 3,200 requests a second, side 1 processes 'rate'. */
static void
start_sim(unsigned int rate, uint32_t seed)
{
    unit_seed(seed);
    sim_init(&sim, N_PATHS, &eager);
    sim_use(&sim, 0, ZOO_N_BUCKETS);
    sim_use(&sim, 1, ZOO_N_BUCKETS);
    sim.side[1].params = sim_defaults;
    sim_run(&sim, 3 * SEC);
    sim.side[1].limit = zoo_rx_limit_create(1);
    zoo_rx_limit_configure(sim.side[1].limit, 100000, rate);
}

static void
stop_sim(void)
{
    zoo_rx_limit_destroy(sim.side[1].limit);
    sim_destroy(&sim);
}

/* Returns the requests of side 0 per second. */
static unsigned int
request_rate(long long int duration)
{
    uint64_t before = sim.side[0].n_requests;

    sim_run(&sim, duration);
    return (sim.side[0].n_requests - before) * SEC / duration;
}

static bool
is_slowed(struct sim *s)
{
    return s->side[0].peer.slowed;
}

static bool
is_normal(struct sim *s)
{
    return !is_slowed(s);
}

/* Who is refused slows down, marks nothing bad, and comes back within 5 s. */
START_TEST(slows_down_and_comes_back)
{
    for (uint32_t seed = 0; seed < 20; seed++) {
        unsigned int rate = 320 << seed % 3;
        unsigned int slowed, normal;
        long long int back;

        start_sim(rate, seed);
        ck_assert(sim_run_until(&sim, is_slowed, 5 * SEC) < LLONG_MAX);
        sim_run(&sim, 3 * SEC);
        slowed = request_rate(20 * SEC);
        unit_assert(slowed <= 2 * rate, "seed %u: %u/s of %u", seed, slowed,
                    rate);
        unit_assert(slowed >= rate / 4, "seed %u: %u/s of %u", seed, slowed,
                    rate);
        sim_check_undisturbed(&sim, 0, seed);
        sim_check_undisturbed(&sim, 1, seed);

        zoo_rx_limit_configure(sim.side[1].limit, 100000, 100000);
        back = sim_run_until(&sim, is_normal, 10 * SEC);
        unit_assert(back <= 5 * SEC, "seed %u: %lld ms", seed, back / MSEC);
        normal = request_rate(SEC);
        unit_assert(normal >= 3000, "seed %u: %u/s", seed, normal);
        sim_check_undisturbed(&sim, 0, seed);
        if (seed < 3) {
            printf("of 3200/s a destination takes %u/s: slowed %u/s, back "
                   "after %lld ms, %u/s\n", rate, slowed, back / MSEC, normal);
        }
        stop_sim();
    }
}
END_TEST

/* Requests dropped unseen are no failures either, for one that asks so seldom
 * already that it does not help to be asked for less. */
START_TEST(dropped_is_not_lost)
{
    for (uint32_t seed = 0; seed < 20; seed++) {
        uint64_t *dropped = &sim.side[1].errors[ZOO_PROBE_FLOOD];

        start_sim(40, seed);
        sim_run(&sim, 20 * SEC);
        unit_assert(*dropped >= 100, "seed %u: %"PRIu64, seed, *dropped);
        sim_check_undisturbed(&sim, 0, seed);
        sim_check_undisturbed(&sim, 1, seed);
        stop_sim();
    }
}
END_TEST

/* Side 1 is flooded by others: so often that it makes no difference whose they
 * are, requests are lost on all paths, in bursts. */
static void
set_busy(struct sim *s OVS_UNUSED, struct sim_packet *p)
{
    if (p->from == 1 && p->body[1] == ZOO_PROBE_REPORT) {
        p->body[8] |= ZOO_PROBE_CTL_BUSY;
    }
}

static bool path_0_is_down(struct sim *);

START_TEST(busy_with_others)
{
    for (uint32_t seed = 0; seed < 20; seed++) {
        long long int took;

        unit_seed(seed);
        sim_init(&sim, N_PATHS, &sim_defaults);
        sim_use(&sim, 0, 4);
        sim_run(&sim, 3 * SEC);
        sim.tap = set_busy;
        for (int i = 0; i < 50; i++) {
            sim_set_loss(&sim, 0, SIM_ALL_PATHS, 0.5);
            sim_run(&sim, 10 * MSEC + random_range(50 * MSEC));
            sim_set_loss(&sim, 0, SIM_ALL_PATHS, 0);
            sim_run(&sim, random_range(500 * MSEC));
        }
        sim_check_undisturbed(&sim, 0, seed);
        sim_set_loss_both(&sim, 0, 1);
        took = sim_run_until(&sim, path_0_is_down, 10 * SEC);
        unit_assert(took <= 6 * SEC, "seed %u: %lld ms", seed, took / MSEC);
        sim_destroy(&sim);
    }
}
END_TEST

/* Who is late for the first report arrives all the same. */
START_TEST(busy_and_slow)
{
    for (uint32_t seed = 0; seed < 20; seed++) {
        unit_seed(seed);
        sim_init(&sim, N_PATHS, &sim_defaults);
        sim.path[0][1].delay = 8 * MSEC;
        sim_use(&sim, 0, 4);
        sim.tap = set_busy;
        sim_run(&sim, 60 * SEC);
        sim_check_undisturbed(&sim, 0, seed);
        unit_assert(sim.now - sim.side[0].peer.candidates[1].validated
                    <= SEC, "seed %u", seed);
        sim_destroy(&sim);
    }
}
END_TEST

static bool
path_0_is_down(struct sim *s)
{
    return sim_count(s, 0, 0, ZOO_HEALTH_DOWN) == 32 / N_PATHS;
}

static bool
all_are_down(struct sim *s)
{
    return !zoo_peer_healthy(&s->side[0].peer);
}

/* Checks what is said of why side 0 probes as it does, after the
 * intervals. */
static void
check_mode(const char *why)
{
    struct ds s = DS_EMPTY_INITIALIZER;
    const char *said;

    zoo_mode_format(&sim.side[0].peer, &sim.side[0].params, 0, &s);
    said = strchr(ds_cstr(&s), ',');
    said = said ? strchr(said + 1, ',') : NULL;
    unit_assert(!strcmp(said ? said : "", why), "%s", ds_cstr(&s));
    ds_destroy(&s);
}

/* Side 0 is flooded itself: reports are lost, for up to two seconds, which says
 * nothing about candidates.  Those that fail are found all the same: at once
 * if reports come, and some seconds later if none do. */
START_TEST(flooded_itself)
{
    for (uint32_t seed = 0; seed < 20; seed++) {
        long long int took;

        unit_seed(seed);
        sim_init(&sim, N_PATHS, &sim_defaults);
        sim_use(&sim, 0, 4);
        sim_run(&sim, 2 * SEC);
        check_mode("");
        sim_run(&sim, 5 * SEC);
        check_mode(", all half as often as configured while all answer");
        sim.side[0].params.flooded = true;
        check_mode(", all half as often as configured while all answer, "
                   "silence excused for some seconds since this switch is flooded");
        for (int i = 0; i < 10; i++) {
            sim.drop_reports = true;
            sim_run(&sim, random_range(2 * SEC));
            sim.drop_reports = false;
            sim_run(&sim, random_range(SEC));
        }
        sim_run(&sim, SEC);
        sim_check_undisturbed(&sim, 0, seed);

        sim_set_loss_both(&sim, 0, 1);
        took = sim_run_until(&sim, path_0_is_down, 10 * SEC);
        unit_assert(took <= 3 * SEC, "seed %u: %lld ms", seed, took / MSEC);
        sim_set_loss_both(&sim, SIM_ALL_PATHS, 1);
        took = sim_run_until(&sim, all_are_down, 10 * SEC);
        unit_assert(took <= 6 * SEC, "seed %u: %lld ms", seed, took / MSEC);
        sim_destroy(&sim);
    }
}
END_TEST

/* Requests on odd candidates get to an instance that has died. */
static void
kill_instance(struct sim *s OVS_UNUSED, struct sim_packet *p)
{
    if (p->from == 0 && p->candidate % 2 == 1) {
        p->body[0] = ~p->body[0];
    }
}

static bool
odd_are_down(struct sim *s)
{
    return !(zoo_peer_healthy(&s->side[0].peer) & 0xaaaaaaaa);
}

/* One of two instances behind an address dies while this side is flooded: that
 * the other one answers tells that no reports are lost. */
START_TEST(flooded_and_one_dies)
{
    for (uint32_t seed = 0; seed < 20; seed++) {
        long long int took;

        unit_seed(seed);
        sim_init(&sim, N_PATHS, &sim_defaults);
        sim.side[1].n_instances = 2;
        sim_use(&sim, 0, ZOO_N_BUCKETS);
        sim_run(&sim, 10 * SEC);
        sim.side[0].params.flooded = true;
        sim.tap = kill_instance;
        took = sim_run_until(&sim, odd_are_down, 20 * SEC);
        unit_assert(took <= 3 * SEC, "seed %u: %lld ms", seed, took / MSEC);
        unit_assert(zoo_peer_healthy(&sim.side[0].peer) == 0x55555555,
                    "seed %u", seed);
        sim_destroy(&sim);
    }
}
END_TEST

/* Who is slowed down finds a failure all the same, later. */
START_TEST(still_detects)
{
    for (uint32_t seed = 0; seed < 20; seed++) {
        long long int took;

        start_sim(640, seed);
        sim_run(&sim, 5 * SEC);
        sim_set_loss_both(&sim, 0, 1);
        took = sim_run_until(&sim, path_0_is_down, 10 * SEC);
        unit_assert(took <= 3 * SEC, "seed %u: %lld ms", seed, took / MSEC);
        unit_assert(sim.side[0].peer.state == ZOO_PEER_ACTIVE, "seed %u",
                    seed);
        stop_sim();
    }
}
END_TEST

/* A sender that knows nothing of CTL: what is refused is no failure to it. */
static void
forget_ctl(struct sim *s OVS_UNUSED, struct sim_packet *p)
{
    p->body[8] = 0;
}

START_TEST(older_sender)
{
    for (uint32_t seed = 0; seed < 20; seed++) {
        start_sim(1600, seed);
        sim.tap = forget_ctl;
        sim_run(&sim, 20 * SEC);
        ck_assert_uint_eq(sim.side[0].peer.slowed, 0);
        sim_check_undisturbed(&sim, 0, seed);
        sim_check_undisturbed(&sim, 1, seed);
        stop_sim();
    }
}
END_TEST

/* Only an answer to a round of one's own session may ask for anything, and only
 * the first one; nobody asks for more than there is. */
static uint8_t forged_ctl;
static uint64_t forged_session;
static bool forged_old;

static void
ask_too_much(struct sim *s, struct sim_packet *p)
{
    if (p->body[1] == ZOO_PROBE_REPORT && p->from == 1) {
        struct sim_packet copy = *p;

        copy.body[8] = forged_ctl;
        if (forged_session) {
            memcpy(&copy.body[16], &forged_session, 8);
        }
        if (forged_old) {
            memcpy(&copy.body[12], "\0\0\0\1", 4);
        }
        sim_replay(s, &copy);
    }
}

static bool
is_slowed_most(struct sim *s)
{
    return s->side[0].peer.slowed == ZOO_PEER_MAX_DOUBLINGS;
}

START_TEST(forged_reports)
{
    unit_seed(1);
    sim_init(&sim, N_PATHS, &sim_defaults);
    sim_use(&sim, 0, 4);
    sim_run(&sim, 3 * SEC);
    sim.tap = ask_too_much;
    forged_ctl = ZOO_PROBE_CTL_DOUBLINGS;
    forged_session = 0x1234;
    sim_run(&sim, 3 * SEC);
    ck_assert_uint_eq(sim.side[0].peer.slowed, 0);
    ck_assert_uint_ge(sim.side[0].errors[ZOO_PROBE_UNEXPECTED], 10);
    forged_session = 0;
    forged_old = true;
    sim_run(&sim, 3 * SEC);
    ck_assert_uint_eq(sim.side[0].peer.slowed, 0);

    /* One who knows the session. */
    forged_old = false;
    ck_assert_int_le(sim_run_until(&sim, is_slowed_most, 3 * SEC), 3 * SEC);
    unsigned int n = sim.side[0].n_rounds;
    sim_run(&sim, 20 * SEC);
    ck_assert_uint_ge(sim.side[0].n_rounds - n, 10);
    sim_check_undisturbed(&sim, 0, 1);
    sim_destroy(&sim);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("rx limit");
    TCase *tc;

    tc = unit_case(s, "buckets", 60);
    tcase_add_test(tc, one_source);
    tcase_add_test(tc, defaults);
    tcase_add_test(tc, flood);
    tcase_add_test(tc, fair_shares);
    tcase_add_test(tc, many_sources);
    tcase_add_test(tc, more_sources_than_room);
    tcase_add_test(tc, forged);
    tcase_add_test(tc, lost_before);
    tcase_add_test(tc, lost_by_another_counter);
    tcase_add_test(tc, throttled);

    tc = unit_case(s, "backpressure", 300);
    tcase_add_test(tc, slows_down_and_comes_back);
    tcase_add_test(tc, dropped_is_not_lost);
    tcase_add_test(tc, busy_with_others);
    tcase_add_test(tc, busy_and_slow);
    tcase_add_test(tc, flooded_itself);
    tcase_add_test(tc, flooded_and_one_dies);
    tcase_add_test(tc, still_detects);
    tcase_add_test(tc, older_sender);
    tcase_add_test(tc, forged_reports);
    return unit_run(s);
}
