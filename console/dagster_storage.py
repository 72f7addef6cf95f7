"""Dagster's PostgreSQL storage, which keeps its connections and what it knows of its tables.

Dagster's own opens a connection for every statement it sends, hundreds in a run, and looks up in a fifth of them which
tables and columns there are. Nothing is stored differently, so either class can take over from the other. Some of what
is touched here is private to dagster-postgres: look again when its version is raised.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping
from functools import cache
from typing import Any

from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage, PostgresEventLogStorage
from dagster_postgres.utils import (
    create_pg_engine,
    get_token_provider_from_config,
    pg_url_from_config,
    set_pg_statement_timeout,
)
from sqlalchemy import Engine, event

#: Connections a process keeps; those beyond are closed after use, and there are never more than `_MOST`.
_KEPT, _MOST = 2, 16


class PooledPostgresStorage(DagsterPostgresStorage):
    """As DagsterPostgresStorage; all runs, events and schedules of a process share a small pool of connections.

    A kept connection is tried before it is used, so a restart of the server is not noticed. A forked process opens its
    own. In the web server its connections have a time limit per statement.
    """

    def __init__(
        self,
        postgres_url: str,
        should_autocreate_tables: bool = True,
        inst_data: ConfigurableClassData | None = None,
        token_provider: Any = None,
    ) -> None:
        super().__init__(postgres_url, should_autocreate_tables, inst_data, token_provider)
        # The tables were made just now, if need be.
        self._event_log_storage = _Events(postgres_url, False, token_provider=token_provider)
        for storage in (self._run_storage, self._event_log_storage, self._schedule_storage):
            storage._engine = _engine(postgres_url, token_provider)
            # Dagster's own would open a pool for each of the three.
            storage.optimize_for_webserver = self._limit_statements  # type: ignore[method-assign,assignment]

    def _limit_statements(self, statement_timeout: int, **_: int) -> None:
        """Give each connection of this process, which is a web server, a time limit for its statements."""
        engine = self._run_storage._engine
        if engine not in _limited:
            _limited.add(engine)
            event.listen(
                engine, "connect", lambda given, _: set_pg_statement_timeout(given, statement_timeout)
            )
            engine.dispose()

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> PooledPostgresStorage:
        """The storage that dagster.yaml describes; the same keys as below `storage: postgres:`."""
        return cls(
            pg_url_from_config(config_value),
            config_value.get("should_autocreate_tables", True),
            inst_data,
            get_token_provider_from_config(config_value),
        )


#: Engines whose statements have a time limit.
_limited: set[Engine] = set()


@cache
def _engine(postgres_url: str, token_provider: Any) -> Engine:
    """The pool of this process: a code server opens an instance for each tick, and each would keep its own."""
    engine: Engine = create_pg_engine(
        postgres_url,
        token_provider,
        isolation_level="AUTOCOMMIT",
        pool_size=_KEPT,
        max_overflow=_MOST - _KEPT,
        pool_pre_ping=True,
        pool_use_lifo=True,
    )
    kept = weakref.ref(engine)

    def forget_connections_of_the_parent() -> None:
        if (known := kept()) is not None:
            known.dispose(close=False)

    os.register_at_fork(after_in_child=forget_connections_of_the_parent)
    return engine


class _Events(PostgresEventLogStorage):
    """Remembers the tables and columns that are there: a newer Dagster adds some, none ever takes one away."""

    def __init__(self, *args: Any, **more: Any) -> None:
        self._there: set[tuple[str, str]] = set()
        super().__init__(*args, **more)

    def has_table(self, table_name: str) -> bool:
        if ("table", table_name) not in self._there and super().has_table(table_name):
            self._there.add(("table", table_name))
        return ("table", table_name) in self._there

    def has_asset_key_col(self, column_name: str) -> bool:
        if ("column", column_name) not in self._there and super().has_asset_key_col(column_name):
            self._there.add(("column", column_name))
        return ("column", column_name) in self._there
