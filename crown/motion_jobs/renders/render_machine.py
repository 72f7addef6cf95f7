"""What a render machine has, and what a project needs of it: said by profile, not by rendering.

The profile is the JSON that `collect_profile.jsx` writes inside After Effects on that machine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PureWindowsPath
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crown.errors import BadInput
from crown.motion_jobs.after_effects.ae_project import Project, read_bytes
from crown.motion_jobs.after_effects.expression_reads import ExpressionReads

LABEL = "by profile, not by rendering"
_MAX_BYTES = 20 * 1024 * 1024
_LANGUAGES = {
    "de": "German", "fr": "French", "es": "Spanish", "it": "Italian", "pt": "Portuguese", "ja": "Japanese",
    "ko": "Korean", "zh": "Chinese", "ru": "Russian", "en": "English",
}  # fmt: skip
#: Effects that a project brings itself, made by a script or preset.
_OWN_EFFECTS = "Pseudo/"


class RenderMachine(BaseModel):
    """A render machine. `fonts` is None where its After Effects cannot list them (before version 24)."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    format: Literal["crown-render-machine/1"]
    version: str = Field(max_length=100)
    language: str = Field(max_length=20)
    system: str = Field(max_length=200)
    collected_at: str = Field(max_length=20, pattern=r"^\d+$")
    effects: frozenset[str]
    fonts: frozenset[str] | None

    @property
    def collected(self) -> datetime:
        """When the profile was collected."""
        return datetime.fromtimestamp(int(self.collected_at) / 1000, UTC)

    @property
    def spoken(self) -> str:
        """The language of After Effects there."""
        return _LANGUAGES.get(self.language[:2].lower(), self.language)

    @property
    def windows(self) -> bool:
        """Whether it runs Windows."""
        return "windows" in self.system.lower()


@dataclass(frozen=True, slots=True)
class Lack:
    """Something that a project needs and a machine lacks, or that cannot be said."""

    kind: Literal["version", "font", "effect", "language", "path", "unknown"]
    severity: Literal["critical", "warning", "info"]
    message: str


def profile_script() -> str:
    """The script that collects a profile."""
    return Path(__file__).with_name("scripts").joinpath("collect_profile.jsx").read_text("ascii")


def read_machine(path: Path) -> RenderMachine:
    """The profile that the script wrote.

    Raises:
        BadInput: It is none.
    """
    try:
        return RenderMachine.model_validate(json.loads(read_bytes(path, _MAX_BYTES)))
    except (ValueError, RecursionError, ValidationError) as error:
        what = f"{error.errors()[0]['loc']}" if isinstance(error, ValidationError) else type(error).__name__
        raise BadInput(f"{path.name} is no profile of a render machine ({what}). Collect it again.") from None


def preflight(project: Project, machine: RenderMachine, reads: Sequence[ExpressionReads] = ()) -> list[Lack]:
    """What will fail on a machine, the most serious first; by profile, not by rendering."""
    found = [
        *_version(project, machine),
        *_effects(project, machine),
        *_language(machine, reads),
        *_fonts(project, machine),
        *_paths(project, machine),
    ]
    order = ("critical", "warning", "info")
    return sorted(found, key=lambda one: order.index(one.severity))


def _version(project: Project, machine: RenderMachine) -> Iterator[Lack]:
    wanted, there = _numbers(project.version), _numbers(machine.version)
    if wanted is None or there is None:
        message = f"Versions cannot be compared: the project says {project.version!r}, the machine {machine.version!r}."
        yield Lack("unknown", "info", message)
    elif there[0] < wanted[0]:
        message = (
            f"The project is of After Effects {project.version}; the machine has {machine.version}, "
            "which cannot open it."
        )
        yield Lack("version", "critical", message)


def _numbers(version: str) -> tuple[int, int] | None:
    found = re.match(r"(\d+)(?:\.(\d+))?", version)
    return (int(found[1]), int(found[2] or 0)) if found else None


def _effects(project: Project, machine: RenderMachine) -> Iterator[Lack]:
    used: dict[str, str] = {}
    for comp in project.compositions:
        for layer in comp.layers:
            for effect in layer.effects:
                used.setdefault(effect, f"{comp.name} / {layer.name}")
    for effect, place in sorted(used.items()):
        if effect not in machine.effects and not effect.startswith(_OWN_EFFECTS):
            message = f"The effect {effect} on {place} is not installed; After Effects renders without it."
            yield Lack("effect", "critical", message)


def _language(machine: RenderMachine, reads: Sequence[ExpressionReads]) -> Iterator[Lack]:
    for one in reads:
        for read in one.reads:
            if read.localised and (read.language or "English") != machine.spoken:
                message = (
                    f"The expression on {one.comp} / {one.layer} reads {read.sentence()}; "
                    f"After Effects is in {machine.spoken} there."
                )
                yield Lack("language", "critical" if read.language else "warning", message)


def _fonts(project: Project, machine: RenderMachine) -> Iterator[Lack]:
    if machine.fonts is None:
        if project.fonts:
            fonts = ", ".join(project.fonts)
            yield Lack("unknown", "info", f"The machine cannot list its fonts; the project uses {fonts}.")
        return
    for font in project.fonts:
        if font not in machine.fonts:
            yield Lack(
                "font", "warning", f"The font {font} is not installed; After Effects takes another one."
            )


def _paths(project: Project, machine: RenderMachine) -> Iterator[Lack]:
    for item in project.footage:
        if item.file and bool(PureWindowsPath(item.file).drive) != machine.windows:
            system = "Windows" if machine.windows else "macOS"
            message = f"The footage {item.name!r} has a path of another system, and the machine runs {system}: {item.file}."
            yield Lack("path", "warning", message)
