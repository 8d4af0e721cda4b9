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

#include "ovs-ext/zooroute-ovsdb.h"

#include "lib/vswitch-idl.h"
#include "ofproto-zoo/zooroute.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/vlog.h"
#include "ovs-ext/vtrace-exporter.h"
#include "ovs-ext/vtrace-ovsdb.h"
#include "ovs-ext/zoo-ofproto.h"
#include "ovs-ext/zoo-vtrace.h"
#include "ovs-ext/zooroute-db-config.h"
#include "ovs-ext/zooroute-db-status.h"
#include "ovsdb-idl.h"
#include "simap.h"
#include "smap.h"
#include "sset.h"
#include "unixctl.h"

VLOG_DEFINE_THIS_MODULE(zooroute_ovsdb);

static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(5, 20);

/* Names of interfaces whose other_config:zooroute is set or that cannot have
 * it, with their enum zooroute_iface_mode. */
static struct simap iface_modes = SIMAP_INITIALIZER(&iface_modes);

/* Returns true if IPsec encrypts what 'iface' sends: the underlay sees no outer
 * source port then. */
static bool
iface_is_ipsec(const struct ovsrec_interface *iface)
{
    static const char *const options[] = {
        "psk", "remote_cert", "remote_name",
    };

    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        if (smap_get(&iface->options, options[i])) {
            return true;
        }
    }
    return false;
}

/* Adds to 'modes' what other_config:zooroute of 'iface' says, if it is set or
 * cannot be had. */
static void
read_mode(const struct ovsrec_interface *iface, struct simap *modes)
{
    const char *s = smap_get(&iface->other_config, "zooroute");

    if (iface_is_ipsec(iface)) {
        simap_put(modes, iface->name, ZOOROUTE_IFACE_UNSUPPORTED);
    } else if (!s) {
        return;
    } else if (!strcmp(s, "true")) {
        simap_put(modes, iface->name, ZOOROUTE_IFACE_ON);
    } else if (!strcmp(s, "false")) {
        simap_put(modes, iface->name, ZOOROUTE_IFACE_OFF);
    } else {
        VLOG_ERR_RL(&rl, "interface %s: other_config:zooroute: \"%s\" is "
                    "neither true nor false, set it to one of them or remove "
                    "it", iface->name, s);
        if (simap_contains(&iface_modes, iface->name)) {
            simap_put(modes, iface->name,
                      simap_get(&iface_modes, iface->name));
        }
    }
}

/* Adds to 'classes' what 'iface' says of the other side of its port. */
static void
read_port_class(const struct ovsrec_interface *iface, struct simap *classes)
{
    const char *class = smap_get(&iface->other_config, "vtrace-port");

    if (class && !strcmp(class, "external")) {
        simap_put(classes, iface->name, VTRACE_PORT_EXTERNAL);
    } else if (class && !strcmp(class, "access")) {
        simap_put(classes, iface->name, VTRACE_PORT_ACCESS);
    } else if (class) {
        VLOG_ERR_RL(&rl, "interface %s: other_config:vtrace-port: \"%s\" is "
                    "neither access nor external, set it to one of them or "
                    "remove it", iface->name, class);
    } else if (smap_get(&iface->external_ids, "iface-id")
               || smap_get(&iface->external_ids, "attached-mac")) {
        simap_put(classes, iface->name, VTRACE_PORT_ACCESS);
    }
}

/* Passes on what the interfaces of 'cfg' say of ZooRoute and of VTrace, and
 * whether VTrace is on. */
static void
reconfigure_interfaces(const struct ovsrec_open_vswitch *cfg)
{
    struct sset consenting = SSET_INITIALIZER(&consenting);
    struct simap classes = SIMAP_INITIALIZER(&classes);
    struct simap modes = SIMAP_INITIALIZER(&modes);

    for (size_t i = 0; i < cfg->n_bridges; i++) {
        const struct ovsrec_bridge *br = cfg->bridges[i];

        for (size_t j = 0; j < br->n_ports; j++) {
            const struct ovsrec_port *port = br->ports[j];

            for (size_t k = 0; k < port->n_interfaces; k++) {
                const struct ovsrec_interface *iface = port->interfaces[k];

                read_mode(iface, &modes);
                if (smap_get_bool(&iface->other_config, "vtrace", false)) {
                    sset_add(&consenting, iface->name);
                }
                read_port_class(iface, &classes);
            }
        }
    }
    simap_swap(&iface_modes, &modes);
    simap_destroy(&modes);
    zooroute_set_interfaces(&iface_modes);
    zoo_vtrace_configure(vtrace_exporter_is_configured(), &consenting,
                         &classes);
    sset_destroy(&consenting);
    simap_destroy(&classes);
}

void
zooroute_ovsdb_reconfigure(struct ovsdb_idl *idl,
                           const struct ovsrec_open_vswitch *cfg)
{
    vtrace_ovsdb_reconfigure(cfg);
    reconfigure_interfaces(cfg);

    zooroute_db_config_reconfigure(idl);

    /* The row may be new and without status. */
    zooroute_db_status_changed();
}

/* Prints the configuration in effect, in the terms of the database. */
static void
zooroute_ovsdb_unixctl_config(struct unixctl_conn *conn, int argc OVS_UNUSED,
                              const char *argv[] OVS_UNUSED,
                              void *aux OVS_UNUSED)
{
    struct ds s = DS_EMPTY_INITIALIZER;

    zooroute_db_config_format(&s);
    const struct simap_node **nodes = simap_sort(&iface_modes);
    for (size_t i = 0; i < simap_count(&iface_modes); i++) {
        ds_put_format(&s, "interface %s: %s\n", nodes[i]->name,
                      nodes[i]->data == ZOOROUTE_IFACE_ON ? "true"
                      : nodes[i]->data == ZOOROUTE_IFACE_OFF ? "false"
                      : "unsupported");
    }
    free(nodes);

    if (zooroute_db_config_error()) {
        ds_put_format(&s, "error in the database: %s\n",
                      zooroute_db_config_error());
    }
    unixctl_command_reply(conn, ds_cstr(&s));
    ds_destroy(&s);
}

/* ovs-vswitchd has no use for the gateway's tables, which may be large. */
static void
omit_gateway(struct ovsdb_idl *idl)
{
    static const struct {
        const struct ovsdb_idl_column *columns;
        size_t n;
    } tables[] = {
        { ovsrec_zoogateway_columns, OVSREC_ZOOGATEWAY_N_COLUMNS },
        { ovsrec_zoogateway_port_columns, OVSREC_ZOOGATEWAY_PORT_N_COLUMNS },
        { ovsrec_zoogateway_tunnel_columns,
          OVSREC_ZOOGATEWAY_TUNNEL_N_COLUMNS },
        { ovsrec_zoogateway_route_columns,
          OVSREC_ZOOGATEWAY_ROUTE_N_COLUMNS },
    };

    for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
        for (size_t j = 0; j < tables[i].n; j++) {
            ovsdb_idl_omit(idl, &tables[i].columns[j]);
        }
    }
}

void
zooroute_ovsdb_init(struct ovsdb_idl *idl)
{
    omit_gateway(idl);
    zooroute_db_config_init(idl);
    zooroute_db_status_init(idl, "ovs-vswitchd");
    zooroute_init();
    unixctl_command_register("zooroute/config", "", 0, 0,
                             zooroute_ovsdb_unixctl_config, NULL);
}

void
zooroute_ovsdb_run(struct ovsdb_idl *idl)
{
    zooroute_run();
    vtrace_ovsdb_run(idl);
    zooroute_db_status_run(idl);
}

void
zooroute_ovsdb_wait(struct ovsdb_idl *idl)
{
    if (!ovsdb_idl_has_lock(idl) || !ovsdb_idl_has_ever_connected(idl)) {
        /* zooroute_ovsdb_run() is not called. */
        return;
    }

    zooroute_wait();
    vtrace_ovsdb_wait();
    zooroute_db_status_wait();
}

void
zooroute_ovsdb_exit(void)
{
    vtrace_ovsdb_exit();
    zooroute_exit();
}

void
zooroute_ovsdb_iface_status(const struct ovsrec_interface *iface,
                            const struct ofproto *ofproto,
                            struct smap *status)
{
    const char *wanted = smap_get_def(&iface->other_config, "zooroute", "");
    const char *reason;

    if (!zooroute_db_config_is_enabled() || !strcmp(wanted, "false")
        || (strcmp(iface->type, "vxlan") && strcmp(iface->type, "geneve"))) {
        return;
    }

    reason = zoo_ofproto_unsupported(ofproto, NULL);
    if (!reason && iface_is_ipsec(iface)) {
        reason = "IPsec";
    }
    if (reason) {
        smap_add_format(status, "zooroute", "unsupported (%s)", reason);
    }
}
