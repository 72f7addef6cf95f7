"""The tables of rehearsals; nothing in the ledger references them.

Rehearsals are run by `trial.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from crown.errors import BadInput
from crown.ledger.recipes import Recipe
from crown.product_images.workspace import Workspace

#: The numbers of `mask_difference.Difference`, as columns.
MEASURES = ("iou", "changed_share", "alpha_difference", "difference")


@dataclass(frozen=True)
class Result:
    """What came out for one photo; without `error` the bytes lie in the store under `after_hash`.

    The measures (see `mask_difference.Difference`) are None when there was no cut-out to compare with.
    """

    photo: str
    photo_hash: str | None
    before_hash: str | None = None
    after_hash: str | None = None
    size_bytes: int | None = None
    seconds: float | None = None
    before_facts: Mapping[str, Any] | None = None
    facts: Mapping[str, Any] | None = None
    iou: float | None = None
    changed_share: float | None = None
    alpha_difference: float | None = None
    difference: float | None = None
    score_before: int | None = None
    score_after: int | None = None
    error_class: str | None = None
    error: str | None = None

    @property
    def same_bytes(self) -> bool:
        """Whether the cut-out of today came out again."""
        return self.after_hash is not None and self.after_hash == self.before_hash

    def as_row(self) -> dict[str, Any]:
        """What people see of it."""
        measures = {name: getattr(self, name) for name in MEASURES}
        return {
            "photo": self.photo,
            **{name: None if value is None else round(value, 4) for name, value in measures.items()},
            "score_before": self.score_before,
            "score_after": self.score_after,
            "same_bytes": self.same_bytes,
            "error": self.error,
        }


@dataclass(frozen=True)
class Rehearsal:
    """A rehearsal, how many of its photos are `done`, and what came out (`results`, the worst differences first; empty
    in a list). `sheet` is a picture below `previews`. The record outlives its bytes (`bytes_removed_at`).
    """

    rehearsal_id: int
    model: str
    recipe: str
    body: Mapping[str, Any]
    chosen: str
    photos: tuple[str, ...]
    who: str
    began_at: datetime
    ended_at: datetime | None
    sheet: str | None
    done: int
    same_bytes: int
    failed: int
    worst_difference: float | None
    bytes_removed_at: datetime | None
    bytes_removed_by: str | None
    results: tuple[Result, ...] = field(default=(), repr=False)

    def as_row(self) -> dict[str, Any]:
        """One line of the list."""
        return {
            "rehearsal": self.rehearsal_id,
            "model": self.model,
            "photos": len(self.photos),
            "done": self.done,
            "same_bytes": self.same_bytes,
            "failed": self.failed,
            "worst_difference": None if self.worst_difference is None else round(self.worst_difference, 4),
            "chosen": self.chosen,
            "who": self.who,
            "began_at": self.began_at,
            "state": "finished" if self.ended_at else "unfinished",
            "bytes_removed_at": self.bytes_removed_at,
        }


def begin(workspace: Workspace, recipe: Recipe, chosen: str, photos: list[str], who: str) -> int:
    """Remember that a rehearsal began; returns its number."""
    with workspace.engine.begin() as connection:
        return connection.execute(
            text(
                "insert into product_images.rehearsals (model, recipe, body, chosen, photos, who)"
                " values (:model, :recipe, cast(:body as jsonb), :chosen, :photos, :who) returning rehearsal_id"
            ),
            {
                "model": recipe.body["model"],
                "recipe": recipe.hash,
                "body": json.dumps(dict(recipe.body)),
                "chosen": chosen,
                "photos": photos,
                "who": who,
            },
        ).scalar_one()


def remember(connection: Connection, rehearsal_id: int, result: Result) -> None:
    """Add what came out for one photo."""
    row = asdict(result) | {
        "id": rehearsal_id,
        "facts": None if result.facts is None else json.dumps(dict(result.facts)),
        "before_facts": None if result.before_facts is None else json.dumps(dict(result.before_facts)),
        "error": None if result.error is None else result.error.replace("\x00", ""),
    }
    connection.execute(
        text(
            "insert into product_images.rehearsal_results (rehearsal_id, photo, photo_hash, before_hash, before_facts,"
            " after_hash, size_bytes, seconds, facts, iou, changed_share, alpha_difference, difference, score_before,"
            " score_after, error_class, error) values (:id, :photo, :photo_hash, :before_hash,"
            " cast(:before_facts as jsonb), :after_hash, :size_bytes, :seconds, cast(:facts as jsonb), :iou,"
            " :changed_share, :alpha_difference, :difference, :score_before, :score_after, :error_class, :error)"
        ),
        row,
    )


def forget(workspace: Workspace, rehearsal_id: int) -> None:
    """Take out a rehearsal that was none."""
    with workspace.engine.begin() as connection:
        connection.execute(
            text("delete from product_images.rehearsals where rehearsal_id = :id"), {"id": rehearsal_id}
        )


def end(workspace: Workspace, rehearsal_id: int, sheet: str | None) -> Rehearsal:
    """Say that a rehearsal is finished, and where its sheet is below `previews`."""
    with workspace.engine.begin() as connection:
        connection.execute(
            text(
                "update product_images.rehearsals set ended_at = clock_timestamp(), sheet = :sheet"
                " where rehearsal_id = :id"
            ),
            {"id": rehearsal_id, "sheet": sheet},
        )
    return read(workspace, rehearsal_id)


def rehearsals(workspace: Workspace) -> list[Rehearsal]:
    """All that is remembered, newest first, without the results of each photo."""
    with workspace.engine.connect() as connection:
        return _heads(connection, None)


def read(workspace: Workspace, rehearsal_id: int) -> Rehearsal:
    """One rehearsal with its results.

    Raises:
        BadInput: there is none of that number.
    """
    with workspace.engine.connect() as connection:
        found = _heads(connection, rehearsal_id)
        if not found:
            raise BadInput(f"There is no rehearsal {rehearsal_id}; `crown images rehearsals` lists them.")
        columns = ", ".join(one.name for one in fields(Result))
        rows = connection.execute(
            text(
                f"select {columns} from product_images.rehearsal_results where rehearsal_id = :id"
                " order by error is null, difference desc nulls first, photo"
            ),
            {"id": rehearsal_id},
        )
        return replace(found[0], results=tuple(Result(**row._mapping) for row in rows))


def _heads(connection: Connection, rehearsal_id: int | None) -> list[Rehearsal]:
    rows = connection.execute(
        text(
            "select h.*, count(r.photo) as done, count(*) filter (where r.after_hash = r.before_hash) as same_bytes,"
            " count(r.error) as failed, max(r.difference) as worst_difference"
            " from product_images.rehearsals h left join product_images.rehearsal_results r using (rehearsal_id)"
            " where cast(:id as bigint) is null or rehearsal_id = :id"
            " group by h.rehearsal_id order by h.rehearsal_id desc"
        ),
        {"id": rehearsal_id},
    )
    return [Rehearsal(**{**row._mapping, "photos": tuple(row.photos)}) for row in rows]
