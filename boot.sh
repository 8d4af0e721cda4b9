#!/bin/sh
# Copyright (c) 2026 The ovs-zoo authors.
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not
# use this file except in compliance with the License.  You may obtain a copy
# of the License at:
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.  See the
# License for the specific language governing permissions and limitations
# under the License.

# Makes configure.gen, the configure script proper, and Makefile.in.  The name
# "configure" belongs to a committed script that runs this one when needed, so
# that a clean clone builds with ./configure && make.

set -e
cd "$(dirname "$0")"

missing=
for tool in autoconf automake:automake libtoolize:libtool \
            pkg-config:pkg-config flock:util-linux; do
    command -v "${tool%:*}" >/dev/null 2>&1 || missing="$missing ${tool#*:}"
done
if test -n "$missing"; then
    echo >&2 "$0: missing:$missing; on Debian: apt install$missing"
    exit 1
fi

exec 9>boot.lock
flock 9
rm -rf autom4te.cache
aclocal --force
automake --add-missing --copy --foreign
# Last, for an older one not to pass for what a failure above left.
autoconf --force --output=configure.gen
rm -rf autom4te.cache configure.gen~

# The Makefile's rules look at the times of "configure" and of what it is made
# from.
touch configure
