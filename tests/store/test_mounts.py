"""Roots of a share: never made, and known to be lost however their mount point looks."""

from __future__ import annotations

from pathlib import Path

import pytest

from crown.errors import SystemicFailure
from crown.settings.model import load_settings
from crown.store import mounts


@pytest.mark.parametrize("root", mounts.ROOTS)
def test_a_root_that_a_setting_names_is_never_made(tmp_path: Path, root: str) -> None:
    settings = load_settings(
        {"CROWN_HOME": str(tmp_path / "home"), mounts.variable(root): str(tmp_path / "share")}, None
    )
    with pytest.raises(SystemicFailure, match=rf"share is not there; mount .* CROWN_{root.upper()}\."):
        mounts.require(settings, (root,))
    assert not (tmp_path / "share").exists()
    (tmp_path / "share").mkdir()
    mounts.require(settings, (root,))
    assert mounts.lost(settings) == {}


@pytest.mark.parametrize("left", ["gone", "bare", "another share"])
def test_a_root_that_was_there_is_lost_when_its_mark_is(tmp_path: Path, left: str) -> None:
    share = tmp_path / "share"
    share.mkdir()
    settings = load_settings({"CROWN_HOME": str(tmp_path / "home"), "CROWN_MEDIA_ROOT": str(share)}, None)
    mounts.require(settings, ("media_root",))
    share.rename(tmp_path / "unmounted")
    if left != "gone":
        share.mkdir()
    if left == "another share":
        (share / "inbox").mkdir()
    said = mounts.lost(settings)["media_root"]
    assert said.startswith(f"The share {share} is gone or another one")
    with pytest.raises(SystemicFailure, match="Mount it"):
        mounts.require(settings, ("media_root",))
    note = tmp_path / "home" / "roots" / "media_root"
    assert str(note) in said
    if left != "gone":
        note.unlink()  # what the sentence says to do when it is meant
        assert mounts.lost(settings) == {}


def test_a_root_that_was_moved_by_its_setting_is_not_lost(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        settings = load_settings(
            {"CROWN_HOME": str(tmp_path / "home"), "CROWN_MEDIA_ROOT": str(tmp_path / name)}, None
        )
        mounts.require(settings, ("media_root",))
    assert mounts.lost(settings) == {}
