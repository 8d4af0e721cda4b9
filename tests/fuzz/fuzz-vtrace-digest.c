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

/* Fuzzes what makes a record of a packet: any bytes, of which the digest may
 * not depend on what NAT and routers change, nor on what is behind the
 * packet. */

#include <config.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ovs-ext/vtrace-digest.h"
#include "ovs-ext/vtrace-record.h"
#include "ovs-ext/vtrace-sample.h"
#include "util.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static const struct vtrace_digest_key key = VTRACE_DIGEST_KEY_INIT;

static bool
set_packet(struct vtrace_record *r, const uint8_t *data, size_t size)
{
    memset(r, 0, sizeof *r);
    return vtrace_record_set_packet(r, data, size, &key);
}

/* Returns the bits by which the packet is sampled, which the short way to
 * them does not change. */
static uint32_t
get_sample(const uint8_t *data, size_t size, const struct vtrace_record *r)
{
    static struct vtrace_sample_key sample_key;
    size_t header_len = r->ip_version == 4 ? (data[0] & 15) * 4 : 40;
    uint32_t sample, fast;

    if (!sample_key.k[0]) {
        vtrace_sample_key_init(&sample_key, &key);
    }
    ovs_assert(vtrace_sample(&sample_key, data, size, &sample));
    if (r->ip_len <= size
        && vtrace_sample_fast(&sample_key, data, header_len,
                              r->ip_len - header_len, &fast)) {
        ovs_assert(fast == sample);
    }
    return sample;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vtrace_record r, other;

    if (!set_packet(&r, data, size)) {
        return 0;
    }
    ovs_assert(size >= 20);
    ovs_assert(r.ip_version == 4 || r.ip_version == 6);
    ovs_assert(r.payload_len <= r.ip_len);

    uint32_t sample = get_sample(data, size, &r);

    /* Addresses and TTL. */
    uint8_t *copy = xmemdup(data, size);
    if (r.ip_version == 4) {
        memset(copy + 12, 0x55, 8);
        copy[8] = 0x55;
    } else {
        memset(copy + 8, 0x55, 32);
        copy[7] = 0x55;
    }
    ovs_assert(set_packet(&other, copy, size));
    ovs_assert(other.digest == r.digest);
    ovs_assert(other.payload_len == r.payload_len);
    ovs_assert(get_sample(copy, size, &r) == sample);
    free(copy);

    /* Padding, unless the packet does not say where it ends. */
    bool has_length = (r.ip_version == 4
                       ? data[2] || data[3] : data[4] || data[5]);
    if (has_length && r.ip_len <= size) {
        copy = xmalloc(size + 8);
        memcpy(copy, data, size);
        memset(copy + size, 0x55, 8);
        ovs_assert(set_packet(&other, copy, size + 8));
        ovs_assert(other.digest == r.digest);
        ovs_assert(get_sample(copy, size + 8, &r) == sample);
        free(copy);
    }
    return 0;
}
