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

/* The gateway's pipeline, as committed, in DPDK's SWX: the outer source port
 * it chooses against the C model, whole packets against an encoder of their
 * own, negotiation packets against a model of theirs, and what is dropped and
 * why.
 *
 *     test-gateway-pipeline [CASES]
 *
 * CASES is the number of random choices of a port for each path table. */

#include <config.h>
#include "unit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway-pipeline.h"
#include "ofproto-zoo/zoo-gateway-counts.h"
#include "openvswitch/dynamic-string.h"
#include "p4/gateway-names.h"
#include "random.h"
#include "util.h"

#define ZOO_GATEWAY_COUNT(NUMBER, ENUM, NAME, DESCRIPTION) \
    COUNT_##ENUM = NUMBER,
enum { ZOO_GATEWAY_COUNTS };
#undef ZOO_GATEWAY_COUNT

static const char *const count_names[ZOO_GATEWAY_N_COUNTS] = {
#define ZOO_GATEWAY_COUNT(NUMBER, ENUM, NAME, DESCRIPTION) [NUMBER] = NAME,
    ZOO_GATEWAY_COUNTS
#undef ZOO_GATEWAY_COUNT
};

#define N_PORTS 4
#define UPLINK 2                /* The port of all next VTEPs. */
#if defined __SANITIZE_ADDRESS__
#define SANITIZER
#elif defined __has_feature
#if __has_feature(address_sanitizer)
#define SANITIZER
#endif
#endif
#ifdef SANITIZER
#define N_CASES 50000
#else
#define N_CASES 1000000
#endif

/* VM i, 10.1.0.i or fd02::i in VNI 100, is behind VTEP i.  VTEPs' path tables
 * go PLAIN, BITMAP, INDEX, PLAIN...; the destination of VTEP i is scattered
 * over the tables, its address 10.2.0.i, or fd03::i from N_VMS / 2 on. */
#define N_VMS 96
#define VM_ADDRESS 0x0a010000
#define VTEP_ADDRESS 0x0a020000
#define VTEP_MTU 1500
#define NO_VTEP 1000            /* That no entry has. */

#define TOKEN 0x5a5aa5a5

static unsigned int n_cases = N_CASES;
static uint16_t ports[ZOO_GATEWAY_N_CANDIDATES];

static int
vtep_path_table(unsigned int vtep)
{
    return vtep % 3;
}

static uint32_t
vtep_destination(unsigned int vtep)
{
    return (vtep * 21121 + 65535) % ZOO_GATEWAY_N_DESTINATIONS;
}

static bool
vtep_is_ipv6(unsigned int vtep)
{
    return vtep >= N_VMS / 2;
}

static const char *
array_of(int path_table)
{
    return (path_table == ZOO_GATEWAY_BITMAP ? GATEWAY_BITMAPS
            : GATEWAY_INDICES);
}

static void
add_vm(unsigned int vm)
{
    static const char deliver[] = "action " GATEWAY_VMS_DELIVER " vtep 0x%x "
                                  "vni 0x%x mac 0x02000000%04x\n";
    struct ds s = DS_EMPTY_INITIALIZER;

    ds_put_format(&s, deliver, vm, 200 << 8, vm);
    gw_add(GATEWAY_VMS, "match 0x0 0x%"PRIx64" 0x64 %s",
           0xffff00000000 | (VM_ADDRESS + vm), ds_cstr(&s));
    gw_add(GATEWAY_VMS, "match 0xfd02000000000000 0x%x 0x64 %s", vm,
           ds_cstr(&s));
    ds_destroy(&s);
}

static void
add_vtep(unsigned int vtep)
{
    struct ds s = DS_EMPTY_INITIALIZER;

    if (vtep_is_ipv6(vtep)) {
        ds_put_format(&s, "src_hi 0x%"PRIx64" src_lo 0x%x "
                      "dst_hi 0xfd03000000000000 dst_lo 0x%x",
                      (uint64_t) GW_ADDRESS6_HI, GW_ADDRESS6_LO, vtep);
    } else {
        ds_put_format(&s, "src 0x%x dst 0x%x", GW_ADDRESS,
                      VTEP_ADDRESS + vtep);
    }
    gw_add(GATEWAY_VTEPS, "match 0x%x action %s port 0x%x "
           "src_mac 0x020000000002 dst_mac 0x02000000aaaa %s mtu 0x%x "
           "path_table 0x%x destination 0x%x\n",
           vtep, vtep_is_ipv6(vtep) ? GATEWAY_SEND_IPV6 : GATEWAY_SEND_IPV4,
           UPLINK, ds_cstr(&s), VTEP_MTU,
           vtep_path_table(vtep), vtep_destination(vtep));
    ds_destroy(&s);
}

/* Everything but the path tables. */
static void
set_up(bool compiled)
{
    gw_init(getenv("ZOO_GATEWAY_SPEC") ? getenv("ZOO_GATEWAY_SPEC")
            : ZOO_GATEWAY_SPEC, N_PORTS, compiled);
    for (unsigned int i = 0; i < ZOO_GATEWAY_N_FIRST; i++) {
        struct zoo_gateway_first first = zoo_gateway_first(i);

        gw_add(GATEWAY_FIRST_HEALTHY, "match 0x%x/0xffffffff 0x%x/0x%x "
               "priority %u action " GATEWAY_PICK " candidate 0x%x\n",
               first.own, first.mask, first.mask, first.priority,
               first.candidate);
    }
    gw_add(GATEWAY_ADDRESSES, "match 0x0 0x%x action " GATEWAY_ACCEPT_AS
           " mac 0x%"PRIx64"\n", GW_ADDRESS, (uint64_t) GW_MAC);
    gw_add(GATEWAY_ADDRESSES, "match 0x%"PRIx64" 0x%x action "
           GATEWAY_ACCEPT_AS " mac 0x%"PRIx64"\n",
           (uint64_t) GW_ADDRESS6_HI, GW_ADDRESS6_LO,
           (uint64_t) GW_MAC);
    for (unsigned int i = 1; i < N_PORTS; i++) {
        gw_add(GATEWAY_PORTS, "match 0x%x action " GATEWAY_TRANSMIT
               " port 0x%x\n", i, i);
    }
    for (unsigned int i = 0; i < N_VMS; i++) {
        add_vm(i);
        add_vtep(i);
    }

    /* 10.3.0.0/16 in VNI 100 is another region's, its 10.3.1.0/24 nobody
     * knows how to reach. */
    gw_add(GATEWAY_ROUTES, "match 0x0/0xffffffffffffffff "
           "0xffff0a030000/0xffffffffffff0000 0x64/0xffffffff priority 2 "
           "action " GATEWAY_ROUTES_DELIVER
           " vtep 0x1 vni 0x6400 mac 0x02000000bbbb\n");
    gw_add(GATEWAY_ROUTES, "match 0x0/0xffffffffffffffff "
           "0xffff0a030100/0xffffffffffffff00 0x64/0xffffffff priority 1 "
           "action " GATEWAY_ROUTES_DELIVER
           " vtep 0x%x vni 0x6400 mac 0x02000000bbbb\n",
           NO_VTEP);
    gw_commit();

    for (unsigned int i = 0; i < ZOO_GATEWAY_N_CANDIDATES; i++) {
        ports[i] = 32768 + i * 801 % 28000;
        gw_write(GATEWAY_CANDIDATE_PORTS, i, ports[i]);
    }
}

/* A random packet to VM 'vm'. */
static void
random_packet(unsigned int vm, struct gw_packet *pk)
{
    static const uint8_t protocols[] = { 6, 17, 17, 1, 50 };

    gw_packet_init(pk, random_range(2), random_range(2));
    pk->tos = random_uint32();
    pk->outer_ttl = random_uint32();
    pk->id = random_uint32();
    pk->sport = random_uint32();
    pk->flow.src[0] = pk->inner6 ? random_uint64() : 0;
    pk->flow.src[1] = pk->inner6 ? random_uint64() : random_uint32();
    pk->flow.dst[0] = pk->inner6 ? UINT64_C(0xfd02000000000000) : 0;
    pk->flow.dst[1] = pk->inner6 ? vm : VM_ADDRESS + vm;
    pk->flow.src_port = random_uint32();
    pk->flow.dst_port = random_uint32();
    pk->flow.protocol = protocols[random_range(ARRAY_SIZE(protocols))];
    pk->inner_ttl = unit_range(2, 255);
    pk->payload = unit_range(4, 200);
    pk->inner_fragment = unit_chance(.1) ? random_uint32() : 0;
}

/* Returns the outer source port that 'pk' is to have on its way to 'vtep',
 * whose cell is 'cell', and stores into '*choice' the count that tells so. */
static uint16_t
expected_port(const struct gw_packet *pk, unsigned int vtep, uint32_t cell,
              int *choice)
{
    struct zoo_gateway_flow flow = gw_packet_flow(pk);
    uint32_t hash = zoo_gateway_hash(&flow);
    unsigned int own = zoo_gateway_own(hash);
    unsigned int candidate;

    switch (vtep_path_table(vtep)) {
    case ZOO_GATEWAY_BITMAP:
        candidate = zoo_gateway_bitmap_pick(cell, own);
        *choice = (!cell ? COUNT_BITMAP_ALL_BAD
                   : candidate == own ? COUNT_BITMAP_KEPT
                   : COUNT_BITMAP_MOVED);
        return ports[candidate];

    case ZOO_GATEWAY_INDEX:
        candidate = zoo_gateway_index_pick(cell, own);
        *choice = candidate == own ? COUNT_INDEX_KEPT : COUNT_INDEX_MOVED;
        return ports[candidate];

    default:
        *choice = COUNT_PLAIN;
        return zoo_gateway_plain_port(hash);
    }
}

/* Makes of 'pk', a packet to VM 'vm', what the gateway is to send. */
static void
expected_packet(struct gw_packet *pk, unsigned int vm, uint16_t sport)
{
    pk->eth_src = 0x020000000002;
    pk->eth_dst = 0x02000000aaaa;
    pk->outer6 = vtep_is_ipv6(vm);
    if (pk->outer6) {
        pk->outer_src[0] = GW_ADDRESS6_HI;
        pk->outer_src[1] = GW_ADDRESS6_LO;
        pk->outer_dst[0] = 0xfd03000000000000;
        pk->outer_dst[1] = vm;
    } else {
        pk->outer_src[1] = GW_ADDRESS;
        pk->outer_dst[1] = VTEP_ADDRESS + vm;
    }
    pk->outer_ttl = 64;
    pk->id = 0;
    pk->fragment = 0x4000;
    pk->sport = sport;
    pk->vni = 200;
    pk->inner_eth_src = GW_MAC;
    pk->inner_eth_dst = 0x020000000000 | vm;
    pk->inner_ttl--;
}

static void
read_counts(uint64_t counts[ZOO_GATEWAY_N_COUNTS])
{
    for (unsigned int i = 0; i < ZOO_GATEWAY_N_COUNTS; i++) {
        counts[i] = gw_read(GATEWAY_COUNTS, i);
    }
}

static void
check_counts(const uint64_t before[ZOO_GATEWAY_N_COUNTS],
             const uint64_t more[ZOO_GATEWAY_N_COUNTS])
{
    uint64_t after[ZOO_GATEWAY_N_COUNTS];

    read_counts(after);
    for (unsigned int i = 0; i < ZOO_GATEWAY_N_COUNTS; i++) {
        unit_assert(after[i] - before[i] == more[i],
                    "%s: %"PRIu64" more instead of %"PRIu64,
                    count_names[i] ? count_names[i] : "(no count)",
                    after[i] - before[i], more[i]);
    }
}

/* Whole packets. */

#define BATCH GW_MAX_FRAMES

static struct gw_frame frames[BATCH], wanted[BATCH];

/* Runs the first 'n' of 'frames', which must become the first 'n' of 'wanted',
 * going out of the uplink. */
static void
run_and_compare(size_t n)
{
    gw_run(frames, n);
    for (size_t i = 0; i < n; i++) {
        unit_assert(!frames[i].dropped, "packet %"PRIuSIZE, i);
        ck_assert_uint_eq(frames[i].port, UPLINK);
        ck_assert_uint_eq(frames[i].len, wanted[i].len);
        for (size_t b = 0; b < wanted[i].len; b++) {
            unit_assert(frames[i].data[b] == wanted[i].data[b],
                        "byte %"PRIuSIZE" is %02x instead of %02x", b,
                        frames[i].data[b], wanted[i].data[b]);
        }
    }
}

/* Random cells and flows to all kinds of VTEPs, every byte and count. */
START_TEST(random_packets)
{
    uint64_t before[ZOO_GATEWAY_N_COUNTS], more[ZOO_GATEWAY_N_COUNTS] = { 0 };

    unit_seed(_i);
    read_counts(before);
    while (more[COUNT_BITMAP_KEPT] + more[COUNT_BITMAP_MOVED]
           + more[COUNT_BITMAP_ALL_BAD] < n_cases
           || more[COUNT_INDEX_KEPT] + more[COUNT_INDEX_MOVED] < n_cases) {
        uint32_t cells[N_VMS];

        for (unsigned int i = 0; i < N_VMS; i++) {
            cells[i] = random_uint32();
            if (unit_chance(.5)) {
                cells[i] &= random_uint32() & random_uint32();
            }
            if (vtep_path_table(i) == ZOO_GATEWAY_INDEX) {
                cells[i] &= (1u << ZOO_GATEWAY_CELL_BITS) - 1;
            }
            gw_write(array_of(vtep_path_table(i)), vtep_destination(i),
                     cells[i]);
        }
        for (int i = 0; i < BATCH; i++) {
            unsigned int vm = random_range(N_VMS);
            struct gw_packet pk;
            int choice;

            random_packet(vm, &pk);
            gw_packet_encode(&pk, &frames[i]);
            frames[i].port = unit_range(1, N_PORTS - 1);
            expected_packet(&pk, vm,
                            expected_port(&pk, vm, cells[vm], &choice));
            gw_packet_encode(&pk, &wanted[i]);
            more[COUNT_FORWARDED]++;
            more[choice]++;
        }
        run_and_compare(BATCH);
    }
    check_counts(before, more);
    printf("%"PRIu64" bitmap, %"PRIu64" index, %"PRIu64" plain choices as in "
           "the model\n", more[COUNT_BITMAP_KEPT] + more[COUNT_BITMAP_MOVED]
           + more[COUNT_BITMAP_ALL_BAD],
           more[COUNT_INDEX_KEPT] + more[COUNT_INDEX_MOVED],
           more[COUNT_PLAIN]);
}
END_TEST

/* Stores into 'flows' packets to 'vm', one for each candidate as the own. */
static void
make_own_packets(unsigned int vm,
                 struct gw_packet flows[ZOO_GATEWAY_N_CANDIDATES])
{
    uint32_t missing = UINT32_MAX;

    while (missing) {
        struct gw_packet pk;

        random_packet(vm, &pk);

        struct zoo_gateway_flow flow = gw_packet_flow(&pk);
        unsigned int own = zoo_gateway_own(zoo_gateway_hash(&flow));

        flows[own] = pk;
        missing &= ~(UINT32_C(1) << own);
    }
}

/* Checks that 'vm' with 'cell' gets the right port, whatever the own is. */
static void
check_cell(unsigned int vm, uint32_t cell,
           const struct gw_packet flows[ZOO_GATEWAY_N_CANDIDATES])
{
    gw_write(array_of(vtep_path_table(vm)), vtep_destination(vm), cell);
    for (int own = 0; own < ZOO_GATEWAY_N_CANDIDATES; own++) {
        struct gw_packet pk = flows[own];
        int choice;

        gw_packet_encode(&pk, &frames[own]);
        frames[own].port = 1;
        expected_packet(&pk, vm, expected_port(&pk, vm, cell, &choice));
        gw_packet_encode(&pk, &wanted[own]);
    }
    run_and_compare(ZOO_GATEWAY_N_CANDIDATES);
}

START_TEST(bitmap_corners)
{
    struct gw_packet flows[ZOO_GATEWAY_N_CANDIDATES];
    const unsigned int vm = 1;
    int n = 0;

    unit_seed(_i);
    make_own_packets(vm, flows);
    check_cell(vm, 0, flows);
    check_cell(vm, UINT32_MAX, flows);
    for (int i = 0; i < 32; i++) {
        uint32_t bit = UINT32_C(1) << i;

        check_cell(vm, bit, flows);
        check_cell(vm, ~bit, flows);
        check_cell(vm, bit - 1, flows);
        check_cell(vm, ~(bit - 1), flows);
        for (int j = 0; j < i; j++) {
            check_cell(vm, bit | UINT32_C(1) << j, flows);
            n++;
        }
        n += 4;
    }
    printf("%d bitmaps x 32 own candidates as in the model\n", n + 2);
}
END_TEST

/* Every value of every entry, the others being empty, full, or alike. */
START_TEST(index_corners)
{
    struct gw_packet flows[ZOO_GATEWAY_N_CANDIDATES];
    const unsigned int vm = 2;
    int n = 0;

    unit_seed(_i);
    make_own_packets(vm, flows);
    for (uint32_t value = 0; value < ZOO_GATEWAY_N_CANDIDATES; value++) {
        for (int e = 0; e < ZOO_GATEWAY_INDEX_ENTRIES; e++) {
            uint32_t entry = UINT32_C(31) << (e * ZOO_GATEWAY_ENTRY_BITS);
            uint32_t cell = value << (e * ZOO_GATEWAY_ENTRY_BITS);

            check_cell(vm, cell, flows);
            check_cell(vm, cell | (0xfffff & ~entry), flows);
            n += 2;
        }
        check_cell(vm, value * 0x8421, flows);
        n++;
    }
    printf("%d cells x 32 own candidates as in the model\n", n);
}
END_TEST

/* Inner checksums around the carry of the update for the TTL. */
START_TEST(checksum_corners)
{
    static const uint16_t checksums[] = {
        0x0000, 0x0001, 0xfdff, 0xfefd, 0xfefe, 0xfeff, 0xff00, 0xfffe,
    };
    const unsigned int vm = 3;

    gw_write(array_of(vtep_path_table(vm)), vtep_destination(vm), 0);
    for (size_t i = 0; i < ARRAY_SIZE(checksums); i++) {
        struct gw_packet pk;
        int choice;

        gw_packet_init(&pk, false, false);
        pk.flow.dst[1] = VM_ADDRESS + vm;
        pk.flow.src[1] = 0x0a640000;
        do {
            ck_assert_uint_ne(++pk.flow.src[1] & 0xffff, 0xffff);
            gw_packet_encode(&pk, &frames[i]);
        } while (frames[i].data[64 + 10] != checksums[i] >> 8
                 || frames[i].data[64 + 11] != (checksums[i] & 0xff));
        frames[i].port = 1;
        expected_packet(&pk, vm, expected_port(&pk, vm, 0, &choice));
        gw_packet_encode(&pk, &wanted[i]);
    }
    run_and_compare(ARRAY_SIZE(checksums));
}
END_TEST

/* What becomes of other packets. */

/* Sends 'frame' and checks that it adds one to 'count' and to nothing else,
 * and goes where such packets go. */
static void
check_count(struct gw_frame *frame, int count)
{
    uint64_t before[ZOO_GATEWAY_N_COUNTS], more[ZOO_GATEWAY_N_COUNTS] = { 0 };

    read_counts(before);
    more[count] = 1;
    gw_run(frame, 1);
    check_counts(before, more);
    ck_assert_int_eq(frame->dropped, count >= ZOO_GATEWAY_FIRST_DROP);
    if (count >= ZOO_GATEWAY_FIRST_PUNT && count < ZOO_GATEWAY_FIRST_DROP) {
        unit_assert(frame->port == ZOO_GATEWAY_CPU_PORT
                    && frame->reason == count, "%s: to port %u, reason %u",
                    count_names[count], frame->port, frame->reason);
        ck_assert_uint_eq(frame->vni, (count == COUNT_TTL_EXPIRED
                                       || count == COUNT_TOO_BIG ? 100 : 0));
    }
}

static void
check_packet(const struct gw_packet *pk, int count)
{
    struct gw_frame frame = { .port = 1 };

    gw_packet_encode(pk, &frame);
    check_count(&frame, count);
}

START_TEST(reasons)
{
    struct gw_packet good, pk;
    struct gw_frame frame;

    unit_seed(0);
    for (int i = 0; i < 4; i++) {
        gw_packet_init(&good, i & 1, i & 2);
        good.flow.dst[0] = good.inner6 ? UINT64_C(0xfd02000000000000) : 0;
        good.flow.dst[1] = good.inner6 ? 5 : VM_ADDRESS + 5;

        pk = good;
        pk.dport = 4790;
        check_packet(&pk, COUNT_LOCAL);
        pk = good;
        pk.flags |= ZOO_GATEWAY_VXLAN_F_PROBE;
        check_packet(&pk, COUNT_PROBE);
        for (int ttl = 0; ttl < 2; ttl++) {
            pk = good;
            pk.inner_ttl = ttl;
            check_packet(&pk, COUNT_TTL_EXPIRED);
        }
        pk = good;
        pk.outer_dst[1]++;
        check_packet(&pk, COUNT_NOT_OURS);
        pk = good;
        pk.flags |= 1;
        check_packet(&pk, COUNT_BAD_FLAGS);
        pk = good;
        pk.flags = 0;
        check_packet(&pk, COUNT_BAD_FLAGS);
        pk = good;
        pk.vni++;
        check_packet(&pk, COUNT_NO_ROUTE);
        pk = good;
        pk.flow.dst[1] += N_VMS;
        check_packet(&pk, COUNT_NO_ROUTE);

        /* VM 5 is behind an IPv4 VTEP: 50 bytes of headers or 70. */
        pk = good;
        pk.payload = VTEP_MTU - 50 - (good.inner6 ? 40 : 20) + 1;
        check_packet(&pk, COUNT_TOO_BIG);
        pk = good;
        pk.flow.dst[1] += N_VMS / 2;
        pk.payload = VTEP_MTU - 70 - (good.inner6 ? 40 : 20) + 1;
        check_packet(&pk, COUNT_TOO_BIG);

        frame.port = 1;
        gw_packet_encode(&good, &frame);
        frame.len--;
        check_count(&frame, COUNT_TRUNCATED);

        /* Inner EtherType. */
        frame.port = 1;
        gw_packet_encode(&good, &frame);
        frame.data[(good.outer6 ? 70 : 50) + 12] = 0x06;
        check_count(&frame, COUNT_NOT_IP);
        /* A router's frames are for it alone. */
        frame.port = 1;
        gw_packet_encode(&good, &frame);
        frame.data[good.outer6 ? 70 : 50] |= 1;
        check_count(&frame, COUNT_NOT_IP);
        /* UDP length. */
        frame.port = 1;
        gw_packet_encode(&good, &frame);
        frame.data[(good.outer6 ? 54 : 34) + 5]++;
        check_count(&frame, COUNT_BAD_LENGTH);
        /* Inner IP length. */
        frame.port = 1;
        gw_packet_encode(&good, &frame);
        frame.data[(good.outer6 ? 84 : 64) + (good.inner6 ? 5 : 3)]++;
        check_count(&frame, COUNT_BAD_LENGTH);
        if (!good.outer6) {
            frame.port = 1;
            gw_packet_encode(&good, &frame);
            frame.data[14 + 10] ^= 1;
            check_count(&frame, COUNT_BAD_CHECKSUM);
            pk = good;
            pk.fragment = 0x2000;
            check_packet(&pk, COUNT_LOCAL);
        }
    }

    /* A route that leads to no VTEP, and one that leads to one. */
    gw_packet_init(&good, false, false);
    good.flow.dst[1] = 0x0a030101;
    check_packet(&good, COUNT_NO_VTEP);
    pk = good;
    pk.payload = VTEP_MTU;      /* Too big for other VTEPs. */
    check_packet(&pk, COUNT_NO_VTEP);
    good.flow.dst[1] = 0x0a030201;
    frame.port = 1;
    gw_packet_encode(&good, &frame);
    gw_run(&frame, 1);
    ck_assert(!frame.dropped);
    ck_assert_uint_eq(frame.port, UPLINK);
    ck_assert_uint_eq(frame.data[33], 1);

    /* As the CPU asks. */
    for (unsigned int port = 0; port <= N_PORTS; port++) {
        bool known = port >= 1 && port < N_PORTS;

        gw_packet_encode(&good, &frame);
        frame.port = ZOO_GATEWAY_CPU_PORT;
        frame.reason = port;
        wanted[0] = frame;
        check_count(&frame, known ? COUNT_SENT : COUNT_NO_PORT);
        if (known) {
            ck_assert_uint_eq(frame.port, port);
            ck_assert_uint_eq(frame.len, wanted[0].len);
            ck_assert(!memcmp(frame.data, wanted[0].data, frame.len));
        }
    }
}
END_TEST

/* Valid packets cut off anywhere, and with bytes changed: each has one fate,
 * and what leaves is not longer than what came and 20 bytes. */
START_TEST(mangled_packets)
{
    uint64_t before[ZOO_GATEWAY_N_COUNTS], after[ZOO_GATEWAY_N_COUNTS];
    uint64_t fates = 0;
    const int n = 40000;

    unit_seed(_i);
    read_counts(before);
    for (int done = 0; done < n; done += BATCH) {
        size_t len[BATCH];

        for (int i = 0; i < BATCH; i++) {
            struct gw_packet pk;

            random_packet(random_range(N_VMS), &pk);
            gw_packet_encode(&pk, &frames[i]);
            frames[i].port = unit_range(1, N_PORTS - 1);
            if (unit_chance(.5)) {
                frames[i].len = random_range(frames[i].len);
            }
            for (int k = random_range(3); k > 0 && frames[i].len; k--) {
                frames[i].data[random_range(MIN(frames[i].len, 130))]
                    = random_uint32();
            }
            len[i] = frames[i].len;
        }
        gw_run(frames, BATCH);
        for (int i = 0; i < BATCH; i++) {
            ck_assert_uint_le(frames[i].len, len[i] + 20);
        }
    }
    read_counts(after);
    for (int i = 0; i < COUNT_BITMAP_KEPT; i++) {
        fates += after[i] - before[i];
    }
    ck_assert_uint_eq(fates, DIV_ROUND_UP(n, BATCH) * BATCH);
    ck_assert_uint_eq(after[COUNT_WRITTEN], before[COUNT_WRITTEN]);
}
END_TEST

/* Packet-triggered update. */

struct update {
    uint8_t marker;
    uint8_t table;
    uint16_t reserved;
    uint32_t destination;
    uint32_t value;
};

struct negotiation {
    uint8_t version, type;
    uint16_t written;
    uint32_t sequence, token;
    size_t n;
    struct update updates[ZOO_GATEWAY_MAX_UPDATES + 8];
};

static uint8_t *
put(uint8_t *p, uint64_t value, size_t n)
{
    for (size_t i = n; i-- > 0; ) {
        *p++ = value >> (8 * i);
    }
    return p;
}

static void
encode_negotiation(const struct negotiation *ng, struct gw_frame *frame)
{
    uint8_t *p = frame->data;

    p = put(p, 0x0200000000cc, 6);
    p = put(p, 0x0200000000dd, 6);
    p = put(p, ZOO_GATEWAY_NEGOTIATION_TYPE, 2);
    p = put(p, ng->version, 1);
    p = put(p, ng->type, 1);
    p = put(p, ng->written, 2);
    p = put(p, ng->sequence, 4);
    p = put(p, ng->token, 4);
    for (size_t i = 0; i < ng->n; i++) {
        const struct update *u = &ng->updates[i];

        p = put(p, u->marker, 1);
        p = put(p, u->table, 1);
        p = put(p, u->reserved, 2);
        p = put(p, u->destination, 4);
        p = put(p, u->value, 4);
    }
    frame->len = p - frame->data;
    frame->port = ZOO_GATEWAY_CPU_PORT;
    frame->reason = 0;
}

/* 'n' good updates and the end. */
static void
random_negotiation(struct negotiation *ng, size_t n)
{
    *ng = (struct negotiation) {
        .version = ZOO_GATEWAY_NEGOTIATION_VERSION,
        .type = ZOO_GATEWAY_NEGOTIATION_UPDATE,
        .sequence = random_uint32(),
        .token = TOKEN,
    };
    for (size_t i = 0; i < n; i++) {
        int table = unit_range(ZOO_GATEWAY_BITMAP, ZOO_GATEWAY_INDEX);

        ng->updates[ng->n++] = (struct update) {
            .marker = ZOO_GATEWAY_MARKER_PKT,
            .table = table,
            .destination = random_range(ZOO_GATEWAY_N_DESTINATIONS),
            .value = random_uint32() >> (table == ZOO_GATEWAY_INDEX ? 12 : 0),
        };
    }
    ng->updates[ng->n++].marker = ZOO_GATEWAY_MARKER_END;
}

/* What both arrays are to hold. */
static uint32_t shadow[2][ZOO_GATEWAY_N_DESTINATIONS];

static void
read_shadow(void)
{
    for (int t = 0; t < 2; t++) {
        for (uint32_t i = 0; i < ZOO_GATEWAY_N_DESTINATIONS; i++) {
            shadow[t][i] = gw_read(array_of(t + ZOO_GATEWAY_BITMAP), i);
        }
    }
}

static void
check_shadow(void)
{
    for (int t = 0; t < 2; t++) {
        for (uint32_t i = 0; i < ZOO_GATEWAY_N_DESTINATIONS; i++) {
            unit_assert(gw_read(array_of(t + ZOO_GATEWAY_BITMAP), i)
                        == shadow[t][i], "%s[%"PRIu32"]",
                        array_of(t + ZOO_GATEWAY_BITMAP), i);
        }
    }
}

/* The model: what becomes of 'ng', of which 'len' bytes arrive from 'port'.
 * Writes 'shadow', adds to 'more', and returns the last count. */
static int
run_model(const struct negotiation *ng, size_t len, unsigned int port,
          uint64_t more[ZOO_GATEWAY_N_COUNTS])
{
    uint16_t written = ng->written;
    int fate;

    for (size_t i = 0;; i++) {
        const struct update *u = &ng->updates[i];

        if (len < 26 + 12 * (i + 1)) {
            fate = COUNT_MALFORMED;
        } else if (port) {
            fate = COUNT_FOREIGN;
        } else if (ng->token != TOKEN) {
            fate = COUNT_UNAUTHENTICATED;
        } else if (ng->version != 1 || ng->type != 1 || u->reserved) {
            fate = COUNT_MALFORMED;
        } else if (u->marker == ZOO_GATEWAY_MARKER_END) {
            fate = COUNT_ACKNOWLEDGED;
        } else if (u->marker != ZOO_GATEWAY_MARKER_PKT) {
            fate = COUNT_MALFORMED;
        } else if (written >= ZOO_GATEWAY_MAX_UPDATES) {
            fate = COUNT_ENDLESS;
        } else if (u->destination >= ZOO_GATEWAY_N_DESTINATIONS) {
            fate = COUNT_OUT_OF_RANGE;
        } else if (u->table == ZOO_GATEWAY_BITMAP
                   || (u->table == ZOO_GATEWAY_INDEX
                       && u->value < 1 << ZOO_GATEWAY_CELL_BITS)) {
            shadow[u->table - 1][u->destination] = u->value;
            written++;
            more[COUNT_WRITTEN]++;
            continue;
        } else {
            fate = COUNT_MALFORMED;
        }
        more[fate]++;
        return fate;
    }
}

/* Sends 'ng', cut to 'len' bytes, and compares with the model. */
static void
check_negotiation(const struct negotiation *ng, size_t len, unsigned int port)
{
    uint64_t before[ZOO_GATEWAY_N_COUNTS], more[ZOO_GATEWAY_N_COUNTS] = { 0 };
    struct gw_frame frame;

    read_counts(before);
    encode_negotiation(ng, &frame);
    frame.len = MIN(frame.len, len);
    frame.port = port;
    int fate = run_model(ng, frame.len, port, more);
    gw_run(&frame, 1);
    check_counts(before, more);
    ck_assert_int_eq(frame.dropped, fate != COUNT_ACKNOWLEDGED);
    if (!frame.dropped) {
        struct gw_frame ack;
        struct negotiation answer = *ng;

        answer.type = ZOO_GATEWAY_NEGOTIATION_ACK;
        answer.token = 0;
        answer.written = ng->written + more[COUNT_WRITTEN];
        answer.n = 0;
        encode_negotiation(&answer, &ack);
        ck_assert_uint_eq(frame.port, ZOO_GATEWAY_CPU_PORT);
        ck_assert_uint_eq(frame.reason, COUNT_ACKNOWLEDGED);
        ck_assert_uint_ge(frame.len, ack.len);
        ck_assert(!memcmp(frame.data, ack.data, ack.len));
    }
}

START_TEST(negotiation_writes)
{
    struct negotiation ng;

    unit_seed(_i);
    read_shadow();

    /* Nobody has the right token as long as there is none. */
    gw_write(GATEWAY_TOKEN, 0, 0);
    random_negotiation(&ng, 1);
    for (uint32_t token = 0; token < 2; token++) {
        struct gw_frame frame;

        ng.token = token;
        encode_negotiation(&ng, &frame);
        check_count(&frame, COUNT_UNAUTHENTICATED);
    }

    gw_write(GATEWAY_TOKEN, 0, TOKEN);
    for (size_t n = 0; n <= ZOO_GATEWAY_MAX_UPDATES + 1; n++) {
        random_negotiation(&ng, n);
        check_negotiation(&ng, SIZE_MAX, ZOO_GATEWAY_CPU_PORT);
    }
    check_shadow();
}
END_TEST

/* Endless, foreign, cut off, and with anything in their fields. */
START_TEST(negotiation_refused)
{
    struct negotiation ng;
    const int n = 10000;

    unit_seed(_i);
    gw_write(GATEWAY_TOKEN, 0, TOKEN);
    read_shadow();

    random_negotiation(&ng, 3);
    check_negotiation(&ng, SIZE_MAX, 1);
    check_negotiation(&ng, SIZE_MAX, N_PORTS - 1);
    random_negotiation(&ng, ZOO_GATEWAY_MAX_UPDATES + 5);
    check_negotiation(&ng, SIZE_MAX, ZOO_GATEWAY_CPU_PORT);
    ng.n--;                     /* No EndFlag. */
    check_negotiation(&ng, SIZE_MAX, ZOO_GATEWAY_CPU_PORT);
    random_negotiation(&ng, 5);
    ng.n--;
    check_negotiation(&ng, SIZE_MAX, ZOO_GATEWAY_CPU_PORT);

    for (int i = 0; i < n; i++) {
        random_negotiation(&ng, random_range(10));

        struct update *u = &ng.updates[random_range(ng.n)];
        switch (random_range(10)) {
        case 0: ng.version = random_uint32(); break;
        case 1: ng.type = random_uint32(); break;
        case 2: ng.written = random_uint32(); break;
        case 3: ng.token = TOKEN ^ 1u << random_range(32); break;
        case 4: u->marker = random_uint32(); break;
        case 5: u->table = random_uint32(); break;
        case 6: u->reserved = random_uint32(); break;
        case 7: u->destination = unit_range(65500, 66000); break;
        case 8: u->destination = random_uint32(); break;
        case 9:
            u->table = ZOO_GATEWAY_INDEX;
            u->value = (1u << ZOO_GATEWAY_CELL_BITS) - random_range(2);
            break;
        }
        check_negotiation(&ng, unit_chance(.5) ? random_range(160) + 14
                               : SIZE_MAX, ZOO_GATEWAY_CPU_PORT);
    }
    check_shadow();
}
END_TEST

static int
run_all(bool compiled)
{
    Suite *s = suite_create(compiled ? "gateway-pipeline, compiled"
                            : "gateway-pipeline, interpreted");
    TCase *tc;

    set_up(compiled);
    tc = unit_case(s, "pipeline", 600);
    tcase_add_loop_test(tc, random_packets, 0, 1);
    tcase_add_loop_test(tc, bitmap_corners, 0, 1);
    tcase_add_loop_test(tc, index_corners, 0, 1);
    tcase_add_test(tc, checksum_corners);
    tcase_add_test(tc, reasons);
    tcase_add_loop_test(tc, mangled_packets, 0, 1);
    tcase_add_loop_test(tc, negotiation_writes, 0, 1);
    tcase_add_loop_test(tc, negotiation_refused, 0, 1);
    return unit_run(s);
}

int
main(int argc, char *argv[])
{
    int status;
    pid_t pid;

    if (argc > 1 && !str_to_uint(argv[1], 10, &n_cases)) {
        ovs_fatal(0, "usage: %s [CASES]", argv[0]);
    }

    /* DPDK does not survive a fork, nor a second start. */
    setenv("CK_FORK", "no", true);
    pid = fork();
    if (pid < 0) {
        ovs_fatal(errno, "fork");
    } else if (!pid) {
        exit(run_all(true));
    }
    if (waitpid(pid, &status, 0) != pid) {
        ovs_fatal(errno, "waitpid");
    }
    return run_all(false) || status ? EXIT_FAILURE : EXIT_SUCCESS;
}
