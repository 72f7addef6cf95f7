"""Housekeeping: everything that is removed or freed on a schedule, in one call with one report.

The age limits of tables are in crown.database.retention; files on disk do not belong here.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Engine, text

from crown.database import retention
from crown.journal.logs import FILE_NAME, OUTBOX_NAME
from crown.ledger import claims
from crown.settings.model import Settings

_TABLES = ("logs.records", "journal.activity", "ledger.outputs", "dagster.event_logs")


@dataclass(frozen=True)
class Tidied:
    """What was removed, or would be: rows by table, and claims of lost workers that were ended."""

    logs: int
    dagster_events: int
    notices: int
    orphans: dict[str, int]
    claims: int
    old_claims: int
    old_items: int
    dry_run: bool

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def tidy(engine: Engine, settings: Settings, *, dry_run: bool = False) -> Tidied:
    """Apply log_retention_days and events_retention_days, and free the items of workers that are gone.

    With `dry_run` nothing changes and the numbers are what a real call would do now.
    """
    with engine.connect() as connection, connection.begin() as transaction:
        ended = claims.reap(connection)
        if dry_run:
            transaction.rollback()
    return Tidied(
        logs=retention.prune_logs(engine, settings.log_retention_days, dry_run=dry_run),
        dagster_events=retention.prune_dagster_events(
            engine, settings.events_retention_days, dry_run=dry_run
        ),
        notices=retention.prune(
            engine,
            "journal.notices",
            "coalesce(t.sent_at, t.posted_at) < now() - make_interval(days => :days)",
            {"days": settings.log_retention_days},
            order="t.notice_id",
            dry_run=dry_run,
        ),
        orphans=retention.prune_orphans(engine, settings.events_retention_days, dry_run=dry_run),
        claims=ended,
        old_claims=retention.prune(
            engine,
            "ledger.claims",
            "t.ended_at < now() - make_interval(days => :days)"
            " and not exists (select from ledger.items i where i.claim_id = t.claim_id)",
            {"days": settings.log_retention_days},
            order="t.claim_id",
            dry_run=dry_run,
        ),
        # Retired before anything was made of them; what was made stays for ever.
        old_items=retention.prune(
            engine,
            "ledger.items",
            "t.state = 'retired' and t.output_id is null and t.changed_at < now() - make_interval(days => :days)",
            {"days": settings.log_retention_days},
            order="t.asset, t.key",
            dry_run=dry_run,
        ),
        dry_run=dry_run,
    )


def sizes(engine: Engine, settings: Settings) -> dict[str, int]:
    """Bytes of what grows by itself: tables with their indexes, log files, records waiting for the database."""
    with engine.connect() as connection:
        found = {
            table: connection.execute(
                text("select coalesce(pg_total_relation_size(to_regclass(:table)), 0)"), {"table": table}
            ).scalar_one()
            for table in _TABLES
        }
    found["log files"] = sum(path.stat().st_size for path in settings.logs.glob(f"{FILE_NAME}*"))
    found["outbox"] = sum(path.stat().st_size for path in (settings.logs / OUTBOX_NAME).glob("*.jsonl"))
    return found
