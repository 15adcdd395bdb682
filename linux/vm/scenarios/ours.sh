# shellcheck shell=bash disable=SC2034,SC2119,SC2120,SC2154 # names are shared among the files that init sources
# What our modules have beyond the C modules' interfaces, and what OpenVPN's less usual options ask of a transport.

# tcp_mss NAMESPACE ADDRESS: what a connection from there sends in a segment; after 12 bytes of timestamps.
tcp_mss() {
    in_ns "$1" timeout 60 iperf3 -c "$2" -n 1000 -J 2>&1 | grep -oE '"tcp_mss_default":[[:space:]]*[0-9]+' | grep -oE '[0-9]+$'
}
# An attribute of ours: SYN packets of both directions are rewritten, mssfix's value being IPv4's.
scenario_mssfix() {
    local before before6
    make_net 1
    server
    client 1
    data_path_at s server
    data_path_at c1 client1
    iperf_server s
    # The module's parameter mssfix, as it is by default: 1492.
    equal 'mss of a peer that nobody gave one' 1400 "$(value_of s 0 mss)"
    before=$(tcp_mss c1 10.8.0.1) before6=$(tcp_mss c1 fd08::1)
    works 'mss 900 at the server' asks s set 0 64 900
    equal 'the peer has it' 900 "$(value_of s 0 mss)"
    equal 'segments over IPv4' 888 "$(tcp_mss c1 10.8.0.1)"
    equal 'segments over IPv6' 868 "$(tcp_mss c1 fd08::1)"
    carries 'iperf3 in small segments' c1 10.8.0.1 1
    works 'mss 0' asks s set 0 64 0
    equal 'segments over IPv4, afterwards' "$before" "$(tcp_mss c1 10.8.0.1)"
    equal 'segments over IPv6, afterwards' "$before6" "$(tcp_mss c1 fd08::1)"
    at_least 'segments without an mss' 1200 "$before"
}

# wrong_source COUNT: client 1 sends the server pings from an address that is not its own, and not routed to it.
wrong_source() {
    ip -n c1 addr replace 192.168.99.9/32 dev lo
    in_ns c1 ping -q -c "$1" -i 0.05 -W 1 -I 192.168.99.9 10.8.0.1 >/dev/null 2>&1
}
# shellcheck disable=SC2016 # awk's
device_drops() { in_ns "$1" ethtool -S tun0 | awk -v name="$2:" '$1 == name { print $2 }'; }
# Why packets were lost: of a peer by netlink, of a device by ethtool.
scenario_drops() {
    local before peer device
    make_net 1
    server
    client 1
    data_path_at s server
    # IPv6 may have told its multicast groups already, from an address that is not the client's.
    peer=$(value_of s 0 'drop RxWrongSource') device=$(device_drops s RxWrongSource)
    before=$(received s)
    wrong_source 7
    equal 'drops of a wrong source, by netlink' 7 $(($(value_of s 0 'drop RxWrongSource') - peer))
    equal 'drops of a wrong source, by ethtool' 7 $(($(device_drops s RxWrongSource) - device))
    equal 'packets that came in' 0 $(($(received s) - before))
    pings 'with the right one' c1 10.8.0.1
}

# The module's parameter: what a device starts with.
scenario_source_check() {
    local before parameter=/sys/module/ovpn_dco_core/parameters/source_check
    make_net 1
    equal 'the parameter, at first' 1 "$(sed 's/Y/1/' $parameter)"
    echo 0 >$parameter
    server
    echo 1 >$parameter
    client 1
    data_path_at s server
    before=$(received s)
    wrong_source 7
    equal 'packets of a wrong source that came in' 7 $(($(received s) - before))
    equal 'drops of a wrong source' 0 "$(value_of s 0 'drop RxWrongSource')"
    pings 'with the right one' c1 10.8.0.1
}

# --- VRF ----------------------------------------------------------------------------------------------------------------

# in_vrf NAMESPACE DEVICE TABLE ADDRESS...: puts the device into a VRF of its own, named red; it loses its addresses by that.
in_vrf() {
    local ns=$1 device=$2 address
    ip -n "$ns" link add red type vrf table "$3"
    ip -n "$ns" link set red up
    ip -n "$ns" link set "$device" master red
    for address in "${@:4}"; do ip -n "$ns" addr replace "$address" dev "$device" nodad 2>/dev/null || ip -n "$ns" addr replace "$address" dev "$device"; done
    until_true 20 "$ns: $device is in the VRF" in_vrf_now "$ns" "$device"
}
in_vrf_now() { ip -n "$1" -o link show dev "$2" master red | grep -q .; }
answers_in_vrf() { in_ns "$1" ping -q -c 1 -W 1 -I red "$2"; }
# vrf_pings WHAT NAMESPACE ADDRESS [SIZE]: as pings, from within the VRF.
vrf_pings() { pings "$1" "$2" "$3" "${4:-56}" 5 -I red; }

# The wire is in a VRF, OpenVPN's socket is bound to it, the tunnel is not in it: the socket's device decides about routes.
vrf_wire() {
    proto=$1
    make_net 1
    in_vrf s wire 10 10.99.0.1/24 fd99::1/64
    in_vrf c1 wire 10 10.99.0.11/24 fd99::11/64
    until_true 20 'the wire' answers_in_vrf c1 10.99.0.1
    until_true 20 'the wire, IPv6' answers_in_vrf c1 fd99::1
    refused 'the main table knows no way' in_ns c1 ping -c 1 -W 1 10.99.0.1
    server 'bind-dev red'
    client 1 'bind-dev red'
    data_path_at s server
    data_path_at c1 client1
    traffic
    remove_net
}
scenario_vrf_wire() {
    vrf_wire udp4
    vrf_wire udp6
    vrf_wire tcp4
}

# The tunnel's devices are in VRFs, the wire is not. The source check looks into the VRF's table.
scenario_vrf_tunnel() {
    local address address6 drops
    make_net 1
    server
    client 1
    address=$(address_of 1) address6=$(address_of 1 6)
    in_vrf s tun0 10 10.8.0.1/24 fd08::1/64
    in_vrf c1 tun0 10 "$address/24" "$address6/64"
    data_path_at s server
    data_path_at c1 client1
    wait_until 20 answers_in_vrf c1 10.8.0.1
    drops=$(device_drops s RxWrongSource)
    vrf_pings 'client to server, IPv4' c1 10.8.0.1 1400
    vrf_pings 'client to server, IPv6' c1 fd08::1 3000
    vrf_pings 'server to client, IPv4' s "$address" 3000
    vrf_pings 'server to client, IPv6' s "$address6"
    refused 'the main table knows no way' in_ns c1 ping -c 1 -W 1 10.8.0.1
    equal 'drops of a wrong source' "$drops" "$(device_drops s RxWrongSource)"
    # A network behind the client, routed in the VRF's table alone.
    ip -n c1 addr replace 192.168.99.9/32 dev red
    ip -n s route add 192.168.99.9/32 via "$address" dev tun0 table 10
    vrf_pings 'server to a network behind the client' s 192.168.99.9
    ip -n s route del 192.168.99.9/32 via "$address" dev tun0 table 10
    in_ns c1 ping -q -c 3 -i 0.05 -W 1 -I 192.168.99.9 -I red 10.8.0.1 >/dev/null 2>&1
    equal 'drops of a wrong source, without the route' $((drops + 3)) "$(device_drops s RxWrongSource)"
}

# --- transports ---------------------------------------------------------------------------------------------------------

# The server has two addresses and answers from the one it was asked at. The other's packets are not let in.
multihome() {
    proto=$1 server_at=$2
    local ip=ip other=10.99.0.1
    case $proto in *6) ip=ip6 other=fd99::1 ;; esac
    make_net 1
    ip -n s addr add 10.99.0.2/24 dev wire
    ip -n s addr add fd99::2/64 dev wire nodad
    until_true 20 'the other address' answers c1 "$server_at"
    works 'a filter for the address not asked' in_ns c1 nft "add table inet filter; add chain inet filter in { type filter hook input priority 0; };
        add rule inet filter in $ip saddr $other udp sport 1194 counter drop"
    server multihome
    client 1
    data_path_at s server
    data_path_at c1 client1
    traffic
    equal 'packets from the address not asked' 0 "$(in_ns c1 nft list chain inet filter in | grep -oE 'packets [0-9]+' | cut -d' ' -f2)"
    remove_net
}
scenario_multihome() {
    multihome udp4 10.99.0.2
    multihome udp6 fd99::2
}

# The wire has no other than link-local addresses.
scenario_link_local() {
    proto=udp6 server_at=fe80::1%wire
    make_net 1
    ip -n s addr add fe80::1/64 dev wire nodad
    ip -n c1 addr add fe80::11/64 dev wire nodad
    until_true 20 'the wire, link-local' answers c1 fe80::1%wire
    ip -n s addr flush dev wire scope global
    ip -n c1 addr flush dev wire scope global
    server
    client 1
    data_path_at s server
    data_path_at c1 client1
    traffic
    # The same again after the client got another address.
    ip -n c1 addr add fe80::21/64 dev wire nodad
    ip -n c1 addr del fe80::11/64 dev wire
    until_true 20 'the server is reached from the new address' answers c1 10.8.0.1
    pings 'after, from the server' s "$(address_of 1)" 1400
}

# DATA_V1 on the wire: OpenVPN 2.6 gets it, for 2.7 it is dropped and counted.
scenario_data_v1() {
    make_net 1
    # At this verbosity it tells of each packet from nobody it knows.
    verb=7 server
    client 1
    data_path_at s server
    pings 'before' c1 10.8.0.1
    # shellcheck disable=SC2016 # the inner shell's n
    in_ns c1 bash -c 'exec 3<>/dev/udp/10.99.0.1/1194; for ((n = 0; n < 50; n++)); do printf "\x30%040d" $n >&3; done'
    if [ "$rig_openvpn" = 2.6 ]; then
        until_true 20 'userspace gets all of them' user_got 50
        equal 'drops' 0 "$(device_drops s RxUnsupported)"
    else
        until_true 20 'all of them are dropped' device_dropped RxUnsupported 50
        equal 'those that userspace gets' 0 "$(user_gets)"
    fi
    pings 'after' c1 10.8.0.1
}
user_gets() { grep -cE 'No TLS state for client .* opcode=6' "$logs/server.log"; }
user_got() { [ "$(user_gets)" = "$1" ]; }
device_dropped() { [ "$(device_drops s "$1")" = "$2" ]; }

# Keepalive in halves: one end only pings, the other only watches. The C modules do nothing unless both are set.
scenario_ping_without_timeout() {
    local lines before
    make_net 1
    p2p_end s server 10.8.0.1 10.8.0.2 'proto udp4' 'port 1194' tls-server 'dh none' 'cert /keys/server.crt' 'key /keys/server.key' \
        'ping 1' 'ping-restart 0'
    p2p_end c1 client1 10.8.0.2 10.8.0.1 'proto udp4' 'remote 10.99.0.1 1194' nobind tls-client 'cert /keys/client1.crt' \
        'key /keys/client1.key' 'connect-retry 1 1' 'ping 0' 'ping-restart 6'
    log_says 60 client1 'Initialization Sequence Completed'
    wait_until 20 answers c1 10.8.0.1
    data_path_at s server
    data_path_at c1 client1
    lines=$(lines_of "$logs/client1.log")
    before=$(received c1)
    sleep 15
    equal 'packets in the tunnel meanwhile' "$before" "$(received c1)"
    equal 'restarts of the end that watches' 0 "$(tail -n +$((lines + 1)) "$logs/client1.log" | grep -cE 'SIGUSR1|ping-restart|expired')"
    ip -n s link set port1 down
    log_says 60 client1 'SIGUSR1|ping expired|Inactivity timeout' "$lines"
    log_lacks server 'SIGUSR1|ping expired|Inactivity timeout'
}

# Built with DEBUG=1 (scripts/linux-vm --debug): what happens to peers and keys is in the kernel's log, and no key is.
scenario_debug_messages() {
    make_net 1
    server
    client 1
    data_path_at s server
    pings 'IPv4' c1 10.8.0.1
    stop_openvpn client1
    stop_openvpn server
    dmesg >"$logs/dmesg.log"
    log_says 1 dmesg 'tun0: peer 0: added'
    log_says 1 dmesg 'tun0: peer 0: keepalive'
    log_says 1 dmesg 'tun0: peer 0: key [0-7], slot 0, cipher 1'
    log_says 1 dmesg 'tun0: peer 0: removed, reason'
}
