"""A process that is killed in the middle of a sync leaves the art tables as they were, and its name in the log."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from sqlalchemy import text

from .conftest import ArtTables, edition_row, print_row

PROGRAM = """
import sys
from pathlib import Path
from crown.art_records.history.syncing import sync
from crown.database.engine import connect
from crown.store.objects import Objects
url, file, objects = sys.argv[1:]
sync(connect(url), {"editions": Path(file)}, "incremental", objects=Objects(Path(objects)), who="child", apply=True)
"""


@pytest.mark.crash
def test_a_sync_killed_while_writing_changes_nothing_and_the_next_one_goes_on(
    art_records: ArtTables, database_url: str
) -> None:
    art_records.sync(prints=[print_row(1)], editions=[edition_row(1)])
    before = art_records.state()
    path = art_records.file("editions", [edition_row(1, Size="Small"), edition_row(2)])
    with art_records.engine.begin() as holder:
        # The statistics are written last: whoever waits for this table has written versions and change sets.
        holder.execute(text("lock table art.sync_tables in share mode"))
        child = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, database_url, str(path), str(art_records.objects.folder)],
            start_new_session=True,
        )
        deadline = time.monotonic() + 60
        while not art_records.one(
            "select count(*) from pg_locks where not granted and relation = 'art.sync_tables'::regclass"
        ):
            assert child.poll() is None
            assert time.monotonic() < deadline
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    with art_records.engine.begin() as connection:
        # The server notices the loss when the backend next speaks to its client; do not wait for that.
        connection.execute(text("select pg_terminate_backend(pid) from pg_stat_activity "
                                "where datname = current_database() and pid <> pg_backend_pid()"))  # fmt: skip
    art_records.engine.dispose()
    assert art_records.state() == before
    assert art_records.one("select status from art.syncs order by sync_number desc limit 1") == "running"
    assert art_records.sync(editions=[edition_row(1, Size="Small"), edition_row(2)]).applied
    assert art_records.rows("select status, error_message from art.syncs where sync_number = 2") == [
        ("failed", "the process ended before it was done")]  # fmt: skip
