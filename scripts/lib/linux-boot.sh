# shellcheck shell=bash
# Boots what linux-image.sh made, and judges it. Sourced after linux-image.sh.
#
# The first serial line is the console, with the kernel's log; the second carries what the scenarios print.

# Lines of the kernel's log that fail a run.
readonly trouble='BUG:|BUG [a-zA-Z]|WARNING:|Oops|[Gg]eneral protection|Kernel panic|Call Trace|refcount_t|unregister_netdevice: waiting|blocked for more than|rcu: INFO:|soft lockup|hard LOCKUP|scheduling while atomic|sleeping function called|possible (recursive|circular)|inconsistent lock state|suspicious RCU|KASAN|UBSAN|KFENCE|unreferenced object|leaked reference|ODEBUG|list_(add|del) corruption|non-static key|lock held when returning|held lock freed|workqueue lockup|invalid opcode|page fault|unable to handle|double free|stack-protector|Unknown symbol|disagrees about version|Invalid relocation|naked return|Unpatched return thunk|possible SYN flooding unlikely'

qemu_words() {
    package_set qemu bookworm bookworm-backports closure qemu-system-x86/bookworm-backports
    # shellcheck disable=SC2046 # words
    qemu=($(loader "$cache/qemu") "$cache/qemu/usr/bin/qemu-system-x86_64" -L "$cache/qemu/usr/share/qemu" -L "$cache/qemu/usr/share/seabios")
}

# boot_words OVERLAY KERNEL-ARGUMENT...: $command boots it.
boot_words() {
    local image=$1
    shift
    qemu_words
    cat "$base" "$image" >"$run/initramfs"
    local machine=(-accel 'tcg,thread=multi' -smp 2)
    # Two VMs at once share the host: one processor each.
    [ -z "${side:-}" ] || machine=(-accel 'tcg,thread=multi' -smp 1)
    # One processor, whose clock is its instructions.
    [ "${icount:-0}" = 0 ] || machine=(-accel 'tcg,thread=single' -smp 1 -icount 'shift=0,sleep=off')
    # no_timer_check: on a busy host the emulated timer may be late for that check, and the kernel panics.
    # shellcheck disable=SC2034 # used by the script
    command=("${qemu[@]}" "${machine[@]}" -cpu max -m "${memory:-1536}" -display none -no-reboot -nic none
        -kernel "$kernel_image" -initrd "$run/initramfs"
        -append "console=ttyS0 panic=-1 no_timer_check mitigations=off loglevel=5 rcupdate.rcu_cpu_stall_timeout=120 nowatchdog $*")
}

# wire_words near|far FOLDER: two cards, `control` and `wire`, each joined to the other VM's by a pair of sockets: neither has to be
# there first, and frames that nobody takes yet are lost, as on a wire. linux/vm/peer.sh knows them by their addresses.
wire_words() {
    local side=$1 other=far number=01 card
    [ "$side" = near ] || other=near number=02
    for card in control:0a wire:0b; do
        echo "-netdev dgram,id=${card%:*},local.type=unix,local.path=$2/${card%:*}-$side,remote.type=unix,remote.path=$2/${card%:*}-$other"
        echo "-device virtio-net-pci,netdev=${card%:*},mac=52:54:00:00:${card#*:}:$number,romfile="
    done
}

# in_trouble CONSOLE: prints the lines of a kernel's log that should not be there.
in_trouble() { grep -aE -- "$trouble" "$1"; }
