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

#ifndef ZOO_VTRACE_H
#define ZOO_VTRACE_H 1

/* VTrace in the switch: whether it is on, and who takes colors
 * ============================================================
 *
 * VTrace is on while Open_vSwitch other_config:vtrace-collector is set.  Only
 * then a packet that comes from a tunnel can have a color.
 *
 * A color goes to, and is taken from, the other end of a tunnel that has
 * consented: it has said so in its answers to ZooRoute's probes, or the
 * Interface has other_config:vtrace=true.  To others its bits are a group
 * policy.
 *
 * The main thread configures, any thread that is not quiescent (see ovs-rcu.h)
 * may ask. */

#include <stdbool.h>

#include "ovs-ext/vtrace-record.h"

struct dp_packet;
struct flow;
struct simap;
struct sset;

/* Main thread: turns VTrace on or off; 'consenting' are the names of the tunnel
 * ports whose other end takes colors, 'classes' the enum vtrace_port_class of
 * ports by name, where configuration tells it.  Has datapath flows translated
 * again if something has changed. */
void zoo_vtrace_configure(bool enabled, const struct sset *consenting,
                          const struct simap *classes);

/* Returns true if VTrace is on. */
bool zoo_vtrace_is_enabled(void);

/* Returns true if the configuration says that the other end of tunnel port
 * 'name' takes colors. */
bool zoo_vtrace_consents(const char *name);

/* Returns what configuration says of the port 'name', VTRACE_PORT_UNKNOWN if
 * it says nothing. */
enum vtrace_port_class zoo_vtrace_port_class(const char *name);

/* Takes a record of 'packet' if it is traced: it came out of a tunnel, as
 * 'flow', its headers, says, and no tunnel port takes it.  Of such records
 * only some are taken, the others count as lost. */
void zoo_record_no_port(const struct dp_packet *packet,
                        const struct flow *flow);

#endif /* zoo-vtrace.h */
