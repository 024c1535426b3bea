# shellcheck shell=bash
# Real Docker hosts: Debian systems with their own systemd, Docker Engine and address, booted by systemd-nspawn on a
# bridge that the suite makes. Root only.
#
# The root file systems are built once with debootstrap, from the mirror that this machine's own apt uses, and kept in
# $DOCKWARDEN_HOSTS_DIR; every host is a copy.

HOSTS_CACHE=${DOCKWARDEN_HOSTS_DIR:-/var/cache/dockwarden-hosts}

# What goes into a base. A change of this text rebuilds the bases.
HOSTS_PACKAGES=systemd,systemd-sysv,dbus,docker.io,iproute2,ca-certificates,curl,openssl
HOSTS_RECIPE="1 $HOSTS_PACKAGES"

# debian_mirror: where this machine's apt takes Debian from (the main archive, not the security updates).
debian_mirror() {
    local mirror
    mirror=$(mirror_of_apt)
    if [[ -z $mirror ]]; then
        # apt knows whose archive it is only after it has looked.
        timeout 300 apt-get -q update >"$HOSTS_CACHE/apt.log" 2>&1 || true
        mirror=$(mirror_of_apt)
    fi
    [[ $mirror ]] || fail "apt knows no Debian mirror" "run apt-get update, or check the files in /etc/apt"
    printf '%s\n' "$mirror"
}

mirror_of_apt() {
    # shellcheck disable=SC2016 # the placeholders are apt's
    apt-get indextargets --format '$(REPO_URI) $(ORIGIN) $(LABEL)' 'Created-By: Packages' |
        awk '$2 == "Debian" && $3 == "Debian" && !found { print $1; found = 1 }'
}

# host_base SUITE: builds the root file system of a Debian release unless it is there, or waits for the one who builds
# it. Prints its directory.
host_base() {
    mkdir -p "$HOSTS_CACHE"
    (
        flock 8
        host_base_build "$1"
    ) 8>"$HOSTS_CACHE/$1.lock"
}

host_base_build() {
    local suite=$1 base=$HOSTS_CACHE/$1 partial=$HOSTS_CACHE/$1.partial packages=$HOSTS_PACKAGES
    if [[ $(cat "$base/.dockwarden-recipe" 2>/dev/null) == "$HOSTS_RECIPE" ]]; then
        printf '%s\n' "$base"
        return
    fi
    [[ $suite == bookworm ]] || packages+=,docker-cli
    # A build that was cut off may have left its /proc mounted.
    unmount_below "$partial"
    rm -rf --one-file-system "$base" "$partial"
    # The script of sid fits every release; it is named because an older debootstrap does not know the newer ones.
    timeout 600 debootstrap --variant=minbase --include="$packages" "$suite" "$partial" "$(debian_mirror)" \
        /usr/share/debootstrap/scripts/sid >"$HOSTS_CACHE/$suite.log" 2>&1 ||
        fail "debootstrap of $suite" "$(tail -n 5 "$HOSTS_CACHE/$suite.log")"
    rm -rf "$partial"/var/cache/apt/archives/*.deb "$partial"/var/lib/apt/lists/*
    printf '%s\n' "$HOSTS_RECIPE" >"$partial/.dockwarden-recipe"
    mv "$partial" "$base"
    printf '%s\n' "$base"
}

# hosts_bridge_up / _down: the one network that the hosts and this machine share. Runs beside each other on one machine
# get one each: whoever makes the bridge has its number.
hosts_bridge_up() {
    local number
    for number in {0..99}; do
        [[ ! $(ip route show "10.77.$number.0/24") ]] || continue
        ip link add "br-dwtest$number" type bridge 2>/dev/null || continue
        printf '%s\n' "$number" >"$SUITE_DIR/hosts-network"
        hosts_network
        ip address add "$HOSTS_GATEWAY/24" dev "$HOSTS_BRIDGE"
        ip link set "$HOSTS_BRIDGE" up
        return
    done
    fail "a bridge for the hosts" "are there really a hundred runs? Left by dead ones: ip link show type bridge"
}

hosts_bridge_down() {
    [[ -e $SUITE_DIR/hosts-network ]] || return 0
    ip link del "$HOSTS_BRIDGE" 2>/dev/null || true
}

# hosts_network: what follows from the network's number. HOSTS: name, release and address of the hosts of the suites.
# Each has another engine.
# shellcheck disable=SC2034 # steps read them
hosts_network() {
    HOSTS_NUMBER=$(cat "$SUITE_DIR/hosts-network" 2>/dev/null || echo 0)
    HOSTS_BRIDGE=br-dwtest$HOSTS_NUMBER
    HOSTS_CIDR=10.77.$HOSTS_NUMBER.0/24
    HOSTS_GATEWAY=$(host_address 1)
    HOSTS=("web-old bookworm $(host_address 11)" "web-now trixie $(host_address 12)" "web-new forky $(host_address 13)")
}

# host_address N: the N-th address of the hosts' network.
host_address() { printf '10.77.%s.%s\n' "$HOSTS_NUMBER" "$1"; }
hosts_network

# unmount_below DIRECTORY: whatever is mounted in there, the deepest first.
unmount_below() {
    local target
    while read -r target; do
        umount "$target" || true
    done < <(findmnt --raw --noheadings --output TARGET | awk -v below="$1/" 'index($0, below) == 1' | sort -r)
}

# host_create NAME SUITE ADDRESS: a copy of the base with its own name, machine id and address, not yet booted.
host_create() {
    local name=$1 suite=$2 address=$3 base root=$SUITE_DIR/hosts/$1
    base=$(host_base "$suite")
    mkdir -p "$SUITE_DIR/hosts"
    cp -a --reflink=auto "$base" "$root"
    printf '%s\n' "$name" >"$root/etc/hostname"
    printf '127.0.0.1 localhost\n127.0.1.1 %s\n%s ca.fleet.internal\n' "$name" "$HOSTS_GATEWAY" >"$root/etc/hosts"
    printf 'uninitialized\n' >"$root/etc/machine-id"
    # Sorts before systemd's own 80-container-host0.network, which would ask for an address by DHCP.
    printf '[Match]\nName=host0\n[Network]\nAddress=%s/24\nLinkLocalAddressing=no\n' "$address" \
        >"$root/etc/systemd/network/10-host0.network"
    mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
    ln -sf /lib/systemd/system/systemd-networkd.service \
        "$root/etc/systemd/system/multi-user.target.wants/systemd-networkd.service"
}

# host_boot NAME: boots it and waits until systemd says that it is up.
host_boot() {
    host_boot_begin "$1"
    host_boot_end "$1"
}

# host_boot_begin NAME, host_boot_end NAME: the two halves, so that several can boot at once.
host_boot_begin() {
    local name=$1 root=$SUITE_DIR/hosts/$1
    # A second one under its name would hide the first from the teardown.
    if [[ -e $SUITE_DIR/processes/host-$name ]] && running "host-$name"; then fail "$name is not up yet"; fi
    # The unified hierarchy also where this machine has the old one: there the host could make no cgroup for a container.
    start_for_suite "host-$name" env SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 \
        systemd-nspawn -D "$root" --boot --machine="$name-$HOSTS_NUMBER" --register=no --keep-unit --capability=all \
        --system-call-filter='@keyring bpf' --network-bridge="$HOSTS_BRIDGE" --console=read-only
}

host_boot_end() { wait_for 60 "$1 boots" host_is_up "$1"; }

# host_pid NAME: the id, here, of the host's own PID 1.
host_pid() {
    local nspawn pid
    nspawn=$(pid_of "host-$1")
    read -r pid _ <"/proc/$nspawn/task/$nspawn/children"
    [[ $pid ]] && printf '%s\n' "$pid"
}

# host_is_up NAME: systemd has run all its start jobs. A failed unit (`degraded`) does not count against it here.
host_is_up() {
    running "host-$1" || fail "$1 is down" "$(tail -n 5 "$SUITE_DIR/host-$1.log")"
    case $(on_host "$1" systemctl is-system-running 2>/dev/null) in
        running | degraded) return 0 ;;
        *) return 1 ;;
    esac
}

# on_host NAME COMMAND...: inside, as its root, with a clean environment.
on_host() {
    local name=$1 pid
    shift
    pid=$(host_pid "$name") || return 1
    nsenter --target "$pid" --all -- env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        HOME=/root LC_ALL=C "$@"
}

# host_root NAME: its root directory as seen from here.
host_root() { printf '%s\n' "$SUITE_DIR/hosts/$1"; }

# host_stop NAME: an orderly shutdown (nspawn passes the signal on), then by force.
host_stop() {
    local init birth
    running "host-$1" || return 0
    init=$(host_pid "$1" || true)
    birth=$(process_birth "${init:-none}" || true)
    end_process "$SUITE_DIR/processes/host-$1" TERM 30
    # An nspawn that had to be killed leaves its host behind.
    if [[ $birth && $(process_birth "$init" || true) == "$birth" ]]; then kill -s KILL "$init"; fi
}

# host_cut NAME / host_join NAME: pulls its cable out, and puts it back. (A name of up to nine characters fits.)
host_cut() { ip link set "vb-$1-$HOSTS_NUMBER" down; }
host_join() { ip link set "vb-$1-$HOSTS_NUMBER" up; }

# hosts_remove_all: every host of the suite.
hosts_remove_all() {
    local root
    for root in "$SUITE_DIR"/hosts/*/; do
        [[ -d $root ]] || continue
        host_remove "$(basename "$root")"
    done
}

# host_remove NAME: its files; only when it is down and nothing is mounted there any more.
host_remove() {
    local root=$SUITE_DIR/hosts/$1
    host_stop "$1"
    [[ -d $root ]] || return 0
    rm -rf --one-file-system "$root"
}
