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

#include <config.h>

#include "ovs-ext/zoo-sampling.h"

#include "odp-netlink.h"
#include "openvswitch/ofpbuf.h"
#include "ovs-ext/vtrace-record.h"
#include "packets.h"
#include "util.h"

/* Runs of a batch at most: with more, the points themselves may decide. */
#define MAX_RUNS 7

/* Appends to 'out' what of the actions at 'actions' is no point.  Returns the
 * least exponent of the points. */
static unsigned int
put_without_points(const struct nlattr *actions, size_t size,
                   struct ofpbuf *out)
{
    unsigned int exp = VTRACE_EXP_MAX + 1;
    const struct nlattr *a;
    unsigned int left;

    NL_ATTR_FOR_EACH (a, left, actions, size) {
        const struct zoo_record_point *point = zoo_record_point(a);

        if (point) {
            exp = MIN(exp, *((const uint8_t *) point
                             + offsetof(struct zoo_record_point, exp)));
        } else if (nl_attr_type(a) == OVS_ACTION_ATTR_CLONE) {
            size_t start = nl_msg_start_nested(out, OVS_ACTION_ATTR_CLONE);
            unsigned int nested = put_without_points(nl_attr_get(a),
                                                     nl_attr_get_size(a),
                                                     out);

            nl_msg_end_nested(out, start);
            exp = MIN(exp, nested);
        } else {
            /* Points elsewhere decide for themselves. */
            ofpbuf_put(out, a, MIN(NLA_ALIGN(a->nla_len), left));
        }
    }
    return exp;
}

/* Tells the points in 'actions' with exponent 'exp' that packets are
 * sampled. */
static void
set_sampled(struct nlattr *actions, size_t size, unsigned int exp)
{
    struct nlattr *a;
    unsigned int left;

    NL_ATTR_FOR_EACH (a, left, actions, size) {
        uint8_t *p = CONST_CAST(void *, (const void *) zoo_record_point(a));

        if (p) {
            struct zoo_record_point point;

            memcpy(&point, p, sizeof point);
            if (point.exp == exp) {
                point.flags |= ZOO_RECORD_F_SAMPLED;
                memcpy(p, &point, sizeof point);
            }
        } else if (nl_attr_type(a) == OVS_ACTION_ATTR_CLONE) {
            set_sampled(CONST_CAST(struct nlattr *, nl_attr_get(a)),
                        nl_attr_get_size(a), exp);
        }
    }
}

struct zoo_sampling *
zoo_sampling_create(const struct nlattr *actions, size_t size)
{
    struct zoo_sampling *s = NULL;
    struct ofpbuf out;
    unsigned int exp;

    ofpbuf_init(&out, size);
    exp = put_without_points(actions, size, &out);
    if (exp && exp <= VTRACE_EXP_MAX) {
        s = xmalloc(sizeof *s + out.size);
        s->mask = vtrace_sample_mask(exp);
        s->size = out.size;
        s->sampled = xmemdup(actions, size);
        set_sampled(s->sampled, size, exp);
        if (out.size) {
            memcpy(s->actions, out.data, out.size);
        }
    }
    ofpbuf_uninit(&out);
    return s;
}

void
zoo_sampling_destroy(struct zoo_sampling *s)
{
    if (s) {
        free(s->sampled);
        free(s);
    }
}

/* Returns true if flow extraction has found a transport header, and so an IP
 * header, in 'packet'.  Otherwise 'l4_ofs' is UINT16_MAX. */
static bool
has_transport(const struct dp_packet *packet)
{
    return packet->l4_ofs <= dp_packet_size(packet);
}

/* Returns true if 'packet' is sampled, or if only the points can tell, which
 * is so if it has no transport header. */
static bool
is_sampled(const struct vtrace_sample_key *key, uint32_t mask,
           const struct dp_packet *packet)
{
    const uint8_t *ip = dp_packet_l3(packet);
    size_t l4_size = ((size_t) dp_packet_size(packet) - packet->l4_ofs
                      - dp_packet_l2_pad_size(packet));
    uint32_t sample;

    if (!has_transport(packet)) {
        return true;
    }
    return ((vtrace_sample_fast(key, ip, packet->l4_ofs - packet->l3_ofs,
                                l4_size, &sample)
             || vtrace_sample(key, ip,
                              dp_packet_size(packet) - packet->l3_ofs,
                              &sample))
            && !(sample & mask));
}

/* Returns which packets of 'batch' are sampled, a bit for each, or only the
 * points can tell. */
static uint64_t
find_sampled(const struct zoo_sampling *s, const struct dp_packet_batch *batch)
{
    const struct zoo_record_current *current = zoo_record_get_current();
    const struct vtrace_sample_key *key = &current->sample_key;
    uint64_t sampled = 0;

    if (!current->enabled) {
        return 0;
    }
    for (size_t i = 0; i < dp_packet_batch_size(batch); i++) {
        const struct dp_packet *packet = batch->packets[i];
        bool is;

        if (!zoo_sampling_decide_plain__(key, s, packet, &is)) {
            is = is_sampled(key, s->mask, packet);
        }
        sampled |= (uint64_t) is << i;
    }
    return sampled;
}

/* Returns true if it is known that the packets in 'batch', of which
 * find_sampled() has returned all, are sampled. */
static bool
are_sampled(const struct dp_packet_batch *batch)
{
    for (size_t i = 0; i < dp_packet_batch_size(batch); i++) {
        if (!has_transport(batch->packets[i])) {
            return false;
        }
    }
    return true;
}

enum run_packets { NONE_SAMPLED, ALL_SAMPLED, SOME_SAMPLED };

/* Sets what packets of '*run' get.  Executes points ahead of all other actions
 * at once, with less ado than it would take there. */
static void
run_set_actions(struct zoo_run *run, enum run_packets packets)
{
    const struct zoo_sampling *s = run->sampling;

    if (packets == NONE_SAMPLED) {
        run->actions = s->actions;
        run->size = s->size;
        return;
    }
    run->actions = (packets == ALL_SAMPLED && are_sampled(run->batch)
                    ? s->sampled : run->all_actions);
    run->size = run->all_size;
    while (nl_attr_is_valid(run->actions, run->size)
           && zoo_record_execute(run->actions, run->batch, false)) {
        run->size -= MIN(NLA_ALIGN(run->actions->nla_len), run->size);
        run->actions = nl_attr_next(run->actions);
    }
}

/* Sets '*run' to the next packets of a batch that is split. */
static void
run_split(struct zoo_run *run)
{
    bool sampled = run->sampled >> run->next & 1;

    dp_packet_batch_init(&run->some);
    do {
        dp_packet_batch_add(&run->some, run->all->packets[run->next++]);
    } while (run->next < run->end
             && (run->sampled >> run->next & 1) == sampled);
    run_set_actions(run, sampled ? ALL_SAMPLED : NONE_SAMPLED);
}

void
zoo_run_first(struct zoo_run *run, const struct zoo_sampling *s,
              const struct nlattr *actions, size_t size,
              struct dp_packet_batch *batch)
{
    run->sampling = s;
    run->all_actions = run->actions = actions;
    run->all_size = run->size = size;
    run->batch = batch;
    run->next = run->end = 0;
    if (!s) {
        return;
    }

    size_t n = dp_packet_batch_size(batch);
    uint64_t sampled = find_sampled(s, batch);
    uint64_t changes = ((sampled ^ sampled >> 1)
                        & ((UINT64_C(1) << (n - 1)) - 1));

    if (!changes || count_1bits(changes) >= MAX_RUNS) {
        run_set_actions(run, (!sampled ? NONE_SAMPLED
                              : changes ? SOME_SAMPLED : ALL_SAMPLED));
    } else {
        run->all = batch;
        run->sampled = sampled;
        run->end = n;
        run->batch = &run->some;
        run_split(run);
    }
}

bool
zoo_run_next(struct zoo_run *run)
{
    if (run->next == run->end) {
        return false;
    }
    run_split(run);
    return true;
}
