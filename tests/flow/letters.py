"""A department for tests of the flow: it writes the words that are wanted into files of a folder of its own.

A person reads each letter and sends it off, or returns it with another greeting; what was let through is copied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection

from crown.flow import workspace as flow_workspace
from crown.flow.held_removals import RemovalRules
from crown.flow.stage import Flow, Stage
from crown.flow.stage_log import Message, Messages
from crown.flow.task import Context, each, temporary, verified
from crown.flow.worker_pool import WorkerPool
from crown.ledger.claims import Failed, Job, Made
from crown.ledger.recipes import Recipe
from crown.ledger.verdicts import DeclaredVerdict, Gate
from crown.store import files

LETTERS = "letters/letters"
SENT = "letters/sent"


class Greeting(BaseModel):
    """What a returned letter is to say instead."""

    model_config = ConfigDict(extra="forbid")
    greeting: str


REVIEW = Gate(
    LETTERS,
    (
        DeclaredVerdict("approve", batch=True),
        DeclaredVerdict("override", min_reason=10),
        DeclaredVerdict("return", min_reason=10, return_stages=(LETTERS,), payload=Greeting),
    ),
    called="letters",
)
REMOVALS = RemovalRules(LETTERS, confirm="crown letters confirm --apply", called="letters")
# A return counts as long as it holds on the bytes that were returned: the newest one decides what is written.
_WANTED = """
    select word as key, cast(:recipe as text) as recipe, cast('{}' as bigint[]) as inputs,
           array_remove(array[word, cast(back.decision_id as text)], null) as input_hashes,
           cast(null as text) as waiting_for, back.decision_id, 'b1' as batch
    from unnest(cast(:words as text[])) as word
    left join lateral (
        select decision_id from ledger.verdicts
        where stage = 'letters/letters' and subject = word and return_stage = 'letters/letters'
        order by decision_id desc limit 1) back on true
"""
# Undecided and returned letters wait at the gate; approved and overridden ones pass it.
_PASSED = """
    select l.key, cast(:recipe as text) as recipe, array_remove(array[m.output_id], null) as inputs,
           array[coalesce(m.content_hash, l.wanted)] as input_hashes,
           case when m.output_id is null then 'letters/letters'
                when v.decision_id is null then 'approval' end as waiting_for,
           case when m.output_id is null then 'upstream' else 'gate' end as waiting_kind, v.decision_id
    from ledger.items l
    left join ledger.outputs m on m.output_id = l.output_id and l.state = 'current'
    left join ledger.verdicts v on v.stage = l.asset and v.subject = l.key and v.content_hash = m.content_hash
                               and v.verdict in ('approve', 'override')
    where l.asset = 'letters/letters' and l.state <> 'retired'
"""


@dataclass(frozen=True)
class Letters(flow_workspace.Workspace):
    """The department's workspace: a folder, and the words that are wanted."""

    words: tuple[str, ...] = ()
    department = "letters"
    assets = (LETTERS, SENT)
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
    greeting = (job.payload or job.recipe_body)["greeting"]
    return _written(job, context, f"{job.key}.txt", f"{greeting} {job.key}")


def send(jobs: Sequence[Job], context: Context) -> list[Made | Failed]:
    """Copy each letter into the folder of those that were sent."""
    return [each(job, context, _send) for job in jobs]


def _send(job: Job, context: Context) -> Made:
    return _written(job, context, f"sent/{job.key}.txt", verified(job.inputs[0], context).read_text())


def _written(job: Job, context: Context, path: str, words: str) -> Made:
    unfinished = temporary("letters", path, context)
    unfinished.write_text(words)
    files.finish(unfinished, context["ownership"])
    content_hash, size = files.sha256(unfinished), unfinished.stat().st_size
    return Made(job, content_hash, "letters", path, size, unfinished=str(unfinished))


def stage(workspace: Letters, asset: str, supposed: Connection | None) -> Stage:
    context, place = workspace.context, workspace.place
    if asset == SENT:
        copy = Recipe(SENT, "copy", {"version": 1})
        pool = WorkerPool((SENT,), send, context, place, in_process=True)
        return Stage(SENT, _PASSED, (copy,), {"recipe": copy.hash}, pool, frozenset({copy.hash}))
    recipe = Recipe(asset, "letter", {"version": 1, "greeting": "Dear"})
    pool = WorkerPool((asset,), write, context, place, in_process=True)
    parameters = {"recipe": recipe.hash, "words": list(workspace.words)}
    return Stage(asset, _WANTED, (recipe,), parameters, pool, removals=REMOVALS)


def word(key: str) -> str:
    return key.removesuffix(".txt")


MESSAGES = Messages(
    {LETTERS: Message("written", "letter_written"), SENT: Message("sent", "letter_sent")}, word, word, word
)
FLOW: Flow[Letters] = Flow(stage, MESSAGES)
