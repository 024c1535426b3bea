# shellcheck shell=bash
# nginx, HAProxy, stunnel and Envoy in front of something, and who they let in.

# nginx_conf: the frame of a configuration; what goes into its http block comes on standard input.
nginx_conf() {
    cat <<CONF
user root;
daemon off;
worker_processes 1;
pid $STEP_DIR/nginx.pid;
error_log $STEP_DIR/nginx-error.log info;
# For clocks that are wrong.
env FAKETIME_TIMESTAMP_FILE;
env FAKETIME_NO_CACHE;
env FAKETIME_DONT_FAKE_MONOTONIC;
events {}
http {
    access_log off;
    client_body_temp_path $STEP_DIR/nginx-body;
    proxy_temp_path $STEP_DIR/nginx-proxy;
    fastcgi_temp_path $STEP_DIR/nginx-fastcgi;
    uwsgi_temp_path $STEP_DIR/nginx-uwsgi;
    scgi_temp_path $STEP_DIR/nginx-scgi;
$(cat)
}
CONF
}

# nginx_start: with $STEP_DIR/nginx.conf, until the step ends.
nginx_start() { start nginx nginx -e "$STEP_DIR/nginx-error.log" -c "$STEP_DIR/nginx.conf"; }

# sample FILE PORT DIRECTORY: a configuration of deploy/ with this machine's port and paths.
sample() {
    sed -e "s|/etc/docker/dockwarden|$3|g" -e "s|/var/run/docker.sock|$DOCKER_SOCKET|g" \
        -e "s|listen 2376|listen 127.0.0.1:$2|" -e "s|bind :2376|bind 127.0.0.1:$2|" \
        -e "s|accept = 2376|accept = 127.0.0.1:$2|" \
        -e "s|address: 0.0.0.0, port_value: 2376|address: 127.0.0.1, port_value: $2|" "$1"
}

# Where they listen; steps set it.
port=${port:-}

# s_client NAME ARGUMENT...: a TLS connection to $port as that client.
s_client() {
    local name=$1
    shift
    timeout 10 openssl s_client -connect "127.0.0.1:$port" -CAfile "$W_ROOT" -cert "$W/clients/$name/cert.pem" \
        -key "$W/clients/$name/key.pem" -cert_chain "$W/clients/$name/cert.pem" "$@" 2>&1 || true
}

PING='GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'

# asked NAME ARGUMENT...: one request over such a connection; what openssl says of it, and the answer.
asked() {
    # shellcheck disable=SC2059 # escapes are meant
    { printf "$PING"; sleep 1; } | s_client "$@"
}

# session_of NAME: tries to get something to come back with, in $STEP_DIR/session-VERSION, and comes back with it in vain.
session_of() {
    local version
    for version in tls1_2 tls1_3; do
        contains "openssl gets an answer as $1 ($version)" "200 OK" "$(asked "$1" "-$version" -sess_out "$STEP_DIR/session-$version")"
        [[ ! -s $STEP_DIR/session-$version ]] || contains "which begins anew with a session from before ($version)" "New, TLS" \
            "$(asked "$1" "-$version" -sess_in "$STEP_DIR/session-$version")"
    done
    equal "of six connections none resumes another" 0 "$(s_client "$1" -tls1_2 -reconnect </dev/null | grep -c '^Reused' || true)"
}

# session_opens_nothing NAME
session_opens_nothing() {
    local said session
    for session in "$STEP_DIR"/session-*; do
        said=$(asked "$1" "-${session##*-}" -sess_in "$session")
        [[ $said != *"200 OK"* ]] || fail "a session of $1 from before opens nothing" "$(tail -n 5 <<<"$said")"
    done
    ok "a session of $1 from before opens nothing"
}

# docker_fails NAME: docker as that client through $port.
docker_fails() { ! docker_as "$1" "$port" ps >"$STEP_DIR/refused" 2>&1; }

# gone NAME: that process has ended.
gone() { ! running "$1"; }

# bites WHO: mallory is let in by WHO on $port, revoked, and refused from then on: at the next handshake, on a connection that
# was kept, with a session from before, in the middle of a stream.
bites() {
    local who=$1 printed before after
    for name in alice mallory; do
        contains "$name's docker works through $who" ticker "$(docker_as "$name" "$port" ps)"
    done
    session_of mallory
    start kept python3 "$REPO/tests/foreign/kept_alive.py" "$port" "$W/clients/mallory" "$STEP_DIR/ready" "$STEP_DIR/go"
    settles 20 "mallory keeps a connection open" test -e "$STEP_DIR/ready"
    start stream bash -c "exec $(printf '%q ' env DOCKER_HOST="tcp://127.0.0.1:$port" DOCKER_TLS_VERIFY=1 \
        DOCKER_CERT_PATH="$W/clients/mallory" docker) logs -f ticker"
    wait_for 20 "mallory's docker logs -f flows" test -s "$STEP_DIR/stream.log"

    printed=$(admin client revoke mallory --reason keyCompromise --yes)
    contains "revoke says that the host has applied it" "applied on 1 of 1 hosts" "$printed"
    note "$(sed -n 's/^ *\(applied on.*\)/\1/p' <<<"$printed")"
    settles 5 "$who refuses mallory's next connection" docker_fails mallory
    touch "$STEP_DIR/go"
    wait_for 10 "the kept connection was tried" gone kept
    before=$(head -n 1 "$STEP_DIR/kept.log") after=$(tail -n 1 "$STEP_DIR/kept.log")
    equal "the connection that mallory kept worked before" 200 "$before"
    equal "and is closed now" ended "$after"
    session_opens_nothing mallory
    settles 5 "mallory's docker logs -f is cut" gone stream
    settles 5 "alice works" docker_as alice "$port" ps
}
