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
#include "vtrace-net.h"

#include <stdlib.h>
#include <string.h>

#include "openvswitch/json.h"
#include "packets.h"
#include "unit.h"
#include "util.h"

static void
net_address(struct in6_addr *addr, uint32_t a)
{
    in6_addr_set_mapped_ipv4(addr, htonl(0xc0000200 | a));
}

void
net_endpoint(struct net *net, int node, uint32_t address)
{
    struct vtrace_endpoint e = { .time = START };

    net_address(&e.address, address);
    vtrace_analyzer_endpoint(net->az, net->nodes[node], &e);
}

struct vtrace_analysis *
net_analysis(struct vtrace_analyzer *az, int64_t id, uint16_t color)
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
            net_address(&r->tun_src, 1);
            net_address(&r->tun_dst, 2);
            r->tun_id = 5000;
        }
    }
    templates[0].flags = VTRACE_F_ENTRY;
}

/* Watermarks of 'node' at 'time', which come at 'now'. */
void
net_watermark(struct net *net, int node, int64_t time, int64_t now)
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
void
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
        net_endpoint(net, i, 1 + i);
    }
}

void
net_init(struct net *net)
{
    net_init_nodes(net, 0);
    for (int i = 0; i < 2; i++) {
        net_watermark(net, i, -2 * SEC, 0);
    }
    net->an = net_analysis(net->az, 1, COLOR);
}

void
net_init_both_ways(struct net *net)
{
    net_init(net);
    ck_assert(vtrace_analysis_listen(net->an, "", COLOR + 1, VTRACE_REVERSE,
                                     "h2"));
}

/* Record 'i' of a packet that entered at 'time' comes. */
void
net_record(struct net *net, int i, int64_t time, uint64_t digest,
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
void
net_packet(struct net *net, int64_t time, uint64_t digest, uint16_t sport,
            bool arrives)
{
    for (int i = 0; i < (arrives ? PER_PACKET : PER_PACKET / 2); i++) {
        if (!net->silent[i / 2]) {
            net_record(net, i, time, digest, sport);
        }
    }
}

uint64_t
net_digest(uint64_t i)
{
    return (i + 1) * 0x9e3779b97f4a7c15ULL;
}

/* Lets the time be 'time', which grows from call to call. */
void
net_tick(struct net *net, int64_t time)
{
    if (time < net->next_watermark) {
        return;
    }
    net->next_watermark = time + WATERMARKS;
    for (int i = 0; i < 2; i++) {
        if (!net->silent[i]) {
            net_watermark(net, i, time - net->late[i], time + 2 * SEC);
        }
    }
    vtrace_analyzer_run(net->az, time + 2 * SEC);
}

void
net_stop(struct net *net, int64_t time)
{
    vtrace_analysis_stop(net->an, START + time);
    for (int64_t t = time; t < time + 15 * SEC; t += WATERMARKS) {
        net_tick(net, t);
    }
}

/* Returns the verdict as "KIND REASON", with what it is about in '*v'. */
const char *
net_verdict(const struct vtrace_analysis *an, struct vtrace_verdict *v)
{
    static char s[64];
    char reason[VTRACE_REASON_NAME_LEN];

    vtrace_analysis_verdict(an, v);
    vtrace_reason_name(v->reason, reason);
    snprintf(s, sizeof s, "%s %s", vtrace_verdict_name(v->kind), reason);
    return s;
}

void
net_destroy(struct net *net)
{
    vtrace_analyzer_destroy(net->az);
}

/* Stops 'net' at 'time' and compares the verdict with 'expected'. */
void
net_finish(struct net *net, int64_t time, const char *expected,
       struct vtrace_verdict *v)
{
    net_stop(net, time);
    const char *got = net_verdict(net->an, v);
    ck_assert_msg(!strcmp(got, expected), "\"%s\" instead of \"%s\" "
                  "(lost %llu of %llu)", got, expected,
                  (unsigned long long) v->lost, (unsigned long long) v->seen);
    ck_assert(!v->edge[1] || !strcmp(v->edge[1], "h2")
              || !strcmp(v->edge[1], "192.0.2.2"));
    net_destroy(net);
}

/* Returns a member of the forward direction's evidence. */
int64_t
net_evidence(const struct net *net, const char *name)
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
