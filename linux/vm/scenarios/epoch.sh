# shellcheck shell=bash disable=SC2034,SC2154 # names are shared among the files that init sources
# Epoch keys (make EPOCH=1): dco-cli-linux at both ends, for no OpenVPN on Linux asks for them yet. The helpers are cli.sh's.

# What a packet of an epoch key is longer by.
epoch_overhead=28
# Packets and blocks of 16 bytes: an epoch is left after two or three full packets.
epoch_limit() { echo "$1" >/sys/module/ovpn_dco_core/parameters/test_epoch_limit; }

# epochs NAMESPACE sent|received: of dco0's primary key.
epochs() { said "$1" key get dco0 --slot primary --peer-id 5 | sed -nE "s/.*$2 ([0-9]+).*/\1/p"; }

# epoch_losses NAMESPACE: what it has lost so far. nothing_lost WHAT: nothing since lost_from: before both have the key something is.
epoch_losses() { said "$1" drops dco0 | grep -E '^[RT]x' | sort -u | tr '\n' ' '; }
declare -gA lost
lost_from() {
    local ns
    for ns in s c1; do lost[$ns]=$(epoch_losses "$ns"); done
}
nothing_lost() {
    local ns
    for ns in s c1; do equal "$1: what $ns has lost by now, as in the beginning" "${lost[$ns]}" "$(epoch_losses "$ns" | sed -E "${2:-}")"; done
}

# on_one_processor, on_all: what is started from here on, and so all of its packets. Between two processors one packet may overtake
# another, and by the protocol what is overtaken by two epochs is lost: with epochs of two packets that is no rare thing.
on_one_processor() { taskset -p 1 $BASHPID >/dev/null; }
on_all() { taskset -p ff $BASHPID >/dev/null; }

# epoch_ends PROTO CIPHER WORD...: a tunnel's two ends; the words are c1's alone.
epoch_ends() {
    local proto=$1 here=10.99.0.1 there=10.99.0.11 words=(--cipher "$2" --family ovpn --peer-id 5)
    case $proto in *6) here="[fd99::1]" there="[fd99::11]" ;; esac
    shift 2
    local server=(--key "$logs/one.key" --direction 0 --epoch --address 10.8.0.1/24 --address fd08::1/64 "${words[@]}")
    local client=(--direction 1 --address 10.8.0.2/24 --address fd08::2/64 "${words[@]}" "$@")
    case $proto in
        udp*)
            cli_end s --local "$here:1194" --remote "$there:1195" "${server[@]}"
            cli_end c1 --local "$there:1195" --remote "$here:1194" "${client[@]}"
            ;;
        tcp*)
            cli_end s --listen --local "$here:1194" --remote "$there:0" "${server[@]}"
            wait_until 30 listening s 1194
            cli_end c1 --tcp --local "$there:0" --remote "$here:1194" "${client[@]}"
            ;;
    esac
    log_says 60 cli-s '^up: '
    log_says 60 cli-c1 '^up: '
}

# epoch_rotates WHAT FROM LEAST: both ends came on by so many epochs, and tell the same; one that is spent is left with the next packet.
epoch_rotates() {
    local from=$2 sent received ns other
    for ns in s c1; do
        other=c1
        [ "$ns" = s ] || other=s
        sent=$(epochs $ns sent) received=$(epochs $other received)
        at_least "$1: epochs at $ns" $((from + $3)) "${sent:-0}"
        near_epoch "$1: what $other has heard of $ns" "$sent" "$received"
    done
}
near_epoch() {
    if [ "$3" -eq "$2" ] 2>/dev/null || [ "$3" -eq $(($2 - 1)) ] 2>/dev/null; then ok "$1: $3 of $2"; else fail "$1" "$2, or one less" "$3"; fi
}

# same_counters WHAT: whatever one end has sent the other has received.
same_counters() {
    local s c1
    s=$(counted s) c1=$(counted c1)
    # shellcheck disable=SC2086 # words
    equal "$1: what one end has sent and the other has received" "$(set -- $s && echo "$3 $4 $1 $2 $7 $8 $5 $6")" "$c1"
    # shellcheck disable=SC2086 # words
    at_least "$1: packets" 100 "$(set -- $s && echo $(($1 < $3 ? $1 : $3)))"
}

# epoch_tunnel PROTO CIPHER
epoch_tunnel() {
    local what="$1 $2" cli_overhead=$epoch_overhead before
    epoch_limit 200
    epoch_ends "$1" "$2" --key "$logs/one.key" --epoch
    until_true 30 "$what: answered" answers c1 10.8.0.1
    says "$what: the key" '^primary key-id 0 .* epochs: sent 1, received 1$' c1 key get dco0 --slot primary --peer-id 5
    cli_traffic "$what"
    lost_from
    # Nobody waits for a packet here: what is lost is missing in the counters.
    count_from
    in_ns c1 ping -q -c 300 -i 0.01 -W 20 -s 1300 10.8.0.1 >/dev/null 2>&1
    both_counted "$what: 300 packets" 300 $((300 * 1328))
    epoch_rotates "$what: 300 packets" 1 20
    before=$(epochs s sent)
    count_from
    carries "$what: up" c1 10.8.0.1 3 -b 5M
    carries "$what: down" c1 10.8.0.1 3 -b 5M -R
    cli_pings 10.8.0.1 56 3
    wait_until 20 same_now || true
    same_counters "$what: under load"
    epoch_rotates "$what: under load" "$before" 3
    nothing_lost "$what: under load"
    epoch_limit 20000
    cli_swap "$what"
    nothing_lost "$what: while keys were swapped"
    on_all
    carries "$what: as fast as it goes" c1 10.8.0.1 5
    carries "$what: as fast as it goes, down" c1 10.8.0.1 5 -R
    on_one_processor
    epoch_rotates "$what: as fast as it goes" 1 1
    nothing_lost "$what: but for what was overtaken" 's/RxEpochRetired [0-9]+ //'
}
same_now() {
    local s c1
    s=$(counted s) c1=$(counted c1)
    # shellcheck disable=SC2086 # words
    [ "$(set -- $s && echo "$3 $4 $1 $2 $7 $8 $5 $6")" = "$c1" ]
}
epoch_down() {
    ctrl_c s
    case $1 in
        udp*) ctrl_c c1 ;;
        tcp*) cli_ended c1 4 'when the other end is gone' ;;
    esac
}

# refuses WHAT TEXT WORD...: an epoch key that the family does not take.
epoch_refuses() {
    local what=$1 text=$2 got
    shift 2
    got=$(in_ns s /rig/bin/nlask ovpn dco0 epoch "$@" 2>&1)
    equal "refused: $what" "nlask: epoch: $text" "$got"
}
epoch_refusals() {
    epoch_refuses 'a secret of 31 bytes' 'Invalid argument: an epoch key is made of a secret of 32 bytes' 5 1 32 31 0
    epoch_refuses 'a secret of 64 bytes' 'Invalid argument: an epoch key is made of a secret of 32 bytes' 5 1 32 64 0
    epoch_refuses 'no secret' 'Invalid argument: a required attribute is missing' 5 1 32 0 0
    epoch_refuses 'a nonce tail' 'Invalid argument: an epoch key has no nonce tail' 5 1 32 32 8
    epoch_refuses 'AES-GCM of 20 bytes' "Invalid argument: the cipher or its key's length is not supported" 5 1 20 32 0
    epoch_refuses 'AES-GCM of no bytes' "Invalid argument: the cipher or its key's length is not supported" 5 1 0 32 0
    epoch_refuses 'ChaCha20-Poly1305 of 16 bytes' "Invalid argument: the cipher or its key's length is not supported" 5 2 16 32 0
    epoch_refuses 'no cipher' "Invalid argument: the cipher or its key's length is not supported" 5 0 32 32 0
    epoch_refuses 'an unknown cipher' 'Numerical result out of range: integer out of range' 5 3 32 32 0
    epoch_refuses 'no such peer' 'No such file or directory: there is no peer with this id, or the kernel lacks the cipher' 77 1 32 32 0
}

# epoch_wrong: what does not fit carries nothing.
epoch_wrong() {
    # Both keys have to be in their first epoch, or the wrong one is too old to be tried.
    works 'a fresh key at s' cli_in s key new dco0 --epoch --key "$logs/two.key" --direction 0 --slot primary --key-id 1 --peer-id 5
    works 'a wrong secret at c1' cli_in c1 key new dco0 --epoch --key "$logs/three.key" --direction 1 --slot primary --key-id 1 --peer-id 5
    no_ping 'with a wrong secret' c1 10.8.0.1
    says 'a wrong secret at s' '^RxAuthFailed [1-9]' s drops dco0 --peer-id 5
    works 'the right one, classic' cli_in c1 key new dco0 --key "$logs/two.key" --direction 1 --slot primary --key-id 1 --peer-id 5
    no_ping 'one end classic' c1 10.8.0.1
    works 'the right one' cli_in c1 key new dco0 --epoch --key "$logs/two.key" --direction 1 --slot primary --key-id 1 --peer-id 5
    works 'the right one at s' cli_in s key new dco0 --epoch --key "$logs/two.key" --direction 0 --slot primary --key-id 1 --peer-id 5
    until_true 30 'with the right one again' answers c1 10.8.0.1
    # A classic key takes the place of an epoch key, and the other way round.
    for ns in s c1; do
        works "a classic key at $ns" cli_in "$ns" key new dco0 --key "$logs/three.key" --slot secondary --key-id 2 --peer-id 5 \
            --direction "$([ "$ns" = s ] && echo 0 || echo 1)"
    done
    for ns in s c1; do works "swapped at $ns" cli_in "$ns" key swap dco0 --peer-id 5; done
    until_true 30 'with a classic key' answers c1 10.8.0.1
    says 'the classic key' '^primary key-id 2 AES-GCM$' s key get dco0 --slot primary --peer-id 5
    says 'the epoch key beside it' '^secondary key-id 1 AES-GCM epochs: ' s key get dco0 --slot secondary --peer-id 5
}

# epoch_many: of several peers.
epoch_many() {
    local cli_overhead=$epoch_overhead
    epoch_limit 200
    works 'a device for many' cli_in s device add dco0 --mode mp --family ovpn
    ip -n s addr add 10.8.0.1/24 dev dco0
    ip -n s link set dco0 up
    cli_end s --join --device dco0 --vpn-address 10.8.0.2 --local 10.99.0.1:1194 --remote 10.99.0.11:1195 --direction 0 \
        --key "$logs/one.key" --peer-id 5 --epoch
    cli_end c1 --local 10.99.0.11:1195 --remote 10.99.0.1:1194 --key "$logs/one.key" --direction 1 --family ovpn --peer-id 5 \
        --address 10.8.0.2/24 --epoch
    log_says 60 cli-s '^up: '
    log_says 60 cli-c1 '^up: '
    until_true 30 'one of many: answered' answers c1 10.8.0.1
    count_from
    in_ns c1 ping -q -c 300 -i 0.01 -W 20 -s 1300 10.8.0.1 >/dev/null 2>&1
    both_counted 'one of many' 300 $((300 * 1328))
    epoch_rotates 'one of many' 1 20
    carries 'one of many' c1 10.8.0.1 3 -b 5M
    ctrl_end s
    ctrl_c c1
    works 'the device goes' cli_in s device del dco0
}
ctrl_end() {
    kill -INT "${cli_pid[$1]}"
    wait_until 60 process_gone "${cli_pid[$1]}" || kill -KILL "${cli_pid[$1]}"
    wait "${cli_pid[$1]}" || true
}

# epoch_far CIPHER LIMIT EVERY: the far end is a program of another's hand. It leaves an epoch after EVERY packets, the module by its limit.
epoch_far() {
    local what="the far end, $1, $2 $3" far said sent received
    epoch_limit "$2"
    cli_end s --local 10.99.0.1:1194 --remote 10.99.0.11:1195 --key "$logs/one.key" --direction 0 --epoch --cipher "$1" --family ovpn \
        --peer-id 5 --address 10.8.0.1/24
    ip netns exec c1 /rig/bin/epochfar 1195 "$logs/one.key" 1 5 "$1" "$3" >"$logs/far.log" 2>&1 &
    far=$!
    log_says 30 far '^listening'
    log_says 60 cli-s '^up: '
    lost[s]=$(epoch_losses s)
    in_ns s ping -q -c 100 -i 0.1 -W 20 -s 1300 10.8.0.2 >/dev/null 2>&1
    wait_until 30 far_answered 100
    equal "$what: answered" 100 "$(far_answers)"
    sent=$(epochs s sent) received=$(epochs s received)
    kill -INT $far
    wait $far
    said=$(tail -n 1 "$logs/far.log")
    # shellcheck disable=SC2086 # words
    set -- $said
    equal "$what: what it could not open" 0 "${7:-}"
    at_least "$what: epochs of the module" 20 "${sent:-0}"
    near_epoch "$what: what it has heard of the module" "${sent:-0}" "${3:-}"
    near_epoch "$what: what the module has heard of it" "${2:-0}" "${received:-0}"
    equal "$what: what s has lost by now, as in the beginning" "${lost[s]}" "$(epoch_losses s)"
    ctrl_c s
}

far_answers() { said s stats dco0 --peer-id 5 | awk '$1 == "vpn-rx-packets" { print $2 }'; }
far_answered() { [ "$(far_answers)" = "$1" ]; }

# epoch_goes: everything goes while epochs come.
epoch_goes() {
    local round pings
    for round in 1 2 3; do
        epoch_limit 20
        epoch_ends udp4 AES-256-GCM --key "$logs/one.key" --epoch
        pings=()
        ip netns exec c1 ping -f -q -s 1000 10.8.0.1 >/dev/null 2>&1 &
        pings+=($!)
        ip netns exec s ping -f -q -s 1000 10.8.0.2 >/dev/null 2>&1 &
        pings+=($!)
        wait_until 30 has_epochs 30
        at_least "round $round: epochs" 30 "$(epochs s sent)"
        case $round in
            1) works 'the peer goes' cli_in s peer del dco0 --peer-id 5 ;;
            2) works 'the device goes' ip -n s link del dco0 ;;
            3) works 'the key goes' cli_in s key del dco0 --slot primary --peer-id 5 ;;
        esac
        ctrl_end s
        ctrl_end c1
        kill -KILL "${pings[@]}"
    done
}
has_epochs() { [ "$(epochs s sent)" -ge "$1" ]; }

epoch_begins() {
    local name
    on_one_processor
    make_net 1
    works 'the module' modprobe ovpn
    for name in one two three; do "/openvpn/$rig_openvpn/openvpn" --genkey secret "$logs/$name.key"; done
    iperf_server s
}
epoch_ended() {
    epoch_limit 0
    remove_net
    works 'the modules go' modprobe -r ovpn-dco-v2 ovpn
    if loaded ovpn_dco_core; then fail 'the core module goes, too' 'it gone' 'it there'; else ok 'the core module goes, too'; fi
}

scenario_epoch_udp() {
    epoch_begins
    epoch_tunnel udp4 AES-256-GCM
    epoch_refusals
    epoch_wrong
    epoch_down udp4
    epoch_ended
}
limit_epoch_udp=400

scenario_epoch_ciphers() {
    epoch_begins
    epoch_tunnel udp6 ChaCha20-Poly1305
    epoch_down udp6
    epoch_tunnel udp4 AES-192-GCM
    epoch_down udp4
    epoch_ended
}
limit_epoch_ciphers=400

scenario_epoch_tcp() {
    epoch_begins
    epoch_tunnel tcp4 AES-128-GCM
    epoch_down tcp4
    epoch_ended
}

scenario_epoch_far() {
    epoch_begins
    epoch_far AES-256-GCM 200 0
    epoch_far AES-128-GCM 0 3
    epoch_far ChaCha20-Poly1305 300 4
    epoch_ended
}

scenario_epoch_ends() {
    epoch_begins
    epoch_many
    epoch_goes
    epoch_ended
}
limit_epoch_ends=400
