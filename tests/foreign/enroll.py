"""A foreign client of POST /enroll: N requests at once, each with a key of its own, on one token.

Usage: enroll.py URL CA TOKEN_FILE COUNT NAME_PREFIX
Prints one line for each: the status, then the serial or the error's code. Python's own ssl and http, openssl's CSRs.
"""

import concurrent.futures
import http.client
import json
import ssl
import subprocess
import sys
import threading
import urllib.parse


def request_for(name):
    made = subprocess.run(
        ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-keyout", "/dev/null", "-subj", f"/CN={name}"],
        check=True, capture_output=True, text=True)
    return made.stdout


def enroll(url, context, token, csr, start):
    server = urllib.parse.urlsplit(url)
    connection = http.client.HTTPSConnection(server.hostname, server.port, context=context, timeout=60)
    connection.connect()
    start.wait()
    body = json.dumps({"token": token, "csr": csr})
    connection.request("POST", "/enroll", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    answer = json.loads(response.read())
    return response.status, answer.get("serial") or answer.get("code")


def main():
    url, ca, token_file, count, prefix = sys.argv[1:]
    count = int(count)
    token = open(token_file, encoding="ascii").read().strip()
    context = ssl.create_default_context(cafile=ca)
    requests = [request_for(f"{prefix}-{number}") for number in range(count)]
    start = threading.Barrier(count)
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        for status, what in pool.map(lambda csr: enroll(url, context, token, csr, start), requests):
            print(status, what)


main()
