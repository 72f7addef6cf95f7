"""Users, roles, sessions and tokens: who somebody is, and what they may do."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from crown.errors import BadInput, Refused
from crown.people import credentials, permissions, users

PASSWORD = "correct horse battery"


@pytest.mark.parametrize(
    ("role", "verb", "allowed"),
    [
        ("viewer", "read", True),
        ("viewer", "approve", False),
        ("operator", "read", True),
        ("operator", "approve", True),
        ("operator", "apply_removal", False),
        ("admin", "apply_removal", True),
        ("admin", "read", True),
    ],
)
def test_a_role_may_do_what_it_and_the_lesser_roles_are_granted(
    role: permissions.Role, verb: str, allowed: bool
) -> None:
    assert permissions.may(role, verb, "product_images/cutouts") is allowed


def test_a_misspelt_verb_is_an_error_and_not_simply_forbidden() -> None:
    with pytest.raises(BadInput, match="'aprove' is not a verb"):
        permissions.may("admin", "aprove")


def test_a_grant_on_a_prefix_covers_what_lies_below_it_only() -> None:
    grant = permissions.Grant(stages=("product_images/*",), verbs=("approve",))
    assert grant.covers("approve", "product_images/cutouts")
    assert not grant.covers("approve", "product_images_old/cutouts")
    assert not grant.covers("reject", "product_images/cutouts")


def test_a_refusal_names_the_least_role_that_may(engine: Engine) -> None:
    with engine.begin() as connection:
        vera = users.add(connection, "Vera", "viewer")
        assert vera.name == "vera"
        with pytest.raises(
            Refused,
            match=r"vera \(viewer\) may not approve on product_images/cutouts; the role operator may",
        ):
            vera.require("approve", "product_images/cutouts")


def test_a_password_signs_in_its_user_and_nobody_else(engine: Engine) -> None:
    with engine.begin() as connection:
        users.add(connection, "eva", "operator", password=PASSWORD)
        users.add(connection, "ute", "operator")
        found = users.verify_password(connection, " EVA ", PASSWORD)
        assert found is not None
        assert (found.name, found.role) == ("eva", "operator")
        assert users.verify_password(connection, "eva", PASSWORD + ".") is None
        assert users.verify_password(connection, "ute", PASSWORD) is None
        assert users.verify_password(connection, "nobody", PASSWORD) is None
        stored = connection.execute(text("select password_hash from people.users where name = 'eva'"))
        assert stored.scalar_one().startswith("$argon2id$")


@pytest.mark.parametrize("name", ["", "a b", "évà", "x" * 65, "-eva", "eva\x1b[2J"])
def test_a_name_that_cannot_be_typed_or_shown_is_refused(engine: Engine, name: str) -> None:
    with engine.begin() as connection, pytest.raises(BadInput, match="cannot be a user's name"):
        users.add(connection, name, "viewer")


def test_a_short_password_and_a_taken_name_are_refused(engine: Engine) -> None:
    with engine.begin() as connection:
        with pytest.raises(BadInput, match="15 characters or more"):
            users.add(connection, "eva", "admin", password="short")
        users.add(connection, "eva", "admin")
        with pytest.raises(Refused, match="eva is a user already"):
            users.add(connection, "EVA", "viewer")


def test_the_last_administrator_can_be_neither_disabled_nor_lowered(engine: Engine) -> None:
    with engine.begin() as connection:
        users.add(connection, "eva", "admin")
        users.add(connection, "ute", "operator")
        with pytest.raises(Refused, match="eva is the last administrator"):
            users.change(connection, "eva", disabled=True)
        with pytest.raises(Refused, match="eva is the last administrator"):
            users.change(connection, "eva", role="operator")
        users.change(connection, "ute", role="admin")
        assert users.change(connection, "eva", disabled=True).disabled_at is not None
        assert users.change(connection, "eva", disabled=False).disabled_at is None


def test_a_session_lives_until_it_is_ended_on_the_server(engine: Engine) -> None:
    with engine.begin() as connection:
        eva = users.add(connection, "eva", "operator", password=PASSWORD)
        given = credentials.start_session(connection, eva, client="browser")
        assert credentials.session_user(connection, given) == eva
        assert credentials.session_user(connection, given[:-1]) is None
        assert credentials.end_session(connection, given)
        assert credentials.session_user(connection, given) is None
        assert not credentials.end_session(connection, given)
        stored = connection.execute(text("select token_hash from people.sessions")).scalar_one()
        assert given not in stored


@pytest.mark.parametrize("change", [{"password": PASSWORD + " new"}, {"disabled": True}])
def test_a_new_password_and_disabling_end_every_session(engine: Engine, change: dict[str, object]) -> None:
    with engine.begin() as connection:
        eva = users.add(connection, "eva", "operator", password=PASSWORD)
        given = credentials.start_session(connection, eva)
        users.change(connection, "eva", **change)  # type: ignore[arg-type]
        assert credentials.session_user(connection, given) is None


def test_a_token_may_do_the_lesser_of_its_own_role_and_its_users(engine: Engine) -> None:
    with engine.begin() as connection:
        users.add(connection, "ada", "admin")
        eva = users.add(connection, "eva", "operator")
        with pytest.raises(BadInput, match="a token cannot be admin"):
            credentials.make_token(connection, eva, "feed", "admin")
        given = credentials.make_token(connection, eva, "feed", "operator")
        assert given.startswith("crown_")
        found = credentials.token_user(connection, given)
        assert found is not None
        assert (found.name, found.role) == ("eva", "operator")
        users.change(connection, "eva", role="viewer")
        lowered = credentials.token_user(connection, given)
        assert lowered is not None
        assert lowered.role == "viewer"
        (listed,) = credentials.tokens(connection, "eva")
        assert listed.last_used_at is not None
        credentials.revoke_token(connection, listed.token_id)
        assert credentials.token_user(connection, given) is None
        with pytest.raises(BadInput, match="revoked already"):
            credentials.revoke_token(connection, listed.token_id)


def test_a_token_and_a_session_run_out(engine: Engine) -> None:
    with engine.begin() as connection:
        eva = users.add(connection, "eva", "operator")
        token = credentials.make_token(connection, eva, "feed", "viewer", lasts=timedelta(seconds=-1))
        assert credentials.token_user(connection, token) is None
        session = credentials.start_session(connection, eva)
        connection.execute(
            text("update people.sessions set expires_at = clock_timestamp() - interval '2 days'")
        )
        assert credentials.session_user(connection, session) is None
        assert credentials.prune(connection, timedelta(days=1)) == 1
        assert credentials.prune(connection, timedelta(days=1)) == 0


def test_the_user_of_a_command_is_known_from_the_first_one_on(engine: Engine) -> None:
    with engine.begin() as connection:
        first = users.operating_system_user(connection, "Root")
        assert (first.name, first.display_name, first.role) == ("root", "Root", "admin")
        users.add(connection, "ada", "admin")
        users.change(connection, "root", role="operator")
        assert users.operating_system_user(connection, "root").role == "operator"
        with pytest.raises(BadInput, match="crown people add mallory"):
            users.get(connection, "mallory")
