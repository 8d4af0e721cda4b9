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

/* Which of the causes that a loss can have the analyzer names. */

#include <config.h>
#include "unit.h"
#include "vtrace-net.h"

#include <string.h>

#include "openvswitch/json.h"
#include "packets.h"
#include "util.h"
#include "vtrace/analyze.h"
#include "vtrace/vtrace-json.h"

/* The switch has taken the tunnel's header off the MTU in its record: packets
 * up to that were sent. */
START_TEST(test_mtu)
{
    static const struct {
        uint16_t mtu, len, vlan;
        const char *expected;
    } cases[] = {
        { 1450, 1450, 0, "underlay-loss underlay-silent" },
        { 1430, 1430, 0, "underlay-loss underlay-silent" },
        { 1450, 1446, 5, "underlay-loss underlay-silent" },
        { 1450, 1451, 0, "drop mtu-exceeded" },
        { 1430, 1431, 0, "drop mtu-exceeded" },
        { 1450, 1447, 5, "drop mtu-exceeded" },
    };
    struct vtrace_verdict v;
    struct net net;

    net_init(&net);
    for (int i = 0; i < PER_PACKET; i++) {
        struct vtrace_record *r = &net.templates[i];

        r->ip_len = cases[_i].len;
        r->vlan = cases[_i].vlan;
        r->mtu = 1500;
    }
    net.templates[1].mtu = cases[_i].mtu;
    for (int i = 0; i < 50; i++) {
        net_tick(&net, i * 10 * MSEC);
        net_packet(&net, i * 10 * MSEC, net_digest(i), 40000, false);
    }
    net_finish(&net, SEC, cases[_i].expected, &v);
    ck_assert_uint_eq(v.lost, 50);
}
END_TEST

/* What the datapath drops after the entry without a record, no rule has dropped:
 * not that of the task either, which the entry's record names. */
START_TEST(test_lost_at_entry)
{
    struct vtrace_verdict v;
    struct net net;

    net_init(&net);
    net.templates[0].flags |= VTRACE_F_TABLE | VTRACE_F_COOKIE;
    net.templates[0].cookie = 0x5654000000000001;
    for (int i = 0; i < 50; i++) {
        net_tick(&net, i * 10 * MSEC);
        net_record(&net, 0, i * 10 * MSEC, net_digest(i), 40000);
    }
    net_finish(&net, SEC, "drop lost-in-switch", &v);
    ck_assert_uint_eq(v.lost, 50);
    ck_assert(!v.has_table);
    ck_assert(!v.has_cookie);
}
END_TEST

/* Of packets that no tunnel port takes a switch records some and counts the
 * others as lost: those are no loss in the underlay. */
START_TEST(test_no_port)
{
    struct vtrace_verdict v;
    struct net net;

    net_init(&net);
    for (int i = 0; i < 200; i++) {
        net_tick(&net, i * 10 * MSEC);
        net_packet(&net, i * 10 * MSEC, net_digest(i), 40000, false);
        if (i % 10) {
            net.lost[1]++;
        } else {
            struct vtrace_record *r = &net.templates[2];

            r->role = VTRACE_ROLE_DROP;
            r->reason = VTRACE_REASON_TUNNEL_NO_PORT;
            net_record(&net, 2, i * 10 * MSEC, net_digest(i), 40000);
        }
    }
    net_finish(&net, 2 * SEC, "drop tunnel-no-port", &v);
    ck_assert_uint_eq(v.lost, 20);
}
END_TEST

/* A packet that is invalid to connection tracking, and that a rule drops which
 * does not look at that, was denied.  The switch knows which it is. */
START_TEST(test_invalid)
{
    static const struct {
        enum vtrace_reason reason;
        uint16_t ct_state;
        uint16_t last;          /* The last packet's. */
        const char *expected;
        bool note;
    } cases[] = {
        { VTRACE_REASON_ACL_DENY, CS_TRACKED | CS_NEW, CS_TRACKED | CS_NEW,
          "drop acl-deny", false },
        { VTRACE_REASON_ACL_DENY, CS_TRACKED | CS_NEW,
          CS_TRACKED | CS_INVALID, "drop acl-deny", false },
        { VTRACE_REASON_ACL_DENY, CS_TRACKED | CS_INVALID,
          CS_TRACKED | CS_INVALID, "drop acl-deny", true },
        { VTRACE_REASON_ACL_DENY, CS_TRACKED | CS_INVALID,
          CS_TRACKED | CS_NEW, "drop acl-deny", true },
        { VTRACE_REASON_CT_INVALID, CS_TRACKED | CS_INVALID,
          CS_TRACKED | CS_INVALID, "drop ct-invalid", false },
    };
    struct vtrace_verdict v;
    struct net net;

    net_init(&net);
    net.templates[3].role = VTRACE_ROLE_DROP;
    net.templates[3].reason = cases[_i].reason;
    for (int i = 0; i < 20; i++) {
        net.templates[3].ct_state = (i < 19 ? cases[_i].ct_state
                                     : cases[_i].last);
        net_tick(&net, i * 10 * MSEC);
        net_packet(&net, i * 10 * MSEC, net_digest(i), 40000, true);
    }
    net_finish(&net, SEC, cases[_i].expected, &v);
    ck_assert(v.ct_invalid == cases[_i].note);
}
END_TEST

/* Many outer source ports, of which every second one takes a path with a
 * fault, mixed or one after the other. */
START_TEST(test_many_ports)
{
    enum { SILENT, LATER_SILENT, LOSSY, FAILOVER };
    static const char *const expected[] = {
        [SILENT] = "underlay-loss underlay-silent",
        [LATER_SILENT] = "underlay-loss underlay-silent",
        [LOSSY] = "underlay-loss underlay-lossy",
        [FAILOVER] = "none failover",
    };
    static const int ports[] = { 10, 60, 500, 3000 };
    int fault = _i / 8;
    int n_ports = ports[_i / 2 % 4];
    bool in_turns = _i % 2;
    int n = MAX(n_ports * 10, 1000);
    uint64_t n_lost = 0;
    struct vtrace_verdict v;
    struct net net;

    if (fault == FAILOVER && !in_turns) {
        return;                 /* Each flow would lose a packet at most. */
    }
    unit_seed(_i);
    net_init(&net);
    for (int i = 0; i < n; i++) {
        int64_t time = i * (int64_t) MSEC;
        int port = in_turns ? i % n_ports : i / (n / n_ports) % n_ports;
        bool on_path = port & 1;
        bool arrives = (fault == SILENT ? !on_path
                        : fault == LATER_SILENT ? !on_path || i < n * 3 / 10
                        : fault == LOSSY ? !on_path || !unit_chance(0.1)
                        : !on_path || i < n * 3 / 10);

        if (fault == FAILOVER && on_path && i >= n / 2) {
            port += 10001;      /* It has moved. */
            arrives = true;
        }
        net_tick(&net, time);
        net_packet(&net, time, net_digest(i), 20000 + port, arrives);
        n_lost += !arrives;
    }
    ck_assert_uint_gt(n_lost, 10);
    net_stop(&net, n * (int64_t) MSEC);
    const char *got = net_verdict(net.an, &v);
    ck_assert_msg(!strcmp(got, expected[fault]),
                  "%d ports, %d: \"%s\", not \"%s\"", n_ports, _i, got,
                  expected[fault]);
    ck_assert_uint_eq(v.lost, n_lost);
    net_destroy(&net);
}
END_TEST

/* A controller gets packets of which nobody knows whether it sends them on: it
 * does if the flow gets through otherwise. */
START_TEST(test_controller)
{
    static const struct {
        int n;
        int from, to;           /* Packets that it gets. */
        int every;              /* One in so many of these. */
        const char *expected;
        bool note;
    } cases[] = {
        { 200, 0, 0, 1, "none none", false },
        { 200, 0, 1, 1, "none none", true },    /* It installs a flow, */
        { 200, 0, 200, 20, "none none", true }, /* which times out. */
        { 200, 0, 20, 1, "none none", true },   /* It is slow. */
        { 200, 199, 200, 1, "none none", true },
        { 200, 195, 200, 1, "none none", true },
        { 2000, 1920, 2000, 1, "none none", true },
        { 200, 0, 200, 1, "drop to-controller", false },
        { 200, 0, 195, 1, "drop to-controller", false },
        { 200, 120, 200, 1, "drop to-controller", false },  /* It died, */
        { 2000, 1880, 2000, 1, "drop to-controller", false }, /* late. */
    };
    uint64_t handed = 0;
    struct vtrace_verdict v;
    struct json *json;
    struct net net;

    net_init(&net);
    for (int i = 0; i < cases[_i].n; i++) {
        bool to_controller = (i >= cases[_i].from && i < cases[_i].to
                              && !(i % cases[_i].every));
        struct vtrace_record *r = &net.templates[3];

        net_tick(&net, i * 10 * MSEC);
        r->role = to_controller ? VTRACE_ROLE_DROP : VTRACE_ROLE_OUT;
        r->reason = to_controller ? VTRACE_REASON_TO_CONTROLLER
                                  : VTRACE_REASON_NONE;
        net_packet(&net, i * 10 * MSEC, net_digest(i), 40000, true);
        handed += to_controller;
    }
    net_stop(&net, cases[_i].n * 10 * MSEC);
    ck_assert_str_eq(net_verdict(net.an, &v), cases[_i].expected);
    ck_assert_uint_eq(v.lost, v.kind == VTRACE_VERDICT_DROP ? handed : 0);
    ck_assert_int_eq(net_evidence(&net, "to_controller"), handed);
    json = vtrace_analysis_to_json(net.an, true);
    ck_assert(cases[_i].note
              == !!vtrace_json_string(vtrace_json_member(json, "verdict",
                                                         JSON_OBJECT),
                                      "controller", NULL));
    json_destroy(json);
    net_destroy(&net);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("vtrace-causes");
    TCase *tc = unit_case(suite, "causes", 60);

    tcase_add_loop_test(tc, test_mtu, 0, 6);
    tcase_add_test(tc, test_lost_at_entry);
    tcase_add_test(tc, test_no_port);
    tcase_add_loop_test(tc, test_many_ports, 0, 32);
    tcase_add_loop_test(tc, test_controller, 0, 11);
    tcase_add_loop_test(tc, test_invalid, 0, 5);
    return unit_run(suite);
}
