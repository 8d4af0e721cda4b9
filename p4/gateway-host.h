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

#ifndef GATEWAY_HOST_H
#define GATEWAY_HOST_H 1

/* The gateway as the host of ZooRoute's engine (see ofproto-zoo/zooroute.h). */

struct gateway_punt;

/* Gives a tunnel packet that is marked as a probe to ZooRoute. */
void gateway_host_receive(const struct gateway_punt *);

#endif /* gateway-host.h */
