"""`--who` is a known user who may do what the command does; rows come out as CSV where they are asked for."""

from __future__ import annotations

import csv
import getpass
import io
import json

from click.testing import CliRunner, Result
from sqlalchemy import Engine, text

from crown.people import users
from crown_cli.main import cli


def crown(database_url: str, home: object, *arguments: str) -> Result:
    environment = {"CROWN_DATABASE_URL": database_url, "CROWN_HOME": str(home)}
    return CliRunner().invoke(cli, arguments, env=environment)


def test_whoever_is_named_is_a_known_user_who_may(
    engine: Engine, database_url: str, tmp_path: object
) -> None:
    with engine.begin() as connection:
        users.add(connection, "vera", "viewer")
        users.add(connection, "olaf", "operator")
    act = ("art", "add-gallery", "Amber Room", "--commission", "40")
    unknown = crown(database_url, tmp_path, *act, "--who", "nobody")
    assert (unknown.exit_code, "nobody is not a known user" in unknown.output) == (1, True)
    refused = crown(database_url, tmp_path, *act, "--who", "vera")
    assert (refused.exit_code, "vera (viewer) may not edit" in refused.output) == (3, True)
    done = crown(database_url, tmp_path, *act, "--who", "Olaf")
    assert done.exit_code == 0, done.output
    with engine.connect() as connection:
        whos = connection.execute(text("select who from art.syncs")).scalars().all()
    assert whos == ["olaf"]


def test_a_command_without_who_acts_as_the_operating_systems_user(
    engine: Engine, database_url: str, tmp_path: object
) -> None:
    assert (
        crown(database_url, tmp_path, "art", "add-gallery", "Amber Room", "--commission", "40").exit_code == 0
    )
    with engine.connect() as connection:
        assert connection.execute(text("select who from art.syncs")).scalars().all() == [
            getpass.getuser().casefold()
        ]


def test_rows_come_out_as_csv_in_which_no_cell_is_a_formula(
    engine: Engine, database_url: str, tmp_path: object
) -> None:
    with engine.begin() as connection:
        users.add(connection, "eva", "operator", display_name="=1+1, eva")
    done = crown(database_url, tmp_path, "people", "list", "--csv")
    (row,) = csv.DictReader(io.StringIO(done.stdout))
    assert (row["name"], row["role"], row["display_name"]) == ("eva", "operator", "'=1+1, eva")
    status = crown(database_url, tmp_path, "status", "--csv")
    rows = list(csv.DictReader(io.StringIO(status.stdout)))
    assert [row["department"] for row in rows][:2] == ["product_images", "product_data"]
    assert rows[0]["current"] == "0"


def test_the_database_commands_answer_scripts(engine: Engine, database_url: str, tmp_path: object) -> None:
    with engine.connect() as connection:
        revision = connection.execute(text("select version_num from alembic_version")).scalar_one()
    migrated = crown(database_url, tmp_path, "db", "migrate", "--json")
    assert json.loads(migrated.stdout) == {"revision": revision}
    answer = json.loads(crown(database_url, tmp_path, "db", "upgrade", "--json").stdout)
    assert answer["serves"] >= answer["needs"] == 15
    assert (answer["folder"], len(answer["steps"])) == (None, 6)
    tables = crown(database_url, tmp_path, "db", "stats", "--csv").stdout
    assert next(csv.reader(io.StringIO(tables))) == ["table", "about_rows", "bytes"]
