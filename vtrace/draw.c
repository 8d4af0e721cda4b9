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
#include "vtrace/draw.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <string.h>

#include "openvswitch/dynamic-string.h"
#include "util.h"
#include "vtrace/vtrace-json.h"

static void
draw_proto(int64_t proto, struct ds *s)
{
    switch (proto) {
    case 0: ds_put_cstr(s, "ip"); break;
    case IPPROTO_TCP: ds_put_cstr(s, "tcp"); break;
    case IPPROTO_UDP: ds_put_cstr(s, "udp"); break;
    case IPPROTO_SCTP: ds_put_cstr(s, "sctp"); break;
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6: ds_put_cstr(s, "icmp"); break;
    default: ds_put_format(s, "ip-proto-%"PRId64, proto);
    }
}

static void
draw_address(const char *addr, int64_t port, struct ds *s)
{
    if (!port) {
        ds_put_cstr(s, addr);
    } else if (strchr(addr, ':')) {
        ds_put_format(s, "[%s]:%"PRId64, addr, port);
    } else {
        ds_put_format(s, "%s:%"PRId64, addr, port);
    }
}

void
vtrace_draw_match(const struct json *request, struct ds *s)
{
    draw_proto(vtrace_json_integer(request, "proto", 0), s);
    ds_put_char(s, ' ');
    draw_address(vtrace_json_string(request, "src", "any"),
                 vtrace_json_integer(request, "sport", 0), s);
    ds_put_cstr(s, " -> ");
    draw_address(vtrace_json_string(request, "dst", "any"),
                 vtrace_json_integer(request, "dport", 0), s);
    if (vtrace_json_integer(request, "vlan", 0)) {
        ds_put_format(s, " vlan %"PRId64,
                      vtrace_json_integer(request, "vlan", 0));
    }
}

static double
number(const struct json *json, const char *name, double missing)
{
    const struct json *real = vtrace_json_member(json, name, JSON_REAL);

    return real ? json_real(real)
                : vtrace_json_integer(json, name, missing);
}

/* A time in us, with the unit that suits it. */
static void
draw_us(double us, struct ds *s)
{
    if (us < 0) {
        ds_put_cstr(s, "unknown");
    } else if (us < 1000) {
        ds_put_format(s, "%.0f us", us);
    } else {
        ds_put_format(s, "%.1f ms", us / 1000);
    }
}

/* Draws a slash and member 'name', unless that is missing or empty: where a
 * packet that no port matches is dropped, there is neither bridge nor port. */
static void
draw_part(const struct json *json, const char *name, struct ds *s)
{
    const char *part = vtrace_json_string(json, name, "");

    if (part[0]) {
        ds_put_format(s, "/%s", part);
    }
}

/* Verdict. */

static void
draw_verdict(const struct json *task, struct ds *s)
{
    const struct json *v = vtrace_json_member(task, "verdict", JSON_OBJECT);
    const struct json *edge = vtrace_json_member(v, "edge", JSON_ARRAY);
    const char *reason = vtrace_json_string(v, "reason", "none");
    const char *node = vtrace_json_string(v, "node", NULL);
    const char *replies = vtrace_json_string(v, "replies", NULL);
    const char *sampling = vtrace_json_string(v, "sampling", NULL);
    const char *controller = vtrace_json_string(v, "controller", NULL);
    const char *conntrack = vtrace_json_string(v, "conntrack", NULL);
    const char *so_far = vtrace_json_string(v, "so_far", NULL);

    if (!v) {
        return;
    }
    ds_put_format(s, "verdict  %s", vtrace_json_string(v, "kind", "?"));
    if (strcmp(reason, "none")) {
        ds_put_format(s, " (%s)", reason);
    }
    if (edge && json_array_size(edge) == 2
        && json_array_at(edge, 0)->type == JSON_STRING
        && json_array_at(edge, 1)->type == JSON_STRING) {
        ds_put_format(s, " between %s and %s",
                      json_string(json_array_at(edge, 0)),
                      json_string(json_array_at(edge, 1)));
    } else if (node) {
        ds_put_format(s, " at %s", node);
        draw_part(v, "bridge", s);
    }
    if (vtrace_json_member(v, "table", JSON_INTEGER)) {
        ds_put_format(s, " table %"PRId64,
                      vtrace_json_integer(v, "table", 0));
    }
    if (vtrace_json_string(v, "cookie", NULL)) {
        ds_put_format(s, " cookie %s", vtrace_json_string(v, "cookie", ""));
    }
    ds_put_format(s, ", %"PRId64" of %"PRId64" packets lost",
                  vtrace_json_integer(v, "lost", 0),
                  vtrace_json_integer(v, "seen", 0));
    if (replies) {
        ds_put_format(s, "; replies %s", replies);
    }
    if (sampling) {
        ds_put_format(s, "; sampling %s", sampling);
    }
    if (controller) {
        ds_put_format(s, "; an OpenFlow controller %s", controller);
    }
    if (conntrack) {
        ds_put_format(s, "; connection tracking %s", conntrack);
    }
    if (so_far) {
        ds_put_format(s, "; %s so far", so_far);
    }
    if (vtrace_json_member(v, "as_of_ms", JSON_INTEGER)) {
        int64_t since = vtrace_json_integer(v, "as_of_ms", 0)
                        - vtrace_json_integer(task, "running_ms", 0);

        ds_put_format(s, "; as of %.1f s after the task began to run",
                      since / 1e3);
    }
    ds_put_char(s, '\n');
    if (vtrace_json_string(v, "description", NULL)) {
        ds_put_format(s, "because  %s\n",
                      vtrace_json_string(v, "description", ""));
    }
    if (vtrace_json_string(v, "suggestion", "")[0]) {
        ds_put_format(s, "try      %s\n",
                      vtrace_json_string(v, "suggestion", ""));
    }
}

/* Path. */

static bool
is_direction(const struct json *json, const char *direction)
{
    return !strcmp(vtrace_json_string(json, "direction", ""), direction);
}

static void
draw_hop(const struct json *hop, struct ds *s)
{
    const char *role = vtrace_json_string(hop, "role", "?");
    const char *reason = vtrace_json_string(hop, "reason", NULL);

    ds_put_format(s, "    %-10s %s", role,
                  vtrace_json_string(hop, "node", "?"));
    draw_part(hop, "bridge", s);
    draw_part(hop, "port", s);
    ds_put_format(s, "  %"PRId64" packets",
                  vtrace_json_integer(hop, "packets", 0));
    if (vtrace_json_true(hop, "nat")) {
        ds_put_cstr(s, ", now ");
        draw_address(vtrace_json_string(hop, "src", "?"),
                     vtrace_json_integer(hop, "src_port", 0), s);
        ds_put_cstr(s, " -> ");
        draw_address(vtrace_json_string(hop, "dst", "?"),
                     vtrace_json_integer(hop, "dst_port", 0), s);
    }
    if (reason && strcmp(reason, "none")) {
        ds_put_format(s, ", %s", reason);
    }
    ds_put_char(s, '\n');
}

/* Whether 'hop' is one of 'direction' that puts packets into a tunnel. */
static bool
begins_edge(const struct json *hop, const char *direction)
{
    return (is_direction(hop, direction)
            && !strcmp(vtrace_json_string(hop, "class", ""), "tunnel")
            && !strcmp(vtrace_json_string(hop, "role", ""), "out"));
}

/* Whether the edges of the node of 'hops[i]' are drawn below 'hops[i]': an
 * edge does not say at which of the node's tunnel ports it begins, thus all of
 * them follow the last one. */
static bool
is_last_before_edges(const struct json *hops, size_t i, const char *direction)
{
    const struct json *hop = json_array_at(hops, i);

    if (!begins_edge(hop, direction)) {
        return false;
    }
    while (++i < json_array_size(hops)) {
        const struct json *next = json_array_at(hops, i);

        if (begins_edge(next, direction)
            && !strcmp(vtrace_json_string(next, "node", ""),
                       vtrace_json_string(hop, "node", ""))) {
            return false;
        }
    }
    return true;
}

/* The edges that begin at 'node'. */
static void
draw_edges_from(const struct json *edges, const char *node,
                const char *direction, struct ds *s)
{
    for (size_t i = 0; i < json_array_size(edges); i++) {
        const struct json *edge = json_array_at(edges, i);
        const struct json *delay = vtrace_json_member(edge, "delay",
                                                      JSON_OBJECT);

        if (!is_direction(edge, direction)
            || strcmp(vtrace_json_string(edge, "from", ""), node)) {
            continue;
        }
        ds_put_format(s, "    |  to %s: %"PRId64" sent, %"PRId64" lost",
                      vtrace_json_string(edge, "to", "?"),
                      vtrace_json_integer(edge, "sent", 0),
                      vtrace_json_integer(edge, "lost", 0));
        ds_put_cstr(s, ", delay p50 ");
        draw_us(number(delay, "p50_us", -1), s);
        ds_put_cstr(s, ", p99 ");
        draw_us(number(delay, "p99_us", -1), s);
        ds_put_cstr(s, ", jitter ");
        draw_us(number(delay, "jitter_us", -1), s);
        ds_put_char(s, '\n');
    }
}

static void
draw_path(const struct json *task, const char *direction, struct ds *s)
{
    const struct json *hops = vtrace_json_member(task, "hops", JSON_ARRAY);
    const struct json *edges = vtrace_json_member(task, "edges", JSON_ARRAY);
    bool any = false;

    for (size_t i = 0; hops && i < json_array_size(hops); i++) {
        const struct json *hop = json_array_at(hops, i);

        if (is_direction(hop, direction)) {
            if (!any) {
                ds_put_format(s, "%s\n", direction);
                any = true;
            }
            draw_hop(hop, s);
            if (edges && is_last_before_edges(hops, i, direction)) {
                draw_edges_from(edges, vtrace_json_string(hop, "node", ""),
                                direction, s);
            }
        }
    }
}

void
vtrace_draw_task(const struct json *task, struct ds *s)
{
    const struct json *request = vtrace_json_member(task, "request",
                                                    JSON_OBJECT);

    ds_put_format(s, "task %"PRId64"   %s", vtrace_json_integer(task, "id", 0),
                  vtrace_json_string(task, "state", "?"));
    if (vtrace_json_string(task, "reason", NULL)) {
        ds_put_format(s, ": %s", vtrace_json_string(task, "reason", ""));
    }
    ds_put_char(s, '\n');
    if (request) {
        ds_put_cstr(s, "packets  ");
        vtrace_draw_match(request, s);
        ds_put_format(s, ", entering at %s\n",
                      vtrace_json_string(request, "at", "?"));
    }
    if (vtrace_json_string(task, "reverse", NULL)) {
        ds_put_format(s, "replies  %s\n",
                      vtrace_json_string(task, "reverse", ""));
    }
    if (vtrace_json_integer(request, "inject", 0)) {
        ds_put_format(s, "injected %"PRId64" packets, %"PRId64" a second, "
                      "consumed by the switches\n",
                      vtrace_json_integer(task, "injected", 0),
                      vtrace_json_integer(request, "inject", 0));
    }
    draw_verdict(task, s);
    draw_path(task, "forward", s);
    draw_path(task, "reverse", s);
}

void
vtrace_draw_list(const struct json *list, struct ds *s)
{
    ds_put_format(s, "%-6s %-12s %-9s %-16s %s\n", "id", "tenant", "state",
                  "verdict", "packets");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const struct json *task = json_array_at(list, i);
        const struct json *request = vtrace_json_member(task, "request",
                                                        JSON_OBJECT);
        const struct json *verdict = vtrace_json_member(task, "verdict",
                                                        JSON_OBJECT);

        ds_put_format(s, "%-6"PRId64" %-12s %-9s %-16s ",
                      vtrace_json_integer(task, "id", 0),
                      vtrace_json_string(request, "tenant", ""),
                      vtrace_json_string(task, "state", "?"),
                      vtrace_json_string(verdict, "kind", "-"));
        vtrace_draw_match(request, s);
        ds_put_format(s, " at %s\n", vtrace_json_string(request, "at", "?"));
    }
}

void
vtrace_draw_nodes(const struct json *nodes, struct ds *s)
{
    ds_put_format(s, "%-16s %-32s %-10s %-14s %s\n", "name", "target",
                  "domain", "records", "openflow");
    for (size_t i = 0; i < json_array_size(nodes); i++) {
        const struct json *node = json_array_at(nodes, i);
        const char *domain = vtrace_json_string(node, "domain", "");

        ds_put_format(s, "%-16s %-32s %-10s %-14s %s\n",
                      vtrace_json_string(node, "name", "?"),
                      vtrace_json_string(node, "target", "-"),
                      *domain ? domain : "-",
                      vtrace_json_string(node, "records", "-"),
                      vtrace_json_string(node, "openflow", "-"));
    }
}

void
vtrace_draw_borders(const struct json *borders, struct ds *s)
{
    ds_put_format(s, "%-40s %-16s %s\n", "border", "leads to", "rule");
    for (size_t i = 0; i < json_array_size(borders); i++) {
        const struct json *border = json_array_at(borders, i);
        const char *domain = vtrace_json_string(border, "domain", "");

        ds_put_format(s, "%-40s %-16s %s\n",
                      vtrace_json_string(border, "at", "?"),
                      *domain ? domain : "-",
                      vtrace_json_string(border, "status", "-"));
    }
}
