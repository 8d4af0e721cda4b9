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
#include "p4/gateway-pipeline.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_swx_ctl.h>
#include <rte_swx_pipeline.h>
#include <rte_swx_port.h>
#include <rte_version.h>

#include "entropy.h"
#include "ofproto-zoo/zooroute.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/vlog.h"
#include "ovs-atomic.h"
#include "ovs-rcu.h"
#include "ovs-thread.h"
#include "p4/gateway-names.h"
#include "p4/gateway-private.h"
#include "p4/gateway-use.h"
#include "p4/swx-compiled.h"
#include "p4/swx-spec.h"
#include "svec.h"
#include "timeval.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(gateway_pipeline);

/* Instructions that the thread runs before it looks after anything else.  A
 * packet takes some 150. */
#define QUANTUM 512

/* Quanta after which packets that wait for a full burst are sent, if others
 * keep coming. */
#define FLUSH_QUANTA 8

/* A compiled program takes up to SWX_BURST packets at once, of these so many
 * of the CPU port. */
#define MAX_CPU 8

/* Without polling: quanta without a packet after which the thread sleeps, and
 * for how long, in microseconds. */
#define IDLE_QUANTA 50
#define MIN_SLEEP 50
#define MAX_SLEEP 200

struct rte_swx_pipeline *gateway_swx;
struct gateway_run gateway_run;

/* Runs the program as C, in the place of SWX's interpreter.  NULL if there is
 * none for the file, and 'interpreted' says why. */
static struct swx_runner *runner;
static char *interpreted;

/* Of the thread "gateway": what the compiled program has dropped. */
static uint64_t n_compiled_drops;

static atomic_bool exiting = false;
static atomic_bool polling = false;
static pthread_t thread;
static bool started;            /* Main thread: the threads run. */

/* A call of the main thread that waits for the pipeline to be empty.
 *
 * 'requested' tells the thread "gateway" without a lock that there is one. */
static struct {
    struct ovs_mutex mutex;
    pthread_cond_t done;
    void (*function)(void *aux) OVS_GUARDED;
    void *aux OVS_GUARDED;

    /* What it has taken so far, ns. */
    unsigned int n OVS_GUARDED;
    long long int sum OVS_GUARDED;
    long long int longest OVS_GUARDED;
} rest = {
    .mutex = OVS_MUTEX_INITIALIZER,
    .done = PTHREAD_COND_INITIALIZER,
};
static atomic_bool requested = false;

static long long int
now_ns(void)
{
    struct timespec ts;

    time_timespec(&ts);
    return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

/* Packets that the program has dropped: what SWX drops leaves through a port
 * that it adds for that. */
static uint64_t
n_dropped(void)
{
    struct rte_swx_port_out_stats stats;

    if (runner) {
        return n_compiled_drops;
    }

    rte_swx_ctl_pipeline_port_out_stats_read(gateway_swx, ZOO_GATEWAY_N_PORTS,
                                             &stats);
    return stats.n_pkts_drop;
}

static bool
is_empty(void)
{
    return gateway_run.n_in == gateway_run.n_out + n_dropped();
}

/* Takes what the ports have for one burst all the way through the program.
 * Returns false if they have nothing. */
static bool
run_compiled(void)
{
    static struct swx_job jobs[SWX_BURST];
    size_t n = 0;

    while (n < MAX_CPU && gateway_cpu_rx(NULL, &jobs[n].pkt)) {
        jobs[n++].in = ZOO_GATEWAY_CPU_PORT;
    }
    while (n < SWX_BURST && gateway_network_rx(NULL, &jobs[n].pkt)) {
        jobs[n++].in = GATEWAY_INPUT_NETWORK;
    }
    if (!n) {
        return false;
    }
    swx_runner_run(runner, jobs, n);
    for (size_t i = 0; i < n; i++) {
        struct rte_swx_pkt *pkt = &jobs[i].pkt;

        if (jobs[i].out == ZOO_GATEWAY_CPU_PORT) {
            gateway_cpu_tx(NULL, pkt);
        } else if (jobs[i].out < ZOO_GATEWAY_N_PORTS) {
            gateway_network_tx(gateway_network_port(jobs[i].out), pkt);
        } else {
            rte_pktmbuf_free(pkt->handle);
            n_compiled_drops++;
        }
    }
    return true;
}

/* Runs the program for 'n_instructions', which is as many polls of a port when
 * there are no packets.  A compiled one returns after the first packets. */
static void
run_quantum(unsigned int n_instructions)
{
    if (!runner) {
        rte_swx_pipeline_run(gateway_swx, n_instructions);
        return;
    }
    for (unsigned int i = 0; i < n_instructions / GATEWAY_N_INPUTS; i++) {
        if (run_compiled()) {
            break;
        }
    }
}

/* Lets the packets that are in the pipeline leave it, for which the number of
 * passes has a bound, and does what the main thread has asked for. */
static void
serve_request(void)
{
    long long int start = now_ns();
    long long int took;

    gateway_run.hold = true;
    while (!is_empty()) {
        run_quantum(64);
    }
    ovs_mutex_lock(&rest.mutex);
    rest.function(rest.aux);
    rest.function = NULL;
    took = now_ns() - start;
    rest.n++;
    rest.sum += took;
    rest.longest = MAX(rest.longest, took);
    atomic_store_relaxed(&requested, false);
    xpthread_cond_signal(&rest.done);
    ovs_mutex_unlock(&rest.mutex);
    gateway_run.hold = false;
}

void
gateway_at_rest(void (*function)(void *aux), void *aux)
{
    ovs_mutex_lock(&rest.mutex);
    rest.function = function;
    rest.aux = aux;
    atomic_store(&requested, true);
    while (rest.function) {
        ovs_mutex_cond_wait(&rest.done, &rest.mutex);
    }
    ovs_mutex_unlock(&rest.mutex);
}

void
gateway_program_format(struct ds *s)
{
    if (runner) {
        ds_put_cstr(s, "program: compiled\n");
    } else {
        ds_put_format(s, "program: interpreted (%s)\n", interpreted);
    }
}

void
gateway_at_rest_format(struct ds *s)
{
    ovs_mutex_lock(&rest.mutex);
    ds_put_format(s, "packets waited %u times for a change, %.1f us on "
                  "average, at most %.1f us\n", rest.n,
                  rest.sum / 1e3 / MAX(rest.n, 1), rest.longest / 1e3);
    ovs_mutex_unlock(&rest.mutex);
}

/* The thread uses nothing of RCU and counts no coverage: it must not hold up
 * the others while packets keep coming. */
static void *
run_pipeline(void *aux OVS_UNUSED)
{
    unsigned int flush_quanta = runner ? 1 : FLUSH_QUANTA;
    unsigned int n_idle = 0, n_busy = 0, nap = MIN_SLEEP;
    bool registered, stop, polls = false;

    ovsrcu_quiesce_start();
    /* Without a number of its own the thread has no cache of buffers. */
    registered = !rte_thread_register();
    do {
        uint64_t n_in = gateway_run.n_in;
        bool request, poll;

        run_quantum(QUANTUM);
        atomic_read_explicit(&requested, &request, memory_order_acquire);
        if (request) {
            serve_request();
            n_idle = 0;
        }
        if (gateway_run.n_in != n_in || !is_empty()) {
            n_idle = 0;
            nap = MIN_SLEEP;
            if (++n_busy >= flush_quanta) {
                gateway_ports_flush();
                n_busy = 0;
            }
        } else {
            gateway_ports_flush();
            gateway_cpu_idle();
            n_busy = 0;
            atomic_read_relaxed(&polling, &poll);
            if (poll != polls) {
                polls = poll;
                zooroute_set_polling(polls);
            }
            if (n_idle < IDLE_QUANTA) {
                n_idle++;
            } else if (!poll) {
                usleep(nap);
                nap = MIN(2 * nap, MAX_SLEEP);
            }
        }
        atomic_read_relaxed(&exiting, &stop);
    } while (!stop);
    zooroute_set_polling(false);
    if (registered) {
        rte_thread_unregister();
    }
    return NULL;
}

void
gateway_pipeline_set_polling(bool polling_)
{
    atomic_store_relaxed(&polling, polling_);
}

/* What the ports share. */

void
gateway_put_shim(struct rte_mbuf *m, unsigned int port)
{
    uint8_t *shim = rte_pktmbuf_mtod(m, uint8_t *) - GATEWAY_SHIM;

    gateway_put_u32(shim, rte_pktmbuf_pkt_len(m));
    gateway_put_u32(shim + 4, port);
    gateway_put_u32(shim + 8, 0);
}

static void *
port_create(void *args)
{
    return args;
}

static void
port_free(void *port OVS_UNUSED)
{
}

static void
no_clone(void *port OVS_UNUSED, struct rte_swx_pkt *pkt OVS_UNUSED)
{
    OVS_NOT_REACHED();
}

static void
no_clone_part(void *port OVS_UNUSED, struct rte_swx_pkt *pkt OVS_UNUSED,
              uint32_t length OVS_UNUSED)
{
    OVS_NOT_REACHED();
}

static void
no_in_stats(void *port OVS_UNUSED, struct rte_swx_port_in_stats *stats)
{
    memset(stats, 0, sizeof *stats);
}

static void
no_out_stats(void *port OVS_UNUSED, struct rte_swx_port_out_stats *stats)
{
    memset(stats, 0, sizeof *stats);
}

int
gateway_register_port_type(struct rte_swx_pipeline *pipeline,
                           const char *name, rte_swx_port_in_pkt_rx_t rx,
                           rte_swx_port_out_pkt_tx_t tx)
{
    struct rte_swx_port_in_ops in = {
        .create = port_create,
        .free = port_free,
        .pkt_rx = rx,
        .stats_read = no_in_stats,
    };
    struct rte_swx_port_out_ops out = {
        .create = port_create,
        .free = port_free,
        .pkt_tx = tx,
        .pkt_fast_clone_tx = no_clone,
        .pkt_clone_tx = no_clone_part,
        .stats_read = no_out_stats,
    };
    int status = rte_swx_pipeline_port_in_type_register(pipeline, name, &in);

    return (status ? status
            : rte_swx_pipeline_port_out_type_register(pipeline, name, &out));
}

/* Registers. */

static bool
register_access(const char *array, uint32_t index, uint64_t *value, bool write)
{
    if (runner) {
        uint64_t *cell = swx_runner_register(runner, array, index);

        if (cell && write) {
            __atomic_store_n(cell, *value, __ATOMIC_RELAXED);
        } else if (cell) {
            *value = __atomic_load_n(cell, __ATOMIC_RELAXED);
        }
        return cell != NULL;
    }
    return !(write
             ? rte_swx_ctl_pipeline_regarray_write(gateway_swx, array, index,
                                                   *value)
             : rte_swx_ctl_pipeline_regarray_read(gateway_swx, array, index,
                                                  value));
}

uint64_t
gateway_register_read(const char *array, uint32_t index)
{
    uint64_t value = 0;

    register_access(array, index, &value, false);
    return value;
}

void
gateway_register_write(const char *array, uint32_t index, uint64_t value)
{
    register_access(array, index, &value, true);
}

bool
gateway_path_take_used(uint32_t destination)
{
    bool used = gateway_register_read(GATEWAY_USED, destination);

    if (used) {
        gateway_register_write(GATEWAY_USED, destination, 0);
    }
    return used;
}

void
gateway_path_mark_used(uint32_t destination)
{
    gateway_register_write(GATEWAY_USED, destination, 1);
}

/* Returns NULL if the program has all the registers, with all indices. */
static char *
try_registers(const char *spec)
{
    static const struct {
        const char *name;
        uint32_t n;
    } arrays[] = {
        { GATEWAY_BITMAPS, ZOO_GATEWAY_N_DESTINATIONS },
        { GATEWAY_INDICES, ZOO_GATEWAY_N_DESTINATIONS },
        { GATEWAY_CANDIDATE_PORTS, ZOO_GATEWAY_N_CANDIDATES },
        { GATEWAY_USED, ZOO_GATEWAY_N_DESTINATIONS },
        { GATEWAY_TOKEN, 1 },
        { GATEWAY_COUNTS, ZOO_GATEWAY_N_COUNTS },
    };

    for (size_t i = 0; i < ARRAY_SIZE(arrays); i++) {
        uint64_t value;

        if (!register_access(arrays[i].name, arrays[i].n - 1, &value, false)) {
            return xasprintf("%s: no register \"%s\" with %"PRIu32" cells; "
                             "it needs the file of this version", spec,
                             arrays[i].name, arrays[i].n);
        }
    }
    return NULL;
}

void
gateway_get_counts(uint64_t counts[ZOO_GATEWAY_N_COUNTS])
{
    for (uint32_t i = 0; i < ZOO_GATEWAY_N_COUNTS; i++) {
        counts[i] = gateway_register_read(GATEWAY_COUNTS, i);
    }
}

void
gateway_set_candidate_ports(const uint16_t ports[ZOO_GATEWAY_N_CANDIDATES])
{
    for (uint32_t i = 0; i < ZOO_GATEWAY_N_CANDIDATES; i++) {
        gateway_register_write(GATEWAY_CANDIDATE_PORTS, i, ports[i]);
    }
    gateway_use_set_ports(ports);
}

/* Start and stop. */

/* DPDK's log, a line at a time. */
static ssize_t
log_write(void *cookie OVS_UNUSED, const char *buf, size_t size)
{
    static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(600, 600);
    int level = rte_log_cur_msg_loglevel();

    while (size > 0 && buf[size - 1] == '\n') {
        size--;
    }
    VLOG_RL(&rl, (level <= RTE_LOG_ERR ? VLL_ERR
                  : level == RTE_LOG_WARNING ? VLL_WARN
                  : level == RTE_LOG_DEBUG ? VLL_DBG : VLL_INFO),
            "%.*s", (int) size, buf);
    return size + 1;
}

/* Splits 'args' as a shell does with blanks, quotes and backslashes, and
 * nothing else of what a shell does.  Returns false if a quote is missing. */
static bool
split_args(const char *args, struct svec *out)
{
    struct ds word = DS_EMPTY_INITIALIZER;
    bool in_word = false;
    char quote = 0;

    for (const char *p = args; *p; p++) {
        bool blank = strchr(" \t\r\n", *p) != NULL;

        if (blank && !quote) {
            if (in_word) {
                svec_add(out, ds_cstr(&word));
                ds_clear(&word);
                in_word = false;
            }
            continue;
        }
        in_word = true;
        if (*p == quote) {
            quote = 0;
        } else if (!quote && (*p == '\'' || *p == '"')) {
            quote = *p;
        } else if (*p == '\\' && quote != '\'' && p[1]) {
            ds_put_char(&word, *++p);
        } else {
            ds_put_char(&word, *p);
        }
    }
    if (in_word) {
        svec_add(out, ds_cstr(&word));
    }
    ds_destroy(&word);
    return !quote;
}

static char *
start_eal(const char *eal_args)
{
    static const cookie_io_functions_t log_functions = { .write = log_write };
    /* DPDK goes on to use its arguments, and changes their order. */
    static struct svec kept;
    static char **argv;
    FILE *log;
    struct svec args = SVEC_EMPTY_INITIALIZER;
    cpu_set_t affinity;
    bool restore;

    svec_add(&args, ovs_get_program_name());
    if (!split_args(eal_args, &args)) {
        svec_destroy(&args);
        return xasprintf("DPDK arguments: %s: a quote is not closed",
                         eal_args);
    }
    svec_terminate(&args);
    kept = args;
    argv = xmemdup(args.names, (args.n + 1) * sizeof *args.names);
    log = fopencookie(NULL, "w", log_functions);
    if (log) {
        setbuf(log, NULL);
        rte_openlog_stream(log);
    }

    /* DPDK ties this thread to one processor, and so all threads that it will
     * start. */
    restore = !pthread_getaffinity_np(pthread_self(), sizeof affinity,
                                      &affinity);
    int status = rte_eal_init(kept.n, argv);
    if (restore) {
        pthread_setaffinity_np(pthread_self(), sizeof affinity, &affinity);
    }
    if (status < 0) {
        return xasprintf("DPDK does not start with \"%s\": %s (its own "
                         "messages are in the log)", eal_args,
                         rte_strerror(rte_errno));
    }
    return NULL;
}

/* Makes the pipeline of file 'spec'. */
static char *
build_pipeline(const char *spec)
{
    char *error;
    int status;

    status = rte_swx_pipeline_config(&gateway_swx, "gateway",
                                     (int) rte_socket_id());
    if (status) {
        return xasprintf("no pipeline (%s)", ovs_strerror(-status));
    }
    error = gateway_ports_config(gateway_swx);
    if (!error) {
        error = gateway_cpu_config(gateway_swx);
    }
    if (!error) {
        error = swx_spec_load(gateway_swx, spec);
    }
    if (error) {
        return error;
    }
    status = rte_swx_pipeline_build(gateway_swx);
    if (status) {
        return xasprintf("%s: the pipeline cannot be built (%s)", spec,
                         ovs_strerror(-status));
    }
    runner = swx_runner_create(gateway_swx, &swx_compiled_gateway, spec,
                               &interpreted);
    if (!runner) {
        VLOG_WARN("%s: this program is interpreted, which takes several times "
                  "as long for each packet: %s", spec, interpreted);
    }
    return try_registers(spec);
}

/* Returns a number that nobody can guess, not 0. */
static uint32_t
make_token(void)
{
    uint32_t token;

    do {
        get_entropy_or_die(&token, sizeof token);
    } while (!token);
    return token;
}

char *
gateway_pipeline_start(const char *spec, const char *eal_args)
{
    char *error = start_eal(eal_args);

    if (!error) {
        error = build_pipeline(spec);
    }
    if (!error) {
        error = gateway_tables_init();
    }
    if (error) {
        return error;
    }

    uint32_t token = make_token();
    gateway_register_write(GATEWAY_TOKEN, 0, token);
    gateway_negotiation_init(token);
    atomic_store_relaxed(&exiting, false);
    thread = ovs_thread_create("gateway", run_pipeline, NULL);
    gateway_cpu_start();
    started = true;

    error = gateway_tables_commit();
    if (error) {
        gateway_pipeline_stop();
    }
    return error;
}

const char *
gateway_pipeline_version(void)
{
    return rte_version();
}

void
gateway_pipeline_stop(void)
{
    if (!started) {
        return;
    }
    started = false;
    gateway_ports_stop();
    gateway_cpu_stop();
    atomic_store_relaxed(&exiting, true);
    xpthread_join(thread, NULL);
    gateway_tables_destroy();
    gateway_negotiation_destroy();

    /* The pipeline stays: there is only one in a process, and DPDK's function
     * to free it forgets parts of it. */
}
