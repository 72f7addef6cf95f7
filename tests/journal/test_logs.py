"""Logging through the real set-up: file, table, outage, several processes, killed processes."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import make_url

from crown.database.engine import our_url
from crown.journal import logs, secrets
from crown.journal.outbox import Outbox
from crown.journal.records import log_context
from crown.settings.model import Settings

SetUp = Callable[..., logs.Logs]
MEGABYTE = 1024 * 1024


@pytest.fixture
def set_up(tmp_path: Path) -> Iterator[SetUp]:
    """`set_up(url, **settings)` with the log folder `tmp_path/logs`, closed after the test."""

    def start(url: str | None = None, /, **settings: object) -> logs.Logs:
        return logs.set_up(Settings.model_validate({"home": tmp_path, **settings}), url, console=False)

    yield start
    logs.close()
    secrets._known.clear()


def log_lines(folder: Path) -> list[str]:
    """Every line of the log file and of all that were rotated away."""
    return [
        line for path in folder.glob("crown.log*") for line in path.read_text(encoding="utf-8").splitlines()
    ]


def log_table(engine: Engine, where: str = "true") -> list[dict[str, object]]:
    with engine.connect() as connection:
        rows = connection.execute(text(f"select * from logs.records where {where} order by timestamp, id"))
        return [dict(row._mapping) for row in rows]


def run_script(body: str, *arguments: str | Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(body), *map(str, arguments)])


def test_a_record_reaches_the_table_with_its_fields_and_a_real_json_context(
    set_up: SetUp, engine: Engine, database_url: str
) -> None:
    running = set_up(database_url)
    with log_context(subject="52000123", user="anna", run_id="run-1", batch=7):
        logging.getLogger("crown.product_images.cutouts").warning(
            "cut out %d of %d", 1, 2, extra={"execution_time_ms": 12.4, "context": {"model": "studio"}}
        )
    assert running.flush()
    (row,) = log_table(engine)
    assert (row["level"], row["department"], row["module"], row["message"]) == (
        "WARNING",
        "product_images",
        "crown.product_images.cutouts",
        "cut out 1 of 2",
    )
    assert (row["subject"], row["user_id"], row["run_id"], row["execution_time_ms"]) == (
        "52000123",
        "anna",
        "run-1",
        12,
    )
    assert row["context"] == {"batch": 7, "model": "studio"}
    with engine.connect() as connection:
        assert (
            connection.execute(text("select jsonb_typeof(context) from logs.pipeline_logs")).scalar()
            == "object"
        )


def test_a_record_without_any_field_is_stored_and_has_no_context(
    set_up: SetUp, engine: Engine, database_url: str, tmp_path: Path
) -> None:
    running = set_up(database_url)
    logging.getLogger("crown").info("plain")
    record = logging.makeLogRecord(
        {"name": "crown", "msg": "of Python 3.12", "levelno": 20, "levelname": "INFO"}
    )
    record.taskName = "Task-1"
    logging.getLogger("crown").handle(record)
    assert running.flush()
    assert [(row["message"], row["context"], row["subject"]) for row in log_table(engine)] == [
        ("plain", None, None),
        ("of Python 3.12", None, None),
    ]
    assert [line.split(" ", 1)[1] for line in log_lines(tmp_path / "logs")] == [
        "INFO    crown plain",
        "INFO    crown of Python 3.12",
    ]


def test_an_exception_is_stored_with_its_traceback(
    set_up: SetUp, engine: Engine, database_url: str, tmp_path: Path
) -> None:
    running = set_up(database_url)
    try:
        int("x")
    except ValueError:
        logging.getLogger("crown.store").exception("no number")
    assert running.flush()
    (row,) = log_table(engine)
    assert str(row["exception"]).endswith("ValueError: invalid literal for int() with base 10: 'x'")
    assert any("ValueError: invalid literal" in line for line in log_lines(tmp_path / "logs"))


def test_a_message_of_several_lines_cannot_pose_as_another_record(set_up: SetUp, tmp_path: Path) -> None:
    set_up(log_to_database=False)
    logging.getLogger("crown").info("first\n2026-01-01T00:00:00.000Z ERROR   crown forged")
    lines = log_lines(tmp_path / "logs")
    assert [line for line in lines if not line.startswith(" ")] == [lines[0]]


def test_contexts_nest_and_end(set_up: SetUp, engine: Engine, database_url: str) -> None:
    running = set_up(database_url)
    log = logging.getLogger("crown.product_images")
    with log_context(subject="1", user="anna"):
        with log_context(subject="2"):
            log.info("inner")
        log.info("outer")
    log.info("none")
    assert running.flush()
    assert [(row["subject"], row["user_id"]) for row in log_table(engine)] == [
        ("2", "anna"),
        ("1", "anna"),
        (None, None),
    ]


@pytest.mark.parametrize(
    "message",
    [
        "a zero \0 byte",
        "half a surrogate \udcff",
        "x" * 100_000,
    ],
    ids=["nul", "surrogate", "long"],
)
def test_what_postgresql_refuses_is_stored_as_an_escape(
    set_up: SetUp, engine: Engine, database_url: str, message: str
) -> None:
    running = set_up(database_url)
    loop: dict[str, object] = {"nan": float("nan"), message[:20]: message[:20], "path": Path("a/b")}
    loop["self"] = loop
    logging.getLogger("crown." + "deep." * 30).info(message, extra={"context": loop, "subject": "9" * 200})
    assert running.flush()
    (row,) = log_table(engine)
    assert str(row["message"]) == message.replace("\0", "\\x00").replace("\udcff", "\\udcff")
    assert isinstance(row["context"], dict)
    assert row["context"]["nan"] == "nan"
    assert row["context"]["path"] == "a/b"
    assert row["subject"] == "9" * 100


def test_arguments_that_do_not_fit_lose_no_record(set_up: SetUp, tmp_path: Path) -> None:
    set_up(log_to_database=False)
    logging.getLogger("crown").info("%d files", "seven")
    assert "%d files ['seven']" in log_lines(tmp_path / "logs")[0]


def test_no_secret_reaches_file_or_table(
    set_up: SetUp, engine: Engine, database_url: str, tmp_path: Path
) -> None:
    running = set_up(
        database_url,
        database_url="postgresql://crown:hunter-two@db/crown",
        web_token="let-me-in-please",
        log_level="DEBUG",
    )
    log = logging.getLogger("crown.web")
    log.info("cannot reach postgresql://crown:hunter-two@db/crown nor amqp://u:other-one@mq/")
    log.info("header %s", {"Authorization": "Bearer abcdefgh12345678"}, extra={"api_key": "k-4711"})
    log.info("CROWN_WEB_TOKEN=let-me-in-please password='with blanks in it' and let-me-in-please alone")
    try:
        raise RuntimeError("token: sesame-9")
    except RuntimeError:
        log.exception("failed", extra={"context": {"deep": [{"password": "deep-1"}, "hunter-two"]}})
    assert running.flush()
    written = "\n".join(log_lines(tmp_path / "logs")) + json.dumps(log_table(engine), default=str)
    for secret in (
        "hunter-two",
        "other-one",
        "abcdefgh12345678",
        "k-4711",
        "let-me-in-please",
        "with blanks",
        "sesame-9",
        "deep-1",
    ):
        assert secret not in written
    assert "postgresql://crown:***@db/crown" in written


def test_levels_below_the_setting_are_not_logged(set_up: SetUp, tmp_path: Path) -> None:
    set_up(log_to_database=False, log_level="WARNING")
    logging.getLogger("crown").info("chatter")
    logging.getLogger("crown").warning("news")
    assert [line.split()[-1] for line in log_lines(tmp_path / "logs")] == ["news"]


def test_closing_puts_the_loggers_back(set_up: SetUp) -> None:
    before = (logging.getLogger("crown").handlers[:], logging.getLogger("crown").propagate)
    set_up(log_to_database=False)
    logs.close()
    assert (logging.getLogger("crown").handlers, logging.getLogger("crown").propagate) == before


_WRITER = """
import logging, sys
from pathlib import Path
from crown.journal import logs
from crown.settings.model import Settings
home, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
logs.set_up(Settings(home=home, log_max_size_mb=0.75), console=False)
log = logging.getLogger("crown.product_images")
for number in range(count):
    log.info("record %s-%05d %s", name, number, "x" * 400)
if sys.argv[4:] == ["kill"]:
    import os, signal
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_four_processes_writing_10000_records_across_rotations_lose_none(
    tmp_path: Path, engine: Engine
) -> None:
    writers = [run_script(_WRITER, tmp_path, str(name), "2500") for name in range(4)]
    assert [writer.wait(120) for writer in writers] == [0, 0, 0, 0]
    expected = sorted(f"{name}-{number:05d}" for name in range(4) for number in range(2500))
    files = sorted((tmp_path / "logs").glob("crown.log*"))
    assert len(files) > 4
    assert sorted(line.split()[4] for line in log_lines(tmp_path / "logs")) == expected
    Outbox(tmp_path / "logs" / "outbox", MEGABYTE).deliver(engine)
    assert sorted(str(row["message"]).split()[1] for row in log_table(engine)) == expected


def test_ten_rotated_files_are_kept(set_up: SetUp, tmp_path: Path) -> None:
    set_up(log_to_database=False, log_max_size_mb=0.001)
    for _ in range(203):
        logging.getLogger("crown").info("x" * 200)
    names = sorted(path.name for path in (tmp_path / "logs").glob("crown.log*"))
    assert names == sorted(["crown.log", *(f"crown.log.{n}" for n in range(1, 11))])


def test_what_a_killed_process_logged_is_delivered_by_another(tmp_path: Path, engine: Engine) -> None:
    writer = run_script(_WRITER, tmp_path, "k", "500", "kill")
    assert writer.wait(60) == -signal.SIGKILL
    assert Outbox(tmp_path / "logs" / "outbox", MEGABYTE).deliver(engine) == 500
    assert len(log_table(engine)) == 500


@pytest.fixture
def away(database_url: str, tmp_path: Path) -> tuple[str, Callable[[], None]]:
    """A URL of this test's database that nobody answers, and the function that brings the database back."""
    url = make_url(database_url)
    real, link = Path(str(url.query["host"])), tmp_path / "socket"
    return (
        our_url(database_url).update_query_dict({"host": str(link)}).render_as_string(hide_password=False),
        lambda: link.symlink_to(real),
    )


def test_the_table_gets_what_was_logged_during_an_outage_when_the_database_is_back(
    set_up: SetUp, engine: Engine, away: tuple[str, Callable[[], None]], tmp_path: Path
) -> None:
    url, come_back = away
    running = set_up(url)
    log = logging.getLogger("crown.product_images")
    for number in range(50):
        log.info("record %d", number)
    assert not running.flush(5)
    assert log_table(engine) == []
    assert sum("record" in line and "INFO" in line for line in log_lines(tmp_path / "logs")) == 50
    assert sum("The log table cannot be written" in line for line in log_lines(tmp_path / "logs")) == 1
    come_back()
    assert running.flush(30)
    messages = [row["message"] for row in log_table(engine, "department = 'product_images'")]
    assert messages == [f"record {number}" for number in range(50)]


def test_an_outage_survives_the_end_of_the_process(
    set_up: SetUp, engine: Engine, away: tuple[str, Callable[[], None]]
) -> None:
    url, come_back = away
    running = set_up(url)
    logging.getLogger("crown.store").error("before the end")
    assert not running.flush(5)
    logs.close()
    come_back()
    assert set_up(url).flush(30)
    assert [row["message"] for row in log_table(engine, "level = 'ERROR'")] == ["before the end"]


def test_a_database_that_never_answers_slows_nobody(set_up: SetUp, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        set_up(f"postgresql://crown@127.0.0.1:{silent.getsockname()[1]}/crown")
        start = time.perf_counter()
        for number in range(1000):
            logging.getLogger("crown").info("record %d", number)
        assert time.perf_counter() - start < 2
        logs.close()
    assert len([line for line in log_lines(tmp_path / "logs") if "crown record" in line]) == 1000


def test_a_record_sent_twice_arrives_once(tmp_path: Path, engine: Engine) -> None:
    outbox = Outbox(tmp_path / "outbox", MEGABYTE)
    row = {
        "record_id": "00000000-0000-4000-8000-000000000001",
        "timestamp": "2026-01-01T00:00:00Z",
        "level": "INFO",
        "module": "crown",
        "message": "once",
    }
    outbox.append(row)
    # As after a crash between commit and clean-up: the part is still there.
    outbox.deliver(engine)
    outbox.append(row)
    assert outbox.deliver(engine) == 1
    assert [entry["message"] for entry in log_table(engine)] == ["once"]


def test_a_line_that_a_kill_left_unfinished_spoils_no_other(tmp_path: Path, engine: Engine) -> None:
    outbox = Outbox(tmp_path / "outbox", MEGABYTE)
    good = {"timestamp": "2026-01-01T00:00:00Z", "level": "INFO", "module": "crown"}
    outbox.append({**good, "record_id": "00000000-0000-4000-8000-000000000001", "message": "before"})
    with (tmp_path / "outbox" / "current.jsonl").open("ab") as file:
        file.write(b'\n{"record_id": "00000000-00')
    outbox.append({**good, "record_id": "00000000-0000-4000-8000-000000000002", "message": "after"})
    outbox.append({**good, "record_id": "not an id", "message": "refused"})
    assert outbox.deliver(engine) == 2
    assert [row["message"] for row in log_table(engine)] == ["before", "after"]
    refused = (tmp_path / "outbox" / "refused.jsonl").read_text().splitlines()
    assert len(refused) == 2
    assert not outbox.waiting()


def test_an_outbox_that_is_full_leaves_records_to_the_file_and_says_so(
    set_up: SetUp, engine: Engine, away: tuple[str, Callable[[], None]], tmp_path: Path
) -> None:
    url, come_back = away
    # The outbox holds ten times the file: 10 KB.
    running = set_up(url, log_max_size_mb=0.001)
    for number in range(100):
        logging.getLogger("crown.store").error("record %d", number)
    outbox = (tmp_path / "logs" / "outbox" / "current.jsonl").stat().st_size
    assert outbox <= 0.01 * MEGABYTE
    come_back()
    assert running.flush(30)
    assert running.flush(30)
    kept = len(log_table(engine, "level = 'ERROR'"))
    assert 0 < kept < 100
    (row,) = log_table(engine, "message like '%outbox was full%'")
    assert str(row["message"]).startswith(f"{100 - kept} records are in the log file only")


def test_a_full_disk_stops_no_work_and_is_said_once(tmp_path: Path) -> None:
    script = """
        import logging, resource, signal, sys
        from pathlib import Path
        from crown.journal import logs
        from crown.settings.model import Settings
        logs.set_up(Settings(home=Path(sys.argv[1])), console=False)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        for number in range(100):
            logging.getLogger("crown").info("record %d", number)
        sys.exit(7)
    """
    arguments = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)]
    done = subprocess.run(arguments, capture_output=True, timeout=60, check=False)
    assert done.returncode == 7
    said = done.stderr.decode().splitlines()
    assert len(said) == 2
    assert all(line.startswith("Records of crown are not written by") for line in said)


def test_a_log_folder_that_cannot_be_made_is_said_and_stops_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    logs.set_up(Settings(home=tmp_path, log_dir=tmp_path / "file" / "logs"))
    logging.getLogger("crown").info("work goes on")
    logs.close()
    said = capsys.readouterr().err
    assert "cannot be written (Not a directory); set CROWN_LOG_DIR to one that can." in said
    assert "work goes on" in said


def test_two_deliverers_deliver_once(tmp_path: Path, engine: Engine, database_url: str) -> None:
    writer = run_script(_WRITER, tmp_path, "d", "1500")
    assert writer.wait(60) == 0
    script = """
        import sys
        from pathlib import Path
        from sqlalchemy import create_engine
        from crown.journal.outbox import Outbox
        engine = create_engine(sys.argv[2])
        Outbox(Path(sys.argv[1]), 2**20).deliver(engine)
        engine.dispose()
    """
    deliverers = [run_script(script, tmp_path / "logs" / "outbox", database_url) for _ in range(3)]
    assert [deliverer.wait(60) for deliverer in deliverers] == [0, 0, 0]
    last = create_engine(database_url)
    Outbox(tmp_path / "logs" / "outbox", MEGABYTE).deliver(last)
    last.dispose()
    assert len(log_table(engine)) == 1500


def test_on_a_terminal_records_are_shown_by_rich(tmp_path: Path) -> None:
    script = """
        import logging, sys
        from pathlib import Path
        from crown.journal import logs
        from crown.settings.model import Settings
        logs.set_up(Settings(home=Path(sys.argv[1]), log_to_file=False, log_to_database=False))
        logging.getLogger("crown").warning("seen by a person", extra={"user_id": "anna"})
        try:
            int("x")
        except ValueError:
            logging.getLogger("crown").exception("failed with token=sesame-9")
    """
    terminal, end = os.openpty()
    environment = {**os.environ, "TERM": "dumb", "COLUMNS": "200"}
    arguments = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)]
    with subprocess.Popen(arguments, stderr=end, env=environment) as process:
        assert process.wait(60) == 0
    os.close(end)
    shown = os.read(terminal, 100_000).decode()
    os.close(terminal)
    assert "WARNING  seen by a person" in shown
    assert "ValueError: invalid literal" in shown
    assert "sesame-9" not in shown
