"""The console in a real browser: signing in, the start page, a preview, and the Dagster UI on the same origin."""

from __future__ import annotations

import importlib.util
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page, Response

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
    # A name that the browser does not trust: without TLS it leaves Sec-Fetch-Site out for it.
    "--host-resolver-rules=MAP crown.test 127.0.0.1, MAP evil.test 127.0.0.1",
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


#: What a page of another site tries with the browser of a person who is signed in.
_FORGING = """
<!doctype html><meta name="referrer" content="{policy}"><body><script>
const at = "{console}/graphql?query=", change = encodeURIComponent(`{mutation}`), read = encodeURIComponent("{{ version }}");
const tag = (name, more) => Object.assign(document.createElement(name), more);
const tried = [change, read].flatMap(query => [
  new Promise(done => document.body.append(tag("img", {{src: at + query + "&by=img", onerror: done, onload: done}}))),
  new Promise(done => document.body.append(tag("script", {{src: at + query + "&by=script", onerror: done, onload: done}}))),
  new Promise(done => document.body.append(tag("iframe", {{src: at + query + "&by=frame", onload: done}}))),
  fetch(at + query + "&by=plain", {{mode: "no-cors", credentials: "include"}}).catch(() => 0),
  fetch(at + query + "&by=cors", {{credentials: "include"}}).catch(() => 0),
  fetch(at + query + "&by=post", {{method: "POST", mode: "no-cors", credentials: "include"}}).catch(() => 0),
]);
Promise.all(tried).then(() => document.title = "tried");
</script>
"""
_LIMITS = "{ instance { concurrencyLimits { concurrencyKey } } }"


@contextmanager
def _serving(documents: dict[str, str]) -> Iterator[int]:
    """Another web server of this machine, with these documents by path; its port."""

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(documents.get(self.path, "").encode())

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_no_page_of_another_port_or_site_runs_anything_with_a_persons_session(
    page: tuple[Page, Path],
) -> None:
    browser, _ = page
    browser.goto("/console/sign-in")
    base = browser.url.partition("/console")[0].replace("127.0.0.1", "crown.test")
    browser.goto(f"{base}/console/sign-in")
    browser.get_by_label("Token").fill(TOKEN)
    browser.get_by_role("button", name="Sign in").click()
    browser.wait_for_url(f"{base}/console/")
    mutation = 'mutation {{ setConcurrencyLimit(concurrencyKey: "{}", limit: 7) }}'
    asked: list[str] = []
    statuses: dict[str, set[int]] = {"crown.test": set(), "evil.test": set()}

    def heard(response: Response) -> None:
        if "/graphql?" in response.url:
            statuses[browser.url.split("/")[2].split(":")[0]].add(response.status)

    browser.on("request", lambda request: asked.append(request.url) if "/graphql?" in request.url else None)
    browser.on("response", heard)
    forged = {
        f"/{policy}": _FORGING.format(policy=policy, console=base, mutation=mutation.format("forged"))
        for policy in ("no-referrer", "unsafe-url")
    }
    with _serving(forged) as port:
        for site in ("crown.test", "evil.test"):
            for path in forged:
                browser.goto(f"http://{site}:{port}{path}")
                browser.wait_for_function("document.title == 'tried'")
    ways = {way for url in asked for way in re.findall("by=([a-z]+)", url)}
    assert ways == {"img", "script", "frame", "plain", "cors", "post"}
    assert len(asked) >= 2 * 2 * 2 * len(ways)
    # The browser shows the answers to frames only. The same site on another port carries the cookie: refused all the
    # same, and not for want of a sign-in.
    assert statuses["crown.test"] == {403, 405}
    assert statuses["evil.test"] <= {303, 401, 403, 405, 200}

    browser.goto(f"{base}/console/")
    ask = """async query => (await (await fetch("/graphql", {method: "POST", headers: {"Content-Type": "application/json"},
        body: JSON.stringify({query})})).json()).data"""
    assert browser.evaluate(ask, _LIMITS) == {"instance": {"concurrencyLimits": []}}
    browser.evaluate(ask, mutation.format("own"))
    assert browser.evaluate(ask, _LIMITS) == {"instance": {"concurrencyLimits": [{"concurrencyKey": "own"}]}}


def test_a_person_signs_in_sees_the_overview_and_goes_on_to_dagster(
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
    assert browser.get_by_role("heading", level=1).inner_text() == "Overview"
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
