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

#include <config.h>
#include "gateway-pipeline.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_swx_ctl.h>
#include <rte_swx_pipeline.h>
#include <rte_swx_port.h>

#include "openvswitch/dynamic-string.h"
#include "p4/swx-compiled.h"
#include "p4/swx-spec.h"
#include "random.h"
#include "unit.h"
#include "util.h"

/* Room in front of a packet, for headers that grow, and after it, for a parser
 * that goes beyond the end. */
#define HEADROOM RTE_PKTMBUF_HEADROOM
#define TAILROOM 256
#define SHIM 12

/* More instructions than any packet takes, with all of its passes. */
#define MAX_INSTRUCTIONS 200000

/* A packet in the pipeline has two references, one of which is this
 * module's: SWX's own sink, which frees what is dropped, tells nobody. */
struct in_flight {
    struct gw_frame *frame;
    struct rte_mbuf *mbuf;
    bool sent;
};

static struct {
    struct rte_swx_pipeline *pipeline;
    struct rte_swx_ctl_pipeline *ctl;
    struct swx_runner *runner;  /* Or NULL for SWX's interpreter. */
    uint64_t n_dropped;         /* By the runner. */
    struct rte_mempool *pool;
    unsigned int n_ports;
    struct in_flight packets[GW_MAX_FRAMES]; /* Of gw_run(). */
    size_t n_packets;
    size_t next;                /* First one not taken in. */
    size_t n_sent;
} gw;

/* Ports. */

static void *
port_create(void *args)
{
    return args;
}

static void
port_free(void *port OVS_UNUSED)
{
}

/* Takes the next frame if it is one of this port. */
static int
port_rx(void *port, struct rte_swx_pkt *pkt)
{
    if (gw.next >= gw.n_packets
        || gw.packets[gw.next].frame->port != (uintptr_t) port - 1) {
        return 0;
    }

    struct in_flight *f = &gw.packets[gw.next++];
    uint8_t *buffer = f->mbuf->buf_addr;
    uint8_t *p = buffer + HEADROOM - SHIM;

    /* What follows the frame must not matter. */
    memcpy(buffer + HEADROOM, f->frame->data, f->frame->len);
    random_bytes(buffer + HEADROOM + f->frame->len, TAILROOM);
    p = gw_put(p, f->frame->len, 4);
    /* The CPU port says where to. */
    p = gw_put(p, f->frame->port ? f->frame->port : f->frame->reason, 4);
    gw_put(p, 0, 4);
    pkt->handle = f->mbuf;
    pkt->pkt = buffer;
    pkt->offset = HEADROOM - SHIM;
    pkt->length = f->frame->len + SHIM;
    return 1;
}

static struct in_flight *
find_packet(const struct rte_mbuf *mbuf)
{
    for (size_t i = 0; i < gw.n_packets; i++) {
        if (gw.packets[i].mbuf == mbuf) {
            return &gw.packets[i];
        }
    }
    OVS_NOT_REACHED();
}

static void
port_tx(void *port, struct rte_swx_pkt *pkt)
{
    struct in_flight *f = find_packet(pkt->handle);
    const uint8_t *p = pkt->pkt + pkt->offset;
    size_t len = pkt->length;

    ovs_assert(!f->sent);
    f->sent = true;
    gw.n_sent++;

    /* Nothing out of range leaves. */
    ovs_assert(pkt->pkt == f->mbuf->buf_addr
               && pkt->offset + len <= HEADROOM + GW_MAX_FRAME);
    f->frame->port = (uintptr_t) port - 1;
    if (!f->frame->port) {
        ovs_assert(len >= SHIM && gw_get(p, 4) == len - SHIM);
        f->frame->vni = gw_get(p + 8, 3);
        f->frame->reason = gw_get(p + 11, 1);
        p += SHIM;
        len -= SHIM;
    }
    f->frame->len = len;
    memcpy(f->frame->data, p, len);
    rte_pktmbuf_free(f->mbuf);
}

static void
port_clone(void *port OVS_UNUSED, struct rte_swx_pkt *pkt OVS_UNUSED)
{
    OVS_NOT_REACHED();
}

static void
port_clone_part(void *port OVS_UNUSED, struct rte_swx_pkt *pkt OVS_UNUSED,
                uint32_t length OVS_UNUSED)
{
    OVS_NOT_REACHED();
}

static void
in_stats(void *port OVS_UNUSED, struct rte_swx_port_in_stats *stats)
{
    memset(stats, 0, sizeof *stats);
}

static void
out_stats(void *port OVS_UNUSED, struct rte_swx_port_out_stats *stats)
{
    memset(stats, 0, sizeof *stats);
}

static struct rte_swx_port_in_ops in_ops = {
    .create = port_create,
    .free = port_free,
    .pkt_rx = port_rx,
    .stats_read = in_stats,
};

static struct rte_swx_port_out_ops out_ops = {
    .create = port_create,
    .free = port_free,
    .pkt_tx = port_tx,
    .pkt_fast_clone_tx = port_clone,
    .pkt_clone_tx = port_clone_part,
    .stats_read = out_stats,
};

/* Pipeline. */

static void
must(int status, const char *what)
{
    if (status) {
        ovs_fatal(-status, "%s", what);
    }
}

void
gw_init(const char *spec, unsigned int n_ports, bool compiled)
{
    char *argv[] = {
        "test", "--no-huge", "--no-pci", "-m", "256", "--no-telemetry",
        "--no-shconf", "--log-level=error", NULL,
    };

    if (rte_eal_init(ARRAY_SIZE(argv) - 1, argv) < 0) {
        ovs_fatal(0, "DPDK does not start");
    }
    gw.pool = rte_pktmbuf_pool_create("test", 2 * GW_MAX_FRAMES - 1, 0, 0,
                                      HEADROOM + GW_MAX_FRAME + TAILROOM, 0);
    if (!gw.pool) {
        ovs_fatal(rte_errno, "no packet buffers");
    }
    gw.n_ports = n_ports;
    must(rte_swx_pipeline_config(&gw.pipeline, "gateway", 0), "pipeline");
    must(rte_swx_pipeline_port_in_type_register(gw.pipeline, "test", &in_ops),
         "port in type");
    must(rte_swx_pipeline_port_out_type_register(gw.pipeline, "test",
                                                 &out_ops),
         "port out type");

    for (uintptr_t i = 0; i < n_ports; i++) {
        void *port = (void *) (i + 1);

        must(rte_swx_pipeline_port_in_config(gw.pipeline, i, "test", port),
             "port in");
        must(rte_swx_pipeline_port_out_config(gw.pipeline, i, "test", port),
             "port out");
    }

    char *error = swx_spec_load(gw.pipeline, spec);
    if (error) {
        ovs_fatal(0, "%s", error);
    }
    must(rte_swx_pipeline_build(gw.pipeline), "pipeline build");
    if (compiled) {
        gw.runner = swx_runner_create(gw.pipeline, &swx_compiled_gateway, spec,
                                      &error);
        if (!gw.runner) {
            ovs_fatal(0, "%s", error);
        }
    }
    gw.ctl = rte_swx_ctl_pipeline_create(gw.pipeline);
    if (!gw.ctl) {
        ovs_fatal(0, "no control of the pipeline");
    }
}

void
gw_add(const char *table, const char *format, ...)
{
    struct ds s = DS_EMPTY_INITIALIZER;
    struct rte_swx_table_entry *entry;
    int blank;
    va_list args;

    va_start(args, format);
    ds_put_format_valist(&s, format, args);
    va_end(args);
    entry = rte_swx_ctl_pipeline_table_entry_read(gw.ctl, table, ds_cstr(&s),
                                                  &blank);
    if (!entry) {
        ovs_fatal(0, "%s: bad entry: %s", table, ds_cstr(&s));
    }
    must(rte_swx_ctl_pipeline_table_entry_add(gw.ctl, table, entry), table);

    /* The control has copied it, as deep as it goes. */
    free(entry->key);
    free(entry->key_mask);
    free(entry->action_data);
    free(entry);
    ds_destroy(&s);
}

void
gw_commit(void)
{
    must(rte_swx_ctl_pipeline_commit(gw.ctl, 1), "commit");
}

uint64_t
gw_read(const char *array, uint32_t index)
{
    uint64_t value;

    if (gw.runner) {
        return *swx_runner_register(gw.runner, array, index);
    }
    must(rte_swx_ctl_pipeline_regarray_read(gw.pipeline, array, index,
                                            &value), array);
    return value;
}

void
gw_write(const char *array, uint32_t index, uint64_t value)
{
    if (gw.runner) {
        *swx_runner_register(gw.runner, array, index) = value;
        return;
    }
    must(rte_swx_ctl_pipeline_regarray_write(gw.pipeline, array, index,
                                             value), array);
}

/* Returns how many packets were ever dropped: SWX adds a port for them. */
static uint64_t
n_dropped(void)
{
    struct rte_swx_port_out_stats stats;

    if (gw.runner) {
        return gw.n_dropped;
    }

    must(rte_swx_ctl_pipeline_port_out_stats_read(gw.pipeline, gw.n_ports,
                                                  &stats), "statistics");
    return stats.n_pkts_drop;
}

/* Runs a burst of frames through the compiled program. */
static void
run_compiled(void)
{
    static struct swx_job jobs[SWX_BURST];
    size_t n = 0;

    while (n < SWX_BURST && gw.next < gw.n_packets) {
        uintptr_t port = gw.packets[gw.next].frame->port;

        jobs[n].in = port;
        port_rx((void *) (port + 1), &jobs[n++].pkt);
    }
    swx_runner_run(gw.runner, jobs, n);
    for (size_t i = 0; i < n; i++) {
        if (jobs[i].out == SWX_DROPPED) {
            rte_pktmbuf_free(jobs[i].pkt.handle);
            gw.n_dropped++;
        } else {
            ovs_assert(jobs[i].out < gw.n_ports);
            port_tx((void *) ((uintptr_t) jobs[i].out + 1), &jobs[i].pkt);
        }
    }
}

void
gw_run(struct gw_frame *frames, size_t n)
{
    uint64_t dropped = n_dropped();

    ovs_assert(n <= GW_MAX_FRAMES);
    gw.n_packets = n;
    gw.next = gw.n_sent = 0;
    for (size_t i = 0; i < n; i++) {
        struct in_flight *f = &gw.packets[i];

        ovs_assert(frames[i].port < gw.n_ports);
        f->frame = &frames[i];
        f->sent = false;
        f->mbuf = rte_pktmbuf_alloc(gw.pool);
        ovs_assert(f->mbuf && f->mbuf->data_off == HEADROOM);
        rte_mbuf_refcnt_set(f->mbuf, 2);
    }
    for (size_t k = 0; k < n * (MAX_INSTRUCTIONS / 64); k++) {
        if (gw.n_sent + n_dropped() - dropped >= n) {
            break;
        }
        if (gw.runner) {
            run_compiled();
        } else {
            rte_swx_pipeline_run(gw.pipeline, 64);
        }
    }
    for (size_t i = 0; i < n; i++) {
        struct in_flight *f = &gw.packets[i];

        if (rte_mbuf_refcnt_read(f->mbuf) != 1) {
            ovs_fatal(0, "packet %"PRIuSIZE" of %"PRIuSIZE" does not come out",
                      i, n);
        }
        f->frame->dropped = !f->sent;
        if (f->frame->dropped) {
            f->frame->len = 0;
        }
        rte_pktmbuf_free(f->mbuf);
    }
    gw.n_packets = 0;
}
