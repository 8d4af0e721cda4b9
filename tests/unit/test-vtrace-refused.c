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

#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dp-packet.h"
#include "flow.h"
#include "openvswitch/json.h"
#include "ovs-ext/vtrace-exporter.h"
#include "ovs-ext/vtrace-message.h"
#include "ovs-ext/vtrace-ring.h"
#include "ovs-ext/zoo-flow.h"
#include "ovs-ext/zoo-record.h"
#include "ovs-ext/zoo-vtrace.h"
#include "packets.h"
#include "simap.h"
#include "sset.h"
#include "socket-util.h"
#include "timeval.h"
#include "util.h"
#include "vtrace/vtrace-json.h"

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

    /* Whoever they are, unless there are very many. */
    for (uint16_t color = 100; color < 108; color++) {
        receive(color, 0, 2000);
        ck_assert_uint_ge(n_got[color], 10);
        ck_assert_uint_le(n_got[color], 500);
    }
    for (uint16_t color = 8; color < 40; color++) {
        receive(color, 0, 10);
        ck_assert_uint_eq(n_got[color], 10);
        ck_assert_uint_eq(count_lost(color), 0);
    }

    /* A packet that is not sampled takes none of it, and is not lost. */
    receive(7, 3, 2000);
    ck_assert_uint_ge(n_got[7] + count_lost(7), 10);
    ck_assert_uint_le(n_got[7] + count_lost(7), 60);

    /* All together. */
    unsigned int n = 0;
    long long int begin = time_msec();
    for (uint16_t color = 1000; color < 1200; color++) {
        receive(color, 0, 200);
        n += n_got[color];
        ck_assert_uint_eq(n_got[color] + count_lost(color), 200);
    }
    ck_assert_uint_le(n, 1600 + 16 * (time_msec() - begin + 1));

    zoo_vtrace_configure(false, &consenting, &classes);
    zoo_record_configure(NULL);
}
END_TEST

/* Records on their way to a collector. */

#define N_RECORDS 4000

static void
write_records(uint16_t color, unsigned int n)
{
    struct vtrace_rate rate = vtrace_rate(ZOO_RECORD_RATE_MAX);
    struct vtrace_record r;

    memset(&r, 0, sizeof r);
    r.color = color;

    struct vtrace_ring *ring = vtrace_ring_begin(&r.time);
    while (n--) {
        ck_assert(vtrace_ring_put(ring, &r, &rate));
    }
    vtrace_ring_end(ring);
}

struct exported {
    int64_t written, lost;
    bool connected;
};

static struct exported
get_exported(void)
{
    struct json *json = vtrace_exporter_to_json();
    const struct json *array = vtrace_json_member(json, "colors", JSON_ARRAY);
    const struct json *connected = shash_find_data(json_object(json),
                                                   "connected");
    struct exported e = { .connected = connected->type == JSON_TRUE };

    if (json_array_size(array)) {
        const struct json *color = json_array_at(array, 0);

        e.written = vtrace_json_integer(color, "written", -1);
        e.lost = vtrace_json_integer(vtrace_json_member(color, "lost",
                                                        JSON_OBJECT),
                                     "not_connected", -1);
    }
    json_destroy(json);
    return e;
}

static void
count_record(void *n_, uint16_t color)
{
    unsigned int *n = n_;

    ck_assert_uint_eq(color, 5);
    ++*n;
}

/* Returns how many records are in the 'len' bytes at 'data', in messages that
 * are complete. */
static unsigned int
count_records(const uint8_t *data, size_t len)
{
    unsigned int n = 0;

    while (len >= 4 && len >= vtrace_message_len(data)) {
        vtrace_message_for_each_record(data, count_record, &n);
        len -= vtrace_message_len(data);
        data += vtrace_message_len(data);
    }
    return n;
}

/* What waits for a collector that does not read is lost when it goes. */
START_TEST(collector_goes)
{
    static const struct zoo_record_config config = {
        .key = VTRACE_DIGEST_KEY_INIT,
        .rate = ZOO_RECORD_RATE_MAX,
    };
    static uint8_t data[2 * VTRACE_EXPORTER_QUEUE];
    char *name = xasprintf("vtrace-refused.%ld", (long int) getpid());
    char *path = abs_file_name(NULL, name);
    char *target = xasprintf("unix:%s", path);
    ssize_t len = 0, last = -1;
    unsigned int n;
    int listener, fd;

    signal(SIGPIPE, SIG_IGN);
    listener = make_unix_socket(SOCK_STREAM, false, path, NULL);
    ck_assert_int_ge(listener, 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    vtrace_exporter_configure(target, &config);
    while (!get_exported().connected) {
        vtrace_exporter_run();
        xnanosleep(MSEC);
    }
    fd = accept(listener, NULL, NULL);
    ck_assert_int_ge(fd, 0);

    write_records(5, N_RECORDS);
    while (len != last || get_exported().written < N_RECORDS) {
        last = len;
        xnanosleep(500 * MSEC);
        len = recv(fd, data, sizeof data, MSG_PEEK | MSG_DONTWAIT);
    }
    n = count_records(data, len);
    ck_assert_uint_gt(n, 0);
    ck_assert_uint_lt(n, N_RECORDS);

    close(fd);
    while (get_exported().connected) {
        xnanosleep(MSEC);
    }
    ck_assert_int_eq(get_exported().written, n);
    ck_assert_int_eq(get_exported().lost, N_RECORDS - n);

    close(listener);
    unlink(path);
    vtrace_exporter_exit();
    free(target);
    free(path);
    free(name);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("vtrace-refused");
    TCase *tc = unit_case(suite, "records", 60);

    tcase_add_test(tc, no_port);
    tcase_add_test(tc, collector_goes);
    return unit_run(suite);
}
