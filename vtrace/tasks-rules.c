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

/* A rule of a task, and its maps at borders, in the switches. */

#include <config.h>
#include "vtrace/tasks-private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "openvswitch/vlog.h"
#include "sset.h"
#include "timeval.h"
#include "util.h"
#include "vtrace-rules/vtrace-flow.h"
#include "vtrace/analyze.h"

VLOG_DEFINE_THIS_MODULE(vtrace_tasks_rules);

/* A map that a switch refuses is put back again after this, in ms. */
#define RETRY_MS 1000

/* After a map is back, records of packets that came before may still come for
 * this long, in ms. */
#define LATE_RECORDS_MS 3000

char *
vtrace_tasks_node_target(struct vtrace_tasks *tasks, const char *name, char **domain)
{
    struct vtrace_store_node *nodes;
    char *target = NULL;
    char *error;
    size_t n;

    error = vtrace_store_nodes(tasks->store, name, &nodes, &n);
    if (error) {
        VLOG_ERR("%s", error);
        free(error);
        return NULL;
    }
    if (n) {
        target = xstrdup(nodes[0].target);
        if (domain) {
            *domain = xstrdup(nodes[0].domain);
        }
    }
    vtrace_store_nodes_destroy(nodes, n);
    return target;
}

enum vtrace_op_status
vtrace_tasks_rule_status(const struct vtrace_tasks *tasks,
                         const struct live *live,
                         const struct vtrace_rule *rule, const char **why)
{
    const bool *unmapped = live->maps[rule->direction].unmapped;

    for (size_t i = 0; i < rule->n_maps; i++) {
        enum vtrace_op_status status
            = vtrace_deployer_status(tasks->deployer, rule->cookie, i + 1,
                                     why);

        if (status != VTRACE_OP_INSTALLED) {
            return unmapped && unmapped[i] ? VTRACE_OP_INSTALLING : status;
        }
    }
    return vtrace_deployer_status(tasks->deployer, rule->cookie, 0, why);
}

int64_t
vtrace_tasks_lifetime(const struct vtrace_task *task, int64_t now)
{
    return (task->ends ? MAX(0, task->ends - now) : task->request.duration)
           + VTRACE_FLOW_MARGIN * 1000;
}

/* Begins to install a part of 'rule' at 'at', of which nothing may be left at
 * 'latest', a time_msec(): 0 is the entry, the others are its maps. */
static void
install(struct vtrace_tasks *tasks, const struct vtrace_entry *at,
        const struct vtrace_flow *flow, unsigned int part,
        long long int latest)
{
    char *target = vtrace_tasks_node_target(tasks, at->node, NULL);

    if (target) {
        vtrace_deployer_install(tasks->deployer, target, at->bridge, at->port,
                                flow, part, latest);
    }
    free(target);
}

static void
install_entry(struct vtrace_tasks *tasks, const struct vtrace_task *task,
              const struct vtrace_rule *rule)
{
    int64_t lifetime = ROUND_UP(vtrace_tasks_lifetime(task, time_wall_msec()), 1000);
    struct vtrace_flow flow = {
        .kind = VTRACE_FLOW_ENTRY,
        .match = rule->match,
        .color = rule->color,
        .exp = task->request.exp,
        .cookie = rule->cookie,
        .hard_timeout = MIN(lifetime / 1000, VTRACE_FLOW_MAX_TIMEOUT),
    };
    long long int latest = time_msec() + lifetime;

    /* The task's time begins with the forward rule, and for the reverse one
     * it runs already. */
    if (rule->direction == VTRACE_FORWARD) {
        latest += VTRACE_STORE_START_MS;
    }
    install(tasks, &rule->entry, &flow, 0, latest);
}

static void
install_map(struct vtrace_tasks *tasks, const struct vtrace_task *task,
            const struct vtrace_rule *rule, size_t i)
{
    int64_t lifetime = (ROUND_UP(vtrace_tasks_lifetime(task, time_wall_msec()), 1000)
                        + (VTRACE_FLOW_MAP_MARGIN - VTRACE_FLOW_MARGIN) * 1000);
    long long int latest = time_msec() + lifetime;

    if (rule->direction == VTRACE_FORWARD) {
        latest += VTRACE_STORE_START_MS;
    }
    if (rule->expires) {
        /* It is put back. */
        latest = MIN(latest, time_msec() + rule->expires - time_wall_msec());
    }
    struct vtrace_flow flow = {
        .kind = VTRACE_FLOW_MAP,
        .theirs = rule->maps[i].theirs,
        .color = rule->maps[i].color,
        .exp = task->request.exp,
        .cookie = rule->cookie,
        .hard_timeout = MIN(DIV_ROUND_UP(lifetime, 1000),
                            VTRACE_FLOW_MAX_TIMEOUT),
    };

    install(tasks, &rule->maps[i].at, &flow, i + 1, latest);
}

void
vtrace_tasks_begin_rest(struct vtrace_tasks *tasks,
                        const struct vtrace_task *task,
                        const struct vtrace_rule *rule)
{
    bool all = true;

    for (size_t i = 0; i < rule->n_maps; i++) {
        enum vtrace_op_status status
            = vtrace_deployer_status(tasks->deployer, rule->cookie, i + 1,
                                     NULL);

        if (status == VTRACE_OP_NONE) {
            install_map(tasks, task, rule, i);
        }
        all = all && status == VTRACE_OP_INSTALLED;
    }
    if (all) {
        install_entry(tasks, task, rule);
    }
}

/* Notes which maps of 'rule' are gone.  Returns true if all are there. */
static bool
note_unmapped(const struct vtrace_tasks *tasks, struct live *live,
              const struct vtrace_rule *rule)
{
    bool **unmapped = &live->maps[rule->direction].unmapped;
    bool all = true;

    for (size_t i = 0; i < rule->n_maps; i++) {
        enum vtrace_op_status status
            = vtrace_deployer_status(tasks->deployer, rule->cookie, i + 1,
                                     NULL);

        if (status == VTRACE_OP_GONE) {
            if (!*unmapped) {
                *unmapped = xcalloc(rule->n_maps, sizeof **unmapped);
            }
            (*unmapped)[i] = true;
        }
        all = all && status == VTRACE_OP_INSTALLED;
    }
    return all;
}

char *
vtrace_tasks_restore_maps(struct vtrace_tasks *tasks, struct live *live,
                          const struct vtrace_task *task,
                          const struct vtrace_rule *rule)
{
    long long int *until = &live->maps[rule->direction].until;
    long long int *next = &live->maps[rule->direction].restore;
    bool all = note_unmapped(tasks, live, rule);
    bool *unmapped = live->maps[rule->direction].unmapped;
    bool restore = time_msec() >= *next;

    if (!unmapped) {
        return NULL;
    }
    if (!all) {
        *until = time_msec() + LATE_RECORDS_MS;
        *next = restore ? time_msec() + RETRY_MS : *next;
    }
    for (size_t i = 0; i < rule->n_maps; i++) {
        const struct vtrace_entry *at = &rule->maps[i].at;
        enum vtrace_op_status status
            = vtrace_deployer_status(tasks->deployer, rule->cookie, i + 1,
                                     NULL);

        if (!unmapped[i]) {
            continue;
        } else if (vtrace_analysis_crosses(live->analysis, rule->direction,
                                           at)) {
            VLOG_WARN("task %"PRId64": the rule at border %s/%s/%s is gone, "
                      "and packets came there", task->id, at->node,
                      at->bridge, at->port);
            /* Tenants read this: the port is a tunnel's. */
            return xasprintf("border at %s/%s: the task's rule was gone, as "
                             "if somebody removed it or the switch was "
                             "restarted, and packets came there: start the "
                             "task again", at->node, at->bridge);
        } else if (restore && (status == VTRACE_OP_GONE
                               || status == VTRACE_OP_REFUSED)) {
            VLOG_INFO("task %"PRId64": putting the rule at border %s/%s/%s "
                      "back", task->id, at->node, at->bridge, at->port);
            install_map(tasks, task, rule, i);
        }
    }
    if (all && time_msec() >= *until) {
        free(unmapped);
        live->maps[rule->direction].unmapped = NULL;
    }
    return NULL;
}

/* Begins to remove a part of 'rule' from where it was to be installed. */
static void
remove_part(struct vtrace_tasks *tasks, const struct vtrace_rule *rule,
            const struct vtrace_entry *at, unsigned int part)
{
    enum vtrace_op_status status
        = vtrace_deployer_status(tasks->deployer, rule->cookie, part, NULL);
    char *target;

    if (status == VTRACE_OP_REMOVING || status == VTRACE_OP_REMOVED) {
        return;
    }
    target = vtrace_tasks_node_target(tasks, at->node, NULL);
    if (target) {
        vtrace_deployer_remove(tasks->deployer, target, at->bridge,
                               rule->cookie, part);
    }
    free(target);
}

void
vtrace_tasks_remove_rules(struct vtrace_tasks *tasks,
                          const struct vtrace_task *task, bool maps)
{
    for (size_t i = 0; i < task->n_rules; i++) {
        const struct vtrace_rule *rule = &task->rules[i];

        if (rule->state == VTRACE_RULE_WANTED
            || rule->state == VTRACE_RULE_GONE) {
            continue;
        }
        remove_part(tasks, rule, &rule->entry, 0);
        for (size_t j = 0; maps && j < rule->n_maps; j++) {
            remove_part(tasks, rule, &rule->maps[j].at, j + 1);
        }
    }
}

bool
vtrace_tasks_is_removed(const struct vtrace_tasks *tasks,
                        const struct vtrace_rule *rule)
{
    for (size_t part = 0; part <= rule->n_maps; part++) {
        if (vtrace_deployer_status(tasks->deployer, rule->cookie, part, NULL)
            != VTRACE_OP_REMOVED) {
            return false;
        }
    }
    return true;
}

void
vtrace_tasks_forget(struct vtrace_tasks *tasks, const struct vtrace_rule *rule)
{
    for (size_t part = 0; part <= rule->n_maps; part++) {
        vtrace_deployer_forget(tasks->deployer, rule->cookie, part);
    }
}

/* Deletes what an earlier vtraced may have left in the bridges of 'node'. */
static void
sweep_node(struct vtrace_tasks *tasks, const struct vtrace_store_node *node)
{
    struct sset bridges = SSET_INITIALIZER(&bridges);
    const char *bridge;
    size_t n_more;
    char *error;

    if (!strstr(node->target, "%b")) {
        vtrace_deployer_sweep(tasks->deployer, node->target, "");
        return;
    }
    error = vtrace_store_bridges(tasks->store, node->name, &bridges, &n_more);
    if (error) {
        VLOG_ERR("%s", error);
        free(error);
    } else if (n_more) {
        uint64_t mask, cookies = vtrace_store_cookies(tasks->store, &mask);

        VLOG_WARN("node %s: rules that nobody wants any more are looked for "
                  "in %d bridges, not in %"PRIuSIZE" more that have had some: "
                  "what may be left there goes at its timeout, a border's "
                  "never; \"ovs-ofctl del-flows BRIDGE "
                  "cookie=%#"PRIx64"/%#"PRIx64"\" deletes all that this "
                  "vtraced has in a bridge, running tasks' and borders', too",
                  node->name, VTRACE_STORE_MAX_BRIDGES, n_more, cookies, mask);
    }
    SSET_FOR_EACH (bridge, &bridges) {
        vtrace_deployer_sweep(tasks->deployer, node->target, bridge);
    }
    sset_destroy(&bridges);
}

void
vtrace_tasks_sweep(struct vtrace_tasks *tasks, const char *name)
{
    struct vtrace_store_node *nodes;
    char *error;
    size_t n;

    error = vtrace_store_nodes(tasks->store, name, &nodes, &n);
    if (error) {
        VLOG_ERR("%s", error);
        free(error);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        sweep_node(tasks, &nodes[i]);
    }
    vtrace_store_nodes_destroy(nodes, n);
}
