# shellcheck shell=bash
# What the scripts share: progress, packages, clean-up, namespaces, waiting. Sourced, never run.
#
# A script calls `begin NAME` first. From then on everything it makes is undone when it ends, however it ends:
# processes started with `spawn`, namespaces made with `make_namespaces`, the run's folder $run, and what `at_exit` names.
# Names carry the script's process id, so that two runs do not meet.

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export repo
# shellcheck disable=SC2034 # used by the scripts
target=${CARGO_TARGET_DIR:-$repo/target}
script=$(basename "$0")

# --- progress ---------------------------------------------------------------------------------------------------

say() { printf '[%4d s] %s\n' "$SECONDS" "$*" >&2; }
warn() { say "warning: $*"; }
die() {
    say "error: $*"
    exit 1
}

# A wrong command line: exit status 2.
usage_error() {
    printf '%s: %s\nSee %s --help.\n' "$script" "$*" "$script" >&2
    exit 2
}

# need_value OPTION "$@": the option's value must follow.
need_value() { [ $# -ge 2 ] || usage_error "$1: expected a value, got nothing"; }

# --- clean-up -----------------------------------------------------------------------------------------------------

run='' run_name='' kept_logs=''
spawned=()
namespaces=()
exit_actions=()

at_exit() { exit_actions+=("$*"); }

# begin NAME: makes $run and arms the clean-up.
begin() {
    run_name=$1
    run=$(mktemp -d "${TMPDIR:-/tmp}/dco-$run_name.XXXXXX")
    # The lab's sockets are found here from every namespace; nobody else has business with them.
    chmod 700 "$run"
    mkdir "$run/logs"
    trap finish EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP
}

# keep_logs NAME: keeps the run's logs, for a look at what went wrong.
keep_logs() {
    kept_logs=$target/logs/$1
    rm -rf "$kept_logs"
    mkdir -p "$target/logs"
    cp -r "$run/logs" "$kept_logs"
    say "logs kept in ${kept_logs#"$repo/"}"
}

finish() {
    local exit_status=$?
    trap - EXIT
    trap '' INT TERM HUP
    if [ "$exit_status" != 0 ] && [ "$exit_status" -lt 128 ] && [ -z "$kept_logs" ] && [ -n "$(ls -A "$run/logs")" ]; then
        # What is counted while all still runs says more than what is logged.
        if declare -F diagnose >/dev/null; then (set +e; diagnose) >"$run/logs/diagnosis.log" 2>&1; fi
        keep_logs "$run_name"
    fi
    set +e
    local i
    for ((i = ${#exit_actions[@]} - 1; i >= 0; i--)); do eval "${exit_actions[i]}"; done
    stop_all
    remove_namespaces
    rm -rf "$run"
    exit "$exit_status"
}

# --- processes ------------------------------------------------------------------------------------------------------

# spawn NAME COMMAND...: runs it in the background, its output in $run/logs/NAME.log; its process id is in $pid.
spawn() {
    local name=$1
    shift
    # Emptied here already: the process may come to it after somebody has looked for a line, and found one of an earlier run.
    : >"$run/logs/$name.log"
    "$@" >"$run/logs/$name.log" 2>&1 </dev/null &
    pid=$!
    spawned+=("$pid")
}

running() { kill -0 "$1" 2>/dev/null; }

# stop PID [SECONDS]: ends a process that was spawned; its exit status is in $ended.
stop() {
    local pid=$1 patience=${2:-10} i kept=()
    if running "$pid"; then
        kill -TERM "$pid" 2>/dev/null || true
        for ((i = 0; i < patience * 20; i++)); do
            running "$pid" || break
            sleep 0.05
        done
        if running "$pid"; then
            warn "process $pid did not end within $patience s after SIGTERM, killing it"
            kill -KILL "$pid" 2>/dev/null || true
        fi
    fi
    ended=0
    wait "$pid" 2>/dev/null || ended=$?
    for i in "${spawned[@]}"; do [ "$i" = "$pid" ] || kept+=("$i"); done
    spawned=("${kept[@]}")
}

stop_all() {
    local i pids=("${spawned[@]}")
    for ((i = ${#pids[@]} - 1; i >= 0; i--)); do stop "${pids[i]}"; done
}

# wait_for SECONDS WHAT COMMAND...: polls until the command succeeds.
wait_for() {
    local patience=$1 what=$2 began=$SECONDS
    shift 2
    until "$@" >/dev/null 2>&1; do
        if [ $((SECONDS - began)) -ge "$patience" ]; then
            say "expected $what within $patience s; it did not come"
            return 1
        fi
        sleep 0.1
    done
}

# wait_for_line SECONDS PID FILE PATTERN [AFTER]: until the log has a line with this extended pattern after its first
# AFTER lines; gives up at once if the process that writes the log ends.
wait_for_line() {
    local patience=$1 pid=$2 file=$3 pattern=$4 after=${5:-0} began=$SECONDS
    until tail -n +$((after + 1)) "$file" 2>/dev/null | grep -qE -- "$pattern"; do
        if ! running "$pid"; then
            # What it wrote last may have come between the two looks.
            tail -n +$((after + 1)) "$file" | grep -qE -- "$pattern" && return 0
            say "expected a line with '$pattern' in $(basename "$file"); the process ended before it came:"
            tail -n 12 "$file" >&2
            return 1
        fi
        if [ $((SECONDS - began)) -ge "$patience" ]; then
            say "expected a line with '$pattern' in $(basename "$file") within $patience s; the last lines are:"
            tail -n 12 "$file" >&2
            return 1
        fi
        sleep 0.1
    done
}

# step WHAT COMMAND...: a step whose output is of interest only if it fails. It goes to $run/logs.
step() {
    local what=$1 began=$SECONDS log
    shift
    log=$run/logs/$(tr -cs 'a-zA-Z0-9\n' - <<<"$what").log
    say "$what ..."
    if ! "$@" >"$log" 2>&1 </dev/null; then
        say "$what: failed after $((SECONDS - began)) s; the last lines of its output:"
        tail -n 30 "$log" >&2
        return 1
    fi
    [ $((SECONDS - began)) -lt 5 ] || say "$what: $((SECONDS - began)) s"
}

# --- what the machine has to have -------------------------------------------------------------------------------------

need_root() { [ "$(id -u)" = 0 ] || die "expected to be root, for network namespaces and TUN devices; am $(id -un)"; }

# need PROGRAM:PACKAGE... installs the packages whose program is missing. A program with a slash is a file.
need() {
    local pair program missing=()
    for pair in "$@"; do
        program=${pair%%:*}
        case $program in
            */*) [ -e "$program" ] || missing+=("${pair#*:}") ;;
            *) command -v "$program" >/dev/null || missing+=("${pair#*:}") ;;
        esac
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        die "these packages are missing and cannot be installed from here (Debian's names): ${missing[*]}"
    fi
    say "installing ${missing[*]} ..."
    export DEBIAN_FRONTEND=noninteractive
    local log=$run/logs/apt.log
    # The package lists of a fresh machine may be empty or old; ask again only if that is needed.
    if ! apt-get install -y --no-install-recommends "${missing[@]}" >"$log" 2>&1 </dev/null; then
        apt-get update >>"$log" 2>&1 </dev/null || warn "apt-get update failed, trying all the same"
        if ! apt-get install -y --no-install-recommends "${missing[@]}" >>"$log" 2>&1 </dev/null; then
            tail -n 15 "$log" >&2
            die "apt-get could not install: ${missing[*]}"
        fi
    fi
    for pair in "$@"; do
        program=${pair%%:*}
        case $program in
            */*) [ -e "$program" ] ;;
            *) hash -r && command -v "$program" >/dev/null ;;
        esac || die "expected the package ${pair#*:} to bring $program; it did not"
    done
}

need_rust() {
    if ! command -v cargo >/dev/null && [ -f "${CARGO_HOME:-$HOME/.cargo}/env" ]; then
        # shellcheck disable=SC1091
        . "${CARGO_HOME:-$HOME/.cargo}/env"
    fi
    command -v cargo >/dev/null || die "expected a Rust toolchain, found no cargo; install one from https://rustup.rs"
    need cc:build-essential pkg-config:pkg-config /usr/include/openssl/ssl.h:libssl-dev
}

need_network() {
    need_root
    need ip:iproute2 ping:iputils-ping
    if [ ! -e /dev/net/tun ]; then
        modprobe tun 2>/dev/null || true
        [ -e /dev/net/tun ] || die "expected /dev/net/tun, found none; the kernel needs TUN (module tun)"
    fi
}

# --- namespaces -------------------------------------------------------------------------------------------------------

# The addresses of the wire between the two ends, and of the tunnel. Each run has namespaces of its own, so the
# addresses may be the same in all.
# shellcheck disable=SC2034
readonly wire4_server=10.87.0.1 wire4_client=10.87.0.2 wire6_server=fd87::1 wire6_client=fd87::2
# shellcheck disable=SC2034
readonly tunnel4_server=10.88.0.1 tunnel6_server=fd88::1

ns_server='' ns_client=''
# The same, as dco-cli takes it.
place_server='' place_client=''

# Two namespaces, $ns_server and $ns_client, joined by a veth called `wire` in both. A TUN device that is made in them
# later starts silent: the kernel sends nothing of its own through it, so that counters can be compared exactly.
make_namespaces() {
    ns_server=dco-$$-server ns_client=dco-$$-client
    # shellcheck disable=SC2034
    place_server=$ns_server,$wire4_server,$wire6_server place_client=$ns_client,$wire4_client,$wire6_client
    local ns
    for ns in "$ns_server" "$ns_client"; do
        ip netns add "$ns"
        namespaces+=("$ns")
        ip -n "$ns" link set lo up
    done
    ip -n "$ns_server" link add wire type veth peer name wire netns "$ns_client"
    ip -n "$ns_server" addr add "$wire4_server/24" dev wire
    ip -n "$ns_server" addr add "$wire6_server/64" dev wire nodad
    ip -n "$ns_client" addr add "$wire4_client/24" dev wire
    ip -n "$ns_client" addr add "$wire6_client/64" dev wire nodad
    for ns in "$ns_server" "$ns_client"; do
        ip -n "$ns" link set wire up
        in_ns "$ns" sh -c '
            cd /proc/sys/net/ipv6/conf/default
            echo 1 >addr_gen_mode
            echo 0 >accept_ra
            echo 0 >autoconf
            echo 0 >router_solicitations
            echo 0 >accept_dad'
    done
    # The first packets may come before the other end's addresses are in place, and the next try is a second later.
    local address
    for address in "$wire4_server" "$wire6_server"; do
        wait_for 10 "a reply of $address" in_ns "$ns_client" ping -c 1 -W 1 "$address"
    done
}

in_ns() { ip netns exec "$@"; }

remove_namespaces() {
    local ns pid
    for ns in "${namespaces[@]}"; do
        # Whatever still runs in there was started by this run.
        for pid in $(ip netns pids "$ns" 2>/dev/null); do kill -KILL "$pid" 2>/dev/null; done
        ip netns del "$ns" 2>/dev/null
    done
    namespaces=()
}

# counter NAMESPACE DEVICE NAME: one of the kernel's counters of a device, for example rx_bytes.
counter() { in_ns "$1" cat "/sys/class/net/$2/statistics/$3"; }
