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

/* A flow's actions for packets that are not sampled: what they are, and that
 * the packets of a batch get those or all, each once and in their order, as the
 * points in them would have decided. */

#include <config.h>
#include "unit.h"

#include <string.h>

#include "dp-packet.h"
#include "flow.h"
#include "odp-netlink.h"
#include "odp-util.h"
#include "openvswitch/ofpbuf.h"
#include "ovs-ext/vtrace-ring.h"
#include "ovs-ext/zoo-record.h"
#include "ovs-ext/zoo-sampling.h"
#include "packets.h"
#include "util.h"
#include "vtrace-points.h"

static uint64_t n_records;

static void
put_point(struct ofpbuf *actions, enum vtrace_role role, unsigned int exp)
{
    struct zoo_record_point point;

    zoo_record_point_init(&point, role, exp << 12 | 5, VTRACE_REASON_NONE);
    zoo_record_put(actions, &point);
}

static void
put_output(struct ofpbuf *actions, uint32_t port)
{
    nl_msg_put_u32(actions, OVS_ACTION_ATTR_OUTPUT, port);
}

/* Checks that 'actions' are 'expected' for what is not sampled. */
static void
check_actions(const struct ofpbuf *actions, const char *expected)
{
    struct zoo_sampling *s = zoo_sampling_create(actions->data,
                                                 actions->size);

    ck_assert_int_eq(s != NULL, expected != NULL);
    if (s) {
        struct ds text = DS_EMPTY_INITIALIZER;

        format_odp_actions(&text, s->actions, s->size, NULL);
        ck_assert_str_eq(ds_cstr(&text), expected);
        ds_destroy(&text);
    }
    zoo_sampling_destroy(s);
}

START_TEST(test_actions)
{
    struct ofpbuf a;
    size_t start;

    ofpbuf_init(&a, 0);
    check_actions(&a, NULL);
    put_output(&a, 1);
    odp_put_userspace_action(0, "userdata", 8, ODPP_NONE, false, &a, NULL);
    check_actions(&a, NULL);
    put_point(&a, VTRACE_ROLE_IN, 3);
    check_actions(&a, "1,userspace(pid=0,userdata(7573657264617461))");

    start = nl_msg_start_nested(&a, OVS_ACTION_ATTR_CLONE);
    put_point(&a, VTRACE_ROLE_OUT, 3);
    put_output(&a, 2);
    nl_msg_end_nested(&a, start);
    put_output(&a, 3);
    check_actions(&a, "1,userspace(pid=0,userdata(7573657264617461)),"
                  "clone(2),3");

    /* One that samples everything. */
    put_point(&a, VTRACE_ROLE_OUT, 0);
    check_actions(&a, NULL);

    ofpbuf_clear(&a);
    put_point(&a, VTRACE_ROLE_IN, 7);
    put_point(&a, VTRACE_ROLE_DROP, 2);
    check_actions(&a, "drop");

    struct zoo_sampling *s = zoo_sampling_create(a.data, a.size);
    ck_assert_uint_eq(s->mask, 15);             /* exp=2. */
    zoo_sampling_destroy(s);
    ofpbuf_uninit(&a);
}
END_TEST

/* Some of these are in the way of the short computation: they have an 802.1Q
 * header, IP options, padding, are fragments or no IP. */
static const char *const headers[] = {
    "020000000002020000000001" "0800" "4500003c0001400040110000",
    "020000000002020000000001" "0800" "4500003c0001400040110000",
    "020000000002020000000001" "8100000a" "0800"
        "4500003c0001400040110000",
    "020000000002020000000001" "0800" "4600003c0001400040110000",
    "020000000002020000000001" "0800" "450000230001400040110000",
    "020000000002020000000001" "0800" "4500003c0001200a40110000",
    "020000000002020000000001" "0800" "450000ff0001400040110000",
    "020000000002020000000001" "88b5" "4500003c0001400040110000",
};

/* A UDP packet that begins with 'headers[which]' and has a number 'i'. */
static struct dp_packet *
make_packet_of(size_t which, uint32_t i)
{
    struct dp_packet *packet = dp_packet_new(128);
    struct ofpbuf b;
    struct flow flow;
    char *hex = xasprintf("%s0a0000010a000002" "1388138800280000" "%08"PRIx32,
                          headers[which], i);

    ofpbuf_init(&b, 128);
    ck_assert(!*ofpbuf_put_hex(&b, hex, NULL));
    dp_packet_put(packet, b.data, b.size);
    dp_packet_put_zeros(packet, 28);
    pkt_metadata_init(&packet->md, ODP_PORT_C(1));
    flow_extract(packet, &flow);
    ofpbuf_uninit(&b);
    free(hex);
    return packet;
}

static struct dp_packet *
make_packet(uint32_t i)
{
    return make_packet_of(unit_range(0, ARRAY_SIZE(headers) - 1), i);
}

/* Returns how many records a point with exponent 'exp' takes of 'packet'. */
static unsigned int
n_taken(struct dp_packet *packet, unsigned int exp)
{
    struct zoo_record_point point;

    zoo_record_point_init(&point, VTRACE_ROLE_IN, exp << 12 | 5,
                          VTRACE_REASON_NONE);
    zoo_record_take(&point, packet);
    return points_drain();
}

START_TEST(test_runs)
{
    unsigned int exp = _i % 4 + 1;
    unsigned int n_without = 0, n_split = 0, n_chosen = 0;
    struct zoo_sampling *s;
    struct ofpbuf actions;

    unit_seed(_i);
    points_configure(true);
    ofpbuf_init(&actions, 0);
    put_point(&actions, VTRACE_ROLE_IN, exp);
    put_output(&actions, 1);
    s = zoo_sampling_create(actions.data, actions.size);

    for (int round = 0; round < 300; round++) {
        struct dp_packet *packets[NETDEV_MAX_BURST];
        unsigned int taken[NETDEV_MAX_BURST], n_all = 0;
        size_t n = round % 2 ? 1 : unit_range(1, NETDEV_MAX_BURST);
        size_t done = 0, n_runs = 0;
        struct dp_packet_batch batch;
        struct zoo_run run;

        dp_packet_batch_init(&batch);
        for (size_t i = 0; i < n; i++) {
            packets[i] = make_packet(round * NETDEV_MAX_BURST + i);
            dp_packet_batch_add(&batch, packets[i]);
            taken[i] = n_taken(packets[i], exp);
            n_all += taken[i];
        }
        if (zoo_sampling_choose(s, &batch)) {
            ck_assert_uint_eq(n_all, 0);
            n_chosen++;
        }
        ZOO_RUN_FOR_EACH (&run, s, actions.data, actions.size, &batch) {
            bool all = run.actions != s->actions;
            struct dp_packet *packet;

            /* Without the point, whose records have been taken already. */
            ck_assert_int_eq(nl_attr_type(run.actions),
                             OVS_ACTION_ATTR_OUTPUT);
            ck_assert_uint_eq(run.size, s->size);
            ck_assert(!dp_packet_batch_is_empty(run.batch));
            DP_PACKET_BATCH_FOR_EACH (i, packet, run.batch) {
                ck_assert(done < n && packet == packets[done]);
                ck_assert(all || !taken[done]);
                n_without += !all;
                done++;
            }
            n_runs++;
        }
        ck_assert_uint_eq(done, n);
        ck_assert_uint_eq(points_drain(), n_all);
        ck_assert_uint_le(n_runs, 7);
        n_split += n_runs > 1;
        dp_packet_delete_batch(&batch, true);
    }
    ck_assert_uint_gt(n_without, exp > 1 ? 250 : 25);
    ck_assert_uint_gt(n_split, 10);
    ck_assert_uint_gt(n_chosen, exp > 1 ? 20 : 5);
    zoo_sampling_destroy(s);
    ofpbuf_uninit(&actions);
}
END_TEST

/* A flow whose actions were changed meanwhile, and have no points. */
START_TEST(test_no_sampling)
{
    struct dp_packet_batch batch;
    struct ofpbuf actions;
    struct zoo_run run;
    unsigned int n = 0;

    points_configure(true);
    ofpbuf_init(&actions, 0);
    put_output(&actions, 1);
    dp_packet_batch_init_packet(&batch, make_packet(0));
    ZOO_RUN_FOR_EACH (&run, NULL, actions.data, actions.size, &batch) {
        ck_assert(run.batch == &batch && run.actions == actions.data);
        ck_assert_uint_eq(run.size, actions.size);
        n++;
    }
    ck_assert_uint_eq(n, 1);
    dp_packet_delete_batch(&batch, true);
    ofpbuf_uninit(&actions);
}
END_TEST

static struct vtrace_record last;

static void
keep_last(void *aux OVS_UNUSED, const struct vtrace_record *r, size_t n)
{
    n_records += n;
    last = r[n - 1];
}

/* Stores the record that 'point' takes of 'packet' in '*r', but for its time.
 * Returns false if it takes none. */
static bool
take_one(const struct zoo_record_point *point, const struct dp_packet *packet,
         struct vtrace_record *r)
{
    n_records = 0;
    zoo_record_take(point, packet);
    vtrace_rings_drain(keep_last, NULL);
    ck_assert_uint_le(n_records, 1);
    *r = last;
    r->time = 0;
    return n_records;
}

/* What the ring's reader makes of the beginning of a packet is the record that
 * the datapath's thread makes where it has to decide. */
START_TEST(test_captured)
{
    static const char outer[] = "020000000002020000000001" "0800"
        "450005ee0000400040110000" "0a0000010a000002" "c00112b505da0000"
        "0800000000006400";
    unsigned int n = 0;

    points_configure(true);
    unit_seed(_i);
    for (uint32_t i = 0; i < 2000; i++) {
        struct dp_packet *packet = make_packet(i);
        struct zoo_record_point point;
        struct vtrace_record made, captured;

        zoo_record_point_init(&point, VTRACE_ROLE_OUT, 1 << 12 | 5,
                              VTRACE_REASON_NONE);
        dp_packet_put_zeros(packet, unit_range(0, 1) * unit_range(0, 400));
        if (unit_range(0, 1)) {
            uint8_t header[50];
            struct ofpbuf b;

            ofpbuf_use_stub(&b, header, sizeof header);
            ck_assert(!*ofpbuf_put_hex(&b, outer, NULL));
            dp_packet_push(packet, b.data, b.size);
            point.pushed = b.size;
        } else {
            point.tunnel = true;
            packet->md.tunnel.ip_src = htonl(0x0a000001);
            packet->md.tunnel.ip_dst = htonl(0x0a000002);
            packet->md.tunnel.tun_id = htonll(7);
            packet->md.ct_state = CS_TRACKED;
        }
        if (take_one(&point, packet, &made)) {
            point.flags |= ZOO_RECORD_F_SAMPLED;
            ck_assert(take_one(&point, packet, &captured));
            ck_assert_mem_eq(&made, &captured, sizeof made);
            n++;
        }
        dp_packet_delete(packet);
    }
    ck_assert_uint_gt(n, 200);
}
END_TEST

static void
set_tso(struct dp_packet *packet)
{
#ifdef DP_PACKET_OL_SHIFT_COUNT         /* Since 4.0. */
    dp_packet_set_tso_segsz(packet, 1400);
#else
    dp_packet_hwol_set_tcp_seg(packet);
#endif
}

static void
check_super(void *expected, const struct vtrace_record *r, size_t n)
{
    n_records += n;
    ck_assert_uint_eq(r->flags & VTRACE_F_SUPER, *(uint32_t *) expected);
}

/* Of a packet that a device is to segment the record says so. */
START_TEST(test_super)
{
    uint32_t flags[] = { 0, VTRACE_F_SUPER };
    struct zoo_record_point point;

    points_configure(true);
    zoo_record_point_init(&point, VTRACE_ROLE_OUT, 5, VTRACE_REASON_NONE);
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
        struct dp_packet *packet = make_packet_of(0, 0);

        if (flags[i]) {
            set_tso(packet);
        }
        n_records = 0;
        zoo_record_take(&point, packet);
        vtrace_rings_drain(check_super, &flags[i]);
        ck_assert_uint_eq(n_records, 1);
        dp_packet_delete(packet);
    }
}
END_TEST

/* Without a collector nothing is sampled. */
START_TEST(test_off)
{
    struct dp_packet_batch batch;
    struct zoo_sampling *s;
    struct ofpbuf actions;
    struct zoo_run run;
    unsigned int n = 0;

    points_configure(false);
    ofpbuf_init(&actions, 0);
    put_point(&actions, VTRACE_ROLE_IN, 1);
    s = zoo_sampling_create(actions.data, actions.size);
    dp_packet_batch_init(&batch);
    for (uint32_t i = 0; i < 32; i++) {
        dp_packet_batch_add(&batch, make_packet(i));
    }
    ZOO_RUN_FOR_EACH (&run, s, actions.data, actions.size, &batch) {
        ck_assert(run.batch == &batch && run.actions == s->actions);
        n++;
    }
    ck_assert_uint_eq(n, 1);
    dp_packet_delete_batch(&batch, true);
    zoo_sampling_destroy(s);
    ofpbuf_uninit(&actions);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("vtrace-sampling");
    TCase *tc = unit_case(suite, "sampling", 60);

    tcase_add_test(tc, test_actions);
    tcase_add_loop_test(tc, test_runs, 0, 8);
    tcase_add_test(tc, test_no_sampling);
    tcase_add_loop_test(tc, test_captured, 0, 4);
    tcase_add_test(tc, test_super);
    tcase_add_test(tc, test_off);
    return unit_run(suite);
}
