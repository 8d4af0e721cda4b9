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
#include "ofproto-zoo/zooroute.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/shash.h"
#include "openvswitch/vlog.h"
#include "ovsdb-idl.h"
#include "p4/gateway-pipeline.h"
#include "p4/gateway-routes.h"
#include "p4/gateway-state.h"
#include "p4/gateway-status.h"
#include "smap.h"
#include "sset.h"
#include "timeval.h"
#include "timeval.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(gateway_database);

static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(5, 50);

/* Between two looks at what neighbors say, ms. */
#define FOLLOW_INTERVAL 100

/* Between attempts to commit, ms. */
#define COMMIT_INTERVAL 1000


/* Addresses in the pipeline, as strings. */
static struct sset addresses = SSET_INITIALIZER(&addresses);

/* What neighbors have said last, as far as tunnels have heard of it, and when
 * they hear of more. */
static uint64_t neighbors_seq;
static long long int next_follow = LLONG_MIN;

/* When to try again to commit, ms. */
static long long int next_commit = LLONG_MAX;

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
    gateway_status_init(idl);
    for (size_t i = 0; i < ARRAY_SIZE(unused); i++) {
        ovsdb_idl_omit(idl, unused[i]);
    }
}

/* Ports. */

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
            gateway_status_port_error(row->name, xasprintf("addresses: %s: %s",
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
            gateway_status_port_error(row->name, xasprintf("next_hops: %s: %s",
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

/* Returns a number for another port, 0 if there is none.  A port that has just
 * been closed is the last to lend its number: tunnels still have it. */
static unsigned int
free_port_number(void)
{
    static unsigned int last;
    unsigned int port = 0;

    ovs_mutex_lock(&gateway_mutex);
    for (int i = 1; i < ZOO_GATEWAY_N_PORTS && !port; i++) {
        last = last % (ZOO_GATEWAY_N_PORTS - 1) + 1;
        port = gateway_interface_on(last) ? 0 : last;
    }
    ovs_mutex_unlock(&gateway_mutex);
    return port;
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
        gateway_status_port_error(row->name,
                       xasprintf("there are %d ports already, remove one",
                                 ZOO_GATEWAY_N_PORTS - 1));
        return NULL;
    }
    error = gateway_port_open(port, row->device, mtu);
    if (error) {
        gateway_status_port_error(row->name, error);
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

static void
reconfigure_ports(struct ovsdb_idl *idl)
{
    const struct ovsrec_zoogateway_port *row;
    struct shash rows = SHASH_INITIALIZER(&rows);
    struct gateway_interface *iface, *next;

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
        iface = gateway_interface_named(row->name);
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
        }
    }
    SSET_FOR_EACH_SAFE (s, next, &addresses) {
        if (!sset_contains(&new, s) && ipv6_parse(s, &address)) {
            gateway_address_delete(&address);
        }
    }
    SSET_FOR_EACH_SAFE (s, next, &new) {
        if ((!sset_contains(&addresses, s)
             || !eth_addr_equals(mac, gateway_router_mac))
            && ipv6_parse(s, &address) && !gateway_address_add(&address, mac)) {
            gateway_status_error(xasprintf("addresses: %s is more than the %d "
                                           "that a gateway may have, remove "
                                           "some", s, ZOO_GATEWAY_N_LOCAL));
            sset_delete(&new, SSET_NODE_FROM_NAME(s));
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

        if (!gateway_address_parse(row->router_ips[i], &ip)) {
            gateway_status_error(xasprintf("router_ips: \"%s\" is not a unicast "
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
        return (struct eth_addr) GATEWAY_ROUTER_MAC;
    }
    if (!eth_addr_from_string(row->router_mac, &mac)
        || eth_addr_is_multicast(mac) || eth_addr_is_zero(mac)) {
        gateway_status_error(xasprintf("router_mac: \"%s\" is not a unicast "
                                    "Ethernet address, set it to one or "
                                    "clear it", row->router_mac));
        return gateway_router_mac;
    }
    return mac;
}

/* Tunnels. */

static int
parse_path_table(const struct ovsrec_zoogateway_tunnel *row, bool gateway,
                 bool several)
{
    const char *s = row->path_table;

    return (s && !strcmp(s, "plain") ? ZOO_GATEWAY_PLAIN
            : s && !strcmp(s, "bitmap") ? ZOO_GATEWAY_BITMAP
            : s && !strcmp(s, "index") ? ZOO_GATEWAY_INDEX
            : gateway_best_path_table(gateway, several));
}

static enum zooroute_role
parse_role(const struct ovsrec_zoogateway_tunnel *row)
{
    return (!row->peer_type ? ZOOROUTE_ROLE_AS_SAID
            : !strcmp(row->peer_type, "gateway") ? ZOOROUTE_GATEWAY
            : ZOOROUTE_HOST);
}

/* Adds or changes the tunnel of 'row', unless it is among 'done' already, where
 * it is added.  Returns NULL if successful, otherwise what is wrong with the
 * row. */
static char *
put_tunnel(const struct ovsrec_zoogateway_tunnel *row, unsigned long *done)
    OVS_REQUIRES(gateway_mutex)
{
    struct in6_addr remote, local = in6addr_any;
    enum zooroute_role role = parse_role(row);
    struct gateway_tunnel *t;
    int path_table;
    bool gateway;

    if (!gateway_address_parse(row->remote_ip, &remote)
        || (row->local_ip && *row->local_ip
            && (!gateway_address_parse(row->local_ip, &local)
                || gateway_is_ipv4(&local) != gateway_is_ipv4(&remote)))) {
        return xstrdup("remote_ip and local_ip are not unicast addresses of "
                       "one family, correct them");
    }
    t = gateway_tunnel_find(&remote);
    if (t && bitmap_is_set(done, t->id)) {
        return xstrdup("remote_ip is that of another row, too, remove one of "
                       "them");
    }
    gateway = (role == ZOOROUTE_GATEWAY
               || (role == ZOOROUTE_ROLE_AS_SAID && t && t->says_gateway));
    path_table = parse_path_table(row, gateway, t && t->n_backends > 1);
    if (t && t->path_table != path_table) {
        /* Its cell is in another array. */
        gateway_tunnel_remove(t);
        t = NULL;
    }
    if (!t) {
        t = gateway_tunnel_add(&remote);
        if (!t) {
            return xasprintf("there are %d tunnels already, remove some",
                             ZOO_GATEWAY_N_VTEPS);
        }
        t->path_table = path_table;
    }
    t->wanted_local = local;
    t->role = role;
    t->is_gateway = gateway;
    t->any_path_table = !row->path_table;
    bitmap_set1(done, t->id);
    return NULL;
}

/* Removes tunnels that 'idl' has no row for. */
static void
remove_tunnels(struct ovsdb_idl *idl)
{
    const struct ovsrec_zoogateway_tunnel *row;
    unsigned long *seen = bitmap_allocate(ZOO_GATEWAY_N_VTEPS);
    struct gateway_tunnel *t, *next;

    OVSREC_ZOOGATEWAY_TUNNEL_FOR_EACH (row, idl) {
        struct in6_addr remote;

        t = (gateway_address_parse(row->remote_ip, &remote)
             ? gateway_tunnel_find(&remote) : NULL);
        if (t) {
            bitmap_set1(seen, t->id);
        }
    }
    HMAP_FOR_EACH_SAFE (t, next, node, &gateway_tunnels) {
        if (!bitmap_is_set(seen, t->id)) {
            ovs_mutex_lock(&gateway_mutex);
            gateway_tunnel_remove(t);
            ovs_mutex_unlock(&gateway_mutex);
        }
    }
    free(seen);
}

/* Only this thread changes what 'gateway_mutex' guards, so that it needs the
 * mutex for the changes alone, one by one: others wait for it who must not wait
 * for long. */
static void
reconfigure_tunnels(struct ovsdb_idl *idl)
{
    const struct ovsrec_zoogateway_tunnel *row;
    unsigned long *done = bitmap_allocate(ZOO_GATEWAY_N_VTEPS);
    struct gateway_tunnel *t;

    remove_tunnels(idl);        /* First what goes, for its room. */
    OVSREC_ZOOGATEWAY_TUNNEL_FOR_EACH (row, idl) {
        ovs_mutex_lock(&gateway_mutex);
        char *error = put_tunnel(row, done);
        ovs_mutex_unlock(&gateway_mutex);
        if (error) {
            VLOG_ERR_RL(&rl, "tunnel %s: %s", row->remote_ip, error);
            gateway_status_row_error(&row->header_.uuid, error);
        }
    }
    ovs_mutex_lock(&gateway_mutex);
    gateway_neighbors_mark();
    ovs_mutex_unlock(&gateway_mutex);
    HMAP_FOR_EACH (t, node, &gateway_tunnels) {
        ovs_mutex_lock(&gateway_mutex);
        t->has_route = false;
        gateway_tunnel_resolve(t);
        ovs_mutex_unlock(&gateway_mutex);
    }
    ovs_mutex_lock(&gateway_mutex);
    gateway_neighbors_sweep();
    ovs_mutex_unlock(&gateway_mutex);
    free(done);
}

/* Routes. */

/* Parses 'row' into '*route'.  Returns NULL if successful, otherwise what is
 * wrong with it. */
static char *
parse_route(const struct ovsrec_zoogateway_route *row,
            struct gateway_route *route)
{
    static const struct in6_addr any_ipv4 = {
        .s6_addr = { [10] = 0xff, [11] = 0xff },
    };
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
    if (route->prefix.plen < 96
        && gateway_prefix_has(&route->prefix, &any_ipv4)) {
        return xasprintf("ip_prefix: %s has IPv4's addresses in it, too (RFC "
                         "4291, section 2.5.5.2), use 2000::/3",
                         row->ip_prefix);
    }
    if (!gateway_address_parse(row->remote_ip, &route->remote)) {
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

static void
reconfigure_routes(struct ovsdb_idl *idl)
{
    const struct ovsrec_zoogateway_route *row;
    struct gateway_route route;
    char *error;

    gateway_routes_begin();
    OVSREC_ZOOGATEWAY_ROUTE_FOR_EACH (row, idl) {
        error = parse_route(row, &route);
        if (!error) {
            gateway_routes_keep(&route);
        }
        free(error);
    }
    gateway_routes_sweep();     /* First what goes, for its room. */
    OVSREC_ZOOGATEWAY_ROUTE_FOR_EACH (row, idl) {
        error = parse_route(row, &route);
        if (!error) {
            error = gateway_routes_put(&route);
        }
        if (error) {
            VLOG_ERR_RL(&rl, "route %s of VNI %"PRId64": %s", row->ip_prefix,
                        row->vni, error);
            gateway_status_row_error(&row->header_.uuid, error);
        }
    }
    gateway_routes_end();
}

void
gateway_database_commit(void)
{
    char *error = gateway_tables_commit();

    /* What is lacking is memory, which may come back. */
    next_commit = error ? time_msec() + COMMIT_INTERVAL : LLONG_MAX;
    gateway_status_commit_error(error);
}

void
gateway_database_reconfigure(struct ovsdb_idl *idl)
{
    const struct ovsrec_zoogateway *row = ovsrec_zoogateway_first(idl);

    gateway_status_clear_errors();
    reconfigure_ports(idl);
    parse_router_ips(row);
    reconfigure_addresses(row ? parse_router_mac(row)
                          : gateway_router_mac);
    reconfigure_tunnels(idl);
    reconfigure_routes(idl);
    gateway_database_commit();
    gateway_tunnels_changed();
    if (row) {
        gateway_pipeline_set_polling(smap_get_bool(&row->other_config,
                                                   "busy-poll", false));
    }
    gateway_status_changed();
}

/* Finds the way to tunnels again whose next hops have other addresses now. */
static void
follow_neighbors(void)
{
    uint64_t seq = gateway_neighbors_seq();
    long long int now = time_msec();
    struct gateway_tunnel *t;
    bool changed = false;

    if (seq == neighbors_seq || now < next_follow) {
        return;
    }
    neighbors_seq = seq;
    next_follow = now + FOLLOW_INTERVAL;
    HMAP_FOR_EACH (t, node, &gateway_tunnels) {
        ovs_mutex_lock(&gateway_mutex);
        changed |= gateway_tunnel_resolve(t);
        ovs_mutex_unlock(&gateway_mutex);
    }
    if (changed) {
        gateway_database_commit();
        gateway_tunnels_changed();
    }
    gateway_status_changed();
}

void
gateway_database_run(void)
{
    if (time_msec() >= next_commit) {
        gateway_database_commit();
    }
    follow_neighbors();
}

void
gateway_database_wait(void)
{
    poll_timer_wait_until(next_commit);
    if (gateway_neighbors_seq() != neighbors_seq) {
        poll_timer_wait_until(next_follow);
    } else {
        gateway_neighbors_wait_seq(neighbors_seq);
    }
}

void
gateway_database_exit(void)
{
    struct gateway_interface *iface, *next;

    HMAP_FOR_EACH_SAFE (iface, next, node, &gateway_interfaces) {
        close_port(iface);
    }
    gateway_status_clear_errors();
}
