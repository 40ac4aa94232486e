#!/usr/bin/env bash
# Makes a checkout ready to run: a virtual environment with the project in it, an etcd that a node can drive, and for tests a software token.
#
#   deploy/setup.sh [extras]      extras as in pyproject.toml; default: dev
#
# Safe to run again: what is there already is left alone, and then it says nothing. PYTHON names another interpreter (default: python3).
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
extras="${1:-dev}"
python="${PYTHON:-python3}"
venv=".venv"
stamp="$venv/.installed-$extras"
log="$venv/setup.log"

say() { printf 'setup: %s\n' "$*" >&2; }

fail() {
    say "$*"
    exit 1
}

# Runs a command as root, directly or through sudo; fails quietly when neither is possible.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        return 1
    fi
}

# Installs Debian packages without starting the services they bring: every node starts its own etcd member.
apt_install() {
    command -v apt-get >/dev/null || return 1
    say "installing $* with apt-get"
    local without_services='
        policy=/usr/sbin/policy-rc.d
        if [ ! -e "$policy" ]; then
            printf "#!/bin/sh\nexit 101\n" >"$policy"
            chmod 755 "$policy"
            trap "rm -f $policy" EXIT
        fi
        export DEBIAN_FRONTEND=noninteractive
        apt-get install -y --no-install-recommends "$@" ||
            { apt-get update && apt-get install -y --no-install-recommends "$@"; }'
    as_root sh -c "$without_services" sh "$@" >&2
}

check_python() {
    command -v "$python" >/dev/null || fail "$python is not on PATH; install Python 3.11 or newer"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$("$python" --version) is too old; Python 3.11 or newer is needed (set PYTHON to name it)"
}

make_venv() {
    if [ -x "$venv/bin/python" ] && "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        return
    fi
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        apt_install python3-venv || fail "Python's venv module is missing; install it: sudo apt-get install python3-venv"
    fi
    say "making the virtual environment $venv"
    rm -rf "$venv"
    "$python" -m venv "$venv"
}

install_project() {
    local wanted
    wanted="$(sha256sum <pyproject.toml)"
    if [ -e "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
        return
    fi
    say "installing the project and what it stands on (extras: $extras)"
    if ! "$venv/bin/python" -m pip install --disable-pip-version-check --editable ".[$extras]" >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        fail "the installation failed; the whole of it is in $log"
    fi
    printf '%s\n' "$wanted" >"$stamp"
}

ensure_etcd() {
    if "$venv/bin/sento-node" check-etcd >/dev/null 2>&1; then
        return
    fi
    if ! command -v etcd >/dev/null; then
        apt_install etcd-server || say "etcd could not be installed here"
    fi
    if "$venv/bin/sento-node" check-etcd >&2; then
        say "the package's own etcd service is not used; where it runs: sudo systemctl disable --now etcd"
    else
        fail "without a good etcd no site can start"
    fi
}

# Stands in for a hardware token in the tests and in the story of keys; no node and no client needs it, so a computer without it is ready all the same.
ensure_softhsm() {
    if [ "$extras" != dev ] || command -v softhsm2-util >/dev/null; then
        return
    fi
    apt_install softhsm2 || say "softhsm2 could not be installed here; tests of tokens will be skipped: sudo apt-get install softhsm2"
}

check_python
make_venv
install_project
ensure_etcd
ensure_softhsm
