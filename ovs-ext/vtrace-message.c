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

#include <config.h>

#include "ovs-ext/vtrace-message.h"

#include <string.h>

#include "openvswitch/types.h"
#include "util.h"

/* RFC 7011, sections 3.1, 3.3.2 and 3.4.1. */
#define IPFIX_VERSION 10
#define HEADER_LEN 16
#define SET_HEADER_LEN 4
#define TEMPLATE_SET_ID 2
#define ENTERPRISE_BIT 0x8000

/* Numbers, in network byte order. */

static inline uint8_t *
put_be(uint8_t *p, uint64_t x, size_t size)
{
    for (size_t i = size; i-- > 0; x >>= 8) {
        p[i] = x;
    }
    return p + size;
}

static inline uint8_t *
put_uint(uint8_t *p, const void *member, size_t size)
{
    uint64_t u64;
    uint32_t u32;
    uint16_t u16;

    switch (size) {
    case 1:
        return put_be(p, *(const uint8_t *) member, 1);
    case 2:
        memcpy(&u16, member, sizeof u16);
        return put_be(p, u16, 2);
    case 4:
        memcpy(&u32, member, sizeof u32);
        return put_be(p, u32, 4);
    case 8:
        memcpy(&u64, member, sizeof u64);
        return put_be(p, u64, 8);
    default:
        OVS_NOT_REACHED();
    }
}

static inline uint8_t *
put_time(uint8_t *p, const void *member, size_t size)
{
    uint64_t ns;

    memcpy(&ns, member, sizeof ns);
    return put_be(p, vtrace_time_to_ntp(ns), size);
}

static inline uint8_t *
put_bytes(uint8_t *p, const void *member, size_t size)
{
    memcpy(p, member, size);
    return p + size;
}

/* The functions for each enum vtrace_field_type. */
#define PUT_UINT put_uint
#define PUT_TIME put_time
#define PUT_IPV6 put_bytes
#define PUT_STRING put_bytes

#define PUT_MEMBER(MEMBER, TYPE, PEN, ELEMENT, NAME)    \
    p = PUT_##TYPE(p, &r->MEMBER, sizeof r->MEMBER);

/* The message. */

void
vtrace_message_init(struct vtrace_message *m)
{
    m->n = HEADER_LEN;
    m->set = 0;
    m->set_id = 0;
    m->n_records = 0;
}

bool
vtrace_message_is_empty(const struct vtrace_message *m)
{
    return m->n == HEADER_LEN;
}

static void
close_set(struct vtrace_message *m)
{
    if (m->set) {
        uint8_t *p = put_be(m->data + m->set, m->set_id, 2);

        put_be(p, m->n - m->set, 2);
        m->set = 0;
    }
}

/* Returns where to put 'size' bytes into a set 'set_id', NULL if there is no
 * room. */
static uint8_t *
put_in_set(struct vtrace_message *m, uint16_t set_id, size_t size)
{
    bool new_set = !m->set || m->set_id != set_id;
    uint8_t *p;

    if (m->n + (new_set ? SET_HEADER_LEN : 0) + size > sizeof m->data) {
        return NULL;
    }
    if (new_set) {
        close_set(m);
        m->set = m->n;
        m->set_id = set_id;
        m->n += SET_HEADER_LEN;
    }
    p = m->data + m->n;
    m->n += size;
    return p;
}

bool
vtrace_message_put_record(struct vtrace_message *m,
                          const struct vtrace_record *r)
{
    uint8_t *p = put_in_set(m, VTRACE_TEMPLATE_RECORD, sizeof *r);

    if (p) {
        VTRACE_RECORD_FIELDS(PUT_MEMBER)
        m->n_records++;
    }
    return p != NULL;
}

bool
vtrace_message_put_watermark(struct vtrace_message *m,
                             const struct vtrace_watermark *r)
{
    uint8_t *p = put_in_set(m, VTRACE_TEMPLATE_WATERMARK, sizeof *r);

    if (p) {
        VTRACE_WATERMARK_FIELDS(PUT_MEMBER)
        m->n_records++;
    }
    return p != NULL;
}

bool
vtrace_message_put_endpoint(struct vtrace_message *m,
                            const struct vtrace_endpoint *r)
{
    uint8_t *p = put_in_set(m, VTRACE_TEMPLATE_ENDPOINT, sizeof *r);

    if (p) {
        VTRACE_ENDPOINT_FIELDS(PUT_MEMBER)
        m->n_records++;
    }
    return p != NULL;
}

bool
vtrace_message_put_clock(struct vtrace_message *m,
                         const struct vtrace_clock *r)
{
    uint8_t *p = put_in_set(m, VTRACE_TEMPLATE_CLOCK, sizeof *r);

    if (p) {
        VTRACE_CLOCK_FIELDS(PUT_MEMBER)
        m->n_records++;
    }
    return p != NULL;
}

/* A field of a template. */
struct field {
    uint32_t pen;
    uint16_t element;
    uint16_t size;
};

#define RECORD_FIELD(MEMBER, TYPE, PEN, ELEMENT, NAME)                  \
    { PEN, ELEMENT, MEMBER_SIZEOF(struct vtrace_record, MEMBER) },
#define WATERMARK_FIELD(MEMBER, TYPE, PEN, ELEMENT, NAME)               \
    { PEN, ELEMENT, MEMBER_SIZEOF(struct vtrace_watermark, MEMBER) },
#define ENDPOINT_FIELD(MEMBER, TYPE, PEN, ELEMENT, NAME)                \
    { PEN, ELEMENT, MEMBER_SIZEOF(struct vtrace_endpoint, MEMBER) },
#define CLOCK_FIELD(MEMBER, TYPE, PEN, ELEMENT, NAME)                   \
    { PEN, ELEMENT, MEMBER_SIZEOF(struct vtrace_clock, MEMBER) },

static const struct field record_fields[] = {
    VTRACE_RECORD_FIELDS(RECORD_FIELD)
};
static const struct field watermark_fields[] = {
    VTRACE_WATERMARK_FIELDS(WATERMARK_FIELD)
};
static const struct field endpoint_fields[] = {
    VTRACE_ENDPOINT_FIELDS(ENDPOINT_FIELD)
};
static const struct field clock_fields[] = {
    VTRACE_CLOCK_FIELDS(CLOCK_FIELD)
};

static bool
put_template(struct vtrace_message *m, uint16_t id,
             const struct field *fields, size_t n)
{
    size_t size = 4;
    uint8_t *p;

    for (size_t i = 0; i < n; i++) {
        size += fields[i].pen ? 8 : 4;
    }
    p = put_in_set(m, TEMPLATE_SET_ID, size);
    if (!p) {
        return false;
    }
    p = put_be(p, id, 2);
    p = put_be(p, n, 2);
    for (size_t i = 0; i < n; i++) {
        const struct field *f = &fields[i];

        p = put_be(p, f->element | (f->pen ? ENTERPRISE_BIT : 0), 2);
        p = put_be(p, f->size, 2);
        if (f->pen) {
            p = put_be(p, f->pen, 4);
        }
    }
    return true;
}

bool
vtrace_message_put_templates(struct vtrace_message *m)
{
    size_t n = m->n;
    size_t set = m->set;
    uint16_t set_id = m->set_id;

    if (put_template(m, VTRACE_TEMPLATE_RECORD,
                     record_fields, ARRAY_SIZE(record_fields))
        && put_template(m, VTRACE_TEMPLATE_WATERMARK,
                        watermark_fields, ARRAY_SIZE(watermark_fields))
        && put_template(m, VTRACE_TEMPLATE_ENDPOINT,
                        endpoint_fields, ARRAY_SIZE(endpoint_fields))
        && put_template(m, VTRACE_TEMPLATE_CLOCK,
                        clock_fields, ARRAY_SIZE(clock_fields))) {
        return true;
    }
    m->n = n;
    m->set = set;
    m->set_id = set_id;
    return false;
}

void
vtrace_message_finish(struct vtrace_message *m, uint32_t now,
                      uint32_t *sequence)
{
    uint8_t *p = m->data;

    close_set(m);
    p = put_be(p, IPFIX_VERSION, 2);
    p = put_be(p, m->n, 2);
    p = put_be(p, now, 4);
    p = put_be(p, *sequence, 4);
    put_be(p, 0, 4);                    /* Observation domain: all of it. */
    *sequence += m->n_records;
}

static size_t
get_be16(const uint8_t *p)
{
    return p[0] << 8 | p[1];
}

size_t
vtrace_message_len(const uint8_t *data)
{
    return get_be16(data + 2);
}

/* A record is in the message as in memory, see vtrace-record.h. */
void
vtrace_message_for_each_record(const uint8_t *data,
                               vtrace_message_color_func *cb, void *aux)
{
    const uint8_t *end = data + vtrace_message_len(data);
    const uint8_t *set = data + HEADER_LEN;

    while (set < end) {
        const uint8_t *next = set + get_be16(set + 2);
        const uint8_t *r = set + SET_HEADER_LEN;

        if (get_be16(set) == VTRACE_TEMPLATE_RECORD) {
            for (; r < next; r += sizeof(struct vtrace_record)) {
                cb(aux, get_be16(r + offsetof(struct vtrace_record, color)));
            }
        }
        set = next;
    }
}
