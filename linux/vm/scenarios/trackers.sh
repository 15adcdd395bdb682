# shellcheck shell=bash disable=SC2154 # names are shared among the files that init sources
# What other data channel modules' users reported (docs/linux-trackers.md), tried without OpenVPN: linux/vm/trackers.

# tracker NAME: for each family of the module, and then it has to go.
tracker() {
    local line modules=("$module_name") core=$module_name
    if [ "$rig_module" = ours ]; then
        modules=(ovpn_dco_v2 ovpn) core=ovpn_dco_core
        works 'both families' modprobe -a ovpn-dco-v2 ovpn
    fi
    /rig/bin/trackers "$1" 2>&1 | tee "$logs/trackers.log" | while IFS= read -r line; do
        case $line in
            'ok   '* | 'FAIL '*) echo "${line:0:5}$scenario: ${line:5}" ;;
            *) echo "    $line" ;;
        esac
    done
    if grep -q '^FAIL' "$logs/trackers.log"; then touch "$logs/failed"; fi
    equal 'trackers says' 'trackers: passed' "$(tail -n 1 "$logs/trackers.log")"
    # Not waited for: what hangs there cannot be killed.
    modprobe -r "${modules[@]}" >/dev/null 2>&1 &
    until_true 30 'the modules go' unloaded "$core"
}
unloaded() { ! loaded "$1"; }

for name in udp-closed device-under-traffic p2p-reconnects peer-storm expiry \
    remote-close readiness framing both-send stalled-reader into-itself \
    source-address bound-device iroute source-check large-packets counted moved-device; do
    eval "scenario_tracker_${name//-/_}() { tracker $name; }"
done
