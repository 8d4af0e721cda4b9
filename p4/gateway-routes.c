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

#include "p4/gateway-routes.h"

#include "hash.h"
#include "openvswitch/hmap.h"
#include "util.h"

struct route {
    struct hmap_node node;      /* In 'routes'. */
    uint32_t vni;
    struct gateway_prefix prefix;
    struct gateway_next next;   /* As in the pipeline. */
    bool kept;                  /* It is to stay, as far as known. */
    bool seen;                  /* It has been put. */
};

static struct hmap routes OVS_GUARDED_BY(gateway_mutex)
    = HMAP_INITIALIZER(&routes);

/* Routes by prefix length. */
static unsigned int n_by_plen[129] OVS_GUARDED_BY(gateway_mutex);

static uint32_t
route_hash(uint32_t vni, const struct gateway_prefix *prefix)
{
    return hash_bytes(&prefix->address, sizeof prefix->address,
                      hash_2words(vni, prefix->plen));
}

static struct route *
route_find(uint32_t vni, const struct gateway_prefix *prefix)
    OVS_REQUIRES(gateway_mutex)
{
    struct route *r;

    HMAP_FOR_EACH_WITH_HASH (r, node, route_hash(vni, prefix), &routes) {
        if (r->vni == vni && r->prefix.plen == prefix->plen
            && ipv6_addr_equals(&r->prefix.address, &prefix->address)) {
            return r;
        }
    }
    return NULL;
}

void
gateway_routes_begin(void)
{
    struct route *r;

    HMAP_FOR_EACH (r, node, &routes) {
        r->kept = r->seen = false;
    }
}

void
gateway_routes_keep(const struct gateway_route *route)
{
    struct route *r = route_find(route->vni, &route->prefix);

    if (r) {
        r->kept = true;
    }
}

static void
route_delete(struct route *r)
{
    gateway_route_delete(r->vni, &r->prefix.address, r->prefix.plen);
    ovs_mutex_lock(&gateway_mutex);
    hmap_remove(&routes, &r->node);
    n_by_plen[r->prefix.plen]--;
    ovs_mutex_unlock(&gateway_mutex);
    free(r);
}

void
gateway_routes_sweep(void)
{
    struct route *r, *next;

    HMAP_FOR_EACH_SAFE (r, next, node, &routes) {
        if (!r->kept) {
            route_delete(r);
        }
    }
}

static bool
same_next(const struct gateway_next *a, const struct gateway_next *b)
{
    return (a->vtep == b->vtep && a->vni == b->vni
            && eth_addr_equals(a->mac, b->mac));
}

char *
gateway_routes_put(const struct gateway_route *route)
{
    struct gateway_tunnel *t = gateway_tunnel_find(&route->remote);
    struct gateway_next next;
    struct route *r;

    if (!t) {
        return xstrdup("remote_ip is no tunnel, add one to "
                       "ZooGateway_Tunnel or change it");
    }
    if (!t->has_route) {
        t->has_route = true;
        t->probe_vni = route->remote_vni;
    }

    memset(&next, 0, sizeof next);
    next.vtep = t->id;
    next.vni = route->remote_vni;
    next.mac = route->mac;
    r = route_find(route->vni, &route->prefix);
    if (r && r->seen) {
        return xstrdup("ip_prefix is in another row too, remove one of them");
    }
    if (!r || !same_next(&r->next, &next)) {
        if (!gateway_route_add(route->vni, &route->prefix.address,
                               route->prefix.plen, &next)) {
            return xstrdup("the pipeline has no room for more routes");
        }
    }
    ovs_mutex_lock(&gateway_mutex);
    if (!r) {
        r = xzalloc(sizeof *r);
        r->vni = route->vni;
        r->prefix = route->prefix;
        hmap_insert(&routes, &r->node, route_hash(r->vni, &r->prefix));
        n_by_plen[r->prefix.plen]++;
    }
    r->next = next;
    ovs_mutex_unlock(&gateway_mutex);
    r->seen = true;
    return NULL;
}

void
gateway_routes_end(void)
{
    struct route *r, *next;

    HMAP_FOR_EACH_SAFE (r, next, node, &routes) {
        if (!r->seen) {
            route_delete(r);
        }
    }
}

bool
gateway_routes_lookup(uint32_t vni, const struct in6_addr *address,
                      struct gateway_next *next)
{
    for (int plen = 128; plen >= 0; plen--) {
        struct in6_addr mask = ipv6_create_mask(plen);
        struct gateway_prefix prefix = {
            .address = ipv6_addr_bitand(address, &mask),
            .plen = plen,
        };
        const struct route *r = (n_by_plen[plen] ? route_find(vni, &prefix)
                                 : NULL);

        if (r) {
            *next = r->next;
            return true;
        }
    }
    return false;
}

size_t
gateway_routes_count(void)
{
    return hmap_count(&routes);
}
