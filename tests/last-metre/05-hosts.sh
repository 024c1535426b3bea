#!/usr/bin/env bash
# Step:  six Debian systems boot with the distribution's Docker as it is, containers counting in them
# Limit: 900
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"
source "$REPO/tests/lib/hosts.sh"
source "$REPO/tests/lib/world.sh"
source "$REPO/tests/lib/metre.sh"

# Has an image, and two containers that count: one of them with a network.
fill() {
    local name=$1
    host_boot_end "$name"
    wait_for 60 "$name answers" docker_answers_on "$name"
    on_host "$name" docker import - busybox:test <"$SUITE_DIR/busybox.tar"
    counting_begin "$name" alone --network=none
    counting_begin "$name" linked
    contains "$name: dockerd has the sockets of systemd" "-H fd://" "$(dockerd_line "$name")"
    refused "and nobody reaches it over the network" any 'connect' curl -sS --max-time 5 "http://$(metre_address "$name"):2376/_ping"
    note "$name: engine $(engine_version "$name"), $(on "$name" systemctl --version | head -n 1)"
    configuration_of "$name" >"$SUITE_DIR/untouched-$name"
    configuration_keep "$name"
}

busybox_image "$SUITE_DIR/busybox.tar"
strip --strip-debug -o "$SUITE_DIR/dockwarden" "$DOCKWARDEN_BIN"
hosts_bridge_up
# In memory where there is enough: six systems are gone at once when they are unmounted.
mkdir -p "$SUITE_DIR/hosts"
if (($(awk '$1 == "MemAvailable:" { print int($2 / 1048576) }' /proc/meminfo) >= 8)); then
    mount -t tmpfs -o size=6g,mode=755 tmpfs "$SUITE_DIR/hosts"
fi
for name in "${METRE_RENEW[@]}" "${METRE_LAB[@]}"; do
    host_create "$name" "$(metre_release "$name")" "$(metre_address "$name")"
    host_boot_begin "$name"
done
side_by_side fill "${METRE_RENEW[@]}" "${METRE_LAB[@]}"

# The hosts called renew-* belong to a world whose certificates live a minute, the others to one of days.
W_ADDRESS=$HOSTS_GATEWAY
for world in minute days; do
    lifetime=1m
    [[ $world == minute ]] || lifetime=10d
    world_new "$SUITE_DIR/$world" '[profiles.host]' "lifetime = \"$lifetime\""
    server_start_for_suite
    token_new "$W/tokens/hosts" host '*' --cidr "$HOSTS_CIDR" --cidr 127.0.0.0/8 --uses 1000 --replace --expires 12h
    client_enroll operator
done
