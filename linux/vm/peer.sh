# shellcheck shell=bash disable=SC2034,SC2154 # names are shared among the files that init sources
# Two VMs, near and far, joined by two network cards each: `control`, by which the near one has the far one do things, and
# `wire`, which OpenVPN uses. The near one runs the scenarios; the far one does as it is told, by /rig/far. Sourced after lib.sh.

readonly far_address=10.98.0.2 far_port=7

# Names the cards by their hardware addresses (scripts/lib/linux-boot.sh gives them) and sets `control` up.
peer_cards() {
    local card name number=1
    [ "$rig_side" = near ] || number=2
    modprobe -a virtio_pci virtio_net
    for card in control:0a wire:0b; do
        wait_until 20 card_name "${card#*:}"
        name=$(card_name "${card#*:}")
        ip link set "$name" name "${card%:*}"
    done
    ip link set lo up
    ip addr add 10.98.0.$number/24 dev control
    ip link set control up
}
card_name() { grep -il "52:54:00:00:$1:" /sys/class/net/*/address | sed -nE 's,.*/([^/]*)/address,\1,p' | grep .; }

# --- the near side ------------------------------------------------------------------------------------------------------

far_answers() { (exec 3<>/dev/tcp/$far_address/$far_port) 2>/dev/null; }

# Opens $socket. Between two orders nobody listens there for a moment.
far_connect() {
    local try
    for try in {1..200}; do
        if exec {socket}<>"/dev/tcp/$far_address/$far_port"; then return 0; fi 2>/dev/null
        sleep 0.1
    done
    return 1
}

# far COMMAND...: in the far VM, with its lib.sh, our scenario's name and the variables below. Prints what it prints; its
# exit status. A check that fails there fails here.
far() {
    local line words socket outcome=none name
    printf -v line 'scenario=%q; ' "$scenario"
    for name in proto ciphers keepalive status_seconds; do
        [ -z "${!name:-}" ] || printf -v line '%s%s=%q; ' "$line" "$name" "${!name}"
    done
    printf -v words '%q ' "$@"
    if ! far_connect; then
        fail 'the far VM' 'a connection' none >&2
        return 1
    fi
    printf '%s%s\n' "$line" "$words" >&"$socket"
    while IFS= read -r -t 300 line <&"$socket"; do
        case $line in
            'status '*)
                # Not to the end of the stream: what the order left running there may hold it open.
                outcome=${line#status }
                break
                ;;
            'ok '* | 'xfail '*) echo "${line/: /: far: }" ;;
            'FAIL '*)
                # Not on standard output: that may be a value somebody waits for.
                echo "${line/: /: far: }" >&2
                touch "$logs/failed"
                ;;
            *) printf '%s\n' "$line" ;;
        esac
    done
    exec {socket}>&-
    if [ "$outcome" = none ]; then
        fail "the far VM, asked for '$*'" 'an end of it' none >&2
        return 1
    fi
    return "$outcome"
}

# at near|far COMMAND...
at() {
    local side=$1
    shift
    if [ "$side" = far ]; then far "$@"; else "$@"; fi
}

# --- both ---------------------------------------------------------------------------------------------------------------

# wire_end s|c1: this VM's end, a namespace with the card `wire`, addressed as by make_net.
wire_end() {
    local number=1
    [ "$1" = s ] || number=11
    # It comes back from a namespace that goes, a little later.
    until_true 30 'the card is there' test -e /sys/class/net/wire
    make_ns "$1"
    ip link set wire netns "$1"
    ip -n "$1" addr add 10.99.0.$number/24 dev wire
    ip -n "$1" addr add fd99::$number/64 dev wire nodad
    ip -n "$1" link set wire up
}

# --- the far side -------------------------------------------------------------------------------------------------------

# What one scenario left; then the next one's begin, or the end of all.
far_clean() {
    remove_net 2>&1
    until_true 30 'no tunnel device is left' no_tunnel_devices
    if kernel_trouble >"$logs/trouble"; then
        # The host judges this log as well, and learns here what was to be expected.
        fail "the kernel's log" 'no trouble' "$(head -n 1 "$logs/trouble")" | tee /dev/ttyS1
        dmesg -c >/dev/null
    fi
    [ ! -e "$logs/failed" ] || touch /run/far-failed
}
far_begin() {
    rm -rf "${logs:?}"/*
    echo "=== scenario $scenario" >/dev/kmsg
    load_module || fail "modprobe $family" success "$(dmesg | tail -n 2)"
}
far_logs() {
    local file
    for file in "$logs"/*.log; do echo "    far: --- ${file##*/}" && tail -n 40 "$file" | sed 's/^/    /'; done 2>/dev/null
    echo '    far: --- dmesg' && dmesg | tail -n 15 | sed 's/^/    /'
}
# What each end counted, for a look at what went wrong.
end_counters() {
    local ns
    for ns in $(ip netns list | cut -d' ' -f1); do
        echo "    $rig_side $ns: tun0"
        { ip -n "$ns" -s link show tun0; in_ns "$ns" ethtool -S tun0; asks "$ns" get 0; in_ns "$ns" ss -Hnuem; in_ns "$ns" grep Udp: /proc/net/snmp; } 2>&1 |
            sed 's/^/    /'
    done
}
far_finish() { touch /run/far-finish; }

far_main() {
    peer_cards
    # Not -ll, which has its children ignore SIGCHLD: timeout and others cannot wait then.
    while :; do nc -l -p $far_port -e /rig/far; done 2>/dev/null &
    echo "up: Linux $(uname -r), module ${rig_module:-none}, OpenVPN $rig_openvpn; does as the near VM says"
    until [ -e /run/far-finish ]; do sleep 0.2; done
    if [ -e /run/far-failed ]; then echo '0 passed, 1 failed'; else echo '1 passed, 0 failed'; fi
}
