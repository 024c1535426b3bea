"""A client that takes its time: half_request.py ADDRESS PORT CA_PEM GO_ON

Sends one half of a POST /enroll, says so, waits until the file GO_ON is there, sends the other half, and prints the
first line of the answer."""

import os
import socket
import ssl
import sys
import time

address, port, ca, go_on = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
body = b'{"token": "dw1_a_b_c", "csr": "none"}'
head = f"POST /enroll HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"

context = ssl.create_default_context(cafile=ca)
with socket.create_connection((address, port), timeout=15) as plain:
    with context.wrap_socket(plain, server_hostname=address) as stream:
        stream.sendall(head.encode() + body[:10])
        print("half is sent", flush=True)
        deadline = time.monotonic() + 9
        while not os.path.exists(go_on) and time.monotonic() < deadline:
            time.sleep(0.05)
        stream.sendall(body[10:])
        print(stream.recv(4096).decode(errors="replace").split("\r\n")[0], flush=True)
