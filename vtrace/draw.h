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

#ifndef VTRACE_DRAW_H
#define VTRACE_DRAW_H 1

/* Tasks as text for a terminal, from what vtraced answers. */

struct ds;
struct json;

/* Appends task 'json', the answer to "show": request, state, verdict, and the
 * path with loss and delay. */
void vtrace_draw_task(const struct json *json, struct ds *);

/* Appends a table of tasks, the answer to "list". */
void vtrace_draw_list(const struct json *json, struct ds *);

/* Appends a table of nodes, the answer to "nodes". */
void vtrace_draw_nodes(const struct json *json, struct ds *);

/* Appends a table of borders, the answer to "borders". */
void vtrace_draw_borders(const struct json *json, struct ds *);

/* Appends the packets of a request: "tcp 10.0.0.1 -> 10.0.0.2:80". */
void vtrace_draw_match(const struct json *request, struct ds *);

#endif /* vtrace/draw.h */
