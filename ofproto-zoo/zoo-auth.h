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

#ifndef ZOO_AUTH_H
#define ZOO_AUTH_H 1

/* Authentication of probes: HMAC-SHA-256 with keys from a file
 * ============================================================
 *
 * The key file has a line "ID HEXKEY" for each key: ID is 1...65535, HEXKEY an
 * even number of hexadecimal digits, 16 to 64 bytes.  Empty lines and lines
 * that begin with # are skipped.  The last key is the newest.  All keys
 * verify; see zoo_auth_choose() for the one that signs.
 *
 * A struct zoo_auth does not change once loaded.  It is reference-counted, and
 * any thread that has a reference may use it. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "zoo-probe.h"

struct zoo_auth;

/* Reads 'file_name'.  Returns NULL and stores a message that the caller must
 * free into '*error' if it cannot be read, has a bad line or no key. */
struct zoo_auth *zoo_auth_load(const char *file_name, char **error);

/* Parses 's', the content of a key file.  'file_name' is for messages. */
struct zoo_auth *zoo_auth_parse(const char *s, const char *file_name,
                                char **error);

/* Adds or drops a reference.  'auth' may be NULL. */
struct zoo_auth *zoo_auth_ref(const struct zoo_auth *auth);
void zoo_auth_unref(struct zoo_auth *auth);

/* Returns true if 'a' and 'b' (either may be NULL) have the same keys. */
bool zoo_auth_equal(const struct zoo_auth *a, const struct zoo_auth *b);

/* Returns the ID of the newest key, 0 if 'auth' is NULL. */
uint16_t zoo_auth_newest(const struct zoo_auth *);

/* Returns the ID of the key to sign with for a peer whose newest key is
 * 'peer_newest' (0 if it has not been heard of): that one if 'auth' has it, so
 * that a key may reach the two sides at different times, otherwise the newest.
 * 'attempt' counts tries at a peer that has never answered; it goes through
 * all keys.  Returns 0 if 'auth' is NULL. */
uint16_t zoo_auth_choose(const struct zoo_auth *, uint16_t peer_newest,
                         unsigned int attempt);

/* The outer addresses that a probe has on the wire.  The HMAC covers them, so
 * that a probe cannot be sent again as if it came from, or went to, somebody
 * else. */
struct zoo_auth_addrs {
    struct in6_addr src, dst;   /* IPv4-mapped for IPv4. */
    ovs_be16 dst_port;          /* UDP destination port. */
    uint16_t pad[3];            /* Zero. */
};

/* Writes the HMAC of 'addrs' (NULL for none) and of the 'len' bytes at 'buf',
 * an encoded probe whose key ID is 'key_id', to the end of it.  Does nothing
 * if 'key_id' is 0. */
void zoo_auth_sign(const struct zoo_auth *, uint16_t key_id,
                   const struct zoo_auth_addrs *addrs,
                   uint8_t *buf, size_t len);

/* Checks the HMAC at the end of the 'len' bytes at 'buf', an encoded probe
 * whose key ID is 'key_id' and that came with 'addrs'.  If 'auth' is NULL any probe is good that claims
 * no key. */
enum zoo_probe_error zoo_auth_verify(const struct zoo_auth *, uint16_t key_id,
                                     const struct zoo_auth_addrs *addrs,
                                     const uint8_t *buf, size_t len);

#endif /* zoo-auth.h */
