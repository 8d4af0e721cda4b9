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

#ifndef ZOO_SEGMENT_H
#define ZOO_SEGMENT_H 1

/* Segments: what is between two endpoints, by what they are
 * ==========================================================
 *
 * Between hosts there are many peers and short paths, between gateways few
 * peers and long paths with much traffic.  So each segment may have its own
 * intervals and number of candidates, and gateways another table (see
 * zoo-gateway-path.h).
 *
 * An endpoint says in its probes whether it is a gateway
 * (ZOO_PROBE_CAP_GATEWAY); one that does not, is a host. */

#include <stdbool.h>

enum zoo_segment {
    ZOO_HOST_HOST,
    ZOO_HOST_GATEWAY,           /* Whichever of them this side is. */
    ZOO_GATEWAY_GATEWAY,
    ZOO_N_SEGMENTS
};

static inline enum zoo_segment
zoo_segment(bool a_is_gateway, bool b_is_gateway)
{
    return (enum zoo_segment) (a_is_gateway + b_is_gateway);
}

/* Returns for instance "host-gateway". */
static inline const char *
zoo_segment_to_string(enum zoo_segment segment)
{
    return (segment == ZOO_HOST_HOST ? "host-host"
            : segment == ZOO_HOST_GATEWAY ? "host-gateway"
            : "gateway-gateway");
}

/* What differs between segments; 0 stands for what table ZooRoute says of
 * all. */
struct zoo_profile {
    unsigned int candidates;
    unsigned int probe_interval_ms;
    unsigned int full_interval_ms;
};

#endif /* zoo-segment.h */
