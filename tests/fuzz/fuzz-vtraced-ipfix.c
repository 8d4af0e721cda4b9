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

/* The collector's decoder: a stream of IPFIX messages of one connection. */

#include <config.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ovs-ext/vtrace-record.h"
#include "util.h"
#include "vtrace/ipfix.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
got_record(void *aux OVS_UNUSED, const struct vtrace_record *r)
{
    ovs_assert(r->color >= VTRACE_COLOR_MIN && r->color <= VTRACE_COLOR_MAX);
    ovs_assert(r->role >= VTRACE_ROLE_IN && r->role <= VTRACE_ROLE_CHECKPOINT);
    ovs_assert(memchr(r->bridge, 0, sizeof r->bridge));
    ovs_assert(memchr(r->port, 0, sizeof r->port));
}

static void
got_watermark(void *aux OVS_UNUSED, const struct vtrace_watermark *w)
{
    ovs_assert(w->color <= VTRACE_COLOR_MAX);
}

static void
got_endpoint(void *aux OVS_UNUSED, const struct vtrace_endpoint *e OVS_UNUSED)
{
}

static void
got_clock(void *aux OVS_UNUSED, const struct vtrace_clock *c OVS_UNUSED)
{
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vtrace_ipfix *ipfix;

    ipfix = vtrace_ipfix_create(&(struct vtrace_ipfix_sink) {
        .record = got_record,
        .watermark = got_watermark,
        .endpoint = got_endpoint,
        .clock = got_clock,
    });
    while (size >= VTRACE_IPFIX_HEADER_LEN) {
        size_t len = vtrace_ipfix_length(data);
        uint8_t *copy;
        char *error;

        if (!len || len > size) {
            break;
        }
        /* A buffer of its own, so that a read beyond it shows. */
        copy = xmemdup(data, len);
        error = vtrace_ipfix_decode(ipfix, copy, len);
        free(copy);
        if (error) {
            free(error);
            break;
        }
        data += len;
        size -= len;
    }
    vtrace_ipfix_destroy(ipfix);
    return 0;
}
