"""Who may ask: sign-in by token, no requests forged by other sites, no other name for this machine.

ASGI middleware around everything the console serves, Dagster's GraphQL, report endpoints and websockets
included. Sessions are in sessions.py, the sign-in page in sign_in.py.
"""

from __future__ import annotations

import asyncio
import logging
import re
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.address import is_loopback
from console.limits import BODY, BODY_BEFORE_SIGN_IN, TooLarge, whole_body
from console.sessions import COOKIE, Sessions, is_token

_log = logging.getLogger(__name__)

SIGN_IN = "/console/sign-in"
#: Served before sign-in: the form and its looks, and whether the service lives (no more than that).
OPEN_PATHS = frozenset({SIGN_IN, "/console/static/crown.css", "/console/static/crown.svg", "/health"})
GRAPHQL = "/graphql"
#: What a wrong token costs the one who tries.
WRONG_TOKEN_SECONDS = 1.0
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
#: `name`, `name:port`, `[address]:port`.
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[\w.-]+)(:\d{1,5})?", re.ASCII | re.IGNORECASE)
_MUTATION = re.compile(r"\bmutation\b")
#: A path that some file system or log might take for another one.
_ODD_PATH = re.compile(r"[\x00-\x1f\x7f-\x9f\\]|(^|/)\.\.(/|$)")


async def wrong_token(scope: Scope, how: str) -> None:
    """Write a failed sign-in down and let the one who tried wait."""
    address = (scope.get("client") or ("an unknown address",))[0]
    _log.warning("A wrong sign-in token came from %s (%s).", address, how)
    await asyncio.sleep(WRONG_TOKEN_SECONDS)


class Gate:
    """Lets through what may pass and answers the rest itself; adds security headers to all answers.

    Args:
        app: what is guarded.
        token: the sign-in token; None: no sign-in, and then only names of this machine are answered, so
            that a page of another site cannot reach us under its own name (DNS rebinding).
        sessions: those of the token.
    """

    def __init__(self, app: ASGIApp, token: str | None, sessions: Sessions | None) -> None:
        self.app = app
        self.token = token
        self.sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI entry."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._misdirected(headers) or _forged(scope, headers)
        known = refusal is None and await self._is_known(scope)
        if refusal is None:
            refusal = self._refusal(scope, headers, known)
        if refusal is None and scope["type"] == "http":
            try:
                receive = await whole_body(receive, BODY if known else BODY_BEFORE_SIGN_IN)
            except TooLarge:
                refusal = _refuse(413, "The request is larger than the console takes.")
            except TimeoutError:
                refusal = _refuse(408, "The request did not arrive in time; send it again.")
        if refusal is None:
            await self.app(scope, receive, _with_headers(send) if scope["type"] == "http" else send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # before accepting: the client sees 403
        else:
            await refusal(scope, receive, _with_headers(send))

    def _misdirected(self, headers: Headers) -> Response | None:
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        host = "".join(hosts)
        if len(hosts) > 1 or (host and not _HOST.fullmatch(host)):
            return _refuse(400, "The Host header is malformed, or there are two.")
        if len(origins) > 1 or not all(origin == "null" or _address_of(origin) for origin in origins):
            return _refuse(400, "The Origin header is malformed, or there are two.")
        if self.token is None and not is_loopback((host and urlsplit(f"//{host}").hostname) or ""):
            return _refuse(421, "This console answers to 127.0.0.1 and localhost only.")
        return None

    async def _is_known(self, scope: Scope) -> bool:
        if self.token is None or self.sessions is None:
            return True
        connection = HTTPConnection(scope)
        credentials = _bearer(connection.headers)
        if credentials is None:
            return self.sessions.is_valid(connection.cookies.get(COOKIE, ""))
        if is_token(credentials, self.token):
            return True
        await wrong_token(scope, "Bearer")
        return False

    def _refusal(self, scope: Scope, headers: Headers, known: bool) -> Response | None:
        path, query = scope["path"], scope["query_string"].decode("latin-1")
        if not known and path not in OPEN_PATHS:
            if (
                scope["type"] == "http"
                and scope["method"] == "GET"
                and "text/html" in headers.get("accept", "")
            ):
                wanted = path + (f"?{query}" if query else "")
                return RedirectResponse(f"{SIGN_IN}?next={quote(wanted, safe='')}", 303)
            return _refuse(
                401, "Sign in, or send CROWN_WEB_TOKEN as `Authorization: Bearer ...`.", bearer=True
            )
        if _ODD_PATH.search(path):
            return _refuse(404, "There is nothing at this address.")
        if _is_query_by_get(scope):
            # A browser may have been made to ask by another site: it sends the cookie, and need not say from where.
            named = HTTPConnection(scope).query_params.multi_items()
            if any(_MUTATION.search(value) for name, value in named if name == "query"):
                return _refuse(405, "Mutations are sent by POST.", Allow="POST")
            if not (_is_own_page(headers) or (self.token is not None and _bearer(headers) is not None)):
                return _refuse(403, "Send GraphQL queries by POST, or with the token as Bearer.")
        return None


def _forged(scope: Scope, headers: Headers) -> Response | None:
    """The refusal of what a browser sent on behalf of another site; opening a page by a link is allowed."""
    reading = scope["type"] == "http" and scope["method"] in _SAFE_METHODS
    site = headers.get("sec-fetch-site", "none")
    by_link = reading and headers.get("sec-fetch-mode") == "navigate"
    origin = headers.get("origin")
    if (site not in ("same-origin", "none") and not by_link) or (
        origin is not None and _address_of(origin) != headers.get("host", "").lower()
    ):
        return _refuse(403, "Another site made this request; open the console itself and repeat it there.")
    return None


def _is_query_by_get(scope: Scope) -> bool:
    """Whether Dagster would execute a query in the address: it runs even mutations sent that way."""
    return bool(
        scope["type"] == "http"
        and scope["method"] in _SAFE_METHODS
        and scope["path"].rstrip("/") == GRAPHQL
        and scope["query_string"]
    )


def _is_own_page(headers: Headers) -> bool:
    """Whether a page of ours asked. Browsers leave Sec-Fetch-Site out where there is no TLS, and Origin of a GET."""
    if headers.get("sec-fetch-site") == "same-origin":
        return True
    asking = headers.get("origin") or headers.get("referer") or ""
    return asking != "" and _address_of(asking) == headers.get("host", "").lower()


def _address_of(address: str) -> str | None:
    """The `name:port` of an address; None when it has none or is malformed."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    found = parts.netloc.lower()
    return found if parts.scheme in ("http", "https") and _HOST.fullmatch(found) else None


def _bearer(headers: Headers) -> str | None:
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else None


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending


def _refuse(status: int, sentence: str, *, bearer: bool = False, **headers: str) -> JSONResponse:
    if bearer:
        headers["WWW-Authenticate"] = "Bearer"
    # Whatever body is still on its way is not read.
    return JSONResponse({"error": sentence}, status, headers={"Connection": "close", **headers})
