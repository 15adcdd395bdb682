# shellcheck shell=bash disable=SC2034,SC2154 # names are shared among the files that init sources
# Throughput of one tunnel, modules taking turns in the same VM: `scripts/linux-vm --bench`. Sourced after lib.sh.
#
# Prints a line each: bench MODULE PROTO CIPHER STREAMS DIRECTION MTU Mbit/s ns-per-packet rtt-us retransmits
# ns-per-packet is the processors' busy time for 1400 bytes of payload; with --icount one ns is one instruction of the guest.

# use_module NAME: out with the other one; in with the files of /rig/modules/NAME, those they depend on first.
use_module() {
    local file left name again=1 options
    for name in ovpn ovpn_dco_v2 ovpn_dco_core; do ! loaded $name || wait_until 20 rmmod $name; done
    [ "$1" != none ] || return 0
    for file in /rig/modules/"$1"/*.ko; do
        for name in $(modinfo -F depends "$file" | tr ',' ' '); do modprobe -q "$name"; done
    done
    while [ "$again" = 1 ]; do
        again=0 left=0
        for file in /rig/modules/"$1"/*.ko; do
            name=$(basename "$file" .ko)
            loaded "${name//-/_}" && continue
            options=()
            [ "$name" != ovpn-dco-core ] || read -ra options <<<"$rig_options"
            if insmod "$file" "${options[@]}" 2>/dev/null; then again=1; else left=$((left + 1)); fi
        done
    done
    loaded "$module_name"
}

# Two namespaces and nothing between them.
make_pair() {
    make_ns s
    make_ns c1
    ip -n s link add wire type veth peer name wire netns c1
    ip -n s addr add 10.99.0.1/24 dev wire
    ip -n s addr add fd99::1/64 dev wire nodad
    ip -n c1 addr add 10.99.0.11/24 dev wire
    ip -n c1 addr add fd99::11/64 dev wire nodad
    ip -n s link set wire up
    ip -n c1 link set wire up
    wait_until 20 answers c1 10.99.0.1
}

# Busy time of all processors since the machine started, in ns. Idle time is exact, where busy time is sampled.
busy() {
    local idle
    idle=$(awk '/^cpu / { printf "%d", ($5 + $6) * 10000000 }' /proc/stat)
    echo $((${EPOCHREALTIME/[.,]/} * 1000 * $(nproc) - idle))
}

# A number of iperf3's report: result PART NAME.
result() { tr -d ' \t\n' <"$logs/iperf.json" | grep -oE "\"$1\":\{[^}]*" | grep -oE "\"$2\":[0-9]+" | tail -n 1 | cut -d: -f2; }

# bench_one MODULE PROTO CIPHER STREAMS DIRECTION MTU ADDRESS: the tunnel is up.
bench_one() {
    local before after bytes options=() rtt
    [ "$5" = up ] || options=(-R)
    before=$(busy)
    iperf c1 "$7" "$rig_seconds" -P "$4" "${options[@]}"
    after=$(busy)
    bytes=$(result sum_received bytes)
    rtt=$(in_ns c1 ping -q -c 200 -i 0.002 "$7" | sed -nE 's,^rtt [^=]*= [0-9.]+/([0-9.]+)/.*,\1,p')
    awk -v what="bench $1 $2 $3 $4 $5 $6" -v mbits="$mbits" -v busy=$((after - before)) -v bytes="${bytes:-0}" \
        -v rtt="${rtt:-0}" -v again="$(result sum_sent retransmits)" \
        'BEGIN { printf "%s %.1f %d %d %d\n", what, mbits, bytes ? busy / (bytes / 1400) : 0, rtt * 1000, again }'
    awk "BEGIN { exit !(${mbits:-0} > 0 && ${rtt:-0} > 0) }"
}

# bench_tunnel MODULE PROTO CIPHER MTU: makes it; $address is its other end.
bench_tunnel() {
    local lines=() module=$1 mtu=$4
    proto=$2 ciphers=$3
    make_pair
    iperf_server s
    address=10.99.0.1
    [ "$proto" != veth ] || return 0
    address=10.8.0.1
    [ "$mtu" = 1500 ] || lines=("tun-mtu $mtu")
    server "${lines[@]}"
    client 1 "${lines[@]}"
    data_path_at c1 client1
    equal "the MTU of tun0" "$mtu" "$(in_ns c1 cat /sys/class/net/tun0/mtu)"
    # Caches, and TCP's memory of the path.
    iperf c1 "$address" 1
}

# Specifications are PROTO,CIPHER,STREAMS,DIRECTION,MTU. Those of one tunnel (PROTO, CIPHER, MTU) are measured one after the
# other by each module in turn, so that modules are compared minutes apart at most; every other round turns the order round.
bench_all() {
    local round module spec tunnel streams way mtu passed=0 failed=0 order tunnels reversed=''
    scenario=bench
    tunnels=$(for spec in $rig_specs; do echo "$spec"; done | awk -F, '!seen[$1, $2, $5]++ { print $1 "," $2 "," $5 }')
    # As udev does at boot: the cipher implementations made for this processor.
    modprobe -q "$(cat /sys/devices/system/cpu/modalias)"
    for module in $rig_modules; do reversed="$module $reversed"; done
    for ((round = 1; round <= rig_rounds; round++)); do
        order=$rig_modules
        [ $((round % 2)) = 1 ] || order=$reversed
        for tunnel in $tunnels; do
            for module in $order; do
                IFS=, read -r proto ciphers mtu <<<"$tunnel"
                rig_module=$module
                rm -f "$logs/failed"
                if ! use_module "$module"; then
                    echo "FAIL bench: expected $module to load; got: $(dmesg | tail -n 2)"
                    touch "$logs/failed"
                else
                    bench_tunnel "$module" "$proto" "$ciphers" "$mtu" >"$logs/quiet"
                    grep FAIL "$logs/quiet"
                fi
                for spec in $rig_specs; do
                    [[ $spec == "$proto,$ciphers",*",$mtu" ]] || continue
                    IFS=, read -r _ _ streams way _ <<<"$spec"
                    if [ ! -e "$logs/failed" ] && bench_one "$module" "$proto" "$ciphers" "$streams" "$way" "$mtu" "$address"; then
                        passed=$((passed + 1))
                    else
                        echo "FAIL bench: expected $module to carry $spec"
                        failed=$((failed + 1))
                    fi
                done
                remove_net 2>/dev/null
            done
        done
    done
    echo "$passed passed, $failed failed"
}
