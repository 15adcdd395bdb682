# shellcheck shell=bash
# A server with several clients: who reaches whom, and by which route.

server_and_clients() {
    local n clients=$1
    shift
    make_net "$clients"
    server "$@"
    for ((n = 1; n <= clients; n++)); do client_started $n; done
    for ((n = 1; n <= clients; n++)); do client_up $n; done
    data_path_at s server
    for ((n = 1; n <= clients; n++)); do data_path_at c$n client$n; done
}

scenario_three_clients() {
    local n pids=() results=$logs/mbits
    server_and_clients 3
    for n in 1 2 3; do
        pings "client $n to server, IPv4" c$n 10.8.0.1 1400
        pings "client $n to server, IPv6" c$n fd08::1 1400
        pings "server to client $n, IPv4" s "$(address_of $n)" 1400
        pings "server to client $n, IPv6" s "$(address_of $n 6)" 1400
    done
    for n in 1 2 3; do
        in_ns s iperf3 -s -D -p 520$n >/dev/null 2>&1
        wait_until 20 listening s 520$n
    done
    : >"$results"
    for n in 1 2 3; do
        (in_ns c$n timeout 60 iperf3 -c 10.8.0.1 -p 520$n -t 2 -f k | awk '/receiver/ { print $7 }' >>"$results") &
        pids+=($!)
    done
    wait "${pids[@]}"
    equal 'clients that sent at once' 3 "$(awk '$1 > 0' "$results" | wc -l)"
    stop_openvpn client2
    pings 'client 1 after client 2 left' c1 10.8.0.1
    pings 'client 3 after client 2 left' c3 10.8.0.1
    client 2
    pings 'client 2 after it came back' c2 10.8.0.1
}

scenario_client_to_client() {
    server_and_clients 2 client-to-client
    pings 'client 1 to client 2, IPv4' c1 "$(address_of 2)"
    pings 'client 2 to client 1, IPv4' c2 "$(address_of 1)" 1400
    pings 'client 1 to client 2, IPv6' c1 "$(address_of 2 6)"
    pings 'client 2 to client 1, IPv6' c2 "$(address_of 1 6)" 3000
    iperf_server c2
    carries 'client 1 to client 2' c1 "$(address_of 2)" 1
}

# A network behind client 1, reached from the server and from client 2; and the source check, which knows that network is client 1's.
scenario_iroute() {
    local before got
    mkdir -p "$logs/ccd"
    printf 'iroute 192.168.71.0 255.255.255.0\niroute-ipv6 fd71::/64\n' >"$logs/ccd/client1"
    server_and_clients 2 "client-config-dir $logs/ccd" 'route 192.168.71.0 255.255.255.0' 'route-ipv6 fd71::/64' \
        'push "route 192.168.71.0 255.255.255.0"' 'push "route-ipv6 fd71::/64"'
    # What OpenVPN pushes to client 1 as well would lead its own network into the tunnel.
    ip -n c1 route flush 192.168.71.0/24
    ip -n c1 -6 route flush fd71::/64
    add_address c1 192.168.71.1/24
    add_address c1 fd71::1/64
    pings 'server to the network, IPv4' s 192.168.71.1
    pings 'server to the network, IPv6' s fd71::1
    pings 'client 2 to the network, IPv4' c2 192.168.71.1 1400
    pings 'client 2 to the network, IPv6' c2 fd71::1 1400
    pings 'from the network to client 2' c1 "$(address_of 2)"
    # What client 2 sends as if it were of that network is dropped; the server's device does not count it.
    add_address c2 192.168.71.9/32
    before=$(received s)
    in_ns c2 ping -q -c 4 -i 0.1 -W 1 -I 192.168.71.9 10.8.0.1 >/dev/null 2>&1
    equal "packets of a wrong source that came in" 0 $(($(received s) - before))
    before=$(received s)
    pings 'client 2 with its own address' c2 10.8.0.1 56 4
    got=$(($(received s) - before))
    equal "packets of a right source that came in" 4 "$got"
    pings 'client 1 is where it was' s 192.168.71.1
}
add_address() {
    ip -n "$1" link add lan type dummy 2>/dev/null
    ip -n "$1" link set lan up
    ip -n "$1" addr add "$2" dev lan
}
received() { in_ns "$1" cat /sys/class/net/tun0/statistics/rx_packets; }

# A client whose VPN address is not of the device's subnet. OpenVPN 2.7 adds the host route itself.
scenario_outside_address() {
    mkdir -p "$logs/ccd"
    printf 'ifconfig-push 10.9.9.9 255.255.255.0\nifconfig-ipv6-push fd08::99/64 fd08::1\n' >"$logs/ccd/client1"
    server_and_clients 2 "client-config-dir $logs/ccd"
    equal "client 1's address" 10.9.9.9 "$(address_of 1)"
    [ "$rig_openvpn" != 2.6 ] || ip -n s route add 10.9.9.9/32 dev tun0
    ip -n c1 route add 10.8.0.0/24 dev tun0
    ip -n c2 route add 10.9.9.0/24 dev tun0
    pings 'server to client 1' s 10.9.9.9
    pings 'client 1 to server' c1 10.8.0.1 1400
    pings 'client 2 to client 1' c2 10.9.9.9
    pings 'client 2 to server' c2 10.8.0.1
}
