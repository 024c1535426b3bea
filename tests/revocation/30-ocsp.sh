#!/usr/bin/env bash
# Step:  openssl, GnuTLS and pkilint believe the OCSP answers: good, revoked, unknown; POST and GET; with and without nonce
# Limit: 300
# Needs: 10
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/world.sh"
world_use "$SUITE_DIR/world"
url=http://$W_ADDRESS:$W_PLAIN_PORT/ocsp
issuer=$W/server/ca/clients.pem

# ask ARGUMENT...: the responder, with openssl, in full.
ask() { timeout 20 openssl ocsp -url "$url" -CAfile "$W_ROOT" -verify_other "$issuer" -issuer "$issuer" "$@" 2>&1; }

# answers WHAT STATUS ARGUMENT...: a verified answer with that status.
answers() {
    local what=$1 status=$2 said
    shift 2
    said=$(ask "$@")
    contains "the answer about $what verifies" "Response verify OK" "$said"
    contains "it says $status" ": $status" "$said"
    [[ $said != *WARNING* ]] || fail "openssl has a warning about $what" "$said"
}

for option in "" -no_nonce -sha256; do
    # shellcheck disable=SC2086 # none or one
    answers "alice ($option)" good $option -cert "$W/clients/alice/cert.pem"
    # shellcheck disable=SC2086
    answers "mallory ($option)" revoked $option -cert "$W/clients/mallory/cert.pem"
    # shellcheck disable=SC2086
    answers "a serial that was never issued ($option)" unknown $option -serial 0x123456789a
    # shellcheck disable=SC2086
    answers "the ghost, which the issuer's key signed and the server never issued ($option)" unknown $option -cert "$W/clients/ghost/cert.pem"
done
contains "the reason is given" "Reason: keyCompromise" "$(ask -cert "$W/clients/mallory/cert.pem")"
contains "an issuer, which the root speaks for, is none of its business" "unauthorized" \
    "$(timeout 20 openssl ocsp -url "$url" -CAfile "$W_ROOT" -issuer "$W_ROOT" -cert "$issuer" 2>&1 || true)"

# The GET form, as it is and escaped.
openssl ocsp -no_nonce -issuer "$issuer" -cert "$W/clients/mallory/cert.pem" -reqout "$STEP_DIR/request.der"
base64=$(base64 -w0 "$STEP_DIR/request.der")
escaped=$(sed 's/+/%2B/g; s,/,%2F,g; s/=/%3D/g' <<<"$base64")
for form in "$base64" "$escaped"; do
    curl -sSf --max-time 10 -D "$STEP_DIR/head" -o "$STEP_DIR/answer.der" --path-as-is "$url/$form"
    contains "GET is answered like POST" ": revoked" "$(openssl ocsp -respin "$STEP_DIR/answer.der" -issuer "$issuer" \
        -cert "$W/clients/mallory/cert.pem" -CAfile "$W_ROOT" -verify_other "$issuer" 2>&1)"
    for header in cache-control etag expires last-modified 'content-type: application/ocsp-response'; do
        grep -qi "^$header" "$STEP_DIR/head" || fail "the answer to GET has $header" "$(cat "$STEP_DIR/head")"
    done
done
ok "answers to GET say how long they may be kept"
check "GnuTLS believes the answer" ocsptool --verify-response --load-trust "$issuer" --load-response "$STEP_DIR/answer.der"
for name in alice ghost mallory; do
    ask -no_nonce -cert "$W/clients/$name/cert.pem" -respout "$STEP_DIR/$name.der" >"$STEP_DIR/asked"
    { timeout 60 lint_ocsp_response lint --format CSV --severity NOTICE "$STEP_DIR/$name.der" || true; } | tr -d '\r' >"$STEP_DIR/lint"
    equal "pkilint has nothing to say of the answer about $name" "node_path,validator,severity,code,message" "$(grep . "$STEP_DIR/lint")"
done
contains "two days later openssl calls the answer about alice expired" "status expired" \
    "$(faketime -f +2d openssl ocsp -respin "$STEP_DIR/alice.der" -issuer "$issuer" -cert "$W/clients/alice/cert.pem" \
        -CAfile "$W_ROOT" -verify_other "$issuer" 2>&1 || true)"
openssl ocsp -respin "$STEP_DIR/answer.der" -resp_text -noverify | sed -n '/BEGIN CERT/,/END CERT/p' >"$STEP_DIR/signer.pem"
{ timeout 60 lint_pkix_cert lint --format CSV --severity NOTICE "$STEP_DIR/signer.pem" || true; } | tr -d '\r' >"$STEP_DIR/lint"
equal "pkilint has nothing to say of the signer" "node_path,validator,severity,code,message" "$(grep . "$STEP_DIR/lint")"
printf 'GET / HTTP/1.0' >"$STEP_DIR/garbage"
curl -sS --max-time 10 -o "$STEP_DIR/refusal.der" -H 'Content-Type: application/ocsp-request' --data-binary "@$STEP_DIR/garbage" "$url"
contains "garbage is called malformed" "malformedrequest" "$(openssl ocsp -respin "$STEP_DIR/refusal.der" 2>&1 || true)"
