"""Relations in PostgreSQL's catalogue: existence, dependants, privileges.

Belongs here: catalogue queries and single statements. Does not: models (build.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from crown.errors import Refused, with_article


@dataclass(frozen=True)
class Relation:
    """A table or view as it is in the database."""

    oid: int
    schema: str
    name: str
    kind: str
    owner: str
    comment: str | None
    grants: tuple[str, ...]
    options: str | None = None
    definition: str | None = None
    direct: bool = False
    has_triggers: bool = False

    @property
    def relation(self) -> str:
        """`schema.name`."""
        return f"{self.schema}.{self.name}"


_KINDS = {"r": "table", "v": "view", "m": "materialized view", "f": "foreign table", "p": "partitioned table"}

_RELATION = """
    c.oid::bigint as oid, n.nspname as schema, c.relname as name, c.relkind::text as kind,
    quote_ident(pg_get_userbyid(c.relowner)) as owner,
    obj_description(c.oid, 'pg_class') as comment, array_to_string(c.reloptions, ', ') as options,
    exists (select 1 from pg_trigger t where t.tgrelid = c.oid and not t.tgisinternal) as has_triggers,
    array(select format('grant %s on %I.%I to %s%s', a.privilege_type, n.nspname, c.relname,
                        case when a.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end,
                        case when a.is_grantable then ' with grant option' else '' end)
          from aclexplode(c.relacl) a where a.grantee <> c.relowner) as grants
"""


def find(connection: Connection, relation: str) -> Relation | None:
    """The relation `schema.name`, or None when there is none."""
    schema, name = relation.split(".")
    row = connection.execute(
        text(
            f"select {_RELATION} from pg_class c join pg_namespace n on n.oid = c.relnamespace "
            "where n.nspname = :schema and c.relname = :name and c.relkind in ('r', 'v', 'm', 'f', 'p')"
        ),
        {"schema": schema, "name": name},
    ).first()
    if row is None:
        return None
    found = dict(row._mapping)
    return Relation(**{**found, "kind": _KINDS[found["kind"]], "grants": tuple(found["grants"])})


def hold(connection: Connection, relation: Relation) -> None:
    """Keep others from reading, changing or building on a relation until the transaction ends.

    LOCK TABLE would lock everything below a view too; giving it to its owner again locks it alone.
    """
    raw(connection, f"alter {relation.kind} {_named(relation)} owner to {relation.owner}")


def held_dependents(connection: Connection, relation: Relation) -> list[Relation]:
    """The views that depend on a relation, near and far, each after those it depends on; all of them held.

    Definitions are read when nobody else can change them any more: another builder may be at work on them.
    """
    hold(connection, relation)
    above = _dependents(connection, relation.oid)
    while True:
        for view in above:
            hold(connection, view)
        again = _dependents(connection, relation.oid)
        if [view.oid for view in again] == [view.oid for view in above]:
            return again
        above = again


def _dependents(connection: Connection, oid: int) -> list[Relation]:
    rows = connection.execute(
        text(
            "with recursive above (oid, depth) as ("
            "  select r.ev_class, 1 from pg_depend d join pg_rewrite r on r.oid = d.objid"
            "  where d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_class'::regclass"
            "    and d.refobjid = :oid and r.ev_class <> :oid"
            "  union"
            "  select r.ev_class, a.depth + 1 from above a join pg_depend d on d.refobjid = a.oid"
            "  join pg_rewrite r on r.oid = d.objid and r.ev_class <> a.oid"
            "  where d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_class'::regclass"
            ") "
            f"select {_RELATION}, pg_get_viewdef(c.oid) as definition, min(a.depth) = 1 as direct "
            "from above a join pg_class c on c.oid = a.oid join pg_namespace n on n.oid = c.relnamespace "
            "group by c.oid, n.nspname order by max(a.depth), n.nspname, c.relname"
        ),
        {"oid": oid},
    )
    return [
        Relation(**{**row._mapping, "kind": _KINDS[row.kind], "grants": tuple(row.grants)}) for row in rows
    ]


def columns(connection: Connection, relation: str) -> list[tuple[str, str]]:
    """Names and types of the columns, in their order."""
    schema, name = relation.split(".")
    return [
        (row.attname, row.type)
        for row in connection.execute(
            text(
                "select a.attname, format_type(a.atttypid, a.atttypmod) as type from pg_attribute a "
                "join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace "
                "where n.nspname = :schema and c.relname = :name and a.attnum > 0 and not a.attisdropped "
                "order by a.attnum"
            ),
            {"schema": schema, "name": name},
        )
    ]


def raw(connection: Connection, statement: str) -> None:
    """Send a statement as it is: no bound values, so that `%` and `:` mean what they mean in psql."""
    connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


def quoted(relation: str) -> str:
    """`schema.name` with both parts quoted; names of models hold no quotes."""
    schema, name = relation.split(".")
    return f'"{schema}"."{name}"'


def literal(value: str) -> str:
    """A text as a literal, for statements that take no bound values."""
    doubled = value.replace("'", "''")
    return f"'{doubled}'"


def create_view(connection: Connection, view: Relation, *, replace: bool) -> None:
    """Create a view again as it was found, with its options, comment, owner and grants."""
    options = f" with ({view.options})" if view.options else ""
    head = "create or replace view" if replace else "create view"
    raw(connection, f"{head} {_named(view)}{options} as {view.definition}")
    if not replace:
        if view.comment is not None:
            raw(connection, f"comment on view {_named(view)} is {literal(view.comment)}")
        raw(connection, f"alter view {_named(view)} owner to {view.owner}")
        grant(connection, view.grants)


def grant(connection: Connection, grants: Sequence[str]) -> None:
    """Give back what a relation that was dropped had granted."""
    for statement in grants:
        raw(connection, statement)


def drop(connection: Connection, relation: Relation) -> None:
    """Drop a relation that nothing depends on.

    Raises:
        Refused: a kind, or a view with triggers, that could not be made again as it was.
    """
    if relation.kind not in ("view", "table") or (relation.kind == "view" and relation.has_triggers):
        what = "a view with triggers" if relation.kind == "view" else with_article(relation.kind)
        raise Refused(
            f"{relation.relation} is {what} and would have to be dropped to go on; drop it first, make it again after."
        )
    raw(connection, f"drop {relation.kind} {_named(relation)}")


def _named(relation: Relation) -> str:
    schema, name = (part.replace('"', '""') for part in (relation.schema, relation.name))
    return f'"{schema}"."{name}"'
