"""What old rehearsals leave in the store is removed, what anything needs is not, and the record stays.

The rehearsals here are rows and bytes as `rehearsal.py` leaves them; one that really cuts out stands in
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

from crown.errors import BadInput, Refused, SystemicFailure
from crown.journal import logs, secrets
from crown.ledger import decisions, recipes
from crown.ledger.recipes import Recipe
from crown.product_images import cutout_models, orphans, promotion, rehearsal, rehearsal_records
from crown.product_images.rehearsal_records import Rehearsal, Result
from crown.product_images.rehearsal_removal import Removed, remove, remove_old
from crown.product_images.room import CUTOUTS, OBJECTS, Room
from crown.store import keeping
from crown_cli import backup
from crown_cli.main import cli

RECIPE = Recipe(CUTOUTS, "cut-out", {"model": "u2netp", "version": 1})


def stored(room: Room, content: bytes) -> str:
    """Bytes put into the store; their content hash."""
    source = room.settings.home / "source"
    source.write_bytes(content)
    return room.objects.put(source)[0]


def rehearsed(room: Room, *contents: bytes, days_ago: float = 0, killed: bool = False) -> Rehearsal:
    """A rehearsal of a photo for each of the contents, and its sheet."""
    photos = [f"5200030{number}" for number in range(len(contents))]
    number = rehearsal_records.begin(room, RECIPE, "all", photos, "eva")
    for photo, content in zip(photos, contents, strict=True):
        result = Result(photo, "p", "b", stored(room, content), len(content), 1.0, {}, {}, difference=0.25)
        with room.engine.begin() as connection:
            rehearsal_records.remember(connection, number, result)
    if not killed:
        sheet = room.settings.home / "previews" / "product_images" / "rehearsals" / f"{number}.webp"
        sheet.parent.mkdir(parents=True, exist_ok=True)
        sheet.write_bytes(b"sheet")
        rehearsal_records.end(room, number, f"product_images/rehearsals/{number}.webp")
    aged(room, number, days_ago)
    return rehearsal_records.read(room, number)


def aged(room: Room, number: int, days: float) -> None:
    """Let a rehearsal, and the files it wrote, be that old."""
    bound = {"id": number, "age": timedelta(days=days)}
    with room.engine.begin() as connection:
        for statement in (
            "update product_images.rehearsals set began_at = began_at - cast(:age as interval),"
            " ended_at = ended_at - cast(:age as interval) where rehearsal_id = :id",
            "update product_images.rehearsal_results set made_at = made_at - cast(:age as interval)"
            " where rehearsal_id = :id",
        ):
            connection.execute(text(statement), bound)
    for result in rehearsal_records.read(room, number).results:
        path = room.objects.path(result.after_hash or "")
        then = path.stat().st_mtime - days * 86_400
        os.utime(path, (then, then))


def promoted(room: Room, done: Rehearsal) -> None:
    """Say that the rehearsal's model holds for all photos."""
    with room.engine.begin() as connection:
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


def in_store(room: Room) -> set[str]:
    return {path.name for path in room.objects.folder.iterdir()}


def cleared(room: Room, *numbers: int, **more: Any) -> Removed:
    return remove(room, numbers, who="ute", via="cli", **more)


# --- what goes and what stays ----------------------------------------------------------------------------------------


def test_bytes_and_sheet_go_and_the_record_stays(room: Room) -> None:
    done = rehearsed(room, b"one", b"three")
    sheet = room.settings.home / "previews" / (done.sheet or "")
    assert cleared(room, done.rehearsal_id) == Removed((done.rehearsal_id,), 2, 1, 13, 0, dry_run=False)
    assert (in_store(room), sheet.exists()) == (set(), False)
    after = rehearsal_records.read(room, done.rehearsal_id)
    assert after.bytes_removed_at is not None
    assert after == replace(
        done, sheet=None, bytes_removed_at=after.bytes_removed_at, bytes_removed_by="ute"
    ), "who, when, which model and every figure"
    assert after.results == done.results
    with room.engine.connect() as connection:
        told = connection.execute(
            text("select who, subject from journal.activity where what = 'rehearsal_bytes_removed'")
        ).all()
    assert [tuple(row) for row in told] == [("ute", f"rehearsal {done.rehearsal_id}")]


def test_a_dry_run_says_the_same_and_removes_nothing(room: Room) -> None:
    done = rehearsed(room, b"one", b"three")
    would = cleared(room, done.rehearsal_id, dry_run=True)
    assert in_store(room) == set(hashes(done))
    assert rehearsal_records.read(room, done.rehearsal_id) == done
    assert cleared(room, done.rehearsal_id) == replace(would, dry_run=False)


def test_bytes_that_anything_else_names_stay(room: Room) -> None:
    done = rehearsed(
        room, b"in the ledger", b"approved", b"uploaded", b"a retouch's original", b"art", b"none"
    )
    made, approved, uploaded, original, art, passing = hashes(done)
    with room.engine.begin() as connection:
        recipes.register(connection, [RECIPE])
        connection.execute(
            text(
                "insert into ledger.makings (asset, key, fingerprint, content_hash, root, path, recipe, present)"
                " values (:asset, '1', 'f', :hash, :root, :hash, :recipe, false)"
            ),
            {"asset": CUTOUTS, "hash": made, "root": OBJECTS, "recipe": RECIPE.hash},
        )
        decisions.decide(
            connection,
            stage=CUTOUTS,
            subject="52000301",
            content_hash=approved,
            verdict="approve",
            who="eva",
            via="cli",
        )
        connection.execute(
            text(
                "insert into product_images.uploads (kind, photo, product_number, file_name, content_hash, size_bytes,"
                " uploader, of_hash) values ('retouch', '1', '1', '1.png', :hash, 1, 'eva', :original)"
            ),
            {"hash": uploaded, "original": original},
        )
    found = cleared(room, done.rehearsal_id, others=[art])
    assert (found.cutouts, found.kept) == (1, 5)
    assert in_store(room) == {made, approved, uploaded, original, art}
    assert not room.objects.holds(passing)


def test_bytes_of_two_rehearsals_stay_until_both_are_removed(room: Room) -> None:
    first, second = rehearsed(room, b"shared", b"first"), rehearsed(room, b"shared", b"second")
    assert cleared(room, first.rehearsal_id).kept == 1
    assert in_store(room) == set(hashes(second))
    assert cleared(room, second.rehearsal_id).cutouts == 2
    assert in_store(room) == set()


def test_the_rehearsal_in_force_is_left_as_it_is(room: Room) -> None:
    done = rehearsed(room, b"one", days_ago=400)
    promoted(room, done)
    with pytest.raises(Refused, match=f"Rehearsal {done.rehearsal_id} is in force"):
        cleared(room, done.rehearsal_id)
    assert remove_old(room, timedelta(days=90), who="housekeeping", via="run").rehearsals == ()
    assert in_store(room) == set(hashes(done))
    assert rehearsal_records.read(room, done.rehearsal_id) == done


def test_bytes_that_were_just_put_again_stay_although_no_row_names_them_yet(room: Room) -> None:
    done = rehearsed(room, b"again", b"gone", days_ago=1)
    again = stored(room, b"again")
    assert cleared(room, done.rehearsal_id).cutouts == 1
    assert in_store(room) == {again}
    assert orphans.unknown_objects(room) == [again], "listed, as all that no row knows"


def test_a_removal_that_was_cut_short_is_completed_by_the_next(room: Room) -> None:
    done = rehearsed(room, b"one", b"two")
    room.objects.path(hashes(done)[0]).unlink()
    (room.settings.home / "previews" / (done.sheet or "")).unlink()
    assert cleared(room, done.rehearsal_id) == Removed((done.rehearsal_id,), 1, 0, 3, 0, dry_run=False)
    assert in_store(room) == set()
    again = cleared(room, done.rehearsal_id)
    assert (again.cutouts, again.sheets, again.bytes) == (0, 0, 0)


# --- which rehearsals ------------------------------------------------------------------------------------------------


def test_only_rehearsals_that_ended_long_enough_ago_are_removed_by_age(room: Room) -> None:
    old = rehearsed(room, b"old", days_ago=31)
    killed = rehearsed(room, b"killed", days_ago=31, killed=True)
    new = rehearsed(room, b"new", days_ago=29)
    month = timedelta(days=30)
    done = remove_old(room, month, who="ute", via="cli")
    assert done.rehearsals == (old.rehearsal_id, killed.rehearsal_id)
    assert in_store(room) == set(hashes(new))
    assert remove_old(room, month, who="ute", via="cli").rehearsals == (), "once is enough"


def test_nothing_is_removed_while_somebody_counts_on_rehearsed_bytes(room: Room) -> None:
    done = rehearsed(room, b"one")
    with keeping.nothing_removed(room.engine), pytest.raises(Refused, match="is under way"):
        cleared(room, done.rehearsal_id)
    assert in_store(room) == set(hashes(done))
    assert cleared(room, done.rehearsal_id).cutouts == 1


def test_a_number_that_is_none_removes_nothing_of_the_others(room: Room) -> None:
    done = rehearsed(room, b"one")
    with pytest.raises(BadInput, match="There is no rehearsal 99"):
        cleared(room, done.rehearsal_id, 99)
    assert in_store(room) == set(hashes(done))


def test_what_was_removed_is_not_promoted(room: Room) -> None:
    done = rehearsed(room, b"one")
    cleared(room, done.rehearsal_id)
    with pytest.raises(
        Refused, match=rf"of rehearsal {done.rehearsal_id} were removed on .* by ute; rehearse again"
    ):
        promotion.promote(room, done.rehearsal_id, who="ute", via="cli")


def test_a_file_that_cannot_be_removed_is_named_and_nothing_is_said_to_be_removed(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = rehearsed(room, b"one")

    def forbidden(self: Path, **_: bool) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    with monkeypatch.context() as patched:  # the tests may run as root, whom no mode hinders
        patched.setattr(Path, "unlink", forbidden)
        with pytest.raises(SystemicFailure, match=r"cannot be removed \(Permission denied\)"):
            cleared(room, done.rehearsal_id)
    assert rehearsal_records.read(room, done.rehearsal_id).bytes_removed_at is None


def test_of_a_backup_only_bytes_that_rehearsals_alone_name_are_not_missed(room: Room) -> None:
    done = rehearsed(room, b"needed", b"passing")
    needed, passing = hashes(done)
    with room.engine.begin() as connection:
        decisions.decide(
            connection,
            stage=CUTOUTS,
            subject="52000300",
            content_hash=needed,
            verdict="approve",
            who="eva",
            via="cli",
        )
    address = room.engine.url.render_as_string(hide_password=False)
    assert backup._only_rehearsed(address) == {passing}


def test_the_statements_of_rehearsal_and_promotion_hold_on_an_empty_library(room: Room) -> None:
    with pytest.raises(BadInput, match="There is nothing to rehearse"):
        rehearsal.rehearse(room, "studio", rehearsal.Selection(everything=True), who="eva")
    recipe = cutout_models.cutting("studio", None)
    number = rehearsal_records.begin(room, recipe, "all", [], "eva")
    rehearsal_records.end(room, number, None)
    meant = promotion.promote(room, number, who="ute", via="cli")
    assert set(meant.counts().values()) == {0}
    with pytest.raises(Refused, match="is in force"):
        cleared(room, number)


# --- the command line ------------------------------------------------------------------------------------------------


@pytest.fixture
def crown(room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Run `crown images clear-rehearsals ...`; returns what it answers."""
    monkeypatch.chdir(tmp_path)
    world = {
        "CROWN_DATABASE_URL": room.engine.url.render_as_string(hide_password=False),
        "CROWN_HOME": str(room.settings.home),
    }

    def called(*arguments: str, exit_code: int = 0) -> str:
        done = CliRunner().invoke(cli, ["images", *arguments], env=world)
        assert done.exit_code == exit_code, done.output
        return done.output

    yield called
    logs.close()
    secrets._known.clear()


def test_rehearsals_are_cleared_from_the_command_line(room: Room, crown: Any) -> None:
    old, new = rehearsed(room, b"old", b"old too", days_ago=40), rehearsed(room, b"new")
    would = json.loads(crown("clear-rehearsals", "--older-than", "30", "--dry-run", "--json"))
    assert would == {
        "rehearsals": [old.rehearsal_id],
        "cutouts": 2,
        "sheets": 1,
        "bytes": 15,
        "kept": 0,
        "dry_run": True,
    }
    said = crown("clear-rehearsals", "--older-than", "30", "--who", "ute")
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
    promoted(room, new)
    assert "is in force" in crown("clear-rehearsals", str(new.rehearsal_id), exit_code=3)
    assert in_store(room) == set(hashes(new))
