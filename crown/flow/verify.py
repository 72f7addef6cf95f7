"""Verify: compares the files with the ledger. The only module that detects missing or changed files.

Nothing is repaired here; what is missing becomes pending and the next run makes it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import text

from crown.errors import BadInput
from crown.flow.workspace import OBJECTS, Workspace
from crown.journal import activity
from crown.ledger import planning, written_files
from crown.store import files, watch

_CURRENT = """
    select m.output_id, m.asset, m.key, m.root, m.path, m.content_hash, m.size_bytes
    from ledger.items i join ledger.outputs m using (output_id)
    where i.asset = any(:assets) and i.state = 'current' and m.path is not null
      and m.root = any(:roots)
"""
_AT_ONCE = 1_000
_SOME = f"""
    select * from ({_CURRENT}) as standing where {{part}} and (root, path, output_id) > (:root, :path, :id)
    order by root, path, output_id limit {_AT_ONCE}
"""
_AFTER = "(root, path) > (:start_root, :start_path)"
_UP_TO = "(root, path) <= (:start_root, :start_path)"


@dataclass
class Verification:
    """What the files were found to be; paths are `root:relative`.

    `absent` says which roots were left out because their folder is gone or empty. Of a rotating check with a budget,
    `read_from` and `read_to` are the first and last file whose bytes were read, `round_ended_at` is when it last
    came past the last of all files.
    """

    checked: int = 0
    files_read: int = 0
    bytes_read: int = 0
    read_from: str | None = None
    read_to: str | None = None
    round_ended_at: datetime | None = None
    missing: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether every file is there with its bytes, and our own roots hold no other."""
        return not (self.missing or self.changed or self.foreign or self.absent)


def verify(
    workspace: Workspace,
    *,
    quick: bool = False,
    byte_budget: int | None = None,
    emptied: Sequence[str] = (),
    on_progress: Callable[[int], None] | None = None,
) -> Verification:
    """Compare every current file with the ledger.

    Args:
        workspace: the department's workspace.
        quick: compare presence and size only, not the bytes.
        byte_budget: stop reading bytes after about so many; what is left is compared by size, and the next call with
            a budget goes on there.
        emptied: roots of ours whose folder was emptied on purpose: everything of them is made again.
        on_progress: called with the number of files checked.

    Raises:
        SystemicFailure: a root that holds files of ours is not there; nothing is marked then.
        BadInput: `emptied` names no root of ours, or one that holds files.
    """
    with workspace.engine.connect() as connection:
        holding = text(f"select distinct root from ({_CURRENT}) as standing")
        needed = [root for root in workspace.roots.folders if root not in workspace.our_roots]
        bound = {"assets": list(workspace.assets), "roots": needed}
        for root in connection.execute(holding, bound).scalars():
            workspace.roots.require(root)
    for root in emptied:
        _forget_root(workspace, root)
    absent = workspace.absent_roots()
    roots = [root for root in workspace.roots.folders if root not in absent]
    found = Verification(absent=list(absent.values()))
    missing, changed = [], []
    check = _RotatingCheck(workspace, roots, byte_budget)
    for row in check.order():
        read = not quick and check.has_budget(found.bytes_read)
        state = _state(workspace, row, read=read)
        if read:
            found.files_read += 1
            found.bytes_read += row.size_bytes or 0
            check.was_read(row)
        found.checked += 1
        if on_progress is not None and found.checked % 100 == 0:
            on_progress(found.checked)
        if state == "closed":
            found.changed.append(f"{row.root}:{row.path} (may not be read)")
        elif state == "missing" or (state == "changed" and row.root == OBJECTS):
            missing.append(row.output_id)
            found.missing.append(f"{row.root}:{row.path}")
        elif state == "changed":
            changed.append(row.output_id)
            found.changed.append(f"{row.root}:{row.path}")
    found.foreign = [
        name for root in workspace.our_roots if root not in absent for name in _foreign(workspace, root)
    ]
    _mark(workspace, missing, changed, found)
    check.end(found)
    return found


def _files(workspace: Workspace, roots: Sequence[str], part: str, start: tuple[str, str]) -> Iterator[Any]:
    """Current files in the order of root and path, some at a time: a library does not have to fit into memory.

    No transaction is open while they are looked at.
    """
    statement = text(_SOME.format(part=part))
    bound: dict[str, Any] = {"assets": list(workspace.assets), "roots": list(roots)}
    bound |= {"start_root": start[0], "start_path": start[1]}
    last = {"root": "", "path": "", "id": 0}
    while True:
        with workspace.engine.connect() as connection:
            rows = connection.execute(statement, {**bound, **last}).all()
        yield from rows
        if len(rows) < _AT_ONCE:
            return
        last = {"root": rows[-1].root, "path": rows[-1].path, "id": rows[-1].output_id}


class _RotatingCheck:
    """Where a budgeted reading begins and ends: each goes on where the last one ended, round and round."""

    def __init__(self, workspace: Workspace, roots: Sequence[str], byte_budget: int | None) -> None:
        self._workspace, self._roots, self._budget = workspace, roots, byte_budget
        self._first: Any = None
        self._last: Any = None
        self._came_round = False
        self._start: tuple[str, str] | None = None
        if byte_budget is not None:
            with workspace.engine.connect() as connection:
                last = connection.execute(
                    text("select root, path from store.rotating_checks where department = :department"),
                    {"department": workspace.department},
                ).first()
            self._start = None if last is None else (last.root, last.path)

    def order(self) -> Iterator[Any]:
        """The files in the order in which they are looked at."""
        behind = (
            _files(self._workspace, self._roots, _AFTER, self._start) if self._start is not None else iter(())
        )
        row = None
        for row in behind:
            yield row
        self._came_round = row is not None and row is self._last
        if self._start is None or row is None:  # from the first to the last of all
            for row in _files(self._workspace, self._roots, "true", ("", "")):
                yield row
            self._came_round = row is not None and row is self._last
        else:
            yield from _files(self._workspace, self._roots, _UP_TO, self._start)

    def has_budget(self, bytes_read: int) -> bool:
        """Whether the next file's bytes are read."""
        return self._budget is None or bytes_read < self._budget

    def was_read(self, row: Any) -> None:
        """Remember it as the last one."""
        self._first = self._first or row
        self._last = row

    def end(self, found: Verification) -> None:
        """Keep the place for the next check, and say what this one read."""
        if self._budget is None or self._last is None:
            return
        found.read_from = f"{self._first.root}:{self._first.path}"
        found.read_to = f"{self._last.root}:{self._last.path}"
        with self._workspace.engine.begin() as connection:
            found.round_ended_at = connection.execute(
                text(
                    "insert into store.rotating_checks as s (department, root, path, round_began_at, round_ended_at)"
                    " values (:department, :root, :path, clock_timestamp(),"
                    "  case when :round then clock_timestamp() end)"
                    " on conflict (department) do update set root = excluded.root, path = excluded.path,"
                    " checked_at = clock_timestamp(),"
                    " round_began_at = case when :round then clock_timestamp() else s.round_began_at end,"
                    " round_ended_at = case when :round then clock_timestamp() else s.round_ended_at end"
                    " returning round_ended_at"
                ),
                {
                    "department": self._workspace.department,
                    "root": self._last.root,
                    "path": self._last.path,
                    "round": self._came_round,
                },
            ).scalar_one()


def _forget_root(workspace: Workspace, root: str) -> None:
    """Count everything that was written under a root as gone, because a person says so."""
    if root not in workspace.absent_roots():
        raise BadInput(
            f"{root} is not a target whose folder is gone or empty; the targets are {', '.join(workspace.our_roots)}."
        )
    with workspace.engine.begin() as connection:
        written_files.forget_root(connection, root)


def _state(workspace: Workspace, row: Any, *, read: bool) -> str:
    try:
        path = workspace.roots.path(row.root, row.path)
        if path.is_symlink() or not path.is_file():
            return "missing"
        if row.size_bytes is not None and path.stat().st_size != row.size_bytes:
            return "changed"
        return "changed" if read and files.sha256(path) != row.content_hash else "sound"
    except PermissionError:
        return "closed"  # its contents are unknown, so it is only reported


def _foreign(workspace: Workspace, root: str) -> list[str]:
    folder = workspace.roots[root]
    closed: list[str] = []
    listed = watch.listing(folder, depth=8, closed=closed) if folder.is_dir() else []
    names = [path for path, _ in listed]
    ours = {path for path in names if watch.storable(path)} - set(_unknown(workspace, root, names))
    # Linux takes any bytes as a name; no row and no screen does.
    foreign = [watch.spelt_out(path) for path in names if path not in ours]
    return [f"{root}:{path}" for path in (*foreign, *(f"{one}/ (may not be looked into)" for one in closed))]


def _unknown(workspace: Workspace, root: str, names: Sequence[str]) -> Iterator[str]:
    """Of names under a root, those at which we wrote nothing."""
    storable = [name for name in names if watch.storable(name)]
    with workspace.engine.connect() as connection:
        for first in range(0, len(storable), _AT_ONCE):
            yield from connection.execute(
                text(
                    "select path from unnest(cast(:paths as text[])) as there(path) where not exists"
                    " (select from ledger.files f where f.root = :root and f.path = there.path)"
                ),
                {"root": root, "paths": storable[first : first + _AT_ONCE]},
            ).scalars()


def _mark(workspace: Workspace, missing: list[int], changed: list[int], found: Verification) -> None:
    if not missing and not changed:
        return
    with workspace.engine.begin() as connection:
        planning.lock_output(connection, [*missing, *changed])
        planning.mark_lost(connection, missing)
        planning.mark_changed(
            connection,
            changed,
            "The file was changed by someone else and is left alone; move it away, then"
            f" `{workspace.command} retry --apply`.",
        )
        activity.record(
            connection,
            who="verify",
            what="files_differ",
            subject=workspace.department,
            department=workspace.department,
            via="run",
            new={"missing": found.missing[:100], "changed": found.changed[:100]},
        )
