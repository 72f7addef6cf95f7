"""Outputs that a department makes in a transaction of its own, without claims: a table's version, a received file.

Worker pools enter what they make through `claims`; here the caller's transaction holds both the output and its row.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from crown.ledger import recipes
from crown.ledger.recipes import Recipe


@dataclass(frozen=True)
class Current:
    """The current output of an item."""

    output_id: int
    key: str
    content_hash: str
    facts: Mapping[str, Any]


def enter(
    connection: Connection, *, key: str, content_hash: str, recipe: Recipe, inputs: Sequence[int] = (),
    run_id: str | None = None, facts: Mapping[str, Any] | None = None,
) -> int:  # fmt: skip
    """Enter an output of the recipe's asset and make its item current; returns its id.

    The same content from the same inputs is the same output. Without inputs the content itself is the input: a file
    from outside is what it is.

    Args:
        connection: The transaction that makes it.
        key: The item.
        content_hash: sha256 of what came out.
        recipe: How, and of which asset.
        inputs: Outputs that it was made of, in their order.
        run_id: The Dagster run.
        facts: JSON-able, about this output.
    """
    recipes.register(connection, [recipe])
    values = {
        "asset": recipe.asset, "key": key, "hash": content_hash, "recipe": recipe.hash, "inputs": list(inputs),
        "run_id": run_id, "facts": json.dumps(dict(facts or {})),
    }  # fmt: skip
    values["fingerprint"] = connection.execute(
        text(
            "select ledger.fingerprint(:recipe, coalesce((select array_agg(o.content_hash order by u.position)"
            " from unnest(cast(:inputs as bigint[])) with ordinality as u(output_id, position)"
            " join ledger.outputs o using (output_id)), array[cast(:hash as text)]))"
        ),
        values,
    ).scalar_one()
    # What was made of the same inputs before and came out otherwise is no longer current.
    connection.execute(
        text(
            "update ledger.outputs set present = false where asset = :asset and key = :key"
            " and fingerprint = :fingerprint and content_hash <> :hash and present"
        ),
        values,
    )
    output_id: int = connection.execute(
        text(
            "with known as (select output_id from ledger.outputs where asset = :asset and key = :key"
            "   and fingerprint = :fingerprint and present),"
            " new as (insert into ledger.outputs (asset, key, fingerprint, content_hash, recipe, run_id, facts)"
            "   select :asset, :key, :fingerprint, :hash, :recipe, :run_id, cast(:facts as jsonb)"
            "   where not exists (select from known) returning output_id),"
            " edges as (insert into ledger.output_inputs (output_id, input_id, position, role)"
            "   select distinct on (new.output_id, o.output_id) new.output_id, o.output_id, u.position,"
            "     substr(o.asset, strpos(o.asset, '/') + 1)"
            "   from new cross join unnest(cast(:inputs as bigint[])) with ordinality as u(input_id, position)"
            "   join ledger.outputs o on o.output_id = u.input_id order by 1, 2, 3)"
            " select output_id from known union all select output_id from new"
        ),
        values,
    ).scalar_one()
    connection.execute(
        text(
            "insert into ledger.items as i (asset, key, state, wanted, recipe, inputs, output_id, made)"
            " values (:asset, :key, 'current', :fingerprint, :recipe, cast(:inputs as bigint[]), :output, :fingerprint)"
            " on conflict (asset, key) do update set state = 'current', wanted = excluded.wanted,"
            " recipe = excluded.recipe, inputs = excluded.inputs, output_id = excluded.output_id, made = excluded.made,"
            " waiting_for = null, waiting_kind = null, attempts = 0, next_try = null, error_class = null, error = null,"
            " changed_at = clock_timestamp()"
        ),
        {**values, "output": output_id},
    )
    return output_id


def current(connection: Connection, asset: str) -> dict[str, Current]:
    """The current outputs of the items of an asset, by key."""
    rows = connection.execute(
        text(
            "select o.output_id, o.key, o.content_hash, o.facts from ledger.items i join ledger.outputs o using (output_id)"
            " where i.asset = :asset and i.state = 'current' order by o.key"
        ),
        {"asset": asset},
    )
    return {row.key: Current(**row._mapping) for row in rows}
