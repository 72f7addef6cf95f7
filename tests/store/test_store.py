"""What the store promises of files, one promise a test."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from crown.errors import BadInput, PermanentFailure, SystemicFailure
from crown.store import files, watch
from crown.store.files import Ownership
from crown.store.objects import Objects
from crown.store.roots import Roots, comparable

OURS = Ownership(0o664, 0o2775)


@pytest.mark.parametrize("relative", ["../x", "a/../../x", "/etc/passwd", "", "a\x00b"])
def test_a_path_never_leaves_its_root(tmp_path: Path, relative: str) -> None:
    with pytest.raises(BadInput, match="inside the folder"):
        Roots({"media": tmp_path}).path("media", relative)


def test_a_link_is_never_followed_out_of_the_root(tmp_path: Path) -> None:
    (tmp_path / "inbox").symlink_to("/etc")
    with pytest.raises(BadInput, match="symbolic link"):
        Roots({"media": tmp_path}).path("media", "inbox/passwd")


def test_a_share_that_is_not_mounted_is_not_an_empty_share(tmp_path: Path) -> None:
    with pytest.raises(SystemicFailure, match="mount the share"):
        Roots({"media": tmp_path / "gone"}).require("media")


def test_names_are_compared_in_one_form_and_without_case() -> None:
    assert comparable("Cafe\u0301.JPG") == comparable("CAF\u00c9.jpg")


def test_what_we_write_can_be_read_by_colleagues(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"x")
    files.make_folder(tmp_path / "share" / "deep", OURS)
    unfinished = files.temporary(tmp_path / "share" / "deep" / "a.png")
    files.copy(tmp_path / "source", unfinished, OURS)
    files.publish(unfinished, tmp_path / "share" / "deep" / "a.png", frozenset())
    assert stat.S_IMODE((tmp_path / "share" / "deep" / "a.png").stat().st_mode) == 0o664
    assert stat.S_IMODE((tmp_path / "share").stat().st_mode) == 0o2775


def test_a_persons_file_is_never_replaced(tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    target.write_bytes(b"theirs")
    unfinished = files.temporary(target)
    unfinished.write_bytes(b"ours")
    with pytest.raises(PermanentFailure, match="left alone"):
        files.publish(unfinished, target, frozenset())
    assert target.read_bytes() == b"theirs"
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_only_bytes_that_we_wrote_are_replaced_or_removed(tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    target.write_bytes(b"one")
    one = files.sha256(target)
    unfinished = files.temporary(target)
    unfinished.write_bytes(b"two")
    files.publish(unfinished, target, frozenset({one}))
    assert target.read_bytes() == b"two"
    assert not files.remove_ours(target, frozenset({one}))
    assert files.remove_ours(target, frozenset({files.sha256(target)}))


def test_a_full_disk_is_the_disks_fault_and_not_the_files(tmp_path: Path) -> None:
    with (
        pytest.raises(SystemicFailure, match="No space left on device"),
        files.systemic_errors("Copying"),
        Path("/dev/full").open("wb", buffering=0) as stream,
    ):
        stream.write(b"x")


def test_an_original_is_stored_once_and_verified(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"picture")
    objects = Objects(tmp_path / "objects")
    content_hash, size = objects.put(tmp_path / "photo.jpg")
    assert (objects.path(content_hash).read_bytes(), size) == (b"picture", 7)
    assert objects.put(tmp_path / "photo.jpg") == (content_hash, 7)
    assert [p.name for p in objects.folder.iterdir()] == [content_hash]


def test_an_object_goes_unless_its_bytes_were_put_again_meanwhile(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"x")
    store = Objects(tmp_path / "objects")
    content_hash, _ = store.put(tmp_path / "source")
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    for again in (False, True):
        os.utime(store.path(content_hash), (0, moment.timestamp() - 1))
        if again:
            store.put(tmp_path / "source")
        assert store.remove(content_hash, unless_put_after=moment) is not again
        assert [path.name for path in store.folder.iterdir()] == ([content_hash] if again else [])
        store.put(tmp_path / "source")
    store.path(content_hash).unlink()
    assert not store.remove(content_hash, unless_put_after=moment)


def test_a_damaged_object_is_stored_anew(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"picture")
    objects = Objects(tmp_path / "objects")
    content_hash, _ = objects.put(tmp_path / "photo.jpg")
    objects.path(content_hash).write_bytes(b"rotten")
    assert not objects.holds(content_hash)
    objects.put(tmp_path / "photo.jpg")
    assert objects.holds(content_hash)


@pytest.mark.parametrize(
    "name", [".DS_Store", "Thumbs.db", "THUMBS.DB", "._a.jpg", "~$a.psd", "a.jpg.part", "a.tmp"]
)
def test_droppings_of_desktops_are_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    (tmp_path / "a.jpg").touch()
    assert [path for path, _ in watch.listing(tmp_path)] == ["a.jpg"]


def test_a_file_is_complete_when_two_looks_apart_found_it_the_same(tmp_path: Path, engine: Engine) -> None:
    (tmp_path / "a.jpg").write_bytes(b"half")

    def complete(settle: float = 0) -> list[bool]:
        found = watch.look(engine, "media", watch.listing(tmp_path), "inbox/", settle_seconds=settle)
        return [sighting.complete for sighting in found]

    assert complete() == [False]
    assert complete(settle=3600) == [False]
    assert complete() == [True]
    (tmp_path / "a.jpg").write_bytes(b"whole!")
    assert complete() == [False]
    os.utime(tmp_path / "a.jpg", (1, 1))
    assert complete() == [False]
    assert complete() == [True]


def test_a_file_that_is_gone_is_forgotten(tmp_path: Path, engine: Engine) -> None:
    (tmp_path / "a.jpg").touch()
    watch.look(engine, "media", watch.listing(tmp_path), "inbox/")
    (tmp_path / "a.jpg").unlink()
    assert watch.look(engine, "media", watch.listing(tmp_path), "inbox/") == []
    with engine.connect() as connection:
        assert connection.execute(text("select count(*) from store.sightings")).scalar_one() == 0


@pytest.mark.parametrize("year", [1900, 2300, 2400])
def test_a_file_dated_out_of_all_reason_is_seen_beside_its_neighbours(
    tmp_path: Path, engine: Engine, year: int
) -> None:
    seconds = int(datetime(year, 1, 1, tzinfo=UTC).timestamp())
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"x")
    os.utime(tmp_path / "a.jpg", (seconds, seconds))
    for complete in (False, True):
        found = watch.look(engine, "media", watch.listing(tmp_path), "inbox/", settle_seconds=0)
        assert {one.path: one.complete for one in found} == {
            "inbox/a.jpg": complete,
            "inbox/b.jpg": complete,
        }


def test_a_folder_that_is_renamed_during_the_look_does_not_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "box").mkdir()
    (tmp_path / "z.jpg").write_bytes(b"x")
    scan = os.scandir

    def renamed_just_before(path: Path) -> object:
        if Path(path).name == "box":
            Path(path).rename(tmp_path / "done")
        return scan(path)

    monkeypatch.setattr(os, "scandir", renamed_just_before)
    assert [name for name, _ in watch.listing(tmp_path, depth=1)] == ["z.jpg"]
    with pytest.raises(FileNotFoundError):
        watch.listing(tmp_path / "lost")
