"""Claims: which worker has which items, for how long, and how results enter the ledger.

A claim's id is its fencing token. Files are renamed by the caller's function, while the worker holds the
row lock on its own claim: whoever lost the claim can never rename old bytes over new ones.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, text

from crown.errors import ClaimLost, CrownError
from crown.ledger import entering
from crown.ledger import resources as limited
from crown.ledger.locks import lock_assets


@dataclass(frozen=True)
class Input:
    """An input of a job: its output, and the location of its bytes."""

    output_id: int
    asset: str
    key: str
    content_hash: str
    root: str | None
    path: str | None
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Job:
    """One claimed item: what to make, by which recipe, from which inputs."""

    asset: str
    key: str
    fingerprint: str
    recipe: str
    recipe_name: str
    recipe_body: Mapping[str, Any]
    inputs: tuple[Input, ...]
    decision_id: int | None
    attempts: int
    #: What the decision carries (`verdicts.DeclaredVerdict.payload`).
    payload: Mapping[str, Any] | None = None

    @property
    def item(self) -> tuple[str, str]:
        """Asset and key: what identifies an item."""
        return self.asset, self.key


@dataclass(frozen=True)
class Claim:
    """A batch of jobs in this worker's hands until the lease ends."""

    claim_id: int
    assets: tuple[str, ...]
    run_id: str | None
    lease_seconds: float
    jobs: tuple[Job, ...]
    #: Tags of the limited resources that its jobs need.
    resources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Made:
    """A finished job: the content that came out and where it is to be written."""

    job: Job
    content_hash: str
    root: str | None = None
    path: str | None = None
    size_bytes: int | None = None
    seconds: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    #: The finished temporary file that is to get the final name, when bytes were written.
    unfinished: str | None = None


@dataclass(frozen=True)
class Failed:
    """A job that failed: class and sentence of the error, and whether trying again may help.

    A permanent failure is quarantined; an outage leaves the item pending and counts no try; any other is tried again
    later, and quarantined after its last try.
    """

    job: Job
    error_class: str
    error: str
    permanent: bool
    #: Seconds until the next try; None where the cause does not say: the usual back-off.
    retry_after: float | None = None
    #: The source that is out, by the tag of its resource; empty when it is none.
    outage: str | None = None


@dataclass(frozen=True)
class Placing:
    """What the caller's function needs to give a result its final name."""

    made: Made
    #: Hashes of what we last wrote, or were about to write, at this path; other bytes there are a person's.
    ours: frozenset[str]


@dataclass
class Finished:
    """What became of a batch of results."""

    made: list[Made] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    #: Results of items that were planned anew, retired or put to waiting meanwhile: not written.
    dropped: list[Made | Failed] = field(default_factory=list)


_LIVES = "exists (select from pg_stat_activity a where a.pid = c.backend_pid and a.backend_start = c.backend_start)"


_LOST = f"c.ended_at is null and (c.lease_until < clock_timestamp() or not {_LIVES})"


def reap(connection: Connection) -> int:
    """Free the items of workers whose lease ran out or whose connection is gone; returns claims ended."""
    lost = connection.execute(
        text(
            "select c.claim_id, array(select distinct i.asset from ledger.items i where i.claim_id = c.claim_id) as assets"
            f" from ledger.claims c where {_LOST}"
        )
    ).all()
    if not lost:
        return 0
    lock_assets(connection, {asset for row in lost for asset in row.assets}, shared=True)
    ended = list(
        connection.execute(
            text(
                "update ledger.claims set ended_at = clock_timestamp(), ending = 'lost' where claim_id in ("
                f"  select claim_id from ledger.claims c where claim_id = any(:lost) and {_LOST}"
                "  for update skip locked) returning claim_id"
            ),
            {"lost": [row.claim_id for row in lost]},
        ).scalars()
    )
    if ended:
        connection.execute(
            text("update ledger.items set claim_id = null where claim_id = any(:ended)"), {"ended": ended}
        )
    return len(ended)


# Each asset's part comes from a partial index in the order of its claims, so that a claim costs the same however much
# is pending. Materialised: a subquery may be run once per joined row and then claims more than `limit`. A claim is only
# entered when there is something to claim.
_TAKE = """
with due as materialized (
    select d.* from unnest(cast(:assets as text[])) as a(asset) cross join lateral (
        select * from (
            select i.asset, i.key, i.priority, i.batch from ledger.items i
            where i.asset = a.asset and i.state = 'pending' and i.claim_id is null and i.next_try is null {only}
            order by i.priority desc, i.batch, i.key limit :limit for update skip locked) pending
        union all
        select * from (
            select i.asset, i.key, i.priority, i.batch from ledger.items i
            where i.asset = a.asset and i.claim_id is null and i.next_try <= statement_timestamp() {only}
            order by i.next_try limit :limit for update skip locked) later) d
), chosen as materialized (
    select asset, key from due order by priority desc, batch, key, asset limit :limit
), claim as (
    insert into ledger.claims (asset, worker, run_id, backend_pid, backend_start, lease_until, resources, seats)
    select :claimed, :worker, :run_id, pid, backend_start, clock_timestamp() + make_interval(secs => :lease),
           cast(:resources as text[]), (select count(*) from chosen)
    from pg_stat_activity where pid = pg_backend_pid() and exists (select from chosen)
    returning claim_id
)
update ledger.items i set claim_id = claim.claim_id from chosen, claim
where i.asset = chosen.asset and i.key = chosen.key
returning i.asset, i.key, i.wanted, i.recipe, i.inputs, i.decision_id, i.attempts, i.priority, i.batch, claim.claim_id
"""


def take(
    connection: Connection,
    assets: Sequence[str],
    limit: int,
    *,
    lease_seconds: float = 120,
    run_id: str | None = None,
    keys: Sequence[str] | None = None,
    resources: Mapping[str, int] | None = None,
) -> Claim | None:
    """Claim up to `limit` items that are pending, or failed and due; None when there are none.

    Items are taken by priority, then batch, then key over all assets, so that outputs of one input are together.
    `connection` is the worker's own, kept open while it holds the claim: when the connection dies, the claim does.

    Args:
        connection: outside a transaction.
        assets: whose items.
        limit: at most so many.
        lease_seconds: how long the claim holds without being renewed.
        run_id: the Dagster run.
        keys: these items only.
        resources: seats by the tag of each resource that an item needs: no more are in work at once, over all claims.
    """
    resources = resources or {}
    with connection.begin():
        reap(connection)
    with connection.begin():
        if resources and (limit := min(limit, limited.free_seats(connection, resources))) == 0:
            return None
        only = "" if keys is None else "and i.key = any(:only)"
        rows = connection.execute(
            text(_TAKE.format(only=only)),
            {
                "claimed": ", ".join(assets),
                "worker": f"{socket.gethostname()}:{os.getpid()}",
                "run_id": run_id,
                "lease": lease_seconds,
                "assets": list(assets),
                "limit": limit,
                "resources": sorted(resources),
                **({"only": list(keys)} if keys is not None else {}),
            },
        ).all()
        if not rows:
            return None
        jobs = _jobs(connection, rows)
        return Claim(rows[0].claim_id, tuple(assets), run_id, lease_seconds, jobs, tuple(sorted(resources)))


def _jobs(connection: Connection, rows: Sequence[Any]) -> tuple[Job, ...]:
    inputs = {
        row.output_id: Input(**row._mapping)
        for row in connection.execute(
            text(
                "select output_id, asset, key, content_hash, root, path, facts from ledger.outputs"
                " where output_id = any(:ids)"
            ),
            {"ids": sorted({i for row in rows for i in row.inputs})},
        )
    }
    recipes = {
        row.recipe: (row.name, row.body)
        for row in connection.execute(
            text("select recipe, name, body from ledger.recipes where recipe = any(:ids)"),
            {"ids": sorted({row.recipe for row in rows})},
        )
    }
    payloads = {
        row.decision_id: row.payload
        for row in connection.execute(
            text(
                "select decision_id, payload from ledger.decisions"
                " where decision_id = any(:ids) and payload is not null"
            ),
            {"ids": sorted({row.decision_id for row in rows if row.decision_id is not None})},
        )
    }
    jobs = [
        Job(
            row.asset,
            row.key,
            row.wanted,
            row.recipe,
            *recipes[row.recipe],
            tuple(inputs[i] for i in row.inputs),
            row.decision_id,
            row.attempts,
            payloads.get(row.decision_id),
        )
        for row in rows
    ]
    # In the order of the claim, which the statement that returns the rows does not keep.
    order = {(row.asset, row.key): (-row.priority, row.batch is None, row.batch or "") for row in rows}
    return tuple(sorted(jobs, key=lambda job: (*order[job.item], job.key, job.asset)))


def renew(connection: Connection, claim: Claim) -> None:
    """Prolong the lease.

    Raises:
        ClaimLost: the lease had run out, or another worker has reaped the claim.
    """
    with connection.begin():
        _hold(connection, claim)
        connection.execute(
            text(
                "update ledger.claims set lease_until = clock_timestamp() + make_interval(secs => :lease)"
                " where claim_id = :claim"
            ),
            {"claim": claim.claim_id, "lease": claim.lease_seconds},
        )


def resume(connection: Connection, held: Sequence[Claim]) -> None:
    """Say that these claims are this connection's now: the one that took them is gone, the worker is not."""
    with connection.begin():
        connection.execute(
            text(
                "update ledger.claims set backend_pid = pid, backend_start = a.backend_start from pg_stat_activity a"
                " where a.pid = pg_backend_pid() and claim_id = any(:held) and ended_at is null"
            ),
            {"held": [claim.claim_id for claim in held]},
        )


def release(connection: Connection, claim: Claim) -> None:
    """End the claim; items without a result are free again, in the state they had."""
    with connection.begin():
        lock_assets(connection, claim.assets, shared=True)
        connection.execute(
            text("update ledger.items set claim_id = null where claim_id = :claim"), {"claim": claim.claim_id}
        )
        connection.execute(
            text(
                "update ledger.claims set ended_at = clock_timestamp(), ending = 'done'"
                " where claim_id = :claim and ended_at is null"
            ),
            {"claim": claim.claim_id},
        )
        if claim.resources:
            limited.notify(connection)


def finish(
    connection: Connection,
    claim: Claim,
    results: Sequence[Made | Failed],
    *,
    place: Callable[[Placing], None] | None = None,
    max_attempts: int = 4,
    back_off_seconds: float = 30,
    versions: Mapping[str, str] | None = None,
) -> Finished:
    """Enter results, giving each made file its final name through `place`.

    `place` is called under the lock on the claim. A CrownError it raises makes that item fail for good;
    any other error undoes the whole batch.

    Raises:
        ClaimLost: the claim is no longer this worker's; nothing was written.
    """
    paths = [r for r in results if isinstance(r, Made) and r.root is not None and r.path is not None]
    with connection.begin():
        _hold(connection, claim)
        if paths and place is not None:
            entering.intend(connection, paths)
    finished = Finished()
    with connection.begin():
        lock_assets(connection, claim.assets, shared=True)
        _hold(connection, claim)
        wanted = {
            (row.asset, row.key): row.wanted
            for row in connection.execute(
                text(
                    "select asset, key, wanted from ledger.items where claim_id = :claim"
                    " order by asset, key for update"
                ),
                {"claim": claim.claim_id},
            )
        }
        ours = entering.ours(connection, paths) if place is not None else {}
        for result in results:
            if wanted.get(result.job.item) != result.job.fingerprint:
                finished.dropped.append(result)
            elif isinstance(result, Failed):
                finished.failed.append(result)
            else:
                _place(result, place, ours, finished)
        entering.enter_made(connection, claim, finished.made, versions or {}, recorded=place is not None)
        entering.enter_failed(connection, finished.failed, max_attempts, back_off_seconds)
        if claim.resources:
            _leave_seats(connection, claim, len(results))
    return finished


def _leave_seats(connection: Connection, claim: Claim, count: int) -> None:
    connection.execute(
        text("update ledger.claims set seats = greatest(0, seats - :count) where claim_id = :claim"),
        {"claim": claim.claim_id, "count": count},
    )
    limited.notify(connection)


def _place(
    result: Made,
    place: Callable[[Placing], None] | None,
    ours: Mapping[tuple[str | None, str | None], frozenset[str]],
    finished: Finished,
) -> None:
    if place is not None and result.path is not None:
        try:
            place(Placing(result, ours.get((result.root, result.path), frozenset())))
        except CrownError as error:
            finished.failed.append(Failed(result.job, type(error).__name__, str(error), permanent=True))
            return
    finished.made.append(result)


def _hold(connection: Connection, claim: Claim) -> None:
    alive = connection.execute(
        text(
            "select ended_at is null and lease_until > clock_timestamp() from ledger.claims"
            " where claim_id = :claim for update"
        ),
        {"claim": claim.claim_id},
    ).scalar()
    if not alive:
        raise ClaimLost(
            f"Claim {claim.claim_id} on {', '.join(claim.assets)} ran out; its results are dropped."
        )
