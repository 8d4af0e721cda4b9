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

#ifndef GATEWAY_FRAGMENT_H
#define GATEWAY_FRAGMENT_H 1

/* Inner packets that are too long for the way to the next VTEP and may be
 * fragmented (RFC 791, section 2.3; RFC 1812, section 4.2.2.7). */

#include <stdbool.h>

struct gateway_punt;

/* Sends what is in the tunnel packet 'punt', which the pipeline found to be too
 * big, in fragments.  Returns false if the sender has to be told instead, since
 * it is IPv6 or forbids that.  Where it cannot be sent it is dropped. */
bool gateway_fragment(const struct gateway_punt *);

#endif /* gateway-fragment.h */
