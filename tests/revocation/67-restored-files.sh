#!/usr/bin/env bash
# Step:  a host in mode files gives a restored server back what it lost, by itself; its crl.pem names who was revoked all the while
# Limit: 240
# Needs: 50
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"
source "$REPO/tests/lib/world.sh"
world_with_files "$STEP_DIR/world" 'hook = ["true"]'
enrolled mallory trudy
check "a backup is taken" dockwarden server backup --data-dir "$W/server" "$STEP_DIR/backup"
contains "then mallory is revoked" "applied on 1 of 1 hosts" "$(admin client revoke mallory --yes)"
serial=$(serial_of mallory)
names() { openssl crl -in "$files/crl.pem" -noout -text | grep -q "Serial Number: $serial"; }
check "crl.pem names mallory" names

# Whoever reads the file reads it at any moment. A replaced file is never there by half.
cat >"$STEP_DIR/watch" <<WATCH
#!/bin/sh
while :; do
    openssl crl -in "$files/crl.pem" -noout -text 2>/dev/null | grep -q "Serial Number: $serial" && echo named || echo missing
    sleep 0.2
done
WATCH
chmod +x "$STEP_DIR/watch"
start watch "$STEP_DIR/watch"

server_kill
cp -a "$W/server/admin" "$STEP_DIR/admin"
mv "$W/server" "$STEP_DIR/lost"
check "the backup is restored" dockwarden server restore --data-dir "$W/server" "$STEP_DIR/backup"
[[ -d $W/server/admin ]] || cp -a "$STEP_DIR/admin" "$W/server/admin"
server_start
knows() { [[ $(api GET "/v1/certificates/$serial" | field status) == revoked ]]; }
settled() { [[ $(curl -sSf --max-time 5 --cacert "$W_ROOT" "$W_URL/readyz" | field status) == ready ]]; }
settles 60 "the server has mallory's revocation back" knows
settles 60 "it waits for nobody any more, without crl settle" settled
contains "what is revoked next reaches the host" "applied on 1 of 1 hosts" "$(admin client revoke trudy --yes)"
for name in mallory trudy; do
    serial=$(serial_of "$name")
    settles 10 "crl.pem names $name" names
done
stop watch
equal "mallory was in it at every look of $(wc -l <"$STEP_DIR/watch.log")" named "$(sort -u "$STEP_DIR/watch.log")"
