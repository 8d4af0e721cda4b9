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

"""One Open vSwitch with dummy devices and a clock that stands still under
valgrind's callgrind, for benches that count instructions.  No privilege is
needed, and no other program's noise is in what it counts."""

import collections
import ctypes
import glob
import json
import os
import shutil
import signal
import subprocess
import tempfile

import fabric
import measure
from netns import FabricError, sh, until

PR_SET_PDEATHSIG = 1


def parse(parser):
    """As measure.parse(), for benches that need neither root nor traffic."""
    args = parser.parse_args()
    fabric.exit_on_signals()
    for tool in ("valgrind", "callgrind_control"):
        if not shutil.which(tool):
            measure.skip("needs the program '%s'" % tool)
    for name in ("ours", "stock"):
        place = getattr(args, name)
        if not place or not os.path.isdir(place):
            measure.skip("--%s: %s: no such directory" % (name, place))
    return args


def check_same_configuration(args):
    """Instructions compare only between trees configured alike."""
    def macros(tree):
        with open(os.path.join(tree, "config.h")) as file:
            return {line.strip() for line in file
                    if line.startswith("#define ")}

    different = macros(args.ours) ^ macros(args.stock)
    if different:
        raise FabricError("%s and %s are configured differently, so that "
                          "their instructions do not compare: %s"
                          % (args.ours, args.stock, ", ".join(different)))


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Dummy:
    """ovsdb-server and ovs-vswitchd of a build tree, as a context manager.

    toggles: functions within which callgrind counts, and nowhere else.
    count: callgrind counts from the start.
    valgrind: False for a switch that runs by itself.
    """

    def __init__(self, tree, toggles=(), count=True, valgrind=True):
        self.tree = tree
        self.valgrind = ["valgrind", "-q", "--tool=callgrind",
                         "--compress-strings=no",
                         "--instr-atstart=" + ("yes" if count else "no"),
                         *("--toggle-collect=" + f for f in toggles)]
        self.dir = tempfile.mkdtemp(prefix="zoo-dummy-")
        self.valgrind += ["--callgrind-out-file=" + self.path("callgrind")]
        if not valgrind:
            self.valgrind = []
        self.env = dict(os.environ, **dict.fromkeys(
            ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR"),
            self.dir))
        # Freed memory waits in lists of its size, so that what malloc() and
        # free() cost does not depend on what the heap looks like.
        self.env["GLIBC_TUNABLES"] = ("glibc.malloc.tcache_count=65535:"
                                      "glibc.malloc.tcache_max=65536")
        self.processes = []

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.dir, name)

    def tool(self, name):
        for place in ("ovsdb", "vswitchd", "utilities"):
            path = os.path.join(self.tree, place, name)
            if os.path.exists(path):
                return path
        raise FabricError("%s: no %s in this Open vSwitch build tree"
                          % (self.tree, name))

    def _daemon(self, argv, seconds):
        name = os.path.basename(argv[-1])
        argv += {"ovsdb-server": [self.path("conf.db"), "--remote=punix:"
                                  + self.path("db.sock")],
                 "ovs-vswitchd": ["--enable-dummy", "--disable-system",
                                  "--disable-system-route"]}[name]
        # ovsdb-server has its pidfile before it listens.
        ready = "db.sock" if name == "ovsdb-server" else name + ".pid"
        with open(self.path(name + ".out"), "w") as out:
            process = subprocess.Popen(
                [*argv, "--pidfile", "--no-chdir", "--log-file",
                 "-vconsole:off", "-vsyslog:off"], env=self.env,
                stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                preexec_fn=die_with_parent)
        self.processes.append(process)

        def is_up():
            if process.poll() is not None:
                with open(self.path(name + ".out")) as out:
                    raise FabricError("%s did not start: %s"
                                      % (name, out.read()[-1000:]))
            return os.path.exists(self.path(ready))

        until(is_up, seconds, "%s to start" % name)
        return process

    def _start(self):
        self.run("ovsdb-tool", "create", self.path("conf.db"),
                 self.tool("vswitch.ovsschema"))
        self._daemon([self.tool("ovsdb-server")], 20)
        self.run("ovs-vsctl", "--no-wait", "init")
        self.vswitchd = self._daemon(
            [*self.valgrind, self.tool("ovs-vswitchd")], 120)
        self.vsctl("set", "Open_vSwitch", ".",
                   "other_config:emc-insert-inv-prob=1",
                   "other_config:n-handler-threads=1",
                   "other_config:n-revalidator-threads=1")

    # Commands.

    def run(self, name, *args, **kwargs):
        return sh(self.tool(name), *args, env=self.env, timeout=120, **kwargs)

    def vsctl(self, *args):
        return self.run("ovs-vsctl", "--timeout=100", *args)

    def ofctl(self, *args):
        return self.run("ovs-ofctl", "--timeout=100", *args)

    def appctl(self, *args):
        return self.run("ovs-appctl", "--timeout=100", *args)

    def statistic(self, interface, name):
        """A counter of a device."""
        return int(self.vsctl("get", "Interface", interface,
                              "statistics:" + name))

    # The clock.

    def stop_clock(self):
        self.appctl("time/stop")

    def warp(self, msec, step=10):
        self.appctl("time/warp", msec, step)

    # Counting.

    def _callgrind(self, *what):
        sh("callgrind_control", *what, self.vswitchd.pid, timeout=60,
           env=dict(self.env, TMPDIR=os.environ.get("TMPDIR", "/tmp")))

    def count(self, on):
        """Counts from now on, or no more, which is several times as fast."""
        self._callgrind("--instr=" + ("on" if on else "off"))

    def zero(self):
        """Sets all counts to 0."""
        self._callgrind("--zero")

    def counted(self, save=None):
        """Returns what was counted since zero() or the last call.  'save': a
        file that is to keep callgrind's dump."""
        before = set(glob.glob(self.path("callgrind.*")))
        self._callgrind("--dump")
        dump = until(lambda: set(glob.glob(self.path("callgrind.*"))) - before,
                     60, "callgrind's dump").pop()
        if save:
            shutil.copy(dump, save)
        return Counted(dump)

    # ZooRoute.

    def peers(self):
        return json.loads(self.appctl("zooroute/show", "--json"))["peers"]

    def peer(self, remote):
        return next((peer for peer in self.peers()
                     if peer["remote"] == remote), None)


class Counted:
    """What a dump of callgrind says.

    total: instructions.
    calls, inclusive: how often each function was called, and instructions in
        it and all that it called.
    """

    def __init__(self, dump):
        self.total = 0
        self.calls = collections.Counter()
        self.inclusive = collections.Counter()
        callee = None
        with open(dump) as file:
            for line in file:
                word = line.split()
                if line.startswith("cfn="):
                    called = line[4:].strip()
                elif line.startswith("calls="):
                    callee = called
                    self.calls[callee] += int(word[0][6:])
                elif line[0] in "+-*0123456789":
                    # Position and cost, of a call if one comes before it.
                    if callee:
                        self.inclusive[callee] += int(word[1])
                        callee = None
                    else:
                        self.total += int(word[1])
