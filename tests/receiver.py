"""A real HTTP server that takes notices as a webhook would, for tests."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Inbox:
    """What the server received, and how it answers."""

    port: int
    messages: list[dict[str, str]] = field(default_factory=list)
    status: int = 200

    @property
    def address(self) -> str:
        """Its Apprise address, with a password and a token."""
        return f"json://anna:hunter-two@127.0.0.1:{self.port}/hook-4711-secret"


@contextmanager
def receiving() -> Iterator[Inbox]:
    """A server on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if inbox.status == 200:
                inbox.messages.append(json.loads(body))
            self.send_response(inbox.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    inbox = Inbox(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield inbox
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
