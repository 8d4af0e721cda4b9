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


/* The datapath's side under several threads, for ThreadSanitizer above all:
 * some push or pop packets as PMD threads do, another one does what the
 * ZooRoute thread does meanwhile. */

#include <config.h>
#include "unit.h"

#include <sched.h>
#include <string.h>

#include "dp-packet.h"
#include "frames.h"
#include "latch.h"
#include "netdev-native-tnl.h"
#include "ofproto-zoo/zoo-probe.h"
#include "openvswitch/poll-loop.h"
#include "ovs-atomic.h"
#include "ovs-ext/zoo-datapath.h"
#include "ovs-rcu.h"
#include "ovs-thread.h"
#include "util.h"

#define N_THREADS 3

/* Push. */

/* Slots in use at a time: what datapath flows carry.  Each has a number of its
 * own that its ports show: port = 32768 + number * 1024 + generation * 128 +
 * bucket. */
#define N_FLOWS 4
#define N_GENERATIONS 8

static atomic_uint32_t flows[N_FLOWS];      /* number << 16 | slot. */
static atomic_bool stop;
static atomic_count n_wrong = ATOMIC_COUNT_INIT(0);
static atomic_count n_pushed = ATOMIC_COUNT_INIT(0);

static void
push_one(uint32_t flow, uint32_t hash)
{
    struct ovs_action_push_tnl data;
    struct dp_packet *packet = frames_tenant(1);
    unsigned int port;

    frames_header(&data, ZOO_ENCAP_VXLAN, false, 7);
    zoo_push_set_choice(&data, flow & UINT16_MAX);
    dp_packet_set_rss_hash(packet, hash);
    port = ntohs(zoo_push_udp_src(packet, frames_push(packet,
                                                      &data))->udp_src);
    if (port < 32768
        || (port - 32768) / 1024 != flow >> 16
        || port % ZOO_N_BUCKETS != zoo_bucket(hash)) {
        atomic_count_inc(&n_wrong);
    }
    atomic_count_inc(&n_pushed);
    dp_packet_delete(packet);
}

static void *
push_main(void *aux OVS_UNUSED)
{
    uint32_t hash = ovsthread_id_self();
    bool stopped;

    do {
        for (int i = 0; i < 32; i++) {
            uint32_t flow;

            hash = hash * 1664525 + 1013904223;
            atomic_read_explicit(&flows[hash >> 16 & (N_FLOWS - 1)], &flow,
                                 memory_order_acquire);
            push_one(flow, hash >> 8);
        }
        ovsrcu_quiesce();
        atomic_read_relaxed(&stop, &stopped);
    } while (!stopped);
    return NULL;
}

static void
publish(uint32_t flow, unsigned int generation)
{
    uint16_t ports[ZOO_N_BUCKETS];

    for (int b = 0; b < ZOO_N_BUCKETS; b++) {
        ports[b] = (32768 + (flow >> 16) * 1024
                    + generation % N_GENERATIONS * ZOO_N_BUCKETS + b);
    }
    zoo_slot_publish(flow & UINT16_MAX, ports);
}

static uint32_t
new_flow(unsigned int number)
{
    uint32_t flow = (number % 31) << 16 | zoo_slot_alloc(number);

    publish(flow, 0);
    return flow;
}

START_TEST(push_beside_publication)
{
    pthread_t threads[N_THREADS];
    unsigned int n_used = 0;
    uint32_t flow, old;

    for (int i = 0; i < N_FLOWS; i++) {
        atomic_init(&flows[i], new_flow(i));
    }
    atomic_init(&stop, false);
    for (int i = 0; i < N_THREADS; i++) {
        threads[i] = ovs_thread_create("push", push_main, NULL);
    }

    /* Some ten thousand packets at least, and as many changes as there are
     * in the meantime, on a machine with one free processor too. */
    for (unsigned int n = N_FLOWS;
         atomic_count_get(&n_pushed) < 20000 || n_used < 10; n++) {
        unsigned int i = n % N_FLOWS;
        bool used[ZOO_N_BUCKETS] = { false };

        atomic_read_relaxed(&flows[i], &old);
        for (int generation = 0; generation < 10; generation++) {
            publish(old, generation);
        }
        n_used += zoo_slot_take_used(old & UINT16_MAX, used);
        if (n % 5 == 0) {
            /* A reconfiguration. */
            flow = new_flow(n);
            atomic_store_explicit(&flows[i], flow, memory_order_release);
            ovsrcu_synchronize();
            zoo_slot_free(old & UINT16_MAX);
        }
        ovsrcu_quiesce();
        sched_yield();
    }
    atomic_store_relaxed(&stop, true);
    for (int i = 0; i < N_THREADS; i++) {
        xpthread_join(threads[i], NULL);
    }
    ck_assert_uint_eq(atomic_count_get(&n_wrong), 0);
    ck_assert_uint_eq(zoo_slot_count(), N_FLOWS);

    /* No mark is lost. */
    for (int i = 0; i < N_FLOWS; i++) {
        bool used[ZOO_N_BUCKETS] = { false };

        atomic_read_relaxed(&flows[i], &flow);
        zoo_slot_take_used(flow & UINT16_MAX, used);
        push_one(flow, 17);
        ck_assert(zoo_slot_take_used(flow & UINT16_MAX, used));
        ck_assert(used[17]);
        zoo_slot_free(flow & UINT16_MAX);
    }
}
END_TEST

/* Pop. */

/* The last producer's probes are reports, which have a queue of their own. */
struct body {
    uint8_t version, type;
    uint16_t producer;
    uint32_t seq;
    uint32_t pad[2];
    uint64_t session;           /* The same in either byte order. */
};

#define SESSION UINT64_C(0x0101010101010101)

/* All of them together fit into the queues, and into what one source may have
 * there. */
#define N_PROBES 1500

static atomic_count n_taken = ATOMIC_COUNT_INIT(0);

static void
pop_one(uint32_t producer, uint32_t seq)
{
    struct body body = {
        .version = ZOO_PROBE_VERSION,
        .type = (producer == N_THREADS - 1 ? ZOO_PROBE_REPORT
                 : ZOO_PROBE_REQUEST),
        .producer = producer,
        .seq = seq,
        .session = SESSION,
    };
    struct ovs_action_push_tnl data;

    frames_header(&data, ZOO_ENCAP_VXLAN, false, 7);
    zoo_push_set_probe(&data);
    dp_packet_delete(netdev_vxlan_pop_header(frames_probe(&data, 50000, &body,
                                                          sizeof body)));
}

static void *
pop_main(void *producer_)
{
    uint32_t producer = (uintptr_t) producer_;
    unsigned int taken = 0;

    for (uint32_t i = 1; i <= N_PROBES; i++) {
        pop_one(producer, i);
        taken += zoo_pop_taken();
        ovsrcu_quiesce();
    }
    for (unsigned int i = 0; i < taken; i++) {
        atomic_count_inc(&n_taken);
    }
    return NULL;
}

/* Receives one probe, which must be the next one of its producer, and waits
 * for it as long as it takes. */
static uint32_t
receive_one(uint32_t seqs[])
{
    struct zoo_rx rx;
    struct body body;

    while (!zoo_rx_recv(&rx)) {
        zoo_rx_wait();
        poll_block();
    }
    ck_assert_uint_eq(rx.len, sizeof body);
    memcpy(&body, rx.body, sizeof body);
    unit_assert(body.producer < N_THREADS, "%u", body.producer);
    unit_assert(body.seq == seqs[body.producer] + 1, "%u after %u", body.seq,
                seqs[body.producer]);
    seqs[body.producer] = body.seq;
    return body.producer;
}

START_TEST(several_producers_one_consumer)
{
    uint32_t seqs[N_THREADS] = { 0 };
    pthread_t threads[N_THREADS];
    struct zoo_rx rx;

    zoo_pop_enable(true);
    zoo_rx_expect(SESSION);
    for (int i = 0; i < N_THREADS; i++) {
        threads[i] = ovs_thread_create("pop", pop_main,
                                       (void *) (uintptr_t) i);
    }

    for (int i = 0; i < N_THREADS * N_PROBES; i++) {
        receive_one(seqs);
    }
    for (int i = 0; i < N_THREADS; i++) {
        xpthread_join(threads[i], NULL);
        ck_assert_uint_eq(seqs[i], N_PROBES);
    }
    ck_assert(!zoo_rx_recv(&rx));
    ck_assert_uint_eq(atomic_count_get(&n_taken), N_THREADS * N_PROBES);
}
END_TEST

static struct latch ack;

static void *
ping_main(void *aux OVS_UNUSED)
{
    for (uint32_t i = 1; i <= N_PROBES; i++) {
        pop_one(0, i);
        latch_wait(&ack);
        poll_block();
        latch_poll(&ack);
    }
    return NULL;
}

/* Each probe is sent when the last one has been received: a wake-up that got
 * lost would end it. */
START_TEST(no_lost_wakeup)
{
    uint32_t seqs[N_THREADS] = { 0 };
    pthread_t thread;

    zoo_pop_enable(true);
    latch_init(&ack);
    thread = ovs_thread_create("ping", ping_main, NULL);
    for (int i = 0; i < N_PROBES; i++) {
        receive_one(seqs);
        latch_set(&ack);
    }
    xpthread_join(thread, NULL);
    latch_destroy(&ack);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("datapath threads");
    TCase *tc;

    tc = unit_case(s, "push", 120);
    tcase_add_test(tc, push_beside_publication);

    tc = unit_case(s, "pop", 120);
    tcase_add_test(tc, several_producers_one_consumer);
    tcase_add_test(tc, no_lost_wakeup);

    return unit_run(s);
}
