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

"""Proxies between switches and vtraced that drop IPFIX messages."""

import random
import selectors
import socket
import struct
import threading
import time

from netns import FabricError, until

VERSION = 10
HEADER = struct.Struct("!HHIII")        # Version, length, time, sequence,
                                        # domain: RFC 7011, section 3.1.
SET_HEADER = struct.Struct("!HH")       # ID, length: section 3.3.2.
TEMPLATE_SETS = (2, 3)
SEED = 7


def has_templates(message):
    at = HEADER.size
    while at + SET_HEADER.size <= len(message):
        number, length = SET_HEADER.unpack_from(message, at)
        if number in TEMPLATE_SETS:
            return True
        at += max(length, SET_HEADER.size)
    return False


class Proxies:
    """Between the switches and 'daemon', a tracing.Vtraced, from now on, as a
    context manager; drops so many percent of messages, chosen at random."""

    def __init__(self, daemon, percent):
        self.daemon = daemon
        self.share = percent / 100
        self.random = random.Random(SEED)
        self.selector = selectors.DefaultSelector()
        self.dropped = self.passed = self.templates = 0
        self.error = None
        self._stop = False
        self._thread = threading.Thread(target=self._main, daemon=True)

    def __enter__(self):
        self._thread.start()
        for name in self.daemon.stage.scenario.names:
            there = self.daemon._collector(name)
            self._listen(there + ".proxy", there)
            self._point(name, there + ".proxy")
        try:
            until(lambda: self.templates >= len(
                      self.daemon.stage.scenario.names)
                  and all(node["records"] == "connected"
                          for node in self.daemon.call("nodes")),
                  20, "switches to send records by way of the proxies")
            # What enters within a second after a switch has been heard first
            # is not judged, and its first watermarks may be dropped.
            time.sleep(2)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._stop = True
        self._thread.join()
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()
        for name in self.daemon.stage.scenario.names:
            self._point(name, self.daemon._collector(name))

    def counts(self):
        """(messages dropped, messages in all) so far."""
        if self.error:
            raise FabricError("the proxy of IPFIX: %s" % self.error)
        return self.dropped, self.dropped + self.passed

    def _point(self, name, path):
        self.daemon.stage.switch(name).vsctl(
            "set", "Open_vSwitch", ".",
            "other_config:vtrace-collector=unix:" + path)

    def _listen(self, here, there):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.bind(here)
        sock.listen()
        self.selector.register(sock, selectors.EVENT_READ,
                               lambda: self._accept(sock, there))

    def _accept(self, listener, there):
        switch, _ = listener.accept()
        collector = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        collector.connect(there)
        rest = bytearray()
        self.selector.register(
            switch, selectors.EVENT_READ,
            lambda: self._read(switch, collector, rest))

    def _read(self, switch, collector, rest):
        data = switch.recv(65536)
        if not data:
            self.selector.unregister(switch)
            switch.close()
            collector.close()
            return
        rest += data
        while len(rest) >= HEADER.size:
            version, length, *_ = HEADER.unpack_from(rest)
            if version != VERSION or length < HEADER.size:
                raise OSError("not IPFIX: version %d, length %d"
                              % (version, length))
            if len(rest) < length:
                break
            message = bytes(rest[:length])
            del rest[:length]
            templates = has_templates(message)
            self.templates += templates
            if not templates and self.random.random() < self.share:
                self.dropped += 1
            else:
                self.passed += 1
                collector.sendall(message)

    def _main(self):
        try:
            while not self._stop:
                for key, _ in self.selector.select(0.1):
                    key.data()
        except OSError as error:
            self.error = error
