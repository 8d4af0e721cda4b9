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

/* vtrace: starts tasks of vtraced and shows what they found. */

#include <config.h>

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "command-line.h"
#include "fatal-signal.h"
#include "jsonrpc.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/vlog.h"
#include "stream.h"
#include "stream-ssl.h"
#include "timeval.h"
#include "util.h"
#include "vtrace-rules/task-options.h"
#include "vtrace/control.h"
#include "vtrace/draw.h"
#include "vtrace/record-file.h"
#include "vtrace/report.h"
#include "vtrace/task-json.h"
#include "vtrace/vtrace-json.h"

/* How often a task that is waited for is looked at, in ms. */
#define WAIT_MS 200

static char *vtraced;           /* Where it is. */
static bool as_json;            /* --json. */
static bool until_end;          /* --wait. */
static const char *output;      /* -o. */
static const char *database = "";       /* --db. */
static struct vtrace_request request;
static bool has_task_options;   /* One for "start" was given. */
static struct jsonrpc *rpc;

static const struct ovs_cmdl_command *get_commands(void);

static void
usage(void)
{
    printf("%s: find out where packets vanish\n"
           "usage: %s [OPTIONS] COMMAND\n"
           "\nCommands:\n"
           "  start TASK-OPTIONS      start a task and print its number\n"
           "  list                    list tasks\n"
           "  show ID                 show a task's path and verdict\n"
           "  stop ID                 end a task now\n"
           "  report ID -o FILE       write a page about a task\n"
           "  replay FILE             analyze a record file of vtraced's\n"
           "  nodes                   list nodes\n"
           "  nodes add NAME TARGET [DOMAIN] [--db=TARGET]\n"
           "                          add or change a node, whose bridges\n"
           "                          have OpenFlow at TARGET (\"%%b\" in it\n"
           "                          is the bridge's name) and its\n"
           "                          database at --db\n"
           "  nodes del NAME          remove a node\n"
           "  nodes border            list borders between domains\n"
           "  nodes border NODE/BRIDGE/PORT DOMAIN\n"
           "                          the port leads to another domain\n"
           "  nodes border del NODE/BRIDGE/PORT\n"
           "\nTask options:\n"
           "  --tenant T              for whom; also for other commands\n"
           "  --proto tcp|udp|sctp|icmp|ip\n"
           "  --src IP[:PORT], --dst IP[:PORT]\n"
           "  --at NODE/BRIDGE/PORT   where the packets enter\n"
           "  --vlan VID              only packets with this VLAN tag\n"
           "  --duration S            (default: %d)\n"
           "  --exp 0..7              one packet in 4^exp (default: 0)\n"
           "  --both                  replies too\n"
           "  --inject PPS            make packets for a flow that is silent;\n"
           "                          no machine gets them\n"
           "  --src-mac MAC, --dst-mac MAC\n"
           "                          theirs, if the switch does not know\n"
           "\nOptions:\n"
           "  --json                  print JSON\n"
           "  -o, --output=FILE       report: where to\n"
           "  --wait                  start, show: wait until the task ends\n"
           "  --vtraced=unix:PATH|ssl:IP:PORT\n"
           "                          where it is (default: %s)\n"
           "  -p, --private-key=FILE  with ssl:, file with private key\n"
           "  -c, --certificate=FILE  with ssl:, file with its certificate\n"
           "  -C, --ca-cert=FILE      with ssl:, file with vtraced's CA "
           "certificate\n"
           "  --socket=PATH           the same as --vtraced=unix:PATH\n"
           "  -t, --timeout=SECS      give up after SECS seconds\n"
           "  -h, --help              display this help message\n"
           "  -V, --version           display version information\n",
           program_name, program_name, VTRACE_TASK_DEFAULT_DURATION,
           vtraced);
    vlog_usage();
    exit(EXIT_SUCCESS);
}

static void
die_if(char *error)
{
    if (error) {
        ovs_fatal(0, "%s", error);
    }
}

static void
parse_options(int argc, char *argv[])
{
    enum {
        OPT_JSON = VTRACE_TASK_OPTION_END,
        OPT_WAIT,
        OPT_SOCKET,
        OPT_VTRACED,
        OPT_DB,
        VLOG_OPTION_ENUMS,
        SSL_OPTION_ENUMS,
    };
    static const struct option long_options[] = {
        VTRACE_TASK_LONG_OPTIONS,
        {"json", no_argument, NULL, OPT_JSON},
        {"wait", no_argument, NULL, OPT_WAIT},
        {"socket", required_argument, NULL, OPT_SOCKET},
        {"vtraced", required_argument, NULL, OPT_VTRACED},
        {"db", required_argument, NULL, OPT_DB},
        {"output", required_argument, NULL, 'o'},
        {"timeout", required_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        VLOG_LONG_OPTIONS,
        STREAM_SSL_LONG_OPTIONS,
        {NULL, 0, NULL, 0},
    };
    char *short_options = ovs_cmdl_long_options_to_short_options(long_options);
    unsigned int timeout = 0;

    for (;;) {
        int c = getopt_long(argc, argv, short_options, long_options, NULL);

        if (c == -1) {
            break;
        }
        switch (c) {
        VTRACE_TASK_OPTION_CASES
            die_if(vtrace_task_option(&request, c, optarg));
            has_task_options |= c != OPT_VTRACE_TENANT;
            break;
        case OPT_JSON:
            as_json = true;
            break;
        case OPT_WAIT:
            until_end = true;
            break;
        case OPT_SOCKET:
            free(vtraced);
            vtraced = xasprintf("unix:%s", optarg);
            break;
        case OPT_VTRACED:
            free(vtraced);
            vtraced = xstrdup(optarg);
            break;
        case OPT_DB:
            database = optarg;
            break;
        case 'o':
            output = optarg;
            break;
        case 't':
            if (!str_to_uint(optarg, 10, &timeout) || !timeout) {
                ovs_fatal(0, "--timeout: %s is not a number of seconds",
                          optarg);
            }
            break;
        case 'h':
            usage();
            break;
        case 'V':
            ovs_print_version(0, 0);
            exit(EXIT_SUCCESS);
        VLOG_OPTION_HANDLERS
        STREAM_SSL_OPTION_HANDLERS
        case '?':
            exit(EXIT_FAILURE);
        default:
            abort();
        }
    }
    free(short_options);
    ctl_timeout_setup(timeout);
}

/* Talking to vtraced. */

static void
connect_to_vtraced(void)
{
    struct stream *stream;
    int error = stream_open_block(stream_open(vtraced, &stream, 0), -1,
                                  &stream);

    if (error) {
        ovs_fatal(error, "%s: cannot connect; is vtraced running?", vtraced);
    }
    rpc = jsonrpc_open(stream);
}

/* Calls 'method' with 'params', which it takes, and returns the answer. */
static struct json *
call(const char *method, struct json *params)
{
    struct jsonrpc_msg *msg, *reply;
    struct json *result;
    int error;

    if (!rpc) {
        connect_to_vtraced();
    }
    if (request.tenant[0] && !vtrace_json_string(params, "tenant", NULL)) {
        json_object_put_string(params, "tenant", request.tenant);
    }
    msg = jsonrpc_create_request(method, json_array_create_1(params), NULL);
    error = jsonrpc_transact_block(rpc, msg, &reply);
    if (error) {
        ovs_fatal(0, "%s: vtraced did not answer: %s", vtraced,
                  ovs_retval_to_string(error));
    }
    if (reply->error) {
        char *s = reply->error->type == JSON_STRING
                  ? xstrdup(json_string(reply->error))
                  : json_to_string(reply->error, 0);

        ovs_fatal(0, "%s", s);
    }
    result = reply->result;
    reply->result = NULL;
    jsonrpc_msg_destroy(reply);
    return result;
}

/* Prints 'json', which it takes, as such or as 'draw' draws it. */
static void
print(struct json *json, void (*draw)(const struct json *, struct ds *))
{
    struct ds s = DS_EMPTY_INITIALIZER;

    if (as_json) {
        json_to_ds(json, JSSF_SORT, &s);
        ds_put_char(&s, '\n');
    } else {
        draw(json, &s);
    }
    fputs(ds_cstr(&s), stdout);
    if (fflush(stdout)) {
        ovs_fatal(errno, "standard output");
    }
    ds_destroy(&s);
    json_destroy(json);
}

static struct json *
id_params(long long int id)
{
    struct json *params = json_object_create();

    json_object_put(params, "id", json_integer_create(id));
    return params;
}

static bool
has_ended(const struct json *task)
{
    const char *state = vtrace_json_string(task, "state", "");

    return !strcmp(state, "done") || !strcmp(state, "failed")
           || !strcmp(state, "expired");
}

static void
show(long long int id)
{
    struct json *task = call("show", id_params(id));

    while (until_end && !has_ended(task)) {
        json_destroy(task);
        poll_timer_wait(WAIT_MS);
        poll_block();
        task = call("show", id_params(id));
    }
    print(task, vtrace_draw_task);
}

static long long int
parse_id(const char *s)
{
    long long int id;

    if (!str_to_llong(s, 10, &id) || id < 1 || id > INT32_MAX) {
        ovs_fatal(0, "%s: not the number of a task; \"vtrace list\" lists "
                  "them", s);
    }
    return id;
}

/* Commands. */

static void
cmd_start(struct ovs_cmdl_context *ctx OVS_UNUSED)
{
    struct json *reply;
    long long int id;

    die_if(vtrace_task_options_check(&request));
    reply = call("start", vtrace_request_to_json(&request));
    id = vtrace_json_integer(reply, "id", 0);
    if (until_end) {
        json_destroy(reply);
        show(id);
    } else if (as_json) {
        print(reply, vtrace_draw_task);
    } else {
        printf("task %lld\n", id);
        json_destroy(reply);
    }
}

static void
cmd_list(struct ovs_cmdl_context *ctx OVS_UNUSED)
{
    print(call("list", json_object_create()), vtrace_draw_list);
}

static void
cmd_show(struct ovs_cmdl_context *ctx)
{
    show(parse_id(ctx->argv[1]));
}

static void
cmd_stop(struct ovs_cmdl_context *ctx)
{
    json_destroy(call("stop", id_params(parse_id(ctx->argv[1]))));
}

static void
cmd_report(struct ovs_cmdl_context *ctx)
{
    struct ds page = DS_EMPTY_INITIALIZER;
    struct json *task;
    FILE *file;

    if (!output) {
        ovs_fatal(0, "report: -o FILE is missing");
    }
    task = call("show", id_params(parse_id(ctx->argv[1])));
    vtrace_report(task, &page);
    file = !strcmp(output, "-") ? stdout : fopen(output, "w");
    if (!file || fputs(ds_cstr(&page), file) == EOF || fclose(file)) {
        ovs_fatal(errno, "%s", output);
    }
    ds_destroy(&page);
    json_destroy(task);
}

static void
cmd_replay(struct ovs_cmdl_context *ctx)
{
    struct json *tasks;

    die_if(vtrace_record_file_replay(ctx->argv[1], &tasks));
    if (as_json) {
        print(tasks, vtrace_draw_task);
        return;
    }
    for (size_t i = 0; i < json_array_size(tasks); i++) {
        print(json_clone(json_array_at(tasks, i)), vtrace_draw_task);
    }
    json_destroy(tasks);
}

static void
nodes_add(struct ovs_cmdl_context *ctx)
{
    struct json *params = json_object_create();

    json_object_put_string(params, "name", ctx->argv[2]);
    json_object_put_string(params, "target", ctx->argv[3]);
    json_object_put_string(params, "domain",
                           ctx->argc > 4 ? ctx->argv[4] : "");
    json_object_put_string(params, "database", database);
    json_destroy(call("add-node", params));
}

static void
nodes_border(struct ovs_cmdl_context *ctx)
{
    bool del = ctx->argc == 4 && !strcmp(ctx->argv[2], "del");
    struct json *params = json_object_create();

    if (ctx->argc == 2) {
        print(call("borders", params), vtrace_draw_borders);
    } else if (ctx->argc == 4) {
        json_object_put_string(params, "at", ctx->argv[del ? 3 : 2]);
        json_object_put_string(params, "domain", del ? "" : ctx->argv[3]);
        json_destroy(call(del ? "remove-border" : "add-border", params));
    } else {
        ovs_fatal(0, "usage: vtrace nodes border [NODE/BRIDGE/PORT DOMAIN "
                  "| del NODE/BRIDGE/PORT]");
    }
}

static void
cmd_nodes(struct ovs_cmdl_context *ctx)
{
    if (ctx->argc == 1) {
        print(call("nodes", json_object_create()), vtrace_draw_nodes);
    } else if (!strcmp(ctx->argv[1], "add")
               && (ctx->argc == 4 || ctx->argc == 5)) {
        nodes_add(ctx);
    } else if (!strcmp(ctx->argv[1], "del") && ctx->argc == 3) {
        struct json *params = json_object_create();

        json_object_put_string(params, "name", ctx->argv[2]);
        json_destroy(call("remove-node", params));
    } else if (!strcmp(ctx->argv[1], "border")) {
        nodes_border(ctx);
    } else {
        ovs_fatal(0, "usage: vtrace nodes [add NAME TARGET [DOMAIN] "
                  "| del NAME | border ...]");
    }
}

static const struct ovs_cmdl_command *
get_commands(void)
{
    static const struct ovs_cmdl_command commands[] = {
        { "start", "", 0, 0, cmd_start, OVS_RW },
        { "list", "", 0, 0, cmd_list, OVS_RO },
        { "show", "ID", 1, 1, cmd_show, OVS_RO },
        { "stop", "ID", 1, 1, cmd_stop, OVS_RW },
        { "report", "ID -o FILE", 1, 1, cmd_report, OVS_RO },
        { "replay", "FILE", 1, 1, cmd_replay, OVS_RO },
        { "nodes", "[add NAME TARGET [DOMAIN] | del NAME | border ...]", 0, 4,
          cmd_nodes, OVS_RW },
        { NULL, NULL, 0, 0, NULL, OVS_RO },
    };

    return commands;
}

int
main(int argc, char *argv[])
{
    struct ovs_cmdl_context ctx = { .argc = 0, };
    char *path;

    set_program_name(argv[0]);
    fatal_ignore_sigpipe();
    vlog_set_levels(NULL, VLF_CONSOLE, VLL_WARN);
    vlog_set_levels_from_string_assert("reconnect:warn");
    path = vtrace_control_default_path();
    vtraced = xasprintf("unix:%s", path);
    free(path);
    vtrace_task_options_init(&request);
    parse_options(argc, argv);

    ctx.argc = argc - optind;
    ctx.argv = argv + optind;
    if (!ctx.argc) {
        ovs_fatal(0, "missing command name; use --help for help");
    }
    if (has_task_options && strcmp(ctx.argv[0], "start")) {
        ovs_fatal(0, "%s: takes none of the options of start", ctx.argv[0]);
    }
    ovs_cmdl_run_command(&ctx, get_commands());
    jsonrpc_close(rpc);
    free(vtraced);
    return EXIT_SUCCESS;
}
