#!/bin/sh
# The hook of an agent in mode "files" with HAProxy: see docker.cfg beside this file. Needs socat.
#
#   SOCKET    HAProxy's runtime API                               (/run/haproxy/admin.sock)
#   RELOAD    what reloads HAProxy                                (systemctl reload haproxy)
#   CUT       "no": connections of a revoked client go on until they end, and nobody else's are ended for it
set -eu
socket=${SOCKET:-/run/haproxy/admin.sock}
root=${DOCKWARDEN_DIRECTORY%/current}

# api COMMAND: one command; HAProxy says what went wrong in words, with whatever exit code.
api() { printf '%s\n' "$1" | socat -t 10 stdio "UNIX-CONNECT:$socket"; }

pair() {
    umask 077
    cat "$DOCKWARDEN_DIRECTORY/cert.pem" "$DOCKWARDEN_DIRECTORY/key.pem" >"$root/.haproxy.pem"
    mv "$root/.haproxy.pem" "$root/haproxy.pem"
}

# hand_over: the runtime API reads 16 KiB at once (tune.bufsize); a longer list takes a reload.
hand_over() {
    [ "$(wc -c <"$DOCKWARDEN_CRL")" -lt 15000 ] || return 1
    said=$(api "set ssl crl-file $DOCKWARDEN_CRL <<
$(cat "$DOCKWARDEN_CRL")
")
    case $said in *"transaction created"* | *"transaction updated"*) ;; *) echo "$said" && return 1 ;; esac
    said=$(api "commit ssl crl-file $DOCKWARDEN_CRL")
    case $said in *Success*) ;; *) echo "$said" && return 1 ;; esac
}

if [ "${DOCKWARDEN_CHANGED:-certificate}" = revocations ]; then
    # The first lists may come before HAProxy runs with them: then it is the reload that starts it.
    if ! [ -S "$socket" ] || ! [ -e "$root/haproxy.pem" ] || ! hand_over; then
        [ -e "$root/haproxy.pem" ] || pair
        ${RELOAD:-systemctl reload haproxy}
    fi
    if [ "$DOCKWARDEN_REVOKED" -gt 0 ] && [ "${CUT:-yes}" != no ]; then
        api "shutdown sessions server engine/engine"
    fi
else
    pair
    ${RELOAD:-systemctl reload haproxy}
fi
