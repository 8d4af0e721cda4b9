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
#include "zoo-auth.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_OPENSSL
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#endif

#include "openvswitch/util.h"
#include "ovs-atomic.h"
#include "util.h"

#define MAX_FILE_LEN 65536
#define MAX_KEYS 16
#define MIN_KEY_LEN 16
#define MAX_KEY_LEN 64

struct zoo_key {
    uint16_t id;
    size_t len;
    uint8_t bytes[MAX_KEY_LEN];
};

struct zoo_auth {
    struct ovs_refcount ref_cnt;
    size_t n;
    struct zoo_key keys[MAX_KEYS];      /* Newest last. */
};

/* Frees the 'n' bytes at 'p' without leaving keys in memory. */
static void
free_secret(void *p, size_t n OVS_UNUSED)
{
#ifdef HAVE_OPENSSL
    OPENSSL_cleanse(p, n);
#endif
    free(p);
}

static const struct zoo_key *
find_key(const struct zoo_auth *auth, uint16_t id)
{
    for (size_t i = 0; auth && i < auth->n; i++) {
        if (auth->keys[i].id == id) {
            return &auth->keys[i];
        }
    }
    return NULL;
}

/* Parses "ID HEXKEY" into '*key'.  Returns NULL or what is wrong. */
static const char *
parse_key(char *line, struct zoo_key *key)
{
    char *save_ptr = NULL;
    char *id = strtok_r(line, " \t\r", &save_ptr);
    char *hex = strtok_r(NULL, " \t\r", &save_ptr);
    unsigned int value;
    size_t n;

    if (!hex || strtok_r(NULL, " \t\r", &save_ptr)) {
        return "expected ID HEXKEY";
    } else if (!str_to_uint(id, 10, &value) || !value || value > UINT16_MAX) {
        return "key ID is out of range 1..65535";
    }
    n = strlen(hex);
    if (n % 2 || n / 2 < MIN_KEY_LEN || n / 2 > MAX_KEY_LEN) {
        return "key must be 32 to 128 hexadecimal digits, an even number";
    }

    key->id = value;
    key->len = n / 2;
    for (size_t i = 0; i < key->len; i++) {
        bool ok;

        key->bytes[i] = hexits_value(&hex[i * 2], 2, &ok);
        if (!ok) {
            return "key has a character that is not a hexadecimal digit";
        }
    }
    return NULL;
}

struct zoo_auth *
zoo_auth_parse(const char *s_, const char *file_name, char **error)
{
    struct zoo_auth *auth = xzalloc(sizeof *auth);
    ovs_refcount_init(&auth->ref_cnt);
    char *s = xstrdup(s_);
    char *next = s;
    int line_number = 0;

    *error = NULL;
    while (!*error && next) {
        const char *problem = NULL;
        char *line = strsep(&next, "\n");

        line += strspn(line, " \t\r");
        line_number++;
        if (!*line || *line == '#') {
            continue;
        } else if (auth->n >= MAX_KEYS) {
            problem = "more keys than the 16 that may be in use at once";
        } else {
            problem = parse_key(line, &auth->keys[auth->n]);
            if (!problem && find_key(auth, auth->keys[auth->n].id)) {
                problem = "key ID is there twice";
            }
        }
        if (problem) {
            *error = xasprintf("%s:%d: %s", file_name, line_number, problem);
        } else {
            auth->n++;
        }
    }
    if (!*error && !auth->n) {
        *error = xasprintf("%s: there is no key in it", file_name);
    }
#ifndef HAVE_OPENSSL
    if (!*error) {
        *error = xasprintf("%s: this Open vSwitch was built without OpenSSL, "
                           "which authentication needs", file_name);
    }
#endif
    free_secret(s, strlen(s_));
    if (*error) {
        zoo_auth_unref(auth);
        return NULL;
    }
    return auth;
}

struct zoo_auth *
zoo_auth_load(const char *file_name, char **error)
{
    struct zoo_auth *auth = NULL;
    FILE *file = fopen(file_name, "r");
    char *content;
    size_t n;

    if (!file) {
        *error = xasprintf("%s: %s", file_name, ovs_strerror(errno));
        return NULL;
    }
    content = xmalloc(MAX_FILE_LEN + 2);
    n = fread(content, 1, MAX_FILE_LEN + 1, file);
    content[n] = '\0';
    if (ferror(file)) {
        *error = xasprintf("%s: %s", file_name, ovs_strerror(errno));
    } else if (n > MAX_FILE_LEN) {
        *error = xasprintf("%s: longer than the %d bytes that a key file may "
                           "have", file_name, MAX_FILE_LEN);
    } else if (strlen(content) < n) {
        *error = xasprintf("%s: not a text file", file_name);
    } else {
        auth = zoo_auth_parse(content, file_name, error);
    }
    fclose(file);
    free_secret(content, n);
    return auth;
}

struct zoo_auth *
zoo_auth_ref(const struct zoo_auth *auth_)
{
    struct zoo_auth *auth = CONST_CAST(struct zoo_auth *, auth_);

    if (auth) {
        ovs_refcount_ref(&auth->ref_cnt);
    }
    return auth;
}

void
zoo_auth_unref(struct zoo_auth *auth)
{
    if (auth && ovs_refcount_unref(&auth->ref_cnt) == 1) {
        free_secret(auth, sizeof *auth);
    }
}

bool
zoo_auth_equal(const struct zoo_auth *a, const struct zoo_auth *b)
{
    return (a && b
            ? a->n == b->n && !memcmp(a->keys, b->keys, sizeof a->keys)
            : a == b);
}

uint16_t
zoo_auth_newest(const struct zoo_auth *auth)
{
    return auth ? auth->keys[auth->n - 1].id : 0;
}

uint16_t
zoo_auth_choose(const struct zoo_auth *auth, uint16_t peer_newest,
                unsigned int attempt)
{
    if (!auth) {
        return 0;
    } else if (find_key(auth, peer_newest)) {
        return peer_newest;
    } else {
        return auth->keys[auth->n - 1 - attempt % auth->n].id;
    }
}

#ifdef HAVE_OPENSSL
static void
hmac(const struct zoo_key *key, const struct zoo_auth_addrs *addrs,
     const uint8_t *buf, size_t len, uint8_t mac[EVP_MAX_MD_SIZE])
{
    uint8_t data[sizeof *addrs + ZOO_PROBE_MAX_LEN];
    unsigned int mac_len = 0;
    size_t n = 0;

    ovs_assert(len <= ZOO_PROBE_MAX_LEN);
    if (addrs) {
        memcpy(data, addrs, sizeof *addrs);
        n = sizeof *addrs;
    }
    memcpy(data + n, buf, len);
    if (!HMAC(EVP_sha256(), key->bytes, key->len, data, n + len, mac, &mac_len)
        || mac_len < ZOO_PROBE_HMAC_LEN) {
        OVS_NOT_REACHED();
    }
}
#endif

void
zoo_auth_sign(const struct zoo_auth *auth, uint16_t key_id,
              const struct zoo_auth_addrs *addrs OVS_UNUSED,
              uint8_t *buf, size_t len)
{
    const struct zoo_key *key = find_key(auth, key_id);

    if (key) {
#ifdef HAVE_OPENSSL
        uint8_t mac[EVP_MAX_MD_SIZE];

        len -= ZOO_PROBE_HMAC_LEN;
        hmac(key, addrs, buf, len, mac);
        memcpy(buf + len, mac, ZOO_PROBE_HMAC_LEN);
#else
        OVS_NOT_REACHED();
#endif
    }
}

enum zoo_probe_error
zoo_auth_verify(const struct zoo_auth *auth, uint16_t key_id,
                const struct zoo_auth_addrs *addrs OVS_UNUSED,
                const uint8_t *buf, size_t len)
{
    const struct zoo_key *key = find_key(auth, key_id);

    if (!key) {
        return (key_id ? ZOO_PROBE_UNKNOWN_KEY
                : auth ? ZOO_PROBE_NO_KEY
                : ZOO_PROBE_OK);
    }
#ifdef HAVE_OPENSSL
    uint8_t mac[EVP_MAX_MD_SIZE];

    len -= ZOO_PROBE_HMAC_LEN;
    hmac(key, addrs, buf, len, mac);
    return (CRYPTO_memcmp(buf + len, mac, ZOO_PROBE_HMAC_LEN)
            ? ZOO_PROBE_BAD_HMAC : ZOO_PROBE_OK);
#else
    OVS_NOT_REACHED();
#endif
}
