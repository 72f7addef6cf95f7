"""A template says what it wants filled, and a new version says which jobs it breaks before anything runs."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib
import pytest

from crown.errors import BadInput
from crown.motion_jobs.after_effects.ae_edit import Edits, edit_project
from crown.motion_jobs.after_effects.ae_project import Expression, Project, read_project
from crown.motion_jobs.matches.template_contract import (
    Contract,
    Filled,
    JobUse,
    affected_jobs,
    contract_changes,
    contract_of,
    read_contract,
    sample_csv,
)
from tests.motion_jobs.projects import comp, footage, made_project, project, source_layer, text_layer

RealFile = Callable[[str, str], Path]
FONT = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
TEXT_SLOT, PICTURE_SLOT = 10, 11


def template(
    name: str = "Headline",
    layer_id: int = TEXT_SLOT,
    box: tuple[float, float] | None = (200.0, 25.0),
    picture: tuple[int, int] = (100, 50),
    more: tuple[str, ...] = (),
    expressions: tuple[Expression, ...] = (),
    duration: float = 10.0,
) -> Project:
    """A composition with a text and a picture, and more texts."""
    item = replace(footage(5, "/a/photo.png"), width=picture[0], height=picture[1])
    layers = [text_layer(layer_id, name, box=box, text="Hello"), source_layer(PICTURE_SLOT, "photo", 5)]
    layers += [text_layer(20 + number, text) for number, text in enumerate(more)]
    made = comp(1, "render_a", *layers)
    return project([replace(made, duration=duration)], [item], expressions)


def contract(**more: object) -> Contract:
    return contract_of(template(**more), 1, {"ArialMT": FONT})  # type: ignore[arg-type]


JOBS = (
    JobUse(
        "waits", "waiting", (Filled(10, "Headline", True, "Hello"), Filled(11, "photo", False, "", 200, 100))
    ),
    JobUse("was", "past", (Filled(10, "Headline", True, "x" * 18),)),
    JobUse("empty", "waiting"),
)


def reasons(new: Contract) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {one.job_id: (one.severity, one.reasons) for one in affected_jobs(contract(), new, JOBS)}


def test_a_real_template_gives_typed_slots_with_limits_and_fonts(real_file: RealFile) -> None:
    made = read_project(real_file("aepx", "edforman_test-correct.aepx"))
    found = contract_of(made, 1, {"RUSHFLOW": FONT})
    assert [(one.layer_id, one.name, one.kind, one.required, one.characters) for one in found.slots] == [
        (43, "player1fullname", "text", True, 13),
        (45, "player2fullname", "text", True, 13),
        (47, "player3fullname", "text", True, 13),
        (42, "featuredimage1", "image", True, None),
        (14, "green_yellow_bg.png", "image", True, None),
        (40, "test-photoshop-doc", "image", False, None),
    ]
    assert (found.width, found.height, found.duration, found.fonts) == (1200, 1500, 10.0, ("RUSHFLOW",))
    assert found.slots[3].aspect == pytest.approx(0.8)


def test_a_limit_in_characters_is_unknown_without_font_file_or_box() -> None:
    assert contract_of(template(), 1).slots[0].characters is None
    assert contract_of(template(box=None), 1, {"ArialMT": FONT}).slots[0].characters is None
    assert contract().slots[0].characters == 19
    assert contract(box=(200.0, 60.0)).slots[0].characters == 38


def test_a_text_that_an_expression_gives_is_not_wanted(real_file: RealFile) -> None:
    made = read_project(real_file("aepx", "nexrender_assets_nm05ae15.aepx"))
    found = contract_of(made, made.compositions[0].id)
    driven = {one.name for one in found.slots if one.driven}
    assert "00:00" in driven
    assert not [one for one in found.slots if one.driven and one.required]
    assert not driven & set(next(csv.reader([sample_csv(found).splitlines()[0]])))


def test_the_sample_csv_has_a_column_for_each_text_of_its_own() -> None:
    rows = list(csv.DictReader(sample_csv(contract(more=("twin", "twin", "notes", 'a "b", c'))).splitlines()))
    assert [row["Headline"] for row in rows] == ["Hello"]
    assert set(rows[0]) == {
        "job_id", "psd_path", "aepx_path", "output_name", "client_name", "project_name", "priority", "notes",
        "Headline", 'a "b", c',
    }  # fmt: skip


def test_the_version_follows_the_content_and_not_the_name_or_the_fonts_here(tmp_path: Path) -> None:
    source = made_project(tmp_path)
    made = read_project(source)
    inner = next(one for one in made.compositions if one.name == "inner")
    layer = next(one for one in inner.layers if one.text)
    other = edit_project(source, Edits(texts={layer.id: "Other"}), tmp_path / "other.aep").project
    first = contract_of(made, inner.id)
    assert first.version != contract_of(other, inner.id).version
    assert contract().version == contract_of(template(), 1).version
    copy = tmp_path / "copy.aep"
    copy.write_bytes(source.read_bytes())
    assert contract_of(read_project(copy), inner.id).version == first.version


def test_a_kept_contract_is_read_back_and_one_changed_by_hand_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.contract.json"
    path.write_text(contract().as_json())
    assert read_contract(path) == contract()
    path.write_text(contract().as_json().replace('"Headline"', '"Title"'))
    with pytest.raises(BadInput, match="was changed since it was written"):
        read_contract(path)
    path.write_text("[]")
    with pytest.raises(BadInput, match="is no template contract"):
        read_contract(path)


def test_the_same_template_breaks_nothing() -> None:
    assert reasons(contract()) == {}
    assert contract_changes(contract(), contract()) == []


@pytest.mark.parametrize(
    ("new", "broken", "reason"),
    [
        (
            {"name": "Title", "layer_id": 99},
            {"waits", "was", "empty"},
            "the slot 'Headline', which it fills, is gone",
        ),
        ({"layer_id": 99}, {"waits", "was"}, "the slot 'Headline' is another layer now (id 10 became 99)"),
        (
            {"more": ("Date",)},
            {"waits", "was", "empty"},
            "the new slot 'Date' is required and nothing fills it",
        ),
        (
            {"more": ("Headline",)},
            {"waits", "was", "empty"},
            "the name 'Headline' is that of several slots now",
        ),
        (
            {"box": (150.0, 25.0)},
            {"was"},
            "its text of 18 characters does not fit 'Headline', which takes 14 now",
        ),
        (
            {"picture": (100, 100)},
            {"waits"},
            "its picture of aspect 2.00 fitted 'photo' and does not fit 1.00",
        ),
        (
            {"expressions": (Expression(1, 10, "ADBE Text Properties/ADBE Text Document", "x", False),)},
            {"waits", "was"},
            "the slot 'Headline' gets its value from an expression now",
        ),
    ],
)
def test_a_changed_template_names_the_jobs_that_it_breaks(
    new: dict[str, object], broken: set[str], reason: str
) -> None:
    found = reasons(contract(**new))
    assert {job for job, (severity, _) in found.items() if severity == "broken"} == broken
    assert any(reason in why for _, why in found.values())


def test_a_job_that_still_runs_and_looks_different_is_changed() -> None:
    found = reasons(contract(name="Title", duration=12.0))
    assert {severity for severity, _ in found.values()} == {"changed"}
    assert found["empty"][1] == (
        "Its length changes from 10 s to 12 s",
        "name of the slot 'Headline' changes from 'Headline' to 'Title'",
    )


def test_past_and_waiting_jobs_are_told_apart() -> None:
    found = affected_jobs(contract(), contract(more=("Date",)), JOBS)
    assert [(one.job_id, one.state) for one in found] == [
        ("waits", "waiting"),
        ("was", "past"),
        ("empty", "waiting"),
    ]


def test_the_changes_of_a_template_are_said_in_words() -> None:
    assert contract_changes(contract(), contract(box=(150.0, 25.0), more=("Date",), duration=5.0)) == [
        "Its length changes from 10 s to 5 s.",
        "The slot 'Headline': characters changes from 19 to 14.",
        "The slot 'Headline': box changes from 200x25 to 150x25.",
        "The slot 'Date' (text, required) is new.",
    ]
