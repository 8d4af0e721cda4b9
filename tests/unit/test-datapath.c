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


/* The datapath's side: push, slots, pop. */

#include <config.h>
#include "unit.h"

#include <string.h>

#include "dp-packet.h"
#include "flow.h"
#include "frames.h"
#include "netdev-native-tnl.h"
#include "odp-netlink.h"
#include "ofproto-zoo/zoo-probe.h"
#include "ovs-ext/zoo-datapath.h"
#include "random.h"
#include "unaligned.h"
#include "util.h"

/* Tunnels of each kind. */
static const struct {
    enum zoo_encap encap;
    bool ipv6;
} kinds[] = {
    { ZOO_ENCAP_VXLAN, false },
    { ZOO_ENCAP_VXLAN, true },
    { ZOO_ENCAP_GENEVE, false },
    { ZOO_ENCAP_GENEVE, true },
};
#define N_KINDS ARRAY_SIZE(kinds)

/* Pushes the header of 'data' onto a packet of a tenant and returns the outer
 * source port that it gets.  The packet has flow hash 'hash', or none if 'hash'
 * is 0.  Stores the hash that remains in '*rss'. */
static uint16_t
push(const struct ovs_action_push_tnl *data, uint16_t tp_src, uint32_t hash,
     uint32_t *rss)
{
    struct dp_packet *packet = frames_tenant(tp_src);

    dp_packet_reset_offload(packet);
    if (hash) {
        dp_packet_set_rss_hash(packet, hash);
    }
    struct udp_header *udp = frames_push(packet, data);
    ck_assert_ptr_eq(zoo_push_udp_src(packet, udp), udp);
    uint16_t port = ntohs(udp->udp_src);
    ck_assert(dp_packet_rss_valid(packet));
    *rss = dp_packet_get_rss_hash(packet);

    /* Nothing else has changed. */
    size_t ofs = (uint8_t *) udp - (uint8_t *) dp_packet_data(packet);
    udp->udp_src = htons(zoo_push_get_choice(data));
    ck_assert_mem_eq(dp_packet_data(packet), data->header, data->header_len);
    ck_assert_uint_ge(ofs, 34);
    dp_packet_delete(packet);
    return port;
}

/* Returns the port that Open vSwitch itself gives a packet with 'hash'. */
static uint16_t
upstream_port(uint32_t hash)
{
    struct dp_packet *packet = frames_tenant(1);

    dp_packet_set_rss_hash(packet, hash);
    uint16_t port = ntohs(netdev_tnl_get_src_port(packet));
    dp_packet_delete(packet);
    return port;
}

/* Returns the flow hash of a tenant's packet. */
static uint32_t
tenant_hash(uint16_t tp_src)
{
    struct dp_packet *packet = frames_tenant(tp_src);
    struct flow flow;

    flow_extract(packet, &flow);
    dp_packet_delete(packet);
    return flow_hash_5tuple(&flow, 0);
}

/* Gives 'slot' ports from 'base' on. */
static void
publish(uint16_t slot, uint16_t base)
{
    uint16_t ports[ZOO_N_BUCKETS];

    for (int b = 0; b < ZOO_N_BUCKETS; b++) {
        ports[b] = base + b;
    }
    zoo_slot_publish(slot, ports);
}

/* Push. */

START_TEST(slot_decides)
{
    for (size_t k = 0; k < N_KINDS; k++) {
        struct ovs_action_push_tnl data;
        uint16_t slot = zoo_slot_alloc(0);
        uint32_t rss;

        frames_header(&data, kinds[k].encap, kinds[k].ipv6, 7);
        ck_assert_uint_eq(zoo_push_get_choice(&data), 0);
        ck_assert(zoo_push_set_choice(&data, slot));
        ck_assert_uint_eq(zoo_push_get_choice(&data), slot);

        /* A new slot leaves the choice to Open vSwitch. */
        for (uint32_t i = 1; i < 300; i++) {
            uint32_t hash = i * 2654435769u;

            ck_assert_uint_eq(push(&data, 1000, hash, &rss),
                              upstream_port(hash));
            ck_assert_uint_eq(rss, hash);
        }

        publish(slot, 40000);
        for (uint32_t i = 1; i < 300; i++) {
            uint32_t hash = i * 2654435769u;

            ck_assert_uint_eq(push(&data, 1000, hash, &rss),
                              40000 + zoo_bucket(hash));
        }
        zoo_slot_free(slot);

        /* A slot that is gone does no harm. */
        ck_assert_uint_eq(push(&data, 1000, 12345, &rss),
                          upstream_port(12345));
    }
}
END_TEST

/* Without a hash from the device, it is the inner packet's, which is what
 * "zooroute/select" and "ofproto/trace" take. */
START_TEST(packets_without_hash)
{
    for (size_t k = 0; k < N_KINDS; k++) {
        struct ovs_action_push_tnl data;
        uint16_t slot = zoo_slot_alloc(0);
        uint32_t rss;

        frames_header(&data, kinds[k].encap, kinds[k].ipv6, 7);
        zoo_push_set_choice(&data, slot);
        publish(slot, 40000);
        for (uint16_t tp_src = 1; tp_src < 300; tp_src++) {
            unsigned int b = zoo_bucket(tenant_hash(tp_src));

            ck_assert_uint_eq(push(&data, tp_src, 0, &rss), 40000 + b);
        }

        /* Options of Geneve are in between. */
        if (kinds[k].encap == ZOO_ENCAP_GENEVE) {
            ck_assert(zoo_push_set_probe(&data));
            ck_assert_uint_eq(push(&data, 7, 0, &rss),
                              40000 + zoo_bucket(tenant_hash(7)));
        }
        zoo_slot_free(slot);
    }
}
END_TEST

START_TEST(literal_ports)
{
    for (size_t k = 0; k < N_KINDS; k++) {
        struct ovs_action_push_tnl data;
        uint32_t rss, rss2;

        frames_header(&data, kinds[k].encap, kinds[k].ipv6, 7);
        for (uint32_t port = 32768; port <= 65535; port += 1171) {
            zoo_push_set_choice(&data, port);
            ck_assert_uint_eq(push(&data, 1, 12345, &rss), port);
            ck_assert_uint_eq(push(&data, 2, 0, &rss2), port);
            ck_assert_uint_eq(rss, rss2);
        }
    }
    ck_assert_uint_eq(ntohs(zoo_push_known_port(htons(32768))), 32768);
    ck_assert_uint_eq(ntohs(zoo_push_known_port(htons(65535))), 65535);
    ck_assert_uint_eq(ntohs(zoo_push_known_port(htons(32767))), 0);
    ck_assert_uint_eq(ntohs(zoo_push_known_port(0)), 0);
}
END_TEST

/* A bond below the tunnel sends all packets with one outer port to one peer
 * the same way, probes and tenants alike, and others to others. */
START_TEST(bonds_follow_the_port)
{
    for (size_t k = 0; k < N_KINDS; k++) {
        struct ovs_action_push_tnl data;
        unsigned int members[2] = { 0, 0 };
        unsigned int n_same = 0;
        struct in6_addr dst;
        uint16_t slot;

        frames_header(&data, kinds[k].encap, kinds[k].ipv6, 7);
        if (kinds[k].ipv6) {
            memset(&dst, 0, sizeof dst);
            dst.s6_addr[0] = 0xfd;
            dst.s6_addr[15] = 7;
        } else {
            in6_addr_set_mapped_ipv4(&dst, htonl(0x0a000207));
        }
        slot = zoo_slot_alloc(zoo_push_salt(&dst));
        publish(slot, 40000);
        for (uint32_t b = 0; b < ZOO_N_BUCKETS; b++) {
            uint32_t tenant, tenant2, probe, other;

            zoo_push_set_choice(&data, slot);
            ck_assert_uint_eq(push(&data, 1, b + ZOO_N_BUCKETS, &tenant),
                              40000 + b);
            push(&data, 1, b + 1000 * ZOO_N_BUCKETS, &tenant2);
            zoo_push_set_choice(&data, 40000 + b);
            push(&data, 1, 99, &probe);
            ck_assert_uint_eq(tenant, tenant2);
            ck_assert_uint_eq(tenant, probe);
            members[(tenant & 0xff) % 2]++;

            /* To another peer. */
            struct ovs_action_push_tnl elsewhere;
            frames_header(&elsewhere, kinds[k].encap, kinds[k].ipv6, 8);
            zoo_push_set_choice(&elsewhere, 40000 + b);
            push(&elsewhere, 1, 99, &other);
            n_same += (other & 0xff) == (probe & 0xff);
        }
        ck_assert_uint_ge(members[0], 40);
        ck_assert_uint_ge(members[1], 40);
        ck_assert_uint_le(n_same, 20);
        zoo_slot_free(slot);
    }
}
END_TEST

START_TEST(marks_of_use)
{
    struct ovs_action_push_tnl data;
    bool used[ZOO_N_BUCKETS] = { false };
    uint16_t slot = zoo_slot_alloc(0);
    uint32_t rss;

    frames_header(&data, ZOO_ENCAP_VXLAN, false, 7);
    zoo_push_set_choice(&data, slot);
    publish(slot, 40000);
    ck_assert(!zoo_slot_take_used(slot, used));
    push(&data, 1, 5, &rss);
    push(&data, 1, 5 + ZOO_N_BUCKETS, &rss);
    push(&data, 1, 77, &rss);
    /* Also where the choice is Open vSwitch's. */
    zoo_slot_publish(slot, (uint16_t[ZOO_N_BUCKETS]) { 0 });
    push(&data, 1, 127, &rss);

    used[3] = true;
    ck_assert(zoo_slot_take_used(slot, used));
    for (int b = 0; b < ZOO_N_BUCKETS; b++) {
        ck_assert_int_eq(used[b], b == 5 || b == 77 || b == 127);
    }
    ck_assert(!zoo_slot_take_used(slot, used));

    /* Again. */
    push(&data, 1, 77, &rss);
    push(&data, 1, 77, &rss);
    ck_assert(zoo_slot_take_used(slot, used));
    for (int b = 0; b < ZOO_N_BUCKETS; b++) {
        ck_assert_int_eq(used[b], b == 77);
    }
    ck_assert(!zoo_slot_take_used(slot, used));
    zoo_slot_free(slot);
    ck_assert(!zoo_slot_take_used(slot, used));
}
END_TEST

START_TEST(headers_of_other_tunnels)
{
    struct ovs_action_push_tnl data, before;

    frames_header(&data, ZOO_ENCAP_VXLAN, false, 7);
    data.tnl_type = OVS_VPORT_TYPE_GRE;
    before = data;
    ck_assert(!zoo_push_set_choice(&data, 40000));
    ck_assert(!zoo_push_set_probe(&data));
    ck_assert_uint_eq(zoo_push_get_choice(&data), 0);

    /* What says VXLAN and is not. */
    data.tnl_type = OVS_VPORT_TYPE_VXLAN;
    data.header_len = 41;
    ck_assert(!zoo_push_set_choice(&data, 40000));
    data = before;
    data.tnl_type = OVS_VPORT_TYPE_VXLAN;
    ((uint8_t *) data.header)[23] = IPPROTO_TCP;
    ck_assert(!zoo_push_set_choice(&data, 40000));
    ((uint8_t *) data.header)[12] = 0x81;
    ck_assert(!zoo_push_set_choice(&data, 40000));

    /* No room for one more Geneve option. */
    frames_header(&data, ZOO_ENCAP_GENEVE, true, 7);
    data.header_len = sizeof data.header;
    ck_assert(!zoo_push_set_probe(&data));
}
END_TEST

/* Slots. */

START_TEST(all_slots)
{
    static bool seen[ZOO_SLOT_MAX + 1];
    uint16_t slot;

    for (int i = 0; i < ZOO_SLOT_MAX; i++) {
        slot = zoo_slot_alloc(i);
        unit_assert(slot >= 1 && slot <= ZOO_SLOT_MAX && !seen[slot],
                    "slot %u", slot);
        seen[slot] = true;
        ck_assert_uint_eq(zoo_slot_count(), i + 1);
    }
    ck_assert_uint_eq(zoo_slot_alloc(0), 0);
    zoo_slot_free(4711);
    ck_assert_uint_eq(zoo_slot_alloc(0), 4711);
    ck_assert_uint_eq(zoo_slot_alloc(0), 0);
    ck_assert_uint_eq(zoo_slot_count(), ZOO_SLOT_MAX);
}
END_TEST

/* One that was just freed comes again last. */
START_TEST(slots_rest)
{
    uint16_t first = zoo_slot_alloc(0);

    zoo_slot_free(first);
    for (int i = 1; i < ZOO_SLOT_MAX; i++) {
        uint16_t slot = zoo_slot_alloc(0);

        unit_assert(slot != first, "slot %u after %d others", slot, i);
        zoo_slot_free(slot);
    }
    ck_assert_uint_eq(zoo_slot_alloc(0), first);
}
END_TEST

/* Pop. */

static struct dp_packet *
pop(enum zoo_encap encap, struct dp_packet *packet)
{
    return (encap == ZOO_ENCAP_VXLAN ? netdev_vxlan_pop_header(packet)
            : netdev_geneve_pop_header(packet));
}

/* Returns true if the probe with the header of 'data' was taken, and otherwise
 * stores whether it went on as a tenant's packet into '*passed'. */
static bool
is_taken(enum zoo_encap encap, const struct ovs_action_push_tnl *data,
         bool *passed)
{
    struct dp_packet *packet = frames_probe(data, 50000, "probe", 5);
    struct zoo_rx rx;

    packet = pop(encap, packet);
    *passed = packet != NULL;
    dp_packet_delete(packet);
    bool taken = zoo_pop_taken();
    ck_assert_int_eq(zoo_rx_recv(&rx), taken);
    ck_assert(!taken || !*passed);
    return taken;
}

START_TEST(probes_are_taken)
{
    zoo_pop_enable(true);
    for (size_t k = 0; k < N_KINDS; k++) {
        struct ovs_action_push_tnl data;
        struct zoo_rx rx;

        frames_header(&data, kinds[k].encap, kinds[k].ipv6, 7);
        ck_assert(zoo_push_set_probe(&data));
        for (int i = 1; i <= 3; i++) {
            ck_assert_ptr_null(pop(kinds[k].encap,
                                   frames_probe(&data, 50000 + i, "probe",
                                                i)));
        }
        ck_assert_uint_eq(zoo_pop_taken(), 3);
        ck_assert_uint_eq(zoo_pop_taken(), 0);
        for (int i = 1; i <= 3; i++) {
            ck_assert(zoo_rx_recv(&rx));
            ck_assert_int_eq(rx.encap, kinds[k].encap);
            ck_assert_uint_eq(ntohs(rx.tp_src), 50000 + i);
            ck_assert_uint_eq(ntohs(rx.tp_dst), kinds[k].encap
                              == ZOO_ENCAP_VXLAN ? 4789 : 6081);
            ck_assert_uint_eq(ntohll(rx.tun_id), 123);
            ck_assert_uint_eq(rx.len, i);
            ck_assert_mem_eq(rx.body, "probe", i);
            ck_assert_uint_eq(rx.eth_dst.ea[5], 2);
            if (kinds[k].ipv6) {
                ck_assert_uint_eq(rx.src.s6_addr[0], 0xfd);
                ck_assert_uint_eq(rx.src.s6_addr[15], 1);
                ck_assert_uint_eq(rx.dst.s6_addr[15], 7);
            } else {
                ck_assert_uint_eq(ntohl(in6_addr_get_mapped_ipv4(&rx.src)),
                                  0x0a000101);
                ck_assert_uint_eq(ntohl(in6_addr_get_mapped_ipv4(&rx.dst)),
                                  0x0a000207);
            }
        }
        ck_assert(!zoo_rx_recv(&rx));
    }
}
END_TEST

/* What is longer than any probe is cut. */
START_TEST(long_probes)
{
    uint8_t body[2 * ZOO_PROBE_MAX_LEN];
    struct ovs_action_push_tnl data;
    struct zoo_rx rx;

    zoo_pop_enable(true);
    memset(body, 0x5a, sizeof body);
    frames_header(&data, ZOO_ENCAP_VXLAN, false, 7);
    zoo_push_set_probe(&data);
    pop(ZOO_ENCAP_VXLAN, frames_probe(&data, 50000, body, sizeof body));
    ck_assert(zoo_rx_recv(&rx));
    ck_assert_uint_eq(rx.len, ZOO_PROBE_MAX_LEN);
    ck_assert_mem_eq(rx.body, body, ZOO_PROBE_MAX_LEN);
}
END_TEST

/* Anything less than a well-marked probe is what it is for Open vSwitch: a
 * packet of a tenant, or a bad one. */
START_TEST(others_are_not_taken)
{
    for (size_t k = 0; k < N_KINDS; k++) {
        enum zoo_encap encap = kinds[k].encap;
        struct ovs_action_push_tnl good, data;
        struct dp_packet *packet;
        bool passed;

        frames_header(&good, encap, kinds[k].ipv6, 7);
        uint8_t *tunnel = (uint8_t *) data.header + good.header_len - 8;
        zoo_pop_enable(true);

        /* A tenant's frame that looks like a probe inside. */
        data = good;
        ck_assert(!is_taken(encap, &data, &passed) && passed);

        zoo_push_set_probe(&good);
        data = good;
        ck_assert(is_taken(encap, &data, &passed));

        /* Another reserved flag, or option, beside the mark. */
        if (encap == ZOO_ENCAP_VXLAN) {
            for (int bit = 0; bit < 64; bit++) {
                data = good;
                tunnel[bit / 8] ^= 0x80 >> bit % 8;
                unit_assert(is_taken(encap, &data, &passed)
                            == (bit >= 32 && bit < 56), "bit %d", bit);
                unit_assert(bit == 1 ? passed : !passed, "bit %d", bit);
            }
        } else {
            for (int bit = 0; bit < 32; bit++) {
                data = good;
                tunnel[8 + bit / 8] ^= 0x80 >> bit % 8;
                /* The reserved bits of an option are ignored. */
                unit_assert(is_taken(encap, &data, &passed)
                            == (bit >= 24 && bit < 27), "bit %d", bit);
            }
            data = good;
            memset((uint8_t *) data.header + data.header_len, 0, 4);
            data.header_len += 4;
            tunnel[0]++;
            ck_assert(!is_taken(encap, &data, &passed));
        }

        /* Another frame inside, or a part of one. */
        packet = frames_probe(&good, 50000, "probe", 5);
        ((uint8_t *) dp_packet_data(packet))[good.header_len + 5] ^= 1;
        dp_packet_delete(pop(encap, packet));
        packet = frames_probe(&good, 50000, "probe", 5);
        ((uint8_t *) dp_packet_data(packet))[good.header_len + 13] ^= 1;
        dp_packet_delete(pop(encap, packet));
        for (size_t size = 0; size < ETH_HEADER_LEN; size++) {
            packet = frames_probe(&good, 50000, "probe", 5);
            dp_packet_set_size(packet, good.header_len + size);
            frames_parse(packet);
            dp_packet_delete(pop(encap, packet));
        }
        ck_assert_uint_eq(zoo_pop_taken(), 0);

        /* While the feature is off. */
        zoo_pop_enable(false);
        data = good;
        ck_assert(!is_taken(encap, &data, &passed));
        /* Geneve's critical options are refused by flow translation. */
        ck_assert_int_eq(passed, encap == ZOO_ENCAP_GENEVE);
    }
}
END_TEST

/* What the datapath looks at in a probe, and a number. */
struct body {
    uint8_t version, type;
    uint16_t number;
    uint32_t pad[3];
    ovs_32aligned_be64 session;
};

#define SESSION UINT64_C(0x123456789abcdef0)

/* Lets the datapath take 'n' probes of 'type' and 'session', numbered from
 * 'first'. */
static void
take_with(uint64_t session, uint8_t type, uint16_t first, unsigned int n)
{
    struct ovs_action_push_tnl data;

    frames_header(&data, ZOO_ENCAP_VXLAN, false, 7);
    zoo_push_set_probe(&data);
    for (unsigned int i = 0; i < n; i++) {
        struct body body = { ZOO_PROBE_VERSION, type, first + i, { 0 },
                             { 0, 0 } };

        put_32aligned_be64(&body.session, htonll(session));
        ck_assert_ptr_null(pop(ZOO_ENCAP_VXLAN,
                               frames_probe(&data, 50000, &body,
                                            sizeof body)));
    }
    /* What does not fit is no drop of a tenant's packet. */
    ck_assert_uint_eq(zoo_pop_taken(), n);
}

static void
take(uint8_t type, uint16_t first, unsigned int n)
{
    take_with(SESSION, type, first, n);
}

/* Receives the next probe, which must be number 'number' of 'type'. */
static void
receive(uint8_t type, uint16_t number)
{
    struct body body;
    struct zoo_rx rx;

    ck_assert(zoo_rx_recv(&rx));
    ck_assert_uint_eq(rx.len, sizeof body);
    memcpy(&body, rx.body, sizeof body);
    ck_assert_uint_eq(body.type, type);
    ck_assert_uint_eq(body.number, number);
}

/* Nobody reads: each queue is bounded, and neither takes the other's room. */
START_TEST(queues_are_bounded)
{
    const uint8_t other[][2] = {
        { ZOO_PROBE_VERSION, 0 },
        { ZOO_PROBE_VERSION, ZOO_PROBE_REPORT + 1 },
        { ZOO_PROBE_VERSION + 1, ZOO_PROBE_REPORT },
    };
    struct ovs_action_push_tnl data;
    struct zoo_rx rx;

    zoo_pop_enable(true);
    zoo_rx_expect(SESSION);
    take(ZOO_PROBE_REQUEST, 0, 10000);
    ck_assert_uint_eq(zoo_rx_dropped(ZOO_RX_REQUESTS), 10000 - 3072);

    /* One source leaves room for another. */
    frames_header(&data, ZOO_ENCAP_VXLAN, true, 7);
    zoo_push_set_probe(&data);
    for (int i = 0; i < 1000; i++) {
        pop(ZOO_ENCAP_VXLAN, frames_probe(&data, 50000, "probe", 5));
    }
    ck_assert_uint_eq(zoo_pop_taken(), 1000);
    ck_assert_uint_eq(zoo_rx_dropped(ZOO_RX_REQUESTS), 10000 - 3072);
    ck_assert_uint_eq(zoo_rx_dropped(ZOO_RX_REPORTS), 0);

    /* Neither do those that say to be something else, or are too short to
     * say. */
    frames_header(&data, ZOO_ENCAP_VXLAN, false, 7);
    zoo_push_set_probe(&data);
    for (size_t i = 0; i < ARRAY_SIZE(other); i++) {
        pop(ZOO_ENCAP_VXLAN, frames_probe(&data, 50000, other[i], 2));
    }
    pop(ZOO_ENCAP_VXLAN, frames_probe(&data, 50000, other[0], 1));
    pop(ZOO_ENCAP_VXLAN, frames_probe(&data, 50000, other[0], 0));
    ck_assert_uint_eq(zoo_rx_dropped(ZOO_RX_REQUESTS), 10005 - 3072);
    ck_assert_uint_eq(zoo_pop_taken(), 5);

    take(ZOO_PROBE_REPORT, 0, 3000);
    ck_assert_uint_eq(zoo_rx_dropped(ZOO_RX_REQUESTS), 10005 - 3072);
    ck_assert_uint_eq(zoo_rx_dropped(ZOO_RX_REPORTS), 3000 - 2048);

    /* Both make progress. */
    for (int i = 0; i < 2048; i++) {
        receive(ZOO_PROBE_REPORT, i);
        receive(ZOO_PROBE_REQUEST, i);
    }
    for (int i = 2048; i < 3072; i++) {
        receive(ZOO_PROBE_REQUEST, i);
    }
    for (int i = 0; i < 1000; i++) {
        ck_assert(zoo_rx_recv(&rx));
        ck_assert_uint_eq(rx.n_lost, 0);
    }
    ck_assert(!zoo_rx_recv(&rx));

    /* There is room again. */
    take(ZOO_PROBE_REQUEST, 7, 1);
    receive(ZOO_PROBE_REQUEST, 7);
    take(ZOO_PROBE_REQUEST, 7, 1);
    ck_assert(zoo_rx_recv(&rx));
    ck_assert_uint_eq(rx.n_lost, 10005 - 3072);
    take(ZOO_PROBE_REPORT, 8, 1);
    receive(ZOO_PROBE_REPORT, 8);
    ck_assert(!zoo_rx_recv(&rx));
    zoo_rx_expect_no_more(SESSION);
}
END_TEST

/* Reports that nobody has asked for take no room. */
START_TEST(forged_reports)
{
    unsigned int before = zoo_rx_unexpected();
    struct ovs_action_push_tnl data;
    struct zoo_rx rx;

    zoo_pop_enable(true);
    zoo_rx_expect(SESSION + 1);
    zoo_rx_expect(SESSION);
    take_with(SESSION - 1, ZOO_PROBE_REPORT, 0, 5000);
    take_with(~SESSION, ZOO_PROBE_REPORT, 0, 5000);
    ck_assert_uint_eq(zoo_rx_unexpected() - before, 10000);
    take(ZOO_PROBE_REPORT, 0, 2048);
    take_with(SESSION + 1, ZOO_PROBE_REPORT, 0, 1);
    ck_assert_uint_eq(zoo_rx_dropped(ZOO_RX_REPORTS), 1);
    for (int i = 0; i < 2048; i++) {
        receive(ZOO_PROBE_REPORT, i);
    }
    ck_assert(!zoo_rx_recv(&rx));

    /* One that has no session, or none in full, is no report. */
    take_with(0, ZOO_PROBE_REPORT, 3, 1);
    receive(ZOO_PROBE_REPORT, 3);
    struct body body = { ZOO_PROBE_VERSION, ZOO_PROBE_REPORT, 4, { 0 },
                         { 0, 0 } };
    frames_header(&data, ZOO_ENCAP_VXLAN, false, 7);
    zoo_push_set_probe(&data);
    pop(ZOO_ENCAP_VXLAN, frames_probe(&data, 50000, &body, sizeof body - 1));
    ck_assert(zoo_rx_recv(&rx));
    ck_assert_uint_eq(zoo_pop_taken(), 1);

    /* A session that is over. */
    zoo_rx_expect_no_more(SESSION);
    take(ZOO_PROBE_REPORT, 0, 1);
    ck_assert(!zoo_rx_recv(&rx));
    take_with(SESSION + 1, ZOO_PROBE_REPORT, 9, 1);
    receive(ZOO_PROBE_REPORT, 9);
    zoo_rx_expect_no_more(SESSION + 1);
    ck_assert_uint_eq(zoo_rx_unexpected() - before, 10001);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("datapath");
    TCase *tc;

    tc = unit_case(s, "push", 60);
    tcase_add_test(tc, slot_decides);
    tcase_add_test(tc, packets_without_hash);
    tcase_add_test(tc, literal_ports);
    tcase_add_test(tc, bonds_follow_the_port);
    tcase_add_test(tc, marks_of_use);
    tcase_add_test(tc, headers_of_other_tunnels);

    tc = unit_case(s, "slots", 60);
    tcase_add_test(tc, all_slots);
    tcase_add_test(tc, slots_rest);

    tc = unit_case(s, "pop", 60);
    tcase_add_test(tc, probes_are_taken);
    tcase_add_test(tc, long_probes);
    tcase_add_test(tc, others_are_not_taken);
    tcase_add_test(tc, queues_are_bounded);
    tcase_add_test(tc, forged_reports);

    return unit_run(s);
}
