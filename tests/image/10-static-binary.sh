#!/usr/bin/env bash
# Step:  the server, and the build for hosts, are each one static binary
# Limit: 2400
source "$REPO/tests/lib/common.sh"

# static_build KIND [ARGUMENT...]: a release build for musl, or the one that is there already, to $SUITE_DIR/KIND.
static_build() {
    local kind=$1 directory=$SUITE_DIR/$1
    shift
    mkdir -p "$directory"
    if [[ ${DOCKWARDEN_STATIC_DIR:-} ]]; then
        install -m 0755 "$DOCKWARDEN_STATIC_DIR/$kind/dockwarden" "$directory/dockwarden"
        return
    fi
    CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$REPO/target}" timeout 2000 cargo build --manifest-path "$REPO/Cargo.toml" \
        --release --locked --target x86_64-unknown-linux-musl --bin dockwarden "$@"
    install -m 0755 "${CARGO_TARGET_DIR:-$REPO/target}/x86_64-unknown-linux-musl/release/dockwarden" "$directory/dockwarden"
}

is_static() {
    file "$1"
    # A program that needs no loader and no library, at whatever address it is put.
    [[ $(file -b "$1") == *"static-pie linked"* || $(file -b "$1") == *"statically linked"* ]] &&
        ! readelf --program-headers "$1" | grep INTERP && ! readelf --dynamic "$1" | grep NEEDED
}

rustup target list --installed | grep -qx x86_64-unknown-linux-musl ||
    fail "the Rust target is installed" "rustup target add x86_64-unknown-linux-musl"
check "the build for hosts builds" static_build host --no-default-features --features agent,cli
check "everything builds" static_build full
for kind in host full; do
    program=$SUITE_DIR/$kind/dockwarden
    check "the $kind build is static" is_static "$program"
    contains "ldd says so, too" "static" "$(ldd "$program" 2>&1 || true)"
    contains "it runs" "dockwarden" "$("$program" --version)"
    note "$kind build: $(stat -c %s "$program") bytes"
done
refused "the build for hosts has no server" 2 'unrecognized subcommand' "$SUITE_DIR/host/dockwarden" server init
