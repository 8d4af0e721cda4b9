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
#include "vtrace/control.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dirs.h"
#include "fatal-signal.h"
#include "jsonrpc.h"
#include "openvswitch/list.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/vlog.h"
#include "random.h"
#include "socket-util.h"
#include "stream-fd.h"
#include "stream.h"
#include "timeval.h"
#include "util.h"
#include "vtrace-rules/task-options.h"
#include "vtrace/borders.h"
#include "vtrace/collector.h"
#include "vtrace/deployer.h"
#include "vtrace/inject.h"
#include "vtrace/ports.h"
#include "vtrace/store.h"
#include "vtrace/task-json.h"
#include "vtrace/tasks.h"
#include "vtrace/tenants.h"
#include "vtrace/vtrace-json.h"

VLOG_DEFINE_THIS_MODULE(vtrace_control);

/* How long no connection is taken after one could not be, for want of file
 * descriptors for example. */
#define ACCEPT_RETRY_MS 1000

/* Connections that may be in their TLS handshake, and how long, in ms. */
#define MAX_HANDSHAKES 32
#define HANDSHAKE_MS 10000

struct client {
    struct ovs_list node;       /* In struct vtrace_control's 'clients'. */
    struct jsonrpc *rpc;        /* NULL during the TLS handshake. */
    struct stream *stream;      /* NULL after it. */
    uid_t uid;                  /* UID_REMOTE if it came by TLS. */
    char *user;                 /* As struct vtrace_tenants knows it, NULL
                                 * during the handshake. */
    bool broken;                /* Broke the rules: to be closed. */
    unsigned int received;      /* Bytes, at the last request. */
    long long int last_request;
};

#define UID_REMOTE ((uid_t) -1)

/* Where clients come by TLS. */
struct listener {
    struct ovs_list node;       /* In struct vtrace_control's 'listeners'. */
    struct pstream *pstream;
};

struct vtrace_control {
    struct vtrace_context *context;
    char *path;
    int fd;
    long long int next_accept;  /* No connection is taken before. */
    struct ovs_list listeners;
    struct ovs_list clients;
    size_t n_clients;
};

char *
vtrace_control_default_path(void)
{
    return xasprintf("%s/vtraced.sock", ovs_rundir());
}

char *
vtrace_control_create(const char *path, struct vtrace_context *context,
                      struct vtrace_control **controlp)
{
    struct vtrace_control *control;
    int fd;

    *controlp = NULL;
    /* Somebody who answers there would be cut off. */
    fd = make_unix_socket(SOCK_STREAM, false, NULL, path);
    if (fd >= 0) {
        close(fd);
        return xasprintf("%s: another vtraced listens there", path);
    }
    /* One that nobody listens on is left from before. */
    unlink(path);
    fd = make_unix_socket(SOCK_STREAM, true, path, NULL);
    if (fd < 0) {
        return xasprintf("%s: %s", path, ovs_strerror(-fd));
    }
    if (chmod(path, 0666) || listen(fd, 64)) {
        char *error = xasprintf("%s: %s", path, ovs_strerror(errno));

        close(fd);
        fatal_signal_unlink_file_now(path);
        return error;
    }
    fatal_signal_add_file_to_unlink(path);
    control = xmalloc(sizeof *control);
    control->context = context;
    control->path = xstrdup(path);
    control->fd = fd;
    control->next_accept = 0;
    control->n_clients = 0;
    ovs_list_init(&control->clients);
    ovs_list_init(&control->listeners);
    *controlp = control;
    return NULL;
}

char *
vtrace_control_listen(struct vtrace_control *control, const char *method)
{
    struct listener *listener;
    struct pstream *pstream;
    int error;

    if (strncmp(method, "pssl:", 5)) {
        return xasprintf("listen: %s: only pssl:PORT[:IP] tells who asks",
                         method);
    }
    error = pstream_open(method, &pstream, 0);
    if (error) {
        return xasprintf("listen: %s: %s", method, ovs_strerror(error));
    }
    listener = xmalloc(sizeof *listener);
    listener->pstream = pstream;
    ovs_list_push_back(&control->listeners, &listener->node);
    return NULL;
}

static void
client_destroy(struct vtrace_control *control, struct client *client)
{
    ovs_list_remove(&client->node);
    control->n_clients--;
    jsonrpc_close(client->rpc);
    stream_close(client->stream);
    free(client->user);
    free(client);
}

void
vtrace_control_destroy(struct vtrace_control *control)
{
    struct client *client;

    if (control) {
        LIST_FOR_EACH_SAFE (client, node, &control->clients) {
            client_destroy(control, client);
        }
        struct listener *listener;
        LIST_FOR_EACH_SAFE (listener, node, &control->listeners) {
            pstream_close(listener->pstream);
            ovs_list_remove(&listener->node);
            free(listener);
        }
        close(control->fd);
        fatal_signal_unlink_file_now(control->path);
        free(control->path);
        free(control);
    }
}

/* Methods.  Each sets '*reply' or returns an error message. */

static char *
choose_tenant(const struct vtrace_context *c, const struct client *client,
              const struct json *params, const char **tenant)
{
    return vtrace_tenants_choose(c->tenants, client->user,
                                 vtrace_json_string(params, "tenant", NULL),
                                 tenant);
}

static char *
method_start(const struct vtrace_context *c, const struct client *client,
             const struct json *params, struct json **reply)
{
    struct vtrace_request request;
    struct vtrace_quota quota;
    const char *tenant;
    char *error;
    int64_t id;

    error = choose_tenant(c, client, params, &tenant);
    if (!error && !tenant) {
        error = xstrdup("--tenant: for whom is this task?");
    }
    if (!error) {
        error = vtrace_request_from_json(params, &request);
    }
    if (!error && strlen(tenant) > VTRACE_STORE_MAX_NAME) {
        error = xasprintf("tenant: longer than %d characters",
                          VTRACE_STORE_MAX_NAME);
    }
    if (!error) {
        ovs_strlcpy(request.tenant, tenant, sizeof request.tenant);
        error = vtrace_tenants_check(c->tenants, c->ports, &request, &quota);
    }
    if (!error && request.inject) {
        error = vtrace_inject_check(&request);
    }
    if (!error) {
        error = vtrace_store_create(c->store, &request, &quota,
                                    time_wall_msec(), random_uint32(), &id);
    }
    if (!error) {
        VLOG_INFO("task %"PRId64": new, for %s%s of tenant %s", id,
                  vtrace_tenants_kind(client->user), client->user, tenant);
        vtrace_tasks_kick(c->tasks);
        *reply = json_object_create();
        json_object_put(*reply, "id", json_integer_create(id));
    }
    return error;
}

static char *
method_list(const struct vtrace_context *c, const struct client *client,
            const struct json *params, struct json **reply)
{
    const char *tenant;
    int64_t *ids;
    char *error;
    size_t n;

    error = choose_tenant(c, client, params, &tenant);
    if (!error) {
        error = vtrace_store_list(c->store, tenant, VTRACE_ALL, &ids, &n);
    }
    if (error) {
        return error;
    }
    *reply = json_array_create_empty();
    for (size_t i = 0; i < n && !error; i++) {
        struct json *json;

        error = vtrace_tasks_show(c->tasks, tenant, ids[i], true, &json);
        if (!error) {
            json_array_add(*reply, json);
        }
    }
    free(ids);
    return error;
}

static char *
method_show(const struct vtrace_context *c, const struct client *client,
            const struct json *params, struct json **reply)
{
    const char *tenant;
    char *error = choose_tenant(c, client, params, &tenant);

    return error ? error : vtrace_tasks_show(
        c->tasks, tenant, vtrace_json_integer(params, "id", 0), false, reply);
}

static char *
method_stop(const struct vtrace_context *c, const struct client *client,
            const struct json *params, struct json **reply)
{
    const char *tenant;
    char *error = choose_tenant(c, client, params, &tenant);

    if (!error) {
        error = vtrace_tasks_stop(c->tasks, tenant,
                                  vtrace_json_integer(params, "id", 0));
    }
    if (!error) {
        *reply = json_object_create();
    }
    return error;
}

static char *
method_nodes(const struct vtrace_context *c, const struct client *client,
             const struct json *params, struct json **reply)
{
    bool operator = vtrace_tenants_is_operator(c->tenants, client->user);
    struct vtrace_store_node *nodes;
    const char *tenant;
    char *error;
    size_t n;

    error = choose_tenant(c, client, params, &tenant);
    if (!error) {
        error = vtrace_store_nodes(c->store, NULL, &nodes, &n);
    }
    if (error) {
        return error;
    }
    *reply = json_array_create_empty();
    for (size_t i = 0; i < n; i++) {
        struct json *json = json_object_create();

        json_object_put_string(json, "name", nodes[i].name);
        if (operator) {
            char *status = vtrace_deployer_target_status(c->deployer,
                                                         nodes[i].target);

            json_object_put_string(json, "target", nodes[i].target);
            json_object_put_string(json, "domain", nodes[i].domain);
            json_object_put_string(json, "database", nodes[i].database);
            json_object_put_string(json, "openflow", status);
            json_object_put_string(
                json, "records",
                vtrace_collector_has_node(c->collector, nodes[i].name)
                ? "connected" : "not connected");
            free(status);
        }
        json_array_add(*reply, json);
    }
    vtrace_store_nodes_destroy(nodes, n);
    return NULL;
}

static char *
method_add_node(const struct vtrace_context *c,
                const struct client *client OVS_UNUSED,
                const struct json *params, struct json **reply)
{
    const char *name = vtrace_json_string(params, "name", "");
    const char *target = vtrace_json_string(params, "target", "");
    const char *database = vtrace_json_string(params, "database", "");
    char *error = vtrace_store_check_database(name, database);

    if (!error) {
        error = vtrace_store_add_node(c->store, name, target,
                                      vtrace_json_string(params, "domain", ""),
                                      false);
    }
    if (!error) {
        error = vtrace_store_set_database(c->store, name, database);
        vtrace_ports_refresh(c->ports);
    }
    if (!error) {
        vtrace_tasks_sweep(c->tasks, name);
        vtrace_borders_refresh(c->borders);
        *reply = json_object_create();
    }
    return error;
}

static char *
method_remove_node(const struct vtrace_context *c,
                   const struct client *client OVS_UNUSED,
                   const struct json *params, struct json **reply)
{
    char *error = vtrace_store_remove_node(
        c->store, vtrace_json_string(params, "name", ""));

    if (!error) {
        vtrace_ports_refresh(c->ports);
        *reply = json_object_create();
    }
    return error;
}

static char *
method_borders(const struct vtrace_context *c,
               const struct client *client OVS_UNUSED,
               const struct json *params OVS_UNUSED, struct json **reply)
{
    struct vtrace_store_border *borders;
    char *error;
    size_t n;

    error = vtrace_store_borders(c->store, &borders, &n);
    if (error) {
        return error;
    }
    *reply = json_array_create_empty();
    for (size_t i = 0; i < n; i++) {
        const struct vtrace_entry *at = &borders[i].at;
        struct json *json = json_object_create();
        char *name = xasprintf("%s/%s/%s", at->node, at->bridge, at->port);
        char *status = vtrace_borders_status(c->borders, at);

        json_object_put_string(json, "at", name);
        json_object_put_string(json, "domain", borders[i].domain);
        json_object_put_string(json, "status", status);
        json_array_add(*reply, json);
        free(name);
        free(status);
    }
    vtrace_store_borders_destroy(borders, n);
    return NULL;
}

/* Adds, or else removes, the border that 'params' name. */
static char *
change_border(const struct vtrace_context *c, const struct json *params,
              bool add, struct json **reply)
{
    struct vtrace_entry at;
    char *error = vtrace_task_parse_entry(
        "border", vtrace_json_string(params, "at", ""), &at);

    if (!error) {
        error = (add ? vtrace_store_add_border(
                           c->store, &at,
                           vtrace_json_string(params, "domain", ""), false)
                 : vtrace_store_remove_border(c->store, &at));
    }
    if (!error) {
        vtrace_borders_refresh(c->borders);
        *reply = json_object_create();
    }
    return error;
}

static char *
method_add_border(const struct vtrace_context *c,
                  const struct client *client OVS_UNUSED,
                  const struct json *params, struct json **reply)
{
    return change_border(c, params, true, reply);
}

static char *
method_remove_border(const struct vtrace_context *c,
                     const struct client *client OVS_UNUSED,
                     const struct json *params, struct json **reply)
{
    return change_border(c, params, false, reply);
}

static const struct method {
    const char *name;
    bool operator;              /* For operators only. */
    char *(*run)(const struct vtrace_context *, const struct client *,
                 const struct json *params, struct json **reply);
} methods[] = {
    { "start", false, method_start },
    { "list", false, method_list },
    { "show", false, method_show },
    { "stop", false, method_stop },
    { "nodes", false, method_nodes },
    { "add-node", true, method_add_node },
    { "remove-node", true, method_remove_node },
    { "borders", true, method_borders },
    { "add-border", true, method_add_border },
    { "remove-border", true, method_remove_border },
};

static char *
call(struct vtrace_control *control, const struct client *client,
     const struct jsonrpc_msg *request, struct json **reply)
{
    const struct json *params = request->params;

    if (client->uid == UID_REMOTE
        && !vtrace_tenants_knows(control->context->tenants, client->user)) {
        return xasprintf("%s belongs to no tenant: an operator can add it to "
                         "the tenants file", client->user);
    }
    if (json_array_size(params) != 1
        || json_array_at(params, 0)->type != JSON_OBJECT) {
        return xasprintf("%s: one object is wanted", request->method);
    }
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
        const struct method *m = &methods[i];

        if (strcmp(m->name, request->method)) {
            continue;
        }
        if (m->operator && !vtrace_tenants_is_operator(
                control->context->tenants, client->user)) {
            return xasprintf("%s: %s%s is not an operator", m->name,
                             vtrace_tenants_kind(client->user), client->user);
        }
        return m->run(control->context, client, json_array_at(params, 0),
                      reply);
    }
    return xasprintf("%s: no such method", request->method);
}

static void
handle(struct vtrace_control *control, struct client *client,
       struct jsonrpc_msg *msg)
{
    struct json *reply = NULL;
    char *error;

    if (msg->type != JSONRPC_REQUEST) {
        client->broken = true;
        return;
    }
    error = call(control, client, msg, &reply);
    if (error) {
        json_destroy(reply);
        jsonrpc_send(client->rpc, jsonrpc_create_error(
                         json_string_create_nocopy(error), msg->id));
    } else {
        jsonrpc_send(client->rpc, jsonrpc_create_reply(reply, msg->id));
    }
}

/* Clients. */

static void
accept_client(struct vtrace_control *control, int fd)
{
    socklen_t len = sizeof(struct ucred);
    struct client *client;
    struct stream *stream;
    struct passwd *pw;
    struct ucred cred;
    size_t n = 0;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len)
        || set_nonblocking(fd)) {
        VLOG_WARN("%s: %s", control->path, ovs_strerror(errno));
        close(fd);
        return;
    }
    LIST_FOR_EACH (client, node, &control->clients) {
        n += client->uid == cred.uid;
    }
    if (control->n_clients >= VTRACE_CONTROL_MAX_CLIENTS
        || n >= VTRACE_CONTROL_MAX_USER_CLIENTS) {
        static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(1, 5);

        VLOG_WARN_RL(&rl, "%s: %"PRIuSIZE" connections, of which %"PRIuSIZE
                     " are user %lu's: refusing one more", control->path,
                     control->n_clients, n, (unsigned long) cred.uid);
        close(fd);
        return;
    }
    if (new_fd_stream(xasprintf("vtrace of uid %lu",
                                (unsigned long) cred.uid),
                      fd, 0, AF_UNIX, &stream)) {
        close(fd);
        return;
    }
    client = xzalloc(sizeof *client);
    client->rpc = jsonrpc_open(stream);
    client->uid = cred.uid;
    pw = getpwuid(cred.uid);
    client->user = pw && *vtrace_tenants_kind(pw->pw_name)
                   ? xstrdup(pw->pw_name)
                      : xasprintf("%lu", (unsigned long) cred.uid);
    client->last_request = time_msec();
    ovs_list_push_back(&control->clients, &client->node);
    control->n_clients++;
}

/* Takes connections of TLS from 'listener'. */
static void
accept_remote(struct vtrace_control *control, const struct listener *listener)
{
    static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(1, 5);

    for (int i = 0; i < 10; i++) {
        struct client *client, *oldest;
        size_t n_handshakes = 0;
        struct stream *stream;
        int error;

        if (time_msec() < control->next_accept) {
            return;
        }
        error = pstream_accept(listener->pstream, &stream);
        if (error) {
            if (error != EAGAIN) {
                VLOG_WARN_RL(&rl, "%s: %s",
                             pstream_get_name(listener->pstream),
                             ovs_strerror(error));
            }
            if (vtrace_is_shortage(error)) {
                control->next_accept = time_msec() + ACCEPT_RETRY_MS;
            }
            return;
        }
        oldest = NULL;
        LIST_FOR_EACH (client, node, &control->clients) {
            if (client->stream) {
                oldest = oldest ? oldest : client;
                n_handshakes++;
            }
        }
        if (n_handshakes >= MAX_HANDSHAKES) {
            /* A handshake takes moments: this is somebody who has nothing to
             * say, and must not keep out who has. */
            VLOG_WARN_RL(&rl, "%s: closed, it has not said who it is",
                         stream_get_name(oldest->stream));
            client_destroy(control, oldest);
        }
        if (control->n_clients >= VTRACE_CONTROL_MAX_CLIENTS) {
            VLOG_WARN_RL(&rl, "%s: refused, there are %"PRIuSIZE
                         " connections", stream_get_name(stream),
                         control->n_clients);
            stream_close(stream);
            continue;
        }
        client = xzalloc(sizeof *client);
        client->stream = stream;
        client->uid = UID_REMOTE;
        client->last_request = time_msec();
        ovs_list_push_back(&control->clients, &client->node);
        control->n_clients++;
    }
}

/* Sets the user of 'client', whose handshake is over, to what its certificate
 * says.  Returns false if that will not do. */
static bool
identify(const struct vtrace_control *control, struct client *client)
{
    const char *name = stream_get_peer_id(client->stream);
    const struct client *other;
    size_t n = 0;

    client->user = vtrace_tenants_certificate(name);
    if (!client->user) {
        VLOG_WARN("%s: a certificate with a common name of 1...%d printable "
                  "characters is wanted", stream_get_name(client->stream),
                  VTRACE_STORE_MAX_NAME);
        return false;
    }
    LIST_FOR_EACH (other, node, &control->clients) {
        n += other->user && !strcmp(other->user, client->user);
    }
    if (n > VTRACE_CONTROL_MAX_USER_CLIENTS) {
        VLOG_WARN("%s: refused, %s has %d connections already",
                  stream_get_name(client->stream), client->user,
                  VTRACE_CONTROL_MAX_USER_CLIENTS);
        return false;
    }
    return true;
}

/* Goes on with the handshake of 'client'. */
static void
run_handshake(struct vtrace_control *control, struct client *client)
{
    int error;

    stream_run(client->stream);
    error = stream_connect(client->stream);
    if (error == EAGAIN
        && time_msec() - client->last_request <= HANDSHAKE_MS) {
        return;
    } else if (error || !identify(control, client)) {
        client_destroy(control, client);
        return;
    }
    client->rpc = jsonrpc_open(client->stream);
    client->stream = NULL;
    client->last_request = time_msec();
}

static void
run_client(struct vtrace_control *control, struct client *client)
{
    struct jsonrpc_msg *msg;

    if (client->stream) {
        run_handshake(control, client);
        return;
    }
    jsonrpc_run(client->rpc);
    if (!jsonrpc_get_backlog(client->rpc)) {
        if (!jsonrpc_recv(client->rpc, &msg)) {
            client->received = jsonrpc_get_received_bytes(client->rpc);
            client->last_request = time_msec();
            handle(control, client, msg);
            jsonrpc_msg_destroy(msg);
        } else if (jsonrpc_get_received_bytes(client->rpc) - client->received
                   > VTRACE_CONTROL_MAX_REQUEST) {
            VLOG_WARN("%s%s: a request of more than %d bytes",
                      vtrace_tenants_kind(client->user), client->user,
                      VTRACE_CONTROL_MAX_REQUEST);
            client->broken = true;
        }
    }
    if (client->broken || jsonrpc_get_status(client->rpc)
        || time_msec() - client->last_request > VTRACE_CONTROL_IDLE_MS) {
        client_destroy(control, client);
    }
}

void
vtrace_control_run(struct vtrace_control *control)
{
    struct client *client;

    for (int i = 0; i < 10; i++) {
        int fd;

        if (time_msec() < control->next_accept) {
            break;
        }
        fd = accept(control->fd, NULL, NULL);
        if (fd < 0) {
            int error = errno;

            if (error != EAGAIN && error != EINTR) {
                static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(1, 5);

                VLOG_WARN_RL(&rl, "%s: %s", control->path,
                             ovs_strerror(error));
            }
            if (vtrace_is_shortage(error)) {
                control->next_accept = time_msec() + ACCEPT_RETRY_MS;
            }
            break;
        }
        accept_client(control, fd);
    }
    struct listener *listener;
    LIST_FOR_EACH (listener, node, &control->listeners) {
        accept_remote(control, listener);
    }
    LIST_FOR_EACH_SAFE (client, node, &control->clients) {
        run_client(control, client);
    }
}

void
vtrace_control_wait(struct vtrace_control *control)
{
    struct client *client;

    if (time_msec() < control->next_accept) {
        poll_timer_wait_until(control->next_accept);
    } else {
        struct listener *listener;

        poll_fd_wait(control->fd, POLLIN);
        LIST_FOR_EACH (listener, node, &control->listeners) {
            pstream_wait(listener->pstream);
        }
    }
    LIST_FOR_EACH (client, node, &control->clients) {
        if (client->stream) {
            stream_run_wait(client->stream);
            stream_connect_wait(client->stream);
            poll_timer_wait_until(client->last_request + HANDSHAKE_MS + 1);
            continue;
        }
        jsonrpc_wait(client->rpc);
        if (!jsonrpc_get_backlog(client->rpc)) {
            jsonrpc_recv_wait(client->rpc);
        }
        poll_timer_wait_until(client->last_request + VTRACE_CONTROL_IDLE_MS
                              + 1);
    }
}
