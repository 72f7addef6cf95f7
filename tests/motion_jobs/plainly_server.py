"""A real HTTP server that answers as Plainly's API does, for tests."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Plainly:
    """A server that answers as Plainly does."""

    port: int
    status: int = 200
    answer: object = field(default_factory=lambda: [{"id": "r1", "batchRenderId": "b1"}])
    headers: dict[str, str] = field(default_factory=dict)
    received: list[tuple[str, str, object]] = field(default_factory=list)
    cut: bool = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def serving() -> Iterator[Plainly]:
    """A server on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            key = base64.b64decode(self.headers["Authorization"].removeprefix("Basic ")).decode()
            service.received.append((self.path, key, body))
            if service.cut:
                self.close_connection = True
                return
            self.send_response(service.status)
            for name, value in service.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(json.dumps(service.answer).encode())

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service = Plainly(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
