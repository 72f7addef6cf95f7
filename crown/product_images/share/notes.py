"""The folders of the share into which files are set aside, and the notes (`.error.txt`) beside these.

Why a file is set aside is decided in intake.py, moves.py and rejected.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from crown.errors import BadInput
from crown.flow.inbox import REASON, Refusals
from crown.product_images import names
from crown.product_images.workspace import (
    ERRORS,
    INBOX,
    MEDIA,
    NAME_CONFLICTS,
    READY,
    REJECTED,
    Workspace,
)

#: Of an approved picture that cannot be made into its outputs; written and removed by unrendered.py.
UNRENDERED = f".not_rendered{REASON}"


def refusals(workspace: Workspace) -> Refusals:
    """Where files that cannot be used go, and their notes."""

    def incoming() -> Sequence[Path]:
        ready = workspace.media(READY)
        return [
            workspace.media(INBOX),
            ready,
            *(folder for folder in ready.iterdir() if folder.is_dir()),
        ]

    return Refusals(
        workspace, MEDIA, (ERRORS, NAME_CONFLICTS, REJECTED), incoming, (UNRENDERED,), _product_number
    )


def _product_number(file_name: str) -> str | None:
    try:
        return names.parse(file_name).number
    except BadInput:
        return None
