"""Who may ask: sign-in by token, no requests forged by other sites, no other name for this machine.

ASGI middleware around everything the console serves, Dagster's GraphQL, report endpoints and websockets
included. What is served, and the sign-in page itself, belong elsewhere.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.address import is_loopback

COOKIE = "crown_session"
SESSION_SECONDS = 30 * 24 * 3600
SIGN_IN = "/console/sign-in"
#: Served before sign-in: the form and its looks, and whether the service lives (no more than that).
OPEN_PATHS = frozenset({SIGN_IN, "/console/static/crown.css", "/health"})
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def is_token(candidate: str, token: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(_digest(candidate), _digest(token))


def issue_session(token: str, now: float | None = None) -> str:
    """A cookie value which proves that its bearer knew the token; it neither holds nor reveals it."""
    issued = str(int(time.time() if now is None else now))
    return f"{issued}.{_signature(token, issued)}"


def is_session(value: str, token: str, now: float | None = None) -> bool:
    """Whether the value was issued under this token and has not run out; a changed token ends all."""
    issued, _, signature = value.partition(".")
    if not (
        issued.isdecimal() and hmac.compare_digest(signature.encode(), _signature(token, issued).encode())
    ):
        return False
    return int(issued) + SESSION_SECONDS > (time.time() if now is None else now)


class Gate:
    """Lets through what may pass and answers the rest itself; adds security headers to all answers.

    Args:
        app: what is guarded.
        token: the sign-in token; None: no sign-in, and then only names of this machine are answered, so
            that a page of another site cannot reach us under its own name (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self.app = app
        self.token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entry."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self.app(scope, receive, _with_headers(send) if scope["type"] == "http" else send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # before accepting: the client sees 403
        else:
            await refusal(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if self.token is None and not is_loopback(_host_name(headers.get("host", ""))):
            return _refuse(421, "This console answers to 127.0.0.1 and localhost only.")
        if _is_foreign(scope, headers):
            return _refuse(
                403, "Another site made this request; open the console itself and repeat it there."
            )
        if self.token is None or scope["path"] in OPEN_PATHS or self._is_signed_in(HTTPConnection(scope)):
            return None
        if scope["type"] == "http" and scope["method"] == "GET" and "text/html" in headers.get("accept", ""):
            query = scope["query_string"].decode("latin-1")
            wanted = scope["path"] + (f"?{query}" if query else "")
            return RedirectResponse(f"{SIGN_IN}?next={quote(wanted, safe='')}", 303)
        return _refuse(401, "Sign in, or send CROWN_WEB_TOKEN as `Authorization: Bearer ...`.", bearer=True)

    def _is_signed_in(self, connection: HTTPConnection) -> bool:
        assert self.token is not None
        scheme, _, credentials = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return is_token(credentials.strip(), self.token)
        return is_session(connection.cookies.get(COOKIE, ""), self.token)


def _is_foreign(scope: Scope, headers: Headers) -> bool:
    """Whether a browser sent this on behalf of another site.

    Opening a page by a link is allowed. A plain GET is not harmless here: Dagster's GraphQL executes
    mutations sent that way.
    """
    reading = scope["type"] == "http" and scope["method"] in _SAFE_METHODS
    site = headers.get("sec-fetch-site", "none")
    if site not in ("same-origin", "none"):
        return not (reading and headers.get("sec-fetch-mode") == "navigate")
    origin = headers.get("origin")
    return not reading and origin is not None and urlsplit(origin).netloc != headers.get("host", "")


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending


def _refuse(status: int, sentence: str, *, bearer: bool = False) -> JSONResponse:
    return JSONResponse(
        {"error": sentence}, status, headers={"WWW-Authenticate": "Bearer"} if bearer else None
    )


def _host_name(host: str) -> str:
    return urlsplit(f"//{host}").hostname or ""


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.encode()).digest()


def _signature(token: str, issued: str) -> str:
    return hmac.new(_digest(f"crown console session:{token}"), issued.encode(), "sha256").hexdigest()
