#!/usr/bin/env bash
# Step:  containers counted through every renewal of certificates that live a minute, each at the price of one restart
# Limit: 2700
# Needs: 10
# A host's STEP_DIR is its subshell's own, on purpose; what stands in single quotes is expanded on the host.
# shellcheck disable=SC2030,SC2031,SC2016
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/hosts.sh"
source "$REPO/tests/lib/world.sh"
source "$REPO/tests/lib/metre.sh"
world_use "$SUITE_DIR/minute"

# RENEWALS=50 for more, and for longer.
wanted=${RENEWALS:-10}

# served_count NAME: certificates that were served since the hosts were taken over.
served_count() { awk '$2 == "ok" && !seen[$3]++ { n++ } END { print n + 0 }' "$SUITE_DIR/renewals-$1"; }
renewed_enough() { (($(served_count "$1") > wanted)); }

# gaps_of NAME: how long the API was away at each renewal, in milliseconds, the longest last.
gaps_of() { python3 "$REPO/tests/foreign/api_gap.py" gaps "$SUITE_DIR/renewals-$1" | awk '$2 != $3 { print $1 }' | sort -n; }

renewals() {
    local name=$1 certificates restarts container gaps
    settles $((wanted * 60)) "$name: $wanted renewals have been served" renewed_enough "$name"
    on "$name" systemctl stop dockwarden-agent
    stop "watch-$name"
    certificates=$(served_count "$name")
    restarts=$(($(dockerd_starts "$name") - $(<"$SUITE_DIR/starts-$name")))
    equal "$name: one restart for each of $((certificates - 1)) renewals" $((certificates - 1)) "$restarts"
    equal "$name: the containers are the same processes" "$(<"$SUITE_DIR/pids-$name")" "$(container_pids "$name")"
    for container in alone linked; do
        check "$name: $container missed no second ($(counting_gap "$name" "$container") hundredths between two counts at most)" \
            test "$(counting_gap "$name" "$container")" -lt 200
    done
    gaps=$(gaps_of "$name")
    note "$name: $((certificates - 1)) renewals; the API was away for $(sed -n "$((($(wc -l <<<"$gaps") + 1) / 2))p" <<<"$gaps") ms (median), $(tail -n 1 <<<"$gaps") ms at most"
    equal "$name: no unit of ours failed" "" "$(on "$name" systemctl --failed --plain --no-legend | grep -E 'dockwarden|docker' || true)"
}

side_by_side renewals "${METRE_RENEW[@]}"
