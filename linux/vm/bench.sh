# shellcheck shell=bash
# Throughput of one tunnel, module after module in the same VM: `scripts/linux-vm --bench`. Sourced after lib.sh.
#
# Prints a line each: bench MODULE PROTO CIPHER STREAMS DIRECTION Mbit/s ns-per-packet rtt-µs
# ns-per-packet is the processors' busy time for 1400 bytes of payload; with --icount one ns is one instruction of the guest.

# use_module NAME: out with the other one; in with the files of /rig/modules/NAME, those they depend on first.
use_module() {
    local file left name again=1
    for name in ovpn ovpn_dco_v2 ovpn_dco_core; do ! loaded $name || rmmod $name; done
    [ "$1" != none ] || return 0
    for file in /rig/modules/"$1"/*.ko; do
        for name in $(modinfo -F depends "$file" | tr ',' ' '); do modprobe -q "$name"; done
    done
    while [ "$again" = 1 ]; do
        again=0 left=0
        for file in /rig/modules/"$1"/*.ko; do
            name=$(basename "$file" .ko)
            loaded "${name//-/_}" && continue
            if insmod "$file" 2>/dev/null; then again=1; else left=$((left + 1)); fi
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

# Busy time of all processors, in ns; in ticks of the kernel, so that a run should be long.
busy() { awk '/^cpu / { print ($2 + $3 + $4 + $7 + $8) * 10000000 }' /proc/stat; }

# bench_one MODULE PROTO CIPHER STREAMS DIRECTION ADDRESS: the tunnel is up.
bench_one() {
    local before after bytes options=() rtt
    [ "$5" = up ] || options=(-R)
    iperf c1 "$6" 1 "${options[@]}"
    before=$(busy)
    iperf c1 "$6" "$rig_seconds" -P "$4" "${options[@]}"
    after=$(busy)
    bytes=$(tr -d ' \t\n' <"$logs/iperf.json" | grep -oE '"sum_received":\{[^}]*' | grep -oE '"bytes":[0-9]+' | cut -d: -f2)
    rtt=$(in_ns c1 ping -q -c 200 -i 0.002 "$6" | sed -nE 's,^rtt [^=]*= [0-9.]+/([0-9.]+)/.*,\1,p')
    awk -v what="bench $1 $2 $3 $4 $5" -v mbits="$mbits" -v busy=$((after - before)) -v bytes="${bytes:-0}" -v rtt="${rtt:-0}" \
        'BEGIN { printf "%s %.1f %d %d\n", what, mbits, bytes ? busy / (bytes / 1400) : 0, rtt * 1000 }'
}

# A specification is PROTO,CIPHER,STREAMS,DIRECTION; the same PROTO and CIPHER in a row share a tunnel.
bench_all() {
    local round module spec had passed=0 failed=0 streams way
    scenario=bench
    for ((round = 1; round <= rig_rounds; round++)); do
        for module in $rig_modules; do
            rig_module=$module had=''
            if ! use_module "$module"; then
                echo "FAIL bench: expected $module to load; got: $(dmesg | tail -n 2)"
                failed=$((failed + 1))
                continue
            fi
            for spec in $rig_specs; do
                IFS=, read -r proto ciphers streams way <<<"$spec"
                if [ "$had" != "$proto,$ciphers" ]; then
                    remove_net 2>/dev/null
                    had=$proto,$ciphers
                    make_pair
                    iperf_server s
                    if [ "$proto" != veth ]; then
                        server >"$logs/quiet"
                        client 1 >>"$logs/quiet"
                        data_path_at c1 client1 >>"$logs/quiet"
                        grep FAIL "$logs/quiet"
                    fi
                fi
                address=10.8.0.1
                [ "$proto" != veth ] || address=10.99.0.1
                bench_one "$module" "$proto" "$ciphers" "$streams" "$way" "$address"
                passed=$((passed + 1))
            done
            remove_net 2>/dev/null
        done
    done
    [ ! -e "$logs/failed" ] || failed=$((failed + 1))
    echo "$passed passed, $failed failed"
}
