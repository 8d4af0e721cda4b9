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

/* Learned peers beyond what there is room for, as flow translation sees them. */

#include <config.h>
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "ofproto-zoo/zooroute-private.h"
#include "packets.h"
#include "util.h"

#define MAX_PEERS 4

static struct zooroute_output
output(uint32_t i)
{
    struct zooroute_output out;

    memset(&out, 0, sizeof out);
    in6_addr_set_mapped_ipv4(&out.key.local, htonl(0x0a010001));
    in6_addr_set_mapped_ipv4(&out.key.remote, htonl(0x0a000000 + i));
    out.key.dst_port = htons(4789);
    out.mode = ZOO_FLOW_DEFAULT;
    out.iface = "vxlan0";
    out.learned = true;
    return out;
}

static void
setup(void)
{
    struct zooroute_config config = ZOOROUTE_CONFIG_DEFAULT;

    zooroute_init();
    config.enabled = true;
    config.max_peers = MAX_PEERS;
    ck_assert_ptr_null(zooroute_set_config(&config));
}

static void
teardown(void)
{
    struct zooroute_config config = ZOOROUTE_CONFIG_DEFAULT;

    ck_assert_ptr_null(zooroute_set_config(&config));
}

static uint16_t
choose(uint32_t i)
{
    struct zooroute_output out = output(i);

    zooroute_choose(&out);
    return out.choice;
}

/* Who finds no room does not wait for those who hold the mutex, and counts
 * once. */
START_TEST(no_room)
{
    long long int last;

    for (uint32_t i = 0; i < MAX_PEERS; i++) {
        ck_assert_uint_ne(choose(i), 0);
    }
    ovs_mutex_lock(&zooroute_mutex);
    for (int n = 0; n < 10; n++) {
        for (uint32_t i = 0; i < MAX_PEERS; i++) {
            ck_assert_uint_ne(choose(i), 0);
        }
        for (uint32_t i = MAX_PEERS; i < 2 * MAX_PEERS; i++) {
            ck_assert_uint_eq(choose(i), 0);
        }
    }
    ovs_mutex_unlock(&zooroute_mutex);
    ck_assert_uint_eq(zooroute_n_refused(&last), MAX_PEERS);

    /* One retires: another one finds room. */
    struct zooroute_output out = output(0);
    ovs_mutex_lock(&zooroute_mutex);
    zooroute_retire(zooroute_find(&out.key));
    ovs_mutex_unlock(&zooroute_mutex);
    ck_assert_uint_ne(choose(MAX_PEERS), 0);
    ck_assert_uint_eq(choose(0), 0);
    ck_assert_uint_eq(zooroute_n_refused(&last), MAX_PEERS + 1);
}
END_TEST

/* The status has all of them once. */
START_TEST(status_of_all)
{
    struct smap status = SMAP_INITIALIZER(&status);
    struct smap statistics = SMAP_INITIALIZER(&statistics);
    struct zooroute_config config = ZOOROUTE_CONFIG_DEFAULT;
    struct zooroute_peer_status *peers;
    bool seen[300] = { false };
    size_t n;

    config.enabled = true;
    ck_assert_ptr_null(zooroute_set_config(&config));
    for (uint32_t i = 0; i < ARRAY_SIZE(seen); i++) {
        ck_assert_uint_ne(choose(i), 0);
    }
    zooroute_get_status(&peers, &n, &status, &statistics);
    ck_assert_uint_eq(n, ARRAY_SIZE(seen));
    for (size_t i = 0; i < n; i++) {
        unsigned int a, b, c, d;
        ck_assert_int_eq(sscanf(peers[i].remote_ip, "%u.%u.%u.%u",
                                &a, &b, &c, &d), 4);
        ck_assert_uint_lt(c * 256 + d, ARRAY_SIZE(seen));
        ck_assert(!seen[c * 256 + d]);
        seen[c * 256 + d] = true;
        ck_assert_str_eq(peers[i].state, "idle");
        ck_assert_uint_eq(peers[i].candidates, 32);
    }
    ck_assert_str_eq(smap_get(&statistics, "peers"), "300");
    zooroute_free_status(peers, n);
    smap_destroy(&status);
    smap_destroy(&statistics);
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("learned peers");
    TCase *tc;

    tc = unit_case(s, "learned peers", 30);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, no_room);
    tcase_add_test(tc, status_of_all);
    return unit_run(s);
}
