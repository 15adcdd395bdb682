# shellcheck shell=bash disable=SC2034,SC2154 # names are shared among the files that init sources
# Both interfaces on one load of our modules: OpenVPN 2.6 and 2.7 side by side and against each other.
#
#   s   server26 (2.6, tun26, 10.26.0.0/24, port 1126)    server27 (2.7, tun27, 10.27.0.0/24, port 1127)
#   c1  c1t26 (2.6 to server26)    c2  c2t27 (2.7 to server27)    c3  c3t27 (2.6 to server27), c3t26 (2.7 to server26)

# Each tunnel: NAMESPACE NETWORK VERSION-OF-THE-CLIENT. Its client is called NAMESPACEtNETWORK.
both_tunnels=('c1 26 2.6' 'c2 27 2.7' 'c3 27 2.6' 'c3 26 2.7')

# both_server NETWORK VERSION
both_server() {
    openvpn_version=$2 openvpn_in s "server$1" <<CONF
dev tun$1
dev-type tun
proto $(tcp_role "$proto" server)
port 11$1
server 10.$1.0.0 255.255.255.0
server-ipv6 fd$1::/64
topology subnet
ca /keys/ca.crt
cert /keys/server.crt
key /keys/server.key
dh none
keepalive 100 300
data-ciphers AES-256-GCM
status $logs/server$1.status 1
CONF
    log_says 60 "server$1" 'Initialization Sequence Completed'
}

# both_client NAMESPACE NETWORK VERSION
both_client() {
    openvpn_version=$3 openvpn_in "$1" "$1t$2" <<CONF
client
dev tun$2
dev-type tun
proto $(tcp_role "$proto" client)
remote 10.99.0.1 11$2
nobind
ca /keys/ca.crt
cert /keys/client${1#c}.crt
key /keys/client${1#c}.key
data-ciphers AES-256-GCM
connect-retry 1 1
CONF
}

# end_is NAMESPACE DEVICE NAME VERSION: its link's kind is that version's, and OpenVPN itself says our version.
end_is() {
    local kind=ovpn module=ovpn
    [ "$4" != 2.6 ] || kind=ovpn-dco module=ovpn_dco_v2
    log_says 1 "$3" " OpenVPN $4\\."
    equal "$3: kind of $2" "$kind" "$(link_kind "$1" "$2")"
    log_says 1 "$3" "DCO version: $(cat /sys/module/$module/version)$"
}

# Sends pings and TCP both ways through all tunnels at the same time.
both_traffic() {
    local tunnel ns net version port=5200 way count pids=()
    rm -f "$logs"/*.mbits "$logs"/*.answers
    for port in 5201 5202 5203 5204 5205 5206 5207 5208; do
        in_ns s iperf3 -s -D -p $port >/dev/null 2>&1
        wait_until 20 listening s $port
    done
    port=5200
    for tunnel in "${both_tunnels[@]}"; do
        read -r ns net version <<<"$tunnel"
        for way in '' -R; do
            port=$((port + 1))
            # shellcheck disable=SC2086 # no word, or one
            (in_ns "$ns" timeout 90 iperf3 -c "10.$net.0.1" -p $port -t 4 -f k $way | awk '/receiver/ { print $7 }' >"$logs/$ns$net$way.mbits") &
            pids+=($!)
        done
        (in_ns "$ns" ping -q -c 20 -i 0.1 -W 20 -s 2000 "fd$net::1" | grep -oE '[0-9]+ received' >"$logs/$ns$net.answers") &
        pids+=($!)
    done
    wait "${pids[@]}"
    for tunnel in "${both_tunnels[@]}"; do
        read -r ns net version <<<"$tunnel"
        at_least "$ns to server$net, kbit/s" 1 "$(grep -oE '^[0-9]+' "$logs/$ns$net.mbits")"
        at_least "server$net to $ns, kbit/s" 1 "$(grep -oE '^[0-9]+' "$logs/$ns$net-R.mbits")"
        # Full queues may drop; that most come through is for TCP's sake.
        at_least "$ns to server$net, IPv6 pings of 20 under load" 1 "$(cut -d' ' -f1 "$logs/$ns$net.answers")"
    done
}

# Another number of pings in each tunnel, at the same time: nobody's are counted as somebody else's.
both_statistics() {
    local tunnel ns net version count=4 size=900 pids=() inner outer got
    local -A before device
    for tunnel in "${both_tunnels[@]}"; do
        read -r ns net version <<<"$tunnel"
        before[$ns$net]=$(settled "server$net" "client${ns#c}")
        device[$ns$net]=$(device_bytes "$ns" "tun$net")
    done
    for tunnel in "${both_tunnels[@]}"; do
        read -r ns net version <<<"$tunnel"
        count=$((count + 3))
        (pings "$ns to server$net" "$ns" "10.$net.0.1" $size $count) &
        pids+=($!)
    done
    wait "${pids[@]}"
    count=4
    for tunnel in "${both_tunnels[@]}"; do
        read -r ns net version <<<"$tunnel"
        count=$((count + 3))
        # IPv4 and ICMP headers inside; opcode, packet id and tag outside.
        inner=$((count * (size + 28))) outer=$((count * (size + 28 + 24)))
        got=$(device_bytes "$ns" "tun$net")
        equal "$ns tun$net: bytes received" "$inner" $((${got% *} - ${device[$ns$net]% *}))
        equal "$ns tun$net: bytes sent" "$inner" $((${got#* } - ${device[$ns$net]#* }))
        wait_until 20 status_grew "${before[$ns$net]}" "$outer" "server$net" "client${ns#c}"
        got=$(status_bytes "server$net" "client${ns#c}")
        equal "server$net about $ns: bytes received" "$outer" $((${got% *} - ${before[$ns$net]% *}))
        equal "server$net about $ns: bytes sent" "$outer" $((${got#* } - ${before[$ns$net]#* }))
    done
}

scenario_both_openvpns() {
    local tunnel ns net version name
    works 'both modules' modprobe -a ovpn-dco-v2 ovpn
    equal "the core's users" 2 "$(cat /sys/module/ovpn_dco_core/refcnt)"
    for proto in udp4 tcp4; do
        make_net 3
        both_server 26 2.6
        both_server 27 2.7
        for tunnel in "${both_tunnels[@]}"; do
            read -r ns net version <<<"$tunnel"
            both_client "$ns" "$net" "$version"
        done
        for tunnel in "${both_tunnels[@]}"; do
            read -r ns net version <<<"$tunnel"
            log_says 90 "${ns}t$net" 'Initialization Sequence Completed'
            wait_until 20 answers "$ns" "10.$net.0.1"
            end_is "$ns" "tun$net" "${ns}t$net" "$version"
        done
        end_is s tun26 server26 2.6
        end_is s tun27 server27 2.7
        both_traffic
        [ $proto != udp4 ] || both_statistics
        for name in c1t26 c2t27 c3t27 c3t26 server26 server27; do stop_openvpn $name; done
        remove_net
    done
    works 'rmmod of both' modprobe -r ovpn-dco-v2 ovpn
    equal 'modules left' '' "$(grep -oE '^ovpn[^ ]*' /proc/modules)"
}
limit_both_openvpns=900
