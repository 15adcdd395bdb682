# shellcheck shell=bash disable=SC2034,SC2154 # names are shared among the files that init sources
# dco-cli-linux: static-key tunnels and everything else it says to the module, without OpenVPN.

cli=/rig/bin/dco-cli-linux

# cli_in NAMESPACE WORD...
cli_in() {
    local ns=$1
    shift
    in_ns "$ns" "$cli" "$@"
}

# said NAMESPACE WORD...: what it prints, errors too.
said() { cli_in "$@" 2>&1; }

# says WHAT PATTERN NAMESPACE WORD...: a line of what it prints.
says() {
    local what=$1 pattern=$2 text
    shift 2
    text=$(said "$@")
    if grep -qE -- "$pattern" <<<"$text"; then
        ok "$what: $(grep -m 1 -E -- "$pattern" <<<"$text")"
    else
        fail "$what" "a line with '$pattern'" "$(tail -n 3 <<<"$text" | tr '\n' '/')"
    fi
}

# ends_with STATUS WHAT NAMESPACE WORD...: it ends by itself so.
ends_with() {
    local wanted=$1 what=$2 status=0 text
    shift 2
    text=$(said "$@" </dev/null) || status=$?
    equal "$what, exit status ($(tail -n 1 <<<"$text"))" "$wanted" "$status"
}

# cli_end NAMESPACE OPTION...: one end of a tunnel. Its log is $logs/cli-NAMESPACE.log; cli_tell gives it words.
declare -gA cli_pid
cli_end() {
    local ns=$1
    shift
    rm -f "$logs/cli-$ns.in"
    mkfifo "$logs/cli-$ns.in"
    # Open for reading and writing: nobody waits for the other here, and the input does not end.
    case $ns in s) exec 7<>"$logs/cli-$ns.in" ;; *) exec 8<>"$logs/cli-$ns.in" ;; esac
    : >"$logs/cli-$ns.log"
    ip netns exec "$ns" "$cli" tunnel "$@" <"$logs/cli-$ns.in" >>"$logs/cli-$ns.log" 2>&1 7>&- 8>&- &
    cli_pid[$ns]=$!
}
cli_tell() {
    case $1 in s) echo "$2" >&7 ;; *) echo "$2" >&8 ;; esac
}

# cli_ended NAMESPACE STATUS WHAT: waits for its end.
cli_ended() {
    local status=0
    wait_until 60 process_gone "${cli_pid[$1]}" || kill -KILL "${cli_pid[$1]}"
    wait "${cli_pid[$1]}" || status=$?
    equal "$1: exit status $3" "$2" "$status"
    equal "$1: devices left $3" '' "$(said "$1" device list)"
}
process_gone() { ! kill -0 "$1" 2>/dev/null || grep -q '^State:.Z' "/proc/$1/status"; }
ctrl_c() {
    kill -INT "${cli_pid[$1]}"
    cli_ended "$1" 0 'after Ctrl-C'
}

# counters NAMESPACE: vpn received (packets, bytes), vpn sent, link received, link sent; in one line.
counters() {
    said "$1" stats dco0 --peer-id 5 | awk '{ v[$1] = $2 } END {
        print v["vpn-rx-packets"], v["vpn-rx-bytes"], v["vpn-tx-packets"], v["vpn-tx-bytes"],
            v["link-rx-packets"], v["link-rx-bytes"], v["link-tx-packets"], v["link-tx-bytes"] }'
}
# count_from: what is counted from now on. counted NAMESPACE: that, as counters.
count_from() {
    local ns
    for ns in s c1; do counters $ns >"$logs/counters-$ns"; done
}
counted() {
    counters "$1" | cat "$logs/counters-$1" - | awk 'NR == 1 { split($0, then) } NR == 2 { for (i = 1; i <= 8; i++) $i -= then[i]; print }'
}
has_counted() { [ "$(counted "$1")" = "$2" ]; }

# both_counted WHAT PACKETS BYTES: so many came and went in the tunnel, at both ends; each is $cli_overhead (24) bytes longer on the link.
both_counted() {
    local link="$2 $(($3 + ${cli_overhead:-24} * $2))" ns
    for ns in s c1; do
        wait_until 60 has_counted $ns "$2 $3 $2 $3 $link $link"
        equal "$1: counted at $ns" "$2 $3 $2 $3 $link $link" "$(counted $ns)"
    done
}

# cli_pings ADDRESS SIZE COUNT: sends them. What came of them is judged by counters, for ping does not wait long for the last one.
cli_pings() { in_ns c1 ping -q -c "$3" -i 0.02 -W 20 -s "$2" "$1" >/dev/null 2>&1; }

# cli_traffic WHAT
cli_traffic() {
    count_from
    cli_pings 10.8.0.1 1300 5
    cli_pings fd08::1 1300 5
    both_counted "$1" 10 $((5 * 1328 + 5 * 1348))
}

# cli_swap WHAT: new keys at both ends while pings go on.
cli_swap() {
    local ns pinging sent
    count_from
    rm -f "$logs/enough"
    {
        sent=0
        until [ -e "$logs/enough" ]; do
            cli_pings 10.8.0.1 56 10
            sent=$((sent + 10))
        done
        echo "$sent" >"$logs/sent"
    } &
    pinging=$!
    for ns in s c1; do cli_tell $ns "key $logs/two.key"; done
    for ns in s c1; do log_says 30 cli-$ns '^key 1 is installed'; done
    for ns in s c1; do cli_tell $ns swap; done
    for ns in s c1; do log_says 30 cli-$ns '^swapped'; done
    touch "$logs/enough"
    wait "$pinging"
    # And some with the second key alone.
    cli_pings 10.8.0.1 56 5
    sent=$(($(cat "$logs/sent") + 5))
    both_counted "$1: while keys were swapped" "$sent" $((sent * 84))
}

# cli_settings FAMILY WHAT: what is set comes back, what is wrong is refused.
cli_settings() {
    works "$2: a keepalive" cli_in s peer set dco0 --peer-id 5 --keepalive 70,700
    says "$2: the keepalive comes back" '^keepalive 70,700$' s peer get dco0 --peer-id 5
    if [ "$rig_module" = ours ]; then
        works "$2: an mss" cli_in s peer set dco0 --peer-id 5 --mss 1200
        says "$2: the mss comes back" '^mss 1200$' s peer get dco0 --peer-id 5
    elif [ "$1" = ovpn ]; then
        says "$2: an mss" 'EINVAL: the kernel says: ' s peer set dco0 --peer-id 5 --mss 1200
    fi
    ends_with 1 "$2: no such peer" s peer get dco0 --peer-id 77
    if [ "$1" = ovpn ]; then
        says "$2: no such peer" 'PEER_GET: expected success, got ENOENT: the kernel says: ' s peer get dco0 --peer-id 77
        says "$2: the primary key" '^primary key-id 1 ' s key get dco0 --peer-id 5
        says "$2: the secondary key" '^secondary key-id 0 ' s key get dco0 --peer-id 5
        works "$2: the secondary key is removed" cli_in s key del dco0 --slot secondary --peer-id 5
        ends_with 1 "$2: an empty slot" s key get dco0 --slot secondary --peer-id 5
    else
        ends_with 2 "$2: what the family lacks" s key get dco0 --peer-id 5
    fi
}

# cli_drops WHAT: a key that the other end has not.
cli_drops() {
    if [ "$rig_module" != ours ]; then
        ends_with 1 "$1: drops by reason of another's module" s drops dco0 --peer-id 5
        return 0
    fi
    works "$1: a key that s has not" cli_in c1 key new dco0 --key "$logs/three.key" --direction 1 --slot primary --key-id 3 --peer-id 5
    no_ping "$1: with a key that s has not" c1 10.8.0.1
    says "$1: s' device" '^RxUnknownKey [1-9]' s drops dco0
    says "$1: s' peer" '^RxUnknownKey [1-9]' s drops dco0 --peer-id 5
}

# cli_tunnel FAMILY PROTO CIPHER
cli_tunnel() {
    local family=$1 proto=$2 what="$1 $2 $3" here=10.99.0.1 there=10.99.0.11 words
    case $proto in *6) here="[fd99::1]" there="[fd99::11]" ;; esac
    words=(--key "$logs/one.key" --cipher "$3" --family "$family" --peer-id 5)
    case $proto in
        udp*)
            cli_end s --local "$here:1194" --remote "$there:1195" --direction 0 --address 10.8.0.1/24 --address fd08::1/64 "${words[@]}"
            cli_end c1 --local "$there:1195" --remote "$here:1194" --direction 1 --address 10.8.0.2/24 --address fd08::2/64 "${words[@]}"
            ;;
        tcp*)
            cli_end s --listen --local "$here:1194" --remote "$there:0" --direction 0 --address 10.8.0.1/24 --address fd08::1/64 "${words[@]}"
            wait_until 30 listening s 1194
            cli_end c1 --tcp --local "$there:0" --remote "$here:1194" --direction 1 --address 10.8.0.2/24 --address fd08::2/64 "${words[@]}"
            ;;
    esac
    log_says 60 cli-s '^up: '
    log_says 60 cli-c1 '^up: '
    says "$what: the device" " family $family .*up$" s device list
    cli_traffic "$what"
    cli_swap "$what"
    if [ "$proto" = udp4 ]; then
        cli_settings "$family" "$what"
        cli_drops "$what"
    fi
    ctrl_c s
    case $proto in
        udp*) ctrl_c c1 ;;
        tcp*)
            cli_ended c1 4 'when the other end is gone'
            log_says 1 cli-c1 'the other end has ended the connection'
            ;;
    esac
}

# cli_alone FAMILY: ends without another end.
cli_alone() {
    cli_end c1 --local 10.99.0.11:1195 --remote 10.99.0.1:1194 --key "$logs/one.key" --direction 1 --family "$1" --keepalive 1,3
    cli_ended c1 4 'when nobody answers'
    log_says 1 cli-c1 'the other end has been silent for too long'
    cli_end s --listen --local 10.99.0.1:1194 --key "$logs/one.key" --direction 0 --family "$1"
    wait_until 30 listening s 1194
    ctrl_c s
    cli_end c1 --tcp --local 10.99.0.11:0 --remote 10.99.0.1:1194 --key "$logs/one.key" --direction 1 --family "$1"
    cli_ended c1 1 'when nobody listens'
}

# cli_many FAMILY: a device with many peers, that the tunnel's end leaves there.
cli_many() {
    works "$1: a device for many" cli_in s device add dco0 --mode mp --family "$1"
    ends_with 1 "$1: a second device of the name" s device add dco0 --family "$1"
    ip -n s addr add 10.8.0.1/24 dev dco0
    ip -n s link set dco0 up
    cli_end s --join --device dco0 --vpn-address 10.8.0.2 --local 10.99.0.1:1194 --remote 10.99.0.11:1195 --direction 0 \
        --key "$logs/one.key" --peer-id 5
    cli_end c1 --local 10.99.0.11:1195 --remote 10.99.0.1:1194 --key "$logs/one.key" --direction 1 --family "$1" --peer-id 5 \
        --address 10.8.0.2/24
    log_says 60 cli-s '^up: '
    log_says 60 cli-c1 '^up: '
    until_true 60 "$1: one of many is answered" answers c1 10.8.0.1
    says "$1: its address" '^vpn-ipv4 10.8.0.2$' s peer get dco0
    if [ "$rig_module" = ours ]; then
        works "$1: the source check off" cli_in s device set dco0 --source-check off
        says "$1: the source check" 'mode mp source-check off' s device list
    fi
    ends_with 0 "$1: the peer is removed" s peer del dco0 --peer-id 5
    wait_until 60 process_gone "${cli_pid[s]}"
    log_says 1 cli-s 'somebody has removed the peer'
    ctrl_c c1
    says "$1: the device stays" '^dco0 ' s device list
    works "$1: until it is removed" cli_in s device del dco0
}

# cli_family FAMILY
cli_family() {
    local name
    if [ "$rig_module" = ours ]; then
        works 'both families' modprobe -a ovpn-dco-v2 ovpn
    elif [ "$1" != "$family" ]; then
        ends_with 3 "family $1, which this module has not" s version --family "$1"
        return 0
    fi
    for name in one two three; do "/openvpn/$rig_openvpn/openvpn" --genkey secret "$logs/$name.key"; done
    ends_with 2 'a tunnel of nothing' s tunnel
    ends_with 1 'a device that is not there' s stats dco0
    ends_with 1 'a device of another kind' s stats wire
    says 'version' "^family $1 1$" s version --family "$1"
    ip netns exec c1 "$cli" events --family "$1" >"$logs/events.log" 2>&1 </dev/null &
    log_says 30 events '^listening'
    cli_tunnel "$1" udp4 AES-256-GCM
    cli_tunnel "$1" udp6 ChaCha20-Poly1305
    cli_tunnel "$1" tcp4 AES-128-GCM
    cli_tunnel "$1" tcp6 AES-192-GCM
    cli_alone "$1"
    cli_many "$1"
    log_says 1 events '^device [0-9]+ peer 5 deleted: userspace$'
    log_says 1 events '^device [0-9]+ peer 0 deleted: expired$'
}

scenario_dco_cli() {
    make_net 1
    cli_family ovpn
}
limit_dco_cli=400

scenario_dco_cli_v2() {
    make_net 1
    cli_family ovpn-dco-v2
}
limit_dco_cli_v2=400
