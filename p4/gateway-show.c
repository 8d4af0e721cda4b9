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

#include "p4/gateway-show.h"

#include <inttypes.h>

#include "openvswitch/dynamic-string.h"
#include "p4/gateway-counts.h"
#include "p4/gateway-database.h"
#include "p4/gateway-pipeline.h"
#include "unixctl.h"
#include "util.h"

static void
gateway_show(struct unixctl_conn *conn, int argc OVS_UNUSED,
             const char *argv[] OVS_UNUSED, void *aux OVS_UNUSED)
{
    struct gateway_update_stats updates;
    struct ds s = DS_EMPTY_INITIALIZER;

    gateway_database_format(&s);
    gateway_tables_format(&s);
    gateway_path_get_stats(&updates);
    ds_put_format(&s, "updates of path tables: %"PRIu64" written by %"PRIu64
                  " packets, %"PRIu64" packets sent again, %"PRIu64
                  " waiting\n", updates.updates, updates.packets,
                  updates.retransmissions, updates.pending);
    unixctl_command_reply(conn, ds_cstr(&s));
    ds_destroy(&s);
}

static void
gateway_counts(struct unixctl_conn *conn, int argc OVS_UNUSED,
               const char *argv[] OVS_UNUSED, void *aux OVS_UNUSED)
{
    uint64_t values[ZOO_GATEWAY_N_COUNTS];
    struct ds s = DS_EMPTY_INITIALIZER;

    gateway_get_counts(values);
    for (size_t i = 0; i < ZOO_GATEWAY_N_COUNTS; i++) {
        const struct gateway_count_info *info = &gateway_count_info[i];

        if (info->name) {
            ds_put_format(&s, "%-26s %12"PRIu64"  %s\n", info->name,
                          values[i], info->description);
        }
    }
    unixctl_command_reply(conn, ds_cstr(&s));
    ds_destroy(&s);
}

void
gateway_show_init(void)
{
    unixctl_command_register("gateway/show", "", 0, 0, gateway_show, NULL);
    unixctl_command_register("gateway/counts", "", 0, 0, gateway_counts,
                             NULL);
}
