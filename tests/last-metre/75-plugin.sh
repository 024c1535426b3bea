#!/usr/bin/env bash
# Step:  dockerd's own port refuses who is revoked and knows roles, through the plugin: plugged in without a restart, over kill -9, boots, other tools and a dead agent
# Limit: 900
# Needs: 05
# A host's STEP_DIR is its subshell's own, on purpose; what stands in single quotes is expanded on the host.
# shellcheck disable=SC2030,SC2031,SC2016
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/hosts.sh"
source "$REPO/tests/lib/world.sh"
source "$REPO/tests/lib/metre.sh"
world_use "$SUITE_DIR/days"

config=/etc/docker/daemon.json

# condition_of NAME: status and reason of RevocationFresh.
condition_of() {
    agent_status_of "$1" json | python3 -c 'import json, sys
for c in json.load(sys.stdin)["report"]["conditions"]:
    if c["type"] == "RevocationFresh": print(c["status"], c["reason"])' 2>/dev/null || true
}
is_plugged() { [[ $(condition_of "$1") == "True Following" ]] && grep -q '"dockwarden"' "$(host_root "$1")$config"; }
has_condition() { [[ $(condition_of "$1") == "$2" ]]; }

# docker_is CLIENT NAME ARGUMENT...: the docker CLI at that host's own port.
docker_is() { docker_tls "$W/clients/$1" "${@:2}"; }

# is_refused CLIENT NAME TEXT: by the plugin, in these words.
is_refused() { [[ $(docker_is "$1" "$2" version 2>&1 || true) == *"authorization denied by plugin dockwarden"*"$3"* ]]; }

client_with_role() {
    token_new "$W/tokens/$1" client "$1" --role "$2" &&
        dockwarden client enroll --server "$W_URL" --token-file "$W/tokens/$1" --name "$1" --cert-path "$W/clients/$1"
}

same_processes() {
    equal "$1: $2: the same dockerd" "$pid" "$(unit_of "$1" MainPID)"
    equal "the same containers" "$containers" "$(container_pids "$1")"
}

enabled() {
    local name=$1
    docker_as_kept "$name"
    # What the steps before left of theirs.
    sh_on "$name" 'docker ps -aq | xargs -r docker rm -f >/dev/null'
    counting_begin "$name" alone --network=none
    counting_begin "$name" linked
    agent_put "$name"
    on "$name" systemctl start dockwarden-agent
    settles 60 "$name: the agent serves" serves_on "$name"
    settles 20 "$name: and says that nothing refuses anybody there" has_condition "$name" "Unknown NotEnforced"
    pid=$(unit_of "$name" MainPID) containers=$(container_pids "$name")
    check "$name: the socket unit is enabled, and the agent started again" authz_enable "$name"
    settles 30 "$name: dockerd asks the agent" is_plugged "$name"
    same_processes "$name" "plugged in"
}

refusing() {
    local name=$1 address
    address=$(metre_address "$name")
    check "$name: a viewer of its own enrols" client_with_role "viewer-$name" viewer
    check "$name: an admin of its own enrols" client_with_role "admin-$name" admin
    settles 10 "$name: the viewer looks" docker_is "viewer-$name" "$name" ps
    refused "$name: and stops nothing" 1 "role \"viewer\" does not allow ContainerStop on $name; ask an admin for role \"operator\"" \
        docker_is "viewer-$name" "$name" stop alone
    settles 10 "$name: the admin works" docker_is "admin-$name" "$name" exec alone true
    start "kept-$name" python3 "$REPO/tests/foreign/kept_alive.py" "$address:2376" "$W/clients/admin-$name" "$STEP_DIR/ready" "$STEP_DIR/go"
    wait_for 20 "a connection stands" test -e "$STEP_DIR/ready"
    admin client revoke "admin-$name" --yes --reason keyCompromise >"$STEP_DIR/revoked"
    cat "$STEP_DIR/revoked"
    touch "$STEP_DIR/go"
    settles 5 "$name: its next connection is refused, in words" is_refused "admin-$name" "$name" "was revoked"
    wait_for 20 "the connection that stood was asked" sh -c '[ "$(wc -l <"$1")" = 2 ]' sh "$STEP_DIR/kept-$name.log"
    equal "$name: and its next request on one that stood" "200 403" "$(tr '\n' ' ' <"$STEP_DIR/kept-$name.log" | sed 's/ $//')"
    check "$name: local users get in" docker_answers_on "$name"
    check "$name: others, too" docker_is operator "$name" version
    same_processes "$name" "revoked"
}

# Sessions that a client saved are resumed by dockerd, with TLS 1.2 and 1.3; what that client asks on them is asked about.
resumed() {
    local name=$1 client=resumer-$1 log=$STEP_DIR/resumed-$1.log
    check "$name: one who keeps sessions enrols" client_with_role "$client" admin
    settles 10 "$name: and works" docker_is "$client" "$name" version
    start "resumed-$name" python3 "$REPO/tests/foreign/resumed.py" "$(metre_address "$name"):2376" "$W/clients/$client" \
        "$STEP_DIR/resumed-ready" "$STEP_DIR/resumed-go"
    wait_for 20 "sessions were kept" test -e "$STEP_DIR/resumed-ready"
    equal "$name: dockerd resumes its sessions" "TLS 1.2 200 resumed, TLS 1.3 200 resumed" "$(tail -n 2 "$log" | paste -sd, | sed 's/,/, /')"
    check "$name: it is revoked" admin client revoke "$client" --yes
    settles 5 "$name: its next connection is refused, in words" is_refused "$client" "$name" "was revoked"
    touch "$STEP_DIR/resumed-go"
    wait_for 20 "the sessions were tried" sh -c '[ "$(wc -l <"$1")" = 6 ]' sh "$log"
    equal "$name: and so are those that resume a session from before" "TLS 1.2 403 resumed, TLS 1.3 403 resumed" \
        "$(tail -n 2 "$log" | paste -sd, | sed 's/,/, /')"
}

put_back() {
    local name=$1
    sh_on "$name" 'kill -9 "$(systemctl show -p MainPID --value dockwarden-agent)"'
    check "$name: kill -9 of the agent: local users wait and go on" docker_answers_on "$name"
    check "$name: who is revoked stays so" is_refused "admin-$name" "$name" "was revoked"
    same_processes "$name" "kill -9"
    # Another tool writes its template and reloads.
    sh_on "$name" "printf '{\"live-restore\": true, \"debug\": true}\n' >$config; kill -HUP \$(systemctl show -p MainPID --value docker)"
    settles 20 "$name: another tool took it out: it is put back" is_plugged "$name"
    contains "$name: beside what the tool wrote" '"debug": true' "$(cat "$(host_root "$name")$config")"
    settles 10 "$name: who is revoked is refused" is_refused "admin-$name" "$name" "was revoked"
    same_processes "$name" "put back"
}

booted() {
    local name=$1
    # What the shutdown would wait for.
    sh_on "$name" 'docker kill $(docker ps -q) >/dev/null'
    host_stop "$name"
    host_boot_begin "$name"
    host_boot_end "$name"
    settles 30 "$name: a boot: dockerd comes up with the plugin" docker_answers_on "$name"
    check "$name: and refuses who is revoked from its first answer on" is_refused "admin-$name" "$name" "was revoked"
    settles 30 "$name: agent status says so" is_plugged "$name"
    sh_on "$name" 'docker start alone linked >/dev/null'
    pid=$(unit_of "$name" MainPID) containers=$(container_pids "$name")
}

# The program is gone, so that systemd starts the agent in vain; its socket listens on.
agent_breaks() { sh_on "$1" 'mv /usr/local/bin/dockwarden /usr/local/bin/gone; systemctl kill -s KILL dockwarden-agent 2>/dev/null; sleep 1'; }
agent_mends() { on "$1" mv /usr/local/bin/gone /usr/local/bin/dockwarden; }
nobody_is_answered() { ! ON_LIMIT=8 docker_answers_on "$1"; }
# shellcheck disable=SC2086,SC2046 # the processes are words
containers_live() { sh_on "$1" 'kill -0 "$@"' $(awk '{ print $2 }' <<<"$containers"); }
dockerd_waits() { [[ $(unit_of "$1" SubState) == start ]] && nobody_is_answered "$1"; }

dead() {
    local name=$1
    agent_breaks "$name"
    check "$name: the agent is dead: nobody is answered, root neither" nobody_is_answered "$name"
    check "$name: the containers run on" containers_live "$name"
    agent_mends "$name"
    settles 20 "$name: the agent is back: everybody is answered" docker_answers_on "$name"
    same_processes "$name" "a dead agent"
    agent_breaks "$name"
    sh_on "$name" 'systemctl --no-block restart docker.service; sleep 6'
    check "$name: a dockerd that is started without the agent waits for it" dockerd_waits "$name"
    # By hand, as docs/daemon.md says, without the program.
    sh_on "$name" "sed -i 's/\"dockwarden\"//' $config && systemctl restart docker.service"
    check "$name: break-glass by hand: dockerd answers without the plugin" docker_answers_on "$name"
    agent_mends "$name"
    settles 30 "$name: the agent is back, and plugged in" is_plugged "$name"
    # Nobody even listens: dockerd dies of it, and systemd gives up.
    sh_on "$name" 'systemctl stop dockwarden-authz.socket dockwarden-agent; systemctl restart docker.service; true'
    settles 90 "$name: without a socket dockerd does not start" is_failed "$name"
    check "$name: agent unplug" on "$name" dockwarden agent unplug
    check "$name: dockerd answers" docker_answers_on "$name"
    # systemd 257 has been seen to lose the cgroup of a unit that it stops and starts at once ("Failed to spawn executor"); it
    # tries again by itself (Restart=on-failure), and that it does is what matters.
    sh_on "$name" 'systemctl start dockwarden-authz.socket dockwarden-agent || systemctl --no-pager status dockwarden-agent || true'
    settles 20 "$name: what was unplugged by hand stays so, and agent status says it" has_condition "$name" "False Unplugged"
    check "$name: agent plug" on "$name" dockwarden agent plug
    settles 40 "$name: dockerd asks again" is_plugged "$name"
    settles 10 "$name: who is revoked is refused" is_refused "admin-$name" "$name" "was revoked"
}
is_failed() { [[ $(unit_of "$1" ActiveState) == failed ]]; }

left() {
    local name=$1
    check "$name: agent unplug" authz_disable "$name"
    check "$name: agent uninstall" on "$name" dockwarden agent uninstall --yes
    wait_for 20 "$name answers" docker_answers_on "$name"
    equal "$name: what the other tool wrote is left, without ours" '{"debug":true}' "$(tr -d ' \n' <"$(host_root "$name")$config")"
    # The links of the units that were enabled are systemd's.
    configuration_of "$name" | grep -v -e 'dockwarden-a' -e "${config#/}" >"$STEP_DIR/now"
    grep -v -e 'dockwarden-a' -e "${config#/}" "$SUITE_DIR/untouched-$name" >"$STEP_DIR/untouched"
    check "$name: every other file is as it was" diff "$STEP_DIR/untouched" "$STEP_DIR/now"
}

all() {
    local pid containers
    enabled "$1"
    refusing "$1"
    resumed "$1"
    put_back "$1"
    booted "$1"
    dead "$1"
    left "$1"
}

side_by_side all "${METRE_LAB[@]}"
