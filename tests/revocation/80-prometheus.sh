#!/usr/bin/env bash
# Step:  a real Prometheus scrapes server and agent as deploy/ says; alerts fire when somebody comes revoked, when the server is gone, when all are refused; and end
# Limit: 300
# Needs: 50
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"
source "$REPO/tests/lib/world.sh"
numbers=$(free_port)
world_with_host "$STEP_DIR/world" 'max_staleness = "1m"' "metrics = \"127.0.0.1:$numbers\""
enrolled alice mallory

# deploy/, with this world's places, and a second for half a minute.
prometheus_port=$(free_port)
printf '[{"targets": ["127.0.0.1:%s"], "labels": {"host": "host"}}]\n' "$numbers" >"$STEP_DIR/agents.json"
sed 's/^\( *for: \).*/\11s/' "$REPO/deploy/alerts/dockwarden.yml" >"$STEP_DIR/rules.yml"
sed -e "s|/etc/prometheus/dockwarden-agents.json|$STEP_DIR/agents.json|" -e "s|/etc/prometheus/dockwarden.yml|$STEP_DIR/rules.yml|" \
    -e "s|ca.fleet.internal:8080|$W_ADDRESS:$W_PLAIN_PORT|" -e 's|: 30s$|: 1s|' \
    "$REPO/deploy/prometheus/prometheus.yml" >"$STEP_DIR/prometheus.yml"
check "promtool takes the configuration" promtool check config "$STEP_DIR/prometheus.yml"
start prometheus prometheus --config.file="$STEP_DIR/prometheus.yml" --storage.tsdb.path="$STEP_DIR/tsdb" \
    --web.listen-address="127.0.0.1:$prometheus_port" --log.level=warn

ask() { curl -sSf --max-time 5 -G "http://127.0.0.1:$prometheus_port/api/v1/$1" "${@:2}"; }
# holds EXPRESSION: it has a result.
holds() { [[ $(ask query --data-urlencode "query=$1" | field data result len) != 0 ]]; }
# firing: names of alerts, a line.
firing() {
    ask alerts | python3 -c '
import json, sys
alerts = json.load(sys.stdin)["data"]["alerts"]
print(" ".join(sorted({a["labels"]["alertname"] for a in alerts if a["state"] == "firing"})))'
}
fires() { [[ " $(firing) " == *" $1 "* ]]; }
fire_only() { local now; now=$(firing) && [[ $now == "$1" ]]; }

# answered: every question of the dashboard is understood, and most have a result.
answered() {
    python3 - "$REPO/deploy/grafana/dockwarden.json" "$prometheus_port" <<'PYTHON'
import json, sys, urllib.parse, urllib.request

def answer(question):
    query = urllib.parse.urlencode({"query": question.replace("$__rate_interval", "1m")})
    with urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[2]}/api/v1/query?{query}", timeout=5) as reply:
        return json.load(reply)["data"]["result"]

panels = json.load(open(sys.argv[1]))["panels"]
questions = [target["expr"] for panel in panels for target in panel.get("targets", [])]
answers = sum(bool(answer(question)) for question in questions)
print(answers, "of", len(questions))
sys.exit(answers * 2 <= len(questions))
PYTHON
}

settles 30 "server and agent are scraped" holds 'count(up == 1) == 2'
check "alice's docker ps works" docker_as alice "$port" ps
settles 20 "and is counted by her role" holds 'sum(dockwarden_gate_requests_total{decision="allowed", role="admin"}) >= 1'
settles 30 "server and agent say the same of what is served" \
    holds 'dockwarden_host_certificate_served_not_after_seconds == on (host) dockwarden_agent_certificate_served_not_after_seconds'
settles 60 "nothing fires where all is well" fire_only ''
settles 30 "most of what the dashboard asks has an answer" answered

contains "mallory is revoked" "applied on 1 of 1 hosts" "$(admin client revoke mallory --yes)"
refused "mallory is refused" any revoked docker_as mallory "$port" ps
settles 30 "an alert says that somebody comes with a revoked certificate" fires DockwardenRevokedClientTries
settles 10 "the list is longer" holds 'dockwarden_crl_entries{issuer="clients"} == 1'

server_kill
settles 30 "the server is gone: an alert" fires DockwardenServerDown
settles 60 "the host does not hear it: an alert" fires DockwardenAgentNotFollowing
settles 100 "the host refuses everybody: an alert" fires DockwardenHostRefusesEverybody
refused "and it does" any 'not heard of its server' docker_as alice "$port" ps
settles 20 "which is counted" holds 'sum(dockwarden_gate_requests_total{decision="denied", reason="stale"}) >= 1'

server_start
settles 120 "the server is back: what is left is the revoked client" fire_only DockwardenRevokedClientTries
check "alice works" docker_as alice "$port" ps
