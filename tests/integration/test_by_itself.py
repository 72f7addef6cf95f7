"""With `crown up` running, a picture finds its way to production; nobody clicks, a person only approves."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.integration.up_process import ROOT, UpProcess, until
from tests.pictures import draw_part

pytestmark = pytest.mark.integration

WITHIN_SECONDS = 60


@pytest.fixture
def up(tmp_path: Path):  # type: ignore[no-untyped-def]
    process = UpProcess(tmp_path / "home", module="crown_assets.definitions", folder=ROOT)
    yield process
    process.close()


def test_a_dropped_picture_is_in_review_and_an_approved_one_in_production_within_a_minute(
    up: UpProcess,
) -> None:
    up.address()
    media = up.home / "media"
    until((media / "inbox").is_dir, 60, "the first look at the folders")
    dropped = time.monotonic()
    draw_part(media / "inbox" / "52000123.jpg")
    shown = media / "review" / "bg_removed" / "52000123.png"
    until(shown.exists, WITHIN_SECONDS, "the cut-out in review")
    reviewed = time.monotonic()
    shown.rename(media / "ready_for_formatting" / "52000123.png")
    published = media / "production" / "52000123" / "web" / "52000123_1000x1000_72dpi_jpeg.jpg"
    until(published.exists, WITHIN_SECONDS, "the published picture")
    print(
        f"review after {reviewed - dropped:.0f} s, production after {time.monotonic() - reviewed:.0f} s more"
    )
    assert up.end() == 0
    assert up.left() == []
