# shellcheck shell=bash
# The debug kernel: Debian's source of 6.1, as small as the scenarios allow, with the kernel's own checkers. Built once, into
# $cache/kernel-debug. Sourced after linux-kernel.sh.

# debug_kernel: makes $kernel_root, unless it is there: modules, image and, for KDIR, the tree it was built in.
debug_kernel() {
    local config=$repo/linux/vm/debug.config source tree stamp
    kernel_root=$cache/kernel-debug
    tree=$kernel_root/usr/src/linux-debug
    stamp=$(sha256sum "$config" | cut -c1-16)
    if [ -e "$kernel_root/.complete" ] && [ "$(cat "$kernel_root/.complete")" = "$stamp" ]; then return 0; fi
    # Others may use the cache meanwhile, but build no such kernel: $cache/lock is the caller's file 9.
    exec 8>"$cache/kernel-debug.lock"
    flock --unlock 9
    flock 8
    flock 9
    if [ -e "$kernel_root/.complete" ] && [ "$(cat "$kernel_root/.complete")" = "$stamp" ]; then return 0; fi
    need gcc-12:gcc-12 make:make flex:flex bison:bison bc:bc perl:perl xz:xz-utils cpio:cpio
    need /usr/include/libelf.h:libelf-dev /usr/include/openssl/ssl.h:libssl-dev
    package_set kernel-debug-source bookworm - only linux-source-6.1
    if [ ! -e "$tree/.config" ]; then
        rm -rf "$kernel_root"
        mkdir -p "$tree"
        step "unpacking the kernel's source" tar --extract --xz --strip-components=1 --directory "$tree" \
            --file "$cache/kernel-debug-source/usr/src/linux-source-6.1.tar.xz"
    fi
    flock --unlock 9
    step "configuring the debug kernel" debug_kernel_config "$tree" "$config"
    step "building the debug kernel (once; takes a while)" debug_kernel_make "$tree" -j"$(nproc)" bzImage modules
    rm -rf "${kernel_root:?}/lib" "$kernel_root/boot"
    step "installing the debug kernel's modules" debug_kernel_make "$tree" INSTALL_MOD_PATH="$kernel_root" modules_install
    source=$(cat "$tree/include/config/kernel.release")
    rm -f "$kernel_root/lib/modules/$source"/{build,source}
    mkdir -p "$kernel_root/boot"
    cp "$tree/arch/x86/boot/bzImage" "$kernel_root/boot/vmlinuz-$source"
    depmod -b "$kernel_root" "$source"
    touch "$kernel_root/.depmod"
    flock 9
    echo "$stamp" >"$kernel_root/.complete"
    exec 8>&-
}

debug_kernel_make() {
    local tree=$1
    shift
    nice -n 10 make -C "$tree" CC=gcc-12 HOSTCC=gcc-12 KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 1970' KBUILD_BUILD_USER=rig KBUILD_BUILD_HOST=rig "$@"
}

# debug_kernel_config TREE FILE: tinyconfig and the file; every line of the file has to hold afterwards.
debug_kernel_config() {
    local tree=$1 file=$2 line missing=0
    debug_kernel_make "$tree" tinyconfig || return 1
    cat "$file" >>"$tree/.config"
    debug_kernel_make "$tree" olddefconfig || return 1
    while IFS= read -r line; do
        case $line in
            CONFIG_*) grep -qxF -- "$line" "$tree/.config" ;;
            '# CONFIG_'*) ! grep -q "^$(cut -d' ' -f2 <<<"$line")=" "$tree/.config" ;;
        esac || { echo "did not come to be: $line"; missing=1; }
    done < <(grep -E '^(# )?CONFIG_' "$file")
    [ "$missing" = 0 ]
}

# What linux/vm/planted can do wrong. lockdep stops looking after its first report, and after KASAN's, so that those come last, and
# a second one of lockdep's needs a boot of its own.
# shellcheck disable=SC2034 # used by the script
plant_kinds=(sleep rcu leak odebug ubsan refcount list tracker inversion softirq kasan)
# shellcheck disable=SC2034
plants_of_one_boot=(sleep rcu leak odebug ubsan refcount list tracker inversion kasan)

# planted_module: $run/planted/planted.ko
planted_module() {
    cp -r "$repo/linux/vm/planted" "$run/planted"
    step "building the planted faults" nice make -C "$kdir" M="$run/planted" "${kernel_make[@]}" modules
}
