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
#include "vtrace/record-file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hash.h"
#include "openvswitch/hmap.h"
#include "openvswitch/vlog.h"
#include "packets.h"
#include "sset.h"
#include "util.h"
#include "vtrace/analyze.h"
#include "vtrace/ipfix.h"
#include "vtrace/vtrace-json.h"

VLOG_DEFINE_THIS_MODULE(vtrace_record_file);

/* What events mean.  To be increased whenever that changes, although all sizes
 * stay the same.
 *
 * 1: Of VTRACE_EVENT_RULE_COUNT, 'number' is how many packets should have left
 *    records, and the exponent is that of the entry's last record.
 * 2: 'number' is how many packets the switch counted, and 'exp' is there.
 * 3: There is VTRACE_EVENT_CLOCK. */
#define FILE_VERSION 3

/* Begins a file.  What differs, but for 'version', is of another kind of
 * machine or of a version that is not read. */
struct file_header {
    char magic[8];
    uint32_t byte_order;
    uint16_t record_size, watermark_size, endpoint_size, event_size;
    uint16_t n_events;
    uint16_t version;           /* 0: version 1, which had no such member. */
};
BUILD_ASSERT_DECL(sizeof(struct file_header) == 24);

/* Begins an event.  'name' and 'domain', each with a null byte, and 'data'
 * follow. */
struct file_event {
    uint16_t type;
    uint8_t direction, exp;
    uint16_t color;
    uint8_t has_name, has_domain;
    uint32_t node, len;         /* Bytes that follow. */
    int64_t task;
    uint64_t number;
};
BUILD_ASSERT_DECL(sizeof(struct file_event) == 32);

/* Bytes that may follow. */
#define MAX_LEN 512

static const struct file_header file_header = {
    .magic = "VTraceRF",
    .byte_order = 0x01020304,
    .record_size = sizeof(struct vtrace_record),
    .watermark_size = sizeof(struct vtrace_watermark),
    .endpoint_size = sizeof(struct vtrace_endpoint),
    .event_size = sizeof(struct file_event),
    .n_events = VTRACE_N_EVENTS,
    .version = FILE_VERSION,
};

static size_t
data_size(enum vtrace_event_type type)
{
    return (type == VTRACE_EVENT_RECORD ? sizeof(struct vtrace_record)
            : type == VTRACE_EVENT_WATERMARK ? sizeof(struct vtrace_watermark)
            : type == VTRACE_EVENT_ENDPOINT ? sizeof(struct vtrace_endpoint)
            : type == VTRACE_EVENT_CLOCK ? sizeof(struct vtrace_clock)
            : 0);
}

/* Writing. */

struct vtrace_record_file {
    struct vtrace_analyzer *analyzer;
    FILE *file;
    char *name;
    long long int left;         /* Bytes, negative if no more are wanted. */
};

static void
put(struct vtrace_record_file *rf, const void *data, size_t size)
{
    if (size && fwrite(data, size, 1, rf->file) != 1) {
        VLOG_ERR("%s: %s: nothing more is written", rf->name,
                 ovs_strerror(errno));
        rf->left = -1;
    }
}

static void
tap(void *rf_, const struct vtrace_event *e)
{
    struct vtrace_record_file *rf = rf_;
    size_t name_len = e->name ? strlen(e->name) + 1 : 0;
    size_t domain_len = e->domain ? strlen(e->domain) + 1 : 0;
    size_t data_len = data_size(e->type);
    const struct file_event fe = {
        .type = e->type,
        .direction = e->direction,
        .exp = e->exp,
        .color = e->color,
        .has_name = e->name != NULL,
        .has_domain = e->domain != NULL,
        .node = e->node,
        .len = name_len + domain_len + data_len,
        .task = e->task,
        .number = e->number,
    };

    if (rf->left < 0) {
        return;
    }
    rf->left -= sizeof fe + fe.len;
    if (rf->left < 0) {
        VLOG_WARN("%s: nothing more is written, it is large enough",
                  rf->name);
        return;
    }
    put(rf, &fe, sizeof fe);
    put(rf, e->name, name_len);
    put(rf, e->domain, domain_len);
    put(rf, e->data, data_len);
    if (e->type == VTRACE_EVENT_END && fflush(rf->file)) {
        VLOG_ERR("%s: %s", rf->name, ovs_strerror(errno));
    }
}

char *
vtrace_record_file_create(const char *name, long long int max_size,
                          struct vtrace_analyzer *analyzer,
                          struct vtrace_record_file **rfp)
{
    struct vtrace_record_file *rf;
    /* Tenants' addresses are in it. */
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    *rfp = NULL;
    if (fd < 0) {
        return xasprintf("%s: %s", name, ovs_strerror(errno));
    }
    rf = xzalloc(sizeof *rf);
    rf->analyzer = analyzer;
    rf->file = fdopen(fd, "w");
    rf->name = xstrdup(name);
    rf->left = max_size - sizeof file_header;
    put(rf, &file_header, sizeof file_header);
    vtrace_analyzer_set_tap(analyzer, tap, rf);
    *rfp = rf;
    return NULL;
}

void
vtrace_record_file_close(struct vtrace_record_file *rf)
{
    if (rf) {
        vtrace_analyzer_set_tap(rf->analyzer, NULL, NULL);
        if (fclose(rf->file)) {
            VLOG_ERR("%s: %s", rf->name, ovs_strerror(errno));
        }
        free(rf->name);
        free(rf);
    }
}

/* Replaying. */

struct replayed_task {
    struct hmap_node node;      /* In struct replay's 'tasks'. */
    int64_t id;
    struct vtrace_analysis *analysis;
    uint16_t colors[VTRACE_N_DIRECTIONS];   /* At the entry. */
};

struct replay {
    unsigned int version;
    struct vtrace_analyzer *analyzer;
    struct vtrace_exporter **nodes;
    size_t n_nodes, allocated_nodes;
    struct sset names;          /* Of nodes, each behind its domain's. */
    struct sset domains;
    struct hmap tasks;
    struct json *results;
    uint8_t exps[VTRACE_COLOR_MAX + 1]; /* Of each color's last record. */
};

static struct replayed_task *
find_task(const struct replay *r, int64_t id)
{
    struct replayed_task *task;

    HMAP_FOR_EACH_WITH_HASH (task, node, hash_uint64(id), &r->tasks) {
        if (task->id == id) {
            return task;
        }
    }
    return NULL;
}

/* Adds what is known of 'task', and forgets it. */
static void
end_task(struct replay *r, struct replayed_task *task, const char *state)
{
    struct json *json = vtrace_analysis_to_json(task->analysis, false);

    json_object_put(json, "id", json_integer_create(task->id));
    json_object_put_string(json, "state", state);
    json_array_add(r->results, json);
    vtrace_analysis_destroy(task->analysis);
    hmap_remove(&r->tasks, &task->node);
    free(task);
}

/* Names go to terminals and pages. */
static bool
is_name(const char *s)
{
    size_t len = strlen(s);

    for (size_t i = 0; i < len; i++) {
        if (s[i] < '!' || s[i] > '~') {
            return false;
        }
    }
    return len <= VTRACE_STORE_MAX_NAME;
}

/* Notes the domain of 'e', and its node if it has one.  Returns false if they
 * cannot be, or if there are too many. */
static bool
note_names(struct replay *r, const struct vtrace_event *e)
{
    if (!e->domain || !is_name(e->domain)) {
        return false;
    }
    sset_add(&r->domains, e->domain);
    if (e->name) {
        if (!*e->name || !is_name(e->name)) {
            return false;
        }
        /* No name has a blank in it. */
        sset_add_and_free(&r->names, xasprintf("%s %s", e->domain, e->name));
    }
    return (sset_count(&r->domains) <= VTRACE_RECORD_FILE_DOMAINS
            && sset_count(&r->names) <= VTRACE_RECORD_FILE_NODES);
}

static bool
add_node(struct replay *r, const struct vtrace_event *e)
{
    if (!e->name || !note_names(r, e)
        || r->n_nodes >= VTRACE_RECORD_FILE_NODES) {
        return false;
    }
    if (r->n_nodes >= r->allocated_nodes) {
        r->nodes = x2nrealloc(r->nodes, &r->allocated_nodes,
                              sizeof *r->nodes);
    }
    r->nodes[r->n_nodes++] = vtrace_analyzer_exporter(r->analyzer, e->name,
                                                      e->domain);
    return true;
}

/* Returns the reason in 'record' as today's switches say it.  When version 1 was
 * written, they said of all that a rule dropped that it was denied, and it was
 * the analyzer that took what was invalid to connection tracking for dropped
 * because of that.  When version 2 came they still did, but not for long: those
 * that say it themselves write the same version. */
static uint16_t
todays_reason(const struct replay *r, const struct vtrace_record *record)
{
    return (r->version == 1 && record->reason == VTRACE_REASON_ACL_DENY
            && record->ct_state & CS_INVALID
            ? VTRACE_REASON_CT_INVALID : record->reason);
}

/* What a node said. */
static bool
tell_node_event(struct replay *r, const struct vtrace_event *e)
{
    struct vtrace_exporter *node;

    if (e->node >= r->n_nodes) {
        return false;
    }
    node = r->nodes[e->node];
    if (e->type == VTRACE_EVENT_CONNECTED) {
        vtrace_analyzer_connected(r->analyzer, node);
    } else if (e->type == VTRACE_EVENT_RECORD) {
        struct vtrace_record record;

        memcpy(&record, e->data, sizeof record);
        record.reason = todays_reason(r, &record);
        r->exps[record.color] = record.exp;
        vtrace_analyzer_record(r->analyzer, node, &record);
    } else if (e->type == VTRACE_EVENT_WATERMARK) {
        vtrace_analyzer_watermark(r->analyzer, node, e->data, e->number);
    } else if (e->type == VTRACE_EVENT_CLOCK) {
        vtrace_analyzer_clock(r->analyzer, node, e->data);
    } else {
        vtrace_analyzer_endpoint(r->analyzer, node, e->data);
    }
    return true;
}

/* In version 1, a count of 'color' with the exponent 0 is of what should have
 * left records.  (Files of that version that have an exponent were written by
 * versions in between: they are as today's.)  If two domains have that color,
 * and different exponents, still as many records are expected. */
static void
tell_rule_count(struct replay *r, struct replayed_task *task,
                const struct vtrace_event *e)
{
    uint64_t number = e->number;
    int exp = e->exp;

    if (r->version == 1 && !exp) {
        exp = r->exps[task->colors[e->direction]];
        number <<= 2 * exp;
    }
    vtrace_analysis_set_rule_count(task->analysis, e->direction, number, exp);
}

/* What happened to a task. */
static bool
tell_task_event(struct replay *r, const struct vtrace_event *e)
{
    struct replayed_task *task = find_task(r, e->task);

    if (!task != (e->type == VTRACE_EVENT_TASK)) {
        return false;
    } else if (e->type == VTRACE_EVENT_TASK) {
        if (hmap_count(&r->tasks) >= VTRACE_RECORD_FILE_TASKS) {
            return false;
        }
        task = xzalloc(sizeof *task);
        task->id = e->task;
        task->analysis = vtrace_analysis_create(r->analyzer, e->task);
        hmap_insert(&r->tasks, &task->node, hash_uint64(e->task));
    } else if (e->type == VTRACE_EVENT_LISTEN) {
        /* It was told also of what it refused. */
        if (!note_names(r, e) || e->color > VTRACE_COLOR_MAX) {
            return false;
        }
        if (e->name) {
            task->colors[e->direction] = e->color;
            r->exps[e->color] = 0;      /* An earlier task's. */
        }
        vtrace_analysis_listen(task->analysis, e->domain, e->color,
                               e->direction, e->name);
    } else if (e->type == VTRACE_EVENT_RULE_COUNT) {
        tell_rule_count(r, task, e);
    } else if (e->type == VTRACE_EVENT_START) {
        vtrace_analysis_start(task->analysis, e->direction);
    } else if (e->type == VTRACE_EVENT_ABANDON) {
        vtrace_analysis_abandon(task->analysis, e->direction);
    } else if (e->type == VTRACE_EVENT_STOP) {
        vtrace_analysis_stop(task->analysis, e->number);
    } else {
        end_task(r, task, "done");
    }
    return true;
}

static bool
tell(struct replay *r, const struct vtrace_event *e)
{
    switch (e->type) {
    case VTRACE_EVENT_NODE:
        return add_node(r, e);

    case VTRACE_EVENT_CONNECTED:
    case VTRACE_EVENT_RECORD:
    case VTRACE_EVENT_WATERMARK:
    case VTRACE_EVENT_ENDPOINT:
    case VTRACE_EVENT_CLOCK:
        return tell_node_event(r, e);

    case VTRACE_EVENT_RUN:
        vtrace_analyzer_run(r->analyzer, e->number);
        return true;

    case VTRACE_EVENT_TASK:
    case VTRACE_EVENT_LISTEN:
    case VTRACE_EVENT_RULE_COUNT:
    case VTRACE_EVENT_START:
    case VTRACE_EVENT_ABANDON:
    case VTRACE_EVENT_STOP:
    case VTRACE_EVENT_END:
        return tell_task_event(r, e);

    case VTRACE_N_EVENTS:
        break;
    }
    return false;
}

/* Takes a string off the 'len' bytes at 'p'. */
static bool
pull_string(const char **p, size_t *len, const char **s)
{
    const char *end = memchr(*p, '\0', *len);

    if (!end) {
        return false;
    }
    *s = *p;
    *len -= end + 1 - *p;
    *p = end + 1;
    return true;
}

/* Makes '*e' the event of 'fe' and the bytes at 'p' that follow. */
static bool
parse_event(const struct file_event *fe, const char *p,
            struct vtrace_event *e)
{
    size_t len = fe->len;

    *e = (struct vtrace_event) {
        .type = fe->type,
        .direction = fe->direction,
        .node = fe->node,
        .color = fe->color,
        .exp = fe->exp,
        .task = fe->task,
        .number = fe->number,
    };
    if (!fe->type || fe->type >= VTRACE_N_EVENTS
        || fe->direction >= VTRACE_N_DIRECTIONS
        || fe->exp > VTRACE_STORE_MAX_EXP
        || (fe->has_name && !pull_string(&p, &len, &e->name))
        || (fe->has_domain && !pull_string(&p, &len, &e->domain))
        || len != data_size(e->type)) {
        return false;
    }
    e->data = len ? p : NULL;
    return true;
}

union data {
    char text[MAX_LEN];
    struct vtrace_record record;
    struct vtrace_watermark watermark;
    struct vtrace_endpoint endpoint;
    struct vtrace_clock clock;
};

/* Returns true if the analyzer can be told 'data'. */
static bool
accept_data(enum vtrace_event_type type, union data *data)
{
    return (type == VTRACE_EVENT_RECORD
            ? vtrace_ipfix_accept_record(&data->record)
            : type == VTRACE_EVENT_WATERMARK
            ? vtrace_ipfix_accept_watermark(&data->watermark)
            : true);
}

/* Reads an event and tells it.  Returns an error message, or NULL and sets
 * '*more' to false at the end of the file. */
static char *
replay_event(struct replay *r, FILE *file, bool *more)
{
    union data buf, data;
    struct file_event fe;
    struct vtrace_event e;

    *more = fread(&fe, sizeof fe, 1, file) == 1;
    if (!*more) {
        return ferror(file) ? xstrdup(ovs_strerror(errno)) : NULL;
    }
    if (fe.len > sizeof buf) {
        return xasprintf("an event of %"PRIu32" bytes", fe.len);
    }
    if (fe.len && fread(buf.text, fe.len, 1, file) != 1) {
        *more = false;          /* vtraced did not get further. */
        return NULL;
    }
    if (!parse_event(&fe, buf.text, &e)) {
        return xasprintf("an event of type %"PRIu16" that cannot be",
                         fe.type);
    }
    if (e.data) {
        memcpy(data.text, e.data, data_size(e.type));
        e.data = data.text;
        if (!accept_data(e.type, &data)) {
            return xasprintf("an event of type %"PRIu16" with a value that is "
                             "out of range", fe.type);
        }
    }
    return (tell(r, &e) ? NULL
            : xasprintf("an event of type %"PRIu16" that does not fit those "
                        "before", fe.type));
}

#define WRITERS_VTRACE \
    "use the vtrace that belongs to the vtraced that wrote it"

/* Sets '*version' to that of 'file'. */
static char *
check_header(FILE *file, unsigned int *version)
{
    struct file_header header;

    if (fread(&header, sizeof header, 1, file) != 1
        || memcmp(header.magic, file_header.magic, sizeof header.magic)) {
        return xstrdup("not a record file of vtraced");
    } else if (header.byte_order != file_header.byte_order) {
        return xstrdup("a record file of a machine with another byte order: "
                       "use the vtrace of such a machine");
    }
    *version = header.version ? header.version : 1;
    if (*version > FILE_VERSION) {
        return xasprintf("a record file of version %u, and this vtrace reads "
                         "none after %d: "WRITERS_VTRACE,
                         *version, FILE_VERSION);
    }
    header.version = FILE_VERSION;
    if (*version < 3) {
        header.n_events++;      /* VTRACE_EVENT_CLOCK. */
    }
    if (memcmp(&header, &file_header, sizeof header)) {
        return xasprintf("a record file of version %u with events of another "
                         "form, of an older vtraced or another kind of "
                         "machine: "WRITERS_VTRACE, *version);
    }
    return NULL;
}

static char *
replay(struct replay *r, FILE *file)
{
    char *error = check_header(file, &r->version);
    bool more = true;

    while (!error && more) {
        error = replay_event(r, file, &more);
    }
    return error;
}

char *
vtrace_record_file_read(FILE *file, struct json **tasks)
{
    const struct vtrace_analyzer_config config = VTRACE_ANALYZER_CONFIG_INIT;
    struct replayed_task *task;
    struct replay r = {
        .analyzer = vtrace_analyzer_create(&config),
        .names = SSET_INITIALIZER(&r.names),
        .domains = SSET_INITIALIZER(&r.domains),
        .tasks = HMAP_INITIALIZER(&r.tasks),
        .results = json_array_create_empty(),
    };
    char *error;

    error = replay(&r, file);
    HMAP_FOR_EACH_SAFE (task, node, &r.tasks) {
        end_task(&r, task, "running");
    }
    hmap_destroy(&r.tasks);
    vtrace_analyzer_destroy(r.analyzer);
    free(r.nodes);
    sset_destroy(&r.names);
    sset_destroy(&r.domains);
    if (error) {
        json_destroy(r.results);
        r.results = NULL;
    }
    *tasks = r.results;
    return error;
}

char *
vtrace_record_file_replay(const char *name, struct json **tasks)
{
    FILE *file = fopen(name, "r");
    char *error;

    *tasks = NULL;
    if (!file) {
        return xasprintf("%s: %s", name, ovs_strerror(errno));
    }
    error = vtrace_record_file_read(file, tasks);
    fclose(file);
    if (error) {
        char *s = xasprintf("%s: %s", name, error);

        free(error);
        return s;
    }
    return NULL;
}
