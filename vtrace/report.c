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
#define EDGE_WIDTH 200
#define EDGE_TEXT_WIDTH 165
#define EDGE_HEIGHT 44
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

/* A node, with its place in the picture: nodes that get packets from the same
 * one are in one column, one below the other. */
struct box {
    const char *node;
    const struct json *hops[MAX_HOPS];
    size_t n_hops;
    int column, top;            /* 'top' in pixels. */
    int n_out, n_in;            /* Arrows drawn so far. */
};

static bool
is_direction(const struct json *json, const char *direction)
{
    return !strcmp(vtrace_json_string(json, "direction", ""), direction);
}

static struct box *
find_box(struct box *boxes, size_t n, const char *node)
{
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(boxes[i].node, node)) {
            return &boxes[i];
        }
    }
    return NULL;
}

/* Groups the hops of 'direction' by node, in the order in which they come. */
static size_t
make_boxes(const struct json *task, const char *direction,
           struct box boxes[MAX_NODES])
{
    const struct json *hops = vtrace_json_member(task, "hops", JSON_ARRAY);
    size_t n = 0;

    for (size_t i = 0; hops && i < json_array_size(hops); i++) {
        const struct json *hop = json_array_at(hops, i);
        const char *node = vtrace_json_string(hop, "node", "?");
        struct box *box;

        if (!is_direction(hop, direction)) {
            continue;
        }
        box = find_box(boxes, n, node);
        if (!box) {
            if (n == MAX_NODES) {
                break;
            }
            box = &boxes[n++];
            box->node = node;
        }
        if (box->n_hops < MAX_HOPS) {
            box->hops[box->n_hops++] = hop;
        }
    }
    return n;
}

/* The edges of 'direction' from 'from' to 'to', or to any node if that is
 * NULL. */
static size_t
count_edges(const struct json *edges, const char *direction, const char *from,
            const char *to)
{
    size_t n = 0;

    for (size_t i = 0; edges && i < json_array_size(edges); i++) {
        const struct json *edge = json_array_at(edges, i);

        n += (is_direction(edge, direction)
              && !strcmp(vtrace_json_string(edge, "from", ""), from)
              && (!to || !strcmp(vtrace_json_string(edge, "to", ""), to)));
    }
    return n;
}

static int
box_height(const struct box *box)
{
    return HEAD_HEIGHT + (int) box->n_hops * HOP_HEIGHT + 4;
}

/* Gives each of the 'n' boxes its place: to the right of all boxes before it
 * that have an edge to it, or of the box before it if none has; below the
 * boxes that are there.  Returns the height of the picture. */
static int
place_boxes(struct box *boxes, size_t n, const struct json *edges,
            const char *direction)
{
    int bottoms[MAX_NODES], height = 0;

    for (size_t i = 0; i < n; i++) {
        struct box *box = &boxes[i];

        box->column = -1;
        for (size_t j = 0; j < i; j++) {
            if (count_edges(edges, direction, boxes[j].node, box->node)) {
                box->column = MAX(box->column, boxes[j].column + 1);
            }
        }
        if (box->column < 0) {
            box->column = i ? box[-1].column + 1 : 0;
        }
    }
    for (size_t i = 0; i < n; i++) {
        bottoms[i] = MARGIN;
    }
    for (size_t i = 0; i < n; i++) {
        struct box *box = &boxes[i];
        int *bottom = &bottoms[box->column];
        int arrows = HEAD_HEIGHT + EDGE_HEIGHT
                     * (int) count_edges(edges, direction, box->node, NULL);

        box->top = *bottom;
        *bottom += MAX(box_height(box), arrows) + MARGIN;
        height = MAX(height, *bottom);
    }
    return height;
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

static int
box_left(const struct box *box)
{
    return MARGIN + box->column * (NODE_WIDTH + EDGE_WIDTH);
}

/* Where arrow number 'row' leaves or reaches 'box'. */
static int
arrow_y(const struct box *box, int row)
{
    return box->top + HEAD_HEIGHT + HOP_HEIGHT / 2 + row * EDGE_HEIGHT;
}

static void
put_node(struct ds *s, const struct box *box)
{
    int x = box_left(box);

    ds_put_format(s, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" "
                  "rx=\"8\" fill=\"#eef3f8\" stroke=\"#567\"/>"
                  "<text x=\"%d\" y=\"%d\" font-weight=\"bold\">", x,
                  box->top, NODE_WIDTH, box_height(box), x + 12,
                  box->top + 20);
    put_escaped(s, box->node);
    ds_put_cstr(s, "</text>\n");
    for (size_t i = 0; i < box->n_hops; i++) {
        put_hop(s, box->hops[i], x,
                box->top + HEAD_HEIGHT + (int) i * HOP_HEIGHT);
    }
}

static double
get_us(const struct json *delay, const char *name)
{
    const struct json *us = vtrace_json_member(delay, name, JSON_REAL);

    return us ? json_real(us) : vtrace_json_integer(delay, name, -1);
}

/* An arrow for 'edge' from 'from' to 'to', a box in the next column, or into
 * nowhere if that is NULL.  What it leads to is in its text, too. */
static void
put_edge(struct ds *s, const struct json *edge, struct box *from,
         struct box *to)
{
    const struct json *delay = vtrace_json_member(edge, "delay", JSON_OBJECT);
    int64_t lost = vtrace_json_integer(edge, "lost", 0);
    double p50 = get_us(delay, "p50_us"), p99 = get_us(delay, "p99_us");
    const char *color = lost ? "#b3261e" : "#2a7d2a";
    int x = box_left(from) + NODE_WIDTH, y = arrow_y(from, from->n_out++);
    int end_x = x + (to ? EDGE_WIDTH : EDGE_TEXT_WIDTH);
    int end_y = to ? arrow_y(to, to->n_in++) : y;

    ds_put_format(s, "<polyline points=\"%d,%d %d,%d %d,%d %d,%d\" "
                  "fill=\"none\" stroke=\"%s\" stroke-width=\"2\"/>\n"
                  "<path d=\"M%d %d l-9 -5 v10 z\" fill=\"%s\"/>\n",
                  x, y, x + EDGE_TEXT_WIDTH - 9, y, end_x - 9, end_y, end_x,
                  end_y, color, end_x, end_y, color);
    ds_put_format(s, "<text x=\"%d\" y=\"%d\" fill=\"%s\">to ", x + 6, y - 7,
                  color);
    put_member(s, edge, "to");
    ds_put_format(s, ": %"PRId64" of %"PRId64" lost</text>\n"
                  "<text x=\"%d\" y=\"%d\" fill=\"#555\">", lost,
                  vtrace_json_integer(edge, "sent", 0), x + 6, y + 18);
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
    struct box *boxes = xcalloc(MAX_NODES, sizeof *boxes);
    size_t n = make_boxes(task, direction, boxes);
    int height = place_boxes(boxes, n, edges, direction), columns = 0;

    if (!n) {
        free(boxes);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        columns = MAX(columns, boxes[i].column + 1);
    }
    ds_put_format(s, "<h2>Path, %s</h2>\n<div class=\"scroll\">"
                  "<svg width=\"%d\" height=\"%d\" role=\"img\">\n",
                  direction, columns * (NODE_WIDTH + EDGE_WIDTH) + MARGIN,
                  height + MARGIN);
    for (size_t i = 0; i < n; i++) {
        put_node(s, &boxes[i]);
    }
    for (size_t i = 0; edges && i < json_array_size(edges); i++) {
        const struct json *edge = json_array_at(edges, i);
        struct box *from = find_box(boxes, n,
                                    vtrace_json_string(edge, "from", ""));
        struct box *to = find_box(boxes, n,
                                  vtrace_json_string(edge, "to", ""));

        if (from && is_direction(edge, direction)) {
            put_edge(s, edge, from,
                     to && to->column == from->column + 1 ? to : NULL);
        }
    }
    ds_put_cstr(s, "</svg></div>\n");
    free(boxes);
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
