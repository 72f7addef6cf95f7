"""What a client may take from the server: connections, time for a head, and no more."""

from __future__ import annotations

import asyncio
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from console import limits
from console.limits import TooLarge, whole_body

#: Connections, and seconds for a head, of the servers here.
LIMIT, HEAD = 8, 0.5


class Slow:
    """Answers `/` at once and `/slow` when told to."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)
        self.go_on = threading.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/slow":
            self.asked.release()
            await asyncio.to_thread(self.go_on.wait, 20)
        await PlainTextResponse("answered")(scope, receive, send)


@pytest.fixture
def server() -> Iterator[tuple[int, Slow]]:
    """The port of a real server with the limits, and its application."""
    app = Slow()
    config = uvicorn.Config(app, http=limits.protocol(LIMIT, HEAD), log_level="error", lifespan="off")
    running = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
    thread.start()
    yield listener.getsockname()[1], app
    app.go_on.set()
    running.should_exit = True
    thread.join(20)
    listener.close()


def connected(port: int, stack: ExitStack) -> socket.socket:
    return stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))


def ended(connection: socket.socket) -> bool:
    """Wait for the end of a connection, however it ends."""
    try:
        while connection.recv(1000):
            pass
    except ConnectionError:
        pass
    return True


def test_connections_that_ask_nothing_do_not_keep_out_those_that_ask(server: tuple[int, Slow]) -> None:
    port, _ = server
    with ExitStack() as stack:
        idle = [connected(port, stack) for _ in range(10 * LIMIT)]
        assert httpx.get(f"http://127.0.0.1:{port}/", trust_env=False).text == "answered"
        begun = time.monotonic()
        assert all(ended(connection) for connection in idle)
        assert time.monotonic() - begun < HEAD + 5


def test_a_new_connection_closes_none_that_is_being_answered(server: tuple[int, Slow]) -> None:
    port, app = server
    with ExitStack() as stack:
        asking = [connected(port, stack) for _ in range(LIMIT)]
        for connection in asking:
            connection.sendall(b"GET /slow HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
            assert app.asked.acquire(timeout=10)
        assert ended(connected(port, stack))
        app.go_on.set()
        for connection in asking:
            answer = b""
            while more := connection.recv(1000):
                answer += more
            assert answer.endswith(b"answered")


@pytest.mark.parametrize("first", [b"", b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"])
def test_a_head_that_trickles_in_has_its_time_and_no_more(server: tuple[int, Slow], first: bytes) -> None:
    port, _ = server
    with ExitStack() as stack:
        connection = connected(port, stack)
        connection.sendall(first)
        if first:
            assert connection.recv(1000).endswith(b"answered")
        connection.sendall(b"GET / HTTP/1.1\r\nX-Long: ")
        connection.settimeout(HEAD / 5)
        begun = time.monotonic()
        closed = False
        while not closed and time.monotonic() - begun < 10:
            try:
                connection.sendall(b"g")
                closed = connection.recv(1000) == b""
            except TimeoutError:
                pass
            except ConnectionError:
                closed = True
        assert closed
        assert HEAD * 0.5 < time.monotonic() - begun < HEAD + 5


def test_a_connection_serves_one_request_after_the_other(server: tuple[int, Slow]) -> None:
    port, _ = server
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        assert [client.get("/").text for _ in range(5)] == ["answered"] * 5


def body_of(*parts: bytes) -> Callable[[], object]:
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> dict[str, object]:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    return receive


def test_a_body_within_the_limit_arrives_whole_and_a_larger_one_is_not_read_on() -> None:
    receive = asyncio.run(whole_body(body_of(b"ab", b"cd"), 4))  # type: ignore[arg-type]
    assert asyncio.run(receive()) == {"type": "http.request", "body": b"abcd", "more_body": False}  # type: ignore[arg-type]
    with pytest.raises(TooLarge):
        asyncio.run(whole_body(body_of(b"ab", b"cde"), 4))  # type: ignore[arg-type]


def test_a_body_that_does_not_end_is_given_up() -> None:
    async def silent() -> dict[str, object]:
        await asyncio.Event().wait()
        return {}

    with pytest.raises(TimeoutError):
        asyncio.run(whole_body(silent, 4, seconds=0.01))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("soft", "hard", "expected"), [(256, 4096, 1000), (512, 1024, 768), (1024, 1024, 768)]
)
def test_open_files_are_left_for_everything_else(soft: int, hard: int, expected: int) -> None:
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if allowed != resource.RLIM_INFINITY and allowed < hard:
        pytest.skip(f"this process may not open {hard} files")
    program = (
        f"import resource as r; r.setrlimit(r.RLIMIT_NOFILE, ({soft}, {hard}));"
        "from console import limits; print(limits.connections(), r.getrlimit(r.RLIMIT_NOFILE)[0])"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    connections, files = map(int, said.split())
    assert connections == expected
    assert files - connections >= 256
