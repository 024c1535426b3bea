#!/usr/bin/env bash
# Step:  a server whose disk is full says so, loses nothing, and goes on when there is room again
# Limit: 120
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/world.sh"

disk=$STEP_DIR/world/server
mkdir -p "$disk"
at_exit umount "$disk"
mount -t tmpfs -o size=8m,mode=0700 tmpfs "$disk"
world_new "$STEP_DIR/world"
server_start
token_new "$W/tokens/crowd" client 'crowd-*' --uses 5000

# enrolled COUNT PREFIX: how many of COUNT enrolments at once went through.
enrolled() {
    timeout 60 python3 "$REPO/tests/foreign/enroll.py" "$W_URL" "$W_ROOT" "$W/tokens/crowd" "$1" "$2" >"$STEP_DIR/$2"
    grep -c '^201 ' "$STEP_DIR/$2" || true
}

before=$(enrolled 8 crowd-a)
equal "eight clients enrol" 8 "$before"
head -c 9M /dev/zero >"$disk/filler" 2>/dev/null || true
during=$(enrolled 24 crowd-b)
note "on the full disk $during of 24 still found room in the database; the others: $(grep -v '^201 ' "$STEP_DIR/crowd-b" | sort | uniq -c | xargs)"
check "some were refused" test "$during" -lt 24
equal "each refusal is a problem with a code" "" "$(grep -v '^201 ' "$STEP_DIR/crowd-b" | grep -Ev '^5[0-9][0-9] [a-z_]+$' || true)"
check "the server answers nevertheless" curl -sf --max-time 5 --cacert "$W_ROOT" "$W_URL/healthz"
contains "its log says what is wrong" "full" "$(tr '[:upper:]' '[:lower:]' <"$(server_log)")"
rm "$disk/filler"
after=$(enrolled 8 crowd-c)
equal "with room again clients enrol" 8 "$after"
equal "every certificate that was handed out is known" $((before + during + after)) "$(api GET '/v1/certificates?limit=1000' | python3 -c '
import json, sys
print(sum(item["name"].startswith("crowd-") for item in json.load(sys.stdin)["items"]))')"
equal "and each spent one use" $((5000 - before - during - after)) "$(api GET '/v1/tokens?limit=1000' | field items 0 uses_left)"
server_stop
server_start
check "the audit log is whole after a restart" admin audit verify
