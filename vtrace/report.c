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
#include "vtrace/report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "openvswitch/dynamic-string.h"
#include "util.h"
#include "vtrace/draw.h"
#include "vtrace/vtrace-json.h"

/* Sizes in the picture, in pixels. */
#define NODE_WIDTH 210
#define EDGE_WIDTH 230
#define HOP_HEIGHT 34
#define HEAD_HEIGHT 30
#define MARGIN 10

/* A picture with more nodes or hops is of no use to anybody. */
#define MAX_NODES 32
#define MAX_HOPS 16

static const char style[] =
    "body{font:15px/1.5 sans-serif;max-width:72em;margin:2em auto;"
    "padding:0 1em;color:#222}"
    "h1{font-size:1.4em}h2{font-size:1.1em;margin-top:2em}"
    ".verdict{border-left:6px solid #2a7d2a;background:#f3f8f3;"
    "padding:.6em 1em}"
    ".verdict.bad{border-color:#b3261e;background:#fbf1f0}"
    ".verdict.unsure{border-color:#b58900;background:#fbf7ea}"
    "table{border-collapse:collapse}"
    "td,th{border:1px solid #ccc;padding:.2em .6em;text-align:left}"
    "td.n{text-align:right}"
    "svg{font:13px sans-serif}"
    ".scroll{overflow-x:auto}pre{white-space:pre-wrap}";

static void
put_escaped(struct ds *s, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '<': ds_put_cstr(s, "&lt;"); break;
        case '>': ds_put_cstr(s, "&gt;"); break;
        case '&': ds_put_cstr(s, "&amp;"); break;
        case '"': ds_put_cstr(s, "&quot;"); break;
        default: ds_put_char(s, *text);
        }
    }
}

static void
put_member(struct ds *s, const struct json *json, const char *name)
{
    put_escaped(s, vtrace_json_string(json, name, ""));
}

/* Verdict. */

static void
put_verdict(struct ds *s, const struct json *task)
{
    const struct json *v = vtrace_json_member(task, "verdict", JSON_OBJECT);
    const char *kind = vtrace_json_string(v, "kind", "");
    const char *class = !strcmp(kind, "none") ? ""
                        : !strcmp(kind, "drop")
                          || !strcmp(kind, "underlay-loss")
                        ? " bad" : " unsure";
    struct ds text = DS_EMPTY_INITIALIZER;

    ds_put_format(s, "<div class=\"verdict%s\"><pre>", class);
    vtrace_draw_task(task, &text);
    /* The path follows as a picture. */
    char *path = strstr(ds_cstr(&text), "\nforward\n");
    if (path) {
        *path = '\0';
    }
    put_escaped(s, ds_cstr(&text));
    ds_put_cstr(s, "</pre></div>\n");
    ds_destroy(&text);
}

/* Picture. */

struct column {
    const char *node;
    const struct json *hops[MAX_HOPS];
    size_t n_hops;
};

static bool
is_direction(const struct json *json, const char *direction)
{
    return !strcmp(vtrace_json_string(json, "direction", ""), direction);
}

/* Groups the hops of 'direction' by node, in the order in which they come. */
static size_t
make_columns(const struct json *task, const char *direction,
             struct column columns[MAX_NODES])
{
    const struct json *hops = vtrace_json_member(task, "hops", JSON_ARRAY);
    size_t n = 0;

    for (size_t i = 0; hops && i < json_array_size(hops); i++) {
        const struct json *hop = json_array_at(hops, i);
        const char *node = vtrace_json_string(hop, "node", "?");
        size_t j;

        if (!is_direction(hop, direction)) {
            continue;
        }
        for (j = 0; j < n && strcmp(columns[j].node, node); j++) {
            continue;
        }
        if (j == n) {
            if (n == MAX_NODES) {
                break;
            }
            columns[n].node = node;
            columns[n++].n_hops = 0;
        }
        if (columns[j].n_hops < MAX_HOPS) {
            columns[j].hops[columns[j].n_hops++] = hop;
        }
    }
    return n;
}

static void
put_hop(struct ds *s, const struct json *hop, int x, int y)
{
    const char *role = vtrace_json_string(hop, "role", "?");
    bool drop = !strcmp(role, "drop");

    ds_put_format(s, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" "
                  "rx=\"4\" fill=\"%s\" stroke=\"#999\"/>\n", x + 8, y,
                  NODE_WIDTH - 16, HOP_HEIGHT - 4,
                  drop ? "#f6c6c2" : "#fff");
    ds_put_format(s, "<text x=\"%d\" y=\"%d\">", x + 14, y + 13);
    put_escaped(s, role);
    ds_put_char(s, ' ');
    put_member(s, hop, "bridge");
    /* A packet that no port matches was not in any bridge. */
    if (vtrace_json_string(hop, "port", "")[0]) {
        ds_put_char(s, '/');
        put_member(s, hop, "port");
    }
    ds_put_format(s, "</text><text x=\"%d\" y=\"%d\" fill=\"#555\">%"PRId64
                  " packets", x + 14, y + 26,
                  vtrace_json_integer(hop, "packets", 0));
    if (drop) {
        ds_put_cstr(s, ", ");
        put_member(s, hop, "reason");
    } else if (vtrace_json_true(hop, "nat")) {
        ds_put_cstr(s, ", NAT");
    }
    ds_put_cstr(s, "</text>\n");
}

static void
put_node(struct ds *s, const struct column *c, int x)
{
    ds_put_format(s, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" "
                  "rx=\"8\" fill=\"#eef3f8\" stroke=\"#567\"/>"
                  "<text x=\"%d\" y=\"%d\" font-weight=\"bold\">", x, MARGIN,
                  NODE_WIDTH,
                  HEAD_HEIGHT + (int) c->n_hops * HOP_HEIGHT + 4,
                  x + 12, MARGIN + 20);
    put_escaped(s, c->node);
    ds_put_cstr(s, "</text>\n");
    for (size_t i = 0; i < c->n_hops; i++) {
        put_hop(s, c->hops[i], x, MARGIN + HEAD_HEIGHT + (int) i * HOP_HEIGHT);
    }
}

static double
get_us(const struct json *delay, const char *name)
{
    const struct json *us = vtrace_json_member(delay, name, JSON_REAL);

    return us ? json_real(us) : vtrace_json_integer(delay, name, -1);
}

/* An arrow from 'x0' to 'x1', with the numbers of 'edge'. */
static void
put_edge(struct ds *s, const struct json *edge, int x0, int x1, int y)
{
    const struct json *delay = vtrace_json_member(edge, "delay", JSON_OBJECT);
    int64_t lost = vtrace_json_integer(edge, "lost", 0);
    double p50 = get_us(delay, "p50_us"), p99 = get_us(delay, "p99_us");
    const char *color = lost ? "#b3261e" : "#2a7d2a";

    ds_put_format(s, "<line x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\" "
                  "stroke=\"%s\" stroke-width=\"2\"/>"
                  "<path d=\"M%d %d l-9 -5 v10 z\" fill=\"%s\"/>\n",
                  x0, y, x1, y, color, x1, y, color);
    ds_put_format(s, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\" "
                  "fill=\"%s\">%"PRId64" of %"PRId64" lost</text>",
                  (x0 + x1) / 2, y - 7, color, lost,
                  vtrace_json_integer(edge, "sent", 0));
    ds_put_format(s, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\" "
                  "fill=\"#555\">", (x0 + x1) / 2, y + 18);
    if (p50 >= 0) {
        ds_put_format(s, "p50 %.0f us, p99 %.0f us", p50, p99);
    } else {
        ds_put_cstr(s, "delay unknown");
    }
    ds_put_cstr(s, "</text>\n");
}

static void
put_picture(struct ds *s, const struct json *task, const char *direction)
{
    const struct json *edges = vtrace_json_member(task, "edges", JSON_ARRAY);
    struct column *columns = xcalloc(MAX_NODES, sizeof *columns);
    size_t n = make_columns(task, direction, columns), most = 0;
    size_t n_edges = edges ? json_array_size(edges) : 0;

    if (!n) {
        free(columns);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        most = MAX(most, columns[i].n_hops);
    }
    ds_put_format(s, "<h2>Path, %s</h2>\n<div class=\"scroll\">"
                  "<svg width=\"%d\" height=\"%d\" role=\"img\">\n",
                  direction, (int) n * (NODE_WIDTH + EDGE_WIDTH) + MARGIN,
                  HEAD_HEIGHT + (int) most * HOP_HEIGHT + 3 * MARGIN);
    for (size_t i = 0; i < n; i++) {
        int x = MARGIN + (int) i * (NODE_WIDTH + EDGE_WIDTH), rows = 0;

        put_node(s, &columns[i], x);
        for (size_t j = 0; j < n_edges; j++) {
            const struct json *edge = json_array_at(edges, j);

            if (is_direction(edge, direction)
                && !strcmp(vtrace_json_string(edge, "from", ""),
                           columns[i].node)) {
                put_edge(s, edge, x + NODE_WIDTH,
                         x + NODE_WIDTH + EDGE_WIDTH,
                         MARGIN + HEAD_HEIGHT + HOP_HEIGHT / 2
                         + rows++ * 40);
            }
        }
    }
    ds_put_cstr(s, "</svg></div>\n");
    free(columns);
}

/* Evidence. */

static void
put_edges(struct ds *s, const struct json *task)
{
    const struct json *edges = vtrace_json_member(task, "edges", JSON_ARRAY);

    if (!edges || !json_array_size(edges)) {
        return;
    }
    ds_put_cstr(s, "<h2>Between switches</h2>\n<table><tr><th>direction"
                "<th>from<th>to<th>sent<th>received<th>lost<th>p50 (us)"
                "<th>p99 (us)<th>jitter (us)<th>clock</tr>\n");
    for (size_t i = 0; i < json_array_size(edges); i++) {
        const struct json *edge = json_array_at(edges, i);
        const struct json *delay = vtrace_json_member(edge, "delay",
                                                      JSON_OBJECT);
        static const char *const counts[] = { "sent", "received", "lost" };
        static const char *const delays[] = { "p50_us", "p99_us",
                                              "jitter_us" };
        static const char *const names[] = { "direction", "from", "to" };

        ds_put_cstr(s, "<tr>");
        for (size_t j = 0; j < ARRAY_SIZE(names); j++) {
            ds_put_cstr(s, "<td>");
            put_member(s, edge, names[j]);
        }
        for (size_t j = 0; j < ARRAY_SIZE(counts); j++) {
            ds_put_format(s, "<td class=\"n\">%"PRId64,
                          vtrace_json_integer(edge, counts[j], 0));
        }
        for (size_t j = 0; j < ARRAY_SIZE(delays); j++) {
            double us = get_us(delay, delays[j]);

            ds_put_cstr(s, "<td class=\"n\">");
            if (us >= 0) {
                ds_put_format(s, "%.0f", us);
            } else {
                ds_put_cstr(s, "unknown");
            }
        }
        ds_put_cstr(s, "<td>");
        put_member(s, delay, "clock");
        ds_put_cstr(s, "</tr>\n");
    }
    ds_put_cstr(s, "</table>\n");
}

void
vtrace_report(const struct json *task, struct ds *s)
{
    struct ds text = DS_EMPTY_INITIALIZER;

    ds_put_format(s, "<!DOCTYPE html>\n<html lang=\"en\"><head>"
                  "<meta charset=\"utf-8\"><title>VTrace task %"PRId64
                  "</title>\n<style>%s</style></head><body>\n"
                  "<h1>VTrace task %"PRId64"</h1>\n",
                  vtrace_json_integer(task, "id", 0), style,
                  vtrace_json_integer(task, "id", 0));
    put_verdict(s, task);
    put_picture(s, task, "forward");
    put_picture(s, task, "reverse");
    put_edges(s, task);
    ds_put_cstr(s, "<h2>Evidence</h2>\n<details><summary>Everything that "
                "vtrace show --json prints</summary><pre>");
    json_to_ds(task, JSSF_SORT | JSSF_PRETTY, &text);
    put_escaped(s, ds_cstr(&text));
    ds_put_cstr(s, "</pre></details>\n</body></html>\n");
    ds_destroy(&text);
}
