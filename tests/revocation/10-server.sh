#!/usr/bin/env bash
# Step:  a server whose list names the revoked client and not the good one, in both forms, over plain HTTP
# Limit: 120
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/world.sh"
source "$REPO/tests/lib/forge.sh"
world_new "$SUITE_DIR/world"
server_start_for_suite
for name in alice mallory; do
    check "$name has a certificate" client_enroll "$name"
done
plain=http://$W_ADDRESS:$W_PLAIN_PORT
mallory=$(openssl x509 -in "$W/clients/mallory/cert.pem" -noout -serial | cut -d= -f2)

fetch() {
    local name
    for name in clients hosts root; do
        curl -sSf --max-time 10 -o "$W/$name.crl" "$plain/crl/$name.crl"
        curl -sSf --max-time 10 -o "$W/$name.crl.pem" "$plain/crl/$name.pem"
    done
}

lists_mallory() {
    fetch && openssl crl -inform DER -in "$W/clients.crl" -noout -text | grep -q "Serial Number: $mallory"
}

wait_for 10 "the lists are there" fetch
if lists_mallory; then fail "nobody is revoked yet"; fi
before=$(openssl crl -inform DER -in "$W/clients.crl" -noout -crlnumber)
check "an operator revokes mallory" admin client revoke mallory --reason keyCompromise --yes --wait 0s
wait_for 10 "the list names mallory" lists_mallory
ok "the list names mallory"
differs "its number is another one" "$before" "$(openssl crl -inform DER -in "$W/clients.crl" -noout -crlnumber)"
for name in clients hosts root; do
    equal "both forms of the list of $name are the same" "$(openssl crl -inform DER -in "$W/$name.crl" -outform PEM)" "$(<"$W/$name.crl.pem")"
done

# Somebody with the issuer's key, but without the server: a certificate that nobody ever issued.
openssl pkey -in "$W/server/keys/clients.key.pem" -passin "file:$W/passphrase" -out "$STEP_DIR/clients.key"
forge_leaf "$W/clients/ghost" "$W/server/ca/clients.pem" "$STEP_DIR/clients.key" ghost clientAuth \
    "$(date -u +%Y%m%d000000Z)" "$(date -u -d '+20 days' +%Y%m%d000000Z)"
check "a certificate is forged that the server never issued" openssl verify -CAfile "$W_ROOT" -untrusted "$W/server/ca/clients.pem" "$W/clients/ghost/cert.pem"
