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

#ifndef ZOO_CONSENT_H
#define ZOO_CONSENT_H 1

/* Who has said that it takes, and so may send, the colors of VTrace
 * =================================================================
 *
 * A VTEP says so in its requests.  That is remembered by its address, whether
 * or not there is traffic, and so a peer, in the other direction: who colors
 * what it sends has probed the receiver.
 *
 * Only what a sender's adopted session says in its newest round counts (see
 * zoo-responder.h): anything else may have been recorded long ago.
 *
 * Memory is bounded by ZOO_CONSENT_MAX: beyond that, who has been silent for
 * longest is forgotten.  zoo_consents_has() may be called by any thread that is
 * not quiescent; callers of the others serialize.  Times (monotonic, ns) are
 * arguments. */

#include <netinet/in.h>
#include <stdbool.h>

#include "openvswitch/types.h"

struct zoo_consents;
struct zoo_sender_key;

#define ZOO_CONSENT_MAX 16384

/* How long the consent of a silent sender is remembered, ns: longer than a
 * sender remembers that of a silent receiver, ZOO_PEER_CONSENT_TIME. */
#define ZOO_CONSENT_TIME (2 * 3600 * 1000LL * 1000 * 1000)

struct zoo_consents *zoo_consents_create(void);
void zoo_consents_destroy(struct zoo_consents *);

/* The sender with 'key' has said at 'now' whether it 'takes' colors. */
void zoo_consents_note(struct zoo_consents *, const struct zoo_sender_key *key,
                       bool takes, long long int now);

/* Forgets who has been silent for too long. */
void zoo_consents_expire(struct zoo_consents *, long long int now);

/* Returns true if a sender from 'remote' to 'local' and 'dst_port' takes
 * colors. */
bool zoo_consents_has(const struct zoo_consents *,
                      const struct in6_addr *local,
                      const struct in6_addr *remote, ovs_be16 dst_port);

/* Consent has changed in another way. */
void zoo_consents_changed(struct zoo_consents *);

/* Consent has ended in another way, which must not wait. */
void zoo_consents_ended(struct zoo_consents *);

/* Returns true if consent has changed since this was last true, but once a
 * second at most, or three times if some has ended: flows must be translated
 * again. */
bool zoo_consents_take_change(struct zoo_consents *, long long int now);

#endif /* zoo-consent.h */
