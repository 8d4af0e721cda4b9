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
#include "vtrace/ipfix.h"

#include <fixbuf/public.h>
#include <stdlib.h>
#include <string.h>

#include "openvswitch/vlog.h"
#include "ovs-ext/vtrace-record.h"
#include "unaligned.h"
#include "util.h"

VLOG_DEFINE_THIS_MODULE(vtrace_ipfix);

/* Our records, which are also the numbers of their internal templates. */
enum kind {
    KIND_OTHER = 0,
    KIND_RECORD = 1001,
    KIND_WATERMARK,
    KIND_ENDPOINT,
    KIND_CLOCK
};

/* Elements that sessions with one model may have taught it. */
#define MAX_UNKNOWN 1024

struct vtrace_ipfix {
    struct vtrace_ipfix_sink sink;
    struct model *model;
    fBuf_t *fbuf;               /* Owns the session. */
    size_t n_templates;
    bool has_empty_template, has_long_template;
    uint64_t n_invalid;
};

/* Types of the elements that IANA does not have. */
#define VTRACE_IE_TYPE_UINT(SIZE)                       \
    ((SIZE) == 1 ? FB_UINT_8 : (SIZE) == 2 ? FB_UINT_16 \
     : (SIZE) == 4 ? FB_UINT_32 : FB_UINT_64)
#define VTRACE_IE_TYPE_TIME(SIZE) FB_DT_NANOSEC
#define VTRACE_IE_TYPE_IPV6(SIZE) FB_IP6_ADDR
#define VTRACE_IE_TYPE_STRING(SIZE) FB_STRING

/* Which of them have a byte order. */
#define VTRACE_IE_FLAGS_UINT FB_IE_F_ENDIAN
#define VTRACE_IE_FLAGS_TIME FB_IE_F_ENDIAN
#define VTRACE_IE_FLAGS_IPV6 0
#define VTRACE_IE_FLAGS_STRING 0

#define ELEMENT__(STRUCT, MEMBER, TYPE, PEN, ELEMENT, NAME)                   \
    FB_IE_INIT_FULL(#NAME, PEN, ELEMENT, MEMBER_SIZEOF(STRUCT, MEMBER),       \
                    VTRACE_IE_FLAGS_##TYPE, 0, 0,                             \
                    VTRACE_IE_TYPE_##TYPE(MEMBER_SIZEOF(STRUCT, MEMBER)),     \
                    NULL),
#define SPEC__(STRUCT, MEMBER, NAME)                                          \
    { (char *) #NAME, MEMBER_SIZEOF(STRUCT, MEMBER), 0 },

#define RECORD_ELEMENT(MEMBER, TYPE, PEN, ELEMENT, NAME)                      \
    ELEMENT__(struct vtrace_record, MEMBER, TYPE, PEN, ELEMENT, NAME)
#define WATERMARK_ELEMENT(MEMBER, TYPE, PEN, ELEMENT, NAME)                   \
    ELEMENT__(struct vtrace_watermark, MEMBER, TYPE, PEN, ELEMENT, NAME)
#define ENDPOINT_ELEMENT(MEMBER, TYPE, PEN, ELEMENT, NAME)                    \
    ELEMENT__(struct vtrace_endpoint, MEMBER, TYPE, PEN, ELEMENT, NAME)
#define CLOCK_ELEMENT(MEMBER, TYPE, PEN, ELEMENT, NAME)                       \
    ELEMENT__(struct vtrace_clock, MEMBER, TYPE, PEN, ELEMENT, NAME)

/* Of all elements, only those with an enterprise number are ours to add. */
static fbInfoElement_t elements[] = {
    VTRACE_RECORD_FIELDS(RECORD_ELEMENT)
    VTRACE_WATERMARK_FIELDS(WATERMARK_ELEMENT)
    VTRACE_ENDPOINT_FIELDS(ENDPOINT_ELEMENT)
    VTRACE_CLOCK_FIELDS(CLOCK_ELEMENT)
};

#define RECORD_SPEC(MEMBER, TYPE, PEN, ELEMENT, NAME)                         \
    SPEC__(struct vtrace_record, MEMBER, NAME)
#define WATERMARK_SPEC(MEMBER, TYPE, PEN, ELEMENT, NAME)                      \
    SPEC__(struct vtrace_watermark, MEMBER, NAME)
#define ENDPOINT_SPEC(MEMBER, TYPE, PEN, ELEMENT, NAME)                       \
    SPEC__(struct vtrace_endpoint, MEMBER, NAME)
#define CLOCK_SPEC(MEMBER, TYPE, PEN, ELEMENT, NAME)                          \
    SPEC__(struct vtrace_clock, MEMBER, NAME)

static fbInfoElementSpec_t record_spec[] = {
    VTRACE_RECORD_FIELDS(RECORD_SPEC)
    FB_IESPEC_NULL
};
static fbInfoElementSpec_t watermark_spec[] = {
    VTRACE_WATERMARK_FIELDS(WATERMARK_SPEC)
    FB_IESPEC_NULL
};
static fbInfoElementSpec_t endpoint_spec[] = {
    VTRACE_ENDPOINT_FIELDS(ENDPOINT_SPEC)
    FB_IESPEC_NULL
};
static fbInfoElementSpec_t clock_spec[] = {
    VTRACE_CLOCK_FIELDS(CLOCK_SPEC)
    FB_IESPEC_NULL
};

/* GLib's messages, of which libfixbuf has some for each bad message. */
static void
log_glib(const char *domain OVS_UNUSED, GLogLevelFlags level OVS_UNUSED,
         const char *message, void *aux OVS_UNUSED)
{
    static struct vlog_rate_limit rl = VLOG_RATE_LIMIT_INIT(5, 5);

    VLOG_DBG_RL(&rl, "%s", message);
}

/* What libfixbuf knows of elements.  It adds whatever elements templates name,
 * for ever, so sessions share a model only until there are too many. */
struct model {
    fbInfoModel_t *info;
    unsigned int n_users;
    guint n_known;              /* Elements at the beginning. */
};

/* The model that new sessions use, which counts as one of its users. */
static struct model *current_model;

static void
model_unref(struct model *model)
{
    if (model && !--model->n_users) {
        fbInfoModelFree(model->info);
        free(model);
    }
}

static struct model *
model_create(void)
{
    struct model *model = xmalloc(sizeof *model);

    g_log_set_default_handler(log_glib, NULL);
    model->info = fbInfoModelAlloc();
    for (size_t i = 0; i < ARRAY_SIZE(elements); i++) {
        if (elements[i].ent) {
            fbInfoModelAddElement(model->info, &elements[i]);
        }
    }
    model->n_users = 1;
    model->n_known = fbInfoModelCountElements(model->info);
    return model;
}

/* Returns a model for a new session. */
static struct model *
model_get(void)
{
    if (!current_model || (fbInfoModelCountElements(current_model->info)
                           > current_model->n_known + MAX_UNKNOWN)) {
        model_unref(current_model);
        current_model = model_create();
    }
    current_model->n_users++;
    return current_model;
}

static bool
has_element(fbTemplate_t *template, const char *name)
{
    fbInfoElementSpec_t spec = { CONST_CAST(char *, name), 0, 0 };

    return fbTemplateContainsElementByName(template, &spec);
}

static void
new_template(fbSession_t *session OVS_UNUSED, uint16_t tid OVS_UNUSED,
             fbTemplate_t *template, void *ipfix_,
             void **ctx OVS_UNUSED,
             fbTemplateCtxFree_fn *ctx_free OVS_UNUSED)
{
    struct vtrace_ipfix *ipfix = ipfix_;
    size_t len = 0;

    for (uint32_t i = 0; i < fbTemplateCountElements(template); i++) {
        len += fbTemplateGetIndexedIE(template, i)->len;
    }
    ipfix->n_templates++;
    /* libfixbuf would find such records in a set without end. */
    ipfix->has_empty_template |= !len;
    ipfix->has_long_template |= (fbTemplateCountElements(template)
                                 > VTRACE_IPFIX_MAX_ELEMENTS);
}

static void
add_template(fbInfoModel_t *model, fbSession_t *session, enum kind kind,
             fbInfoElementSpec_t *spec)
{
    fbTemplate_t *template = fbTemplateAlloc(model);
    GError *error = NULL;

    /* These cannot fail but by an error in the lists. */
    if (!fbTemplateAppendSpecArray(template, spec, UINT32_MAX, &error)
        || !fbSessionAddTemplate(session, TRUE, kind, template, &error)) {
        VLOG_ABORT("internal template %d: %s", kind, error->message);
    }
    g_clear_error(&error);
}

struct vtrace_ipfix *
vtrace_ipfix_create(const struct vtrace_ipfix_sink *sink)
{
    struct vtrace_ipfix *ipfix = xzalloc(sizeof *ipfix);
    struct model *model = model_get();
    fbSession_t *session = fbSessionAlloc(model->info);

    ipfix->sink = *sink;
    ipfix->model = model;
    add_template(model->info, session, KIND_RECORD, record_spec);
    add_template(model->info, session, KIND_WATERMARK, watermark_spec);
    add_template(model->info, session, KIND_ENDPOINT, endpoint_spec);
    add_template(model->info, session, KIND_CLOCK, clock_spec);
    fbSessionAddNewTemplateCallback(session, new_template, ipfix);
    ipfix->fbuf = fBufAllocForCollection(session, NULL);
    return ipfix;
}

void
vtrace_ipfix_destroy(struct vtrace_ipfix *ipfix)
{
    if (ipfix) {
        fBufFree(ipfix->fbuf);
        model_unref(ipfix->model);
        free(ipfix);
    }
}

size_t
vtrace_ipfix_length(const void *header)
{
    const ovs_be16 *p = header;
    size_t len = ntohs(get_unaligned_be16(p + 1));

    return ntohs(get_unaligned_be16(p)) == 10
           && len >= VTRACE_IPFIX_HEADER_LEN ? len : 0;
}

/* Names go to terminals and pages. */
static void
clean_name(char name[VTRACE_NAME_LEN])
{
    name[VTRACE_NAME_LEN - 1] = '\0';
    for (char *p = name; *p; p++) {
        if (*p < '!' || *p > '~') {
            *p = '?';
        }
    }
}

bool
vtrace_ipfix_accept_record(struct vtrace_record *r)
{
    if (r->color < VTRACE_COLOR_MIN || r->color > VTRACE_COLOR_MAX
        || r->role < VTRACE_ROLE_IN || r->role > VTRACE_ROLE_CHECKPOINT
        || r->link > VTRACE_LINK_DOWN || r->port_class > VTRACE_PORT_PATCH
        || r->exp > VTRACE_EXP_MAX
        || (r->ip_version != 4 && r->ip_version != 6)) {
        return false;
    }
    clean_name(r->bridge);
    clean_name(r->port);
    return true;
}

bool
vtrace_ipfix_accept_watermark(const struct vtrace_watermark *w)
{
    return w->color <= VTRACE_COLOR_MAX;
}

static void
decoded_record(struct vtrace_ipfix *ipfix, struct vtrace_record *r)
{
    if (!vtrace_ipfix_accept_record(r)) {
        ipfix->n_invalid++;
        return;
    }
    r->time = vtrace_time_from_ntp(r->time);
    ipfix->sink.record(ipfix->sink.aux, r);
}

static void
decoded_watermark(struct vtrace_ipfix *ipfix, struct vtrace_watermark *w)
{
    if (!vtrace_ipfix_accept_watermark(w)) {
        ipfix->n_invalid++;
        return;
    }
    w->time = vtrace_time_from_ntp(w->time);
    ipfix->sink.watermark(ipfix->sink.aux, w);
}

static enum kind
kind_of(fbTemplate_t *template)
{
    return has_element(template, "vtraceRole") ? KIND_RECORD
           : has_element(template, "vtraceRecordsWritten") ? KIND_WATERMARK
           : has_element(template, "vtraceEndpoint") ? KIND_ENDPOINT
           : has_element(template, "vtraceClockRoundTrip") ? KIND_CLOCK
           : KIND_OTHER;
}

/* Decodes the next record, whose template is 'template'. */
static bool
decode_next(struct vtrace_ipfix *ipfix, fbTemplate_t *template, GError **error)
{
    union {
        struct vtrace_record record;
        struct vtrace_watermark watermark;
        struct vtrace_endpoint endpoint;
        struct vtrace_clock clock;
    } u;
    enum kind kind = kind_of(template);
    size_t size = kind == KIND_RECORD ? sizeof u.record
                  : kind == KIND_ENDPOINT ? sizeof u.endpoint
                  : kind == KIND_CLOCK ? sizeof u.clock
                  : sizeof u.watermark;

    memset(&u, 0, sizeof u);
    /* Any will do to skip a record. */
    if (!fBufSetInternalTemplate(ipfix->fbuf, kind ? kind : KIND_WATERMARK,
                                 error)
        || !fBufNext(ipfix->fbuf, (uint8_t *) &u, &size, error)) {
        return false;
    }
    switch (kind) {
    case KIND_RECORD:
        decoded_record(ipfix, &u.record);
        break;
    case KIND_WATERMARK:
        decoded_watermark(ipfix, &u.watermark);
        break;
    case KIND_ENDPOINT:
        u.endpoint.time = vtrace_time_from_ntp(u.endpoint.time);
        ipfix->sink.endpoint(ipfix->sink.aux, &u.endpoint);
        break;
    case KIND_CLOCK:
        u.clock.time = vtrace_time_from_ntp(u.clock.time);
        ipfix->sink.clock(ipfix->sink.aux, &u.clock);
        break;
    case KIND_OTHER:
        break;
    }
    return true;
}

char *
vtrace_ipfix_decode(struct vtrace_ipfix *ipfix, const void *msg, size_t len)
{
    GError *error = NULL;
    char *s = NULL;

    fBufSetBuffer(ipfix->fbuf, CONST_CAST(void *, msg), len);
    for (;;) {
        fbTemplate_t *template;

        template = fBufNextCollectionTemplate(ipfix->fbuf, NULL, &error);
        if (ipfix->n_templates > VTRACE_IPFIX_MAX_TEMPLATES) {
            s = xasprintf("more than %d templates",
                          VTRACE_IPFIX_MAX_TEMPLATES);
            break;
        } else if (ipfix->has_long_template) {
            s = xasprintf("a template of more than %d elements",
                          VTRACE_IPFIX_MAX_ELEMENTS);
            break;
        } else if (ipfix->has_empty_template) {
            s = xstrdup("a template for records without any byte");
            break;
        }
        if (!template || !decode_next(ipfix, template, &error)) {
            /* The one that comes when the message is at its end. */
            if (!g_error_matches(error, FB_ERROR_DOMAIN, FB_ERROR_BUFSZ)) {
                s = xstrdup(error ? error->message : "not IPFIX");
            }
            break;
        }
    }
    g_clear_error(&error);
    return s;
}

uint64_t
vtrace_ipfix_invalid(const struct vtrace_ipfix *ipfix)
{
    return ipfix->n_invalid;
}
