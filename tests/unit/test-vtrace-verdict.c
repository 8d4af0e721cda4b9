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

/* The verdicts: every cell of the fault matrix in vtrace/README.md, and what
 * the analyzer says if the records do not suffice. */

#include <config.h>
#include "unit.h"
#include "vtrace-sim.h"

#include <stdlib.h>
#include <string.h>

#include "openvswitch/json.h"
#include "packets.h"
#include "random.h"
#include "util.h"
#include "vtrace/vtrace-json.h"

/* What one fault is to give in each scenario: "KIND PLACE REASON", where PLACE
 * is NODE, NODE/BRIDGE, [FROM,TO] or "-". */
static const struct {
    enum sim_fault fault;
    const char *expected[SIM_N_SCENARIOS];
} matrix[] = {
    { SIM_ACL,
      { "drop h2 acl-deny", "drop gw1 acl-deny", "drop gw1 acl-deny",
        "drop gw2 acl-deny" } },
    { SIM_NO_ROUTE,
      { "drop h1 tunnel-no-route", "drop h1 tunnel-no-route",
        "drop h1 tunnel-no-route", "drop gw1 tunnel-no-route" } },
    { SIM_METER,
      { "drop h2 meter", "drop gw1 meter", "drop gw1 meter",
        "drop gw2 meter" } },
    { SIM_METER_ALL,
      { "drop h2 meter", "drop gw1 meter", "drop gw1 meter",
        "drop gw2 meter" } },
    { SIM_CT_INVALID,
      { "drop h2 ct-invalid", "drop gw1 ct-invalid", "drop gw1 ct-invalid",
        "drop gw2 ct-invalid" } },
    { SIM_MTU_SENDER,
      { "drop h1 mtu-exceeded", "drop h1 mtu-exceeded",
        "drop h1 mtu-exceeded", "drop gw1 mtu-exceeded" } },
    { SIM_MTU_UNDERLAY,
      { "underlay-loss [h1,h2] underlay-mtu",
        "underlay-loss [h1,gw1] underlay-mtu",
        "underlay-loss [h1,gw1] underlay-mtu",
        "underlay-loss [gw1,gw2] underlay-mtu" } },
    { SIM_SPINE_SILENT,
      { "underlay-loss [h1,h2] underlay-silent",
        "underlay-loss [h1,gw1] underlay-silent",
        "underlay-loss [h1,gw1] underlay-silent",
        "underlay-loss [gw1,gw2] underlay-silent" } },
    { SIM_FAILOVER,
      { "none [h1,h2] failover", "none [h1,gw1] failover",
        "none [h1,gw1] failover", "none [gw1,gw2] failover" } },
    { SIM_SPINE_LOSSY,
      { "underlay-loss [h1,h2] underlay-lossy",
        "underlay-loss [h1,gw1] underlay-lossy",
        "underlay-loss [h1,gw1] underlay-lossy",
        "underlay-loss [gw1,gw2] underlay-lossy" } },
    { SIM_WRONG_VNI,
      { "drop h2 tunnel-no-port", "drop gw1 tunnel-no-port",
        "drop gw1 tunnel-no-port", "drop gw2 tunnel-no-port" } },
    { SIM_NO_NEIGHBOR,
      { "drop h1 tunnel-no-neighbor", "drop h1 tunnel-no-neighbor",
        "drop h1 tunnel-no-neighbor", "drop gw1 tunnel-no-neighbor" } },
    { SIM_PORT_DOWN,
      { "drop h2 port-down", "drop gw1 port-down", "drop gw1 port-down",
        "drop h2 port-down" } },
    { SIM_NO_FLOW,
      { "drop h2/br-mid no-match", "drop gw1/br-mid no-match",
        "drop gw1/br-mid no-match", "drop gw2/br-mid no-match" } },
    { SIM_SILENT_RECEIVER,
      { "no-reply h2 silent-receiver", "left gw1 external",
        "left gw1 external", "no-reply h2 silent-receiver" } },
    { SIM_NONE,
      { "none h2 none", "none gw1 none", "none gw1 none", "none h2 none" } },
};

/* The members of 'v' in the form of 'expected'. */
static char *
describe(const struct vtrace_verdict *v, const char *expected)
{
    char reason[VTRACE_REASON_NAME_LEN];
    const char *kind = vtrace_verdict_name(v->kind);

    vtrace_reason_name(v->reason, reason);
    if (strchr(expected, '[') && v->edge[0]) {
        return xasprintf("%s [%s,%s] %s", kind, v->edge[0], v->edge[1],
                         reason);
    } else if (strchr(expected, '/') && v->node) {
        return xasprintf("%s %s/%s %s", kind, v->node, v->bridge, reason);
    }
    return xasprintf("%s %s %s", kind, v->node ? v->node : "-", reason);
}

static void
check_verdict(const struct sim_options *o, const char *expected,
              struct vtrace_verdict *v)
{
    struct vtrace_analysis *an;
    struct vtrace_analyzer *az = sim_run(o, &an);

    vtrace_analysis_verdict(an, v);
    char *got = describe(v, expected);
    ck_assert_msg(!strcmp(got, expected),
                  "%s, fault %d: \"%s\" instead of \"%s\" (lost %llu of %llu)",
                  sim_scenario_name(o->scenario), o->fault, got, expected,
                  (unsigned long long) v->lost, (unsigned long long) v->seen);
    ck_assert_msg(o->silent_node || vtrace_analysis_is_complete(an),
                  "%s, fault %d: not complete",
                  sim_scenario_name(o->scenario), o->fault);
    free(got);
    vtrace_analyzer_destroy(az);
}

/* Each cell; the bits of '_i' choose the scenario and what else is special. */
START_TEST(test_matrix)
{
    for (size_t i = 0; i < ARRAY_SIZE(matrix); i++) {
        enum sim_fault fault = matrix[i].fault;
        struct sim_options o = {
            .scenario = _i & 3,
            .fault = fault,
            .both = true,
            .shuffle = _i & 4,
            .clock_ahead = _i & 8 ? 50 * MSEC : 0,
            .patches = _i & 16,
            .n_packets = fault == SIM_SPINE_LOSSY ? 1000 : 300,
        };
        struct vtrace_verdict v;

        unit_seed(_i * 100 + i);

        /* Records in random order give the order of packets only roughly, and
         * with it what happened at the change of the outer source port. */
        check_verdict(&o, matrix[i].expected[o.scenario], &v);
        ck_assert_uint_eq(v.seen, o.n_packets);
        if (fault == SIM_ACL) {
            ck_assert(v.has_table && v.table == 3);
            ck_assert(v.has_cookie && v.cookie == 0x2a);
            ck_assert_uint_eq(v.lost, o.n_packets);
        } else if (fault == SIM_SPINE_SILENT) {
            ck_assert_uint_eq(v.sport, 40001);
        } else if (fault == SIM_FAILOVER) {
            ck_assert_uint_eq(v.sport, 40002);
            ck_assert_uint_eq(v.lost, 20);
        } else if (fault == SIM_METER) {
            ck_assert_uint_eq(v.lost, o.n_packets / 2);
        }
    }
}
END_TEST

/* The same of packets that cannot be told from each other: counts give the
 * same verdicts. */
START_TEST(test_identical)
{
    for (size_t i = 0; i < ARRAY_SIZE(matrix); i++) {
        enum sim_fault fault = matrix[i].fault;
        struct sim_options o = {
            .scenario = _i & 3,
            .fault = fault,
            .both = true,
            .identical = true,
            .clock_ahead = _i & 4 ? 50 * MSEC : 0,
            .n_packets = fault == SIM_SPINE_LOSSY ? 1000 : 300,
        };
        struct vtrace_verdict v;

        if (fault == SIM_MTU_SENDER || fault == SIM_MTU_UNDERLAY) {
            continue;           /* Different lengths are different digests. */
        }
        unit_seed(_i * 100 + i);
        check_verdict(&o, matrix[i].expected[o.scenario], &v);
        ck_assert_uint_ge(v.seen + 5, o.n_packets);
    }
}
END_TEST

/* Identical packets of several flows, some of which a spine loses: the outer
 * source port tells which.  Where the last switch of several bridges sends is
 * part of the path. */
START_TEST(test_identical_flows)
{
    static const enum sim_fault faults[] = {
        SIM_SPINE_SILENT, SIM_FAILOVER, SIM_SPINE_LOSSY, SIM_PORT_DOWN,
        SIM_NONE
    };

    for (size_t i = 0; i < ARRAY_SIZE(matrix); i++) {
        struct sim_options o = {
            .scenario = _i & 3,
            .fault = matrix[i].fault,
            .both = true,
            .identical = true,
            .flows = true,
            .patches = true,
            .clock_ahead = _i & 4 ? 50 * MSEC : 0,
            .n_packets = 1000,
        };
        struct vtrace_verdict v;

        for (size_t j = 0; j < ARRAY_SIZE(faults); j++) {
            if (faults[j] != o.fault) {
                continue;
            }
            unit_seed(_i * 100 + i);
            check_verdict(&o, matrix[i].expected[o.scenario], &v);
            if (o.fault == SIM_SPINE_SILENT) {
                ck_assert_uint_eq(v.lost, 500);
            } else if (o.fault == SIM_FAILOVER) {
                ck_assert_uint_eq(v.lost, 3);
            } else if (o.fault == SIM_NONE) {
                ck_assert_uint_eq(v.lost, 0);
            }
        }
    }
}
END_TEST

/* Packets that are alike need more evidence for a loss, which may be of both
 * directions. */
START_TEST(test_lossy_both_ways)
{
    static const struct {
        unsigned int forward, reverse, n;
        bool identical;
        const char *expected;
    } cases[] = {
        { 20, 20, 120, true, "underlay-loss [h1,h2] underlay-lossy" },
        { 20, 0, 120, true, "inconclusive [h1,h2] ambiguous-packets" },
        { 20, 0, 200, true, "underlay-loss [h1,h2] underlay-lossy" },
        { 20, 20, 80, true, "inconclusive [h1,h2] ambiguous-packets" },
        { 60, 10, 120, true, "inconclusive [h1,h2] ambiguous-packets" },
        { 20, 0, 120, false, "underlay-loss [h1,h2] underlay-lossy" },
    };
    struct sim_options o = {
        .scenario = SIM_VPC,
        .fault = SIM_SPINE_LOSSY,
        .both = true,
        .identical = cases[_i].identical,
        .lossy = { cases[_i].forward, cases[_i].reverse },
        .n_packets = cases[_i].n,
    };
    struct vtrace_verdict v;

    check_verdict(&o, cases[_i].expected, &v);
    ck_assert_uint_eq(v.lost, cases[_i].n / cases[_i].forward);
}
END_TEST

/* Without --both there are no answers to wait for. */
START_TEST(test_one_way)
{
    static const char *const expected[] = {
        "none h2 none", "left gw1 external", "left gw1 external",
        "none h2 none"
    };
    struct sim_options o = { .scenario = _i, .fault = SIM_NONE,
                             .n_packets = 100 };
    struct vtrace_verdict v;

    check_verdict(&o, expected[_i], &v);
    ck_assert_uint_eq(v.lost, 0);
}
END_TEST

START_TEST(test_no_traffic)
{
    struct sim_options o = { .scenario = _i, .fault = SIM_NONE, .both = true,
                             .n_packets = 100, .no_entry = true };
    struct vtrace_analysis *an;
    struct vtrace_verdict v;

    check_verdict(&o, "no-traffic h1 no-packets", &v);

    /* The rule's own count says otherwise. */
    struct vtrace_analyzer *az = sim_run(&o, &an);
    vtrace_analysis_set_rule_count(an, VTRACE_FORWARD, 9, 0);
    vtrace_analysis_verdict(an, &v);
    ck_assert_int_eq(v.reason, VTRACE_REASON_TOO_FEW);
    vtrace_analysis_set_rule_count(an, VTRACE_FORWARD, 10, 0);
    vtrace_analysis_verdict(an, &v);
    ck_assert_int_eq(v.kind, VTRACE_VERDICT_INCONCLUSIVE);
    ck_assert_int_eq(v.reason, VTRACE_REASON_CONTRADICTION);
    vtrace_analyzer_destroy(az);
}
END_TEST

/* A receiver that says nothing at all is not a loss. */
START_TEST(test_silent_node)
{
    static const char *const expected[] = {
        "inconclusive [h1,h2] node-silent",
        "inconclusive [h1,gw1] node-silent",
        "inconclusive [h1,gw1] node-silent",
        "inconclusive [gw1,gw2] node-silent"
    };
    struct sim_options o = { .scenario = _i, .fault = SIM_NONE,
                             .n_packets = 100, .silent_node = true };
    struct vtrace_verdict v;

    if (_i == SIM_PEERING) {
        return;                 /* Packets reach h2: nothing is lost. */
    }
    check_verdict(&o, expected[_i], &v);
}
END_TEST

/* TCP that is segmented on the way arrives in packets that nobody sent: bytes
 * say whether something is lost. */
START_TEST(test_segments)
{
    struct sim_options o = { .scenario = SIM_VPC, .fault = SIM_NONE,
                             .n_packets = 100, .segments = true };
    struct vtrace_verdict v;

    unit_seed(_i);
    check_verdict(&o, "none h2 none", &v);
    o.fault = SIM_SPINE_SILENT;
    check_verdict(&o, "underlay-loss [h1,h2] underlay-silent", &v);
    o.fault = SIM_SPINE_LOSSY;
    check_verdict(&o, "inconclusive [h1,h2] segmentation", &v);
}
END_TEST

START_TEST(test_too_few)
{
    struct sim_options o = { .scenario = SIM_VPC, .fault = SIM_NONE,
                             .n_packets = 9 };
    struct vtrace_verdict v;

    check_verdict(&o, "inconclusive h2 too-few-packets", &v);
    o.n_packets = 10;
    check_verdict(&o, "none h2 none", &v);

    o.fault = SIM_SPINE_SILENT;
    o.n_packets = 2;
    check_verdict(&o, "inconclusive [h1,h2] too-few-packets", &v);
    o.n_packets = 3;
    check_verdict(&o, "underlay-loss [h1,h2] underlay-silent", &v);

    /* One record of a drop is enough. */
    o.fault = SIM_ACL;
    o.n_packets = 1;
    check_verdict(&o, "drop h2 acl-deny", &v);
}
END_TEST

/* Lost records are never taken for lost packets: with a tenth of all messages
 * gone, a verdict is right or inconclusive, and mostly right. */
START_TEST(test_lost_messages)
{
    unsigned int n_right = 0, n = 0;

    for (size_t i = 0; i < ARRAY_SIZE(matrix); i++) {
        enum sim_fault fault = matrix[i].fault;
        struct sim_options o = {
            .scenario = _i & 3,
            .fault = fault,
            .both = true,
            /* A small loss would be below what is told then, see
             * vtrace/README.md. */
            .metered = ((_i & 4) && fault != SIM_METER
                        && fault != SIM_SPINE_LOSSY),
            .n_packets = 1000,
            .drop_messages = .1,
        };
        struct vtrace_analysis *an;
        struct vtrace_verdict v;

        if (fault == SIM_FAILOVER) {
            continue;
        }
        unit_seed(_i * 100 + i);
        struct vtrace_analyzer *az = sim_run(&o, &an);
        vtrace_analysis_verdict(an, &v);
        const char *expected = matrix[i].expected[o.scenario];
        char *got = describe(&v, expected);
        bool right = !strcmp(got, expected);

        ck_assert_msg(right || v.kind == VTRACE_VERDICT_INCONCLUSIVE,
                      "%s, fault %d: \"%s\" instead of \"%s\" "
                      "(lost %llu of %llu)",
                      sim_scenario_name(o.scenario), fault, got, expected,
                      (unsigned long long) v.lost,
                      (unsigned long long) v.seen);
        n_right += right;
        n++;
        free(got);
        vtrace_analyzer_destroy(az);
    }
    ck_assert_msg(n_right * 10 >= n * 9, "only %u of %u", n_right, n);
}
END_TEST

/* The same where a switch takes many records of a packet: a loss of 5 % does
 * not go unnoticed, whether messages have all of these, or some. */
START_TEST(test_lost_parts)
{
    static const unsigned int lens[] = { 1, 2, 3, 10, 40 };
    unsigned int n_right = 0, n = 0;

    for (size_t i = 0; i < ARRAY_SIZE(lens) * 8; i++) {
        struct sim_options o = {
            .scenario = _i & 1 ? SIM_VPC : SIM_PEERING,
            .fault = _i & 2 ? SIM_SPINE_LOSSY : SIM_NONE,
            .patches = true,
            .metered = true,
            .n_packets = 1000,
            .drop_messages = .1,
            .message_len = lens[i % ARRAY_SIZE(lens)],
        };
        struct vtrace_analysis *an;
        struct vtrace_verdict v;

        unit_seed(_i * 100 + i);
        struct vtrace_analyzer *az = sim_run(&o, &an);
        bool loss = o.fault == SIM_SPINE_LOSSY;
        enum vtrace_verdict_kind right = (loss ? VTRACE_VERDICT_UNDERLAY_LOSS
                                          : VTRACE_VERDICT_NONE);

        vtrace_analysis_verdict(an, &v);
        ck_assert_msg(v.kind == right || v.kind == VTRACE_VERDICT_INCONCLUSIVE,
                      "%s, %s, %u records a message: kind %d (lost %llu of "
                      "%llu)", sim_scenario_name(o.scenario),
                      loss ? "lossy" : "no fault", o.message_len, v.kind,
                      (unsigned long long) v.lost,
                      (unsigned long long) v.seen);
        n_right += v.kind == right;
        n++;
        vtrace_analyzer_destroy(az);
    }
    ck_assert_msg(_i & 2 || n_right * 10 >= n * 9, "only %u of %u without a "
                  "fault", n_right, n);
}
END_TEST

static const struct json *
member(const struct json *object, const char *name)
{
    const struct json *json = shash_find_data(json_object(object), name);

    ck_assert_msg(json != NULL, "no member \"%s\"", name);
    return json;
}

/* Path, NAT, loss and delay, with one clock 50 ms ahead. */
START_TEST(test_json)
{
    struct sim_options o = {
        .scenario = SIM_INTERNET,
        .fault = SIM_NONE,
        .both = true,
        .n_packets = 200,
        .clock_ahead = _i ? 50 * MSEC : -50 * MSEC,
        .relay_delay = 5000,
    };
    struct vtrace_analysis *an;
    struct vtrace_analyzer *az = sim_run(&o, &an);
    struct json *json = vtrace_analysis_to_json(an, false);

    ck_assert_str_eq(json_string(member(member(json, "verdict"), "kind")),
                     "none");

    const struct json *hops = member(json, "hops");
    static const char *const roles[] = { "in", "out", "in", "out" };
    ck_assert_uint_eq(json_array_size(hops), 8);
    for (int i = 0; i < 4; i++) {
        const struct json *hop = json_array_at(hops, i);

        ck_assert_str_eq(json_string(member(hop, "node")),
                         i < 2 ? "h1" : "gw1");
        ck_assert_str_eq(json_string(member(hop, "role")), roles[i]);
        ck_assert_str_eq(json_string(member(hop, "src")),
                         i < 3 ? "10.0.0.1" : "198.51.100.1");
        ck_assert_int_eq(json_integer(member(hop, "src_port")),
                         i < 3 ? 1000 : 4000);
        ck_assert(!i || json_boolean(member(hop, "nat")) == (i == 3));
    }

    const struct json *edges = member(json, "edges");
    ck_assert_uint_eq(json_array_size(edges), 2);
    for (int i = 0; i < 2; i++) {
        const struct json *edge = json_array_at(edges, i);
        const struct json *delay = member(edge, "delay");

        ck_assert_int_eq(json_integer(member(edge, "sent")), 200);
        ck_assert_int_eq(json_integer(member(edge, "lost")), 0);
        ck_assert_double_eq_tol(json_real(member(delay, "p50_us")), 5302, 10);
        ck_assert_double_eq_tol(json_real(member(delay, "p99_us")), 5302, 10);
        ck_assert_str_eq(json_string(member(delay, "clock")),
                         "both-directions");
    }
    json_destroy(json);

    /* A tenant learns nothing of the underlay. */
    json = vtrace_analysis_to_json(an, true);
    char *s = json_to_string(json, 0);
    ck_assert(!strstr(s, "192.0.2."));
    ck_assert(!strstr(s, "cookie"));
    ck_assert(!strstr(s, "sport"));
    free(s);
    json_destroy(json);
    vtrace_analyzer_destroy(az);
}
END_TEST

/* An edge, and a rule, in the verdict. */
START_TEST(test_json_verdict)
{
    struct sim_options o = { .scenario = SIM_VPC, .fault = SIM_SPINE_SILENT,
                             .n_packets = 50 };
    struct vtrace_analysis *an;
    struct vtrace_analyzer *az = sim_run(&o, &an);
    struct json *json = vtrace_analysis_to_json(an, false);
    const struct json *verdict = member(json, "verdict");
    const struct json *edge = member(verdict, "edge");

    ck_assert_str_eq(json_string(member(verdict, "kind")), "underlay-loss");
    ck_assert_uint_eq(json_array_size(edge), 2);
    ck_assert_str_eq(json_string(json_array_at(edge, 0)), "h1");
    ck_assert_str_eq(json_string(json_array_at(edge, 1)), "h2");
    ck_assert_int_eq(json_integer(member(verdict, "sport")), 40001);
    ck_assert_int_eq(json_integer(member(verdict, "lost")), 50);
    ck_assert_int_eq(json_integer(member(verdict, "seen")), 50);
    ck_assert(json_string(member(verdict, "suggestion"))[0]);
    json_destroy(json);
    vtrace_analyzer_destroy(az);

    o.fault = SIM_ACL;
    az = sim_run(&o, &an);
    json = vtrace_analysis_to_json(an, false);
    verdict = member(json, "verdict");
    ck_assert_str_eq(json_string(member(verdict, "kind")), "drop");
    ck_assert_str_eq(json_string(member(verdict, "reason")), "acl-deny");
    ck_assert_str_eq(json_string(member(verdict, "bridge")), "br-int");
    ck_assert_str_eq(json_string(member(verdict, "cookie")), "0x2a");
    ck_assert_int_eq(json_integer(member(verdict, "table")), 3);
    json_destroy(json);
    vtrace_analyzer_destroy(az);
}
END_TEST

/* The two directions of a path know the clocks, and so do probes.  Whoever was
 * faster is believed. */
START_TEST(test_clock_offset)
{
    static const struct {
        bool both;
        unsigned int probe_rtt; /* us. */
        const char *how;
        bool old_probes;
    } cases[] = {
        { false, 0, "unknown", false },
        { true, 0, "both-directions", false },
        { false, 200, "probes", false },
        { true, 200, "probes", false },
        { true, 2000, "both-directions", false },
        { false, 200, "unknown", true },
    };

    for (size_t i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
        struct sim_options o = {
            .scenario = SIM_VPC, .fault = SIM_NONE, .n_packets = 100,
            .both = cases[i / 2].both, .probe_rtt = cases[i / 2].probe_rtt,
            .old_probes = cases[i / 2].old_probes,
            .clock_ahead = i % 2 ? 50 * MSEC : -50 * MSEC,
        };
        struct vtrace_analysis *an;
        struct vtrace_analyzer *az = sim_run(&o, &an);
        struct json *json = vtrace_analysis_to_json(an, false);
        const struct json *edge = json_array_at(member(json, "edges"), 0);
        const struct json *delay = member(edge, "delay");
        const struct json *p50 = member(delay, "p50_us");

        ck_assert_str_eq(json_string(member(delay, "clock")),
                         cases[i / 2].how);
        if (!strcmp(cases[i / 2].how, "unknown")) {
            ck_assert_int_eq(p50->type, JSON_NULL);
        } else {
            ck_assert_double_eq_tol(json_real(p50), 302, 1);
        }
        json_destroy(json);
        vtrace_analyzer_destroy(az);
    }
}
END_TEST

/* Where the rule for the answers belongs, and what it matches. */
START_TEST(test_exit)
{
    struct sim_options o = { .scenario = SIM_INTERNET, .fault = SIM_NONE,
                             .n_packets = 20 };
    struct vtrace_analysis *an;
    struct vtrace_analyzer *az = sim_run(&o, &an);
    struct vtrace_exit exit;
    struct in6_addr src;

    ck_assert(vtrace_analysis_exit(an, VTRACE_FORWARD, &exit));
    ck_assert_str_eq(exit.node, "gw1");
    ck_assert_str_eq(exit.bridge, "br-int");
    ck_assert_str_eq(exit.port, "port2");
    ck_assert_int_eq(exit.port_class, VTRACE_PORT_EXTERNAL);
    ck_assert_uint_eq(exit.packets, 20);
    in6_addr_set_mapped_ipv4(&src, htonl(0xc6336401));
    ck_assert(!memcmp(&exit.match.src, &src, sizeof src));
    ck_assert_uint_eq(exit.match.sport, 4000);
    ck_assert_uint_eq(exit.match.dport, 53);
    ck_assert(!vtrace_analysis_exit(an, VTRACE_REVERSE, &exit));
    vtrace_analyzer_destroy(az);
}
END_TEST

/* A color has one listener; records that nobody asked for are not kept. */
START_TEST(test_listen)
{
    static const struct vtrace_analyzer_config config
        = VTRACE_ANALYZER_CONFIG_INIT;
    struct vtrace_analyzer *az = vtrace_analyzer_create(&config);
    struct vtrace_exporter *h1 = vtrace_analyzer_exporter(az, "h1", "");
    struct vtrace_exporter *e1 = vtrace_analyzer_exporter(az, "h1", "east");
    struct vtrace_analysis *a = vtrace_analysis_create(az, 1);
    struct vtrace_analysis *b = vtrace_analysis_create(az, 2);
    struct vtrace_record r;

    memset(&r, 0, sizeof r);
    r.color = 5;
    ck_assert(h1 != e1);
    ck_assert(!vtrace_analyzer_record(az, h1, &r));
    ck_assert(vtrace_analysis_listen(a, "", 5, VTRACE_FORWARD, "h1"));
    ck_assert(!vtrace_analysis_listen(b, "", 5, VTRACE_FORWARD, "h1"));
    ck_assert(vtrace_analysis_listen(b, "east", 5, VTRACE_FORWARD, "h1"));
    ck_assert(!vtrace_analysis_listen(b, "", 0, VTRACE_FORWARD, "h1"));
    ck_assert(!vtrace_analysis_listen(b, "", 4096, VTRACE_FORWARD, "h1"));
    ck_assert(vtrace_analyzer_record(az, h1, &r));
    ck_assert(vtrace_analyzer_record(az, e1, &r));
    r.color = 65535;
    ck_assert(!vtrace_analyzer_record(az, h1, &r));
    r.color = 5;
    vtrace_analysis_destroy(a);
    ck_assert(!vtrace_analyzer_record(az, h1, &r));
    ck_assert(vtrace_analyzer_record(az, e1, &r));
    vtrace_analyzer_destroy(az);
}
END_TEST

/* Any record, many of them: nothing breaks and memory stays bounded. */
START_TEST(test_any)
{
    struct vtrace_analyzer_config config = VTRACE_ANALYZER_CONFIG_INIT;
    config.max_observations = 5000;
    struct vtrace_analyzer *az = vtrace_analyzer_create(&config);
    struct vtrace_analysis *an = vtrace_analysis_create(az, 1);
    struct vtrace_exporter *nodes[3] = {
        vtrace_analyzer_exporter(az, "a", ""),
        vtrace_analyzer_exporter(az, "b", ""),
        vtrace_analyzer_exporter(az, "c", ""),
    };

    unit_seed(_i);
    vtrace_analysis_listen(an, "", 1, VTRACE_FORWARD, "a");
    vtrace_analysis_listen(an, "", 2, VTRACE_REVERSE, "b");
    vtrace_analysis_start(an, VTRACE_FORWARD);
    vtrace_analysis_start(an, VTRACE_REVERSE);
    for (unsigned int i = 0; i < 100000; i++) {
        struct vtrace_exporter *node = nodes[unit_range(0, 2)];
        uint64_t now = i * 100000ULL;
        struct vtrace_record r;

        memset(&r, 0, sizeof r);
        r.time = now + unit_range(0, 2000000000);
        if (unit_chance(.01)) {
            r.time = random_uint64() >> unit_range(0, 63);
        }
        r.ip_len = random_uint32() >> unit_range(0, 31);
        r.payload_len = random_uint32() >> unit_range(0, 31);
        r.mtu = unit_range(0, 9000);
        r.digest = unit_range(0, _i & 1 ? 3 : 10000);
        r.color = unit_range(1, 2);
        r.role = unit_range(0, 5);
        r.reason = unit_range(0, 200);
        r.port_class = unit_range(0, 5);
        r.link = unit_range(0, 3);
        r.flags = unit_range(0, 255);
        r.tun_sport = unit_range(0, 100);
        r.tun_id = unit_range(0, 1);
        r.tun_dst.s6_addr[15] = unit_range(0, 3);
        memset(r.bridge, 'b', sizeof r.bridge);
        memset(r.port, 'p', sizeof r.port);
        r.port[0] = unit_range(0, 255);
        vtrace_analyzer_record(az, node, &r);
        if (!(i % 100)) {
            struct vtrace_watermark w = {
                .time = now + unit_range(0, 2000000000),
                .color = unit_range(0, 3),
                .session = unit_range(0, 1),
                .written = unit_range(0, 1000),
                .lost = unit_range(0, 10),
            };
            struct vtrace_endpoint endpoint = { .time = now };

            if (unit_chance(.01)) {
                w.time = random_uint64() >> unit_range(0, 63);
                w.written = random_uint64();
            }

            endpoint.address.s6_addr[15] = unit_range(0, 3);
            vtrace_analyzer_watermark(az, node, &w, now);
            vtrace_analyzer_endpoint(az, node, &endpoint);
            vtrace_analyzer_run(az, now);
        }
    }
    for (int tenant = 0; tenant < 2; tenant++) {
        struct json *json = vtrace_analysis_to_json(an, tenant);
        char *s = json_to_string(json, 0);

        free(s);
        json_destroy(json);
    }
    vtrace_analyzer_destroy(az);
}
END_TEST

/* Every reason has all that a manual and an operator need. */
START_TEST(test_reasons)
{
    unsigned int n = 0;

    for (unsigned int i = 0; i <= UINT16_MAX; i++) {
        const struct vtrace_reason_info *info = vtrace_reason_info(i);
        char name[VTRACE_REASON_NAME_LEN];

        vtrace_reason_name(i, name);
        if (!info) {
            ck_assert(!strncmp(name, "reason-", 7));
            continue;
        }
        n++;
        ck_assert_str_eq(name, info->name);
        ck_assert_uint_eq(strspn(name, "abcdefghijklmnopqrstuvwxyz-"),
                          strlen(name));
        ck_assert(info->description[0]);
        ck_assert(info->suggestion[0] || info->verdict == VTRACE_VERDICT_NONE);
        ck_assert_uint_eq(info->forwarding_status,
                          vtrace_reason_forwarding_status(i));

        /* A record's reason has a status, an inferred one has none. */
        ck_assert((i < 150) == (info->forwarding_status != 0));
        for (unsigned int j = 0; j < i; j++) {
            const struct vtrace_reason_info *other = vtrace_reason_info(j);

            ck_assert(!other || strcmp(other->name, info->name));
        }
        if (info->verdict == VTRACE_VERDICT_DROP && i < 150) {
            ck_assert(info->forwarding_status >= 128);
        }
    }
    ck_assert_uint_gt(n, 50);
}
END_TEST

static Suite *
suite(void)
{
    Suite *s = suite_create("vtrace-verdict");
    TCase *tc = unit_case(s, "verdict", 120);

    tcase_add_loop_test(tc, test_matrix, 0, 32);
    tcase_add_loop_test(tc, test_identical, 0, 8);
    tcase_add_loop_test(tc, test_identical_flows, 0, 8);
    tcase_add_loop_test(tc, test_lossy_both_ways, 0, 6);
    tcase_add_loop_test(tc, test_one_way, 0, SIM_N_SCENARIOS);
    tcase_add_loop_test(tc, test_no_traffic, 0, SIM_N_SCENARIOS);
    tcase_add_loop_test(tc, test_silent_node, 0, SIM_N_SCENARIOS);
    tcase_add_loop_test(tc, test_segments, 0, 5);
    tcase_add_test(tc, test_too_few);
    tcase_add_loop_test(tc, test_lost_parts, 0, 4);
    tcase_add_loop_test(tc, test_lost_messages, 0, 8);
    tcase_add_loop_test(tc, test_json, 0, 2);
    tcase_add_test(tc, test_json_verdict);
    tcase_add_test(tc, test_clock_offset);
    tcase_add_test(tc, test_exit);
    tcase_add_test(tc, test_listen);
    tcase_add_loop_test(tc, test_any, 0, 4);
    tcase_add_test(tc, test_reasons);
    return s;
}

int
main(void)
{
    return unit_run(suite());
}
