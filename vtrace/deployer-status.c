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
#include "vtrace/deployer-private.h"

#include <stdlib.h>
#include <string.h>

#include "openflow/openflow.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/ofp-errors.h"
#include "util.h"

char *
vtrace_deployer_expand(const char *target, const char *bridge)
{
    struct ds s = DS_EMPTY_INITIALIZER;
    const char *p;

    while ((p = strstr(target, "%b")) != NULL) {
        ds_put_buffer(&s, target, p - target);
        ds_put_cstr(&s, bridge);
        target = p + 2;
    }
    ds_put_cstr(&s, target);
    return ds_steal_cstr(&s);
}

void
vtrace_deployer_set_why(struct op *op, char *why)
{
    free(op->why);
    op->why = why;
}

void
vtrace_deployer_refused(struct op *op, char *why)
{
    op->status = VTRACE_OP_REFUSED;
    vtrace_deployer_set_why(op, why);
}

char *
vtrace_deployer_explain(const struct op *op, enum ofperr error)
{
    const struct bridge *b = op->bridge;

    switch ((unsigned int) error) {
    case OFPERR_OFPFMFC_OVERLAP:
        return xasprintf("bridge %s: another rule of priority %d matches "
                         "some of these packets", b->name,
                         vtrace_flow_priority(&op->flow));
    case OFPERR_OFPBAC_BAD_VENDOR:
    case OFPERR_OFPBAC_BAD_VENDOR_TYPE:
        return xasprintf("bridge %s: the switch does not know the action "
                         "vtrace: it is not ovs-zoo's, or too old", b->name);
    default:
        return xasprintf("bridge %s: the switch refused the rule: %s",
                         b->name, ofperr_to_string(error));
    }
}

static char *
bridge_status(const struct bridge *b)
{
    int error = rconn_get_last_error(b->rconn);

    if (b->phase == PHASE_READY) {
        return xstrdup("connected");
    }
    return xasprintf("not connected: %s",
                     error ? ovs_retval_to_string(error) : "no answer");
}

void
vtrace_deployer_format(const struct vtrace_deployer *d, struct ds *s)
{
    const struct bridge *b;
    const struct op *op;

    HMAP_FOR_EACH (b, node, &d->bridges) {
        char *status = bridge_status(b);
        size_t n = 0;

        HMAP_FOR_EACH (op, node, &d->ops) {
            n += op->bridge == b && op->status == VTRACE_OP_INSTALLED;
        }
        ds_put_format(s, "%s at %s: %s, %"PRIuSIZE" rules\n", b->name,
                      b->remote, status, n);
        free(status);
    }
}

char *
vtrace_deployer_target_status(const struct vtrace_deployer *d,
                              const char *target)
{
    const struct bridge *b, *found = NULL;

    HMAP_FOR_EACH (b, node, &d->bridges) {
        char *remote = vtrace_deployer_expand(target, b->name);

        if (!strcmp(b->remote, remote)
            && (!found || found->phase == PHASE_READY)) {
            found = b;
        }
        free(remote);
    }
    return found ? bridge_status(found) : xstrdup("idle");
}
