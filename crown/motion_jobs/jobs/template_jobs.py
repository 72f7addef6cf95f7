"""Which jobs use a template, and what each put into its slots: what a new version of the template breaks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import text

from crown.motion_jobs.jobs import jobs
from crown.motion_jobs.matches.template_contract import Filled, JobUse
from crown.motion_jobs.workspace import APPROVED, MATCHES, Workspace

_PAST = ("completed", "archived")


def uses_of(workspace: Workspace, templates: Sequence[Path]) -> list[JobUse]:
    """The jobs of template files, the waiting ones first, with the layers that fill their slots.

    A job that is not approved yet counts with its proposed matches, and one without any with nothing.
    """
    with workspace.engine.connect() as connection:
        rows = connection.execute(
            text(
                "select job_id, status from motion.job_records where aepx_path = any(:paths)"
                " order by status = any(:past), job_id"
            ),
            {"paths": [str(path.absolute()) for path in templates], "past": list(_PAST)},
        ).all()
        found = []
        for row in rows:
            matches = jobs.document(workspace, connection, row.job_id, MATCHES) or {}
            approved = jobs.document(workspace, connection, row.job_id, APPROVED) or {}
            pairs = approved.get("pairs", matches.get("matches", ()))
            state: Literal["past", "waiting"] = "past" if row.status in _PAST else "waiting"
            found.append(JobUse(row.job_id, state, tuple(_filled(matches, pairs))))
    return found


def _filled(matches: dict[str, Any], pairs: Sequence[dict[str, Any]]) -> Iterator[Filled]:
    slots = {one["id"]: one["name"] for one in matches.get("slots", ())}
    layers = {one["id"]: one for one in matches.get("layers", ())}
    for pair in pairs:
        layer = layers.get(pair["layer_id"])
        if layer is None:
            continue
        left, top, right, bottom = layer["box"] or (0, 0, 0, 0)
        yield Filled(
            pair["slot_id"],
            slots.get(pair["slot_id"], ""),
            layer["is_text"],
            layer["text"],
            right - left,
            bottom - top,
        )
