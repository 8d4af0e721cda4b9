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

"""vtraced and a switch with dummy ports, for tests that need no privilege:
rules are all that the switch is asked for.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time


class Failure(Exception):
    pass


def until(what, seconds, condition):
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure("waited %g s for %s" % (seconds, what))
        time.sleep(0.02)


class Switch:
    """One Open vSwitch with bridge br0 and port p1, in a directory."""

    def __init__(self, tree):
        self.tree = tree
        self.dir = tempfile.mkdtemp(prefix="zoo-vtraced.")
        self.env = dict(os.environ, OVS_RUNDIR=self.dir, OVS_LOGDIR=self.dir,
                        OVS_DBDIR=self.dir, OVS_SYSCONFDIR=self.dir,
                        OVS_PKGDATADIR=tree)
        self.children = []

    def path(self, name):
        return os.path.join(self.dir, name)

    def run(self, *command, check=True):
        done = subprocess.run(command, env=self.env, text=True, timeout=30,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
        if check and done.returncode:
            raise Failure("%s: %s" % (" ".join(command), done.stderr))
        return done.stdout

    def spawn(self, *command, **env):
        child = subprocess.Popen(command, env=dict(self.env, **env),
                                 stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        self.children.append(child)
        return child

    def tool(self, name):
        return os.path.join(self.tree, name)

    def start(self):
        db = "unix:" + self.path("db.sock")
        self.run(self.tool("ovsdb/ovsdb-tool"), "create",
                 self.path("conf.db"),
                 self.tool("vswitchd/vswitch.ovsschema"))
        self.spawn(self.tool("ovsdb/ovsdb-server"), "--remote=p" + db,
                   self.path("conf.db"))
        until("ovsdb-server", 10,
              lambda: os.path.exists(self.path("db.sock")))
        vsctl = [self.tool("utilities/ovs-vsctl"), "--db=" + db,
                 "--timeout=20"]
        self.run(*vsctl, "--no-wait", "init")
        self._start_vswitchd()
        self.run(*vsctl, "add-br", "br0", "--", "set", "bridge", "br0",
                 "fail_mode=secure", "datapath_type=dummy", "--", "add-port", "br0", "p1", "--",
                 "set", "Interface", "p1", "type=dummy")

    def _start_vswitchd(self):
        self.vswitchd = self.spawn(
            self.tool("vswitchd/ovs-vswitchd"), "--disable-system",
            "--enable-dummy=override", "unix:" + self.path("db.sock"))

    def restart_vswitchd(self):
        """Has ovs-vswitchd die and begin anew, without any flow."""
        self.vswitchd.kill()
        self.vswitchd.wait()
        self._start_vswitchd()
        # This waits for it.
        self.run(self.tool("utilities/ovs-vsctl"), "--timeout=20",
                 "--db=unix:" + self.path("db.sock"), "set", "bridge", "br0",
                 "external_ids:restarted=true")

    def flows(self, bridge="br0"):
        return self.run(self.tool("utilities/ovs-ofctl"), "dump-flows",
                        self.path(bridge + ".mgmt"), "cookie=0x5654" + "0" * 12
                        + "/0xffff" + "0" * 12).splitlines()[1:]

    def stop(self):
        for child in reversed(self.children):
            if child.poll() is None:
                child.kill()
            child.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


class Vtraced:
    def __init__(self, switch, programs):
        self.switch = switch
        self.programs = programs
        self.child = None
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]   # Nobody uses it.

    def start(self, fault="", *options):
        self.child = self.switch.spawn(
            os.path.join(self.programs, "vtraced"),
            "--unixctl=" + self.switch.path("vtraced.ctl"), *options,
            VTRACE_FAULT=fault)
        until("vtraced", 10, lambda: self.call("nodes") is not None)

    def call(self, *arguments):
        """Returns the answer of vtrace, or None if there is none."""
        done = subprocess.run(
            [os.path.join(self.programs, "vtrace"), "--json", "--timeout=10"]
            + list(arguments), env=self.switch.env, text=True, timeout=30,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode:
            return None
        return json.loads(done.stdout) if done.stdout.strip() else {}

    def state(self, task):
        """Returns the state of a task, or None if there is no such task."""
        answer = self.call("show", str(task))
        return answer and answer["state"]

    def check_store(self):
        out = self.switch.run(self.switch.tool("utilities/ovs-appctl"), "-t",
                              self.switch.path("vtraced.ctl"),
                              "vtrace/check-store")
        if out.strip() != "ok":
            raise Failure("store: " + out)

    def stop(self):
        self.child.kill()
        self.child.wait()


def set_up():
    """Returns the switch and vtraced of ZOO_OVS, not started; ends the test
    if there is no vtraced."""
    tree = os.environ.get("ZOO_OVS")
    if not tree:
        sys.exit("ZOO_OVS has to name a tree built with our patches")
    programs = os.path.join(os.path.dirname(tree), "vtrace")
    if not os.access(os.path.join(programs, "vtraced"), os.X_OK):
        print("vtraced is not built")
        sys.exit(77)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    switch = Switch(tree)
    return switch, Vtraced(switch, programs)
