"""Planning that compares items by their inputs plans the same as planning that hashes them all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from crown.ledger import planning
from crown.ledger.recipes import Recipe, register

RECIPES = tuple(Recipe("test/made", "copy", {"version": version}) for version in (1, 2))
#: What is wanted of each key: nothing, or the recipe, the source and what it waits for.
WANTED = st.dictionaries(
    st.sampled_from("abcd"),
    st.tuples(
        st.sampled_from(RECIPES), st.sampled_from([None, 0, 1, 2]), st.sampled_from([None, "a person"])
    ),
)
_WANTED = """
    select g.key, g.recipe, array_remove(array[g.source], null) as inputs, g.waiting_for {hashed}
    from unnest(cast(:keys as text[]), cast(:recipes as text[]), cast(:sources as bigint[]),
                cast(:waiting as text[])) as g(key, recipe, source, waiting_for)
    left join ledger.outputs m on m.output_id = g.source
"""
_HASHED = ", array[coalesce(m.content_hash, g.key)] as input_hashes, cast(null as bigint) as decision_id"
_LOOKED_UP = """
    select array[coalesce((select content_hash from ledger.outputs where output_id = w.inputs[1]), w.key)]
               as input_hashes, cast(null as bigint) as decision_id
"""
_STATE = """
    select i.key, i.state, i.waiting_for, i.wanted, i.recipe, i.made, m.key, m.fingerprint
    from ledger.items i left join ledger.outputs m using (output_id) where i.asset = 'test/made' order by i.key
"""


def _sources(connection: Connection) -> list[int]:
    """Three outputs; two of them are the same bytes."""
    register(connection, [Recipe("test/source", "given", {}), *RECIPES])
    return list(
        connection.execute(
            text(
                "insert into ledger.outputs (asset, key, fingerprint, content_hash, recipe)"
                " select 'test/source', n, n, case n when '2' then '1' else n end, :recipe"
                " from unnest(array['0', '1', '2']) n returning output_id"
            ),
            {"recipe": Recipe("test/source", "given", {}).hash},
        ).scalars()
    )


def _given(wanted: dict[str, tuple[Recipe, int | None, str | None]], sources: list[int]) -> dict[str, Any]:
    rows = [(key, *row) for key, row in wanted.items()]
    return {
        "keys": [key for key, *_ in rows],
        "recipes": [recipe.hash for _, recipe, _, _ in rows],
        "sources": [None if source is None else sources[source] for _, _, source, _ in rows],
        "waiting": [waiting for *_, waiting in rows],
    }


def _make_all(connection: Connection) -> None:
    connection.execute(
        text(
            "with m as (insert into ledger.outputs (asset, key, fingerprint, content_hash, recipe)"
            "  select asset, key, wanted, wanted, recipe from ledger.items where state = 'pending'"
            "  returning output_id, key, fingerprint)"
            " update ledger.items i set state = 'current', output_id = m.output_id, made = m.fingerprint"
            " from m where i.asset = 'test/made' and i.key = m.key"
        )
    )


@pytest.mark.parametrize("looked_up", [None, _LOOKED_UP])
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(WANTED, min_size=1, max_size=6))
def test_comparing_by_inputs_plans_what_hashing_everything_plans(
    engine: Engine, looked_up: str | None, steps: list[dict[str, tuple[Recipe, int | None, str | None]]]
) -> None:
    told: list[list[Any]] = []
    for by_inputs in (False, True):
        lazily = looked_up if by_inputs else None
        with engine.connect() as connection:
            sources, seen = _sources(connection), []
            for wanted in steps:
                done = planning.plan(
                    connection,
                    "test/made",
                    _WANTED.format(hashed="" if lazily else _HASHED),
                    _given(wanted, sources),
                    inputs_decide=by_inputs,
                    looked_up=lazily,
                )
                seen.append((done, [tuple(row) for row in connection.execute(text(_STATE))]))
                _make_all(connection)
            connection.rollback()
        told.append(seen)
    assert told[0] == told[1]
