#!/usr/bin/env bash
# Ends everything that the steps started for the whole suite. Runs always, also when a step failed or was cut off.
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/hosts.sh"

# The end of its first process is the end of a host: nobody needs an orderly one.
for root in "$SUITE_DIR"/hosts/*/; do
    if pid=$(host_pid "$(basename "$root")" 2>/dev/null); then kill -s KILL "$pid" || true; fi
done
hosts_remove_all
stop_all "$SUITE_DIR/processes"
hosts_bridge_down
unmount_below "$SUITE_DIR"
unmount_below "$RUN_DIR"
rm -rf --one-file-system "$SUITE_DIR/hosts" "$SUITE_DIR/kept"
if [[ -e $SUITE_DIR/hosts-network ]] && ip link show "$HOSTS_BRIDGE" >/dev/null 2>&1; then fail "the bridge $HOSTS_BRIDGE is gone"; fi
