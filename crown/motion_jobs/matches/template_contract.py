"""What a template wants filled: typed slots with limits, as data with a version, and what a new version breaks.

A contract is about one composition. Two versions are compared slot by slot, by layer id and then by a unique
name; which jobs a change breaks follows from what those jobs filled, before anything runs.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from crown.errors import BadInput
from crown.motion_jobs.after_effects.ae_project import Layer, LayerText, Project
from crown.motion_jobs.deliverables.plainly import role_of
from crown.motion_jobs.jobs.csv_batches import OPTIONAL, REQUIRED
from crown.motion_jobs.matches.matching import slots_of
from crown.motion_jobs.matches.text_fit import text_width

Kind = Literal["text", "image", "video", "audio"]
#: The distance of lines where the text does not say it, as After Effects sets it by itself: 120 % of the size.
_LEADING = 1.2
#: Two aspects are the same up to this; the warnings begin at 10 %.
_ASPECT_APART = 0.10
_OWN = ("composition", "solid")


class Slot(BaseModel):
    """One thing to fill.

    Attributes:
        layer_id: The layer; unique in the project.
        kind: What it takes.
        required: Whether the composition shows it and a job brings its content: a text that no expression
            gives, or footage. Compositions and solids have a picture of their own.
        unique: Whether no other slot of the composition has its name.
        width: Of the text's box or of the footage, in pixels; 0 where there is none.
        height: Likewise.
        characters: How many characters of the default text's average width fit its box; None: unknown.
        fonts: PostScript names in use.
        default: The text or file that is there now.
        driven: Whether an expression gives the value, so that filling it changes nothing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    layer_id: int
    name: str
    kind: Kind
    required: bool
    unique: bool
    width: float
    height: float
    characters: int | None
    fonts: tuple[str, ...]
    size: float
    default: str
    driven: bool

    @property
    def aspect(self) -> float | None:
        """Width by height."""
        return self.width / self.height if self.width and self.height else None


class Contract(BaseModel):
    """What one composition of a template wants.

    The version changes with anything but the file's own name and the limits in characters, which need font files.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    template: str
    comp_id: int
    comp: str
    width: int
    height: int
    duration: float
    frame_rate: float
    slots: tuple[Slot, ...]

    @property
    def version(self) -> str:
        """The first 12 digits of a hash of all that is wanted."""
        wanted = self.model_dump(
            mode="json", exclude={"template": True, "slots": {"__all__": {"characters"}}}
        )
        return hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def fonts(self) -> tuple[str, ...]:
        """PostScript names of all fonts that the slots use."""
        return tuple(sorted({font for slot in self.slots for font in slot.fonts}))

    def as_json(self) -> str:
        """The contract as it is kept beside the template."""
        body = {"version": self.version, "fonts": self.fonts, **self.model_dump(mode="json")}
        return json.dumps(body, indent=2, ensure_ascii=False) + "\n"


def contract_of(project: Project, comp_id: int, font_files: Mapping[str, Path] | None = None) -> Contract:
    """The contract of one composition.

    Args:
        project: The template.
        comp_id: Its composition.
        font_files: Font files by PostScript name; a limit in characters needs the file of the slot's font.
    """
    comp = project.composition(comp_id)
    layers = {layer.id: layer for layer in comp.layers}
    driven = {one.layer_id for one in project.expressions if one.property.endswith("ADBE Text Document")}
    sources = {item.id: item for item in project.footage}
    found = slots_of(project, comp_id)
    names = Counter(slot.name for slot in found)
    slots = []
    for one in found:
        layer = layers[one.id]
        source = sources.get(layer.source_id or -1)
        role = role_of(layer, source)
        by_expression = layer.text is not None and layer.id in driven
        slots.append(
            Slot(
                layer_id=layer.id,
                name=layer.name,
                kind=_kind(role),
                required=layer.enabled and not by_expression and layer.kind not in _OWN,
                unique=names[layer.name] == 1,
                width=one.width,
                height=one.height,
                characters=_characters(layer, font_files or {}),
                fonts=layer.text.fonts if layer.text else (),
                size=layer.text.size if layer.text else 0,
                default=layer.text.text if layer.text else (source.file or "" if source else ""),
                driven=by_expression,
            )
        )
    return Contract(
        template=project.path.name,
        comp_id=comp.id,
        comp=comp.name,
        width=comp.width,
        height=comp.height,
        duration=comp.duration,
        frame_rate=comp.frame_rate,
        slots=tuple(slots),
    )


def read_contract(path: Path) -> Contract:
    """A contract that `as_json` wrote.

    Raises:
        BadInput: It is no contract, or was changed by hand.
    """
    try:
        body = json.loads(path.read_bytes())
        version = body.pop("version")
        body.pop("fonts")
        contract = Contract.model_validate(body)
    except (OSError, ValueError, KeyError, AttributeError, TypeError, ValidationError) as error:
        raise BadInput(
            f"{path.name} is no template contract ({type(error).__name__}). Write it again."
        ) from None
    if contract.version != version:
        raise BadInput(f"{path.name} was changed since it was written. Write it again from the template.")
    return contract


def _kind(role: str) -> Kind:
    """A composition, solid or placeholder takes a picture."""
    return role if role in ("text", "video", "audio") else "image"  # type: ignore[return-value]


def _characters(layer: Layer, font_files: Mapping[str, Path]) -> int | None:
    text = layer.text
    if text is None or text.box is None or not text.fonts or text.fonts[0] not in font_files:
        return None
    sample = "".join(text.text.split()) or "abcdefghijklmnopqrstuvwxyz"
    width = text_width(sample, font_files[text.fonts[0]], text.size, text.tracking, text.horizontal_scale)
    if not width:
        return None
    return _lines(text) * int(text.box[0] // (width / len(sample)))


def _lines(text: LayerText) -> int:
    height = text.box[1] if text.box else 0
    return max(1, math.floor(height / (text.size * _LEADING))) if text.size else 1


def sample_csv(contract: Contract) -> str:
    """A CSV with one row to start from: the columns of a batch, and one for each text that has a name of its own."""
    own = [slot for slot in contract.slots if slot.kind == "text" and slot.unique and not slot.driven]
    taken = {*REQUIRED, *OPTIONAL}
    columns = [slot for slot in own if slot.name and slot.name not in taken]
    row = {
        "job_id": "job_1",
        "psd_path": "design.psd",
        "aepx_path": contract.template,
        "output_name": "job_1" + (".aep" if contract.template.endswith(".aep") else ".aepx"),
        "priority": "medium",
    }
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*REQUIRED, *OPTIONAL, *(slot.name for slot in columns)])
    writer.writerow(
        [*(row.get(name, "") for name in (*REQUIRED, *OPTIONAL)), *(slot.default for slot in columns)]
    )
    return text.getvalue()


@dataclass(frozen=True, slots=True)
class Filled:
    """What a job put into a slot."""

    slot_id: int
    slot: str
    is_text: bool
    text: str = ""
    width: float = 0
    height: float = 0


@dataclass(frozen=True, slots=True)
class JobUse:
    """A job of a template: `waiting`, or `past` when its result is delivered."""

    job_id: str
    state: Literal["past", "waiting"]
    filled: Sequence[Filled] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Effect:
    """What a new version means for one job. A job that is only `changed` still runs, and looks different."""

    job_id: str
    state: Literal["past", "waiting"]
    severity: Literal["broken", "changed"]
    reasons: tuple[str, ...]


def contract_changes(old: Contract, new: Contract) -> list[str]:
    """What differs between two versions, each in a sentence."""
    found = [f"{what} changes from {one} to {other}." for what, one, other in _frame(old, new)]
    for before, after in _paired(old, new):
        if after is None and before is not None:
            found.append(f"The slot {before.name!r} is gone.")
        elif before is None and after is not None:
            wanted = "required" if after.required else "optional"
            found.append(f"The slot {after.name!r} ({after.kind}, {wanted}) is new.")
        elif before is not None and after is not None:
            found += [
                f"The slot {before.name!r}: {what} changes from {one} to {other}."
                for what, one, other in _slot(before, after)
            ]
    return found


def affected_jobs(old: Contract, new: Contract, jobs: Iterable[JobUse]) -> list[Effect]:
    """The jobs that a new version of their template breaks or changes, and why; the others are left out."""
    frame = [f"{what} changes from {one} to {other}" for what, one, other in _frame(old, new)]
    pairs = _paired(old, new)
    effects = []
    for job in jobs:
        broken = list(_breaks(pairs, job))
        changed = [*frame, *_visible(pairs, job)]
        if broken or changed:
            severity: Literal["broken", "changed"] = "broken" if broken else "changed"
            effects.append(Effect(job.job_id, job.state, severity, (*broken, *changed)))
    return effects


_Pairs = list[tuple[Slot | None, Slot | None]]


def _paired(old: Contract, new: Contract) -> _Pairs:
    left = {slot.layer_id: slot for slot in old.slots}
    right = {slot.layer_id: slot for slot in new.slots}
    pairs: _Pairs = [(left[one], right[one]) for one in left if one in right]
    alone = [slot for slot in old.slots if slot.layer_id not in right]
    others = {slot.name: slot for slot in new.slots if slot.layer_id not in left and slot.unique}
    for slot in alone:
        pairs.append((slot, others.pop(slot.name, None) if slot.unique else None))
    used = {other.layer_id for _, other in pairs if other}
    return [*pairs, *((None, slot) for slot in new.slots if slot.layer_id not in used)]


def _frame(old: Contract, new: Contract) -> Iterator[tuple[str, object, object]]:
    size = f"{old.width}x{old.height}", f"{new.width}x{new.height}"
    for what, one, other in (
        ("The composition's name", repr(old.comp), repr(new.comp)),
        ("Its size", *size),
        ("Its length", f"{old.duration:g} s", f"{new.duration:g} s"),
        ("Its rate", f"{old.frame_rate:g} frames/s", f"{new.frame_rate:g} frames/s"),
    ):
        if one != other:
            yield what, one, other


def _slot(old: Slot, new: Slot) -> Iterator[tuple[str, object, object]]:
    for what in (
        "layer_id",
        "name",
        "kind",
        "required",
        "characters",
        "fonts",
        "size",
        "default",
        "driven",
        "unique",
    ):
        one, other = getattr(old, what), getattr(new, what)
        if one != other:
            yield what.replace("_", " "), _word(one), _word(other)
    if (old.width, old.height) != (new.width, new.height):
        yield "box", f"{old.width:g}x{old.height:g}", f"{new.width:g}x{new.height:g}"


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return "unknown" if value is None else repr(value) if isinstance(value, str) else str(value)


def _breaks(pairs: _Pairs, job: JobUse) -> Iterator[str]:
    filled = {one.slot_id: one for one in job.filled}
    for old, new in pairs:
        if old is None:
            if new is not None and new.required:
                yield f"the new slot {new.name!r} is required and nothing fills it"
            continue
        given = filled.get(old.layer_id)
        if given is None:
            if new is not None and new.required and not old.required:
                yield f"the slot {new.name!r} is required now and nothing fills it"
            continue
        if new is None:
            yield f"the slot {old.name!r}, which it fills, is gone"
        else:
            yield from _no_longer_fits(old, new, given)


def _no_longer_fits(old: Slot, new: Slot, given: Filled) -> Iterator[str]:
    if (new.kind == "text") != given.is_text:
        yield f"the slot {new.name!r} takes {new.kind} now"
        return
    if new.layer_id != old.layer_id:
        yield f"the slot {new.name!r} is another layer now (id {old.layer_id} became {new.layer_id})"
    if not new.unique and old.unique:
        yield f"the name {new.name!r} is that of several slots now"
    if new.driven and not old.driven:
        yield f"the slot {new.name!r} gets its value from an expression now"
    count = len(given.text)
    fitted = old.characters is None or count <= old.characters
    if given.is_text and fitted and new.characters is not None and count > new.characters:
        yield f"its text of {count} characters does not fit {new.name!r}, which takes {new.characters} now"
    if not given.is_text and given.width and given.height and old.aspect and new.aspect:
        mine = given.width / given.height
        if _apart(mine, new.aspect) > _ASPECT_APART >= _apart(mine, old.aspect):
            yield f"its picture of aspect {mine:.2f} fitted {new.name!r} and does not fit {new.aspect:.2f}"


def _visible(pairs: _Pairs, job: JobUse) -> Iterator[str]:
    filled = {one.slot_id for one in job.filled}
    for old, new in pairs:
        if old is None or new is None:
            continue
        for what, one, other in _slot(old, new):
            uses_default = what == "default" and old.layer_id not in filled
            if what in ("name", "fonts", "size", "box") or uses_default:
                yield f"{what} of the slot {old.name!r} changes from {one} to {other}"


def _apart(one: float, other: float) -> float:
    return max(one, other) / min(one, other) - 1
