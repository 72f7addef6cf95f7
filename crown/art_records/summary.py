"""The summary of art records: records, what waits for the book-keeper, dates of the exports.

What waits in detail is read by `history.open_conflicts` and `quarantine.quarantined`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

from sqlalchemy import Connection, text

from crown.art_records.gates import GATES
from crown.flow.summary import Department, Freshness, Summary, empty_counts
from crown.ledger.counts import Waiting
from crown.settings.model import Settings

_NAME = "art_records"
_TABLES = ("prints", "distributors", "editions")
#: The base is exported daily; over a long weekend nobody does.
_WINDOW = timedelta(days=4)


def _folders(settings: Settings) -> Mapping[str, Path]:
    return {"exports": settings.art_exports, "originals": settings.objects}


def _freshness(connection: Connection) -> Sequence[Freshness]:
    rows = connection.execute(
        text(
            "select t.table_name, max(r.exported_on) as newest from art.syncs s"
            " join art.sync_tables t using (sync_number) join art.raw_files r on r.sha256 = t.source_hash"
            " where s.status not in ('running', 'failed', 'rolled_back') group by t.table_name"
        )
    )
    dates = {row.table_name: row.newest for row in rows if row.newest is not None}
    return [
        Freshness(f"{_NAME}/{table}", "newest export", datetime.combine(dates[table], time(), UTC), _WINDOW)
        for table in _TABLES
        if table in dates
    ]


def _add(connection: Connection, summary: Summary) -> None:
    """Active records by table, conflicts that wait for a decision and values that wait for their correction."""
    counts = {
        table: connection.execute(text(f"select count(*) from art.{table} where is_active")).scalar_one()
        for table in _TABLES
    }
    if any(counts.values()):
        for table, records in counts.items():
            summary.assets.setdefault(table, empty_counts())["current"] = records
    for row in connection.execute(
        text(
            """
            select c.table_name, 'gate' as kind, 'decision on a conflict' as name, count(*) as items,
                   min(s.started_at) as since
            from art.conflicts c join art.syncs s using (sync_number) where c.status = 'open' group by 1
            union all
            select q.table_name, 'upstream', 'correction of a withheld value', count(*), min(s.started_at)
            from art.quarantine q join art.syncs s using (sync_number)
            where q.outcome = 'withheld' and q.sync_number = (
                select max(t.sync_number) from art.sync_tables t join art.syncs n using (sync_number)
                where t.table_name = q.table_name and t.source_hash is not null
                      and n.status not in ('running', 'failed', 'rolled_back'))
            group by 1 order by 1, 2
            """
        )
    ):
        summary.assets.setdefault(row.table_name, empty_counts())["waiting"] += row.items
        asset = f"{_NAME}/{row.table_name}"
        summary.waiting.append(Waiting(asset, row.kind, row.items, row.since, (row.name,)))


ART_RECORDS = Department(
    _NAME,
    "Art records",
    "Put the exports of the art base into their folder; the records appear here.",
    gates=GATES,
    flow=tuple(f"{_NAME}/{table}" for table in _TABLES),
    acts=(f"{_NAME}/syncs",),
    troubles_command="crown art conflicts",
    folders=_folders,
    freshness=_freshness,
    add=_add,
)
