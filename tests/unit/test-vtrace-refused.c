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

/* Records that a switch does not send: each counts as lost, of its color. */

#include <config.h>
#include "unit.h"

#include "dp-packet.h"
#include "flow.h"
#include "ovs-ext/vtrace-ring.h"
#include "ovs-ext/zoo-flow.h"
#include "ovs-ext/zoo-record.h"
#include "ovs-ext/zoo-vtrace.h"
#include "packets.h"
#include "simap.h"
#include "sset.h"
#include "util.h"

static unsigned int n_got[VTRACE_COLOR_MAX + 1];

static void
keep(void *aux OVS_UNUSED, const struct vtrace_record *r, size_t n)
{
    for (; n--; r++) {
        ck_assert_uint_eq(r->reason, VTRACE_REASON_TUNNEL_NO_PORT);
        n_got[r->color]++;
    }
}

/* Packets that no tunnel port takes. */

/* 'n' packets of 'color' and sampling exponent 'exp' come. */
static void
receive(uint16_t color, int exp, unsigned int n)
{
    uint8_t data[ETH_HEADER_LEN + IP_HEADER_LEN + UDP_HEADER_LEN] = { 0 };
    struct ip_header *ip = (void *) (data + ETH_HEADER_LEN);
    struct dp_packet packet;
    struct flow flow;

    memset(&flow, 0, sizeof flow);
    flow.tunnel.ip_dst = htonl(0xc0000201);
    flow.tunnel.gbp_id = htons(ZOO_COLOR_TRACED | exp << ZOO_COLOR_EXP_SHIFT
                               | color);
    data[12] = ETH_TYPE_IP >> 8;
    ip->ip_ihl_ver = IP_IHL_VER(5, 4);
    ip->ip_tot_len = htons(IP_HEADER_LEN + UDP_HEADER_LEN);
    ip->ip_proto = IPPROTO_UDP;
    for (unsigned int i = 0; i < n; i++) {
        ip->ip_id = htons(i);
        dp_packet_use_const(&packet, data, sizeof data);
        pkt_metadata_init(&packet.md, ODP_PORT_C(1));
        zoo_record_no_port(&packet, &flow);
    }
    vtrace_rings_drain(keep, NULL);
}

static uint64_t
count_lost(uint16_t color)
{
    struct vtrace_ring_lost lost;

    vtrace_rings_get_lost(color, &lost);
    ck_assert_uint_eq(lost.full, 0);
    return lost.rate;
}

START_TEST(no_port)
{
    static const struct zoo_record_config config = {
        .key = VTRACE_DIGEST_KEY_INIT,
        .rate = ZOO_RECORD_RATE_MAX,
    };
    struct simap classes = SIMAP_INITIALIZER(&classes);
    struct sset consenting = SSET_INITIALIZER(&consenting);

    zoo_record_configure(&config);
    zoo_vtrace_configure(true, &consenting, &classes);

    /* Some records are taken, and all others are lost. */
    receive(5, 0, 2000);
    ck_assert_uint_ge(n_got[5], 10);
    ck_assert_uint_le(n_got[5], 500);
    ck_assert_uint_eq(n_got[5] + count_lost(5), 2000);

    /* Others have their share. */
    receive(6, 0, 10);
    ck_assert_uint_eq(n_got[6], 10);
    ck_assert_uint_eq(count_lost(6), 0);

    /* A packet that is not sampled takes none of it, and is not lost. */
    receive(7, 3, 2000);
    ck_assert_uint_ge(n_got[7] + count_lost(7), 10);
    ck_assert_uint_le(n_got[7] + count_lost(7), 60);

    zoo_vtrace_configure(false, &consenting, &classes);
    zoo_record_configure(NULL);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("vtrace-refused");
    TCase *tc = unit_case(suite, "records", 60);

    tcase_add_test(tc, no_port);
    return unit_run(suite);
}
