"""One kept-alive connection that asks all the time.

kept_asking.py PORT DIRECTORY READY STOP: makes READY after the first answer, asks until the file STOP is there, then prints how
often it got what: "COUNT STATUS MESSAGE", and "COUNT after 200: STATUS MESSAGE" for the first that is not 200 after one that
was. It ends early, with "ended", when the connection is gone.
"""

import collections
import http.client
import json
import pathlib
import ssl
import sys
import time

PATIENCE = 120


def main():
    port, directory, ready, stop = sys.argv[1:]
    directory, stop = pathlib.Path(directory), pathlib.Path(stop)
    context = ssl.create_default_context(cafile=directory / "ca.pem")
    context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    connection = http.client.HTTPSConnection("127.0.0.1", int(port), context=context, timeout=PATIENCE)
    connection.connect()
    # A connection that is gone must not be opened again behind our back.
    connection.auto_open = 0
    seen = collections.Counter()
    last = ""
    deadline = time.monotonic() + PATIENCE
    while not stop.exists() and time.monotonic() < deadline:
        try:
            connection.request("GET", "/version")
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException):
            last = "ended"
            seen[last] += 1
            break
        before, last = last, str(response.status)
        if response.status != 200:
            last += " " + json.loads(body)["message"]
        seen["after 200: " + last if before == "200" != last else last] += 1
        pathlib.Path(ready).touch()
        time.sleep(0.001)
    for what, count in seen.items():
        print(count, what)
    print("last", last, flush=True)


main()
