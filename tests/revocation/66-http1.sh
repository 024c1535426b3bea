#!/usr/bin/env bash
# Step:  an agent whose way to the server is a proxy of HTTP/1.1 alone follows the feed, acknowledges, and catches up after a break
# Limit: 240
# Needs: 50
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"
source "$REPO/tests/lib/world.sh"
source "$REPO/tests/lib/forge.sh"
source "$REPO/tests/lib/proxies.sh"
world_with_host "$STEP_DIR/world"
enrolled alice mallory trudy
stop agent-host
config=$W/agents/host/agent.toml certs=$(agent_certs host) front=$(free_port) log=$STEP_DIR/asked.log

# The proxy ends TLS with a certificate of the fleet, and shows the server the host's own.
openssl pkey -in "$W/server/keys/hosts.key.pem" -passin "file:$W/passphrase" -out "$STEP_DIR/hosts.key"
forge_leaf "$STEP_DIR/front" "$W/server/ca/hosts.pem" "$STEP_DIR/hosts.key" localhost serverAuth \
    "$(date -u +%Y%m%d000000Z)" "$(date -u -d '+20 days' +%Y%m%d000000Z)"
nginx_conf >"$STEP_DIR/nginx.conf" <<CONF
    log_format asked '\$request_method \$uri \$server_protocol \$status';
    server {
        listen 127.0.0.1:$front ssl;
        access_log $log asked;
        ssl_certificate $STEP_DIR/front/cert.pem;
        ssl_certificate_key $STEP_DIR/front/key.pem;
        location / {
            proxy_pass https://127.0.0.1:$W_PORT;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_ssl_certificate $certs/cert.pem;
            proxy_ssl_certificate_key $certs/key.pem;
            proxy_ssl_trusted_certificate $W_ROOT;
            proxy_ssl_verify on;
            proxy_ssl_verify_depth 2;
            proxy_ssl_name localhost;
            proxy_ssl_server_name on;
            proxy_ssl_session_reuse off;
        }
    }
CONF
nginx_start
wait_for 10 "nginx listens" listens 127.0.0.1 "$front"
equal "nginx offers HTTP/1.1 alone" "ALPN protocol: http/1.1" \
    "$(openssl s_client -connect "127.0.0.1:$front" -alpn h2,http/1.1 </dev/null 2>/dev/null | grep ALPN)"

sed -i "s|^server = .*|server = \"https://localhost:$front\"|" "$config"
agent_start host
says() { host_status | grep -qE "$1"; }
settles 40 "the agent follows the feed through it" says 'RevocationFresh +True'
works() { docker_as "$1" "$port" ps; }
refuses() { ! docker_as "$1" "$port" ps >"$STEP_DIR/refused" 2>&1 && grep -q revoked "$STEP_DIR/refused"; }
check "mallory works" works mallory
start stream bash -c "exec $(printf '%q ' env DOCKER_HOST="tcp://127.0.0.1:$port" DOCKER_TLS_VERIFY=1 \
    DOCKER_CERT_PATH="$W/clients/mallory" docker) logs -f ticker"
wait_for 20 "mallory's docker logs -f flows" test -s "$STEP_DIR/stream.log"
contains "a revocation is acknowledged through it" "applied on 1 of 1 hosts" "$(admin client revoke mallory --yes)"
settles 5 "mallory's docker logs -f is cut" gone stream
check "and mallory refused" refuses mallory

stop nginx
settles 40 "the proxy is away: the status says so" says 'RevocationFresh +Unknown'
contains "trudy is revoked meanwhile" "applied on 0 of 1 hosts" "$(admin client revoke trudy --yes --wait 1s)"
check "trudy works: nobody could tell this host" works trudy
nginx_start
settles 60 "the proxy is back: trudy is refused" refuses trudy
settles 20 "and the status is good" says 'RevocationFresh +True'
check "alice works" works alice
applied() { [[ $(api GET '/v1/feed/applied?wait=5' | field applied) == 1 ]]; }
settles 20 "the server knows" applied

# What is open is written down when it ends.
stop agent-host
stop nginx
for asked in 'GET /v1/feed HTTP/1.1 200' 'PUT /v1/feed/applied HTTP/1.1 20[04]'; do
    check "nginx has passed on: $asked" grep -q "^$asked\$" "$log"
done
equal "and nothing in another version" "" "$(grep -v ' HTTP/1\.1 ' "$log" || true)"
