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

"""A stage of scenarios.py with many addresses at both ends and UDP flows
between them, as threads of the program that uses them."""

import collections
import selectors
import socket
import time

import echo
import scenarios

PORT = 7007                     # The stage has a server at port 7.
SIZE = 100
BURST = 200                     # Packets sent at once at most, when late.

# One UDP flow.  'near' is true if the near end (hypervisor 1's) sends it.
Flow = collections.namedtuple("Flow", "source target near")


def addresses(flows, near):
    """Addresses of one end, each once and in order."""
    return list(dict.fromkeys(
        flow.source if flow.near == near else flow.target for flow in flows))


class Stage(scenarios.Stage):
    """Scenario "vpc", in which both ends may begin a flow."""

    def __init__(self, tree, prefix=None):
        super().__init__(tree, "vpc", prefix=prefix)

    def guard_flows(self):
        flows = super().guard_flows()
        flows["br-int"].append(
            "table=1,priority=80,ip,in_port=va,ct_state=+trk+new "
            "actions=ct(commit,zone=1,table=3)")
        return flows

    def settle(self, flows):
        """Gives both ends the addresses of 'flows'.  Neighbors are
        permanent."""
        ends = ((self.near(), 1, True), (self.far(), self.last, False))
        for node, _, near in ends:
            peer = self.tenant_mac(self.last if near else 1, 0)
            self.ip(node,
                    *("addr replace %s/32 dev eth0" % a
                      for a in addresses(flows, near)),
                    *("neigh replace %s lladdr %s dev eth0 nud permanent"
                      % (a, peer) for a in addresses(flows, not near)),
                    *("route replace %s dev eth0" % a
                      for a in addresses(flows, not near)))


class _End(echo.Server):
    def _bound(self, address, port):
        sock = self._socket(socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        sock.bind((address, port))
        self.selector.register(sock, selectors.EVENT_READ)
        return sock


class Echoes(_End):
    """Sends back what comes to PORT of 'addresses' in a namespace."""

    def __init__(self, namespace, addresses):
        super().__init__(namespace)
        self.addresses = addresses

    def _prepare(self):
        for address in self.addresses:
            self._bound(address, PORT)

    def _turn(self):
        for key, _ in self.selector.select(0.1):
            try:
                data, peer = key.fileobj.recvfrom(2048)
                key.fileobj.sendto(data, peer)
            except OSError:
                pass            # Not there any more, or refused by the peer.


class Talk(_End):
    """Sends 'rate' packets a second over each of 'flows', (source, target)
    addresses, from a namespace.  No two packets have the same bytes."""

    def __init__(self, namespace, flows, rate):
        super().__init__(namespace)
        self.flows = flows
        self.rate = rate
        self.sent = 0
        self.answered = [0] * len(flows)

    def _prepare(self):
        self.sockets = [self._bound(source, 0) for source, _ in self.flows]
        self.number = {sock: i for i, sock in enumerate(self.sockets)}
        self.start = time.monotonic()

    def _turn(self):
        due = int((time.monotonic() - self.start) * self.rate
                  * len(self.flows))
        for _ in range(min(due - self.sent, BURST)):
            i = self.sent % len(self.flows)
            self.sent += 1
            try:
                self.sockets[i].sendto(
                    self.sent.to_bytes(8, "big").ljust(SIZE, b"z"),
                    (self.flows[i][1], PORT))
            except OSError:
                pass            # An ICMP error of the packet before.
        for key, _ in self.selector.select(0.005):
            try:
                key.fileobj.recv(2048)
                self.answered[self.number[key.fileobj]] += 1
            except OSError:
                pass


class Crowd:
    """All of 'flows' at a stage, with echoes, as a context manager."""

    def __init__(self, stage, flows, rate):
        self.threads = []
        for near in (True, False):
            mine = [flow for flow in flows if flow.near == near]
            if mine:
                here, there = ((stage.near(), stage.far()) if near
                               else (stage.far(), stage.near()))
                self.threads += [
                    Echoes(stage.ns(there),
                           list(dict.fromkeys(f.target for f in mine))),
                    Talk(stage.ns(here), [(f.source, f.target) for f in mine],
                         rate)]
        self.talks = self.threads[1::2]

    def __enter__(self):
        for thread in self.threads:
            thread.__enter__()
        return self

    def __exit__(self, *_):
        for thread in reversed(self.threads):
            thread.__exit__()

    def answered(self):
        """How many packets of each flow came back so far, flows from the near
        end first."""
        return [n for talk in self.talks for n in talk.answered]
