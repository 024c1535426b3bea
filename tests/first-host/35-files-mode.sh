#!/usr/bin/env bash
# Step:  mode files keeps the certificate of an nginx in front of docker.sock fresh, by a hook, and clients reach Docker through it
# Limit: 120
# Needs: 05
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"
source "$REPO/tests/lib/world.sh"

# The agent renews on while the next steps do their work; 92-files-mode.sh says what came of it.
world_new "$SUITE_DIR/files-mode" '[profiles.host]' 'lifetime = "30s"'
server_start_for_suite
port=$(free_port)
printf '%s\n' "$port" >"$W/nginx-port"
directory=$W/nginx
current=$(agent_certs front)
mkdir -p "$directory"
cat >"$directory/nginx.conf" <<CONFIGURATION
user root;
worker_processes 1;
daemon off;
pid $directory/pid;
error_log $directory/error.log info;
events {}
http {
    access_log off;
    client_body_temp_path $directory/body;
    proxy_temp_path $directory/proxy;
    fastcgi_temp_path $directory/fastcgi;
    uwsgi_temp_path $directory/uwsgi;
    scgi_temp_path $directory/scgi;
    map \$http_upgrade \$connection_upgrade { default upgrade; "" ""; }
    server {
        listen 127.0.0.1:$port ssl;
        ssl_certificate $current/cert.pem;
        ssl_certificate_key $current/key.pem;
        ssl_client_certificate $current/ca.pem;
        ssl_verify_client on;
        ssl_verify_depth 2;
        ssl_session_cache off;
        ssl_session_tickets off;
        client_max_body_size 0;
        location / {
            proxy_pass http://unix:$DOCKER_SOCKET:;
            proxy_http_version 1.1;
            proxy_set_header Host docker;
            proxy_set_header Upgrade \$http_upgrade;
            proxy_set_header Connection \$connection_upgrade;
            proxy_buffering off;
            proxy_request_buffering off;
            proxy_read_timeout 10m;
        }
    }
}
CONFIGURATION

# What an administrator writes as hook: check, then reload. Before nginx runs there is nothing to reload.
cat >"$directory/hook" <<HOOK
#!/bin/sh
set -e
[ ! -e $directory/out-of-order ] || { echo "nginx is out of order" >&2; exit 3; }
nginx -t -q -c $directory/nginx.conf
[ ! -s $directory/pid ] || nginx -s reload -c $directory/nginx.conf
HOOK
chmod 755 "$directory/hook"

token_new "$W/tokens/front" host front --cidr 127.0.0.0/8
agent_config front "$port" "$DOCKER_SOCKET" 'mode = "files"' "hook = [\"$directory/hook\"]" "dial = \"127.0.0.1:$port\""
agent_start_for_suite front
wait_for 20 "the agent enrols and leaves the files" test -s "$current/cert.pem"
check "key and certificate match" key_matches "$current/cert.pem" "$current/key.pem"
start_for_suite nginx nginx -c "$directory/nginx.conf" -e "$directory/error.log"
wait_for 10 "nginx serves" served_serial "$port"

condition_is() { dockwarden agent status --config "$W/agents/front/agent.toml" | grep -E "^ +$1 +$2 "; }
settles 40 "agent status says that what is served is the certificate in use" condition_is Serving True
equal "so it is" "$(openssl x509 -in "$current/cert.pem" -noout -serial)" "$(served_serial "$port")"
start_for_suite nginx-serials "$REPO/tests/lib/renewal-load" serials "$W/serials" bash -c \
    "openssl s_client -connect 127.0.0.1:$port </dev/null 2>/dev/null | openssl x509 -noout -serial"

client_enroll erin
export DOCKER_HOST=tcp://127.0.0.1:$port DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=$W/clients/erin
contains "docker version names the engine" "Server:" "$(timeout 30 docker version)"
# (nginx knows no half-close, which attached `docker run` and `docker exec` begin with: one more reason for the gate.)
check "docker run starts a container" docker run -d --name behind-nginx --network=none busybox:test sh -c 'sleep 1; echo "through nginx"'
equal "docker logs -f follows it to its end" "through nginx" "$(timeout 30 docker logs -f behind-nginx)"
check "docker cp puts a file in" docker cp "$W_ROOT" behind-nginx:/root.pem
check "docker rm ends it" docker rm -f behind-nginx
start_for_suite nginx-calls "$REPO/tests/lib/renewal-load" calls "$W/calls" docker ps
unset DOCKER_HOST DOCKER_TLS_VERIFY DOCKER_CERT_PATH

# refused_by_nginx WHAT ARGUMENT...: curl with these arguments gets nothing of Docker's.
refused_by_nginx() {
    local what=$1
    shift
    refused "nginx refuses $what" any 'certificate|alert|ssl|400' \
        curl -sS --fail --max-time 10 --cacert "$W/clients/erin/ca.pem" "$@" "https://127.0.0.1:$port/containers/json"
}
refused_by_nginx "who has no certificate"
mkdir -p "$STEP_DIR/host"
cp "$current"/{cert,key}.pem "$STEP_DIR/host/"
refused_by_nginx "the leaf of a host" --cert "$STEP_DIR/host/cert.pem" --key "$STEP_DIR/host/key.pem"
contains "and lets a client's pass" Id "$(curl -sS --fail --max-time 10 --cacert "$W/clients/erin/ca.pem" \
    --cert "$W/clients/erin/cert.pem" --key "$W/clients/erin/key.pem" "https://127.0.0.1:$port/images/json")"
