#!/usr/bin/env bash
# Step:  kill -9 of the server or the agent at any point of an enrolment ends in one certificate and one spent use
# Limit: 600
# Needs: 05
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"
source "$REPO/tests/lib/world.sh"

world_new "$STEP_DIR/world"
server_start

token_new "$W/tokens/crowd" client 'crowd-*' --uses 10
timeout 120 python3 "$REPO/tests/foreign/enroll.py" "$W_URL" "$W_ROOT" "$W/tokens/crowd" 64 crowd >"$STEP_DIR/crowd"
sort "$STEP_DIR/crowd" | awk '{ print $1, $1 == 201 ? "" : $2 }' | sort | uniq -c
equal "64 enrolments at once on a token of 10 make 10" 10 "$(grep -c '^201 ' "$STEP_DIR/crowd")"
equal "with 10 serials" 10 "$(grep '^201 ' "$STEP_DIR/crowd" | sort -u | wc -l)"
equal "the others are refused, none by a fault of the server" 0 "$(grep -c '^5' "$STEP_DIR/crowd" || true)"
equal "the server has 10" 10 "$(api GET '/v1/certificates?limit=1000' | python3 -c '
import json, sys
print(sum(item["name"].startswith("crowd-") for item in json.load(sys.stdin)["items"]))')"

# uses_left TOKEN_FILE
uses_left() {
    local id
    id=$(cut -d_ -f2 "$1")
    api GET '/v1/tokens?limit=1000' | python3 -c '
import json, sys
print([item["uses_left"] for item in json.load(sys.stdin)["items"] if item["id"] == sys.argv[1]][0])' "$id"
}

# one_certificate NAME: as the server and the files say.
one_certificate() {
    local name=$1 files
    files=$(agent_certs "$name")
    [[ $(uses_left "$W/tokens/$name") == 1 ]] || fail "$name: one use is spent" "left of 2: $(uses_left "$W/tokens/$name")"
    [[ $(api GET "/v1/certificates?name=$name" | field items len) == 1 ]] ||
        fail "$name: there is one certificate" "$(api GET "/v1/certificates?name=$name")"
    key_matches "$files/cert.pem" "$files/key.pem" || fail "$name: key and certificate match"
    local serial
    serial=$(openssl x509 -in "$files/cert.pem" -noout -serial | cut -d= -f2 | tr '[:upper:]' '[:lower:]')
    contains_serial "$name" "$serial" || fail "$name: the host has the certificate that the server knows" "serial $serial"
}

contains_serial() { api GET "/v1/certificates?name=$1" | field items 0 serial | tr -d : | grep -qix "0*$2"; }

enrolled() { [[ -e $(agent_certs "$1")/cert.pem ]] && served_serial "$2"; }

milliseconds() { echo $(($(date +%s%N) / 1000000)); }

# begin NAME: an agent starts to enrol. Two uses on its token: had an enrolment spent a second one, it would show.
begin() {
    local name=$1
    port=$(free_port)
    token_new "$W/tokens/$name" host "$name" --cidr 127.0.0.0/8 --uses 2
    agent_config "$name" "$port" "$RUN_DIR/no-docker.sock"
    began=$(milliseconds)
    agent_start "$name"
}

# kill_at WHOM MILLISECONDS
kill_at() {
    local whom=$1 point=$2 name=$1-$2 port began
    begin "$name"
    sleep "$(printf '%d.%03d' $((point / 1000)) $((point % 1000)))"
    if [[ $whom == server ]]; then server_kill; else stop "agent-$name" KILL; fi
    tally "$name" "$whom"
    if [[ $whom == server ]]; then server_start; else agent_start "$name"; fi
    wait_for 60 "$name enrols in the end" enrolled "$name" "$port"
    one_certificate "$name"
    stop "agent-$name"
}

# tally NAME WHOM: how far the enrolment had come when the kill hit.
tally() {
    local where=before
    if [[ -e $(agent_certs "$1")/cert.pem ]]; then
        where=after
    elif [[ $2 == agent && $(api GET "/v1/certificates?name=$1" | field items len) == 1 ]]; then
        where="between answer and files"
    fi
    printf '%s %s\n' "$2" "$where" >>"$STEP_DIR/tally"
}

# How long an enrolment takes here when nobody is killed: the points are spread over that, and a little more.
begin undisturbed
wait_for 60 "an agent enrols" test -e "$(agent_certs undisturbed)/cert.pem"
whole=$(($(milliseconds) - began))
stop agent-undisturbed
points=${DOCKWARDEN_KILL_POINTS:-18}
for whom in server agent; do
    for ((point = 1; point <= points; point++)); do kill_at "$whom" $((whole * point * 12 / points / 10)); done
    ok "the $whom killed at each of $points points: one certificate, one use, key and certificate match"
done
note "an enrolment took $whole ms; the kills hit: $(sort "$STEP_DIR/tally" | uniq -c | sed 's/^ *//' | paste -sd, | sed 's/,/, /g')"
check "the audit log is whole" admin audit verify
