#!/usr/bin/env bash
# Step:  a real Docker Engine runs on this machine, under a supervisor, with an image that needs no registry
# Limit: 180
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"

# Boots come later; what they need is made meanwhile.
start_for_suite bases "$REPO/tests/lib/host-bases" bookworm trixie forky

dockerd_start
busybox_image "$SUITE_DIR/busybox.tar"
check "the engine imports the image" local_docker import "$SUITE_DIR/busybox.tar" busybox:test
equal "a container of it runs" "hello" "$(local_docker run --rm --network=none busybox:test echo hello)"

before=$(<"$SUITE_DIR/dockerd/child.pid")
kill -s KILL "$before"
settles 60 "the supervisor brings the engine back after kill -9" dockerd_answers
differs "it is another process now" "$before" "$(<"$SUITE_DIR/dockerd/child.pid")"
note "engine $(local_docker version --format '{{.Server.Version}}'), storage $(local_docker info --format '{{.Driver}}'), CLI $(docker --version)"
