#!/usr/bin/env bash
# Step:  deploy/nginx and deploy/haproxy, with an agent in mode files and deploy/crl-refresh.sh, stand in front of a real engine
# Limit: 300
# Needs: 50
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"
source "$REPO/tests/lib/world.sh"
world_new "$STEP_DIR/world"
server_start
token_new "$W/tokens/host" host host --cidr 127.0.0.0/8
agent_config host "$(free_port)" "$DOCKER_SOCKET" 'mode = "files"'
agent_start host
files=$W/agents/host/files
settles 30 "the agent enrols" test -e "$files/current/cert.pem"
for name in alice mallory; do check "$name enrols" client_enroll "$name"; done
nginx_port=$(free_port) haproxy_port=$(free_port)

refresh() { "$REPO/deploy/crl-refresh.sh" "$W_URL" "$files" "$STEP_DIR/reload"; }
cat >"$STEP_DIR/reload" <<RELOAD
#!/bin/sh
echo reload >>"$STEP_DIR/reloads"
RELOAD
chmod +x "$STEP_DIR/reload"
settles 20 "the lists are fetched and checked" refresh
check "a second time nothing changed" refresh
equal "so there was one reload" 1 "$(wc -l <"$STEP_DIR/reloads")"
equal "both lists are there" 2 "$(grep -c 'BEGIN X509 CRL' "$files/crl.pem")"
(umask 077 && cat "$files/current/cert.pem" "$files/current/key.pem" >"$files/haproxy.pem")

# here FILE: a sample with this machine's paths and ports.
here() {
    sed -e "s|/etc/docker/dockwarden|$files|g" -e "s|/var/run/docker.sock|$DOCKER_SOCKET|" \
        -e "s|listen 2376|listen 127.0.0.1:$nginx_port|" -e "s|bind :2376|bind 127.0.0.1:$haproxy_port|" "$1"
}
cat >"$STEP_DIR/nginx.conf" <<CONF
user root;
daemon off;
worker_processes 1;
pid $STEP_DIR/nginx.pid;
error_log $STEP_DIR/nginx-error.log info;
events {}
http {
    access_log off;
    client_body_temp_path $STEP_DIR/nginx-body;
    proxy_temp_path $STEP_DIR/nginx-proxy;
    fastcgi_temp_path $STEP_DIR/nginx-fastcgi;
    uwsgi_temp_path $STEP_DIR/nginx-uwsgi;
    scgi_temp_path $STEP_DIR/nginx-scgi;
$(here "$REPO/deploy/nginx/docker.conf")
}
CONF
{
    printf 'global\n    log stderr local0\n    stats socket %s level admin\n' "$RUN_DIR/haproxy.sock"
    here "$REPO/deploy/haproxy/docker.cfg"
} >"$STEP_DIR/haproxy.cfg"
start nginx nginx -e "$STEP_DIR/nginx-error.log" -c "$STEP_DIR/nginx.conf"
start haproxy haproxy -W -db -f "$STEP_DIR/haproxy.cfg"
for port in "$nginx_port" "$haproxy_port"; do wait_for 10 "port $port listens" listens 127.0.0.1 "$port"; done

for name in alice mallory; do
    for port in "$nginx_port" "$haproxy_port"; do
        contains "$name's docker works through port $port" ticker "$(docker_as "$name" "$port" ps)"
        contains "and its terminal" terminal "$(timeout 30 script -qec "$(printf '%q ' env DOCKER_HOST="tcp://127.0.0.1:$port" \
            DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH="$W/clients/$name" docker) exec -it ticker sh -c 'test -t 0 && echo terminal'" /dev/null </dev/null)"
    done
    contains "input ends before output through HAProxy" input "$(echo input | docker_as "$name" "$haproxy_port" exec -i ticker cat)"
done

cat >"$STEP_DIR/reload" <<RELOAD
#!/bin/sh
echo reload >>"$STEP_DIR/reloads"
kill -s HUP $(pid_of nginx) && kill -s USR2 $(pid_of haproxy)
RELOAD
check "mallory is revoked" admin client revoke mallory --yes --wait 0s
serial=$(openssl x509 -in "$W/clients/mallory/cert.pem" -noout -serial | cut -d= -f2)
lists_mallory() { refresh && openssl crl -in "$files/crl.pem" -noout -text | grep -q "Serial Number: $serial"; }
settles 20 "the fresh list names mallory" lists_mallory
refuses() { ! docker_as mallory "$1" ps >"$STEP_DIR/refused" 2>&1; }
settles 20 "nginx refuses mallory" refuses "$nginx_port"
settles 20 "HAProxy refuses mallory" refuses "$haproxy_port"
for port in "$nginx_port" "$haproxy_port"; do check "alice still works through port $port" docker_as alice "$port" ps; done

cp "$files/crl.pem" "$STEP_DIR/good.pem"
echo FFFFFFFFFFFFFFFF >"$files/.crl-clients.number"
refused "an older list than the one in use is not taken" 1 'older list' refresh
server_stop
refused "without the server the lists stay" 1 'cannot fetch' refresh
check "as they were" cmp "$STEP_DIR/good.pem" "$files/crl.pem"
