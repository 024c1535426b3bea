#!/usr/bin/env bash
# Step:  a real engine's gate learns what a script of docker commands uses; the role that is printed lets the same script through and nothing else
# Limit: 240
# Needs: 05
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"
source "$REPO/tests/lib/world.sh"

world_with_host "$STEP_DIR/world" 'learn = true'
with_role() { token_new "$W/tokens/$1" client "$1" --role "$2" && dockwarden client enroll --server "$W_URL" \
    --token-file "$W/tokens/$1" --name "$1" --cert-path "$W/clients/$1"; }
check "ci enrols as admin" with_role ci admin
check "somebody else enrols" with_role viewer viewer
ci() { docker_as ci "$port" "$@"; }
learned="$W/agents/host/state/learned.json"

# What a deployment does; each line must succeed.
script() {
    ci ps -a &&
        ci volume create learn-data &&
        ci network create learn-net &&
        ci run -d --name learn-web --network learn-net --memory 64m -e KEY=hunter2 -v learn-data:/data -v /etc/hostname:/host:ro \
            --cap-add NET_ADMIN busybox:test sleep 300 &&
        ci exec learn-web cat /host &&
        ci logs learn-web &&
        ci inspect learn-web &&
        ci restart -t 0 learn-web &&
        ci rm -f learn-web &&
        ci network rm learn-net &&
        ci volume rm learn-data
}
check "the script runs as admin" script
refused "somebody else is refused, which is learned, too" 1 'does not allow ContainerKill' docker_as viewer "$port" kill nothing
written() { grep -q VolumeDelete "$learned" && grep -q ContainerKill "$learned"; }
settles 10 "what was used is written down" written
names_only() { ! grep -qE 'hunter2|learn-web|learn-data|sleep' "$learned"; }
check "and nothing of what was in it" names_only
equal "which root alone may read" 600 "$(stat -c %a "$learned")"

contains "everybody is listed of whom something was learned" viewer "$(dockwarden role learn --from "$learned")"
for form in toml yaml json; do
    dockwarden role learn ci --from "$learned" -o "$form" >"$STEP_DIR/ci.$form"
    check "a role is made of the $form" admin role create "ci-$form" --file "$STEP_DIR/ci.$form"
done
note "$(grep -c '^    "' "$STEP_DIR/ci.toml") operations; $(grep -A9 '^\[rules\]' "$STEP_DIR/ci.toml" | tail -n +2 | tr '\n' ' ')"
for rule in 'binds = \["/etc/hostname:ro"\]' 'images = \["busybox:test"\]' 'capabilities = \["NET_ADMIN"\]'; do
    check "its rules list $rule" grep -q "^$rule\$" "$STEP_DIR/ci.toml"
done
operations() { admin role inspect "ci-$1" | sed -n '/"operations"/,/]/p'; }
contains "the server knows what it allows" ContainerCreate "$(operations toml)"
equal "the yaml says the same" "$(operations toml)" "$(operations yaml)"
equal "and the json" "$(operations toml)" "$(operations json)"

contains "ci gets it" "applied on 1 of 1 hosts" "$(admin role bind ci ci-toml)"
contains "and is no admin any more" "applied on 1 of 1 hosts" "$(admin role unbind ci admin)"
check "the same script runs with the role that was learned" script

other() { refused "$1 is refused" any 'role "ci-toml" does not allow' docker_as ci "$port" "${@:2}"; }
other "docker images" images
other "docker info" info
other "docker events" events --since 1s --until 1s
other "docker pull" pull busybox:test
other "docker kill" kill nothing
other "docker stop" stop nothing
other "docker cp" cp nothing:/etc/passwd -
other "docker save" save busybox:test
other "docker tag" tag busybox:test busybox:other
other "docker volume ls" volume ls
other "docker system prune" system prune -f
run=(create --name learn-other)
other "another image" "${run[@]}" busybox:other true
other "the bind, to be written" "${run[@]}" -v /etc/hostname:/host busybox:test true
other "another bind" "${run[@]}" -v /etc:/host:ro busybox:test true
other "another capability" "${run[@]}" --cap-add SYS_ADMIN busybox:test true
other "privileges" "${run[@]}" --privileged busybox:test true
other "the host's network" "${run[@]}" --network host busybox:test true

# The access log names who, what, which role and why not.
log="$STEP_DIR/agent-host.log"
for part in 'identity=ci .*role="ci-toml" operation="ContainerCreate" decision="allowed" outcome="complete"' \
    'identity=ci .*operation="ContainerCreate" decision="denied" outcome="denied" reason=.*Privileged' \
    'identity=ci .*operation="ExecStart".* outcome="open"'; do
    check "the access log has $part" grep -qE "$part" "$log"
done
lines() { grep -c "identity=ci" "$log" || true; }
bytes() { grep "identity=ci" "$log" | wc -c; }
before=$(lines) size=$(bytes)
for _ in 1 2 3 4 5; do ci ps >"$STEP_DIR/ps.out"; done
settled() { (($(lines) == before + 10)); }
settles 5 "docker ps makes two lines" settled
note "$((($(bytes) - size) / 10)) bytes a line"
