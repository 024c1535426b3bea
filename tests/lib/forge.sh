# shellcheck shell=bash
# Certificates that must be refused, made with openssl. Each DIR gets cert.pem and key.pem.

# forge_key FILE
forge_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }

# forge_self_signed DIR NAME: a client certificate that nobody but itself vouches for.
forge_self_signed() {
    mkdir -p "$1"
    forge_key "$1/key.pem"
    openssl req -x509 -new -key "$1/key.pem" -subj "/CN=$2" -days 30 -addext extendedKeyUsage=clientAuth -out "$1/cert.pem"
}

# forge_ca DIR NAME: a CA of somebody else. The name may be that of ours.
forge_ca() {
    mkdir -p "$1"
    forge_key "$1/key.pem"
    openssl req -x509 -new -key "$1/key.pem" -subj "/CN=$2" -days 30 \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign -out "$1/cert.pem"
}

# forge_leaf DIR CA_CERT CA_KEY NAME EKU START END: signed with that key, with those dates (YYYYMMDDHHMMSSZ).
# cert.pem has the CA's certificate behind the leaf, as a peer would send it.
forge_leaf() {
    local directory=$1 ca_cert=$2 ca_key=$3 name=$4 eku=$5 start=$6 end=$7 work
    mkdir -p "$directory"
    work=$(mktemp -d "$STEP_DIR/forge.XXXXXX")
    forge_key "$directory/key.pem"
    openssl req -new -key "$directory/key.pem" -subj "/CN=$name" -out "$work/request.pem"
    : >"$work/index"
    cat >"$work/ca.conf" <<CONF
[ca]
default_ca = forge
[forge]
database = $work/index
new_certs_dir = $work
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
x509_extensions = leaf
[any]
commonName = supplied
[leaf]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = $eku
subjectAltName = DNS:$name
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
CONF
    openssl ca -batch -notext -config "$work/ca.conf" -cert "$ca_cert" -keyfile "$ca_key" \
        -startdate "$start" -enddate "$end" -in "$work/request.pem" -out "$work/leaf.pem"
    openssl x509 -in "$work/leaf.pem" -out "$directory/cert.pem"
    openssl x509 -in "$ca_cert" >>"$directory/cert.pem"
}
