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
#include "vtrace/tenants.h"

#include <ctype.h>
#include <fnmatch.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "openvswitch/shash.h"
#include "ovsdb-parser.h"
#include "ovsdb-error.h"
#include "smap.h"
#include "sset.h"
#include "util.h"
#include "vtrace/ports.h"
#include "vtrace/vtrace-json.h"

struct tenant {
    struct sset users;
    struct sset ports;          /* Patterns. */
    struct smap external_ids;   /* Of other ports, empty for none. */
    struct vtrace_quota quota;
    int max_duration;           /* s. */
    int max_inject;
};

struct vtrace_tenants {
    char *file;                 /* NULL if there is none. */
    struct sset operators;
    struct shash tenants;       /* Of struct tenant. */
};

#define CERTIFICATE "certificate "

char *
vtrace_tenants_certificate(const char *name)
{
    size_t len = name ? strlen(name) : 0;

    if (!len || len > VTRACE_STORE_MAX_NAME) {
        return NULL;
    }
    for (size_t i = 0; i < len; i++) {
        if (!isgraph((unsigned char) name[i])) {
            return NULL;
        }
    }
    return xasprintf(CERTIFICATE"%s", name);
}

const char *
vtrace_tenants_kind(const char *user)
{
    return strncmp(user, CERTIFICATE, strlen(CERTIFICATE)) ? "user " : "";
}

/* Adds the common names in 'json' to 'users'. */
static char *
parse_certificates(const char *file, const char *what,
                   const struct json *json, struct sset *users)
{
    for (size_t i = 0; json && i < json_array_size(json); i++) {
        const struct json *elem = json_array_at(json, i);
        char *user = (elem->type == JSON_STRING
                      ? vtrace_tenants_certificate(json_string(elem)) : NULL);

        if (!user) {
            return xasprintf("%s: %s: a list of common names, of 1...%d "
                             "printable characters without blanks, is wanted",
                             file, what, VTRACE_STORE_MAX_NAME);
        }
        sset_add_and_free(users, user);
    }
    return NULL;
}

static char *
parse_strings(const char *file, const char *what, const struct json *json,
              struct sset *strings)
{
    if (!json) {
        return NULL;
    }
    for (size_t i = 0; i < json_array_size(json); i++) {
        const struct json *elem = json_array_at(json, i);

        if (elem->type != JSON_STRING || !*vtrace_tenants_kind(
                json_string(elem))) {
            return xasprintf("%s: %s: a list of strings is wanted", file,
                             what);
        }
        sset_add(strings, json_string(elem));
    }
    return NULL;
}

static char *
parse_ids(const char *file, const struct json *json, struct smap *ids)
{
    struct shash_node *node;

    if (!json) {
        return NULL;
    }
    SHASH_FOR_EACH (node, json_object(json)) {
        const struct json *value = node->data;

        if (value->type != JSON_STRING) {
            return xasprintf("%s: external_ids: %s: a string is wanted", file,
                             node->name);
        }
        smap_replace(ids, node->name, json_string(value));
    }
    return (smap_is_empty(ids)
            ? xasprintf("%s: external_ids: none would be those of every port, "
                        "give some or leave it away", file)
            : NULL);
}

static char *
parse_limit(const char *file, const char *name, const char *what, int max,
            const struct json *json, int *value)
{
    if (!json) {
        return NULL;
    }
    if (json_integer(json) < 0 || json_integer(json) > max) {
        return xasprintf("%s: tenant %s: %s: %"PRId64" is out of range "
                         "0..%d", file, name, what,
                         (int64_t) json_integer(json), max);
    }
    *value = json_integer(json);
    return NULL;
}

static const struct json *
member(struct ovsdb_parser *parser, const char *name, enum json_type type)
{
    return ovsdb_parser_member(parser, name, 1u << type | OP_OPTIONAL);
}

/* Ends 'parser' and returns its error or 'error'. */
static char *
finish(const char *file, struct ovsdb_parser *parser, char *error)
{
    struct ovsdb_error *parse_error = ovsdb_parser_finish(parser);

    if (parse_error) {
        char *s = ovsdb_error_to_string_free(parse_error);

        free(error);
        error = xasprintf("%s: %s", file, s);
        free(s);
    }
    return error;
}

static char *
parse_tenant(const char *file, const char *name, const struct json *json,
             struct tenant *tenant)
{
    const struct json *users, *ports, *tasks, *kept, *duration, *inject;
    const struct json *certificates, *ids;
    struct ovsdb_parser parser;
    char *error;

    ovsdb_parser_init(&parser, json, "tenant %s", name);
    users = member(&parser, "users", JSON_ARRAY);
    certificates = member(&parser, "certificates", JSON_ARRAY);
    ports = member(&parser, "ports", JSON_ARRAY);
    ids = member(&parser, "external_ids", JSON_OBJECT);
    tasks = member(&parser, "max_tasks", JSON_INTEGER);
    kept = member(&parser, "max_kept", JSON_INTEGER);
    duration = member(&parser, "max_duration", JSON_INTEGER);
    inject = member(&parser, "max_inject", JSON_INTEGER);
    error = finish(file, &parser, NULL);
    if (!error) {
        error = parse_strings(file, "users", users, &tenant->users);
    }
    if (!error) {
        error = parse_certificates(file, "certificates", certificates,
                                   &tenant->users);
    }
    if (!error) {
        error = parse_strings(file, "ports", ports, &tenant->ports);
    }
    if (!error) {
        error = parse_ids(file, ids, &tenant->external_ids);
    }
    if (!error) {
        error = parse_limit(file, name, "max_tasks", VTRACE_STORE_MAX_COLOR,
                            tasks, &tenant->quota.max_tasks);
    }
    if (!error) {
        error = parse_limit(file, name, "max_kept", 1000000, kept,
                            &tenant->quota.max_kept);
    }
    if (!error) {
        error = parse_limit(file, name, "max_duration",
                            VTRACE_STORE_MAX_DURATION / 1000, duration,
                            &tenant->max_duration);
    }
    if (!error) {
        error = parse_limit(file, name, "max_inject", 1000000, inject,
                            &tenant->max_inject);
    }
    return error;
}

static struct tenant *
tenant_create(void)
{
    struct tenant *tenant = xmalloc(sizeof *tenant);

    *tenant = (struct tenant) {
        .users = SSET_INITIALIZER(&tenant->users),
        .ports = SSET_INITIALIZER(&tenant->ports),
        .external_ids = SMAP_INITIALIZER(&tenant->external_ids),
        .quota = {
            .max_tasks = VTRACE_TENANT_MAX_TASKS,
            .max_kept = VTRACE_TENANT_MAX_KEPT,
        },
        .max_duration = VTRACE_TENANT_MAX_DURATION,
        .max_inject = VTRACE_TENANT_MAX_INJECT,
    };
    return tenant;
}

static char *
parse_file(struct vtrace_tenants *tenants, const struct json *json)
{
    const struct json *operators, *certificates, *list;
    struct ovsdb_parser parser;
    struct shash_node *node;
    char *error;

    ovsdb_parser_init(&parser, json, "tenants file");
    operators = member(&parser, "operators", JSON_ARRAY);
    certificates = member(&parser, "operator_certificates", JSON_ARRAY);
    list = member(&parser, "tenants", JSON_OBJECT);
    error = finish(tenants->file, &parser, NULL);
    if (!error) {
        error = parse_strings(tenants->file, "operators", operators,
                              &tenants->operators);
    }
    if (!error) {
        error = parse_certificates(tenants->file, "operator_certificates",
                                   certificates, &tenants->operators);
    }
    if (error || !list) {
        return error;
    }
    SHASH_FOR_EACH (node, json_object(list)) {
        struct tenant *tenant;

        error = vtrace_store_check_name("its name", node->name);
        if (error) {
            char *where = xasprintf("%s: tenant %s: %s", tenants->file,
                                    node->name, error);

            free(error);
            return where;
        }
        tenant = tenant_create();
        shash_add(&tenants->tenants, node->name, tenant);
        error = parse_tenant(tenants->file, node->name, node->data, tenant);
        if (error) {
            return error;
        }
    }
    return NULL;
}

char *
vtrace_tenants_load(const char *file, struct vtrace_tenants **tenantsp)
{
    struct vtrace_tenants *tenants = xmalloc(sizeof *tenants);
    char *error = NULL;

    tenants->file = nullable_xstrdup(file);
    sset_init(&tenants->operators);
    shash_init(&tenants->tenants);
    if (file) {
        struct json *json = json_from_file(file);

        if (json->type == JSON_STRING) {
            error = xasprintf("%s: %s", file, json_string(json));
        } else {
            error = parse_file(tenants, json);
        }
        json_destroy(json);
    }
    struct passwd *pw = getpwuid(geteuid());
    sset_add(&tenants->operators, "root");
    if (pw) {
        sset_add(&tenants->operators, pw->pw_name);
    }
    if (error) {
        vtrace_tenants_destroy(tenants);
        tenants = NULL;
    }
    *tenantsp = tenants;
    return error;
}

void
vtrace_tenants_destroy(struct vtrace_tenants *tenants)
{
    struct shash_node *node;

    if (!tenants) {
        return;
    }
    SHASH_FOR_EACH (node, &tenants->tenants) {
        struct tenant *tenant = node->data;

        sset_destroy(&tenant->users);
        sset_destroy(&tenant->ports);
        smap_destroy(&tenant->external_ids);
    }
    shash_destroy_free_data(&tenants->tenants);
    sset_destroy(&tenants->operators);
    free(tenants->file);
    free(tenants);
}

bool
vtrace_tenants_is_operator(const struct vtrace_tenants *tenants,
                           const char *user)
{
    return sset_contains(&tenants->operators, user);
}

bool
vtrace_tenants_knows(const struct vtrace_tenants *tenants, const char *user)
{
    struct shash_node *node;

    if (vtrace_tenants_is_operator(tenants, user)) {
        return true;
    }
    SHASH_FOR_EACH (node, &tenants->tenants) {
        const struct tenant *tenant = node->data;

        if (sset_contains(&tenant->users, user)) {
            return true;
        }
    }
    return false;
}

char *
vtrace_tenants_choose(const struct vtrace_tenants *tenants, const char *user,
                      const char *wanted, const char **tenant)
{
    struct shash_node *node;
    size_t n = 0;

    *tenant = NULL;
    if (vtrace_tenants_is_operator(tenants, user)) {
        *tenant = wanted;
        return NULL;
    }
    SHASH_FOR_EACH (node, &tenants->tenants) {
        const struct tenant *t = node->data;

        if (sset_contains(&t->users, user)
            && (!wanted || !strcmp(wanted, node->name))) {
            *tenant = node->name;
            n++;
        }
    }
    if (n == 1) {
        return NULL;
    }
    *tenant = NULL;

    const char *kind = vtrace_tenants_kind(user);
    return n ? xasprintf("%s%s belongs to %"PRIuSIZE" tenants: choose one "
                         "with --tenant", kind, user, n)
        /* The same whether or not there is such a tenant. */
        : wanted ? xasprintf("%s%s does not belong to tenant %s", kind, user,
                             wanted)
        : xasprintf("%s%s belongs to no tenant: an operator can add it to "
                    "the tenants file", kind, user);
}

/* Returns true if 'entry' matches one of the patterns. */
static bool
matches_port(const struct sset *patterns, const struct vtrace_entry *entry)
{
    char *name = xasprintf("%s/%s/%s", entry->node, entry->bridge,
                           entry->port);
    const char *pattern;
    bool matches = false;

    SSET_FOR_EACH (pattern, patterns) {
        if (!fnmatch(pattern, name, FNM_PATHNAME | FNM_NOESCAPE)) {
            matches = true;
            break;
        }
    }
    free(name);
    return matches;
}

/* Returns NULL if 'entry' is a port of 'tenant', else an error message. */
static char *
check_port(const struct tenant *tenant, const char *name,
           const struct vtrace_ports *ports, const struct vtrace_entry *entry)
{
    bool has = matches_port(&tenant->ports, entry);
    char *error = NULL;

    if (!has && ports && !smap_is_empty(&tenant->external_ids)) {
        error = vtrace_ports_have_ids(ports, entry, &tenant->external_ids,
                                      &has);
    }
    return error || has ? error
           : xasprintf("%s/%s/%s: not a port of tenant %s", entry->node,
                       entry->bridge, entry->port, name);
}

char *
vtrace_tenants_check(const struct vtrace_tenants *tenants,
                     const struct vtrace_ports *ports,
                     const struct vtrace_request *request,
                     struct vtrace_quota *quota)
{
    const struct tenant *tenant;
    char *error;

    if (!tenants->file) {
        quota->max_tasks = VTRACE_STORE_MAX_COLOR;
        quota->max_kept = VTRACE_TENANT_MAX_KEPT;
        return NULL;
    }
    tenant = shash_find_data(&tenants->tenants, request->tenant);
    if (!tenant) {
        return xasprintf("tenant %s: not in %s", request->tenant,
                         tenants->file);
    }
    error = check_port(tenant, request->tenant, ports, &request->entry);
    if (error) {
        return error;
    } else if (request->duration > tenant->max_duration * INT64_C(1000)) {
        return xasprintf("duration: tenant %s may trace for %d s at most",
                         request->tenant, tenant->max_duration);
    } else if (request->inject > tenant->max_inject) {
        return xasprintf("inject: tenant %s may inject %d packets per second "
                         "at most", request->tenant, tenant->max_inject);
    }
    *quota = tenant->quota;
    return NULL;
}
