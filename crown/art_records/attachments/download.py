"""Downloading one picture in a worker process: bounded, decoded, hashed; every failure is a sentence without the address.

An address is a secret while it lives (whoever has it reads the picture): it is in no sentence, log line or fact.
Does not belong here: which pictures, and from which hosts (`stages.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from crown.art_records.attachments.listing import SOURCE
from crown.errors import BadInput, PermanentFailure, SourceOutage, TemporaryFailure
from crown.flow.task import Context, each, temporary
from crown.ledger.claims import Failed, Job, Made
from crown.store import files
from crown.store.objects import ROOT as OBJECTS

_TIMEOUT = httpx.Timeout(60, connect=10)
_CHUNK = 1 << 18
_GONE = frozenset({401, 403, 404, 410})
_BUSY = 429
_PAUSE = 30.0
"""Seconds without requests after a 429, as Airtable asks for."""


def download(jobs: Sequence[Job], context: Context) -> list[Made | Failed]:
    """Download each picture into the store of originals; `context` holds the addresses by item key and the limits."""
    return [each(job, context, _download) for job in jobs]


def _download(job: Job, context: Context) -> Made:
    url = context["addresses"].get(job.key)
    if url is None:
        raise TemporaryFailure("No export names this picture any more; the next run plans again.")
    unfinished = temporary(OBJECTS, "attachment", context)
    try:
        with _sentences():
            _fetch(url, unfinished, context["max_bytes"])
        facts = _picture(unfinished, context["max_pixels"])
        files.finish(unfinished, context["ownership"])
        content_hash, size = files.sha256(unfinished), unfinished.stat().st_size
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    return Made(job, content_hash, OBJECTS, content_hash, size, facts=facts, unfinished=str(unfinished))


def _fetch(url: str, unfinished: Path, max_bytes: int) -> None:
    too_large = BadInput(
        f"The picture is larger than {max_bytes / 1e6:,.0f} MB; raise CROWN_ART_RECORDS_ATTACHMENT_MEGABYTES or give a"
        " smaller one."
    )
    for library in ("httpx", "httpcore"):  # they log whole addresses
        logging.getLogger(library).setLevel(logging.WARNING)
    # Airtable's addresses answer themselves; one that leads elsewhere would pass the list of hosts.
    # Bytes are counted as they arrive: a body that the host packed could unpack into any number of them.
    plain = {"Accept-Encoding": "identity"}
    with httpx.stream("GET", url, headers=plain, timeout=_TIMEOUT, follow_redirects=False) as answer:
        _refuse(answer)
        if int(answer.headers.get("Content-Length") or 0) > max_bytes:
            raise too_large
        received = 0
        with files.systemic_errors("Writing a picture"), unfinished.open("wb") as file:
            for chunk in answer.iter_raw(_CHUNK):
                received += len(chunk)
                if received > max_bytes:
                    raise too_large
                file.write(chunk)


def _refuse(answer: httpx.Response) -> None:
    status = answer.status_code
    if status in _GONE:
        raise PermanentFailure(
            f"The address of the picture is refused ({status}), as it is some hours after an export: export the prints"
            " again, or let Crown fetch the base, and it is tried again."
        )
    if status == _BUSY:
        after = answer.headers.get("Retry-After", "")
        raise SourceOutage(
            "The host of the pictures is busy (429).", SOURCE, float(after) if after.isdecimal() else _PAUSE
        )
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        raise TemporaryFailure(f"The host of the picture answers {status}; it is tried again.")
    if status != httpx.codes.OK:
        raise PermanentFailure(
            f"The address of the picture answers {status}, which is no picture; correct it in the base."
        )
    packed = answer.headers.get("Content-Encoding", "identity").strip().lower()
    if packed not in ("", "identity"):
        raise PermanentFailure(
            "The host packs the picture although it was asked not to; give an address that answers with the file."
        )


@contextmanager
def _sentences() -> Iterator[None]:
    """What can go wrong on the way, as our errors: httpx's own texts name the address."""
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise SourceOutage(
            f"The host of the pictures cannot be reached ({type(error).__name__}); they are tried again later.",
            SOURCE,
        ) from None
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError):
        raise PermanentFailure("The address of the picture is none; correct it in the base.") from None
    except httpx.HTTPError as error:
        raise TemporaryFailure(
            f"The download of the picture ended early ({type(error).__name__}); it is tried again."
        ) from None


def _picture(path: Path, max_pixels: int) -> dict[str, object]:
    """What the file is, decoded once as a whole.

    Raises:
        BadInput: it is no picture, damaged or too large.
    """
    from crown.pictures.decoding import probe

    found = probe(path, max_pixels, name="The picture")
    return {name: found[name] for name in ("width", "height", "format")}
