"""From what a person writes (LAYER=TEXT, ITEM=FILE) to edits by id, and the places that an edit changes.

A layer or item is a name, or `id:NUMBER`. A name that several have is refused with the candidates; the
name of a file means all items that read it, so that a layered file is relinked as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path, PureWindowsPath
from typing import TypeVar

from crown.errors import Refused
from crown.motion_jobs.after_effects.ae_edit import Edits, layer_named
from crown.motion_jobs.after_effects.ae_project import Project
from crown.motion_jobs.after_effects.place_map import Place, place_map

_Found = TypeVar("_Found")


def comp_named(project: Project, name: str) -> int:
    """The id of the composition of that name or `id:NUMBER`.

    Raises:
        Refused: None or several have the name; the sentence lists the candidates.
    """
    number = _number(name)
    found = [comp for comp in project.compositions if (comp.id == number if number else comp.name == name)]
    if len(found) == 1:
        return found[0].id
    where = project.path.name
    if not found:
        known = ", ".join(repr(comp.name) for comp in project.compositions[:8])
        raise Refused(f"{where} has no composition {name!r}; it has {known or 'none'}.")
    ids = ", ".join(f"id:{comp.id}" for comp in found)
    raise Refused(f"{where} has {len(found)} compositions named {name!r}. Name one of {ids}.")


def requested_edits(
    project: Project,
    texts: Sequence[str] = (),
    footage: Sequence[str] = (),
    comp: str | None = None,
    platform: str = "macos",
) -> Edits:
    """The edits that `LAYER=TEXT` and `ITEM=FILE` ask for.

    Args:
        project: The project to edit.
        texts: One `LAYER=TEXT` for each text.
        footage: One `ITEM=FILE` for each file.
        comp: The composition in which names of layers are looked for; all of them without one.
        platform: `macos` or `windows`, the system of the render machine.

    Raises:
        Refused: Something named does not exist, is not unique, or is named twice.
    """
    comp_id = comp_named(project, comp) if comp else None
    wanted: dict[int, str] = {}
    for one in texts:
        layer_id, text = _split(one, lambda name: _layer_id(project, name, comp_id))
        _once(wanted, layer_id, one)
        wanted[layer_id] = text
    files: dict[int, str] = {}
    for one in footage:
        ids, file = _split(one, lambda name: _item_ids(project, name))
        for number in ids:
            _once(files, number, one)
            files[number] = file if PureWindowsPath(file).drive else str(Path(file).absolute())
    return Edits(texts=wanted, footage=files, platform=platform)


def changed_places(project: Project, edits: Edits) -> list[Place]:
    """Every layer that looks different after the edits: those edited, and those that show what was edited."""
    uses = place_map(project)
    places: list[Place] = []
    for comp in project.compositions:
        for layer in comp.layers:
            if layer.id in edits.texts or layer.id in edits.layer_names:
                places.append(Place(comp.id, comp.name, layer.id, layer.name))
                places += uses.places_of_item(comp.id) if layer.id in edits.texts else ()
    for number in edits.footage:
        places += uses.places_of_item(number)
    return list(dict.fromkeys(places))


def _split(asked: str, find: Callable[[str], _Found]) -> tuple[_Found, str]:
    """A request at the `=` before which something is named; names and values may hold `=` themselves."""
    cuts = [at for at, letter in enumerate(asked) if letter == "="]
    if not cuts:
        raise Refused(f"{asked!r} has no '='. Write NAME=VALUE.")
    found: list[tuple[_Found, str]] = []
    problems: list[Refused] = []
    for at in cuts:
        try:
            found.append((find(asked[:at]), asked[at + 1 :]))
        except Refused as problem:
            problems.append(problem)
    if len(found) > 1:
        raise Refused(f"{asked!r} can be read in {len(found)} ways. Name it as id:NUMBER=VALUE.")
    if not found:
        raise problems[0]
    return found[0]


def _layer_id(project: Project, name: str, comp_id: int | None) -> int:
    if number := _number(name):
        return number
    return layer_named(project, name, comp_id)[1].id


def _item_ids(project: Project, name: str) -> list[int]:
    number = _number(name)
    named = [one for one in project.footage if (one.id == number if number else one.name == name)]
    if len(named) == 1:
        return [named[0].id]
    if len(named) > 1:
        ids = ", ".join(f"id:{one.id} ({one.file or one.kind})" for one in named)
        raise Refused(f"{project.path.name} has {len(named)} items named {name!r}. Name one of {ids}.")
    reading = [
        one for one in project.footage if one.file and name in (one.file, PureWindowsPath(one.file).name)
    ]
    if not reading:
        known = ", ".join(repr(one.name) for one in project.footage[:8])
        raise Refused(f"{project.path.name} has no footage {name!r}; it has {known or 'none'}.")
    paths = {one.file for one in reading}
    if len(paths) > 1:
        raise Refused(
            f"{len(paths)} files are named {name!r} ({', '.join(sorted(map(str, paths)))}). Give the path."
        )
    return [one.id for one in reading]


def _number(name: str) -> int | None:
    number = name.removeprefix("id:")
    return int(number) if number != name and number.isdecimal() else None


def _once(taken: dict[int, str], number: int, asked: str) -> None:
    if number in taken:
        raise Refused(f"{asked!r} names something that was named before. Give each once.")
