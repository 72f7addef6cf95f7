"""Figures that compare two databases: rows, hashes, sequences, objects.

A table's hash does not depend on the order of its rows and is computed inside the server. No table is
known by name here.
"""

from __future__ import annotations

from collections.abc import Collection

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, text

_OURS = "n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_(toast|temp)'"
#: A row's text must not depend on who asks.
_SPELLING = """
set local timezone = 'UTC'; set local datestyle = 'ISO'; set local intervalstyle = 'postgres';
set local extra_float_digits = 1; set local bytea_output = 'hex';
set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0
"""
_TABLES = f"""
select n.nspname, c.relname,
       quote_ident(n.nspname) || '.' || quote_ident(c.relname) as spelt
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and {_OURS} and n.nspname <> all(:without)
order by 1, 2
"""
# The sum of two 64-bit halves of each row's sha256: 128 bits, whatever the order, and equal rows count.
_HASH = """
select count(*),
       coalesce(sum(('x' || substr(h, 1, 16))::bit(64)::bigint), 0)::text || ':' ||
       coalesce(sum(('x' || substr(h, 17, 16))::bit(64)::bigint), 0)::text
from (select encode(sha256(convert_to("crown row"::text, 'UTF8')), 'hex') as h from {table} "crown row") rows
"""
_SEQUENCES = """
select quote_ident(schemaname) || '.' || quote_ident(sequencename), last_value
from pg_sequences where schemaname <> all(:without) order by 1
"""
_OBJECTS = f"""
select kind, count(*) from (
    select n.nspname, case c.relkind when 'r' then 'tables' when 'v' then 'views' when 'i' then 'indexes'
        when 'S' then 'sequences' when 'm' then 'materialized views' else 'other relations' end as kind
    from pg_class c join pg_namespace n on n.oid = c.relnamespace where {_OURS}
    union all
    select n.nspname, 'functions' from pg_proc p join pg_namespace n on n.oid = p.pronamespace where {_OURS}
    union all
    select n.nspname, 'constraints' from pg_constraint k join pg_namespace n on n.oid = k.connamespace
    where {_OURS} and k.contype <> 'n'
    union all
    select n.nspname, 'triggers' from pg_trigger t join pg_class c on c.oid = t.tgrelid
        join pg_namespace n on n.oid = c.relnamespace where {_OURS} and not t.tgisinternal
) found where nspname <> all(:without) group by kind order by kind
"""


class Table(BaseModel):
    """A table's rows, and the hash of them in any order."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: int
    hash: str


class Contents(BaseModel):
    """The figures of one database, all of one moment but the sequences, which no snapshot covers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    revision: str | None
    tables: dict[str, Table]
    sequences: dict[str, int | None]
    objects: dict[str, int]

    @property
    def rows(self) -> int:
        """All rows of all tables."""
        return sum(table.rows for table in self.tables.values())


def read_contents(connection: Connection, without: Collection[str] = ()) -> Contents:
    """The figures of the connected database, inside the connection's transaction.

    Args:
        connection: in a transaction; repeatable read when others are writing.
        without: schemas to leave out.
    """
    for statement in _SPELLING.split(";"):
        connection.execute(text(statement))
    left_out = {"without": list(without)}
    tables = {}
    for schema, name, spelt in connection.execute(text(_TABLES), left_out).all():
        rows, digest = connection.execute(text(_HASH.format(table=spelt.replace(":", r"\:")))).one()
        tables[f"{schema}.{name}"] = Table(rows=rows, hash=digest)
    revision = None
    if "public.alembic_version" in tables:
        revision = connection.execute(text("select version_num from public.alembic_version")).scalar()
    return Contents(
        revision=revision,
        tables=tables,
        sequences={row[0]: row[1] for row in connection.execute(text(_SEQUENCES), left_out)},
        objects={row[0]: row[1] for row in connection.execute(text(_OBJECTS), left_out)},
    )


def differences(expected: Contents, found: Contents) -> list[str]:
    """What of `expected` is not so in `found`, a sentence each; empty when it is all there, unchanged."""
    said = []
    for name in sorted({*expected.tables, *found.tables}):
        want, have = expected.tables.get(name), found.tables.get(name)
        if want is None:
            said.append(f"table {name} is there and was not saved")
        elif have is None:
            said.append(f"table {name} is missing")
        elif want.rows != have.rows:
            said.append(f"table {name} has {have.rows:,} rows instead of {want.rows:,}")
        elif want.hash != have.hash:
            said.append(f"table {name} has {have.rows:,} rows as expected, with other contents")
    for name, last in expected.sequences.items():
        # Sequences go on while a backup is made: a later value is right, an earlier one gives ids twice.
        if name not in found.sequences or (last or 0) > (found.sequences[name] or 0):
            said.append(f"sequence {name} is missing or is before {last}")
    for kind, count in expected.objects.items():
        if found.objects.get(kind, 0) != count:
            said.append(f"{found.objects.get(kind, 0)} {kind} instead of {count}")
    return said
