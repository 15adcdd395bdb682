# shellcheck shell=bash
# Kernels of Debian, unpacked, and modules built against their headers. Sourced after linux-apt.sh.
#
# A kernel is called by its series: 6.1, 6.12, 7, or debug (linux-debug.sh). After `kernel SERIES`:
#   $kernel_root   where its packages are unpacked        $kernel_release   what uname -r says in it
#   $kernel_image  what qemu boots
#   $kdir          its build folder, for KDIR=            $kernel_make      what make needs besides, as words (CC=...)

kernel_root='' kernel_release='' kernel_image='' kdir=''
kernel_make=()

# release and suite that a series comes from
kernel_source() {
    case $1 in
        6.1 | debug) echo bookworm bookworm ;;
        6.12) echo trixie trixie ;;
        7) echo trixie trixie-backports ;;
        *) usage_error "--kernel: expected 6.1, 6.12, 7 or debug, got '$1'" ;;
    esac
}

# kernel_packages RELEASE SUITE PACKAGE...: these and what they depend on, as far as it is the kernel's.
kernel_packages() {
    local release=$1 suite=$2 seen=' ' package
    shift 2
    while [ $# -gt 0 ]; do
        package=$1
        shift
        [[ $seen != *" $package "* ]] || continue
        seen+="$package "
        # shellcheck disable=SC2046 # words
        set -- "$@" $(apt_in "$release" apt-cache -t "$suite" show --no-all-versions "$package" | sed -n 's/^Depends: //p' | tr ',|' '\n\n' |
            sed -nE 's/^ *(linux-(image|binary|modules|base|headers|kbuild|compiler)[^ ]*).*/\1/p')
    done
    # The metapackages are empty.
    tr ' ' '\n' <<<"$seen" | grep -E '^linux-.*[0-9]\.[0-9]'
}

kernel() {
    local series=$1 release suite packages
    # shellcheck disable=SC2046 # two words
    set -- $(kernel_source "$series")
    release=$1 suite=$2
    kernel_root=$cache/kernel-$series
    if [ "$series" = debug ]; then
        debug_kernel
    elif [ ! -e "$kernel_root/.complete" ]; then
        apt_root "$release"
        packages=$(kernel_packages "$release" "$suite" linux-image-amd64 linux-headers-amd64)
        # shellcheck disable=SC2086 # words
        package_set "kernel-$series" "$release" "$suite" only $packages
    fi
    kernel_release=$(basename "$kernel_root"/lib/modules/*)
    # Older packages have it in /boot, newer ones beside the modules.
    kernel_image=$kernel_root/boot/vmlinuz-$kernel_release
    [ -e "$kernel_image" ] || kernel_image=$kernel_root/lib/modules/$kernel_release/vmlinuz
    [ -e "$kernel_image" ] || die "expected one kernel in $kernel_root, found: $(echo "$kernel_root"/lib/modules/*)"
    kdir=$kernel_root/usr/src/linux-headers-$kernel_release
    [ "$series" != debug ] || kdir=$kernel_root/usr/src/linux-debug
    if [ ! -e "$kernel_root/.depmod" ]; then
        depmod -b "$kernel_root" "$kernel_release"
        headers_here
        touch "$kernel_root/.depmod"
    fi
    if [ "$release" = bookworm ]; then
        need gcc-12:gcc-12 make:make
        kernel_make=(CC=gcc-12)
    else
        toolchain
        kernel_make=("CC=$cache/toolchain/usr/bin/x86_64-linux-gnu-gcc-14")
        # A module's BTF would need pahole, and nobody reads it.
        kernel_make+=(CONFIG_DEBUG_INFO_BTF_MODULES=)
        local tool
        for tool in ld nm ar objcopy objdump strip readelf; do
            kernel_make+=("${tool^^}=$cache/toolchain/usr/bin/x86_64-linux-gnu-$tool")
        done
    fi
}

# The header packages name each other by absolute paths; here they lie elsewhere.
headers_here() {
    local link to
    grep -rlE '^[^#]*/usr/(src|lib)/linux-' "$kernel_root"/usr/src/*/Makefile "$kernel_root"/usr/src/*/.kernelvariables 2>/dev/null |
        while read -r file; do sed -i -E "s,([ =(]|^)/usr/(src|lib)/linux-,\1$kernel_root/usr/\2/linux-,g" "$file"; done
    while read -r link; do
        to=$(readlink "$link")
        case $to in /usr/*) ln -sfn "$kernel_root$to" "$link" ;; esac
    done < <(find "$kernel_root/usr/src" "$kernel_root"/usr/lib/linux-* -type l)
}

# trixie's compiler and the kernel's own build tools, made to run beside another Debian's libraries.
toolchain() {
    local tools=$cache/toolchain
    package_set toolchain trixie - closure gcc-14 binutils libelf1t64 libssl3t64
    if [ ! -e "$tools/.own-loader" ]; then
        need patchelf:patchelf
        own_loader "$tools" "$tools"/usr/bin/x86_64-linux-gnu-* "$tools"/usr/libexec/gcc/x86_64-linux-gnu/14/*
        touch "$tools/.own-loader"
    fi
    if [ ! -e "$kernel_root/.own-loader" ]; then
        need patchelf:patchelf
        # shellcheck disable=SC2046 # words
        own_loader "$tools" $(find "$kernel_root"/usr/lib/linux-kbuild-* "$kernel_root"/usr/src -type f -perm -u+x)
        touch "$kernel_root/.own-loader"
    fi
}

# debian_module: builds Debian's openvpn-dco-dkms for the kernel; prints where the modules are.
debian_module() {
    local series=$1 release=bookworm built=$cache/dkms-$1
    [[ $series =~ ^(6\.1|debug)$ ]] || release=trixie
    if [ ! -e "$built/.built" ]; then
        package_set "dkms-source-$release" "$release" - only openvpn-dco-dkms
        rm -rf "$built"
        cp -r "$cache/dkms-source-$release"/usr/src/ovpn-dco-* "$built"
        step "building Debian's ovpn-dco-v2 for $kernel_release" nice make -C "$built" KERNEL_SRC="$kdir" "${kernel_make[@]}"
        touch "$built/.built"
    fi
}

# our_module SERIES: builds linux/ for the kernel, in a tree as DKMS gets it, so that kernels do not share objects.
# What `make install` installs is taken: the .ko files are in $our_modules. $module_make: more words for make. $module_kind: -epoch for a
# module of another kind, which lies beside the usual one.
our_modules=$cache/none
module_make=() module_kind=''
our_module() {
    local tree=$cache/ours-build-$1 source
    our_modules=$cache/ours$module_kind-$1
    need_rust
    [ -e "$repo/linux/Makefile" ] || die "expected linux/Makefile, which makes our modules; there is none"
    rm -rf "$tree"
    step "the Rust object and the DKMS tree" nice make -C "$repo/linux" dkms DESTDIR="$tree" "${module_make[@]}"
    source=$(echo "$tree"/usr/src/ovpn-dco-*)
    step "building linux/ for $kernel_release" nice make -C "$source" KDIR="$kdir" "${kernel_make[@]}" "${module_make[@]}"
    step "make install for $kernel_release" make -C "$source" install KDIR="$kdir" "${kernel_make[@]}" INSTALL_MOD_PATH="$tree/installed" DEPMOD=true
    mkdir -p "$our_modules"
    rm -f "$our_modules"/*.ko
    find "$tree/installed/lib/modules/$kernel_release" -name '*.ko.xz' -exec xz -d {} +
    find "$tree/installed/lib/modules/$kernel_release" -name '*.ko' -exec cp {} "$our_modules/" \;
    [ "$(find "$our_modules" -name '*.ko' | wc -l)" = 3 ] || die "expected make install to install three modules, found: $(ls "$our_modules")"
}
