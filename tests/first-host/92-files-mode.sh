#!/usr/bin/env bash
# Step:  in mode files every renewal was served, no call failed; a hook that fails is reported, tried again, and recovers
# Limit: 240
# Needs: 35
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"
source "$REPO/tests/lib/world.sh"
world_use "$SUITE_DIR/files-mode"
port=$(<"$W/nginx-port")
current=$(agent_certs front)
agent_log=$SUITE_DIR/agent-front.log

front_status() { dockwarden agent status --config "$W/agents/front/agent.toml" --format "${1:-table}"; }
# It fails when a condition is false; what it prints counts here.
shown() { front_status "${1:-table}" || true; }
hook_failed() { shown | grep -E '^ +ConfigApplied +False .*nginx is out of order'; }
is_good() { front_status >/dev/null && front_status | grep -E '^ +Serving +True '; }
issued() { openssl x509 -in "$current/cert.pem" -noout -serial; }
renewed_since() { [[ $(issued) != "$1" ]]; }
served_is_issued() { [[ $(served_serial "$port") == "$(issued)" ]]; }

renewals() { test "$(wc -l <"$W/serials")" -gt 3; }
settles 90 "three renewals have been served" renewals
equal "no serial came back" "" "$(cut -d' ' -f2 "$W/serials" | sort | uniq -d)"
note "$(wc -l <"$W/serials") certificates served, from $(head -n 1 "$W/serials" | cut -d' ' -f1) to $(tail -n 1 "$W/serials" | cut -d' ' -f1)"
equal "none of the $(grep -c '^ok$' "$W/calls") calls of docker ps failed" "" "$(grep -v '^ok$' "$W/calls" | head -n 3 || true)"
for name in nginx-calls nginx-serials; do stop "$name"; done

# From here on the hook fails. The certificate is renewed all the same, and nginx does not get to know.
touch "$W/nginx/out-of-order"
before=$(issued)
settles 40 "with a hook that fails the certificate is renewed all the same" renewed_since "$before"
settles 20 "agent status says that the hook failed, with what it said" hook_failed
equal "meanwhile nginx serves the one before" "$before" "$(served_serial "$port")"
contains "agent status says that it is not the one in use that is served" OtherCertificate "$(shown json)"
contains "the log says when it is tried again" "the hook exited with 3; it said: nginx is out of order; next try in" \
    "$(sed 's/\x1b\[[0-9;]*m//g' "$agent_log")"
refused "agent status fails" 1 'HookFailed|exited with 3' front_status
tries=$(grep -c 'nginx is out of order' "$agent_log")
tried_again() { test "$(grep -c 'nginx is out of order' "$agent_log")" -gt "$tries"; }
settles 30 "it is tried again" tried_again
rm "$W/nginx/out-of-order"
settles 60 "repaired, it recovers by itself: what is served is the certificate in use" served_is_issued
settles 30 "and agent status says so" is_good
api_conditions() { api GET /v1/hosts/front | field report conditions; }
contains "the server knows it" '"Applied"' "$(api_conditions)"
for name in agent-front nginx server-files-mode; do stop "$name"; done
