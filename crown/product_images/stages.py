"""The stages from upload to production: what each wants, and how it is made.

Each stage is planned by one SELECT over the stage before it and worked off by one lane. When and why a stage runs
is not decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import version
from typing import Any

from sqlalchemy import text

from crown.journal.work import WorkerLog, without_secrets
from crown.ledger import lane, planning, recipes
from crown.ledger.lane import Lane, LaneReport
from crown.ledger.planning import Plan
from crown.ledger.recipes import Recipe
from crown.product_images import tasks, telling
from crown.product_images.room import (
    CUTOUTS,
    DEPARTMENT,
    INBOX_PHOTOS,
    MASTERS,
    MEDIA,
    PHOTOS,
    PRODUCTION,
    PUBLISHED,
    RENDITIONS,
    Room,
)
from crown.store import files

Progress = Callable[[LaneReport], None]

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
_CUTOUTS = """
    select p.key, case when r.making_id is null then cast(:cutout as text) else cast(:retouch as text) end as recipe,
           array_remove(array[m.making_id, r.making_id], null) as inputs,
           array_remove(array[coalesce(m.content_hash, p.wanted), r.content_hash], null) as input_hashes,
           case when m.making_id is null then 'product_images/photos' end as waiting_for,
           cast(null as bigint) as decision_id
    from ledger.items p
    left join ledger.makings m on m.making_id = p.making_id and p.state = 'current'
    left join lateral (
        select k.making_id, k.content_hash from product_images.uploads u
        join ledger.items i on i.asset = 'product_images/inbox_photos'
                           and i.key = u.photo || '@retouch@' || u.content_hash and i.state = 'current'
        join ledger.makings k on k.making_id = i.making_id
        where u.kind = 'retouch' and u.photo = p.key and u.of_hash = m.content_hash
        order by u.upload_id desc limit 1) r on true
    where p.asset = 'product_images/photos' and p.state <> 'retired'
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
_PUBLISHED = """
    select regexp_replace(m.path, '^products/([^/]+)/formats/', '\\1/') as key, cast(:publish as text) as recipe,
           array[m.making_id] as inputs, array[m.content_hash] as input_hashes,
           cast(null as text) as waiting_for, m.decision_id
    from ledger.items r join ledger.makings m on m.making_id = r.making_id
    where r.asset = any(cast(:renditions as text[])) and r.state <> 'retired'
"""


@dataclass(frozen=True)
class Stage:
    """An asset's SELECT of what is wanted, its recipes, and the lane that makes it."""

    asset: str
    wanted: str
    recipes: tuple[Recipe, ...]
    parameters: dict[str, Any]
    lane: Lane


@dataclass
class StageReport:
    """What a stage did in one run."""

    plans: dict[str, Plan] = field(default_factory=dict)
    lane: LaneReport = field(default_factory=LaneReport)
    #: Files of ours that are no longer wanted, removed.
    removed: list[str] = field(default_factory=list)
    #: Files that are no longer wanted but were changed by someone else, kept.
    kept: list[str] = field(default_factory=list)


def stage(room: Room, asset: str) -> Stage:
    """The stage that makes an asset."""
    return _STAGES[asset](room) if asset in _STAGES else _rendition_stage(room, asset)


def plan(room: Room, assets: Sequence[str]) -> dict[str, Plan]:
    """Plan the assets, in the given order."""
    plans = {}
    for asset in assets:
        one = stage(room, asset)
        with room.engine.begin() as connection:
            recipes.register(connection, one.recipes)
            plans[asset] = planning.plan(connection, asset, one.wanted, one.parameters)
    return plans


def make(
    room: Room, assets: Sequence[str], *, run_id: str | None = None, on_progress: Progress | None = None
) -> StageReport:
    """Plan and make assets that share a lane, then remove what is no longer wanted of them.

    Raises:
        SystemicFailure: the disk or the database failed; what was done is entered.
    """
    report = StageReport(plan(room, assets))
    first = stage(room, assets[0]).lane
    around = WorkerLog(without_secrets(room.settings), DEPARTMENT, run_id, telling.product_number)
    whole = replace(first, assets=tuple(assets), around=around)
    teller = telling.Teller(room, run_id, on_progress)
    try:
        report.lane = lane.run(
            room.engine, whole, room.limits, run_id=run_id, versions=versions(), on_progress=teller
        )
    finally:
        teller.finish()
    _sweep(room, assets, report)
    return report


@cache
def versions() -> dict[str, str]:
    """Versions of the libraries that shape a result; recorded with it, not part of its fingerprint."""
    return {name: version(name) for name in ("crown", "pyvips", "pyvips-binary", "numpy", "rembg")}


def _uploads(room: Room) -> Stage:
    original = Recipe(INBOX_PHOTOS, "original", {"version": 1})
    retouch = Recipe(INBOX_PHOTOS, "retouch", {"version": 1})
    parameters = {"original": original.hash, "retouch": retouch.hash}
    lane = Lane((INBOX_PHOTOS,), tasks.keep_upload, room.context, in_process=True)
    return Stage(INBOX_PHOTOS, _UPLOADS, (original, retouch), parameters, lane)


def _photos(room: Room) -> Stage:
    newest = Recipe(PHOTOS, "newest upload", {"version": 1})
    lane = Lane((PHOTOS,), tasks.keep_photo, room.context, in_process=True)
    return Stage(PHOTOS, _PHOTOS, (newest,), {"newest": newest.hash}, lane)


def _cutouts(room: Room) -> Stage:
    from crown.product_images.cutout import cutout_recipe

    settings = room.settings
    cutout = Recipe(CUTOUTS, "cut-out", cutout_recipe(settings.cutout_model, settings.weights_dir))
    retouch = Recipe(CUTOUTS, "retouch", {"version": 1})
    lane = Lane((CUTOUTS,), tasks.cut_out, room.context, room.place)
    return Stage(CUTOUTS, _CUTOUTS, (cutout, retouch), {"cutout": cutout.hash, "retouch": retouch.hash}, lane)


def _masters(room: Room) -> Stage:
    copy = Recipe(MASTERS, "approved bytes", {"version": 1})
    lane = Lane((MASTERS,), tasks.copy_master, room.context, room.place, in_process=True)
    return Stage(MASTERS, _MASTERS, (copy,), {"copy": copy.hash}, lane)


def _rendition_stage(room: Room, asset: str) -> Stage:
    family = asset.rsplit("/", 1)[1]
    specs = [spec for spec in room.specs.values() if spec.category == family]
    made = tuple(Recipe(asset, spec.name, spec.recipe()) for spec in specs)
    parameters = {"names": [spec.name for spec in specs], "recipes": [recipe.hash for recipe in made]}
    lane = Lane(
        (asset,), tasks.render_photo, room.context, room.place, group=lambda job: job.inputs[0].making_id
    )
    return Stage(asset, _RENDITIONS, made, parameters, lane)


def _published(room: Room) -> Stage:
    publish = Recipe(PUBLISHED, "copy", {"version": 1})
    parameters = {"publish": publish.hash, "renditions": list(RENDITIONS.values())}
    lane = Lane((PUBLISHED,), tasks.copy_to_production, room.context, room.place, in_process=True)
    return Stage(PUBLISHED, _PUBLISHED, (publish,), parameters, lane)


_STAGES: dict[str, Callable[[Room], Stage]] = {
    INBOX_PHOTOS: _uploads,
    PHOTOS: _photos,
    CUTOUTS: _cutouts,
    MASTERS: _masters,
    PUBLISHED: _published,
}

_UNWANTED = """
    select m.root, m.path, f.content_hash, f.intended
    from ledger.makings m join ledger.files f on (f.root, f.path, f.making_id) = (m.root, m.path, m.making_id)
    where m.asset = any(:assets) and m.present and m.root = any(:roots)
      and not exists (select from ledger.items i where i.making_id = m.making_id and i.state <> 'retired')
"""


def _sweep(room: Room, assets: Sequence[str], report: StageReport) -> None:
    """Remove files that we wrote and no item stands for any more; changed ones are a person's and stay."""
    with room.engine.connect() as connection:
        unwanted = connection.execute(
            text(_UNWANTED), {"assets": list(assets), "roots": [MEDIA, PRODUCTION]}
        ).all()
    for row in unwanted:
        path = room.roots.path(row.root, row.path)
        ours = frozenset({row.content_hash, row.intended} - {None})
        if files.remove_ours(path, ours):
            report.removed.append(row.path)
            telling.told_of_removal(row.path, kept=False)
            files.prune_empty(path.parent, room.roots[row.root])
        elif path.exists():
            report.kept.append(row.path)
            telling.told_of_removal(row.path, kept=True)
        with room.engine.begin() as connection:
            connection.execute(
                text("update ledger.makings set present = false where root = :root and path = :path"),
                {"root": row.root, "path": row.path},
            )
            connection.execute(
                text("delete from ledger.files where root = :root and path = :path"),
                {"root": row.root, "path": row.path},
            )
