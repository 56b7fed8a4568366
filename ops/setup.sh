# Sourced by the scripts in ops/: installs what Debian has and Triad needs, configures and builds.
# shellcheck shell=bash

say() { printf '%s\n' "$*" >&2; }
die() { say "$0: $*"; exit 1; }

# packages_missing GROUP...: the packages of these groups that are not installed.
packages_missing() {
    local group package _
    while read -r group package _; do
        case " $* " in *" $group "*) ;; *) continue ;; esac
        dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
            printf '%s\n' "$package"
    done < <(grep -v '^#' "$TRIAD_TOP/ops/packages")
}

# need_packages GROUP...: install what is missing as root or through sudo; otherwise print the line to
# run and stop with status 2.
need_packages() {
    local missing apt
    command -v dpkg-query >/dev/null || die "this script sets up Debian 12; elsewhere install by hand what ops/packages lists"
    missing=$(packages_missing "$@" | tr '\n' ' ')
    [ -z "$missing" ] && return 0
    apt="apt-get install -y --no-install-recommends $missing"
    if [ "$(id -u)" = 0 ]; then
        set -- env
    elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
        set -- sudo env
    else
        say "Packages are missing, and this is neither root nor sudo. Ask an administrator to run:"
        say "    apt-get update && $apt"
        exit 2
    fi
    say "installing: $missing"
    "$@" DEBIAN_FRONTEND=noninteractive apt-get update -qq >&2 || die "apt-get update failed"
    # shellcheck disable=SC2086
    "$@" DEBIAN_FRONTEND=noninteractive $apt -qq >&2 || die "installing packages failed: $apt"
}

# build PRESET [TARGET...]: configure (a second when nothing changed) and build what changed.
build() {
    local preset=$1 log
    shift
    log="$TRIAD_TOP/build/$preset.log"
    mkdir -p "$TRIAD_TOP/build"
    (cd "$TRIAD_TOP" && cmake --preset "$preset") >"$log" 2>&1 ||
        { tail -n 30 "$log" >&2; die "cmake --preset $preset failed (whole log: build/$preset.log)"; }
    cmake --build "$TRIAD_TOP/build/$preset" ${1:+--target "$@"} >"$log" 2>&1 ||
        { grep -E -A12 'error|FAILED' "$log" | head -n 60 >&2; die "building preset $preset failed (whole log: build/$preset.log)"; }
}
