"""Exceptions from the comparison with the export's formulas, and who signed them.

A signature is a decision on the hash of the exception's text: a changed text has to be signed again.
Does not belong here: the comparison itself (`oracles.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy import Connection

from crown.art_records.gates import FORMULA_EXCEPTIONS
from crown.errors import BadInput, Refused
from crown.journal.activity import Via
from crown.ledger import decisions, plans
from crown.ledger.decisions import Verdict
from crown.ledger.verdicts import Ruling


@dataclass(frozen=True)
class Exemption:
    """An exception of oracles.yaml: on which rows of a column the two may differ and why, and who signed that."""

    column: str
    rows: str
    reason: str
    text_hash: str
    signed_by: str | None = None
    signed_at: datetime | None = None

    @property
    def signed(self) -> str | None:
        """By whom and since when (day, UTC) it counts; None while nobody has signed it."""
        if self.signed_by is None or self.signed_at is None:
            return None
        return f"{self.signed_by}, {self.signed_at.astimezone(UTC):%Y-%m-%d}"


@cache
def described() -> Mapping[str, Any]:
    """oracles.yaml."""
    loaded: Mapping[str, Any] = yaml.safe_load(
        (Path(__file__).parent / "oracles.yaml").read_text(encoding="utf-8")
    )
    return loaded


def exemptions(connection: Connection) -> dict[str, Exemption]:
    """Every exception by its column, signed or not."""
    texts = {e["column"]: e for e in described()["exceptions"]}
    hashes = {column: plans.hash_of(e) for column, e in texts.items()}
    said = decisions.standing(connection, FORMULA_EXCEPTIONS.stage, hashes)
    found = {}
    for column, exception in texts.items():
        decision = said.get(column)
        signed = decision is not None and decision.verdict == "approve"
        found[column] = Exemption(
            column, exception["rows"], exception["reason"], hashes[column],
            decision.who if signed and decision else None, decision.decided_at if signed and decision else None,
        )  # fmt: skip
    return found


def sign(
    connection: Connection, column: str, seen: str, verdict: Verdict, *, who: str, via: Via, reason: str | None = None
) -> Exemption:  # fmt: skip
    """Sign the exception of a column, or withdraw the signature.

    Args:
        connection: An open transaction.
        column: The formula's column.
        seen: The hash of the text that the person read, or its first eight or more characters.
        verdict: approve or withdraw.
        who: The person.
        via: From where.
        reason: Why.

    Raises:
        BadInput: no such exception, too short a hash, or no name.
        Refused: the text is another one by now.
    """
    known = exemptions(connection)
    if column not in known:
        raise BadInput(f"There is no exception for {column}; choose {', '.join(known)}.")
    if not who.strip():
        raise BadInput("A signature needs a name: say who you are.")
    if len(seen) < 8:
        raise BadInput(
            "Give at least the first eight characters of the text's hash, as `crown art sign` shows it."
        )
    if not known[column].text_hash.startswith(seen):
        raise Refused(
            f"The text of the exception for {column} is {known[column].text_hash[:12]}, not {seen[:12]}; read it again."
        )
    ruling = Ruling(verdict, who, via, reason)
    decisions.decide(connection, FORMULA_EXCEPTIONS, column, known[column].text_hash, ruling)
    return exemptions(connection)[column]
