"""What the worker processes do: one picture in, finished temporary files out.

Nothing here opens the database or gives a file its final name.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

from crown.errors import ConfigurationError, PermanentFailure, TemporaryFailure
from crown.flow.task import each, located, objects, roots, stored, temporary, verified
from crown.flow.worker_processes import failed
from crown.ledger.claims import Failed, Input, Job, Made
from crown.ledger.recipes import canonical
from crown.product_images.names import photo_name
from crown.product_images.publishing import texts
from crown.product_images.publishing import wanted as publishing
from crown.product_images.renditions.specs import file_name
from crown.product_images.workspace import MEDIA, OBJECTS, PRODUCTS
from crown.store import files


def keep_upload(jobs: Sequence[Job], context: Mapping[str, Any]) -> list[Made | Failed]:
    """Enter uploads whose bytes are in the store already; the key of each ends with its hash."""
    return [stored(job, job.key.rsplit("@", 1)[1], context) for job in jobs]


def keep_photo(jobs: Sequence[Job], context: Mapping[str, Any]) -> list[Made | Failed]:
    """Enter the newest version of photos: the bytes of their upload."""
    return [stored(job, job.inputs[0].content_hash, context) for job in jobs]


def cut_out(jobs: Sequence[Job], context: Mapping[str, Any]) -> list[Made | Failed]:
    """Cut photos out, or take the retouch that a person made in their stead."""
    return [each(job, context, _cut_out) for job in jobs]


def _cut_out(job: Job, context: Mapping[str, Any]) -> Made:
    from crown.product_images.cutout.engine import cutout_recipe, make_cutout

    if job.recipe_name == "retouch":
        retouch = job.inputs[1]
        verified(retouch, context)
        size = objects(context).path(retouch.content_hash).stat().st_size
        facts = {"retouch": True, "digital_source_type": texts.source_type("retouch", job.recipe_body, {})}
        return Made(job, retouch.content_hash, OBJECTS, retouch.content_hash, size, 0.0, facts)
    source = verified(job.inputs[0], context)
    unfinished = files.temporary(Path(context["roots"][OBJECTS]) / "cutout.png")
    model, weights = job.recipe_body["model"], context["weights_dir"]
    weights_dir = Path(weights) if weights else None
    now = cutout_recipe(model, weights_dir)
    if now.get("weights_sha256") != job.recipe_body.get("weights_sha256"):
        raise TemporaryFailure(f"The weights of {model} were replaced just now; {job.key} is planned again.")
    facts = make_cutout(
        source,
        unfinished,
        model=model,
        weights_dir=weights_dir,
        max_pixels=context["max_pixels"],
        name=job.key,
    )
    facts["digital_source_type"] = texts.source_type(job.recipe_name, job.recipe_body, facts)
    content_hash = files.sha256(unfinished)
    return Made(
        job, content_hash, OBJECTS, content_hash, unfinished.stat().st_size, None, facts, str(unfinished)
    )


def copy_master(jobs: Sequence[Job], context: Mapping[str, Any]) -> list[Made | Failed]:
    """Put approved bytes to the product's source folder."""
    return [each(job, context, _copy_master) for job in jobs]


def _copy_master(job: Job, context: Mapping[str, Any]) -> Made:
    from crown.pictures.formats import ending_of

    number = photo_name(job.key).number
    # Approved bytes stay as they are, so a person's JPEG is a JPEG and is called one.
    ending = ending_of(located(job.inputs[0], context), job.key)
    return _copied(job, MEDIA, f"{PRODUCTS}/{number}/source/{job.key}{ending}", context)


def _copied(job: Job, root: str, path: str, context: Mapping[str, Any]) -> Made:
    source = job.inputs[0]
    unfinished = temporary(root, path, context)
    if files.copy(located(source, context), unfinished, context["ownership"]) != source.content_hash:
        unfinished.unlink(missing_ok=True)
        raise TemporaryFailure(
            f"The picture of {source.key} changed before it was copied; it is planned again."
        )
    size = unfinished.stat().st_size
    return Made(job, source.content_hash, root, path, size, None, _carried(source), str(unfinished))


def _carried(source: Input) -> dict[str, Any]:
    """What is known of a picture's origin, handed on with its bytes."""
    known = source.facts.get("digital_source_type")
    return {} if known is None else {"digital_source_type": known}


def keep_texts(jobs: Sequence[Job], context: Mapping[str, Any]) -> list[Made | Failed]:
    """Enter the texts of products; they are in the facts, there is no file."""
    said = context["standing"]([job.key for job in jobs])
    return [each(job, context, lambda job, given: _keep_texts(job, said, given["usual"])) for job in jobs]


def _keep_texts(job: Job, said: Mapping[str, Any], usual: Mapping[str, str]) -> Made:
    if job.fingerprint not in said:
        raise TemporaryFailure(f"The texts of {job.key} were changed just now; they are planned again.")
    facts = texts.tags_for(job.key, said[job.fingerprint], usual).recipe()
    return Made(job, hashlib.sha256(canonical(facts)).hexdigest(), facts=facts)


def judge_rendition(jobs: Sequence[Job], context: Mapping[str, Any]) -> list[Made | Failed]:
    """Measure renditions and judge them under the profile that is their recipe; there is no file."""
    return [each(job, context, _judge) for job in jobs]


def _judge(job: Job, context: Mapping[str, Any]) -> Made:
    from crown.product_images.renditions.compliance import Profile, judge, measure

    rendition = job.inputs[0]
    source = verified(rendition, context)
    name = PurePosixPath(rendition.path or source.name).name
    measured = measure(source, name=name, source_longest_side=rendition.facts.get("source_longest_side"))
    findings = judge(measured, Profile.model_validate(job.recipe_body["profile"]))
    errors = [finding for finding in findings if finding.severity == "error"]
    facts = {
        "measurements": asdict(measured),
        "findings": [asdict(finding) for finding in findings],
        "blocks": "; ".join(
            f"compliance: {error.rule} {error.measured} instead of {error.wanted}" for error in errors[:1]
        )
        or None,
    }
    return Made(job, hashlib.sha256(canonical(facts)).hexdigest(), facts=facts)


def publish(jobs: Sequence[Job], context: Mapping[str, Any]) -> list[Made | Failed]:
    """Write renditions into their target, with the texts of their product in them; no pixel is encoded anew."""
    return [each(job, context, _publish) for job in jobs]


def _publish(job: Job, context: Mapping[str, Any]) -> Made:
    from crown.pictures.tags import write_tags

    rendition, text = job.inputs
    root, path = publishing.target_of(job.key), publishing.path_of(job.key)
    source = verified(rendition, context)
    unfinished = temporary(root, path, context)
    tags = texts.tags_from(text.facts, rendition.facts.get("digital_source_type", ""))
    write_tags(source, unfinished, tags)
    files.finish(unfinished, context["ownership"])
    content_hash, size = files.sha256(unfinished), unfinished.stat().st_size
    return Made(job, content_hash, root, path, size, None, _carried(rendition), str(unfinished))


def render_photo(jobs: Sequence[Job], context: Mapping[str, Any]) -> list[Made | Failed]:
    """Render the wanted specs of one master; the master is decoded once."""
    from crown.product_images.renditions.render import render

    started = time.perf_counter()
    folders, specs = roots(context), context["specs"]
    targets, unfinished = [], []
    try:
        master = verified(jobs[0].inputs[0], context)
        for job in jobs:
            photo, name = job.key.rsplit("/", 1)
            spec = specs[name]
            folder = f"{PRODUCTS}/{photo_name(photo).number}/formats/{spec.category}"
            path = f"{folder}/{file_name(photo, spec)}"
            target = folders.path(MEDIA, path)
            files.make_folder(target.parent, context["ownership"])
            unfinished.append(files.temporary(target))
            targets.append((spec, path))
        made = render(
            master,
            [(spec, place) for (spec, _), place in zip(targets, unfinished, strict=True)],
            max_pixels=context["max_pixels"],
            name=jobs[0].inputs[0].key,
        )
    except BaseException as error:
        for place in unfinished:
            place.unlink(missing_ok=True)
        if not isinstance(error, (PermanentFailure, TemporaryFailure, ConfigurationError)):
            raise
        if len(jobs) > 1:  # one spec's trouble is not that of its neighbours
            return [result for job in jobs for result in render_photo([job], context)]
        return [failed(jobs[0], error)]
    seconds = (time.perf_counter() - started) / len(jobs)
    results: list[Made | Failed] = []
    for job, (_, path), place, output in zip(jobs, targets, unfinished, made, strict=True):
        files.finish(place, context["ownership"])
        facts = {
            "width": output["width"],
            "height": output["height"],
            "source_longest_side": output["source_longest_side"],
            **_carried(job.inputs[0]),
        }
        results.append(Made(job, output["sha256"], MEDIA, path, output["bytes"], seconds, facts, str(place)))
    return results
