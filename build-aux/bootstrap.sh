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

# Functions that ./demo and ./check share: install packages, run steps with
# their progress shown, build.  To be sourced by bash; set zoo_repo to the top
# of the repository and zoo_logs to a directory first.
#
#   zoo_install GROUP...        packages of build-aux/packages
#   zoo_step TITLE COMMAND...   run alone, log, show; returns the command's
#                               status
#   zoo_start TITLE COMMAND..., zoo_finish_all
#                               the same, several at a time
#   zoo_build DIR [--stock] [CONFIGURE-ARGUMENT...]
#                               configure and make in DIR, if anything changed
#
# A step runs in a process group of its own.  zoo_cleanup, to be called from the
# caller's EXIT trap, ends those that still run, and waits for them.

zoo_begin=$SECONDS
zoo_cpus=$(nproc)
declare -A zoo_title=() zoo_since=() zoo_status=()
zoo_last_title=
zoo_last_seconds=0

zoo_elapsed() {
    printf '%d:%02d' $(($1 / 60)) $(($1 % 60))
}

zoo_log_name() {
    local name=${1//[^A-Za-z0-9.+-]/-}
    echo "$zoo_logs/$name.log"
}

zoo_start() {
    local title=$1 log
    shift
    log=$(zoo_log_name "$title")
    # With job control each job is a process group.
    set -m
    "$@" > "$log" 2>&1 < /dev/null &
    set +m
    zoo_title[$!]=$title
    zoo_since[$!]=$SECONDS
    zoo_pid=$!
}

# Says how the step with process id $1 went, from its status $2.
zoo_report() {
    local pid=$1 status=$2 title=${zoo_title[$1]} word=ok
    unset "zoo_title[$pid]"
    zoo_last_title=$title
    zoo_last_seconds=$((SECONDS - zoo_since[$pid]))
    test "$status" = 0 || word="FAILED, see $(zoo_log_name "$title")"
    test "$status" != 77 || word=skipped
    printf '%7s  %-44s %7s  %s\n' "$(zoo_elapsed $((SECONDS - zoo_begin)))" \
        "$title" "$(zoo_elapsed "$zoo_last_seconds")" "$word"
    zoo_status[$title]=$status
    return "$status"
}

# On a terminal, shows how long the running steps take until one of them ends.
zoo_show_running() {
    local pid oldest more
    test -t 1 || return 0
    while :; do
        oldest=
        for pid in "${!zoo_title[@]}"; do
            if ! kill -0 "$pid" 2>/dev/null; then
                printf '\033[K'
                return
            fi
            test "$oldest" && test "$oldest" -lt "$pid" || oldest=$pid
        done
        more=
        test ${#zoo_title[@]} = 1 || more="  and $((${#zoo_title[@]} - 1)) more"
        printf '%7s  %-44s %7s%s\r' \
            "$(zoo_elapsed $((SECONDS - zoo_begin)))" \
            "${zoo_title[$oldest]}" \
            "$(zoo_elapsed $((SECONDS - zoo_since[$oldest])))" "$more"
        sleep 0.2
    done
}

# Waits for the first of the running steps to end.
zoo_finish_one() {
    local pid status=0
    zoo_show_running
    wait -n -p pid "${!zoo_title[@]}" || status=$?
    zoo_report "$pid" $status
}

zoo_finish_all() {
    local status=0
    while test ${#zoo_title[@]} -gt 0; do
        zoo_finish_one || status=1
    done
    return $status
}

zoo_step() {
    zoo_start "$@"
    zoo_finish_one
}

zoo_cleanup() {
    local pid
    for pid in "${!zoo_title[@]}"; do
        kill -TERM -- "-$pid" 2>/dev/null
    done
    for pid in "${!zoo_title[@]}"; do
        wait "$pid" 2>/dev/null
    done
    zoo_title=()
}

# Prints the packages of the groups that are not installed.
zoo_missing_packages() {
    local group package
    for group; do
        sed -n "s/^$group  *//p" "$zoo_repo/build-aux/packages"
    done | tr ' ' '\n' | sort -u | while read -r package; do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null \
            | grep -qx installed || echo "$package"
    done
}

zoo_apt_install() {
    export DEBIAN_FRONTEND=noninteractive
    apt-get update && apt-get install -y --no-install-recommends "$@"
}

zoo_install() {
    local missing
    if ! command -v dpkg-query >/dev/null; then
        echo "not a Debian system: the packages of build-aux/packages are" \
             "taken for granted"
        return
    fi
    mapfile -t missing < <(zoo_missing_packages "$@")
    test ${#missing[@]} -gt 0 || return 0
    if test "$(id -u)" != 0; then
        echo "missing, and not installed since this is not root:" \
             "${missing[*]}"
        return 1
    fi
    zoo_step "install ${#missing[@]} packages" zoo_apt_install "${missing[@]}"
}

zoo_make_quiet() {
    make -j "$zoo_cpus" --no-print-directory "$@"
}

zoo_build() {
    local dir=$1 stock=
    shift
    if test "${1-}" = --stock; then
        stock=yes
        shift
    fi
    if test ! -w "$dir" && test -e "$dir"; then
        echo "$dir: not writable, made by another user: remove it, or choose" \
             "another directory with ZOO_BUILD="
        return 1
    fi
    mkdir -p "$dir" && cd "$dir" || return
    if test ! -e Makefile || test "$(cat configured-with 2>/dev/null)" != "$*"
    then
        "$zoo_repo/configure" "$@" || return
        echo "$*" > configured-with
    fi
    zoo_make_quiet ${stock:+stock}
}
