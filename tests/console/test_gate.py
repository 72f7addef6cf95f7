"""Who may ask the console, and who may not."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from console.gate import WRONG_TOKEN_SECONDS
from console.limits import BODY, BODY_BEFORE_SIGN_IN
from console.sessions import COOKIE, SESSION_SECONDS, Sessions
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


def test_a_session_ends_with_its_time_and_with_its_token(tmp_path: Path) -> None:
    now = time.time()
    sessions = Sessions(TOKEN, tmp_path / "signed_out")
    session = sessions.issue(now)
    assert sessions.is_valid(session, now + SESSION_SECONDS - 1)
    assert not sessions.is_valid(session, now + SESSION_SECONDS + 1)
    assert not Sessions("another-token-0123456789", tmp_path / "signed_out").is_valid(session, now)
    later = f"{int(now) + 999}.{session.partition('.')[2]}"
    assert not sessions.is_valid(later, now)
    assert not sessions.is_valid("", now)
    assert not sessions.is_valid("é.é", now)


def test_signing_out_ends_the_session_for_every_holder_of_its_cookie_and_no_other(
    guarded_console: TestClient, console: Callable[..., TestClient]
) -> None:
    def signed_in() -> dict[str, str]:
        entered = guarded_console.post("/console/sign-in", data={"token": TOKEN})
        guarded_console.cookies.clear()
        return {"Cookie": f"{COOKIE}={entered.cookies[COOKIE]}"}

    mine, stolen_from_mine, other = (first := signed_in()), dict(first), signed_in()
    assert guarded_console.post("/console/sign-out", headers=mine).status_code == 303
    assert guarded_console.get("/console/", headers=stolen_from_mine).status_code == 401
    assert guarded_console.get("/console/", headers=other).status_code == 200
    restarted = console(WEB_TOKEN=TOKEN)
    assert restarted.get("/console/", headers=stolen_from_mine).status_code == 401
    assert restarted.get("/console/", headers=other).status_code == 200


def test_what_would_have_run_out_by_itself_is_not_remembered_for_ever(tmp_path: Path) -> None:
    file = tmp_path / "signed_out"
    sessions = Sessions(TOKEN, file)
    sessions.end(ended := sessions.issue())
    with file.open("a") as more:
        more.write(f"{int(time.time()) - SESSION_SECONDS - 1}.0123456789abcdef\n")
    sessions.forget_old()
    assert file.read_text() == f"{ended.rpartition('.')[0]}\n"
    assert not sessions.is_valid(ended)


def test_a_forged_cookie_opens_nothing(guarded_console: TestClient, tmp_path: Path) -> None:
    forged = Sessions("another-token-0123456789", tmp_path / "none").issue()
    guarded_console.cookies.set(COOKIE, forged)
    assert guarded_console.get("/console/").status_code == 401


@pytest.mark.parametrize("way", ["bearer", "form"])
def test_a_failed_sign_in_is_written_down_without_the_token_and_costs_time(
    guarded_console: TestClient, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    begun = time.monotonic()
    if way == "bearer":
        answer = guarded_console.get(
            "/server_info", headers={"Authorization": "Bearer wrong-0123456789abcdef"}
        )
    else:
        answer = guarded_console.post("/console/sign-in", data={"token": "wrong-0123456789abcdef"})
    assert answer.status_code == 401
    assert time.monotonic() - begun >= WRONG_TOKEN_SECONDS
    assert "A wrong sign-in token came from testclient" in caplog.text
    assert "wrong-0123456789abcdef" not in caplog.text


@pytest.mark.parametrize(
    "headers",
    [
        [("Host", "[::1")],
        [("Host", "127.0.0.1:port")],
        [("Host", "127.0.0.1:3000 x")],
        [("Host", "user@127.0.0.1")],
        [("Host", "127.0.0.1/x")],
        [("Host", "127.0.0.1:3000"), ("Host", "127.0.0.1:3000")],
        [("Host", "127.0.0.1:3000"), ("Host", "evil.example")],
        [("Host", "127.0.0.1:3000"), ("Origin", "http://[::1")],
        [("Host", "127.0.0.1:3000"), ("Origin", "http://[bad]:x/")],
        [("Host", "127.0.0.1:3000"), ("Origin", "not an address")],
        [
            ("Host", "127.0.0.1:3000"),
            ("Origin", "http://127.0.0.1:3000"),
            ("Origin", "http://127.0.0.1:3000"),
        ],
    ],
)
@pytest.mark.parametrize("token", ["", TOKEN])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_malformed_or_doubled_host_or_origin_is_refused_and_breaks_nothing(
    console: Callable[..., TestClient], headers: list[tuple[str, str]], token: str, method: str
) -> None:
    given = [*headers, ("Authorization", f"Bearer {token}")] if token else headers
    client = console(**({"WEB_TOKEN": token} if token else {}))
    answer = client.request(method, "/console/sign-in", headers=given)
    assert answer.status_code == 400
    assert "malformed" in answer.json()["error"]


@pytest.mark.parametrize(
    "path",
    [
        "/logs/..%2f",
        "/logs/..%2f..%2fsecret",
        "/logs/a/..%5cb",
        "/logs/a%00b/c",
        "/logs/alone",
        "/logs/",
        "/x/%1b",
    ],
)
def test_an_odd_path_is_nothing_to_be_found(open_console: TestClient, path: str) -> None:
    assert open_console.get(path).status_code == 404


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


#: What a browser sends with a picture on a page of another site, or of another port of this machine, over plain HTTP.
AS_PICTURE = [
    {},
    {"Referer": "http://evil.example/"},
    {"Referer": "http://127.0.0.1:8080/"},
    {"Origin": "http://127.0.0.1:8080"},
    {"Origin": "null"},
]


@pytest.mark.parametrize("headers", AS_PICTURE)
@pytest.mark.parametrize("path", ["/graphql", "/graphql/"])
@pytest.mark.parametrize("guarded", [False, True])
def test_a_query_in_an_address_needs_a_page_of_ours_or_the_token(
    console: Callable[..., TestClient], headers: dict[str, str], path: str, guarded: bool
) -> None:
    client = console(**({"WEB_TOKEN": TOKEN} if guarded else {}))
    if guarded:
        client.post("/console/sign-in", data={"token": TOKEN})
    asked = client.get(path, params=QUERY, headers=headers)
    assert asked.status_code == 403
    own = client.get("/graphql", params=QUERY, headers={"Referer": "http://127.0.0.1:3000/runs"})
    assert own.json()["data"]["version"]
    if guarded:
        client.cookies.clear()
        assert client.get("/graphql", params=QUERY, headers=BEARER).json()["data"]["version"]


@pytest.mark.parametrize(
    "headers",
    [*AS_PICTURE[:1], BEARER, {"Referer": "http://127.0.0.1:3000/"}, {"Sec-Fetch-Site": "same-origin"}],
)
@pytest.mark.parametrize("mutation", [MUTATION, "query A { version }\nmutation B { setNuxSeen }"])
def test_a_mutation_by_get_is_refused_whoever_sends_it(
    guarded_console: TestClient, headers: dict[str, str], mutation: str
) -> None:
    guarded_console.post("/console/sign-in", data={"token": TOKEN})
    asked = guarded_console.get("/graphql", params={"query": mutation}, headers=headers)
    assert (asked.status_code, asked.headers["allow"]) == (405, "POST")
    twice = guarded_console.get(
        "/graphql", params=[("query", mutation), ("query", "{ version }")], headers=headers
    )
    assert twice.status_code == 405


def test_a_body_before_sign_in_has_a_limit_and_after_it_too(guarded_console: TestClient) -> None:
    large = {"file": ("large.bin", b"x" * (BODY_BEFORE_SIGN_IN + 1))}
    assert guarded_console.post("/console/sign-in", files=large).status_code == 413
    assert guarded_console.post("/graphql", files=large).status_code == 401
    much = b"x" * (BODY + 1)
    assert guarded_console.post("/graphql", content=much, headers=BEARER).status_code == 413
    assert guarded_console.post("/graphql", json=QUERY, headers=BEARER).json()["data"]["version"]


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
