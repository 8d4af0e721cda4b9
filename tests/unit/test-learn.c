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

/* What the datapath learns from packets that come out of tunnels. */

#include <config.h>
#include "unit.h"

#include <string.h>

#include "dp-packet.h"
#include "flow.h"
#include "odp-util.h"
#include "ovs-ext/zoo-learn.h"
#include "packets.h"
#include "util.h"

/* Newer versions can make wrong checksums, too. */
#if __has_include("cooperative-multitasking.h")
#define flow_compose(PACKET, FLOW, L7, L7_LEN) \
    flow_compose(PACKET, FLOW, L7, L7_LEN, false)
#endif

static struct in6_addr here, there;
static struct zoo_learn *learner;
static uint16_t kept[ZOO_N_BUCKETS], seen[ZOO_N_BUCKETS];

static void
setup(void)
{
    in6_addr_set_mapped_ipv4(&here, htonl(0x0a000101));
    in6_addr_set_mapped_ipv4(&there, htonl(0x0a000201));
    learner = zoo_learn_create(&there, &here, htons(4789));
    memset(kept, 0, sizeof kept);
    zoo_learn_take(learner, kept, seen);
}

static void
teardown(void)
{
    zoo_learn_destroy(learner);
}

/* The flow of session 'i', on its way here, or back. */
static struct flow
session(unsigned int i, bool ipv6, uint8_t proto, bool back)
{
    struct flow flow;

    memset(&flow, 0, sizeof flow);
    flow.dl_type = htons(ipv6 ? ETH_TYPE_IPV6 : ETH_TYPE_IP);
    flow.nw_proto = proto;
    if (ipv6) {
        (back ? &flow.ipv6_dst : &flow.ipv6_src)->s6_addr[15] = 1 + i % 5;
        (back ? &flow.ipv6_src : &flow.ipv6_dst)->s6_addr[15] = 200;
    } else {
        *(back ? &flow.nw_dst : &flow.nw_src) = htonl(0xc0a80001 + i % 5);
        *(back ? &flow.nw_src : &flow.nw_dst) = htonl(0xc0a800c8);
    }
    *(back ? &flow.tp_dst : &flow.tp_src) = htons(20000 + i);
    *(back ? &flow.tp_src : &flow.tp_dst) = htons(80);
    flow.nw_ttl = 64;
    return flow;
}

static unsigned int
bucket_back(unsigned int i, bool ipv6, uint8_t proto)
{
    struct flow flow = session(i, ipv6, proto, true);

    return zoo_bucket(flow_hash_5tuple(&flow, 0));
}

/* A packet with 'flow', cut to 'len' bytes, has come out of the tunnel from
 * 'src' with outer source port 'sport'. */
static void
receive(struct flow flow, size_t len, const struct in6_addr *src,
        uint16_t sport)
{
    struct dp_packet *packet = dp_packet_new(128);
    struct dp_packet_batch batch;
    struct flow_tnl *tnl = &packet->md.tunnel;

    flow_compose(packet, &flow, NULL, 0);
    if (len < dp_packet_size(packet)) {
        dp_packet_set_size(packet, len);
    }
    pkt_metadata_init(&packet->md, ODPP_NONE);
    pkt_metadata_init_tnl(&packet->md);
    tnl->ip_src = in6_addr_get_mapped_ipv4(src);
    tnl->ip_dst = in6_addr_get_mapped_ipv4(&here);
    tnl->tp_src = htons(sport);
    tnl->tp_dst = htons(4789);
    dp_packet_batch_init_packet(&batch, packet);
    zoo_learn(&batch);
    dp_packet_delete(packet);
}

static unsigned int
n_seen(void)
{
    unsigned int n = 0;

    zoo_learn_take(learner, kept, seen);
    for (int b = 0; b < ZOO_N_BUCKETS; b++) {
        n += seen[b] != 0;
    }
    return n;
}

START_TEST(sessions)
{
    static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };

    for (unsigned int i = 0; i < 200; i++) {
        uint8_t proto = protos[i % 3];
        bool ipv6 = i & 1;

        receive(session(i, ipv6, proto, false), SIZE_MAX, &there, 40000 + i);
        ck_assert_uint_eq(n_seen(), 1);
        ck_assert_uint_eq(seen[bucket_back(i, ipv6, proto)], 40000 + i);
    }
    ck_assert_uint_eq(n_seen(), 0);
}
END_TEST

START_TEST(others)
{
    struct in6_addr other;

    in6_addr_set_mapped_ipv4(&other, htonl(0x0a000202));
    receive(session(1, false, IPPROTO_UDP, false), SIZE_MAX, &other, 40000);
    ck_assert_uint_eq(n_seen(), 0);
    receive(session(1, false, IPPROTO_ICMP, false), SIZE_MAX, &there, 40000);
    receive(session(1, false, IPPROTO_GRE, false), SIZE_MAX, &there, 40000);
    ck_assert_uint_eq(n_seen(), 0);
    /* Shorter than they say. */
    for (size_t len = 0;
         len < ETH_HEADER_LEN + IP_HEADER_LEN + UDP_HEADER_LEN; len++) {
        receive(session(1, false, IPPROTO_UDP, false), len, &there, 40000);
    }
    ck_assert_uint_eq(n_seen(), 0);
}
END_TEST

/* The port that the bucket uses goes before others, otherwise the first. */
START_TEST(preference)
{
    struct flow flow = session(3, false, IPPROTO_TCP, false);
    unsigned int b = bucket_back(3, false, IPPROTO_TCP);

    receive(flow, SIZE_MAX, &there, 40001);
    receive(flow, SIZE_MAX, &there, 40002);
    kept[b] = 40002;
    ck_assert_uint_eq(n_seen(), 1);
    ck_assert_uint_eq(seen[b], 40001);
    receive(flow, SIZE_MAX, &there, 40001);
    receive(flow, SIZE_MAX, &there, 40002);
    receive(flow, SIZE_MAX, &there, 40001);
    ck_assert_uint_eq(n_seen(), 1);
    ck_assert_uint_eq(seen[b], 40002);
}
END_TEST

/* However many packets there are of one session, a single one of another is
 * noticed. */
START_TEST(light_beside_heavy)
{
    for (unsigned int i = 0; i < 100000; i++) {
        receive(session(3, false, IPPROTO_TCP, false), SIZE_MAX, &there,
                40001);
    }
    receive(session(4, false, IPPROTO_TCP, false), SIZE_MAX, &there, 40002);
    ck_assert_uint_ne(bucket_back(4, false, IPPROTO_TCP),
                      bucket_back(3, false, IPPROTO_TCP));
    ck_assert_uint_eq(n_seen(), 2);
    ck_assert_uint_eq(seen[bucket_back(3, false, IPPROTO_TCP)], 40001);
    ck_assert_uint_eq(seen[bucket_back(4, false, IPPROTO_TCP)], 40002);
}
END_TEST

/* What is not plain takes the other way to the same bucket. */
START_TEST(with_vlan)
{
    struct flow flow = session(5, false, IPPROTO_UDP, false);

    flow.vlans[0].tpid = htons(ETH_TYPE_VLAN);
    flow.vlans[0].tci = htons(VLAN_CFI | 7);
    receive(flow, SIZE_MAX, &there, 40003);
    ck_assert_uint_eq(n_seen(), 1);
    ck_assert_uint_eq(seen[bucket_back(5, false, IPPROTO_UDP)], 40003);
}
END_TEST

START_TEST(off)
{
    bool enabled;

    atomic_read_relaxed(&zoo_learn_enabled, &enabled);
    ck_assert(enabled);
    zoo_learn_destroy(learner);
    learner = NULL;
    atomic_read_relaxed(&zoo_learn_enabled, &enabled);
    ck_assert(!enabled);
    receive(session(3, false, IPPROTO_TCP, false), SIZE_MAX, &there, 40001);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("learning from packets");
    TCase *tc;

    tc = unit_case(s, "learning from packets", 30);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, sessions);
    tcase_add_test(tc, others);
    tcase_add_test(tc, preference);
    tcase_add_test(tc, light_beside_heavy);
    tcase_add_test(tc, with_vlan);
    tcase_add_test(tc, off);
    return unit_run(s);
}
