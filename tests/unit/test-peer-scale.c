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

/* What a table with many peers costs the engine.  With an argument, the number
 * of peers, this is a benchmark, which tests/bench/peers runs.
 *
 * All of it is the engine's own code but for the wire: rounds are taken for
 * sent, and their reports made here and popped from a tunnel header, as the
 * datapath does it.  The monotonic clock is this program's, and it watches the
 * mutex. */

#include <config.h>
#include "unit.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "dp-packet.h"
#include "frames.h"
#include "netdev-native-tnl.h"
#include "odp-netlink.h"
#include "openvswitch/vlog.h"
#include "ofproto-zoo/zooroute-private.h"
#include "ovs-rcu.h"
#include "packets.h"
#include "util.h"

#define MSEC (1000 * 1000LL)
#define SEC (1000 * MSEC)

#define TICK (10 * MSEC)
#define USE_TICKS 10            /* Ticks between two polls of use. */
#define FLOWS 4                 /* Buckets that tenants use of each peer. */
#define N_FAILOVERS 64
#define N_IDLE_POLLS 128
#define MAX_TXS 64

/* More than a probe may take of which a report says that it is absent. */
#define TIMEOUT (30 * MSEC)

/* The clock. */

static atomic_llong monotonic = 1000 * SEC;

static long long int
cpu_time(void)
{
    struct timespec ts;

    syscall(SYS_clock_gettime, CLOCK_THREAD_CPUTIME_ID, &ts);
    return ts.tv_sec * SEC + ts.tv_nsec;
}

/* In the place of the C library's. */
int
clock_gettime(clockid_t id, struct timespec *ts)
{
    if (id != CLOCK_MONOTONIC) {
        return syscall(SYS_clock_gettime, id, ts);
    }
    long long int now;

    atomic_read_relaxed(&monotonic, &now);
    ts->tv_sec = now / SEC;
    ts->tv_nsec = now % SEC;
    return 0;
}

static void
advance(long long int ns)
{
    long long int old;

    atomic_add(&monotonic, ns, &old);
}

/* The mutex: flow translation may wait for it. */

/* ThreadSanitizer has to see mutexes itself. */
#ifdef __SANITIZE_THREAD__
#define WATCH 0
#elif defined __has_feature
#if __has_feature(thread_sanitizer)
#define WATCH 0
#endif
#endif
#ifndef WATCH
#define WATCH 1
#endif

static bool watching;
static unsigned int n_holds;
static long long int longest_hold;

#if WATCH
static int (*real_lock)(pthread_mutex_t *);
static int (*real_unlock)(pthread_mutex_t *);
static long long int hold_began;

static void __attribute__((__constructor__))
find_real(void)
{
    real_lock = dlsym(RTLD_NEXT, "pthread_mutex_lock");
    real_unlock = dlsym(RTLD_NEXT, "pthread_mutex_unlock");
}

static bool
is_watched(const pthread_mutex_t *mutex)
{
    return watching && mutex == &zooroute_mutex.lock;
}

/* In the place of the C library's. */
int
pthread_mutex_lock(pthread_mutex_t *mutex)
{
    if (!real_lock) {
        find_real();
    }

    int error = real_lock(mutex);

    if (is_watched(mutex)) {
        n_holds++;
        hold_began = cpu_time();
    }
    return error;
}

int
pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    if (!real_unlock) {
        find_real();
    }
    if (is_watched(mutex)) {
        longest_hold = MAX(longest_hold, cpu_time() - hold_began);
    }
    return real_unlock(mutex);
}
#endif

/* What is measured: functions of their own, so that callgrind can tell them
 * apart. */

static long long int schedule_ns, receive_ns, failover_ns, idle_ns;

static void __attribute__((__noinline__))
scale_poll_use(void)
{
    long long int start = cpu_time();

    zooroute_poll_use(zoo_now());
    schedule_ns += cpu_time() - start;
}

static void __attribute__((__noinline__))
scale_poll_idle(void)
{
    long long int start = cpu_time();

    zooroute_poll_use(zoo_now());
    idle_ns += cpu_time() - start;
}

static bool __attribute__((__noinline__))
scale_run_peers(struct zooroute_tx *txs, unsigned int *n)
{
    long long int start = cpu_time();
    bool all;

    ovs_mutex_lock(&zooroute_mutex);
    all = zooroute_run_peers(txs, MAX_TXS, zoo_now(), n);
    for (unsigned int i = 0; i < *n; i++) {
        txs[i].when = zoo_now();
        zooroute_note_sent(&txs[i]);
    }
    ovs_mutex_unlock(&zooroute_mutex);
    schedule_ns += cpu_time() - start;
    return all;
}

static void __attribute__((__noinline__))
scale_receive(void)
{
    long long int start = cpu_time();

    zooroute_receive(UINT_MAX, NULL);
    receive_ns += cpu_time() - start;
}

static void __attribute__((__noinline__))
scale_failover(void)
{
    long long int start = cpu_time();

    zooroute_receive(UINT_MAX, NULL);
    failover_ns += cpu_time() - start;
}

/* Peers. */

static struct zooroute_key
make_key(unsigned int i)
{
    return (struct zooroute_key) {
        .local = in6_addr_mapped_ipv4(htonl(0x0a000101)),
        .remote = in6_addr_mapped_ipv4(htonl(0x0b000000 + i)),
        .dst_port = htons(4789),
    };
}

static void
create(unsigned int n_peers)
{
    for (unsigned int i = 0; i < n_peers; i++) {
        struct zooroute_output out = {
            .key = make_key(i),
            .encap = ZOO_ENCAP_VXLAN,
            .iface = "vxlan0",
        };

        zooroute_choose(&out);
        ovs_assert(out.choice);
    }
}

/* A packet of each flow to each peer. */
static void
use(unsigned int n_peers)
{
    struct dp_packet packet;

    dp_packet_init(&packet, 0);
    for (unsigned int i = 0; i < n_peers; i++) {
        struct zooroute_key key = make_key(i);
        const struct zooroute_peer *peer = zooroute_find(&key);

        for (unsigned int flow = 0; flow < FLOWS; flow++) {
            struct udp_header udp = { .udp_src = htons(peer->slot) };

            dp_packet_set_rss_hash(&packet, i + flow * 31);
            zoo_push_udp_src(&packet, &udp);
        }
    }
    dp_packet_uninit(&packet);
}

/* A report on the round 'request' comes in.  Candidate 'absent', -1 for none,
 * has arrived in round 'last' for the last time. */
static void
answer(const struct zooroute_key *key, const struct zoo_probe *request,
       int absent, uint32_t last)
{
    struct zoo_probe report = *request;
    struct ovs_action_push_tnl data;
    uint8_t body[ZOO_PROBE_MAX_LEN];
    struct dp_packet *packet;
    struct ip_header *ip;
    size_t len;

    report.type = ZOO_PROBE_REPORT;
    report.flags = 0;
    report.challenge = 1;
    for (unsigned int i = 0; i < report.n_entries; i++) {
        report.entries[i].last = i == absent ? last : report.round;
        report.entries[i].history = UINT16_MAX;
    }
    len = zoo_probe_encode(&report, body);

    frames_header(&data, ZOO_ENCAP_VXLAN, false, 1);
    ip = (struct ip_header *) ((uint8_t *) data.header + ETH_HEADER_LEN);
    put_16aligned_be32(&ip->ip_src, in6_addr_get_mapped_ipv4(&key->remote));
    put_16aligned_be32(&ip->ip_dst, in6_addr_get_mapped_ipv4(&key->local));
    ovs_assert(zoo_push_set_probe(&data));
    packet = frames_probe(&data, 40000, body, len);
    ovs_assert(!netdev_vxlan_pop_header(packet));
}

/* All peers that are due are probed and answer.  Returns the number of rounds
 * sent. */
static unsigned int
run_due(void)
{
    static struct zooroute_tx txs[MAX_TXS];
    unsigned int n, n_rounds = 0;
    bool all;

    do {
        all = scale_run_peers(txs, &n);
        for (unsigned int i = 0; i < n; i++) {
            answer(&txs[i].peer->key, &txs[i].probe, -1, 0);
        }
        scale_receive();
        n_rounds += n;
        ovsrcu_quiesce();
    } while (!all);
    return n_rounds;
}

/* Lets one tick pass, in which peers are looked at when the schedule says.
 * Returns the number of rounds sent. */
static unsigned int
tick(void)
{
    unsigned int n_rounds = 0;

    for (int i = 0; i < TICK / MSEC; i++) {
        advance(MSEC);
        if (zoo_schedule_next(&zooroute_peer_schedule, TICK) <= zoo_now()) {
            n_rounds += run_due();
        }
    }
    return n_rounds;
}

/* Lets a second pass.  Returns the number of rounds sent. */
static unsigned int
second(unsigned int n_peers)
{
    unsigned int n_rounds = 0;

    for (int i = 0; i < SEC / TICK; i++) {
        if (i % USE_TICKS == 0) {
            use(n_peers);
            scale_poll_use();
        }
        n_rounds += tick();
    }
    return n_rounds;
}

/* A candidate of 'p' that carries traffic fails. */
static void
fail_over(struct zooroute_peer *p)
{
    unsigned int i = raw_ctz(zoo_peer_in_use(&p->peer));
    uint64_t before = p->peer.failovers;
    uint32_t last = p->peer.round;

    for (int k = 0; k < 2; k++) {
        struct zoo_probe request;
        uint32_t set;

        ovs_mutex_lock(&zooroute_mutex);
        p->peer.next_full = 0;
        set = zoo_peer_run(&p->peer, &zooroute_params, zoo_now());
        zoo_peer_request(&p->peer, set, &request);
        zoo_peer_sent(&p->peer, true, zoo_now());
        ovs_mutex_unlock(&zooroute_mutex);

        /* The report comes at once, and its copy when time is over. */
        answer(&p->key, &request, i, last);
        zooroute_receive(UINT_MAX, NULL);
        advance(TIMEOUT);
        answer(&p->key, &request, i, last);
        if (k) {
            scale_failover();
        } else {
            zooroute_receive(UINT_MAX, NULL);
        }
        ovsrcu_quiesce();
    }
    ovs_assert(p->peer.failovers == before + 1);
}

/* All peers fall asleep, which they do at their next poll, and come to rest,
 * whereupon they are polled some more times. */
static void
sleep_well(void)
{
    advance(61 * SEC);
    zooroute_poll_use(zoo_now());
    for (int i = 0; i < N_IDLE_POLLS; i++) {
        advance(USE_TICKS * TICK);
        scale_poll_idle();
        ovsrcu_quiesce();
    }
}

/* What is measured: a second, and some failovers, and idle peers.  Returns the
 * number of rounds sent. */
static unsigned int __attribute__((__noinline__))
scale_measured(unsigned int n_peers)
{
    unsigned int n_rounds = second(n_peers);

    for (unsigned int k = 0; k < N_FAILOVERS; k++) {
        struct zooroute_key key = make_key((uint64_t) k * n_peers
                                           / N_FAILOVERS);

        fail_over(zooroute_find(&key));
    }

    /* All of them have traffic. */
    use(n_peers);
    watching = true;
    zooroute_poll_use(zoo_now());
    watching = false;
    sleep_well();
    return n_rounds;
}

static void
start(void)
{
    struct zooroute_config config = ZOOROUTE_CONFIG_DEFAULT;

    vlog_set_levels(NULL, VLF_ANY_DESTINATION, VLL_OFF);
    zooroute_init();
    config.enabled = true;
    config.max_probe_rate = 1000 * 1000;
    ovs_assert(!zooroute_set_config(&config));
    zooroute_thread_stop();
}

static void
stop(void)
{
    struct zooroute_config config = ZOOROUTE_CONFIG_DEFAULT;

    zooroute_thread_start();
    ovs_assert(!zooroute_set_config(&config));
}

static void
scale(unsigned int n_peers, bool print)
{
    unsigned int n_rounds;
    size_t memory;

    start();
    memory = mallinfo2().uordblks;
    create(n_peers);
    memory = mallinfo2().uordblks - memory;

    /* Until all candidates work. */
    second(n_peers);
    second(n_peers);
    schedule_ns = receive_ns = idle_ns = 0;
    n_rounds = scale_measured(n_peers);
    if (print) {
        printf("%u peers, %"PRIuSIZE" bytes, %u rounds, %lld ns scheduling, "
               "%lld ns receiving, %lld ns of %d failovers, %lld ns of %d "
               "polls when idle, %lld ns the mutex\n", n_peers,
               memory, n_rounds, schedule_ns, receive_ns, failover_ns,
               N_FAILOVERS, idle_ns, N_IDLE_POLLS, longest_hold);
    }
    /* Each interval one round, on the candidates in use. */
    ovs_assert(n_rounds >= n_peers * 9 && n_rounds <= n_peers * 11);
    /* The mutex is free after some peers. */
    ovs_assert(!WATCH || n_holds >= n_peers / ZOOROUTE_PEERS_AT_ONCE);
    stop();
}

START_TEST(rounds_and_failovers_of_all_peers)
{
    /* What scale() asserts. */
    scale(200, false);
}
END_TEST

#define N_ASLEEP 130

static struct zooroute_peer *
get(unsigned int i)
{
    struct zooroute_key key = make_key(i);

    return zooroute_find(&key);
}

/* Returns how many peers are asleep. */
static unsigned int
count_asleep(void)
{
    unsigned int n = 0;

    for (unsigned int i = 0; i < N_ASLEEP; i++) {
        n += get(i)->asleep;
    }
    return n;
}

/* Peers that are asleep are but looked at, and miss nothing. */
START_TEST(asleep)
{
    start();
    create(N_ASLEEP);
    ck_assert_uint_eq(count_asleep(), 0);
    second(N_ASLEEP);
    ck_assert_uint_eq(count_asleep(), 0);

    /* One is slowed by CTL, and one takes colors. */
    get(1)->peer.slowed = 3;
    get(2)->peer.peer_caps = ZOO_PROBE_CAP_GBP;
    get(2)->peer.last_report = zoo_now();
    advance(61 * SEC);
    zooroute_poll_use(zoo_now());
    for (unsigned int i = 0; i < N_ASLEEP; i++) {
        ck_assert_int_eq(get(i)->peer.state, ZOO_PEER_IDLE);
    }
    ck_assert_uint_eq(count_asleep(), N_ASLEEP - 1);
    ck_assert(!get(1)->asleep);
    ck_assert(zooroute_takes_colors(&get(2)->key));

    /* The former comes to rest as soon as if it were awake. */
    advance(SEC);
    zooroute_poll_use(zoo_now());
    advance(SEC);
    zooroute_poll_use(zoo_now());
    ck_assert_uint_eq(get(1)->peer.slowed, 0);
    ck_assert_uint_eq(count_asleep(), N_ASLEEP);

    /* The mutex is not even taken for most. */
    n_holds = 0;
    watching = true;
    for (int i = 0; i < 64; i++) {
        zooroute_poll_use(zoo_now());
    }
    watching = false;
    ck_assert_uint_le(n_holds, 64);

    /* The latter takes them no longer than an hour.  (Check has no room for
     * one.) */
    get(2)->peer.last_report -= ZOO_PEER_CONSENT_TIME;
    for (int i = 0; i < 64; i++) {
        ck_assert(i || zooroute_takes_colors(&get(2)->key));
        zooroute_poll_use(zoo_now());
    }
    ck_assert(!zooroute_takes_colors(&get(2)->key));

    /* A packet wakes up a peer, all of them all. */
    use(1);
    zooroute_poll_use(zoo_now());
    ck_assert_int_eq(get(0)->peer.state, ZOO_PEER_ACTIVE);
    ck_assert_uint_eq(count_asleep(), N_ASLEEP - 1);
    use(N_ASLEEP);
    zooroute_poll_use(zoo_now());
    ck_assert_uint_eq(count_asleep(), 0);
    ck_assert_uint_eq(tick() + tick() + tick(), N_ASLEEP);
    stop();
}
END_TEST

int
main(int argc, char *argv[])
{
    unsigned int n_peers;

    if (argc == 2 && str_to_uint(argv[1], 10, &n_peers) && n_peers
        && n_peers < ZOO_SLOT_MAX) {
        scale(n_peers, true);
        return 0;
    }

    Suite *suite = suite_create("peer-scale");
    TCase *tc = unit_case(suite, "peer-scale", 60);
    tcase_add_test(tc, rounds_and_failovers_of_all_peers);
    tcase_add_test(tc, asleep);
    return unit_run(suite);
}
