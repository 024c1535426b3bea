#!/usr/bin/env bash
# Step:  nginx with our lists, nginx with our OCSP responder, and HAProxy with our lists agree on good, revoked, unknown and stale
# Limit: 180
# Needs: 10
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/world.sh"
source "$REPO/tests/lib/proxies.sh"
source "$REPO/tests/lib/clock.sh"
world_use "$SUITE_DIR/world"
cat "$W"/{clients,root}.crl.pem >"$STEP_DIR/crls.pem"
cat "$W_ROOT" "$W/server/ca/clients.pem" >"$STEP_DIR/cas.pem"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$STEP_DIR/key.pem" -out "$STEP_DIR/cert.pem" \
    -subj /CN=localhost -addext subjectAltName=DNS:localhost -days 1 2>/dev/null
cat "$STEP_DIR/cert.pem" "$STEP_DIR/key.pem" >"$STEP_DIR/pair.pem"
lists_port=$(free_port) ocsp_port=$(free_port) haproxy_port=$(free_port) partial_port=$(free_port)

nginx_conf >"$STEP_DIR/nginx.conf" <<CONF
    ssl_certificate $STEP_DIR/cert.pem;
    ssl_certificate_key $STEP_DIR/key.pem;
    ssl_client_certificate $STEP_DIR/cas.pem;
    ssl_verify_client on;
    ssl_verify_depth 2;
    ssl_session_tickets off;
    ssl_session_cache off;
    server {
        listen 127.0.0.1:$lists_port ssl;
        ssl_crl $STEP_DIR/crls.pem;
        location / { return 200 "let in\n"; }
    }
    server {
        listen 127.0.0.1:$partial_port ssl;
        ssl_crl $W/clients.crl.pem;
        location / { return 200 "let in\n"; }
    }
    server {
        listen 127.0.0.1:$ocsp_port ssl;
        ssl_ocsp leaf;
        ssl_ocsp_responder http://$W_ADDRESS:$W_PLAIN_PORT/ocsp;
        location / { return 200 "let in\n"; }
    }
CONF
cat >"$STEP_DIR/haproxy.cfg" <<CONF
global
    log stderr local0
defaults
    mode http
    timeout client 10s
    timeout server 10s
    timeout connect 5s
frontend lists
    bind 127.0.0.1:$haproxy_port ssl crt $STEP_DIR/pair.pem ca-file $STEP_DIR/cas.pem crl-file $STEP_DIR/crls.pem verify required no-tls-tickets
    http-request return status 200 content-type text/plain string "let in"
CONF

# dial PORT NAME
dial() {
    curl -sS --max-time 10 --cacert "$STEP_DIR/cert.pem" --cert "$W/clients/$2/cert.pem" --key "$W/clients/$2/key.pem" \
        --resolve "localhost:$1:127.0.0.1" "https://localhost:$1/"
}

# let_in WHO PORT NAME, kept_out WHO PORT NAME
let_in() { contains "$1 lets $3 in" "let in" "$(dial "$2" "$3" 2>&1 || true)"; }
kept_out() {
    local said
    said=$(dial "$2" "$3" 2>&1 || true)
    [[ $said != *"let in"* ]] || fail "$1 refuses $3" "$said"
    grep -Eqi 'SSL certificate error|alert|revoked' <<<"$said" || fail "$1 refuses $3 for its certificate" "$said"
    ok "$1 refuses $3"
}

# programs_start [THROUGH...]
programs_start() {
    start nginx "$@" nginx -e "$STEP_DIR/nginx-error.log" -c "$STEP_DIR/nginx.conf"
    start haproxy "$@" haproxy -db -f "$STEP_DIR/haproxy.cfg"
    for port in "$lists_port" "$ocsp_port" "$partial_port" "$haproxy_port"; do
        wait_for 10 "port $port listens" listens 127.0.0.1 "$port"
    done
}
programs_start
let_in "nginx with ssl_crl" "$lists_port" alice
kept_out "nginx with ssl_crl" "$lists_port" mallory
kept_out "nginx without the list of the root" "$partial_port" alice
let_in "nginx with ssl_ocsp" "$ocsp_port" alice
kept_out "nginx with ssl_ocsp" "$ocsp_port" mallory
let_in "HAProxy with crl-file" "$haproxy_port" alice
kept_out "HAProxy with crl-file" "$haproxy_port" mallory

# What was never issued is on no list; OCSP knows.
kept_out "nginx with ssl_ocsp" "$ocsp_port" ghost
let_in "nginx with ssl_crl, which cannot know," "$lists_port" ghost
let_in "HAProxy with crl-file, which cannot know," "$haproxy_port" ghost

# Two days later every list and every answer is over: nobody is let in.
for program in nginx haproxy; do stop "$program"; done
clock_of "$STEP_DIR/clock"
clock_set "$STEP_DIR/clock" +2d
programs_start "${through_clock[@]}"
for name in alice mallory; do
    kept_out "with a stale list nginx" "$lists_port" "$name"
    kept_out "with a stale list HAProxy" "$haproxy_port" "$name"
    kept_out "with a stale OCSP answer nginx" "$ocsp_port" "$name"
done
