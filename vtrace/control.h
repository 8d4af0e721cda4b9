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

#ifndef VTRACE_CONTROL_H
#define VTRACE_CONTROL_H 1

/* The socket on which vtraced serves "vtrace": JSON-RPC over a Unix domain
 * stream socket that everybody on the machine may connect to.  The kernel says
 * which user did, and the tenants file what that user may do.
 *
 * Every request has one object as its parameter:
 *
 *     start    a request (vtrace/task-json.h)     {"id": 1}
 *     list     {"tenant": T}                      [TASK, ...]
 *     show     {"tenant": T, "id": 1}             TASK
 *     stop     {"tenant": T, "id": 1}             {}
 *     nodes    {}                                 [NODE, ...]
 *     add-node {"name", "target", "domain"}       {}
 *     remove-node {"name"}                        {}
 *
 * "tenant" may be missing; the last two are for operators.  An error is a
 * string. */

#include <stddef.h>
#include "compiler.h"

struct vtrace_borders;
struct vtrace_collector;
struct vtrace_control;
struct vtrace_deployer;
struct vtrace_ports;
struct vtrace_store;
struct vtrace_tasks;
struct vtrace_tenants;

/* What a request works on.  Everything must outlive the control, but
 * 'tenants' may be replaced between runs. */
struct vtrace_context {
    struct vtrace_store *store;
    struct vtrace_tasks *tasks;
    struct vtrace_deployer *deployer;
    struct vtrace_borders *borders;
    struct vtrace_ports *ports;
    struct vtrace_collector *collector;
    struct vtrace_tenants *tenants;
};

/* Limits: connections, also of one user, bytes of a request, and ms without
 * one. */
#define VTRACE_CONTROL_MAX_CLIENTS 128
#define VTRACE_CONTROL_MAX_USER_CLIENTS 32
#define VTRACE_CONTROL_MAX_REQUEST 16384
#define VTRACE_CONTROL_IDLE_MS (60 * 1000)

/* Listens on 'path', where nobody else may listen. */
char *vtrace_control_create(const char *path, struct vtrace_context *,
                            struct vtrace_control **) OVS_WARN_UNUSED_RESULT;
void vtrace_control_destroy(struct vtrace_control *);

/* Listens on 'method', pssl:PORT[:IP], too.  There the common name of the
 * certificate says who asks: see vtrace_tenants_certificate(). */
char *vtrace_control_listen(struct vtrace_control *, const char *method)
    OVS_WARN_UNUSED_RESULT;

void vtrace_control_run(struct vtrace_control *);
void vtrace_control_wait(struct vtrace_control *);

/* Where the socket is if nobody says otherwise, for the caller to free. */
char *vtrace_control_default_path(void);

#endif /* vtrace/control.h */
