#!/usr/bin/env bash
# Step:  a browser signs in with a link and sees every page in light, dark and on a phone; axe finds nothing serious
# Limit: 600
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/world.sh"
source "$REPO/tests/dashboard/browser.sh"
modules_ensure
world_new "$STEP_DIR/world"
server_start
check "alice has a certificate" client_enroll alice
check "mallory has a certificate" client_enroll mallory
check "mallory is revoked" admin client revoke mallory --reason keyCompromise --yes --wait 0s
token_new "$STEP_DIR/host.token" host web-1.fleet.internal
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$STEP_DIR/host.key" -subj /CN=web-1.fleet.internal \
    -addext subjectAltName=DNS:web-1.fleet.internal -out "$STEP_DIR/host.csr"
body=$(python3 -c 'import json, sys; print(json.dumps({"token": open(sys.argv[1]).read().strip(), "csr": open(sys.argv[2]).read()}))' \
    "$STEP_DIR/host.token" "$STEP_DIR/host.csr")
check "a host has a certificate" api POST /enroll "$body"

link=$(admin dashboard)
NODE_MODULES=$modules check "every page looks as it should" \
    node "$REPO/tests/dashboard/pages.mjs" "$W_URL" "$link" "$WORK/screenshots" alice web-1.fleet.internal
note "pictures are in $WORK/screenshots"
