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

#ifndef ZOO_RECORD_H
#define ZOO_RECORD_H 1

/* Taking VTrace records in the datapath
 * =====================================
 *
 * Flow translation knows what a record is to say about its place, and puts it
 * into a datapath action: a userspace action whose user data is a struct
 * zoo_record_point.  Executing it adds what is the packet's, mostly its first
 * bytes as they are, in the ring of the thread; there is no upcall.  A thread
 * of ovs-vswitchd empties the rings, see vtrace-exporter.h, and it is that
 * which parses the packet and computes its digest. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ovs-ext/vtrace-digest.h"
#include "ovs-ext/vtrace-reasons.h"
#include "ovs-ext/vtrace-record.h"
#include "ovs-ext/vtrace-ring.h"
#include "ovs-ext/vtrace-sample.h"
#include "ovs-rcu.h"

struct dp_packet;
struct dp_packet_batch;
struct nlattr;
struct ofpbuf;
struct token_bucket;

/* Tells records from other user data, whose first 16 bits are small. */
#define ZOO_RECORD_MAGIC 0x5a56

/* The place of a record.  The members are those of struct vtrace_record with
 * the same names. */
struct zoo_record_point {
    uint16_t magic;             /* ZOO_RECORD_MAGIC. */
    uint16_t color;             /* Without the exponent. */
    uint16_t reason;
    uint16_t mtu;
    uint32_t ofp_port;
    uint32_t flags;             /* VTRACE_F_*, those that translation knows, and
                                 * ZOO_RECORD_F_SAMPLED. */
    uint64_t cookie;
    uint8_t role;
    uint8_t link;
    uint8_t port_class;
    uint8_t exp;
    uint8_t table;
    uint8_t tunnel;             /* The packet came out of a tunnel: its
                                 * metadata has the outer addresses. */
    uint16_t pushed;            /* Length of the tunnel header that was pushed
                                 * in front of the packet, 0 if none.  The
                                 * outer addresses are in it. */
    char bridge[VTRACE_NAME_LEN];
    char port[VTRACE_NAME_LEN];
};

BUILD_ASSERT_DECL(sizeof(struct zoo_record_point)
                  == 32 + 2 * VTRACE_NAME_LEN);

/* In the flags of a point: it need not find out whether packets are sampled,
 * they are.  Only in actions that zoo-sampling.c chooses. */
#define ZOO_RECORD_F_SAMPLED (UINT32_C(1) << 31)

/* Makes '*point' one of a packet with 'color', as in the group policy ID of a
 * traced packet, with nothing known of its place. */
void zoo_record_point_init(struct zoo_record_point *point,
                           enum vtrace_role role, uint16_t color,
                           enum vtrace_reason reason);

/* Appends to 'actions' a datapath action that takes a record at 'point'. */
void zoo_record_put(struct ofpbuf *actions,
                    const struct zoo_record_point *point);

/* Returns the point in 'a', a datapath action, or NULL if it takes no record.
 * The point can be unaligned.  Its color and exponent are in range; the other
 * members can be anything, since 'a' can come from an administrator. */
const struct zoo_record_point *zoo_record_point(const struct nlattr *a);

/* Executes 'a', a userspace action, if it takes a record: for each packet of
 * the batch that is sampled.  Deletes the packets if 'steal' is true.  Returns
 * false, and does nothing, if 'a' is for somebody else.
 *
 * Never blocks.  What cannot be written is counted as lost. */
bool zoo_record_execute(const struct nlattr *a, struct dp_packet_batch *,
                        bool steal);

/* Takes a record of 'packet' at 'point', at a place that has no action. */
void zoo_record_take(const struct zoo_record_point *point,
                     const struct dp_packet *packet);

/* The same, for a token of 'bucket' and one of 'all', if the packet is sampled.
 * If there are none the record counts as lost. */
void zoo_record_take_limited(const struct zoo_record_point *point,
                             const struct dp_packet *packet,
                             struct token_bucket *bucket,
                             struct token_bucket *all);

/* How records are taken. */
struct zoo_record_config {
    struct vtrace_digest_key key;
    unsigned int rate;          /* Records per second of a color and thread:
                                 * 1...ZOO_RECORD_RATE_MAX. */
};

#define ZOO_RECORD_RATE_DEFAULT 20000
#define ZOO_RECORD_RATE_MAX 1000000

/* Main thread: sets how records are taken, or that none are if 'config' is
 * NULL, as it is at first. */
void zoo_record_configure(const struct zoo_record_config *config);

/* What zoo_record_configure() was given, and what follows from it.  Written by
 * the main thread. */
struct zoo_record_current {
    bool enabled;               /* Records are taken. */
    struct zoo_record_config config;
    struct vtrace_sample_key sample_key;
    struct vtrace_rate rate;
};
typedef OVSRCU_TYPE(struct zoo_record_current *) zoo_record_current_ptr;
extern zoo_record_current_ptr zoo_record_current;

/* Returns the current configuration, until the calling thread quiesces.  Not
 * NULL: one who knows without 'enabled' what to do need not ask. */
static inline const struct zoo_record_current *
zoo_record_get_current(void)
{
    return ovsrcu_get(struct zoo_record_current *, &zoo_record_current);
}

#endif /* zoo-record.h */
