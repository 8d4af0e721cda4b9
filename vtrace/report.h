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

#ifndef VTRACE_REPORT_H
#define VTRACE_REPORT_H 1

/* A task as an HTML page. */

struct ds;
struct json;

/* Appends a page about task 'json', the answer to "show": the verdict, the
 * path as a picture, and the evidence.  The page needs nothing from elsewhere
 * and runs no script. */
void vtrace_report(const struct json *json, struct ds *);

#endif /* vtrace/report.h */
