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

#ifndef ZOO_SAMPLING_H
#define ZOO_SAMPLING_H 1

/* Executing a traced flow's actions for packets that are not sampled
 * ==================================================================
 *
 * Of a packet that is not sampled no point takes a record.  So a datapath flow
 * with points keeps its actions a second time, without the points, and which
 * of the two its packets get is decided once, before the first action: where
 * the offsets of a packet's headers have just been found, so that it takes a
 * few instructions.
 *
 * Points decide again for themselves, since actions are executed in other
 * ways too, such as those of a flow's first packet.  What they decide is the
 * same: no action changes what is hashed, see vtrace-sample.h.
 *
 * Thread-safe: a struct zoo_sampling does not change. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dp-packet.h"
#include "netlink.h"
#include "openvswitch/compiler.h"
#include "ovs-ext/vtrace-sample.h"
#include "ovs-ext/zoo-record.h"

/* What a flow has of its actions. */
struct zoo_sampling {
    const struct nlattr *all;   /* The caller's, with the points. */
    size_t all_size;
    uint32_t mask;              /* vtrace_sample_mask() of the least exponent
                                 * of a point. */
    uint32_t size;              /* Of 'actions'. */
    struct nlattr actions[];    /* Those without points. */
};

/* Returns what is needed for the 'size' bytes of datapath actions at
 * 'actions', or NULL if they have no points, or some that sample all packets.
 * The caller is to free it with zoo_sampling_destroy(), and to keep 'actions'
 * for as long. */
struct zoo_sampling *zoo_sampling_create(const struct nlattr *actions,
                                         size_t size);
void zoo_sampling_destroy(struct zoo_sampling *);

/* Packets of a batch that get the same actions. */
struct zoo_run {
    struct dp_packet_batch *batch;
    const struct nlattr *actions;
    size_t size;

    /* What comes after them. */
    const struct zoo_sampling *sampling;
    struct dp_packet_batch *all;
    uint64_t sampled;           /* A bit for each packet of 'all'. */
    size_t next, end;           /* Packets of 'all' that have no run yet. */
    struct dp_packet_batch some;
};

BUILD_ASSERT_DECL(NETDEV_MAX_BURST <= 64);

bool zoo_sampling_slow__(const struct dp_packet *, uint32_t mask);

/* Returns true if 'packet', the offsets of whose headers are right, is sampled
 * where that is so of packets none of whose sample's bits in 'mask' is set, or
 * if only the points can tell. */
static inline bool
zoo_sampling_is_sampled(const struct vtrace_sample_key *key, uint32_t mask,
                        const struct dp_packet *packet)
{
    const uint8_t *data
        = (const uint8_t *) dp_packet_base(packet) + __packet_data(packet);
    size_t l4_size = ((size_t) dp_packet_size(packet) - packet->l4_ofs
                      - dp_packet_l2_pad_size(packet));
    uint32_t sample;

    /* With no transport header 'l4_ofs' is UINT16_MAX. */
    if (OVS_LIKELY(packet->l4_ofs <= dp_packet_size(packet)
                   && vtrace_sample_fast(key, data + packet->l3_ofs,
                                         packet->l4_ofs - packet->l3_ofs,
                                         l4_size, &sample))) {
        return !(sample & mask);
    }
    return zoo_sampling_slow__(packet, mask);
}

/* Returns which packets of 'batch' have to be executed by ZOO_RUN_FOR_EACH, a
 * bit for each: those that are sampled.  If there are none, all get
 * 's->actions'. */
static inline uint64_t
zoo_sampling_find(const struct zoo_sampling *s,
                  const struct dp_packet_batch *batch)
{
    const struct vtrace_sample_key *key = zoo_record_sample_key();
    uint64_t sampled = 0;

    if (OVS_UNLIKELY(!key)) {
        return 0;
    }
    for (size_t i = 0; i < dp_packet_batch_size(batch); i++) {
        if (OVS_UNLIKELY(zoo_sampling_is_sampled(key, s->mask,
                                                 batch->packets[i]))) {
            sampled |= UINT64_C(1) << i;
        }
    }
    return sampled;
}

void zoo_run_first(struct zoo_run *, const struct zoo_sampling *,
                   struct dp_packet_batch *, uint64_t sampled);
bool zoo_run_next(struct zoo_run *);

/* Has the packets of BATCH, of which zoo_sampling_find() found SAMPLED,
 * executed in their order, in as few runs as that takes.  RUN->batch,
 * RUN->actions and RUN->size say what to execute; that is to steal the
 * packets. */
#define ZOO_RUN_FOR_EACH(RUN, SAMPLING, BATCH, SAMPLED)                       \
    for (bool more__ = (zoo_run_first(RUN, SAMPLING, BATCH, SAMPLED), true);  \
         more__; more__ = zoo_run_next(RUN))

#endif /* zoo-sampling.h */
