# shellcheck shell=bash
# The receivers that a step notifies, in $R, and the configuration that leads there.

# receivers_start: sets R and RECEIVERS_CONFIGURATION.
receivers_start() {
    R=$STEP_DIR/receivers
    mkdir -p "$R"
    SMTP_PORT=$(free_port)
    HTTP_PORT=$(free_port)
    ALERTMANAGER_PORT=$(free_port)
    (
        umask 077
        head -c 18 /dev/urandom | base64 >"$R/hook.key"
        head -c 18 /dev/urandom | base64 >"$R/password"
    )
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=a CA of the mail server" \
        -keyout "$R/ca.key" -out "$R/ca.pem"
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -keyout "$R/mail.key" -out "$R/mail.csr"
    openssl x509 -req -in "$R/mail.csr" -CA "$R/ca.pem" -CAkey "$R/ca.key" -days 30 -out "$R/mail.pem" \
        -extfile <(printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n')
    receivers_start_again
    alertmanager_start
    write_page
    # shellcheck disable=SC2034 # steps pass it to world_new
    RECEIVERS_CONFIGURATION=(
        '[alerts]' 'waiting_after = "1s"'
        '[[notify]]' 'name = "mail"' 'type = "smtp"' "ca_file = \"$R/ca.pem\""
        "smtp = { host = \"localhost\", port = $SMTP_PORT, from = \"dockwarden@fleet.internal\", to = [\"ops@fleet.internal\", \"boss@fleet.internal\"], user = \"dockwarden\", password_file = \"$R/password\" }"
        '[[notify]]' 'name = "hook"' 'type = "webhook"' "url = \"http://127.0.0.1:$HTTP_PORT/hook\"" "secret_file = \"$R/hook.key\""
        '[[notify]]' 'name = "chat"' 'type = "slack"' "url = \"http://127.0.0.1:$HTTP_PORT/chat\""
        '[[notify]]' 'name = "alerts"' 'type = "alertmanager"' "url = \"http://127.0.0.1:$ALERTMANAGER_PORT/api/v2/alerts\""
        '[[notify]]' 'name = "page"' 'type = "command"' "command = [\"$R/page\", \"$R\"]"
    )
}

# receivers_start_again: mail and HTTP, on the ports they had.
receivers_start_again() {
    # Debian's own, for which the package is.
    start receivers /usr/bin/python3 "$REPO/tests/alerts/receivers.py" "$R" "$SMTP_PORT" "$HTTP_PORT" "$R/mail.pem" "$R/mail.key"
    wait_for 20 "the mail server listens" listens 127.0.0.1 "$SMTP_PORT"
    wait_for 20 "the HTTP server listens" listens 127.0.0.1 "$HTTP_PORT"
}

# Prometheus' Alertmanager, by itself, telling nobody.
alertmanager_start() {
    printf 'route:\n  receiver: nobody\nreceivers:\n  - name: nobody\n' >"$R/alertmanager.yml"
    start alertmanager prometheus-alertmanager --config.file="$R/alertmanager.yml" --storage.path="$R/alertmanager" \
        --web.listen-address="127.0.0.1:$ALERTMANAGER_PORT" --cluster.listen-address=
    wait_for 20 "Alertmanager is ready" curl -sf --max-time 3 "http://127.0.0.1:$ALERTMANAGER_PORT/-/ready"
}

# The program of the channel `page`.
write_page() {
    cat >"$R/page" <<'PAGE'
#!/bin/sh
number=$(ls "$1" | grep -c '^page-')
printf '%s\n%s\n' "$DOCKWARDEN_TITLE" "$DOCKWARDEN_MESSAGE" >"$1/page-$(printf %04d $((number + 1)))"
PAGE
    chmod 755 "$R/page"
}

# nth KIND NUMBER: the file of a message.
nth() { find "$R" -name "$1-*" | sort | sed -n "$2p"; }

# counts: how many messages mail, webhook, chat and program have taken.
counts() {
    local kind all=()
    for kind in mail hook chat page; do all+=("$(find "$R" -name "$kind-*" | wc -l)"); done
    printf '%s\n' "${all[*]}"
}

counted() { [[ $(counts) == "$1" ]]; }
told() { counted "$1 $1 $1 $1"; }

# unfolded FILE: a message, with what mail and JSON do to long lines and quotes undone as far as words go.
unfolded() { python3 -c 'import quopri, sys; print(quopri.decodestring(open(sys.argv[1], "rb").read()).decode())' "$1"; }

# equal_alerts [SEVERITY...]: the severities of the alerts that Alertmanager shows, its own tests aside.
equal_alerts() {
    local shown
    shown=$(curl -sf --max-time 5 "http://127.0.0.1:$ALERTMANAGER_PORT/api/v2/alerts?filter=key!~%22test/.*%22" | python3 -c '
import json, sys
print(" ".join(sorted(alert["labels"]["severity"] for alert in json.load(sys.stdin))))')
    [[ $shown == "$*" ]]
}

# waits_because TEXT: a notification waits whose error says so.
waits_because() { admin notify ls --waiting | grep -F -- "$1"; }

# look: the scan of hosts runs once.
look() { check "the scan runs" admin job run renewal-scan; }

# host_that_waits NAME: an enrolment that an operator has to approve, older than `waiting_after`.
host_that_waits() {
    token_new "$STEP_DIR/$1.token" host "$1" --manual
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$STEP_DIR/host.key" -subj "/CN=$1" \
        -addext "subjectAltName=DNS:$1" -out "$STEP_DIR/host.csr"
    python3 -c 'import json, sys; print(json.dumps({"token": open(sys.argv[1]).read().strip(), "csr": open(sys.argv[2]).read()}))' \
        "$STEP_DIR/$1.token" "$STEP_DIR/host.csr" >"$STEP_DIR/enroll.json"
    check "an enrolment waits for approval" curl -sS --fail-with-body --max-time 20 --cacert "$W_ROOT" \
        -H 'Content-Type: application/json' --data-binary "@$STEP_DIR/enroll.json" "$W_URL/enroll"
    sleep 1.5
}
