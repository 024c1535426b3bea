# shellcheck shell=bash
# What a suite needs from Debian and from PyPI: installs what is missing when root, says what to install when not.

# debian_packages_of SUITE: one a line.
debian_packages_of() {
    case $1 in
        unit) printf '%s\n' gcc libc6-dev openssl gnutls-bin strace prometheus ;;
        first-host)
            printf '%s\n' gcc libc6-dev openssl gnutls-bin curl iproute2 util-linux busybox-static debootstrap \
                systemd-container docker.io nginx-light python3 python3-venv
            ;;
        revocation)
            printf '%s\n' gcc libc6-dev openssl gnutls-bin curl iproute2 busybox-static docker.io nginx-light haproxy socat stunnel4 \
                prometheus faketime python3 python3-venv
            ;;
        alerts) printf '%s\n' openssl curl python3 python3-aiosmtpd prometheus-alertmanager ;;
        dashboard) printf '%s\n' openssl curl iproute2 docker.io python3 chromium libnss3-tools fonts-dejavu-core ;;
        image) printf '%s\n' gcc libc6-dev musl-tools cmake file binutils openssl curl iproute2 util-linux debootstrap systemd-container python3 ;;
        last-metre)
            printf '%s\n' gcc libc6-dev binutils openssl curl iproute2 util-linux procps busybox-static debootstrap \
                systemd-container docker.io nginx-light python3
            ;;
        *) ;;
    esac
}

# packages_ensure SUITE...
packages_ensure() {
    local suite package missing=()
    command -v dpkg-query >/dev/null || {
        printf 'tests/run: this is no Debian: see that these are there: %s\n' "$(for suite; do debian_packages_of "$suite"; done | sort -u | tr '\n' ' ')"
        return 0
    }
    while read -r package; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
    done < <(for suite; do debian_packages_of "$suite"; done | sort -u)
    ((${#missing[@]})) || return 0
    if ((EUID != 0)); then
        printf 'tests/run: missing Debian packages. Install them, or run this as root:\n  sudo apt-get install --no-install-recommends %s\n' "${missing[*]}" >&2
        return 1
    fi
    printf 'installing Debian packages: %s\n' "${missing[*]}"
    _apt_get update && _apt_get install --yes --no-install-recommends "${missing[@]}" && return
    printf 'tests/run: apt-get could not install %s: see %s\n' "${missing[*]}" "$WORK/apt.log" >&2
    return 1
}

# RUNLEVEL keeps a freshly installed service from being started where no systemd runs.
_apt_get() {
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=yes \
        timeout 900 apt-get -q "$@" >>"$WORK/apt.log" 2>&1 </dev/null
}

# python_ensure SUITE: a virtual environment with what tests/SUITE/python.txt names. Its programs come first in PATH.
python_ensure() {
    local wanted=$REPO/tests/$1/python.txt venv=$WORK/python
    [[ -e $wanted ]] || return 0
    if ! cmp -s "$wanted" "$venv/.installed"; then
        printf 'installing from PyPI: %s\n' "$(grep -v '^#' "$wanted" | tr '\n' ' ')"
        rm -rf "$venv"
        python3 -m venv "$venv" >"$WORK/pip.log" 2>&1 || {
            printf 'tests/run: python3 -m venv failed (Debian: apt-get install python3-venv): see %s\n' "$WORK/pip.log" >&2
            return 1
        }
        timeout 900 "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$wanted" >>"$WORK/pip.log" 2>&1 </dev/null || {
            printf 'tests/run: pip could not install %s: see %s\n' "$wanted" "$WORK/pip.log" >&2
            return 1
        }
        cp "$wanted" "$venv/.installed"
    fi
    export PATH=$venv/bin:$PATH
}
