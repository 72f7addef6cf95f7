"""What tasks of all departments need in a worker process: inputs verified, unfinished files, failures as results.

Nothing here opens the database or gives a file its final name. `context` is `Workspace.context`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from crown.errors import PermanentFailure, TemporaryFailure
from crown.flow.worker_processes import failed
from crown.ledger.claims import Failed, Input, Job, Made
from crown.store import files
from crown.store.objects import ROOT as OBJECTS
from crown.store.objects import Objects
from crown.store.roots import Roots

Context = Mapping[str, Any]


def each(job: Job, context: Context, make: Callable[[Job, Context], Made]) -> Made | Failed:
    """Make one item; a failure is its result, and the time it took is noted unless `make` did."""
    started = time.perf_counter()
    try:
        made = make(job, context)
    except (PermanentFailure, TemporaryFailure) as error:
        return failed(job, error)
    return made if made.seconds is not None else replace(made, seconds=time.perf_counter() - started)


def verified(given: Input, context: Context) -> Path:
    """The path of an input whose bytes are what the ledger says.

    Raises:
        TemporaryFailure: they are not, or are gone.
    """
    path = located(given, context)
    if not path.is_file() or files.sha256(path) != given.content_hash:
        raise TemporaryFailure(
            f"The {given.asset} {given.key} ({path}) is missing or was changed since it was made; run"
            f" `{context['command']} verify`."
        )
    return path


def located(given: Input, context: Context) -> Path:
    """Where the bytes of an input are; of equal bytes the store's copy, which no one can touch."""
    if given.root is None or given.path is None:
        raise TemporaryFailure(f"{given.asset} {given.key} has no file; run `{context['command']} verify`.")
    stored = objects(context).path(given.content_hash)
    return stored if stored.is_file() else roots(context).path(given.root, given.path)


def temporary(root: str, path: str, context: Context) -> Path:
    """The temporary path of a file that is to be made, its folder made."""
    target = roots(context).path(root, path)
    files.make_folder(target.parent, context["ownership"])
    return files.temporary(target)


def stored(job: Job, content_hash: str, context: Context) -> Made | Failed:
    """Enter bytes that are in the store already as what was made of the item."""
    started = time.perf_counter()
    store = objects(context)
    if not store.holds(content_hash):
        return failed(
            job,
            PermanentFailure(
                f"The original {store.path(content_hash)} is missing or damaged; restore it from the backup, then"
                " retry."
            ),
        )
    size = store.path(content_hash).stat().st_size
    return Made(job, content_hash, OBJECTS, content_hash, size, time.perf_counter() - started)


def objects(context: Context) -> Objects:
    """The content-addressed store."""
    return Objects(Path(context["roots"][OBJECTS]))


def roots(context: Context) -> Roots:
    """The department's folders."""
    return Roots({name: Path(folder) for name, folder in context["roots"].items()})
