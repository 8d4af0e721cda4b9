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

/* Injected packets: what vtraced makes, and what the analyzer says of tasks
 * with them. */

#include <config.h>
#include "unit.h"
#include "vtrace-sim.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "byte-order.h"
#include "csum.h"
#include "dp-packet.h"
#include "flow.h"
#include "openflow/openflow.h"
#include "openvswitch/json.h"
#include "openvswitch/ofp-errors.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/rconn.h"
#include "ovs-ext/vtrace-digest.h"
#include "packets.h"
#include "socket-util.h"
#include "timeval.h"
#include "util.h"
#include "vtrace/inject.h"
#include "vtrace/vtrace-json.h"

static const struct eth_addr mac1 = ETH_ADDR_C(52,54,00,00,00,01);
static const struct eth_addr mac2 = ETH_ADDR_C(52,54,00,00,00,02);

/* A request that is fine, of 'proto', IPv6 if 'v6' is true. */
static struct vtrace_request
request(uint8_t proto, bool v6)
{
    struct vtrace_request r = {
        .inject = 10,
        .match = { .proto = proto, .sport = 1000, .dport = 53 },
        .src_mac = mac1,
        .dst_mac = mac2,
    };

    ck_assert(ipv6_parse(v6 ? "fd00::1" : "::ffff:10.0.0.1", &r.match.src));
    ck_assert(ipv6_parse(v6 ? "fd00::2" : "::ffff:10.0.0.2", &r.match.dst));
    if (proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6) {
        r.match.sport = r.match.dport = 0;
    }
    return r;
}

static struct vtrace_injector *
create(const struct vtrace_request *r, uint32_t random)
{
    const struct vtrace_inject inject = {
        .match = r->match,
        .src_mac = r->src_mac,
        .dst_mac = r->dst_mac,
        .color = 7,
        .pps = r->inject,
    };
    char *error = vtrace_inject_check(r);

    ck_assert_msg(!error, "%s", error);
    return vtrace_injector_create(&inject, random);
}

/* Fails unless the checksum of the IP packet in 'packet' and that of what it
 * carries are right. */
static void
check_checksums(struct dp_packet *packet, const struct flow *flow)
{
    const void *l3 = dp_packet_l3(packet);
    const void *l4 = dp_packet_l4(packet);
    size_t l4_len = ((const uint8_t *) dp_packet_tail(packet)
                     - (const uint8_t *) l4);
    uint32_t pseudo = 0;

    if (flow->dl_type == htons(ETH_TYPE_IPV6)) {
        pseudo = packet_csum_pseudoheader6(l3);
    } else {
        const struct ip_header *ip = l3;

        ck_assert_uint_eq(csum(ip, sizeof *ip), 0);
        ck_assert_uint_eq(ntohs(ip->ip_tot_len), sizeof *ip + l4_len);
        if (flow->nw_proto != IPPROTO_ICMP) {
            pseudo = packet_csum_pseudoheader(ip);
        }
    }
    ck_assert_uint_eq(csum_finish(csum_continue(pseudo, l4, l4_len)), 0);
}

/* As many as two bits can choose. */
static const uint8_t protocols[] = {
    IPPROTO_UDP, IPPROTO_TCP, IPPROTO_ICMP, IPPROTO_UDP
};

/* Packets are what they are to be, in the eyes of the switch, and each has a
 * digest of its own.  The bits of '_i' choose the protocol and what else is
 * special. */
START_TEST(test_packets)
{
    enum { N = 300 };
    static const struct vtrace_digest_key key;
    bool v6 = _i & 4, vlan = _i & 8;
    uint8_t proto = protocols[_i & 3];
    uint64_t digests[N];

    proto = v6 && proto == IPPROTO_ICMP ? IPPROTO_ICMPV6 : proto;
    struct vtrace_request r = request(proto, v6);
    r.match.vlan = vlan ? 5 : 0;
    struct vtrace_injector *in = create(&r, 0xfffffff0);

    for (int i = 0; i < N; i++) {
        struct vtrace_record record;
        struct dp_packet packet;
        struct flow flow;

        dp_packet_init(&packet, 0);
        vtrace_injector_compose(in, &packet);
        flow_extract(&packet, &flow);
        ck_assert(eth_addr_equals(flow.dl_src, mac1));
        ck_assert(eth_addr_equals(flow.dl_dst, mac2));
        ck_assert_uint_eq(vlan_tci_to_vid(flow.vlans[0].tci), vlan ? 5 : 0);
        ck_assert_uint_eq(flow.nw_proto, proto);
        ck_assert_uint_eq(flow.nw_ttl, 64);
        if (v6) {
            ck_assert(ipv6_addr_equals(&flow.ipv6_src, &r.match.src));
            ck_assert(ipv6_addr_equals(&flow.ipv6_dst, &r.match.dst));
        } else {
            ck_assert_uint_eq(ntohl(flow.nw_src), 0x0a000001);
            ck_assert_uint_eq(ntohl(flow.nw_dst), 0x0a000002);
        }
        if (r.match.dport) {
            ck_assert_uint_eq(ntohs(flow.tp_src), 1000);
            ck_assert_uint_eq(ntohs(flow.tp_dst), 53);
        } else {
            ck_assert_uint_eq(ntohs(flow.tp_src),
                              v6 ? ICMP6_ECHO_REQUEST : ICMP4_ECHO_REQUEST);
        }
        if (proto == IPPROTO_TCP) {
            ck_assert_uint_eq(TCP_FLAGS(flow.tcp_flags), TCP_SYN);
        }
        check_checksums(&packet, &flow);
        ck_assert(memmem(dp_packet_data(&packet), dp_packet_size(&packet),
                         VTRACE_INJECT_TEXT, strlen(VTRACE_INJECT_TEXT)));

        memset(&record, 0, sizeof record);
        ck_assert(vtrace_record_set_packet(&record, dp_packet_l3(&packet),
                                           dp_packet_l3_size(&packet), &key));
        digests[i] = record.digest;
        for (int j = 0; j < i; j++) {
            ck_assert(digests[j] != digests[i]);
        }
        dp_packet_uninit(&packet);
    }
    vtrace_injector_destroy(in);
}
END_TEST

/* What a task leaves open is chosen from the dynamic ports, once. */
START_TEST(test_open_port)
{
    struct vtrace_request r = request(IPPROTO_UDP, false);
    uint16_t port = 0;

    r.match.sport = 0;
    for (uint32_t random = 0; random < 1000000; random += 12345) {
        struct vtrace_injector *in = create(&r, random);

        for (int i = 0; i < 3; i++) {
            struct dp_packet packet;
            struct flow flow;

            dp_packet_init(&packet, 0);
            vtrace_injector_compose(in, &packet);
            flow_extract(&packet, &flow);
            ck_assert_uint_ge(ntohs(flow.tp_src), 49152);
            ck_assert(!i || port == ntohs(flow.tp_src));
            port = ntohs(flow.tp_src);
            dp_packet_uninit(&packet);
        }
        vtrace_injector_destroy(in);
    }
}
END_TEST

#define REFUSED(CHANGE, EXPECTED)                                       \
    do {                                                                \
        struct vtrace_request r = request(IPPROTO_UDP, false);          \
                                                                        \
        CHANGE;                                                         \
        char *error = vtrace_inject_check(&r);                          \
        ck_assert_msg(error && strstr(error, EXPECTED), "%s", error);   \
        free(error);                                                    \
    } while (0)

START_TEST(test_refused)
{
    REFUSED(r.match.src = in6addr_any, "give --src");
    REFUSED(r.match.dst = in6addr_any, "give --dst");
    REFUSED(r.match.dst = in6addr_loopback, "different IP versions");
    REFUSED(r.match.proto = 0, "IP protocol 0 are made, use --proto tcp");
    REFUSED(r.match.proto = IPPROTO_SCTP, "IP protocol 132");
    REFUSED(r.match.proto = IPPROTO_ICMPV6, "IP protocol 58");
    REFUSED(r.match.dport = 0, "give --dst IP:PORT");
    REFUSED(r.src_mac = eth_addr_zero, "give --src-mac");
    REFUSED(r.dst_mac = eth_addr_zero, "give --dst-mac");
    REFUSED(r.src_mac = eth_addr_broadcast, "--src-mac ff:ff:ff:ff:ff:ff");
}
END_TEST

/* Message types, of any version of OpenFlow. */
#define HELLO 0
#define PACKET_OUT 13

#define N_INJECTORS 30

/* A switch that takes what a connection sends. */
struct taker {
    char *path;
    int listener, fd;
    struct rconn *rconn;
    uint64_t n;                 /* Packet-outs that have come. */
    ovs_be32 xid;               /* Of the last one. */
    size_t len;
    union {
        uint64_t align;
        char data[65536];
    } in;
};

/* Takes what has come, and counts the packet-outs. */
static void
take(struct taker *t)
{
    for (;;) {
        ssize_t n = read(t->fd, t->in.data + t->len, sizeof t->in - t->len);
        const struct ofp_header *oh = (const void *) t->in.data;

        if (n <= 0) {
            return;
        }
        t->len += n;
        while (t->len >= sizeof *oh && t->len >= ntohs(oh->length)) {
            size_t done = ntohs(oh->length);

            if (oh->type == PACKET_OUT) {
                t->n++;
                t->xid = oh->xid;
            }
            t->len -= done;
            memmove(t->in.data, t->in.data + done, t->len);
        }
    }
}

static void
taker_run(struct taker *t)
{
    rconn_run(t->rconn);
    if (t->fd >= 0) {
        take(t);
    }
}

/* Waits for 'ms' at most. */
static void
taker_block(struct taker *t, int ms)
{
    rconn_run_wait(t->rconn);
    rconn_recv_wait(t->rconn);
    poll_timer_wait(ms);
    poll_block();
}

static struct taker *
taker_create(void)
{
    const struct ofp_header hello = {
        OFP13_VERSION, HELLO, CONSTANT_HTONS(sizeof hello), 0,
    };
    struct taker *t = xzalloc(sizeof *t);
    char *target;

    t->path = xasprintf("/tmp/zoo-test-inject.%ld", (long int) getpid());
    target = xasprintf("unix:%s", t->path);
    t->listener = make_unix_socket(SOCK_STREAM, true, t->path, NULL);
    ck_assert_int_ge(t->listener, 0);
    ck_assert_int_eq(listen(t->listener, 1), 0);
    t->fd = -1;
    t->rconn = rconn_create(0, 0, 0, 1u << OFP13_VERSION);
    rconn_connect(t->rconn, target, target);
    free(target);
    for (int i = 0; !rconn_is_connected(t->rconn); i++) {
        ck_assert_int_lt(i, 1000);
        taker_run(t);
        if (t->fd < 0) {
            t->fd = accept(t->listener, NULL, NULL);
            if (t->fd >= 0) {
                ck_assert_int_eq(set_nonblocking(t->fd), 0);
                ck_assert_int_eq(write(t->fd, &hello, sizeof hello),
                                 sizeof hello);
            }
        }
        taker_block(t, 10);
    }
    return t;
}

static void
taker_destroy(struct taker *t)
{
    rconn_destroy(t->rconn);
    close(t->fd);
    close(t->listener);
    unlink(t->path);
    free(t->path);
    free(t);
}

/* Has 'n' injectors send for a time to 't'.  Sets 'got' to how many packets
 * each has sent, and returns how many ms that took.  Sets '*least' to the ms for
 * which packets must have been sent, even if this process was held up. */
static long long int
send_for_a_while(struct taker *t, struct vtrace_injector *const *in, int n,
                 uint64_t *got, long long int *least)
{
    long long int start = time_msec(), last = start, end;
    uint64_t before = t->n, sum = 0;
    const char *why;

    for (int i = 0; i < n; i++) {
        got[i] = vtrace_injector_sent(in[i], &why);
    }
    *least = 0;
    do {
        end = time_msec();
        *least += MIN(end - last, 20);
        last = end;
        for (int i = 0; i < n; i++) {
            vtrace_injector_run(in[i], t->rconn, 1, OFPUTIL_P_OF13_OXM);
        }
        taker_run(t);
        taker_block(t, 2);
    } while (end < start + 500);
    for (int i = 0; i < n; i++) {
        got[i] = vtrace_injector_sent(in[i], &why) - got[i];
        sum += got[i];
    }
    for (int i = 0; i < 1000 && t->n < before + sum; i++) {
        taker_run(t);
        taker_block(t, 2);
    }
    ck_assert_uint_eq(t->n - before, sum);
    return end - start;
}

/* Has the 'n' injectors send for a while, and fails unless one that wants 50
 * packets per second sends those, and any other one 'large'. */
static void
check_rates(struct taker *t, struct vtrace_injector *const *in,
            const int *wanted, int n, int large)
{
    long long int least, ms;
    uint64_t got[N_INJECTORS], sum = 0;

    ms = send_for_a_while(t, in, n, got, &least);
    for (int i = 0; i < n; i++) {
        int rate = MIN(wanted[i], large);

        sum += got[i];
        ck_assert_msg(got[i] >= 0.9 * rate * least / 1000 - 2
                      && got[i] <= rate * (ms + 21) / 1000.0 + 1,
                      "%d: %"PRIu64" in %lld ms, or %lld", i, got[i], ms,
                      least);
    }
    ck_assert_uint_le(sum, VTRACE_INJECT_MAX_TOTAL * (ms + 40) / 1000);
}

/* All tasks together are limited.  Those that want little get it, the others
 * the same each, whatever their order, and what one leaves is the others'. */
START_TEST(test_total)
{
    struct vtrace_injector *in[N_INJECTORS];
    struct taker *t = taker_create();
    int wanted[N_INJECTORS];
    long long int least;
    uint64_t got;

    for (int i = 0; i < N_INJECTORS; i++) {
        struct vtrace_request r = request(IPPROTO_UDP, i & 1);

        wanted[i] = r.inject = i % 3 ? 50 : 1000;
        in[i] = create(&r, i);
    }

    /* 20 times 50, and 10 times 400. */
    check_rates(t, in, wanted, N_INJECTORS, 400);

    /* The first one's switch refuses. */
    send_for_a_while(t, in, 1, &got, &least);
    ck_assert(vtrace_injector_refused(in[0], t->xid, "br0",
                                      OFPERR_OFPBRC_EPERM));
    check_rates(t, in + 1, wanted + 1, N_INJECTORS - 1, 444);

    /* Four of the large ones are left, which is within the limit. */
    for (int i = 0; i < N_INJECTORS - 12; i++) {
        vtrace_injector_destroy(in[i]);
    }
    check_rates(t, in + N_INJECTORS - 12, wanted + N_INJECTORS - 12, 12, 1000);
    for (int i = N_INJECTORS - 12; i < N_INJECTORS; i++) {
        vtrace_injector_destroy(in[i]);
    }
    taker_destroy(t);
}
END_TEST

/* Runs 'o' and fails unless it gives 'kind', 'reason' and 'n' injected
 * packets. */
static void
check(const struct sim_options *o, enum vtrace_verdict_kind kind,
      enum vtrace_reason reason, unsigned int n)
{
    char given[VTRACE_REASON_NAME_LEN], wanted[VTRACE_REASON_NAME_LEN];
    struct vtrace_analysis *an;
    struct vtrace_analyzer *az = sim_run(o, &an);
    struct vtrace_verdict v;
    struct json *json;

    vtrace_analysis_verdict(an, &v);
    ck_assert_str_eq(vtrace_verdict_name(v.kind), vtrace_verdict_name(kind));
    ck_assert_str_eq(vtrace_reason_name(v.reason, given),
                     vtrace_reason_name(reason, wanted));
    json = vtrace_analysis_to_json(an, false);
    ck_assert_int_eq(vtrace_json_integer(json, "injected", -1), n);
    json_destroy(json);
    vtrace_analyzer_destroy(az);
}

/* Fails unless 'n' packets of 'o' have left where answers may come from. */
static void
check_exit(const struct sim_options *o, unsigned int n)
{
    struct vtrace_exit exit = { .packets = 0 };
    struct vtrace_analysis *an;
    struct vtrace_analyzer *az = sim_run(o, &an);

    ck_assert(vtrace_analysis_exit(an, VTRACE_FORWARD, &exit) == (n > 0));
    ck_assert_uint_eq(exit.packets, n);
    vtrace_analyzer_destroy(az);
}

/* Packets that nobody gets have no answer, and their lack means nothing; that
 * of answers to a few others does. */
START_TEST(test_verdicts)
{
    struct sim_options o = { .scenario = SIM_VPC, .fault = SIM_NONE,
                             .both = true, .n_packets = 100,
                             .n_injected = 100 };

    check(&o, VTRACE_VERDICT_NONE, VTRACE_REASON_NONE, 100);
    check_exit(&o, 0);
    o.both = false;
    check(&o, VTRACE_VERDICT_NONE, VTRACE_REASON_NONE, 100);
    o.both = true;
    o.n_injected = 97;
    check(&o, VTRACE_VERDICT_NONE, VTRACE_REASON_NONE, 97);
    check_exit(&o, 3);
    o.fault = SIM_SILENT_RECEIVER;
    check(&o, VTRACE_VERDICT_NO_REPLY, VTRACE_REASON_SILENT_RECEIVER, 97);
    o.n_injected = 100;
    check(&o, VTRACE_VERDICT_NONE, VTRACE_REASON_NONE, 100);

    o.scenario = SIM_ONPREM;
    o.fault = SIM_NONE;
    check(&o, VTRACE_VERDICT_LEFT, VTRACE_REASON_EXTERNAL, 100);

    o.scenario = SIM_VPC;
    o.fault = SIM_ACL;
    check(&o, VTRACE_VERDICT_DROP, VTRACE_REASON_ACL_DENY, 100);
    o.fault = SIM_SPINE_SILENT;
    check(&o, VTRACE_VERDICT_UNDERLAY_LOSS, VTRACE_REASON_UNDERLAY_SILENT,
          100);
    o.fault = SIM_PORT_DOWN;
    check(&o, VTRACE_VERDICT_DROP, VTRACE_REASON_PORT_DOWN, 100);
}
END_TEST

/* Packets that show nothing, for being injected, are no loss. */
START_TEST(test_unable)
{
    struct sim_options o = { .scenario = SIM_VPC, .fault = SIM_NONE,
                             .n_packets = 100, .n_injected = 100,
                             .stuck = VTRACE_REASON_INJECT_UNKNOWN_MAC };

    check(&o, VTRACE_VERDICT_INCONCLUSIVE, VTRACE_REASON_INJECT_UNKNOWN_MAC,
          100);
    o.stuck = VTRACE_REASON_INJECT_STATE;
    check(&o, VTRACE_VERDICT_INCONCLUSIVE, VTRACE_REASON_INJECT_STATE, 100);

    /* Others show something. */
    o.n_injected = 90;
    check(&o, VTRACE_VERDICT_NONE, VTRACE_REASON_NONE, 90);
    o.n_injected = 91;
    check(&o, VTRACE_VERDICT_INCONCLUSIVE, VTRACE_REASON_INJECT_STATE, 91);
    o.fault = SIM_ACL;
    check(&o, VTRACE_VERDICT_DROP, VTRACE_REASON_ACL_DENY, 91);

    /* A SYN of a connection that is open. */
    o.stuck = VTRACE_REASON_NONE;
    o.n_injected = 100;
    o.fault = SIM_CT_INVALID;
    check(&o, VTRACE_VERDICT_DROP, VTRACE_REASON_CT_INVALID, 100);
    o.tcp = true;
    check(&o, VTRACE_VERDICT_INCONCLUSIVE, VTRACE_REASON_INJECT_STATE, 100);
    o.n_injected = 0;
    check(&o, VTRACE_VERDICT_DROP, VTRACE_REASON_CT_INVALID, 0);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("vtrace-inject");
    TCase *tc = unit_case(suite, "inject", 60);

    tcase_add_loop_test(tc, test_packets, 0, 16);
    tcase_add_test(tc, test_open_port);
    tcase_add_test(tc, test_refused);
    tcase_add_test(tc, test_total);
    tcase_add_test(tc, test_verdicts);
    tcase_add_test(tc, test_unable);
    return unit_run(suite);
}
