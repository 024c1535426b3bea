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

# docker_tour COMMAND...: what people do with Docker all day, through whatever COMMAND reaches (`docker --context X`).
# Needs the image busybox:test; leaves nothing behind in the engine.
docker_tour() {
    local tour=$STEP_DIR/tour
    mkdir -p "$tour"
    tour_containers "$@"
    tour_streams "$@"
    tour_files "$@"
    tour_images "$@"
}

tour_containers() {
    contains "docker version names the engine" "Server:" "$(timeout 30 "$@" version)"
    equal "docker run prints what the container says" "from inside" \
        "$(timeout 60 "$@" run --rm --network=none busybox:test echo "from inside")"
    equal "docker run hands on the exit code" 7 \
        "$(timeout 60 "$@" run --rm --network=none busybox:test sh -c 'exit 7' && echo 0 || echo $?)"
    equal "what is piped into docker run -i ends there and comes back" "ok" \
        "$(echo ok | timeout 30 "$@" run --rm -i --network=none busybox:test cat)"
    # shellcheck disable=SC2016 # the shell inside expands it
    timeout 60 "$@" run -d --name tour --network=none busybox:test sh -c 'i=0; while :; do echo line $i; i=$((i+1)); sleep 0.1; done'
    contains "docker ps lists it" "tour" "$(timeout 30 "$@" ps --format '{{.Names}}')"
    equal "docker exec answers" "inside" "$(timeout 30 "$@" exec tour echo inside)"
    equal "what is piped into docker exec -i ends there and comes back" "a b" \
        "$(printf 'a b' | timeout 30 "$@" exec -i tour cat)"
    equal "docker exec hands on the exit code" 3 \
        "$(timeout 30 "$@" exec tour sh -c 'exit 3' && echo 0 || echo $?)"
    equal "docker exec -it gives a terminal" "terminal" \
        "$(timeout 30 script -qec "$(printf '%q ' "$@") exec -it tour sh -c 'test -t 0 && echo terminal'" /dev/null </dev/null | tr -cd "[:lower:]")"
}

tour_streams() {
    local seen
    seen=$(timeout 20 "$@" logs -f tour | head -n 30 | tail -n 1 || true)
    equal "docker logs -f follows" "line 29" "$seen"
    start events "$@" events --filter container=tour
    sleep 1
    timeout 30 "$@" pause tour
    timeout 30 "$@" unpause tour
    settles 10 "docker events tells of a pause" grep -q "container pause" "$STEP_DIR/events.log"
    stop events
    seen=$(timeout 20 "$@" attach --no-stdin --sig-proxy=false tour | head -n 3 | wc -l || true)
    equal "docker attach follows" "3" "$seen"
}

tour_files() {
    local tour=$STEP_DIR/tour
    head -c 3000000 /dev/urandom >"$tour/in"
    check "docker cp puts a file in" timeout 60 "$@" cp "$tour/in" tour:/tmp/file
    check "docker cp gets a file out" timeout 60 "$@" cp tour:/tmp/file "$tour/out"
    check "it is the same file" cmp "$tour/in" "$tour/out"
    check "docker rm -f ends it" timeout 60 "$@" rm -f tour
}

tour_images() {
    local tour=$STEP_DIR/tour old=/usr/bin/docker
    mkdir -p "$tour/context"
    printf 'built\n' >"$tour/context/file"
    printf 'FROM busybox:test\nCOPY file /file\nRUN cat /file > /copy\n' >"$tour/context/Dockerfile"
    check "docker build makes an image" env DOCKER_BUILDKIT=0 timeout 120 "$@" build --network=none -t tour:classic "$tour/context"
    equal "the image has the file" "built" "$(timeout 60 "$@" run --rm --network=none tour:classic cat /copy)"
    # BuildKit by a CLI that has it built in: its session is an upgrade to h2c inside our connection.
    if [[ $1 == docker && -x $old && $("$old" --version) == *" 20.10"* ]]; then
        check "docker build with BuildKit makes an image" \
            env DOCKER_BUILDKIT=1 timeout 120 "$old" "${@:2}" build --progress=plain --network=none --no-cache -t tour:buildkit "$tour/context"
        equal "that image has the file, too" "built" "$(timeout 60 "$@" run --rm --network=none tour:buildkit cat /copy)"
        timeout 60 "$@" rmi tour:buildkit
    else
        skip "docker build with BuildKit: no CLI here has it without a plugin"
    fi
    check "docker save writes an image" timeout 60 "$@" save -o "$tour/image.tar" tour:classic
    check "docker rmi removes it" timeout 60 "$@" rmi tour:classic
    check "docker load brings it back" timeout 60 "$@" load -i "$tour/image.tar"
    timeout 60 "$@" rmi tour:classic
}
