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
 * Points decide for themselves where nobody has, since actions are executed in
 * other ways too, such as those of a flow's first packet.  What they decide is
 * the same: no action changes what is hashed, see vtrace-sample.h.
 *
 * Thread-safe: a struct zoo_sampling does not change. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "dp-packet.h"
#include "netlink.h"
#include "openvswitch/compiler.h"
#include "ovs-ext/vtrace-sample.h"
#include "ovs-ext/zoo-record.h"
#include "packets.h"
#include "util.h"

/* What a flow has of its actions. */
struct zoo_sampling {
    uint32_t mask;              /* vtrace_sample_mask() of the least exponent
                                 * of a point. */
    uint32_t size;              /* Of 'actions'. */
    struct nlattr *sampled;     /* All actions, for packets that are known to
                                 * be sampled: points do not decide again. */
    struct nlattr actions[];    /* Those without points. */
};

/* Returns what is needed for the 'size' bytes of datapath actions at
 * 'actions', or NULL if they have no points, or some that sample all packets.
 * The caller is to free it with zoo_sampling_destroy(). */
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
    const struct nlattr *all_actions;
    size_t all_size;
    struct dp_packet_batch *all;
    uint64_t sampled;           /* A bit for each packet of 'all'. */
    size_t next, end;           /* Packets of 'all' that have no run yet. */
    struct dp_packet_batch some;
};

BUILD_ASSERT_DECL(NETDEV_MAX_BURST <= 64);

/* Where the headers of a packet are, as one word: its padding and the offsets
 * of MPLS, network and transport headers. */
union zoo_packet_shape {
    uint16_t ofs[4];
    uint64_t word;
};

BUILD_ASSERT_DECL(offsetof(struct dp_packet, l2_5_ofs)
                  == offsetof(struct dp_packet, l2_pad_size) + 2);
BUILD_ASSERT_DECL(offsetof(struct dp_packet, l3_ofs)
                  == offsetof(struct dp_packet, l2_pad_size) + 4);
BUILD_ASSERT_DECL(offsetof(struct dp_packet, l4_ofs)
                  == offsetof(struct dp_packet, l2_pad_size) + 6);

static inline uint64_t
zoo_packet_shape(const struct dp_packet *packet)
{
    union zoo_packet_shape shape;

    memcpy(&shape, ((const char *) packet
                    + offsetof(struct dp_packet, l2_pad_size)), sizeof shape);
    return shape.word;
}

/* Stores in '*sampled' whether 'packet' is, if it is like most: IPv4 without
 * 802.1Q header, IP options and padding, of which one comparison makes sure.
 * Returns false for any other. */
static inline bool
zoo_sampling_decide_plain__(const struct vtrace_sample_key *key,
                            const struct zoo_sampling *s,
                            const struct dp_packet *packet, bool *sampled)
{
    enum { IP = ETH_HEADER_LEN, L4 = ETH_HEADER_LEN + IP_HEADER_LEN };
    const union zoo_packet_shape plain = { .ofs = { 0, UINT16_MAX, IP, L4 } };
    const uint8_t *data = ((const uint8_t *) dp_packet_base(packet)
                           + __packet_data(packet));
    uint32_t sample;

    if (OVS_UNLIKELY(zoo_packet_shape(packet) != plain.word
                     || !vtrace_sample_plain(key, data + IP,
                                             dp_packet_size(packet), L4,
                                             &sample))) {
        return false;
    }
    *sampled = !(sample & s->mask);
    return true;
}

/* Returns 's' if all packets of 'batch', the offsets of whose headers are
 * right, are to get 's->actions'.  Returns NULL if not, or if it would take
 * longer to find out: then ZOO_RUN_FOR_EACH is to execute them.
 *
 * Where no records are taken this just picks other packets for the longer way.
 * Calls nothing, so that there is little to save.  Every packet of a traced
 * flow that comes alone pays for this. */
static inline const struct zoo_sampling *
zoo_sampling_choose(const struct zoo_sampling *s,
                    const struct dp_packet_batch *batch)
{
    const struct zoo_record_current *current = zoo_record_get_current();
    bool sampled;

    if (OVS_UNLIKELY(dp_packet_batch_size(batch) != 1)
        || !zoo_sampling_decide_plain__(&current->sample_key, s,
                                        batch->packets[0], &sampled)) {
        return NULL;
    }
    return OVS_LIKELY(!sampled) ? s : NULL;
}

void zoo_run_first(struct zoo_run *, const struct zoo_sampling *,
                   const struct nlattr *actions, size_t size,
                   struct dp_packet_batch *);
bool zoo_run_next(struct zoo_run *);

/* Has the packets of BATCH, the offsets of whose headers are right, get the
 * SIZE bytes at ACTIONS, for which zoo_sampling_create() returned SAMPLING, in
 * their order and in as few runs as that takes.  RUN->batch, RUN->actions and
 * RUN->size say what to execute; that is to steal the packets.  Points ahead of
 * all other actions have been executed already. */
#define ZOO_RUN_FOR_EACH(RUN, SAMPLING, ACTIONS, SIZE, BATCH)                 \
    for (bool more__ = (zoo_run_first(RUN, SAMPLING, ACTIONS, SIZE, BATCH),   \
                        true);                                                \
         more__; more__ = zoo_run_next(RUN))

#endif /* zoo-sampling.h */
