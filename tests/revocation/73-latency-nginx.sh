#!/usr/bin/env bash
# Step:  the same with nginx and the lists of an agent in mode files: until the last request is refused, kept connections included
# Limit: 900
# Needs: 50
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"
source "$REPO/tests/lib/world.sh"
source "$REPO/tests/lib/proxies.sh"
count=${DOCKWARDEN_REVOCATIONS:-20}
world_with_files "$STEP_DIR/world" "hook = \"test ! -e $STEP_DIR/nginx.pid || kill -s HUP \$(cat $STEP_DIR/nginx.pid)\""
{
    cat "$REPO/deploy/nginx/cut.conf"
    sample "$REPO/deploy/nginx/docker.conf" "$port" "$files" | nginx_conf
} >"$STEP_DIR/nginx.conf"
nginx_start
wait_for 10 "nginx listens" listens 127.0.0.1 "$port"
crowd "$count"
check "each of them is refused, and cut off" timeout 800 python3 "$REPO/tests/foreign/revoke_latency.py" --apart \
    "$W_URL" "$W_ROOT" "$W/server/admin" "$port" "${crowd_dirs[@]}"
while read -r line; do note "$line"; done <"$STEP_DIR/check.out"
