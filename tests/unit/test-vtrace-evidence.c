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
#include "vtrace-net.h"

#include <stdlib.h>
#include <string.h>

#include "openvswitch/json.h"
#include "util.h"
#include "vtrace/analyze.h"
#include "vtrace/vtrace-json.h"

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

    net_init_both_ways(&net);
    vtrace_analysis_start(net.an, VTRACE_REVERSE);
    for (int i = 0; i < 200; i++) {
        net_tick(&net, i * 10 * MSEC);
        ovs_strlcpy(net.templates[3].port,
                    i % cases[_i].every == 1 ? "vm2" : "vm",
                    sizeof net.templates[3].port);
        net_packet(&net, i * 10 * MSEC, net_digest(i), 40000, true);
        if (cases[_i].port) {
            send_answer(&net, i * 10 * MSEC + MSEC, net_digest(1000 + i),
                        cases[_i].port);
        }
    }
    net_stop(&net, 2 * SEC);
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
            net_watermark(&net, i, -3 * SEC, 0);
            net.session[i] += 10;
        }
        net.written[i] = 4000;
        net.lost[i] = 100;
        if (variant < 2) {
            net_watermark(&net, i, -2 * SEC, 0);
        }
    }
    net.an = net_analysis(net.az, 1, COLOR);
    for (int i = 0; variant == 2 && i < 2; i++) {
        net_watermark(&net, i, -2 * SEC, 0);
    }
    for (int i = 0; i < 1000; i++) {
        net_tick(&net, i * 10 * MSEC);
        net_packet(&net, i * 10 * MSEC, net_digest(i), 40000,
                    !lossy || i % 5);
    }
    net_finish(&net, 10 * SEC,
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
    net_watermark(&net, 0, -2 * SEC, 0);
    net_watermark(&net, 1, -2 * SEC, 0);
    net.an = net_analysis(net.az, 1, COLOR);
    for (int i = 0; i < 1000; i++) {
        net_tick(&net, i * 10 * MSEC);
        net_packet(&net, i * 10 * MSEC, net_digest(i), 40000, i % 5);
        net.lost[1] += i % 5 ? 0 : 2;
    }
    net_stop(&net, 10 * SEC);
    ck_assert_int_eq(net_evidence(&net, "records_missing"), 400);
    net_verdict(net.an, &v);
    ck_assert_int_ne(v.kind, VTRACE_VERDICT_UNDERLAY_LOSS);
    net_destroy(&net);
}
END_TEST

/* Connections. */

/* The connection of h2, or in the last two cases that of h1, breaks for a
 * while.  Records of the first round of the next one come before its first
 * watermark, and some are lost.  In case 4 its clock is set back an hour at the
 * same time.  What enters h1 while it is away nobody sees, lost or not. */
START_TEST(test_broken_connection)
{
    int64_t down = _i & 1 || _i == 4 ? 500 * MSEC : 2 * SEC;
    bool lossy = _i == 2 || _i == 3;
    int broken = _i < 5;
    struct vtrace_verdict v;
    struct net net;

    net_init(&net);
    net.ahead[1] = _i == 4 ? 3600 * SEC : 0;
    for (int i = 0; i < 1000; i++) {
        int64_t time = i * 10 * MSEC;
        bool away = time >= 4 * SEC && time < 4 * SEC + down;

        if (away) {
            net.silent[broken] = true;
        } else if (net.silent[broken]) {
            net.silent[broken] = false;
            net.session[broken] += 10;
            net.written[broken] = 0;
            net.lost[broken] = 4;
            net.ahead[broken] = 0;
            vtrace_analyzer_connected(net.az, net.nodes[broken]);
            /* What the old connection still has counts no more. */
            struct vtrace_watermark w = {
                .time = START + time, .session = 7 + broken, .color = COLOR,
                .written = 100000,
            };
            vtrace_analyzer_watermark(net.az, net.nodes[broken], &w, time);
            net.next_watermark = time + WATERMARKS;
        }
        net_tick(&net, time);
        net_packet(&net, time, net_digest(i), 40000,
                   (broken || !away) && (!lossy || i % 5));
    }
    net_stop(&net, 10 * SEC);
    ck_assert_int_eq(net_evidence(&net, "records_missing"), 4);
    if (lossy) {
        net_finish(&net, 26 * SEC, "underlay-loss underlay-lossy", &v);
        ck_assert_uint_ge(v.lost, 80);
    } else {
        ck_assert_int_eq(net_evidence(&net, "not_judged"),
                         broken ? down / 10 / MSEC : 0);
        net_verdict(net.an, &v);
        ck_assert_str_eq(v.node, "h1");
        net_finish(&net, 26 * SEC, "inconclusive node-silent", &v);
    }
}
END_TEST

/* The entry falls silent, for good, or after the stop. */
START_TEST(test_silent_entry)
{
    struct vtrace_verdict v;
    struct net net;

    net_init(&net);
    for (int i = 0; i < 1000; i++) {
        net.silent[0] = !_i && i >= 700;
        net_tick(&net, i * 10 * MSEC);
        net_packet(&net, i * 10 * MSEC, net_digest(i), 40000, true);
    }
    vtrace_analysis_stop(net.an, START + 10 * SEC);
    for (int64_t time = 10 * SEC; time < 25 * SEC; time += WATERMARKS) {
        net.silent[0] = !_i || time > 12 * SEC;
        net_tick(&net, time);
    }
    ck_assert_str_eq(net_verdict(net.an, &v),
                     _i ? "none none" : "inconclusive node-silent");
    net_destroy(&net);
}
END_TEST

/* A node whose first connection comes about in the middle of the task. */
START_TEST(test_late_connection)
{
    struct vtrace_verdict v;
    struct net net;

    net_init_nodes(&net, 0);
    net_watermark(&net, 0, -2 * SEC, 0);
    net.an = net_analysis(net.az, 1, COLOR);
    net.silent[1] = true;
    for (int i = 0; i < 1000; i++) {
        net.silent[1] = i < 300;
        net_tick(&net, i * 10 * MSEC);
        net_packet(&net, i * 10 * MSEC, net_digest(i), 40000, true);
    }
    net_finish(&net, 10 * SEC, "inconclusive node-silent", &v);
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
        net_tick(&net, i * 10 * MSEC);
        for (int j = 0; j < PER_PACKET; j++) {
            int k = j < 2 ? i - late : i;

            if (k >= 0 && k < 1000) {
                net_record(&net, j, k * 10 * MSEC, net_digest(k), 40000);
            }
        }
    }
    net_finish(&net, 13 * SEC, "none none", &v);
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

        net_tick(&net, time);
        net_packet(&net, time, net_digest(i), sport,
                    time % SEC >= 300 * MSEC);
    }
    net_stop(&net, 10 * SEC);
    net_verdict(net.an, &v);
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
        net_tick(&net, time);
        net_packet(&net, time, net_digest(i), sport,
                    !affected || over || time < 3 * SEC);
    }
    net_finish(&net, 10 * SEC, expected[_i], &v);
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

        net_tick(&net, time);
        if (affected && i >= end && _i == 2) {
            continue;
        }
        net_packet(&net, time, net_digest(i),
                    (affected && i >= end && _i != 1 ? 50000 : 40000)
                    + flow,
                    (affected ? i >= end
                     : _i < 3 || i < 304 || i >= 312));
    }
    net_finish(&net, 10 * SEC, expected[_i], &v);
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

    net_init_both_ways(&net);
    vtrace_analysis_start(net.an, VTRACE_REVERSE);
    for (int i = 0; i < 1000; i++) {
        int64_t time = i * 10 * MSEC;
        bool over = time >= 3300 * MSEC;
        bool affected = i % 8 < 2 && i >= 304;

        net_tick(&net, time);
        net_packet(&net, time, net_digest(i), over ? 50000 : 40000,
                    over || time < 3 * SEC);
        for (int j = 0; j < (affected && i < 312 ? 2 : 4); j++) {
            struct vtrace_record r = net.templates[j];

            r.color = COLOR + 1;
            r.time = START + time + MSEC + j * 20000;
            r.digest = net_digest(1000 + i);
            r.tun_src = net.templates[j].tun_dst;
            r.tun_dst = net.templates[j].tun_src;
            r.tun_sport = (affected && i >= 312 && !_i ? 50000 : 40000)
                          + i % 8;
            vtrace_analyzer_record(net.az, net.nodes[1 - j / 2], &r);
        }
    }
    net_stop(&net, 10 * SEC);
    ck_assert_str_eq(net_verdict(net.an, &v), expected[_i]);
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
        net_tick(&net, i * interval);
        for (int j = 0; j < PER_PACKET; j++) {
            int64_t k = j < 2 ? i : i - late;

            if (k >= 0 && k < n) {
                net_record(&net, j, k * interval, 42, 40000);
            }
        }
    }
    if (_i & 1) {
        net_finish(&net, n * interval, "inconclusive ambiguous-packets", &v);
    } else {
        net_finish(&net, n * interval, "none none", &v);
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
    net_watermark(&net, 0, -2 * SEC, 0);
    net_watermark(&net, 1, -2 * SEC, 0);
    greedy = net_analysis(net.az, 2, COLOR + 1);
    net.an = net_analysis(net.az, 1, COLOR);
    for (int i = 0; i < 1000; i++) {
        int64_t time = i * 10 * MSEC;

        net_tick(&net, time);
        for (int j = 0; j < 40; j++) {
            struct vtrace_record r = net.templates[j % PER_PACKET];

            n += !(j % PER_PACKET);
            r.color = COLOR + 1;
            r.digest = net_digest(n);
            r.time = START + time + j * 1000;
            vtrace_analyzer_record(net.az,
                                   net.nodes[j % PER_PACKET / 2], &r);
        }
        net_packet(&net, time, net_digest(i), 40000, true);
    }
    vtrace_analysis_stop(greedy, START + 10 * SEC);
    net_stop(&net, 10 * SEC);
    ck_assert_str_eq(net_verdict(greedy, &v), "inconclusive records-lost");
    net_finish(&net, 26 * SEC, "none none", &v);
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
        net_endpoint(&net, 1, 1000 + i);
    }
    for (int i = 0; i < 100; i++) {
        net_tick(&net, i * 10 * MSEC);
        net_packet(&net, i * 10 * MSEC, net_digest(i), 40000, false);
    }
    net_finish(&net, SEC, (_i ? "inconclusive node-silent"
                       : "underlay-loss underlay-silent"), &v);
}
END_TEST

/* Other nodes. */

/* A third node, not on the path, that names the color, with a record of it if
 * 'record' is true, and whose time stands still, goes slowly, to and fro, or on
 * in one connection after another. */
START_TEST(test_stubborn_node)
{
    bool record = _i & 1;
    struct vtrace_exporter *evil;
    struct vtrace_verdict v;
    struct net net;

    net_init(&net);
    evil = vtrace_analyzer_exporter(net.az, "evil", "");
    vtrace_analyzer_connected(net.az, evil);
    for (int i = 0; i < 3000; i++) {
        int64_t time = i * 10 * MSEC;
        struct vtrace_watermark w = {
            .time = START - SEC, .session = 3, .color = COLOR,
            .written = record,
        };

        if (i == 0 && record) {
            struct vtrace_record r = net.templates[2];

            r.time = START;
            r.digest = 1;
            vtrace_analyzer_record(net.az, evil, &r);
        }
        switch (_i / 2) {
        case 0:
            break;
        case 1:
            w.time += i * 8 * MSEC;
            break;
        case 2:
            w.time += i % 20 ? 0 : SEC;
            break;
        default:
            w.session += i / 10;
            break;
        }
        vtrace_analyzer_watermark(net.az, evil, &w, time + 2 * SEC);
        w.color = 0;
        vtrace_analyzer_watermark(net.az, evil, &w, time + 2 * SEC);
        net_tick(&net, time);
        if (i < 1000) {
            net_packet(&net, time, net_digest(i), 40000, i % 5);
        } else if (i == 1000) {
            vtrace_analysis_stop(net.an, START + time);
        } else if (i == 1000 + (record ? 700 : 200)) {
            /* As long as a task waits, or without any delay. */
            ck_assert(vtrace_analysis_is_complete(net.an));
            break;
        }
    }
    ck_assert_str_eq(net_verdict(net.an, &v),
                     "underlay-loss underlay-lossy");
    ck_assert_uint_eq(v.seen, 1000);
    net_destroy(&net);
}
END_TEST

/* Any node can say that packets enter there. */
START_TEST(test_false_entry)
{
    struct vtrace_verdict v;
    struct net net;

    net_init(&net);
    for (int i = 0; i < 100; i++) {
        struct vtrace_record r = net.templates[0];

        net_tick(&net, i * 10 * MSEC);
        net_packet(&net, i * 10 * MSEC, net_digest(i), 40000, true);
        r.time = START + i * 10 * MSEC;
        r.digest = net_digest(10000 + i);
        net.written[1]++;
        vtrace_analyzer_record(net.az, net.nodes[1], &r);
    }
    net_finish(&net, SEC, "none none", &v);
    ck_assert_uint_eq(v.seen, 100);
}
END_TEST

/* A node, of the same domain or another one, says that it has the address of
 * h2, as that speaks, or before it is heard no more. */
START_TEST(test_false_endpoint)
{
    bool own = _i & 1;
    bool gone = _i & 2;
    struct vtrace_endpoint e = { .time = START };
    struct vtrace_exporter *evil;
    struct vtrace_verdict v;
    struct net net;

    net_init(&net);
    evil = vtrace_analyzer_exporter(net.az, "evil", own ? "" : "other");
    vtrace_analyzer_connected(net.az, evil);
    e.address = net.templates[1].tun_dst;
    vtrace_analyzer_endpoint(net.az, evil, &e);
    net.silent[1] = gone;
    for (int i = 0; i < 1000; i++) {
        struct vtrace_watermark w = {
            .time = START + i * 10 * MSEC, .session = 3,
        };

        vtrace_analyzer_watermark(net.az, evil, &w, i * 10 * MSEC + 2 * SEC);
        net_tick(&net, i * 10 * MSEC);
        net_packet(&net, i * 10 * MSEC, net_digest(i), 40000, false);
    }
    vtrace_analysis_stop(net.an, START + 10 * SEC);
    net_verdict(net.an, &v);
    ck_assert_str_eq(v.edge[0], "h1");
    ck_assert_str_eq(v.edge[1], own && gone ? "evil" : "h2");
    net_destroy(&net);
}
END_TEST

/* Tunnels to another domain, of which one node, or two, have the address. */
START_TEST(test_foreign_endpoint)
{
    struct vtrace_endpoint e = { .time = START };
    struct vtrace_verdict v;
    struct net net;

    net_init(&net);
    net.templates[1].tun_dst.s6_addr[15] = 9;
    e.address = net.templates[1].tun_dst;
    for (int i = 0; i <= _i; i++) {
        vtrace_analyzer_endpoint(
            net.az, vtrace_analyzer_exporter(net.az, "gw", i ? "b" : "a"),
            &e);
    }
    for (int i = 0; i < 1000; i++) {
        net_tick(&net, i * 10 * MSEC);
        net_packet(&net, i * 10 * MSEC, net_digest(i), 40000, false);
    }
    net_stop(&net, 10 * SEC);
    net_verdict(net.an, &v);
    ck_assert_str_eq(v.edge[0], "h1");
    ck_assert_str_eq(v.edge[1], _i ? "192.0.2.9" : "gw");
    net_destroy(&net);
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
    net_watermark(&net, 1, -SEC, SEC);
    net.written[1] = 0;
    net.ahead[1] = 0;
    if (_i & 1) {
        /* In another connection. */
        net.session[1]++;
        vtrace_analyzer_connected(net.az, net.nodes[1]);
    }
    for (int i = 0; i < 1000; i++) {
        net.silent[1] = i >= 200;
        net_tick(&net, i * 10 * MSEC);
        net_packet(&net, i * 10 * MSEC, net_digest(i), 40000, arrives);
    }
    net_finish(&net, 10 * SEC, (arrives ? "inconclusive node-silent"
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
        net_watermark(&net, 0, -8 * SEC, 0);
        net_watermark(&net, 1, -8 * SEC, 0);
        net.an = net_analysis(net.az, 1, COLOR);
        for (int i = 0; i < 2000; i++) {
            net_tick(&net, i * 10 * MSEC);
            net_packet(&net, i * 10 * MSEC, identical ? 42 : net_digest(i),
                        40000, true);
        }
        net_finish(&net, 20 * SEC, (identical && llabs(ahead[_i]) > 1000
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
    tcase_add_loop_test(tc, test_broken_connection, 0, 7);
    tcase_add_loop_test(tc, test_silent_entry, 0, 2);
    tcase_add_test(tc, test_late_connection);
    tcase_add_test(tc, test_late_entry);
    tcase_add_loop_test(tc, test_bursts, 0, 3);
    tcase_add_loop_test(tc, test_outage, 0, 6);
    tcase_add_loop_test(tc, test_short_outage, 0, 5);
    tcase_add_loop_test(tc, test_both_failovers, 0, 2);
    tcase_add_loop_test(tc, test_crowd, 0, 2);
    tcase_add_test(tc, test_pool);
    tcase_add_loop_test(tc, test_endpoints, 0, 2);
    tcase_add_loop_test(tc, test_stubborn_node, 0, 8);
    tcase_add_test(tc, test_false_entry);
    tcase_add_loop_test(tc, test_false_endpoint, 0, 4);
    tcase_add_loop_test(tc, test_foreign_endpoint, 0, 2);
    tcase_add_loop_test(tc, test_set_back, 0, 3);
    tcase_add_loop_test(tc, test_apart, 0, 5);
    return s;
}

int
main(void)
{
    return unit_run(suite());
}
