# shellcheck shell=bash
# Debian packages, unpacked and never installed: what scripts/linux-vm is made of. Sourced after common.sh.
#
# Mirrors are the machine's own: apt is asked where its suite comes from, and other suites are taken from there too. Each
# release has a private apt root in $cache/apt, so that nothing of the machine's package state is read or changed. Once
# unpacked, a set stays as it is until `scripts/linux-vm --refresh`.

# shellcheck disable=SC2034 # used by the scripts
cache=$target/linux

# The machine's own mirror of what kind: debian or debian-security.
mirror() {
    local own found
    own=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    [ "$1" = debian ] || own=$own-security
    found=$(apt-get indextargets --format '$(SITE) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null |
        awk -v own="$own" '$2 == own && $3 == "main" { print $1; exit }')
    [ -n "$found" ] || return 1
    echo "$found"
}

# apt_in RELEASE PROGRAM ARGUMENT...: one of apt's programs, in the release's private root.
apt_in() {
    local root=$cache/apt/$1 program=$2
    shift 2
    "$program" -o Dir::State="$root" -o Dir::State::status="$root/status" -o Dir::Cache="$root/cache" \
        -o Dir::Etc::sourcelist="$root/sources.list" -o Dir::Etc::sourceparts="$root/none" \
        -o Dir::Etc::preferences="$root/none/preferences" -o Dir::Etc::preferencesparts="$root/none" \
        -o APT::Install-Recommends=false -o Acquire::Languages=none -o Acquire::Retries=3 -o Debug::NoLocking=true \
        -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false -o APT::Sandbox::User=root \
        -o APT::Default-Release="" "$@"
}

# apt_root RELEASE: makes the private root of a release, with its security updates and backports.
apt_root() {
    local release=$1 root=$cache/apt/$1 site security options=''
    [ ! -e "$root/ready" ] || return 0
    site=$(mirror debian) || die "expected apt to know a mirror of this Debian release, found none; run apt-get update?"
    [ ! -e /usr/share/keyrings/debian-archive-keyring.gpg ] ||
        options='[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]'
    rm -rf "$root"
    mkdir -p "$root/lists/partial" "$root/cache/archives/partial" "$root/none"
    : >"$root/status"
    {
        echo "deb $options $site $release main"
        echo "deb $options $site $release-backports main"
        if security=$(mirror debian-security); then echo "deb $options $security $release-security main"; fi
    } >"$root/sources.list"
    step "package lists of $release" apt_in "$release" apt-get update
    touch "$root/ready"
}

# unpack DEB FOLDER: with /bin, /lib and /sbin in /usr, as the releases themselves have it.
unpack() {
    local top
    for top in bin sbin lib lib64; do
        if [ ! -e "$2/$top" ]; then
            mkdir -p "$2/usr/$top"
            ln -s "usr/$top" "$2/$top"
        fi
    done
    dpkg-deb --fsys-tarfile "$1" | tar --extract --keep-directory-symlink --no-same-owner --directory "$2"
}

# package_set NAME RELEASE SUITE closure|only PACKAGE...: unpacks packages into $cache/NAME, with all they depend on
# (closure) or alone (only). A package may carry its suite: openvpn/trixie-backports. SUITE may be -.
package_set() {
    local name=$1 release=$2 suite=$3 how=$4 folder=$cache/$1 deb
    shift 4
    if [ -e "$folder/.complete" ] && [ "$(cat "$folder/.complete")" = "$*" ]; then return 0; fi
    apt_root "$release"
    rm -rf "$folder" "$folder.debs"
    mkdir -p "$folder" "$folder.debs/partial"
    local options=()
    [ "$suite" = - ] || options=(-t "$suite")
    case $how in
        closure)
            step "downloading $name" apt_in "$release" apt-get "${options[@]}" -o Dir::Cache::archives="$folder.debs" \
                install --yes --download-only --no-install-recommends "$@"
            ;;
        only) (cd "$folder.debs" && step "downloading $name" apt_in "$release" apt-get "${options[@]}" download "$@") ;;
    esac
    say "unpacking $name ..."
    for deb in "$folder.debs"/*.deb; do
        unpack "$deb" "$folder"
        basename "$deb" >>"$folder/.packages"
    done
    rm -rf "$folder.debs"
    echo "$*" >"$folder/.complete"
}

# loader FOLDER: the dynamic loader of an unpacked set, as words to put before a program.
loader() { echo "$1/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 --library-path $(library_path "$1")"; }
library_path() { echo "$1/usr/lib/x86_64-linux-gnu:$1/usr/lib"; }

# libraries FOLDER PROGRAM: the paths of the libraries it needs, all of them inside FOLDER.
libraries() {
    # shellcheck disable=SC2046 # words
    $(loader "$1") --list "$2" | awk '$2 == "=>" { print $3 }' | sort -u
}

# own_loader FOLDER FILE...: makes the programs among the files start with FOLDER's own loader and libraries, wherever
# they are called from. For compilers, which start further programs.
own_loader() {
    local folder=$1 file
    shift
    for file in "$@"; do
        [ -f "$file" ] && [ ! -L "$file" ] || continue
        patchelf --print-interpreter "$file" >/dev/null 2>&1 || continue
        patchelf --set-interpreter "$folder/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" "$file"
        patchelf --force-rpath --set-rpath "$(library_path "$folder")" "$file"
    done
}
