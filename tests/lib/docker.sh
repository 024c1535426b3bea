# shellcheck shell=bash
# A real Docker Engine on this machine, and an image that needs no registry.

# busybox_image FILE: a root file system with busybox as every command, for `docker import`.
busybox_image() {
    local file=$1 root
    root=$(mktemp -d "$STEP_DIR/busybox.XXXXXX")
    mkdir -p "$root/bin" "$root/tmp" "$root/etc"
    install -m 0755 /bin/busybox "$root/bin/busybox"
    local applet
    for applet in sh cat echo ls sleep seq date head tail wc dd true false printf md5sum id; do
        ln -s busybox "$root/bin/$applet"
    done
    printf 'root:x:0:0:root:/:/bin/sh\n' >"$root/etc/passwd"
    tar -C "$root" -cf "$file" .
    rm -rf "$root"
}

# dockerd_start: an engine of the suite's own under a supervisor, so that a restart means what it means on a host.
# Its socket: $DOCKER_SOCKET.
DOCKER_SOCKET=${RUN_DIR:-}/docker.sock
dockerd_start() {
    local directory=$SUITE_DIR/dockerd
    mkdir -p "$directory"
    printf '{}\n' >"$directory/daemon.json"
    start_for_suite dockerd "$REPO/tests/lib/supervise" "$directory/child.pid" \
        dockerd --config-file "$directory/daemon.json" --data-root "$directory/data" --exec-root "$RUN_DIR/exec" \
        -p "$directory/dockerd.pid" -H "unix://$DOCKER_SOCKET" --bridge=none --iptables=false --ip6tables=false
    wait_for 60 "dockerd answers" dockerd_answers
}

dockerd_answers() { curl -sf --max-time 5 --unix-socket "$DOCKER_SOCKET" http://docker/_ping; }

# local_docker ARGUMENT...: the CLI straight at the engine, past the gate.
local_docker() { env -u DOCKER_CONTEXT DOCKER_HOST="unix://$DOCKER_SOCKET" docker "$@"; }

# dockerd_stop: containers first, so that no shim outlives the engine.
dockerd_stop() {
    local containers
    if dockerd_answers >/dev/null 2>&1; then
        containers=$(local_docker ps -aq 2>/dev/null || true)
        # shellcheck disable=SC2086 # a list of ids
        [[ -z $containers ]] || timeout 60 env DOCKER_HOST="unix://$DOCKER_SOCKET" docker rm -f $containers >/dev/null 2>&1 || true
    fi
    end_process "$SUITE_DIR/processes/dockerd" TERM 30
}
