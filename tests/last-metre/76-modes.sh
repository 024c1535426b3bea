#!/usr/bin/env bash
# Step:  from mode daemon to gate and back, by a line of agent.toml: no moment lets a revoked client in, and every file of dockerd's is given back
# Limit: 600
# Needs: 05
# What stands in single quotes is expanded on the host.
# shellcheck disable=SC2016,SC2031
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/hosts.sh"
source "$REPO/tests/lib/world.sh"
source "$REPO/tests/lib/metre.sh"
world_use "$SUITE_DIR/days"
name=lab-now
root=$(host_root "$name") address=$(metre_address "$name") config=$(host_root "$name")/etc/docker/daemon.json

is_plugged() { agent_status_of "$name" | grep -E '^ +RevocationFresh +True ' && grep -q '"dockwarden"' "$config"; }
works() { docker_tls "$W/clients/keeper" "$name" ps; }
client_new() {
    token_new "$W/tokens/$1" client "$1" --role admin &&
        dockwarden client enroll --server "$W_URL" --token-file "$W/tokens/$1" --name "$1" --cert-path "$W/clients/$1"
}
# is_refused TEXT...: the intruder, in these words.
is_refused() {
    local said text
    said=$(docker_tls "$W/clients/intruder" "$name" version 2>&1 || true)
    for text; do [[ $said == *"$text"* ]] || return 1; done
}
# As it was when nobody had looked after it, but for what is the agent's own and systemd's links to its units.
untouched() {
    configuration_of "$name" | grep -v -e 'dockwarden' >"$STEP_DIR/now"
    grep -v -e 'dockwarden' "$SUITE_DIR/untouched-$name" >"$STEP_DIR/untouched"
    diff "$STEP_DIR/untouched" "$STEP_DIR/now"
}
same_containers() { equal "$1: the same containers" "$containers" "$(container_pids "$name")"; }
mode_is() {
    sed -i "s/^mode = .*/mode = \"$1\"/" "$root/etc/dockwarden/agent.toml"
    check "mode $1, and the agent is started again" on "$name" systemctl restart dockwarden-agent
}

# What an agent of an earlier step said of itself would be taken for this one's.
on "$name" rm -rf /var/lib/dockwarden/agent
docker_as_kept "$name"
sh_on "$name" 'docker ps -aq | xargs -r docker rm -f >/dev/null'
counting_begin "$name" alone --network=none
agent_put "$name"
authz_enable "$name"
settles 60 "dockerd asks the agent" is_plugged
containers=$(container_pids "$name")
for client in keeper intruder; do check "$client enrols" client_new "$client"; done
settles 20 "keeper works" works
check "intruder is revoked" admin client revoke intruder --yes --reason keyCompromise
settles 5 "intruder is refused" is_refused "was revoked"

# -- agent apply, while dockerd asks -----------------------------------------------------------------------------------

pid=$(unit_of "$name" MainPID) before=$(sha256sum <"$config")
refused "agent apply beside the agent says who does it" 1 'an agent is running here' agent_apply "$name"
for round in first second; do
    # dockerd's first question has systemd start the agent, which answers local users until apply is done.
    sh_on "$name" 'systemctl stop dockwarden-agent 2>/dev/null'
    check "agent apply without it, for the $round time, finds everything right" agent_apply "$name"
    equal "and changes nothing" "$before" "$(sha256sum <"$config")"
    settles 20 "dockerd asks on" is_plugged
    check "intruder is refused" is_refused "was revoked"
done
on "$name" systemctl start dockwarden-agent
equal "dockerd was not restarted for it" "$pid" "$(unit_of "$name" MainPID)"
same_containers "agent apply"

# -- to the gate and back, the revoked client at the door all the time ---------------------------------------------------

cat >"$STEP_DIR/knock" <<KNOCK
#!/bin/sh
while :; do
    curl -s -o /dev/null -w '%{http_code}\n' --max-time 10 --cacert "$W/clients/intruder/ca.pem" --cert "$W/clients/intruder/cert.pem" \
        --key "$W/clients/intruder/key.pem" "https://$address:2376/version"
    sleep 0.02
done
KNOCK
chmod +x "$STEP_DIR/knock"
start knock "$STEP_DIR/knock"
wait_for 20 "intruder knocks, and dockerd says no" grep -q 403 "$STEP_DIR/knock.log"

served_by_gate() { agent_status_of "$name" | grep -E '^ +Serving +True ' && works && [[ $(dockerd_line "$name") != *2376* ]]; }
for round in first second; do
    mode_is gate
    settles 90 "the $round time: the gate serves, and dockerd has no port" served_by_gate
    check "every file of dockerd's is as it was found" untouched
    settles 10 "intruder is refused by the gate, too" is_refused revoked
    same_containers "mode gate"
    check "local users get in" docker_answers_on "$name"
    mode_is daemon
    settles 90 "the $round time: dockerd serves, and asks" is_plugged
    settles 20 "keeper works" works
    contains "dockerd itself has the port" 2376 "$(dockerd_line "$name")"
    settles 10 "intruder is refused by the plugin" is_refused "authorization denied by plugin dockwarden" "was revoked"
    same_containers "mode daemon"
done
stop knock
note "intruder was answered: $(sort "$STEP_DIR/knock.log" | uniq -c | awk '{ print $1 " times " $2 }' | paste -sd, | sed 's/,/, /g') (000: no connection)"
equal "not once with what was asked for" "" "$(grep -vE '^(000|403|502|503)$' "$STEP_DIR/knock.log" | sort -u || true)"

check "unplugged" authz_disable "$name"
check "given back" on "$name" dockwarden agent uninstall --yes
wait_for 20 "$name answers" docker_answers_on "$name"
check "every file is as it was" untouched
