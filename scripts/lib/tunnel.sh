# shellcheck shell=bash
# The parts of a tunnel under test: certificates, Debian's OpenVPN, the lab with the driver, OpenVPN for Windows under
# Wine, and what is measured on them. Sourced after common.sh.
# shellcheck disable=SC2154 # run, repo, pid, ns_* come from common.sh

# --- certificates ---------------------------------------------------------------------------------------------------

# make_pki [NAME...]: one CA and a certificate for each end, in $run/pki. The names begin with `server` or `client`.
make_pki() {
    local pki=$run/pki name usage
    [ $# -gt 0 ] || set -- server client
    [ ! -e "$pki/done" ] || return 0
    mkdir -p "$pki"
    local key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -sha256 -days 3)
    openssl req -x509 "${key[@]}" -keyout "$pki/ca.key" -out "$pki/ca.crt" -subj /CN=dco-test-ca 2>/dev/null
    for name in "$@"; do
        case $name in
            server*) usage=serverAuth ;;
            *) usage=clientAuth ;;
        esac
        openssl req "${key[@]}" -keyout "$pki/$name.key" -out "$pki/$name.csr" -subj "/CN=$name" 2>/dev/null
        openssl x509 -req -sha256 -days 3 -in "$pki/$name.csr" -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -CAcreateserial \
            -extfile <(printf 'keyUsage=digitalSignature\nextendedKeyUsage=%s\n' "$usage") \
            -out "$pki/$name.crt" 2>/dev/null
    done
    touch "$pki/done"
}

# The certificates of one end, inline, so that a configuration is one file.
inline_pki() {
    local name=$1
    printf '<ca>\n%s\n</ca>\n<cert>\n%s\n</cert>\n<key>\n%s\n</key>\n' \
        "$(cat "$run/pki/ca.crt")" "$(cat "$run/pki/$name.crt")" "$(cat "$run/pki/$name.key")"
}

# --- Debian's OpenVPN -------------------------------------------------------------------------------------------------

need_openvpn() { need openvpn:openvpn openssl:openssl; }

# Debian's OpenVPN: the machine's, or another one of an unpacked package.
openvpn_program=(openvpn)

# start_openvpn NAME NAMESPACE < configuration: Debian's OpenVPN; returns once it is ready. Process id in $pid.
start_openvpn() {
    local name=$1 ns=$2 ready=${3:-Initialization Sequence Completed}
    cat >"$run/$name.conf"
    # Without --disable-dco it would use a kernel module where the machine has one; the far end is to be stock userspace.
    spawn "$name" ip netns exec "$ns" "${openvpn_program[@]}" --disable-dco --cd "$run" --config "$name.conf"
    wait_for_line 20 "$pid" "$run/logs/$name.log" "$ready"
}

# server_config [PROTO] [CIPHERS]: a server that gives out addresses, in the usual shape. More lines may follow.
# PROTO is udp4, udp6, tcp4 or tcp6.
server_config() {
    local proto=${1:-udp4} ciphers=${2:-AES-256-GCM} local_address=$wire4_server
    case $proto in *6) local_address=$wire6_server ;; esac
    case $proto in tcp*) proto=$proto-server ;; esac
    cat <<CONF
mode server
tls-server
local $local_address
proto $proto
port 1194
dev tun0
dev-type tun
topology subnet
server 10.88.0.0 255.255.255.0
server-ipv6 fd88::/64
dh none
data-ciphers $ciphers
tun-mtu 1500
management 127.0.0.1 7505
verb 4
$(inline_pki server)
CONF
}

# client_config [PROTO] [CIPHERS]: for either OpenVPN.
client_config() {
    local proto=${1:-udp4} ciphers=${2:-AES-256-GCM} remote=$wire4_server
    case $proto in *6) remote=$wire6_server ;; esac
    case $proto in tcp*) proto=$proto-client ;; esac
    cat <<CONF
client
remote $remote 1194 $proto
nobind
dev tun
remote-cert-tls server
data-ciphers $ciphers
tun-mtu 1500
management 127.0.0.1 7505
verb 4
$(inline_pki client)
CONF
}

# management NAMESPACE COMMAND: asks the OpenVPN in that namespace through its management interface.
management() {
    # shellcheck disable=SC2016 # expands in the inner shell
    timeout --foreground 15 ip netns exec "$1" bash -c '
        exec 3<>/dev/tcp/127.0.0.1/7505 || exit 1
        printf "%s\r\n" "$1" >&3
        while IFS= read -r -t 10 line <&3; do
            line=${line%$'\''\r'\''}
            case $line in
                ">"*) ;;
                END | SUCCESS:* | ERROR:*) printf "%s\n" "$line"; printf "quit\r\n" >&3; exit 0 ;;
                *) printf "%s\n" "$line" ;;
            esac
        done
        exit 1' management "$2"
}

# management_value NAMESPACE NAME: one number of `status`, for example "TUN/TAP read bytes".
management_value() { management "$1" status | sed -n "s|^$2,||p"; }

# --- the driver and the lab ---------------------------------------------------------------------------------------------

lab_port=5780

# What cross-building for Windows takes, for the driver and for Wine's side alike.
need_windows_target() {
    need_rust
    need lld-link:lld /usr/bin/cargo:cargo-web /usr/bin/rustc:rustc-web \
        /usr/lib/rustlib/src/rust/library/core/Cargo.toml:rust-web-src
}

# Where the builds end up.
sys=$target/driver/ovpn-dco.sys lab=$target/release/dco-lab cli=$target/release/dco-cli

# build_driver: cross-builds the driver.
build_driver() {
    need_windows_target
    step "building the driver" cargo xtask driver --out "$target/driver"
    use_last_build "$sys"
}

build_lab() {
    need_rust
    step "building the lab and dco-cli" cargo build --release -p dco-lab -p dco-cli
    use_last_build "$lab" "$cli"
}

# use_last_build [FILE...]: they have to be there. The driver's hash is in $sys_sha256.
use_last_build() {
    local file
    [ $# -gt 0 ] || set -- "$sys" "$lab" "$cli"
    for file in "$@"; do
        [ -s "$file" ] || die "expected ${file#"$repo/"} to have been built, there is none"
    done
    # shellcheck disable=SC2034 # used by the scripts
    [ ! -s "$sys" ] || sys_sha256=$(sha256sum "$sys" | cut -d' ' -f1)
}

# build_client VERSION: OpenVPN for Windows, the bridge, Wine's prefix.
build_client() {
    need_windows_target
    need wine:wine /usr/lib/wine/wine64:wine64 x86_64-w64-mingw32-gcc:gcc-mingw-w64-x86-64-posix cmake:cmake ninja:ninja-build \
        perl:perl make:make python3:python3 dpkg-source:dpkg-dev objdump:binutils
    step "building OpenVPN for Windows and preparing Wine (the first time: 10 minutes)" \
        "$repo/scripts/lib/wine-openvpn" --prepare --openvpn "$1"
}

# start_lab NAME NAMESPACE LISTEN [OPTION...]: a lab with the driver; its TUN is dco0. Process id in $pid.
start_lab() {
    local name=$1 ns=$2 listen=$3
    spawn "$name" ip netns exec "$ns" "$lab" run --sys "$sys" --tun dco0 --listen "$listen" "${@:4}"
    wait_for_line 20 "$pid" "$run/logs/$name.log" '^ready '
}

# stop_lab PID NAME NAMESPACE LISTEN: unloads the driver; a violation or a leak is an error.
stop_lab() {
    local pid=$1 name=$2 ns=$3 listen=$4
    if ! in_ns "$ns" "$cli" stop --target "$listen" >"$run/logs/$name-report.log" 2>&1; then
        say "expected the driver in $name to unload cleanly; the lab's report:"
        tail -n 25 "$run/logs/$name-report.log" >&2
        say "the lab's own output:"
        tail -n 25 "$run/logs/$name.log" >&2
        return 1
    fi
    wait_for 10 "the end of $name" gone "$pid" || return 1
    stop "$pid"
    if [ "$ended" != 0 ]; then
        say "expected $name to end with status 0, it ended with $ended:"
        tail -n 25 "$run/logs/$name.log" >&2
        return 1
    fi
}

gone() { ! running "$1"; }

# --- a client of Debian's server --------------------------------------------------------------------------------------

# Which OpenVPN is the client: `windows`, for Wine, the driver and the lab, or `debian`, which checks the rest of the rig.
client_kind=windows
client_pid='' client_lab_pid='' server_pid=''
# Which OpenVPN for Windows.
windows_openvpn=2.6
# More options of the client's lab.
client_lab_options=()

# start_server NAME-OF-CONFIG-FUNCTION ARGUMENT...: more lines of configuration come from stdin.
start_server() {
    { "$@"; cat; } >"$run/server.conf.in"
    start_openvpn server "$ns_server" <"$run/server.conf.in"
    server_pid=$pid
}

# start_client: the configuration comes from stdin. Returns once its TUN, dco0, has its addresses.
start_client() {
    cat >"$run/client.conf"
    local log=$run/logs/client.log
    case $client_kind in
        windows)
            cat >>"$run/client.conf" <<'CONF'
windows-driver ovpn-dco
ifconfig-noexec
route-noexec
CONF
            start_lab client-lab "$ns_client" "127.0.0.1:$lab_port" "${client_lab_options[@]}"
            client_lab_pid=$pid
            spawn client ip netns exec "$ns_client" "$repo/scripts/lib/wine-openvpn" --openvpn "$windows_openvpn" --prefix "$run/prefix" \
                --port "$lab_port" -- --cd "$run" --config client.conf
            ;;
        debian)
            sed -i 's/^dev tun$/dev dco0\ndev-type tun/' "$run/client.conf"
            spawn client ip netns exec "$ns_client" "${openvpn_program[@]}" --disable-dco --cd "$run" --config client.conf
            ;;
    esac
    client_pid=$pid
    if ! wait_for_line 90 "$client_pid" "$log" 'Initialization Sequence Completed'; then
        [ "$client_kind" = debian ] || expect_lab
        return 1
    fi
    configure_tun
}

# expect_lab: a lab that ended by itself has said why.
expect_lab() {
    running "$client_lab_pid" && return 0
    say "the lab has ended; it said:"
    tail -n 25 "$run/logs/client-lab.log" >&2
    return 1
}

# configure_tun: gives dco0 the addresses that the client's log names, as OpenVPN's service would on Windows.
configure_tun() {
    [ "$client_kind" = windows ] || return 0
    local log=$run/logs/client.log pushed ip4 mask ip6
    pushed=$(grep -oE "PUSH_REPLY,[^']*" "$log" | tail -n 1)
    read -r ip4 mask < <(grep -oE ',ifconfig [^,]*' <<<"$pushed" | cut -d' ' -f2-) ||
        { say "expected a pushed \`ifconfig\` in the client's log, found none"; return 1; }
    [ "$mask" = 255.255.255.0 ] || { say "expected the netmask 255.255.255.0, got $mask"; return 1; }
    read -r ip6 < <(grep -oE ',ifconfig-ipv6 [^ ,]*' <<<"$pushed" | cut -d' ' -f2) ||
        { say "expected a pushed \`ifconfig-ipv6\` in the client's log, found none"; return 1; }
    set_tun_addresses "$ns_client" "$ip4/24" "$ip6"
}

# set_tun_addresses NAMESPACE IP4/BITS IP6/BITS
set_tun_addresses() {
    ip -n "$1" link set dev dco0 up
    ip -n "$1" addr replace "$2" dev dco0
    ip -n "$1" addr replace "$3" dev dco0 nodad
    # The kernel makes the address's local route a little later.
    wait_for 5 "a local route for ${3%/*}" local_route "$1" "${3%/*}"
}

local_route() { ip -n "$1" -6 route show table local | grep -q "^local $2 "; }

# stop_client: an orderly exit of OpenVPN, then a clean unload of the driver.
stop_client() {
    management "$ns_client" "signal SIGTERM" >/dev/null || true
    wait_for 20 "the client's orderly exit" gone "$client_pid" || return 1
    stop "$client_pid"
    [ "$client_kind" = windows ] || return 0
    stop_lab "$client_lab_pid" client-lab "$ns_client" "127.0.0.1:$lab_port"
}

# driver_counter NAME: one of GET_STATS, through the lab, while OpenVPN holds the device.
driver_counters() { in_ns "$ns_client" "$cli" stats --peek --target "127.0.0.1:$lab_port"; }
driver_counter() { driver_counters | sed -n "s/^$1 //p"; }

# --- scenarios ---------------------------------------------------------------------------------------------------------

# run_scenarios [OPTION...] -- NAME...: each by the script itself, `--run-one NAME` with these options, in a process of its own for
# the clean-up after it. PASS or FAIL and the evidence; fails if one did.
run_scenarios() {
    local options=() passed=0 failed=0 scenario began
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    shift
    for scenario in "$@"; do
        began=$SECONDS
        say "$scenario ..."
        # shellcheck disable=SC2154 # here is each script's
        if "$here/$script" "${options[@]}" --run-one "$scenario" >"$run/output" 2>&1; then
            passed=$((passed + 1))
            printf 'PASS  %s (%d s)\n' "$scenario" $((SECONDS - began))
            grep '^      ' "$run/output" || true
        else
            failed=$((failed + 1))
            printf 'FAIL  %s (%d s)\n' "$scenario" $((SECONDS - began))
            sed 's/^/      /' "$run/output"
        fi
    done
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ]
}

# --- measurements ------------------------------------------------------------------------------------------------------

# ping_all NAMESPACE ADDRESS COUNT [SECONDS-BETWEEN]: none may be lost. The summary is in $ping_summary. Not two at once of one IP version.
# For the last replies ping waits no longer than twice the longest round trip it saw; those that come later, the namespace's kernel counts.
ping_all() {
    local output before
    before=$(echo_replies "$1" "$2")
    output=$(in_ns "$1" ping -q -n -c "$3" -i "${4:-0.02}" -W 2 "$2" 2>&1) || true
    ping_summary=$(grep -E 'packets transmitted' <<<"$output" | tr -s ' ') || ping_summary=$output
    if ! grep -q " $3 received" <<<"$ping_summary"; then
        wait_for 2 "$3 replies of $2; ping says: $ping_summary" echo_replied "$1" "$2" "$before" "$3" || return 1
        ping_summary+='; the others came when ping had gone'
    fi
    ! grep -qE 'duplicates|errors|corrupted' <<<"$ping_summary" || { say "ping $2: $ping_summary"; return 1; }
}

# echo_replies NAMESPACE ADDRESS: those that ever came, of the address' IP version.
echo_replies() {
    # shellcheck disable=SC2016 # awk's
    case $2 in
        *:*) in_ns "$1" awk '$1 == "Icmp6InEchoReplies" { print $2 }' /proc/net/snmp6 ;;
        *) in_ns "$1" awk '$1 == "Icmp:" { if (place) print $place; else for (i = 2; i <= NF; i++) if ($i == "InEchoReps") place = i }' /proc/net/snmp ;;
    esac
}
echo_replied() { [ $(($(echo_replies "$1" "$2") - $3)) -ge "$4" ]; }

# start_iperf_server ADDRESS: for one client. Process id in $pid.
start_iperf_server() {
    spawn iperf3-server ip netns exec "$ns_server" iperf3 --server --one-off --bind "$1" --forceflush
    wait_for_line 5 "$pid" "$run/logs/iperf3-server.log" 'Server listening'
}

# throughput NAMESPACE ADDRESS SECONDS [IPERF3-OPTION]...: TCP from $ns_client, or to it with -R. Mbit/s in $mbits.
# The window is small enough that no socket's buffer runs over: what is lost in between could not be compared.
window=(--window 64K)
throughput() {
    local ns=$1 address=$2 seconds=$3 output server
    shift 3
    start_iperf_server "$address" || return 1
    server=$pid
    if ! output=$(in_ns "$ns" timeout --foreground $((seconds + 20)) iperf3 --client "$address" --time "$seconds" --format m \
        "${window[@]}" "$@" 2>&1); then
        say "iperf3 $*: $(tail -n 3 <<<"$output")"
        return 1
    fi
    stop "$server" 5
    mbits=$(awk '/receiver$/ { for (i = 1; i < NF; i++) if ($(i + 1) == "Mbits/sec") value = $i } END { print value }' \
        <<<"$output")
    [ -n "$mbits" ] || { say "iperf3 $*: expected a receiver's line, got: $(tail -n 3 <<<"$output")"; return 1; }
}

# wait_until_quiet: until the server's tun counts no more bytes for half a second.
wait_until_quiet() {
    local before='' now i
    for i in $(seq 40); do
        now="$(counter "$ns_server" tun0 rx_bytes) $(counter "$ns_server" tun0 tx_bytes)"
        [ "$now" != "$before" ] || return 0
        before=$now
        sleep 0.5
    done
    say "expected the tunnel to go quiet within $((i / 2)) s, it did not: $now"
    return 1
}

# compare_counters: what the client's end sent and received is what the server's own tun device received and sent. Both
# count from zero since the client connected. The evidence is in $compared.
compare_counters() {
    local sent received rx tx
    wait_until_quiet || return 1
    rx=$(counter "$ns_server" tun0 rx_bytes)
    tx=$(counter "$ns_server" tun0 tx_bytes)
    if [ "$client_kind" = windows ]; then
        sent=$(driver_counter TunBytesSent)
        received=$(driver_counter TunBytesReceived)
        # OpenVPN reads the same counters itself, by GET_STATS through Wine and the bridge.
        local by_openvpn
        by_openvpn="$(management_value "$ns_client" "TUN/TAP write bytes") $(management_value "$ns_client" "TUN/TAP read bytes")"
        if [ "$by_openvpn" != "$sent $received" ]; then
            say "expected OpenVPN to see TunSent $sent and TunReceived $received, its status says $by_openvpn"
            return 1
        fi
    else
        sent=$(counter "$ns_client" dco0 tx_bytes)
        received=$(counter "$ns_client" dco0 rx_bytes)
    fi
    compared="TunSent $sent = server's tun0 rx_bytes $rx, TunReceived $received = server's tun0 tx_bytes $tx"
    if [ "$sent $received" != "$rx $tx" ]; then
        say "expected equal counters, got: driver TunSent $sent, server's tun0 rx_bytes $rx; driver TunReceived $received, server's tun0 tx_bytes $tx"
        return 1
    fi
}

# diagnose: what each part counted, when something failed. Called by common.sh.
diagnose() {
    local ns
    for ns in "$ns_server" "$ns_client"; do
        [ -n "$ns" ] || continue
        echo "== $ns"
        ip -n "$ns" -s addr
        in_ns "$ns" cat /proc/net/snmp | grep -E '^(Ip|Icmp|Udp|Tcp):'
        in_ns "$ns" cat /proc/net/snmp6 | grep -E '^(Ip6In|Ip6Out|Icmp6In|Icmp6Out|Udp6)'
    done
    if [ -n "$client_lab_pid" ] && running "$client_lab_pid"; then
        echo "== the driver"
        driver_counters
        for ns in adapter netcx violations; do
            echo "== lab: $ns"
            in_ns "$ns_client" "$cli" query "$ns" --target "127.0.0.1:$lab_port"
        done
    fi
}
