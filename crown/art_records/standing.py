"""How many art records stand, and what of them waits for a person, in the form of the ledger's counts. Read-only.

What waits in detail is read by `history.open_conflicts` and `quarantine.quarantined`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

DEPARTMENT = "art_records"
_TABLES = ("prints", "distributors", "editions")


@dataclass(frozen=True)
class Waiting:
    """What of one table waits for a person, and since when."""

    asset: str
    waiting_for: str
    items: int
    since: datetime


def records(connection: Connection) -> dict[str, int]:
    """Active records by asset, in the order in which they are loaded; nothing before the first record."""
    counts = {
        table: connection.execute(text(f"select count(*) from art.{table} where is_active")).scalar_one()
        for table in _TABLES
    }
    return {f"{DEPARTMENT}/{table}": n for table, n in counts.items()} if any(counts.values()) else {}


def waiting(connection: Connection) -> list[Waiting]:
    """Conflicts that wait for a decision, and values of the newest exports that wait for their correction."""
    rows = connection.execute(
        text(
            """
            select c.table_name, 'decision on a conflict' as waiting_for, count(*) as items, min(s.started_at) as since
            from art.conflicts c join art.syncs s using (sync_number) where c.status = 'open' group by 1
            union all
            select q.table_name, 'correction of a withheld value', count(*), min(s.started_at)
            from art.quarantine q join art.syncs s using (sync_number)
            where q.outcome = 'withheld' and q.sync_number = (
                select max(t.sync_number) from art.sync_tables t join art.syncs n using (sync_number)
                where t.table_name = q.table_name and t.source_hash is not null
                      and n.status not in ('running', 'failed', 'rolled_back'))
            group by 1 order by 1, 2
            """
        )
    )
    return [Waiting(f"{DEPARTMENT}/{row.table_name}", row.waiting_for, row.items, row.since) for row in rows]
