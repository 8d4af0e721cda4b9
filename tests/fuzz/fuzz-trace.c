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


/* Fuzzes what a trace makes of routers' ICMP errors: any bytes, quotes of our
 * own probes with one byte changed, and right ones from many routers, in any
 * order.
 *
 * The input is a sequence of operations, each of which is a byte that says
 * what to do, and its arguments. */

#include <config.h>

#include <limits.h>
#include <stdint.h>
#include <string.h>

#include "openvswitch/dynamic-string.h"
#include "ofproto-zoo/zoo-path-table.h"
#include "ofproto-zoo/zoo-trace.h"
#include "packets.h"
#include "util.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#define MSEC (1000 * 1000LL)

/* Longest quote. */
#define MAX_QUOTE 255

enum op {
    OP_STEP,                    /* Some time passes. */
    OP_ANSWER,                  /* A router answers the last probe. */
    OP_UNREACHABLE,             /* The peer does. */
    OP_CHANGED,                 /* As OP_ANSWER, with one byte changed. */
    OP_BYTES,                   /* Any bytes. */
    N_OPS
};

static const uint8_t *p, *end;

static unsigned int
get_byte(void)
{
    return p < end ? *p++ : 0;
}

static void
check(const struct zoo_trace *trace)
{
    struct zoo_trace_exchange exchanges[ZOO_MAX_CANDIDATES];
    unsigned int n_candidates = MIN(trace->n_sports, ZOO_MAX_CANDIDATES);
    struct ds s = DS_EMPTY_INITIALIZER;
    int paths[ZOO_TRACE_MAX_PORTS];

    ovs_assert(zoo_trace_paths(trace, paths) <= trace->n_sports);
    ovs_assert(zoo_trace_diversify(trace, n_candidates, UINT32_MAX, exchanges)
               <= n_candidates);
    zoo_trace_format_verdict(trace, &s);
    zoo_trace_format_paths(trace, &s);
    ovs_assert(s.length);
    ds_destroy(&s);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct zoo_trace_probe probe = { .len = 0 };
    uint16_t sports[ZOO_TRACE_MAX_PORTS];
    unsigned int flags, n_sent = 0;
    long long int now = 0;
    struct zoo_trace trace;

    p = data;
    end = data + size;
    flags = get_byte();
    for (int i = 0; i < ZOO_TRACE_MAX_PORTS; i++) {
        sports[i] = 40000 + i;
    }
    zoo_trace_init(&trace, 7, flags & 1 ? ZOO_ENCAP_GENEVE : ZOO_ENCAP_VXLAN,
                   flags & 2, 100, sports,
                   1 + get_byte() % ZOO_TRACE_MAX_PORTS, 4789, flags & 4,
                   now);
    while (p < end) {
        enum op op = get_byte() % N_OPS;
        struct in6_addr router
            = in6_addr_mapped_ipv4(htonl(op == OP_STEP ? 0 : get_byte()));
        uint8_t quote[MAX_QUOTE];
        size_t len;

        if (op == OP_STEP) {
            now += get_byte() * MSEC;
            while (zoo_trace_next(&trace, now, &probe)) {
                ovs_assert(probe.ttl >= 1 && probe.ttl <= ZOO_TRACE_MAX_HOPS
                           && probe.len <= ZOO_TRACE_MAX_LEN
                           && probe.port < trace.n_sports);
                n_sent++;
            }
            ovs_assert(zoo_trace_when(&trace) > now);
        } else if (op == OP_BYTES) {
            len = get_byte();
            len = MIN(len, end - p);
            memcpy(quote, p, len);
            p += len;
            zoo_trace_answer(&trace, &router, false, quote, len);
        } else if (probe.len) {
            bool changed = op == OP_CHANGED;
            unsigned int n_answers = trace.n_answers;

            memcpy(quote, probe.body, probe.len);
            if (changed) {
                /* Not the number, by which it may be another probe of ours. */
                quote[get_byte() % (probe.len - 8)] ^= 1 + get_byte() % 255;
            }
            zoo_trace_answer(&trace, &router, op == OP_UNREACHABLE, quote,
                             probe.len);
            ovs_assert(!changed || trace.n_answers == n_answers);
        }
    }
    ovs_assert(n_sent == trace.n_sent);
    check(&trace);
    return 0;
}
