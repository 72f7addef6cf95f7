"""Arriving exports: complete, stored, compared, and applied at once or when a person has approved the difference.

Belongs here: the automatic processing of the exports folder, and decisions on differences.
Does not belong here: comparing and writing (`syncing.py`), and who calls (asset, sensor, command line).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from crown.art_records.history.comparing import Mode
from crown.art_records.history.ledger_rows import received
from crown.art_records.history.syncing import compare, sync_raw
from crown.art_records.reports import SyncReport
from crown.art_records.tables import ENTITIES
from crown.art_records.workspace import EXPORTS, Workspace
from crown.errors import BadInput, Refused
from crown.journal.activity import Via
from crown.ledger import decisions, plans
from crown.ledger.decisions import Decision, Verdict
from crown.ledger.locks import lock_assets
from crown.ledger.plans import Plan
from crown.ledger.verdicts import Ruling
from crown.store import watch
from crown.store.watch import Seen

if TYPE_CHECKING:
    from crown.art_records.exports.files import RawFile

ROOT = "art_exports"
SUBJECT = "difference"
"""Of plans and decisions: a difference that waits is a plan of the ledger, its hash the `diff_hash`."""


@dataclass(frozen=True)
class Arrivals:
    """What is in the exports folder: the newest file of each table, and those that are still being copied."""

    files: dict[str, Path] = field(default_factory=dict)
    unfinished: dict[str, Path] = field(default_factory=dict)


def seen(workspace: Workspace) -> list[Seen]:
    """One look at the folder; a file is at rest when two looks, some time apart, found it the same."""
    if not workspace.exports.is_dir():
        return []
    listed = [one for one in watch.listing(workspace.exports) if watch.storable(one[0])]
    return [
        Seen(one.path, f"{one.size_bytes}:{one.mtime_ns}", one.complete)
        for one in watch.look(workspace.engine, ROOT, listed, "")
    ]


def arrivals(workspace: Workspace, found: Sequence[Seen]) -> Arrivals:
    """The newest export of each table, finished or not, of the files that a look found."""
    if not found:
        return Arrivals()
    from crown.art_records.exports.files import discover

    at_rest = {one.path for one in found if one.ready}
    newest = discover(workspace.exports, workspace.book.layouts)
    return Arrivals(
        {table: path for table, path in newest.items() if path.name in at_rest},
        {table: path for table, path in newest.items() if path.name not in at_rest},
    )


def kept_files(workspace: Workspace, tables: Sequence[str] = tuple(ENTITIES)) -> list[RawFile]:
    """The newest received file of each of the tables, as the ledger names them, in the order in which they are loaded.

    Raises:
        BadInput: one is gone or damaged.
    """
    from crown.art_records.exports.files import kept

    with workspace.engine.connect() as connection:
        names = received(connection)
    return [kept(table, *names[table], workspace.objects) for table in tables if table in names]


@dataclass(frozen=True)
class Outcome:
    """The result of an arrival: the report, the decision in force on it, and why it was not applied."""

    report: SyncReport
    decision: Decision | None = None
    waits: str | None = None


def bring_in(
    workspace: Workspace, raws: Sequence[RawFile], *, who: str, via: Via, reason: str | None = None
) -> Outcome:
    """Compare kept files with the art tables and apply the difference, unless it has to wait for a person.

    It waits when something speaks against it, or always when the setting says `ask`; then exactly this difference
    must have been approved. A difference that was rejected, and every export once the art tables are alone, is only
    compared.
    """
    settings = workspace.settings
    if settings.art_records.phase == "postgres_only":
        paths = {raw.table: workspace.exports / raw.name for raw in raws}
        return Outcome(
            compare(workspace.engine, paths, objects=workspace.objects, book=workspace.book),
            waits="The art tables are in PostgreSQL only: the export was compared, nothing of it is applied.",
        )

    def run(*, apply: bool, approved: str | None = None) -> SyncReport:
        return sync_raw(
            workspace.engine, list(raws), workspace.mode, who=who, apply=apply, approved=approved, limits=workspace.limits,
            book=workspace.book, via=via, reason=reason,
        )  # fmt: skip

    report = run(apply=settings.art_records.apply == "auto")
    if report.applied or report.noop:
        _end_plans(workspace)
        return Outcome(report)
    if not report.blocks and all(table.nothing_new for table in report.tables):
        _end_plans(workspace)
        return Outcome(run(apply=True))
    plan = _propose(workspace, report)
    decision = _decision(workspace, plan)
    if decision is not None and decision.verdict == "approve":
        return Outcome(_carry_out(workspace, plan, run), decision)
    if decision is not None:
        return Outcome(report, decision, f"{decision.who} rejected this difference.")
    return Outcome(report, waits=_why(report))


def bring_in_files(
    workspace: Workspace, files: Mapping[str, Path], mode: Mode, *, who: str, via: Via, confirm: str | None = None,
    reason: str | None = None,
) -> Outcome:  # fmt: skip
    """Apply files that a person names, unless something speaks against it that nobody has decided on.

    Args:
        workspace: The workspace.
        files: Path per table.
        mode: How they are compared.
        who: The person.
        via: From where.
        confirm: The difference that the person has seen (its hash, or eight or more characters of it); it is kept
            as an approval of exactly that difference.
        reason: Why.

    Raises:
        BadInput: a file cannot be read.
        Refused: the phase forbids it, or the difference is another one than the confirmed.
    """
    from crown.art_records.history.syncing import sync

    def run(*, apply: bool, approved: str | None = None) -> SyncReport:
        return sync(
            workspace.engine, files, mode, objects=workspace.objects, who=who, apply=apply, approved=approved,
            phase=workspace.settings.art_records.phase, limits=workspace.limits, book=workspace.book, via=via, reason=reason,
        )  # fmt: skip

    if confirm is not None:
        seen = run(apply=False)
        _check_same(seen.diff_hash, confirm)
        plan = _propose(workspace, seen)
        decision = remember(workspace, plan, "approve", who=who, via=via, reason=reason)
        return Outcome(_carry_out(workspace, plan, run), decision)
    report = run(apply=True)
    waits = _open(workspace, report.diff_hash) if report.waiting else None
    standing = _decision(workspace, waits) if waits else None
    if waits is not None and standing is not None and standing.verdict == "approve":
        return Outcome(_carry_out(workspace, waits, run), standing)
    why = "; ".join(report.blocks)
    return Outcome(
        report,
        standing,
        f"{why}. Say --confirm {report.diff_hash[:12]} to apply exactly this."
        if why and not report.applied
        else None,
    )


def read_again(
    workspace: Workspace, mode: Mode, *, who: str, via: Via, apply: bool = False, confirm: str | None = None
) -> SyncReport:
    """Read the newest kept files again by today's rules; `confirm` names a difference that a person has seen.

    Raises:
        Refused: nothing was ever synced, the phase forbids it, or the difference is another one.
    """
    from crown.art_records.history.syncing import rerun

    def run(*, apply: bool, approved: str | None = None) -> SyncReport:
        return rerun(
            workspace.engine, mode, objects=workspace.objects, who=who, apply=apply, approved=approved, book=workspace.book,
            limits=workspace.limits, phase=workspace.settings.art_records.phase, via=via,
        )  # fmt: skip

    if confirm is None:
        return run(apply=apply)
    seen = run(apply=False)
    _check_same(seen.diff_hash, confirm)
    plan = _propose(workspace, seen)
    remember(workspace, plan, "approve", who=who, via=via)
    return _carry_out(workspace, plan, run)


def _check_same(diff_hash: str, given: str) -> None:
    if len(given) < 8:
        raise BadInput(
            "Give at least the first eight characters of the difference, as the preview shows them."
        )
    if not diff_hash.startswith(given):
        raise Refused(
            f"The difference now is {diff_hash[:12]}, not {given[:12]}; look at it again and decide on that."
        )


def waiting(workspace: Workspace, mode: Mode | None = None) -> SyncReport:
    """The difference between the exports folder and the art tables, as the next run would see it; writes nothing."""
    from crown.art_records.history.syncing import sync

    return sync(
        workspace.engine, workspace.files(), mode or workspace.mode, objects=workspace.objects, who="preview",
        limits=workspace.limits,
        book=workspace.book,
    )  # fmt: skip


def _propose(workspace: Workspace, report: SyncReport) -> Plan:
    """The difference as the open plan; it takes the place of another that waited."""
    sentence = f"The newest export waits for a decision: {_why(report)}"
    with workspace.engine.begin() as connection:
        lock_assets(connection, [EXPORTS])
        return plans.propose(connection, stage=EXPORTS, subject=SUBJECT, body=report.body, sentence=sentence)


def _why(report: SyncReport) -> str:
    """Why a difference waits, and what to do."""
    why = "; ".join(report.blocks) or "every difference waits for a decision (CROWN_ART_RECORDS_APPLY=ask)"
    return f"{why}. Look at it, then `crown art decide {report.diff_hash[:12]} approve` or `reject`."


def _open(workspace: Workspace, diff_hash: str) -> Plan | None:
    with workspace.engine.connect() as connection:
        return next((p for p in plans.open_plans(connection, EXPORTS) if p.plan_hash == diff_hash), None)


def _decision(workspace: Workspace, plan: Plan) -> Decision | None:
    """The verdict in force on a plan, given since it was proposed."""
    with workspace.engine.connect() as connection:
        if plans.verdict(connection, plan) is None:
            return None
        return decisions.standing(connection, EXPORTS, {SUBJECT: plan.plan_hash}).get(SUBJECT)


def _carry_out(workspace: Workspace, plan: Plan, run: Callable[..., SyncReport]) -> SyncReport:
    report = run(apply=True, approved=plan.plan_hash)
    with workspace.engine.begin() as connection:
        plans.end(connection, plan, "applied")
    return report


def _end_plans(workspace: Workspace) -> None:
    """Nothing waits any more."""
    with workspace.engine.begin() as connection:
        plans.end_others(connection, EXPORTS, {})


def decide(
    workspace: Workspace, diff: str, verdict: Verdict, *, who: str, via: Via, reason: str | None = None
) -> Decision:
    """Say of exactly the difference that waits now whether it is to be applied.

    Args:
        workspace: The workspace.
        diff: Its hash, or the first eight or more characters of it.
        verdict: approve, reject, or withdraw what was said before.
        who: The person.
        via: From where.
        reason: Why.

    Raises:
        BadInput: too short a hash.
        Refused: another difference waits now, or none.
    """
    report = waiting(workspace)
    if report.noop:
        raise Refused("The exports folder holds nothing new; no difference waits.")
    _check_same(report.diff_hash, diff)
    return remember(workspace, _propose(workspace, report), verdict, who=who, via=via, reason=reason)


def remember(
    workspace: Workspace, plan: Plan, verdict: Verdict, *, who: str, via: Via, reason: str | None = None
) -> Decision:
    """Keep a decision on a difference that the person has seen.

    Raises:
        BadInput: no name.
    """
    if not who.strip():
        raise BadInput("A decision needs a name: say who you are.")
    with workspace.engine.begin() as connection:
        return plans.decide(connection, plan, Ruling(verdict, who, via, reason))
