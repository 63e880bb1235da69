# What building, showing and testing Gatehound needs, and the checks for it.
# Sourced by tests/demo, tests/run, tests/root, .ci/run and .ci/release from the root of the checkout, none of which has a list of its own.
# shellcheck shell=bash disable=SC2034

# gcc and libc6-dev link.
build_needs=(gcc libc6-dev)
# What the throwaway machine boots.
machine_needs=(systemd dbus-user-session libpam-systemd iproute2 util-linux)
# pivot_root(8) left util-linux after Debian 12.
command -v pivot_root >/dev/null || [[ -x /usr/sbin/pivot_root ]] || machine_needs+=(util-linux-extra)
# The distributions whose roots `tests/run --root` boots, what makes them, and what is in them; debootstrap picks no
# alternative of a dependency, so dbus is named. man-db is what systemd-analyze looks for manual pages with.
suites=(bullseye bookworm trixie sid jammy noble)
root_needs=(debootstrap debian-archive-keyring)
root_packages=(dbus dbus-user-session iproute2 libpam-systemd man-db procps rpm systemd tzdata util-linux)
# What Debian's sid needs besides to build for arm64 and to run what was built: Rust with the standard library of both,
# a compiler for each, and qemu.
arm64_packages=(cargo gcc gcc-aarch64-linux-gnu git libc6:arm64 libc6-dev libc6-dev-arm64-cross libstd-rust-dev:arm64 qemu-user rustc)
# How a root of Debian gets them.
# shellcheck disable=SC2016
arm64_install='dpkg --add-architecture arm64
apt-get update
apt-get install --yes --no-install-recommends "$@"'
# Where the root has an older C library than this machine: a linker for it.
zig_needs=(python3-venv)
zig_tools=(cargo-zigbuild==0.24.1 ziglang==0.17.1)
# procps has kill(1), which trials call; the shells are for what they complete; prometheus has promtool(1).
test_needs=(dbus-daemon procps openssl groff-base man-db bash zsh fish prometheus)
# What the packages are built and read with.
package_needs=(binutils dpkg-dev gzip rpm)
# Debian has no packages of these.
package_tools=(cargo-deb@3.8.0 cargo-generate-rpm@0.21.1)
# What .ci/release calls besides.
release_needs=(binutils dpkg-dev git)
# What the shell watchdog calls that Gatehound is measured beside.
measure_needs=(curl)

# rustup puts cargo there, and on the PATH from the next login on.
cargo_bin=${CARGO_HOME:-${HOME-}/.cargo}/bin
[[ :$PATH: == *:$cargo_bin:* ]] || PATH=$cargo_bin:$PATH

say() {
    echo "$0: $*" >&2
}

# Prints what helps where there is no Rust or one that is too old.
check_rust() {
    local line wanted='' found version='([0-9]+)\.([0-9]+)' get
    while read -r line; do
        [[ $line != rust-version* ]] || wanted=$line
    done <Cargo.toml
    [[ $wanted =~ $version ]]
    wanted=${BASH_REMATCH[0]}
    local major=${BASH_REMATCH[1]} minor=${BASH_REMATCH[2]}
    if command -v cargo >/dev/null && found=$(rustc --version 2>/dev/null) && [[ $found =~ $version ]]; then
        ((BASH_REMATCH[1] < major || (BASH_REMATCH[1] == major && BASH_REMATCH[2] < minor))) || return 0
        say "Rust ${BASH_REMATCH[0]} is too old; $wanted or later is needed:"
    else
        say "Rust $wanted or later is needed and not there:"
    fi
    if command -v rustup >/dev/null; then
        echo "rustup update stable && rustup default stable" >&2
    else
        get="curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y"
        if ! command -v curl >/dev/null; then
            get="apt-get install curl && $get"
            ((EUID == 0)) || get="sudo $get"
        fi
        echo "$get" >&2
    fi
    return 1
}

# Sets `missing` to those of these Debian packages that are not installed; any C compiler is as good as gcc.
find_missing() {
    local package installed
    missing=()
    if ! command -v dpkg-query >/dev/null; then
        say "this is not Debian; not looked for: $*"
        return
    fi
    installed=$(dpkg-query --show --showformat='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null) || true
    for package; do
        [[ $package != gcc ]] || ! command -v cc >/dev/null || continue
        [[ $'\n'$installed$'\n' == *$'\n'"installed $package"$'\n'* ]] || missing+=("$package")
    done
}

# Sees to Rust and these Debian packages: root gets what is missing, anybody else the line that installs it.
need() {
    local there=1
    check_rust || there=0
    find_missing "$@"
    if ((${#missing[@]} && EUID)); then
        say "Debian packages are missing:"
        echo "sudo apt-get install ${missing[*]}" >&2
        there=0
    fi
    ((there)) || exit 1
    if ((${#missing[@]})); then
        say "installing ${missing[*]}"
        export DEBIAN_FRONTEND=noninteractive
        apt-get update
        apt-get install --yes --no-install-recommends "${missing[@]}"
    fi
}

# Installs a tool of cargo's, given as name@version, unless it is there.
# Unoptimised, on two cores, cargo-deny is built in a minute and a half, cargo-deb in one, cargo-generate-rpm in two
# and a half.
need_tool() {
    local name=${1%@*}
    cargo "${name#cargo-}" --version >/dev/null 2>&1 || cargo install --locked --debug "$1"
}

# Sets `cargo_test` to what builds tests that run in the root of a distribution: they need no newer C library than it has.
build_for() {
    local here there
    here=$(getconf GNU_LIBC_VERSION)
    here=${here#* }
    there=$(dpkg-query --admindir="$1/var/lib/dpkg" --show --showformat='${Version}' libc6)
    there=${there%%-*}
    cargo_test=(cargo test)
    if [[ $(printf '%s\n' "$here" "$there" | sort --version-sort | head -n 1) != "$here" ]]; then
        need_zig
        cargo_test=(cargo-zigbuild test --target "$(uname -m)-unknown-linux-gnu.$there")
    fi
}

# Runs a command in a root, with this machine's /proc and /dev. Before it: options of unshare(1), then the root, then
# `--bind FROM TO` for folders that it gets below /mnt. Nothing that is mounted for it outlives it.
in_root() {
    local options=()
    while [[ $1 == --* ]]; do
        options+=("$1")
        shift
    done
    # shellcheck disable=SC2016
    unshare --mount --pid --fork --kill-child "${options[@]}" bash -ec '
        root=$1
        shift
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        mount -t tmpfs tmpfs "$root/tmp"
        mount -t tmpfs tmpfs "$root/mnt"
        while [[ $1 == --bind ]]; do
            mkdir -p "$root/mnt/$3"
            mount --bind "$2" "$root/mnt/$3"
            shift 3
        done
        exec chroot "$root" env --ignore-environment HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C TZ=UTC "$@"' \
        in_root "$@"
}

# Runs a command in the root that builds for arm64, in a folder with sources; programs of arm64 run there, under qemu.
# After options of unshare(1): the folder, the folder for what is built, the command. Nothing is downloaded in there.
in_arm64() {
    local options=() root zig
    while [[ $1 == --* ]]; do
        options+=("$1")
        shift
    done
    root=$(tests/root arm64)
    need_zig
    zig=${CARGO_TARGET_DIR:-target}/zig
    cargo fetch --quiet --locked --target aarch64-unknown-linux-gnu
    mkdir -p "$2"
    in_root "${options[@]}" "$root" --bind "$1" source --bind "$2" target --bind "${CARGO_HOME:-$HOME/.cargo}" cargo \
        --bind "$zig/bin" bin --bind "$(echo "$zig"/lib/python3*/site-packages/ziglang)" zig \
        env --chdir=/mnt/source CARGO_HOME=/mnt/cargo CARGO_NET_OFFLINE=true CARGO_TARGET_DIR=/mnt/target \
        CARGO_ZIGBUILD_ZIG_PATH=/mnt/zig/zig PATH=/usr/sbin:/usr/bin:/mnt/bin "${@:3}"
}

# Puts zig and cargo-zigbuild on the PATH, in a folder of their own.
need_zig() {
    local zig=${CARGO_TARGET_DIR:-target}/zig
    if [[ $(cat "$zig/tools" 2>/dev/null) != "${zig_tools[*]}" ]]; then
        need "${zig_needs[@]}"
        python3 -m venv --clear "$zig"
        "$zig/bin/python" -m pip install --quiet --disable-pip-version-check "${zig_tools[@]}"
        echo "${zig_tools[*]}" >"$zig/tools"
    fi
    PATH=$(cd "$zig/bin" && pwd):$PATH
}
