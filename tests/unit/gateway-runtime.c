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
#include "gateway-runtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eth_ring.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "p4/gateway-pipeline.h"
#include "packets.h"
#include "random.h"
#include "timeval.h"
#include "unit.h"
#include "util.h"

struct gr_device gr_hosts = { .name = "hosts" };
struct gr_device gr_uplink = { .name = "uplink" };

static struct rte_mempool *pool;
static uint16_t candidate_ports[ZOO_GATEWAY_N_CANDIDATES];

long long int
gr_now(void)
{
    struct timespec ts;

    time_timespec(&ts);
    return ts.tv_sec * SEC + ts.tv_nsec;
}

void
gr_must(char *error)
{
    if (error) {
        ovs_fatal(0, "%s", error);
    }
}

/* Frames in and out. */

void
gr_inject(const struct gr_device *device, const struct gw_frame *frame)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

    ovs_assert(m);
    memcpy(rte_pktmbuf_append(m, frame->len), frame->data, frame->len);
    ovs_assert(!rte_ring_enqueue(device->rx, m));
}

/* Returns buffers of 'n' bytes without room around them. */
static struct rte_mbuf *
make_segments(const struct gw_frame *frame, size_t n)
{
    struct rte_mbuf *head = NULL;

    for (size_t i = 0; i < frame->len; i += n) {
        struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
        size_t len = MIN(n, frame->len - i);

        ovs_assert(m);
        /* Without room in front. */
        m->data_off = 0;
        memcpy(rte_pktmbuf_append(m, len), frame->data + i, len);
        if (head) {
            ovs_assert(!rte_pktmbuf_chain(head, m));
        } else {
            head = m;
        }
    }
    return head;
}

void
gr_inject_segments(const struct gr_device *device,
                   const struct gw_frame *frame, size_t n)
{
    ovs_assert(!rte_ring_enqueue(device->rx, make_segments(frame, n)));
}

void
gr_inject_twice(const struct gr_device *device, const struct gw_frame *frame)
{
    struct rte_mbuf *m = make_segments(frame, frame->len);

    ovs_assert(!rte_pktmbuf_chain(m, make_segments(frame, frame->len)));
    ovs_assert(!rte_ring_enqueue(device->rx, m));
}

/* Takes a frame that the gateway has sent.  Returns false if there is none. */
bool
gr_take(const struct gr_device *device, struct gw_frame *frame)
{
    struct rte_mbuf *m;

    if (rte_ring_dequeue(device->tx, (void **) &m)) {
        return false;
    }
    ovs_assert(m->nb_segs == 1 && m->data_len <= sizeof frame->data);
    frame->len = m->data_len;
    memcpy(frame->data, rte_pktmbuf_mtod(m, void *), frame->len);
    rte_pktmbuf_free(m);
    return true;
}

uint64_t
gr_read_count(unsigned int number)
{
    uint64_t counts[ZOO_GATEWAY_N_COUNTS];

    gateway_get_counts(counts);
    return counts[number];
}

/* Configuration. */

struct in6_addr
gr_ip6(uint64_t hi, uint64_t lo)
{
    struct in6_addr address;

    gw_put(gw_put(address.s6_addr, hi, 8), lo, 8);
    return address;
}

struct in6_addr
gr_ip4(uint32_t address)
{
    return gr_ip6(0, UINT64_C(0xffff00000000) | address);
}

struct in6_addr
gr_vm_address(unsigned int vm, bool inner6)
{
    return (inner6 ? gr_ip6(UINT64_C(0xfd02000000000000), vm)
            : gr_ip4(GR_VM_ADDRESS + vm));
}

struct eth_addr
gr_mac(uint64_t value)
{
    struct eth_addr address;

    eth_addr_from_uint64(value, &address);
    return address;
}

bool
gr_vtep_is_ipv6(unsigned int vtep)
{
    return vtep >= GR_N_VTEPS / 2;
}

/* Odd destinations, so that others' cells lie between. */
uint32_t
gr_vtep_destination(unsigned int vtep)
{
    return (vtep * 21121 + 65535) % ZOO_GATEWAY_N_DESTINATIONS;
}

static void
add_vtep(unsigned int vtep, unsigned int port)
{
    struct gateway_vtep v = {
        .port = port,
        .src_mac = gr_mac(0x020000000002),
        .dst_mac = gr_mac(0x02000000aaaa),
        .mtu = GR_MTU,
        .path_table = vtep % 3,
        .destination = gr_vtep_destination(vtep),
    };

    if (gr_vtep_is_ipv6(vtep)) {
        v.local = gr_ip6(GW_ADDRESS6_HI, GW_ADDRESS6_LO);
        v.remote = gr_ip6(UINT64_C(0xfd03000000000000), vtep);
    } else {
        v.local = gr_ip4(GW_ADDRESS);
        v.remote = gr_ip4(GR_VTEP_ADDRESS + vtep);
    }
    ovs_assert(gateway_vtep_add(vtep, &v));
}

static void
add_vm(unsigned int vm, unsigned int vtep)
{
    struct gateway_next next = {
        .vtep = vtep, .vni = 200, .mac = gr_mac(0x020000000000 | vm),
    };

    for (int inner6 = 0; inner6 < 2; inner6++) {
        struct in6_addr address = gr_vm_address(vm, inner6);

        ovs_assert(gateway_route_add(100, &address, 128, &next));
    }
}

static void
add_address(struct in6_addr address)
{
    ovs_assert(gateway_address_add(&address, gr_mac(GW_MAC)));
}

/* Everything that the tests leave as it is. */
void
gr_configure(void)
{
    add_address(gr_ip4(GW_ADDRESS));
    add_address(gr_ip6(GW_ADDRESS6_HI, GW_ADDRESS6_LO));
    for (unsigned int i = 0; i < GR_N_VTEPS; i++) {
        add_vtep(i, GR_UPLINK);
    }
    for (unsigned int i = 0; i < GR_N_VMS; i++) {
        add_vm(i, i % GR_N_VTEPS);
    }
    for (unsigned int i = 0; i < ZOO_GATEWAY_N_CANDIDATES; i++) {
        candidate_ports[i] = 32768 + i * 801 % 28000;
    }
    gateway_set_candidate_ports(candidate_ports);
    gr_must(gateway_tables_commit());
}

/* Makes a device of two rings. */
static void
add_device(struct gr_device *device)
{
    char name[32];

    snprintf(name, sizeof name, "%s_rx", device->name);
    device->rx = rte_ring_create(name, 4096, SOCKET_ID_ANY, 0);
    snprintf(name, sizeof name, "%s_tx", device->name);
    device->tx = rte_ring_create(name, 4096, SOCKET_ID_ANY, 0);
    ovs_assert(device->rx && device->tx);
    ovs_assert(rte_eth_from_rings(device->name, &device->rx, 1, &device->tx,
                                  1, SOCKET_ID_ANY) >= 0);
}

void
gr_open_port(unsigned int port, const struct gr_device *device)
{
    char *devargs = xasprintf("net_ring_%s", device->name);

    gr_must(gateway_port_open(port, devargs, 0));
    free(devargs);
}

/* Packets. */

void
gr_packet_to_vm(unsigned int vm, bool outer6, bool inner6,
             struct gw_packet *packet)
{
    gw_packet_init(packet, outer6, inner6);
    packet->flow.src_port = random_uint32();
    packet->flow.dst[0] = inner6 ? UINT64_C(0xfd02000000000000) : 0;
    packet->flow.dst[1] = inner6 ? vm : GR_VM_ADDRESS + vm;
    packet->payload = unit_range(8, 1000);
}

static uint16_t
expected_port(const struct gw_packet *packet, unsigned int vtep)
{
    struct zoo_gateway_flow flow = gw_packet_flow(packet);
    uint32_t hash = zoo_gateway_hash(&flow);
    unsigned int own = zoo_gateway_own(hash);
    uint32_t cell;

    switch (vtep % 3) {
    case ZOO_GATEWAY_BITMAP:
        cell = gateway_path_read(ZOO_GATEWAY_BITMAP,
                                 gr_vtep_destination(vtep));
        return candidate_ports[zoo_gateway_bitmap_pick(cell, own)];

    case ZOO_GATEWAY_INDEX:
        cell = gateway_path_read(ZOO_GATEWAY_INDEX,
                                 gr_vtep_destination(vtep));
        return candidate_ports[zoo_gateway_index_pick(cell, own)];

    default:
        return zoo_gateway_plain_port(hash);
    }
}

/* Makes of 'packet', to VM 'vm', what the gateway is to send. */
void
gr_expect_packet(struct gw_packet *packet, unsigned int vm)
{
    unsigned int vtep = vm % GR_N_VTEPS;

    packet->sport = expected_port(packet, vtep);
    packet->eth_src = 0x020000000002;
    packet->eth_dst = 0x02000000aaaa;
    packet->outer6 = gr_vtep_is_ipv6(vtep);
    if (packet->outer6) {
        packet->outer_src[0] = GW_ADDRESS6_HI;
        packet->outer_src[1] = GW_ADDRESS6_LO;
        packet->outer_dst[0] = UINT64_C(0xfd03000000000000);
        packet->outer_dst[1] = vtep;
    } else {
        packet->outer_src[1] = GW_ADDRESS;
        packet->outer_dst[1] = GR_VTEP_ADDRESS + vtep;
    }
    packet->outer_ttl = 64;
    packet->id = 0;
    packet->fragment = 0x4000;
    packet->vni = 200;
    packet->inner_eth_src = GW_MAC;
    packet->inner_eth_dst = 0x020000000000 | vm;
    packet->inner_ttl--;
}

uint16_t
gr_candidate_port(unsigned int i)
{
    return candidate_ports[i];
}

void
gr_start(void)
{
    const char *spec = getenv("ZOO_GATEWAY_SPEC");

    gr_must(gateway_pipeline_start(spec ? spec : ZOO_GATEWAY_SPEC,
                                   "--no-huge --no-pci -m '256' "
                                   "--no-telemetry \"--no-shconf\" "
                                   "--log-level=error"));
    pool = rte_pktmbuf_pool_create("test", 8191, 64, 0,
                                   RTE_PKTMBUF_HEADROOM + GW_MAX_FRAME, 0);
    ovs_assert(pool);
    add_device(&gr_hosts);
    add_device(&gr_uplink);
    gr_open_port(GR_HOSTS, &gr_hosts);
    gr_open_port(GR_UPLINK, &gr_uplink);
    gr_configure();
}
