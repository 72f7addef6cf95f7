"""Old rehearsals: their bytes and sheets are removed, what came out stays on record.

A rehearsed cut-out stays when anything else names its bytes: the ledger, a decision, an upload, a rehearsal that is
kept, another department. The rehearsal whose promotion is in force is kept as it is, and nothing is removed while a
rehearsal or a backup is under way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, text

from crown.errors import BadInput, Refused, SystemicFailure
from crown.journal import activity
from crown.product_images import orphans
from crown.product_images.cutout import models as cutout_models
from crown.product_images.workspace import DEPARTMENT, Workspace
from crown.store import store_lock

#: Whoever puts bytes into the store has named them in a row after this time at the latest.
_NAMED_WITHIN = timedelta(hours=1)

_log = logging.getLogger(__name__)

# A rehearsal that was killed is as old as what it did last.
_OLD = """
    select rehearsal_id from product_images.rehearsals h
    where bytes_removed_at is null and rehearsal_id is distinct from :in_force
      and coalesce(ended_at, (select max(made_at) from product_images.rehearsal_results r
                              where r.rehearsal_id = h.rehearsal_id), began_at)
          < clock_timestamp() - cast(:older_than as interval)
    order by rehearsal_id
"""


@dataclass(frozen=True)
class Removed:
    """What was removed, or would be (`dry_run`): `kept` cut-outs are there and stay, because something needs them."""

    rehearsals: tuple[int, ...]
    cutouts: int
    sheets: int
    bytes: int
    kept: int
    dry_run: bool


def remove(
    workspace: Workspace,
    numbers: Sequence[int],
    *,
    who: str,
    via: activity.Via,
    others: Iterable[str] = (),
    dry_run: bool = False,
) -> Removed:
    """Remove the bytes and sheets of rehearsals; those that were removed before do no harm.

    Args:
        workspace: the department's workspace.
        numbers: the rehearsals.
        who: the person.
        via: from where.
        others: content hashes that other departments keep in the same store.
        dry_run: change nothing.

    Raises:
        BadInput: there is no rehearsal of such a number.
        Refused: one of them is in force, or a rehearsal or a backup is under way.
        SystemicFailure: a file cannot be removed; call it again for the rest.
    """

    def named(connection: Connection) -> list[int]:
        known = set(
            connection.execute(
                text("select rehearsal_id from product_images.rehearsals where rehearsal_id = any(:numbers)"),
                {"numbers": list(numbers)},
            ).scalars()
        )
        for number in numbers:
            if number not in known:
                raise BadInput(f"There is no rehearsal {number}; `crown images rehearsals` lists them.")
        if (in_force := _in_force(connection)) in known:
            raise Refused(
                f"Rehearsal {in_force} is in force: its model cuts out all photos. Promote another one, or take it"
                " back (`crown images promote default --apply`), then repeat."
            )
        return sorted(known)

    return _remove(workspace, named, who, via, others, dry_run)


def remove_old(
    workspace: Workspace,
    older_than: timedelta,
    *,
    who: str,
    via: activity.Via,
    others: Iterable[str] = (),
    dry_run: bool = False,
) -> Removed:
    """Remove the bytes and sheets of all rehearsals that ended longer ago, but for the one in force.

    Raises:
        Refused: a rehearsal or a backup is under way.
        SystemicFailure: see `remove`.
    """

    def old(connection: Connection) -> list[int]:
        bound = {"in_force": _in_force(connection), "older_than": older_than}
        return list(connection.execute(text(_OLD), bound).scalars())

    return _remove(workspace, old, who, via, others, dry_run)


def _in_force(connection: Connection) -> int | None:
    promoted = cutout_models.promoted(connection)
    return None if promoted is None else promoted.rehearsal_id


def _remove(
    workspace: Workspace,
    choose: Callable[[Connection], list[int]],
    who: str,
    via: activity.Via,
    others: Iterable[str],
    dry_run: bool,
) -> Removed:
    """Files first, then the rows that say so: what a crash leaves is removed by the next call."""
    with workspace.engine.begin() as connection:
        if not store_lock.may_remove(connection):
            raise Refused(
                "A rehearsal or a backup is under way and counts on these bytes; repeat when it has ended."
            )
        chosen = choose(connection)
        cutouts, kept, freed = _remove_cutouts(workspace, connection, chosen, others, dry_run)
        sheets, of_sheets = _remove_sheets(workspace, connection, chosen, dry_run)
        done = Removed(tuple(chosen), cutouts, sheets, freed + of_sheets, kept, dry_run)
        if chosen and not dry_run:
            _say(connection, done, who, via)
    return done


def _remove_cutouts(
    workspace: Workspace, connection: Connection, chosen: list[int], others: Iterable[str], dry_run: bool
) -> tuple[int, int, int]:
    """How many were removed, how many stay, and the bytes freed."""
    there = dict(_rehearsed(workspace, connection, chosen))
    passing = orphans.only_rehearsed(connection, chosen, others) if there else {}
    recent = datetime.now(UTC) - _NAMED_WITHIN
    removed = []
    for content_hash in there.keys() & passing.keys():
        # Put again after it was rehearsed, and just now: a run or an upload is about to name it.
        limit = max(passing[content_hash], recent)
        if dry_run or workspace.objects.remove(content_hash, unless_put_after=limit):
            removed.append(there[content_hash])
    return len(removed), len(there) - len(removed), sum(removed)


def _rehearsed(workspace: Workspace, connection: Connection, chosen: list[int]) -> Iterator[tuple[str, int]]:
    """Content hash and size of the rehearsed cut-outs that are in the store."""
    hashes = connection.execute(
        text(
            "select distinct after_hash from product_images.rehearsal_results"
            " where rehearsal_id = any(:chosen) and after_hash is not null"
        ),
        {"chosen": chosen},
    ).scalars()
    for content_hash in hashes:
        path = workspace.objects.path(content_hash)
        if path.is_file():
            yield content_hash, path.stat().st_size


def _remove_sheets(
    workspace: Workspace, connection: Connection, chosen: list[int], dry_run: bool
) -> tuple[int, int]:
    names = connection.execute(
        text(
            "select sheet from product_images.rehearsals where rehearsal_id = any(:chosen) and sheet is not null"
        ),
        {"chosen": chosen},
    ).scalars()
    paths = [path for name in names if (path := workspace.settings.home / "previews" / name).is_file()]
    size = sum(path.stat().st_size for path in paths)
    if not dry_run:
        for path in paths:
            _unlink(path)
    return len(paths), size


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise SystemicFailure(
            f"{path} cannot be removed ({error.strerror}); mend the rights of its folder, then repeat."
        ) from error


def _say(connection: Connection, done: Removed, who: str, via: activity.Via) -> None:
    now = connection.execute(
        text(
            "update product_images.rehearsals set sheet = null, bytes_removed_at = clock_timestamp(),"
            " bytes_removed_by = :who where rehearsal_id = any(:chosen) and bytes_removed_at is null"
            " returning rehearsal_id, model"
        ),
        {"chosen": list(done.rehearsals), "who": who},
    ).tuples()
    for number, model in now:
        activity.record(
            connection,
            who=who,
            what="rehearsal_bytes_removed",
            subject=f"rehearsal {number}",
            department=DEPARTMENT,
            via=via,
            old={"model": model},
        )
    _log.info(
        "Bytes of rehearsals %s removed by %s: %d cut-outs, %d sheets, %d bytes; %d cut-outs stay.",
        ", ".join(str(number) for number in done.rehearsals),
        who,
        done.cutouts,
        done.sheets,
        done.bytes,
        done.kept,
    )
