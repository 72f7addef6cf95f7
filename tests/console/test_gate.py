"""Who may ask the console, and who may not."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from console.gate import COOKIE, SESSION_SECONDS, is_session, issue_session
from crown.errors import ConfigurationError

TOKEN = "a-token-for-tests-0123456789"  # of the fixture guarded_console
BEARER = {"Authorization": f"Bearer {TOKEN}"}
QUERY = {"query": "{ version }"}
MUTATION = "mutation { setNuxSeen }"
#: One path of every kind that the console serves.
EVERYTHING = [
    ("GET", "/"),
    ("GET", "/console/"),
    ("GET", "/console/api/openapi.json"),
    ("GET", "/previews/sheet.png"),
    ("GET", "/server_info"),
    ("GET", "/graphql?query={version}"),
    ("POST", "/graphql"),
    ("POST", "/report_asset_materialization/some/asset"),
    ("POST", "/report_asset_check/some/asset"),
    ("POST", "/report_asset_observation/some/asset"),
    ("GET", "/logs/some/run/compute.out"),
    ("GET", "/download_debug/some-run"),
    ("GET", "/no/such/page"),
]


@pytest.mark.parametrize("host", ["192.0.2.7", "::", "crown.example"])
def test_other_addresses_are_refused_without_a_token(console: Callable[..., TestClient], host: str) -> None:
    with pytest.raises(ConfigurationError, match="set CROWN_WEB_TOKEN"):
        console(WEB_HOST=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.0.1"])
def test_this_machine_needs_no_token(console: Callable[..., TestClient], host: str) -> None:
    assert console(WEB_HOST=host).get("/health").json() == {"status": "ok"}


def test_a_token_that_can_be_guessed_is_refused(console: Callable[..., TestClient]) -> None:
    with pytest.raises(ConfigurationError, match="fewer than 16") as refused:
        console(WEB_TOKEN="hunter2")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(("method", "path"), EVERYTHING)
def test_nothing_is_served_before_sign_in(guarded_console: TestClient, method: str, path: str) -> None:
    assert guarded_console.request(method, path).status_code == 401
    wrong = {"Authorization": "Bearer wrong-token-0123456789"}
    assert guarded_console.request(method, path, headers=wrong).status_code == 401


@pytest.mark.parametrize(("method", "path"), EVERYTHING)
def test_the_token_as_bearer_opens_everything(guarded_console: TestClient, method: str, path: str) -> None:
    assert guarded_console.request(method, path, headers=BEARER).status_code not in (401, 403, 421)


def test_a_websocket_opens_with_the_token_only(guarded_console: TestClient) -> None:
    with pytest.raises(WebSocketDisconnect), guarded_console.websocket_connect("/graphql", ["graphql-ws"]):
        pass
    with guarded_console.websocket_connect("/graphql", ["graphql-ws"], headers=BEARER) as socket:
        socket.send_json({"type": "connection_init"})
        assert socket.receive_json() == {"type": "connection_ack"}


def test_a_person_is_sent_to_the_form_and_back_to_the_page(guarded_console: TestClient) -> None:
    sent = guarded_console.get("/runs?view=all", headers={"Accept": "text/html"})
    assert (sent.status_code, sent.headers["location"]) == (303, "/console/sign-in?next=%2Fruns%3Fview%3Dall")
    form = guarded_console.get(sent.headers["location"])
    assert form.status_code == 200
    assert 'value="/runs?view=all"' in form.text
    entered = guarded_console.post("/console/sign-in", data={"token": TOKEN, "next": "/runs?view=all"})
    assert (entered.status_code, entered.headers["location"]) == (303, "/runs?view=all")
    assert guarded_console.get("/runs?view=all", headers={"Accept": "text/html"}).status_code == 200
    guarded_console.post("/console/sign-out")
    assert guarded_console.get("/console/").status_code == 401


def test_the_cookie_is_strict_hidden_from_script_and_no_secret(guarded_console: TestClient) -> None:
    entered = guarded_console.post("/console/sign-in", data={"token": TOKEN})
    cookie = entered.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie


def test_a_wrong_token_shows_the_form_again_and_no_cookie(guarded_console: TestClient) -> None:
    refused = guarded_console.post("/console/sign-in", data={"token": "wrong-token-0123456789"})
    assert refused.status_code == 401
    assert "This is not the token." in refused.text
    assert "set-cookie" not in refused.headers


@pytest.mark.parametrize(
    "foreign", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:1"]
)
def test_sign_in_never_leads_to_another_site(guarded_console: TestClient, foreign: str) -> None:
    entered = guarded_console.post("/console/sign-in", data={"token": TOKEN, "next": foreign})
    assert entered.headers["location"] == "/console/"


def test_a_session_ends_with_its_time_and_with_its_token() -> None:
    now = time.time()
    session = issue_session(TOKEN, now)
    assert is_session(session, TOKEN, now + SESSION_SECONDS - 1)
    assert not is_session(session, TOKEN, now + SESSION_SECONDS + 1)
    assert not is_session(session, "another-token-0123456789", now)
    later = f"{int(now) + 999}.{session.partition('.')[2]}"
    assert not is_session(later, TOKEN, now)
    assert not is_session("", TOKEN, now)
    assert not is_session("é.é", TOKEN, now)


def test_a_forged_cookie_opens_nothing(guarded_console: TestClient) -> None:
    guarded_console.cookies.set(COOKIE, issue_session("another-token-0123456789"))
    assert guarded_console.get("/console/").status_code == 401


@pytest.mark.parametrize("host", ["evil.example", "evil.example:3000", "192.0.2.7", ""])
def test_another_name_for_this_machine_is_not_answered(open_console: TestClient, host: str) -> None:
    """DNS rebinding: a foreign page whose name was pointed at 127.0.0.1."""
    for path in ("/console/", "/server_info", "/health"):
        assert open_console.get(path, headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost:3000", "127.0.0.1", "[::1]:3000"])
def test_names_of_this_machine_are_answered(open_console: TestClient, host: str) -> None:
    assert open_console.get("/server_info", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:8080"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_site_cannot_press_our_buttons(open_console: TestClient, headers: dict[str, str]) -> None:
    posted = open_console.post("/graphql", json=QUERY, headers=headers)
    assert posted.status_code == 403
    with (
        pytest.raises(WebSocketDisconnect),
        open_console.websocket_connect("/graphql", ["graphql-ws"], headers=headers),
    ):
        pass


def test_another_site_cannot_send_a_mutation_as_a_picture(open_console: TestClient) -> None:
    """Dagster executes mutations of GET requests."""
    as_picture = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert open_console.get("/graphql", params={"query": MUTATION}, headers=as_picture).status_code == 403
    followed_link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Accept": "text/html"}
    assert open_console.get("/console/", headers=followed_link).status_code == 200


def test_our_own_pages_may_ask(open_console: TestClient) -> None:
    own = {"Origin": "http://127.0.0.1:3000", "Sec-Fetch-Site": "same-origin"}
    assert open_console.post("/graphql", json=QUERY, headers=own).json()["data"]["version"]


def test_every_answer_carries_security_headers(open_console: TestClient) -> None:
    for path in ("/console/", "/", "/server_info", "/previews/none.png"):
        headers = open_console.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "SAMEORIGIN"
        assert "referrer-policy" in headers
    assert "script-src" in open_console.get("/").headers["content-security-policy"]
    assert "default-src 'self'" in open_console.get("/console/").headers["content-security-policy"]
