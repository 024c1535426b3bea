#!/usr/bin/env bash
# Step:  deploy/enroll.sh enrols a host with sh, curl and openssl alone, and shows its token to no false server
# Limit: 180
# Needs: 10
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/forge.sh"
source "$REPO/tests/lib/world.sh"
world_use "$SUITE_DIR/world"

# enroll NAME URL [NAME_OR_ADDRESS...]: with the token and the directory of that host, and an empty environment.
enroll() {
    local name=$1 url=$2
    shift 2
    env -i PATH="$PATH" DOCKWARDEN_DIR="$STEP_DIR/$name" dash "$REPO/deploy/enroll.sh" "$url" "$W/tokens/$name" "$@"
}

# hosts_named NAME: how many certificates the server has for it.
hosts_named() { api GET "/v1/certificates?name=$1" | field items len; }

token_new "$W/tokens/plain-1" host plain-1 --cidr 127.0.0.0/8
check "a host enrols" enroll plain-1 "$W_URL/" plain-1 127.0.0.5
current=$STEP_DIR/plain-1/current
check "openssl accepts what it got" openssl verify -x509_strict -no-CApath -CAfile "$current/ca.pem" \
    -untrusted "$current/cert.pem" -purpose sslserver -verify_hostname plain-1 "$current/cert.pem"
check "for its address too" openssl verify -no-CApath -CAfile "$current/ca.pem" -untrusted "$current/cert.pem" \
    -verify_ip 127.0.0.5 "$current/cert.pem"
check "key and certificate match" key_matches "$current/cert.pem" "$current/key.pem"
equal "the key is for root alone" 400 "$(stat -L -c %a "$current/key.pem")"
equal "nothing else is left there" "ca.pem cert.pem key.pem" "$(cd "$current/" && echo *)"
equal "the server knows it" 1 "$(hosts_named plain-1)"
before=$(sha256sum "$current"/*)
check "a second run changes nothing" enroll plain-1 "$W_URL" plain-1 127.0.0.5
equal "the files are the same" "$before" "$(sha256sum "$current"/*)"

# As if it had been cut off at the very end: the answer is gone, the key is there, the token is spent.
rm "$STEP_DIR/plain-1/current" "$STEP_DIR/plain-1/versions/1/cert.pem"
check "a run that was cut off is finished by the next one" enroll plain-1 "$W_URL" plain-1 127.0.0.5
equal "with the same key and the same certificate" "$before" "$(sha256sum "$current"/*)"
equal "the server gave one certificate" 1 "$(hosts_named plain-1)"

token_new "$W/tokens/plain-2" host plain-2 --cidr 127.0.0.0/8 --manual
start waiting env -i PATH="$PATH" DOCKWARDEN_DIR="$STEP_DIR/plain-2" dash "$REPO/deploy/enroll.sh" "$W_URL" "$W/tokens/plain-2" plain-2
wait_for 20 "it says what it waits for" grep -o 'dockwarden host approve [a-z2-7]*' "$STEP_DIR/waiting.log"
request=$(grep -o 'dockwarden host approve [a-z2-7]*' "$STEP_DIR/waiting.log" | head -n 1)
check "an operator approves what it says" admin host approve "${request##* }"
settles 30 "it enrols after that" key_matches "$STEP_DIR/plain-2/current/cert.pem" "$STEP_DIR/plain-2/current/key.pem"

token_new "$W/tokens/plain-3" host plain-3
refused "a name outside the token's is refused, with the server's words" 1 'db-1' enroll plain-3 "$W_URL" db-1
refused "plain HTTP is refused" 1 'https://' enroll plain-3 "http://127.0.0.1:$W_PLAIN_PORT" plain-3
refused "so is a server that is not there" 1 'cannot reach' enroll plain-3 "https://127.0.0.1:1" plain-3
mkdir "$STEP_DIR/bad"
for bad in '' dw1_a_b 'dw1_a"_b_c' "$(head -c 60 "$W/tokens/plain-3")"; do
    printf '%s' "$bad" >"$W/tokens/bad"
    refused "a damaged token is refused" 1 'token' enroll bad "$W_URL" bad
done

# false_server NAME CA_PEM: TLS under another CA, showing CA_PEM as its root, and writing down all that it is sent.
false_server() {
    local name=$1 port
    port=$(free_port)
    start "$name" python3 "$REPO/tests/foreign/false_server.py" "$port" "$STEP_DIR/false/leaf" "$2" "$STEP_DIR/$name.heard"
    wait_for 10 "the false server listens" served_serial "$port"
    printf '%s\n' "$port"
}
forge_ca "$STEP_DIR/false/ca" "Corp Proxy Root"
forge_leaf "$STEP_DIR/false/leaf" "$STEP_DIR/false/ca/cert.pem" "$STEP_DIR/false/ca/key.pem" localhost serverAuth \
    20260101000000Z 20360101000000Z
cat "$W_ROOT" "$STEP_DIR/false/ca/cert.pem" >"$STEP_DIR/false/both.pem"
port=$(false_server other-root "$STEP_DIR/false/ca/cert.pem")
refused "a server with another root is refused" 1 'not the server this token was made for' \
    enroll plain-3 "https://localhost:$port" plain-3
port=$(false_server shows-the-right-root "$W_ROOT")
refused "so is one that shows the right root and is not under it" 1 'not under the pinned root' \
    enroll plain-3 "https://localhost:$port" plain-3
port=$(false_server shows-both-roots "$STEP_DIR/false/both.pem")
refused "so is one that adds its own root to the right one" 1 'not under the pinned root' \
    enroll plain-3 "https://localhost:$port" plain-3
secret=$(cut -d_ -f3 "$W/tokens/plain-3")
for heard in "$STEP_DIR"/*.heard; do
    check "$(basename "$heard" .heard) was asked" grep -q 'GET /ca.pem' "$heard"
    equal "and never saw the secret" 0 "$(grep -cF "$secret" "$heard" || true)"
done
check "the token is still good" enroll plain-3 "$W_URL" plain-3
