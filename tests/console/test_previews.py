"""The folder of previews: what is in it is shown, what is not is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient


@pytest.fixture
def previews(tmp_path: Path) -> Path:
    folder = tmp_path / "previews"
    (folder / "cutouts").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("secret")
    return folder


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("sheet.png", "image/png"),
        ("sheet.JPG", "image/jpeg"),
        ("sheet.webp", "image/webp"),
        ("sheet.avif", "image/avif"),
        ("sheet.svg", "image/svg+xml"),
        ("proof.mp4", "video/mp4"),
        ("notes.txt", "text/plain; charset=utf-8"),
    ],
)
def test_a_preview_is_served_with_its_type(
    open_console: TestClient, previews: Path, name: str, content_type: str
) -> None:
    (previews / "cutouts" / name).write_bytes(b"bytes")
    answer = open_console.get(f"/previews/cutouts/{name}")
    assert (answer.status_code, answer.content) == (200, b"bytes")
    assert answer.headers["content-type"] == content_type
    assert "content-disposition" not in answer.headers


def test_an_unknown_type_is_a_download(open_console: TestClient, previews: Path) -> None:
    (previews / "page.php").write_bytes(b"<html>")
    answer = open_console.get("/previews/page.php")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment"


@pytest.mark.parametrize("name", ["drawing.svg", "page.html"])
def test_a_drawing_with_script_has_no_rights(open_console: TestClient, previews: Path, name: str) -> None:
    (previews / name).write_text("<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>")
    policy = open_console.get(f"/previews/{name}").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy


def test_a_sheet_made_again_is_seen_at_once_and_an_unchanged_one_is_not_sent_again(
    open_console: TestClient, previews: Path
) -> None:
    sheet = previews / "sheet.png"
    sheet.write_bytes(b"first")
    first = open_console.get("/previews/sheet.png")
    assert first.headers["cache-control"] == "private, no-cache"
    known = {"If-None-Match": first.headers["etag"]}
    assert open_console.get("/previews/sheet.png", headers=known).status_code == 304
    sheet.write_bytes(b"second, and longer")
    assert open_console.get("/previews/sheet.png", headers=known).content == b"second, and longer"


@pytest.mark.parametrize(
    "path",
    [
        "/previews/../secret.txt",
        "/previews/%2e%2e/secret.txt",
        "/previews/cutouts/..%2f..%2fsecret.txt",
        "/previews/cutouts/%2e%2e/%2e%2e/secret.txt",
        "/previews//etc/passwd",
        "/previews/%2fetc/passwd",
        "/previews/..%5csecret.txt",
        "/previews/link.txt",
        "/previews/outside/secret.txt",
        "/previews/.hidden.png",
        "/previews/.folder/sheet.png",
        "/previews/cutouts",
        "/previews/cutouts/",
        "/previews/%00",
        "/previews/" + "a" * 300,
        "/previews/absent.png",
    ],
)
def test_nothing_else_is_served(open_console: TestClient, previews: Path, path: str) -> None:
    (previews / "link.txt").symlink_to(previews.parent / "secret.txt")
    (previews / "outside").symlink_to(previews.parent)
    (previews / ".hidden.png").write_bytes(b"secret")
    (previews / ".folder").mkdir()
    (previews / ".folder" / "sheet.png").write_bytes(b"secret")
    answer = open_console.get(path)
    # A client may resolve `..` itself; such a path leaves /previews and is answered by the Dagster UI.
    assert "secret" not in answer.text
    assert "root:" not in answer.text
    if str(answer.request.url.path).startswith("/previews/"):
        assert answer.status_code == 404


def test_a_folder_that_is_not_there_yet_is_no_error(open_console: TestClient) -> None:
    assert open_console.get("/previews/sheet.png").status_code == 404
