#!/usr/bin/env bash
# Step:  a client's kept connection through the gate outlives restarts of a real dockerd: the next request is answered, and none is lost on a connection that closes
# Limit: 180
# Needs: 50
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"
source "$REPO/tests/lib/world.sh"
world_with_host "$STEP_DIR/world"
enrolled alice
pid() { cat "$SUITE_DIR/dockerd/child.pid"; }
at_exit local_docker start ticker

# restart SIGNAL: dockerd ends and is started again by its supervisor.
restarted() { [[ $(pid) != "$1" ]] && dockerd_answers; }
restart() {
    local before
    before=$(pid)
    kill -s "$1" "$before"
    wait_for 60 "dockerd is back" restarted "$before"
}

start kept python3 "$REPO/tests/foreign/kept_alive.py" "$port" "$W/clients/alice" "$STEP_DIR/ready" "$STEP_DIR/go"
wait_for 20 "alice keeps a connection open" test -e "$STEP_DIR/ready"
restart TERM
touch "$STEP_DIR/go"
ended() { ! running "$1"; }
wait_for 20 "the connection was tried" ended kept
equal "dockerd was restarted between two requests of one connection: both are answered" "200 200" "$(paste -sd' ' "$STEP_DIR/kept.log")"

start asking python3 "$REPO/tests/foreign/kept_asking.py" "$port" "$W/clients/alice" "$STEP_DIR/asks" "$STEP_DIR/stop"
wait_for 20 "alice asks all the time" test -e "$STEP_DIR/asks"
for signal in TERM TERM TERM KILL; do restart "$signal"; done
sleep 1
touch "$STEP_DIR/stop"
wait_for 20 "she is done" ended asking
said=$(<"$STEP_DIR/asking.log")
while read -r line; do note "$line"; done <<<"$said"
equal "over four restarts the connection stands, and what is asked last is answered" "last 200" "$(tail -n 1 <<<"$said")"
# Right after an answer there is a connection to dockerd that is kept. (A new one may end in the backlog of a dockerd that stops.)
if grep -q 'after 200: .*closed the connection before it answered' <<<"$said"; then fail "no question was lost on a connection that dockerd closed" "$said"; fi
ok "no question was lost on a connection that dockerd closed"
