#!/usr/bin/env bash
# Step:  deploy/haproxy gets new lists over HAProxy's runtime API, without a reload, and ends what was open
# Limit: 200
# Needs: 50
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"
source "$REPO/tests/lib/world.sh"
source "$REPO/tests/lib/proxies.sh"
cat >"$STEP_DIR/hook" <<HOOK
#!/bin/sh
export SOCKET="$RUN_DIR/haproxy.sock" RELOAD="$STEP_DIR/reload"
echo "\$DOCKWARDEN_CHANGED" >>"$STEP_DIR/hooks"
exec "$REPO/deploy/haproxy/hook.sh"
HOOK
cat >"$STEP_DIR/reload" <<RELOAD
#!/bin/sh
echo reload >>"$STEP_DIR/reloads"
[ ! -e "$STEP_DIR/haproxy.pid" ] || kill -s USR2 "\$(cat "$STEP_DIR/haproxy.pid")"
RELOAD
chmod +x "$STEP_DIR/hook" "$STEP_DIR/reload"
world_with_files "$STEP_DIR/world" "hook = [\"$STEP_DIR/hook\"]"
enrolled alice mallory
settles 20 "the hook has put certificate and key together" test -s "$files/haproxy.pem"
equal "which root alone can read" "600" "$(stat -c %a "$files/haproxy.pem")"
{
    printf 'global\n    log stderr local0\n    stats socket %s level admin\n' "$RUN_DIR/haproxy.sock"
    sample "$REPO/deploy/haproxy/docker.cfg" "$port" "$files"
} >"$STEP_DIR/haproxy.cfg"
start haproxy haproxy -W -db -p "$STEP_DIR/haproxy.pid" -f "$STEP_DIR/haproxy.cfg"
wait_for 10 "HAProxy listens" listens 127.0.0.1 "$port"
pid_of haproxy >"$STEP_DIR/haproxy.pid"
contains "input ends before output through HAProxy" input "$(echo input | docker_as alice "$port" exec -i ticker cat)"
before=$(wc -l <"$STEP_DIR/reloads")
bites HAProxy
equal "HAProxy was not reloaded for it" "$before" "$(wc -l <"$STEP_DIR/reloads")"
