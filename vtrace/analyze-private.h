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

#ifndef VTRACE_ANALYZE_PRIVATE_H
#define VTRACE_ANALYZE_PRIVATE_H 1

/* What the analyzer's files share.
 *
 *   analyze.c          who listens for what; packets until they are judged
 *   analyze-heard.c    how far, and since when, nodes have been heard
 *   analyze-endpoint.c where tunnels end
 *   analyze-group.c    which observations are one packet
 *   analyze-packet.c   what became of one packet
 *   analyze-edge.c     what became of packets between two switches
 *   analyze-verdict.c  what the packets together say
 *   analyze-json.c     the same for programs */

#include <math.h>

#include "heap.h"
#include "openvswitch/hmap.h"
#include "openvswitch/list.h"
#include "vtrace/analyze.h"

/* Limits per direction of a task.  What is beyond is counted. */
#define MAX_POINTS 1024
#define N_SPORTS (N_SPORT_SETS * SPORT_WAYS)    /* Per edge. */
#define N_SPORT_SETS 64
#define SPORT_WAYS 16
#define MAX_SPORT_SETS 4096     /* Of all edges. */
#define MAX_SAMPLES 512         /* Delays kept per edge. */
#define MAX_GROUP 32768         /* Observations with one digest. */

/* Limits per node, the first one as the exporter has it. */
#define MAX_ENDPOINTS 256
#define MAX_CLOCKS 256
#define MAX_GAPS 8              /* What is beyond joins its neighbor. */

/* Later times are not believed, so that times can be added and subtracted. */
#define MAX_TIME (INT64_MAX / 4)

/* Classes of packets' lengths on an edge. */
#define EDGE_LEN 32
#define EDGE_N_LENS 320

/* Fewest packets for a verdict. */
#define MIN_DELIVERED 10        /* "none". */
#define MIN_EVIDENCE 3          /* Loss without a record of it; "left". */
#define MIN_AMBIGUOUS 10        /* The same of packets that repeat. */

/* Longer than a controller takes to send on what it gets, ns. */
#define CONTROLLER_TIME (1000 * 1000 * 1000ULL)

struct vtrace_domain {
    struct hmap_node node;      /* In analyzer's 'domains'. */
    char *name;
    struct flow_state *flows[VTRACE_COLOR_MAX + 1];
};

/* A time for which records may be missing, and nothing says how many: after
 * 'from', until 'to'. */
struct gap {
    uint64_t from, to;
};

struct vtrace_exporter {
    struct hmap_node hmap_node; /* In analyzer's 'nodes'. */
    struct vtrace_domain *domain;
    char *name;
    unsigned int index;
    uint64_t heard;             /* 'now' of the last watermark of color 0 with
                                 * a time later than that before. */
    bool connected;             /* Any watermark so far? */

    struct ovs_list endpoints;  /* Contains struct endpoint, least recently
                                 * named first. */
    size_t n_endpoints;

    /* analyze-clock.c: */
    struct hmap clocks;         /* Contains struct clock, by its ends. */
    struct ovs_list clocks_lru; /* The same, least recently told first. */

    /* analyze-heard.c: */
    bool announced;             /* All of this session has been heard. */
    uint32_t session;           /* If 'has_session'. */
    uint32_t last_session;      /* The one before, if 'has_last_session'. */
    bool has_session, has_last_session;
    unsigned int era;           /* Another one for each session, and when the
                                 * clock is set back: what earlier watermarks
                                 * said is void. */
    uint64_t watermark;         /* Of color 0: complete for every color. */
    uint64_t last_watermark;    /* Of any color. */
    uint64_t last_complete;     /* 'watermark' of any era. */
    struct hmap counts;         /* Contains struct color_count. */
    struct gap gaps[MAX_GAPS];  /* In the order in which they were found. */
    size_t n_gaps;
};

/* One packet at one point. */
struct observation {
    struct observation *next;
    struct point *point;
    uint64_t time;
    uint16_t len;               /* IP length. */
    uint16_t payload;           /* Bytes behind the transport header. */
    uint16_t sport;             /* Outer source port. */
    uint8_t flags;              /* OBS_*. */
};

enum {
    OBS_DOWN = 1 << 0,          /* The port's link was down. */
    OBS_TOO_LONG = 1 << 1,      /* Longer than the device's MTU. */
    OBS_SUPER = 1 << 2,
    OBS_INJECTED = 1 << 3,
    OBS_INVALID = 1 << 4,       /* To connection tracking. */
};

/* The observations with one digest that are not judged yet. */
struct group {
    struct hmap_node node;      /* In flow's 'groups', by digest. */
    struct heap_node heap_node; /* In flow's 'queue', earliest first. */
    uint64_t digest;
    uint64_t first;             /* Earliest time. */
    struct observation *observations;
    uint32_t n;
};

/* The fate of packets by outer source port. */
struct sport_stats {
    uint16_t sport;
    uint32_t run;               /* Lost ones since the last received one. */
    uint32_t healed;            /* Lost in runs that ended with a success. */
    uint32_t n_healed;          /* Such runs. */
    uint64_t run_begin;         /* Time of the first of 'run'. */
    uint64_t healed_begin;      /* The same for the last one that healed. */
    uint64_t first_sent, last_sent;     /* Times. */
    uint64_t last_received;     /* Time. */
    uint64_t sent, received, lost;
};

/* The outer source ports of one hash.  When there is no room for another one,
 * that which has not been used for the longest time is forgotten, if it is
 * long enough. */
struct sport_set {
    unsigned int n;
    struct sport_stats sports[SPORT_WAYS];
};

/* What was known of ports that are forgotten. */
struct sport_sum {
    uint64_t silent;            /* Lost of ports that are silent. */
    uint64_t moved;             /* Lost of flows that moved. */
    unsigned int n_moved;
    bool in_a_row;              /* One of these lost several in a row. */
    uint64_t newest;            /* When the last port was first used of which
                                 * packets arrived. */
};

/* How far a clock is ahead of another one. */
struct offset {
    bool known;
    int64_t ns;
    int64_t error;              /* By how many ns that may be wrong. */
};

/* A tunnel to another switch, at the sender's "out". */
struct edge {
    struct vtrace_exporter *to;     /* NULL if not known. */
    uint64_t sent, received;
    uint64_t blind;             /* Received, by records in the switch beyond
                                 * but for that of the reception. */
    uint64_t since_lost;        /* Received since the last lost packet. */
    uint64_t first_lost, last_lost, last_received;      /* Times. */
    uint64_t lost_payload;      /* Bytes. */
    uint32_t max_received_len;
    uint32_t lost_by_len[EDGE_N_LENS];  /* By 'len' / EDGE_LEN. */
    uint16_t last_sport;
    bool unsynchronized;        /* Packets that repeat cannot be matched by
                                 * time: clocks are too far apart, or so many
                                 * packets were lost. */

    struct sport_set *sports[N_SPORT_SETS];     /* NULL: none. */
    struct sport_sum forgotten;
    unsigned int n_sports;      /* Forgotten ones included. */
    uint64_t n_homeless;        /* Lost ones of ports that found no place,
                                 * which do not count as to how they were. */

    /* Delays, as the clocks show them: a random sample, and all of them. */
    int64_t *samples;
    uint64_t n_delays;
    int64_t min_delay, last_delay;
    double jitter;              /* RFC 3550, section 6.4.1. */
    struct offset offset;       /* By probes, when packets last came. */
    uint64_t offset_next;       /* 'now' from when on it is to be looked up
                                 * again. */
};

/* What makes a point, from the record. */
struct point_key {
    struct in6_addr tun_src, tun_dst;
    uint64_t cookie;
    uint64_t tun_id;
    char bridge[VTRACE_NAME_LEN];
    char port[VTRACE_NAME_LEN];
    uint32_t node;
    uint16_t reason;
    uint8_t role;
    uint8_t port_class;
    uint8_t table;
    uint8_t flags;              /* VTRACE_F_ENTRY, _TABLE, _COOKIE, _PASSED. */
    uint8_t pad[6];
};

#define POINT_FLAGS (VTRACE_F_ENTRY | VTRACE_F_TABLE | VTRACE_F_COOKIE \
                     | VTRACE_F_PASSED)

/* A place that packets of the flow passed. */
struct point {
    struct hmap_node node;      /* In flow's 'points'. */
    struct point_key key;
    char bridge[VTRACE_NAME_LEN + 1];   /* With a null byte. */
    char port[VTRACE_NAME_LEN + 1];
    char address[INET6_ADDRSTRLEN];     /* 'tun_dst'. */
    struct flow_node *fn;
    struct edge *edge;          /* "out" to a tunnel, else NULL. */
    uint16_t ct_state;          /* Of the last packet. */

    /* The last packet, as it was here. */
    struct in6_addr src, dst;
    uint16_t src_port, dst_port;
    uint8_t protocol;
    uint16_t vlan;

    uint64_t packets;           /* Judged packets that were here. */
    uint64_t place;             /* Sum of their places in the path. */
    uint64_t orphans;           /* Observations that belong to no entry. */
    uint64_t orphan_payload;    /* Bytes in them. */
    int64_t bias;               /* "in": how much later than the sender's "out"
                                 * by the clocks, if 'has_bias'. */
    bool has_bias;
    uint16_t passed_next;       /* Reason of a PASSED checkpoint that packets
                                 * met next. */

    /* Packets that ended here: */
    uint64_t delivered;         /* "out". */
    uint64_t left;
    uint64_t dropped;           /* "drop", or "checkpoint" ahead, */
    uint64_t invalid;           /* and those that are OBS_INVALID. */
    uint64_t down, too_long;    /* "out" that cannot have worked. */
    uint64_t vanished;          /* Nothing says what became of them. */
    uint64_t unheard;           /* The same, and who should say is silent. */
};

/* A node as a direction of a task sees it. */
struct flow_node {
    struct vtrace_exporter *node;
    const struct flow_state *flow;
    uint64_t watermark;         /* Of the color, in 'era' of the node. */
    unsigned int era;
    uint64_t received;          /* Records in this session. */
    uint64_t total;             /* Records. */
    uint64_t packets;           /* Judged packets that were here. */
    uint64_t last_packet;       /* The last one: flow's 'seen' then. */
    uint64_t missing;           /* Records written or lost and not received,
                                 * in this session and, if not the current
                                 * one, in earlier ones. */
    uint64_t missing_before;
    uint64_t dropped;           /* Received, and beyond limits. */
};

/* One direction of a task. */
struct flow_state {
    struct vtrace_analysis *analysis;
    enum vtrace_direction direction;
    struct vtrace_exporter *entry;
    bool started;
    bool abandoned;             /* By vtrace_analysis_abandon(). */
    bool entry_gap;             /* For a time since the first record the entry
                                 * was not heard. */

    struct hmap points;
    struct hmap groups;
    struct heap queue;          /* Groups, by 'first'. */
    struct flow_node **nodes;   /* By index of node, NULL if not seen. */
    size_t n_nodes;             /* Elements of 'nodes'. */

    uint64_t rule_count;        /* Packets that the switch counted, of which */
    int exp;                    /* one in 4^exp should have left records. */

    uint64_t seen;              /* Packets judged. */
    uint64_t delivered, left;
    uint64_t last_exit;         /* Entry of the last one of those: time. */
    uint64_t handed;            /* To an OpenFlow controller, which may have */
    uint64_t handed_since;      /* sent them on; those after 'last_exit'. */
    uint64_t last_handed;       /* Entry of the last one: time. */
    uint64_t injected;          /* Of 'seen', not the tenant's. */
    uint64_t injected_exits;    /* Of 'delivered' and 'left'. */
    uint64_t unjudged;          /* Packets given up: node stalled, memory. */
    uint64_t orphans;           /* Observations that belong to no entry. */
    uint64_t repeats;           /* Packets with the digest of another. */
    uint64_t super;             /* Packets that are to be segmented. */
    uint64_t overflow;          /* Records beyond MAX_POINTS, MAX_GROUP,
                                 * MAX_TIME, or what memory allows. */
    uint64_t crowded;           /* Those beyond MAX_GROUP. */
    uint32_t n_observations;
    uint32_t n_sport_sets;
};

struct vtrace_analysis {
    struct ovs_list node;       /* In analyzer's 'analyses'. */
    struct vtrace_analyzer *analyzer;
    int64_t id;
    struct flow_state flows[VTRACE_N_DIRECTIONS];
    uint64_t stopped;           /* Time, or UINT64_MAX. */
};

/* Which packet an observation belongs to: its entry's place in time, or
 * NO_ENTRY. */
struct match {
    struct observation *o;
    uint32_t entry;
};

#define NO_ENTRY UINT32_MAX

struct endpoint {
    struct hmap_node node;      /* In analyzer's 'endpoints'. */
    struct ovs_list list_node;  /* In owner's 'endpoints'. */
    struct in6_addr address;
    struct vtrace_exporter *owner;
    uint64_t serial;            /* The first one that said it has the least. */
};

struct clock {
    struct hmap_node node;      /* In node's 'clocks'. */
    struct ovs_list list_node;  /* In its 'clocks_lru'. */
    struct vtrace_clock record; /* The last one. */
    uint64_t told;              /* Analyzer's 'now' then. */
};

struct vtrace_analyzer {
    struct vtrace_analyzer_config config;
    vtrace_tap_func *tap;       /* Or NULL. */
    void *tap_aux;
    struct hmap domains, nodes, endpoints;
    struct ovs_list analyses;
    struct vtrace_exporter **by_index;
    unsigned int n_nodes;
    uint64_t n_claims;          /* Endpoints so far. */
    uint64_t now;               /* The last one. */

    struct observation *free;   /* Unused observations. */
    void **chunks;              /* Where they all are. */
    size_t n_chunks;
    uint32_t n_observations;    /* In use. */
    uint32_t random;

    /* Scratch space of vtrace_group_judge(). */
    struct match *matches;              /* MAX_GROUP. */
};

/* Shows an event to the tap, if there is one. */
#define VTRACE_TAP(AZ, ...)                                             \
    do {                                                                \
        if (OVS_UNLIKELY((AZ)->tap)) {                                  \
            (AZ)->tap((AZ)->tap_aux,                                    \
                      &(struct vtrace_event) { __VA_ARGS__ });          \
        }                                                               \
    } while (0)

/* analyze-clock.c */
void vtrace_node_clocks_init(struct vtrace_exporter *);
void vtrace_node_clocks_uninit(struct vtrace_exporter *);

/* Forgets what the node has said. */
void vtrace_node_clocks_clear(struct vtrace_exporter *);

/* Sets '*offset' to how far the clocks at the ends of the edge at 'point' are
 * apart now, by probes.  Returns false, and does nothing, if that is not
 * known. */
bool vtrace_clock_offset(const struct vtrace_analyzer *, const struct point *,
                         struct offset *offset);

/* analyze-endpoint.c */
struct vtrace_exporter *vtrace_edge_target(const struct flow_state *,
                                           const struct point *);
struct vtrace_exporter *vtrace_endpoint_owner(const struct vtrace_analyzer *,
                                              const struct vtrace_domain *,
                                              const struct in6_addr *);

/* analyze.c */
struct flow_node *vtrace_flow_node(const struct flow_state *,
                                   const struct vtrace_exporter *);
struct flow_node *vtrace_flow_node_get(struct flow_state *,
                                       struct vtrace_exporter *);
void vtrace_observation_free(struct vtrace_analyzer *, struct flow_state *,
                             struct observation *);

/* analyze-heard.c */

void vtrace_heard_init(struct vtrace_exporter *);
void vtrace_heard_uninit(struct vtrace_exporter *);

/* From now on somebody listens for 'color': what nodes of 'domain' have
 * counted before was another task's. */
void vtrace_heard_listen(struct vtrace_analyzer *,
                         const struct vtrace_domain *domain, uint16_t color);

/* Returns true if for a time between the first record of the entry of 'flow'
 * and the stop that was not heard, or still is not: nobody knows what entered
 * then. */
bool vtrace_flow_entry_gap(const struct flow_state *flow);

/* A record with 'time' came from the node. */
void vtrace_heard_record(struct flow_node *, uint64_t time);

/* How far 'flow' has heard everything from 'node'. */
uint64_t vtrace_flow_complete(const struct flow_state *flow,
                              const struct vtrace_exporter *node);

/* Returns true if 'flow' has all records of 'node' of packets that entered at
 * 'entry', or knows how many are missing. */
bool vtrace_flow_was_heard(const struct flow_state *flow,
                           const struct vtrace_exporter *node,
                           uint64_t entry);

/* Returns how far every node that 'flow' has met, or that should have received
 * something of it, and that still speaks, has sent everything. */
uint64_t vtrace_flow_floor(const struct flow_state *flow, uint64_t now);

/* Returns how many records of the node are not there. */
static inline uint64_t
vtrace_missing(const struct flow_node *fn)
{
    return fn->missing + fn->dropped;
}

/* analyze-group.c: takes the packets that entered until 'until' out of
 * 'group' and judges them.  Updates 'first' and 'n' of 'group'. */
void vtrace_group_judge(struct vtrace_analyzer *, struct flow_state *,
                        struct group *, uint64_t until);

/* analyze-packet.c */

/* Observations of one packet that are looked at. */
#define MAX_PACKET 64

/* What one packet left in one switch, from its reception on. */
struct visit {
    int first, n;               /* In packet's 'sorted'. */
    bool reached;               /* By a tunnel, or the entry. */
};

struct packet {
    struct observation *sorted[MAX_PACKET];     /* By switch, then time. */
    struct observation *path[MAX_PACKET];       /* As the packet went. */
    struct visit visits[MAX_PACKET];
    int n, n_path, n_visits;
    uint64_t entry;             /* Time. */
    bool injected;
};

/* Any node may say that packets enter there: it is true of the flow's only,
 * if that is known. */
static inline bool
vtrace_is_entry_point(const struct point *point)
{
    const struct vtrace_exporter *entry = point->fn->flow->entry;

    return (point->key.role == VTRACE_ROLE_IN
            && point->key.flags & VTRACE_F_ENTRY
            && (!entry || entry == point->fn->node));
}

static inline bool
vtrace_is_entry(const struct observation *o)
{
    return vtrace_is_entry_point(o->point);
}

/* Returns true if what a record with 'role' and 'reason' says is that a packet
 * came out of a tunnel and its color ended there. */
static inline bool
vtrace_is_border(uint8_t role, uint16_t reason)
{
    return role == VTRACE_ROLE_OUT && reason == VTRACE_REASON_BORDER;
}

/* Returns true if a packet comes into a bridge at 'key'. */
static inline bool
vtrace_is_input(const struct point_key *key)
{
    return (key->role == VTRACE_ROLE_IN
            || vtrace_is_border(key->role, key->reason));
}

/* Returns true if a packet comes into the switch at 'point'.  What comes
 * through a patch port has been there before. */
static inline bool
vtrace_is_reception(const struct point *point)
{
    return (vtrace_is_input(&point->key)
            && point->key.port_class != VTRACE_PORT_PATCH);
}

/* Counts what became of the packet with the observations 'sorted', in any
 * order, and 'entry'. */
void vtrace_packet_judge(struct vtrace_analyzer *, struct flow_state *,
                         struct packet *);

/* Returns true if packets of the flow that went to a controller are lost. */
bool vtrace_flow_is_lost_to_controller(const struct flow_state *);

/* Returns true if 'in' can be the other end of the tunnel to which 'out'
 * sends. */
bool vtrace_is_tunnel(const struct point_key *out, const struct point_key *in);

/* analyze-edge.c */

/* The packet of 'out', an output to the tunnel that is 'edge', was lost there
 * or arrived, after 'delay' ns by the clocks. */
void vtrace_edge_lost(struct flow_state *, struct edge *,
                      const struct observation *out);
void vtrace_edge_received(struct flow_state *, struct edge *,
                          const struct observation *out);
void vtrace_edge_delayed(struct vtrace_analyzer *, struct edge *,
                         int64_t delay);

/* A packet has been received on the edge at 'point': notes how far the clocks
 * are apart, as long as that is known. */
void vtrace_edge_update_offset(const struct vtrace_analyzer *,
                               const struct point *);

/* Returns true if 'n' is more than 'expected' with 99 % confidence. */
bool vtrace_exceeds(double n, double expected);

void vtrace_edge_destroy(struct edge *);

/* Returns the 'i'th outer source port of 'edge' of N_SPORTS, or NULL if it
 * does not exist. */
static inline const struct sport_stats *
vtrace_edge_sport(const struct edge *edge, unsigned int i)
{
    const struct sport_set *set = edge->sports[i / SPORT_WAYS];

    return set && i % SPORT_WAYS < set->n ? &set->sports[i % SPORT_WAYS]
                                          : NULL;
}

/* Returns the outer source port of at least nine in ten lost packets, or 0. */
uint16_t vtrace_edge_losing_sport(const struct edge *);

/* Returns true if the packets that were lost were lost in a row, or others of
 * the task are 'known' to have been lost in a failover, and the flow then moved
 * to another outer source port and lost no more. */
bool vtrace_edge_is_failover(const struct edge *, bool known);

/* Returns what the loss on 'edge', of which lost records explain 'explained'
 * packets, comes from. */
enum vtrace_reason vtrace_edge_reason(const struct edge *edge,
                                      double explained);

/* Returns true if packets that 'edge' loses look lost at random. */
bool vtrace_edge_is_lossy(const struct edge *);

/* Returns the name of the node to which 'point' sends, or else its address,
 * which lives as long as 'point'. */
const char *vtrace_edge_to(const struct flow_state *, const struct point *);

static inline const struct flow_state *
vtrace_other_flow(const struct flow_state *flow)
{
    return &flow->analysis->flows[flow->direction == VTRACE_FORWARD
                                  ? VTRACE_REVERSE : VTRACE_FORWARD];
}

/* Returns the point of the other direction at which packets are sent back over
 * the edge of 'point', at which some of both arrived, or NULL. */
const struct point *vtrace_edge_opposite(const struct flow_state *,
                                         const struct point *);

/* Returns the mean place of 'point' in its packets' paths. */
static inline double
vtrace_point_place(const struct point *point)
{
    return point->packets ? (double) point->place / point->packets : HUGE_VAL;
}

/* Returns true if there are packets of 'flow' and sampling took none of them,
 * as the entry's switch says: what packets have in them decides that, so of
 * those that are alike it takes all or none. */
bool vtrace_flow_is_unsampled(const struct flow_state *);

/* Returns the point at whose port the replies are followed, and sets '*here' to
 * how many packets left there, and '*all' to how many left anywhere.  Returns
 * NULL if none are followed, or nothing is known to have left there. */
const struct point *vtrace_watched_exit(const struct vtrace_analysis *,
                                        uint64_t *here, uint64_t *all);

/* Sets '*delay' to the time in ns on the edge of 'point' below which a share
 * 'quantile' of the packets stays.  Half of what the smallest delays of the two
 * directions differ by is taken for the difference of the clocks.  Returns how
 * the clocks were corrected, or NULL if they cannot be. */
const char *vtrace_edge_delay(const struct flow_state *, const struct point *,
                              double quantile, int64_t *delay);

#endif /* analyze-private.h */
