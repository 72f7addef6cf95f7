"""What old rehearsals leave in the store is removed, what anything needs is not, and the record stays.

The rehearsals here are rows and bytes as `rehearsal.py` leaves them; one that really cuts out is in
test_rehearsal.py.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from crown.art_records.workspace import kept_objects
from crown.errors import BadInput, Refused, SystemicFailure
from crown.journal import logs, secrets
from crown.ledger import decisions, recipes
from crown.ledger.recipes import Recipe
from crown.ledger.verdicts import Ruling
from crown.product_images import orphans
from crown.product_images.cutout import models as cutout_models
from crown.product_images.gates import CUTOUT_REVIEW
from crown.product_images.orphans import only_rehearsed_at
from crown.product_images.rehearsal import (
    promotion,
)
from crown.product_images.rehearsal import (
    records as rehearsal_records,
)
from crown.product_images.rehearsal import (
    trial as rehearsal,
)
from crown.product_images.rehearsal.records import Rehearsal, Result
from crown.product_images.rehearsal.removal import Removed, remove, remove_old
from crown.product_images.workspace import CUTOUTS, OBJECTS, Workspace
from crown.store import store_lock
from crown_cli.main import cli
from tests.given import known_people

RECIPE = Recipe(CUTOUTS, "cut-out", {"model": "u2netp", "version": 1})


def stored(workspace: Workspace, content: bytes) -> str:
    """Bytes put into the store; their content hash."""
    source = workspace.settings.home / "source"
    source.write_bytes(content)
    return workspace.objects.put(source)[0]


def rehearsed(workspace: Workspace, *contents: bytes, days_ago: float = 0, killed: bool = False) -> Rehearsal:
    """A rehearsal of a photo for each of the contents, and its sheet."""
    photos = [f"5200030{number}" for number in range(len(contents))]
    number = rehearsal_records.begin(workspace, RECIPE, "all", photos, "eva")
    for photo, content in zip(photos, contents, strict=True):
        result = Result(
            photo, "p", "b", stored(workspace, content), len(content), 1.0, {}, {}, difference=0.25
        )
        with workspace.engine.begin() as connection:
            rehearsal_records.remember(connection, number, result)
    if not killed:
        sheet = workspace.settings.home / "previews" / "product_images" / "rehearsals" / f"{number}.webp"
        sheet.parent.mkdir(parents=True, exist_ok=True)
        sheet.write_bytes(b"sheet")
        rehearsal_records.end(workspace, number, f"product_images/rehearsals/{number}.webp")
    aged(workspace, number, days_ago)
    return rehearsal_records.read(workspace, number)


def aged(workspace: Workspace, number: int, days: float) -> None:
    """Let a rehearsal, and the files it wrote, be that old."""
    bound = {"id": number, "age": timedelta(days=days)}
    with workspace.engine.begin() as connection:
        for statement in (
            "update product_images.rehearsals set began_at = began_at - cast(:age as interval),"
            " ended_at = ended_at - cast(:age as interval) where rehearsal_id = :id",
            "update product_images.rehearsal_results set made_at = made_at - cast(:age as interval)"
            " where rehearsal_id = :id",
        ):
            connection.execute(text(statement), bound)
    for result in rehearsal_records.read(workspace, number).results:
        path = workspace.objects.path(result.after_hash or "")
        then = path.stat().st_mtime - days * 86_400
        os.utime(path, (then, then))


def promoted(workspace: Workspace, done: Rehearsal) -> None:
    """Say that the rehearsal's model holds for all photos."""
    with workspace.engine.begin() as connection:
        recipes.register(connection, [RECIPE])
        cutout_models.record(
            connection,
            None,
            verdict="approve",
            model=done.model,
            recipe=done.recipe,
            before="studio",
            who="ute",
            via="cli",
            reason=None,
            rehearsal_id=done.rehearsal_id,
        )


def hashes(done: Rehearsal) -> list[str]:
    return [result.after_hash or "" for result in sorted(done.results, key=lambda one: one.photo)]


def in_store(workspace: Workspace) -> set[str]:
    return {path.name for path in workspace.objects.folder.iterdir()}


def cleared(workspace: Workspace, *numbers: int, **more: Any) -> Removed:
    return remove(workspace, numbers, who="ute", via="cli", **more)


# --- what goes and what stays ----------------------------------------------------------------------------------------


def test_bytes_and_sheet_go_and_the_record_stays(workspace: Workspace) -> None:
    done = rehearsed(workspace, b"one", b"three")
    sheet = workspace.settings.home / "previews" / (done.sheet or "")
    assert cleared(workspace, done.rehearsal_id) == Removed((done.rehearsal_id,), 2, 1, 13, 0, dry_run=False)
    assert (in_store(workspace), sheet.exists()) == (set(), False)
    after = rehearsal_records.read(workspace, done.rehearsal_id)
    assert after.bytes_removed_at is not None
    assert after == replace(
        done, sheet=None, bytes_removed_at=after.bytes_removed_at, bytes_removed_by="ute"
    ), "who, when, which model and every figure"
    assert after.results == done.results
    with workspace.engine.connect() as connection:
        told = connection.execute(
            text("select who, subject from journal.activity where what = 'rehearsal_bytes_removed'")
        ).all()
    assert [tuple(row) for row in told] == [("ute", f"rehearsal {done.rehearsal_id}")]


def test_a_dry_run_says_the_same_and_removes_nothing(workspace: Workspace) -> None:
    done = rehearsed(workspace, b"one", b"three")
    would = cleared(workspace, done.rehearsal_id, dry_run=True)
    assert in_store(workspace) == set(hashes(done))
    assert rehearsal_records.read(workspace, done.rehearsal_id) == done
    assert cleared(workspace, done.rehearsal_id) == replace(would, dry_run=False)


def test_bytes_that_anything_else_names_stay(workspace: Workspace) -> None:
    done = rehearsed(
        workspace, b"in the ledger", b"approved", b"uploaded", b"a retouch's original", b"art", b"none"
    )
    made, approved, uploaded, original, art, passing = hashes(done)
    with workspace.engine.begin() as connection:
        recipes.register(connection, [RECIPE])
        connection.execute(
            text(
                "insert into ledger.outputs (asset, key, fingerprint, content_hash, root, path, recipe, present)"
                " values (:asset, '1', 'f', :hash, :root, :hash, :recipe, false)"
            ),
            {"asset": CUTOUTS, "hash": made, "root": OBJECTS, "recipe": RECIPE.hash},
        )
        decisions.decide(connection, CUTOUT_REVIEW, "52000301", approved, Ruling("approve", "eva", "cli"))
        connection.execute(
            text(
                "insert into product_images.uploads (kind, photo, product_number, file_name, content_hash, size_bytes,"
                " uploader, of_hash) values ('retouch', '1', '1', '1.png', :hash, 1, 'eva', :original)"
            ),
            {"hash": uploaded, "original": original},
        )
    found = cleared(workspace, done.rehearsal_id, others=[art])
    assert (found.cutouts, found.kept) == (1, 5)
    assert in_store(workspace) == {made, approved, uploaded, original, art}
    assert not workspace.objects.holds(passing)


def test_bytes_of_two_rehearsals_stay_until_both_are_removed(workspace: Workspace) -> None:
    first, second = rehearsed(workspace, b"shared", b"first"), rehearsed(workspace, b"shared", b"second")
    assert cleared(workspace, first.rehearsal_id).kept == 1
    assert in_store(workspace) == set(hashes(second))
    assert cleared(workspace, second.rehearsal_id).cutouts == 2
    assert in_store(workspace) == set()


def test_the_rehearsal_in_force_is_left_as_it_is(workspace: Workspace) -> None:
    done = rehearsed(workspace, b"one", days_ago=400)
    promoted(workspace, done)
    with pytest.raises(Refused, match=f"Rehearsal {done.rehearsal_id} is in force"):
        cleared(workspace, done.rehearsal_id)
    assert remove_old(workspace, timedelta(days=90), who="housekeeping", via="run").rehearsals == ()
    assert in_store(workspace) == set(hashes(done))
    assert rehearsal_records.read(workspace, done.rehearsal_id) == done


def test_bytes_that_were_just_put_again_stay_although_no_row_names_them_yet(workspace: Workspace) -> None:
    done = rehearsed(workspace, b"again", b"gone", days_ago=1)
    again = stored(workspace, b"again")
    assert cleared(workspace, done.rehearsal_id).cutouts == 1
    assert in_store(workspace) == {again}
    assert orphans.unknown_objects(workspace) == [again], "listed, as all that no row knows"


def test_a_removal_that_was_cut_short_is_completed_by_the_next(workspace: Workspace) -> None:
    done = rehearsed(workspace, b"one", b"two")
    workspace.objects.path(hashes(done)[0]).unlink()
    (workspace.settings.home / "previews" / (done.sheet or "")).unlink()
    assert cleared(workspace, done.rehearsal_id) == Removed((done.rehearsal_id,), 1, 0, 3, 0, dry_run=False)
    assert in_store(workspace) == set()
    again = cleared(workspace, done.rehearsal_id)
    assert (again.cutouts, again.sheets, again.bytes) == (0, 0, 0)


# --- which rehearsals ------------------------------------------------------------------------------------------------


def test_only_rehearsals_that_ended_long_enough_ago_are_removed_by_age(workspace: Workspace) -> None:
    old = rehearsed(workspace, b"old", days_ago=31)
    killed = rehearsed(workspace, b"killed", days_ago=31, killed=True)
    new = rehearsed(workspace, b"new", days_ago=29)
    month = timedelta(days=30)
    done = remove_old(workspace, month, who="ute", via="cli")
    assert done.rehearsals == (old.rehearsal_id, killed.rehearsal_id)
    assert in_store(workspace) == set(hashes(new))
    assert remove_old(workspace, month, who="ute", via="cli").rehearsals == (), "once is enough"


def test_nothing_is_removed_while_somebody_counts_on_rehearsed_bytes(workspace: Workspace) -> None:
    done = rehearsed(workspace, b"one")
    with store_lock.nothing_removed(workspace.engine), pytest.raises(Refused, match="is under way"):
        cleared(workspace, done.rehearsal_id)
    assert in_store(workspace) == set(hashes(done))
    assert cleared(workspace, done.rehearsal_id).cutouts == 1


def test_a_number_that_is_none_removes_nothing_of_the_others(workspace: Workspace) -> None:
    done = rehearsed(workspace, b"one")
    with pytest.raises(BadInput, match="There is no rehearsal 99"):
        cleared(workspace, done.rehearsal_id, 99)
    assert in_store(workspace) == set(hashes(done))


def test_what_was_removed_is_not_promoted(workspace: Workspace) -> None:
    done = rehearsed(workspace, b"one")
    cleared(workspace, done.rehearsal_id)
    with pytest.raises(
        Refused, match=rf"of rehearsal {done.rehearsal_id} were removed on .* by ute; rehearse again"
    ):
        promotion.promote(workspace, done.rehearsal_id, who="ute", via="cli")


def test_a_file_that_cannot_be_removed_is_named_and_nothing_is_said_to_be_removed(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = rehearsed(workspace, b"one")

    def forbidden(self: Path, **_: bool) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    with monkeypatch.context() as patched:  # the tests may run as root, whom no mode hinders
        patched.setattr(Path, "unlink", forbidden)
        with pytest.raises(SystemicFailure, match=r"cannot be removed \(Permission denied\)"):
            cleared(workspace, done.rehearsal_id)
    assert rehearsal_records.read(workspace, done.rehearsal_id).bytes_removed_at is None


def test_of_a_backup_only_bytes_that_rehearsals_alone_name_are_not_missed(workspace: Workspace) -> None:
    done = rehearsed(workspace, b"needed", b"passing")
    needed, passing = hashes(done)
    with workspace.engine.begin() as connection:
        decisions.decide(connection, CUTOUT_REVIEW, "52000300", needed, Ruling("approve", "eva", "cli"))
    address = workspace.engine.url.render_as_string(hide_password=False)
    assert only_rehearsed_at(address, kept_objects) == {passing}


def test_the_statements_of_rehearsal_and_promotion_hold_on_an_empty_library(workspace: Workspace) -> None:
    with pytest.raises(BadInput, match="There is nothing to rehearse"):
        rehearsal.rehearse(workspace, "studio", rehearsal.Selection(everything=True), who="eva")
    recipe = cutout_models.cutting("studio", None)
    number = rehearsal_records.begin(workspace, recipe, "all", [], "eva")
    rehearsal_records.end(workspace, number, None)
    meant = promotion.promote(workspace, number, who="ute", via="cli")
    assert set(meant.counts().values()) == {0}
    with pytest.raises(Refused, match="is in force"):
        cleared(workspace, number)


# --- the command line ------------------------------------------------------------------------------------------------


@pytest.fixture
def crown(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Run `crown images clear-rehearsals ...`; returns what it answers."""
    known_people(workspace.engine, "ute")
    monkeypatch.chdir(tmp_path)
    world = {
        "CROWN_DATABASE_URL": workspace.engine.url.render_as_string(hide_password=False),
        "CROWN_HOME": str(workspace.settings.home),
    }

    def called(*arguments: str, exit_code: int = 0) -> str:
        done = CliRunner().invoke(cli, ["images", *arguments], env=world)
        assert done.exit_code == exit_code, done.output
        return done.output

    yield called
    logs.close()
    secrets._known.clear()


def test_rehearsals_are_cleared_from_the_command_line(workspace: Workspace, crown: Any) -> None:
    old, new = rehearsed(workspace, b"old", b"old too", days_ago=40), rehearsed(workspace, b"new")
    would = json.loads(crown("clear-rehearsals", "--older-than", "30", "--json"))
    assert would == {
        "rehearsals": [old.rehearsal_id],
        "cutouts": 2,
        "sheets": 1,
        "bytes": 15,
        "kept": 0,
        "dry_run": True,
        "applied": False,
    }
    said = crown("clear-rehearsals", "--older-than", "30", "--apply", "--who", "ute")
    assert (
        f"Rehearsals {old.rehearsal_id}: 2 cut-outs and 1 sheets were removed (15 B); 0 cut-outs stay" in said
    )
    assert "no rehearsal with bytes ended more than 30 days ago" in crown(
        "clear-rehearsals", "--older-than", "30"
    )
    assert "were removed by ute; the figures stay" in crown("rehearsal", str(old.rehearsal_id))
    assert "There is no rehearsal 99" in crown("clear-rehearsals", "99", exit_code=1)
    assert "name rehearsals by number" in crown("clear-rehearsals", exit_code=2)
    assert "name rehearsals by number" in crown("clear-rehearsals", "1", "--older-than", "3", exit_code=2)
    promoted(workspace, new)
    assert "is in force" in crown("clear-rehearsals", str(new.rehearsal_id), exit_code=3)
    assert in_store(workspace) == set(hashes(new))
