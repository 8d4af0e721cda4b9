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

#ifndef VTRACE_TASK_OPTIONS_H
#define VTRACE_TASK_OPTIONS_H 1

/* The options that describe a task on a command line, those of "vtrace start"
 * and of "vtrace-rules":
 *
 *     --proto tcp|udp|sctp|icmp|ip --src IP[:PORT] --dst IP[:PORT]
 *     --at NODE/BRIDGE/PORT [--tenant T] [--vlan VID] [--duration S]
 *     [--exp 0..7] [--both] [--inject PPS] [--src-mac MAC --dst-mac MAC]
 *
 * A program puts VTRACE_TASK_LONG_OPTIONS into the table of its long options,
 * numbers its own ones from VTRACE_TASK_OPTION_END on, and has in its switch:
 *
 *     VTRACE_TASK_OPTION_CASES
 *         error = vtrace_task_option(&request, c, optarg);
 *         break;
 *
 * The order of the options does not matter.  Error messages name the option,
 * its value and the remedy; the caller must free them. */

#include "compiler.h"
#include "vtrace/store.h"

enum {
    OPT_VTRACE_TENANT = 0x400,
    OPT_VTRACE_PROTO,
    OPT_VTRACE_SRC,
    OPT_VTRACE_DST,
    OPT_VTRACE_AT,
    OPT_VTRACE_VLAN,
    OPT_VTRACE_DURATION,
    OPT_VTRACE_EXP,
    OPT_VTRACE_BOTH,
    OPT_VTRACE_INJECT,
    OPT_VTRACE_SRC_MAC,
    OPT_VTRACE_DST_MAC,
    VTRACE_TASK_OPTION_END
};

#define VTRACE_TASK_LONG_OPTIONS                                        \
    {"tenant", required_argument, NULL, OPT_VTRACE_TENANT},             \
    {"proto", required_argument, NULL, OPT_VTRACE_PROTO},               \
    {"src", required_argument, NULL, OPT_VTRACE_SRC},                   \
    {"dst", required_argument, NULL, OPT_VTRACE_DST},                   \
    {"at", required_argument, NULL, OPT_VTRACE_AT},                     \
    {"vlan", required_argument, NULL, OPT_VTRACE_VLAN},                 \
    {"duration", required_argument, NULL, OPT_VTRACE_DURATION},         \
    {"exp", required_argument, NULL, OPT_VTRACE_EXP},                   \
    {"both", no_argument, NULL, OPT_VTRACE_BOTH},                       \
    {"inject", required_argument, NULL, OPT_VTRACE_INJECT},             \
    {"src-mac", required_argument, NULL, OPT_VTRACE_SRC_MAC},           \
    {"dst-mac", required_argument, NULL, OPT_VTRACE_DST_MAC}

#define VTRACE_TASK_OPTION_CASES                \
    case OPT_VTRACE_TENANT:                     \
    case OPT_VTRACE_PROTO:                      \
    case OPT_VTRACE_SRC:                        \
    case OPT_VTRACE_DST:                        \
    case OPT_VTRACE_AT:                         \
    case OPT_VTRACE_VLAN:                       \
    case OPT_VTRACE_DURATION:                   \
    case OPT_VTRACE_EXP:                        \
    case OPT_VTRACE_BOTH:                       \
    case OPT_VTRACE_INJECT:                     \
    case OPT_VTRACE_SRC_MAC:                    \
    case OPT_VTRACE_DST_MAC:

/* s. */
#define VTRACE_TASK_DEFAULT_DURATION 10
#define VTRACE_TASK_MAX_DURATION (VTRACE_STORE_MAX_DURATION / 1000)

#define VTRACE_TASK_MAX_INJECT 1000     /* Packets per second. */

/* Sets '*request' to a task without any option. */
void vtrace_task_options_init(struct vtrace_request *request);

/* Takes option 'option', one of VTRACE_TASK_OPTION_CASES, with 'arg', NULL for
 * one without an argument.  Returns NULL or an error message. */
char *vtrace_task_option(struct vtrace_request *request, int option,
                         const char *arg) OVS_WARN_UNUSED_RESULT;

/* Checks, after the last option, that '*request' is complete and its options
 * go together.  Returns NULL or an error message. */
char *vtrace_task_options_check(struct vtrace_request *request)
    OVS_WARN_UNUSED_RESULT;

/* Parses 's', "IP", "IPv4:PORT" or "[IPv6]:PORT", into '*addr' (IPv4 mapped)
 * and '*port' (0 if not given).  'name' is the option that messages name. */
char *vtrace_task_parse_address(const char *name, const char *s,
                                struct in6_addr *addr, uint16_t *port)
    OVS_WARN_UNUSED_RESULT;

/* Parses 's', "tcp", "udp", "sctp", "icmp" or "ip", which is 0. */
char *vtrace_task_parse_proto(const char *name, const char *s, uint8_t *proto)
    OVS_WARN_UNUSED_RESULT;

/* Parses 's', "NODE/BRIDGE/PORT". */
char *vtrace_task_parse_entry(const char *name, const char *s,
                              struct vtrace_entry *)
    OVS_WARN_UNUSED_RESULT;

/* Parses 's', a number in 'min'...'max', of 'unit' (which may be ""). */
char *vtrace_task_parse_number(const char *name, const char *s, long long min,
                               long long max, const char *unit,
                               long long *number)
    OVS_WARN_UNUSED_RESULT;

/* The match of the answers to packets that 'asked' matches where they entered,
 * and of which the last one came out as 'seen' says.  It leaves open what
 * 'asked' leaves open, but for a source address that was translated: others
 * may have the new one too, so the answers are those to the port of 'seen'.
 *
 * If no packet was seen, and nothing is translated, 'seen' is 'asked'. */
void vtrace_match_replies(const struct vtrace_match *asked,
                          const struct vtrace_match *seen,
                          struct vtrace_match *replies);

#endif /* task-options.h */
