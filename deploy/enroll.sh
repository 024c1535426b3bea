#!/bin/sh
# Enrols this machine as a Docker host with what every image has: sh, curl, openssl.
#
#   enroll.sh https://ca.fleet.internal:8443 /etc/dockwarden/join.token [NAME|ADDRESS...]
#
# Leaves /etc/docker/dockwarden/current/{ca,cert,key}.pem. Without names: this host's full name, and the address it
# reaches the server from. Safe to run again: the key is kept, and the server answers the same token and the same key
# with the same certificate. The token leaves this machine only towards a server whose chain ends in the token's pin.
set -eu
umask 077
export LC_ALL=C
say() { echo "enroll.sh: $*" >&2; }
die() { say "$@"; exit 1; }
web() { curl -q -sS --proto =https --tlsv1.2 --max-time 60 --retry 5 --retry-connrefused "$@"; }
field() { sed -n 's/.*"'"$1"'": *"\([^"]*\)".*/\1/p' answer.tmp; }
public_key() { openssl x509 -in "$1" -noout -pubkey; }

[ $# -ge 2 ] || { say "usage: enroll.sh https://SERVER:8443 TOKEN_FILE [NAME|ADDRESS...]"; exit 2; }
server=${1%/} token_file=$2 dir=${DOCKWARDEN_DIR:-/etc/docker/dockwarden} token=''
shift 2
case $server in https://*) ;; *) die "$server: the server's URL must start with https://" ;; esac
read -r token <"$token_file" || [ "$token" ] || die "no join token in $token_file (dockwarden token create makes one)"
case $token in
    *[!a-z2-7_.1]* | dw1_*_*_*_* | dw1_*_*_) die "$token_file does not hold a whole join token: was it cut off?" ;;
    dw1_?*_?*_?*) pins=.${token##*_}. ;;
    *) die "$token_file does not hold a join token (dw1_...)" ;;
esac
if openssl x509 -in "$dir/current/cert.pem" -noout -checkend 0 >/dev/null 2>&1; then
    say "enrolled already: $dir/current"
    exit 0
fi

# The version after the current one. It becomes current by one rename; until then a second run goes on where this one
# stopped, with the same key.
last=$(readlink "$dir/current") || last=versions/0
version=$((${last##*/} + 1))
(umask 022 && mkdir -p "$dir/versions")
mkdir -p "$dir/versions/$version"
cd "$dir/versions/$version"
trap 'rm -f ./*.tmp' EXIT

# The root is public, so it is fetched unchecked, compared with the pin, and from then on the only CA that curl trusts.
# Only the first certificate is kept: nothing vouches for what else the answer may hold. --capath, because curl would
# go on trusting the machine's own CA directory beside --cacert.
address=$(web --insecure -w '%{local_ip}' -o answer.tmp "$server/ca.pem") || die "cannot reach $server"
openssl x509 -in answer.tmp -out ca.pem 2>/dev/null || die "$server/ca.pem is no certificate: not a dockwarden server?"
pin=$(public_key ca.pem | openssl pkey -pubin -outform DER | openssl dgst -sha256 -binary |
    base32 | tr -d '=\n' | tr '[:upper:]' '[:lower:]')
case $pins in
    *."$pin".*) ;;
    *) die "$server is not the server this token was made for: its root is $pin, the token expects ${token##*_}." \
        "The token was not sent. Is there a TLS-inspecting proxy in between? See docs/troubleshooting.md#pin" ;;
esac

if [ ! -s key.pem ]; then
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.tmp
    mv key.tmp key.pem
fi
[ $# -gt 0 ] || set -- "$(hostname -f 2>/dev/null || hostname)" "$address"
sans=DNS:localhost,IP:127.0.0.1,IP:::1
for san in "$@"; do
    case $san in *:*) san=IP:$san ;; *[!0-9.]*) san=DNS:$san ;; *) san=IP:$san ;; esac
    case ,$sans, in *,"$san",*) ;; *) sans=$sans,$san ;; esac
done
openssl req -new -key key.pem -subj "/CN=$1" -addext "subjectAltName=$sans" -out csr.tmp
csr=$(while read -r line; do printf '%s\\n' "$line"; done <csr.tmp)

# printf is the shell's own, so the token is on no command line. 202: an operator has to approve; ask again.
status=202
while [ "$status" = 202 ]; do
    status=$(printf '{"profile":"host","token":"%s","csr":"%s"}' "$token" "$csr" |
        web --cacert ca.pem --capath . -o answer.tmp -w '%{http_code}' \
            -H 'Content-Type: application/json' --data-binary @- "$server/enroll") ||
        die "$server gave no answer, or is not under the pinned root: see docs/troubleshooting.md#pin"
    case $status in
        200 | 201) ;;
        202) say "waiting for: dockwarden host approve $(field request)" && sleep 10 ;;
        *) die "$server refused ($status): $(cat answer.tmp)" ;;
    esac
done

printf '%b' "$(field chain)" >cert.tmp
openssl verify -no-CApath -CAfile ca.pem -untrusted cert.tmp -purpose sslserver cert.tmp >/dev/null ||
    die "$server sent a certificate that does not verify"
[ "$(public_key cert.tmp)" = "$(openssl pkey -in key.pem -pubout)" ] || die "$server sent a certificate for another key"
mv cert.tmp cert.pem
chmod 0400 key.pem
chmod 0444 ca.pem cert.pem
chmod 0755 .
sync
ln -sfn "versions/$version" ../../current.tmp
mv -fT ../../current.tmp ../../current
say "enrolled $1 as serial $(field serial), until $(field not_after): $dir/current"
