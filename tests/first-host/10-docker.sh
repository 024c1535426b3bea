#!/usr/bin/env bash
# Step:  init, token, agent, gate: an unmodified docker CLI, Python's SDK and curl reach the engine with an enrolled certificate
# Limit: 420
# Needs: 05
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"
source "$REPO/tests/lib/world.sh"

world_new "$SUITE_DIR/world"
server_start_for_suite
check "the server says that it is healthy" curl -sf --cacert "$W_ROOT" "$W_URL/healthz"

port=$(free_port)
printf '%s\n' "$port" >"$W/gate-port"
token_new "$W/tokens/this-machine" host this-machine --cidr 127.0.0.0/8
agent_config this-machine "$port" "$DOCKER_SOCKET"
agent_start_for_suite this-machine
settles 30 "the agent enrols and the gate listens" served_serial "$port"
check "its key and certificate match" key_matches "$(agent_certs this-machine)/cert.pem" "$(agent_certs this-machine)/key.pem"
equal "its key is for root alone" 400 "$(stat -L -c %a "$(agent_certs this-machine)/key.pem")"
contains "the agent's status says that it serves" "Serving" "$(dockwarden agent status --config "$W/agents/this-machine/agent.toml")"
check "agent plan prints what it would do" dockwarden agent plan --config "$W/agents/this-machine/agent.toml"
contains "the server lists the host" this-machine "$(admin host ls)"

token_new "$W/tokens/alice" client alice
check "a client enrols and gets a docker context" \
    dockwarden client enroll --server "$W_URL" --token-file "$W/tokens/alice" --name alice --context fleet
export DOCKER_CONFIG=$W/docker
contains "docker knows the context" fleet "$(docker context ls)"
docker_tour docker --context fleet

check "another client enrols into a directory" client_enroll bob
check "its key and certificate match" key_matches "$W/clients/bob/cert.pem" "$W/clients/bob/key.pem"
export DOCKER_HOST=tcp://127.0.0.1:$port DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=$W/clients/bob
# requests, below the SDK, would take a CA bundle of the environment instead of the one it is given.
check "Python's docker SDK does its day's work" env -u REQUESTS_CA_BUNDLE -u CURL_CA_BUNDLE timeout 60 python "$REPO/tests/foreign/docker_sdk.py"
unset DOCKER_HOST DOCKER_TLS_VERIFY DOCKER_CERT_PATH
contains "curl reads the version" ApiVersion "$(curl -sSf --cacert "$W/clients/bob/ca.pem" --cert "$W/clients/bob/cert.pem" \
    --key "$W/clients/bob/key.pem" "https://127.0.0.1:$port/version")"
contains "client env sets up a shell" "Server:" "$(
    eval "$(dockwarden client env --host this-machine)"
    docker version
)"
