#!/usr/bin/env bash
# Step:  what was revoked stays refused through kill -9 and without the server; a host that hears nothing refuses all, and catches up
# Limit: 300
# Needs: 50
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"
source "$REPO/tests/lib/world.sh"
world_with_host "$STEP_DIR/world" 'max_staleness = "1m"'
enrolled alice mallory trudy
contains "mallory is revoked" "applied on 1 of 1 hosts" "$(admin client revoke mallory --yes)"

status() { dockwarden agent status --config "$W/agents/host/agent.toml" || true; }
works() { docker_as "$1" "$port" ps; }
refuses() { ! docker_as "$1" "$port" ps >"$STEP_DIR/refused" 2>&1 && grep -q "$2" "$STEP_DIR/refused"; }

stop agent-host KILL
contains "a certificate is revoked while the agent is dead" "applied on 0 of 1 hosts" "$(admin client revoke trudy --yes --wait 1s)"
server_kill
agent_start host
settles 30 "without the server the gate listens again" served_serial "$port"
check "alice works" works alice
refused "mallory is refused by a process that never heard of the server" any revoked docker_as mallory "$port" ps
check "trudy still works: nobody could tell this host" works trudy
settles 40 "the status says that the server is not heard of" bash -c "$(printf '%q ' "$DOCKWARDEN_BIN" agent status --config "$W/agents/host/agent.toml") | grep -q 'RevocationFresh *Unknown'"
start logs bash -c "exec $(printf '%q ' env DOCKER_HOST="tcp://127.0.0.1:$port" DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH="$W/clients/alice" docker) logs -f ticker"
wait_for 20 "alice's docker logs flows" test -s "$STEP_DIR/logs.log"

settles 90 "after max_staleness every remote client is refused, in words" refuses alice 'dockwarden: this host has not heard of its server since'
gone() { ! running logs; }
settles 5 "and what was open is cut" gone
check "docker on the host itself works as always" local_docker ps
settles 40 "the status says that it is stale" bash -c "$(printf '%q ' "$DOCKWARDEN_BIN" agent status --config "$W/agents/host/agent.toml") | grep -q 'RevocationFresh *False'"

server_start
settles 60 "the server is back, and alice works" works alice
settles 10 "trudy is refused: the host caught up" refuses trudy revoked
refused "and mallory is, as ever" any revoked docker_as mallory "$port" ps
equal "the host has applied everything" '[1, 1]' "$(api GET '/v1/feed/applied?wait=10' | python3 -c 'import json,sys; a=json.load(sys.stdin); print([a["hosts"], a["applied"]])')"
