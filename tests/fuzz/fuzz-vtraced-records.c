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

/* What "vtrace replay" reads, and the analyzer behind it: a record file. */

#include <config.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "openvswitch/json.h"
#include "util.h"
#include "vtrace/record-file.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json *tasks;
    char *error;
    FILE *file;

    if (!size) {
        return 0;
    }
    file = fmemopen(CONST_CAST(uint8_t *, data), size, "r");
    ovs_assert(file);
    error = vtrace_record_file_read(file, &tasks);
    ovs_assert(!error != !tasks);
    fclose(file);
    free(error);
    json_destroy(tasks);
    return 0;
}
