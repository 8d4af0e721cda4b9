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
#include "vtrace/tasks-private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/hmap.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/vlog.h"
#include "random.h"
#include "timeval.h"
#include "util.h"
#include "vtrace-rules/task-options.h"
#include "vtrace-rules/vtrace-flow.h"
#include "vtrace/analyze.h"
#include "vtrace/deployer.h"
#include "vtrace/inject.h"
#include "vtrace/store.h"
#include "vtrace/task-json.h"
#include "vtrace/vtrace-json.h"

VLOG_DEFINE_THIS_MODULE(vtrace_tasks);

/* How often tasks are looked at while there are any, in ms. */
#define TICK_MS 50

/* How often what running tasks have seen is saved, in ms, and how much of the
 * time that may take, one part of so many: else it comes less often. */
#define SAVE_MS 1000
#define SAVE_SHARE 20

/* Of a task that has seen more than this only the verdict is saved, in bytes. */
#define MAX_SAVED (256 * 1024)

/* After a task's time is over, so long is waited for the last records. */
#define GRACE_MS 7000

struct vtrace_tasks *
vtrace_tasks_create(struct vtrace_store *store,
                    struct vtrace_deployer *deployer,
                    struct vtrace_analyzer *analyzer)
{
    struct vtrace_tasks *tasks = xzalloc(sizeof *tasks);

    tasks->store = store;
    tasks->deployer = deployer;
    tasks->analyzer = analyzer;
    hmap_init(&tasks->live);
    tasks->next_run = LLONG_MIN;
    return tasks;
}

static void
live_destroy(struct vtrace_tasks *tasks, struct live *live)
{
    hmap_remove(&tasks->live, &live->node);
    vtrace_analysis_destroy(live->analysis);
    for (int i = 0; i < VTRACE_N_DIRECTIONS; i++) {
        free(live->maps[i].unmapped);
    }
    free(live->reverse_error);
    free(live->reverse_tunnel);
    free(live);
}

static void save(struct vtrace_tasks *);

void
vtrace_tasks_destroy(struct vtrace_tasks *tasks)
{
    struct live *live;

    if (tasks) {
        save(tasks);
        HMAP_FOR_EACH_SAFE (live, node, &tasks->live) {
            live_destroy(tasks, live);
        }
        hmap_destroy(&tasks->live);
        free(tasks);
    }
}

void
vtrace_tasks_kick(struct vtrace_tasks *tasks)
{
    tasks->next_run = LLONG_MIN;
}

static struct live *
find_live(const struct vtrace_tasks *tasks, int64_t id)
{
    struct live *live;

    HMAP_FOR_EACH_WITH_HASH (live, node, hash_uint64(id), &tasks->live) {
        if (live->id == id) {
            return live;
        }
    }
    return NULL;
}

static struct live *
get_live(struct vtrace_tasks *tasks, int64_t id)
{
    struct live *live = find_live(tasks, id);

    if (!live) {
        live = xzalloc(sizeof *live);
        live->id = id;
        live->analysis = vtrace_analysis_create(tasks->analyzer, id);
        hmap_insert(&tasks->live, &live->node, hash_uint64(id));
    }
    return live;
}

/* Steps.  Each returns true if it changed the task in the store. */

/* Returns true if 'error' is NULL; logs and frees it otherwise. */
static bool
succeeded(int64_t id, char *error)
{
    if (error) {
        /* What fails, because the disk is full for example, is tried again
         * with each tick. */
        static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(1, 5);

        VLOG_WARN_RL(&rl, "task %"PRId64": %s", id, error);
        free(error);
        return false;
    }
    return true;
}

/* Returns why the replies to the packets of a task that ends were not traced,
 * for the caller to free, or NULL if they were, or nobody wanted it. */
static char *
why_unwatched(const struct vtrace_tasks *tasks, const struct live *live,
              const struct vtrace_task *task)
{
    const char *why;

    if (!task->request.both) {
        return NULL;
    } else if (live->reverse_error) {
        return xstrdup(live->reverse_error);
    } else if (task->n_rules < 2) {
        return xstrdup("no packet came out");
    } else if (task->rules[VTRACE_REVERSE].state >= VTRACE_RULE_INSTALLED) {
        return NULL;
    }
    vtrace_tasks_rule_status(tasks, live, &task->rules[VTRACE_REVERSE], &why);
    return xasprintf("the rule for them was not installed in time%s%s",
                     why ? ": " : "", why ? why : "");
}

static bool
end(struct vtrace_tasks *tasks, const struct vtrace_task *task,
    enum vtrace_state state, const char *reason)
{
    struct live *live = find_live(tasks, task->id);
    char *result = NULL;
    bool changed;

    if (live && task->running) {
        char *unwatched = why_unwatched(tasks, live, task);

        result = vtrace_task_result(live->analysis, unwatched);
        free(unwatched);
    }
    changed = succeeded(task->id,
                        vtrace_store_end(tasks->store, task->id, state, reason,
                                         result, time_wall_msec()));
    if (changed) {
        VLOG_INFO("task %"PRId64": %s%s%s", task->id,
                  vtrace_state_to_string(state), reason ? ": " : "",
                  reason ? reason : "");
        if (live) {
            live_destroy(tasks, live);
        }
    }
    free(result);
    return changed;
}

/* Makes the analyzer listen for the colors of 'rule'. */
static bool
listen_for(struct vtrace_tasks *tasks, struct live *live,
           const struct vtrace_rule *rule)
{
    char *domain = NULL, *target;
    struct vtrace_color *colors;
    bool ok;
    size_t n;

    if (live->listening[rule->direction]) {
        return true;
    }
    target = vtrace_tasks_node_target(tasks, rule->entry.node, &domain);
    ok = target && succeeded(live->id,
                             vtrace_store_colors(tasks->store, live->id,
                                                 rule->direction, &colors,
                                                 &n));
    if (ok) {
        for (size_t i = 0; i < n && ok; i++) {
            bool is_entry = !strcmp(colors[i].domain, domain);

            ok = vtrace_analysis_listen(live->analysis, colors[i].domain,
                                        colors[i].color, rule->direction,
                                        is_entry ? rule->entry.node : NULL);
        }
        free(colors);
    }
    free(target);
    free(domain);
    live->listening[rule->direction] = ok;
    return ok;
}

/* Writes down that 'rule' goes out, then sends it. */
static bool
deploy(struct vtrace_tasks *tasks, struct live *live,
       const struct vtrace_task *task, const struct vtrace_rule *rule)
{
    int64_t now = time_wall_msec();
    int64_t lifetime = ROUND_UP(vtrace_tasks_lifetime(task, now), 1000);

    /* The timeout begins when the rule arrives, which may be as late as the
     * task's start may be. */
    lifetime += VTRACE_STORE_START_MS * (rule->n_maps ? 2 : 1);
    if (!succeeded(task->id,
                   vtrace_store_deploy(tasks->store, task->id,
                                       rule->direction, now + lifetime,
                                       now))) {
        return false;
    }
    live->began[rule->direction] = true;
    vtrace_tasks_begin_rest(tasks, task, rule);
    return true;
}

/* Gives up tracing replies for the reason 'error', which it takes. */
static void
set_reverse_error(struct live *live, char *error)
{
    VLOG_WARN("task %"PRId64": reverse: %s", live->id, error);
    if (live->reverse_tunnel) {
        /* Tenants do not see the port's name. */
        free(error);
        error = xasprintf("they cannot be traced at a tunnel of %s",
                          live->reverse_tunnel);
    }
    free(live->reverse_error);
    live->reverse_error = error;
    vtrace_analysis_abandon(live->analysis, VTRACE_REVERSE);
}

/* Looks how far the installation of a rule that was sent is. */
static bool
check_installed(struct vtrace_tasks *tasks, struct live *live,
                const struct vtrace_task *task,
                const struct vtrace_rule *rule)
{
    const char *why;

    /* No packet has the color yet. */
    free(vtrace_tasks_restore_maps(tasks, live, task, rule));
    switch (vtrace_tasks_rule_status(tasks, live, rule, &why)) {
    case VTRACE_OP_INSTALLED:
        if (!succeeded(task->id,
                       vtrace_store_installed(tasks->store, task->id,
                                              rule->direction,
                                              time_wall_msec()))) {
            return false;
        }
        vtrace_analysis_start(live->analysis, rule->direction);
        VLOG_INFO("task %"PRId64": rule installed at %s/%s/%s", task->id,
                  rule->entry.node, rule->entry.bridge, rule->entry.port);
        return true;

    case VTRACE_OP_REFUSED:
    case VTRACE_OP_GONE:
        if (rule->direction == VTRACE_FORWARD) {
            return end(tasks, task, VTRACE_FAILED, why);
        }
        set_reverse_error(live, xstrdup(why ? why : "no rule is there"));
        return false;

    case VTRACE_OP_INSTALLING:
        if (rule->direction == VTRACE_FORWARD && why
            && time_wall_msec() - task->created
               >= VTRACE_STORE_START_MS - 1000) {
            return end(tasks, task, VTRACE_EXPIRED, why);
        }
        return false;

    case VTRACE_OP_NONE:
        vtrace_tasks_begin_rest(tasks, task, rule);
        return false;

    case VTRACE_OP_REMOVING:
    case VTRACE_OP_REMOVED:
        return false;
    }
    OVS_NOT_REACHED();
}

/* Finds out where the traced packets come out, to trace the replies there. */
static bool
find_reverse(struct vtrace_tasks *tasks, struct live *live,
             const struct vtrace_task *task)
{
    struct vtrace_match match;
    struct vtrace_entry entry;
    struct vtrace_exit exit;
    char *error;

    if (live->reverse_error
        || !vtrace_analysis_exit(live->analysis, VTRACE_FORWARD, &exit)) {
        return false;
    }
    ovs_strlcpy(entry.node, exit.node, sizeof entry.node);
    ovs_strlcpy(entry.bridge, exit.bridge, sizeof entry.bridge);
    ovs_strlcpy(entry.port, exit.port, sizeof entry.port);
    vtrace_match_replies(&task->request.match, &exit.match, &match);
    error = vtrace_store_add_reverse(tasks->store, task->id, &entry, &match,
                                     time_wall_msec(), random_uint32());
    if (exit.port_class == VTRACE_PORT_TUNNEL && !live->reverse_tunnel) {
        live->reverse_tunnel = xasprintf("%s/%s", exit.node, exit.bridge);
    }
    if (error) {
        set_reverse_error(live, error);
        return false;
    }
    return true;
}

/* Tells the analysis how many packets of 'direction' the switch counted. */
static void
set_rule_count(struct vtrace_tasks *tasks, struct live *live,
               const struct vtrace_task *task, enum vtrace_direction direction)
{
    uint64_t packets = vtrace_deployer_packets(tasks->deployer,
                                               task->rules[direction].cookie);

    if (direction == VTRACE_FORWARD) {
        const char *why;
        uint64_t injected = vtrace_deployer_injected(
            tasks->deployer, task->rules[direction].cookie, &why);

        /* The rule counts them, too, but may not have said so yet. */
        packets = MAX(packets, injected);
    }
    vtrace_analysis_set_rule_count(live->analysis, direction, packets,
                                   task->request.exp);
}

static bool
run_reverse(struct vtrace_tasks *tasks, struct live *live,
            const struct vtrace_task *task)
{
    const struct vtrace_rule *rule = &task->rules[VTRACE_REVERSE];
    const char *why;
    char *trouble;

    if (task->n_rules < 2) {
        return find_reverse(tasks, live, task);
    } else if (live->reverse_error) {
        return false;
    } else if (rule->state == VTRACE_RULE_WANTED) {
        return listen_for(tasks, live, rule)
               && deploy(tasks, live, task, rule);
    } else if (rule->state == VTRACE_RULE_SENT) {
        return check_installed(tasks, live, task, rule);
    }
    trouble = vtrace_tasks_restore_maps(tasks, live, task, rule);
    if (!trouble && vtrace_tasks_rule_status(tasks, live, rule, &why)
                    == VTRACE_OP_GONE) {
        trouble = xstrdup(why ? why : "its rule is gone");
    }
    if (trouble) {
        set_reverse_error(live, trouble);
        return false;
    }
    set_rule_count(tasks, live, task, VTRACE_REVERSE);
    return false;
}

/* The task's time is over: waits for its last records. */
static bool
run_stopping(struct vtrace_tasks *tasks, struct live *live,
             const struct vtrace_task *task)
{
    int64_t now = time_wall_msec();

    if (!live->stopped) {
        live->stopped = now;
        vtrace_analysis_stop(live->analysis, time_wall_usec() * 1000ULL);
        vtrace_tasks_remove_rules(tasks, task, false);
    }
    if (!vtrace_analysis_is_complete(live->analysis)
        && now - live->stopped >= 0 && now - live->stopped < GRACE_MS) {
        return false;
    }
    return end(tasks, task, VTRACE_DONE, NULL);
}

/* Has packets made for a task that wants some.  Returns why that is not
 * possible, or NULL. */
static const char *
inject(struct vtrace_tasks *tasks, const struct vtrace_task *task)
{
    const struct vtrace_rule *rule = &task->rules[VTRACE_FORWARD];
    const struct vtrace_inject packets = {
        .match = rule->match,
        .src_mac = task->request.src_mac,
        .dst_mac = task->request.dst_mac,
        .color = rule->color,
        .exp = task->request.exp,
        .pps = task->request.inject,
    };
    const char *why = NULL;

    if (task->request.inject) {
        vtrace_deployer_inject(tasks->deployer, rule->cookie, &packets);
        vtrace_deployer_injected(tasks->deployer, rule->cookie, &why);
    }
    return why;
}

/* Ends 'task', which an earlier vtraced was at, with what that had saved. */
static bool
end_interrupted(struct vtrace_tasks *tasks, const struct vtrace_task *task)
{
    bool unwatched = (task->request.both
                      && (task->n_rules < 2
                          || task->rules[VTRACE_REVERSE].state
                             < VTRACE_RULE_INSTALLED));
    char *saved, *result = NULL, *reason;
    int64_t as_of;
    bool changed;

    /* Without it the task could not be told from one that saw nothing. */
    if (!succeeded(task->id, vtrace_store_get_saved(tasks->store, task->id,
                                                    &saved, &as_of))) {
        return false;
    }
    if (saved) {
        result = vtrace_task_interrupted(saved, as_of, unwatched
                                         ? "no rule for them was installed "
                                         "until vtraced ended" : NULL);
        free(saved);
    }
    reason = xasprintf("vtraced was restarted while the task was running%s: "
                       "start it again",
                       result ? ", and has what it had seen" : "");
    changed = succeeded(task->id,
                        vtrace_store_end(tasks->store, task->id,
                                         VTRACE_FAILED, reason, result,
                                         time_wall_msec()));
    if (changed) {
        VLOG_INFO("task %"PRId64": failed: %s", task->id, reason);
    }
    free(reason);
    free(result);
    return changed;
}

static bool
run_running(struct vtrace_tasks *tasks, const struct vtrace_task *task)
{
    const struct vtrace_rule *rule = &task->rules[VTRACE_FORWARD];
    struct live *live = find_live(tasks, task->id);
    const char *why;
    char *trouble;

    if (!live || !live->began[VTRACE_FORWARD]) {
        /* Its records went nowhere meanwhile. */
        return end_interrupted(tasks, task);
    }
    live->running = true;
    if (live->stopped) {
        return run_stopping(tasks, live, task);
    }
    set_rule_count(tasks, live, task, VTRACE_FORWARD);
    if (live->stop || time_wall_msec() >= task->ends) {
        return run_stopping(tasks, live, task);
    }
    trouble = vtrace_tasks_restore_maps(tasks, live, task, rule);
    if (trouble) {
        bool changed = end(tasks, task, VTRACE_FAILED, trouble);

        free(trouble);
        return changed;
    } else if (vtrace_tasks_rule_status(tasks, live, rule, &why)
               == VTRACE_OP_GONE) {
        return end(tasks, task, VTRACE_FAILED, why);
    }
    why = inject(tasks, task);
    if (why) {
        return end(tasks, task, VTRACE_FAILED, why);
    }
    return task->request.both && run_reverse(tasks, live, task);
}

/* Removes the rules of an ended task. */
static bool
run_ended(struct vtrace_tasks *tasks, const struct vtrace_task *task)
{
    bool changed = false;

    vtrace_tasks_remove_rules(tasks, task, true);
    for (size_t i = 0; i < task->n_rules; i++) {
        const struct vtrace_rule *rule = &task->rules[i];

        if (rule->state == VTRACE_RULE_REMOVING
            && vtrace_tasks_is_removed(tasks, rule)) {
            changed |= succeeded(
                task->id, vtrace_store_rule_gone(tasks->store, task->id,
                                                 rule->direction,
                                                 time_wall_msec()));
            vtrace_tasks_forget(tasks, rule);
        } else if (rule->state == VTRACE_RULE_GONE) {
            vtrace_tasks_forget(tasks, rule);
        }
    }
    return changed;
}

static bool
run_task(struct vtrace_tasks *tasks, const struct vtrace_task *task)
{
    const struct vtrace_rule *rule = &task->rules[VTRACE_FORWARD];
    struct live *live = vtrace_state_is_end(task->state)
                        || task->state == VTRACE_RUNNING
                        ? NULL : get_live(tasks, task->id);

    if (live && live->stop) {
        return end(tasks, task, VTRACE_FAILED, "stopped before it was "
                   "running");
    }
    switch (task->state) {
    case VTRACE_NEW:
        return listen_for(tasks, live, rule)
               && succeeded(task->id,
                            vtrace_store_ready(tasks->store, task->id,
                                               time_wall_msec()));
    case VTRACE_READY:
        /* After a restart nobody listens yet. */
        return listen_for(tasks, live, rule)
               && deploy(tasks, live, task, rule);
    case VTRACE_DEPLOYED:
        if (!listen_for(tasks, live, rule)) {
            return false;
        } else if (!live->began[VTRACE_FORWARD]) {
            return deploy(tasks, live, task, rule);
        }
        return check_installed(tasks, live, task, rule);
    case VTRACE_RUNNING:
        return run_running(tasks, task);
    case VTRACE_DONE:
    case VTRACE_FAILED:
    case VTRACE_EXPIRED:
        return run_ended(tasks, task);
    }
    OVS_NOT_REACHED();
}

static void
run_id(struct vtrace_tasks *tasks, int64_t id)
{
    bool again = true;

    /* As many steps as can be taken at once, which are a few. */
    for (int i = 0; i < 10 && again; i++) {
        struct vtrace_task *task;

        if (!succeeded(id, vtrace_store_get(tasks->store, NULL, id, &task))) {
            return;
        }
        again = run_task(tasks, task);
        vtrace_task_destroy(task);
    }
}

/* Returns what 'live' has seen, for the caller to free, or NULL if that is what
 * was saved last. */
static char *
changed_result(struct live *live)
{
    char *result = vtrace_task_result(live->analysis, live->reverse_error);
    size_t len = strlen(result);
    ovs_u128 hash;

    if (len > MAX_SAVED) {
        size_t brief = strcspn(result, "\n");
        char *verdict = xasprintf("%.*s\n%.*s", (int) brief, result,
                                  (int) brief, result);

        free(result);
        result = verdict;
        len = strlen(result);
    }
    hash_bytes128(result, len, 0, &hash);
    if (ovs_u128_equals(hash, live->saved)) {
        free(result);
        return NULL;
    }
    live->saved = hash;
    return result;
}

/* Saves what running tasks have seen. */
static void
save(struct vtrace_tasks *tasks)
{
    size_t max = hmap_count(&tasks->live), n = 0, bytes = 0;
    struct vtrace_store_saved *saved = xmalloc(max * sizeof *saved);
    long long int begin = time_usec();
    struct live *live;
    bool ok = true;

    HMAP_FOR_EACH (live, node, &tasks->live) {
        char *result = live->running ? changed_result(live) : NULL;

        if (result) {
            saved[n++] = (struct vtrace_store_saved) { live->id, result };
            bytes += strlen(result);
        }
    }
    if (n) {
        ok = succeeded(saved[0].id, vtrace_store_save(tasks->store, saved, n,
                                                      time_wall_msec()));
    }
    for (size_t i = 0; i < n; i++) {
        if (!ok) {
            find_live(tasks, saved[i].id)->saved = OVS_U128_ZERO;
        }
        free(saved[i].result);
    }
    free(saved);
    double took = (time_usec() - begin) / 1e3;
    if (n && ok) {
        tasks->n_saves++;
        tasks->n_saved = n;
        tasks->saved_bytes = bytes;
        tasks->save_ms = took;
    }
    tasks->next_save = time_msec() + MAX(SAVE_MS, took * SAVE_SHARE);
}

void
vtrace_tasks_format(const struct vtrace_tasks *tasks, struct ds *s)
{
    if (tasks->n_saves) {
        ds_put_format(s, "running tasks saved %"PRIu64" times, last %"PRIuSIZE
                      " that had changed, %"PRIuSIZE" bytes, in %.1f ms\n",
                      tasks->n_saves, tasks->n_saved, tasks->saved_bytes,
                      tasks->save_ms);
    }
}

struct unsettled {
    const int64_t *ids;
    size_t n;
};

static bool
is_unsettled(const struct unsettled *unsettled, int64_t id)
{
    for (size_t i = 0; i < unsettled->n; i++) {
        if (unsettled->ids[i] == id) {
            return true;
        }
    }
    return false;
}

static bool
keep_rule(uint64_t cookie, const void *unsettled)
{
    enum vtrace_direction direction;
    int64_t task = vtrace_store_cookie_task(cookie, &direction);

    return (vtrace_store_cookie_is_border(cookie)
            || is_unsettled(unsettled, task));
}

void
vtrace_tasks_run(struct vtrace_tasks *tasks)
{
    struct unsettled unsettled;
    int64_t *ids;
    char *error;
    size_t n;

    if (time_msec() < tasks->next_run) {
        return;
    }
    vtrace_analyzer_run(tasks->analyzer, time_msec() * 1000000ULL);
    error = vtrace_store_run(tasks->store, time_wall_msec());
    if (!error) {
        error = vtrace_store_list(tasks->store, NULL, VTRACE_UNSETTLED, &ids,
                                  &n);
    }
    if (error) {
        static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(1, 5);

        VLOG_ERR_RL(&rl, "%s", error);
        free(error);
        tasks->next_run = time_msec() + 1000;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        run_id(tasks, ids[i]);
    }
    /* Tasks that the store itself ended, as expired, and rules that it knows
     * to be gone because their time is over. */
    unsettled = (struct unsettled) { ids, n };
    struct live *live;
    HMAP_FOR_EACH_SAFE (live, node, &tasks->live) {
        if (!is_unsettled(&unsettled, live->id)) {
            live_destroy(tasks, live);
        }
    }
    vtrace_deployer_retain(tasks->deployer, keep_rule, &unsettled);
    free(ids);
    if (time_msec() >= tasks->next_save) {
        save(tasks);
    }
    tasks->next_run = n ? time_msec() + TICK_MS : LLONG_MAX;
}

void
vtrace_tasks_wait(struct vtrace_tasks *tasks)
{
    if (tasks->next_run != LLONG_MAX) {
        poll_timer_wait_until(tasks->next_run);
    }
}

char *
vtrace_tasks_stop(struct vtrace_tasks *tasks, const char *tenant, int64_t id)
{
    struct vtrace_task *task;
    char *error = vtrace_store_get(tasks->store, tenant, id, &task);

    if (!error) {
        if (!vtrace_state_is_end(task->state)) {
            get_live(tasks, id)->stop = true;
            vtrace_tasks_kick(tasks);
        }
        vtrace_task_destroy(task);
    }
    return error;
}

char *
vtrace_tasks_show(struct vtrace_tasks *tasks, const char *tenant, int64_t id,
                  bool brief, struct json **json)
{
    struct vtrace_task *task;
    char *error = vtrace_store_get(tasks->store, tenant, id, &task);
    const struct live *live;

    *json = NULL;
    if (!error) {
        live = find_live(tasks, id);
        *json = vtrace_task_to_json(task, tenant != NULL, brief,
                                    live && task->running ? live->analysis
                                                          : NULL,
                                    live ? live->reverse_error : NULL);
        vtrace_task_destroy(task);
    }
    return error;
}
