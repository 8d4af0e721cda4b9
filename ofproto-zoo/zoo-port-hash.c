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
#include "zoo-port-hash.h"

#include "util.h"

/* Each hash has 4 bits of a word of 64. */
BUILD_ASSERT_DECL(ZOO_PORT_N_HASHES * 4 == 64);
BUILD_ASSERT_DECL(ZOO_PORT_N_CLASSES == 16);

/* The hash whose class is not linear in the port: the place in the range. */
#define PLACE 0

/* CRCs, their polynomials with the highest power last (CRC-16/ARC, CRC-16 of
 * ITU-T V.41, CRC-32 of IEEE 802.3, CRC-32C of RFC 3720). */
static const struct crc {
    unsigned int width;
    uint32_t poly;
} crcs[] = {
    { 16, 0xa001 },
    { 16, 0x8408 },
    { 32, 0xedb88320 },
    { 32, 0x82f63b78 },
};

/* What is needed of keys of the Toeplitz hash, which chooses receive queues:
 * the 48 bits from where in the headers the source port is. */
static const uint64_t toeplitz_keys[] = {
    UINT64_C(0x4167253d43a3),   /* Microsoft's key, IPv4. */
    UINT64_C(0x6a42b73bbeac),   /* The same, IPv6. */
    UINT64_C(0x6d5a6d5a6d5a),   /* Symmetric key (Woo and Park, 2012). */
};

static uint8_t
reverse_4_bits(uint8_t x)
{
    return (x & 1) << 3 | (x & 2) << 1 | (x & 4) >> 1 | (x & 8) >> 3;
}

/* Returns the CRC of 'port' and a destination port of 0, in network byte
 * order.  Another destination port would flip some bits, whatever 'port'
 * is. */
static uint32_t
crc_port(const struct crc *crc, uint16_t port)
{
    const uint8_t data[] = { port >> 8, port & 0xff, 0, 0 };
    uint32_t value = 0;

    for (size_t i = 0; i < sizeof data; i++) {
        value ^= data[i];
        for (int bit = 0; bit < 8; bit++) {
            value = value >> 1 ^ (value & 1 ? crc->poly : 0);
        }
    }
    return value;
}

/* Returns the classes by all linear hashes of port 1 << 'bit'. */
static uint64_t
flips_of_bit(unsigned int bit)
{
    uint16_t port = 1 << bit;
    unsigned int i = PLACE + 1;
    uint64_t flips = 0;

#define ADD(CLASS) flips |= (uint64_t) ((CLASS) & 0xf) << 4 * i++
    /* The port itself, and folded to 8 and to 4 bits with XOR; what Linux
     * makes of it for a bond (layer3+4). */
    ADD(port);
    ADD(port ^ port >> 8);
    ADD(port ^ port >> 4 ^ port >> 8 ^ port >> 12);
    ADD((port ^ port >> 8) >> 1);

    /* The low bits, as of a remainder, and the high bits, as of a product. */
    for (size_t j = 0; j < ARRAY_SIZE(crcs); j++) {
        uint32_t value = crc_port(&crcs[j], port);

        ADD(value);
        ADD(reverse_4_bits(value >> (crcs[j].width - 4)));
    }
    for (size_t j = 0; j < ARRAY_SIZE(toeplitz_keys); j++) {
        ADD(toeplitz_keys[j] >> (bit + 1));
    }
#undef ADD
    ovs_assert(i == ZOO_PORT_N_HASHES);
    return flips;
}

void
zoo_port_hash_init(struct zoo_port_hash *ph,
                   uint16_t port_min, uint16_t port_max)
{
    for (unsigned int bit = 0; bit < 16; bit++) {
        ph->flips[bit] = flips_of_bit(bit);
    }
    ph->port_min = port_min;
    ph->n_ports = port_max - port_min + 1;
}

void
zoo_port_hash(const struct zoo_port_hash *ph, uint16_t port,
              uint8_t classes[ZOO_PORT_N_HASHES])
{
    uint64_t all = reverse_4_bits((port - ph->port_min) * 16u / ph->n_ports);

    for (unsigned int bit = 0; bit < 16; bit++) {
        all ^= port >> bit & 1 ? ph->flips[bit] : 0;
    }
    for (unsigned int i = 0; i < ZOO_PORT_N_HASHES; i++) {
        classes[i] = all >> 4 * i & 0xf;
    }
}
