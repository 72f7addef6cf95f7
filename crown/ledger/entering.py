"""Enters the results of a claim: outputs with their inputs and files, and the new states of the items.

Who may enter, and when, is `claims`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text

from crown.ledger import resources as limited

if TYPE_CHECKING:
    from crown.ledger.claims import Claim, Failed, Made


def intend(connection: Connection, paths: Sequence[Made]) -> None:
    """Say what is about to be written, before any file gets its name."""
    connection.execute(
        text(
            "insert into ledger.files as f (root, path, intended)"
            # Equal bytes of two items are one object.
            " select distinct on (r, p) * from unnest(cast(:roots as text[]), cast(:paths as text[]),"
            "   cast(:hashes as text[])) as g(r, p, h) order by r, p"
            " on conflict (root, path) do update set intended = excluded.intended"
        ),
        {
            "roots": [m.root for m in paths],
            "paths": [m.path for m in paths],
            "hashes": [m.content_hash for m in paths],
        },
    )


def ours(
    connection: Connection, paths: Sequence[Made]
) -> dict[tuple[str | None, str | None], frozenset[str]]:
    """Hashes of what we last wrote, or were about to write, by root and path."""
    rows = connection.execute(
        text(
            "select root, path, content_hash, intended from ledger.files"
            " where (root, path) in (select * from unnest(cast(:roots as text[]), cast(:paths as text[])))"
        ),
        {"roots": [m.root for m in paths], "paths": [m.path for m in paths]},
    )
    return {(row.root, row.path): frozenset({row.content_hash, row.intended} - {None}) for row in rows}


_ENTER_MADE = """
with given as (
    select * from unnest(
        cast(:assets as text[]), cast(:keys as text[]), cast(:fingerprints as text[]),
        cast(:hashes as text[]), cast(:roots as text[]), cast(:paths as text[]), cast(:sizes as bigint[]),
        cast(:recipes as text[]), cast(:decisions as bigint[]), cast(:seconds as real[]),
        cast(:facts as text[]), cast(:inputs as text[]))
    as g(asset, key, fingerprint, content_hash, root, path, size_bytes, recipe, decision_id, seconds, facts,
         inputs)
), overwritten as (
    -- Bytes that these results replaced on disk are no longer anywhere.
    update ledger.outputs m set present = false from given g
    where m.root = g.root and m.path = g.path and m.content_hash <> g.content_hash and m.present
), output as (
    insert into ledger.outputs (asset, key, fingerprint, content_hash, root, path, size_bytes, recipe,
                                decision_id, claim_id, run_id, seconds, facts, versions)
    select asset, key, fingerprint, content_hash, root, path, size_bytes, recipe, decision_id, :claim, :run_id,
           seconds, cast(facts as jsonb), cast(:versions as jsonb)
    from given returning output_id, asset, key, fingerprint, content_hash, root, path
), edges as (
    insert into ledger.output_inputs (output_id, input_id, position, role)
    select distinct on (output.output_id, s.output_id) output.output_id, s.output_id, u.position,
           substr(s.asset, strpos(s.asset, '/') + 1)
    from output join given using (asset, key)
    cross join unnest(cast(given.inputs as bigint[])) with ordinality as u(input_id, position)
    join ledger.outputs s on s.output_id = u.input_id
    order by output.output_id, s.output_id, u.position
), written as (
    insert into ledger.files (root, path, content_hash, output_id, written_at)
    select distinct on (root, path) root, path, content_hash, output_id, clock_timestamp()
    from output where :recorded and path is not null order by root, path, output_id desc
    on conflict (root, path) do update set content_hash = excluded.content_hash, intended = null,
        output_id = excluded.output_id, written_at = excluded.written_at
)
update ledger.items i set state = 'current', output_id = output.output_id, made = output.fingerprint, attempts = 0,
    next_try = null, error_class = null, error = null, claim_id = null, changed_at = clock_timestamp()
from output where i.asset = output.asset and i.key = output.key
"""


def enter_made(
    connection: Connection, claim: Claim, made: Sequence[Made], versions: Mapping[str, str], *, recorded: bool
) -> None:
    """Enter outputs with their inputs and files, and make their items current."""
    if not made:
        return
    connection.execute(
        text(_ENTER_MADE),
        {
            "claim": claim.claim_id,
            "run_id": claim.run_id,
            "versions": json.dumps(dict(versions)),
            "recorded": recorded,
            "assets": [m.job.asset for m in made],
            "keys": [m.job.key for m in made],
            "fingerprints": [m.job.fingerprint for m in made],
            "hashes": [m.content_hash for m in made],
            "roots": [m.root for m in made],
            "paths": [m.path for m in made],
            "sizes": [m.size_bytes for m in made],
            "recipes": [m.job.recipe for m in made],
            "decisions": [m.job.decision_id for m in made],
            "seconds": [m.seconds for m in made],
            "facts": [json.dumps(dict(m.facts)) for m in made],
            "inputs": ["{" + ",".join(str(i.output_id) for i in m.job.inputs) + "}" for m in made],
        },
    )


_ENTER_FAILED = """
update ledger.items i set claim_id = null, error_class = g.error_class, error = g.error, changed_at = clock_timestamp(),
    attempts = i.attempts + case when g.outage then 0 else 1 end,
    state = case when g.outage then 'pending' when g.final then 'quarantined' else 'failed' end,
    next_try = case when not g.final then clock_timestamp() + make_interval(secs =>
        coalesce(g.after, :back_off * 4 ^ i.attempts)) end
from (
    select f.*, not f.outage and (f.permanent or o.attempts + 1 >= :most) as final
    from unnest(cast(:assets as text[]), cast(:keys as text[]), cast(:classes as text[]), cast(:errors as text[]),
                cast(:permanent as boolean[]), cast(:after as double precision[]), cast(:outages as boolean[]))
        as f(asset, key, error_class, error, permanent, after, outage)
    join ledger.items o using (asset, key)) g
where i.asset = g.asset and i.key = g.key
"""


def enter_failed(
    connection: Connection, failed: Sequence[Failed], max_attempts: int, back_off_seconds: float
) -> None:
    """Enter failures: quarantined, tried again later, or put off while a source is out."""
    if not failed:
        return
    connection.execute(
        text(_ENTER_FAILED),
        {
            "assets": [f.job.asset for f in failed],
            "most": max_attempts,
            "back_off": back_off_seconds,
            "keys": [f.job.key for f in failed],
            "classes": [f.error_class for f in failed],
            "errors": [f.error.replace("\x00", "") for f in failed],
            "permanent": [f.permanent for f in failed],
            "after": [f.retry_after for f in failed],
            "outages": [f.outage is not None for f in failed],
        },
    )
    for one in sorted((f for f in failed if f.outage), key=lambda f: f.outage or ""):
        seconds = one.retry_after if one.retry_after is not None else back_off_seconds
        limited.close(connection, one.outage or "", seconds, one.error)
