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

/* A task that does not end: the analyzer's speed and memory.
 *
 *     test-vtrace-throughput RECORDS
 *
 * feeds that many records of one task, at 125,000 packets per second of the
 * records' own time and four records per packet, and prints how many the
 * analyzer took per second of CPU time, how much memory the process had at
 * most, what it costs to decode a record from IPFIX, and what the digest of a
 * packet costs.  Without an argument, tests
 * that memory does not grow. */

#include <config.h>
#include "unit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "ovs-ext/vtrace-digest.h"
#include "ovs-ext/vtrace-message.h"
#include "ovs-ext/vtrace-record.h"
#include "unaligned.h"
#include "util.h"
#include "vtrace/analyze.h"
#include "vtrace/ipfix.h"

#define PACKETS_PER_S 125000
#define RECORDS_PER_PACKET 4
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define SANITIZER
#elif defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZER
#endif
#endif

/* KiB.  Sanitizers keep what was freed for a while. */
#ifdef SANITIZER
#define MAX_GROWTH (512 * 1024)
#else
#define MAX_GROWTH 4096
#endif

#define WATERMARK_INTERVAL (PACKETS_PER_S / 5)  /* Packets. */

struct stream {
    struct vtrace_analyzer *az;
    struct vtrace_analysis *an;
    struct vtrace_exporter *nodes[2];
    struct vtrace_record templates[RECORDS_PER_PACKET];
    uint64_t packets;
};

static void
stream_init(struct stream *s)
{
    static const struct vtrace_analyzer_config config
        = VTRACE_ANALYZER_CONFIG_INIT;
    struct vtrace_record *t = s->templates;

    memset(s, 0, sizeof *s);
    s->az = vtrace_analyzer_create(&config);
    s->an = vtrace_analysis_create(s->az, 1);
    s->nodes[0] = vtrace_analyzer_exporter(s->az, "h1", "");
    s->nodes[1] = vtrace_analyzer_exporter(s->az, "h2", "");
    vtrace_analysis_listen(s->an, "", 1, VTRACE_FORWARD, "h1");
    vtrace_analysis_start(s->an, VTRACE_FORWARD);
    for (int i = 0; i < RECORDS_PER_PACKET; i++) {
        t[i].color = 1;
        t[i].role = i & 1 ? VTRACE_ROLE_OUT : VTRACE_ROLE_IN;
        t[i].link = VTRACE_LINK_UP;
        t[i].port_class = (i == 0 || i == 3 ? VTRACE_PORT_ACCESS
                           : VTRACE_PORT_TUNNEL);
        t[i].ip_len = 1000;
        ovs_strlcpy(t[i].bridge, "br-int", sizeof t[i].bridge);
        ovs_strlcpy(t[i].port, i == 1 || i == 2 ? "vxlan0" : "vm",
                    sizeof t[i].port);
        if (i == 1 || i == 2) {
            t[i].tun_src.s6_addr[15] = 1;
            t[i].tun_dst.s6_addr[15] = 2;
            t[i].tun_id = 5000;
            t[i].tun_sport = 40000;
        }
    }
    t[0].flags = VTRACE_F_ENTRY;
}

static void
send_watermarks(struct stream *s)
{
    uint64_t time = SEC + s->packets * (SEC / PACKETS_PER_S);

    for (int i = 0; i < 2; i++) {
        struct vtrace_watermark w = {
            .time = time,
            .color = 1,
            .session = 1,
            .written = s->packets * 2,
        };

        vtrace_analyzer_watermark(s->az, s->nodes[i], &w, time);
        w.color = 0;
        w.written = 0;
        vtrace_analyzer_watermark(s->az, s->nodes[i], &w, time);
    }
    vtrace_analyzer_run(s->az, time);
}

/* Feeds 'n' records. */
static void
stream_feed(struct stream *s, uint64_t n)
{
    for (uint64_t i = 0; i < n; i += RECORDS_PER_PACKET) {
        uint64_t time = SEC + s->packets * (SEC / PACKETS_PER_S);

        s->packets++;
        for (int j = 0; j < RECORDS_PER_PACKET; j++) {
            struct vtrace_record r = s->templates[j];

            r.time = time + j * 1000;
            r.digest = s->packets * 0x9e3779b97f4a7c15ULL;
            vtrace_analyzer_record(s->az, s->nodes[j / 2], &r);
        }
        if (!(s->packets % WATERMARK_INTERVAL)) {
            send_watermarks(s);
        }
    }
}

/* KiB. */
static long int
max_memory(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

static double
cpu_time(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

/* Four times as many records need no more memory. */
START_TEST(test_memory)
{
    struct vtrace_verdict v;
    struct stream s;

    stream_init(&s);
    stream_feed(&s, 1000000);
    long int before = max_memory();
    stream_feed(&s, 3000000);
    long int after = max_memory();

    ck_assert_msg(after - before < MAX_GROWTH, "%ld KiB more",
                  after - before);
    vtrace_analysis_verdict(s.an, &v);
    ck_assert_int_eq(v.kind, VTRACE_VERDICT_NONE);
    ck_assert_uint_gt(v.seen, 800000);
    vtrace_analyzer_destroy(s.az);
}
END_TEST

/* The part of a record that needs the packet: a TCP segment of 1500 bytes,
 * with a timestamp. */
static void
benchmark_digest(void)
{
    static const struct vtrace_digest_key key = VTRACE_DIGEST_KEY_INIT;
    enum { N = 2000000 };
    uint8_t packet[1500] = { 0x45, 0, 1500 >> 8, 1500 & 0xff };
    struct vtrace_record r;
    uint64_t sum = 0;

    packet[9] = IPPROTO_TCP;
    packet[32] = 8 << 4;
    memcpy(packet + 40, "\1\1\10\12", 4);
    memset(&r, 0, sizeof r);
    double start = cpu_time();
    for (uint32_t i = 0; i < N; i++) {
        memcpy(packet + 24, &i, sizeof i);
        vtrace_record_set_packet(&r, packet, sizeof packet, &key);
        sum += r.digest;
    }
    printf("%.0f ns per packet for its digest and what a record has of it "
           "(%"PRIx64")\n", (cpu_time() - start) * 1e9 / N, sum);
}

static void
count_record(void *n_, const struct vtrace_record *r OVS_UNUSED)
{
    uint64_t *n = n_;

    ++*n;
}

static void
decode(struct vtrace_ipfix *ipfix, struct vtrace_message *m, uint32_t sequence)
{
    put_unaligned_be32((ovs_be32 *) (m->data + 8), htonl(sequence));
    ovs_assert(!vtrace_ipfix_decode(ipfix, m->data, m->n));
}

/* Messages that are full of records, as a switch sends them. */
static void
benchmark_decoding(void)
{
    enum { N = 2000000 };
    uint64_t n = 0;
    struct vtrace_ipfix *ipfix = vtrace_ipfix_create(
        &(struct vtrace_ipfix_sink) { .record = count_record, .aux = &n });
    struct vtrace_message m;
    uint32_t sequence = 0;
    struct stream s;

    stream_init(&s);
    vtrace_analyzer_destroy(s.az);
    vtrace_message_init(&m);
    ovs_assert(vtrace_message_put_templates(&m));
    vtrace_message_finish(&m, 1800000000, &sequence);
    decode(ipfix, &m, 0);

    vtrace_message_init(&m);
    s.templates[1].ip_version = 4;
    s.templates[1].time = 1800000000 * SEC;
    while (vtrace_message_put_record(&m, &s.templates[1])) {
        continue;
    }
    vtrace_message_finish(&m, 1800000000, &sequence);
    double start = cpu_time();
    while (n < N) {
        decode(ipfix, &m, n);
    }
    printf("%.0f ns per record to decode it\n",
           (cpu_time() - start) * 1e9 / n);
    vtrace_ipfix_destroy(ipfix);
}

static int
benchmark(uint64_t n)
{
    struct vtrace_verdict v;
    struct stream s;

    stream_init(&s);
    double start = cpu_time();
    stream_feed(&s, n);
    double seconds = cpu_time() - start;
    vtrace_analysis_verdict(s.an, &v);
    printf("%"PRIu64" records in %.1f s of CPU time: %.0f records/s, "
           "%ld MiB, verdict %s of %"PRIu64" packets\n",
           n, seconds, n / seconds, max_memory() / 1024,
           vtrace_verdict_name(v.kind), v.seen);
    vtrace_analyzer_destroy(s.az);
    benchmark_decoding();
    benchmark_digest();
    return EXIT_SUCCESS;
}

int
main(int argc, char *argv[])
{
    if (argc > 1) {
        return benchmark(strtoull(argv[1], NULL, 10));
    }

    Suite *s = suite_create("vtrace-throughput");
    TCase *tc = unit_case(s, "throughput", 300);

    tcase_add_test(tc, test_memory);
    return unit_run(s);
}
