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

#ifndef VTRACE_RECORD_FILE_H
#define VTRACE_RECORD_FILE_H 1

/* Record files: what an analyzer was told, to tell another one the same later.
 * The analysis of the same records is the same, so a verdict can be looked into
 * long after the packets are gone.
 *
 * A file is for this kind of machine: its events are the structures in memory.
 * It says its version: earlier ones whose events have the same form are read
 * with the meaning that they had, any other file is refused.  It is written as
 * a whole or, if the disk is full or 'max_size' is reached, up to some event.
 * Everything read from one is checked.
 *
 * Functions that return a string return NULL if successful, otherwise an error
 * message that the caller must free. */

#include <stdint.h>
#include <stdio.h>
#include "compiler.h"

struct json;
struct vtrace_analyzer;
struct vtrace_record_file;

/* Bytes, after which nothing more is written. */
#define VTRACE_RECORD_FILE_MAX (1024LL * 1024 * 1024)

/* Creates 'name', or replaces it, and has what 'analyzer' is told from now on
 * written there: nothing may have been told yet. */
char *vtrace_record_file_create(const char *name, long long int max_size,
                                struct vtrace_analyzer *,
                                struct vtrace_record_file **)
    OVS_WARN_UNUSED_RESULT;

/* Ends the file, before the analyzer is destroyed. */
void vtrace_record_file_close(struct vtrace_record_file *);

/* The most that a file that is replayed may name.  This bounds the memory that
 * it takes: a task has room for each node. */
#define VTRACE_RECORD_FILE_NODES 16384
#define VTRACE_RECORD_FILE_DOMAINS 64
#define VTRACE_RECORD_FILE_TASKS 1024   /* At a time. */

/* Tells a new analyzer what is in 'name'.  Sets '*tasks' to an array of what
 * it knew of each task when that ended, or at the end of the file: what
 * vtrace_analysis_to_json() returns, with the members "id" and "state", "done"
 * or "running". */
char *vtrace_record_file_replay(const char *name, struct json **tasks)
    OVS_WARN_UNUSED_RESULT;

/* The same, from 'file', which stays open. */
char *vtrace_record_file_read(FILE *file, struct json **tasks)
    OVS_WARN_UNUSED_RESULT;

#endif /* vtrace/record-file.h */
