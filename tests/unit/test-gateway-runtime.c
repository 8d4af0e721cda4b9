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
 * the CPU port.  The ports are rings of this program. */

#include <config.h>
#include "unit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eth_ring.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "gateway-packets.h"
#include "openvswitch/dynamic-string.h"
#include "ovs-atomic.h"
#include "ovs-thread.h"
#include "p4/gateway-pipeline.h"
#include "packets.h"
#include "random.h"
#include "smap.h"
#include "timeval.h"
#include "util.h"

#define ZOO_GATEWAY_COUNT(NUMBER, ENUM, NAME, DESCRIPTION) \
    COUNT_##ENUM = NUMBER,
enum { ZOO_GATEWAY_COUNTS };
#undef ZOO_GATEWAY_COUNT

#define HOSTS 1                 /* Port that packets come from... */
#define UPLINK 2                /* ...and leave through. */
#define SPARE 3

/* VM i, 10.1.x.x or fd02::i in VNI 100, is behind VTEP i % N_VTEPS. */
#define N_VMS 64
#define N_VTEPS 16
#define VM_ADDRESS 0x0a010000
#define VTEP_ADDRESS 0x0a020000
#define MTU 1500
#define TOO_LONG 10             /* Seconds to wait for anything. */

/* A device of this test, as seen from the gateway. */
struct device {
    const char *name;
    struct rte_ring *rx, *tx;
};
static struct device hosts = { .name = "hosts" };
static struct device uplink = { .name = "uplink" };

static struct rte_mempool *pool;
static uint16_t candidate_ports[ZOO_GATEWAY_N_CANDIDATES];

static long long int
now_ns(void)
{
    struct timespec ts;

    time_timespec(&ts);
    return ts.tv_sec * SEC + ts.tv_nsec;
}

/* Waits until CONDITION. */
#define WAIT_FOR(CONDITION)                                              \
    do {                                                                 \
        long long int until = now_ns() + TOO_LONG * SEC;                 \
                                                                         \
        while (!(CONDITION)) {                                           \
            unit_assert(now_ns() < until, "after %d s not %s", TOO_LONG, \
                        #CONDITION);                                     \
            usleep(50);                                                  \
        }                                                                \
    } while (0)

static void
must(char *error)
{
    if (error) {
        ovs_fatal(0, "%s", error);
    }
}

/* Frames in and out. */

static void
inject(const struct device *device, const struct gw_frame *frame)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

    ovs_assert(m);
    memcpy(rte_pktmbuf_append(m, frame->len), frame->data, frame->len);
    ovs_assert(!rte_ring_enqueue(device->rx, m));
}

/* Takes a frame that the gateway has sent.  Returns false if there is none. */
static bool
take(const struct device *device, struct gw_frame *frame)
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

static uint64_t
read_count(unsigned int number)
{
    uint64_t counts[ZOO_GATEWAY_N_COUNTS];

    gateway_get_counts(counts);
    return counts[number];
}

/* Configuration. */

static struct in6_addr
ip6(uint64_t hi, uint64_t lo)
{
    struct in6_addr address;

    gw_put(gw_put(address.s6_addr, hi, 8), lo, 8);
    return address;
}

static struct in6_addr
ip4(uint32_t address)
{
    return ip6(0, UINT64_C(0xffff00000000) | address);
}

static struct in6_addr
vm_address(unsigned int vm, bool inner6)
{
    return (inner6 ? ip6(UINT64_C(0xfd02000000000000), vm)
            : ip4(VM_ADDRESS + vm));
}

static struct eth_addr
mac(uint64_t value)
{
    struct eth_addr address;

    eth_addr_from_uint64(value, &address);
    return address;
}

static bool
vtep_is_ipv6(unsigned int vtep)
{
    return vtep >= N_VTEPS / 2;
}

/* Odd destinations, so that others' cells lie between. */
static uint32_t
vtep_destination(unsigned int vtep)
{
    return (vtep * 21121 + 65535) % ZOO_GATEWAY_N_DESTINATIONS;
}

static void
add_vtep(unsigned int vtep, unsigned int port)
{
    struct gateway_vtep v = {
        .port = port,
        .src_mac = mac(0x020000000002),
        .dst_mac = mac(0x02000000aaaa),
        .mtu = MTU,
        .path_table = vtep % 3,
        .destination = vtep_destination(vtep),
    };

    if (vtep_is_ipv6(vtep)) {
        v.local = ip6(GW_ADDRESS6_HI, GW_ADDRESS6_LO);
        v.remote = ip6(UINT64_C(0xfd03000000000000), vtep);
    } else {
        v.local = ip4(GW_ADDRESS);
        v.remote = ip4(VTEP_ADDRESS + vtep);
    }
    ovs_assert(gateway_vtep_add(vtep, &v));
}

static void
add_vm(unsigned int vm, unsigned int vtep)
{
    struct gateway_next next = {
        .vtep = vtep, .vni = 200, .mac = mac(0x020000000000 | vm),
    };

    for (int inner6 = 0; inner6 < 2; inner6++) {
        struct in6_addr address = vm_address(vm, inner6);

        ovs_assert(gateway_route_add(100, &address, 128, &next));
    }
}

static void
add_address(struct in6_addr address)
{
    ovs_assert(gateway_address_add(&address, mac(GW_MAC)));
}

/* Everything that the tests leave as it is. */
static void
configure(void)
{
    add_address(ip4(GW_ADDRESS));
    add_address(ip6(GW_ADDRESS6_HI, GW_ADDRESS6_LO));
    for (unsigned int i = 0; i < N_VTEPS; i++) {
        add_vtep(i, UPLINK);
    }
    for (unsigned int i = 0; i < N_VMS; i++) {
        add_vm(i, i % N_VTEPS);
    }
    for (unsigned int i = 0; i < ZOO_GATEWAY_N_CANDIDATES; i++) {
        candidate_ports[i] = 32768 + i * 801 % 28000;
    }
    gateway_set_candidate_ports(candidate_ports);
    must(gateway_tables_commit());
}

/* Makes a device of two rings. */
static void
add_device(struct device *device)
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

static void
open_port(unsigned int port, const struct device *device)
{
    char *devargs = xasprintf("net_ring_%s", device->name);

    must(gateway_port_open(port, devargs, 0));
    free(devargs);
}

/* Packets. */

static void
packet_to_vm(unsigned int vm, bool outer6, bool inner6,
             struct gw_packet *packet)
{
    gw_packet_init(packet, outer6, inner6);
    packet->flow.src_port = random_uint32();
    packet->flow.dst[0] = inner6 ? UINT64_C(0xfd02000000000000) : 0;
    packet->flow.dst[1] = inner6 ? vm : VM_ADDRESS + vm;
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
        cell = gateway_path_read(ZOO_GATEWAY_BITMAP, vtep_destination(vtep));
        return candidate_ports[zoo_gateway_bitmap_pick(cell, own)];

    case ZOO_GATEWAY_INDEX:
        cell = gateway_path_read(ZOO_GATEWAY_INDEX, vtep_destination(vtep));
        return candidate_ports[zoo_gateway_index_pick(cell, own)];

    default:
        return zoo_gateway_plain_port(hash);
    }
}

/* Makes of 'packet', to VM 'vm', what the gateway is to send. */
static void
expect_packet(struct gw_packet *packet, unsigned int vm)
{
    unsigned int vtep = vm % N_VTEPS;

    packet->sport = expected_port(packet, vtep);
    packet->eth_src = 0x020000000002;
    packet->eth_dst = 0x02000000aaaa;
    packet->outer6 = vtep_is_ipv6(vtep);
    if (packet->outer6) {
        packet->outer_src[0] = GW_ADDRESS6_HI;
        packet->outer_src[1] = GW_ADDRESS6_LO;
        packet->outer_dst[0] = UINT64_C(0xfd03000000000000);
        packet->outer_dst[1] = vtep;
    } else {
        packet->outer_src[1] = GW_ADDRESS;
        packet->outer_dst[1] = VTEP_ADDRESS + vtep;
    }
    packet->outer_ttl = 64;
    packet->id = 0;
    packet->fragment = 0x4000;
    packet->vni = 200;
    packet->inner_eth_src = GW_MAC;
    packet->inner_eth_dst = 0x020000000000 | vm;
    packet->inner_ttl--;
}

/* Whole packets through the gateway, to all kinds of VTEPs. */
START_TEST(forwards)
{
    for (unsigned int i = 0; i < 20 * N_VMS; i++) {
        struct gw_frame frame, wanted;
        unsigned int vm = i % N_VMS;
        struct gw_packet packet;

        packet_to_vm(vm, random_range(2), random_range(2), &packet);
        gw_packet_encode(&packet, &frame);
        expect_packet(&packet, vm);
        gw_packet_encode(&packet, &wanted);
        inject(&hosts, &frame);
        WAIT_FOR(take(&uplink, &frame));
        check_frame(&frame, &wanted);
    }
}
END_TEST

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
    ck_assert_int_le(punted.punt.when, now_ns());
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
        const struct device *device = n % 2 ? &hosts : &uplink;
        unsigned int before = n_punted();
        long long int since = now_ns();
        struct gw_frame frame;

        make_local(&frame, len);
        inject(device, &frame);
        WAIT_FOR(n_punted() > before);
        check_punt(n % 2 ? HOSTS : UPLINK, COUNT_LOCAL, &frame, since);
        ovs_mutex_lock(&punted.mutex);
        sum += now_ns() - punted.punt.when;
        ovs_mutex_unlock(&punted.mutex);
        n++;
    }
    printf("punt to callback and back to the test: %lld us on average\n",
           sum / n / 1000);

    struct gw_packet packet;
    struct gw_frame frame;
    unsigned int before = n_punted();
    long long int since = now_ns();

    packet_to_vm(1, false, false, &packet);
    packet.flags |= ZOO_GATEWAY_VXLAN_F_PROBE;
    gw_packet_encode(&packet, &frame);
    inject(&hosts, &frame);
    WAIT_FOR(n_punted() > before);
    check_punt(HOSTS, COUNT_PROBE, &frame, since);
}
END_TEST

START_TEST(sends)
{
    struct gw_frame frame, sent;

    for (size_t len = 14; len <= 1514; len += 50) {
        make_local(&sent, len);
        ck_assert(gateway_send(len % 4 ? UPLINK : HOSTS, sent.data, len));
        WAIT_FOR(take(len % 4 ? &uplink : &hosts, &frame));
        check_frame(&frame, &sent);
    }

    /* Nowhere. */
    ck_assert(!gateway_send(SPARE, sent.data, sent.len));
    ck_assert(!gateway_send(ZOO_GATEWAY_CPU_PORT, sent.data, sent.len));
    ck_assert(!gateway_send(ZOO_GATEWAY_N_PORTS, sent.data, sent.len));
    ck_assert(!gateway_send(UPLINK, sent.data, 65000));

    /* The queue has an end, and the buffers too. */
    int n = 0;
    while (n < 100000 && gateway_send(SPARE + 1, sent.data, sent.len)) {
        n++;
    }
    ck_assert_int_eq(n, 0);
}
END_TEST

/* Traffic in a thread of its own while the main thread changes something.
 *
 * The VTEPs' addresses change with an epoch, which each packet that comes out
 * tells; the VMs' MAC addresses too.  What has been committed when a packet
 * goes in, and what is about to be when it comes out, limits which epoch it may
 * have. */

#define MAX_OUTSTANDING 128
#define PROBING_VMS 8           /* Whose next hop changes. */

static atomic_uint committed = 0; /* Epoch... */
static atomic_uint pending = 0; /* ...or next one, until it is effective. */
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

    packet_to_vm(number % PROBING_VMS, number & 1, number & 2, &packet);
    packet.inner6 = number & 2;
    packet.payload = 200;
    gw_packet_encode(&packet, &frame);

    /* The end of the payload. */
    uint8_t *p = frame.data + frame.len - 24;
    p = gw_put(p, 0x7a7a6f6f, 4);
    p = gw_put(p, number, 4);
    p = gw_put(p, epoch, 4);
    gw_put(p, now_ns(), 8);
    inject(&hosts, &frame);
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
    atomic_read(&pending, &out_epoch);
    traffic.worst = MAX(traffic.worst, now_ns() - (long long) gw_get(p + 12,
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
    long long int last = now_ns();

    for (;;) {
        struct gw_frame frame;
        unsigned int epoch;
        bool stop;

        atomic_read(&stop_traffic, &stop);
        if (!stop && traffic.n_sent - traffic.n_received < MAX_OUTSTANDING) {
            atomic_read(&committed, &epoch);
            inject_numbered(traffic.n_sent++, epoch);
        }
        if (take(&uplink, &frame)) {
            check_numbered(&frame);
            traffic.n_received++;
            last = now_ns();
        } else if (stop && (traffic.n_received == traffic.n_sent
                            || now_ns() - last > TOO_LONG * SEC)) {
            return NULL;
        }
    }
}

static pthread_t
start_traffic(void)
{
    memset(&traffic, 0, sizeof traffic);
    atomic_store(&stop_traffic, false);
    return ovs_thread_create("traffic", run_traffic, NULL);
}

/* Ends the traffic, of which nothing is lost. */
static void
end_traffic(pthread_t thread)
{
    atomic_store(&stop_traffic, true);
    xpthread_join(thread, NULL);
    printf("%u packets, the slowest one took %.1f ms\n", traffic.n_sent,
           traffic.worst / 1e6);
    ck_assert_uint_eq(traffic.n_received, traffic.n_sent);
    ck_assert_uint_gt(traffic.n_sent, 1000);
}

/* Gives VTEP 'id' and the VMs behind it the marks of 'epoch'. */
static void
set_epoch(unsigned int id, unsigned int epoch)
{
    struct gateway_next next = {
        .vtep = id, .vni = 200,
        .mac = mac(UINT64_C(0x020000000000) | epoch),
    };
    struct gateway_vtep v = {
        .port = UPLINK, .mtu = MTU,
        .src_mac = mac(0x020000000002), .dst_mac = mac(0x02000000aaaa),
        .path_table = id % 3, .destination = vtep_destination(id),
    };

    if (vtep_is_ipv6(id)) {
        v.local = ip6(GW_ADDRESS6_HI, GW_ADDRESS6_LO);
        v.remote = ip6(UINT64_C(0xfd03000000000000), epoch);
    } else {
        v.local = ip4(GW_ADDRESS);
        v.remote = ip4(VTEP_ADDRESS | epoch);
    }
    ovs_assert(gateway_vtep_add(id, &v));
    for (unsigned int vm = 0; vm < PROBING_VMS; vm++) {
        for (int inner6 = 0; inner6 < 2; inner6++) {
            struct in6_addr address = vm_address(vm, inner6);

            ovs_assert(gateway_route_add(100, &address, 128, &next));
        }
    }
}

/* Prefixes that no packet of the traffic has, many of them. */
static void
change_prefixes(unsigned int epoch, bool present)
{
    struct gateway_next next = { .vtep = 1, .vni = 200, .mac = mac(1) };

    for (unsigned int i = 0; i < 200; i++) {
        struct in6_addr address = ip6(UINT64_C(0xfd05000000000000) | i << 16,
                                      0);

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

    set_epoch(0, 0);
    must(gateway_tables_commit());

    pthread_t thread = start_traffic();
    for (unsigned int epoch = 1; epoch <= 400; epoch++) {
        bool prefixes = epoch % 10 == 0;

        /* The next hop goes round, and what it was goes away. */
        set_epoch(epoch % N_VTEPS, epoch);
        gateway_vtep_delete((epoch - 1) % N_VTEPS);
        if (prefixes) {
            change_prefixes(epoch, true);
        }
        atomic_store(&pending, epoch);

        long long int start = now_ns();
        must(gateway_tables_commit());
        long long int took = now_ns() - start;

        atomic_store(&committed, epoch);
        *(prefixes ? &wildcard : &exact) += took;
        *(prefixes ? &n_wildcard : &n_exact) += 1;
    }
    end_traffic(thread);
    printf("commit: %.3f ms of exact entries, %.3f ms with prefixes\n",
           exact / 1e6 / n_exact, wildcard / 1e6 / n_wildcard);

    atomic_store(&pending, 0);
    atomic_store(&committed, 0);
    change_prefixes(0, false);
    configure();
}
END_TEST

/* Ports. */

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

/* Another port comes and goes while packets flow. */
START_TEST(ports_while_packets_flow)
{
    static const char devargs[] = "net_null0,no-rx=1";
    struct gateway_port_info info;

    set_epoch(0, 0);
    must(gateway_tables_commit());

    pthread_t thread = start_traffic();
    for (int i = 0; i < 100; i++) {
        ck_assert(!gateway_port_get_info(SPARE, &info));
        must(gateway_port_open(SPARE, devargs, i % 2 ? 1400 : 0));
        ck_assert(gateway_port_get_info(SPARE, &info));
        ck_assert(info.link_up);
        ck_assert(i % 2 == 0 || info.mtu == 1400);

        /* What it is sent arrives there. */
        uint8_t data[100] = { 0 };
        ck_assert(gateway_send(SPARE, data, sizeof data));
        WAIT_FOR(statistic(SPARE, "tx_packets") == 1);
        gateway_port_close(SPARE);
    }
    end_traffic(thread);
    configure();
}
END_TEST

/* A port that is closed gets nothing, loses what goes there, and takes up where
 * it was. */
START_TEST(port_reopens)
{
    for (int i = 0; i < 20; i++) {
        uint64_t forwarded = read_count(COUNT_FORWARDED);
        struct gw_packet packet;
        struct gw_frame frame;

        gateway_port_close(UPLINK);
        packet_to_vm(1, false, false, &packet);
        gw_packet_encode(&packet, &frame);
        for (int j = 0; j < 50; j++) {
            inject(&hosts, &frame);
        }
        WAIT_FOR(read_count(COUNT_FORWARDED) == forwarded + 50);
        ck_assert(!gateway_send(UPLINK, frame.data, frame.len));
        open_port(UPLINK, &uplink);
        ck_assert(!take(&uplink, &frame));

        gw_packet_encode(&packet, &frame);
        inject(&hosts, &frame);
        WAIT_FOR(take(&uplink, &frame));
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
    check_error(gateway_port_open(SPARE, "net_nothing0", 0), "net_nothing0");
    check_error(gateway_port_open(SPARE, "net_null0", 60000), "60000");
    check_error(gateway_port_open(SPARE, "net_null0", 10), "10");
    check_error(gateway_port_open(SPARE, "net_ring_uplink", 0), "another");

    /* The failures have left nothing. */
    must(gateway_port_open(SPARE, "net_null0", 0));
    gateway_port_close(SPARE);
    gateway_port_close(SPARE);
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
        address = ip4(0x0b000000 + n);
        if (!gateway_address_add(&address, mac(1))) {
            break;
        }
    }
    ck_assert_uint_eq(n, ZOO_GATEWAY_N_LOCAL - 2);
    must(gateway_tables_commit());

    /* What goes makes room at once. */
    address = ip4(0x0b000000);
    gateway_address_delete(&address);
    address = ip4(0x0c000000);
    ck_assert(gateway_address_add(&address, mac(1)));
    must(gateway_tables_commit());
    gateway_address_delete(&address);
    for (unsigned int i = 0; i < n; i++) {
        address = ip4(0x0b000000 + i);
        gateway_address_delete(&address);
    }
    must(gateway_tables_commit());

    for (n = 0; n < 2 * ZOO_GATEWAY_N_ROUTES; n++) {
        address = ip6(n, 0);
        if (!gateway_route_add(7, &address, 64, &next)) {
            break;
        }
    }
    ck_assert_uint_eq(n, ZOO_GATEWAY_N_ROUTES);
    must(gateway_tables_commit());
    for (unsigned int i = 0; i < n; i++) {
        address = ip6(i, 0);
        gateway_route_delete(7, &address, 64);
    }
    must(gateway_tables_commit());

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

static uint64_t
n_pending(void)
{
    struct gateway_update_stats stats;

    gateway_path_get_stats(&stats);
    return stats.pending;
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
    uint64_t written = read_count(COUNT_WRITTEN);
    struct gateway_update_stats before, after;

    gateway_path_get_stats(&before);
    update_all();
    WAIT_FOR(!n_pending());
    check_cells();
    gateway_path_get_stats(&after);
    ck_assert_uint_eq(after.updates - before.updates,
                      read_count(COUNT_WRITTEN) - written);
    ck_assert_uint_ge(after.updates - before.updates,
                      2 * ZOO_GATEWAY_N_DESTINATIONS);

    for (int i = 0; i < 300000; i++) {
        int table = ZOO_GATEWAY_BITMAP + random_range(2);
        uint32_t cell = random_range(100);

        wanted_cells[table - 1][cell] = random_cell(table);
        update(table, cell, wanted_cells[table - 1][cell]);
    }
    WAIT_FOR(!n_pending());
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

/* Acknowledgements get lost, because the queue to a slow callback is full. */
START_TEST(lost_acknowledgements)
{
    struct gateway_update_stats before, after;
    uint64_t dropped = gateway_punt_get_dropped();
    struct gw_frame frame;

    gateway_path_get_stats(&before);
    make_local(&frame, 100);
    atomic_store(&slowness, 100);
    update_all();
    for (long long int until = now_ns() + SEC; now_ns() < until; ) {
        if (rte_ring_free_count(hosts.rx) > 3000) {
            inject(&hosts, &frame);
        }
    }
    atomic_store(&slowness, 0);
    WAIT_FOR(!n_pending());
    check_cells();
    gateway_path_get_stats(&after);
    printf("%"PRIu64" packets lost at the CPU port, %"PRIu64" of %"PRIu64
           " negotiation packets sent again\n",
           gateway_punt_get_dropped() - dropped,
           after.retransmissions - before.retransmissions,
           after.packets - before.packets);
    ck_assert_uint_gt(after.retransmissions, before.retransmissions);
    WAIT_FOR(rte_ring_empty(hosts.rx));
}
END_TEST

/* Path tables change, and so do flows' ports, while packets flow. */
START_TEST(updates_while_packets_flow)
{
    set_epoch(1, 0);
    must(gateway_tables_commit());

    pthread_t thread = start_traffic();
    for (int i = 0; i < 5; i++) {
        update_all();
        WAIT_FOR(!n_pending());
    }
    end_traffic(thread);
    check_cells();
    configure();
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

static void
set_up(void)
{
    const char *spec = getenv("ZOO_GATEWAY_SPEC");

    gateway_punt_register(COUNT_LOCAL, keep_punt);
    gateway_punt_register(COUNT_PROBE, keep_punt);
    must(gateway_pipeline_start(spec ? spec : ZOO_GATEWAY_SPEC,
                                "--no-huge --no-pci -m '256' --no-telemetry "
                                "\"--no-shconf\" --log-level=error"));
    pool = rte_pktmbuf_pool_create("test", 8191, 64, 0,
                                   RTE_PKTMBUF_HEADROOM + GW_MAX_FRAME, 0);
    ovs_assert(pool);
    add_device(&hosts);
    add_device(&uplink);
    open_port(HOSTS, &hosts);
    open_port(UPLINK, &uplink);
    configure();
}

int
main(int argc OVS_UNUSED, char *argv[])
{
    Suite *s = suite_create("gateway-runtime");
    TCase *tc;

    ovs_set_program_name(argv[0], "1");

    /* DPDK does not survive a fork. */
    setenv("CK_FORK", "no", true);
    set_up();
    tc = unit_case(s, "runtime", 300);
    tcase_add_test(tc, forwards);
    tcase_add_test(tc, punts);
    tcase_add_test(tc, sends);
    tcase_add_test(tc, changes);
    tcase_add_test(tc, ports_while_packets_flow);
    tcase_add_test(tc, port_reopens);
    tcase_add_test(tc, ports_refused);
    tcase_add_test(tc, start_refused);
    tcase_add_test(tc, tables_full);
    tcase_add_test(tc, updates);
    tcase_add_test(tc, lost_acknowledgements);
    tcase_add_test(tc, updates_while_packets_flow);
    tcase_add_test(tc, memory);

    int status = unit_run(s);
    gateway_pipeline_stop();
    return status;
}
