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


"""vtraced over a stage of scenarios.py, and the tasks that it is asked for."""

import contextlib
import json
import os
import re
import sqlite3
import subprocess
import time

import echo
import faults
from netns import end, netns_path, sh, until

NODE_DEADLINE = 10              # Seconds for switches to connect.

# The first task's colors in the two domains of a stage that has two, if there
# are to be decoys; later ones have higher ones.  The decoy has them the other
# way round.  Colors that vtraced chooses itself are above FORCED, since no color
# may be used twice within a minute.
COLORS = (7, 8)
FORCED = 500


def programs(tree):
    """Where vtraced and vtrace of the build with the Open vSwitch tree
    'tree' are, or None."""
    place = os.path.join(os.path.dirname(os.path.abspath(tree)), "vtrace")
    if all(os.access(os.path.join(place, name), os.X_OK)
           for name in ("vtraced", "vtrace")):
        return place
    return None


class Vtraced:
    """vtraced, to which all switches of a stage send their records, as a
    context manager.  'decoys': in a stage with two domains, each task has
    another tenant's beside it that has its colors in the other domain.
    'tenants': what is in the tenants file, if there is one."""

    def __init__(self, stage, place, decoys=False, tenants=None):
        self.stage = stage
        self.tenants = tenants
        domains = list(dict.fromkeys(stage.scenario.domains))
        self.domains = domains if decoys and len(domains) > 1 else []
        self.place = place
        self.env = dict(os.environ, OVS_RUNDIR=stage.rundir,
                        OVS_LOGDIR=stage.rundir, OVS_DBDIR=stage.rundir,
                        OVS_SYSCONFDIR=stage.rundir)
        self.child = None
        self.ping = None
        self.decoy = None       # Its task, or None.
        self.numbers = COLORS   # The next task's.

    def path(self, name):
        return os.path.join(self.stage.rundir, name)

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.ping:
            end(self.ping)
            self.ping = None
        if self.child:
            end(self.child)
            self.child = None

    def kill(self):
        self.child.kill()
        self.child.wait()
        self.child = None

    def restart(self):
        os.unlink(self.path("vtraced.sock"))
        self._start()

    def _start(self):
        names = self.stage.scenario.names
        with open(self.path("nodes"), "w") as file:
            for name, domain in zip(names, self.stage.scenario.domains):
                file.write("%s unix:%s/%%b.mgmt %s\n"
                           % (name, self.stage.switch(name).rundir, domain))
            for *place, domain in self.stage.borders():
                file.write("border %s %s\n" % ("/".join(place), domain))
        options = ()
        if self.tenants is not None:
            options = ("--tenants=" + self.path("tenants"),)
            with open(self.path("tenants"), "w") as file:
                json.dump(self.tenants, file)
        # In a namespace of the stage, which the janitor empties in any case.
        self.child = subprocess.Popen(
            ["nsenter", "--net=" + netns_path(self.stage.ns("s1")),
             os.path.join(self.place, "vtraced"),
             "--unixctl=" + self.path("vtraced.ctl"),
             "--nodes=" + self.path("nodes"),
             "--record-file=" + self.path("record-file"), "-vconsole:off",
             "-vsyslog:off", "--log-file", *options,
             *("--collector=%s=punix:%s" % (name, self._collector(name))
               for name in names)],
            env=self.env, stdin=subprocess.DEVNULL)
        until(lambda: os.path.exists(self.path("vtraced.sock")),
              NODE_DEADLINE, "vtraced")
        for name in names:
            self.stage.switch(name).vsctl(
                "set", "Open_vSwitch", ".", "other_config:vtrace-collector="
                "unix:" + self._collector(name))
        until(lambda: all(node["records"] == "connected"
                          for node in self.call("nodes")),
              NODE_DEADLINE, "switches to send records to vtraced")

    @contextlib.contextmanager
    def colors(self, *numbers):
        """Leaves vtraced, for a moment, no color but one of 'numbers' in each
        domain."""
        store = sqlite3.connect(self.path("vtrace.db"), timeout=10)
        rests_until = int((time.time() + 50) * 1000)

        def change(sql, rows):
            with store:
                store.executemany(sql, rows)

        rows = [(domain, color, rests_until)
                for domain, number in zip(self.domains, numbers)
                for color in range(1, 4096) if color != number]
        try:
            change("INSERT INTO colors VALUES (?, ?, NULL, NULL, ?) "
                   "ON CONFLICT DO UPDATE SET free_at = excluded.free_at "
                   "WHERE free_at IS NOT NULL", rows)
            change("DELETE FROM colors WHERE domain = ? AND color = ? "
                   "AND free_at IS NOT NULL", zip(self.domains, numbers))
            yield
        finally:
            change("DELETE FROM colors WHERE domain = ? AND color = ? "
                   "AND free_at = ?",
                   [row for row in rows if row[1] > FORCED])
            store.close()

    def _start_decoy(self, duration):
        """Starts a task of another tenant's, with traffic of its own."""
        s = self.stage.scenario
        if not self.ping:
            self.ping = subprocess.Popen(
                ["nsenter", "--net=" + netns_path(self.stage.ns(
                    self.stage.near())), "ping", "-q", "-i", "0.2", s.target],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        if self.decoy:
            until(lambda: all(rule["state"] == "gone" for rule in
                              self.call("show", self.decoy)["rules"]),
                  2 * NODE_DEADLINE, "the last decoy to be over")
        with self.colors(*reversed(self.numbers)):
            self.decoy = self.call(
                "start", "--tenant", "decoy", "--proto", "icmp",
                "--src", s.client.split("/")[0], "--dst", s.target,
                "--at", "h1/br-int/va", "--duration", duration)["id"]
        until(lambda: self.call("show", self.decoy)["state"] == "running",
              NODE_DEADLINE, "the decoy to run")

    def _collector(self, name):
        return self.path(name + ".records")

    def vtrace(self, *args, timeout=60):
        """Returns what vtrace prints."""
        return sh(os.path.join(self.place, "vtrace"),
                  "--timeout=%d" % timeout, *args, env=self.env,
                  timeout=timeout + 5)

    def call(self, *args):
        """Returns the answer of vtrace, from JSON."""
        out = self.vtrace("--json", *args)
        return json.loads(out) if out.strip() else {}

    def start(self, proto, duration, *options):
        """Starts a task for the traffic of a client of the stage and returns
        its number once its rule works."""
        if self.domains:
            self._start_decoy(duration)
            with self.colors(*self.numbers):
                task = self._call_start(proto, duration, *options)
            self.numbers = tuple(number + 2 for number in self.numbers)
        else:
            task = self._call_start(proto, duration, *options)
        until(lambda: self.call("show", task)["state"] not in
              ("new", "ready", "deployed"), NODE_DEADLINE,
              "task %d to run" % task)
        return task

    def _call_start(self, proto, duration, *options):
        s = self.stage.scenario
        return self.call(
            "start", "--tenant", "demo", "--proto", proto,
            "--src", s.client.split("/")[0],
            "--dst", "%s:%d" % (s.target, echo.PORT), "--at", "h1/br-int/va",
            "--duration", duration, "--both", *options)["id"]

    def wait(self, task):
        """Returns a task, from JSON, once it has ended."""
        return self.call("--wait", "show", task)

    def replay(self):
        """{number of a task: what the record file says of it}."""
        return {task["id"]: task for task in
                self.call("replay", self.path("record-file"))}

    def log(self):
        with open(self.path("vtraced.log"), errors="replace") as file:
            return re.sub(r"(?m)^.*\|INFO\|.*\n", "", file.read())


class Cell:
    """One cell of the fault matrix: breaks a stage, traces the traffic of
    'client' and compares the verdict with the expected one.  What happens is
    told to 'say'."""

    def __init__(self, daemon, client, fault, expected, say=lambda _: None):
        self.daemon = daemon
        self.client = client
        self.fault = fault
        self.expected = expected
        self.say = say
        self.task = None        # "vtrace show --json" at the end.
        self.seconds = None     # Until vtrace first said the right thing and
                                # went on to say it.

    def run(self, duration):
        echo.wait_well([self.client])
        if self.fault.late:
            task = self._begin(duration)
            time.sleep(duration / 4)
            with self._broken():
                self._follow(task)
        else:
            with self._broken():
                self._follow(self._begin(duration))
        return self

    def _broken(self):
        stage = self.daemon.stage
        broken = self.fault(stage)
        self.say("breaking: " + " ".join(self.fault.__doc__.split()))
        return broken

    def _begin(self, duration):
        if self.fault.suffers and not self.fault.late:
            # The trace is of a flow that suffers already.
            [(troubled, sent)] = echo.watch([self.client], 0.3)
            self.say("%d of %d messages are not answered in time"
                     % (troubled, sent))
        self.since = time.monotonic()
        task = self.daemon.start(self.client.proto, duration)
        self.say("task %d runs for %g s" % (task, duration))
        return task

    def _follow(self, task):
        right_since = None
        while True:
            shown = self.daemon.call("show", task)
            verdict = shown.get("verdict")
            if not verdict or not self.expected.matches(verdict):
                right_since = None
            elif right_since is None:
                right_since = time.monotonic() - self.since
            if shown["state"] in ("done", "failed", "expired"):
                break
            time.sleep(0.2)
        self.task = shown
        self.seconds = right_since
        self.say("task %d is %s" % (task, shown["state"]))

    def verdict(self):
        """Its verdict, or None."""
        return self.task.get("verdict")

    def right(self):
        return bool(self.task["state"] == "done" and self.verdict()
                    and self.expected.matches(self.verdict()))

    def given(self):
        """The verdict in the words of the table."""
        if self.task["state"] != "done" or not self.verdict():
            return "%s %s" % (self.task["state"], self.task.get("reason", ""))
        return faults.given(self.verdict())
