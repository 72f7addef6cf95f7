"""Reading models: edges, order, columns, and the place that every mistake names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from crown.errors import ConfigurationError
from crown.sql_models.lineage import read_columns
from crown.sql_models.project import Project, load_models

Write = Callable[..., Project]

SOURCES = """\
sources:
  art.editions:
    asset: [art_records, editions]
    description: Editions as they are now.
    columns: [id, print_id, price, sold]
  art.prints:
    asset: [art_records, prints]
    description: Prints as they are now.
    columns: [id, name]
"""
DESCRIPTION = "description: A model.\nowner: team:art-records\n"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes `floor/name` -> SQL (or `floor/name.yml` -> YAML) and loads the folder."""
    (tmp_path / "sources.yml").write_text(SOURCES)

    def load(files: dict[str, str]) -> Project:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            if path.suffix == ".yml":
                path.write_text(content)
            else:
                path.with_suffix(".sql").write_text(content)
                if not path.with_suffix(".yml").exists():
                    path.with_suffix(".yml").write_text(DESCRIPTION)
        return load_models(tmp_path)

    return load


STAGING = {
    "staging/editions": "select id, print_id, price, sold from art.editions",
    "staging/prints": "select id, name from art.prints",
}


def test_edges_are_relations_and_not_ctes_functions_values_or_laterals(write: Write) -> None:
    project = write(
        {
            **STAGING,
            "intermediate/months": """
                with recursive sold as (select * from staging.editions where sold),
                chain (n) as (select 1 union all select n + 1 from chain where n < 3)
                select s.id, m.month, l.name, v.q, u.k, (select count(*) from staging.prints) as prints
                from sold s
                cross join generate_series(date '2025-01-01', date '2025-12-01', '1 month') as m (month)
                left join lateral (select p.name from staging.prints p where p.id = s.print_id) l on true
                cross join (values (1), (2)) as v (q)
                cross join unnest(array[1, 2]) as u (k)
                where exists (select 1 from chain where n = v.q)
            """,
            "marts/all_ids": "select id from staging.prints union select id from intermediate.months;",
        }
    )
    assert set(project.models["intermediate.months"].upstream) == {"staging.editions", "staging.prints"}
    assert project.models["marts.all_ids"].upstream == ("staging.prints", "intermediate.months")
    assert project.models["staging.editions"].upstream == ("art.editions",)
    assert project.upstream_keys("staging.editions") == (("art_records", "editions"),)
    assert project.asset_key("marts.all_ids") == ("sql", "marts", "all_ids")


def test_every_model_comes_after_those_it_reads(write: Write) -> None:
    project = write(
        {
            **STAGING,
            "marts/a_first_by_name": "select id from marts.z_last_by_name",
            "marts/z_last_by_name": "select id from staging.prints",
        }
    )
    order = list(project.models)
    assert order.index("marts.z_last_by_name") < order.index("marts.a_first_by_name")
    assert [model.relation for model in project.select(["+z_last_by_name+"])] == [
        "staging.prints",
        "marts.z_last_by_name",
        "marts.a_first_by_name",
    ]


def test_lineage_leads_every_column_to_the_columns_it_is_computed_from(write: Write) -> None:
    project = write(
        {
            **STAGING,
            "marts/sales": """
                with priced as (select e.print_id, coalesce(e.price, 0) as amount, e.sold from staging.editions e)
                select p.name, sum(a.amount) filter (where a.sold) as revenue, count(*) as n, 'x' as fixed
                from priced a join staging.prints p on p.id = a.print_id
                group by p.name
            """,
        }
    )
    lineage = read_columns(project)["marts.sales"]
    assert list(lineage) == ["name", "revenue", "n", "fixed"]
    assert lineage["name"] == [("staging.prints", "name")]
    assert set(lineage["revenue"]) == {("staging.editions", "price"), ("staging.editions", "sold")}
    assert lineage["fixed"] == []


@pytest.mark.parametrize(
    ("files", "place", "words"),
    [
        ({"marts/a": "select id\nfrom art.editoins"}, "marts/a.sql:2:6", "did you mean art.editions"),
        ({"staging/a": "select id\nfrom editions"}, "staging/a.sql:2:6", "write its schema"),
        ({"staging/a": "select id from other.art.editions"}, "staging/a.sql:1:", "another database"),
        ({"marts/a": "select id from art.editions"}, "marts/a.sql:1:16", "only models in staging/"),
        ({"staging/a": "select id,\n  from where"}, "staging/a.sql:2:", "correct it there"),
        ({"staging/a": "select 'it''s', 'open\nfrom art.prints"}, "staging/a.sql:1:17", "not closed"),
        ({"staging/a": "delete from art.prints"}, "staging/a.sql:1:1", "exactly one SELECT"),
        ({"staging/a": "select 1 as a; select 2 as b"}, "staging/a.sql:1:1", "exactly one SELECT"),
        (
            {"staging/a": "with d as (delete from art.prints returning id) select id from d"},
            "staging/a.sql:1:",
            "only reads",
        ),
        (
            {"staging/a": "select id from marts.b", "marts/b": "select id from art.prints"},
            "staging/a.sql:1:16",
            "later layer",
        ),
    ],
)
def test_a_mistake_names_file_line_and_column(
    write: Write, tmp_path: Path, files: dict[str, str], place: str, words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        write(files)
    assert str(caught.value).startswith(str(tmp_path / place))


def test_a_ring_of_models_names_every_file_and_line_of_it(write: Write, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="ring") as caught:
        write(
            {
                "marts/a": "select id\nfrom marts.b",
                "marts/b": "select id\n\nfrom marts.c",
                "marts/c": "select id from marts.a",
            }
        )
    for place in ("marts/a.sql:2:6", "marts/b.sql:3:6", "marts/c.sql:1:16"):
        assert str(tmp_path / place) in str(caught.value)


@pytest.mark.parametrize(
    ("sql", "place", "words"),
    [
        ("select e.id,\n  e.prise from staging.editions e", ":2:5", "did you mean price"),
        ("select id,\n  prise from staging.editions", ":2:3", "did you mean price"),
        ("select x.id from staging.editions e", ":1:10", "x is not in this FROM"),
        ("select id from staging.editions a cross join staging.prints b", ":1:8", "ambiguous"),
        ("select max(id) from staging.editions", ":1:12", "has no name"),
        (
            "select p.id from staging.prints p\nwhere exists (select 1 from staging.editions e where e.pid = p.id)",
            ":2:56",
            "did you mean id",
        ),
        ("with c as (select id as key from staging.prints)\nselect c.id from c", ":2:10", "it has key"),
    ],
)
def test_a_missing_column_is_named_before_the_database_is_asked(
    write: Write, tmp_path: Path, sql: str, place: str, words: str
) -> None:
    project = write({**STAGING, "marts/a": sql})
    with pytest.raises(ConfigurationError, match=words) as caught:
        read_columns(project)
    assert str(caught.value).startswith(f"{tmp_path / 'marts/a.sql'}{place}: ")


@pytest.mark.parametrize(
    ("yml", "line", "words"),
    [
        ("owner: team:art-records\n", 1, "'description' is missing"),
        ("description: d\nowner: nobody\n", 2, "team:name"),
        (DESCRIPTION + "materialised: cube\n", 3, "view"),
        (
            DESCRIPTION + "columns:\n  id:\n    description: d\n    tests: [not_nul]\n",
            6,
            "did you mean 'not_null'",
        ),
        (
            DESCRIPTION
            + "columns:\n  id:\n    description: d\n    tests:\n      - unique\n      - between: {}\n",
            8,
            "`min`, `max` or both",
        ),
        (
            DESCRIPTION
            + "columns:\n  id:\n    description: d\n    tests:\n      - {unique: true, positive: true}\n",
            7,
            "exactly one of",
        ),
    ],
)
def test_a_mistake_in_a_description_names_file_and_line(
    write: Write, tmp_path: Path, yml: str, line: int, words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        write({"staging/a.yml": yml, "staging/a": "select id from art.prints"})
    assert str(caught.value).startswith(f"{tmp_path / 'staging/a.yml'}:{line}: ")


def test_a_described_column_that_the_model_lacks_is_refused(write: Write, tmp_path: Path) -> None:
    project = write(
        {
            "staging/a.yml": DESCRIPTION + "columns:\n  naem:\n    description: d\n",
            "staging/a": "select * from art.prints",
        }
    )
    with pytest.raises(ConfigurationError, match="did you mean name") as caught:
        read_columns(project)
    assert str(caught.value).startswith(f"{tmp_path / 'staging/a.yml'}:4: ")


def test_a_relationship_leads_to_something_the_model_stands_on(write: Write, tmp_path: Path) -> None:
    yml = (
        DESCRIPTION + "columns:\n  id:\n    description: d\n    tests:\n"
        "      - relationships: {to: staging.prints, column: id}\n"
    )
    with pytest.raises(ConfigurationError, match=r"nothing that staging\.a depends on") as caught:
        write({**STAGING, "staging/a.yml": yml, "staging/a": "select id from art.editions"})
    assert str(caught.value).startswith(f"{tmp_path / 'staging/a.yml'}:7: ")


def test_a_model_without_a_description_and_a_description_without_a_model_are_refused(
    write: Write, tmp_path: Path
) -> None:
    write(STAGING)
    (tmp_path / "staging/prints.yml").unlink()
    with pytest.raises(ConfigurationError, match=r"prints\.yml is missing"):
        load_models(tmp_path)
    (tmp_path / "staging/prints.yml").write_text(DESCRIPTION)
    (tmp_path / "staging/prints.sql").unlink()
    with pytest.raises(ConfigurationError, match=r"prints\.sql, which is not there"):
        load_models(tmp_path)


def test_an_unknown_model_is_answered_with_the_nearest(write: Write) -> None:
    project = write(STAGING)
    with pytest.raises(ConfigurationError, match="did you mean prints"):
        project.select(["printz"])
