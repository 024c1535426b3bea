# On the client, which has ca.pem and ca-key.pem of the server in ~/.docker.
set -e
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
CONFIGURATION

openssl req -new -subj '/CN=docker-client' \
  -key ~/.docker/key.pem \
  -config ~/.docker/openssl.cnf \
  -out ~/.docker/cert.csr

openssl x509 -req -CAcreateserial \
  -days 365 -extensions v3_req \
  -CA ~/.docker/ca.pem \
  -CAkey ~/.docker/ca-key.pem \
  -in ~/.docker/cert.csr \
  -extfile ~/.docker/openssl.cnf \
  -out ~/.docker/cert.pem
