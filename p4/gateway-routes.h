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

#ifndef GATEWAY_ROUTES_H
#define GATEWAY_ROUTES_H 1

/* The gateway's routes: where inner destinations are.  For the main thread, but for
 * gateway_routes_lookup(). */

#include <stddef.h>
#include <stdint.h>

#include "openvswitch/types.h"
#include "p4/gateway-state.h"

/* As configured. */
struct gateway_route {
    uint32_t vni, remote_vni;
    struct gateway_prefix prefix;
    struct in6_addr remote;     /* The tunnel's. */
    struct eth_addr mac;
};

/* Takes over a configuration: gateway_routes_begin(), gateway_routes_keep() for
 * each route, gateway_routes_sweep(), which removes all others, so that there is
 * room, gateway_routes_put() for each, and gateway_routes_end(), which removes
 * those that could not be put. */
void gateway_routes_begin(void);
void gateway_routes_keep(const struct gateway_route *route);
void gateway_routes_sweep(void);
void gateway_routes_end(void);

/* Puts 'route' into the pipeline's tables, for the next
 * gateway_tables_commit().  Returns NULL if successful, otherwise what is wrong
 * with it, which the caller must free. */
char *gateway_routes_put(const struct gateway_route *route)
    OVS_EXCLUDED(gateway_mutex);

/* Stores where the pipeline sends packets of 'vni' to 'address' into '*next' and
 * returns true, or returns false if it has no route for them. */
bool gateway_routes_lookup(uint32_t vni, const struct in6_addr *address,
                           struct gateway_next *next)
    OVS_REQUIRES(gateway_mutex);

/* Returns the number of routes. */
size_t gateway_routes_count(void);

#endif /* gateway-routes.h */
