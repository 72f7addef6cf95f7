"""A batch of ours as a batch for Plainly: rows from approved matches, and the record of what was sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, text

from crown.errors import BadInput, Refused
from crown.journal import activity
from crown.motion_jobs.after_effects.ae_project import read_project
from crown.motion_jobs.deliverables.plainly_batch import PlainlyOrder, PlainlyRow, plainly_payload
from crown.motion_jobs.jobs import jobs
from crown.motion_jobs.matches.template_contract import contract_of
from crown.motion_jobs.workspace import APPROVED, DEPARTMENT, INGESTED, MATCHES, Workspace
from crown.store import files


@dataclass(frozen=True, slots=True)
class PlainlyTarget:
    """Where a batch goes.

    Attributes:
        project_id: Plainly's id of the uploaded project.
        template_id: Plainly's id of its template.
        media_url: Address below which Plainly finds each picture as `JOB/FILE`.
    """

    project_id: str
    template_id: str
    media_url: str


def payload_of_batch(workspace: Workspace, batch: str, target: PlainlyTarget) -> dict[str, Any]:
    """The payload for the completed jobs of a batch.

    Raises:
        BadInput: There is no such batch, or none of its jobs is completed.
        Refused: Its jobs have several templates, the template was changed since, or a row does not fit it.
    """
    with workspace.engine.connect() as connection:
        chosen = jobs.choose(connection, (), ("completed",), batch=batch)
        facts = {one.job_id: _facts(connection, one.job_id) for one in chosen}
        templates = {(fact["aepx_path"], fact["project_sha256"], fact["comp_id"]) for fact in facts.values()}
        if len(templates) != 1:
            names = ", ".join(sorted({Path(path).name for path, _, _ in templates}))
            raise Refused(
                f"{batch} has jobs of several templates ({names}); Plainly takes one for each batch."
            )
        path, sha256, comp_id = templates.pop()
        if not Path(path).is_file() or files.sha256(Path(path)) != sha256:
            raise Refused(f"{path} was changed since the jobs of {batch} were made; run them again.")
        rows = [_row(workspace, connection, job_id, fact, target.media_url) for job_id, fact in facts.items()]
    contract = contract_of(read_project(Path(path)), comp_id)
    return plainly_payload(contract, PlainlyOrder(target.project_id, target.template_id, rows))


def _facts(connection: Connection, job_id: str) -> dict[str, Any]:
    facts = connection.execute(
        text("select facts from motion.made where job_id = :job and asset = :asset"),
        {"job": job_id, "asset": INGESTED},
    ).scalar_one_or_none()
    if facts is None:
        raise BadInput(f"{job_id} is being made again; wait until it is completed.")
    return dict(facts)


def _row(
    workspace: Workspace, connection: Connection, job_id: str, facts: dict[str, Any], media_url: str
) -> PlainlyRow:
    approved = jobs.document(workspace, connection, job_id, APPROVED) or {}
    matches = jobs.document(workspace, connection, job_id, MATCHES) or {}
    pairs = {one["slot_id"]: one["layer_id"] for one in approved["pairs"]}
    texts = {one["id"]: one["text"] for one in matches["layers"]}
    pictures = {one["layer_id"]: Path(one["path"]).name for one in facts["assets"] if "layer_id" in one}
    values: dict[str, str] = {}
    keeps = set()
    for slot in matches["slots"]:
        layer_id = pairs.get(slot["id"])
        if layer_id is None:
            keeps.add(slot["name"])
        elif slot["is_text"]:
            values[slot["name"]] = texts[layer_id]
        else:
            values[slot["name"]] = f"{media_url.rstrip('/')}/{quote(job_id)}/{quote(pictures[layer_id])}"
    return PlainlyRow(job_id, values, frozenset(keeps))


@dataclass(frozen=True, slots=True)
class PlainlyRecord:
    """The record of sent batches in the database; each step is its own transaction, so that a crash leaves it."""

    engine: Engine
    job_ids: Sequence[str]
    who: str

    def begin(self, payload_hash: str) -> str | None:
        """Record that a batch is about to be sent; the id that Plainly gave it when it was sent before."""
        with self.engine.begin() as connection:
            new = connection.execute(
                text(
                    "insert into motion.plainly_batches (payload_hash, jobs, begun_by) values (:hash, :jobs, :who)"
                    " on conflict (payload_hash) do nothing returning payload_hash"
                ),
                {"hash": payload_hash, "jobs": list(self.job_ids), "who": self.who},
            ).scalar_one_or_none()
            if new is not None:
                return None
            row = connection.execute(
                text(
                    "select plainly_id, begun_by, begun_at from motion.plainly_batches where payload_hash = :hash"
                ),
                {"hash": payload_hash},
            ).one()
        if row.plainly_id is None:
            raise Refused(
                f"{row.begun_by} was sending this batch at {row.begun_at:%Y-%m-%d %H:%M} and Plainly's answer is not"
                " known. Look for its jobs in Plainly; --again sends it when they are not there."
            )
        return str(row.plainly_id)

    def finish(self, payload_hash: str, batch_id: str) -> None:
        """Record what Plainly answered, and who sent it in the trail."""
        with self.engine.begin() as connection:
            connection.execute(
                text(
                    "update motion.plainly_batches set plainly_id = :id, answered_at = clock_timestamp()"
                    " where payload_hash = :hash"
                ),
                {"id": batch_id, "hash": payload_hash},
            )
            activity.record_all(
                connection,
                [
                    activity.Entry(
                        who=self.who,
                        what="user_action:plainly_batch",
                        subject=job_id,
                        department=DEPARTMENT,
                        via="cli",
                        entity=job_id,
                        new={"plainly_batch": batch_id, "payload": payload_hash},
                        context={"stage": 4},
                    )
                    for job_id in self.job_ids
                ],
            )

    def forget(self, payload_hash: str) -> None:
        """Record that Plainly did not take it."""
        with self.engine.begin() as connection:
            connection.execute(
                text("delete from motion.plainly_batches where payload_hash = :hash and plainly_id is null"),
                {"hash": payload_hash},
            )
