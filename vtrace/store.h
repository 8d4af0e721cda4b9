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

#ifndef VTRACE_STORE_H
#define VTRACE_STORE_H 1

/* The task store: what vtraced must not forget, in an SQLite database.
 *
 * A task goes through these states, each step one transaction:
 *
 *     new -----> ready -----> deployed -----> running -----> done
 *      |           |              |              |
 *      +-----------+--------------+--------------+--> failed, expired
 *
 *   - new: somebody asked for it; it has a color.
 *   - ready: the analyzer listens for the color.
 *   - deployed: the rule may be in the switch.  This is written before the
 *     rule is sent, so that there is never a rule that nobody knows of.
 *   - running: the switch has confirmed the rule with a barrier.
 *   - done: the time is over, or a user stopped it; there is a verdict.
 *   - failed: something other than the traffic made a verdict impossible.
 *   - expired: it was not running in time, or not watched when it ended.
 *
 * The database itself refuses any other step.  A step that is already taken
 * can be taken again, which does nothing: whoever finds a task in some state
 * after a crash does what that state asks for, without knowing how far it had
 * got.  The rule at the other end of a task with --both is a second rule of
 * the task, which comes and goes while the task is running.
 *
 * A rule occupies its entry and its color until it is known to be gone: the
 * switch confirmed its removal, or its hard_timeout is over.  Then the color
 * rests, so that late records are not taken for those of another task.
 *
 * Times are wall clock milliseconds since 1970 and given by the caller, as is
 * randomness.  A store belongs to one thread.  Functions that return a string
 * return NULL if successful, otherwise an error message that the caller must
 * free and that suits whoever made the request. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "compiler.h"
#include "openvswitch/types.h"

struct sset;
struct vtrace_store;

/* How long a color is not used again, in ms. */
#define VTRACE_STORE_REST_MS (60 * 1000)

/* How long a task may take from 'new' to 'running', in ms. */
#define VTRACE_STORE_START_MS (30 * 1000)

/* Colors are 1...VTRACE_STORE_MAX_COLOR: 12 bits of tun_gbp_id, less 0, which
 * is left to rules that are installed by hand. */
#define VTRACE_STORE_MAX_COLOR 4095

/* Limits of what a request may hold, in bytes or as a number. */
#define VTRACE_STORE_MAX_NAME 64        /* A tenant, node, bridge or port. */
#define VTRACE_STORE_MAX_DURATION (65000 * 1000)  /* ms: fits hard_timeout. */
#define VTRACE_STORE_MAX_EXP 7

enum vtrace_state {
    VTRACE_NEW,
    VTRACE_READY,
    VTRACE_DEPLOYED,
    VTRACE_RUNNING,
    VTRACE_DONE,
    VTRACE_FAILED,
    VTRACE_EXPIRED,
};

const char *vtrace_state_to_string(enum vtrace_state);
static inline bool
vtrace_state_is_end(enum vtrace_state state)
{
    return state >= VTRACE_DONE;
}

enum vtrace_rule_state {
    VTRACE_RULE_WANTED,         /* To be sent. */
    VTRACE_RULE_SENT,           /* May be in the switch. */
    VTRACE_RULE_INSTALLED,      /* Is in the switch. */
    VTRACE_RULE_REMOVING,       /* To be removed, may still be there. */
    VTRACE_RULE_GONE,
};

enum vtrace_direction {
    VTRACE_FORWARD,
    VTRACE_REVERSE,
    VTRACE_N_DIRECTIONS
};

/* Where packets enter. */
struct vtrace_entry {
    char node[VTRACE_STORE_MAX_NAME + 1];
    char bridge[VTRACE_STORE_MAX_NAME + 1];
    char port[VTRACE_STORE_MAX_NAME + 1];
};

/* Which packets.  IPv4 addresses are mapped into IPv6; one of the addresses
 * may be in6addr_any, for all. */
struct vtrace_match {
    uint8_t proto;              /* IPPROTO_*, or 0 for all. */
    struct in6_addr src, dst;
    uint16_t sport, dport;      /* Host byte order, 0 for all. */
    uint16_t vlan;              /* 1...4094, 0 for all. */
};

/* What somebody asks for. */
struct vtrace_request {
    char tenant[VTRACE_STORE_MAX_NAME + 1];
    struct vtrace_entry entry;
    struct vtrace_match match;
    int64_t duration;           /* ms. */
    int exp;                    /* One packet in 4^exp. */
    bool both;                  /* Replies too. */
    int inject;                 /* Packets per second, 0 for none. */
    struct eth_addr src_mac;    /* Of injected packets.  Both zero: those that */
    struct eth_addr dst_mac;    /* the switch has seen. */
};

/* What a tenant may have. */
struct vtrace_quota {
    int max_tasks;              /* Tasks that have not ended. */
    int max_kept;               /* Ended tasks; the oldest are forgotten. */
};

/* What takes the color of a rule over a border: packets that come into 'at'
 * have color 'theirs' in the domain that it leads to, and get 'color' in its
 * own. */
struct vtrace_map {
    struct vtrace_entry at;
    uint16_t theirs, color;
};

struct vtrace_rule {
    enum vtrace_rule_state state;
    enum vtrace_direction direction;
    struct vtrace_entry entry;
    struct vtrace_match match;
    uint16_t color;
    uint64_t cookie;
    int64_t expires;            /* Gone by then, or 0 if never sent. */
    struct vtrace_map *maps;    /* These come and go with it. */
    size_t n_maps;
};

struct vtrace_task {
    int64_t id;
    struct vtrace_request request;
    enum vtrace_state state;
    char *domain;

    /* When it got into the states of these names, or 0. */
    int64_t created, ready, deployed, running, ended;

    int64_t ends;               /* 'running' plus the duration, or 0. */
    char *reason;               /* Why it failed or expired, or NULL. */
    char *result;               /* JSON object with the verdict, or NULL. */

    size_t n_rules;             /* 1, or 2 once there is a reverse rule. */
    struct vtrace_rule rules[VTRACE_N_DIRECTIONS];
};

void vtrace_task_destroy(struct vtrace_task *);

/* Opens the store in 'file', which it creates if necessary, and brings an
 * older schema up to date.  'random' makes the cookies of a new store its own.
 * On error sets '*storep' to NULL. */
char *vtrace_store_open(const char *file, uint32_t random,
                        struct vtrace_store **storep) OVS_WARN_UNUSED_RESULT;
void vtrace_store_close(struct vtrace_store *);

/* The range of the cookies of this store's rules: those equal to the returned
 * value under '*mask'. */
uint64_t vtrace_store_cookies(const struct vtrace_store *, uint64_t *mask);

/* Returns the task that a cookie in the store's range stands for, and its
 * direction. */
int64_t vtrace_store_cookie_task(uint64_t cookie, enum vtrace_direction *);

/* Returns the cookie of the rule at the border 'at' of a node at 'target',
 * always the same, which is in the store's range and no task's. */
uint64_t vtrace_store_border_cookie(const struct vtrace_store *,
                                    const struct vtrace_entry *at,
                                    const char *target);
bool vtrace_store_cookie_is_border(uint64_t cookie);

/* Steps of a task. */

/* Creates a task in state 'new' for 'request' and sets '*id'.  Refuses what
 * the tenant's 'quota' does not allow and what overlaps with another rule at
 * the same entry, without a word on whose that is. */
char *vtrace_store_create(struct vtrace_store *,
                          const struct vtrace_request *request,
                          const struct vtrace_quota *quota, int64_t now,
                          uint32_t random, int64_t *id)
    OVS_WARN_UNUSED_RESULT;

/* 'new' to 'ready'. */
char *vtrace_store_ready(struct vtrace_store *, int64_t id, int64_t now)
    OVS_WARN_UNUSED_RESULT;

/* Says that the rule for 'direction' is about to be sent, to be gone by itself
 * at 'expires' at the latest.  For VTRACE_FORWARD, 'ready' to 'deployed'. */
char *vtrace_store_deploy(struct vtrace_store *, int64_t id,
                          enum vtrace_direction, int64_t expires, int64_t now)
    OVS_WARN_UNUSED_RESULT;

/* Says that the switch has confirmed the rule.  For VTRACE_FORWARD, 'deployed'
 * to 'running'. */
char *vtrace_store_installed(struct vtrace_store *, int64_t id,
                             enum vtrace_direction, int64_t now)
    OVS_WARN_UNUSED_RESULT;

/* Gives running task 'id' a rule for the replies. */
char *vtrace_store_add_reverse(struct vtrace_store *, int64_t id,
                               const struct vtrace_entry *,
                               const struct vtrace_match *, int64_t now,
                               uint32_t random) OVS_WARN_UNUSED_RESULT;

/* Ends task 'id' with 'state', one of the last three.  'reason' and 'result'
 * may be NULL.  Rules that may be in a switch become VTRACE_RULE_REMOVING.
 * The first end counts: ending an ended task changes nothing. */
char *vtrace_store_end(struct vtrace_store *, int64_t id,
                       enum vtrace_state state, const char *reason,
                       const char *result, int64_t now)
    OVS_WARN_UNUSED_RESULT;

/* What running tasks have seen so far is saved while they run, so that a crash
 * loses little of it.  It is the one thing here that a power failure may take
 * back, by some seconds. */

/* What a running task has seen. */
struct vtrace_store_saved {
    int64_t id;
    char *result;               /* JSON. */
};

/* Saves the 'n' elements of 'saved', all or nothing, in the place of what was
 * saved of these tasks before.  Those that do not run are left out. */
char *vtrace_store_save(struct vtrace_store *,
                        const struct vtrace_store_saved *saved, size_t n,
                        int64_t now) OVS_WARN_UNUSED_RESULT;

/* Sets '*result' to what was saved last of task 'id', for the caller to free,
 * and '*at' to when, or '*result' to NULL if nothing was or the task has
 * ended. */
char *vtrace_store_get_saved(struct vtrace_store *, int64_t id, char **result,
                             int64_t *at) OVS_WARN_UNUSED_RESULT;

/* Says that the rule is in no switch any more; its color begins to rest. */
char *vtrace_store_rule_gone(struct vtrace_store *, int64_t id,
                             enum vtrace_direction, int64_t now)
    OVS_WARN_UNUSED_RESULT;

/* Does what the time asks for: rules of ended tasks whose hard_timeout is over
 * are gone, tasks that did not get to 'running' in VTRACE_STORE_START_MS
 * expire. */
char *vtrace_store_run(struct vtrace_store *, int64_t now)
    OVS_WARN_UNUSED_RESULT;

/* Queries.  'tenant' sees its own tasks only, as if there were no others; NULL
 * stands for the operator, who sees all. */

/* Sets '*taskp' to task 'id', which the caller must destroy, or to NULL. */
char *vtrace_store_get(struct vtrace_store *, const char *tenant, int64_t id,
                       struct vtrace_task **taskp) OVS_WARN_UNUSED_RESULT;

/* Which tasks a list holds. */
enum vtrace_which {
    VTRACE_ALL,
    VTRACE_UNENDED,             /* Not in an end state. */
    VTRACE_UNSETTLED            /* VTRACE_UNENDED, or with rules not gone. */
};

/* Sets '*ids' to an array of the tasks' ids, in order, which the caller must
 * free, and '*n' to their number. */
char *vtrace_store_list(struct vtrace_store *, const char *tenant,
                        enum vtrace_which, int64_t **ids, size_t *n)
    OVS_WARN_UNUSED_RESULT;

/* Nodes: a name and where its bridges' OpenFlow connections are, in the form
 * of ovs-ofctl, with "%b" for the bridge's name.  Colors are unique within a
 * domain. */

struct vtrace_store_node {
    char *name;
    char *target;
    char *domain;
    char *database;             /* OVSDB target, or "". */
    bool from_file;
};

void vtrace_store_nodes_destroy(struct vtrace_store_node *, size_t n);

/* Adds a node, or changes one, which has no database then.  The target and
 * domain of a node with rules do not change. */
char *vtrace_store_add_node(struct vtrace_store *, const char *name,
                            const char *target, const char *domain,
                            bool from_file) OVS_WARN_UNUSED_RESULT;

/* Returns true if node 'name' may have rules. */
bool vtrace_store_node_is_used(struct vtrace_store *, const char *name);

/* Returns an error message, which begins with 'what', if 'name' cannot be that of
 * a tenant, node, bridge or port, otherwise NULL.  VTRACE_STORE_MAX_NAME is not
 * checked here. */
char *vtrace_store_check_name(const char *what, const char *name)
    OVS_WARN_UNUSED_RESULT;

/* Returns an error message if vtrace_store_set_database() would not take 'target',
 * otherwise NULL. */
char *vtrace_store_check_database(const char *name, const char *target)
    OVS_WARN_UNUSED_RESULT;

/* Says that the Open_vSwitch database of node 'name' is at 'target', connection
 * methods with commas between them, "" if nobody is to ask it. */
char *vtrace_store_set_database(struct vtrace_store *, const char *name,
                                const char *target) OVS_WARN_UNUSED_RESULT;

/* Removes a node that no task uses and that has no border. */
char *vtrace_store_remove_node(struct vtrace_store *, const char *name)
    OVS_WARN_UNUSED_RESULT;

/* Sets '*nodesp' to an array of all nodes by name, or of the node 'name' if it
 * is not NULL, for vtrace_store_nodes_destroy(). */
char *vtrace_store_nodes(struct vtrace_store *, const char *name,
                         struct vtrace_store_node **nodesp, size_t *n)
    OVS_WARN_UNUSED_RESULT;

/* Borders: ports that lead to another domain.  A task has a color in the domain
 * where its packets enter and in each one that borders lead to from there, and
 * at each of these borders a map for each direction.
 *
 * A border says what comes in: those that lead from a domain to another one are
 * at the nodes of the latter. */

struct vtrace_store_border {
    struct vtrace_entry at;
    char *domain;               /* Of the other end. */
    bool from_file;
};

void vtrace_store_borders_destroy(struct vtrace_store_border *, size_t n);

/* Adds or changes a border, for tasks that are created later. */
char *vtrace_store_add_border(struct vtrace_store *,
                              const struct vtrace_entry *at,
                              const char *domain, bool from_file)
    OVS_WARN_UNUSED_RESULT;

char *vtrace_store_remove_border(struct vtrace_store *,
                                 const struct vtrace_entry *at)
    OVS_WARN_UNUSED_RESULT;

/* Sets '*bordersp' to an array of all borders by node, bridge and port, for
 * vtrace_store_borders_destroy(). */
char *vtrace_store_borders(struct vtrace_store *,
                           struct vtrace_store_border **bordersp, size_t *n)
    OVS_WARN_UNUSED_RESULT;

/* Adds the bridges of node 'node' that have or had borders, or that rules of
 * tasks that are kept lead to, to 'bridges'; not more than
 * VTRACE_STORE_MAX_BRIDGES: borders first, whose rules have no timeout, then
 * those of the newest tasks.  Sets '*n_more' to how many there are beside
 * these. */
#define VTRACE_STORE_MAX_BRIDGES 256
char *vtrace_store_bridges(struct vtrace_store *, const char *node,
                           struct sset *bridges, size_t *n_more)
    OVS_WARN_UNUSED_RESULT;

/* A color of a task. */
struct vtrace_color {
    char domain[VTRACE_STORE_MAX_NAME + 1];
    uint16_t color;
};

/* Sets '*colorsp' to an array of the colors that 'direction' of task 'id' has,
 * which the caller must free. */
char *vtrace_store_colors(struct vtrace_store *, int64_t id,
                          enum vtrace_direction, struct vtrace_color **colorsp,
                          size_t *n) OVS_WARN_UNUSED_RESULT;

/* Checks everything that has to be true of the tables between steps.  For
 * tests, and for vtraced's start. */
char *vtrace_store_check(struct vtrace_store *) OVS_WARN_UNUSED_RESULT;

#endif /* vtrace/store.h */
