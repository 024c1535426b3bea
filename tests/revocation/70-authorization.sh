#!/usr/bin/env bash
# Step:  a dockerd that serves TLS itself refuses a revoked client at its next request, told by the authorization plugin
# Limit: 900
source "$REPO/tests/lib/common.sh"
said=$(cd "$REPO" && timeout 840 cargo test --test it gate_authz_engine -- --ignored 2>&1) || true
printf '%s\n' "$said" | tail -n 20
contains "a real dockerd asks, and does as it is told" "test result: ok. 1 passed" "$said"
