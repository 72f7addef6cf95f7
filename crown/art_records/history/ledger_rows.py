"""Exports, syncs and table versions in the ledger: what came from which file by which act, in their transactions.

A received file is an output of `art_records/airtable_exports`, an act (sync, rollback, new print) one of
`art_records/syncs`, and the tables that it changed are outputs of their own made of both.
Does not belong here: the history of single records, which schema `art` keeps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text

from crown.art_records.tables import ENTITIES
from crown.art_records.workspace import EXPORTS, SYNCS, TABLES
from crown.ledger import plans, versions
from crown.ledger.recipes import Recipe

if TYPE_CHECKING:
    from crown.art_records.exports.files import RawFile

_RECEIVED = Recipe(EXPORTS, "received", {"version": 1})


def enter_exports(connection: Connection, raws: Sequence[RawFile], run_id: str | None = None) -> None:
    """Enter kept files as the newest exports of their tables; the next step reads these."""
    for raw in raws:
        _enter_file(connection, raw.table, raw.sha256, run_id)


def _enter_file(connection: Connection, table: str, sha256: str, run_id: str | None = None) -> int:
    """Without the file's name, which may hold a person's: art.raw_files has it, where it can be erased."""
    return versions.enter(connection, key=table, content_hash=sha256, recipe=_RECEIVED, run_id=run_id)


def received(connection: Connection) -> dict[str, tuple[str, str]]:
    """Table -> file name and the hash under which its newest export is kept; a person may be erased from it since."""
    newest = {one.content_hash: table for table, one in versions.current(connection, EXPORTS).items()}
    rows = connection.execute(
        text("select sha256, file_name, kept_as from art.raw_files where sha256 = any(:hashes)"),
        {"hashes": list(newest)},
    )
    return {newest[sha256]: (name, kept_as) for sha256, name, kept_as in rows}


def enter_sync(connection: Connection, number: int) -> None:
    """Enter an act and the versions of the tables that it changed, in the transaction of its changes."""
    sync = connection.execute(
        text("select sync_type, rule_version, diff_hash, reverts from art.syncs where sync_number = :n"),
        {"n": number},
    ).one()
    files = connection.execute(
        text(
            "select table_name, source_hash from art.sync_tables"
            " where sync_number = :n and source_hash is not null order by table_name"
        ),
        {"n": number},
    ).all()
    made_of = [_enter_file(connection, row.table_name, row.source_hash) for row in files]
    if sync.reverts is not None:
        reverted = versions.current(connection, SYNCS).get(str(sync.reverts))
        made_of += [reverted.output_id] if reverted else []
    act = versions.enter(
        connection, key=str(number), content_hash=sync.diff_hash or plans.hash_of({"sync": number}),
        recipe=Recipe(SYNCS, sync.sync_type, {"version": 1, "rules": sync.rule_version}), inputs=made_of,
        facts={"sync": number},
    )  # fmt: skip
    changed = connection.execute(
        text("select distinct table_name from art.changes where sync_number = :n order by 1"), {"n": number}
    ).scalars()
    for table in list(changed):
        versions.enter(
            connection, key=table, content_hash=_table_hash(connection, table),
            recipe=Recipe(TABLES[table], "version", {"version": 1}), inputs=[act], facts={"sync": number},
        )  # fmt: skip


def _table_hash(connection: Connection, table: str) -> str:
    """sha256 over the compared fields of every record's current version."""
    kind = ENTITIES[table]
    fields = ", ".join(("airtable_id", *kind.fields, "is_active"))
    found: str = connection.execute(
        text(
            "select encode(sha256(convert_to(coalesce(string_agg(md5(cast(row(v.*) as text)), '' order by airtable_id),"
            f" ''), 'UTF8')), 'hex') from (select {fields} from art.{kind.versions.name} where valid_to_sync is null) v"
        )
    ).scalar_one()
    return found
