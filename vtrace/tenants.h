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

#ifndef VTRACE_TENANTS_H
#define VTRACE_TENANTS_H 1

/* The tenants file: who may trace what.  A JSON object:
 *
 *     {"operators": ["alice"], "operator_certificates": ["alice-laptop"],
 *      "tenants": {
 *        "red": {"users": ["bob"], "certificates": ["bob-laptop"],
 *                "ports": ["h1/br-int/red-*"],
 *                "external_ids": {"tenant": "red"},
 *                "max_tasks": 10, "max_kept": 100,
 *                "max_duration": 600, "max_inject": 100}}}
 *
 * "users" are Unix users on vtraced's machine, "certificates" the common names
 * of certificates of those who come by TLS.  "ports" are patterns for
 * NODE/BRIDGE/PORT, where "*" is any string without a "/".  Ports whose
 * Interface has all of "external_ids" are the tenant's, too, on nodes whose
 * database is known.  The others have a default.  root, and the user that
 * vtraced runs as, are operators in any case.  Without a file there are only
 * operators, who may use any tenant's name.
 *
 * These objects do not change once loaded.  Errors are messages that the
 * caller must free. */

#include <stdbool.h>
#include <stddef.h>
#include "compiler.h"
#include "vtrace/store.h"

#define VTRACE_TENANT_MAX_TASKS 16
#define VTRACE_TENANT_MAX_KEPT 100
#define VTRACE_TENANT_MAX_DURATION 3600     /* s. */
#define VTRACE_TENANT_MAX_INJECT 100        /* Packets per second. */

struct vtrace_ports;
struct vtrace_tenants;

/* Loads 'file', or what holds without one if it is NULL. */
char *vtrace_tenants_load(const char *file, struct vtrace_tenants **)
    OVS_WARN_UNUSED_RESULT;
void vtrace_tenants_destroy(struct vtrace_tenants *);

/* Users.  One that a Unix socket knows has its name.  One that comes by TLS is
 * "certificate NAME", which is no Unix user's name: vtrace_tenants_certificate()
 * returns that, for the caller to free, for the common name 'name', or NULL if
 * that is NULL or not 1...VTRACE_STORE_MAX_NAME printable characters.
 *
 * vtrace_tenants_kind() returns what stands before 'user' in messages. */
char *vtrace_tenants_certificate(const char *name);
const char *vtrace_tenants_kind(const char *user);

/* Returns true if 'user' is an operator or belongs to a tenant. */
bool vtrace_tenants_knows(const struct vtrace_tenants *, const char *user);

bool vtrace_tenants_is_operator(const struct vtrace_tenants *,
                                const char *user);

/* Finds out for whom 'user' acts who asked to act for 'wanted', or did not say
 * if that is NULL, and sets '*tenant' to the name, valid as long as 'wanted'
 * and the tenants are.  For an operator who did not say it is NULL. */
char *vtrace_tenants_choose(const struct vtrace_tenants *, const char *user,
                            const char *wanted, const char **tenant)
    OVS_WARN_UNUSED_RESULT;

/* Checks that the tenant named in 'request' may ask for it, but for the number
 * of its tasks, which goes to '*quota'.  'ports' knows the external_ids of
 * ports, or is NULL. */
char *vtrace_tenants_check(const struct vtrace_tenants *,
                           const struct vtrace_ports *ports,
                           const struct vtrace_request *request,
                           struct vtrace_quota *quota) OVS_WARN_UNUSED_RESULT;

#endif /* vtrace/tenants.h */
