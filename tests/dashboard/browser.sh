# shellcheck shell=bash
# Browsers for the steps of this suite: what drives them, and what they hold.

# modules_ensure: playwright-core and axe-core in $modules.
modules_ensure() {
    local program
    for program in node npm; do
        command -v "$program" >/dev/null || fail "$program is missing: apt-get install nodejs npm"
    done
    # shellcheck disable=SC2034 # for the steps
    modules=$WORK/browser/node_modules
    mkdir -p "$WORK/browser"
    if ! cmp -s "$REPO/tests/dashboard/package.json" "$WORK/browser/package.json"; then
        (
            cd "$WORK/browser" || exit 1
            cp "$REPO/tests/dashboard/package.json" .
            timeout 300 npm install --silent --no-audit --no-fund || { rm -f package.json && exit 1; }
        )
    fi
}

# browser_home DIRECTORY [IDENTITY]: a home whose browser trusts this world's root and, with a directory of cert.pem and
# key.pem, holds that certificate.
browser_home() {
    local store=sql:$1/.pki/nssdb
    mkdir -p "$1/.pki/nssdb"
    certutil -d "$store" -N --empty-password
    certutil -d "$store" -A -t C,, -n dockwarden -i "$W_ROOT"
    [[ ${2:-} ]] || return 0
    openssl pkcs12 -export -in "$2/cert.pem" -inkey "$2/key.pem" -certfile "$W_ROOT" -passout pass:browser -out "$1/me.p12"
    pk12util -d "$store" -i "$1/me.p12" -W browser -K ''
}

# browser_shows_certificates_to URL: no question which one, for as long as the step runs.
browser_shows_certificates_to() {
    local policy=/etc/chromium/policies/managed/dockwarden-test.json
    [[ ! -e $policy ]] || fail "$policy is there: is another run of this suite under way?"
    mkdir -p "${policy%/*}"
    at_exit rm -f "$policy"
    python3 -c 'import json, sys; print(json.dumps({"AutoSelectCertificateForUrls": [json.dumps({"pattern": sys.argv[1], "filter": {}})]}))' \
        "$1" >"$policy"
}
