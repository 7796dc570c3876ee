"""Fixtures of the scenes' tests."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest


@pytest.fixture
def server():
    """A local web server that counts what is asked of it."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self):
            asked.append(self.path)
            self.send_response(404)
            self.end_headers()

        do_GET = do_HEAD = do_POST = _answer

        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        running.asked = asked
        running.url = f"http://127.0.0.1:{running.server_port}"
        try:
            yield running
        finally:
            running.shutdown()
            thread.join()
