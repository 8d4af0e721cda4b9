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
#include "ovs-ext/vtrace-clock.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "hash.h"
#include "ofproto-zoo/zooroute.h"
#include "openvswitch/hmap.h"
#include "ovs-ext/vtrace-record.h"
#include "timeval.h"
#include "util.h"

struct tunnel {
    struct hmap_node node;      /* In 'tunnels'. */
    struct in6_addr ends[2];    /* Local, remote. */
    long long int last_used;    /* In ms. */
    bool told;                  /* The collector was told something. */
};

static struct hmap tunnels = HMAP_INITIALIZER(&tunnels);

static void
forget(struct tunnel *tunnel)
{
    hmap_remove(&tunnels, &tunnel->node);
    free(tunnel);
}

void
vtrace_clocks_clear(void)
{
    struct tunnel *tunnel;

    HMAP_FOR_EACH_SAFE (tunnel, node, &tunnels) {
        forget(tunnel);
    }
}

static struct tunnel *
find_or_add(const struct in6_addr ends[2])
{
    uint32_t hash = hash_bytes(ends, 2 * sizeof *ends, 0);
    struct tunnel *tunnel;

    HMAP_FOR_EACH_WITH_HASH (tunnel, node, hash, &tunnels) {
        if (!memcmp(tunnel->ends, ends, sizeof tunnel->ends)) {
            return tunnel;
        }
    }
    if (hmap_count(&tunnels) >= VTRACE_CLOCKS_MAX) {
        return NULL;
    }
    tunnel = xzalloc(sizeof *tunnel);
    memcpy(tunnel->ends, ends, sizeof tunnel->ends);
    hmap_insert(&tunnels, &tunnel->node, hash);
    /* Begin to measure: there is nothing to be had yet. */
    zooroute_get_clock(&ends[0], &ends[1]);
    return tunnel;
}

void
vtrace_clocks_note(const struct vtrace_record *r)
{
    bool in = r->role == VTRACE_ROLE_IN;
    struct in6_addr ends[2];
    struct tunnel *tunnel;

    if ((!in && r->role != VTRACE_ROLE_OUT)
        || !ipv6_addr_is_set(&r->tun_src) || !ipv6_addr_is_set(&r->tun_dst)) {
        return;
    }
    ends[0] = in ? r->tun_dst : r->tun_src;
    ends[1] = in ? r->tun_src : r->tun_dst;
    tunnel = find_or_add(ends);
    if (tunnel) {
        tunnel->last_used = time_msec();
    }
}

static uint64_t
wall_ns(void)
{
    struct timespec ts;

    xclock_gettime(CLOCK_REALTIME, &ts);
    return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

void
vtrace_clocks_tell(vtrace_clocks_func *cb)
{
    long long int now = time_msec();
    struct tunnel *tunnel;

    HMAP_FOR_EACH_SAFE (tunnel, node, &tunnels) {
        struct zoo_clock clock;

        if (now - tunnel->last_used > VTRACE_CLOCKS_IDLE_MS) {
            forget(tunnel);
            continue;
        }
        clock = zooroute_get_clock(&tunnel->ends[0], &tunnel->ends[1]);
        /* That nothing is known any more must be told, too. */
        bool known = clock.has_ahead || clock.has_rtt;
        if (known || tunnel->told) {
            uint64_t wall = wall_ns();
            uint64_t probe_clock = wall - zoo_now();
            const struct vtrace_clock c = {
                .time = wall,
                .local = tunnel->ends[0],
                .remote = tunnel->ends[1],
                .probe_clock = probe_clock,
                .ahead = clock.has_ahead ? clock.ahead + probe_clock : 0,
                .rtt = clock.has_rtt ? clock.rtt : 0,
            };

            if (!cb(&c)) {
                return;
            }
            tunnel->told = known;
        }
    }
}
