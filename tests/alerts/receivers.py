#!/usr/bin/env python3
"""Who gets notifications: an SMTP server (aiosmtpd) that wants STARTTLS and a password, and an HTTP server that checks
signatures. What was taken is written down, a file each, named by its place in the order.

usage: receivers.py DIRECTORY SMTP_PORT HTTP_PORT CERTIFICATE KEY

DIRECTORY/hook.key signs what comes to /hook, DIRECTORY/password is what `dockwarden` logs in with. While
DIRECTORY/broken exists, HTTP answers 500 and mail is refused for now (451).
"""

import hashlib
import hmac
import itertools
import pathlib
import re
import signal
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

directory = pathlib.Path(sys.argv[1])
smtp_port, http_port = int(sys.argv[2]), int(sys.argv[3])
numbers = itertools.count(1)
lock = threading.Lock()


def is_broken():
    return (directory / "broken").exists()


def keep(kind, content):
    with lock:
        path = directory / f"{kind}-{next(numbers):04}"
        part = directory / f".part-{path.name}"
        part.write_bytes(content)
        part.rename(path)


class Mail:
    async def handle_DATA(self, server, session, envelope):
        if is_broken():
            return "451 4.3.0 come back later"
        head = f"X-Took: from={envelope.mail_from} to={','.join(envelope.rcpt_tos)} tls={session.ssl is not None}\r\n"
        keep("mail", head.encode() + envelope.content)
        return "250 2.0.0 taken"


def authenticate(server, session, envelope, mechanism, data):
    password = (directory / "password").read_bytes().strip()
    known = isinstance(data, LoginPassword) and data.login == b"dockwarden"
    return AuthResult(success=known and hmac.compare_digest(data.password, password), handled=True)


class Web(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        status = self.judge(body)
        if status == 204:
            keep(self.path.strip("/"), body)
        self.send_response(status)
        self.end_headers()

    def judge(self, body):
        if is_broken():
            return 500
        if self.path == "/chat":
            return 204
        if self.path != "/hook":
            return 404
        found = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", self.headers.get("dockwarden-signature", ""))
        key = (directory / "hook.key").read_bytes().strip()
        if not found:
            return 401
        tag = hmac.new(key, found[1].encode() + b"." + body, hashlib.sha256).hexdigest()
        return 204 if hmac.compare_digest(tag, found[2]) else 401

    def log_message(self, form, *arguments):
        print(form % arguments, flush=True)


tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
tls.load_cert_chain(sys.argv[4], sys.argv[5])
mail = Controller(
    Mail(),
    hostname="127.0.0.1",
    port=smtp_port,
    tls_context=tls,
    require_starttls=True,
    auth_required=True,
    authenticator=authenticate,
)
mail.start()
web = ThreadingHTTPServer(("127.0.0.1", http_port), Web)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=web.shutdown).start())
web.serve_forever()
mail.stop()
