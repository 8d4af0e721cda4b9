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
        s->all = actions;
        s->all_size = size;
        s->mask = vtrace_sample_mask(exp);
        s->size = out.size;
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
    free(s);
}

/* Does as zoo_sampling_is_sampled(), for any packet. */
bool
zoo_sampling_slow__(const struct dp_packet *packet, uint32_t mask)
{
    const struct vtrace_sample_key *key = zoo_record_sample_key();
    const uint8_t *ip = dp_packet_l3(packet);
    uint32_t sample;

    return (packet->l4_ofs == UINT16_MAX
            || !vtrace_sample(key, ip,
                              dp_packet_size(packet) - packet->l3_ofs,
                              &sample)
            || !(sample & mask));
}

static void
run_set_actions(struct zoo_run *run, bool sampled)
{
    const struct zoo_sampling *s = run->sampling;

    run->actions = sampled ? s->all : s->actions;
    run->size = sampled ? s->all_size : s->size;
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
    run_set_actions(run, sampled);
}

void
zoo_run_first(struct zoo_run *run, const struct zoo_sampling *s,
              struct dp_packet_batch *batch, uint64_t sampled)
{
    size_t n = dp_packet_batch_size(batch);
    uint64_t changes = ((sampled ^ sampled >> 1)
                        & ((UINT64_C(1) << (n - 1)) - 1));

    run->sampling = s;
    run->batch = batch;
    run->next = run->end = 0;
    if (!changes || count_1bits(changes) >= MAX_RUNS) {
        run_set_actions(run, sampled != 0);
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
