#
# Copyright (c) 2026 The ovs-zoo authors.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at:
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""The digest of a packet and whether it is sampled, worked out from what
ovs-ext/vtrace-digest.h and vtrace-sample.h say, with nothing of the switch:
what it computes is compared with this.
"""

import collections
import struct

M64 = 2 ** 64 - 1
DEFAULT_KEY = b"-zoo-trv-edigest"
PAYLOAD = 32
TCP, UDP, ESP, SCTP = 6, 17, 50, 132
ICMP = {1: (0, 8), 58: (128, 129)}      # Types of echoes.
EXTENSIONS = (0, 43, 60)
FRAGMENT = 44

# protocol, identification, fragment offset in bytes, transport header and
# payload as far as they are there.
Packet = collections.namedtuple("Packet", "protocol id offset transport")


def rotl(x, n):
    return (x << n | x >> (64 - n)) & M64


def siphash128(key, data):
    """SipHash-2-4 with 16 bytes of output, as two words."""
    k0, k1 = struct.unpack("<QQ", key)
    v = [k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d ^ 0xee,
         k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573]

    def rounds(n):
        for _ in range(n):
            v[0] = (v[0] + v[1]) & M64
            v[1] = rotl(v[1], 13) ^ v[0]
            v[0] = rotl(v[0], 32)
            v[2] = (v[2] + v[3]) & M64
            v[3] = rotl(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & M64
            v[3] = rotl(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & M64
            v[1] = rotl(v[1], 17) ^ v[2]
            v[2] = rotl(v[2], 32)

    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) & 0xff])
    for m, in struct.iter_unpack("<Q", padded):
        v[3] ^= m
        rounds(2)
        v[0] ^= m
    v[2] ^= 0xee
    rounds(4)
    first = v[0] ^ v[1] ^ v[2] ^ v[3]
    v[1] ^= 0xdd
    rounds(4)
    return first, v[0] ^ v[1] ^ v[2] ^ v[3]


def parse(ip):
    """A Packet of the bytes of an IP packet, behind which padding may be."""
    if ip[0] >> 4 == 4:
        length, identification, offset = struct.unpack_from("!HHH", ip, 2)
        header_len = (ip[0] & 15) * 4
        return Packet(ip[9], identification, (offset & 0x1fff) * 8,
                      ip[header_len:length])
    length, = struct.unpack_from("!H", ip, 4)
    protocol, rest = ip[6], ip[40:40 + length]
    identification = offset = 0
    while not offset:
        if protocol == FRAGMENT:
            offset, identification = struct.unpack_from("!HI", rest, 2)
            offset &= 0xfff8
            size = 8
        elif protocol in EXTENSIONS:
            size = (rest[1] + 1) * 8
        else:
            break
        protocol, rest = rest[0], rest[size:]
    return Packet(protocol, identification, offset, rest)


def timestamp(options):
    while len(options) > 1 and options[0]:
        size = 1 if options[0] == 1 else options[1]
        if options[0] == 8 and size == 10:
            return options[2:6]
        options = options[max(size, 1):]
    return bytes(4)


def icmp_error(ip):
    """What counts of the packet in an ICMP error."""
    packet = parse(ip)
    data = bytes([packet.protocol]) + struct.pack("!I", packet.id)
    if packet.offset or len(packet.transport) < 8:
        return data
    return data + {TCP: packet.transport[4:8], UDP: packet.transport[4:6],
                   1: packet.transport[:2] + packet.transport[6:8],
                   58: packet.transport[:2] + packet.transport[6:8]}.get(
                       packet.protocol, b"")


def split(packet):
    """(what counts of the transport header, payload)"""
    t = packet.transport
    if not packet.offset:
        if packet.protocol == TCP:
            size = (t[12] >> 4) * 4
            return (t[4:12] + bytes([t[12] & 15, t[13]])
                    + timestamp(t[20:size]), t[size:])
        if packet.protocol == UDP:
            return t[4:6], t[8:]
        if packet.protocol == SCTP:
            return t[4:8], t[12:]
        if packet.protocol == ESP:
            return t[:8], t[8:]
        if packet.protocol in ICMP:
            if t[0] in ICMP[packet.protocol]:
                return t[:2] + t[6:8], t[8:]
            if t[0] in (3, 4, 5, 11, 12) if packet.protocol == 1 \
                    else t[0] < 128:
                return t[:2] + t[4:8] + icmp_error(t[8:]), b""
            return t[:2] + t[4:8], t[8:]
    return b"", t


def network(packet):
    return struct.pack("!BxHI", packet.protocol, packet.offset, packet.id)


def digest(ip, key=DEFAULT_KEY):
    packet = parse(ip)
    header, payload = split(packet)
    return siphash128(key, network(packet) + header + payload[:PAYLOAD])[0]


def multiply_fold(a, b):
    return (a * b & M64) ^ (a * b >> 64)


def sample_key(key=DEFAULT_KEY):
    return [word for i in range(3)
            for word in siphash128(key, b"vtrace sampling %d" % i)]


def sample(ip, key=DEFAULT_KEY):
    """The bits that decide: a packet is one of the one in 4^exp if the lower
    2 exp of them are 0."""
    packet = parse(ip)
    header, payload = split(packet)
    if not packet.offset and packet.protocol == TCP:
        data = header[:10] + bytes(6) + network(packet) + bytes(8)
    elif not packet.offset and packet.protocol == UDP:
        data = header + network(packet)[-2:] + payload[:28]
    else:
        data = (header + payload[:24])[:24].ljust(24, b"\0") + network(packet)
    w = struct.unpack("<4Q", data.ljust(32, b"\0"))
    k = sample_key(key)
    x = (multiply_fold(w[0] ^ k[0], w[1] ^ k[1])
         ^ multiply_fold(w[2] ^ k[2], w[3] ^ k[3]))
    return multiply_fold(x ^ k[4], k[5]) & 0xffffffff


def is_sampled(ip, exp, key=DEFAULT_KEY):
    return not sample(ip, key) & (4 ** exp - 1)
