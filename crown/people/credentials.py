"""Credentials: sessions of browsers and tokens of programs. Only hashes are stored.

The text of a session or token is 256 random bits, so one SHA-256 is enough to store it; a password needs argon2
(users.py).
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from crown.errors import BadInput
from crown.people.permissions import ROLES, Role
from crown.people.users import User, get

SESSION_LASTS = timedelta(days=30)
#: Tokens begin like this, so that a secret scanner finds one that leaked.
TOKEN_PREFIX = "crown_"  # noqa: S105 - it is no secret


@dataclass(frozen=True)
class Token:
    """An API token as it is listed; its text is shown once, when it is made."""

    token_id: int
    user_name: str
    label: str
    role: Role
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


def start_session(connection: Connection, user: User, *, client: str = "") -> str:
    """Begin a session; returns its text, which the caller hands to the browser and forgets."""
    given = secrets.token_urlsafe(32)
    connection.execute(
        text(
            "insert into people.sessions (token_hash, user_name, client, expires_at)"
            " values (:hash, :name, :client, clock_timestamp() + :lasts)"
        ),
        {"hash": _digest(given), "name": user.name, "client": client[:200], "lasts": SESSION_LASTS},
    )
    return given


def session_user(connection: Connection, given: str) -> User | None:
    """The user of a session that is neither ended nor over; None otherwise."""
    name = connection.execute(
        text(
            "select s.user_name from people.sessions s join people.users u on u.name = s.user_name"
            " where s.token_hash = :hash and s.ended_at is null and s.expires_at > clock_timestamp()"
            " and u.disabled_at is null"
        ),
        {"hash": _digest(given)},
    ).scalar_one_or_none()
    return None if name is None else get(connection, name)


def end_session(connection: Connection, given: str) -> bool:
    """End a session on the server; False when it was not open."""
    ended = connection.execute(
        text(
            "update people.sessions set ended_at = clock_timestamp() where token_hash = :hash and ended_at is null"
        ),
        {"hash": _digest(given)},
    )
    return ended.rowcount == 1


def make_token(
    connection: Connection, user: User, label: str, role: Role, *, lasts: timedelta | None = None
) -> str:
    """Make an API token for a user; returns its text, shown once.

    Args:
        connection: an open transaction.
        user: whose token it is; what it does is recorded under this name.
        label: what it is for.
        role: the most it may do; never more than its user may at the time of use.
        lasts: until it expires; None for as long as nobody revokes it.

    Raises:
        BadInput: the role is higher than the user's, or the label is empty.
    """
    if ROLES.index(role) > ROLES.index(user.role):
        raise BadInput(f"{user.name} is {user.role}; a token cannot be {role}.")
    if not label.strip():
        raise BadInput("A token needs a label that says what it is for.")
    given = TOKEN_PREFIX + secrets.token_urlsafe(32)
    connection.execute(
        text(
            "insert into people.tokens (token_hash, user_name, label, role, expires_at)"
            " values (:hash, :name, :label, :role, clock_timestamp() + cast(:lasts as interval))"
        ),
        {
            "hash": _digest(given),
            "name": user.name,
            "label": label.strip(),
            "role": role,
            "lasts": lasts,
        },
    )
    return given


def token_user(connection: Connection, given: str) -> User | None:
    """The user of a token that is valid, with the lesser of both roles; notes when it was used."""
    row = connection.execute(
        text(
            "update people.tokens t set last_used_at = clock_timestamp() from people.users u"
            " where t.token_hash = :hash and t.revoked_at is null and u.name = t.user_name and u.disabled_at is null"
            " and (t.expires_at is null or t.expires_at > clock_timestamp()) returning t.user_name, t.role"
        ),
        {"hash": _digest(given)},
    ).one_or_none()
    if row is None:
        return None
    user = get(connection, row.user_name)
    return replace(user, role=min(user.role, row.role, key=ROLES.index))


def tokens(connection: Connection, user_name: str | None = None) -> list[Token]:
    """Tokens, the newest first; of one user when a name is given."""
    rows = connection.execute(
        text(
            "select token_id, user_name, label, role, created_at, expires_at, last_used_at, revoked_at"
            " from people.tokens where cast(:name as text) is null or user_name = :name order by token_id desc"
        ),
        {"name": user_name},
    )
    return [Token(**row._mapping) for row in rows]


def revoke_token(connection: Connection, token_id: int) -> Token:
    """Revoke a token.

    Raises:
        BadInput: there is no such token, or it is revoked already.
    """
    row = connection.execute(
        text(
            "update people.tokens set revoked_at = clock_timestamp() where token_id = :id and revoked_at is null"
            " returning token_id, user_name, label, role, created_at, expires_at, last_used_at, revoked_at"
        ),
        {"id": token_id},
    ).one_or_none()
    if row is None:
        raise BadInput(f"Token {token_id} is not there or revoked already; see `crown people tokens`.")
    return Token(**row._mapping)


def prune(connection: Connection, older_than: timedelta) -> int:
    """Remove sessions that ended or expired longer ago than this; returns how many."""
    return connection.execute(
        text(
            "delete from people.sessions"
            " where least(coalesce(ended_at, expires_at), expires_at) < clock_timestamp() - :age"
        ),
        {"age": older_than},
    ).rowcount


def _digest(given: str) -> str:
    return hashlib.sha256(given.encode("utf-8", "surrogatepass")).hexdigest()
