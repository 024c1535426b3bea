#!/usr/bin/env bash
# Step:  a real Docker Engine for the steps after this one
# Limit: 180
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"

dockerd_start
ok "the engine answers"
