#!/usr/bin/env bash
# Ends everything that the steps started for the whole suite. Runs always, also when a step failed or was cut off.
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"
source "$REPO/tests/lib/hosts.sh"

dockerd_stop
hosts_remove_all
stop_all "$SUITE_DIR/processes"
hosts_bridge_down

# What dockerd leaves mounted when it is killed.
unmount_below "$SUITE_DIR"
unmount_below "$RUN_DIR"
rm -rf --one-file-system "$SUITE_DIR/dockerd" "$SUITE_DIR/hosts"
if [[ -e $SUITE_DIR/hosts-network ]] && ip link show "$HOSTS_BRIDGE" >/dev/null 2>&1; then fail "the bridge $HOSTS_BRIDGE is gone"; fi
