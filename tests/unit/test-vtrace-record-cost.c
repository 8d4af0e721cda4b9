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

/* What a record costs the thread of the datapath.  With arguments MODE BATCH
 * COUNT this is a benchmark, which tests/bench/vtrace-record runs:
 *
 *   sampled      packets that leave a record
 *   unsampled    packets that are not sampled, which get their flow's
 *                actions without the points
 *   off          packets of a flow that takes records, with no collector. */

#include <config.h>
#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "dp-packet.h"
#include "flow.h"
#include "odp-netlink.h"
#include "openvswitch/ofpbuf.h"
#include "ovs-ext/vtrace-ring.h"
#include "ovs-ext/zoo-record.h"
#include "ovs-ext/zoo-sampling.h"
#include "packets.h"
#include "util.h"
#include "vtrace-points.h"

/* Records between two drains, and of one color: more would meet the bounds of
 * a ring and of a token bucket. */
#define CHUNK 2048
#define PER_COLOR (16 * CHUNK)
BUILD_ASSERT_DECL(CHUNK < VTRACE_RING_SIZE);
BUILD_ASSERT_DECL(PER_COLOR
                  < ZOO_RECORD_RATE_MAX / VTRACE_RING_BURST_FRACTION);

static uint64_t n_records;

/* A segment of 1500 bytes behind a tunnel header, number 'i'. */
static struct dp_packet *
make_packet(uint32_t i)
{
    static const char outer[] = "020000000002020000000001" "0800"
        "450005ee0000400040110000" "0a0000010a000002" "c00112b505da0000"
        "0800000000006400";
    static const char inner[] = "020000000004020000000003" "0800"
        "450005dc12344000400600" "00c0a80001c0a80002"
        "1388005000000000000000008010ffff00000000" "0101080a0000000100000000";
    struct dp_packet *packet = dp_packet_new(2048);
    char *hex = xasprintf("%s%s", outer, inner);
    struct ofpbuf b;

    ofpbuf_init(&b, 2048);
    ofpbuf_put_hex(&b, hex, NULL);
    dp_packet_put(packet, b.data, b.size);
    dp_packet_put_zeros(packet, 50 + 14 + 1500 - b.size);
    memcpy((uint8_t *) dp_packet_data(packet) + 50 + 14 + 20 + 4, &i,
           sizeof i);
    pkt_metadata_init(&packet->md, ODP_PORT_C(1));
    ofpbuf_uninit(&b);
    free(hex);
    return packet;
}

static struct zoo_record_point
make_point(unsigned int exp)
{
    return (struct zoo_record_point) {
        .magic = ZOO_RECORD_MAGIC,
        .color = 1,
        .exp = exp,
        .role = VTRACE_ROLE_OUT,
        .pushed = 50,
        .bridge = "br-int",
        .port = "vxlan0",
    };
}

static void
execute(const struct zoo_record_point *point, struct dp_packet_batch *batch,
        unsigned int n)
{
    struct ofpbuf actions;

    ofpbuf_init(&actions, 128);
    zoo_record_put(&actions, point);
    while (n--) {
        zoo_record_execute(actions.data, batch, false);
    }
    ofpbuf_uninit(&actions);
}

/* A batch of 'size' packets that are all sampled with exponent 'exp', or
 * none. */
static void
make_batch(struct dp_packet_batch *batch, unsigned int size, unsigned int exp,
           bool sampled)
{
    struct zoo_record_point point = make_point(exp);

    points_configure(true);
    dp_packet_batch_init(batch);
    for (uint32_t i = 0; dp_packet_batch_size(batch) < size; i++) {
        struct dp_packet *packet = make_packet(i);

        n_records = 0;
        zoo_record_take(&point, packet);
        n_records += points_drain();
        if (n_records == sampled) {
            dp_packet_batch_add(batch, packet);
        } else {
            dp_packet_delete(packet);
        }
    }
    n_records = 0;
}

/* Chooses the actions for 'batch' 'n' times, and returns how often none of it
 * was sampled; a function of its own so that its instructions can be
 * counted. */
static unsigned int __attribute__((__noinline__))
choose(const struct zoo_sampling *sampling, struct dp_packet_batch *batch,
       unsigned int n)
{
    unsigned int n_none = 0;

    while (n--) {
        bool none = zoo_sampling_choose(sampling, batch) != NULL;

        if (!none) {
            struct zoo_run run;

            zoo_run_first(&run, sampling, sampling->sampled, 0, batch);
            none = run.actions == sampling->actions;
        }
        n_none += none;
    }
    return n_none;
}

/* Takes the tunnel headers off, as if the packets had just come in. */
static void
strip_tunnel(struct dp_packet_batch *batch)
{
    struct dp_packet *packet;
    struct flow flow;

    DP_PACKET_BATCH_FOR_EACH (i, packet, batch) {
        dp_packet_reset_packet(packet, 50);
        flow_extract(packet, &flow);
    }
}

START_TEST(test_counts)
{
    struct zoo_record_point point = make_point(0);
    struct dp_packet_batch batch;
    struct vtrace_ring_lost lost;

    make_batch(&batch, 32, 0, true);
    point.color = 2;
    execute(&point, &batch, 10);
    n_records += points_drain();
    ck_assert_uint_eq(n_records, 320);

    points_configure(false);
    execute(&point, &batch, 10);
    n_records += points_drain();
    ck_assert_uint_eq(n_records, 320);
    dp_packet_delete_batch(&batch, true);

    make_batch(&batch, 8, 2, false);
    point.exp = 2;
    execute(&point, &batch, 10);
    n_records += points_drain();
    ck_assert_uint_eq(n_records, 0);
    dp_packet_delete_batch(&batch, true);
    vtrace_rings_get_lost(2, &lost);
    ck_assert_uint_eq(lost.full + lost.rate, 0);
}
END_TEST

static double
cpu_time(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return ts.tv_sec + ts.tv_nsec / 1e9;
}

static int
benchmark(const char *mode, unsigned int size, uint64_t n)
{
    bool sampled = strcmp(mode, "unsampled");
    struct zoo_record_point point = make_point(sampled ? 0 : 2);
    struct zoo_sampling *sampling;
    struct dp_packet_batch batch;
    struct ofpbuf actions;
    double seconds = 0;

    make_batch(&batch, size, point.exp, sampled);
    points_configure(strcmp(mode, "off"));
    ofpbuf_init(&actions, 128);
    zoo_record_put(&actions, &point);
    sampling = zoo_sampling_create(actions.data, actions.size);
    if (!sampled) {
        strip_tunnel(&batch);
    }
    for (uint64_t done = 0; done < n; done += CHUNK) {
        point.color = 2 + done / PER_COLOR % (VTRACE_COLOR_MAX - 1);

        double start = cpu_time();
        if (sampled) {
            execute(&point, &batch, CHUNK / size);
        } else if (choose(sampling, &batch, CHUNK / size) != CHUNK / size) {
            printf("packets are sampled\n");
            return EXIT_FAILURE;
        }
        seconds += cpu_time() - start;
        n_records += points_drain();
    }
    n = ROUND_UP(n, CHUNK);
    printf("%s, batches of %u: %.1f ns per packet, %"PRIu64" records of "
           "%"PRIu64" packets\n", mode, size, seconds * 1e9 / n, n_records, n);
    dp_packet_delete_batch(&batch, true);
    zoo_sampling_destroy(sampling);
    ofpbuf_uninit(&actions);
    return EXIT_SUCCESS;
}

int
main(int argc, char *argv[])
{
    if (argc == 4) {
        return benchmark(argv[1], atoi(argv[2]),
                         strtoull(argv[3], NULL, 10));
    }

    Suite *suite = suite_create("vtrace-record-cost");
    TCase *tc = unit_case(suite, "cost", 60);

    tcase_add_test(tc, test_counts);
    return unit_run(suite);
}
