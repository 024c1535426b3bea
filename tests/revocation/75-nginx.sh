#!/usr/bin/env bash
# Step:  an agent in mode files keeps crl.pem for deploy/nginx: a revoked client is refused when `revoke` returns, and cut off from what it has open
# Limit: 300
# Needs: 50
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"
source "$REPO/tests/lib/world.sh"
source "$REPO/tests/lib/proxies.sh"
cat >"$STEP_DIR/hook" <<HOOK
#!/bin/sh
echo "\$DOCKWARDEN_CHANGED \${DOCKWARDEN_REVOKED:-}" >>"$STEP_DIR/reloads"
[ ! -e "$STEP_DIR/broken" ] || { echo "nginx is out of order"; exit 3; }
[ ! -e "$STEP_DIR/nginx.pid" ] || kill -s HUP "\$(cat "$STEP_DIR/nginx.pid")"
HOOK
chmod +x "$STEP_DIR/hook"
world_with_files "$STEP_DIR/world" "hook = [\"$STEP_DIR/hook\"]" 'max_staleness = "1m"'
enrolled alice mallory trudy
{
    cat "$REPO/deploy/nginx/cut.conf"
    sample "$REPO/deploy/nginx/docker.conf" "$port" "$files" | nginx_conf
} >"$STEP_DIR/nginx.conf"

# What docker keeps open besides `logs -f`. A build by the CLI that has BuildKit built in brings a session along: an upgrade
# to h2c.
docker_line() {
    printf '%q ' env -u DOCKER_CONTEXT DOCKER_HOST="tcp://127.0.0.1:$port" DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH="$W/clients/$1" "${@:2}"
}
opened=(exec attach build)
[[ $(/usr/bin/docker --version 2>/dev/null) != *" 20.10"* ]] || opened+=(buildkit)
at_exit local_docker rm -f terminal
check "a container with a terminal runs" local_docker run -dit --name terminal --network=none busybox:test \
    sh -c 'while true; do echo tick; sleep 0.2; done'
mkdir "$STEP_DIR/context"
printf 'FROM busybox:test\nRUN while true; do echo tick; sleep 0.2; done\n' >"$STEP_DIR/context/Dockerfile"
command_of() {
    case $2 in
        exec) docker_line "$1" docker exec -it ticker sh -c 'while true; do echo tick; sleep 0.2; done' ;;
        attach) docker_line "$1" docker attach terminal ;;
        build) docker_line "$1" DOCKER_BUILDKIT=0 docker build --network=none --no-cache "$STEP_DIR/context" ;;
        buildkit) docker_line "$1" DOCKER_BUILDKIT=1 /usr/bin/docker build --progress=plain --network=none --no-cache "$STEP_DIR/context" ;;
    esac
}
ticks() { (($(grep -c tick "$STEP_DIR/$1.log") >= 3)); }
streams_of() {
    local stream
    for stream in "${opened[@]}"; do
        start "$1-$stream" script -qefc "$(command_of "$1" "$stream")" /dev/null
        settles 30 "$1's docker $stream flows through nginx" ticks "$1-$stream"
    done
}
# Those that are open end a second after the reload; the next of each is refused.
streams_are_cut() {
    local stream
    for stream in "${opened[@]}"; do settles 5 "$1's docker $stream is cut" gone "$1-$stream"; done
    for stream in "${opened[@]}"; do
        refused "and the next docker $stream is refused" any 'certificate' \
            timeout --kill-after=5 30 script -qefc "$(command_of "$1" "$stream")" /dev/null
    done
}

nginx_start
wait_for 10 "nginx listens" listens 127.0.0.1 "$port"
equal "the lists of clients, hosts and root are in it" 3 "$(grep -c 'BEGIN X509 CRL' "$files/crl.pem")"
check "openssl takes alice by it" openssl verify -crl_check_all -CAfile "$W_ROOT" -untrusted "$W/clients/alice/cert.pem" \
    -CRLfile "$files/crl.pem" "$W/clients/alice/cert.pem"
contains "a terminal works through nginx" terminal "$(timeout 30 script -qec "$(printf '%q ' env DOCKER_HOST="tcp://127.0.0.1:$port" \
    DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH="$W/clients/alice" docker) exec -it ticker sh -c 'test -t 0 && echo terminal'" /dev/null </dev/null)"
streams_of mallory
bites nginx
streams_are_cut mallory
contains "the hook was told what for" "revocations 1" "$(tail -n 1 "$STEP_DIR/reloads")"
lists() { openssl crl -in "$files/crl.pem" -noout -text | grep -q "Serial Number: $(serial_of "$1")"; }
check "crl.pem names mallory" lists mallory

# A hook that fails: said, and tried again.
touch "$STEP_DIR/broken"
printed=$(admin client revoke trudy --yes --wait 2s)
contains "while the hook fails, revoke does not count the host" "applied on 0 of 1 hosts" "$printed"
check "though crl.pem names trudy" lists trudy
says() { host_status | grep -qE "$1"; }
settles 15 "agent status says so" says 'RevocationFresh +False .*the hook exited with 3'
rm "$STEP_DIR/broken"
settles 60 "repaired, it is told" docker_fails trudy
settles 60 "and the status is good" says 'RevocationFresh +True'

# Somebody removes the file; somebody puts an old one back.
cp "$files/crl.pem" "$STEP_DIR/good.pem"
rm "$files/crl.pem"
settles 10 "a crl.pem that was removed comes back" cmp "$STEP_DIR/good.pem" "$files/crl.pem"
printf 'garbage' >"$STEP_DIR/garbage" && cp "$STEP_DIR/garbage" "$files/crl.pem"
settles 10 "one that was overwritten, too" cmp "$STEP_DIR/good.pem" "$files/crl.pem"

# Without the server: goes on with what it knows, also after kill -9; then nobody is let in; then it catches up.
stop agent-host KILL
server_kill
agent_start host
sleep 3
check "an agent that was killed leaves the lists as they are while there is no server" cmp "$STEP_DIR/good.pem" "$files/crl.pem"
check "alice works" docker_as alice "$port" ps
check "mallory does not" docker_fails mallory
settles 90 "after max_staleness nobody is let in" docker_fails alice
equal "for crl.pem holds the list of the root alone" 1 "$(grep -c 'BEGIN X509 CRL' "$files/crl.pem")"
settles 20 "the status says why" says 'RevocationFresh +False .*every remote client is refused since'
check "docker on the host itself works as always" local_docker ps
server_start
works() { docker_as "$1" "$port" ps; }
settles 60 "the server is back, and alice works" works alice
for name in mallory trudy; do check "$name does not" docker_fails "$name"; done
