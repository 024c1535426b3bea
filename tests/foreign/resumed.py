"""TLS sessions saved before something happened, and taken up after it.

resumed.py [ADDRESS:]PORT DIRECTORY READY GO: with TLS 1.2 and with TLS 1.3 asks twice, the second time resuming the session
of the first; makes the file READY, waits for the file GO, and asks once more with what it has. Prints a line for each time:
the version, the status or "refused", and whether the session was resumed.
"""

import http.client
import pathlib
import socket
import ssl
import sys
import time

PATIENCE = 60
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


def context_of(directory, version):
    context = ssl.create_default_context(cafile=directory / "ca.pem")
    context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    context.minimum_version = context.maximum_version = version
    return context


def ask(address, context, session):
    """Status, whether the session was resumed, and what to resume next time."""
    with socket.create_connection(address, timeout=PATIENCE) as plain:
        with context.wrap_socket(plain, server_hostname=address[0], session=session) as stream:
            stream.sendall(b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n")
            response = http.client.HTTPResponse(stream)
            response.begin()
            response.read()
            # With TLS 1.3 tickets come with the answer.
            return response.status, stream.session_reused, stream.session


def main():
    where, directory, ready, go = sys.argv[1:]
    address, _, port = where.rpartition(":")
    address = (address or "127.0.0.1", int(port))
    directory, go = pathlib.Path(directory), pathlib.Path(go)
    contexts = {version: context_of(directory, version) for version in VERSIONS}
    sessions = dict.fromkeys(VERSIONS)

    def round_of_all():
        for version, context in contexts.items():
            name = "TLS 1.2" if version == ssl.TLSVersion.TLSv1_2 else "TLS 1.3"
            try:
                status, resumed, sessions[version] = ask(address, context, sessions[version])
                print(name, status, "resumed" if resumed else "anew", flush=True)
            except (OSError, http.client.HTTPException):
                print(name, "refused", flush=True)

    round_of_all()
    round_of_all()
    pathlib.Path(ready).touch()
    deadline = time.monotonic() + PATIENCE
    while not go.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    round_of_all()


main()
