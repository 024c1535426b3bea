#!/bin/sh
# Keeps the lists of revoked certificates fresh for a program that reads them from a file: nginx, HAProxy, Envoy, stunnel.
# For machines without an agent; an agent in mode "files" does the same and more, as soon as somebody is revoked. Put ca.pem
# of the fleet into DIRECTORY/current/, and run it once a minute (deploy/systemd/dockwarden-crl.timer):
#
#   crl-refresh.sh https://ca.fleet.internal:8443 /etc/docker/dockwarden systemctl reload nginx
#
# It fetches the lists of the clients issuer and of the root (a chain needs the list of every CA in it), over TLS that it
# checks against current/ca.pem; checks the signature and that no list is older than the one in use; replaces
# DIRECTORY/crl.pem at once and whole; and runs the rest of the line when something changed. Whatever goes wrong, the
# lists in use stay. Past their nextUpdate, a day later, the program refuses everybody.
#
# Needs curl and openssl. Exit: 0 fresh, 1 not (and why, on standard error), 2 usage.
set -eu

if [ $# -lt 3 ]; then
    sed -n '2,/^set /s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
server=$1 directory=$2
shift 2
root=$directory/current/ca.pem

fail() {
    echo "crl-refresh: $*; the lists in use stay" >&2
    exit 1
}

umask 022
work=$(mktemp -d "$directory/.crl.XXXXXX") || fail "cannot write in $directory"
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

fetch() {
    curl -sSf --proto '=https' --max-time 20 --max-filesize 268435456 --cacert "$root" -o "$work/$2" "$server$1" ||
        fail "cannot fetch $server$1"
}

# number FILE: the list's number, in hex without leading zeros, longer means greater.
number() { openssl crl -in "$1" -noout -crlnumber | sed 's/.*=//; s/^0x//; s/^0*//'; }

# is_older A B: both in upper-case hex.
is_older() {
    if [ ${#1} -ne ${#2} ]; then [ ${#1} -lt ${#2} ]; else [ "$1" != "$2" ] && [ "$(printf '%s\n%s\n' "$1" "$2" | LC_ALL=C sort | head -n 1)" = "$1" ]; fi
}

fetch /issuers/clients.crt clients.der
openssl x509 -inform DER -in "$work/clients.der" -out "$work/clients.pem" || fail "what came as the issuer is no certificate"
openssl verify -CAfile "$root" "$work/clients.pem" >"$work/said" 2>&1 || fail "the issuer does not lead to $root"

for list in clients root; do
    fetch "/crl/$list.pem" "$list.crl"
    if [ "$list" = root ]; then signer=$root; else signer=$work/clients.pem; fi
    # openssl says what it found on standard error, whatever its exit code.
    openssl crl -in "$work/$list.crl" -noout -verify -partial_chain -CAfile "$signer" >"$work/said" 2>&1 || true
    if ! grep -q 'verify OK' "$work/said"; then
        openssl crl -in "$work/$list.crl" -noout -verify -CAfile "$signer" >"$work/said" 2>&1 || true
        grep -q 'verify OK' "$work/said" || fail "the list of $list is not signed by its issuer"
    fi
    number "$work/$list.crl" >"$work/$list.number"
    kept=$directory/.crl-$list.number
    if [ -s "$kept" ] && is_older "$(cat "$work/$list.number")" "$(cat "$kept")"; then
        fail "the server has an older list of $list than this host"
    fi
done

cat "$work/clients.crl" "$work/root.crl" >"$work/crl.pem"
if cmp -s "$work/crl.pem" "$directory/crl.pem" && [ ! -e "$directory/.crl-reload" ]; then
    exit 0
fi
# Made before the change and removed after the reload, so that one that failed is tried again.
: >"$directory/.crl-reload"
sync "$work/crl.pem"
mv "$work/crl.pem" "$directory/crl.pem"
for list in clients root; do mv "$work/$list.number" "$directory/.crl-$list.number"; done
"$@" || { echo "crl-refresh: $* failed; it is run again the next time" >&2; exit 1; }
rm -f "$directory/.crl-reload"
