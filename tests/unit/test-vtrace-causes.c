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

#include "packets.h"
#include "util.h"
#include "vtrace/analyze.h"

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
        const char *expected;
        bool note;
    } cases[] = {
        { VTRACE_REASON_ACL_DENY, CS_TRACKED | CS_NEW, "drop acl-deny",
          false },
        { VTRACE_REASON_ACL_DENY, CS_TRACKED | CS_INVALID, "drop acl-deny",
          true },
        { VTRACE_REASON_CT_INVALID, CS_TRACKED | CS_INVALID,
          "drop ct-invalid", false },
    };
    struct vtrace_verdict v;
    struct net net;

    net_init(&net);
    net.templates[3].role = VTRACE_ROLE_DROP;
    net.templates[3].reason = cases[_i].reason;
    net.templates[3].ct_state = cases[_i].ct_state;
    for (int i = 0; i < 20; i++) {
        net_tick(&net, i * 10 * MSEC);
        net_packet(&net, i * 10 * MSEC, net_digest(i), 40000, true);
    }
    net_finish(&net, SEC, cases[_i].expected, &v);
    ck_assert(v.ct_invalid == cases[_i].note);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("vtrace-causes");
    TCase *tc = unit_case(suite, "causes", 60);

    tcase_add_loop_test(tc, test_mtu, 0, 6);
    tcase_add_test(tc, test_no_port);
    tcase_add_loop_test(tc, test_invalid, 0, 3);
    return unit_run(suite);
}
