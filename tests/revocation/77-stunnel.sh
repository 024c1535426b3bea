#!/usr/bin/env bash
# Step:  deploy/stunnel goes by the lists that the agent keeps
# Limit: 200
# Needs: 50
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"
source "$REPO/tests/lib/world.sh"
source "$REPO/tests/lib/proxies.sh"
# What the sample's hook says, where no systemd is: a supervisor starts stunnel again.
cat >"$STEP_DIR/hook" <<HOOK
#!/bin/sh
[ -e "$STEP_DIR/stunnel.pid" ] || exit 0
[ "\${DOCKWARDEN_REVOKED:-0}" -gt 0 ] && exec kill -s TERM "\$(cat "$STEP_DIR/stunnel.pid")"
exec kill -s HUP "\$(cat "$STEP_DIR/stunnel.pid")"
HOOK
chmod +x "$STEP_DIR/hook"
world_with_files "$STEP_DIR/world" "hook = [\"$STEP_DIR/hook\"]"
enrolled alice mallory trudy
sample "$REPO/deploy/stunnel/docker.conf" "$port" "$files" |
    sed -e 's|^foreground = no|foreground = yes|' -e "s|^pid = .*|pid =|" >"$STEP_DIR/stunnel.conf"
start stunnel "$REPO/tests/lib/supervise" "$STEP_DIR/stunnel.pid" stunnel4 "$STEP_DIR/stunnel.conf"
wait_for 10 "stunnel listens" listens 127.0.0.1 "$port"
works() { docker_as "$1" "$port" ps; }
bites stunnel

# A reload alone does for new connections.
cat >"$STEP_DIR/hook" <<HOOK
#!/bin/sh
exec kill -s HUP "\$(cat "$STEP_DIR/stunnel.pid")"
HOOK
check "trudy works" works trudy
pid=$(<"$STEP_DIR/stunnel.pid")
check "trudy is revoked" admin client revoke trudy --yes
settles 10 "after a reload stunnel refuses trudy" docker_fails trudy
equal "it is the same process" "$pid" "$(<"$STEP_DIR/stunnel.pid")"
check "alice works" works alice
