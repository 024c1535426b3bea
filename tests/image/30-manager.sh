#!/usr/bin/env bash
# Step:  a trusted container manages others through nginx as an article says, then through deploy/manager with nginx and with the gate; nobody else does
# Limit: 600
# Needs: 10
# What stands in single quotes is expanded on the host.
# shellcheck disable=SC2016
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"
source "$REPO/tests/lib/hosts.sh"
source "$REPO/tests/lib/world.sh"
hosts_bridge_up
address=$(host_address 30)
at_exit host_remove manager
host_create manager trixie "$address"
root=$(host_root manager)
in_root() { timeout 200 chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 "$@"; }
install -m 0644 /etc/resolv.conf "$root/etc/resolv.conf"
check "compose and nginx are installed" in_root sh -c 'apt-get -q update && apt-get -q install -y --no-install-recommends docker-compose docker-buildx nginx-light'
# One image with a shell, curl, nginx and docker: this very system. No registry is asked.
tar -C "$root" --exclude=./var/lib/apt --exclude=./var/cache --exclude=./proc --exclude=./sys --exclude=./dev --exclude=./var/lib/docker \
    -cf "$STEP_DIR/tools.tar" .
busybox_image "$STEP_DIR/busybox.tar"
host_boot manager
sh_there() { on_host manager timeout 100 sh -c "$@"; }
on_host manager docker import - tools:test <"$STEP_DIR/tools.tar" >/dev/null
on_host manager docker import - busybox:test <"$STEP_DIR/busybox.tar" >/dev/null
rm "$STEP_DIR/tools.tar"

# -- as the article says -----------------------------------------------------------------------------------------------

article=$REPO/tests/last-metre/articles/nginx
mkdir -p "$root/root/ssl" "$root/etc/nginx/certs"
(cd "$root/root/ssl" && sh "$article/commands.sh")
cp "$root"/root/ssl/{ca.crt,server.key,server.crt} "$root/etc/nginx/certs/"
# A link there, which would lead out of the host.
rm -f "$root/etc/nginx/sites-enabled/default"
sed 's/listen 4242;/listen 4242 ssl;/; /ssl on;/d' "$article/site" >"$root/etc/nginx/sites-enabled/default"
check "nginx starts with the article's configuration" sh_there 'usermod -aG docker www-data; systemctl restart nginx || { journalctl -u nginx | tail; exit 1; }'
# asks ARGUMENT...: the article's request, from a container that knows the host's address.
asks() { on_host manager timeout 60 docker run --rm -v /root/ssl:/ssl:ro tools:test curl -sk --max-time 10 -w '\n%{http_code}\n' "$@" "https://$address:4242/containers/json" | tail -n 1; }
equal "the article's trusted container is answered" 200 "$(asks --key /ssl/client.key --cert /ssl/client.crt)"
equal "its untrusted one is told 400" 400 "$(asks)"
sh_there 'systemctl stop nginx'

# -- the same with ours ----------------------------------------------------------------------------------------------

W_ADDRESS=$HOSTS_GATEWAY
world_new "$STEP_DIR/world"
server_start
site=$root/srv
mkdir -p "$site/image/data"
cp -a "$REPO/deploy" "$site/deploy"
install -m 0755 "$SUITE_DIR/host/dockwarden" "$site/image/dockwarden"
check "the image is made" sh_there 'cd /srv && DOCKER_BUILDKIT=0 docker build -q -f deploy/Dockerfile --target prebuilt -t dockwarden image'
sed -i "s|https://ca.fleet.internal:8443|$W_URL|" "$site/deploy/manager/agent.toml"
manager() { on_host manager env -C /srv/deploy/manager NGINX_IMAGE=tools:test MANAGER_IMAGE=tools:test timeout 100 docker compose "$@"; }
check "compose accepts the file" manager --profile gate --profile nginx config --quiet

# through FRONT NAME: FRONT stands in front of docker.sock, and a new client NAME is the trusted one.
through() {
    local front=$1 name=$2
    # A new host each time: the one before has spent its token.
    api POST /v1/identities/docker/revoke '{"reason":"superseded"}' >"$STEP_DIR/api" 2>&1 || true
    token_new "$W/tokens/docker" host docker --cidr 127.0.0.0/8 --replace || token_new "$W/tokens/docker" host docker --cidr 127.0.0.0/8
    install -m 0400 "$W/tokens/docker" "$site/deploy/manager/token"
    check "$name enrols" client_enroll "$name"
    rm -rf "$site/deploy/manager/trusted"
    cp -a "$W/clients/$name" "$site/deploy/manager/trusted"
    check "compose brings $front up" manager --profile "$front" up -d
    manages() { manager exec -T trusted docker run -d --name "made-through-$front" --network none busybox:test sleep 600; }
    at_exit manager --profile "$front" logs --tail 40
    settles 60 "the trusted container starts another one through $front" manages
    contains "which runs" "made-through-$front" "$(on_host manager docker ps --format '{{.Names}}')"
    asks_docker() { manager exec -T untrusted curl -sk --max-time 10 -w '\n%{http_code}\n' https://docker:2376/containers/json | tail -n 1; }
    said=$(asks_docker || true)
    [[ $said == 400 || $said == 000 ]] || fail "the untrusted container is refused by $front" "$said"
    ok "the untrusted container is refused by $front ($said)"
    refused "it reaches the host in no other way" any 'timed out|unreachable|failed|refused' \
        manager exec -T untrusted curl -sS --max-time 3 "http://$address:22/"
    check "the trusted one is revoked" admin client revoke "$name" --yes --wait 5s
    stopped() { ! manager exec -T trusted docker ps >"$STEP_DIR/stopped" 2>&1; }
    settles 15 "and refused by $front" stopped
    check "compose takes $front down" manager --profile "$front" down --volumes --timeout 3
}
through gate tina
contains "which says why" revoked "$(<"$STEP_DIR/stopped")"
through nginx tom
