"""A real HTTP server that answers as Airtable's hosts of attachments do: signed addresses that die, limits, stalls."""

from __future__ import annotations

import io
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from PIL import Image


def drawn(shade: int, form: str = "JPEG", size: tuple[int, int] = (64, 48)) -> bytes:
    """A picture of one grey."""
    written = io.BytesIO()
    Image.new("RGB", size, (shade, shade, shade)).save(written, form)
    return written.getvalue()


@dataclass
class Pictures:
    """What is served: status and bytes by path; every other path is gone (410)."""

    port: int
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    #: Downloads that are at work at once, and the most there were.
    at_once: int = 0
    most_at_once: int = 0
    #: With one, this many requests wait for each other before any is answered.
    together: threading.Barrier | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def url(self, path: str, signature: str = "signed-4711-secret") -> str:
        """The address of a picture, signed."""
        return f"http://127.0.0.1:{self.port}{path}?sig={signature}"

    def add(self, path: str, shade: int) -> str:
        """Serve a picture of its own; returns its address."""
        self.answers[path] = (200, drawn(shade))
        return self.url(path)


@contextmanager
def serving() -> Iterator[Pictures]:
    """A server on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            with pictures.lock:
                pictures.asked[path] += 1
                pictures.at_once += 1
                pictures.most_at_once = max(pictures.most_at_once, pictures.at_once)
            if pictures.together is not None:
                pictures.together.wait(30)
            status, body = pictures.answers.get(path, (410, b"Gone"))
            self.send_response(status)
            more = pictures.headers.get(path, {})
            for name, value in {"Content-Length": str(len(body)), **more}.items():
                if value:
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            with pictures.lock:
                pictures.at_once -= 1

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    pictures = Pictures(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield pictures
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
