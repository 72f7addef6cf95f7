"""Recipes: everything that decides a result apart from its inputs, hashed in canonical form.

The fingerprint itself is computed in one place only, the SQL function ledger.fingerprint.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text


@dataclass(frozen=True)
class Recipe:
    """A named recipe of one asset. `body` is JSON-able and carries its own `version`."""

    asset: str
    name: str
    body: Mapping[str, Any]

    @property
    def hash(self) -> str:
        """sha256 (hex) of the canonical JSON of name and body."""
        return hashlib.sha256(canonical({"name": self.name, "body": self.body})).hexdigest()


def canonical(value: Any) -> bytes:
    """JSON with sorted keys, no spaces, UTF-8: equal values give equal bytes.

    Raises:
        ValueError: NaN or infinity, which have no JSON form.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def register(connection: Connection, recipes: Iterable[Recipe]) -> None:
    """Record recipes that the ledger has not seen; known ones cost nothing."""
    rows = [
        {"recipe": r.hash, "asset": r.asset, "name": r.name, "body": json.dumps(dict(r.body))}
        for r in recipes
    ]
    if rows:
        connection.execute(
            text(
                "insert into ledger.recipes (recipe, asset, name, body)"
                " select :recipe, :asset, :name, cast(:body as jsonb)"
                " where not exists (select from ledger.recipes where recipe = :recipe)"
                " on conflict do nothing"
            ),
            rows,
        )
