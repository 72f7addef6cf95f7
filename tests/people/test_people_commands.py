"""`crown people`: users and tokens from the command line, recorded in the trail, no secret shown twice."""

from __future__ import annotations

import getpass
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine, text

from crown.people import credentials, users
from crown_cli.main import cli

PASSWORD = "correct horse battery"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


def people(database_url: str, home: Path, *arguments: str, given: str | None = None) -> Result:
    environment = {"CROWN_DATABASE_URL": database_url, "CROWN_HOME": str(home)}
    return CliRunner().invoke(cli, ["people", *arguments], env=environment, input=given)


def test_a_user_added_with_a_piped_password_signs_in_with_it(
    engine: Engine, database_url: str, home: Path
) -> None:
    done = people(
        database_url, home, "add", "Eva", "--role", "operator", "--password", "--json", given=PASSWORD
    )
    assert json.loads(done.stdout)["display_name"] == "Eva"
    with engine.connect() as connection:
        signed_in = users.verify_password(connection, "eva", PASSWORD)
    assert signed_in is not None
    assert signed_in.role == "operator"
    assert PASSWORD not in done.output


def test_every_change_is_in_the_trail_under_who_ran_the_command(
    engine: Engine, database_url: str, home: Path
) -> None:
    people(database_url, home, "add", "eva")
    people(database_url, home, "role", "eva", "viewer")
    people(database_url, home, "disable", "eva")
    with engine.connect() as connection:
        rows = connection.execute(
            text("select who, what, subject, new_values from journal.activity order by activity_id")
        ).all()
    me = getpass.getuser().casefold()
    assert [tuple(row) for row in rows] == [
        (me, "user_added", "eva", {"role": "operator", "disabled": False}),
        (me, "role_changed", "eva", {"role": "viewer", "disabled": False}),
        (me, "user_disabled", "eva", {"role": "viewer", "disabled": True}),
    ]


def test_a_token_is_shown_once_works_and_is_gone_when_revoked(
    engine: Engine, database_url: str, home: Path
) -> None:
    people(database_url, home, "add", "eva")
    given = json.loads(people(database_url, home, "token", "eva", "stock feed", "--json").stdout)["token"]
    (listed,) = json.loads(people(database_url, home, "tokens", "--json").stdout)
    assert (listed["user_name"], listed["label"], listed["role"]) == ("eva", "stock feed", "viewer")
    assert given not in json.dumps(listed)
    with engine.begin() as connection:
        assert credentials.token_user(connection, given) is not None
    assert people(database_url, home, "revoke", str(listed["token_id"])).exit_code == 0
    with engine.begin() as connection:
        assert credentials.token_user(connection, given) is None


def test_who_is_no_administrator_changes_nobody(engine: Engine, database_url: str, home: Path) -> None:
    people(database_url, home, "add", "ada", "--role", "admin")
    with engine.begin() as connection:
        users.change(connection, getpass.getuser(), role="operator")
    refused = people(database_url, home, "add", "eva")
    assert refused.exit_code == 3
    assert "may not administer; the role admin may" in refused.output
    with engine.connect() as connection:
        assert [user.name for user in users.all_users(connection)] == sorted(
            ["ada", getpass.getuser().casefold()]
        )
