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

/* The gateway's data plane as zoo-gatewayd runs it: ports that come and go,
 * tables that change and path tables that are updated while packets flow, and
 * the CPU port. */

#include <config.h>
#include "unit.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rte_ring.h>

#include "gateway-runtime.h"
#include "gateway-traffic.h"
#include "ofproto-zoo/zooroute-private.h"
#include "openvswitch/dynamic-string.h"
#include "ovs-atomic.h"
#include "ovs-thread.h"
#include "p4/gateway-names.h"
#include "p4/gateway-pipeline.h"
#include "p4/gateway-private.h"
#include "random.h"
#include "smap.h"
#include "util.h"

#define ZOO_GATEWAY_COUNT(NUMBER, ENUM, NAME, DESCRIPTION) \
    COUNT_##ENUM = NUMBER,
enum { ZOO_GATEWAY_COUNTS };
#undef ZOO_GATEWAY_COUNT

static void
check_frame(const struct gw_frame *frame, const struct gw_frame *wanted)
{
    ck_assert_uint_eq(frame->len, wanted->len);
    for (size_t i = 0; i < wanted->len; i++) {
        unit_assert(frame->data[i] == wanted->data[i],
                    "byte %"PRIuSIZE" is %02x instead of %02x", i,
                    frame->data[i], wanted->data[i]);
    }
}

/* Whole packets through the gateway, to all kinds of VTEPs. */
START_TEST(forwards)
{
    for (unsigned int i = 0; i < 20 * GR_N_VMS; i++) {
        struct gw_frame frame, wanted;
        unsigned int vm = i % GR_N_VMS;
        struct gw_packet packet;

        gr_packet_to_vm(vm, random_range(2), random_range(2), &packet);
        gw_packet_encode(&packet, &frame);
        gr_expect_packet(&packet, vm);
        gw_packet_encode(&packet, &wanted);
        gr_inject(&gr_hosts, &frame);
        GR_WAIT_FOR(gr_take(&gr_uplink, &frame));
        check_frame(&frame, &wanted);
    }
}
END_TEST

/* The pipeline marks where packets have gone to, and nothing else. */
START_TEST(use)
{
    for (unsigned int i = 0; i < ZOO_GATEWAY_N_DESTINATIONS; i++) {
        gateway_path_take_used(i);
    }
    for (unsigned int vm = 0; vm < GR_N_VTEPS; vm++) {
        struct gw_packet packet;
        struct gw_frame frame;

        gr_packet_to_vm(vm, false, false, &packet);
        gw_packet_encode(&packet, &frame);
        gr_inject(&gr_hosts, &frame);
        GR_WAIT_FOR(gr_take(&gr_uplink, &frame));
        for (unsigned int i = 0; i < ZOO_GATEWAY_N_DESTINATIONS; i++) {
            bool used = gateway_path_take_used(i);

            unit_assert(used == (i == gr_vtep_destination(vm)),
                        "VM %u, destination %u: %d", vm, i, used);
        }
    }
}
END_TEST

/* Returns the candidates that packets to the destination of 'packet' have left
 * by since this was asked last. */
static uint32_t
left_by(const struct gw_packet *packet)
{
    struct in6_addr remote = (packet->outer6
                              ? gr_ip6(packet->outer_dst[0],
                                       packet->outer_dst[1])
                              : gr_ip4(packet->outer_dst[1]));

    gateway_use_turn();
    return gateway_use_get(&remote);
}

/* What leaves says by which candidate, and to whom; what is no tenant's packet
 * says nothing. */
START_TEST(use_of_candidates)
{
    unsigned int n_plain = 0, n_choices = 0;
    struct gw_packet packet;
    struct gw_frame frame;

    for (int i = 0; i < 2; i++) {
        gateway_use_turn();
    }
    for (unsigned int i = 0; i < 1000; i++) {
        unsigned int vm = random_range(GR_N_VMS);
        uint32_t expected = 0;

        gr_packet_to_vm(vm, random_range(2), random_range(2), &packet);
        gw_packet_encode(&packet, &frame);
        gr_expect_packet(&packet, vm);
        gr_inject(&gr_hosts, &frame);
        GR_WAIT_FOR(gr_take(&gr_uplink, &frame));
        for (unsigned int c = 0; c < ZOO_GATEWAY_N_CANDIDATES; c++) {
            if (packet.sport == gr_candidate_port(c)) {
                expected |= UINT32_C(1) << c;
            }
        }
        n_choices += expected != 0;
        n_plain += !expected;
        ck_assert_uint_eq(left_by(&packet), expected);
        ck_assert_uint_eq(left_by(&packet), 0);
    }
    ck_assert_uint_gt(n_plain, 0);
    ck_assert_uint_gt(n_choices, 0);

    /* Probes and fragments, as ZooRoute and others send them. */
    packet.sport = gr_candidate_port(7);
    for (int i = 0; i < 3; i++) {
        packet.flags = (ZOO_GATEWAY_VXLAN_F_VNI
                        | (i == 0 ? ZOO_GATEWAY_VXLAN_F_PROBE : 0));
        packet.dport = i == 1 ? 4790 : 4789;
        gw_packet_encode(&packet, &frame);
        ck_assert(gateway_send(GR_UPLINK, frame.data, frame.len));
        GR_WAIT_FOR(gr_take(&gr_uplink, &frame));
        ck_assert_uint_eq(left_by(&packet), i == 2 ? 1u << 7 : 0);
    }

    /* Ports that several candidates have stand for all of these. */
    uint16_t ports[ZOO_GATEWAY_N_CANDIDATES];

    for (unsigned int c = 0; c < ZOO_GATEWAY_N_CANDIDATES; c++) {
        ports[c] = gr_candidate_port(c % 12);
    }
    gateway_set_candidate_ports(ports);
    ck_assert(gateway_send(GR_UPLINK, frame.data, frame.len));
    GR_WAIT_FOR(gr_take(&gr_uplink, &frame));
    ck_assert_uint_eq(left_by(&packet), 1u << 7 | 1u << 19 | 1u << 31);
    gr_configure();
}
END_TEST

static uint64_t
statistic(unsigned int port, const char *name)
{
    struct smap statistics = SMAP_INITIALIZER(&statistics);
    uint64_t value;

    gateway_port_get_statistics(port, &statistics);
    value = smap_get_ullong(&statistics, name, 0);
    smap_destroy(&statistics);
    return value;
}

/* What the thread "gateway-punt" has been given last. */
static struct {
    struct ovs_mutex mutex;
    unsigned int n OVS_GUARDED;
    struct gateway_punt punt OVS_GUARDED;
    uint8_t data[GW_MAX_FRAME] OVS_GUARDED;
} punted = { .mutex = OVS_MUTEX_INITIALIZER };

/* Microseconds that a callback takes. */
static atomic_uint slowness = 0;

static void
keep_punt(const struct gateway_punt *punt)
{
    unsigned int us;

    ovs_mutex_lock(&punted.mutex);
    punted.n++;
    punted.punt = *punt;
    memcpy(punted.data, punt->data, punt->len);
    ovs_mutex_unlock(&punted.mutex);
    atomic_read(&slowness, &us);
    if (us) {
        usleep(us);
    }
}

static unsigned int
n_punted(void)
{
    unsigned int n;

    ovs_mutex_lock(&punted.mutex);
    n = punted.n;
    ovs_mutex_unlock(&punted.mutex);
    return n;
}

static void
check_punt(unsigned int port, unsigned int reason,
           const struct gw_frame *frame, long long int since)
{
    ovs_mutex_lock(&punted.mutex);
    ck_assert_uint_eq(punted.punt.port, port);
    ck_assert_uint_eq(punted.punt.reason, reason);
    ck_assert_uint_eq(punted.punt.len, frame->len);
    ck_assert(!memcmp(punted.data, frame->data, frame->len));
    ck_assert_int_ge(punted.punt.when, since);
    ck_assert_int_le(punted.punt.when, gr_now());
    ovs_mutex_unlock(&punted.mutex);
}

/* Any frame of 'len' bytes that is not IP. */
static void
make_local(struct gw_frame *frame, size_t len)
{
    frame->len = len;
    random_bytes(frame->data, len);
    gw_put(frame->data + 12, 0x0806, 2);
}

/* Frames that are the CPU's, from both ports, and a probe; and what the way
 * to a callback takes. */
START_TEST(punts)
{
    long long int sum = 0;
    unsigned int n = 0;

    for (size_t len = 42; len < 1500; len += 91) {
        const struct gr_device *device = n % 2 ? &gr_hosts : &gr_uplink;
        unsigned int before = n_punted();
        long long int since = gr_now();
        struct gw_frame frame;

        make_local(&frame, len);
        gr_inject(device, &frame);
        GR_WAIT_FOR(n_punted() > before);
        check_punt(n % 2 ? GR_HOSTS : GR_UPLINK, COUNT_LOCAL, &frame, since);
        ovs_mutex_lock(&punted.mutex);
        sum += gr_now() - punted.punt.when;
        ovs_mutex_unlock(&punted.mutex);
        n++;
    }
    printf("punt to callback and back to the test: %lld us on average\n",
           sum / n / 1000);

    struct gw_packet packet;
    struct gw_frame frame;
    unsigned int before = n_punted();
    long long int since = gr_now();

    gr_packet_to_vm(1, false, false, &packet);
    packet.flags |= ZOO_GATEWAY_VXLAN_F_PROBE;
    gw_packet_encode(&packet, &frame);
    gr_inject(&gr_hosts, &frame);
    GR_WAIT_FOR(n_punted() > before);
    check_punt(GR_HOSTS, COUNT_PROBE, &frame, since);
}
END_TEST

/* Buffers as the pipeline cannot use them: too little room behind, none in
 * front, several.  What is too long even so is dropped. */
START_TEST(awkward_buffers)
{
    struct gw_frame frame;

    for (int i = 0; i < 5; i++) {
        unsigned int before = n_punted();
        long long int since = gr_now();

        make_local(&frame, i == 1 ? 60 : 2000);
        if (i == 0) {
            gr_inject(&gr_hosts, &frame);
        } else {
            gr_inject_segments(&gr_hosts, &frame, i < 3 ? 2000 : 300 * i);
        }
        GR_WAIT_FOR(n_punted() > before);
        check_punt(GR_HOSTS, COUNT_LOCAL, &frame, since);
    }

    uint64_t dropped = statistic(GR_HOSTS, "rx_dropped");
    unsigned int before = n_punted();
    make_local(&frame, 2000);
    for (int i = 0; i < 10; i++) {
        gr_inject_twice(&gr_hosts, &frame);
    }
    GR_WAIT_FOR(statistic(GR_HOSTS, "rx_dropped") == dropped + 10);
    ck_assert_uint_eq(n_punted(), before);
}
END_TEST

START_TEST(sends)
{
    struct gw_frame frame, sent;

    for (size_t len = 14; len <= 1514; len += 50) {
        make_local(&sent, len);
        ck_assert(gateway_send(len % 4 ? GR_UPLINK : GR_HOSTS, sent.data,
                               len));
        GR_WAIT_FOR(gr_take(len % 4 ? &gr_uplink : &gr_hosts, &frame));
        check_frame(&frame, &sent);
    }

    /* Nowhere. */
    ck_assert(!gateway_send(GR_SPARE, sent.data, sent.len));
    ck_assert(!gateway_send(ZOO_GATEWAY_CPU_PORT, sent.data, sent.len));
    ck_assert(!gateway_send(ZOO_GATEWAY_N_PORTS, sent.data, sent.len));
    ck_assert(!gateway_send(GR_UPLINK, sent.data, 65000));

    /* The queue has an end, and the buffers too. */
    int n = 0;
    while (n < 100000 && gateway_send(GR_SPARE + 1, sent.data, sent.len)) {
        n++;
    }
    ck_assert_int_eq(n, 0);
}
END_TEST

/* Prefixes that no packet of the traffic has, many of them. */
static void
change_prefixes(unsigned int epoch, bool present)
{
    struct gateway_next next = { .vtep = 1, .vni = 200, .mac = gr_mac(1) };

    for (unsigned int i = 0; i < 200; i++) {
        uint64_t hi = UINT64_C(0xfd05000000000000) | i << 16;
        struct in6_addr address = gr_ip6(hi, 0);

        if (present && (i + epoch) % 3) {
            ovs_assert(gateway_route_add(100, &address, 48 + i % 60, &next));
        } else {
            gateway_route_delete(100, &address, 48 + i % 60);
        }
    }
}

/* Both tables change at once, hundreds of times, and no packet sees but one of
 * the changes, the old state afterwards, or nothing. */
START_TEST(changes)
{
    long long int exact = 0, wildcard = 0;
    unsigned int n_exact = 0, n_wildcard = 0;

    gr_set_epoch(0, 0);
    gr_must(gateway_tables_commit());

    pthread_t thread = gr_start_traffic();
    for (unsigned int epoch = 1; epoch <= 400; epoch++) {
        bool prefixes = epoch % 10 == 0;

        /* The next hop goes round, and what it was goes away. */
        gr_set_epoch(epoch % GR_N_VTEPS, epoch);
        gateway_vtep_delete((epoch - 1) % GR_N_VTEPS);
        if (prefixes) {
            change_prefixes(epoch, true);
        }
        atomic_store(&gr_pending, epoch);

        long long int start = gr_now();
        gr_must(gateway_tables_commit());
        long long int took = gr_now() - start;

        atomic_store(&gr_committed, epoch);
        *(prefixes ? &wildcard : &exact) += took;
        *(prefixes ? &n_wildcard : &n_exact) += 1;
    }
    gr_end_traffic(thread);
    printf("commit: %.3f ms of exact entries, %.3f ms with prefixes\n",
           exact / 1e6 / n_exact, wildcard / 1e6 / n_wildcard);

    atomic_store(&gr_pending, 0);
    atomic_store(&gr_committed, 0);
    change_prefixes(0, false);
    gr_configure();
}
END_TEST

/* Ports. */

/* Another port comes and goes while packets flow. */
START_TEST(ports_while_packets_flow)
{
    static const char devargs[] = "net_null0,no-rx=1";
    struct gateway_port_info info;

    gr_set_epoch(0, 0);
    gr_must(gateway_tables_commit());

    pthread_t thread = gr_start_traffic();
    for (int i = 0; i < 100; i++) {
        ck_assert(!gateway_port_get_info(GR_SPARE, &info));
        gr_must(gateway_port_open(GR_SPARE, devargs, i % 2 ? 1400 : 0));
        ck_assert(gateway_port_get_info(GR_SPARE, &info));
        ck_assert(info.link_up);
        ck_assert(i % 2 == 0 || info.mtu == 1400);

        /* What it is sent arrives there. */
        uint8_t data[100] = { 0 };
        ck_assert(gateway_send(GR_SPARE, data, sizeof data));
        GR_WAIT_FOR(statistic(GR_SPARE, "tx_packets") == 1);
        gateway_port_close(GR_SPARE);
    }
    gr_end_traffic(thread);
    gr_configure();
}
END_TEST

/* A port that is closed gets nothing, loses what goes there, and takes up
 * where it was. */
START_TEST(port_reopens)
{
    for (int i = 0; i < 20; i++) {
        uint64_t forwarded = gr_read_count(COUNT_FORWARDED);
        struct gw_packet packet;
        struct gw_frame frame;

        gateway_port_close(GR_UPLINK);
        gr_packet_to_vm(1, false, false, &packet);
        gw_packet_encode(&packet, &frame);
        for (int j = 0; j < 50; j++) {
            gr_inject(&gr_hosts, &frame);
        }
        GR_WAIT_FOR(gr_read_count(COUNT_FORWARDED) == forwarded + 50);
        ck_assert(!gateway_send(GR_UPLINK, frame.data, frame.len));
        gr_open_port(GR_UPLINK, &gr_uplink);
        ck_assert(!gr_take(&gr_uplink, &frame));

        gw_packet_encode(&packet, &frame);
        gr_inject(&gr_hosts, &frame);
        GR_WAIT_FOR(gr_take(&gr_uplink, &frame));
    }
}
END_TEST

static void
check_error(char *error, const char *part)
{
    ck_assert(error);
    ck_assert_msg(strstr(error, part), "\"%s\" has no \"%s\"", error, part);
    free(error);
}

START_TEST(ports_refused)
{
    check_error(gateway_port_open(GR_SPARE, "net_nothing0", 0), "nothing0");
    check_error(gateway_port_open(GR_SPARE, "net_null0", 60000), "60000");
    check_error(gateway_port_open(GR_SPARE, "net_null0", 10), "10");
    check_error(gateway_port_open(GR_SPARE, "net_ring_uplink", 0), "another");

    /* The failures have left nothing. */
    gr_must(gateway_port_open(GR_SPARE, "net_null0", 0));
    gateway_port_close(GR_SPARE);
    gateway_port_close(GR_SPARE);
}
END_TEST

/* Returns the VTEP, of those for IPv4, that a packet to 'address' takes, or -1
 * if there is no route. */
static int
route_of(uint32_t vni, uint32_t address)
{
    uint64_t unknown = gr_read_count(COUNT_NO_ROUTE);
    struct gw_packet packet;
    struct gw_frame frame;
    bool taken = false;

    gr_packet_to_vm(0, false, false, &packet);
    packet.vni = vni;
    packet.flow.dst[1] = address;
    gw_packet_encode(&packet, &frame);
    gr_inject(&gr_hosts, &frame);
    GR_WAIT_FOR((taken = gr_take(&gr_uplink, &frame))
                || gr_read_count(COUNT_NO_ROUTE) > unknown);
    return taken ? gw_get(frame.data + 30, 4) - GR_VTEP_ADDRESS : -1;
}

static void
set_route(uint32_t vni, uint32_t address, unsigned int plen, int vtep)
{
    struct gateway_next next = { .vtep = vtep, .vni = 200 };
    struct in6_addr prefix = gr_ip4(address);

    if (vtep >= 0) {
        ovs_assert(gateway_route_add(vni, &prefix, 96 + plen, &next));
    } else {
        gateway_route_delete(vni, &prefix, 96 + plen);
    }
    gr_must(gateway_tables_commit());
}

/* The longest prefix wins, whatever the order in which they came, and what is
 * behind it returns when it goes. */
START_TEST(longest_prefix)
{
    static const uint32_t address = 0x0a630203;

    ck_assert_int_eq(route_of(5, address), -1);
    set_route(5, 0x0a630000, 16, 1);
    ck_assert_int_eq(route_of(5, address), 1);
    set_route(5, address, 32, 2);
    set_route(5, 0x0a630200, 24, 3);
    set_route(5, 0, 0, 4);
    ck_assert_int_eq(route_of(5, address), 2);
    ck_assert_int_eq(route_of(5, address + 1), 3);
    ck_assert_int_eq(route_of(5, address + 256), 1);
    ck_assert_int_eq(route_of(5, address + 65536), 4);
    ck_assert_int_eq(route_of(6, address), -1);

    /* Bits beyond the prefix do not count; a new one replaces the old. */
    set_route(5, 0x0a6302ff, 24, 5);
    ck_assert_int_eq(route_of(5, address + 1), 5);

    set_route(5, address, 32, -1);
    ck_assert_int_eq(route_of(5, address), 5);
    set_route(5, 0x0a630200, 24, -1);
    ck_assert_int_eq(route_of(5, address), 1);
    set_route(5, 0x0a630000, 16, -1);
    ck_assert_int_eq(route_of(5, address), 4);
    set_route(5, 0, 0, -1);
    ck_assert_int_eq(route_of(5, address), -1);
}
END_TEST

START_TEST(start_refused)
{
    check_error(gateway_pipeline_start("x", "--no-huge 'x"), "quote");
}
END_TEST

/* The tables' ends. */
START_TEST(tables_full)
{
    struct gateway_next next = { .vtep = 0 };
    struct in6_addr address;
    unsigned int n = 0;

    for (n = 0; n < 1000; n++) {
        address = gr_ip4(0x0b000000 + n);
        if (!gateway_address_add(&address, gr_mac(1))) {
            break;
        }
    }
    ck_assert_uint_eq(n, ZOO_GATEWAY_N_LOCAL - 2);
    gr_must(gateway_tables_commit());

    /* What goes makes room at once. */
    address = gr_ip4(0x0b000000);
    gateway_address_delete(&address);
    address = gr_ip4(0x0c000000);
    ck_assert(gateway_address_add(&address, gr_mac(1)));
    gr_must(gateway_tables_commit());
    gateway_address_delete(&address);
    for (unsigned int i = 0; i < n; i++) {
        address = gr_ip4(0x0b000000 + i);
        gateway_address_delete(&address);
    }
    gr_must(gateway_tables_commit());

    for (n = 0; n < 2 * ZOO_GATEWAY_N_ROUTES; n++) {
        address = gr_ip6(n, 0);
        if (!gateway_route_add(7, &address, 64, &next)) {
            break;
        }
    }
    ck_assert_uint_eq(n, ZOO_GATEWAY_N_ROUTES);
    gr_must(gateway_tables_commit());
    for (unsigned int i = 0; i < n; i++) {
        address = gr_ip6(i, 0);
        gateway_route_delete(7, &address, 64);
    }
    gr_must(gateway_tables_commit());

    struct gateway_vtep bad = { .port = ZOO_GATEWAY_N_PORTS };
    ck_assert(!gateway_vtep_add(1, &bad));
    bad.port = 1;
    ck_assert(!gateway_vtep_add(ZOO_GATEWAY_N_VTEPS, &bad));
}
END_TEST

/* Path tables. */

static uint32_t wanted_cells[2][ZOO_GATEWAY_N_DESTINATIONS];

static void
update(int path_table, uint32_t destination, uint32_t value)
{
    struct gateway_update u = { path_table, destination, value };

    gateway_path_update(&u);
}

static uint32_t
random_cell(int path_table)
{
    return random_uint32() & (path_table == ZOO_GATEWAY_INDEX ? 0xfffff
                              : UINT32_MAX);
}

static struct gateway_update_stats
path_stats(void)
{
    struct gateway_update_stats stats;

    gateway_path_get_stats(&stats);
    return stats;
}

static uint64_t
n_pending(void)
{
    return path_stats().pending;
}

static void
check_cells(void)
{
    for (int table = ZOO_GATEWAY_BITMAP; table <= ZOO_GATEWAY_INDEX;
         table++) {
        for (uint32_t i = 0; i < ZOO_GATEWAY_N_DESTINATIONS; i++) {
            unit_assert(gateway_path_read(table, i)
                        == wanted_cells[table - 1][i],
                        "table %d, cell %"PRIu32" is 0x%"PRIx32" instead of "
                        "0x%"PRIx32, table, i, gateway_path_read(table, i),
                        wanted_cells[table - 1][i]);
        }
    }
}

static void
update_all(void)
{
    for (uint32_t i = 0; i < ZOO_GATEWAY_N_DESTINATIONS; i++) {
        for (int table = ZOO_GATEWAY_BITMAP; table <= ZOO_GATEWAY_INDEX;
             table++) {
            wanted_cells[table - 1][i] = random_cell(table);
            update(table, i, wanted_cells[table - 1][i]);
        }
    }
}

/* All cells arrive, and the last of many values of a cell. */
START_TEST(updates)
{
    uint64_t written = gr_read_count(COUNT_WRITTEN);
    struct gateway_update_stats before, after;

    gateway_path_get_stats(&before);
    update_all();
    GR_WAIT_FOR(!n_pending());
    check_cells();
    gateway_path_get_stats(&after);
    ck_assert_uint_eq(after.updates - before.updates,
                      gr_read_count(COUNT_WRITTEN) - written);
    ck_assert_uint_ge(after.updates - before.updates,
                      2 * ZOO_GATEWAY_N_DESTINATIONS);

    for (int i = 0; i < 300000; i++) {
        int table = ZOO_GATEWAY_BITMAP + random_range(2);
        uint32_t cell = random_range(100);

        wanted_cells[table - 1][cell] = random_cell(table);
        update(table, cell, wanted_cells[table - 1][cell]);
    }
    GR_WAIT_FOR(!n_pending());
    check_cells();

    /* Nothing comes of these. */
    update(ZOO_GATEWAY_PLAIN, 1, 0);
    update(3, 1, 0);
    update(ZOO_GATEWAY_BITMAP, ZOO_GATEWAY_N_DESTINATIONS, 0);
    update(ZOO_GATEWAY_INDEX, 1, 0x100000);
    ck_assert_uint_eq(n_pending(), 0);
    check_cells();
}
END_TEST

/* A cell changes again while its value is on the way: the last one stays. */
START_TEST(newer_values)
{
    for (int i = 0; i < 1000; i++) {
        uint64_t packets = path_stats().packets;
        uint32_t cell = i % 7;

        update(ZOO_GATEWAY_BITMAP, cell, i);
        for (int j = 0; j < 1000 && path_stats().packets == packets; j++) {
            continue;
        }
        update(ZOO_GATEWAY_BITMAP, cell, ~i);
        GR_WAIT_FOR(!n_pending());
        ck_assert_uint_eq(gateway_path_read(ZOO_GATEWAY_BITMAP, cell),
                          (uint32_t) ~i);
        wanted_cells[0][cell] = ~i;
    }
}
END_TEST

/* Waits until all packets have been sent that can be. */
static void
wait_for_packets(void)
{
    uint64_t packets;

    do {
        packets = path_stats().packets;
        usleep(1000);
    } while (path_stats().packets != packets);
}

/* In the thread of the pipeline: changes cell 0 at the end of a long packet,
 * and again. */
static void
change_twice(void *value_)
{
    uint32_t *value = value_;

    for (uint32_t i = 0; i < 100; i++) {
        wanted_cells[1][i] = *value;
        update(ZOO_GATEWAY_INDEX, i, *value);
    }
    update(ZOO_GATEWAY_BITMAP, 0, *value);
    wait_for_packets();
    wanted_cells[0][0] = ~*value;
    update(ZOO_GATEWAY_BITMAP, 0, ~*value);
    wait_for_packets();
}

/* A short packet does not overtake a long one that has the same cell. */
START_TEST(overtaking)
{
    for (uint32_t i = 0; i < 20; i++) {
        gateway_at_rest(change_twice, &i);
        GR_WAIT_FOR(!n_pending());
        check_cells();
    }
}
END_TEST

static void
stall(void *aux OVS_UNUSED)
{
    for (uint32_t i = 0; i < 1000; i++) {
        wanted_cells[1][i] = i;
        update(ZOO_GATEWAY_INDEX, i, i);
    }
    usleep(100 * 1000);
}

/* While the thread of the pipeline does not run, packets are late, not lost. */
START_TEST(late_negotiations)
{
    uint64_t retransmissions = path_stats().retransmissions;

    gateway_at_rest(stall, NULL);
    GR_WAIT_FOR(!n_pending());
    check_cells();
    ck_assert_uint_eq(path_stats().retransmissions, retransmissions);
}
END_TEST

/* The pipeline drops negotiation packets. */
START_TEST(lost_negotiations)
{
    uint64_t token = gateway_register_read(GATEWAY_TOKEN, 0);
    uint64_t refused = gr_read_count(COUNT_UNAUTHENTICATED);
    uint64_t retransmissions = path_stats().retransmissions;

    gateway_register_write(GATEWAY_TOKEN, 0, token ^ 1);
    update_all();
    GR_WAIT_FOR(gr_read_count(COUNT_UNAUTHENTICATED) > refused + 200);
    gateway_register_write(GATEWAY_TOKEN, 0, token);
    GR_WAIT_FOR(!n_pending());
    check_cells();
    ck_assert_uint_gt(path_stats().retransmissions, retransmissions + 100);
}
END_TEST

/* Makes 'frame' a probe. */
static void
make_probe(struct gw_frame *frame)
{
    struct gw_packet packet;

    gw_packet_init(&packet, false, false);
    packet.flags |= ZOO_GATEWAY_VXLAN_F_PROBE;
    gw_packet_encode(&packet, frame);
}

/* Acknowledgements get lost, because the queue to a slow callback is full of
 * probes, but not if anything else comes. */
static void
flood(struct gw_frame *frame, bool loses)
{
    struct gateway_update_stats before, after;
    uint64_t dropped = gateway_punt_get_dropped();

    gateway_path_get_stats(&before);
    atomic_store(&slowness, 100);
    update_all();
    for (long long int until = gr_now() + SEC; gr_now() < until; ) {
        if (rte_ring_free_count(gr_hosts.rx) > 3000) {
            gr_inject(&gr_hosts, frame);
        }
    }
    atomic_store(&slowness, 0);
    GR_WAIT_FOR(!n_pending());
    check_cells();
    gateway_path_get_stats(&after);
    printf("%"PRIu64" packets lost at the CPU port, %"PRIu64" of %"PRIu64
           " negotiation packets sent again\n",
           gateway_punt_get_dropped() - dropped,
           after.retransmissions - before.retransmissions,
           after.packets - before.packets);
    ck_assert_uint_gt(gateway_punt_get_dropped(), dropped);
    ck_assert_int_eq(after.retransmissions > before.retransmissions, loses);
    GR_WAIT_FOR(rte_ring_empty(gr_hosts.rx));
}

START_TEST(lost_acknowledgements)
{
    struct gw_frame frame;

    make_probe(&frame);
    flood(&frame, true);
    make_local(&frame, 100);
    flood(&frame, false);
}
END_TEST

/* Path tables change, and so do flows' ports, while packets flow. */
START_TEST(updates_while_packets_flow)
{
    gr_set_epoch(1, 0);
    gr_must(gateway_tables_commit());

    pthread_t thread = gr_start_traffic();
    for (int i = 0; i < 5; i++) {
        update_all();
        GR_WAIT_FOR(!n_pending());
    }
    gr_end_traffic(thread);
    check_cells();
    gr_configure();
}
END_TEST

/* What the program might run on before it started DPDK. */
static cpu_set_t processors;

/* DPDK ties the thread that starts it to one processor, but not for ever: what
 * that thread starts later, as the prober, would have to share it with the
 * busy-polling one. */
START_TEST(any_processor)
{
    cpu_set_t set;

    ck_assert(!sched_getaffinity(0, sizeof set, &set));
    ck_assert(CPU_EQUAL(&set, &processors));
}
END_TEST

/* Returns how much less processor time counts as the prober's than there is,
 * and stores what this process takes, ns. */
static int64_t
measure_uncounted(uint64_t *taken)
{
    static long long int now;
    uint64_t busy, before, after;
    struct timespec a, b;
    cpu_set_t set;

    ck_assert(!sched_getaffinity(0, sizeof set, &set));
    now += 100 * SEC;
    ck_assert(zooroute_read_cpus(now, &busy, &before));
    long long int start = gr_now();
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    usleep(500 * 1000);
    ck_assert(zooroute_read_cpus(now, &busy, &after));
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    *taken = (b.tv_sec - a.tv_sec) * SEC + b.tv_nsec - a.tv_nsec;
    return (gr_now() - start) * CPU_COUNT(&set) - (after - before);
}

/* What the thread takes while it does not sleep is no load, and what it takes
 * otherwise is. */
START_TEST(busy_polling)
{
    bool one_is_right = false, other_is_right = false;
    uint64_t taken;
    int64_t uncounted;

    /* Readings are not exact, nor taken at once on a busy machine. */
    for (int i = 0; i < 20 && !(one_is_right && other_is_right); i++) {
        gateway_pipeline_set_polling(true);
        usleep(10000);
        uncounted = measure_uncounted(&taken);
        printf("busy: %"PRIu64" ms taken, %"PRId64" ms do not count\n",
               taken / 1000000, uncounted / 1000000);
        one_is_right |= (taken >= 100 * MSEC && uncounted >= 0.7 * taken
                         && uncounted <= 1.3 * taken);
        gateway_pipeline_set_polling(false);
        usleep(10000);
        uncounted = measure_uncounted(&taken);
        printf("not busy: %"PRIu64" ms taken, %"PRId64" ms do not count\n",
               taken / 1000000, uncounted / 1000000);
        other_is_right |= llabs(uncounted) <= 60 * MSEC;
    }
    ck_assert(one_is_right);
    ck_assert(other_is_right);
}
END_TEST

START_TEST(memory)
{
    struct ds s = DS_EMPTY_INITIALIZER;

    gateway_tables_format(&s);
    fputs(ds_cstr(&s), stdout);
    ck_assert(strstr(ds_cstr(&s), "16.0 times"));
    ck_assert(strstr(ds_cstr(&s), "25.6 times"));
    ds_destroy(&s);
}
END_TEST

int
main(int argc OVS_UNUSED, char *argv[])
{
    Suite *s = suite_create("gateway-runtime");
    TCase *tc;

    ovs_set_program_name(argv[0], "1");

    /* DPDK does not survive a fork. */
    setenv("CK_FORK", "no", true);
    gateway_punt_register(COUNT_LOCAL, keep_punt);
    gateway_punt_register(COUNT_PROBE, keep_punt);
    sched_getaffinity(0, sizeof processors, &processors);
    gr_start();
    tc = unit_case(s, "runtime", 300);
    tcase_add_test(tc, forwards);
    tcase_add_test(tc, use);
    tcase_add_test(tc, use_of_candidates);
    tcase_add_test(tc, punts);
    tcase_add_test(tc, awkward_buffers);
    tcase_add_test(tc, sends);
    tcase_add_test(tc, changes);
    tcase_add_test(tc, ports_while_packets_flow);
    tcase_add_test(tc, port_reopens);
    tcase_add_test(tc, ports_refused);
    tcase_add_test(tc, longest_prefix);
    tcase_add_test(tc, start_refused);
    tcase_add_test(tc, tables_full);
    tcase_add_test(tc, updates);
    tcase_add_test(tc, newer_values);
    tcase_add_test(tc, overtaking);
    tcase_add_test(tc, late_negotiations);
    tcase_add_test(tc, lost_negotiations);
    tcase_add_test(tc, lost_acknowledgements);
    tcase_add_test(tc, updates_while_packets_flow);
    tcase_add_test(tc, any_processor);
    tcase_add_test(tc, busy_polling);
    tcase_add_test(tc, memory);

    int status = unit_run(s);
    gateway_pipeline_stop();
    return status;
}
