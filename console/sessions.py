"""Sign-in sessions: what a cookie holds, when it ends, and which ones a person has ended. Who may ask is gate.py's.

A session is proven by its signature, so that signing in needs no database; only those that were signed out are
remembered, in a file, until they would have run out by themselves.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from pathlib import Path

COOKIE = "crown_session"
SESSION_SECONDS = 30 * 24 * 3600


def is_token(candidate: str, token: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(_digest(candidate), _digest(token))


class Sessions:
    """The sessions issued under one token; another token ends them all.

    Args:
        token: the sign-in token.
        ended: file of the sessions that were signed out; consoles of one installation share it.
    """

    def __init__(self, token: str, ended: Path) -> None:
        self._key = _digest(f"crown console session:{token}")
        self._file = ended
        self._seen: tuple[int, int] | None = None
        self._ended: set[str] = set()

    def issue(self, now: float | None = None) -> str:
        """A cookie value which proves that its bearer knew the token; it neither holds nor reveals it."""
        issued = int(time.time() if now is None else now)
        body = f"{issued}.{secrets.token_hex(8)}"
        return f"{body}.{self._signature(body)}"

    def is_valid(self, value: str, now: float | None = None) -> bool:
        """Whether the value was issued under this token, has not run out and was not signed out."""
        body, _, signature = value.rpartition(".")
        issued = body.partition(".")[0]
        if not (
            issued.isdecimal() and hmac.compare_digest(signature.encode(), self._signature(body).encode())
        ):
            return False
        if int(issued) + SESSION_SECONDS <= (time.time() if now is None else now):
            return False
        return body not in self._signed_out()

    def end(self, value: str) -> None:
        """End a session for whoever holds its cookie; a value that is no session changes nothing."""
        if not self.is_valid(value):
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a") as file:
            file.write(f"{value.rpartition('.')[0]}\n")

    def forget_old(self) -> None:
        """Drop what would have run out by itself from the file; done once at start."""
        oldest = time.time() - SESSION_SECONDS
        ended = self._signed_out()
        kept = {body for body in ended if int(body.partition(".")[0]) > oldest}
        if kept != ended:
            temporary = self._file.with_name(f".{self._file.name}.unfinished")
            temporary.write_text("".join(f"{body}\n" for body in sorted(kept)))
            temporary.replace(self._file)

    def _signed_out(self) -> set[str]:
        try:
            status = self._file.stat()
        except FileNotFoundError:
            return set()
        seen = (status.st_mtime_ns, status.st_size)
        if seen != self._seen:
            self._ended, self._seen = set(self._file.read_text().split()), seen
        return self._ended

    def _signature(self, body: str) -> str:
        return hmac.new(self._key, body.encode(), "sha256").hexdigest()


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.encode()).digest()
