#!/usr/bin/env bash
# Step:  three real Debian systems boot, each with its own systemd, engine and address, and run containers
# Limit: 900
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"
source "$REPO/tests/lib/hosts.sh"

boot() {
    local name=$1 suite=$2 address=$3
    host_create "$name" "$suite" "$address"
    host_boot "$name"
    settles 30 "$name ($suite) answers from $address" on_host "$name" docker version
    on_host "$name" docker import - busybox:test <"$SUITE_DIR/busybox.tar"
    equal "a container runs on it" "hello" "$(on_host "$name" docker run --rm busybox:test echo hello)"
    note "engine $(on_host "$name" docker version --format '{{.Server.Version}}'), $(on_host "$name" systemctl --version | head -n 1)"
}

[[ -e $SUITE_DIR/busybox.tar ]] || busybox_image "$SUITE_DIR/busybox.tar"
hosts_bridge_up
for host in "${HOSTS[@]}"; do
    # shellcheck disable=SC2086 # three words
    boot $host
done
