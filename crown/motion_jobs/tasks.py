"""What the worker processes do for a job: read, match, draw, validate, pack.

Nothing here opens the database or gives a file its final name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crown.errors import PermanentFailure, Refused, TemporaryFailure
from crown.flow.task import Context, each, stored, verified
from crown.flow.workspace import OBJECTS
from crown.ledger.claims import Failed, Input, Job, Made
from crown.ledger.recipes import canonical
from crown.motion_jobs import sources
from crown.motion_jobs.matches.pairs import Pair, pairs_of
from crown.motion_jobs.matches.warning_rules import warning_rules
from crown.motion_jobs.sources import Psd, ReadProject
from crown.motion_jobs.workspace import APPROVED, INGESTED, VALIDATED
from crown.store import files

if TYPE_CHECKING:
    from crown.motion_jobs.after_effects.ae_project import Project
    from crown.motion_jobs.matches.job_warnings import JobWarning
    from crown.motion_jobs.matches.matching import Candidate, Matching


def keep_batch(jobs: Sequence[Job], context: Context) -> list[Made | Failed]:
    """Enter uploaded CSV files, whose bytes are in the store already."""
    hashes = context["hashes"]()
    return [stored(job, hashes[job.key], context) for job in jobs]


def keep_source(jobs: Sequence[Job], context: Context) -> list[Made | Failed]:
    """Enter the bytes that source files hold now; one that was read and is damaged fails with its reason."""
    seen = context["seen"]()
    return [each(job, context, lambda job, given: _keep_source(job, seen, given)) for job in jobs]


def _keep_source(job: Job, seen: Mapping[str, sources.Seen], context: Context) -> Made:
    one = seen.get(job.key)
    if one is None or one.content_hash is None:
        raise TemporaryFailure(f"{job.key} was changed just now; it is looked at again.")
    if one.kind != "footage":
        defect = sources.defect(Path(context["cache"]), one.kind, one.content_hash)
        if defect:
            raise PermanentFailure(defect)
    return Made(job, one.content_hash, size_bytes=one.size_bytes, facts={"kind": one.kind, "path": one.path})


def ingest(jobs: Sequence[Job], context: Context) -> list[Made | Failed]:
    """Bring PSD, project and footage of jobs together: which composition is filled, what is there of each."""
    return [each(job, context, _ingest) for job in jobs]


def _ingest(job: Job, context: Context) -> Made:
    from crown.motion_jobs.matches.matching import slots_of

    row = context["rows"].get(job.key)
    if row is None:
        raise TemporaryFailure(f"{job.key} was planned just now; it is made by the next run.")
    given = {one.key: one for one in job.inputs}
    psd_input, project_input = given.get(row["psd_path"]), given.get(row["aepx_path"])
    if psd_input is None or project_input is None:
        raise TemporaryFailure(f"The files of {job.key} were changed just now; it is planned again.")
    footage = {named: path if path in given else None for named, path in row["footage"].items()}
    facts: dict[str, Any] = {
        "psd_path": psd_input.key,
        "psd_sha256": psd_input.content_hash,
        "aepx_path": project_input.key,
        "project_sha256": project_input.content_hash,
        "footage": footage,
    }
    psd, read = _psd(facts, context), _project(facts, context)
    comp_id, reason = target_comp(read.project, row["comp_name"])
    comp = read.project.composition(comp_id)
    hashes = {named: given[path].content_hash if path else None for named, path in footage.items()}
    body = {
        "psd": psd.read_hash,
        "project": read.read_hash,
        "comp_id": comp_id,
        "footage": hashes,
    }
    if card := _card(read.project, comp_id, row["further"]):
        body["card"] = card["texts"]
        facts["card"] = card
    facts |= {
        "footage_sha256": hashes,
        "comp_id": comp_id,
        "comp": comp.name,
        "comp_reason": reason,
        "size": [comp.width, comp.height],
        "duration": comp.duration,
        "frame_rate": comp.frame_rate,
        "psd_size": [psd.document.width, psd.document.height],
        "layers": len(psd.document.layers),
        "slots": len(slots_of(read.project, comp_id)),
        "footage_missing": sorted(named for named, path in footage.items() if path is None),
        "skipped_layers": psd.reading.skipped,
        "assets": _layer_assets(psd),
    }
    return _json(job, body, facts, context)


def _card(project: Project, comp_id: int, row: Mapping[str, str]) -> dict[str, Any] | None:
    """What the row puts into the template's hard card."""
    from crown.motion_jobs.after_effects.hard_card import card_of_row

    try:
        filling = card_of_row(project, comp_id, row)
    except Refused as error:
        raise PermanentFailure(str(error)) from None
    if filling is None:
        return None
    texts = {str(layer): value for layer, value in filling.edits.texts.items()}
    return {"texts": texts, "unknown_columns": list(filling.unknown), "kept": list(filling.kept)}


def _layer_assets(psd: Psd) -> list[dict[str, Any]]:
    assets = [
        {
            "type": "psd_layer_png",
            "name": psd.document.layer(one.layer_id).name,
            "path": str(psd.path(one.file)),
            "size": psd.path(one.file).stat().st_size,
            "mime": "image/png",
            "layer_id": one.layer_id,
            "width": one.width,
            "height": one.height,
            "sha256": one.sha256,
        }
        for one in psd.reading.pictures
    ]
    if psd.preview:
        assets.append(
            {
                "type": "psd_flat_png",
                "name": "preview",
                "path": str(psd.preview),
                "size": psd.preview.stat().st_size,
                "mime": "image/png",
                "sha256": psd.reading.preview_sha256,
            }
        )
    return assets


def target_comp(project: Project, named: str | None) -> tuple[int, str]:
    """The composition that a job fills, and why that one; a hard card holds data and is not one.

    Raises:
        PermanentFailure: none or several have the name that the row gives, or there is none at all.
    """
    from crown.motion_jobs.after_effects.hard_card import is_card
    from crown.motion_jobs.matches.matching import slots_of

    comps = project.compositions
    if named:
        found = [comp for comp in comps if comp.name == named]
        if len(found) != 1:
            names = ", ".join(repr(comp.name) for comp in comps[:12])
            raise PermanentFailure(
                f"{project.path.name} has {len(found)} compositions named {named!r}; it has {names or 'none'}. "
                "Correct comp_name."
            )
        return found[0].id, "the row names it"
    if not comps:
        raise PermanentFailure(f"{project.path.name} has no composition. Check the template.")
    renders = [comp for comp in comps if comp.name.startswith("render_")]
    if len(renders) == 1:
        return renders[0].id, "its name starts with render_"
    shown = {layer.source_id for comp in comps for layer in comp.layers}
    tops = renders or [comp for comp in comps if comp.id not in shown and not is_card(comp)] or list(comps)
    if len(tops) == 1:
        return tops[0].id, "no other composition shows it"
    best = max(tops, key=lambda comp: (len(slots_of(project, comp.id)), -comp.id))
    return best.id, f"of {len(tops)} candidates it has the most slots; name another in the column comp_name"


def match_layers(jobs: Sequence[Job], context: Context) -> list[Made | Failed]:
    """Pair the layers of PSDs with the slots of compositions, and raise warnings."""
    return [each(job, context, _match) for job in jobs]


def _match(job: Job, context: Context) -> Made:
    from crown.motion_jobs.matches.matching import layers_of, match, slots_of

    facts = job.inputs[0].facts
    psd, read = _psd(facts, context), _project(facts, context)
    comp_id = int(facts["comp_id"])
    layers, slots = layers_of(psd.document), slots_of(read.project, comp_id)
    known = context["frozen"].get(job.key)
    if known is None:
        known = context["remembered"].get((facts["aepx_path"], facts["comp"]), {})
    found = match(layers, slots, known)
    warnings = [asdict_of(one) for one in _warnings(psd, read, comp_id, found, context)]
    pairs = [
        {
            "slot_id": one.slot_id,
            "layer_id": one.layer_id,
            "confidence": one.confidence,
            "band": one.band,
            "method": "remembered"
            if one.confidence == 1.0 and one.reasons[0].startswith("a person")
            else "auto",
            "reasons": list(one.reasons),
        }
        for one in found.matches
    ]
    body = {
        "comp": [facts["comp"], *facts["size"]],
        "layers": [_candidate(one, psd) for one in layers],
        "slots": [_slot(one, read.project, comp_id) for one in slots],
        "matches": pairs,
        "unmatched_layers": list(found.unmatched_layers),
        "unmatched_slots": list(found.unmatched_slots),
        "warnings": warnings,
    }
    facts = {
        "matched": len(pairs),
        "slots": len(slots),
        "remembered": known,
        "bands": {
            band: sum(pair["band"] == band for pair in pairs) for band in ("accept", "propose", "review")
        },
        "warnings": warnings,
    }
    return _json(job, body, facts, context)


def _candidate(one: Candidate, psd: Psd) -> dict[str, Any]:
    layer, picture = psd.document.layer(one.id), psd.picture(one.id)
    return {
        "id": one.id,
        "name": one.name,
        "path": list(layer.path),
        "is_text": one.is_text,
        "text": one.text,
        "box": list(layer.box) if layer.box else None,
        "visible": layer.visible,
        "fonts": list(layer.text.fonts) if layer.text else [],
        "sha256": picture.sha256 if picture else None,
    }


def _slot(one: Candidate, project: Project, comp_id: int) -> dict[str, Any]:
    from crown.motion_jobs.after_effects.place_map import place_map

    layer = next(layer for layer in project.composition(comp_id).layers if layer.id == one.id)
    shown = place_map(project).places_of_item(layer.source_id) if layer.source_id is not None else []
    return {
        "id": one.id,
        "name": one.name,
        "is_text": one.is_text,
        "text": one.text,
        "size": [one.width, one.height],
        "places": len(shown) or 1,
    }


def _warnings(
    psd: Psd, read: ReadProject, comp_id: int, found: Matching, context: Context
) -> list[JobWarning]:
    """The warnings of a matching; footage that a layer is about to replace may be missing."""
    from crown.motion_jobs.jobs.job_edits import changes_of, missing_footage
    from crown.motion_jobs.matches.font_files import fonts_of
    from crown.motion_jobs.matches.job_warnings import Job as Judged
    from crown.motion_jobs.matches.job_warnings import JobWarning, warnings_of

    rules = warning_rules(Path(context["warnings"]) if context["warnings"] else None)
    fonts = fonts_of(Path(context["fonts"])) if context["fonts"] else None
    raised = warnings_of(Judged(psd.document, read.project, comp_id, found, fonts), rules)
    pairs = [Pair(slot_id=one.slot_id, layer_id=one.layer_id) for one in found.matches]
    try:
        changes = changes_of(psd, read.project, comp_id, pairs, context["render_root"])
    except PermanentFailure as error:
        return [*raised, JobWarning("no_picture", "critical", str(error))]
    black = {item.id for item in missing_footage(read.project, changes)}
    return [one for one in raised if one.type != "missing_asset" or one.details.get("item_id") in black]


def approve_matches(jobs: Sequence[Job], context: Context) -> list[Made | Failed]:
    """Enter the pairs that a person approved, which the decision carries."""
    return [each(job, context, _approve) for job in jobs]


def _approve(job: Job, context: Context) -> Made:
    if not job.payload:
        raise TemporaryFailure(f"The decision on {job.key} was changed just now; it is planned again.")
    pairs = [one.model_dump(exclude={"confidence"}) for one in pairs_of(job.payload["matches"])]
    adjustments = {str(one["slot_id"]): one["adjustment"] for one in pairs if one["adjustment"]}
    return _json(job, {"pairs": pairs}, {"matches": pairs, "adjustments": adjustments}, context)


def draw_preview(jobs: Sequence[Job], context: Context) -> list[Made | Failed]:
    """Draw mapping sheet and layout estimate."""
    return [each(job, context, _draw) for job in jobs]


def _draw(job: Job, context: Context) -> Made:
    from crown.motion_jobs.deliverables.preview_sheet import Sheet, draw
    from crown.motion_jobs.jobs.job_edits import matching_of

    of = _by_asset(job)
    facts = of[INGESTED].facts
    pairs = pairs_of(of[APPROVED].facts["matches"])
    psd, read = _psd(facts, context), _project(facts, context)
    comp_id = int(facts["comp_id"])
    warnings = _warnings(psd, read, comp_id, matching_of(psd.document, read.project, comp_id, pairs), context)
    unfinished = files.temporary(Path(context["roots"][OBJECTS]) / "preview.png")
    sheet = Sheet(job.key, psd, read.project, comp_id, tuple(pairs), tuple(warnings))
    size = draw(sheet, unfinished)
    content_hash = files.sha256(unfinished)
    facts = {
        "picture": list(size),
        "warnings": [asdict_of(one) for one in warnings],
        "label": "layout estimate, not a render",
        "assets": [
            {
                "type": "mapping_sheet",
                "name": "mapping sheet and layout estimate",
                "path": str(Path(context["roots"][OBJECTS]) / content_hash),
                "size": unfinished.stat().st_size,
                "mime": "image/png",
                "sha256": content_hash,
            }
        ],
    }
    return Made(
        job, content_hash, OBJECTS, content_hash, unfinished.stat().st_size, None, facts, str(unfinished)
    )


def validate_job(jobs: Sequence[Job], context: Context) -> list[Made | Failed]:
    """Hold jobs against Plainly's rules and ours."""
    return [each(job, context, _validate) for job in jobs]


def _validate(job: Job, context: Context) -> Made:
    from crown.motion_jobs.deliverables.validation import findings_of
    from crown.motion_jobs.jobs.job_edits import matching_of

    of = _by_asset(job)
    facts = of[INGESTED].facts
    pairs = pairs_of(of[APPROVED].facts["matches"])
    psd, read = _psd(facts, context), _project(facts, context)
    comp_id = int(facts["comp_id"])
    warnings = _warnings(psd, read, comp_id, matching_of(psd.document, read.project, comp_id, pairs), context)
    report = findings_of(psd, read, comp_id, pairs, warnings, context["render_root"])
    return _json(job, report, report, context)


def deploy(jobs: Sequence[Job], context: Context) -> list[Made | Failed]:
    """Make the checked packages of jobs."""
    return [each(job, context, _deploy) for job in jobs]


def _deploy(job: Job, context: Context) -> Made:
    from crown.motion_jobs.deliverables.deployment import Deployment, make_deployment

    of = _by_asset(job)
    facts = of[INGESTED].facts
    row = context["rows"].get(job.key)
    if row is None:
        raise TemporaryFailure(f"{job.key} was planned just now; it is made by the next run.")
    psd, read = _psd(facts, context), _project(facts, context)
    sheet = next(one for one in job.inputs if one.asset not in (INGESTED, APPROVED, VALIDATED))
    order = Deployment(
        job_id=job.key,
        batch_id=row["batch_id"],
        output_name=row["output_name"],
        psd=psd,
        read=read,
        comp_id=int(facts["comp_id"]),
        pairs=tuple(pairs_of(of[APPROVED].facts["matches"])),
        footage={named: Path(path) for named, path in facts["footage"].items() if path},
        hashes={
            facts["aepx_path"]: facts["project_sha256"],
            **{path: facts["footage_sha256"][named] for named, path in facts["footage"].items() if path},
        },
        sheet=verified(sheet, context),
        report=of[VALIDATED].facts,
        render_root=context["render_root"],
        decision=row["decision"],
        card=facts.get("card"),
    )
    return _refusals_are_final(lambda: make_deployment(job, order, context))


def _refusals_are_final(make: Callable[[], Made]) -> Made:
    try:
        return make()
    except Refused as error:
        raise PermanentFailure(str(error)) from None
    except OSError as error:
        raise TemporaryFailure(f"The package cannot be written now ({error.strerror or error}).") from None


def _by_asset(job: Job) -> dict[str, Input]:
    found = {one.asset: one for one in job.inputs}
    if INGESTED not in found or APPROVED not in found:
        raise TemporaryFailure(f"{job.key} was planned anew just now.")
    return found


def _psd(facts: Mapping[str, Any], context: Context) -> Psd:
    return sources.load_psd(Path(context["cache"]), facts["psd_sha256"], Path(facts["psd_path"]))


def _project(facts: Mapping[str, Any], context: Context) -> ReadProject:
    return sources.load_project(
        Path(context["cache"]), facts["project_sha256"], Path(facts["aepx_path"]), facts["footage"]
    )


def asdict_of(one: JobWarning) -> dict[str, Any]:
    """A warning as it is kept."""
    return {"type": one.type, "severity": one.severity, "message": one.message, "details": dict(one.details)}


def _storable(value: Any) -> Any:
    """A value as JSON that a database keeps: without NUL and halves of characters, which damaged names may hold."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode().replace("\x00", "")
    if isinstance(value, Mapping):
        return {str(_storable(str(key))): _storable(one) for key, one in value.items()}
    return [_storable(one) for one in value] if isinstance(value, list | tuple) else value


def _json(job: Job, body: Mapping[str, Any], facts: Mapping[str, Any], context: Context) -> Made:
    """A result that is a JSON document of the store."""
    raw, facts = canonical(_storable(body)), _storable(facts)
    unfinished = files.temporary(Path(context["roots"][OBJECTS]) / "result.json")
    unfinished.write_bytes(raw)
    content_hash = hashlib.sha256(raw).hexdigest()
    return Made(job, content_hash, OBJECTS, content_hash, len(raw), None, facts, str(unfinished))
