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

#ifndef ZOO_OFPROTO_H
#define ZOO_OFPROTO_H 1

/* Which bridges can choose the outer UDP source port of a tunnel and trace
 * packets, and the refusal of the actions "zooroute" and "vtrace" on those that
 * cannot.
 *
 * Any thread may call these functions that keeps 'ofproto' from going away, as
 * the main thread and flow translation do. */

#include <stdbool.h>

struct ofpact;
struct ofproto;
struct ovs_list;

/* Returns NULL if tunnels of 'ofproto' can take their outer source port from a
 * path table.  Otherwise returns why not, in a few words for an operator, and
 * stores what to do about it in '*remedy' if that is nonnull.  Both strings
 * are static. */
const char *zoo_ofproto_unsupported(const struct ofproto *ofproto,
                                    const char **remedy);

/* Returns true if 'ofproto' can execute 'ofpact', or if 'ofpact' is not one of
 * this project's actions.  Otherwise logs a warning that names the bridge, the
 * reason and the remedy, and returns false. */
bool zoo_ofproto_check_ofpact(const struct ofproto *ofproto,
                              const struct ofpact *ofpact);

/* Returns true if 'ofproto' can execute all of the actions in 'buckets', a
 * list of struct ofputil_bucket, otherwise as above.  No ofproto can execute
 * "vtrace" there. */
bool zoo_ofproto_check_buckets(const struct ofproto *ofproto,
                               const struct ovs_list *buckets);

#endif /* zoo-ofproto.h */
