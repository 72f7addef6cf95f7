"""`crown hold` and `crown release` show what they would change, change it with --apply, and `crown status` lists it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine, text

from crown.people import users
from crown_cli.main import cli

_ITEMS = """
insert into ledger.recipes (recipe, asset, name, body) values ('r', 'product_images/cutouts', 'studio', '{}');
insert into ledger.items (asset, key, state, waiting_for, waiting_kind, wanted, recipe)
values ('product_images/cutouts', '52000123', 'pending', null, null, 'w', 'r'),
       ('product_images/cutouts', '52000124', 'failed', null, null, 'w', 'r'),
       ('product_images/cutouts', '70100001', 'pending', null, null, 'w', 'r'),
       ('product_images/masters', '52000123', 'waiting', 'approval', 'gate', 'w', 'r'),
       ('product_images/masters', '52000124', 'waiting', 'product_images/cutouts', 'upstream', 'w', 'r');
"""
WAIT = "the client asks to wait"
Crown = Callable[..., Result]


@pytest.fixture
def crown(engine: Engine, database_url: str, tmp_path: Path) -> Crown:
    with engine.begin() as connection:
        connection.execute(text(_ITEMS))
        users.add(connection, "eva", "operator")
        users.add(connection, "vera", "viewer")
    environment = {"CROWN_DATABASE_URL": database_url, "CROWN_HOME": str(tmp_path)}
    return lambda *arguments: CliRunner().invoke(cli, arguments, env=environment)


def states(engine: Engine) -> dict[str, str]:
    with engine.connect() as connection:
        rows = connection.execute(
            text("select split_part(asset, '/', 2) || ' ' || key, state from ledger.items")
        )
        return dict(rows.tuples().all())


def answer(done: Result) -> Any:
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_a_hold_shows_its_plan_and_changes_nothing_without_apply(crown: Crown, engine: Engine) -> None:
    before = states(engine)
    done = crown("hold", "product_images", "52000*", "--asset", "cutouts", "--reason", WAIT, "--who", "eva")
    assert done.exit_code == 0, done.output
    assert done.output.startswith("Hold 2 items of Product images.")
    assert done.output.endswith("Nothing is changed; --apply does it.\n")
    assert states(engine) == before
    with engine.connect() as connection:
        assert connection.execute(text("select count(*) from ledger.decisions")).scalar_one() == 0


def test_what_is_held_is_listed_with_its_reason_and_released_into_the_state_it_would_have(
    crown: Crown, engine: Engine
) -> None:
    who = ("--who", "eva", "--apply", "--json")
    held = answer(crown("hold", "product_images", "52000123", "--reason", WAIT, *who))
    assert (held["applied"], held["changed"]) == (True, 2)
    other = answer(crown("hold", "product-images", "7*", "--reason", "the part was recalled", *who))
    assert other["changed"] == 1
    status = json.loads(crown("status", "--json").stdout)
    (images,) = (one for one in status["summaries"] if one["name"] == "product_images")
    assert [(one["asset"], one["items"], one["reason"], one["who"]) for one in images["held"]] == [
        ("product_images/cutouts", 1, WAIT, "eva"),
        ("product_images/cutouts", 1, "the part was recalled", "eva"),
        ("product_images/masters", 1, WAIT, "eva"),
    ]
    assert images["totals"]["held"] == 3
    assert [(one["asset"], one["kind"], one["items"]) for one in images["waiting"]] == [
        ("product_images/masters", "upstream", 1)
    ]
    shown = crown("status").output
    assert "Held, until `crown release`" in shown
    assert WAIT in shown
    released = answer(crown("release", "product_images", "*", *who))
    assert [(one["key"], one["reason"]) for one in released["items"]] == [
        ("52000123", WAIT),
        ("70100001", "the part was recalled"),
        ("52000123", WAIT),
    ]
    assert states(engine) == {
        "cutouts 52000123": "pending",
        "cutouts 52000124": "failed",
        "cutouts 70100001": "pending",
        "masters 52000123": "waiting",
        "masters 52000124": "waiting",
    }
    with engine.connect() as connection:
        trail = connection.execute(
            text(
                "select what, subject, entity, who, details, new_values ->> 'asset' as asset from journal.activity"
                " order by activity_id limit 3"
            )
        ).all()
    assert [tuple(row) for row in trail] == [
        ("held", "52000123", "52000123", "eva", WAIT, "product_images/cutouts"),
        ("held", "52000123", "52000123", "eva", WAIT, "product_images/masters"),
        ("held", "70100001", "70100001", "eva", "the part was recalled", "product_images/cutouts"),
    ]


@pytest.mark.parametrize(
    ("arguments", "exit_code", "sentence"),
    [
        (("hold", "images", "*", "--reason", WAIT), 1, "images is no department; choose product_images,"),
        (
            ("hold", "product_images", "9*", "--reason", WAIT),
            1,
            "No item that could be held of product_images",
        ),
        (("release", "product_images", "*"), 1, "No held item of product_images matches *"),
        (
            ("hold", "product_images", "*", "--reason", "wait"),
            1,
            "a reason of at least 10 characters; it has 4.",
        ),
        (("hold", "product_images", "*", "--reason", WAIT, "--who", "vera"), 3, "vera (viewer) may not hold"),
    ],
)
def test_what_cannot_be_held_is_said_in_one_sentence(
    crown: Crown, engine: Engine, arguments: tuple[str, ...], exit_code: int, sentence: str
) -> None:
    before = states(engine)
    done = crown(*arguments, "--apply")
    assert done.exit_code == exit_code
    assert sentence in done.output
    assert states(engine) == before
