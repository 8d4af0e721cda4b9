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


/* Fuzzes the parser of key files, and what is done with the keys that it
 * finds. */

#include <config.h>

#include <stdint.h>
#include <string.h>

#include "ofproto-zoo/zoo-auth.h"
#include "util.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *s = xmemdup0((const char *) data, size);
    struct zoo_auth *auth;
    char *error;

    auth = zoo_auth_parse(s, "keys", &error);
    if (!auth) {
        ovs_assert(!strncmp(error, "keys:", 5));
        free(error);
    } else {
        uint16_t newest = zoo_auth_newest(auth);
        struct zoo_auth *again;
        uint8_t buf[64] = { 0 };

        ovs_assert(!error && newest);
        ovs_assert(zoo_auth_choose(auth, 0, 0) == newest);
        for (unsigned int attempt = 0; attempt < 20; attempt++) {
            uint16_t id = zoo_auth_choose(auth, 0, attempt);

            ovs_assert(id && zoo_auth_choose(auth, id, 0) == id);
            zoo_auth_sign(auth, id, NULL, buf, sizeof buf);
            ovs_assert(!zoo_auth_verify(auth, id, NULL, buf, sizeof buf));
            buf[attempt] ^= 0x80;
            ovs_assert(zoo_auth_verify(auth, id, NULL, buf, sizeof buf));
        }
        again = zoo_auth_parse(s, "keys", &error);
        ovs_assert(zoo_auth_equal(auth, again));
        zoo_auth_unref(again);
        zoo_auth_unref(auth);
    }
    free(s);
    return 0;
}
