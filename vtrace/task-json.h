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

#ifndef VTRACE_TASK_JSON_H
#define VTRACE_TASK_JSON_H 1

/* Tasks as JSON: what "vtrace" and vtraced tell each other, and what "vtrace
 * show --json" prints. */

#include <stdbool.h>
#include "vtrace/store.h"

struct json;
struct vtrace_analysis;

/* Returns what is stored as the result of a task: the analysis for operators
 * and that for tenants, who do not see underlay and rules, behind a line with
 * what a list of tasks has of them.  'unwatched' is why replies were not traced
 * though they should have been, or NULL.  The caller must free it. */
char *vtrace_task_result(const struct vtrace_analysis *,
                         const char *unwatched);

/* Returns what is to be stored as the result of a task that was interrupted, by
 * a crash for instance, if 'result', of vtrace_task_result(), is what it had
 * seen at 'as_of', a wall clock time in ms.  The verdict gets a member
 * "as_of_ms".  One that a loss is the evidence of stays; any other, such as
 * that there is none, could have become another one, and is "inconclusive", with
 * what it was in "so_far".  'unwatched' is why replies were not traced until
 * then, or NULL.
 *
 * Returns NULL if 'result' is not what it should be.  The caller must free the
 * result. */
char *vtrace_task_interrupted(const char *result, int64_t as_of,
                              const char *unwatched);

/* Returns 'task' as JSON, without the path if 'brief' is true, and without
 * what a tenant must not see if 'tenant' is true.  The verdict is that of
 * 'analysis', or of the stored result if that is NULL.  'reverse_error' is why
 * replies are not traced, or NULL; the stored result has its own. */
struct json *vtrace_task_to_json(const struct vtrace_task *task, bool tenant,
                                 bool brief,
                                 const struct vtrace_analysis *analysis,
                                 const char *reverse_error);

/* Requests, as "vtrace start" sends them. */
struct json *vtrace_request_to_json(const struct vtrace_request *);
char *vtrace_request_from_json(const struct json *, struct vtrace_request *)
    OVS_WARN_UNUSED_RESULT;

#endif /* vtrace/task-json.h */
