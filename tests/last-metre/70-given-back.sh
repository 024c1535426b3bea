#!/usr/bin/env bash
# Step:  agent uninstall gives every host back: each file of Docker's configuration as it was, dockerd as it was, containers running
# Limit: 240
# Needs: 10
# A host's STEP_DIR is its subshell's own, on purpose; what stands in single quotes is expanded on the host.
# shellcheck disable=SC2030,SC2031,SC2016
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/hosts.sh"
source "$REPO/tests/lib/world.sh"
source "$REPO/tests/lib/metre.sh"
world_use "$SUITE_DIR/minute"

given_back() {
    local name=$1 pids
    pids=$(container_pids "$name")
    on "$name" systemctl stop dockwarden-agent
    check "$name: agent uninstall" on "$name" dockwarden agent uninstall --yes
    wait_for 20 "$name answers" docker_answers_on "$name"
    configuration_of "$name" >"$STEP_DIR/now"
    check "$name: kind, mode, owner, target and hash of each of $(wc -l <"$STEP_DIR/now") files are as they were" \
        diff "$SUITE_DIR/untouched-$name" "$STEP_DIR/now"
    equal "$name: dockerd is told what it was told" "$(unit_line "$name")" "$(dockerd_line "$name")"
    refused "$name: nobody reaches it over the network" any connect curl -sS --max-time 5 "http://$(metre_address "$name"):2376/_ping"
    equal "$name: the containers run on" "$pids" "$(container_pids "$name")"
    check "$name: the agent's memory is gone" test ! -e "$(host_root "$name")/var/lib/dockwarden/agent/status.json"
    check "$name: systemd has read its units" needs_no_reload "$name"
    check "$name: dockerd can be restarted" on "$name" systemctl restart docker.service
    check "$name: from then on containers end with it, as they did" is_without_live_restore "$name"
}

# What the distribution's unit says.
unit_line() { printf '/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock '; }
is_without_live_restore() { [[ $(on "$1" docker info --format '{{.LiveRestoreEnabled}}') == false ]]; }
needs_no_reload() { [[ $(unit_of "$1" NeedDaemonReload) == no ]]; }

side_by_side given_back "${METRE_RENEW[@]}"
