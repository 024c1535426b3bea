#!/usr/bin/env bash
# Step:  openssl, GnuTLS, Go's crypto/x509 and pkilint accept every certificate, each for its own use only
# Limit: 300
# Needs: 10
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/world.sh"
world_use "$SUITE_DIR/world"

# What pkilint says above a notice, and why it stands:
#   invalid_domain_name_syntax of a name without a dot: a host is dialled as localhost and by its short name, too
LINT_LISTED='pkix.invalid_domain_name_syntax,"Invalid domain name syntax: ""[^.]*"""$'

check "the Go reader builds, from the standard library alone" env -C "$REPO/tests/foreign/go" GOTOOLCHAIN=local GOPROXY=off \
    GOFLAGS=-mod=mod GOCACHE="$WORK/go-cache" CGO_ENABLED=0 timeout 200 go build -o "$STEP_DIR/foreign" .
root=$W_ROOT

# split FILE DIRECTORY: each certificate of a bundle into a file of its own: 1.pem is the leaf.
split() {
    mkdir -p "$2"
    awk -v directory="$2" '/BEGIN CERT/ { n += 1 } { print > (directory "/" n ".pem") }' "$1"
}

# judge WHAT CHAIN USE OTHER NAME: all readers accept it for that use and refuse it for the other.
judge() {
    local what=$1 chain=$2 use=$3 other=$4 name=$5 parts=$STEP_DIR/$1
    split "$chain" "$parts"
    check "openssl takes $what for a $use" openssl verify -x509_strict -no-CApath -CAfile "$root" -untrusted "$parts/2.pem" \
        -purpose "ssl$use" "$parts/1.pem"
    refused "openssl refuses $what for a $other" any 'unsuitable|unsupported|purpose' openssl verify -x509_strict -no-CApath \
        -CAfile "$root" -untrusted "$parts/2.pem" -purpose "ssl$other" "$parts/1.pem"
    check "Go takes $what for a $use" "$STEP_DIR/foreign" -roots "$root" -chain "$chain" -usage "$use" ${name:+-name "$name"}
    refused "Go refuses $what for a $other" 1 'key usage' "$STEP_DIR/foreign" -roots "$root" -chain "$chain" -usage "$other"
    cat "$parts/1.pem" "$parts/2.pem" "$root" >"$parts/all.pem"
    check "GnuTLS takes $what" certtool --verify --load-ca-certificate "$root" --infile "$parts/all.pem"
    lint "$what" "$parts/1.pem"
}

lint() {
    local what=$1 file=$2
    { timeout 60 lint_pkix_cert lint --format CSV --severity NOTICE "$file" || true; } | tr -d "\r" >"$STEP_DIR/lint"
    cat "$STEP_DIR/lint"
    grep -q '^node_path,' "$STEP_DIR/lint" || fail "pkilint reads $what"
    equal "pkilint has nothing above a notice to say of $what" "" \
        "$(grep -E 'WARNING|ERROR|FATAL' "$STEP_DIR/lint" | grep -Ev "$LINT_LISTED" || true)"
}

judge host "$(agent_certs this-machine)/cert.pem" server client 127.0.0.1
judge client "$W/clients/bob/cert.pem" client server ""
lint root "$root"
lint "the hosts issuer" "$STEP_DIR/host/2.pem"
lint "the clients issuer" "$STEP_DIR/client/2.pem"
timeout 10 openssl s_client -connect "127.0.0.1:$W_PORT" -showcerts </dev/null 2>/dev/null |
    sed -n '/BEGIN CERT/,/END CERT/p' >"$STEP_DIR/server-chain.pem"
judge server "$STEP_DIR/server-chain.pem" server client localhost

# One client of each kind of key that a CSR may bring.
# key_kind NAME ARGUMENT...: enrols a key made by openssl with those arguments, by curl.
key_kind() {
    local name=$1
    shift
    openssl genpkey "$@" -out "$STEP_DIR/$name.key"
    openssl req -new -key "$STEP_DIR/$name.key" -subj "/CN=$name" -out "$STEP_DIR/$name.csr"
    token_new "$W/tokens/$name" client "$name"
    python3 -c 'import json, sys; print(json.dumps({"token": open(sys.argv[1]).read().strip(), "csr": open(sys.argv[2]).read()}))' \
        "$W/tokens/$name" "$STEP_DIR/$name.csr" >"$STEP_DIR/$name.json"
    curl -sS --fail-with-body --cacert "$root" -H 'Content-Type: application/json' --data-binary "@$STEP_DIR/$name.json" \
        "$W_URL/enroll" >"$STEP_DIR/$name.answer" || fail "a key of kind $name enrols" "$(cat "$STEP_DIR/$name.answer")"
    field chain <"$STEP_DIR/$name.answer" >"$STEP_DIR/$name.pem"
    judge "$name" "$STEP_DIR/$name.pem" client server ""
}

key_kind p256 -algorithm EC -pkeyopt ec_paramgen_curve:P-256
key_kind p384 -algorithm EC -pkeyopt ec_paramgen_curve:P-384
key_kind rsa2048 -algorithm RSA -pkeyopt rsa_keygen_bits:2048
key_kind rsa3072 -algorithm RSA -pkeyopt rsa_keygen_bits:3072
key_kind rsa4096 -algorithm RSA -pkeyopt rsa_keygen_bits:4096
key_kind ed25519 -algorithm ED25519
