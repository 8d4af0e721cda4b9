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

#ifndef ZOO_FATE_H
#define ZOO_FATE_H 1

/* What becomes of a traced packet in one bridge
 * =============================================
 *
 * A record of a drop says why, and which rule decided.  Where translation ends
 * neither is known any more, so both are noted on the way: the rule at each
 * lookup, the reason where Open vSwitch reports it for ofproto/trace.  A
 * refusal has no other trace in translation than the text of its report.
 *
 * Of packets that are not traced nothing is noted.
 *
 * All of it belongs to one translation, and to its thread. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compiler.h"
#include "ovs-ext/zoo-record.h"

struct rule_dpif;
struct xlate_ctx;
struct xport;

/* Where a decision was made. */
struct zoo_decision {
    const char *bridge;         /* NULL if there was no lookup yet. */
    const struct rule_dpif *rule;
    uint8_t table;
};

struct zoo_fate {
    uint16_t color;             /* As zoo_flow_color(), 0 if not traced. */
    bool underlay;              /* In the bridge that a tunnel leaves by. */
    bool injected;              /* Made for the task: see zoo-inject.h. */
    size_t start;               /* Where the bridge's datapath actions
                                 * start. */
    const struct xport *port;   /* Where the datapath received it. */
    const struct xport *in_port;    /* Where it came into the bridge. */
    struct zoo_record_point in; /* The record at the bridge's entry, if
                                 * 'in.magic' is nonzero. */

    struct zoo_decision last;   /* The last lookup. */

    /* The first refusal. */
    uint16_t reason;            /* enum vtrace_reason. */
    struct zoo_decision refused;

    uint16_t border_color;      /* With which it came, and which ended here; 0
                                 * if none, or no records are taken. */

    /* The tunnel header that is being pushed. */
    uint16_t pushed_color;
    uint16_t pushed_reason;     /* Why the color does not go along. */
};

/* Returns the reason that a report with 'format' gives for a packet not being
 * output, VTRACE_REASON_NONE if it gives none. */
enum vtrace_reason zoo_fate_reason(const char *format);

void zoo_fate_note__(struct zoo_fate *, const char *format);

/* Notes that translation has made the report 'format'. */
static inline void
zoo_fate_note(const struct zoo_fate *fate, const char *format)
{
    if (OVS_UNLIKELY(fate->color)) {
        zoo_fate_note__(CONST_CAST(struct zoo_fate *, fate), format);
    }
}

/* Notes that a lookup in 'table' of 'bridge' gave 'rule'. */
static inline void
zoo_fate_set_rule(const struct zoo_fate *fate, const char *bridge,
                  const struct rule_dpif *rule, uint8_t table)
{
    struct zoo_decision *last = CONST_CAST(struct zoo_decision *, &fate->last);

    last->bridge = bridge;
    last->rule = rule;
    last->table = table;
}

#endif /* zoo-fate.h */
