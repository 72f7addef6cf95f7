"""CrownPipe's `.audit.json` files are taken over with their own times, once, whatever happens meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from crown.errors import BadInput
from crown_cli.images.audit_logs import AUDIT_FILE, MIGRATED, migrate
from tests.closed import closed

ROOT = Path(__file__).resolve().parents[2]


def write(folder: Path, number: str, **changed: object) -> Path:
    """An audit file as CrownPipe wrote it."""
    path = folder / number / AUDIT_FILE
    path.parent.mkdir(parents=True)
    content = {
        "product_number": number,
        "upload_history": [
            {
                "timestamp": "2024-11-05T09:30:00.123456Z",
                "user": "mary",
                "action": "initial_upload",
                "details": None,
                "source_file": f"{number}.jpg",
            },
            {
                "timestamp": "2024-11-06T10:00:00Z",
                "user": "system",
                "action": "formatting_complete",
                "details": "Generated 2 formats",
                "source_file": None,
            },
        ],
        "formats_generated": ["web/1000x1000_72dpi_jpeg", "thumbnail/128x128_72dpi_jpeg"],
        "last_production_sync": "2024-11-06T10:05:00Z",
        **changed,
    }
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")
    return path


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """An old media folder with two products."""
    for number in ("52000123", "52000124"):
        write(tmp_path / "media" / "products", number)
    return tmp_path / "media"


def trail(engine: Engine) -> list[tuple[str, str, str, str]]:
    """What the old table shows: product, time, user, action."""
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "select product_number, to_char(timestamp at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS'), user_id, action"
                " from audit.product_audit order by 1, 2"
            )
        )
        return [(row[0], row[1], row[2], row[3]) for row in rows]


def test_acts_keep_their_original_times_and_users(engine: Engine, old: Path) -> None:
    done = migrate(engine, old)
    assert (done.files, done.renamed, done.activities, done.formats, done.syncs) == (2, 2, 4, 4, 2)
    assert trail(engine)[:2] == [
        ("52000123", "2024-11-05 09:30:00", "mary", "initial_upload"),
        ("52000123", "2024-11-06 10:00:00", "system", "formatting_complete"),
    ]
    with engine.connect() as connection:
        synced = connection.execute(
            text("select min(synced_at)::date::text from audit.production_sync")
        ).scalar_one()
    assert synced == "2024-11-06"


def test_a_file_is_renamed_after_it_was_entered(engine: Engine, old: Path) -> None:
    migrate(engine, old)
    names = sorted(path.name for path in old.rglob("*") if path.is_file())
    assert names == [MIGRATED, MIGRATED]


def test_running_it_again_adds_nothing(engine: Engine, old: Path) -> None:
    migrate(engine, old)
    before = trail(engine)
    done = migrate(engine, old, again=True)
    assert (done.files, done.renamed, done.activities, done.formats, done.syncs) == (2, 0, 0, 0, 0)
    assert done.known == 10
    assert trail(engine) == before


def test_the_products_folder_itself_will_do(engine: Engine, old: Path) -> None:
    assert migrate(engine, old / "products").renamed == 2


def test_a_dry_run_counts_and_changes_nothing(engine: Engine, old: Path) -> None:
    done = migrate(engine, old, dry_run=True)
    assert (done.files, done.renamed, done.activities) == (2, 0, 4)
    assert trail(engine) == []
    assert [path.name for path in old.rglob("*") if path.is_file()] == [AUDIT_FILE, AUDIT_FILE]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{not json", "Invalid JSON"),
        ('{"upload_history": []}', "product_number: Field required"),
        (
            '{"product_number": "1", "upload_history": [{"timestamp": "once", "action": "x"}]}',
            "upload_history.0.timestamp",
        ),
        (
            '{"product_number": "1", "last_production_sync": "0001-01-01T00:00:00+14:00"}',
            "outside the calendar",
        ),
        ("", "Invalid JSON"),
        ('{"product_number": "1", "last_production_sync": "9999-12-31T23:59:59Z"}', "outside the calendar"),
        ('{"product_number": "1", "last_production_sync": "20251101"}', "written as 2025-11-01T10:00:00Z"),
        ('{"product_number": "1", "last_production_sync": 20251101}', "written as 2025-11-01T10:00:00Z"),
    ],
)
def test_a_bad_file_is_said_and_left_and_its_neighbours_go_on(
    engine: Engine, old: Path, content: str, said: str
) -> None:
    bad = old / "products" / "52000124" / AUDIT_FILE
    bad.write_text(content)
    done = migrate(engine, old)
    assert list(done.bad) == [str(bad)]
    assert said in done.bad[str(bad)]
    assert bad.read_text() == content
    assert {row[0] for row in trail(engine)} == {"52000123"}


def test_a_file_that_a_windows_editor_saved_is_read(engine: Engine, old: Path) -> None:
    path = old / "products" / "52000124" / AUDIT_FILE
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert (migrate(engine, old).renamed, path.exists()) == (2, False)


def test_a_link_is_not_followed(engine: Engine, old: Path, tmp_path: Path) -> None:
    elsewhere = write(tmp_path / "elsewhere", "1")
    link = old / "products" / "52000125" / AUDIT_FILE
    link.parent.mkdir()
    link.symlink_to(elsewhere)
    assert "links are not followed" in migrate(engine, old).bad[str(link)]
    assert elsewhere.exists()


def test_a_product_whose_folder_may_not_be_read_is_said_and_its_neighbours_go_on(
    engine: Engine, old: Path
) -> None:
    with engine.connect():  # a connection that stands; no other user may open one
        pass
    unread = old / "products" / "52000124"
    with closed(unread):
        done = migrate(engine, old)
    assert done.bad == {
        str(
            unread / AUDIT_FILE
        ): f"{unread / AUDIT_FILE} may not be read; give the right to, then run this again."
    }
    assert {row[0] for row in trail(engine)} == {"52000123"}
    with closed(old / "products"), pytest.raises(BadInput, match="products may not be read"):
        migrate(engine, old)
    assert migrate(engine, old).renamed == 1


def test_a_renamed_file_of_an_earlier_migration_is_never_overwritten(engine: Engine, old: Path) -> None:
    earlier = old / "products" / "52000123" / MIGRATED
    earlier.write_text("of an earlier migration")
    migrate(engine, old)
    assert earlier.read_text() == "of an earlier migration"
    assert sorted(path.name for path in earlier.parent.iterdir()) == [".audit.json (2).migrated", MIGRATED]


def test_what_crownpipes_own_migration_entered_wrongly_can_be_read_again(engine: Engine, old: Path) -> None:
    path = old / "products" / "52000123" / AUDIT_FILE
    path.rename(path.with_name(MIGRATED))
    assert migrate(engine, old).files == 1
    assert migrate(engine, old, again=True).activities == 2
    assert trail(engine)[0][1] == "2024-11-05 09:30:00"


# The last thing between the commit and the new name is the rename itself: the process dies there.
_DIES_AT_THE_RENAME = """
import os, signal, sys
from crown_cli.main import cli
sys.addaudithook(lambda event, args: event == "os.rename" and str(args[0]).endswith(".audit.json")
                 and os.kill(os.getpid(), signal.SIGKILL))
cli(["migrate-audit-logs", sys.argv[1], "--apply"])
"""


def test_a_kill_between_commit_and_rename_loses_and_doubles_nothing(
    engine: Engine, database_url: str, old: Path, tmp_path: Path
) -> None:
    environment = {**os.environ, "CROWN_DATABASE_URL": database_url, "CROWN_HOME": str(tmp_path / "home")}
    killed = subprocess.run(
        [sys.executable, "-c", _DIES_AT_THE_RENAME, str(old)],
        cwd=ROOT,
        env=environment,
        timeout=120,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    assert len(trail(engine)) == 2
    assert sorted(path.name for path in old.rglob("*") if path.is_file()) == [AUDIT_FILE, AUDIT_FILE]
    done = migrate(engine, old)
    assert (done.renamed, done.activities, done.known) == (2, 2, 5)
    assert len(trail(engine)) == 4


def test_the_command_answers_in_json_and_says_by_its_exit_code_that_a_file_was_left(
    engine: Engine, database_url: str, old: Path, tmp_path: Path
) -> None:
    (old / "products" / "52000124" / AUDIT_FILE).write_text("{")
    environment = {**os.environ, "CROWN_DATABASE_URL": database_url, "CROWN_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-m", "crown_cli.main", "migrate-audit-logs", str(old), "--apply", "--json"],
        cwd=ROOT, env=environment, timeout=120, check=False, text=True, capture_output=True,
    )  # fmt: skip
    answer = json.loads(done.stdout)
    assert done.returncode == 1, done.stderr
    assert (answer["files"], answer["renamed"], len(answer["bad"])) == (2, 1, 1)
    assert len(trail(engine)) == 2
