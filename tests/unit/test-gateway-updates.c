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

/* How fast path tables change by negotiation packets, beside the other ways to
 * change what a pipeline holds, and what traffic suffers meanwhile.
 *
 *     test-gateway-updates [DESTINATIONS [dpdk]]
 *
 * With "dpdk", DPDK's own control of tables instead.  Prints a line for each
 * measurement: what, how many, seconds, and for traffic what it had. */

#include <config.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_ring.h>

#include "gateway-pipeline.h"
#include "gateway-runtime.h"
#include "ovs-atomic.h"
#include "ovs-thread.h"
#include "p4/gateway-names.h"
#include "p4/gateway-pipeline.h"
#include "p4/gateway-private.h"
#include "random.h"
#include "unit.h"
#include "util.h"

#define TRAFFIC_RATE 20000      /* Packets per second. */
#define MAX_PACKETS 1000000
#define BATCH 1000              /* Entries of a table per commit. */
#define FIRST_VTEP 1000         /* Of those that come and go. */

static unsigned int n_destinations = 5000;

static void
report(const char *what, unsigned int n, long long int start)
{
    printf("%s %u %.6f\n", what, n, (gr_now() - start) / 1e9);
    fflush(stdout);
}

/* Traffic. */

static atomic_bool stop_traffic = false;
static unsigned int n_sent, n_received;
static long long int *delays;

static void
receive_packets(void)
{
    struct gw_frame frame;

    while (gr_take(&gr_uplink, &frame)) {
        const uint8_t *p = frame.data + frame.len - 8;

        delays[n_received++] = gr_now() - (long long) gw_get(p, 8);
    }
}

static void *
run_traffic(void *aux OVS_UNUSED)
{
    long long int start = gr_now(), last = start;
    struct gw_packet packet;
    struct gw_frame frame;
    bool stop = false;

    gr_packet_to_vm(1, false, false, &packet);
    packet.payload = 200;
    gw_packet_encode(&packet, &frame);
    while (!stop || (n_received < n_sent
                     && gr_now() - last < GR_TOO_LONG * SEC)) {
        unsigned int due = (gr_now() - start) / (SEC / TRAFFIC_RATE);

        if (!stop) {
            last = gr_now();
            while (n_sent < MIN(due, MAX_PACKETS)
                   && rte_ring_free_count(gr_hosts.rx) > 1) {
                gw_put(frame.data + frame.len - 8, gr_now(), 8);
                gr_inject(&gr_hosts, &frame);
                n_sent++;
            }
            atomic_read(&stop_traffic, &stop);
        }
        receive_packets();
        usleep(50);
    }
    return NULL;
}

static int
compare(const void *a_, const void *b_)
{
    const long long int *a = a_, *b = b_;

    return *a < *b ? -1 : *a > *b;
}

/* Runs 'function' beside traffic.  Returns false if a packet is lost. */
static bool
with_traffic(const char *what, void (*function)(void))
{
    n_sent = n_received = 0;
    atomic_store(&stop_traffic, false);

    pthread_t thread = ovs_thread_create("traffic", run_traffic, NULL);
    function();
    atomic_store(&stop_traffic, true);
    xpthread_join(thread, NULL);

    if (!n_received) {
        return false;
    }
    qsort(delays, n_received, sizeof *delays, compare);
    printf("traffic-%s sent %u lost %u p50 %.1f p99 %.1f max %.1f us\n", what,
           n_sent, n_sent - n_received, delays[n_received / 2] / 1e3,
           delays[n_received / 100 * 99] / 1e3,
           delays[n_received - 1] / 1e3);
    return n_sent == n_received;
}

/* Updates. */

static uint32_t *wanted;

static void
choose_values(void)
{
    for (unsigned int i = 0; i < n_destinations; i++) {
        wanted[i] = random_uint32();
    }
}

static bool
all_arrived(void)
{
    for (unsigned int i = 0; i < n_destinations; i++) {
        if (gateway_path_read(ZOO_GATEWAY_BITMAP, i) != wanted[i]) {
            return false;
        }
    }
    return true;
}

static void
wait_for_updates(void)
{
    struct gateway_update_stats stats;

    do {
        usleep(100);
        gateway_path_get_stats(&stats);
    } while (stats.pending);
}

static void
negotiate(const char *what)
{
    long long int start;

    choose_values();
    start = gr_now();
    for (unsigned int i = 0; i < n_destinations; i++) {
        struct gateway_update u = { ZOO_GATEWAY_BITMAP, i, wanted[i] };

        gateway_path_update(&u);
    }
    wait_for_updates();
    report(what, n_destinations, start);
}

static void
negotiate_beside_traffic(void)
{
    for (long long int until = gr_now() + SEC / 2; gr_now() < until; ) {
        negotiate("negotiation-beside-traffic");
    }
}

static void
nothing(void)
{
    usleep(500 * 1000);
}

/* A write per cell, and one per candidate, as without bitmaps. */
static void
write_registers(void)
{
    long long int start;

    choose_values();
    start = gr_now();
    for (unsigned int i = 0; i < n_destinations; i++) {
        gateway_register_write(GATEWAY_BITMAPS, i, wanted[i]);
    }
    report("register-per-cell", n_destinations, start);

    start = gr_now();
    for (unsigned int i = 0; i < n_destinations; i++) {
        for (int j = 0; j < ZOO_GATEWAY_N_CANDIDATES; j++) {
            gateway_register_write(GATEWAY_BITMAPS, i, wanted[i]);
        }
    }
    report("register-per-entry", n_destinations * ZOO_GATEWAY_N_CANDIDATES,
           start);
}

static void
add_vteps(unsigned int from, unsigned int n)
{
    struct gateway_vtep v = {
        .port = GR_UPLINK, .local = gr_ip4(1), .remote = gr_ip4(2),
        .mtu = GR_MTU, .path_table = ZOO_GATEWAY_BITMAP,
    };

    for (unsigned int i = from; i < from + n; i++) {
        v.destination = i;
        ovs_assert(gateway_vtep_add(FIRST_VTEP + i, &v));
    }
    gr_must(gateway_tables_commit());
}

static void
add_entries(void)
{
    long long int start = gr_now();

    for (unsigned int i = 0; i < n_destinations; i += BATCH) {
        add_vteps(i, MIN(BATCH, n_destinations - i));
    }
    report("table-batches", n_destinations, start);

    start = gr_now();
    for (unsigned int i = 0; i < 200; i++) {
        add_vteps(i, 1);
    }
    report("table-one-by-one", 200, start);
}

/* DPDK's own way, in a pipeline that nothing else runs. */
static void
add_entries_with_dpdk(void)
{
    const char *spec = getenv("ZOO_GATEWAY_SPEC");

    gw_init(spec ? spec : ZOO_GATEWAY_SPEC, 2, false);

    long long int start = gr_now();
    for (unsigned int i = 0; i < n_destinations; i++) {
        gw_add(GATEWAY_VTEPS, "match 0x%x action " GATEWAY_SEND_IPV4
               " port 0x1 src_mac 0x1 dst_mac 0x1 src 0x1 dst 0x1 mtu 0x5dc "
               "path_table 0x1 destination 0x%x\n", FIRST_VTEP + i, i);
        if (i % BATCH == BATCH - 1) {
            gw_commit();
        }
    }
    gw_commit();
    report("dpdk-table-batches", n_destinations, start);
}

static bool
measure(void)
{
    bool ok;

    wanted = xcalloc(n_destinations, sizeof *wanted);
    delays = xcalloc(MAX_PACKETS, sizeof *delays);
    gr_start();
    write_registers();
    ok = all_arrived();
    for (int i = 0; i < 5; i++) {
        negotiate("negotiation");
        ok = ok && all_arrived();
    }
    ok = with_traffic("alone", nothing) && ok;
    ok = with_traffic("with-updates", negotiate_beside_traffic) && ok;
    ok = all_arrived() && ok;
    ok = with_traffic("with-commits", add_entries) && ok;
    gateway_pipeline_stop();
    free(wanted);
    free(delays);
    return ok;
}

int
main(int argc, char *argv[])
{
    ovs_set_program_name(argv[0], "1");
    if (argc > 1 && (!str_to_uint(argv[1], 10, &n_destinations)
                     || !n_destinations
                     || n_destinations > ZOO_GATEWAY_N_VTEPS - FIRST_VTEP)) {
        ovs_fatal(0, "usage: %s [DESTINATIONS [dpdk]]", argv[0]);
    }
    if (argc > 2) {
        add_entries_with_dpdk();
        return EXIT_SUCCESS;
    }

    bool ok = measure();
    printf("%s\n", ok ? "every cell is right and no packet is lost"
           : "a cell is wrong, or a packet is lost");
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
