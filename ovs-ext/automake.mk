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

# Open vSwitch's Makefile.am includes this file last.  A file of ovs-ext or
# ofproto-zoo is compiled once it is named here; a test of tests/*.at, which
# the build copies to ovs-ext/tests, runs once it is named here and in
# tests/zoo.at.

lib_libopenvswitch_la_SOURCES += \
	ovs-ext/vtrace-digest.c \
	ovs-ext/vtrace-digest.h \
	ovs-ext/vtrace-message.c \
	ovs-ext/vtrace-message.h \
	ovs-ext/vtrace-reasons.h \
	ovs-ext/vtrace-record.h \
	ovs-ext/vtrace-ring.c \
	ovs-ext/vtrace-ring.h \
	ovs-ext/vtrace-sample.h \
	ovs-ext/zoo-datapath.c \
	ovs-ext/zoo-datapath.h \
	ovs-ext/zoo-flow.h \
	ovs-ext/zoo-gbp.c \
	ovs-ext/zoo-gbp.h \
	ovs-ext/zoo-learn.c \
	ovs-ext/zoo-learn.h \
	ovs-ext/zoo-record.c \
	ovs-ext/zoo-record.h \
	ovs-ext/zoo-sampling.c \
	ovs-ext/zoo-sampling.h

ofproto_libofproto_la_SOURCES += \
	ofproto-zoo/zoo-alive.c \
	ofproto-zoo/zoo-alive.h \
	ofproto-zoo/zoo-auth.c \
	ofproto-zoo/zoo-auth.h \
	ofproto-zoo/zoo-budget.c \
	ofproto-zoo/zoo-budget.h \
	ofproto-zoo/zoo-clock.c \
	ofproto-zoo/zoo-clock.h \
	ofproto-zoo/zoo-consent.c \
	ofproto-zoo/zoo-consent.h \
	ofproto-zoo/zoo-gateway-counts.h \
	ofproto-zoo/zoo-gateway-limits.h \
	ofproto-zoo/zoo-gateway-path.c \
	ofproto-zoo/zoo-gateway-path.h \
	ofproto-zoo/zoo-health.c \
	ofproto-zoo/zoo-health.h \
	ofproto-zoo/zoo-mode.c \
	ofproto-zoo/zoo-mode.h \
	ofproto-zoo/zoo-path-count.c \
	ofproto-zoo/zoo-path-count.h \
	ofproto-zoo/zoo-path-table.c \
	ofproto-zoo/zoo-path-table.h \
	ofproto-zoo/zoo-peer-buckets.c \
	ofproto-zoo/zoo-peer-exchange.c \
	ofproto-zoo/zoo-peer-groups.c \
	ofproto-zoo/zoo-peer-intervals.c \
	ofproto-zoo/zoo-peer-learn.c \
	ofproto-zoo/zoo-peer-learn.h \
	ofproto-zoo/zoo-peer-private.h \
	ofproto-zoo/zoo-peer-rounds.c \
	ofproto-zoo/zoo-peer.c \
	ofproto-zoo/zoo-peer.h \
	ofproto-zoo/zoo-port-hash.c \
	ofproto-zoo/zoo-port-hash.h \
	ofproto-zoo/zoo-probe.c \
	ofproto-zoo/zoo-probe.h \
	ofproto-zoo/zoo-responder.c \
	ofproto-zoo/zoo-responder.h \
	ofproto-zoo/zoo-rx-limit.c \
	ofproto-zoo/zoo-rx-limit.h \
	ofproto-zoo/zoo-schedule.c \
	ofproto-zoo/zoo-schedule.h \
	ofproto-zoo/zoo-segment.h \
	ofproto-zoo/zoo-trace.c \
	ofproto-zoo/zoo-trace.h \
	ofproto-zoo/zoo-turns.c \
	ofproto-zoo/zoo-turns.h \
	ofproto-zoo/zooroute-appctl.c \
	ofproto-zoo/zooroute-cpu.c \
	ofproto-zoo/zooroute-learn.c \
	ofproto-zoo/zooroute-peers.c \
	ofproto-zoo/zooroute-private.h \
	ofproto-zoo/zooroute-receive.c \
	ofproto-zoo/zooroute-segments.c \
	ofproto-zoo/zooroute-send.c \
	ofproto-zoo/zooroute-status.c \
	ofproto-zoo/zooroute-thread.c \
	ofproto-zoo/zooroute-underlay.c \
	ofproto-zoo/zooroute.c \
	ofproto-zoo/zooroute.h \
	ovs-ext/vtrace-clock.c \
	ovs-ext/vtrace-clock.h \
	ovs-ext/vtrace-exporter.c \
	ovs-ext/vtrace-exporter.h \
	ovs-ext/zoo-fate.c \
	ovs-ext/zoo-fate.h \
	ovs-ext/zoo-inject.c \
	ovs-ext/zoo-inject.h \
	ovs-ext/zoo-ofproto.c \
	ovs-ext/zoo-ofproto.h \
	ovs-ext/zoo-quarantine.c \
	ovs-ext/zoo-quarantine.h \
	ovs-ext/zoo-vtrace.c \
	ovs-ext/zoo-vtrace.h \
	ovs-ext/zoo-xlate.h \
	ovs-ext/zooroute-db-config.c \
	ovs-ext/zooroute-db-config.h \
	ovs-ext/zooroute-db-status.c \
	ovs-ext/zooroute-db-status.h

vswitchd_ovs_vswitchd_SOURCES += \
	ovs-ext/vtrace-ovsdb.c \
	ovs-ext/vtrace-ovsdb.h \
	ovs-ext/zooroute-ovsdb.c \
	ovs-ext/zooroute-ovsdb.h

man_MANS += ovs-ext/ovs-vtrace.7 ovs-ext/ovs-zooroute.7

EXTRA_DIST += \
	ovs-ext/ovs-vtrace.7 \
	ovs-ext/ovs-zooroute.7 \
	ovs-ext/ofp-actions-zoo.c \
	ovs-ext/ofproto-dpif-xlate-inject.c \
	ovs-ext/ofproto-dpif-xlate-record.c \
	ovs-ext/ofproto-dpif-xlate-vtrace.c \
	ovs-ext/ofproto-dpif-xlate-zoo.c \
	ovs-ext/tests/ipfix.py

TESTSUITE_AT += \
	ovs-ext/tests/zoo.at \
	ovs-ext/tests/zoo-gbp.at \
	ovs-ext/tests/zoo-vtrace-action.at \
	ovs-ext/tests/zoo-vtrace-inject.at \
	ovs-ext/tests/zoo-vtrace-reasons.at \
	ovs-ext/tests/zoo-vtrace-record.at \
	ovs-ext/tests/zooroute-action.at \
	ovs-ext/tests/zooroute-appctl.at \
	ovs-ext/tests/zooroute-datapath.at \
	ovs-ext/tests/zooroute-ovsdb.at

# The libraries alone, for builds that only run unit tests.  The generated
# headers come first, which automake does for "all" only.
zoo-libs: $(BUILT_SOURCES) config.h
	@$(MAKE) lib/libopenvswitch.la ofproto/libofproto.la
.PHONY: zoo-libs
