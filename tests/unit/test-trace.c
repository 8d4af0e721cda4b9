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


/* Traces hop by hop, through networks that hash this or that, and the exchange
 * of candidates that follows from them. */

#include <config.h>
#include "unit.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "hash.h"
#include "openvswitch/dynamic-string.h"
#include "ofproto-zoo/zoo-trace.h"
#include "packets.h"
#include "random.h"
#include "sim.h"
#include "util.h"

#define MSEC (1000 * 1000LL)
#define SEC (1000 * MSEC)

#define N_HOPS 3                /* Before the peer. */
#define FORKS_AT 1              /* The hop after which paths differ. */
#define TWO_PATHS 2             /* That many of them after the first fork. */
#define FRAME_OFS (8 + 14)      /* Of the inner IPv4 header in VXLAN. */
#define TRAILER 16

struct net {
    uint32_t fields;            /* Hashed, 1 << enum zoo_trace_field; by
                                 * ZOO_TRACE_NOTHING: chance. */
    unsigned int n_paths;
    unsigned int n_hops;        /* N_HOPS if 0, */
    unsigned int forks_at;      /* and FORKS_AT. */
    unsigned int forks_again_at; /* There are TWO_PATHS up to this hop if it
                                  * is not 0. */
    uint32_t silent_hops;       /* 1 << hop: never answer. */
    double loss;                /* Of answers. */
    bool answers;               /* The peer itself, too. */
    uint32_t basis;
    uint16_t odd_sport;         /* Takes its paths by chance, 0 if none. */
    unsigned int n_sent;
    struct zoo_trace_probe last;
};

static uint32_t
choose_path(const struct net *net, const struct zoo_trace_probe *probe)
{
    uint32_t hash = net->basis;

    if (net->fields & 1 << ZOO_TRACE_SPORT) {
        hash = hash_int(probe->sport, hash);
    }
    if (net->fields & 1 << ZOO_TRACE_DPORT) {
        hash = hash_int(probe->dport, hash);
    }
    if (net->fields & 1 << ZOO_TRACE_LABEL) {
        hash = hash_int(probe->label, hash);
    }
    if (net->fields & 1 << ZOO_TRACE_INNER) {
        hash = hash_bytes(probe->body + FRAME_OFS,
                          probe->len - FRAME_OFS - TRAILER, hash);
    }
    if (net->fields & 1 << ZOO_TRACE_NOTHING
        || (net->odd_sport && probe->sport == net->odd_sport)) {
        hash = random_uint32();
    }
    return hash % net->n_paths;
}

static struct in6_addr
router_address(const struct net *net, unsigned int ttl, unsigned int path)
{
    unsigned int forks_at = net->forks_at ? net->forks_at : FORKS_AT;

    if (ttl <= forks_at) {
        path = 0;
    } else if (ttl <= net->forks_again_at) {
        path %= TWO_PATHS;
    }
    return in6_addr_mapped_ipv4(htonl(ttl << 8 | path));
}

/* Sends 'probe' into 'net', which answers at once. */
static void
send_probe(struct zoo_trace *trace, struct net *net,
           const struct zoo_trace_probe *probe)
{
    struct in6_addr router = router_address(net, probe->ttl,
                                            choose_path(net, probe));

    net->n_sent++;
    net->last = *probe;
    if (unit_chance(net->loss) || net->silent_hops >> probe->ttl & 1) {
        return;
    } else if (probe->ttl <= (net->n_hops ? net->n_hops : N_HOPS)) {
        ck_assert(zoo_trace_answer(trace, &router, false, probe->body,
                                   probe->len));
        /* Twice the same is but one answer. */
        ck_assert(!zoo_trace_answer(trace, &router, false, probe->body,
                                    probe->len));
    } else if (net->answers) {
        zoo_trace_answer(trace, &router, true, probe->body, probe->len);
    }
}

static void
init(struct zoo_trace *trace, unsigned int n, bool ipv6, bool sports_only)
{
    uint16_t sports[ZOO_TRACE_MAX_PORTS];

    for (unsigned int i = 0; i < n; i++) {
        sports[i] = 40000 + 17 * i;
    }
    zoo_trace_init(trace, UINT64_C(0x0123456789abcdef), ZOO_ENCAP_VXLAN, ipv6,
                   100, sports, n, 4789, sports_only, 0);
}

/* Runs 'trace' to its end.  Returns when that is. */
static long long int
run(struct zoo_trace *trace, struct net *net)
{
    struct zoo_trace_probe probe;
    long long int now = 0;

    while (!zoo_trace_is_done(trace)) {
        ck_assert_int_lt(now, 120 * SEC);
        while (zoo_trace_next(trace, now, &probe)) {
            ck_assert_uint_ge(probe.ttl, 1);
            ck_assert_uint_le(probe.ttl, ZOO_TRACE_MAX_HOPS);
            send_probe(trace, net, &probe);
        }
        now += 50 * MSEC;
        /* The rate, and a step's worth at once. */
        ck_assert_uint_le(net->n_sent, (now * ZOO_TRACE_RATE / SEC
                                        + ZOO_TRACE_RATE / 10));
    }
    ck_assert_int_eq(zoo_trace_when(trace), LLONG_MAX);
    ck_assert(!zoo_trace_next(trace, now, &probe));
    return now;
}

static char *
verdict(const struct zoo_trace *trace)
{
    struct ds s = DS_EMPTY_INITIALIZER;

    zoo_trace_format_verdict(trace, &s);
    return ds_steal_cstr(&s);
}

static void
check_verdict(uint32_t fields, bool ipv6, const char *expected)
{
    struct net net = { .fields = fields, .n_paths = 4, .basis = 7,
                       .answers = true };
    struct zoo_trace trace;
    char *s;

    unit_seed(fields);
    init(&trace, 32, ipv6, false);
    run(&trace, &net);
    s = verdict(&trace);
    ck_assert_str_eq(s, expected);
    free(s);
}

START_TEST(what_is_hashed)
{
    check_verdict(1 << ZOO_TRACE_SPORT | 1 << ZOO_TRACE_DPORT, false,
                  "yes: 32 candidates reach 4 distinct paths\n"
                  "hashed: outer source port, outer destination port; "
                  "not hashed: inner headers\n");
    check_verdict(1 << ZOO_TRACE_SPORT, true,
                  "yes: 32 candidates reach 4 distinct paths\n"
                  "hashed: outer source port; not hashed: "
                  "outer destination port, flow label, inner headers\n");
    check_verdict(0, false,
                  "no: there is but one path, or the underlay hashes "
                  "addresses only\n"
                  "hashed: addresses at most; not hashed: outer source port, "
                  "outer destination port, inner headers\n");
    check_verdict(1 << ZOO_TRACE_LABEL, true,
                  "no: the underlay does not hash the outer source port\n"
                  "hashed: flow label; not hashed: outer source port, "
                  "outer destination port, inner headers\n");
    check_verdict(1 << ZOO_TRACE_INNER, false,
                  "no: the underlay does not hash the outer source port\n"
                  "hashed: inner headers; not hashed: outer source port, "
                  "outer destination port\n");
    check_verdict(1 << ZOO_TRACE_NOTHING, false,
                  "no: packets of one and the same flow take different paths, "
                  "whatever they hold\n");
}
END_TEST

/* Path numbers are those of the network, in spite of answers that get lost. */
START_TEST(paths_of_ports)
{
    for (uint32_t seed = 0; seed < 200; seed++) {
        struct net net = {
            .fields = 1 << ZOO_TRACE_SPORT,
            .n_paths = unit_range(1, 8),
            .loss = seed % 2 ? 0.5 : 0,
            .answers = seed % 3,
            .basis = seed,
        };
        int paths[ZOO_TRACE_MAX_PORTS], of_net[8];
        unsigned int n_known = 0, n_hops;
        struct zoo_trace trace;

        unit_seed(seed);
        memset(of_net, -1, sizeof of_net);
        init(&trace, unit_range(1, ZOO_TRACE_MAX_PORTS), false, true);
        run(&trace, &net);
        n_hops = trace.n_hops;
        ck_assert_uint_le(zoo_trace_paths(&trace, paths), net.n_paths);
        for (unsigned int i = 0; i < trace.n_sports; i++) {
            struct zoo_trace_probe probe = { .sport = trace.sports[i] };
            unsigned int path = choose_path(&net, &probe);

            if (paths[i] >= 0 && n_hops > FORKS_AT) {
                of_net[path] = of_net[path] < 0 ? paths[i] : of_net[path];
                ck_assert_int_eq(paths[i], of_net[path]);
                n_known++;
            }
        }
        if (!net.loss) {
            ck_assert_uint_eq(n_hops, N_HOPS);
            ck_assert_uint_eq(n_known, trace.n_sports);
        }
    }
}
END_TEST

/* Traces 'net' and checks the first line of what is said of it. */
static void
check_first_line(struct net *net, struct zoo_trace *trace,
                 const char *expected)
{
    char *s;

    net->n_sent = 0;
    init(trace, 32, false, false);
    run(trace, net);
    s = verdict(trace);
    *strchr(s, '\n') = '\0';
    ck_assert_str_eq(s, expected);
    free(s);
}

/* Where routers limit their answers, paths that are not known are not counted,
 * and said not to be: there are at least as many as are known, or as routers
 * at one hop. */
START_TEST(paths_not_known)
{
    unsigned int n_partly = 0, n_none = 0;

    for (uint32_t seed = 0; seed < 300; seed++) {
        struct net net = {
            .fields = 1 << ZOO_TRACE_SPORT, .n_paths = 4, .answers = true,
            .forks_again_at = 2, .basis = seed,
            .loss = .95 - .1 * (seed % 4),
        };
        unsigned int n_paths, n_known = 0, spread;
        int paths[ZOO_TRACE_MAX_PORTS];
        struct zoo_trace trace;
        char *s, *expected;

        unit_seed(seed);
        init(&trace, 32, false, false);
        run(&trace, &net);
        n_paths = zoo_trace_paths(&trace, paths);
        for (unsigned int i = 0; i < 32; i++) {
            n_known += paths[i] >= 0;
        }
        spread = zoo_trace_spread(&trace, ZOO_TRACE_SPORT);
        if (n_known == 32 || spread < 2) {
            continue;
        }
        s = verdict(&trace);
        expected = xasprintf("yes: 32 candidates, of which the paths of %u "
                             "are known, reach at least %u distinct paths",
                             n_known, MAX(n_paths, spread));
        unit_assert(!strncmp(s, expected, strlen(expected)), "seed %"PRIu32
                    ": %s", seed, s);
        ck_assert_uint_le(MAX(n_paths, spread), 4);
        n_partly += n_known > 0;
        n_none += n_known < 2;
        free(expected);
        free(s);
    }
    printf("of 300 traces %u know some paths, %u none or one\n", n_partly,
           n_none);
    ck_assert_uint_ge(n_partly, 100);
    ck_assert_uint_ge(n_none, 5);
}
END_TEST

/* What lies beyond the last hop that answered is not judged. */
START_TEST(beyond_the_trace)
{
    struct net near = { .fields = 1 << ZOO_TRACE_SPORT, .n_paths = 4,
                        .basis = 7, .answers = true, .n_hops = 5 };
    struct zoo_trace trace;

    /* The peer says that it has been reached. */
    check_first_line(&near, &trace,
                     "yes: 32 candidates reach 4 distinct paths");
    ck_assert_uint_eq(trace.n_hops, 5);

    /* It does not, as most do. */
    near.answers = false;
    check_first_line(&near, &trace,
                     "yes: 32 candidates reach 4 distinct paths; routers "
                     "beyond hop 5, if any, were not seen");

    /* One or two routers that never answer: it goes on behind one. */
    near.forks_at = 3;
    near.silent_hops = 1 << 3;
    check_first_line(&near, &trace,
                     "yes: 32 candidates reach 4 distinct paths; routers "
                     "beyond hop 5, if any, were not seen");
    near.silent_hops = 1 << 2 | 1 << 3;
    check_first_line(&near, &trace,
                     "no: there is but one path, or the underlay hashes "
                     "addresses only; routers beyond hop 1, if any, were not "
                     "seen");

    /* As far as a trace goes, and one farther. */
    struct net far = { .fields = 1 << ZOO_TRACE_SPORT, .n_paths = 4,
                       .basis = 7, .answers = true,
                       .n_hops = ZOO_TRACE_MAX_HOPS + 3,
                       .forks_at = ZOO_TRACE_MAX_HOPS - 1 };
    check_first_line(&far, &trace,
                     "yes: 32 candidates reach 4 distinct paths; routers "
                     "beyond hop 15, if any, were not seen");
    far.forks_at++;
    check_first_line(&far, &trace,
                     "no: there is but one path, or the underlay hashes "
                     "addresses only; routers beyond hop 15, if any, were not "
                     "seen");
}
END_TEST

/* However long the path is and however few answers come, a trace takes no more
 * probes than the manual says, and for a short path no more than it needs. */
START_TEST(number_of_probes)
{
    unsigned int most = 0, n_few = 0;
    long long int longest = 0;

    for (uint32_t seed = 0; seed < 20; seed++) {
        struct net net = { .fields = 1 << ZOO_TRACE_SPORT, .n_paths = 4,
                           .n_hops = ZOO_TRACE_MAX_HOPS, .loss = .9,
                           .basis = seed };
        struct zoo_trace trace;
        long long int duration;

        unit_seed(seed);
        init(&trace, 32, true, false);
        duration = run(&trace, &net);
        longest = MAX(longest, duration);
        most = MAX(most, net.n_sent);
        ck_assert_uint_le(net.n_sent, 2300);

        /* With few candidates, hops are asked again as with many. */
        struct net few = { .fields = 1 << ZOO_TRACE_SPORT, .n_paths = 4,
                           .n_hops = 8, .loss = .75, .basis = seed };
        init(&trace, 4, true, false);
        run(&trace, &few);
        if (trace.n_hops == 8) {
            ck_assert_uint_ge(few.n_sent,
                              2 * 8 * (4 + 4 * ZOO_TRACE_VARIANTS));
            n_few++;
        }

        /* Two hops that do not answer, twice 4 probes each. */
        struct net near = { .fields = 1 << ZOO_TRACE_SPORT, .n_paths = 4,
                            .basis = seed };
        init(&trace, 32, true, false);
        run(&trace, &near);
        ck_assert_uint_eq(near.n_sent, N_HOPS * (32 + 4 * ZOO_TRACE_VARIANTS)
                                       + 2 * 2 * 4);
    }
    ck_assert_uint_ge(n_few, 10);
    printf("at most %u probes, %lld s\n", most, longest / SEC);
    ck_assert_int_le(longest, 90 * SEC);
}
END_TEST

START_TEST(nobody_answers)
{
    struct net net = { .n_paths = 1, .loss = 1 };
    struct zoo_trace trace;
    long long int duration;
    int paths[ZOO_TRACE_MAX_PORTS];
    char *s;

    init(&trace, 32, true, false);
    duration = run(&trace, &net);
    ck_assert_int_lt(duration, 3 * SEC);
    ck_assert_uint_le(net.n_sent, 16);
    ck_assert_uint_eq(zoo_trace_paths(&trace, paths), 0);
    s = verdict(&trace);
    ck_assert_ptr_nonnull(strstr(s, "cannot be told"));
    free(s);
}
END_TEST

/* An answer that does not quote all of a probe says nothing. */
START_TEST(forged_answers)
{
    struct in6_addr router = in6_addr_mapped_ipv4(htonl(1 << 8));
    struct zoo_trace_probe probe;
    struct zoo_trace trace, before;
    uint8_t quote[2 * ZOO_TRACE_MAX_LEN];

    init(&trace, 32, false, false);
    ck_assert(zoo_trace_next(&trace, 0, &probe));
    memset(quote, 0, sizeof quote);
    memcpy(quote, probe.body, probe.len);
    before = trace;
    for (size_t len = 0; len < probe.len; len++) {
        uint8_t *exact = xmemdup(quote, MAX(len, 1));

        ck_assert(!zoo_trace_answer(&trace, &router, false, exact, len));
        free(exact);
    }
    for (size_t bit = 0; bit < 8 * (probe.len - 6); bit++) {
        quote[bit / 8] ^= 1 << bit % 8;
        /* The number may be that of another probe of ours. */
        if (bit / 8 < probe.len - 8) {
            ck_assert(!zoo_trace_answer(&trace, &router, false, quote,
                                        probe.len));
        }
        quote[bit / 8] ^= 1 << bit % 8;
    }
    ck_assert(!memcmp(&before, &trace, sizeof trace));
    /* Routers may append whatever they like (RFC 4884). */
    ck_assert(zoo_trace_answer(&trace, &router, false, quote, sizeof quote));
    ck_assert_uint_eq(trace.n_answers, 1);
}
END_TEST

START_TEST(too_many_routers)
{
    struct zoo_trace_probe probe;
    struct zoo_trace trace;
    unsigned int n = 0;

    init(&trace, ZOO_TRACE_MAX_PORTS, true, false);
    for (long long int now = 0; !zoo_trace_is_done(&trace); now += 50 * MSEC) {
        while (zoo_trace_next(&trace, now, &probe)) {
            struct in6_addr router = in6_addr_mapped_ipv4(htonl(n++));

            zoo_trace_answer(&trace, &router, false, probe.body, probe.len);
        }
        ck_assert_uint_lt(n, 10000);
    }
    ck_assert_uint_eq(trace.n_routers, ZOO_TRACE_MAX_ROUTERS);
}
END_TEST

/* Exchange. */

static unsigned int
most(const unsigned int counts[], unsigned int n)
{
    unsigned int max = 0;

    for (unsigned int i = 0; i < n; i++) {
        max = MAX(max, counts[i]);
    }
    return max;
}

START_TEST(exchanges_even_out)
{
    unsigned int n_exchanges = 0;

    for (uint32_t seed = 0; seed < 500; seed++) {
        struct net net = { .fields = 1 << ZOO_TRACE_SPORT, .basis = seed };
        struct zoo_trace_exchange exchanges[ZOO_MAX_CANDIDATES];
        unsigned int before[ZOO_TRACE_MAX_PORTS] = { 0 };
        unsigned int after[ZOO_TRACE_MAX_PORTS] = { 0 };
        int paths[ZOO_TRACE_MAX_PORTS];
        uint32_t movable, left;
        struct zoo_trace trace;
        unsigned int n_candidates, n;
        uint64_t taken = 0;

        unit_seed(seed);
        net.n_paths = unit_range(1, 8);
        n_candidates = unit_range(2, ZOO_MAX_CANDIDATES);
        left = movable = seed % 2 ? UINT32_MAX : random_uint32();
        init(&trace, ZOO_TRACE_MAX_PORTS, false, true);
        run(&trace, &net);
        zoo_trace_paths(&trace, paths);
        for (unsigned int i = 0; i < n_candidates; i++) {
            before[paths[i]]++;
            after[paths[i]]++;
        }
        n = zoo_trace_diversify(&trace, n_candidates, movable, exchanges);
        for (unsigned int k = 0; k < n; k++) {
            unsigned int from = exchanges[k].candidate;
            unsigned int to = exchanges[k].port;

            ck_assert_uint_lt(from, n_candidates);
            ck_assert(left & UINT32_C(1) << from);
            left &= ~(UINT32_C(1) << from);
            ck_assert_uint_ge(to, n_candidates);
            ck_assert_uint_lt(to, trace.n_sports);
            ck_assert(!(taken & UINT64_C(1) << to));
            taken |= UINT64_C(1) << to;
            ck_assert_uint_gt(after[paths[from]], after[paths[to]] + 1);
            after[paths[from]]--;
            after[paths[to]]++;
        }
        ck_assert_uint_le(most(after, net.n_paths), most(before, net.n_paths));
        if (movable == UINT32_MAX && net.n_paths <= 4) {
            /* There are ports enough for each path. */
            ck_assert_uint_eq(most(after, net.n_paths),
                              DIV_ROUND_UP(n_candidates, net.n_paths));
        }
        n_exchanges += n;
    }
    ck_assert_uint_gt(n_exchanges, 500);
}
END_TEST

/* Where the underlay deals packets out to paths, whatever they hold, one trace
 * looks as if ports chose them. */
START_TEST(nothing_is_exchanged_if_sprayed)
{
    for (uint32_t seed = 0; seed < 500; seed++) {
        struct net net = { .fields = 1 << ZOO_TRACE_NOTHING,
                           .loss = seed % 3 ? 0 : .2 };
        struct zoo_trace_exchange exchanges[ZOO_MAX_CANDIDATES];
        struct zoo_trace trace;

        unit_seed(seed);
        net.n_paths = unit_range(2, 8);
        init(&trace, ZOO_TRACE_MAX_PORTS, seed % 2, true);
        run(&trace, &net);
        ck_assert_uint_gt(zoo_trace_spread(&trace, ZOO_TRACE_SPORT), 1);
        ck_assert_uint_eq(zoo_trace_diversify(&trace, ZOO_MAX_CANDIDATES,
                                              UINT32_MAX, exchanges), 0);
    }
}
END_TEST

/* One port that does not keep to its path is left alone, and not taken. */
START_TEST(unsteady_ports_are_unknown)
{
    unsigned int n_unknown = 0, n_exchanges = 0;

    for (uint32_t seed = 0; seed < 500; seed++) {
        struct net net = { .fields = 1 << ZOO_TRACE_SPORT, .n_paths = 4,
                           .basis = seed };
        struct zoo_trace_exchange exchanges[ZOO_MAX_CANDIDATES];
        unsigned int odd = seed % ZOO_TRACE_MAX_PORTS, n;
        int paths[ZOO_TRACE_MAX_PORTS];
        struct zoo_trace trace;

        unit_seed(seed);
        init(&trace, ZOO_TRACE_MAX_PORTS, false, true);
        net.odd_sport = trace.sports[odd];
        run(&trace, &net);
        zoo_trace_paths(&trace, paths);
        n = zoo_trace_diversify(&trace, ZOO_MAX_CANDIDATES, UINT32_MAX,
                                exchanges);
        n_exchanges += n;
        if (paths[odd] < 0) {
            n_unknown++;
            for (unsigned int k = 0; k < n; k++) {
                ck_assert_uint_ne(exchanges[k].candidate, odd);
                ck_assert_uint_ne(exchanges[k].port, odd);
            }
        }
    }
    /* At both of the hops behind the fork it takes the same way by chance once
     * in 16 times. */
    ck_assert_uint_ge(n_unknown, 500 * 7 / 8);
    ck_assert_uint_gt(n_exchanges, 500);
}
END_TEST

/* A peer. */

static struct sim sim;

/* Exchanges candidate 'i' for 'sport', and has the simulator, which lets no
 * bucket leave a candidate that works, know of that. */
static void
exchange(unsigned int i, uint16_t sport)
{
    struct sim_side *s = &sim.side[0];

    zoo_peer_exchange(&s->peer, i, sport, sim.now);
    memcpy(s->owner, s->peer.table.owner, sizeof s->owner);
}

START_TEST(exchange_of_a_candidate)
{
    struct zoo_peer *peer = &sim.side[0].peer;
    const uint16_t sport = 65000;
    const unsigned int i = 7;
    uint8_t owner[ZOO_N_BUCKETS];

    sim_start(&sim, 4, 4);
    memcpy(owner, peer->table.owner, sizeof owner);
    ck_assert_uint_eq(zoo_peer_exchangeable(peer), ~UINT32_C(0xf));
    exchange(i, sport);
    ck_assert_uint_eq(zoo_peer_exchangeable(peer), 0);
    ck_assert_int_eq(zoo_path_table_find(&peer->table, sport), i);
    for (unsigned int b = 0; b < ZOO_N_BUCKETS; b++) {
        /* Nothing uses it as long as it is not known to work. */
        ck_assert(owner[b] == i ? peer->table.owner[b] != i
                  : peer->table.owner[b] == owner[b]);
    }
    sim_run(&sim, 8 * SEC);
    ck_assert_uint_eq(zoo_health_state(&peer->candidates[i].health),
                      ZOO_HEALTH_UP);
    ck_assert_uint_eq(zoo_path_table_owners(&peer->table, NULL) >> i & 1, 0);
    sim_run(&sim, 6 * SEC);
    ck_assert(!memcmp(owner, peer->table.owner, sizeof owner));
    ck_assert_uint_eq(peer->failovers, 0);
    ck_assert_uint_eq(sim_lost(&sim, 0), 0);
    sim_destroy(&sim);
}
END_TEST

/* The new port leads nowhere. */
START_TEST(exchange_for_a_dead_port)
{
    struct zoo_peer *peer = &sim.side[0].peer;
    const unsigned int i = 7;

    sim_start(&sim, 4, 4);
    sim_set_loss_both(&sim, i % 4, 1);
    exchange(i, 65000);
    for (int k = 0; k < 30; k++) {
        sim_run(&sim, SEC);
        ck_assert_uint_eq(zoo_path_table_owners(&peer->table, NULL) >> i & 1,
                          0);
    }
    ck_assert_uint_eq(zoo_health_state(&peer->candidates[i].health),
                      ZOO_HEALTH_DOWN);
    sim_destroy(&sim);
}
END_TEST

START_TEST(what_may_be_exchanged)
{
    struct zoo_peer *peer = &sim.side[0].peer;

    sim_start(&sim, 4, 4);
    sim_force(&sim, 0, 9, ZOO_FORCED_UP);
    sim_force(&sim, 0, 10, ZOO_FORCED_DOWN);
    ck_assert_uint_eq(zoo_peer_exchangeable(peer),
                      ~(UINT32_C(0xf) | 1 << 9 | 1 << 10));
    /* Behind the address are several middleboxes. */
    peer->candidates[20].group = 1;
    ck_assert_uint_eq(zoo_peer_exchangeable(peer), 0);
    sim_destroy(&sim);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("trace");
    TCase *tc = unit_case(suite, "trace", 60);

    tcase_add_test(tc, what_is_hashed);
    tcase_add_test(tc, paths_of_ports);
    tcase_add_test(tc, paths_not_known);
    tcase_add_test(tc, beyond_the_trace);
    tcase_add_test(tc, number_of_probes);
    tcase_add_test(tc, nobody_answers);
    tcase_add_test(tc, forged_answers);
    tcase_add_test(tc, too_many_routers);
    tcase_add_test(tc, exchanges_even_out);
    tcase_add_test(tc, nothing_is_exchanged_if_sprayed);
    tcase_add_test(tc, unsteady_ports_are_unknown);
    tcase_add_test(tc, exchange_of_a_candidate);
    tcase_add_test(tc, exchange_for_a_dead_port);
    tcase_add_test(tc, what_may_be_exchanged);
    return unit_run(suite);
}
