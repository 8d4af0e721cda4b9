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

/* How far the clocks of two nodes are apart, by what both say of ZooRoute's
 * probes between two ends of tunnels (struct vtrace_clock).
 *
 * A node may say what it likes: that changes the delays on its own edges, and
 * nothing else. */

#include <config.h>
#include "vtrace/analyze-private.h"

#include <stdlib.h>

#include "hash.h"
#include "packets.h"
#include "util.h"

/* Round trips that are longer are none. */
#define MAX_RTT (10 * 1000 * 1000 * 1000ULL)

/* What was told longer ago, of one each second, counts no more. */
#define MAX_AGE (5 * 1000 * 1000 * 1000ULL)

static uint32_t
hash_ends(const struct in6_addr *local, const struct in6_addr *remote)
{
    return hash_bytes(remote, sizeof *remote,
                      hash_bytes(local, sizeof *local, 0));
}

static struct clock *
find_clock(const struct vtrace_exporter *node, const struct in6_addr *local,
           const struct in6_addr *remote)
{
    struct clock *clock;

    HMAP_FOR_EACH_WITH_HASH (clock, node, hash_ends(local, remote),
                             &node->clocks) {
        if (ipv6_addr_equals(&clock->record.local, local)
            && ipv6_addr_equals(&clock->record.remote, remote)) {
            return clock;
        }
    }
    return NULL;
}

static void
forget_clock(struct vtrace_exporter *node, struct clock *clock)
{
    hmap_remove(&node->clocks, &clock->node);
    ovs_list_remove(&clock->list_node);
    free(clock);
}

void
vtrace_node_clocks_init(struct vtrace_exporter *node)
{
    hmap_init(&node->clocks);
    ovs_list_init(&node->clocks_lru);
}

void
vtrace_node_clocks_clear(struct vtrace_exporter *node)
{
    struct clock *clock;

    LIST_FOR_EACH_SAFE (clock, list_node, &node->clocks_lru) {
        forget_clock(node, clock);
    }
}

void
vtrace_node_clocks_uninit(struct vtrace_exporter *node)
{
    vtrace_node_clocks_clear(node);
    hmap_destroy(&node->clocks);
}

void
vtrace_analyzer_clock(struct vtrace_analyzer *az, struct vtrace_exporter *node,
                      const struct vtrace_clock *record)
{
    struct clock *clock;

    VTRACE_TAP(az, .type = VTRACE_EVENT_CLOCK, .node = node->index,
               .data = record);
    clock = find_clock(node, &record->local, &record->remote);
    if (clock) {
        ovs_list_remove(&clock->list_node);
    } else {
        if (hmap_count(&node->clocks) >= MAX_CLOCKS) {
            forget_clock(node, CONTAINER_OF(ovs_list_front(&node->clocks_lru),
                                            struct clock, list_node));
        }
        clock = xmalloc(sizeof *clock);
        hmap_insert(&node->clocks, &clock->node,
                    hash_ends(&record->local, &record->remote));
    }
    clock->record = *record;
    clock->told = az->now;
    ovs_list_push_back(&node->clocks_lru, &clock->list_node);
}

static bool
is_fresh(const struct vtrace_analyzer *az, const struct clock *clock)
{
    return clock && az->now - clock->told <= MAX_AGE;
}

bool
vtrace_clock_offset(const struct vtrace_analyzer *az,
                    const struct point *point, struct offset *offset)
{
    const struct in6_addr *src = &point->key.tun_src;
    const struct in6_addr *dst = &point->key.tun_dst;
    const struct clock *sender, *receiver;
    int64_t ns;

    if (!point->edge->to) {
        return false;
    }
    sender = find_clock(point->fn->node, src, dst);
    receiver = find_clock(point->edge->to, dst, src);
    if (!is_fresh(az, sender) || !is_fresh(az, receiver)
        || !receiver->record.ahead
        || !sender->record.rtt || sender->record.rtt > MAX_RTT) {
        return false;
    }
    ns = (receiver->record.ahead - sender->record.probe_clock
          - sender->record.rtt / 2);
    if (ns <= -MAX_TIME || ns >= MAX_TIME) {
        return false;
    }
    *offset = (struct offset) {
        .known = true, .ns = ns, .error = sender->record.rtt / 2,
    };
    return true;
}
