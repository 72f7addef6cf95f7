"""The console in a real browser: signing in, the start page, a preview, and the Dagster UI on the same origin."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.integration

TOKEN = "a-token-for-tests-0123456789"
CHROMIUM = next(
    (path for path in (Path("/usr/bin/chromium"), Path("/usr/bin/chromium-browser")) if path.exists()), None
)
_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
#: One red pixel.
_PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc0"
    "000003010100c9fe92ef0000000049454e44ae426082"
)


def _up_process() -> Any:
    path = Path(__file__).with_name("up_process.py")
    specification = importlib.util.spec_from_file_location("up_process", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def page(tmp_path: Path) -> Iterator[tuple[Page, Path]]:
    """A browser page at a running installation with a token, and its home."""
    if CHROMIUM is None:
        pytest.skip("no chromium under /usr/bin: the browser test needs one")
    from playwright.sync_api import sync_playwright

    home = tmp_path / "home"
    up = _up_process().UpProcess(home, WEB_TOKEN=TOKEN)
    try:
        address = up.address()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
            yield browser.new_page(base_url=address, viewport={"width": 1280, "height": 900}), home
            browser.close()
        assert up.end() == 0
        assert up.left() == []
    finally:
        up.close()


def test_a_person_signs_in_sees_where_everything_stands_and_goes_on_to_dagster(
    page: tuple[Page, Path],
) -> None:
    browser, home = page
    asked: list[str] = []
    sockets: list[str] = []
    complaints: list[str] = []
    browser.on("request", lambda request: asked.append(request.url))
    browser.on("websocket", lambda socket: sockets.append(socket.url))
    browser.on("pageerror", lambda error: complaints.append(str(error)))

    browser.goto("/asset-groups")
    browser.get_by_label("Token").fill("not-the-token")
    browser.get_by_role("button", name="Sign in").click()
    assert browser.get_by_role("alert").inner_text() == "This is not the token."
    browser.get_by_label("Token").fill(TOKEN)
    browser.get_by_role("button", name="Sign in").click()
    browser.get_by_text("endless", exact=True).first.wait_for(timeout=60_000)
    assert [url for url in sockets if url.endswith("/graphql")], "the UI's subscriptions run over a websocket"

    browser.goto("/console/")
    assert browser.get_by_role("heading", level=1).inner_text() == "Where everything stands"
    (home / "previews").mkdir()
    (home / "previews" / "sheet.png").write_bytes(_PNG)
    width = browser.evaluate(
        "async () => { const it = new Image(); it.src = '/previews/sheet.png'; await it.decode(); return it.width }"
    )
    assert width == 1

    browser.get_by_role("link", name="Runs").click()
    browser.wait_for_url(re.compile("/runs"))
    browser.goto("/console/")
    browser.get_by_role("button", name="Sign out").click()
    browser.get_by_label("Token").wait_for()

    origin = browser.url.split("/console")[0]
    assert [url for url in asked if not url.startswith((origin, "data:", "blob:"))] == []
    assert complaints == []
