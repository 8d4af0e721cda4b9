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


/* Codec of probes. */

#include <config.h>
#include "unit.h"

#include <string.h>

#include "ofproto-zoo/zoo-probe.h"
#include "random.h"
#include "sample.h"
#include "util.h"

static void
check_equal(const struct zoo_probe *a, const struct zoo_probe *b)
{
    ck_assert_int_eq(a->type, b->type);
    ck_assert_uint_eq(a->flags, b->flags);
    ck_assert_uint_eq(a->caps, b->caps);
    ck_assert_uint_eq(a->ctl, b->ctl);
    ck_assert_uint_eq(a->key_id, b->key_id);
    ck_assert_uint_eq(a->newest_key, b->newest_key);
    ck_assert_uint_eq(a->round, b->round);
    ck_assert_uint_eq(a->session, b->session);
    ck_assert_uint_eq(a->challenge, b->challenge);
    ck_assert_uint_eq(a->tx_time, b->tx_time);
    ck_assert(eth_addr_equals(a->backend_id, b->backend_id));
    ck_assert_uint_eq(a->n_entries, b->n_entries);
    for (unsigned int i = 0; i < a->n_entries; i++) {
        ck_assert_uint_eq(a->entries[i].sport, b->entries[i].sport);
        ck_assert_uint_eq(a->entries[i].history, b->entries[i].history);
        ck_assert_uint_eq(a->entries[i].last, b->entries[i].last);
        ck_assert_uint_eq(a->entries[i].age_us, b->entries[i].age_us);
    }
}

/* Decodes a copy of the 'len' bytes at 'data' that ends where they do, so that
 * a sanitizer sees what reads on. */
static enum zoo_probe_error
decode(const uint8_t *data, size_t len, struct zoo_probe *probe, size_t *lenp)
{
    uint8_t *copy = xmemdup(data, len + !len);
    enum zoo_probe_error error = zoo_probe_decode(copy, len, probe, lenp);

    free(copy);
    return error;
}

/* Returns the error for the sample with 'n' bytes at 'ofs' replaced. */
static enum zoo_probe_error
decode_changed(size_t ofs, const char *bytes, size_t n)
{
    struct zoo_probe probe;
    uint8_t buf[SAMPLE_LEN];
    size_t len;

    memcpy(buf, sample_bytes, sizeof buf);
    memcpy(buf + ofs, bytes, n);
    return decode(buf, sizeof buf, &probe, &len);
}

START_TEST(sample_as_documented)
{
    uint8_t buf[ZOO_PROBE_MAX_LEN];
    struct zoo_probe probe;
    size_t len;

    memset(buf, 0xee, sizeof buf);
    ck_assert_uint_eq(zoo_probe_encode(&sample_probe, buf), SAMPLE_LEN);
    ck_assert_mem_eq(buf, sample_bytes, SAMPLE_LEN - ZOO_PROBE_HMAC_LEN);
    for (int i = 0; i < ZOO_PROBE_HMAC_LEN; i++) {
        ck_assert_uint_eq(buf[SAMPLE_LEN - 1 - i], 0);
    }
    ck_assert_uint_eq(buf[SAMPLE_LEN], 0xee);

    ck_assert_int_eq(decode(sample_bytes, SAMPLE_LEN, &probe, &len),
                     ZOO_PROBE_OK);
    ck_assert_uint_eq(len, SAMPLE_LEN);
    check_equal(&probe, &sample_probe);
}
END_TEST

START_TEST(round_trip)
{
    for (uint32_t seed = 0; seed < 500; seed++) {
        unsigned int n = seed % ZOO_MAX_CANDIDATES + 1;
        uint8_t buf[ZOO_PROBE_MAX_LEN];
        struct zoo_probe probe, decoded;
        size_t len, decoded_len;

        unit_seed(seed);
        sample_random(&probe, n);
        len = zoo_probe_encode(&probe, buf);
        ck_assert_uint_eq(len, zoo_probe_size(n));
        ck_assert_uint_le(len, ZOO_PROBE_MAX_LEN);
        memset(&decoded, 0xaa, sizeof decoded);
        ck_assert_int_eq(decode(buf, len, &decoded, &decoded_len),
                         ZOO_PROBE_OK);
        ck_assert_uint_eq(len, decoded_len);
        check_equal(&probe, &decoded);
    }
}
END_TEST

START_TEST(every_truncation)
{
    for (unsigned int n = 1; n <= ZOO_MAX_CANDIDATES; n++) {
        uint8_t buf[ZOO_PROBE_MAX_LEN];
        struct zoo_probe probe;
        size_t len;

        unit_seed(n);
        sample_random(&probe, n);
        size_t full = zoo_probe_encode(&probe, buf);

        for (size_t i = 0; i < full; i++) {
            enum zoo_probe_error error = decode(buf, i, &probe, &len);

            unit_assert(error == ZOO_PROBE_TRUNCATED, "%u entries, %"PRIuSIZE
                        " bytes: %s", n, i, zoo_probe_error_to_string(error));
        }
    }
}
END_TEST

/* Short frames are padded, and the pop function copies no more than the
 * maximum. */
START_TEST(trailing_bytes_are_ignored)
{
    uint8_t buf[SAMPLE_LEN + 1000];
    struct zoo_probe probe;
    size_t len;

    memset(buf, 0xff, sizeof buf);
    memcpy(buf, sample_bytes, SAMPLE_LEN);
    for (size_t i = SAMPLE_LEN; i <= sizeof buf; i += 47) {
        ck_assert_int_eq(decode(buf, i, &probe, &len), ZOO_PROBE_OK);
        ck_assert_uint_eq(len, SAMPLE_LEN);
        check_equal(&probe, &sample_probe);
    }
}
END_TEST

START_TEST(versions)
{
    for (int v = 0; v <= UINT8_MAX; v++) {
        ck_assert_int_eq(decode_changed(0, (char[]) { v }, 1),
                         v == ZOO_PROBE_VERSION ? ZOO_PROBE_OK
                         : ZOO_PROBE_BAD_VERSION);
    }
}
END_TEST

START_TEST(types)
{
    for (int t = 0; t <= UINT8_MAX; t++) {
        ck_assert_int_eq(decode_changed(1, (char[]) { t }, 1),
                         t == ZOO_PROBE_REQUEST || t == ZOO_PROBE_REPORT
                         ? ZOO_PROBE_OK : ZOO_PROBE_MALFORMED);
    }
}
END_TEST

START_TEST(lengths)
{
    struct zoo_probe probe;
    uint8_t buf[1024];
    size_t len;

    for (int l = 0; l <= UINT16_MAX; l++) {
        enum zoo_probe_error error
            = decode_changed(2, (char[]) { l >> 8, l }, 2);

        unit_assert(error == (l == SAMPLE_LEN ? ZOO_PROBE_OK
                              : ZOO_PROBE_MALFORMED),
                    "length %d: %s", l, zoo_probe_error_to_string(error));
    }

    /* Numbers of entries, with the length that goes with each. */
    for (int n = 0; n <= UINT8_MAX; n++) {
        size_t size = zoo_probe_size(n);

        memset(buf, 0xff, sizeof buf);
        memcpy(buf, sample_bytes, 48);
        buf[9] = n;
        buf[2] = size >> 8;
        buf[3] = size;
        enum zoo_probe_error error = decode(buf, sizeof buf, &probe, &len);

        unit_assert(error == (n > ZOO_MAX_CANDIDATES ? ZOO_PROBE_OVERSIZE
                              : !n ? ZOO_PROBE_MALFORMED : ZOO_PROBE_OK),
                    "%d entries: %s", n, zoo_probe_error_to_string(error));
    }
    ck_assert_int_eq(decode_changed(9, "\x01", 1), ZOO_PROBE_MALFORMED);
    ck_assert_int_eq(decode_changed(9, "\x03", 1), ZOO_PROBE_MALFORMED);
}
END_TEST

START_TEST(values_that_must_not_be)
{
    ck_assert_int_eq(decode_changed(12, "\0\0\0\0", 4), ZOO_PROBE_MALFORMED);
    ck_assert_int_eq(decode_changed(16, "\0\0\0\0\0\0\0\0", 8),
                     ZOO_PROBE_MALFORMED);
    ck_assert_int_eq(decode_changed(48, "\x7f\xff", 2), ZOO_PROBE_MALFORMED);
    ck_assert_int_eq(decode_changed(48, "\0\0", 2), ZOO_PROBE_MALFORMED);
    ck_assert_int_eq(decode_changed(60, "\x12\xb5", 2), ZOO_PROBE_MALFORMED);
    ck_assert_int_eq(decode_changed(60, "\x80\x00", 2), ZOO_PROBE_OK);
}
END_TEST

/* Whatever arrives, nothing is read that is not there, and what is accepted is
 * within its bounds. */
START_TEST(anything_at_all)
{
    for (uint32_t seed = 0; seed < 20000; seed++) {
        uint8_t buf[ZOO_PROBE_MAX_LEN];
        struct zoo_probe probe;
        size_t n, len;

        unit_seed(seed);
        sample_random(&probe, unit_range(1, ZOO_MAX_CANDIDATES));
        n = zoo_probe_encode(&probe, buf);
        for (int i = random_range(4); i >= 0; i--) {
            buf[random_range(unit_chance(.5) ? 16 : n)] = random_uint8();
        }
        n = unit_chance(.5) ? n : random_range(sizeof buf + 1);
        if (!decode(buf, n, &probe, &len)) {
            unit_assert(len <= n && len == zoo_probe_size(probe.n_entries)
                        && probe.n_entries <= ZOO_MAX_CANDIDATES
                        && probe.n_entries && probe.round && probe.session,
                        "seed %u", seed);
        }
    }
}
END_TEST

START_TEST(errors_have_names)
{
    for (int i = 0; i < ZOO_PROBE_N_ERRORS; i++) {
        const char *name = zoo_probe_error_to_string(i);

        ck_assert_uint_gt(strlen(name), 0);
        ck_assert_uint_eq(strspn(name, "abcdefghijklmnopqrstuvwxyz_"),
                          strlen(name));
        for (int j = 0; j < i; j++) {
            ck_assert_str_ne(name, zoo_probe_error_to_string(j));
        }
    }
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("probe");
    TCase *tc;

    tc = unit_case(s, "good", 60);
    tcase_add_test(tc, sample_as_documented);
    tcase_add_test(tc, round_trip);
    tcase_add_test(tc, trailing_bytes_are_ignored);

    tc = unit_case(s, "bad", 60);
    tcase_add_test(tc, every_truncation);
    tcase_add_test(tc, versions);
    tcase_add_test(tc, types);
    tcase_add_test(tc, lengths);
    tcase_add_test(tc, values_that_must_not_be);
    tcase_add_test(tc, anything_at_all);
    tcase_add_test(tc, errors_have_names);

    return unit_run(s);
}
