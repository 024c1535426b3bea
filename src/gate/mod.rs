//! The mutual-TLS proxy in front of docker.sock.
