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

#include "p4/gateway-database.h"

#include <inttypes.h>

#include "bitmap.h"
#include "lib/vswitch-idl.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/shash.h"
#include "openvswitch/vlog.h"
#include "ovsdb-idl.h"
#include "p4/gateway-counts.h"
#include "p4/gateway-pipeline.h"
#include "p4/gateway-routes.h"
#include "p4/gateway-state.h"
#include "smap.h"
#include "sset.h"
#include "timeval.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(gateway_database);

static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(5, 50);

#define DEFAULT_ROUTER_MAC ETH_ADDR_C(02,5a,4f,4f,00,01)
#define STATUS_INTERVAL_MS 5000
#define STATUS_MIN_INTERVAL_MS 200

/* What is wrong with ports, by name, and with ZooGateway. */
static struct shash port_errors = SHASH_INITIALIZER(&port_errors);
static char *gateway_error;

/* Addresses in the pipeline, as strings. */
static struct sset addresses = SSET_INITIALIZER(&addresses);

static uint64_t neighbors_seq;

/* Progress of writing status. */
static struct ovsdb_idl_txn *status_txn;
static bool status_dirty = true;  /* Also errors of tunnels and routes. */
static long long int next_status = LLONG_MIN;

static void
add_columns(struct ovsdb_idl *idl, const struct ovsdb_idl_column *columns,
            size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ovsdb_idl_add_column(idl, &columns[i]);
    }
}

void
gateway_database_init(struct ovsdb_idl *idl)
{
    const struct ovsdb_idl_column *written[] = {
        &ovsrec_zoogateway_col_status,
        &ovsrec_zoogateway_col_statistics,
        &ovsrec_zoogateway_port_col_status,
        &ovsrec_zoogateway_port_col_statistics,
        &ovsrec_zoogateway_tunnel_col_error,
        &ovsrec_zoogateway_route_col_error,
    };
    const struct ovsdb_idl_column *unused[] = {
        &ovsrec_zoogateway_col_external_ids,
        &ovsrec_zoogateway_port_col_external_ids,
        &ovsrec_zoogateway_tunnel_col_external_ids,
        &ovsrec_zoogateway_route_col_external_ids,
    };

    add_columns(idl, ovsrec_zoogateway_columns, OVSREC_ZOOGATEWAY_N_COLUMNS);
    add_columns(idl, ovsrec_zoogateway_port_columns,
                OVSREC_ZOOGATEWAY_PORT_N_COLUMNS);
    add_columns(idl, ovsrec_zoogateway_tunnel_columns,
                OVSREC_ZOOGATEWAY_TUNNEL_N_COLUMNS);
    add_columns(idl, ovsrec_zoogateway_route_columns,
                OVSREC_ZOOGATEWAY_ROUTE_N_COLUMNS);
    for (size_t i = 0; i < ARRAY_SIZE(written); i++) {
        ovsdb_idl_omit_alert(idl, written[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(unused); i++) {
        ovsdb_idl_omit(idl, unused[i]);
    }
}

/* Ports. */

/* Keeps 'error', of which this takes ownership, as what is wrong with the port
 * 'name', and logs it. */
static void
set_port_error(const char *name, char *error)
{
    VLOG_ERR_RL(&rl, "port %s: %s", name, error);
    free(shash_replace(&port_errors, name, error));
}

static void
iface_destroy(struct gateway_interface *iface)
{
    free(iface->name);
    free(iface->device);
    free(iface->addresses);
    free(iface);
}

static void
close_port(struct gateway_interface *iface)
{
    VLOG_INFO("port %s: closing %s", iface->name, iface->device);
    ovs_mutex_lock(&gateway_mutex);
    hmap_remove(&gateway_interfaces, &iface->node);
    ovs_mutex_unlock(&gateway_mutex);
    gateway_port_close(iface->port);
    iface_destroy(iface);
}

/* Parses the addresses of 'row' into 'iface'. */
static void
parse_addresses(const struct ovsrec_zoogateway_port *row,
                struct gateway_interface *iface)
{
    struct gateway_prefix *prefixes = xcalloc(row->n_addresses + 1,
                                              sizeof *prefixes);
    struct in6_addr next_hops[2] = { in6addr_any, in6addr_any };
    struct gateway_prefix hop;
    size_t n = 0;
    char *error;

    for (size_t i = 0; i < row->n_addresses; i++) {
        error = gateway_prefix_parse(row->addresses[i], &prefixes[n]);
        if (!error && ipv6_addr_is_multicast(&prefixes[n].address)) {
            error = xstrdup("a multicast address cannot be a port's");
        }
        if (error) {
            set_port_error(row->name, xasprintf("addresses: %s: %s",
                                                row->addresses[i], error));
            free(error);
        } else {
            n++;
        }
    }
    for (size_t i = 0; i < row->n_next_hops; i++) {
        error = gateway_prefix_parse(row->next_hops[i], &hop);
        if (!error && hop.plen != 128) {
            error = xstrdup("an address without length is wanted");
        }
        if (error) {
            set_port_error(row->name, xasprintf("next_hops: %s: %s",
                                                row->next_hops[i], error));
            free(error);
        } else {
            next_hops[!gateway_is_ipv4(&hop.address)] = hop.address;
        }
    }

    ovs_mutex_lock(&gateway_mutex);
    bool changed = (n != iface->n_addresses
                    || memcmp(prefixes, iface->addresses,
                              n * sizeof *prefixes));
    free(iface->addresses);
    iface->addresses = prefixes;
    iface->n_addresses = n;
    memcpy(iface->next_hops, next_hops, sizeof next_hops);
    if (changed) {
        gateway_neighbors_announce(iface);
    }
    ovs_mutex_unlock(&gateway_mutex);
}

/* Returns a number for another port, 0 if there is none. */
static unsigned int
free_port_number(void)
{
    unsigned int port;

    ovs_mutex_lock(&gateway_mutex);
    for (port = 1; port < ZOO_GATEWAY_N_PORTS; port++) {
        if (!gateway_interface_on(port)) {
            break;
        }
    }
    ovs_mutex_unlock(&gateway_mutex);
    return port < ZOO_GATEWAY_N_PORTS ? port : 0;
}

/* Opens the port of 'row'.  Returns NULL, after noting the error, if that
 * fails. */
static struct gateway_interface *
open_port(const struct ovsrec_zoogateway_port *row)
{
    unsigned int mtu = row->n_mtu ? row->mtu[0] : 0;
    unsigned int port = free_port_number();
    struct gateway_interface *iface;
    struct gateway_port_info info;
    char *error;

    if (!port) {
        set_port_error(row->name,
                       xasprintf("there are %d ports already, remove one",
                                 ZOO_GATEWAY_N_PORTS - 1));
        return NULL;
    }
    error = gateway_port_open(port, row->device, mtu);
    if (error) {
        set_port_error(row->name, error);
        return NULL;
    }
    if (!gateway_port_get_info(port, &info)) {
        OVS_NOT_REACHED();
    }

    iface = xzalloc(sizeof *iface);
    iface->name = xstrdup(row->name);
    iface->device = xstrdup(row->device);
    iface->mtu_wanted = mtu;
    iface->port = port;
    iface->mtu = mtu ? mtu : info.mtu;
    iface->mac = info.mac;
    VLOG_INFO("port %s: %s is port %u, "ETH_ADDR_FMT", MTU %u", iface->name,
              iface->device, port, ETH_ADDR_ARGS(iface->mac), iface->mtu);
    ovs_mutex_lock(&gateway_mutex);
    hmap_insert(&gateway_interfaces, &iface->node, hash_string(row->name, 0));
    ovs_mutex_unlock(&gateway_mutex);
    return iface;
}

static struct gateway_interface *
find_port(const char *name)
{
    struct gateway_interface *iface;

    HMAP_FOR_EACH_WITH_HASH (iface, node, hash_string(name, 0),
                             &gateway_interfaces) {
        if (!strcmp(iface->name, name)) {
            return iface;
        }
    }
    return NULL;
}

static void
reconfigure_ports(struct ovsdb_idl *idl)
{
    const struct ovsrec_zoogateway_port *row;
    struct shash rows = SHASH_INITIALIZER(&rows);
    struct gateway_interface *iface, *next;

    shash_clear_free_data(&port_errors);
    OVSREC_ZOOGATEWAY_PORT_FOR_EACH (row, idl) {
        shash_add_once(&rows, row->name, row);
    }
    HMAP_FOR_EACH_SAFE (iface, next, node, &gateway_interfaces) {
        row = shash_find_data(&rows, iface->name);
        if (!row || strcmp(row->device, iface->device)
            || (row->n_mtu ? row->mtu[0] : 0) != iface->mtu_wanted) {
            close_port(iface);
        }
    }

    struct shash_node *node;
    SHASH_FOR_EACH (node, &rows) {
        row = node->data;
        iface = find_port(row->name);
        if (!iface) {
            iface = open_port(row);
        }
        if (iface) {
            parse_addresses(row, iface);
        }
    }
    shash_destroy(&rows);
}

/* Addresses and ZooGateway. */

/* Parses 's', which is not to have a prefix length. */
static bool
parse_address(const char *s, struct in6_addr *address)
{
    struct gateway_prefix prefix;
    char *error = gateway_prefix_parse(s, &prefix);

    if (error || prefix.plen != 128
        || ipv6_addr_is_multicast(&prefix.address)
        || !ipv6_addr_is_set(&prefix.address)) {
        free(error);
        return false;
    }
    *address = prefix.address;
    return true;
}

static void
set_gateway_error(char *error)
{
    if (error) {
        VLOG_ERR_RL(&rl, "ZooGateway: %s", error);
    }
    free(gateway_error);
    gateway_error = error;
}

/* Has the pipeline take packets to the addresses of all ports. */
static void
reconfigure_addresses(struct eth_addr mac)
{
    struct sset new = SSET_INITIALIZER(&new);
    struct gateway_interface *iface;
    struct in6_addr address;
    const char *s, *next;

    HMAP_FOR_EACH (iface, node, &gateway_interfaces) {
        for (size_t i = 0; i < iface->n_addresses; i++) {
            char string[INET6_ADDRSTRLEN];

            address = iface->addresses[i].address;
            inet_ntop(AF_INET6, &address, string, sizeof string);
            sset_add(&new, string);
            if (!sset_contains(&addresses, string)
                || !eth_addr_equals(mac, gateway_router_mac)) {
                gateway_address_add(&address, mac);
            }
        }
    }
    SSET_FOR_EACH_SAFE (s, next, &addresses) {
        if (!sset_contains(&new, s) && ipv6_parse(s, &address)) {
            gateway_address_delete(&address);
        }
    }
    sset_swap(&addresses, &new);
    sset_destroy(&new);
    ovs_mutex_lock(&gateway_mutex);
    gateway_router_mac = mac;
    ovs_mutex_unlock(&gateway_mutex);
}

/* Sets the addresses that ICMP errors come from. */
static void
parse_router_ips(const struct ovsrec_zoogateway *row)
{
    struct in6_addr ips[2] = { in6addr_any, in6addr_any };

    for (size_t i = 0; row && i < row->n_router_ips; i++) {
        struct in6_addr ip;

        if (!parse_address(row->router_ips[i], &ip)) {
            set_gateway_error(xasprintf("router_ips: \"%s\" is not a unicast "
                                        "address, set it to one or remove it",
                                        row->router_ips[i]));
        } else {
            ips[!gateway_is_ipv4(&ip)] = ip;
        }
    }
    ovs_mutex_lock(&gateway_mutex);
    memcpy(gateway_router_ips, ips, sizeof ips);
    ovs_mutex_unlock(&gateway_mutex);
}

static struct eth_addr
parse_router_mac(const struct ovsrec_zoogateway *row)
{
    struct eth_addr mac;

    if (!row->router_mac || !*row->router_mac) {
        return (struct eth_addr) DEFAULT_ROUTER_MAC;
    }
    if (!eth_addr_from_string(row->router_mac, &mac)
        || eth_addr_is_multicast(mac) || eth_addr_is_zero(mac)) {
        set_gateway_error(xasprintf("router_mac: \"%s\" is not a unicast "
                                    "Ethernet address, set it to one or "
                                    "clear it", row->router_mac));
        return gateway_router_mac;
    }
    return mac;
}

/* Tunnels. */

static int
parse_path_table(const struct ovsrec_zoogateway_tunnel *row)
{
    const char *s = row->path_table;
    bool gateway = row->peer_type && !strcmp(row->peer_type, "gateway");

    return (s && !strcmp(s, "plain") ? ZOO_GATEWAY_PLAIN
            : s && !strcmp(s, "bitmap") ? ZOO_GATEWAY_BITMAP
            : s && !strcmp(s, "index") ? ZOO_GATEWAY_INDEX
            : gateway ? ZOO_GATEWAY_BITMAP
            : ZOO_GATEWAY_INDEX);
}

/* Adds or changes the tunnel of 'row'.  Returns it, or NULL if its addresses are
 * wrong. */
static struct gateway_tunnel *
put_tunnel(const struct ovsrec_zoogateway_tunnel *row)
    OVS_REQUIRES(gateway_mutex)
{
    struct in6_addr remote, local = in6addr_any;
    int path_table = parse_path_table(row);
    struct gateway_tunnel *t;

    if (!parse_address(row->remote_ip, &remote)
        || (row->local_ip && *row->local_ip
            && (!parse_address(row->local_ip, &local)
                || gateway_is_ipv4(&local) != gateway_is_ipv4(&remote)))) {
        return NULL;
    }
    t = gateway_tunnel_find(&remote);
    if (t && t->path_table != path_table) {
        /* Its cell is in another array. */
        gateway_tunnel_remove(t);
        t = NULL;
    }
    if (!t) {
        t = gateway_tunnel_add(&remote);
        if (!t) {
            return NULL;
        }
        t->path_table = path_table;
    }
    t->wanted_local = local;
    t->is_gateway = row->peer_type && !strcmp(row->peer_type, "gateway");
    return t;
}

static void
reconfigure_tunnels(struct ovsdb_idl *idl)
{
    const struct ovsrec_zoogateway_tunnel *row;
    struct gateway_tunnel *t, *next;
    unsigned long *seen = bitmap_allocate(ZOO_GATEWAY_N_VTEPS);

    ovs_mutex_lock(&gateway_mutex);

    /* First what goes, for its room. */
    OVSREC_ZOOGATEWAY_TUNNEL_FOR_EACH (row, idl) {
        struct in6_addr remote;

        t = (parse_address(row->remote_ip, &remote)
             ? gateway_tunnel_find(&remote) : NULL);
        if (t) {
            bitmap_set1(seen, t->id);
        }
    }
    HMAP_FOR_EACH_SAFE (t, next, node, &gateway_tunnels) {
        if (!bitmap_is_set(seen, t->id)) {
            gateway_tunnel_remove(t);
        }
    }
    OVSREC_ZOOGATEWAY_TUNNEL_FOR_EACH (row, idl) {
        put_tunnel(row);
    }
    HMAP_FOR_EACH (t, node, &gateway_tunnels) {
        t->has_route = false;
        gateway_tunnel_resolve(t);
    }
    gateway_neighbors_sweep();
    HMAP_FOR_EACH (t, node, &gateway_tunnels) {
        gateway_tunnel_resolve(t);
    }
    ovs_mutex_unlock(&gateway_mutex);
    free(seen);
}

/* Routes. */

/* Parses 'row' into '*route'.  Returns NULL if successful, otherwise what is
 * wrong with it. */
static char *
parse_route(const struct ovsrec_zoogateway_route *row,
            struct gateway_route *route)
{
    char *error = gateway_prefix_parse(row->ip_prefix, &route->prefix);

    if (error) {
        char *s = xasprintf("ip_prefix: %s: %s", row->ip_prefix, error);

        free(error);
        return s;
    }
    struct in6_addr mask = ipv6_create_mask(route->prefix.plen);
    struct in6_addr net = ipv6_addr_bitand(&route->prefix.address, &mask);
    if (!ipv6_addr_equals(&net, &route->prefix.address)) {
        return xasprintf("ip_prefix: %s has bits beyond its length, clear "
                         "them", row->ip_prefix);
    }
    if (!parse_address(row->remote_ip, &route->remote)) {
        return xasprintf("remote_ip: \"%s\" is not the address of a tunnel, "
                         "set it to one", row->remote_ip);
    }
    route->mac = gateway_router_mac;
    if (row->mac && *row->mac
        && (!eth_addr_from_string(row->mac, &route->mac)
            || eth_addr_is_zero(route->mac))) {
        return xasprintf("mac: \"%s\" is not an Ethernet address, set it to "
                         "one or clear it", row->mac);
    }
    route->vni = row->vni;
    route->remote_vni = row->n_remote_vni ? row->remote_vni[0] : row->vni;
    return NULL;
}

/* Errors by the rows' UUIDs. */
static struct shash route_errors = SHASH_INITIALIZER(&route_errors);

static void
reconfigure_routes(struct ovsdb_idl *idl)
{
    const struct ovsrec_zoogateway_route *row;

    shash_clear_free_data(&route_errors);
    ovs_mutex_lock(&gateway_mutex);
    gateway_routes_begin();
    OVSREC_ZOOGATEWAY_ROUTE_FOR_EACH (row, idl) {
        struct gateway_route route;
        char *error = parse_route(row, &route);

        if (!error) {
            error = gateway_routes_put(&route);
        }
        if (error) {
            char uuid[UUID_LEN + 1];

            VLOG_ERR_RL(&rl, "route %s of VNI %"PRId64": %s", row->ip_prefix,
                        row->vni, error);
            snprintf(uuid, sizeof uuid, UUID_FMT,
                     UUID_ARGS(&row->header_.uuid));
            free(shash_replace(&route_errors, uuid, error));
        }
    }
    gateway_routes_end();
    ovs_mutex_unlock(&gateway_mutex);
}

static void
commit_tables(void)
{
    char *error = gateway_tables_commit();

    if (error) {
        set_gateway_error(error);
    }
}

void
gateway_database_reconfigure(struct ovsdb_idl *idl)
{
    const struct ovsrec_zoogateway *row = ovsrec_zoogateway_first(idl);

    set_gateway_error(NULL);
    reconfigure_ports(idl);
    parse_router_ips(row);
    reconfigure_addresses(row ? parse_router_mac(row)
                          : gateway_router_mac);
    reconfigure_tunnels(idl);
    reconfigure_routes(idl);
    commit_tables();
    gateway_tunnels_changed();
    if (row) {
        gateway_pipeline_set_polling(smap_get_bool(&row->other_config,
                                                   "busy-poll", false));
    }
    status_dirty = true;
}

void
gateway_database_follow_neighbors(void)
{
    uint64_t seq = gateway_neighbors_seq();
    struct gateway_tunnel *t;
    bool changed = false;

    if (seq != neighbors_seq) {
        neighbors_seq = seq;
        ovs_mutex_lock(&gateway_mutex);
        HMAP_FOR_EACH (t, node, &gateway_tunnels) {
            changed |= gateway_tunnel_resolve(t);
        }
        ovs_mutex_unlock(&gateway_mutex);
        if (changed) {
            commit_tables();
            gateway_tunnels_changed();
        }
        status_dirty = true;
    }
}

/* Status. */


static void
write_port(const struct ovsrec_zoogateway_port *row)
{
    const struct gateway_interface *iface = find_port(row->name);
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

    if (error || gateway_error) {
        smap_add(&status, "error", error ? error : gateway_error);
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

static void
write_errors(struct ovsdb_idl *idl)
{
    const struct ovsrec_zoogateway_tunnel *tunnel;
    const struct ovsrec_zoogateway_route *route;

    OVSREC_ZOOGATEWAY_TUNNEL_FOR_EACH (tunnel, idl) {
        const char *error = "its addresses are not two unicast addresses of "
                            "one family";
        const struct gateway_tunnel *t;
        struct in6_addr remote;

        ovs_mutex_lock(&gateway_mutex);
        t = (parse_address(tunnel->remote_ip, &remote)
             ? gateway_tunnel_find(&remote) : NULL);
        ovsrec_zoogateway_tunnel_set_error(tunnel, t ? t->error : error);
        ovs_mutex_unlock(&gateway_mutex);
    }
    OVSREC_ZOOGATEWAY_ROUTE_FOR_EACH (route, idl) {
        char uuid[UUID_LEN + 1];

        snprintf(uuid, sizeof uuid, UUID_FMT,
                 UUID_ARGS(&route->header_.uuid));
        ovsrec_zoogateway_route_set_error(
            route, shash_find_data(&route_errors, uuid));
    }
}

void
gateway_database_run(struct ovsdb_idl *idl, const char *error)
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
gateway_database_wait(void)
{
    if (status_txn) {
        ovsdb_idl_txn_wait(status_txn);
    } else {
        poll_timer_wait_until(next_status);
    }
}

/* For operators. */

static void
format_tunnel(const struct gateway_tunnel *t, struct ds *s)
{
    static const char *const tables[] = {
        [ZOO_GATEWAY_PLAIN] = "plain",
        [ZOO_GATEWAY_BITMAP] = "bitmap",
        [ZOO_GATEWAY_INDEX] = "index",
    };

    ds_put_cstr(s, "tunnel ");
    ipv6_format_mapped(&t->remote, s);
    ds_put_format(s, ": %s, %s %"PRIu32, t->is_gateway ? "gateway" : "host",
                  tables[t->path_table], t->id);
    if (t->path_table != ZOO_GATEWAY_PLAIN) {
        ds_put_format(s, " = 0x%0*"PRIx32,
                      t->path_table == ZOO_GATEWAY_BITMAP ? 8 : 5, t->cell);
    }
    if (t->installed) {
        const struct gateway_interface *iface
            = gateway_interface_on(t->vtep.port);

        ds_put_cstr(s, ", from ");
        ipv6_format_mapped(&t->vtep.local, s);
        ds_put_format(s, " on %s via ", iface ? iface->name : "none");
        ipv6_format_mapped(&t->next_hop, s);
    }
    if (t->error) {
        ds_put_format(s, ", error: %s", t->error);
    }
    ds_put_char(s, '\n');
}

void
gateway_database_format(struct ds *s)
{
    const struct gateway_interface *iface;
    const struct gateway_tunnel *t;

    ovs_mutex_lock(&gateway_mutex);
    HMAP_FOR_EACH (iface, node, &gateway_interfaces) {
        ds_put_format(s, "port %u %s: %s, "ETH_ADDR_FMT", MTU %u,",
                      iface->port, iface->name, iface->device,
                      ETH_ADDR_ARGS(iface->mac), iface->mtu);
        for (size_t i = 0; i < iface->n_addresses; i++) {
            const struct gateway_prefix *p = &iface->addresses[i];

            ds_put_char(s, ' ');
            ipv6_format_mapped(&p->address, s);
            ds_put_format(s, "/%u", p->plen
                          - (gateway_is_ipv4(&p->address) ? 96 : 0));
        }
        ds_put_char(s, '\n');
    }
    ds_put_format(s, "router: "ETH_ADDR_FMT,
                  ETH_ADDR_ARGS(gateway_router_mac));
    for (size_t i = 0; i < 2; i++) {
        if (ipv6_addr_is_set(&gateway_router_ips[i])) {
            ds_put_char(s, ' ');
            ipv6_format_mapped(&gateway_router_ips[i], s);
        }
    }
    ds_put_char(s, '\n');
    gateway_neighbors_format(s);
    HMAP_FOR_EACH (t, node, &gateway_tunnels) {
        format_tunnel(t, s);
    }
    ovs_mutex_unlock(&gateway_mutex);
    ds_put_format(s, "routes: %"PRIuSIZE"\n", gateway_routes_count());
}

void
gateway_database_exit(void)
{
    struct gateway_interface *iface, *next;

    HMAP_FOR_EACH_SAFE (iface, next, node, &gateway_interfaces) {
        close_port(iface);
    }
    shash_destroy_free_data(&port_errors);
    shash_destroy_free_data(&route_errors);
}
