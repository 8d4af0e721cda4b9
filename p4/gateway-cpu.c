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

/* The CPU port: queues into the pipeline and out of it, and the thread
 * "gateway-punt" at the end of the latter. */

#include <config.h>
#include "p4/gateway-pipeline.h"

#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>
#include <rte_ring.h>
#include <rte_swx_pipeline.h>
#include <rte_swx_port.h>

#include "coverage.h"
#include "latch.h"
#include "openvswitch/poll-loop.h"
#include "ovs-atomic.h"
#include "ovs-rcu.h"
#include "ovs-ext/zoo-datapath.h"
#include "ovs-thread.h"
#include "p4/gateway-counts.h"
#include "p4/gateway-private.h"
#include "timeval.h"
#include "util.h"

#define RING_SIZE 1024

/* A negotiation packet takes as much of the pipeline as a hundred others.  So
 * no more than these are in it at once, which leaves the rest of its time to the
 * traffic. */
#define MAX_NEGOTIATIONS 2

/* Should one not come back, others take its place after so many polls, or when
 * the pipeline is empty. */
#define MAX_STALL 1000000

/* Frames to send, from many threads, to the thread "gateway"; the same for
 * negotiation packets, which must not make frames wait; and from "gateway" to
 * "gateway-punt". */
static struct rte_ring *to_pipeline;
static struct rte_ring *negotiations;
static struct rte_ring *from_pipeline;

/* Where in a buffer its time of arrival is. */
static int when_offset = -1;
#define WHEN(M) RTE_MBUF_DYNFIELD(M, when_offset, int64_t *)

/* By reason. */
static void (*callbacks[ZOO_GATEWAY_N_COUNTS])(const struct gateway_punt *);

static pthread_t thread;
static atomic_bool exiting = false;

/* The thread "gateway-punt" is about to wait, or waits, for the latch. */
static atomic_bool sleeping = false;
static struct latch wakeup;

/* Written by the thread "gateway" alone. */
static atomic_ullong n_dropped = 0;

/* Of the thread "gateway": taken from 'to_pipeline', on the way in. */
static struct rte_mbuf *taken[GATEWAY_BURST];
static unsigned int n_taken, next_taken;

/* Of the thread "gateway": negotiation packets in the pipeline, and polls
 * since the last one that were in vain for that. */
static unsigned int n_negotiations, n_stalled;

/* The thread "gateway". */

/* Returns the next packet for the pipeline, or NULL. */
static struct rte_mbuf *
next_packet(void)
{
    struct rte_mbuf *m;

    if (next_taken >= n_taken) {
        next_taken = 0;
        n_taken = rte_ring_sc_dequeue_burst(to_pipeline, (void **) taken,
                                            GATEWAY_BURST, NULL);
    }
    if (n_taken) {
        return taken[next_taken++];
    }
    if (n_negotiations >= MAX_NEGOTIATIONS) {
        if (++n_stalled < MAX_STALL) {
            return NULL;
        }
        n_negotiations = 0;
    }
    if (rte_ring_sc_dequeue(negotiations, (void **) &m)) {
        return NULL;
    }
    n_negotiations++;
    n_stalled = 0;
    return m;
}

int
gateway_cpu_rx(void *port OVS_UNUSED, struct rte_swx_pkt *pkt)
{
    struct rte_mbuf *m = gateway_run.hold ? NULL : next_packet();

    if (!m) {
        return 0;
    }
    pkt->handle = m;
    pkt->pkt = m->buf_addr;
    pkt->offset = m->data_off - GATEWAY_SHIM;
    pkt->length = m->data_len + GATEWAY_SHIM;
    gateway_run.n_in++;
    return 1;
}

void
gateway_cpu_idle(void)
{
    n_negotiations = 0;
}

/* Returns why the pipeline has given 'm' to the CPU port. */
static unsigned int
get_reason(const struct rte_mbuf *m)
{
    return gateway_get_u32(rte_pktmbuf_mtod(m, const uint8_t *) + 8) & 0xff;
}

/* Returns the VNI in the shim of 'm', which packets have that a router has to
 * say something of. */
static uint32_t
get_vni(const struct rte_mbuf *m)
{
    return gateway_get_u32(rte_pktmbuf_mtod(m, const uint8_t *) + 8) >> 8;
}

void
gateway_cpu_tx(void *port OVS_UNUSED, struct rte_swx_pkt *pkt)
{
    struct rte_mbuf *m = pkt->handle;

    gateway_run.n_out++;
    m->data_off = pkt->offset;
    m->data_len = m->pkt_len = pkt->length;
    *WHEN(m) = zoo_now();
    if (get_reason(m) == GATEWAY_COUNT_ACKNOWLEDGED && n_negotiations) {
        n_negotiations--;
    }

    /* Tenants, and anybody on the link, can send what goes here by other
     * reasons: it must not displace probes nor acknowledgements. */
    if ((get_reason(m) != GATEWAY_COUNT_ACKNOWLEDGED && get_reason(m) != GATEWAY_COUNT_PROBE
         && (rte_ring_free_count(from_pipeline)
             < rte_ring_get_capacity(from_pipeline) / 2))
        || rte_ring_sp_enqueue(from_pipeline, m)) {
        unsigned long long int n;

        atomic_read_relaxed(&n_dropped, &n);
        atomic_store_relaxed(&n_dropped, n + 1);
        rte_pktmbuf_free(m);
        return;
    }
    gateway_cpu_wake();
}

/* Any thread. */

void
gateway_cpu_wake(void)
{
    bool asleep;

    /* With the fence in wait_for_work(), either that thread sees what has been
     * queued or this one sees that it sleeps. */
    atomic_thread_fence(memory_order_seq_cst);
    atomic_read_relaxed(&sleeping, &asleep);
    if (asleep) {
        bool expected = true;

        if (atomic_compare_exchange_strong(&sleeping, &expected, false)) {
            latch_set(&wakeup);
        }
    }
}

bool
gateway_cpu_negotiate(struct rte_mbuf *m)
{
    return !rte_ring_sp_enqueue(negotiations, m);
}

bool
gateway_reply(unsigned int port, const void *data, size_t len)
{
    return (rte_ring_free_count(to_pipeline)
            >= rte_ring_get_capacity(to_pipeline) / 2
            && gateway_send(port, data, len));
}

bool
gateway_send(unsigned int port, const void *data, size_t len)
{
    struct rte_mempool *pool = gateway_ports_pool(len);
    struct rte_mbuf *m;

    if (!pool || !gateway_port_is_open(port)) {
        return false;
    }
    m = rte_pktmbuf_alloc(pool);
    if (!m) {
        return false;
    }
    memcpy(rte_pktmbuf_append(m, len), data, len);
    gateway_put_shim(m, port);
    if (rte_ring_mp_enqueue(to_pipeline, m)) {
        rte_pktmbuf_free(m);
        return false;
    }
    return true;
}

uint64_t
gateway_punt_get_dropped(void)
{
    unsigned long long int n;

    atomic_read_relaxed(&n_dropped, &n);
    return n;
}

/* The thread "gateway-punt". */

static void
deliver(struct rte_mbuf *m)
{
    uint8_t *data = rte_pktmbuf_mtod(m, uint8_t *);
    size_t len = rte_pktmbuf_data_len(m) - GATEWAY_SHIM;
    unsigned int reason = get_reason(m);

    if (reason == GATEWAY_COUNT_ACKNOWLEDGED) {
        gateway_negotiation_receive(data + GATEWAY_SHIM, len);
    } else if (reason < ZOO_GATEWAY_N_COUNTS && callbacks[reason]) {
        struct gateway_punt punt = {
            .port = gateway_get_u32(data + 4),
            .reason = reason,
            .vni = get_vni(m),
            .when = *WHEN(m),
            .len = len,
            .data = data + GATEWAY_SHIM,
        };

        callbacks[reason](&punt);
    }
}

static void
wait_for_work(void)
{
    bool stop;

    atomic_store(&sleeping, true);
    atomic_thread_fence(memory_order_seq_cst);
    atomic_read(&exiting, &stop);
    if (rte_ring_empty(from_pipeline) && !stop) {
        latch_wait(&wakeup);
        gateway_negotiation_wait();
        poll_block();
    }
    atomic_store(&sleeping, false);
    latch_poll(&wakeup);
}

static void *
run_punt(void *aux OVS_UNUSED)
{
    bool stop;

    do {
        struct rte_mbuf *mbufs[GATEWAY_BURST];
        unsigned int n;

        n = rte_ring_sc_dequeue_burst(from_pipeline, (void **) mbufs,
                                      GATEWAY_BURST, NULL);
        for (unsigned int i = 0; i < n; i++) {
            deliver(mbufs[i]);
        }
        rte_pktmbuf_free_bulk(mbufs, n);
        gateway_negotiation_run();
        if (n) {
            /* poll_block() may be far. */
            coverage_try_clear();
            ovsrcu_quiesce();
        } else {
            wait_for_work();
        }
        atomic_read(&exiting, &stop);
    } while (!stop);
    return NULL;
}

void
gateway_punt_register(unsigned int reason,
                      void (*cb)(const struct gateway_punt *))
{
    ovs_assert(reason >= ZOO_GATEWAY_FIRST_PUNT
               && reason < ZOO_GATEWAY_FIRST_DROP
               && reason != GATEWAY_COUNT_ACKNOWLEDGED);
    callbacks[reason] = cb;
}

/* Start and stop. */

char *
gateway_cpu_config(struct rte_swx_pipeline *pipeline)
{
    static const struct rte_mbuf_dynfield field = {
        .name = "ovs_zoo_gateway_when",
        .size = sizeof(int64_t),
        .align = sizeof(int64_t),
    };
    int status;

    to_pipeline = rte_ring_create("gateway_to", RING_SIZE, SOCKET_ID_ANY,
                                  RING_F_SC_DEQ);
    negotiations = rte_ring_create("gateway_negotiations", RING_SIZE,
                                   SOCKET_ID_ANY,
                                   RING_F_SP_ENQ | RING_F_SC_DEQ);
    from_pipeline = rte_ring_create("gateway_from", RING_SIZE, SOCKET_ID_ANY,
                                    RING_F_SP_ENQ | RING_F_SC_DEQ);
    when_offset = rte_mbuf_dynfield_register(&field);
    if (!to_pipeline || !negotiations || !from_pipeline || when_offset < 0) {
        return xasprintf("CPU port: %s", rte_strerror(rte_errno));
    }
    status = gateway_register_port_type(pipeline, "cpu", gateway_cpu_rx,
                                        gateway_cpu_tx);
    if (!status) {
        status = rte_swx_pipeline_port_in_config(
            pipeline, ZOO_GATEWAY_CPU_PORT, "cpu", &to_pipeline);
    }
    if (!status) {
        status = rte_swx_pipeline_port_out_config(
            pipeline, ZOO_GATEWAY_CPU_PORT, "cpu", &from_pipeline);
    }
    return status ? xasprintf("CPU port: %s", ovs_strerror(-status)) : NULL;
}

void
gateway_cpu_start(void)
{
    latch_init(&wakeup);
    atomic_store(&exiting, false);
    thread = ovs_thread_create("gateway-punt", run_punt, NULL);
}

void
gateway_cpu_stop(void)
{
    atomic_store(&exiting, true);
    gateway_cpu_wake();
    xpthread_join(thread, NULL);
    latch_destroy(&wakeup);
}
