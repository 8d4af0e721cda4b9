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

#ifndef VTRACE_DIGEST_H
#define VTRACE_DIGEST_H 1

/* The digest of a packet
 * ======================
 *
 * By its digest a packet is recognized at every hop, with nothing written into
 * it (hash-based selection, RFC 5475, section 5.3).  The digest is a function
 * of what no hop changes:
 *
 *   - protocol; IPv4 identification or that of the IPv6 fragment header;
 *     fragment offset;
 *   - TCP: sequence and acknowledgement numbers, flags, TSval;
 *   - UDP: length;
 *   - SCTP: verification tag;
 *   - ICMP and ICMPv6: type, code; of an echo the sequence number, of others
 *     the four bytes behind the checksum; of an error message, instead of the
 *     payload, the same of the packet in it as far as its first 8 bytes say;
 *   - ESP: SPI and sequence number;
 *   - the first VTRACE_DIGEST_PAYLOAD bytes of the payload.
 *
 * Not of addresses, ports, the identifier of an echo, checksums, DSCP and ECN,
 * TTL, VLAN and total length.  NAT, routing, and any encapsulation therefore
 * leave it alone.  Bytes behind the IP packet (Ethernet padding) do not count.
 * What changes it: segmentation and reassembly, application level gateways
 * that rewrite the payload.
 *
 * The digest is the first half of SipHash-2-4 with 128 bits of output
 * (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012), the same
 * on every CPU.  All switches of a domain need the same key.  Which packets
 * are sampled is decided by another hash, see vtrace-sample.h.
 *
 * Pure and thread-safe. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct vtrace_record;
struct vtrace_sample_key;

/* Bytes of payload that count. */
#define VTRACE_DIGEST_PAYLOAD 32

struct vtrace_digest_key {
    uint64_t k0, k1;            /* Bytes 0...7 and 8...15, little endian. */
};

/* The key of a domain that has not set one. */
#define VTRACE_DIGEST_KEY_INIT { 0x7672742d6f6f7a2dULL, 0x747365676964652dULL }

/* Parses 's', 32 hexadecimal digits, into '*key'.  Returns false, and leaves
 * '*key' alone, if 's' is anything else. */
bool vtrace_digest_key_parse(const char *s, struct vtrace_digest_key *key);

/* Stores the SipHash-2-4 with 128 bits of output of the 'n' bytes at 'data' in
 * 'out': bytes 0...7 and 8...15, little endian. */
void vtrace_siphash128(const struct vtrace_digest_key *,
                       const void *data, size_t n, uint64_t out[2]);

/* Sets in '*record' the digest and the members that come from the packet
 * (those marked "P" in vtrace-record.h), from the IPv4 or IPv6 packet at 'ip',
 * of which 'size' bytes are there.  'ip' must be even, as a packet's network
 * header is; the bytes can be anything.  The other
 * members, and other bits of 'flags', keep their values.
 *
 * Returns false, with '*record' unchanged, if there is no IP header. */
bool vtrace_record_set_packet(struct vtrace_record *, const void *ip,
                              size_t size, const struct vtrace_digest_key *);

/* Does as vtrace_record_set_packet(), and returns false also for a packet that
 * is not sampled with exponent 'exp' (see vtrace-sample.h). */
bool vtrace_record_set_sampled(struct vtrace_record *, const void *ip,
                               size_t size, const struct vtrace_digest_key *,
                               const struct vtrace_sample_key *,
                               unsigned int exp);

#ifdef __cplusplus
}
#endif

#endif /* vtrace-digest.h */
