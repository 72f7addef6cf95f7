"""The command line itself, and the commands that keep the platform: doctor, env, db, backup, restore."""

from __future__ import annotations

import http.server
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from sqlalchemy import Engine

from console.doctor import CHECKS, Finding, examine
from crown.database.engine import connect, our_url
from crown.database.migrations import migrate
from crown.database.opening import running_database
from crown.database.swap import beside, database_name
from crown.errors import ConfigurationError
from crown.settings.model import Settings, load_settings
from crown_cli.main import COMMANDS, cli

ROOT = Path(__file__).resolve().parents[2]
CROWN = [sys.executable, "-m", "crown_cli.main"]


def crown(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a person would, without a terminal."""
    return subprocess.run(
        [*CROWN, *arguments], cwd=ROOT, env={**os.environ, **environment}, text=True, timeout=120,
        stdin=subprocess.DEVNULL, capture_output=True, check=False,
    )  # fmt: skip


# The group


def test_help_loads_no_command_and_nothing_heavy() -> None:
    code = (
        "import sys\nfrom crown_cli.main import cli\n"
        "try: cli(['--help'])\nexcept SystemExit: pass\n"
        "print('loaded:', *sorted({name.partition('.')[0] for name in sys.modules}"
        " & {'sqlalchemy', 'pydantic', 'rich', 'dagster', 'numpy', 'crown', 'console'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True)
    shown, _, loaded = done.stdout.partition("loaded:")
    assert all(name in shown for name in COMMANDS)
    assert loaded.strip() == ""


def test_help_answers_in_half_a_second() -> None:
    seconds = []
    for _ in range(5):
        begun = time.perf_counter()
        assert crown("--help").returncode == 0
        seconds.append(time.perf_counter() - begun)
    assert min(seconds) < 0.5


def test_help_works_with_broken_settings() -> None:
    assert crown("--help", CROWNPIPE_MEDIA_BASE="/srv").returncode == 0
    assert crown("backup", "--help", CROWN_NONSENSE="1").returncode == 0


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_has_help_with_an_example(name: str) -> None:
    done = crown(name, "--help")
    assert done.returncode == 0, done.stderr
    examples = [
        line for line in done.stdout.splitlines() if line.startswith("  ") and f"crown {name}" in line
    ]
    assert examples, "the help shows no example"


def test_an_error_is_one_sentence_without_a_traceback_and_has_its_exit_code() -> None:
    done = crown("db", "stats", CROWN_DATABASE_URL="postgresql://ann:hush@127.0.0.1:9/crown")
    assert (done.returncode, done.stdout) == (ConfigurationError.exit_code, "")
    assert done.stderr.startswith("crown: The database 127.0.0.1/crown cannot be reached")
    assert done.stderr.count("\n") == 1
    assert "hush" not in done.stderr


def test_an_answer_that_finds_no_space_is_one_sentence() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*CROWN, "sql", "list", "--json"], cwd=ROOT, text=True, timeout=120, stdout=full, stderr=subprocess.PIPE,
            check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == (
        "crown: the answer cannot be written (No space left on device); free some space, then try again.\n"
    )


def test_debug_shows_where_it_happened() -> None:
    done = crown("--debug", "db", "stats", CROWN_NONSENSE="1")
    assert "Traceback" in done.stderr
    assert "CROWN_NONSENSE is not a setting" in done.stderr


def test_an_unknown_command_is_answered_with_the_nearest_one() -> None:
    done = crown("stauts")
    assert done.returncode == 2
    assert "did you mean `crown status`" in done.stderr


def _mentioned() -> list[tuple[str, str]]:
    """Every `crown ...` in code of the docs, with the page it stands on."""
    found = []
    for page in [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]:
        text = page.read_text("utf-8") if page.is_file() else ""
        blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
        lines = [line.partition("#")[0] for block in blocks for line in block.splitlines()]
        lines += re.findall(r"`(crown [^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
        found += [
            (page.name, part.strip())
            for line in lines
            for part in re.findall(r"\bcrown [a-z][^&|)\"]*", line)
        ]
    return sorted(set(found))


@pytest.mark.parametrize(("page", "line"), _mentioned())
def test_every_command_that_the_docs_mention_exists_with_its_options(page: str, line: str) -> None:
    words = line.split()[1:]
    command: click.Command | None = cli
    context = click.Context(cli)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        command = command.get_command(context, words.pop(0))
        assert command is not None, f"{page}: `{line}` is not a command"
    assert command is not None
    known = {name for parameter in command.params for name in parameter.opts}
    asked = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert asked <= known | {"--help"}, f"{page}: `{line}` has an option that does not exist"


# Doctor


def verdicts(findings: list[Finding], check: str) -> list[str]:
    """The verdicts of one check."""
    return [finding.verdict for finding in findings if finding.check == check]


def bad(findings: list[Finding], check: str) -> Finding:
    """The one finding of a check that is not ok."""
    (found,) = [f for f in findings if f.check == check and f.verdict != "ok"]
    assert found.do, "a finding that is not ok says what to do"
    return found


def examined(home: Path, **environment: str) -> list[Finding]:
    """What the doctor finds with these settings."""
    return examine(lambda: load_settings({"CROWN_HOME": str(home), **environment}, None))


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_fresh_machine_is_well(tmp_path: Path, free_port: int) -> None:
    findings = examined(tmp_path / "new", CROWN_WEB_PORT=str(free_port))
    assert [f for f in findings if f.verdict == "fail"] == []
    assert not (tmp_path / "new").exists(), "looking makes nothing"
    assert {f.check for f in findings} >= set(CHECKS) - {"secrets", "old names", "departments"}


def test_the_doctor_ends_with_one_on_a_failure_and_answers_in_json(tmp_path: Path, free_port: int) -> None:
    well = crown("doctor", "--json", CROWN_HOME=str(tmp_path), CROWN_WEB_PORT=str(free_port))
    assert well.returncode == 0, well.stdout
    ill = crown("doctor", "--json", CROWN_HOME=str(tmp_path), CROWN_MIN_FREE_GB="100000000")
    assert ill.returncode == 1
    assert next(f for f in json.loads(ill.stdout) if f["check"] == "free space")["verdict"] == "fail"
    table = crown("doctor", CROWN_HOME=str(tmp_path), CROWN_PRODUCT_IMAGES_CUTOUT_MODEL="u2net")
    assert table.returncode == 1
    assert "FAILED" in table.stdout
    assert "CROWN_PRODUCT_IMAGES_WEIGHTS_DIR" in table.stdout


def test_broken_settings_are_the_doctors_first_finding(tmp_path: Path) -> None:
    (finding,) = examined(tmp_path, CROWNPIPE_LOG_DIR="/var/log/crownpipe")
    assert (finding.check, finding.verdict) == ("settings", "fail")
    assert "CROWN_LOG_DIR" in finding.what


def test_a_folder_that_cannot_be_written_is_named_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    finding = bad(examined(tmp_path, CROWN_MEDIA_ROOT=str(tmp_path / "file"),
                           CROWN_PRODUCTION_ROOT=str(tmp_path)), "folders")  # fmt: skip
    assert "is a file" in finding.what
    assert "CROWN_MEDIA_ROOT" in finding.do
    finding = bad(examined(tmp_path, CROWN_OBJECTS_ROOT="/proc/objects"), "folders")
    assert "CROWN_OBJECTS_ROOT" in finding.do


def test_the_doctor_leaves_no_file_behind(tmp_path: Path, free_port: int) -> None:
    examined(tmp_path, CROWN_WEB_PORT=str(free_port))
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no file system in memory here")
def test_a_home_that_does_not_outlive_a_restart_is_a_warning() -> None:
    home = Path("/dev/shm/crown-doctor-test")
    (finding,) = [
        f for f in examined(home) if f.check == "file systems" and f.what.startswith(f"{home} is on")
    ]
    assert (finding.verdict, "tmpfs" in finding.what) == ("warn", True)
    assert "CROWN_HOME" in finding.do


def test_a_group_that_does_not_exist_is_a_failure(tmp_path: Path) -> None:
    findings = examined(tmp_path, CROWN_FILE_GROUP="no-such-group")
    assert bad(findings, "file group").verdict == "fail"


def test_weights_must_be_where_the_settings_say(tmp_path: Path) -> None:
    named = {
        "CROWN_PRODUCT_IMAGES_CUTOUT_MODEL": "isnet-general-use",
        "CROWN_PRODUCT_IMAGES_WEIGHTS_DIR": str(tmp_path),
    }
    assert "isnet-general-use.onnx" in bad(examined(tmp_path, **named), "weights").what
    (tmp_path / "isnet-general-use.onnx").write_bytes(b"weights")
    assert verdicts(examined(tmp_path, **named), "weights") == ["ok"]


def test_specs_that_do_not_exist_are_a_failure(tmp_path: Path) -> None:
    assert "no_such_spec" in bad_specs(examined(tmp_path, CROWN_PRODUCT_IMAGES_SPECS="no_such_spec"))


def bad_specs(findings: list[Finding]) -> str:
    """The sentence about the specs; it says itself what to do."""
    (found,) = [f for f in findings if f.check == "specs" and f.verdict == "fail"]
    return found.what


def test_another_program_on_the_port_is_a_failure_and_dagster_itself_is_not(tmp_path: Path) -> None:
    class Dagster(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/server_info" else 404)
            self.end_headers()
            self.wfile.write(b'{"dagster_webserver_version": "1.13.27"}')

        def log_message(self, *_: object) -> None:
            pass

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = str(other.getsockname()[1])
        assert bad(examined(tmp_path, CROWN_WEB_PORT=port), "web address").verdict == "fail"
    server = http.server.HTTPServer(("127.0.0.1", 0), Dagster)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        port = str(server.server_port)
        assert verdicts(examined(tmp_path, CROWN_WEB_PORT=port), "web address") == ["ok"]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_an_address_for_others_without_sign_in_is_a_failure(tmp_path: Path, free_port: int) -> None:
    named = {"CROWN_WEB_HOST": "0.0.0.0", "CROWN_WEB_PORT": str(free_port)}  # noqa: S104
    assert "CROWN_WEB_TOKEN" in bad(examined(tmp_path, **named), "web address").do
    assert verdicts(examined(tmp_path, **named, CROWN_WEB_TOKEN="long"), "web address") == ["ok"]


def test_a_database_out_of_reach_is_a_failure_and_no_traceback(tmp_path: Path) -> None:
    findings = examined(tmp_path, CROWN_DATABASE_URL="postgresql://ann:hush@127.0.0.1:9/crown")
    assert verdicts(findings, "database") == ["fail"]
    assert "hush" not in "".join(f.what for f in findings)


def test_the_revision_of_the_tables_is_judged(server_url: str, tmp_path: Path) -> None:
    name = "doctor_revisions"
    _on_server(server_url, f"create database {name}")
    url = beside(server_url, name)
    engine = connect(url)
    try:
        named = {"CROWN_DATABASE_URL": our_url(url).set(drivername="postgresql").render_as_string(False)}
        assert "none" in bad(examined(tmp_path, **named), "database").what
        migrate(engine, "0001")
        finding = bad(examined(tmp_path, **named), "database")
        assert (finding.verdict, "crown db migrate" in finding.do) == ("warn", True)
        assert crown("db", "migrate", CROWN_HOME=str(tmp_path), **named).returncode == 0
        assert set(verdicts(examined(tmp_path, **named), "database")) == {"ok"}
        _run(engine, "update alembic_version set version_num = '9999'")
        assert bad(examined(tmp_path, **named), "database").verdict == "fail"
    finally:
        engine.dispose()
        _on_server(server_url, f"drop database {name} with (force)")


def test_half_of_dagsters_tables_is_a_failure(engine: Engine, database_url: str, tmp_path: Path) -> None:
    _run(engine, "create table dagster.runs (id int)")
    finding = bad(examined(tmp_path, CROWN_DATABASE_URL=database_url), "database")
    assert (finding.verdict, "event_logs" in finding.what) == ("fail", True)


def test_old_names_without_effect_and_a_readable_env_file_are_warnings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("PG_PASSWORD=hush\nCROWN_WEB_TOKEN=quiet\n")
    (tmp_path / ".env").chmod(0o644)
    findings = examine(lambda: load_settings({"CROWN_HOME": str(tmp_path)}))
    assert "PG_PASSWORD" in bad(findings, "old names").what
    assert "chmod 600" in bad(findings, "secrets").do
    (tmp_path / ".env").chmod(0o600)
    assert verdicts(examine(lambda: load_settings({"CROWN_HOME": str(tmp_path)})), "secrets") == ["ok"]


# The environment of plain Dagster

ADDRESS = "postgresql://ann:hush@db.example/crown"


def test_into_a_pipe_the_variables_are_whole(tmp_path: Path) -> None:
    script = f'eval "$({sys.executable} -m crown_cli.main env)" && env'
    done = subprocess.run(
        ["sh", "-c", script], cwd=ROOT, text=True, capture_output=True, check=True,
        env={**os.environ, "CROWN_HOME": str(tmp_path), "CROWN_DATABASE_URL": ADDRESS},
    )  # fmt: skip
    variables = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    assert variables["CROWN_DATABASE_URL"] == ADDRESS
    assert variables["DAGSTER_HOME"] == str(tmp_path / "dagster")
    assert (
        variables["DAGSTER_POSTGRES_URL"]
        == "postgresql+psycopg2://ann:hush@db.example/crown?options=-csearch_path%3Ddagster+-csynchronous_commit%3Doff"
    )
    assert (tmp_path / "dagster" / "dagster.yaml").is_file()


def test_a_command_is_run_with_the_variables_and_in_place_of_ours(tmp_path: Path) -> None:
    named = {"CROWN_HOME": str(tmp_path), "CROWN_DATABASE_URL": ADDRESS}
    done = crown("env", "sh", "-c", 'echo "$DAGSTER_HOME $0"; exit 5', "first", **named)
    assert (done.returncode, done.stdout) == (5, f"{tmp_path}/dagster first\n")
    missing = crown("env", "no-such-program", **named)
    assert (missing.returncode, "no-such-program cannot be run" in missing.stderr) == (2, True)


def test_into_a_file_or_onto_a_screen_the_password_is_starred_out(tmp_path: Path) -> None:
    environment = {**os.environ, "CROWN_HOME": str(tmp_path), "CROWN_DATABASE_URL": ADDRESS}
    with (tmp_path / "stored").open("w") as file:
        subprocess.run([*CROWN, "env"], cwd=ROOT, env=environment, stdout=file, check=True)
    controller, screen = pty.openpty()
    subprocess.run([*CROWN, "env", "--json"], cwd=ROOT, env=environment, stdout=screen, check=True)
    os.close(screen)
    shown = os.read(controller, 65536).decode()
    os.close(controller)
    for text in ((tmp_path / "stored").read_text(), shown):
        assert "db.example" in text
        assert "hush" not in text
    with (tmp_path / "asked").open("w") as file:
        subprocess.run([*CROWN, "env", "--show-secrets"], cwd=ROOT, env=environment, stdout=file, check=True)
    assert "hush" in (tmp_path / "asked").read_text()


def test_without_its_database_running_env_says_how_to_start_it(tmp_path: Path) -> None:
    done = crown("env", CROWN_HOME=str(tmp_path))
    assert done.returncode == ConfigurationError.exit_code
    assert "crown db serve" in done.stderr
    assert done.stdout == ""


# The database by hand


@pytest.fixture
def served(server_folder: Path) -> Iterator[tuple[subprocess.Popen[str], Settings]]:
    """`crown db serve` on a new home."""
    process = subprocess.Popen(
        [*CROWN, "db", "serve"], cwd=ROOT, env={**os.environ, "CROWN_HOME": str(server_folder)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline().startswith("The database runs at postgresql")
    yield process, Settings(home=server_folder)
    process.kill()
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_served_database_lives_until_it_is_told_to_stop(
    served: tuple[subprocess.Popen[str], Settings], number: signal.Signals
) -> None:
    process, settings = served
    assert running_database(settings) is not None
    shown = crown("env", "--json", CROWN_HOME=str(settings.home))
    assert json.loads(shown.stdout)["CROWN_DATABASE_URL"].startswith("postgresql://postgres:@/crown?host=")
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, "")
    assert running_database(settings) is None


def test_a_server_that_runs_by_itself_is_not_served(database_url: str, tmp_path: Path) -> None:
    done = crown("db", "serve", CROWN_HOME=str(tmp_path), CROWN_DATABASE_URL=database_url)
    assert (done.returncode, "runs by itself" in done.stderr) == (3, True)


def test_a_database_is_thrown_away_in_development_only(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    _run(engine, "insert into ledger.recipes values ('r', 'a', 'n', '{}')")
    engine.dispose()
    named = {"CROWN_HOME": str(tmp_path), "CROWN_DATABASE_URL": database_url}
    for environment in ("production", "staging"):
        done = crown("db", "reset", "--apply", CROWN_ENVIRONMENT=environment, **named)
        assert (done.returncode, "CROWN_ENVIRONMENT=development" in done.stderr) == (3, True)
    assert _count(engine, "ledger.recipes") == 1
    with engine.connect() as connection:
        connection.exec_driver_sql("select 1")
        done = crown("db", "reset", "--apply", CROWN_ENVIRONMENT="development", **named)
        assert (done.returncode, "are open" in done.stderr) == (3, True)
    engine.dispose()
    looked = crown("db", "reset", CROWN_ENVIRONMENT="development", **named)
    assert (looked.returncode, "--apply does it" in looked.stdout) == (0, True)
    assert _count(engine, "ledger.recipes") == 1
    engine.dispose()
    assert crown("db", "reset", "--apply", CROWN_ENVIRONMENT="development", **named).returncode == 0
    assert _count(engine, "ledger.recipes") == 0


def test_backup_and_restore_by_hand(engine: Engine, database_url: str, tmp_path: Path) -> None:
    named = {"CROWN_HOME": str(tmp_path / "home"), "CROWN_DATABASE_URL": database_url}
    _run(engine, "insert into ledger.recipes values ('r', 'a', 'n', '{}')")
    engine.dispose()
    saved = crown("backup", str(tmp_path / "backups"), "--json", **named)
    assert saved.returncode == 0, saved.stderr
    folder = json.loads(saved.stdout)["folder"]
    _run(engine, "delete from ledger.recipes")
    engine.dispose()

    looked = crown("restore", folder, **named)
    assert (looked.returncode, "Nothing was replaced; --apply" in looked.stdout) == (0, True), looked.stderr
    assert _count(engine, "ledger.recipes") == 0
    engine.dispose()

    done = crown("restore", folder, "--apply", "--json", **named)
    assert done.returncode == 0, done.stderr
    assert _count(engine, "ledger.recipes") == 1
    engine.dispose()
    kept = json.loads(done.stdout)["kept"]
    assert json.loads(crown("db", "stats", "--json", **named).stdout)["kept"] == [kept]
    assert crown("db", "drop-kept", database_name(database_url), "--apply", **named).returncode == 3
    assert crown("db", "drop-kept", kept, "--apply", **named).returncode == 0
    assert json.loads(crown("db", "stats", "--json", **named).stdout)["kept"] == []


def _run(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(statement)


def _count(engine: Engine, table: str) -> int:
    with engine.connect() as connection:
        return int(connection.exec_driver_sql(f"select count(*) from {table}").scalar_one())


def _on_server(url: str, statement: str) -> None:
    engine = connect(beside(url, "postgres"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()
