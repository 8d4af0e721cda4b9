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
#include "vtrace/collector.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "jsonrpc.h"
#include "openvswitch/dynamic-string.h"
#include "openvswitch/list.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/vlog.h"
#include "stream.h"
#include "timeval.h"
#include "util.h"
#include "vtrace/analyze.h"
#include "vtrace/ipfix.h"

VLOG_DEFINE_THIS_MODULE(vtrace_collector);

/* How much one connection may have read before others have their turn. */
#define MAX_READS 16

/* How much is logged about peers, which may be anybody. */
static struct vlog_rate_limit peer_rl = VLOG_RATE_LIMIT_INIT(10, 20);

/* A peer that does not finish its TLS handshake in this time is let go. */
#define CONNECT_MS 10000

/* How long no connection is taken after one could not be. */
#define ACCEPT_RETRY_MS 1000

struct listener {
    struct ovs_list node;       /* In struct vtrace_collector's 'listeners'. */
    struct pstream *pstream;
    char *for_node;             /* Or NULL. */
};

struct connection {
    struct ovs_list node;       /* In struct vtrace_collector's list. */
    struct vtrace_collector *collector;
    struct stream *stream;
    char *for_node;             /* The listener's. */
    char *name;                 /* Of the node, once it is known. */
    struct vtrace_exporter *peer;   /* The same for the analyzer. */
    struct vtrace_ipfix *ipfix;
    long long int since;
    bool broken;                /* To be closed. */
    uint64_t n_records;
    uint64_t n_messages;
    size_t len;                 /* Bytes in 'buf'. */
    uint8_t buf[VTRACE_IPFIX_MAX_LEN];
};

struct vtrace_collector {
    struct vtrace_analyzer *analyzer;
    vtrace_find_node_func *find_node;
    void *aux;
    struct ovs_list listeners;
    struct ovs_list connections;
    size_t n_connections;
    long long int next_accept;  /* No connection is taken before. */
};

struct vtrace_collector *
vtrace_collector_create(struct vtrace_analyzer *analyzer,
                        vtrace_find_node_func *find_node, void *aux)
{
    struct vtrace_collector *collector = xzalloc(sizeof *collector);

    collector->analyzer = analyzer;
    collector->find_node = find_node;
    collector->aux = aux;
    ovs_list_init(&collector->listeners);
    ovs_list_init(&collector->connections);
    return collector;
}

bool
vtrace_is_shortage(int error)
{
    return (error == EMFILE || error == ENFILE || error == ENOBUFS
            || error == ENOMEM);
}

static void
connection_destroy(struct connection *conn)
{
    ovs_list_remove(&conn->node);
    conn->collector->n_connections--;
    vtrace_ipfix_destroy(conn->ipfix);
    stream_close(conn->stream);
    free(conn->for_node);
    free(conn->name);
    free(conn);
}

void
vtrace_collector_destroy(struct vtrace_collector *collector)
{
    struct connection *conn;
    struct listener *listener;

    if (!collector) {
        return;
    }
    LIST_FOR_EACH_SAFE (conn, node, &collector->connections) {
        connection_destroy(conn);
    }
    LIST_FOR_EACH_SAFE (listener, node, &collector->listeners) {
        pstream_close(listener->pstream);
        ovs_list_remove(&listener->node);
        free(listener->for_node);
        free(listener);
    }
    free(collector);
}

char *
vtrace_collector_listen(struct vtrace_collector *collector, const char *spec)
{
    const char *equals = strchr(spec, '=');
    const char *method = equals ? equals + 1 : spec;
    struct listener *listener;
    struct pstream *pstream;
    int error;

    error = pstream_open(method, &pstream, 0);
    if (error) {
        return xasprintf("collector: %s: %s", method, ovs_strerror(error));
    }
    listener = xmalloc(sizeof *listener);
    listener->pstream = pstream;
    listener->for_node = equals ? xmemdup0(spec, equals - spec) : NULL;
    ovs_list_push_back(&collector->listeners, &listener->node);
    return NULL;
}

/* Records. */

static void
got_record(void *conn_, const struct vtrace_record *record)
{
    struct connection *conn = conn_;

    conn->n_records++;
    vtrace_analyzer_record(conn->collector->analyzer, conn->peer, record);
}

static void
got_watermark(void *conn_, const struct vtrace_watermark *watermark)
{
    struct connection *conn = conn_;

    vtrace_analyzer_watermark(conn->collector->analyzer, conn->peer,
                              watermark, time_msec() * 1000000ULL);
}

static void
got_endpoint(void *conn_, const struct vtrace_endpoint *endpoint)
{
    struct connection *conn = conn_;

    vtrace_analyzer_endpoint(conn->collector->analyzer, conn->peer, endpoint);
}

static void
got_clock(void *conn_, const struct vtrace_clock *clock)
{
    struct connection *conn = conn_;

    vtrace_analyzer_clock(conn->collector->analyzer, conn->peer, clock);
}

/* Connections. */

static void
accept_connection(struct vtrace_collector *collector,
                  const struct listener *listener, struct stream *stream)
{
    struct connection *conn;

    if (collector->n_connections >= VTRACE_COLLECTOR_MAX_CONNECTIONS) {
        static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(1, 5);

        VLOG_WARN_RL(&rl, "%s: refused, there are %d connections",
                     stream_get_name(stream),
                     VTRACE_COLLECTOR_MAX_CONNECTIONS);
        stream_close(stream);
        return;
    }
    conn = xzalloc(sizeof *conn);
    conn->collector = collector;
    conn->stream = stream;
    conn->for_node = nullable_xstrdup(listener->for_node);
    conn->since = time_msec();
    conn->ipfix = vtrace_ipfix_create(&(struct vtrace_ipfix_sink) {
        .record = got_record,
        .watermark = got_watermark,
        .endpoint = got_endpoint,
        .clock = got_clock,
        .aux = conn,
    });
    ovs_list_push_back(&collector->connections, &conn->node);
    collector->n_connections++;
}

/* Returns the IP address in a stream's name, "tcp:IP:PORT" or
 * "tcp:[IP]:PORT", which the caller must free; NULL for a Unix socket, whose
 * name may look like one. */
static char *
peer_ip(const struct stream *stream)
{
    const char *name = stream_get_name(stream);
    const char *start = strchr(name, ':');
    const char *end = strrchr(name, ':');

    if (strncmp(name, "tcp:", 4) || start == end) {
        return NULL;
    }
    start++;
    if (*start == '[' && end[-1] == ']') {
        start++;
        end--;
    }
    return xmemdup0(start, end - start);
}

/* Has the oldest connections of the node closed if 'conn' is one too many:
 * they are left from a switch that went away without a word. */
static void
close_others(struct connection *conn)
{
    struct connection *other;
    size_t n = 0;

    /* The list begins with the oldest. */
    LIST_FOR_EACH_REVERSE (other, node, &conn->collector->connections) {
        if (other->name && !strcmp(other->name, conn->name)
            && ++n > VTRACE_COLLECTOR_MAX_NODE_CONNECTIONS) {
            other->broken = true;
            poll_immediate_wake();
        }
    }
}

/* Warns that nothing tells which node is at the other end of 'conn'. */
static void
warn_unknown(const struct connection *conn, const char *name, const char *ip)
{
    const char *stream = stream_get_name(conn->stream);

    if (name) {
        VLOG_WARN_RL(&peer_rl, "%s: no node is named %s: \"vtrace nodes "
                     "add\" adds one", stream, name);
    } else if (ip) {
        VLOG_WARN_RL(&peer_rl, "%s: not just one node has its OpenFlow "
                     "target at %s: \"vtrace nodes\" lists them, and where "
                     "several are TLS, or a --collector NODE=METHOD of its "
                     "own, tells them apart", stream, ip);
    } else {
        VLOG_WARN_RL(&peer_rl, "%s: a Unix socket tells which node it is only "
                     "if there is just one: \"vtrace nodes\" lists them, and "
                     "a --collector NODE=punix:PATH of its own tells them "
                     "apart", stream);
    }
}

/* Finds out which node is at the other end.  Returns 0 or an errno value. */
static int
identify(struct connection *conn)
{
    struct vtrace_collector *collector = conn->collector;
    const char *name = conn->for_node;
    char *ip = NULL, *domain;
    int error = stream_connect(conn->stream);

    if (error) {
        return error == EAGAIN && time_msec() - conn->since > CONNECT_MS
               ? ETIMEDOUT : error;
    }
    if (!strncmp(stream_get_name(conn->stream), "ssl:", 4)) {
        /* A certificate says who it is, whatever the listener is for. */
        const char *peer = stream_get_peer_id(conn->stream);

        if (!peer || (name && strcmp(name, peer))) {
            VLOG_WARN_RL(&peer_rl,
                         "%s: the certificate is for %s, not for node %s",
                         stream_get_name(conn->stream), peer ? peer : "nobody",
                         name ? name : "NAME");
            return EACCES;
        }
        name = peer;
    } else if (!name) {
        ip = peer_ip(conn->stream);
    }
    if (!collector->find_node(collector->aux, name, ip, &conn->name,
                              &domain)) {
        warn_unknown(conn, name, ip);
        free(ip);
        return EACCES;
    }
    conn->peer = vtrace_analyzer_exporter(collector->analyzer, conn->name,
                                          domain);
    vtrace_analyzer_connected(collector->analyzer, conn->peer);
    VLOG_INFO_RL(&peer_rl, "%s: records of node %s",
                 stream_get_name(conn->stream), conn->name);
    close_others(conn);
    free(domain);
    free(ip);
    return 0;
}

/* Decodes the whole messages in the buffer. */
static int
decode(struct connection *conn)
{
    size_t done = 0;
    int retval = 0;

    while (conn->len - done >= VTRACE_IPFIX_HEADER_LEN) {
        size_t len = vtrace_ipfix_length(conn->buf + done);
        char *error;

        if (len > conn->len - done) {
            break;
        }
        error = len ? vtrace_ipfix_decode(conn->ipfix, conn->buf + done, len)
                    : xstrdup("not IPFIX");
        if (error) {
            VLOG_WARN_RL(&peer_rl, "%s: node %s: %s",
                         stream_get_name(conn->stream), conn->name, error);
            free(error);
            retval = EPROTO;
            break;
        }
        conn->n_messages++;
        done += len;
    }
    memmove(conn->buf, conn->buf + done, conn->len - done);
    conn->len -= done;
    return retval;
}

/* Returns 0, or an errno value if the connection is at its end. */
static int
connection_run(struct connection *conn)
{
    int error;

    if (conn->broken) {
        return EUSERS;
    }
    stream_run(conn->stream);
    if (!conn->peer) {
        error = identify(conn);
        if (error) {
            return error == EAGAIN ? 0 : error;
        }
    }
    for (int i = 0; i < MAX_READS; i++) {
        ssize_t n = stream_recv(conn->stream, conn->buf + conn->len,
                                sizeof conn->buf - conn->len);

        if (n == -EAGAIN) {
            return 0;
        } else if (n <= 0) {
            return n ? -n : EOF;
        }
        conn->len += n;
        error = decode(conn);
        if (error) {
            return error;
        }
    }
    poll_immediate_wake();
    return 0;
}

void
vtrace_collector_run(struct vtrace_collector *collector)
{
    struct connection *conn;
    struct listener *listener;

    LIST_FOR_EACH (listener, node, &collector->listeners) {
        for (int i = 0; i < 10 && time_msec() >= collector->next_accept;
             i++) {
            struct stream *stream;
            int error = pstream_accept(listener->pstream, &stream);

            if (error) {
                if (vtrace_is_shortage(error)) {
                    collector->next_accept = time_msec() + ACCEPT_RETRY_MS;
                }
                if (error != EAGAIN) {
                    static struct vlog_rate_limit rl
                        = VLOG_RATE_LIMIT_INIT(1, 5);

                    VLOG_WARN_RL(&rl, "%s: %s",
                                 pstream_get_name(listener->pstream),
                                 ovs_strerror(error));
                }
                break;
            }
            accept_connection(collector, listener, stream);
        }
    }
    LIST_FOR_EACH_SAFE (conn, node, &collector->connections) {
        int error = connection_run(conn);

        if (error) {
            VLOG_INFO_RL(&peer_rl, "%s: %s", stream_get_name(conn->stream),
                         ovs_retval_to_string(error));
            connection_destroy(conn);
        }
    }
}

void
vtrace_collector_wait(struct vtrace_collector *collector)
{
    struct connection *conn;
    struct listener *listener;

    if (time_msec() < collector->next_accept) {
        poll_timer_wait_until(collector->next_accept);
    } else {
        LIST_FOR_EACH (listener, node, &collector->listeners) {
            pstream_wait(listener->pstream);
        }
    }
    LIST_FOR_EACH (conn, node, &collector->connections) {
        stream_run_wait(conn->stream);
        if (conn->peer) {
            stream_recv_wait(conn->stream);
        } else {
            stream_connect_wait(conn->stream);
            poll_timer_wait_until(conn->since + CONNECT_MS + 1);
        }
    }
}

bool
vtrace_collector_has_node(const struct vtrace_collector *collector,
                          const char *name)
{
    const struct connection *conn;

    LIST_FOR_EACH (conn, node, &collector->connections) {
        if (conn->name && !strcmp(conn->name, name)) {
            return true;
        }
    }
    return false;
}

void
vtrace_collector_format(const struct vtrace_collector *collector,
                        struct ds *s)
{
    const struct connection *conn;
    const struct listener *listener;

    LIST_FOR_EACH (listener, node, &collector->listeners) {
        ds_put_format(s, "listening on %s",
                      pstream_get_name(listener->pstream));
        if (listener->for_node) {
            ds_put_format(s, " for node %s", listener->for_node);
        }
        ds_put_char(s, '\n');
    }
    LIST_FOR_EACH (conn, node, &collector->connections) {
        ds_put_format(s, "%s: node %s, %"PRIu64" messages, %"PRIu64
                      " records, %"PRIu64" invalid\n",
                      stream_get_name(conn->stream),
                      conn->name ? conn->name : "unknown", conn->n_messages,
                      conn->n_records, vtrace_ipfix_invalid(conn->ipfix));
    }
}
