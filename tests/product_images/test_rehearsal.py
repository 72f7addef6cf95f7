"""Another cut-out model: rehearsed in the shadow, promoted by decision, or chosen for one photo."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import Engine, text

from crown.database.engine import connect
from crown.errors import BadInput, ConfigurationError, Refused
from crown.product_images import (
    cutout_models,
    orphans,
    promotion,
    rehearsal,
    review,
    stages,
    studio_version,
)
from crown.product_images.rehearsal import Selection
from crown.product_images.room import CUTOUTS, INBOX, MASTERS, PHOTOS, PUBLISHED, RENDITIONS, Room, open_room
from crown.product_images.trace import trace
from crown.settings import load_settings
from tests.conftest import _database, _execute
from tests.pictures import draw_cut_out, draw_part
from tests.product_images.flow import approve, hashes, published, run
from tests.unit.test_cutout import dark_is_part_model

#: Cut out by hand: every model gives the same bytes. Drawn: the two models differ. Too small for any model.
KEPT, DRAWN, TINY = "52000200", "52000201", "52000202"
OTHER = "u2netp"
EVERYTHING = Selection(everything=True)


def open_at(url: str, home: Path, **more: str) -> Room:
    settings = {
        "CROWN_HOME": str(home),
        "CROWN_WORKERS": "1",
        "CROWN_SPECS": "64x64_72dpi_jpeg",
        "CROWN_WEIGHTS_DIR": str(home / "weights"),
        **more,
    }
    return open_room(connect(url), load_settings(settings, None))


@pytest.fixture(scope="module")
def prepared(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A database and a home with two published photos, one that cannot be cut out, and weights of another model."""
    name, home = f"prepared_{uuid.uuid4().hex[:8]}", tmp_path_factory.mktemp("prepared")
    _execute(server_url, f"create database {name} template template_crown")
    (home / "weights").mkdir()
    (home / "weights" / f"{OTHER}.onnx").write_bytes(dark_is_part_model(320))
    room = open_at(_database(server_url, name), home)
    draw_cut_out(room.media(INBOX) / f"{KEPT}.png")
    draw_part(room.media(INBOX) / f"{DRAWN}.png", size=(180, 135), hole=15)
    Image.new("RGB", (20, 20), "grey").save(room.media(INBOX) / f"{TINY}.png")
    run(room)
    approve(room)
    run(room)
    room.engine.dispose()
    yield name, home
    _execute(server_url, f"drop database {name} with (force)")


@pytest.fixture
def room(server_url: str, prepared: tuple[str, Path], tmp_path: Path) -> Iterator[Room]:
    """A copy of what was prepared, of the test's own."""
    name, home = f"t{uuid.uuid4().hex[:12]}", tmp_path / "home"
    _execute(server_url, f"create database {name} template {prepared[0]}")
    shutil.copytree(prepared[1], home)
    room = open_at(_database(server_url, name), home)
    yield room
    room.engine.dispose()
    _execute(server_url, f"drop database {name} with (force)")


def rehearse(room: Room, selection: Selection = EVERYTHING, model: str = OTHER) -> rehearsal.Rehearsal:
    return rehearsal.rehearse(room, model, selection, who="eva")


def by_photo(found: rehearsal.Rehearsal) -> dict[str, rehearsal.Result]:
    return {result.photo: result for result in found.results}


def contents(engine: Engine) -> dict[str, Any]:
    """Every row of the ledger and of the department, but for what rehearsals remember."""
    with engine.connect() as connection:
        tables = connection.execute(
            text(
                "select schemaname || '.' || tablename from pg_tables where schemaname in ('ledger', 'product_images')"
                " and tablename not like 'rehearsal%'"
            )
        ).scalars()
        return {
            table: sorted(connection.execute(text(f"select t::text from {table} t")).scalars())
            for table in list(tables)
        }


def share(room: Room) -> dict[str, str]:
    return hashes(room.settings.media) | published(room)


def verdicts(room: Room, photo: str) -> list[tuple[str, str, str]]:
    with room.engine.connect() as connection:
        return [
            tuple(row)
            for row in connection.execute(
                text(
                    "select verdict, who, coalesce(reason, '') from ledger.decisions"
                    " where stage = :stage and subject = :photo order by decision_id"
                ),
                {"stage": CUTOUTS, "photo": photo},
            )
        ]


def standing(room: Room) -> dict[str, tuple[str, str | None]]:
    """Model of each photo's current cut-out, and what is said of it."""
    with room.engine.connect() as connection:
        models = connection.execute(
            text(
                "select i.key, q.body ->> 'model' from ledger.items i join ledger.makings m using (making_id)"
                " join ledger.recipes q on q.recipe = m.recipe where i.asset = :asset and i.state = 'current'"
            ),
            {"asset": CUTOUTS},
        ).all()
    said = {cutout.photo: cutout.verdict for cutout in review.cutouts(room)}
    return {photo: (model, said.get(photo)) for photo, model in models}


# --- the shadow ------------------------------------------------------------------------------------------------------


def test_a_rehearsal_touches_neither_ledger_nor_share_nor_review(room: Room) -> None:
    before = contents(room.engine), share(room)
    seen: list[tuple[str, int, int]] = []
    done = rehearsal.rehearse(
        room, OTHER, EVERYTHING, who="eva", on_progress=lambda r, n, of: seen.append((r.photo, n, of))
    )
    assert (contents(room.engine), share(room)) == before
    assert run(room) == {}
    assert (done.done, done.same_bytes, done.failed) == (3, 1, 1)
    assert sorted(seen) == [(KEPT, 1, 3), (DRAWN, 2, 3), (TINY, 3, 3)]
    kept, drawn = by_photo(done)[KEPT], by_photo(done)[DRAWN]
    assert kept.same_bytes
    assert (kept.iou, kept.difference) == (1.0, 0.0)
    assert not drawn.same_bytes
    assert drawn.iou is not None
    assert 0 < drawn.iou < 1
    assert drawn.difference is not None
    assert drawn.difference > promotion.LIMIT
    triage = {cutout.photo: cutout.facts["triage"]["score"] for cutout in review.cutouts(room)}
    assert drawn.score_before == triage[DRAWN] != drawn.score_after
    assert room.objects.holds(drawn.after_hash or "")
    assert orphans.unknown_objects(room) == []


def test_the_sheet_lies_where_the_console_serves_previews(room: Room) -> None:
    done = rehearse(room)
    assert done.sheet == f"product_images/rehearsals/{done.rehearsal_id}.webp"
    with Image.open(room.settings.home / "previews" / done.sheet) as sheet:
        assert sheet.width > 3 * 180
        cells = [sheet.convert("RGB").crop((left, 0, left + 180, 180)) for left in (0, 186, 372)]
    red, blue = ((220, 30, 30), (30, 80, 220))
    near = [
        sum(all(abs(a - b) < 40 for a, b in zip(pixel, tint, strict=True)) for pixel in cell.getdata())
        for cell in cells
        for tint in (red, blue)
    ]
    assert near[:4] == [0, 0, 0, 0]
    assert sum(near[4:]) > 20


def test_a_broken_picture_is_a_row_with_a_sentence_and_its_neighbours_go_on(room: Room) -> None:
    done = by_photo(rehearse(room))
    assert "only 20 x 20 pixels" in (done[TINY].error or "")
    assert done[TINY].error_class == "PermanentFailure"
    assert done[KEPT].error is None
    assert done[DRAWN].error is None


def test_rehearsals_are_remembered_with_the_worst_first(room: Room) -> None:
    first, second = rehearse(room), rehearse(room, Selection(photos=(f"{KEPT[:-1]}?",)))
    assert [one.rehearsal_id for one in rehearsal.rehearsals(room)] == [
        second.rehearsal_id,
        first.rehearsal_id,
    ]
    shown = rehearsal.read(room, first.rehearsal_id)
    assert [result.photo for result in shown.results] == [TINY, DRAWN, KEPT]
    assert shown.as_row()["worst_difference"] == round(shown.results[1].difference or 0, 4)
    with pytest.raises(BadInput, match="no rehearsal 99"):
        rehearsal.read(room, 99)


def test_what_was_rehearsed_once_is_not_cut_out_again(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    first = by_photo(rehearse(room))
    monkeypatch.setattr(rehearsal, "_job", lambda room, recipe, row: pytest.fail(f"{row.photo} is cut again"))
    again = by_photo(rehearse(room, Selection(photos=(KEPT, DRAWN))))
    assert again[DRAWN] == first[DRAWN]
    assert again[KEPT] == first[KEPT]


def test_rejected_ones_and_a_steady_sample_can_be_chosen(room: Room) -> None:
    review.decide(room, DRAWN, "reject", who="eva", via="cli", reason="the hole is filled")
    assert rehearse(room, Selection(rejected=True)).photos == (DRAWN,)
    sample = rehearse(room, Selection(sample=2)).photos
    assert len(sample) == 2
    assert rehearse(room, Selection(sample=2)).photos == sample
    with pytest.raises(BadInput, match="No photo matches '5200077'"):
        rehearse(room, Selection(photos=("5200077",)))


def test_a_model_without_weights_is_refused_and_nothing_is_remembered(room: Room, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=rf"u2net\.onnx is not in {room.settings.weights_dir}"):
        rehearse(room, model="u2net")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "nonsense.onnx").write_bytes(b"weights")
    with pytest.raises(ConfigurationError, match="rembg knows no model nonsense"):
        rehearsal.rehearse(room, "nonsense", EVERYTHING, who="eva", weights_dir=tmp_path / "other")
    assert rehearsal.rehearsals(room) == []


# --- promotion -------------------------------------------------------------------------------------------------------


def test_a_promotion_that_is_not_applied_changes_nothing(room: Room) -> None:
    number = rehearse(room).rehearsal_id
    before = contents(room.engine), share(room)
    meant = promotion.look(room, number)
    assert (meant.identical, meant.returning, meant.failing) == ([KEPT], [DRAWN], [TINY])
    assert promotion.look(room, number, 1.0).carried == [DRAWN]
    assert (contents(room.engine), share(room)) == before


def test_the_same_bytes_keep_their_approval_and_nothing_follows(room: Room) -> None:
    number = rehearse(room, Selection(photos=(KEPT,))).rehearsal_id
    before = published(room), verdicts(room, KEPT)
    assert promotion.promote(room, number, who="ute", via="cli").identical == [KEPT]
    made = run(room)
    assert {key for keys in made.values() for key in keys if key.startswith(KEPT)} == set()
    assert standing(room)[KEPT] == (OTHER, "approve")
    assert (published(room), verdicts(room, KEPT)) == before


def test_a_small_difference_is_approved_by_the_promotion_and_published(room: Room) -> None:
    done = rehearse(room)
    before, old = published(room), standing(room)
    promotion.promote(room, done.rehearsal_id, 1.0, who="ute", via="cli", reason="sharper edges")
    assert old[DRAWN] == ("studio", "approve")
    assert standing(room)[DRAWN] == (OTHER, "approve")
    (_, (verdict, who, reason)) = verdicts(room, DRAWN)
    assert (verdict, who) == ("approve", "ute")
    apart = by_photo(done)[DRAWN].difference
    assert f"rehearsal {done.rehearsal_id} it differed by {apart:.4f}" in reason
    made = run(room)
    assert CUTOUTS not in made, "the rehearsed bytes are taken over"
    assert made[MASTERS] == [DRAWN]
    changed = {path for path, content in published(room).items() if before[path] != content}
    assert changed == {path for path in before if path.startswith(DRAWN)}
    source = room.media(f"products/{DRAWN}/source/{DRAWN}.png")
    cutout = next(m for m in trace(room, str(source))["back"] if m["asset"] == CUTOUTS)
    assert cutout["recipe_body"]["model"] == OTHER
    assert cutout["facts"]["rehearsal"] == done.rehearsal_id
    assert cutout["versions"] == stages.versions()
    assert cutout["who"] == "ute"


def test_a_large_difference_waits_for_the_review_and_stays_published_until_then(room: Room) -> None:
    number, before = rehearse(room).rehearsal_id, published(room)
    assert promotion.promote(room, number, who="ute", via="cli").returning == [DRAWN]
    assert run(room) == {}
    assert published(room) == before
    assert standing(room)[DRAWN] == (OTHER, None)
    assert [path.name for path in room.media("review/bg_removed").iterdir()] == [f"{DRAWN}.png"]
    approve(room, DRAWN)
    assert run(room)[MASTERS] == [DRAWN]


def test_a_small_difference_carries_no_approval_that_was_not_there(room: Room) -> None:
    review.decide(room, DRAWN, "withdraw", who="eva", via="cli", reason="wrong part")
    number = rehearse(room).rehearsal_id
    assert promotion.promote(room, number, 1.0, who="ute", via="cli").waiting == [DRAWN]
    assert standing(room)[DRAWN] == (OTHER, None)


def test_what_was_not_rehearsed_is_cut_out_by_the_next_run(room: Room) -> None:
    number = rehearse(room, Selection(photos=(KEPT,))).rehearsal_id
    meant = promotion.promote(room, number, 1.0, who="ute", via="cli")
    assert meant.cut_anew == [DRAWN, TINY]
    assert run(room)[CUTOUTS] == [DRAWN]
    assert standing(room)[DRAWN] == (OTHER, None)


def test_a_promotion_goes_before_the_setting_until_it_is_taken_back(room: Room) -> None:
    number, before = rehearse(room).rehearsal_id, published(room)
    promotion.promote(room, number, 1.0, who="ute", via="cli")
    run(room)
    with room.engine.connect() as connection:
        (said,) = cutout_models.standing_sentences(connection, room.settings)
    assert said.startswith(f"Photos are cut out by {OTHER}, promoted by ute")
    assert "CROWN_CUTOUT_MODEL (studio) holds again after" in said
    meant = promotion.take_back(room, who="ute", via="cli", reason="blurred wires")
    assert (sorted(meant.there), meant.cut_anew) == ([KEPT, DRAWN], [TINY])
    assert CUTOUTS not in run(room)
    assert standing(room) == {KEPT: ("studio", "approve"), DRAWN: ("studio", "approve")}
    assert published(room) == before
    with pytest.raises(BadInput, match="No promotion is in force"):
        promotion.look_back(room)


def test_other_weights_than_the_rehearsed_ones_are_not_promoted(room: Room) -> None:
    number = rehearse(room).rehearsal_id
    assert room.settings.weights_dir is not None
    (room.settings.weights_dir / f"{OTHER}.onnx").write_bytes(dark_is_part_model(320) + b"\0")
    with pytest.raises(Refused, match="is not what was rehearsed"):
        promotion.promote(room, number, who="ute", via="cli")


def test_a_raised_version_leaves_cut_outs_alone_until_it_is_promoted(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(room.engine)["ledger.makings"]
    monkeypatch.setattr(studio_version, "STUDIO_VERSION", studio_version.STUDIO_VERSION + 1)
    assert run(room) == {}
    assert contents(room.engine)["ledger.makings"] == before
    with room.engine.connect() as connection:
        said = cutout_models.standing_sentences(connection, room.settings)
    assert said[1].startswith("2 cut-outs were made by an earlier version of studio")
    draw_cut_out(room.media(INBOX) / "52000203.png", shade=90)
    assert run(room)[CUTOUTS] == ["52000203"], "what is new is cut out by the version that is there"
    done = rehearse(room, model="studio")
    assert done.done - done.failed == done.same_bytes == 3
    promotion.promote(room, done.rehearsal_id, who="ute", via="cli")
    assert run(room) == {}
    with room.engine.connect() as connection:
        assert len(cutout_models.standing_sentences(connection, room.settings)) == 1


# --- one photo -------------------------------------------------------------------------------------------------------


def test_a_rejected_photo_is_tried_again_with_another_model_and_no_neighbour_is(room: Room) -> None:
    review.decide(room, DRAWN, "reject", who="eva", via="cli", reason="the hole is filled")
    run(room)
    neighbours = {path: content for path, content in published(room).items() if KEPT in path}
    (chosen,) = cutout_models.choose(room, DRAWN, OTHER, who="eva", via="cli", reason="chrome")
    assert (chosen.before, chosen.model) == ("studio", OTHER)
    made = run(room)
    assert made == {CUTOUTS: [DRAWN]}
    assert standing(room) == {KEPT: ("studio", "approve"), DRAWN: (OTHER, None)}
    approve(room, DRAWN)
    run(room)
    assert {p: c for p, c in published(room).items() if KEPT in p} == neighbours
    found = trace(room, f"products/{DRAWN}/source/{DRAWN}.png")
    assert (found["chosen_model"]["model"], found["chosen_model"]["who"]) == (OTHER, "eva")
    assert found["chosen_model"]["reason"] == "chrome"
    assert trace(room, f"products/{KEPT}/source/{KEPT}.png")["chosen_model"] is None


def test_taking_the_choice_back_returns_to_the_model_of_all(room: Room) -> None:
    before = standing(room), published(room)
    cutout_models.choose(room, DRAWN, OTHER, who="eva", via="cli")
    run(room)
    cutout_models.choose(room, DRAWN, None, who="eva", via="cli", reason="no better")
    assert CUTOUTS not in run(room)
    assert (standing(room), published(room)) == before
    with pytest.raises(BadInput, match="has a model of its own"):
        cutout_models.choose(room, DRAWN, None, who="eva", via="cli")


def test_a_photo_with_a_model_of_its_own_is_no_part_of_a_promotion(room: Room) -> None:
    number = rehearse(room).rehearsal_id
    cutout_models.choose(room, DRAWN, "studio", who="eva", via="cli")
    assert promotion.promote(room, number, 1.0, who="ute", via="cli").carried == []
    assert CUTOUTS not in run(room)
    assert standing(room)[DRAWN] == ("studio", "approve")
    assert DRAWN not in rehearse(room).photos


def test_a_photo_whose_weights_are_gone_waits_alone(room: Room) -> None:
    with pytest.raises(ConfigurationError, match=rf"u2net\.onnx is not in {room.settings.weights_dir}"):
        cutout_models.choose(room, DRAWN, "u2net", who="eva", via="cli")
    cutout_models.choose(room, DRAWN, OTHER, who="eva", via="cli")
    assert room.settings.weights_dir is not None
    (room.settings.weights_dir / f"{OTHER}.onnx").unlink()
    draw_cut_out(room.media(INBOX) / "52000204.png", shade=90)
    assert run(room)[CUTOUTS] == ["52000204"]
    with room.engine.connect() as connection:
        waiting = connection.execute(
            text("select waiting_for from ledger.items where asset = :asset and key = :key"),
            {"asset": CUTOUTS, "key": DRAWN},
        ).scalar_one()
    assert waiting == f"the weights of {OTHER}"


def test_a_retouch_goes_before_every_model(room: Room) -> None:
    draw_cut_out(room.media(f"review/bg_removed/{DRAWN}.png"), shade=200)
    run(room)
    with pytest.raises(Refused, match="is a person's retouch"):
        cutout_models.choose(room, DRAWN, OTHER, who="eva", via="cli")
    assert DRAWN not in rehearse(room).photos
    assert "person's retouch" in (rehearse(room, Selection(photos=(DRAWN,))).results[0].error or "")


def test_choices_are_decisions_with_person_and_reason(room: Room) -> None:
    cutout_models.choose(room, DRAWN, OTHER, who="eva", via="cli", reason="chrome")
    with room.engine.connect() as connection:
        said = connection.execute(
            text("select subject, verdict, who, reason from ledger.decisions where stage = :stage"),
            {"stage": cutout_models.MODEL_STAGE},
        ).one()
        told = connection.execute(
            text("select new_values ->> 'model' from journal.activity where what = 'cutout_model_chosen'")
        ).scalar_one()
    assert tuple(said) == (DRAWN, "approve", "eva", "chrome")
    assert told == OTHER
    assert stages.plan(room, [PHOTOS, CUTOUTS])[0][CUTOUTS].pending == 1


def test_a_choice_waits_for_nothing_but_its_cut_out(room: Room) -> None:
    cutout_models.choose(room, KEPT, OTHER, who="eva", via="cli")
    made = run(room)
    assert made == {CUTOUTS: [KEPT]}, "the same bytes: neither master nor rendition nor file follows"
    assert not {MASTERS, PUBLISHED, *RENDITIONS.values()} & set(made)
