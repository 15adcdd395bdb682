# shellcheck shell=bash disable=SC2034,SC2154 # names are shared among the files that init sources
# Where one end or both do without the kernel: OpenVPN says so, and the tunnel works.

mixed_traffic() {
    pings "$1, IPv4" c1 10.8.0.1 1400
    pings "$1, IPv6" c1 fd08::1 3000
    pings "$1, from the server" s "$(address_of 1)" 1400
    iperf_server s
    carries "$1, iperf3" c1 10.8.0.1 1
    carries "$1, iperf3 back" c1 10.8.0.1 1 -R
    stop_openvpn client1
    stop_openvpn server
    remove_net
}

mixed() {
    make_net 1
    proto=$1
    server disable-dco
    client 1
    no_dco_at s server
    data_path_at c1 client1
    mixed_traffic "$1: server without"
    make_net 1
    server
    client 1 disable-dco
    data_path_at s server
    no_dco_at c1 client1
    mixed_traffic "$1: client without"
}
scenario_mixed_udp() { mixed udp4; }
scenario_mixed_tcp() { mixed tcp4; }
scenario_mixed_chacha() { ciphers=CHACHA20-POLY1305 mixed udp6; }

scenario_incompatible_option() {
    make_net 1
    ciphers=AES-256-GCM:AES-256-CBC server
    ciphers=AES-256-CBC client 1
    log_says 1 server 'disabling data channel offload'
    log_says 1 client1 'disabling data channel offload'
    no_dco_at s server
    no_dco_at c1 client1
    mixed_traffic 'a cipher the kernel has not'
}

scenario_module_absent() {
    local place
    place=/lib/modules/$(uname -r)
    rmmod_all
    mv "$place/updates" "$place/away"
    make_net 1
    server
    client 1
    log_says 1 server 'Kernel support for ovpn.* missing, disabling data channel offload'
    log_says 1 client1 'Kernel support for ovpn.* missing, disabling data channel offload'
    no_dco_at s server
    no_dco_at c1 client1
    mixed_traffic 'no module'
    mv "$place/away" "$place/updates"
    works 'modprobe' modprobe "$family"
}
