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

#include "ovs-ext/zoo-ofproto.h"

#include "dpif-netdev.h"
#include "ofproto/ofproto-dpif.h"
#include "ofproto/ofproto-provider.h"
#include "openvswitch/ofp-actions.h"
#include "openvswitch/ofp-group.h"
#include "openvswitch/vlog.h"

/* Open vSwitch 4.0 moved hardware offload to a layer of its own. */
#if __has_include("dpif-offload.h")
#include "dpif-offload.h"
#define hw_offload_enabled dpif_offload_enabled
#else
#include "netdev-offload.h"
#define hw_offload_enabled netdev_is_flow_api_enabled
#endif

VLOG_DEFINE_THIS_MODULE(zoo_ofproto);

const char *
zoo_ofproto_unsupported(const struct ofproto *up, const char **remedy)
{
    const struct ofproto_dpif *ofproto
        = CONTAINER_OF(up, struct ofproto_dpif, up);
    const char *reason, *what;

    if (up->ofproto_class != &ofproto_dpif_class) {
        reason = "unknown datapath";
        what = "use a bridge with datapath_type \"netdev\"";
    } else if (!dpif_is_netdev(ofproto->backer->dpif)) {
        reason = "kernel datapath";
        what = "set the bridge's datapath_type to \"netdev\"";
    } else if (hw_offload_enabled()) {
        reason = "hardware offload";
        what = "set Open_vSwitch other_config:hw-offload to \"false\" and "
               "restart ovs-vswitchd";
    } else {
        reason = what = NULL;
    }

    if (remedy) {
        *remedy = what;
    }
    return reason;
}

/* Returns true if 'reason' for which 'ofproto' cannot execute 'ofpact' is NULL,
 * otherwise logs it. */
static bool
refuse_unless_null(const struct ofproto *ofproto, const struct ofpact *ofpact,
                   const char *reason, const char *remedy)
{
    static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(1, 5);

    if (reason) {
        VLOG_WARN_RL(&rl, "%s: %s action refused (%s), %s", ofproto->name,
                     ofpact_name(ofpact->type), reason, remedy);
    }
    return !reason;
}

bool
zoo_ofproto_check_ofpact(const struct ofproto *ofproto,
                         const struct ofpact *ofpact)
{
    const char *reason, *remedy;

    if (ofpact->type != OFPACT_ZOOROUTE && ofpact->type != OFPACT_VTRACE) {
        return true;
    }

    reason = zoo_ofproto_unsupported(ofproto, &remedy);
    return refuse_unless_null(ofproto, ofpact, reason, remedy);
}

bool
zoo_ofproto_check_buckets(const struct ofproto *ofproto,
                          const struct ovs_list *buckets)
{
    const struct ofputil_bucket *bucket;
    const struct ofpact *a;

    LIST_FOR_EACH (bucket, list_node, buckets) {
        OFPACT_FOR_EACH_FLATTENED (a, bucket->ofpacts, bucket->ofpacts_len) {
            /* A bucket has no match that keeps vtrace from finding it again. */
            if (a->type == OFPACT_VTRACE) {
                return refuse_unless_null(ofproto, a, "in a group",
                                          "use it in a flow of table 0");
            }
            if (!zoo_ofproto_check_ofpact(ofproto, a)) {
                return false;
            }
        }
    }
    return true;
}
