#!/usr/bin/env bash
# Step:  sabotaged renewals are rolled back or refused: the old certificate is served on, and why is told everywhere
# Limit: 600
# Needs: 05
# A host's STEP_DIR is its subshell's own, on purpose; what stands in single quotes is expanded on the host.
# shellcheck disable=SC2030,SC2031,SC2016
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/hosts.sh"
source "$REPO/tests/lib/world.sh"
source "$REPO/tests/lib/metre.sh"
world_use "$SUITE_DIR/days"

# Each host gets some of them: SABOTAGE_HOSTS=all has every host get all.
sabotages_of() {
    if [[ ${SABOTAGE_HOSTS:-} == all ]]; then
        echo port exits garbage json disk limit hangs
        return
    fi
    case $1 in
        lab-old) echo port exits json hangs ;;
        lab-now) echo port garbage limit ;;
        lab-new) echo port disk json ;;
    esac
}

files=/etc/docker/dockwarden

# -- what is done to it: prepare_X before the agent looks, undo_X when it has given up -------------------------------

# wrap NAME HOW: the next dockerd with another certificate does that.
wrap() {
    local root
    root=$(host_root "$1")
    mkdir -p "$root/srv/sabotage/real"
    cp -a --update "$root/usr/sbin/dockerd" "$root/srv/sabotage/real/dockerd"
    install -m 0755 "$REPO/tests/last-metre/sabotage/dockerd" "$root/srv/sabotage/dockerd"
    printf '%s\n' "$2" >"$root/srv/sabotage/how"
    serial_on_disk "$1" >"$root/srv/sabotage/serial"
    on "$1" mount --bind /srv/sabotage/dockerd /usr/sbin/dockerd
}
unwrap() { on "$1" umount /usr/sbin/dockerd; }

# small NAME DIRECTORY: puts it, with what it holds, on a file system of its own without room. room: gives it room.
small() {
    sh_on "$1" 'cp -a "$1" /srv/small && mount -t tmpfs -o size=256k tmpfs "$1" && cp -a /srv/small/. "$1/" && rm -rf /srv/small
        cat /dev/zero >"$1/filler" 2>/dev/null; true' "$2"
}
room() { on "$1" rm "$2/filler"; }
# large NAME DIRECTORY: puts it back where it was.
large() {
    sh_on "$1" 'cp -a "$1" /srv/small && umount "$1" && find "$1" -mindepth 1 -delete && cp -a /srv/small/. "$1/" && rm -rf /srv/small' "$2"
}

prepare_exits() { wrap "$1" exits; }
undo_exits() { unwrap "$1"; }
prepare_hangs() { wrap "$1" hangs; }
undo_hangs() { unwrap "$1"; }
prepare_garbage() { wrap "$1" garbage; }
undo_garbage() { unwrap "$1"; }
prepare_disk() { small "$1" "$files"; }
undo_disk() { room "$1" "$files"; }
after_disk() { large "$1" "$files"; }

# Somebody breaks daemon.json as soon as another version is in use.
prepare_json() {
    on "$1" cp -a /etc/docker/daemon.json /srv/daemon.json
    # shellcheck disable=SC2016 # the shell there expands it
    on_host "$1" systemd-run --quiet --collect --unit=vandal bash -c '
        old=$(readlink -f $0/current/cert.pem)
        while [[ $0/current/cert.pem -ef $old ]]; do :; done
        echo "{ \"debug\": true, " >/etc/docker/daemon.json' "$files"
}
undo_json() {
    on "$1" systemctl stop vandal.service 2>/dev/null || true
    on "$1" cp -a /srv/daemon.json /etc/docker/daemon.json
}

# -- what must come of it --------------------------------------------------------------------------------------------

# What the agent's words must contain: what was wrong, not only that something was.
reason_of() {
    case $1 in
        port) echo 'in use|2376' ;;
        exits) echo 'failed to start daemon: sabotage' ;;
        hangs) echo 'not done after|not up after' ;;
        garbage) echo 'PEM|X509|certificate' ;;
        json) echo 'daemon\.json' ;;
        disk) echo 'space' ;;
    esac
}

tells_why() { grep -Eqi -- "$(reason_of "$2")" <<<"$(agent_status_of "$1")"; }
metric_tells() {
    curl -sf --max-time 5 "http://$W_ADDRESS:$W_PLAIN_PORT/metrics" | grep -E "^dockwarden_host_condition\{.*host=\"$1\".*status=\"false\".*\} 1$"
}
renewed() { serves_on "$1" && serves_what_is_on_disk "$1" && [[ $(serial_served "$1") != "$2" ]]; }

# next_certificate NAME WHAT: the host is to have another one: with one more name in it.
next_certificate() { agent_configure "$1" "extra_names = [\"after-$2\"]" '[daemon]' 'restart_timeout = "15s"'; }

# sabotaged NAME WHAT
sabotaged() {
    local name=$1 what=$2 old pids said
    old=$(serial_served "$name")
    pids=$(container_pids "$name")
    "prepare_$what" "$name"
    next_certificate "$name" "$what"
    said=$(agent_apply "$name" 2>&1) && fail "$name, $what: the agent fails" "it said: $said"
    printf '%s\n' "$said"
    grep -Eqi -- "$(reason_of "$what")" <<<"$said" || fail "$name, $what: it says why" "not /$(reason_of "$what")/: $said"
    wait_for 20 "$name, $what: dockerd answers" docker_answers_on "$name"
    equal "$name, $what: the old certificate is served" "$old" "$(serial_served "$name")"
    check "$name, $what: clients get in" serves_on "$name"
    check "$name, $what: status tells why" tells_why "$name" "$what"
    settles 15 "$name, $what: a metric tells" metric_tells "$name"
    equal "$name, $what: the containers run on" "$pids" "$(container_pids "$name")"
    "undo_$what" "$name"
    recovers "$name" "$what" "$old"
    if declare -F "after_$what" >/dev/null; then "after_$what" "$name"; fi
}

recovers() {
    local name=$1 what=$2 old=$3 try
    for try in 1 2 3; do
        if agent_apply "$name"; then break; fi
        ((try < 3)) || fail "$name, $what: it recovers by itself when that is over" "$(agent_status_of "$name")"
        sleep 3
    done
    check "$name, $what: it recovers when that is over" renewed "$name" "$old"
}

# Somebody else has the port before dockerd ever had it.
sabotage_port() {
    local name=$1 before said
    before=$(others_configuration "$name")
    on "$name" systemd-run --quiet --collect --unit=squatter systemd-socket-activate --accept -l 2376 /bin/true
    wait_for 10 "the port is taken" listens "$(metre_address "$name")" 2376
    agent_configure "$name"
    said=$(agent_apply "$name" 2>&1) && fail "$name, port: the agent fails" "it said: $said"
    printf '%s\n' "$said"
    grep -Eqi -- "$(reason_of port)" <<<"$said" || fail "$name, port: it says why" "$said"
    same "$name, port: every file is as it was" "$before" "$(others_configuration "$name")"
    wait_for 20 "$name, port: dockerd answers" docker_answers_on "$name"
    check "$name, port: status tells why" tells_why "$name" port
    settles 15 "$name, port: a metric tells" metric_tells "$name"
    on "$name" systemctl stop squatter.service
    recovers "$name" port none
}

# dockerd was started so often that systemd starts it no more. Either certificate may be served; dockerd must run.
sabotage_limit() {
    local name=$1 old pids
    old=$(serial_served "$name")
    pids=$(container_pids "$name")
    # Restarts are counted, also those that work: three in a minute, and the next is refused.
    sh_on "$name" 'systemctl reset-failed docker.service; for i in 1 2 3; do systemctl restart docker.service; done'
    next_certificate "$name" limit
    agent_apply "$name" || true
    wait_for 20 "$name, limit: dockerd answers" docker_answers_on "$name"
    check "$name, limit: what is served is in use" serves_what_is_on_disk "$name"
    recovers "$name" limit "$old"
    equal "$name, limit: the containers run on" "$pids" "$(container_pids "$name")"
}

sabotage() {
    local name=$1 what
    sh_on "$name" 'docker rm -f $(docker ps -aq)' || true
    counting_begin "$name" alone --network=none
    agent_put "$name"
    for what in $(sabotages_of "$name"); do
        case $what in
            port | limit) "sabotage_$what" "$name" ;;
            *) sabotaged "$name" "$what" ;;
        esac
    done
    check "$name: the container counted all the time" test "$(counting_gap "$name" alone)" -lt 200
    check "$name: the agent is uninstalled" on "$name" dockwarden agent uninstall --yes
    same "$name: the files are as the distribution left them" "$(<"$SUITE_DIR/untouched-$name")" "$(configuration_of "$name")"
}

side_by_side sabotage "${METRE_LAB[@]}"
