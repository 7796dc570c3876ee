"""A small Overpass service on the loopback device."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs


class OverpassService(ThreadingHTTPServer):
    """Answers every question with `elements`, after the answers in `first`: (status, body, headers)."""

    daemon_threads = False

    def handle_error(self, *_):
        """A client that hangs up early is no error here."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.elements: list[dict] = []
        self.first: list[tuple[int, bytes, dict[str, str]]] = []
        self.asked: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}/api/interpreter"


class Handler(BaseHTTPRequestHandler):
    server: OverpassService

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.asked.append(parse_qs(body)["data"][0])
        status, answer, headers = 200, json.dumps({"version": 0.6, "elements": self.server.elements}).encode(), {}
        if self.server.first:
            status, answer, headers = self.server.first.pop(0)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
