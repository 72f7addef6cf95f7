"""What a person should know about a job before approving it; which, and how serious, is in `warnings.yaml`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crown.motion_jobs.after_effects.ae_project import (
    Composition,
    Layer,
    LayerText,
    Project,
)
from crown.motion_jobs.after_effects.expression_reads import reads_of
from crown.motion_jobs.matches.matching import (
    PROPOSE_FROM,
    Match,
    Matching,
    slots_of,
)
from crown.motion_jobs.matches.text_fit import text_width
from crown.motion_jobs.matches.warning_rules import Rule, Severity, warning_rules
from crown.motion_jobs.photoshop.psd_file import PsdDocument, PsdLayer


@dataclass(frozen=True, slots=True)
class JobWarning:
    """One warning, as it is kept: type, severity, sentence, and the values that it was made from."""

    type: str
    severity: Severity
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Job:
    """What a job is judged by.

    Attributes:
        fonts: PostScript names on the render machine, with the font file where it is known; None: unknown.
    """

    document: PsdDocument
    project: Project
    comp_id: int
    matching: Matching
    fonts: Mapping[str, Path | None] | None = None


def warnings_of(job: Job, rules: Mapping[str, Rule] | None = None) -> list[JobWarning]:
    """All warnings of a job, the most serious first."""
    known = warning_rules() if rules is None else rules
    found = []
    for kind, details in _findings(job):
        rule = known.get(kind)
        severity = rule.severity(details.get("value")) if rule else None
        if rule and severity:
            found.append(JobWarning(kind, severity, rule.message.format(**details), details))
    order = ("critical", "warning", "info")
    return sorted(found, key=lambda one: order.index(one.severity))


_Found = Iterator[tuple[str, dict[str, Any]]]


def _findings(job: Job) -> _Found:
    comp = job.project.composition(job.comp_id)
    yield from _fonts(job)
    yield from _assets(job.project)
    yield from _expressions(job.project)
    yield from _document(job.document, comp)
    slots = {slot.id: slot for slot in slots_of(job.project, job.comp_id)}
    layers = {layer.id: layer for layer in comp.layers}
    for slot_id in job.matching.unmatched_slots:
        yield "unmatched_slot", {"slot": layers[slot_id].name, "layer_id": slot_id}
    for pair in job.matching.matches:
        source, target = job.document.layer(pair.layer_id), layers[pair.slot_id]
        if pair.confidence < PROPOSE_FROM:
            yield "ambiguous_match", _pair(source, target, pair.confidence, pair)
        if source.text and target.text:
            yield from _overflow(job, source, target, target.text)
        elif source.box:
            slot = slots[pair.slot_id]
            yield from _picture(source, target, slot.width, slot.height)


def _fonts(job: Job) -> _Found:
    used: dict[str, str] = {}
    for layer in job.document.layers:
        for font in layer.text.fonts if layer.text else ():
            used.setdefault(font, layer.name)
    for comp in job.project.compositions:
        for one in comp.layers:
            for font in one.text.fonts if one.text else ():
                used.setdefault(font, one.name)
    if job.fonts is None:
        if used:
            yield "unknown_fonts", {"fonts": ", ".join(sorted(used))}
        return
    installed: Collection[str] = job.fonts.keys()
    for font, name in sorted(used.items()):
        if font not in installed:
            yield "missing_font", {"font": font, "layer": name}


def _assets(project: Project) -> _Found:
    for item in project.footage:
        if item.kind == "file" and item.exists is not True:
            kind = "missing_asset" if item.exists is False else "unknown_asset"
            yield kind, {"item": item.name, "file": item.file, "item_id": item.id}


def _expressions(project: Project) -> _Found:
    names = {layer.id: layer.name for comp in project.compositions for layer in comp.layers}
    for one in project.expressions:
        if one.reads_files:
            details = {"layer": names.get(one.layer_id, ""), "code": one.code[:200], "property": one.property}
            yield "expression_reads_files", details
    for read_by in reads_of(project):
        for read in read_by.reads:
            details = {
                "layer": read_by.layer,
                "what": read.sentence(),
                "property": read_by.expression.property,
            }
            if read.exists is False:
                yield "broken_reference", details
            elif read.language not in (None, "English"):
                yield "localised_name", details


def _document(document: PsdDocument, comp: Composition) -> _Found:
    value = _apart(document.width / document.height, comp.width / comp.height)
    yield "document_size", {"comp": comp.name, "value": value}


def _overflow(job: Job, source: PsdLayer, target: Layer, slot: LayerText) -> _Found:
    reason, value = "", None
    font = slot.fonts[0] if slot.fonts else ""
    file = (job.fonts or {}).get(font)
    if slot.box is None:
        reason = "point text has no box; set a limit for this slot"
    elif file is None:
        reason = f"the file of the font {font} is not here"
    else:
        widest = max(
            (
                text_width(line, file, slot.size, slot.tracking, slot.horizontal_scale)
                for line in (source.text.text if source.text else "").replace("\x03", "\n").split("\n")
            ),
            key=lambda width: float("inf") if width is None else width,
        )
        if widest is None:
            reason = f"the font {font} lacks some of its characters"
        else:
            value = widest / slot.box[0] - 1
    details = _pair(source, target, value)
    yield ("text_overflow_unknown", {**details, "reason": reason}) if reason else ("text_overflow", details)


def _picture(source: PsdLayer, target: Layer, width: float, height: float) -> _Found:
    if not source.box or not width or not height:
        return
    wide, high = source.box[2] - source.box[0], source.box[3] - source.box[1]
    yield "aspect", _pair(source, target, _apart(wide / high, width / height))
    yield "resolution", _pair(source, target, max(width / wide, height / high))


def _apart(one: float, other: float) -> float:
    return round(max(one, other) / min(one, other) - 1, 6)


def _pair(source: PsdLayer, target: Layer, value: float | None, pair: Match | None = None) -> dict[str, Any]:
    details: dict[str, Any] = {
        "layer": source.name,
        "slot": target.name,
        "layer_id": source.id,
        "slot_id": target.id,
        "value": value,
    }
    return {**details, "reason": pair.reasons[0]} if pair else details
