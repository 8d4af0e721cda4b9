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

/* IPFIX as the collector takes it: well made, cut off, and hostile. */

#include <config.h>
#include "unit.h"

#include <arpa/inet.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "openvswitch/ofpbuf.h"
#include "ovs-ext/vtrace-record.h"
#include "random.h"
#include "util.h"
#include "vtrace/ipfix.h"

/* What arrived. */
static struct vtrace_record records[64];
static struct vtrace_watermark watermarks[64];
static struct vtrace_endpoint endpoints[64];
static struct vtrace_clock last_clock;
static size_t n_records, n_watermarks, n_endpoints, n_clocks;

static struct vtrace_ipfix *ipfix;
static struct ofpbuf msg;

static void
got_record(void *aux OVS_UNUSED, const struct vtrace_record *r)
{
    records[n_records++ % ARRAY_SIZE(records)] = *r;
}

static void
got_watermark(void *aux OVS_UNUSED, const struct vtrace_watermark *w)
{
    watermarks[n_watermarks++ % ARRAY_SIZE(watermarks)] = *w;
}

static void
got_endpoint(void *aux OVS_UNUSED, const struct vtrace_endpoint *e)
{
    endpoints[n_endpoints++ % ARRAY_SIZE(endpoints)] = *e;
}

static void
got_clock(void *aux OVS_UNUSED, const struct vtrace_clock *c)
{
    last_clock = *c;
    n_clocks++;
}

static void
setup(void)
{
    n_records = n_watermarks = n_endpoints = n_clocks = 0;
    ipfix = vtrace_ipfix_create(&(struct vtrace_ipfix_sink) {
        .record = got_record,
        .watermark = got_watermark,
        .endpoint = got_endpoint,
        .clock = got_clock,
    });
    ofpbuf_init(&msg, 4096);
}

static void
teardown(void)
{
    vtrace_ipfix_destroy(ipfix);
    ofpbuf_uninit(&msg);
}

/* Writing IPFIX. */

static void
put16(uint16_t value)
{
    ovs_be16 be = htons(value);

    ofpbuf_put(&msg, &be, sizeof be);
}

static void
put32(uint32_t value)
{
    ovs_be32 be = htonl(value);

    ofpbuf_put(&msg, &be, sizeof be);
}

static void
put_uint(const void *p, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        /* The members are in host byte order. */
        uint64_t value = size == 1 ? *(const uint8_t *) p
                         : size == 2 ? *(const uint16_t *) p
                         : size == 4 ? *(const uint32_t *) p
                         : *(const uint64_t *) p;
        uint8_t byte = value >> (size - 1 - i) * 8;

        ofpbuf_put(&msg, &byte, 1);
    }
}

static void
begin_message(void)
{
    ofpbuf_clear(&msg);
    put16(10);
    put16(0);
    put32(1800000000);
    put32(0);
    put32(1);
}

static size_t
begin_set(uint16_t id)
{
    put16(id);
    put16(0);
    return msg.size;
}

static void
end_set(size_t start)
{
    ovs_be16 len = htons(msg.size - start + 4);

    memcpy((char *) msg.data + start - 2, &len, sizeof len);
}

static void
end_message(void)
{
    ovs_be16 len = htons(msg.size);

    memcpy((char *) msg.data + 2, &len, sizeof len);
}

static void
put_element(uint32_t pen, uint16_t element, size_t size)
{
    put16(element | (pen ? 0x8000 : 0));
    put16(size);
    if (pen) {
        put32(pen);
    }
}

#define COUNT_FIELD(MEMBER, TYPE, PEN, ELEMENT, NAME) + 1
#define PUT_ELEMENT(STRUCT, MEMBER, PEN, ELEMENT) \
    put_element(PEN, ELEMENT, MEMBER_SIZEOF(STRUCT, MEMBER));
#define PUT_RECORD_ELEMENT(MEMBER, TYPE, PEN, ELEMENT, NAME) \
    PUT_ELEMENT(struct vtrace_record, MEMBER, PEN, ELEMENT)
#define PUT_WATERMARK_ELEMENT(MEMBER, TYPE, PEN, ELEMENT, NAME) \
    PUT_ELEMENT(struct vtrace_watermark, MEMBER, PEN, ELEMENT)
#define PUT_ENDPOINT_ELEMENT(MEMBER, TYPE, PEN, ELEMENT, NAME) \
    PUT_ELEMENT(struct vtrace_endpoint, MEMBER, PEN, ELEMENT)
#define PUT_CLOCK_ELEMENT(MEMBER, TYPE, PEN, ELEMENT, NAME) \
    PUT_ELEMENT(struct vtrace_clock, MEMBER, PEN, ELEMENT)

static void
put_templates(void)
{
    size_t start = begin_set(2);

    put16(300);
    put16(0 VTRACE_RECORD_FIELDS(COUNT_FIELD));
    VTRACE_RECORD_FIELDS(PUT_RECORD_ELEMENT)
    put16(301);
    put16(0 VTRACE_WATERMARK_FIELDS(COUNT_FIELD));
    VTRACE_WATERMARK_FIELDS(PUT_WATERMARK_ELEMENT)
    put16(302);
    put16(0 VTRACE_ENDPOINT_FIELDS(COUNT_FIELD));
    VTRACE_ENDPOINT_FIELDS(PUT_ENDPOINT_ELEMENT)
    put16(303);
    put16(0 VTRACE_CLOCK_FIELDS(COUNT_FIELD));
    VTRACE_CLOCK_FIELDS(PUT_CLOCK_ELEMENT)
    end_set(start);
}

#define PUT_UINT(P, SIZE) put_uint(P, SIZE)
#define PUT_TIME(P, SIZE) put_time(P)
#define PUT_IPV6(P, SIZE) ofpbuf_put(&msg, P, SIZE)
#define PUT_STRING(P, SIZE) ofpbuf_put(&msg, P, SIZE)
#define PUT_MEMBER(MEMBER, TYPE, PEN, ELEMENT, NAME) \
    PUT_##TYPE(&r->MEMBER, sizeof r->MEMBER);

static void
put_time(const uint64_t *ns)
{
    uint64_t ntp = vtrace_time_to_ntp(*ns);

    put_uint(&ntp, sizeof ntp);
}

static void
put_record(const struct vtrace_record *r)
{
    VTRACE_RECORD_FIELDS(PUT_MEMBER)
}

static void
put_watermark(const struct vtrace_watermark *r)
{
    VTRACE_WATERMARK_FIELDS(PUT_MEMBER)
}

static void
put_endpoint(const struct vtrace_endpoint *r)
{
    VTRACE_ENDPOINT_FIELDS(PUT_MEMBER)
}

static void
put_clock(const struct vtrace_clock *r)
{
    VTRACE_CLOCK_FIELDS(PUT_MEMBER)
}

/* A record with a different value in each member. */
static struct vtrace_record
make_record(void)
{
    struct vtrace_record r;

    for (size_t i = 0; i < sizeof r; i++) {
        ((uint8_t *) &r)[i] = i + 1;
    }
    r.time = UINT64_C(1800000000123456789);
    r.color = 4095;
    r.role = VTRACE_ROLE_DROP;
    r.link = VTRACE_LINK_DOWN;
    r.port_class = VTRACE_PORT_TUNNEL;
    r.exp = 7;
    r.ip_version = 6;
    memset(r.bridge, 0, sizeof r.bridge);
    memset(r.port, 0, sizeof r.port);
    strcpy(r.bridge, "br-int");
    strcpy(r.port, "a-port-of-15-by");
    return r;
}

static void
decode_ok(void)
{
    char *error = vtrace_ipfix_decode(ipfix, msg.data, msg.size);

    if (error) {
        ck_abort_msg("%s", error);
    }
}

START_TEST(every_member)
{
    struct vtrace_record r = make_record();
    struct vtrace_watermark w = {
        .time = UINT64_C(1800000000987654321), .written = UINT64_C(1) << 40,
        .lost = 12, .session = 0xdeadbeef, .color = 77,
    };
    struct vtrace_endpoint e = { .time = 1, .address = in6addr_loopback };
    struct vtrace_clock c = {
        .time = 1, .local = in6addr_loopback, .remote = in6addr_any,
        .probe_clock = UINT64_C(1) << 50, .ahead = -5, .rtt = 123456,
    };
    size_t start;

    begin_message();
    put_templates();
    start = begin_set(300);
    put_record(&r);
    put_record(&r);
    end_set(start);
    start = begin_set(301);
    put_watermark(&w);
    end_set(start);
    start = begin_set(302);
    put_endpoint(&e);
    end_set(start);
    start = begin_set(303);
    put_clock(&c);
    end_set(start);
    end_message();
    ck_assert_uint_eq(vtrace_ipfix_length(msg.data), msg.size);
    decode_ok();
    ck_assert_int_eq(n_records, 2);
    ck_assert_int_eq(n_watermarks, 1);
    ck_assert_int_eq(n_endpoints, 1);
    ck_assert_mem_eq(&records[0], &r, sizeof r);
    ck_assert_mem_eq(&records[1], &r, sizeof r);
    ck_assert_mem_eq(&watermarks[0], &w, sizeof w);
    ck_assert_mem_eq(&endpoints[0].address, &e.address, sizeof e.address);
    ck_assert_int_eq(n_clocks, 1);
    ck_assert_mem_eq(&last_clock, &c, sizeof c);

    /* Later messages need no templates. */
    begin_message();
    start = begin_set(301);
    put_watermark(&w);
    end_set(start);
    end_message();
    decode_ok();
    ck_assert_int_eq(n_watermarks, 2);
    ck_assert_int_eq(vtrace_ipfix_invalid(ipfix), 0);
}
END_TEST

START_TEST(out_of_range)
{
    static const struct {
        size_t ofs;
        uint8_t value;
    } bad[] = {
        { offsetof(struct vtrace_record, role), 0 },
        { offsetof(struct vtrace_record, role), 5 },
        { offsetof(struct vtrace_record, link), 3 },
        { offsetof(struct vtrace_record, port_class), 5 },
        { offsetof(struct vtrace_record, exp), 8 },
        { offsetof(struct vtrace_record, ip_version), 5 },
    };
    struct vtrace_record r;
    size_t start;

    begin_message();
    put_templates();
    start = begin_set(300);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        r = make_record();
        ((uint8_t *) &r)[bad[i].ofs] = bad[i].value;
        put_record(&r);
    }
    r = make_record();
    r.color = 0;
    put_record(&r);
    r.color = 4096;
    put_record(&r);
    /* A name is made printable. */
    r = make_record();
    memset(r.port, '\033', sizeof r.port);
    put_record(&r);
    end_set(start);
    end_message();
    decode_ok();
    ck_assert_int_eq(n_records, 1);
    ck_assert_str_eq(records[0].port, "???????????????");
    ck_assert_int_eq(vtrace_ipfix_invalid(ipfix), ARRAY_SIZE(bad) + 2);
}
END_TEST

/* Elements that we do not know, and templates that are not ours. */
START_TEST(foreign)
{
    struct vtrace_endpoint e = { .time = 1, .address = in6addr_loopback };
    size_t start;

    begin_message();
    start = begin_set(2);
    put16(400);
    put16(2);
    put_element(0, 8, 4);
    put_element(12345, 99, 8);
    put16(401);
    put16(3);
    put_element(12345, 99, 2);
    put_element(VTRACE_IPFIX_PEN, 40, 16);
    put_element(0, 325, 8);
    end_set(start);
    start = begin_set(400);
    put32(1);
    put32(2);
    put32(3);
    end_set(start);
    start = begin_set(401);
    put16(1);
    ofpbuf_put(&msg, &e.address, 16);
    put_time(&e.time);
    end_set(start);
    /* No template: skipped. */
    start = begin_set(999);
    put32(3);
    end_set(start);
    end_message();
    decode_ok();
    ck_assert_int_eq(n_endpoints, 1);
    ck_assert_mem_eq(&endpoints[0].address, &e.address, 16);
    ck_assert_int_eq(n_records + n_watermarks, 0);
}
END_TEST

/* The message is refused with an error that contains 'what'. */
static void
decode_fails(const char *what)
{
    char *error = vtrace_ipfix_decode(ipfix, msg.data, msg.size);

    ck_assert_ptr_nonnull(error);
    ck_assert_ptr_nonnull(strstr(error, what));
    free(error);
}

START_TEST(too_many_templates)
{
    size_t start;

    begin_message();
    start = begin_set(2);
    for (int i = 0; i < 1000; i++) {
        put16(256 + i);
        put16(1);
        put_element(0, 8, 4);
    }
    end_set(start);
    end_message();
    decode_fails("templates");
}
END_TEST

/* A message with a template of 'n' elements of 'pen' that nobody knows. */
static void
put_unknown_template(uint32_t pen, size_t n)
{
    size_t start;

    begin_message();
    start = begin_set(2);
    put16(400);
    put16(n);
    for (size_t i = 0; i < n; i++) {
        put_element(pen, 1 + i, 4);
    }
    end_set(start);
    end_message();
}

/* Bytes that are allocated, where that can be told. */
static size_t
allocated(void)
{
#if defined __GLIBC__ && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
    return mallinfo2().uordblks;
#else
    return 0;
#endif
}

/* Elements that only some session has ever named are gone with it. */
START_TEST(unknown_elements)
{
    size_t before = 0;

    for (int i = 0; i < 200; i++) {
        if (i == 50) {
            before = allocated();
        }
        put_unknown_template(0x10000 + i, VTRACE_IPFIX_MAX_ELEMENTS);
        ck_assert_ptr_null(vtrace_ipfix_decode(ipfix, msg.data, msg.size));
        teardown();
        setup();
    }
    ck_assert_uint_lt(allocated(), before + 200000);

    put_unknown_template(0x10000, VTRACE_IPFIX_MAX_ELEMENTS + 1);
    decode_fails("more than 128 elements");
}
END_TEST

/* Of records without any byte there would be no end. */
START_TEST(empty_template)
{
    size_t start;

    begin_message();
    start = begin_set(2);
    put16(300);
    put16(1);
    put_element(VTRACE_IPFIX_PEN, 14, 0);
    end_set(start);
    start = begin_set(300);
    put32(1);
    end_set(start);
    end_message();
    decode_fails("template");
}
END_TEST

START_TEST(headers)
{
    uint8_t h[VTRACE_IPFIX_HEADER_LEN] = { 0, 10, 0, 16 };

    ck_assert_int_eq(vtrace_ipfix_length(h), 16);
    h[1] = 9;
    ck_assert_int_eq(vtrace_ipfix_length(h), 0);
    h[1] = 10;
    h[3] = 15;
    ck_assert_int_eq(vtrace_ipfix_length(h), 0);
}
END_TEST

/* Messages with some bytes changed, in sessions of their own: whatever comes
 * of it, nothing breaks, and nothing out of range comes out. */
START_TEST(damaged)
{
    struct vtrace_record r = make_record();
    struct ofpbuf good;
    size_t start;

    begin_message();
    put_templates();
    start = begin_set(300);
    put_record(&r);
    put_record(&r);
    end_set(start);
    end_message();
    ofpbuf_init(&good, msg.size);
    ofpbuf_put(&good, msg.data, msg.size);

    for (unsigned int seed = 0; seed < 20000; seed++) {
        unsigned int n;

        unit_seed(seed);
        n_records = 0;
        ofpbuf_clear(&msg);
        ofpbuf_put(&msg, good.data, good.size);
        n = unit_range(1, 4);
        for (unsigned int i = 0; i < n; i++) {
            ((uint8_t *) msg.data)[unit_range(4, msg.size - 1)]
                = random_uint32();
        }
        if (unit_chance(.3)) {
            msg.size = unit_range(VTRACE_IPFIX_HEADER_LEN, msg.size);
            end_message();
        }
        free(vtrace_ipfix_decode(ipfix, msg.data, msg.size));
        for (size_t i = 0; i < MIN(n_records, ARRAY_SIZE(records)); i++) {
            unit_assert(records[i].color && records[i].color <= 4095,
                        "seed %u", seed);
        }
        vtrace_ipfix_destroy(ipfix);
        ipfix = vtrace_ipfix_create(&(struct vtrace_ipfix_sink) {
            .record = got_record,
            .watermark = got_watermark,
            .endpoint = got_endpoint,
            .clock = got_clock,
        });
    }
    ofpbuf_uninit(&good);
}
END_TEST

int
main(void)
{
    Suite *suite = suite_create("vtrace-ipfix");
    TCase *tc = unit_case(suite, "ipfix", 120);

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, every_member);
    tcase_add_test(tc, out_of_range);
    tcase_add_test(tc, foreign);
    tcase_add_test(tc, unknown_elements);
    tcase_add_test(tc, too_many_templates);
    tcase_add_test(tc, empty_template);
    tcase_add_test(tc, headers);
    tcase_add_test(tc, damaged);
    return unit_run(suite);
}
