#!/usr/bin/env bash
# Step:  a backup taken while clients enrol is consistent, and what is restored from it goes on where it was
# Limit: 240
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/world.sh"

world_new "$STEP_DIR/world"
server_start
token_new "$W/tokens/crowd" client 'crowd-*' --uses 500
client_enroll early
timeout 120 python3 "$REPO/tests/foreign/enroll.py" "$W_URL" "$W_ROOT" "$W/tokens/crowd" 64 crowd >"$STEP_DIR/crowd" &
crowd=$!
check "a backup is taken while 64 clients enrol" dockwarden server backup --data-dir "$W/server" "$STEP_DIR/backup"
wait "$crowd"
equal "all of them enrolled" 64 "$(grep -c '^201 ' "$STEP_DIR/crowd")"
check "the backup has a manifest" test -s "$STEP_DIR/backup/manifest.json"
equal "the backup holds no passphrase" "" "$(grep -rlF -- "$(<"$W/passphrase")" "$STEP_DIR/backup" || true)"
refused "a second backup does not overwrite it" any 'exist|empty' dockwarden server backup --data-dir "$W/server" "$STEP_DIR/backup"

refused "a restore does not overwrite a server that is there" any 'holds a server already' \
    dockwarden server restore --data-dir "$W/server" "$STEP_DIR/backup"
server_stop
cp -a "$W/server/admin" "$STEP_DIR/admin"
root=$(openssl x509 -in "$W_ROOT" -noout -fingerprint)
mv "$W/server" "$STEP_DIR/lost"
cp -a "$STEP_DIR/backup" "$STEP_DIR/damaged"
victim=$(find "$STEP_DIR/damaged" -name '*.db' | head -n 1)
printf 'x' | dd of="$victim" bs=1 seek=5000 conv=notrunc status=none
refused "a damaged backup is refused" any 'hash|damaged|manifest|match' \
    dockwarden server restore --data-dir "$W/server" "$STEP_DIR/damaged"
check "nothing was restored from it" test ! -e "$W/server/dockwarden.db"
check "the whole one is restored" dockwarden server restore --data-dir "$W/server" "$STEP_DIR/backup"
[[ -d $W/server/admin ]] || cp -a "$STEP_DIR/admin" "$W/server/admin"
server_start
equal "it is the same root" "$root" "$(openssl x509 -in "$W_ROOT" -noout -fingerprint)"
equal "it knows who enrolled before the backup" 1 "$(api GET '/v1/certificates?name=early' | field items len)"
check "the audit log is whole" admin audit verify
check "it enrols on" client_enroll late
