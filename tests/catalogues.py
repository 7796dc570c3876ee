"""A small STAC API and file server on the loopback device."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Catalogue(ThreadingHTTPServer):
    """Serves `files` by range and `items` two a page; `cut` is how many bytes a connection gives before it breaks.

    With a `mark` (ETag) its files can be read by parts; `given` are the bytes of files sent so far.
    """

    daemon_threads = False  # a test ends with its connections

    def handle_error(self, *_):
        """A client that hangs up early is no error here."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.items: list[dict] = []
        self.cut: int | None = None
        self.mark: str | None = None
        self.honest = True  # heeds If-Range
        self.endless: dict | None = None  # a next link under every page
        self.given = 0
        self.asked: list[tuple[str, str | None]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Catalogue

    def log_message(self, *_):
        pass

    def answer(self, status, data, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        if self.server.mark is not None:
            self.send_header("ETag", self.server.mark)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        cut = self.server.cut
        self.server.given += len(data) if cut is None else min(cut, len(data))
        if cut is not None and len(data) > cut:
            self.wfile.write(data[:cut])
            self.close_connection = True
        else:
            self.wfile.write(data)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, json.dumps(body)))
        start = body.get("token", 0)
        page = {"type": "FeatureCollection", "features": self.server.items[start : start + 2], "links": []}
        if start + 2 < len(self.server.items):
            page["links"] = [
                {
                    "rel": "next",
                    "href": f"{self.server.url}/search",
                    "method": "POST",
                    "body": {"token": start + 2},
                    "merge": True,
                }
            ]
        if self.server.endless is not None:
            page["links"] = ["no link", self.server.endless | {"body": {"token": 0, "page": body.get("page", 0) + 1}}]
        self.answer(200, json.dumps(page).encode())

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Range")))
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "ftp://127.0.0.1/x.tif")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.path == "/inside":
            self.send_response(302)
            self.send_header("Location", f"{self.server.url}/x.tif")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        data = self.server.files.get(self.path)
        if data is None:
            self.answer(404 if "sig=" not in self.path else 403, b"")
        elif self.server.honest and self.headers.get("If-Range", self.server.mark) != self.server.mark:
            self.answer(200, data)
        elif wish := self.headers.get("Range"):
            first, _, last = wish.removeprefix("bytes=").partition("-")
            start, stop = int(first), min(int(last) + 1, len(data)) if last else len(data)
            if start >= len(data):
                self.answer(416, b"", Content_Range=f"bytes */{len(data)}")
            else:
                self.answer(206, data[start:stop], Content_Range=f"bytes {start}-{stop - 1}/{len(data)}")
        else:
            self.answer(200, data)
