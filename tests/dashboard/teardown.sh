#!/usr/bin/env bash
# Ends everything that the steps started for the whole suite. Runs always, also when a step failed or was cut off.
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"
source "$REPO/tests/lib/hosts.sh"

dockerd_stop
stop_all "$SUITE_DIR/processes"

# What dockerd leaves mounted when it is killed.
unmount_below "$SUITE_DIR"
unmount_below "$RUN_DIR"
rm -rf --one-file-system "$SUITE_DIR/dockerd"
