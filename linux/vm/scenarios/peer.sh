# shellcheck shell=bash disable=SC2034,SC2154 # names are shared among the files that init sources
# Two VMs (scripts/linux-two-vms): the module under test in the near one, somebody else's in the far one.

# peer_tunnel SERVER CLIENT LINE...: near and far, in one order or the other; up, with each end's data path proven.
peer_tunnel() {
    local server=$1 client=$2
    shift 2
    at "$server" wire_end s
    at "$client" wire_end c1
    at "$client" until_true 20 'the wire, IPv4' answers c1 10.99.0.1
    at "$client" until_true 20 'the wire, IPv6' answers c1 fd99::1
    at "$server" server 'status-version 1' "$@"
    at "$client" client 1 "status $logs/client1.status 1" "$@"
    at "$server" data_path_at s server
    at "$client" data_path_at c1 client1
}
peer_tunnel_ends() {
    at "$2" stop_openvpn client1
    at "$1" stop_openvpn server
    at near remove_net
    at far far_clean
}

# What `scripts/linux-two-vms --fault` asks for: the run has to fail.
plant_fault() {
    local far=c1
    [ "$1" = near ] || far=s
    case ${rig_fault:-} in
        port) at far in_ns $far nft 'add table inet fault; add chain inet fault in { type filter hook input priority 0; };
            add rule inet fault in meta l4proto { tcp, udp } th dport 1194 drop; add rule inet fault in meta l4proto { tcp, udp } th sport 1194 drop' ;;
        check) at far equal 'a planted fault' right wrong ;;
        log-near | log-far) at "${rig_fault#log-}" sh -c 'echo "WARNING: a planted fault" >/dev/kmsg' ;;
    esac
}

peer_traffic() {
    local server=$1 client=$2 address address6 size
    address=$(at "$client" address_of 1)
    address6=$(at "$client" address_of 1 6)
    for size in 56 1400 3000; do
        at "$client" pings 'client to server, IPv4' c1 10.8.0.1 $size
        at "$server" pings 'server to client, IPv4' s "$address" $size
        at "$client" pings 'client to server, IPv6' c1 fd08::1 $size
        at "$server" pings 'server to client, IPv6' s "$address6" $size
        # The rest would wait long for what does not come.
        [ ! -e "$logs/failed" ] || return
    done
    at "$server" iperf_server s
    at "$client" transfers 'iperf3 client to server' 10.8.0.1
    at "$client" transfers 'iperf3 server to client' fd08::1 -R
}

# transfers WHAT ADDRESS [OPTION...]: a megabyte, however long that takes on a busy host; more than sockets' buffers begin with.
transfers() {
    local got
    in_ns c1 timeout 200 iperf3 -c "$2" -n 1M -J "${@:3}" >"$logs/iperf.log" 2>&1
    got=$(tr -d ' \t\n' <"$logs/iperf.log" | grep -oE '"sum_received":\{[^}]*' | grep -oE '"bytes":[0-9]+' | cut -d: -f2)
    at_least "$1, bytes" 100000 "${got:-$(grep -m 1 error "$logs/iperf.log")}"
}

# Received and sent, by a client's status file.
client_status_bytes() { awk -F, '/^TCP\/UDP read bytes/ { r = $2 } /^TCP\/UDP write bytes/ { print r, $2 }' "$logs/client1.status"; }
client_grew() {
    local got
    got=$(client_status_bytes)
    [ $((${got% *} - ${1% *})) -ge "$2" ] && [ $((${got#* } - ${1#* })) -ge "$2" ]
}

# grown WHAT EXPECTED BEFORE AFTER: RECEIVED SENT each.
grown() {
    equal "$1, received" "$2" $((${4% *} - ${3% *}))
    equal "$1, sent" "$2" $((${4#* } - ${3#* }))
}

# The same pings by the counters of both ends: devices and status files, to the byte.
peer_statistics() {
    local server=$1 client=$2 count=16 size=1000 inner outer server_before client_before server_device client_device got
    server_before=$(at "$server" settled)
    client_before=$(at "$client" client_status_bytes)
    server_device=$(at "$server" device_bytes s)
    client_device=$(at "$client" device_bytes c1)
    at "$client" pings 'for the counters' c1 10.8.0.1 $size $count
    # IPv4 and ICMP headers inside; opcode, packet id and tag outside, over TCP a length, too.
    inner=$((count * (size + 28))) outer=$((count * (size + 28 + 24)))
    at "$server" grown "bytes of the server's device" $inner "$server_device" "$(at "$server" device_bytes s)"
    at "$client" grown "bytes of the client's device" $inner "$client_device" "$(at "$client" device_bytes c1)"
    at "$server" wait_until 20 status_grew "$server_before" $outer
    at "$client" wait_until 20 client_grew "$client_before" $outer
    at "$server" grown "bytes of the server's status file" $outer "$server_before" "$(at "$server" status_bytes)"
    at "$client" grown "bytes of the client's status file" $outer "$client_before" "$(at "$client" client_status_bytes)"
}

peer_rekey() {
    local server=$1 client=$2
    at "$server" iperf_server s
    at "$client" renewals_load
    at "$server" renewals_seen
}

# peer_case PROTO SERVER CLIENT
peer_case() {
    proto=$1 keepalive='100 300' status_seconds=1
    shift
    far far_begin
    peer_tunnel "$@"
    plant_fault "$@"
    peer_traffic "$@"
    if [ ! -e "$logs/failed" ]; then
        peer_statistics "$@"
        peer_tunnel_ends "$@"
        peer_tunnel "$@" "${renewals[@]}"
        peer_rekey "$@"
    fi
    if [ -e "$logs/failed" ]; then
        end_counters
        far end_counters
        far far_logs
    fi
    peer_tunnel_ends "$@"
}
scenario_peer_udp_server() { peer_case udp4 near far; }
scenario_peer_udp_client() { peer_case udp4 far near; }
scenario_peer_tcp_server() { peer_case tcp4 near far; }
scenario_peer_tcp_client() { peer_case tcp4 far near; }
limit_peer_udp_server=1200 limit_peer_udp_client=1200 limit_peer_tcp_server=1200 limit_peer_tcp_client=1200
