#!/usr/bin/env bash
# Step:  each of many starting configurations ends served, or refused with the host as it was found
# Limit: 900
# Needs: 05
# A host's STEP_DIR is its subshell's own, on purpose; what stands in single quotes is expanded on the host.
# shellcheck disable=SC2030,SC2031,SC2016
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/hosts.sh"
source "$REPO/tests/lib/world.sh"
source "$REPO/tests/lib/metre.sh"
world_use "$SUITE_DIR/days"

# MATRIX=NN,NN: only these. MATRIX_HOSTS=all: each on every host; else each on one, by its number.
matrix=("$REPO"/tests/last-metre/matrix/[0-9]*/)

# expected DIRECTORY KEY [NAME]: what `expect` says, and rather what it says of the release of that host.
expected() {
    local said
    said=$(sed -n "s/^$2 on $(metre_release "${3:-}"): //p" "$1/expect")
    printf '%s\n' "${said:-$(sed -n "s/^$2: //p" "$1/expect")}"
}

# found_as NAME DIRECTORY: makes the host what the directory says.
found_as() {
    local name=$1 directory=$2 dockerd
    dockerd=$(expected "$directory" dockerd "$name")
    docker_off "$name"
    configuration_restore "$name"
    on "$name" systemctl daemon-reload
    if [[ $dockerd == "not restarted" ]]; then docker_on "$name"; fi
    if [[ -d $directory/root ]]; then tar -C "$directory/root" -c . | tar -C "$(host_root "$name")" -x --no-same-owner; fi
    if [[ -e $directory/setup ]]; then on_host "$name" timeout 60 sh -e <"$directory/setup" || fail "its setup works"; fi
    on "$name" systemctl daemon-reload
    case $dockerd in
        starts) docker_on "$name" ;;
        fails)
            on "$name" systemctl start docker.socket || true
            on "$name" systemctl start docker.service || true
            wait_for 40 "dockerd has failed" is_in_state "$name" failed
            ;;
        "not restarted") wait_for 20 "dockerd answers" docker_answers_on "$name" ;;
        stopped) ;;
        *) fail "expect names a state" "$dockerd" ;;
    esac
}

is_in_state() { [[ $(unit_of "$1" ActiveState) == "$2" ]]; }

# dockerd_as_it_is NAME: what may not change when nothing is done.
dockerd_as_it_is() { on "$1" systemctl show -p ActiveState,SubState,MainPID,NRestarts docker.service docker.socket; }

ends_served() {
    local name=$1 directory=$2 text starts=$3
    equal "dockerd was started at most once more" yes "$( (($(dockerd_starts "$name") - starts <= 1)) && echo yes)"
    check "clients get in" serves_on "$name"
    check "strangers do not" stranger_is_refused "$name"
    check "the certificate is the one in use" serves_what_is_on_disk "$name"
    check "the local socket answers" docker_answers_on "$name"
    check "there is no way around TLS" nobody_listens_plain "$name"
    text=$(expected "$directory" argv)
    [[ -z $text ]] || contains "options of others are options" "$text" "$(dockerd_line "$name")"
    text=$(expected "$directory" keeps)
    [[ -z $text ]] || contains "settings of others stay" "$text" "$(<"$(host_root "$name")/etc/docker/daemon.json")"
}

# configuration NAME DIRECTORY: one of them, on that host.
configuration() {
    local name=$1 directory=${2%/} ends before as_it_is starts said
    ends=$(expected "$directory" ends "$name")
    found_as "$name" "$directory"
    before=$(others_configuration "$name")
    as_it_is=$(dockerd_as_it_is "$name")
    starts=$(dockerd_starts "$name")
    said=$(agent_apply "$name" 2>&1) && said+=$'\nexit 0' || said+=$'\nexit '$?
    printf '%s\n' "$said"
    case $ends in
        served)
            contains "the agent is done" "exit 0" "$said"
            ends_served "$name" "$directory" "$starts"
            ;;
        refused\ *)
            contains "the agent says that it could not" "exit 1" "$said"
            grep -Eqi -- "${ends#refused }" <<<"$said" || fail "it says why" "not /${ends#refused }/: $said"
            same "no file is changed" "$before" "$(others_configuration "$name")"
            equal "dockerd is as it was" "$as_it_is" "$(dockerd_as_it_is "$name")"
            ;;
        "served when started")
            check "it is left stopped" is_in_state "$name" inactive
            sh_on "$name" 'docker version || systemctl start docker.service'
            wait_for 20 "$name answers" docker_answers_on "$name"
            ends_served "$name" "$directory" "$starts"
            ;;
        *) fail "expect says how it ends" "$ends" ;;
    esac
    if [[ $(expected "$directory" "given back") == "does not start" ]]; then
        refused "a dockerd that could not start again is not given back" 1 'does not start' on "$name" dockwarden agent uninstall --yes
        check "but serves on" serves_on "$name"
        return
    fi
    check "the agent is uninstalled" on "$name" dockwarden agent uninstall --yes
    same "every file is as it was found" "$before" "$(others_configuration "$name")"
    equal "and nothing is left of the agent's" "" "$(configuration_of "$name" | grep '^etc/docker/dockwarden' || true)"
}

# undo NAME DIRECTORY: what is not in the files that are restored.
undo() {
    local script
    on "$1" rm -rf --one-file-system /var/lib/dockwarden/agent /etc/docker/dockwarden
    script=$(expected "${2%/}" undo)
    [[ -z $script ]] || sh_on "$1" "$script" || true
}

# Those of the configurations that are this host's.
configurations() {
    local name=$1 directory number index=0 mine status=0
    mine=$(printf '%s\n' "${METRE_LAB[@]}" | grep -nx "$name" | cut -d: -f1)
    agent_put "$name"
    sh_on "$name" 'docker rm -f $(docker ps -aq)' || true
    for directory in "${matrix[@]}"; do
        number=$(basename "$directory")
        number=${number%%-*}
        [[ -z ${MATRIX:-} || ",$MATRIX," == *",$number,"* ]] || continue
        ((index += 1))
        [[ ${MATRIX_HOSTS:-} == all ]] || ((index % ${#METRE_LAB[@]} == mine - 1)) || continue
        if (configuration "$name" "$directory") >"$STEP_DIR/$number.log" 2>&1 3>&1; then
            ok "$(basename "$directory"): $(sed -n '1s/^# //p' "$directory/expect"): $(expected "$directory" ends "$name" | cut -d' ' -f1) ($name)"
        else
            printf '  FAIL  %s on %s\n' "$(basename "$directory")" "$name" >&3
            tail -n 25 "$STEP_DIR/$number.log" | sed 's/^/        /' >&3
            status=1
        fi
        undo "$name" "$directory"
    done
    docker_off "$name"
    docker_as_kept "$name"
    return "$status"
}

side_by_side configurations "${METRE_LAB[@]}"
note "${#matrix[@]} configurations"
