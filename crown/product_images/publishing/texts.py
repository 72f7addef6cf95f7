"""Texts of products: those that people set for the pictures of a product, and the defaults.

The texts inside a file are written by `tags.py`; how a picture came to be (IPTC's digital source type) is derived
here from the recipe of its cut-out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, text

from crown.errors import BadInput
from crown.journal import activity
from crown.pictures.tags import Tags, refuse_too_long
from crown.product_images.publishing.products import known_number
from crown.product_images.workspace import DEPARTMENT, Workspace

#: Hashed in place of the texts of a product that has none of its own.
NONE = "none"
#: Texts that a person may give by the name of their tag; the others follow from the product or its cut-out.
FREE = ("artist", "make", "model", "copyright", "software")

_SAID = """
    select n.number, t.description, t.keywords, coalesce(t.free, '{}') as free,
           ledger.fingerprint(:recipe, array[coalesce(t.content, :none)]) as fingerprint
    from unnest(cast(:numbers as text[])) as n(number)
    left join product_images.texts_by_content t on t.product_number = n.number
"""


def standing(engine: Engine, recipe: str, numbers: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What is said of products now, each under the fingerprint that planning gives exactly these words."""
    with engine.connect() as connection:
        rows = connection.execute(text(_SAID), {"recipe": recipe, "none": NONE, "numbers": list(numbers)})
        return {row.fingerprint: dict(row._mapping) for row in rows}


def tags_for(number: str, said: Mapping[str, Any], usual: Mapping[str, str]) -> Tags:
    """The texts of a product: its own words, and for what they leave out the company's.

    Args:
        number: the product number.
        said: `description`, `keywords` and `free` of the product; each may be empty.
        usual: `company`, `copyright` and `software`.

    Raises:
        BadInput: a text that picture files cannot hold.
    """
    company = usual["company"]
    words = [word for word in (company.replace(";", ","), number, "product") if word.strip()]
    texts = {
        "artist": company,
        "make": company,
        "model": number,
        "copyright": usual["copyright"],
        "software": usual["software"],
        **said["free"],
    }
    return Tags(
        **texts,
        image_description=said["description"] or " ".join(part for part in (company, number) if part),
        keywords=tuple(said["keywords"] or words),
        product_number=number,
    )


def tags_from(facts: Mapping[str, Any], source_type: str) -> Tags:
    """The texts that an output of `product_images/texts` holds, with how the picture came to be."""
    return Tags(**{**facts, "keywords": tuple(facts["keywords"]), "digital_source_type": source_type})


def source_type(recipe_name: str, recipe_body: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """IPTC's digital source type of a cut-out.

    Trained networks take part in every engine, ours among them. A retouch is a person's work, unless an engine had cut
    the photo out before: then that stays said.
    """
    if recipe_name == "retouch":
        after_model = recipe_body.get("after") == "trained model"
        return "compositeWithTrainedAlgorithmicMedia" if after_model else "humanEdits"
    if facts.get("engine") == "kept":
        return "humanEdits"
    return "compositeWithTrainedAlgorithmicMedia"


def say(
    workspace: Workspace,
    number: str,
    *,
    who: str,
    via: activity.Via,
    description: str | None = None,
    keywords: Sequence[str] | None = None,
    free: Mapping[str, str] | None = None,
) -> Tags:
    """Change the texts of a product; what is None stays, what is empty goes back to the usual text.

    Returns:
        The texts as they will be written, but for the source type, which each picture has of its own.

    Raises:
        BadInput: a product of which no photo was taken in, an unknown tag, or a text that picture files cannot hold.
        Refused: texts longer than picture files can hold.
    """
    unknown = sorted(set(free or {}) - set(FREE))
    if unknown:
        raise BadInput(f"{unknown[0]!r} is not a text you can give; give {', '.join(FREE)}.")
    with workspace.engine.begin() as connection:
        number = known_number(connection, number)
        before = _of(connection, number)
        after: dict[str, Any] = {
            "description": before["description"] if description is None else description or None,
            "keywords": before["keywords"] if keywords is None else list(keywords) or None,
            "free": {name: value for name, value in {**before["free"], **(free or {})}.items() if value},
        }
        tags = tags_for(number, after, usual(workspace))
        if after == before:
            return tags
        refuse_too_long(tags, number)
        connection.execute(
            text(
                "insert into product_images.product_texts (product_number, description, keywords, free, who)"
                " values (:number, :description, cast(:keywords as text[]), cast(:free as jsonb), :who)"
                " on conflict (product_number) do update set description = excluded.description,"
                " keywords = excluded.keywords, free = excluded.free, who = excluded.who,"
                " changed_at = clock_timestamp()"
            ),
            {**after, "free": json.dumps(after["free"]), "number": number, "who": who},
        )
        activity.record(
            connection,
            who=who,
            what="texts_changed",
            subject=number,
            department=DEPARTMENT,
            via=via,
            entity=number,
            old=before,
            new=after,
        )
    return tags


def usual(workspace: Workspace) -> dict[str, str]:
    """The company's texts, for every product that says nothing else."""
    return {
        "company": workspace.settings.product_images.company_name,
        "copyright": workspace.settings.product_images.copyright_notice,
        "software": "Crown",
    }


def _of(connection: Connection, number: str) -> dict[str, Any]:
    row = connection.execute(
        text(
            "select description, keywords, free from product_images.product_texts where product_number = :number"
        ),
        {"number": number},
    ).first()
    return {"description": None, "keywords": None, "free": {}} if row is None else dict(row._mapping)
