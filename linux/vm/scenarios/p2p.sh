# shellcheck shell=bash disable=SC2034,SC2154 # names are shared among the files that init sources
# Two ends, neither of them a server: TLS with negotiated ciphers.

# p2p_end NAMESPACE NAME OWN-ADDRESS OTHER-ADDRESS LINE...
p2p_end() {
    local ns=$1 name=$2 own=$3 other=$4
    shift 4
    {
        cat <<CONF
dev tun0
dev-type tun
ifconfig $own $other
ifconfig-ipv6 fd08::${own##*.}/64 fd08::${other##*.}
ca /keys/ca.crt
data-ciphers AES-256-GCM
ping 10
ping-restart 120
CONF
        printf '%s\n' "$@"
    } | openvpn_in "$ns" "$name"
}

p2p() {
    make_net 1
    p2p_end s server 10.8.0.1 10.8.0.2 "proto $(tcp_role "$1" server)" 'port 1194' tls-server 'dh none' 'cert /keys/server.crt' 'key /keys/server.key'
    p2p_end c1 client1 10.8.0.2 10.8.0.1 "proto $(tcp_role "$1" client)" 'remote 10.99.0.1 1194' nobind tls-client 'cert /keys/client1.crt' \
        'key /keys/client1.key' 'connect-retry 1 1'
    log_says 60 client1 'Initialization Sequence Completed'
    log_says 60 server 'Initialization Sequence Completed'
    wait_until 20 answers c1 10.8.0.1 || true
    data_path_at s server
    data_path_at c1 client1
    log_says 1 server "Data Channel: cipher 'AES-256-GCM'"
    pings 'IPv4' c1 10.8.0.1
    pings 'IPv4, the other way' s 10.8.0.2 3000
    pings 'IPv6' c1 fd08::1
    pings 'IPv6, the other way' s fd08::2 3000
    iperf_server s
    carries 'iperf3 one way' c1 10.8.0.1 1
    carries 'iperf3 the other way' c1 fd08::1 1 -R
    stop_openvpn client1
    stop_openvpn server
}
scenario_p2p_udp() { p2p udp4; }
scenario_p2p_tcp() { p2p tcp4; }
