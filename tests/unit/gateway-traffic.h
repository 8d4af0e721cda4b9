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

#ifndef GATEWAY_TRAFFIC_H
#define GATEWAY_TRAFFIC_H 1

/* Traffic through the gateway, in a thread of its own, while the main thread
 * changes something.
 *
 * The address of the VTEP that it goes to, and the MAC addresses of the VMs
 * behind it, are those of an epoch, which so each packet tells that comes out,
 * twice.  What has been committed when a packet goes in, and what is about to
 * be when it comes out, limits which epoch it may have. */

#include <pthread.h>

#include "ovs-atomic.h"

extern atomic_uint gr_committed; /* Epoch that is effective. */
extern atomic_uint gr_pending;  /* The same or, during a commit, the next. */

/* Gives VTEP 'id' and the VMs the marks of 'epoch', and the latter this VTEP,
 * from the next commit on. */
void gr_set_epoch(unsigned int id, unsigned int epoch);

/* Starts and ends the traffic; fails the test if a packet is lost. */
pthread_t gr_start_traffic(void);
void gr_end_traffic(pthread_t);

#endif /* gateway-traffic.h */
