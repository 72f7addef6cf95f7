"""Compliance findings of renditions under a partner's profile, with the measured values. Read-only."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

from crown.product_images.workspace import COMPLIANCE


@dataclass(frozen=True)
class Offence:
    """A demand that a rendition does not meet."""

    photo: str
    spec: str
    rule: str
    severity: str
    measured: str
    wanted: str
    sentence: str


def judged(connection: Connection, profile: str) -> int:
    """How many renditions are judged under a profile now."""
    return connection.execute(
        text(
            "select count(*) from ledger.items where asset = :asset and state = 'current'"
            " and starts_with(key, :prefix)"
        ),
        {"asset": COMPLIANCE, "prefix": f"{profile}/"},
    ).scalar_one()


def offences(connection: Connection, profile: str) -> list[Offence]:
    """What does not meet a profile, errors first."""
    rows = connection.execute(
        text(
            "select split_part(i.key, '/', 2) as photo, split_part(i.key, '/', 3) as spec, f.*"
            " from ledger.items i join ledger.outputs m using (output_id),"
            " jsonb_to_recordset(m.facts -> 'findings')"
            "   as f(rule text, severity text, measured text, wanted text, sentence text)"
            " where i.asset = :asset and i.state = 'current' and starts_with(i.key, :prefix)"
            " order by f.severity, i.key, f.rule"
        ),
        {"asset": COMPLIANCE, "prefix": f"{profile}/"},
    )
    return [Offence(**row._mapping) for row in rows]
