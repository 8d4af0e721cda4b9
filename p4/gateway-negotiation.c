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

/* Updates of the path tables by negotiation packets.
 *
 * A cell that has changed is in a queue once, whatever the number of its
 * changes.  "gateway-punt" takes cells from the queue, many into one packet.
 * While the packet is on its way none of its cells is sent again, so that an
 * older value cannot come after a newer one: SWX has several packets under way
 * at once, in any order.  Then, those of its cells that have changed again, or
 * whose packet got lost, return to the queue.
 *
 * So a lost packet must not be mistaken for a late one.  Each has a reference
 * that is kept here, and is lost when that is the last one and no
 * acknowledgement has come. */

#include <config.h>
#include "p4/gateway-pipeline.h"

#include <stdlib.h>
#include <string.h>

#include <rte_mbuf.h>

#include "openvswitch/dynamic-string.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/vlog.h"
#include "ofproto-zoo/zoo-gateway-path.h"
#include "ovs-thread.h"
#include "p4/gateway-names.h"
#include "p4/gateway-private.h"
#include "timeval.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(gateway_negotiation);

#define WINDOW 64               /* Packets under way. */
#define TIMEOUT 20              /* Until one may be lost, ms. */

/* Bytes: Ethernet's header, negotiation_t, update_t. */
#define HEADERS 26
#define UPDATE 12

/* Both path tables one after the other. */
#define N_CELLS (2 * ZOO_GATEWAY_N_DESTINATIONS)

struct cell {
    uint32_t value;             /* As wanted. */
    uint32_t sent;              /* By the packet under way. */
    bool queued;                /* In 'queue'. */
    bool under_way;             /* In a packet, and not in 'queue'. */
};

struct packet {
    struct rte_mbuf *mbuf;      /* NULL if unused. */
    uint32_t sequence;
    long long int sent;         /* Time, ms. */
    size_t n;
    uint32_t cells[ZOO_GATEWAY_MAX_UPDATES];
};

static struct ovs_mutex mutex = OVS_MUTEX_INITIALIZER;
static struct cell *cells OVS_GUARDED_BY(mutex);

/* A ring of cells' numbers with room for all. */
static uint32_t *queue OVS_GUARDED_BY(mutex);
static size_t queue_head OVS_GUARDED_BY(mutex);
static size_t queue_n OVS_GUARDED_BY(mutex);

/* Cells under way. */
static size_t n_under_way OVS_GUARDED_BY(mutex);

static struct gateway_update_stats stats OVS_GUARDED_BY(mutex);

/* What has been acknowledged, in as many bits as a path table needs. */
static struct zoo_gateway_array mirrors[2] OVS_GUARDED_BY(mutex);

/* The thread "gateway-punt" alone. */
static struct packet *packets;
static size_t n_packets;        /* Used. */
static uint32_t n_sent;          /* Ever. */
static uint32_t token;
static bool starved;            /* No buffers, or no room in the queue. */

static const char *const arrays[2] = { GATEWAY_BITMAPS, GATEWAY_INDICES };

static void
enqueue(uint32_t i) OVS_REQUIRES(mutex)
{
    struct cell *cell = &cells[i];

    cell->queued = true;
    queue[(queue_head + queue_n++) % N_CELLS] = i;
}

void
gateway_path_update(const struct gateway_update *update)
{
    static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(1, 5);
    bool index = update->path_table == ZOO_GATEWAY_INDEX;

    if ((update->path_table != ZOO_GATEWAY_BITMAP && !index)
        || update->destination >= ZOO_GATEWAY_N_DESTINATIONS
        || (index && update->value >> ZOO_GATEWAY_CELL_BITS)) {
        VLOG_ERR_RL(&rl, "update of table %d, destination %"PRIu32", to "
                    "0x%"PRIx32" is out of range", update->path_table,
                    update->destination, update->value);
        return;
    }

    uint32_t i = index * ZOO_GATEWAY_N_DESTINATIONS + update->destination;
    ovs_mutex_lock(&mutex);
    cells[i].value = update->value;
    if (!cells[i].queued && !cells[i].under_way) {
        enqueue(i);
    }
    ovs_mutex_unlock(&mutex);
    gateway_cpu_wake();
}

uint32_t
gateway_path_read(int path_table, uint32_t destination)
{
    return gateway_register_read(arrays[path_table == ZOO_GATEWAY_INDEX],
                                 destination);
}

void
gateway_path_get_stats(struct gateway_update_stats *out)
{
    ovs_mutex_lock(&mutex);
    *out = stats;
    out->pending = queue_n + n_under_way;
    ovs_mutex_unlock(&mutex);
}

/* The thread "gateway-punt". */

/* Ends 'packet', whose cells have been written if 'done'. */
static void
finish(struct packet *packet, bool done)
{
    ovs_mutex_lock(&mutex);
    for (size_t i = 0; i < packet->n; i++) {
        uint32_t number = packet->cells[i];
        struct cell *cell = &cells[number];

        cell->under_way = false;
        if (done) {
            zoo_gateway_array_set(
                &mirrors[number / ZOO_GATEWAY_N_DESTINATIONS],
                number % ZOO_GATEWAY_N_DESTINATIONS, cell->sent);
        }
        if (!done || cell->value != cell->sent) {
            enqueue(number);
        }
    }
    n_under_way -= packet->n;
    if (done) {
        stats.updates += packet->n;
    } else {
        stats.retransmissions++;
    }
    ovs_mutex_unlock(&mutex);
    rte_pktmbuf_free(packet->mbuf);
    packet->mbuf = NULL;
    n_packets--;
}

void
gateway_negotiation_receive(const uint8_t *data, size_t len)
{
    struct packet *packet;
    unsigned int written;
    uint32_t sequence;

    if (len < HEADERS) {
        return;
    }
    written = data[16] << 8 | data[17];
    sequence = gateway_get_u32(data + 18);
    packet = &packets[sequence % WINDOW];
    if (packet->mbuf && packet->sequence == sequence
        && written == packet->n) {
        finish(packet, true);
    }
}

static uint8_t *
put_update(uint8_t *p, uint8_t marker, uint8_t path_table,
           uint32_t destination, uint32_t value)
{
    p[0] = marker;
    p[1] = path_table;
    p[2] = p[3] = 0;
    gateway_put_u32(p + 4, destination);
    gateway_put_u32(p + 8, value);
    return p + UPDATE;
}

/* Fills 'packet', which has a buffer, with what is in the queue. */
static void
compose(struct packet *packet) OVS_REQUIRES(mutex)
{
    struct rte_mbuf *m = packet->mbuf;
    uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);

    memset(p, 0, HEADERS);
    p[12] = ZOO_GATEWAY_NEGOTIATION_TYPE >> 8;
    p[13] = ZOO_GATEWAY_NEGOTIATION_TYPE & 0xff;
    p[14] = ZOO_GATEWAY_NEGOTIATION_VERSION;
    p[15] = ZOO_GATEWAY_NEGOTIATION_UPDATE;
    gateway_put_u32(p + 18, packet->sequence);
    gateway_put_u32(p + 22, token);
    p += HEADERS;
    for (packet->n = 0; queue_n && packet->n < ZOO_GATEWAY_MAX_UPDATES; ) {
        uint32_t number = queue[queue_head];
        struct cell *cell = &cells[number];
        bool index = number >= ZOO_GATEWAY_N_DESTINATIONS;

        queue_head = (queue_head + 1) % N_CELLS;
        queue_n--;
        cell->queued = false;
        cell->under_way = true;
        cell->sent = cell->value;
        p = put_update(p, ZOO_GATEWAY_MARKER_PKT,
                       index ? ZOO_GATEWAY_INDEX : ZOO_GATEWAY_BITMAP,
                       number % ZOO_GATEWAY_N_DESTINATIONS, cell->sent);
        packet->cells[packet->n++] = number;
    }
    put_update(p, ZOO_GATEWAY_MARKER_END, 0, 0, 0);
    rte_pktmbuf_append(m, HEADERS + UPDATE * (packet->n + 1));
    n_under_way += packet->n;
    stats.packets++;
}

/* Sends a packet of updates.  Returns false if there is nothing to send or no
 * way to. */
static bool
send_packet(void)
{
    struct packet *packet = packets;
    bool empty;

    starved = false;
    ovs_mutex_lock(&mutex);
    empty = !queue_n;
    ovs_mutex_unlock(&mutex);
    if (empty || n_packets >= WINDOW) {
        return false;
    }
    while (packet->mbuf) {
        packet++;
    }
    packet->mbuf = rte_pktmbuf_alloc(gateway_ports_pool(GATEWAY_FRAME));
    if (!packet->mbuf) {
        starved = true;
        return false;
    }
    packet->sequence = n_sent++ * WINDOW + (packet - packets);
    packet->sent = time_msec();
    n_packets++;
    ovs_mutex_lock(&mutex);
    compose(packet);
    ovs_mutex_unlock(&mutex);
    gateway_put_shim(packet->mbuf, ZOO_GATEWAY_CPU_PORT);
    rte_mbuf_refcnt_set(packet->mbuf, 2);
    if (!gateway_cpu_negotiate(packet->mbuf)) {
        rte_mbuf_refcnt_set(packet->mbuf, 1);
        finish(packet, false);
        starved = true;
        return false;
    }
    return true;
}

void
gateway_negotiation_run(void)
{
    if (n_packets) {
        long long int now = time_msec();

        for (size_t i = 0; i < WINDOW; i++) {
            struct packet *packet = &packets[i];

            if (packet->mbuf && now - packet->sent >= TIMEOUT
                && rte_mbuf_refcnt_read(packet->mbuf) == 1) {
                finish(packet, false);
            }
        }
    }
    while (send_packet()) {
        continue;
    }
}

void
gateway_negotiation_wait(void)
{
    bool more;

    /* What was queued before the caller said that it sleeps has not woken
     * anybody up. */
    ovs_mutex_lock(&mutex);
    more = queue_n && n_packets < WINDOW && !starved;
    ovs_mutex_unlock(&mutex);
    if (more) {
        poll_immediate_wake();
    } else if (starved) {
        poll_timer_wait(1);
    } else if (n_packets) {
        poll_timer_wait(TIMEOUT);
    }
}

/* Memory. */

static void
format_table(struct ds *s, const char *name,
             const struct zoo_gateway_array *array, const char *of)
{
    size_t bytes = zoo_gateway_array_bytes(array);
    size_t ports = array->n * ZOO_GATEWAY_UNCOMPRESSED_BITS / 8;

    ds_put_format(s, "%s: %"PRIuSIZE" cells of %u bits, %"PRIuSIZE" bytes; "
                  "%"PRIuSIZE" in the pipeline; %s uncompressed %"PRIuSIZE
                  ", %.1f times as many\n", name, array->n, array->cell_bits,
                  bytes, array->n * sizeof(uint64_t), of, ports,
                  (double) ports / bytes);
}

void
gateway_negotiation_format(struct ds *s)
{
    ovs_mutex_lock(&mutex);
    format_table(s, "bitmaps", &mirrors[0], "32 ports of 16 bits");
    format_table(s, "indices", &mirrors[1], "32 ports of 16 bits");
    ovs_mutex_unlock(&mutex);
}

/* Start and stop. */

void
gateway_negotiation_init(uint32_t token_)
{
    ovs_mutex_lock(&mutex);
    token = token_;
    cells = xcalloc(N_CELLS, sizeof *cells);
    queue = xcalloc(N_CELLS, sizeof *queue);
    packets = xcalloc(WINDOW, sizeof *packets);
    zoo_gateway_array_init(&mirrors[0], ZOO_GATEWAY_N_CANDIDATES,
                           ZOO_GATEWAY_N_DESTINATIONS);
    zoo_gateway_array_init(&mirrors[1], ZOO_GATEWAY_CELL_BITS,
                           ZOO_GATEWAY_N_DESTINATIONS);
    ovs_mutex_unlock(&mutex);
}

void
gateway_negotiation_destroy(void)
{
    ovs_mutex_lock(&mutex);
    for (size_t i = 0; i < WINDOW; i++) {
        rte_pktmbuf_free(packets[i].mbuf);
    }
    for (size_t i = 0; i < ARRAY_SIZE(mirrors); i++) {
        zoo_gateway_array_destroy(&mirrors[i]);
    }
    free(cells);
    free(queue);
    free(packets);
    ovs_mutex_unlock(&mutex);
}
