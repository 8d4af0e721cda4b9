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
#include "zoo-peer.h"

#define MSEC (1000 * 1000LL)

void
zoo_mode_format(const struct zoo_peer *peer, const struct zoo_params *params,
                long long int waited, struct ds *s)
{
    zoo_peer_format_mode(peer, params, s);
    if (peer->state == ZOO_PEER_IDLE) {
        return;
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
    if (waited > 0) {
        ds_put_format(s, ", waiting for max_probe_rate for %lld ms",
                      waited / MSEC);
    }
}
