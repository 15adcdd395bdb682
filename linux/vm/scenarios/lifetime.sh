# shellcheck shell=bash disable=SC2034,SC2154 # names are shared among the files that init sources
# The module goes, or its device, or the namespace, while it is in use.

module_users() { cat "/sys/module/$module_name/refcnt"; }

# A device does not hold its module, as with any link kind: rmmod under a tunnel takes the devices along, or is refused.
limit_unload=600
scenario_unload() {
    local round
    for round in udp4 tcp4; do
        busy_tunnel "$round"
        if rmmod_all; then
            ok "$round: rmmod in use took the devices along"
            equal "$round: devices left" '' "$(link_kind s tun0)$(link_kind c1 tun0)"
        else
            equal "$round: rmmod in use was refused, the device is there" "$kind" "$(link_kind c1 tun0)"
        fi
        remove_net
        load_module
        busy_tunnel "$round"
        works "$round: ip link del at the client, with traffic" ip -n c1 link del tun0
        works "$round: ip link del at the server, with traffic" ip -n s link del tun0
        remove_net
        until_true 30 "$round: the module has no user" test_users 0
        works "$round: rmmod" rmmod_all
        works "$round: modprobe" modprobe "$family"
    done
}
# busy_tunnel PROTO: with three kinds of traffic in it.
busy_tunnel() {
    make_net 1
    proto=$1 server
    proto=$1 client 1
    data_path_at s server
    iperf_server s
    in_ns c1 ping -f -q -s 1000 10.8.0.1 >/dev/null 2>&1 &
    in_ns c1 iperf3 -c 10.8.0.1 -t 30 >/dev/null 2>&1 &
    in_ns s ping -f -q -s 1000 "$(address_of 1)" >/dev/null 2>&1 &
    sleep 1
}
test_users() { [ "$(module_users)" = "$1" ]; }
rmmod_all() {
    modprobe -r "$module_name" && ! loaded "$module_name"
}

# The namespace of a live tunnel goes, with traffic; the device dies with it.
scenario_namespace_deleted() {
    local round
    for round in udp4 tcp4; do
        make_net 1
        proto=$round server
        proto=$round client 1
        data_path_at c1 client1
        iperf_server s
        in_ns c1 iperf3 -c 10.8.0.1 -t 30 >/dev/null 2>&1 &
        sleep 1
        ip netns del c1
        end_traffic
        signal client1 KILL
        until_true 20 "$round: the client is gone" gone client1
        ip netns del s
        signal server KILL
        until_true 20 "$round: the server is gone" gone server
        end_traffic
        rm -f "$logs"/*.pid
        until_true 60 "$round: the module has no user" test_users 0
        works "$round: rmmod" rmmod_all
        works "$round: modprobe" modprobe "$family"
    done
}
# What runs in a deleted namespace keeps it alive.
end_traffic() {
    local pid
    for pid in $(pidof iperf3 ping); do kill -KILL "$pid" 2>/dev/null; done
}

# The device moves to another namespace and still carries what its socket, which stays, brings.
scenario_device_moved() {
    make_net 1
    server
    client 1
    make_ns inner
    ip -n c1 link set tun0 netns inner
    ip -n inner addr add 10.8.0.2/24 dev tun0
    ip -n inner link set tun0 up
    until_true 20 'the server answers into the other namespace' answers inner 10.8.0.1
    pings 'from the other namespace' inner 10.8.0.1 1400
    ip netns del inner
    signal client1 TERM
    until_true 30 'the client ends' gone client1
}
