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

#ifndef VTRACE_ANALYZE_H
#define VTRACE_ANALYZE_H 1

/* The analyzer
 * ============
 *
 * Turns the records of a task into its path, the loss and delay on it, and a
 * verdict.  README.md says which records give which verdict.
 *
 * Records, watermarks and endpoints go in, in any order, and nothing else that
 * is about the network: the same ones, replayed from a file, give the same
 * verdict.  Only the name of the entry's node is known beforehand, so that its
 * silence can be told from the absence of traffic.
 *
 * Pure: no I/O, no clock, no threads.  'now' is any monotonic time in ns, and
 * only tells how long a node has been silent.  All of an analyzer belongs to
 * one thread.  Its memory is bounded: what a packet leaves in statistics does
 * not grow with the number of packets, and the packets that wait to be judged
 * are limited by 'max_observations', beyond which the oldest are given up and
 * counted. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "ovs-ext/vtrace-reasons.h"
#include "ovs-ext/vtrace-record.h"
#include "vtrace/store.h"

struct json;
struct vtrace_analyzer;
struct vtrace_analysis;
struct vtrace_exporter;

struct vtrace_analyzer_config {
    uint64_t max_delay;         /* ns.  Longest time from a packet's entry to
                                 * its last record, clock offsets included. */
    uint64_t stall_timeout;     /* ns.  A node without a watermark for so long
                                 * is not waited for. */
    uint32_t max_observations;  /* Records of packets that are not judged yet,
                                 * 32 bytes each, and as much for the packets
                                 * themselves. */
};

#define VTRACE_ANALYZER_CONFIG_INIT {           \
    .max_delay = 1000 * 1000 * 1000ULL,         \
    .stall_timeout = 5 * 1000 * 1000 * 1000ULL, \
    .max_observations = 1 << 20,                \
}

/* What the records of a task say.
 *
 * The strings live as long as the analyzer. */
struct vtrace_verdict {
    enum vtrace_verdict_kind kind;
    enum vtrace_reason reason;
    enum vtrace_direction direction;    /* In which it was found. */
    uint64_t lost;              /* Packets lost for this reason. */
    uint64_t seen;              /* Packets judged, in that direction. */

    const char *node, *bridge, *port;   /* Where, NULL if nowhere. */
    enum vtrace_port_class port_class;
    bool ct_invalid;            /* Dropped by a rule that says nothing of it,
                                 * and invalid to connection tracking. */
    bool has_table, has_cookie;
    uint8_t table;
    uint64_t cookie;

    const char *edge[2];        /* Nodes, or the address of one that never
                                 * said its name; NULL if not on an edge. */
    uint16_t sport;             /* Outer source port, on an edge, 0 if
                                 * several lose packets. */
};

/* Where the packets of a direction leave the traced switches. */
struct vtrace_exit {
    const char *node, *bridge, *port;
    enum vtrace_port_class port_class;
    struct vtrace_match match;  /* The packets as they are there. */
    uint64_t packets;
};

/* What an analyzer is told, one for each of the functions below, to write it
 * down and tell another one later.  Members that a type does not need are 0. */
enum vtrace_event_type {
    VTRACE_EVENT_NODE = 1,      /* A new exporter: 'name' of 'domain'.  They
                                 * are numbered from 0 on. */
    VTRACE_EVENT_CONNECTED,     /* The exporter 'node' has connected. */
    VTRACE_EVENT_RECORD,        /* 'data' is what the exporter 'node' sent. */
    VTRACE_EVENT_WATERMARK,     /* The same, and 'number' is 'now'. */
    VTRACE_EVENT_ENDPOINT,
    VTRACE_EVENT_RUN,           /* 'number' is 'now'. */
    VTRACE_EVENT_TASK,          /* A new analysis, of 'task'. */
    VTRACE_EVENT_LISTEN,        /* 'domain', 'color'; 'name' is the entry. */
    VTRACE_EVENT_RULE_COUNT,    /* 'number' packets, 'exp'. */
    VTRACE_EVENT_START,
    VTRACE_EVENT_ABANDON,
    VTRACE_EVENT_STOP,          /* 'number' is 'time'. */
    VTRACE_EVENT_END,           /* The analysis of 'task' is destroyed. */
    VTRACE_EVENT_CLOCK,         /* As VTRACE_EVENT_ENDPOINT. */
    VTRACE_N_EVENTS
};

struct vtrace_event {
    enum vtrace_event_type type;
    enum vtrace_direction direction;
    uint32_t node;
    uint16_t color;
    uint8_t exp;
    int64_t task;
    uint64_t number;
    const char *name, *domain;  /* NULL: none. */
    const void *data;           /* RECORD, WATERMARK, ENDPOINT, CLOCK. */
};

/* Returns a new analyzer.  'config' is copied. */
struct vtrace_analyzer *vtrace_analyzer_create(
    const struct vtrace_analyzer_config *config);
void vtrace_analyzer_destroy(struct vtrace_analyzer *);

/* Has 'tap' called with each event, before it takes effect. */
typedef void vtrace_tap_func(void *aux, const struct vtrace_event *);
void vtrace_analyzer_set_tap(struct vtrace_analyzer *, vtrace_tap_func *tap,
                             void *aux);

/* Returns the exporter of the node 'name' of 'domain' ("" if there is but one
 * domain).  It lives as long as the analyzer. */
struct vtrace_exporter *vtrace_analyzer_exporter(struct vtrace_analyzer *,
                                                 const char *name,
                                                 const char *domain);

/* Returns a new analysis for task 'id'. */
struct vtrace_analysis *vtrace_analysis_create(struct vtrace_analyzer *,
                                               int64_t id);

/* Forgets 'analysis' and stops listening for its colors. */
void vtrace_analysis_destroy(struct vtrace_analysis *analysis);

/* Takes the records with 'color' in 'domain' for those of 'analysis' in
 * 'direction'.  'entry' is the name of the node where the packets of that
 * direction are colored, or NULL for the colors that borders map to.
 *
 * Returns false, and does nothing, if another analysis listens for the
 * color. */
bool vtrace_analysis_listen(struct vtrace_analysis *analysis,
                            const char *domain, uint16_t color,
                            enum vtrace_direction direction,
                            const char *entry);

/* A new connection of 'exporter' begins, in which its watermarks count anew.
 * Without this the first watermark says so, and nobody knows of what it counts
 * how much is missing. */
void vtrace_analyzer_connected(struct vtrace_analyzer *,
                               struct vtrace_exporter *exporter);

/* The four kinds of records that 'exporter' sends.  vtrace_analyzer_record()
 * returns false if nobody listens for the record's color; such records are not
 * kept. */
bool vtrace_analyzer_record(struct vtrace_analyzer *,
                            struct vtrace_exporter *exporter,
                            const struct vtrace_record *);
void vtrace_analyzer_watermark(struct vtrace_analyzer *,
                               struct vtrace_exporter *exporter,
                               const struct vtrace_watermark *, uint64_t now);
void vtrace_analyzer_endpoint(struct vtrace_analyzer *,
                              struct vtrace_exporter *exporter,
                              const struct vtrace_endpoint *);
void vtrace_analyzer_clock(struct vtrace_analyzer *,
                           struct vtrace_exporter *exporter,
                           const struct vtrace_clock *);

/* Judges the packets that can be judged.  To be called every now and then,
 * several times a second at best. */
void vtrace_analyzer_run(struct vtrace_analyzer *, uint64_t now);

/* Says how many packets of 'direction' the switch counted for the rule.  One
 * in 4^'exp' of them should have left records at the entry, if they differ. */
void vtrace_analysis_set_rule_count(struct vtrace_analysis *,
                                    enum vtrace_direction direction,
                                    uint64_t packets, int exp);

/* Says that packets of 'direction' are being colored: for VTRACE_REVERSE, that
 * the lack of packets means something. */
void vtrace_analysis_start(struct vtrace_analysis *,
                           enum vtrace_direction direction);

/* Says that packets of 'direction' are not colored any more, though nobody
 * wanted that: their lack means nothing. */
void vtrace_analysis_abandon(struct vtrace_analysis *, enum vtrace_direction);

/* Says that no packet with a time, at the entry, of 'time' or later counts. */
void vtrace_analysis_stop(struct vtrace_analysis *, uint64_t time);

/* Returns true if 'analysis' was stopped and every packet is judged.  It may
 * stay false if a node neither sends watermarks nor stalls. */
bool vtrace_analysis_is_complete(const struct vtrace_analysis *analysis);

/* Returns true, and sets '*exit' to where most packets of 'direction' leave,
 * if any left.  Injected packets do not count, as nothing comes back for
 * them. */
bool vtrace_analysis_exit(const struct vtrace_analysis *,
                          enum vtrace_direction direction,
                          struct vtrace_exit *exit);

/* Returns true if packets of 'direction' have come in by the border 'at', or
 * were sent to its node from another domain. */
bool vtrace_analysis_crosses(const struct vtrace_analysis *,
                             enum vtrace_direction direction,
                             const struct vtrace_entry *at);

/* Sets '*verdict' to what the packets judged so far say. */
void vtrace_analysis_verdict(const struct vtrace_analysis *,
                             struct vtrace_verdict *verdict);

/* Returns the members "verdict", "hops", "edges", "evidence" and "injected" of
 * 'vtrace show --json', a new object that the caller must destroy.  Leaves
 * underlay addresses, outer source ports, tables and cookies out if 'tenant' is
 * true, and the names of tunnel ports, which may be made of such addresses. */
struct json *vtrace_analysis_to_json(const struct vtrace_analysis *,
                                     bool tenant);

#endif /* analyze.h */
