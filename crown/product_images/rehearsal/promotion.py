"""Promotion: a rehearsed model becomes the one that cuts out all photos, as a person's recorded decision.

Cut-outs that the rehearsal made are taken over into the ledger under their new fingerprint, so nothing is cut twice.
Where the bytes are today's, every approval stays valid. Where they differ by at most the limit and today's bytes are
approved, the promotion itself is the approval of the new ones. All else waits for the review, and what is published
stays until then.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from crown.errors import BadInput, Refused
from crown.journal import activity
from crown.ledger import decisions, outputs, recipes
from crown.ledger.locks import lock_assets
from crown.ledger.outputs import Existing
from crown.ledger.verdicts import Ruling
from crown.product_images import stages
from crown.product_images.cutout import models as cutout_models
from crown.product_images.cutout.models import cutting
from crown.product_images.gates import CUTOUT_REVIEW
from crown.product_images.names import photo_name
from crown.product_images.rehearsal.records import Rehearsal, read
from crown.product_images.workspace import (
    CUTOUTS,
    DEPARTMENT,
    OBJECTS,
    PHOTOS,
    Workspace,
)
from crown.store import store_lock

#: `mask_difference.Difference.difference` up to which the promotion is the approval.
LIMIT = 0.02

_log = logging.getLogger(__name__)

# Photos that the model of all photos cuts out, and that are not cut out by this recipe yet, with the newest result of
# any rehearsal of the recipe on these very bytes.
_CONCERNED = """
    select p.key as photo, m.output_id, m.content_hash as photo_hash, k.content_hash as current_hash, now.verdict,
           n.rehearsal_id, n.before_hash, coalesce(e.content_hash, n.after_hash) as after_hash, n.size_bytes, n.seconds,
           n.facts, n.difference, n.error, new.verdict as new_verdict,
           ledger.fingerprint(:recipe, array[m.content_hash]) as fingerprint, e.output_id is not null as kept
    from ledger.items p join ledger.outputs m on m.output_id = p.output_id
    left join ledger.items c on c.asset = :cutouts and c.key = p.key
    left join ledger.recipes q on q.recipe = c.recipe
    left join ledger.outputs k on k.output_id = c.output_id
    left join ledger.verdicts now on now.stage = :cutouts and now.subject = p.key
                                 and now.content_hash = k.content_hash
    left join product_images.models_in_force o on o.photo = p.key
    left join ledger.outputs e on e.asset = :cutouts and e.key = p.key and e.present
                              and e.fingerprint = ledger.fingerprint(:recipe, array[m.content_hash])
    left join lateral (
        select r.* from product_images.rehearsal_results r join product_images.rehearsals h using (rehearsal_id)
        where r.photo = p.key and r.photo_hash = m.content_hash and h.recipe = :recipe
        order by r.error is null desc, h.bytes_removed_at is null desc,
                 r.before_hash is not distinct from k.content_hash desc, r.rehearsal_id desc
        limit 1) n on true
    left join ledger.verdicts new on new.stage = :cutouts and new.subject = p.key
                                 and new.content_hash = coalesce(e.content_hash, n.after_hash)
    where p.asset = :photos and p.state = 'current' and o.photo is null and q.name is distinct from 'retouch'
      and not (k.recipe is not distinct from :recipe and c.state = 'current')
    order by p.key
"""


@dataclass
class Promotion:
    """What a promotion means, by photo; every concerned photo is in exactly one of the lists.

    Attributes:
        rehearsal_id: what is promoted.
        model: its model.
        recipe: hash of its recipe.
        limit: see `LIMIT`.
        identical: the same bytes; decisions stay valid, and nothing follows.
        carried: approved today, and the new bytes differ by at most the limit: approved by the promotion.
        returning: approved today, and the new bytes differ by more: they wait for the review.
        waiting: not approved today, or rejected in the new form: they wait as before.
        cut_anew: never rehearsed with this recipe, or the bytes are gone: cut out by the next run, then reviewed
            unless the bytes are today's.
        failing: the rehearsal failed; the next run tries once more.
    """

    rehearsal_id: int
    model: str
    recipe: str
    limit: float
    identical: list[str] = field(default_factory=list)
    carried: list[str] = field(default_factory=list)
    returning: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    cut_anew: list[str] = field(default_factory=list)
    failing: list[str] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """Number of photos in each list."""
        names = ("identical", "carried", "returning", "waiting", "cut_anew", "failing")
        return {name: len(getattr(self, name)) for name in names}


def look(workspace: Workspace, rehearsal_id: int, limit: float = LIMIT) -> Promotion:
    """What promoting a rehearsal would mean; nothing is changed.

    Raises:
        BadInput: no such rehearsal.
        ConfigurationError: its model cannot be used now.
        Refused: the rehearsal was not finished, its bytes were removed, or the model is another one by now.
    """
    rehearsed = _promotable(workspace, rehearsal_id)
    with workspace.engine.connect() as connection:
        return _sorted(workspace, rehearsed, limit, _concerned(connection, rehearsed.recipe))[0]


def promote(
    workspace: Workspace,
    rehearsal_id: int,
    limit: float = LIMIT,
    *,
    who: str,
    via: activity.Via,
    reason: str | None = None,
) -> Promotion:
    """Put a rehearsed model in force for all photos that have none of their own; returns what it meant.

    Raises:
        BadInput: see `look`.
        ConfigurationError: see `look`.
        Refused: see `look`.
    """
    with workspace.engine.begin() as connection:
        store_lock.remove_nothing_meanwhile(connection)
        rehearsed = _promotable(workspace, rehearsal_id)
        recipe = cutting(rehearsed.model, workspace.settings.product_images.weights_dir)
        lock_assets(connection, [CUTOUTS])
        meant, rows = _sorted(workspace, rehearsed, limit, _concerned(connection, rehearsed.recipe))
        before = cutout_models.promoted(connection)
        recipes.register(connection, [recipe])
        summary = f"rehearsal {rehearsal_id}: {rehearsed.model}, limit {limit:g}" + (
            f": {reason}" if reason else ""
        )
        decision_id = cutout_models.record(
            connection,
            None,
            verdict="approve",
            model=rehearsed.model,
            recipe=recipe.hash,
            before=before.model if before else workspace.settings.product_images.cutout_model,
            who=who,
            via=via,
            reason=summary,
            rehearsal_id=rehearsal_id,
            most_difference=limit,
        )
        _take_over(connection, recipe.hash, decision_id, [row for row in rows if _usable(workspace, row)])
        carried = set(meant.carried)
        for row in rows:
            if row.photo in carried:
                _carry(connection, row, meant, who, via)
    # Apart from the decision, so that the SELECT of the next planning is the one that every run uses.
    stages.plan(workspace, [CUTOUTS])
    _log.info("%s promoted by %s (%s): %s", rehearsed.model, who, summary, meant.counts())
    return meant


def _promotable(workspace: Workspace, rehearsal_id: int) -> Rehearsal:
    rehearsed = read(workspace, rehearsal_id)
    if rehearsed.ended_at is None:
        raise Refused(
            f"Rehearsal {rehearsal_id} has {rehearsed.done} of its {len(rehearsed.photos)} photos and was not finished; "
            f"start it again (`crown images rehearse {rehearsed.model}`): what is done is not cut out again."
        )
    if rehearsed.bytes_removed_at is not None:
        raise Refused(
            f"The bytes of rehearsal {rehearsal_id} were removed on {rehearsed.bytes_removed_at:%Y-%m-%d} by"
            f" {rehearsed.bytes_removed_by}; rehearse again (`crown images rehearse {rehearsed.model}`)."
        )
    now = cutting(rehearsed.model, workspace.settings.product_images.weights_dir)
    if now.hash != rehearsed.recipe:
        folder = workspace.settings.product_images.weights_dir or "CROWN_PRODUCT_IMAGES_WEIGHTS_DIR"
        raise Refused(
            f"{rehearsed.model} is not what was rehearsed: the program or the weights in {folder} are others. "
            f"Put the rehearsed weights there, or rehearse again (`crown images rehearse {rehearsed.model}`)."
        )
    return rehearsed


def _concerned(connection: Connection, recipe: str) -> list[Any]:
    bound = {"recipe": recipe, "cutouts": CUTOUTS, "photos": PHOTOS}
    return list(connection.execute(text(_CONCERNED), bound))


def _sorted(
    workspace: Workspace, rehearsed: Rehearsal, limit: float, rows: list[Any]
) -> tuple[Promotion, list[Any]]:
    meant = Promotion(rehearsed.rehearsal_id, rehearsed.model, rehearsed.recipe, limit)
    for row in rows:
        _list_for(workspace, row, meant).append(row.photo)
    return meant, rows


def _list_for(workspace: Workspace, row: Any, meant: Promotion) -> list[str]:
    if row.error is not None and not row.kept:
        return meant.failing
    if not row.kept and not _usable(workspace, row):
        return meant.cut_anew
    if row.after_hash == row.current_hash or (row.verdict == row.new_verdict == "approve"):
        return meant.identical
    if row.verdict != "approve" or row.new_verdict == "reject":
        return meant.waiting
    compared = row.before_hash == row.current_hash and row.difference is not None
    return meant.carried if compared and row.difference <= meant.limit else meant.returning


def _usable(workspace: Workspace, row: Any) -> bool:
    """Whether the rehearsed bytes are there to be taken over."""
    if row.after_hash is None or row.kept:
        return False
    path: Path = workspace.objects.path(row.after_hash)
    return path.is_file() and path.stat().st_size == row.size_bytes


def _take_over(connection: Connection, recipe: str, decision_id: int, rows: list[Any]) -> None:
    """Enter rehearsed cut-outs as outputs; the next planning finds them and has nothing cut out."""
    taken = [
        Existing(
            row.photo,
            row.after_hash,
            OBJECTS,
            row.after_hash,
            row.size_bytes,
            row.fingerprint,
            row.seconds,
            {**_without_versions(row), "rehearsal": row.rehearsal_id},
            row.facts.get("versions", {}),
            (row.output_id,),
        )
        for row in rows
    ]
    outputs.enter(connection, CUTOUTS, taken, recipe=recipe, decision_id=decision_id)


def _without_versions(row: Any) -> dict[str, Any]:
    return {name: value for name, value in row.facts.items() if name != "versions"}


def _carry(connection: Connection, row: Any, meant: Promotion, who: str, via: activity.Via) -> None:
    reason = (
        f"promotion of {meant.model}: in rehearsal {row.rehearsal_id} it differed by {row.difference:.4f} from the"
        f" approved cut-out, the limit is {meant.limit:g}"
    )
    said = decisions.decide(
        connection, CUTOUT_REVIEW, row.photo, row.after_hash, Ruling("approve", who, via, reason)
    )
    activity.record(
        connection,
        who=who,
        what=activity.HUMAN_APPROVED,
        subject=row.photo,
        department=DEPARTMENT,
        via=via,
        entity=photo_name(row.photo).number,
        details=reason,
        old={"content_hash": row.current_hash},
        new={"verdict": "approve", "content_hash": row.after_hash, "decision_id": said.decision_id},
    )


@dataclass(frozen=True)
class GoingBack:
    """What taking a promotion back means: photos whose earlier cut-out is there, and those that are cut anew."""

    model: str
    instead_of: str
    there: list[str]
    cut_anew: list[str]


def look_back(workspace: Workspace) -> GoingBack:
    """What it would mean if the setting held again; nothing is changed.

    Raises:
        BadInput: no promotion is in force.
        ConfigurationError: the setting's model cannot be used.
    """
    recipe = cutting(
        workspace.settings.product_images.cutout_model, workspace.settings.product_images.weights_dir
    )
    with workspace.engine.connect() as connection:
        promoted = _in_force(connection)
        rows = _concerned(connection, recipe.hash)
    there = [row.photo for row in rows if row.kept]
    anew = [row.photo for row in rows if not row.kept]
    return GoingBack(workspace.settings.product_images.cutout_model, promoted.model, there, anew)


def take_back(workspace: Workspace, *, who: str, via: activity.Via, reason: str | None = None) -> GoingBack:
    """Let the setting hold again. Cut-outs that it made before come back with what was said of them.

    Raises:
        BadInput: see `look_back`.
        ConfigurationError: see `look_back`.
    """
    meant = look_back(workspace)
    with workspace.engine.begin() as connection:
        lock_assets(connection, [CUTOUTS])
        promoted = _in_force(connection)
        cutout_models.record(
            connection,
            None,
            verdict="withdraw",
            model=meant.model,
            recipe=promoted.recipe,
            before=promoted.model,
            who=who,
            via=via,
            reason=reason,
        )
    stages.plan(workspace, [CUTOUTS])
    return meant


def _in_force(connection: Connection) -> cutout_models.Choice:
    promoted = cutout_models.promoted(connection)
    if promoted is None:
        raise BadInput(
            "No promotion is in force: CROWN_PRODUCT_IMAGES_CUTOUT_MODEL says which model cuts out the photos."
        )
    return promoted
