# shellcheck shell=bash disable=SC2154 # names are shared among the files that init sources
# What only the debug kernel has: kmemleak's word at the end of a run, and faults planted to prove the judge. Sourced after lib.sh.

kmemleak=/sys/kernel/debug/kmemleak

has_kmemleak() { echo scan=off >$kmemleak; } 2>/dev/null

# leaks_of_ours MODULE...: unloads them, and prints kmemleak's entries whose backtrace goes through them. Whatever is theirs is
# garbage then, and where they were there are addresses without a name; all else of the debug kernel is built in and has names.
leaks_of_ours() {
    local symbols=/run/rig-symbols module
    grep '\[' /proc/kallsyms >$symbols
    for module; do ! loaded "$module" || modprobe -r "$module" || rmmod "$module" || return 1; done
    # Younger objects than five seconds are passed over; what waits for RCU is freed by then. The first look may catch a pointer on
    # a stack.
    sleep 6
    echo scan >$kmemleak
    sleep 6
    echo scan >$kmemleak
    awk -v symbols=$symbols '
        function number(hex,   value, i) {
            for (i = length(hex) - 6; i <= length(hex); i++) value = value * 16 + index("0123456789abcdef", substr(hex, i, 1)) - 1
            return value
        }
        function name(hex,   i, best, at) {
            at = number(hex)
            for (i = 1; i <= count; i++) if (start[i] <= at && (!best || start[i] > start[best])) best = i
            return best && at - start[best] < 65536 ? names[best] : "of a module that is gone"
        }
        function done() { if (ours) printf "%s", entry; total++; ours = 0; entry = "" }
        BEGIN { while ((getline line <symbols) > 0) { split(line, part, /[ \t]+/); start[++count] = number(part[1]); names[count] = part[3] " " part[4] } }
        /^unreferenced object/ { if (entry != "") done() }
        match($0, /\] 0xffffffff[a-f][0-9a-f]+/) { ours = 1; $0 = $0 " " name(substr($0, RSTART + 4, RLENGTH - 4)) }
        / \[[a-z0-9_]+\]$/ { ours = 1 }
        { entry = entry $0 "\n" }
        END { if (entry != "") done(); if (total) printf "kmemleak: %d in all\n", total >"/dev/stderr" }' $kmemleak
}

# judge_leaks: a check at the end of a run; 1 if there are leaks.
judge_leaks() {
    local found=$logs/leaks
    if ! leaks_of_ours ovpn_dco_v2 ovpn ovpn_dco_core >"$found"; then
        echo "FAIL leaks: expected the modules to go"
    elif grep -q '^unreferenced' "$found"; then
        echo "FAIL leaks: expected nothing that our modules left behind; got $(grep -c '^unreferenced' "$found")"
        head -n 60 "$found" | sed 's/^/    /'
    else
        echo 'ok   leaks: kmemleak has nothing that our modules left behind'
        return 0
    fi
    return 1
}

# plant_expected FAULT: how the report of it begins.
plant_expected() {
    case $1 in
        sleep) echo 'sleeping function called' ;;
        rcu) echo 'suspicious RCU usage' ;;
        leak) echo 'unreferenced object' ;;
        odebug) echo 'ODEBUG: free active' ;;
        ubsan) echo 'UBSAN: array-index-out-of-bounds' ;;
        refcount) echo 'refcount_t: addition on 0' ;;
        list) echo 'list_add corruption' ;;
        tracker) echo 'leaked reference' ;;
        inversion) echo 'possible circular locking' ;;
        softirq) echo 'inconsistent lock state' ;;
        kasan) echo 'KASAN: (slab-)?use-after-free' ;;
    esac
}

# Each fault in its turn; the judge has to say what it is, and before it nothing.
plant_all() {
    local name kind passed=0 failed=0 found=/run/rig-found
    for name in $rig_scenarios; do
        kind=${name#plant-}
        scenario=$name
        kernel_trouble >$found || true
        dmesg -c >/dev/null
        if [ -s $found ]; then
            echo "FAIL $scenario: expected no trouble before it, got $(head -n 1 $found)"
            failed=$((failed + 1))
            continue
        fi
        insmod "/lib/modules/$(uname -r)/updates/planted.ko" "kind=$kind" || echo "FAIL $scenario: expected insmod to load it"
        if [ "$kind" = leak ]; then leaks_of_ours planted >$found; else rmmod planted; kernel_trouble >$found; fi
        # What comes late is trouble before the next one.
        dmesg -c >/dev/null
        if grep -qE "$(plant_expected "$kind")" $found; then
            ok "found: $(grep -m 1 -E "$(plant_expected "$kind")" $found)"
            passed=$((passed + 1))
        else
            echo "FAIL $scenario: expected '$(plant_expected "$kind")' in the kernel's log, got: $(head -n 2 $found | tr '\n' ' ')"
            failed=$((failed + 1))
        fi
    done
    echo "$passed passed, $failed failed"
}
