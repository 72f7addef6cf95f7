"""One registry says where every department stands; whoever is above knows none by name."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, text

from crown.departments import DEPARTMENTS, database_findings, summaries
from crown.flow.summary import Freshness
from crown.journal.stats import PipelineStats
from crown.settings.model import Settings, load_settings
from crown.store import mounts
from crown_assets.factories import record_run

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 3, 1, tzinfo=UTC)
_UPLOAD = """
insert into product_images.uploads (kind, photo, product_number, file_name, content_hash, size_bytes, uploader, uploaded_at)
values ('original', '1001', '1001', '1001.jpg', 'h', 1, 'eva', now() - interval '40 days')
"""
_ITEMS = """
insert into ledger.recipes (recipe, asset, name, body) values ('r', 'product_images/cutouts', 'studio', '{}');
insert into ledger.items (asset, key, state, waiting_for, waiting_kind, wanted, recipe)
values ('product_images/masters', '1', 'waiting', 'approval', 'gate', 'w', 'r'),
       ('product_images/masters', '2', 'waiting', 'approval', 'gate', 'w', 'r'),
       ('product_images/photos', '1', 'quarantined', null, null, 'w', 'r');
"""


def settings_in(home: Path) -> Settings:
    return load_settings({"CROWN_HOME": str(home)}, None)


def test_departments_are_read_in_the_order_in_which_work_flows() -> None:
    assert [one.name for one in DEPARTMENTS] == [
        "product_images",
        "product_data",
        "art_records",
        "motion_jobs",
        "devices",
        "photo_library",
    ]
    assert all(one.first_step.endswith(".") for one in DEPARTMENTS)


def test_a_summary_counts_what_waits_fails_and_ran_and_dates_its_data(engine: Engine, tmp_path: Path) -> None:
    with engine.begin() as connection:
        connection.execute(text(_ITEMS))
        connection.execute(text(_UPLOAD))
    stats = PipelineStats(total=2, successful=2)
    record_run(engine, "product_images/photos", stats, "run-of-images")
    record_run(engine, "art_records/prints", stats, "run-of-art")
    with engine.connect() as connection:
        found = {one.name: one for one in summaries(connection, settings_in(tmp_path))}
    images = found["product_images"]
    assert list(images.assets) == ["photos", "masters"]
    assert (images.broken, images.totals["waiting"]) == (1, 2)
    assert [(one.asset, one.kind, one.items, one.names) for one in images.waiting] == [
        ("product_images/masters", "gate", 2, ("approval",))
    ]
    assert images.last_run is not None
    assert images.last_run.run_id == "run-of-images"
    assert [(one.asset, one.stale()) for one in images.freshness] == [
        ("product_images/inbox_photos", True),
        ("product_images/production", False),
    ]
    assert found["devices"].assets == {}


def test_doctor_names_failures_and_stale_data_of_every_department(engine: Engine, tmp_path: Path) -> None:
    with engine.begin() as connection:
        connection.execute(text(_ITEMS))
        connection.execute(text(_UPLOAD))
    told = [(one.check, one.verdict, one.what) for one in database_findings(engine, settings_in(tmp_path))]
    assert ("product images", "warn", "1 items failed or need a person") in told
    stale = next(what for _, verdict, what in told if "newest upload" in what and verdict == "warn")
    assert stale.endswith("older than 31 days")


def test_data_is_stale_by_its_own_date_and_its_window() -> None:
    week = timedelta(days=7)
    assert Freshness("a/b", "newest export", NOW - timedelta(days=8), week).stale(NOW)
    assert not Freshness("a/b", "newest export", NOW - timedelta(days=6), week).stale(NOW)
    assert not Freshness("a/b", "newest export", None, week).stale(NOW)


def test_the_disk_of_a_lost_share_is_said_to_be_absent(engine: Engine, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    mounts.require(settings, ("media_root",))
    with engine.connect() as connection:
        there = {one.name: one for one in summaries(connection, settings)[0].disk}
        shutil.rmtree(settings.media)
        gone = {one.name: one for one in summaries(connection, settings)[0].disk}
    assert there["share"].free_bytes is not None
    assert gone["share"].free_bytes is None


def test_console_status_notices_and_doctor_name_no_department() -> None:
    names = "|".join(one.name for one in DEPARTMENTS)
    files = ["console/start.py", "console/health.py", "console/templates/start.html", "sensors/notices.py"]
    files += ["crown_cli/platform/status.py", "console/doctor.py"]
    for file in files:
        source = (ROOT / file).read_text(encoding="utf-8")
        assert re.findall(rf"crown\.({names})|[\"']({names})[/\"']", source) == [], file
