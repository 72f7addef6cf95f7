"""The demo of art records: two exports of an invented base, their difference, a sync taken back and restored, marts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from crown.art_records.workspace import (
    ATTACHMENTS,
    CLEAN,
    TABLES,
    Workspace,
    open_workspace,
)
from crown_cli.common.runs import run_job
from crown_cli.demo.part import Part
from crown_cli.demo.pictures import served
from resources.queues import ART_ATTACHMENTS

if TYPE_CHECKING:
    import dagster as dg

    from crown.art_records.sample_files import Export
    from crown_cli.common.world import World

DEMO = "demo"
#: The marts that are printed; building all of them is half of the demo's time.
_SHOWN = ("marts.art_portfolio", "marts.art_galleries", "marts.art_artworks")


@dataclass(frozen=True)
class _Syncs:
    """The steps of the demo that are in the art tables already: numbers of their syncs, None for one that did not happen."""

    first: int | None
    second: int | None
    taken_back: int | None
    restored: int | None


def run_part(world: World, instance: dg.DagsterInstance, images: Path | None) -> Part:  # noqa: ARG001 - every part's
    """Carry out the acts of the demo that the art tables do not hold yet; the runs go through Dagster."""
    from crown.art_records.samples import sample_exports

    workspace = open_workspace(world.engine, world.settings)
    part = Part()
    exports = sample_exports()
    before = found = _syncs_of(workspace, *exports)
    for export, known in zip(exports, (found.first, found.second), strict=True):
        if known is None:
            _bring(workspace, instance, export, part)
    found = _syncs_of(workspace, *exports)
    if found.second is not None and found.taken_back is None:
        _take_back(workspace, found.second, part, f"Sync {found.second} was taken back")
        found = _syncs_of(workspace, *exports)
    if found.taken_back is not None and found.restored is None:
        _take_back(
            workspace,
            found.taken_back,
            part,
            f"Sync {found.second} is in force again: its rollback was taken back",
        )
    accepted = _accept_what_is_known(workspace, part)
    if accepted:
        run_job(instance, "art_records")
    elif found == before:
        run = run_job(instance, "art_records")
        said = run["assets"][TABLES["editions"]].get("nothing_to_do", "the newest export was applied")
        part.messages.append(f"Nothing new: {said}, nothing was made again.")
    if found != before or not _marts_are_built(workspace):
        _build_marts(instance, part)
    _show_marts(workspace, part)
    _count(workspace, part)
    part.where = {
        "exports": str(workspace.exports),
        "raw files": str(workspace.objects.folder),
        "the art tables": "crown art syncs, crown art history RECORD, crown sql show art_portfolio",
    }
    return part


def _syncs_of(workspace: Workspace, first: Export, second: Export) -> _Syncs:
    with workspace.engine.connect() as connection:

        def one(sql: str, **values: Any) -> int | None:
            return connection.execute(text(sql), values).scalar()

        def synced(export: Export) -> int | None:
            return one(
                "select max(sync_number) from art.sync_tables join art.syncs using (sync_number)"
                " where source_hash = :h and status not in ('running', 'failed')",
                h=hashlib.sha256(export.editions).hexdigest(),
            )

        def reverting(number: int | None) -> int | None:
            return one(
                "select max(sync_number) from art.syncs where reverts = :n and status not in ('running', 'failed')",
                n=number,
            )

        taken_back = reverting(synced(second))
        return _Syncs(synced(first), synced(second), taken_back, reverting(taken_back))


def _bring(workspace: Workspace, instance: dg.DagsterInstance, export: Export, part: Part) -> None:
    """Put an export into the folder, let the job find it, and download the pictures that it names."""
    with served(export) as written:
        written.write(workspace.exports)
        run = run_job(instance, "art_records")["assets"]
        pictures = run_job(instance, ART_ATTACHMENTS)["assets"][ATTACHMENTS]["successful"]
    parts = []
    for table, asset in TABLES.items():
        cleaned, written = run[CLEAN[table]], run[asset]
        part.items_in += cleaned.get("rows", 0)
        part.items_made += written.get("records_created", 0) + written.get("records_updated", 0)
        parts.append(
            f"{written['records_created']:,} {table} added, {written['records_updated']:,} changed,"
            f" {written['records_unchanged']:,} unchanged"
        )
    part.messages.append(
        f"Sync {run[TABLES['editions']]['sync_number']}, the export of {export.exported_on}: {'; '.join(parts)}."
    )
    if pictures:
        part.items_made += pictures
        part.messages.append(f"{pictures} pictures of prints were downloaded and kept by their hash.")
    cleaned = run[CLEAN["editions"]]
    part.messages.append(
        f"Of its edition values {cleaned['repaired']} were repaired by a rule, {cleaned['flagged']} are doubtful,"
        f" {cleaned['withheld']} were withheld."
    )
    fields = run[TABLES["editions"]]["changed_fields"]
    if fields:
        named = ", ".join(f"{name} {count}" for name, count in fields.items())
        part.messages.append(f"What changed in the editions, by field: {named}.")


def _take_back(workspace: Workspace, number: int, part: Part, what: str) -> None:
    from crown.art_records.history.rollback import rollback

    done = rollback(
        workspace.engine, number, who=DEMO, apply=True, rule_version=workspace.book.version, via="demo",
        reason="the demo takes a sync back and restores it",
    )  # fmt: skip
    changed = len({(step.change.table, step.change.airtable_id) for step in done.chosen})
    part.items_made += changed
    part.messages.append(f"{what}, as sync {done.sync_number}: {changed} records.")


def _accept_what_is_known(workspace: Workspace, part: Part) -> bool:
    """The baseline of the checks, as `crown art accept` and `crown art sign` set it; False when nothing is new."""
    from crown.art_records.checks import accept, run_checks
    from crown.art_records.exports import signatures

    reason = "faults of the invented base, as its first exports bring them"
    with workspace.engine.begin() as connection:
        unsigned = [one for one in signatures.exemptions(connection).values() if one.signed_by is None]
        for one in unsigned:
            signatures.sign(
                connection, one.column, one.text_hash, "approve", who=DEMO, via="demo", reason=one.reason
            )
    new = sum(one.new for one in run_checks(workspace.engine) if one.check.severity != "error")
    found = accept(workspace.engine, None, who=DEMO, via="demo", apply=True, reason=reason) if new else {}
    if not unsigned and not found:
        return False
    part.messages.append(
        f"The baseline of the checks: {sum(found.values()):,} findings of {len(found)} checks are accepted as known,"
        f" {len(unsigned)} exceptions from the base's formulas are signed, both by {DEMO}; checks warn of what is new."
    )
    return True


def _build_marts(instance: dg.DagsterInstance, part: Part) -> None:
    """The marts that the demo shows, and what they are built from; the others follow when the platform runs."""
    from crown.sql_models.project import load_models

    project = load_models()
    chosen = project.select([f"+{relation}" for relation in _SHOWN])
    run_job(instance, "sql_models", only=[project.asset_key(model.relation) for model in chosen])
    part.messages.append(
        f"{len(chosen)} of {len(project.models)} SQL models were built; `crown sql run` builds all."
    )


def _marts_are_built(workspace: Workspace) -> bool:
    with workspace.engine.connect() as connection:
        return connection.execute(text("select to_regclass('marts.art_portfolio') is not null")).scalar_one()


def _show_marts(workspace: Workspace, part: Part) -> None:
    with workspace.engine.connect() as connection:

        def rows(sql: str) -> list[Any]:
            return list(connection.execute(text(sql)))

        (all_of_it,) = rows(
            "select sold, editions, sell_through_percent, gross, net, due_sales, due from marts.art_portfolio"
        )
        lists: dict[str, Callable[[Any], str]] = {
            "select gallery, sold, net from marts.art_galleries order by net desc nulls last limit 3": lambda r: (
                f"{r.gallery} {r.sold:,} sold, £{r.net:,.0f} net"
            ),
            "select artwork, sold, editions, oversold from marts.art_artworks order by sold desc, artwork limit 3": (
                lambda r: (
                    f"{r.artwork} {r.sold:,} of {r.editions:,} sold"
                    + (f", oversold by {r.oversold:,}" if r.oversold else "")
                )
            ),
        }
        best = ["; ".join(said(row) for row in rows(sql)) for sql, said in lists.items()]
    part.messages += [
        f"The portfolio: {all_of_it.sold:,} of {all_of_it.editions:,} editions sold"
        f" ({all_of_it.sell_through_percent:.1f} %), £{all_of_it.gross:,.0f} retail, £{all_of_it.net:,.0f} net;"
        f" {all_of_it.due_sales:,} sales are unsettled, £{all_of_it.due:,.0f}.",
        f"Galleries that brought most: {best[0]}.",
        f"Works that sold most: {best[1]}.",
    ]


def _count(workspace: Workspace, part: Part) -> None:
    from crown.art_records.exports.quarantine import quarantined

    with workspace.engine.connect() as connection:
        for table in TABLES:
            part.items_current += connection.execute(
                text(f"select count(*) from art.{table} where is_active")
            ).scalar_one()
    part.items_failed = len(quarantined(workspace.engine, outcome="withheld"))
