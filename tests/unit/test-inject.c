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

/* What the switch remembers for injected packets. */

#include <config.h>
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "ovs-ext/zoo-inject.h"
#include "packets.h"
#include "util.h"

static struct zoo_inject_key
make_key(unsigned int port, unsigned int host)
{
    struct zoo_inject_key key;

    memset(&key, 0, sizeof key);
    in6_addr_set_mapped_ipv4(&key.src, htonl(0x0a000000 + host));
    in6_addr_set_mapped_ipv4(&key.dst, htonl(0x0b000000));
    ovs_strzcpy(key.bridge, "br", sizeof key.bridge);
    snprintf(key.port, sizeof key.port, "p%u", port);
    return key;
}

static void
learn(unsigned int port, unsigned int host)
{
    struct zoo_inject_key key = make_key(port, host);
    struct zoo_inject_l2 l2 = { .tci = htons(port) };

    eth_addr_from_uint64(host + 1, &l2.src);
    zoo_inject_learn(&key, &l2);
}

static bool
knows(unsigned int port, unsigned int host)
{
    struct zoo_inject_key key = make_key(port, host);
    struct zoo_inject_l2 l2;

    if (!zoo_inject_lookup(&key, 0, &l2)) {
        return false;
    }
    ck_assert_uint_eq(eth_addr_to_uint64(l2.src), host + 1);
    ck_assert_uint_eq(ntohs(l2.tci), port);
    return true;
}

/* A port with many peers forgets its own, the oldest first. */
START_TEST(test_port)
{
    learn(1, 0);
    for (unsigned int i = 0; i < ZOO_INJECT_PORT_MAX; i++) {
        learn(2, i);
    }
    learn(2, 0);
    for (unsigned int i = 0; i < 10; i++) {
        learn(2, ZOO_INJECT_PORT_MAX + i);
    }
    ck_assert(knows(1, 0) && knows(2, 0));
    for (unsigned int i = 1; i < ZOO_INJECT_PORT_MAX + 10; i++) {
        ck_assert_int_eq(knows(2, i), i > 10);
    }
    zoo_inject_flush();
    ck_assert(!knows(1, 0) && !knows(2, 20));
}
END_TEST

/* Many ports forget what was not seen for longest. */
START_TEST(test_all)
{
    unsigned int n_ports = ZOO_INJECT_MAX / 16;

    for (unsigned int i = 0; i < ZOO_INJECT_MAX; i++) {
        learn(i % n_ports, i / n_ports);
    }
    for (unsigned int port = 0; port < n_ports; port++) {
        for (unsigned int host = 0; host < 16; host++) {
            ck_assert(knows(port, host));
        }
    }
    learn(0, 0);
    learn(n_ports, 0);
    ck_assert(knows(0, 0) && !knows(1, 0) && knows(2, 0)
              && knows(n_ports, 0));
    zoo_inject_flush();
}
END_TEST

/* The latest counts. */
START_TEST(test_change)
{
    struct zoo_inject_key key = make_key(1, 1);
    struct zoo_inject_l2 l2 = { .src = eth_addr_broadcast,
                                .tci = htons(1) };

    learn(1, 1);
    zoo_inject_learn(&key, &l2);
    ck_assert(zoo_inject_lookup(&key, 0, &l2));
    ck_assert(eth_addr_is_broadcast(l2.src));
    key.dst = key.src;
    ck_assert(!zoo_inject_lookup(&key, 0, &l2));
    zoo_inject_flush();
}
END_TEST

/* Tenants in several VLANs of a port may have the same IP addresses. */
START_TEST(test_vlans)
{
    struct zoo_inject_key key = make_key(1, 1);
    struct zoo_inject_l2 l2 = { .tci = htons(VLAN_CFI | 5) };

    zoo_inject_learn(&key, &l2);
    ck_assert(zoo_inject_lookup(&key, 0, &l2));
    ck_assert(zoo_inject_lookup(&key, htons(VLAN_CFI | 5), &l2));
    ck_assert(!zoo_inject_lookup(&key, htons(VLAN_CFI | 6), &l2));

    l2.tci = htons(VLAN_CFI | 6);
    zoo_inject_learn(&key, &l2);
    ck_assert(!zoo_inject_lookup(&key, 0, &l2));
    ck_assert(!zoo_inject_lookup(&key, htons(VLAN_CFI | 5), &l2));
    ck_assert(zoo_inject_lookup(&key, htons(VLAN_CFI | 6), &l2));
    zoo_inject_flush();
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("inject");
    TCase *tc = unit_case(suite, "addresses", 30);

    tcase_add_test(tc, test_port);
    tcase_add_test(tc, test_all);
    tcase_add_test(tc, test_change);
    tcase_add_test(tc, test_vlans);
    return unit_run(suite);
}
