"""Stage 4: what speaks against a job's package, by Plainly's rules and by ours. What follows is wanted.py.

A finding that blocks cannot be overridden: the package could not be made, or would render black. Plainly's rules never
block: a person who renders elsewhere may override each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from crown.motion_jobs.deliverables import plainly
from crown.motion_jobs.jobs.job_edits import changes_of, missing_footage
from crown.motion_jobs.matches.job_warnings import JobWarning
from crown.motion_jobs.matches.pairs import Pair
from crown.motion_jobs.sources import Psd, ReadProject


@dataclass(frozen=True)
class JobFinding:
    """One finding: who found it (plainly, crown), how bad it is, and whether a person may override it."""

    source: str
    rule: str
    severity: str
    message: str
    blocks: bool = False


def findings_of(
    psd: Psd,
    read: ReadProject,
    comp_id: int,
    pairs: Sequence[Pair],
    warnings: Sequence[JobWarning],
    render_root: str,
) -> dict[str, Any]:
    """The report of a job: score and grade, and every finding, the most serious first."""
    report = plainly.validate(read.project)
    found = [JobFinding("plainly", one.rule, one.severity, one.message) for one in report.findings]
    found += [
        JobFinding("crown", one.type, one.severity, one.message)
        for one in warnings
        if one.type != "missing_asset"
    ]
    if read.difference:
        found.append(JobFinding("crown", "round_trip", "critical", read.difference, blocks=True))
    changes = changes_of(psd, read.project, comp_id, pairs, render_root)
    for item in missing_footage(read.project, changes):
        message = (
            f"The footage {item.name!r} ({item.file}) is not here and nothing replaces it: it would render black. "
            "Put it beside the project, or below a folder that is allowed."
        )
        found.append(JobFinding("crown", "missing_footage", "critical", message, blocks=True))
    order = ("critical", "warning", "info")
    found.sort(key=lambda one: (order.index(one.severity), one.source, one.rule, one.message))
    return {
        "score": report.score,
        "grade": report.grade,
        "plainly_ready": report.plainly_ready,
        **{severity: sum(one.severity == severity for one in found) for severity in order},
        "blocking": sum(one.blocks for one in found),
        "findings": [asdict(one) for one in found],
        "changes": [asdict(one) for one in changes.listed],
        "verified": "structure",
        "opened_in_after_effects": "not tested",
    }
