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

#ifndef ZOO_PORT_HASH_H
#define ZOO_PORT_HASH_H 1

/* What common hashes make of an outer source port
 * ===============================================
 *
 * Between two VTEPs the outer headers of all tunnel packets differ in nothing
 * but the source port, so that underlay, bonds and network devices tell them
 * apart by what their hash makes of it.  Most hashes in hardware are linear
 * over GF(2): each bit of the port that is set flips certain bits of the hash,
 * whatever addresses and the other port are.  So it can be known, without
 * knowing these, whether such a hash takes two ports for alike.
 *
 * (Hashes that are not linear, like those of Linux for ECMP, know nothing of
 * this; to them any ports are as good as any others.)
 *
 * This module is pure. */

#include <stdint.h>

#define ZOO_PORT_N_HASHES 16
#define ZOO_PORT_N_CLASSES 16

/* What all ports of one range need.  Members are private. */
struct zoo_port_hash {
    uint64_t flips[16];         /* By bit of the port. */
    uint16_t port_min;
    unsigned int n_ports;
};

/* Prepares for ports within 'port_min'...'port_max'. */
void zoo_port_hash_init(struct zoo_port_hash *,
                        uint16_t port_min, uint16_t port_max);

/* Stores into 'classes' the class, 0...ZOO_PORT_N_CLASSES - 1, that 'port'
 * is in by each hash.  Of two ports with equal low k bits of it the hash makes
 * the same when it decides between 2**k paths or queues. */
void zoo_port_hash(const struct zoo_port_hash *, uint16_t port,
                   uint8_t classes[ZOO_PORT_N_HASHES]);

#endif /* zoo-port-hash.h */
