# shellcheck shell=bash disable=SC2034,SC2154 # names are shared among the files that init sources
# Malformed packets on the wire: wirefuzz beside a live tunnel, and as the owner of peers whose keys it knows.

# wirefuzz PART SECONDS
wirefuzz() {
    local words=("$1" --seconds "$2")
    [ -z "${wire_seed:-}" ] || words+=(--seed "$wire_seed")
    /rig/bin/wirefuzz "${words[@]}" 2>&1 | tee "$logs/wirefuzz-$1.log" | while IFS= read -r line; do echo "    $line"; done
    equal "wirefuzz $1 says" 'wirefuzz: passed' "$(tail -n 1 "$logs/wirefuzz-$1.log")"
}

# wire_live PART PROTO SECONDS: the tunnel works before, meanwhile and afterwards, and ends as usual.
wire_live() {
    local lines
    make_net 1
    proto=$2 server
    proto=$2 client 1
    data_path_at s server
    data_path_at c1 client1
    # So that frames are merged where they come in.
    in_ns c1 ethtool -K wire gro on
    in_ns s ethtool -K port1 gro on
    lines=$(lines_of "$logs/client1.log")
    wirefuzz "$1" "$3"
    pings "after $1" c1 10.8.0.1 1400
    pings "after $1, from the server" s "$(address_of 1)" 1400
    equal "restarts of the client" 0 "$(tail -n +$((lines + 1)) "$logs/client1.log" | grep -cE 'SIGUSR1|ping-restart|Connection reset')"
    stop_openvpn client1
    stop_openvpn server
    remove_net
}

# wire_fuzz SECONDS-OF-EACH-PART
wire_fuzz() {
    wire_live live udp4 "$1"
    wire_live live6 udp6 "$1"
    works 'the other family too' modprobe -a ovpn-dco-v2 ovpn
    wirefuzz inner "$1"
    wirefuzz stream "$1"
    works 'the modules go' modprobe -r ovpn-dco-v2 ovpn
    equal 'the core is gone' '' "$(lsmod | grep '^ovpn')"
    works 'modprobe' modprobe "$family"
}

scenario_wire() { wire_fuzz 5; }
limit_wire=600

# Issue point 5: ten minutes.
scenario_wire_long() { wire_fuzz 150; }
limit_wire_long=1500
