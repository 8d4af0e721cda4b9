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


/* Key file and HMAC. */

#include <config.h>
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ofproto-zoo/zoo-auth.h"
#include "openvswitch/dynamic-string.h"
#include "random.h"
#include "sample.h"
#include "util.h"

#define KEY_A "000102030405060708090a0b0c0d0e0f"
#define KEY_B "101112131415161718191a1b1c1d1e1f"

static struct zoo_auth *
parse(const char *s)
{
    struct zoo_auth *auth;
    char *error;

    auth = zoo_auth_parse(s, "keys", &error);
    ck_assert_msg(auth && !error, "%s: %s", s, error);
    return auth;
}

static void
check_parse_error(const char *s, const char *expected)
{
    struct zoo_auth *auth;
    char *error;

    auth = zoo_auth_parse(s, "keys", &error);
    ck_assert_ptr_null(auth);
    ck_assert_str_eq(error, expected);
    free(error);
}

/* Writes 's' to a temporary file, whose name the caller must free. */
static char *
write_file(const char *s, size_t len)
{
    char *name = xstrdup("/tmp/zoo-test-auth.XXXXXX");
    int fd = mkstemp(name);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, s, len), len);
    close(fd);
    return name;
}

/* Key file. */

START_TEST(key_file)
{
    static const char hex[] =
        "00112233445566778899aabbccddeeffAABBCCDDEEFF00112233445566778899"
        "00112233445566778899aabbccddeeffAABBCCDDEEFF00112233445566778899";
    struct zoo_auth *auth;
    char *s;

    auth = parse("\n# Comment.\n  # Another.\n\n1 " KEY_A "\n\t65535\t" KEY_B
                 " \r\n#2 " KEY_A "\n   \n");
    ck_assert_uint_eq(zoo_auth_newest(auth), 65535);
    ck_assert_uint_eq(zoo_auth_choose(auth, 1, 0), 1);
    ck_assert_uint_eq(zoo_auth_choose(auth, 2, 0), 65535);
    zoo_auth_unref(auth);

    /* No newline at the end; the longest key. */
    s = xasprintf("7 %.128s", hex);
    auth = parse(s);
    ck_assert_uint_eq(zoo_auth_newest(auth), 7);
    zoo_auth_unref(auth);
    free(s);
}
END_TEST

START_TEST(key_file_errors)
{
    static const char digits[] =
        "keys:1: key must be 32 to 128 hexadecimal digits, an even number";
    static const char form[] = "keys:1: expected ID HEXKEY";
    static const char range[] = "keys:1: key ID is out of range 1..65535";
    struct ds s = DS_EMPTY_INITIALIZER;

    check_parse_error("", "keys: there is no key in it");
    check_parse_error("# 1 " KEY_A "\n", "keys: there is no key in it");
    check_parse_error("1\n", form);
    check_parse_error(KEY_A "\n", form);
    check_parse_error("1 " KEY_A " " KEY_B "\n", form);
    check_parse_error("0 " KEY_A "\n", range);
    check_parse_error("65536 " KEY_A "\n", range);
    check_parse_error("4294967297 " KEY_A "\n", range);
    check_parse_error("-1 " KEY_A "\n", range);
    check_parse_error("1x " KEY_A "\n", range);
    check_parse_error("1 " KEY_A "0\n", digits);
    check_parse_error("1 000102030405060708090a0b0c0d0e\n", digits);
    ds_put_cstr(&s, "1 ");
    ds_put_char_multiple(&s, 'a', 130);
    check_parse_error(ds_cstr(&s), digits);
    check_parse_error("1 000102030405060708090a0b0c0d0e0g\n",
                      "keys:1: key has a character that is not a hexadecimal "
                      "digit");
    check_parse_error("# Comment\n\n1 " KEY_A "\n1 " KEY_B "\n",
                      "keys:4: key ID is there twice");

    /* Sixteen keys are the most. */
    ds_clear(&s);
    for (int i = 1; i <= 16; i++) {
        ds_put_format(&s, "%d %s\n", i, KEY_A);
    }
    struct zoo_auth *auth = parse(ds_cstr(&s));
    ck_assert_uint_eq(zoo_auth_newest(auth), 16);
    zoo_auth_unref(auth);
    ds_put_cstr(&s, "17 " KEY_A "\n");
    check_parse_error(ds_cstr(&s), "keys:17: more keys than the 16 that may "
                      "be in use at once");
    ds_destroy(&s);
}
END_TEST

START_TEST(key_file_from_disk)
{
    struct zoo_auth *auth, *parsed;
    char *name, *error;

    name = write_file(SAMPLE_KEY_FILE, strlen(SAMPLE_KEY_FILE));
    auth = zoo_auth_load(name, &error);
    ck_assert_msg(auth != NULL, "%s", error);
    parsed = parse(SAMPLE_KEY_FILE);
    ck_assert(zoo_auth_equal(auth, parsed));
    zoo_auth_unref(auth);
    zoo_auth_unref(parsed);

    unlink(name);
    ck_assert_ptr_null(zoo_auth_load(name, &error));
    char *expected = xasprintf("%s: %s", name, ovs_strerror(ENOENT));
    ck_assert_str_eq(error, expected);
    free(expected);
    free(error);
    free(name);

    ck_assert_ptr_null(zoo_auth_load("/", &error));
    expected = xasprintf("/: %s", ovs_strerror(EISDIR));
    ck_assert_str_eq(error, expected);
    free(expected);
    free(error);
}
END_TEST

/* A key must not go unnoticed because the file is longer than one should
 * be. */
START_TEST(key_file_too_long)
{
    struct ds s = DS_EMPTY_INITIALIZER;
    char *name, *error;

    ds_put_cstr(&s, "1 " KEY_A "\n");
    while (s.length < 65536) {
        ds_put_cstr(&s, "# This line says nothing at all.\n");
    }
    ds_put_cstr(&s, "2 " KEY_B "\n");
    name = write_file(s.string, s.length);
    ck_assert_ptr_null(zoo_auth_load(name, &error));
    char *expected = xasprintf("%s: longer than the 65536 bytes that a key "
                               "file may have", name);
    ck_assert_str_eq(error, expected);
    free(expected);
    free(error);
    unlink(name);
    free(name);

    ds_destroy(&s);
}
END_TEST

/* Nor behind a NUL. */
START_TEST(key_file_not_text)
{
    static const char content[] = "1 " KEY_A "\n\0\n2 " KEY_B "\n";
    char *name, *error, *expected;

    name = write_file(content, sizeof content - 1);
    ck_assert_ptr_null(zoo_auth_load(name, &error));
    expected = xasprintf("%s: not a text file", name);
    ck_assert_str_eq(error, expected);
    free(expected);
    free(error);
    unlink(name);
    free(name);
}
END_TEST

START_TEST(equality)
{
    struct zoo_auth *a = parse("1 " KEY_A "\n2 " KEY_B "\n");
    struct zoo_auth *same = parse("#\n1 " KEY_A "\n\n2 " KEY_B);
    struct zoo_auth *order = parse("2 " KEY_B "\n1 " KEY_A "\n");
    struct zoo_auth *key = parse("1 " KEY_A "\n2 " KEY_A "\n");
    struct zoo_auth *id = parse("1 " KEY_A "\n3 " KEY_B "\n");
    struct zoo_auth *less = parse("1 " KEY_A "\n");

    ck_assert(zoo_auth_equal(a, a));
    ck_assert(zoo_auth_equal(a, same));
    ck_assert(!zoo_auth_equal(a, order));
    ck_assert(!zoo_auth_equal(a, key));
    ck_assert(!zoo_auth_equal(a, id));
    ck_assert(!zoo_auth_equal(a, less));
    ck_assert(!zoo_auth_equal(a, NULL));
    ck_assert(!zoo_auth_equal(NULL, a));
    ck_assert(zoo_auth_equal(NULL, NULL));

    ck_assert_ptr_eq(zoo_auth_ref(a), a);
    zoo_auth_unref(a);
    ck_assert_uint_eq(zoo_auth_newest(a), 2);
    zoo_auth_unref(a);
    zoo_auth_unref(same);
    zoo_auth_unref(order);
    zoo_auth_unref(key);
    zoo_auth_unref(id);
    zoo_auth_unref(less);
    ck_assert_ptr_null(zoo_auth_ref(NULL));
    zoo_auth_unref(NULL);
}
END_TEST

/* Which key signs. */

START_TEST(choice_of_key)
{
    struct zoo_auth *auth = parse("5 " KEY_A "\n3 " KEY_B "\n9 " KEY_A "\n");

    /* The peer's newest, as long as it is here too. */
    ck_assert_uint_eq(zoo_auth_choose(auth, 3, 0), 3);
    ck_assert_uint_eq(zoo_auth_choose(auth, 3, 7), 3);
    /* Otherwise the newest first, and then each. */
    ck_assert_uint_eq(zoo_auth_choose(auth, 0, 0), 9);
    ck_assert_uint_eq(zoo_auth_choose(auth, 4, 0), 9);
    ck_assert_uint_eq(zoo_auth_choose(auth, 0, 1), 3);
    ck_assert_uint_eq(zoo_auth_choose(auth, 0, 2), 5);
    ck_assert_uint_eq(zoo_auth_choose(auth, 0, 3), 9);
    ck_assert_uint_eq(zoo_auth_choose(auth, 0, UINT_MAX), 9);
    zoo_auth_unref(auth);

    ck_assert_uint_eq(zoo_auth_newest(NULL), 0);
    ck_assert_uint_eq(zoo_auth_choose(NULL, 0, 0), 0);
    ck_assert_uint_eq(zoo_auth_choose(NULL, 3, 1), 0);
}
END_TEST

/* HMAC. */

START_TEST(sample_signature)
{
    struct zoo_auth *auth = parse(SAMPLE_KEY_FILE);
    uint8_t buf[ZOO_PROBE_MAX_LEN];
    size_t len;

    len = zoo_probe_encode(&sample_probe, buf);
    zoo_auth_sign(auth, SAMPLE_KEY_ID, NULL, buf, len);
    ck_assert_mem_eq(buf, sample_bytes, SAMPLE_LEN);
    ck_assert_int_eq(zoo_auth_verify(auth, SAMPLE_KEY_ID, NULL, sample_bytes,
                                     SAMPLE_LEN), ZOO_PROBE_OK);
    zoo_auth_unref(auth);
}
END_TEST

START_TEST(every_flipped_bit_is_noticed)
{
    struct zoo_auth *auth = parse(SAMPLE_KEY_FILE);

    for (size_t i = 0; i < SAMPLE_LEN * 8; i++) {
        enum zoo_probe_error error;
        uint8_t buf[SAMPLE_LEN];
        struct zoo_probe probe;
        size_t len;

        memcpy(buf, sample_bytes, sizeof buf);
        buf[i / 8] ^= 1 << i % 8;
        error = zoo_probe_decode(buf, sizeof buf, &probe, &len);
        if (!error) {
            error = zoo_auth_verify(auth, probe.key_id, NULL, buf, len);
        }
        unit_assert(error, "bit %"PRIuSIZE, i);
        if (i / 8 != 10 && i / 8 != 11) {
            /* Whatever the parser thinks of it. */
            unit_assert(zoo_auth_verify(auth, SAMPLE_KEY_ID, NULL, buf, sizeof buf)
                        == ZOO_PROBE_BAD_HMAC, "bit %"PRIuSIZE, i);
        }
    }
    zoo_auth_unref(auth);
}
END_TEST

START_TEST(wrong_keys)
{
    /* The same ID, another key. */
    struct zoo_auth *other = parse("4660 " KEY_B "\n");
    struct zoo_auth *longer = parse("4660 " KEY_A "01\n");
    struct zoo_auth *unrelated = parse("1 " KEY_A "\n");

    ck_assert_int_eq(zoo_auth_verify(other, 4660, NULL, sample_bytes, SAMPLE_LEN),
                     ZOO_PROBE_BAD_HMAC);
    ck_assert_int_eq(zoo_auth_verify(longer, 4660, NULL, sample_bytes, SAMPLE_LEN),
                     ZOO_PROBE_BAD_HMAC);
    ck_assert_int_eq(zoo_auth_verify(unrelated, 4660, NULL, sample_bytes,
                                     SAMPLE_LEN), ZOO_PROBE_UNKNOWN_KEY);
    /* Without HMAC where one is asked for. */
    ck_assert_int_eq(zoo_auth_verify(other, 0, NULL, sample_bytes, SAMPLE_LEN),
                     ZOO_PROBE_NO_KEY);
    zoo_auth_unref(other);
    zoo_auth_unref(longer);
    zoo_auth_unref(unrelated);
}
END_TEST

START_TEST(without_keys)
{
    uint8_t buf[ZOO_PROBE_MAX_LEN], before[ZOO_PROBE_MAX_LEN];
    size_t len;

    len = zoo_probe_encode(&sample_probe, buf);
    memcpy(before, buf, len);
    zoo_auth_sign(NULL, 0, NULL, buf, len);
    ck_assert_mem_eq(buf, before, len);
    ck_assert_int_eq(zoo_auth_verify(NULL, 0, NULL, buf, len), ZOO_PROBE_OK);
    ck_assert_int_eq(zoo_auth_verify(NULL, 4660, NULL, sample_bytes, SAMPLE_LEN),
                     ZOO_PROBE_UNKNOWN_KEY);
}
END_TEST

/* Key B reaches one side after the other, then key A leaves.  At every step
 * each side accepts what the other one signs once it has heard from it. */
START_TEST(rotation)
{
    static const char *const steps[][2] = {
        { "1 " KEY_A, "1 " KEY_A },
        { "1 " KEY_A "\n2 " KEY_B, "1 " KEY_A },
        { "1 " KEY_A "\n2 " KEY_B, "1 " KEY_A "\n2 " KEY_B },
        { "2 " KEY_B, "1 " KEY_A "\n2 " KEY_B },
        { "2 " KEY_B, "2 " KEY_B },
    };
    uint16_t known[2] = { 0, 0 };   /* What each knows as peer's newest. */

    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        struct zoo_auth *auth[2] = { parse(steps[i][0]), parse(steps[i][1]) };

        for (int attempt = 0; attempt < 4; attempt++) {
            for (int from = 0; from < 2; from++) {
                struct zoo_probe probe = sample_probe;
                uint8_t buf[ZOO_PROBE_MAX_LEN];
                enum zoo_probe_error error;
                size_t len;

                probe.key_id = zoo_auth_choose(auth[from], known[from],
                                               attempt);
                probe.newest_key = zoo_auth_newest(auth[from]);
                len = zoo_probe_encode(&probe, buf);
                zoo_auth_sign(auth[from], probe.key_id, NULL, buf, len);
                error = zoo_auth_verify(auth[!from], probe.key_id, NULL, buf, len);
                ck_assert_msg(!error, "step %"PRIuSIZE", from %d: %s", i, from,
                              zoo_probe_error_to_string(error));
                known[!from] = probe.newest_key;
            }
        }
        zoo_auth_unref(auth[0]);
        zoo_auth_unref(auth[1]);
    }
}
END_TEST

int
main(void)
{
    Suite *s = suite_create("authentication");
    TCase *tc;

    tc = unit_case(s, "key file", 60);
    tcase_add_test(tc, key_file);
    tcase_add_test(tc, key_file_errors);
    tcase_add_test(tc, key_file_from_disk);
    tcase_add_test(tc, key_file_too_long);
    tcase_add_test(tc, key_file_not_text);
    tcase_add_test(tc, equality);

    tc = unit_case(s, "HMAC", 60);
    tcase_add_test(tc, choice_of_key);
    tcase_add_test(tc, sample_signature);
    tcase_add_test(tc, every_flipped_bit_is_noticed);
    tcase_add_test(tc, wrong_keys);
    tcase_add_test(tc, without_keys);
    tcase_add_test(tc, rotation);

    return unit_run(s);
}
