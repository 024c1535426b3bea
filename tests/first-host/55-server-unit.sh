#!/usr/bin/env bash
# Step:  the packaged server runs on a real host: its own user, ready by sd_notify, restarts, socket activation; the watchdog revives an agent
# Limit: 180
# Needs: 50
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"
source "$REPO/tests/lib/hosts.sh"
source "$REPO/tests/lib/world.sh"

# The server is installed as docs/operations.md says, on a host of its own; an agent on another one joins it.
address=$(host_address 20)
unit=dockwarden-server
data=/var/lib/dockwarden/server
strip --strip-debug -o "$STEP_DIR/dockwarden" "$DOCKWARDEN_BIN"
at_exit host_remove ca
host_create ca trixie "$address"
root=$(host_root ca)
printf '127.0.0.1 localhost\n%s ca.fleet.internal\n' "$address" >"$root/etc/hosts"
host_boot ca
install -m 0755 "$STEP_DIR/dockwarden" "$root/usr/local/bin/dockwarden"
install -m 0644 "$REPO/deploy/systemd/dockwarden.sysusers.conf" "$root/usr/lib/sysusers.d/dockwarden.conf"
install -m 0644 "$REPO/deploy/systemd/"dockwarden-server.{service,socket} "$root/etc/systemd/system/"
install -d -m 0755 "$root/etc/dockwarden"
(umask 077 && head -c 24 /dev/urandom | base64 >"$root/etc/dockwarden/passphrase")
read -r agent_host _ agent_address <<<"${HOSTS[0]}"

on_ca() { on_host ca timeout 60 "$@"; }
at_exit on_ca journalctl --no-pager -o cat -n 40 -u "$unit"
property() { on_ca systemctl show -p "$1" --value "$unit"; }
https() { curl -sf --max-time 5 --cacert "$STEP_DIR/root.pem" "https://$address:8443$1"; }
http_answers() { [[ $(curl -sf --max-time 3 "http://$address:8080/healthz") ]]; }
exposure() { "$1" systemd-analyze security --no-pager "$2" | grep -o 'Overall exposure level.*' | tr -dc '[:print:]'; }
owner_of() { on_ca stat -c '%U %G' "/proc/$1"; }
ends() { [[ $(property ActiveState) == deactivating ]]; }
serves_anew() { [[ $(property ActiveState) == active && $(property MainPID) != "$1" ]] && https /healthz; }
more_calls_than() { test "$(wc -l <"$STEP_DIR/calls")" -gt "$1"; }
agent_property() { on_agent systemctl show -p "$1" --value dockwarden-agent; }
agent_again() { [[ $(agent_property ActiveState) == active && $(agent_property MainPID) != "$before" ]]; }

check "systemd-sysusers makes the user" on_ca systemd-sysusers
on_ca systemctl daemon-reload
refused "before server init it does not start" any 'assertion' on_ca systemctl start "$unit"
refused "nor do its sockets" any 'assertion' on_ca systemctl start "$unit.socket"
check "server init makes a CA" on_ca dockwarden server init --ip "$address" --dns ca.fleet.internal \
    --public-url "http://$address:8080" --passphrase-file /etc/dockwarden/passphrase
cp "$root$data/ca/root.pem" "$STEP_DIR/root.pem"

# `systemctl start` of a unit of Type=notify returns when the service has said that it is ready.
check "systemctl enable --now starts it" on_ca systemctl enable --now "$unit"
check "by then it serves" https /healthz
check "also without TLS" http_answers
equal "it is active" active "$(property ActiveState)"
equal "it runs as its own user" "dockwarden dockwarden" "$(owner_of "$(property MainPID)")"
equal "to whom its data belongs, and to nobody else" "dockwarden 700" "$(on_ca stat -c '%U %a' "$data")"
check "root's commands on that machine find the administrator" on_ca dockwarden host ls
note "$(exposure on_ca "$unit.service")"

# A host joins over the bridge.
host_boot "$agent_host"
on_agent() { on_host "$agent_host" timeout 60 "$@"; }
check "the agent of an earlier fleet goes" on_agent systemctl stop dockwarden-agent
check "with all that it has" on_agent dockwarden agent uninstall --yes
printf 'server = "https://%s:8443"\ntoken_file = "/etc/dockwarden/join.token"\n' "$address" \
    >"$(host_root "$agent_host")/etc/dockwarden/agent.toml"
(umask 077 && on_ca dockwarden token create --profile host --name "$agent_host" --cidr "$HOSTS_CIDR" \
    >"$(host_root "$agent_host")/etc/dockwarden/join.token")
check "an agent enrols with it over the network" on_agent systemctl start dockwarden-agent
check "its gate serves" served_serial 2376 "$agent_address"
contains "the server lists it" "$agent_host" "$(on_ca dockwarden host ls)"
note "$(exposure on_agent dockwarden-agent.service)"

# What is in flight when it is told to end is answered.
start half python3 "$REPO/tests/foreign/half_request.py" "$address" 8443 "$STEP_DIR/root.pem" "$STEP_DIR/go-on"
settles 10 "a request is half way" grep -q "half is sent" "$STEP_DIR/half.log"
before=$(property MainPID)
on_ca systemctl --no-block restart "$unit"
wait_for 10 "it is told to end" ends
touch "$STEP_DIR/go-on"
settles 10 "a request in flight at a restart is answered" grep -q "^HTTP/1.1 4" "$STEP_DIR/half.log"
settles 20 "after the restart it serves again" serves_anew "$before"
before=$(property MainPID)
check "kill -9" on_ca systemctl kill -s KILL "$unit"
settles 30 "after kill -9 systemd starts it again" serves_anew "$before"
equal "which systemd has counted" 1 "$(property NRestarts)"

# systemd holds the ports: who comes while it restarts waits, and is not refused.
on_ca systemctl stop "$unit"
refused "stopped, it serves nobody" any 'refused|connect' curl -sS --max-time 5 "http://$address:8080/healthz"
check "the socket unit is enabled" on_ca systemctl enable --now "$unit.socket"
equal "that starts no server" inactive "$(property ActiveState)"
check "the first connection does" https /healthz
equal "then it is active" active "$(property ActiveState)"
start calls "$REPO/tests/lib/renewal-load" calls "$STEP_DIR/calls" \
    curl -sS --max-time 15 --cacert "$STEP_DIR/root.pem" "https://$address:8443/healthz" "http://$address:8080/healthz"
wait_for 10 "calls go through" grep -q ok "$STEP_DIR/calls"
before=$(property MainPID)
check "it is restarted under load" on_ca systemctl restart "$unit"
check "it serves" serves_anew "$before"
calls=$(wc -l <"$STEP_DIR/calls")
wait_for 10 "more calls go through" more_calls_than "$calls"
stop calls
equal "none of $(wc -l <"$STEP_DIR/calls") calls failed" "" "$(grep -v '^ok$' "$STEP_DIR/calls" | head -n 3 || true)"
equal "no unit failed" "" "$(on_ca systemctl --failed --plain --no-legend | grep dockwarden || true)"
check "the audit log is whole after all that" on_ca dockwarden audit verify

# An agent that hangs is started again.
install -D -m 0644 /dev/stdin "$(host_root "$agent_host")/etc/systemd/system/dockwarden-agent.service.d/test.conf" \
    <<<$'[Service]\nWatchdogSec=4s\nRestartSec=1s'
on_agent systemctl daemon-reload
on_agent systemctl restart dockwarden-agent
before=$(agent_property MainPID)
check "an agent is made to hang" on_agent sh -c "kill -s STOP $before"
settles 30 "the watchdog starts an agent that hangs again" agent_again
contains "and says so" "Watchdog timeout" "$(on_agent journalctl --no-pager -o cat -u dockwarden-agent)"
settles 20 "its gate serves again" served_serial 2376 "$agent_address"
host_stop "$agent_host"
