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
#include "zoo-consent.h"

#include <limits.h>

#include "cmap.h"
#include "hash.h"
#include "openvswitch/list.h"
#include "ovs-rcu.h"
#include "packets.h"
#include "util.h"
#include "zoo-responder.h"

#define SEC (1000 * 1000 * 1000LL)

struct consent {
    struct cmap_node cmap_node;
    struct ovs_list lru_node;       /* In 'lru', most recently heard last. */
    struct zoo_sender_key key;      /* Who has said so. */
    long long int heard;
};

struct zoo_consents {
    struct cmap map;                /* By addresses and port. */
    struct ovs_list lru;
    bool changed, ended;
    long long int taken;            /* When a change was last taken. */
};

struct zoo_consents *
zoo_consents_create(void)
{
    struct zoo_consents *c = xzalloc(sizeof *c);

    cmap_init(&c->map);
    ovs_list_init(&c->lru);
    c->taken = LLONG_MIN / 2;
    return c;
}

static uint32_t
hash_addrs(const struct in6_addr *local, const struct in6_addr *remote,
           ovs_be16 dst_port)
{
    uint32_t hash = hash_bytes(local, sizeof *local,
                               (OVS_FORCE uint16_t) dst_port);

    return hash_bytes(remote, sizeof *remote, hash);
}

static uint32_t
hash_key(const struct zoo_sender_key *key)
{
    return hash_addrs(&key->local, &key->remote, key->dst_port);
}

static struct consent *
find(const struct zoo_consents *c, const struct in6_addr *local,
     const struct in6_addr *remote, ovs_be16 dst_port)
{
    struct consent *consent;

    CMAP_FOR_EACH_WITH_HASH (consent, cmap_node,
                             hash_addrs(local, remote, dst_port), &c->map) {
        if (ipv6_addr_equals(&consent->key.local, local)
            && ipv6_addr_equals(&consent->key.remote, remote)
            && consent->key.dst_port == dst_port) {
            return consent;
        }
    }
    return NULL;
}

static void
forget(struct zoo_consents *c, struct consent *consent)
{
    cmap_remove(&c->map, &consent->cmap_node, hash_key(&consent->key));
    ovs_list_remove(&consent->lru_node);
    ovsrcu_postpone(free, consent);
    c->changed = true;
}

void
zoo_consents_destroy(struct zoo_consents *c)
{
    if (c) {
        while (!ovs_list_is_empty(&c->lru)) {
            forget(c, CONTAINER_OF(ovs_list_front(&c->lru), struct consent,
                                   lru_node));
        }
        cmap_destroy(&c->map);
        free(c);
    }
}

void
zoo_consents_note(struct zoo_consents *c, const struct zoo_sender_key *key,
                  bool takes, long long int now)
{
    struct consent *consent = find(c, &key->local, &key->remote,
                                   key->dst_port);

    if (consent && memcmp(&consent->key, key, sizeof *key)) {
        /* Several senders have that address: the one that consents is enough,
         * and nothing changes with every request. */
        return;
    } else if (consent && !takes) {
        forget(c, consent);
    } else if (consent) {
        consent->heard = now;
        ovs_list_remove(&consent->lru_node);
        ovs_list_push_back(&c->lru, &consent->lru_node);
    } else if (takes) {
        if (cmap_count(&c->map) >= ZOO_CONSENT_MAX) {
            forget(c, CONTAINER_OF(ovs_list_front(&c->lru), struct consent,
                                   lru_node));
        }
        consent = xzalloc(sizeof *consent);
        consent->key = *key;
        consent->heard = now;
        ovs_list_push_back(&c->lru, &consent->lru_node);
        cmap_insert(&c->map, &consent->cmap_node, hash_key(key));
        c->changed = true;
    }
}

void
zoo_consents_expire(struct zoo_consents *c, long long int now)
{
    while (!ovs_list_is_empty(&c->lru)) {
        struct consent *consent = CONTAINER_OF(ovs_list_front(&c->lru),
                                               struct consent, lru_node);

        if (now - consent->heard < ZOO_CONSENT_TIME) {
            break;
        }
        forget(c, consent);
    }
}

bool
zoo_consents_has(const struct zoo_consents *c, const struct in6_addr *local,
                 const struct in6_addr *remote, ovs_be16 dst_port)
{
    return find(c, local, remote, dst_port) != NULL;
}

void
zoo_consents_changed(struct zoo_consents *c)
{
    c->changed = true;
}

void
zoo_consents_ended(struct zoo_consents *c)
{
    c->changed = c->ended = true;
}

bool
zoo_consents_take_change(struct zoo_consents *c, long long int now)
{
    if (!c->changed || now - c->taken < (c->ended ? SEC / 3 : SEC)) {
        return false;
    }
    c->changed = c->ended = false;
    c->taken = now;
    return true;
}
