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
#include "swx-spec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_swx_pipeline.h>

#include "openvswitch/dynamic-string.h"
#include "p4/swx-match.h"
#include "svec.h"
#include "util.h"

/* No .spec of a program that fits into SWX comes near. */
#define MAX_FILE (1024 * 1024)
#define MAX_WORDS 16

/* SWX's instructions have 8 bits for the offset of a field, and SWX does not
 * look whether that is enough. */
#define MAX_STRUCT_BITS (256 * 8)

/* SWX wants things in an order that need not be the file's: each is configured
 * in a pass of its own over all lines. */
enum pass {
    PASS_REGARRAY,
    PASS_STRUCT,
    PASS_HEADER,
    PASS_METADATA,
    PASS_ACTION,
    PASS_TABLE,
    PASS_APPLY,
    N_PASSES
};

static const char *const pass_keywords[N_PASSES] = {
    "regarray", "struct", "header", "metadata", "action", "table", "apply",
};

struct spec {
    struct rte_swx_pipeline *pipeline;
    const char *name;           /* Of the file. */
    struct svec lines;          /* Without leading and trailing space. */
    size_t at;                  /* Index of the current line. */
    char *buffer;               /* Its words... */
    char *words[MAX_WORDS];     /* ...each terminated. */
    size_t n_words;
    char *error;                /* The first one, or NULL. */
};

static void OVS_PRINTF_FORMAT(2, 3)
fail(struct spec *spec, const char *format, ...)
{
    if (!spec->error) {
        struct ds s = DS_EMPTY_INITIALIZER;
        va_list args;

        ds_put_format(&s, "%s:%"PRIuSIZE": ", spec->name,
                      MIN(spec->at + 1, spec->lines.n));
        va_start(args, format);
        ds_put_format_valist(&s, format, args);
        va_end(args);
        spec->error = ds_steal_cstr(&s);
    }
}

/* Checks the 'status' of a function of SWX's, which is 0 or -errno. */
static void
check(struct spec *spec, int status, const char *what, const char *name)
{
    if (status) {
        fail(spec, "%s %s: SWX refuses it (%s)", what, name,
             ovs_strerror(-status));
    }
}

static bool
is_blank(const char *line)
{
    return !line[0] || line[0] == ';' || line[0] == '#'
           || !strncmp(line, "//", 2);
}

/* Splits the current line into words. */
static void
split(struct spec *spec)
{
    char *save = NULL;

    free(spec->buffer);
    spec->buffer = xstrdup(spec->lines.names[spec->at]);
    spec->n_words = 0;
    for (char *word = strtok_r(spec->buffer, " \t", &save); word;
         word = strtok_r(NULL, " \t", &save)) {
        if (spec->n_words >= MAX_WORDS) {
            fail(spec, "more than %d words", MAX_WORDS);
            return;
        }
        spec->words[spec->n_words++] = word;
    }
}

/* Returns word 'i' of the current line, "" if there is none. */
static const char *
word(const struct spec *spec, size_t i)
{
    return i < spec->n_words ? spec->words[i] : "";
}

static bool
word_is(const struct spec *spec, size_t i, const char *s)
{
    return !strcmp(word(spec, i), s);
}

/* Is the current line 'n' words long, the last being "{"? */
static bool
opens_block(const struct spec *spec, size_t n)
{
    return spec->n_words == n && word_is(spec, n - 1, "{");
}

/* Goes on to the next line of a block and splits it.  Returns false at the
 * block's end, or after an error. */
static bool
next_in_block(struct spec *spec)
{
    do {
        if (spec->error) {
            return false;
        }
        if (++spec->at >= spec->lines.n) {
            fail(spec, "end of file in a block");
            return false;
        }
    } while (is_blank(spec->lines.names[spec->at]));
    split(spec);
    return !spec->error && !(spec->n_words == 1 && word_is(spec, 0, "}"));
}

static uint64_t
number(struct spec *spec, size_t i, uint64_t max)
{
    const char *s = word(spec, i);
    unsigned long long int value;
    char *end;

    errno = 0;
    value = strtoull(s, &end, 0);
    if (!*s || *s == '-' || *end || errno || value > max) {
        fail(spec, "\"%s\" is not a number up to %"PRIu64, s, max);
        return 0;
    }
    return value;
}

/* regarray NAME size SIZE initval VALUE */
static void
load_regarray(struct spec *spec)
{
    if (spec->n_words != 6 || !word_is(spec, 2, "size")
        || !word_is(spec, 4, "initval")) {
        fail(spec, "expected \"regarray NAME size SIZE initval VALUE\"");
        return;
    }

    uint32_t size = number(spec, 3, UINT32_C(1) << 31);
    uint64_t value = number(spec, 5, UINT64_MAX);
    if (!spec->error) {
        check(spec, rte_swx_pipeline_regarray_config(spec->pipeline,
                                                     word(spec, 1), size,
                                                     value),
              "regarray", word(spec, 1));
    }
}

/* struct NAME {
 *     bit<SIZE> FIELD
 *     ...
 * } */
static void
load_struct(struct spec *spec)
{
    struct rte_swx_field_params *fields = NULL;
    size_t n = 0, allocated = 0;
    unsigned int total = 0;

    if (!opens_block(spec, 3)) {
        fail(spec, "expected \"struct NAME {\"");
        return;
    }

    char *name = xstrdup(word(spec, 1));
    while (next_in_block(spec)) {
        unsigned int n_bits;
        int n_chars = 0;

        if (spec->n_words != 2
            || !ovs_scan(word(spec, 0), "bit<%u>%n", &n_bits, &n_chars)
            || word(spec, 0)[n_chars]) {
            fail(spec, "expected \"bit<SIZE> FIELD\"");
            break;
        }
        if (n >= allocated) {
            fields = x2nrealloc(fields, &allocated, sizeof *fields);
        }
        fields[n].name = xstrdup(word(spec, 1));
        fields[n++].n_bits = n_bits;
        total += MIN(n_bits, MAX_STRUCT_BITS + 1);
        if (total > MAX_STRUCT_BITS) {
            fail(spec, "struct %s: longer than the %d bytes that SWX "
                 "addresses", name, MAX_STRUCT_BITS / 8);
        }
    }
    if (!spec->error) {
        check(spec, rte_swx_pipeline_struct_type_register(spec->pipeline, name,
                                                          fields, n, 0),
              "struct", name);
    }
    for (size_t i = 0; i < n; i++) {
        free(CONST_CAST(char *, fields[i].name));
    }
    free(fields);
    free(name);
}

/* header NAME instanceof STRUCT */
static void
load_header(struct spec *spec)
{
    if (spec->n_words != 4 || !word_is(spec, 2, "instanceof")) {
        fail(spec, "expected \"header NAME instanceof STRUCT\"");
        return;
    }
    check(spec, rte_swx_pipeline_packet_header_register(spec->pipeline,
                                                        word(spec, 1),
                                                        word(spec, 3)),
          "header", word(spec, 1));
}

/* metadata instanceof STRUCT */
static void
load_metadata(struct spec *spec)
{
    if (spec->n_words != 3 || !word_is(spec, 1, "instanceof")) {
        fail(spec, "expected \"metadata instanceof STRUCT\"");
        return;
    }
    check(spec, rte_swx_pipeline_packet_metadata_register(spec->pipeline,
                                                          word(spec, 2)),
          "metadata", word(spec, 2));
}

/* Appends the instructions of a block to 'instructions'. */
static void
read_instructions(struct spec *spec, struct svec *instructions)
{
    while (next_in_block(spec)) {
        svec_add(instructions, spec->lines.names[spec->at]);
    }
}

/* action NAME args none|instanceof STRUCT {
 *     INSTRUCTION
 *     ...
 * } */
static void
load_action(struct spec *spec)
{
    struct svec instructions = SVEC_EMPTY_INITIALIZER;
    bool none = opens_block(spec, 5) && word_is(spec, 3, "none");

    if (!word_is(spec, 2, "args")
        || (!none && !(opens_block(spec, 6)
                       && word_is(spec, 3, "instanceof")))) {
        fail(spec, "expected \"action NAME args none|instanceof STRUCT {\"");
        return;
    }

    char *name = xstrdup(word(spec, 1));
    char *args = none ? NULL : xstrdup(word(spec, 4));
    read_instructions(spec, &instructions);
    if (!spec->error) {
        check(spec, rte_swx_pipeline_action_config(
                        spec->pipeline, name, args,
                        (const char **) instructions.names,
                        instructions.n),
              "action", name);
    }
    svec_destroy(&instructions);
    free(args);
    free(name);
}

/* A table being read. */
struct table {
    struct svec keys;
    enum rte_swx_table_match_type *types; /* One for each key. */
    struct svec actions;
    int *for_entries;           /* One for each action. */
    int *for_default;           /* Likewise. */
    char *default_action;
    bool default_is_const;
    uint32_t size;
};

static void
read_key(struct spec *spec, struct table *t)
{
    while (next_in_block(spec)) {
        bool exact = word_is(spec, 1, "exact");

        if (spec->n_words != 2 || (!exact && !word_is(spec, 1, "wildcard"))) {
            fail(spec, "expected \"FIELD exact|wildcard\"");
            return;
        }
        svec_add(&t->keys, word(spec, 0));
        t->types = xrealloc(t->types, t->keys.n * sizeof *t->types);
        t->types[t->keys.n - 1] = (exact ? RTE_SWX_TABLE_MATCH_EXACT
                                   : RTE_SWX_TABLE_MATCH_WILDCARD);
    }
}

static void
read_actions(struct spec *spec, struct table *t)
{
    while (next_in_block(spec)) {
        bool entries_only = word_is(spec, 1, "@tableonly");
        bool default_only = word_is(spec, 1, "@defaultonly");

        if (spec->n_words != 1 + (entries_only || default_only)) {
            fail(spec, "expected \"ACTION [@tableonly|@defaultonly]\"");
            return;
        }
        svec_add(&t->actions, word(spec, 0));

        size_t n = t->actions.n;
        t->for_entries = xrealloc(t->for_entries, n * sizeof(int));
        t->for_default = xrealloc(t->for_default, n * sizeof(int));
        t->for_entries[n - 1] = !default_only;
        t->for_default[n - 1] = !entries_only;
    }
}

static void
read_table(struct spec *spec, struct table *t)
{
    while (next_in_block(spec)) {
        if (opens_block(spec, 2) && word_is(spec, 0, "key")) {
            read_key(spec, t);
        } else if (opens_block(spec, 2) && word_is(spec, 0, "actions")) {
            read_actions(spec, t);
        } else if (word_is(spec, 0, "default_action")
                   && word_is(spec, 2, "args") && word_is(spec, 3, "none")
                   && (spec->n_words == 4
                       || (spec->n_words == 5 && word_is(spec, 4, "const")))) {
            free(t->default_action);
            t->default_action = xstrdup(word(spec, 1));
            t->default_is_const = spec->n_words == 5;
        } else if (spec->n_words == 2 && word_is(spec, 0, "size")) {
            t->size = number(spec, 1, UINT32_C(1) << 30);
        } else {
            fail(spec, "a table must not have \"%s\" here",
                 spec->lines.names[spec->at]);
        }
    }
}

static void
config_table(struct spec *spec, const char *name, const struct table *t)
{
    struct rte_swx_match_field_params *fields;

    fields = xcalloc(MAX(t->keys.n, 1), sizeof *fields);
    for (size_t i = 0; i < t->keys.n; i++) {
        fields[i].name = t->keys.names[i];
        fields[i].match_type = t->types[i];
    }

    struct rte_swx_pipeline_table_params params = {
        .fields = t->keys.n ? fields : NULL,
        .n_fields = t->keys.n,
        .action_names = (const char **) t->actions.names,
        .action_is_for_table_entries = t->for_entries,
        .action_is_for_default_entry = t->for_default,
        .n_actions = t->actions.n,
        .default_action_name = t->default_action,
        .default_action_is_const = t->default_is_const,
    };

    /* The type that fits all keys, if one has more than exact matches. */
    const char *type = SWX_EXACT;
    for (size_t i = 0; i < t->keys.n; i++) {
        if (t->types[i] != RTE_SWX_TABLE_MATCH_EXACT) {
            type = SWX_WILDCARD;
        }
    }
    check(spec, rte_swx_pipeline_table_config(spec->pipeline, name, &params,
                                              type, NULL, t->size),
          "table", name);
    free(fields);
}

/* table NAME {
 *     key {
 *         FIELD exact|wildcard
 *         ...
 *     }
 *     actions {
 *         ACTION [@tableonly|@defaultonly]
 *         ...
 *     }
 *     default_action ACTION args none [const]
 *     size SIZE
 * } */
static void
load_table(struct spec *spec)
{
    struct table t = {
        .keys = SVEC_EMPTY_INITIALIZER,
        .actions = SVEC_EMPTY_INITIALIZER,
    };

    if (!opens_block(spec, 3)) {
        fail(spec, "expected \"table NAME {\"");
        return;
    }

    char *name = xstrdup(word(spec, 1));
    read_table(spec, &t);
    if (!spec->error) {
        config_table(spec, name, &t);
    }
    svec_destroy(&t.keys);
    svec_destroy(&t.actions);
    free(t.types);
    free(t.for_entries);
    free(t.for_default);
    free(t.default_action);
    free(name);
}

/* apply {
 *     INSTRUCTION
 *     ...
 * } */
static void
load_apply(struct spec *spec)
{
    struct svec instructions = SVEC_EMPTY_INITIALIZER;

    if (!opens_block(spec, 2)) {
        fail(spec, "expected \"apply {\"");
        return;
    }
    read_instructions(spec, &instructions);
    if (!spec->error) {
        check(spec, rte_swx_pipeline_instructions_config(
                        spec->pipeline,
                        (const char **) instructions.names,
                        instructions.n),
              "apply", "block");
    }
    svec_destroy(&instructions);
}

/* Skips a block, and blocks in it. */
static void
skip_block(struct spec *spec)
{
    unsigned int depth = 1;

    while (depth) {
        bool inside = next_in_block(spec);

        if (spec->error) {
            return;
        }
        if (!inside) {
            depth--;
        } else if (word_is(spec, spec->n_words - 1, "{")) {
            depth++;
        }
    }
}

static void
run_pass(struct spec *spec, enum pass pass)
{
    static void (*const load[N_PASSES])(struct spec *) = {
        load_regarray, load_struct, load_header, load_metadata, load_action,
        load_table, load_apply,
    };

    for (spec->at = 0; spec->at < spec->lines.n && !spec->error; spec->at++) {
        if (is_blank(spec->lines.names[spec->at])) {
            continue;
        }
        split(spec);
        if (word_is(spec, 0, pass_keywords[pass])) {
            load[pass](spec);
        } else if (pass == 0) {
            size_t i;

            for (i = 0; i < N_PASSES; i++) {
                if (word_is(spec, 0, pass_keywords[i])) {
                    break;
                }
            }
            if (i == N_PASSES) {
                fail(spec, "\"%s\" is not known", word(spec, 0));
            }
        }
        if (!spec->error && !word_is(spec, 0, "}")
            && word_is(spec, spec->n_words - 1, "{")) {
            skip_block(spec);
        }
    }
}

/* Reads the file into 'spec->lines'. */
static void
read_file(struct spec *spec)
{
    struct ds line = DS_EMPTY_INITIALIZER;
    size_t size = 0;
    FILE *file = fopen(spec->name, "r");

    if (!file) {
        spec->error = xasprintf("%s: open failed (%s)", spec->name,
                                ovs_strerror(errno));
        return;
    }
    while (!spec->error && !ds_get_line(&line, file)) {
        char *s = ds_cstr(&line);

        size += line.length + 1;
        s += strspn(s, " \t");
        s[strcspn(s, "\r")] = '\0';
        for (size_t n = strlen(s); n && strchr(" \t", s[n - 1]); n--) {
            s[n - 1] = '\0';
        }
        svec_add(&spec->lines, s);
        if (size > MAX_FILE) {
            fail(spec, "longer than %d bytes", MAX_FILE);
        }
    }
    if (!spec->error && ferror(file)) {
        fail(spec, "read failed");
    }
    fclose(file);
    ds_destroy(&line);
}

char *
swx_spec_load(struct rte_swx_pipeline *pipeline, const char *name)
{
    struct spec spec = {
        .pipeline = pipeline,
        .name = name,
        .lines = SVEC_EMPTY_INITIALIZER,
    };

    read_file(&spec);
    if (!spec.error) {
        check(&spec, swx_match_register(pipeline), "tables", "");
    }
    for (int pass = 0; pass < N_PASSES && !spec.error; pass++) {
        run_pass(&spec, pass);
    }
    svec_destroy(&spec.lines);
    free(spec.buffer);
    return spec.error;
}
