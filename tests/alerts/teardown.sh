#!/usr/bin/env bash
# Ends what was started for the suite. Runs always, also when a step failed or was cut off.
source "$REPO/tests/lib/common.sh"

stop_all "$SUITE_DIR/processes"
