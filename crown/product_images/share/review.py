"""Review: the cut-outs that people see, and what they say of them.

The console, the command line and the habit of moving a file (moves.py) write the same row of the decision ledger.
Nothing is rendered or published here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from crown.errors import BadInput
from crown.flow import review
from crown.journal import activity
from crown.ledger import decisions
from crown.ledger.decisions import Decision, Verdict
from crown.ledger.verdicts import Ruling
from crown.product_images.gates import CUTOUT_REVIEW
from crown.product_images.names import matches, patterns_of, photo_name
from crown.product_images.workspace import CUTOUTS, Workspace


@dataclass(frozen=True)
class Cutout:
    """A current cut-out and what has been said of it."""

    photo: str
    content_hash: str
    path: Path
    facts: dict[str, Any]
    verdict: str | None
    who: str | None
    reason: str | None


@dataclass(frozen=True)
class Chosen:
    """Bytes that an act is about: their score, the verdict in force, whose it is, and the verdict in force `then`."""

    photo: str
    content_hash: str
    score: float | None
    verdict: str | None
    who: str | None
    then: str | None


def cutouts(
    workspace: Workspace, pattern: str = "*", *, undecided: bool = False, photos: Iterable[str] | None = None
) -> list[Cutout]:
    """Current cut-outs whose photo key is `pattern` or matches it as a shell pattern, the doubtful first.

    Args:
        workspace: the department's workspace.
        pattern: shell pattern of photo keys.
        undecided: only those of which nothing has been said.
        photos: only these photo keys.
    """
    return _cutouts(workspace, [pattern], undecided=undecided, photos=photos)


def _cutouts(
    workspace: Workspace,
    patterns: Sequence[str],
    *,
    undecided: bool = False,
    photos: Iterable[str] | None = None,
) -> list[Cutout]:
    chosen = None if "*" in patterns else patterns_of(patterns)
    with workspace.engine.connect() as connection:
        rows = review.current(connection, CUTOUTS, patterns=chosen, subjects=photos, undecided=undecided)
    found = [
        Cutout(
            row.subject,
            row.content_hash,
            workspace.objects.path(row.content_hash),
            row.facts,
            row.verdict,
            row.who,
            row.reason,
        )
        for row in rows
    ]
    return sorted(found, key=lambda c: (c.facts.get("triage", {}).get("score", 100), c.photo))


def decide(
    workspace: Workspace,
    pattern: str,
    verdict: Verdict,
    *,
    who: str,
    via: activity.Via,
    reason: str | None = None,
) -> list[Decision]:
    """Decide on every current cut-out that matches; see `choose` and `decide_on`."""
    return decide_on(
        workspace, choose(workspace, [pattern], verdict), verdict, who=who, via=via, reason=reason
    )


def choose(
    workspace: Workspace, patterns: Sequence[str], verdict: Verdict, *, score_above: float | None = None
) -> list[Chosen]:
    """The bytes that a decision on patterns would be about: the current cut-outs that match any of them.

    Withdrawing is about every decision in force on a matching photo, on earlier bytes of it too.

    Args:
        workspace: the department's workspace.
        patterns: shell patterns of photo keys, or keys.
        verdict: what is to be said.
        score_above: only cut-outs of which nothing has been said and whose score is higher.

    Raises:
        BadInput: a pattern matches nothing.
    """
    if verdict == "withdraw":
        with workspace.engine.connect() as connection:
            standing = review.decided(connection, CUTOUTS, patterns_of(patterns))
        known = [Chosen(s.subject, s.content_hash, None, s.verdict, s.who, s.then) for s in standing]
        return _each_matched(known, patterns, "No decision is in force on a cut-out that matches")
    known = [
        Chosen(c.photo, c.content_hash, c.facts.get("triage", {}).get("score"), c.verdict, c.who, verdict)
        for c in _cutouts(workspace, patterns, undecided=score_above is not None)
    ]
    if score_above is not None:
        known = [one for one in known if one.score is not None and one.score > score_above]
    what = "cut-out" if score_above is None else f"undecided cut-out with a score above {score_above:g}"
    return _each_matched(known, patterns, f"No {what} matches")


def _each_matched(found: list[Chosen], patterns: Sequence[str], nothing: str) -> list[Chosen]:
    for pattern in patterns:
        if not any(matches(one.photo, pattern) for one in found):
            raise BadInput(f"{nothing} {pattern!r}; `crown images status --review` lists what waits.")
    return found


def decide_on(
    workspace: Workspace,
    chosen: Sequence[Chosen],
    verdict: Verdict,
    *,
    who: str,
    via: activity.Via,
    reason: str | None = None,
) -> list[Decision]:
    """Decide on exactly the bytes that were chosen.

    Raises:
        BadInput: a rejection without a reason.
    """
    seen = [(one.photo, one.content_hash) for one in chosen]
    return decide_on_bytes(workspace, seen, verdict, who, via, reason)


def decide_on_bytes(
    workspace: Workspace,
    seen: Sequence[tuple[str, str]],
    verdict: Verdict,
    who: str,
    via: activity.Via,
    reason: str | None = None,
) -> list[Decision]:
    """Decide on photos and their bytes, whatever is current."""
    ruling = Ruling(verdict, who, via, reason)
    return review.decide(workspace, CUTOUT_REVIEW, seen, ruling, lambda photo: photo_name(photo).number)


def supposed(chosen: Sequence[Chosen], ruling: Ruling) -> Callable[[Connection], None]:
    """What `decide_on` would write, to be tried in a transaction that is rolled back."""

    def act(connection: Connection) -> None:
        seen = [(one.photo, one.content_hash) for one in chosen]
        decisions.decide_all(connection, CUTOUT_REVIEW, seen, ruling)

    return act
