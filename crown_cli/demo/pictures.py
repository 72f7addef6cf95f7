"""The pictures of the demo's invented prints, and the server on this machine from which they are downloaded."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crown.art_records.sample_files import Export

HOST = "127.0.0.1"
_INVENTED = b"https://dl.invalid"
_SIZE = (360, 480)
_INKS = ((27, 58, 87), (122, 46, 43), (44, 84, 62), (92, 68, 112), (153, 96, 28), (34, 34, 40))


def draw(number: int) -> bytes:
    """A linocut of two inks as JPEG: sun, sea and a boat, arranged by its number."""
    from PIL import Image, ImageDraw

    width, height = _SIZE
    ink, sea = _INKS[number % len(_INKS)], _INKS[(number // 2 + 3) % len(_INKS)]
    picture = Image.new("RGB", _SIZE, (243, 238, 226))
    pen = ImageDraw.Draw(picture)
    horizon = 220 + number * 37 % 120
    radius = 34 + number * 13 % 40
    at = 70 + number * 61 % (width - 140)
    pen.ellipse((at - radius, 110 - radius, at + radius, 110 + radius), fill=ink)
    for row in range(horizon, height - 24, 22):
        shift = (row * 7 + number * 19) % 40
        pen.line(
            [(x, row + 5 * ((x + shift) // 20 % 2)) for x in range(24, width - 20, 20)], fill=sea, width=9
        )
    boat = 60 + number * 83 % (width - 180)
    pen.polygon(
        [(boat, horizon), (boat + 90, horizon), (boat + 70, horizon + 26), (boat + 18, horizon + 26)],
        fill=ink,
    )
    pen.polygon([(boat + 42, horizon - 6), (boat + 42, horizon - 96), (boat + 88, horizon - 6)], fill=ink)
    pen.rectangle((8, 8, width - 9, height - 9), outline=ink, width=5)
    written = io.BytesIO()
    picture.save(written, "JPEG", quality=88)
    return written.getvalue()


@contextmanager
def served(export: Export) -> Iterator[Export]:
    """The export with addresses of this machine, at which its pictures can be read meanwhile."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = draw(int(re.sub(r"\D", "", self.path.rpartition("/v5/")[2]) or 0))
            self.send_response(200)
            self.send_header("Content-Type", "image/jpeg")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing: the demo prints what was downloaded."""

    server = ThreadingHTTPServer((HOST, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        here = f"http://{HOST}:{server.server_port}".encode()
        yield replace(export, prints=export.prints.replace(_INVENTED, here))
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
