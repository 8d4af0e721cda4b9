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

/* An analysis as JSON, for 'vtrace show --json' and the report. */

#include <config.h>
#include "vtrace/analyze-private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "openvswitch/json.h"
#include "packets.h"
#include "util.h"

/* Hops and edges that are shown. */
#define MAX_SHOWN 256

/* Outer source ports of an edge that are shown: those that lost most, of
 * others those that were used first. */
#define MAX_SPORTS_SHOWN 64

static void
put_string(struct json *object, const char *name, const char *s)
{
    json_object_put(object, name,
                    s ? json_string_create(s) : json_null_create());
}

static void
put_integer(struct json *object, const char *name, uint64_t value)
{
    json_object_put(object, name, json_integer_create(value));
}

static void
put_real(struct json *object, const char *name, double value)
{
    json_object_put(object, name, json_real_create(value));
}

static const char *
direction_name(enum vtrace_direction direction)
{
    return direction == VTRACE_FORWARD ? "forward" : "reverse";
}

static const char *
role_name(uint8_t role)
{
    switch (role) {
    case VTRACE_ROLE_IN: return "in";
    case VTRACE_ROLE_OUT: return "out";
    case VTRACE_ROLE_DROP: return "drop";
    case VTRACE_ROLE_CHECKPOINT: return "checkpoint";
    default: return "unknown";
    }
}

static const char *
port_class_name(uint8_t port_class)
{
    switch (port_class) {
    case VTRACE_PORT_ACCESS: return "access";
    case VTRACE_PORT_EXTERNAL: return "external";
    case VTRACE_PORT_TUNNEL: return "tunnel";
    case VTRACE_PORT_PATCH: return "patch";
    default: return "unknown";
    }
}

static void
put_table_and_cookie(struct json *object, bool has_table, uint8_t table,
                     bool has_cookie, uint64_t cookie)
{
    if (has_table) {
        put_integer(object, "table", table);
    }
    if (has_cookie) {
        char *s = xasprintf("%#"PRIx64, cookie);

        put_string(object, "cookie", s);
        free(s);
    }
}

/* Returns the name of a port for those who are a tenant's or not: names of
 * tunnel ports may say what is hidden from tenants. */
static const char *
port_name(const char *port, uint8_t port_class, bool tenant)
{
    return tenant && port && port_class == VTRACE_PORT_TUNNEL ? "tunnel"
           : port;
}

/* Adds to the verdict 'v', in 'json', that it is not about the replies to all
 * packets, if these left in several places. */
static void
put_replies(struct json *json, const struct vtrace_analysis *an,
            const struct vtrace_verdict *v, bool tenant)
{
    const struct point *watched;
    uint64_t here, all;

    watched = vtrace_watched_exit(an, &here, &all);
    if (watched && here * 100 < all * 99
        && (v->kind == VTRACE_VERDICT_NONE || v->kind == VTRACE_VERDICT_LEFT
            || v->kind == VTRACE_VERDICT_NO_REPLY)) {
        char *s = xasprintf("watched at %s/%s/%s only, where %"PRIu64" of %"
                            PRIu64" packets left", watched->fn->node->name,
                            watched->bridge,
                            port_name(watched->port, watched->key.port_class,
                                      tenant), here, all);

        put_string(json, "replies", s);
        free(s);
    }
}

/* Adds to the verdict 'v', in 'json', that sampling took no packet, if that is
 * what it rests on. */
static void
put_sampling(struct json *json, const struct vtrace_analysis *an,
             const struct vtrace_verdict *v)
{
    const struct flow_state *flow = &an->flows[v->direction];

    if (v->reason == VTRACE_REASON_TOO_FEW && vtrace_flow_is_unsampled(flow)) {
        char *s = xasprintf("took none of %"PRIu64" packets (of such as are "
                            "alike it takes all or none): --exp 0 takes all",
                            flow->rule_count);

        put_string(json, "sampling", s);
        free(s);
    }
}

/* Returns what would give enough packets for the verdict 'v'. */
static const char *
suggest_more_packets(const struct vtrace_analysis *an,
                     const struct vtrace_verdict *v)
{
    const struct flow_state *flow = &an->flows[v->direction];

    if (flow->exp) {
        return (flow->rule_count < MIN_DELIVERED
                ? "trace with --exp 0, and for longer"
                : vtrace_flow_is_unsampled(flow) ? "trace with --exp 0"
                : "trace with a smaller --exp, or for longer");
    }
    return (v->lost ? "trace for longer, to see whether more packets get lost"
            : v->direction == VTRACE_REVERSE
            ? "trace for longer, while more answers come"
            : "trace for longer, while the flow sends more, or have more "
              "packets made with --inject");
}

/* Adds to the verdict 'v', in 'json', that controllers got packets, if that is
 * not the verdict. */
static void
put_controller(struct json *json, const struct vtrace_analysis *an,
               const struct vtrace_verdict *v)
{
    uint64_t n = 0;

    for (int i = 0; i < VTRACE_N_DIRECTIONS; i++) {
        n += an->flows[i].handed;
    }
    if (n && v->reason != VTRACE_REASON_TO_CONTROLLER) {
        char *s = xasprintf("got %"PRIu64" packets, of which nobody knows "
                            "whether it sent them on", n);

        put_string(json, "controller", s);
        free(s);
    }
}

/* Adds to the verdict 'v', in 'json', what connection tracking says of packets
 * that a rule dropped, if that may be why. */
static void
put_conntrack(struct json *json, const struct vtrace_verdict *v)
{
    if (v->ct_invalid) {
        put_string(json, "conntrack", "calls the packet invalid, which this "
                   "rule need not match, but one ahead of it may");
    }
}

/* Returns true if 's' is the address of a switch that no node's is, which
 * tenants do not see. */
static bool
is_address(const char *s)
{
    struct in6_addr ipv6;
    ovs_be32 ipv4;

    return ip_parse(s, &ipv4) || ipv6_parse(s, &ipv6);
}

static struct json *
verdict_to_json(const struct vtrace_analysis *an, bool tenant)
{
    const struct vtrace_reason_info *info;
    struct json *json = json_object_create();
    char reason[VTRACE_REASON_NAME_LEN];
    struct vtrace_verdict v;

    vtrace_analysis_verdict(an, &v);
    info = vtrace_reason_info(v.reason);
    put_string(json, "kind", vtrace_verdict_name(v.kind));
    put_string(json, "direction", direction_name(v.direction));
    put_string(json, "node", v.node);
    put_string(json, "bridge", v.bridge);
    put_string(json, "port", port_name(v.port, v.port_class, tenant));
    put_string(json, "reason", vtrace_reason_name(v.reason, reason));
    put_string(json, "description", info ? info->description : NULL);
    put_string(json, "suggestion",
               v.reason == VTRACE_REASON_TOO_FEW ? suggest_more_packets(an, &v)
               : info ? info->suggestion : NULL);
    put_integer(json, "lost", v.lost);
    put_integer(json, "seen", v.seen);
    if (!tenant) {
        put_table_and_cookie(json, v.has_table, v.table,
                             v.has_cookie, v.cookie);
    }
    if (v.edge[0]) {
        const char *to = tenant && is_address(v.edge[1]) ? "unknown"
                         : v.edge[1];

        json_object_put(json, "edge",
                        json_array_create_2(json_string_create(v.edge[0]),
                                            json_string_create(to)));
        if (!tenant) {
            put_integer(json, "sport", v.sport);
        }
    } else {
        json_object_put(json, "edge", json_null_create());
    }
    put_replies(json, an, &v, tenant);
    put_sampling(json, an, &v);
    put_conntrack(json, &v);
    put_controller(json, an, &v);
    return json;
}

static void
put_address(struct json *json, const char *name, const struct in6_addr *addr)
{
    char s[INET6_ADDRSTRLEN];

    put_string(json, name, ipv6_string_mapped(s, addr));
}

/* 'previous' is the hop before 'point', or NULL. */
static struct json *
hop_to_json(const struct point *point, const struct point *previous,
            enum vtrace_direction direction, bool tenant)
{
    const struct point_key *key = &point->key;
    struct json *json = json_object_create();

    put_string(json, "direction", direction_name(direction));
    put_string(json, "node", point->fn->node->name);
    put_string(json, "bridge", point->bridge);
    put_string(json, "port", port_name(point->port, key->port_class, tenant));
    put_string(json, "role", role_name(key->role));
    put_string(json, "class", port_class_name(key->port_class));
    put_integer(json, "packets", point->packets);
    put_address(json, "src", &point->src);
    put_address(json, "dst", &point->dst);
    put_integer(json, "protocol", point->protocol);
    if (point->src_port || point->dst_port) {
        put_integer(json, "src_port", point->src_port);
        put_integer(json, "dst_port", point->dst_port);
    }
    if (previous) {
        json_object_put(json, "nat", json_boolean_create(
            !ipv6_addr_equals(&point->src, &previous->src)
            || !ipv6_addr_equals(&point->dst, &previous->dst)
            || point->src_port != previous->src_port
            || point->dst_port != previous->dst_port));
    }
    put_integer(json, "ct_state", point->ct_state);
    if (key->reason) {
        char reason[VTRACE_REASON_NAME_LEN];

        put_string(json, "reason", vtrace_reason_name(key->reason, reason));
    }
    if (!tenant) {
        put_table_and_cookie(json, key->flags & VTRACE_F_TABLE, key->table,
                             key->flags & VTRACE_F_COOKIE, key->cookie);
        if (key->tun_id || ipv6_addr_is_set(&key->tun_dst)) {
            put_integer(json, "tun_id", key->tun_id);
            put_address(json, "tun_src", &key->tun_src);
            put_address(json, "tun_dst", &key->tun_dst);
        }
    }
    return json;
}

static int
compare_sports(const void *a_, const void *b_)
{
    const struct sport_stats *a = *(const struct sport_stats *const *) a_;
    const struct sport_stats *b = *(const struct sport_stats *const *) b_;

    return (a->lost != b->lost ? (a->lost > b->lost ? -1 : 1)
            : a->first_sent != b->first_sent
            ? (a->first_sent < b->first_sent ? -1 : 1)
            : a->sport - b->sport);
}

static struct json *
sports_to_json(const struct edge *edge)
{
    struct json *array = json_array_create_empty();
    const struct sport_stats *sorted[N_SPORTS];
    size_t n = 0;

    for (unsigned int i = 0; i < N_SPORTS; i++) {
        const struct sport_stats *ss = vtrace_edge_sport(edge, i);

        if (ss) {
            sorted[n++] = ss;
        }
    }
    qsort(sorted, n, sizeof *sorted, compare_sports);
    for (size_t i = 0; i < MIN(n, MAX_SPORTS_SHOWN); i++) {
        const struct sport_stats *ss = sorted[i];
        struct json *json = json_object_create();

        put_integer(json, "sport", ss->sport);
        put_integer(json, "sent", ss->sent);
        put_integer(json, "received", ss->received);
        put_integer(json, "lost", ss->lost);
        json_array_add(array, json);
    }
    return array;
}

static struct json *
delay_to_json(const struct flow_state *flow, const struct point *point)
{
    struct json *json = json_object_create();
    int64_t p50, p99;

    const char *how = vtrace_edge_delay(flow, point, .5, &p50);
    if (how) {
        vtrace_edge_delay(flow, point, .99, &p99);
        put_real(json, "p50_us", p50 / 1000.0);
        put_real(json, "p99_us", p99 / 1000.0);
    } else {
        json_object_put(json, "p50_us", json_null_create());
        json_object_put(json, "p99_us", json_null_create());
    }
    if (point->edge->n_delays > 1) {
        put_real(json, "jitter_us", point->edge->jitter / 1000.0);
    } else {
        json_object_put(json, "jitter_us", json_null_create());
    }
    put_string(json, "clock", how ? how : "unknown");
    return json;
}

static struct json *
edge_to_json(const struct flow_state *flow, const struct point *point,
             bool tenant)
{
    const struct edge *edge = point->edge;
    struct json *json = json_object_create();

    put_string(json, "direction", direction_name(flow->direction));
    put_string(json, "from", point->fn->node->name);
    put_string(json, "to", (tenant && !vtrace_edge_target(flow, point)
                            ? "unknown" : vtrace_edge_to(flow, point)));
    put_integer(json, "sent", edge->sent);
    put_integer(json, "received", edge->received);
    put_integer(json, "lost", edge->sent - edge->received);
    json_object_put(json, "delay", delay_to_json(flow, point));
    if (!tenant) {
        put_integer(json, "tun_id", point->key.tun_id);
        json_object_put(json, "sports", sports_to_json(edge));
    }
    return json;
}

/* By place in the path; points that are equal in this in a stable order. */
static int
compare_points(const void *a_, const void *b_)
{
    const struct point *a = *(const struct point *const *) a_;
    const struct point *b = *(const struct point *const *) b_;
    double a_place = vtrace_point_place(a);
    double b_place = vtrace_point_place(b);

    return (a_place < b_place ? -1 : a_place > b_place ? 1
            : memcmp(&a->key, &b->key, sizeof a->key));
}

/* Adds the hops and edges of 'flow'. */
static void
put_path(const struct flow_state *flow, struct json *hops, struct json *edges,
         bool tenant)
{
    size_t n = 0, n_points = hmap_count(&flow->points);
    const struct point **sorted = xmalloc((n_points + 1) * sizeof *sorted);
    const struct point *point;

    HMAP_FOR_EACH (point, node, &flow->points) {
        if (point->packets) {
            sorted[n++] = point;
        }
    }
    qsort(sorted, n, sizeof *sorted, compare_points);
    for (size_t i = 0; i < MIN(n, MAX_SHOWN); i++) {
        json_array_add(hops, hop_to_json(sorted[i], i ? sorted[i - 1] : NULL,
                                         flow->direction, tenant));
        if (sorted[i]->edge) {
            json_array_add(edges, edge_to_json(flow, sorted[i], tenant));
        }
    }
    free(sorted);
}

/* What the verdict rests on. */
static struct json *
evidence_to_json(const struct flow_state *flow)
{
    struct json *json = json_object_create();
    uint64_t records = 0, missing = 0;

    for (size_t i = 0; i < flow->n_nodes; i++) {
        if (flow->nodes[i]) {
            records += flow->nodes[i]->total;
            missing += flow->nodes[i]->missing;
        }
    }
    put_integer(json, "packets", flow->seen);
    put_integer(json, "injected", flow->injected);
    put_integer(json, "delivered", flow->delivered);
    put_integer(json, "left", flow->left);
    put_integer(json, "lost", flow->seen - flow->delivered - flow->left);
    put_integer(json, "to_controller", flow->handed);
    put_integer(json, "not_judged", flow->unjudged);
    put_integer(json, "waiting", hmap_count(&flow->groups));
    put_integer(json, "records", records);
    put_integer(json, "records_missing", missing);
    put_integer(json, "records_unmatched", flow->orphans);
    put_integer(json, "records_beyond_limits", flow->overflow);
    put_integer(json, "repeated", flow->repeats);
    put_integer(json, "super_packets", flow->super);
    json_object_put(json, "ambiguous",
                    json_boolean_create(flow->repeats * 100 > flow->seen));
    return json;
}

struct json *
vtrace_analysis_to_json(const struct vtrace_analysis *an, bool tenant)
{
    struct json *json = json_object_create();
    struct json *hops = json_array_create_empty();
    struct json *edges = json_array_create_empty();
    struct json *evidence = json_object_create();

    for (int i = 0; i < VTRACE_N_DIRECTIONS; i++) {
        const struct flow_state *flow = &an->flows[i];

        put_path(flow, hops, edges, tenant);
        if (i == VTRACE_FORWARD || flow->started) {
            json_object_put(evidence, direction_name(i),
                            evidence_to_json(flow));
        }
    }
    json_object_put(json, "verdict", verdict_to_json(an, tenant));
    put_integer(json, "injected", an->flows[VTRACE_FORWARD].injected);
    json_object_put(json, "hops", hops);
    json_object_put(json, "edges", edges);
    json_object_put(json, "evidence", evidence);
    return json;
}
