# shellcheck shell=bash disable=SC2034,SC2154 # names are shared among the files that init sources
# One client and one server: transports, families, ciphers.

# What every tunnel has to carry: pings both ways, in both families, up to fragments; TCP both ways.
traffic() {
    pings 'client to server, IPv4' c1 10.8.0.1
    pings 'client to server, IPv6' c1 fd08::1
    pings 'server to client, IPv4' s "$(address_of 1)"
    pings 'server to client, IPv6' s "$(address_of 1 6)"
    pings 'client to server, IPv4' c1 10.8.0.1 1400
    pings 'client to server, IPv4' c1 10.8.0.1 3000
    pings 'client to server, IPv6' c1 fd08::1 3000
    pings 'server to client, IPv6' s "$(address_of 1 6)" 3000
    iperf_server s
    carries 'iperf3 client to server' c1 10.8.0.1 1
    carries 'iperf3 server to client' c1 fd08::1 1 -R
}

# one_tunnel PROTO: with all traffic, and a clean end of both.
one_tunnel() {
    proto=$1
    make_net 1
    server
    client 1
    data_path_at s server
    data_path_at c1 client1
    traffic
    stop_openvpn client1
    stop_openvpn server
}

scenario_udp4() { one_tunnel udp4; }
scenario_udp6() { one_tunnel udp6; }
scenario_tcp4() { one_tunnel tcp4; }
scenario_tcp6() { one_tunnel tcp6; }

# A server whose one socket serves both families: IPv4 comes as v4-mapped.
scenario_v4_mapped() {
    make_net 2
    proto=udp6 server
    proto=udp4 client 1
    proto=udp6 client 2
    data_path_at s server
    data_path_at c1 client1
    pings 'over IPv4' c1 10.8.0.1
    pings 'over IPv6' c2 10.8.0.1
    pings 'to the one over IPv4' s "$(address_of 1)"
    pings 'to the one over IPv6' s "$(address_of 2)"
}

# Each cipher, the server offering all and the client one.
scenario_ciphers() {
    local cipher
    make_net 1
    ciphers=AES-256-GCM:AES-192-GCM:AES-128-GCM:CHACHA20-POLY1305 server
    data_path_at s server
    iperf_server s
    for cipher in AES-128-GCM AES-192-GCM AES-256-GCM CHACHA20-POLY1305; do
        ciphers=$cipher client 1
        data_path_at c1 client1
        log_says 1 client1 "Data Channel: cipher '$cipher'"
        pings "$cipher, IPv4" c1 10.8.0.1
        pings "$cipher, IPv6" c1 fd08::1 3000
        carries "$cipher, iperf3" c1 10.8.0.1 1
        stop_openvpn client1
    done
}
