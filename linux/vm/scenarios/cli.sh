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

# counter NAMESPACE NAME
counter() { said "$1" stats dco0 --peer-id 5 | sed -n "s/^$2 //p"; }
agree() {
    local name
    for name in bytes packets; do
        [ -n "$(counter s link-rx-$name)" ] || return 1
        [ "$(counter s link-rx-$name)" = "$(counter c1 link-tx-$name)" ] || return 1
        [ "$(counter s vpn-tx-$name)" = "$(counter c1 vpn-rx-$name)" ] || return 1
    done
}

# pings_until FILE: ten by ten; prints how many were sent, and how many answered.
pings_until() {
    local sent=0 answered=0 got
    while :; do
        got=$(in_ns c1 ping -q -c 10 -i 0.02 -W 20 10.8.0.1 2>&1 | grep -oE '[0-9]+ received' | cut -d' ' -f1)
        sent=$((sent + 10)) answered=$((answered + ${got:-0}))
        [ ! -e "$1" ] || break
    done
    echo "$sent sent, $answered answered"
}

# cli_swap WHAT: new keys at both ends while pings go on.
cli_swap() {
    local ns pinging result
    rm -f "$logs/enough"
    pings_until "$logs/enough" >"$logs/swap-pings" &
    pinging=$!
    for ns in s c1; do cli_tell $ns "key $logs/two.key"; done
    for ns in s c1; do log_says 30 cli-$ns '^key 1 is installed'; done
    for ns in s c1; do cli_tell $ns swap; done
    for ns in s c1; do log_says 30 cli-$ns '^swapped'; done
    touch "$logs/enough"
    wait "$pinging"
    result=$(cat "$logs/swap-pings")
    equal "$1: pings while keys were swapped" "${result%% *} sent, ${result%% *} answered" "$result"
    pings "$1: with the second key" c1 10.8.0.1
}

# cli_settings FAMILY WHAT: what is set comes back, what is wrong is refused.
cli_settings() {
    local ns
    for ns in s c1; do works "$2: keepalive off at $ns" cli_in $ns peer set dco0 --peer-id 5 --keepalive 0,0; done
    says "$2: keepalive comes back" '^keepalive 0,0$' s peer get dco0 --peer-id 5
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
    case $proto in *6) here=[fd99::1] there=[fd99::11] ;; esac
    words=(--key "$logs/one.key" --cipher "$3" --family "$family" --peer-id 5 --keepalive 2,60)
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
    wait_until 30 answers c1 10.8.0.1
    pings "$what: IPv4" c1 10.8.0.1 1300
    pings "$what: IPv6" c1 fd08::1 1300
    cli_swap "$what"
    cli_settings "$family" "$what"
    until_true 30 "$what: both ends count the same" agree
    at_least "$what: packets counted" 30 "$(counter s vpn-rx-packets)"
    cli_drops "$what"
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
    wait_until 30 answers c1 10.8.0.1
    pings "$1: one of many" c1 10.8.0.1
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

scenario_dco_cli() {
    local families=("$family") name
    if [ "$rig_module" = ours ]; then
        works 'the other family too' modprobe -a ovpn-dco-v2 ovpn
        families=(ovpn ovpn-dco-v2)
    else
        local lacking=ovpn
        [ "$family" != ovpn ] || lacking=ovpn-dco-v2
        ends_with 3 'a family that is not there' s version --family "$lacking"
    fi
    make_net 1
    for name in one two three; do "/openvpn/$rig_openvpn/openvpn" --genkey secret "$logs/$name.key"; done
    ends_with 2 'a tunnel of nothing' s tunnel
    ends_with 1 'a device that is not there' s stats dco0
    ends_with 1 'a device of another kind' s stats wire
    for family in "${families[@]}"; do
        says 'version' "^family $family 1$" s version
        ip netns exec c1 "$cli" events --family "$family" >"$logs/events.log" 2>&1 </dev/null &
        log_says 30 events '^listening'
        cli_tunnel "$family" udp4 AES-256-GCM
        cli_tunnel "$family" udp6 ChaCha20-Poly1305
        cli_tunnel "$family" tcp4 AES-128-GCM
        cli_tunnel "$family" tcp6 AES-192-GCM
        cli_alone "$family"
        cli_many "$family"
        log_says 1 events '^device [0-9]+ peer 5 deleted: userspace$'
        log_says 1 events '^device [0-9]+ peer 5 deleted: transport-disconnect$'
        log_says 1 events '^device [0-9]+ peer 0 deleted: expired$'
    done
}
limit_dco_cli=600
