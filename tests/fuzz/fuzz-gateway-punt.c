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

/* What the P4 gateway gives to its CPU port: ARP, neighbor discovery, echo
 * requests, probes, and packets that are fragmented or answered by ICMP errors,
 * in the functions of zoo-gatewayd, with two tunnels and routes.  What it would send is
 * read to its last byte. */

#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "ovs-ext/zoo-datapath.h"
#include "p4/gateway-fragment.h"
#include "p4/gateway-host.h"
#include "p4/gateway-icmp.h"
#include "p4/gateway-pipeline.h"
#include "p4/gateway-routes.h"
#include "p4/gateway-state.h"
#include "util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The pipeline. */

static unsigned int sum;

bool
gateway_send(unsigned int port, const void *data, size_t len)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < len; i++) {
        sum += p[i];
    }
    return port == 1;
}

bool
gateway_reply(unsigned int port, const void *data, size_t len)
{
    return gateway_send(port, data, len);
}

bool
gateway_port_get_info(unsigned int port, struct gateway_port_info *info)
{
    memset(info, 0, sizeof *info);
    info->link_up = true;
    return port == 1;
}

void
gateway_path_update(const struct gateway_update *update OVS_UNUSED)
{
}

bool
gateway_path_take_used(uint32_t destination OVS_UNUSED)
{
    return false;
}

void
gateway_path_mark_used(uint32_t destination OVS_UNUSED)
{
}

void
gateway_use_turn(void)
{
}

uint32_t
gateway_use_get(const struct in6_addr *remote OVS_UNUSED)
{
    return 0;
}

bool
gateway_vtep_add(uint32_t id OVS_UNUSED,
                 const struct gateway_vtep *vtep OVS_UNUSED)
{
    return true;
}

void
gateway_vtep_delete(uint32_t id OVS_UNUSED)
{
}

bool
gateway_route_add(uint32_t vni OVS_UNUSED,
                  const struct in6_addr *address OVS_UNUSED,
                  unsigned int plen OVS_UNUSED,
                  const struct gateway_next *next OVS_UNUSED)
{
    return true;
}

void
gateway_route_delete(uint32_t vni OVS_UNUSED,
                     const struct in6_addr *address OVS_UNUSED,
                     unsigned int plen OVS_UNUSED)
{
}

void
gateway_set_candidate_ports(const uint16_t ports[] OVS_UNUSED)
{
}

/* One port with two addresses, and a neighbor, tunnel and route each. */

static struct gateway_prefix
prefix(const char *s)
{
    struct gateway_prefix p;
    char *error = gateway_prefix_parse(s, &p);

    if (error) {
        ovs_fatal(0, "%s: %s", s, error);
    }
    return p;
}

static void
add_tunnel(const char *remote, const char *inner)
{
    struct gateway_route route = {
        .vni = 100,
        .remote_vni = 100,
        .prefix = prefix(inner),
        .remote = prefix(remote).address,
    };
    struct gateway_tunnel *t;
    char *error;

    ovs_mutex_lock(&gateway_mutex);
    t = gateway_tunnel_add(&route.remote);
    gateway_tunnel_resolve(t);
    t->installed = true;
    t->vtep.local = gateway_is_ipv4(&t->remote)
                    ? prefix("10.0.0.1").address : prefix("fd00::1").address;
    t->vtep.remote = t->remote;
    t->vtep.mtu = 1500;
    t->vtep.port = 1;
    ovs_mutex_unlock(&gateway_mutex);
    error = gateway_routes_put(&route);
    if (error) {
        ovs_fatal(0, "%s", error);
    }
}

static void
set_up(void)
{
    struct gateway_interface *iface = xzalloc(sizeof *iface);

    iface->name = xstrdup("up0");
    iface->port = 1;
    iface->mtu = 1500;
    iface->mac = (struct eth_addr) ETH_ADDR_C(02,00,00,00,00,01);
    iface->n_addresses = 2;
    iface->addresses = xcalloc(2, sizeof *iface->addresses);
    iface->addresses[0] = prefix("10.0.0.1/24");
    iface->addresses[1] = prefix("fd00::1/64");
    ovs_mutex_lock(&gateway_mutex);
    hmap_insert(&gateway_interfaces, &iface->node, 0);
    gateway_router_ips[0] = prefix("10.1.0.254").address;
    gateway_router_ips[1] = prefix("fd01::fe").address;
    ovs_mutex_unlock(&gateway_mutex);
    add_tunnel("10.0.0.2", "10.1.0.0/16");
    add_tunnel("fd00::2", "fd01::/64");
    zoo_pop_enable(true);
}

static void
fragment(const struct gateway_punt *punt)
{
    if (!gateway_fragment(punt)) {
        gateway_icmp_too_big(punt);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const functions[])(const struct gateway_punt *) = {
        gateway_neighbors_receive,
        gateway_host_receive,
        gateway_icmp_ttl_expired,
        gateway_icmp_too_big,
        fragment,
    };
    static bool ready;
    struct zoo_rx rx;

    if (!ready) {
        set_up();
        ready = true;
    }
    if (!size) {
        return 0;
    }

    /* Of exactly that size, so that reading beyond its end shows. */
    struct gateway_punt punt = {
        .port = 1,
        .vni = 100,
        .len = size - 1,
        .data = xmemdup(data + 1, size - 1),
    };
    functions[data[0] % ARRAY_SIZE(functions)](&punt);
    free(punt.data);
    while (zoo_rx_recv(&rx)) {
        sum += rx.len;
    }
    return 0;
}
