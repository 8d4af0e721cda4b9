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
#include "vtrace/task-json.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "openvswitch/dynamic-string.h"
#include "ovs-ext/vtrace-reasons.h"
#include "packets.h"
#include "util.h"
#include "vtrace-rules/task-options.h"
#include "vtrace/analyze.h"
#include "vtrace/vtrace-json.h"

static void
put_string(struct json *json, const char *name, const char *value)
{
    json_object_put(json, name, json_string_create(value));
}

static void
put_integer(struct json *json, const char *name, long long int value)
{
    json_object_put(json, name, json_integer_create(value));
}

/* Addresses of struct vtrace_match: IPv4 as such, "any" for in6addr_any. */
static void
put_address(struct json *json, const char *name, const struct in6_addr *addr)
{
    struct ds s = DS_EMPTY_INITIALIZER;

    if (ipv6_addr_equals(addr, &in6addr_any)) {
        ds_put_cstr(&s, "any");
    } else {
        ipv6_format_mapped(addr, &s);
    }
    put_string(json, name, ds_cstr(&s));
    ds_destroy(&s);
}

static void
put_entry(struct json *json, const struct vtrace_entry *entry)
{
    char *s = xasprintf("%s/%s/%s", entry->node, entry->bridge, entry->port);

    put_string(json, "at", s);
    free(s);
}

static void
put_mac(struct json *json, const char *name, struct eth_addr mac)
{
    if (!eth_addr_is_zero(mac)) {
        char *s = xasprintf(ETH_ADDR_FMT, ETH_ADDR_ARGS(mac));

        put_string(json, name, s);
        free(s);
    }
}

struct json *
vtrace_request_to_json(const struct vtrace_request *request)
{
    struct json *json = json_object_create();

    if (request->tenant[0]) {
        put_string(json, "tenant", request->tenant);
    }
    put_entry(json, &request->entry);
    put_integer(json, "proto", request->match.proto);
    put_address(json, "src", &request->match.src);
    put_address(json, "dst", &request->match.dst);
    put_integer(json, "sport", request->match.sport);
    put_integer(json, "dport", request->match.dport);
    put_integer(json, "vlan", request->match.vlan);
    put_integer(json, "duration_ms", request->duration);
    put_integer(json, "exp", request->exp);
    json_object_put(json, "both", json_boolean_create(request->both));
    put_integer(json, "inject", request->inject);
    put_mac(json, "src_mac", request->src_mac);
    put_mac(json, "dst_mac", request->dst_mac);
    return json;
}

static char *
get_address(const struct json *json, const char *name, struct in6_addr *addr)
{
    const char *s = vtrace_json_string(json, name, "");

    if (!strcmp(s, "any")) {
        *addr = in6addr_any;
    } else if (!ipv6_parse(s, addr)) {
        ovs_be32 ip;

        if (!ip_parse(s, &ip)) {
            return xasprintf("%s: %s is not an IP address", name, s);
        }
        in6_addr_set_mapped_ipv4(addr, ip);
    }
    return NULL;
}

/* A member that is missing is zero. */
static char *
get_mac(const struct json *json, const char *name, struct eth_addr *mac)
{
    const char *s = vtrace_json_string(json, name, NULL);

    memset(mac, 0, sizeof *mac);
    return (s && !eth_addr_from_string(s, mac)
            ? xasprintf("%s: %s is not an Ethernet address", name, s)
            : NULL);
}

static char *
get_integer(const struct json *json, const char *name, int64_t max,
            int64_t *value)
{
    *value = vtrace_json_integer(json, name, 0);
    return *value < 0 || *value > max
           ? xasprintf("%s: %"PRId64" is out of range 0..%"PRId64, name,
                       *value, max)
           : NULL;
}

char *
vtrace_request_from_json(const struct json *json,
                         struct vtrace_request *request)
{
    const char *tenant = vtrace_json_string(json, "tenant", "");
    int64_t proto, sport, dport, vlan, exp, inject;
    char *error;

    memset(request, 0, sizeof *request);
    if (strlen(tenant) > VTRACE_STORE_MAX_NAME) {
        return xasprintf("tenant: longer than %d characters",
                         VTRACE_STORE_MAX_NAME);
    }
    ovs_strlcpy(request->tenant, tenant, sizeof request->tenant);
    error = vtrace_task_parse_entry("at", vtrace_json_string(json, "at", ""),
                                    &request->entry);
    if (!error) {
        error = get_address(json, "src", &request->match.src);
    }
    if (!error) {
        error = get_address(json, "dst", &request->match.dst);
    }
    if (!error) {
        error = get_integer(json, "proto", UINT8_MAX, &proto);
    }
    if (!error) {
        error = get_integer(json, "sport", UINT16_MAX, &sport);
    }
    if (!error) {
        error = get_integer(json, "dport", UINT16_MAX, &dport);
    }
    if (!error) {
        error = get_integer(json, "vlan", 4094, &vlan);
    }
    if (!error) {
        error = get_integer(json, "exp", VTRACE_STORE_MAX_EXP, &exp);
    }
    if (!error) {
        error = get_integer(json, "inject", VTRACE_TASK_MAX_INJECT, &inject);
    }
    if (!error) {
        error = get_mac(json, "src_mac", &request->src_mac);
    }
    if (!error) {
        error = get_mac(json, "dst_mac", &request->dst_mac);
    }
    if (!error) {
        error = get_integer(json, "duration_ms", VTRACE_STORE_MAX_DURATION,
                            &request->duration);
    }
    if (error) {
        return error;
    }
    request->match.proto = proto;
    request->match.sport = sport;
    request->match.dport = dport;
    request->match.vlan = vlan;
    request->exp = exp;
    request->inject = inject;
    request->both = vtrace_json_true(json, "both");
    return NULL;
}

/* Copies the members of 'from' that 'to' does not have. */
static void
merge(struct json *to, const struct json *from, bool brief)
{
    struct shash_node *node;

    SHASH_FOR_EACH (node, json_object(from)) {
        if (!shash_find(json_object(to), node->name)
            && (!brief || !strcmp(node->name, "verdict")
                || !strcmp(node->name, "reverse"))) {
            json_object_put(to, node->name, json_deep_clone(node->data));
        }
    }
}

/* Returns what 'analysis' says, and that replies were not traced if
 * 'unwatched' says why: a verdict that is not about a loss is about half of
 * what was asked then. */
static struct json *
analysis_to_json(const struct vtrace_analysis *analysis, bool tenant,
                 const char *unwatched)
{
    struct json *json = vtrace_analysis_to_json(analysis, tenant);

    if (unwatched) {
        struct json *verdict = shash_find_data(json_object(json), "verdict");
        const char *kind = vtrace_json_string(verdict, "kind", "");

        put_string(json, "reverse", unwatched);
        if (!strcmp(kind, "none") || !strcmp(kind, "left")) {
            put_string(verdict, "replies", "not watched");
        }
    }
    return json;
}

/* What a stored result consists of. */
static const char *const views[] = { "operator", "tenant" };

/* Returns the text of a stored result: 'json', which has the 'views', behind a
 * line with what a list of tasks has of it. */
static char *
format_result(const struct json *json)
{
    struct json *brief = json_object_create();
    struct ds s = DS_EMPTY_INITIALIZER;

    for (size_t i = 0; i < ARRAY_SIZE(views); i++) {
        struct json *part = json_object_create();

        merge(part, vtrace_json_member(json, views[i], JSON_OBJECT), true);
        json_object_put(brief, views[i], part);
    }
    json_to_ds(brief, 0, &s);
    ds_put_char(&s, '\n');
    json_to_ds(json, 0, &s);
    json_destroy(brief);
    return ds_steal_cstr(&s);
}

char *
vtrace_task_result(const struct vtrace_analysis *analysis,
                   const char *unwatched)
{
    struct json *json = json_object_create();
    char *result;

    for (size_t i = 0; i < ARRAY_SIZE(views); i++) {
        json_object_put(json, views[i],
                        analysis_to_json(analysis, i > 0, unwatched));
    }
    result = format_result(json);
    json_destroy(json);
    return result;
}

/* Returns the JSON in 'result', which vtrace_task_result() made: the whole, or
 * only its first line, since there may be many in a list.  One that an earlier
 * version made has no first line. */
static struct json *
parse_result(const char *result, bool brief)
{
    const char *end = strchr(result, '\n');
    struct json *json;
    char *line;

    if (!end || !brief) {
        return json_from_string(end ? end + 1 : result);
    }
    line = xmemdup0(result, end - result);
    json = json_from_string(line);
    free(line);
    return json;
}

/* Has 'verdict' claim no more than was known at 'as_of'. */
static void
make_provisional(struct json *verdict, int64_t as_of)
{
    const struct vtrace_reason_info *info
        = vtrace_reason_info(VTRACE_REASON_INTERRUPTED);
    const char *kind = vtrace_json_string(verdict, "kind", "");

    put_integer(verdict, "as_of_ms", as_of);
    if (strcmp(kind, "drop") && strcmp(kind, "underlay-loss")
        && strcmp(kind, "inconclusive")) {
        put_string(verdict, "so_far", kind);
        put_string(verdict, "kind", "inconclusive");
        put_string(verdict, "reason", info->name);
        put_string(verdict, "description", info->description);
        put_string(verdict, "suggestion", info->suggestion);
    }
}

char *
vtrace_task_interrupted(const char *result, int64_t as_of,
                        const char *unwatched)
{
    struct json *json = parse_result(result, false);
    char *interrupted = NULL;
    size_t n = 0;

    for (size_t i = 0; json->type == JSON_OBJECT && i < ARRAY_SIZE(views);
         i++) {
        struct json *view = shash_find_data(json_object(json), views[i]);
        struct json *verdict = view && view->type == JSON_OBJECT
            ? shash_find_data(json_object(view), "verdict") : NULL;

        if (verdict && verdict->type == JSON_OBJECT) {
            make_provisional(verdict, as_of);
            if (unwatched && !vtrace_json_string(view, "reverse", NULL)) {
                put_string(view, "reverse", unwatched);
            }
            n++;
        }
    }
    if (n == ARRAY_SIZE(views)) {
        interrupted = format_result(json);
    }
    json_destroy(json);
    return interrupted;
}

static void
put_result(struct json *json, const struct vtrace_task *task, bool tenant,
           bool brief, const struct vtrace_analysis *analysis,
           const char *reverse_error)
{
    struct json *result = NULL;
    const struct json *part;

    if (analysis) {
        result = analysis_to_json(analysis, tenant, reverse_error);
        merge(json, result, brief);
    } else if (task->result) {
        result = parse_result(task->result, brief);
        part = vtrace_json_member(result, tenant ? "tenant" : "operator",
                                  JSON_OBJECT);
        if (part) {
            merge(json, part, brief);
        }
    }
    json_destroy(result);
}

static void
put_rules(struct json *json, const struct vtrace_task *task)
{
    static const char *const states[] = {
        [VTRACE_RULE_WANTED] = "wanted",
        [VTRACE_RULE_SENT] = "sent",
        [VTRACE_RULE_INSTALLED] = "installed",
        [VTRACE_RULE_REMOVING] = "removing",
        [VTRACE_RULE_GONE] = "gone",
    };
    struct json *rules = json_array_create_empty();

    for (size_t i = 0; i < task->n_rules; i++) {
        const struct vtrace_rule *rule = &task->rules[i];
        struct json *elem = json_object_create();
        char *cookie = xasprintf("%#"PRIx64, rule->cookie);

        put_string(elem, "direction", i ? "reverse" : "forward");
        put_string(elem, "state", states[rule->state]);
        put_entry(elem, &rule->entry);
        put_integer(elem, "color", rule->color);
        put_string(elem, "cookie", cookie);
        json_array_add(rules, elem);
        free(cookie);
    }
    json_object_put(json, "rules", rules);
}

static const char *
reverse_state(const struct vtrace_task *task)
{
    return task->n_rules < 2 ? "waiting"
           : task->rules[VTRACE_REVERSE].state < VTRACE_RULE_INSTALLED
           ? "deployed"
           : task->rules[VTRACE_REVERSE].state == VTRACE_RULE_INSTALLED
           ? "running"
           : "done";
}

struct json *
vtrace_task_to_json(const struct vtrace_task *task, bool tenant, bool brief,
                    const struct vtrace_analysis *analysis,
                    const char *reverse_error)
{
    struct json *json = json_object_create();

    put_integer(json, "id", task->id);
    put_string(json, "state", vtrace_state_to_string(task->state));
    json_object_put(json, "request", vtrace_request_to_json(&task->request));
    put_integer(json, "created_ms", task->created);
    if (task->running) {
        put_integer(json, "running_ms", task->running);
        put_integer(json, "ends_ms", task->ends);
    }
    if (task->ended) {
        put_integer(json, "ended_ms", task->ended);
    }
    if (task->reason) {
        put_string(json, "reason", task->reason);
    }
    if (!tenant && !brief) {
        put_rules(json, task);
    }
    put_result(json, task, tenant, brief, analysis, reverse_error);
    if (task->request.both && !vtrace_json_string(json, "reverse", NULL)) {
        put_string(json, "reverse", reverse_state(task));
    }
    return json;
}
