"""The quarantine: values that failed, were repaired or are doubtful, of the newest sync of each table.

Reads only; personal texts are masked. Does not belong here: judging values (`rules.py`).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, text

from crown.art_records.history.comparing import masked
from crown.art_records.wording import names_of

OUTCOMES = ("withheld", "repaired", "flagged")


def quarantined(
    engine: Engine,
    *,
    table: str | None = None,
    outcome: str | None = None,
    sync_number: int | None = None,
    limit: int | None = None,
) -> list[dict[str, Any]]:
    """Rows of the quarantine with the names of their records, the most money first.

    Args:
        engine: The database.
        table: Only this one.
        outcome: `withheld`, `repaired` or `flagged`; default all.
        sync_number: Of this sync; default: the newest sync in force of each table.
        limit: At most so many.
    """
    with engine.connect() as connection:
        rows = connection.execute(
            text("""
                select q.sync_number, q.table_name, q.file_row, q.airtable_id, q.column_name, q.field, q.rule,
                       q.outcome, q.problem, q.raw_value, q.loaded_value, q.money_at_stake
                from art.quarantine q
                where (cast(:table as text) is null or q.table_name = :table)
                      and (cast(:outcome as text) is null or q.outcome = :outcome)
                      and q.sync_number = coalesce(cast(:number as bigint), (
                          select max(t.sync_number) from art.sync_tables t join art.syncs s using (sync_number)
                          where t.table_name = q.table_name and t.source_hash is not null
                                and s.status not in ('running', 'failed', 'rolled_back')))
                order by q.money_at_stake desc nulls last, q.table_name, q.file_row, q.column_name
                limit :limit
            """),
            {"table": table, "outcome": outcome, "number": sync_number, "limit": limit},
        )
        found = [dict(row._mapping) for row in rows]
        names = names_of(connection, {row["airtable_id"] for row in found if row["airtable_id"]})
    for row in found:
        for side in ("raw_value", "loaded_value"):
            row[side] = masked(row["field"], row[side])
        row["name"] = names.get(row["airtable_id"])
    return found
