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

#ifndef VTRACE_MESSAGE_H
#define VTRACE_MESSAGE_H 1

/* IPFIX messages (RFC 7011, section 3) with VTrace's records.
 *
 * Pure and thread-safe. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ovs-ext/vtrace-record.h"

/* Bytes of a message at most. */
#define VTRACE_MESSAGE_MAX 16384

/* IDs of the templates, which are those of the sets, too. */
enum {
    VTRACE_TEMPLATE_RECORD = 256,
    VTRACE_TEMPLATE_WATERMARK,
    VTRACE_TEMPLATE_ENDPOINT,
    VTRACE_TEMPLATE_CLOCK
};

/* A message that is being made. */
struct vtrace_message {
    size_t n;                   /* Bytes in 'data'. */
    size_t set;                 /* Where the open set begins, 0 if none. */
    uint16_t set_id;            /* Of the open set. */
    uint32_t n_records;         /* Data records. */
    uint8_t data[VTRACE_MESSAGE_MAX];
};

void vtrace_message_init(struct vtrace_message *);

/* Returns true if there is nothing in the message. */
bool vtrace_message_is_empty(const struct vtrace_message *);

/* Each of these appends to the message, if there is room: otherwise it returns
 * false and does nothing.  The templates fit into an empty message; they have
 * to come first on a connection. */
bool vtrace_message_put_templates(struct vtrace_message *);
bool vtrace_message_put_record(struct vtrace_message *,
                               const struct vtrace_record *);
bool vtrace_message_put_watermark(struct vtrace_message *,
                                  const struct vtrace_watermark *);
bool vtrace_message_put_endpoint(struct vtrace_message *,
                                 const struct vtrace_endpoint *);
bool vtrace_message_put_clock(struct vtrace_message *,
                              const struct vtrace_clock *);

/* Completes the message: 'now' is in seconds since 1970, '*sequence' the
 * number of data records before it on this connection, to which its own are
 * added.  Its 'n' bytes of 'data' can be sent then, and it has to be
 * initialized again. */
void vtrace_message_finish(struct vtrace_message *, uint32_t now,
                           uint32_t *sequence);

/* Returns the length of the completed message at 'data'. */
size_t vtrace_message_len(const uint8_t *data);

/* Calls 'cb' with the color of each record in 'data', which is a completed
 * message. */
typedef void vtrace_message_color_func(void *aux, uint16_t color);
void vtrace_message_for_each_record(const uint8_t *data,
                                    vtrace_message_color_func *cb, void *aux);

#endif /* vtrace-message.h */
