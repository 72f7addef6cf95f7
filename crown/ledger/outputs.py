"""Enters outputs that no worker made: bytes that were found, or made for another purpose and are taken over.

They have no claim; the next planning finds them, and has nothing made where their fingerprint is the wanted one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, text


@dataclass(frozen=True)
class Existing:
    """Bytes that exist already. Without a fingerprint they are their own input."""

    key: str
    content_hash: str
    root: str
    path: str
    size_bytes: int
    fingerprint: str | None = None
    seconds: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    #: Outputs that they were made of, in order.
    inputs: tuple[int, ...] = ()


_ENTER = """
with given as (
    select * from unnest(
        cast(:keys as text[]), cast(:hashes as text[]), cast(:roots as text[]), cast(:paths as text[]),
        cast(:sizes as bigint[]), cast(:fingerprints as text[]), cast(:seconds as real[]), cast(:facts as text[]),
        cast(:versions as text[]), cast(:inputs as text[]))
    as g(key, content_hash, root, path, size_bytes, fingerprint, seconds, facts, versions, inputs)
), output as (
    insert into ledger.outputs (asset, key, fingerprint, content_hash, root, path, size_bytes, recipe, decision_id,
                                seconds, facts, versions)
    select :asset, key, coalesce(fingerprint, ledger.fingerprint(:recipe, array[content_hash])), content_hash, root,
           path, size_bytes, :recipe, cast(:decision as bigint), seconds, cast(facts as jsonb), cast(versions as jsonb)
    from given
    on conflict (asset, key, fingerprint) where present do nothing
    returning output_id, key
), edges as (
    insert into ledger.output_inputs (output_id, input_id, position, role)
    select output.output_id, s.output_id, u.position, substr(s.asset, strpos(s.asset, '/') + 1)
    from output join given using (key)
    cross join unnest(cast(given.inputs as bigint[])) with ordinality as u(input_id, position)
    join ledger.outputs s on s.output_id = u.input_id
)
select count(*) from output
"""


def enter(
    connection: Connection,
    asset: str,
    existing: Sequence[Existing],
    *,
    recipe: str,
    decision_id: int | None = None,
) -> int:
    """Enter outputs of one recipe, with one statement; those that are entered already stay. Returns how many are new."""
    if not existing:
        return 0
    return connection.execute(
        text(_ENTER),
        {
            "asset": asset,
            "recipe": recipe,
            "decision": decision_id,
            "keys": [one.key for one in existing],
            "hashes": [one.content_hash for one in existing],
            "roots": [one.root for one in existing],
            "paths": [one.path for one in existing],
            "sizes": [one.size_bytes for one in existing],
            "fingerprints": [one.fingerprint for one in existing],
            "seconds": [one.seconds for one in existing],
            "facts": [json.dumps(dict(one.facts)) for one in existing],
            "versions": [json.dumps(dict(one.versions)) for one in existing],
            "inputs": ["{" + ",".join(str(number) for number in one.inputs) + "}" for one in existing],
        },
    ).scalar_one()
