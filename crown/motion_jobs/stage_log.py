"""What is logged of jobs: the department's table of messages, and which job the key of an item is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from crown.flow.stage_log import Message, Messages
from crown.ledger.claims import Made
from crown.motion_jobs.workspace import (
    APPROVED,
    DEPLOYMENTS,
    INGESTED,
    MATCHES,
    PREVIEWS,
    VALIDATED,
)

PACKAGE_MADE = "package_made"


def job_of(key: str) -> str:
    """The items of jobs have the job's id as their key."""
    return key


def job_of_path(path: str) -> str:
    """The job in the path of a package's file."""
    parts = PurePosixPath(path).parts
    return parts[2] if len(parts) > 2 else path


def _matched(group: Sequence[Made]) -> Mapping[str, object]:
    facts = group[-1].facts
    return {"content_hash": group[-1].content_hash, "matched": facts["matched"], "slots": facts["slots"]}


def _judged(group: Sequence[Made]) -> Mapping[str, object]:
    facts = group[-1].facts
    return {"critical": facts["critical"], "score": facts["score"], "grade": facts["grade"]}


def _packed(group: Sequence[Made]) -> Mapping[str, object]:
    facts = group[-1].facts
    return {"content_hash": group[-1].content_hash, "project": facts["project"], "files": facts["files"]}


MESSAGES = Messages(
    {
        INGESTED: Message("ingested", "preprocessing_complete"),
        MATCHES: Message("matched", "layers_matched", _matched),
        APPROVED: Message("took over the approved matches"),
        PREVIEWS: Message("drawn for approval", "preview_made"),
        VALIDATED: Message("validated", "job_validated", _judged),
        DEPLOYMENTS: Message("packed", PACKAGE_MADE, _packed),
    },
    subject_of=job_of,
    number_of=job_of,
    number_of_path=job_of_path,
)
