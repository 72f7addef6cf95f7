"""The stages from upload to production: what each wants, and how it is made.

Each stage is planned by one SELECT over the stage before it and worked off by one lane. When and why a stage runs
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

from crown.journal.work import WorkerLog, without_secrets
from crown.ledger import counts, lane, planning, recipes
from crown.ledger.claims import Job
from crown.ledger.lane import Lane, LaneReport, Progress
from crown.ledger.locks import in_transaction, lock_assets
from crown.ledger.planning import Plan
from crown.ledger.recipes import Recipe
from crown.product_images import cutout_models, publishing, removals, tasks, telling, texts
from crown.product_images.removals import Held
from crown.product_images.room import (
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
    Room,
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
    select u.photo as key, cast(:newest as text) as recipe, array_remove(array[m.making_id], null) as inputs,
           array[u.content_hash] as input_hashes,
           case when m.making_id is null then 'product_images/inbox_photos' end as waiting_for,
           cast(null as bigint) as decision_id
    from (select distinct on (photo) photo, product_number, content_hash from product_images.uploads
          where kind = 'original' order by photo, upload_id desc) u
    left join ledger.items i on i.asset = 'product_images/inbox_photos'
                            and i.key = u.photo || '@' || u.content_hash and i.state = 'current'
    left join ledger.makings m on m.making_id = i.making_id
    where not exists (select from product_images.retired_products r where r.product_number = u.product_number)
"""
_MASTERS = """
    select c.key, cast(:copy as text) as recipe, array_remove(array[m.making_id], null) as inputs,
           array[coalesce(m.content_hash, c.wanted)] as input_hashes,
           case when m.making_id is null then 'product_images/cutouts'
                when v.verdict = 'reject' then 'another cut-out (rejected)'
                when v.verdict is null then 'approval' end as waiting_for,
           v.decision_id
    from ledger.items c
    left join ledger.makings m on m.making_id = c.making_id and c.state = 'current'
    left join ledger.verdicts v on v.stage = 'product_images/cutouts' and v.subject = c.key
                               and v.content_hash = m.content_hash
    where c.asset = 'product_images/cutouts' and c.state <> 'retired'
"""
# A master stays in force while the approval of its own bytes stands, even when a newer one is being made.
_RENDITIONS = """
    select k.key || '/' || s.name as key, s.recipe, array[m.making_id] as inputs,
           array[m.content_hash] as input_hashes, cast(null as text) as waiting_for, v.decision_id
    from ledger.items k
    join ledger.makings m on m.making_id = k.making_id
    join ledger.verdicts v on v.stage = 'product_images/cutouts' and v.subject = k.key
                          and v.content_hash = m.content_hash and v.verdict = 'approve'
    cross join unnest(cast(:names as text[]), cast(:recipes as text[])) as s(name, recipe)
    where k.asset = 'product_images/masters' and k.state <> 'retired'
"""


@dataclass(frozen=True)
class Stage:
    """An asset's SELECT of what is wanted, its recipes, and the lane that makes it.

    Of an item with inputs, `wanted` hashes nothing but what these makings hold (`planning.plan`, inputs_decide).
    """

    asset: str
    wanted: str
    recipes: tuple[Recipe, ...]
    parameters: dict[str, Any]
    lane: Lane
    #: Hashes of recipes whose result is the bytes of the last input.
    copying: frozenset[str] = frozenset()
    #: See `planning.plan`.
    looked_up: str | None = None


@dataclass
class StageReport:
    """What a stage did in one run."""

    plans: dict[str, Plan] = field(default_factory=dict)
    lane: LaneReport = field(default_factory=LaneReport)
    #: How many files of ours that are no longer wanted were removed.
    removed: int = 0
    #: Files that are no longer wanted but were changed by someone else, kept.
    kept: list[str] = field(default_factory=list)
    #: Removals that wait for a person's confirmation.
    held: list[Held] = field(default_factory=list)


def stage(room: Room, asset: str, supposed: Connection | None = None) -> Stage:
    """The stage that makes an asset; with `supposed`, after what was chosen in this transaction."""
    if asset == CUTOUTS:
        return _cutouts(room, supposed)
    return _STAGES[asset](room) if asset in _STAGES else _rendition_stage(room, asset)


def plan(room: Room, assets: Sequence[str]) -> tuple[dict[str, Plan], list[Held]]:
    """Plan the assets, in the given order; returns the plans and the removals that are held."""
    plans: dict[str, Plan] = {}
    held: list[Held] = []
    for asset in assets:
        plan_one = partial(plan_stage, room=room, one=stage(room, asset))
        plans[asset], waiting = in_transaction(room.engine, plan_one)
        held += waiting
        if plans[asset].changed > _MANY:
            planning.analyze(room.engine)
    return plans, held


def plan_stage(connection: Connection, room: Room, one: Stage) -> tuple[Plan, list[Held]]:
    """Plan one stage in the caller's transaction."""
    recipes.register(connection, one.recipes)
    if one.asset == PUBLISHED:
        return removals.plan(connection, one.wanted, one.parameters, one.looked_up, room.absent_targets())
    planned = planning.plan(
        connection, one.asset, one.wanted, one.parameters, inputs_decide=True, looked_up=one.looked_up
    )
    return planned, []


def recipe_state(room: Room) -> str:
    """Changes when a recipe, a selection of specs or a target changed: a reason for a run."""
    stages = [stage(room, asset) for asset in ASSETS]
    told = [(one.asset, [recipe.hash for recipe in one.recipes], one.parameters) for one in stages]
    return hashlib.sha256(recipes.canonical(told)).hexdigest()


def make(
    room: Room,
    assets: Sequence[str],
    *,
    run_id: str | None = None,
    on_progress: Progress | None = None,
    seconds: float | None = None,
    copies_only: bool = False,
) -> StageReport:
    """Plan and make assets that share a lane, then remove what is no longer wanted of them.

    Args:
        room: the department's room.
        assets: what to make.
        run_id: stamped on what is made.
        on_progress: called after each commit.
        seconds: begin nothing new after so long; None makes everything that is due.
        copies_only: make only what is a copy of its input, such as a person's retouch.

    Raises:
        SystemicFailure: the disk or the database failed; what was done is entered.
    """
    plans, held = plan(room, assets)
    report = StageReport(plans, held=held)
    chosen = [stage(room, asset) for asset in assets]
    keys = _copies(room, chosen) if copies_only else None
    around = WorkerLog(without_secrets(room.settings), DEPARTMENT, run_id, telling.product_number)
    if keys is None or keys:
        report.lane = lane.run(
            room.engine,
            replace(chosen[0].lane, assets=tuple(assets), around=around),
            replace(room.limits, run_seconds=seconds),
            run_id=run_id,
            versions=versions(),
            on_progress=telling.Teller(room, run_id, on_progress),
            keys=keys,
        )
    _sweep(room, assets, report)
    return report


def _copies(room: Room, chosen: Sequence[Stage]) -> list[str]:
    with room.engine.connect() as connection:
        return [key for one in chosen for key in counts.due_by_recipe(connection, one.asset, one.copying)]


@cache
def versions() -> dict[str, str]:
    """Versions of the libraries that shape a result; recorded with it, not part of its fingerprint."""
    return {name: version(name) for name in ("crown", "pyvips", "pyvips-binary", "numpy", "rembg")}


def _uploads(room: Room) -> Stage:
    original = Recipe(INBOX_PHOTOS, "original", {"version": 1})
    retouch = Recipe(INBOX_PHOTOS, "retouch", {"version": 1})
    parameters = {"original": original.hash, "retouch": retouch.hash}
    lane = Lane((INBOX_PHOTOS,), tasks.keep_upload, room.context, in_process=True)
    return Stage(
        INBOX_PHOTOS, _UPLOADS, (original, retouch), parameters, lane, frozenset(parameters.values())
    )


def _photos(room: Room) -> Stage:
    newest = Recipe(PHOTOS, "newest upload", {"version": 1})
    lane = Lane((PHOTOS,), tasks.keep_photo, room.context, in_process=True)
    return Stage(PHOTOS, _PHOTOS, (newest,), {"newest": newest.hash}, lane, frozenset({newest.hash}))


def _cutouts(room: Room, supposed: Connection | None) -> Stage:
    wanted, made, parameters = cutout_models.wanted_cutouts(room, supposed)
    lane = Lane((CUTOUTS,), tasks.cut_out, room.context, room.place)
    copying = frozenset(recipe.hash for recipe in made if recipe.name == "retouch")
    return Stage(CUTOUTS, wanted, made, parameters, lane, copying)


def _masters(room: Room) -> Stage:
    copy = Recipe(MASTERS, "approved bytes", {"version": 1})
    lane = Lane((MASTERS,), tasks.copy_master, room.context, room.place, in_process=True)
    return Stage(MASTERS, _MASTERS, (copy,), {"copy": copy.hash}, lane, frozenset({copy.hash}))


def _rendition_stage(room: Room, asset: str) -> Stage:
    family = asset.rsplit("/", 1)[1]
    specs = [spec for spec in room.specs.values() if spec.category == family]
    made = tuple(Recipe(asset, spec.name, spec.recipe()) for spec in specs)
    parameters = {"names": [spec.name for spec in specs], "recipes": [recipe.hash for recipe in made]}
    lane = Lane(
        (asset,),
        tasks.render_photo,
        room.context,
        room.place,
        group=lambda job: job.inputs[0].making_id,
        per_worker=_PHOTOS_AT_ONCE * len(room.specs),  # the families are made together
    )
    return Stage(asset, _RENDITIONS, made, parameters, lane)


def _texts(room: Room) -> Stage:
    wanted, made, parameters, _ = publishing.wanted_texts(room)
    context = {
        "standing": partial(texts.standing, room.engine, made[0].hash),
        "usual": texts.usual(room),
    }
    lane = Lane((TEXTS,), tasks.keep_texts, context, group=lambda job: job.asset, in_process=True)
    return Stage(TEXTS, wanted, made, parameters, lane)


def _judgements(room: Room) -> Stage:
    wanted, made, parameters, looked_up = publishing.wanted_judgements(room)
    lane = Lane((COMPLIANCE,), tasks.judge_rendition, room.context, per_worker=64)
    return Stage(COMPLIANCE, wanted, made, parameters, lane, looked_up=looked_up)


def _published(room: Room) -> Stage:
    wanted, made, parameters, looked_up = publishing.wanted_files(room)
    lane = Lane(
        (PUBLISHED,), tasks.publish, room.context, room.place, group=_product_published, in_process=True
    )
    return Stage(PUBLISHED, wanted, made, parameters, lane, looked_up=looked_up)


def _product_published(job: Job) -> str:
    """The target and product of a published file: entered together, they are one row of the trail."""
    return job.key.partition("/")[0]


_STAGES: dict[str, Callable[[Room], Stage]] = {
    INBOX_PHOTOS: _uploads,
    PHOTOS: _photos,
    MASTERS: _masters,
    TEXTS: _texts,
    COMPLIANCE: _judgements,
    PUBLISHED: _published,
}

_UNWANTED = """
    select {columns}
    from ledger.makings m join ledger.files f on (f.root, f.path, f.making_id) = (m.root, m.path, m.making_id)
    where m.asset = any(:assets) and m.root = any(:roots)
      and not exists (select from ledger.items i where i.making_id = m.making_id and i.state <> 'retired')
"""
_FILE = "m.making_id, m.root, m.path, f.content_hash, f.intended"
_REMOVED = """
    with given as (select * from unnest(cast(:ids as bigint[])) as making_id),
    gone as (delete from ledger.files f using given g where f.making_id = g.making_id)
    update ledger.makings m set present = false from given g where m.making_id = g.making_id
"""


def _sweep(room: Room, assets: Sequence[str], report: StageReport) -> None:
    """Remove files that we wrote and no item stands for any more; changed ones are a person's and stay.

    A folder that is gone or empty is not looked into: its files count as standing until it is back.
    """
    there = [MEDIA, *(target for target in room.targets if target not in room.absent_targets())]
    bound: dict[str, Any] = {"assets": list(assets), "roots": there}
    with room.engine.connect() as connection:
        unwanted = list(connection.execute(text(_UNWANTED.format(columns="m.making_id")), bound).scalars())
    still = text(_UNWANTED.format(columns=_FILE) + " and m.making_id = any(:ids)")
    for first in range(0, len(unwanted), _REMOVED_AT_ONCE):
        some = unwanted[first : first + _REMOVED_AT_ONCE]

        def remove_some(connection: Connection, some: Sequence[int] = some) -> None:
            lock_assets(connection, assets)  # no worker gives a file one of these names meanwhile
            rows = connection.execute(still, {**bound, "ids": list(some)}).all()
            for row in rows:
                _remove(room, row, report)
            connection.execute(text(_REMOVED), {"ids": [row.making_id for row in rows]})

        in_transaction(room.engine, remove_some)


def _remove(room: Room, row: Row[Any], report: StageReport) -> None:
    path = room.roots.path(row.root, row.path)
    if files.remove_ours(path, frozenset({row.content_hash, row.intended} - {None})):
        report.removed += 1
        telling.told_of_removal(row.path, kept=False)
        files.prune_empty(path.parent, room.roots[row.root])
    elif path.exists():
        report.kept.append(row.path)
        telling.told_of_removal(row.path, kept=True)
