#!/usr/bin/env bash
# Step:  a host whose wire is cut serves what it knew, goes stale, refuses, and catches up; no restart, backup or clock lets a revoked client in
# Limit: 420
# Needs: 50
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"
source "$REPO/tests/lib/world.sh"
source "$REPO/tests/lib/clock.sh"

# The host is a network namespace; its only way out is a wire to this machine, where the server is.
ns=dw-cut-$$ wire=dwc$$
net=10.$((100 + RANDOM % 100)).$((RANDOM % 250))
at_exit ip netns delete "$ns"
ip netns add "$ns"
inside() { ip netns exec "$ns" "$@"; }
ip link add "$wire" type veth peer name host0 netns "$ns"
ip address add "$net.1/24" dev "$wire"
ip link set "$wire" up
inside ip address add "$net.2/24" dev host0
inside ip link set host0 up
inside ip link set lo up
wire_cut() { ip link set "$wire" down; }
wire_mend() { ip link set "$wire" up; }

W_ADDRESS=$net.1
clock_of "$STEP_DIR/server-clock"
W_AROUND_SERVER=("${through_clock[@]}")
clock_of "$STEP_DIR/host-clock"
W_AROUND_AGENT=(ip netns exec "$ns" "${through_clock[@]}")
# The CA is some days old, so that a server whose clock goes back by one still has one.
clock_of "$STEP_DIR/other-clock"
clock_set "$STEP_DIR/other-clock" -3d
W_AROUND_COMMANDS=("${through_clock[@]}")
world_new "$STEP_DIR/world"
W_AROUND_COMMANDS=()
server_start
port=2376
host_join 'max_staleness = "1m"'
serves() { inside timeout 5 openssl s_client -connect "127.0.0.1:$port" </dev/null 2>/dev/null | grep -q 'BEGIN CERTIFICATE'; }
settles 30 "the agent enrols and the gate listens" serves
enrolled alice bob mallory trudy eve

docker_on() {
    local name=$1
    shift
    inside env -u DOCKER_CONTEXT DOCKER_HOST="tcp://127.0.0.1:$port" DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH="$W/clients/$name" docker "$@"
}
works() { docker_on "$1" ps; }
refuses() { ! docker_on "$1" ps >"$STEP_DIR/refused" 2>&1 && grep -Eq "$2" "$STEP_DIR/refused"; }
says() { host_status | grep -qE "$1"; }
number() { curl -sSf --max-time 5 "http://$W_ADDRESS:$W_PLAIN_PORT/crl/clients.crl" | openssl crl -inform DER -noout -crlnumber | sed 's/.*=0x//'; }
names_mallory() {
    curl -sSf --max-time 5 "http://$W_ADDRESS:$W_PLAIN_PORT/crl/clients.crl" | openssl crl -inform DER -noout -text | grep -q "Serial Number: $(serial_of mallory)"
}
settles 40 "the agent follows the feed" says 'RevocationFresh +True'
check "yesterday's backup is taken" dockwarden server backup --data-dir "$W/server" "$STEP_DIR/backup"
contains "then mallory is revoked" "applied on 1 of 1 hosts" "$(admin client revoke mallory --yes)"

# -- clocks ----------------------------------------------------------------------------------------------------------

for offset in +1d -1d; do
    clock_set "$STEP_DIR/host-clock" $offset
    sleep 2
    check "mallory is refused by a host whose clock jumps by $offset" refuses mallory 'revoked|valid|expired|certificate'
    [[ $offset != +1d ]] || check "alice works there: the server is being followed" works alice
    # A new process with that clock, which knows what is on the disk.
    stop agent-host KILL
    agent_start host
    if [[ $offset == +1d ]]; then
        settles 30 "killed and started with that clock, its gate serves" serves
    else
        # Its own certificate is not valid yet there: nothing is served, to nobody.
        sleep 5
    fi
    check "mallory is refused" refuses mallory .
    clock_set "$STEP_DIR/host-clock" +0
    settles 60 "with the right clock alice works" works alice
    check "and mallory is refused" refuses mallory revoked
done
before=$(number)
for offset in +1d -1d +0; do
    server_kill
    clock_set "$STEP_DIR/server-clock" $offset
    server_start
    settles 30 "a server killed and started with its clock at $offset lists mallory" names_mallory
    after=$(number)
    [[ ${#after} -gt ${#before} || (${#after} -eq ${#before} && ! $after < $before) ]] || fail "the number of its list never falls" "$before, then $after"
    before=$after
    check "mallory is refused" refuses mallory 'revoked'
done
ok "the number of its list never falls"
settles 60 "the agent follows again" says 'RevocationFresh +True'

# -- the wire is cut ---------------------------------------------------------------------------------------------------

wire_cut
for name in trudy eve; do
    contains "$name is revoked while the wire is cut" "applied on 0 of 1 hosts" "$(admin client revoke "$name" --yes --wait 1s)"
done
check "the host serves what it knew: alice works" works alice
check "mallory is refused" refuses mallory revoked
check "trudy still works: nobody could tell this host" works trudy
stop agent-host KILL
agent_start host
settles 30 "killed and started while it is cut off, the gate serves" serves
check "mallory is refused by a process that never heard of the server" refuses mallory revoked
check "alice works" works alice
start logs bash -c "exec $(printf '%q ' ip netns exec "$ns" env DOCKER_HOST="tcp://127.0.0.1:$port" DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH="$W/clients/alice" docker) logs -f ticker"
wait_for 20 "alice's docker logs flows" test -s "$STEP_DIR/logs.log"
settles 90 "after max_staleness every remote client is refused, in words" refuses alice 'dockwarden: this host has not heard of its server since'
gone() { ! running logs; }
settles 5 "and what was open is cut" gone
check "docker on the host itself works as always" local_docker ps

# -- the server is lost meanwhile, and comes back as yesterday's backup has it -------------------------------------------

server_kill
cp -a "$W/server/admin" "$STEP_DIR/admin"
mv "$W/server" "$STEP_DIR/lost"
check "the backup is restored" dockwarden server restore --data-dir "$W/server" "$STEP_DIR/backup"
[[ -d $W/server/admin ]] || cp -a "$STEP_DIR/admin" "$W/server/admin"
server_start
check "while the wire is cut, it publishes no list that lacks mallory" bash -c "! curl -sf --max-time 5 'http://$W_ADDRESS:$W_PLAIN_PORT/crl/clients.crl'"
wire_mend
settles 60 "the wire is mended, and alice works" works alice
check "mallory is refused: the host gave back what the server had lost" refuses mallory revoked
settles 60 "the server lists mallory again" names_mallory
for name in trudy eve; do
    check "$name, whom nobody but the lost server knew to be revoked, is revoked again" admin client revoke "$name" --yes
    settles 10 "$name is refused" refuses "$name" revoked
done

# -- and once more, without a loss: it catches up --------------------------------------------------------------------------

wire_cut
for name in bob alice; do check "$name is revoked meanwhile" admin client revoke "$name" --yes --wait 1s; done
wire_mend
for name in bob alice; do settles 60 "mended again, the host catches up by itself: $name is refused" refuses "$name" revoked; done
numbers=$(grep -oh '"number":[0-9]*' "$W"/agents/host/state/feed/changes-* | cut -d: -f2)
equal "it has applied them in order" "$(sort -n <<<"$numbers" | tail -n 2)" "$(tail -n 2 <<<"$numbers")"
check "mallory is refused, as ever" refuses mallory revoked
