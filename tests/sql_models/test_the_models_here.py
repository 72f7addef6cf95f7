"""Promises about the models of this repository as files."""

from __future__ import annotations

import subprocess
from pathlib import Path

from sqlalchemy import Engine, text

from crown.database.embedded import program
from crown.database.engine import our_url
from crown.sql_models.build import run
from crown.sql_models.checks import check
from crown.sql_models.lineage import read_columns
from crown.sql_models.project import LAYERS, Project

MODELS = Path(__file__).resolve().parents[2] / "dbt_like_sql"


def test_the_folder_holds_models_and_descriptions_only() -> None:
    strangers = [
        path.name
        for path in MODELS.rglob("*")
        if path.is_file() and path.suffix not in {".sql", ".yml"} and "__pycache__" not in path.parts
    ]
    assert strangers == ["__init__.py"]
    assert {path.name for path in MODELS.iterdir() if path.is_dir() and path.name != "__pycache__"} == set(
        LAYERS
    )


def test_every_column_of_every_model_is_described(project: Project) -> None:
    for relation, lineage in read_columns(project).items():
        assert list(project.models[relation].description.columns) == list(lineage), relation


def test_every_source_column_exists(project: Project, engine: Engine) -> None:
    with engine.connect() as connection:
        for relation, source in project.sources.items():
            connection.execute(text(f"select {', '.join(source.columns)} from {relation} where false"))


def test_no_model_reads_texts_that_may_name_a_person(project: Project) -> None:
    private = {"notes", "payment_note", "variation", "contact_number", "exported_name"}
    for relation, source in project.sources.items():
        assert private.isdisjoint(source.columns), relation


def test_no_model_reads_the_presentation_mart(project: Project) -> None:
    assert project.downstream("marts.art_editions_shown") == ()


def test_every_mart_leads_back_to_the_art_records(project: Project) -> None:
    for relation, model in project.models.items():
        if model.folder == "marts":
            assert project.ancestors(relation) & set(project.sources), relation


def test_every_model_runs_in_psql_as_it_is(project: Project, engine: Engine, database_url: str) -> None:
    assert [result.error for result in run(engine, project) if result.error] == []
    url = our_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    psql = [str(program("psql")), "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--csv", "--dbname", url]
    lineage = read_columns(project)
    for relation, model in project.models.items():
        done = subprocess.run([*psql, "--file", str(model.path)], capture_output=True, text=True, check=False)
        assert done.stderr == "", relation
        assert done.stdout.splitlines()[0].split(",") == list(lineage[relation]), relation


def test_no_promise_is_broken_on_empty_art_records(project: Project, engine: Engine) -> None:
    assert [result.error for result in run(engine, project) if result.error] == []
    findings = check(engine, project)
    assert len(findings) > 90
    assert [f"{finding.relation} {finding.name}" for finding in findings if not finding.passed] == []
