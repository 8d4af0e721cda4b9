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

/* Records from the datapath to an IPFIX message: what a packet gives, rings
 * between threads (for ThreadSanitizer, too), and messages, which the
 * collector's decoder reads. */

#include <config.h>
#include "unit.h"

#include <string.h>
#include <time.h>

#include "dp-packet.h"
#include "netlink.h"
#include "odp-netlink.h"
#include "odp-util.h"
#include "openvswitch/ofpbuf.h"
#include "ovs-atomic.h"
#include "ovs-ext/vtrace-digest.h"
#include "ovs-ext/vtrace-message.h"
#include "ovs-ext/vtrace-record.h"
#include "ovs-ext/vtrace-ring.h"
#include "ovs-ext/zoo-record.h"
#include "ovs-thread.h"
#include "packets.h"
#include "random.h"
#include "unaligned.h"
#include "util.h"
#include "vtrace/ipfix.h"

static const struct zoo_record_config default_config = {
    .key = VTRACE_DIGEST_KEY_INIT,
    .rate = ZOO_RECORD_RATE_MAX,
};

/* What came out of the rings. */
static struct vtrace_record got[VTRACE_RING_SIZE];
static size_t n_got;

static void
keep(void *aux OVS_UNUSED, const struct vtrace_record *records, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        got[n_got++ % ARRAY_SIZE(got)] = records[i];
    }
}

static uint64_t
drain(void)
{
    n_got = 0;
    return vtrace_rings_drain(keep, NULL);
}

static void
setup(void)
{
    drain();
    zoo_record_configure(&default_config);
}

static void
teardown(void)
{
    zoo_record_configure(NULL);
}

/* Packets. */

static struct zoo_record_point
make_point(void)
{
    struct zoo_record_point point = {
        .magic = ZOO_RECORD_MAGIC,
        .color = 4095,
        .reason = 1,                    /* acl-deny */
        .mtu = 1500,
        .ofp_port = 0xfffffffe,
        .flags = VTRACE_F_TABLE | VTRACE_F_COOKIE,
        .cookie = 0x0123456789abcdef,
        .role = VTRACE_ROLE_DROP,
        .link = VTRACE_LINK_UP,
        .port_class = VTRACE_PORT_ACCESS,
        .table = 254,
        .bridge = "br-int",
        .port = "fifteen-letters",
    };

    return point;
}

static struct ofpbuf frame;

static void
put(const char *hex)
{
    char *end = ofpbuf_put_hex(&frame, hex, NULL);

    ck_assert_str_eq(end, "");
}

#define MACS "020000000002 020000000001 "
#define IPV4 "4500 0020 1234 4000 3f11 0000 c0000201 c0000202 "
#define IPV4_UDP "1388 0035 000c 0000 61626364"
#define IPV6 "6000 0000 000c 11 40 20010db8000000000000000000000001 " \
    "20010db8000000000000000000000002 "

/* Tunnel headers to come before those. */
#define OUTER4 MACS "0800 4500 0052 0000 4000 4011 0000 0a000001 0a000002 "
#define OUTER6 MACS "86dd 6000 0000 0000 11 40 " \
    "fd000000000000000000000000000001 fd000000000000000000000000000002 "
#define VXLAN "c001 12b5 0000 0000 08000000 abcdef00 "
#define VXLAN_GBP "c001 12b5 0000 0000 88008fff abcdef00 "
#define VXLAN_GPE_IP "c001 12b6 0000 0000 0c000001 abcdef00 "
#define GENEVE "c001 17c1 0000 0000 01006558 abcdef00 01020000 "
#define GENEVE_IPV6 "c001 17c1 0000 0000 000086dd abcdef00 "

/* A packet of exactly the first 'size' bytes of 'frame', so that
 * AddressSanitizer sees what goes beyond them. */
static struct dp_packet *
make_packet(size_t size)
{
    uint8_t *data = xmalloc(size ? size : 1);
    struct dp_packet *packet = xmalloc(sizeof *packet);

    memcpy(data, frame.data, size);
    dp_packet_use(packet, data, size);
    dp_packet_set_size(packet, size);
    pkt_metadata_init(&packet->md, ODP_PORT_C(1));
    return packet;
}

/* Takes a record of 'packet' at 'point', and stores it in '*r'.  Returns false
 * if there is none. */
static bool
take(const struct zoo_record_point *point, struct dp_packet *packet,
     struct vtrace_record *r)
{
    zoo_record_take(point, packet);
    dp_packet_delete(packet);
    drain();
    ck_assert_uint_le(n_got, 1);
    if (n_got) {
        *r = got[0];
    }
    return n_got;
}

/* Takes a record of the packet 'hex', of whose bytes 'pushed' are a tunnel
 * header. */
static struct vtrace_record
record_of(const char *hex, size_t pushed)
{
    struct zoo_record_point point = make_point();
    struct vtrace_record r;

    ofpbuf_clear(&frame);
    put(hex);
    point.pushed = pushed;
    ck_assert_msg(take(&point, make_packet(frame.size), &r), "%s", hex);
    return r;
}

static void
check_address(const struct in6_addr *address, const char *expected)
{
    struct in6_addr a;

    ck_assert(ipv6_parse(expected, &a));
    ck_assert(ipv6_addr_equals(address, &a));
}

START_TEST(plain)
{
    struct vtrace_record r = record_of(MACS "0800" IPV4 IPV4_UDP, 0);
    struct zoo_record_point point = make_point();
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    ck_assert_int_le(r.time / 1000000000, now.tv_sec);
    ck_assert_int_ge(r.time / 1000000000, now.tv_sec - 60);
    ck_assert(r.digest);
    check_address(&r.src, "::ffff:192.0.2.1");
    check_address(&r.dst, "::ffff:192.0.2.2");
    ck_assert(!ipv6_addr_is_set(&r.tun_src));
    ck_assert_uint_eq(r.ip_id, 0x1234);
    ck_assert_uint_eq(r.ip_len, 32);
    ck_assert_uint_eq(r.src_port, 5000);
    ck_assert_uint_eq(r.dst_port, 53);
    ck_assert_uint_eq(r.ttl, 63);
    ck_assert_uint_eq(r.vlan, 0);
    ck_assert_uint_eq(r.forwarding_status, 129);
    ck_assert_uint_eq(r.color, point.color);
    ck_assert_uint_eq(r.reason, point.reason);
    ck_assert_uint_eq(r.mtu, point.mtu);
    ck_assert_uint_eq(r.ofp_port, point.ofp_port);
    ck_assert_uint_eq(r.flags, point.flags);
    ck_assert(r.cookie == point.cookie);
    ck_assert_uint_eq(r.role, point.role);
    ck_assert_uint_eq(r.link, point.link);
    ck_assert_uint_eq(r.port_class, point.port_class);
    ck_assert_uint_eq(r.table, point.table);
    ck_assert_str_eq(r.bridge, point.bridge);
    ck_assert_str_eq(r.port, point.port);

    /* Not IP, and frames that only look so. */
    ofpbuf_clear(&frame);
    put(MACS "0806" IPV4 IPV4_UDP);
    ck_assert(!take(&point, make_packet(frame.size), &r));
}
END_TEST

START_TEST(encapsulations)
{
    static const struct {
        const char *outer, *inner;
        size_t pushed;
        uint16_t vlan;
        bool ipv6, outer6;
    } cases[] = {
        { "", MACS "8100 a00a 0800" IPV4 IPV4_UDP, 0, 10, false, false },
        { "", MACS "88a8 0014 8100 000a 0800" IPV4 IPV4_UDP, 0, 20, false,
          false },
        { "", MACS "0028 aaaa03000000 0800" IPV4 IPV4_UDP, 0, 0, false,
          false },
        { "", MACS "86dd" IPV6 IPV4_UDP, 0, 0, true, false },
        { OUTER4 VXLAN, MACS "0800" IPV4 IPV4_UDP, 50, 0, false, false },
        { OUTER4 VXLAN_GBP, MACS "8100 000a 0800" IPV4 IPV4_UDP, 50, 10,
          false, false },
        { OUTER4 VXLAN_GPE_IP, IPV4 IPV4_UDP, 50, 0, false, false },
        { OUTER6 VXLAN, MACS "86dd" IPV6 IPV4_UDP, 70, 0, true, true },
        { OUTER4 GENEVE, MACS "0800" IPV4 IPV4_UDP, 54, 0, false, false },
        { OUTER6 GENEVE_IPV6, IPV6 IPV4_UDP, 70, 0, true, true },
    };
    uint64_t digest = record_of(MACS "0800" IPV4 IPV4_UDP, 0).digest;
    uint64_t digest6 = record_of(MACS "86dd" IPV6 IPV4_UDP, 0).digest;

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char *hex = xasprintf("%s%s", cases[i].outer, cases[i].inner);
        struct vtrace_record r = record_of(hex, cases[i].pushed);

        unit_assert(r.digest == (cases[i].ipv6 ? digest6 : digest),
                    "case %"PRIuSIZE, i);
        unit_assert(r.vlan == cases[i].vlan, "case %"PRIuSIZE, i);
        unit_assert(r.ip_version == (cases[i].ipv6 ? 6 : 4),
                    "case %"PRIuSIZE, i);
        if (!cases[i].pushed) {
            ck_assert(!ipv6_addr_is_set(&r.tun_src));
            ck_assert_uint_eq(r.tun_sport, 0);
            ck_assert_uint_eq(r.tun_id, 0);
        } else {
            check_address(&r.tun_src,
                          cases[i].outer6 ? "fd00::1" : "::ffff:10.0.0.1");
            check_address(&r.tun_dst,
                          cases[i].outer6 ? "fd00::2" : "::ffff:10.0.0.2");
            ck_assert_uint_eq(r.tun_sport, 0xc001);
            ck_assert_uint_eq(r.tun_id, 0xabcdef);
        }
        free(hex);
    }
}
END_TEST

START_TEST(metadata)
{
    struct zoo_record_point point = make_point();
    struct vtrace_record r;

    for (int tunnel = 0; tunnel < 2; tunnel++) {
        ofpbuf_clear(&frame);
        put(MACS "0800" IPV4 IPV4_UDP);

        struct dp_packet *packet = make_packet(frame.size);
        packet->md.ct_state = CS_TRACKED | CS_ESTABLISHED;
        packet->md.ct_zone = 7;
        packet->md.tunnel.ip_src = htonl(0x0a000001);
        packet->md.tunnel.ip_dst = htonl(0x0a000002);
        packet->md.tunnel.tun_id = htonll(0x123456);
        packet->md.tunnel.tp_src = htons(40000);
        point.tunnel = tunnel;
        ck_assert(take(&point, packet, &r));

        ck_assert_uint_eq(r.ct_state, CS_TRACKED | CS_ESTABLISHED);
        ck_assert_uint_eq(r.ct_zone, 7);
        ck_assert_uint_eq(r.tun_id, tunnel ? 0x123456 : 0);
        ck_assert_uint_eq(r.tun_sport, tunnel ? 40000 : 0);
        if (tunnel) {
            check_address(&r.tun_src, "::ffff:10.0.0.1");
            check_address(&r.tun_dst, "::ffff:10.0.0.2");
        }
    }
}
END_TEST

/* Any part of a packet, and any bytes in it. */
START_TEST(damaged)
{
    static const char *const packets[] = {
        MACS "8100 000a 0800" IPV4 IPV4_UDP,
        MACS "0028 aaaa03000000 86dd" IPV6 IPV4_UDP,
        MACS "8847 00001140 " IPV4 IPV4_UDP,
        OUTER4 VXLAN MACS "0800" IPV4 IPV4_UDP,
        OUTER6 GENEVE MACS "0800" IPV4 IPV4_UDP,
        OUTER4 VXLAN_GPE_IP IPV4 IPV4_UDP,
    };
    static const uint16_t pushed[] = { 0, 1, 2, 14, 34, 42, 50, 54, 70, 74,
                                       UINT16_MAX - 1, UINT16_MAX };
    struct vtrace_record r;

    for (unsigned int seed = 0; seed < 40; seed++) {
        unit_seed(seed);
        for (size_t i = 0; i < ARRAY_SIZE(packets); i++) {
            ofpbuf_clear(&frame);
            put(packets[i]);
            for (unsigned int j = 0; seed && j < 3; j++) {
                ((uint8_t *) frame.data)[unit_range(0, frame.size - 1)]
                    = unit_range(0, 255);
            }
            for (size_t n = 0; n <= frame.size; n++) {
                struct zoo_record_point point = make_point();

                point.pushed = pushed[unit_range(0, ARRAY_SIZE(pushed) - 1)];
                take(&point, make_packet(n), &r);
            }
        }
    }
}
END_TEST

/* Actions. */

START_TEST(action)
{
    struct zoo_record_point point = make_point();
    struct dp_packet_batch batch;
    struct ofpbuf actions;

    ofpbuf_init(&actions, 64);
    zoo_record_put(&actions, &point);
    const struct zoo_record_point *found = zoo_record_point(actions.data);
    ck_assert(found && !memcmp(found, &point, sizeof point));

    ofpbuf_clear(&frame);
    put(MACS "0800" IPV4 IPV4_UDP);
    for (int steal = 0; steal < 2; steal++) {
        struct dp_packet *packet = make_packet(frame.size);

        dp_packet_batch_init_packet(&batch, packet);
        ck_assert(zoo_record_execute(actions.data, &batch, steal));
        drain();
        ck_assert_uint_eq(n_got, 1);
        if (!steal) {
            dp_packet_delete(packet);
        }
    }

    /* With VTrace off, the action is nobody else's either. */
    zoo_record_configure(NULL);
    dp_packet_batch_init_packet(&batch, make_packet(frame.size));
    ck_assert(zoo_record_execute(actions.data, &batch, true));
    drain();
    ck_assert_uint_eq(n_got, 0);

    /* What is not a point. */
    for (int i = 0; i < 6; i++) {
        struct zoo_record_point bad = point;
        size_t size = sizeof bad;

        switch (i) {
        case 0: bad.magic = 1; break;
        case 1: bad.color = 0; break;
        case 2: bad.color = VTRACE_COLOR_MAX + 1; break;
        case 3: bad.exp = VTRACE_EXP_MAX + 1; break;
        case 4: size = sizeof(struct user_action_cookie); break;
        case 5: size = sizeof bad - 1; break;
        }
        ofpbuf_clear(&actions);
        ck_assert(!odp_put_userspace_action(0, &bad, size, ODPP_NONE, false,
                                            &actions, NULL));
        ck_assert(!zoo_record_point(actions.data));
        ck_assert(!zoo_record_execute(actions.data, &batch, true));
    }
    ofpbuf_clear(&actions);
    odp_put_userspace_action(0, NULL, 0, ODPP_NONE, false, &actions, NULL);
    ck_assert(!zoo_record_execute(actions.data, &batch, true));
    ofpbuf_clear(&actions);
    nl_msg_put_u32(&actions, OVS_ACTION_ATTR_OUTPUT, 1);
    ck_assert(!zoo_record_point(actions.data));
    ofpbuf_uninit(&actions);
}
END_TEST

/* One packet in 4^exp, and the same ones at all points. */
START_TEST(sampling)
{
    unsigned int n[3] = { 0, 0, 0 };
    struct vtrace_record r;

    for (int i = 0; i < 4096; i++) {
        bool before = true;

        ofpbuf_clear(&frame);
        put(MACS "0800" IPV4 IPV4_UDP);
        put_unaligned_be32(ALIGNED_CAST(ovs_be32 *, (uint8_t *) frame.data
                                        + frame.size - 4), htonl(i));
        for (int exp = 0; exp < 3; exp++) {
            struct zoo_record_point point = make_point();

            point.exp = exp;
            bool sampled = take(&point, make_packet(frame.size), &r);
            ck_assert(before || !sampled);
            ck_assert(!sampled || r.exp == exp);
            n[exp] += sampled;
            before = sampled;
        }
    }
    ck_assert_uint_eq(n[0], 4096);
    ck_assert_uint_ge(n[1], 1024 - 150);
    ck_assert_uint_le(n[1], 1024 + 150);
    ck_assert_uint_ge(n[2], 256 - 80);
    ck_assert_uint_le(n[2], 256 + 80);
}
END_TEST

/* Rings. */

/* Tries to write 'n' records of 'color' at once, returns how many it could. */
static unsigned int
write_records(uint16_t color, unsigned int n, unsigned int rate)
{
    struct vtrace_rate tokens = vtrace_rate(rate);
    struct vtrace_record r;
    unsigned int written = 0;

    memset(&r, 0, sizeof r);
    r.color = color;

    struct vtrace_ring *ring = vtrace_ring_begin(&r.time);
    for (unsigned int i = 0; i < n; i++) {
        r.cookie = i;
        written += vtrace_ring_put(ring, &r, &tokens);
    }
    vtrace_ring_end(ring);
    return written;
}

START_TEST(full)
{
    struct vtrace_ring_lost lost;

    ck_assert(!vtrace_rings_seen(9));
    ck_assert_uint_eq(write_records(9, VTRACE_RING_SIZE + 10,
                                    ZOO_RECORD_RATE_MAX), VTRACE_RING_SIZE);
    ck_assert(vtrace_rings_seen(9));
    drain();
    ck_assert_uint_eq(n_got, VTRACE_RING_SIZE);
    for (size_t i = 0; i < n_got; i++) {
        ck_assert_uint_eq(got[i].cookie, i);
    }
    vtrace_rings_get_lost(9, &lost);
    ck_assert_uint_eq(lost.full, 10);
    ck_assert_uint_eq(lost.rate, 0);

    ck_assert_uint_eq(write_records(9, 1, ZOO_RECORD_RATE_MAX), 1);
    drain();
    ck_assert_uint_eq(n_got, 1);
    vtrace_rings_get_lost(8, &lost);
    ck_assert_uint_eq(lost.full + lost.rate, 0);
}
END_TEST

START_TEST(token_bucket)
{
    struct vtrace_ring_lost lost;
    uint64_t begin, end;

    /* In one go: no time passes. */
    ck_assert_uint_eq(write_records(5, 1000, 10), VTRACE_RING_BURST_MIN);
    ck_assert_uint_eq(write_records(6, 1000, 2000),
                      2000 / VTRACE_RING_BURST_FRACTION);
    drain();
    vtrace_rings_get_lost(5, &lost);
    ck_assert_uint_eq(lost.rate, 1000 - VTRACE_RING_BURST_MIN);
    ck_assert_uint_eq(lost.full, 0);

    /* Another color has its own. */
    ck_assert_uint_eq(write_records(7, 10, 10), 10);

    /* It fills again, as fast as it should. */
    unsigned int n = 0;
    drain();
    vtrace_ring_end(vtrace_ring_begin(&begin));
    ck_assert_uint_eq(write_records(4, 1000, 1000), VTRACE_RING_BURST_MIN);
    do {
        n += write_records(4, 1, 1000);
        drain();
        vtrace_ring_end(vtrace_ring_begin(&end));
    } while (end - begin < 300 * MSEC);
    ck_assert_uint_le(n, (end - begin) / MSEC + 1);
    ck_assert_uint_ge(n, 150);
}
END_TEST

/* Writers and reader at the same time. */

#define N_WRITERS 3
#define N_BATCHES 20000
#define BATCH 4

static struct {
    unsigned int written;
    uint64_t last_time;         /* For the reader. */
    uint64_t next_cookie;
} writers[N_WRITERS];
static atomic_count n_running;

static void *
writer_main(void *number_)
{
    struct vtrace_rate tokens = vtrace_rate(ZOO_RECORD_RATE_MAX);
    uintptr_t number = (uintptr_t) number_;
    struct vtrace_record r;

    memset(&r, 0, sizeof r);
    r.color = 100;
    r.ofp_port = number;
    for (int i = 0; i < N_BATCHES; i++) {
        struct vtrace_ring *ring = vtrace_ring_begin(&r.time);

        for (int j = 0; j < BATCH; j++) {
            writers[number].written += vtrace_ring_put(ring, &r, &tokens);
            r.cookie++;
        }
        vtrace_ring_end(ring);
    }
    atomic_count_dec(&n_running);
    return NULL;
}

static uint64_t said;           /* Watermark of the last drain. */
static unsigned int n_untrue, n_disordered, n_read;

static void
check_record(void *aux OVS_UNUSED, const struct vtrace_record *r, size_t n)
{
    for (; n--; r++, n_read++) {
        n_untrue += r->time <= said;
        n_disordered += (r->cookie < writers[r->ofp_port].next_cookie
                         || r->time < writers[r->ofp_port].last_time);
        writers[r->ofp_port].next_cookie = r->cookie + 1;
        writers[r->ofp_port].last_time = r->time;
    }
}

START_TEST(threads)
{
    size_t n_rings = (drain(), vtrace_rings_count());
    struct vtrace_ring_lost lost;
    pthread_t handles[N_WRITERS];
    unsigned int n_written = 0;
    uint64_t first = 0;
    bool done;

    atomic_count_init(&n_running, N_WRITERS);
    for (uintptr_t i = 0; i < N_WRITERS; i++) {
        handles[i] = ovs_thread_create("writer", writer_main, (void *) i);
    }
    do {
        done = !atomic_count_get(&n_running);
        uint64_t watermark = vtrace_rings_drain(check_record, NULL);
        ck_assert(watermark >= said);
        said = watermark;
        first = first ? first : said;
    } while (!done);

    for (int i = 0; i < N_WRITERS; i++) {
        xpthread_join(handles[i], NULL);
        n_written += writers[i].written;
    }
    said = vtrace_rings_drain(check_record, NULL);
    ck_assert_uint_eq(n_untrue, 0);
    ck_assert_uint_eq(n_disordered, 0);
    ck_assert_uint_eq(n_read, n_written);
    ck_assert_uint_gt(n_written, N_WRITERS * BATCH);
    ck_assert(said > first);
    vtrace_rings_get_lost(100, &lost);
    ck_assert_uint_eq(n_written + lost.full + lost.rate,
                      N_WRITERS * N_BATCHES * BATCH);

    /* The threads' rings are gone, their losses are not. */
    ck_assert_uint_eq(vtrace_rings_count(), n_rings);
}
END_TEST

/* A thread that is between begin and end keeps the watermark below what it
 * might still write. */
START_TEST(busy)
{
    uint64_t now, before, after;

    before = drain();
    vtrace_ring_begin(&now);
    after = drain();
    ck_assert(after < now);
    ck_assert(drain() < now);
    vtrace_ring_end(vtrace_ring_begin(&now));
    after = drain();
    ck_assert(after > before && after >= now - 1);
}
END_TEST

/* Messages. */

static struct vtrace_record decoded[256];
static struct vtrace_watermark decoded_watermark;
static struct vtrace_endpoint decoded_endpoint;
static struct vtrace_clock decoded_clock;
static size_t n_decoded, n_decoded_watermarks, n_decoded_endpoints;
static size_t n_decoded_clocks;

static void
got_record(void *aux OVS_UNUSED, const struct vtrace_record *r)
{
    decoded[n_decoded++ % ARRAY_SIZE(decoded)] = *r;
}

static void
got_watermark(void *aux OVS_UNUSED, const struct vtrace_watermark *w)
{
    decoded_watermark = *w;
    n_decoded_watermarks++;
}

static void
got_endpoint(void *aux OVS_UNUSED, const struct vtrace_endpoint *e)
{
    decoded_endpoint = *e;
    n_decoded_endpoints++;
}

static void
got_clock(void *aux OVS_UNUSED, const struct vtrace_clock *c)
{
    decoded_clock = *c;
    n_decoded_clocks++;
}

/* Completes '*m' and has the collector's decoder read it. */
static void
decode(struct vtrace_ipfix *ipfix, struct vtrace_message *m,
       uint32_t *sequence)
{
    uint32_t before = *sequence;
    char *error;

    vtrace_message_finish(m, 1234567890, sequence);
    ck_assert_uint_eq(vtrace_ipfix_length(m->data), m->n);
    ck_assert_uint_eq(ntohl(get_unaligned_be32(
        ALIGNED_CAST(ovs_be32 *, m->data + 4))), 1234567890);
    ck_assert_uint_eq(ntohl(get_unaligned_be32(
        ALIGNED_CAST(ovs_be32 *, m->data + 8))), before);
    error = vtrace_ipfix_decode(ipfix, m->data, m->n);
    ck_assert_msg(!error, "%s", error);
    vtrace_message_init(m);
}

static void
fill_name(char name[VTRACE_NAME_LEN])
{
    size_t n = unit_range(0, VTRACE_NAME_LEN - 1);

    memset(name, 0, VTRACE_NAME_LEN);
    for (size_t i = 0; i < n; i++) {
        name[i] = unit_range('a', 'z');
    }
}

/* Any record that the collector takes. */
static struct vtrace_record
random_record(void)
{
    struct vtrace_record r;

    random_bytes(&r, sizeof r);
    r.time = 1700000000000000000ULL + r.time % 100000000000000000ULL;
    r.color = unit_range(VTRACE_COLOR_MIN, VTRACE_COLOR_MAX);
    r.role = unit_range(VTRACE_ROLE_IN, VTRACE_ROLE_CHECKPOINT);
    r.link = unit_range(0, VTRACE_LINK_DOWN);
    r.port_class = unit_range(0, VTRACE_PORT_PATCH);
    r.exp = unit_range(0, VTRACE_EXP_MAX);
    r.ip_version = unit_chance(0.5) ? 4 : 6;
    fill_name(r.bridge);
    fill_name(r.port);
    return r;
}

START_TEST(messages)
{
    struct vtrace_ipfix *ipfix = vtrace_ipfix_create(
        &(struct vtrace_ipfix_sink) { got_record, got_watermark, got_endpoint,
                                      got_clock, NULL });
    struct vtrace_message *m = xmalloc(sizeof *m);
    struct vtrace_record sent[ARRAY_SIZE(decoded)];
    struct vtrace_watermark w = { 1700000000123456789ULL, 1ULL << 63, 77,
                                  0xfedcba98, 4095, 0 };
    struct vtrace_endpoint e = { 1700000000987654321ULL,
                                 IN6ADDR_LOOPBACK_INIT };
    struct vtrace_clock c = { 1700000000987654321ULL, IN6ADDR_LOOPBACK_INIT,
                              IN6ADDR_ANY_INIT, 12, -34, 56 };
    uint32_t sequence = 0;
    size_t n_sent = 0;

    unit_seed(1);
    vtrace_message_init(m);
    ck_assert(vtrace_message_is_empty(m));
    ck_assert(vtrace_message_put_templates(m));
    ck_assert(!vtrace_message_is_empty(m));
    decode(ipfix, m, &sequence);
    ck_assert_uint_eq(sequence, 0);
    ck_assert(vtrace_message_is_empty(m));

    while (n_sent < ARRAY_SIZE(sent)) {
        struct vtrace_record r = random_record();

        /* Sets of all kinds in a row. */
        if (n_sent % 50 == 20) {
            ck_assert(vtrace_message_put_watermark(m, &w));
            ck_assert(vtrace_message_put_endpoint(m, &e));
            ck_assert(vtrace_message_put_clock(m, &c));
        }
        if (!vtrace_message_put_record(m, &r)) {
            ck_assert_uint_gt(m->n + 188, VTRACE_MESSAGE_MAX);
            decode(ipfix, m, &sequence);
            ck_assert(vtrace_message_put_record(m, &r));
        }
        sent[n_sent++] = r;
    }
    decode(ipfix, m, &sequence);

    ck_assert_uint_eq(vtrace_ipfix_invalid(ipfix), 0);
    ck_assert_uint_eq(n_decoded, n_sent);
    ck_assert_uint_eq(sequence, n_sent + n_decoded_watermarks
                      + n_decoded_endpoints + n_decoded_clocks);
    for (size_t i = 0; i < n_sent; i++) {
#define CHECK_MEMBER(MEMBER, TYPE, PEN, ELEMENT, NAME)                  \
        unit_assert(!memcmp(&sent[i].MEMBER, &decoded[i].MEMBER,        \
                            sizeof sent[i].MEMBER),                     \
                    "record %"PRIuSIZE": " #MEMBER, i);
        VTRACE_RECORD_FIELDS(CHECK_MEMBER)
    }
    ck_assert(!memcmp(&w, &decoded_watermark, sizeof w));
    ck_assert(!memcmp(&e, &decoded_endpoint, sizeof e));
    ck_assert(!memcmp(&c, &decoded_clock, sizeof c));
    ck_assert_uint_eq(n_decoded_watermarks, 5);

    /* Templates that do not fit leave the message as it is. */
    while (vtrace_message_put_watermark(m, &w)) {
        continue;
    }
    ck_assert(!vtrace_message_put_templates(m));
    ck_assert(!vtrace_message_put_endpoint(m, &e) || m->n <= sizeof m->data);
    n_decoded_watermarks = 0;
    decode(ipfix, m, &sequence);
    ck_assert_uint_ge(n_decoded_watermarks, 500);

    vtrace_ipfix_destroy(ipfix);
    free(m);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("vtrace-exporter");
    TCase *tc = unit_case(suite, "packets", 120);

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, plain);
    tcase_add_test(tc, encapsulations);
    tcase_add_test(tc, metadata);
    tcase_add_test(tc, damaged);
    tcase_add_test(tc, action);
    tcase_add_test(tc, sampling);

    tc = unit_case(suite, "rings", 120);
    tcase_add_checked_fixture(tc, vtrace_rings_init, NULL);
    tcase_add_test(tc, full);
    tcase_add_test(tc, token_bucket);
    tcase_add_test(tc, threads);
    tcase_add_test(tc, busy);

    tc = unit_case(suite, "messages", 60);
    tcase_add_test(tc, messages);

    int status = unit_run(suite);
    ofpbuf_uninit(&frame);
    return status;
}
