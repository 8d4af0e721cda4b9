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
/* Which tunnels of the gateway ZooRoute probes: its engine and the gateway's
 * own code, with a pipeline that this file is. */

#include <config.h>

#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "csum.h"
#include "dp-packet.h"
#include "flow.h"
#include "ofproto-zoo/zoo-gateway-limits.h"
#include "ofproto-zoo/zooroute-private.h"
#include "ofproto-zoo/zooroute.h"
#include "openvswitch/vlog.h"
#include "ovs-ext/zoo-datapath.h"
#include "ovs-ext/zoo-quarantine.h"
#include "ovs-rcu.h"
#include "ovs-thread.h"
#include "p4/gateway-fragment.h"
#include "p4/gateway-headers.h"
#include "p4/gateway-pipeline.h"
#include "p4/gateway-state.h"
#include "timeval.h"
#include "util.h"

/* So many more than there are slots, and so many that give theirs up. */
#define N_WAITING 233
#define N_GIVEN_UP 1000
#define N_TUNNELS (ZOO_SLOT_MAX + N_WAITING)
#define TOO_LONG 300000         /* For anything, ms. */
#define AFTER_ALL (10LL * TOO_LONG)     /* When the test has ended, ms. */

/* The pipeline. */

static bool used[ZOO_GATEWAY_N_VTEPS];
static uint32_t cells[3][ZOO_GATEWAY_N_VTEPS];
static int path_tables[ZOO_GATEWAY_N_VTEPS];
static uint16_t candidate_ports[ZOO_GATEWAY_N_CANDIDATES];
static atomic_bool link_up = false;

bool
gateway_send(unsigned int port OVS_UNUSED, const void *data OVS_UNUSED,
             size_t len OVS_UNUSED)
{
    return true;
}

/* What fragments have been sent. */
static struct sent {
    size_t len;
    uint8_t data[2048];
} sent[16];
static size_t n_sent;

bool
gateway_reply(unsigned int port OVS_UNUSED, const void *data, size_t len)
{
    if (n_sent < ARRAY_SIZE(sent) && len <= sizeof sent->data) {
        sent[n_sent].len = len;
        memcpy(sent[n_sent++].data, data, len);
    }
    return true;
}

bool
gateway_port_get_info(unsigned int port OVS_UNUSED,
                      struct gateway_port_info *info)
{
    memset(info, 0, sizeof *info);
    atomic_read(&link_up, &info->link_up);
    return true;
}

void
gateway_path_update(const struct gateway_update *update)
{
    cells[update->path_table][update->destination] = update->value;
}

bool
gateway_path_take_used(uint32_t destination)
{
    bool was = used[destination];

    used[destination] = false;
    return was;
}

void
gateway_path_mark_used(uint32_t destination)
{
    used[destination] = true;
}

/* By which candidates packets leave, to whomever. */
static uint32_t leave_by = UINT32_MAX;

void
gateway_use_turn(void)
{
}

uint32_t
gateway_use_get(const struct in6_addr *remote OVS_UNUSED)
{
    return leave_by;
}

bool
gateway_vtep_add(uint32_t id, const struct gateway_vtep *vtep)
{
    path_tables[id] = vtep->path_table;
    return true;
}

void
gateway_vtep_delete(uint32_t id)
{
    path_tables[id] = -1;
}

bool
gateway_route_add(uint32_t vni OVS_UNUSED,
                  const struct in6_addr *address OVS_UNUSED,
                  unsigned int plen OVS_UNUSED,
                  const struct gateway_next *next OVS_UNUSED)
{
    return true;
}

void
gateway_route_delete(uint32_t vni OVS_UNUSED,
                     const struct in6_addr *address OVS_UNUSED,
                     unsigned int plen OVS_UNUSED)
{
}

void
gateway_set_candidate_ports(const uint16_t ports[ZOO_GATEWAY_N_CANDIDATES])
{
    memcpy(candidate_ports, ports, sizeof candidate_ports);
}

/* Tunnels, all through one next hop. */

#define LOCAL 0x0a000001u
#define NEXT_HOP 0x0a0000feu
#define REMOTE 0x0b000000u

static struct gateway_tunnel *tunnels[N_TUNNELS];

static struct in6_addr
address(uint32_t ip)
{
    struct in6_addr a;

    in6_addr_set_mapped_ipv4(&a, htonl(ip));
    return a;
}

/* The next hop answers. */
static void
learn_next_hop(const struct gateway_interface *iface)
{
    const struct eth_addr mac = ETH_ADDR_C(02,00,00,00,00,fe);
    uint64_t stub[64];
    struct dp_packet packet;
    struct gateway_punt punt;

    dp_packet_use_stub(&packet, stub, sizeof stub);
    compose_arp(&packet, ARP_OP_REPLY, mac, iface->mac, false,
                htonl(NEXT_HOP), htonl(LOCAL));
    punt = (struct gateway_punt) {
        .port = iface->port,
        .data = dp_packet_data(&packet),
        .len = dp_packet_size(&packet),
    };
    gateway_neighbors_receive(&punt);
    dp_packet_uninit(&packet);
}

static void
set_up(void)
{
    struct gateway_interface *iface = xzalloc(sizeof *iface);

    iface->name = xstrdup("up0");
    iface->port = 1;
    iface->mtu = 1500;
    iface->mac = (struct eth_addr) ETH_ADDR_C(02,00,00,00,00,01);
    iface->n_addresses = 1;
    iface->addresses = xcalloc(1, sizeof *iface->addresses);
    iface->addresses[0].address = address(LOCAL);
    iface->addresses[0].plen = 120;
    iface->next_hops[0] = address(NEXT_HOP);
    gateway_tunnels_init();
    ovs_mutex_lock(&gateway_mutex);
    hmap_insert(&gateway_interfaces, &iface->node, 0);
    for (uint32_t i = 0; i < N_TUNNELS; i++) {
        struct in6_addr remote = address(REMOTE + i);

        tunnels[i] = gateway_tunnel_add(&remote);
        tunnels[i]->path_table = i % 2 ? ZOO_GATEWAY_BITMAP
                                 : ZOO_GATEWAY_INDEX;
        gateway_tunnel_resolve(tunnels[i]);
    }
    ovs_mutex_unlock(&gateway_mutex);
    learn_next_hop(iface);
    ovs_mutex_lock(&gateway_mutex);
    for (uint32_t i = 0; i < N_TUNNELS; i++) {
        gateway_tunnel_resolve(tunnels[i]);
        ck_assert(tunnels[i]->installed);
        ck_assert_int_eq(path_tables[tunnels[i]->id], ZOO_GATEWAY_PLAIN);
    }
    ovs_mutex_unlock(&gateway_mutex);
}

static void
enable(bool enabled)
{
    struct zooroute_config config = ZOOROUTE_CONFIG_DEFAULT;

    config.enabled = enabled;
    config.shared_candidates = true;
    config.cpu_limit = 100;
    config.seed = 1;
    free(zooroute_set_config(&config));
}

/* The gateway's loop, once. */
static void
run(void)
{
    gateway_tunnels_changed();
    gateway_tunnels_run();
    zooroute_run();
}

/* Packets go to tunnels 'first' to 'last'. */
static void
use(uint32_t first, uint32_t last)
{
    for (uint32_t i = first; i <= last; i++) {
        used[tunnels[i]->id] = true;
    }
}

/* All tunnels are in use for as long as the test takes, however slow. */
static void
keep_using(void)
{
    ovs_mutex_lock(&gateway_mutex);
    for (uint32_t i = 0; i < N_TUNNELS; i++) {
        tunnels[i]->last_used = time_msec() + AFTER_ALL;
    }
    ovs_mutex_unlock(&gateway_mutex);
}

static uint32_t
home(const struct gateway_tunnel *t)
{
    return t->path_table == ZOO_GATEWAY_BITMAP ? UINT32_MAX : 0;
}

/* Returns how many tunnels have a slot, which no other has. */
static unsigned int
count_slots(void)
{
    static bool seen[ZOO_SLOT_MAX + 1];
    unsigned int n = 0;

    memset(seen, 0, sizeof seen);
    for (uint32_t i = 0; i < N_TUNNELS; i++) {
        uint16_t slot = tunnels[i]->slot;

        unit_assert(!slot || !seen[slot], "slot %u of tunnel %u twice", slot,
                    i);
        seen[slot] = true;
        n += slot != 0;
    }
    return n;
}

/* Returns how many slots ZooRoute has. */
static unsigned int
n_slots(void)
{
    unsigned int n;

    ovs_mutex_lock(&zooroute_mutex);
    n = zoo_slot_count();
    ovs_mutex_unlock(&zooroute_mutex);
    return n;
}

/* Has the gateway go on until ZooRoute has so many slots. */
static void
wait_for_slots(unsigned int n)
{
    long long int until = time_msec() + TOO_LONG;

    while (n_slots() != n) {
        unit_assert(time_msec() < until, "%u slots instead of %u",
                    n_slots(), n);
        ovsrcu_quiesce();
        run();
        count_slots();
        xnanosleep(MSEC);
    }
}

/* Each tunnel that 'on' has its path table in use, the others hashes. */
static void
check_path_tables(bool (*on)(const struct gateway_tunnel *))
{
    for (uint32_t i = 0; i < N_TUNNELS; i++) {
        const struct gateway_tunnel *t = tunnels[i];

        unit_assert(path_tables[t->id] == (on(t) ? t->path_table
                                           : ZOO_GATEWAY_PLAIN),
                    "tunnel %u: path table %d", i, path_tables[t->id]);
        unit_assert(!on(t) || cells[t->path_table][t->id] == home(t),
                    "tunnel %u: cell 0x%x", i, cells[t->path_table][t->id]);
    }
}

static bool
all(const struct gateway_tunnel *t OVS_UNUSED)
{
    return true;
}

static bool
none(const struct gateway_tunnel *t OVS_UNUSED)
{
    return false;
}

static bool
with_slot(const struct gateway_tunnel *t)
{
    return t->slot != 0;
}

/* Tunnels have all candidates before packets go there, and ask for a slot only
 * then. */
START_TEST(on_demand)
{
    set_up();
    run();
    check_path_tables(none);
    enable(true);
    run();
    check_path_tables(all);
    ck_assert_uint_ne(candidate_ports[31], 0);
    ck_assert_uint_eq(count_slots(), 0);
    ck_assert_uint_eq(n_slots(), 0);

    use(10, 19);
    run();
    ck_assert_uint_eq(count_slots(), 10);
    for (uint32_t i = 10; i < 20; i++) {
        ck_assert_uint_ne(tunnels[i]->slot, 0);
    }
    check_path_tables(all);
}
END_TEST

static struct zooroute_key
key_of(const struct gateway_tunnel *t)
{
    return (struct zooroute_key) {
        .local = t->vtep.local,
        .remote = t->remote,
        .dst_port = htons(4789),
    };
}

/* Returns the candidates of 't' that ZooRoute takes to be in use. */
static uint32_t
in_use(const struct gateway_tunnel *t)
{
    struct zooroute_key key = key_of(t);
    const struct zooroute_peer *peer;
    uint32_t candidates = 0;

    ovs_mutex_lock(&zooroute_mutex);
    peer = zooroute_find(&key);
    if (peer) {
        candidates = zoo_peer_in_use(&peer->peer);
    }
    ovs_mutex_unlock(&zooroute_mutex);
    return candidates;
}

/* Has packets go to 't' by candidates 'by', until those that ZooRoute takes to be
 * in use are 'expected'. */
static void
wait_for_use(const struct gateway_tunnel *t, uint32_t by, uint32_t expected)
{
    long long int until = time_msec() + 60 * 1000;

    leave_by = by;
    while (in_use(t) != expected) {
        unit_assert(time_msec() < until, "0x%x in use instead of 0x%x",
                    in_use(t), expected);
        used[t->id] = true;
        gateway_tunnels_run();
        zooroute_run();
        ovsrcu_quiesce();
        xnanosleep(MSEC);
    }
    leave_by = UINT32_MAX;
}

/* Only the candidates are in use that packets leave by. */
START_TEST(use_of_candidates)
{
    for (unsigned int i = 11; i <= 12; i++) {
        struct gateway_tunnel *t = tunnels[i];

        ck_assert_int_eq(t->vtep.path_table, (i % 2 ? ZOO_GATEWAY_BITMAP
                                              : ZOO_GATEWAY_INDEX));
        wait_for_use(t, 1u << 5, 1u << 5);
        wait_for_use(t, 1u << 31 | 1u << 6, 1u << 31 | 1u << 6);
        wait_for_use(t, UINT32_MAX, UINT32_MAX);
        /* A packet that has not been seen to leave might be by any. */
        wait_for_use(t, 1, 1);
        wait_for_use(t, 0, UINT32_MAX);
    }
}
END_TEST

/* Sets the machines that all candidates of 't' are known to lead to. */
static void
lead_to(const struct gateway_tunnel *t, unsigned int n_machines)
{
    struct zooroute_key key = key_of(t);
    struct zooroute_peer *peer;

    ovs_mutex_lock(&zooroute_mutex);
    peer = zooroute_find(&key);
    for (unsigned int i = 0; i < peer->peer.table.n; i++) {
        peer->peer.candidates[i].group = 1 + i % n_machines;
    }
    ovs_mutex_unlock(&zooroute_mutex);
}

/* A tunnel with several machines at its other end has a bitmap, unless it is
 * configured otherwise. */
START_TEST(several_machines)
{
    struct gateway_tunnel *t = tunnels[14], *configured = tunnels[16];

    t->any_path_table = true;
    lead_to(t, 1);
    run();
    ck_assert_uint_eq(t->n_backends, 1);
    ck_assert_int_eq(path_tables[t->id], ZOO_GATEWAY_INDEX);
    lead_to(t, 3);
    lead_to(configured, 2);
    run();
    ck_assert_uint_eq(t->n_backends, 3);
    ck_assert_uint_eq(t->groups[31], 2);
    ck_assert_uint_eq(configured->n_backends, 2);
    ck_assert_int_eq(path_tables[t->id], ZOO_GATEWAY_BITMAP);
    ck_assert_uint_eq(cells[t->path_table][t->id], UINT32_MAX);
    ck_assert_int_eq(path_tables[configured->id], ZOO_GATEWAY_INDEX);
    lead_to(t, 1);
    lead_to(configured, 1);
    run();
    ck_assert_int_eq(path_tables[t->id], ZOO_GATEWAY_INDEX);
    ck_assert_uint_eq(cells[ZOO_GATEWAY_BITMAP][t->id], 0);
    t->any_path_table = false;
}
END_TEST

/* A slot is free only when no tunnel has it any more. */
START_TEST(quarantine)
{
    struct gateway_tunnel *t = tunnels[10];
    unsigned int n = n_slots();
    uint16_t slot = t->slot;
    struct zooroute_key key = key_of(t);

    zooroute_forget(&key);
    for (int i = 0; i < 100; i++) {
        zooroute_run();
        ovsrcu_quiesce();
        xnanosleep(MSEC);
        ck_assert_uint_eq(n_slots(), n);
    }
    ck_assert_uint_eq(t->slot, slot);
    use(10, 10);
    run();
    ck_assert_uint_ne(t->slot, slot);
    wait_for_slots(n);
}
END_TEST

/* More tunnels in use than there are slots: the others get hashes, until slots
 * come back that have long been unused, and none is used for two. */
START_TEST(too_many)
{
    int tries = 0;
    keep_using();
    do {
        ck_assert_int_lt(tries++, 100);
        run();
    } while (count_slots() < ZOO_SLOT_MAX);
    run();
    ck_assert_uint_eq(count_slots(), ZOO_SLOT_MAX);
    check_path_tables(with_slot);

    uint32_t n = 0;
    for (uint32_t i = 0; i < N_TUNNELS && n < N_GIVEN_UP; i++) {
        if (tunnels[i]->slot) {
            tunnels[i]->last_used = time_msec() - 61 * 1000;
            n++;
        }
    }
    ck_assert_uint_eq(n, N_GIVEN_UP);
    run();
    ck_assert_uint_eq(count_slots(), ZOO_SLOT_MAX - N_GIVEN_UP);
    wait_for_slots(ZOO_SLOT_MAX - N_GIVEN_UP + N_WAITING);
    ck_assert_uint_eq(count_slots(), ZOO_SLOT_MAX - N_GIVEN_UP + N_WAITING);
    check_path_tables(all);
}
END_TEST

/* Nobody answers: hashes, as without ZooRoute. */
START_TEST(legacy)
{
    long long int until = time_msec() + TOO_LONG;
    struct gateway_tunnel *t = tunnels[20];

    enable(false);
    run();
    check_path_tables(none);
    ck_assert_uint_eq(count_slots(), 0);
    wait_for_slots(0);

    atomic_store(&link_up, true);
    enable(true);
    while (path_tables[t->id] != ZOO_GATEWAY_PLAIN || !t->legacy) {
        ck_assert(time_msec() < until);
        use(20, 20);
        gateway_tunnels_run();
        zooroute_run();
        ovsrcu_quiesce();
        xnanosleep(MSEC);
    }
    ck_assert_int_eq(path_tables[tunnels[21]->id], tunnels[21]->path_table);
}
END_TEST

/* A tunnel packet to tunnel 'i' with traffic class 'tos' has been too long: what
 * is in it are 'len' bytes of IPv4 payload, with 'frag' in its header.  Returns
 * false if its sender has to be told. */
static bool
fragment(uint32_t i, uint8_t tos, size_t len, uint16_t frag)
{
    struct dp_packet *packet = dp_packet_new(4096);
    struct gateway_punt punt = { .port = 1 };
    struct ip_header *ip;
    struct eth_header *eth;
    bool done;

    dp_packet_reserve(packet, 128);
    eth = dp_packet_put_zeros(packet, sizeof *eth);
    eth->eth_type = htons(ETH_TYPE_IP);
    ip = dp_packet_put_zeros(packet, sizeof *ip);
    ip->ip_ihl_ver = IP_IHL_VER(5, 4);
    ip->ip_tot_len = htons(sizeof *ip + len);
    ip->ip_id = htons(77);
    ip->ip_frag_off = htons(frag);
    ip->ip_ttl = 9;
    ip->ip_proto = IPPROTO_UDP;
    put_16aligned_be32(&ip->ip_src, htonl(0xc0a80001));
    put_16aligned_be32(&ip->ip_dst, htonl(0xc0a80002));
    ip->ip_csum = csum(ip, sizeof *ip);
    for (size_t j = 0; j < len; j++) {
        uint8_t byte = j * 7 + j / 256;

        dp_packet_put(packet, &byte, 1);
    }
    ovs_mutex_lock(&gateway_mutex);
    gateway_push_outer(packet, &tunnels[i]->vtep, 5, tos, 50000, false);
    ovs_mutex_unlock(&gateway_mutex);
    punt.data = dp_packet_data(packet);
    punt.len = dp_packet_size(packet);
    n_sent = 0;
    done = gateway_fragment(&punt);
    dp_packet_delete(packet);
    return done;
}

/* The fragments that were sent are the payload of 'len' bytes, from byte 'ofs'
 * of the whole on, and have the outer header's class 'tos'. */
static void
check_fragments(size_t len, uint16_t ofs, uint16_t flags, uint8_t tos)
{
    size_t done = 0;

    for (size_t i = 0; i < n_sent; i++) {
        const struct ip_header *outer, *ip;
        const uint8_t *payload;
        size_t n;

        outer = ALIGNED_CAST(const struct ip_header *,
                             sent[i].data + ETH_HEADER_LEN);
        ck_assert_uint_eq(outer->ip_tos, tos);
        ck_assert_uint_le(ntohs(outer->ip_tot_len), 1500);
        ck_assert_uint_eq(ntohs(outer->ip_tot_len) + ETH_HEADER_LEN,
                          sent[i].len);
        ip = ALIGNED_CAST(const struct ip_header *,
                          sent[i].data + 2 * ETH_HEADER_LEN + IP_HEADER_LEN
                          + UDP_HEADER_LEN + sizeof(struct vxlanhdr));
        n = ntohs(ip->ip_tot_len) - IP_HEADER_LEN;
        payload = (const uint8_t *) (ip + 1);
        ck_assert_uint_eq(csum(ip, sizeof *ip), 0);
        ck_assert_uint_eq(ntohs(ip->ip_id), 77);
        ck_assert_uint_eq(ip->ip_ttl, 9);
        ck_assert_uint_eq(ntohs(ip->ip_frag_off),
                          ((ofs + done) / 8)
                          | (done + n < len ? IP_MORE_FRAGMENTS : flags));
        for (size_t j = 0; j < n; j++) {
            size_t k = done + j;

            ck_assert_uint_eq(payload[j], (uint8_t) (k * 7 + k / 256));
        }
        done += n;
    }
    ck_assert_uint_eq(done, len);
}

/* Packets that are too long leave in fragments, if they may. */
START_TEST(fragments)
{
    uint32_t id = tunnels[30]->id;

    used[id] = false;
    ck_assert(fragment(30, 0xba, 1500, 0));
    check_fragments(1500, 0, 0, 0xba);
    ck_assert_uint_eq(n_sent, 2);
    ck_assert(used[id]);

    /* One that is a fragment already, and not the last. */
    ck_assert(fragment(30, 0, 2960, IP_MORE_FRAGMENTS | 185));
    check_fragments(2960, 185 * 8, IP_MORE_FRAGMENTS, 0);
    ck_assert_uint_eq(n_sent, 3);

    /* It would end beyond what IPv4 can have: dropped. */
    ck_assert(fragment(30, 0, 1600, 0x1fff));
    ck_assert_uint_eq(n_sent, 0);

    /* Its sender has to be told. */
    ck_assert(!fragment(30, 0, 1500, IP_DONT_FRAGMENT));
    ck_assert_uint_eq(n_sent, 0);
}
END_TEST

/* A flood does not take more time than 10,000 a second do, and what was saved up:
 * 1,000, and as many since that was counted.  However fast this machine is. */
START_TEST(fragments_limited)
{
    long long int start = time_msec();
    unsigned int n = 0;

    for (int i = 0; i < 100000 && time_msec() - start < 400; i++) {
        fragment(30, 0, 1500, 0);
        n += n_sent > 0;
    }
    ck_assert_uint_ge(n, 100);
    ck_assert_uint_le(n, 2000 + (time_msec() - start + 1) * 10);
}
END_TEST

int
main(int argc OVS_UNUSED, char *argv[])
{
    Suite *s = suite_create("gateway-paths");
    TCase *tc;

    ovs_set_program_name(argv[0], "1");
    vlog_set_levels(NULL, VLF_ANY_DESTINATION, VLL_OFF);

    /* One test begins where the one before it ends. */
    setenv("CK_FORK", "no", true);
    zooroute_init();
    tc = unit_case(s, "on demand", 120);
    tcase_add_test(tc, on_demand);
    tcase_add_test(tc, use_of_candidates);
    tcase_add_test(tc, several_machines);
    tcase_add_test(tc, quarantine);
    tcase_add_test(tc, too_many);
    tcase_add_test(tc, legacy);
    tcase_add_test(tc, fragments);
    tcase_add_test(tc, fragments_limited);

    int status = unit_run(s);
    zooroute_exit();
    return status;
}
