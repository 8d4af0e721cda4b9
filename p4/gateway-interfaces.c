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

#include "p4/gateway-state.h"

#include "hash.h"
#include "util.h"

struct ovs_mutex gateway_mutex = OVS_MUTEX_INITIALIZER;
struct hmap gateway_interfaces OVS_GUARDED_BY(gateway_mutex)
    = HMAP_INITIALIZER(&gateway_interfaces);
struct in6_addr gateway_router_ips[2] OVS_GUARDED_BY(gateway_mutex);
struct eth_addr gateway_router_mac OVS_GUARDED_BY(gateway_mutex)
    = GATEWAY_ROUTER_MAC;

char *
gateway_prefix_parse(const char *s, struct gateway_prefix *prefix)
{
    ovs_be32 ip;
    unsigned int plen;
    char *error;

    if (strchr(s, ':')) {
        error = ipv6_parse_cidr(s, &prefix->address, &plen);
        if (!error && gateway_is_ipv4(&prefix->address) && plen < 96) {
            error = xstrdup("an IPv4-mapped address needs a length of 96 or "
                            "more");
        }
    } else {
        error = ip_parse_cidr(s, &ip, &plen);
        if (!error) {
            in6_addr_set_mapped_ipv4(&prefix->address, ip);
            plen += 96;
        }
    }
    if (!error) {
        prefix->plen = plen;
    }
    return error;
}

bool
gateway_address_parse(const char *s, struct in6_addr *address)
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

bool
gateway_prefix_has(const struct gateway_prefix *prefix,
                   const struct in6_addr *address)
{
    struct in6_addr mask = ipv6_create_mask(prefix->plen);
    struct in6_addr a = ipv6_addr_bitand(&prefix->address, &mask);
    struct in6_addr b = ipv6_addr_bitand(address, &mask);

    return ipv6_addr_equals(&a, &b);
}

struct gateway_interface *
gateway_interface_on(unsigned int port)
{
    struct gateway_interface *iface;

    HMAP_FOR_EACH (iface, node, &gateway_interfaces) {
        if (iface->port == port) {
            return iface;
        }
    }
    return NULL;
}

bool
gateway_interface_has(const struct gateway_interface *iface,
                      const struct in6_addr *address)
{
    for (size_t i = 0; i < iface->n_addresses; i++) {
        if (ipv6_addr_equals(&iface->addresses[i].address, address)) {
            return true;
        }
    }
    return false;
}

struct gateway_interface *
gateway_interface_with(const struct in6_addr *address)
{
    struct gateway_interface *iface;

    HMAP_FOR_EACH (iface, node, &gateway_interfaces) {
        if (gateway_interface_has(iface, address)) {
            return iface;
        }
    }
    return NULL;
}

struct gateway_interface *
gateway_interface_named(const char *name)
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
