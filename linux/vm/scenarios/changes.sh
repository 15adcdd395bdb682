# shellcheck shell=bash disable=SC2034,SC2119,SC2120,SC2154 # names are shared among the files that init sources
# What changes while a tunnel is up: keys, addresses, processes, counters.

# Keys are renewed several times under load; no ping is lost. An end sends with the new key from half of reneg-sec after the
# handshake's begin, at OpenVPN's next look, and drops the old one at the next renewal: the time between has to be long, the looks frequent.
renewals=('reneg-sec 20 20' 'tran-window 60')
rekey() {
    make_net 1
    proto=$1 status_seconds=1 server "${renewals[@]}"
    proto=$1 client 1 "${renewals[@]}" "status $logs/client1.status 1"
    data_path_at s server
    data_path_at c1 client1
    iperf_server s
    renewals_load
    renewals_seen
}
# At the client: load for as long as three keys live.
renewals_load() {
    local load missing
    # Less than the tunnel carries: what a full queue drops would say nothing of keys.
    in_ns c1 timeout 90 iperf3 -c 10.8.0.1 -t 54 -b 1M >"$logs/iperf.log" 2>&1 &
    load=$!
    # Of the last few ping would not wait for a late answer: they do not count.
    in_ns c1 ping -D -c 305 -i 0.18 -W 20 10.8.0.1 >"$logs/ping.log" 2>&1
    missing=$(awk 'match($0, /icmp_seq=[0-9]+/) { seen[substr($0, RSTART + 9, RLENGTH - 9)] = 1 } END { for (i = 1; i <= 300; i++) if (!(i in seen)) printf "%d ", i }' "$logs/ping.log")
    equal 'pings lost through the renewals' '' "$missing"
    wait "$load"
    at_least "iperf3's receiver saw Mbit/s over zero" 1 "$(awk '/receiver/ { print ($7 > 0) }' "$logs/iperf.log")"
}
# At the server.
renewals_seen() {
    at_least 'TLS handshakes' 3 "$(grep -c 'Control Channel: TLS' "$logs/server.log")"
    equal 'connections the server saw' 1 "$(grep -c 'Peer Connection Initiated' "$logs/server.log")"
}
scenario_rekey_udp() { rekey udp4; }
scenario_rekey_tcp() { rekey tcp4; }

# The client's address changes; the session goes on.
scenario_float() {
    local lines got
    make_net 1
    status_seconds=1 server
    client 1
    data_path_at s server
    data_path_at c1 client1
    pings 'before' c1 10.8.0.1
    lines=$(lines_of "$logs/client1.log")
    listens s
    in_ns c1 sh -c 'echo 1 >/proc/sys/net/ipv4/conf/all/promote_secondaries'
    ip -n c1 addr add 10.99.0.21/24 dev wire
    ip -n c1 addr del 10.99.0.11/24 dev wire
    until_true 20 'the server is reached from the new address' answers c1 10.8.0.1
    pings 'after' c1 10.8.0.1
    pings 'after, from the server' s "$(address_of 1)" 1400
    until_true 15 'the status file has the new address' grep -q 'client1,.*10\.99\.0\.21' "$logs/server.status"
    # The interface of OpenVPN 2.6 has no such notification.
    [ "$rig_openvpn" = 2.6 ] || until_true 15 'a notification of it' grep -qE '^float 0 10\.99\.0\.21 [0-9]+$' "$logs/notifications"
    equal 'the session is the same' 0 "$(tail -n +$((lines + 1)) "$logs/client1.log" | grep -cE 'Restart|Peer Connection Initiated')"
    # Control packets find the new address, too.
    lines=$(lines_of "$logs/server.log")
    stop_openvpn client1
}

# Bytes in the status file, in the device's counters, and on the wire of the tunnel, to the byte.
scenario_statistics() {
    local before after device_before count=50 size=1000 inner outer
    make_net 1
    keepalive='100 300' status_seconds=1 server
    client 1
    data_path_at s server
    data_path_at c1 client1
    # What the last handshake still sends, and the first status that has it.
    before=$(settled)
    device_before=$(device_bytes s)
    pings 'in the tunnel' c1 10.8.0.1 $size $count
    # IPv4 and ICMP headers inside; opcode, packet id and tag outside.
    inner=$((count * (size + 28))) outer=$((count * (size + 28 + 24)))
    after=$(device_bytes s)
    equal "bytes the server's device received" "$inner" $((${after% *} - ${device_before% *}))
    equal "bytes the server's device sent" "$inner" $((${after#* } - ${device_before#* }))
    wait_until 20 status_grew "$before" "$outer"
    after=$(status_bytes)
    equal 'bytes received, by the status file' "$outer" $((${after% *} - ${before% *}))
    equal 'bytes sent, by the status file' "$outer" $((${after#* } - ${before#* }))
}
# Received and sent, by the status file of a server (default: server) about a client (default: client1). Its lines are
# NAME,ADDRESS,RECEIVED,SENT,... or CLIENT_LIST,NAME,ADDRESS,ADDRESS,ADDRESS,RECEIVED,SENT,...
status_bytes() {
    awk -F, -v client="${2:-client1}" '$1 == client { print $3, $4; exit } $1 == "CLIENT_LIST" && $2 == client { print $6, $7; exit }' \
        "$logs/${1:-server}.status"
}
# device_bytes NAMESPACE [DEVICE]
device_bytes() {
    local counters=/sys/class/net/${2:-tun0}/statistics
    echo "$(in_ns "$1" cat "$counters/rx_bytes") $(in_ns "$1" cat "$counters/tx_bytes")"
}
# status_grew BEFORE BYTES [SERVER [CLIENT]]
status_grew() {
    local got
    got=$(status_bytes "${@:3}")
    [ $((${got% *} - ${1% *})) -ge "$2" ] && [ $((${got#* } - ${1#* })) -ge "$2" ]
}
# settled [SERVER [CLIENT]]: the status file's bytes, once three writings of it in a row have the same.
settled() {
    local got written last='' before='' same=0 try
    for try in {1..300}; do
        if [ $same -ge 3 ]; then break; fi
        sleep 0.2
        written=$(grep -m 1 -E '^(Updated|TIME),' "$logs/${1:-server}.status")
        if [ -z "$written" ] || [ "$written" = "$before" ]; then continue; fi
        before=$written
        got=$(status_bytes "$@")
        if [ -n "$got" ] && [ "$got" = "$last" ]; then same=$((same + 1)); else same=0; fi
        last=$got
    done
    [ $same -ge 3 ] || fail 'the status file, for a minute' 'the same counters four times in a row' "$got" >&2
    echo "$got"
}

# The server goes and comes back; the client finds it again.
server_restart() {
    local lines
    make_net 1
    proto=$1
    keepalive='1 5' server
    keepalive='1 5' client 1
    pings 'before' c1 10.8.0.1
    lines=$(lines_of "$logs/client1.log")
    stop_openvpn server
    keepalive='1 5' server
    log_says 60 client1 'SIGUSR1|Restart pause|process restarting' "$lines"
    log_says 90 client1 'Initialization Sequence Completed' "$lines"
    wait_until 20 answers c1 10.8.0.1
    data_path_at s server
    data_path_at c1 client1
    pings 'after' c1 10.8.0.1 1400
    pings 'after, from the server' s "$(address_of 1)"
}
scenario_server_restart_udp() { server_restart udp4; }
scenario_server_restart_tcp() { server_restart tcp4; }

# SIGUSR1 with persist-tun: the session is made anew, the device stays.
scenario_persist_tun() {
    local index lines round
    make_net 1
    server persist-tun
    client 1 persist-tun persist-key
    data_path_at c1 client1
    index=$(in_ns c1 cat /sys/class/net/tun0/ifindex)
    for round in 1 2 3; do
        lines=$(lines_of "$logs/client1.log")
        signal client1 USR1
        log_says 90 client1 'Initialization Sequence Completed' "$lines"
        wait_until 20 answers c1 10.8.0.1
        equal "the device after restart $round" "$index" "$(in_ns c1 cat /sys/class/net/tun0/ifindex)"
        pings "after restart $round" c1 10.8.0.1
        pings "after restart $round, from the server" s "$(address_of 1)"
    done
    data_path_at c1 client1
    log_lacks client1 'DCO device .* deleted|failed to'
    stop_openvpn client1
    stop_openvpn server
}

# The wire is cut: both ends notice by keepalive. Then it is mended.
keepalive_expiry() {
    local client_lines server_lines
    make_net 1
    proto=$1
    keepalive='1 4' server
    client 1
    data_path_at s server
    data_path_at c1 client1
    pings 'before' c1 10.8.0.1
    client_lines=$(lines_of "$logs/client1.log")
    server_lines=$(lines_of "$logs/server.log")
    ip -n s link set port1 down
    log_says 60 client1 'ping-restart|ping expired|Inactivity timeout' "$client_lines"
    log_says 60 server 'ping-restart|ping expired|Inactivity timeout' "$server_lines"
    ip -n s link set port1 up
    log_says 120 client1 'Initialization Sequence Completed' "$client_lines"
    wait_until 20 answers c1 10.8.0.1
    data_path_at c1 client1
    pings 'after' c1 10.8.0.1
}
scenario_keepalive_udp() { keepalive_expiry udp4; }
scenario_keepalive_tcp() { keepalive_expiry tcp4; }

# Nothing is sent for longer than the timeout: keepalives alone keep the tunnel.
scenario_idle() {
    local lines
    make_net 1
    keepalive='1 5' server
    client 1
    lines=$(lines_of "$logs/client1.log")
    sleep 12
    equal 'restarts of the client' 0 "$(tail -n +$((lines + 1)) "$logs/client1.log" | grep -cE 'SIGUSR1|ping-restart|expired')"
    pings 'after twice the timeout' c1 10.8.0.1
}

# The client's process is killed and takes its socket along; another takes its place.
scenario_client_killed() {
    make_net 1
    keepalive='1 5' server
    client 1
    pings 'before' c1 10.8.0.1
    signal client1 KILL
    until_true 20 'the client is gone' gone client1
    ip -n c1 link del tun0 2>/dev/null
    log_says 60 server 'ping-restart|ping expired|Inactivity timeout|Connection reset|transport'
    client 1
    data_path_at c1 client1
    pings 'after' c1 10.8.0.1
}
