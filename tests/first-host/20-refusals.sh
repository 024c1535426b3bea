#!/usr/bin/env bash
# Step:  the gate refuses no certificate, a self-signed one, another CA's, a host leaf and an expired leaf
# Limit: 120
# Needs: 10
source "$REPO/tests/lib/common.sh"
source "$REPO/tests/lib/docker.sh"
source "$REPO/tests/lib/forge.sh"
source "$REPO/tests/lib/world.sh"
world_use "$SUITE_DIR/world"
port=$(<"$W/gate-port")

# refuses WHAT DIRECTORY: docker and curl with the certificate in it get nothing out of the engine.
refuses() {
    local what=$1 directory=$2
    cp "$W/clients/bob/ca.pem" "$directory/ca.pem"
    refused "docker with $what" any 'tls: .*(certificate|handshake|decrypt)|denied' \
        env DOCKER_HOST="tcp://127.0.0.1:$port" DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH="$directory" timeout 20 docker ps
    refused "curl with $what" any 'certificate|alert|ssl|reset|closed' \
        curl -sS --max-time 10 --cacert "$directory/ca.pem" --cert "$directory/cert.pem" --key "$directory/key.pem" \
        "https://127.0.0.1:$port/containers/json"
}

issuer_key() {
    openssl pkey -in "$W/server/keys/$1.key.pem" -passin "file:$W/passphrase" -out "$STEP_DIR/$1.key.pem"
}

refused "curl without a certificate" any 'certificate|alert|ssl|reset|closed' \
    curl -sS --max-time 10 --cacert "$W/clients/bob/ca.pem" "https://127.0.0.1:$port/containers/json"
refused "docker without TLS" any 'HTTP response|malformed|connection|EOF|reset|TLS' \
    env DOCKER_HOST="tcp://127.0.0.1:$port" timeout 20 docker ps

forge_self_signed "$STEP_DIR/self-signed" bob
refuses "a self-signed certificate" "$STEP_DIR/self-signed"

# The other CA bears the name of ours: a name is no proof.
subject=$(openssl x509 -in "$W_ROOT" -noout -subject -nameopt multiline | sed -n 's/ *commonName *= //p')
forge_ca "$STEP_DIR/other-ca" "$subject"
forge_leaf "$STEP_DIR/other" "$STEP_DIR/other-ca/cert.pem" "$STEP_DIR/other-ca/key.pem" bob clientAuth \
    "$(date -u -d '1 hour ago' +%Y%m%d%H%M%SZ)" "$(date -u -d '1 day' +%Y%m%d%H%M%SZ)"
refuses "a leaf from another CA of the same name" "$STEP_DIR/other"

mkdir -p "$STEP_DIR/host"
cp "$(agent_certs this-machine)"/{cert,key}.pem "$STEP_DIR/host/"
refuses "the leaf of a host" "$STEP_DIR/host"

check "openssl opens the key of the clients issuer with the passphrase" issuer_key clients
check "openssl opens the key of the hosts issuer with the passphrase" issuer_key hosts
forge_leaf "$STEP_DIR/expired" "$W/server/ca/clients.pem" "$STEP_DIR/clients.key.pem" bob clientAuth \
    "$(date -u -d '2 days ago' +%Y%m%d%H%M%SZ)" "$(date -u -d '1 minute ago' +%Y%m%d%H%M%SZ)"
refuses "an expired leaf of our own issuer" "$STEP_DIR/expired"
forge_leaf "$STEP_DIR/future" "$W/server/ca/clients.pem" "$STEP_DIR/clients.key.pem" bob clientAuth \
    "$(date -u -d '1 hour' +%Y%m%d%H%M%SZ)" "$(date -u -d '1 day' +%Y%m%d%H%M%SZ)"
refuses "a leaf that is not valid yet" "$STEP_DIR/future"
forge_leaf "$STEP_DIR/wrong-issuer" "$W/server/ca/hosts.pem" "$STEP_DIR/hosts.key.pem" bob clientAuth \
    "$(date -u -d '1 hour ago' +%Y%m%d%H%M%SZ)" "$(date -u -d '1 day' +%Y%m%d%H%M%SZ)"
refuses "a client leaf signed by the hosts issuer" "$STEP_DIR/wrong-issuer"
forge_leaf "$STEP_DIR/wrong-use" "$W/server/ca/clients.pem" "$STEP_DIR/clients.key.pem" bob serverAuth \
    "$(date -u -d '1 hour ago' +%Y%m%d%H%M%SZ)" "$(date -u -d '1 day' +%Y%m%d%H%M%SZ)"
refuses "a leaf for servers signed by the clients issuer" "$STEP_DIR/wrong-use"

# Proof that the refusals above are about the certificates: the same calls with a good one.
contains "bob's own certificate still works" busybox "$(docker_as bob "$port" images)"
