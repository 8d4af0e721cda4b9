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

/* What peers are, and hence the profile of each: see zoo-segment.h. */

#include <config.h>
#include "zooroute-private.h"

#include <stdlib.h>
#include <string.h>

#include "openvswitch/vlog.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(zooroute_segments);

static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(60, 60);

/* As 'zooroute_params'. */
static struct zoo_params params[ZOO_N_SEGMENTS];

static int
compare_roles(const void *a_, const void *b_)
{
    const struct zooroute_peer_role *a = a_, *b = b_;

    return memcmp(&a->remote, &b->remote, sizeof a->remote);
}

struct zooroute_peer_role *
zooroute_copy_roles(const struct zooroute_peer_role *roles, size_t n)
{
    struct zooroute_peer_role *copy;

    if (!n) {
        return NULL;
    }
    copy = xmemdup(roles, n * sizeof *roles);
    qsort(copy, n, sizeof *copy, compare_roles);
    return copy;
}

/* Notes what the configuration says that 'p' is, if it says it. */
static void
take_configured(struct zooroute_peer *p) OVS_REQUIRES(zooroute_mutex)
{
    const struct zooroute_peer_role key = { .remote = p->key.remote };
    const struct zooroute_peer_role *r
        = (zooroute_config.n_peer_roles
           ? bsearch(&key, zooroute_config.peer_roles,
                     zooroute_config.n_peer_roles, sizeof key, compare_roles)
           : NULL);

    p->role_set = r != NULL;
    p->gateway_set = r && r->gateway;
}

static bool
is_gateway(const struct zooroute_peer *p)
{
    return (p->role_set ? p->gateway_set : p->gateway_said);
}

/* Has 'p' be in the segment that what is known of it says. */
static void
update_segment(struct zooroute_peer *p, long long int now)
    OVS_REQUIRES(zooroute_mutex)
{
    enum zoo_segment segment = zoo_segment(zooroute_config.gateway,
                                           is_gateway(p));
    bool other_number;

    if (segment == p->segment) {
        return;
    }
    other_number = (params[segment].candidates
                    != params[p->segment].candidates);
    p->segment = segment;
    if (other_number && !zoo_peer_is_learning(&p->peer)) {
        zoo_peer_set_candidates(&p->peer, &params[segment], &p->key,
                                zooroute_peer_key_len(), zooroute_config.seed,
                                now);
    }
    zoo_peer_reconfigured(&p->peer, &params[segment], now);
    zooroute_publish(p);
    zooroute_schedule(p, now);
    zooroute_status_changed();

    char *name = zooroute_key_to_string(&p->key);
    VLOG_INFO_RL(&rl, "%s: segment %s", name, zoo_segment_to_string(segment));
    free(name);
}

void
zooroute_init_segment(struct zooroute_peer *p)
{
    take_configured(p);
    p->segment = zoo_segment(zooroute_config.gateway, is_gateway(p));
}

void
zooroute_update_profiles(void)
{
    for (int i = 0; i < ZOO_N_SEGMENTS; i++) {
        const struct zoo_profile *profile = &zooroute_config.profiles[i];

        params[i] = zooroute_params;
        if (profile->candidates) {
            params[i].candidates = profile->candidates;
        }
        if (profile->probe_interval_ms) {
            params[i].probe_interval = profile->probe_interval_ms * 1000000LL;
        }
        if (profile->full_interval_ms) {
            params[i].full_interval = profile->full_interval_ms * 1000000LL;
        }
    }
}

void
zooroute_update_segments(long long int now)
{
    struct zooroute_peer *p;

    zooroute_update_profiles();
    CMAP_FOR_EACH (p, cmap_node, &zooroute_peers) {
        if (!p->role_by_host) {
            take_configured(p);
        }
        update_segment(p, now);
    }
}

const struct zoo_params *
zooroute_segment_params(enum zoo_segment segment)
{
    return &params[segment];
}

void
zooroute_note_role(struct zooroute_peer *p, uint16_t caps, long long int now)
{
    bool gateway = caps & ZOO_PROBE_CAP_GATEWAY;

    if (gateway != p->gateway_said) {
        p->gateway_said = gateway;
        update_segment(p, now);
    }
}

bool
zooroute_set_role(const struct zooroute_key *key, enum zooroute_role role)
{
    struct zooroute_peer *p;
    bool gateway = role == ZOOROUTE_GATEWAY;

    ovs_mutex_lock(&zooroute_mutex);
    p = zooroute_find(key);
    if (p) {
        if (role != ZOOROUTE_ROLE_AS_SAID) {
            p->role_by_host = p->role_set = true;
            p->gateway_set = gateway;
        } else if (p->role_by_host) {
            p->role_by_host = false;
            take_configured(p);
        }
        update_segment(p, zoo_now());
        gateway = is_gateway(p);
    }
    ovs_mutex_unlock(&zooroute_mutex);
    return gateway;
}

const char *
zooroute_role_source(const struct zooroute_peer *p)
{
    return (p->role_set ? "configuration"
            : p->peer.answered ? "peer" : "default");
}
