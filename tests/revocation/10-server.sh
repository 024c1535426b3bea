#!/usr/bin/env bash
# Step:  a server whose list names the revoked client and not the good one, in both forms, over plain HTTP
# Limit: 120
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/world.sh"
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
