"""One sync: three files become a diff, and the diff, when allowed, a part of the art tables.

Belongs here: the order of the steps, what is refused in which phase, when a diff waits for a person, and the
report. Does not belong here: reading, comparing and writing themselves, and who calls (command line, asset).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sqlalchemy import Connection, Engine, text

from crown.art_records.history.comparing import (
    Limits,
    Mode,
    TablePlan,
    is_same_as_last_time,
    plan_table,
)
from crown.art_records.history.ledger_rows import enter_exports
from crown.art_records.reports import SyncReport, TableReport
from crown.art_records.tables import ENTITIES
from crown.errors import ConfigurationError, Refused
from crown.journal import activity
from crown.journal.activity import Via
from crown.ledger.plans import hash_of
from crown.store.objects import Objects

if TYPE_CHECKING:
    from crown.art_records.exports.files import Export, RawFile
    from crown.art_records.exports.rules import Rulebook

Phase = Literal["parallel", "postgres_primary", "postgres_only"]
MODES = ("incremental", "merge", "full")


def sync(
    engine: Engine,
    files: Mapping[str, Path],
    mode: Mode,
    *,
    objects: Objects,
    who: str,
    apply: bool = False,
    approved: str | None = None,
    phase: Phase = "parallel",
    limits: Limits | None = None,
    book: Rulebook | None = None,
    via: Via = "cli",
    reason: str | None = None,
    today: date | None = None,
) -> SyncReport:
    """Compare exports with the art tables and, with `apply`, write the difference in one transaction.

    Args:
        engine: The database.
        files: Path per table (`prints`, `distributors`, `editions`); a table may be missing.
        mode: `incremental` (add and update), `merge` (three-way, our own edits are kept, conflicts wait) or
            `full` (also closes what the export lacks).
        objects: Where raw files are kept.
        who: The person or job on whose behalf.
        apply: Write; otherwise only the diff is made and nothing is stored but the raw files.
        approved: The `diff_hash` that a person decided on: lets a blocked diff through, and only that one.
        phase: `parallel`: any mode; `postgres_primary`: exports merge only; `postgres_only`: no export is applied.
        limits: When a diff waits for a decision.
        book: Rules and names; default those that come along.
        via: From where.
        reason: A sentence for the history.
        today: The day of an undated export; default the real one.

    Returns:
        A report. `applied` says whether the art tables changed, `waiting` that a person must decide, `noop` that
        there was nothing new.

    Raises:
        BadInput: a file cannot be read; nothing was written.
        Refused: the phase forbids it, or the diff is not the approved one.
    """
    _check_request(files, mode, phase, apply)
    raws = _taken_in(engine, files, objects)
    return sync_raw(
        engine, raws, mode, who=who, apply=apply, approved=approved, limits=limits, book=book, via=via,
        reason=reason, today=today,
    )  # fmt: skip


def receive(
    engine: Engine, files: Mapping[str, Path], *, objects: Objects, book: Rulebook | None = None,
    run_id: str | None = None, with_them: Callable[[Connection], None] | None = None,
) -> list[Export]:  # fmt: skip
    """Keep export files under their hashes, read them, and enter them in the ledger as the newest of their tables.

    Nothing is compared; `sync_raw` goes on from here. `with_them` is called in the transaction that enters them.

    Raises:
        BadInput: a file cannot be read.
        Refused: a person was erased from one of them.
    """
    from crown.art_records.exports.rules import rulebook

    raws = _taken_in(engine, files, objects)
    exports = [_known(engine, raw, book or rulebook()) for raw in raws]
    with engine.begin() as connection:
        enter_exports(connection, raws, run_id)
        if with_them is not None:
            with_them(connection)
    return exports


def sync_raw(
    engine: Engine,
    raws: list[RawFile],
    mode: Mode,
    *,
    who: str,
    apply: bool,
    approved: str | None = None,
    limits: Limits | None = None,
    book: Rulebook | None = None,
    via: Via = "cli",
    reason: str | None = None,
    today: date | None = None,
) -> SyncReport:
    """`sync` on files that are kept already."""
    from crown.art_records.exports.rules import rulebook
    from crown.art_records.history.writing import (
        alone,
        begin_sync,
        fail_sync,
        finish_sync,
        write_plan,
    )

    book = book or rulebook()
    exports = [_known(engine, raw, book) for raw in raws]
    if not apply:
        with engine.connect() as connection:
            plans, skipped = _plan(connection, exports, mode, limits or Limits(), book)
            report = _report(connection, plans, skipped, mode)
            connection.rollback()
        return report
    with alone(engine) as connection:
        plans, skipped = _plan(connection, exports, mode, limits or Limits(), book)
        report = _report(connection, plans, skipped, mode)
        connection.rollback()
        if approved is not None and approved != report.diff_hash and plans:
            raise Refused(
                f"The decision was on the diff {approved[:12]}, but the difference is {report.diff_hash[:12]} now; "
                "look at it again and decide on that."
            )
        if report.noop or (report.blocks and approved is None):
            return report
        dates = [p.export.exported_on for p in plans if p.export.exported_on]
        exported_on = max(dates) if dates else None
        number = begin_sync(
            connection, sync_type=mode, who=who, via=via, reason=reason, diff_hash=report.diff_hash,
            rule_version=book.version, exported_on=exported_on,
            effective_on=exported_on or today or date.today(),  # noqa: DTZ011
        )  # fmt: skip
        try:
            for plan in plans:
                write_plan(connection, number, plan)
            counts = {t.table: {k: n for k, n in t.counts.items() if n} for t in report.tables if not t.noop}
            activity.record(
                connection, who=who, what=activity.SYNC, subject=f"syncs/{number}", department="art_records", via=via,
                new=counts, details=reason, source_file=", ".join(p.export.raw.name for p in plans),
                context={"mode": mode, "diff_hash": report.diff_hash, "approved": approved is not None},
            )  # fmt: skip
            finish_sync(connection, number)
            connection.commit()
        except BaseException as error:
            fail_sync(connection, number, error)
            raise
        report.sync_number = number
        report.sync_id = _sync_id(connection, number)
        report.applied = True
    return report


def _check_request(files: Mapping[str, Path], mode: str, phase: str, apply: bool) -> None:
    unknown = sorted(set(files) - set(ENTITIES))
    if unknown or not files:
        raise ConfigurationError(
            f"Give files for {', '.join(ENTITIES)}; {', '.join(unknown) or 'none'} was given."
        )
    if mode not in MODES:
        raise ConfigurationError(f"{mode!r} is not a mode; choose {', '.join(MODES)}.")
    if apply and phase == "postgres_only":
        raise Refused(
            "The art tables live in PostgreSQL only: exports are no longer applied. Compare one with "
            "`crown art compare`, or set the phase back."
        )
    if apply and phase == "postgres_primary" and mode != "merge":
        raise Refused(f"PostgreSQL is primary: exports only merge. Use --mode merge instead of {mode}.")


def _plan(
    connection: Connection,
    exports: list[Export],
    mode: Mode,
    limits: Limits,
    book: Rulebook,
    *,
    always: bool = False,
) -> tuple[list[TablePlan], list[Export]]:
    from crown.art_records.exports.cleaning import clean

    plans, skipped = [], []
    for export in exports:
        if not always and is_same_as_last_time(connection, export, book.version, mode):
            skipped.append(export)
        else:
            plans.append(plan_table(connection, export, clean(export, book), mode, limits))
    return plans, skipped


def _report(connection: Connection, plans: list[TablePlan], skipped: list[Export], mode: Mode) -> SyncReport:
    from crown.art_records.history.writing import statistics
    from crown.art_records.wording import names_for

    body = {"mode": mode, "tables": {plan.table: plan.digest() for plan in plans}}
    tables = [
        TableReport(
            table=plan.table,
            source_file=plan.export.raw.name,
            source_hash=plan.export.raw.sha256,
            layout=plan.export.layout_name,
            exported_on=plan.export.exported_on,
            counts=statistics(plan),
            changed_fields=plan.changed_fields(),
            created=plan.cleaned.ids[plan.created].tolist(),
            closed=plan.closed,
            changes=plan.changes,
            conflicts=plan.conflicts,
            findings=plan.cleaned.findings,
            names=_names_of_new(plan) | names_for(connection, [*plan.changes, *plan.conflicts]),
            kept_local=plan.kept_local,
            taken_back=plan.taken_back,
            unknown_columns=list(plan.cleaned.unknown),
        )
        for plan in plans
    ]
    tables += [
        TableReport(
            table=export.raw.table,
            source_file=export.raw.name,
            source_hash=export.raw.sha256,
            layout=export.layout_name,
            exported_on=export.exported_on,
            noop="the same bytes as last time",
        )
        for export in skipped
    ]
    order = list(ENTITIES)
    return SyncReport(
        mode=mode,
        diff_hash=hash_of(body),
        body=body,
        blocks=[block for plan in plans for block in plan.blocks],
        tables=sorted(tables, key=lambda t: order.index(t.table)),
    )


def _names_of_new(plan: TablePlan) -> dict[str, str]:
    """The names that the export gives the first hundred of its new records: more are not shown."""
    column = plan.cleaned.columns.get("exported_name" if plan.table == "editions" else "name")
    if column is None:
        return {}
    rows = plan.created[:100].tolist()
    found = ((str(plan.cleaned.ids[row]), column.values[column.codes[row]]) for row in rows)
    return {airtable_id: name for airtable_id, name in found if name}


def _known(engine: Engine, raw: RawFile, book: Rulebook) -> Export:
    """The parsed file; what cannot be read is remembered as well."""
    from crown.art_records.exports.files import parse

    _remember_raw(engine, raw)
    export = parse(raw, book.layouts)
    _describe_raw(engine, export)
    return export


def compare(
    engine: Engine, files: Mapping[str, Path], *, objects: Objects, book: Rulebook | None = None
) -> SyncReport:
    """What a full sync of these files would change, whatever was read before; nothing is written.

    The comparison report of a transition: with nothing created, changed or closed, art tables and exports agree.
    """
    from crown.art_records.exports.rules import rulebook

    _check_request(files, "full", "parallel", apply=False)
    book = book or rulebook()
    exports = [_known(engine, raw, book) for raw in _taken_in(engine, files, objects)]
    with engine.connect() as connection:
        plans, _ = _plan(connection, exports, "full", Limits(), book, always=True)
        report = _report(connection, plans, [], "full")
        connection.rollback()
    return report


def rerun(
    engine: Engine, mode: Mode, *, objects: Objects, who: str, apply: bool = False, book: Rulebook | None = None,
    approved: str | None = None, limits: Limits | None = None, phase: Phase = "parallel", via: Via = "cli",
) -> SyncReport:  # fmt: skip
    """Read the newest kept file of each table again, for instance by corrected rules: what waited in quarantine
    under the old ones is judged anew. By unchanged rules it is a no-op.

    Raises:
        Refused: no file was ever synced, or the phase forbids it.
    """
    from crown.art_records.exports.files import kept

    with engine.connect() as connection:
        rows = connection.execute(
            text("""
                select distinct on (t.table_name) t.table_name, r.file_name, r.kept_as
                from art.sync_tables t join art.syncs s using (sync_number)
                join art.raw_files r on r.sha256 = t.source_hash
                where s.status not in ('running', 'failed')
                order by t.table_name, t.sync_number desc
            """)
        ).all()
    if not rows:
        raise Refused("No export was synced yet; there is nothing to read again.")
    raws = {table: kept(table, name, digest, objects) for table, name, digest in rows}
    _check_request(dict.fromkeys(raws, Path()), mode, phase, apply)
    return sync_raw(
        engine, [raws[table] for table in ENTITIES if table in raws], mode, who=who, apply=apply, approved=approved,
        limits=limits, book=book, via=via, reason="read again",
    )  # fmt: skip


def _remember_raw(engine: Engine, raw: RawFile) -> None:
    """Note the file before it is parsed: what cannot be read is remembered as well."""
    with engine.begin() as connection:
        connection.execute(
            text("""
                insert into art.raw_files (sha256, table_name, file_name, byte_size, kept_as)
                values (:sha, :table, :name, :size, :sha) on conflict (sha256) do nothing
            """),
            {"sha": raw.sha256, "table": raw.table, "name": raw.name, "size": len(raw.data)},
        )


def _describe_raw(engine: Engine, export: Export) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("""
                update art.raw_files set row_count = :rows, layout = :layout, header_fingerprint = :header,
                       exported_on = :on
                where sha256 = :sha and row_count is null
            """),
            {
                "sha": export.raw.sha256, "rows": len(export.frame), "layout": export.layout_name,
                "header": export.header_fingerprint, "on": export.exported_on,
            },
        )  # fmt: skip


def _taken_in(engine: Engine, files: Mapping[str, Path], objects: Objects) -> list[RawFile]:
    """The files, kept by their hashes before anything reads them, without what was erased before."""
    from crown.art_records.exports.files import take_in
    from crown.art_records.history.erasing import taken_out_again

    raws = [take_in(files[table], table, objects) for table in ENTITIES if table in files]
    _refuse_erased(engine, raws, objects)
    return [taken_out_again(engine, raw, objects) for raw in raws]


def _refuse_erased(engine: Engine, raws: list[RawFile], objects: Objects) -> None:
    """Bytes from which a person was erased may not come back to the store."""
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "select sha256, file_name from art.raw_files where sha256 = any(:hashes) and kept_as <> sha256"
            ),
            {"hashes": [raw.sha256 for raw in raws]},
        ).all()
    for sha256, _ in rows:
        objects.path(sha256).unlink(missing_ok=True)
    if rows:
        raise Refused(
            f"A person was erased from {rows[0].file_name}, and this is that file again; export it anew."
        )


def _sync_id(connection: Connection, number: int) -> str:
    return str(
        connection.execute(
            text("select sync_id from art.syncs where sync_number = :n"), {"n": number}
        ).scalar_one()
    )
