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

#include <inttypes.h>

#include "lib/vswitch-idl.h"
#include "ofproto-zoo/zoo-auth.h"
#include "ofproto-zoo/zooroute.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/vlog.h"
#include "ovs-ext/vtrace-exporter.h"
#include "ovs-ext/vtrace-ovsdb.h"
#include "ovs-ext/zoo-ofproto.h"
#include "ovs-ext/zoo-vtrace.h"
#include "ovsdb-idl.h"
#include "random.h"
#include "simap.h"
#include "smap.h"
#include "sset.h"
#include "timeval.h"
#include "unixctl.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(zooroute_ovsdb);

static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(5, 20);

/* What ZooRoute_Peer's "daemon" says in our rows. */
static const char daemon_name[] = "ovs-vswitchd";

/* Status is written at most this often.  A peer's row that appears or goes
 * away makes ovs-vswitchd look at all of its configuration again, which is not
 * cheap on a large system. */
#define STATUS_MIN_INTERVAL_MS 100
#define STATUS_RETRY_INTERVAL_MS 1000
#define ROWS_MIN_INTERVAL_MS 1000

/* The integer columns of ZooRoute that go into struct zooroute_config as they
 * are. */
struct int_column {
    const struct ovsdb_idl_column *column;
    size_t offset;              /* In struct zooroute_config. */
    size_t size;
};

#define INT_COLUMN(COLUMN, MEMBER)                          \
    { &ovsrec_zooroute_col_##COLUMN,                        \
      offsetof(struct zooroute_config, MEMBER),             \
      MEMBER_SIZEOF(struct zooroute_config, MEMBER) }

static const struct int_column int_columns[] = {
    INT_COLUMN(candidates, candidates),
    INT_COLUMN(port_min, port_min),
    INT_COLUMN(port_max, port_max),
    INT_COLUMN(probe_interval, probe_interval_ms),
    INT_COLUMN(full_interval, full_interval_ms),
    INT_COLUMN(max_probe_rate, max_probe_rate),
    INT_COLUMN(fail_threshold, fail_threshold),
    INT_COLUMN(recover_successes, recover_successes),
    INT_COLUMN(recover_window, recover_window),
    INT_COLUMN(hold_down, hold_down_s),
    INT_COLUMN(peer_idle, peer_idle_s),
};

/* The configuration in effect. */
static struct zooroute_config config;

/* What is wrong with the configuration in the database, or NULL. */
static char *config_error;

/* The persisted seed, once there is one.  Kept while the feature is off, so
 * that turning it on again does not move flows. */
static uint32_t seed;
static bool have_seed;

/* Names of interfaces whose other_config:zooroute is set or that cannot have
 * it, with their enum zooroute_iface_mode. */
static struct simap iface_modes = SIMAP_INITIALIZER(&iface_modes);

/* Progress of writing status. */
static struct ovsdb_idl_txn *status_txn;
static bool status_dirty = true;  /* Must be written. */
static uint64_t status_seq;       /* zooroute_status_seq() last written. */
static long long int next_status = LLONG_MIN;
static long long int next_rows = LLONG_MIN;
static long long int next_stats = LLONG_MIN;
static bool rows_pending;         /* Rows to insert or delete at 'next_rows'. */

/* Configuration. */

static void
set_int(struct zooroute_config *c, const struct int_column *ic, int64_t value)
{
    char *member = (char *) c + ic->offset;

    if (ic->size == sizeof(uint16_t)) {
        *ALIGNED_CAST(uint16_t *, member) = value;
    } else {
        ovs_assert(ic->size == sizeof(unsigned int));
        *ALIGNED_CAST(unsigned int *, member) = value;
    }
}

static int64_t
get_int(const struct zooroute_config *c, const struct int_column *ic)
{
    const char *member = (const char *) c + ic->offset;

    return (ic->size == sizeof(uint16_t)
            ? *ALIGNED_CAST(const uint16_t *, member)
            : *ALIGNED_CAST(const unsigned int *, member));
}

/* Values are in their columns' ranges: the database refuses others, and the IDL
 * ignores them. */
static void
parse_ints(const struct ovsrec_zooroute *row, struct zooroute_config *c)
{
    for (size_t i = 0; i < ARRAY_SIZE(int_columns); i++) {
        const struct int_column *ic = &int_columns[i];
        const struct ovsdb_datum *datum = ovsdb_idl_read(&row->header_,
                                                         ic->column);
        if (datum->n) {
            set_int(c, ic, datum->keys[0].integer);
        }
    }
}

/* If 'row''s other_config has 'key', stores its value in '*value'. */
static char * OVS_WARN_UNUSED_RESULT
parse_other_int(const struct ovsrec_zooroute *row, const char *key,
                long long int min, long long int max, long long int *value)
{
    const char *s = smap_get(&row->other_config, key);
    long long int x;

    if (s) {
        if (!str_to_llong(s, 10, &x) || x < min || x > max) {
            return xasprintf("other_config:%s: \"%s\" is not an integer in "
                             "the range %lld..%lld, set it to one or remove "
                             "it", key, s, min, max);
        }
        *value = x;
    }
    return NULL;
}

static char * OVS_WARN_UNUSED_RESULT
parse_other_config(const struct ovsrec_zooroute *row,
                   struct zooroute_config *c)
{
    long long int new_seed = -1;
    long long int probe_vni = c->probe_vni;
    long long int max_peers = c->max_peers;
    char *error;

    error = parse_other_int(row, "seed", 0, UINT32_MAX, &new_seed);
    if (!error) {
        error = parse_other_int(row, "probe-vni", 0, (1 << 24) - 1,
                                &probe_vni);
    }
    if (!error) {
        error = parse_other_int(row, "max-peers", 1, ZOO_SLOT_MAX,
                                &max_peers);
    }
    if (error) {
        return error;
    }

    if (new_seed >= 0) {
        seed = new_seed;
        have_seed = true;
    } else {
        if (!have_seed) {
            seed = random_uint32();
            have_seed = true;
        }

        /* A partial update, since the IDL refuses to write the whole of a
         * column that is also read, and since others may be writing it. */
        char *s = xasprintf("%"PRIu32, seed);
        ovsrec_zooroute_update_other_config_setkey(row, "seed", s);
        free(s);
    }
    c->seed = seed;
    c->probe_vni = probe_vni;
    c->max_peers = max_peers;
    return NULL;
}

static char * OVS_WARN_UNUSED_RESULT
parse_identity(const struct ovsrec_zooroute *row, struct zooroute_config *c)
{
    if (row->backend_id && *row->backend_id) {
        if (!eth_addr_from_string(row->backend_id, &c->backend_id)
            || eth_addr_is_multicast(c->backend_id)
            || eth_addr_is_zero(c->backend_id)) {
            return xasprintf("backend_id: \"%s\" is not a unicast Ethernet "
                             "address, set it to one or clear it",
                             row->backend_id);
        }
    }

    if (row->auth_key_file && *row->auth_key_file) {
        char *error;

        struct zoo_auth *auth = zoo_auth_load(row->auth_key_file, &error);
        if (!auth) {
            char *s = xasprintf("auth_key_file: %s", error);
            free(error);
            return s;
        }
        zoo_auth_unref(auth);
        c->auth_key_file = row->auth_key_file;
    }
    return NULL;
}

/* Checks values that are good by themselves against each other. */
static char * OVS_WARN_UNUSED_RESULT
check_config(const struct zooroute_config *c)
{
    if (c->port_min > c->port_max) {
        return xasprintf("port_min: %"PRIu16" is above port_max %"PRIu16
                         ", lower it or raise port_max",
                         c->port_min, c->port_max);
    }
    if (c->port_max - c->port_min + 1 < c->candidates) {
        return xasprintf("candidates: %u do not fit in the %d ports from "
                         "port_min %"PRIu16" to port_max %"PRIu16
                         ", lower it or widen the range", c->candidates,
                         c->port_max - c->port_min + 1,
                         c->port_min, c->port_max);
    }
    if (c->recover_successes > c->recover_window) {
        return xasprintf("recover_successes: %u is above recover_window %u"
                         ", lower it or raise recover_window",
                         c->recover_successes, c->recover_window);
    }
    if (c->full_interval_ms < c->probe_interval_ms) {
        return xasprintf("full_interval: %u is below probe_interval %u"
                         ", raise it or lower probe_interval",
                         c->full_interval_ms, c->probe_interval_ms);
    }
    return NULL;
}

/* Returns NULL and fills in '*c', whose strings then belong to 'row', or
 * returns what is wrong with 'row', which the caller must free. */
static char * OVS_WARN_UNUSED_RESULT
parse_config(const struct ovsrec_zooroute *row, struct zooroute_config *c)
{
    char *error;

    *c = ZOOROUTE_CONFIG_DEFAULT;
    c->enabled = true;
    c->tunnels_all = !row->tunnels || !strcmp(row->tunnels, "all");

    parse_ints(row, c);
    error = check_config(c);
    if (!error) {
        error = parse_other_config(row, c);
    }
    if (!error) {
        error = parse_identity(row, c);
    }
    return error;
}

/* Takes over 'new', including a copy of its strings.  Returns NULL or what is
 * wrong with it after all. */
static char * OVS_WARN_UNUSED_RESULT
apply_config(const struct zooroute_config *new)
{
    char *auth_key_file = nullable_xstrdup(new->auth_key_file);

    free(config.auth_key_file);
    config = *new;
    config.auth_key_file = auth_key_file;

    char *error = zooroute_set_config(&config);
    if (error) {
        char *s = xasprintf("auth_key_file: %s", error);
        free(error);
        error = s;
    }
    return error;
}

/* Records what is wrong with the configuration, NULL if nothing is, and logs
 * it once.  Takes ownership of 'error'. */
static void
set_config_error(char *error)
{
    if (!nullable_string_is_equal(error, config_error)) {
        if (error) {
            VLOG_ERR("zooroute: %s", error);
        } else if (config.enabled) {
            VLOG_INFO("zooroute: configuration is good again");
        }
        status_dirty = true;
    }
    free(config_error);
    config_error = error;
}

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
        simap_put(modes, iface->name, simap_get(&iface_modes, iface->name));
    }
}

/* Passes on those of 'modes' that have changed, and takes their place. */
static void
set_modes(struct simap *modes)
{
    struct simap_node *node;

    SIMAP_FOR_EACH (node, &iface_modes) {
        if (!simap_contains(modes, node->name)) {
            zooroute_set_interface(node->name, ZOOROUTE_IFACE_DEFAULT);
        }
    }
    SIMAP_FOR_EACH (node, modes) {
        if (simap_get(&iface_modes, node->name) != node->data) {
            zooroute_set_interface(node->name, node->data);
        }
    }
    simap_swap(&iface_modes, modes);
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
    set_modes(&modes);
    simap_destroy(&modes);
    zoo_vtrace_configure(vtrace_exporter_is_configured(), &consenting,
                         &classes);
    sset_destroy(&consenting);
    simap_destroy(&classes);
}

void
zooroute_ovsdb_reconfigure(struct ovsdb_idl *idl,
                           const struct ovsrec_open_vswitch *cfg)
{
    const struct ovsrec_zooroute *row = ovsrec_zooroute_first(idl);
    struct zooroute_config new = ZOOROUTE_CONFIG_DEFAULT;
    char *error = NULL;

    vtrace_ovsdb_reconfigure(cfg);
    reconfigure_interfaces(cfg);

    if (row) {
        error = parse_config(row, &new);
    }
    if (!error) {
        error = apply_config(&new);
    }
    set_config_error(error);

    /* The row may be new and without status. */
    status_dirty = true;
}

/* Prints the configuration in effect, in the terms of the database. */
static void
zooroute_ovsdb_unixctl_config(struct unixctl_conn *conn, int argc OVS_UNUSED,
                              const char *argv[] OVS_UNUSED,
                              void *aux OVS_UNUSED)
{
    struct ds s = DS_EMPTY_INITIALIZER;

    ds_put_format(&s, "enabled: %s\n", config.enabled ? "true" : "false");
    for (size_t i = 0; i < ARRAY_SIZE(int_columns); i++) {
        ds_put_format(&s, "%s: %"PRId64"\n", int_columns[i].column->name,
                      get_int(&config, &int_columns[i]));
    }
    ds_put_cstr(&s, "backend_id: ");
    if (!eth_addr_is_zero(config.backend_id)) {
        ds_put_format(&s, ETH_ADDR_FMT, ETH_ADDR_ARGS(config.backend_id));
    }
    ds_put_format(&s, "\nauth_key_file: %s\n",
                  config.auth_key_file ? config.auth_key_file : "");
    ds_put_format(&s, "tunnels: %s\n", config.tunnels_all ? "all" : "marked");
    ds_put_format(&s, "max-peers: %u\n", config.max_peers);
    if (config.probe_vni >= 0) {
        ds_put_format(&s, "probe-vni: %"PRId64"\n", config.probe_vni);
    }
    if (config.enabled) {
        ds_put_format(&s, "seed: %"PRIu32"\n", config.seed);
    }

    const struct simap_node **nodes = simap_sort(&iface_modes);
    for (size_t i = 0; i < simap_count(&iface_modes); i++) {
        ds_put_format(&s, "interface %s: %s\n", nodes[i]->name,
                      nodes[i]->data == ZOOROUTE_IFACE_ON ? "true"
                      : nodes[i]->data == ZOOROUTE_IFACE_OFF ? "false"
                      : nodes[i]->data == ZOOROUTE_IFACE_UNSUPPORTED
                      ? "unsupported"
                      : "default");
    }
    free(nodes);

    if (config_error) {
        ds_put_format(&s, "error in the database: %s\n", config_error);
    }
    unixctl_command_reply(conn, ds_cstr(&s));
    ds_destroy(&s);
}

void
zooroute_ovsdb_init(struct ovsdb_idl *idl)
{
    ovsdb_idl_omit(idl, &ovsrec_zooroute_col_external_ids);
    ovsdb_idl_omit_alert(idl, &ovsrec_zooroute_col_status);
    ovsdb_idl_omit_alert(idl, &ovsrec_zooroute_col_statistics);
    for (size_t i = 0; i < OVSREC_ZOOROUTE_PEER_N_COLUMNS; i++) {
        ovsdb_idl_omit_alert(idl, &ovsrec_zooroute_peer_columns[i]);
    }
    config = ZOOROUTE_CONFIG_DEFAULT;
    zooroute_init();
    unixctl_command_register("zooroute/config", "", 0, 0,
                             zooroute_ovsdb_unixctl_config, NULL);
}

/* Status. */

/* An smap of integers as a column of type map from string to integer. */
struct int_map {
    const char **keys;
    int64_t *values;
    size_t n;
};

static void
int_map_init(struct int_map *map, const struct smap *smap)
{
    const struct smap_node *node;

    map->keys = xmalloc(smap_count(smap) * sizeof *map->keys);
    map->values = xmalloc(smap_count(smap) * sizeof *map->values);
    map->n = 0;
    SMAP_FOR_EACH (node, smap) {
        long long int value;

        ovs_assert(str_to_llong(node->value, 10, &value));
        map->keys[map->n] = node->key;
        map->values[map->n++] = value;
    }
}

static void
int_map_destroy(struct int_map *map)
{
    free(map->keys);
    free(map->values);
}

static void
write_peer(const struct ovsrec_zooroute_peer *row,
           const struct zooroute_peer_status *peer)
{
    struct int_map statistics;
    int64_t last_failover = peer->last_failover_wall_ms;

    ovsrec_zooroute_peer_set_state(row, peer->state);
    ovsrec_zooroute_peer_set_candidates(row, peer->candidates);
    ovsrec_zooroute_peer_set_healthy(row, peer->healthy);
    ovsrec_zooroute_peer_set_failovers(row, peer->failovers);
    ovsrec_zooroute_peer_set_last_failover(row, &last_failover,
                                           last_failover != 0);
    ovsrec_zooroute_peer_set_status(row, &peer->status);

    int_map_init(&statistics, &peer->statistics);
    ovsrec_zooroute_peer_set_statistics(row, statistics.keys,
                                        statistics.values, statistics.n);
    int_map_destroy(&statistics);
}

static void
insert_peer(struct ovsdb_idl_txn *txn,
            const struct zooroute_peer_status *peer)
{
    const struct ovsrec_zooroute_peer *row = ovsrec_zooroute_peer_insert(txn);

    ovsrec_zooroute_peer_set_daemon(row, daemon_name);
    ovsrec_zooroute_peer_set_local_ip(row, peer->local_ip);
    ovsrec_zooroute_peer_set_remote_ip(row, peer->remote_ip);
    ovsrec_zooroute_peer_set_dst_port(row, peer->dst_port);
    write_peer(row, peer);
}

static char *
peer_key(const char *local_ip, const char *remote_ip, int64_t dst_port)
{
    return xasprintf("%s %s %"PRId64, local_ip, remote_ip, dst_port);
}

/* Makes our rows of ZooRoute_Peer those of the 'n' 'peers'.  Rows are inserted
 * and deleted only if 'may_change_rows'.  Returns true if some should be but
 * were not. */
static bool
write_peers(struct ovsdb_idl *idl, struct ovsdb_idl_txn *txn,
            const struct zooroute_peer_status *peers, size_t n,
            bool may_change_rows)
{
    const struct ovsrec_zooroute_peer *row, *next;
    struct shash without_row = SHASH_INITIALIZER(&without_row);
    bool pending = false;

    /* Peers that differ only in their pkt_mark have equal keys. */
    for (size_t i = 0; i < n; i++) {
        shash_add_nocopy(&without_row,
                         peer_key(peers[i].local_ip, peers[i].remote_ip,
                                  peers[i].dst_port), &peers[i]);
    }

    OVSREC_ZOOROUTE_PEER_FOR_EACH_SAFE (row, next, idl) {
        if (strcmp(row->daemon, daemon_name)) {
            continue;
        }

        char *key = peer_key(row->local_ip, row->remote_ip, row->dst_port);
        const struct zooroute_peer_status *peer
            = shash_find_and_delete(&without_row, key);
        free(key);

        if (peer) {
            write_peer(row, peer);
        } else if (may_change_rows) {
            ovsrec_zooroute_peer_delete(row);
        } else {
            pending = true;
        }
    }

    struct shash_node *node;
    SHASH_FOR_EACH (node, &without_row) {
        if (may_change_rows) {
            insert_peer(txn, node->data);
        } else {
            pending = true;
        }
    }
    shash_destroy(&without_row);
    return pending;
}

static void
write_status(struct ovsdb_idl *idl, struct ovsdb_idl_txn *txn)
{
    const struct ovsrec_zooroute *row = ovsrec_zooroute_first(idl);
    struct smap status = SMAP_INITIALIZER(&status);
    struct smap statistics = SMAP_INITIALIZER(&statistics);
    struct zooroute_peer_status *peers;
    long long int now = time_msec();
    size_t n;

    zooroute_get_status(&peers, &n, &status, &statistics);

    if (row) {
        struct int_map int_statistics;

        if (config_error) {
            smap_replace(&status, "error", config_error);
        }
        ovsrec_zooroute_set_status(row, &status);

        int_map_init(&int_statistics, &statistics);
        ovsrec_zooroute_set_statistics(row, int_statistics.keys,
                                       int_statistics.values,
                                       int_statistics.n);
        int_map_destroy(&int_statistics);
    }

    bool may_change_rows = now >= next_rows;
    rows_pending = write_peers(idl, txn, peers, n, may_change_rows);
    if (may_change_rows) {
        next_rows = now + ROWS_MIN_INTERVAL_MS;
    }

    zooroute_free_status(peers, n);
    smap_destroy(&status);
    smap_destroy(&statistics);
}

static int
stats_interval(const struct ovsdb_idl *idl)
{
    const struct ovsrec_open_vswitch *cfg = ovsrec_open_vswitch_first(idl);

    return MAX(cfg ? smap_get_int(&cfg->other_config, "stats-update-interval",
                                  5000) : 5000, 5000);
}

/* Returns when status has to be written next, if nothing changes until then,
 * LLONG_MAX for never. */
static long long int
status_due(void)
{
    long long int due = LLONG_MAX;

    if (status_dirty || zooroute_status_seq() != status_seq) {
        return next_status;
    }
    if (rows_pending) {
        due = MAX(next_rows, next_status);
    }
    if (config.enabled) {
        due = MIN(due, next_stats);
    }
    return due;
}

void
zooroute_ovsdb_run(struct ovsdb_idl *idl)
{
    long long int now = time_msec();

    zooroute_run();
    vtrace_ovsdb_run(idl);

    if (!status_txn && now >= status_due()) {
        status_dirty = false;
        status_seq = zooroute_status_seq();
        next_status = now + STATUS_MIN_INTERVAL_MS;
        next_stats = now + stats_interval(idl);

        status_txn = ovsdb_idl_txn_create(idl);
        write_status(idl, status_txn);
    }

    if (status_txn) {
        enum ovsdb_idl_txn_status status = ovsdb_idl_txn_commit(status_txn);

        if (status != TXN_INCOMPLETE) {
            ovsdb_idl_txn_destroy(status_txn);
            status_txn = NULL;
            if (status != TXN_SUCCESS && status != TXN_UNCHANGED) {
                status_dirty = true;
                next_status = now + STATUS_RETRY_INTERVAL_MS;
            }
        }
    }
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
    if (status_txn) {
        ovsdb_idl_txn_wait(status_txn);
        return;
    }

    /* A change that may not be written yet must not wake up again and again
     * until it may. */
    if (zooroute_status_seq() == status_seq) {
        zooroute_status_wait(status_seq);
    }

    long long int due = status_due();
    if (due != LLONG_MAX) {
        poll_timer_wait_until(due);
    }
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

    if (!config.enabled || !strcmp(wanted, "false")
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
