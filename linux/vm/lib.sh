# shellcheck shell=bash disable=SC2034,SC2154 # names are shared among the files that init sources
# What the scenarios are written with: the module under test, namespaces, OpenVPN, checks. Runs inside the VM.
#
# A scenario is a function scenario_NAME (dashes as underscores) in one of scenarios/*.sh, named in scenarios/list. It runs
# in a subshell with a time limit (240 s, or limit_NAME); what it started and made is gone before the next. Its checks print `ok` or `FAIL` lines.
#
# Namespaces: s has the server; c1, c2, c3 have clients; each is joined to a bridge in s, all as device `wire`.
#   s   10.99.0.1/24   fd99::1/64          cN   10.99.0.1N/24   fd99::1N/64
# The tunnel, device tun0: 10.8.0.0/24 and fd08::/64, the server at .1 and ::1.

logs=/run/rig
mkdir -p "$logs"
scenario=none

# What the OpenVPN under test calls its family and its device's kind.
case $rig_openvpn in
    2.6) kind=ovpn-dco family=ovpn-dco-v2 module_name=ovpn_dco_v2 ;;
    *) kind=ovpn family=ovpn module_name=ovpn ;;
esac

# --- checks -------------------------------------------------------------------------------------------------------------

ok() { echo "ok   $scenario: $1"; }

# fail WHAT EXPECTED GOT: unless expected-failures has it: MODULE OPENVPN SCENARIO a-part-of-WHAT reason.
fail() {
    local module openvpn name part reason
    while IFS='|' read -r module openvpn name part reason; do
        case $module in '' | '#'*) continue ;; esac
        # shellcheck disable=SC2053 # patterns
        if [[ $rig_module == "$module" && $rig_openvpn == $openvpn && $scenario == $name && $1 == *$part* ]]; then
            echo "xfail $scenario: $1: expected $2; got $3 (known:$reason)"
            return 0
        fi
    done </rig/expected-failures
    echo "FAIL $scenario: $1: expected $2; got $3"
    touch "$logs/failed"
}

# equal WHAT EXPECTED GOT
equal() { if [ "$2" = "$3" ]; then ok "$1: $3"; else fail "$1" "'$2'" "'$3'"; fi; }

# near WHAT EXPECTED GOT PERCENT
near() {
    if awk "BEGIN { d = $3 - $2; if (d < 0) d = -d; exit !(d * 100 <= $2 * $4) }"; then ok "$1: $3, near $2"; else fail "$1" "$2 within $4 %" "$3"; fi
}

# at_least WHAT LEAST GOT
at_least() { if [ "$3" -ge "$2" ] 2>/dev/null; then ok "$1: $3"; else fail "$1" "at least $2" "$3"; fi; }

# works WHAT COMMAND..., refused WHAT COMMAND...
works() {
    local what=$1 said
    shift
    if said=$("$@" 2>&1); then ok "$what"; else fail "$what" "'$*' to succeed" "$(tail -n 2 <<<"$said" | tr '\n' ' ')"; fi
}
refused() {
    local what=$1 said
    shift
    if said=$("$@" 2>&1); then fail "$what" "'$*' to be refused" success; else ok "$what: $(tail -n 1 <<<"$said")"; fi
}

# wait_until SECONDS COMMAND...: quietly.
wait_until() {
    local patience=$(($1 * ${rig_patience:-1})) began=$SECONDS
    shift
    until "$@" >/dev/null 2>&1; do
        [ $((SECONDS - began)) -lt "$patience" ] || return 1
        sleep 0.1
    done
}

# until_true SECONDS WHAT COMMAND...: as a check.
until_true() {
    local patience=$1 what=$2
    shift 2
    if wait_until "$patience" "$@"; then ok "$what"; else fail "$what" "'$*' to hold within $patience s" "it did not"; fi
}

has_line() { tail -n +$(($3 + 1)) "$1" 2>/dev/null | grep -qE -- "$2"; }
lines_of() { wc -l <"$1"; }

# log_says SECONDS NAME PATTERN [AFTER-LINES]: the log of OpenVPN NAME gets a line with it.
log_says() {
    local file=$logs/$2.log
    if wait_until "$1" has_line "$file" "$3" "${4:-0}"; then
        ok "$2's log: $3"
    else
        fail "$2's log" "a line with '$3' within $1 s" "$(tail -n 3 "$file" | tr '\n' '/')"
    fi
}
log_lacks() {
    if has_line "$logs/$1.log" "$2" "${3:-0}"; then fail "$1's log" "no '$2'" "$(grep -E -- "$2" "$logs/$1.log" | tail -n 1)"; else ok "$1's log has no '$2'"; fi
}

# pings WHAT NAMESPACE ADDRESS [SIZE [COUNT [OPTION...]]]: each has to be answered, however late: once one was, ping waits no longer
# than an interval for the others (or two round trips), whatever -W says. So they leave as a burst, and the interval is long; of a burst
# ping's own socket holds some forty small replies.
pings() {
    local count=${5:-5} size=${4:-56} got
    got=$(in_ns "$2" ping -q -c "$count" -l "$count" -S 200000 -i 20 -W 20 -s "$size" "${@:6}" "$3" 2>&1 | grep -oE '[0-9]+ received' | cut -d' ' -f1)
    equal "$1, $size bytes, answered" "$count" "${got:-none}"
}
no_ping() {
    local got
    got=$(in_ns "$2" ping -q -c 2 -i 0.2 -W 1 "$3" 2>&1 | grep -oE '[0-9]+ received' | cut -d' ' -f1)
    equal "$1, answered" 0 "${got:-0}"
}
answers() { in_ns "$1" ping -q -c 1 -W 1 "$2"; }

# --- the module ---------------------------------------------------------------------------------------------------------

loaded() { [ -d "/sys/module/$1" ]; }
load_module() { [ "$rig_module" = none ] || modprobe "$family"; }

# dco_at NAMESPACE LOG: the tunnel there is the kernel's: by OpenVPN's word, by the link's kind, by the family.
dco_at() {
    equal "$1: kind of tun0" "$kind" "$(link_kind "$1" tun0)"
    log_says 1 "$2" 'DCO version: '
}
no_dco_at() {
    equal "$1: kind of tun0" tun "$(link_kind "$1" tun0)"
}
link_kind() { ip -n "$1" -j -d link show dev "$2" 2>/dev/null | sed -nE 's/.*"info_kind":"([^"]*)".*/\1/p'; }

# in the run's expected mode: userspace where no module is under test
data_path_at() { if [ "$rig_module" = none ]; then no_dco_at "$@"; else dco_at "$@"; fi; }

# asks NAMESPACE get PEER, or set PEER ATTRIBUTE VALUE: over netlink, as OpenVPN does, of tun0's peers.
asks() { in_ns "$1" /rig/bin/nlask "$family" tun0 "${@:2}"; }
# value_of NAMESPACE PEER NAME: one line of what `asks get` prints, without its name; 0 if it is not there.
value_of() { asks "$1" get "$2" | awk -v name="$3" 'index($0, name " ") == 1 { print substr($0, length(name) + 2); got = 1 } END { if (!got) print 0 }'; }
# listens NAMESPACE: to notifications, into $logs/notifications, until the namespace goes.
listens() {
    asks "$1" listen >"$logs/notifications" 2>&1 &
    disown
    until_true 20 'netlink is listened to' grep -q listening "$logs/notifications"
}

# --- namespaces ---------------------------------------------------------------------------------------------------------

in_ns() { ip netns exec "$@"; }

# make_net CLIENTS: s and c1 to cCLIENTS.
make_net() {
    local i ns
    make_ns s
    ip -n s link add wire type bridge forward_delay 0 mcast_snooping 0
    ip -n s addr add 10.99.0.1/24 dev wire
    ip -n s addr add fd99::1/64 dev wire nodad
    ip -n s link set wire up
    for ((i = 1; i <= $1; i++)); do
        ns=c$i
        make_ns $ns
        ip -n s link add port$i type veth peer name wire netns $ns
        ip -n s link set port$i master wire up
        ip -n $ns addr add 10.99.0.1$i/24 dev wire
        ip -n $ns addr add fd99::1$i/64 dev wire nodad
        ip -n $ns link set wire up
    done
    for ((i = 1; i <= $1; i++)); do
        if ! wait_until 20 answers c$i 10.99.0.1 || ! wait_until 20 answers c$i fd99::1; then
            fail "the wire of c$i" "replies of the server's namespace" none
        fi
    done
}

# A device that comes up later sends nothing of its own, but for the groups that it joins: of those it tells at once.
make_ns() {
    ip netns add "$1"
    ip -n "$1" link set lo up
    in_ns "$1" sh -c 'cd /proc/sys/net; echo 0 >ipv6/conf/default/accept_dad; echo 0 >ipv6/conf/default/router_solicitations
        echo 1 >ipv6/conf/default/mldv2_unsolicited_report_interval
        echo 0 >ipv6/conf/default/accept_ra; echo 1 >ipv4/ip_forward; echo 1 >ipv6/conf/all/forwarding; echo 1 >ipv6/conf/default/addr_gen_mode'
}

remove_net() {
    local ns pid
    for ns in $(ip netns list | cut -d' ' -f1); do
        for pid in $(ip netns pids "$ns" 2>/dev/null); do kill -KILL "$pid" 2>/dev/null; done
    done
    for pid in "$logs"/*.pid; do [ ! -e "$pid" ] || kill -KILL "$(cat "$pid")" 2>/dev/null; done
    for ns in $(ip netns list | cut -d' ' -f1); do ip netns del "$ns"; done
    rm -f "$logs"/*.pid "$logs"/*.status
}

# --- OpenVPN ------------------------------------------------------------------------------------------------------------

# openvpn_in NAMESPACE NAME: with the configuration on standard input. Its log is $logs/NAME.log.
openvpn_in() {
    local version=${openvpn_version:-$rig_openvpn}
    cat >"$logs/$2.conf"
    : >"$logs/$2.log"
    ip netns exec "$1" "/openvpn/$version/openvpn" --config "$logs/$2.conf" --cd "$logs" --writepid "$logs/$2.pid" \
        --verb "${verb:-4}" >>"$logs/$2.log" 2>&1 </dev/null &
    disown
    wait_until 20 test -s "$logs/$2.pid" || true
}
pid_of() { cat "$logs/$1.pid"; }

# server [LINE...]: in s. The lines come last; OpenVPN 2.6 may lose a notification that comes while it asks for counters, so
# that the status file is written seldom unless $status_seconds says otherwise; `proto` is the variable $proto (udp4, udp6, udp, tcp4, tcp6).
server() {
    {
        cat <<CONF
dev tun0
dev-type tun
proto $(tcp_role "${proto:-udp4}" server)
port 1194
server 10.8.0.0 255.255.255.0
server-ipv6 fd08::/64
topology subnet
ca /keys/ca.crt
cert /keys/server.crt
key /keys/server.key
dh none
keepalive ${keepalive:-10 120}
data-ciphers ${ciphers:-AES-256-GCM}
status $logs/server.status ${status_seconds:-60}
CONF
        [ $# -eq 0 ] || printf '%s\n' "$@"
    } | openvpn_in s server
    log_says 60 server 'Initialization Sequence Completed'
}
# OpenVPN's names are tcp4-server and so on.
tcp_role() { case $1 in tcp*) echo "$1-$2" ;; *) echo "$1" ;; esac; }

# client N [LINE...]: in cN, and waits until it is up. The server is at $server_at, if that is set.
client() {
    client_started "$@"
    client_up "$1"
}
client_started() {
    local n=$1 remote=${server_at:-10.99.0.1}
    shift
    case ${proto:-udp4} in *6) remote=${server_at:-fd99::1} ;; esac
    {
        cat <<CONF
client
dev tun0
dev-type tun
proto $(tcp_role "${client_proto:-${proto:-udp4}}" client)
remote $remote 1194
nobind
ca /keys/ca.crt
cert /keys/client$n.crt
key /keys/client$n.key
data-ciphers ${ciphers:-AES-256-GCM}
connect-retry 1 1
CONF
        [ $# -eq 0 ] || printf '%s\n' "$@"
    } | openvpn_in "c$n" "client$n"
}
client_up() {
    log_says 90 "client$1" 'Initialization Sequence Completed' "${2:-0}"
    # Each end uses its keys when it has them: the first packets may come too early for the other.
    wait_until 20 answers "c$1" 10.8.0.1 || true
}
# address_of N [4|6]: what the client's tunnel has.
address_of() {
    if [ "${2:-4}" = 4 ]; then ip -n "c$1" -4 -o addr show dev tun0; else ip -n "c$1" -6 -o addr show dev tun0 scope global; fi |
        awk '{ sub(/\/.*/, "", $4); print $4; exit }'
}

gone() { ! kill -0 "$(pid_of "$1")" 2>/dev/null; }
# stop_openvpn NAME [SIGNAL]: and waits for its end.
stop_openvpn() {
    kill -"${2:-TERM}" "$(pid_of "$1")"
    until_true 30 "$1 ends at SIG${2:-TERM}" gone "$1"
}
signal() { kill -"$2" "$(pid_of "$1")"; }

# iperf NAMESPACE ADDRESS SECONDS OPTION...: Mbit/s received, in $mbits. The server has to be up: iperf_server NAMESPACE.
iperf_server() {
    in_ns "$1" iperf3 -s -D >/dev/null 2>&1
    wait_until 20 listening "$1" 5201
}
listening() { in_ns "$1" ss -Hltn "sport = :$2" | grep -q .; }
iperf() {
    local ns=$1 address=$2 seconds=$3
    shift 3
    in_ns "$ns" timeout $((seconds + 60)) iperf3 -c "$address" -t "$seconds" -J "$@" >"$logs/iperf.json" 2>&1 || { mbits=0; return 0; }
    mbits=$(tr -d ' \t\n' <"$logs/iperf.json" | grep -oE '"sum_received":\{[^}]*' | grep -oE '"bits_per_second":[0-9.e+]+' |
        cut -d: -f2 | awk '{ printf "%.1f", $1 / 1e6 }')
    [ -n "$mbits" ] || mbits=0
}
# carries WHAT NAMESPACE ADDRESS SECONDS OPTION...: a check that iperf3 got something through.
carries() {
    local what=$1
    shift
    iperf "$@"
    if awk "BEGIN { exit !(${mbits:-0} > 0) }"; then ok "$what: $mbits Mbit/s"; else fail "$what" "traffic" "$(grep -m 1 error "$logs/iperf.json" || echo nothing)"; fi
}

# --- running ------------------------------------------------------------------------------------------------------------

kernel_trouble() { dmesg | grep -E -- "$rig_trouble"; }

# follow PID FILE SECONDS: shows what comes into the file until the process ends.
follow() {
    local began=$SECONDS shown=0 all running=1
    while [ "$running" = 1 ]; do
        kill -0 "$1" 2>/dev/null || running=0
        if [ $((SECONDS - began)) -ge "$3" ]; then
            echo "FAIL $scenario: expected an end within $3 s" >>"$2"
            touch "$logs/failed"
            kill -KILL "$1"
            running=0
        fi
        all=$(wc -l <"$2")
        [ "$all" -eq "$shown" ] || sed -n "$((shown + 1)),${all}p" "$2"
        shown=$all
        [ "$running" = 0 ] || sleep 0.1
    done
    wait "$1" 2>/dev/null
}

# run_one NAME: in a subshell; prints its checks, then `PASS` or `NOT PASSED`.
run_one() {
    local began=$SECONDS file=$logs/output outcome=0 limit
    scenario=$1
    rm -rf "${logs:?}"/*
    : >"$file"
    echo "=== scenario $scenario" >/dev/kmsg
    (
        load_module || fail "modprobe $family" success "$(dmesg | tail -n 2)"
        "scenario_${scenario//-/_}"
    ) >"$file" 2>&1 </dev/null &
    limit=limit_${scenario//-/_}
    follow $! "$file" $((${!limit:-240} * ${rig_patience:-1}))
    remove_net 2>&1
    wait_until 30 no_tunnel_devices || { echo "FAIL $scenario: devices left: $(ip -br link | tr '\n' ' ')"; touch "$logs/failed"; }
    if kernel_trouble >"$logs/trouble"; then
        fail "the kernel's log" 'no trouble' "$(head -n 1 "$logs/trouble")"
        dmesg -c >/dev/null
    fi
    grep -q '^ok ' "$file" || { echo "FAIL $scenario: expected at least one check, got none"; touch "$logs/failed"; }
    [ ! -e "$logs/failed" ] || outcome=1
    if [ "$outcome" = 1 ]; then
        if [ "${rig_mode:-}" != shell ]; then
            for file in "$logs"/*.log; do echo "--- ${file##*/}" && tail -n 60 "$file" | sed 's/^/    /'; done 2>/dev/null
            echo '--- dmesg' && dmesg | tail -n 15 | sed 's/^/    /'
        fi
        echo "NOT PASSED $scenario ($((SECONDS - began)) s)"
        return 1
    fi
    echo "PASS $scenario ($((SECONDS - began)) s, $(grep -c '^ok ' "$logs/output") checks)"
}
no_tunnel_devices() { ! ip -o -d link show 2>/dev/null | grep -qE "ovpn"; }

run_all() {
    local passed=0 failed=0 leaks=0 group name
    for group in /rig/scenarios/*.sh; do
        # shellcheck disable=SC1090
        . "$group"
    done
    if has_kmemleak; then leaks=1; fi
    for name in $rig_scenarios; do
        if run_one "$name"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    done
    if [ $leaks = 1 ] && ! judge_leaks; then failed=$((failed + 1)); fi
    echo "$passed passed, $failed failed"
}
