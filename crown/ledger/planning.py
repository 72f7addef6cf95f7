"""Planning: compares what is wanted with what was made, in one statement per asset.

What an asset wants is its department's SELECT; nothing here knows a department.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

from sqlalchemy import Connection, Engine, text

from crown.ledger.locks import lock_assets


@dataclass(frozen=True)
class Plan:
    """How many items a planning changed, by the state they were given."""

    pending: int = 0
    waiting: int = 0
    held: int = 0
    current: int = 0
    retired: int = 0

    @property
    def changed(self) -> int:
        """Items whose state or fingerprint changed."""
        return self.pending + self.waiting + self.held + self.current + self.retired


# Hundreds of thousands of rows are hashed several times: in memory, and without compiling a statement that runs once.
_MEMORY_TO_COMPARE = "select set_config('work_mem', '128MB', true), set_config('jit', 'off', true)"

# The anti-join writes only rows that differ, so a planning that changes nothing writes no log. It reads of the items
# no more than it compares; the rest is looked up for those that are gone.
_BY_FINGERPRINT = "i.wanted <> ledger.fingerprint(w.recipe, {hashes})"
_BY_INPUTS = f"""
    case when cardinality(w.inputs) > 0 and i.recipe = w.recipe and i.inputs = w.inputs then false
         else {_BY_FINGERPRINT} end
"""
_KIND_DIFFERS = """
    or (w.waiting_for is not null and i.waiting_kind is distinct from coalesce(w.waiting_kind, 'upstream'))
"""
_JUDGED = """
with wanted as (
    {wanted}
), changed as (
    select coalesce(w.key, i.key) as key, w.key is null as gone,
           case i.state when 'held' then true when 'retired' then exists (  -- held when it was retired
               select from ledger.verdicts v where v.stage = :asset and v.subject = i.key
               and v.content_hash = '*' and v.verdict = 'hold') else false end as held, w.recipe, w.inputs,
           w.waiting_for, case when w.waiting_for is not null then {kind} end as waiting_kind,
           {priority} as priority, {batch} as batch, {source}.decision_id,
           ledger.fingerprint(w.recipe, {source}.input_hashes) as fingerprint
    from wanted w
    full join (select key, state, wanted, waiting_for, waiting_kind, recipe, inputs from ledger.items
               where asset = :asset {scope}) i using (key)
    {looked_up}
    where i.key is null
       or (w.key is null and i.state <> 'retired' {but_kept})
       or (w.key is not null and (i.state = 'retired' or i.waiting_for is distinct from w.waiting_for
                                 {kind_differs} or {differs}))
), judged as (
    select c.*, kept.output_id as kept_id, old.wanted as old_wanted, old.recipe as old_recipe, old.inputs as old_inputs,
           case when c.gone then 'retired'
                when c.held then 'held'
                when c.waiting_for is not null then 'waiting'
                when kept.output_id is not null then 'current'
                else 'pending' end as new_state
    from changed c
    left join lateral (  -- limited, so that it is looked up for the few that changed
        select output_id from ledger.outputs m
        where m.asset = :asset and m.key = c.key and m.fingerprint = c.fingerprint and m.present limit 1) kept on true
    left join lateral (
        select wanted, recipe, inputs from ledger.items o
        where c.gone and o.asset = :asset and o.key = c.key limit 1) old on true
)
"""
_WRITTEN = """
, written as (
    insert into ledger.items as i (asset, key, state, waiting_for, waiting_kind, priority, batch, wanted, recipe, inputs,
                                   decision_id, output_id, made)
    select :asset, key, new_state, waiting_for, waiting_kind, coalesce(priority, 0), batch,
           coalesce(fingerprint, old_wanted), coalesce(recipe, old_recipe), coalesce(inputs, old_inputs), decision_id,
           case when new_state in ('current', 'held') then kept_id end,
           case when new_state in ('current', 'held') and kept_id is not null then fingerprint end
    from judged
    on conflict (asset, key) do update set
        state = excluded.state, waiting_for = excluded.waiting_for, waiting_kind = excluded.waiting_kind,
        wanted = excluded.wanted, recipe = excluded.recipe, inputs = excluded.inputs,
        decision_id = excluded.decision_id, output_id = coalesce(excluded.output_id, i.output_id),
        made = coalesce(excluded.made, i.made), claim_id = null, changed_at = clock_timestamp(),
        attempts = 0, next_try = null, error_class = null, error = null
    returning state
)
select state, count(*) from written group by state
"""
# Alone, so that a new order takes nothing out of a worker's hands.
_ORDER = """
    update ledger.items i set {changes} from ({wanted}) w
    where i.asset = :asset and i.key = w.key and i.state <> 'retired' and ({differs})
"""


class Options(TypedDict, total=False):
    """How a planning compares.

    Attributes:
        keys: plan these keys only (`wanted` must then name no others); all others stay as they are.
        keep: keys that are not retired, although `wanted` names them no longer.
        inputs_decide: where an item has inputs, recipe and inputs alone decide its input hashes (an output never
            changes), so those of an item that has both still are not hashed again. Whoever hashes something else of
            the same inputs raises the version in the recipe.
        looked_up: a SELECT of `input_hashes` and `decision_id` for the row `w` of `wanted`, which then lacks both;
            run for the items that differ or may.
    """

    keys: Sequence[str] | None
    keep: Sequence[str]
    inputs_decide: bool
    looked_up: str | None


def plan(
    connection: Connection,
    asset: str,
    wanted: str,
    parameters: Mapping[str, Any] | None = None,
    **options: Unpack[Options],
) -> Plan:
    """Compare `wanted` with the ledger and set the states of what differs, in the caller's transaction.

    Args:
        connection: an open transaction; an advisory lock on the asset is held until it ends.
        asset: slash-joined asset key, `product_images/cutouts`.
        wanted: a SELECT of `key text, recipe text, inputs bigint[], input_hashes text[], waiting_for text,
            decision_id bigint` (by name); one row per item that should exist. An item that it no longer names is retired.
            It may name three more: `waiting_kind text` (`upstream`, which is what it is without, `gate`, `hold`,
            `plan`), `priority integer` (the highest is claimed first; 0 without) and `batch text`.
        parameters: bind parameters of `wanted`.
        options: see `Options`.

    A new fingerprint frees the item from any claim: the worker's result will be dropped. A held item stays held, also
    when it was retired meanwhile.
    """
    lock_assets(connection, [asset])
    statement, bound, named = compared(connection, asset, wanted, parameters, **options)
    planned = Plan(**dict(connection.execute(text(statement + _WRITTEN), bound).tuples().all()))
    if ordered := [column for column in ("priority", "batch") if column in named]:
        given = {"priority": "coalesce(w.priority, 0)", "batch": "w.batch"}
        order = _ORDER.format(
            wanted=wanted,
            changes=", ".join(f"{column} = {given[column]}" for column in ordered),
            differs=" or ".join(f"i.{column} is distinct from {given[column]}" for column in ordered),
        )
        connection.execute(text(order), bound)
    return planned


def compared(
    connection: Connection,
    asset: str,
    wanted: str,
    parameters: Mapping[str, Any] | None = None,
    **options: Unpack[Options],
) -> tuple[str, dict[str, Any], frozenset[str]]:
    """The head of a statement (`with ... judged as (...)`) that finds what differs from `wanted`.

    Returns:
        The head, its parameters, and the columns that `wanted` names.

    The arguments are those of `plan`. Changes nothing but the memory that this transaction may use.
    """
    keys, keep, looked_up = options.get("keys"), options.get("keep", ()), options.get("looked_up")
    connection.execute(text(_MEMORY_TO_COMPARE))
    scope = "" if keys is None else "and key = any(:planned_keys)"
    bound: dict[str, Any] = {"asset": asset, **(parameters or {})}
    if keys is not None:
        bound["planned_keys"] = list(keys)
    but_kept = "and not i.key = any(:kept_keys)" if keep else ""
    if keep:
        bound["kept_keys"] = list(keep)
    named = set(connection.execute(text(f"select * from ({wanted}) w limit 0"), bound).keys())
    hashes = "w.input_hashes" if looked_up is None else f"(select input_hashes from ({looked_up}) d)"
    statement = _JUDGED.format(
        wanted=wanted,
        scope=scope,
        but_kept=but_kept,
        kind="coalesce(w.waiting_kind, 'upstream')" if "waiting_kind" in named else "'upstream'",
        kind_differs=_KIND_DIFFERS if "waiting_kind" in named else "",
        priority="w.priority" if "priority" in named else "0",
        batch="w.batch" if "batch" in named else "cast(null as text)",
        differs=(_BY_INPUTS if options.get("inputs_decide") else _BY_FINGERPRINT).format(hashes=hashes),
        source="w" if looked_up is None else "d",
        looked_up="" if looked_up is None else f"left join lateral ({looked_up}) d on true",
    )
    return statement, bound, frozenset(named)


#: What a person may have tried again.
_TO_RETRY = """
    asset = :asset and key like :pattern and (state in ('failed', 'quarantined')
        or (state = 'pending' and next_try is not null and claim_id is null))
"""


def failing(connection: Connection, asset: str, pattern: str = "%") -> list[str]:
    """Keys of what `retry` would make due again."""
    return list(
        connection.execute(
            text(f"select key from ledger.items where {_TO_RETRY} order by key"),
            {"asset": asset, "pattern": pattern},
        ).scalars()
    )


def retry(connection: Connection, asset: str, pattern: str = "%") -> int:
    """Make failed, quarantined and put off items whose key is like `pattern` (SQL) due again; returns how many."""
    lock_assets(connection, [asset])
    return connection.execute(
        text(
            "update ledger.items set state = 'pending', attempts = 0, next_try = null, error_class = null,"
            " error = null, changed_at = clock_timestamp()"
            f" where {_TO_RETRY}"
        ),
        {"asset": asset, "pattern": pattern},
    ).rowcount


def remake(connection: Connection, asset: str, keys: Sequence[str]) -> int:
    """Make items pending although their outputs are current; returns how many.

    What was made counts as gone for the ledger, so that the same fingerprint is made anew.
    """
    lock_assets(connection, [asset])
    bound = {"asset": asset, "keys": list(keys)}
    connection.execute(
        text(
            "update ledger.outputs m set present = false from ledger.items i where i.asset = :asset"
            " and i.key = any(:keys) and m.output_id = i.output_id and m.present"
        ),
        bound,
    )
    return connection.execute(
        text(
            "update ledger.items set state = 'pending', made = null, attempts = 0, next_try = null, error_class = null,"
            " error = null, changed_at = clock_timestamp() where asset = :asset and key = any(:keys)"
            " and state in ('current', 'failed', 'quarantined')"
        ),
        bound,
    ).rowcount


def pause(connection: Connection, asset: str, keys: Sequence[str], waiting_for: str, kind: str) -> int:
    """Put items that are due to waiting, until the next planning says otherwise; returns how many."""
    lock_assets(connection, [asset])
    return connection.execute(
        text(
            "update ledger.items set state = 'waiting', waiting_for = :what, waiting_kind = :kind, claim_id = null,"
            " next_try = null, changed_at = clock_timestamp() where asset = :asset and key = any(:keys)"
            " and state in ('pending', 'failed')"
        ),
        {"asset": asset, "keys": list(keys), "what": waiting_for, "kind": kind},
    ).rowcount


def mark_lost(connection: Connection, output_ids: Sequence[int]) -> int:
    """Record that the bytes of these outputs are gone; items they made current become pending."""
    return _not_there(connection, output_ids, "pending", None, None)


def mark_changed(connection: Connection, output_ids: Sequence[int], error: str) -> int:
    """Quarantine the items whose bytes someone else changed; nothing overwrites them until a person retries."""
    return _not_there(connection, output_ids, "quarantined", "ChangedByHand", error)


def lock_output(connection: Connection, output_ids: Sequence[int]) -> None:
    """Lock the assets that these outputs are of."""
    assets = connection.execute(
        text("select distinct asset from ledger.outputs where output_id = any(:ids)"),
        {"ids": list(output_ids)},
    ).scalars()
    lock_assets(connection, list(assets))


def _not_there(
    connection: Connection, output_ids: Sequence[int], state: str, error_class: str | None, error: str | None
) -> int:
    if not output_ids:
        return 0
    lock_output(connection, output_ids)
    bound = {"ids": list(output_ids)}
    connection.execute(text("update ledger.outputs set present = false where output_id = any(:ids)"), bound)
    return connection.execute(
        text(
            "update ledger.items set state = case state when 'held' then state else :state end, made = null,"
            " error_class = :error_class, error = :error, changed_at = clock_timestamp()"
            " where output_id = any(:ids) and (state = 'current' or (state = 'held' and made is not null))"
        ),
        {**bound, "state": state, "error_class": error_class, "error": error},
    ).rowcount


def analyze(engine: Engine) -> None:
    """Renew the statistics of what a bulk insert has just filled; without them a join over it may take minutes."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("analyze ledger.items, ledger.outputs, ledger.output_inputs, ledger.files"))
