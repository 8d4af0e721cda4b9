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

#ifndef VTRACE_DEPLOYER_H
#define VTRACE_DEPLOYER_H 1

/* The deployer puts rules into switches, takes them out, and looks whether
 * they are still there.  It speaks OpenFlow to the bridges as ovs-ofctl does,
 * over connections that it opens when needed and closes when they are idle.
 *
 * The first thing on each connection to a bridge is to delete every rule in the
 * deployer's range of cookies, but for those that it wants to be there: an
 * earlier vtraced may have left them, or this one may have given up removing
 * them while the bridge was away.
 *
 * A rule is known by its cookie and the number of the part that it is: rules of
 * a task share a cookie.  There is at most one operation on it, which a later
 * one replaces.  An operation survives the loss of the connection: it
 * begins again.  Everything here belongs to one thread and does not block. */

#include <stdbool.h>
#include <stdint.h>
#include "vtrace-rules/vtrace-flow.h"

struct ds;
struct vtrace_deployer;
struct vtrace_inject;

/* How often rules are looked at, in ms. */
#define VTRACE_DEPLOYER_POLL_MS 1000

/* Manages the rules whose cookies equal 'cookies' under 'mask'. */
struct vtrace_deployer *vtrace_deployer_create(uint64_t cookies,
                                               uint64_t mask);
void vtrace_deployer_destroy(struct vtrace_deployer *);

void vtrace_deployer_run(struct vtrace_deployer *);
void vtrace_deployer_wait(struct vtrace_deployer *);

/* Connects to 'bridge' at 'target', in which "%b" stands for the bridge's
 * name, to delete what is left there. */
void vtrace_deployer_sweep(struct vtrace_deployer *, const char *target,
                           const char *bridge);

/* Begins to install 'flow', whose 'in_port' is replaced by the number of
 * 'port', or to remove the rules with 'cookie', all parts that are in 'bridge'
 * at once.  However late the switch takes the rule, its timeout is over at
 * 'latest', a time_msec(), unless its 'hard_timeout' is before.  It is refused
 * if it would replace a rule of anybody else. */
void vtrace_deployer_install(struct vtrace_deployer *, const char *target,
                             const char *bridge, const char *port,
                             const struct vtrace_flow *flow,
                             unsigned int part, long long int latest);
void vtrace_deployer_remove(struct vtrace_deployer *, const char *target,
                            const char *bridge, uint64_t cookie,
                            unsigned int part);

enum vtrace_op_status {
    VTRACE_OP_NONE,             /* Nothing was begun for this cookie. */
    VTRACE_OP_INSTALLING,
    VTRACE_OP_INSTALLED,        /* Confirmed by a barrier. */
    VTRACE_OP_REMOVING,
    VTRACE_OP_REMOVED,          /* Confirmed by a barrier. */
    VTRACE_OP_REFUSED,          /* Not installed, '*why' says why. */
    VTRACE_OP_GONE,             /* Was installed, and is not there any more. */
};

/* Returns how far a part of 'cookie' is.  If 'why' is not NULL, sets it to
 * why it is no further, valid until the deployer runs again, or to NULL. */
enum vtrace_op_status vtrace_deployer_status(const struct vtrace_deployer *,
                                             uint64_t cookie,
                                             unsigned int part,
                                             const char **why);

/* Returns the packets that the rule, part 0, has counted when it was last
 * seen. */
uint64_t vtrace_deployer_packets(const struct vtrace_deployer *,
                                 uint64_t cookie);

/* Begins to make packets for the rule with 'cookie', which must be
 * VTRACE_OP_INSTALLED, at its port, if it has not begun yet.  That ends when
 * the rule is removed or forgotten, and pauses while there is no connection. */
void vtrace_deployer_inject(struct vtrace_deployer *, uint64_t cookie,
                            const struct vtrace_inject *inject);

/* Returns how many packets were made for the rule with 'cookie'.  Sets '*why'
 * to why the switch takes none, valid until the deployer runs again, or to
 * NULL. */
uint64_t vtrace_deployer_injected(const struct vtrace_deployer *,
                                  uint64_t cookie, const char **why);

/* Forgets about a part of 'cookie', whose rule stays as it is. */
void vtrace_deployer_forget(struct vtrace_deployer *, uint64_t cookie,
                            unsigned int part);

/* Forgets about all rules but those that 'keep', with their cookie, is true
 * for. */
void vtrace_deployer_retain(struct vtrace_deployer *,
                            bool (*keep)(uint64_t cookie, const void *aux),
                            const void *aux);

/* Appends a line for each connection. */
void vtrace_deployer_format(const struct vtrace_deployer *, struct ds *);

/* Returns "connected", "not connected: WHY" or "idle" for 'target', which the
 * caller must free. */
char *vtrace_deployer_target_status(const struct vtrace_deployer *,
                                    const char *target);

#endif /* vtrace/deployer.h */
