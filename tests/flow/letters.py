"""A department for tests of the flow: it writes the words that are wanted into files of a folder of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from crown.flow import workspace as flow_workspace
from crown.flow.stage import Flow, Stage
from crown.flow.stage_log import Message, Messages
from crown.flow.task import Context, each, temporary
from crown.flow.worker_pool import WorkerPool
from crown.ledger.claims import Failed, Job, Made
from crown.ledger.recipes import Recipe
from crown.store import files

LETTERS = "letters/letters"
_WANTED = """
    select word as key, cast(:recipe as text) as recipe, cast('{}' as bigint[]) as inputs, array[word] as input_hashes,
           cast(null as text) as waiting_for, cast(null as bigint) as decision_id
    from unnest(cast(:words as text[])) as word
"""


@dataclass(frozen=True)
class Letters(flow_workspace.Workspace):
    """The department's workspace: a folder, and the words that are wanted."""

    words: tuple[str, ...] = ()
    department = "letters"
    assets = (LETTERS,)
    command = "crown letters"

    @property
    def folders(self) -> Mapping[str, Path]:
        return {"letters": self.settings.home / "letters"}

    @property
    def our_roots(self) -> tuple[str, ...]:
        return ("letters",)


def write(jobs: Sequence[Job], context: Context) -> list[Made | Failed]:
    """Write each word into its file."""
    return [each(job, context, _write) for job in jobs]


def _write(job: Job, context: Context) -> Made:
    path = f"{job.key}.txt"
    unfinished = temporary("letters", path, context)
    unfinished.write_text(f"{job.recipe_body['greeting']} {job.key}")
    files.finish(unfinished, context["ownership"])
    content_hash, size = files.sha256(unfinished), unfinished.stat().st_size
    return Made(job, content_hash, "letters", path, size, unfinished=str(unfinished))


def stage(workspace: Letters, asset: str, supposed: Connection | None) -> Stage:
    recipe = Recipe(asset, "letter", {"version": 1, "greeting": "Dear"})
    pool = WorkerPool((asset,), write, workspace.context, workspace.place, in_process=True)
    return Stage(asset, _WANTED, (recipe,), {"recipe": recipe.hash, "words": list(workspace.words)}, pool)


def word(key: str) -> str:
    return key.removesuffix(".txt")


FLOW: Flow[Letters] = Flow(stage, Messages({LETTERS: Message("written", "letter_written")}, word, word, word))
