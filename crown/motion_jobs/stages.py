"""The stages of a job: what each wants, and how it is made. When and why a stage runs is not decided here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection, Engine, text

from crown.flow import make as flow_make
from crown.flow.make import Only, StageReport
from crown.flow.stage import Flow, Stage
from crown.flow.worker_pool import Progress, WorkerPool
from crown.ledger.claims import Failed, Job, Made
from crown.ledger.planning import Plan
from crown.ledger.recipes import Recipe
from crown.motion_jobs import sources, stage_log, tasks
from crown.motion_jobs.jobs import statuses, wanted
from crown.motion_jobs.jobs.batches import queue_more
from crown.motion_jobs.matches.warning_rules import warning_rules
from crown.motion_jobs.versions import CODE_VERSIONS
from crown.motion_jobs.workspace import (
    APPROVED,
    ASSETS,
    BATCHES,
    DEPLOYMENTS,
    INGESTED,
    JOB_ASSETS,
    MATCHES,
    PACKAGES,
    PREVIEWS,
    SOURCES,
    VALIDATED,
    Workspace,
    clear_unfinished,
)

Task = Callable[[Sequence[Job], Mapping[str, Any]], Sequence[Made | Failed]]

_BATCH_HASHES = "select batch_id, content_hash from motion.batch_records"
_SEEN = "select path, kind, size_bytes, mtime_ns, content_hash from motion.source_files"
_ROWS = """
    select j.job_id, j.psd_path, j.aepx_path, j.output_name, j.batch_id, j.extra ->> 'comp_name' as comp_name,
           j.extra - 'comp_name' as further,
           coalesce((select jsonb_object_agg(f.named, f.path) from motion.footage f where f.aepx_path = j.aepx_path),
                    '{}') as footage,
           (select jsonb_build_object('who', d.who, 'reason', d.reason, 'at', d.decided_at) from ledger.decisions d
            where d.decision_id = i.decision_id and d.verdict = 'override') as decision
    from ledger.items i join motion.job_records j on j.job_id = i.key
    where i.asset = :asset and i.state in ('pending', 'failed')
"""
_FROZEN = """
    select distinct on (m.key) m.key, m.facts -> 'remembered' from ledger.items i
    join ledger.outputs m on m.asset = i.asset and m.key = i.key
    where i.asset = :asset and i.state in ('pending', 'failed') order by m.key, m.output_id
"""
_REMEMBERED = "select aepx_path, comp, slot, layer from motion.remembered_matches"


def stage(workspace: Workspace, asset: str, supposed: Connection | None = None) -> Stage:  # noqa: ARG001
    """The stage that makes an asset."""
    return _STAGES[asset](workspace)


def _stage(
    workspace: Workspace,
    asset: str,
    select: str,
    task: Task,
    body: Mapping[str, Any],
    *,
    context: Mapping[str, Any] | None = None,
    in_process: bool = False,
    **parameters: Any,
) -> Stage:
    recipe = Recipe(asset, asset.partition("/")[2], {"version": CODE_VERSIONS[asset], **body})
    pool = WorkerPool(
        (asset,),
        task,
        {**workspace.context, **(context or {})},
        workspace.place,
        in_process=in_process,
        per_worker=8,
    )
    # Decisions, names and footage decide beside the inputs.
    return Stage(asset, select, (recipe,), {"recipe": recipe.hash, **parameters}, pool, inputs_decide=False)


def _batches(workspace: Workspace) -> Stage:
    hashes = partial(_batch_hashes, workspace.engine)
    return _stage(
        workspace,
        BATCHES,
        wanted.BATCHES_WANTED,
        tasks.keep_batch,
        {},
        context={"hashes": hashes},
        in_process=True,
    )


def _sources(workspace: Workspace) -> Stage:
    return _stage(
        workspace,
        SOURCES,
        wanted.SOURCES_WANTED,
        tasks.keep_source,
        {"read": sources.VERSION},
        context={"seen": partial(_seen, workspace.engine)},
        in_process=True,
    )


def _ingested(workspace: Workspace) -> Stage:
    context = {"rows": _rows(workspace.engine, INGESTED)}
    body = {"read": sources.VERSION}
    return _stage(workspace, INGESTED, wanted.INGESTED_WANTED, tasks.ingest, body, context=context)


def _matches(workspace: Workspace) -> Stage:
    context = {"remembered": _remembered(workspace.engine), "frozen": _frozen(workspace.engine)}
    body = {"warnings": _rules(workspace), "fonts": workspace.context["fonts"]}
    return _stage(workspace, MATCHES, wanted.MATCHES_WANTED, tasks.match_layers, body, context=context)


def _approved(workspace: Workspace) -> Stage:
    return _stage(
        workspace,
        APPROVED,
        wanted.APPROVED_WANTED,
        tasks.approve_matches,
        {},
        in_process=True,
    )


def _previews(workspace: Workspace) -> Stage:
    body = {"warnings": _rules(workspace), "fonts": workspace.context["fonts"]}
    return _stage(workspace, PREVIEWS, wanted.PREVIEWS_WANTED, tasks.draw_preview, body)


def _validated(workspace: Workspace) -> Stage:
    body = {"warnings": _rules(workspace), "fonts": workspace.context["fonts"]}
    return _stage(
        workspace,
        VALIDATED,
        wanted.VALIDATED_WANTED,
        tasks.validate_job,
        body,
        approvals=list(wanted.APPROVALS),
    )


def _deployments(workspace: Workspace) -> Stage:
    context = {"rows": _rows(workspace.engine, DEPLOYMENTS)}
    body = {"render_root": workspace.context["render_root"]}
    return _stage(workspace, DEPLOYMENTS, wanted.DEPLOYMENTS_WANTED, tasks.deploy, body, context=context)


_STAGES: dict[str, Callable[[Workspace], Stage]] = {
    BATCHES: _batches,
    SOURCES: _sources,
    INGESTED: _ingested,
    MATCHES: _matches,
    APPROVED: _approved,
    PREVIEWS: _previews,
    VALIDATED: _validated,
    DEPLOYMENTS: _deployments,
}


def _rules(workspace: Workspace) -> dict[str, Any]:
    rules = warning_rules(workspace.settings.motion_jobs.warnings)
    return {name: rule.model_dump(mode="json") for name, rule in rules.items()}


def _batch_hashes(engine: Engine) -> dict[str, str]:
    with engine.connect() as connection:
        return dict(connection.execute(text(_BATCH_HASHES)).tuples().all())


def _seen(engine: Engine) -> dict[str, sources.Seen]:
    with engine.connect() as connection:
        return {row.path: sources.Seen(**row._mapping) for row in connection.execute(text(_SEEN))}


def _rows(engine: Engine, asset: str) -> dict[str, dict[str, Any]]:
    """What is due of an asset, with the row of each job."""
    with engine.connect() as connection:
        rows = connection.execute(text(_ROWS), {"asset": asset}).all()
    return {row.job_id: dict(row._mapping) for row in rows}


def _remembered(engine: Engine) -> dict[tuple[str, str], dict[str, str]]:
    """Layer name by slot name, for each template and composition."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    with engine.connect() as connection:
        for row in connection.execute(text(_REMEMBERED)):
            if row.layer is not None:
                found.setdefault((row.aepx_path, row.comp), {})[row.slot] = row.layer
    return found


def _frozen(engine: Engine) -> dict[str, dict[str, str]]:
    """What was remembered when the jobs that are due were first matched: their own approval changes nothing of it."""
    with engine.connect() as connection:
        return dict(connection.execute(text(_FROZEN), {"asset": MATCHES}).tuples().all())


FLOW: Flow[Workspace] = Flow(stage, stage_log.MESSAGES, ("crown", "psd-tools", "py-aep", "pillow"))
recipe_state = FLOW.recipe_state


def make(
    workspace: Workspace,
    asset: str,
    *,
    only: Only | None = None,
    run_id: str | None = None,
    on_progress: Progress | None = None,
    seconds: float | None = None,
) -> StageReport:
    """Plan an asset, make what is due of it, and let statuses and warnings follow.

    Args:
        workspace: the department's workspace.
        asset: one of ASSETS.
        only: the part of what is due that is made, such as a batch.
        run_id: stamped on what is made.
        on_progress: called after each commit.
        seconds: begin nothing new after so long.
    """
    if asset == SOURCES:
        sources.look(workspace)
    if asset == INGESTED:
        queue_more(workspace)
    if asset == DEPLOYMENTS:
        for folder in (workspace.settings.motion / PACKAGES).iterdir():
            clear_unfinished(folder)
    report = flow_make.make(
        FLOW, workspace, [asset], run_id=run_id, on_progress=on_progress, seconds=seconds, only=only
    )
    # What follows is planned at once, so that the ledger says what waits for a person.
    flow_make.plan(FLOW, workspace, ASSETS[ASSETS.index(asset) + 1 :][:1])
    follow(workspace, run_id=run_id)
    return report


def plan(workspace: Workspace) -> dict[str, Plan]:
    """Plan all assets, so that the ledger says what follows from a decision."""
    plans, _ = flow_make.plan(FLOW, workspace, ASSETS)
    return plans


def run(workspace: Workspace, batch: str = "", *, run_id: str | None = None) -> dict[str, StageReport]:
    """Make whatever is due of all assets, in order."""
    only = Only(batch=batch) if batch else None
    return {
        asset: make(workspace, asset, only=only if asset in JOB_ASSETS else None, run_id=run_id)
        for asset in ASSETS
    }


_WARNINGS = """
    with raised as (
        select m.job_id, case m.asset when :matches then 1 else 4 end as stage, w ->> 'type' as warning_type,
               w ->> 'severity' as severity, w ->> 'message' as message, coalesce(w -> 'details', '{}') as details
        from motion.made m cross join jsonb_array_elements(m.facts -> 'warnings') w
        where m.asset = :matches
        union all
        select m.job_id, 4, w ->> 'rule', w ->> 'severity', w ->> 'message', w
        from motion.made m cross join jsonb_array_elements(m.facts -> 'findings') w
        where m.asset = :validated
    ), gone as (
        delete from motion.job_warnings o where not exists (
            select from raised r where (r.job_id, r.stage, r.warning_type, r.message)
                                     = (o.job_id, o.stage, o.warning_type, o.message))
    )
    insert into motion.job_warnings (job_id, stage, warning_type, severity, message, details)
    select distinct on (r.job_id, r.stage, r.warning_type, r.message) r.* from raised r
    where not exists (select from motion.job_warnings o where (o.job_id, o.stage, o.warning_type, o.message)
                                                            = (r.job_id, r.stage, r.warning_type, r.message))
"""


def follow(workspace: Workspace, **who: Any) -> list[statuses.Move]:
    """Let statuses and warnings follow the ledger; see `statuses.follow`."""
    with workspace.engine.begin() as connection:
        connection.execute(text("select pg_advisory_xact_lock(hashtextextended('motion_jobs/warnings', 1))"))
        connection.execute(text(_WARNINGS), {"matches": MATCHES, "validated": VALIDATED})
    return statuses.follow(workspace.engine, **who)
