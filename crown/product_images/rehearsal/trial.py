"""Rehearsals: a cut-out model tried on chosen photos, and compared with the cut-outs of today.

Nothing of the ledger, the share or the review is touched: the bytes go to the store of originals, what was measured to
tables of its own. What was cut out once by the same recipe of the same photo is not cut out again, so a rehearsal that
was killed costs only what was still missing when it is started anew. Promotion is in
`promotion.py`, how the bytes are removed when they are old in `rehearsal_removal.py`.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from crown.errors import BadInput, ConfigurationError
from crown.flow import worker_processes
from crown.flow.make import worker_log
from crown.flow.patterns import condition
from crown.flow.task import verified
from crown.flow.worker_pool import WorkerPool
from crown.ledger.claims import Failed, Input, Job, Made
from crown.ledger.recipes import Recipe
from crown.product_images import stages, tasks
from crown.product_images.cutout import models as cutout_models
from crown.product_images.cutout.mask_difference import SAME, between
from crown.product_images.names import matches, patterns_of
from crown.product_images.rehearsal.records import (
    MEASURES,
    Rehearsal,
    Result,
    begin,
    end,
    forget,
    read,
    remember,
)
from crown.product_images.workspace import (
    CUTOUTS,
    DEPARTMENT,
    OBJECTS,
    PHOTOS,
    Workspace,
)
from crown.store import store_lock
from crown.store.objects import Objects

#: Of what the rehearsal's jobs are, in logs; no asset of the ledger.
REHEARSALS = f"{DEPARTMENT}/rehearsals"
#: Photos of the sample, when nothing else is said; the rejected ones come on top.
SAMPLE = 20

_log = logging.getLogger(__name__)
_BEFORE, _AFTER = "before", "after"

# A cut-out of today counts when it is of the photo's present bytes. `known` was cut out by this recipe before.
_CANDIDATES = """
    select p.key as photo, m.output_id, m.content_hash as photo_hash, m.root, m.path,
           ledger.fingerprint(:recipe, array[m.content_hash]) as fingerprint,
           b.output_id as before_id, b.content_hash as before_hash, b.recipe as before_recipe, b.facts as before_facts,
           b.size_bytes as before_bytes, b.seconds as before_seconds,
           coalesce(q.name = 'retouch', false) as retouched, o.photo is not null as own_model,
           exists (select from ledger.verdicts v where v.stage = :cutouts and v.subject = p.key
                   and v.verdict = 'reject') as rejected,
           known.after_hash, known.facts as after_facts, known.size_bytes, known.seconds,
           known.before_hash as compared_hash,
           known.iou, known.changed_share, known.alpha_difference, known.difference
    from ledger.items p join ledger.outputs m on m.output_id = p.output_id
    left join ledger.items c on c.asset = :cutouts and c.key = p.key
    left join ledger.recipes q on q.recipe = c.recipe
    left join ledger.outputs b on b.output_id = c.output_id and b.present
          and b.fingerprint = ledger.fingerprint(b.recipe, array[m.content_hash])
    left join product_images.models_in_force o on o.photo = p.key
    left join lateral (
        select r.* from product_images.rehearsal_results r join product_images.rehearsals h using (rehearsal_id)
        where r.photo = p.key and r.photo_hash = m.content_hash and h.recipe = :recipe and r.after_hash is not null
        order by h.bytes_removed_at is null desc, r.before_hash is not distinct from b.content_hash desc,
                 r.rehearsal_id desc
        limit 1) known on true
    where p.asset = :photos and p.state = 'current' {only}
    order by p.key
"""


@dataclass(frozen=True)
class Selection:
    """Which photos are rehearsed: named ones (shell patterns), or rejected ones and a sample, or all.

    Nothing said: the rejected ones and a sample of `SAMPLE`. The sample of a library is always the same, so that two
    models are tried on the same photos.
    """

    photos: tuple[str, ...] = ()
    rejected: bool = False
    sample: int = 0
    everything: bool = False

    def described(self) -> str:
        """In words, for the list of rehearsals."""
        if self.photos:
            return ", ".join(self.photos)
        if self.everything:
            return "all"
        parts = [f"sample of {self.sample}"] if self.sample else []
        return " and ".join((["rejected"] if self.rejected else []) + parts)


Progress = Callable[[Result, int, int], None]


def rehearse(
    workspace: Workspace,
    model: str,
    selection: Selection,
    *,
    who: str,
    weights_dir: Path | None = None,
    on_progress: Progress | None = None,
) -> Rehearsal:
    """Cut chosen photos out by a model, without using them, and compare them with the cut-outs of today.

    Args:
        workspace: the department's workspace.
        model: `studio` (as the program has it now), or a model of rembg.
        selection: which photos.
        who: the person.
        weights_dir: folder of the weights, when it is another than the settings'.
        on_progress: called with each result, how many are done, and of how many.

    Raises:
        BadInput: no photo is chosen.
        ConfigurationError: the model cannot be used.
        SystemicFailure: the disk or the database failed; what was done is remembered.
    """
    weights = weights_dir or workspace.settings.product_images.weights_dir
    recipe = cutout_models.cutting(model, weights)
    with store_lock.nothing_removed(workspace.engine):  # bytes of earlier rehearsals are taken over
        return _rehearse_chosen(workspace, recipe, selection, weights, who, on_progress)


def _rehearse_chosen(
    workspace: Workspace,
    recipe: Recipe,
    selection: Selection,
    weights: Path | None,
    who: str,
    on_progress: Progress | None,
) -> Rehearsal:
    with workspace.engine.connect() as connection:
        rows = _chosen(_candidates(connection, recipe, selection.photos), selection)
    rehearsal_id = begin(workspace, recipe, selection.described(), [row.photo for row in rows], who)
    done = 0
    try:
        for result in _results(workspace, recipe, rows, weights):
            with workspace.engine.begin() as connection:
                remember(connection, rehearsal_id, result)
            done += 1
            if on_progress is not None:
                on_progress(result, done, len(rows))
    except ConfigurationError:
        if not done:  # the model itself cannot be opened: there was no rehearsal
            forget(workspace, rehearsal_id)
        raise
    return _end(workspace, rehearsal_id)


def _candidates(connection: Connection, recipe: Recipe, patterns: Sequence[str]) -> list[Any]:
    """What may be rehearsed: photos that match a pattern, all when there is none."""
    bound: dict[str, object] = {"recipe": recipe.hash, "cutouts": CUTOUTS, "photos": PHOTOS}
    only = f"and {condition('p.key')}" if patterns else ""
    if patterns:
        bound |= patterns_of(patterns).parameters
    return list(connection.execute(text(_CANDIDATES.format(only=only)), bound))


def _chosen(rows: Sequence[Any], selection: Selection) -> list[Any]:
    """The chosen photos, in the order of their keys."""
    if selection.photos:
        for pattern in selection.photos:
            if not any(matches(row.photo, pattern) for row in rows):
                raise BadInput(
                    f"No photo matches {pattern!r}; write its name as in review, such as 52000123_1."
                )
        return list(rows)
    # What a person retouched, or chose a model for, no promotion changes.
    free = [row for row in rows if not row.retouched and not row.own_model]
    if not selection.everything:
        drawn = sorted(free, key=lambda row: hashlib.sha256(row.photo.encode()).digest())[: selection.sample]
        picked = {row.photo for row in drawn} | {
            row.photo for row in free if selection.rejected and row.rejected
        }
        free = [row for row in free if row.photo in picked]
    if not free:
        raise BadInput(
            f"There is nothing to rehearse ({selection.described()}): no such photo is in the library."
        )
    return free


def _results(
    workspace: Workspace, recipe: Recipe, rows: Sequence[Any], weights: Path | None
) -> Iterator[Result]:
    """Each photo's result, as it comes."""
    by_photo = {row.photo: row for row in rows}
    to_do = []
    for row in rows:
        result = _without_work(workspace, recipe, row)
        if result is not None:
            yield result
        else:
            to_do.append(_job(workspace, recipe, row))
    context = workspace.context | {"weights_dir": str(weights) if weights else None}
    worker_context = worker_log(stages.FLOW, workspace, None)
    shadow = WorkerPool((REHEARSALS,), rehearse_photos, context, worker_context=worker_context)
    groups = ((job.key, [job]) for job in to_do)
    for photo, made in worker_processes.results(shadow, workspace.limits, groups, lambda: None):
        yield _result(workspace, by_photo[photo], made[0])


def _without_work(workspace: Workspace, recipe: Recipe, row: Any) -> Result | None:
    """What is known before anything is opened."""
    if row.retouched:
        reason = f"{row.photo} is a person's retouch; no model changes it."
        return Result(row.photo, row.photo_hash, error_class="Retouch", error=reason)
    if row.before_recipe == recipe.hash:  # cut out by it today
        score = _score(row.before_facts)
        return Result(
            row.photo,
            row.photo_hash,
            row.before_hash,
            row.before_hash,
            row.before_bytes,
            row.before_seconds,
            row.before_facts,
            row.before_facts,
            **asdict(SAME),
            score_before=score,
            score_after=score,
        )
    if row.after_hash is None or not _stored(workspace, row.after_hash, row.size_bytes):
        return None
    if row.before_hash is not None and row.compared_hash != row.before_hash:
        return None
    measures = {name: getattr(row, name) if row.before_hash else None for name in MEASURES}
    return Result(
        row.photo,
        row.photo_hash,
        row.before_hash,
        row.after_hash,
        row.size_bytes,
        row.seconds,
        row.before_facts,
        row.after_facts,
        **measures,
        score_before=_score(row.before_facts),
        score_after=_score(row.after_facts),
    )


def _stored(workspace: Workspace, content_hash: str, size: int | None) -> bool:
    path = workspace.objects.path(content_hash)
    return path.is_file() and path.stat().st_size == size


def _score(facts: Mapping[str, Any] | None) -> int | None:
    score: int | None = (facts or {}).get("triage", {}).get("score")
    return score


def _job(workspace: Workspace, recipe: Recipe, row: Any) -> Job:
    inputs = [Input(row.output_id, PHOTOS, row.photo, row.photo_hash, row.root, row.path, {})]
    if row.before_hash is not None:
        path, facts = row.before_hash, row.before_facts
        inputs.append(Input(row.before_id, _BEFORE, row.photo, path, OBJECTS, path, facts))
    if row.after_hash is not None and _stored(workspace, row.after_hash, row.size_bytes):
        facts = {"bytes": row.size_bytes, "seconds": row.seconds, "facts": row.after_facts}
        inputs.append(Input(0, _AFTER, row.photo, row.after_hash, OBJECTS, row.after_hash, facts))
    return Job(
        REHEARSALS,
        row.photo,
        row.fingerprint,
        recipe.hash,
        recipe.name,
        recipe.body,
        tuple(inputs),
        None,
        0,
    )


def rehearse_photos(jobs: Sequence[Job], context: Mapping[str, Any]) -> list[Made | Failed]:
    """Cut photos out and compare them with the cut-out of today; runs in a worker process.

    The measures are in the facts under `compared`, when there was something to compare with.
    """
    return [_rehearse(job, context) for job in jobs]


def _rehearse(job: Job, context: Mapping[str, Any]) -> Made | Failed:
    given = {one.asset: one for one in job.inputs}
    after, before = given.get(_AFTER), given.get(_BEFORE)
    if after is not None:
        known = after.facts
        made: Made | Failed = Made(
            job,
            after.content_hash,
            OBJECTS,
            after.content_hash,
            known["bytes"],
            known["seconds"],
            known["facts"],
        )
    else:
        (made,) = tasks.cut_out([job], context)
    if isinstance(made, Failed) or before is None:
        return made
    try:
        if made.content_hash == before.content_hash:
            apart = SAME
        else:
            store = Objects(Path(context["roots"][OBJECTS]))
            path = Path(made.unfinished) if made.unfinished else store.path(made.content_hash)
            apart = between(verified(before, context), before.facts, path, made.facts)
    except Exception as error:  # noqa: BLE001 a picture that cannot be compared is a result with a sentence
        if made.unfinished:
            Path(made.unfinished).unlink(missing_ok=True)
        return worker_processes.failed(job, error)
    return replace(made, facts={**made.facts, "compared": asdict(apart)})


def _result(workspace: Workspace, row: Any, made: Made | Failed) -> Result:
    if isinstance(made, Failed):
        if made.error_class == ConfigurationError.__name__:
            raise ConfigurationError(made.error)  # it is the model, not the photo
        return Result(
            row.photo,
            row.photo_hash,
            row.before_hash,
            before_facts=row.before_facts,
            score_before=_score(row.before_facts),
            error_class=made.error_class,
            error=made.error,
        )
    if made.unfinished is not None:
        workspace.objects.adopt(Path(made.unfinished), made.content_hash)
    facts = {"versions": stages.FLOW.versions(), **made.facts}
    measures = facts.pop("compared", {})
    return Result(
        row.photo,
        row.photo_hash,
        row.before_hash,
        made.content_hash,
        made.size_bytes,
        made.seconds,
        row.before_facts,
        facts,
        **measures,
        score_before=_score(row.before_facts),
        score_after=_score(facts),
    )


def _end(workspace: Workspace, rehearsal_id: int) -> Rehearsal:
    """Draw the sheet and say that it is finished."""
    from crown.product_images.rehearsal.sheet import draw

    found = read(workspace, rehearsal_id)
    previews = workspace.settings.home / "previews"
    sheet = draw(workspace, found.results, previews / REHEARSALS / f"{rehearsal_id}.webp")
    shown = None if sheet is None else sheet.relative_to(previews).as_posix()
    finished = end(workspace, rehearsal_id, shown)
    _log.info(
        "Rehearsal %d of %s: %d photos, %d with the same bytes, %d failed.",
        rehearsal_id,
        finished.model,
        finished.done,
        finished.same_bytes,
        finished.failed,
    )
    return finished
