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
#include "gateway-traffic.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "gateway-runtime.h"
#include "ovs-thread.h"
#include "p4/gateway-pipeline.h"
#include "unit.h"
#include "util.h"

#define MAX_OUTSTANDING 128
#define MIN_PACKETS 5000
#define MOVING_VMS 8           /* Whose next hop changes. */

atomic_uint gr_committed = 0;
atomic_uint gr_pending = 0;
static atomic_bool stop_traffic = false;

static struct {
    unsigned int n_sent, n_received;
    long long int worst;        /* Longest time in the gateway, ns. */
} traffic;

static void
inject_numbered(unsigned int number, unsigned int epoch)
{
    struct gw_packet packet;
    struct gw_frame frame;

    gr_packet_to_vm(number % MOVING_VMS, number & 1, number & 2, &packet);
    packet.inner6 = number & 2;
    packet.payload = 200;
    gw_packet_encode(&packet, &frame);

    /* The end of the payload. */
    uint8_t *p = frame.data + frame.len - 24;
    p = gw_put(p, 0x7a7a6f6f, 4);
    p = gw_put(p, number, 4);
    p = gw_put(p, epoch, 4);
    gw_put(p, gr_now(), 8);
    gr_inject(&gr_hosts, &frame);
}

static void
check_numbered(const struct gw_frame *frame)
{
    const uint8_t *p = frame->data + frame->len - 24;
    unsigned int number, in_epoch, out_epoch, vtep_epoch, vm_epoch;
    bool outer6 = gw_get(frame->data + 12, 2) == 0x86dd;

    unit_assert(gw_get(p, 4) == 0x7a7a6f6f, "another packet");
    number = gw_get(p + 4, 4);
    in_epoch = gw_get(p + 8, 4);
    atomic_read(&gr_pending, &out_epoch);
    traffic.worst = MAX(traffic.worst, gr_now() - (long long) gw_get(p + 12,
                                                                     8));

    /* The VTEP's address and the VM's MAC. */
    vtep_epoch = gw_get(frame->data + (outer6 ? 14 + 36 : 14 + 16), 4)
                 & 0xffff;
    vm_epoch = gw_get(frame->data + (outer6 ? 70 : 50) + 2, 4);
    unit_assert(vtep_epoch == vm_epoch, "packet %u has VTEP of epoch %u but "
                "MAC of %u", number, vtep_epoch, vm_epoch);
    unit_assert(vtep_epoch >= in_epoch && vtep_epoch <= out_epoch,
                "packet %u went in at epoch %u, came out at %u, with %u",
                number, in_epoch, out_epoch, vtep_epoch);
}

static void *
run_traffic(void *aux OVS_UNUSED)
{
    long long int last = gr_now();

    for (;;) {
        struct gw_frame frame;
        unsigned int epoch;
        bool stop;

        atomic_read(&stop_traffic, &stop);
        stop = stop && traffic.n_sent >= MIN_PACKETS;
        if (!stop && traffic.n_sent - traffic.n_received < MAX_OUTSTANDING) {
            atomic_read(&gr_committed, &epoch);
            inject_numbered(traffic.n_sent++, epoch);
        }
        if (gr_take(&gr_uplink, &frame)) {
            check_numbered(&frame);
            traffic.n_received++;
            last = gr_now();
        } else if (stop && (traffic.n_received == traffic.n_sent
                            || gr_now() - last > GR_TOO_LONG * SEC)) {
            return NULL;
        }
    }
}

pthread_t
gr_start_traffic(void)
{
    memset(&traffic, 0, sizeof traffic);
    atomic_store(&stop_traffic, false);
    return ovs_thread_create("traffic", run_traffic, NULL);
}

void
gr_end_traffic(pthread_t thread)
{
    atomic_store(&stop_traffic, true);
    xpthread_join(thread, NULL);
    printf("%u packets, the slowest one took %.1f ms\n", traffic.n_sent,
           traffic.worst / 1e6);
    ck_assert_uint_eq(traffic.n_received, traffic.n_sent);
}

void
gr_set_epoch(unsigned int id, unsigned int epoch)
{
    struct gateway_next next = {
        .vtep = id, .vni = 200,
        .mac = gr_mac(UINT64_C(0x020000000000) | epoch),
    };
    struct gateway_vtep v = {
        .port = GR_UPLINK, .mtu = GR_MTU,
        .src_mac = gr_mac(0x020000000002), .dst_mac = gr_mac(0x02000000aaaa),
        .path_table = id % 3, .destination = gr_vtep_destination(id),
    };

    if (gr_vtep_is_ipv6(id)) {
        v.local = gr_ip6(GW_ADDRESS6_HI, GW_ADDRESS6_LO);
        v.remote = gr_ip6(UINT64_C(0xfd03000000000000), epoch);
    } else {
        v.local = gr_ip4(GW_ADDRESS);
        v.remote = gr_ip4(GR_VTEP_ADDRESS | epoch);
    }
    ovs_assert(gateway_vtep_add(id, &v));
    for (unsigned int vm = 0; vm < MOVING_VMS; vm++) {
        for (int inner6 = 0; inner6 < 2; inner6++) {
            struct in6_addr address = gr_vm_address(vm, inner6);

            ovs_assert(gateway_route_add(100, &address, 128, &next));
        }
    }
}
