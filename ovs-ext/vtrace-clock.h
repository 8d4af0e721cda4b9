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

#ifndef VTRACE_CLOCK_H
#define VTRACE_CLOCK_H 1

/* Clocks of nodes between which traced packets go
 * ===============================================
 *
 * The exporter notes between which ends of tunnels the packets go that its
 * records are about, and tells the collector what ZooRoute's probes know of
 * the clocks there.  All functions are for the exporter's thread. */

#include <stdbool.h>

struct vtrace_clock;
struct vtrace_record;

/* Tunnels at a time. */
#define VTRACE_CLOCKS_MAX 64

/* After which time without a record a tunnel is forgotten. */
#define VTRACE_CLOCKS_IDLE_MS 5000

/* Notes the tunnel of 'record', if it has one. */
void vtrace_clocks_note(const struct vtrace_record *record);

/* Calls 'cb' for each tunnel of whose clocks something is known, or was the last
 * time, until it returns false.  To be called every second. */
typedef bool vtrace_clocks_func(const struct vtrace_clock *);
void vtrace_clocks_tell(vtrace_clocks_func *cb);

/* Forgets all tunnels. */
void vtrace_clocks_clear(void);

#endif /* vtrace-clock.h */
