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

#include "ovs-ext/zoo-vtrace.h"

#include "flow.h"
#include "ovs-ext/vtrace-reasons.h"
#include "ovs-ext/zoo-flow.h"
#include "ovs-ext/zoo-gbp.h"
#include "ovs-ext/zoo-inject.h"
#include "ovs-ext/zoo-quarantine.h"
#include "ovs-ext/zoo-record.h"
#include "openvswitch/token-bucket.h"
#include "ovs-rcu.h"
#include "ovs-thread.h"
#include "simap.h"
#include "sset.h"
#include "util.h"

struct vtrace_config {
    bool enabled;
    struct sset consenting;     /* Names of tunnel ports. */
    struct simap classes;       /* By name, enum vtrace_port_class. */
};

/* Packets that no tunnel port takes can come from anybody, and must not use up
 * what records of a color may take, nor what those of other colors may: records
 * of them have a bucket of their own for each color, in each thread that gets
 * such packets, of 1000 records per second and NO_PORT_BURST at once, and take
 * from one for all of them, of NO_PORT_COLORS times as many. */
#define NO_PORT_BURST 100
#define NO_PORT_COLORS 16

struct no_port_buckets {
    struct token_bucket all;
    struct token_bucket colors[ZOO_COLOR_MASK + 1];
};

DEFINE_PER_THREAD_MALLOCED_DATA(struct no_port_buckets *, no_port_buckets);

/* NULL while VTrace was never configured other than off and without ports.
 * Set by the main thread. */
static OVSRCU_TYPE(struct vtrace_config *) current;

static void
config_destroy(struct vtrace_config *config)
{
    sset_destroy(&config->consenting);
    simap_destroy(&config->classes);
    free(config);
}

void
zoo_vtrace_configure(bool enabled, const struct sset *consenting,
                     const struct simap *classes)
{
    struct vtrace_config *old = ovsrcu_get_protected(struct vtrace_config *,
                                                     &current);
    struct vtrace_config *new;

    if (old
        ? (enabled == old->enabled && sset_equals(consenting, &old->consenting)
           && simap_equal(classes, &old->classes))
        : !enabled && sset_is_empty(consenting)) {
        return;
    }

    new = xmalloc(sizeof *new);
    new->enabled = enabled;
    sset_clone(&new->consenting, consenting);
    simap_init(&new->classes);
    const struct simap_node *node;
    SIMAP_FOR_EACH (node, classes) {
        simap_put(&new->classes, node->name, node->data);
    }
    ovsrcu_set(&current, new);
    if (old) {
        ovsrcu_postpone(config_destroy, old);
    }
    if (enabled) {
        zoo_gbp_accept_colors();
    } else {
        zoo_inject_flush();
    }
    zoo_quarantine_revalidate();
}

bool
zoo_vtrace_is_enabled(void)
{
    const struct vtrace_config *config = ovsrcu_get(struct vtrace_config *,
                                                    &current);

    return config && config->enabled;
}

bool
zoo_vtrace_consents(const char *name)
{
    const struct vtrace_config *config = ovsrcu_get(struct vtrace_config *,
                                                    &current);

    return config && sset_contains(&config->consenting, name);
}

enum vtrace_port_class
zoo_vtrace_port_class(const char *name)
{
    const struct vtrace_config *config = ovsrcu_get(struct vtrace_config *,
                                                    &current);

    return config ? simap_get(&config->classes, name) : VTRACE_PORT_UNKNOWN;
}

/* Returns this thread's buckets. */
static struct no_port_buckets *
get_no_port_buckets(void)
{
    struct no_port_buckets *b = no_port_buckets_get();

    if (OVS_UNLIKELY(!b)) {
        b = xmalloc(sizeof *b);
        token_bucket_init(&b->all, NO_PORT_COLORS,
                          NO_PORT_COLORS * NO_PORT_BURST);
        for (size_t i = 0; i < ARRAY_SIZE(b->colors); i++) {
            token_bucket_init(&b->colors[i], 1, NO_PORT_BURST);
        }
        no_port_buckets_set_unsafe(b);
    }
    return b;
}

void
zoo_record_no_port(const struct dp_packet *packet, const struct flow *flow)
{
    uint16_t color = ntohs(flow->tunnel.gbp_id);
    struct zoo_record_point point;
    struct no_port_buckets *b;

    if (!flow_tnl_dst_is_set(&flow->tunnel) || !(color & ZOO_COLOR_TRACED)
        || !(color & ZOO_COLOR_MASK) || !zoo_vtrace_is_enabled()) {
        return;
    }
    zoo_record_point_init(&point, VTRACE_ROLE_DROP, color,
                          VTRACE_REASON_TUNNEL_NO_PORT);
    point.port_class = VTRACE_PORT_TUNNEL;
    point.tunnel = true;
    if (flow->tunnel.gbp_flags & ZOO_GBP_F_INJECTED) {
        point.flags |= VTRACE_F_INJECTED;
    }
    b = get_no_port_buckets();
    zoo_record_take_limited(&point, packet, &b->colors[color & ZOO_COLOR_MASK],
                            &b->all);
}
