#!/usr/bin/env bash
# Step:  a real Docker Engine for the steps after this one
# Limit: 180
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"

dockerd_start
busybox_image "$SUITE_DIR/busybox.tar"
check "the engine imports the image" local_docker import "$SUITE_DIR/busybox.tar" busybox:test
check "a container runs for as long as anybody looks" \
    local_docker run -d --name ticker --network=none busybox:test sh -c 'while true; do date; sleep 0.2; done'
