"""Batches for Plainly's API: the payload of many jobs, checked against the contract, and its sending, once.

Plainly takes a batch as a whole or not at all and knows no key by which it would recognise one that it has.
So what is sent is recorded before it is sent, and a sending whose answer got lost is not repeated by itself.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx

from crown.errors import (
    BadInput,
    ConfigurationError,
    PermanentFailure,
    Refused,
    SourceOutage,
    TemporaryFailure,
)
from crown.motion_jobs.matches.template_contract import Contract, Slot

SOURCE = "plainly"
_TIMEOUT = httpx.Timeout(60, connect=10)
_MOST_ROWS = 1000
_PAUSE = 60.0


@dataclass(frozen=True, slots=True)
class PlainlyRow:
    """One job: a text, or the address of a file, by the name of its slot. `keeps`: slots left as the template has them."""

    job_id: str
    values: Mapping[str, str]
    keeps: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PlainlyOrder:
    """A batch for one template.

    Attributes:
        project_id: Plainly's id of the uploaded project.
        template_id: Plainly's id of the template, which renders one composition.
        rows: The jobs.
        parameters: Plainly's parameter by slot, where its name is not that of the slot.
    """

    project_id: str
    template_id: str
    rows: Sequence[PlainlyRow]
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sent:
    """A batch that Plainly took, and the id that it gave it."""

    payload_hash: str
    batch_id: str
    renders: int
    again: bool


class SentBatches(Protocol):
    """Where sent batches are recorded."""

    def begin(self, payload_hash: str) -> str | None:
        """Record that a batch is about to be sent; the id that Plainly gave it when it was sent before.

        Raises:
            Refused: It was begun before and its answer is not known.
        """

    def finish(self, payload_hash: str, batch_id: str) -> None:
        """Record what Plainly answered."""

    def forget(self, payload_hash: str) -> None:
        """Record that Plainly did not take it."""


def plainly_payload(contract: Contract, order: PlainlyOrder) -> dict[str, Any]:
    """The body of `POST /api/v2/batch`.

    Raises:
        Refused: Rows do not fit the contract; the sentence lists the first problems.
    """
    problems = list(_problems(contract, order))
    if problems:
        more = f" And {len(problems) - 5} more." if len(problems) > 5 else ""
        raise Refused(f"The batch does not fit {contract.template}: {' '.join(problems[:5])}{more}")
    names = order.parameters
    return {
        "projectId": order.project_id,
        "templateIds": [order.template_id],
        "batchData": [
            {
                "parameters": {names.get(slot, slot): value for slot, value in row.values.items()},
                "attributes": {"job_id": row.job_id, "contract_version": contract.version},
                "webhookPassthrough": row.job_id,
            }
            for row in order.rows
        ],
    }


def _problems(contract: Contract, order: PlainlyOrder) -> Iterator[str]:
    if not order.project_id.strip() or not order.template_id.strip():
        yield "Plainly's ids of project and template are needed."
    if not 1 <= len(order.rows) <= _MOST_ROWS:
        yield f"A batch has 1 to {_MOST_ROWS:,} jobs, not {len(order.rows):,}."
    twins = [job for job, count in Counter(row.job_id for row in order.rows).items() if count > 1]
    yield from (f"The job {job} is in it twice." for job in twins)
    slots = {slot.name: slot for slot in contract.slots}
    shared = Counter(order.parameters.get(name, name) for name in slots)
    yield from (
        f"The parameter {name!r} is that of several slots." for name, count in shared.items() if count > 1
    )
    for row in order.rows:
        for name, value in row.values.items():
            if problem := _value_problem(slots.get(name), name, value):
                yield f"{row.job_id}: {problem}"
        for slot in contract.slots:
            if slot.required and slot.name not in row.keeps and not row.values.get(slot.name):
                yield f"{row.job_id}: the {slot.kind} slot {slot.name!r} is required."


def _value_problem(slot: Slot | None, name: str, value: str) -> str | None:
    if slot is None:
        return f"there is no slot {name!r}."
    if not slot.unique:
        return f"the name {name!r} is that of several layers."
    if slot.driven:
        return f"the slot {name!r} gets its value from an expression."
    if slot.kind != "text" and urlsplit(value).scheme not in ("http", "https"):
        return f"the {slot.kind} slot {name!r} takes an address that Plainly can load, not {value[:60]!r}."
    return None


def payload_hash(payload: Mapping[str, Any]) -> str:
    """What a batch is recognised by."""
    return hashlib.sha256(json.dumps(payload, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def send_batch(payload: Mapping[str, Any], url: str, api_key: str, sent: SentBatches) -> Sent:
    """Send a batch, unless it was sent before.

    Args:
        payload: What `plainly_payload` made.
        url: Of the API, such as `https://api.plainlyvideos.com`.
        api_key: Of the account.
        sent: What was sent before.

    Raises:
        Refused: It was being sent when something broke off, so that Plainly may have it.
        ConfigurationError: Plainly refuses the key.
        BadInput: Plainly refuses the batch.
        SourceOutage: Plainly is out or busy, and nothing was taken.
    """
    name = payload_hash(payload)
    if known := sent.begin(name):
        return Sent(name, known, len(payload["batchData"]), again=True)
    try:
        with _sentences():
            answer = httpx.post(
                f"{url.rstrip('/')}/api/v2/batch",
                content=json.dumps(payload, ensure_ascii=False).encode(),
                headers={"Content-Type": "application/json"},
                auth=(api_key, ""),
                timeout=_TIMEOUT,
                follow_redirects=False,
            )
    except (SourceOutage, ConfigurationError):
        sent.forget(name)
        raise
    if not answer.is_success:
        if answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
            sent.forget(name)
        _refuse(answer)
    batch_id = _batch_id(answer)
    sent.finish(name, batch_id)
    return Sent(name, batch_id, len(payload["batchData"]), again=False)


@contextmanager
def _sentences() -> Iterator[None]:
    """What can go wrong on the way, as our errors; after a lost answer Plainly may have the batch."""
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise SourceOutage(
            f"Plainly cannot be reached ({type(error).__name__}); nothing was sent. Try again later.",
            SOURCE,
            _PAUSE,
        ) from None
    except (httpx.InvalidURL, httpx.UnsupportedProtocol):
        raise ConfigurationError("The address of Plainly's API is none; correct the setting.") from None
    except httpx.HTTPError as error:
        raise TemporaryFailure(
            f"Plainly's answer got lost ({type(error).__name__}); it may have the batch. Look there before it is sent again."
        ) from None


def _refuse(answer: httpx.Response) -> None:
    status, said = answer.status_code, _said(answer)
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise ConfigurationError(f"Plainly refuses the key ({status}). Check the file with the API key.")
    if status == httpx.codes.NOT_FOUND:
        raise BadInput(f"Plainly does not know the project or template (404){said}. Check both ids.")
    if status == httpx.codes.TOO_MANY_REQUESTS:
        after = answer.headers.get("Retry-After", "")
        wait = float(after) if after.isdecimal() else _PAUSE
        raise SourceOutage(f"Plainly is busy (429); try again in {wait:.0f} s.", SOURCE, wait)
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        raise TemporaryFailure(
            f"Plainly fails ({status}); it may have the batch. Look there before it is sent again."
        )
    raise BadInput(f"Plainly refuses the batch ({status}){said}. Correct it and send it again.")


def _said(answer: httpx.Response) -> str:
    try:
        body = answer.json()
    except ValueError:
        return ""
    text = (
        next((str(body[key]) for key in ("message", "error", "detail") if key in body), "")
        if isinstance(body, dict)
        else ""
    )
    return f": {' '.join(text.split())[:200]}" if text else ""


def _batch_id(answer: httpx.Response) -> str:
    try:
        body = answer.json()
        first = body[0] if isinstance(body, list) else body
        found = first.get("batchRenderId") or first.get("batchId") or first.get("id")
    except (ValueError, AttributeError, IndexError, KeyError, TypeError):
        found = None
    if not found:
        raise PermanentFailure(
            "Plainly took the batch and its answer names none. Look there before it is sent again."
        )
    return str(found)
