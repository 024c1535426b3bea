#!/usr/bin/env bash
# Step:  a browser signs in both ways, finds one among 100,000, cuts a real docker off, lets a host in, and follows a renewal
# Limit: 900
# Needs: 05
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"
source "$REPO/tests/lib/world.sh"
source "$REPO/tests/dashboard/browser.sh"
modules_ensure
many=100000

# Hosts renew within the minute, so that somebody can watch one do it.
world_new "$STEP_DIR/world" '[profiles.host]' 'lifetime = "1m"'
server_start
check "ci-deploy has a certificate" client_enroll ci-deploy
server_stop
check "and $many others have one each, one of which nobody renewed" \
    python3 "$REPO/tests/dashboard/many.py" "$W/server/dockwarden.db" ci-deploy "$many" payments-db
server_start
port=$(free_port)
host_join
settles 40 "a host joins, and its gate listens" served_serial "$port"
check "docker reaches it" docker_as ci-deploy "$port" version

# A host that waits for somebody, as soon as the browser says so.
token_new "$W/tokens/late" host late --cidr 127.0.0.0/8 --manual
agent_config late "$(free_port)" "$DOCKER_SOCKET"
# shellcheck disable=SC2016 # the shell inside expands it
W_AROUND_AGENT=(bash -c 'until [[ -e $0 ]]; do sleep 0.1; done; exec "$@"' "$STEP_DIR/asks")
agent_start late

# As docs/dashboard.md says: the root as an authority, the certificate as PKCS#12. Which certificate a browser shows is
# what its person would click; here a policy does.
browser_home "$STEP_DIR/owner" "$W/server/admin"
browser_home "$STEP_DIR/stranger"
browser_shows_certificates_to "$W_URL"

link=$(admin dashboard)
python3 - "$STEP_DIR/scene.json" "$W" "$W_URL" "$port" "$STEP_DIR" "$link" "$many" "$WORK/screenshots" "$DOCKWARDEN_BIN" <<'PYTHON'
import json, sys

file, world, url, port, step, link, many, output, program = sys.argv[1:]
json.dump({
    "url": url, "link": link, "output": output, "program": program,
    # Homes of two browsers: one whose store holds the administrator's certificate, one that only trusts the server.
    "home": f"{step}/owner", "strangers_home": f"{step}/stranger",
    "many": int(many), "expiring": "payments-db",
    # A client and the gate that it reaches an engine through.
    "client": {"name": "ci-deploy", "files": f"{world}/clients/ci-deploy"}, "host": "host", "port": int(port),
    "docker": f"tcp://127.0.0.1:{port}",
    # A host that asks when the file `asks` is there.
    "asker": "late", "asker_config": f"{world}/agents/late/agent.toml", "asks": f"{step}/asks",
}, open(file, "w"))
PYTHON
NODE_MODULES=$modules timeout 600 node "$REPO/tests/dashboard/scenes.mjs" "$STEP_DIR/scene.json" >&3 ||
    fail "the scenes ended as they should"
note "pictures are in $WORK/screenshots"
