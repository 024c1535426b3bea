# Create the CA Key and Certificate for signing Client Certs
set -e
openssl genrsa -des3 -passout pass:secret -out ca.key 4096
openssl rsa -passin pass:secret -in ca.key -out ca.key # remove password!
openssl req -new -x509 -days 365 -key ca.key -subj "/CN=docker CA" -out ca.crt
# Create the Server Key, CSR, and Certificate
openssl genrsa -des3 -passout pass:secret -out server.key 2048
openssl rsa -passin pass:secret -in server.key -out server.key # remove password!
openssl req -new -key server.key -subj "/CN=localhost" -out server.csr
# We're self signing our own server cert here. This is a no-no in production.
openssl x509 -req -days 365 -in server.csr -CA ca.crt -CAkey ca.key -set_serial 01 -out server.crt
# Create the Client Key and CSR
openssl genrsa -des3 -passout pass:secret -out client.key 2048
openssl rsa -passin pass:secret -in client.key -out client.key # no password!
openssl req -new -key client.key -subj "/CN=client" -out client.csr
# Sign the client certificate with our CA cert. Unlike signing our own server cert, this is what we want to do.
openssl x509 -req -days 365 -in client.csr -CA ca.crt -CAkey ca.key -set_serial 01 -out client.crt
