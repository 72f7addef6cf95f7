"""Verify: looks at the files themselves. The only place where a missing or changed file is noticed.

Nothing is repaired here; what is missing becomes pending and the next run makes it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import text

from crown.errors import BadInput
from crown.journal import activity
from crown.ledger import planning
from crown.product_images.room import DEPARTMENT, MEDIA, OBJECTS, Room
from crown.store import files, watch

_CURRENT = """
    select m.making_id, m.asset, m.key, m.root, m.path, m.content_hash, m.size_bytes
    from ledger.items i join ledger.makings m using (making_id)
    where starts_with(i.asset, 'product_images/') and i.state = 'current' and m.path is not null
      and m.root = any(:roots)
"""
_AT_ONCE = 1_000
_SOME = f"""
    select * from ({_CURRENT}) as standing where {{part}} and (root, path, making_id) > (:root, :path, :id)
    order by root, path, making_id limit {_AT_ONCE}
"""
_AFTER = "(root, path) > (:start_root, :start_path)"
_UP_TO = "(root, path) <= (:start_root, :start_path)"


@dataclass
class Verification:
    """What the files were found to be; paths are `root:relative`.

    `absent` says which targets were left out because their folder is gone or empty. Of a sweep with a budget,
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
        """Whether every file is there with its bytes, and production holds no other."""
        return not (self.missing or self.changed or self.foreign or self.absent)


def verify(
    room: Room,
    *,
    quick: bool = False,
    byte_budget: int | None = None,
    emptied: Sequence[str] = (),
    on_progress: Callable[[int], None] | None = None,
) -> Verification:
    """Compare every current file with the ledger.

    Args:
        room: the department's room.
        quick: compare presence and size only, not the bytes.
        byte_budget: stop reading bytes after about so many; what is left is compared by size, and the next call with
            a budget goes on there.
        emptied: targets whose folder was emptied on purpose: everything of them is made again.
        on_progress: called with the number of files checked.

    Raises:
        SystemicFailure: a root that holds files of ours is not there; nothing is marked then.
        BadInput: `emptied` names no target, or one that holds files.
    """
    with room.engine.connect() as connection:
        holding = text(f"select distinct root from ({_CURRENT}) as standing")
        for root in connection.execute(holding, {"roots": [MEDIA, OBJECTS]}).scalars():
            room.roots.require(root)
    for target in emptied:
        _forget_target(room, target)
    absent = room.absent_targets()
    roots = [root for root in room.roots.folders if root not in absent]
    found = Verification(absent=list(absent.values()))
    missing, changed = [], []
    sweep = _Sweep(room, roots, byte_budget)
    for row in sweep.order():
        read = not quick and sweep.has_budget(found.bytes_read)
        state = _state(room, row, read=read)
        if read:
            found.files_read += 1
            found.bytes_read += row.size_bytes or 0
            sweep.was_read(row)
        found.checked += 1
        if on_progress is not None and found.checked % 100 == 0:
            on_progress(found.checked)
        if state == "closed":
            found.changed.append(f"{row.root}:{row.path} (may not be read)")
        elif state == "missing" or (state == "changed" and row.root == OBJECTS):
            missing.append(row.making_id)
            found.missing.append(f"{row.root}:{row.path}")
        elif state == "changed":
            changed.append(row.making_id)
            found.changed.append(f"{row.root}:{row.path}")
    found.foreign = [
        name for target in room.targets if target not in absent for name in _foreign(room, target)
    ]
    _mark(room, missing, changed, found)
    sweep.end(found)
    return found


def _files(room: Room, roots: Sequence[str], part: str, start: tuple[str, str]) -> Iterator[Any]:
    """Current files in the order of root and path, some at a time: a library does not have to fit into memory.

    No transaction is open while they are looked at.
    """
    statement = text(_SOME.format(part=part))
    bound: dict[str, Any] = {"roots": list(roots), "start_root": start[0], "start_path": start[1]}
    last = {"root": "", "path": "", "id": 0}
    while True:
        with room.engine.connect() as connection:
            rows = connection.execute(statement, {**bound, **last}).all()
        yield from rows
        if len(rows) < _AT_ONCE:
            return
        last = {"root": rows[-1].root, "path": rows[-1].path, "id": rows[-1].making_id}


class _Sweep:
    """Where a budgeted reading begins and ends: each goes on where the last one ended, round and round."""

    def __init__(self, room: Room, roots: Sequence[str], byte_budget: int | None) -> None:
        self._room, self._roots, self._budget = room, roots, byte_budget
        self._first: Any = None
        self._last: Any = None
        self._came_round = False
        self._start: tuple[str, str] | None = None
        if byte_budget is not None:
            with room.engine.connect() as connection:
                last = connection.execute(text("select root, path from product_images.sweep")).first()
            self._start = None if last is None else (last.root, last.path)

    def order(self) -> Iterator[Any]:
        """The files in the order in which they are looked at."""
        behind = _files(self._room, self._roots, _AFTER, self._start) if self._start is not None else iter(())
        row = None
        for row in behind:
            yield row
        self._came_round = row is not None and row is self._last
        if self._start is None or row is None:  # from the first to the last of all
            for row in _files(self._room, self._roots, "true", ("", "")):
                yield row
            self._came_round = row is not None and row is self._last
        else:
            yield from _files(self._room, self._roots, _UP_TO, self._start)

    def has_budget(self, bytes_read: int) -> bool:
        """Whether the next file's bytes are read."""
        return self._budget is None or bytes_read < self._budget

    def was_read(self, row: Any) -> None:
        """Remember it as the last one."""
        self._first = self._first or row
        self._last = row

    def end(self, found: Verification) -> None:
        """Keep the place for the next sweep, and say what this one read."""
        if self._budget is None or self._last is None:
            return
        found.read_from = f"{self._first.root}:{self._first.path}"
        found.read_to = f"{self._last.root}:{self._last.path}"
        with self._room.engine.begin() as connection:
            found.round_ended_at = connection.execute(
                text(
                    "insert into product_images.sweep as s (root, path, round_began_at, round_ended_at)"
                    " values (:root, :path, clock_timestamp(), case when :round then clock_timestamp() end)"
                    " on conflict (only_one) do update set root = excluded.root, path = excluded.path,"
                    " swept_at = clock_timestamp(),"
                    " round_began_at = case when :round then clock_timestamp() else s.round_began_at end,"
                    " round_ended_at = case when :round then clock_timestamp() else s.round_ended_at end"
                    " returning round_ended_at"
                ),
                {"root": self._last.root, "path": self._last.path, "round": self._came_round},
            ).scalar_one()


def _forget_target(room: Room, target: str) -> None:
    """Count everything that was published to a target as gone, because a person says so."""
    if target not in room.absent_targets():
        raise BadInput(
            f"{target} is not a target whose folder is gone or empty; the targets are {', '.join(room.targets)}."
        )
    bound = {"root": target}
    with room.engine.begin() as connection:
        lost = connection.execute(
            text("select making_id from ledger.makings where root = :root and present"), bound
        ).scalars()
        planning.mark_lost(connection, list(lost))
        connection.execute(text("delete from ledger.files where root = :root"), bound)


def _state(room: Room, row: Any, *, read: bool) -> str:
    try:
        path = room.roots.path(row.root, row.path)
        if path.is_symlink() or not path.is_file():
            return "missing"
        if row.size_bytes is not None and path.stat().st_size != row.size_bytes:
            return "changed"
        return "changed" if read and files.sha256(path) != row.content_hash else "sound"
    except PermissionError:
        return "closed"  # what is in it cannot be told, so nothing follows from it but that it is said


def _foreign(room: Room, target: str) -> list[str]:
    folder = room.roots[target]
    closed: list[str] = []
    listed = watch.listing(folder, depth=8, closed=closed) if folder.is_dir() else []
    names = [path for path, _ in listed]
    ours = {path for path in names if watch.storable(path)} - set(_unknown(room, target, names))
    # Linux takes any bytes as a name; no row and no screen does.
    foreign = [watch.spelt_out(path) for path in names if path not in ours]
    return [
        f"{target}:{path}" for path in (*foreign, *(f"{one}/ (may not be looked into)" for one in closed))
    ]


def _unknown(room: Room, target: str, names: Sequence[str]) -> Iterator[str]:
    """Of names in a target, those at which we wrote nothing."""
    storable = [name for name in names if watch.storable(name)]
    with room.engine.connect() as connection:
        for first in range(0, len(storable), _AT_ONCE):
            yield from connection.execute(
                text(
                    "select path from unnest(cast(:paths as text[])) as there(path) where not exists"
                    " (select from ledger.files f where f.root = :root and f.path = there.path)"
                ),
                {"root": target, "paths": storable[first : first + _AT_ONCE]},
            ).scalars()


def _mark(room: Room, missing: list[int], changed: list[int], found: Verification) -> None:
    if not missing and not changed:
        return
    with room.engine.begin() as connection:
        planning.lock_makings(connection, [*missing, *changed])
        planning.mark_lost(connection, missing)
        planning.mark_changed(
            connection,
            changed,
            "The file was changed by someone else and is left alone; move it away, then `crown images retry --apply`.",
        )
        activity.record(
            connection,
            who="verify",
            what="files_differ",
            subject=DEPARTMENT,
            department=DEPARTMENT,
            via="run",
            new={"missing": found.missing[:100], "changed": found.changed[:100]},
        )
