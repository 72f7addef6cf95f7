"""PSDs, projects and footage that jobs need: which bytes they hold now, and what was read of them.

Each PSD and project is read once for its hash: layers, pictures and a preview lie in a folder that is named by it.
A file that is not at rest keeps what was known of it until it is.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache as remembered
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, TypeAdapter
from sqlalchemy import text

from crown.errors import BadInput, TemporaryFailure
from crown.flow import inbox
from crown.motion_jobs.workspace import Workspace, clear_unfinished, unfinished_folder
from crown.store import files
from crown.store.watch import SETTLE_SECONDS, modified_ns

if TYPE_CHECKING:
    from crown.motion_jobs.after_effects.ae_project import Project
    from crown.motion_jobs.photoshop.psd_file import PsdDocument

Kind = Literal["psd", "project", "footage"]

VERSION = 1
"""Of what is read of a file; another one reads every file again."""

_READ, _PREVIEW, _LAYERS = "read.json", "preview.png", "layers"


class LayerPicture(BaseModel):
    """The PNG of a layer: its name in the folder of the layers, and what it is."""

    layer_id: int
    file: str
    thumbnail: str
    width: int
    height: int
    sha256: str


class PsdReading(BaseModel):
    """What is kept of a PSD. `skipped`: why a layer has no picture, by its id."""

    defect: str | None = None
    document: dict[str, Any] | None = None
    pictures: list[LayerPicture] = []
    skipped: dict[int, str] = {}
    preview_sha256: str | None = None


class ProjectReading(BaseModel):
    """What is kept of a project. `difference`: why the codec cannot give the same bytes back, if so."""

    defect: str | None = None
    project: dict[str, Any] | None = None
    difference: str | None = None


@dataclass(frozen=True)
class Psd:
    """A PSD as it was read, and where its pictures lie."""

    document: PsdDocument
    reading: PsdReading
    folder: Path
    read_hash: str

    def picture(self, layer_id: int) -> LayerPicture | None:
        """The picture of a layer, when it has one."""
        return next((one for one in self.reading.pictures if one.layer_id == layer_id), None)

    def path(self, name: str) -> Path:
        """The path of a layer's picture or thumbnail."""
        return self.folder / _LAYERS / name

    @property
    def preview(self) -> Path | None:
        """The flat picture that Photoshop saved, when there is one."""
        return self.folder / _PREVIEW if self.reading.preview_sha256 else None


@dataclass(frozen=True)
class ReadProject:
    """A project as it was read."""

    project: Project
    difference: str | None
    read_hash: str


def kind_of(path: Path) -> Kind:
    """The kind of a file that a batch names, by its extension."""
    return "psd" if path.suffix.lower() in (".psd", ".psb") else "project"


def folder_of(cache: Path, kind: Kind, content_hash: str) -> Path:
    """The folder of what is read of a file."""
    return cache / f"{kind}-{content_hash}-{VERSION}"


def load_psd(cache: Path, content_hash: str, path: Path) -> Psd:
    """What was read of a PSD with this hash.

    Raises:
        TemporaryFailure: it was not read yet.
        BadInput: it cannot be read.
    """
    folder = folder_of(cache, "psd", content_hash)
    raw = _raw(folder, path)
    reading = PsdReading.model_validate_json(raw)
    if reading.document is None:
        raise BadInput(reading.defect or f"{path.name} cannot be read.")
    document = _documents().validate_python(reading.document)
    return Psd(replace(document, path=path), reading, folder, _hash(raw))


def load_project(
    cache: Path, content_hash: str, path: Path, footage: Mapping[str, str | None]
) -> ReadProject:
    """What was read of a project with this hash; `footage` says where the files that it names lie here.

    Raises:
        TemporaryFailure: it was not read yet.
        BadInput: it cannot be read.
    """
    raw = _raw(folder_of(cache, "project", content_hash), path)
    reading = ProjectReading.model_validate_json(raw)
    if reading.project is None:
        raise BadInput(reading.defect or f"{path.name} cannot be read.")
    project = _projects().validate_python(reading.project)
    items = tuple(
        replace(item, exists=footage.get(item.file) is not None if item.file else None)
        for item in project.footage
    )
    return ReadProject(replace(project, path=path, footage=items), reading.difference, _hash(raw))


def defect(cache: Path, kind: Kind, content_hash: str) -> str | None:
    """Why a file that was read cannot be used."""
    raw = _raw(folder_of(cache, kind, content_hash), Path(content_hash))
    return (PsdReading if kind == "psd" else ProjectReading).model_validate_json(raw).defect


def read_file(kind: Kind, path: str, content_hash: str, cache: str) -> None:
    """Read a PSD or project into its folder, in a worker process; a defect is a result.

    Raises:
        TemporaryFailure: the file is being changed.
    """
    source, target = Path(path), folder_of(Path(cache), kind, content_hash)
    if target.is_dir():
        return
    unfinished = unfinished_folder(Path(cache))
    unfinished.mkdir()
    try:
        before = source.stat()
        reading = _read_psd(source, unfinished) if kind == "psd" else _read_project(source)
        after = source.stat()
        changed = (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns)
        if changed or files.sha256(source) != content_hash:
            raise TemporaryFailure(f"{source} is being changed; it is read when it is at rest.")
        (unfinished / _READ).write_text(reading.model_dump_json(), "utf-8")
        try:
            unfinished.rename(target)
        except OSError:
            if not target.is_dir():
                raise  # else another process has read the same bytes meanwhile
    except OSError as error:
        raise TemporaryFailure(f"{source} cannot be read now ({error.strerror or error}).") from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _read_psd(source: Path, folder: Path) -> PsdReading:
    from crown.motion_jobs.photoshop.psd_export import export_opened, preview_opened
    from crown.motion_jobs.photoshop.psd_file import document_of, open_psd

    try:
        psd = open_psd(source)
        document = document_of(psd, source)
        export = export_opened(psd, source, folder / _LAYERS)
    except BadInput as error:
        return PsdReading(defect=str(error))
    preview = None
    if document.has_preview:
        try:
            preview = files.sha256(preview_opened(psd, source, folder / _PREVIEW).image)
        except BadInput:
            preview = None  # the mapping sheet says that there is none
    return PsdReading(
        document=_documents().dump_python(replace(document, path=Path()), mode="json"),
        pictures=[
            LayerPicture(
                layer_id=one.layer_id,
                file=one.image.name,
                thumbnail=one.thumbnail.name,
                width=one.width,
                height=one.height,
                sha256=one.sha256,
            )
            for one in export.images
        ],
        skipped={one.layer_id: one.reason for one in export.skipped},
        preview_sha256=preview,
    )


def _read_project(source: Path) -> ProjectReading:
    from crown.motion_jobs.after_effects.ae_project import read_project
    from crown.motion_jobs.after_effects.aepx_codec import first_difference

    try:
        project = read_project(source)
        difference = first_difference(source.read_bytes(), source.name)
    except BadInput as error:
        return ProjectReading(defect=str(error))
    items = tuple(replace(item, exists=None) for item in project.footage)
    return ProjectReading(
        project=_projects().dump_python(replace(project, path=Path(), footage=items), mode="json"),
        difference=difference,
    )


@remembered
def _documents() -> TypeAdapter[PsdDocument]:
    from crown.motion_jobs.photoshop.psd_file import PsdDocument

    return TypeAdapter(PsdDocument)


@remembered
def _projects() -> TypeAdapter[Project]:
    from crown.motion_jobs.after_effects.ae_project import Project

    return TypeAdapter(Project)


def _raw(folder: Path, path: Path) -> bytes:
    try:
        return (folder / _READ).read_bytes()
    except FileNotFoundError:
        raise TemporaryFailure(f"{path.name} was not read yet; it is read by the next run.") from None


def _hash(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


@dataclass(frozen=True)
class Seen:
    """A file at a look: no hash when it is not there."""

    path: str
    kind: Kind
    size_bytes: int | None
    mtime_ns: int | None
    content_hash: str | None


@dataclass
class Look:
    """What a look found: files that are there, how many were hashed and read, and which are gone."""

    files: int = 0
    hashed: int = 0
    read: int = 0
    gone: list[str] | None = None


_NEEDED = """
    select psd_path as path, 'psd' as kind from motion.job_records where archived_at is null
    union select aepx_path, 'project' from motion.job_records where archived_at is null
"""
_KEEP = """
    insert into motion.source_files (path, kind, size_bytes, mtime_ns, content_hash)
    select * from unnest(cast(:paths as text[]), cast(:kinds as text[]), cast(:sizes as bigint[]),
                         cast(:times as bigint[]), cast(:hashes as text[]))
    on conflict (path) do update set kind = excluded.kind, size_bytes = excluded.size_bytes,
        mtime_ns = excluded.mtime_ns, content_hash = excluded.content_hash, seen_at = clock_timestamp()
"""
_KEEP_FOOTAGE = """
    insert into motion.footage (aepx_path, named, path)
    select * from unnest(cast(:projects as text[]), cast(:names as text[]), cast(:paths as text[]))
    on conflict (aepx_path, named) do update set path = excluded.path
"""


def look(workspace: Workspace) -> Look:
    """Look at every file that a job needs; what is new or changed is hashed and read."""
    found = Look(gone=[])
    with workspace.engine.connect() as connection:
        needed: dict[str, Kind] = dict(connection.execute(text(_NEEDED)).tuples().all())
    seen = _see(workspace, needed, found)
    found.read = read(workspace, [one for one in seen if one.content_hash])
    _keep(workspace, seen)
    footage = _footage(workspace, [one for one in seen if one.kind == "project" and one.content_hash])
    _keep_footage(workspace, footage)
    here: dict[str, Kind] = {path: "footage" for _, _, path in footage if path and path not in needed}
    _keep(workspace, _see(workspace, here, found))
    with workspace.engine.begin() as connection:
        connection.execute(
            text("delete from motion.source_files where path <> all(cast(:paths as text[]))"),
            {"paths": [*needed, *here]},
        )
    return found


def changed(workspace: Workspace) -> list[tuple[str, str]]:
    """Files that differ in size or time from the last look, or are new or gone, with what they are now. Reads no file."""
    with workspace.engine.connect() as connection:
        known = {
            row.path: (row.size_bytes, row.mtime_ns)
            for row in connection.execute(text("select path, size_bytes, mtime_ns from motion.source_files"))
        }
        needed = connection.execute(text(f"select path from ({_NEEDED}) n")).scalars().all()
    found = []
    for path in sorted({*known, *needed}):
        now = _status(Path(path)) or (None, None)
        if path not in known or now != known[path]:
            found.append((path, f"{now[0]}:{now[1]}"))
    return found


def read(workspace: Workspace, seen: Sequence[Seen]) -> int:
    """Read what was not read yet, each hash once, in worker processes; returns how many files were read."""
    clear_unfinished(workspace.cache)
    due: dict[Path, tuple[object, ...]] = {}
    for one in seen:
        if one.kind == "footage" or one.content_hash is None:
            continue
        folder = folder_of(workspace.cache, one.kind, one.content_hash)
        if not folder.is_dir():
            due.setdefault(folder, (one.kind, one.path, one.content_hash, str(workspace.cache)))
    for call, result in zip(
        due.values(), inbox.each_in_a_process(workspace, read_file, list(due.values())), strict=True
    ):
        if result is not None and not isinstance(result, TemporaryFailure):
            _keep_defect(workspace, call, result)
    return len(due)


def _keep_defect(workspace: Workspace, call: tuple[object, ...], error: Exception) -> None:
    """A file at which a process died or ran out of time is not tried again until its bytes change."""
    kind, path, content_hash, _ = call
    reason = (
        "it took too long" if isinstance(error, TimeoutError) else f"the process that read it died ({error})"
    )
    sentence = f"{Path(str(path)).name} cannot be read: {reason}. Make it smaller, or save it again."
    reading = PsdReading(defect=sentence) if kind == "psd" else ProjectReading(defect=sentence)
    folder = unfinished_folder(workspace.cache)
    folder.mkdir()
    (folder / _READ).write_text(reading.model_dump_json(), "utf-8")
    target = folder_of(workspace.cache, "psd" if kind == "psd" else "project", str(content_hash))
    if not target.is_dir():
        folder.rename(target)


def seen_now(paths: Iterable[Path]) -> list[Seen]:
    """Files that a batch names, hashed."""
    return [_hashed(str(path), kind_of(path), _status(path)) for path in paths]


def _see(workspace: Workspace, needed: Mapping[str, Kind], found: Look) -> list[Seen]:
    with workspace.engine.connect() as connection:
        rows = connection.execute(
            text(
                "select path, kind, size_bytes, mtime_ns, content_hash from motion.source_files"
                " where path = any(:paths)"
            ),
            {"paths": list(needed)},
        )
        known = {row.path: Seen(**row._mapping) for row in rows}
    seen = []
    for path, kind in needed.items():
        status, before = _status(Path(path)), known.get(path)
        if before and before.content_hash and (before.size_bytes, before.mtime_ns) == status:
            one = before
        elif before and before.content_hash and status and not _at_rest(status[1]):
            one = before  # it is being written; the next look takes it
        else:
            one = _hashed(path, kind, status)
            found.hashed += one.content_hash is not None
        found.files += one.content_hash is not None
        if one.content_hash is None and found.gone is not None:
            found.gone.append(path)
        seen.append(one)
    return seen


def _at_rest(mtime_ns: int) -> bool:
    # Also one that the clock of another machine dates in the future.
    return abs(time.time() - mtime_ns / 1e9) >= SETTLE_SECONDS


def _status(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_size, modified_ns(status)) if path.is_file() else None


def _hashed(path: str, kind: Kind, status: tuple[int, int] | None) -> Seen:
    try:
        content_hash = files.sha256(Path(path)) if status else None
    except OSError:
        status = content_hash = None
    size, mtime_ns = status or (None, None)
    return Seen(path, kind, size, mtime_ns, content_hash)


def _keep(workspace: Workspace, seen: Sequence[Seen]) -> None:
    if not seen:
        return
    rows = [asdict(one) for one in sorted(seen, key=lambda one: one.path)]
    with workspace.engine.begin() as connection:
        connection.execute(
            text(_KEEP),
            {
                "paths": [row["path"] for row in rows],
                "kinds": [row["kind"] for row in rows],
                "sizes": [row["size_bytes"] for row in rows],
                "times": [row["mtime_ns"] for row in rows],
                "hashes": [row["content_hash"] for row in rows],
            },
        )


def _footage(workspace: Workspace, projects: Sequence[Seen]) -> list[tuple[str, str, str | None]]:
    """Project, name in the project, and path here of every footage file."""
    found = []
    for one in projects:
        try:
            loaded = load_project(workspace.cache, str(one.content_hash), Path(one.path), {})
        except (BadInput, TemporaryFailure):
            continue
        for named in sorted({item.file for item in loaded.project.footage if item.file}):
            here = located(named, Path(one.path), workspace.allowed_roots)
            found.append((one.path, named, str(here) if here else None))
    return found


def located(named: str, project: Path, roots: Sequence[Path]) -> Path | None:
    """Where a file that a project names is here: under its own path, or beside the project as After Effects looks.

    Of a path that ends in `shoot/day1/a.png`, the folder of the project is searched for `shoot/day1/a.png`,
    `day1/a.png`, `a.png` and `(Footage)/a.png`. Nothing outside the allowed roots is found.
    """
    windows = bool(PureWindowsPath(named).drive) or "\\" in named
    parts = (PureWindowsPath(named) if windows else PurePosixPath(named)).parts
    own = [] if windows or not named.startswith("/") else [Path(named)]
    for candidate in (*own, *_beside(project.parent, [part for part in parts[1:] if part != ".."])):
        try:
            resolved = candidate.resolve()
            inside = any(resolved.is_relative_to(root.resolve()) for root in roots)
            if inside and resolved.is_file():
                return resolved
        except (OSError, RuntimeError, ValueError):
            continue
    return None


def _beside(folder: Path, parts: Sequence[str]) -> Iterator[Path]:
    for first in range(max(0, len(parts) - 6), len(parts)):
        yield folder.joinpath(*parts[first:])
    if parts:
        yield folder / "(Footage)" / parts[-1]


def _keep_footage(workspace: Workspace, footage: Sequence[tuple[str, str, str | None]]) -> None:
    with workspace.engine.begin() as connection:
        connection.execute(
            text(
                "delete from motion.footage f where not exists (select from"
                " unnest(cast(:projects as text[]), cast(:names as text[])) as n(project, named)"
                " where n.project = f.aepx_path and n.named = f.named)"
            ),
            {"projects": [one[0] for one in footage], "names": [one[1] for one in footage]},
        )
        if footage:
            connection.execute(
                text(_KEEP_FOOTAGE),
                {
                    "projects": [one[0] for one in footage],
                    "names": [one[1] for one in footage],
                    "paths": [one[2] for one in footage],
                },
            )
