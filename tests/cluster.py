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

"""A fabric in which hypervisors 2, 3, ... are instances of one stateful
middlebox: they have the same VTEP address, which the spines reach by ECMP, and
behind each of them a server has the same tenant's address.

An instance passes only packets of TCP sessions that began at it: connection
tracking in its Open vSwitch refuses all others.
"""

import selectors
import socket
import struct
import threading
import time

import fabric
import pipelines
from netns import FabricError, in_namespace

VIP = "10.0.9.1"
PORT = 7


class Cluster(fabric.Fabric):
    def __init__(self, trees, instances=3, **kwargs):
        pipelines.PIPELINES["cluster"] = Cluster._pipeline
        super().__init__(trees, hypervisors=1 + instances, pipeline="cluster",
                         **kwargs)
        self.instances = range(2, 2 + instances)

    def vtep(self, i):
        return VIP if i > 1 else super().vtep(i)

    def gateway(self, i):
        return "10.0.9.254" if i > 1 else super().gateway(i)

    def prefix_of(self, i):
        return "10.0.9.0/24" if i > 1 else super().prefix_of(i)

    def tenant(self, i, tenant="a", ipv6=False):
        return super().tenant(min(i, 2), tenant, ipv6)

    @staticmethod
    def tenant_mac(i, n):
        return fabric.Fabric.tenant_mac(min(i, 2), n)

    @staticmethod
    def backend(i):
        """BackendID of instance i."""
        return "0a:00:00:00:ff:%02x" % i

    def _make_underlay(self):
        for i in self.hypervisors:
            leaf = "l%d" % i
            self._veth("h%d" % i, "up0", leaf, "dn0")
            self._address(leaf, "dn0", self.plen(self.gateway(i)))
            for k in self.spines:
                self._veth(leaf, "s%d" % k, "s%d" % k, leaf)
                self._address(leaf, "s%d" % k, self.plen(self.link(i, k, 2)))
                self._address("s%d" % k, leaf, self.plen(self.link(i, k, 1)))
            self.ip(leaf, "route add %s %s" % (
                self.prefix_of(2 if i == 1 else 1), " ".join(
                    "nexthop via %s dev s%d" % (self.link(i, k, 1), k)
                    for k in self.spines)))
        for k in self.spines:
            # Otherwise spines would choose by the same bits of the same hash
            # as leaves, so that each would know only one instance.
            with in_namespace(self.ns("s%d" % k)):
                for key, value in (("policy", 3), ("fields", 0x30)):
                    with open("/proc/sys/net/ipv4/fib_multipath_hash_" + key,
                              "w") as file:
                        file.write(str(value))
            self.ip("s%d" % k, "route add %s via %s dev l1"
                    % (self.prefix_of(1), self.link(1, k, 2)))
        self.route_to(self.instances)

    def route_to(self, instances):
        """Has the spines reach the middlebox's address at these instances
        only, as routing does when one has died.  Source ports lead to others
        then, also of those that led to an instance which is there still."""
        for k in self.spines:
            self.ip("s%d" % k, "route replace %s %s" % (
                self.prefix_of(2), " ".join(
                    "nexthop via %s dev l%d" % (self.link(i, k, 2), i)
                    for i in instances)))

    def _pipeline(self, i):
        commands = (pipelines._bridge("br-int")
                    + pipelines._tenant_ports(self)
                    + pipelines._port(
                        "br-int", "tun", "type=vxlan",
                        "options:remote_ip=" + self.vtep(2 if i == 1 else 1),
                        "options:local_ip=" + self.vtep(i),
                        "options:key=%d" % pipelines.VNI))
        if i == 1:
            return commands, {}
        return commands, {"br-int": [
            "table=0,priority=10,tcp actions=ct(table=1)",
            "table=0,priority=0 actions=NORMAL",
            "table=1,priority=10,ct_state=+trk+est,tcp actions=NORMAL",
            "table=1,priority=10,ct_state=+trk+new,tcp,tcp_flags=+syn-ack "
            "actions=ct(commit),NORMAL",
            "table=1,priority=0 actions=drop"]}

    def _make_tenants(self):
        super()._make_tenants()
        for i in self.hypervisors:
            other = 2 if i == 1 else 1
            self.ip("t%da" % i, "neigh add %s lladdr %s dev eth0"
                    % (self.tenant(other), self.tenant_mac(other, 0)))

    def wait_reachable(self, seconds=60):
        """The first session does that."""

    def revive(self, i):
        """Starts the switch of an instance that was killed."""
        self.switches[i].start_vswitchd()
        self._make_vtep(i, "br-phy")
        self._add_flows(i)

    def refused(self, instances=None):
        """Packets that instances have refused, of sessions that they do not
        know."""
        return sum(int(line.split("n_packets=")[1].split(",")[0])
                   for i in instances or self.instances
                   for line in self.switches[i].ofctl(
                       "dump-flows", "br-int", "table=1").splitlines()
                   if "priority=0" in line)

    def sessions_at(self, i):
        """The tenant's TCP ports whose sessions instance i's server has."""
        text = self.run("t%da" % i, "ss", "-Htn", "state", "established",
                        "( sport = :%d )" % PORT)
        return {int(line.split()[-1].rsplit(":", 1)[1])
                for line in text.splitlines()}


class Sessions:
    """'n' TCP sessions from t1a to the servers' address, each of which sends a
    few bytes ten times a second and expects them back.

    A session is broken when it is reset, or when nothing has come back for
    'patience' seconds."""

    def __init__(self, fab, n, patience):
        self.fabric = fab
        self.n = n
        self.patience = patience
        self.broken = {}            # Session: why.
        self.longest = 0.0          # Silence of a session that is not broken.
        self._stop = False
        self._thread = threading.Thread(target=self._main, daemon=True)

    def __enter__(self):
        self.sockets = []
        self.ports = []
        self.heard = []
        for _ in range(self.n):
            self.sockets.append(self._connect())
            self.ports.append(self.sockets[-1].getsockname()[1])
            self.heard.append(time.monotonic())
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.stop()
        for sock in self.sockets:
            sock.close()

    def port(self, i):
        """The TCP port of session i."""
        return self.ports[i]

    def stop(self):
        self._stop = True
        self._thread.join()

    def forget_broken(self):
        """Resets what is broken, which would be tried again for minutes."""
        for i in list(self.broken):
            self.sockets[i].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                       struct.pack("ii", 1, 0))
            self.sockets[i].close()

    def _connect(self):
        with in_namespace(self.fabric.ns("t1a")):
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.settimeout(20)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            sock.connect((self.fabric.tenant(2), PORT))
        except OSError as error:
            raise FabricError("%s port %d: connect: %s"
                              % (self.fabric.tenant(2), PORT, error))
        sock.setblocking(False)
        return sock

    def _fail(self, i, selector, why):
        self.broken[i] = why
        selector.unregister(self.sockets[i])

    def _main(self):
        selector = selectors.DefaultSelector()
        for i, sock in enumerate(self.sockets):
            selector.register(sock, selectors.EVENT_READ, i)
            self.heard[i] = time.monotonic()
        turn = time.monotonic()
        while not self._stop:
            turn += 0.1 / 10
            self._send(selector, round(turn * 100) % 10)
            while True:
                rest = turn - time.monotonic()
                if rest <= 0:
                    break
                for key, _ in selector.select(rest):
                    self._receive(selector, key.data)
        selector.close()

    def _send(self, selector, part):
        """Sends for a tenth of the sessions, and looks for silent ones."""
        for i in range(part, self.n, 10):
            if i in self.broken:
                continue
            if time.monotonic() - self.heard[i] > self.patience:
                self._fail(i, selector, "silent")
                continue
            try:
                self.sockets[i].send(b"%08d" % i)
            except BlockingIOError:
                pass
            except OSError as error:
                self._fail(i, selector, str(error))

    def _receive(self, selector, i):
        try:
            data = self.sockets[i].recv(4096)
            now = time.monotonic()
            if data:
                self.longest = max(self.longest, now - self.heard[i])
                self.heard[i] = now
            else:
                self._fail(i, selector, "closed")
        except BlockingIOError:
            pass
        except OSError as error:
            self._fail(i, selector, str(error))
