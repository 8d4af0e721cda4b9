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

#ifndef VTRACE_JSON_H
#define VTRACE_JSON_H 1

/* What libopenvswitch's JSON lacks, and its differences between versions. */

#include "openvswitch/json.h"

/* Only versions that keep short arrays inline have functions for elements. */
#ifndef JSON_STRING_INLINE_LEN
static inline size_t
json_array_size(const struct json *json)
{
    return json_array(json)->n;
}

static inline const struct json *
json_array_at(const struct json *json, size_t index)
{
    return json_array(json)->elems[index];
}
#endif

/* Returns member 'name' of 'json' if 'json' is an object and the member of
 * type 'type', else NULL. */
static inline const struct json *
vtrace_json_member(const struct json *json, const char *name,
                   enum json_type type)
{
    const struct json *member = json && json->type == JSON_OBJECT
                                ? shash_find_data(json_object(json), name)
                                : NULL;

    return member && member->type == type ? member : NULL;
}

/* Returns the string, integer or boolean member 'name' of 'json', or 'missing'
 * if it has none. */
static inline const char *
vtrace_json_string(const struct json *json, const char *name,
                   const char *missing)
{
    const struct json *member = vtrace_json_member(json, name, JSON_STRING);

    return member ? json_string(member) : missing;
}

static inline int64_t
vtrace_json_integer(const struct json *json, const char *name,
                    int64_t missing)
{
    const struct json *member = vtrace_json_member(json, name, JSON_INTEGER);

    return member ? json_integer(member) : missing;
}

static inline bool
vtrace_json_true(const struct json *json, const char *name)
{
    return vtrace_json_member(json, name, JSON_TRUE) != NULL;
}

#endif /* vtrace/vtrace-json.h */
