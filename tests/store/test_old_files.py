"""What runs leave behind is removed by age; what people may still look at, and what is not a run's, stays."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from crown.store.old_files import Removed, remove_old_compute_logs, remove_old_previews

MONTH = timedelta(days=30)


def put(path: Path, days: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"12345")
    moment = time.time() - days * 86_400
    os.utime(path, (moment, moment))
    return path


def test_the_newest_preview_of_each_kind_stays_however_old(tmp_path: Path) -> None:
    asset = tmp_path / "art_records" / "editions"
    gone = [
        put(asset / f"{uuid4()}-sales_by_month.png", 90),
        put(asset / f"{uuid4()}-sales_by_month.png", 80),
    ]
    kept = [
        put(asset / f"{uuid4()}-sales_by_month.png", 70),
        put(asset / f"{uuid4()}-sell_through.png", 90),
        put(tmp_path / "product_images" / "cutouts" / f"{uuid4()}.webp", 400),
        put(asset / "rehearsal.webp", 400),
    ]
    assert remove_old_previews(tmp_path, MONTH, dry_run=True) == Removed(2, 10)
    assert all(path.exists() for path in gone)
    assert remove_old_previews(tmp_path, MONTH) == Removed(2, 10)
    assert [path.exists() for path in (*gone, *kept)] == [False, False, True, True, True, True]


def test_compute_logs_of_old_runs_go_with_their_folder(tmp_path: Path) -> None:
    old, young = tmp_path / str(uuid4()), tmp_path / str(uuid4())
    put(old / "compute_logs" / "step.out", 40)
    put(old / "compute_logs" / "step.err", 40)
    put(young / "compute_logs" / "step.out", 2)
    put(tmp_path / "other" / "step.out", 400)
    assert remove_old_compute_logs(tmp_path, MONTH) == Removed(2, 10)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([young.name, "other"])
    assert remove_old_compute_logs(tmp_path / "never", MONTH) == Removed()
