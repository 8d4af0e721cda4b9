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

/* Which packets are sampled: by what vtrace-sample.h says and nothing else, the
 * same whether computed in the short way or from all of the packet, and no more
 * or less of them than there should be. */

#include <config.h>
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "ovs-ext/vtrace-digest.h"
#include "ovs-ext/vtrace-record.h"
#include "ovs-ext/vtrace-sample.h"
#include "openvswitch/ofpbuf.h"
#include "packets.h"
#include "util.h"

static const struct vtrace_digest_key digest_key = VTRACE_DIGEST_KEY_INIT;
static struct vtrace_sample_key key;

/* The answers are those of tests/digest.py. */
static const struct {
    const char *name, *hex;
    uint64_t digest;
    uint32_t sample;
} known[] = {
    { "TCP",
      "4500002812344000400600000a0000010a000002040000500102030405060708"
      "50180200beef0000",
      0xec1ea41141107f31, 0x9b325666 },
    { "TCP with a timestamp",
      "4500004812344000400600000a0000010a000002040000500102030405060708"
      "80100200beef00000101080a000000010000000201080f161d242b323940474e"
      "555c636a71787f86",
      0xdc814ba7d0cda6fd, 0xe8cafd2b },
    { "UDP",
      "4500003812344000401100000a0000010a000002138800350024beef030a1118"
      "1f262d343b424950575e656c737a81888f969da4abb2b9c0",
      0xd37a148da907b85b, 0xc2030e93 },
    { "short UDP",
      "4500002112344000401100000a0000010a00000213880035000dbeef030a1118"
      "1f",
      0xd7329dce3c703377, 0x663f0334 },
    { "TCP over IPv6",
      "6000000000180640000000000000000000000000000000010000000000000000"
      "000000000000000204000050010203040506070850180200beef00000910171e",
      0x89d1c6531b3bf23b, 0xf522738a },
    { "UDP behind an extension header",
      "6000000000383c40000000000000000000000000000000010000000000000000"
      "00000000000000021100000000000000138800350030beef0b121920272e353c"
      "434a51585f666d747b828990979ea5acb3bac1c8cfd6dde4ebf2f900070e151c",
      0x9f881029283feea6, 0x2a58f57b },
    { "a first fragment",
      "4500004412342000401100000a0000010a000002138800350030beef0d141b22"
      "2930373e454c535a61686f767d848b9299a0a7aeb5bcc3cad1d8dfe6edf4fb02"
      "0910171e",
      0x8e1aa68a5e120728, 0x7b256210 },
    { "another fragment",
      "4500003c123420b9401100000a0000010a0000020f161d242b323940474e555c"
      "636a71787f868d949ba2a9b0b7bec5ccd3dae1e8eff6fd040b121920",
      0x4d6a65dbe8535266, 0x6642f999 },
    { "IPv6 fragment",
      "6000000000302c40000000000000000000000000000000010000000000000000"
      "0000000000000002110005c9deadbeef10171e252c333a41484f565d646b7279"
      "80878e959ca3aab1b8bfc6cdd4dbe2e9f0f7fe050c131a21",
      0x9407a6b37b5b9235, 0x758e3de2 },
    { "ICMP echo",
      "4500003412344000400100000a0000010a00000208000000004d000511181f26"
      "2d343b424950575e656c737a81888f969da4abb2",
      0x9ff4bea7e2539a04, 0x271e37e0 },
    { "ICMP error",
      "4500003812344000400100000a0000010a00000203040000000005784500001c"
      "12344000401100000a0000010a000002138800350008beef",
      0xaf7f974c51d4ec16, 0x520dad4f },
    { "ESP",
      "4500003c12344000403200000a0000010a000002131a21282f363d444b525960"
      "676e757c838a91989fa6adb4bbc2c9d0d7dee5ecf3fa01080f161d24",
      0xa3da90e09793b166, 0xfcf893b1 },
    { "IPv4 with options",
      "4600002c12344000400600000a0000010a000002010101000400005001020304"
      "0506070850180200beef0000",
      0xec1ea41141107f31, 0x9b325666 },
};

static size_t
get_known(size_t i, uint8_t *data, size_t size)
{
    struct ofpbuf b;

    ofpbuf_use_stack(&b, data, size);
    ck_assert(!*ofpbuf_put_hex(&b, known[i].hex, NULL));
    return b.size;
}

static uint32_t
sample(const uint8_t *ip, size_t size)
{
    uint32_t s;

    ck_assert(vtrace_sample(&key, ip, size, &s));
    return s;
}

START_TEST(test_known)
{
    uint8_t ip[256];
    size_t size = get_known(_i, ip, sizeof ip);
    struct vtrace_record r;

    memset(&r, 0, sizeof r);
    ck_assert(vtrace_record_set_packet(&r, ip, size, &digest_key));
    unit_assert(r.digest == known[_i].digest, "%s: %016"PRIx64,
                known[_i].name, r.digest);
    unit_assert(sample(ip, size) == known[_i].sample, "%s: %08"PRIx32,
                known[_i].name, sample(ip, size));
}
END_TEST

/* Makes an IP packet in 'ip' whose header and extension headers take
 * '*header_len' bytes.  Returns its length. */
static size_t
make_packet(uint8_t *ip, size_t *header_len)
{
    static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP,
                                         IPPROTO_ICMP, IPPROTO_FRAGMENT,
                                         IPPROTO_DSTOPTS };
    uint8_t protocol = protocols[unit_range(0, unit_chance(.7) ? 1 : 4)];
    bool ip4 = unit_chance(.6);
    size_t size;

    *header_len = !ip4 ? 40 : unit_chance(.8) ? 20 : 20 + 4 * unit_range(1, 3);
    size = *header_len + 8 * (protocol == IPPROTO_FRAGMENT
                              || protocol == IPPROTO_DSTOPTS)
           + unit_range(0, 70);
    for (size_t i = 0; i < size; i++) {
        ip[i] = unit_range(0, 255);
    }
    if (ip4) {
        ip[0] = 0x40 | *header_len / 4;
        ip[2] = size >> 8;
        ip[3] = size;
        if (unit_chance(.8)) {
            ip[6] &= 0x40;
            ip[7] = 0;
        }
        ip[9] = protocol;
    } else {
        ip[0] = 0x60 | unit_range(0, 15);
        ip[4] = (size - 40) >> 8;
        ip[5] = size - 40;
        ip[6] = protocol;
        if (protocol == IPPROTO_FRAGMENT || protocol == IPPROTO_DSTOPTS) {
            ip[40] = unit_chance(.5) ? IPPROTO_TCP : IPPROTO_UDP;
            ip[41] = 0;
            *header_len += 8;
        }
    }
    return size;
}

START_TEST(test_fast)
{
    unsigned int n_fast[2] = { 0, 0 };

    unit_seed(_i);
    for (int i = 0; i < 20000; i++) {
        uint8_t ip[200];
        size_t header_len;
        size_t size = make_packet(ip, &header_len);
        uint32_t fast;

        if (vtrace_sample_fast(&key, ip, header_len, size - header_len,
                               &fast)) {
            n_fast[ip[0] >> 4 == 6]++;
            ck_assert_uint_eq(fast, sample(ip, size));
        }
    }
    /* Most are TCP or UDP. */
    ck_assert_uint_gt(n_fast[0], 2000);
    ck_assert_uint_gt(n_fast[1], 1000);
}
END_TEST

/* Each bit of what is hashed counts, and no other behind the IP header. */
START_TEST(test_bits)
{
    static const struct {
        size_t i;               /* In 'known'. */
        const char *counts;     /* Of each byte: x or -. */
    } bits[] = {
        { 0, "----xxxxxxxxxx------" },
        { 2, "----xx--xxxxxxxxxxxxxxxxxxxxxxxxxxxx" },
    };
    uint8_t ip[256];
    size_t size = get_known(bits[_i].i, ip, sizeof ip);
    uint32_t before = sample(ip, size);

    ck_assert_uint_eq(size, 20 + strlen(bits[_i].counts));
    for (size_t ofs = 20; ofs < size; ofs++) {
        char c = bits[_i].counts[ofs - 20];

        for (int bit = 0; bit < 8; bit++) {
            if (_i == 0 && ofs == 32 && bit >= 4) {
                continue;       /* Where TCP's header ends. */
            }
            ip[ofs] ^= 1 << bit;
            unit_assert((sample(ip, size) != before) == (c != '-'),
                        "byte %"PRIuSIZE", bit %d", ofs, bit);
            ip[ofs] ^= 1 << bit;
        }
    }
}
END_TEST

enum { N = 200000 };

/* Stores 'i' in the four bytes of 'ip' from 'ofs' on. */
static void
put_number(uint8_t *ip, unsigned int i, size_t ofs)
{
    for (int byte = 3; byte >= 0; byte--) {
        ip[ofs + byte] = i;
        i >>= 8;
    }
}

/* Checks how many are sampled of packets that are 'known[which]' but for a
 * number at offset 'ofs'. */
static void
check_share(size_t which, size_t ofs)
{
    unsigned int counts[VTRACE_EXP_MAX + 1] = { 0 };
    uint8_t ip[256];
    size_t size = get_known(which, ip, sizeof ip);

    for (unsigned int i = 0; i < N; i++) {
        put_number(ip, i, ofs);

        uint32_t s = sample(ip, size);
        for (int e = 0; e <= VTRACE_EXP_MAX && vtrace_is_sampled(s, e); e++) {
            counts[e]++;
        }
    }
    ck_assert_uint_eq(counts[0], N);
    for (int e = 1; e <= VTRACE_EXP_MAX; e++) {
        double expected = (double) N / (1 << 2 * e);

        /* Six standard deviations. */
        ck_assert_double_le((counts[e] - expected) * (counts[e] - expected),
                            36 * expected);
    }
}

/* Packets that differ in one number. */
START_TEST(test_share)
{
    check_share(0, 24);         /* TCP, sequence number. */
    check_share(0, 28);
    check_share(2, 28);         /* UDP, payload. */
    check_share(2, 36);
    check_share(2, 40);
    check_share(2, 52);
    check_share(9, 28);         /* ICMP echo, payload. */
    check_share(11, 24);        /* ESP, sequence number. */
}
END_TEST

/* A 16-bit identification alone. */
START_TEST(test_identification)
{
    static const size_t which[] = { 0, 2, 3, 9 };
    uint8_t ip[256];
    size_t size = get_known(which[_i], ip, sizeof ip);
    unsigned int n = 0, longest = 0, last = 0;

    for (unsigned int i = 0; i < 65536; i++) {
        ip[4] = i >> 8;
        ip[5] = i;
        if (which[_i] == 2) {
            /* A number in the payload that is the same. */
            memcpy(ip + 46, ip + 4, 2);
        }
        if (vtrace_is_sampled(sample(ip, size), 2)) {
            n++;
            longest = MAX(longest, i - last);
            last = i;
        }
    }
    /* 4096, six standard deviations; a gap this long has a chance of 2e-9. */
    ck_assert_uint_ge(n, 4096 - 6 * 64);
    ck_assert_uint_le(n, 4096 + 6 * 64);
    ck_assert_uint_lt(longest, 480);
}
END_TEST

/* Other switches of the domain choose other packets with another key, and a
 * digest says nothing about who is sampled. */
START_TEST(test_independence)
{
    struct vtrace_digest_key other_digest_key = digest_key;
    struct vtrace_sample_key other;
    unsigned int n = 0, n_both = 0, n_digest = 0;
    uint8_t ip[256];
    size_t size = get_known(0, ip, sizeof ip);

    other_digest_key.k1 ^= 1;
    vtrace_sample_key_init(&other, &other_digest_key);
    for (unsigned int i = 0; i < N; i++) {
        struct vtrace_record r;
        uint32_t s;

        put_number(ip, i, 24);
        if (vtrace_is_sampled(sample(ip, size), 1)) {
            n++;
            ck_assert(vtrace_sample(&other, ip, size, &s));
            n_both += vtrace_is_sampled(s, 1);
            memset(&r, 0, sizeof r);
            vtrace_record_set_packet(&r, ip, size, &digest_key);
            n_digest += vtrace_is_sampled(r.digest, 1);
        }
    }
    ck_assert_uint_ge(n_both, n / 4 - 6 * 112);
    ck_assert_uint_le(n_both, n / 4 + 6 * 112);
    ck_assert_uint_ge(n_digest, n / 4 - 6 * 112);
    ck_assert_uint_le(n_digest, n / 4 + 6 * 112);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("vtrace-sample");
    TCase *tc = unit_case(suite, "sample", 60);

    vtrace_sample_key_init(&key, &digest_key);
    tcase_add_loop_test(tc, test_known, 0, ARRAY_SIZE(known));
    tcase_add_loop_test(tc, test_fast, 0, 5);
    tcase_add_loop_test(tc, test_bits, 0, 2);
    tcase_add_test(tc, test_share);
    tcase_add_loop_test(tc, test_identification, 0, 4);
    tcase_add_test(tc, test_independence);
    return unit_run(suite);
}
