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
#include "vtrace-sim.h"

#include <stdlib.h>
#include <string.h>

#include "packets.h"
#include "unit.h"
#include "vtrace/record-file.h"
#include "util.h"

#define MAX_NODES 4
#define COLOR 7                 /* Answers have the next one. */
#define START (1000000 * SEC)   /* Of the packets. */
#define INTERVAL (10 * MSEC)
#define WATERMARKS (200 * MSEC)
#define MTU 1500                /* Of the underlay. */
#define TENANT_MTU (MTU - 50)   /* What VXLAN leaves of it, over IPv4. */
#define ANSWER_DIGEST 0x8000000000000000ULL

/* Something that a node exports. */
struct event {
    int64_t at;                 /* When it arrives, or a random number. */
    int node;
    bool is_watermark;
    struct vtrace_record r;
    struct vtrace_watermark w;
};

struct sim {
    const struct sim_options *o;
    int n_nodes;
    int fault_node;             /* Where most faults are. */
    struct event *events;
    size_t n_events, allocated;
    unsigned int n_dropping[MAX_NODES]; /* Records of the current message. */
    bool dropping[MAX_NODES];
    int64_t end;
    uint16_t sport;             /* Outer source port of the flow. */
};

static const char *const names[SIM_N_SCENARIOS][MAX_NODES] = {
    [SIM_VPC] = { "h1", "h2" },
    [SIM_INTERNET] = { "h1", "gw1" },
    [SIM_ONPREM] = { "h1", "gw1" },
    [SIM_PEERING] = { "h1", "gw1", "gw2", "h2" },
};

const char *
sim_scenario_name(enum sim_scenario scenario)
{
    static const char *const scenarios[] = {
        "vpc", "internet", "onprem", "peering"
    };

    return scenarios[scenario];
}

static bool
is_external(enum sim_scenario scenario)
{
    return scenario == SIM_INTERNET || scenario == SIM_ONPREM;
}

/* In peering, gw1 and gw2 belong to two domains. */
static const char *
domain_of(const struct sim *sim, int node)
{
    return sim->o->scenario == SIM_PEERING && node >= 2 ? "east" : "";
}

/* The color of each direction in one domain is the other's in the other. */
static uint16_t
color_of(const struct sim *sim, int node, enum vtrace_direction direction)
{
    return COLOR + (*domain_of(sim, node) ? !direction : direction);
}

static int64_t
clock_of(const struct sim *sim, int node, int64_t time)
{
    return time + (node & 1 ? sim->o->clock_ahead : 0);
}

static struct event *
add_event(struct sim *sim)
{
    if (sim->n_events >= sim->allocated) {
        sim->events = x2nrealloc(sim->events, &sim->allocated,
                                 sizeof *sim->events);
    }
    memset(&sim->events[sim->n_events], 0, sizeof *sim->events);
    return &sim->events[sim->n_events++];
}

static void
set_address(struct in6_addr *addr, uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
    in6_addr_set_mapped_ipv4(addr, htonl((uint32_t) a << 24 | b << 16
                                         | c << 8 | d));
}

#define HEADERS 40              /* Bytes before the payload. */

/* A packet on its way. */
struct trip {
    struct sim *sim;
    enum vtrace_direction direction;
    int64_t time;
    uint64_t digest;
    uint32_t len;
    bool injected;
};

/* Exports a record at 'node'.  The caller sets what is special. */
static struct vtrace_record *
emit(struct trip *trip, int node, enum vtrace_role role, const char *bridge,
     const char *port, enum vtrace_port_class port_class)
{
    struct sim *sim = trip->sim;
    struct event *e = add_event(sim);
    struct vtrace_record *r = &e->r;

    trip->time += 2000;
    e->node = node;
    e->at = trip->time + 50 * MSEC;
    r->time = clock_of(sim, node, trip->time);
    r->digest = trip->digest;
    r->color = color_of(sim, node, trip->direction);
    r->role = role;
    r->link = VTRACE_LINK_UP;
    r->port_class = port_class;
    r->ip_version = 4;
    r->protocol = (sim->o->segments || sim->o->tcp ? IPPROTO_TCP
                   : IPPROTO_UDP);
    r->ip_len = trip->len;
    r->payload_len = trip->len - HEADERS;
    r->mtu = TENANT_MTU;
    r->flags = ((sim->o->segments && !node ? VTRACE_F_SUPER : 0)
                | (trip->injected ? VTRACE_F_INJECTED : 0));
    ovs_strlcpy(r->bridge, bridge, sizeof r->bridge);
    ovs_strlcpy(r->port, port, sizeof r->port);

    /* From 10.0.0.1:1000 to 10.0.0.2:53; the NAT gateway's other side has
     * 198.51.100.1:4000. */
    bool nat = (sim->o->scenario == SIM_INTERNET && node == 1
                && ((trip->direction == VTRACE_FORWARD)
                    == (role == VTRACE_ROLE_OUT)));
    struct in6_addr *client = trip->direction ? &r->dst : &r->src;
    struct in6_addr *server = trip->direction ? &r->src : &r->dst;
    uint16_t *client_port = trip->direction ? &r->dst_port : &r->src_port;
    uint16_t *server_port = trip->direction ? &r->src_port : &r->dst_port;
    set_address(client, 10, 0, 0, 1);
    *client_port = 1000;
    if (nat) {
        set_address(client, 198, 51, 100, 1);
        *client_port = 4000;
    }
    set_address(server, 10, 0, 0, 2);
    *server_port = 53;
    return r;
}

static void
set_tunnel(struct vtrace_record *r, int from, int to, uint16_t sport)
{
    set_address(&r->tun_src, 192, 0, 2, 1 + from);
    set_address(&r->tun_dst, 192, 0, 2, 1 + to);
    r->tun_id = 5000;
    r->tun_sport = sport;
}

static bool
drop(struct trip *trip, int node, const char *bridge,
     enum vtrace_reason reason, int table)
{
    struct vtrace_record *r = emit(trip, node, VTRACE_ROLE_DROP, bridge, "",
                                   VTRACE_PORT_UNKNOWN);

    r->reason = reason;
    if (table >= 0) {
        r->flags |= VTRACE_F_TABLE;
        r->table = table;
        if (reason != VTRACE_REASON_NO_MATCH) {
            r->flags |= VTRACE_F_COOKIE;
            r->cookie = 0x2a;
        }
    }
    return false;
}

/* Exports the record in front of a meter, or that behind it. */
static void
meter(struct trip *trip, int node, bool passed)
{
    struct vtrace_record *r = emit(trip, node, VTRACE_ROLE_CHECKPOINT,
                                   "br-int", "", VTRACE_PORT_UNKNOWN);

    r->reason = VTRACE_REASON_METER;
    r->flags |= passed ? VTRACE_F_PASSED : 0;
}

/* What the pipeline of 'node' does.  Returns true if the packet goes on. */
static bool
in_switch(struct trip *trip, int node, unsigned int i)
{
    struct sim *sim = trip->sim;

    if (sim->o->patches) {
        emit(trip, node, VTRACE_ROLE_IN, "br-mid", "patch0",
             VTRACE_PORT_PATCH);
    }
    if (trip->direction != VTRACE_FORWARD || node != sim->fault_node) {
        return true;
    }
    if (sim->o->metered) {
        meter(trip, node, false);
        meter(trip, node, true);
    }
    switch (sim->o->fault) {
    case SIM_ACL:
        return drop(trip, node, "br-int", VTRACE_REASON_ACL_DENY, 3);

    case SIM_CT_INVALID:
        drop(trip, node, "br-int", VTRACE_REASON_CT_INVALID, 4);
        sim->events[sim->n_events - 1].r.ct_state = CS_TRACKED | CS_INVALID;
        return false;

    case SIM_METER:
    case SIM_METER_ALL:
        meter(trip, node, false);
        if (sim->o->fault == SIM_METER_ALL || i & 1) {
            return false;
        }
        meter(trip, node, true);
        return true;

    case SIM_NO_FLOW:
        return drop(trip, node, "br-mid", VTRACE_REASON_NO_MATCH, 0);

    case SIM_NO_ROUTE:
    case SIM_MTU_SENDER:
    case SIM_MTU_UNDERLAY:
    case SIM_SPINE_SILENT:
    case SIM_FAILOVER:
    case SIM_SPINE_LOSSY:
    case SIM_WRONG_VNI:
    case SIM_NO_NEIGHBOR:
    case SIM_PORT_DOWN:
    case SIM_SILENT_RECEIVER:
    case SIM_NONE:
    case SIM_N_FAULTS:
    default:
        return true;
    }
}

/* Sends a packet from node 'from' to node 'to'.  Returns true if it arrives
 * and a tunnel port takes it. */
static bool
in_underlay(struct trip *trip, int from, int to, unsigned int i)
{
    struct sim *sim = trip->sim;
    enum sim_fault fault = SIM_NONE;
    uint16_t sport = trip->direction ? 50001 : 40001;
    bool arrives = true;

    if (sim->o->flows) {
        sport += i % 4;
    }
    if (trip->direction == VTRACE_FORWARD && to == sim->fault_node) {
        fault = sim->o->fault;
    } else if (from == sim->fault_node && to == from - 1
               && sim->o->lossy[VTRACE_REVERSE]) {
        fault = SIM_SPINE_LOSSY;
    }
    if (fault == SIM_NO_ROUTE) {
        return drop(trip, from, "br-int", VTRACE_REASON_TUNNEL_NO_ROUTE, -1);
    } else if (fault == SIM_NO_NEIGHBOR) {
        return drop(trip, from, "br-int", VTRACE_REASON_TUNNEL_NO_NEIGHBOR,
                    -1);
    } else if (fault == SIM_SPINE_SILENT) {
        /* The other flows take another spine. */
        arrives = sim->o->flows && i & 1;
    } else if (fault == SIM_FAILOVER && sim->o->flows) {
        /* One flow loses two packets, one loses one. */
        arrives = i & 1 || i < 100 || i >= 105;
        sport += i & 1 || i < 105 ? 0 : 10;
    } else if (fault == SIM_FAILOVER) {
        arrives = i < 100 || i >= 120;
        sport += i >= 120;
    } else if (fault == SIM_SPINE_LOSSY) {
        unsigned int every = sim->o->lossy[trip->direction];

        arrives = every ? i % every != trip->direction : !unit_chance(.05);
    } else if (fault == SIM_MTU_UNDERLAY || fault == SIM_MTU_SENDER) {
        arrives = trip->len < TENANT_MTU - 50;
    }

    struct vtrace_record *r = emit(trip, from, VTRACE_ROLE_OUT, "br-int",
                                   "vxlan0", VTRACE_PORT_TUNNEL);
    set_tunnel(r, from, to, sport);
    if (fault == SIM_MTU_SENDER) {
        r->mtu = TENANT_MTU - 50;
    }
    if (!arrives) {
        return false;
    }

    trip->time += 300 * 1000 + sim->o->relay_delay * 1000LL;
    if (fault == SIM_WRONG_VNI) {
        drop(trip, to, "br-int", VTRACE_REASON_TUNNEL_NO_PORT, -1);
        r = &sim->events[sim->n_events - 1].r;
        r->color = color_of(sim, from, trip->direction);
        set_tunnel(r, from, to, sport);
        return false;
    }
    r = emit(trip, to, VTRACE_ROLE_IN, "br-int", "vxlan0",
             VTRACE_PORT_TUNNEL);
    set_tunnel(r, from, to, sport);
    return true;
}

/* Makes what was just received in 'trip' the first half of what was sent, and
 * 'other' the second one. */
static void
segment(struct trip *trip, struct trip *other)
{
    struct sim *sim = trip->sim;
    struct vtrace_record *r = &sim->events[sim->n_events - 1].r;

    trip->digest ^= 1ULL << 62;
    trip->len = (trip->len - HEADERS) / 2 + HEADERS;
    *other = *trip;
    other->digest ^= 1ULL << 61;
    r->digest = trip->digest;
    r->ip_len = trip->len;
    r->payload_len = trip->len - HEADERS;
}

/* Sends packet 'i' of 'direction'.  Returns true if it reaches the end. */
static bool
send_packet(struct sim *sim, enum vtrace_direction direction, unsigned int i,
            int64_t *time)
{
    int first = direction ? sim->n_nodes - 1 : 0;
    int last = direction ? 0 : sim->n_nodes - 1;
    int step = direction ? -1 : 1;
    struct trip trip = {
        .sim = sim,
        .direction = direction,
        .time = *time,
        .digest = ((sim->o->identical ? 1 : (i + 1) * 2654435761ULL)
                   | (direction ? ANSWER_DIGEST : 0)),
        .len = i & 1 ? TENANT_MTU : 100,
        .injected = !direction && i < sim->o->n_injected,
    };
    bool external = is_external(sim->o->scenario);
    struct trip other = { .sim = NULL };

    emit(&trip, first, VTRACE_ROLE_IN, "br-int",
         direction ? "port2" : "vm1",
         direction && external ? VTRACE_PORT_EXTERNAL : VTRACE_PORT_ACCESS
         )->flags |= VTRACE_F_ENTRY;
    if (trip.injected && sim->o->stuck) {
        return drop(&trip, first, "br-int", sim->o->stuck, -1);
    }
    for (int node = first; node != last; node += step) {
        if (!in_switch(&trip, node, i)
            || !in_underlay(&trip, node, node + step, i)) {
            return false;
        }
        if (sim->o->segments && !node) {
            segment(&trip, &other);
        }
    }
    if (other.sim && (sim->o->fault != SIM_SPINE_LOSSY || i % 10 != 5)) {
        /* The other half takes the same way from there on. */
        struct vtrace_record *r = emit(&other, 1, VTRACE_ROLE_IN, "br-int",
                                       "vxlan0", VTRACE_PORT_TUNNEL);
        set_tunnel(r, 0, 1, 40001);
        emit(&other, last, VTRACE_ROLE_OUT, "br-int", "port2",
             VTRACE_PORT_ACCESS);
    }
    if (!in_switch(&trip, last, i)) {
        return false;
    }

    struct vtrace_record *r
        = emit(&trip, last, VTRACE_ROLE_OUT, "br-int",
               direction ? "vm1" : "port2",
               !direction && external ? VTRACE_PORT_EXTERNAL
               : VTRACE_PORT_ACCESS);
    if (sim->o->fault == SIM_PORT_DOWN && !direction) {
        r->link = VTRACE_LINK_DOWN;
        return false;
    }
    if (trip.injected) {
        r->reason = VTRACE_REASON_INJECT_DONE;
        return false;           /* Nobody is there to answer. */
    }
    *time = trip.time;
    return true;
}

static void
send_packets(struct sim *sim)
{
    for (unsigned int i = 0; i < sim->o->n_packets; i++) {
        int64_t time = START + i * INTERVAL;

        if (send_packet(sim, VTRACE_FORWARD, i, &time) && sim->o->both
            && sim->o->fault != SIM_SILENT_RECEIVER) {
            time += 200 * 1000;
            send_packet(sim, VTRACE_REVERSE, i, &time);
        }
    }
    sim->end = START + sim->o->n_packets * INTERVAL;
}

/* Counts what 'node' wrote for 'color' until 'time' by its clock. */
static uint64_t
count_written(const struct sim *sim, size_t n_records, int node,
              uint16_t color, int64_t time)
{
    uint64_t n = 0;

    for (size_t i = 0; i < n_records; i++) {
        const struct event *e = &sim->events[i];

        n += (e->node == node && e->r.color == color
              && (int64_t) e->r.time <= time);
    }
    return n;
}

static void
add_watermark(struct sim *sim, int node, uint16_t color, int64_t time,
              uint64_t written)
{
    struct event *e = add_event(sim);

    e->node = node;
    e->at = time + 60 * MSEC;
    e->is_watermark = true;
    e->w.time = clock_of(sim, node, time);
    e->w.color = color;
    e->w.session = 1;
    e->w.written = written;
}

static void
add_watermarks(struct sim *sim)
{
    size_t n_records = sim->n_events;

    /* Nodes are there before the task. */
    for (int64_t t = START - 2 * SEC; t < sim->end + 3 * SEC;
         t += WATERMARKS) {
        for (int node = 0; node < sim->n_nodes; node++) {
            add_watermark(sim, node, 0, t, 0);
            for (int direction = 0; direction < 2; direction++) {
                uint16_t color = color_of(sim, node, direction);
                uint64_t written = count_written(sim, n_records, node, color,
                                                 clock_of(sim, node, t));

                if (written) {
                    add_watermark(sim, node, color, t, written);
                }
            }
        }
    }
}

static int
compare_events(const void *a_, const void *b_)
{
    const struct event *a = a_;
    const struct event *b = b_;

    return (a->is_watermark != b->is_watermark && a->at == b->at
            ? a->is_watermark - b->is_watermark
            : a->at < b->at ? -1 : a->at > b->at);
}

/* Puts the events into the order in which they arrive.  If all is shuffled,
 * the records come before the watermarks, as those say that they did. */
static void
sort_events(struct sim *sim)
{
    if (sim->o->shuffle) {
        for (size_t i = 0; i < sim->n_events; i++) {
            if (!sim->events[i].is_watermark) {
                sim->events[i].at = unit_range(0, INT32_MAX);
            }
        }
    }
    qsort(sim->events, sim->n_events, sizeof *sim->events, compare_events);
}

/* Returns true if the message with the next record of 'node' is lost. */
static bool
is_dropped(struct sim *sim, int node)
{
    unsigned int len = sim->o->message_len ? sim->o->message_len : 10;

    if (sim->n_dropping[node]++ % len == 0) {
        sim->dropping[node] = unit_chance(sim->o->drop_messages);
    }
    return sim->dropping[node];
}

/* The node 'i' says what probes tell of node 'j'.  Their clocks began some
 * hours apart. */
static void
tell_clock(const struct sim *sim, struct vtrace_analyzer *az,
           struct vtrace_exporter *exporter, int i, int j)
{
    int64_t rtt = sim->o->probe_rtt * 1000LL;
    struct vtrace_clock c = {
        .time = START,
        .probe_clock = clock_of(sim, i, START) - i * 7200 * SEC,
        .ahead = clock_of(sim, i, START) - j * 7200 * SEC + rtt / 2,
        .rtt = rtt,
    };

    set_address(&c.local, 192, 0, 2, 1 + i);
    set_address(&c.remote, 192, 0, 2, 1 + j);
    vtrace_analyzer_clock(az, exporter, &c);
}

/* All nodes say what probes tell. */
static void
tell_clocks(const struct sim *sim, struct vtrace_analyzer *az,
            struct vtrace_exporter **exporters)
{
    for (int i = 0; i < sim->n_nodes; i++) {
        for (int j = 0; j < sim->n_nodes; j++) {
            if (j != i) {
                tell_clock(sim, az, exporters[i], i, j);
            }
        }
    }
}

static void
feed(struct sim *sim, struct vtrace_analyzer *az,
     struct vtrace_exporter **exporters)
{
    int64_t next_run = 0, next_clocks = 0;

    for (int i = 0; i < sim->n_nodes; i++) {
        struct vtrace_endpoint endpoint = { .time = START };

        set_address(&endpoint.address, 192, 0, 2, 1 + i);
        vtrace_analyzer_connected(az, exporters[i]);
        vtrace_analyzer_endpoint(az, exporters[i], &endpoint);
    }
    if (sim->o->old_probes) {
        vtrace_analyzer_run(az, START - 10 * SEC);
        tell_clocks(sim, az, exporters);
    }
    for (size_t i = 0; i < sim->n_events; i++) {
        struct event *e = &sim->events[i];

        if (sim->o->silent_node && e->node == sim->fault_node) {
            continue;
        }
        if (e->is_watermark) {
            vtrace_analyzer_watermark(az, exporters[e->node], &e->w, e->at);
        } else if (!sim->o->no_entry && !is_dropped(sim, e->node)) {
            ck_assert(vtrace_analyzer_record(az, exporters[e->node], &e->r));
        }
        if (e->at >= next_run) {
            vtrace_analyzer_run(az, e->at);
            next_run = e->at + 50 * MSEC;
        }
        if (sim->o->probe_rtt && !sim->o->old_probes
            && e->at >= next_clocks) {
            tell_clocks(sim, az, exporters);
            next_clocks = e->at + SEC;
        }
    }
    for (int i = 0; i < 100; i++) {
        vtrace_analyzer_run(az, sim->end + 4 * SEC + i * 100 * MSEC);
    }
}

struct vtrace_analyzer *
sim_run(const struct sim_options *o, struct vtrace_analysis **analysis)
{
    static const struct vtrace_analyzer_config config
        = VTRACE_ANALYZER_CONFIG_INIT;
    struct vtrace_analyzer *az = vtrace_analyzer_create(&config);
    struct vtrace_exporter *exporters[MAX_NODES];
    struct vtrace_record_file *rf = NULL;
    struct sim sim = { .o = o };
    struct vtrace_analysis *an;

    if (o->record_file) {
        ck_assert_ptr_null(vtrace_record_file_create(
                               o->record_file, VTRACE_RECORD_FILE_MAX, az,
                               &rf));
    }
    an = vtrace_analysis_create(az, 1);
    while (sim.n_nodes < MAX_NODES && names[o->scenario][sim.n_nodes]) {
        int i = sim.n_nodes++;

        exporters[i] = vtrace_analyzer_exporter(az, names[o->scenario][i],
                                                domain_of(&sim, i));
    }
    sim.fault_node = o->scenario == SIM_PEERING ? 2 : 1;
    for (int i = 0; i < sim.n_nodes; i++) {
        vtrace_analysis_listen(an, domain_of(&sim, i),
                               color_of(&sim, i, VTRACE_FORWARD),
                               VTRACE_FORWARD, i ? NULL : "h1");
        if (o->both) {
            vtrace_analysis_listen(an, domain_of(&sim, i),
                                   color_of(&sim, i, VTRACE_REVERSE),
                                   VTRACE_REVERSE,
                                   (i == sim.n_nodes - 1
                                    ? names[o->scenario][i] : NULL));
        }
    }
    vtrace_analysis_start(an, VTRACE_FORWARD);
    if (o->both) {
        vtrace_analysis_start(an, VTRACE_REVERSE);
    }

    send_packets(&sim);
    add_watermarks(&sim);
    sort_events(&sim);
    vtrace_analysis_stop(an, sim.end + SEC);
    feed(&sim, az, exporters);
    vtrace_record_file_close(rf);
    free(sim.events);
    *analysis = an;
    return az;
}
