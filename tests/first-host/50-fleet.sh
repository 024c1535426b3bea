#!/usr/bin/env bash
# Step:  on three real hosts the packaged agent enrols at boot from its unit file, and each is reachable over the network
# Limit: 400
# Needs: 45
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"
source "$REPO/tests/lib/hosts.sh"
source "$REPO/tests/lib/world.sh"

W_ADDRESS=$HOSTS_GATEWAY
world_new "$SUITE_DIR/fleet"
server_start_for_suite
token_new "$W/tokens/fleet" host 'web-*' --cidr "$HOSTS_CIDR" --uses 3 --label tier=web
client_enroll carol
strip --strip-debug -o "$STEP_DIR/dockwarden" "$DOCKWARDEN_BIN"

# What an image build or cloud-init would do: the program, its unit, its configuration, the token.
install_agent() {
    local name=$1 root
    root=$(host_root "$name")
    install -m 0755 "$STEP_DIR/dockwarden" "$root/usr/local/bin/dockwarden"
    install -D -m 0644 "$REPO/deploy/systemd/dockwarden-agent.service" "$root/etc/systemd/system/dockwarden-agent.service"
    install -d -m 0755 "$root/etc/dockwarden"
    printf 'server = "https://ca.fleet.internal:%s"\ntoken_file = "/etc/dockwarden/join.token"\nmode = "gate"\n' \
        "$W_PORT" >"$root/etc/dockwarden/agent.toml"
    install -m 0400 "$W/tokens/fleet" "$root/etc/dockwarden/join.token"
    on_host "$name" systemctl enable dockwarden-agent.service
}

# reachable NAME ADDRESS ENGINE: from this machine, which is another one on the bridge.
reachable() {
    local name=$1 address=$2
    local -x DOCKER_HOST=tcp://$address:2376 DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=$W/clients/carol
    wait_for 60 "$name serves a certificate on its own address" served_serial 2376 "$address"
    equal "docker reaches $name at $address" "$(on_host "$name" docker version --format '{{.Server.Version}}')" \
        "$(timeout 30 docker version --format '{{.Server.Version}}')"
    equal "a container runs on $name" "$name" "$(timeout 60 docker run --rm --net=host busybox:test cat /proc/sys/kernel/hostname)"
    equal "what is piped into docker run -i ends there and comes back" "ok" "$(echo ok | timeout 30 docker run --rm -i busybox:test cat)"
}

for host in "${HOSTS[@]}"; do
    read -r name _ _ <<<"$host"
    install_agent "$name"
    host_stop "$name"
done
for host in "${HOSTS[@]}"; do
    read -r name _ address <<<"$host"
    host_boot "$name"
    reachable "$name" "$address"
    equal "the unit is active" active "$(on_host "$name" systemctl is-active dockwarden-agent)"
    contains "agent status on $name says that it serves" Serving "$(on_host "$name" dockwarden agent status)"
    contains "the server lists $name" "$name" "$(admin host ls)"
done

# After one more boot it is the same certificate: it enrols once.
read -r name _ address <<<"${HOSTS[0]}"
serial=$(served_serial 2376 "$address")
host_stop "$name"
host_boot "$name"
wait_for 60 "$name serves again" served_serial 2376 "$address"
equal "after another boot $name serves the certificate that it had" "$serial" "$(served_serial 2376 "$address")"
check "docker goes away and comes back behind the gate" on_host "$name" systemctl restart docker
reachable "$name" "$address"
for host in "${HOSTS[@]}"; do
    read -r name _ _ <<<"$host"
    equal "no unit of ours failed on $name" "" "$(on_host "$name" systemctl --failed --plain --no-legend | grep dockwarden || true)"
    # shellcheck disable=SC2016 # the shell inside expands it
    resident=$(on_host "$name" sh -c 'grep VmRSS "/proc/$(systemctl show -p MainPID --value dockwarden-agent)/status"')
    note "the agent on $name has $(awk '{ print int($2 / 1024) }' <<<"$resident") MiB resident (debug build)"
    host_stop "$name"
done
