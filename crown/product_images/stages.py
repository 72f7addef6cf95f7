"""The stages from upload to production: what each wants, and how it is made.

Each stage is planned by one SELECT over the stage before it and worked off by one worker pool. When and why a stage runs
is not decided here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from importlib.metadata import version
from typing import Any

from sqlalchemy import Connection, Row, text

from crown.flow import worker_pool
from crown.flow.worker_log import WorkerLog, without_secrets
from crown.flow.worker_pool import PoolReport, Progress, WorkerPool
from crown.ledger import counts, planning, recipes
from crown.ledger.claims import Job
from crown.ledger.locks import in_transaction, lock_assets
from crown.ledger.planning import Plan
from crown.ledger.recipes import Recipe
from crown.product_images import stage_log, tasks
from crown.product_images.cutout import models as cutout_models
from crown.product_images.publishing import removals, texts
from crown.product_images.publishing import wanted as publishing
from crown.product_images.publishing.removals import Held
from crown.product_images.workspace import (
    ASSETS,
    COMPLIANCE,
    CUTOUTS,
    DEPARTMENT,
    INBOX_PHOTOS,
    MASTERS,
    MEDIA,
    PHOTOS,
    PUBLISHED,
    TEXTS,
    Workspace,
)
from crown.store import files

_PHOTOS_AT_ONCE = 8
"""Photos whose renditions a process claims at once."""
_MANY = 5_000
"""So many changed items make the statistics of the ledger old."""
_REMOVED_AT_ONCE = 200

_UPLOADS = """
    select distinct photo || '@' || case kind when 'retouch' then 'retouch@' else '' end || content_hash as key,
           case kind when 'original' then cast(:original as text) else cast(:retouch as text) end as recipe,
           cast('{}' as bigint[]) as inputs, array[content_hash] as input_hashes,
           cast(null as text) as waiting_for, cast(null as bigint) as decision_id
    from product_images.uploads
"""
_PHOTOS = """
    select u.photo as key, cast(:newest as text) as recipe, array_remove(array[m.output_id], null) as inputs,
           array[u.content_hash] as input_hashes,
           case when m.output_id is null then 'product_images/inbox_photos' end as waiting_for,
           cast(null as bigint) as decision_id
    from (select distinct on (photo) photo, product_number, content_hash from product_images.uploads
          where kind = 'original' order by photo, upload_id desc) u
    left join ledger.items i on i.asset = 'product_images/inbox_photos'
                            and i.key = u.photo || '@' || u.content_hash and i.state = 'current'
    left join ledger.outputs m on m.output_id = i.output_id
    where not exists (select from product_images.retired_products r where r.product_number = u.product_number)
"""
_MASTERS = """
    select c.key, cast(:copy as text) as recipe, array_remove(array[m.output_id], null) as inputs,
           array[coalesce(m.content_hash, c.wanted)] as input_hashes,
           case when m.output_id is null then 'product_images/cutouts'
                when v.verdict = 'reject' then 'another cut-out (rejected)'
                when v.verdict is distinct from 'approve' then 'approval' end as waiting_for,
           case when c.state = 'held' then 'hold' when m.output_id is null or v.verdict = 'reject' then 'upstream'
                else 'gate' end as waiting_kind,
           v.decision_id
    from ledger.items c
    left join ledger.outputs m on m.output_id = c.output_id and c.state = 'current'
    left join ledger.verdicts v on v.stage = 'product_images/cutouts' and v.subject = c.key
                               and v.content_hash = m.content_hash
    where c.asset = 'product_images/cutouts' and c.state <> 'retired'
"""
# A master stays in force while the approval of its own bytes stands, even when a newer one is being made.
_RENDITIONS = """
    select k.key || '/' || s.name as key, s.recipe, array[m.output_id] as inputs,
           array[m.content_hash] as input_hashes, cast(null as text) as waiting_for, v.decision_id
    from ledger.items k
    join ledger.outputs m on m.output_id = k.output_id
    join ledger.verdicts v on v.stage = 'product_images/cutouts' and v.subject = k.key
                          and v.content_hash = m.content_hash and v.verdict = 'approve'
    cross join unnest(cast(:names as text[]), cast(:recipes as text[])) as s(name, recipe)
    where k.asset = 'product_images/masters' and k.state <> 'retired'
"""


@dataclass(frozen=True)
class Stage:
    """An asset's SELECT of what is wanted, its recipes, and the worker pool that makes it.

    Of an item with inputs, `wanted` hashes nothing but what these outputs hold (`planning.plan`, inputs_decide).
    """

    asset: str
    wanted: str
    recipes: tuple[Recipe, ...]
    parameters: dict[str, Any]
    pool: WorkerPool
    #: Hashes of recipes whose result is the bytes of the last input.
    copying: frozenset[str] = frozenset()
    #: See `planning.plan`.
    looked_up: str | None = None


@dataclass
class StageReport:
    """What a stage did in one run."""

    plans: dict[str, Plan] = field(default_factory=dict)
    pool: PoolReport = field(default_factory=PoolReport)
    #: How many files of ours that are no longer wanted were removed.
    removed: int = 0
    #: Files that are no longer wanted but were changed by someone else, kept.
    kept: list[str] = field(default_factory=list)
    #: Removals that wait for a person's confirmation.
    held: list[Held] = field(default_factory=list)


def stage(workspace: Workspace, asset: str, supposed: Connection | None = None) -> Stage:
    """The stage that makes an asset; with `supposed`, after what was chosen in this transaction."""
    if asset == CUTOUTS:
        return _cutouts(workspace, supposed)
    return _STAGES[asset](workspace) if asset in _STAGES else _rendition_stage(workspace, asset)


def plan(workspace: Workspace, assets: Sequence[str]) -> tuple[dict[str, Plan], list[Held]]:
    """Plan the assets, in the given order; returns the plans and the removals that are held."""
    plans: dict[str, Plan] = {}
    held: list[Held] = []
    for asset in assets:
        plan_one = partial(plan_stage, workspace=workspace, one=stage(workspace, asset))
        plans[asset], waiting = in_transaction(workspace.engine, plan_one)
        held += waiting
        if plans[asset].changed > _MANY:
            planning.analyze(workspace.engine)
    return plans, held


def plan_stage(connection: Connection, workspace: Workspace, one: Stage) -> tuple[Plan, list[Held]]:
    """Plan one stage in the caller's transaction."""
    recipes.register(connection, one.recipes)
    if one.asset == PUBLISHED:
        return removals.plan(
            connection, one.wanted, one.parameters, one.looked_up, workspace.absent_targets()
        )
    planned = planning.plan(
        connection, one.asset, one.wanted, one.parameters, inputs_decide=True, looked_up=one.looked_up
    )
    return planned, []


def recipe_state(workspace: Workspace) -> str:
    """Changes when a recipe, a selection of specs or a target changed: a reason for a run."""
    stages = [stage(workspace, asset) for asset in ASSETS]
    told = [(one.asset, [recipe.hash for recipe in one.recipes], one.parameters) for one in stages]
    return hashlib.sha256(recipes.canonical(told)).hexdigest()


def make(
    workspace: Workspace,
    assets: Sequence[str],
    *,
    run_id: str | None = None,
    on_progress: Progress | None = None,
    seconds: float | None = None,
    copies_only: bool = False,
) -> StageReport:
    """Plan and make assets that share a worker pool, then remove what is no longer wanted of them.

    Args:
        workspace: the department's workspace.
        assets: what to make.
        run_id: stamped on what is made.
        on_progress: called after each commit.
        seconds: begin nothing new after so long; None makes everything that is due.
        copies_only: make only what is a copy of its input, such as a person's retouch.

    Raises:
        SystemicFailure: the disk or the database failed; what was done is entered.
    """
    plans, held = plan(workspace, assets)
    report = StageReport(plans, held=held)
    chosen = [stage(workspace, asset) for asset in assets]
    keys = _copies(workspace, chosen) if copies_only else None
    worker_context = WorkerLog(
        without_secrets(workspace.settings), DEPARTMENT, run_id, stage_log.product_number
    )
    if keys is None or keys:
        report.pool = worker_pool.run(
            workspace.engine,
            replace(chosen[0].pool, assets=tuple(assets), worker_context=worker_context),
            replace(workspace.limits, run_seconds=seconds),
            run_id=run_id,
            versions=versions(),
            on_progress=stage_log.StageLog(workspace, run_id, on_progress),
            keys=keys,
        )
    _remove_unwanted(workspace, assets, report)
    return report


def _copies(workspace: Workspace, chosen: Sequence[Stage]) -> list[str]:
    with workspace.engine.connect() as connection:
        return [key for one in chosen for key in counts.due_by_recipe(connection, one.asset, one.copying)]


@cache
def versions() -> dict[str, str]:
    """Versions of the libraries that shape a result; recorded with it, not part of its fingerprint."""
    return {name: version(name) for name in ("crown", "pyvips", "pyvips-binary", "numpy", "rembg")}


def _uploads(workspace: Workspace) -> Stage:
    original = Recipe(INBOX_PHOTOS, "original", {"version": 1})
    retouch = Recipe(INBOX_PHOTOS, "retouch", {"version": 1})
    parameters = {"original": original.hash, "retouch": retouch.hash}
    pool = WorkerPool((INBOX_PHOTOS,), tasks.keep_upload, workspace.context, in_process=True)
    return Stage(
        INBOX_PHOTOS, _UPLOADS, (original, retouch), parameters, pool, frozenset(parameters.values())
    )


def _photos(workspace: Workspace) -> Stage:
    newest = Recipe(PHOTOS, "newest upload", {"version": 1})
    pool = WorkerPool((PHOTOS,), tasks.keep_photo, workspace.context, in_process=True)
    return Stage(PHOTOS, _PHOTOS, (newest,), {"newest": newest.hash}, pool, frozenset({newest.hash}))


def _cutouts(workspace: Workspace, supposed: Connection | None) -> Stage:
    wanted, made, parameters = cutout_models.wanted_cutouts(workspace, supposed)
    pool = WorkerPool((CUTOUTS,), tasks.cut_out, workspace.context, workspace.place)
    copying = frozenset(recipe.hash for recipe in made if recipe.name == "retouch")
    return Stage(CUTOUTS, wanted, made, parameters, pool, copying)


def _masters(workspace: Workspace) -> Stage:
    copy = Recipe(MASTERS, "approved bytes", {"version": 1})
    pool = WorkerPool((MASTERS,), tasks.copy_master, workspace.context, workspace.place, in_process=True)
    return Stage(MASTERS, _MASTERS, (copy,), {"copy": copy.hash}, pool, frozenset({copy.hash}))


def _rendition_stage(workspace: Workspace, asset: str) -> Stage:
    family = asset.rsplit("/", 1)[1]
    specs = [spec for spec in workspace.specs.values() if spec.category == family]
    made = tuple(Recipe(asset, spec.name, spec.recipe()) for spec in specs)
    parameters = {"names": [spec.name for spec in specs], "recipes": [recipe.hash for recipe in made]}
    pool = WorkerPool(
        (asset,),
        tasks.render_photo,
        workspace.context,
        workspace.place,
        group=lambda job: job.inputs[0].output_id,
        per_worker=_PHOTOS_AT_ONCE * len(workspace.specs),  # the families are made together
    )
    return Stage(asset, _RENDITIONS, made, parameters, pool)


def _texts(workspace: Workspace) -> Stage:
    wanted, made, parameters, _ = publishing.wanted_texts(workspace)
    context = {
        "standing": partial(texts.standing, workspace.engine, made[0].hash),
        "usual": texts.usual(workspace),
    }
    pool = WorkerPool((TEXTS,), tasks.keep_texts, context, group=lambda job: job.asset, in_process=True)
    return Stage(TEXTS, wanted, made, parameters, pool)


def _judgements(workspace: Workspace) -> Stage:
    wanted, made, parameters, looked_up = publishing.wanted_judgements(workspace)
    pool = WorkerPool((COMPLIANCE,), tasks.judge_rendition, workspace.context, per_worker=64)
    return Stage(COMPLIANCE, wanted, made, parameters, pool, looked_up=looked_up)


def _published(workspace: Workspace) -> Stage:
    wanted, made, parameters, looked_up = publishing.wanted_files(workspace)
    pool = WorkerPool(
        (PUBLISHED,),
        tasks.publish,
        workspace.context,
        workspace.place,
        group=_product_published,
        in_process=True,
    )
    return Stage(PUBLISHED, wanted, made, parameters, pool, looked_up=looked_up)


def _product_published(job: Job) -> str:
    """The target and product of a published file: entered together, they are one row of the trail."""
    return job.key.partition("/")[0]


_STAGES: dict[str, Callable[[Workspace], Stage]] = {
    INBOX_PHOTOS: _uploads,
    PHOTOS: _photos,
    MASTERS: _masters,
    TEXTS: _texts,
    COMPLIANCE: _judgements,
    PUBLISHED: _published,
}

_UNWANTED = """
    select {columns}
    from ledger.outputs m join ledger.files f on (f.root, f.path, f.output_id) = (m.root, m.path, m.output_id)
    where m.asset = any(:assets) and m.root = any(:roots)
      and not exists (select from ledger.items i where i.output_id = m.output_id and i.state <> 'retired')
"""
_FILE = "m.output_id, m.root, m.path, f.content_hash, f.intended"
_REMOVED = """
    with given as (select * from unnest(cast(:ids as bigint[])) as output_id),
    gone as (delete from ledger.files f using given g where f.output_id = g.output_id)
    update ledger.outputs m set present = false from given g where m.output_id = g.output_id
"""


def _remove_unwanted(workspace: Workspace, assets: Sequence[str], report: StageReport) -> None:
    """Remove files that we wrote and no item stands for any more; changed ones are a person's and stay.

    A folder that is gone or empty is not looked into: its files count as standing until it is back.
    """
    there = [MEDIA, *(target for target in workspace.targets if target not in workspace.absent_targets())]
    bound: dict[str, Any] = {"assets": list(assets), "roots": there}
    with workspace.engine.connect() as connection:
        unwanted = list(connection.execute(text(_UNWANTED.format(columns="m.output_id")), bound).scalars())
    still = text(_UNWANTED.format(columns=_FILE) + " and m.output_id = any(:ids)")
    for first in range(0, len(unwanted), _REMOVED_AT_ONCE):
        some = unwanted[first : first + _REMOVED_AT_ONCE]

        def remove_some(connection: Connection, some: Sequence[int] = some) -> None:
            lock_assets(connection, assets)  # no worker gives a file one of these names meanwhile
            rows = connection.execute(still, {**bound, "ids": list(some)}).all()
            for row in rows:
                _remove(workspace, row, report)
            connection.execute(text(_REMOVED), {"ids": [row.output_id for row in rows]})

        in_transaction(workspace.engine, remove_some)


def _remove(workspace: Workspace, row: Row[Any], report: StageReport) -> None:
    path = workspace.roots.path(row.root, row.path)
    if files.remove_ours(path, frozenset({row.content_hash, row.intended} - {None})):
        report.removed += 1
        stage_log.log_removal(row.path, kept=False)
        files.prune_empty(path.parent, workspace.roots[row.root])
    elif path.exists():
        report.kept.append(row.path)
        stage_log.log_removal(row.path, kept=True)
