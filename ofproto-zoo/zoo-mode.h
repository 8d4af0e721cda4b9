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
#ifndef ZOO_MODE_H
#define ZOO_MODE_H 1

/* How often a peer is probed, and what ports it gets, and why, for operators.
 * Pure. */

struct ds;
struct zoo_params;
struct zoo_peer;

/* Appends that to 's', on one line without its end.  'waited' is for how long
 * a round has waited for max_probe_rate, ns, 0 if none does. */
void zoo_mode_format(const struct zoo_peer *, const struct zoo_params *,
                     long long int waited, struct ds *s);

/* Appends why Open vSwitch chooses the ports of packets to the peer, whose map
 * says so: "is STATE: REASON". */
void zoo_mode_format_upstream(const struct zoo_peer *, struct ds *s);

/* Returns why a bucket is with candidate 'owner' and not with 'home', where it
 * belongs: what there is to say of 'home', beginning with a verb. */
const char *zoo_mode_why_away(const struct zoo_peer *, unsigned int home,
                              unsigned int owner);

#endif /* zoo-mode.h */
