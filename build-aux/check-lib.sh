# shellcheck shell=bash disable=SC2154,SC2034
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

# What ./check consists of: the bookkeeping of results, the builds, and one
# function suite_NAME for each suite.

all_suites="build unit at ovs fuzz system bench"
known_versions=$(cd "$zoo_repo/patches" && echo *)
main_version=3.1.0

# How long it may take until benchmarks are skipped, in s, without --full.
max_seconds=4500

# The files of Open vSwitch's testsuite that test what the patches touch: all
# of them run on the main version, the others run the first few.
core_at="tunnel tunnel-push-pop tunnel-push-pop-ipv6 ofp-actions"
touched_at="$core_at ofproto-dpif ovs-vsctl ovs-ofctl ofp-print odp bfd
            packet-type-aware drop-stats ovsdb-schema"

die() {
    echo >&2 "check: $*"
    exit 2
}

is_in() {
    case " $2 " in
    *" $1 "*) return 0 ;;
    *) return 1 ;;
    esac
}

# Results.  Each test has one line in $results: status, suite, name, seconds,
# and the reason or the log.

begin_run() {
    mkdir -p "$zoo_logs" 2>/dev/null
    test -w "$zoo_logs" \
        || die "$zoo_build_dir: not writable, made by another user: remove" \
               "it, or choose another directory with ZOO_BUILD="
    exec 8> "$zoo_build_dir/check.lock"
    flock -n 8 || die "$zoo_build_dir: another ./check works here; choose" \
                      "another directory with ZOO_BUILD="
    results=$zoo_build_dir/results
    parts=$zoo_build_dir/parts
    scratch=$(mktemp -d "${TMPDIR:-/tmp}/zoo-check.XXXXXX")
    : > "$results"
    : > "$parts"
    finished=
}

record() {
    local IFS=$'\t'
    echo "$*" >> "$results"
}

begin_part() {
    part=$1
    part_since=$SECONDS
}

end_part() {
    printf '%s\t%d\n' "$part" $((SECONDS - part_since)) >> "$parts"
}

count() {
    grep -c "^$1"$'\t' "$results"
}

end_run() {
    local status=0 log
    zoo_cleanup
    rm -rf "$scratch"
    give_back
    # What went wrong, also for those who see nothing but this output.
    for log in $(sed -n $'s/^fail\t.*see //p' "$results" | sort -u); do
        test -s "$log" || continue
        printf '\n%s:\n' "$log"
        { grep -n -m 5 -i 'error: \|fail' "$log"; echo ...; tail -n 8 "$log"; } \
            | cut -c 1-160 | sed 's/^/    /'
    done
    echo
    echo "part           time  passed  failed skipped"
    awk -F '\t' -v OFS='\t' '
        FNR == NR { n[$2, $1]++; next }
        { printf "%-12s %3d:%02d %7d %7d %7d\n", $1, $2 / 60, $2 % 60,
                 n[$1, "pass"], n[$1, "fail"], n[$1, "skip"] }' \
        "$results" "$parts"
    awk -F '\t' '
        $1 == "skip" { if (!n[$2, $5]++) { order[++k] = $2 SUBSEP $5 }
                       name[$2, $5] = $3 }
        END { for (i = 1; i <= k; i++) {
                  split(order[i], f, SUBSEP)
                  what = name[order[i]]
                  if (n[order[i]] != 1)
                      what = n[order[i]] " tests"
                  printf "skipped: %s: %s: %s\n", f[1], what, f[2] } }' \
        "$results"
    awk -F '\t' '$1 == "pass" && $5 != "" { printf "%s: %s: %s\n", $2, $3, $5 }' \
        "$results"
    awk -F '\t' '$1 == "fail" { printf "FAILED: %s: %s: %s\n", $2, $3, $5 }' \
        "$results"
    if test -z "$finished"; then
        echo "interrupted"
        status=1
    fi
    test "$(count fail)" = 0 || status=1
    echo "$(count pass) passed, $(count fail) failed, $(count skip) skipped"
    exit $status
}

# After "sudo ./check" the files belong to the owner of the repository.
give_back() {
    test "$(id -u)" = 0 || return 0
    chown -R -h --reference="$zoo_repo" "$zoo_build_dir"
    for file in configure.gen aclocal.m4 Makefile.in boot.lock \
                build-aux/compile build-aux/install-sh build-aux/missing; do
        test ! -e "$zoo_repo/$file" \
            || chown -h --reference="$zoo_repo" "$zoo_repo/$file"
    done
}

# Tests that do not have all processors for themselves are started with
# start_test, as many at a time as there are processors, and finish_tests waits
# for the last of them; run_test runs one alone.  A test exits with 0 (passed),
# 77 (skipped, the reason being the last line of its output) or anything else
# (failed).  One of a suite that measures real time is run once more, alone, if
# it fails, since other programs may have had the processors; that it needed it
# is said.

# What finish_one_test must know of a test, by title.
declare -A test_suite=() test_name=() test_limit=() test_command=() test_first=()
again=()

# start_one SUITE NAME SECONDS COMMAND...
start_one() {
    local title="$1 $2"
    test_suite[$title]=$1
    test_name[$title]=$2
    test_limit[$title]=$3
    shift 3
    test_command[$title]=${*@Q}
    zoo_start "$title" timeout --kill-after=30 "${test_limit[$title]}" "$@"
}

# start_test SUITE NAME SECONDS COMMAND...
start_test() {
    case $2 in
    *"$match"*) ;;
    *) return 0 ;;
    esac
    while test ${#zoo_title[@]} -ge "$zoo_cpus"; do
        finish_one_test
    done
    start_one "$@"
}

# run_test SUITE NAME SECONDS COMMAND...
run_test() {
    case $2 in
    *"$match"*) ;;
    *) return 0 ;;
    esac
    finish_tests
    start_one "$@"
    finish_tests
}

finish_one_test() {
    local status=0 title log last
    zoo_finish_one || status=$?
    title=$zoo_last_title
    log=$(zoo_log_name "$title")
    last=$(tail -n 1 "$log" | tr '\t' ' ')
    case ${test_suite[$title]}:$status:$title in
    *:0:* | *:77:* | *" again") ;;
    system:* | bench:*)
        test_first[$title]="passed at the second try, the first: $last, see $log"
        again+=("$title")
        return
        ;;
    esac
    record_test "$title" "$status" "$log" "$last"
}

finish_tests() {
    local title words
    while test ${#zoo_title[@]} -gt 0; do
        finish_one_test
    done
    for title in "${again[@]}"; do
        eval "words=(${test_command[$title]})"
        test_first["$title again"]=${test_first[$title]}
        start_one "${test_suite[$title]}" "${test_name[$title]} again" \
            "${test_limit[$title]}" "${words[@]}"
        finish_one_test
    done
    again=()
}

# Records what came of a test.
record_test() {
    local title=$1 status=$2 log=$3 last=$4 limit=${test_limit[$1]}
    local what=("${test_suite[$1]}" "${test_name[$1]% again}")
    case $status in
    0) record pass "${what[@]}" "$zoo_last_seconds" "${test_first[$title]-}" ;;
    77) record skip "${what[@]}" "$zoo_last_seconds" "$last" ;;
    124 | 137) record fail "${what[@]}" "$zoo_last_seconds" \
                   "took more than $limit s, see $log" ;;
    *) record fail "${what[@]}" "$zoo_last_seconds" "$last, see $log" ;;
    esac
}

skip_test() {
    record skip "$1" "$2" 0 "$3"
}

# A test's file may say how long it may take: "timeout: SECONDS" in a comment.
limit_of() {
    local limit
    limit=$(sed -n '1,40s/^[#*/ ]*timeout: *\([0-9]*\).*/\1/p' "$1" | head -n 1)
    echo "${limit:-$2}"
}

# Builds.

version_dir() {
    echo "$zoo_build_dir/$1"
}

# The tree of Open vSwitch $1, built with our patches.
ovs_tree() {
    echo "$zoo_build_dir/$1/ovs-${1%%-*}"
}

have_build() {
    test "${zoo_status[build $1]-1}" = 0
}

# need_build SUITE BUILD
#
# Fails if BUILD is not there; says so if it should be.
need_build() {
    have_build "$2" && return 0
    ! is_in "$2" "${builds[*]}" \
        || skip_test "$1" "all on $2" "there is no build $2"
    return 1
}

# Prints what this machine lacks for build $1.
lacking_for() {
    case $1 in
    *-asan | *-tsan) command -v clang > /dev/null || echo "install clang" ;;
    *-dpdk) pkg-config --exists libdpdk || echo "install libdpdk-dev" ;;
    esac
}

# Everything that runs on one build is made here, so that the tests do not wait.
build_one() {
    local dir=$1
    shift
    case $dir in
    *-stock) zoo_build "${dir%-stock}" --stock "$@" ;;
    # As Open vSwitch's own sanitizer runs: gcc's make it warn for nothing.
    *-tsan) zoo_build "$dir" --enable-tsan CC=clang "$@" ;;
    *-asan) zoo_build "$dir" --enable-asan CC=clang "$@" \
                && zoo_make_quiet unit ;;
    *-dpdk) zoo_build "$dir" --with-dpdk "$@" ;;
    "$(version_dir "$one")") zoo_build "$dir" "$@" \
                                 && zoo_make_quiet unit tools fuzz ;;
    *) zoo_build "$dir" "$@" ;;
    esac
}

is_running() {
    local title
    for title in "${zoo_title[@]}"; do
        test "$title" != "$1" || return 0
    done
    return 1
}

start_build() {
    zoo_start "build $1" build_one "$(version_dir "$1")" \
        --with-ovs="${1%%-*}" --enable-Werror
}

# The builds that suite $1 uses, a patched one before its unpatched one.
builds_for() {
    case $1 in
    build | fuzz) echo "$one" ;;
    system | bench) echo "$one $one-stock" ;;
    unit) echo "$one $asan $tsan" ;;
    at) echo "$versions $asan $dpdk" ;;
    ovs) echo "$versions $asan" ;;
    esac
}

# Two builds run at a time, since half of a build is one process's work.
build_all() {
    local asan='' tsan='' dpdk='' name
    test "$mode" = quick || { asan=$one-asan; tsan=$one-tsan; }
    test "$mode" != full || dpdk=$one-dpdk
    mapfile -t builds < <(for suite in $suites; do builds_for "$suite"; done \
                              | tr ' ' '\n' | awk 'NF && !n[$1]++')

    # One of them alone makes configure.gen.
    zoo_step "build configure" "$zoo_repo/configure" --version || true
    for name in "${builds[@]}"; do
        test -z "$(lacking_for "$name")" || continue
        # The unpatched build shares a directory with the patched one.
        while test ${#zoo_title[@]} -ge 2 \
                || { test "$name" = "$one-stock" && is_running "build $one"; }
        do
            zoo_finish_one || true
        done
        start_build "$name"
    done
    zoo_finish_all || true

    for name in "${builds[@]}"; do
        if have_build "$name"; then
            record pass builds "$name" 0 ""
        elif test -n "$(lacking_for "$name")"; then
            skip_test builds "$name" "$(lacking_for "$name")"
        else
            record fail builds "$name" 0 \
                "see $(zoo_log_name "build $name")"
        fi
    done
}

# Suites.

# built SUITE NAME BUILD: the program tests/NAME of BUILD, or skips its test.
built() {
    local dir part=$1 why
    dir=$(version_dir "$3")
    test -x "$dir/tests/$2" && return 0
    case $2 in
    */test-vtrace-* | */fuzz-vtraced-*) part=vtrace ;;
    */test-gateway-pipeline | */test-gateway-runtime | */test-gateway-updates)
        part=gateway ;;
    esac
    why=$(sed -n "s/^BUILD_${part^^} = //p" "$dir/Makefile")
    test "$why" != yes || why=$(sed -n "s/^BUILD_${1^^} = //p" "$dir/Makefile")
    skip_test "$1" "$(basename "$2") on $3" "$why"
    return 1
}

suite_unit() {
    local build test name
    for build in "$one" "$one-asan" "$one-tsan"; do
        need_build unit "$build" || continue
        for test in "$zoo_repo"/tests/unit/test-*.c; do
            name=unit/$(basename "$test" .c)
            # Those without threads are not even built with ThreadSanitizer.
            case $build in
            *-tsan) test -x "$(version_dir "$build")/tests/$name" \
                        || continue ;;
            esac
            built unit "$name" "$build" || continue
            start_test unit "$(basename "$name") on $build" 900 \
                env CK_VERBOSITY=normal UBSAN_OPTIONS=halt_on_error=1 \
                    "$(version_dir "$build")/tests/$name"
        done
    done
    finish_tests
}

# start_at SUITE BUILD FILE...
#
# Runs tests of Open vSwitch's testsuite.  Most of their time is spent waiting,
# so that there can be more of them at a time than there are processors, and two
# builds' at a time.
start_at() {
    local suite=$1 build=$2 dir
    shift 2
    need_build "$suite" "$build" || return 0
    while test ${#zoo_title[@]} -ge 2; do
        finish_one_at
    done
    dir=$(version_dir "$build")
    zoo_start "$suite $build" env ASAN_OPTIONS=detect_leaks=1 \
        "$zoo_repo/build-aux/run-at" \
        --tree "$(ovs_tree "$build")" --stock "$dir/stock-${build%%-*}" \
        --results "$results" --logs "$zoo_logs" --suite "$suite" \
        --label "$build" --match "$match" --jobs $((zoo_cpus * 4)) "$@"
}

finish_one_at() {
    zoo_finish_one && return 0
    local suite=${zoo_last_title% *} build=${zoo_last_title#* }
    # Tests that failed are recorded; anything else failed as a whole.
    grep -q "^fail"$'\t'"$suite"$'\t'"$build: " "$results" \
        || record fail "$suite" "$build" 0 \
               "$(tail -n 1 "$(zoo_log_name "$zoo_last_title")")"
}

finish_at() {
    while test ${#zoo_title[@]} -gt 0; do
        finish_one_at
    done
}

# The build that takes longest comes first.
suite_at() {
    local version
    start_at at "$one-asan" ours
    for version in $versions; do
        start_at at "$version" ours
    done
    start_at at "$one-dpdk" ours
    finish_at
}

suite_ovs() {
    local version
    # shellcheck disable=SC2086 # Lists.
    for version in $versions; do
        if test "$mode" = full; then
            start_at ovs "$version" all
        elif test "$version" = "$one"; then
            start_at ovs "$version" $touched_at
        else
            start_at ovs "$version" $core_at
        fi
    done
    # shellcheck disable=SC2086
    start_at ovs "$one-asan" $core_at
    finish_at
}

# What libFuzzer finds is not to be taken for a test that is skipped, as its own
# exit code would be.
suite_fuzz() {
    local test name dir
    need_build fuzz "$one" || return 0
    for test in "$zoo_repo"/tests/fuzz/fuzz-*.c; do
        test -e "$test" || continue
        name=$(basename "$test" .c)
        built fuzz "fuzz/$name" "$one" || continue
        dir=$scratch/$name
        mkdir -p "$dir"
        start_test fuzz "$name" 120 "$(version_dir "$one")/tests/fuzz/$name" \
            -max_total_time=10 -timeout=10 -rss_limit_mb=1024 \
            -print_final_stats=1 -error_exitcode=1 \
            -artifact_prefix="$zoo_logs/$name-" \
            "$dir" "$zoo_repo/tests/fuzz/corpus/${name#fuzz-}"
    done
    finish_tests
}

# start_executable START SUITE FILE SECONDS [ARGUMENT...]
#
# Runs a test of tests/SUITE with the builds in its environment by START, that
# is start_test or run_test.
start_executable() {
    local start=$1 suite=$2 test=$3 limit=$4 name
    shift 4
    name=$(basename "$test")
    if grep -q '^# needs: root' "$test" && test "$(id -u)" != 0; then
        skip_test "$suite" "$name" "needs root"
        return 0
    fi
    "$start" "$suite" "$name" "$(limit_of "$test" "$limit")" \
        env ZOO_OVS="$(ovs_tree "$one")" \
            ZOO_STOCK="$(version_dir "$one")/stock-$one" \
            ZOO_TOOLS="$(version_dir "$one")/tests" \
            "$test" "$@"
}

executables() {
    find "$zoo_repo/tests/$1" -maxdepth 1 -type f -perm -u+x 2>/dev/null | sort
}

is_alone() {
    sed -n '1,40p' "$1" | grep -q '^# alone: '
}

longest_first() {
    local test
    while read -r test; do
        echo "$(limit_of "$test" 300) $test"
    done | sort -k 1,1nr -k 2 | cut -d ' ' -f 2-
}

# What configure, make and make install promise.
suite_build() {
    local test
    need_build build "$one" || return 0
    for test in $(executables build); do
        start_executable run_test build "$test" 600
    done
}

# run_tests SUITE
#
# Runs the tests of tests/SUITE.  Those that measure times, or load all
# processors, say "alone: WHY" in a comment; of the others two run at a time,
# those that may take longest first.
run_tests() {
    local suite=$1 test
    need_build "$suite" "$one" && need_build "$suite" "$one-stock" || return 0
    for test in $("${suite}_tests" | longest_first); do
        is_alone "$test" || start_in_time start_test "$suite" "$test"
    done
    finish_tests
    for test in $("${suite}_tests"); do
        ! is_alone "$test" || start_in_time run_test "$suite" "$test"
    done
}

# On a machine on which all this takes longer than continuous integration waits,
# the last benchmarks are skipped.
start_in_time() {
    if test "$2" = bench && test "$mode" != full \
            && test $SECONDS -gt $max_seconds; then
        skip_test bench "$(basename "$3")" \
            "$((max_seconds / 60)) minutes are over: use --only bench"
        return 0
    fi
    # shellcheck disable=SC2046 # Several words.
    start_executable "$1" "$2" "$3" 300 \
        $(sed -n 's/^# check://p' "$3" | head -n 1)
}

suite_system() {
    run_tests system
}

system_tests() {
    executables system
}

suite_bench() {
    run_tests bench
}

# A benchmark runs here if a comment "check: ARGUMENTS" says how.
bench_tests() {
    local test
    for test in $(executables bench); do
        ! grep -q '^# check:' "$test" || echo "$test"
    done
}
