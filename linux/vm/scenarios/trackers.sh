# shellcheck shell=bash disable=SC2154 # names are shared among the files that init sources
# What other data channel modules' users reported (docs/linux-trackers.md), tried without OpenVPN: linux/vm/trackers.

# trackers GROUP: for each family of the module, and then it has to go.
trackers() {
    local modules=("$module_name") core=$module_name
    if [ "$rig_module" = ours ]; then
        modules=(ovpn_dco_v2 ovpn) core=ovpn_dco_core
        works 'both families' modprobe -a ovpn-dco-v2 ovpn
    fi
    /rig/bin/trackers "$1" 2>&1 | tee "$logs/trackers.log" | sed -u -e "s/^\(ok  \|FAIL\) /\1 $scenario: /" -e '/^\(ok  \|FAIL\) /!s/^/    /'
    if grep -q '^FAIL' "$logs/trackers.log"; then touch "$logs/failed"; fi
    equal 'trackers says' 'trackers: passed' "$(tail -n 1 "$logs/trackers.log")"
    # Not waited for: what hangs there cannot be killed.
    modprobe -r "${modules[@]}" >/dev/null 2>&1 &
    until_true 30 'the modules go' unloaded "$core"
}
unloaded() { ! loaded "$1"; }

scenario_tracker_sockets() { trackers sockets; }
scenario_tracker_tcp() { trackers tcp; }
scenario_tracker_routes() { trackers routes; }
