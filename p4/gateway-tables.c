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

/* What the pipeline's tables hold, in the terms of the gateway. */

#include <config.h>
#include "p4/gateway-pipeline.h"

#include <stdlib.h>

#include <rte_swx_ctl.h>

#include "ofproto-zoo/zoo-gateway-path.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/vlog.h"
#include "p4/gateway-names.h"
#include "p4/gateway-private.h"
#include "p4/swx-tables.h"
#include "packets.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(gateway_tables);

static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(1, 5);

enum table_id {
    PORTS, ADDRESSES, VMS, ROUTES, VTEPS, FIRST_HEALTHY, N_TABLES
};

enum action_id {
    TRANSMIT, ACCEPT_AS, VMS_DELIVER, ROUTES_DELIVER, SEND_IPV4, SEND_IPV6,
    PICK, N_ACTIONS
};

static const struct {
    const char *name;           /* In the program. */
    size_t n_keys;
    const char *title;          /* For people. */
} table_names[N_TABLES] = {
    [PORTS] = { GATEWAY_PORTS, 1, "ports" },
    [ADDRESSES] = { GATEWAY_ADDRESSES, 2, "addresses" },
    [VMS] = { GATEWAY_VMS, 3, "hosts" },
    [ROUTES] = { GATEWAY_ROUTES, 3, "prefixes" },
    [VTEPS] = { GATEWAY_VTEPS, 1, "vteps" },
    [FIRST_HEALTHY] = { GATEWAY_FIRST_HEALTHY, 2, "first_healthy" },
};

static const struct {
    const char *name;
    size_t n_args;
} action_names[N_ACTIONS] = {
    [TRANSMIT] = { GATEWAY_TRANSMIT, 1 },
    [ACCEPT_AS] = { GATEWAY_ACCEPT_AS, 1 },
    [VMS_DELIVER] = { GATEWAY_VMS_DELIVER, 3 },
    [ROUTES_DELIVER] = { GATEWAY_ROUTES_DELIVER, 3 },
    [SEND_IPV4] = { GATEWAY_SEND_IPV4, 8 },
    [SEND_IPV6] = { GATEWAY_SEND_IPV6, 10 },
    [PICK] = { GATEWAY_PICK, 1 },
};

static struct swx_tables *all;
static struct swx_table *tables[N_TABLES];
static int actions[N_ACTIONS];

static uint64_t
half(const struct in6_addr *address, size_t i)
{
    uint64_t value = 0;

    for (size_t j = 0; j < 8; j++) {
        value = value << 8 | address->s6_addr[8 * i + j];
    }
    return value;
}

static uint32_t
ipv4(const struct in6_addr *address)
{
    return half(address, 1) & UINT32_MAX;
}

static bool
set(enum table_id table, const uint64_t key[], const uint64_t mask[],
    uint32_t priority, enum action_id action, const uint64_t args[])
{
    if (!swx_table_set(tables[table], key, mask, priority, actions[action],
                       args)) {
        struct swx_table_info info;

        swx_table_get_info(tables[table], &info);
        VLOG_WARN_RL(&rl, "table \"%s\" is full (%"PRIuSIZE" entries)",
                     table_names[table].title, info.max);
        return false;
    }
    return true;
}

/* Addresses. */

static void
address_key(const struct in6_addr *address, uint64_t key[2])
{
    /* The program does without the prefix of IPv4-mapped ones here. */
    bool is_ipv4 = IN6_IS_ADDR_V4MAPPED(address);

    key[0] = is_ipv4 ? 0 : half(address, 0);
    key[1] = is_ipv4 ? ipv4(address) : half(address, 1);
}

bool
gateway_address_add(const struct in6_addr *address, struct eth_addr mac)
{
    uint64_t args[] = { eth_addr_to_uint64(mac) };
    uint64_t key[2];

    address_key(address, key);
    return set(ADDRESSES, key, NULL, 0, ACCEPT_AS, args);
}

void
gateway_address_delete(const struct in6_addr *address)
{
    uint64_t key[2];

    address_key(address, key);
    swx_table_delete(tables[ADDRESSES], key, NULL, 0);
}

/* Routes. */

struct route_key {
    bool host;                  /* In table "vms". */
    uint64_t key[3], mask[3];
    uint32_t priority;
};

static struct route_key
make_route_key(uint32_t vni, const struct in6_addr *address,
               unsigned int plen)
{
    struct route_key k = {
        .host = plen >= 128,
        .key = { half(address, 0), half(address, 1), vni },
        .mask = {
            plen >= 64 ? UINT64_MAX : ~(UINT64_MAX >> plen),
            (plen <= 64 ? 0 : plen >= 128 ? UINT64_MAX
             : ~(UINT64_MAX >> (plen - 64))),
            UINT32_MAX,
        },
        .priority = plen >= 128 ? 0 : 128 - plen,
    };

    return k;
}

bool
gateway_route_add(uint32_t vni, const struct in6_addr *address,
                  unsigned int plen, const struct gateway_next *next)
{
    struct route_key k = make_route_key(vni, address, plen);
    uint64_t args[] = {
        next->vtep, next->vni << 8, eth_addr_to_uint64(next->mac)
    };

    return (k.host
            ? set(VMS, k.key, NULL, 0, VMS_DELIVER, args)
            : set(ROUTES, k.key, k.mask, k.priority, ROUTES_DELIVER, args));
}

void
gateway_route_delete(uint32_t vni, const struct in6_addr *address,
                     unsigned int plen)
{
    struct route_key k = make_route_key(vni, address, plen);

    if (k.host) {
        swx_table_delete(tables[VMS], k.key, NULL, 0);
    } else {
        swx_table_delete(tables[ROUTES], k.key, k.mask, k.priority);
    }
}

/* VTEPs. */

bool
gateway_vtep_add(uint32_t id, const struct gateway_vtep *vtep)
{
    uint64_t key[] = { id };
    uint64_t src_mac = eth_addr_to_uint64(vtep->src_mac);
    uint64_t dst_mac = eth_addr_to_uint64(vtep->dst_mac);

    if (id >= ZOO_GATEWAY_N_VTEPS || vtep->port >= ZOO_GATEWAY_N_PORTS
        || vtep->destination >= ZOO_GATEWAY_N_DESTINATIONS) {
        VLOG_WARN_RL(&rl, "VTEP %"PRIu32" with port %u and destination "
                     "%"PRIu32" is out of range", id, vtep->port,
                     vtep->destination);
        return false;
    }
    if (IN6_IS_ADDR_V4MAPPED(&vtep->remote)) {
        uint64_t args[] = {
            vtep->port, src_mac, dst_mac, ipv4(&vtep->local),
            ipv4(&vtep->remote), vtep->mtu, vtep->path_table,
            vtep->destination
        };

        return set(VTEPS, key, NULL, 0, SEND_IPV4, args);
    } else {
        uint64_t args[] = {
            vtep->port, src_mac, dst_mac,
            half(&vtep->local, 0), half(&vtep->local, 1),
            half(&vtep->remote, 0), half(&vtep->remote, 1),
            vtep->mtu, vtep->path_table, vtep->destination
        };

        return set(VTEPS, key, NULL, 0, SEND_IPV6, args);
    }
}

void
gateway_vtep_delete(uint32_t id)
{
    uint64_t key[] = { id };

    swx_table_delete(tables[VTEPS], key, NULL, 0);
}

/* Commit. */

struct swap {
    struct rte_swx_pipeline *pipeline;
    struct rte_swx_table_state *state;
};

static void
swap_now(void *swap_)
{
    struct swap *swap = swap_;

    rte_swx_pipeline_table_state_set(swap->pipeline, swap->state);
}

/* Packets that are in the pipeline keep the state that they began with, so
 * what is swapped while there are none is out of use. */
static void
swap(struct rte_swx_pipeline *pipeline, struct rte_swx_table_state *state)
{
    struct swap s = { pipeline, state };

    gateway_at_rest(swap_now, &s);
}

char *
gateway_tables_commit(void)
{
    int error = swx_tables_commit(all, swap);

    return error ? xasprintf("the pipeline's tables cannot be changed (%s); "
                             "DPDK may have too little memory",
                             ovs_strerror(error)) : NULL;
}

void
gateway_tables_format(struct ds *s)
{
    if (!all) {
        ds_put_cstr(s, "the pipeline does not run\n");
        return;
    }
    gateway_program_format(s);
    for (size_t i = 0; i < N_TABLES; i++) {
        struct swx_table_info info;

        swx_table_get_info(tables[i], &info);
        ds_put_format(s, "%s: %"PRIuSIZE" of %"PRIuSIZE" entries, "
                      "%"PRIuSIZE" bytes in the pipeline\n",
                      table_names[i].title, info.n, info.max, info.bytes);
    }
    gateway_negotiation_format(s);
    gateway_at_rest_format(s);
}

/* Start and stop. */

/* Adds what never changes. */
static void
add_constants(void)
{
    for (unsigned int i = 0; i < ZOO_GATEWAY_N_FIRST; i++) {
        struct zoo_gateway_first first = zoo_gateway_first(i);
        uint64_t key[] = { first.own, first.mask };
        uint64_t mask[] = { UINT32_MAX, first.mask };
        uint64_t args[] = { first.candidate };

        set(FIRST_HEALTHY, key, mask, first.priority, PICK, args);
    }
    for (uint64_t i = 0; i < ZOO_GATEWAY_N_PORTS; i++) {
        if (i != ZOO_GATEWAY_CPU_PORT) {
            set(PORTS, &i, NULL, 0, TRANSMIT, &i);
        }
    }
}

char *
gateway_tables_init(void)
{
    all = swx_tables_create(gateway_swx);
    if (!all) {
        return xstrdup("the pipeline's tables cannot be made: DPDK may have "
                       "too little memory");
    }
    for (size_t i = 0; i < N_TABLES; i++) {
        tables[i] = swx_tables_find(all, table_names[i].name,
                                    table_names[i].n_keys);
        if (!tables[i]) {
            return xasprintf("the program has no table \"%s\" with "
                             "%"PRIuSIZE" fields in its key; it needs the "
                             "file of this version", table_names[i].name,
                             table_names[i].n_keys);
        }
    }
    for (size_t i = 0; i < N_ACTIONS; i++) {
        actions[i] = swx_tables_find_action(all, action_names[i].name,
                                            action_names[i].n_args);
        if (actions[i] < 0) {
            return xasprintf("the program has no action \"%s\" with "
                             "%"PRIuSIZE" arguments; it needs the file of "
                             "this version", action_names[i].name,
                             action_names[i].n_args);
        }
    }
    add_constants();
    return NULL;
}

void
gateway_tables_destroy(void)
{
    swx_tables_destroy(all);
    all = NULL;
}
