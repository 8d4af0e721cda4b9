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

#ifndef GATEWAY_PRIVATE_H
#define GATEWAY_PRIVATE_H 1

/* What the files of the gateway's data plane share:
 *
 *     gateway-pipeline.c     SWX's pipeline and the thread "gateway" that runs
 *                            it
 *     gateway-ports.c        network ports: DPDK's devices
 *     gateway-cpu.c          the CPU port, and the thread "gateway-punt"
 *     gateway-negotiation.c  updates of path tables, in "gateway-punt"
 *     gateway-tables.c       what the tables hold
 *     gateway-use.c          by which candidates packets leave
 */

#include <rte_swx_port.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ds;
struct rte_mbuf;
struct rte_mempool;
struct rte_swx_pipeline;
struct rte_swx_table_state;

/* SWX's input ports.  Their number is fixed when the pipeline is built, and it
 * asks one after the other for a packet, so all network ports are one. */
#define GATEWAY_INPUT_NETWORK 1
#define GATEWAY_N_INPUTS 2

/* In front of each packet that enters the pipeline, and of those that the CPU
 * port gets; and behind it the room that a parser may read which goes beyond
 * the end. */
#define GATEWAY_SHIM 12
#define GATEWAY_TAILROOM 256

/* Bytes of the frames that buffers have room for, unless a port has an MTU
 * that is too large for it, and the most that any has. */
#define GATEWAY_FRAME 2304
#define GATEWAY_JUMBO_FRAME 9728

/* Packets taken from a queue, or given to it, at once. */
#define GATEWAY_BURST 32

/* What the thread "gateway" knows of the pipeline.  It alone accesses this. */
struct gateway_run {
    uint64_t n_in;              /* Packets that went in... */
    uint64_t n_out;             /* ...and came out, but for the dropped. */
    bool hold;                  /* Lets no packet in. */
};
extern struct gateway_run gateway_run;

/* Pipeline. */

extern struct rte_swx_pipeline *gateway_swx;

/* Main thread: calls 'function' with 'aux' in the thread "gateway" at a moment
 * when no packet is in the pipeline, and returns afterwards. */
void gateway_at_rest(void (*function)(void *aux), void *aux);

/* Appends how often that has been, and how long packets waited for it. */
void gateway_at_rest_format(struct ds *);

/* Any thread: reads or writes a register.  The names are the program's, which
 * gateway_pipeline_start() has tried. */
uint64_t gateway_register_read(const char *array, uint32_t index);
void gateway_register_write(const char *array, uint32_t index,
                            uint64_t value);

/* Stores the four bytes of a shim's or a negotiation packet's number. */
static inline void
gateway_put_u32(uint8_t *p, uint32_t value)
{
    p[0] = value >> 24;
    p[1] = value >> 16;
    p[2] = value >> 8;
    p[3] = value;
}

static inline uint32_t
gateway_get_u32(const uint8_t *p)
{
    return ((uint32_t) p[0] << 24 | (uint32_t) p[1] << 16
            | (uint32_t) p[2] << 8 | p[3]);
}

/* Writes the shim in front of 'm''s data, which it leaves as they are. */
void gateway_put_shim(struct rte_mbuf *m, unsigned int port);

/* Registers input and output ports of type 'name', whose packets 'rx' and 'tx'
 * take and give, with SWX, before the pipeline is built.  A port's arguments are
 * what these functions get as the port.  Returns 0 or a negative errno value. */
int gateway_register_port_type(struct rte_swx_pipeline *, const char *name,
                               rte_swx_port_in_pkt_rx_t rx,
                               rte_swx_port_out_pkt_tx_t tx);

/* Appends whether the program is compiled. */
void gateway_program_format(struct ds *);

/* Ports. */

/* In the thread "gateway": the ports' functions as SWX calls them.  The input
 * ports need no 'port'. */
int gateway_network_rx(void *port, struct rte_swx_pkt *);
void gateway_network_tx(void *port, struct rte_swx_pkt *);
int gateway_cpu_rx(void *port, struct rte_swx_pkt *);
void gateway_cpu_tx(void *port, struct rte_swx_pkt *);

/* Returns what gateway_network_tx() wants for port 'number'. */
void *gateway_network_port(unsigned int number);

/* Configures the pipeline's network ports, before it is built.  Returns an
 * error message or NULL. */
char *gateway_ports_config(struct rte_swx_pipeline *);
void gateway_ports_stop(void);

/* In the thread "gateway": sends what waits for more. */
void gateway_ports_flush(void);

/* Any thread: returns buffers for frames of 'len' bytes, or NULL. */
struct rte_mempool *gateway_ports_pool(size_t len);

/* Any thread: returns true if 'port' is open. */
bool gateway_port_is_open(unsigned int port);

/* CPU port. */

char *gateway_cpu_config(struct rte_swx_pipeline *);
void gateway_cpu_start(void);
void gateway_cpu_stop(void);

/* In the thread "gateway-punt": gives a negotiation packet, with a shim, to
 * the pipeline.  Returns false, and it stays the caller's, if the queue is
 * full. */
bool gateway_cpu_negotiate(struct rte_mbuf *);

/* In the thread "gateway": the pipeline is empty. */
void gateway_cpu_idle(void);

/* Any thread: wakes the thread "gateway-punt". */
void gateway_cpu_wake(void);

/* Negotiation. */

/* Before and after everything else runs. */
void gateway_negotiation_init(uint32_t token);
void gateway_negotiation_destroy(void);

/* In the thread "gateway-punt": sends what is to be sent, and arranges for it
 * to wake up. */
void gateway_negotiation_run(void);
void gateway_negotiation_wait(void);

/* In the thread "gateway-punt": takes an acknowledgement of 'len' bytes. */
void gateway_negotiation_receive(const uint8_t *data, size_t len);

/* Appends what path tables take in memory. */
void gateway_negotiation_format(struct ds *);

/* Tables. */

/* After the pipeline has been built.  Returns an error message or NULL. */
char *gateway_tables_init(void);
void gateway_tables_destroy(void);

#endif /* gateway-private.h */
