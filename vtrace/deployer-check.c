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

/* What is in a switch before the deployer's rules come: rules of its own that
 * are left, which are deleted, and those of others, which stay. */

#include <config.h>
#include "vtrace/deployer-private.h"

#include <errno.h>
#include <stdlib.h>

#include "byte-order.h"
#include "hash.h"
#include "openflow/openflow.h"
#include "openvswitch/match.h"
#include "openvswitch/ofp-errors.h"
#include "openvswitch/ofp-flow.h"
#include "openvswitch/ofp-msgs.h"
#include "openvswitch/ofpbuf.h"
#include "openvswitch/vlog.h"
#include "util.h"
#include "vtrace/fault.h"

VLOG_DEFINE_THIS_MODULE(vtrace_deployer_check);

/* What a switch may have of ours; the timeouts of others must do. */
#define MAX_LEFT 16384

/* Calls 'cb' for each rule in 'oh', flow statistics or an error.  Returns an
 * error message if it is not the whole truth, for the caller to free. */
static char *
each_rule(const struct ofp_header *oh,
          void (*cb)(const struct ofputil_flow_stats *, void *aux), void *aux)
{
    struct ofpbuf msg = ofpbuf_const_initializer(oh, ntohs(oh->length));
    struct ofputil_flow_stats fs;
    struct ofpbuf ofpacts;
    enum ofptype type;
    int error;

    if (!ofptype_decode(&type, oh) && type == OFPTYPE_ERROR) {
        return xstrdup(ofperr_to_string(ofperr_decode_msg(oh, NULL)));
    }
    ofpbuf_init(&ofpacts, 0);
    while (!(error = ofputil_decode_flow_stats_reply(&fs, &msg, true,
                                                     &ofpacts))) {
        cb(&fs, aux);
    }
    ofpbuf_uninit(&ofpacts);
    return error == EOF ? NULL : xstrdup(ofperr_to_string(error));
}

static ovs_be32
ask(struct bridge *b, const struct ofputil_flow_stats_request *request)
{
    return vtrace_deployer_send(b, ofputil_encode_flow_stats_request(
                                       request, b->protocol));
}

/* Sweep. */

void
vtrace_deployer_ask_left(struct vtrace_deployer *d, struct bridge *b)
{
    struct ofputil_flow_stats_request request = {
        .cookie = htonll(d->cookies),
        .cookie_mask = htonll(d->mask),
        .out_port = OFPP_ANY,
        .out_group = OFPG_ANY,
        .table_id = OFPTT_ALL,
    };

    match_init_catchall(&request.match);
    b->left_xid = ask(b, &request);
}

/* Returns true if a rule with 'cookie' may be in a switch for an operation. */
static bool
is_held(const struct vtrace_deployer *d, uint64_t cookie)
{
    const struct op *op;

    HMAP_FOR_EACH_WITH_HASH (op, node, hash_uint64(cookie), &d->ops) {
        if (op->cookie == cookie
            && (op->status == VTRACE_OP_INSTALLED
                || (op->status == VTRACE_OP_INSTALLING && op->sent))) {
            return true;
        }
    }
    return false;
}

struct left {
    const struct vtrace_deployer *d;
    struct bridge *b;
    size_t n;
};

static void
delete_left(const struct ofputil_flow_stats *fs, void *left_)
{
    uint64_t cookie = ntohll(fs->cookie);
    struct left *left = left_;

    if ((cookie & left->d->mask) == left->d->cookies
        && !is_held(left->d, cookie) && left->n++ < MAX_LEFT) {
        struct ofputil_flow_mod fm;

        vtrace_fault("flow-mod:left");
        vtrace_flow_mod_init_delete(cookie, UINT64_MAX, &fm);
        vtrace_deployer_send(left->b, ofputil_encode_flow_mod(
                                          &fm, left->b->protocol));
        vtrace_flow_mod_uninit(&fm);
    }
}

void
vtrace_deployer_got_left(struct vtrace_deployer *d, struct bridge *b,
                         const struct ofp_header *oh)
{
    struct left left = { .d = d, .b = b };
    char *error = each_rule(oh, delete_left, &left);

    if (left.n) {
        VLOG_INFO("bridge %s: deleted %"PRIuSIZE" rules that nobody wants "
                  "any more", b->name, left.n);
    }
    if (error) {
        VLOG_WARN("bridge %s: rules that nobody wants any more may be left: "
                  "%s", b->name, error);
    }
    if (error || !ofpmp_more(oh)) {
        b->left_xid = 0;
        b->sweep_xid = vtrace_deployer_send_barrier(b);
    }
    free(error);
}

/* The check before a rule is sent.  OpenFlow's CHECK_OVERLAP does not protect
 * a rule with the very same match, which an ADD replaces. */

void
vtrace_deployer_ask_check(struct op *op, const struct vtrace_flow *flow)
{
    struct ofputil_flow_stats_request request = {
        .out_port = OFPP_ANY,
        .out_group = OFPG_ANY,
        .table_id = 0,
    };
    struct ofputil_flow_mod fm;
    char *error = vtrace_flow_mod_init(flow, &fm);

    if (error) {
        vtrace_deployer_refused(op, error);
        return;
    }
    minimatch_expand(&fm.match, &request.match);
    vtrace_flow_mod_uninit(&fm);
    op->check_xid = ask(op->bridge, &request);
}

/* 'fs' matches some of the packets of 'op', or all. */
static void
check_rule(const struct ofputil_flow_stats *fs, void *op_)
{
    struct op *op = op_;

    if (fs->priority == vtrace_flow_priority(&op->flow)
        && ntohll(fs->cookie) != op->cookie
        && op->status == VTRACE_OP_INSTALLING) {
        vtrace_deployer_refused(op, vtrace_deployer_explain(
                                        op, OFPERR_OFPFMFC_OVERLAP));
    }
}

void
vtrace_deployer_got_check(struct op *op, const struct ofp_header *oh)
{
    char *error = each_rule(oh, check_rule, op);

    if (error) {
        if (op->status == VTRACE_OP_INSTALLING) {
            vtrace_deployer_refused(
                op, xasprintf("bridge %s: the switch does not say which rules "
                              "it has: %s", op->bridge->name, error));
        }
    }
    if (error || !ofpmp_more(oh)) {
        op->check_xid = 0;
        op->checked = true;
    }
    free(error);
}
