"""The share as people have it: through a real Samba server, with two users and the settings of docs/share.md.

Needs `smbd` and `smbclient` of the distribution, and root, for smbd takes on each user's rights. No user or group is
made: two of the system's own users stand for people, under other names.
"""

from __future__ import annotations

import grp
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from PIL import Image
from sqlalchemy import Engine

from crown.product_images.share import intake, review
from crown.product_images.workspace import (
    INBOX,
    READY,
    REVIEW,
    Workspace,
    open_workspace,
)
from crown.settings.model import load_settings
from crown.store import files
from tests.integration.up_process import until
from tests.pictures import draw_part
from tests.product_images.flow import approve, look, run

ROOT = Path(__file__).resolve().parents[2]
#: People, and the system's users that stand for them; every Linux has these.
PEOPLE = {"mary": "daemon", "eva": "bin"}
GROUP = "games"
PASSWORD = "a-password-of-this-test"

pytestmark = [
    pytest.mark.skipif(
        shutil.which("smbd") is None or shutil.which("smbclient") is None,
        reason="no Samba here: install smbd and smbclient (Debian: samba, smbclient)",
    ),
    pytest.mark.skipif(os.geteuid() != 0, reason="smbd takes on its users' rights only as root"),
]


@dataclass(frozen=True)
class Share:
    """A running server; `media` is the folder behind it."""

    port: int
    media: Path

    def command(self, user: str, commands: str) -> list[str]:
        """Smbclient as a person, to run `commands`."""
        service = ["//127.0.0.1/media", "-p", str(self.port), "-U", user, "--password", PASSWORD]
        return ["smbclient", *service, "-t", "20", "-c", commands]

    def run(self, user: str, commands: str) -> str:
        """What smbclient answers; fails the test when a command did."""
        done = subprocess.run(
            self.command(user, commands), text=True, capture_output=True, timeout=60, check=False
        )
        assert "NT_STATUS" not in done.stdout + done.stderr, done.stdout + done.stderr
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def holds_open(self, path: Path) -> bool:
        """Whether the server has this very file open for someone."""
        wanted = path.stat()
        for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
            try:
                found = descriptor.stat()
                owner = (descriptor.parents[1] / "comm").read_text().strip()
            except OSError:
                continue
            if owner.startswith("smbd") and (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                return True
        return False


@pytest.fixture
def base() -> Iterator[Path]:
    """A folder that other users may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="crown-samba-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def workspace(engine: Engine, base: Path) -> Workspace:
    """A workspace whose share is under `base` and whose files belong to the group."""
    settings = {
        "CROWN_HOME": str(base / "home"),
        "CROWN_MEDIA_ROOT": str(base / "media"),
        "CROWN_FILE_GROUP": GROUP,
        "CROWN_WORKERS": "1",
        "CROWN_PRODUCT_IMAGES_STALLED_MINUTES": "5",
        "CROWN_PRODUCT_IMAGES_PRODUCT_NUMBER_PATTERN": ".+",
    }
    media = base / "media"  # a person's work: no root of a share is made by a run
    media.mkdir()
    shutil.chown(media, group=GROUP)
    media.chmod(0o2775)
    return open_workspace(engine, load_settings(settings, env_file=None))


@pytest.fixture
def share(workspace: Workspace, base: Path) -> Iterator[Share]:
    """Smbd on a free port of this machine, with a password file of its own."""
    config, port = _configure(base, workspace.settings.media)
    for user in PEOPLE.values():
        subprocess.run(
            ["pdbedit", "-s", str(config), "-a", "-u", user, "-t"],
            input=f"{PASSWORD}\n{PASSWORD}\n", text=True, capture_output=True, timeout=30, check=True,
        )  # fmt: skip
    with (base / "smbd.out").open("w") as said:
        server = subprocess.Popen(
            ["smbd", "--foreground", "--no-process-group", "-s", str(config), "--debug-stdout"],
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        until(lambda: _answers(port), 30, "an answer of smbd")
        yield Share(port, workspace.settings.media)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)
        with suppress(ProcessLookupError):  # a helper of smbd may not have listened
            os.killpg(server.pid, signal.SIGKILL)


def _configure(base: Path, media: Path) -> tuple[Path, int]:
    page = (ROOT / "docs" / "share.md").read_text("utf-8")
    block = re.search(r"```ini\n(\[media\].*?)```", page, re.DOTALL)
    assert block is not None, "docs/share.md shows no [media] settings"
    ours = block[1].replace("/srv/media", str(media)).replace("marketing", GROUP)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    own = ["private", "lock", "state", "cache", "pid", "ncalrpc"]
    for name in own:
        (base / name).mkdir(mode=0o755)
    (base / "users.map").write_text("".join(f"{unix} = {person}\n" for person, unix in PEOPLE.items()))
    folders = "\n".join(
        f"{name} {'directory' if name in ('lock', 'state', 'cache', 'pid') else 'dir'} = {base / name}"
        for name in own
    )
    config = base / "smb.conf"
    config.write_text(
        "[global]\nserver role = standalone server\nworkgroup = CROWNTEST\ninterfaces = 127.0.0.1/8\n"
        f"bind interfaces only = yes\nsmb ports = {port}\npassdb backend = tdbsam:{base}/private/passdb.tdb\n"
        f"{folders}\nlog file = {base}/smbd.log\nusername map = {base}/users.map\ndisable spoolss = yes\n"
        f"load printers = no\nprinting = bsd\nprintcap name = /dev/null\n{ours}"
    )
    return config, port


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def names(workspace: Workspace, folder: str) -> list[str]:
    return sorted(path.name for path in workspace.media(folder).iterdir())


def waiting(workspace: Workspace, share: Share, tmp_path: Path, name: str = "52000123.jpg") -> None:
    """A photo, dropped by mary, waits in review."""
    draw_part(tmp_path / "part.jpg")
    share.run("mary", f'cd {INBOX}; put {tmp_path / "part.jpg"} "{name}"')
    run(workspace)


def test_a_picture_dropped_by_one_user_and_moved_by_another_is_uploaded_and_approved(
    workspace: Workspace, share: Share, tmp_path: Path
) -> None:
    waiting(workspace, share, tmp_path)
    assert names(workspace, REVIEW) == ["52000123.png"]
    share.run("eva", f"mkdir {READY}/eva; rename {REVIEW}/52000123.png {READY}/eva/52000123.png")
    run(workspace)
    assert (workspace.roots["production"] / "52000123/web/52000123_1000x1000_72dpi_jpeg.jpg").is_file()
    with workspace.engine.connect() as connection:
        who = connection.exec_driver_sql(
            "select uploader, (select who from ledger.decisions) from product_images.uploads"
        ).one()
    assert tuple(who) == (PEOPLE["mary"], "eva")


def test_what_we_write_has_our_mode_and_group_and_both_users_can_read_move_and_delete_it(
    workspace: Workspace, share: Share, tmp_path: Path
) -> None:
    waiting(workspace, share, tmp_path)
    shown = workspace.media(REVIEW) / "52000123.png"
    status = shown.stat()
    assert (stat.S_IMODE(status.st_mode), grp.getgrgid(status.st_gid).gr_name) == (0o664, GROUP)
    for user in PEOPLE:
        share.run(user, f"get {REVIEW}/52000123.png {tmp_path / user}")
        assert files.sha256(tmp_path / user) == files.sha256(shown)
    share.run(
        "mary",
        f"rename {REVIEW}/52000123.png {REVIEW}/moved.png; rename {REVIEW}/moved.png {REVIEW}/again.png",
    )
    share.run("eva", f"del {REVIEW}/again.png")
    assert names(workspace, REVIEW) == []
    approve(workspace)
    run(workspace)
    folder = workspace.media("products/52000123/source")
    assert (stat.S_IMODE(folder.stat().st_mode), grp.getgrgid(folder.stat().st_gid).gr_name) == (
        0o2775,
        GROUP,
    )
    share.run("eva", "rename products/52000123/source/52000123.png products/52000123/source/eva.png")
    share.run("mary", "del products/52000123/source/eva.png")


def test_a_colleague_can_edit_what_we_wrote_in_place(
    workspace: Workspace, share: Share, tmp_path: Path
) -> None:
    waiting(workspace, share, tmp_path)
    with Image.open(workspace.media(REVIEW) / "52000123.png") as opened:
        retouched = opened.copy()
    retouched.putpixel((5, 5), (255, 0, 0, 255))
    retouched.save(tmp_path / "retouched.png")
    share.run("eva", f"put {tmp_path / 'retouched.png'} {REVIEW}/52000123.png")
    run(workspace)
    assert review.cutouts(workspace)[0].content_hash == files.sha256(tmp_path / "retouched.png")


def test_a_copy_that_pauses_half_way_is_neither_taken_nor_refused(
    workspace: Workspace, share: Share, tmp_path: Path
) -> None:
    # The client reads 16 MB ahead before it sends the first of them.
    Image.effect_noise((4200, 3600), 90).convert("RGB").save(tmp_path / "large.tif")
    whole = (tmp_path / "large.tif").read_bytes()
    target = workspace.media(INBOX) / "52000123.tif"
    with subprocess.Popen(
        share.command("mary", f"put - {INBOX}/52000123.tif"), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as copying:
        assert copying.stdin is not None
        copying.stdin.write(whole[: len(whole) * 3 // 4])
        copying.stdin.flush()
        until(lambda: target.exists() and target.stat().st_size > 0, 20, "the first part of the copy")
        look(workspace)
        report = intake.take_in(workspace, settle_seconds=0)
        assert (report.stored, report.refused) == ([], {})
        assert report.stalled == ["52000123.tif"]
        copying.stdin.write(whole[len(whole) * 3 // 4 :])
        copying.stdin.close()
        assert copying.wait(60) == 0
    assert target.read_bytes() == whole
    intake.take_in(workspace, settle_seconds=0)
    assert intake.take_in(workspace, settle_seconds=0).stored == ["52000123.tif"]
    assert workspace.objects.holds(files.sha256(tmp_path / "large.tif"))


def test_a_file_that_a_person_reads_is_replaced_by_a_rename_and_they_keep_the_bytes_they_opened(
    workspace: Workspace, share: Share, tmp_path: Path
) -> None:
    picture = Image.effect_noise((1500, 1500), 90).convert("RGBA")
    picture.save(workspace.media(READY) / "52000123.png")
    run(workspace)
    published = workspace.roots["production"] / "52000123/transparent/52000123_original_300dpi_png.png"
    before = published.read_bytes()
    with subprocess.Popen(
        share.command("eva", f"get {published.relative_to(share.media)} /dev/stdout"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as reading:
        # Nobody empties the pipe: the client stands in the middle, the server has the file open.
        until(lambda: share.holds_open(published), 20, "the file being read")
        picture.putpixel((700, 700), (255, 0, 0, 255))
        picture.save(workspace.media(READY) / "52000123.png")
        run(workspace)
        assert published.read_bytes() != before
        assert reading.stdout is not None
        read = reading.stdout.read()
    assert before in read
    assert names(workspace, READY) == []


def test_a_cut_out_that_a_person_has_open_can_be_decided_and_goes(
    workspace: Workspace, share: Share, tmp_path: Path
) -> None:
    Image.effect_noise((1500, 1500), 90).convert("RGBA").save(workspace.media(REVIEW) / "52000123.png")
    run(workspace)
    shown = workspace.media(REVIEW) / "52000123.png"
    with subprocess.Popen(
        share.command("mary", f"get {REVIEW}/52000123.png /dev/stdout"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as reading:
        until(lambda: share.holds_open(shown), 20, "the file being read")
        approve(workspace)
        run(workspace)
        assert names(workspace, REVIEW) == []
        assert reading.stdout is not None
        assert len(reading.stdout.read()) > 1_000_000


def test_a_rename_that_changes_only_case_is_no_decision(
    workspace: Workspace, share: Share, tmp_path: Path
) -> None:
    waiting(workspace, share, tmp_path)
    share.run("eva", f"rename {REVIEW}/52000123.png {REVIEW}/52000123.PNG")
    assert names(workspace, REVIEW) == ["52000123.PNG"]
    run(workspace)
    assert review.cutouts(workspace)[0].verdict is None
    share.run("eva", f"rename {REVIEW}/52000123.PNG {READY}/52000123.Png")
    run(workspace)
    assert review.cutouts(workspace)[0].verdict == "approve"


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_in_either_form_of_unicode_are_one_photo(
    workspace: Workspace, share: Share, tmp_path: Path, form: Literal["NFC", "NFD"]
) -> None:
    name = unicodedata.normalize(form, "k\u00fchler-1.jpg")
    waiting(workspace, share, tmp_path, name)
    shown = unicodedata.normalize("NFC", "K\u00dcHLER_1.png")
    assert names(workspace, REVIEW) == [shown]
    other = unicodedata.normalize(form, shown)
    share.run("mary", f'rename "{REVIEW}/{shown}" "{READY}/{other}"')
    run(workspace)
    assert review.cutouts(workspace)[0].verdict == "approve"
    assert (workspace.media("products") / "K\u00dcHLER" / "source" / shown).is_file()


def test_our_unfinished_files_do_not_show_and_do_not_keep_a_folder_from_being_removed(
    workspace: Workspace, share: Share
) -> None:
    folder = workspace.media("products") / "52000123"
    files.make_folder(folder, workspace.ownership)
    files.temporary(folder / "a.png").write_bytes(b"unfinished")
    assert ".crown-" not in share.run("eva", "ls products/52000123/*")
    share.run("eva", "rmdir products/52000123")
    assert not folder.exists()


def test_a_droppings_file_of_a_desktop_stays_where_the_desktop_put_it(
    workspace: Workspace, share: Share, tmp_path: Path
) -> None:
    (tmp_path / "x").write_bytes(b"x")
    share.run("mary", f"cd {INBOX}; put {tmp_path / 'x'} Thumbs.db; put {tmp_path / 'x'} ._52000123.jpg")
    look(workspace)
    assert names(workspace, INBOX) == ["._52000123.jpg", "Thumbs.db"]
