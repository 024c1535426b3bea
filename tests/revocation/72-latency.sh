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
token_new "$W/tokens/crowd" client 'crowd-*' --role admin --uses "$count"
clients=()
for ((number = 1; number <= count; number++)); do
    name=crowd-$number
    clients+=("$W/clients/$name")
    dockwarden client enroll --server "$W_URL" --token-file "$W/tokens/crowd" --name "$name" --cert-path "$W/clients/$name" >/dev/null
done
ok "$count clients enrol"
check "each of them is cut off and refused" timeout 500 python3 "$REPO/tests/foreign/revoke_latency.py" \
    "$W_URL" "$W_ROOT" "$W/server/admin" "$port" "${clients[@]}"
note "$(<"$STEP_DIR/check.out")"
