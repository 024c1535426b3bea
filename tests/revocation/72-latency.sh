#!/usr/bin/env bash
# Step:  from the answer to a revocation until the last stream is cut and the last request refused: under a second, and how long
# Limit: 600
# Needs: 50
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"
source "$REPO/tests/lib/world.sh"
# Of 20 only the middle says much; DOCKWARDEN_REVOCATIONS=200 for numbers to write down, on a machine that does nothing else.
count=${DOCKWARDEN_REVOCATIONS:-20}
world_with_host "$STEP_DIR/world"
crowd "$count"
check "each of them is cut off and refused" timeout 500 python3 "$REPO/tests/foreign/revoke_latency.py" \
    "$W_URL" "$W_ROOT" "$W/server/admin" "$port" "${crowd_dirs[@]}"
note "$(<"$STEP_DIR/check.out")"
