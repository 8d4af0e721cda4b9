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

"""A collector of IPFIX (RFC 7011) that shares nothing with vtraced: it
believes the templates that it gets, and nothing else.
"""

import ipaddress
import socket
import struct
import threading
import time

PEN = 0x00025a4f
EPOCH_1900 = 2208988800

# (enterprise, number): name, what it is.
ELEMENTS = {
    (0, 325): ("time", "time"), (0, 326): ("digest", "uint"),
    (0, 351): ("tun_id", "uint"), (0, 27): ("src", "ip"),
    (0, 28): ("dst", "ip"), (0, 54): ("ip_id", "uint"),
    (0, 184): ("tcp_seq", "uint"), (0, 7): ("src_port", "uint"),
    (0, 11): ("dst_port", "uint"), (0, 6): ("tcp_flags", "uint"),
    (0, 243): ("vlan", "uint"), (0, 60): ("ip_version", "uint"),
    (0, 4): ("protocol", "uint"), (0, 192): ("ttl", "uint"),
    (0, 89): ("forwarding_status", "uint"), (0, 82): ("port", "string"),
    (PEN, 1): ("cookie", "uint"), (PEN, 2): ("tun_src", "ip"),
    (PEN, 3): ("tun_dst", "ip"), (PEN, 4): ("ip_len", "uint"),
    (PEN, 5): ("payload_len", "uint"), (PEN, 6): ("ofp_port", "uint"),
    (PEN, 7): ("flags", "uint"), (PEN, 8): ("color", "uint"),
    (PEN, 9): ("reason", "uint"), (PEN, 10): ("frag_offset", "uint"),
    (PEN, 11): ("tun_sport", "uint"), (PEN, 12): ("ct_state", "uint"),
    (PEN, 13): ("ct_zone", "uint"), (PEN, 14): ("role", "uint"),
    (PEN, 15): ("link", "uint"), (PEN, 16): ("port_class", "uint"),
    (PEN, 17): ("exp", "uint"), (PEN, 18): ("table", "uint"),
    (PEN, 19): ("reserved", "uint"), (PEN, 20): ("mtu", "uint"),
    (PEN, 21): ("bridge", "string"), (PEN, 30): ("written", "uint"),
    (PEN, 31): ("lost", "uint"), (PEN, 32): ("session", "uint"),
    (PEN, 33): ("reserved16", "uint"), (PEN, 40): ("address", "ip"),
    (PEN, 41): ("local", "ip"), (PEN, 42): ("remote", "ip"),
    (PEN, 43): ("probe_clock", "uint"), (PEN, 44): ("ahead", "uint"),
    (PEN, 45): ("rtt", "uint"),
}


class Malformed(Exception):
    pass


def value(kind, data):
    if kind == "uint":
        return int.from_bytes(data, "big")
    if kind == "time":
        ntp = int.from_bytes(data, "big")
        return (ntp >> 32) - EPOCH_1900 + (ntp & 0xffffffff) / 2 ** 32
    if kind == "string":
        return data.rstrip(b"\0").decode("ascii")
    address = ipaddress.IPv6Address(data)
    return str(address.ipv4_mapped or address)


class Session:
    """What came over one connection."""

    def __init__(self):
        self.templates = {}
        self.sequence = 0
        self.records = []       # Dictionaries, in order.
        self.error = None
        self.closed = False

    def kinds(self, key):
        """The records that have 'key': "role" for those of packets, "written"
        for watermarks, "address" for endpoints, "rtt" for clocks."""
        return [r for r in list(self.records) if key in r]

    def _template_set(self, data):
        while len(data) >= 4:
            number, count = struct.unpack_from("!HH", data)
            data = data[4:]
            fields = []
            for _ in range(count):
                element, length = struct.unpack_from("!HH", data)
                data = data[4:]
                pen = 0
                if element & 0x8000:
                    pen, = struct.unpack_from("!I", data)
                    data = data[4:]
                key = (pen, element & 0x7fff)
                if key not in ELEMENTS:
                    raise Malformed("unknown element %d/%d" % key)
                fields.append(ELEMENTS[key] + (length,))
            if number < 256 or number in self.templates:
                raise Malformed("template %d" % number)
            self.templates[number] = fields

    def _data_set(self, number, data):
        if number not in self.templates:
            raise Malformed("data before template %d" % number)
        fields = self.templates[number]
        size = sum(length for _, _, length in fields)
        now = time.time()
        if len(data) % size:
            raise Malformed("%d bytes of records of %d" % (len(data), size))
        for start in range(0, len(data), size):
            record = {"arrived": now}
            for name, kind, length in fields:
                record[name] = value(kind, data[start:start + length])
                start += length
            self.records.append(record)
            self.sequence += 1

    def message(self, data):
        version, length, when, sequence, _ = struct.unpack("!HHIII",
                                                           data[:16])
        if version != 10 or length != len(data):
            raise Malformed("version %d, length %d" % (version, length))
        if abs(when - time.time()) > 5:
            raise Malformed("exported at %d" % when)
        if sequence != self.sequence:
            raise Malformed("sequence number %d, not %d"
                            % (sequence, self.sequence))
        data = data[16:]
        while data:
            number, length = struct.unpack_from("!HH", data)
            if length < 5 or length > len(data):
                raise Malformed("set of %d bytes" % length)
            if number == 2:
                self._template_set(data[4:length])
            else:
                self._data_set(number, data[4:length])
            data = data[length:]


class Collector:
    """Listens at 'address', a path or an (IP, port), from the current network
    namespace, and reads what connections send, unless 'mute'; by TLS if 'tls'
    is a context for it."""

    def __init__(self, address, mute=False, says=b"", tls=None):
        family = (socket.AF_UNIX if isinstance(address, str)
                  else socket.AF_INET)
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if mute:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF,
                                     4096)
        self.listener.bind(address)
        self.listener.listen()
        self.mute = mute
        self.says = says
        self.tls = tls
        self.sockets = []
        self.sessions = []
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            session = Session()
            self.sockets.append(sock)
            self.sessions.append(session)
            try:
                if self.tls:
                    sock = self.tls.wrap_socket(sock, server_side=True)
                    self.sockets[-1] = sock
                if self.says:
                    sock.sendall(self.says)
                if not self.mute:
                    self._read(sock, session)
            except (Malformed, struct.error, ValueError) as error:
                session.error = str(error) or repr(error)
            except OSError:
                pass
            session.closed = not self.mute

    def _read(self, sock, session):
        data = b""
        while True:
            more = sock.recv(65536)
            if not more:
                return
            data += more
            while len(data) >= 16:
                length, = struct.unpack_from("!H", data, 2)
                if length < 16:
                    raise Malformed("message of %d bytes" % length)
                if len(data) < length:
                    break
                session.message(data[:length])
                data = data[length:]

    @property
    def last(self):
        return self.sessions[-1] if self.sessions else Session()

    def close(self):
        for sock in [self.listener] + self.sockets:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            sock.close()
        self.thread.join(10)
