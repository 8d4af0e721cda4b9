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

/* What the analyzer says if records are missing, late, too many, or of clocks
 * that are wrong: never that packets were lost that were not, nor the
 * opposite. */

#include <config.h>
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "openvswitch/json.h"
#include "packets.h"
#include "util.h"
#include "vtrace/analyze.h"
#include "vtrace/vtrace-json.h"

#define START (1800000000 * SEC)
#define WATERMARKS (200 * MSEC)
#define COLOR 1
#define PER_PACKET 4            /* Records: "in" and "out" at both nodes. */

/* Two nodes, "h1" and "h2", of which one sends packets to the other one. */
struct net {
    struct vtrace_analyzer *az;
    struct vtrace_analysis *an;
    struct vtrace_exporter *nodes[2];
    struct vtrace_record templates[PER_PACKET];
    int64_t next_watermark;

    /* Of each node. */
    uint64_t written[2], lost[2];
    uint32_t session[2];
    int64_t ahead[2];           /* Of its clock. */
    bool silent[2];             /* Nothing comes from it. */
    int64_t late[2];            /* By so much its watermarks are. */
};

static void
set_address(struct in6_addr *addr, uint32_t a)
{
    in6_addr_set_mapped_ipv4(addr, htonl(0xc0000200 | a));
}

static void
send_endpoint(struct net *net, int node, uint32_t address)
{
    struct vtrace_endpoint e = { .time = START };

    set_address(&e.address, address);
    vtrace_analyzer_endpoint(net->az, net->nodes[node], &e);
}

static struct vtrace_analysis *
new_analysis(struct vtrace_analyzer *az, int64_t id, uint16_t color)
{
    struct vtrace_analysis *an = vtrace_analysis_create(az, id);

    ck_assert(vtrace_analysis_listen(an, "", color, VTRACE_FORWARD, "h1"));
    vtrace_analysis_start(an, VTRACE_FORWARD);
    return an;
}

static void
init_templates(struct vtrace_record *templates)
{
    for (int i = 0; i < PER_PACKET; i++) {
        struct vtrace_record *r = &templates[i];
        bool tunnel = i == 1 || i == 2;

        r->color = COLOR;
        r->role = i & 1 ? VTRACE_ROLE_OUT : VTRACE_ROLE_IN;
        r->link = VTRACE_LINK_UP;
        r->port_class = tunnel ? VTRACE_PORT_TUNNEL : VTRACE_PORT_ACCESS;
        r->ip_len = 1000;
        r->ip_version = 4;
        r->protocol = IPPROTO_UDP;
        ovs_strlcpy(r->bridge, "br-int", sizeof r->bridge);
        ovs_strlcpy(r->port, tunnel ? "vxlan0" : "vm", sizeof r->port);
        if (tunnel) {
            set_address(&r->tun_src, 1);
            set_address(&r->tun_dst, 2);
            r->tun_id = 5000;
        }
    }
    templates[0].flags = VTRACE_F_ENTRY;
}

/* Watermarks of 'node' at 'time', which come at 'now'. */
static void
send_watermark(struct net *net, int node, int64_t time, int64_t now)
{
    struct vtrace_watermark w = {
        .time = START + time + net->ahead[node],
        .written = net->written[node],
        .lost = net->lost[node],
        .session = net->session[node],
        .color = COLOR,
    };

    if (w.written + w.lost) {
        vtrace_analyzer_watermark(net->az, net->nodes[node], &w, now);
    }
    w.color = 0;
    vtrace_analyzer_watermark(net->az, net->nodes[node], &w, now);
}

/* Makes the nodes known.  The first watermarks come 2 s before the packets. */
static void
net_init_nodes(struct net *net, uint32_t max_observations)
{
    struct vtrace_analyzer_config config = VTRACE_ANALYZER_CONFIG_INIT;

    if (max_observations) {
        config.max_observations = max_observations;
    }
    memset(net, 0, sizeof *net);
    net->az = vtrace_analyzer_create(&config);
    init_templates(net->templates);
    for (int i = 0; i < 2; i++) {
        net->nodes[i] = vtrace_analyzer_exporter(net->az, i ? "h2" : "h1",
                                                 "");
        net->session[i] = 7 + i;
        vtrace_analyzer_connected(net->az, net->nodes[i]);
        send_endpoint(net, i, 1 + i);
    }
}

static void
net_init(struct net *net)
{
    net_init_nodes(net, 0);
    for (int i = 0; i < 2; i++) {
        send_watermark(net, i, -2 * SEC, 0);
    }
    net->an = new_analysis(net->az, 1, COLOR);
}

/* Record 'i' of a packet that entered at 'time' comes. */
static void
send_record(struct net *net, int i, int64_t time, uint64_t digest,
            uint16_t sport)
{
    struct vtrace_record r = net->templates[i];
    int node = i / 2;

    r.time = START + time + i * 20000 + net->ahead[node];
    r.digest = digest;
    r.tun_sport = r.port_class == VTRACE_PORT_TUNNEL ? sport : 0;
    net->written[node]++;
    vtrace_analyzer_record(net->az, net->nodes[node], &r);
}

/* A packet at 'time', which arrives or not. */
static void
send_packet(struct net *net, int64_t time, uint64_t digest, uint16_t sport,
            bool arrives)
{
    for (int i = 0; i < (arrives ? PER_PACKET : PER_PACKET / 2); i++) {
        if (!net->silent[i / 2]) {
            send_record(net, i, time, digest, sport);
        }
    }
}

static uint64_t
digest_of(uint64_t i)
{
    return (i + 1) * 0x9e3779b97f4a7c15ULL;
}

/* Lets the time be 'time', which grows from call to call. */
static void
tick(struct net *net, int64_t time)
{
    if (time < net->next_watermark) {
        return;
    }
    net->next_watermark = time + WATERMARKS;
    for (int i = 0; i < 2; i++) {
        if (!net->silent[i]) {
            send_watermark(net, i, time - net->late[i], time + 2 * SEC);
        }
    }
    vtrace_analyzer_run(net->az, time + 2 * SEC);
}

static void
stop(struct net *net, int64_t time)
{
    vtrace_analysis_stop(net->an, START + time);
    for (int64_t t = time; t < time + 15 * SEC; t += WATERMARKS) {
        tick(net, t);
    }
}

/* Returns the verdict as "KIND REASON", with what it is about in '*v'. */
static const char *
get_verdict(const struct vtrace_analysis *an, struct vtrace_verdict *v)
{
    static char s[64];
    char reason[VTRACE_REASON_NAME_LEN];

    vtrace_analysis_verdict(an, v);
    vtrace_reason_name(v->reason, reason);
    snprintf(s, sizeof s, "%s %s", vtrace_verdict_name(v->kind), reason);
    return s;
}

static void
net_destroy(struct net *net)
{
    vtrace_analyzer_destroy(net->az);
}

/* Stops 'net' at 'time' and compares the verdict with 'expected'. */
static void
finish(struct net *net, int64_t time, const char *expected,
       struct vtrace_verdict *v)
{
    stop(net, time);
    const char *got = get_verdict(net->an, v);
    ck_assert_msg(!strcmp(got, expected), "\"%s\" instead of \"%s\" "
                  "(lost %llu of %llu)", got, expected,
                  (unsigned long long) v->lost, (unsigned long long) v->seen);
    ck_assert(!v->edge[1] || !strcmp(v->edge[1], "h2")
              || !strcmp(v->edge[1], "192.0.2.2"));
    net_destroy(net);
}

/* Returns a member of the forward direction's evidence. */
static int64_t
get_evidence(const struct net *net, const char *name)
{
    struct json *json = vtrace_analysis_to_json(net->an, false);
    const struct json *member = shash_find_data(json_object(json), "evidence");

    member = shash_find_data(json_object(member), "forward");
    member = shash_find_data(json_object(member), name);
    ck_assert_msg(member != NULL, "no member \"%s\"", name);
    int64_t value = json_integer(member);
    json_destroy(json);
    return value;
}

/* Exits. */

/* An answer that enters h2 by 'port' and is delivered there. */
static void
send_answer(struct net *net, int64_t time, uint64_t digest, const char *port)
{
    for (int i = 0; i < 2; i++) {
        struct vtrace_record r = net->templates[i ? 3 : 0];

        r.color = COLOR + 1;
        r.time = START + time + i * 20000;
        r.digest = digest;
        ovs_strlcpy(r.port, i ? "other" : port, sizeof r.port);
        vtrace_analyzer_record(net->az, net->nodes[1], &r);
    }
}

/* Replies are watched at one port.  The verdict says so if packets leave by
 * others too. */
START_TEST(test_several_exits)
{
    static const struct {
        int every;              /* So many packets leave by port "vm2". */
        const char *port;       /* Where answers come, or NULL. */
        const char *kind, *replies;
    } cases[] = {
        { 1000, "vm", "none", NULL },
        { 4, "vm", "none", "watched at h2/br-int/vm only, where 150 of 200 "
          "packets left" },
        { 4, "vm2", "none", "watched at h2/br-int/vm2 only, where 50 of 200 "
          "packets left" },
        { 4, NULL, "no-reply", "watched at h2/br-int/vm only, where 150 of "
          "200 packets left" },
    };
    const struct json *verdict;
    struct json *json;
    struct net net;

    net_init(&net);
    ck_assert(vtrace_analysis_listen(net.an, "", COLOR + 1, VTRACE_REVERSE,
                                     "h2"));
    vtrace_analysis_start(net.an, VTRACE_REVERSE);
    for (int i = 0; i < 200; i++) {
        tick(&net, i * 10 * MSEC);
        ovs_strlcpy(net.templates[3].port,
                    i % cases[_i].every == 1 ? "vm2" : "vm",
                    sizeof net.templates[3].port);
        send_packet(&net, i * 10 * MSEC, digest_of(i), 40000, true);
        if (cases[_i].port) {
            send_answer(&net, i * 10 * MSEC + MSEC, digest_of(1000 + i),
                        cases[_i].port);
        }
    }
    stop(&net, 2 * SEC);
    json = vtrace_analysis_to_json(net.an, true);
    verdict = vtrace_json_member(json, "verdict", JSON_OBJECT);
    ck_assert_str_eq(vtrace_json_string(verdict, "kind", ""), cases[_i].kind);
    ck_assert_pstr_eq(vtrace_json_string(verdict, "replies", NULL),
                      cases[_i].replies);
    json_destroy(json);
    net_destroy(&net);
}
END_TEST

/* Counts. */

/* What nodes counted for an earlier task with the color excuses no loss, even
 * if nobody said where a session began, or its first watermark comes when
 * somebody listens. */
START_TEST(test_used_color)
{
    int variant = _i % 3;
    bool lossy = _i < 3;
    struct vtrace_verdict v;
    struct net net;

    net_init_nodes(&net, 0);
    for (int i = 0; i < 2; i++) {
        if (variant) {
            send_watermark(&net, i, -3 * SEC, 0);
            net.session[i] += 10;
        }
        net.written[i] = 4000;
        net.lost[i] = 100;
        if (variant < 2) {
            send_watermark(&net, i, -2 * SEC, 0);
        }
    }
    net.an = new_analysis(net.az, 1, COLOR);
    for (int i = 0; variant == 2 && i < 2; i++) {
        send_watermark(&net, i, -2 * SEC, 0);
    }
    for (int i = 0; i < 1000; i++) {
        tick(&net, i * 10 * MSEC);
        send_packet(&net, i * 10 * MSEC, digest_of(i), 40000,
                    !lossy || i % 5);
    }
    finish(&net, 10 * SEC,
           lossy ? "underlay-loss underlay-lossy" : "none none", &v);
    ck_assert_uint_eq(v.lost, lossy ? 200 : 0);
}
END_TEST

/* But what they lose of this task does. */
START_TEST(test_lost_records)
{
    struct vtrace_verdict v;
    struct net net;

    net_init_nodes(&net, 0);
    net.written[1] = 4000;
    send_watermark(&net, 0, -2 * SEC, 0);
    send_watermark(&net, 1, -2 * SEC, 0);
    net.an = new_analysis(net.az, 1, COLOR);
    for (int i = 0; i < 1000; i++) {
        tick(&net, i * 10 * MSEC);
        send_packet(&net, i * 10 * MSEC, digest_of(i), 40000, i % 5);
        net.lost[1] += i % 5 ? 0 : 2;
    }
    stop(&net, 10 * SEC);
    ck_assert_int_eq(get_evidence(&net, "records_missing"), 400);
    get_verdict(net.an, &v);
    ck_assert_int_ne(v.kind, VTRACE_VERDICT_UNDERLAY_LOSS);
    net_destroy(&net);
}
END_TEST

/* Connections. */

/* The connection of h2 breaks for a while.  Records of the first round of the
 * next one come before its first watermark, and some are lost.  In the last
 * case its clock is set back an hour at the same time. */
START_TEST(test_broken_connection)
{
    int64_t down = _i & 1 || _i == 4 ? 500 * MSEC : 2 * SEC;
    bool lossy = _i & 2;
    struct vtrace_verdict v;
    struct net net;

    net_init(&net);
    net.ahead[1] = _i == 4 ? 3600 * SEC : 0;
    for (int i = 0; i < 1000; i++) {
        int64_t time = i * 10 * MSEC;

        if (time >= 4 * SEC && time < 4 * SEC + down) {
            net.silent[1] = true;
        } else if (net.silent[1]) {
            net.silent[1] = false;
            net.session[1]++;
            net.written[1] = 0;
            net.lost[1] = 4;
            net.ahead[1] = 0;
            vtrace_analyzer_connected(net.az, net.nodes[1]);
            /* What the old connection still has counts no more. */
            struct vtrace_watermark w = {
                .time = START + time, .session = 8, .color = COLOR,
                .written = 100000,
            };
            vtrace_analyzer_watermark(net.az, net.nodes[1], &w, time);
            net.next_watermark = time + WATERMARKS;
        }
        tick(&net, time);
        send_packet(&net, time, digest_of(i), 40000, !lossy || i % 5);
    }
    stop(&net, 10 * SEC);
    ck_assert_int_eq(get_evidence(&net, "records_missing"), 4);
    if (lossy) {
        finish(&net, 26 * SEC, "underlay-loss underlay-lossy", &v);
        ck_assert_uint_ge(v.lost, 80);
    } else {
        ck_assert_int_eq(get_evidence(&net, "not_judged"), down / 10 / MSEC);
        finish(&net, 26 * SEC, "inconclusive node-silent", &v);
    }
}
END_TEST

/* A node whose first connection comes about in the middle of the task. */
START_TEST(test_late_connection)
{
    struct vtrace_verdict v;
    struct net net;

    net_init_nodes(&net, 0);
    send_watermark(&net, 0, -2 * SEC, 0);
    net.an = new_analysis(net.az, 1, COLOR);
    net.silent[1] = true;
    for (int i = 0; i < 1000; i++) {
        net.silent[1] = i < 300;
        tick(&net, i * 10 * MSEC);
        send_packet(&net, i * 10 * MSEC, digest_of(i), 40000, true);
    }
    finish(&net, 10 * SEC, "inconclusive node-silent", &v);
}
END_TEST

/* The entry is waited for. */
START_TEST(test_late_entry)
{
    struct vtrace_verdict v;
    struct net net;
    int64_t late = 300;         /* Packets. */

    net_init(&net);
    for (int i = 0; i < 1000 + late; i++) {
        net.late[0] = MIN(i, late) * 10 * MSEC;
        tick(&net, i * 10 * MSEC);
        for (int j = 0; j < PER_PACKET; j++) {
            int k = j < 2 ? i - late : i;

            if (k >= 0 && k < 1000) {
                send_record(&net, j, k * 10 * MSEC, digest_of(k), 40000);
            }
        }
    }
    finish(&net, 13 * SEC, "none none", &v);
    ck_assert_uint_eq(v.seen, 1000);
}
END_TEST

/* Failover. */

/* Loss in bursts is no failover, whether connections go on or others begin. */
START_TEST(test_bursts)
{
    struct vtrace_verdict v;
    struct net net;

    net_init(&net);
    for (int i = 0; i < 2000; i++) {
        int64_t time = i * 5 * MSEC;
        uint16_t sport = 40000 + (_i == 0 ? i % 2   /* Two connections. */
                                  : _i == 1 ? i % 8     /* Many. */
                                  /* Short ones, which end like that. */
                                  : (time + 700 * MSEC) / SEC);

        tick(&net, time);
        send_packet(&net, time, digest_of(i), sport,
                    time % SEC >= 300 * MSEC);
    }
    stop(&net, 10 * SEC);
    get_verdict(net.an, &v);
    ck_assert_int_eq(v.kind, VTRACE_VERDICT_UNDERLAY_LOSS);
    net_destroy(&net);
}
END_TEST

/* One outage of 300 ms of one of several connections. */
START_TEST(test_outage)
{
    static const char *const expected[] = {
        "none failover",                /* It moves to a new port. */
        "none failover",                /* To another one's, of many. */
        "underlay-loss underlay-lossy", /* It stays. */
        "underlay-loss underlay-silent", /* It ends. */
        "none failover",                /* It moves and another one comes. */
        "underlay-loss underlay-lossy", /* It stays, of many. */
    };
    unsigned int n = _i == 1 || _i == 5 ? 6 : 2;
    struct vtrace_verdict v;
    struct net net;

    net_init(&net);
    for (int i = 0; i < 2000; i++) {
        int64_t time = i * 5 * MSEC;
        uint16_t sport = 40000 + i % n;
        bool affected = sport == 40000;
        bool over = time >= 3300 * MSEC;

        if (affected && over) {
            if (_i == 3) {
                continue;
            }
            sport = (_i == 0 ? 50000 : _i == 1 ? 40003
                     : _i == 4 && time < 5 * SEC ? 50000 : sport);
        }
        tick(&net, time);
        send_packet(&net, time, digest_of(i), sport,
                    !affected || over || time < 3 * SEC);
    }
    finish(&net, 10 * SEC, expected[_i], &v);
    ck_assert_uint_ge(v.lost, 10);
}
END_TEST

/* An outage in which each of five of eight flows, with a packet every 80 ms,
 * sends but one, or, where the others lose one too, three. */
START_TEST(test_short_outage)
{
    static const char *const expected[] = {
        "none failover",                /* They move to new ports. */
        "underlay-loss underlay-lossy", /* They stay. */
        "underlay-loss underlay-lossy", /* They end. */
        "none failover",                /* The others lose some, too. */
        "underlay-loss underlay-lossy", /* The same, but as much. */
    };
    int end = _i == 3 ? 328 : 312;
    struct vtrace_verdict v;
    struct net net;

    net_init(&net);
    for (int i = 0; i < 1000; i++) {
        int64_t time = i * 10 * MSEC;
        int flow = i % 8;
        bool affected = flow < 5 && i >= 304;

        tick(&net, time);
        if (affected && i >= end && _i == 2) {
            continue;
        }
        send_packet(&net, time, digest_of(i),
                    (affected && i >= end && _i != 1 ? 50000 : 40000)
                    + flow,
                    (affected ? i >= end
                     : _i < 3 || i < 304 || i >= 312));
    }
    finish(&net, 10 * SEC, expected[_i], &v);
    ck_assert_uint_eq(v.lost, _i < 3 ? 5 : _i == 3 ? 18 : 8);
}
END_TEST

/* A failover of the forward direction, and of the other one, in which two of
 * eight flows lose the last packet that they send before they move, or do not
 * move. */
START_TEST(test_both_failovers)
{
    static const char *const expected[] = {
        "none failover",
        "inconclusive too-few-packets",
    };
    struct vtrace_verdict v;
    struct net net;

    net_init(&net);
    ck_assert(vtrace_analysis_listen(net.an, "", COLOR + 1, VTRACE_REVERSE,
                                     "h2"));
    vtrace_analysis_start(net.an, VTRACE_REVERSE);
    for (int i = 0; i < 1000; i++) {
        int64_t time = i * 10 * MSEC;
        bool over = time >= 3300 * MSEC;
        bool affected = i % 8 < 2 && i >= 304;

        tick(&net, time);
        send_packet(&net, time, digest_of(i), over ? 50000 : 40000,
                    over || time < 3 * SEC);
        for (int j = 0; j < (affected && i < 312 ? 2 : 4); j++) {
            struct vtrace_record r = net.templates[j];

            r.color = COLOR + 1;
            r.time = START + time + MSEC + j * 20000;
            r.digest = digest_of(1000 + i);
            r.tun_src = net.templates[j].tun_dst;
            r.tun_dst = net.templates[j].tun_src;
            r.tun_sport = (affected && i >= 312 && !_i ? 50000 : 40000)
                          + i % 8;
            vtrace_analyzer_record(net.az, net.nodes[1 - j / 2], &r);
        }
    }
    stop(&net, 10 * SEC);
    ck_assert_str_eq(get_verdict(net.an, &v), expected[_i]);
    net_destroy(&net);
}
END_TEST

/* Limits. */

/* Packets that repeat at a high rate, whose records from h2 come later. */
START_TEST(test_crowd)
{
    int64_t interval = SEC / (_i & 1 ? 20000 : 2000);
    int64_t n = (_i & 1 ? 3 : 5) * SEC / interval;
    int64_t late = 250 * MSEC / interval;
    struct vtrace_verdict v;
    struct net net;

    net_init(&net);
    net.late[1] = 260 * MSEC;
    for (int64_t i = 0; i < n + late; i++) {
        tick(&net, i * interval);
        for (int j = 0; j < PER_PACKET; j++) {
            int64_t k = j < 2 ? i : i - late;

            if (k >= 0 && k < n) {
                send_record(&net, j, k * interval, 42, 40000);
            }
        }
    }
    if (_i & 1) {
        finish(&net, n * interval, "inconclusive ambiguous-packets", &v);
    } else {
        finish(&net, n * interval, "none none", &v);
        ck_assert_uint_ge(v.seen, n - 1);
    }
}
END_TEST

/* A task that fills the pool leaves another one its share, and is told. */
START_TEST(test_pool)
{
    struct vtrace_analysis *greedy;
    struct vtrace_verdict v;
    struct net net;
    uint64_t n = 1 << 20;

    net_init_nodes(&net, 2000);
    send_watermark(&net, 0, -2 * SEC, 0);
    send_watermark(&net, 1, -2 * SEC, 0);
    greedy = new_analysis(net.az, 2, COLOR + 1);
    net.an = new_analysis(net.az, 1, COLOR);
    for (int i = 0; i < 1000; i++) {
        int64_t time = i * 10 * MSEC;

        tick(&net, time);
        for (int j = 0; j < 40; j++) {
            struct vtrace_record r = net.templates[j % PER_PACKET];

            n += !(j % PER_PACKET);
            r.color = COLOR + 1;
            r.digest = digest_of(n);
            r.time = START + time + j * 1000;
            vtrace_analyzer_record(net.az,
                                   net.nodes[j % PER_PACKET / 2], &r);
        }
        send_packet(&net, time, digest_of(i), 40000, true);
    }
    vtrace_analysis_stop(greedy, START + 10 * SEC);
    stop(&net, 10 * SEC);
    ck_assert_str_eq(get_verdict(greedy, &v), "inconclusive records-lost");
    finish(&net, 26 * SEC, "none none", &v);
    ck_assert_uint_eq(v.seen, 1000);
}
END_TEST

/* Of more than 256 addresses of a node the last ones are known. */
START_TEST(test_endpoints)
{
    struct vtrace_verdict v;
    struct net net;

    net_init(&net);
    for (uint32_t i = 0; i < (_i ? 256 : 255); i++) {
        send_endpoint(&net, 1, 1000 + i);
    }
    for (int i = 0; i < 100; i++) {
        tick(&net, i * 10 * MSEC);
        send_packet(&net, i * 10 * MSEC, digest_of(i), 40000, false);
    }
    finish(&net, SEC, (_i ? "inconclusive node-silent"
                       : "underlay-loss underlay-silent"), &v);
}
END_TEST

/* Clocks. */

/* The clock of h2 was an hour ahead, and is set; then h2 falls silent.
 * Nothing was lost, or all. */
START_TEST(test_set_back)
{
    bool arrives = _i < 2;
    struct vtrace_verdict v;
    struct net net;

    net_init(&net);
    net.ahead[1] = 3600 * SEC;
    net.written[1] = 1;
    send_watermark(&net, 1, -SEC, SEC);
    net.written[1] = 0;
    net.ahead[1] = 0;
    if (_i & 1) {
        /* In another connection. */
        net.session[1]++;
        vtrace_analyzer_connected(net.az, net.nodes[1]);
    }
    for (int i = 0; i < 1000; i++) {
        net.silent[1] = i >= 200;
        tick(&net, i * 10 * MSEC);
        send_packet(&net, i * 10 * MSEC, digest_of(i), 40000, arrives);
    }
    finish(&net, 10 * SEC, (arrives ? "inconclusive node-silent"
                            : "underlay-loss underlay-silent"), &v);
    ck_assert_uint_le(v.lost, 200);
}
END_TEST

/* Clocks that are too far apart to match packets that repeat. */
START_TEST(test_apart)
{
    static const int64_t ahead[] = { 500, -500, 1500, -1500, 5000 };
    struct vtrace_verdict v;

    for (int identical = 0; identical < 2; identical++) {
        struct net net;

        net_init_nodes(&net, 0);
        net.ahead[1] = ahead[_i] * MSEC;
        send_watermark(&net, 0, -8 * SEC, 0);
        send_watermark(&net, 1, -8 * SEC, 0);
        net.an = new_analysis(net.az, 1, COLOR);
        for (int i = 0; i < 2000; i++) {
            tick(&net, i * 10 * MSEC);
            send_packet(&net, i * 10 * MSEC, identical ? 42 : digest_of(i),
                        40000, true);
        }
        finish(&net, 20 * SEC, (identical && llabs(ahead[_i]) > 1000
                                ? "inconclusive ambiguous-packets"
                                : "none none"), &v);
    }
}
END_TEST

static Suite *
suite(void)
{
    Suite *s = suite_create("vtrace-evidence");
    TCase *tc = unit_case(s, "evidence", 120);

    tcase_add_loop_test(tc, test_several_exits, 0, 4);
    tcase_add_loop_test(tc, test_used_color, 0, 6);
    tcase_add_test(tc, test_lost_records);
    tcase_add_loop_test(tc, test_broken_connection, 0, 5);
    tcase_add_test(tc, test_late_connection);
    tcase_add_test(tc, test_late_entry);
    tcase_add_loop_test(tc, test_bursts, 0, 3);
    tcase_add_loop_test(tc, test_outage, 0, 6);
    tcase_add_loop_test(tc, test_short_outage, 0, 5);
    tcase_add_loop_test(tc, test_both_failovers, 0, 2);
    tcase_add_loop_test(tc, test_crowd, 0, 2);
    tcase_add_test(tc, test_pool);
    tcase_add_loop_test(tc, test_endpoints, 0, 2);
    tcase_add_loop_test(tc, test_set_back, 0, 3);
    tcase_add_loop_test(tc, test_apart, 0, 5);
    return s;
}

int
main(void)
{
    return unit_run(suite());
}
