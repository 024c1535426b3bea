"""How long a Docker API is away: api_gap.py watch ADDRESS PORT FILE DIRECTORY... | api_gap.py gaps FILE

`watch` asks GET /_ping over a new TLS connection ten times a second, until it is told to stop, with the client files
(ca.pem, cert.pem, key.pem) of the first DIRECTORY that gets an answer, and writes a line for each try: the time in
seconds, `ok` with a hash of the certificate served, or `failed` with the reason.

`gaps` prints a line for each time that it was away: how long, in milliseconds, and from which certificate to which."""

import hashlib
import os
import socket
import ssl
import sys
import time


def ask(address, port, directory):
    """Returns the hash of the served certificate; raises OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(os.path.join(directory, "ca.pem"))
    context.load_cert_chain(os.path.join(directory, "cert.pem"), os.path.join(directory, "key.pem"))
    with socket.create_connection((address, port), timeout=5) as plain:
        with context.wrap_socket(plain) as stream:
            stream.sendall(b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n")
            answer = stream.recv(4096)
            if b" 200 " not in answer.split(b"\r\n")[0]:
                raise OSError(answer[:60])
            return hashlib.sha256(stream.getpeercert(binary_form=True)).hexdigest()[:16]


def watch(address, port, path, directories):
    directories = list(directories)
    with open(path, "a", buffering=1) as file:
        while True:
            line = "failed"
            for directory in list(directories):
                try:
                    line = "ok " + ask(address, port, directory)
                    # It is tried first from here on.
                    directories.remove(directory)
                    directories.insert(0, directory)
                    break
                except OSError as error:
                    line = "failed " + str(error).replace("\n", " ")[:100]
            file.write(f"{time.monotonic():.3f} {line}\n")
            time.sleep(0.1)


def gaps(path):
    last, since = None, None
    for line in open(path):
        moment, state, rest = (line.rstrip("\n").split(" ", 2) + [""])[:3]
        if state == "ok":
            if since is not None and last is not None:
                print(int((float(moment) - last[0]) * 1000), last[1], rest)
            last, since = (float(moment), rest), None
        elif since is None:
            since = float(moment)
    if since is not None:
        print(999999, last[1] if last else "-", "-")


if sys.argv[1] == "watch":
    watch(sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5:])
else:
    gaps(sys.argv[2])
