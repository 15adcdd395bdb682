# shellcheck shell=bash
# The parts of a tunnel under test: certificates, Debian's OpenVPN, the lab with the driver, OpenVPN for Windows under
# Wine, and what is measured on them. Sourced after common.sh.
# shellcheck disable=SC2154 # run, repo, pid, ns_* come from common.sh

# --- certificates ---------------------------------------------------------------------------------------------------

# One CA and a certificate for each end, in $run/pki.
make_pki() {
    local pki=$run/pki name usage
    [ ! -e "$pki/done" ] || return 0
    mkdir -p "$pki"
    local key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -sha256 -days 3)
    openssl req -x509 "${key[@]}" -keyout "$pki/ca.key" -out "$pki/ca.crt" -subj /CN=dco-test-ca 2>/dev/null
    for name in server client; do
        usage=${name}Auth
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

# start_openvpn NAME NAMESPACE < configuration: Debian's OpenVPN; returns once it is ready. Process id in $pid.
start_openvpn() {
    local name=$1 ns=$2 ready=${3:-Initialization Sequence Completed}
    cat >"$run/$name.conf"
    # Without --disable-dco it would use a kernel module where the machine has one; the far end is to be stock userspace.
    spawn "$name" ip netns exec "$ns" openvpn --disable-dco --cd "$run" --config "$name.conf"
    wait_for_line 20 "$pid" "$run/logs/$name.log" "$ready"
}

# server_config [PROTO] [CIPHERS]: a server that gives out addresses, in the usual shape. More lines may follow.
server_config() {
    local proto=${1:-udp4} ciphers=${2:-AES-256-GCM} local_address=$wire4_server
    [ "$proto" = udp4 ] || local_address=$wire6_server
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
    [ "$proto" = udp4 ] || remote=$wire6_server
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
    timeout 15 ip netns exec "$1" bash -c '
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

# build_driver: cross-builds the driver; its path is in $sys.
build_driver() {
    need_rust
    need lld-link:lld clang:clang
    step "building the driver" cargo xtask driver
    sys=$target/driver/ovpn-dco.sys
    [ -s "$sys" ] || die "expected \`cargo xtask driver\` to make ${sys#"$repo/"}; there is none"
    sys_sha256=$(sha256sum "$sys" | cut -d' ' -f1)
}

# build_lab: $lab and $cli are the programs.
build_lab() {
    need_rust
    step "building the lab and dco-cli" cargo build --release -p dco-lab -p dco-cli
    lab=$target/release/dco-lab cli=$target/release/dco-cli
}

# start_lab NAME NAMESPACE TUN LISTEN: process id in $pid.
start_lab() {
    local name=$1 ns=$2 tun=$3 listen=$4
    spawn "$name" ip netns exec "$ns" "$lab" run --sys "$sys" --tun "$tun" --listen "$listen"
    wait_for_line 20 "$pid" "$run/logs/$name.log" '^ready '
}

# stop_lab PID NAME: asks the lab's driver to unload; a violation or a leak is an error.
stop_lab() {
    local pid=$1 name=$2
    stop "$pid" 20
    if [ "$status" != 0 ]; then
        say "expected the lab $name to end with status 0 after unloading the driver, it ended with $status:"
        tail -n 25 "$run/logs/$name.log" >&2
        return 1
    fi
}
