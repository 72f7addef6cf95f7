"""Building models: replacing views and tables while others depend on them, and promises about their rows."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from sqlalchemy import Engine, text

from crown.errors import ConfigurationError
from crown.sql_models.build import removed, run
from crown.sql_models.checks import check
from crown.sql_models.project import Project, load_models

Write = Callable[..., Project]
DESCRIPTION = "description: It's a model.\nowner: team:art-records\n"
SOURCES = """\
sources:
  shop.things:
    asset: [shop, things]
    description: Things.
    columns: [id, price, kind]
"""


@pytest.fixture
def shop(engine: Engine) -> Engine:
    execute(
        engine,
        "create schema shop",
        "create table shop.things (id integer, price numeric, kind text)",
        "insert into shop.things values (1, 10, 'a'), (2, 0, 'b'), (3, null, 'b')",
        "create role reader",
    )
    yield engine
    # Roles outlive the database of a test.
    execute(engine, "drop owned by reader", "drop role reader")


@pytest.fixture
def write(tmp_path: Path) -> Write:
    (tmp_path / "sources.yml").write_text(SOURCES)

    def load(files: dict[str, str]) -> Project:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.with_suffix(".sql").write_text(content.removeprefix("table: "))
            if not path.with_suffix(".yml").exists():
                path.with_suffix(".yml").write_text(DESCRIPTION)
            if content.startswith("table: "):
                path.with_suffix(".yml").write_text(DESCRIPTION + "materialised: table\n")
        return load_models(tmp_path)

    return load


def execute(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def rows(engine: Engine, query: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def built(results: list[Any]) -> None:
    assert [result.error for result in results if result.outcome != "built"] == []


def test_models_are_built_in_order_with_rows_columns_and_comments(shop: Engine, write: Write) -> None:
    project = write(
        {
            "staging/things": "select id, price, kind from shop.things -- 100 %s of them: all\n",
            "marts/dear": "table: select id, price from staging.things where price > 5;",
        }
    )
    results = run(shop, project)
    built(results)
    assert [(result.relation, result.rows) for result in results] == [
        ("staging.things", 3),
        ("marts.dear", 1),
    ]
    assert [(column.name, column.type) for column in results[1].columns] == [
        ("id", "integer"),
        ("price", "numeric"),
    ]
    (comment,) = rows(shop, "select obj_description('marts.dear'::regclass)")[0]
    assert comment == "It's a model.\n\nBuilt by Crown from marts/dear.sql"


@pytest.mark.parametrize("kind", ["", "table: "])
def test_a_view_that_stands_on_a_changed_model_is_kept_with_its_grants(
    shop: Engine, write: Write, kind: str
) -> None:
    project = write(
        {
            "staging/things": kind + "select id, price, kind from shop.things",
            "marts/ids": "select id from staging.things",
        }
    )
    built(run(shop, project))
    execute(
        shop,
        "create schema reports",
        "create view reports.mine as select id, kind from staging.things",
        "create view reports.upon as select id from reports.mine",
        "comment on view reports.upon is 'mine'",
        "create view reports.owned as select id from reports.mine",
        "alter view reports.owned owner to reader",
        "grant select on marts.ids, staging.things to reader",
        "grant select on reports.upon to reader with grant option",
    )
    # Another order and another type: no CREATE OR REPLACE can do that.
    project = write(
        {"staging/things": kind + "select kind, id::bigint as id, price * 2 as price from shop.things"}
    )
    result = run(shop, project, ["things"])[0]
    assert result.error is None
    assert set(result.rebuilt) == {"marts.ids", "reports.mine", "reports.upon", "reports.owned"}
    assert rows(shop, "select id, kind from reports.mine order by 1") == [(1, "a"), (2, "b"), (3, "b")]
    assert rows(shop, "select obj_description('reports.upon'::regclass)") == [("mine",)]
    assert rows(shop, "select viewowner from pg_views where viewname = 'owned'") == [("reader",)]
    for relation in ("marts.ids", "staging.things", "reports.upon"):
        assert rows(shop, f"select has_table_privilege('reader', '{relation}', 'select')") == [(True,)], (
            relation
        )
    assert rows(shop, "select has_table_privilege('reader', 'reports.upon', 'select with grant option')") == [
        (True,)
    ]


def test_a_table_is_exchanged_under_its_views_which_then_read_the_new_one(shop: Engine, write: Write) -> None:
    project = write({"staging/things": "table: select id from shop.things"})
    built(run(shop, project))
    execute(
        shop,
        "create view public.mine as select count(*) as n from staging.things",
        "grant select on public.mine to reader",
        "insert into shop.things values (4, 1, 'c')",
    )
    before = rows(shop, "select 'public.mine'::regclass::oid")
    assert rows(shop, "select n from public.mine") == [(3,)]
    assert run(shop, project)[0].rebuilt == ("public.mine",)
    assert rows(shop, "select n from public.mine") == [(4,)]
    assert rows(shop, "select 'public.mine'::regclass::oid") == before
    assert rows(shop, "select relname from pg_class where relname like 'things\\_\\_%'") == []


@pytest.mark.parametrize("kind", ["", "table: "])
def test_a_dropped_column_rebuilds_models_from_their_files_in_the_same_transaction(
    shop: Engine, write: Write, kind: str
) -> None:
    project = write(
        {
            "staging/things": kind + "select id, price from shop.things",
            "marts/total": "select sum(price) as total from staging.things",
        }
    )
    built(run(shop, project))
    # The view's new file reads a model that does not exist yet, and the column it read goes.
    project = write(
        {
            "staging/things": kind + "select id from shop.things",
            "staging/prices": "select price from shop.things",
            "marts/total": "select sum(price) as total from staging.prices where exists (select 1 from staging.things)",
        }
    )
    result = run(shop, project, ["things"])[0]
    assert result.error is None
    assert result.rebuilt == ("marts.total",)
    assert rows(shop, "select total from marts.total") == [(10,)]


def test_a_change_that_would_break_a_persons_view_is_refused_and_nothing_changes(
    shop: Engine, write: Write
) -> None:
    built(run(shop, write({"staging/things": "select id, price from shop.things"})))
    execute(shop, "create view public.mine as select sum(price) as total from staging.things")
    result = run(shop, write({"staging/things": "select id from shop.things"}))[0]
    assert result.outcome == "failed"
    assert "public.mine, which is not a model" in (result.error or "")
    assert rows(shop, "select total from public.mine") == [(10,)]


def test_a_materialized_view_of_a_person_is_not_dropped(shop: Engine, write: Write) -> None:
    built(run(shop, write({"staging/things": "select id, price from shop.things"})))
    execute(shop, "create materialized view public.kept as select id from staging.things")
    result = run(shop, write({"staging/things": "select id from shop.things"}))[0]
    assert "public.kept is a materialized view" in (result.error or "")
    assert rows(shop, "select count(*) from public.kept") == [(3,)]


def test_a_model_turns_from_view_to_table_and_back_under_its_views(
    shop: Engine, write: Write, tmp_path: Path
) -> None:
    project = write(
        {"staging/things": "select id from shop.things", "marts/ids": "select id from staging.things"}
    )
    built(run(shop, project))
    built(run(shop, write({"staging/things": "table: select id from shop.things"})))
    assert rows(shop, "select relkind::text from pg_class where oid = 'staging.things'::regclass") == [("r",)]
    (tmp_path / "staging/things.yml").write_text(DESCRIPTION)
    built(run(shop, load_models(tmp_path)))
    assert rows(shop, "select relkind::text from pg_class where oid = 'staging.things'::regclass") == [("v",)]
    assert rows(shop, "select count(*) from marts.ids") == [(3,)]


def test_a_relation_that_a_person_made_is_never_replaced(shop: Engine, write: Write) -> None:
    execute(shop, "create schema marts", "create table marts.dear as select 1 as mine")
    result = run(shop, write({"marts/dear": "select 1 as id"}))[0]
    assert "was not built from a model" in (result.error or "")
    assert rows(shop, "select mine from marts.dear") == [(1,)]


@pytest.mark.parametrize("kind", ["", "table: "])
def test_an_error_of_postgresql_names_file_line_and_column_and_keeps_the_old_relation(
    shop: Engine, write: Write, tmp_path: Path, kind: str
) -> None:
    built(run(shop, write({"staging/things": kind + "select id from shop.things"})))
    project = write(
        {"staging/things": kind + "-- é: two bytes\nselect id,\n  lenght(kind) as n\nfrom shop.things"}
    )
    result = run(shop, project)[0]
    assert result.outcome == "failed"
    assert (result.error or "").startswith(
        f"{tmp_path / 'staging/things.sql'}:3:3: function lenght(text) does not"
    )
    assert rows(shop, "select count(*) from staging.things") == [(3,)]


@pytest.mark.parametrize("kind", ["", "table: "])
def test_a_column_that_cannot_be_computed_fails_the_build_not_the_reader(
    shop: Engine, write: Write, kind: str
) -> None:
    project = write(
        {
            "staging/things": kind + "select id, 1 / price as share from shop.things",
            "marts/upon": "select id from staging.things",
            "marts/beside": "select 1 as one",
        }
    )
    outcomes = {result.relation: result for result in run(shop, project)}
    assert "division by zero" in (outcomes["staging.things"].error or "")
    assert outcomes["marts.upon"].outcome == "skipped"
    assert outcomes["marts.upon"].error == "it depends on staging.things"
    assert outcomes["marts.beside"].outcome == "built"
    assert rows(shop, "select to_regclass('staging.things')") == [(None,)]


def test_a_model_whose_floor_below_is_missing_says_what_to_build(
    shop: Engine, write: Write, tmp_path: Path
) -> None:
    project = write(
        {"staging/things": "select id from shop.things", "marts/m": "select id from staging.things"}
    )
    result = run(shop, project, ["m"])[0]
    assert result.error == (
        f'{tmp_path / "marts/m.sql"}:1:16: relation "staging.things" does not exist; '
        "build what it reads first: crown sql run +m."
    )


def test_two_builders_of_one_table_go_one_after_the_other(shop: Engine, write: Write) -> None:
    project = write(
        {"staging/things": "table: select id from shop.things", "marts/m": "select id from staging.things"}
    )
    with ThreadPoolExecutor(4) as pool:
        for results in pool.map(lambda _: run(shop, project), range(8)):
            built(results)
    assert rows(shop, "select count(*) from marts.m") == [(3,)]


def test_a_reader_sees_the_old_table_or_the_new_one_never_none(shop: Engine, write: Write) -> None:
    project = write({"staging/things": "table: select id from shop.things"})
    built(run(shop, project))
    stop = Event()

    def read() -> set[int]:
        seen = set()
        while not stop.is_set():
            seen.add(rows(shop, "select count(*) from staging.things")[0][0])
        return seen

    with ThreadPoolExecutor(2) as pool:
        reading = pool.submit(read)
        for _ in range(20):
            built(run(shop, project))
        stop.set()
        assert reading.result() == {3}


def test_a_model_that_was_taken_away_is_named(shop: Engine, write: Write, tmp_path: Path) -> None:
    built(run(shop, write({"staging/things": "select id from shop.things", "marts/one": "select 1 as one"})))
    (tmp_path / "marts/one.sql").unlink()
    (tmp_path / "marts/one.yml").unlink()
    assert removed(shop, load_models(tmp_path)) == ["marts.one"]


TESTED = """\
description: Things.
owner: team:art-records
columns:
  id:
    description: The number.
    tests: [not_null, unique]
  price:
    description: Pounds.
    tests:
      - not_null
      - positive: true
        severity: warn
      - positive: true
        where: kind = 'a'
      - between: {min: 0, max: 9}
      - expression: price + id <> 11
  kind:
    description: The kind.
    tests:
      - unique
      - accepted_values: [a, c]
      - relationships: {to: shop.things, column: kind}
tests:
  - row_count: {min: 4}
  - unique: [kind, price]
  - expression: id < 3
"""


def test_findings_count_and_show_the_rows_that_break_a_promise(
    shop: Engine, write: Write, tmp_path: Path
) -> None:
    (tmp_path / "staging").mkdir()
    (tmp_path / "staging/things.yml").write_text(TESTED)
    project = write({"staging/things": "select id, price, kind from shop.things"})
    built(run(shop, project))
    findings = {finding.name: finding for finding in check(shop, project)}
    # Things: (1, 10, a), (2, 0, b), (3, null, b).
    assert {name: finding.count for name, finding in findings.items()} == {
        "id_not_null": 0,
        "id_unique": 0,
        "price_not_null": 1,  # thing 3
        "price_positive": 1,  # thing 2; null keeps it
        "price_positive_2": 0,  # of kind a there is thing 1 only
        "price_between": 1,  # thing 1
        "price_expression": 1,  # thing 1
        "kind_unique": 1,  # b, twice
        "kind_accepted_values": 2,  # things 2 and 3
        "kind_relationships": 0,
        "row_count": 1,  # 3 rows are not 4
        "unique": 0,  # (b, 0) and (b, null) differ
        "expression": 1,  # thing 3
    }
    assert findings["price_not_null"].sample == ({"id": 3, "price": None, "kind": "b"},)
    assert findings["kind_unique"].sample == ({"kind": "b", "copies": 2},)
    assert findings["row_count"].sample == ({"rows": 3},)
    assert findings["price_positive"].severity == "warn"
    assert findings["price_positive"].sentence == "price is above 0"
    assert findings["price_positive"].line == 11


def test_a_condition_that_is_not_sql_names_the_line_of_the_description(
    shop: Engine, write: Write, tmp_path: Path
) -> None:
    (tmp_path / "staging").mkdir()
    (tmp_path / "staging/things.yml").write_text(DESCRIPTION + "tests:\n  - expression: nope > 1\n")
    project = write({"staging/things": "select id from shop.things"})
    built(run(shop, project))
    with pytest.raises(ConfigurationError, match='column "nope" does not exist') as caught:
        check(shop, project)
    assert str(caught.value).startswith(f"{tmp_path / 'staging/things.yml'}:4: ")


def test_a_model_that_was_never_built_says_how_to_build_it(
    shop: Engine, write: Write, tmp_path: Path
) -> None:
    (tmp_path / "staging").mkdir()
    (tmp_path / "staging/things.yml").write_text(DESCRIPTION + "tests:\n  - row_count: {min: 1}\n")
    with pytest.raises(ConfigurationError, match="crown sql run"):
        check(shop, write({"staging/things": "select id from shop.things"}))
