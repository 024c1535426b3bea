# shellcheck shell=bash
# A host's STEP_DIR is its subshell's own, on purpose; what stands in single quotes is expanded on the host.
# shellcheck disable=SC2030,SC2031,SC2016
# Booted hosts whose own dockerd serves TLS: who they are, the agent on them in mode daemon, the clients that reach them,
# containers that count, and what must be found as it was. Needs common.sh, hosts.sh and world.sh.

# The hosts of this suite: name, release, and the last part of its address. Those called renew-* renew all the time;
# those called lab-* are broken and mended in one step after the other.
# shellcheck disable=SC2034 # steps read them
METRE_RENEW=(renew-old renew-now renew-new)
# shellcheck disable=SC2034
METRE_LAB=(lab-old lab-now lab-new)
METRE_HOSTS=(
    "renew-old bookworm 11" "renew-now trixie 12" "renew-new forky 13"
    "lab-old bookworm 21" "lab-now trixie 22" "lab-new forky 23"
    "script bookworm 31"
)

# metre_release NAME, metre_address NAME
metre_release() { _metre_field "$1" 2; }
metre_address() { host_address "$(_metre_field "$1" 3)"; }
_metre_field() { printf '%s\n' "${METRE_HOSTS[@]}" | awk -v name="$1" -v field="$2" '$1 == name { print $field }'; }

# side_by_side COMMAND NAME...: `COMMAND NAME` for each of them at once, each with a directory of its own and an end of
# its own. Fails when one failed.
side_by_side() {
    local command=$1 name pid failed=() pids=()
    shift
    for name; do
        (
            STEP_DIR=$STEP_DIR/$name _at_exit=()
            mkdir -p "$STEP_DIR"
            trap _run_at_exit EXIT
            trap 'exit 143' TERM
            "$command" "$name"
        ) >"$STEP_DIR/$name.side" 2>&1 &
        pids+=("$! $name")
    done
    for pid in "${pids[@]}"; do
        name=${pid#* }
        wait "${pid% *}" || failed+=("$name")
        printf -- '-- %s\n' "$name"
        cat "$STEP_DIR/$name.side"
        [[ " ${failed[*]} " != *" $name "* ]] || journal_of "$name"
    done
    if ((${#failed[@]})); then fail "no host failed" "failed: ${failed[*]}"; fi
}

# journal_of NAME: what the agent and dockerd said last.
journal_of() { on "$1" journalctl --no-pager --lines=60 --unit='dockwarden-*' --unit=docker || true; }

# on NAME COMMAND...: on that host, bounded.
on() {
    local name=$1
    shift
    on_host "$name" timeout --kill-after=5 "${ON_LIMIT:-120}" "$@"
}

# sh_on NAME SCRIPT [ARGUMENT...]: a shell script on that host.
sh_on() {
    local name=$1 script=$2
    shift 2
    on "$name" sh -c "$script" sh "$@"
}

# unit_of NAME PROPERTY: of docker.service there.
unit_of() { on "$1" systemctl show -p "$2" --value docker.service; }

# dockerd_line NAME: the command line of the dockerd that runs there.
dockerd_line() { tr '\0' ' ' <"$(host_root_now "$1")/proc/$(unit_of "$1" MainPID)/cmdline"; }

# host_root_now NAME: its root directory as it sees it, /proc and /run included.
host_root_now() { printf '/proc/%s/root\n' "$(host_pid "$1")"; }

engine_version() { on "$1" docker version --format '{{.Server.Version}}'; }

docker_answers_on() { on "$1" docker version; }

# -- the agent -------------------------------------------------------------------------------------------------------

# agent_put NAME [CONFIGURATION...]: the program, its unit, its configuration for mode daemon and a token, as a package
# and an image build would leave them; nothing is started. `W` is the world it joins.
agent_put() {
    local name=$1 root
    shift
    root=$(host_root "$name")
    install -m 0755 "$SUITE_DIR/dockwarden" "$root/usr/local/bin/dockwarden"
    install -D -m 0644 -t "$root/usr/local/lib/systemd/system" "$REPO/deploy/systemd/dockwarden-agent.service"
    install -D -m 0644 "$REPO/deploy/systemd/dockwarden-agent-daemon.conf" \
        "$root/usr/local/lib/systemd/system/dockwarden-agent.service.d/daemon.conf"
    on "$name" systemctl daemon-reload 2>/dev/null || true
    install -d -m 0755 "$root/etc/dockwarden"
    install -m 0400 "$W/tokens/hosts" "$root/etc/dockwarden/join.token"
    agent_configure "$name" "$@"
}

# agent_configure NAME [CONFIGURATION...]: its configuration; each CONFIGURATION is a line.
agent_configure() {
    local name=$1 root
    shift
    root=$(host_root "$name")
    {
        printf 'server = "https://ca.fleet.internal:%s"\ntoken_file = "/etc/dockwarden/join.token"\n' "$W_PORT"
        printf 'names = ["%s"]\naddresses = ["%s", "127.0.0.1"]\n' "$name" "$(metre_address "$name")"
        printf 'mode = "daemon"\n'
        printf '%s\n' "$@"
    } >"$root/etc/dockwarden/agent.toml"
}

# authz_enable NAME: has its dockerd ask the agent, as docs/daemon.md says.
authz_enable() {
    install -D -m 0644 -t "$(host_root "$1")/usr/local/lib/systemd/system" "$REPO/deploy/systemd/dockwarden-authz.socket"
    sh_on "$1" 'systemctl daemon-reload && systemctl enable dockwarden-authz.socket && systemctl restart dockwarden-agent'
}

# authz_disable NAME: takes it out again; the agent is stopped.
authz_disable() { sh_on "$1" 'dockwarden agent unplug && systemctl disable --now dockwarden-authz.socket dockwarden-agent'; }

# agent_apply NAME: one pass in the foreground.
agent_apply() { on "$1" dockwarden agent apply --now; }

# agent_status_of NAME [FORMAT]: also when it says, with its exit code, that something is wrong.
agent_status_of() { on "$1" dockwarden agent status --format "${2:-table}" || true; }

# -- clients ---------------------------------------------------------------------------------------------------------

# docker_tls DIRECTORY NAME ARGUMENT...: the docker CLI of this machine at that host's port 2376, with the client files
# of that directory.
docker_tls() {
    local files=$1 name=$2
    shift 2
    timeout 60 env -u DOCKER_CONTEXT -u DOCKER_HOST docker --tlsverify --tlscacert "$files/ca.pem" \
        --tlscert "$files/cert.pem" --tlskey "$files/key.pem" -H "tcp://$(metre_address "$name"):2376" "$@"
}

# serves_on NAME: docker reaches it with a client of this world.
serves_on() { docker_tls "$W/clients/operator" "$1" version; }

# stranger_is_refused NAME: without a certificate, and without TLS, nothing is to be had.
stranger_is_refused() {
    local address
    address=$(metre_address "$1")
    ! curl -sS --max-time 5 --cacert "$W_ROOT" "https://$address:2376/_ping" &&
        ! curl -sS --fail --max-time 5 "http://$address:2376/_ping"
}

# nobody_listens_plain NAME: no port on which Docker answers to anybody.
nobody_listens_plain() {
    local port
    for port in 2375 2376; do
        ! sh_on "$1" 'curl -sf --max-time 3 "http://127.0.0.1:$1/_ping"' "$port" || return 1
        ! curl -sf --max-time 3 "http://$(metre_address "$1"):$port/_ping" || return 1
    done
}

# serial_on_disk NAME: of the certificate that is in use there.
serial_on_disk() { openssl x509 -in "$(host_root_now "$1")/etc/docker/dockwarden/current/cert.pem" -noout -serial; }

# serial_served NAME: of the one that a dial returns.
serial_served() { served_serial 2376 "$(metre_address "$1")"; }

serves_what_is_on_disk() { [[ $(serial_served "$1") == "$(serial_on_disk "$1")" ]]; }

# -- containers that count -------------------------------------------------------------------------------------------

# counting_begin NAME CONTAINER [ARGUMENT...]: a container that writes a line every second: how often it has, and the
# time since boot. The lines are in /srv/count/CONTAINER on the host.
counting_begin() {
    local name=$1 container=$2
    shift 2
    sh_on "$name" "mkdir -p /srv/count; rm -f /srv/count/$container"
    # shellcheck disable=SC2016 # the shell in the container expands it
    on "$name" docker run -d --name "$container" "$@" -v /srv/count:/count busybox:test sh -c '
        i=0
        while :; do
            read -r up rest </proc/uptime
            echo "$i $up" >>"/count/$0"
            i=$((i + 1))
            sleep 1
        done' "$container"
}

# container_pids NAME: of all its containers, in the order of their names.
container_pids() {
    # shellcheck disable=SC2016 # the shell there expands it
    sh_on "$1" 'docker inspect --format "{{.Name}} {{.State.Pid}} {{.State.Running}}" $(docker ps -aq) | sort'
}

# counting_gap NAME CONTAINER: the longest time between two lines, in hundredths of a second; 9999 when one is missing.
counting_gap() {
    awk 'NR > 1 && $1 != last + 1 { broken = 1 }
        NR > 1 && $2 - up > longest { longest = $2 - up }
        { last = $1; up = $2 }
        END { print broken || NR < 2 ? 9999 : int(longest * 100 + 0.5) }' "$(host_root "$1")/srv/count/$2"
}

# -- what must be as it was ------------------------------------------------------------------------------------------

# Everything that Docker is configured by. (/etc/docker/key.json: an old engine makes it when it first starts.)
METRE_CONFIGURATION=(etc/docker etc/systemd etc/default etc/sysconfig etc/conf.d etc/init.d
    usr/lib/systemd/system/docker.service usr/lib/systemd/system/docker.socket usr/lib/systemd/system/docker.service.d
    root/.docker)

# configuration_of NAME: a line for each file, directory and link of it: kind, mode, owner, target, hash.
configuration_of() {
    local root path
    root=$(host_root "$1")
    for path in "${METRE_CONFIGURATION[@]}"; do
        [[ -e $root/$path ]] || continue
        (cd "$root" && find "$path" -xdev \( -type f -printf '%p %y %m %U:%G ' -exec sh -c 'sha256sum <"$1"' sh {} \; -o \
            -printf '%p %y %m %U:%G %l\n' \))
    done | sort
}

# others_configuration NAME: the same, but for what the agent has of its own while it is there.
others_configuration() { configuration_of "$1" | grep -v '^etc/docker/dockwarden'; }

# same SENTENCE BEFORE AFTER: of two such lists.
same() {
    [[ $2 == "$3" ]] || fail "$1" "$(diff <(printf '%s\n' "$2") <(printf '%s\n' "$3"))"
    ok "$1"
}

# configuration_keep NAME / configuration_restore NAME: a copy of it, and back to that: what is not in the copy goes.
configuration_keep() {
    local root kept=$SUITE_DIR/kept/$1
    root=$(host_root "$1")
    rm -rf "$kept"
    mkdir -p "$kept"
    for path in "${METRE_CONFIGURATION[@]}"; do
        if [[ -e $root/$path ]]; then (cd "$root" && cp -a --parents "$path" "$kept"); fi
    done
}

configuration_restore() {
    local root path kept=$SUITE_DIR/kept/$1
    root=$(host_root "$1")
    for path in "${METRE_CONFIGURATION[@]}"; do
        rm -rf --one-file-system "${root:?}/$path"
        if [[ -e $kept/$path ]]; then cp -a "$kept/$path" "$root/$path"; fi
    done
}

# docker_as_kept NAME: the configuration that was kept, and a dockerd that runs with it.
docker_as_kept() {
    docker_off "$1"
    configuration_restore "$1"
    on "$1" systemctl daemon-reload
    docker_on "$1"
}

# docker_off NAME, docker_on NAME: stops dockerd and its socket, as an administrator would; starts them.
docker_off() {
    sh_on "$1" 'systemctl unmask -q docker.service docker.socket
        systemctl stop docker.service docker.socket
        systemctl reset-failed docker.service docker.socket 2>/dev/null || true'
}

docker_on() {
    sh_on "$1" '[ "$(systemctl is-enabled docker.socket)" = masked ] || systemctl start docker.socket
        systemctl start docker.service'
    wait_for 20 "dockerd answers" docker_answers_on "$1"
}

# -- other systems ---------------------------------------------------------------------------------------------------

# program_put NAME PROGRAM: a program of this machine, and the libraries that the host does not have.
program_put() {
    local root file
    root=$(host_root "$1")
    while read -r file; do
        [[ -e $root$file ]] || install -D -m 0755 "$file" "$root$file"
    done < <(printf '%s\n' "$2" && ldd "$2" | awk '$3 ~ "^/" { print $3 }')
}

# script_host_boot NAME: a host whose first process reaps and does nothing else; services are started by their scripts
# in /etc/init.d, which want `ps`, leave mounted cgroups alone, and may not raise limits here.
script_host_boot() {
    local name=$1 root
    root=$(host_root "$name")
    program_put "$name" "$(readlink -f "$(command -v ps)")"
    [[ -e $root/bin/ps ]] || ln -s "$(readlink -f "$(command -v ps)")" "$root/bin/ps"
    printf 'cgroup2 /sys/fs/cgroup cgroup2 defaults 0 0\n' >>"$root/etc/fstab"
    sed -i -E 's/^\s*ulimit .*/& 2>\/dev\/null || true/' "$root/etc/init.d/docker"
    start_for_suite "host-$name" env SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 \
        systemd-nspawn -D "$root" --as-pid2 --machine="$name-$HOSTS_NUMBER" --register=no --keep-unit \
        --capability=all --system-call-filter='@keyring bpf' --network-bridge="$HOSTS_BRIDGE" --console=read-only \
        sh -c "ip link set lo up && ip address add $(metre_address "$name")/24 dev host0 && ip link set host0 up && exec sleep infinity"
    wait_for 30 "$name has its address" has_its_address "$name"
}

has_its_address() { [[ $(on "$1" ip -4 -o address show dev host0 up) == *" $(metre_address "$1")/"* ]]; }

# -- how long the API is away ----------------------------------------------------------------------------------------

# gap_watch NAME WHAT PORT DIRECTORY...: asks that port of the host all the time, with the client files of DIRECTORY.
gap_watch() {
    local name=$1 what=$2 port=$3
    shift 3
    rm -f "$STEP_DIR/gap-$what"
    start "gap-$what-$name" python3 "$REPO/tests/foreign/api_gap.py" watch "$(metre_address "$name")" "$port" "$STEP_DIR/gap-$what" "$@"
    wait_for 20 "$name answers" grep -q ' ok ' "$STEP_DIR/gap-$what"
}

# gap_end NAME WHAT: once it answers again.
gap_end() {
    wait_for 20 "$1 answers again" gap_is_over "$2"
    stop "gap-$2-$1"
    grep -v ' ok ' "$STEP_DIR/gap-$2" | cut -d' ' -f2- | sort | uniq -c || true
}
gap_is_over() { tail -n 1 "$STEP_DIR/gap-$1" | grep ' ok '; }

# gap_longest NAME WHAT: in milliseconds.
gap_longest() { python3 "$REPO/tests/foreign/api_gap.py" gaps "$STEP_DIR/gap-$2" | sort -n | tail -n 1 | awk '{ print $1 } END { if (!NR) print 0 }'; }

# dockerd_starts NAME: how often dockerd has been started there.
dockerd_starts() {
    if [[ -d $(host_root_now "$1")/run/systemd/system ]]; then
        on "$1" journalctl --no-pager -o cat -u docker.service | grep -c '^Started ' || true
    else
        grep -c 'Daemon has completed initialization' "$(host_root "$1")/var/log/docker.log" || true
    fi
}
