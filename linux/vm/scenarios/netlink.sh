# shellcheck shell=bash disable=SC2034,SC2154 # names are shared among the files that init sources
# Netlink, right and wrong: nlfuzz asks both families, if the module has both.

# fuzz SECONDS
fuzz() {
    local words=(--seconds "$1")
    # The C modules are asked, to prove the table; at random they crash.
    if [ "$rig_module" = c ]; then words=(--seconds 0); fi
    if [ "$rig_module" = ours ]; then
        works 'the other family too' modprobe -a ovpn-dco-v2 ovpn
        words+=(--ours --texts)
    fi
    ip netns exec s /rig/bin/nlfuzz "${words[@]}" 2>&1 | tee "$logs/nlfuzz.log" | sed 's/^/    /'
    sed -n "s/^FAIL /FAIL $scenario: /p" "$logs/nlfuzz.log"
    equal 'nlfuzz says' 'nlfuzz: passed' "$(tail -n 1 "$logs/nlfuzz.log")"
}

scenario_netlink() {
    make_ns s
    fuzz 20
}

# The documented answers alone.
scenario_netlink_answers() {
    make_ns s
    fuzz 0
}

# Issue point 5: ten minutes.
scenario_netlink_long() {
    make_ns s
    fuzz 600
}
limit_netlink_long=1500
