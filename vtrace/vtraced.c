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

/* vtraced: keeps VTrace's tasks, puts their rules into switches, collects the
 * records that these make, and has them analyzed. */

#include <config.h>

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "command-line.h"
#include "daemon.h"
#include "dirs.h"
#include "dpif.h"
#include "fatal-signal.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/vconn.h"
#include "openvswitch/vlog.h"
#include "ovs-thread.h"
#include "random.h"
#include "stream-ssl.h"
#include "stream.h"
#include "svec.h"
#include "timeval.h"
#include "unixctl.h"
#include "util.h"
#include "vtrace/analyze.h"
#include "vtrace/borders.h"
#include "vtrace/collector.h"
#include "vtrace/control.h"
#include "vtrace/deployer.h"
#include "vtrace/node-address.h"
#include "vtrace/ports.h"
#include "vtrace/record-file.h"
#include "vtrace/store.h"
#include "vtrace/tasks.h"
#include "vtrace/tenants.h"
#include "vtrace-rules/task-options.h"

VLOG_DEFINE_THIS_MODULE(vtraced);

#ifdef ZOO_OVS_3_1_0
#define daemonize_start(DATAPATH, HARDWARE) daemonize_start(DATAPATH)
#endif

/* Files that may be open: records from and OpenFlow to many switches, and
 * users. */
#define MAX_FILES 8192

static char *store_file;
static char *control_path;
static char *unixctl_path;
static char *tenants_file;
static char *nodes_file;
static char *record_file_name;
static struct svec collectors = SVEC_EMPTY_INITIALIZER;
static struct svec listeners = SVEC_EMPTY_INITIALIZER;

static struct vtrace_context context;
static struct vtrace_analyzer *analyzer;
static bool exiting;

static void
usage(void)
{
    printf("%s: VTrace daemon\n"
           "usage: %s [OPTIONS]\n"
           "\nOptions:\n"
           "  --store=FILE            task store (default: %s)\n"
           "  --collector=[NODE=]METHOD\n"
           "                          take records at METHOD, from NODE only\n"
           "                          (default: punix:%s/vtrace.sock)\n"
           "  --socket=PATH           serve \"vtrace\" there\n"
           "                          (default: %s)\n"
           "  --listen=pssl:PORT[:IP] serve \"vtrace\" there too\n"
           "  --tenants=FILE          who may trace what\n"
           "  --nodes=FILE            nodes, a line \"NAME TARGET [DOMAIN] "
           "[db=TARGET]\" each,\n"
           "                          and \"border NODE/BRIDGE/PORT DOMAIN\"\n"
           "  --record-file=FILE      write records to FILE, for \"vtrace "
           "replay\"\n",
           program_name, program_name, store_file, ovs_rundir(),
           control_path);
    stream_usage("collector", false, true, false);
    printf("  --peer-ca-cert=FILE     send CA certificates in FILE to peers\n");
    daemon_usage();
    vlog_usage();
    printf("\nOther options:\n"
           "  --unixctl=SOCKET        override default control socket name\n"
           "  -h, --help              display this help message\n"
           "  -V, --version           display version information\n");
    exit(EXIT_SUCCESS);
}

static void
parse_options(int argc, char *argv[])
{
    enum {
        OPT_STORE = UCHAR_MAX + 1,
        OPT_COLLECTOR,
        OPT_SOCKET,
        OPT_LISTEN,
        OPT_TENANTS,
        OPT_NODES,
        OPT_RECORD_FILE,
        OPT_UNIXCTL,
        OPT_PEER_CA_CERT,
        VLOG_OPTION_ENUMS,
        SSL_OPTION_ENUMS,
        DAEMON_OPTION_ENUMS,
    };
    static const struct option long_options[] = {
        {"store", required_argument, NULL, OPT_STORE},
        {"collector", required_argument, NULL, OPT_COLLECTOR},
        {"socket", required_argument, NULL, OPT_SOCKET},
        {"listen", required_argument, NULL, OPT_LISTEN},
        {"tenants", required_argument, NULL, OPT_TENANTS},
        {"nodes", required_argument, NULL, OPT_NODES},
        {"record-file", required_argument, NULL, OPT_RECORD_FILE},
        {"unixctl", required_argument, NULL, OPT_UNIXCTL},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        DAEMON_LONG_OPTIONS,
        VLOG_LONG_OPTIONS,
        STREAM_SSL_LONG_OPTIONS,
        {"peer-ca-cert", required_argument, NULL, OPT_PEER_CA_CERT},
        {NULL, 0, NULL, 0},
    };
    char *short_options = ovs_cmdl_long_options_to_short_options(long_options);

    for (;;) {
        int c = getopt_long(argc, argv, short_options, long_options, NULL);

        if (c == -1) {
            break;
        }
        switch (c) {
        case OPT_STORE:
            free(store_file);
            store_file = abs_file_name(ovs_dbdir(), optarg);
            break;
        case OPT_COLLECTOR:
            svec_add(&collectors, optarg);
            break;
        case OPT_SOCKET:
            free(control_path);
            control_path = abs_file_name(ovs_rundir(), optarg);
            break;
        case OPT_LISTEN:
            svec_add(&listeners, optarg);
            break;
        case OPT_TENANTS:
            free(tenants_file);
            tenants_file = abs_file_name(NULL, optarg);
            break;
        case OPT_NODES:
            free(nodes_file);
            nodes_file = abs_file_name(NULL, optarg);
            break;
        case OPT_RECORD_FILE:
            free(record_file_name);
            record_file_name = abs_file_name(NULL, optarg);
            break;
        case OPT_UNIXCTL:
            unixctl_path = optarg;
            break;
        case OPT_PEER_CA_CERT:
            stream_ssl_set_peer_ca_cert_file(optarg);
            break;
        case 'h':
            usage();
            break;
        case 'V':
            ovs_print_version(0, 0);
            exit(EXIT_SUCCESS);
        DAEMON_OPTION_HANDLERS
        VLOG_OPTION_HANDLERS
        STREAM_SSL_OPTION_HANDLERS
        case '?':
            exit(EXIT_FAILURE);
        default:
            abort();
        }
    }
    free(short_options);
    if (optind < argc) {
        ovs_fatal(0, "%s: vtraced takes no arguments, only options",
                  argv[optind]);
    }
}

/* Where a monitor started the program again, nobody reads what it prints. */
static void
die_if(char *error)
{
    if (error) {
        VLOG_FATAL("%s", error);
    }
}

/* Connections of all switches and users need more file descriptors than a
 * process usually has. */
static void
raise_file_limit(void)
{
    struct rlimit limit;

    if (!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur < MAX_FILES) {
        limit.rlim_cur = MIN(limit.rlim_max, MAX_FILES);
        if (setrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur < MAX_FILES) {
            VLOG_INFO("no more than %lu files can be open, %d would be better",
                      (unsigned long int) limit.rlim_cur, MAX_FILES);
        }
    }
}

/* Nodes. */

static char *
load_border(struct vtrace_store *store, const char *at, const char *domain)
{
    struct vtrace_entry entry;
    char *error = vtrace_task_parse_entry("nodes", at, &entry);

    return error ? error : vtrace_store_add_border(store, &entry, domain,
                                                   true);
}

/* Ends 'line' before a word that begins with a number sign. */
static void
end_at_comment(char *line)
{
    for (char *p = line; *p; p++) {
        if (*p == '#' && (p == line || isspace((unsigned char) p[-1]))) {
            *p = '\0';
            break;
        }
    }
}

static char *
load_node(struct vtrace_store *store, char *line, int number)
{
    char *save = NULL;
    char *name, *target, *domain, *database, *error;

    end_at_comment(line);
    name = strtok_r(line, " \t\r\n", &save);
    target = strtok_r(NULL, " \t\r\n", &save);
    domain = strtok_r(NULL, " \t\r\n", &save);
    database = strtok_r(NULL, " \t\r\n", &save);
    if (domain && !strncmp(domain, "db=", 3) && !database) {
        database = domain;
        domain = NULL;
    }
    if (!name) {
        return NULL;
    } else if (!target || strtok_r(NULL, " \t\r\n", &save)
               || (database && strncmp(database, "db=", 3))) {
        return xstrdup("\"NAME TARGET [DOMAIN] [db=TARGET]\" or "
                       "\"border NODE/BRIDGE/PORT DOMAIN\" is wanted");
    } else if (!strcmp(name, "border") && !strchr(target, ':')) {
        return load_border(store, target, domain ? domain : "");
    }
    error = database ? vtrace_store_check_database(name, database + 3) : NULL;
    if (error) {
        return error;
    }
    error = vtrace_store_add_node(store, name, target, domain ? domain : "",
                                  true);
    if (error && vtrace_store_node_is_used(store, name)) {
        VLOG_WARN("%s:%d: %s", nodes_file, number, error);
        free(error);
        return NULL;
    }
    return (error || !database ? error
            : vtrace_store_set_database(store, name, database + 3));
}

static void
load_nodes(struct vtrace_store *store)
{
    struct ds line = DS_EMPTY_INITIALIZER;
    FILE *file = fopen(nodes_file, "r");
    int number = 0;

    if (!file) {
        VLOG_FATAL("%s (%s)", nodes_file, ovs_strerror(errno));
    }
    while (!ds_get_line(&line, file)) {
        char *error = load_node(store, ds_cstr(&line), ++number);

        if (error) {
            VLOG_FATAL("%s:%d: %s", nodes_file, number, error);
        }
    }
    if (ferror(file)) {
        VLOG_FATAL("%s (%s)", nodes_file, ovs_strerror(errno));
    }
    ds_destroy(&line);
    fclose(file);
}

static bool
find_node(void *store, const char *name, const char *ip, char **node,
          char **domain)
{
    const struct vtrace_store_node *found;
    struct vtrace_store_node *nodes;
    char *error;
    size_t n;

    error = vtrace_store_nodes(store, name, &nodes, &n);
    if (error) {
        VLOG_ERR("%s", error);
        free(error);
        return false;
    }
    if (name || !ip) {
        found = n == 1 ? &nodes[0] : NULL;
    } else if (vtrace_nodes_at(nodes, n, ip, &found) > 1) {
        /* Records of one would be taken for another one's. */
        found = NULL;
    }
    if (found) {
        *node = xstrdup(found->name);
        *domain = xstrdup(found->domain);
    }
    vtrace_store_nodes_destroy(nodes, n);
    return found != NULL;
}

/* Commands of ovs-appctl. */

static void
appctl_exit(struct unixctl_conn *conn, int argc OVS_UNUSED,
            const char *argv[] OVS_UNUSED, void *aux OVS_UNUSED)
{
    exiting = true;
    unixctl_command_reply(conn, NULL);
}

static void
appctl_show(struct unixctl_conn *conn, int argc OVS_UNUSED,
            const char *argv[] OVS_UNUSED, void *aux OVS_UNUSED)
{
    struct ds s = DS_EMPTY_INITIALIZER;

    ds_put_format(&s, "store %s\n", store_file);
    vtrace_collector_format(context.collector, &s);
    vtrace_deployer_format(context.deployer, &s);
    vtrace_tasks_format(context.tasks, &s);
    unixctl_command_reply(conn, ds_cstr(&s));
    ds_destroy(&s);
}

static void
appctl_check_store(struct unixctl_conn *conn, int argc OVS_UNUSED,
                   const char *argv[] OVS_UNUSED, void *aux OVS_UNUSED)
{
    char *error = vtrace_store_check(context.store);

    if (error) {
        unixctl_command_reply_error(conn, error);
        free(error);
    } else {
        unixctl_command_reply(conn, "ok");
    }
}

static void
appctl_reload(struct unixctl_conn *conn, int argc OVS_UNUSED,
              const char *argv[] OVS_UNUSED, void *aux OVS_UNUSED)
{
    struct vtrace_tenants *tenants;
    char *error = vtrace_tenants_load(tenants_file, &tenants);

    if (error) {
        unixctl_command_reply_error(conn, error);
        free(error);
        return;
    }
    vtrace_tenants_destroy(context.tenants);
    context.tenants = tenants;
    unixctl_command_reply(conn, NULL);
}

int
main(int argc, char *argv[])
{
    const struct vtrace_analyzer_config config = VTRACE_ANALYZER_CONFIG_INIT;
    struct vtrace_record_file *record_file = NULL;
    struct unixctl_server *unixctl;
    struct vtrace_control *control;
    uint64_t cookies, mask;

    ovs_cmdl_proctitle_init(argc, argv);
    set_program_name(argv[0]);
    store_file = xasprintf("%s/vtrace.db", ovs_dbdir());
    control_path = vtrace_control_default_path();
    parse_options(argc, argv);
    fatal_ignore_sigpipe();
    if (!collectors.n) {
        svec_add_nocopy(&collectors, xasprintf("punix:%s/vtrace.sock",
                                               ovs_rundir()));
    }

    raise_file_limit();
    daemonize_start(false, false);
    die_if(vtrace_tenants_load(tenants_file, &context.tenants));
    die_if(vtrace_store_open(store_file, random_uint32(), &context.store));
    if (nodes_file) {
        load_nodes(context.store);
    }
    cookies = vtrace_store_cookies(context.store, &mask);
    context.deployer = vtrace_deployer_create(cookies, mask);
    analyzer = vtrace_analyzer_create(&config);
    if (record_file_name) {
        die_if(vtrace_record_file_create(record_file_name,
                                         VTRACE_RECORD_FILE_MAX, analyzer,
                                         &record_file));
    }
    context.collector = vtrace_collector_create(analyzer, find_node,
                                                context.store);
    for (size_t i = 0; i < collectors.n; i++) {
        die_if(vtrace_collector_listen(context.collector,
                                       collectors.names[i]));
    }
    context.tasks = vtrace_tasks_create(context.store, context.deployer,
                                        analyzer);
    die_if(vtrace_control_create(control_path, &context, &control));
    for (size_t i = 0; i < listeners.n; i++) {
        die_if(vtrace_control_listen(control, listeners.names[i]));
    }
    if (unixctl_server_create(unixctl_path, &unixctl)) {
        exit(EXIT_FAILURE);
    }
    unixctl_command_register("exit", "", 0, 0, appctl_exit, NULL);
    unixctl_command_register("vtrace/show", "", 0, 0, appctl_show, NULL);
    unixctl_command_register("vtrace/check-store", "", 0, 0,
                             appctl_check_store, NULL);
    unixctl_command_register("vtrace/reload", "", 0, 0, appctl_reload, NULL);
    vtrace_tasks_sweep(context.tasks, NULL);
    context.ports = vtrace_ports_create(context.store);
    context.borders = vtrace_borders_create(context.store, context.deployer);
    daemonize_complete();

    while (!exiting) {
        unixctl_server_run(unixctl);
        vtrace_control_run(control);
        vtrace_collector_run(context.collector);
        vtrace_ports_run(context.ports);
        vtrace_borders_run(context.borders);
        vtrace_deployer_run(context.deployer);
        vtrace_tasks_run(context.tasks);

        unixctl_server_wait(unixctl);
        vtrace_control_wait(control);
        vtrace_collector_wait(context.collector);
        vtrace_ports_wait(context.ports);
        vtrace_borders_wait(context.borders);
        vtrace_deployer_wait(context.deployer);
        vtrace_tasks_wait(context.tasks);
        if (exiting) {
            poll_immediate_wake();
        }
        poll_block();
    }

    unixctl_server_destroy(unixctl);
    vtrace_control_destroy(control);
    vtrace_record_file_close(record_file);
    vtrace_tasks_destroy(context.tasks);
    vtrace_collector_destroy(context.collector);
    vtrace_analyzer_destroy(analyzer);
    vtrace_borders_destroy(context.borders);
    vtrace_ports_destroy(context.ports);
    vtrace_deployer_destroy(context.deployer);
    vtrace_store_close(context.store);
    vtrace_tenants_destroy(context.tenants);
    svec_destroy(&collectors);
    svec_destroy(&listeners);
    free(store_file);
    free(control_path);
    free(tenants_file);
    free(nodes_file);
    free(record_file_name);
    return 0;
}
