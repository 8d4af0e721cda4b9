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

#include "p4/gateway-status.h"

#include <inttypes.h>

#include "lib/vswitch-idl.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/shash.h"
#include "openvswitch/vlog.h"
#include "ovsdb-idl.h"
#include "p4/gateway-counts.h"
#include "p4/gateway-pipeline.h"
#include "p4/gateway-state.h"
#include "smap.h"
#include "timeval.h"
#include "util.h"
#include "uuid.h"

VLOG_DEFINE_THIS_MODULE(gateway_status);

static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(5, 50);

#define STATUS_INTERVAL_MS 5000
#define STATUS_MIN_INTERVAL_MS 200

/* What is wrong with ports, by name, with rows of tunnels and routes, by their
 * UUIDs, and with ZooGateway. */
static struct shash port_errors = SHASH_INITIALIZER(&port_errors);
static struct shash row_errors = SHASH_INITIALIZER(&row_errors);
static char *gateway_error, *commit_error;

/* Progress of writing. */
static struct ovsdb_idl_txn *status_txn;
static bool status_dirty = true;  /* Also errors of tunnels and routes. */
static long long int next_status = LLONG_MIN;

void
gateway_status_init(struct ovsdb_idl *idl)
{
    const struct ovsdb_idl_column *written[] = {
        &ovsrec_zoogateway_col_status,
        &ovsrec_zoogateway_col_statistics,
        &ovsrec_zoogateway_port_col_status,
        &ovsrec_zoogateway_port_col_statistics,
        &ovsrec_zoogateway_tunnel_col_error,
        &ovsrec_zoogateway_route_col_error,
    };

    for (size_t i = 0; i < ARRAY_SIZE(written); i++) {
        ovsdb_idl_omit_alert(idl, written[i]);
    }
}

void
gateway_status_changed(void)
{
    status_dirty = true;
}

void
gateway_status_clear_errors(void)
{
    shash_clear_free_data(&port_errors);
    shash_clear_free_data(&row_errors);
    free(gateway_error);
    gateway_error = NULL;
}

void
gateway_status_error(char *error)
{
    VLOG_ERR_RL(&rl, "ZooGateway: %s", error);
    free(gateway_error);
    gateway_error = error;
}

void
gateway_status_commit_error(char *error)
{
    if (error) {
        VLOG_ERR_RL(&rl, "ZooGateway: %s", error);
    }
    if (error || commit_error) {
        status_dirty = true;
    }
    free(commit_error);
    commit_error = error;
}

void
gateway_status_port_error(const char *name, char *error)
{
    VLOG_ERR_RL(&rl, "port %s: %s", name, error);
    free(shash_replace(&port_errors, name, error));
}

void
gateway_status_row_error(const struct uuid *row, char *error)
{
    char uuid[UUID_LEN + 1];

    snprintf(uuid, sizeof uuid, UUID_FMT, UUID_ARGS(row));
    free(shash_replace(&row_errors, uuid, error));
}


static void
write_port(const struct ovsrec_zoogateway_port *row)
{
    const struct gateway_interface *iface = gateway_interface_named(row->name);
    const char *error = shash_find_data(&port_errors, row->name);
    struct smap statistics = SMAP_INITIALIZER(&statistics);
    struct smap status = SMAP_INITIALIZER(&status);
    struct gateway_port_info info;
    const struct smap_node *node;
    size_t n = 0;

    if (error) {
        smap_add(&status, "error", error);
    }
    if (iface && gateway_port_get_info(iface->port, &info)) {
        smap_add(&status, "link_state", info.link_up ? "up" : "down");
        smap_add_format(&status, "mac", ETH_ADDR_FMT,
                        ETH_ADDR_ARGS(info.mac));
        smap_add_format(&status, "mtu", "%u", iface->mtu);
        smap_add_format(&status, "port", "%u", iface->port);
        gateway_port_get_statistics(iface->port, &statistics);
    }
    ovsrec_zoogateway_port_set_status(row, &status);

    const char **keys = xcalloc(smap_count(&statistics) + 1, sizeof *keys);
    int64_t *values = xcalloc(smap_count(&statistics) + 1, sizeof *values);
    SMAP_FOR_EACH (node, &statistics) {
        long long int value;

        if (str_to_llong(node->value, 10, &value)) {
            keys[n] = node->key;
            values[n++] = value;
        }
    }
    ovsrec_zoogateway_port_set_statistics(row, keys, values, n);
    free(keys);
    free(values);
    smap_destroy(&status);
    smap_destroy(&statistics);
}

static void
write_gateway(const struct ovsrec_zoogateway *row, const char *error)
{
    uint64_t counts[ZOO_GATEWAY_N_COUNTS];
    struct smap status = SMAP_INITIALIZER(&status);
    const char *keys[ZOO_GATEWAY_N_COUNTS];
    int64_t values[ZOO_GATEWAY_N_COUNTS];
    size_t n = 0;

    if (error || gateway_error || commit_error) {
        smap_add(&status, "error", (error ? error
                                    : gateway_error ? gateway_error
                                    : commit_error));
    }
    if (!error) {
        smap_add(&status, "dpdk", gateway_pipeline_version());
        gateway_get_counts(counts);
        for (size_t i = 0; i < ZOO_GATEWAY_N_COUNTS; i++) {
            if (gateway_count_info[i].name) {
                keys[n] = gateway_count_info[i].name;
                values[n++] = counts[i];
            }
        }
    }
    ovsrec_zoogateway_set_status(row, &status);
    ovsrec_zoogateway_set_statistics(row, keys, values, n);
    smap_destroy(&status);
}

/* Returns what is wrong with 'row', NULL if nothing is. */
static const char *
row_error(const struct uuid *row)
{
    char uuid[UUID_LEN + 1];

    snprintf(uuid, sizeof uuid, UUID_FMT, UUID_ARGS(row));
    return shash_find_data(&row_errors, uuid);
}

static void
write_errors(struct ovsdb_idl *idl)
{
    const struct ovsrec_zoogateway_tunnel *tunnel;
    const struct ovsrec_zoogateway_route *route;

    OVSREC_ZOOGATEWAY_TUNNEL_FOR_EACH (tunnel, idl) {
        const char *error = row_error(&tunnel->header_.uuid);
        const struct gateway_tunnel *t;
        struct in6_addr remote;

        ovs_mutex_lock(&gateway_mutex);
        t = (gateway_address_parse(tunnel->remote_ip, &remote)
             ? gateway_tunnel_find(&remote) : NULL);
        ovsrec_zoogateway_tunnel_set_error(tunnel, error || !t ? error
                                           : t->error);
        ovs_mutex_unlock(&gateway_mutex);
    }
    OVSREC_ZOOGATEWAY_ROUTE_FOR_EACH (route, idl) {
        ovsrec_zoogateway_route_set_error(route,
                                          row_error(&route->header_.uuid));
    }
}

void
gateway_status_run(struct ovsdb_idl *idl, const char *error)
{
    const struct ovsrec_zoogateway *row = ovsrec_zoogateway_first(idl);
    const struct ovsrec_zoogateway_port *port;
    long long int now = time_msec();

    if (!status_txn && now >= next_status) {
        next_status = now + STATUS_INTERVAL_MS;
        status_txn = ovsdb_idl_txn_create(idl);
        if (row) {
            write_gateway(row, error);
        }
        if (!error) {
            OVSREC_ZOOGATEWAY_PORT_FOR_EACH (port, idl) {
                write_port(port);
            }
            if (status_dirty) {
                write_errors(idl);
            }
        }
        status_dirty = false;
    }
    if (status_txn) {
        enum ovsdb_idl_txn_status status = ovsdb_idl_txn_commit(status_txn);

        if (status != TXN_INCOMPLETE) {
            ovsdb_idl_txn_destroy(status_txn);
            status_txn = NULL;
            if (status != TXN_SUCCESS && status != TXN_UNCHANGED) {
                status_dirty = true;
            }
        }
    }
    if (status_dirty) {
        next_status = MIN(next_status, now + STATUS_MIN_INTERVAL_MS);
    }
}

void
gateway_status_wait(void)
{
    if (status_txn) {
        ovsdb_idl_txn_wait(status_txn);
    } else {
        poll_timer_wait_until(next_status);
    }
}
