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

#ifndef GATEWAY_ICMP_H
#define GATEWAY_ICMP_H 1

/* What the gateway tells tenants' machines as a router: that a packet's time to
 * live has ended (RFC 792, RFC 4443, section 3.3), and that it is too big for
 * the way to the next VTEP (RFC 1191, RFC 4443, section 3.2). */

struct gateway_punt;

/* A packet whose TTL or hop limit has ended, or one that is too big.  The
 * answer goes where the routes say that its source is. */
void gateway_icmp_ttl_expired(const struct gateway_punt *);
void gateway_icmp_too_big(const struct gateway_punt *);

#endif /* gateway-icmp.h */
