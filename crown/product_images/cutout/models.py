"""Which model cuts out which photo: the setting, what a promotion put in its place, what was chosen for one photo.

What is chosen for a photo goes before the promotion, the promotion before the setting. A new version of a model (a
raised version of our engine, other weights) does not touch what was cut out by an earlier one until it is promoted,
or chosen for the photo. How a model is tried is defined in `rehearsal.py`, how it comes into force in `promotion.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from crown.errors import BadInput, ConfigurationError, Refused
from crown.flow.patterns import condition
from crown.journal import activity
from crown.ledger import decisions, planning, recipes
from crown.ledger.locks import lock_assets
from crown.ledger.recipes import Recipe
from crown.ledger.verdicts import Ruling
from crown.product_images.gates import CUTOUT_MODELS
from crown.product_images.names import patterns_of, photo_name
from crown.product_images.workspace import (
    CUTOUTS,
    DEPARTMENT,
    PHOTOS,
    Workspace,
)
from crown.settings.model import Settings

#: The subject of a decision on the model of all photos that have none of their own.
ALL_PHOTOS = "all photos"
#: Instead of a model's name: take back what was chosen.
DEFAULT = "default"

# A retouch goes before every model. What an earlier version of the model made of the same photo stays (`held`) until
# somebody decided on the present version. A model of one photo whose weights are gone holds up that photo alone.
_CUTOUTS = """
    select p.key,
           case when r.after_model then cast(:after_model as text) when r.output_id is not null then :retouch
                else coalesce(held.recipe, w.recipe, w.decided) end as recipe,
           array_remove(array[m.output_id, r.output_id], null) as inputs,
           array_remove(array[coalesce(m.content_hash, p.wanted), r.content_hash], null) as input_hashes,
           case when m.output_id is null then 'product_images/photos'
                when r.output_id is null and held.recipe is null and w.recipe is null
                then 'the weights of ' || w.model end as waiting_for,
           case when p.state = 'held' then 'hold' else 'upstream' end as waiting_kind,
           case when r.output_id is null then w.decision_id end as decision_id
    from ledger.items p
    left join ledger.outputs m on m.output_id = p.output_id and p.state = 'current'
    left join (
        select distinct on (u.photo, u.of_hash) u.photo, u.of_hash, k.output_id, k.content_hash,
               -- An engine, and so trained networks, cut this photo out before the person did: that stays said.
               exists (select from ledger.outputs e join ledger.recipes q using (recipe)
                       where e.asset = 'product_images/cutouts' and e.key = u.photo and e.present
                         and e.made_at < u.uploaded_at and q.body ->> 'model' is not null
                         and e.facts ->> 'engine' is distinct from 'kept') as after_model
        from product_images.uploads u
        join ledger.items i on i.asset = 'product_images/inbox_photos'
                           and i.key = u.photo || '@retouch@' || u.content_hash and i.state = 'current'
        join ledger.outputs k on k.output_id = i.output_id
        where u.kind = 'retouch'
        order by u.photo, u.of_hash, u.upload_id desc) r on r.photo = p.key and r.of_hash = m.content_hash
    left join product_images.models_in_force o on o.photo = p.key
    left join unnest(cast(:chosen_models as text[]), cast(:chosen_recipes as text[])) as ready(model, recipe)
           on ready.model = o.model
    cross join lateral (
        select coalesce(o.model, :model) as model,
               case when o.photo is null then cast(:cutout as text) else ready.recipe end as recipe,
               case when o.photo is null then cast(:promoted as text) else o.recipe end as decided,
               case when o.photo is null then cast(:decision as bigint) else o.decision_id end as decision_id) w
    left join ledger.items c on c.asset = 'product_images/cutouts' and c.key = p.key
    left join lateral (  -- limited, so that it is looked up only where the recipe would change
        select h.recipe from ledger.outputs k join ledger.recipes h using (recipe)
        where w.decided is distinct from w.recipe and (c.state <> 'current' or c.recipe is distinct from w.recipe)
          and k.output_id = c.output_id and k.present and h.name = 'cut-out' and h.body ->> 'model' = w.model
          and k.fingerprint = ledger.fingerprint(k.recipe, array[m.content_hash]) limit 1) held on true
    where p.asset = 'product_images/photos' and p.state <> 'retired'
"""


@dataclass(frozen=True)
class Choice:
    """A model that a person chose, for one photo or (`photo` None) for all."""

    photo: str | None
    model: str
    recipe: str
    rehearsal_id: int | None
    most_difference: float | None
    decision_id: int
    who: str
    via: str
    reason: str | None
    decided_at: datetime


@dataclass(frozen=True)
class Chosen:
    """What a choice changed for a photo: the model before and now; `note` says why it changes nothing."""

    photo: str
    before: str
    model: str
    note: str | None = None


def cutting(model: str, weights_dir: Path | None) -> Recipe:
    """The recipe of cut-outs by a model, as the program and the weights are now.

    Raises:
        ConfigurationError: no such model, or no weights; the sentence names file and folder.
    """
    from crown.product_images.cutout.engine import cutout_recipe

    return Recipe(CUTOUTS, "cut-out", cutout_recipe(model, weights_dir))


def promoted(connection: Connection) -> Choice | None:
    """The promotion in force; None when the setting holds."""
    return next(iter(_choices(connection, "photo is null")), None)


def choices(connection: Connection) -> list[Choice]:
    """The photos that have a model of their own."""
    return _choices(connection, "photo is not null")


def choice_for(connection: Connection, photo: str) -> Choice | None:
    """What was chosen for a photo, else for all; None when the setting holds."""
    found = _choices(connection, "(photo is null or photo = :photo)", photo=photo)
    return next(iter(found), None)


def _choices(connection: Connection, where: str, **bound: object) -> list[Choice]:
    rows = connection.execute(
        text(
            "select photo, model, recipe, rehearsal_id, most_difference, decision_id, who, via, reason, decided_at"
            f" from product_images.models_in_force where {where} order by photo nulls last"
        ),
        bound,
    )
    return [Choice(**row._mapping) for row in rows]


def wanted_cutouts(
    workspace: Workspace, supposed: Connection | None = None
) -> tuple[str, tuple[Recipe, ...], dict[str, Any]]:
    """One item per photo: its retouch, or its cut-out by the model that holds for it.

    Args:
        workspace: the department's workspace.
        supposed: a transaction in which models were chosen, to be planned in it and rolled back.

    Raises:
        ConfigurationError: the model that holds for all photos cannot be used.
    """
    with nullcontext(supposed) if supposed is not None else workspace.engine.connect() as connection:
        for_all, own = promoted(connection), choices(connection)
    weights = workspace.settings.product_images.weights_dir
    model = for_all.model if for_all else workspace.settings.product_images.cutout_model
    cutout = cutting(model, weights)
    ready = {}
    for name in sorted({choice.model for choice in own}):
        try:
            ready[name] = cutting(name, weights)
        except ConfigurationError:
            continue  # these photos wait for the weights
    retouch = Recipe(CUTOUTS, "retouch", {"version": 1})
    after_model = Recipe(CUTOUTS, "retouch", {"version": 1, "after": "trained model"})
    parameters = {
        "model": model,
        "cutout": cutout.hash,
        "promoted": for_all.recipe if for_all else None,
        "decision": for_all.decision_id if for_all else None,
        "chosen_models": list(ready),
        "chosen_recipes": [recipe.hash for recipe in ready.values()],
        "retouch": retouch.hash,
        "after_model": after_model.hash,
    }
    return _CUTOUTS, (cutout, retouch, after_model, *ready.values()), parameters


def choose(
    workspace: Workspace,
    pattern: str,
    model: str | None,
    *,
    who: str,
    via: activity.Via,
    reason: str | None = None,
) -> list[Chosen]:
    """Have the photos that match cut out by a model of their own, from now on; None takes that back.

    The next planning of the cut-outs follows. A photo whose cut-out failed is tried again.

    Raises:
        BadInput: no photo matches, or none of them has a model of its own to take back.
        ConfigurationError: no such model, or no weights; nothing is changed.
        Refused: every photo that matches is a person's retouch.
    """
    act = choosing(workspace, pattern, model, who=who, via=via, reason=reason)
    with workspace.engine.begin() as connection:
        chosen = act(connection)
        if model is not None:
            try_again(connection, pattern)
        return chosen


def choosing(
    workspace: Workspace,
    pattern: str,
    model: str | None,
    *,
    who: str,
    via: activity.Via,
    reason: str | None = None,
) -> Callable[[Connection], list[Chosen]]:
    """What `choose` writes of the choice itself, which a forecast can suppose; `try_again` belongs to it.

    Raises:
        ConfigurationError: no such model, or no weights; the other errors of `choose` are the act's.
    """
    recipe = None if model is None else cutting(model, workspace.settings.product_images.weights_dir)

    def choice(connection: Connection) -> list[Chosen]:
        found = _matching(connection, pattern)
        standing = {choice.photo: choice for choice in choices(connection)}
        for_all = promoted(connection)
        usual = for_all.model if for_all else workspace.settings.product_images.cutout_model
        if recipe is None:
            taken_back = [photo for photo in found if photo in standing]
            if not taken_back:
                raise BadInput(f"No photo that matches {pattern!r} has a model of its own.")
            act = partial(_take_back, connection, standing=standing, usual=usual)
        else:
            if all(found.values()):
                raise Refused(
                    f"{', '.join(found)} is a person's retouch, which goes before every model; "
                    "a newer photo in the inbox is cut out again (the same file is known already)."
                )
            taken_back = list(found)
            recipes.register(connection, [recipe])
            act = partial(_give, connection, recipe=recipe, standing=standing, usual=usual, retouched=found)
        return [act(photo, who=who, via=via, reason=reason) for photo in taken_back]

    return choice


def _matching(connection: Connection, pattern: str) -> dict[str, bool]:
    """Photos that match, and whether a person's retouch takes their place."""
    rows = connection.execute(
        text(
            "select p.key as photo, coalesce(q.name = 'retouch', false) as retouched from ledger.items p"
            " left join ledger.items c on c.asset = :cutouts and c.key = p.key"
            " left join ledger.recipes q on q.recipe = c.recipe"
            f" where p.asset = :photos and p.state <> 'retired' and {condition('p.key')} order by p.key"
        ),
        {"photos": PHOTOS, "cutouts": CUTOUTS, **patterns_of([pattern]).parameters},
    ).tuples()
    found: dict[str, bool] = dict(rows.all())
    if not found:
        raise BadInput(f"No photo matches {pattern!r}; write its name as in review, such as 52000123_1.")
    return found


def _give(
    connection: Connection,
    photo: str,
    *,
    recipe: Recipe,
    standing: dict[str | None, Choice],
    usual: str,
    retouched: dict[str, bool],
    who: str,
    via: activity.Via,
    reason: str | None,
) -> Chosen:
    model, now = str(recipe.body["model"]), standing.get(photo)
    before = now.model if now else usual
    if retouched[photo]:
        return Chosen(photo, before, before, "a person's retouch, left alone")
    if now is not None and now.recipe == recipe.hash:
        return Chosen(photo, before, model, "chosen already")
    record(
        connection,
        photo,
        verdict="approve",
        model=model,
        recipe=recipe.hash,
        before=before,
        who=who,
        via=via,
        reason=reason,
    )
    return Chosen(photo, before, model)


def _take_back(
    connection: Connection,
    photo: str,
    *,
    standing: dict[str | None, Choice],
    usual: str,
    who: str,
    via: activity.Via,
    reason: str | None,
) -> Chosen:
    now = standing[photo]
    record(
        connection,
        photo,
        verdict="withdraw",
        model=usual,
        recipe=now.recipe,
        before=now.model,
        who=who,
        via=via,
        reason=reason,
    )
    return Chosen(photo, now.model, usual)


def try_again(connection: Connection, pattern: str) -> None:
    """Have the failed cut-outs of the photos that match made again."""
    lock_assets(connection, [CUTOUTS])
    for photo in failing(connection, pattern):
        literally = photo.replace("\\", r"\\").replace("_", r"\_").replace("%", r"\%")
        planning.retry(connection, CUTOUTS, literally)


def failing(connection: Connection, pattern: str) -> list[str]:
    """Photos that match and whose cut-out failed."""
    return list(
        connection.execute(
            text(
                "select key from ledger.items where asset = :asset and state in ('failed', 'quarantined')"
                f" and {condition('key')} order by key"
            ),
            {"asset": CUTOUTS, **patterns_of([pattern]).parameters},
        ).scalars()
    )


def record(
    connection: Connection,
    photo: str | None,
    *,
    verdict: decisions.Verdict,
    model: str,
    recipe: str,
    before: str,
    who: str,
    via: activity.Via,
    reason: str | None,
    rehearsal_id: int | None = None,
    most_difference: float | None = None,
) -> int:
    """Write a choice (`approve`) or its taking back (`withdraw`) and the decision it is; returns the decision's id.

    Args:
        connection: an open transaction; the recipe is registered in it.
        photo: None for all photos that have no model of their own.
        verdict: approve or withdraw.
        model: what holds from now on.
        recipe: hash of the recipe that is chosen or taken back.
        before: the model that held until now.
        who: the person.
        via: from where.
        reason: for the record.
        rehearsal_id: the rehearsal that is promoted.
        most_difference: the limit of the promotion.
    """
    ruling = Ruling(verdict, who, via, reason)
    said = decisions.decide(connection, CUTOUT_MODELS, photo or ALL_PHOTOS, recipe, ruling)
    given = verdict == "approve"
    connection.execute(
        text(
            "insert into product_images.model_choices"
            " (photo, model, recipe, rehearsal_id, most_difference, decision_id)"
            " values (:photo, :model, :recipe, :rehearsal, :most, :decision)"
        ),
        {
            "photo": photo,
            "model": model if given else None,
            "recipe": recipe if given else None,
            "rehearsal": rehearsal_id,
            "most": most_difference,
            "decision": said.decision_id,
        },
    )
    activity.record(
        connection,
        who=who,
        what="cutout_model_chosen" if given else "cutout_model_withdrawn",
        subject=photo or ALL_PHOTOS,
        department=DEPARTMENT,
        via=via,
        entity=photo_name(photo).number if photo else None,
        details=reason,
        old={"model": before},
        new={"model": model, "rehearsal": rehearsal_id, "decision_id": said.decision_id},
    )
    return said.decision_id


def standing_sentences(connection: Connection, settings: Settings) -> list[str]:
    """What holds, for people: the model of all photos, photos with their own, and what an earlier version made."""
    for_all, own = promoted(connection), choices(connection)
    model = for_all.model if for_all else settings.product_images.cutout_model
    if for_all is None:
        said = [f"Photos are cut out by {model} (the setting CROWN_PRODUCT_IMAGES_CUTOUT_MODEL)."]
    else:
        said = [
            f"Photos are cut out by {model}, promoted by {for_all.who} on {for_all.decided_at:%Y-%m-%d} after"
            f" rehearsal {for_all.rehearsal_id}; CROWN_PRODUCT_IMAGES_CUTOUT_MODEL"
            f" ({settings.product_images.cutout_model}) holds again after"
            " `crown images promote default --apply`."
        ]
    if own:
        named = sorted({choice.model for choice in own})
        said.append(f"{len(own):,} photos have a model of their own ({', '.join(named)}).")
    try:
        recipe = cutting(model, settings.product_images.weights_dir).hash
    except ConfigurationError as error:
        return [*said, str(error)]
    earlier = connection.execute(
        text(
            "select count(*) from ledger.items i join ledger.outputs k using (output_id)"
            " join ledger.recipes q on q.recipe = k.recipe"
            " where i.asset = :asset and i.state = 'current' and q.name = 'cut-out' and q.body ->> 'model' = :model"
            " and q.recipe <> :recipe"
        ),
        {"asset": CUTOUTS, "model": model, "recipe": recipe},
    ).scalar_one()
    if earlier:
        said.append(
            f"{earlier:,} cut-outs were made by an earlier version of {model} and stay until the present one is"
            f" promoted: `crown images rehearse {model}`."
        )
    return said
