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

/* vtrace-rules: prints the OpenFlow rules of a task, for controllers that
 * install them themselves. */

#include <config.h>

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "openvswitch/dynamic-string.h"
#include "flow.h"
#include "openvswitch/ofp-port.h"
#include "svec.h"
#include "util.h"
#include "vtrace-rules/task-options.h"
#include "vtrace-rules/vtrace-flow.h"

struct options {
    struct vtrace_request request;
    long long int color;
    uint64_t cookie;
    bool have_cookie;

    /* The answers, where they enter. */
    struct vtrace_entry reverse_entry;
    uint8_t reverse_proto;      /* 0 for that of the task. */
    struct in6_addr reverse_src, reverse_dst;
    uint16_t reverse_sport, reverse_dport;
    bool have_reverse_src, have_reverse_dst;
    bool have_reverse_vlan;
    uint16_t reverse_vlan;      /* 0 for any, or none. */

    struct svec borders;        /* "NODE/BRIDGE/PORT". */
    struct svec maps;           /* "NODE/BRIDGE/PORT=THEIRS:COLOR". */
};

OVS_NO_RETURN static void
usage(void)
{
    printf("%s: print the OpenFlow rules of a VTrace task\n"
           "usage: %s --proto P --src IP[:PORT] --dst IP[:PORT] "
           "--at NODE/BRIDGE/PORT\n"
           "          [OPTION]...\n"
           "\nThe task, as for \"vtrace start\":\n"
           "  --proto tcp|udp|sctp|icmp|ip  protocol\n"
           "  --src IP[:PORT]               sender, [IPv6]:PORT for IPv6\n"
           "  --dst IP[:PORT]               receiver\n"
           "  --at NODE/BRIDGE/PORT         where the packets enter; PORT is "
           "a name\n"
           "                                or an OpenFlow port number\n"
           "  --vlan VID                    only packets with this VLAN tag\n"
           "  --duration SECONDS            of the task (default %d)\n"
           "  --exp E                       trace one packet in 4^E (default "
           "0)\n"
           "  --both                        a second rule, for the answers\n"
           "  --tenant, --inject, --src-mac, --dst-mac\n"
           "                                accepted, but not part of a "
           "rule\n"
           "\nThe rules:\n"
           "  --color C                     1..%d (default 1), for the "
           "answers C + 1\n"
           "  --cookie N                    cookie of the rules (default: "
           "the color)\n"
           "  --reverse-at NODE/BRIDGE/PORT where the answers enter (default: "
           "any\n"
           "                                port of the bridge that gets the "
           "rule)\n"
           "  --reverse-src IP[:PORT]       the answers' sender and receiver "
           "there, if\n"
           "  --reverse-dst IP[:PORT]       address translation makes them "
           "differ\n"
           "  --reverse-proto P             with --proto ip, and a sender "
           "whose address\n"
           "                                is translated: the answers' "
           "protocol\n"
           "  --reverse-vlan VID|none       the answers' VLAN tag there, if "
           "it is another\n"
           "                                one than --vlan\n"
           "  --map NODE/BRIDGE/PORT=THEIRS:C\n"
           "                                color THEIRS of the domain that "
           "the port\n"
           "                                leads to is C in the node's\n"
           "  --border NODE/BRIDGE/PORT     the port leads to another "
           "domain, whose\n"
           "                                colors end there unless they are "
           "mapped\n"
           "\nOther options:\n"
           "  -h, --help                    display this help message\n"
           "  -V, --version                 display version information\n",
           program_name, program_name, VTRACE_TASK_DEFAULT_DURATION,
           VTRACE_STORE_MAX_COLOR);
    exit(EXIT_SUCCESS);
}

static char *
parse_cookie(const char *s, struct options *o)
{
    char *end;

    errno = 0;
    o->cookie = strtoull(s, &end, 0);
    if (errno || end == s || *end || *s == '-' || o->cookie == UINT64_MAX) {
        return xasprintf("--cookie: \"%s\" is not a number in "
                         "0..0xfffffffffffffffe", s);
    }
    o->have_cookie = true;
    return NULL;
}

static char *
parse_reverse_vlan(const char *s, struct options *o)
{
    long long int vlan = 0;
    char *error = NULL;

    if (strcmp(s, "none")) {
        error = vtrace_task_parse_number("reverse-vlan", s, 1, 4094, "",
                                         &vlan);
    }
    o->have_reverse_vlan = true;
    o->reverse_vlan = vlan;
    return error;
}

static char *
parse_options(int argc, char *argv[], struct options *o)
{
    enum {
        OPT_COLOR = VTRACE_TASK_OPTION_END,
        OPT_COOKIE,
        OPT_REVERSE_AT,
        OPT_REVERSE_PROTO,
        OPT_REVERSE_SRC,
        OPT_REVERSE_DST,
        OPT_REVERSE_VLAN,
        OPT_MAP,
        OPT_BORDER,
    };
    static const struct option long_options[] = {
        VTRACE_TASK_LONG_OPTIONS,
        {"color", required_argument, NULL, OPT_COLOR},
        {"cookie", required_argument, NULL, OPT_COOKIE},
        {"reverse-at", required_argument, NULL, OPT_REVERSE_AT},
        {"reverse-proto", required_argument, NULL, OPT_REVERSE_PROTO},
        {"reverse-src", required_argument, NULL, OPT_REVERSE_SRC},
        {"reverse-dst", required_argument, NULL, OPT_REVERSE_DST},
        {"reverse-vlan", required_argument, NULL, OPT_REVERSE_VLAN},
        {"map", required_argument, NULL, OPT_MAP},
        {"border", required_argument, NULL, OPT_BORDER},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };

    for (;;) {
        char *error = NULL;
        int c = getopt_long(argc, argv, "hV", long_options, NULL);

        if (c == -1) {
            break;
        }
        switch (c) {
        VTRACE_TASK_OPTION_CASES
            error = vtrace_task_option(&o->request, c, optarg);
            break;

        case OPT_COLOR:
            error = vtrace_task_parse_number("color", optarg, 1,
                                             VTRACE_STORE_MAX_COLOR, "",
                                             &o->color);
            break;

        case OPT_COOKIE:
            error = parse_cookie(optarg, o);
            break;

        case OPT_REVERSE_AT:
            error = vtrace_task_parse_entry("reverse-at", optarg,
                                            &o->reverse_entry);
            break;

        case OPT_REVERSE_PROTO:
            error = vtrace_task_parse_proto("reverse-proto", optarg,
                                            &o->reverse_proto);
            break;

        case OPT_REVERSE_SRC:
            error = vtrace_task_parse_address("reverse-src", optarg,
                                              &o->reverse_src,
                                              &o->reverse_sport);
            o->have_reverse_src = true;
            break;

        case OPT_REVERSE_DST:
            error = vtrace_task_parse_address("reverse-dst", optarg,
                                              &o->reverse_dst,
                                              &o->reverse_dport);
            o->have_reverse_dst = true;
            break;

        case OPT_REVERSE_VLAN:
            error = parse_reverse_vlan(optarg, o);
            break;

        case OPT_MAP:
            svec_add(&o->maps, optarg);
            break;

        case OPT_BORDER:
            svec_add(&o->borders, optarg);
            break;

        case 'h':
            usage();

        case 'V':
            ovs_print_version(0, 0);
            exit(EXIT_SUCCESS);

        default:
            exit(EXIT_FAILURE);
        }
        if (error) {
            return error;
        }
    }
    if (optind < argc) {
        return xasprintf("\"%s\" is not an option, use --help for help",
                         argv[optind]);
    }

    char *error = vtrace_task_options_check(&o->request);
    if (!error && !o->request.both
        && (o->reverse_entry.node[0] || o->reverse_proto
            || o->have_reverse_src || o->have_reverse_dst
            || o->have_reverse_vlan)) {
        error = xstrdup("--reverse-...: there is a rule for answers only with "
                        "--both");
    }
    if (!error && o->reverse_proto && o->request.match.proto) {
        error = xstrdup("--reverse-proto: answers have the protocol of the "
                        "task, leave it away or use --proto ip");
    }
    return error;
}

/* Sets '*port' to the number of the port 's' of a bridge, or to a made-up one,
 * and tells 'map', if 's' is a name. */
static char *
parse_port(const char *s, ofp_port_t *port, struct ofputil_port_map *map)
{
    unsigned int number;

    if (!strcmp(s, "LOCAL")) {
        *port = OFPP_LOCAL;
    } else if (s[strspn(s, "0123456789")]) {
        char *error = vtrace_flow_check_port_name(s);

        if (error) {
            char *at_error = xasprintf("--at: %s", error);

            free(error);
            return at_error;
        }
        *port = OFP_PORT_C(1);
        ofputil_port_map_put(map, *port, s);
    } else if (str_to_uint(s, 10, &number) && number
               && number < ofp_to_u16(OFPP_MAX)) {
        *port = u16_to_ofp(number);
    } else {
        return xasprintf("--at: port %s is out of range 1..%d",
                         s, ofp_to_u16(OFPP_MAX) - 1);
    }
    return NULL;
}

/* Appends 'flow', which enters at port 'port_name', or any if that is "". */
static char *
put_flow(struct vtrace_flow *flow, const char *port_name, struct ds *out)
{
    struct ofputil_port_map map = OFPUTIL_PORT_MAP_INITIALIZER(&map);
    struct ofputil_flow_mod fm;
    char *error = NULL;

    flow->in_port = OFPP_NONE;
    if (port_name[0]) {
        error = parse_port(port_name, &flow->in_port, &map);
    }
    if (!error) {
        error = vtrace_flow_mod_init(flow, &fm);
    }
    if (!error) {
        vtrace_flow_mod_format(&fm, &map, out);
        ds_put_char(out, '\n');
        vtrace_flow_mod_uninit(&fm);
    }
    ofputil_port_map_destroy(&map);
    return error;
}

/* Sets '*match' to what vtraced would have the answers' rule match, if the
 * packets came out as the options say. */
static void
reverse_match(const struct options *o, struct vtrace_match *match)
{
    const struct vtrace_match *asked = &o->request.match;
    struct vtrace_match seen = *asked;

    if (o->reverse_proto) {
        seen.proto = o->reverse_proto;
    }
    if (o->have_reverse_src) {
        seen.dst = o->reverse_src;
        seen.dport = o->reverse_sport ? o->reverse_sport : asked->dport;
    }
    if (o->have_reverse_dst) {
        seen.src = o->reverse_dst;
        seen.sport = o->reverse_dport ? o->reverse_dport : asked->sport;
    }
    if (o->have_reverse_vlan) {
        seen.vlan = o->reverse_vlan;
    }
    vtrace_match_replies(asked, &seen, match);
}

/* Parses 's', "THEIRS:COLOR", into '*flow'. */
static char *
parse_map_colors(const char *s, struct vtrace_flow *flow)
{
    long long int theirs, color;
    char *copy = xstrdup(s);
    char *save = NULL;
    const char *first = strtok_r(copy, ":", &save);
    const char *second = strtok_r(NULL, "", &save);
    char *error;

    error = vtrace_task_parse_number("map", first ? first : "", 1,
                                     VTRACE_STORE_MAX_COLOR, "", &theirs);
    if (!error) {
        error = vtrace_task_parse_number("map", second ? second : "", 1,
                                         VTRACE_STORE_MAX_COLOR, "", &color);
    }
    if (!error) {
        flow->theirs = theirs;
        flow->color = color;
    }
    free(copy);
    return error;
}

/* Appends 'flow' for border 's', "NODE/BRIDGE/PORT". */
static char *
put_border_flow(const char *name, const char *s, struct vtrace_flow *flow,
                struct ds *out)
{
    struct vtrace_entry at;
    char *error = vtrace_task_parse_entry(name, s, &at);

    if (!error) {
        ds_put_format(out, "# Border: bridge %s of %s.\n", at.bridge,
                      at.node);
        error = put_flow(flow, at.port, out);
    }
    return error;
}

static char *
put_map(const struct options *o, const char *s, struct ds *out)
{
    const char *colors = strrchr(s, '=');
    struct vtrace_flow flow = {
        .kind = VTRACE_FLOW_MAP,
        .exp = o->request.exp,
        .cookie = o->have_cookie ? o->cookie : o->color,
        .hard_timeout = o->request.duration / 1000 + VTRACE_FLOW_MAP_MARGIN,
    };
    char *at, *error;

    if (!colors) {
        return xasprintf("--map: \"%s\" is not NODE/BRIDGE/PORT=THEIRS:COLOR",
                         s);
    }
    error = parse_map_colors(colors + 1, &flow);
    if (!error) {
        at = xmemdup0(s, colors - s);
        error = put_border_flow("map", at, &flow, out);
        free(at);
    }
    return error;
}

static char *
put_border(const struct options *o, const char *s, struct ds *out)
{
    struct vtrace_flow flow = {
        .kind = VTRACE_FLOW_BORDER,
        .cookie = o->have_cookie ? o->cookie : o->color,
    };

    return put_border_flow("border", s, &flow, out);
}

static char *
put_borders(const struct options *o, struct ds *out)
{
    char *error = NULL;

    for (size_t i = 0; i < o->maps.n && !error; i++) {
        error = put_map(o, o->maps.names[i], out);
    }
    for (size_t i = 0; i < o->borders.n && !error; i++) {
        error = put_border(o, o->borders.names[i], out);
    }
    return error;
}

static char *
put_flows(const struct options *o, struct ds *out)
{
    struct vtrace_flow flow = {
        .match = o->request.match,
        .color = o->color,
        .exp = o->request.exp,
        .cookie = o->have_cookie ? o->cookie : o->color,
        .hard_timeout = o->request.duration / 1000 + VTRACE_FLOW_MARGIN,
    };
    const struct vtrace_entry *e = &o->request.entry;
    const struct vtrace_entry *r = &o->reverse_entry;

    if (!o->request.both && !o->maps.n && !o->borders.n) {
        return put_flow(&flow, e->port, out);
    }

    ds_put_format(out, "# Packets: bridge %s of %s.\n", e->bridge, e->node);
    char *error = put_flow(&flow, e->port, out);
    if (error || !o->request.both) {
        return error;
    }
    if (r->node[0]) {
        ds_put_format(out, "# Answers: bridge %s of %s.\n", r->bridge,
                      r->node);
    } else {
        ds_put_cstr(out, "# Answers: the bridge where they enter.\n");
    }
    reverse_match(o, &flow.match);
    flow.color++;
    return put_flow(&flow, r->port, out);
}

int
main(int argc, char *argv[])
{
    struct ds out = DS_EMPTY_INITIALIZER;
    struct options o;

    set_program_name(argv[0]);
    memset(&o, 0, sizeof o);
    o.color = 1;
    svec_init(&o.borders);
    svec_init(&o.maps);
    vtrace_task_options_init(&o.request);

    char *error = parse_options(argc, argv, &o);
    if (!error && o.request.both && o.color == VTRACE_STORE_MAX_COLOR) {
        error = xasprintf("--color: %lld: the answers need the next color, "
                          "use 1..%d with --both",
                          o.color, VTRACE_STORE_MAX_COLOR - 1);
    }
    if (!error) {
        error = put_flows(&o, &out);
    }
    if (!error) {
        error = put_borders(&o, &out);
    }
    if (!error) {
        /* All of them or none, whatever reads this. */
        fputs(ds_cstr(&out), stdout);
    }
    ds_destroy(&out);
    svec_destroy(&o.borders);
    svec_destroy(&o.maps);
    if (error) {
        fprintf(stderr, "%s: %s\n", program_name, error);
        free(error);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
