"""The gates of motion jobs: where people decide, and the verdicts that each knows. What follows is wanted.py."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from crown.ledger.verdicts import DeclaredVerdict, Gate
from crown.motion_jobs.matches.pairs import Pair
from crown.motion_jobs.workspace import MATCHES, PREVIEWS, VALIDATED

MIN_REASON = 10


class ApprovedMatches(BaseModel):
    """What an approval of matches carries: the pairs as the person wants them."""

    model_config = ConfigDict(extra="forbid")

    matches: list[Pair]


#: On the proposed matches of a job (stage 2).
MATCH_REVIEW = Gate(MATCHES, (DeclaredVerdict("approve", payload=ApprovedMatches),), called="matches")
#: On mapping sheet and layout estimate (stage 3); a rejected one goes back to matching.
PREVIEW_REVIEW = Gate(
    PREVIEWS,
    (
        DeclaredVerdict("approve"),
        DeclaredVerdict("approve_with_warnings"),
        DeclaredVerdict("reject", min_reason=MIN_REASON, return_stages=(MATCHES,)),
    ),
    called="previews",
)
#: On the findings of a job (stage 4), asked only where one is critical.
VALIDATION = Gate(
    VALIDATED,
    (
        DeclaredVerdict("override", min_reason=MIN_REASON),
        DeclaredVerdict("return", return_stages=(MATCHES,)),
    ),
)
GATES = (MATCH_REVIEW, PREVIEW_REVIEW, VALIDATION)
