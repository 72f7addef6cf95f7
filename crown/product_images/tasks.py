"""What the worker processes do: one picture in, finished temporary files out.

Nothing here opens the database or gives a file its final name.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crown.errors import CrownError, PermanentFailure, TemporaryFailure
from crown.ledger.claims import Failed, Input, Job, Made
from crown.ledger.lane import failed
from crown.product_images.names import photo_name
from crown.product_images.room import MEDIA, OBJECTS, PRODUCTION, PRODUCTS
from crown.product_images.specs import file_name
from crown.store import files
from crown.store.objects import Objects
from crown.store.roots import Roots


def keep_upload(jobs: Sequence[Job], context: Mapping[str, Any]) -> list[Made | Failed]:
    """Enter uploads whose bytes are in the store already; the key of each ends with its hash."""
    return [_kept(job, job.key.rsplit("@", 1)[1], context) for job in jobs]


def keep_photo(jobs: Sequence[Job], context: Mapping[str, Any]) -> list[Made | Failed]:
    """Enter the newest version of photos: the bytes of their upload."""
    return [_kept(job, job.inputs[0].content_hash, context) for job in jobs]


def _kept(job: Job, content_hash: str, context: Mapping[str, Any]) -> Made | Failed:
    started = time.perf_counter()
    objects = Objects(Path(context["roots"][OBJECTS]))
    if not objects.holds(content_hash):
        path = objects.path(content_hash)
        return failed(
            job,
            PermanentFailure(
                f"The original {path} is missing or damaged; restore it from the backup, then retry."
            ),
        )
    size = objects.path(content_hash).stat().st_size
    return Made(job, content_hash, OBJECTS, content_hash, size, time.perf_counter() - started)


def cut_out(jobs: Sequence[Job], context: Mapping[str, Any]) -> list[Made | Failed]:
    """Cut photos out, or take the retouch that a person made in their stead."""
    return [_each(job, context, _cut_out) for job in jobs]


def _cut_out(job: Job, context: Mapping[str, Any]) -> Made:
    from crown.product_images.cutout import make_cutout

    if job.recipe_name == "retouch":
        retouch = job.inputs[1]
        verified(retouch, context)
        size = Objects(Path(context["roots"][OBJECTS])).path(retouch.content_hash).stat().st_size
        return Made(job, retouch.content_hash, OBJECTS, retouch.content_hash, size, 0.0, {"retouch": True})
    source = verified(job.inputs[0], context)
    unfinished = files.temporary(Path(context["roots"][OBJECTS]) / "cutout.png")
    weights = context["weights_dir"]
    facts = make_cutout(
        source,
        unfinished,
        model=job.recipe_body["model"],
        weights_dir=Path(weights) if weights else None,
        max_pixels=context["max_pixels"],
        name=job.key,
    )
    content_hash = files.sha256(unfinished)
    return Made(
        job, content_hash, OBJECTS, content_hash, unfinished.stat().st_size, None, facts, str(unfinished)
    )


def copy_master(jobs: Sequence[Job], context: Mapping[str, Any]) -> list[Made | Failed]:
    """Put approved bytes to the product's source folder."""
    return [_each(job, context, _copy_master) for job in jobs]


def _copy_master(job: Job, context: Mapping[str, Any]) -> Made:
    number = photo_name(job.key).number
    return _copied(job, MEDIA, f"{PRODUCTS}/{number}/source/{job.key}.png", context)


def copy_to_production(jobs: Sequence[Job], context: Mapping[str, Any]) -> list[Made | Failed]:
    """Publish renditions."""
    return [_each(job, context, lambda job, given: _copied(job, PRODUCTION, job.key, given)) for job in jobs]


def _copied(job: Job, root: str, path: str, context: Mapping[str, Any]) -> Made:
    source = job.inputs[0]
    roots = _roots(context)
    target = roots.path(root, path)
    files.make_folder(target.parent, context["ownership"])
    unfinished = files.temporary(target)
    if files.copy(_located(source, context), unfinished, context["ownership"]) != source.content_hash:
        unfinished.unlink(missing_ok=True)
        raise TemporaryFailure(f"{source.path} changed before it was copied; it is planned again.")
    size = unfinished.stat().st_size
    return Made(job, source.content_hash, root, path, size, None, {}, str(unfinished))


def render_photo(jobs: Sequence[Job], context: Mapping[str, Any]) -> list[Made | Failed]:
    """Render the wanted specs of one master; the master is decoded once."""
    from crown.product_images.render import render

    started = time.perf_counter()
    roots, specs = _roots(context), context["specs"]
    targets, unfinished = [], []
    try:
        master = verified(jobs[0].inputs[0], context)
        for job in jobs:
            photo, name = job.key.rsplit("/", 1)
            spec = specs[name]
            folder = f"{PRODUCTS}/{photo_name(photo).number}/formats/{spec.category}"
            path = f"{folder}/{file_name(photo, spec)}"
            target = roots.path(MEDIA, path)
            files.make_folder(target.parent, context["ownership"])
            unfinished.append(files.temporary(target))
            targets.append((spec, path))
        made = render(
            master,
            [(spec, place) for (spec, _), place in zip(targets, unfinished, strict=True)],
            max_pixels=context["max_pixels"],
        )
    except BaseException as error:
        for place in unfinished:
            place.unlink(missing_ok=True)
        if isinstance(error, CrownError) and isinstance(error, (PermanentFailure, TemporaryFailure)):
            return [failed(job, error) for job in jobs]
        raise
    seconds = (time.perf_counter() - started) / len(jobs)
    results: list[Made | Failed] = []
    for job, (_, path), place, output in zip(jobs, targets, unfinished, made, strict=True):
        files.finish(place, context["ownership"])
        facts = {"width": output["width"], "height": output["height"]}
        results.append(Made(job, output["sha256"], MEDIA, path, output["bytes"], seconds, facts, str(place)))
    return results


def _each(job: Job, context: Mapping[str, Any], make: Any) -> Made | Failed:
    started = time.perf_counter()
    try:
        made: Made = make(job, context)
    except (PermanentFailure, TemporaryFailure) as error:
        return failed(job, error)
    seconds = made.seconds if made.seconds is not None else time.perf_counter() - started
    return Made(
        made.job,
        made.content_hash,
        made.root,
        made.path,
        made.size_bytes,
        seconds,
        made.facts,
        made.unfinished,
    )


def verified(given: Input, context: Mapping[str, Any]) -> Path:
    """The path of an input whose bytes are what the ledger says.

    Raises:
        TemporaryFailure: they are not, or are gone.
    """
    path = _located(given, context)
    if not path.is_file() or files.sha256(path) != given.content_hash:
        raise TemporaryFailure(
            f"{path} is missing or was changed since it was made; run `crown images verify`."
        )
    return path


def _located(given: Input, context: Mapping[str, Any]) -> Path:
    if given.root is None or given.path is None:
        raise TemporaryFailure(f"{given.asset} {given.key} has no file; run `crown images verify`.")
    # Cut-outs and masters are the same bytes; the store's copy is the one no one can touch.
    stored = Objects(Path(context["roots"][OBJECTS])).path(given.content_hash)
    return stored if stored.is_file() else _roots(context).path(given.root, given.path)


def _roots(context: Mapping[str, Any]) -> Roots:
    return Roots({name: Path(folder) for name, folder in context["roots"].items()})
