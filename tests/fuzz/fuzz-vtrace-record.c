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

/* Fuzzes what takes records: a point, as an administrator can give one with an
 * action of a datapath flow, and any packet.
 *
 * The first byte says what the packet's metadata and type are; the next
 * sizeof(struct zoo_record_point) are the point, whose first two are put right
 * unless a bit says otherwise; the rest is the packet. */

#include <config.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dp-packet.h"
#include "flow.h"
#include "odp-netlink.h"
#include "odp-util.h"
#include "openvswitch/ofpbuf.h"
#include "openvswitch/vlog.h"
#include "ovs-ext/vtrace-ring.h"
#include "ovs-ext/zoo-fate.h"
#include "ovs-ext/zoo-record.h"
#include "ovs-ext/zoo-sampling.h"
#include "util.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#define WRONG_MAGIC 0x01
#define TUNNEL 0x02
#define TUNNEL6 0x04
#define TRACKED 0x08
#define LAYER3 0x10
#define NO_OFFSETS 0x20             /* As after dp_packet_reset_packet(). */
#define RAW_POINT 0x40              /* Its color is what it is. */

static struct vtrace_record last;
static unsigned int n_records;

static void
check_records(void *aux, const struct vtrace_record *r, size_t n)
{
    const struct zoo_record_point *point = aux;

    for (size_t i = 0; i < n; i++) {
        ovs_assert(r[i].color == point->color && r[i].role == point->role);
        ovs_assert(r[i].ip_version == 4 || r[i].ip_version == 6);
        ovs_assert(r[i].payload_len <= r[i].ip_len);
        ovs_assert(r[i].vlan <= 4095);
        last = r[i];
    }
    n_records += n;
}

/* Checks that a point that has been told that 'batch', one packet, is sampled
 * takes the record that it took when it had to find out: 'last', if 'taken'. */
static void
check_captured(struct zoo_record_point *point, struct dp_packet_batch *batch,
               bool taken)
{
    struct vtrace_record decided = last;

    point->flags |= ZOO_RECORD_F_SAMPLED;
    n_records = 0;
    zoo_record_take(point, batch->packets[0]);
    vtrace_rings_drain(check_records, point);
    if (taken) {
        ovs_assert(n_records == 1);
        decided.time = last.time;
        ovs_assert(!memcmp(&decided, &last, sizeof last));
    }
}

/* Returns a packet in a buffer of just its size. */
static struct dp_packet *
make_packet(uint8_t how, const uint8_t *data, size_t size)
{
    struct dp_packet *packet = dp_packet_clone_data_with_headroom(data, size,
                                                                  2);
    struct flow flow;

    pkt_metadata_init(&packet->md, ODP_PORT_C(1));
    if (how & LAYER3) {
        packet->packet_type = htonl(PACKET_TYPE(OFPHTN_ETHERTYPE,
                                                ETH_TYPE_IP));
    }
    if (how & TUNNEL) {
        packet->md.tunnel.ip_src = htonl(0x0a000001);
        packet->md.tunnel.ip_dst = htonl(0x0a000002);
    } else if (how & TUNNEL6) {
        packet->md.tunnel.ipv6_dst = in6addr_loopback;
    }
    if (how & TRACKED) {
        packet->md.ct_state = 0x21;
        packet->md.ct_zone = 7;
    }
    flow_extract(packet, &flow);
    return packet;
}

/* Checks that of a packet that gets actions without points no point would have
 * taken a record, and that those actions have none. */
static void
check_sampling(const struct ofpbuf *actions, struct dp_packet_batch *batch,
               bool taken)
{
    struct zoo_sampling *s = zoo_sampling_create(actions->data,
                                                 actions->size);
    const struct nlattr *a;
    size_t left;

    if (!s) {
        return;
    }
    NL_ATTR_FOR_EACH (a, left, s->actions, s->size) {
        ovs_assert(!zoo_record_point(a));
    }
    ovs_assert(!taken || !zoo_sampling_choose(s, batch));
    zoo_sampling_destroy(s);
}

static void
check_reason(const uint8_t *data, size_t size)
{
    char *report = xmemdup0((const char *) data, size);
    enum vtrace_reason reason = zoo_fate_reason(report);

    ovs_assert(!reason || vtrace_reason_info(reason));
    free(report);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool initialized;
    struct zoo_record_point point;
    struct dp_packet_batch batch;
    struct ofpbuf actions;

    if (!initialized) {
        const struct zoo_record_config config = {
            .key = VTRACE_DIGEST_KEY_INIT,
            .rate = ZOO_RECORD_RATE_MAX,
        };

        vlog_set_levels(NULL, VLF_ANY_DESTINATION, VLL_OFF);
        zoo_record_configure(&config);
        initialized = true;
    }
    if (size < 1 + sizeof point + 14) {
        check_reason(data, size);
        return 0;
    }

    memcpy(&point, data + 1, sizeof point);
    if (!(data[0] & WRONG_MAGIC)) {
        point.magic = ZOO_RECORD_MAGIC;
    }
    if (!(data[0] & RAW_POINT)) {
        point.color = point.color % VTRACE_COLOR_MAX + 1;
        point.exp %= VTRACE_EXP_MAX + 1;
    }
    ofpbuf_init(&actions, 256);
    zoo_record_put(&actions, &point);
    dp_packet_batch_init_packet(&batch, make_packet(data[0],
                                                    data + 1 + sizeof point,
                                                    size - 1 - sizeof point));

    bool is_point = zoo_record_point(actions.data) != NULL;
    bool valid = (point.magic == ZOO_RECORD_MAGIC
                  && point.color >= VTRACE_COLOR_MIN
                  && point.color <= VTRACE_COLOR_MAX
                  && point.exp <= VTRACE_EXP_MAX);
    ovs_assert(is_point == valid);

    n_records = 0;
    ovs_assert(zoo_record_execute(actions.data, &batch, false) == valid);
    vtrace_rings_drain(check_records, &point);
    ovs_assert(n_records <= valid);
    bool taken = n_records;
    if (valid && !(point.flags & ZOO_RECORD_F_SAMPLED)) {
        check_captured(&point, &batch, taken);
        /* With 'pushed' the packet is another one at the start. */
        check_sampling(&actions, &batch, taken && !point.pushed);
    }

    if (data[0] & NO_OFFSETS) {
        dp_packet_reset_offsets(batch.packets[0]);
        zoo_record_execute(actions.data, &batch, false);
        vtrace_rings_drain(check_records, &point);
    }
    dp_packet_delete_batch(&batch, true);
    ofpbuf_uninit(&actions);
    return 0;
}
