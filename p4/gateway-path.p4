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

/* The choice of the outer source port: both path tables.
 *
 * A destination has N_p = 32 candidate ports.  The flow's hash gives it one of
 * its own, which it keeps as long as the path table lets it.  The cells are
 * read by the architecture's own control, since registers differ most between
 * architectures; here is what is made of them.
 * ofproto-zoo/zoo-gateway-path.h is the same in C. */

/* Priority-based bitmap matching.  "first_healthy" holds, for each group, one
 * entry for each bit of the bitmap: that bit must be 1, the others do not
 * matter, and priorities begin at the group's own bit and go round.  So the
 * first entry that matches is the first healthy candidate from there.  The
 * entries are the same for all destinations and never change. */
control BitmapMatching(inout metadata_t meta)
{
    action pick(bit<32> candidate) {
        meta.candidate = candidate;
    }

    /* No candidate is healthy: none is better than the flow's own. */
    action keep() {
        meta.candidate = meta.own;
        meta.choice = COUNT_BITMAP_ALL_BAD;
    }

    table first_healthy {
        key = {
            meta.own: ternary;
            meta.bitmap: ternary;
        }
        actions = { pick; keep; }
        const default_action = keep();
        size = ZOO_GATEWAY_N_FIRST;
    }

    apply {
        meta.choice = COUNT_BITMAP_MOVED;
        first_healthy.apply();
        if (meta.choice == COUNT_BITMAP_MOVED) {
            if (meta.candidate == meta.own) {
                meta.choice = COUNT_BITMAP_KEPT;
            }
        }
    }
}

/* Hierarchical indexing.  M = 8 candidates share an entry of 5 bits; the four
 * entries of a destination are one cell of 20 bits, the lowest bits first.  An
 * entry is the recorded candidate XOR the first candidate of the entry's own
 * group: one of the own group is never recorded, so 0 to 7 mean that the entry
 * is empty, and a cell of 0 means that all are. */
control HierarchicalIndexing(inout metadata_t meta)
{
    apply {
        if (meta.own < 8) {
            meta.recorded = meta.bitmap & 0x1f;
        } else if (meta.own < 16) {
            meta.recorded = (meta.bitmap >> 5) & 0x1f;
        } else if (meta.own < 24) {
            meta.recorded = (meta.bitmap >> 10) & 0x1f;
        } else {
            meta.recorded = (meta.bitmap >> 15) & 0x1f;
        }
        meta.candidate = meta.own;
        meta.choice = COUNT_INDEX_KEPT;
        if (meta.recorded >= ZOO_GATEWAY_M) {
            meta.candidate = meta.recorded ^ (meta.candidate & 0x18);
            meta.choice = COUNT_INDEX_MOVED;
        }
    }
}
