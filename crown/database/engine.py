"""Engines and connections to PostgreSQL, and the one place that knows how its URL is spelt.

SQL of any department does not belong here.
"""

from __future__ import annotations

from sqlalchemy import Engine, create_engine, event, make_url, text
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.exc import ArgumentError, DBAPIError

from crown.errors import ConfigurationError, SystemicFailure

MINIMUM_MAJOR = 15
#: What our connections are called where PGAPPNAME says nothing else.
APPLICATION = "crown"
_DISK_FULL = "53100"  # disk_full, appendix A of the PostgreSQL manual


def our_url(url: str) -> URL:
    """The URL for our own engine: psycopg 3, whatever driver the given one names.

    Raises:
        ConfigurationError: not a PostgreSQL URL.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigurationError(
            "CROWN_DATABASE_URL is not a database address; write postgresql://user:password@host/database."
        ) from None
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise ConfigurationError(
            f"CROWN_DATABASE_URL names {parsed.get_backend_name()}; only postgresql:// is supported."
        )
    return parsed.set(drivername="postgresql+psycopg")


def dagster_url(url: str) -> URL:
    """The URL for Dagster's storage: psycopg2, in the schema `dagster` of the same database.

    Dagster commits hundreds of times in a run; it does not wait for the disk each time. When the machine loses power,
    the last half second of its log may be missing; what we made is in the ledger, which always waits.
    """
    parsed = our_url(url).set(drivername="postgresql+psycopg2")
    return parsed.update_query_dict({"options": "-csearch_path=dagster -csynchronous_commit=off"})


def connect(url: str, *, pool_size: int = 5) -> Engine:
    """An engine on our database; connections are opened when first used.

    PGAPPNAME names them in pg_stat_activity; the services have one each.
    """
    named = {"fallback_application_name": APPLICATION}
    engine = create_engine(our_url(url), pool_size=pool_size, pool_pre_ping=True, connect_args=named)
    event.listen(engine, "handle_error", _name_a_full_disk)
    return engine


def _name_a_full_disk(context: ExceptionContext) -> None:
    """When the database's own disk is full, statements raise SystemicFailure with a sentence."""
    if getattr(context.original_exception, "sqlstate", None) == _DISK_FULL:
        raise full_disk(context.original_exception) from context.original_exception


def full_disk(error: BaseException) -> SystemicFailure:
    """The sentence for a database whose disk is full; for COPY, whose errors SQLAlchemy does not see."""
    said = str(error).splitlines()[0] if str(error) else "no space left on device"
    return SystemicFailure(
        f"The disk of the database is full ({said}); nothing of this step was written."
        " Free space on the database's disk, then run again."
    )


def check_server(engine: Engine) -> int:
    """The server's major version.

    Raises:
        ConfigurationError: out of reach, refused, or older than MINIMUM_MAJOR.
    """
    where = f"{engine.url.host or engine.url.query.get('host', 'localhost')}/{engine.url.database}"
    try:
        with engine.connect() as connection:
            major = int(connection.execute(text("show server_version_num")).scalar_one()) // 10000
    except DBAPIError as error:
        said = str(error.orig).strip() if error.orig else type(error).__name__
        reason = said.splitlines()[0].rsplit("failed: ", 1)[-1]  # the rest are addresses and hints
        raise ConfigurationError(
            f"The database {where} cannot be reached ({reason}); check CROWN_DATABASE_URL and that it runs."
        ) from None
    if major < MINIMUM_MAJOR:
        raise ConfigurationError(
            f"The database {where} is PostgreSQL {major}; version {MINIMUM_MAJOR} or later is needed: upgrade it."
        )
    return major
