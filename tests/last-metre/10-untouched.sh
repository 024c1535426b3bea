#!/usr/bin/env bash
# Step:  on three systems whose Docker was never touched, enrolling is enough: clients get in, strangers do not, containers run on
# Limit: 240
# Needs: 05
# A host's STEP_DIR is its subshell's own, on purpose; what stands in single quotes is expanded on the host.
# shellcheck disable=SC2030,SC2031,SC2016
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"
source "$REPO/tests/lib/forge.sh"
source "$REPO/tests/lib/hosts.sh"
source "$REPO/tests/lib/world.sh"
source "$REPO/tests/lib/metre.sh"
world_use "$SUITE_DIR/minute"

enrol() {
    local name=$1 pids starts address
    address=$(metre_address "$name")
    pids=$(container_pids "$name")
    starts=$(dockerd_starts "$name")
    start "local-$name" "$REPO/tests/lib/renewal-load" calls "$STEP_DIR/local" \
        nsenter --target "$(host_pid "$name")" --all -- docker ps

    agent_put "$name"
    check "$name: the unit starts the agent" on "$name" systemctl start dockwarden-agent
    settles 60 "docker -H tcp://$address:2376 --tlsverify works with a client from client enroll" serves_on "$name"
    equal "it reaches the engine of $name" "$(engine_version "$name")" \
        "$(docker_tls "$W/clients/operator" "$name" version --format '{{.Server.Version}}')"
    equal "a container runs through it" "$name" \
        "$(docker_tls "$W/clients/operator" "$name" run --rm --net=host busybox:test cat /proc/sys/kernel/hostname)"
    check "without a certificate, or without TLS, nobody is let in" stranger_is_refused "$name"
    forge_self_signed "$STEP_DIR/forged" operator
    cp "$W_ROOT" "$STEP_DIR/forged/ca.pem"
    refused "nor with one that somebody made for himself" any 'certificate|tls' docker_tls "$STEP_DIR/forged" "$name" version
    equal "dockerd was started once more, not twice" $((starts + 1)) "$(dockerd_starts "$name")"
    equal "the containers run on, same processes" "$pids" "$(container_pids "$name")"
    for container in alone linked; do
        check "$container counted all the time" test "$(counting_gap "$name" "$container")" -lt 200
    done
    # What systemd holds for dockerd queues while it restarts.
    equal "docker ps worked throughout on $name" "" "$(grep -v '^ok$' "$STEP_DIR/local" | head -n 3 || true)"
    contains "agent status says that it serves" Serving "$(agent_status_of "$name")"
    stop "local-$name"
}

side_by_side enrol "${METRE_RENEW[@]}"
contains "the server lists them" renew-new "$(admin host ls)"

# The certificates of these hosts live a minute: from here on they renew while the next steps do their work;
# 60-renewals.sh says what came of it.
for name in "${METRE_RENEW[@]}"; do
    container_pids "$name" >"$SUITE_DIR/pids-$name"
    dockerd_starts "$name" >"$SUITE_DIR/starts-$name"
    start_for_suite "watch-$name" python3 "$REPO/tests/foreign/api_gap.py" watch "$(metre_address "$name")" 2376 \
        "$SUITE_DIR/renewals-$name" "$W/clients/operator"
done
