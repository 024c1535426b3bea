#!/usr/bin/env bash
# Step:  a revoked client is cut off in the middle and refused from then on, by the gate of a real engine, before `revoke` returns
# Limit: 240
# Needs: 50
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"
source "$REPO/tests/lib/world.sh"
world_with_host "$STEP_DIR/world"
enrolled alice mallory trudy

status() { dockwarden agent status --config "$W/agents/host/agent.toml"; }
follows() { status | grep -q 'RevocationFresh *True'; }
settles 40 "the agent follows the feed and says so" follows

# streams NAME: everything of docker that stays open, in the background.
streams() {
    local docker
    docker="$(printf '%q ' env DOCKER_HOST="tcp://127.0.0.1:$port" DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH="$W/clients/$1" docker)"
    start "$1-exec" script -qefc "$docker exec -it ticker sh -c 'while true; do echo tick; sleep 0.2; done'" /dev/null
    start "$1-attach" bash -c "exec $docker attach --no-stdin --sig-proxy=false ticker"
    start "$1-logs" bash -c "exec $docker logs -f ticker"
    start "$1-events" bash -c "exec $docker events"
}
flows() { (($(wc -l <"$STEP_DIR/$1.log") >= 3)); }
gone() { ! running "$1"; }

check "mallory works" docker_as mallory "$port" ps
streams mallory
streams alice
# docker attach would first ask the container to end.
at_exit stop alice-attach KILL
for stream in exec attach logs; do
    settles 20 "mallory's docker $stream flows" flows "mallory-$stream"
    wait_for 20 "alice's docker $stream flows" flows "alice-$stream"
done
check "mallory's docker events runs" running mallory-events
start kept python3 "$REPO/tests/foreign/kept_alive.py" "$port" "$W/clients/mallory" "$STEP_DIR/ready" "$STEP_DIR/go"
settles 20 "mallory keeps a connection open" test -e "$STEP_DIR/ready"

# A client that asks for sessions and tickets gets none, so there is nothing to come back with.
dial() {
    timeout 10 openssl s_client -connect "127.0.0.1:$port" -CAfile "$W_ROOT" -cert "$W/clients/mallory/cert.pem" \
        -key "$W/clients/mallory/key.pem" -cert_chain "$W/clients/mallory/cert.pem" "$@" 2>&1 || true
}
said=$({ printf 'GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'; sleep 1; } | dial -tls1_2 -sess_out "$STEP_DIR/session" -quiet)
contains "openssl gets an answer" "200 OK" "$said"
equal "of six TLS 1.2 connections none resumes another" 0 "$(dial -tls1_2 -reconnect </dev/null | grep -c '^Reused' || true)"
equal "with TLS 1.3 no ticket is handed out" 0 "$(sleep 1 | dial -tls1_3 | grep -c 'Session Ticket' || true)"

printed=$(admin client revoke mallory --reason keyCompromise --yes)
contains "revoke says that the host has applied it" "applied on 1 of 1 hosts" "$printed"
contains "and what it cut" "open connections cut" "$printed"
note "$(sed -n 's/^ *\(applied on.*\)/\1/p' <<<"$printed")"
for stream in exec attach logs events; do
    settles 5 "mallory's docker $stream is cut" gone "mallory-$stream"
done
touch "$STEP_DIR/go"
wait_for 10 "the kept connection was tried" gone kept
before=$(head -n 1 "$STEP_DIR/kept.log") after=$(tail -n 1 "$STEP_DIR/kept.log")
equal "the kept connection worked before" 200 "$before"
[[ $after == ended || $after == 403 ]] || fail "and is of no use now" "$after"
ok "and is of no use now ($after)"
refused "a new docker is refused, and told why" any 'revoked' docker_as mallory "$port" ps
if [[ -s $STEP_DIR/session ]]; then
    said=$({ printf 'GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n'; sleep 1; } | dial -tls1_2 -sess_in "$STEP_DIR/session")
    grep -qi 'revoked' <<<"$said" || fail "a session from before opens nothing" "$(tail -n 5 <<<"$said")"
fi
ok "a session from before opens nothing"
for stream in exec attach logs events; do
    check "alice's docker $stream goes on" running "alice-$stream"
done
check "and so does alice" docker_as alice "$port" ps

check "trudy works" docker_as trudy "$port" ps
serial=$(serial_of trudy)
contains "a serial is revoked everywhere, too" "applied on 1 of 1 hosts" "$(admin cert revoke "$serial" --yes)"
refused "trudy is refused" any 'revoked' docker_as trudy "$port" ps
counts() { status | grep -q '2 revoked'; }
settles 10 "the agent's status counts them" counts
log=$(grep -c 'connection cut' "$STEP_DIR/agent-host.log" || true)
((log >= 5)) || fail "the agent's log tells of every connection that was cut" "$log"
ok "the agent's log tells of every connection that was cut"
