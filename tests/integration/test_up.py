"""`crown up` as a person meets it: one address, one Ctrl-C, one sentence when something is wrong."""

from __future__ import annotations

import importlib.util
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import psutil
import pytest
from sqlalchemy import text

from crown.database.embedded import embedded_server
from crown.database.engine import connect, our_url
from tests.servers import packaged, packaged_server

pytestmark = pytest.mark.integration

TOKEN = "a-token-for-tests-0123456789"


def _load(name: str) -> ModuleType:
    # Test folders are no packages (importmode=importlib).
    path = Path(__file__).with_name(f"{name}.py")
    specification = importlib.util.spec_from_file_location(name, path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


up_process = _load("up_process")
UpProcess, until = up_process.UpProcess, up_process.until


@pytest.fixture
def crown_up(tmp_path: Path) -> Iterator[Callable[..., UpProcess]]:
    """Starts `crown up`, by default in the test's own home."""
    started: list[UpProcess] = []

    def start(*options: str, home: Path = tmp_path / "home", **keywords: object) -> UpProcess:
        started.append(UpProcess(home, *options, **keywords))
        return started[-1]

    yield start
    for up in started:
        up.close()


def _run_status(home: Path, run_id: str) -> str:
    with embedded_server(home / "postgres") as url:
        engine = connect(our_url(url).set(database="crown").render_as_string(hide_password=False))
        with engine.connect() as connection:
            status = connection.execute(
                text("select status from dagster.runs where run_id = :run"), {"run": run_id}
            ).scalar_one()
        engine.dispose()
    return str(status)


def test_one_address_serves_all_and_one_ctrl_c_stops_all_a_run_and_its_children_included(
    crown_up: Callable[..., UpProcess],
) -> None:
    up = crown_up()
    with up.client() as client:
        assert client.get("/health").json() == {"status": "ok"}
        assert "<h1>Overview</h1>" in client.get("/console/").text
        assert client.get("/server_info").status_code == 200
    quick = up.launch("quick_job")
    until(lambda: up.run_status(quick) == "SUCCESS", 60, "the end of a quick run")
    endless = up.launch("endless_job")
    worker, child = up.pids("endless")
    assert psutil.pid_exists(worker)
    assert psutil.pid_exists(child)

    assert up.end(signal.SIGINT) == 0
    assert up.left() == []
    assert not psutil.pid_exists(worker)
    assert not psutil.pid_exists(child)
    assert up.out.count("http://") == 1
    assert "Traceback" not in up.err
    assert _run_status(up.home, endless) == "CANCELED"
    assert "Started Dagster code server" in (up.home / "logs" / "code_server.log").read_text()


def test_a_closed_terminal_stops_all(crown_up: Callable[..., UpProcess]) -> None:
    """Whatever is said then has nowhere to go, and must not keep anything from stopping."""
    terminal = subprocess.Popen(["head", "-n", "1"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert terminal.stdin is not None
    up = crown_up(stderr=terminal.stdin)
    terminal.stdin.close()
    up.address()
    terminal.wait(10)
    up.launch("endless_job")
    worker, _ = up.pids("endless")
    assert up.end(signal.SIGHUP) in (0, 1)  # 1: its last words could not be said
    assert up.left() == []
    assert not psutil.pid_exists(worker)


def test_a_second_ctrl_c_kills_what_does_not_listen(crown_up: Callable[..., UpProcess]) -> None:
    up = crown_up()
    up.address()
    up.launch("stubborn_job")
    worker, child = up.pids("stubborn")
    up.process.send_signal(signal.SIGINT)
    until(lambda: "Waiting for 1 run" in up.err, 60, "the polite request")
    assert up.end(signal.SIGINT, seconds=10) == 0
    assert up.left() == []
    until(lambda: not psutil.pid_exists(worker) and not psutil.pid_exists(child), 10, "the end of the run")


def test_when_the_supervisor_is_killed_all_ends_and_the_next_start_frees_the_place_of_its_run(
    crown_up: Callable[..., UpProcess],
) -> None:
    up = crown_up()
    run = up.launch("endless_job")
    worker, child = up.pids("endless")
    up.process.kill()
    up.process.wait()
    until(lambda: up.left() == [], 60, "the end of the orphans, PostgreSQL included")
    assert not psutil.pid_exists(worker)
    assert not psutil.pid_exists(child)

    # Sigterm stops all, even when a script started it in the background: a shell hands an ignored SIGINT to
    # what it starts with `&`, and Dagster copies that onto SIGTERM.
    again = crown_up(ignore_sigint=True)
    again.address()
    until(lambda: again.run_status(run) == "FAILURE", 90, "the run's death certificate")
    assert again.end(signal.SIGTERM) == 0
    assert again.left() == []


def _one_sentence(up: UpProcess, status: int, *parts: str) -> None:
    """It ends by itself with the status, one sentence and no traceback, and leaves nothing running."""
    assert up.wait(150) == status, up.err
    said = [line for line in up.err.splitlines() if line.startswith("crown: ")]
    assert len(said) == 1, up.err
    for part in parts:
        assert part in said[0]
    assert "Traceback" not in up.err + up.out
    assert up.out == ""
    assert up.left() == []


def test_a_port_in_use_is_one_sentence(crown_up: Callable[..., UpProcess]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        _one_sentence(crown_up("--port", str(port)), 2, f"Port {port}", "--port")


def test_a_home_that_cannot_be_written_is_one_sentence(
    crown_up: Callable[..., UpProcess], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    _one_sentence(crown_up(home=tmp_path / "file" / "home"), 2, "cannot be written", "CROWN_HOME")


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("postgresql://someone:secret-word@127.0.0.1:1/crown", "cannot be reached"),
        ("postgresql://someone:secret-word@no-such-host.invalid/crown", "cannot be reached"),
        ("mysql://someone:secret-word@127.0.0.1/crown", "only postgresql://"),
        ("secret-word", "is not a database address"),
    ],
)
def test_a_wrong_database_address_is_one_sentence_without_the_password(
    crown_up: Callable[..., UpProcess], url: str, sentence: str
) -> None:
    up = crown_up(DATABASE_URL=url)
    _one_sentence(up, 2, sentence, "CROWN_DATABASE_URL" if "reached" in sentence else "")
    assert "secret-word" not in up.err


@pytest.fixture
def old_postgres(tmp_path: Path) -> Iterator[str]:
    """A PostgreSQL that is too old, as its packages install it."""
    programs = packaged("1[0-4]") + packaged("9.*")
    if not programs:
        pytest.skip("no PostgreSQL older than 15 is installed under /usr/lib/postgresql")
    (tmp_path / "old").mkdir()
    with packaged_server(programs[-1], tmp_path / "old") as url:
        yield url


def test_a_postgresql_that_is_too_old_is_one_sentence(
    crown_up: Callable[..., UpProcess], old_postgres: str
) -> None:
    _one_sentence(crown_up(DATABASE_URL=old_postgres), 2, "version 15 or later is needed")


def test_another_address_without_a_token_is_one_sentence(crown_up: Callable[..., UpProcess]) -> None:
    _one_sentence(crown_up("--host", "0.0.0.0"), 2, "set CROWN_WEB_TOKEN")  # noqa: S104 - refused


def test_definitions_that_do_not_load_are_one_sentence(crown_up: Callable[..., UpProcess]) -> None:
    _one_sentence(
        crown_up(module="broken_definitions"), 2, "broken_definitions do not load", "code_server.log"
    )


def test_ctrl_c_during_the_start_stops_what_had_started(crown_up: Callable[..., UpProcess]) -> None:
    up = crown_up()
    until(lambda: "api grpc" in " ".join(up.left()), 60, "the start of the code server")
    assert up.end(signal.SIGINT) == 130
    assert up.left() == []
    assert "Traceback" not in up.err


@pytest.fixture(scope="module")
def guarded_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpProcess]:
    """A running installation that other machines may reach, with the token it asks for."""
    home = tmp_path_factory.mktemp("guarded") / "home"
    up = UpProcess(home, "--host", "0.0.0.0", WEB_TOKEN=TOKEN)  # noqa: S104 - that is what the token is for
    try:
        up.address()
        yield up
        assert up.end() == 0
        assert up.left() == []
        assert TOKEN not in up.err + up.out
    finally:
        up.close()


def test_with_a_token_nothing_answers_without_it_and_no_command_line_shows_it(guarded_up: UpProcess) -> None:
    with guarded_up.stranger() as stranger, guarded_up.client() as friend:
        assert stranger.post("/graphql", json={"query": "{ version }"}).status_code == 401
        assert friend.post("/graphql", json={"query": "{ version }"}).status_code == 200
    processes = up_process.processes_of(guarded_up.home)
    assert processes
    assert not [part for process in processes for part in process.info["cmdline"] or [] if TOKEN in part]


def test_a_second_start_in_the_same_home_is_one_sentence_and_the_first_goes_on(
    guarded_up: UpProcess,
) -> None:
    second = UpProcess(guarded_up.home)
    assert second.wait(60) == 2
    assert f"runs already in {guarded_up.home} (process {guarded_up.process.pid})" in second.err
    with guarded_up.client() as client:
        assert client.get("/console/").status_code == 200


def test_whatever_dies_is_started_again(guarded_up: UpProcess) -> None:
    up = guarded_up
    address = up.address()
    for name, command in (
        ("console", "console.serve"),
        # The process that holds the definitions and is the parent of runs: what memory pressure kills first.
        ("code server", "grpc"),
        ("daemon", "dagster._daemon"),
    ):
        before = [
            process for process in up_process.processes_of(up.home) if command in process.info["cmdline"]
        ]
        service = next(
            process for process in before if "console.supervision.keeper" not in process.info["cmdline"]
        )
        service.kill()
        until(
            lambda command=command, old=service.pid: [
                process
                for process in up_process.processes_of(up.home)
                if command in process.info["cmdline"]
                and "console.supervision.keeper" not in process.info["cmdline"]
                and process.pid != old
            ],
            30,
            f"the new {name}",
        )
        assert f"The {name} ended (status 137); it starts again" in up.err
    assert up.address() == address
    with up.client() as client:
        until(lambda: _answers(client), 60, "the answer of the new console")
    until(lambda: _healthy(up), 60, "the loaded location, the beating daemon")
    run = until(lambda: _launched(up), 60, "a launch by the new code server")
    until(lambda: up.run_status(run) == "SUCCESS", 90, "a run by the new daemon and code server")
    postmaster = psutil.Process(int((up.home / "postgres" / "postmaster.pid").read_text().split()[0]))
    postmaster.kill()
    postmaster.wait(20)
    with up.client() as client:
        until(lambda: _answers(client), 60, "the answer of the new database")


def test_a_daemon_that_hangs_turns_health_red_within_a_minute_and_is_started_again(
    guarded_up: UpProcess,
) -> None:
    up = guarded_up
    until(lambda: _healthy(up), 60, "a healthy start")
    (daemon,) = [
        process
        for process in up_process.processes_of(up.home)
        if "dagster._daemon" in process.info["cmdline"]
        and "console.supervision.keeper" not in process.info["cmdline"]
    ]
    daemon.suspend()
    with up.stranger() as stranger:
        told = until(lambda: stranger.get("/health").json().get("broken"), 61, "the red health")
    assert told == ["daemon"]
    until(lambda: "The daemon is started again: /health calls broken: daemon." in up.err, 60, "the restart")
    until(lambda: _healthy(up), 90, "the health of the new daemon")


def _healthy(up: UpProcess) -> bool:
    with up.stranger() as stranger:
        return stranger.get("/health").status_code == 200


def _answers(client: object) -> bool:
    import httpx

    assert isinstance(client, httpx.Client)
    try:
        return client.get("/health").status_code == 200
    except httpx.TransportError:
        return False


def _launched(up: UpProcess) -> str | None:
    try:
        return str(up.launch("quick_job"))
    except AssertionError:
        return None
