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
#include "vtrace/borders.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "openvswitch/list.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/vlog.h"
#include "timeval.h"
#include "util.h"
#include "vtrace-rules/vtrace-flow.h"
#include "vtrace/deployer.h"
#include "vtrace/store.h"

VLOG_DEFINE_THIS_MODULE(vtrace_borders);

/* How often rules are looked at, in ms. */
#define TICK_MS 1000

/* A rule that a switch has refused is tried again after this, in ms. */
#define RETRY_MS 5000

/* How long a switch that is not there is waited for, to remove a rule, before
 * somebody is told; and, if it is no node's any more, at all. */
#define GIVE_UP_MS (600 * 1000)

struct border {
    struct ovs_list node;       /* In struct vtrace_borders's 'list'. */
    struct vtrace_entry at;
    char *target;               /* Of the node. */
    uint64_t cookie;
    bool wanted;
    bool listed;                /* Its node is still there. */
    long long int give_up;      /* If it is not wanted, when to give up. */
    bool reported;              /* That it cannot be installed, or removed. */
    long long int retry;        /* When, if it was refused. */
};

struct vtrace_borders {
    struct vtrace_store *store;
    struct vtrace_deployer *deployer;
    struct ovs_list list;
    long long int next_run;
};

struct vtrace_borders *
vtrace_borders_create(struct vtrace_store *store,
                      struct vtrace_deployer *deployer)
{
    struct vtrace_borders *borders = xzalloc(sizeof *borders);

    borders->store = store;
    borders->deployer = deployer;
    ovs_list_init(&borders->list);
    vtrace_borders_refresh(borders);
    return borders;
}

static void
border_destroy(struct border *b)
{
    ovs_list_remove(&b->node);
    free(b->target);
    free(b);
}

void
vtrace_borders_destroy(struct vtrace_borders *borders)
{
    struct border *b;

    if (borders) {
        LIST_FOR_EACH_SAFE (b, node, &borders->list) {
            border_destroy(b);
        }
        free(borders);
    }
}

static bool
entry_equals(const struct vtrace_entry *a, const struct vtrace_entry *b)
{
    return (!strcmp(a->node, b->node) && !strcmp(a->bridge, b->bridge)
            && !strcmp(a->port, b->port));
}

/* Has the border 'at', of a node at 'target', kept. */
static void
want(struct vtrace_borders *borders, const struct vtrace_entry *at,
     const char *target)
{
    struct border *b;

    LIST_FOR_EACH (b, node, &borders->list) {
        if (entry_equals(&b->at, at) && !strcmp(b->target, target)) {
            b->wanted = true;
            return;
        }
    }
    b = xzalloc(sizeof *b);
    b->at = *at;
    b->target = xstrdup(target);
    b->cookie = vtrace_store_border_cookie(borders->store, at, target);
    b->wanted = true;
    ovs_list_push_back(&borders->list, &b->node);
}

void
vtrace_borders_refresh(struct vtrace_borders *borders)
{
    struct vtrace_store_border *list = NULL;
    struct vtrace_store_node *nodes = NULL;
    size_t n = 0, n_nodes = 0;
    struct border *b;
    char *error;

    error = vtrace_store_borders(borders->store, &list, &n);
    if (!error) {
        error = vtrace_store_nodes(borders->store, NULL, &nodes, &n_nodes);
    }
    if (error) {
        VLOG_ERR("%s", error);
        free(error);
        vtrace_store_borders_destroy(list, n);
        return;
    }
    LIST_FOR_EACH (b, node, &borders->list) {
        b->wanted = b->listed = false;
        for (size_t i = 0; i < n_nodes; i++) {
            b->listed |= (!strcmp(b->at.node, nodes[i].name)
                          && !strcmp(b->target, nodes[i].target));
        }
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n_nodes; j++) {
            if (!strcmp(list[i].at.node, nodes[j].name)) {
                want(borders, &list[i].at, nodes[j].target);
            }
        }
    }
    vtrace_store_borders_destroy(list, n);
    vtrace_store_nodes_destroy(nodes, n_nodes);
    borders->next_run = LLONG_MIN;
}

static void
install(struct vtrace_borders *borders, struct border *b)
{
    struct vtrace_flow flow = {
        .kind = VTRACE_FLOW_BORDER,
        .cookie = b->cookie,
    };

    vtrace_deployer_install(borders->deployer, b->target, b->at.bridge,
                            b->at.port, &flow, 0, LLONG_MAX);
}

static void
report(struct border *b, const char *why)
{
    if (!b->reported) {
        VLOG_WARN("border %s/%s/%s: %s", b->at.node, b->at.bridge, b->at.port,
                  why);
        b->reported = true;
    }
}

static enum vtrace_op_status
get_status(const struct vtrace_borders *borders, const struct border *b,
           const char **why)
{
    return vtrace_deployer_status(borders->deployer, b->cookie, 0, why);
}

static void
run_wanted(struct vtrace_borders *borders, struct border *b)
{
    const char *why;

    switch (get_status(borders, b, &why)) {
    case VTRACE_OP_NONE:
    case VTRACE_OP_GONE:
    case VTRACE_OP_REMOVING:
    case VTRACE_OP_REMOVED:
        install(borders, b);
        return;

    case VTRACE_OP_REFUSED:
        report(b, why);
        if (!b->retry) {
            b->retry = time_msec() + RETRY_MS;
        } else if (time_msec() >= b->retry) {
            b->retry = 0;
            install(borders, b);
        }
        return;

    case VTRACE_OP_INSTALLING:
        if (why) {
            report(b, why);
        }
        return;

    case VTRACE_OP_INSTALLED:
        if (b->reported) {
            VLOG_INFO("border %s/%s/%s: installed", b->at.node, b->at.bridge,
                      b->at.port);
            b->reported = false;
        }
        b->retry = 0;
        return;
    }
    OVS_NOT_REACHED();
}

static void
run_unwanted(struct vtrace_borders *borders, struct border *b)
{
    const char *why;

    switch (get_status(borders, b, &why)) {
    case VTRACE_OP_INSTALLED:
    case VTRACE_OP_INSTALLING:
    case VTRACE_OP_GONE:
        vtrace_deployer_remove(borders->deployer, b->target, b->at.bridge,
                               b->cookie, 0);
        b->give_up = time_msec() + GIVE_UP_MS;
        b->reported = false;
        return;

    case VTRACE_OP_REMOVING:
        if (time_msec() < b->give_up) {
            return;
        }
        if (!b->reported) {
            VLOG_WARN("border %s/%s/%s: its rule may still be there, %s: %s",
                      b->at.node, b->at.bridge, b->at.port,
                      b->listed ? "and is removed when the switch is back"
                      : "remove it", why ? why : "no answer");
            b->reported = true;
        }
        if (b->listed) {
            return;
        }
        break;

    case VTRACE_OP_REMOVED:
    case VTRACE_OP_NONE:
    case VTRACE_OP_REFUSED:
        break;
    }
    vtrace_deployer_forget(borders->deployer, b->cookie, 0);
    border_destroy(b);
}

void
vtrace_borders_run(struct vtrace_borders *borders)
{
    struct border *b;

    if (time_msec() < borders->next_run) {
        return;
    }
    LIST_FOR_EACH_SAFE (b, node, &borders->list) {
        if (b->wanted) {
            run_wanted(borders, b);
        } else {
            run_unwanted(borders, b);
        }
    }
    borders->next_run = time_msec() + TICK_MS;
}

void
vtrace_borders_wait(struct vtrace_borders *borders)
{
    if (!ovs_list_is_empty(&borders->list)) {
        poll_timer_wait_until(borders->next_run);
    }
}

char *
vtrace_borders_status(const struct vtrace_borders *borders,
                      const struct vtrace_entry *at)
{
    const struct border *b;

    LIST_FOR_EACH (b, node, &borders->list) {
        if (b->wanted && entry_equals(&b->at, at)) {
            const char *why;

            return xstrdup(get_status(borders, b, &why) == VTRACE_OP_INSTALLED
                           ? "installed"
                           : why ? why : "not installed yet");
        }
    }
    return xstrdup("not installed yet");
}
