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

"""Network namespaces, and what is needed to clean up after their use."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time

NETNS_DIR = "/run/netns"
CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


class FabricError(Exception):
    """Something about the fabric that did not come about."""


def until(condition, seconds, what):
    """Polls 'condition' until it is true and returns its value; raises
    FabricError naming 'what' after 'seconds'."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise FabricError("waited %g s in vain for %s" % (seconds, what))
        time.sleep(0.02)


def sh(*argv, check=True, **kwargs):
    """Runs a command to its end and returns its output; an error of it becomes
    a FabricError with the command line and what it said."""
    try:
        done = subprocess.run([str(arg) for arg in argv], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              **kwargs)
    except subprocess.TimeoutExpired as late:
        raise FabricError("%s: no end after %g s"
                          % (" ".join(map(str, argv)), late.timeout)) from None
    if check and done.returncode:
        raise FabricError("%s: exit status %d: %s"
                          % (" ".join(map(str, argv)), done.returncode,
                             (done.stderr or done.stdout).strip()))
    return done.stdout


class in_namespace:
    """Context in which this thread is in network namespace 'name', for what it
    opens (sockets, /proc/sys/net) to belong there."""

    def __init__(self, name):
        self.name = name

    def _enter(self, fd):
        if _libc.setns(fd, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns: " + self.name)

    def __enter__(self):
        self.home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(netns_path(self.name), os.O_RDONLY)
        self._enter(there)
        os.close(there)

    def __exit__(self, *_):
        self._enter(self.home)
        os.close(self.home)


def netns_path(name):
    return os.path.join(NETNS_DIR, name)


def namespaces(prefix):
    """Names of the network namespaces of the fabric 'prefix'."""
    try:
        return sorted(name for name in os.listdir(NETNS_DIR)
                      if name.startswith(prefix + "-"))
    except FileNotFoundError:
        return []


def pids_within(names):
    """Process ids of all processes in the network namespaces 'names'."""
    inodes = set()
    for name in names:
        try:
            inodes.add(os.stat(netns_path(name)).st_ino)
        except FileNotFoundError:
            pass
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.stat("/proc/%s/ns/net" % pid).st_ino in inodes:
                found.append(int(pid))
        except OSError:
            pass
    return found


def destroy(prefix, rundir):
    """Ends every process in the namespaces of fabric 'prefix', removes the
    namespaces, and with them all devices, and the run directory."""
    for _ in range(5):
        names = namespaces(prefix)
        if not names:
            break
        end_processes(names)
        for name in names:
            sh("ip", "netns", "del", name, check=False)
        # A command of a killed owner may have added one meanwhile, and an
        # interrupt may have ended ours.
    keep = os.environ.get("ZOO_KEEP_LOGS")
    if keep and os.path.isdir(rundir):
        shutil.copytree(rundir, os.path.join(keep, prefix), dirs_exist_ok=True,
                        ignore=lambda d, names: [
                            n for n in names if not n.endswith((".log", ".db"))
                            and not os.path.isdir(os.path.join(d, n))])
    shutil.rmtree(rundir, ignore_errors=True)


def end(process, seconds=5):
    """Ends a process that this program started, and says so if it has to be
    killed for that."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        print("%s: no end %g s after SIGTERM, killed"
              % (" ".join(map(str, process.args)), seconds), file=sys.stderr)
        process.kill()
        process.wait()


def end_processes(names):
    """Ends every process in the network namespaces 'names'."""
    for signo, seconds in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        deadline = time.monotonic() + seconds
        signalled = set()
        while time.monotonic() < deadline:
            pids = set(pids_within(names))
            if not pids:
                return
            for pid in pids - signalled:
                signalled.add(pid)
                try:
                    os.kill(pid, signo)
                except ProcessLookupError:
                    pass
            time.sleep(0.02)
