#!/usr/bin/env bash
# Step:  openssl, GnuTLS, Go and pkilint read the lists, and agree on who is revoked
# Limit: 300
# Needs: 10
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/world.sh"
world_use "$SUITE_DIR/world"
check "the Go reader builds, from the standard library alone" env -C "$REPO/tests/foreign/go" GOTOOLCHAIN=local GOPROXY=off \
    GOFLAGS=-mod=mod GOCACHE="$WORK/go-cache" CGO_ENABLED=0 timeout 200 go build -o "$STEP_DIR/foreign" .


cat "$W"/{clients,hosts,root}.crl.pem >"$STEP_DIR/crls.pem"
at=()
verify() {
    openssl verify "${at[@]}" -x509_strict -no-CApath -crl_check_all -CAfile "$W_ROOT" -untrusted "$W/server/ca/clients.pem" \
        -CRLfile "${2:-$STEP_DIR/crls.pem}" "$W/clients/$1/cert.pem"
}

check "openssl takes alice, with a list of every CA" verify alice
refused "openssl refuses mallory" any 'certificate revoked' verify mallory
refused "openssl refuses whoever has no list of the root" any 'unable to get certificate CRL' verify alice "$W/clients.crl.pem"
for name in clients hosts root; do
    check "openssl takes the signature of the list of $name" openssl crl -in "$W/$name.crl.pem" -CAfile "$W/server/ca/$name.pem" -verify -noout
    check "GnuTLS takes the list of $name" certtool --verify-crl --load-ca-certificate "$W/server/ca/$name.pem" --infile "$W/$name.crl.pem"
    { timeout 60 lint_crl lint -t CRL -p PKIX --format CSV --severity NOTICE "$W/$name.crl.pem" || true; } | tr -d '\r' >"$STEP_DIR/lint"
    equal "pkilint has nothing to say of the list of $name" "node_path,validator,severity,code,message" "$(grep . "$STEP_DIR/lint")"
done
check "Go does not find alice on the list" "$STEP_DIR/foreign" -crl "$W/clients.crl" -issuer "$W/server/ca/clients.pem" -serial "$(serial_of alice)"
refused "Go finds mallory on the list" 3 'reason 1' \
    "$STEP_DIR/foreign" -crl "$W/clients.crl" -issuer "$W/server/ca/clients.pem" -serial "$(serial_of mallory)"
refused "Go does not take it for the list of hosts" 1 'verification failure|signature' \
    "$STEP_DIR/foreign" -crl "$W/clients.crl" -issuer "$W/server/ca/hosts.pem" -serial "$(serial_of alice)"

# What was never issued is on no list, so that no reader of lists can tell it from what is good: OCSP can.
check "openssl takes the ghost by the lists alone" verify ghost
check "Go does not find it either" "$STEP_DIR/foreign" -crl "$W/clients.crl" -issuer "$W/server/ca/clients.pem" -serial "$(serial_of ghost)"

# Past nextUpdate nobody is let in, who is good included.
later=$(date -u -d '+2 days' +%FT%TZ)
at=(-attime "$(date -d '+2 days' +%s)")
for name in alice mallory; do refused "two days later openssl refuses $name: the list is over" any 'CRL has expired' verify "$name"; done
refused "and Go says the same" 1 'stale' "$STEP_DIR/foreign" -crl "$W/clients.crl" -issuer "$W/server/ca/clients.pem" -serial "$(serial_of alice)" -at "$later"
