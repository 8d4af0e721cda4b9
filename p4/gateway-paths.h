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

#ifndef GATEWAY_PATHS_H
#define GATEWAY_PATHS_H 1

/* The path tables of tunnels: what gateway-tunnels.c asks of
 * gateway-paths.c.  The rest is in gateway-state.h. */

#include "p4/gateway-state.h"

/* Returns the path table that packets through 'tunnel' are to use now:
 * ZOO_GATEWAY_PLAIN also if ZooRoute is off, has no room for the tunnel, or the
 * VTEP at its other end takes no part. */
int gateway_paths_get(const struct gateway_tunnel *)
    OVS_REQUIRES(gateway_mutex);

/* Main thread: empties the path table of 'tunnel', which goes.  Its peer is
 * forgotten with the next gateway_tunnels_run(). */
void gateway_paths_remove(struct gateway_tunnel *)
    OVS_REQUIRES(gateway_mutex);

#endif /* gateway-paths.h */
