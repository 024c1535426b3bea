#!/usr/bin/env bash
# Step:  every route that a real engine registers is in the list the gate's table of operations is tested against
# Limit: 240
# Needs: 05
# A host's STEP_DIR is its subshell's own, on purpose; what stands in single quotes is expanded on the host.
# shellcheck disable=SC2031,SC2016
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/hosts.sh"
source "$REPO/tests/lib/world.sh"
source "$REPO/tests/lib/metre.sh"

# known MINOR: `METHOD /path` for each route of that version of the API, what stands in braces being anything.
known() {
    awk -v api="$1" '!/^#/ && NF == 4 { split($3, first, "."); split($4, last, ".") }
        !/^#/ && NF == 4 && first[2] <= api && api <= last[2] { print $1, $2 }' "$REPO/src/model/role/published_routes.txt" |
        sed -E 's/\{[^}]*\}/{}/g' | sort -u
}

# registered NAME SINCE: the same, as dockerd itself says when it starts with debug on.
registered() {
    sh_on "$1" 'journalctl --no-pager --output=cat --unit=docker --since="$1"' "$2" |
        sed -nE -e 's/.*msg="Registering ([A-Z]+), ([^" ]+)".*/\1 \2/p' \
            -e 's/.*msg="Registering route".* method=([A-Z]+).* path="?([^" ]+)"?.*/\1 \2/p' |
        sed -E 's/\{[^}]*\}/{}/g' | sort -u
}

routes() {
    local name=$1 since api
    docker_as_kept "$name"
    docker_off "$name"
    install -d -m 0755 "$(host_root "$name")/etc/docker"
    printf '{"debug": true}\n' >"$(host_root "$name")/etc/docker/daemon.json"
    since=$(on "$name" date '+%Y-%m-%d %H:%M:%S')
    docker_on "$name"
    wait_for 30 "$name answers" docker_answers_on "$name"
    api=$(on "$name" docker version --format '{{.Server.APIVersion}}')
    registered "$name" "$since" >"$STEP_DIR/registered"
    known "${api#*.}" >"$STEP_DIR/known"
    check "$name: the engine says its routes ($(wc -l <"$STEP_DIR/registered") of API $api)" \
        test "$(wc -l <"$STEP_DIR/registered")" -ge 100
    # What the engine answers OPTIONS with, for every path; no operation, so it is refused (model::role).
    equal "$name: none is missing from ours but the one that is none" "OPTIONS /{}" "$(comm -23 "$STEP_DIR/registered" "$STEP_DIR/known")"
    docker_as_kept "$name"
}

side_by_side routes "${METRE_LAB[@]}"
