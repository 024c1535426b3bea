"""A server that is not ours: false_server.py PORT DIRECTORY_OF_CERT_AND_KEY CA_PEM HEARD

Shows CA_PEM at /ca.pem and writes every byte that it can decrypt to HEARD."""

import http.server
import ssl
import sys

port, identity, ca, heard_path = int(sys.argv[1]), *sys.argv[2:5]
heard = open(heard_path, "a", buffering=1)


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        heard.write(f"{self.requestline}\n{self.headers}{body.decode(errors='replace')}\n")
        with open(ca, "rb") as file:
            shown = file.read()
        self.send_response(200)
        self.send_header("Content-Length", str(len(shown)))
        self.end_headers()
        self.wfile.write(shown)

    do_GET = do_POST = answer


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(f"{identity}/cert.pem", f"{identity}/key.pem")
server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
