"""The users of this installation: names, roles, passwords. Sessions and tokens are in credentials.py."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from sqlalchemy import Connection, text

from crown.errors import BadInput, Refused
from crown.people.permissions import EVERY_STAGE, ROLES, Role, least_role, may

#: The least length of a password; NIST SP 800-63B-4 (section 3.1.1.2) asks for 15 where it is the only factor.
SHORTEST_PASSWORD = 15
_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,63}")


@dataclass(frozen=True)
class User:
    """One user; `name` is unique and in lower case. A disabled user may do nothing and stays in the records."""

    name: str
    display_name: str
    role: Role
    has_password: bool
    created_at: datetime
    disabled_at: datetime | None

    def may(self, verb: str, stage: str = EVERY_STAGE) -> bool:
        """Whether this user may do `verb` on `stage`."""
        return self.disabled_at is None and may(self.role, verb, stage)

    def require(self, verb: str, stage: str = EVERY_STAGE) -> None:
        """Refuse with a sentence what this user may not do.

        Raises:
            Refused: the role is too low, or the user is disabled.
        """
        if self.disabled_at is not None:
            raise Refused(f"{self.name} is disabled since {self.disabled_at:%Y-%m-%d}; ask an administrator.")
        if not self.may(verb, stage):
            least = least_role(verb, stage)
            where = "" if stage == EVERY_STAGE else f" on {stage}"
            raise Refused(
                f"{self.name} ({self.role}) may not {verb.replace('_', ' ')}{where}; the role {least} may."
            )


_COLUMNS = "name, display_name, role, password_hash is not null as has_password, created_at, disabled_at"


def add(
    connection: Connection,
    name: str,
    role: Role,
    *,
    display_name: str | None = None,
    password: str | None = None,
) -> User:
    """Add a user.

    Args:
        connection: an open transaction.
        name: as people sign in; letters, digits, `.`, `_`, `@` and `-`. It is kept in lower case.
        role: `viewer`, `operator` or `admin`.
        display_name: as people are shown; default the name.
        password: 15 characters or more; None for a user who only uses the command line or tokens.

    Raises:
        BadInput: the name, role or password cannot be used.
        Refused: the name is taken.
    """
    folded = _checked_name(name)
    if role not in ROLES:
        raise BadInput(f"{role!r} is not a role; choose {', '.join(ROLES)}.")
    row = connection.execute(
        text(
            "insert into people.users (name, display_name, role, password_hash) values (:name, :shown, :role, :hash)"
            f" on conflict (name) do nothing returning {_COLUMNS}"
        ),
        {"name": folded, "shown": display_name or name.strip(), "role": role, "hash": _hashed(password)},
    ).one_or_none()
    if row is None:
        raise Refused(f"{folded} is a user already; see `crown people list`.")
    return User(**row._mapping)


def change(
    connection: Connection,
    name: str,
    *,
    role: Role | None = None,
    password: str | None = None,
    disabled: bool | None = None,
) -> User:
    """Change a user's role or password, disable or enable; a new password or disabling ends all sessions.

    Raises:
        BadInput: there is no such user, or a value cannot be used.
        Refused: the last administrator would be gone.
    """
    # One change at a time, or two could each leave the other as the last administrator.
    connection.execute(text("lock table people.users in share row exclusive mode"))
    before = get(connection, name)
    goes = (
        before.role == "admin" and before.disabled_at is None and (disabled or (role or "admin") != "admin")
    )
    if goes and _administrators(connection) == 1:
        raise Refused(f"{before.name} is the last administrator; make another one first.")
    row = connection.execute(
        text(
            "update people.users set role = coalesce(:role, role), password_hash = coalesce(:hash, password_hash),"
            " disabled_at = case when cast(:disabled as boolean) is null then disabled_at"
            " when :disabled then coalesce(disabled_at, clock_timestamp()) end"
            f" where name = :name returning {_COLUMNS}"
        ),
        {"name": before.name, "role": role, "hash": _hashed(password), "disabled": disabled},
    ).one()
    if password is not None or disabled:
        connection.execute(
            text(
                "update people.sessions set ended_at = clock_timestamp() where user_name = :name and ended_at is null"
            ),
            {"name": before.name},
        )
    return User(**row._mapping)


def get(connection: Connection, name: str) -> User:
    """A user by name.

    Raises:
        BadInput: there is none.
    """
    row = connection.execute(
        text(f"select {_COLUMNS} from people.users where name = :name"), {"name": name.strip().casefold()}
    ).one_or_none()
    if row is None:
        raise BadInput(f"{name} is not a known user; an administrator says `crown people add {name}`.")
    return User(**row._mapping)


def all_users(connection: Connection) -> list[User]:
    """Every user by name, disabled ones too."""
    rows = connection.execute(text(f"select {_COLUMNS} from people.users order by name"))
    return [User(**row._mapping) for row in rows]


def operating_system_user(connection: Connection, name: str) -> User:
    """The user of a command: known from the first command on.

    Whoever runs `crown` on this machine reads its settings and its database, so a new one is an administrator.
    The record names the actor; it is not a second access check.
    """
    connection.execute(
        text(
            "insert into people.users (name, display_name, role) values (:name, :shown, 'admin')"
            " on conflict (name) do nothing"
        ),
        {"name": name.casefold(), "shown": name},
    )
    return get(connection, name)


def verify_password(connection: Connection, name: str, password: str) -> User | None:
    """The user whose name and password these are; None otherwise, after the same time for every reason."""
    from argon2 import PasswordHasher
    from argon2.exceptions import InvalidHashError, VerificationError

    row = connection.execute(
        text(f"select {_COLUMNS}, password_hash from people.users where name = :name"),
        {"name": name.strip().casefold()},
    ).one_or_none()
    known = row.password_hash if row is not None and row.password_hash is not None else _nobody()
    try:
        PasswordHasher().verify(known, password)
    except (VerificationError, InvalidHashError):
        return None
    if row is None or row.password_hash is None or row.disabled_at is not None:
        return None
    return User(**{field: value for field, value in row._mapping.items() if field != "password_hash"})


@cache
def _nobody() -> str:
    """The hash of random bytes: an unknown name costs what a known one does."""
    from argon2 import PasswordHasher

    return PasswordHasher().hash(secrets.token_bytes(32))


def _checked_name(name: str) -> str:
    folded = name.strip().casefold()
    if not _NAME.fullmatch(folded):
        raise BadInput(
            f"{name!a} cannot be a user's name; use letters a to z, digits, `.`, `_`, `@` and `-`, 64 at most."
        )
    return folded


def _hashed(password: str | None) -> str | None:
    if password is None:
        return None
    if len(password) < SHORTEST_PASSWORD:
        raise BadInput(f"A password needs {SHORTEST_PASSWORD} characters or more; a few words will do.")
    from argon2 import PasswordHasher

    return PasswordHasher().hash(password)


def _administrators(connection: Connection) -> int:
    return connection.execute(
        text("select count(*) from people.users where role = 'admin' and disabled_at is null")
    ).scalar_one()
