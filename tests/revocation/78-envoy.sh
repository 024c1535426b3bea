#!/usr/bin/env bash
# Step:  deploy/envoy goes by the lists that the agent keeps: by itself for new connections, by its hook for those that stand
# Limit: 200
# Needs: 50
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"
source "$REPO/tests/lib/world.sh"
source "$REPO/tests/lib/proxies.sh"
# What the sample's hook says, where no systemd is: a supervisor starts Envoy again.
cat >"$STEP_DIR/hook" <<HOOK
#!/bin/sh
[ "\${DOCKWARDEN_REVOKED:-0}" -eq 0 ] || [ ! -e "$STEP_DIR/restarts" ] || kill -s KILL "\$(cat "$STEP_DIR/envoy.pid")"
HOOK
chmod +x "$STEP_DIR/hook"
world_with_files "$STEP_DIR/world" "hook = [\"$STEP_DIR/hook\"]"
enrolled alice mallory trudy
for file in docker pair clients; do
    sample "$REPO/deploy/envoy/$file.yaml" "$port" "$files" | sed "s|/etc/envoy/docker|$STEP_DIR|" >"$STEP_DIR/$file.yaml"
done
note "Envoy $(envoy --version | grep -o '/[0-9.]*/' | tr -d /)"
check "Envoy takes the sample" timeout 30 envoy --mode validate -c "$STEP_DIR/docker.yaml"
start envoy "$REPO/tests/lib/supervise" "$STEP_DIR/envoy.pid" \
    envoy --disable-hot-restart --concurrency 2 --log-level warning -c "$STEP_DIR/docker.yaml"
works() { docker_as "$1" "$port" ps; }
settles 20 "alice works" works alice
contains "input ends before output through Envoy" input "$(echo input | docker_as alice "$port" exec -i ticker cat)"
check "trudy works" works trudy
pid=$(<"$STEP_DIR/envoy.pid")
check "trudy is revoked" admin client revoke trudy --yes
settles 10 "Envoy refuses trudy by itself" docker_fails trudy
equal "it is the same process" "$pid" "$(<"$STEP_DIR/envoy.pid")"
check "alice works" works alice
touch "$STEP_DIR/restarts"
bites Envoy
