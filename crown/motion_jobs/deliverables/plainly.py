"""What Plainly demands of a project: the ten rules, and three checks of Plainly's own plug-in, with a score.

Plainly renders in the cloud and fills layers by their names, so names, kinds of files and sizes decide.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PureWindowsPath

from crown.motion_jobs.after_effects.ae_edit import Edits, spelt_out
from crown.motion_jobs.after_effects.ae_project import (
    Composition,
    Footage,
    Layer,
    Project,
)

_NAME = re.compile(r"[A-Za-z0-9_\-. ]+")
_POINTS = {"critical": 20, "warning": 5, "info": 1}
_GRADES = ((90, "A"), (80, "B"), (70, "C"), (60, "D"))
_VIDEO = frozenset({".mp4", ".mov", ".avi", ".mxf", ".webm", ".m4v"})
_AUDIO = frozenset({".wav", ".mp3", ".aif", ".aiff", ".m4a", ".aac"})
_PREFIXES = {"text": "txt_", "image": "img_", "video": "vid_", "audio": "audio_"}
_CLASSIC_3D = "ADBE Advanced 3d"
_RENDERERS = {"ADBE Calder": "Advanced 3D", "ADBE Ernst": "Cinema 4D"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken rule, and where it is broken."""

    rule: str
    severity: str
    message: str
    comp_id: int | None = None
    layer_id: int | None = None
    item_id: int | None = None


@dataclass(frozen=True, slots=True)
class PlainlyReport:
    """The findings, and what they amount to."""

    findings: tuple[Finding, ...]

    def count(self, severity: str) -> int:
        """How many findings have that severity."""
        return sum(one.severity == severity for one in self.findings)

    @property
    def score(self) -> int:
        """100, less 20 for each critical finding, 5 for each warning and 1 for each note; never below 0."""
        return max(0, 100 - sum(_POINTS[one.severity] for one in self.findings))

    @property
    def grade(self) -> str:
        """A from 90, B from 80, C from 70, D from 60, else F."""
        return next((grade for least, grade in _GRADES if self.score >= least), "F")

    @property
    def valid(self) -> bool:
        """Whether nothing is critical."""
        return self.count("critical") == 0

    @property
    def plainly_ready(self) -> bool:
        """Whether nothing is critical and at most two warnings are left."""
        return self.valid and self.count("warning") <= 2


def validate(project: Project) -> PlainlyReport:
    """Hold a project against all rules."""
    sources = {item.id: item for item in project.footage}
    found = [*_project(project)]
    for comp in project.compositions:
        found += _comp(comp)
        for layer in comp.layers:
            found += _layer(comp, layer, sources.get(layer.source_id or -1))
    for item in project.footage:
        found += _item(item)
    return PlainlyReport(tuple(found))


def fixes(project: Project) -> Edits:
    """The renames that mend what a name breaks: characters, prefixes, and `render_` where one composition is left.

    A name stays when another layer of its composition, or another composition, has the new one already, and when
    an expression spells it out.
    """
    sources = {item.id: item for item in project.footage}
    comp_names: dict[int, str] = {}
    layer_names: dict[int, str] = {}
    taken = {comp.name for comp in project.compositions}
    shown = {layer.source_id for comp in project.compositions for layer in comp.layers}
    tops = [comp for comp in project.compositions if comp.id not in shown]
    has_render = any(comp.name.startswith("render_") for comp in project.compositions)
    for comp in project.compositions:
        new = _plain(comp.name)
        if not has_render and tops == [comp]:
            new = f"render_{new}"
        if new != comp.name and new not in taken and not spelt_out(project, comp.name):
            comp_names[comp.id] = new
            taken.add(new)
        names = {layer.name for layer in comp.layers}
        for layer in comp.layers:
            prefix = _PREFIXES.get(role_of(layer, sources.get(layer.source_id or -1)), "")
            new = _plain(layer.name)
            new = new if new.startswith(prefix) else prefix + new
            if new != layer.name and new not in names and not spelt_out(project, layer.name):
                layer_names[layer.id] = new
                names.add(new)
    return Edits(layer_names=layer_names, comp_names=comp_names)


def _plain(name: str) -> str:
    """A name in Plainly's characters: accents are dropped, the rest becomes underscores."""
    folded = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_\-. ]+", "_", folded).strip("_ ") or "unnamed"


def _project(project: Project) -> Iterator[Finding]:
    renders = [comp for comp in project.compositions if comp.name.startswith("render_")]
    if not renders:
        message = "No composition's name starts with render_: Plainly does not know which one to render."
        yield Finding("render_comp", "warning", message)
    if len(renders) > 1:
        names = ", ".join(comp.name for comp in renders)
        yield Finding("render_comps", "info", f"{len(renders)} compositions start with render_: {names}.")
    if len(project.compositions) > 20:
        yield Finding(
            "comps", "info", f"The project has {len(project.compositions)} compositions, more than 20."
        )


def _comp(comp: Composition) -> Iterator[Finding]:
    if not _NAME.fullmatch(comp.name):
        yield Finding("name", "critical", _bad_name("composition", comp.name), comp.id)
    if len(comp.layers) > 100:
        message = f"The composition {comp.name!r} has {len(comp.layers)} layers, more than 100."
        yield Finding("layers", "info", message, comp.id)
    if comp.renderer != _CLASSIC_3D:
        renderer = _RENDERERS.get(comp.renderer, comp.renderer)
        message = f"The composition {comp.name!r} uses the renderer {renderer}; Plainly wants Classic 3D."
        yield Finding("renderer", "warning", message, comp.id)


def _layer(comp: Composition, layer: Layer, source: Footage | None) -> Iterator[Finding]:
    place = (comp.id, layer.id)
    if not _NAME.fullmatch(layer.name):
        yield Finding("name", "critical", _bad_name("layer", layer.name), *place)
    prefix = _PREFIXES.get(role_of(layer, source))
    if prefix and not layer.name.startswith(prefix):
        message = f"The layer {layer.name!r} of {comp.name!r} should start with {prefix}."
        yield Finding("prefix", "warning", message, *place)
    if len(layer.effects) > 5:
        severity, most = ("warning", 10) if len(layer.effects) > 10 else ("info", 5)
        message = (
            f"The layer {layer.name!r} of {comp.name!r} has {len(layer.effects)} effects, more than {most}."
        )
        yield Finding("effects", severity, message, *place)
    if layer.text and layer.text.all_caps:
        message = (
            f"The text {layer.name!r} of {comp.name!r} is set in all caps, which Plainly loses. "
            "Write it in capitals, or capitalise it in an expression."
        )
        yield Finding("all_caps", "warning", message, *place)


def _item(item: Footage) -> Iterator[Finding]:
    extension = _extension(item)
    if extension == ".mp3":
        message = f"The audio {item.name!r} is an MP3, which drifts when it is rendered. Convert it to WAV."
        yield Finding("mp3", "critical", message, item_id=item.id)
    if extension in (".ai", ".psd", ".psb", ".eps"):
        message = f"The footage {item.name!r} is {extension[1:].upper()}. Convert it to PNG."
        yield Finding("source", "warning", message, item_id=item.id)
    if item.psd_layer and extension in (".ai", ".psd", ".psb"):
        message = f"The footage {item.name!r} is one layer of a layered file, which Plainly does not relink."
        yield Finding("layered", "warning", message, item_id=item.id)


def role_of(layer: Layer, source: Footage | None) -> str:
    """What a layer takes in Plainly: text, image, video, audio, or nothing of these."""
    if layer.kind == "text":
        return "text"
    if layer.kind == "audio" or _extension(source) in _AUDIO:
        return "audio"
    if layer.kind == "footage":
        return "video" if _extension(source) in _VIDEO else "image"
    return ""


def _extension(item: Footage | None) -> str:
    return PureWindowsPath(item.file).suffix.lower() if item and item.file else ""


def _bad_name(what: str, name: str) -> str:
    bad = "".join(dict.fromkeys(letter for letter in name if not _NAME.fullmatch(letter)))
    return f"The name of the {what} {name!r} holds {bad!r}; Plainly takes letters, digits, _ - . and blanks."
