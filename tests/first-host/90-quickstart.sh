#!/usr/bin/env bash
# Step:  quickstart puts a working docker context on a machine, goes on where it was the second time, and needs no socket
# Limit: 240
# Needs: 05
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"
source "$REPO/tests/lib/world.sh"

W=$STEP_DIR/world
mkdir -p "$W/home" "$W/docker"
export DOCKER_CONFIG=$W/docker
data=$W/dockwarden-data

quickstart() {
    start "$1" env -C "$W" -u DOCKER_HOST -u DOCKER_CONTEXT HOME="$W/home" DOCKER_CONFIG="$DOCKER_CONFIG" \
        "$DOCKWARDEN_BIN" quickstart --data-dir "$data" "${@:2}"
}

reaches() { timeout 10 docker --context dockwarden version; }

quickstart first --docker-socket "$DOCKER_SOCKET"
settles 60 "the context dockwarden reaches the engine" reaches
equal "a container runs through it" hello "$(timeout 60 docker --context dockwarden run --rm --network=none busybox:test echo hello)"
settles 10 "it prints what to paste" grep -q 'docker --context dockwarden version' "$STEP_DIR/first.log"
contains "it says how to list certificates" "cert ls" "$(<"$STEP_DIR/first.log")"
contains "which lists the client" you "$(dockwarden cert ls)"
contains "it says how to stop" "Stop" "$(<"$STEP_DIR/first.log")"
contains "it says how to clean up" "remove" "$(<"$STEP_DIR/first.log")"
root=$(openssl x509 -in "$DOCKER_CONFIG/contexts/tls"/*/docker/ca.pem -noout -fingerprint)
serial=$(openssl x509 -in "$DOCKER_CONFIG/contexts/tls"/*/docker/cert.pem -noout -serial)
stop first INT
refused "after Ctrl-C nothing serves" any 'refused|connect' reaches

quickstart second --docker-socket "$DOCKER_SOCKET"
settles 60 "run again, the context reaches the engine again" reaches
equal "with the same root" "$root" "$(openssl x509 -in "$DOCKER_CONFIG/contexts/tls"/*/docker/ca.pem -noout -fingerprint)"
equal "and the same certificate" "$serial" "$(openssl x509 -in "$DOCKER_CONFIG/contexts/tls"/*/docker/cert.pem -noout -serial)"
stop second INT

check "--remove removes all of it" dockwarden quickstart --data-dir "$data" --remove
check "the data is gone" test ! -e "$data"
equal "the context is gone" "" "$(docker context ls --format '{{.Name}}' | grep -x dockwarden || true)"

quickstart third --docker-socket "$W/no-docker.sock"
settles 60 "without a Docker socket it says so" grep -Eqi 'no-docker.sock' "$STEP_DIR/third.log"
settles 60 "and still brings up the CA" curl -skf --max-time 3 https://127.0.0.1:8443/healthz
stop third INT
