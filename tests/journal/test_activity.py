"""The activity trail: what is recorded comes back, also through the old view, and old audit files join it."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import ProgrammingError

from crown.errors import BadInput
from crown.journal.activity import HUMAN_APPROVED, HUMAN_REJECTED, erase, history, record
from crown.journal.old_audit import Imported, enter, read_audit_file


def test_an_act_is_recorded_with_who_what_old_new_when_and_from_where(engine: Engine) -> None:
    with engine.begin() as connection:
        record(
            connection,
            who="anna",
            what="spec_changed",
            subject="1000x1000_72dpi_jpeg",
            department="product_images",
            via="console",
            old={"dpi": 72},
            new={"dpi": 96},
            run_id="run-1",
            duration_ms=12.6,
            context={"reason": "partner asked"},
        )
        (act,) = history(connection, subject="1000x1000_72dpi_jpeg")
    assert (act.who, act.what, act.department, act.via) == (
        "anna",
        "spec_changed",
        "product_images",
        "console",
    )
    assert (act.old_values, act.new_values, act.run_id, act.duration_ms) == (
        {"dpi": 72},
        {"dpi": 96},
        "run-1",
        13,
    )
    assert act.context == {"reason": "partner asked"}
    assert abs((datetime.now(UTC) - act.at).total_seconds()) < 60


def test_an_act_that_is_undone_is_not_recorded(engine: Engine) -> None:
    with engine.connect() as connection:
        transaction = connection.begin()
        record(connection, who="anna", what="x", subject="s", department="d", via="cli")
        transaction.rollback()
        assert history(connection) == []


def test_history_is_newest_first_and_filtered(engine: Engine) -> None:
    with engine.begin() as connection:
        for who, subject, number in (("anna", "1_2", "1"), ("ben", "1_3", "1"), ("anna", "7", "7")):
            record(
                connection,
                who=who,
                what=HUMAN_REJECTED,
                subject=subject,
                department="product_images",
                via="cli",
                entity=number,
            )
        assert [act.subject for act in history(connection)] == ["7", "1_3", "1_2"]
        assert [act.subject for act in history(connection, entity="1")] == ["1_3", "1_2"]
        assert [act.subject for act in history(connection, who="anna", entity="1")] == ["1_2"]
        assert [act.subject for act in history(connection, limit=1)] == ["7"]


def test_approver_and_reason_stand_in_the_old_audit_table(engine: Engine) -> None:
    """CrownPipe wrote `system` for every approval, and recorded no rejection at all."""
    with engine.begin() as connection:
        for what, details in ((HUMAN_APPROVED, None), (HUMAN_REJECTED, "halo around the flange")):
            record(
                connection,
                who="anna",
                what=what,
                subject="52000123_1",
                department="product_images",
                via="share",
                entity="52000123",
                details=details,
                source_file="52000123_1.png",
                duration_ms=40,
                context={"stage": "cutouts"},
            )
        rows = connection.execute(
            text(
                "select product_number, user_id, action, details, source_file, execution_time_ms, context"
                " from audit.product_audit order by id"
            )
        ).all()
    assert [tuple(row) for row in rows] == [
        ("52000123", "anna", "human_approved", None, "52000123_1.png", 40, {"stage": "cutouts"}),
        (
            "52000123",
            "anna",
            "human_rejected",
            "halo around the flange",
            "52000123_1.png",
            40,
            {"stage": "cutouts"},
        ),
    ]


def test_passwords_in_changed_values_are_hidden_and_odd_characters_stored(engine: Engine) -> None:
    with engine.begin() as connection:
        record(
            connection,
            who="anna",
            what="setting_changed",
            subject="feed \udcff \0",
            department="d",
            via="cli",
            old={"password": "hunter-two"},
            new={"url": "ftp://u:hunter-three@host/"},
        )
        (act,) = history(connection)
    assert act.old_values == {"password": "***"}
    assert act.new_values == {"url": "ftp://u:***@host/"}
    assert act.subject == "feed \\udcff \\x00"


def test_a_persons_text_can_be_erased_and_nothing_else_changed(engine: Engine) -> None:
    with engine.begin() as connection:
        for department in ("art_records", "devices"):
            record(
                connection,
                who="anna",
                what="update",
                subject="editions/1",
                department=department,
                via="cli",
                old={"notes": [{"text": "sold to JANE Example"}]},
                new={"price": 5},
                details="jane example called",
            )
        pattern = re.compile(re.escape("Jane Example"), re.IGNORECASE)
        assert erase(connection, "art_records", pattern, "[erased]") == 1
        other, erased = history(connection)
    assert (erased.old_values, erased.new_values) == ({"notes": [{"text": "sold to [erased]"}]}, {"price": 5})
    assert (erased.details, erased.who, erased.what) == ("[erased] called", "anna", "update")
    assert other.details == "jane example called"
    with engine.connect() as connection, pytest.raises(ProgrammingError, match="append-only"):
        connection.execute(text("update journal.activity set who = 'x'"))


OLD = {
    "product_number": "52000123",
    "upload_history": [
        {
            "timestamp": "2024-03-05T10:20:30.123456Z",
            "user": "anna",
            "action": "initial_upload",
            "details": None,
            "source_file": "52000123.jpg",
        },
        {"timestamp": "2024-03-06T08:00:00Z", "user": "system", "action": "human_approved"},
        {"timestamp": "2024-03-06T08:05:00Z", "user": "system", "action": "formatting_complete"},
    ],
    "formats_generated": ["web/1000x1000_72dpi_jpeg", "print/2500_longest_300dpi_tiff"],
    "last_production_sync": "2024-03-07T00:00:00Z",
}


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    path = tmp_path / ".audit.json"
    path.write_text(json.dumps(OLD, indent=2), encoding="utf-8")
    return path


def test_an_old_audit_file_keeps_its_times_and_users(engine: Engine, old_file: Path) -> None:
    with engine.begin() as connection:
        assert enter(connection, read_audit_file(old_file)) == Imported(3, 2, 1, known=0)
        acts = connection.execute(
            text("select timestamp, user_id, action, source_file from audit.product_audit order by timestamp")
        ).all()
        formats = connection.execute(
            text("select product_number, format_name, generated_at from audit.format_history order by 2")
        ).all()
        syncs = connection.execute(
            text("select product_number, synced_at, files_synced, total_bytes from audit.production_sync")
        ).all()
    assert [tuple(row) for row in acts] == [
        (datetime(2024, 3, 5, 10, 20, 30, 123456, UTC), "anna", "initial_upload", "52000123.jpg"),
        (datetime(2024, 3, 6, 8, 0, tzinfo=UTC), "system", "human_approved", None),
        (datetime(2024, 3, 6, 8, 5, tzinfo=UTC), "system", "formatting_complete", None),
    ]
    completed = datetime(2024, 3, 6, 8, 5, tzinfo=UTC)
    assert [tuple(row) for row in formats] == [
        ("52000123", "print/2500_longest_300dpi_tiff", completed),
        ("52000123", "web/1000x1000_72dpi_jpeg", completed),
    ]
    assert [tuple(row) for row in syncs] == [("52000123", datetime(2024, 3, 7, tzinfo=UTC), 0, 0)]


def test_entering_an_old_audit_file_again_adds_only_what_is_new(engine: Engine, old_file: Path) -> None:
    with engine.begin() as connection:
        enter(connection, read_audit_file(old_file))
        assert enter(connection, read_audit_file(old_file)) == Imported(0, 0, 0, known=6)
        later = {
            **OLD,
            "upload_history": [
                *OLD["upload_history"],  # type: ignore[misc]
                {"timestamp": "2024-04-01T00:00:00Z", "user": "ben", "action": "initial_upload"},
            ],
        }
        old_file.write_text(json.dumps(later), encoding="utf-8")
        assert enter(connection, read_audit_file(old_file)) == Imported(1, 0, 0, known=6)


def test_old_and_own_rows_have_different_ids_in_the_views(engine: Engine, old_file: Path) -> None:
    with engine.begin() as connection:
        enter(connection, read_audit_file(old_file))
        connection.execute(
            text("insert into ledger.recipes (recipe, asset, name, body) values ('r', 'a', 'n', '{}')")
        )
        for asset, key, path in (
            ("product_images/renditions/web", "1/s", "products/1/formats/web/1_s.jpg"),
            ("product_images/production", "1/s", "1/web/1_s.jpg"),
        ):
            connection.execute(
                text(
                    "insert into ledger.outputs (asset, key, fingerprint, content_hash, path, size_bytes, recipe)"
                    " values (:asset, :key, 'f', 'h', :path, 1, 'r')"
                ),
                {"asset": asset, "key": key, "path": path},
            )
        for view, rows in (("audit.format_history", 3), ("audit.production_sync", 2)):
            assert (
                connection.execute(text(f"select count(*) from {view}")).scalar_one(),
                connection.execute(text(f"select count(distinct id) from {view}")).scalar_one(),
            ) == (rows, rows)


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("{", "the file: Invalid JSON"),
        ('{"upload_history": []}', "product_number: Field required"),
        (
            '{"product_number": "1", "upload_history": [{"timestamp": "soon", "action": "x"}]}',
            "upload_history.0.timestamp",
        ),
    ],
)
def test_an_audit_file_that_cannot_be_read_is_named_with_the_place(
    tmp_path: Path, content: str, place: str
) -> None:
    path = tmp_path / ".audit.json"
    path.write_text(content)
    with pytest.raises(BadInput, match=f"{path}: {place}"):
        read_audit_file(path)
