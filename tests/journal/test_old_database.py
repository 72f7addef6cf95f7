"""CrownPipe v3's database is taken over with its own times and users, once, and is never changed."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from crown.database.engine import connect
from crown.database.swap import beside
from crown.errors import BadInput, ConfigurationError, Refused
from crown.journal import old_audit
from crown.journal.old_database import Table, address, migrate, read_address

ROOT = Path(__file__).resolve().parents[2]

# CrownPipe v3's schema.sql: facts, in our own words.
_OLD = """
create schema audit; create schema logs;
create table audit.product_audit (id bigserial primary key, product_number varchar(100) not null,
    timestamp timestamptz not null default now(), user_id varchar(100), action varchar(100) not null, details text,
    source_file varchar(255), execution_time_ms integer, context jsonb);
create table audit.format_history (id bigserial primary key, product_number varchar(100) not null,
    format_name varchar(100) not null, generated_at timestamptz not null default now(), file_path text,
    file_size_bytes bigint);
create table audit.production_sync (id bigserial primary key, product_number varchar(100) not null,
    synced_at timestamptz not null default now(), files_synced integer not null, total_bytes bigint not null);
create table logs.pipeline_logs (id bigserial primary key, timestamp timestamptz not null default now(),
    level varchar(20) not null, pipeline varchar(50), module varchar(100) not null, message text not null,
    context jsonb, exception text, user_id varchar(100), execution_time_ms integer);
insert into audit.product_audit (product_number, timestamp, user_id, action, details, source_file) values
    ('52000123', '2025-11-05 09:30:00.123456+00', 'mary', 'initial_upload', null, '52000123.jpg'),
    ('52000123', '2025-11-06 10:00:00+00', null, 'formatting_complete', 'Generated 2 formats', null),
    ('52000123', '2025-11-06 10:00:00+00', null, 'formatting_complete', 'Generated 2 formats', null);
insert into audit.format_history (product_number, format_name, generated_at, file_path, file_size_bytes) values
    ('52000123', 'web/1000x1000_72dpi_jpeg', '2025-11-06 10:00:00+00', 'products/52000123/a.jpg', 1234),
    ('52000123', 'thumbnail/128x128_72dpi_jpeg', '2025-12-01 00:00:00+00', null, null);
insert into audit.production_sync (product_number, synced_at, files_synced, total_bytes) values
    ('52000123', '2025-11-06 10:05:00+00', 5, 99000);
insert into logs.pipeline_logs (timestamp, level, pipeline, module, message, context, user_id, execution_time_ms) values
    (now() - interval '1 day', 'INFO', 'media', 'crownpipe.media.bgremove', 'cut out', '"{\\"number\\": 1}"', 'mary', 12),
    (now() - interval '2 days', 'ERROR', 'data', 'crownpipe.data', 'password=hush no', '{"a": 1}', null, null),
    (now() - interval '100 days', 'INFO', 'media', 'crownpipe.media', 'long ago', null, null, null);
"""


@pytest.fixture
def old_url(server_url: str) -> Iterator[str]:
    """A database as CrownPipe v3 left it."""
    name = f"crown_marketing_{uuid.uuid4().hex[:8]}"
    server = connect(server_url)
    with server.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"create database {name}"))
        url = beside(server_url, name)
        old = connect(url)
        with old.begin() as filling:
            filling.exec_driver_sql(_OLD)
        old.dispose()
        yield url
        connection.execute(text(f"drop database {name} with (force)"))
    server.dispose()


def _figures(tables: list[Table]) -> list[tuple[str, int | None, int, int, int]]:
    return [(one.name, one.rows, one.new, one.known, one.too_old) for one in tables]


def test_the_old_rows_answer_under_the_old_names_with_their_own_times_and_users(
    engine: Engine, old_url: str
) -> None:
    done = migrate(engine, address(old_url, "here"), carry_out=True)
    assert _figures(done) == [
        ("audit.product_audit", 3, 3, 0, 0),
        ("audit.format_history", 2, 2, 0, 0),
        ("audit.production_sync", 1, 1, 0, 0),
        ("logs.pipeline_logs", 3, 2, 0, 1),
    ]
    with engine.connect() as connection:
        acts = connection.execute(
            text(
                "select product_number, to_char(timestamp at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'), user_id,"
                " action, details, source_file from audit.product_audit order by timestamp, id"
            )
        ).all()
        formats = connection.execute(
            text(
                "select format_name, file_path, file_size_bytes from audit.format_history order by generated_at"
            )
        ).all()
        syncs = connection.execute(text("select files_synced, total_bytes from audit.production_sync")).all()
        logs = connection.execute(
            text(
                "select level, pipeline, message, context, user_id, execution_time_ms from logs.pipeline_logs"
                " where module like 'crownpipe%' order by timestamp"
            )
        ).all()
    complete = (
        "52000123",
        "2025-11-06 10:00:00.000000",
        "unknown",
        "formatting_complete",
        "Generated 2 formats",
        None,
    )
    assert [tuple(row) for row in acts] == [
        ("52000123", "2025-11-05 09:30:00.123456", "mary", "initial_upload", None, "52000123.jpg"),
        complete,
        complete,
    ]
    assert [tuple(row) for row in formats] == [
        ("web/1000x1000_72dpi_jpeg", "products/52000123/a.jpg", 1234),
        ("thumbnail/128x128_72dpi_jpeg", None, None),
    ]
    assert [tuple(row) for row in syncs] == [(5, 99000)]
    assert [tuple(row) for row in logs] == [
        ("ERROR", "data", "password=*** no", {"a": 1}, None, None),
        ("INFO", "media", "cut out", {"number": 1}, "mary", 12),
    ]


def test_importing_again_adds_only_what_is_new(engine: Engine, old_url: str) -> None:
    old = address(old_url, "here")
    assert [one.new for one in migrate(engine, old)] == [3, 2, 1, 2]
    assert [one.new for one in migrate(engine, old, carry_out=True)] == [3, 2, 1, 2]
    source = connect(old_url)
    with source.begin() as connection:
        connection.exec_driver_sql(
            "insert into audit.product_audit (product_number, timestamp, user_id, action)"
            " values ('52000124', '2025-12-05 08:00+00', 'ann', 'human_approved')"
        )
    source.dispose()
    assert [one.new for one in migrate(engine, old)] == [1, 0, 0, 0]
    assert [one.new for one in migrate(engine, old, carry_out=True)] == [1, 0, 0, 0]
    assert [one.new for one in migrate(engine, old, carry_out=True)] == [0, 0, 0, 0]


def test_an_act_that_came_from_an_audit_file_is_not_entered_twice(engine: Engine, old_url: str) -> None:
    file = old_audit.AuditFile.model_validate(
        {
            "product_number": "52000123",
            "upload_history": [
                {
                    "timestamp": "2025-11-05T09:30:00.123456Z",
                    "user": "mary",
                    "action": "initial_upload",
                    "source_file": "52000123.jpg",
                }
            ],
            "formats_generated": ["thumbnail/128x128_72dpi_jpeg"],
        }
    )
    with engine.begin() as connection:
        assert old_audit.enter(connection, file).activities == 1
    assert [one.new for one in migrate(engine, address(old_url, "here"), carry_out=True)][:2] == [2, 1]


def test_a_plan_changes_nothing(engine: Engine, old_url: str) -> None:
    migrate(engine, address(old_url, "here"))
    with engine.connect() as connection:
        assert connection.execute(text("select count(*) from journal.activity")).scalar_one() == 0
        assert connection.execute(text("select count(*) from logs.records")).scalar_one() == 0


def test_a_database_that_is_not_crownpipes_is_refused(
    engine: Engine, server_url: str, database_url: str
) -> None:
    with pytest.raises(Refused, match="is a database of Crown's"):
        migrate(engine, address(database_url, "here"))
    with pytest.raises(BadInput, match="none of CrownPipe's tables"):
        migrate(engine, address(beside(server_url, "postgres"), "here"))


def test_the_address_stands_in_a_file_that_others_cannot_read(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.write_text("PG_HOST=db.example\nPG_PORT=5433\nPG_USER=crown_admin\nPG_PASSWORD=hush-hush\n")
    env.chmod(0o644)
    with pytest.raises(ConfigurationError, match="everyone can read it"):
        read_address(env)
    env.chmod(0o600)
    found = read_address(env)
    assert (found.host, found.port, found.database, found.password) == (
        "db.example", 5433, "crown_marketing", "hush-hush",
    )  # fmt: skip
    env.write_text("postgresql://ann:hush-hush@db.example/old\n")
    assert read_address(env).database == "old"
    env.write_text("nothing\n")
    with pytest.raises(ConfigurationError, match="names no database"):
        read_address(env)


def test_the_command_shows_its_plan_and_takes_no_address_as_an_argument(
    database_url: str, old_url: str, tmp_path: Path
) -> None:
    environment = {"PATH": "/usr/bin:/bin", "CROWN_DATABASE_URL": database_url, "CROWN_HOME": str(tmp_path)}

    def crown(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "crown_cli.main", "migrate-v3", *arguments],
            cwd=ROOT, env={**environment, "OLD": old_url}, text=True, capture_output=True, check=False, timeout=120,
        )  # fmt: skip

    refused = crown("--from", "postgresql://ann:hush@db/old")
    assert refused.returncode == ConfigurationError.exit_code
    assert "put it into a file" in refused.stderr
    assert "hush" not in refused.stderr
    plan = crown("--from-env", "OLD")
    assert plan.returncode == 0, plan.stderr
    assert "Nothing was changed; repeat with --apply." in plan.stdout
    assert "CROWN_LOG_RETENTION_DAYS (90)" in plan.stdout
    done = json.loads(crown("--from-env", "OLD", "--apply", "--json").stdout)
    assert [(one["table"], one["entered"]) for one in done["tables"]] == [
        ("audit.product_audit", 3),
        ("audit.format_history", 2),
        ("audit.production_sync", 1),
        ("logs.pipeline_logs", 2),
    ]


def test_rows_are_read_and_entered_in_batches_and_a_second_run_enters_none(
    engine: Engine, old_url: str
) -> None:
    old = connect(old_url)
    with old.begin() as filling:
        filling.execute(
            text(
                "insert into audit.production_sync (product_number, synced_at, files_synced, total_bytes)"
                " select g, timestamptz '2025-01-01 00:00+00' + g * interval '1 minute', 1, g"
                " from generate_series(1, 4499) g"
            )
        )
    old.dispose()
    seen: list[int] = []

    def progress(name: str, rows: int) -> None:
        seen.extend([rows] if name == "audit.production_sync" else [])

    first = migrate(engine, address(old_url, "here"), carry_out=True, progress=progress)
    assert seen == [2000, 4000, 4500]
    assert _figures(first)[2] == ("audit.production_sync", 4500, 4500, 0, 0)
    again = migrate(engine, address(old_url, "here"), carry_out=True)
    assert _figures(again)[2] == ("audit.production_sync", 4500, 0, 4500, 0)
