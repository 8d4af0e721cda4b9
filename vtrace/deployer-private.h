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

#ifndef VTRACE_DEPLOYER_PRIVATE_H
#define VTRACE_DEPLOYER_PRIVATE_H 1

/* What the files of the deployer share. */

#include "openvswitch/hmap.h"
#include "openvswitch/ofp-protocol.h"
#include "openvswitch/rconn.h"
#include "openvswitch/shash.h"
#include "vtrace/deployer.h"

struct ofp_header;

struct op {
    struct hmap_node node;      /* In struct vtrace_deployer's 'ops'. */
    uint64_t cookie;
    unsigned int part;
    struct bridge *bridge;
    enum vtrace_op_status status;
    struct vtrace_flow flow;    /* INSTALLING and later. */
    char *port;
    char *why;
    long long int latest;       /* Not in the switch after that. */

    /* What was sent on the current connection. */
    ovs_be32 check_xid;         /* 0 if not asked what is there. */
    bool checked;               /* Nothing is in the way. */
    bool sent;
    ovs_be32 flow_mod_xid;
    ovs_be32 barrier_xid;

    /* From flow statistics. */
    bool asked;                 /* Installed when they were asked for. */
    bool seen;                  /* In the answer so far. */
    uint64_t packets;

    /* Packets that are made for the flow. */
    struct vtrace_injector *injector;   /* NULL for none. */
};

/* What a bridge's connection is waiting for before rules can be sent. */
enum phase {
    PHASE_CONNECT,
    PHASE_SWEEP,
    PHASE_READY
};

struct bridge {
    struct hmap_node node;      /* In struct vtrace_deployer's 'bridges'. */
    char *remote;               /* The node's target, without "%b". */
    char *name;                 /* Of the bridge, "" if not known. */
    struct rconn *rconn;
    enum phase phase;
    unsigned int seqno;         /* Of the connection. */
    enum ofputil_protocol protocol;
    ovs_be32 left_xid;          /* Asked what is to be swept, or 0. */
    ovs_be32 sweep_xid;         /* The barrier after it. */
    struct rconn_packet_counter *echoes;    /* Replies that wait. */

    /* Ports, asked for before each installation. */
    struct shash ports;         /* Data is the number. */
    ovs_be32 ports_xid;         /* 0 if not asked for. */
    bool ports_valid;

    ovs_be32 stats_xid;         /* 0 if not asked for. */
    long long int next_stats;
    long long int last_use;
};

struct vtrace_deployer {
    uint64_t cookies, mask;
    struct hmap ops;
    struct hmap bridges;
};

/* deployer.c */

/* Sends 'msg', which it takes, and returns its xid. */
ovs_be32 vtrace_deployer_send(struct bridge *, struct ofpbuf *msg);
ovs_be32 vtrace_deployer_send_barrier(struct bridge *);

/* deployer-check.c: what is in a switch before a rule comes. */

/* Asks 'b' for the rules in the deployer's range of cookies, to delete those
 * of no operation, and takes an answer, or an error, with b->left_xid. */
void vtrace_deployer_ask_left(struct vtrace_deployer *, struct bridge *b);
void vtrace_deployer_got_left(struct vtrace_deployer *, struct bridge *b,
                              const struct ofp_header *);

/* Asks for what 'flow', that of 'op', would replace, and takes the answer with
 * op->check_xid. */
void vtrace_deployer_ask_check(struct op *op, const struct vtrace_flow *flow);
void vtrace_deployer_got_check(struct op *op, const struct ofp_header *);

/* deployer-status.c */

/* Says why an operation is no further, with 'why', which it takes. */
void vtrace_deployer_set_why(struct op *, char *why);
void vtrace_deployer_refused(struct op *, char *why);

/* Returns what a switch means by 'error', for the caller to free. */
char *vtrace_deployer_explain(const struct op *, enum ofperr error);

/* Returns 'target' with the bridge's name in place of "%b", for the caller to
 * free. */
char *vtrace_deployer_expand(const char *target, const char *bridge);

#endif /* vtrace/deployer-private.h */
