#!/usr/bin/env bash
# Step:  kill -9 of the agent or of dockerd at any point of its work: the host converges, and dockerd can always be started
# Limit: 600
# Needs: 05
# A host's STEP_DIR is its subshell's own, on purpose; what stands in single quotes is expanded on the host.
# shellcheck disable=SC2030,SC2031,SC2016
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/hosts.sh"
source "$REPO/tests/lib/world.sh"
source "$REPO/tests/lib/metre.sh"
world_use "$SUITE_DIR/days"

# Every crash point of the plan is enumerated against a host of the tests' own in `cargo test`. Here the host is real and
# the points are sampled: spread over the time that the whole takes.
points=${DOCKWARDEN_KILL_POINTS:-9}

milliseconds() { echo $(($(date +%s%N) / 1000000)); }

# pass_begin NAME POINT: the agent begins to take the host over; it and all that it starts are one unit.
pass_begin() { on "$1" systemd-run --quiet --collect --unit="pass-$2" dockwarden agent apply --now; }
pass_is_over() { ! on "$1" systemctl is-active --quiet "pass-$2.service"; }

# How far it had come when the kill hit.
tally() {
    local where=before root
    root=$(host_root "$1")
    if [[ -e $root/etc/docker/daemon.json ]] && grep -q live-restore "$root/etc/docker/daemon.json"; then where="between the files"; fi
    if ls "$root"/etc/systemd/system/docker.service.d/*dockwarden* >/dev/null 2>&1; then where="files written"; fi
    if serves_what_is_on_disk "$1" >/dev/null 2>&1; then where="served"; fi
    printf '%s: %s\n' "$2" "$where" >>"$STEP_DIR/tally"
}

# kill_at NAME WHOM MILLISECONDS POINT
kill_at() {
    local name=$1 whom=$2 after=$3 point=$4 starts allowed=2 before pids try
    before=$(others_configuration "$name")
    starts=$(dockerd_starts "$name")
    pids=$(container_pids "$name")
    pass_begin "$name" "$point"
    sleep "$(printf '%d.%03d' $((after / 1000)) $((after % 1000)))"
    if [[ $whom == agent ]]; then
        on "$name" systemctl kill -s KILL "pass-$point.service" || true
    else
        on "$name" kill -s KILL "$(unit_of "$name" MainPID)" || true
        # systemd starts it again: that is not the agent's.
        ((allowed += 1))
    fi
    wait_for 90 "the pass is over" pass_is_over "$name" "$point"
    tally "$name" "$whom"
    # Now and then somebody restarts dockerd in this state, as a reboot would.
    if ((point % 3 == 0)); then
        sh_on "$name" 'systemctl reset-failed docker.service; systemctl restart docker.service' || fail "$name: dockerd can be started after a kill of the $whom at $after ms" \
            "$(on "$name" journalctl --no-pager -n 5 -o cat -u docker.service)"
        ((allowed += 1))
    fi
    wait_for 40 "$name: dockerd answers after a kill of the $whom at $after ms" docker_answers_on "$name"
    nobody_listens_plain "$name" || fail "$name: nobody is let in without a certificate after a kill of the $whom at $after ms"

    for try in 1 2 3; do
        if agent_apply "$name"; then break; fi
        ((try < 3)) || fail "$name converges after a kill of the $whom at $after ms" "$(agent_status_of "$name")"
        sleep 2
    done
    serves_on "$name" || fail "$name serves after a kill of the $whom at $after ms"
    serves_what_is_on_disk "$name" || fail "$name serves what is on disk after a kill of the $whom at $after ms"
    (($(dockerd_starts "$name") - starts <= allowed)) ||
        fail "$name: at most one extra restart after a kill of the $whom at $after ms" "$(($(dockerd_starts "$name") - starts)) starts, $allowed allowed"
    if [[ $whom == agent ]]; then
        ((point % 3 == 0)) || [[ $(container_pids "$name") == "$pids" ]] || fail "$name: containers run on after a kill of the agent at $after ms"
    fi
    on "$name" dockwarden agent uninstall --yes || fail "$name: the agent is uninstalled after a kill of the $whom at $after ms"
    [[ $(others_configuration "$name") == "$before" ]] || fail "$name: the files are as they were after a kill of the $whom at $after ms" \
        "$(diff <(printf '%s\n' "$before") <(others_configuration "$name"))"
    sh_on "$name" 'docker start $(docker ps -aq)'
}

kills() {
    local name=$1 began whole point
    agent_put "$name"
    sh_on "$name" 'docker rm -f $(docker ps -aq)' || true
    counting_begin "$name" alone --network=none
    began=$(milliseconds)
    on "$name" systemd-run --quiet --collect --wait --unit=pass-0 dockwarden agent apply --now
    whole=$(($(milliseconds) - began))
    check "$name: undisturbed, it takes over" serves_on "$name"
    on "$name" dockwarden agent uninstall --yes
    sh_on "$name" 'docker start $(docker ps -aq)'
    for ((point = 1; point <= points; point++)); do
        if ((point % 3 == 2)); then whom=dockerd; else whom=agent; fi
        kill_at "$name" "$whom" $((whole * point * 11 / points / 10)) "$point"
    done
    ok "$name: $points kills: it converged, served, was started at most once more, and could be given back"
    note "$name: the whole takes $whole ms; the kills hit: $(sort "$STEP_DIR/tally" | uniq -c | sed 's/^ *//' | paste -sd, | sed 's/,/, /g')"
}

side_by_side kills "${METRE_LAB[@]}"
