"""A folder that a render machine can take: the project, everything it refers to, and a manifest of hashes.

The paths in the project are those that the render machine will see, with the counts by which After Effects
also finds files relative to the project. A file that is not here stops the package: it would render black.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from crown.errors import BadInput, PermanentFailure, Refused
from crown.motion_jobs.after_effects.ae_chunks import (
    Chunk,
    ChunkTree,
    read_rifx,
    write_rifx,
)
from crown.motion_jobs.after_effects.ae_project import load_tree, read_project
from crown.motion_jobs.after_effects.aepx_codec import (
    Aepx,
    first_difference,
    read_aepx,
    write_aepx,
)
from crown.store import files

MANIFEST = "manifest.json"
FOOTAGE = "(Footage)"
FONTS = "(Fonts)"
_RENDER_QUEUE = "LRdr"


@dataclass(frozen=True, slots=True)
class PackageOrder:
    """What goes into a package.

    Attributes:
        project: The `.aepx` or `.aep` file.
        root: Where the render machine sees the package's folder, such as `D:/jobs/B1` or `/Volumes/farm/B1`.
        files: Where a file that the project names is here, by the path in the project; others are
            looked for under the path itself.
        fonts: Font files to bring along.
        more: Further files by their path inside, such as reports.
    """

    project: Path
    root: str
    files: Mapping[str, Path] = field(default_factory=dict)
    fonts: tuple[Path, ...] = ()
    more: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PackedFile:
    """One file of a package: its path inside, size and SHA-256, and the path in the project it stands for."""

    path: str
    size: int
    sha256: str
    original: str | None


@dataclass(frozen=True, slots=True)
class Package:
    """A written package."""

    folder: Path
    project: str
    files: tuple[PackedFile, ...]


def make_package(order: PackageOrder, folder: Path) -> Package:
    """Write a package, or nothing.

    Raises:
        BadInput: The project cannot be read.
        Refused: The folder exists, or files that the project refers to are not here; the sentence lists them.
    """
    if folder.exists():
        raise Refused(f"{folder} exists already. Remove it, or name another folder.")
    if order.project.suffix.lower() not in (".aep", ".aepx"):
        raise Refused(f"{order.project.name} is neither .aep nor .aepx, so it cannot be packed.")
    project = _project(order.project)
    sources = _sources(project.tree, order)
    names = names_inside(list(sources), FOOTAGE)
    fonts = names_inside([str(font) for font in order.fonts], FONTS)
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        (part / FOOTAGE).mkdir(parents=True)
        _relink(project.tree, order.root, names)
        target = part / order.project.name
        target.write_bytes(
            write_aepx(project) if target.suffix.lower() == ".aepx" else write_rifx(project.tree)
        )
        packed = [_packed(target, part, None)]
        for original, source in sources.items():
            packed.append(_packed(_copy(source, part / names[original]), part, original))
        for font, inside in fonts.items():
            packed.append(_packed(_copy(Path(font), part / inside), part, None))
        for inside, content in order.more.items():
            packed.append(_packed(_write(content, part / inside), part, None))
        _write_manifest(part, order, packed)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return Package(folder, order.project.name, tuple(packed))


def place_package(unfinished: Path, target: Path, ours: frozenset[str]) -> None:
    """Give a written package its name, in the place of one that we wrote before and nobody changed since.

    Args:
        unfinished: The package's folder under a temporary name on the same disk.
        target: Its final name.
        ours: Hashes of the manifests that we last wrote, or were about to write, there.

    Raises:
        PermanentFailure: Something else is there; it is left alone.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = files.temporary(target)
    if os.path.lexists(target):
        manifest = target / MANIFEST
        whole = not target.is_symlink() and manifest.is_file() and _sha256(manifest) in ours
        if not whole or package_problems(target):
            raise PermanentFailure(
                f"{target} was put or changed there by someone else and is left alone; move it away, then retry."
            )
        target.rename(aside)
    with files.systemic_errors(f"Renaming to {target}"):
        unfinished.rename(target)
    shutil.rmtree(aside, ignore_errors=True)


def package_problems(folder: Path) -> list[str]:
    """What is wrong with a package, each in a sentence; empty when it is complete and unchanged."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
        listed = {entry["path"]: entry for entry in manifest["files"]}
        root, project = str(manifest["root"]), str(manifest["project"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [f"{folder.name} has no manifest that can be read ({type(error).__name__}). Make it again."]
    problems = []
    for name, entry in listed.items():
        file = folder / name
        if not file.resolve().is_relative_to(folder.resolve()):
            problems.append(f"{name} is outside the package.")
        elif not file.is_file():
            problems.append(f"{name} is missing.")
        elif file.stat().st_size != entry["size"] or _sha256(file) != entry["sha256"]:
            problems.append(f"{name} is not the file that was packed.")
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    problems += [f"{name} is not in the manifest." for name in sorted(present - set(listed) - {MANIFEST})]
    if not problems:
        problems += _stray_references(folder / project, root, set(listed))
    return problems


def _stray_references(project: Path, root: str, listed: set[str]) -> Iterator[str]:
    try:
        tree, _ = load_tree(project)
        read_project(project)
    except BadInput as error:
        yield str(error)
        return
    for chunk in _references(tree.chunks):
        path = str(_alas(chunk)["fullpath"])
        inside = path.removeprefix(root).lstrip("/\\").replace("\\", "/")
        if not path.startswith(root) or inside not in listed:
            yield f"The project refers to {path}, which is not in the package."


def _project(path: Path) -> Aepx:
    raw = path.read_bytes() if path.is_file() else b""
    if difference := first_difference(raw, path.name):
        raise Refused(f"{difference} It is not packed, because relinking could change more than paths.")
    return Aepx(read_rifx(raw, path.name), False) if raw[:4] == b"RIFX" else read_aepx(raw, path.name)


def _references(chunks: list[Chunk]) -> Iterator[Chunk]:
    """The file references of a project, without where its render queue writes to."""
    for chunk in chunks:
        if chunk.id == "alas":
            yield chunk
        elif chunk.kind != _RENDER_QUEUE:
            yield from _references(chunk.children)


def _alas(chunk: Chunk) -> dict[str, Any]:
    try:
        values = json.loads(chunk.data)
        return {**values, "fullpath": str(values["fullpath"])}
    except (ValueError, KeyError, TypeError):
        raise BadInput("The project has a file reference that cannot be read. Save it again.") from None


def _sources(tree: ChunkTree, order: PackageOrder) -> dict[str, Path]:
    """Where each file that the project names is here, by the path in the project."""
    found: dict[str, Path] = {}
    missing, folders = [], []
    for chunk in _references(tree.chunks):
        values = _alas(chunk)
        original = values["fullpath"]
        if not original or original in found:
            continue
        source = order.files.get(original, Path(original))
        if values.get("target_is_folder"):
            folders.append(original)
        elif not source.is_file():
            missing.append(original)
        else:
            found[original] = source
    if folders:
        raise Refused(f"{order.project.name} uses image sequences, which are not packed: {_some(folders)}.")
    missing += [str(font) for font in order.fonts if not font.is_file()]
    if missing:
        count = f"{len(set(missing))} file{'s' if len(set(missing)) > 1 else ''}"
        raise Refused(
            f"{order.project.name} refers to {count} not found here: {_some(missing)}. "
            "Say where they lie, or replace them."
        )
    return found


def _some(names: list[str]) -> str:
    each = list(dict.fromkeys(names))
    return ", ".join(each[:10]) + (f" and {len(each) - 10} more" if len(each) > 10 else "")


def names_inside(originals: list[str], folder: str) -> dict[str, str]:
    """The path inside the package of each file; files of one name get a number, whatever their capitals."""
    names: dict[str, str] = {}
    used: set[str] = set()
    for original in originals:
        name = PureWindowsPath(original).name
        stem, suffix = PurePosixPath(name).stem, PurePosixPath(name).suffix
        number = 2
        while name.lower() in used:
            name = f"{stem}_{number}{suffix}"
            number += 1
        used.add(name.lower())
        names[original] = f"{folder}/{name}"
    return names


def _relink(tree: ChunkTree, root: str, names: Mapping[str, str]) -> None:
    windows = bool(PureWindowsPath(root).drive) or root.startswith("\\\\")
    for chunk in _references(tree.chunks):
        values = _alas(chunk)
        if not values["fullpath"]:
            continue
        inside = names[values["fullpath"]]
        path = PureWindowsPath(root, inside) if windows else PurePosixPath(root, inside)
        values |= {
            "fullpath": str(path),
            "platform": 1 if windows else 2,
            "ascendcount_base": 1,
            "ascendcount_target": len(PurePosixPath(inside).parts),
        }
        for key in ("server_name", "server_volume_name"):
            if key in values:
                values[key] = ""
        chunk.data = json.dumps(values, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()


def _copy(source: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return target


def _write(content: bytes, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    return target


def _packed(file: Path, folder: Path, original: str | None) -> PackedFile:
    return PackedFile(file.relative_to(folder).as_posix(), file.stat().st_size, _sha256(file), original)


def _sha256(file: Path) -> str:
    with file.open("rb") as raw:
        return hashlib.file_digest(raw, "sha256").hexdigest()


def _write_manifest(folder: Path, order: PackageOrder, packed: list[PackedFile]) -> None:
    manifest = {
        "project": order.project.name,
        "root": order.root,
        "verified": "structure",
        "opened_in_after_effects": "not tested",
        "files": [
            {"path": one.path, "size": one.size, "sha256": one.sha256, "original": one.original}
            for one in packed
        ],
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", "utf-8")
