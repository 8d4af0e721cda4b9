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
#include "zoo-clock.h"

#include <limits.h>
#include <stdlib.h>

#include "hash.h"
#include "openvswitch/hmap.h"
#include "packets.h"
#include "util.h"

/* The smallest value of this window and of the one before. */
struct minimum {
    long long int begin;        /* Of this window. */
    int64_t values[2];          /* INT64_MAX: none. */
};

struct pair {
    struct hmap_node node;      /* In struct zoo_clocks's 'pairs'. */
    struct in6_addr local, remote;
    long long int wanted;       /* When last. */
    uint32_t machine;           /* Which has sent last. */
    bool has_machine;
    long long int mixed;        /* When another one than before has, or
                                 * LLONG_MIN / 2. */
    struct minimum ahead, rtt;
};

struct zoo_clocks {
    struct hmap pairs;
};

struct zoo_clocks *
zoo_clocks_create(void)
{
    struct zoo_clocks *c = xmalloc(sizeof *c);

    hmap_init(&c->pairs);
    return c;
}

void
zoo_clocks_destroy(struct zoo_clocks *c)
{
    struct pair *pair;

    if (c) {
        HMAP_FOR_EACH_POP (pair, node, &c->pairs) {
            free(pair);
        }
        hmap_destroy(&c->pairs);
        free(c);
    }
}

size_t
zoo_clocks_count(const struct zoo_clocks *c)
{
    return hmap_count(&c->pairs);
}

static uint32_t
hash_pair(const struct in6_addr *local, const struct in6_addr *remote)
{
    return hash_bytes(remote, sizeof *remote,
                      hash_bytes(local, sizeof *local, 0));
}

static struct pair *
find(const struct zoo_clocks *c, const struct in6_addr *local,
     const struct in6_addr *remote)
{
    struct pair *pair;

    if (hmap_is_empty(&c->pairs)) {
        return NULL;            /* As nearly always: not even a hash. */
    }
    HMAP_FOR_EACH_WITH_HASH (pair, node, hash_pair(local, remote),
                             &c->pairs) {
        if (ipv6_addr_equals(&pair->local, local)
            && ipv6_addr_equals(&pair->remote, remote)) {
            return pair;
        }
    }
    return NULL;
}

static void
forget_unwanted(struct zoo_clocks *c, long long int now)
{
    struct pair *pair;

    HMAP_FOR_EACH_SAFE (pair, node, &c->pairs) {
        if (now - pair->wanted > ZOO_CLOCK_IDLE) {
            hmap_remove(&c->pairs, &pair->node);
            free(pair);
        }
    }
}

static void
minimum_init(struct minimum *m)
{
    m->begin = LLONG_MIN / 2;
    m->values[0] = m->values[1] = INT64_MAX;
}

static void
minimum_add(struct minimum *m, int64_t value, long long int now)
{
    if (now - m->begin >= ZOO_CLOCK_WINDOW) {
        bool next = now - m->begin < 2 * ZOO_CLOCK_WINDOW;

        m->values[1] = next ? m->values[0] : INT64_MAX;
        m->values[0] = INT64_MAX;
        m->begin = next ? m->begin + ZOO_CLOCK_WINDOW : now;
    }
    m->values[0] = MIN(m->values[0], value);
}

static bool
minimum_get(const struct minimum *m, int64_t *value, long long int now)
{
    long long int age = now - m->begin;

    *value = (age < ZOO_CLOCK_WINDOW ? MIN(m->values[0], m->values[1])
              : age < 2 * ZOO_CLOCK_WINDOW ? m->values[0] : INT64_MAX);
    return *value != INT64_MAX;
}

void
zoo_clocks_want(struct zoo_clocks *c, const struct in6_addr *local,
                const struct in6_addr *remote, long long int now)
{
    struct pair *pair = find(c, local, remote);

    if (!pair) {
        forget_unwanted(c, now);
        if (hmap_count(&c->pairs) >= ZOO_CLOCK_MAX) {
            return;
        }
        pair = xzalloc(sizeof *pair);
        pair->local = *local;
        pair->remote = *remote;
        pair->mixed = LLONG_MIN / 2;
        minimum_init(&pair->ahead);
        minimum_init(&pair->rtt);
        hmap_insert(&c->pairs, &pair->node, hash_pair(local, remote));
    }
    pair->wanted = now;
}

void
zoo_clocks_request(struct zoo_clocks *c, const struct in6_addr *local,
                   const struct in6_addr *remote, uint32_t machine,
                   int64_t ahead, long long int now)
{
    struct pair *pair = find(c, local, remote);

    if (pair) {
        if (pair->has_machine && pair->machine != machine) {
            pair->mixed = now;
            minimum_init(&pair->ahead);
        }
        pair->has_machine = true;
        pair->machine = machine;
        minimum_add(&pair->ahead, ahead, now);
    }
}

void
zoo_clocks_report(struct zoo_clocks *c, const struct in6_addr *local,
                  const struct in6_addr *remote, int64_t rtt,
                  long long int now)
{
    struct pair *pair = find(c, local, remote);

    if (pair && rtt > 0) {
        minimum_add(&pair->rtt, rtt, now);
    }
}

struct zoo_clock
zoo_clocks_get(const struct zoo_clocks *c, const struct in6_addr *local,
               const struct in6_addr *remote, long long int now)
{
    const struct pair *pair = find(c, local, remote);
    struct zoo_clock clock = { .has_ahead = false };

    if (pair) {
        clock.has_ahead = (now - pair->mixed >= 2 * ZOO_CLOCK_WINDOW
                           && minimum_get(&pair->ahead, &clock.ahead, now));
        clock.has_rtt = minimum_get(&pair->rtt, &clock.rtt, now);
    }
    return clock;
}
