#!/usr/bin/env bash
# Step:  from the answer to a revocation until dockerd, which asks the plugin, has answered the last request: how long that takes
# Limit: 900
# Needs: 05
# A host's STEP_DIR is its subshell's own, on purpose.
# shellcheck disable=SC2031
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/hosts.sh"
source "$REPO/tests/lib/world.sh"
source "$REPO/tests/lib/metre.sh"
world_use "$SUITE_DIR/days"
name=lab-new count=${DOCKWARDEN_REVOCATIONS:-20}

is_plugged() { agent_status_of "$1" | grep -qE '^ +RevocationFresh +True '; }

# What an agent of an earlier step said of itself would be taken for this one's.
on "$name" rm -rf /var/lib/dockwarden/agent
docker_as_kept "$name"
agent_put "$name"
authz_enable "$name"
settles 60 "$name: dockerd asks the agent" is_plugged "$name"
crowd "$count"
check "each of them is refused" timeout 800 python3 "$REPO/tests/foreign/revoke_latency.py" --requests \
    "$W_URL" "$W_ROOT" "$W/server/admin" "$(metre_address "$name"):2376" "${crowd_dirs[@]}"
note "$(<"$STEP_DIR/check.out")"
check "$name: unplugged" authz_disable "$name"
check "$name is given back" on "$name" dockwarden agent uninstall --yes
