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

/* The digest: what changes it, what does not, and that it stays within the
 * packet whatever the packet says. */

#include <config.h>
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "csum.h"
#include "ovs-ext/vtrace-digest.h"
#include "ovs-ext/vtrace-record.h"
#include "packets.h"
#include "random.h"
#include "util.h"

static const struct vtrace_digest_key key = VTRACE_DIGEST_KEY_INIT;

enum { IP4, IP6 };

/* A packet under construction; IPv4 headers are of 20 bytes. */
struct packet {
    uint8_t data[256];
    size_t size;
    size_t l4;                  /* Offset of the transport header. */
};

static void
put16(uint8_t *p, unsigned int x)
{
    p[0] = x >> 8;
    p[1] = x;
}

/* A packet of 'protocol' with a transport header of 'header_len' random bytes
 * and 'payload_len' random bytes of payload. */
static void
make_packet(struct packet *pk, int version, uint8_t protocol,
            size_t header_len, size_t payload_len)
{
    random_bytes(pk->data, sizeof pk->data);
    pk->l4 = version == IP4 ? 20 : 40;
    pk->size = pk->l4 + header_len + payload_len;
    if (version == IP4) {
        pk->data[0] = 0x45;
        put16(pk->data + 2, pk->size);
        put16(pk->data + 6, 0x4000);
        pk->data[9] = protocol;
    } else {
        pk->data[0] = 0x60;
        put16(pk->data + 4, pk->size - 40);
        pk->data[6] = protocol;
    }
    if (protocol == IPPROTO_TCP) {
        pk->data[pk->l4 + 12] = (header_len / 4) << 4;
    }
}

static uint64_t
digest(const struct packet *pk)
{
    struct vtrace_record r;

    memset(&r, 0, sizeof r);
    ck_assert(vtrace_record_set_packet(&r, pk->data, pk->size, &key));
    return r.digest;
}

static bool
changes(const struct packet *pk, size_t ofs)
{
    struct packet copy = *pk;

    copy.data[ofs] ^= 1 << unit_range(0, 7);
    return digest(&copy) != digest(pk);
}

/* Checks that of the bytes 'first'...'last' of 'pk' each changes the digest,
 * or none. */
static void
check_range(const struct packet *pk, size_t first, size_t last, bool expected)
{
    for (size_t ofs = first; ofs <= last; ofs++) {
        unit_assert(changes(pk, ofs) == expected, "byte %zu", ofs);
    }
}

/* What NAT, routing and marking change: everything of IP but the protocol, the
 * identification and the fragment offset. */
static void
check_network_header(const struct packet *pk)
{
    if (pk->l4 == 20) {
        check_range(pk, 1, 1, false);           /* DSCP, ECN. */
        check_range(pk, 4, 5, true);            /* Identification. */
        check_range(pk, 8, 8, false);           /* TTL. */
        check_range(pk, 10, 19, false);         /* Checksum, addresses. */
    } else {
        check_range(pk, 2, 3, false);           /* Flow label. */
        check_range(pk, 7, 39, false);          /* Hop limit, addresses. */
    }
}

/* The known answers come from another implementation, OpenSSL's:
 * openssl mac -macopt hexkey:000102... -macopt size:16 -in FILE SIPHASH */
START_TEST(test_siphash)
{
    static const struct {
        size_t n;
        const char *answer;
    } known[] = {
        { 0, "a3817f04ba25a8e66df67214c7550293" },
        { 1, "da87c1d86b99af44347659119b22fc45" },
        { 15, "5493e99933b0a8117e08ec0f97cfc3d9" },
        { 63, "5150d1772f50834a503e069a973fbd7c" },
    };
    struct vtrace_digest_key k;
    uint8_t data[64];

    ck_assert(vtrace_digest_key_parse("000102030405060708090a0b0c0d0e0f", &k));
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = i;
    }
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        uint64_t out[2];
        char s[33];

        vtrace_siphash128(&k, data, known[i].n, out);
        for (int j = 0; j < 16; j++) {
            snprintf(s + 2 * j, 3, "%02x",
                     (unsigned) (out[j / 8] >> (8 * (j % 8))) & 0xff);
        }
        ck_assert_str_eq(s, known[i].answer);
    }
}
END_TEST

START_TEST(test_key)
{
    struct vtrace_digest_key k = { 1, 2 };

    ck_assert(!vtrace_digest_key_parse("", &k));
    ck_assert(!vtrace_digest_key_parse("000102030405060708090a0b0c0d0e0", &k));
    ck_assert(!vtrace_digest_key_parse("000102030405060708090a0b0c0d0e0f0",
                                       &k));
    ck_assert(!vtrace_digest_key_parse("000102030405060708090a0b0c0d0eg0",
                                       &k));
    ck_assert(k.k0 == 1 && k.k1 == 2);
    ck_assert(vtrace_digest_key_parse("0100000000000000FF00000000000080", &k));
    ck_assert(k.k0 == 1 && k.k1 == 0x80000000000000ffULL);
}
END_TEST

START_TEST(test_tcp)
{
    struct packet pk;

    unit_seed(_i);
    make_packet(&pk, _i & 1, IPPROTO_TCP, 20, unit_range(33, 100));
    check_network_header(&pk);
    size_t l4 = pk.l4;
    check_range(&pk, l4, l4 + 3, false);        /* Ports. */
    check_range(&pk, l4 + 4, l4 + 11, true);    /* Sequence numbers. */
    check_range(&pk, l4 + 13, l4 + 13, true);   /* Flags. */
    check_range(&pk, l4 + 14, l4 + 19, false);  /* Window, checksum. */
    check_range(&pk, l4 + 20, l4 + 51, true);   /* Payload. */
    check_range(&pk, l4 + 52, pk.size - 1, false);
}
END_TEST

START_TEST(test_tcp_options)
{
    struct packet pk;

    unit_seed(_i);
    make_packet(&pk, _i & 1, IPPROTO_TCP, 32, 0);
    memcpy(pk.data + pk.l4 + 20, "\1\1\10\12abcdefgh", 12);
    check_range(&pk, pk.l4 + 24, pk.l4 + 27, true);     /* TSval. */
    check_range(&pk, pk.l4 + 28, pk.l4 + 31, false);    /* TSecr. */

    /* Options that end nowhere, and others than the timestamp. */
    for (int i = 0; i < 1000; i++) {
        random_bytes(pk.data + pk.l4 + 20, 12);
        digest(&pk);
    }
}
END_TEST

START_TEST(test_udp)
{
    struct packet pk;

    unit_seed(_i);
    make_packet(&pk, _i & 1, IPPROTO_UDP, 8, unit_range(33, 100));
    check_network_header(&pk);
    check_range(&pk, pk.l4, pk.l4 + 3, false);
    check_range(&pk, pk.l4 + 4, pk.l4 + 5, true);       /* Length. */
    check_range(&pk, pk.l4 + 6, pk.l4 + 7, false);      /* Checksum. */
    check_range(&pk, pk.l4 + 8, pk.l4 + 39, true);
    check_range(&pk, pk.l4 + 40, pk.size - 1, false);
}
END_TEST

START_TEST(test_icmp)
{
    struct packet pk;

    unit_seed(_i);
    int version = _i & 1;
    make_packet(&pk, version, version == IP4 ? 1 : 58, 8, 56);
    pk.data[pk.l4] = version == IP4 ? 8 : 128;
    pk.data[pk.l4 + 1] = 0;
    check_network_header(&pk);
    check_range(&pk, pk.l4, pk.l4 + 1, true);           /* Type, code. */
    check_range(&pk, pk.l4 + 2, pk.l4 + 5, false);      /* Identifier. */
    check_range(&pk, pk.l4 + 6, pk.l4 + 39, true);      /* Sequence. */
    check_range(&pk, pk.l4 + 40, pk.size - 1, false);
}
END_TEST

/* An error message says which packet of the flow it is about, under NAT. */
START_TEST(test_icmp_error)
{
    struct packet pk, inner;

    unit_seed(_i);
    make_packet(&inner, IP4, _i & 1 ? IPPROTO_TCP : IPPROTO_UDP, 8, 0);
    make_packet(&pk, IP4, 1, 8, inner.size);
    pk.data[20] = 3;
    pk.data[21] = 4;
    memcpy(pk.data + 28, inner.data, inner.size);
    check_range(&pk, 21, 21, true);                     /* Code. */
    check_range(&pk, 26, 27, true);                     /* MTU. */
    check_range(&pk, 32, 33, true);                     /* Inner IP id. */
    check_range(&pk, 36, 36, false);                    /* Inner TTL. */
    check_range(&pk, 38, 51, false);                    /* Addresses, ports. */
    check_range(&pk, 52, 53, true);                     /* Sequence, length. */
}
END_TEST

START_TEST(test_esp)
{
    struct packet pk;

    unit_seed(_i);
    make_packet(&pk, _i & 1, IPPROTO_ESP, 8, 60);
    check_network_header(&pk);
    check_range(&pk, pk.l4, pk.l4 + 39, true);
    check_range(&pk, pk.l4 + 40, pk.size - 1, false);
}
END_TEST

/* A fragment that is not the first has no ports to skip. */
START_TEST(test_fragment)
{
    struct packet pk;
    struct vtrace_record r;

    unit_seed(_i);
    make_packet(&pk, IP4, IPPROTO_UDP, 0, 60);
    put16(pk.data + 6, 0x2000 | 185);
    check_range(&pk, 7, 7, true);                       /* Offset. */
    check_range(&pk, 20, 51, true);
    check_range(&pk, 52, 79, false);

    memset(&r, 0, sizeof r);
    ck_assert(vtrace_record_set_packet(&r, pk.data, pk.size, &key));
    ck_assert_uint_eq(r.frag_offset, 185 * 8);
    ck_assert_uint_eq(r.flags, VTRACE_F_FRAGMENT | VTRACE_F_NO_PORTS);
    ck_assert_uint_eq(r.src_port, 0);

    make_packet(&pk, IP6, IPPROTO_FRAGMENT, 8, 60);
    pk.data[40] = IPPROTO_UDP;
    put16(pk.data + 42, 8 * 185 | 1);
    check_range(&pk, 44, 47, true);                     /* Identification. */
    check_range(&pk, 48, 79, true);
    check_range(&pk, 80, pk.size - 1, false);
    ck_assert(vtrace_record_set_packet(&r, pk.data, pk.size, &key));
    ck_assert_uint_eq(r.frag_offset, 185 * 8);
    ck_assert_uint_eq(r.protocol, IPPROTO_UDP);
    ck_assert_uint_eq(r.flags, VTRACE_F_FRAGMENT | VTRACE_F_NO_PORTS);
}
END_TEST

/* Ethernet padding does not count, and neither does what snap length cut
 * off. */
START_TEST(test_padding)
{
    struct packet pk, padded;

    unit_seed(_i);
    make_packet(&pk, _i & 1, IPPROTO_UDP, 8, unit_range(0, 30));
    padded = pk;
    padded.size = 200;
    for (size_t i = pk.size; i < padded.size; i++) {
        ck_assert(!changes(&padded, i));
    }
    ck_assert(digest(&pk) == digest(&padded));
}
END_TEST

/* The record says what the packet is. */
START_TEST(test_record)
{
    struct vtrace_record r;
    struct packet pk;

    make_packet(&pk, IP4, IPPROTO_TCP, 20, 100);
    pk.data[8] = 61;
    put16(pk.data + 4, 0x1234);
    memcpy(pk.data + 12, "\12\1\2\3\300\250\0\1", 8);
    memcpy(pk.data + 20, "\x12\x34\0\x50\1\2\3\4", 8);
    pk.data[33] = TCP_PSH | TCP_ACK;
    memset(&r, 0, sizeof r);
    r.flags = VTRACE_F_SUPER | VTRACE_F_NO_PORTS;
    r.color = 77;
    ck_assert(vtrace_record_set_packet(&r, pk.data, pk.size, &key));
    ck_assert_uint_eq(r.ip_version, 4);
    ck_assert_uint_eq(r.protocol, IPPROTO_TCP);
    ck_assert_uint_eq(r.ttl, 61);
    ck_assert_uint_eq(r.ip_id, 0x1234);
    ck_assert_uint_eq(r.ip_len, 140);
    ck_assert_uint_eq(r.payload_len, 100);
    ck_assert_uint_eq(r.src_port, 0x1234);
    ck_assert_uint_eq(r.dst_port, 80);
    ck_assert_uint_eq(r.tcp_seq, 0x01020304);
    ck_assert_uint_eq(r.tcp_flags & 0xff, TCP_PSH | TCP_ACK);
    ck_assert_uint_eq(r.flags, VTRACE_F_SUPER);
    ck_assert_uint_eq(r.color, 77);
    ck_assert(in6_addr_get_mapped_ipv4(&r.src) == htonl(0x0a010203));
    ck_assert(in6_addr_get_mapped_ipv4(&r.dst) == htonl(0xc0a80001));
}
END_TEST

/* Any bytes, in a buffer of just their size, so that AddressSanitizer or
 * valgrind sees a read beyond. */
START_TEST(test_any)
{
    unit_seed(_i);
    for (int i = 0; i < 20000; i++) {
        size_t size = unit_range(0, 120);
        uint8_t *data = xmalloc(size ? size : 1);
        struct vtrace_record r;

        memset(&r, 0, sizeof r);
        random_bytes(data, size);
        if (size > 9 && unit_chance(.9)) {
            static const uint8_t protocols[] = { 0, 1, 6, 17, 43, 44, 50, 58,
                                                 60, 132 };
            uint8_t protocol = protocols[unit_range(0, 9)];

            data[0] = unit_chance(.5) ? 0x40 | unit_range(4, 7) : 0x60;
            data[data[0] >> 4 == 4 ? 9 : 6] = protocol;
            if (unit_chance(.8)) {
                put16(data + (data[0] >> 4 == 4 ? 2 : 4), unit_range(0, 130));
            }
        }
        bool ok = vtrace_record_set_packet(&r, data, size, &key);
        if (!ok) {
            struct vtrace_record zeros;

            memset(&zeros, 0, sizeof zeros);
            ck_assert(!memcmp(&r, &zeros, sizeof r));
        } else {
            ck_assert_uint_ge(size, 20);
            ck_assert_uint_lt(r.payload_len, 65536);
        }
        free(data);
    }
}
END_TEST

/* Times survive the wire. */
START_TEST(test_ntp)
{
    unit_seed(_i);
    for (int i = 0; i < 10000; i++) {
        uint64_t ns = ((uint64_t) unit_range(0, 2085978495) * SEC
                       + unit_range(0, SEC - 1));

        ck_assert_uint_eq(vtrace_time_from_ntp(vtrace_time_to_ntp(ns)), ns);
    }
    ck_assert_uint_eq(vtrace_time_to_ntp(0) >> 32, 2208988800U);
}
END_TEST

static Suite *
suite(void)
{
    Suite *s = suite_create("vtrace-digest");
    TCase *tc = unit_case(s, "digest", 60);

    tcase_add_test(tc, test_siphash);
    tcase_add_test(tc, test_key);
    tcase_add_loop_test(tc, test_tcp, 0, 50);
    tcase_add_loop_test(tc, test_tcp_options, 0, 10);
    tcase_add_loop_test(tc, test_udp, 0, 50);
    tcase_add_loop_test(tc, test_icmp, 0, 50);
    tcase_add_loop_test(tc, test_icmp_error, 0, 50);
    tcase_add_loop_test(tc, test_esp, 0, 10);
    tcase_add_loop_test(tc, test_fragment, 0, 20);
    tcase_add_loop_test(tc, test_padding, 0, 50);
    tcase_add_test(tc, test_record);
    tcase_add_loop_test(tc, test_any, 0, 5);
    tcase_add_loop_test(tc, test_ntp, 0, 5);
    return s;
}

int
main(void)
{
    return unit_run(suite());
}
