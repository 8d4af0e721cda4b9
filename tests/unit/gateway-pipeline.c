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

#include "csum.h"
#include "openvswitch/dynamic-string.h"
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

static uint8_t *
put(uint8_t *p, uint64_t value, size_t n)
{
    for (size_t i = n; i-- > 0; ) {
        *p++ = value >> (8 * i);
    }
    return p;
}

static uint64_t
get(const uint8_t *p, size_t n)
{
    uint64_t value = 0;

    for (size_t i = 0; i < n; i++) {
        value = value << 8 | p[i];
    }
    return value;
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
    p = put(p, f->frame->len, 4);
    /* The CPU port says where to. */
    p = put(p, f->frame->port ? f->frame->port : f->frame->reason, 4);
    put(p, 0, 4);
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
        ovs_assert(len >= SHIM && get(p, 4) == len - SHIM);
        f->frame->reason = get(p + 8, 4);
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
gw_init(const char *spec, unsigned int n_ports)
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

    must(rte_swx_ctl_pipeline_regarray_read(gw.pipeline, array, index,
                                            &value), array);
    return value;
}

void
gw_write(const char *array, uint32_t index, uint64_t value)
{
    must(rte_swx_ctl_pipeline_regarray_write(gw.pipeline, array, index,
                                             value), array);
}

/* Returns how many packets were ever dropped: SWX adds a port for them. */
static uint64_t
n_dropped(void)
{
    struct rte_swx_port_out_stats stats;

    must(rte_swx_ctl_pipeline_port_out_stats_read(gw.pipeline, gw.n_ports,
                                                  &stats), "statistics");
    return stats.n_pkts_drop;
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
        rte_swx_pipeline_run(gw.pipeline, 64);
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

/* Packets. */

void
gw_packet_init(struct gw_packet *packet, bool outer6, bool inner6)
{
    *packet = (struct gw_packet) {
        .outer6 = outer6,
        .eth_src = 0x020000000099,
        .eth_dst = 0x020000000002,
        .outer_ttl = 61,
        .fragment = 0x4000,
        .sport = 50000,
        .dport = 4789,
        .flags = ZOO_GATEWAY_VXLAN_F_VNI,
        .vni = 100,
        .inner6 = inner6,
        .inner_eth_src = 0x020000000077,
        .inner_eth_dst = GW_MAC,
        .flow = { .src_port = 1234, .dst_port = 80, .protocol = 17 },
        .inner_ttl = 64,
        .payload = 64,
    };
    if (outer6) {
        packet->outer_src[0] = GW_ADDRESS6_HI;
        packet->outer_src[1] = 99;
        packet->outer_dst[0] = GW_ADDRESS6_HI;
        packet->outer_dst[1] = GW_ADDRESS6_LO;
    } else {
        packet->outer_src[1] = GW_ADDRESS + 98;
        packet->outer_dst[1] = GW_ADDRESS;
    }
    if (inner6) {
        packet->flow.src[0] = packet->flow.dst[0] = 0xfd01000000000000;
    }
    packet->flow.src[1] = 0xc0a80001;
    packet->flow.dst[1] = 0xc0a80002;
}

static uint8_t *
put_ipv4(uint8_t *p, uint8_t tos, size_t len, uint16_t id, uint16_t fragment,
         uint8_t ttl, uint8_t protocol, uint32_t src, uint32_t dst)
{
    uint8_t *start = p;
    ovs_be16 checksum;

    p = put(p, 0x45, 1);
    p = put(p, tos, 1);
    p = put(p, len + 20, 2);
    p = put(p, id, 2);
    p = put(p, fragment, 2);
    p = put(p, ttl, 1);
    p = put(p, protocol, 1);
    p = put(p, 0, 2);
    p = put(p, src, 4);
    p = put(p, dst, 4);
    checksum = csum(start, 20);
    memcpy(start + 10, &checksum, sizeof checksum);
    return p;
}

static uint8_t *
put_ipv6(uint8_t *p, uint8_t tos, size_t len, uint8_t ttl, uint8_t protocol,
         const uint64_t src[2], const uint64_t dst[2])
{
    p = put(p, 0x60000000 | tos << 20, 4);
    p = put(p, len, 2);
    p = put(p, protocol, 1);
    p = put(p, ttl, 1);
    p = put(p, src[0], 8);
    p = put(p, src[1], 8);
    p = put(p, dst[0], 8);
    return put(p, dst[1], 8);
}

static uint8_t *
put_ethernet(uint8_t *p, uint64_t dst, uint64_t src, bool ipv6)
{
    p = put(p, dst, 6);
    p = put(p, src, 6);
    return put(p, ipv6 ? 0x86dd : 0x0800, 2);
}

void
gw_packet_encode(const struct gw_packet *pk, struct gw_frame *frame)
{
    size_t udp_len = 8 + 8 + 14 + (pk->inner6 ? 40 : 20) + pk->payload;
    uint8_t *p = frame->data;

    ovs_assert(pk->payload >= 4 && pk->payload <= 1500);
    p = put_ethernet(p, pk->eth_dst, pk->eth_src, pk->outer6);
    p = (pk->outer6
         ? put_ipv6(p, pk->tos, udp_len, pk->outer_ttl, 17, pk->outer_src,
                    pk->outer_dst)
         : put_ipv4(p, pk->tos, udp_len, pk->id, pk->fragment, pk->outer_ttl,
                    17, pk->outer_src[1], pk->outer_dst[1]));
    p = put(p, pk->sport, 2);
    p = put(p, pk->dport, 2);
    p = put(p, udp_len, 2);
    p = put(p, 0, 2);
    p = put(p, pk->flags, 4);
    p = put(p, (uint64_t) pk->vni << 8, 4);
    p = put_ethernet(p, pk->inner_eth_dst, pk->inner_eth_src, pk->inner6);
    p = (pk->inner6
         ? put_ipv6(p, 0, pk->payload, pk->inner_ttl, pk->flow.protocol,
                    pk->flow.src, pk->flow.dst)
         : put_ipv4(p, 0, pk->payload, 7, pk->inner_fragment, pk->inner_ttl,
                    pk->flow.protocol, pk->flow.src[1], pk->flow.dst[1]));
    p = put(p, pk->flow.src_port, 2);
    p = put(p, pk->flow.dst_port, 2);
    for (size_t i = 4; i < pk->payload; i++) {
        *p++ = i;
    }
    frame->len = p - frame->data;
}

struct zoo_gateway_flow
gw_packet_flow(const struct gw_packet *pk)
{
    struct zoo_gateway_flow flow = pk->flow;

    if (!pk->inner6) {
        flow.src[0] = flow.dst[0] = 0;
        flow.src[1] |= 0xffff00000000;
        flow.dst[1] |= 0xffff00000000;
    }
    if ((flow.protocol != 6 && flow.protocol != 17)
        || (!pk->inner6 && pk->inner_fragment & 0x3fff)) {
        flow.src_port = flow.dst_port = 0;
    }
    return flow;
}
