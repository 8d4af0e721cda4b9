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


#include <config.h>
#include "ofproto-zoo/zooroute.h"

#include <malloc.h>
#include <netinet/in.h>

#include "unit.h"
#include "util.h"

/* What a peer may take, in bytes: its state, candidates, path table and slot,
 * and the allocator's part. */
#define AIM 4096

#define N_PEERS 2000

/* A sanitizer's allocator keeps no such books. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define OWN_ALLOCATOR 1
#elif defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define OWN_ALLOCATOR 1
#endif
#endif

#ifndef OWN_ALLOCATOR
/* A tenant's first packet to peer 'i'. */
static uint16_t
choose(unsigned int i)
{
    struct zooroute_output out = {
        .key = {
            .local = in6_addr_mapped_ipv4(htonl(0x0a000001)),
            .remote = in6_addr_mapped_ipv4(htonl(0x0b000000 + i)),
            .dst_port = htons(4789),
        },
        .encap = ZOO_ENCAP_VXLAN,
        .iface = "vxlan0",
    };

    zooroute_choose(&out);
    return out.choice;
}

START_TEST(memory_of_a_peer)
{
    struct zooroute_config config = ZOOROUTE_CONFIG_DEFAULT;
    size_t before, each;

    zooroute_init();
    config.enabled = true;
    ck_assert_ptr_null(zooroute_set_config(&config));
    /* What does not depend on the number of peers comes first. */
    for (unsigned int i = 0; i < N_PEERS; i++) {
        ck_assert_uint_ne(choose(i), 0);
    }
    before = mallinfo2().uordblks;
    for (unsigned int i = N_PEERS; i < 2 * N_PEERS; i++) {
        ck_assert_uint_ne(choose(i), 0);
    }
    each = (mallinfo2().uordblks - before) / N_PEERS;
    printf("a peer takes %"PRIuSIZE" bytes\n", each);
    ck_assert_uint_gt(each, 1024);
    ck_assert_uint_le(each, AIM);
    config.enabled = false;
    ck_assert_ptr_null(zooroute_set_config(&config));
}
END_TEST
#endif

int
main(void)
{
    Suite *suite = suite_create("memory");
    TCase *tc = tcase_create("memory");

#ifndef OWN_ALLOCATOR
    tcase_add_test(tc, memory_of_a_peer);
#endif
    suite_add_tcase(suite, tc);
    return unit_run(suite);
}
