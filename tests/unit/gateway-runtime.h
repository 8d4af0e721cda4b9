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

#ifndef GATEWAY_RUNTIME_H
#define GATEWAY_RUNTIME_H 1

/* The gateway's data plane as zoo-gatewayd runs it, between two ports that are
 * rings of the program. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include "gateway-packets.h"
#include "openvswitch/types.h"

#define GR_HOSTS 1              /* Port that packets come from... */
#define GR_UPLINK 2             /* ...and leave through. */
#define GR_SPARE 3

/* VM i, 10.1.0.i or fd02::i in VNI 100, is behind VTEP i % GR_N_VTEPS, which
 * is 10.2.0.x or fd03::x.  Path tables go PLAIN, BITMAP, INDEX, PLAIN... */
#define GR_N_VMS 64
#define GR_N_VTEPS 16
#define GR_VM_ADDRESS 0x0a010000
#define GR_VTEP_ADDRESS 0x0a020000
#define GR_MTU 1500

#define GR_TOO_LONG 10          /* Seconds to wait for anything. */

/* A device of the test, as seen from the gateway. */
struct gr_device {
    const char *name;
    struct rte_ring *rx, *tx;
};
extern struct gr_device gr_hosts, gr_uplink;

/* Monotonic time, ns. */
long long int gr_now(void);

/* Waits until CONDITION. */
#define GR_WAIT_FOR(CONDITION)                                              \
    do {                                                                    \
        long long int until = gr_now() + GR_TOO_LONG * SEC;                 \
                                                                            \
        while (!(CONDITION)) {                                              \
            unit_assert(gr_now() < until, "after %d s not %s", GR_TOO_LONG, \
                        #CONDITION);                                        \
            usleep(50);                                                     \
        }                                                                   \
    } while (0)

/* Stops the program with 'error' unless it is NULL. */
void gr_must(char *error);

/* Starts the gateway with both ports, and configures it. */
void gr_start(void);

/* Opens 'device' as 'port'. */
void gr_open_port(unsigned int port, const struct gr_device *);

/* Gives the gateway all VMs and VTEPs, or again after a change. */
void gr_configure(void);

/* Frames into the gateway and out of it; the latter returns false if there is
 * none. */
void gr_inject(const struct gr_device *, const struct gw_frame *);
bool gr_take(const struct gr_device *, struct gw_frame *);

/* The same in buffers of 'n' bytes, without room around them; and as one
 * packet that has the frame twice. */
void gr_inject_segments(const struct gr_device *, const struct gw_frame *,
                        size_t n);
void gr_inject_twice(const struct gr_device *, const struct gw_frame *);

/* Makes 'packet' a random one to VM 'vm', and then what the gateway is to send
 * of it. */
void gr_packet_to_vm(unsigned int vm, bool outer6, bool inner6,
                     struct gw_packet *packet);
void gr_expect_packet(struct gw_packet *packet, unsigned int vm);

/* The port of candidate 'i'. */
uint16_t gr_candidate_port(unsigned int i);

/* Count 'number' of the pipeline. */
uint64_t gr_read_count(unsigned int number);

/* Addresses. */
struct in6_addr gr_ip6(uint64_t hi, uint64_t lo);
struct in6_addr gr_ip4(uint32_t address);
struct in6_addr gr_vm_address(unsigned int vm, bool inner6);
struct eth_addr gr_mac(uint64_t value);
bool gr_vtep_is_ipv6(unsigned int vtep);
uint32_t gr_vtep_destination(unsigned int vtep);

#endif /* gateway-runtime.h */
