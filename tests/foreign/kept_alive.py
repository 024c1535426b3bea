"""One request on a kept-alive connection, a pause, and another one on the same connection.

kept_alive.py [ADDRESS:]PORT DIRECTORY READY GO: asks, makes the file READY, waits for the file GO, asks again. Prints a line for
each: the status, or "ended" when the connection was gone.
"""

import http.client
import pathlib
import ssl
import sys
import time

PATIENCE = 60


def ask(connection):
    try:
        connection.request("GET", "/_ping")
        response = connection.getresponse()
        response.read()
        return str(response.status)
    except (OSError, http.client.HTTPException):
        return "ended"


def main():
    where, directory, ready, go = sys.argv[1:]
    address, _, port = where.rpartition(":")
    directory, go = pathlib.Path(directory), pathlib.Path(go)
    context = ssl.create_default_context(cafile=directory / "ca.pem")
    context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    connection = http.client.HTTPSConnection(address or "127.0.0.1", int(port), context=context, timeout=PATIENCE)
    connection.connect()
    # A connection that is gone must not be opened again behind our back.
    connection.auto_open = 0
    print(ask(connection), flush=True)
    pathlib.Path(ready).touch()
    deadline = time.monotonic() + PATIENCE
    while not go.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    print(ask(connection), flush=True)


main()
