# On the Docker host. $1 is its address.
set -e
mkdir -p ~/.docker/
openssl genrsa -out ~/.docker/ca-key.pem 2048
openssl req -x509 -new -nodes -days 10000 \
  -subj '/CN=docker-CA' \
  -key ~/.docker/ca-key.pem \
  -out ~/.docker/ca.pem

openssl genrsa -out ~/.docker/key.pem 2048

cat >~/.docker/openssl.cnf <<CONFIGURATION
[req]
req_extensions = v3_req
distinguished_name = req_distinguished_name
[req_distinguished_name]
[ v3_req ]
basicConstraints = CA:FALSE
keyUsage = nonRepudiation, digitalSignature, keyEncipherment
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = @alt_names

[alt_names]
IP.1 = $1
IP.2 = 0.0.0.0
CONFIGURATION

openssl req -new \
  -subj '/CN=docker-server' \
  -key ~/.docker/key.pem \
  -config ~/.docker/openssl.cnf \
  -out ~/.docker/cert.csr

openssl x509 -req \
  -in ~/.docker/cert.csr \
  -CA ~/.docker/ca.pem \
  -CAkey ~/.docker/ca-key.pem \
  -extfile ~/.docker/openssl.cnf \
  -out ~/.docker/cert.pem \
  -days 365 -extensions v3_req -CAcreateserial
