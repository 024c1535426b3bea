#!/usr/bin/env bash
# Step:  deploy/crl-refresh.sh keeps lists on a machine without an agent, takes none that is older, and leaves them without the server
# Limit: 120
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/world.sh"
world_new "$STEP_DIR/world"
server_start
enrolled alice mallory
lists=$STEP_DIR/lists
install -D -m 0644 "$W_ROOT" "$lists/current/ca.pem"
cat >"$STEP_DIR/reload" <<RELOAD
#!/bin/sh
echo reload >>"$STEP_DIR/reloads"
RELOAD
chmod +x "$STEP_DIR/reload"
refresh() { "$REPO/deploy/crl-refresh.sh" "$W_URL" "$lists" "$STEP_DIR/reload"; }
settles 20 "the lists are fetched and checked" refresh
check "a second time nothing changed" refresh
equal "so there was one reload" 1 "$(wc -l <"$STEP_DIR/reloads")"
equal "the lists of clients and root are there" 2 "$(grep -c 'BEGIN X509 CRL' "$lists/crl.pem")"
check "mallory is revoked" admin client revoke mallory --yes --wait 0s
serial=$(serial_of mallory)
lists_mallory() { refresh && openssl crl -in "$lists/crl.pem" -noout -text | grep -q "Serial Number: $serial"; }
settles 20 "the fresh list names mallory" lists_mallory
cp "$lists/crl.pem" "$STEP_DIR/good.pem"
echo FFFFFFFFFFFFFFFF >"$lists/.crl-clients.number"
refused "an older list than the one in use is not taken" 1 'older list' refresh
server_stop
refused "without the server the lists stay" 1 'cannot fetch' refresh
check "as they were" cmp "$STEP_DIR/good.pem" "$lists/crl.pem"
