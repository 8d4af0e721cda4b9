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


"""Records and watermarks as a switch sends them to vtraced, made here byte by
byte: IPFIX messages of ovs-ext/vtrace-record.h.
"""

import ipaddress
import socket
import struct
import threading
import time

PEN = 0x00025a4f

# Roles, port classes, flags and a reason of ovs-ext/vtrace-record.h and
# vtrace-reasons.h.
IN, OUT, DROP = 1, 2, 3
ACCESS, TUNNEL = 1, 3
F_ENTRY, F_TABLE, F_COOKIE = 4, 8, 16
ACL_DENY = 1
LINK_UP = 1

# Name, enterprise, element and struct's letter of the members that are sent;
# the others are absent, and zero to the analyzer.
RECORD = [("time", 0, 325, "Q"), ("digest", 0, 326, "Q"),
          ("cookie", PEN, 1, "Q"), ("tun_id", 0, 351, "Q"),
          ("src", 0, 27, "16s"), ("dst", 0, 28, "16s"),
          ("tun_src", PEN, 2, "16s"), ("tun_dst", PEN, 3, "16s"),
          ("ip_len", PEN, 4, "I"), ("flags", PEN, 7, "I"),
          ("color", PEN, 8, "H"), ("reason", PEN, 9, "H"),
          ("src_port", 0, 7, "H"), ("dst_port", 0, 11, "H"),
          ("tun_sport", PEN, 11, "H"), ("role", PEN, 14, "B"),
          ("link", PEN, 15, "B"), ("port_class", PEN, 16, "B"),
          ("table", PEN, 18, "B"), ("ip_version", 0, 60, "B"),
          ("protocol", 0, 4, "B"), ("bridge", PEN, 21, "16s"),
          ("port", 0, 82, "16s")]
WATERMARK = [("time", 0, 325, "Q"), ("written", PEN, 30, "Q"),
             ("lost", PEN, 31, "Q"), ("session", PEN, 32, "I"),
             ("color", PEN, 8, "H")]


def template(tid, fields):
    data = struct.pack("!HH", tid, len(fields))
    for _, pen, element, letter in fields:
        data += struct.pack("!HH", element | (0x8000 if pen else 0),
                            struct.calcsize("!" + letter))
        if pen:
            data += struct.pack("!I", pen)
    return data


def pack(fields, members):
    unknown = set(members) - {name for name, *_ in fields}
    if unknown:
        raise ValueError("not sent: " + ", ".join(unknown))
    return struct.pack("!" + "".join(letter for *_, letter in fields),
                       *(members.get(name, b"" if letter == "16s" else 0)
                         for name, _, _, letter in fields))


def ntp(seconds):
    return int((seconds + 2208988800) * 2 ** 20) << 12


def address(text):
    return ipaddress.ip_address("::ffff:" + text).packed


def a_set(sid, data):
    return struct.pack("!HH", sid, len(data) + 4) + data


def message(*sets):
    data = b"".join(sets)
    return struct.pack("!HHIII", 10, len(data) + 16, int(time.time()), 0,
                       1) + data


TEMPLATES = a_set(2, template(300, RECORD) + template(301, WATERMARK))


def record(when, digest, color, role, port, **members):
    """A record of a packet from 192.0.2.1 to 192.0.2.2 in bridge br0."""
    members = {"src": address("192.0.2.1"), "dst": address("192.0.2.2"),
               "ip_len": 100, "link": LINK_UP, "ip_version": 4,
               "protocol": 17, "bridge": b"br0", **members}
    return pack(RECORD, dict(members, time=ntp(when), digest=digest,
                             color=color, role=role, port=port.encode()))


class Node:
    """A switch's connection to the collector."""

    def __init__(self, sock):
        self.sock = sock
        self.written = {}
        self.send(TEMPLATES)

    def send(self, *sets):
        self.sock.sendall(message(*sets))

    def records(self, color, records):
        self.written[color] = self.written.get(color, 0) + len(records)
        self.send(a_set(300, b"".join(records)))

    def watermarks(self, ahead=0):
        """Says, by a clock that is so many seconds ahead, that everything up
        to now was sent."""
        now = ntp(time.time() + ahead)
        marks = [(0, 0), *self.written.items()]
        self.send(a_set(301, b"".join(
            pack(WATERMARK, {"time": now, "written": written, "session": 7,
                             "color": color}) for color, written in marks)))

    def is_closed(self):
        self.sock.settimeout(5)
        try:
            return self.sock.recv(1) == b""
        except ConnectionError:
            return True


class Pulse:
    """The switch's connection to every vtraced, as a context manager, by which
    it says all the time that it sent all that there is."""

    def __init__(self, path):
        self.path = path
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def _run(self):
        while not self.over.wait(0.02):
            with socket.socket(socket.AF_UNIX) as sock:
                try:
                    sock.connect(self.path)
                    node = Node(sock)
                    # So far ahead that no packet can be on its way.
                    node.watermarks(ahead=2)
                    while not self.over.wait(0.05):
                        node.watermarks(ahead=2)
                except OSError:
                    pass        # vtraced was killed.
