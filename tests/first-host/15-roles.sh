#!/usr/bin/env bash
# Step:  roles with a real engine: what each may do with the docker CLI, a new one on a running agent, a taken one that cuts an exec
# Limit: 240
# Needs: 10
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"
source "$REPO/tests/lib/world.sh"

world_use "$SUITE_DIR/world"
port=$(<"$W/gate-port")

with_role() { token_new "$W/tokens/$1" client "$1" --role "$2" && dockwarden client enroll --server "$W_URL" \
    --token-file "$W/tokens/$1" --name "$1" --cert-path "$W/clients/$1"; }
for role in viewer operator deployer; do
    check "with role $role a client enrols" with_role "the-$role" "$role"
done

check "a deployer runs a container" docker_as the-deployer "$port" run -d --name roles --memory 64m -v roles:/data -p 127.0.0.1::80 busybox:test sleep 600
for privileged in --privileged --pid=host --network=host "-v /:/host" --cap-add=SYS_ADMIN --device=/dev/null --security-opt=seccomp=unconfined \
    --volumes-from=roles; do
    # shellcheck disable=SC2086
    refused "and none with $privileged" 1 'role "deployer" does not allow ContainerCreate with' \
        docker_as the-deployer "$port" create $privileged busybox:test true
done
refused "nor a volume of the host's files" 1 'a bind of' \
    docker_as the-deployer "$port" volume create --opt type=none --opt o=bind --opt device=/ stolen
contains "a viewer sees it" roles "$(docker_as the-viewer "$port" ps)"
check "a viewer reads its logs" docker_as the-viewer "$port" logs roles
refused "a viewer does not stop it" 1 'role "viewer" does not allow ContainerStop on this-machine; ask an admin for role "operator"' \
    docker_as the-viewer "$port" stop roles
refused "a viewer copies nothing out of it" 1 'role "viewer" does not allow' docker_as the-viewer "$port" cp roles:/etc/passwd -
equal "an operator enters it" in "$(docker_as the-operator "$port" exec roles echo in)"
refused "an operator gets no privileges in it" 1 'with Privileged' docker_as the-operator "$port" exec --privileged roles true
refused "an operator does not remove it" 1 'ask an admin for role "deployer"' docker_as the-operator "$port" rm -f roles

printf 'allow: ["@read", ContainerRestart]\nrules: {}\n' >"$STEP_DIR/restarter.yaml"
check "a role is written" admin role create restarter --file "$STEP_DIR/restarter.yaml"
check "and given to the viewer" admin role bind the-viewer restarter
settles 5 "who restarts from then on" docker_as the-viewer "$port" restart -t 0 roles
docker_as the-operator "$port" exec roles sleep 500 >"$STEP_DIR/exec.out" 2>&1 &
exec_pid=$!
sleep 1
check "the operator's exec is open" kill -0 "$exec_pid"
check "the operator loses the role" admin role unbind the-operator operator
cut() { ! kill -0 "$exec_pid" 2>/dev/null; }
settles 5 "and the exec is cut" cut
refused "who may do nothing any more" 1 'the-operator has no role on this-machine' docker_as the-operator "$port" ps
check "the deployer takes it away" docker_as the-deployer "$port" rm -f roles
check "and its volume" docker_as the-deployer "$port" volume rm roles
check "the audit log tells of it" grep -q role.unbind <(admin audit ls)
