#!/usr/bin/env bash
# Step:  a server restored from a backup gets back from its hosts what it lost, and un-revokes nobody meanwhile
# Limit: 240
# Needs: 50
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"
source "$REPO/tests/lib/world.sh"
world_with_host "$STEP_DIR/world"
enrolled alice mallory trudy
contains "trudy is revoked" "applied on 1 of 1 hosts" "$(admin client revoke trudy --yes)"
check "a backup is taken" dockwarden server backup --data-dir "$W/server" "$STEP_DIR/backup"
contains "then mallory is revoked" "applied on 1 of 1 hosts" "$(admin client revoke mallory --yes)"
serial=$(serial_of mallory)
refused "mallory is refused" any revoked docker_as mallory "$port" ps

lists_mallory() {
    curl -sSf --max-time 10 "http://$W_ADDRESS:$W_PLAIN_PORT/crl/clients.crl" | openssl crl -inform DER -noout -text | grep -q "Serial Number: $serial"
}
settled() { [[ $(curl -sSf --max-time 5 --cacert "$W_ROOT" "$W_URL/readyz" | field status) == ready ]]; }
knows() { [[ $(api GET "/v1/certificates/$serial" | field status) == revoked ]]; }

# again HOW: the server is lost, and comes back as the backup has it.
again() {
    server_kill
    cp -a "$W/server/admin" "$STEP_DIR/admin.$1"
    mv "$W/server" "$STEP_DIR/lost.$1"
    if [[ $1 == restore ]]; then
        check "the backup is restored" dockwarden server restore --data-dir "$W/server" "$STEP_DIR/backup"
    else
        cp -a "$STEP_DIR/lost.$1" "$W/server"
        rm -f "$W"/server/dockwarden.db-*
        install -m 0600 "$(find "$STEP_DIR/backup" -name '*.db' | head -n 1)" "$W/server/dockwarden.db"
        note "the database of the backup is copied back by hand"
    fi
    [[ -d $W/server/admin ]] || cp -a "$STEP_DIR/admin.$1" "$W/server/admin"
    server_start
    settles 60 "the server has mallory's revocation back" knows
    settles 60 "it waits for nobody any more, without crl settle" settled
    settles 30 "its list names mallory" lists_mallory
    refused "mallory is refused" any revoked docker_as mallory "$port" ps
    refused "trudy is refused" any revoked docker_as trudy "$port" ps
    check "alice works" docker_as alice "$port" ps
}

again restore
again copy
admin audit ls --limit 200 >"$STEP_DIR/audit" 2>&1 || admin audit ls >"$STEP_DIR/audit"
contains "the audit log tells of it" feed.regain "$(<"$STEP_DIR/audit")"
