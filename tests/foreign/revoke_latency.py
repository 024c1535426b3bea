"""From the answer to a revocation until everything is refused, over many clients.

revoke_latency.py [--apart|--requests] SERVER-URL ROOT ADMIN-DIRECTORY [ADDRESS:]PORT CLIENT-DIRECTORY...

Each client has a stream open (docker events), asks again and again on a connection that it keeps, and dials anew again and
again. It is revoked over the API; the clock starts with the server's answer, and stops when the stream is cut and the
last request that was let in has been answered. Prints milliseconds: p50, p99, the longest, and how many were over before
the answer came; with --apart once for requests and once for streams, where a program cuts these later by design. With
--requests no stream is opened: dockerd itself cuts none.
"""

import http.client
import json
import pathlib
import ssl
import sys
import threading
import time
import urllib.parse

PATIENCE = 20
LONGEST_MS = 5000


def context_of(directory, root):
    context = ssl.create_default_context(cafile=root)
    context.load_cert_chain(directory / "cert.pem", directory / "key.pem")
    return context


class Client:
    """Its certificate, and what it sees of the gate."""

    def __init__(self, where, directory):
        address, _, port = where.rpartition(":")
        self.address, self.port = address or "127.0.0.1", int(port)
        self.context = context_of(directory, directory / "ca.pem")
        self.cut_at = None
        self.let_in_at = None
        self.kept_until = None
        self.refused = threading.Event()

    def dial(self):
        return http.client.HTTPSConnection(self.address, self.port, context=self.context, timeout=PATIENCE)

    def stream(self, ready):
        connection = self.dial()
        connection.request("GET", "/events")
        response = connection.getresponse()
        assert response.status == 200, response.status
        ready.set()
        try:
            while response.read(1):
                pass
        except (OSError, http.client.HTTPException):
            pass
        self.cut_at = time.perf_counter()

    def keep(self):
        """On one connection, until it is not answered any more."""
        connection = self.dial()
        connection.connect()
        # A connection that is gone must not be opened again behind our back.
        connection.auto_open = 0
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                connection.request("GET", "/_ping")
                response = connection.getresponse()
                response.read()
                if response.status != 200:
                    return
                self.kept_until = time.perf_counter()
            except (OSError, http.client.HTTPException):
                return
            time.sleep(0.002)
        sys.exit("a revoked client was answered on a kept connection for too long")

    def knock(self):
        """Until it is not let in any more."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            connection = self.dial()
            try:
                connection.request("GET", "/_ping")
                if connection.getresponse().status != 200:
                    break
                self.let_in_at = time.perf_counter()
            except (OSError, http.client.HTTPException):
                break
            finally:
                connection.close()
        else:
            sys.exit("a revoked client was let in for too long")
        self.refused.set()


def revoke(admin, name):
    body = json.dumps({"reason": "keyCompromise"})
    admin.request("POST", f"/v1/identities/{name}/revoke", body, {"Content-Type": "application/json"})
    response = admin.getresponse()
    answer = response.read()
    assert response.status == 200, answer
    return time.perf_counter()


def measure(admin, where, directory, streams):
    client, ready = Client(where, directory), threading.Event()
    threads = [threading.Thread(target=client.keep, daemon=True), threading.Thread(target=client.knock, daemon=True)]
    if streams:
        threads.append(threading.Thread(target=client.stream, args=(ready,), daemon=True))
        threads[-1].start()
        if not ready.wait(PATIENCE):
            sys.exit("the stream did not open")
    threads[0].start()
    threads[1].start()
    deadline = time.monotonic() + PATIENCE
    while not (client.let_in_at and client.kept_until) and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.05)
    answered = revoke(admin, directory.name)
    for thread in threads:
        thread.join(PATIENCE)
    if (streams and client.cut_at is None) or not client.refused.is_set():
        sys.exit(f"{directory.name} was not cut off")
    assert client.let_in_at and client.kept_until, "it was let in before"
    refused = max(client.let_in_at, client.kept_until)
    return (refused - answered) * 1000, ((client.cut_at or refused) - answered) * 1000


def tell(what, times):
    times = sorted(times)
    at = lambda share: times[min(len(times) - 1, int(len(times) * share))]
    early = sum(1 for taken in times if taken <= 0)
    print(f"{what}p50 {max(at(0.5), 0):.1f} ms, p99 {max(at(0.99), 0):.1f} ms, longest {max(times[-1], 0):.1f} ms, "
          f"{early} of {len(times)} over before the answer")
    return times[-1]


def main():
    arguments = sys.argv[1:]
    apart, requests = arguments[0] == "--apart", arguments[0] == "--requests"
    server, root, admin_directory, where, *clients = arguments[apart or requests:]
    url = urllib.parse.urlsplit(server)
    context = context_of(pathlib.Path(admin_directory), root)
    admin = http.client.HTTPSConnection(url.hostname, url.port, context=context, timeout=PATIENCE)
    times = [measure(admin, where, pathlib.Path(client), not requests) for client in clients]
    # What it is aimed at is written down by hand; this catches a path that waits for something, on a busy machine, too.
    if apart:
        longest = tell("requests: ", (refused for refused, _ in times))
        tell("streams: ", (cut for _, cut in times))
    else:
        longest = tell("", (max(both) for both in times))
    sys.exit(0 if longest < LONGEST_MS else 1)


main()
