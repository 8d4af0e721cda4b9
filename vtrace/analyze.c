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
#include "vtrace/analyze.h"

#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "packets.h"
#include "util.h"
#include "vtrace/analyze-private.h"

#define CHUNK 1024              /* Observations allocated at once. */
#define ROOM 1024               /* One in as many is freed at once. */

/* Analyzer, domains, nodes. */

struct vtrace_analyzer *
vtrace_analyzer_create(const struct vtrace_analyzer_config *config)
{
    struct vtrace_analyzer *az = xzalloc(sizeof *az);

    az->config = *config;
    az->random = 1;
    hmap_init(&az->domains);
    hmap_init(&az->nodes);
    hmap_init(&az->endpoints);
    ovs_list_init(&az->analyses);
    az->matches = xmalloc(MAX_GROUP * sizeof *az->matches);
    return az;
}

void
vtrace_analyzer_set_tap(struct vtrace_analyzer *az, vtrace_tap_func *tap,
                        void *aux)
{
    az->tap = tap;
    az->tap_aux = aux;
}

void
vtrace_analyzer_destroy(struct vtrace_analyzer *az)
{
    if (!az) {
        return;
    }

    struct vtrace_analysis *an;
    LIST_FOR_EACH_SAFE (an, node, &az->analyses) {
        vtrace_analysis_destroy(an);
    }

    struct vtrace_domain *domain;
    HMAP_FOR_EACH_POP (domain, node, &az->domains) {
        free(domain->name);
        free(domain);
    }
    struct vtrace_exporter *node;
    HMAP_FOR_EACH_POP (node, hmap_node, &az->nodes) {
        vtrace_heard_uninit(node);
        vtrace_node_clocks_uninit(node);
        free(node->name);
        free(node);
    }
    struct endpoint *endpoint;
    HMAP_FOR_EACH_POP (endpoint, node, &az->endpoints) {
        free(endpoint);
    }
    hmap_destroy(&az->domains);
    hmap_destroy(&az->nodes);
    hmap_destroy(&az->endpoints);
    for (size_t i = 0; i < az->n_chunks; i++) {
        free(az->chunks[i]);
    }
    free(az->chunks);
    free(az->by_index);
    free(az->matches);
    free(az);
}

static struct vtrace_domain *
get_domain(struct vtrace_analyzer *az, const char *name)
{
    uint32_t hash = hash_string(name, 0);
    struct vtrace_domain *domain;

    HMAP_FOR_EACH_WITH_HASH (domain, node, hash, &az->domains) {
        if (!strcmp(domain->name, name)) {
            return domain;
        }
    }
    domain = xzalloc(sizeof *domain);
    domain->name = xstrdup(name);
    hmap_insert(&az->domains, &domain->node, hash);
    return domain;
}

struct vtrace_exporter *
vtrace_analyzer_exporter(struct vtrace_analyzer *az, const char *name,
                         const char *domain)
{
    uint32_t hash = hash_string(name, 0);
    struct vtrace_exporter *node;

    HMAP_FOR_EACH_WITH_HASH (node, hmap_node, hash, &az->nodes) {
        if (!strcmp(node->name, name)
            && !strcmp(node->domain->name, domain)) {
            return node;
        }
    }
    VTRACE_TAP(az, .type = VTRACE_EVENT_NODE, .name = name, .domain = domain);
    node = xzalloc(sizeof *node);
    node->domain = get_domain(az, domain);
    node->name = xstrdup(name);
    node->index = az->n_nodes++;
    vtrace_heard_init(node);
    ovs_list_init(&node->endpoints);
    vtrace_node_clocks_init(node);
    hmap_insert(&az->nodes, &node->hmap_node, hash);
    az->by_index = xrealloc(az->by_index,
                            az->n_nodes * sizeof *az->by_index);
    az->by_index[node->index] = node;
    return node;
}

/* Observations. */

static struct observation *
observation_alloc(struct vtrace_analyzer *az, struct flow_state *flow)
{
    if (!az->free) {
        struct observation *chunk = xmalloc(CHUNK * sizeof *chunk);

        az->chunks = xrealloc(az->chunks,
                              (az->n_chunks + 1) * sizeof *az->chunks);
        az->chunks[az->n_chunks++] = chunk;
        for (size_t i = 0; i < CHUNK; i++) {
            chunk[i].next = az->free;
            az->free = &chunk[i];
        }
    }

    struct observation *o = az->free;
    az->free = o->next;
    az->n_observations++;
    flow->n_observations++;
    return o;
}

void
vtrace_observation_free(struct vtrace_analyzer *az, struct flow_state *flow,
                        struct observation *o)
{
    o->next = az->free;
    az->free = o;
    az->n_observations--;
    flow->n_observations--;
}

static void
group_destroy(struct vtrace_analyzer *az, struct flow_state *flow,
              struct group *group)
{
    struct observation *o, *next;

    for (o = group->observations; o; o = next) {
        next = o->next;
        vtrace_observation_free(az, flow, o);
    }
    hmap_remove(&flow->groups, &group->node);
    heap_remove(&flow->queue, &group->heap_node);
    free(group);
}

/* The heap has the largest priority first. */
static uint64_t
group_priority(const struct group *group)
{
    return UINT64_MAX - group->first;
}

static struct group *
first_group(const struct flow_state *flow)
{
    return (heap_is_empty(&flow->queue) ? NULL
            : CONTAINER_OF(heap_max(&flow->queue), struct group, heap_node));
}

/* Counts a record of 'fn' that is not kept: to the verdict it is missing. */
static void
dropped_record(struct flow_state *flow, struct flow_node *fn)
{
    fn->dropped++;
    flow->overflow++;
}

/* Gives the oldest packet of 'flow' up. */
static void
give_up(struct vtrace_analyzer *az, struct flow_state *flow)
{
    struct group *group = first_group(flow);

    for (struct observation *o = group->observations; o; o = o->next) {
        dropped_record(flow, o->point->fn);
    }
    flow->unjudged++;
    group_destroy(az, flow, group);
}

/* Makes room for an observation, and for some more because it takes a look at
 * every task: at the expense of the one that has most of them, so that nobody
 * is left with less than a fair share. */
static void
make_room(struct vtrace_analyzer *az)
{
    uint32_t max = az->config.max_observations;
    struct flow_state *most = NULL;
    struct vtrace_analysis *an;

    if (OVS_LIKELY(az->n_observations < max)) {
        return;
    }
    LIST_FOR_EACH (an, node, &az->analyses) {
        for (int i = 0; i < VTRACE_N_DIRECTIONS; i++) {
            if (!most || an->flows[i].n_observations > most->n_observations) {
                most = &an->flows[i];
            }
        }
    }
    max -= max / ROOM;
    while (most && most->n_observations && az->n_observations >= max) {
        give_up(az, most);
    }
}

/* Tasks. */

static void
flow_init(struct flow_state *flow, struct vtrace_analysis *an,
          enum vtrace_direction direction)
{
    flow->analysis = an;
    flow->direction = direction;
    hmap_init(&flow->points);
    hmap_init(&flow->groups);
    heap_init(&flow->queue);
}

static void
flow_uninit(struct flow_state *flow)
{
    struct vtrace_analyzer *az = flow->analysis->analyzer;
    struct group *group;

    while ((group = first_group(flow)) != NULL) {
        group_destroy(az, flow, group);
    }
    heap_destroy(&flow->queue);

    struct point *point;
    HMAP_FOR_EACH_POP (point, node, &flow->points) {
        vtrace_edge_destroy(point->edge);
        free(point);
    }
    for (size_t i = 0; i < flow->n_nodes; i++) {
        free(flow->nodes[i]);
    }
    free(flow->nodes);
    hmap_destroy(&flow->points);
    hmap_destroy(&flow->groups);
}

struct vtrace_analysis *
vtrace_analysis_create(struct vtrace_analyzer *az, int64_t id)
{
    struct vtrace_analysis *an = xzalloc(sizeof *an);

    VTRACE_TAP(az, .type = VTRACE_EVENT_TASK, .task = id);
    an->analyzer = az;
    an->id = id;
    an->stopped = UINT64_MAX;
    for (int i = 0; i < VTRACE_N_DIRECTIONS; i++) {
        flow_init(&an->flows[i], an, i);
    }
    ovs_list_push_back(&az->analyses, &an->node);
    return an;
}

void
vtrace_analysis_destroy(struct vtrace_analysis *an)
{
    if (!an) {
        return;
    }
    VTRACE_TAP(an->analyzer, .type = VTRACE_EVENT_END, .task = an->id);

    struct vtrace_domain *domain;
    HMAP_FOR_EACH (domain, node, &an->analyzer->domains) {
        for (size_t i = 0; i < ARRAY_SIZE(domain->flows); i++) {
            if (domain->flows[i] && domain->flows[i]->analysis == an) {
                domain->flows[i] = NULL;
            }
        }
    }
    for (int i = 0; i < VTRACE_N_DIRECTIONS; i++) {
        flow_uninit(&an->flows[i]);
    }
    ovs_list_remove(&an->node);
    free(an);
}

bool
vtrace_analysis_listen(struct vtrace_analysis *an, const char *domain_name,
                       uint16_t color, enum vtrace_direction direction,
                       const char *entry)
{
    struct vtrace_domain *domain = get_domain(an->analyzer, domain_name);
    struct flow_state *flow = &an->flows[direction];

    VTRACE_TAP(an->analyzer, .type = VTRACE_EVENT_LISTEN, .task = an->id,
               .direction = direction, .color = color, .domain = domain_name,
               .name = entry);
    if (color < VTRACE_COLOR_MIN || color > VTRACE_COLOR_MAX
        || (domain->flows[color] && domain->flows[color] != flow)) {
        return false;
    }
    if (!domain->flows[color]) {
        domain->flows[color] = flow;
        vtrace_heard_listen(an->analyzer, domain, color);
    }
    if (entry) {
        flow->entry = vtrace_analyzer_exporter(an->analyzer, entry,
                                               domain_name);
    }
    return true;
}

void
vtrace_analysis_set_rule_count(struct vtrace_analysis *an,
                               enum vtrace_direction direction,
                               uint64_t packets, int exp)
{
    struct flow_state *flow = &an->flows[direction];

    if (packets == flow->rule_count && exp == flow->exp) {
        return;
    }
    VTRACE_TAP(an->analyzer, .type = VTRACE_EVENT_RULE_COUNT, .task = an->id,
               .direction = direction, .number = packets, .exp = exp);
    flow->rule_count = packets;
    flow->exp = exp;
}

void
vtrace_analysis_start(struct vtrace_analysis *an,
                      enum vtrace_direction direction)
{
    VTRACE_TAP(an->analyzer, .type = VTRACE_EVENT_START, .task = an->id,
               .direction = direction);
    an->flows[direction].started = true;
}

void
vtrace_analysis_abandon(struct vtrace_analysis *an,
                        enum vtrace_direction direction)
{
    VTRACE_TAP(an->analyzer, .type = VTRACE_EVENT_ABANDON, .task = an->id,
               .direction = direction);
    an->flows[direction].abandoned = true;
}

void
vtrace_analysis_stop(struct vtrace_analysis *an, uint64_t time)
{
    VTRACE_TAP(an->analyzer, .type = VTRACE_EVENT_STOP, .task = an->id,
               .number = time);
    an->stopped = time;
}

bool
vtrace_analysis_is_complete(const struct vtrace_analysis *an)
{
    if (an->stopped == UINT64_MAX) {
        return false;
    }
    for (int i = 0; i < VTRACE_N_DIRECTIONS; i++) {
        const struct flow_state *flow = &an->flows[i];

        /* Groups that began after the stop do not count. */
        const struct group *group = first_group(flow);
        if (group && group->first < an->stopped) {
            return false;
        }

        /* What is still on its way from the entry. */
        if (flow->entry
            && vtrace_flow_complete(flow, flow->entry) < an->stopped
            && (i == VTRACE_FORWARD || flow->started)) {
            return false;
        }
    }
    return true;
}

/* Flows. */

struct flow_node *
vtrace_flow_node(const struct flow_state *flow,
                 const struct vtrace_exporter *node)
{
    return node->index < flow->n_nodes ? flow->nodes[node->index] : NULL;
}

struct flow_node *
vtrace_flow_node_get(struct flow_state *flow, struct vtrace_exporter *node)
{
    struct flow_node *fn = vtrace_flow_node(flow, node);

    if (!fn) {
        if (node->index >= flow->n_nodes) {
            size_t n = node->index + 1;

            flow->nodes = xrealloc(flow->nodes, n * sizeof *flow->nodes);
            memset(&flow->nodes[flow->n_nodes], 0,
                   (n - flow->n_nodes) * sizeof *flow->nodes);
            flow->n_nodes = n;
        }
        fn = flow->nodes[node->index] = xzalloc(sizeof *fn);
        fn->node = node;
        fn->flow = flow;
    }
    return fn;
}

/* That a connection is open already is no fault of anything, and no rule that
 * drops an injected packet for that, or for what another rule made of it,
 * shows what it does to others. */
static enum vtrace_reason
refine_reason(const struct vtrace_record *r)
{
    return ((r->reason == VTRACE_REASON_ACL_DENY
             || r->reason == VTRACE_REASON_CT_INVALID)
            && r->ct_state & CS_INVALID && r->flags & VTRACE_F_INJECTED
            && r->protocol == IPPROTO_TCP
            ? VTRACE_REASON_INJECT_STATE : r->reason);
}

static bool
is_tunnel_output(const struct vtrace_record *r)
{
    const struct vtrace_reason_info *info = vtrace_reason_info(r->reason);

    return (r->role == VTRACE_ROLE_OUT
            && r->port_class == VTRACE_PORT_TUNNEL
            && !(info && info->verdict == VTRACE_VERDICT_LEFT));
}

/* Returns the point where 'r' was taken, or NULL if there are too many. */
static struct point *
get_point(struct flow_state *flow, struct flow_node *fn,
          const struct vtrace_record *r)
{
    struct point_key key;

    memset(&key, 0, sizeof key);
    key.tun_src = r->tun_src;
    key.tun_dst = r->tun_dst;
    key.tun_id = r->tun_id;
    key.cookie = r->flags & VTRACE_F_COOKIE ? r->cookie : 0;
    memcpy(key.bridge, r->bridge, sizeof key.bridge);
    memcpy(key.port, r->port, sizeof key.port);
    key.node = fn->node->index;
    key.reason = refine_reason(r);
    key.role = r->role;
    key.port_class = r->port_class;
    key.table = r->flags & VTRACE_F_TABLE ? r->table : 0;
    key.flags = r->flags & POINT_FLAGS;

    uint32_t hash = hash_bytes(&key, sizeof key, 0);
    struct point *point;
    HMAP_FOR_EACH_WITH_HASH (point, node, hash, &flow->points) {
        if (!memcmp(&point->key, &key, sizeof key)) {
            return point;
        }
    }
    if (hmap_count(&flow->points) >= MAX_POINTS) {
        return NULL;
    }

    point = xzalloc(sizeof *point);
    point->key = key;
    memcpy(point->bridge, key.bridge, sizeof key.bridge);
    memcpy(point->port, key.port, sizeof key.port);
    ipv6_string_mapped(point->address, &key.tun_dst);
    point->fn = fn;
    if (is_tunnel_output(r)) {
        point->edge = xzalloc(sizeof *point->edge);
    }
    hmap_insert(&flow->points, &point->node, hash);
    return point;
}

/* Remembers what the packet looked like at 'point'. */
static void
point_update(struct point *point, const struct vtrace_record *r)
{
    point->src = r->src;
    point->dst = r->dst;
    point->protocol = r->protocol;
    point->vlan = r->vlan;
    point->ct_state = r->ct_state;
    if (!(r->flags & VTRACE_F_NO_PORTS)) {
        point->src_port = r->src_port;
        point->dst_port = r->dst_port;
    }
}

static uint8_t
observation_flags(const struct vtrace_record *r)
{
    uint8_t flags = 0;

    if (r->flags & VTRACE_F_SUPER) {
        flags |= OBS_SUPER;
    }
    if (r->flags & VTRACE_F_INJECTED) {
        flags |= OBS_INJECTED;
    }
    if (r->ct_state & CS_INVALID) {
        flags |= OBS_INVALID;
    }
    if (r->role == VTRACE_ROLE_OUT) {
        uint32_t len = r->ip_len;

        if (r->link == VTRACE_LINK_DOWN) {
            flags |= OBS_DOWN;
        }
        /* The switch has taken a tunnel's header off the device's MTU, but not
         * the tag of a packet in it. */
        if (r->port_class == VTRACE_PORT_TUNNEL && r->vlan) {
            len += VLAN_HEADER_LEN;
        }
        if (r->mtu && len > r->mtu && !(r->flags & VTRACE_F_SUPER)) {
            flags |= OBS_TOO_LONG;
        }
    }
    return flags;
}

static struct group *
get_group(struct flow_state *flow, const struct vtrace_record *r)
{
    struct group *group;

    HMAP_FOR_EACH_WITH_HASH (group, node, (uint32_t) r->digest,
                             &flow->groups) {
        if (group->digest == r->digest) {
            if (r->time < group->first) {
                group->first = r->time;
                heap_change(&flow->queue, &group->heap_node,
                            group_priority(group));
            }
            return group;
        }
    }
    group = xmalloc(sizeof *group);
    group->digest = r->digest;
    group->first = r->time;
    group->observations = NULL;
    group->n = 0;
    hmap_insert(&flow->groups, &group->node, (uint32_t) r->digest);
    heap_insert(&flow->queue, &group->heap_node, group_priority(group));
    return group;
}

/* Returns the domain of which 'r', from 'node', has its color, or NULL if that
 * is not known: that of the node, where borders map what comes in.  But no
 * border has seen a packet that came out of a tunnel and is no port's: its
 * color is its sender's.  So is one that a border took away, and that of a
 * sender who is not heard here is not the node's. */
static const struct vtrace_domain *
record_domain(const struct vtrace_analyzer *az,
              const struct vtrace_exporter *node,
              const struct vtrace_record *r)
{
    bool border = vtrace_is_border(r->role, r->reason);
    const struct vtrace_exporter *sender;

    if (OVS_LIKELY(!border) && (r->reason != VTRACE_REASON_TUNNEL_NO_PORT
                                || r->role != VTRACE_ROLE_DROP)) {
        return node->domain;
    }
    sender = vtrace_endpoint_owner(az, node->domain, &r->tun_src);
    return sender ? sender->domain : border ? NULL : node->domain;
}

/* Returns the direction of a task that 'r' belongs to, or NULL. */
static struct flow_state *
find_flow(const struct vtrace_analyzer *az,
          const struct vtrace_exporter *node, const struct vtrace_record *r)
{
    const struct vtrace_domain *domain;
    struct flow_state *own;

    if (r->color > VTRACE_COLOR_MAX) {
        return NULL;
    }
    domain = record_domain(az, node, r);
    own = node->domain->flows[r->color];
    if (OVS_UNLIKELY(domain != node->domain) && own) {
        /* The node counts its records by color, whosever it is. */
        vtrace_flow_node_get(own, CONST_CAST(struct vtrace_exporter *,
                                             node))->received++;
    }
    return domain ? domain->flows[r->color] : NULL;
}

bool
vtrace_analyzer_record(struct vtrace_analyzer *az,
                       struct vtrace_exporter *node,
                       const struct vtrace_record *r)
{
    struct flow_state *flow;
    struct flow_node *fn;

    VTRACE_TAP(az, .type = VTRACE_EVENT_RECORD, .node = node->index,
               .data = r);
    flow = find_flow(az, node, r);
    if (!flow) {
        return false;
    }
    fn = vtrace_flow_node_get(flow, node);
    vtrace_heard_record(fn, r->time);

    make_room(az);
    struct point *point = get_point(flow, fn, r);
    if (!point || r->time > MAX_TIME) {
        dropped_record(flow, fn);
        return true;
    }
    point_update(point, r);

    struct group *group = get_group(flow, r);
    if (group->n >= MAX_GROUP) {
        dropped_record(flow, fn);
        flow->crowded++;
        return true;
    }
    struct observation *o = observation_alloc(az, flow);
    o->point = point;
    o->time = r->time;
    o->len = MIN(r->ip_len, UINT16_MAX);
    o->payload = MIN(r->payload_len, UINT16_MAX);
    o->sport = r->tun_sport;
    o->flags = observation_flags(r);
    o->next = group->observations;
    group->observations = o;
    group->n++;
    return true;
}

static void
flow_run(struct vtrace_analyzer *az, struct flow_state *flow, uint64_t now)
{
    uint64_t floor = vtrace_flow_floor(flow, now);
    uint64_t max_delay = az->config.max_delay;
    struct group *group;

    if (floor < max_delay) {
        return;
    }

    uint64_t until = floor == UINT64_MAX ? floor : floor - max_delay;
    while ((group = first_group(flow)) != NULL && group->first <= until) {
        vtrace_group_judge(az, flow, group, until);
        if (!group->n) {
            group_destroy(az, flow, group);
        } else {
            heap_change(&flow->queue, &group->heap_node,
                        group_priority(group));
        }
    }
}

void
vtrace_analyzer_run(struct vtrace_analyzer *az, uint64_t now)
{
    struct vtrace_analysis *an;

    VTRACE_TAP(az, .type = VTRACE_EVENT_RUN, .number = now);
    az->now = now;
    LIST_FOR_EACH (an, node, &az->analyses) {
        for (int i = 0; i < VTRACE_N_DIRECTIONS; i++) {
            flow_run(az, &an->flows[i], now);
        }
    }
}
