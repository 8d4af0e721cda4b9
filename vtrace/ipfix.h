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

#ifndef VTRACE_IPFIX_H
#define VTRACE_IPFIX_H 1

/* Decodes IPFIX messages (RFC 7011) into VTrace's records, by libfixbuf.
 *
 * A decoder holds the templates of one transport session.  All decoders belong
 * to one thread.  They take any bytes: what is not IPFIX is an error, records
 * whose members are out of range are counted and left out. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "compiler.h"

struct vtrace_clock;
struct vtrace_endpoint;
struct vtrace_ipfix;
struct vtrace_record;
struct vtrace_watermark;

/* Bytes of a message: of its header, and at most. */
#define VTRACE_IPFIX_HEADER_LEN 16
#define VTRACE_IPFIX_MAX_LEN 65535

/* A session with more templates, or more elements in one, is not a switch's.
 * What it may have is what it can make a decoder remember. */
#define VTRACE_IPFIX_MAX_TEMPLATES 32
#define VTRACE_IPFIX_MAX_ELEMENTS 128

/* What is called for each record, with 'aux'. */
struct vtrace_ipfix_sink {
    void (*record)(void *aux, const struct vtrace_record *);
    void (*watermark)(void *aux, const struct vtrace_watermark *);
    void (*endpoint)(void *aux, const struct vtrace_endpoint *);
    void (*clock)(void *aux, const struct vtrace_clock *);
    void *aux;
};

struct vtrace_ipfix *vtrace_ipfix_create(const struct vtrace_ipfix_sink *);
void vtrace_ipfix_destroy(struct vtrace_ipfix *);

/* Returns the length of the message that begins with the
 * VTRACE_IPFIX_HEADER_LEN bytes in 'header', or 0 if it is not IPFIX. */
size_t vtrace_ipfix_length(const void *header);

/* Decodes one message of 'len' bytes, as vtrace_ipfix_length() said.  Returns
 * NULL if successful, otherwise an error message that the caller must free;
 * the session is of no use any more then. */
char *vtrace_ipfix_decode(struct vtrace_ipfix *, const void *msg, size_t len)
    OVS_WARN_UNUSED_RESULT;

/* Returns true if all members of a record that somebody else has made, of which
 * any byte may be anything, are in range.  Puts question marks where the names
 * in it have what does not belong on a terminal or a page, and ends them. */
bool vtrace_ipfix_accept_record(struct vtrace_record *);
bool vtrace_ipfix_accept_watermark(const struct vtrace_watermark *);

/* Returns the number of records that were left out. */
uint64_t vtrace_ipfix_invalid(const struct vtrace_ipfix *);

#endif /* vtrace/ipfix.h */
