"""What the publishing half wants: texts of products, judgements under profiles, and files in the targets.

Each is a SELECT for the ledger's planning, with its recipes and parameters; hundreds of thousands of renditions are
compared by their outputs, which are only looked up for those that differ. The items are made by
`tasks.py`, what is held back in `removals.py`.
"""

from __future__ import annotations

from typing import Any

from crown.ledger.recipes import Recipe
from crown.product_images.names import VIEW
from crown.product_images.publishing import texts
from crown.product_images.publishing.targets import DEFAULT
from crown.product_images.workspace import (
    COMPLIANCE,
    PUBLISHED,
    RENDITIONS,
    TEXTS,
    Workspace,
)

#: The SELECT, its recipes and parameters, and what is looked up (`planning.plan`).
Wanted = tuple[str, tuple[Recipe, ...], dict[str, Any], str | None]

_TEXTS = """
    select n.number as key, cast(:texts as text) as recipe, cast('{}' as bigint[]) as inputs,
           array[coalesce(t.content, :none)] as input_hashes, cast(null as text) as waiting_for,
           cast(null as bigint) as decision_id
    from (select distinct product_number as number from product_images.uploads u
          where not exists (select from product_images.retired_products r
                            where r.product_number = u.product_number)) n
    left join product_images.texts_by_content t on t.product_number = n.number
"""
# The master's size is no part of the rendition's bytes, yet a profile may ask for it.
_JUDGED = "array[m.content_hash, coalesce(m.facts ->> 'source_longest_side', '')]"
_COMPLIANCE = """
    select p.profile || '/' || r.key as key, p.recipe, array[r.output_id] as inputs,
           cast(null as text) as waiting_for
    from ledger.items r
    join unnest(cast(:profiles as text[]), cast(:judged as text[]), cast(:recipes as text[]))
        as p(profile, spec, recipe) on p.spec = split_part(r.key, '/', 2)
    where r.asset = any(cast(:renditions as text[])) and r.state <> 'retired' and r.output_id is not null
"""
_COMPLIANCE_LOOKED_UP = f"""
    select {_JUDGED} as input_hashes, m.decision_id from ledger.outputs m where m.output_id = w.inputs[1]
"""
# Texts and judgements that are being made anew leave in force what was made before.
_PUBLISHED = f"""
    with photo as materialized (
        select i.key as photo, regexp_replace(i.key, '{VIEW}', '') as number, w.output_id
        from ledger.items i
        left join ledger.items w on w.asset = 'product_images/texts' and w.state <> 'retired'
                                and w.key = regexp_replace(i.key, '{VIEW}', '')
        where i.asset = 'product_images/masters'
    )
    select t.prefix || n.number || '/' || t.category || '/' || n.photo || '_' || t.spec || '.' || t.extension as key,
           cast(:publish as text) as recipe, array_remove(array[r.output_id, n.output_id], null) as inputs,
           case when t.absent is not null then t.absent
                when n.output_id is null then 'product_images/texts'
                when t.profile is null then null
                when c.output_id is null then 'product_images/compliance'
                else j.facts ->> 'blocks' end as waiting_for,
           case when t.absent is null and n.output_id is not null and c.output_id is not null then 'gate'
                else 'upstream' end as waiting_kind
    from ledger.items r
    join photo n on n.photo = split_part(r.key, '/', 1)
    join unnest(cast(:prefixes as text[]), cast(:specs as text[]), cast(:categories as text[]),
                cast(:extensions as text[]), cast(:profiles as text[]), cast(:recipes as text[]),
                cast(:absent as text[]))
        as t(prefix, spec, category, extension, profile, recipe, absent) on t.spec = split_part(r.key, '/', 2)
    left join lateral (  -- limited, so that it is not joined where no profile asks for it
        select content_hash, facts from ledger.outputs
        where t.profile is not null and output_id = r.output_id limit 1) m on true
    left join ledger.items c on c.asset = 'product_images/compliance' and c.key = t.profile || '/' || r.key
                            and c.state = 'current' and c.wanted = ledger.fingerprint(t.recipe, {_JUDGED})
    left join ledger.outputs j on j.output_id = c.output_id
    where r.asset = any(cast(:renditions as text[])) and r.state <> 'retired' and r.output_id is not null
"""
_PUBLISHED_LOOKED_UP = """
    select array[m.content_hash, coalesce(x.content_hash, ''), coalesce(m.facts ->> 'digital_source_type', '')]
               as input_hashes, m.decision_id
    from ledger.outputs m left join ledger.outputs x on x.output_id = w.inputs[2]
    where m.output_id = w.inputs[1]
"""


def wanted_texts(workspace: Workspace) -> Wanted:
    """One item per product that has a photo and is not retired."""
    recipe = Recipe(TEXTS, "texts", {"version": 1, **texts.usual(workspace)})
    return _TEXTS, (recipe,), {"texts": recipe.hash, "none": texts.NONE}, None


def wanted_judgements(workspace: Workspace) -> Wanted:
    """One item per profile that a target has and rendition that the profile is about."""
    recipes = _profile_recipes(workspace)
    pairs = sorted(
        {
            (target.profile.name, spec.name)
            for target in workspace.targets.values()
            for spec in target.specs.values()
            if target.profile is not None and spec.category in target.profile.categories
        }
    )
    parameters = {
        "profiles": [profile for profile, _ in pairs],
        "judged": [spec for _, spec in pairs],
        "recipes": [recipes[profile].hash for profile, _ in pairs],
        "renditions": list(RENDITIONS.values()),
    }
    return _COMPLIANCE, tuple(recipes.values()), parameters, _COMPLIANCE_LOOKED_UP


def wanted_files(workspace: Workspace) -> Wanted:
    """One item per target and rendition of its specs; the key is the path, in other targets `<target>:<path>`."""
    publish = Recipe(PUBLISHED, "rendition with texts", {"version": 1})
    recipes = _profile_recipes(workspace)
    absent = workspace.absent_roots()
    rows = []
    for target in workspace.targets.values():
        for spec in target.specs.values():
            profile = (
                target.profile.name if target.profile and spec.category in target.profile.categories else None
            )
            rows.append(
                (
                    "" if target.name == DEFAULT else f"{target.name}:",
                    spec.name,
                    spec.category,
                    spec.extension,
                    profile,
                    recipes[profile].hash if profile else None,
                    absent.get(target.name),
                )
            )
    names = ("prefixes", "specs", "categories", "extensions", "profiles", "recipes", "absent")
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    parameters: dict[str, Any] = {name: list(column) for name, column in zip(names, columns, strict=True)}
    return (
        _PUBLISHED,
        (publish,),
        parameters | {"publish": publish.hash, "renditions": list(RENDITIONS.values())},
        _PUBLISHED_LOOKED_UP,
    )


def _profile_recipes(workspace: Workspace) -> dict[str, Recipe]:
    return {
        target.profile.name: Recipe(
            COMPLIANCE, target.profile.name, {"version": 1, "profile": target.profile.model_dump(mode="json")}
        )
        for target in workspace.targets.values()
        if target.profile is not None
    }


def target_of(key: str) -> str:
    """The target of a production item, from its key."""
    target, colon, _ = key.partition(":")
    return target if colon else DEFAULT


def path_of(key: str) -> str:
    """The path of a production item in its target, from its key."""
    return key.rpartition(":")[2]
