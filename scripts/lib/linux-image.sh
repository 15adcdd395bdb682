# shellcheck shell=bash
# The initramfs of scripts/linux-vm: a base that is cached per kernel, and an overlay that each run makes: the modules under
# test, linux/vm/ and the keys. The kernel unpacks one after the other. Sourced after linux-kernel.sh.

# Programs of the base, from Debian 12; OpenVPN comes twice, each with its own libraries.
readonly programs=(bin/bash bin/ip sbin/tc sbin/bridge bin/ss bin/ping usr/bin/iperf3 bin/kmod usr/sbin/nft usr/sbin/ethtool)
# Kernel modules that the scenarios may want; those they depend on come along, and those a kernel has built in or not are passed over.
readonly image_modules=(tun veth bridge dummy vrf udp_tunnel ip6_udp_tunnel virtio_net virtio_pci e1000 9pnet_virtio
    gcm ghash-generic ccm ctr cryptd crypto_simd aesni-intel ghash-clmulni-intel chacha20poly1305 chacha-x86_64 chacha_generic
    poly1305-x86_64 poly1305_generic aes_generic aes chacha authenc seqiv af_packet ipv6 nf_tables nft_chain_nat nft_ct nft_masq nft_limit
    crc32c_generic nft_counter nft_compat nf_conntrack nft_fib_inet sch_netem sch_htb sch_ingress sch_fq_codel cls_u32 cls_matchall act_mirred act_gact em_u32)

userland() {
    package_set userland bookworm - closure openvpn iperf3 iproute2 iputils-ping kmod bash busybox-static nftables ethtool
    package_set openvpn-2.7 trixie - closure openvpn/trixie-backports
}

# put_program FOLDER PROGRAM TREE PLACE: the program and its libraries, at PLACE of the tree, started by its own loader.
put_program() {
    local folder=$1 program=$2 tree=$3 place=$4 file
    mkdir -p "$tree$place"
    for file in $(libraries "$folder" "$folder/$program"); do cp -Ln "$file" "$tree$place/"; done
    cp -Ln "$folder/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" "$tree$place/"
    cp -L "$folder/$program" "$tree$place/"
}

# base_image SERIES: $base is its file, $base_tree what is in it.
base='' base_tree=''
base_image() {
    local folder=$cache/image-$1 stamp
    base=$folder/base.cpio base_tree=$folder/tree
    stamp=$kernel_release:${programs[*]}:${image_modules[*]}:$(sha256sum "${BASH_SOURCE[0]}" | cut -c1-16)
    if [ -e "$base" ] && [ "$(cat "$folder/stamp")" = "$stamp" ]; then return 0; fi
    need cpio:cpio kmod:kmod xz:xz-utils
    userland
    say "making the base of the initramfs for $kernel_release ..."
    rm -rf "$folder"
    mkdir -p "$base_tree"/{usr/bin,usr/lib,usr/lib64,bbin,proc,sys,dev,run,tmp,etc,openvpn,var/run} "$folder"
    local top program
    ln -s usr/bin "$base_tree/bin"
    ln -s usr/bin "$base_tree/sbin"
    ln -s bin "$base_tree/usr/sbin"
    ln -s usr/lib "$base_tree/lib"
    ln -s usr/lib64 "$base_tree/lib64"
    for program in "${programs[@]}"; do
        put_program "$cache/userland" "$program" "$base_tree" /usr/lib/rig
        mv "$base_tree/usr/lib/rig/$(basename "$program")" "$base_tree/usr/bin/"
    done
    # Programs of the base find their libraries as usual: the loader at its place, the path in its cache's stead.
    ln -s ../lib/rig/ld-linux-x86-64.so.2 "$base_tree/usr/lib64/ld-linux-x86-64.so.2"
    ln -s rig "$base_tree/usr/lib/x86_64-linux-gnu"
    for top in modprobe insmod rmmod lsmod modinfo depmod; do ln -s kmod "$base_tree/usr/bin/$top"; done
    ln -s bash "$base_tree/usr/bin/sh"
    cp "$cache/userland/bin/busybox" "$base_tree/bbin/busybox"
    put_openvpn 2.6 "$cache/userland"
    put_openvpn 2.7 "$cache/openvpn-2.7"
    printf 'root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$base_tree/etc/passwd"
    printf 'root:x:0:\nnogroup:x:65534:\n' >"$base_tree/etc/group"
    ln -s /proc/mounts "$base_tree/etc/mtab"
    put_kernel_modules
    pack "$base_tree" "$base"
    say "the base is $(du -m "$base" | cut -f1) MB"
    echo "$stamp" >"$folder/stamp"
}

# put_openvpn VERSION FOLDER: as /openvpn/VERSION/openvpn.
put_openvpn() {
    local place=/openvpn/$1
    put_program "$2" usr/sbin/openvpn "$base_tree" "$place/lib"
    mv "$base_tree$place/lib/openvpn" "$base_tree$place/openvpn.real"
    cat >"$base_tree$place/openvpn" <<WRAPPER
#!/bin/bash
exec $place/lib/ld-linux-x86-64.so.2 --library-path $place/lib $place/openvpn.real "\$@"
WRAPPER
    chmod 755 "$base_tree$place/openvpn"
}

put_kernel_modules() {
    local modules=$kernel_root/lib/modules/$kernel_release to=$base_tree/usr/lib/modules/$kernel_release file
    mkdir -p "$to"
    cp "$modules"/modules.{builtin,builtin.modinfo,order} "$to/"
    # A module's name has _ where its file may have -.
    for file in $(awk -v wanted="${image_modules[*]}" '
        function name(path) { sub(/.*\//, "", path); sub(/\.ko.*/, "", path); gsub(/-/, "_", path); return path }
        BEGIN { gsub(/-/, "_", wanted); split(wanted, list, " "); for (i in list) want[list[i]] = 1 }
        { path = $1; sub(/:$/, "", path); if (name(path) in want) { print path; for (i = 2; i <= NF; i++) print $i } }
        ' "$modules/modules.dep" | sort -u); do
        mkdir -p "$to/$(dirname "$file")"
        cp "$modules/$file" "$to/$file"
        case $file in
            *.xz) xz -d "$to/$file" ;;
            *.zst) zstd -q -d --rm "$to/$file" ;;
        esac
    done
    depmod -b "$base_tree/usr" "$kernel_release"
}

# pack TREE FILE: as the kernel wants it. Not compressed: unpacking would cost the emulated CPU more than it saves.
pack() { (cd "$1" && find . -print0 | sort -z | cpio --null --create --format=newc --owner=0:0 --quiet) >"$2"; }

# overlay FILE [MODULE-FILE...]: linux/vm, keys, the run's configuration in $run/rig.conf, what is in $run/modules, and modules
# that modprobe and the kernel find by themselves.
overlay() {
    local file=$1 tree=$run/overlay modules=usr/lib/modules/$kernel_release
    shift
    rm -rf "$tree"
    mkdir -p "$tree/rig" "$tree/$modules"
    cp -r "$repo/linux/vm/." "$tree/rig/"
    cp "$run/rig.conf" "$tree/rig/rig.conf"
    [ ! -d "$run/modules" ] || cp -r "$run/modules" "$tree/rig/modules"
    mkdir -p "$tree/rig/bin"
    need /usr/include/openssl/evp.h:libssl-dev
    put_tool "$tree" nlfuzz "$repo"/linux/vm/nlfuzz/*.c
    put_tool "$tree" wirefuzz "$repo"/linux/vm/{wirefuzz/*,nlfuzz/nl,nlfuzz/request}.c -lcrypto
    put_tool "$tree" nlask "$repo"/linux/vm/{nlask,nlfuzz/nl,nlfuzz/request}.c
    put_tool "$tree" epochfar "$repo"/linux/vm/epochfar.c -lcrypto
    put_tool "$tree" trackers "$repo"/linux/vm/trackers/*.c "$repo"/linux/vm/nlfuzz/{nl,request}.c
    need_rust
    # Static: the image has none of this machine's libraries.
    step "building dco-cli-linux" nice cargo rustc --manifest-path "$repo/Cargo.toml" --package dco-cli-linux --bin dco-cli-linux \
        -- -C target-feature=+crt-static -C strip=symbols
    cp "$target/debug/dco-cli-linux" "$tree/rig/bin/"
    cp -r "$cache/keys" "$tree/keys"
    cat >"$tree/init" <<'INIT'
#!/bbin/busybox sh
exec /bin/bash /rig/init
INIT
    chmod 755 "$tree/init"
    cp -al "$base_tree/$modules/." "$tree/$modules/"
    rm -f "$tree/$modules"/modules.*
    cp "$base_tree/$modules"/modules.{builtin,builtin.modinfo,order} "$tree/$modules/"
    if [ $# -gt 0 ]; then
        mkdir -p "$tree/$modules/updates"
        cp "$@" "$tree/$modules/updates/"
    fi
    depmod -b "$tree/usr" "$kernel_release"
    # The base has these already.
    rm -rf "${tree:?}/$modules/kernel"
    pack "$tree" "$file"
}

# put_tool TREE NAME FILE...: one of the programs that are built with the machine's cc. Static: the linker has words about libcrypto's
# plugins and name look-ups, which nobody uses.
put_tool() {
    local tree=$1 name=$2
    need cc:gcc
    shift 2
    cc -std=gnu11 -D_GNU_SOURCE -O2 -Wall -Wextra -Wno-missing-field-initializers -Werror -static -pthread \
        -o "$tree/rig/bin/$name" "$@" 2>"$run/logs/$name-build.log" ||
        die "cc could not build linux/vm/$name: $(grep -m 3 error "$run/logs/$name-build.log" || tail -n 3 "$run/logs/$name-build.log")"
}

# Throwaway keys: an authority, a server and three clients, good for ten years.
make_keys() {
    local keys=$cache/keys name purpose
    [ ! -e "$keys/.complete" ] || return 0
    need openssl:openssl
    rm -rf "$keys"
    mkdir -p "$keys"
    (
        cd "$keys"
        key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }
        key ca
        openssl req -x509 -new -key ca.key -subj /CN=rig-ca -days 3650 -out ca.crt \
            -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
        for name in server client1 client2 client3; do
            key "$name"
            purpose=clientAuth
            [ "$name" != server ] || purpose=serverAuth
            openssl req -new -key "$name.key" -subj "/CN=$name" -out "$name.csr"
            openssl x509 -req -in "$name.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -out "$name.crt" \
                -extfile <(printf 'basicConstraints=CA:FALSE\nkeyUsage=digitalSignature,keyAgreement\nextendedKeyUsage=%s\n' $purpose)
        done
        rm -f ./*.csr ca.key
    ) >"$run/logs/keys.log" 2>&1 || die "openssl could not make the keys"
    touch "$keys/.complete"
}

# The kernel's own ovpn, which only `--module c` loads: the base has it not.
in_tree_module() {
    local file
    file=$(find "$kernel_root/lib/modules/$kernel_release/kernel" -name 'ovpn.ko*' | head -n 1)
    [ -n "$file" ] || die "expected $kernel_release to have ovpn.ko, found none"
    case $file in
        *.xz) xz -dc "$file" >"$run/ovpn.ko" ;;
        *.zst) zstd -q -dc "$file" >"$run/ovpn.ko" ;;
        *) cp "$file" "$run/ovpn.ko" ;;
    esac
    echo "$run/ovpn.ko"
}
