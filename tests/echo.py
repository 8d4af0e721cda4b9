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


"""An echo server and clients of it, as threads of the program that uses them:
network namespaces are those of sockets, and no process has to be started.

A client sends 100 messages a second over a few flows, short and long ones in
turn, all with the same bytes.  Over TCP a connection that makes no progress is
reset and opened again, so that a flow that loses everything still has packets.
"""

import collections
import selectors
import socket
import struct
import threading
import time

from netns import FabricError, in_namespace

PORT = 7
RATE = 100                      # Messages per second of a client.
SIZES = {"udp": (200, 1400),    # Payload bytes, in turn.  The long ones are
         "tcp": (200, 1376)}    # packets of 1428 bytes.
FLOWS = {"udp": 4, "tcp": 8}
STALLED = 0.9                   # Seconds until a connection is given up: more
                                # than a failover and two retransmissions.
LATE = 0.15                     # An answer later than that is trouble.
SETTLE = 0.25                   # Seconds after which answers are looked at.


class _Thread:
    """A thread with an event loop, as a context manager."""

    def __init__(self, namespace, family):
        self.namespace = namespace
        self.family = family
        self.selector = selectors.DefaultSelector()
        self.error = None
        self._stop = False
        self._thread = threading.Thread(target=self._main, daemon=True)

    def __enter__(self):
        self._prepare()
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop = True
        self._thread.join()
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()

    def _main(self):
        try:
            while not self._stop:
                self._turn()
        except OSError as error:
            self.error = error

    def _socket(self, kind):
        with in_namespace(self.namespace):
            sock = socket.socket(self.family, kind)
        sock.setblocking(False)
        return sock


class Server(_Thread):
    """Sends back what comes to UDP and TCP port 7 in a namespace, with IPv4, or
    with both if 'family' is that of IPv6."""

    def __init__(self, namespace, family=socket.AF_INET):
        super().__init__(namespace, family)
        self._forget = threading.Event()
        self._forgot = threading.Event()

    def forget(self):
        """Resets all connections.  Those whose client is gone, and could not
        say so, would send again what was not acknowledged, for minutes."""
        self._forgot.clear()
        self._forget.set()
        if not self._forgot.wait(5):
            raise FabricError("the server does not answer: %s" % self.error)

    def _reset(self):
        for key in list(self.selector.get_map().values()):
            sock = key.fileobj
            if sock is not self.udp:
                self.selector.unregister(sock)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                struct.pack("ii", 1, 0))
                sock.close()
        self._listen()          # Half open connections went with the old one.

    def _listen(self):
        self.tcp = self._socket(socket.SOCK_STREAM)
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.tcp.bind(("", PORT))
        self.tcp.listen(64)
        self.selector.register(self.tcp, selectors.EVENT_READ)

    def _prepare(self):
        self.udp = self._socket(socket.SOCK_DGRAM)
        self.udp.bind(("", PORT))
        self.selector.register(self.udp, selectors.EVENT_READ)
        self._listen()

    def _turn(self):
        if self._forget.is_set():
            self._forget.clear()
            self._reset()
            self._forgot.set()
        for key, _ in self.selector.select(0.1):
            sock = key.fileobj
            try:
                if sock is self.udp:
                    data, peer = sock.recvfrom(65536)
                    sock.sendto(data, peer)
                elif sock is self.tcp:
                    sock, _ = sock.accept()
                    sock.setblocking(False)
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self.selector.register(sock, selectors.EVENT_READ)
                else:
                    data = sock.recv(65536)
                    if not data:
                        raise ConnectionResetError
                    sock.send(data)     # Too much for the buffer is lost.
            except BlockingIOError:
                pass
            except OSError:
                if sock not in (self.udp, self.tcp):
                    self.selector.unregister(sock)
                    sock.close()


class Client(_Thread):
    """Talks from a namespace, there from the address 'source' if that is given,
    to a Server's 'address'."""

    def __init__(self, namespace, address, proto, source=None):
        ipv6 = ":" in address
        super().__init__(namespace,
                         socket.AF_INET6 if ipv6 else socket.AF_INET)
        self.address = address
        self.source = source
        self.proto = proto
        # Of the same packets: IPv6's header is longer.
        self.sizes = [size - 20 * (ipv6 and size > 1000)
                      for size in SIZES[proto]]
        self.turn = 0
        self.messages = collections.deque(maxlen=60 * RATE)  # [sent, answered
                                                             #  or None].
        self.lock = threading.Lock()

    def _turn(self):
        self._tick(self.turn)
        self.turn += 1
        until = self.start + self.turn / RATE
        while True:
            rest = until - time.monotonic()
            if rest <= 0:
                break
            for key, events in self.selector.select(rest):
                self._ready(key, events)

    def _socket(self, kind):
        sock = super()._socket(kind)
        if self.source:
            sock.bind((self.source, 0))
        return sock

    def troubled(self, begin, end):
        """(messages of the time from 'begin' to 'end' that were not answered
        in time, all of them); waits until this can be told."""
        time.sleep(max(0, end + SETTLE - time.monotonic()))
        if self.error:
            raise FabricError("the %s client: %s" % (self.proto, self.error))
        with self.lock:
            answered = [answer is not None and answer - sent < LATE
                        for sent, answer in self.messages
                        if begin <= sent < end]
        return answered.count(False), len(answered)


def watch(clients, seconds):
    """What troubled() of each client says of the next 'seconds'."""
    now = time.monotonic()
    return [client.troubled(now, now + seconds) for client in clients]


def wait_well(clients, seconds=20):
    """Waits until no client is in trouble any more."""
    deadline = time.monotonic() + seconds
    while True:
        counts = watch(clients, 0.4)
        if all(sent and not troubled for troubled, sent in counts):
            return
        if time.monotonic() > deadline:
            raise FabricError("after %g s still in trouble: %s" % (
                seconds, ", ".join("%d of %d %s messages to %s" % (
                    *count, client.proto, client.address)
                    for client, count in zip(clients, counts))))


class UdpClient(Client):
    """The datagrams of a socket cannot be told apart but by their length: an
    answer is taken for the latest one's that has none yet."""

    def __init__(self, namespace, address, source=None):
        super().__init__(namespace, address, "udp", source)

    def _prepare(self):
        self.sockets = [self._socket(socket.SOCK_DGRAM)
                        for _ in range(FLOWS["udp"])]
        self.open = {}
        for sock in self.sockets:
            self.selector.register(sock, selectors.EVENT_READ)
            for size in self.sizes:
                self.open[sock, size] = collections.deque(maxlen=8)
        self.start = time.monotonic()

    def _tick(self, turn):
        n = len(self.sockets)
        size = self.sizes[(turn // n) % len(self.sizes)]
        sock = self.sockets[turn % n]
        message = [time.monotonic(), None]
        self.open[sock, size].append(message)
        with self.lock:
            self.messages.append(message)
        try:
            sock.sendto(b"z" * size, (self.address, PORT))
        except OSError:
            pass                # An ICMP error: unanswered, too.

    def _ready(self, key, _):
        try:
            size = len(key.fileobj.recv(65536))
        except OSError:
            return
        waiting = self.open.get((key.fileobj, size))
        if waiting:
            message = waiting.pop()
            with self.lock:
                message[1] = time.monotonic()


class _Connection:
    def __init__(self, sock):
        self.sock = sock
        self.connected = False
        self.progress = time.monotonic()
        self.waiting = collections.deque()      # [message, bytes to come].


class TcpClient(Client):
    def __init__(self, namespace, address, source=None):
        super().__init__(namespace, address, "tcp", source)
        self.resets = 0

    def retransmitted(self):
        """Packets that the kernel sent again so far on the connections that
        are open."""
        return sum(struct.unpack_from("I", connection.sock.getsockopt(
                       socket.IPPROTO_TCP, socket.TCP_INFO, 104), 100)[0]
                   for connection in list(self.connections))

    def _prepare(self):
        self.start = time.monotonic()
        self.connections = [self._connect() for _ in range(FLOWS["tcp"])]

    def _connect(self):
        sock = self._socket(socket.SOCK_STREAM)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Whoever gives up says so, and keeps nothing.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                        struct.pack("ii", 1, 0))
        connection = _Connection(sock)
        try:
            sock.connect((self.address, PORT))
        except OSError:
            pass                # Under way, or found out by the lack of it.
        self.selector.register(sock, selectors.EVENT_READ
                               | selectors.EVENT_WRITE, connection)
        return connection

    def _reconnect(self, connection):
        self.selector.unregister(connection.sock)
        connection.sock.close()
        self.resets += 1
        i = self.connections.index(connection)
        self.connections[i] = self._connect()

    def _tick(self, turn):
        n = len(self.connections)
        connection = self.connections[turn % n]
        size = self.sizes[(turn // n) % len(self.sizes)]
        message = [time.monotonic(), None]
        with self.lock:
            self.messages.append(message)
        if time.monotonic() - connection.progress > STALLED:
            self._reconnect(connection)
            return
        if not connection.connected:
            return
        try:
            if not connection.waiting:
                connection.progress = time.monotonic()
            if connection.sock.send(b"z" * size) == size:
                connection.waiting.append([message, size])
            else:
                self._reconnect(connection)
        except BlockingIOError:
            pass
        except OSError:
            self._reconnect(connection)

    def _ready(self, key, events):
        connection = key.data
        if connection not in self.connections:
            return
        try:
            if events & selectors.EVENT_WRITE and not connection.connected:
                if connection.sock.getsockopt(socket.SOL_SOCKET,
                                              socket.SO_ERROR):
                    # Refused at once: the next tick of its turn tries again.
                    connection.progress = 0
                else:
                    connection.connected = True
                    connection.progress = time.monotonic()
                self.selector.modify(connection.sock, selectors.EVENT_READ,
                                     connection)
            if events & selectors.EVENT_READ and connection.connected:
                n = len(connection.sock.recv(65536))
                if not n:
                    raise ConnectionResetError
                self._answered(connection, n)
        except BlockingIOError:
            pass
        except OSError:
            self._reconnect(connection)

    def _answered(self, connection, n):
        now = connection.progress = time.monotonic()
        while n and connection.waiting:
            entry = connection.waiting[0]
            part = min(n, entry[1])
            entry[1] -= part
            n -= part
            if not entry[1]:
                connection.waiting.popleft()
                with self.lock:
                    entry[0][1] = now


def client(namespace, address, proto, source=None):
    return {"udp": UdpClient, "tcp": TcpClient}[proto](namespace, address,
                                                       source)
