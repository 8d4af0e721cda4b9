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


"""Processor time of a process, by its threads."""

import collections
import os
import time


def threads(pid):
    """Processor time of the threads of a process by their names, which for
    Open vSwitch's own leave out numbers, in ns.  Some may be ending."""
    found = collections.Counter()
    for thread in os.listdir("/proc/%d/task" % pid):
        path = "/proc/%d/task/%s/" % (pid, thread)
        try:
            with open(path + "comm") as name, open(path + "schedstat") as stat:
                found[name.read().strip().rstrip("0123456789")] \
                    += int(stat.read().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


class Meter:
    """What a process takes from now on until end(): 'threads', percent of one
    processor by name, and their sum 'total'."""

    def __init__(self, pid):
        self.pid = pid
        self.begin = time.monotonic(), threads(pid)

    def end(self):
        now, ns = time.monotonic(), threads(self.pid)
        self.seconds = now - self.begin[0]
        self.threads = collections.Counter({
            name: max(0, ns[name] - self.begin[1][name]) / 1e7 / self.seconds
            for name in ns})
        self.total = sum(self.threads.values())
        return self
