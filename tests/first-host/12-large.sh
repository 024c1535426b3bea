#!/usr/bin/env bash
# Step:  a gibibyte goes through docker load and docker save, and the agent's memory stays where it was
# Limit: 400
# Needs: 10
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"
source "$REPO/tests/lib/world.sh"
world_use "$SUITE_DIR/world"
export DOCKER_CONFIG=$W/docker

megabytes=${DOCKWARDEN_LARGE_MB:-1024}
resident() { awk '$1 == "VmHWM:" { print int($2 / 1024) }' "/proc/$(pid_of agent-this-machine)/status"; }

# An image of that size by hand: the engine must not spend its time on making it.
root=$STEP_DIR/root
mkdir -p "$root"
head -c "${megabytes}M" /dev/zero | openssl enc -aes-128-ctr -K 00 -iv 00 -nosalt >"$root/large" 2>/dev/null
tar -C "$root" -c . | local_docker import - large:test
rm -rf "$root"
at_exit local_docker rmi -f large:test

before=$(resident)
check "docker save brings $megabytes MiB through the gate" timeout 180 docker --context fleet save -o "$STEP_DIR/large.tar" large:test
check "it is whole" test "$(stat -c %s "$STEP_DIR/large.tar")" -gt $((megabytes * 1024 * 1024))
local_docker rmi large:test
check "docker load takes it back" timeout 180 docker --context fleet load -i "$STEP_DIR/large.tar"
check "the engine has the image" local_docker image inspect large:test
after=$(resident)
note "the agent's largest resident memory: $before MiB before, $after MiB after"
check "it grew by less than 16 MiB" test $((after - before)) -lt 16
rm -f "$STEP_DIR/large.tar"
