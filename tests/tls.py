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

"""Certificates for tests, made by openssl."""

import os

from netns import sh


class Authority:
    """A CA called 'name', whose files are in 'directory'."""

    def __init__(self, directory, name):
        self.directory = directory
        self.name = name
        self._request(name + "-ca", name + "-ca", self.path(name + "-ca.pem"),
                      "-x509", "-days", "2")

    def path(self, name):
        return os.path.join(self.directory, name)

    def _request(self, name, file, out, *args):
        sh("openssl", "req", "-newkey", "ec", "-pkeyopt",
           "ec_paramgen_curve:prime256v1", "-nodes", "-batch", "-subj",
           "/CN=" + name, "-keyout", self.path(file + ".key"), "-out", out,
           *args)

    def sign(self, name):
        """Makes a key and certificate for 'name' and returns the options for
        them."""
        file = "%s-%s" % (self.name, name)
        self._request(name, file, self.path(file + ".csr"))
        sh("openssl", "x509", "-req", "-days", "2", "-in",
           self.path(file + ".csr"), "-CA", self.path(self.name + "-ca.pem"),
           "-CAkey", self.path(self.name + "-ca.key"), "-CAcreateserial",
           "-out", self.path(file + ".pem"))
        return ["--private-key=" + self.path(file + ".key"),
                "--certificate=" + self.path(file + ".pem")]

    def ca_option(self):
        return "--ca-cert=" + self.path(self.name + "-ca.pem")
