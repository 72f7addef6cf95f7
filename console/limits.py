"""What a client may take from the server before it is known: connections, time and bytes.

The server is uvicorn; what it has no option for (a limit of connections that have not asked yet, a time limit for
the head of a request) is added to its own protocol class here. Who may ask is gate.py's.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.types import Message, Receive
from uvicorn.protocols.http.auto import AutoHTTPProtocol

#: How long a connection may take to send the head of its first or next request, and how long the body.
HEAD_SECONDS, BODY_SECONDS = 10.0, 30.0
#: Bytes of a body before sign-in (a form with a token), and of any other.
BODY_BEFORE_SIGN_IN, BODY = 8 * 1024, 16 * 1024 * 1024
_CONNECTIONS = 1000
#: Open files that are left for the database, previews and Dagster.
_OTHER_FILES = 256


def connections() -> int:
    """How many connections may be open at once; the limit of open files is raised as far as it goes first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _CONNECTIONS + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return _CONNECTIONS if soft == resource.RLIM_INFINITY else max(16, min(_CONNECTIONS, soft - _OTHER_FILES))


def protocol(limit: int, head_seconds: float = HEAD_SECONDS) -> type[asyncio.Protocol]:
    """Uvicorn's HTTP protocol with a limit of connections and a time limit for the head of a request.

    Args:
        limit: at this many connections, the one that has waited longest without a request is closed for a new one;
            when all are answering, the new one is.
        head_seconds: from the connection, or the end of a request, to the end of the next head. Bytes that trickle in
            do not extend it.
    """
    # In the order in which they began to wait.
    waiting: dict[Any, None] = {}

    class Limited(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._wait()
            if len(self.connections) > limit:
                oldest = next(iter(waiting))
                oldest._asked()
                oldest.transport.abort()

        def connection_lost(self, exc: Exception | None) -> None:
            self._asked()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            cycle = self.cycle
            super().data_received(data)
            if self.cycle is not cycle or self not in self.connections:  # a request, or a websocket
                self._asked()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if self.cycle.response_complete and not self.transport.is_closing():
                self._asked()
                self._wait()

        def _wait(self) -> None:
            waiting[self] = None
            self._deadline = self.loop.call_later(head_seconds, self.transport.abort)

        def _asked(self) -> None:
            waiting.pop(self, None)
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

    return Limited


class TooLarge(Exception):
    """The body is larger than the limit."""


async def whole_body(receive: Receive, limit: int, seconds: float = BODY_SECONDS) -> Receive:
    """Read a body before anyone else does; returns a `receive` that gives it again.

    Raises:
        TooLarge: it has more than `limit` bytes.
        TimeoutError: it did not end in time.
    """
    body = bytearray()
    async with asyncio.timeout(seconds):
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return _again(message, receive)
            body += message.get("body", b"")
            if len(body) > limit:
                raise TooLarge
            if not message.get("more_body", False):
                return _again({"type": "http.request", "body": bytes(body), "more_body": False}, receive)


def _again(first: Message, then: Receive) -> Callable[[], Awaitable[Message]]:
    messages = [first]

    async def receive() -> Message:
        return messages.pop() if messages else await then()

    return receive
