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
#include "zoo-mode.h"

#include "openvswitch/dynamic-string.h"
#include "util.h"
#include "zoo-peer-learn.h"
#include "zoo-peer-private.h"

/* Appends how often an active peer is probed. */
static void
format_active(const struct zoo_peer *peer, const struct zoo_params *params,
              struct ds *s)
{
    unsigned int n_used = count_1bits(zoo_peer_in_use(peer));

    ds_put_format(s, "in use: %u candidate%s each %lld ms, all each %lld ms",
                  n_used, n_used == 1 ? "" : "s",
                  zoo_peer_fast_interval(peer, params) / MSEC,
                  zoo_peer_full_interval(peer, params) / MSEC);
    if (zoo_peer_is_learning(peer)) {
        uint32_t spared = peer->learner->spared;

        ds_put_format(s, ", %u of them and %u in all learned about instead",
                      count_1bits(spared & zoo_peer_in_use(peer)),
                      count_1bits(spared));
    }
    if (peer->n_silent || peer->overdue) {
        ds_put_cstr(s, ", asking again after a loss");
    } else if (peer->forgiven) {
        ds_put_cstr(s, ", all more often after a mass loss");
    }
}

/* Appends how often a peer is probed that has no choice of paths, and why. */
static void
format_backing_off(const struct zoo_peer *peer,
                   const struct zoo_params *params, struct ds *s)
{
    if (peer->state == ZOO_PEER_EXHAUSTED) {
        ds_put_cstr(s, "backing off (exhausted): all");
    } else {
        ds_put_format(s, "backing off (%s): %u candidates",
                      (peer->state == ZOO_PEER_LEGACY
                       ? "never answered" : "ports are rewritten"),
                      MIN(ZOO_PEER_LEGACY_CANDIDATES, peer->table.n));
    }
    ds_put_format(s, " each %lld ms",
                  zoo_peer_backoff_interval(peer, params) / MSEC);
    if (zoo_peer_takes_hints(peer)) {
        ds_put_format(s, ", or when it asks, each %lld ms at most",
                      zoo_peer_hint_interval(peer, params) / MSEC);
    }
}

/* Appends why it is less often, or to no effect. */
static void
format_limits(const struct zoo_peer *peer, const struct zoo_params *params,
              struct ds *s)
{
    if (peer->slowed) {
        ds_put_format(s, ", slowed by peer (CTL) x%u", 1u << peer->slowed);
    }
    if (params->stretch) {
        ds_put_format(s, ", slowed by CPU limit x%u", 1u << params->stretch);
    }
    if (peer->state == ZOO_PEER_ACTIVE) {
        if (zoo_peer_is_calm(peer, params)) {
            ds_put_cstr(s, ", all half as often as configured while all "
                        "answer");
        }
        if (params->flooded) {
            ds_put_cstr(s, ", silence excused for some seconds since this "
                        "switch is flooded");
        }
    }
}

void
zoo_mode_format(const struct zoo_peer *peer, const struct zoo_params *params,
                long long int waited, struct ds *s)
{
    switch (peer->state) {
    case ZOO_PEER_IDLE:
        ds_put_cstr(s, "idle: no tenant traffic, not probed");
        return;
    case ZOO_PEER_ACTIVE:
        format_active(peer, params, s);
        break;
    case ZOO_PEER_EXHAUSTED:
    case ZOO_PEER_LEGACY:
    case ZOO_PEER_UNSUPPORTED:
        format_backing_off(peer, params, s);
        break;
    default:
        OVS_NOT_REACHED();
    }
    format_limits(peer, params, s);
    if (waited > 0) {
        ds_put_format(s, ", waiting for max_probe_rate for %lld ms",
                      waited / MSEC);
    }
}

void
zoo_mode_format_upstream(const struct zoo_peer *peer, struct ds *s)
{
    bool idle = peer->state == ZOO_PEER_IDLE;
    enum zoo_peer_state state = (idle ? zoo_peer_awake_state(peer)
                                 : peer->state);

    /* To be idle is no reason: such a peer keeps the map that it had. */
    ds_put_format(s, "is %s%s: %s", idle ? "idle and was " : "",
                  zoo_peer_state_to_string(state),
                  (state == ZOO_PEER_LEGACY ? "it has never answered"
                   : state == ZOO_PEER_UNSUPPORTED ? "ports are rewritten"
                   : idle ? "no candidate worked" : "no candidate works"));
}

const char *
zoo_mode_why_away(const struct zoo_peer *peer, unsigned int home,
                  unsigned int owner)
{
    const struct zoo_candidate *h = &peer->candidates[home];

    if (h->health.forced == ZOO_FORCED_DOWN) {
        return "an operator has set down";
    }
    switch (zoo_health_state(&h->health)) {
    case ZOO_HEALTH_DOWN:
        return "is down";
    case ZOO_HEALTH_UNKNOWN:
        return "is not known to work yet";
    case ZOO_HEALTH_UP:
        return (h->group != peer->candidates[owner].group
                ? "is up but reaches another middlebox: it returns when it "
                "has been idle"
                : "is up but has to stay up for the hold-down time first");
    default:
        OVS_NOT_REACHED();
    }
}
