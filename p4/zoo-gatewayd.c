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

/* zoo-gatewayd: a VXLAN gateway whose data plane is the P4 program next to this
 * file, with ZooRoute's engine. */

#include <config.h>

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "command-line.h"
#include "daemon.h"
#include "dirs.h"
#include "dns-resolve.h"
#include "fatal-signal.h"
#include "lib/vswitch-idl.h"
#include "ofproto-zoo/zooroute.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/vlog.h"
#include "ovs-rcu.h"
#include "ovs-thread.h"
#include "ovsdb-idl.h"
#include "ovs-ext/zooroute-db-config.h"
#include "ovs-ext/zooroute-db-status.h"
#include "p4/gateway-counts.h"
#include "p4/gateway-database.h"
#include "p4/gateway-fragment.h"
#include "p4/gateway-host.h"
#include "p4/gateway-icmp.h"
#include "p4/gateway-pipeline.h"
#include "p4/gateway-show.h"
#include "p4/gateway-state.h"
#include "p4/gateway-status.h"
#include "smap.h"
#include "stream-ssl.h"
#include "stream.h"
#include "timeval.h"
#include "unixctl.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(zoo_gatewayd);

#ifdef ZOO_OVS_3_1_0
#define daemonize_start(DATAPATH, HARDWARE) daemonize_start(DATAPATH)
#endif

/* What DPDK is given unless the database says otherwise. */
#define DEFAULT_EAL_ARGS \
    "--no-huge --no-pci -m 512 --no-telemetry --no-shconf"

static char *spec_file;
static char *unixctl_path;
static bool exiting;

OVS_NO_RETURN static void
usage(void)
{
    printf("%s: P4 gateway daemon\n"
           "usage: %s [OPTIONS] [DATABASE]\n"
           "where DATABASE is a socket on which ovsdb-server is listening\n"
           "      (default: \"unix:%s/db.sock\").\n",
           program_name, program_name, ovs_rundir());
    stream_usage("DATABASE", true, false, true);
    daemon_usage();
    vlog_usage();
    printf("\nOther options:\n"
           "  --spec=FILE               the pipeline (default: %s)\n"
           "  --unixctl=SOCKET          override default control socket name\n"
           "  -h, --help                display this help message\n"
           "  -V, --version             display version information\n",
           spec_file);
    exit(EXIT_SUCCESS);
}

/* Returns the database's name. */
static char *
parse_options(int argc, char *argv[])
{
    enum {
        OPT_PEER_CA_CERT = UCHAR_MAX + 1,
        OPT_BOOTSTRAP_CA_CERT,
        OPT_SPEC,
        OPT_UNIXCTL,
        VLOG_OPTION_ENUMS,
        SSL_OPTION_ENUMS,
        DAEMON_OPTION_ENUMS,
    };
    static const struct option long_options[] = {
        {"spec", required_argument, NULL, OPT_SPEC},
        {"unixctl", required_argument, NULL, OPT_UNIXCTL},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        DAEMON_LONG_OPTIONS,
        VLOG_LONG_OPTIONS,
        STREAM_SSL_LONG_OPTIONS,
        {"peer-ca-cert", required_argument, NULL, OPT_PEER_CA_CERT},
        {"bootstrap-ca-cert", required_argument, NULL, OPT_BOOTSTRAP_CA_CERT},
        {NULL, 0, NULL, 0},
    };
    char *short_options = ovs_cmdl_long_options_to_short_options(long_options);

    for (;;) {
        int c = getopt_long(argc, argv, short_options, long_options, NULL);

        if (c == -1) {
            break;
        }
        switch (c) {
        case OPT_SPEC:
            free(spec_file);
            spec_file = abs_file_name(NULL, optarg);
            break;
        case OPT_UNIXCTL:
            unixctl_path = optarg;
            break;
        case OPT_PEER_CA_CERT:
            stream_ssl_set_peer_ca_cert_file(optarg);
            break;
        case OPT_BOOTSTRAP_CA_CERT:
            stream_ssl_set_ca_cert_file(optarg, true);
            break;
        case 'h':
            usage();
        case 'V':
            ovs_print_version(0, 0);
            printf("%s\n", gateway_pipeline_version());
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

    if (argc - optind > 1) {
        ovs_fatal(0, "%s: at most one argument, the database, is accepted; "
                  "use --help for usage", argv[optind + 1]);
    }
    return (argc > optind ? xstrdup(argv[optind])
            : xasprintf("unix:%s/db.sock", ovs_rundir()));
}

/* Tells a service manager that the gateway is ready, as sd_notify(3) does. */
static void
notify_ready(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    size_t len = path ? strlen(path) : 0;
    int fd;

    if (!len || len >= sizeof un.sun_path) {
        return;
    }
    memcpy(un.sun_path, path, len);
    if (*path == '@') {
        un.sun_path[0] = '\0';
    }
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0
        || sendto(fd, "READY=1", 7, 0, (struct sockaddr *) &un,
                  offsetof(struct sockaddr_un, sun_path) + len) != 7) {
        VLOG_WARN("%s: cannot tell that the gateway is ready (%s)", path,
                  ovs_strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
}

/* Makes the IDL monitor what ZooRoute's part of the database needs. */
static void
add_zooroute(struct ovsdb_idl *idl)
{
    for (size_t i = 0; i < OVSREC_ZOOROUTE_N_COLUMNS; i++) {
        ovsdb_idl_add_column(idl, &ovsrec_zooroute_columns[i]);
    }
    for (size_t i = 0; i < OVSREC_ZOOROUTE_PEER_N_COLUMNS; i++) {
        ovsdb_idl_add_column(idl, &ovsrec_zooroute_peer_columns[i]);
    }
    ovsdb_idl_add_column(idl, &ovsrec_open_vswitch_col_other_config);
    zooroute_db_config_init(idl);
    zooroute_db_status_init(idl, "zoo-gatewayd");
    zooroute_db_config_share_candidates();
}

/* The database, and what has become of it. */
struct gateway {
    struct ovsdb_idl *idl;
    unsigned int seqno;         /* Configuration in effect. */
    bool started;               /* The pipeline runs. */
    bool ready;
    char *error;                /* Why it does not run, or NULL. */
};

/* Starts the pipeline.  DPDK can be started once only, so what is wrong with
 * its arguments can be mended only by a new start of the program. */
static void
start_pipeline(struct gateway *gw, const struct ovsrec_zoogateway *row)
{
    gw->error = gateway_pipeline_start(
        spec_file, smap_get_def(&row->other_config, "dpdk-extra",
                                DEFAULT_EAL_ARGS));
    if (gw->error) {
        VLOG_ERR("%s; correct it and restart zoo-gatewayd", gw->error);
    } else {
        gw->started = true;
        VLOG_INFO("%s runs %s", gateway_pipeline_version(), spec_file);
    }
}

static void
reconfigure(struct gateway *gw)
{
    struct ovsdb_idl_txn *txn = ovsdb_idl_txn_create(gw->idl);

    zooroute_db_config_reconfigure(gw->idl);
    zooroute_db_status_changed();
    gateway_database_reconfigure(gw->idl);

    /* If a seed could not be written, the next configuration has another
     * try. */
    ovsdb_idl_txn_commit(txn);
    ovsdb_idl_txn_destroy(txn);
}

static void
run_database(struct gateway *gw)
{
    const struct ovsrec_zoogateway *row = ovsrec_zoogateway_first(gw->idl);
    unsigned int seqno = ovsdb_idl_get_seqno(gw->idl);

    if (row && !gw->started && !gw->error) {
        start_pipeline(gw, row);
    }
    if (gw->started && seqno != gw->seqno) {
        gw->seqno = seqno;
        reconfigure(gw);
    }
    if (!gw->ready) {
        gw->ready = true;
        daemonize_complete();
        notify_ready();
    }
    if (gw->started) {
        zooroute_db_status_run(gw->idl);
    }
    gateway_status_run(gw->idl,
                       gw->started ? NULL : gw->error ? gw->error
                       : "not started");
}

/* Returns true if the database can be read and is this process's. */
static bool
has_database(const struct gateway *gw)
{
    return (ovsdb_idl_has_ever_connected(gw->idl)
            && ovsdb_idl_has_lock(gw->idl));
}

static void
gateway_run(struct gateway *gw)
{
    ovsdb_idl_run(gw->idl);
    if (ovsdb_idl_is_lock_contended(gw->idl)) {
        static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(1, 1);

        VLOG_ERR_RL(&rl, "another zoo-gatewayd process uses this database, "
                    "disabling this process until it goes away");
    } else if (has_database(gw)) {
        run_database(gw);
    }
    if (gw->started) {
        gateway_neighbors_run();
        gateway_database_run();
        if (gateway_tunnels_run()) {
            gateway_database_commit();
        }
        zooroute_run();
    }
}

static void
gateway_wait(struct gateway *gw)
{
    ovsdb_idl_wait(gw->idl);
    if (has_database(gw)) {
        if (gw->started) {
            zooroute_db_status_wait();
        }
        gateway_status_wait();
    }
    if (gw->started) {
        gateway_neighbors_wait();
        gateway_database_wait();
        gateway_tunnels_wait();
        zooroute_wait();
    }
}

static void
appctl_exit(struct unixctl_conn *conn, int argc OVS_UNUSED,
            const char *argv[] OVS_UNUSED, void *aux OVS_UNUSED)
{
    exiting = true;
    unixctl_command_reply(conn, NULL);
}

static void
appctl_config(struct unixctl_conn *conn, int argc OVS_UNUSED,
              const char *argv[] OVS_UNUSED, void *aux OVS_UNUSED)
{
    struct ds s = DS_EMPTY_INITIALIZER;

    zooroute_db_config_format(&s);
    if (zooroute_db_config_error()) {
        ds_put_format(&s, "error in the database: %s\n",
                      zooroute_db_config_error());
    }
    unixctl_command_reply(conn, ds_cstr(&s));
    ds_destroy(&s);
}

static void
receive_too_big(const struct gateway_punt *punt)
{
    if (!gateway_fragment(punt)) {
        gateway_icmp_too_big(punt);
    }
}

/* Has the pipeline's packets come to those that they are for. */
static void
register_punts(void)
{
    gateway_punt_register(GATEWAY_COUNT_LOCAL, gateway_neighbors_receive);
    gateway_punt_register(GATEWAY_COUNT_PROBE, gateway_host_receive);
    gateway_punt_register(GATEWAY_COUNT_TTL_EXPIRED,
                          gateway_icmp_ttl_expired);
    gateway_punt_register(GATEWAY_COUNT_TOO_BIG, receive_too_big);
}

int
main(int argc, char *argv[])
{
    struct gateway gw = { .seqno = 0 };
    struct unixctl_server *unixctl;
    char *remote;

    set_program_name(argv[0]);
    ovsthread_id_init();
    dns_resolve_init(true);
    ovs_cmdl_proctitle_init(argc, argv);
    spec_file = xasprintf("%s/gateway.spec", ovs_pkgdatadir());
    remote = parse_options(argc, argv);
    fatal_ignore_sigpipe();
    daemonize_start(true, true);

    if (unixctl_server_create(unixctl_path, &unixctl)) {
        exit(EXIT_FAILURE);
    }
    unixctl_command_register("exit", "", 0, 0, appctl_exit, NULL);
    unixctl_command_register("zooroute/config", "", 0, 0, appctl_config,
                             NULL);
    zooroute_init();
    gateway_tunnels_init();
    gateway_show_init();
    register_punts();

    gw.idl = ovsdb_idl_create(remote, &ovsrec_idl_class, false, true);
    ovsdb_idl_set_lock(gw.idl, "zoo_gatewayd");
    gateway_database_init(gw.idl);
    add_zooroute(gw.idl);
    free(remote);

    while (!exiting) {
        gateway_run(&gw);
        unixctl_server_run(unixctl);

        gateway_wait(&gw);
        unixctl_server_wait(unixctl);
        if (exiting) {
            poll_immediate_wake();
        }
        poll_block();
    }

    zooroute_exit();
    if (gw.started) {
        gateway_database_exit();
        gateway_pipeline_stop();
    }
    ovsdb_idl_destroy(gw.idl);
    unixctl_server_destroy(unixctl);
    vlog_disable_async();
    ovsrcu_exit();
    dns_resolve_destroy();
    free(gw.error);
    free(spec_file);
    return 0;
}
