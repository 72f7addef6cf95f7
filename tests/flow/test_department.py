"""A department needs a workspace, stages, tasks and messages; everything else is the flow's."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from crown.flow import held_removals, make
from crown.flow.forecast import FileChange, forecast
from crown.flow.verify import verify
from crown.settings.model import load_settings
from tests.flow.letters import FLOW, LETTERS, REMOVALS, Letters


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "letters").mkdir()
    return tmp_path


def letters(engine: Engine, home: Path, *words: str) -> Letters:
    return Letters(engine, load_settings({"CROWN_HOME": str(home)}, None), words)


def there(home: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (home / "letters").iterdir()}


def test_what_is_wanted_is_forecast_made_logged_and_removed_again(engine: Engine, home: Path) -> None:
    both = letters(engine, home, "ann", "bob")
    foretold = forecast(FLOW, both, subject=lambda _: "i.key", files_of=[LETTERS])
    assert foretold.files == [FileChange(LETTERS, "ann", "new"), FileChange(LETTERS, "bob", "new")]
    report = make.make(FLOW, both, [LETTERS], run_id="run-1")
    assert (report.plans[LETTERS].pending, report.pool.made) == (2, 2)
    assert there(home) == {"ann.txt": "Dear ann", "bob.txt": "Dear bob"}
    with engine.connect() as connection:
        trail = connection.execute(
            text("select what, subject, department, entity from journal.activity order by subject")
        ).all()
    assert [tuple(row) for row in trail] == [
        ("letter_written", "ann", "letters", "ann"),
        ("letter_written", "bob", "letters", "bob"),
    ]
    again = make.make(FLOW, letters(engine, home, "bob"), [LETTERS])
    assert (again.pool.made, again.removal.count) == (0, 1)
    assert there(home) == {"bob.txt": "Dear bob"}


def test_removals_above_a_share_wait_for_a_person_and_everything_else_goes_on(
    engine: Engine, home: Path
) -> None:
    words = [f"w{number:02}" for number in range(12)]
    make.make(FLOW, letters(engine, home, *words), [LETTERS])
    fewer = letters(engine, home, *words[3:], "new")
    foretold = forecast(FLOW, fewer, subject=lambda _: "i.key")
    assert [removal.subjects for removal in foretold.held] == [("w00", "w01", "w02")]
    report = make.make(FLOW, fewer, [LETTERS])
    assert (report.pool.made, report.removal.count, len(there(home))) == (1, 0, 13)
    assert [one.sentence for one in report.held] == [
        "3 of the 12 letters in files would be removed (3 files);"
        " nothing is removed until `crown letters confirm --apply`."
    ]
    held_removals.confirm(fewer, REMOVALS, who="eva", via="cli", seen=report.held[0].plan_hash[:12])
    again = make.make(FLOW, fewer, [LETTERS])
    assert (again.held, again.removal.count, len(there(home))) == ([], 3, 10)
    with engine.connect() as connection:
        assert held_removals.standing(connection, REMOVALS) == []


@pytest.mark.parametrize(
    ("only", "made"),
    [
        (make.Only("AN*"), ["ann.txt"]),
        (make.Only(limit=1), ["ann.txt"]),
        (make.Only(limit=0), ["ann.txt", "bob.txt", "cat.txt"]),
        (make.Only("[b-c]*", limit=5), ["bob.txt", "cat.txt"]),
        (make.Only("an"), []),
        (make.Only(recipe={"version": "no such"}), []),
    ],
    ids=str,
)
def test_a_run_makes_only_the_part_of_what_is_due_that_was_chosen(
    engine: Engine, home: Path, only: make.Only, made: list[str]
) -> None:
    report = make.make(FLOW, letters(engine, home, "ann", "bob", "cat"), [LETTERS], only=only)
    assert report.plans[LETTERS].pending == 3, "everything is planned"
    assert sorted(there(home)) == made
    make.make(FLOW, letters(engine, home, "ann", "bob", "cat"), [LETTERS])
    assert sorted(there(home)) == ["ann.txt", "bob.txt", "cat.txt"], "the rest stays due"


def test_a_file_that_a_person_changed_is_kept_when_it_is_no_longer_wanted(engine: Engine, home: Path) -> None:
    make.make(FLOW, letters(engine, home, "ann"), [LETTERS])
    (home / "letters" / "ann.txt").write_text("mine now")
    report = make.make(FLOW, letters(engine, home), [LETTERS])
    assert (report.removal.count, report.removal.kept) == (0, ["ann.txt"])
    assert there(home) == {"ann.txt": "mine now"}


def test_verification_finds_what_is_missing_and_foreign_and_the_next_run_mends_it(
    engine: Engine, home: Path
) -> None:
    both = letters(engine, home, "ann", "bob")
    make.make(FLOW, both, [LETTERS])
    (home / "letters" / "ann.txt").unlink()
    (home / "letters" / "eve.txt").write_text("hello")
    found = verify(both)
    assert (found.missing, found.foreign) == (["letters:ann.txt"], ["letters:eve.txt"])
    assert make.make(FLOW, both, [LETTERS]).pool.made == 1
    assert there(home) == {"ann.txt": "Dear ann", "bob.txt": "Dear bob", "eve.txt": "hello"}


def test_each_department_goes_on_with_its_rotating_check_where_it_ended(engine: Engine, home: Path) -> None:
    both = letters(engine, home, "ann", "bob")
    make.make(FLOW, both, [LETTERS])
    places = [verify(both, byte_budget=1).read_to for _ in range(3)]
    assert places == ["letters:ann.txt", "letters:bob.txt", "letters:ann.txt"]
    with engine.connect() as connection:
        rows = connection.execute(text("select department, path from store.rotating_checks")).all()
    assert [tuple(row) for row in rows] == [("letters", "ann.txt")]
