"""Statements and comparisons that the tests of backups share."""

from __future__ import annotations

from sqlalchemy import text

from crown.database.contents import Contents, read_contents
from crown.database.engine import connect
from crown.database.swap import beside

_FILL = """
insert into ledger.recipes (recipe, asset, name, body)
select 'r' || n, 'product_images/renditions', 'spec ' || n, jsonb_build_object('größe', n, 'dpi', 72.5)
from generate_series(1, 5) n;
insert into ledger.outputs (asset, key, fingerprint, content_hash, root, path, size_bytes, recipe, seconds, facts)
select 'product_images/renditions', 'K' || n, md5(n::text), md5('c' || n), 'production',
       'ü/' || n || E'.jpg', n * 1000, 'r' || (mod(n, 5) + 1), random(), '{"a": [1, null, "x"]}'
from generate_series(1, 400) n;
insert into ledger.output_inputs select output_id, output_id - 1 from ledger.outputs where output_id > 1;
insert into ledger.decisions (stage, subject, content_hash, verdict, reason, who, via)
select 'cutouts', 'S' || n, md5(n::text), 'approve', case when mod(n, 2) = 0 then E'line\\nbreak' end, 'ann', 'cli'
from generate_series(1, 100) n;
create table dagster.runs (id bigserial primary key, body text);
insert into dagster.runs (body) select repeat('run ', n) from generate_series(1, 20) n;
"""


def _on_server(url: str, statement: str) -> None:
    other = connect(beside(url, "postgres"))
    with other.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(statement)
    other.dispose()


def _databases(url: str, prefix: str) -> list[str]:
    other = connect(beside(url, "postgres"))
    with other.connect() as connection:
        query = text("select datname from pg_database where starts_with(datname, :prefix) order by 1")
        found = list(connection.execute(query, {"prefix": prefix}).scalars())
    other.dispose()
    return found


def _contents(url: str) -> Contents:
    other = connect(url)
    with other.connect() as connection:
        found = read_contents(connection)
    other.dispose()
    return found


def _change(url: str, statement: str) -> None:
    other = connect(url)
    with other.begin() as connection:
        connection.exec_driver_sql(statement)
    other.dispose()
