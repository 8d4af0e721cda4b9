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

/* The rules of tasks: what ovs-ofctl understands of the printed text is what
 * vtraced sends, whatever the task; what a task cannot be is refused. */

#include <config.h>
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "flow.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/match.h"
#include "openvswitch/ofp-actions.h"
#include "openvswitch/ofp-port.h"
#include "packets.h"
#include "random.h"
#include "util.h"
#include "vtrace-rules/task-options.h"
#include "vtrace-rules/vtrace-flow.h"

#define OK(ERROR)                                               \
    do {                                                        \
        char *ok_error = (ERROR);                               \
        ck_assert_msg(!ok_error, "%s", ok_error);               \
    } while (0)

/* Checks that 'error', which it frees, is 'expected'. */
static void
check_error(char *error, const char *expected)
{
    ck_assert_msg(error != NULL, "no error instead of \"%s\"", expected);
    ck_assert_str_eq(error, expected);
    free(error);
}

static struct vtrace_flow
example(void)
{
    struct vtrace_flow flow = {
        .match = { .proto = IPPROTO_TCP, .sport = 1000, .dport = 80 },
        .in_port = OFP_PORT_C(3),
        .color = 42,
        .exp = 3,
        .cookie = 0x1234,
        .hard_timeout = 10,
    };

    in6_addr_set_mapped_ipv4(&flow.match.src, htonl(0x0a000001));
    in6_addr_set_mapped_ipv4(&flow.match.dst, htonl(0x0a000002));
    return flow;
}

static char *
format(const struct vtrace_flow *flow)
{
    struct ds s = DS_EMPTY_INITIALIZER;
    struct ofputil_flow_mod fm;

    OK(vtrace_flow_mod_init(flow, &fm));
    vtrace_flow_mod_format(&fm, NULL, &s);
    vtrace_flow_mod_uninit(&fm);
    return ds_steal_cstr(&s);
}

static void
check_format(const struct vtrace_flow *flow, const char *expected)
{
    char *s = format(flow);

    ck_assert_str_eq(s, expected);
    free(s);
}

START_TEST(test_format)
{
    struct vtrace_flow flow = example();

    check_format(&flow, "table=0,cookie=0x1234,hard_timeout=10,check_overlap,"
                 "send_flow_rem,priority=65535,tcp,tun_gbp_id=0,in_port=3,"
                 "nw_src=10.0.0.1,nw_dst=10.0.0.2,nw_frag=no,tp_src=1000,"
                 "tp_dst=80 "
                 "actions=vtrace(color=42,exp=3)");

    flow.match.proto = IPPROTO_ICMP;
    flow.match.sport = flow.match.dport = 0;
    flow.match.vlan = 7;
    flow.in_port = OFPP_NONE;
    ck_assert(ipv6_parse("fc00::1", &flow.match.src));
    ck_assert(ipv6_parse("fc00::2", &flow.match.dst));
    check_format(&flow, "table=0,cookie=0x1234,hard_timeout=10,check_overlap,"
                 "send_flow_rem,priority=65535,icmp6,tun_gbp_id=0,dl_vlan=7,"
                 "ipv6_src=fc00::1,ipv6_dst=fc00::2,nw_frag=no "
                 "actions=vtrace(color=42,exp=3)");

    /* All fragments of a packet match, or none. */
    flow.match.proto = 0;
    check_format(&flow, "table=0,cookie=0x1234,hard_timeout=10,check_overlap,"
                 "send_flow_rem,priority=65535,ipv6,tun_gbp_id=0,dl_vlan=7,"
                 "ipv6_src=fc00::1,ipv6_dst=fc00::2 "
                 "actions=vtrace(color=42,exp=3)");
}
END_TEST

START_TEST(test_borders)
{
    struct vtrace_flow flow = example();

    flow.kind = VTRACE_FLOW_MAP;
    flow.theirs = 0x123;
    check_format(&flow, "table=0,cookie=0x1234,hard_timeout=10,check_overlap,"
                 "send_flow_rem,priority=65535,tun_gbp_id=45347,"
                 "tun_gbp_flags=0x2,in_port=3 "
                 "actions=vtrace(color=42,exp=3)");
    ck_assert_uint_eq(45347, 0x8000 | 3 << 12 | 0x123);

    flow.kind = VTRACE_FLOW_BORDER;
    flow.hard_timeout = 0;
    check_format(&flow, "table=0,cookie=0x1234,check_overlap,"
                 "send_flow_rem,priority=65534,tun_gbp_id=0x8000/0x8000,"
                 "tun_gbp_flags=0x2,in_port=3 actions=vtrace(off)");
}
END_TEST

/* The rules of one cookie are told from each other. */
START_TEST(test_is)
{
    struct vtrace_flow flows[5];
    struct ofputil_flow_mod fm;

    for (size_t i = 0; i < ARRAY_SIZE(flows); i++) {
        flows[i] = example();
    }
    flows[1].kind = flows[2].kind = flows[3].kind = VTRACE_FLOW_MAP;
    flows[1].theirs = flows[3].theirs = 5;
    flows[2].theirs = 42;
    flows[3].in_port = OFP_PORT_C(4);
    flows[4].kind = VTRACE_FLOW_BORDER;
    for (size_t i = 0; i < ARRAY_SIZE(flows); i++) {
        struct match match;

        OK(vtrace_flow_mod_init(&flows[i], &fm));
        minimatch_expand(&fm.match, &match);
        for (size_t j = 0; j < ARRAY_SIZE(flows); j++) {
            ck_assert_int_eq(vtrace_flow_is(&flows[j], &match), i == j);
        }
        vtrace_flow_mod_uninit(&fm);
    }
}
END_TEST

static void
random_address(bool v4, struct in6_addr *addr)
{
    if (v4) {
        in6_addr_set_mapped_ipv4(addr, htonl(unit_range(1, UINT32_MAX - 1)));
    } else {
        random_bytes(addr, sizeof *addr);
        addr->s6_addr[0] = 0xfd;
    }
}

static void
random_flow(struct vtrace_flow *flow)
{
    static const uint8_t protocols[] = {
        0, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_ICMP,
        IPPROTO_ICMPV6
    };
    bool v4 = unit_chance(.5);

    memset(flow, 0, sizeof *flow);
    flow->match.proto = protocols[unit_range(0, 5)];
    random_address(v4, &flow->match.src);
    if (unit_chance(.8)) {
        random_address(v4, &flow->match.dst);
    }
    if (flow->match.proto && flow->match.proto != IPPROTO_ICMP
        && flow->match.proto != IPPROTO_ICMPV6) {
        flow->match.sport = unit_chance(.5) ? unit_range(1, 65535) : 0;
        flow->match.dport = unit_chance(.5) ? unit_range(1, 65535) : 0;
    }
    flow->match.vlan = unit_chance(.5) ? unit_range(1, 4094) : 0;
    flow->in_port = (unit_chance(.3) ? OFPP_NONE
                     : unit_chance(.3) ? OFPP_LOCAL
                     : u16_to_ofp(unit_range(1, 0xfeff)));
    flow->color = unit_range(1, VTRACE_STORE_MAX_COLOR);
    flow->exp = unit_range(0, VTRACE_STORE_MAX_EXP);
    flow->cookie = random_uint64() >> unit_range(1, 63);
    flow->hard_timeout = unit_range(1, VTRACE_FLOW_MAX_TIMEOUT);
}

/* The text means what vtraced sends. */
START_TEST(test_same)
{
    unit_seed(_i);
    for (int i = 0; i < 200; i++) {
        struct ofputil_flow_mod sent, parsed;
        enum ofputil_protocol usable;
        struct vtrace_flow flow;

        random_flow(&flow);
        OK(vtrace_flow_mod_init(&flow, &sent));
        char *s = format(&flow);
        char *error = parse_ofp_flow_mod_str(&parsed, s, NULL, NULL,
                                             OFPFC_ADD, &usable);
        ck_assert_msg(!error, "%s: %s", s, error);
        ck_assert_msg(usable != 0, "%s: no protocol", s);
        ck_assert_msg(minimatch_equal(&sent.match, &parsed.match), "%s", s);
        ck_assert_int_eq(sent.priority, parsed.priority);
        ck_assert(sent.new_cookie == parsed.new_cookie);
        ck_assert_int_eq(sent.table_id, parsed.table_id);
        ck_assert_int_eq(sent.command, parsed.command);
        ck_assert_int_eq(sent.idle_timeout, parsed.idle_timeout);
        ck_assert_int_eq(sent.hard_timeout, parsed.hard_timeout);
        ck_assert_int_eq(sent.flags, parsed.flags);
        ck_assert(ofpacts_equal(sent.ofpacts, sent.ofpacts_len,
                                parsed.ofpacts, parsed.ofpacts_len));
        free(s);
        vtrace_flow_mod_uninit(&sent);
        vtrace_flow_mod_uninit(&parsed);
    }
}
END_TEST

/* Never without the match on no color, or the packet would come back. */
START_TEST(test_no_loop)
{
    unit_seed(_i);
    for (int i = 0; i < 200; i++) {
        struct ofputil_flow_mod fm;
        struct vtrace_flow flow;
        struct match match;

        random_flow(&flow);
        OK(vtrace_flow_mod_init(&flow, &fm));
        minimatch_expand(&fm.match, &match);
        ck_assert(match.wc.masks.tunnel.gbp_id == OVS_BE16_MAX);
        ck_assert(match.flow.tunnel.gbp_id == htons(0));
        ck_assert_int_gt(fm.hard_timeout, 0);
        vtrace_flow_mod_uninit(&fm);
    }
}
END_TEST

START_TEST(test_delete)
{
    struct ofputil_flow_mod fm;

    vtrace_flow_mod_init_delete(0x1200, 0xff00, &fm);
    ck_assert_int_eq(fm.command, OFPFC_DELETE);
    ck_assert(fm.cookie == htonll(0x1200));
    ck_assert(fm.cookie_mask == htonll(0xff00));
    vtrace_flow_mod_uninit(&fm);
}
END_TEST

START_TEST(test_refused)
{
    struct ofputil_flow_mod fm;
    struct vtrace_flow flow;

    flow = example();
    flow.color = 0;
    check_error(vtrace_flow_mod_init(&flow, &fm),
                "color: 0 is out of range 1..4095");
    flow.color = 4096;
    check_error(vtrace_flow_mod_init(&flow, &fm),
                "color: 4096 is out of range 1..4095");

    flow = example();
    flow.exp = 8;
    check_error(vtrace_flow_mod_init(&flow, &fm),
                "exp: 8 is out of range 0..7");

    flow = example();
    flow.hard_timeout = 0;
    check_error(vtrace_flow_mod_init(&flow, &fm),
                "hard_timeout: 0 s is out of range 1..65535");

    flow = example();
    flow.cookie = UINT64_MAX;
    check_error(vtrace_flow_mod_init(&flow, &fm),
                "cookie: 0xffffffffffffffff is reserved by OpenFlow, use "
                "another");

    flow = example();
    ck_assert(ipv6_parse("fc00::1", &flow.match.src));
    check_error(vtrace_flow_mod_init(&flow, &fm),
                "source and destination are of different IP versions, give "
                "both of one");
    flow.match.src = flow.match.dst = in6addr_any;
    check_error(vtrace_flow_mod_init(&flow, &fm),
                "source and destination are both unknown, give one address "
                "at least");

    flow = example();
    flow.match.proto = IPPROTO_ICMP;
    check_error(vtrace_flow_mod_init(&flow, &fm),
                "port 1000: IP protocol 1 has no ports, leave it away or use "
                "tcp, udp or sctp");

    flow = example();
    flow.match.vlan = 4095;
    check_error(vtrace_flow_mod_init(&flow, &fm),
                "vlan: 4095 is out of range 1..4094");
}
END_TEST

/* Names that ovs-ofctl does not take. */
START_TEST(test_port_names)
{
    OK(vtrace_flow_check_port_name("vm1"));
    OK(vtrace_flow_check_port_name("fifteen-letters"));
    check_error(vtrace_flow_check_port_name("sixteen-letters!"),
                "port sixteen-letters!: OpenFlow has 15 bytes for a port's "
                "name, rename the port or give its OpenFlow port number");
    check_error(vtrace_flow_check_port_name("a,b"),
                "port a,b: ovs-ofctl does not take this name in a flow, give "
                "the OpenFlow port number");
    check_error(vtrace_flow_check_port_name("normal"),
                "port normal: ovs-ofctl does not take this name in a flow, "
                "give the OpenFlow port number");
}
END_TEST

/* Options. */

static void
take(struct vtrace_request *r, int option, const char *arg)
{
    OK(vtrace_task_option(r, option, arg));
}

START_TEST(test_options)
{
    struct vtrace_request r;
    struct in6_addr addr;

    vtrace_task_options_init(&r);
    take(&r, OPT_VTRACE_SRC, "[fc00::1]:1000");
    take(&r, OPT_VTRACE_DST, "fc00::2");
    take(&r, OPT_VTRACE_PROTO, "udp");
    take(&r, OPT_VTRACE_AT, "h1/br-int/vm1/x");
    take(&r, OPT_VTRACE_TENANT, "acme");
    take(&r, OPT_VTRACE_VLAN, "4094");
    take(&r, OPT_VTRACE_DURATION, "30");
    take(&r, OPT_VTRACE_EXP, "7");
    take(&r, OPT_VTRACE_BOTH, NULL);
    take(&r, OPT_VTRACE_SRC_MAC, "52:54:00:00:00:01");
    take(&r, OPT_VTRACE_DST_MAC, "52:54:00:00:00:02");
    check_error(vtrace_task_options_check(&r),
                "--src-mac and --dst-mac are of injected packets, leave them "
                "away or give --inject, too");
    take(&r, OPT_VTRACE_INJECT, "10");
    OK(vtrace_task_options_check(&r));
    ck_assert_str_eq(r.tenant, "acme");
    ck_assert_str_eq(r.entry.node, "h1");
    ck_assert_str_eq(r.entry.bridge, "br-int");
    ck_assert_str_eq(r.entry.port, "vm1/x");
    ck_assert(ipv6_parse("fc00::1", &addr));
    ck_assert(ipv6_addr_equals(&addr, &r.match.src));
    ck_assert_uint_eq(r.match.sport, 1000);
    ck_assert_uint_eq(r.match.dport, 0);
    ck_assert_uint_eq(r.match.vlan, 4094);
    ck_assert_uint_eq(r.match.proto, IPPROTO_UDP);
    ck_assert_int_eq(r.duration, 30000);
    ck_assert_int_eq(r.exp, 7);
    ck_assert(r.both);
    ck_assert_int_eq(r.inject, 10);
    ck_assert_uint_eq(eth_addr_to_uint64(r.src_mac), 0x525400000001);
    ck_assert_uint_eq(eth_addr_to_uint64(r.dst_mac), 0x525400000002);
}
END_TEST

START_TEST(test_defaults)
{
    struct vtrace_request r;

    vtrace_task_options_init(&r);
    take(&r, OPT_VTRACE_PROTO, "icmp");
    take(&r, OPT_VTRACE_SRC, "10.0.0.1");
    take(&r, OPT_VTRACE_DST, "10.0.0.2");
    take(&r, OPT_VTRACE_AT, "h1/br-int/vm1");
    OK(vtrace_task_options_check(&r));
    ck_assert_uint_eq(r.match.proto, IPPROTO_ICMP);
    ck_assert_int_eq(r.duration, 10000);
    ck_assert_int_eq(r.exp, 0);
    ck_assert(!r.both);
    ck_assert(!r.tenant[0]);

    /* ICMP of IPv6 is another protocol. */
    take(&r, OPT_VTRACE_SRC, "fc00::1");
    take(&r, OPT_VTRACE_DST, "[fc00::2]");
    OK(vtrace_task_options_check(&r));
    ck_assert_uint_eq(r.match.proto, IPPROTO_ICMPV6);
}
END_TEST

static const struct {
    int option;
    const char *arg, *error;
} bad_options[] = {
    { OPT_VTRACE_PROTO, "gre", "--proto: \"gre\" is not known, use tcp, udp, "
      "sctp, icmp or ip" },
    { OPT_VTRACE_SRC, "", "--src: \"\" is not an IP address, give \"IP\", "
      "\"IPv4:PORT\" or \"[IPv6]:PORT\"" },
    { OPT_VTRACE_SRC, "10.0.0.256", "--src: \"10.0.0.256\" is not an IP "
      "address, give \"IP\", \"IPv4:PORT\" or \"[IPv6]:PORT\"" },
    { OPT_VTRACE_SRC, "::ffff:1.2.3.4", "--src: \"::ffff:1.2.3.4\" is not an "
      "IP address, give \"IP\", \"IPv4:PORT\" or \"[IPv6]:PORT\"" },
    { OPT_VTRACE_DST, "0.0.0.0", "--dst: 0.0.0.0 is not the address of a "
      "machine, give that of one" },
    { OPT_VTRACE_DST, "[::]:1", "--dst: :: is not the address of a machine, "
      "give that of one" },
    { OPT_VTRACE_DST, "[fc00::1", "--dst: \"[fc00::1\" is not "
      "\"[IPv6]:PORT\"" },
    { OPT_VTRACE_DST, "10.0.0.1:65536", "--dst: 65536 is out of range "
      "1..65535 as a port" },
    { OPT_VTRACE_DST, "10.0.0.1:http", "--dst: \"http\" is not a number, give "
      "one in 1..65535 as a port" },
    { OPT_VTRACE_AT, "h1/br-int", "--at: \"h1/br-int\" is not "
      "NODE/BRIDGE/PORT, with names of 1..64 printable characters" },
    { OPT_VTRACE_AT, "h1//vm1", "--at: \"h1//vm1\" is not NODE/BRIDGE/PORT, "
      "with names of 1..64 printable characters" },
    { OPT_VTRACE_TENANT, "a b", "--tenant: \"a b\" is not a name of 1..64 "
      "printable characters" },
    { OPT_VTRACE_VLAN, "0", "--vlan: 0 is out of range 1..4094" },
    { OPT_VTRACE_EXP, "8", "--exp: 8 is out of range 0..7" },
    { OPT_VTRACE_EXP, "-1", "--exp: \"-1\" is not a number, give one in "
      "0..7" },
    { OPT_VTRACE_DURATION, "0", "--duration: 0 is out of range 1..65000 "
      "seconds" },
    { OPT_VTRACE_INJECT, "99999", "--inject: 99999 is out of range 1..1000 "
      "packets per second" },
    { OPT_VTRACE_SRC_MAC, "52:54:00:00:00", "--src-mac: \"52:54:00:00:00\" is "
      "not the Ethernet address of a machine, such as 52:54:00:12:34:56" },
    { OPT_VTRACE_DST_MAC, "00:00:00:00:00:00", "--dst-mac: "
      "\"00:00:00:00:00:00\" is not the Ethernet address of a machine, such as "
      "52:54:00:12:34:56" },
};

START_TEST(test_bad_option)
{
    struct vtrace_request r;

    vtrace_task_options_init(&r);
    check_error(vtrace_task_option(&r, bad_options[_i].option,
                                   bad_options[_i].arg),
                bad_options[_i].error);
}
END_TEST

START_TEST(test_incomplete)
{
    struct vtrace_request r;

    vtrace_task_options_init(&r);
    check_error(vtrace_task_options_check(&r),
                "--proto is missing, use tcp, udp, sctp, icmp or ip");
    take(&r, OPT_VTRACE_PROTO, "ip");
    check_error(vtrace_task_options_check(&r),
                "--src is missing, give the sender's IP[:PORT]");
    take(&r, OPT_VTRACE_SRC, "10.0.0.1");
    check_error(vtrace_task_options_check(&r),
                "--dst is missing, give the receiver's IP[:PORT]");
    take(&r, OPT_VTRACE_DST, "fc00::1");
    check_error(vtrace_task_options_check(&r),
                "--at is missing, give the NODE/BRIDGE/PORT where the packets "
                "enter");
    take(&r, OPT_VTRACE_AT, "h1/br-int/vm1");
    check_error(vtrace_task_options_check(&r),
                "--src and --dst are of different IP versions, give both of "
                "one");
    take(&r, OPT_VTRACE_DST, "10.0.0.2:80");
    check_error(vtrace_task_options_check(&r),
                "--dst: port 80: packets of this protocol have no ports, "
                "leave it away or use --proto tcp, udp or sctp");
    take(&r, OPT_VTRACE_PROTO, "tcp");
    OK(vtrace_task_options_check(&r));
}
END_TEST

START_TEST(test_reverse)
{
    struct vtrace_flow flow = example();
    struct vtrace_match reverse, again;

    flow.match.vlan = 9;
    vtrace_match_replies(&flow.match, &flow.match, &reverse);
    ck_assert_uint_eq(reverse.sport, 80);
    ck_assert_uint_eq(reverse.dport, 1000);
    ck_assert(ipv6_addr_equals(&reverse.src, &flow.match.dst));
    ck_assert_uint_eq(reverse.vlan, 9);
    vtrace_match_replies(&reverse, &reverse, &again);
    ck_assert_uint_eq(again.sport, 1000);
    ck_assert_uint_eq(again.dport, 80);
    ck_assert(ipv6_addr_equals(&again.src, &flow.match.src));
    ck_assert(ipv6_addr_equals(&again.dst, &flow.match.dst));
    ck_assert_uint_eq(again.proto, IPPROTO_TCP);
}
END_TEST

/* What a task leaves open stays open for its replies. */
START_TEST(test_replies)
{
    struct vtrace_flow flow = example();
    struct vtrace_match seen = flow.match, asked = flow.match, replies;

    vtrace_match_replies(&asked, &seen, &replies);
    ck_assert_uint_eq(replies.sport, 80);
    ck_assert_uint_eq(replies.dport, 1000);

    asked.sport = 0;
    vtrace_match_replies(&asked, &seen, &replies);
    ck_assert_uint_eq(replies.sport, 80);
    ck_assert_uint_eq(replies.dport, 0);

    asked.dport = 0;
    vtrace_match_replies(&asked, &seen, &replies);
    ck_assert_uint_eq(replies.sport, 0);
    ck_assert_uint_eq(replies.proto, IPPROTO_TCP);

    asked.proto = 0;
    vtrace_match_replies(&asked, &seen, &replies);
    ck_assert_uint_eq(replies.proto, 0);
    ck_assert_uint_eq(replies.sport, 0);
    ck_assert_uint_eq(replies.dport, 0);
    ck_assert(ipv6_addr_equals(&replies.src, &seen.dst));
    ck_assert(ipv6_addr_equals(&replies.dst, &seen.src));

    /* A port that was translated. */
    asked = flow.match;
    seen.sport = 3000;
    vtrace_match_replies(&asked, &seen, &replies);
    ck_assert_uint_eq(replies.sport, 80);
    ck_assert_uint_eq(replies.dport, 0);

    /* The replies to an address that others may have too. */
    seen.src.s6_addr[15] ^= 0x80;
    for (int open = 0; open < 2; open++) {
        vtrace_match_replies(&asked, &seen, &replies);
        ck_assert_uint_eq(replies.dport, 3000);
        ck_assert_uint_eq(replies.proto, IPPROTO_TCP);
        ck_assert(ipv6_addr_equals(&replies.dst, &seen.src));
        asked.proto = asked.sport = asked.dport = 0;
    }
}
END_TEST

static Suite *
suite(void)
{
    Suite *s = suite_create("vtrace-rules");
    TCase *tc = unit_case(s, "rules", 60);

    tcase_add_test(tc, test_format);
    tcase_add_test(tc, test_borders);
    tcase_add_test(tc, test_is);
    tcase_add_loop_test(tc, test_same, 0, 20);
    tcase_add_loop_test(tc, test_no_loop, 0, 5);
    tcase_add_test(tc, test_delete);
    tcase_add_test(tc, test_refused);
    tcase_add_test(tc, test_port_names);
    tcase_add_test(tc, test_options);
    tcase_add_test(tc, test_defaults);
    tcase_add_loop_test(tc, test_bad_option, 0, ARRAY_SIZE(bad_options));
    tcase_add_test(tc, test_incomplete);
    tcase_add_test(tc, test_reverse);
    tcase_add_test(tc, test_replies);
    return s;
}

int
main(void)
{
    return unit_run(suite());
}
