#!/usr/bin/env bash
# Step:  a host with certificates of a minute starts to renew, under docker logs -f and a loop of docker ps
# Limit: 120
# Needs: 05
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"
source "$REPO/tests/lib/world.sh"

# The load runs on while the next steps do their work; 95-renewals.sh says what came of it.
world_new "$SUITE_DIR/minute" '[profiles.host]' 'lifetime = "1m"'
server_start_for_suite
port=$(free_port)
printf '%s\n' "$port" >"$W/gate-port"
token_new "$W/tokens/minute" host minute --cidr 127.0.0.0/8
agent_config minute "$port" "$DOCKER_SOCKET"
agent_start_for_suite minute
wait_for 30 "the gate listens" served_serial "$port"
lifetime=$(($(date -d "$(openssl x509 -in "$(agent_certs minute)/cert.pem" -noout -enddate | cut -d= -f2)" +%s) - $(date +%s)))
check "its certificate lives no longer than a minute" test "$lifetime" -le 60

client_enroll watcher
export DOCKER_HOST=tcp://127.0.0.1:$port DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=$W/clients/watcher
# shellcheck disable=SC2016 # the shell inside expands it
check "a container counts" docker run -d --name counter --network=none busybox:test \
    sh -c 'i=0; while :; do echo $i; i=$((i+1)); sleep 0.2; done'
start_for_suite counter-logs docker logs -f counter
load=$REPO/tests/lib/renewal-load
start_for_suite load-calls "$load" calls "$W/calls" docker ps
start_for_suite load-serials "$load" serials "$W/serials" bash -c \
    "openssl s_client -connect 127.0.0.1:$port </dev/null 2>/dev/null | openssl x509 -noout -serial"
settles 20 "docker ps goes through" grep -q ok "$W/calls"
settles 20 "docker logs -f delivers" grep -qx 10 "$SUITE_DIR/counter-logs.log"
