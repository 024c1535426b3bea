#!/usr/bin/env bash
# Step:  deploy/Dockerfile makes an image of it that deploy/compose.yaml runs: init, healthz, an agent and a client from outside
# Limit: 300
# Needs: 10
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"
source "$REPO/tests/lib/hosts.sh"
source "$REPO/tests/lib/world.sh"

# A host with an engine of today, compose and buildx, as Debian packages them.
hosts_bridge_up
address=$(host_address 20)
at_exit host_remove box
host_create box trixie "$address"
root=$(host_root box)
in_root() { timeout 200 chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }
install -m 0644 /etc/resolv.conf "$root/etc/resolv.conf"
check "compose and buildx are installed" in_root sh -c 'apt-get -q update && apt-get -q install -y --no-install-recommends docker-compose docker-buildx'
host_boot box
on_box() { on_host box env -C /srv/dockwarden timeout 120 "$@"; }

# What somebody has who checked the repository out and has the binary.
site=$root/srv/dockwarden
mkdir -p "$site/image/data"
cp -a "$REPO/deploy" "$site/deploy"
install -m 0755 "$SUITE_DIR/full/dockwarden" "$site/image/dockwarden"
head -c 24 /dev/urandom | base64 | install -m 0400 -o 65532 /dev/stdin "$site/deploy/passphrase"
settings() { python3 -c 'import json, sys
config = json.load(sys.stdin)
print({key: config.get(key) for key in ("User", "Env", "Entrypoint", "Cmd", "Volumes", "ExposedPorts")})'; }
compose() { on_box docker compose -f deploy/compose.yaml "$@"; }
# shellcheck disable=SC2016 # the shell on the host expands it
files_of() { on_box sh -c 'id=$(docker create "$1") && docker export "$id" | tar -t | grep -vE "^(dev|etc|proc|sys|\.dockerenv)" | sort | xargs; docker rm "$id" >/dev/null' - "$1"; }
note "$(compose version), engine $(on_box docker version --format '{{.Server.Version}}')"

check "compose accepts compose.yaml" compose config --quiet
check "the classic builder makes the image" on_box env DOCKER_BUILDKIT=0 docker build -f deploy/Dockerfile --target prebuilt -t classic image
check "BuildKit makes it" on_box docker build -f deploy/Dockerfile --target prebuilt -t dockwarden image
equal "both say the same of it" "$(on_box docker inspect -f '{{json .Config}}' classic | settings)" \
    "$(on_box docker inspect -f '{{json .Config}}' dockwarden | settings)"
equal "it holds the program and an empty directory for data" "data/ dockwarden" "$(files_of dockwarden)"

# As the head of compose.yaml says.
check "server init makes a CA in the volume" compose run --rm -T server server init --dns ca.fleet.internal --ip "$address"
check "compose brings the server up" compose up -d
W=$STEP_DIR/world
W_ROOT=$W/root.pem
W_URL=https://$address:8443
mkdir -p "$W/home" "$W/docker" "$W/tokens" "$W/clients"
healthy() { curl -sf --max-time 3 --cacert "$W_ROOT" "$W_URL/healthz" && curl -sf --max-time 3 "http://$address:8080/healthz"; }
root_of_server() { curl -sf --max-time 3 -o "$W_ROOT" "http://$address:8080/ca.pem"; }
settles 20 "it serves its root" root_of_server
settles 10 "it says that it is healthy, from outside" healthy
equal "it runs as nobody's user" "65532:65532" "$(on_box docker inspect -f '{{.Config.User}}' dockwarden-server-1)"

token() { (umask 077 && compose exec -T server /dockwarden token create --profile "$1" --name "$2" "${@:3}" >"$W/tokens/$2"); }
check "a token for a host is made in it" token host web-1 --cidr "$HOSTS_CIDR" --cidr 127.0.0.0/8
check "and one for a client" token client frank --role admin
port=$(free_port)
agent_config web-1 "$port" "$STEP_DIR/no-docker.sock"
agent_start web-1
settles 20 "an agent outside enrols, and its gate serves" served_serial "$port"
check "a client outside enrols" dockwarden client enroll --server "$W_URL" --token-file "$W/tokens/frank" --name frank --cert-path "$W/clients/frank"
check "openssl accepts what it got" openssl verify -CAfile "$W_ROOT" -untrusted "$W/clients/frank/cert.pem" -purpose sslclient "$W/clients/frank/cert.pem"
contains "the server lists the host" web-1 "$(compose exec -T server /dockwarden host ls)"

# What it knows is in the volume, not in the container.
began=$EPOCHSECONDS
check "compose takes it down" compose down
check "that takes no longer than a drain" test $((EPOCHSECONDS - began)) -lt 20
check "and brings another one up" compose up -d
settles 20 "which is the same server" healthy
contains "and knows the same hosts" web-1 "$(compose exec -T server /dockwarden host ls)"
# shellcheck disable=SC2016 # the shell on the host expands it
crash() { on_box sh -c 'kill -9 "$(docker inspect -f "{{.State.Pid}}" dockwarden-server-1)"'; }
check "a crash ends it" crash
settles 30 "after which Docker starts it again" healthy
contains "the audit log is whole" "none changed or missing" "$(compose exec -T server /dockwarden audit verify)"
compose down --volumes
