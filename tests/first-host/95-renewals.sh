#!/usr/bin/env bash
# Step:  twenty renewals later no call has failed, no stream was dropped, and every certificate was served
# Limit: 1500
# Needs: 30
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"
source "$REPO/tests/lib/world.sh"
world_use "$SUITE_DIR/minute"

renewals() { test "$(wc -l <"$W/serials")" -gt 20; }

settles 1400 "twenty renewals have been served" renewals
check "the server still runs" running server-minute
check "the agent still runs" running agent-minute

calls=$(grep -c '^ok$' "$W/calls")
equal "none of the $calls calls of docker ps failed" "" "$(grep -v '^ok$' "$W/calls" | head -n 3 || true)"

check "docker logs -f still runs" running counter-logs
lines=$(wc -l <"$SUITE_DIR/counter-logs.log")
check "it saw each of the $lines lines, once and in order" \
    cmp <(seq 0 $((lines - 1))) <(head -n "$lines" "$SUITE_DIR/counter-logs.log")
behind=$(($(local_docker logs --tail 1 counter) - $(tail -n 1 "$SUITE_DIR/counter-logs.log")))
check "it is not behind" test "$behind" -lt 20

serials=$(cut -d' ' -f2 "$W/serials" | sort | uniq -d)
equal "no serial came back" "" "$serials"
equal "the server issued what was served: one certificate is valid" 1 \
    "$(api GET '/v1/certificates?name=minute&status=valid' | field items len)"
note "$(wc -l <"$W/serials") certificates served, from $(head -n 1 "$W/serials" | cut -d' ' -f1) to $(tail -n 1 "$W/serials" | cut -d' ' -f1)"
for name in load-calls load-serials counter-logs agent-minute server-minute; do stop "$name"; done
