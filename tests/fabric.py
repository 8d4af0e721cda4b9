#!/usr/bin/env python3
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

"""A leaf-spine fabric of network namespaces with Open vSwitch at its edge.

        t1a          t1b                               t2a
         |            |                                 |
        h1: br-int --tunnel-- br-phy              h2: br-int ... br-phy
                                |                                  |
                               l1                                 l2
                              /  \\____________  ________________/  \\
                             s1        s2     s3        s4

Each hypervisor hI runs an ovsdb-server and an ovs-vswitchd of a build tree of
its own (userspace datapath), or the Linux kernel's VXLAN driver.  Its leaf lI
routes with kernel ECMP, hashed on the outer addresses and ports, over all
spines sK.  A tenant tIa, tIb, ... hangs off br-int.

A process of its own, the janitor, takes everything down when the program that
made the fabric closes it, is interrupted, or is killed by any signal.
"""

import argparse
import concurrent.futures
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

import pipelines
from netns import (FabricError, destroy, in_namespace, namespaces, netns_path,
                   sh, until)

INTERRUPTS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
LINK_MTU = 1700                 # Room for any tunnel header over IPv6.


class Switch:
    """One ovsdb-server and one ovs-vswitchd of the build tree (or installation
    prefix) 'tree', in network namespace 'netns', with run directory 'rundir'.
    """

    DAEMONS = "ovs-vswitchd", "ovsdb-server" # In the order of their end.

    def __init__(self, tree, netns, rundir):
        self.tree = tree
        self.netns = netns
        self.rundir = rundir
        self.env = dict(os.environ, OVS_RUNDIR=rundir, OVS_LOGDIR=rundir,
                        OVS_DBDIR=rundir, OVS_SYSCONFDIR=rundir)

    def tool(self, name):
        for place in ("ovsdb", "vswitchd", "utilities", "sbin", "bin",
                      "share/openvswitch"):
            path = os.path.join(self.tree, place, name)
            if os.path.exists(path):
                return path
        raise FabricError("%s: no %s in this Open vSwitch build tree"
                          % (self.tree, name))

    def run(self, name, *args, check=True, timeout=30):
        return sh(self.tool(name), *args, env=self.env, check=check,
                  timeout=timeout)

    def vsctl(self, *args, check=True):
        return self.run("ovs-vsctl", "--timeout=20", *args, check=check)

    def ofctl(self, *args, check=True):
        return self.run("ovs-ofctl", *args, check=check)

    def appctl(self, *args, check=True):
        return self.run("ovs-appctl", "--timeout=10", *args, check=check)

    def _daemon(self, name, *args, nice=0):
        sh("nsenter", "--net=" + netns_path(self.netns),
           "nice", "-n", nice,
           self.tool(name), *args, "--pidfile", "--detach", "--no-chdir",
           "--log-file", "-vconsole:off", "-vsyslog:off", env=self.env,
           timeout=30, stdin=subprocess.DEVNULL)

    def start(self):
        os.makedirs(self.rundir, exist_ok=True)
        self.run("ovsdb-tool", "create", os.path.join(self.rundir, "conf.db"),
                 self.tool("vswitch.ovsschema"))
        self.start_ovsdb()
        self.vsctl("--no-wait", "init")
        self.start_vswitchd()

    def start_ovsdb(self):
        self._daemon("ovsdb-server", os.path.join(self.rundir, "conf.db"),
                     "--remote=punix:" + os.path.join(self.rundir, "db.sock"))

    def start_vswitchd(self):
        # ovs-ctl starts the daemon with this priority, too.
        self._daemon("ovs-vswitchd", "--disable-system", nice=-10)

    def pid(self, name="ovs-vswitchd"):
        with open(os.path.join(self.rundir, name + ".pid")) as file:
            return int(file.read())

    def stop_vswitchd(self, kill=False):
        """Ends ovs-vswitchd, as a restart does or by SIGKILL, and waits until
        it is gone."""
        if kill:
            self.kill("ovs-vswitchd")
            return
        pid = self.pid()
        self.appctl("exit")
        self._wait_end("ovs-vswitchd", pid)

    def _wait_end(self, name, pid):
        until(lambda: not os.path.exists("/proc/%d" % pid), 20,
              "the end of %s %d in %s" % (name, pid, self.netns))

    def kill(self, name):
        """Ends a daemon by SIGKILL, and waits until it is gone."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGKILL)
        self._wait_end(name, pid)

    def stop(self):
        for name in self.DAEMONS:
            try:
                pid = self.pid(name)
                self.run("ovs-appctl", "--timeout=5", "-t", name, "exit")
            except (FabricError, FileNotFoundError):
                continue
            until(lambda: not os.path.exists("/proc/%d" % pid), 10,
                  "the end of %s %d" % (name, pid))

    def log(self, name="ovs-vswitchd"):
        with open(os.path.join(self.rundir, name + ".log"),
                  errors="replace") as file:
            return file.read()


def bond_is_up(switch):
    status = switch.appctl("bond/show", "bond0")
    return ("lacp_status: negotiated" in status
            and status.count("may_enable: true") == 2)


class Fabric:
    """See the module's description.

    trees: one build tree of Open vSwitch per hypervisor, or one for all; the
        word "kernel" in its place is the Linux kernel's own VXLAN driver.
    underlay: "ipv4" or "ipv6"; tunnel: "vxlan" or "geneve".
    pipeline: per hypervisor or one for all, what the bridges do, see
        pipelines.py.
    bond: hypervisors reach their leaf through a balance-tcp LACP bond of two
        members; the leaf's end of it is a switch of 'bond_tree' (the
        hypervisor's own tree without one).
    gbp: the tunnels have the group policy extension of VXLAN.
    keep: no janitor, the fabric outlives this program (the command line).
    attach: the fabric is up already.
    """

    ROUTERS = "ls"              # First letters of nodes that forward.

    link_mtu = LINK_MTU

    def __init__(self, trees, hypervisors=2, spines=4, tenants=1,
                 underlay="ipv4", tunnel="vxlan", pipeline="normal",
                 bond=False, bond_tree=None, gbp=False, prefix=None,
                 rundir=None, keep=False, attach=False):
        def per_hypervisor(what, name):
            what = [what] if isinstance(what, str) else list(what)
            if len(what) == 1:
                what *= hypervisors
            if len(what) != hypervisors:
                raise FabricError("%s: %d given for %d hypervisors"
                                  % (name, len(what), hypervisors))
            return dict(enumerate(what, 1))

        self.trees = per_hypervisor(trees, "trees")
        self.pipelines = per_hypervisor(pipeline, "pipeline")
        self.hypervisors = range(1, hypervisors + 1)
        self.spines = range(1, spines + 1)
        self.tenants = "abcdefgh"[:tenants]
        self.ipv6 = underlay == "ipv6"
        self.tunnel = tunnel
        self.bond = bond
        self.bond_tree = bond_tree
        self.gbp = gbp
        self.keep = keep
        self.prefix = prefix or "zoo%d" % os.getpid()
        if namespaces(self.prefix) and not attach:
            raise FabricError("%s: a fabric of this name is up" % self.prefix)
        self.rundir = rundir or os.path.join(tempfile.gettempdir(),
                                             self.prefix)
        self.switches = {
            i: Switch(tree, self.ns("h%d" % i),
                      os.path.join(self.rundir, "h%d" % i))
            for i, tree in self.trees.items() if tree != "kernel"}
        self.leaf_switches = {
            i: Switch(bond_tree or switch.tree, self.ns("l%d" % i),
                      os.path.join(self.rundir, "l%d" % i))
            for i, switch in self.switches.items() if bond}
        self._forwarding = {}
        self._janitor = None

    # Names and addresses.

    def ns(self, node):
        return "%s-%s" % (self.prefix, node)

    def nodes(self):
        return (["%s%d" % (kind, i) for i in self.hypervisors for kind in "hl"]
                + ["t%d%s" % (i, t) for i in self.hypervisors
                   for t in self.tenants]
                + ["s%d" % k for k in self.spines])

    def vtep(self, i):
        return "fd00:0:%d::1" % i if self.ipv6 else "10.0.%d.1" % i

    def gateway(self, i):
        return "fd00:0:%d::fe" % i if self.ipv6 else "10.0.%d.254" % i

    def prefix_of(self, i):
        return "fd00:0:%d::/64" % i if self.ipv6 else "10.0.%d.0/24" % i

    def link(self, i, k, end):
        """Address of the link of leaf i and spine k; end 1 is the spine's."""
        if self.ipv6:
            return "fd00:1:%d:%d::%d" % (k, i, end)
        return "10.%d.%d.%d" % (100 + k, i, end)

    def plen(self, address):
        return address + ("/64" if self.ipv6 else "/24")

    def tenant(self, i, tenant="a", ipv6=False):
        """Address of a tenant of hypervisor i."""
        n = self.tenants.index(tenant)
        return "fd99::%x:%x" % (n, i) if ipv6 else "192.168.%d.%d" % (n, i)

    @staticmethod
    def tenant_mac(i, n):
        return "0a:00:00:00:%02x:%02x" % (n, i)

    # Life.

    def __enter__(self):
        try:
            self.up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *_):
        self.down()

    def up(self):
        """Makes everything and returns once every tenant's packets reach every
        other hypervisor's tenants."""
        if not self.keep:
            self._start_janitor()
        os.mkdir(self.rundir, 0o700)
        self._make_namespaces()
        self._make_underlay()
        self._make_tenants()
        for i in self.hypervisors:
            if self.trees[i] == "kernel":
                self._make_kernel_vtep(i)
            else:
                self._make_switch(i)
        self.open_failures()
        self.wait_reachable()

    def _start_janitor(self):
        reading, self._janitor_pipe = os.pipe()
        # An interrupt must not have it unwind what is its parent's.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
        self._janitor = os.fork()
        if self._janitor:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            os.close(reading)
            return
        try:
            os.setsid()
            os.close(self._janitor_pipe)
            for signo in INTERRUPTS:
                signal.signal(signo, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            os.read(reading, 1)         # A byte, or the end of the owner.
            destroy(self.prefix, self.rundir)
        finally:
            os._exit(0)

    def down(self):
        for fds in self._forwarding.values():
            for fd in fds:
                os.close(fd)
        self._forwarding = {}
        try:
            with concurrent.futures.ThreadPoolExecutor() as pool:
                list(pool.map(Switch.stop, [*self.switches.values(),
                                            *self.leaf_switches.values()]))
        finally:
            if self.keep:
                destroy(self.prefix, self.rundir)
            elif self._janitor:
                janitor, self._janitor = self._janitor, None
                os.write(self._janitor_pipe, b"x")
                os.close(self._janitor_pipe)
                os.waitpid(janitor, 0)

    # Construction.

    def _make_namespaces(self):
        sh("ip", "-batch", "-", input="".join(
            "netns add %s\n" % self.ns(node) for node in self.nodes()))
        for node in self.nodes():
            router = int(node[0] in self.ROUTERS)
            settings = {"ipv4/conf/all/rp_filter": 0,
                        "ipv4/conf/default/rp_filter": 0,
                        "ipv6/conf/all/accept_dad": 0,
                        "ipv6/conf/default/accept_dad": 0,
                        "ipv6/conf/default/accept_ra": 0,
                        "ipv4/ip_forward": router,
                        "ipv6/conf/all/forwarding": router}
            if router:
                # The fabric's point: ECMP by outer addresses and ports.
                settings["ipv4/fib_multipath_hash_policy"] = 1
                settings["ipv6/fib_multipath_hash_policy"] = 1
            with in_namespace(self.ns(node)):
                for key, value in settings.items():
                    with open("/proc/sys/net/" + key, "w") as file:
                        file.write(str(value))
            self.ip(node, "link set lo up")

    def ip(self, node, *lines):
        """Runs iproute2 commands in the namespace of 'node'."""
        sh("ip", "-n", self.ns(node), "-batch", "-",
           input="\n".join(lines) + "\n")

    def _veth(self, node, device, peer_node, peer_device, mtu=None,
              mac=None):
        mtu = mtu or self.link_mtu
        sh("ip", "link", "add", device, "netns", self.ns(node), "mtu", mtu,
           *(["address", mac] if mac else []), "type", "veth",
           "peer", "name", peer_device, "netns", self.ns(peer_node),
           "mtu", mtu)
        for where, name in ((node, device), (peer_node, peer_device)):
            # Open vSwitch 3.1 can neither finish a checksum nor segment what
            # a veth peer hands over unfinished.
            self.run(where, "ethtool", "-K", name, "tx", "off", "gso", "off",
                     "tso", "off", "gro", "off")
            self.ip(where, "link set %s up" % name)

    def _address(self, node, device, address):
        self.ip(node, "addr replace %s dev %s%s"
                % (address, device, " nodad" if ":" in address else ""),
                "link set %s up" % device)

    def uplinks(self):
        return ["up0", "up1"] if self.bond else ["up0"]

    def leaf_device(self, i):
        """The leaf's device towards hypervisor i."""
        return "br-leaf" if i in self.leaf_switches else "dn0"

    def _make_underlay(self):
        for i in self.hypervisors:
            leaf = "l%d" % i
            for n, uplink in enumerate(self.uplinks()):
                self._veth("h%d" % i, uplink, leaf, "dn%d" % n)
            if i not in self.leaf_switches:
                self._address(leaf, "dn0", self.plen(self.gateway(i)))
            for k in self.spines:
                self._veth(leaf, "s%d" % k, "s%d" % k, leaf)
                self._address(leaf, "s%d" % k, self.plen(self.link(i, k, 2)))
                self._address("s%d" % k, leaf, self.plen(self.link(i, k, 1)))
        for i in self.hypervisors:
            for k in self.spines:
                self.ip("s%d" % k, "route add %s via %s dev l%d"
                        % (self.prefix_of(i), self.link(i, k, 2), i))
            self.ip("l%d" % i, *(
                "route add %s %s" % (self.prefix_of(j), " ".join(
                    "nexthop via %s dev s%d" % (self.link(i, k, 1), k)
                    for k in self.spines))
                for j in self.hypervisors if j != i))

    def _make_leaf_bond(self, i):
        """Makes the leaf's end of the hypervisor's bond.  Open vSwitch deals
        the hashes to the members that are up when the first packet comes, so
        nothing has an address before all are."""
        leaf = self.leaf_switches[i]
        # Linux sees what the members receive, too.  It must not answer ARP
        # there, with an Ethernet address of which the bridges know nothing.
        for node in ("l%d" % i, "h%d" % i):
            with in_namespace(self.ns(node)), \
                    open("/proc/sys/net/ipv4/conf/all/arp_ignore", "w") as file:
                file.write("1")
        leaf.start()
        leaf.vsctl(*self._bond_commands("br-leaf", ["dn0", "dn1"]))
        for switch in (leaf, self.switches[i]):
            until(lambda: bond_is_up(switch), 20,
                  "the bond of %s to be up" % switch.netns)
            # Has the hashes dealt again: one member may have been up ahead of
            # the other, and have got them all.
            switch.vsctl("set", "port", "bond0",
                         "other_config:bond-hash-basis=1")
        self._address("l%d" % i, "br-leaf", self.plen(self.gateway(i)))

    @staticmethod
    def _bond_commands(bridge, members):
        return ["add-br", bridge, "--", "set", "bridge", bridge,
                "datapath_type=netdev", "--", "add-bond", bridge, "bond0",
                *members, "lacp=active", "bond_mode=balance-tcp",
                "other_config:lacp-time=fast"]

    def _make_tenants(self):
        for i in self.hypervisors:
            for n, t in enumerate(self.tenants):
                node = "t%d%s" % (i, t)
                self._veth(node, "eth0", "h%d" % i, "v" + t, mtu=1500,
                           mac=self.tenant_mac(i, n))
                self._address(node, "eth0", self.tenant(i, t) + "/16")
                self._address(node, "eth0", self.tenant(i, t, True) + "/64")

    def _make_vtep(self, i, device):
        self._address("h%d" % i, device, self.plen(self.vtep(i)))
        self.ip("h%d" % i, "route replace default via %s dev %s"
                % (self.gateway(i), device))

    def _make_kernel_vtep(self, i):
        self._make_vtep(i, "up0")
        options = " udp6zerocsumtx udp6zerocsumrx" if self.ipv6 else ""
        if self.gbp:
            options += " gbp"
        self.ip("h%d" % i, "link add br0 type bridge",
                "link add vx type vxlan id %d dstport 4789 local %s%s"
                % (pipelines.VNI, self.vtep(i), options),
                "link set vx master br0 up", "link set br0 up",
                *("link set v%s master br0" % t for t in self.tenants))
        for j in self.hypervisors:
            if j != i:
                self.run("h%d" % i, "bridge", "fdb", "append",
                         "00:00:00:00:00:00", "dev", "vx", "dst",
                         self.vtep(j))

    def _make_switch(self, i):
        switch = self.switches[i]
        switch.start()
        if self.bond:
            phy = self._bond_commands("br-phy", self.uplinks())
        else:
            phy = ["add-br", "br-phy", "--", "set", "bridge", "br-phy",
                   "datapath_type=netdev", "--", "add-port", "br-phy", "up0"]
        commands, _ = pipelines.PIPELINES[self.pipelines[i]](self, i)
        switch.vsctl(*phy, *commands)
        if self.bond:
            self._make_leaf_bond(i)
        self._make_vtep(i, "br-phy")
        self._add_flows(i)

    def _add_flows(self, i):
        _, tables = pipelines.PIPELINES[self.pipelines[i]](self, i)
        for bridge, flows in tables.items():
            sh(self.switches[i].tool("ovs-ofctl"), "--bundle",
               "replace-flows", bridge, "-", env=self.switches[i].env,
               input="\n".join(flows) + "\n")

    # Use.

    def run(self, node, *argv, check=True, **kwargs):
        """Runs a command in the namespace of 'node' to its end."""
        return sh("nsenter", "--net=" + netns_path(self.ns(node)),
                  *argv, check=check, **kwargs)

    def popen(self, node, *argv, **kwargs):
        """Starts a command in the namespace of 'node'."""
        return subprocess.Popen(
            ["nsenter", "--net=" + netns_path(self.ns(node)),
             *map(str, argv)], **kwargs)

    def restart(self, i, kill=False):
        """Restarts the ovs-vswitchd of hypervisor i; 'kill' by SIGKILL.  As
        the host's own scripts would, gives it address and flows again."""
        self.switches[i].stop_vswitchd(kill)
        self.switches[i].start_vswitchd()
        self._make_vtep(i, "br-phy")
        self._add_flows(i)

    def wait_reachable(self, seconds=60):
        """Waits until datagrams pass between all tenants of all hypervisors,
        both ways."""
        sockets = {}
        try:
            for i in self.hypervisors:
                for t in self.tenants:
                    with in_namespace(self.ns("t%d%s" % (i, t))):
                        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                    sock.bind((self.tenant(i, t), 9))
                    sock.setblocking(False)
                    sockets[self.tenant(i, t)] = sock
            missing = {(a, b) for a in sockets for b in sockets if a != b}

            def all_arrived():
                for a, b in missing:
                    sockets[a].sendto(a.encode(), (b, 9))
                time.sleep(0.05)
                for b, sock in sockets.items():
                    try:
                        while True:
                            missing.discard((sock.recv(64).decode(), b))
                    except BlockingIOError:
                        pass
                return not missing

            until(all_arrived, seconds,
                  "tenants' packets to arrive in %s" % self.prefix)
        finally:
            for sock in sockets.values():
                sock.close()

    def count_tenants(self, port):
        """Lets every spine count tenants' packets to and from this port of
        IPv4 tenants, told from probes by their bytes behind the tunnel header:
        8 of UDP, 8 of VXLAN or Geneve, 14 of Ethernet, 20 of IP."""
        for k in self.spines:
            self._nft("s%d" % k, """
                table inet zoocount {
                    counter to { }
                    counter from { }
                    chain forward {
                        type filter hook forward priority -10
                        @th,416,16 %d counter name to
                        @th,400,16 %d counter name from
                    }
                }""" % (port, port))

    def tenant_packets(self, k):
        """(packets to, packets from) as counted by spine k so far."""
        text = self.run("s%d" % k, "nft", "-j", "list", "counters")
        found = {item["counter"]["name"]: item["counter"]["packets"]
                 for item in json.loads(text)["nftables"] if "counter" in item}
        return found["to"], found["from"]

    # Failures.  Each returns the CLOCK_MONOTONIC times in ns between which it
    # took effect.

    def open_failures(self):
        """Opens the spines' forwarding switches, so that a failure costs a
        few microseconds."""
        for k in self.spines:
            with in_namespace(self.ns("s%d" % k)):
                self._forwarding[k] = [
                    os.open("/proc/sys/net/" + key, os.O_WRONLY)
                    for key in ("ipv4/ip_forward", "ipv6/conf/all/forwarding")]

    def _forward(self, spines, on):
        before = time.monotonic_ns()
        for k in spines:
            for fd in self._forwarding[k]:
                os.pwrite(fd, b"1" if on else b"0", 0)
        return before, time.monotonic_ns()

    def _nft(self, node, text):
        before = time.monotonic_ns()
        self.run(node, "nft", "-f", "-", input=text)
        return before, time.monotonic_ns()

    def fail(self, *spines):
        """Spines become silent: they take packets and forward none."""
        return self._forward(spines, False)

    def forward(self, *spines):
        """Spines forward again what nothing else drops."""
        return self._forward(spines, True)

    def fail_from(self, k, i):
        """Spine k forwards nothing that comes from hypervisor i."""
        return self._nft("s%d" % k, """
            table inet zoo { chain forward {
                type filter hook forward priority 0
                iifname "l%d" counter drop
            }
            }""" % i)

    def lose(self, k, percent):
        """Spine k loses packets at random."""
        return self._nft("s%d" % k, """
            table inet zoo { chain forward {
                type filter hook forward priority 0
                numgen random mod 10000 < %d counter drop
            }
            }""" % round(percent * 100))

    def dropped(self, k):
        """Packets dropped so far by fail_from() or lose()."""
        text = self.run("s%d" % k, "nft", "list", "table", "inet", "zoo")
        return int(text.split("packets ")[1].split()[0])

    def heal(self, *spines):
        """Ends all failures of spines."""
        times = self._forward(spines, True)
        for k in spines:
            self._nft("s%d" % k, "table inet zoo\ndelete table inet zoo")
        return times

    def flap(self, k, period, seconds):
        """Silences spine k and lets it forward in turn, 'period' seconds each,
        for so long."""
        start = time.monotonic()
        for i in range(round(seconds / period)):
            time.sleep(max(0, start + i * period - time.monotonic()))
            self._forward([k], on=bool(i % 2))
        self.heal(k)

    def fail_member(self, i, n):
        """Bond member n of hypervisor i loses all tunnel packets, both ways,
        and keeps its link and LACP."""
        for node, device in (("l%d" % i, "dn%d" % n), ("h%d" % i, "up%d" % n)):
            times = self._nft(node, """
                table netdev zoo { chain out {
                    type filter hook egress device "%s" priority 0
                    udp dport { 4789, 6081 } counter drop
                }
                }""" % device)
        return times

    def heal_member(self, i):
        for node in ("l%d" % i, "h%d" % i):
            times = self._nft(node,
                              "table netdev zoo\ndelete table netdev zoo")
        return times


def exit_on_signals():
    """Lets SIGTERM and SIGHUP unwind the program as Ctrl-C does, and neither
    again while it takes things down."""
    def leave(signo, _):
        # Not SIG_IGN, which programs that are started from now on would
        # inherit, and could not be ended any more.
        for each in INTERRUPTS:
            signal.signal(each, lambda *_: None)
        sys.exit(128 + signo)

    def unraisable(info, hook=sys.unraisablehook):
        """Where a destructor was interrupted Python goes on as if nothing had
        been: leaves a moment later."""
        if not isinstance(info.exc_value, SystemExit):
            return hook(info)
        code = info.exc_value.code
        signal.signal(signal.SIGALRM, lambda *_: sys.exit(code))
        signal.setitimer(signal.ITIMER_REAL, 0.01)

    for signo in INTERRUPTS:
        signal.signal(signo, leave)
    sys.unraisablehook = unraisable


# Command line: a fabric that outlives the command.

def _state_file(name):
    return "/run/%s/fabric.json" % name


def _attach(name):
    try:
        with open(_state_file(name)) as file:
            return Fabric(attach=True, keep=True, prefix=name,
                          rundir=os.path.dirname(file.name), **json.load(file))
    except FileNotFoundError:
        raise FabricError("%s: no such fabric is up" % name) from None


def _parse_args():
    parser = argparse.ArgumentParser(
        description="Leaf-spine fabric of network namespaces with Open "
        "vSwitch at its edge.")
    parser.add_argument("--name", default="zoofabric")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="make a fabric")
    up.add_argument("--ovs", action="append", required=True, metavar="DIR",
                    help="Open vSwitch build tree, or 'kernel'; once per "
                    "hypervisor or once for all")
    up.add_argument("--hypervisors", type=int, default=2)
    up.add_argument("--spines", type=int, default=4)
    up.add_argument("--tenants", type=int, default=1)
    up.add_argument("--underlay", choices=["ipv4", "ipv6"], default="ipv4")
    up.add_argument("--tunnel", choices=["vxlan", "geneve"], default="vxlan")
    up.add_argument("--pipeline", choices=sorted(pipelines.PIPELINES),
                    default="normal")
    up.add_argument("--bond", action="store_true")
    commands.add_parser("down", help="remove it")
    inside = commands.add_parser("exec", help="run a command at a node")
    inside.add_argument("node", help="h1, l1, s1, t1a, ...")
    inside.add_argument("argv", nargs=argparse.REMAINDER)
    fail = commands.add_parser("fail", help="make a spine silent")
    fail.add_argument("spine", type=int)
    how = fail.add_mutually_exclusive_group()
    how.add_argument("--source", type=int, metavar="HYPERVISOR",
                     help="drop only what comes from this hypervisor")
    how.add_argument("--loss", type=float, metavar="PERCENT",
                     help="lose packets at random")
    heal = commands.add_parser("heal", help="end a spine's failure")
    heal.add_argument("spine", type=int)
    return parser.parse_args()


def _up(args):
    settings = {key: getattr(args, key) for key in (
        "hypervisors", "spines", "tenants", "underlay", "tunnel", "pipeline",
        "bond")}
    settings["trees"] = args.ovs
    fabric = Fabric(prefix=args.name, keep=True,
                    rundir=os.path.dirname(_state_file(args.name)), **settings)
    try:
        fabric.up()
        with open(_state_file(args.name), "w") as file:
            json.dump(settings, file)
    except BaseException:
        fabric.down()
        raise
    print("%s is up; nodes: %s" % (args.name, " ".join(fabric.nodes())))


def _exec(fabric, args):
    env = dict(os.environ)
    switch = fabric.switches.get(int(args.node[1:])
                                 if args.node[0] == "h" else None)
    if switch:
        env = dict(switch.env, PATH=os.path.dirname(switch.tool("ovs-vsctl"))
                   + ":" + env["PATH"])
    return subprocess.call(
        ["nsenter", "--net=" + netns_path(fabric.ns(args.node)),
         *args.argv], env=env)


def main():
    args = _parse_args()
    exit_on_signals()
    if args.command == "up":
        return _up(args)
    fabric = _attach(args.name)
    if args.command == "down":
        return fabric.down()
    if args.command == "exec":
        return _exec(fabric, args)
    fabric.open_failures()
    if args.command == "heal":
        fabric.heal(args.spine)
    elif args.source:
        fabric.fail_from(args.spine, args.source)
    elif args.loss:
        fabric.lose(args.spine, args.loss)
    else:
        fabric.fail(args.spine)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except FabricError as error:
        sys.exit("fabric: %s" % error)
