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

#ifndef VTRACE_TASKS_PRIVATE_H
#define VTRACE_TASKS_PRIVATE_H 1

/* What the files of the tasks share. */

#include <stdbool.h>
#include <stdint.h>

#include "openvswitch/hmap.h"
#include "vtrace/deployer.h"
#include "vtrace/store.h"
#include "vtrace/tasks.h"

/* A task that has not ended. */
struct live {
    struct hmap_node node;      /* In struct vtrace_tasks's 'live'. */
    int64_t id;
    struct vtrace_analysis *analysis;
    bool listening[VTRACE_N_DIRECTIONS];
    bool began[VTRACE_N_DIRECTIONS];    /* Installation, by this process. */
    struct {
        bool *unmapped;         /* Maps that were gone lately, or NULL. */
        long long int until;    /* How long that is lately. */
        long long int restore;  /* When to put maps back again. */
    } maps[VTRACE_N_DIRECTIONS];
    bool stop;                  /* A user wants it to end. */
    int64_t stopped;            /* When its time was over, or 0. */
    char *reverse_error;        /* Why there is no reverse rule, or NULL. */
    char *reverse_tunnel;       /* "NODE/BRIDGE" of the tunnel port where it
                                 * belongs, or NULL for another port. */
    bool running;
    ovs_u128 saved;             /* Hash of what was saved of it last. */
};

struct vtrace_tasks {
    struct vtrace_store *store;
    struct vtrace_deployer *deployer;
    struct vtrace_analyzer *analyzer;
    struct hmap live;
    long long int next_run;     /* LLONG_MAX without unsettled tasks. */
    long long int next_save;    /* When running tasks are saved again. */

    /* The last time that any was saved. */
    uint64_t n_saves;
    size_t n_saved;             /* Tasks that had changed. */
    size_t saved_bytes;
    double save_ms;             /* How long it took. */
};

/* tasks-rules.c: a rule of a task, and its maps at borders, in the switches. */

/* Returns the OpenFlow target and, if 'domain' is not NULL, the domain of node
 * 'name', which the caller must free, or NULL. */
char *vtrace_tasks_node_target(struct vtrace_tasks *, const char *name,
                               char **domain);

/* Returns the state of 'rule' as a whole: of the first of its maps that is not
 * installed, else of the entry.  A map that vtrace_tasks_restore_maps() puts
 * back is VTRACE_OP_INSTALLING.  Sets '*why' as vtrace_deployer_status()
 * does. */
enum vtrace_op_status vtrace_tasks_rule_status(const struct vtrace_tasks *,
                                               const struct live *,
                                               const struct vtrace_rule *rule,
                                               const char **why);

/* Returns how long a rule of 'task' may be needed, in ms. */
int64_t vtrace_tasks_lifetime(const struct vtrace_task *task, int64_t now);

/* Begins to install those maps of 'rule' of which that was not begun, or, once
 * all are there, the entry: no packet may have the color before that. */
void vtrace_tasks_begin_rest(struct vtrace_tasks *,
                             const struct vtrace_task *,
                             const struct vtrace_rule *rule);

/* Puts maps of 'rule' back that are gone, because somebody removed them or
 * their switch was restarted.  Returns NULL if no packet of the task has come
 * to a border without its map, else what the trouble is, for the caller to
 * free: the packet looks lost there. */
char *vtrace_tasks_restore_maps(struct vtrace_tasks *, struct live *,
                                const struct vtrace_task *,
                                const struct vtrace_rule *rule);

/* Begins to remove the rules of 'task', with their maps only if 'maps' is true:
 * packets that are on their way have to keep their color. */
void vtrace_tasks_remove_rules(struct vtrace_tasks *,
                               const struct vtrace_task *task, bool maps);

/* Returns true if all parts of 'rule' are removed. */
bool vtrace_tasks_is_removed(const struct vtrace_tasks *,
                             const struct vtrace_rule *rule);

/* Has the deployer forget 'rule'. */
void vtrace_tasks_forget(struct vtrace_tasks *,
                         const struct vtrace_rule *rule);

#endif /* vtrace/tasks-private.h */
