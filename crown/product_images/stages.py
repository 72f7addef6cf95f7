"""The stages from upload to production: what each wants, and how it is made.

Each stage is planned by one SELECT over the stage before it and worked off by one worker pool. When and why a stage runs
is not decided here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from sqlalchemy import Connection

from crown.flow import make as flow_make
from crown.flow.stage import Flow, Stage
from crown.flow.worker_pool import WorkerPool
from crown.ledger.claims import Job
from crown.ledger.recipes import Recipe
from crown.product_images import stage_log, tasks
from crown.product_images.cutout import models as cutout_models
from crown.product_images.publishing import removals, texts
from crown.product_images.publishing import wanted as publishing
from crown.product_images.workspace import (
    COMPLIANCE,
    CUTOUTS,
    INBOX_PHOTOS,
    MASTERS,
    PHOTOS,
    PUBLISHED,
    TEXTS,
    Workspace,
)

_PHOTOS_AT_ONCE = 8
"""Photos whose renditions a process claims at once."""

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
    left join lateral (  -- limited, so that it is looked up by key: the planner knows no statistics of this key
        select m.output_id from ledger.items i join ledger.outputs m using (output_id)
        where i.asset = 'product_images/inbox_photos' and i.key = u.photo || '@' || u.content_hash
          and i.state = 'current' limit 1) m on true
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
# A master stays in force while the approval of its own bytes is in force, even when a newer one is being made.
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


def stage(workspace: Workspace, asset: str, supposed: Connection | None = None) -> Stage:
    """The stage that makes an asset; with `supposed`, after what was chosen in this transaction."""
    if asset == CUTOUTS:
        return _cutouts(workspace, supposed)
    return _STAGES[asset](workspace) if asset in _STAGES else _rendition_stage(workspace, asset)


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

    rules = replace(removals.RULES, absent=frozenset(workspace.absent_roots()))
    return Stage(PUBLISHED, wanted, made, parameters, pool, looked_up=looked_up, removals=rules)


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

FLOW: Flow[Workspace] = Flow(
    stage, stage_log.MESSAGES, ("crown", "pyvips", "pyvips-binary", "numpy", "rembg")
)
plan = partial(flow_make.plan, FLOW)
make = partial(flow_make.make, FLOW)
recipe_state = FLOW.recipe_state
