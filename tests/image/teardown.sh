#!/usr/bin/env bash
# Ends everything that the steps started for the whole suite. Runs always, also when a step failed or was cut off.
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/hosts.sh"

hosts_remove_all
hosts_bridge_down
stop_all "$SUITE_DIR/processes"
